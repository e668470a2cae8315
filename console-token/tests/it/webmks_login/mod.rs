//! The log-in at authd, against a peer that is written here from the description of the exchange.

mod secrets;

use core::time::Duration;

use console_token::Secret;
use console_token::webmks::{
    Action, Buffers, Login, LoginConfig, LoginError, Misbehaviour, Misuse, MksTicket, ReplyError, Stage, Thumbprint,
    TlsLayer,
};
use expect_test::expect;
use proptest::prelude::*;

const TICKET: &str = "52b5ae81-8d36-1a2f-0c3b-3d2a4c1e0f9d";
const CFG_FILE: &str = "/vmfs/volumes/5b/a b.vmx";
const LOGIN_CERTIFICATE: &[u8] = b"certificate";
const CONSOLE_CERTIFICATE: &[u8] = b"console certificate";
/// `base64.b64encode(bytes(range(12)))`.
const RANDOM: &str = "AAECAwQFBgcICQoL";
const START: Duration = Duration::from_secs(100);
const END: Duration = Duration::from_secs(110);

const GREETING: &str = "220 VMware Authentication Daemon Version 1.10: SSL Required, NFCSSL supported/t";

fn login_with(config: LoginConfig) -> Login {
    let ticket = Secret::presented(TICKET.as_bytes()).unwrap();
    let ticket = MksTicket::new(ticket, CFG_FILE, Thumbprint::of(LOGIN_CERTIFICATE)).unwrap();
    Login::new(START, config, ticket, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
}

fn login() -> Login {
    login_with(LoginConfig::default())
}

/// authd, or what stands in its place: what it says in the beginning and to each command.
struct Peer {
    replies: [String; 5],
    login_certificate: Vec<u8>,
    console_certificate: Vec<u8>,
    /// Replies that were sent.
    replied: usize,
    /// What came, by layer: bare, log-in, console.
    received: [Vec<u8>; 3],
    layer: usize,
    /// What has not been delivered.
    to_send: Vec<u8>,
}

impl Peer {
    fn new() -> Self {
        let named = format!("200 {:#}", Thumbprint::of(CONSOLE_CERTIFICATE));
        let replies = [
            GREETING,
            "331 Password required",
            "230 User logged in.",
            &named,
            "200 Connect mks",
        ];
        Self {
            replies: replies.map(|reply| format!("{reply}\r\n")),
            login_certificate: LOGIN_CERTIFICATE.into(),
            console_certificate: CONSOLE_CERTIFICATE.into(),
            replied: 0,
            received: Default::default(),
            layer: 0,
            to_send: Vec::new(),
        }
    }

    fn with_reply(mut self, index: usize, reply: impl Into<String>) -> Self {
        self.replies[index] = reply.into();
        self
    }

    /// One reply in the beginning, then one for each whole line inside of the first TLS.
    fn take(&mut self, bytes: &[u8]) {
        self.received[self.layer].extend_from_slice(bytes);
        let lines = self.received[1].iter().filter(|byte| **byte == b'\n').count();
        while self.layer < 2 && self.replied <= lines && self.replied < self.replies.len() {
            self.to_send.extend_from_slice(self.replies[self.replied].as_bytes());
            self.replied += 1;
        }
    }

    fn start_tls(&mut self, layer: TlsLayer) -> Vec<u8> {
        self.layer += 1;
        assert_eq!(layer, [TlsLayer::Login, TlsLayer::Console][self.layer - 1]);
        match layer {
            TlsLayer::Login => self.login_certificate.clone(),
            TlsLayer::Console => self.console_certificate.clone(),
        }
    }

    fn received(&self) -> [&str; 3] {
        [0, 1, 2].map(|layer| core::str::from_utf8(&self.received[layer]).unwrap())
    }
}

/// Lets both talk, with what the peer sends cut into pieces of these sizes, over and over.
fn talk(login: &mut Login, peer: &mut Peer, cuts: &[usize]) -> Result<Thumbprint, LoginError> {
    let mut buffers = Buffers::default();
    let mut cuts = cuts.iter().copied().cycle();
    // Bytes that the machine said were missing, at least.
    let mut missing = 0;
    loop {
        let stepped = login.step(START, &mut buffers);
        let sent = buffers.tx.split();
        peer.take(&sent);
        match stepped {
            Ok(Action::Receive { at_least }) => {
                assert!(0 < at_least && buffers.rx.len() < login.max_input());
                assert!(missing <= at_least, "it went on before what it had said was there");
                let cut = cuts.next().unwrap().clamp(1, peer.to_send.len().max(1));
                missing = at_least.saturating_sub(cut);
                if peer.to_send.is_empty() {
                    return login.eof().map(|outcome| outcome.thumbprint);
                }
                buffers.rx.extend(peer.to_send.drain(..cut));
            }
            Ok(Action::StartTls(tls)) => {
                assert_eq!(missing, 0);
                assert!(buffers.rx.is_empty() && peer.to_send.is_empty());
                assert_eq!(login.step(START, &mut buffers), Ok(Action::Waiting));
                let certificate = peer.start_tls(tls.layer);
                login.secured(&mut buffers, &certificate)?;
            }
            Ok(Action::Waiting) => unreachable!("TLS was reported"),
            Ok(Action::Done(outcome)) => {
                assert_eq!(login.step(START, &mut buffers), Err(Misuse::Ended.into()));
                return Ok(outcome.thumbprint);
            }
            Err(error) => {
                // Terminal: the same again, and nothing more is said.
                assert_eq!(login.step(END, &mut buffers), Err(error));
                assert_eq!(login.eof(), Err(error));
                assert!(buffers.tx.is_empty());
                assert_eq!(login.stage(), Stage::Ended);
                return Err(error);
            }
        }
    }
}

fn fails(mut peer: Peer) -> (LoginError, Peer) {
    let mut results = [&[usize::MAX][..], &[1], &[3, 2]].map(|cuts| {
        let mut again = Peer::new();
        again.replies = peer.replies.clone();
        again.login_certificate = peer.login_certificate.clone();
        again.console_certificate = peer.console_certificate.clone();
        (talk(&mut login(), &mut again, cuts).unwrap_err(), again.received)
    });
    let (error, received) = core::mem::replace(&mut results[0], (Misuse::Ended.into(), Default::default()));
    assert_eq!((results[1].0, &results[1].1), (error, &received), "byte by byte");
    assert_eq!((results[2].0, &results[2].1), (error, &received), "in pieces");
    peer.received = received;
    (error, peer)
}

#[test]
fn logs_in() {
    for cuts in [&[usize::MAX][..], &[1], &[2], &[7, 1, 100]] {
        let mut peer = Peer::new();
        let thumbprint = talk(&mut login(), &mut peer, cuts);
        assert_eq!(thumbprint, Ok(Thumbprint::of(CONSOLE_CERTIFICATE)));
        let [bare, inside, console] = peer.received();
        assert_eq!(bare, "");
        assert_eq!(
            inside,
            format!("USER {TICKET}\r\nPASS {TICKET}\r\nTHUMBPRINT {RANDOM}\r\nCONNECT {CFG_FILE} mks\r\n")
        );
        assert_eq!(console, RANDOM);
    }
}

/// A code alone is a reply, and a thumbprint may be written in any of its forms.
#[test]
fn terse_replies() {
    for named in [
        Thumbprint::of(CONSOLE_CERTIFICATE).to_string(),
        format!(" {:#} ", Thumbprint::of(CONSOLE_CERTIFICATE)),
    ] {
        let mut peer = Peer::new()
            .with_reply(0, "220\r\n")
            .with_reply(1, "331\r\n")
            .with_reply(2, "230 \r\n")
            .with_reply(3, format!("200 {named}\r\n"))
            .with_reply(4, "200\r\n");
        assert!(talk(&mut login(), &mut peer, &[usize::MAX]).is_ok());
    }
}

const STAGES: [Stage; 5] = [
    Stage::Greeting,
    Stage::User,
    Stage::Password,
    Stage::Thumbprint,
    Stage::Connect,
];

#[test]
fn refused_at_each_stage() {
    for (index, stage) in STAGES.into_iter().enumerate() {
        for code in [0, 99, 199, 220, 230, 331, 421, 530, 999] {
            let peer = Peer::new().with_reply(index, format!("{code:03} no\r\n"));
            let expected = [220, 331, 230, 200, 200][index];
            if code == expected {
                continue;
            }
            let (error, peer) = fails(peer);
            assert_eq!(error, LoginError::Rejected { stage, code });
            let [bare, inside, console] = peer.received();
            assert_eq!((bare, console), ("", ""));
            // A command for each reply before it.
            assert_eq!(inside.lines().count(), index, "{inside}");
        }
    }
}

#[test]
fn what_is_no_reply() {
    for (index, stage) in STAGES.into_iter().enumerate() {
        let limit = LoginConfig::default().max_reply;
        for (reply, error) in [
            ("\r\n".to_owned(), ReplyError::Code),
            ("22\r\n".to_owned(), ReplyError::Code),
            ("2200\r\n".to_owned(), ReplyError::Code),
            ("220-more\r\n".to_owned(), ReplyError::Code),
            (" 220 ok\r\n".to_owned(), ReplyError::Code),
            ("+20 ok\r\n".to_owned(), ReplyError::Code),
            ("RFB 003.008\r\n".to_owned(), ReplyError::Code),
            ("é20\r\n".to_owned(), ReplyError::Code),
            ("\n".to_owned(), ReplyError::LineEnd),
            ("220 ok\n".to_owned(), ReplyError::LineEnd),
            ("x".repeat(limit), ReplyError::TooLong { limit }),
            (format!("{}\r\n", "x".repeat(limit - 1)), ReplyError::TooLong { limit }),
        ] {
            let (got, _) = fails(Peer::new().with_reply(index, reply.clone()));
            assert_eq!(got, LoginError::Decode { stage, error }, "{reply:.20}");
        }
    }
    for text in [
        "",
        " ",
        "ok",
        "73:5A",
        &"7".repeat(39),
        &"7".repeat(41),
        &"g".repeat(40),
    ] {
        let (error, peer) = fails(Peer::new().with_reply(3, format!("200 {text}\r\n")));
        let (stage, expected) = (Stage::Thumbprint, ReplyError::Thumbprint);
        assert_eq!(error, LoginError::Decode { stage, error: expected }, "{text}");
        assert!(!peer.received()[1].contains("CONNECT"));
    }
}

#[test]
fn the_longest_reply() {
    for limit in [5, 64, 1024] {
        let config = LoginConfig::default().with_max_reply(limit);
        let greeting = |len: usize| {
            format!(
                "220{}\r\n",
                if len == 5 {
                    String::new()
                } else {
                    format!(" {}", "x".repeat(len - 6))
                }
            )
        };
        let mut peer = Peer::new().with_reply(0, greeting(limit));
        let mut login = login_with(config);
        assert_eq!(login.max_input(), limit);
        match talk(&mut login, &mut peer, &[1]) {
            Err(LoginError::Decode { stage, .. }) => assert_ne!(stage, Stage::Greeting, "{limit}"),
            other => assert!(other.is_ok()),
        }
        let mut peer = Peer::new().with_reply(0, greeting(limit + 1 + usize::from(limit == 5)));
        assert_eq!(
            talk(&mut login_with(config), &mut peer, &[1]),
            Err(LoginError::Decode {
                stage: Stage::Greeting,
                error: ReplyError::TooLong { limit }
            })
        );
    }
    // Room for nothing: an error, and no step that waits for no bytes.
    let mut login = login_with(LoginConfig::default().with_max_reply(0));
    assert!(login.step(START, &mut Buffers::default()).is_err());
}

/// Nothing of the ticket goes to somebody else, nor the random text to another console.
#[test]
fn another_certificate() {
    for certificate in [&b""[..], b"another", CONSOLE_CERTIFICATE] {
        let mut peer = Peer::new();
        peer.login_certificate = certificate.into();
        let (error, peer) = fails(peer);
        let wrong = Misbehaviour::WrongCertificate(TlsLayer::Login);
        assert_eq!(error, LoginError::PeerMisbehaved(wrong));
        assert_eq!(peer.received(), [""; 3]);
    }
    for certificate in [&b""[..], b"another", LOGIN_CERTIFICATE] {
        let mut peer = Peer::new();
        peer.console_certificate = certificate.into();
        let (error, peer) = fails(peer);
        let wrong = Misbehaviour::WrongCertificate(TlsLayer::Console);
        assert_eq!(error, LoginError::PeerMisbehaved(wrong));
        assert_eq!(peer.received()[2], "");
    }
}

/// A wire with this in it.
fn received(rx: &[u8]) -> Buffers {
    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(rx);
    buffers
}

/// Puts a log-in where the reply to CONNECT is due.
fn at_connect() -> Login {
    let mut login = login();
    let named = format!("331\r\n230\r\n200 {}\r\n", Thumbprint::of(CONSOLE_CERTIFICATE));
    let mut buffers = received(b"220\r\n");
    assert!(matches!(login.step(START, &mut buffers), Ok(Action::StartTls(_))));
    login.secured(&mut buffers, LOGIN_CERTIFICATE).unwrap();
    buffers.rx.extend_from_slice(named.as_bytes());
    assert_eq!(login.step(START, &mut buffers), Ok(Action::Receive { at_least: 2 }));
    assert_eq!(login.stage(), Stage::Connect);
    login
}

/// What is sent behind the reply that TLS begins after would pass for what is said inside of it.
#[test]
fn injected_before_tls() {
    for more in ["x", "331 ok\r\n", "\x16\x03\x01"] {
        let mut before_login = login();
        let mut rx = received(format!("220\r\n{more}").as_bytes());
        let misbehaved = |layer| Err(LoginError::PeerMisbehaved(Misbehaviour::BytesBeforeTls(layer)));
        assert_eq!(before_login.step(START, &mut rx), misbehaved(TlsLayer::Login));
        assert!(rx.tx.is_empty());

        let mut before_console = at_connect();
        let mut rx = received(format!("200\r\n{more}").as_bytes());
        assert_eq!(before_console.step(START, &mut rx), misbehaved(TlsLayer::Console));
        assert!(rx.tx.is_empty());
    }
}

#[test]
fn bytes_of_the_console_stay() {
    let mut login = at_connect();
    let mut rx = received(b"200\r\n");
    assert!(matches!(login.step(START, &mut rx), Ok(Action::StartTls(_))));
    login.secured(&mut rx, CONSOLE_CERTIFICATE).unwrap();
    rx.rx.extend_from_slice(b"RFB 003.008\n");
    assert!(matches!(login.step(START, &mut rx), Ok(Action::Done(_))));
    assert_eq!((&rx.rx[..], &rx.tx[..]), (&b"RFB 003.008\n"[..], RANDOM.as_bytes()));
}

#[test]
fn misuse_changes_nothing() {
    let mut login = login();
    let mut buffers = Buffers::default();
    assert_eq!(
        login.secured(&mut buffers, LOGIN_CERTIFICATE),
        Err(Misuse::NotAsked.into())
    );
    buffers.rx.extend_from_slice(b"220\r\n");
    assert!(matches!(login.step(START, &mut buffers), Ok(Action::StartTls(_))));
    let mut with_bytes = received(b"331\r\n");
    assert_eq!(
        login.secured(&mut with_bytes, LOGIN_CERTIFICATE),
        Err(Misuse::BytesInWire.into())
    );
    assert_eq!(login.stage(), Stage::Tls(TlsLayer::Login));
    login.secured(&mut buffers, LOGIN_CERTIFICATE).unwrap();
    let sent = buffers.tx.split();
    assert_eq!(sent, format!("USER {TICKET}\r\n").as_bytes());
    assert_eq!(
        login.secured(&mut buffers, LOGIN_CERTIFICATE),
        Err(Misuse::NotAsked.into())
    );
    assert!(buffers.tx.is_empty());
    assert_eq!(login.stage(), Stage::User);
}

/// A log-in at each stage at which something is due.
fn at_each_stage() -> Vec<Login> {
    let mut logins = vec![login()];
    let mut here = login();
    let mut buffers = received(b"220\r\n");
    here.step(START, &mut buffers).unwrap();
    logins.push(here);
    for replies in ["", "331\r\n", "331\r\n230\r\n"] {
        let mut here = login();
        let mut buffers = received(b"220\r\n");
        here.step(START, &mut buffers).unwrap();
        here.secured(&mut buffers, LOGIN_CERTIFICATE).unwrap();
        buffers.rx.extend_from_slice(replies.as_bytes());
        here.step(START, &mut buffers).unwrap();
        logins.push(here);
    }
    logins.push(at_connect());
    let mut here = at_connect();
    here.step(START, &mut received(b"200\r\n")).unwrap();
    logins.push(here);
    let stages: Vec<Stage> = logins.iter().map(Login::stage).collect();
    assert_eq!(stages[1], Stage::Tls(TlsLayer::Login));
    assert_eq!(stages[6], Stage::Tls(TlsLayer::Console));
    assert_eq!([0, 2, 3, 4, 5].map(|index| stages[index]), STAGES);
    logins
}

#[test]
fn time_and_ends() {
    for mut login in at_each_stage() {
        let stage = login.stage();
        assert_eq!(login.deadline(), END);
        let before = END - Duration::from_nanos(1);
        assert!(login.step(before, &mut Buffers::default()).is_ok());
        assert_eq!(
            login.step(END, &mut received(b"220\r\n")),
            Err(LoginError::TimedOut(stage))
        );
        assert_eq!(
            login.step(START, &mut received(b"220\r\n")),
            Err(LoginError::TimedOut(stage))
        );
        assert_eq!(
            login.secured(&mut Buffers::default(), b""),
            Err(Misuse::NotAsked.into())
        );
    }
    for mut login in at_each_stage() {
        let stage = login.stage();
        assert_eq!(login.eof(), Err(LoginError::Closed(stage)));
        assert_eq!(
            login.step(START, &mut Buffers::default()),
            Err(LoginError::Closed(stage))
        );
    }
    let ticket = Secret::presented(b"t").unwrap();
    let ticket = MksTicket::new(ticket, "c", Thumbprint::of(b"")).unwrap();
    let config = LoginConfig::default().with_timeout(Duration::MAX);
    let mut login = Login::new(Duration::MAX, config, ticket, &[0; 12]);
    assert_eq!(login.deadline(), Duration::MAX);
    assert!(login.step(START, &mut Buffers::default()).is_ok());
}

#[test]
fn texts() {
    let (stage, code) = (Stage::Password, 530);
    let decode = |error| LoginError::Decode {
        stage: Stage::Connect,
        error,
    };
    let misbehaved = LoginError::PeerMisbehaved;
    let texts = [
        decode(ReplyError::TooLong { limit: 1024 }),
        decode(ReplyError::LineEnd),
        decode(ReplyError::Code),
        LoginError::Decode {
            stage: Stage::Thumbprint,
            error: ReplyError::Thumbprint,
        },
        misbehaved(Misbehaviour::BytesBeforeTls(TlsLayer::Login)),
        misbehaved(Misbehaviour::WrongCertificate(TlsLayer::Console)),
        LoginError::Rejected { stage, code },
        LoginError::TimedOut(Stage::Greeting),
        LoginError::Closed(Stage::Tls(TlsLayer::Login)),
        LoginError::Closed(Stage::User),
        LoginError::Closed(Stage::Ended),
        Misuse::NotAsked.into(),
        Misuse::BytesInWire.into(),
        Misuse::Ended.into(),
    ];
    expect![[r#"
        the reply to CONNECT: a line above the limit of 1024 bytes
        the reply to CONNECT: a line that does not end in CR LF
        the reply to CONNECT: no three-digit code
        the reply to THUMBPRINT: no thumbprint
        peer misbehaved: bytes in front of TLS for the log-in
        peer misbehaved: another certificate for the console
        rejected by authd in the reply to PASS: 530
        timed out waiting for the greeting
        closed by the peer while waiting for TLS for the log-in
        closed by the peer while waiting for the reply to USER
        closed by the peer while waiting for nothing
        TLS was not asked for
        bytes in rx while TLS starts
        the log-in has ended"#]]
    .assert_eq(&texts.map(|error| error.to_string()).join("\n"));
}

proptest! {
    #[test]
    fn any_chunking(cuts in proptest::collection::vec(1_usize..40, 1..20)) {
        let mut peer = Peer::new();
        prop_assert!(talk(&mut login(), &mut peer, &cuts).is_ok());
        let mut whole = Peer::new();
        talk(&mut login(), &mut whole, &[usize::MAX]).unwrap();
        prop_assert_eq!(peer.received, whole.received);
    }

    /// Whatever is sent, cut in any way: the same end, and no more than the log-in is said.
    #[test]
    fn any_replies(
        replies in proptest::collection::vec("(220|331|230|200|[0-9]{2,4}|x)?[ \\-]?\\PC{0,8}(\r\n|\n|\r)?", 5),
        kept in 0_usize..5,
        cuts in proptest::collection::vec(1_usize..12, 1..8),
    ) {
        let mut peers = [Peer::new(), Peer::new()];
        for peer in &mut peers {
            for (index, reply) in replies.iter().enumerate().skip(kept) {
                peer.replies[index] = reply.clone();
            }
        }
        let [whole, cut] = &mut peers;
        let result = talk(&mut login(), whole, &[usize::MAX]);
        prop_assert_eq!(talk(&mut login(), cut, &cuts), result);
        prop_assert_eq!(&whole.received, &cut.received);
        prop_assert!(whole.received.concat().len() < 200);
    }
}
