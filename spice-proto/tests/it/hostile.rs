//! Every machine, fed every prefix, every single-byte mutation and many random mutations of recorded
//! handshakes: no panic, no hang, no allocation above the limits, a typed error with field and offset, and
//! no answer to the peer beyond the protocol's own code.

use std::collections::BTreeSet;

use bytes::BytesMut;
use spice_proto::caps::Capabilities;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::{self, RelayAction, Upstream};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, LinkMess, LinkReply, Machine, Refusal, RelayConfig,
    RelayLink, Secret, ServerLink, Side, SideBuffers,
};
use spice_proto::{Limits, channel, frame};

use crate::changed::changed;
use crate::pair::{NOW, key, request};
use crate::recordings::{self, Connection, Rows};

/// No handshake takes more calls of `step` than this.
const STEPS: usize = 12;
/// Bytes that a link may have allocated at any time: its own input (16 + 4096, or 16 + 8370), the same
/// again for capability words, RSA's numbers, and a little.
const ALLOCATED: u64 = 40 << 10;
const RANDOM_MUTATIONS: usize = 10_000;

/// One handshake: what the client and what the server said, up to the data stage.
pub(crate) struct Handshake {
    name: String,
    pub(crate) c2s: Vec<u8>,
    pub(crate) s2c: Vec<u8>,
}

/// Tries changed forms of bytes, which stand unchanged or do not: gives how many were tried and how many stood.
fn tries(bytes: &[u8], every_value: bool, random: usize, mut stands: impl FnMut(&str, &[u8]) -> bool) -> [usize; 2] {
    let (mut runs, mut stood) = (0, 0);
    let unchanged = stands("unchanged", bytes);
    changed(bytes, every_value, random, |what, bytes| {
        runs += 1;
        stood += usize::from(stands(what, bytes));
    });
    // Random numbers and keys can be others, so a good handshake bears some changes, and whole it is among the prefixes.
    assert!(!unchanged || 0 < stood);
    [runs, stood]
}

/// Adds what a row tried to a sum.
fn add(sum: &mut [usize; 2], row: Option<[usize; 2]>) {
    let row = row.unwrap_or_default();
    *sum = [sum[0] + row[0], sum[1] + row[1]];
}

/// The recorded handshakes, one for each channel type and set of capabilities, and those that failed.
pub(crate) fn handshakes(connections: &[Connection]) -> Vec<Handshake> {
    let mut known = BTreeSet::new();
    let mut all = Vec::new();
    for connection in connections {
        let linked = connection.linked();
        if linked.as_ref().is_some_and(|linked| linked.sasl) {
            continue;
        }
        let (c2s_at, s2c_at) = linked.map_or((usize::MAX, usize::MAX), |linked| (linked.c2s_at, linked.s2c_at));
        let c2s = connection.c2s[..c2s_at.min(connection.c2s.len())].to_vec();
        let s2c = connection.s2c[..s2c_at.min(connection.s2c.len())].to_vec();
        // Tickets, keys and session ids differ everywhere and change nothing.
        let shape: Vec<u8> = c2s
            .iter()
            .take(16)
            .chain(c2s.iter().skip(20).take(26))
            .chain(s2c.iter().take(20))
            .copied()
            .collect();
        if known.insert(shape) {
            let name = connection.name.clone();
            all.push(Handshake { name, c2s, s2c });
        }
    }
    all
}

/// What a machine did with its input.
struct Run {
    error: Option<HandshakeError>,
    told: Vec<u8>,
}

/// Every byte sequence that a client may be told, given what it was shown.
fn check_told(told: &[u8], shown: &[u8], what: &str) {
    let rest = told.strip_prefix(shown).unwrap_or(told);
    let code = match rest.len() {
        0 => return,
        4 => u32::from_le_bytes(rest.try_into().unwrap()),
        194 => {
            let code = u32::from_le_bytes(rest[16..20].try_into().unwrap());
            let mut refusal = BytesMut::new();
            LinkReply::refusal(LinkErrorCode(code)).encode(&mut refusal).unwrap();
            assert_eq!(rest, refusal, "{what}: nothing but the code");
            code
        }
        other => panic!("{what}: {other} bytes told"),
    };
    assert!(code <= 9, "{what}: code {code}");
}

