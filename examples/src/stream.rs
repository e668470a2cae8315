//! Connections of any kind.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection. The indirect call is nothing next to the system call behind it.
pub type Stream = Box<dyn Io>;

/// What a [`Stream`] can do.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
