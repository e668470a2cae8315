//! Handshakes as servers do them: what follows the client's version is taken from the bytes, for servers differ.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{begun, code, data, lines, pair, run, stderr};

/// Names of the steps behind the greeting, and what stands for them where bytes are no step.
fn steps(lines: &[Value]) -> Vec<String> {
    let shown = lines
        .iter()
        .filter(|line| line["kind"] != "open" && line["kind"] != "close");
    let names = shown.map(|line| line["name"].as_str().unwrap_or_else(|| line["kind"].as_str().unwrap()));
    names.skip(1).map(str::to_owned).collect()
}

/// Places every byte of a handshake, encodes it back, and gives its lines.
#[track_caller]
fn placed(client: &[u8], server: &[u8]) -> Vec<Value> {
    let output = pair(&[client.to_vec(), server.to_vec()], &["--reencode"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let lines = lines(&output);
    let close = lines.last().unwrap();
    assert_eq!(close["c2s"]["size"], client.len(), "{close}");
    assert_eq!(close["s2c"]["size"], server.len(), "{close}");
    lines
}

#[track_caller]
fn named(lines: &[Value], name: &str) -> Value {
    let found = lines.iter().find(|line| line["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}"))["fields"].clone()
}

const GREETING: &[u8] = b"RFB 003.008\n";

/// The bytes of a server that greets with 3.8, and goes on so.
fn greets(more: &[&[u8]]) -> Vec<u8> {
    [GREETING, &more.concat()].concat()
}

/// Recorded: what TigerVNC, x11vnc and QEMU make of versions, of versions of VeNCrypt and of subtypes.
#[test]
fn what_servers_make_of_a_version() {
    let output = run(&["--reencode", "--shorten=0", &data("versions.pcap.gz")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let mut connections: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for line in lines(&output) {
        let connection = line["connection"].as_u64().unwrap();
        connections.entry(connection).or_default().push(line);
    }
    let (word, list) = ("SecurityType", "SecurityTypes SecurityChoice");
    let [of_33, of_37, of_38] = [
        format!("{word} ClientInit ServerInit"),
        format!("{list} ClientInit ServerInit"),
        format!("{list} SecurityResult ClientInit ServerInit"),
    ];
    let apple = format!("{list} ServerInit");
    let (listed, refused) = ("SecurityTypes Reason", "refused");
    // By server: TigerVNC, x11vnc, QEMU. What QEMU refuses has the word 0 and no reason.
    let expected = [
        ("4.1", [listed, "", word]),
        ("2.0", [listed, "", word]),
        ("5.0", [listed, "", word]),
        ("0.0", [listed, "", word]),
        ("3.889", [&of_38, &apple, word]),
        ("3.9", [&of_38, &of_38, word]),
        ("3.6", [&of_33, &of_33, word]),
        ("3.0", [&of_33, &of_33, word]),
        ("3.3", [&of_33, &of_33, &of_33]),
        ("RFB 003.0x8\\n", [&of_33, &of_33, "refused SecurityType"]),
        ("RFB 003.-08\\n", [&of_33, &of_33, "refused SecurityType"]),
        ("RFB 003.7x9\\n", [&of_37, &of_37, &of_37]),
        ("RFB 003.008\\r", [&of_38, &of_38, &of_38]),
        ("RFB 3.8\\n\\n\\n\\n\\n", [&of_38, &of_38, &of_38]),
        ("RFB 003. +8\\n", [&of_38, &of_38, &of_38]),
        ("RFB 003.    ", [refused, refused, refused]),
        ("HTTP/1.1 GET", [refused, refused, refused]),
        ("rfb 003.008\\n", [refused, refused, refused]),
    ];
    let mut checked = 0;
    for lines in connections.values() {
        let port = lines[0]["server"].as_str().unwrap().rsplit(':').next().unwrap();
        let Some(server) = ["5981", "5982", "5984"].iter().position(|known| *known == port) else {
            continue;
        };
        let said = lines.iter().find(|line| line["direction"] == "c2s").unwrap();
        let version = match (&said["fields"], said["bytes"].as_str()) {
            (Value::Null, Some(hex)) => base16ct::lower::decode_vec(hex).unwrap().escape_ascii().to_string(),
            (fields, _) => fields["line"]
                .as_str()
                .map_or_else(|| format!("{}.{}", fields["major"], fields["minor"]), str::to_owned),
        };
        let Some((_, by_server)) = expected.iter().find(|(known, _)| *known == version) else {
            continue;
        };
        if server == 0 && steps(lines).contains(&"VncResponse".to_owned()) {
            continue;
        }
        let steps = steps(lines).join(" ");
        let steps = steps.strip_prefix("ClientVersion").unwrap_or(&steps).trim();
        assert_eq!(steps, by_server[server], "{port}, {version}");
        checked += 1;
    }
    assert_eq!(checked, 3 * expected.len());

    // TigerVNC and VeNCrypt: a version that is not 0.2 is refused twice, a subtype that is not offered once.
    let ends = |end: &str| {
        connections
            .values()
            .filter(|lines| steps(lines).join(" ").ends_with(end))
            .count()
    };
    assert_eq!(ends("VeNCryptClientVersion VeNCryptAck SecurityResult Reason"), 3);
    assert_eq!(ends("VeNCryptSubtypeChoice SecurityResult Reason"), 2);
    assert_eq!(ends("VeNCryptSubtypeChoice VeNCryptAck encrypted encrypted"), 1);
    for lines in connections.values() {
        if let Some(result) = lines.iter().find(|line| line["name"] == "SecurityResult") {
            assert!(result["fields"]["status"].as_u64().unwrap() < 2, "{result}");
        }
    }
}

/// The forms of a refusal, for versions that servers know and for those that they do not, and whatever is cut off.
#[test]
fn refusals_have_many_forms() {
    for version in [
        b"RFB 004.001\n",
        b"RFB 002.000\n",
        b"RFB 003.889\n",
        b"RFB 003.008\n",
        b"RFB 003.003\n",
        b"RFB 003.0x8\n",
    ] {
        let refused = |server: &[&[u8]]| placed(version, &greets(server));
        let shown = version.escape_ascii();
        // TigerVNC and neatvnc.
        let told = refused(&[&[0], b"\0\0\0\x31Client needs protocol version 4.1, server has 3.8"]);
        assert_eq!(named(&told, "SecurityTypes")["types"], json!([]), "{shown}");
        assert!(
            named(&told, "Reason")["text"]
                .as_str()
                .unwrap()
                .starts_with("Client needs"),
            "{shown}"
        );
        // QEMU: the word alone.
        let told = refused(&[&[0; 4]]);
        assert_eq!(named(&told, "SecurityType")["type"], "Invalid (0)", "{shown}");
        assert!(
            told.iter()
                .all(|line| line["name"] != "SecurityTypes" && line["kind"] != "incomplete"),
            "{shown}"
        );
        // libvncserver: the word and a reason.
        let told = refused(&[&[0; 4], b"\0\0\0\x04gone"]);
        assert_eq!(named(&told, "Reason")["text"], "gone", "{shown}");
        assert_eq!(named(&told, "SecurityType")["type"], "Invalid (0)", "{shown}");
        // A list, and an empty reason.
        let told = refused(&[&[0; 5]]);
        assert_eq!(named(&told, "Reason")["text"], "", "{shown}");
        // Nothing at all, and a reason that is cut off.
        refused(&[]);
        let told = refused(&[&[0], b"\0\0\0\x31Client"]);
        assert!(
            told.iter()
                .any(|line| line["kind"] == "incomplete" && line["due"] == "the reason"),
            "{shown}"
        );
        // A long reason, whose length begins with what could be a word.
        if version != b"RFB 003.003\n" && version != b"RFB 003.0x8\n" {
            let told = refused(&[&[0], b"\0\0\x01\x02", &[b'x'; 258]]);
            let reason = told.iter().find(|line| line["name"] == "Reason").unwrap();
            assert_eq!(reason["size"], 262, "{shown}");
        }
    }
    // What the client says after a version that is refused is refused as well.
    let told = placed(b"RFB 004.001\n\x01\x01", &greets(&[&[0; 4]]));
    assert_eq!(steps(&told), ["ClientVersion", "SecurityType", "refused"]);
    // A server that refuses before it has heard a version.
    let told = placed(b"", &greets(&[&[0], b"\0\0\0\x04full"]));
    assert_eq!(named(&told, "Reason")["text"], "full");
}

/// Servers that go on where others refuse.
#[test]
fn odd_versions_may_be_taken() {
    let [_, server] = begun();
    let init = &server[18..];
    let with = |version: &[u8], more: &[u8]| [version, more].concat();
    // As 3.8, by a server that looks at the minor number or at none.
    let told = placed(&with(b"RFB 004.001\n", &[1, 1]), &greets(&[&[1, 1], &[0; 4], init]));
    assert_eq!(steps(&told)[1..3], ["SecurityTypes", "SecurityChoice"]);
    // As 3.3 (neatvnc takes 3.889 so): the word, and a challenge behind it.
    let told = placed(
        &with(b"RFB 003.889\n", &[7; 16]),
        &greets(&[&[0, 0, 0, 2], &[0x93; 16], &[0, 0, 0, 1]]),
    );
    assert_eq!(
        steps(&told)[1..],
        ["SecurityType", "VncChallenge", "VncResponse", "SecurityResult"]
    );
    let told = placed(&with(b"RFB 003.889\n", &[1]), &greets(&[&[0, 0, 0, 1], init]));
    assert_eq!(steps(&told)[1..], ["SecurityType", "ClientInit", "ServerInit"]);
    // A list for a client of 3.3, by a server that does not look at the version (rustvncserver).
    let told = placed(&with(b"RFB 003.003\n", &[1, 1]), &greets(&[&[1, 1], &[0; 4], init]));
    assert_eq!(
        steps(&told)[1..4],
        ["SecurityTypes", "SecurityChoice", "SecurityResult"]
    );
    // A line that only `scanf` reads.
    let told = placed(&with(b"RFB 003.0x8\n", &[1]), &greets(&[&[0, 0, 0, 1], init]));
    let version = json!({ "major": 3, "minor": 0, "line": "RFB 003.0x8\\n" });
    assert_eq!(named(&told, "ClientVersion"), version);
    assert_eq!(steps(&told)[1..], ["SecurityType", "ClientInit", "ServerInit"]);
    // The same in a greeting, for clients read it so as well.
    let told = placed(
        b"RFB 003.003\n\x01",
        &[b"RFB 003.0x8\n"[..8].as_ref(), b"3\n\n\n", &[0, 0, 0, 1], init].concat(),
    );
    assert_eq!(named(&told, "ServerVersion")["minor"], 3);
}

#[test]
fn a_repeater_is_followed_to_its_server() {
    let [client, server] = begun();
    let mut target = b"ID:1234".to_vec();
    target.resize(250, 0);
    let told = placed(&[target, client].concat(), &[b"RFB 000.000\n", &server[..]].concat());
    assert_eq!(named(&told, "RepeaterTarget")["target"], "ID:1234");
    assert_eq!(steps(&told).last().unwrap(), "ServerInit");
}

/// What servers say beside the acknowledgements of VeNCrypt, and behind results.
#[test]
fn other_refusals() {
    let client = |more: &[u8]| [b"RFB 003.008\n\x13\0\x02", more].concat();
    let server = |more: &[&[u8]]| greets(&[b"\x01\x13\0\x02\0\x01\0\0\x01\x05", &more.concat()]);
    let (x509_vnc, x509_none, unknown) = (b"\0\0\x01\x05", b"\0\0\x01\x04", b"\0\0\0\0");
    let result = b"\0\0\0\x01\0\0\0\x04gone";
    for (choice, said, steps_behind) in [
        // Not acknowledged, and nothing else (QEMU), or a result too.
        (x509_vnc, &b"\0"[..], &["VeNCryptAck"][..]),
        (
            x509_vnc,
            b"\0\0\0\0\x01\0\0\0\x04gone",
            &["VeNCryptAck", "SecurityResult", "Reason"],
        ),
        // No acknowledgement, but a result (TigerVNC).
        (x509_none, result, &["SecurityResult", "Reason"]),
        (unknown, result, &["SecurityResult", "Reason"]),
        (unknown, b"\0", &["VeNCryptAck"]),
        (unknown, b"", &[]),
    ] {
        let told = placed(&client(choice), &server(&[said]));
        let behind: Vec<_> = steps(&told)
            .into_iter()
            .skip_while(|name| name != "VeNCryptSubtypeChoice")
            .skip(1)
            .collect();
        assert_eq!(behind, steps_behind, "{choice:?} {said:?}");
        if let Some(result) = told.iter().find(|line| line["name"] == "SecurityResult") {
            assert_eq!(result["fields"]["status"], 1);
        }
    }
    // A reason below 3.8, as QEMU has when SASL fails.
    let told = placed(
        b"RFB 003.007\n\x02................",
        &greets(&[b"\x01\x02", &[5; 16], result]),
    );
    assert_eq!(steps(&told).last().unwrap(), "Reason");
    // What follows a refusal and is none is a failure still.
    let output = pair(
        &[b"RFB 004.001\n".to_vec(), greets(&[&[0], b"\0\0\0\x04gone", b"more"])],
        &[],
    );
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("offset 21: the server goes on after it has refused"),
        "{}",
        stderr(&output)
    );
}
