//! What tokens say, and when they are valid.

use console_token::signed::{Claims, Rule, SignedError};
use console_token::web::target::TargetRule;
use console_token::{JsonError, Target};

use super::{AUDIENCE, HS, ISSUER, NOW, SECRET, by_secret, claims, kerbside, key, keys, rule, verify_at};
use crate::at;

/// Integers at the edges, times before 1970, and what is no claim.
#[test]
fn claims_that_are_none() {
    let schema = SignedError::Claims(JsonError::Schema);
    for members in [
        r#""iat":1800000000"#,
        r#""exp":1800000300"#,
        r#""iat":-1,"exp":1800000300"#,
        r#""iat":1800000000,"exp":-1"#,
        r#""iat":1800000000,"exp":1800000300.5"#,
        r#""iat":1800000000.0,"exp":1800000300"#,
        r#""iat":1.8e9,"exp":1800000300"#,
        r#""iat":"1800000000","exp":1800000300"#,
        r#""iat":1800000000,"exp":18446744073709551616"#,
        r#""iat":1800000000,"exp":null"#,
        r#""iat":1800000000,"exp":true"#,
        r#""iat":1800000000,"exp":1800000300,"exp":1900000000"#,
        r#""iat":1800000000,"exp":1800000300,"nbf":-5"#,
        r#""iat":1800000000,"exp":1800000300,"sub":"twice""#,
    ] {
        assert_eq!(
            verify_at(&by_secret(SECRET, HS, &kerbside(members)), NOW),
            Err(schema),
            "{members}"
        );
    }
    let good = kerbside(r#""iat":1800000000,"exp":1800000300"#);
    for (from, to) in [
        ("iss", "x"),
        ("aud", "x"),
        ("sub", "x"),
        ("jti", "x"),
        (r#""sub":"vm-1""#, r#""sub":1"#),
        (r#""jti":"x""#, r#""jti":["x"]"#),
    ] {
        assert_eq!(
            verify_at(&by_secret(SECRET, HS, &good.replace(from, to)), NOW),
            Err(schema),
            "{from}"
        );
    }
    // More than one audience is none: each gateway has its own token.
    let list = good.replace(&format!("\"{AUDIENCE}\""), &format!("[\"{AUDIENCE}\"]"));
    assert_eq!(verify_at(&by_secret(SECRET, HS, &list), NOW), Err(schema));
    for (claims, error) in [
        ("", JsonError::Syntax),
        ("x", JsonError::Syntax),
        ("[]", JsonError::Schema),
        ("1", JsonError::Schema),
        ("{}", JsonError::Schema),
        (&format!("{good} x"), JsonError::Syntax),
        (
            &format!("{}{}", "[".repeat(17), "]".repeat(17)),
            JsonError::TooDeep { limit: 16 },
        ),
    ] {
        // An empty part is not even a token.
        if !claims.is_empty() {
            assert_eq!(
                verify_at(&by_secret(SECRET, HS, claims), NOW),
                Err(SignedError::Claims(error)),
                "{claims}"
            );
        }
    }
    for (jti, expected) in [
        ("", Err(SignedError::Claim("jti"))),
        (&*"x".repeat(256), Ok(())),
        (&*"x".repeat(257), Err(SignedError::Claim("jti"))),
    ] {
        let claims = good.replace(r#""jti":"x""#, &format!(r#""jti":"{jti}""#));
        assert_eq!(verify_at(&by_secret(SECRET, HS, &claims), NOW), expected);
    }
    // More claims are not looked at, a target least of all.
    let more = kerbside(r#""iat":1800000000,"exp":1800000300,"host":"evil.example","port":1,"x":{"y":[1]}"#);
    assert_eq!(verify_at(&by_secret(SECRET, HS, &more), NOW), Ok(()));
}

#[test]
fn audience_and_issuer() {
    let token = key().sign(&claims()).unwrap();
    let verify = |rule: Rule| keys().verify(&token, &rule, at(NOW)).map(|_| ());
    assert_eq!(verify(Rule::new(AUDIENCE)), Ok(()));
    for other in [
        "",
        "https://gw.example",
        "https://gw.example/sf-console.vv/",
        "https://GW.example/sf-console.vv",
        "*",
    ] {
        assert_eq!(verify(Rule::new(other)), Err(SignedError::WrongAudience), "{other}");
    }
    assert_eq!(
        verify(rule().with_issuer("https://sf.example/")),
        Err(SignedError::WrongIssuer)
    );
}

/// `not_before - skew <= now < expires + skew`, to the second.
#[test]
fn times() {
    let expired = Err(SignedError::Expired);
    let early = Err(SignedError::NotYetValid);
    let verify = |claims: &Claims, skew, now| {
        let token = key().sign(claims).unwrap();
        keys().verify(&token, &rule().with_skew(skew), at(now)).map(|_| ())
    };
    for (skew, now, expected) in [
        (0, NOW - 1, early),
        (0, NOW, Ok(())),
        (0, NOW + 299, Ok(())),
        (0, NOW + 300, expired),
        (5, NOW - 6, early),
        (5, NOW - 5, Ok(())),
        (5, NOW + 304, Ok(())),
        (5, NOW + 305, expired),
        // The clock set back or forward by hours, years, and to the ends of time.
        (5, NOW - 7200, early),
        (5, NOW + 7200, expired),
        (5, 0, early),
        (5, u64::MAX, expired),
        (u32::MAX, u64::MAX, expired),
    ] {
        assert_eq!(verify(&claims(), skew, now), expected, "{skew} {now}");
    }
    let later = claims().with_not_before(at(NOW + 60));
    assert_eq!(verify(&later, 0, NOW + 59), early);
    assert_eq!(verify(&later, 0, NOW + 60), Ok(()));
    // Made in the future, it is not yet valid, whatever `nbf` says.
    assert_eq!(verify(&claims().with_not_before(at(0)), 0, NOW - 1), early);
    // One that ends before it begins never is.
    let mut never = claims();
    never.expires = at(NOW);
    assert_eq!(verify(&never, 60, NOW), expired);
    let last = Claims::new(ISSUER, AUDIENCE, "vm", "x", at(u64::MAX - 10), 300);
    assert_eq!(last.expires, at(u64::MAX));
    assert_eq!(verify(&last, 0, u64::MAX - 1), Ok(()));
    assert_eq!(verify(&last, 5, u64::MAX), expired);
    let too_long = |life| {
        let claims = Claims::new(ISSUER, AUDIENCE, "vm", "x", at(NOW), life);
        keys()
            .verify(&key().sign(&claims).unwrap(), &rule().with_max_life(600), at(NOW))
            .map(|_| ())
    };
    assert_eq!((too_long(600), too_long(601)), (Ok(()), Err(SignedError::TooLong)));
}

#[test]
fn of_websockify() {
    let verify = |claims: &str, now| {
        let verified = keys().verify_websockify(&by_secret(SECRET, HS, claims), &rule().with_skew(2), at(now));
        verified.map(|verified| verified.claims().target.clone())
    };
    let claims = r#"{"host":"::1","port":5900,"nbf":1800000000,"exp":1800000300}"#;
    let target = Target::Host {
        host: "::1".into(),
        port: Some(5900),
        tls_port: None,
    };
    assert_eq!(verify(claims, NOW), Ok(target.clone()));
    assert_eq!(verify(claims, NOW + 301), Ok(target));
    // Its own proxy would take it for one second more, and one without an end for ever.
    assert_eq!(verify(claims, NOW + 302), Err(SignedError::Expired));
    assert_eq!(verify(claims, NOW - 3), Err(SignedError::NotYetValid));
    let schema = SignedError::Claims(JsonError::Schema);
    for (claims, error) in [
        (r#"{"host":"h","port":1}"#, schema),
        (r#"{"host":"h","port":1,"exp":1800000300.5}"#, schema),
        (r#"{"port":1,"exp":1800000300}"#, SignedError::Claim("host")),
        (r#"{"host":"h","port":0,"exp":1800000300}"#, SignedError::Claim("host")),
        (
            r#"{"host":"127.1","port":1,"exp":1800000300}"#,
            SignedError::Claim("host"),
        ),
        (r#"{"host":"h","port":1,"exp":9000000000}"#, SignedError::TooLong),
        (
            r#"{"host":"h","port":1,"exp":18446744073709551615}"#,
            SignedError::TooLong,
        ),
    ] {
        assert_eq!(verify(claims, NOW), Err(error), "{claims}");
    }
    // One form is not taken for the other.
    assert_eq!(verify_at(&by_secret(SECRET, HS, claims), NOW), Err(schema));
    assert_eq!(
        keys().verify_websockify(&key().sign(&self::claims()).unwrap(), &rule(), at(NOW)),
        Err(SignedError::Claim("host"))
    );
    // The target is for the allow-list to judge.
    let loopback = verify(r#"{"host":"127.0.0.1","port":1,"exp":1800000300}"#, NOW).unwrap();
    let Target::Host { host, .. } = loopback else {
        unreachable!()
    };
    assert!(TargetRule::default().admit(host.parse().unwrap()).is_err());
}