fn check_error(error: HandshakeError, what: &str) {
    if let HandshakeError::Decode(error) = error {
        assert!(!error.field.is_empty() && !error.message.is_empty(), "{what}");
        assert!(error.offset <= 8370 + 16, "{what}: {error}");
    }
    assert!(!matches!(error, HandshakeError::Misuse(_)), "{what}: {error}");
    assert!(error.to_string().len() < 200);
}

fn announcement() -> Announcement {
    let capabilities = Capabilities::spice_server(ChannelType::MAIN);
    Announcement {
        public_key: key().public(),
        capabilities,
    }
}

fn serve(input: &[u8]) -> Run {
    let mut machine = ServerLink::new(NOW, Limits::default());
    let mut buffers = Buffers {
        rx: BytesMut::from(input),
        tx: BytesMut::new(),
    };
    for _ in 0..STEPS {
        match machine.step(NOW, &mut buffers) {
            Ok(Action::Receive { at_least }) => {
                assert!(0 < at_least && at_least + buffers.rx.len() <= machine.max_input());
                let error = machine.eof().unwrap_err();
                return Run {
                    error: Some(error),
                    told: buffers.tx.to_vec(),
                };
            }
            Ok(Action::Ask(ServerQuestion::Link(_))) => machine.announce(&mut buffers, announcement()).unwrap(),
            Ok(Action::Ask(ServerQuestion::Ticket { .. })) => machine.accept(&mut buffers).unwrap(),
            Ok(Action::Ask(question)) => panic!("SASL was not announced: {question:?}"),
            Ok(Action::Waiting) => panic!("nothing is open"),
            Ok(Action::Done(_)) => {
                return Run {
                    error: None,
                    told: buffers.tx.to_vec(),
                };
            }
            Err(error) => {
                return Run {
                    error: Some(error),
                    told: buffers.tx.to_vec(),
                };
            }
        }
    }
    panic!("the server does not end");
}

fn connect(asked: &LinkMess, input: &[u8]) -> Run {
    let mut machine = ClientLink::new(NOW, ClientConfig::new(asked.clone()), Secret::new(b"ticket"), [1; 20]);
    let mut buffers = Buffers {
        rx: BytesMut::from(input),
        tx: BytesMut::new(),
    };
    // All input is there, so one step takes it.
    let error = match machine.step(NOW, &mut buffers) {
        Ok(Action::Receive { at_least }) => {
            assert!(0 < at_least && at_least + buffers.rx.len() <= machine.max_input());
            machine.eof().err()
        }
        Ok(Action::Ask(question)) => panic!("SASL was not announced: {question:?}"),
        Ok(Action::Waiting) => panic!("a client never waits"),
        Ok(Action::Done(_)) => None,
        Err(error) => Some(error),
    };
    Run {
        error,
        told: buffers.tx.to_vec(),
    }
}

