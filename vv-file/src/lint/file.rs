//! Checks of the whole file: whether it loads, and combinations of keys.

use alloc::{string::String, vec::Vec};

use super::{Finding, FindingKind as Kind, Severity, near::Known, report::Report, values};
use crate::{
    connection::VirtViewer,
    error::{ParseError, ParseErrorKind},
    host::is_ticket,
    key,
    key_file::{EntryRef, KeyFile, Limits, is_utf16},
    ovirt::Ovirt,
    protocol::Protocol,
};

/// The bytes of a UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) fn check(input: &[u8], limits: &Limits) -> Vec<Finding> {
    let mut report = Report::new();
    match KeyFile::parse_with(input, limits) {
        // Lines that begin with a NUL are blank, and so a file in UTF-16 may load without a group.
        Ok(file) if !file.has_group(key::VIRT_VIEWER) && is_utf16(input) => report.error(Kind::Utf16),
        Ok(file) => check_file(&file, &mut report),
        Err(error) => refused(input, error, &mut report),
    }
    report.into_findings()
}

/// Reports why a file does not load.
fn refused(input: &[u8], error: ParseError, report: &mut Report) {
    report.at(error.line, error.column);
    let line = input
        .split(|&byte| byte == b'\n')
        .nth(error.line.saturating_sub(1))
        .unwrap_or_default();
    let before = input.split(|&byte| byte == b'\n').take(error.line.saturating_sub(1));
    let text = line.trim_ascii();
    let in_pem = || {
        let armour = b"-----BEGIN ";
        before
            .last()
            .is_some_and(|line| line.windows(armour.len()).any(|part| part == armour))
            || text.starts_with(b"-----")
    };
    report.error(match error.kind {
        ParseErrorKind::TooLarge { .. } | ParseErrorKind::TooManyLines { .. } | ParseErrorKind::TooManyKeys { .. } => {
            Kind::Limit
        }
        ParseErrorKind::Encoding => Kind::Encoding,
        ParseErrorKind::Utf16 => Kind::Utf16,
        _ if input.starts_with(BYTE_ORDER_MARK) => Kind::ByteOrderMark,
        _ if matches!(input.trim_ascii_start().first(), Some(b'<' | b'{')) => Kind::SavedPage,
        _ if text.starts_with(b";") => Kind::SemicolonComment,
        ParseErrorKind::KeyBeforeGroup => Kind::NoGroup,
        _ if in_pem() => Kind::RawPem,
        _ => Kind::Syntax,
    });
}

fn check_file(file: &KeyFile, report: &mut Report) {
    check_group_names(file, report);
    let Some(line) = file.line_of_group(key::VIRT_VIEWER.as_bytes()) else {
        return report.error(Kind::NoGroup);
    };
    check_duplicate_groups(file, report);
    check_group(file, key::VIRT_VIEWER, VirtViewer::KEYS, report);
    report.group = Some(key::VIRT_VIEWER);
    report.at(line, 1);
    check_combinations(file, report);
    if file.has_group(key::OVIRT) {
        check_group(file, key::OVIRT, Ovirt::KEYS, report);
    }
}

/// Reports groups with misspelled names.
fn check_group_names(file: &KeyFile, report: &mut Report) {
    let names = [key::VIRT_VIEWER, key::OVIRT];
    let known = Known::new(&names);
    for name in file.groups() {
        let is_known = names.iter().any(|known| known.as_bytes() == name);
        let Some(meant) = known.meant(name).filter(|_| !is_known) else {
            continue;
        };
        report.group = Some(meant);
        report.at(file.line_of_group(name).unwrap_or(1), 1);
        report.warning(Kind::MisspelledGroup);
    }
    report.group = None;
    report.at(1, 1);
}

fn check_duplicate_groups(file: &KeyFile, report: &mut Report) {
    let mut seen: Vec<&[u8]> = Vec::new();
    for (index, line) in file.lines().enumerate() {
        let known = [key::VIRT_VIEWER, key::OVIRT].into_iter().find(|name| {
            let line = line.trim_ascii();
            let inner = line.strip_prefix(b"[").and_then(|line| line.strip_suffix(b"]"));
            inner == Some(name.as_bytes())
        });
        let Some(name) = known else { continue };
        if seen.contains(&name.as_bytes()) {
            (report.group, report.key) = (Some(name), None);
            report.at(index.saturating_add(1), 1);
            report.warning(Kind::DuplicateGroup);
        }
        seen.push(name.as_bytes());
    }
}

