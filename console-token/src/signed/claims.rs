//! What a signed token says.

use alloc::string::String;

use serde::Deserialize;

use crate::{
    Target, UnixSeconds,
    json::{self, Quoted},
};

/// The claims of Kerbside's tokens (RFC 7519 section 4.1). What the token leads to is not among them: that is for the
/// gateway to know, by the subject.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    /// `iss`: the issuer.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// `aud`: the one gateway, or group of gateways, that it is for; compared byte by byte.
    #[serde(rename = "aud")]
    pub audience: String,
    /// `sub`: the virtual machine.
    #[serde(rename = "sub")]
    pub subject: String,
    /// `iat`: when it was made.
    #[serde(rename = "iat")]
    pub issued_at: UnixSeconds,
    /// `nbf`: the first second in which it is valid; `iat` if it is not there.
    #[serde(rename = "nbf")]
    pub not_before: Option<UnixSeconds>,
    /// `exp`: the first second in which it is no longer valid.
    #[serde(rename = "exp")]
    pub expires: UnixSeconds,
    /// `jti`: its name, which no other token of the issuer has.
    #[serde(rename = "jti")]
    pub id: String,
}

impl Claims {
    /// The longest `jti` that is taken, in bytes.
    pub const MAX_ID: usize = 256;

    /// Claims for a token of `ttl` seconds from `now` on. The id must be one that was never used before: 16 random
    /// bytes as text.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, subject: &str, id: &str, now: UnixSeconds, ttl: u64) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            subject: subject.into(),
            issued_at: now,
            not_before: None,
            expires: now.saturating_add(ttl),
            id: id.into(),
        }
    }

    /// Sets the first second in which it is valid.
    #[must_use]
    pub fn with_not_before(mut self, not_before: UnixSeconds) -> Self {
        self.not_before = Some(not_before);
        self
    }

    pub(super) fn to_json(&self) -> zeroize::Zeroizing<String> {
        let (name, not_before) = match self.not_before {
            Some(UnixSeconds(not_before)) => (r#","nbf":"#, Some(not_before)),
            None => ("", None),
        };
        json::write(format_args!(
            r#"{{"iss":{},"aud":{},"sub":{},"iat":{}{name}{},"exp":{},"jti":{}}}"#,
            Quoted(&self.issuer),
            Quoted(&self.audience),
            Quoted(&self.subject),
            self.issued_at.0,
            json::OrNothing(not_before),
            self.expires.0,
            Quoted(&self.id),
        ))
    }
}

/// The claims of websockify's tokens (JWTTokenApi): the target itself. No audience, no issuer, no id.
///
/// The signer of such a token decides what the gateway connects to; check the target against a
/// [`TargetRule`](crate::web::target::TargetRule).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebsockifyClaims {
    /// `host` and `port`.
    pub target: Target,
    /// `nbf`: the first second in which it is valid.
    pub not_before: Option<UnixSeconds>,
    /// `exp`: the first second in which it is no longer valid. (websockify takes it during that second too, and takes
    /// tokens without it for ever: here it has to be there.)
    pub expires: UnixSeconds,
}