/// Gives what the tenant was told; what the hypervisor was told is checked here.
fn relay(tenant: &[u8], hypervisor: &[u8]) -> Run {
    let mut machine = RelayLink::new(NOW, RelayConfig::default());
    let mut sides = SideBuffers::default();
    sides.tenant.rx.extend_from_slice(tenant);
    sides.hypervisor.rx.extend_from_slice(hypervisor);
    let mut side = Side::Tenant;
    for _ in 0..STEPS {
        match machine.step(NOW, &mut sides) {
            Ok(RelayAction::Receive { side, at_least }) => {
                assert!(0 < at_least && at_least + sides.side(side).rx.len() <= machine.max_input(side));
                let error = machine.eof(&mut sides, side).unwrap_err();
                return Run {
                    error: Some(error.error),
                    told: sides.tenant.tx.to_vec(),
                };
            }
            Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Link(_)))) => {
                machine.tenant().announce(&mut sides.tenant, announcement()).unwrap()
            }
            Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Ticket { .. }))) => {
                assert!(
                    sides.hypervisor.tx.is_empty(),
                    "the hypervisor is not called before the token is known"
                );
                let upstream = Upstream {
                    ticket: Secret::new(b"ticket"),
                    oaep_seed: [1; 20],
                };
                machine.admit(&mut sides, upstream).unwrap();
                side = Side::Hypervisor;
            }
            // There is no other port.
            Ok(RelayAction::Ask(relay::RelayQuestion::Redial(_))) => {
                machine.refuse(&mut sides, Refusal::Code(LinkErrorCode::ERROR)).unwrap();
                side = Side::Tenant;
            }
            Ok(RelayAction::Ask(question)) => panic!("SASL was not announced: {question:?}"),
            Ok(RelayAction::Waiting) => panic!("nothing is open"),
            Ok(RelayAction::Done(_)) => {
                return Run {
                    error: None,
                    told: sides.tenant.tx.to_vec(),
                };
            }
            Err(error) => {
                assert_eq!(error.side, side, "{error}");
                return Run {
                    error: Some(error.error),
                    told: sides.tenant.tx.to_vec(),
                };
            }
        }
    }
    panic!("the relay does not end");
}

/// Runs one input and holds it against the rules. Gives whether the link stood.
fn judge(what: &str, shown: &[u8], run: impl FnOnce() -> Run) -> bool {
    let mut ended = None;
    let allocated = allocation_counter::measure(|| ended = Some(run()));
    let run = ended.unwrap();
    assert!(
        allocated.bytes_max <= ALLOCATED,
        "{what}: {} bytes",
        allocated.bytes_max
    );
    if let Some(error) = run.error {
        check_error(error, what);
    }
    check_told(&run.told, shown, what);
    run.error.is_none()
}

#[test]
fn hostile_clients() {
    let shown = shown();
    let (mut rows, mut sum) = (Rows::new(), [0, 0]);
    let all = handshakes(&recordings::all());
    for (n, Handshake { name, c2s, .. }) in all.iter().enumerate() {
        let random = RANDOM_MUTATIONS.div_ceil(all.len());
        let row = rows.row(name, || {
            tries(c2s, n == 0, random, |what, bytes| judge(what, &shown, || serve(bytes)))
        });
        add(&mut sum, row);
    }
    println!("{} hostile clients at the server, {} links stood", sum[0], sum[1]);
    rows.end();
}

/// The link reply that the machines here give.
fn shown() -> Vec<u8> {
    let mut shown = BytesMut::new();
    let Announcement {
        public_key,
        capabilities,
    } = announcement();
    LinkReply {
        error: LinkErrorCode::OK,
        pub_key: *public_key.as_der(),
        capabilities,
    }
    .encode(&mut shown)
    .unwrap();
    shown.to_vec()
}

#[test]
fn hostile_servers() {
    let asked = request(ChannelType::MAIN, 9, 0xf);
    let mut own = BytesMut::new();
    asked.encode(&mut own).unwrap();
    let (mut rows, mut sum) = (Rows::new(), [0, 0]);
    let mut all = handshakes(&recordings::all());
    all.retain(|handshake| !handshake.s2c.is_empty());
    for (n, Handshake { name, s2c, .. }) in all.iter().enumerate() {
        let random = RANDOM_MUTATIONS.div_ceil(all.len());
        let judged = |what: &str, bytes: &[u8]| {
            let mut told = Vec::new();
            let ok = judge(what, &[], || {
                let mut run = connect(&asked, bytes);
                told = core::mem::take(&mut run.told);
                run
            });
            // A server is sent the link message and a ticket, or the former alone.
            let ticket = told.strip_prefix(&own[..]).expect("the link message").len();
            assert!([0, 128, 132].contains(&ticket), "{what}: {ticket} bytes");
            ok
        };
        let row = rows.row(name, || tries(s2c, n == 0, random, judged));
        add(&mut sum, row);
    }
    println!("{} hostile servers at the client, {} links stood", sum[0], sum[1]);
    rows.end();
}

