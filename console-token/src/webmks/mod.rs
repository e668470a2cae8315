//! WebMKS: the console of VMware's hypervisors.
//!
//! A ticket of vCenter is all that a client needs for the console. Two forms of it have been in use: [`ConnectInfo`], which Nova's
//! specification names, and [`MksTicket`], which Nova's driver puts into the token's `internal_access_path`.
//! With the second a proxy logs in at the hypervisor's authentication daemon, authd: that is [`Login`].

mod buffers;
mod login;
mod ticket;

pub use buffers::Buffers;
pub use login::{
    Action, Login, LoginConfig, LoginError, Misbehaviour, Misuse, Outcome, ReplyError, Stage, Tls, TlsLayer,
};
pub use ticket::{ConnectInfo, MksTicket, Thumbprint, TicketError};
