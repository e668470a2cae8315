//! URLs with a token in them.

use console_token::{AccessUrl, AccessUrlError, ConsoleType, Secret};
use proptest::prelude::*;
use serde::Deserialize;

use crate::oracle::{each, fields, same};

#[derive(Deserialize)]
struct UrllibRow {
    base: String,
    token: String,
    url: Option<String>,
}

/// The form of Nova for noVNC, on bases that no deployment should have.
#[test]
fn takes_urls_apart_as_python() {
    each("URLLIB_ACCESS_URL", "urllib-access-url.jsonl", |row| {
        Some(fields(row).and_then(|row: UrllibRow| {
            let ours = AccessUrl::nova(ConsoleType::NoVnc, &row.base, &row.token).ok();
            let ours = ours.as_ref().map(AccessUrl::expose);
            same(&row.base, &ours, &row.url.as_deref())
        }))
    });
}

fn token() -> Secret {
    Secret::uuid4(&[0x5a; 16])
}

/// What is made of the base, with `T` for the token.
fn url(console: ConsoleType, base: &str) -> Result<String, AccessUrlError> {
    let token = token();
    let url = AccessUrl::new(console, base, &token)?;
    assert_eq!(url.expose().matches(token.expose()).count(), 1);
    Ok(url.expose().replace(token.expose(), "T"))
}

/// Nova's default bases (`[vnc]novncproxy_base_url` and its like), and what the page's code needs.
#[test]
fn nova_defaults() {
    for (console, base, expected) in [
        (
            ConsoleType::NoVnc,
            "http://127.0.0.1:6080/vnc_auto.html",
            "http://127.0.0.1:6080/vnc_auto.html?path=%3Ftoken%3DT",
        ),
        (
            ConsoleType::SpiceHtml5,
            "http://127.0.0.1:6082/spice_auto.html",
            "http://127.0.0.1:6082/spice_auto.html?token=T",
        ),
        (
            ConsoleType::SpiceDirect,
            "http://127.0.0.1:13002/nova",
            "http://127.0.0.1:13002/nova?token=T",
        ),
        (
            ConsoleType::Serial,
            "ws://127.0.0.1:6083/",
            "ws://127.0.0.1:6083/?token=T",
        ),
        (
            ConsoleType::WebMks,
            "http://127.0.0.1:6090/",
            "http://127.0.0.1:6090/?token=T",
        ),
    ] {
        assert_eq!(url(console, base).unwrap(), expected);
        // Here the two forms are one.
        let nova = AccessUrl::nova(console, base, token().expose()).unwrap();
        assert_eq!(nova.expose().replace(token().expose(), "T"), expected);
    }
}

#[test]
fn the_token_is_a_parameter_of_the_query() {
    for (base, expected) in [
        ("https://h", "https://h?token=T"),
        ("https://h?", "https://h?token=T"),
        ("https://h/x?a=1", "https://h/x?a=1&token=T"),
        ("https://h/x?a=1&", "https://h/x?a=1&token=T"),
        ("https://h/x?a=&b&&c=%20+;", "https://h/x?a=&b&&c=%20+;&token=T"),
        ("https://h/x#top", "https://h/x?token=T#top"),
        ("https://h/x?a=1#top?b", "https://h/x?a=1&token=T#top?b"),
        ("https://h/x?path=a", "https://h/x?path=a&token=T"),
        ("https://h/x?a=token", "https://h/x?a=token&token=T"),
        ("WSS://u:p@[2001:db8::1]:443/x", "WSS://u:p@[2001:db8::1]:443/x?token=T"),
    ] {
        assert_eq!(url(ConsoleType::Serial, base).unwrap(), expected);
    }
    for base in ["https://h/?token=a", "https://h/?a=1&token", "https://h/?t%6fken=a"] {
        assert_eq!(url(ConsoleType::Serial, base), Err(AccessUrlError::HasToken), "{base}");
    }
}

#[test]
fn the_token_of_novnc_is_in_its_path() {
    for (base, expected) in [
        ("https://h/v?x=1", "https://h/v?x=1&path=%3Ftoken%3DT"),
        ("https://h/v?path=novnc", "https://h/v?path=novnc%3Ftoken%3DT"),
        ("https://h/v?path=", "https://h/v?path=%3Ftoken%3DT"),
        ("https://h/v?path", "https://h/v?path=%3Ftoken%3DT"),
        ("https://h/v?p%61th=a&x=1#f", "https://h/v?p%61th=a%3Ftoken%3DT&x=1#f"),
        ("https://h/v?a=1&path=ws&b", "https://h/v?a=1&path=ws%3Ftoken%3DT&b"),
        // Nova makes a second `?` of these.
        ("https://h/v?path=ws?x=1", "https://h/v?path=ws?x=1%26token%3DT"),
        ("https://h/v?path=ws%3Fx", "https://h/v?path=ws%3Fx%26token%3DT"),
        ("https://h/v?path=ws%3F", "https://h/v?path=ws%3Ftoken%3DT"),
        ("https://h/v?path=ws%3Fx%26", "https://h/v?path=ws%3Fx%26token%3DT"),
        ("https://h/v?token=a", "https://h/v?token=a&path=%3Ftoken%3DT"),
    ] {
        assert_eq!(url(ConsoleType::NoVnc, base).unwrap(), expected);
    }
    for (base, error) in [
        ("https://h/v?path=a&path=b", AccessUrlError::RepeatedPath),
        ("https://h/v?path=a&p%61th", AccessUrlError::RepeatedPath),
        ("https://h/v?path=ws%3Ftoken%3Da", AccessUrlError::HasToken),
        ("https://h/v?path=ws?x=1%26token", AccessUrlError::HasToken),
        ("https://h/v?path=ws%23f", AccessUrlError::FragmentInPath),
    ] {
        assert_eq!(url(ConsoleType::NoVnc, base), Err(error), "{base}");
    }
}