#[test]
fn hostile_tenants_and_hypervisors() {
    let shown = shown();
    let (mut rows, mut sum) = (Rows::new(), [0, 0]);
    let mut whole = handshakes(&recordings::all());
    whole.retain(|handshake| {
        174 <= handshake.c2s.len() && handshake.s2c.ends_with(&[0; 4]) && handshake.s2c.len() < 300
    });
    for (n, Handshake { name, c2s, s2c }) in whole.iter().enumerate() {
        let random = RANDOM_MUTATIONS.div_ceil(whole.len());
        let row = rows.row(name, || {
            let tenants = tries(c2s, false, random, |what, bytes| {
                judge(what, &shown, || relay(bytes, s2c))
            });
            let hypervisors = tries(s2c, n == 0, random, |what, bytes| {
                judge(what, &shown, || relay(c2s, bytes))
            });
            [tenants[0] + hypervisors[0], tenants[1] + hypervisors[1]]
        });
        add(&mut sum, row);
    }
    println!(
        "{} hostile tenants and hypervisors at the relay, {} links stood",
        sum[0], sum[1]
    );
    rows.end();
}

/// A refusal that the caller gives is all that a client hears, whatever the reason was.
#[test]
fn a_refusal_says_its_code_and_nothing_else() {
    let mut rows = Rows::new();
    for Handshake { name, c2s, .. } in handshakes(&recordings::all()) {
        rows.row(&name, || refuse(&c2s));
    }
    rows.end();
}

fn refuse(c2s: &[u8]) {
    let mut machine = ServerLink::new(NOW, Limits::default());
    let mut buffers = Buffers {
        rx: BytesMut::from(c2s),
        tx: BytesMut::new(),
    };
    let Ok(Action::Ask(ServerQuestion::Link(_))) = machine.step(NOW, &mut buffers) else {
        return;
    };
    machine.announce(&mut buffers, announcement()).unwrap();
    let shown = buffers.tx.split();
    let Ok(Action::Ask(ServerQuestion::Ticket { .. })) = machine.step(NOW, &mut buffers) else {
        return;
    };
    machine
        .refuse(&mut buffers, Refusal::Code(LinkErrorCode::PERMISSION_DENIED))
        .unwrap();
    assert_eq!((&buffers.tx[..], shown.len()), (&[7, 0, 0, 0][..], self::shown().len()));
    assert!(machine.step(NOW, &mut buffers).is_err());
}

#[test]
fn hostile_messages() {
    let (mut rows, mut runs) = (Rows::new(), 0);
    // Of each channel, number and size a few: the recordings repeat themselves.
    let mut known = BTreeSet::new();
    for connection in recordings::all() {
        let Some(data) = connection.data() else { continue };
        let kind = data.linked.request.channel_type;
        let split = frame::FrameReader::new(data.linked.form, &Limits::default());
        let mut frames = Vec::new();
        for (s2c, bytes) in [(true, data.s2c), (false, data.c2s)] {
            frames.extend(split.frames(bytes).map(|frame| (s2c, frame)).filter(|(s2c, frame)| {
                frame.body.len() < 1000 && known.insert((kind, *s2c, frame.header.number, frame.body.len()))
            }));
        }
        if !frames.is_empty() {
            let row = rows.row(&connection.name, || {
                frames.iter().map(|(s2c, frame)| change(kind, *s2c, frame)).sum()
            });
            runs += row.unwrap_or(0);
        }
    }
    println!("{runs} hostile messages");
    rows.end();
}

