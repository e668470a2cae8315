//! Each finding, by a file that has nothing else wrong with it.

use std::{collections::BTreeSet, fs, path::Path};

use expect_test::expect;
use vv_file::{
    ConnectionFile, FindingKind as Kind,
    Severity::{self, Error, Note, Warning},
    connection::VirtViewer,
    key,
    key_file::Limits,
    lint::{lint, lint_with, worst},
    ovirt::Ovirt,
};

const CA: &str = r"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

/// A file without a finding, with lines put behind it.
fn spice(lines: &str) -> Vec<u8> {
    format!("[virt-viewer]\ntype=spice\nhost=host\ntls-port=5901\n{lines}\n").into_bytes()
}

fn vnc(lines: &str) -> Vec<u8> {
    format!("[virt-viewer]\ntype=vnc\nhost=host\nport=5900\n{lines}\n").into_bytes()
}

fn whole(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn found(input: &[u8]) -> Vec<(Kind, Severity)> {
    lint(input)
        .iter()
        .map(|finding| (finding.kind, finding.severity))
        .collect()
}

#[test]
fn each_finding_is_found() {
    let pem = CA.replace("\\n", "\n");
    let long = |count| format!("delete-this-file=1\npassword={}", "p".repeat(count));
    let cases = [
        (whole("[virt-viewer]\ntype=spice\nnonsense\n"), Kind::Syntax, Error),
        (whole("\u{feff}[virt-viewer]\ntype=spice\n"), Kind::ByteOrderMark, Error),
        (whole("[\0v\0i\0r\0t\0-\0"), Kind::Utf16, Error),
        (whole("<!DOCTYPE html>\n<html>"), Kind::SavedPage, Error),
        (whole("{\"error\": 403}"), Kind::SavedPage, Error),
        (spice(&format!("ca={pem}")), Kind::RawPem, Error),
        (spice("; a comment"), Kind::SemicolonComment, Error),
        (spice(";host=other"), Kind::SemicolonComment, Warning),
        (
            whole("[virt-viewer]\nEncoding=latin1\ntype=spice\n"),
            Kind::Encoding,
            Error,
        ),
        (whole("[Virt-Viewer]\ntype=spice\n"), Kind::NoGroup, Error),
        (whole("type=spice\n"), Kind::NoGroup, Error),
        (whole("[virt-viewer]\nhost=h\n"), Kind::NoType, Error),
        (whole("[virt-viewer]\ntype=SPICE\n"), Kind::UnknownType, Error),
        (
            [spice("title=").trim_ascii_end(), b"\xff"].concat(),
            Kind::NotUtf8,
            Error,
        ),
        (spice(r"title=a\qb"), Kind::BadEscape, Error),
        (spice(r"secure-channels=main\;"), Kind::UnknownChannel, Warning),
        (spice(r"secure-channels=\q"), Kind::BadEscape, Error),
        (spice("title=a\0b"), Kind::NulByte, Warning),
        (spice("delete-this-file=1\npassword=p "), Kind::TrailingBlank, Warning),
        (spice("title=a\u{202e}b"), Kind::BidiControl, Error),
        (spice("versions=a\u{2066}:1"), Kind::BidiControl, Error),
        (spice(r"title=a\nb"), Kind::ControlCharacter, Error),
        (spice("fullscreen=true"), Kind::SwitchReadsZero, Error),
        (spice("fullscreen=false"), Kind::SwitchReadsZero, Note),
        (spice("password=p\ndelete-this-file=yes"), Kind::TicketStays, Error),
        (spice("password=p"), Kind::NotDeleted, Warning),
        (spice("password=p\ndelete-this-file=0"), Kind::NotDeleted, Warning),
        (spice("port=0x10"), Kind::NumberReadsZero, Error),
        (spice("port=5900 x"), Kind::IgnoredText, Warning),
        (spice("port=65536"), Kind::PortRange, Error),
        (spice("smartcard-insert=shift+f8"), Kind::CrashingKey, Error),
        (spice("smartcard-remove=shift+f9"), Kind::CrashingKey, Error),
        (spice("host=evil"), Kind::DuplicateKey, Error),
        (spice("host=host"), Kind::DuplicateKey, Warning),
        (spice("[virt-viewer]\ntitle=t"), Kind::DuplicateGroup, Warning),
        (spice("subject=t"), Kind::UnknownKey, Note),
        (spice("tls_port=1"), Kind::MisspelledKey, Warning),
        (spice("titel=t"), Kind::MisspelledKey, Warning),
        (spice("[oVirt]\nhost=h"), Kind::MisspelledGroup, Warning),
        (spice("title[de]=t"), Kind::LocalizedKey, Note),
        (whole("[virt-viewer]\ntype=spice\ntls-port=1\n"), Kind::NoHost, Error),
        (whole("[virt-viewer]\ntype=spice\nhost=h\n"), Kind::NoPort, Error),
        (whole("[virt-viewer]\ntype=vnc\nhost=h\n"), Kind::NoPort, Error),
        (
            whole("[virt-viewer]\ntype=vnc\nhost=spice://h/\nport=1\n"),
            Kind::HostSyntax,
            Error,
        ),
        (
            whole("[virt-viewer]\ntype=spice\nhost=gw:5900\ntls-port=1\n"),
            Kind::HostPort,
            Error,
        ),
        (
            whole("[virt-viewer]\ntype=vnc\nhost=[::1]\nport=1\n"),
            Kind::HostBrackets,
            Error,
        ),
        (
            whole("[virt-viewer]\ntype=vnc\nhost=3e8d1c1a-9a43-4ad7-9a1e-0d6b1c2f3a4b\nport=1\n"),
            Kind::HostIsUuid,
            Warning,
        ),
        (
            whole("[virt-viewer]\ntype=spice\ntls-port=1\nproxy=http://p\nhost=pvespiceproxy:0:1:n::ab\n"),
            Kind::ProxmoxTicket,
            Note,
        ),
        (
            whole("[virt-viewer]\ntype=spice\ntls-port=1\nhost=pvespiceproxy:0:1:n::ab\n"),
            Kind::ProxmoxTicketWithoutProxy,
            Error,
        ),
        (spice("unix-path=/run/x"), Kind::UnixPathAndHost, Error),
        (spice(&long(61)), Kind::PasswordTooLong, Error),
        (vnc(&long(9)), Kind::PasswordTooLong, Error),
        (
            whole("[virt-viewer]\ntype=spice\nhost=h\nport=1\npassword=p\ndelete-this-file=1\n"),
            Kind::PasswordWithoutTls,
            Warning,
        ),
        (
            whole("[virt-viewer]\ntype=spice\nhost=h\nport=1\nsecure-channels=all\n"),
            Kind::SecureWithoutTls,
            Error,
        ),
        (spice("secure-channels=smain;sinputs"), Kind::OldChannelName, Error),
        (spice("secure-channels=tunnel"), Kind::UnknownChannel, Warning),
        (spice("secure-channels=main,inputs"), Kind::CommaList, Error),
        (spice("disable-effects=wallpaper, animation"), Kind::CommaList, Warning),
        (spice("secure-channels=main; inputs"), Kind::ListBlank, Error),
        (spice("disable-channels=usbredir"), Kind::ChannelsStay, Warning),
        (spice("disable-effects=Wallpaper"), Kind::UnknownEffect, Warning),
        (spice("color-depth=24"), Kind::ColorDepth, Warning),
        (spice("zoom-in=ctrl+plus"), Kind::HotkeyDoesNotBind, Warning),
        (spice("toggle-fullscreen=ctrl+alt"), Kind::HotkeyDoesNotBind, Warning),
        (spice(r"ca=-----BEGIN\CERTIFICATE"), Kind::CaUnreadable, Error),
        (spice("ca=/etc/ca.pem"), Kind::CaInvalid, Error),
        (
            spice(&format!("ca={}", CA.replace("MAA=", r"MAA=\n"))),
            Kind::CaInvalid,
            Error,
        ),
        (
            spice(&format!("ca={}", CA.replace("\\n", "\\\\n"))),
            Kind::CaDoublyEscaped,
            Error,
        ),
        (
            spice(&format!("ca={}", CA.replace("\\n", "\\r\\n"))),
            Kind::CaCarriageReturn,
            Note,
        ),
        (
            spice(&format!("ca={}", CA.replace("CERTIFICATE", "PRIVATE KEY"))),
            Kind::CaPrivateKey,
            Error,
        ),
        (
            spice(&format!("ca={}", CA.replace("MAA=", "MQA="))),
            Kind::CaNotDer,
            Warning,
        ),
        (spice(r"host-subject=O=Example\, Inc,CN=h"), Kind::SubjectComma, Error),
        (spice("host-subject=/O=x/CN=h"), Kind::SubjectKey, Error),
        (spice("host-subject=C = IL, O = x, CN = node"), Kind::SubjectKey, Error),
        (spice("host-subject=C=ISR,CN=node"), Kind::SubjectValue, Error),
        (spice("host-subject=O=,CN=h"), Kind::SubjectSyntax, Error),
        (spice("proxy=socks5://p"), Kind::ProxyScheme, Error),
        (spice("proxy=p:3128"), Kind::ProxyScheme, Error),
        (spice("proxy=http://p:0"), Kind::ProxySyntax, Error),
        (spice("proxy=http://p/path"), Kind::ProxyUnusable, Error),
        (spice("proxy=HTTP://p"), Kind::ProxyUnusable, Error),
        (spice("proxy=http:127.0.0.1:3128"), Kind::ProxyMisread, Error),
        (spice("proxy=http://p:+80"), Kind::ProxyIrregular, Warning),
        (spice("proxy=http://@"), Kind::ProxyCrash, Error),
        (spice("usb-filter=null"), Kind::UsbFilter, Warning),
        (spice("version=11.0rc1"), Kind::VersionSyntax, Warning),
        (spice("versions=rhel8:7:0"), Kind::VersionSyntax, Warning),
        (spice("versions=rhel8"), Kind::VersionsItem, Warning),
        (spice("versions=rhel8:7.0; rhel7:2.0"), Kind::VersionsItem, Warning),
        (vnc("tls-ciphers=DEFAULT"), Kind::NotForVnc, Warning),
        (spice("username="), Kind::EmptyValue, Warning),
    ];
    let mut seen = BTreeSet::from([Kind::Limit.code()]);
    for (input, kind, severity) in cases {
        let text = String::from_utf8_lossy(&input);
        let findings = found(&input);
        assert!(findings.contains(&(kind, severity)), "{text}\n{findings:?}");
        let others: Vec<_> = findings.iter().filter(|(other, _)| *other != kind).collect();
        let allowed = matches!(
            kind,
            Kind::UnknownType | Kind::NoGroup | Kind::NoType | Kind::OldChannelName
        );
        assert!(others.is_empty() || allowed, "{text}\n{others:?}");
        assert_eq!(
            worst(&lint(&input)),
            findings.iter().map(|(_, severity)| *severity).max()
        );
        assert_eq!(
            ConnectionFile::parse_strict(&input).is_err(),
            worst(&lint(&input)) == Some(Error),
            "{text}"
        );
        seen.insert(kind.code());
    }
    let all: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(seen, all);
    let limits = Limits::default().with_size(10);
    assert_eq!(lint_with(&spice(""), &limits)[0].kind, Kind::Limit);
}

/// Each key by another name with which it is ignored.
#[test]
fn misspelled_keys_are_named() {
    let forms: [fn(&str) -> String; 4] = [
        |key| key.replace('-', "_"),
        |key| key.to_uppercase(),
        |key| key.replace('-', ""),
        |key| key.replace('-', " "),
    ];
    let known = |group: &str| match group {
        key::OVIRT => Ovirt::KEYS,
        _ => VirtViewer::KEYS,
    };
    for group in [key::VIRT_VIEWER, key::OVIRT] {
        for key in known(group) {
            for form in forms {
                let name = form(key);
                if name == *key {
                    continue;
                }
                let file = format!("[virt-viewer]\ntype=ovirt\n[{group}]\n{name}=1\n");
                let findings = lint(file.as_bytes());
                let found = findings.iter().find(|finding| finding.kind == Kind::MisspelledKey);
                let place = found.map(|finding| (finding.group, finding.key, finding.line, finding.severity));
                assert_eq!(
                    place,
                    Some((Some(group), Some(*key), 4, Warning)),
                    "{name}: {findings:?}"
                );
                let text = found.unwrap().to_string();
                assert!(
                    text.starts_with(&format!("line 4, column {}: {key}: warning: ", name.len() + 2)),
                    "{text}"
                );
            }
        }
    }
    // Extensions are not for the viewer, and a missing key is an error of its own.
    assert_eq!(found(&spice("x-host=1")), []);
    let no_type = found(&whole("[virt-viewer]\nType=spice\nhost=h\nport=1\n"));
    assert_eq!(no_type, [(Kind::NoType, Error), (Kind::MisspelledKey, Warning)]);
}

#[test]
fn bypassed_proxies_are_called_so() {
    for (text, kind) in [
        ("proxy:3128", Kind::ProxyScheme),
        ("socks5://p", Kind::ProxyScheme),
        ("http://p:3128?x=1", Kind::ProxySyntax),
        ("http://p:3128/path", Kind::ProxySyntax),
        ("http://p:3128#x", Kind::ProxySyntax),
        ("\"http://p:3128\"", Kind::ProxySyntax),
        ("http://p:3128 ", Kind::ProxySyntax),
        ("http://p:", Kind::ProxySyntax),
        ("http://p:0", Kind::ProxySyntax),
        ("http://p:65536", Kind::ProxySyntax),
        ("http://:3128", Kind::ProxySyntax),
        ("http://", Kind::ProxySyntax),
    ] {
        let kinds = found(&spice(&format!("proxy={text}")));
        assert!(kinds.contains(&(kind, Error)), "{text}: {kinds:?}");
        assert_eq!(
            kinds.len(),
            if text.ends_with(' ') { 2 } else { 1 },
            "{text}: {kinds:?}"
        );
        assert!(
            kind.meaning()
                .contains("ignores it, with a warning in its log, and connects directly")
        );
    }
    // Of these the viewer says that it cannot connect.
    for text in ["http://p ", "http://p/path", "http://a,b"] {
        assert!(found(&spice(&format!("proxy={text}"))).contains(&(Kind::ProxyUnusable, Error)));
    }
}

#[test]
fn hosts_by_protocol() {
    let kinds = |protocol: &str, host: &str, port: &str| {
        let file = format!("[virt-viewer]\ntype={protocol}\nhost={host}\n{port}=9\n");
        found(file.as_bytes())
    };
    for host in ["127.0.0.1", "gw.example.org.", "2001:db8::1", "bücher.example", "a_b"] {
        assert_eq!(kinds("spice", host, "tls-port"), [], "{host}");
        assert_eq!(kinds("vnc", host, "port"), [], "{host}");
    }
    assert_eq!(kinds("spice", "[::1]", "tls-port"), []);
    assert_eq!(kinds("vnc", "[::1]", "port"), [(Kind::HostBrackets, Error)]);
    for host in ["127.0.0.1:5999", "[::1]:5900", "gw:vnc"] {
        for (protocol, port) in [("spice", "port"), ("spice", "tls-port"), ("vnc", "port")] {
            assert_eq!(kinds(protocol, host, port), [(Kind::HostPort, Error)], "{host}");
        }
    }
    for host in ["\"10.0.0.1\"", "host?x=1", "a,b", "*", "a..b", "'gw'", "gw:", "10.1"] {
        assert_eq!(kinds("spice", host, "tls-port"), [(Kind::HostSyntax, Error)], "{host}");
        assert_eq!(kinds("vnc", host, "port"), [(Kind::HostSyntax, Error)], "{host}");
        assert!(vv_file::Builder::spice(host).tls_port(1).build().is_err(), "{host}");
        assert!(vv_file::Builder::vnc(host).port(1).build().is_err(), "{host}");
    }
}

/// Every character that turns the direction, in each text that is shown.
#[test]
fn characters_that_turn_the_direction() {
    let controls = ['\u{61c}', '\u{200e}', '\u{200f}'].into_iter();
    for control in controls.chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
        for key in ["title", "username", "newer-version-url", "tls-ciphers", "type"] {
            let kinds = found(&spice(&format!("{key}=a{control}b")));
            assert!(
                kinds.contains(&(Kind::BidiControl, Error)),
                "{control:?} {key}: {kinds:?}"
            );
        }
        let built = vv_file::Builder::spice("h").tls_port(1).title(format!("a{control}"));
        assert_eq!(built.build().unwrap_err(), vv_file::BuildError::BidiControl("title"));
        let versions = vv_file::Builder::spice("h")
            .tls_port(1)
            .versions([(format!("a{control}"), "1")]);
        assert_eq!(
            versions.build().unwrap_err(),
            vv_file::BuildError::BidiControl("versions")
        );
        // A password is not shown and may be anything.
        assert_eq!(found(&spice(&format!("delete-this-file=1\npassword={control}"))), []);
    }
    // Letters that are written from right to left are text.
    assert_eq!(found(&spice("title=שרת דואר")), []);
    assert_eq!(found(&spice("title=a\u{200d}b\u{2065}c\u{206a}d\u{2029}")), []);
}

