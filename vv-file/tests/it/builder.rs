//! What the builder writes, and what it refuses.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use expect_test::expect;
use proptest::prelude::*;
use vv_file::{
    BuildError, Builder, Channel, ColorDepth, ConnectionFile, ConnectionType, Document, Effect, Engine, HotkeyAction,
    KeyFile, Severity, download,
    error::{PemError, ProxyError},
    key,
    key_file::Limits,
    lint,
    subject::HostSubject,
};

const CA: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

const ACTIONS: [HotkeyAction; 7] = [
    HotkeyAction::ToggleFullscreen,
    HotkeyAction::ReleaseCursor,
    HotkeyAction::ZoomIn,
    HotkeyAction::ZoomOut,
    HotkeyAction::ZoomReset,
    HotkeyAction::SecureAttention,
    HotkeyAction::UsbDeviceReset,
];

/// Each setter of one line of text, with its key.
type Setter = fn(Builder, &str) -> Builder;
const TEXTS: [(&str, Setter); 10] = [
    (key::HOST, |_, text| Builder::spice(text).tls_port(1)),
    (key::USERNAME, |builder, text| builder.username(text)),
    (key::PASSWORD, |builder, text| builder.password(text)),
    (key::TITLE, |builder, text| builder.title(text)),
    (key::HOST_SUBJECT, |builder, text| builder.host_subject(text)),
    (key::TLS_CIPHERS, |builder, text| builder.tls_ciphers(text)),
    (key::PROXY, |builder, text| builder.proxy(text)),
    (key::USB_FILTER, |builder, text| builder.usb_filter(text)),
    (key::VERSION, |builder, text| builder.version(text)),
    (key::NEWER_VERSION_URL, |builder, text| builder.newer_version_url(text)),
];

/// Something that is done to a builder.
type Change = fn(Builder) -> Builder;

fn spice() -> Builder {
    Builder::spice("host").tls_port(5901)
}

fn vnc() -> Builder {
    Builder::vnc("host").port(5900)
}

fn text(document: &Document) -> &str {
    std::str::from_utf8(document.as_bytes()).unwrap()
}

