//! The forms of oVirt, Proxmox VE and Kerbside, redacted copies, and what serde shows.

use vv_file::{BuildError, Builder, Channel, ConnectionFile, Engine, key, presets};

const OVIRT_SPICE: &str = include_str!("../data/vv/ovirt-spice.vv");
const OVIRT_VNC: &str = include_str!("../data/vv/ovirt-vnc.vv");
const PVE: &str = include_str!("../data/vv/pve.vv");
const KERBSIDE: &str = include_str!("../data/vv/kerbside-proxy.vv");

const VERSIONS: (&[(&str, &str)], &str) = (
    &[
        ("rhev-win64", "2.0-160"),
        ("rhev-win32", "2.0-160"),
        ("rhel8", "7.0-3"),
        ("rhel7", "2.0-6"),
        ("rhel6", "99.0-1"),
    ],
    "https://engine.example.org/ovirt-engine/rhev/client/download",
);

fn ca(file: &str) -> String {
    ConnectionFile::parse(file.as_bytes()).unwrap().virt_viewer.ca.unwrap()
}

fn built(builder: Builder) -> String {
    String::from_utf8(builder.build().unwrap().as_bytes().to_vec()).unwrap()
}

fn ovirt_ca(file: &str) -> String {
    ConnectionFile::parse(file.as_bytes())
        .unwrap()
        .ovirt
        .unwrap()
        .ca
        .unwrap()
}

fn engine(ca: &str) -> Option<Engine<'_>> {
    Some(Engine {
        host: "engine.example.org:443",
        vm_guid: "3e8d1c1a-9a43-4ad7-9a1e-0d6b1c2f3a4b",
        sso_token: Some("2s8Lq0xXTn-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789_-abcdefghijklmnopqrstuv"),
        admin: Some(true),
        ca: Some(ca),
        ..Engine::default()
    })
}

#[test]
fn ovirt_byte_for_byte() {
    let authorities = ca(OVIRT_SPICE);
    let console = presets::Ovirt {
        host: "198.51.100.7",
        port: Some(5904),
        tls_port: Some(5905),
        password: "Ykq0iHwq7yTn",
        valid_for: 120,
        title: "mail:%d - Press SHIFT+F12 to Release Cursor",
        enable_usb_autoshare: true,
        tls_ciphers: Some("DEFAULT"),
        host_subject_and_ca: Some(("O=example.org,CN=198.51.100.7", &authorities)),
        secure_channels: &[
            Channel::Main,
            Channel::Inputs,
            Channel::Cursor,
            Channel::Playback,
            Channel::Record,
            Channel::Display,
            Channel::Usbredir,
            Channel::Smartcard,
        ],
        versions: Some(VERSIONS),
        engine: engine(&authorities),
        ..presets::Ovirt::default()
    };
    assert_eq!(built(console.spice()), OVIRT_SPICE);

    let authorities = ovirt_ca(OVIRT_VNC);
    let console = presets::Ovirt {
        host: "198.51.100.8",
        port: Some(5906),
        password: "Ykq0iHwq7yTn",
        valid_for: 120,
        title: "desk:%d",
        versions: Some(VERSIONS),
        engine: engine(&authorities),
        ..presets::Ovirt::default()
    };
    // Of these twelve bytes a VNC viewer uses eight, so they are refused.
    assert!(matches!(
        console.vnc().build(),
        Err(BuildError::PasswordTooLong { length: 12, limit: 8 })
    ));
    let short = presets::Ovirt {
        password: "Ykq0iHwq",
        ..console
    };
    assert_eq!(built(short.vnc()), OVIRT_VNC.replace("Ykq0iHwq7yTn", "Ykq0iHwq"));
}

#[test]
fn kerbside_byte_for_byte() {
    let console = presets::Kerbside {
        host: "kerbside.example.org",
        port: 5901,
        tls_port: 5900,
        password: "Q0w9Q0w9Q0w9Q0w9Q0w9Q0w9Q0w9Q0w9Q0w9Q0w9Q0w9Q0w9",
        title: "mail via proxy session ID z9Y8x7W6v5U4",
        ca: &ca(KERBSIDE),
        host_subject: "C=US,O=Shaken Fist,CN=Kerbside Proxy",
    };
    assert_eq!(built(console.spice()), KERBSIDE);
    let named = presets::Kerbside {
        title: "a\nproxy=http://evil",
        ..console
    };
    assert_eq!(
        named.spice().build().unwrap_err(),
        BuildError::ControlCharacter(key::TITLE)
    );
}

