//! Every property that virt-viewer took from a file, compared with ours.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use vv_file::{
    ConnectionFile, Secret,
    connection::{Options, VirtViewer},
    error::{ConnectionError, ErrorCode},
    key,
    key_file::BadEscapes,
    ovirt::Ovirt,
};

use crate::oracle::{self, Base64, same};

#[derive(Deserialize)]
struct Row {
    input: Base64,
    outcome: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Error(LoadError),
    Properties(BTreeMap<String, Property>),
}

#[derive(Deserialize)]
struct LoadError {
    domain: String,
    code: u32,
}

#[derive(Deserialize, Debug, PartialEq)]
struct Property {
    is_set: bool,
    #[serde(default)]
    value: Value,
}

#[test]
fn takes_what_virt_viewer_takes() {
    oracle::each("VV_ORACLE", "vv-oracle.jsonl", |row: &Row| {
        // The rows were made with a GLib that kept bad escapes.
        let options = Options::default()
            .with_bad_escapes(BadEscapes::Kept)
            .with_limits(oracle::no_limits());
        let theirs = match (&row.outcome, ConnectionFile::parse_with(&row.input.0, &options)) {
            (Outcome::Properties(theirs), Ok(file)) => return check(&file, theirs),
            (Outcome::Error(theirs), Err(ours)) => {
                same("domain", &"g-key-file-error-quark", &theirs.domain.as_str())?;
                return same("error", &code(ours)?, &theirs.code);
            }
            (Outcome::Properties(_), Err(ours)) => return Err(format!("refused: {ours}")),
            (Outcome::Error(theirs), Ok(_)) => theirs,
        };
        Err(format!("accepted: theirs {}", theirs.code))
    });
}

fn code(error: ConnectionError) -> Result<u32, String> {
    Ok(match error.code() {
        Some(ErrorCode::UnknownEncoding) => 0,
        Some(ErrorCode::Parse) => 1,
        Some(ErrorCode::NotFound) => 2,
        Some(ErrorCode::KeyNotFound) => 3,
        Some(ErrorCode::GroupNotFound) => 4,
        Some(ErrorCode::InvalidValue) => 5,
        None => return Err(format!("a limit: {error}")),
    })
}

fn check(file: &ConnectionFile, theirs: &BTreeMap<String, Property>) -> Result<(), String> {
    let ours = ours(file);
    for name in theirs.keys() {
        if !ours.iter().any(|(ours, _)| ours == name) {
            return Err(format!("{name}: not compared"));
        }
    }
    for (name, value) in ours {
        let is_set = file.is_set(name);
        let theirs = theirs
            .get(name)
            .map(|property| (property.is_set, property.value.clone()));
        // A row leaves out what is not set and reads null or 0. The table of versions is there
        // in all rows, empty when it is not set.
        let default = matches!(&value, Value::Null) || value == json!(0);
        let ours = (is_set || !default).then_some((is_set, value));
        same(name, &ours, &theirs)?;
    }
    Ok(())
}

/// The properties by virt-viewer's names.
fn ours(file: &ConnectionFile) -> Vec<(&'static str, Value)> {
    let v = &file.virt_viewer;
    let type_name = v.connection_type.as_ref().map(|name| name.name());
    let mut ours = vec![
        ("type", json!(type_name)),
        ("host", json!(v.host)),
        ("port", number(v.port)),
        ("tls-port", number(v.tls_port)),
        ("username", json!(v.username)),
        ("password", secret(&v.password)),
        ("title", json!(v.title)),
        (
            "fullscreen",
            switch(file, key::VIRT_VIEWER, key::FULLSCREEN, v.fullscreen),
        ),
        ("ca", json!(v.ca)),
        ("host-subject", json!(v.host_subject)),
        ("tls-ciphers", json!(v.tls_ciphers)),
        ("proxy", json!(v.proxy)),
        ("secure-channels", json!(v.secure_channels)),
        ("disable-channels", json!(v.disable_channels)),
        ("color-depth", number(v.color_depth)),
        ("disable-effects", json!(v.disable_effects)),
        (
            "enable-smartcard",
            switch(file, key::VIRT_VIEWER, key::ENABLE_SMARTCARD, v.enable_smartcard),
        ),
        (
            "enable-usbredir",
            switch(file, key::VIRT_VIEWER, key::ENABLE_USBREDIR, v.enable_usbredir),
        ),
        (
            "enable-usb-autoshare",
            switch(
                file,
                key::VIRT_VIEWER,
                key::ENABLE_USB_AUTOSHARE,
                v.enable_usb_autoshare,
            ),
        ),
        ("usb-filter", json!(v.usb_filter)),
        (
            "delete-this-file",
            switch(file, key::VIRT_VIEWER, key::DELETE_THIS_FILE, v.delete_this_file),
        ),
        ("version", json!(v.version)),
        ("versions", json!(v.versions)),
        ("version-url", json!(v.newer_version_url)),
        ("toggle-fullscreen", json!(v.toggle_fullscreen)),
        ("release-cursor", json!(v.release_cursor)),
        ("zoom-in", json!(v.zoom_in)),
        ("zoom-out", json!(v.zoom_out)),
        ("zoom-reset", json!(v.zoom_reset)),
        ("secure-attention", json!(v.secure_attention)),
        ("usb-device-reset", json!(v.usb_device_reset)),
    ];
    // The socket is no property of virt-viewer's object, and everything else is.
    assert_eq!(ours.len() + 1, VirtViewer::KEYS.len());
    // A key of such a name in [virt-viewer] is set, and gives nothing.
    let o = file.ovirt.as_ref();
    let properties = [
        ("ovirt-host", json!(o.and_then(|o| o.host.as_ref()))),
        ("ovirt-vm-guid", json!(o.and_then(|o| o.vm_guid.as_ref()))),
        ("ovirt-jsessionid", o.map_or(Value::Null, |o| secret(&o.jsessionid))),
        ("ovirt-sso-token", o.map_or(Value::Null, |o| secret(&o.sso_token))),
        ("ovirt-ca", json!(o.and_then(|o| o.ca.as_ref()))),
        ("ovirt-admin", ovirt_admin(file)),
    ];
    assert_eq!(properties.len(), Ovirt::KEYS.len());
    ours.extend(properties);
    ours
}

fn ovirt_admin(file: &ConnectionFile) -> Value {
    let on = file.ovirt.as_ref().and_then(|ovirt| ovirt.admin);
    switch(file, key::OVIRT, key::ADMIN, on)
}

fn number(value: Option<i32>) -> Value {
    json!(value.unwrap_or_default())
}

/// virt-viewer keeps the number of a switch; it is on for every number but 0.
fn switch(file: &ConnectionFile, group: &str, key: &str, on: Option<bool>) -> Value {
    let value = file.key_file().get(group, key);
    let read = value.map_or(0, |value| value.integer().unwrap_or_default());
    assert_eq!(on.unwrap_or_default(), read != 0, "{key}");
    json!(read)
}

fn secret(secret: &Option<Secret>) -> Value {
    json!(
        secret
            .as_ref()
            .map(|secret| std::str::from_utf8(secret.expose()).unwrap())
    )
}
