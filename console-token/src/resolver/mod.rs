//! What other proxies resolve their tokens with: the forms of libvirt-console-proxy, websockify and KubeVirt's
//! vm-console-proxy, read and written.
//!
//! They have no expiry, no uses and no owners: a program that takes them over adds those to the
//! [`Grant`](crate::Grant) that their target goes into.

pub mod kubevirt;
pub mod libvirt;
pub mod websockify;

use thiserror::Error;

use crate::{
    JsonError, Target,
    web::{Authority, Host, HostError},
};

/// Why a text is not what such a resolver gives, or cannot be written so that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolverError {
    /// It is not its JSON.
    #[error("invalid JSON: {0}")]
    Json(JsonError),
    /// This member, or this part of a line, has a value that it cannot have.
    #[error("invalid {0}")]
    Member(&'static str),
    /// The host is none, or is written in a way that programs read differently.
    #[error("invalid host: {0}")]
    Host(HostError),
    /// The form has no place for such a target.
    #[error("a target that this form has no place for")]
    Target,
    /// The form has no place for such a token.
    #[error("a token that this form has no place for")]
    Token,
}

impl From<JsonError> for ResolverError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// `host:port`, IPv6 in brackets.
fn endpoint(text: &str) -> Result<(alloc::string::String, u16), ResolverError> {
    match text.parse() {
        Ok(Authority { host, port: Some(port) }) => Ok((bare(&host), port.get())),
        Ok(_) | Err(HostError::Port) => Err(ResolverError::Member("port")),
        Err(error) => Err(ResolverError::Host(error)),
    }
}

/// A host without brackets, as [`Target`] has it.
fn bare(host: &Host) -> alloc::string::String {
    use alloc::string::ToString as _;
    match host {
        Host::Address(address) => address.to_string(),
        Host::Name(name) => name.as_str().into(),
    }
}

/// The host and the one port of a target.
fn host_and_port(target: &Target) -> Result<(Host, u16), ResolverError> {
    let (host, port) = match target {
        Target::Host {
            host,
            port: Some(port),
            tls_port: None,
        }
        | Target::Host {
            host,
            port: None,
            tls_port: Some(port),
        } => (host, *port),
        _ => return Err(ResolverError::Target),
    };
    let host = host.parse().map_err(|_| ResolverError::Target)?;
    if port == 0 {
        Err(ResolverError::Target)
    } else {
        Ok((host, port))
    }
}
