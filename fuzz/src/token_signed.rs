//! The signed tokens that console-token reads: texts of strangers, and whatever the right keys have signed.
//!
//! ```text
//! | what u8 | now u32, in steps of a second | ... |                what modulo 4:
//! 0 text:       | token |
//! 1 EdDSA:      | header: length u8, bytes | claims |
//! 2 HS256:      the same
//! 3 claims:     | issued u16 | life u16 | not before u16, or 0 | bit u16 | issuer, audience, subject: length u8, bytes | id |
//! ```

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use console_token::signed::{Claims, Keys, Rule, SignedError, SigningKey, VerifyingKey};
use console_token::{ConsoleType, Grant, Pepper, SignedToken, Target, UnixSeconds};
use ring::{hmac, signature::Ed25519KeyPair};
use serde_json::Value;

use crate::Input;

const SEED: [u8; 32] = [7; 32];
const SECRET: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
const AUDIENCE: &str = "gw";
const ISSUER: &str = "iss";
const SKEW: u64 = 5;
const MAX_LIFE: u64 = 1000;
/// 2027-01-15: times of the inputs count from here.
const EPOCH: u64 = 1_800_000_000;

/// The algorithms that are signed with here, by a library that the tokens do not use.
#[derive(Clone, Copy, PartialEq)]
enum Algorithm {
    EdDsa,
    Hs256,
}

impl Algorithm {
    fn sign(self, message: &str) -> String {
        let message = message.as_bytes();
        let signature = match self {
            Self::EdDsa => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
                pair.sign(message).as_ref().to_vec()
            }
            Self::Hs256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        };
        URL_SAFE_NO_PAD.encode(signature)
    }
}

struct VerifyContext {
    key: SigningKey,
    keys: Keys,
    rule: Rule,
    pepper: Pepper,
}

static GATE: LazyLock<VerifyContext> = LazyLock::new(|| {
    let key = SigningKey::ed25519("ed", &SEED).unwrap();
    let keys = Keys::default()
        .with(key.verifying())
        .with(VerifyingKey::hs256("hs", &SECRET).unwrap())
        .with_unnamed("hs");
    VerifyContext {
        key,
        keys,
        rule: Rule::new(AUDIENCE)
            .with_issuer(ISSUER)
            .with_skew(SKEW as u32)
            .with_max_life(MAX_LIFE),
        pepper: Pepper::new(&[1; 32]).unwrap(),
    }
});

/// Checks one input, and names what it reached.
pub fn check(data: &[u8]) -> Option<&'static str> {
    let mut input = Input::new(data);
    let what = input.byte() % 4;
    let now = u32::from_le_bytes([input.byte(), input.byte(), input.byte(), input.byte()]);
    let now = EPOCH + u64::from(now);
    match what {
        0 => text(input.rest(), now),
        1 => signed(input, now, Algorithm::EdDsa),
        2 => signed(input, now, Algorithm::Hs256),
        _ => claims(input, now),
    }
}

/// A token cannot be made without a key.
fn text(bytes: &[u8], now: u64) -> Option<&'static str> {
    let token = SignedToken::presented(bytes).ok()?;
    assert_eq!(token.expose().as_bytes(), bytes);
    assert!(bytes.len() <= SignedToken::MAX_LEN);
    let verified = GATE.keys.verify(&token, &GATE.rule, UnixSeconds(now));
    let websockify = GATE.keys.verify_websockify(&token, &GATE.rule, UnixSeconds(now));
    Some(match (verified, websockify) {
        // The one token of the seeds.
        (Ok(_), _) | (_, Ok(_)) => {
            let (message, signature) = token.expose().rsplit_once('.').unwrap();
            assert_eq!(Algorithm::Hs256.sign(message), signature);
            "text: accepted"
        }
        (Err(SignedError::Header), _) => "text: header",
        (Err(SignedError::Extension), _) => "text: extension",
        (Err(SignedError::UnknownKey), _) => "text: unknown key",
        (Err(SignedError::WrongAlgorithm), _) => "text: algorithm",
        (Err(SignedError::BadSignature), _) => "text: signature",
        (Err(_), _) => "text: claims",
    })
}

