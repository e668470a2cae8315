//! Passwords of consoles.

use console_token::{ConsolePassword, ConsoleType, PasswordError, Protocol};
use expect_test::expect;

#[test]
fn vnc_and_spice_only() {
    for console in [
        ConsoleType::NoVnc,
        ConsoleType::XvpVnc,
        ConsoleType::SpiceHtml5,
        ConsoleType::SpiceDirect,
    ] {
        assert_eq!(ConsolePassword::new(console, "newpass").unwrap().expose(), "newpass");
    }
    for (console, protocol) in [
        (ConsoleType::RdpHtml5, Protocol::Rdp),
        (ConsoleType::Serial, Protocol::Serial),
        (ConsoleType::WebMks, Protocol::Mks),
    ] {
        for password in ["newpass", "", "a password that is too long"] {
            assert_eq!(
                ConsolePassword::new(console, password),
                Err(PasswordError::Protocol(protocol))
            );
        }
    }
}

/// Bytes, not characters: seven letters of which two have two bytes are too many.
#[test]
fn eight_bytes() {
    let of = |password: &str| ConsolePassword::new(ConsoleType::NoVnc, password);
    assert!(of("12345678").is_ok());
    assert_eq!(of("123456789"), Err(PasswordError::TooLong { len: 9 }));
    assert!(of("é234567").is_ok());
    assert_eq!(of("é2é456 7"), Err(PasswordError::TooLong { len: 10 }));
    assert_eq!(of(""), Err(PasswordError::Empty));
    let long = "x".repeat(100_000);
    assert_eq!(of(&long), Err(PasswordError::TooLong { len: 100_000 }));
    for password in ["a\0b", "a\n", "\u{7f}", "\u{85}"] {
        assert_eq!(of(password), Err(PasswordError::ControlCharacter), "{password:?}");
    }
}

#[test]
fn nothing_is_shown() {
    let of = |password| ConsolePassword::new(ConsoleType::NoVnc, password).unwrap();
    assert_eq!(format!("{:?}", of("newpass")), "ConsolePassword(redacted)");
    assert_eq!(of("newpass"), of("newpass"));
    assert_ne!(of("newpass"), of("newpast"));
    assert_ne!(of("newpass"), of("newpas"));
}

#[test]
fn texts() {
    let texts = [
        PasswordError::Protocol(Protocol::Serial),
        PasswordError::Empty,
        PasswordError::TooLong { len: 9 },
        PasswordError::ControlCharacter,
    ];
    expect![[r#"
        consoles of protocol serial have no password
        the password is empty
        the password has 9 bytes, more than 8
        the password has a control character in it"#]]
    .assert_eq(&texts.map(|error| error.to_string()).join("\n"));
}
