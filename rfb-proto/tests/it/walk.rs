//! The handshake of a recording, found by a reader that knows no more than recordings have. It shares no code with the
//! machines, but for ServerInit and what stands behind it in Tight.

use rfb_proto::security::tight::InteractionCapabilities;
use rfb_proto::{DecodeError, DecodeErrorKind, Limits, ServerInit, Version};

use crate::recordings::Connection;

/// What one side of a SASL exchange says, step by step.
pub(crate) type Says = Vec<Option<Vec<u8>>>;

/// How far a recorded handshake goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    /// To the messages.
    Whole,
    /// To a layer of SASL.
    Layer,
    /// The server refused the connection before a choice.
    RefusedConnection,
    /// The server refused the version of VeNCrypt, or the subtype.
    RefusedVeNCrypt,
    /// The server refused by a SecurityResult.
    RefusedAuthentication,
    /// The server's bytes end in front of the part that is due.
    #[default]
    ServerSilent,
    /// The client's bytes end in front of the part that is due.
    ClientSilent,
    /// A version line that nothing here speaks.
    OddLine,
    /// The client's version is above the server's. What each of them makes of that is its own.
    AboveOffer,
    /// The client chose what the server had not offered.
    NotOffered,
    /// A type that the machines do not follow, or a SecurityResult without a meaning.
    Foreign,
    /// TLS that the recorder did not end.
    Sealed,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) end: End,
    pub(crate) rules: Option<Version>,
    /// What the greeting means.
    pub(crate) greeted: Option<Version>,
    pub(crate) types: Vec<u8>,
    /// What the client chose; in 3.3 what the server decided.
    pub(crate) choice: Option<u8>,
    /// Whether a tunnel of Tight was listed.
    pub(crate) tunnel: bool,
    /// What was chosen inside Tight or TLS (18), and all that was offered there.
    pub(crate) inner: Option<u8>,
    pub(crate) inner_types: Vec<u8>,
    pub(crate) subtype: Option<u32>,
    pub(crate) subtypes: Vec<u32>,
    pub(crate) challenge: Option<[u8; 16]>,
    pub(crate) response: Option<[u8; 16]>,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) mechanisms: Vec<u8>,
    pub(crate) mechanism: Vec<u8>,
    /// Blocks of SASL, those of the server and those of the client.
    pub(crate) sasl: Option<(Says, Says)>,
    /// Whether the server called that complete.
    pub(crate) sasl_complete: bool,
    pub(crate) result: Option<u32>,
    pub(crate) reason: Option<Vec<u8>>,
    pub(crate) shared: Option<u8>,
    pub(crate) init: Option<ServerInit>,
    pub(crate) interaction: Option<InteractionCapabilities>,
    /// How far the parts go that are there as a whole. Where the handshake is whole, the messages begin there.
    pub(crate) c2s_at: usize,
    pub(crate) s2c_at: usize,
    /// What a server of ours says in the same place: lists hold only what it follows, and its refusals are its own.
    pub(crate) expected: Vec<u8>,
}

/// Types that the machines follow: those with ciphers of their own have a feature each.
fn is_followed(number: u8) -> bool {
    let mut followed = vec![1, 2, 16, 18, 19, 20];
    if cfg!(feature = "rsa-aes") {
        followed.extend([5, 6, 129, 130]);
    }
    if cfg!(feature = "ard") {
        followed.push(30);
    }
    if cfg!(feature = "ms-logon") {
        followed.extend([113, 118]);
    }
    followed.contains(&number)
}

fn is_followed_subtype(number: u32) -> bool {
    match u8::try_from(number) {
        Ok(16 | 18 | 19) => false,
        Ok(number) => is_followed(number),
        Err(_) => (256..=267).contains(&number),
    }
}
/// Names of Tight, and the types that they stand for.
const CAPABILITIES: [(&[u8; 12], u8); 4] = [
    (b"STDVNOAUTH__", 1),
    (b"STDVVNCAUTH_", 2),
    (b"VENCVENCRYPT", 19),
    (b"GTKVSASL____", 20),
];
/// Mechanisms that have no layer.
const BARE: [&[u8]; 6] = [b"PLAIN", b"LOGIN", b"ANONYMOUS", b"EXTERNAL", b"CRAM-MD5", b"SCRAM-"];