#[test]
fn utf_16_is_named() {
    let text = "[virt-viewer]\r\ntype=spice\r\nhost=h\r\nport=1\r\n";
    let first_line_is_a_comment = "#c\n[virt-viewer]\ntype=spice\nhost=h\nport=1\n";
    for text in [text, first_line_is_a_comment] {
        for mark in ["", "\u{feff}"] {
            for order in [u16::to_le_bytes, u16::to_be_bytes] {
                let text = [mark, text].concat();
                let input: Vec<u8> = text.encode_utf16().flat_map(order).collect();
                assert_eq!(found(&input), [(Kind::Utf16, Error)], "{input:?}");
                let refused = ConnectionFile::parse(&input).unwrap_err().to_string();
                assert!(refused.ends_with("utf-16 instead of utf-8"), "{refused}");
            }
        }
    }
}

#[test]
fn good_files_have_no_finding() {
    let ca = format!("ca={CA}");
    for lines in [
        "",
        "unknown-to-us=1\nx-vendor=1".strip_prefix("unknown-to-us=1\n").unwrap(),
        "port=-1\npassword=p\ndelete-this-file=1\nrelease-cursor=ctrl+alt\nzoom-in=F35",
        "secure-channels=main;inputs;\ncolor-depth=16\ndisable-effects=all;\nversions=a:1.0-1;b:2\ntitle=",
        r"host-subject=O=Example\\, Inc, CN=h",
        &ca,
    ] {
        assert_eq!(found(&spice(lines)), [], "{lines}");
        assert!(ConnectionFile::parse_strict(&spice(lines)).is_ok());
    }
    assert_eq!(found(&vnc("password=12345678\ndelete-this-file=1")), []);
    assert_eq!(found(&whole("[virt-viewer]\ntype=spice\nunix-path=/run/spice\n")), []);
}

