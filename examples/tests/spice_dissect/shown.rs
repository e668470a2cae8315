//! What the lines show.

use std::io::Cursor;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};
use spice_proto::agent::{AnnounceCapabilities, ClipboardGrab, Message, Pieces, caps};
use spice_proto::caps::CapabilityWords;
use spice_proto::frame::{Header, HeaderForm};
use spice_proto::ids::{ChannelType, ClipboardSelection, ClipboardType};

use crate::{Folder, code, lines, linked, mini, pair, run, stderr};

/// The lines about messages, those of the agent too.
fn messages(lines: Vec<Value>) -> Vec<Value> {
    lines
        .into_iter()
        .filter(|line| line["kind"] == "message" || line["kind"] == "agent")
        .collect()
}

#[test]
fn numbers_that_are_not_known_and_trailing_bytes() {
    let folder = Folder::new();
    let [mut client, server] = linked(ChannelType::INPUTS, true);
    let at = client.len();
    mini(&mut client, 4000, &[1, 2, 0xab]);
    mini(&mut client, 103, &[7, 0, 0xcd]);
    let output = pair(&folder, &[client, server], &["--reencode"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        messages(lines(&output)),
        [
            json!({
                "connection": 0, "direction": "c2s", "offset": at, "kind": "message", "channel": "inputs",
                "channel_id": 0, "header": "mini", "serial": 1, "number": 4000, "name": "unknown", "size": 3,
                "body": "0102ab"
            }),
            json!({
                "connection": 0, "direction": "c2s", "offset": at + 9, "kind": "message", "channel": "inputs",
                "channel_id": 0, "header": "mini", "serial": 2, "number": 103, "name": "key_modifiers", "size": 3,
                "fields": { "modifiers": ["SCROLL_LOCK", "NUM_LOCK", "CAPS_LOCK"] }, "trailing": "cd"
            })
        ]
    );
    assert!(
        stderr(&output).contains("1 unknown (50.000 % known)"),
        "{}",
        stderr(&output)
    );
}

/// A list of these messages, as it stands in a body at `start`.
fn list(start: usize, messages: &[(u16, u32, &[u8])]) -> Vec<u8> {
    let mut at = start + 2 + 4 * messages.len();
    let (mut head, mut tail) = ((messages.len() as u16).to_le_bytes().to_vec(), Vec::new());
    for (number, size, data) in messages {
        head.extend((at as u32).to_le_bytes());
        tail.extend([&number.to_le_bytes()[..], &size.to_le_bytes(), data].concat());
        at += 6 + data.len();
    }
    [head, tail].concat()
}

#[test]
fn sub_messages_of_a_list_and_of_a_full_header() {
    let wait = [&[1, 2, 0][..], &9_u64.to_le_bytes()].concat();
    let invalid = [&[1, 0, 1][..], &5_u64.to_le_bytes()].concat();
    // The sizes are those that spice-server writes: they go beyond the data.
    let subs: [(u16, u32, &[u8]); 2] = [(5, 24, &wait), (105, 24, &invalid)];
    let expected = |at: usize| {
        json!([
            {
                "offset": at + 10, "declared_size": 24, "number": 5, "name": "wait_for_channels", "size": 11,
                "fields": { "wait_list": [{ "channel_type": "DISPLAY", "channel_id": 0, "message_serial": 9 }] }
            },
            {
                "offset": at + 27, "declared_size": 24, "number": 105, "name": "inval_list", "size": 11,
                "fields": { "resources": [{ "type": 1, "id": 5 }] }
            }
        ])
    };
    let folder = Folder::new();
    let [client, mut server] = linked(ChannelType::DISPLAY, true);
    mini(&mut server, 8, &list(0, &subs));
    let output = pair(&folder, &[client, server], &["--reencode"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = &messages(lines(&output))[0];
    assert_eq!(shown["name"], "list");
    assert_eq!(shown["sub_messages"], expected(0));

    let [client, mut server] = linked(ChannelType::DISPLAY, false);
    let body = [&7_u64.to_le_bytes()[..], &[0xee], &list(9, &subs)].concat();
    let header = Header {
        serial: 41,
        number: 107,
        size: body.len() as u32,
        sub_list: 9,
    };
    header.write(HeaderForm::Full, &mut server);
    server.extend_from_slice(&body);
    let output = pair(&folder, &[client.clone(), server.clone()], &["--reencode"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = &messages(lines(&output))[0];
    assert_eq!((&shown["header"], &shown["serial"]), (&json!("full"), &json!(41)));
    assert_eq!(
        (&shown["name"], &shown["trailing"]),
        (&json!("inval_palette"), &json!("ee"))
    );
    assert_eq!(shown["sub_messages"], expected(9));
    let stats = pair(&folder, &[client, server], &["--stats=json"]);
    let total = lines(&stats).pop().unwrap()["total"].take();
    assert_eq!((&total["messages"], &total["sub_messages"]), (&json!(1), &json!(2)));
}

#[test]
fn agent_messages_are_read_by_what_both_sides_announce() {
    let bits = [caps::CLIPBOARD_BY_DEMAND, caps::CLIPBOARD_SELECTION];
    let announce = Message::AnnounceCapabilities(AnnounceCapabilities {
        request: 0,
        caps: CapabilityWords::of(&bits),
    });
    let agreed = caps::Agreed::of(&bits);
    let grab = Message::ClipboardGrab(ClipboardGrab {
        selection: agreed.selection(ClipboardSelection::PRIMARY),
        serial: None,
        types: vec![ClipboardType::UTF8_TEXT; 1000],
    });
    // Nothing tells the order of the two directions, and each needs what the other announces.
    let mut streams = linked(ChannelType::MAIN, true);
    mini(&mut streams[1], 103, &[0; 32]);
    for (side, number) in [(0, 107), (1, 109)] {
        for message in [&announce, &grab, &announce] {
            for body in Pieces::new(message).unwrap() {
                mini(&mut streams[side], number, &body);
            }
        }
    }
    let folder = Folder::new();
    let output = pair(&folder, &streams, &["--reencode"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let agent: Vec<_> = messages(lines(&output))
        .into_iter()
        .filter(|line| line["kind"] == "agent")
        .collect();
    assert_eq!(agent.len(), 6);
    assert!(stderr(&output).contains("6 of the agent"), "{}", stderr(&output));
    for direction in ["c2s", "s2c"] {
        let of: Vec<_> = agent.iter().filter(|line| line["direction"] == direction).collect();
        assert_eq!(
            of[0]["capabilities"],
            json!(["CLIPBOARD_BY_DEMAND", "CLIPBOARD_SELECTION"])
        );
        assert_eq!(
            (&of[1]["name"], &of[1]["length"]),
            (&json!("clipboard_grab"), &json!(4024))
        );
        assert_eq!(of[1]["fields"]["selection"]["selection"], "PRIMARY");
        assert_eq!(of[1]["fields"]["types"].as_array().unwrap().len(), 1000);
    }

    // A stream without a receiver: fatal, unless it began on another connection (there is no INIT then).
    let mut streams = linked(ChannelType::MAIN, true);
    let at = streams[0].len();
    mini(&mut streams[0], 107, &[2, 0, 0]);
    let output = pair(&folder, &streams, &[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        messages(lines(&output))[1]["error"]
            .as_str()
            .unwrap()
            .contains("truncated")
    );
    mini(&mut streams[1], 103, &[0; 32]);
    let output = pair(&folder, &streams, &[]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).starts_with(&format!("spice-dissect: connection 0, c2s, offset {at}: agent: ")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn long_texts_are_cut_and_heads_of_pictures_shown() {
    let folder = Folder::new();
    let [client, mut server] = linked(ChannelType::DISPLAY, true);
    let quic: Vec<u8> = [0x4349_5551_u32, 0, 4, 8, 9, 0x0102_0304]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let base = [&[0; 4][..], &[0; 16], &[0]].concat();
    let draw = [&base[..], &57_u32.to_le_bytes(), &[0; 16], &[8, 0, 0], &[0; 13]].concat();
    assert_eq!(draw.len(), 57);
    let descriptor = [&[0; 8][..], &[1, 0], &8_u32.to_le_bytes(), &8_u32.to_le_bytes()].concat();
    let image = [&descriptor[..], &(quic.len() as u32).to_le_bytes(), &quic].concat();
    mini(&mut server, 304, &[draw, image].concat());
    let streams = [client, server];
    let output = pair(&folder, &streams, &["--reencode", "--shorten=8"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = &messages(lines(&output))[0];
    assert_eq!(shown["fields"]["src_bitmap"]["payload"]["Packed"], "51554943...[48]");
    assert_eq!(shown["images"][0]["head"]["Quic"]["height"], 9);
    let whole = pair(&folder, &streams, &["--shorten=0"]);
    let shown = &messages(lines(&whole))[0];
    assert_eq!(shown["images"][0]["error"], "QuicHead.height is 9, expected 8");
    assert_eq!(
        shown["fields"]["src_bitmap"]["payload"]["Packed"]
            .as_str()
            .unwrap()
            .len(),
        48
    );
}

#[test]
fn the_byte_of_file_descriptors_on_a_unix_socket() {
    let [client, mut server] = linked(ChannelType::DISPLAY, true);
    let scanout: Vec<u8> = [640_u32, 480, 2560, 0x3432_5258, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    mini(&mut server, 320, &scanout);
    server.extend_from_slice(b"@");
    mini(&mut server, 102, &[]);
    let folder = Folder::new();
    let streams = [client, server];
    let output = pair(&folder, &streams, &["--unix", "--reencode"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = messages(lines(&output));
    assert_eq!(
        (&shown[0]["descriptor_byte"], &shown[1]["name"]),
        (&json!(b'@'), &json!("mark"))
    );
    assert!(stderr(&output).contains(&format!("{} bytes placed", streams[0].len() + streams[1].len())));
    assert_eq!(code(&pair(&folder, &streams, &[])), 1);
}

#[test]
fn tls_is_told_with_the_name_that_it_asks_for() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("console.example").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Cursor::new(Vec::new());
    connection.write_tls(&mut hello).unwrap();
    let client = BytesMut::from(&hello.into_inner()[..]);
    let server = BytesMut::from(&Bytes::from_static(b"whatever the server answers")[..]);
    let sizes = client.len() + server.len();
    let folder = Folder::new();
    let output = pair(&folder, &[client, server], &[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = lines(&output);
    assert_eq!(
        (&shown[1]["by"], &shown[1]["server_name"]),
        (&json!("tls"), &json!("console.example"))
    );
    assert!(stderr(&output).contains(&format!("{sizes} bytes placed ({sizes} of them encrypted)")));
}

#[test]
fn sums_for_people() {
    let output = run(&["--stats", &crate::data("ticket-right-and-wrong.pcap.gz")]);
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|row| row.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["main", "s2c", "103", "init", "2", "76"]), "{text}");
    assert!(text.ends_with("538555 bytes placed\n"), "{text}");
}
