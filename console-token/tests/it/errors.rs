//! Texts of errors: what the log says, and what the peer is told.

use console_token::{Pepper, Refusal, StoreError, UnknownConsole};
use expect_test::expect;

const ALL: [Refusal; 20] = [
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
    Refusal::Busy,
    Refusal::SeatLost,
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
        the console is in use
        the seat at the console is lost
        too many attempts
        refused: all uses are spent
        full: 3 records
        a token with this hash exists
        store: no route
        pepper too short: 31 bytes
        unknown console protocol or type"#]]
    .assert_eq(&texts.join("\n"));
}

#[test]
fn they_are_errors() {
    fn is_error<E: core::error::Error + Send + Sync + 'static>() {}
    is_error::<Refusal>();
    is_error::<StoreError>();
    is_error::<console_token::PepperTooShort>();
    is_error::<UnknownConsole>();
}
