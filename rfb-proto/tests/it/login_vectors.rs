//! Log-ins that real programs made with this crate's machines on the other side, played again: the same keys and random
//! bytes have to give the same bytes, up to the end of the handshake.

use rfb_proto::handshake::{ClientConfig, ClientHandshake, ServerConfig, ServerHandshake};
use rfb_proto::security::SecurityType;
use toml::Table;

use crate::data::{hex, text};
use crate::play::{Answers, NOW, Now, Outcome, Player, Role, server_init};

/// One recorded log-in, as the bytes were on the connection.
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) is_server: bool,
    pub(crate) security_type: SecurityType,
    user: Vec<u8>,
    password: Vec<u8>,
    /// What the program sent, up to the end of the handshake.
    pub(crate) peer: Vec<u8>,
    /// What this crate's machine sent.
    own: Vec<u8>,
}

impl Login {
    fn read(name: String, table: &Table) -> Self {
        Self {
            name,
            is_server: text(table, "role") == "server",
            security_type: SecurityType(table["type"].as_integer().unwrap() as u8),
            user: text(table, "user").into(),
            password: text(table, "password").into(),
            peer: hex(text(table, "peer")),
            own: hex(text(table, "own")),
        }
    }

    /// The machine as it was when this was recorded.
    pub(crate) fn player(&self) -> Player {
        let role = match self.is_server {
            true => {
                let config = ServerConfig::new(&[self.security_type]).with_rsa_aes_user(!self.user.is_empty());
                Role::Server(Box::new(ServerHandshake::new(NOW, config)))
            }
            false => {
                let config = ClientConfig::new(&[self.security_type]);
                Role::Client(Box::new(ClientHandshake::new(NOW, config)))
            }
        };
        let answers = Answers {
            user: self.user.clone(),
            password: Some(self.password.clone()),
            server_init: Some(server_init()),
            ..Answers::default()
        };
        Player::new(role, answers)
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Login> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/logins");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let files = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "toml"));
    let logins: Vec<_> = files
        .map(|file| {
            let table: Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
            Login::read(file.file_stem().unwrap().to_string_lossy().into_owned(), &table)
        })
        .collect();
    assert!(!logins.is_empty(), "{folder} has no log-ins");
    logins
}

#[test]
fn recorded_log_ins_are_played_again() {
    let logins = all();
    for login in &logins {
        for chunk in [1, 17, usize::MAX] {
            let mut player = login.player();
            for piece in login.peer.chunks(chunk) {
                player.feed(piece);
            }
            let security = match &player.now {
                Now::Done(Outcome::Server(outcome)) => outcome.security,
                Now::Done(Outcome::Client(outcome)) => outcome.security,
                other => panic!("{}: {other:?}", login.name),
            };
            assert_eq!(security.security_type, login.security_type, "{}", login.name);
            assert_eq!(player.sent, login.own, "{}", login.name);
        }
    }
    println!("{} log-ins", logins.len());
}

/// Every type in both roles.
#[test]
fn the_recordings_have_every_type() {
    let has = |is_server, number| {
        let mut logins = all().into_iter();
        logins.any(|login| login.is_server == is_server && login.security_type == SecurityType(number))
    };
    for number in [5, 6, 30, 113, 118, 129, 130] {
        assert!(has(true, number) && has(false, number), "type {number}");
    }
}