/// Signed by the library on its own; what is accepted says what the rule demands.
fn signed(mut input: Input<'_>, now: u64, algorithm: Algorithm) -> Option<&'static str> {
    let header = input.short_blob();
    let claims = input.rest();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    no_base64(header, algorithm);
    let signature = algorithm.sign(&message);
    let token = SignedToken::presented(format!("{message}.{signature}").as_bytes()).ok()?;
    let right = |now| {
        let verified = GATE.keys.verify(&token, &GATE.rule, UnixSeconds(now));
        let websockify = GATE.keys.verify_websockify(&token, &GATE.rule, UnixSeconds(now));
        (verified, websockify)
    };
    let (verified, websockify) = right(now);
    let is_accepted = verified.is_ok() || websockify.is_ok();
    if !is_accepted {
        return match (verified.unwrap_err(), websockify.unwrap_err()) {
            (SignedError::Claims(_), SignedError::Claims(_)) => Some("signed: other claims"),
            (SignedError::Claims(_), SignedError::Claim(_)) => Some("signed: other target"),
            (SignedError::Claim(_), _) => Some("signed: other id"),
            (SignedError::WrongAudience, _) => Some("signed: audience"),
            (SignedError::WrongIssuer, _) => Some("signed: issuer"),
            (SignedError::Expired, _) | (_, SignedError::Expired) => Some("signed: expired"),
            (SignedError::NotYetValid, _) | (_, SignedError::NotYetValid) => Some("signed: not yet valid"),
            (SignedError::TooLong, _) | (_, SignedError::TooLong) => Some("signed: too long"),
            _ => Some("signed: header"),
        };
    }
    let header: Value = serde_json::from_slice(header).unwrap();
    let claims: Value = serde_json::from_slice(claims).unwrap();
    let (name, id) = if algorithm == Algorithm::Hs256 {
        ("HS256", "hs")
    } else {
        ("EdDSA", "ed")
    };
    assert_eq!(header["alg"], name);
    assert!(header["kid"] == id || (header["kid"].is_null() && id == "hs"));
    assert!(header.get("crit").is_none_or(Value::is_null));
    let ends = claims["exp"].as_u64().unwrap();
    assert!(now < ends.saturating_add(SKEW));
    if let Some(starts) = claims["nbf"].as_u64() {
        assert!(starts <= now.saturating_add(SKEW) && starts < ends);
    }
    let (late, late_websockify) = right(ends.saturating_add(SKEW));
    assert_eq!(
        late.err().filter(|_| verified.is_ok()),
        verified.is_ok().then_some(SignedError::Expired)
    );
    assert!(late_websockify.is_err());
    if let Ok(verified) = &verified {
        assert_eq!((&claims["aud"], &claims["iss"]), (&AUDIENCE.into(), &ISSUER.into()));
        assert!(ends - claims["iat"].as_u64().unwrap() <= MAX_LIFE);
        assert_eq!(claims["jti"], verified.claims().id);
    }
    if let Ok(websockify) = &websockify {
        let grant = websockify.grant(ConsoleType::NoVnc);
        marked(&grant, websockify.claims().expires);
        assert_eq!(&grant.target, &websockify.claims().target);
        assert!(
            right(now)
                .1
                .is_ok_and(|again| again.marker(&GATE.pepper) == websockify.marker(&GATE.pepper))
        );
        assert!(!format!("{websockify:?}").contains(&message));
        let host = claims["host"].as_str().unwrap();
        assert!(!host.is_empty() && format!("{:?}", websockify.claims()).contains(&format!("{ends}")));
        assert!(ends <= now.saturating_add(MAX_LIFE));
        return Some("signed: websockify");
    }
    Some("signed: kerbside")
}

/// Claims that are no base64 are refused, although they are signed.
fn no_base64(header: &[u8], algorithm: Algorithm) {
    let message = format!("{}.A", URL_SAFE_NO_PAD.encode(header));
    let token = format!("{message}.{}", algorithm.sign(&message));
    if let Ok(token) = SignedToken::presented(token.as_bytes()) {
        let verified = GATE.keys.verify(&token, &GATE.rule, UnixSeconds(EPOCH));
        assert!(verified.is_err());
    }
}

/// A marker is kept for as long as any clock within the skew accepts its token.
fn marked(grant: &Grant, ends: UnixSeconds) {
    let kept = grant.expires.0.saturating_add(u64::from(grant.skew));
    assert!(ends.0.saturating_add(SKEW) <= kept);
}

/// What was signed is accepted in its time and at no other, by its audience, and with no bit changed.
fn claims(mut input: Input<'_>, now: u64) -> Option<&'static str> {
    let mut number = || u64::from(u16::from_le_bytes([input.byte(), input.byte()]));
    let (issued, life, not_before, bit) = (EPOCH + number(), number(), number(), number());
    let mut text = || String::from_utf8_lossy(input.short_blob()).into_owned();
    let (issuer, audience, subject) = (text(), text(), text());
    let id = String::from_utf8_lossy(input.rest()).into_owned();
    let mut claims = Claims::new(&issuer, &audience, &subject, &id, UnixSeconds(issued), life);
    if not_before != 0 {
        claims = claims.with_not_before(UnixSeconds(EPOCH + not_before));
    }
    let token = GATE.key.sign(&claims).ok()?;
    let rule = Rule::new(&audience).with_skew(SKEW as u32);
    let starts = if not_before == 0 {
        issued
    } else {
        issued.max(EPOCH + not_before)
    };
    let expected = if id.is_empty() || Claims::MAX_ID < id.len() {
        Err(SignedError::Claim("jti"))
    } else if issued + life <= starts || issued + life + SKEW <= now {
        Err(SignedError::Expired)
    } else if now + SKEW < starts {
        Err(SignedError::NotYetValid)
    } else {
        Ok(())
    };
    let verified = GATE.keys.verify(&token, &rule, UnixSeconds(now));
    assert_eq!(verified.as_ref().map(|_| ()).map_err(|error| *error), expected);
    let mut changed = token.expose().as_bytes().to_vec();
    let at = usize::from(bit as u16) / 8 % changed.len();
    changed[at] ^= 1 << (bit % 8);
    if let Ok(changed) = SignedToken::presented(&changed) {
        let error = GATE.keys.verify(&changed, &rule, UnixSeconds(now)).unwrap_err();
        assert!(
            !matches!(
                error,
                SignedError::Expired | SignedError::NotYetValid | SignedError::WrongAudience
            ),
            "{error}"
        );
    }
    let Ok(verified) = verified else {
        return Some("claims: refused");
    };
    assert_eq!(verified.claims(), &claims);
    let other = Rule::new(&format!("{audience}x"));
    assert_eq!(
        GATE.keys.verify(&token, &other, UnixSeconds(now)),
        Err(SignedError::WrongAudience)
    );
    let target = Target::Host {
        host: "192.0.2.7".into(),
        port: Some(5900),
        tls_port: None,
    };
    let grant = verified.grant(target.clone(), ConsoleType::NoVnc);
    marked(&grant, claims.expires);
    assert_eq!((&grant.target, grant.vm.as_deref()), (&target, Some(&*subject)));
    // The marker is of issuer and id, and moving a letter from one to the other makes it another.
    let marker = verified.marker(&GATE.pepper);
    let mut moved = Claims::new(&format!("{issuer}x"), &audience, "", &id, UnixSeconds(issued), life);
    moved.not_before = claims.not_before;
    let moved = GATE
        .keys
        .verify(&GATE.key.sign(&moved).ok()?, &rule, UnixSeconds(now))
        .unwrap();
    assert!(moved.marker(&GATE.pepper) != marker);
    Some("claims: accepted")
}
