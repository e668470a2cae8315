//! The states of a session that moves, line by line, and the only words that a viewer may hear of a target.

/// Where a session is, what happens, where it is then: the table of states, line by line. Whatever else happens
/// leaves it where it is.
#[rustfmt::skip]
pub(in crate::spice_session) const TABLE: &[(&str, &str, &str)] = &[
    ("Fresh",     "main with id 0",        "Idle"),
    ("Idle",      "INIT",                  "Idle"),
    ("Idle",      "101 accepted",          "Told"),
    ("Idle",      "116 accepted",          "Told"),
    ("Idle",      "101 refused",           "Told"),
    ("Idle",      "116 refused",           "Told"),
    ("Idle",      "111 accepted",          "Switch"),
    ("Idle",      "111 refused",           "End"),
    ("Idle",      "S main lost",           "End"),
    ("Told",      "T main accepted",       "Opening"),
    ("Told",      "T main refused",        "Told"),
    ("Told",      "c2s 103",               "Idle"),
    ("Told",      "8 s",                   "Told"),
    ("Told",      "S main lost",           "End"),
    ("Opening",   "T link accepted",       "Opening"),
    ("Opening",   "T link pretended",      "Opening"),
    ("Opening",   "c2s 110",               "Opening"),
    ("Opening",   "s2c 117",               "Opening"),
    ("Opening",   "s2c 118",               "Opening"),
    ("Opening",   "c2s 103",               "Idle"),
    ("Opening",   "c2s 102",               "Connected"),
    ("Opening",   "c2s 111",               "Connected"),
    ("Opening",   "c2s 102, poisoned",     "Idle"),
    ("Opening",   "c2s 111, poisoned",     "Idle"),
    ("Opening",   "8 s",                   "Opening"),
    ("Opening",   "S main lost",           "End"),
    ("Connected", "s2c 102",               "Idle"),
    ("Connected", "101 accepted",          "Told"),
    ("Connected", "116 accepted",          "Told"),
    ("Connected", "101 refused",           "Told"),
    ("Connected", "116 refused",           "Told"),
    ("Connected", "111 accepted",          "Switch"),
    ("Connected", "111 refused",           "End"),
    ("Connected", "s2c 112",               "Ending"),
    ("Connected", "s2c 1",                 "Ending"),
    ("Connected", "S main lost",           "Connected"),
    ("Connected", "main timeout",          "End"),
    ("Ending",    "S main lost",           "Ending"),
    ("Ending",    "S link lost",           "Ending"),
    ("Ending",    "c2s 109",               "Idle"),
    ("Ending",    "c2s 5",                 "Idle"),
    ("Ending",    "10 s",                  "End"),
    ("Switch",    "s2c 102",               "Switch"),
    ("Switch",    "c2s 102",               "Switch"),
    ("Switch",    "c2s 103",               "Switch"),
    ("Switch",    "c2s 111",               "Switch"),
    ("Switch",    "S main lost",           "Switch"),
    ("Switch",    "main with id 0",        "Idle"),
    ("Switch",    "main timeout",          "End"),
];

/// A target that was named and not answered for.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) number: u16,
    pub(super) version: u32,
}

/// What the proxy says of itself.
pub(super) struct Said {
    pub(super) port: u16,
    pub(super) tls_port: u16,
    pub(super) subject: Option<&'static str>,
}

pub(super) const PROXY: &str = "proxy.example";

impl Said {
    /// The only body that the viewer may be told, in the layout of the three messages, whether or not it may go there.
    pub(super) fn body(&self, held: &Held) -> Vec<u8> {
        let (port, tls_port) = (self.port, self.tls_port);
        let seamless = held.number == 116;
        let with_nul = |text: &str| [text.as_bytes(), b"\0"].concat();
        let (host, subject) = (with_nul(PROXY), self.subject.map(with_nul).unwrap_or_default());
        let host_at = if seamless { 24 } else { 20 };
        let subject_at = if subject.is_empty() { 0 } else { host_at + host.len() };
        let mut body = [port.to_le_bytes(), tls_port.to_le_bytes()].concat();
        for field in [host.len(), host_at, subject.len(), subject_at] {
            body.extend(u32::try_from(field).expect("small").to_le_bytes());
        }
        if seamless {
            body.extend(held.version.to_le_bytes());
        }
        [body, host, subject].concat()
    }
}
