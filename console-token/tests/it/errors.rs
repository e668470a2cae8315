//! Texts of errors: what the log says, and what the peer receives.

use console_token::{Pepper, Refusal, StoreError, UnknownConsole};
use expect_test::expect;

const ALL: [Refusal; 21] = [
    Refusal::Malformed,
    Refusal::Unknown,
    Refusal::WrongScope,
    Refusal::WrongAudience,
    Refusal::Revoked,
    Refusal::NotYetValid,
    Refusal::Expired,
    Refusal::Spent,
    Refusal::TooManySessions,
    Refusal::ZeroConnectionId,
    Refusal::ConnectionIdInUse,
    Refusal::AlreadyBound,
    Refusal::NotBound,
    Refusal::NoSuchSession,
    Refusal::SessionExpired,
    Refusal::SessionClosed,
    Refusal::NotMigrating,
    Refusal::NotSuspended,
    Refusal::Busy,
    Refusal::LeaseLost,
    Refusal::TooManyAttempts,
];

#[test]
fn one_text_outside() {
    for refusal in ALL {
        assert_eq!(refusal.public(), Refusal::PUBLIC_TEXT);
        assert_eq!(StoreError::<&str>::Refused(refusal).public(), Refusal::PUBLIC_TEXT);
        assert_ne!(refusal.to_string(), Refusal::PUBLIC_TEXT, "the inside says more");
    }
    assert_eq!(StoreError::<&str>::Full { limit: 3 }.public(), Refusal::PUBLIC_TEXT);
    assert_eq!(StoreError::<&str>::Duplicate.public(), Refusal::PUBLIC_TEXT);
    assert_eq!(StoreError::Backend("no route").public(), Refusal::PUBLIC_TEXT);
}

#[test]
fn texts_inside() {
    let mut texts: Vec<String> = ALL.iter().map(ToString::to_string).collect();
    texts.push(StoreError::<&str>::Refused(Refusal::Spent).to_string());
    texts.push(StoreError::<&str>::Full { limit: 3 }.to_string());
    texts.push(StoreError::<&str>::Duplicate.to_string());
    texts.push(StoreError::<&str>::NoteTooLong.to_string());
    texts.push(StoreError::Backend("no route").to_string());
    texts.push(Pepper::new(&[1; 31]).unwrap_err().to_string());
    texts.push(UnknownConsole.to_string());
    expect![[r#"
        not the form of a token
        unknown token
        the token is for another scope
        the token is for another audience
        revoked
        not yet valid
        expired
        all uses are spent
        too many open sessions
        connection id 0
        the connection id belongs to another open session
        the session already has a connection id
        no session has a connection id yet
        no such session
        the session is past its time limit
        the session is closed
        no migration is pending
        the session is not suspended
        the console is in use
        the lease of the console is lost
        too many attempts
        refused: all uses are spent
        full: 3 records
        a token with this hash exists
        the name or the value of the note is too long
        store: no route
        pepper too short: 31 bytes, at least 32 are needed
        unknown console protocol or type"#]]
    .assert_eq(&texts.join("\n"));
}

/// What a log that walks the sources of an error shows: each text once.
#[test]
fn no_error_repeats_its_source() {
    use console_token::web::{HostError, NetworkError, origin::OriginError, place::PlaceError, target};
    use console_token::{AccessUrlError, AdmitError, ConsoleType, PasswordError, Protocol, Secret, serial, webmks};
    type Error = Box<dyn core::error::Error>;

    let mut errors: Vec<Error> = Vec::new();
    errors.extend(ALL.map(Error::from));
    errors.extend(ALL.map(|refusal| Error::from(StoreError::<core::convert::Infallible>::from(refusal))));
    errors.push(StoreError::<core::convert::Infallible>::Full { limit: 3 }.into());
    errors.push(StoreError::<core::convert::Infallible>::Duplicate.into());
    errors.push(Pepper::new(&[1; 31]).unwrap_err().into());
    errors.push(UnknownConsole.into());
    let token = Secret::uuid4(&[1; 16]);
    errors.extend(["x", "http://h/?path=a&path=b"].map(|base| {
        let error: AccessUrlError = console_token::AccessUrl::new(ConsoleType::NoVnc, base, &token).unwrap_err();
        Error::from(error)
    }));
    errors.push(AdmitError::Displaced.into());
    errors.push(PasswordError::Protocol(Protocol::Mks).into());
    errors.push(PasswordError::TooLong { len: 9 }.into());
    errors.push("x".parse::<serial::PortRange>().unwrap_err().into());
    errors.push(PlaceError::Repeated.into());
    errors.push(NetworkError.into());
    for host in [HostError::TrailingDot, HostError::Malformed] {
        errors.push(host.into());
        errors.push(OriginError::InvalidHost(host).into());
        errors.push(target::ConnectError::Host(host).into());
    }
    errors.push(target::TargetError::Special(target::Special::Loopback).into());
    let stage = webmks::Stage::User;
    let reply = webmks::ReplyError::TooLong { limit: 3 };
    errors.push(reply.into());
    errors.push(webmks::LoginError::Decode { stage, error: reply }.into());
    let misbehaviour = webmks::Misbehaviour::BytesBeforeTls(webmks::TlsLayer::Login);
    errors.push(misbehaviour.into());
    errors.push(webmks::LoginError::PeerMisbehaved(misbehaviour).into());
    errors.push(webmks::LoginError::Misuse(webmks::Misuse::Ended).into());
    errors.push(webmks::LoginError::Closed(stage).into());
    #[cfg(feature = "serde")]
    {
        use console_token::resolver::{ResolverError, websockify};
        use console_token::{BackendError, JsonError, nova::NovaError, signed::SignedError};

        let resolver = [
            ResolverError::Json(JsonError::Syntax),
            ResolverError::Host(HostError::Zone),
            ResolverError::Member("port"),
        ];
        for error in resolver {
            errors.push(error.into());
            errors.push(websockify::RowFault::Target(error).into());
        }
        errors.extend(websockify::faults("x\nx: h.:1\n").map(Error::from));
        errors.push(NovaError::Body(JsonError::TooDeep { limit: 3 }).into());
        errors.push(SignedError::Claims(JsonError::Schema).into());
        // An engine's error, which may repeat its own source or not.
        let inner = StoreError::<core::convert::Infallible>::Duplicate;
        let repeats = Outer("outer: a token with this hash exists", inner);
        let hides = Outer("outer", inner);
        for (error, text) in [
            (repeats, "store: outer: a token with this hash exists"),
            (hides, "store: outer: a token with this hash exists"),
        ] {
            let error = StoreError::Backend(BackendError::new(error));
            assert_eq!(error.to_string(), text);
            errors.push(error.into());
        }
    }
    for error in &errors {
        let mut outer: &dyn core::error::Error = &**error;
        while let Some(source) = outer.source() {
            assert!(!outer.to_string().contains(&source.to_string()), "{outer:?}");
            outer = source;
        }
    }
}

#[cfg(feature = "serde")]
#[derive(Debug)]
struct Outer(&'static str, StoreError);

#[cfg(feature = "serde")]
impl core::fmt::Display for Outer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(feature = "serde")]
impl core::error::Error for Outer {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.1)
    }
}

#[test]
fn they_are_errors() {
    fn is_error<E: core::error::Error + Send + Sync + 'static>() {}
    is_error::<Refusal>();
    is_error::<StoreError>();
    is_error::<console_token::PepperTooShort>();
    is_error::<UnknownConsole>();
}
