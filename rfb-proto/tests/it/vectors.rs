//! `rfb-vectors.toml`: known answers of VNC authentication, and the heads of the handshake scripts.

use std::env;
use std::path::PathBuf;

use bytes::BytesMut;
use des::Des;
use des::cipher::{BlockEncrypt as _, KeyInit as _};
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, SecurityChoice, SecurityType, SecurityTypeWord, SecurityTypes};
use rfb_proto::{Greeting, Limits, Policy, ProtocolVersion, Version};
use toml::{Table, Value};

use crate::data::{array, each, hex, own, table, text};

#[test]
fn vectors() {
    let vectors = match env::var_os("RFB_VECTORS") {
        Some(path) => table(&PathBuf::from(path)),
        None => own("rfb-vectors.toml"),
    };
    let des = each(&vectors, "des").map(des_case).count();
    let passwd_file = each(&vectors, "passwd_file").map(passwd_file_case).count();
    let mut seen = Seen::default();
    for transcript in each(&vectors, "transcript") {
        transcript_case(transcript, &mut seen);
    }
    println!(
        "RFB_VECTORS: {des} des cases, {passwd_file} passwd_file cases, {} version lines",
        seen.lines
    );
    println!("RFB_VECTORS transcript heads: {seen:?}");
    assert!(0 < des + passwd_file + seen.lines, "no vectors");
    if env::var_os("RFB_VECTORS").is_none() {
        // The own copy has something for every branch that counts; a branch that is not run proves nothing.
        assert!(0 < des && 0 < passwd_file, "the own copy lacks a kind of vector");
        let Seen {
            lines,
            not_lines,
            lists,
            words,
            choices,
            reasons,
            responses,
        } = seen;
        assert!(
            [lines, not_lines, lists, words, choices, reasons, responses]
                .iter()
                .all(|&n| 0 < n)
        );
    }
}

fn des_case(case: &Table) {
    let id = text(case, "id");
    let bytes = hex(text(case, "password_hex"));
    let challenge = array(&hex(text(case, "challenge_hex")));
    let expected: [u8; 16] = array(&hex(text(case, "response_hex")));

    let password = Password::new(&bytes);
    assert_eq!(password.respond(&challenge), expected, "{id}");
    assert_eq!(password.truncated(), 8 < bytes.len(), "{id}");
    assert_eq!(password.is_empty(), bytes.is_empty(), "{id}");
    assert!(password.verify(&challenge, &expected), "{id}");
    for bit in 0..128 {
        let mut wrong = expected;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!password.verify(&challenge, &wrong), "{id}: bit {bit}");
    }
    let mut other = array::<8>(&[bytes.as_slice(), &[0; 8]].concat()[..8]);
    other[0] ^= 1;
    assert!(!Password::new(&other).verify(&challenge, &expected), "{id}");

    // The crate's key is private; that the stated key is one for the stated response does not need it.
    assert_eq!(
        encrypted::<16>(&hex(text(case, "key_hex")), &challenge),
        expected,
        "{id}: key_hex"
    );
}

fn passwd_file_case(case: &Table) {
    let id = text(case, "id");
    let plain = text(case, "plain").as_bytes();
    let expected: [u8; 8] = array(&hex(text(case, "obfuscated_hex")));

    assert_eq!(Password::new(plain).to_obfuscated(), expected, "{id}");
    let read = Password::from_obfuscated(&expected);
    assert!(!read.truncated(), "{id}");
    assert_eq!(read.to_obfuscated(), expected, "{id}");
    let challenge = *b"0123456789abcdef";
    assert_eq!(
        read.respond(&challenge),
        Password::new(plain).respond(&challenge),
        "{id}"
    );

    let padded: [u8; 8] = array(&[plain, &[0; 8]].concat()[..8]);
    assert_eq!(
        encrypted::<8>(&hex(text(case, "des_key_hex")), &padded),
        expected,
        "{id}: des_key_hex"
    );
}

fn encrypted<const N: usize>(key: &[u8], plain: &[u8; N]) -> [u8; N] {
    let cipher = Des::new_from_slice(key).unwrap();
    let mut bytes = *plain;
    for block in bytes.chunks_exact_mut(8) {
        cipher.encrypt_block(block.into());
    }
    bytes
}

