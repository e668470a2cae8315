//! The log-ins of RFB that seal user and password: RSA-AES, Diffie-Hellman and UltraVNC's logons, and the layer behind
//! two of them.
//!
//! ```text
//! | what u8 | chunk u8 | bytes of the peer |
//! ```
//!
//! The lowest three bits of `what` are the type, the next one is the role, the next says whether a server asks for a user.
//! The keys and the random bytes of this side are always the same, so that a recorded log-in goes to its end.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use rfb_proto::Limits;
use rfb_proto::handshake::client::ClientQuestion;
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{
    Action, Buffers, ClientConfig, ClientHandshake, HandshakeError, Machine, Misuse, ServerConfig, ServerHandshake,
};
use rfb_proto::security::ard::{ArdResponse, ArdSecret};
use rfb_proto::security::ms_logon::{MsLogonIIISecret, MsLogonSecret, respond_iii};
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::rsa_aes::{Key, Layer, LayerKeys, Strength};
use rfb_proto::security::{SecurityType, Seed};

use crate::Input;

const TYPES: [SecurityType; 8] = [
    SecurityType::RA2,
    SecurityType::RA2NE,
    SecurityType::RA2_256,
    SecurityType::RA2NE_256,
    SecurityType::DIFFIE_HELLMAN,
    SecurityType::MS_LOGON_II,
    SecurityType::MS_LOGON_III,
    SecurityType::RA2,
];
const USER: &[u8] = b"alice";
const PASSWORD: &[u8] = b"Pa55-w0rd-of-alice";
const NOW: Duration = Duration::ZERO;
/// A log-in ends in fewer steps than it has bytes, and these.
const STEPS: usize = 64;

/// As the recordings were made.
static KEYS: LazyLock<[Key; 2]> =
    LazyLock::new(|| [2, 1].map(|byte| Key::generate(1024, &Seed::new([byte; 32])).unwrap()));

/// Random numbers by their sealed form and their length.
type Opened = BTreeMap<(Vec<u8>, usize), Vec<u8>>;

/// What was opened before: an input is played more than once, and most have a number in them that others have as well.
static OPENED: Mutex<Opened> = Mutex::new(BTreeMap::new());

static ARD: LazyLock<ArdSecret> = LazyLock::new(|| ArdSecret::new(&seed(true)));

/// The last response that was opened, and whether it shows [`PASSWORD`]: it comes again when the input is played again.
static LAST_ARD: Mutex<Option<(ArdResponse, bool)>> = Mutex::new(None);

fn is_ard_password(response: &ArdResponse) -> bool {
    let mut last = LAST_ARD.lock().unwrap();
    if let Some((known, is_password)) = &*last
        && known == response
    {
        return *is_password;
    }
    let is_password = ARD
        .open(response)
        .is_some_and(|shown| shown.password.expose() == PASSWORD);
    *last = Some((response.clone(), is_password));
    is_password
}

fn open(is_server: bool, sealed: &[u8], strength: Strength) -> Vec<u8> {
    let mut opened = OPENED.lock().unwrap();
    if opened.len() > 1000 {
        opened.clear();
    }
    let open = || {
        let random = KEYS[usize::from(is_server)].open(sealed, strength, &seed(is_server));
        random.expose().to_vec()
    };
    let key = (sealed.to_vec(), strength.random_len());
    opened.entry(key).or_insert_with(open).clone()
}

/// Small enough for a search: the recordings are within them.
fn limits() -> Limits {
    Limits::default().with_rsa_key(2048).with_diffie_hellman(1024)
}

fn seed(is_server: bool) -> Seed {
    Seed::new([if is_server { 0x51 } else { 0x52 }; 32])
}

enum Role {
    Client(Box<ClientHandshake>),
    Server(Box<ServerHandshake>),
}

/// What a step came to.
enum Now {
    Needs(usize),
    GoesOn,
    Layer(LayerKeys),
    Done,
    Failed(String),
}

