//! Peers that do not speak RFB: refused at their first wrong byte, and named.

use core::fmt::Display;
use core::time::Duration;

use expect_test::{Expect, expect};
use rfb_proto::handshake::bridge::{BridgeQuestion, Upstream};
use rfb_proto::handshake::{
    Bridge, BridgeConfig, Buffers, ClientConfig, ClientHandshake, ServerConfig, ServerHandshake, SideBuffers,
};
use rfb_proto::security::SecurityType;
use rfb_proto::{BridgeDriven, Clock, FirstBytes, drive, drive_bridge};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

use crate::data::hex;

/// How a peer says it: all at once, or byte by byte with pauses; and whether it goes or stays.
const MANNERS: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

/// More than any answer takes.
const SOON: Duration = Duration::from_millis(500);

async fn say(mut stream: DuplexStream, says: Vec<u8>, at_once: bool, stays: bool) {
    // A peer that is refused early may write the rest to a closed stream.
    if at_once {
        let _ = stream.write_all(&says).await;
    } else {
        for byte in says {
            let _ = stream.write_all(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    if stays {
        core::future::pending::<()>().await;
    }
}

/// What the driver says of a peer that says this: as the server, as the client, and as a bridge on both sides.
async fn errors(says: &[u8], at_once: bool, stays: bool) -> Vec<String> {
    let mut errors = Vec::new();
    for place in 0..4 {
        let (near, mut far) = duplex(4096);
        let clock = Clock::start();
        let own = async {
            let text = |error: &dyn Display| error.to_string();
            match place {
                0 => {
                    let config = ServerConfig::new(&[SecurityType::VNC]);
                    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), config), Buffers::default());
                    text(&drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap_err())
                }
                1 => {
                    let config = ClientConfig::new(&[SecurityType::VNC]);
                    let (mut machine, mut buffers) = (ClientHandshake::new(clock.now(), config), Buffers::default());
                    text(&drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap_err())
                }
                2 => {
                    let mut bridge = Bridge::new(clock.now(), BridgeConfig::default());
                    let mut sides = SideBuffers::default();
                    let driven = drive_bridge::<_, DuplexStream>(&mut bridge, &mut sides, &mut far, None, clock);
                    text(&driven.await.unwrap_err())
                }
                _ => {
                    let mut bridge = Bridge::new(clock.now(), BridgeConfig::nova());
                    let (mut sides, (mut viewer, mut tenant)) = (SideBuffers::default(), duplex(4096));
                    viewer.write_all(b"RFB 003.008\n").await.unwrap();
                    let driven = drive_bridge::<_, DuplexStream>(&mut bridge, &mut sides, &mut tenant, None, clock);
                    assert_eq!(driven.await.unwrap(), BridgeDriven::Ask(BridgeQuestion::Connect));
                    bridge.connect(Upstream::default()).unwrap();
                    let driven = drive_bridge(&mut bridge, &mut sides, &mut tenant, Some(&mut far), clock);
                    text(&driven.await.unwrap_err())
                }
            }
        };
        let peer = say(near, says.to_vec(), at_once, stays);
        let error = tokio::select! {
            error = own => error,
            () = async { peer.await; core::future::pending().await } => unreachable!(),
        };
        assert!(clock.now() < SOON, "{says:02x?} takes {:?}: {error}", clock.now());
        errors.push(error);
    }
    errors
}