fn check_group(file: &KeyFile, group: &'static str, keys: &[&'static str], report: &mut Report) {
    report.group = Some(group);
    // Known keys with their last value; at most as many as virt-viewer has, so that the time stays linear.
    let mut seen: Vec<(&str, &[u8])> = Vec::new();
    let is_vnc = string(file, key::TYPE).as_deref() == Some("vnc");
    let mut near = None;
    for entry in file.entries_of(group) {
        let crashing = [key::SMARTCARD_INSERT, key::SMARTCARD_REMOVE];
        let known = keys
            .iter()
            .chain(&crashing)
            .find(|name| name.as_bytes() == entry.key)
            .copied();
        report.key = known;
        report.at(entry.line, entry.column);
        let Some(name) = known else {
            let near = near.get_or_insert_with(|| Known::new(keys));
            unknown(&entry, keys, near, report);
            continue;
        };
        let raw = entry.value.raw();
        match seen.iter_mut().find(|(other, _)| *other == name) {
            Some((_, before)) => {
                let same = core::mem::replace(before, raw) == raw;
                report.add(
                    Kind::DuplicateKey,
                    if same { Severity::Warning } else { Severity::Error },
                );
            }
            None => seen.push((name, raw)),
        }
        if file.line(entry.line).is_some_and(|line| line.contains(&0)) {
            report.warning(Kind::NulByte);
        }
        if is_vnc && group == key::VIRT_VIEWER && Protocol::Vnc.ignores(name) {
            report.warning(Kind::NotForVnc);
        }
        values::check(group, name, entry.value, is_vnc, report);
    }
    report.key = None;
}

fn unknown(entry: &EntryRef<'_>, keys: &[&str], near: &Known, report: &mut Report) {
    let name = entry.key;
    let bare = name.split(|&byte| byte == b'[').next().unwrap_or_default();
    let is_extension = name.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"x-"));
    if name.starts_with(b";") {
        report.warning(Kind::SemicolonComment);
    } else if bare != name && keys.iter().any(|key| key.as_bytes() == bare) {
        report.note(Kind::LocalizedKey);
    } else if is_extension {
        // Extensions are for other programs.
    } else if let Some(meant) = near.meant(name) {
        report.key = Some(meant);
        report.warning(Kind::MisspelledKey);
    } else {
        report.note(Kind::UnknownKey);
    }
}

fn string(file: &KeyFile, key: &str) -> Option<String> {
    file.get(key::VIRT_VIEWER, key)?.string().ok()
}

/// Whether a key holds a valid port.
fn port(file: &KeyFile, key: &str) -> bool {
    let number = file.get(key::VIRT_VIEWER, key).and_then(|value| value.integer().ok());
    number.is_some_and(|number| (1..=65535).contains(&number))
}

/// Checks combinations of keys.
fn check_combinations(file: &KeyFile, report: &mut Report) {
    let has = |key| file.get(key::VIRT_VIEWER, key).is_some();
    if !has(key::TYPE) {
        return report.error(Kind::NoType);
    }
    let host = string(file, key::HOST).unwrap_or_default();
    let (plain, tls) = (port(file, key::PORT), port(file, key::TLS_PORT));
    let is_spice = string(file, key::TYPE).as_deref() == Some("spice");
    let is_vnc = string(file, key::TYPE).as_deref() == Some("vnc");
    let socket = is_spice && has(key::UNIX_PATH);
    if socket && (has(key::HOST) || has(key::PORT) || has(key::TLS_PORT)) {
        report.error(Kind::UnixPathAndHost);
    }
    if !socket && (is_spice || is_vnc) {
        if host.is_empty() {
            report.error(Kind::NoHost);
        }
        if !(plain || (tls && is_spice)) {
            report.error(Kind::NoPort);
        }
    }
    if is_ticket(&host) {
        match has(key::PROXY) {
            true => report.note(Kind::ProxmoxTicket),
            false => report.error(Kind::ProxmoxTicketWithoutProxy),
        }
    }
    if is_spice && has(key::SECURE_CHANNELS) && !tls && !socket {
        report.error(Kind::SecureWithoutTls);
    }
    if is_spice && has(key::PASSWORD) && !tls && !socket {
        report.warning(Kind::PasswordWithoutTls);
    }
    let ovirt_has = |key| file.get(key::OVIRT, key).is_some();
    let has_secret = has(key::PASSWORD) || ovirt_has(key::SSO_TOKEN) || ovirt_has(key::JSESSIONID);
    let deletes = file.get(key::VIRT_VIEWER, key::DELETE_THIS_FILE);
    let stays = deletes.is_none_or(|value| value.raw().trim_ascii() == b"0");
    if has_secret && stays {
        report.warning(Kind::NotDeleted);
    }
}
