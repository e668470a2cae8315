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
    let look = |login: &Login, buffers: &Buffers, said: &dyn core::fmt::Debug| {
        for secret in [TICKET, RANDOM] {
            for text in [
                format!("{login:?} {buffers:?} {said:?}"),
                format!("{login:#?} {buffers:#?} {said:#?}"),
            ] {
                assert!(!shows(&text, secret) && !text.contains(&secret[..8]), "{text}");
            }
        }
        looked.set(looked.get() + 1);
    };
    let (mut login, mut buffers) = (login(), Buffers::default());
    let mut stages = std::collections::HashSet::new();
    for reply in replies {
        for byte in reply.bytes() {
            buffers.rx.extend([byte]);
            let mut stepped = login.step(START, &mut buffers);
            stages.insert(login.stage());
            look(&login, &buffers, &stepped);
            if let Ok(Action::StartTls(tls)) = stepped {
                let waiting = login.step(START, &mut buffers);
                look(&login, &buffers, &waiting);
                let certificate = match tls.layer {
                    TlsLayer::Login => LOGIN_CERTIFICATE,
                    TlsLayer::Console => CONSOLE_CERTIFICATE,
                };
                let secured = login.secured(&mut buffers, certificate);
                look(&login, &buffers, &secured);
                stepped = login.step(START, &mut buffers);
                look(&login, &buffers, &stepped);
            }
            if let Err(error) = stepped {
                assert!(!shows(&error.to_string(), TICKET));
            }
            let sent = buffers.tx.len();
            buffers.sent(sent / 2);
            look(&login, &buffers, &());
            buffers.sent(sent);
            assert!(buffers.tx.is_empty());
        }
    }
    assert_eq!(stages.len(), 7, "{stages:?}");
    assert!(200 < looked.get());
    let buffers = {
        let mut buffers = Buffers::default();
        buffers.rx.extend(TICKET.bytes());
        buffers.tx.extend([1, 2]);
        buffers
    };
    assert_eq!(format!("{buffers:?}"), "Buffers { rx: 36, tx: 2 }");
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
    let mut buffers = Buffers {
        rx: BytesMut::zeroed(SIZE + 1),
        tx: BytesMut::zeroed(SIZE + 1),
    };
    buffers.rx.clear();
    buffers.tx.clear();
    // With a second handle to each buffer none of them is given back, nor used for anything else.
    let [rx, tx] = [buffers.rx.as_ptr(), buffers.tx.as_ptr()];
    let kept = [buffers.rx.split_off(SIZE), buffers.tx.split_off(SIZE)];
    let mut login = login();
    let mut reply = |buffers: &mut Buffers, text: &str| {
        buffers.rx.extend_from_slice(text.as_bytes());
        let action = login.step(START, buffers).unwrap();
        if matches!(action, Action::StartTls(_)) {
            login.secured(buffers, LOGIN_CERTIFICATE).unwrap();
        }
    };
    reply(&mut buffers, "220 authd\r\n");
    assert!(holds(tx, TICKET), "it is to be sent");
    buffers.sent(buffers.tx.len());
    assert!(!holds(tx, TICKET), "it was sent");
    reply(&mut buffers, &format!("331 Password required for {TICKET}.\r\n"));
    assert!(!holds(rx, TICKET), "it was read");
    buffers.sent(buffers.tx.len() - 1);
    assert!(!holds(tx, TICKET));
    reply(&mut buffers, "230 in\r\n");
    buffers.rx.extend_from_slice(TICKET.as_bytes());
    assert!(holds(rx, TICKET) && holds(tx, RANDOM));
    drop(buffers);
    assert!(!holds(rx, TICKET) && !holds(tx, RANDOM), "what was left");
    drop(kept);

    // A buffer that is too small is left for another one, and overwritten before.
    let mut buffers = Buffers::default();
    buffers.tx = BytesMut::zeroed(64);
    buffers.tx.clear();
    let small = buffers.tx.as_ptr();
    let kept = buffers.tx.split_off(60);
    let mut login = login_with(LoginConfig::default());
    for text in ["220 a\r\n", "331 b\r\n"] {
        // The driver is slow: nothing is sent.
        buffers.rx.extend_from_slice(text.as_bytes());
        if matches!(login.step(START, &mut buffers), Ok(Action::StartTls(_))) {
            login.secured(&mut buffers, LOGIN_CERTIFICATE).unwrap();
        }
    }
    assert_eq!(buffers.tx, format!("USER {TICKET}\r\nPASS {TICKET}\r\n").as_bytes());
    let left = memory(small, 60);
    assert!(
        !left.windows(8).any(|window| window == &TICKET.as_bytes()[..8]),
        "{left:?}"
    );
    drop(kept);
}