/// What the peer sent, and what the errors end with.
fn strangers() -> Vec<(Vec<u8>, Expect)> {
    vec![
        (hex("48454c4c4f0d0a"), expect![[r#""HELLO\r\n""#]]),
        (hex("15030100020246"), expect!["a TLS alert (15 03 01 00 02 02 46)"]),
        (
            hex("1603010200010001fc0303aabbccdd"),
            expect!["a TLS ClientHello (16 03 01 02 00 01 00 01 fc 03 03 aa)"],
        ),
        (
            hex("80 2e 01 03 01 00 15 00"),
            expect!["a ClientHello of SSL 2 (80 2e 01 03 01 00 15 00)"],
        ),
        (
            b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0".to_vec(),
            expect!["SPICE (52 45 44 51 02 00 00 00 02 00 00 00)"],
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec(),
            expect![[r#"SSH ("SSH-2.0-Open")"#]],
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
            expect![[r#"an HTTP response ("HTTP/1.1 400")"#]],
        ),
        (
            b"GET /websockify?token=3f2a HTTP/1.1\r\n".to_vec(),
            expect![[r#"an HTTP request ("GET /websock")"#]],
        ),
        (
            hex("0300002f2ae00000000000436f6f6b69653a"),
            expect!["RDP (03 00 00 2f 2a e0 00 00 00 00 00 43)"],
        ),
        (
            b"PROXY TCP4 192.0.2.1 ".to_vec(),
            expect![[r#"a header of the PROXY protocol, which is not spoken here ("PROXY TCP4 1")"#]],
        ),
        (
            b"ID:4711\0\0\0\0\0\0\0".to_vec(),
            expect![[r#"an identifier for an UltraVNC repeater ("ID:")"#]],
        ),
        (
            b"{\"QMP\": {\"version\"".to_vec(),
            expect![[r#"QMP, the monitor of QEMU ("{\"QMP\": {\"ve")"#]],
        ),
        (b"rfb 003.008\n".to_vec(), expect![[r#""rfb 003.008\n""#]]),
        (b"RFB 3.8\n".to_vec(), expect![[r#"RFB ("RFB 3.8\n")"#]]),
        (vec![0; 40], expect!["00 00 00 00 00 00 00 00 00 00 00 00"]),
    ]
}

#[tokio::test(start_paused = true)]
async fn not_rfb() {
    for (says, expected) in strangers() {
        for (at_once, stays) in MANNERS {
            let places = errors(&says, at_once, stays).await;
            for (error, start) in places.iter().zip(["", "", "tenant: ", "hypervisor: "]) {
                let start = format!("{start}ProtocolVersion.");
                assert!(error.starts_with(&start), "{error}");
                let (_, came) = error
                    .split_once("; it sent ")
                    .unwrap_or_else(|| panic!("not named: {error}"));
                // What comes with the first bytes is named; of what comes later at least these.
                match at_once {
                    true => expected.assert_eq(came),
                    false => assert!(!came.contains("nothing"), "{came}"),
                }
            }
        }
    }
}

/// A repeater speaks RFB; the client has to say where it wants to connect.
#[tokio::test(start_paused = true)]
async fn a_repeater() {
    let places = errors(b"RFB 000.000\n", true, true).await;
    expect![[r#"
        peer incompatible: version 0.0 is not supported: an UltraVNC repeater, which wants to be told where to connect
        peer incompatible: version 0.0 is not supported: an UltraVNC repeater, which wants to be told where to connect
        tenant: peer incompatible: version 0.0 is not supported: an UltraVNC repeater, which wants to be told where to connect
        hypervisor: peer incompatible: version 0.0 is not supported: an UltraVNC repeater, which wants to be told where to connect"#]]
    .assert_eq(&places.join("\n"));
}

/// Whatever it is, it is shown and not much of it; and nothing that could be RFB is called something else.
#[test]
fn any_opening() {
    for first in 0..=u8::MAX {
        for len in [0, 1, 2, 5, 12, 13, 300] {
            let stream = vec![first; len];
            let opening = FirstBytes::of(&stream);
            assert_eq!(opening.bytes(), &stream[..len.min(FirstBytes::SHOWN)]);
            assert!(opening.to_string().len() < 100 && format!("{opening:?}").len() < 120);
        }
    }
    assert_eq!(FirstBytes::of(b"").to_string(), "nothing");
    let line = b"RFB 003.008\n";
    for len in 0..4 {
        assert_eq!(FirstBytes::of(&line[..len]).looks_like(), None);
    }
    for len in 4..=12 {
        assert_eq!(FirstBytes::of(&line[..len]).looks_like(), Some("RFB"));
    }
}
