//! Where a token travels.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use console_token::web::place::{
    NAME, Place, PlaceError, Presented, SUB_PROTOCOL, SubProtocols, basic, bearer, connect_host, cookie, nova, query,
    set_cookie, spice_password, sub_protocols,
};
use console_token::{Refusal, Secret};
use proptest::prelude::*;

type Found = Result<Option<String>, PlaceError>;

fn shown(found: Result<Option<Presented>, PlaceError>) -> Found {
    found.map(|found| found.map(|presented| String::from_utf8_lossy(presented.expose()).into_owned()))
}

fn some(text: &str) -> Found {
    Ok(Some(text.to_owned()))
}

const UUID: &str = "5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a";

#[test]
fn queries() {
    for (target, found) in [
        ("/?token=abc", some("abc")),
        ("/websockify?token=abc", some("abc")),
        ("/?x=1&token=abc&y", some("abc")),
        ("https://gw.example/nova?token=abc#token=def", some("abc")),
        ("?token=a=b", some("a=b")),
        ("?token=a%3Db%26c", some("a=b&c")),
        ("?t%6Fken=abc", some("abc")),
        ("?token=a;b", some("a;b")),
        ("?token=a+b", some("a b")),
        ("?token=%2B", some("+")),
        ("?a?token=abc", Ok(None)),
        ("?token=a?token=b", some("a?token=b")),
        // None at all.
        ("", Ok(None)),
        ("/token=abc", Ok(None)),
        ("/token", Ok(None)),
        ("/?", Ok(None)),
        ("/?token", Ok(None)),
        ("/?token=", Ok(None)),
        ("/?Token=abc", Ok(None)),
        ("/?TOKEN=abc", Ok(None)),
        ("/?token%00=abc", Ok(None)),
        ("/?xtoken=abc&tokenx=abc", Ok(None)),
        ("/? token=abc", Ok(None)),
        ("/?x=1;token=abc", Ok(None)),
        ("/#?token=abc", Ok(None)),
        ("/?x#&token=abc", Ok(None)),
        // Two, of which others take the first or the last.
        ("/?token=a&token=a", Err(PlaceError::Repeated)),
        ("/?token=a&token=b", Err(PlaceError::Repeated)),
        ("/?token=&token=b", Err(PlaceError::Repeated)),
        ("/?token&token=b", Err(PlaceError::Repeated)),
        ("/?token=a&%74oken=b", Err(PlaceError::Repeated)),
        // Encoding that is read in different ways.
        ("/?token=%", Err(PlaceError::Malformed)),
        ("/?token=a%2", Err(PlaceError::Malformed)),
        ("/?token=%zz", Err(PlaceError::Malformed)),
        ("/?token=%+1", Err(PlaceError::Malformed)),
        ("/?token=%é", Err(PlaceError::Malformed)),
    ] {
        assert_eq!(shown(query(target)), found, "{target}");
    }
    // Encoded twice, it is not decoded twice.
    assert_eq!(shown(query("?token=%2561")), some("%61"));
    let longest = "a".repeat(4096);
    assert_eq!(shown(query(&format!("?token={longest}"))), some(&longest));
    assert_eq!(shown(query(&format!("?token={longest}a"))), Err(PlaceError::TooLong));
}

/// Bytes that are no token are found, and refused like tokens that are unknown.
#[test]
fn what_is_found_is_looked_at() {
    for target in [
        "?token=%00",
        "?token=a%20b",
        "?token=%FF",
        "?token=%C3%A9",
        "?token=a%0D%0Ab",
    ] {
        let found = query(target).unwrap().unwrap();
        assert_eq!(found.secret(), Err(Refusal::Malformed), "{target}");
        assert_eq!(found.signed(), Err(Refusal::Malformed), "{target}");
    }
    let found = query(&format!("?token={UUID}")).unwrap().unwrap();
    assert_eq!(found.secret(), Ok(Secret::uuid4(&[0x5a; 16])));
    assert_eq!(found.signed(), Err(Refusal::Malformed));
    assert_eq!(format!("{found:?}"), "Presented(redacted)");
    let signed = query("?token=eyJh.e30.c2ln").unwrap().unwrap().signed().unwrap();
    assert_eq!(signed.expose(), "eyJh.e30.c2ln");
    assert_eq!(format!("{signed:?}"), "SignedToken(redacted)");
    let no_secret = query(&format!("?token={}", "a".repeat(257))).unwrap().unwrap();
    assert_eq!(no_secret.secret(), Err(Refusal::Malformed));
}

