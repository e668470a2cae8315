//! Tokens that carry their claims, signed by their issuer.
//!
//! Many gateways can verify them without asking anybody. What they cannot do alone is to take a token only once: for
//! that there is a marker, which is a record of the store like that of any other token.
//!
//! ```text
//! BASE64URL({"typ": "JWT", "alg": "EdDSA", "kid": ".."}) "." BASE64URL(claims) "." BASE64URL(signature)   RFC 7515, 7519, 8037
//! ```
//! - **The algorithm is the key's.** A token names its key (`kid`), the key says which algorithm it is for, and a
//!   header that names another is refused. No key is taken from a token (`jwk`, `jku`, `x5u` are not looked at).
//! - **Time is an argument**, in whole seconds. A token without an end is refused.
//! - **Order**: verify, find the console, and only then spend the marker, so that a console that is not there costs
//!   no token.
//! - **Rotation**: the issuer signs with a new key, whose verifying half the gateways were given before; the old one is
//!   kept among the [`Keys`] until its last token has expired. A gateway has no signing half.
//!
//! ```
//! # #[cfg(feature = "jwt")] {
//! use console_token::signed::{Claims, Keys, Rule, SigningKey};
//! use console_token::{AttemptId, ConsoleType, VerifyContext, MemoryStore, Pepper, Refusal, SignedToken, Transition, StoreError, Target, UnixSeconds};
//!
//! // The issuer. Seed and id of the token come from a cryptographically secure source.
//! let now = UnixSeconds(1_800_000_000);
//! let key = SigningKey::ed25519("2027-01", &[7; 32]).unwrap();
//! let claims = Claims::new("https://cloud.example", "https://gw.example/console.vv", "vm-1", "b7d1..", now, 300);
//! let token = key.sign(&claims).unwrap();
//!
//! // The gateway.
//! let keys = Keys::default().with(key.verifying());
//! let rule = Rule::new("https://gw.example/console.vv").with_issuer("https://cloud.example").with_skew(5);
//! let presented = SignedToken::presented(token.expose().as_bytes()).unwrap();
//! let verified = keys.verify(&presented, &rule, now).unwrap();
//! let target = Target::Host { host: "192.0.2.7".into(), port: Some(5900), tls_port: None }; // of verified.claims().subject
//!
//! // Once, on all gateways: the first one makes the record, and all of them ask it.
//! let (store, pepper) = (MemoryStore::new(1000), Pepper::new(&[1; 32]).unwrap());
//! let hash = verified.marker(&pepper);
//! match store.insert(&hash, &verified.grant(target, ConsoleType::NoVnc)) {
//!     Ok(()) | Err(StoreError::Duplicate) => {}
//!     Err(error) => panic!("{error}"),
//! }
//! let context = VerifyContext::at(now).with_audience("https://gw.example/console.vv");
//! assert!(store.apply(&hash, &context, Transition::Redeem(AttemptId([1; 16]))).is_ok());
//! let again = store.apply(&hash, &context, Transition::Redeem(AttemptId([2; 16])));
//! assert_eq!(again, Err(Refusal::Spent.into()));
//! # }
//! ```

#[cfg(feature = "jwt")]
mod claims;
#[cfg(feature = "jwt")]
mod error;
#[cfg(feature = "jwt")]
mod key;
mod text;
#[cfg(feature = "jwt")]
mod verify;

#[cfg(feature = "jwt")]
pub use claims::{Claims, WebsockifyClaims};
#[cfg(feature = "jwt")]
pub use error::SignedError;
#[cfg(feature = "jwt")]
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use text::SignedToken;
#[cfg(feature = "jwt")]
pub use verify::{Keys, Rule, Verified, VerifiedWebsockify};