/// The bytes of one side, and how far they were read.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    silent: End,
    /// What was read, with what stands in its place.
    said: Vec<u8>,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], silent: End) -> Self {
        Self {
            bytes,
            at: 0,
            silent,
            said: Vec::new(),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], End> {
        let end = self.at.saturating_add(count);
        let bytes = self.bytes.get(self.at..end).ok_or(self.silent)?;
        self.at = end;
        self.said.extend_from_slice(bytes);
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], End> {
        Ok(self.take(N)?.try_into().unwrap())
    }

    fn byte(&mut self) -> Result<u8, End> {
        Ok(self.array::<1>()?[0])
    }

    fn word(&mut self) -> Result<u32, End> {
        self.array().map(u32::from_be_bytes)
    }

    /// All of it or nothing.
    fn block(&mut self) -> Result<Vec<u8>, End> {
        let before = self.at;
        let length = self.word()? as usize;
        let block = self.take(length).map(<[u8]>::to_vec);
        block.inspect_err(|_| self.back_to(before))
    }

    /// A byte that counts items of this size, and all of them or nothing.
    fn list(&mut self, size: usize) -> Result<&'a [u8], End> {
        let before = self.at;
        let count = usize::from(self.byte()?);
        let list = self.take(count * size);
        list.inspect_err(|_| self.back_to(before))
    }

    fn back_to(&mut self, at: usize) {
        self.unsay(self.at - at);
        self.at = at;
    }

    /// Data of SASL, its NUL taken off.
    fn data(&mut self) -> Result<Option<Vec<u8>>, End> {
        let mut block = self.block()?;
        Ok(block.pop().map(|_| block))
    }

    fn unsay(&mut self, count: usize) {
        self.said.truncate(self.said.len() - count);
    }

    /// Other bytes in the place of the last ones.
    fn instead(&mut self, count: usize, bytes: &[u8]) {
        self.unsay(count);
        self.said.extend_from_slice(bytes);
    }
}

/// `RFB ddd.ddd\n`.
fn numbers(line: &[u8; 12]) -> Option<(u16, u16)> {
    let digits = |range| {
        let digits = std::str::from_utf8(&line[range]).unwrap_or_default();
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse())
    };
    let frame = line.starts_with(b"RFB ") && line[7] == b'.' && line[11] == b'\n';
    frame.then_some((digits(4..7)?.ok()?, digits(8..11)?.ok()?))
}

fn greeting(line: &[u8; 12]) -> Option<Version> {
    match numbers(line)? {
        (3, 3..=6 | 14 | 16) => Some(Version::V3_3),
        (3, 7) => Some(Version::V3_7),
        (3, 8..) | (4.., _) => Some(Version::V3_8),
        _ => None,
    }
}

fn answer(line: &[u8; 12]) -> Option<Version> {
    match numbers(line)? {
        (3, ..=6) => Some(Version::V3_3),
        (3, 7) => Some(Version::V3_7),
        (3, 8..) => Some(Version::V3_8),
        _ => None,
    }
}

/// A connection that is read: the client, the server, where TLS begins.
struct Reader<'a> {
    c: Cursor<'a>,
    s: Cursor<'a>,
    tls_at: Option<(usize, usize)>,
    is_tls: bool,
    walk: Walk,
}

impl Connection {
    pub(crate) fn walk(&self) -> Walk {
        let mut reader = Reader {
            c: Cursor::new(&self.c2s, End::ClientSilent),
            s: Cursor::new(&self.s2c, End::ServerSilent),
            tls_at: self.tls_at,
            is_tls: false,
            walk: Walk::default(),
        };
        let end = reader.read().unwrap_or_else(|end| end);
        let Reader { c, s, walk, .. } = reader;
        Walk {
            end,
            c2s_at: c.at,
            s2c_at: s.at,
            expected: s.said,
            ..walk
        }
    }
}