impl Role {
    fn new(security_type: SecurityType, is_server: bool, with_user: bool) -> Self {
        match is_server {
            true => {
                let config = ServerConfig::new(&[security_type])
                    .with_rsa_aes_user(with_user)
                    .with_limits(limits());
                Self::Server(Box::new(ServerHandshake::new(NOW, config)))
            }
            false => {
                let config = ClientConfig::new(&[security_type]).with_limits(limits());
                Self::Client(Box::new(ClientHandshake::new(NOW, config)))
            }
        }
    }

    fn step(&mut self, buffers: &mut Buffers) -> Now {
        match self {
            Self::Client(machine) => match machine.step(NOW, buffers) {
                Ok(Action::Ask(question)) => answer_server(machine, buffers, question),
                other => common(other),
            },
            Self::Server(machine) => match machine.step(NOW, buffers) {
                Ok(Action::Ask(question)) => answer_client(machine, buffers, question),
                other => common(other),
            },
        }
    }

    fn eof(&mut self) -> HandshakeError {
        match self {
            Self::Client(machine) => machine.eof().unwrap_err(),
            Self::Server(machine) => machine.eof().unwrap_err(),
        }
    }

    fn max_input(&self) -> usize {
        match self {
            Self::Client(machine) => machine.max_input(),
            Self::Server(machine) => machine.max_input(),
        }
    }

    fn layered(&mut self) {
        match self {
            Self::Client(machine) => machine.layered(),
            Self::Server(machine) => machine.layered(),
        }
        .expect("it was asked");
    }
}

fn common<Q, O>(action: Result<Action<Q, O>, HandshakeError>) -> Now {
    match action {
        Ok(Action::Receive { at_least }) => Now::Needs(at_least),
        Ok(Action::Done(_)) => Now::Done,
        Ok(_) => unreachable!("no TLS, and every question is answered"),
        Err(error) => Now::Failed(error.to_string()),
    }
}

fn answer_client(machine: &mut ServerHandshake, buffers: &mut Buffers, question: ServerQuestion) -> Now {
    let (key, seed) = (&KEYS[1], seed(true));
    let answered = match question {
        ServerQuestion::RsaAes => machine.rsa_aes(buffers, key.public(), &seed),
        ServerQuestion::RsaAesOpen { sealed, strength } => {
            machine.rsa_aes_open(buffers, &open(true, &sealed, strength))
        }
        ServerQuestion::RsaAesLayer(keys) => return Now::Layer(keys),
        ServerQuestion::DiffieHellman => machine.diffie_hellman(buffers, ARD.parameters()),
        ServerQuestion::MsLogonII => machine.ms_logon_ii(buffers, MsLogonSecret::new(&seed).parameters()),
        ServerQuestion::MsLogonIII => machine.ms_logon_iii(buffers, &MsLogonIIISecret::new(&seed).public()),
        ServerQuestion::Admit(claim) => {
            assert!(!format!("{claim:?}").contains("Pa55"));
            let is_password =
                |shown: Option<Credentials>| shown.is_some_and(|shown| shown.password.expose() == PASSWORD);
            let is_password = match claim {
                ClientCredentials::Plain(shown) => is_password(Some(shown)),
                ClientCredentials::DiffieHellman(response) => is_ard_password(&response),
                ClientCredentials::MsLogonII(response) => is_password(MsLogonSecret::new(&seed).open(&response)),
                ClientCredentials::MsLogonIII(response) => is_password(MsLogonIIISecret::new(&seed).open(&response)),
                other => unreachable!("{other:?}"),
            };
            match is_password {
                true => machine.accept(buffers),
                false => machine.refuse(buffers, Default::default()),
            }
        }
        ServerQuestion::Init(_) => machine.init(buffers, &crate::rfb_roles::shown()),
        other => unreachable!("{other:?}"),
    };
    answered.expect("it was asked");
    Now::GoesOn
}

