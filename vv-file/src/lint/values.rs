//! Checks of single values.

use alloc::{string::String, vec::Vec};

use super::{FindingKind as Kind, Severity, report::Report};
use crate::{
    builder::{Channel, Effect, HotkeyAction},
    direction,
    error::{HostError, PemError, ProxyError, SubjectError, ValueError},
    host,
    hotkey::Hotkey,
    key,
    key_file::{BadEscapes, Value},
    pem,
    protocol::Protocol,
    proxy::Proxy,
    subject::HostSubject,
    usb_filter::UsbFilter,
    version,
};

pub(super) fn check(group: &str, name: &str, value: Value<'_>, is_vnc: bool, report: &mut Report) {
    match name {
        key::SMARTCARD_INSERT | key::SMARTCARD_REMOVE => report.error(Kind::CrashingKey),
        key::PORT | key::TLS_PORT => port(value, report),
        key::COLOR_DEPTH => {
            if number(value, report).is_some_and(|depth| depth != 16 && depth != 32) {
                report.warning(Kind::ColorDepth);
            }
        }
        key::DELETE_THIS_FILE
        | key::FULLSCREEN
        | key::ENABLE_SMARTCARD
        | key::ENABLE_USBREDIR
        | key::ENABLE_USB_AUTOSHARE
        | key::ADMIN => switch(name, value, report),
        key::SECURE_CHANNELS | key::DISABLE_CHANNELS | key::DISABLE_EFFECTS | key::VERSIONS => {
            list(name, value, report)
        }
        _ => text(group, name, value, is_vnc, report),
    }
}

fn number(value: Value<'_>, report: &mut Report) -> Option<i32> {
    let Ok(number) = value.integer() else {
        report.error(Kind::NumberReadsZero);
        return None;
    };
    if value.raw().trim_ascii().iter().any(u8::is_ascii_whitespace) {
        report.warning(Kind::IgnoredText);
    }
    Some(number)
}

fn port(value: Value<'_>, report: &mut Report) {
    // oVirt writes -1 for none.
    if number(value, report).is_some_and(|port| port != -1 && !(1..=65535).contains(&port)) {
        report.error(Kind::PortRange);
    }
}

fn switch(name: &str, value: Value<'_>, report: &mut Report) {
    let raw = value.raw().trim_ascii();
    if value.integer().is_ok() {
        if raw.iter().any(u8::is_ascii_whitespace) {
            report.warning(Kind::IgnoredText);
        }
        return;
    }
    let off = [b"false".as_slice(), b"no", b"off", b""];
    if off.iter().any(|word| raw.eq_ignore_ascii_case(word)) {
        // The value reads 0, and off was meant.
        report.note(Kind::SwitchReadsZero);
    } else if name == key::DELETE_THIS_FILE {
        report.error(Kind::TicketStays);
    } else {
        report.error(Kind::SwitchReadsZero);
    }
}

fn list(name: &str, value: Value<'_>, report: &mut Report) {
    let items = match value.list() {
        Ok(items) => items,
        Err(error) => return unreadable(error, report),
    };
    if name == key::DISABLE_CHANNELS {
        report.warning(Kind::ChannelsStay);
    }
    if items.iter().any(|item| direction::has_control(item)) {
        report.error(Kind::BidiControl);
    }
    // A channel without TLS is an error; an effect that is not switched off is a warning.
    let severity = if name == key::SECURE_CHANNELS {
        Severity::Error
    } else {
        Severity::Warning
    };
    let mut found: Vec<Kind> = Vec::new();
    for item in &items {
        let kind = match name {
            key::VERSIONS => match item.split_once(':') {
                None => Some(Kind::VersionsItem),
                Some((id, version)) if id.trim() != id || version.trim() != version => Some(Kind::VersionsItem),
                Some((_, text)) if !version::is_well_formed(text) => Some(Kind::VersionSyntax),
                Some(_) => None,
            },
            key::DISABLE_EFFECTS => unlisted(item, is_effect, Kind::UnknownEffect),
            _ => unlisted(item, is_channel, Kind::UnknownChannel),
        };
        if let Some(kind) = kind.filter(|kind| !found.contains(kind)) {
            found.push(kind);
            report.add(
                kind,
                if kind == Kind::UnknownChannel {
                    Severity::Warning
                } else {
                    severity
                },
            );
        }
    }
}

fn is_channel(name: &str) -> bool {
    Channel::ALL.iter().any(|channel| channel.name() == name)
}

fn is_effect(name: &str) -> bool {
    Effect::ALL.iter().any(|effect| effect.name() == name)
}

fn unlisted(item: &str, is_known: fn(&str) -> bool, otherwise: Kind) -> Option<Kind> {
    if is_known(item) {
        None
    } else if item.contains(',') {
        Some(Kind::CommaList)
    } else if item.trim() != item {
        Some(Kind::ListBlank)
    } else if item.strip_prefix('s').is_some_and(is_known) && otherwise == Kind::UnknownChannel {
        Some(Kind::OldChannelName)
    } else {
        Some(otherwise)
    }
}

fn unreadable(error: ValueError, report: &mut Report) {
    report.error(match error {
        ValueError::Encoding => Kind::NotUtf8,
        _ => Kind::BadEscape,
    });
}