/// What was found in the transcripts and checked.
#[derive(Debug, Default)]
struct Seen {
    /// Version lines, decoded and encoded back.
    lines: usize,
    /// First bytes that are no version line, in scripts that say that this ends it.
    not_lines: usize,
    /// Lists of security types, decoded and encoded back.
    lists: usize,
    /// Words of 3.3, decoded and encoded back.
    words: usize,
    /// Choices, decoded and encoded back, and found in the list or in a script that says that this ends it.
    choices: usize,
    /// Reasons behind a refusal, decoded and encoded back.
    reasons: usize,
    /// Responses, computed or checked with the script's password.
    responses: usize,
}

/// One transcript, of one or two connections.
fn transcript_case(transcript: &Table, seen: &mut Seen) {
    let role = text(transcript, "role");
    let connections: &[_] = match role {
        "client" | "server" => &[("s", "c")],
        "proxy" => &[("h", "H"), ("T", "t")],
        other => panic!("role {other:?}"),
    };
    for &(server, client) in connections {
        let script = Script {
            id: text(transcript, "id"),
            role,
            transcript,
        };
        let server = stream(transcript, server);
        let client = stream(transcript, client);
        head(&script, &server, &client, seen);
    }
}

/// What one side sends in the clear, up to the first thing that is not given as bytes.
fn stream(transcript: &Table, sender: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for step in transcript["steps"].as_array().unwrap() {
        let (by, what) = (step[0].as_str().unwrap(), step[1].as_str().unwrap());
        if what == "TLS" || (by == sender && what == "EOF") {
            break;
        }
        if by == sender {
            let (given, placeholder) = what.split_once('<').map_or((what, false), |(before, _)| (before, true));
            bytes.extend(hex(given));
            if placeholder {
                break;
            }
        }
    }
    bytes
}

struct Script<'a> {
    id: &'a str,
    role: &'a str,
    transcript: &'a Table,
}

impl Script<'_> {
    fn setting(&self, table: &str, key: &str) -> Option<&Value> {
        self.transcript.get(table)?.get(key)
    }

    fn types(&self, table: &str, key: &str) -> Option<Vec<SecurityType>> {
        let numbers = self.setting(table, key)?.as_array().unwrap();
        let number = |value: &Value| SecurityType(value.as_integer().unwrap().try_into().unwrap());
        Some(numbers.iter().map(number).collect())
    }

    /// What stops here has to be what the script calls an end.
    fn ends(&self, why: &dyn core::fmt::Display) {
        let outcome = text(self.transcript, "outcome");
        assert!(
            ["protocol-error", "refused", "auth-failed"].contains(&outcome),
            "{}: {outcome} expected, but {why}",
            self.id
        );
    }
}

/// The beginning of one connection, from the version lines to the response.
fn head(script: &Script<'_>, mut server: &[u8], mut client: &[u8], seen: &mut Seen) {
    let id = script.id;
    let limits = Limits::default();

    let Some(greeting) = line(script, &mut server, seen) else {
        return;
    };
    let offered = match greeting.as_greeting(Policy::Lenient) {
        Ok(Greeting::Version(version)) => version,
        Ok(Greeting::Repeater) => {
            // The client's 250 bytes, then everything from the beginning.
            assert_eq!(greeting, ProtocolVersion::REPEATER, "{id}");
            return head(script, server, client.get(250..).unwrap_or_default(), seen);
        }
        Err(error) => return script.ends(&error),
    };

    let Some(answer) = line(script, &mut client, seen) else {
        return;
    };
    if script.role == "client" {
        assert_eq!(answer, offered.number(), "{id}: the line that a client answers with");
    }
    let rules = match answer.as_answer(offered, Policy::Lenient) {
        Ok(rules) => rules,
        Err(error) => return script.ends(&error),
    };
    if let Some(negotiated) = script.setting("observe", "negotiated") {
        assert_eq!(rules.to_string(), negotiated.as_str().unwrap(), "{id}");
    }

    let chosen = if rules == Version::V3_3 {
        if server.len() < 4 {
            return;
        }
        let word = SecurityTypeWord::decode_slice(server, &limits).unwrap();
        same_bytes(id, &mut server, |dst| word.encode(dst).unwrap());
        seen.words += 1;
        if word.is_refusal() {
            script.ends(&"the word is 0");
            return reason(id, &mut server, seen);
        }
        word.security_type()
    } else {
        if server.is_empty() {
            return;
        }
        let list = SecurityTypes::decode_slice(server, &limits).unwrap();
        same_bytes(id, &mut server, |dst| list.encode(dst).unwrap());
        seen.lists += 1;
        if let Some(offered) = script.types("observe", "offered") {
            assert_eq!(list.types, offered, "{id}");
        }
        if list.is_refusal() {
            script.ends(&"the list is empty");
            return reason(id, &mut server, seen);
        }
        let allowed = script
            .types("config", "allow_types")
            .filter(|_| script.role == "client");
        if let Some(allowed) = &allowed {
            let expected = client.first().map(|&number| SecurityChoice {
                security_type: SecurityType(number),
            });
            assert_eq!(list.choose(allowed), expected, "{id}");
        }
        if client.is_empty() {
            return;
        }
        let choice = SecurityChoice::decode_slice(client, &limits).unwrap();
        same_bytes(id, &mut client, |dst| choice.encode(dst).unwrap());
        seen.choices += 1;
        match list.check(choice) {
            Ok(security_type) => Some(security_type),
            Err(error) => return script.ends(&error),
        }
    };
    if let Some(expected) = script.setting("observe", "type") {
        let number = expected.as_integer().unwrap();
        assert_eq!(chosen.map(|chosen| chosen.0.into()), Some(number), "{id}");
    }

    // With type 2, the next 16 bytes of each side. A proxy's scripts do not say the password.
    let password = script.setting("config", "password").and_then(Value::as_str);
    if let (Some(SecurityType::VNC), Some(password), Some(challenge), Some(response)) =
        (chosen, password, server.first_chunk(), client.first_chunk())
    {
        let password = Password::new(password.as_bytes());
        if script.role == "client" {
            assert_eq!(password.respond(challenge), *response, "{id}");
        } else {
            let right = text(script.transcript, "outcome") != "auth-failed";
            assert_eq!(password.verify(challenge, response), right, "{id}");
        }
        seen.responses += 1;
    }
}

