//! Connection files: the bytes of a file, the models that the builder takes, and the lint.
//!
//! ```text
//! bytes, lint: a file
//! builder:     | flags u8 | fields u16 | port u16 | tls port u16 | eleven texts, each length u16, bytes | ca |
//! ```

use vv_file::connection::{ConnectionType, Options};
use vv_file::error::ErrorCode;
use vv_file::hotkey::{Hotkey, display, normalize};
use vv_file::key_file::{BadEscapes, Limits};
use vv_file::policy::{Demand, Policy};
use vv_file::{Builder, Channel, ConnectionFile, Effect, Engine, HotkeyAction, KeyFile, Severity, key, lint as check};

use crate::Input;

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default().with_lines(64).with_keys(32)
}

/// Keys and raw values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// What can be asked about a file, for comparison.
fn content(file: &KeyFile) -> Vec<(Vec<u8>, Entries)> {
    let entries = |group: &[u8]| {
        let pair = |entry: vv_file::key_file::EntryRef<'_>| (entry.key.to_vec(), entry.value.raw().to_vec());
        file.entries_of(group).map(pair).collect()
    };
    file.groups().map(|group| (group.to_vec(), entries(group))).collect()
}

/// Checks the bytes of a file: every reader, that parse(write(parse(x))) is parse(x), and edits.
pub fn bytes(data: &[u8]) {
    let _ = KeyFile::parse_with(data, &limits());
    let Ok(file) = KeyFile::parse(data) else { return };
    assert_eq!(file.lines().collect::<Vec<_>>().concat(), data);
    let again = KeyFile::parse(file.as_bytes()).unwrap();
    assert_eq!(content(&again), content(&file));
    for group in file.groups() {
        for entry in file.entries_of(group) {
            let value = entry.value;
            assert_eq!(value.text().ok().as_deref(), value.string().ok().as_deref());
            if let Err(error) = value.string() {
                let is_utf8 = std::str::from_utf8(value.raw()).is_ok();
                assert_eq!(error.code() == ErrorCode::UnknownEncoding, !is_utf8, "{error}");
            }
            let _ = (
                value.string_with(BadEscapes::Kept),
                value.list(),
                value.boolean(),
                value.integer(),
            );
            let _ = (
                value.int64(),
                value.uint64(),
                value.integer_list(),
                value.boolean_list(),
            );
        }
    }
    let data = file.to_data();
    // A carriage return of a value's own wears off at the next load, as in GLib.
    if !data.as_bytes().windows(2).any(|pair| pair == b"\r\n") {
        let written = KeyFile::parse(data.as_bytes()).unwrap();
        assert_eq!(content(&written), content(&file));
        assert_eq!(written.to_data().as_bytes(), data.as_bytes());
    }
    edit(file);
}

/// A key that is put in is there, and gone when it is taken out.
fn edit(mut file: KeyFile) {
    let before = file.as_bytes().to_vec();
    let had_group = file.has_group("virt-viewer");
    if file.get("virt-viewer", "x-fuzz").is_some() || file.set_string("virt-viewer", "x-fuzz", " a\n\\").is_err() {
        return;
    }
    assert_eq!(file.get("virt-viewer", "x-fuzz").unwrap().string().unwrap(), " a\n\\");
    assert!(file.remove_key("virt-viewer", "x-fuzz").unwrap());
    if had_group {
        let line_end = |bytes: &[u8]| bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec();
        assert_eq!(
            line_end(file.as_bytes()).trim_ascii_end(),
            line_end(&before).trim_ascii_end()
        );
    }
}

/// Checks the lint: places are in the file, and what has no error is read strictly and stays so when redacted.
pub fn lint(data: &[u8]) {
    let findings = check(data);
    let lines = data.split(|&byte| byte == b'\n').count();
    for finding in &findings {
        assert!((1..=lines).contains(&finding.line) && 1 <= finding.column);
        assert!(!finding.to_string().is_empty());
    }
    let has_error = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(ConnectionFile::parse_strict(data).is_err(), has_error);
    let kept = ConnectionFile::parse_with(data, &Options::default().with_bad_escapes(BadEscapes::Kept));
    let file = match ConnectionFile::parse(data) {
        Ok(file) => file,
        Err(error) => {
            assert!(kept.is_err() && has_error);
            // GLib has a code for all but our own limits.
            let limits = Limits::default();
            let is_long = data.len() > limits.size || lines > limits.lines || lines > limits.keys;
            assert!(error.code().is_some() || is_long, "{error}");
            return;
        }
    };
    let v = &file.virt_viewer;
    keys(&file);
    let _ = (
        v.subject(),
        v.proxy_uri(),
        v.usb_rules(),
        v.certificates(),
        v.takes_viewer("11.0", Some("rhel8")),
    );
    if let Some(text) = &v.release_cursor {
        let _ = (Hotkey::parse(text).name(), display(text));
        if let Some(safe) = normalize(text) {
            assert!(Hotkey::parse(&safe).binds());
        }
    }
    let everything = Policy::default()
        .with_proxy(true)
        .with_authorities(true)
        .with_socket(true)
        .with_clear_text(true)
        .with_devices(true)
        .with_deletion(true);
    assert_eq!(everything.refused(&file), []);
    let nowhere = Policy::default().with_hosts(&[]).refused(&file);
    assert_eq!(nowhere.contains(&Demand::Proxy), v.proxy.is_some());
    let redacted = file.redacted();
    let again = KeyFile::parse(redacted.as_bytes()).unwrap();
    assert_eq!(again.groups().count(), file.key_file().groups().count());
}

