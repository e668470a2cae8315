//! Parts of a handshake that few peers have: layers of SASL, lists inside TLS, and the largest messages.

use rfb_proto::handshake::client::ClientQuestion;
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{
    Action, Buffers, ClientConfig, ClientHandshake, Event, HandshakeError, Machine, Refusal, Rejected, Rejection,
    RejectionReason, Security, ServerConfig, ServerHandshake, Stage,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::{Limits, PixelFormat, ServerInit};

use crate::play::NOW;

/// A machine driven by hand.
struct Driven<M> {
    machine: M,
    buffers: Buffers,
}

impl<M: Machine> Driven<M> {
    fn new(machine: M) -> Self {
        let buffers = Buffers::default();
        Self { machine, buffers }
    }

    /// What it does next, when it has read this.
    fn reads(&mut self, bytes: &[u8]) -> Action<M::Question, M::Outcome> {
        self.buffers.rx.extend_from_slice(bytes);
        self.machine.step(NOW, &mut self.buffers).unwrap()
    }

    fn sent(&mut self) -> Vec<u8> {
        self.buffers.tx.split().into()
    }
}

fn client(config: ClientConfig) -> Driven<ClientHandshake> {
    Driven::new(ClientHandshake::new(NOW, config))
}

/// The layer begins behind the SecurityResult: ClientInit is the first byte inside of it.
#[test]
fn a_client_with_a_layer_of_sasl() {
    for layer in [false, true] {
        let mut client = client(ClientConfig::new(&[SecurityType::SASL]));
        client.reads(b"RFB 003.008\n\x01\x14\0\0\0\x06GSSAPI");
        client
            .machine
            .sasl_start(&mut client.buffers, b"GSSAPI", Some(b"token"))
            .unwrap();
        let asked = client.reads(b"\0\0\0\0\x01");
        let (data, complete) = (None, true);
        assert_eq!(asked, Action::Ask(ClientQuestion::SaslStep { data, complete }));
        client.machine.sasl_end(layer).unwrap();
        client.sent();
        let action = client.reads(b"\0\0\0\0");
        if layer {
            assert_eq!(action, Action::Ask(ClientQuestion::SaslLayer));
            assert_eq!(client.sent(), b"");
            client.machine.layered().unwrap();
            client.reads(b"");
        }
        assert_eq!(client.sent(), [1]);
        let init = ServerInit {
            width: 1,
            height: 1,
            format: PixelFormat::RGB888,
            name: Default::default(),
        };
        let mut bytes = bytes::BytesMut::new();
        init.encode(&mut bytes).unwrap();
        let Action::Done(outcome) = client.reads(&bytes) else {
            panic!();
        };
        assert_eq!((outcome.sasl_layer, outcome.init), (layer, Some(init)));
    }
}

/// A server that has heard all of the mechanism asks whether its user is let in, and says that it is one of SASL.
#[test]
fn a_server_asks_about_a_user_of_sasl() {
    let config = ServerConfig::new(&[SecurityType::SASL]).with_sasl_mechanisms(b"PLAIN");
    let mut server = Driven::new(ServerHandshake::new(NOW, config));
    server.reads(b"");
    server.reads(b"RFB 003.008\n\x14");
    let asked = server.reads(b"\0\0\0\x05PLAIN\0\0\0\0");
    assert!(
        matches!(asked, Action::Ask(ServerQuestion::SaslStart { .. })),
        "{asked:?}"
    );
    server.machine.sasl_complete(&mut server.buffers, None, false).unwrap();
    let asked = server.reads(b"");
    assert_eq!(asked, Action::Ask(ServerQuestion::Admit(ClientCredentials::Sasl)));
}

/// The same with a layer: what the server reads is ClientInit, inside of it.
#[test]
fn a_server_with_a_layer_of_sasl() {
    let config = ServerConfig::new(&[SecurityType::SASL]).with_sasl_mechanisms(b"GSSAPI");
    let mut server = Driven::new(ServerHandshake::new(NOW, config));
    server.reads(b"");
    server.reads(b"RFB 003.008\n\x14");
    server.reads(b"\0\0\0\x06GSSAPI\0\0\0\0");
    server.machine.sasl_complete(&mut server.buffers, None, true).unwrap();
    server.reads(b"");
    server.machine.accept(&mut server.buffers).unwrap();
    assert_eq!(server.reads(b""), Action::Ask(ServerQuestion::SaslLayer));
    server.machine.layered().unwrap();
    let asked = server.reads(b"\x01");
    assert!(matches!(asked, Action::Ask(ServerQuestion::Init(_))), "{asked:?}");
}

/// A server offers what it can follow to its end with what is configured, on every level, and nothing else may be chosen.
#[test]
fn a_server_offers_what_it_can_follow() {
    let hears = |config: ServerConfig| {
        let mut server = Driven::new(ServerHandshake::new(NOW, config));
        server.reads(b"");
        server.sent();
        server.reads(b"RFB 003.008\n");
        (server.sent(), server)
    };
    // Without mechanisms there is no SASL, and nothing of Tight, TLS or VeNCrypt stands in another list.
    let inner = [SecurityType::SASL, SecurityType::TLS, SecurityType::VENCRYPT];
    for of in inner.map(|inner| [inner]).iter().map(|of| &of[..]).chain([&inner[..]]) {
        assert_eq!(hears(ServerConfig::new(of)).0, [0], "{of:?}");
        for outer in [SecurityType::TLS, SecurityType::TIGHT] {
            let config = ServerConfig::new(&[outer, SecurityType::VNC])
                .with_tls_types(of)
                .with_tight_types(of);
            assert_eq!(hears(config).0, [1, 2], "{outer:?} with {of:?}");
        }
    }
    // As many as the count can tell of.
    for (types, offered) in [(255, 255), (256, 255)] {
        let config = ServerConfig::new(&vec![SecurityType::VNC; types]);
        assert_eq!(hears(config).0, [&[offered][..], &[2; 255]].concat());
    }
    let mixed = [&inner[..], &[SecurityType::VNC]].concat();
    let config = || {
        ServerConfig::new(&[SecurityType::TLS, SecurityType::TIGHT])
            .with_subtypes(&[Subtype::X509_NONE])
            .with_tls_types(&mixed)
            .with_tight_types(&mixed)
    };
    let (offered, mut tls) = hears(config());
    assert_eq!(offered, [2, 18, 16]);
    let action = tls.reads(&[18]);
    assert!(matches!(action, Action::StartTls(_)), "{action:?}");
    tls.reads(b"");
    assert_eq!(tls.sent(), [1, 2]);
    tls.buffers.rx.extend_from_slice(&[19]);
    let error = tls.machine.step(NOW, &mut tls.buffers).unwrap_err();
    assert_eq!(
        error.to_string(),
        "peer misbehaved: security type VeNCrypt (19) was not offered"
    );
    let (_, mut tight) = hears(config());
    tight.reads(&[16]);
    // No tunnels; VeNCrypt, as Tight knows it, and VNC authentication.
    let sent = tight.sent();
    assert_eq!(sent[..8], [0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!((&sent[8..12], &sent[24..28]), (&[0, 0, 0, 19][..], &[0, 0, 0, 2][..]));
}

/// After type None there is no SecurityResult in 3.7, so a refusal is the end of the stream.
#[test]
fn nothing_is_sent_to_a_client_without_a_result() {
    for (line, sent) in [
        (b"RFB 003.007\n", &b""[..]),
        (b"RFB 003.008\n", b"\0\0\0\x01\0\0\0\x15Authentication failed"),
    ] {
        let mut server = Driven::new(ServerHandshake::new(NOW, ServerConfig::new(&[SecurityType::NONE])));
        server.reads(b"");
        server.reads(line);
        let asked = server.reads(&[1]);
        assert_eq!(asked, Action::Ask(ServerQuestion::Admit(ClientCredentials::None)));
        server.sent();
        server.machine.refuse(&mut server.buffers, Refusal::default()).unwrap();
        assert_eq!(server.sent(), sent);
    }
}

/// Inside TLS a client takes what is offered there and what it can answer, in its own order.
#[test]
fn the_list_inside_tls() {
    let types = [SecurityType::VENCRYPT, SecurityType::VNC, SecurityType::NONE];
    for (offered, chosen) in [(&b"\x02\x01\x02"[..], 2), (b"\x01\x01", 1), (b"\x02\x13\x01", 1)] {
        let mut client = client(ClientConfig::new(&[SecurityType::TLS]).with_tls_types(&types));
        let action = client.reads(b"RFB 003.008\n\x01\x12");
        assert!(matches!(action, Action::StartTls(_)), "{action:?}");
        client.sent();
        client.reads(offered);
        assert_eq!(client.sent(), [chosen]);
    }
}

/// A server that hangs up in place of a result has refused what it was shown, if it was shown anything.
#[test]
fn a_server_that_hangs_up_in_place_of_a_result() {
    let mut client = client(ClientConfig::new(&[SecurityType::NONE]));
    client.reads(b"RFB 003.008\n\x01\x01");
    assert_eq!(client.machine.eof(), Err(HandshakeError::Closed(Stage::SecurityResult)));
    let mut client = self::client(ClientConfig::new(&[SecurityType::VNC]));
    client.reads(b"RFB 003.008\n\x01\x02sixteen bytes...");
    client.machine.respond(&mut client.buffers, [0; 16]).unwrap();
    client.reads(b"");
    let (of, reason) = (Rejected::Authentication, RejectionReason::Nothing);
    assert_eq!(
        client.machine.eof(),
        Err(HandshakeError::Rejected(Rejection { of, reason }))
    );
}

/// A buffer of the size that a client names holds the longest list of subtypes, and the capabilities behind a ServerInit.
#[test]
fn the_largest_messages_fit_in() {
    let limits = |capabilities| {
        Limits::default()
            .with_reason(0)
            .with_name(0)
            .with_sasl_mechanisms(0)
            .with_sasl_data(0)
            .with_rsa_key(0)
            .with_diffie_hellman(0)
            .with_tight_capabilities(capabilities)
    };
    let fits = |mut client: Driven<ClientHandshake>, head: &[u8], more: usize| {
        let Action::Receive { at_least } = client.reads(head) else {
            panic!();
        };
        assert_eq!(at_least, more);
        let needed = client.buffers.rx.len() + more;
        assert!(needed <= client.machine.max_input(), "{needed}");
    };
    let mut subtypes = client(ClientConfig::new(&[SecurityType::VENCRYPT]).with_limits(limits(0)));
    subtypes.reads(b"RFB 003.008\n\x01\x13\0\x02\0");
    fits(subtypes, &[255], 255 * 4);
    let config = ClientConfig::new(&[SecurityType::TIGHT])
        .with_tight_types(&[SecurityType::NONE])
        .with_limits(limits(200));
    let mut capabilities = client(config);
    // No tunnels, None without a choice, the result and a ServerInit without a name.
    capabilities.reads(b"RFB 003.008\n\x01\x10\0\0\0\0\0\0\0\0\0\0\0\0");
    capabilities.reads(&[0; 24]);
    fits(capabilities, b"\0\xc8\0\xc8\0\xc8\0\0", 3 * 200 * 16);
}

/// An event says what was so when it happened, however late it is fetched.
#[test]
fn events_that_are_fetched_late() {
    let config = ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]);
    let mut server = Driven::new(ServerHandshake::new(NOW, config));
    server.reads(b"");
    server.reads(b"RFB 003.008\n\x13");
    server.reads(b"\0\x02");
    let action = server.reads(b"\0\0\x01\x04");
    assert!(matches!(action, Action::StartTls(_)), "{action:?}");
    let action = server.reads(b"");
    assert!(matches!(action, Action::Ask(_)), "{action:?}");
    let chosen: Vec<Security> = core::iter::from_fn(|| server.machine.poll_event())
        .filter_map(|event| match event {
            Event::Chosen(security) => Some(security),
            _ => None,
        })
        .collect();
    let [outer, inner] = chosen[..] else {
        panic!("{chosen:?}");
    };
    assert_eq!((outer.subtype, outer.tls), (None, None));
    assert_eq!((inner.subtype, inner.tls), (Some(Subtype::X509_NONE), None));
    server.machine.accept(&mut server.buffers).unwrap();
    assert_eq!(server.machine.poll_event(), Some(Event::Authenticated));
}
