//! KubeVirt's vm-console-proxy: the token of a service account that may see one machine over VNC.
//!
//! ```text
//! GET apis/token.kubevirt.io/v1/namespaces/<namespace>/virtualmachines/<name>/vnc?duration=<seconds>s
//! 200 {"token": "<signed token>", "expirationTimestamp": "<RFC 3339>"}
//! ```
//! Many can use the token until then, and it cannot be revoked by itself.

use alloc::{borrow::Cow, string::String};

use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::ResolverError;
use crate::{
    SignedToken, UnixSeconds,
    json::{self, Quoted},
    web::HostName,
};

/// The longest answer that is read, in bytes.
pub const MAX_LEN: usize = 8192;

/// The shortest time that Kubernetes gives a token for, and the one that vm-console-proxy asks for by itself: 10 minutes.
pub const MIN_SECONDS: u32 = 600;

/// The path that a token is asked for at. `None` if the namespace is no DNS label, the name no DNS subdomain
/// (RFC 1123, as Kubernetes has it), or the time is shorter than [`MIN_SECONDS`].
#[must_use]
pub fn path(namespace: &str, name: &str, seconds: u32) -> Option<String> {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let ends = [label.bytes().next(), label.bytes().next_back()];
        label.len() <= HostName::MAX_LABEL
            && ends.into_iter().all(|end| end.is_some_and(is_alphanumeric))
            && label.bytes().all(|byte| is_alphanumeric(byte) || byte == b'-')
    };
    let is_path = is_label(namespace)
        && name.len() <= HostName::MAX_LEN
        && name.split('.').all(is_label)
        && MIN_SECONDS <= seconds;
    is_path.then(|| {
        alloc::format!(
            "apis/token.kubevirt.io/v1/namespaces/{namespace}/virtualmachines/{name}/vnc?duration={seconds}s"
        )
    })
}

/// A token and its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// `token`.
    pub token: SignedToken,
    /// `expirationTimestamp`: the first second in which it is no longer accepted.
    pub expires: UnixSeconds,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    expiration_timestamp: Cow<'a, str>,
}

impl Answer {
    /// Reads an answer. A fraction of a second is cut off.
    ///
    /// # Errors
    ///
    /// [`ResolverError::Json`], and [`ResolverError::Member`] for a token that is none, and a time that is none or lies
    /// before 1970.
    pub fn from_json(json: &[u8]) -> Result<Self, ResolverError> {
        let members: Members<'_> = json::read(json, MAX_LEN)?;
        let token = json::wiped(members.token);
        let token = SignedToken::presented(token.as_bytes()).map_err(|_| ResolverError::Member("token"))?;
        let expires: Timestamp = members
            .expiration_timestamp
            .parse()
            .map_err(|_| ResolverError::Member("expirationTimestamp"))?;
        let expires = u64::try_from(expires.as_second()).map_err(|_| ResolverError::Member("expirationTimestamp"))?;
        Ok(Self {
            token,
            expires: UnixSeconds(expires),
        })
    }

    /// Writes an answer.
    ///
    /// # Errors
    ///
    /// [`ResolverError::Member`] for an end after the year 9999, which the form has no digits for.
    pub fn to_json(&self) -> Result<Zeroizing<String>, ResolverError> {
        let end = i64::try_from(self.expires.0)
            .ok()
            .and_then(|end| Timestamp::from_second(end).ok());
        let end = end.ok_or(ResolverError::Member("expirationTimestamp"))?;
        Ok(json::write(format_args!(
            r#"{{"token":{},"expirationTimestamp":"{end}"}}"#,
            Quoted(self.token.expose())
        )))
    }
}