#[test]
fn every_field_in_its_form() {
    let mut builder = Builder::spice("2001:db8::1")
        .port(1)
        .tls_port(65535)
        .username("user")
        .password(b" tok\\en ")
        .title("  #;\"title\" ")
        .fullscreen(true)
        .ca(format!("Subject: CN=x\r\n{}", CA.replace('\n', "\r\n")))
        .host_subject(r"O=Example\, Inc,CN=host")
        .tls_ciphers("DEFAULT")
        .proxy("http://user:pw@proxy:3128")
        .secure_channels([Channel::Main, Channel::Inputs])
        .enable_smartcard(false)
        .enable_usbredir(true)
        .enable_usb_autoshare(true)
        .usb_filter("-1,-1,-1,-1,0")
        .delete_this_file(false)
        .version("2.0-6")
        .newer_version_url("https://example.org/");
    for action in ACTIONS {
        builder = builder.hotkey(action, "ctrl+alt+end");
    }
    expect![[r#"
        [virt-viewer]
        type=spice
        host=2001:db8::1
        delete-this-file=0
        port=1
        tls-port=65535
        username=user
        password=\stok\\en 
        title=\s\s#;"title" 
        fullscreen=1
        ca=-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n
        host-subject=O=Example\\, Inc,CN=host
        tls-ciphers=DEFAULT
        proxy=http://user:pw@proxy:3128
        secure-channels=main;inputs;
        enable-smartcard=0
        enable-usbredir=1
        enable-usb-autoshare=1
        usb-filter=-1,-1,-1,-1,0
        version=2.0-6
        newer-version-url=https://example.org/
        toggle-fullscreen=ctrl+alt+end
        release-cursor=ctrl+alt+end
        zoom-in=ctrl+alt+end
        zoom-out=ctrl+alt+end
        zoom-reset=ctrl+alt+end
        secure-attention=ctrl+alt+end
        usb-device-reset=ctrl+alt+end
    "#]]
    .assert_eq(text(&builder.build().unwrap()));
}

#[test]
fn refusals_say_which_field_and_why() {
    let cases = [
        (spice().title("a\nhost=evil"), expect!["title: control character"]),
        (spice().password(b"\xff"), expect!["password: not utf-8"]),
        (
            spice().password("p".repeat(61)),
            expect!["password: 61 bytes, the protocol takes 60"],
        ),
        (
            vnc().password("p".repeat(9)),
            expect!["password: 9 bytes, the protocol takes 8"],
        ),
        (
            spice().proxy("socks5://proxy"),
            expect!["proxy: scheme is neither http nor https: viewers ignore the proxy and connect directly"],
        ),
        (spice().tls_port(0), expect!["tls-port: port 0"]),
        (vnc().port(0), expect!["port: port 0"]),
        (Builder::spice("host"), expect!["no port to connect to"]),
        (Builder::vnc("host"), expect!["no port to connect to"]),
        (Builder::spice("").port(1), expect!["host: empty"]),
        (Builder::spice("a b").port(1), expect!["host: malformed"]),
        (
            spice().proxy("http://p:0"),
            expect!["proxy: port is no number from 1 to 65535: viewers ignore the proxy and connect directly"],
        ),
        (
            spice().proxy("http://p/path"),
            expect!["proxy: host is no name or address: viewers cannot connect"],
        ),
        (
            spice().host_subject("CN"),
            expect!["host-subject: malformed subject at 3"],
        ),
        (
            spice().host_subject("C = IL, O = x, CN = node"),
            expect!["host-subject: entry 1: openssl knows no attribute of this name"],
        ),
        (
            spice().host_subject("O=x,C=ISR"),
            expect!["host-subject: entry 2: openssl takes no such value for this attribute"],
        ),
        (spice().host_subject(" "), expect!["host-subject: empty subject"]),
        (
            Builder::spice("gw:5900").tls_port(1),
            expect![
                "host: a port in it, which viewers use instead of port and tls-port, or look up as part of the name"
            ],
        ),
        (
            Builder::vnc("[::1]").port(1),
            expect!["host: brackets, which viewers for vnc look up as part of the name"],
        ),
        (
            spice().title("a\u{202e}b"),
            expect!["title: bidirectional control character"],
        ),
        (spice().usb_filter("null"), expect!["usb-filter: malformed"]),
        (spice().version("1.0rc1"), expect!["version: malformed"]),
        (spice().versions([("a", "1.x")]), expect!["versions: malformed"]),
        (
            spice().hotkey(HotkeyAction::ZoomIn, "ctrl+plus"),
            expect!["zoom-in: malformed"],
        ),
        (Builder::spice_unix("/run/x").port(1), expect!["unix-path with a port"]),
        (
            spice().ovirt(&Engine {
                host: "e\n",
                ..Engine::default()
            }),
            expect!["host: control character"],
        ),
        (
            Builder::spice("host").port(1).secure_channels([Channel::All]),
            expect!["secure-channels without a tls-port"],
        ),
        (spice().secure_channels([]), expect!["secure-channels: empty"]),
        (spice().ca("CA"), expect!["ca: no certificate"]),
        (
            spice().ca(CA.replace("CERTIFICATE", "PRIVATE KEY")),
            expect!["ca: a pem block that is no certificate"],
        ),
        (spice().ca(CA.replace("MAA=", "")), expect!["ca: invalid base64"]),
        (
            spice().ca(CA.replace("END", "BEGIN")),
            expect!["ca: incomplete pem block"],
        ),
        (
            spice().title("t".repeat(1 << 20)),
            expect!["file larger than 1048576 bytes"],
        ),
    ];
    for (builder, expected) in cases {
        expected.assert_eq(&builder.build().unwrap_err().to_string());
    }
}

#[test]
fn the_rest_of_the_keys() {
    let document = Builder::spice_unix("/run/spice \\ x")
        .color_depth(ColorDepth::Bits16)
        .disable_effects([Effect::Wallpaper, Effect::FontSmooth])
        .versions([("rhel8", "7.0-3"), ("a;b", "1")])
        .ovirt(&Engine {
            host: "engine:443",
            vm_guid: "1-2",
            jsessionid: Some("session"),
            sso_token: Some("token"),
            admin: Some(false),
            ca: Some(CA),
        })
        .build()
        .unwrap();
    expect![[r#"
        [virt-viewer]
        type=spice
        unix-path=/run/spice \\ x
        delete-this-file=1
        color-depth=16
        disable-effects=wallpaper;font-smooth;
        versions=rhel8:7.0-3;a\;b:1;

        [ovirt]
        host=engine:443
        vm-guid=1-2
        jsessionid=session
        sso-token=token
        admin=0
        ca=-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n
    "#]]
    .assert_eq(text(&document));
    assert_eq!(lint(document.as_bytes()), []);
}

#[test]
fn passwords_are_taken_up_to_the_limit() {
    assert!(spice().password("p".repeat(60)).build().is_ok());
    assert!(vnc().password("p".repeat(8)).build().is_ok());
    // Bytes count, not characters.
    assert!(vnc().password("é".repeat(4)).build().is_ok());
    assert!(vnc().password("é".repeat(5)).build().is_err());
}

#[test]
fn only_the_title_may_be_empty() {
    for (key, set) in TEXTS {
        let expected = if key == key::TITLE {
            None
        } else {
            Some(BuildError::Empty(key))
        };
        assert_eq!(set(spice(), "").build().err(), expected, "{key}");
    }
    for action in ACTIONS {
        let refused = spice().hotkey(action, "").build().unwrap_err();
        assert_eq!(refused, BuildError::Empty(action.key()));
    }
}

#[test]
fn vnc_refuses_what_would_be_ignored() {
    let cases: [(&str, Change); 12] = [
        (key::COLOR_DEPTH, |builder| builder.color_depth(ColorDepth::Bits32)),
        (key::DISABLE_EFFECTS, |builder| builder.disable_effects([Effect::All])),
        (key::TLS_PORT, |builder| builder.tls_port(1)),
        (key::CA, |builder| builder.ca(CA)),
        (key::HOST_SUBJECT, |builder| builder.host_subject("CN=host")),
        (key::TLS_CIPHERS, |builder| builder.tls_ciphers("DEFAULT")),
        (key::PROXY, |builder| builder.proxy("proxy")),
        (key::SECURE_CHANNELS, |builder| builder.secure_channels([Channel::All])),
        (key::ENABLE_SMARTCARD, |builder| builder.enable_smartcard(true)),
        (key::ENABLE_USBREDIR, |builder| builder.enable_usbredir(true)),
        (key::ENABLE_USB_AUTOSHARE, |builder| builder.enable_usb_autoshare(true)),
        (key::USB_FILTER, |builder| builder.usb_filter("-1,-1,-1,-1,0")),
    ];
    for (key, set) in cases {
        assert_eq!(set(vnc()).build().unwrap_err(), BuildError::SpiceOnly(key));
        assert!(set(spice()).build().is_ok(), "{key}");
    }
    let document = vnc()
        .username("user")
        .password("12345678")
        .title("t")
        .fullscreen(false)
        .build()
        .unwrap();
    let file = ConnectionFile::parse(document.as_bytes()).unwrap();
    assert_eq!(file.virt_viewer.connection_type, Some(ConnectionType::Vnc));
    assert_eq!(file.virt_viewer.port, Some(5900));
    assert_eq!(file.virt_viewer.fullscreen, Some(false));
}

#[test]
fn proxies_may_leave_out_the_scheme() {
    for uri in [
        "proxy",
        "192.0.2.1:3128",
        "[2001:db8::1]:3128",
        "http://proxy",
        "https://u:p@proxy/",
    ] {
        assert!(spice().proxy(uri).build().is_ok(), "{uri}");
    }
    // A viewer ignores it, for it takes the name for a scheme.
    assert_eq!(
        spice().proxy("proxy:3128").build().unwrap_err(),
        BuildError::Proxy(ProxyError::Scheme)
    );
}

#[test]
fn debug_shows_no_value() {
    let builder = Builder::spice("hunter2").port(1).password("hunter2").title("hunter2");
    let shown = format!("{builder:?}") + &format!("{:?}", builder.build());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn pem_errors_reach_the_caller() {
    let refused = spice().ca("").build().unwrap_err();
    assert_eq!(refused, BuildError::Certificate(PemError::NoCertificate));
}

fn hotkey() -> impl Strategy<Value = String> {
    "((shift|ctrl|alt|cmd)\\+){0,3}(f([1-9]|1[0-2])|[a-z0-9]|ins|del|end|pgup|enter|esc)"
}

/// A value for each of the texts, in a form that the viewer understands.
fn texts() -> impl Strategy<Value = Vec<Option<String>>> {
    let keys = prop::sample::select(vec!["CN", "O", "OU", "L", "title", "2.5.4.65", "description"]);
    let subject = prop::collection::vec((keys, line()), 1..4)
        .prop_map(|entries| HostSubject::from_entries(entries).unwrap().to_string());
    let optional = |strategy: BoxedStrategy<String>| prop::option::of(strategy);
    (
        optional(line().boxed()),
        optional(line().boxed()),
        optional(line().boxed()),
        optional(line().boxed()),
        optional(subject.boxed()),
        optional(line().boxed()),
        optional("(https?://)?(u:p@)?[a-z]{1,8}(:[1-9][0-9]{0,3})?/?".boxed()),
        optional("-1,0x[0-9a-f]{1,4},[0-9]{1,4},-1,[01](\\|-1,-1,-1,-1,0)?".boxed()),
        optional("[0-9]{1,3}(\\.[0-9]{1,3}){0,2}(-[0-9]{1,3})?".boxed()),
        optional(line().boxed()),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i, j)| vec![a, b, c, d, e, f, g, h, i, j])
}

/// Text that the builder takes, with the characters that mean something in a key file.
fn line() -> impl Strategy<Value = String> {
    r#"[ \\;=#\[\]"'a-zé%]{1,20}|[^\p{Cc}\u{61c}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}]{1,20}"#
}

fn channels() -> impl Strategy<Value = Vec<Channel>> {
    let one = prop::sample::select(vec![Channel::All, Channel::Main, Channel::Display, Channel::Webdav]);
    prop::collection::vec(one, 1..4)
}

/// A list of certificates in the form in which the builder writes them.
fn pem() -> impl Strategy<Value = String> {
    let der = prop::collection::vec(any::<u8>(), 1..200);
    prop::collection::vec(der, 1..4).prop_map(|list| {
        list.iter().fold(String::new(), |mut pem, der| {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            for line in STANDARD.encode(der).as_bytes().chunks(64) {
                pem.push_str(std::str::from_utf8(line).unwrap());
                pem.push('\n');
            }
            pem.push_str("-----END CERTIFICATE-----\n");
            pem
        })
    })
}

proptest! {
    #[test]
    fn what_is_accepted_reads_back_equal(
        texts in texts(),
        hotkeys in prop::collection::vec(prop::option::of(hotkey()), ACTIONS.len()),
        host in "[a-z][a-z0-9.-]{0,12}|[0-9a-f]{1,4}:(:[0-9a-f]{1,4}){1,5}",
        port in prop::option::of(any::<u16>()),
        tls_port in prop::option::of(any::<u16>()),
        ca in prop::option::of(pem()),
        secure in prop::option::of(channels()),
        switches in prop::collection::vec(prop::option::of(any::<bool>()), 5),
    ) {
        let mut builder = Builder::spice(&host);
        if let Some(port) = port { builder = builder.port(port) }
        if let Some(port) = tls_port { builder = builder.tls_port(port) }
        // The host is the first of the texts, and is set above.
        for ((_, set), text) in TEXTS.iter().zip(&texts).skip(1) {
            if let Some(text) = text { builder = set(builder, text) }
        }
        for (action, keys) in ACTIONS.iter().zip(&hotkeys) {
            if let Some(keys) = keys { builder = builder.hotkey(*action, keys) }
        }
        if let Some(ca) = &ca { builder = builder.ca(ca) }
        if let Some(secure) = &secure { builder = builder.secure_channels(secure.iter().copied()) }
        let setters: [fn(Builder, bool) -> Builder; 5] = [
            Builder::fullscreen, Builder::enable_smartcard, Builder::enable_usbredir,
            Builder::enable_usb_autoshare, Builder::delete_this_file,
        ];
        for (set, on) in setters.iter().zip(&switches) {
            if let Some(on) = on { builder = set(builder, *on) }
        }
        let Ok(document) = builder.build() else { return Ok(()) };

        prop_assert!(lint(document.as_bytes()).iter().all(|finding| finding.severity != Severity::Error));
        let file = ConnectionFile::parse_strict(document.as_bytes()).unwrap();
        let read = |key| file.key_file().get(key::VIRT_VIEWER, key).map(|value| value.string().unwrap());
        prop_assert_eq!(read(key::HOST), Some(host));
        for ((key, _), text) in TEXTS.iter().zip(&texts).skip(1) {
            prop_assert_eq!(&read(key), text, "{}", key);
        }
        for (action, keys) in ACTIONS.iter().zip(&hotkeys) {
            prop_assert_eq!(&read(action.key()), keys);
        }
        let v = &file.virt_viewer;
        prop_assert_eq!(v.connection_type.as_ref(), Some(&ConnectionType::Spice));
        prop_assert_eq!(v.password.as_ref().map(|secret| secret.expose()), texts[2].as_ref().map(|text| text.as_bytes()));
        prop_assert_eq!(v.port, port.map(i32::from));
        prop_assert_eq!(v.tls_port, tls_port.map(i32::from));
        prop_assert_eq!(&v.ca, &ca);
        let names = secure.map(|list| list.iter().map(|channel| channel.name().to_owned()).collect::<Vec<_>>());
        prop_assert_eq!(&v.secure_channels, &names);
        let read = [v.fullscreen, v.enable_smartcard, v.enable_usbredir, v.enable_usb_autoshare, v.delete_this_file];
        prop_assert_eq!(&read[..4], &switches[..4]);
        prop_assert_eq!(read[4], switches[4].or(Some(true)));
        // Nothing else is in the file, and GLib would write it the same.
        let key_file = KeyFile::parse(document.as_bytes()).unwrap();
        let data = key_file.to_data();
        prop_assert_eq!(data.as_bytes(), document.as_bytes());
        prop_assert_eq!(key_file.groups().count(), 1);
        prop_assert!(key_file.keys(key::VIRT_VIEWER).all(|key| !key.starts_with(b"smartcard-")));
        prop_assert!(document.as_bytes().len() <= Limits::default().size);
    }

    #[test]
    fn control_characters_are_refused_everywhere(
        before in "[a-z ]{0,5}",
        control in r"[\p{Cc}]",
        after in "[a-z= ]{0,5}",
        field in 0..TEXTS.len() + ACTIONS.len(),
    ) {
        let text = format!("{before}{control}{after}");
        let (key, builder) = match TEXTS.get(field) {
            Some((key, set)) => (*key, set(spice(), &text)),
            None => {
                let action = ACTIONS[field - TEXTS.len()];
                (action.key(), spice().hotkey(action, &text))
            }
        };
        prop_assert_eq!(builder.build().unwrap_err(), BuildError::ControlCharacter(key));
    }

    #[test]
    fn file_names_are_safe(wish in r"[\.\-_ /\\a-zA-Z0-9éコ]{0,80}|\PC{0,80}|(con|com1|NUL)(\.[a-z]{0,3})?") {
        let name = download::file_name(&wish);
        prop_assert!(name.len() <= 64);
        prop_assert!(name.ends_with(".vv"));
        prop_assert!(name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_'));
        prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
        // A safe name stays as it is.
        prop_assert_eq!(&download::file_name(&name), &name);
        prop_assert_eq!(download::content_disposition(&wish), format!("attachment; filename=\"{name}\""));
    }
}
