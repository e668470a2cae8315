//! Whether a token is to be believed.

use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};
use core::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use zeroize::Zeroizing;

use super::{Claims, SignedError, SignedToken, VerifyingKey, WebsockifyClaims};
use crate::{ConsoleType, Grant, JsonError, Pepper, Target, TokenHash, UnixSeconds, json, resolver::websockify};

/// The keys that a gateway accepts, each under its id.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: Vec<VerifyingKey>,
    /// The id of the key for tokens that name none.
    unnamed: Option<Box<str>>,
}

impl Keys {
    /// Adds a key, in place of one that has its id.
    #[must_use]
    pub fn with(mut self, key: VerifyingKey) -> Self {
        self.insert(key);
        self
    }

    /// Adds a key, in place of one that has its id. An old key is kept beside the new one until its tokens have expired.
    pub fn insert(&mut self, key: VerifyingKey) {
        self.remove(key.id());
        self.keys.push(key);
    }

    /// Forgets a key: none of its tokens is accepted any more. False if it was not there.
    pub fn remove(&mut self, id: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.id() != id);
        self.keys.len() != before
    }

    /// Says which key is for tokens that name none, as most of websockify's.
    #[must_use]
    pub fn with_unnamed(mut self, id: &str) -> Self {
        self.unnamed = Some(id.into());
        self
    }

    /// Verifies a token of Kerbside's form.
    ///
    /// What is wrong is looked for in this order: header, key, algorithm, signature, claims, issuer, audience, time.
    ///
    /// # Errors
    ///
    /// [`SignedError`]; to be answered like any other refusal.
    pub fn verify(&self, token: &SignedToken, rule: &Rule, now: UnixSeconds) -> Result<Verified, SignedError> {
        let claims: Claims = self.signed_claims(token, |json| json::read(json, SignedToken::MAX_LEN))?;
        if !(1..=Claims::MAX_ID).contains(&claims.id.len()) {
            return Err(SignedError::Claim("jti"));
        }
        if rule.issuer.as_ref().is_some_and(|issuer| **issuer != *claims.issuer) {
            return Err(SignedError::WrongIssuer);
        }
        if *rule.audience != *claims.audience {
            return Err(SignedError::WrongAudience);
        }
        // Made in the future counts as not yet valid, whatever `nbf` says.
        let not_before = claims.not_before.unwrap_or(claims.issued_at).max(claims.issued_at);
        rule.in_time(not_before, claims.expires, now)?;
        let life = claims.expires.0.saturating_sub(claims.issued_at.0);
        if rule.max_life < life {
            return Err(SignedError::TooLong);
        }
        Ok(Verified {
            claims,
            skew: rule.skew,
        })
    }

    /// Verifies a token of websockify's form. Issuer and audience of the rule are not looked at: it has none.
    ///
    /// # Errors
    ///
    /// [`SignedError`]; to be answered like any other refusal.
    pub fn verify_websockify(
        &self,
        token: &SignedToken,
        rule: &Rule,
        now: UnixSeconds,
    ) -> Result<VerifiedWebsockify, SignedError> {
        #[derive(Deserialize)]
        struct Times {
            nbf: Option<UnixSeconds>,
            exp: UnixSeconds,
        }

        let (target, Times { nbf, exp }) = self.signed_claims(token, |json| {
            let times = json::read(json, SignedToken::MAX_LEN)?;
            Ok((websockify::from_json(json), times))
        })?;
        rule.in_time(nbf.unwrap_or(UnixSeconds(0)), exp, now)?;
        if rule.max_life < exp.0.saturating_sub(now.0) {
            return Err(SignedError::TooLong);
        }
        let signed = token.expose().rsplit_once('.').map_or("", |(signed, _)| signed);
        Ok(VerifiedWebsockify {
            claims: WebsockifyClaims {
                target: target.map_err(|_| SignedError::Claim("host"))?,
                not_before: nbf,
                expires: exp,
            },
            signed: Zeroizing::new(signed.into()),
            skew: rule.skew,
        })
    }

    /// The claims of a token, of which nothing is read before its signature has been verified.
    fn signed_claims<T>(
        &self,
        token: &SignedToken,
        read: impl FnOnce(&[u8]) -> Result<T, JsonError>,
    ) -> Result<T, SignedError> {
        /// Members that this does not know are not looked at, as RFC 7515 section 4 has it, but for those that change
        /// what the rest means.
        #[derive(Deserialize)]
        struct Header<'a> {
            #[serde(borrow)]
            alg: Cow<'a, str>,
            #[serde(borrow)]
            kid: Option<Cow<'a, str>>,
            crit: Option<IgnoredAny>,
            enc: Option<IgnoredAny>,
            zip: Option<IgnoredAny>,
        }

        // INVARIANT: the text has three parts.
        let (message, signature) = token.expose().rsplit_once('.').ok_or(SignedError::Header)?;
        let (header, claims) = message.split_once('.').ok_or(SignedError::Header)?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| SignedError::Header)?;
        let header: Header<'_> = json::read(&header, SignedToken::MAX_LEN).map_err(|_| SignedError::Header)?;
        if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err(SignedError::Extension);
        }
        let id = header.kid.as_deref().or(self.unnamed.as_deref());
        let key = self
            .keys
            .iter()
            .find(|key| Some(key.id()) == id)
            .ok_or(SignedError::UnknownKey)?;
        if header.alg != key.algorithm() {
            return Err(SignedError::WrongAlgorithm);
        }
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| SignedError::BadSignature)?;
        if !key.verifies(message, &signature) {
            return Err(SignedError::BadSignature);
        }
        let claims = URL_SAFE_NO_PAD
            .decode(claims)
            .map_err(|_| SignedError::Claims(JsonError::Syntax))?;
        read(&Zeroizing::new(claims)).map_err(SignedError::Claims)
    }
}

