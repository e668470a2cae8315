//! The bodies of Nova's API.

mod create;
mod show;

use console_token::nova::{CreateAnswer, CreateRequest, Fault, Microversion, NovaError, ShowAnswer, VersionError};
use console_token::{AccessPath, ConsoleType, JsonError, Protocol};
use expect_test::expect;
use proptest::prelude::*;

const UUID: &str = "b48316c5-71e8-45e4-9884-6c78055b9b13";

/// Each version at which something changes, and the ones around it.
const VERSIONS: [u16; 13] = [1, 2, 5, 6, 7, 8, 9, 30, 31, 32, 98, 99, 104];

const SCHEMA: NovaError = NovaError::Body(JsonError::Schema);

#[test]
fn versions() {
    for minor in VERSIONS {
        let text = format!("2.{minor}");
        assert_eq!(text.parse(), Ok(Microversion(minor)));
        assert_eq!(Microversion(minor).to_string(), text);
        let requested = |header: &str| Microversion::requested(header, Microversion(104));
        assert_eq!(requested(&format!("compute {text}")), Ok(Microversion(minor)));
        assert_eq!(
            requested(&format!("identity 3.14, compute {text},volume latest")),
            Ok(Microversion(minor))
        );
    }
    let requested = |header| Microversion::requested(header, Microversion(99));
    assert_eq!(requested("compute latest"), Ok(Microversion::V2_99));
    assert_eq!(requested("volume 3.5"), Ok(Microversion::V2_1));
    for text in [
        "", "2", "2.", ".99", "2.0", "2.01", "2.65536", "02.1", "3.1", "2.1.1", " 2.1", "2.1 ", "2.-1", "2.+1",
        "latest", "2.१",
    ] {
        assert_eq!(text.parse::<Microversion>(), Err(VersionError), "{text:?}");
    }
    for header in [
        "",
        "compute",
        "compute 2.1, compute 2.2",
        "compute 2.x",
        "2.1",
        "compute  2.1",
        "compute 2.1,",
        "compute 3.1",
    ] {
        assert_eq!(requested(header), Err(VersionError), "{header:?}");
    }
    assert_eq!(VersionError.to_string(), "not a microversion");
}

#[test]
fn faults() {
    let errors = [
        NovaError::Body(JsonError::TooLong { limit: 16384 }),
        NovaError::Body(JsonError::TooDeep { limit: 16 }),
        NovaError::Body(JsonError::Syntax),
        NovaError::Body(JsonError::Schema),
        NovaError::Unknown,
        NovaError::Removed(Protocol::Rdp),
        NovaError::TypeInvalid(ConsoleType::XvpVnc),
        NovaError::TypeUnavailable(ConsoleType::NoVnc),
        NovaError::SerialPort,
        NovaError::InstanceNotFound,
        NovaError::InstanceNotReady,
        NovaError::NotImplemented,
        NovaError::Version,
        NovaError::Query,
        NovaError::TokenNotFound,
        NovaError::Member("port"),
    ];
    for error in errors {
        let fault = error.fault();
        let json = fault.to_json();
        assert_eq!(Fault::from_json(json.as_bytes()), Ok(fault));
    }
    expect![[r#"
        {"badRequest":{"code":400,"message":"invalid body: more than 16384 bytes"}}
        {"badRequest":{"code":400,"message":"invalid body: more than 16 levels"}}
        {"badRequest":{"code":400,"message":"invalid body: not JSON"}}
        {"badRequest":{"code":400,"message":"invalid body: not the members that are expected"}}
        {"badRequest":{"code":400,"message":"invalid input for protocol or type"}}
        {"badRequest":{"code":400,"message":"Unavailable console type rdp."}}
        {"badRequest":{"code":400,"message":"Invalid console type xvpvnc"}}
        {"badRequest":{"code":400,"message":"Unavailable console type novnc."}}
        {"badRequest":{"code":400,"message":"no serial port can be had"}}
        {"itemNotFound":{"code":404,"message":"Instance could not be found."}}
        {"conflictingRequest":{"code":409,"message":"Instance not yet ready"}}
        {"notImplemented":{"code":501,"message":"Unable to support requested functionality"}}
        {"badRequest":{"code":400,"message":"not in this microversion"}}
        {"badRequest":{"code":400,"message":"additional properties are not allowed"}}
        {"itemNotFound":{"code":404,"message":"Token not found"}}
        {"badRequest":{"code":400,"message":"invalid port"}}"#]]
    .assert_eq(&errors.map(|error| error.fault().to_json().to_string()).join("\n"));

    for (code, name) in [
        (400, "badRequest"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "itemNotFound"),
        (405, "badMethod"),
        (409, "conflictingRequest"),
        (413, "overLimit"),
        (415, "badMediaType"),
        (429, "overLimit"),
        (500, "computeFault"),
        (501, "notImplemented"),
        (503, "serviceUnavailable"),
        (599, "computeFault"),
    ] {
        let fault = Fault {
            code,
            message: "a\"b".into(),
        };
        assert_eq!(fault.name(), name);
        assert_eq!(Fault::from_json(fault.to_json().as_bytes()), Ok(fault));
    }
    // More members are not looked at; of the name and the code, one of two would have to be right.
    let json = br#"{"overLimit": {"code": 429, "message": "", "retryAfter": "1"}}"#;
    assert_eq!(Fault::from_json(json).unwrap().code, 429);
    // ... but all of it is UTF-8.
    let json = b"{\"overLimit\": {\"code\": 429, \"message\": \"\", \"x\": \"\xff\"}}";
    assert_eq!(Fault::from_json(json), Err(NovaError::Body(JsonError::Syntax)));
    let json = br#"{"badRequest": {"code": 404, "message": ""}}"#;
    assert_eq!(Fault::from_json(json), Err(NovaError::Member("code")));
    for json in [
        r#"{"x": {"code": 404, "message": ""}}"#,
        r#"{"badRequest": {"code": 70000, "message": ""}}"#,
        r#"{"badRequest": {"code": 400}}"#,
        "{}",
    ] {
        assert!(
            matches!(Fault::from_json(json.as_bytes()), Err(NovaError::Body(_))),
            "{json}"
        );
    }
}

proptest! {
    /// No bytes can do harm, and what is read is written so that it reads as the same again.
    #[test]
    fn any_bytes(minor in 0..200_u16, bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[ -~]{0,80}") {
        let version = Microversion(minor);
        for json in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(request) = CreateRequest::from_json(version, json) {
                let written = request.to_json(version).unwrap();
                prop_assert_eq!(CreateRequest::from_json(version, written.as_bytes()), Ok(request));
            }
            prop_assert!(CreateAnswer::from_json(version, json).is_err());
            prop_assert!(ShowAnswer::from_json(version, json).is_err());
            prop_assert!(Fault::from_json(json).is_err());
        }
    }

    #[test]
    fn any_answer(host in proptest::option::of("\\PC{0,20}"), port: u16, tls_port: Option<Option<u16>>, path in proptest::option::of("\\PC{0,40}")) {
        let answer = ShowAnswer { instance_uuid: UUID.into(), host, port, tls_port, internal_access_path: path.map(AccessPath::new) };
        let json = answer.to_json(Microversion::V2_99).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(value["console"]["port"].as_u64(), Some(port.into()));
        prop_assert_eq!(value["console"]["host"].as_str(), answer.host.as_deref());
        prop_assert_eq!(value["console"].get("tls_port").is_some(), tls_port.is_some());
        prop_assert_eq!(ShowAnswer::from_json(Microversion::V2_99, json.as_bytes()), Ok(answer));
    }
}