fn answer_server(machine: &mut ClientHandshake, buffers: &mut Buffers, question: ClientQuestion) -> Now {
    let (key, seed) = (&KEYS[0], seed(false));
    let answered = match question {
        // A key that is none of RSA, though its numbers look like one, is not taken.
        ClientQuestion::RsaAes { .. } => match machine.rsa_aes(buffers, key.public(), &seed) {
            Err(Misuse::NotOffered) => return Now::Failed(machine.eof().unwrap_err().to_string()),
            answered => answered,
        },
        ClientQuestion::RsaAesOpen { sealed, strength } => {
            machine.rsa_aes_open(buffers, &open(false, &sealed, strength))
        }
        ClientQuestion::RsaAesCredentials { .. } => machine.rsa_aes_credentials(buffers, USER, PASSWORD),
        ClientQuestion::RsaAesLayer(keys) => return Now::Layer(keys),
        ClientQuestion::DiffieHellman(parameters) => {
            machine.diffie_hellman(buffers, &parameters.respond(USER, PASSWORD, &seed).unwrap())
        }
        ClientQuestion::MsLogonII(parameters) => {
            machine.ms_logon_ii(buffers, &parameters.respond(USER, PASSWORD, &seed).unwrap())
        }
        ClientQuestion::MsLogonIII { public } => match respond_iii(&public, USER, PASSWORD, &seed) {
            Ok(response) => machine.ms_logon_iii(buffers, &response),
            Err(_) => return Now::Failed(machine.eof().unwrap_err().to_string()),
        },
        other => unreachable!("{other:?}"),
    };
    answered.expect("it was asked");
    Now::GoesOn
}

/// The layer, and what of the connection's bytes is not yet opened.
struct Layered {
    layer: Layer,
    socket: BytesMut,
}

impl Layered {
    fn open(&mut self, bytes: &[u8], rx: &mut BytesMut) -> Result<(), String> {
        self.socket.extend_from_slice(bytes);
        self.layer
            .open(&mut self.socket, rx)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

/// Feeds the bytes in pieces; then the peer hangs up. Gives how it ended, and what was sent.
fn play(mut role: Role, mut input: &[u8], chunk: usize) -> (String, Vec<u8>) {
    let (mut buffers, mut layered, mut sent) = (Buffers::default(), None::<Layered>, BytesMut::new());
    for _ in 0..input.len() * 2 + STEPS {
        let now = role.step(&mut buffers);
        match &mut layered {
            Some(Layered { layer, .. }) => layer.seal(&mut buffers.tx, &mut sent),
            None => sent.unsplit(buffers.tx.split()),
        }
        match now {
            Now::GoesOn => {}
            Now::Layer(keys) => {
                let mut began = Layered {
                    layer: Layer::new(keys),
                    socket: buffers.rx.split(),
                };
                if let Err(error) = began.open(&[], &mut buffers.rx) {
                    return (error, sent.to_vec());
                }
                layered = Some(began);
                role.layered();
            }
            Now::Needs(at_least) => {
                assert!(0 < at_least && buffers.rx.len() + at_least <= role.max_input());
                if input.is_empty() {
                    return (role.eof().to_string(), sent.to_vec());
                }
                let (piece, rest) = input.split_at(chunk.min(input.len()));
                input = rest;
                match &mut layered {
                    Some(layered) => {
                        if let Err(error) = layered.open(piece, &mut buffers.rx) {
                            return (error, sent.to_vec());
                        }
                    }
                    None => buffers.rx.extend_from_slice(piece),
                }
            }
            Now::Done => return ("done".into(), sent.to_vec()),
            Now::Failed(error) => {
                assert!(!error.contains("Pa55"), "{error}");
                return (error, sent.to_vec());
            }
        }
    }
    panic!("the log-in does not end");
}

/// Checks one input, and gives how it ended.
///
pub fn outcome(data: &[u8]) -> String {
    let mut input = Input::new(data);
    let what = input.byte();
    let chunk = usize::from(input.byte()).max(1);
    let role = || Role::new(TYPES[usize::from(what & 7)], what & 8 != 0, what & 16 == 0);
    let bytes = input.rest();
    let (one, sent) = play(role(), bytes, 1);
    let (cut, cut_sent) = play(role(), bytes, chunk);
    // A message of the layer that is bad shows when it is whole, whether or not the machine wants it.
    let is_layer = |end: &str| end.starts_with("RsaAesMessage.mac");
    if !is_layer(&one) && !is_layer(&cut) {
        assert_eq!((&one, &sent), (&cut, &cut_sent), "chunks of {chunk}");
    }
    one
}

/// Checks one input.
pub fn check(data: &[u8]) {
    outcome(data);
}
