//! websockify: files, JSON, values and sources of Redis.

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