/// What is asked for by a name of ours is what stands under the key.
fn keys(file: &ConnectionFile) {
    let text = |key: &str| file.key_file().get("virt-viewer", key)?.string().ok();
    let v = &file.virt_viewer;
    let kind = v.connection_type.as_ref().map(ConnectionType::name);
    assert_eq!(kind, text(key::TYPE).as_deref());
    for (action, key) in [
        (HotkeyAction::ToggleFullscreen, key::TOGGLE_FULLSCREEN),
        (HotkeyAction::ReleaseCursor, key::RELEASE_CURSOR),
        (HotkeyAction::ZoomIn, key::ZOOM_IN),
        (HotkeyAction::ZoomOut, key::ZOOM_OUT),
        (HotkeyAction::ZoomReset, key::ZOOM_RESET),
        (HotkeyAction::SecureAttention, key::SECURE_ATTENTION),
        (HotkeyAction::UsbDeviceReset, key::USB_DEVICE_RESET),
    ] {
        let hotkey = v.hotkey(action);
        assert_eq!(hotkey.is_some(), text(key).is_some(), "{key}");
        if let Some(hotkey) = hotkey {
            assert!(hotkey.is_taken_for(action) || !hotkey.works_for(action));
        }
    }
    if let Some(Err(error)) = v.proxy_uri() {
        assert!(!error.is_bypassed() || !error.to_string().contains("cannot connect"));
    }
}

/// A setter of one line of text.
type Setter = fn(Builder, &str) -> Builder;

/// Checks the builder: what it writes reads back equal, has no error, and holds each field once.
pub fn builder(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.byte();
    let fields = u16::from_le_bytes([input.byte(), input.byte()]);
    let ports = [[input.byte(), input.byte()], [input.byte(), input.byte()]].map(u16::from_le_bytes);
    let texts: Vec<String> = (0..11)
        .map(|_| String::from_utf8_lossy(input.blob()).into_owned())
        .collect();
    let ca = String::from_utf8_lossy(input.blob()).into_owned();
    let mut builder = match flags & 3 {
        1 => Builder::vnc(&texts[0]),
        2 => Builder::spice_unix(&texts[0]),
        _ => Builder::spice(&texts[0]),
    };
    let setters: [(&str, Setter); 9] = [
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
    let mut expected: Vec<(&str, &str)> = Vec::new();
    for (index, (key, set)) in setters
        .iter()
        .enumerate()
        .filter(|(index, _)| fields & (1 << index) != 0)
    {
        builder = set(builder, &texts[index + 1]);
        expected.push((key, &texts[index + 1]));
    }
    if fields & 0x200 != 0 {
        builder = builder.hotkey(HotkeyAction::ReleaseCursor, &texts[10]);
        expected.push((key::RELEASE_CURSOR, &texts[10]));
    }
    if fields & 0x400 != 0 {
        builder = builder.ca(&ca);
    }
    if fields & 0x800 != 0 {
        builder = builder.port(ports[0]);
    }
    if fields & 0x1000 != 0 {
        builder = builder.tls_port(ports[1]);
    }
    if flags & 4 != 0 {
        builder = builder.secure_channels([Channel::Main, Channel::All]);
    }
    if flags & 8 != 0 {
        builder = builder.disable_effects([Effect::Animation]);
    }
    if fields & 0x2000 != 0 {
        builder = builder.versions([(texts[8].as_str(), texts[9].as_str())]);
    }
    if flags & 16 != 0 {
        builder = builder.ovirt(&Engine {
            host: &texts[6],
            vm_guid: &texts[7],
            sso_token: Some(&texts[2]),
            ..Engine::default()
        });
    }
    let Ok(document) = builder.build() else { return };
    let file = ConnectionFile::parse_strict(document.as_bytes()).unwrap();
    let key_file = file.key_file();
    for (key, text) in expected {
        assert_eq!(key_file.get("virt-viewer", key).unwrap().string().unwrap(), text);
    }
    assert_eq!(file.ovirt.is_some(), flags & 16 != 0);
    let keys: Vec<_> = key_file.keys("virt-viewer").collect();
    let unique: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(unique.len(), keys.len());
    assert_eq!(key_file.to_data().as_bytes(), document.as_bytes());
}