fn text(group: &str, name: &str, value: Value<'_>, is_vnc: bool, report: &mut Report) {
    let text = match value.string() {
        Ok(text) => text,
        Err(ValueError::Encoding) => return report.error(Kind::NotUtf8),
        Err(error) => {
            let is_subject = name == key::HOST_SUBJECT && has_escaped_comma(value);
            match name {
                key::CA => report.error(Kind::CaUnreadable),
                key::HOST_SUBJECT if is_subject => report.error(Kind::SubjectComma),
                _ => unreadable(error, report),
            }
            return;
        }
    };
    if text.is_empty() && name != key::TITLE && name != key::TYPE && name != key::HOST {
        return report.warning(Kind::EmptyValue);
    }
    if value.raw().last().is_some_and(u8::is_ascii_whitespace) && name != key::CA {
        let breaks = matches!(name, key::HOST | key::TYPE | key::PROXY);
        report.add(
            Kind::TrailingBlank,
            if breaks { Severity::Error } else { Severity::Warning },
        );
    }
    if name != key::CA && text.chars().any(char::is_control) {
        report.error(Kind::ControlCharacter);
    }
    if key::is_shown(name) && direction::has_control(&text) {
        report.error(Kind::BidiControl);
    }
    let protocol = if is_vnc { Protocol::Vnc } else { Protocol::Spice };
    match name {
        key::TYPE if !matches!(text.as_str(), "spice" | "vnc" | "ovirt") => report.error(Kind::UnknownType),
        key::HOST if group == key::VIRT_VIEWER => check_host(&text, is_vnc, report),
        key::PASSWORD if protocol.password_limit() < text.len() => report.error(Kind::PasswordTooLong),
        key::CA => certificates(&text, report),
        key::HOST_SUBJECT => subject(&text, report),
        key::PROXY => proxy(&text, report),
        key::USB_FILTER if UsbFilter::parse(&text).is_err() => report.warning(Kind::UsbFilter),
        key::VERSION if !version::is_well_formed(&text) => report.warning(Kind::VersionSyntax),
        _ if HotkeyAction::of_key(name).is_some_and(|action| !Hotkey::parse(&text).works_for(action)) => {
            report.warning(Kind::HotkeyDoesNotBind);
        }
        _ => {}
    }
}

/// Whether a single backslash stands before a comma: old GLib passes it on as the subject's own escape.
fn has_escaped_comma(value: Value<'_>) -> bool {
    let kept: Option<String> = value.string_with(BadEscapes::Kept).ok();
    kept.is_some_and(|text| text.contains("\\,") && HostSubject::parse(&text).is_ok())
}

fn subject(text: &str, report: &mut Report) {
    let checked = HostSubject::parse(text).and_then(|subject| subject.check());
    match checked {
        Ok(()) => {}
        Err(SubjectError::UnknownKey { .. }) => report.error(Kind::SubjectKey),
        Err(SubjectError::Value { .. }) => report.error(Kind::SubjectValue),
        Err(_) => report.error(Kind::SubjectSyntax),
    }
}

fn proxy(text: &str, report: &mut Report) {
    match Proxy::parse(text) {
        Ok(_) => {}
        Err(ProxyError::Scheme) => report.error(Kind::ProxyScheme),
        Err(ProxyError::Malformed | ProxyError::Port) => report.error(Kind::ProxySyntax),
        Err(ProxyError::Host | ProxyError::UpperCase) => report.error(Kind::ProxyUnusable),
        Err(ProxyError::Slashes | ProxyError::Credentials) => report.error(Kind::ProxyMisread),
        Err(ProxyError::Irregular) => report.warning(Kind::ProxyIrregular),
        Err(ProxyError::Crash) => report.error(Kind::ProxyCrash),
    }
}

fn check_host(text: &str, is_vnc: bool, report: &mut Report) {
    let is_uuid = || {
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
    };
    if text.is_empty() || host::is_ticket(text) {
        // `check_combinations` reports these.
        return;
    }
    let checked = if is_vnc {
        host::check_vnc(text)
    } else {
        host::check_spice(text)
    };
    match checked {
        Ok(()) if is_uuid() => report.warning(Kind::HostIsUuid),
        Ok(()) => {}
        Err(HostError::Malformed) => report.error(Kind::HostSyntax),
        Err(HostError::Port) => report.error(Kind::HostPort),
        Err(HostError::Brackets) => report.error(Kind::HostBrackets),
    }
}

fn certificates(text: &str, report: &mut Report) {
    match pem::decode(text) {
        Ok(_) if !pem::is_read_by_openssl(text) => report.error(Kind::CaInvalid),
        Ok(blocks) => {
            if text.contains('\r') {
                report.note(Kind::CaCarriageReturn);
            }
            if !blocks.iter().all(|der| is_sequence(der)) {
                report.warning(Kind::CaNotDer);
            }
        }
        Err(_) if text.contains("\\n") && !text.contains('\n') => report.error(Kind::CaDoublyEscaped),
        Err(PemError::OtherBlock) => report.error(Kind::CaPrivateKey),
        Err(_) => report.error(Kind::CaInvalid),
    }
}

/// Whether bytes are one ASN.1 sequence and nothing else, as a certificate is.
fn is_sequence(der: &[u8]) -> bool {
    let (length, rest) = match der {
        [0x30, short @ 0..=0x7f, rest @ ..] => (usize::from(*short), rest),
        [0x30, 0x81, a, rest @ ..] => (usize::from(*a), rest),
        [0x30, 0x82, a, b, rest @ ..] => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        [0x30, 0x83, a, b, c, rest @ ..] => (
            usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX),
            rest,
        ),
        _ => return false,
    };
    length == rest.len()
}
