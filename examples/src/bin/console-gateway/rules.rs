//! The rules that the demo can switch off one at a time, to show that it would notice.

/// Which rules the gateway does **not** keep. [`Rules::default`] keeps all; `serve` knows nothing else.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// A token's expiry is not looked at.
    pub(crate) accept_expired: bool,
    /// A spent token opens another session.
    pub(crate) accept_replay: bool,
    /// A token that was not issued opens a session.
    pub(crate) accept_wrong: bool,
    /// A refused tenant receives the reason.
    pub(crate) leak_reason: bool,
}

impl std::fmt::Display for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules = [
            (self.accept_expired, "accept-expired"),
            (self.accept_replay, "accept-replay"),
            (self.accept_wrong, "accept-wrong"),
            (self.leak_reason, "leak-reason"),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, name)) => write!(f, "broken by {name}"),
            None => f.write_str("all kept"),
        }
    }
}
