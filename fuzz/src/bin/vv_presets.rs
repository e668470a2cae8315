#![cfg_attr(fuzzing, no_main)]
//! Connection files as oVirt, Proxmox VE and Kerbside write them, with anything in their fields.
//!
//! ```text
//! | what u8 | bits u8 | ports u16 twice | texts: length u8 each |
//! ```
//!
//! A file that is written reads back with what was put in, and the lint finds no error in it; what is refused is refused with a
//! reason that shows no password.
//!
//! Not searched in CI: see LAWS.md.

use fuzz::Input;
use vv_file::presets::{Kerbside, Ovirt, ProxmoxVe};
use vv_file::{Builder, Channel, ColorDepth, ConnectionFile, Effect, Engine, Severity, key, lint};

fuzz::target!(check);

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let (what, bits) = (input.byte(), input.byte());
    let ports = [[input.byte(), input.byte()], [input.byte(), input.byte()]].map(u16::from_le_bytes);
    let blobs: [&[u8]; 8] = std::array::from_fn(|_| input.short_blob());
    let texts = blobs.map(|blob| String::from_utf8_lossy(blob).into_owned());
    let [host, password, title, subject, ca, proxy, filter, rest] = texts.each_ref().map(String::as_str);
    let is = |bit: u8| bits >> bit & 1 == 1;
    let versions = [("rhev-win64", filter)];
    let engine = Engine {
        host,
        vm_guid: rest,
        jsessionid: is(0).then_some(title),
        sso_token: is(1).then_some(password),
        admin: Some(is(5)),
        ca: is(2).then_some(ca),
    };
    let ovirt = Ovirt {
        host,
        port: is(0).then_some(ports[0]),
        tls_port: is(1).then_some(ports[1]),
        password,
        valid_for: u32::from(ports[0]),
        title,
        fullscreen: is(2),
        enable_smartcard: is(3),
        enable_usb_autoshare: is(4),
        usb_filter: is(5).then_some(filter),
        tls_ciphers: is(6).then_some(rest),
        host_subject_and_ca: is(7).then_some((subject, ca)),
        proxy: is(2).then_some(proxy),
        secure_channels: if is(3) { &[Channel::Main, Channel::Display] } else { &[] },
        username: is(4).then_some(rest),
        versions: is(1).then_some((&versions, proxy)),
        engine: is(6).then_some(engine),
    };
    let kerbside = Kerbside {
        host,
        port: ports[0],
        tls_port: ports[1],
        password,
        title,
        ca,
        host_subject: subject,
    };
    let proxmox = ProxmoxVe {
        proxy_ticket: host,
        node: proxy,
        tls_port: ports[1],
        password,
        vm_id: u32::from(ports[0]),
        vm_name: title,
        host_subject: subject,
        ca,
    };
    let shown = format!("{ovirt:?} {kerbside:?} {proxmox:?}");
    let builder = match what % 5 {
        0 => ovirt.spice(),
        1 => ovirt.vnc(),
        2 => proxmox.spice(),
        3 => kerbside.spice(),
        _ => Builder::spice(host)
            .port(ports[0])
            // A VM's password need not be text.
            .password(blobs[1])
            .color_depth(if is(0) { ColorDepth::Bits16 } else { ColorDepth::Bits32 })
            .disable_effects([Effect::Animation])
            .enable_smartcard(is(1))
            .enable_usbredir(is(2))
            .enable_usb_autoshare(is(3)),
    };
    let told = format!("{builder:?}");
    let is_secret = |text: &str| 8 <= password.len() && text.contains(password);
    assert!(!is_secret(&shown) && !is_secret(&told));
    match builder.build() {
        Ok(document) => {
            assert!(!is_secret(&format!("{document:?}")));
            let bytes = document.as_bytes();
            let file = ConnectionFile::parse(bytes).expect("it was written");
            let read = file.key_file().get("virt-viewer", key::PASSWORD);
            let read = read.and_then(|read| read.string().ok());
            assert_eq!(read.as_deref(), Some(password), "{}", bytes.escape_ascii());
            let findings = lint(bytes);
            let error = findings.iter().find(|finding| finding.severity == Severity::Error);
            assert!(error.is_none(), "{error:?}: {}", bytes.escape_ascii());
        }
        Err(error) => assert!(!error.to_string().is_empty() && !is_secret(&format!("{error} {error:?}"))),
    }
}
