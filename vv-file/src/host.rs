//! The key `host`, as the viewers for SPICE and VNC look it up.
//!
//! ```text
//! host    = name / IPv4 address / IPv6 address [ "%" zone ]
//! spice   = host / "[" host "]"
//! vnc     = host
//! name    = label *( "." label ) [ "." ]                      253 characters
//! label   = 1*63( letter / digit / "-" / "_" )                of any script; no "-" at its ends
//! ```
//! Viewers for SPICE read a port behind the host (`g_network_address_parse`): it then counts instead of `port` and
//! `tls-port`. Viewers for VNC look the whole text up as a name, brackets and port included. GLib looks up no address
//! that is written otherwise than with four decimal numbers, and no text with other characters.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::error::HostError;

/// Whether a text of a host key is a ticket of Proxmox VE.
pub(crate) fn is_ticket(host: &str) -> bool {
    host.starts_with("pvespiceproxy:")
}

/// Checks the host of a SPICE connection.
pub(crate) fn check_spice(text: &str) -> Result<(), HostError> {
    let (host, port) = split(text);
    match port {
        _ if !is_host(host) => Err(HostError::Malformed),
        Some(port) if is_port(port) => Err(HostError::Port),
        Some(_) => Err(HostError::Malformed),
        None => Ok(()),
    }
}

/// Checks the host of a VNC connection.
pub(crate) fn check_vnc(text: &str) -> Result<(), HostError> {
    match check_spice(text) {
        Ok(()) if text.starts_with('[') => Err(HostError::Brackets),
        other => other,
    }
}

/// The host, without brackets, and what stands behind the colon.
fn split(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            // Neither a port nor nothing: no host at all.
            None => (text, None),
        };
    }
    match text.split_once(':') {
        // With more than one colon it is an IPv6 address.
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

/// A number, or the name of a service.
fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a text without brackets and port can be looked up.
pub(crate) fn is_host(text: &str) -> bool {
    if text.contains(':') {
        return is_ipv6(text);
    }
    text.parse::<Ipv4Addr>().is_ok() || is_name(text)
}

/// An address, and the zone of a link-local one.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let is_zone = !zone.is_empty()
        && zone
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_zone && address.parse::<Ipv6Addr>().is_ok()
}

/// The dots that GLib takes in names beside the common one (RFC 3490).
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

fn is_name(text: &str) -> bool {
    let name = text.strip_suffix(DOTS).unwrap_or(text);
    let is_short = name.len() <= 253 || !name.is_ascii();
    is_short && name.split(DOTS).all(is_label) && !name.split(DOTS).all(is_number)
}

fn is_label(label: &str) -> bool {
    let is_short = label.len() <= 63 || !label.is_ascii();
    let is_inside = !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    is_short && is_inside && label.chars().all(is_name_character)
}

/// A number of C. Where all labels are numbers, the text is a form of address that GLib does not look up.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_name_character(character: char) -> bool {
    match character {
        // Wide forms of ASCII stand for it.
        '\u{ff01}'..='\u{ff5e}' => {
            let narrow = u32::from(character).saturating_sub(0xfee0);
            char::from_u32(narrow).is_some_and(is_name_character)
        }
        '\0'..='\x7f' => character.is_ascii_alphanumeric() || matches!(character, '-' | '_'),
        // The middle dot of Catalan and the joiners of scripts of India; all else there is no letter.
        '\u{b7}' | '\u{200c}' | '\u{200d}' => true,
        '\u{80}'..='\u{ff}' => character.is_alphanumeric(),
        '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{3004}' | '\u{61c}' => false,
        _ => !character.is_whitespace() && !character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    /// As remote-viewer 11.0 with GLib 2.74.6 and spice-gtk 0.42 found the host, or not.
    #[test]
    fn spice_hosts() {
        let long = "a".repeat(63);
        let longest = [long.as_str(); 3].join(".") + "." + &"a".repeat(61);
        for text in [
            "127.0.0.1",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a_b.localhost",
            "_x.localhost",
            "bücher.localhost",
            "xn--bcher-kva.localhost",
            "ＬＯＣＡＬＨＯＳＴ",
            "localhost。",
            "हिन्दी.example",
            "::1",
            "[::1]",
            "[localhost]",
            "[127.0.0.1]",
            "fe80::1%eth0",
            "[::1%1]",
            "::ffff:127.0.0.1",
            "0:0:0:0:0:0:0:1",
            "1.example",
            "2001:db8::1",
            "127.0.0.1.example",
            &longest,
        ] {
            assert_eq!(check_spice(text), Ok(()), "{text}");
        }
        for text in [
            "127.0.0.1:5999",
            "localhost:5999",
            "gw:ssh",
            "[::1]:5900",
            "[localhost]:1",
            "127.0.0.1:0",
        ] {
            assert_eq!(check_spice(text), Err(HostError::Port), "{text}");
        }
        for text in [
            "",
            "127.1",
            "127.0.0.1.",
            "1234",
            "0x7f000001",
            "0127.0.0.1",
            "127.000.000.001",
            "256.0.0.1",
            " 127.0.0.1",
            "127.0.0.1 ",
            "\"127.0.0.1\"",
            "'127.0.0.1'",
            "“host”",
            "127.0.0.1/",
            "user@host",
            "spice://host",
            "host/",
            "*",
            "a..b",
            ".a",
            "a,b",
            "a;b",
            "host?x=1",
            "host#x",
            "foo!bar",
            "a\tb",
            "a b",
            "a\u{a0}b",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:",
            "[]",
            "[]:1",
            ":5900",
            "host:",
            "host: 80",
            "::1%",
            "localhost%eth0",
            "1::2::3",
            "::1 ",
            "a\u{202e}b",
            "-a",
            "a-",
            "%d",
            "$host",
            "{host}",
            "<host>",
            "host\\x",
            &"a".repeat(64),
            &(longest.clone() + "a"),
        ] {
            assert_eq!(check_spice(text), Err(HostError::Malformed), "{text}");
        }
    }

    #[test]
    fn vnc_hosts() {
        for text in ["127.0.0.1", "localhost", "::1", "fe80::1%eth0", "bücher.localhost"] {
            assert_eq!(check_vnc(text), Ok(()), "{text}");
        }
        assert_eq!(check_vnc("[::1]"), Err(HostError::Brackets));
        assert_eq!(check_vnc("[localhost]"), Err(HostError::Brackets));
        for text in ["127.0.0.1:5999", "[::1]:5900"] {
            assert_eq!(check_vnc(text), Err(HostError::Port), "{text}");
        }
        let malformed: [String; 2] = ["a b".into(), "host?x=1".into()];
        for text in malformed {
            assert_eq!(check_vnc(&text), Err(HostError::Malformed), "{text}");
        }
    }
}