#[test]
fn cookies() {
    let cases: [(&[&str], Found); 22] = [
        (&[], Ok(None)),
        (&[""], Ok(None)),
        (&["token=abc"], some("abc")),
        (&["a=1; token=abc; b=2"], some("abc")),
        (&["a=1;token=abc;b=2"], some("abc")),
        (&["a=1", "token=abc"], some("abc")),
        (&["token=\"abc\""], some("abc")),
        (&["token=a=b"], some("a=b")),
        (&["token = abc"], some("abc")),
        (&["token=%61"], some("%61")),
        (&["token"], Ok(None)),
        (&["token="], Ok(None)),
        (&["Token=abc"], Ok(None)),
        (&["xtoken=abc; token2=abc; $token=abc"], Ok(None)),
        (&["__Host-token=abc"], Ok(None)),
        (&["a=\"token=abc\""], Ok(None)),
        // Another path's, or a parent domain's, set by a neighbour.
        (&["token=a; token=b"], Err(PlaceError::Repeated)),
        (&["token=a", "token=a"], Err(PlaceError::Repeated)),
        (&["token=; token=b"], Err(PlaceError::Repeated)),
        (&["token=\"a"], Err(PlaceError::Malformed)),
        (&["token=a,b"], Err(PlaceError::Malformed)),
        (&["token=é"], Err(PlaceError::Malformed)),
    ];
    for (headers, found) in cases {
        assert_eq!(shown(cookie(headers.iter().copied())), found, "{headers:?}");
    }
}

#[test]
fn headers() {
    let cases: [(&[&str], Found); 21] = [
        (&[], Ok(None)),
        (&[""], Ok(None)),
        (&["Bearer abc"], some("abc")),
        (&["bearer abc"], some("abc")),
        (&["BEARER   abc "], some("abc")),
        (&["Bearer a-._~+/b=="], some("a-._~+/b==")),
        (&["Basic YTpi"], Ok(None)),
        (&["Bearerabc"], Ok(None)),
        (&["Bearer\tabc"], Ok(None)),
        (&["Bearer"], Ok(None)),
        (&["Digest Bearer abc"], Ok(None)),
        (&["Bearer "], Err(PlaceError::Malformed)),
        (&["Bearer ="], Err(PlaceError::Malformed)),
        (&["Bearer a=b"], Err(PlaceError::Malformed)),
        (&["Bearer a b"], Err(PlaceError::Malformed)),
        (&["Bearer a,b"], Err(PlaceError::Malformed)),
        (&["Bearer \"a\""], Err(PlaceError::Malformed)),
        (&["Bearer é"], Err(PlaceError::Malformed)),
        (&["Bearer a", "Bearer a"], Err(PlaceError::Repeated)),
        (&["Basic YTpi", "Bearer a"], Err(PlaceError::Repeated)),
        (&["", "Bearer a"], Err(PlaceError::Repeated)),
    ];
    for (headers, found) in cases {
        assert_eq!(shown(bearer(headers.iter().copied())), found, "{headers:?}");
    }
    let cases: [(&[&str], Found); 14] = [
        (&[], Ok(None)),
        (&["Bearer abc"], Ok(None)),
        (&["Basic YTpi"], some("b")), // a:b
        (&["basic YTpi"], some("b")),
        (&["Basic OmI="], some("b")),                  // :b
        (&["Basic YTpiOmM="], some("b:c")),            // a:b:c
        (&["Basic YTo="], Ok(None)),                   // a:
        (&["Basic YWI="], Err(PlaceError::Malformed)), // ab
        (&["Basic YTpi="], Err(PlaceError::Malformed)),
        (&["Basic YTp"], Err(PlaceError::Malformed)),
        (&["Basic YTp_"], Err(PlaceError::Malformed)),
        (&["Basic ="], Err(PlaceError::Malformed)),
        (&["Basic YTpi YTpi"], Err(PlaceError::Malformed)),
        (&["Basic YTpi", "Basic YTpi"], Err(PlaceError::Repeated)),
    ];
    for (headers, found) in cases {
        assert_eq!(shown(basic(headers.iter().copied())), found, "{headers:?}");
    }
    // A user's name has no length of its own, but credentials have: the longest are 6,144 bytes, encoded.
    let longest = STANDARD.encode(format!("{}:b", "u".repeat(6142)));
    assert_eq!(shown(basic([format!("Basic {longest}").as_str()])), some("b"));
    let long = "a".repeat(8193);
    assert_eq!(
        shown(basic([format!("Basic {long}").as_str()])),
        Err(PlaceError::TooLong)
    );
    assert_eq!(
        shown(bearer([format!("Bearer {long}").as_str()])),
        Err(PlaceError::TooLong)
    );
}

