//! What the lines show.

use serde_json::{Value, json};

use crate::{begun, code, data, lines, pair, rectangle, run, stderr, update};

fn named(lines: &[Value], name: &str) -> Value {
    let found = lines.iter().find(|line| line["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}")).clone()
}

#[test]
fn messages_and_rectangles_have_their_fields() {
    let [mut client, mut server] = begun();
    client.extend([2, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff, 0xfe, 0xcc]);
    let at = server.len();
    server.extend(update(3));
    server.extend(rectangle(2, 1, 0));
    server.extend([1, 2, 3, 0, 4, 5, 6, 0]);
    server.extend(rectangle(640, 480, -308));
    server.extend([1, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 2, 0x80, 1, 0xe0, 0, 0, 0, 0]);
    server.extend(rectangle(0, 0, -307));
    server.extend([0, 0, 0, 2, b'h', b'i']);
    server.push(2);
    let output = pair(&[client, server], &["--reencode"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let lines = lines(&output);
    assert_eq!(
        named(&lines, "SetEncodings")["fields"]["encodings"],
        json!(["Tight", "ExtendedDesktopSize"])
    );
    let rectangles: Vec<_> = lines.iter().filter(|line| line["kind"] == "rectangle").collect();
    assert_eq!(
        *rectangles[0],
        json!({
            "connection": 0, "direction": "s2c", "offset": at + 4, "kind": "rectangle", "x": 0, "y": 0, "width": 2,
            "height": 1, "encoding": "Raw", "size": 8
        })
    );
    assert_eq!(rectangles[1]["fields"]["ExtendedDesktopSize"]["screens"][0]["id"], 9);
    assert_eq!(rectangles[2]["fields"]["DesktopName"]["name"], "hi");
    assert_eq!(named(&lines, "Bell")["size"], 1);
    let close = lines.last().unwrap();
    assert_eq!(
        (&close["kind"], &close["c2s"]["end"]),
        (&json!("close"), &json!("closed"))
    );
}

/// The response can be tried against passwords, so it is a secret too.
#[test]
fn secrets_are_shown_on_demand_only() {
    let name = data("errors.pcap.gz");
    let shown = |options: &[&str]| named(&lines(&run(&[&[name.as_str()], options].concat())), "VncResponse");
    assert_eq!(shown(&[])["fields"]["response"], Value::Null);
    assert_eq!(shown(&["--secrets"])["fields"]["response"].as_str().unwrap().len(), 32);
}

/// Messages that are longer than what is held have a size and no fields.
#[test]
fn long_messages_are_not_held() {
    let [client, mut server] = begun();
    let len = 500_000_u32;
    server.extend([3, 0, 0, 0]);
    server.extend(len.to_be_bytes());
    server.resize(server.len() + len as usize, b'x');
    server.push(2);
    let output = pair(&[client, server], &["--reencode"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let lines = lines(&output);
    let text = named(&lines, "ServerCutText");
    assert_eq!((&text["size"], &text["fields"]), (&json!(500_008), &Value::Null));
    named(&lines, "Bell");
}

#[test]
fn the_sample_in_the_readme_is_what_is_shown() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/rfb-dissect/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let sample = readme.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let output = run(&[&data("errors.pcap.gz")]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let mut lines = shown.lines();
    for line in sample.lines() {
        assert!(lines.any(|shown| shown == line), "{line}");
    }
    assert!(4 < sample.lines().count());
}
