//! Subjects, proxies, USB filters and certificates.

use expect_test::expect;
use proptest::prelude::*;
use vv_file::{
    ConnectionFile, HotkeyAction,
    error::{ProxyError, SubjectError},
    pem,
    proxy::{Proxy, Scheme},
    subject::HostSubject,
    usb_filter::{UsbFilter, UsbRule},
};

#[test]
fn subjects() {
    let pairs = |text: &str| {
        let subject = HostSubject::parse(text).map_err(|error| error.to_string())?;
        Ok::<_, String>(
            subject
                .entries()
                .iter()
                .map(|(k, v)| format!("<{k}|{v}>"))
                .collect::<String>(),
        )
    };
    assert_eq!(
        pairs("C=US,O=Shaken Fist,CN=Proxy").unwrap(),
        "<C|US><O|Shaken Fist><CN|Proxy>"
    );
    assert_eq!(pairs(r"O=a\,b\\c , CN=x=y ").unwrap(), r"<O|a,b\c ><CN|x=y >");
    for (text, expected) in [
        ("CN", expect!["malformed subject at 3"]),
        ("CN=", expect!["malformed subject at 4"]),
        ("O=,CN=x", expect!["malformed subject at 3"]),
        ("O=x,,", expect!["malformed subject at 5"]),
        (",", expect!["malformed subject at 1"]),
        (r"O=a\b", expect!["malformed subject at 4"]),
        ("=x", expect!["malformed subject at 1"]),
    ] {
        expected.assert_eq(&pairs(text).unwrap_err());
    }
    for bad in [("CN", ""), ("", "x"), ("C=N", "x"), (" CN", "x")] {
        let refused = HostSubject::from_entries([("O", "x"), bad]);
        assert_eq!(refused, Err(SubjectError::Entry { entry: 2 }), "{bad:?}");
    }
    assert_eq!(HostSubject::from_entries::<&str, &str>([]), Err(SubjectError::Empty));
}

/// What remote-viewer 11.0 with spice-gtk 0.42 makes of each was seen by its connections.
#[test]
fn proxies() {
    let parsed = |text: &str| Proxy::parse(text).map(|proxy| (proxy.scheme, proxy.host, proxy.port));
    assert_eq!(parsed("proxy"), Ok((Scheme::Http, "proxy".into(), 3128)));
    assert_eq!(parsed("https://proxy///"), Ok((Scheme::Https, "proxy".into(), 3129)));
    assert_eq!(parsed("http://[::1]:8080"), Ok((Scheme::Http, "::1".into(), 8080)));
    assert_eq!(parsed("1.2.3.4:80"), Ok((Scheme::Http, "1.2.3.4".into(), 80)));
    assert_eq!(parsed("http://proxy:080"), Ok((Scheme::Http, "proxy".into(), 80)));
    assert_eq!(parsed("http://u:@proxy."), Ok((Scheme::Http, "proxy.".into(), 3128)));
    let cases: [(ProxyError, &[&str]); 9] = [
        // The name before the colon is taken for a scheme; an address cannot be one.
        (
            ProxyError::Scheme,
            &["socks5://proxy", "proxy:3128", "user:password@proxy", "ftp://p"],
        ),
        (
            ProxyError::Malformed,
            &[
                "",
                "/",
                "http://",
                "https:///",
                "::1",
                "http://::1:80",
                ":80",
                "http://:80",
                "http://[::1",
                "http://[]",
                "http://[]:80",
                "http://[::1]x",
                "http://u@",
                "http://u:p@:80",
                "http://@:80",
            ],
        ),
        (
            ProxyError::Port,
            &[
                "http://p:0",
                "http://p:65536",
                "http://p:99999999999999999999",
                "http://p:-80",
                "http://p:x",
                "http://p:0x50",
                "http://p:",
                "http://p:3128 ",
                "http://p:3128/path",
                "http://p:3128?x=1",
                "http://p:3128#x",
                "http://p:3128;x",
                "\"http://p:3128\"",
                " http://p",
                "http ://p",
                "http://p:80:90",
                "http://[::1]:",
                "http://[::1]:80 ",
                "http://u:p@p:80x",
                "\"1.2.3.4:80\"",
                "http://p:+",
            ],
        ),
        (
            ProxyError::Host,
            &[
                "http://p/path",
                "http://p?x=1",
                "http://p#x",
                "http://p ",
                "p ",
                " ",
                "http://\"p\":3128",
                "a b",
                "a,b",
                "http://127.1:80",
                "http://a..b",
                "http://[x y]",
            ],
        ),
        (ProxyError::UpperCase, &["HTTP://p", "HtTpS://p:80", "Http://u:p@p"]),
        (
            ProxyError::Slashes,
            &["http:127.0.0.1:3128", "http:proxy", "http:/proxy", "http:", "https:a"],
        ),
        (
            ProxyError::Credentials,
            &[
                "http://@p",
                "http://:@p",
                "http://:secret@p",
                "http://u:a:b@p",
                "http://u:p@x@p",
                "http://@@p",
                "http://@p:x",
                "@127.0.0.1:80:90",
            ],
        ),
        (ProxyError::Crash, &["@", "@@", "http://@", "https://@/", "http://@@@"]),
        (
            ProxyError::Irregular,
            &[
                "http://p: 80",
                "http://p:+80",
                "http://p:\t80",
                "http://[x]",
                "http://[127.0.0.1]:80",
            ],
        ),
    ];
    for (error, texts) in cases {
        for text in texts {
            assert_eq!(parsed(text), Err(error), "{text:?}");
        }
        let says_so = error.to_string().contains("ignore the proxy and connect directly");
        assert_eq!(error.is_bypassed(), says_so, "{error}");
    }
    let proxy = Proxy::parse("http://user:p%40ss@proxy:1").unwrap();
    assert_eq!(proxy.password.as_ref().unwrap().expose(), b"p%40ss");
    assert!(!format!("{proxy:?} {proxy}").contains("40ss"));
}