#[test]
fn findings_say_where_what_and_how() {
    let findings = lint(&spice("title=hunter2\\q\ndelete-this-file=true"));
    let report: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    expect![[r#"
        line 5, column 7: title: error: a backslash starts no escape: GLib from 2.79 on reads no value at all, older ones keep the backslash (double each backslash that is meant as one)
        line 6, column 18: delete-this-file: error: delete-this-file reads 0 although it says something else: the file stays on the disk with its password (write delete-this-file=1)
    "#]]
    .assert_eq(&report);
    let error = ConnectionFile::parse_strict(&spice("title=hunter2\\q"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("line 5, column 7: title: error: "), "{error}");
}

/// What the documented forms of known generators get.
#[test]
fn the_forms_of_generators() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vv");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let mut report = String::new();
    for path in names {
        report += &format!("{}\n", path.file_name().unwrap().to_str().unwrap());
        for finding in lint(&fs::read(path).unwrap()) {
            let key = finding.key.unwrap_or("-");
            report += &format!(
                "  {}:{} {key} {} {}\n",
                finding.line,
                finding.column,
                finding.severity.name(),
                finding.kind.code()
            );
        }
    }
    expect![[r#"
        commented-with-semicolons.vv
          5:5 - warning semicolon-comment
        crlf.vv
        kerbside-proxy.vv
          17:4 ca warning ca-not-der
        no-type.vv
          1:1 - error no-type
        ovirt-spice.vv
          16:12 usb-filter warning usb-filter
          19:4 ca warning ca-not-der
          29:4 ca warning ca-not-der
        ovirt-vnc.vv
          5:10 password error password-too-long
          21:4 ca warning ca-not-der
        pve.vv
          1:1 - note proxmox-ticket
          12:4 ca warning ca-not-der
        unescaped-ca.vv
          6:1 - error raw-pem
    "#]]
    .assert_eq(&report);
}