#[test]
fn proxmox_line_for_line() {
    let console = presets::ProxmoxVe {
        proxy_ticket: "pvespiceproxy:65f1a2b3:100:pve1::00112233445566778899aabbccddeeff00112233",
        node: "192.0.2.10",
        tls_port: 61001,
        password: "1f0c2a4b6d8e9f00112233445566778899aabbcc",
        vm_id: 100,
        vm_name: "ubuntu",
        host_subject: "OU=PVE Cluster Node,O=Proxmox Virtual Environment,CN=nuc.example.org",
        ca: &ca(PVE),
    };
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&built(console.spice())), sorted(PVE));
    let v6 = presets::ProxmoxVe {
        node: "2001:db8::1",
        ..console
    };
    assert!(built(v6.spice()).contains("proxy=http://[2001:db8::1]:3128\n"));
    assert!(!format!("{console:?}").contains("pvespice"));
}

#[test]
fn redacted_copies_hold_no_secret() {
    let secrets = [
        "Ykq0iHwq7yTn",
        "2s8Lq0xXTn-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789_-abcdefghijklmnopqrstuv",
        "1f0c2a4b6d8e9f00112233445566778899aabbcc",
        "pvespiceproxy:",
        "Q0w9Q0w9",
        "hunter2",
    ];
    let odd = "[virt-viewer]\ntype=spice\nhost=h\npassword=hunter2\npassword[de]=hunter2\n;password=hunter2\n\
        # password=hunter2\nx-token=hunter2\nproxy=http://u:hunter2@p\ntitle=a\0hunter2\n[x]\nk=hunter2\n[ovirt]\n\
        jsessionid=hunter2\nproxy=hunter2\n";
    for input in [OVIRT_SPICE, OVIRT_VNC, PVE, KERBSIDE, odd] {
        let document = ConnectionFile::parse(input.as_bytes()).unwrap().redacted();
        let text = String::from_utf8(document.as_bytes().to_vec()).unwrap();
        for secret in secrets {
            assert!(!text.contains(secret), "{text}");
        }
        assert_eq!(text.lines().count(), input.lines().count());
        assert!(ConnectionFile::parse(text.as_bytes()).is_ok());
        // What is no secret stays.
        for line in input
            .lines()
            .filter(|line| line.starts_with("tls-port") || line.starts_with("ca="))
        {
            assert!(text.contains(line), "{text}");
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn serde_shows_no_secret_unless_asked() {
    use serde_json::json;
    let input = "[virt-viewer]\ntype=spice\nhost=pvespiceproxy:x\npassword=hunter2\nport=1\nfullscreen=1\n\
        proxy=http://u:hunter2@p\nsecure-channels=main;\nversions=a:1\n[ovirt]\nsso-token=hunter2\n";
    let file = ConnectionFile::parse(input.as_bytes()).unwrap();
    let hidden = serde_json::to_value(&file).unwrap();
    assert!(!hidden.to_string().contains("hunter2") && !hidden.to_string().contains("pvespice"));
    let group = &hidden[key::VIRT_VIEWER];
    assert_eq!(group["type"], "spice");
    assert_eq!((&group["port"], &group["fullscreen"]), (&json!(1), &json!(true)));
    assert_eq!(group["secure-channels"], json!(["main"]));
    assert_eq!(group["versions"], json!({"a": "1"}));
    assert_eq!(group["proxy"], "http://u:***@p:3128");
    assert!(group["password"].is_null() && group["host"].is_null() && group["title"].is_null());
    assert!(hidden["ovirt"]["sso-token"].is_null());

    let shown = serde_json::to_value(vv_file::WithSecrets(&file)).unwrap();
    assert_eq!(shown[key::VIRT_VIEWER]["password"], "hunter2");
    assert_eq!(shown[key::VIRT_VIEWER]["host"], "pvespiceproxy:x");
    assert_eq!(shown["ovirt"]["sso-token"], "hunter2");
    let ovirt = serde_json::to_value(file.ovirt.as_ref().unwrap()).unwrap();
    assert!(ovirt["sso-token"].is_null());
    assert_eq!(
        serde_json::to_value(vv_file::WithSecrets(&file.virt_viewer)).unwrap()["proxy"],
        "http://u:hunter2@p"
    );
}