impl Reader<'_> {
    fn read(&mut self) -> Result<End, End> {
        let line = self.s.array()?;
        self.s.unsay(12);
        let greeted = greeting(&line).ok_or(End::OddLine)?;
        self.s.said.extend_from_slice(&greeted.to_bytes());
        self.walk.greeted = Some(greeted);
        let rules = answer(&self.c.array()?).ok_or(End::OddLine)?;
        self.walk.rules = Some(rules.min(greeted));
        let choice = match rules {
            _ if greeted < rules => return Err(End::AboveOffer),
            Version::V3_3 => self.decided()?,
            _ => self.chosen()?,
        };
        self.walk.choice = Some(choice);
        if !self.walk.types.contains(&choice) {
            return Err(End::NotOffered);
        }
        self.follow(choice)?;
        self.messages()
    }

    /// The word of 3.3.
    fn decided(&mut self) -> Result<u8, End> {
        let number = self.s.word()?;
        if number == 0 {
            self.s.unsay(4);
            return Err(self.refused());
        }
        match number {
            1 | 2 => {
                let number = number as u8;
                self.walk.types = vec![number];
                Ok(number)
            }
            _ => {
                self.s.unsay(4);
                Err(End::Foreign)
            }
        }
    }

    /// The connection, with a reason if it is there.
    fn refused(&mut self) -> End {
        match self.s.block() {
            Ok(reason) => {
                self.s.unsay(4 + reason.len());
                self.walk.reason = Some(reason);
                End::RefusedConnection
            }
            Err(silent) => silent,
        }
    }

    /// The list of 3.7 and 3.8, and the choice.
    fn chosen(&mut self) -> Result<u8, End> {
        self.walk.types = self.s.list(1)?.to_vec();
        if self.walk.types.is_empty() {
            self.s.unsay(1);
            return Err(self.refused());
        }
        self.say_list(&self.walk.types.clone(), is_followed);
        self.c.byte()
    }

    fn say_list(&mut self, types: &[u8], is_followed: impl Fn(u8) -> bool) {
        let list = types.iter().copied().filter(|&number| is_followed(number));
        let list: Vec<_> = list.collect();
        self.s
            .instead(1 + types.len(), &[&[list.len() as u8], &list[..]].concat());
    }

    fn follow(&mut self, chosen: u8) -> Result<(), End> {
        match chosen {
            1 | 2 | 20 => self.exchange(chosen.into()),
            16 => self.tight(),
            18 => {
                self.tls()?;
                let types = self.s.list(1)?.to_vec();
                self.say_list(&types, |number| is_followed_subtype(number.into()));
                let inner = self.c.byte()?;
                let offered = types.contains(&inner);
                (self.walk.inner, self.walk.inner_types) = (Some(inner), types);
                match inner {
                    _ if !offered => Err(End::NotOffered),
                    1 | 2 | 20 => self.exchange(inner.into()),
                    _ => Err(End::Foreign),
                }
            }
            19 => self.vencrypt(),
            _ => Err(End::Foreign),
        }
    }

    fn tls(&mut self) -> Result<(), End> {
        let at = self.tls_at.ok_or(End::Sealed)?;
        assert_eq!((self.c.at, self.s.at), at, "where TLS begins");
        self.is_tls = true;
        Ok(())
    }

    /// Tunnels and ways to authenticate; a capability is a code and twelve letters.
    fn tight(&mut self) -> Result<(), End> {
        let tunnels = self.capabilities()?;
        self.walk.tunnel = !tunnels.is_empty();
        if !tunnels.is_empty() {
            self.s
                .instead(4 + 16 * tunnels.len(), b"\0\0\0\x01\0\0\0\0TGHTNOTUNNEL");
            let tunnel = self.c.word()?;
            if tunnel != 0 {
                return Err(End::Foreign);
            }
        }
        let offered = self.capabilities()?;
        let known = |capability: &[u8; 16]| {
            let kind = CAPABILITIES.iter().find(|(name, _)| capability[4..] == name[..]);
            kind.map(|(_, number)| *number)
        };
        self.walk.inner_types = offered.iter().filter_map(known).collect();
        let listed = offered.iter().filter(|capability| known(capability).is_some());
        let listed: Vec<_> = listed.copied().collect();
        let count = u32::try_from(listed.len()).unwrap().to_be_bytes();
        self.s
            .instead(4 + 16 * offered.len(), &[&count[..], &listed.concat()].concat());
        if offered.is_empty() {
            self.walk.inner = Some(1);
            return self.exchange(1);
        }
        let code = self.c.array::<4>()?;
        let chosen = offered.iter().find(|capability| capability[..4] == code);
        let chosen = known(chosen.ok_or(End::NotOffered)?).ok_or(End::Foreign)?;
        self.walk.inner = Some(chosen);
        self.follow(chosen)
    }

    fn capabilities(&mut self) -> Result<Vec<[u8; 16]>, End> {
        let before = self.s.at;
        let count = self.s.word()? as usize;
        let bytes = self.s.take(count.saturating_mul(16));
        let bytes = bytes.inspect_err(|_| self.s.back_to(before))?;
        Ok(bytes.chunks(16).map(|one| one.try_into().unwrap()).collect())
    }

    fn vencrypt(&mut self) -> Result<(), End> {
        if self.s.array::<2>()? != [0, 2] {
            return Err(End::Foreign);
        }
        self.c.array::<2>()?;
        if self.s.byte()? != 0 {
            self.s.unsay(1);
            return Err(End::RefusedVeNCrypt);
        }
        let subtypes = self.s.list(4)?.chunks(4);
        let subtypes: Vec<_> = subtypes.map(|n| u32::from_be_bytes(n.try_into().unwrap())).collect();
        let followed: Vec<_> = subtypes.iter().filter(|&&n| is_followed_subtype(n)).collect();
        let list: Vec<_> = followed.iter().flat_map(|n| n.to_be_bytes()).collect();
        self.s
            .instead(1 + 4 * subtypes.len(), &[&[followed.len() as u8], &list[..]].concat());
        let subtype = self.c.word()?;
        let offered = subtypes.contains(&subtype);
        (self.walk.subtype, self.walk.subtypes) = (Some(subtype), subtypes);
        if !offered {
            return Err(End::NotOffered);
        }
        if matches!(subtype, 257..=264 | 266 | 267) {
            if self.s.byte()? != 1 {
                self.s.unsay(1);
                return Err(End::RefusedVeNCrypt);
            }
            self.tls()?;
        }
        self.exchange(subtype)
    }

    /// The exchange of a type or of a subtype, and its SecurityResult.
    fn exchange(&mut self, kind: u32) -> Result<(), End> {
        match kind {
            1 | 257 | 260 => {
                if kind == 1 && self.walk.rules != Some(Version::V3_8) {
                    return Ok(());
                }
            }
            2 | 258 | 261 => {
                self.walk.challenge = Some(self.s.array()?);
                self.walk.response = Some(self.c.array()?);
            }
            256 | 259 | 262 => {
                let before = self.c.at;
                self.plain().inspect_err(|_| self.c.back_to(before))?;
            }
            265..=267 => self.walk.user = Some(self.c.block()?),
            20 | 263 | 264 => self.sasl()?,
            _ => return Err(End::Foreign),
        }
        self.result()
    }

    fn plain(&mut self) -> Result<(), End> {
        let [user, password] = [self.c.word()?, self.c.word()?];
        self.walk.user = Some(self.c.take(user as usize)?.to_vec());
        self.walk.password = Some(self.c.take(password as usize)?.to_vec());
        Ok(())
    }

    fn sasl(&mut self) -> Result<(), End> {
        self.walk.mechanisms = self.s.block()?;
        self.walk.mechanism = self.c.block()?;
        let (mut server, mut client) = (Vec::new(), Vec::new());
        let ended = loop {
            match self.c.data() {
                Ok(data) => client.push(data),
                Err(silent) => break Err(silent),
            }
            let said = self.s.data().and_then(|data| Ok((data, self.s.byte()?)));
            match said {
                Ok((data, complete)) => {
                    server.push(data);
                    if complete != 0 {
                        self.walk.sasl_complete = true;
                        break Ok(());
                    }
                }
                Err(silent) => break Err(silent),
            }
        };
        self.walk.sasl = Some((server, client));
        ended
    }

    fn result(&mut self) -> Result<(), End> {
        let result = self.s.word()?;
        self.walk.result = Some(result);
        match result {
            0 => Ok(()),
            1 | 2 => {
                if self.walk.rules == Some(Version::V3_8) {
                    self.walk.reason = Some(self.s.block()?);
                }
                Err(End::RefusedAuthentication)
            }
            _ => {
                self.s.unsay(4);
                Err(End::Foreign)
            }
        }
    }

    /// Whether what follows is inside a layer: never in TLS, nor with a mechanism that has none. A server that begins
    /// with a width has none either.
    fn is_layered(&self) -> bool {
        let bare = BARE.iter().any(|name| self.walk.mechanism.starts_with(name));
        let front = self.s.bytes.get(self.s.at..).unwrap_or_default();
        self.walk.sasl.is_some() && !self.is_tls && !bare && front.iter().take(2).all(|byte| *byte == 0)
    }

    fn messages(&mut self) -> Result<End, End> {
        if self.is_layered() {
            return Ok(End::Layer);
        }
        self.walk.shared = Some(self.c.byte()?);
        let limits = Limits::default();
        let init = self.decoded(
            |bytes| ServerInit::decode_slice(bytes, &limits),
            ServerInit::encoded_len,
        )?;
        self.walk.init = Some(init);
        if self.walk.choice == Some(16) {
            let decode = |bytes: &[u8]| InteractionCapabilities::decode_slice(bytes, &limits);
            self.walk.interaction = Some(self.decoded(decode, InteractionCapabilities::encoded_len)?);
        }
        Ok(End::Whole)
    }

    fn decoded<T>(
        &mut self,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
        len: impl Fn(&T) -> usize,
    ) -> Result<T, End> {
        match decode(&self.s.bytes[self.s.at..]) {
            Ok(message) => {
                self.s.take(len(&message))?;
                Ok(message)
            }
            Err(error) if matches!(error.kind, DecodeErrorKind::Truncated { .. }) => Err(End::ServerSilent),
            Err(error) => panic!("{error}"),
        }
    }
}