#[test]
fn usb_filters() {
    assert_eq!(UsbFilter::parse("-1,-1,-1,-1,0").unwrap().0, [UsbRule::any(false)]);
    assert_eq!(UsbFilter::parse("||").unwrap().0, []);
    let rules = UsbFilter::parse("|3,0x46d,-1,0X10,1||-1,-1,-1,-1,0|").unwrap();
    assert_eq!(rules.to_string(), "0x03,0x046d,-1,0x0010,1|-1,-1,-1,-1,0");
    let odd = UsbFilter::parse("010, 1,+2,-01,-1").unwrap();
    assert_eq!(odd.to_string(), "0x08,0x0001,0x0002,-1,1");
    for text in [
        "null",
        "1,2,3,4",
        "256,-1,-1,-1,1",
        "-1,65536,-1,-1,1",
        "-2,-1,-1,-1,1",
        "08,-1,-1,-1,1",
        "-1,-1,-1,-1,4294967296",
        "1,2,3,4,5,6",
    ] {
        assert!(UsbFilter::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_file_gives_its_parts() {
    let file = ConnectionFile::parse(include_bytes!("../data/vv/ovirt-spice.vv")).unwrap();
    let v = &file.virt_viewer;
    assert_eq!(v.subject().unwrap().unwrap().entries().len(), 2);
    assert_eq!(v.certificates().unwrap().unwrap().len(), 1);
    assert!(v.usb_rules().unwrap().is_err());
    assert!(v.proxy_uri().is_none());
    assert!(v.hotkey(HotkeyAction::SecureAttention).unwrap().binds());
    assert!(v.hotkey(HotkeyAction::ZoomIn).is_none());
    assert_eq!(v.required_version(Some("rhel8")), Some("7.0-3"));
    assert_eq!(v.required_version(None), None);
    assert!(v.takes_viewer("11.0", Some("rhel8")) && !v.takes_viewer("6.0", Some("rhel8")));
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        entries in prop::collection::vec((r"[A-Za-z0-9.][A-Za-z0-9., \\]{0,4}", r"[a-z ,\\=]{1,8}|\PC{1,8}"), 1..5),
        rules in prop::collection::vec((any::<Option<u8>>(), any::<[Option<u16>; 3]>(), any::<bool>()), 1..5),
        der in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..4),
    ) {
        let subject = HostSubject::from_entries(entries).unwrap();
        prop_assert_eq!(HostSubject::parse(&subject.to_string()), Ok(subject));
        let rules = rules.into_iter().map(|(class, [vendor, product, version], allow)| UsbRule { class, vendor, product, version, allow });
        let filter = UsbFilter(rules.collect());
        prop_assert_eq!(UsbFilter::parse(&filter.to_string()), Ok(filter));
        prop_assert_eq!(pem::decode(&pem::encode(&der)), Ok(der));
    }

    #[test]
    fn no_text_panics(text in r"[a-z0-9:/@\[\],|=\\ -]{0,20}|\PC{0,20}") {
        let _ = (HostSubject::parse(&text), UsbFilter::parse(&text), pem::decode(&text));
        if let Ok(proxy) = Proxy::parse(&text) {
            prop_assert!(proxy.port != 0 && !proxy.host.is_empty());
        }
    }
}
