//! The texts that console-token reads: tokens, URLs, port ranges and counts, tickets, and replies of authd.
//!
//! ```text
//! | what u8 | ... |                              what modulo 8:
//! 0 token:     | text |
//! 1 URL:       | console u8 | base: length u16, bytes | token |
//! 2 Nova's URL: the same
//! 3 range:     | text |
//! 4 counts:    | given u8 | limit u8 | flavor: length u16, bytes | image |
//! 5 ports:     | is JSON u8 | JSON, or steps of | what u8 | address u8 | port u8 | |
//! 6 authd:     | cuts u8 | five replies, each length u16, bytes |
//! 7 tickets:   | text |
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use console_token::serial::{PortAllocator, PortCountError, PortRange, PortRangeError, port_count};
use console_token::webmks::{
    Action, Buffers, ConnectInfo, Login, LoginConfig, LoginError, Misbehaviour, Misuse, MksTicket, Stage, Thumbprint,
};
use console_token::{
    AccessPath, AccessUrl, AccessUrlError, ConsolePassword, ConsoleType, NovaHash, Pepper, Peppers, Protocol, Secret,
};

use crate::Input;

const CONSOLES: [ConsoleType; 7] = [
    ConsoleType::NoVnc,
    ConsoleType::XvpVnc,
    ConsoleType::SpiceHtml5,
    ConsoleType::SpiceDirect,
    ConsoleType::RdpHtml5,
    ConsoleType::Serial,
    ConsoleType::WebMks,
];

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 8 {
        0 => token(input.rest()),
        1 => url(input),
        2 => nova_url(input),
        3 => range(&text(input.rest())),
        4 => counts(input),
        5 => ports(input),
        6 => authd(input),
        _ => tickets(&text(input.rest())),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A token is visible ASCII of 1 to 256 bytes; each pepper has one hash for it, and Nova's can be read again.
fn token(bytes: &[u8]) {
    let is_token =
        (1..=Secret::MAX_LEN).contains(&bytes.len()) && bytes.iter().all(|byte| (0x21..=0x7e).contains(byte));
    let presented = Secret::presented(bytes);
    assert_eq!(presented.is_ok(), is_token);
    if let Some(hash) = NovaHash::from_hex(&text(bytes)) {
        assert_eq!(hash.to_hex().as_bytes(), bytes);
    }
    let Ok(token) = presented else { return };
    assert_eq!(token.expose().as_bytes(), bytes);
    assert_eq!(token.fits_spice_password(), bytes.len() <= 60);
    assert_eq!(token.fits_vnc_password(), bytes.len() <= 8);
    let both = || Peppers::new(Pepper::new(&[1; 32]).unwrap()).with_previous(Pepper::new(&[2; 80]).unwrap());
    let peppers = both();
    made(bytes);
    rotated(both(), &token);
    let hashes: Vec<_> = peppers.hashes(&token).collect();
    assert!(hashes.len() == 2 && hashes[0] == peppers.hash(&token) && hashes[0] != hashes[1]);
    let nova = token.nova_hash();
    assert_eq!(NovaHash::from_hex(&nova.to_hex()), Some(nova));
    let shown = format!("{token:?}{nova:?}{:?}", hashes[0]);
    assert!(bytes.len() < 9 || !shown.contains(token.expose()));
}

/// A secret that is made of random bytes is one that is presented.
fn made(bytes: &[u8]) {
    let mut random = [0; 32];
    random.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    let mut short = [0; 16];
    short.copy_from_slice(&random[..16]);
    let uuid = Secret::uuid4(&short);
    let places: Vec<usize> = uuid.expose().match_indices('-').map(|(place, _)| place).collect();
    assert_eq!((uuid.expose().len(), &places[..]), (36, &[8, 13, 18, 23][..]));
    assert!(uuid.expose().as_bytes()[14] == b'4' && b"89ab".contains(&uuid.expose().as_bytes()[19]));
    for secret in [uuid, Secret::base64url(&random)] {
        let presented = Secret::presented(secret.expose().as_bytes()).unwrap();
        assert_eq!(presented.expose(), secret.expose());
        assert!(!format!("{secret:?}").contains(secret.expose()));
    }
}

/// A token is found under each pepper that is kept, the newest first.
fn rotated(mut peppers: Peppers, token: &Secret) {
    let before: Vec<_> = peppers.hashes(token).collect();
    peppers.rotate(Pepper::new(&[3; 32]).unwrap());
    let after: Vec<_> = peppers.hashes(token).collect();
    assert!(after.len() == 3 && peppers.count() == 3 && after[1..] == before[..]);
    peppers.retire(1);
    assert!(peppers.hashes(token).eq(after[..2].iter().cloned()));
    assert!(format!("{peppers:?}").contains("redacted"));
}

/// What is made of a base keeps it, has the token where it is looked for, and takes no second one.
fn url(mut input: Input<'_>) {
    let console = CONSOLES[usize::from(input.byte()) % CONSOLES.len()];
    let base = text(input.blob());
    let Ok(token) = Secret::presented(input.rest()) else {
        return;
    };
    let Ok(url) = AccessUrl::new(console, &base, &token) else {
        return;
    };
    let url = url.expose();
    assert!(url.is_ascii() && !url.contains(|character: char| character.is_ascii_control() || character == ' '));
    let split = |text: &str| {
        let (rest, fragment) = match text.split_once('#') {
            Some((rest, fragment)) => (rest.to_owned(), Some(fragment.to_owned())),
            None => (text.to_owned(), None),
        };
        let (before, query) = rest.split_once('?').unwrap_or((&rest, ""));
        (before.to_owned(), query.to_owned(), fragment)
    };
    let ((before, query, fragment), (own_before, own_query, own_fragment)) = (split(&base), split(url));
    assert_eq!((before, fragment), (own_before, own_fragment));
    let name = if console == ConsoleType::NoVnc { "path" } else { "token" };
    let of = |query: &str, name: &str| {
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let named = pairs.filter(|(own, _)| decoded(own) == name);
        named.map(|(_, value)| decoded(value)).collect::<Vec<_>>()
    };
    let values = of(&own_query, name);
    assert_eq!(values.len(), 1);
    let found = if console == ConsoleType::NoVnc {
        let (path, inner) = values[0].split_once('?').unwrap();
        let former = of(&query, "path").pop().unwrap_or_default();
        assert_eq!(path, former.split('?').next().unwrap());
        of(inner, "token")
    } else {
        values
    };
    assert_eq!(found, [token.expose()]);
    for pair in query
        .split('&')
        .filter(|pair| decoded(pair.split('=').next().unwrap()) != "path")
    {
        assert!(own_query.split('&').any(|own| own == pair) || pair.is_empty());
    }
    let again = AccessUrl::new(console, url, &token).unwrap_err();
    assert_eq!(again, AccessUrlError::HasToken);
}

/// Percent-decoded, by a loop of its own.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match code.filter(|_| *first == b'%') {
            Some(code) => {
                bytes.push(u8::from_str_radix(code, 16).unwrap());
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    self::text(&bytes)
}

/// Nova's own form takes any text.
fn nova_url(mut input: Input<'_>) {
    let console = CONSOLES[usize::from(input.byte()) % CONSOLES.len()];
    let base = text(input.blob());
    let token = text(input.rest());
    match AccessUrl::nova(console, &base, &token) {
        Ok(url) if console == ConsoleType::NoVnc => {
            let (_, query) = url.expose().split_once('?').unwrap();
            let query = query.split('#').next().unwrap();
            let paths = query.split('&').filter(|pair| pair.starts_with("path="));
            let path: Vec<String> = paths.map(|path| decoded(&path.replace('+', " "))).collect();
            assert_eq!(path.len(), 1);
            assert!(path[0].ends_with(&format!("?token={token}")));
        }
        Ok(url) => assert_eq!(url.expose(), format!("{base}?token={token}")),
        Err(error) => {
            assert_eq!((console, error), (ConsoleType::NoVnc, AccessUrlError::Malformed));
            assert!(base.contains(['[', ']']));
        }
    }
}

/// A range reads back as it is written, and has ports.
fn range(text: &str) {
    let parsed = text.parse::<PortRange>();
    let or_default = PortRange::or_default(text);
    match parsed {
        Ok(range) => {
            assert_eq!(or_default, Ok(range));
            assert_eq!(range.to_string().parse(), Ok(range));
            let (start, stop) = text.split_once(':').unwrap();
            let [start, stop] = [start, stop].map(|number| number.parse::<u64>().unwrap());
            assert!(0 < start && start < stop && stop <= 65_536);
            assert_eq!(range.ports().count() as u64, stop - start);
            assert!(range.contains(start as u16) && !range.contains((start - 1) as u16));
        }
        Err(PortRangeError::Empty) => assert_eq!(or_default, Ok(PortRange::DEFAULT)),
        Err(error) => assert_eq!(or_default, Err(error)),
    }
}

/// Against Nova's lines, written down once more.
fn counts(mut input: Input<'_>) {
    let given = input.byte();
    let limit = (given & 4 != 0).then_some(u32::from(input.byte()));
    let flavor = text(input.blob());
    let image = text(input.rest());
    let flavor = (given & 1 != 0).then_some(flavor.as_str());
    let image = (given & 2 != 0).then_some(image.as_str());
    let number = |text: &str| -> Option<u32> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let expected = (|| {
        let flavor = match flavor {
            None | Some("") => 0,
            Some(text) => number(text).ok_or(PortCountError::Flavor)?,
        };
        let image = match image {
            None => 0,
            Some(text) => number(text).ok_or(PortCountError::Image)?,
        };
        if flavor != 0 && image != 0 && image > flavor {
            return Err(PortCountError::AboveFlavor { image, flavor });
        }
        let count = [image, flavor, 1].into_iter().find(|count| *count != 0).unwrap();
        match limit {
            Some(limit) if count > limit => Err(PortCountError::AboveLimit { count, limit }),
            _ => Ok(count),
        }
    })();
    assert_eq!(port_count(flavor, image, limit), expected);
}

/// The allocator against a set of pairs, restarts included; and JSON of any form.
fn ports(mut input: Input<'_>) {
    if input.byte() & 1 != 0 {
        let Ok(read) = serde_json::from_slice::<PortAllocator>(input.rest()) else {
            return;
        };
        let written = serde_json::to_vec(&read).unwrap();
        assert_eq!(serde_json::from_slice::<PortAllocator>(&written).unwrap(), read);
        return;
    }
    const ADDRESSES: [&str; 2] = ["192.0.2.7", "::1"];
    let mut bounds = 1..9_u16;
    let mut ports = PortAllocator::new(PortRange::new(1, 9).unwrap());
    let mut model = BTreeSet::new();
    for step in input.rest().chunks_exact(3).take(64) {
        let (address, port) = (ADDRESSES[usize::from(step[1] & 1)], u16::from(step[2]));
        match step[0] % 5 {
            0 => {
                // The bits of the last byte are ports that another program has bound.
                let can_bind = |at: u16| step[2] & (1 << (at % 8)) == 0;
                let expected = bounds
                    .clone()
                    .find(|at| !model.contains(&(address, *at)) && can_bind(*at));
                model.extend(expected.map(|at| (address, at)));
                assert_eq!(ports.acquire(address, |_, at| can_bind(at)).ok(), expected);
            }
            1 => assert_eq!(ports.reserve(address, port), model.insert((address, port))),
            2 => assert_eq!(ports.release(address, port), model.remove(&(address, port))),
            3 => {
                bounds = port.max(1)..port.max(1) + 1 + u16::from(step[1]);
                ports.set_range(PortRange::new(bounds.start.into(), bounds.end.into()).unwrap());
            }
            _ => ports = serde_json::from_slice(&serde_json::to_vec(&ports).unwrap()).unwrap(),
        }
        assert!(ports.taken().eq(model.iter().copied()));
    }
}

/// Replies, with how they are cut: the whole gives what the pieces give, and little is said.
fn authd(mut input: Input<'_>) {
    let cut = usize::from(input.byte() % 16) + 1;
    let replies: [&[u8]; 5] = core::array::from_fn(|_| input.blob());
    let whole = talk(&replies, usize::MAX);
    assert_eq!(talk(&replies, cut), whole);
}

fn talk(replies: &[&[u8]; 5], cut: usize) -> (Result<Thumbprint, LoginError>, Vec<u8>) {
    const NOW: Duration = Duration::from_secs(1);
    let ticket = Secret::presented(b"ticket").unwrap();
    let ticket = MksTicket::new(ticket, "a b.vmx", Thumbprint::of(b"login")).unwrap();
    let config = LoginConfig::default()
        .with_max_reply(128)
        .with_timeout(Duration::from_secs(5));
    let mut login = Login::new(NOW, config, ticket, &[7; 12]);
    assert_eq!(login.deadline(), NOW + Duration::from_secs(5));
    let shown = format!("{login:?}");
    assert!(
        !shown.contains("\"ticket\"") && shown.contains("Random(redacted)"),
        "{shown}"
    );
    let mut buffers = Buffers::default();
    let mut said = Vec::new();
    let mut replies = replies.iter();
    let mut to_send = replies.next().unwrap().to_vec();
    for _ in 0..10_000 {
        let stepped = login.step(NOW, &mut buffers);
        let stage = login.stage();
        assert!(
            !stage.to_string().is_empty() && (stage != Stage::Ended || !matches!(stepped, Ok(Action::Receive { .. })))
        );
        let sent = buffers.tx.clone();
        assert_eq!(
            format!("{buffers:?}"),
            format!("Buffers {{ rx: {}, tx: {} }}", buffers.rx.len(), sent.len())
        );
        buffers.sent(sent.len());
        if sent.ends_with(b"\r\n") {
            to_send.extend_from_slice(replies.next().unwrap());
        }
        said.extend_from_slice(&sent);
        assert!(said.len() < 200);
        match stepped {
            Ok(Action::Receive { at_least }) => {
                assert!(0 < at_least && buffers.rx.len() < login.max_input());
                // An answer that was not asked for changes nothing.
                assert_eq!(login.secured(&mut buffers, b"login"), Err(Misuse::NotAsked.into()));
                if to_send.is_empty() {
                    if cut == 1 {
                        let late = login.step(login.deadline(), &mut buffers);
                        assert_eq!(late, Err(LoginError::TimedOut(stage)));
                        return (Err(LoginError::Closed(stage)), said);
                    }
                    return (login.eof().map(|outcome| outcome.thumbprint), said);
                }
                let cut = cut.min(to_send.len());
                buffers.rx.extend(to_send.drain(..cut));
            }
            Ok(Action::StartTls(tls)) => {
                assert!(buffers.rx.is_empty() && login.step(NOW, &mut buffers) == Ok(Action::Waiting));
                // Read only now, it would be for TLS to refuse.
                if !to_send.is_empty() {
                    let early = Misbehaviour::BytesBeforeTls(tls.layer);
                    return (Err(LoginError::PeerMisbehaved(early)), said);
                }
                let certificate: &[u8] = if said.is_empty() { b"login" } else { b"console" };
                let secured = login.secured(&mut buffers, certificate);
                assert_eq!(secured.is_ok(), Thumbprint::of(certificate) == tls.thumbprint);
            }
            Ok(Action::Waiting) => unreachable!("TLS was reported"),
            Ok(Action::Done(outcome)) => {
                let after = [login.step(NOW, &mut buffers).err(), login.eof().err()];
                assert_eq!(after, [Some(Misuse::Ended.into()); 2]);
                return (Ok(outcome.thumbprint), said);
            }
            Err(error) => {
                assert_eq!(login.step(NOW, &mut buffers), Err(error));
                assert!(buffers.tx.is_empty());
                return (Err(error), said);
            }
        }
    }
    unreachable!("it does not end")
}

/// Tickets and thumbprints read back as they are written; passwords are for VNC and SPICE.
fn tickets(text: &str) {
    if let Ok(ticket) = MksTicket::from_access_path(&AccessPath::new(text)) {
        let written = ticket.to_access_path();
        let made = MksTicket::new(
            Secret::presented(ticket.ticket().expose().as_bytes()).unwrap(),
            ticket.cfg_file(),
            ticket.thumbprint(),
        );
        assert_eq!(made.as_ref(), Ok(&ticket));
        assert_eq!(format!("{written:?}"), "AccessPath(redacted)");
        assert_eq!(MksTicket::from_access_path(&written), Ok(ticket));
    }
    if let Ok(info) = ConnectInfo::from_json(text) {
        let written = info.to_json();
        if written.len() <= 4096 {
            assert_eq!(ConnectInfo::from_json(&written), Ok(info));
        }
    }
    if let Ok(thumbprint) = text.parse::<Thumbprint>() {
        assert_eq!(thumbprint.to_string(), text.replace(':', "").to_lowercase());
        assert_eq!(format!("{thumbprint:#}").parse(), Ok(thumbprint));
        let digits: String = thumbprint.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(format!("{thumbprint:?}"), format!("Thumbprint({digits})"));
    }
    for console in CONSOLES {
        let fits = matches!(console.protocol(), Protocol::Vnc | Protocol::Spice)
            && (1..=8).contains(&text.len())
            && !text.chars().any(char::is_control);
        let password = ConsolePassword::new(console, text);
        assert_eq!(password.is_ok(), fits);
        if let Ok(password) = password {
            assert_eq!(
                (password.expose(), format!("{password:?}")),
                (text, "ConsolePassword(redacted)".into())
            );
        }
        assert_eq!(text == console.as_str(), text.parse() == Ok(console));
    }
}
