//! The rules that the demo can switch off one at a time, to show that it would notice.

/// Which rules the gateway does **not** keep. [`Rules::default`] keeps all; `serve` knows nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// A token's expiry is not looked at.
    pub(crate) accept_expired: bool,
    /// A spent token opens another session.
    pub(crate) accept_replay: bool,
    /// A token that nobody issued opens a session.
    pub(crate) accept_wrong: bool,
    /// A refused tenant is told why.
    pub(crate) leak_reason: bool,
}
