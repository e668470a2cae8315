//! Every seed and every regression of the SPICE links and sessions, and what the seeds reach.

use std::collections::BTreeSet;

fn replay(target: &str, stages: fn(&[u8]) -> BTreeSet<String>) -> (usize, BTreeSet<String>) {
    let mut reached = BTreeSet::new();
    // Regressions run, too; what is reached counts from the seeds alone.
    let regressions = crate::each_case("regressions", target, |case| drop(stages(case)));
    let count = crate::each_case("seeds", target, |case| reached.extend(stages(case)));
    println!(
        "{target}: {count} cases and {regressions} regressions; the cases reach {}",
        reached.len()
    );
    (count, reached)
}

/// Every question of every role, and every way in which a link of it ends.
#[rustfmt::skip]
const LINKS: &[(&str, &str)] = &[
    ("client with SASL", "Closed LinkReply, Closed LinkResult, Closed Sasl, Decode, PeerIncompatible MissingCapability, \
        PeerIncompatible NoMechanism, PeerIncompatible Version, PeerMisbehaved SecondReply, Rejected, \
        asked SaslLayer, asked SaslStart, asked SaslStep, done"),
    ("client", "Closed LinkReply, Closed LinkResult, Crypto, Decode, PeerIncompatible NoTickets, \
        PeerIncompatible Version, PeerMisbehaved SecondReply, Rejected, asked SaslLayer, asked \
        SaslStart, asked SaslStep, done"),
    ("relay with SASL", "Closed AuthMechanism of the Tenant, Closed LinkMess of the Tenant, Closed LinkReply of the \
        Hypervisor, Closed LinkResult of the Hypervisor, Closed Sasl of the Tenant, Decode of the \
        Tenant, PeerIncompatible MissingCapability of the Tenant, PeerIncompatible Version of the \
        Tenant, PeerIncompatible WebSocket of the Tenant, PeerMisbehaved MechanismNotOffered of the \
        Tenant, PeerMisbehaved SaslMechanismNotOffered of the Tenant, PeerMisbehaved SecondReply of the \
        Hypervisor, Refused of the Tenant, Rejected of the Hypervisor, asked Admit, asked Link, asked \
        Redial, asked SaslLayer, asked SaslLayer of the Hypervisor, asked SaslStart, asked SaslStart of the \
        Hypervisor, asked SaslStep, asked SaslStep of the Hypervisor, done"),
    ("relay", "Closed AuthMechanism of the Tenant, Closed LinkMess of the Tenant, Closed LinkReply of the \
        Hypervisor, Closed LinkResult of the Hypervisor, Closed Ticket of the Tenant, Crypto of the \
        Hypervisor, Decode of the Hypervisor, Decode of the Tenant, PeerIncompatible MissingCapability \
        of the Hypervisor, PeerIncompatible NoTickets of the Hypervisor, PeerIncompatible Version of the \
        Hypervisor, PeerIncompatible Version of the Tenant, PeerIncompatible WebSocket of the \
        Hypervisor, PeerIncompatible WebSocket of the Tenant, PeerMisbehaved MechanismNotOffered of the \
        Tenant, PeerMisbehaved SecondReply of the Hypervisor, Refused of the Tenant, Rejected of the \
        Hypervisor, asked Link, asked Ticket, done"),
    ("server with SASL", "Closed AuthMechanism, Closed LinkMess, Closed Sasl, Decode, PeerIncompatible MissingCapability, \
        PeerIncompatible Version, PeerIncompatible WebSocket, PeerMisbehaved MechanismNotOffered, \
        PeerMisbehaved SaslMechanismNotOffered, Refused, asked Admit, asked Link, asked SaslLayer, asked \
        SaslStart, asked SaslStep, done"),
    ("server", "Closed AuthMechanism, Closed LinkMess, Closed Ticket, Decode, PeerIncompatible Version, \
        PeerIncompatible WebSocket, PeerMisbehaved MechanismNotOffered, Refused, asked Link, asked \
        Ticket, done"),
    ("watched", "AuthMechanism, Decode, LinkMess, LinkReply, LinkResult, PeerMisbehaved SecondReply, \
        SaslMechList, SaslStartClient, SaslStepClient, SaslStepServer, SaslVerdict, Ticket, done"),
];

/// Every reason (a) to (m) of the tracker; of a session that moves, every fate of a message, a connection and an
/// effect; every verdict and every rule of a policy. The lines of the table of moves come from the table.
#[rustfmt::skip]
const SESSIONS: &[(&str, &str)] = &[
    ("move", "Answer Accept, Answer Close, Answer Pretend, Answer Pretended, Answer Refuse, Downgrade, Duplicate, \
        Effect Cancel, Effect Close, Effect End, Effect Pretend, Ended, Lost Close, Lost End, \
        Lost InitThenClose, Lost Pretend, Lost Wait, NoConnectionId, NoMigration, NotAnnounced, NotBound, \
        Replayed, Sasl, Seamless, SemiSeamless, SwitchHost, TooManyLinks, WrongConnectionId, c2s Drop, \
        c2s Forward, c2s Instead, c2s Refuse Ended, c2s Refuse Forged, c2s Refuse Unasked, \
        ended by the operator, s2c Ask, s2c Bind, s2c Forward, s2c Refuse Ended, s2c Refuse Hidden, \
        s2c Refuse Malformed, s2c Refuse NotAdjacent, s2c Refuse OutOfOrder"),
    ("policy", "End(Agent), End(Allowed), End(List), End(Rate), End(Size), End(Withheld), Forward, Replace(Body), \
        Replace(Filler), Replace(Nothing), Replace(Token), broken Agent, broken Allowed, broken Clipboard, \
        broken Files, broken List, broken Rate, broken Size, broken ViewOnly, broken Withheld"),
    ("snapshot", "Bound, Claimed, Ended, refused after the end, refused"),
    ("tracker", "(L) TooManyLinks, (S) TooManySessions, (a) Replayed, (b) NotBound, (c) NoConnectionId, \
        (d) WrongConnectionId, (e) NotAnnounced, (f) Duplicate, (g) NoMigration, (h) Ended, \
        (i) OtherAddress, (j) Downgrade, (k) Sasl, (l) Ticket(NotUtf8), (l) Ticket(Nul), \
        (l) Ticket(TooLong), (m) Late, cancelled, connect error, \
        connected, moved, restored elsewhere, switch told, target told, target's main linked"),
];

/// What the seeds reach is all that there is to be reached, and that by name.
fn assert_reached(reached: &BTreeSet<String>, table: &[(&str, &str)]) {
    let lines = table
        .iter()
        .flat_map(|(of, what)| what.split(", ").map(move |what| format!("{of}: {what}")));
    let expected: BTreeSet<String> = lines.collect();
    let missing: Vec<_> = expected.difference(reached).collect();
    let unknown: Vec<_> = reached.difference(&expected).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing {missing:#?}, unknown {unknown:#?}"
    );
}

#[test]
fn spice_link() {
    let (count, reached) = replay("spice_link", crate::spice_link::stages);
    assert!(90 <= count);
    assert_reached(&reached, LINKS);
}

#[test]
fn spice_session() {
    let (count, reached) = replay("spice_session", crate::spice_session::stages);
    assert!(100 <= count);
    let moves: BTreeSet<String> = crate::spice_session::moves().collect();
    let missing: Vec<_> = moves.difference(&reached).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let rest: BTreeSet<String> = reached.difference(&moves).cloned().collect();
    assert_reached(&rest, SESSIONS);
}
