//! Tokens that carry their claims, signed by their issuer.

mod text;

pub use text::SignedToken;
