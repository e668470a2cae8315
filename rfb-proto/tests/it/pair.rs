//! A client and a server in memory.

use rfb_proto::handshake::{ClientConfig, ClientHandshake, ServerConfig, ServerHandshake, TlsRole};
use rfb_proto::security::SecurityType;
use rfb_proto::security::tight::{Capability, InteractionCapabilities};
use rfb_proto::security::vencrypt::Subtype;

use crate::play::{Answers, NOW, Now, Player, Role, server_init};

/// The greeting and the answer to it, or anything else in front of a type.
pub(crate) const V38: &[u8] = b"RFB 003.008\n";
pub(crate) const V33: &[u8] = b"RFB 003.003\n";

pub(crate) fn server(config: ServerConfig) -> Player {
    let answers = Answers {
        user: b"user".to_vec(),
        password: Some(b"secret".to_vec()),
        challenge: [9; 16],
        server_init: Some(server_init()),
        ..Answers::default()
    };
    Player::new(Role::Server(Box::new(ServerHandshake::new(NOW, config))), answers)
}

pub(crate) fn client_with(config: ClientConfig, password: &[u8]) -> Player {
    let answers = Answers {
        user: b"user".to_vec(),
        password: Some(password.to_vec()),
        ..Answers::default()
    };
    Player::new(Role::Client(Box::new(ClientHandshake::new(NOW, config))), answers)
}

pub(crate) fn client(config: ClientConfig) -> Player {
    client_with(config, b"secret")
}

/// A client that takes everything, `first` first.
pub(crate) fn anything(first: SecurityType, subtype: Subtype, inner: SecurityType) -> ClientConfig {
    ClientConfig::new(&[first])
        .with_subtypes(&[subtype])
        .with_tight_types(&[inner])
        .with_tls_types(&[inner])
        .with_cleartext(true)
}

/// A server that has everything.
pub(crate) fn everything() -> ServerConfig {
    let types = [2, 16, 18, 19, 20, 1].map(SecurityType);
    let subtypes: Vec<_> = (256..=267).chain([1, 2, 20]).map(Subtype).collect();
    let inside = [SecurityType::NONE, SecurityType::VNC, SecurityType::SASL];
    let interaction = InteractionCapabilities {
        encodings: vec![Capability::EXTERNAL],
        ..InteractionCapabilities::default()
    };
    ServerConfig::new(&types)
        .with_subtypes(&subtypes)
        .with_tight_types(&[1, 2, 19, 20].map(SecurityType))
        .with_tight_interaction(interaction)
        .with_tls_types(&inside)
        .with_sasl_mechanisms(b"EXTERNAL,PLAIN")
}

/// Carries bytes between the two in chunks until nothing moves; TLS is a pause for both.
pub(crate) fn connect(server: &mut Player, client: &mut Player, chunk: usize) {
    let (mut up, mut down) = (0, 0);
    loop {
        if let (Now::Tls(ours), Now::Tls(theirs)) = (&server.now, &client.now) {
            assert_eq!((ours.role, theirs.role), (TlsRole::Server, TlsRole::Client));
            assert_eq!(ours.kind, theirs.kind);
            assert_eq!((server.tls_is_up(), client.tls_is_up()), (vec![], vec![]));
        }
        let to_client = server.sent.len().min(down + chunk);
        let bytes = server.sent[down..to_client].to_vec();
        client.feed(&bytes);
        let to_server = client.sent.len().min(up + chunk);
        let bytes = client.sent[up..to_server].to_vec();
        server.feed(&bytes);
        let moved = (to_client, to_server) != (down, up);
        (down, up) = (to_client, to_server);
        if !moved && !matches!(server.now, Now::Tls(_)) {
            return;
        }
    }
}