/// Takes a version line off the front and checks it both ways.
fn line(script: &Script<'_>, stream: &mut &[u8], seen: &mut Seen) -> Option<ProtocolVersion> {
    let id = script.id;
    let (bytes, rest) = match stream.split_first_chunk() {
        Some(split) => split,
        None => {
            match ProtocolVersion::missing(stream) {
                Ok(missing) => assert_eq!(missing, 12 - stream.len(), "{id}"),
                Err(error) => script.ends(&error),
            }
            return None;
        }
    };
    match ProtocolVersion::from_bytes(bytes) {
        Ok(version) => {
            assert_eq!(version.to_bytes().unwrap(), *bytes, "{id}");
            *stream = rest;
            seen.lines += 1;
            Some(version)
        }
        Err(error) => {
            script.ends(&error);
            seen.not_lines += 1;
            None
        }
    }
}

/// A reason, if the script gives it.
fn reason(id: &str, stream: &mut &[u8], seen: &mut Seen) {
    let limits = Limits::default();
    // A placeholder, or nothing at all, stands for a reason that the script leaves open.
    if Reason::missing(stream, &limits).unwrap() == 0 {
        let reason = Reason::decode_slice(stream, &limits).unwrap();
        same_bytes(id, stream, |dst| reason.encode(dst).unwrap());
        seen.reasons += 1;
    }
}

/// Encodes what was decoded, compares it with the bytes that it came from, and takes these.
fn same_bytes(id: &str, stream: &mut &[u8], encode: impl FnOnce(&mut BytesMut)) {
    let mut encoded = BytesMut::new();
    encode(&mut encoded);
    *stream = stream
        .strip_prefix(&encoded[..])
        .unwrap_or_else(|| panic!("{id}: {stream:02x?} does not begin with {encoded:02x?}"));
}

/// No script of the own copy goes through a repeater, so this one sees that the reading above follows it.
#[test]
fn a_repeater_is_passed() {
    let greeting = "524642203030302e3030300a"; // RFB 000.000
    let real = "524642203030332e3030380a"; // RFB 003.008
    let target = format!("{:0<500}", "49443a31"); // ID:1, padded with NUL
    let transcript = format!(
        "id = 'repeater'\nrole = 'client'\noutcome = 'pending'\nconfig = {{ allow_types = [1] }}\n\
         steps = [['s', '{greeting}', ''], ['c', '{target}', ''], ['s', '{real}', ''], ['c', '{real}', ''], \
         ['s', '0101', ''], ['c', '01', '']]"
    );
    let mut seen = Seen::default();
    transcript_case(&transcript.parse().unwrap(), &mut seen);
    assert_eq!((seen.lines, seen.lists, seen.choices), (3, 1, 1));
}