#[test]
fn sub_protocol_lists() {
    let token = |text: &str| format!("{SUB_PROTOCOL}{text}");
    let read = |headers: &[&str]| match sub_protocols(headers.iter().copied()) {
        Ok(SubProtocols { token, others }) => {
            let others = others.into_iter().map(str::to_owned).collect::<Vec<_>>();
            shown(Ok(token)).map(|token| (token, others))
        }
        Err(error) => Err(error),
    };
    let abc = token("YWJj");
    assert_eq!(read(&[]), Ok((None, vec![])));
    assert_eq!(
        read(&["binary, base64"]),
        Ok((None, vec!["binary".into(), "base64".into()]))
    );
    let both = (Some("abc".into()), vec!["binary".into()]);
    assert_eq!(read(&[&format!("{abc},binary")]), Ok(both.clone()));
    assert_eq!(read(&[&format!(" binary \t,  {abc} ")]), Ok(both.clone()));
    assert_eq!(read(&["binary", &abc]), Ok(both));
    assert_eq!(read(&[&token("")]), Ok((None, vec![])));
    // Names have a case.
    let upper = abc.to_uppercase();
    assert_eq!(read(&[&upper]), Ok((None, vec![upper.clone()])));
    for (headers, error) in [
        (vec![abc.clone(), abc.clone()], PlaceError::Repeated),
        (vec![format!("{abc},{}", token(""))], PlaceError::Repeated),
        (vec![token("YWJ")], PlaceError::Malformed),
        (vec![token("YWJ+")], PlaceError::Malformed),
        (vec!["a b".into()], PlaceError::Malformed),
        (vec!["a;q=1".into()], PlaceError::Malformed),
        (vec!["a,,b".into()], PlaceError::Malformed),
        (vec![format!("{abc}=")], PlaceError::Malformed),
        (vec!["é".into()], PlaceError::Malformed),
        (vec![token(&"a".repeat(8193))], PlaceError::TooLong),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        assert_eq!(read(&headers), Err(error), "{headers:?}");
    }
}

#[test]
fn hosts_and_passwords() {
    let host = |authority: &str| {
        let found = connect_host(authority);
        found.map(|found| found.map(|(token, port)| (shown(Ok(Some(token))).unwrap().unwrap(), port.get())))
    };
    assert_eq!(host(&format!("{UUID}:5900")), Ok(Some((UUID.into(), 5900))));
    assert_eq!(
        host(&format!("{}:5900", UUID.to_uppercase())),
        Ok(Some((UUID.into(), 5900)))
    );
    // Proxmox VE has colons in it.
    let proxmox = "pvespiceproxy:5F0C7F1A:100:node1::0123456789abcdef0123456789abcdef01234567";
    assert_eq!(
        host(&format!("{proxmox}:61000")),
        Ok(Some((proxmox.to_lowercase(), 61000)))
    );
    assert_eq!(host(":80"), Ok(None));
    for authority in ["", "abc", "abc:", "abc:0", "abc:65536", "abc:+1", "abc: 1", "abc:http"] {
        assert_eq!(host(authority), Err(PlaceError::Malformed), "{authority}");
    }
    assert_eq!(shown(spice_password(b"")), Ok(None));
    assert_eq!(shown(spice_password(&[b'a'; 60])), some(&"a".repeat(60)));
    assert_eq!(shown(spice_password(&[b'a'; 61])), Err(PlaceError::TooLong));
}

#[test]
fn set_cookies() {
    let text = set_cookie("abc", "/console", 600).unwrap();
    assert_eq!(
        *text,
        "token=abc; Path=/console; Max-Age=600; Secure; HttpOnly; SameSite=Strict"
    );
    for (token, path) in [
        ("a;b", "/"),
        ("", "/"),
        ("a", ""),
        ("a", "x"),
        ("a", "/;Domain=x"),
        ("a", "/\r\n"),
        ("a", "/ "),
    ] {
        assert_eq!(set_cookie(token, path, 1), None, "{token} {path}");
    }
}

