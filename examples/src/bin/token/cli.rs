//! The command line.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Makes console tokens, and looks at them.
///
/// A token, or a URL with one, is read as the first line of standard input, so that it stands in no history and no
/// list of processes. Only `mint` shows one.
///
/// STORE is sqlite:FILE, postgres://..., or redis://... of console-token, and for `verify` and `resolve` also
/// websockify:FILE (a token file, or a folder of them), libvirt:FILE (that of libvirt-console-proxy).
#[derive(Debug, Parser)]
#[command(name = "token", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  head -c 32 /dev/urandom > pepper
  token mint --store sqlite:tokens.db --pepper-file pepper --host 192.0.2.7 --port 5900 --ttl 600 > t
  token inspect --store sqlite:tokens.db --pepper-file pepper < t     what is known of it, without the token
  token verify --store sqlite:tokens.db --pepper-file pepper < t      would it be accepted now, and why not
  token resolve --store sqlite:tokens.db --pepper-file pepper --redeem < t
  token resolve --store websockify:tokens.cfg --form libvirt < t
  head -c 32 /dev/urandom > seed
  token sign --key-file seed --key-id 2027-01 --issuer https://cloud --audience https://gw --vm vm-1 > s
  token verify --public-key $(token public-key --key-file seed) --key-id 2027-01 --audience https://gw < s

Exit status: 0 accepted or done, 1 refused, 2 wrong use, 3 something could not be read, reached or written.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token, keep its hash in a store, and write it to standard output
    Mint(Box<Mint>),
    /// Make a signed token of Kerbside's form, and write it to standard output
    Sign(Sign),
    /// Write the public half of a key to standard output, in hexadecimal digits
    PublicKey {
        /// File with the 32 bytes of the key's seed
        #[arg(long)]
        key_file: PathBuf,
    },
    /// Show what is known of a token as JSON, and no part of the token
    Inspect(Inspect),
    /// Tell whether a token would be accepted now, without spending it
    Verify(Verify),
    /// Show what a token leads to
    Resolve(Resolve),
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Store
    #[arg(long)]
    pub(crate) store: String,
    /// File with the pepper, 32 bytes or more; for the stores of console-token
    #[arg(long)]
    pub(crate) pepper_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Mint {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Type of the console: novnc, xvpvnc, spice-html5, spice-direct, rdp-html5, serial, webmks
    #[arg(long, default_value = "novnc")]
    pub(crate) console: String,
    /// Host of the console
    #[arg(long, required_unless_present = "unix_path")]
    pub(crate) host: Option<String>,
    /// Port without TLS
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Port with TLS
    #[arg(long)]
    pub(crate) tls_port: Option<u16>,
    /// Socket instead of host and ports
    #[arg(long, conflicts_with_all = ["host", "port", "tls_port"])]
    pub(crate) unix_path: Option<String>,
    /// Seconds for which the token is valid
    #[arg(long, default_value_t = 600)]
    pub(crate) ttl: u64,
    /// How often it can be used
    #[arg(long, default_value_t = NonZeroU32::MIN)]
    pub(crate) uses: NonZeroU32,
    /// Virtual machine
    #[arg(long)]
    pub(crate) vm: Option<String>,
    /// Who it is for
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Who makes it
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// The one audience whose gateways accept it
    #[arg(long)]
    pub(crate) audience: Option<String>,
    /// In the form of Nova's tokens, a UUID
    #[arg(long)]
    pub(crate) uuid: bool,
    /// Write the URL that a tenant opens instead: this one, with the token in it
    #[arg(long)]
    pub(crate) url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// File with the 32 bytes of the key's seed
    #[arg(long)]
    pub(crate) key_file: PathBuf,
    /// Id of the key
    #[arg(long)]
    pub(crate) key_id: String,
    /// Who makes it
    #[arg(long)]
    pub(crate) issuer: String,
    /// Who it is for: the gateway
    #[arg(long)]
    pub(crate) audience: String,
    /// Virtual machine
    #[arg(long)]
    pub(crate) vm: String,
    /// Seconds for which the token is valid
    #[arg(long, default_value_t = 300)]
    pub(crate) ttl: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Store; without one, what a URL or a signed token shows of itself, unverified
    #[arg(long, requires = "pepper_file")]
    pub(crate) store: Option<String>,
    /// File with the pepper, 32 bytes or more
    #[arg(long)]
    pub(crate) pepper_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Store
    #[arg(long, required_unless_present = "public_key", conflicts_with = "public_key")]
    pub(crate) store: Option<String>,
    /// File with the pepper, 32 bytes or more; for the stores of console-token
    #[arg(long)]
    pub(crate) pepper_file: Option<PathBuf>,
    /// Public key of a signed token, in hexadecimal digits
    #[arg(long, requires_all = ["key_id", "audience"])]
    pub(crate) public_key: Option<String>,
    /// Id of that key
    #[arg(long)]
    pub(crate) key_id: Option<String>,
    /// The audience that the gateway answers for
    #[arg(long)]
    pub(crate) audience: Option<String>,
    /// Seconds by which clocks may differ
    #[arg(long, default_value_t = 0)]
    pub(crate) skew: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Resolve {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The audience that the gateway answers for
    #[arg(long)]
    pub(crate) audience: Option<String>,
    /// Spend a use
    #[arg(long)]
    pub(crate) redeem: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Form::Text)]
    pub(crate) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// host:port
    Text,
    /// What Nova's API shows of a token, in microversion 2.99
    Nova,
    /// What a resolver answers to libvirt-console-proxy
    Libvirt,
    /// What an API answers to websockify
    Websockify,
}
