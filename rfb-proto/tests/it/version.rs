//! Which rules follow from which version line.

use rfb_proto::{Greeting, Policy, ProtocolVersion, Version, VersionError};

use Policy::{Lenient, Strict};
use Version::{V3_3, V3_7, V3_8};

fn version(major: u16, minor: u16) -> ProtocolVersion {
    ProtocolVersion { major, minor }
}

fn greeting(major: u16, minor: u16, policy: Policy) -> Option<Version> {
    match version(major, minor).as_greeting(policy) {
        Ok(Greeting::Version(version)) => Some(version),
        Ok(Greeting::Repeater) => panic!("{major}.{minor} is no repeater"),
        Err(VersionError::Unsupported { version: named }) => {
            assert_eq!(named, version(major, minor));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn answer(major: u16, minor: u16, policy: Policy) -> Option<Version> {
    version(major, minor).as_answer(V3_8, policy).ok()
}

#[test]
fn the_published_lines() {
    for (rules, line) in [
        (V3_3, b"RFB 003.003\n"),
        (V3_7, b"RFB 003.007\n"),
        (V3_8, b"RFB 003.008\n"),
    ] {
        assert_eq!(rules.to_bytes(), *line);
        assert_eq!(rules.number().to_bytes().unwrap(), *line);
        let read = ProtocolVersion::from_bytes(line).unwrap();
        assert_eq!(read, rules.into());
        assert_eq!(read.to_string(), rules.to_string());
        for policy in [Lenient, Strict] {
            assert_eq!(read.as_greeting(policy), Ok(Greeting::Version(rules)));
            assert_eq!(read.as_answer(V3_8, policy), Ok(rules));
        }
    }
    assert!(V3_3 < V3_7 && V3_7 < V3_8);
}

#[test]
fn greetings() {
    for (major, minor, rules) in [
        (0, 1, None),
        (1, 0, None),
        (2, 0, None),
        (2, 999, None),
        (3, 0, None),
        (3, 2, None),
        (3, 3, Some(V3_3)),
        (3, 4, Some(V3_3)),
        (3, 5, Some(V3_3)),
        (3, 6, Some(V3_3)),
        (3, 7, Some(V3_7)),
        (3, 8, Some(V3_8)),
        (3, 9, Some(V3_8)),
        (3, 13, Some(V3_8)),
        (3, 14, Some(V3_3)), // UltraVNC Single Click
        (3, 15, Some(V3_8)),
        (3, 16, Some(V3_3)), // UltraVNC Single Click
        (3, 17, Some(V3_8)),
        (3, 889, Some(V3_8)), // macOS
        (3, 999, Some(V3_8)),
        (4, 0, Some(V3_8)), // Intel AMT
        (4, 1, Some(V3_8)), // RealVNC 4.6
        (5, 0, Some(V3_8)), // RealVNC 5.3
        (999, 999, Some(V3_8)),
    ] {
        assert_eq!(greeting(major, minor, Lenient), rules, "{major}.{minor}");
    }
}

#[test]
fn answers() {
    for (major, minor, rules) in [
        (0, 0, None),
        (2, 0, None),
        (2, 999, None),
        (3, 0, Some(V3_3)),
        (3, 3, Some(V3_3)),
        (3, 4, Some(V3_3)),
        (3, 5, Some(V3_3)),
        (3, 6, Some(V3_3)),
        (3, 7, Some(V3_7)),
        (3, 8, Some(V3_8)),
        (3, 9, Some(V3_8)),
        (3, 14, Some(V3_8)),
        (3, 889, Some(V3_8)), // macOS
        (4, 0, None),
        (5, 0, None),
    ] {
        assert_eq!(answer(major, minor, Lenient), rules, "{major}.{minor}");
    }
}

#[test]
fn strict_takes_the_published_ones_only() {
    for major in [0, 1, 2, 3, 4, 5, 999] {
        for minor in 0..=999 {
            let published = major == 3 && [3, 7, 8].contains(&minor);
            if (major, minor) != (0, 0) {
                assert_eq!(greeting(major, minor, Strict).is_some(), published, "{major}.{minor}");
            }
            assert_eq!(answer(major, minor, Strict).is_some(), published, "{major}.{minor}");
        }
    }
}

#[test]
fn the_repeater_is_no_version() {
    let line = ProtocolVersion::from_bytes(b"RFB 000.000\n").unwrap();
    for policy in [Lenient, Strict] {
        assert_eq!(line.as_greeting(policy), Ok(Greeting::Repeater));
        assert_eq!(
            line.as_answer(V3_8, policy),
            Err(VersionError::Unsupported { version: line })
        );
    }
}

/// No policy lets a client go above the offer, and a number above it with rules that are not is no offence.
#[test]
fn an_answer_is_not_above_the_offer() {
    for policy in [Lenient, Strict] {
        for offered in [V3_3, V3_7, V3_8] {
            for answered in [V3_3, V3_7, V3_8] {
                let version = answered.number();
                let expected = if answered <= offered {
                    Ok(answered)
                } else {
                    Err(VersionError::AboveOffer { version, offered })
                };
                assert_eq!(version.as_answer(offered, policy), expected);
            }
        }
    }
    assert_eq!(version(3, 6).as_answer(V3_3, Lenient), Ok(V3_3));
    assert_eq!(ProtocolVersion::APPLE.as_answer(V3_8, Lenient), Ok(V3_8));
    assert_eq!(
        ProtocolVersion::APPLE.as_answer(V3_7, Lenient),
        Err(VersionError::AboveOffer {
            version: ProtocolVersion::APPLE,
            offered: V3_7
        })
    );
}

/// A peer that is not an RFB one is found at its first wrong byte.
#[test]
fn prefixes() {
    for (len, missing) in [(0, 12), (1, 11), (4, 8), (11, 1), (12, 0)] {
        assert_eq!(ProtocolVersion::missing(&b"RFB 003.889\n"[..len]), Ok(missing));
    }
    assert_eq!(ProtocolVersion::missing(b"RFB 003.008\n\x01\x02"), Ok(0));
    for (prefix, wrong_at) in [
        (&b"HTTP/1.1 400"[..], 0),
        (b"rfb 003.008\n", 0),
        (b"RFX", 2),
        (b"\x16\x03\x01", 0), // a TLS hello
        (b"RFB 003.0x8\n", 9),
        (b"RFB 3.8\n", 5),
        (b"RFB 003,008\n", 7),
        (b"RFB 003.008\r\n", 11),
        (b"RFB 003.008\0", 11),
        (b"RFB +03.008\n", 4),
    ] {
        assert!(ProtocolVersion::missing(&prefix[..wrong_at]).is_ok(), "{prefix:?}");
        let error = ProtocolVersion::missing(&prefix[..=wrong_at]).unwrap_err();
        assert_eq!(ProtocolVersion::missing(prefix), Err(error), "{prefix:?}");
    }
}

/// What ends the line: what `scanf` takes for the line feed of its format is taken where lenience is asked for.
#[test]
fn the_end_of_the_line() {
    for end in 0..=u8::MAX {
        let mut line = *b"RFB 003.889\n";
        line[11] = end;
        let is_white = [b'\n', b'\r', b' ', b'\t', 0].contains(&end);
        let read = |policy| ProtocolVersion::read(&line, policy).map_err(|error| (error.field, error.offset));
        let expected = |is_read| {
            if is_read {
                Ok(ProtocolVersion::APPLE)
            } else {
                Err(("end", 11))
            }
        };
        assert_eq!(read(Lenient), expected(is_white), "{end}");
        assert_eq!(read(Strict), expected(end == b'\n'), "{end}");
        assert_eq!(ProtocolVersion::from_bytes(&line).is_ok(), end == b'\n', "{end}");
    }
    // Nothing else is more than it was.
    assert!(ProtocolVersion::read(b"RFB 003 008\n", Lenient).is_err());
}
