//! `rfb-messages.toml`: every number that it knows.

use rfb_proto::security::{SecurityType, SecurityTypeWord};
use rfb_proto::{Greeting, Policy, ProtocolVersion};

use crate::data::{array, each, own, text};

/// The table says what a server's number means; what a client's means is tested in `version.rs`.
#[test]
fn versions() {
    let table = own("rfb-messages.toml");
    let mut rows = 0;
    for row in each(&table, "version") {
        let (seen, means) = (text(row, "seen"), text(row, "means"));
        let line = ProtocolVersion::from_bytes(&array(format!("RFB {seen}\n").as_bytes())).unwrap();
        let greeting = line.as_greeting(Policy::Lenient).unwrap();
        match greeting {
            Greeting::Repeater => assert!(means.contains("repeater"), "{seen}: {means}"),
            // "3.8 ...", or where programs differ "... so 3.3 rules".
            Greeting::Version(version) => assert!(
                means.starts_with(&version.to_string()) || means.ends_with(&format!("so {version} rules")),
                "{seen}: {means}, not {version}"
            ),
        }
        rows += 1;
    }
    assert_eq!(rows, 12);
}

/// Each number has the name of the table, up to its first remark, and no other number has one.
#[test]
fn security_types() {
    let table = own("rfb-messages.toml");
    let mut named = 0;
    for row in each(&table, "security_type") {
        let number: u32 = row["number"].as_integer().unwrap().try_into().unwrap();
        let name = text(row, "name").split([',', '(']).next().unwrap().trim_end();
        assert_eq!(SecurityTypeWord { number }.name(), Some(name), "{number}");
        if let Ok(number) = u8::try_from(number) {
            assert_eq!(SecurityType(number).name(), Some(name), "{number}");
            named += 1;
        }
    }
    assert_eq!((0..=255).filter(|&n| SecurityType(n).name().is_some()).count(), named);
    assert_eq!(named, 36);
}
