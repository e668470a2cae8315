//! What other proxies resolve their tokens with.

use console_token::resolver::libvirt::{Answer, Kind};
use console_token::resolver::{ResolverError, kubevirt, libvirt, websockify};
use console_token::web::{Authority, Host, HostError};
use console_token::{JsonError, Secret, SignedToken, Target, UnixSeconds};
use expect_test::expect;
use proptest::prelude::*;
use zeroize::Zeroizing;

const MEMBER: fn(&'static str) -> ResolverError = ResolverError::Member;
const HOST: fn(HostError) -> ResolverError = ResolverError::Host;

fn secret(text: &str) -> Secret {
    Secret::presented(text.as_bytes()).unwrap()
}

fn host(host: &str, port: u16) -> Target {
    Target::Host {
        host: host.into(),
        port: Some(port),
        tls_port: None,
    }
}

fn tls(host: &str, port: u16) -> Target {
    Target::Host {
        host: host.into(),
        port: None,
        tls_port: Some(port),
    }
}

mod of_libvirt {
    use super::*;

    fn answer(kind: Kind, target: Target) -> Answer {
        Answer {
            kind,
            target,
            insecure: false,
            password: None,
        }
    }

    #[test]
    fn answers() {
        let with_password = Answer {
            password: Some(Zeroizing::new("hunter\"2".into())),
            ..answer(Kind::Spice, tls("2001:db8::7", 5901))
        };
        let insecure = Answer {
            insecure: true,
            ..answer(Kind::Serial, host("hv1.example", 1))
        };
        assert!(!format!("{with_password:?}").contains("hunter"));
        assert!(format!("{with_password:?}").contains("redacted"));
        for (answer, json) in [
            (
                answer(Kind::Vnc, host("192.0.2.7", 5900)),
                r#"{"type":"vnc","address":"192.0.2.7:5900","insecure":false,"tlsTunnel":false}"#,
            ),
            (
                with_password,
                r#"{"type":"spice","address":"[2001:db8::7]:5901","insecure":false,"tlsTunnel":true,"password":"hunter\"2"}"#,
            ),
            (
                insecure,
                r#"{"type":"serial","address":"hv1.example:1","insecure":true,"tlsTunnel":false}"#,
            ),
        ] {
            assert_eq!(*answer.to_json().unwrap(), json);
            assert_eq!(Answer::from_json(json.as_bytes()), Ok(answer));
        }
        // As in Go: what is missing is empty, and more is not looked at.
        let read = |json: &str| Answer::from_json(json.as_bytes());
        let short = read(r#"{"type": "vnc", "address": "a:1", "password": "", "x": {"y": []}}"#);
        assert_eq!(short, Ok(answer(Kind::Vnc, host("a", 1))));
        for (json, error) in [
            (r#"{"type": "console", "address": "a:1"}"#, MEMBER("type")),
            (r#"{"type": "VNC", "address": "a:1"}"#, MEMBER("type")),
            (
                r#"{"type": "vnc", "address": "a:1", "insecure": true, "tlsTunnel": true}"#,
                MEMBER("tlsTunnel"),
            ),
            (r#"{"type": "vnc", "address": "a"}"#, MEMBER("port")),
            (r#"{"type": "vnc", "address": "a:0"}"#, MEMBER("port")),
            (r#"{"type": "vnc", "address": "a:65536"}"#, MEMBER("port")),
            (r#"{"type": "vnc", "address": "::1:5900"}"#, HOST(HostError::Brackets)),
            (
                r#"{"type": "vnc", "address": "2130706433:5900"}"#,
                HOST(HostError::Number),
            ),
            (r#"{"type": "vnc", "address": "u@a:5900"}"#, HOST(HostError::Malformed)),
            (r#"{"type": "vnc", "address": ""}"#, HOST(HostError::Empty)),
            (r#"{"type": "vnc"}"#, ResolverError::Json(JsonError::Schema)),
            (r#"{"address": "a:1"}"#, ResolverError::Json(JsonError::Schema)),
            (
                r#"{"type": "vnc", "address": "a:1", "address": "b:1"}"#,
                ResolverError::Json(JsonError::Schema),
            ),
            (
                r#"{"type": "vnc", "address": "a:1", "insecure": 1}"#,
                ResolverError::Json(JsonError::Schema),
            ),
            (
                r#"{"type": "vnc", "address": "a:1", "insecure": "true"}"#,
                ResolverError::Json(JsonError::Schema),
            ),
            ("[]", ResolverError::Json(JsonError::Schema)),
            ("No token found", ResolverError::Json(JsonError::Syntax)),
            ("", ResolverError::Json(JsonError::Syntax)),
        ] {
            assert_eq!(read(json), Err(error), "{json}");
        }
        let long = |len| {
            format!(
                r#"{{"type": "vnc", "address": "a:1", "password": "{}"}}"#,
                "x".repeat(len)
            )
        };
        assert!(read(&long(60)).is_ok());
        assert_eq!(read(&long(61)), Err(MEMBER("password")));
        assert_eq!(
            read(&long(4096)),
            Err(ResolverError::Json(JsonError::TooLong { limit: 4096 }))
        );
        assert_eq!(libvirt::NOT_FOUND, (404, "No token found"));
        assert_eq!(libvirt::path(&secret("a/../b?c")).as_str(), "token/a%2F..%2Fb%3Fc");
    }

    #[test]
    fn what_has_no_place() {
        for target in [
            Target::Unix { path: "/x".into() },
            Target::Host {
                host: "a".into(),
                port: None,
                tls_port: None,
            },
            Target::Host {
                host: "a".into(),
                port: Some(1),
                tls_port: Some(2),
            },
            host("a b", 1),
            host("", 1),
            host("a", 0),
        ] {
            assert_eq!(
                answer(Kind::Vnc, target.clone()).to_json().unwrap_err(),
                ResolverError::Target,
                "{target:?}"
            );
        }
        let both = Answer {
            insecure: true,
            ..answer(Kind::Vnc, tls("a", 1))
        };
        assert_eq!(both.to_json().unwrap_err(), ResolverError::Target);
        let long = Answer {
            password: Some(Zeroizing::new("x".repeat(61))),
            ..answer(Kind::Vnc, host("a", 1))
        };
        assert_eq!(long.to_json().unwrap_err(), MEMBER("password"));
    }

    #[test]
    fn files() {
        let entries = [
            (secret("one"), answer(Kind::Vnc, host("a", 1))),
            (secret("t\"w\\o"), answer(Kind::Spice, tls("::1", 2))),
        ];
        let file = libvirt::write_file(entries.iter().map(|(token, answer)| (token, answer))).unwrap();
        expect![[r#"
            {
              "one": {"type":"vnc","address":"a:1","insecure":false,"tlsTunnel":false},
              "t\"w\\o": {"type":"spice","address":"[::1]:2","insecure":false,"tlsTunnel":true}
            }
        "#]]
        .assert_eq(&file);
        for (token, answer) in &entries {
            assert_eq!(libvirt::lookup(file.as_bytes(), token), Ok(Some(answer.clone())));
        }
        assert_eq!(libvirt::lookup(file.as_bytes(), &secret("three")), Ok(None));
        assert_eq!(
            libvirt::lookup(libvirt::write_file([]).unwrap().as_bytes(), &secret("one")),
            Ok(None)
        );
        let (token, answer) = &entries[0];
        assert_eq!(
            libvirt::write_file([(token, answer); 2]).unwrap_err(),
            ResolverError::Token
        );

        let twice = r#"{"a": {"type": "vnc", "address": "a:1"}, "\u0061": {"type": "vnc", "address": "b:1"}}"#;
        assert_eq!(
            libvirt::lookup(twice.as_bytes(), &secret("a")),
            Err(ResolverError::Token)
        );
        // What is wrong with another entry's values is not this one's fault.
        let other = r#"{"a": {"type": "x", "address": ""}, "b": {"type": "vnc", "address": "b:1"}}"#;
        assert!(libvirt::lookup(other.as_bytes(), &secret("b")).unwrap().is_some());
        assert_eq!(libvirt::lookup(other.as_bytes(), &secret("a")), Err(MEMBER("type")));
        for file in ["", "[]", "{\"a\": 1}", "{\"a\": {}}", "{"] {
            assert!(
                matches!(
                    libvirt::lookup(file.as_bytes(), &secret("a")),
                    Err(ResolverError::Json(_))
                ),
                "{file}"
            );
        }
        let long = format!("{{}}{}", " ".repeat(1 << 20));
        let too_long = ResolverError::Json(JsonError::TooLong { limit: 1 << 20 });
        assert_eq!(libvirt::lookup(long.as_bytes(), &secret("a")), Err(too_long));
    }
}

mod of_websockify {
    use websockify::{
        Dialect, Entry, RedisSource, RowFault, entries, faults, find, from_json, from_redis, line, lookup, rows,
        source_fields, to_json, to_redis,
    };

    use super::*;

    #[test]
    fn files() {
        let file = "# a comment: x:1\nt1: h:5900\n\nt2:\th2:1\nt1: h3:2\nt4: [::1]:3\r\nt5: ::1:4\nt6: unix_socket:/run/x\n\
            t7 : h:7\nt8: a: b:8\nt9:h:9\n t10: h:10\nt11: h:11:\nt12: h\nt13:   \u{1f}h:13 \u{a0}\n # old: h:14\nt15:\n";
        let target = |token| lookup(file, token).map(|entry| entry.target());
        assert_eq!(target("t1"), Some(Ok(host("h3", 2))));
        assert_eq!(target("t2"), Some(Ok(host("h2", 1))));
        assert_eq!(target("t4"), Some(Ok(host("::1", 3))));
        assert_eq!(target("t5"), Some(Ok(host("::1", 4))));
        assert_eq!(target("t6"), Some(Ok(Target::Unix { path: "/run/x".into() })));
        assert_eq!(target("t7 "), Some(Ok(host("h", 7))));
        assert_eq!(target("t10"), Some(Ok(host("h", 10))));
        assert_eq!(target("t11"), Some(Err(HOST(HostError::Malformed))));
        assert_eq!(target("t12"), Some(Err(MEMBER("port"))));
        assert_eq!(target("t13"), Some(Ok(host("h", 13))));
        for token in ["# a comment", "t3", "t7", "t8", "t9", " t10", "# old", "t15", "", "t"] {
            assert_eq!(lookup(file, token), None, "{token}");
        }
        assert_eq!(entries(file).count(), 11);
        // After 0.13.0 nothing is stripped, the end of the line neither.
        let target = |token| find(file, token, Dialect::Repository).map(|row| row.entry.target());
        assert_eq!(target(" t10"), Some(Ok(host("h", 10))));
        assert_eq!(target(" # old"), Some(Ok(host("h", 14))));
        assert_eq!(target("t15"), Some(Err(MEMBER("port"))));
        assert_eq!((target("t10"), target("t11")), (None, None));
        for (text, error) in [
            ("h:0", MEMBER("port")),
            ("h:65536", MEMBER("port")),
            ("h:+1", MEMBER("port")),
            ("h:http", MEMBER("port")),
            (":1", HOST(HostError::Empty)),
            ("127.1:1", HOST(HostError::Number)),
            ("h.:1", HOST(HostError::TrailingDot)),
            ("fe80::1%eth0:1", HOST(HostError::Zone)),
            ("bücher.example:1", HOST(HostError::NotAscii)),
            ("u@h:1", HOST(HostError::Malformed)),
            ("unix_socket:run", MEMBER("port")),
            ("h:1:1", HOST(HostError::Malformed)),
        ] {
            let file = format!("t: {text}\n");
            assert_eq!(lookup(&file, "t").unwrap().target(), Err(error), "{text}");
        }
        assert_eq!(Entry { host: "h", port: None }.target(), Err(MEMBER("port")));
    }

    /// Which line is malformed, and why; never what is in it.
    #[test]
    fn lines_that_are_malformed() {
        let file = "\u{feff}# mark\nabc123:192.0.2.133:5901\nok: h:1\r\n\r\nabc: h1: 5900\rabc h:1\n\nabc: h.:1\nabc: h\n\
            abc: h:99999\nabc: fe80::1%eth0:1\nabc\n   \n#abc:h:1\n  # abc\nabc:\nabc: unix_socket:run\nabc: :1\n last:h:1";
        let texts: Vec<String> = faults(file).map(|fault| fault.to_string()).collect();
        expect![[r#"
            line 1: not "token: host:port": no colon with a blank behind it
            line 2: not "token: host:port": no colon with a blank behind it
            line 5: not "token: host:port": more than one colon with a blank behind it
            line 6: not "token: host:port": no colon with a blank behind it
            line 8: invalid host: a host with a dot at its end: it has to be written without
            line 9: invalid port
            line 10: invalid port
            line 11: invalid host: an IPv6 address with a zone: zones are not supported
            line 12: not "token: host:port": no colon with a blank behind it
            line 16: not "token: host:port": no colon with a blank behind it
            line 17: invalid port
            line 18: invalid host: no host
            line 19: not "token: host:port": no colon with a blank behind it"#]]
        .assert_eq(&texts.join("\n"));
        assert_eq!(find(file, "ok", Dialect::Released).unwrap().line, 3);
        assert_eq!(faults("").count(), 0);
        assert_eq!(faults("a: h:1").count(), 0);
        let row = rows("secret-token: h:1", Dialect::Released).next().unwrap().unwrap();
        assert!(!format!("{row:?}").contains("secret"));
        assert!(faults("x").all(|error| error.fault == RowFault::NoSeparator));
    }

    #[test]
    fn lines() {
        let token = secret("a:b");
        for target in [
            host("h", 1),
            host("192.0.2.7", 65535),
            host("2001:db8::7", 5900),
            Target::Unix {
                path: "/run/a b".into(),
            },
        ] {
            let line = line(&token, &target).unwrap();
            assert!(line.ends_with('\n'));
            assert_eq!(lookup(&line, "a:b").unwrap().target(), Ok(target), "{}", *line);
        }
        for target in [
            tls("h", 1),
            host("h x", 1),
            host("h\nx: y", 1),
            Target::Host {
                host: "h".into(),
                port: Some(1),
                tls_port: Some(2),
            },
            Target::Unix { path: "x".into() },
            Target::Unix {
                path: "/x\ny: h:1".into(),
            },
            Target::Unix { path: "/x: y".into() },
            Target::Unix { path: "/x ".into() },
            Target::Internal {
                host: "h".into(),
                port: 1,
                path: console_token::AccessPath::new("x"),
            },
        ] {
            assert_eq!(line(&token, &target).unwrap_err(), ResolverError::Target, "{target:?}");
        }
        assert_eq!(line(&secret("#a"), &host("h", 1)).unwrap_err(), ResolverError::Token);
    }

    #[test]
    fn json() {
        assert_eq!(
            to_json(&host("::1", 5900)).unwrap().as_str(),
            r#"{"host":"::1","port":5900}"#
        );
        for target in [host("::1", 1), host("h.example", 65535)] {
            assert_eq!(from_json(to_json(&target).unwrap().as_bytes()), Ok(target));
        }
        assert_eq!(
            from_json(br#"{"host": "h", "port": "5900", "x": 1}"#),
            Ok(host("h", 5900))
        );
        assert_eq!(to_json(&tls("h", 1)).unwrap_err(), ResolverError::Target);
        for (json, error) in [
            (r#"{"host": "h", "port": 0}"#, MEMBER("port")),
            (r#"{"host": "h", "port": ""}"#, MEMBER("port")),
            (r#"{"host": "h", "port": "-1"}"#, MEMBER("port")),
            (r#"{"host": "", "port": 1}"#, HOST(HostError::Empty)),
            (r#"{"host": "h:1", "port": 1}"#, HOST(HostError::Malformed)),
            (r#"{"host": "h", "port": -1}"#, ResolverError::Json(JsonError::Schema)),
            (
                r#"{"host": "h", "port": 65536}"#,
                ResolverError::Json(JsonError::Schema),
            ),
            (r#"{"host": "h", "port": 1.5}"#, ResolverError::Json(JsonError::Schema)),
            (r#"{"host": "h", "port": null}"#, ResolverError::Json(JsonError::Schema)),
            (r#"{"host": 1, "port": 1}"#, ResolverError::Json(JsonError::Schema)),
            (r#"{"host": "h"}"#, ResolverError::Json(JsonError::Schema)),
            ("h:1", ResolverError::Json(JsonError::Syntax)),
        ] {
            assert_eq!(from_json(json.as_bytes()), Err(error), "{json}");
        }
    }

    #[test]
    fn redis_values() {
        assert_eq!(to_redis(&host("h", 1)).unwrap().as_str(), r#"{"host":"h:1"}"#);
        assert_eq!(
            from_redis(&to_redis(&host("192.0.2.7", 2)).unwrap()),
            Ok(host("192.0.2.7", 2))
        );
        assert_eq!(from_redis(" h:5900\n"), Ok(host("h", 5900)));
        assert_eq!(from_redis(" {\"host\": \"h:5900\", \"x\": 1} "), Ok(host("h", 5900)));
        for value in ["", "h", "::1:5900", "[::1]:5900", "h:1:2", "{\"host\": \"h\"}"] {
            assert_eq!(from_redis(value), Err(MEMBER("host")), "{value}");
        }
        for value in ["h:", "h:x", "h:0"] {
            assert_eq!(from_redis(value), Err(MEMBER("port")), "{value}");
        }
        for value in ["{", "{}", "{\"host\": 1}"] {
            assert!(matches!(from_redis(value), Err(ResolverError::Json(_))), "{value}");
        }
        for target in [host("::1", 1), tls("h", 1), Target::Unix { path: "/x".into() }] {
            assert_eq!(to_redis(&target).unwrap_err(), ResolverError::Target);
        }
    }

    #[test]
    fn redis_sources() {
        for (source, fields) in [
            ("h:1:2:p:ns", vec!["h", "1", "2", "p", "ns"]),
            ("h::::\"a:b\"", vec!["h", "", "", "", "a:b"]),
            ("\"a:b\":1", vec!["a:b", "1"]),
            ("\"a:b\"", vec!["a:b"]),
            ("h:", vec!["h", ""]),
            (":", vec!["", ""]),
            ("\"a:b", vec!["\"a", "b"]),
            ("\"a:b\"c:1", vec!["\"a", "b\"c", "1"]),
            ("\"\":1", vec!["\"\"", "1"]),
            ("a\"b:c\"", vec!["a\"b", "c\""]),
        ] {
            assert_eq!(source_fields(source), fields, "{source}");
        }
        let source = RedisSource::from_source("h:6380:1:\"pass:word\":\"a:b\"").unwrap();
        assert_eq!((source.host.as_str(), source.port, source.db), ("h", 6380, 1));
        assert_eq!(source.password.as_ref().map(|text| text.as_str()), Some("pass:word"));
        assert!(!format!("{source:?}").contains("pass:word"));
        assert_eq!(source.key(&secret("t")).as_str(), "a:b:t");
        let source = RedisSource::from_source("h").unwrap();
        assert_eq!((source.port, source.db, source.password.is_some()), (6379, 0, false));
        assert_eq!(source.key(&secret("t")).as_str(), "t");
        for (text, error) in [
            ("", "host"),
            (":1", "host"),
            ("h:0", "port"),
            ("h:x", "port"),
            ("h:65536", "port"),
            ("h:1:x", "db"),
            ("h:1:-1", "db"),
            ("h:1:4294967296", "db"),
            ("h:1:2:p:n:x", "source"),
        ] {
            assert_eq!(RedisSource::from_source(text), Err(MEMBER(error)), "{text}");
        }
    }
}

mod of_kubevirt {
    use kubevirt::{Answer, path};

    use super::*;

    fn read(token: &str, end: &str) -> Result<u64, ResolverError> {
        let json = format!(r#"{{"token": "{token}", "expirationTimestamp": "{end}"}}"#);
        Answer::from_json(json.as_bytes()).map(|answer| answer.expires.0)
    }

    #[test]
    fn answers() {
        const TOKEN: &str = "eyJh.e30.c2ln";
        let json = br#"{"token":"eyJh.e30.c2ln","expirationTimestamp":"2027-01-15T08:00:00Z"}"#;
        let answer = Answer::from_json(json).unwrap();
        // `date -u -d 2027-01-15T08:00:00 +%s`.
        assert_eq!(answer.expires, UnixSeconds(1_800_000_000));
        assert_eq!(answer.token, SignedToken::presented(TOKEN.as_bytes()).unwrap());
        assert!(!format!("{answer:?}").contains("eyJh"));
        assert_eq!(answer.to_json().unwrap().as_bytes(), json);
        assert_eq!(read(TOKEN, "2027-01-15T10:00:00.999+02:00"), Ok(1_800_000_000));
        assert_eq!(read(TOKEN, "1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(read(TOKEN, "9999-12-30T22:00:00Z"), Ok(253_402_207_200));
        for end in [
            "",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "-000001-01-01T00:00:00Z",
            "2027-01-15T08:00:00",
            "2027-13-15T08:00:00Z",
            "2027-02-29T08:00:00Z",
            "2027-01-15T24:00:00Z",
            "2027-01-15T08:00:00+99:00",
            "99999-01-01T00:00:00Z",
            "1800000000",
            "2027-01-15",
            "x",
        ] {
            assert_eq!(read(TOKEN, end), Err(MEMBER("expirationTimestamp")), "{end}");
        }
        for token in ["", "a", "a.b", "a.b.", "a.b.c.d", "a.b.c=", "a b.c.d", "a.\\n.b"] {
            assert_eq!(read(token, "2027-01-15T08:00:00Z"), Err(MEMBER("token")), "{token}");
        }
        for json in [
            "",
            "{}",
            r#"{"token": "a.b.c"}"#,
            r#"{"token": "a.b.c", "expirationTimestamp": 1}"#,
            "[]",
        ] {
            assert!(
                matches!(Answer::from_json(json.as_bytes()), Err(ResolverError::Json(_))),
                "{json}"
            );
        }
        for end in [253_402_300_800, u64::MAX] {
            let answer = Answer {
                token: SignedToken::presented(TOKEN.as_bytes()).unwrap(),
                expires: UnixSeconds(end),
            };
            assert_eq!(answer.to_json().unwrap_err(), MEMBER("expirationTimestamp"));
        }
    }

    #[test]
    fn paths() {
        assert_eq!(
            path("ns-1", "vm.a-1", 600).as_deref(),
            Some("apis/token.kubevirt.io/v1/namespaces/ns-1/virtualmachines/vm.a-1/vnc?duration=600s")
        );
        let long = "a".repeat(64);
        for (namespace, name, seconds) in [
            ("", "vm", 600),
            ("ns", "", 600),
            ("ns", "vm", 599),
            ("n/s", "vm", 600),
            ("ns", "../x", 600),
            ("ns", "vm/vnc?x", 600),
            ("Ns", "vm", 600),
            ("a.b", "vm", 600),
            ("-a", "vm", 600),
            ("a-", "vm", 600),
            ("ns", "a..b", 600),
            (&long, "vm", 600),
            ("ns", &long, 600),
            ("ns", "vm%2f", 600),
            ("ns", "vm ", 600),
        ] {
            assert_eq!(path(namespace, name, seconds), None, "{namespace} {name} {seconds}");
        }
    }
}

#[test]
fn texts() {
    let texts = [
        ResolverError::Json(JsonError::Syntax),
        MEMBER("host"),
        HOST(HostError::TrailingDot),
        ResolverError::Target,
        ResolverError::Token,
    ];
    expect![[r#"
        invalid JSON: not JSON
        invalid host
        invalid host: a host with a dot at its end: it has to be written without
        a target that this form has no place for
        a token that this form has no place for"#]]
    .assert_eq(&texts.map(|error| error.to_string()).join("\n"));
}

proptest! {
    /// What is written reads as the same again, whoever reads it.
    #[test]
    fn written_and_read(token in "[!-~]{1,40}", name in "[a-z][a-z0-9.-]{0,20}|[0-9a-f:]{2,20}|[0-9.]{7,15}", number: u16) {
        let token = secret(&token);
        let target = host(&name, number);
        let is_host = number != 0 && name.parse::<Host>().is_ok();
        let same = |read: &Target| {
            let Target::Host { host, port: Some(port), .. } = read else { return false };
            *port == number && host.parse::<Host>() == name.parse()
        };
        let answer = Answer { kind: Kind::Vnc, target: target.clone(), insecure: false, password: None };
        prop_assert_eq!(answer.to_json().is_ok(), is_host);
        if is_host {
            let json = answer.to_json().unwrap();
            prop_assert!(same(&Answer::from_json(json.as_bytes()).unwrap().target));
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert!(value["address"].as_str().unwrap().parse::<Authority>().is_ok());
            let file = libvirt::write_file([(&token, &answer)]).unwrap();
            prop_assert!(same(&libvirt::lookup(file.as_bytes(), &token).unwrap().unwrap().target));
            prop_assert!(same(&websockify::from_json(websockify::to_json(&target).unwrap().as_bytes()).unwrap()));
            if let Ok(line) = websockify::line(&token, &target) {
                prop_assert!(same(&websockify::lookup(&line, token.expose()).unwrap().target().unwrap()));
            } else {
                prop_assert!(token.expose().starts_with('#'));
            }
            match websockify::to_redis(&target) {
                Ok(value) => prop_assert!(same(&websockify::from_redis(&value).unwrap())),
                Err(_) => prop_assert!(name.contains(':')),
            }
        }
    }

    /// No text can do harm.
    #[test]
    fn any_text(text in "\\PC{0,80}|[\\[\\]{}:\", a-z0-9#\n\r\t]{0,80}", token in "[!-~]{1,8}") {
        let bytes = text.as_bytes();
        let _ = (Answer::from_json(bytes).is_ok(), libvirt::lookup(bytes, &secret(&token)).is_ok());
        let _ = (websockify::from_json(bytes).is_ok(), websockify::from_redis(&text).is_ok());
        let _ = kubevirt::Answer::from_json(bytes).is_ok();
        for (own, entry) in websockify::entries(&text) {
            prop_assert!(text.contains(own) && text.contains(entry.host));
            let _ = entry.target().is_ok();
            prop_assert!(websockify::lookup(&text, own).is_some());
        }
        let fields = websockify::source_fields(&text);
        prop_assert!(fields.iter().all(|field| text.contains(field)));
        let _ = websockify::RedisSource::from_source(&text).is_ok();
    }
}
