//! No secret of a log-in is shown, and what held one is overwritten.

use super::*;

#[test]
fn nothing_is_shown() {
    for login in at_each_stage() {
        let shown = format!("{login:?} {login:#?}");
        assert!(!shown.contains("52b5ae81") && !shown.contains(RANDOM), "{shown}");
    }
}

/// Whether a text shows the bytes of a secret: as text, or as numbers in a list.
fn shows(text: &str, secret: &str) -> bool {
    let numbers = secret
        .bytes()
        .map(|byte| byte.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let digits: String = base16ct::lower::encode_string(secret.as_bytes());
    text.contains(secret) || text.contains(&numbers) || text.to_lowercase().contains(&digits)
}

/// The machine, its wire, what it asks for and what it says at every stage and with every byte: no secret is shown. The
/// peer repeats the ticket, as some versions of authd do, and says something wrong in the end.
#[test]
fn debug_shows_no_secret() {
    let repeats = format!("331 Password required for {TICKET}.\r\n");
    let replies = [
        format!("{GREETING}\r\n"),
        repeats,
        "230 User logged in.\r\n".to_owned(),
        format!("200 {:#}\r\n", Thumbprint::of(CONSOLE_CERTIFICATE)),
        format!("500 {TICKET} {RANDOM}\r\n"),
    ];
    let looked = core::cell::Cell::new(0);
    let look = |login: &Login, wire: &Buffers, said: &dyn core::fmt::Debug| {
        for secret in [TICKET, RANDOM] {
            for text in [
                format!("{login:?} {wire:?} {said:?}"),
                format!("{login:#?} {wire:#?} {said:#?}"),
            ] {
                assert!(!shows(&text, secret) && !text.contains(&secret[..8]), "{text}");
            }
        }
        looked.set(looked.get() + 1);
    };
    let (mut login, mut wire) = (login(), Buffers::default());
    let mut stages = std::collections::HashSet::new();
    for reply in replies {
        for byte in reply.bytes() {
            wire.rx.extend([byte]);
            let mut stepped = login.step(START, &mut wire);
            stages.insert(login.stage());
            look(&login, &wire, &stepped);
            if let Ok(Action::StartTls(tls)) = stepped {
                let waiting = login.step(START, &mut wire);
                look(&login, &wire, &waiting);
                let certificate = match tls.layer {
                    TlsLayer::Login => LOGIN_CERTIFICATE,
                    TlsLayer::Console => CONSOLE_CERTIFICATE,
                };
                let secured = login.secured(&mut wire, certificate);
                look(&login, &wire, &secured);
                stepped = login.step(START, &mut wire);
                look(&login, &wire, &stepped);
            }
            if let Err(error) = stepped {
                assert!(!shows(&error.to_string(), TICKET));
            }
            let sent = wire.tx.len();
            wire.sent(sent / 2);
            look(&login, &wire, &());
            wire.sent(sent);
            assert!(wire.tx.is_empty());
        }
    }
    assert_eq!(stages.len(), 7, "{stages:?}");
    assert!(200 < looked.get());
    let wire = {
        let mut wire = Buffers::default();
        wire.rx.extend(TICKET.bytes());
        wire.tx.extend([1, 2]);
        wire
    };
    assert_eq!(format!("{wire:?}"), "Buffers { rx: 36, tx: 2 }");
}

/// The bytes at an address of this process, also when nothing owns them any more.
#[cfg(target_os = "linux")]
fn memory(address: *const u8, len: usize) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;

    let mut bytes = vec![0; len];
    let file = std::fs::File::open("/proc/self/mem").unwrap();
    file.read_exact_at(&mut bytes, u64::try_from(address.addr()).unwrap())
        .unwrap();
    bytes
}

/// What was sent, what was read, and what is left at the end is overwritten.
#[cfg(target_os = "linux")]
#[test]
fn buffers_are_overwritten() {
    use bytes::BytesMut;

    const SIZE: usize = 4096;
    let holds = |address, secret: &str| {
        let bytes = memory(address, SIZE);
        bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    };
    let mut wire = Buffers {
        rx: BytesMut::zeroed(SIZE + 1),
        tx: BytesMut::zeroed(SIZE + 1),
    };
    wire.rx.clear();
    wire.tx.clear();
    // With a second handle to each buffer none of them is given back, nor used for anything else.
    let [rx, tx] = [wire.rx.as_ptr(), wire.tx.as_ptr()];
    let kept = [wire.rx.split_off(SIZE), wire.tx.split_off(SIZE)];
    let mut login = login();
    let mut reply = |wire: &mut Buffers, text: &str| {
        wire.rx.extend_from_slice(text.as_bytes());
        let action = login.step(START, wire).unwrap();
        if matches!(action, Action::StartTls(_)) {
            login.secured(wire, LOGIN_CERTIFICATE).unwrap();
        }
    };
    reply(&mut wire, "220 authd\r\n");
    assert!(holds(tx, TICKET), "it is to be sent");
    wire.sent(wire.tx.len());
    assert!(!holds(tx, TICKET), "it was sent");
    reply(&mut wire, &format!("331 Password required for {TICKET}.\r\n"));
    assert!(!holds(rx, TICKET), "it was read");
    wire.sent(wire.tx.len() - 1);
    assert!(!holds(tx, TICKET));
    reply(&mut wire, "230 in\r\n");
    wire.rx.extend_from_slice(TICKET.as_bytes());
    assert!(holds(rx, TICKET) && holds(tx, RANDOM));
    drop(wire);
    assert!(!holds(rx, TICKET) && !holds(tx, RANDOM), "what was left");
    drop(kept);

    // A buffer that is too small is left for another one, and overwritten before.
    let mut wire = Buffers::default();
    wire.tx = BytesMut::zeroed(64);
    wire.tx.clear();
    let small = wire.tx.as_ptr();
    let kept = wire.tx.split_off(60);
    let mut login = login_with(LoginConfig::default());
    for text in ["220 a\r\n", "331 b\r\n"] {
        // The driver is slow: nothing is sent.
        wire.rx.extend_from_slice(text.as_bytes());
        if matches!(login.step(START, &mut wire), Ok(Action::StartTls(_))) {
            login.secured(&mut wire, LOGIN_CERTIFICATE).unwrap();
        }
    }
    assert_eq!(wire.tx, format!("USER {TICKET}\r\nPASS {TICKET}\r\n").as_bytes());
    let left = memory(small, 60);
    assert!(
        !left.windows(8).any(|window| window == &TICKET.as_bytes()[..8]),
        "{left:?}"
    );
    drop(kept);
}