/// Which tokens fit where: of both forms that are made here, of a signed one, and of others.
#[test]
fn fits() {
    let signed = format!("eyJhbGciOiJFZERTQSJ9.{}.{}", "a".repeat(200), "b".repeat(86));
    let tokens = [
        UUID,
        Secret::base64url(&[0xfb; 32]).expose(),
        &signed,
        "a;b",
        "a\"b,",
        "12345678",
        "1234",
        "a b",
        "",
    ]
    .map(str::to_owned);
    let fits = |place: Place| tokens.each_ref().map(|token| u8::from(place.carries(token)));
    assert_eq!(fits(Place::Query), [1, 1, 1, 1, 1, 1, 1, 0, 0]);
    assert_eq!(fits(Place::Cookie), [1, 1, 1, 0, 0, 1, 1, 0, 0]);
    assert_eq!(fits(Place::Header), [1, 1, 1, 0, 0, 1, 1, 0, 0]);
    assert_eq!(fits(Place::ProxyHeader), [1, 1, 1, 1, 1, 1, 1, 0, 0]);
    assert_eq!(fits(Place::SubProtocol), [1, 1, 1, 1, 1, 1, 1, 0, 0]);
    assert_eq!(fits(Place::ConnectHost), [1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(fits(Place::SpicePassword), [1, 1, 0, 1, 1, 1, 1, 0, 0]);
    assert_eq!(fits(Place::VncPassword), [0, 0, 0, 1, 1, 1, 1, 0, 0]);
    let logged = Place::ALL.map(|place| u8::from(place.is_written_down()));
    assert_eq!(logged, [1, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn texts() {
    let texts = [PlaceError::Repeated, PlaceError::TooLong, PlaceError::Malformed].map(|error| error.to_string());
    assert_eq!(
        texts,
        [
            "more than one token in one place",
            "too long for a token",
            "not the text of such a place"
        ]
    );
}

#[test]
fn nova_takes_the_last() {
    for (target, cookies, found) in [
        ("/?token=a&token=b", None, Some("b")),
        ("/?token=a&token=", None, Some("a")),
        ("/?token=a", Some("token=b"), Some("a")),
        ("/?token=", Some("token=b"), Some("b")),
        ("/", Some("token=a; token=b"), Some("b")),
        ("/", Some("x; =; token=\"a\"; y=1"), Some("a")),
        ("/", Some("Token=a"), None),
        ("/", Some("token="), None),
        ("/", Some(""), None),
        ("/", None, None),
        ("/?token=%zz", None, Some("%zz")),
        ("/?token=%FF", None, Some("\u{fffd}")),
    ] {
        assert_eq!(
            nova(target, cookies).as_deref().map(String::as_str),
            found,
            "{target} {cookies:?}"
        );
    }
}

/// What is found where it was written; that is what `carries` promises.
fn found(place: Place, written: &str) -> Option<Presented> {
    match place {
        Place::Query => query(&format!("/x?y=1&{written}")).unwrap(),
        Place::Cookie => cookie([format!("a=b; {written}; c=d").as_str()]).unwrap(),
        Place::Header => bearer([written]).unwrap(),
        Place::ProxyHeader => basic([written]).unwrap(),
        Place::SubProtocol => sub_protocols([format!("binary, {written}").as_str()]).unwrap().token,
        Place::ConnectHost => connect_host(&format!("{written}:5900"))
            .unwrap()
            .map(|(token, _)| token),
        _ => spice_password(written.as_bytes()).unwrap(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_found(token in "[!-~]{1,70}|[a-z0-9.-]{1,40}|[A-Za-z0-9_.-]{100,400}") {
        for place in Place::ALL {
            prop_assert_eq!(place.carries(&token), place.write(&token).is_some());
            if let Some(written) = place.write(&token) {
                prop_assert!(written.is_ascii());
                let found = found(place, &written).unwrap();
                prop_assert_eq!(found.expose(), token.as_bytes(), "{:?}", place);
            }
        }
    }

    /// No text can do harm, and what is found is never longer than a token.
    #[test]
    fn any_text(text in "\\PC{0,40}|[ -~]{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..70)) {
        let headers = [text.as_str()];
        let all = [query(&text), cookie(headers), bearer(headers), basic(headers), spice_password(&bytes)];
        for presented in all.into_iter().flatten().flatten() {
            prop_assert!((1..=4096).contains(&presented.expose().len()));
        }
        let _ = (sub_protocols(headers).is_ok(), connect_host(&text).is_ok(), nova(&text, Some(&text)));
        let pair = format!("{NAME}={text}");
        let _ = nova(&format!("/?{pair}"), Some(&pair));
    }
}