/// In seconds.
const DAY: u64 = 86_400;

/// What a gateway demands of a token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rule {
    /// The audience that it answers for.
    pub audience: Box<str>,
    /// The issuer whose keys it has. Default: `None`, not looked at.
    pub issuer: Option<Box<str>>,
    /// By how many seconds the clocks of issuer and gateways may differ from the right time. Default: 0.
    pub skew: u32,
    /// For how many seconds a token may be valid at most. Default: a day.
    pub max_life: u64,
}

impl Rule {
    /// The rule of a gateway that answers for this audience.
    #[must_use]
    pub fn new(audience: &str) -> Self {
        Self {
            audience: audience.into(),
            issuer: None,
            skew: 0,
            max_life: DAY,
        }
    }

    /// Sets the one issuer.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets by how many seconds clocks may differ.
    #[must_use]
    pub const fn with_skew(mut self, seconds: u32) -> Self {
        self.skew = seconds;
        self
    }

    /// Sets for how many seconds a token may be valid.
    #[must_use]
    pub const fn with_max_life(mut self, seconds: u64) -> Self {
        self.max_life = seconds;
        self
    }

    /// `not_before - skew <= now < expires + skew`, and never for a token that ends before it begins.
    fn in_time(&self, not_before: UnixSeconds, expires: UnixSeconds, now: UnixSeconds) -> Result<(), SignedError> {
        let skew = u64::from(self.skew);
        if expires <= not_before || expires.saturating_add(skew) <= now {
            Err(SignedError::Expired)
        } else if now < not_before.saturating_sub(skew) {
            Err(SignedError::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// The grant of a marker.
///
/// The marker must outlive the token on every gateway. Each clock may be off by the skew: a gateway whose clock is
/// slow accepts until the right time is `expires + 2 skew`, and one whose clock is fast sweeps three skews after the end
/// that the record has. So the record's own end lies two skews behind, and a third is the record's skew.
fn marker_grant(target: Target, console: ConsoleType, from: UnixSeconds, expires: UnixSeconds, skew: u32) -> Grant {
    let mut grant = Grant::new(target, console, from, 0).with_skew(skew);
    grant.expires = expires.saturating_add(u64::from(skew).saturating_mul(2));
    grant
}

/// A token of Kerbside's form that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    claims: Claims,
    skew: u32,
}

impl Verified {
    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The hash under which the store keeps that the token was used: of its issuer and its id, under the pepper, and
    /// never that of a [`Secret`](crate::Secret).
    #[must_use]
    pub fn marker(&self, pepper: &Pepper) -> TokenHash {
        let issuer = self.claims.issuer.as_bytes();
        // Its length in front, so that no two pairs have one text.
        let len = u64::try_from(issuer.len()).unwrap_or(u64::MAX).to_be_bytes();
        pepper.hash_parts(&[b"\0jti\0", &len, issuer, self.claims.id.as_bytes()])
    }

    /// The grant to be kept under the [marker](Self::marker), for the target that belongs to the subject: once, for this
    /// audience, with the subject as its [`vm`](Grant::vm). A record that exists is right already: its insertion is
    /// [`StoreError::Duplicate`](crate::StoreError::Duplicate), and the transition that follows decides.
    ///
    /// It is kept until three skews behind the end of the token, so that no clock within the skew sweeps it while
    /// another still accepts the token. The caller may change its uses, scope and limits.
    #[must_use]
    pub fn grant(&self, target: Target, console: ConsoleType) -> Grant {
        let Claims {
            issuer,
            audience,
            subject,
            issued_at,
            expires,
            ..
        } = &self.claims;
        marker_grant(target, console, *issued_at, *expires, self.skew)
            .with_audience(audience)
            .with_vm(subject)
            .with_issuer(issuer)
    }
}

/// A token of websockify's form that was verified.
/// `Debug` shows the claims only.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedWebsockify {
    claims: WebsockifyClaims,
    /// What was signed, which stands for the id that the form has not.
    signed: Zeroizing<String>,
    skew: u32,
}

impl fmt::Debug for VerifiedWebsockify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifiedWebsockify").field(&self.claims).finish()
    }
}

impl VerifiedWebsockify {
    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &WebsockifyClaims {
        &self.claims
    }

    /// The hash under which the store keeps that the token was used. websockify itself takes a token any number of
    /// times.
    #[must_use]
    pub fn marker(&self, pepper: &Pepper) -> TokenHash {
        pepper.hash_parts(&[b"\0jws\0", self.signed.as_bytes()])
    }

    /// The grant to be kept under the [marker](Self::marker): once, for the target in the claims. As for
    /// [`Verified::grant`].
    #[must_use]
    pub fn grant(&self, console: ConsoleType) -> Grant {
        let WebsockifyClaims {
            target,
            not_before,
            expires,
        } = &self.claims;
        let from = not_before.unwrap_or(UnixSeconds(0));
        marker_grant(target.clone(), console, from, *expires, self.skew)
    }
}
