//! URLs for logs.

use console_token::web::Redacted;
use console_token::{AccessUrl, ConsoleType, Secret};
use proptest::prelude::*;

fn shown(url: &str) -> String {
    Redacted(url).to_string()
}

#[test]
fn what_is_hidden() {
    for (url, expected) in [
        // As Nova, libvirt-console-proxy, websockify, Kerbside and Proxmox VE have them.
        (
            "http://127.0.0.1:6080/vnc_auto.html?path=%3Ftoken%3Dabc",
            "http://127.0.0.1:6080/vnc_auto.html?path=***",
        ),
        ("/websockify?token=abc", "/websockify?token=***"),
        (
            "http://127.0.0.1:13002/nova?token=abc",
            "http://127.0.0.1:13002/nova?token=***",
        ),
        (
            "http://nova/v2.1/os-console-auth-tokens/abc",
            "http://nova/v2.1/os-console-auth-tokens/***",
        ),
        (
            "http://r:8081/consoleresolver/token/abc",
            "http://r:8081/consoleresolver/token/***",
        ),
        ("/token/abc/more", "/token/***/more"),
        ("/token//abc", "/token//***"),
        ("/x/eyJh.e30.c2ln", "/x/***"),
        (
            "/api2/json?vncticket=PVEVNC%3Aabc&port=5900",
            "/api2/json?vncticket=***&port=5900",
        ),
        // Under other names, and encoded in other ways.
        ("/?TOKEN=abc", "/?TOKEN=***"),
        ("/?to%6ben=abc", "/?to%6ben=***"),
        ("/?access_token=abc&id_token=def", "/?access_token=***&id_token=***"),
        ("/?X-Amz-Signature=abc", "/?X-Amz-Signature=***"),
        ("/?path=%253Ftoken%253Dabc", "/?path=***"),
        ("/?path=%2525253Ftoken%2525253Dabc", "/?path=***"),
        ("/?path=%252525252525253Ft", "/?path=***"),
        ("/?next=https%3A%2F%2Fgw%2F%3FToken%3Dabc", "/?next=***"),
        ("/?x=eyJhbGciOi", "/?x=***"),
        ("/?token=a&token=b&ok=1", "/?token=***&token=***&ok=1"),
        ("/?a=1#token=abc", "/?a=1#token=***"),
        ("/#path=?token=abc", "/#path=***"),
        ("/?0123456789abcdef0", "/?***"),
        ("/?0123456789abcdef", "/?0123456789abcdef"),
        ("/?0123456789abcdef0123456789abcdef0=1", "/?***=1"),
        ("https://user:password@gw/x", "https://***@gw/x"),
        ("https://token@gw", "https://***@gw"),
        ("//u:p@gw/x", "//***@gw/x"),
        ("u:p@gw:80", "***@gw:80"),
        ("https://a@b@gw/@", "https://***@gw/@"),
        // What is no secret.
        (
            "https://gw.example:443/vnc.html?scale=true&x=%20y#top",
            "https://gw.example:443/vnc.html?scale=true&x=%20y#top",
        ),
        ("/?a&b=&=c", "/?a&b=&=c"),
        ("", ""),
        ("*", "*"),
        ("/a//b@c", "/a//b@c"),
        // No line can be forged.
        ("/a\r\nb\u{85}é\u{202e}", "/a%0D%0Ab%C2%85%C3%A9%E2%80%AE"),
        ("/?a=\n\u{1b}[31m", "/?a=%0A%1B[31m"),
    ] {
        assert_eq!(shown(url), expected, "{url}");
        assert_eq!(format!("{:?}", Redacted(url)), format!("Redacted({expected})"));
    }
}

#[test]
fn long_ones_are_cut() {
    let long = format!("/{}", "é".repeat(1000));
    let cut = shown(&long);
    // 1024 would lie in a character.
    assert_eq!(cut, format!("/{}...", "%C3%A9".repeat(511)));
    let exact = format!("/{}", "a".repeat(1023));
    assert_eq!(shown(&exact), exact);
    assert!(shown(&format!("/{}?token=abc", "a".repeat(2000))).len() < 1100);
    // Names of parameters have a length of their own.
    let (name, longer) = ("n".repeat(32), "n".repeat(33));
    assert_eq!(shown(&format!("/?{name}=1")), format!("/?{name}=1"));
    assert_eq!(shown(&format!("/?{longer}=1")), "/?***=1");
    // The cut is in the token.
    let split = format!("/{}?token={UUID}", "a".repeat(1010));
    assert!(shown(&split).ends_with("?token=***..."));
}

const UUID: &str = "5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a";

proptest! {
    /// A token that was put into a URL here is not in what is shown of it.
    #[test]
    fn no_token_is_shown(bytes in any::<[u8; 32]>(), console in 0..7_usize, base in 0..6_usize, again in 0..3) {
        const CONSOLES: [ConsoleType; 7] = [
            ConsoleType::NoVnc, ConsoleType::XvpVnc, ConsoleType::SpiceHtml5, ConsoleType::SpiceDirect,
            ConsoleType::RdpHtml5, ConsoleType::Serial, ConsoleType::WebMks,
        ];
        const BASES: [&str; 6] = [
            "https://gw/", "https://gw/vnc.html?path=x%3Fy%3D1", "wss://gw/?a=b&c", "http://gw?x=1#top", "http://gw/vnc?path",
            "https://gw/?path=websockify",
        ];
        let token = Secret::base64url(&bytes);
        let url = AccessUrl::new(CONSOLES[console], BASES[base], &token).unwrap();
        let nova = AccessUrl::nova(CONSOLES[console], BASES[base], token.expose()).unwrap();
        for url in [url.expose(), nova.expose()] {
            let mut url = url.to_owned();
            for _ in 0..again {
                let encoded = percent_encoding::utf8_percent_encode(&url, percent_encoding::NON_ALPHANUMERIC);
                url = format!("https://portal/go?to={encoded}");
            }
            let shown = shown(&url);
            prop_assert!(!shown.contains(token.expose()), "{}", shown);
        }
    }

    /// Whatever it is: one line of visible ASCII, bounded, and nothing behind a name that tells.
    #[test]
    fn any_text(text in "\\PC{0,60}|[/?#&=%@:a-z0-9]{0,80}", secret in "[0-9]{12}") {
        for url in [format!("{text}&token={secret}"), format!("{text}?Password={secret}#{text}"), format!("/token/{secret}/{text}")] {
            let shown = shown(&url);
            prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(shown.len() <= 3 * 1024 + 64);
        }
        let shown = shown(&format!("https://gw/x?{}&token={secret}", text.replace(['#', '&'], "")));
        prop_assert!(!shown.contains(&secret));
    }
}