/// A token of another issuer may have characters that mean something in a URL.
#[test]
fn the_token_is_escaped() {
    let token = Secret::presented(b"a&b=c#d+e%f/~").unwrap();
    let base = "https://h/v";
    let serial = AccessUrl::new(ConsoleType::Serial, base, &token).unwrap();
    assert_eq!(serial.expose(), "https://h/v?token=a%26b%3Dc%23d%2Be%25f%2F~");
    // Twice: noVNC decodes the parameter, the WebSocket's server the query of what comes out.
    let novnc = AccessUrl::new(ConsoleType::NoVnc, base, &token).unwrap();
    assert_eq!(
        novnc.expose(),
        "https://h/v?path=%3Ftoken%3Da%2526b%253Dc%2523d%252Be%2525f%252F~"
    );
    let nova = AccessUrl::nova(ConsoleType::Serial, "x?a#f", token.expose()).unwrap();
    assert_eq!(nova.expose(), "x?a#f?token=a&b=c#d+e%f/~");
}

#[test]
fn what_is_no_base() {
    for base in [
        "",
        "h/v",
        "//h/v",
        "ftp://h/v",
        "javascript:alert(1)",
        "http:/h",
        "http://",
        "http:///v",
        "http://?a",
        "http://u@/v",
        "http://h:/v",
        "http://h:0/v",
        "http://h:65536/v",
        "http://h:80x/v",
        "http://[::1/v",
        "http://[1.2.3.4]/v",
        "http://[]/v",
        "http://a@b@c/v",
        " http://h/v",
        "http://h/v ",
        "http://h/v\r\nX: y",
        "http://h/é",
        "http://h/%",
        "http://h/%2",
        "http://h/%zz",
        "http://h/<v>",
        "http://h/v?a=[1]",
        "http://h/v#a#b",
        "http://h\\v",
    ] {
        for console in [ConsoleType::NoVnc, ConsoleType::Serial] {
            assert_eq!(url(console, base), Err(AccessUrlError::Malformed), "{base:?}");
        }
    }
}

#[test]
fn nothing_is_shown() {
    let url = AccessUrl::new(ConsoleType::Serial, "https://h/v", &token()).unwrap();
    assert_eq!(format!("{url:?}"), "AccessUrl(redacted)");
}

proptest! {
    /// The parts of a URL around the query stay, and a second token is refused.
    #[test]
    fn the_base_is_kept(
        path in "(/[a-z;%20]{0,3}){0,3}".prop_map(|path| path.replace('%', "%41")),
        query in proptest::option::of("([a-z]{0,4}=?[a-z+/?]{0,4}&?){0,3}"),
        fragment in proptest::option::of("[a-z/?&=]{0,5}"),
    ) {
        let before = format!("https://h{path}");
        let mut base = before.clone();
        base.extend(query.iter().flat_map(|query| ["?", query]));
        base.extend(fragment.iter().flat_map(|fragment| ["#", fragment]));
        for console in [ConsoleType::NoVnc, ConsoleType::SpiceDirect] {
            let Ok(url) = AccessUrl::new(console, &base, &token()) else { continue };
            let (rest, own_fragment) = match url.expose().split_once('#') {
                Some((rest, fragment)) => (rest, Some(fragment.to_owned())),
                None => (url.expose(), None),
            };
            prop_assert_eq!(&own_fragment, &fragment);
            let (own_before, own_query) = rest.split_once('?').unwrap();
            prop_assert_eq!(own_before, &before);
            prop_assert!(own_query.contains(token().expose()));
            let again = AccessUrl::new(console, url.expose(), &token());
            prop_assert_eq!(again.unwrap_err(), AccessUrlError::HasToken);
        }
    }

    #[test]
    fn any_base_and_any_token(base in r"\PC{0,40}|(http://h/)?[?#&=;:/%\[\]a-z]{0,40}", text in r"\PC{0,20}") {
        for console in [ConsoleType::NoVnc, ConsoleType::Serial] {
            if let Ok(url) = AccessUrl::new(console, &base, &token()) {
                prop_assert!(url.expose().is_ascii() && url.expose().contains(token().expose()));
            }
        }
        let _ = AccessUrl::nova(ConsoleType::NoVnc, &base, &text);
        let url = AccessUrl::nova(ConsoleType::Serial, &base, &text).unwrap();
        prop_assert_eq!(url.expose(), format!("{base}?token={text}"));
    }
}
