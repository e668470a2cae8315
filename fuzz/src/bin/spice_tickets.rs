#![cfg_attr(fuzzing, no_main)]
//! Tickets and keys of a peer, and what else it says before a message: first bytes, lists of mechanisms.
//!
//! ```text
//! | what u8 | ... |                  what modulo 5:
//! 0 text:       | an opened ticket |
//! 1 sealed:     | password: length u8, bytes | changes, each | place u8 | byte u8 | |
//! 2 any ticket: | up to 128 bytes |
//! 3 any key:    | up to 162 bytes |
//! 4 words:      | name: length u8, bytes | the first bytes, or a list of mechanisms |
//! ```
//!
//! Not searched in CI: see LAWS.md.

use std::sync::OnceLock;

use bytes::BytesMut;
use fuzz::Input;
use spice_proto::Limits;
use spice_proto::link::sasl::{MechList, SealedPacket};
use spice_proto::link::{FirstBytes, Key, Protocol, PublicKey, SealedTicket};
use spice_proto::session::tracker::{MAX_TICKET, TicketFault, ticket_text};

fuzz::target!(check);

/// Bytes that differ, from a counter.
fn random() -> impl FnMut(&mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |out| {
        for byte in out {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
    }
}

fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::generate(&mut random()).expect("a key can be made"))
}

/// As the documentation says, written down once more.
fn text(ticket: &[u8]) {
    let body = match ticket.last() {
        Some(0) => &ticket[..ticket.len() - 1],
        _ => ticket,
    };
    let expected = match std::str::from_utf8(body) {
        _ if MAX_TICKET < body.len() => Err(TicketFault::TooLong),
        _ if body.contains(&0) => Err(TicketFault::Nul),
        Err(_) => Err(TicketFault::NotUtf8),
        Ok(text) => Ok(text),
    };
    assert_eq!(ticket_text(ticket), expected);
}

fn sealed(mut input: Input<'_>) {
    let password = input.short_blob();
    let seal = key().public().seal(password, [5; 20]);
    let fits = password.len() <= 60 && !password.contains(&0);
    assert_eq!(seal.is_ok(), fits);
    let Ok(SealedTicket(whole)) = seal else { return };
    let mut changed = whole;
    for change in input.rest().chunks_exact(2) {
        changed[usize::from(change[0]) % changed.len()] ^= change[1];
    }
    let (opened, content) = open(changed);
    if changed == whole {
        assert_eq!(opened.as_deref(), Some(password));
        let content = content.expect("it is opened whole, too");
        assert_eq!(content.split_last(), Some((&0, password)));
        assert_eq!(
            ticket_text(&content).ok().map(str::as_bytes),
            std::str::from_utf8(password).ok().map(str::as_bytes)
        );
    } else {
        assert_eq!(opened, None, "OAEP does not open what was changed");
    }
}

/// A ticket by both ways to open one, which agree.
fn open(sealed: [u8; 128]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let sealed = SealedTicket(sealed);
    let opened = key()
        .open(&sealed, &mut random())
        .ok()
        .map(|secret| secret.expose().to_vec());
    let whole = key()
        .open_whole(&sealed, &mut random())
        .ok()
        .map(|secret| secret.expose().to_vec());
    if let Some(opened) = &opened {
        assert!(opened.len() <= 60 && whole.as_ref().expect("the same key").starts_with(opened));
    }
    (opened, whole)
}

/// A peer's key either seals what fits, or is refused whatever is to be sealed.
fn any_key(bytes: &[u8]) {
    let mut der = *include_bytes!("../public-key.der");
    for (place, byte) in der.iter_mut().zip(bytes) {
        *place = *byte;
    }
    let key = PublicKey::from_der(der);
    let sealed = key.seal(b"ticket", [1; 20]);
    assert_eq!(sealed.is_ok(), key.seal(b"", [2; 20]).is_ok());
    assert!(key.seal(&[b'x'; 61], [1; 20]).is_err());
    if let Ok(SealedTicket(sealed)) = sealed {
        // It is a number below the modulus, so never the password itself.
        assert!(!sealed.windows(6).any(|window| window == b"ticket"));
        assert_eq!(key.seal(b"ticket", [1; 20]).map(|again| again.0), Ok(sealed));
    }
}

fn words(mut input: Input<'_>) {
    let name = input.short_blob();
    let bytes = input.rest();
    let first = FirstBytes::of(bytes);
    assert_eq!(first.as_bytes(), &bytes[..bytes.len().min(4)]);
    assert!(!first.to_string().is_empty() || bytes.is_empty());
    if bytes.starts_with(b"REDQ") {
        assert_eq!(first.protocol(), Some(Protocol::Spice));
    }
    // More bytes never name another protocol, but may take the name away.
    for cut in 1..bytes.len().min(4) {
        if let (Some(one), Some(other)) = (FirstBytes::of(&bytes[..cut]).protocol(), first.protocol()) {
            assert_eq!(one, other);
        }
    }
    let limits = Limits::default().with_sasl_packet(1 << 16);
    match SealedPacket::decode(bytes, &limits) {
        Ok(Some(packet)) => {
            let mut written = BytesMut::new();
            packet.encode(&mut written);
            assert!(packet.length <= 1 << 16 && bytes.starts_with(&written));
        }
        Ok(None) => assert!(bytes.len() < SealedPacket::LEN),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(Some((list, taken))) = MechList::decode(bytes, &Limits::default()) {
        assert!(taken <= bytes.len());
        assert_eq!(list.offers(name), list.names().any(|own| own == name));
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 5 {
        0 => text(input.rest()),
        1 => sealed(input),
        2 => {
            let mut ticket = [0; 128];
            for (place, byte) in ticket.iter_mut().zip(input.rest()) {
                *place = *byte;
            }
            let _ = open(ticket);
        }
        3 => any_key(input.rest()),
        _ => words(input),
    }
}