/// Judges a frame with every change of its body; gives how many there were.
fn change(kind: ChannelType, s2c: bool, frame: &frame::FrameRef<'_>) -> usize {
    let (number, mut runs) = (frame.header.number, 0);
    changed(frame.body, frame.body.len() < 100, 1000, |what, body| {
        runs += 1;
        let header = frame.header;
        let frame = frame::FrameRef { header, body }.to_frame();
        let allocated = allocation_counter::measure(|| judge_frame(kind, s2c, &frame));
        let bound = 16 * body.len() as u64 + 1024;
        assert!(
            allocated.bytes_max <= bound,
            "{what} of {kind} {number}: {} bytes",
            allocated.bytes_max
        );
    });
    runs
}

fn judge_frame(kind: ChannelType, s2c: bool, frame: &frame::Frame) {
    macro_rules! judge {
        ($($kind:pat => $server:ty, $client:ty;)*) => {
            match (kind, s2c) {
                $(($kind, true) => judge_message(<$server>::decode(frame), frame.body.len()),
                ($kind, false) => judge_message(<$client>::decode(frame), frame.body.len()),)*
            }
        };
    }
    use channel::{common, cursor, display, inputs, main, playback, port, record, smartcard, vmc};
    judge! {
        ChannelType::MAIN => main::ServerMessage, main::ClientMessage;
        ChannelType::DISPLAY => display::ServerMessage, display::ClientMessage;
        ChannelType::INPUTS => inputs::ServerMessage, inputs::ClientMessage;
        ChannelType::CURSOR => cursor::ServerMessage, common::ClientMessage;
        ChannelType::PLAYBACK => playback::ServerMessage, common::ClientMessage;
        ChannelType::RECORD => record::ServerMessage, record::ClientMessage;
        ChannelType::SMARTCARD => smartcard::ServerMessage, smartcard::ClientMessage;
        ChannelType::USBREDIR => vmc::ServerMessage, vmc::ClientMessage;
        _ => port::ServerMessage, port::ClientMessage;
    }
}

/// What decodes encodes, to something that decodes to the same.
fn judge_message<M>(decoded: Result<M, spice_proto::DecodeError>, len: usize)
where
    M: frame::Body + PartialEq + core::fmt::Debug + Redecode,
{
    match decoded {
        Err(error) => assert!(error.offset <= len, "{error}"),
        Ok(message) => {
            let mut again = BytesMut::new();
            message.encode(&mut again).unwrap();
            assert_eq!(again.len(), message.encoded_len());
            let header = frame::Header {
                serial: 0,
                number: message.number(),
                size: again.len() as u32,
                sub_list: 0,
            };
            let back = M::redecode(&frame::Frame {
                header,
                body: again.freeze(),
            });
            assert!(message.same(&back));
        }
    }
}

trait Redecode: Sized + PartialEq {
    fn redecode(frame: &frame::Frame) -> Self;
    /// Messages without a layout keep their header, which differs in the serial.
    fn same(&self, other: &Self) -> bool;
}

macro_rules! redecode {
    ($($ty:ty),*) => {$(
        impl Redecode for $ty {
            fn redecode(frame: &frame::Frame) -> Self { Self::decode(frame).unwrap() }
            fn same(&self, other: &Self) -> bool { self == other || self.is_unknown() }
        }
    )*};
}

redecode!(
    channel::common::ClientMessage,
    channel::main::ServerMessage,
    channel::main::ClientMessage
);
redecode!(
    channel::display::ServerMessage,
    channel::display::ClientMessage,
    channel::cursor::ServerMessage
);
redecode!(
    channel::inputs::ServerMessage,
    channel::inputs::ClientMessage,
    channel::playback::ServerMessage
);
redecode!(channel::record::ServerMessage, channel::record::ClientMessage);
redecode!(channel::smartcard::ServerMessage, channel::smartcard::ClientMessage);
redecode!(channel::vmc::ServerMessage, channel::vmc::ClientMessage);
redecode!(channel::port::ServerMessage, channel::port::ClientMessage);
