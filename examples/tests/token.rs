//! The tool `token`, run as a program.

#[path = "support/tool.rs"]
mod tool;

use std::fs;
use std::process::Output;

use serde_json::Value;
use tool::{Folder, code, stderr, stdout};

fn token(arguments: &[&str], input: &str) -> Output {
    tool::run(env!("CARGO_BIN_EXE_token"), arguments, input.as_bytes())
}

/// A store in SQLite, and the pepper.
fn store(folder: &Folder) -> [String; 2] {
    let store = format!("sqlite:{}/tokens.db", folder.path());
    [store, folder.file("pepper", &[7; 32])]
}

#[test]
fn from_mint_to_redeem() {
    let folder = Folder::new();
    let [store, pepper] = &store(&folder);
    let place = ["--store", store, "--pepper-file", pepper];
    let run = |command: &str, more: &[&str], input: &str| token(&[&[command], &place[..], more].concat(), input);
    let minted = run(
        "mint",
        &["--host", "192.0.2.7", "--port", "5900", "--vm", "vm-1", "--ttl", "60"],
        "",
    );
    let text = stdout(&minted);
    assert_eq!((code(&minted), text.trim_end().len()), (0, 43), "{minted:?}");

    let verified = run("verify", &[], &text);
    assert!(stdout(&verified).starts_with("accepted: novnc, until "), "{verified:?}");
    let inspected = run("inspect", &[], &text);
    assert!(!stdout(&inspected).contains(text.trim_end()));
    let shown: Value = serde_json::from_str(&stdout(&inspected)).unwrap();
    assert_eq!(
        (&shown["grant"]["vm"], &shown["accepted"]),
        (&"vm-1".into(), &"yes".into())
    );
    assert!(String::from_utf8_lossy(&minted.stderr).contains(shown["fingerprint"].as_str().unwrap()));

    for _ in 0..2 {
        let resolved = run("resolve", &[], &text);
        assert_eq!((code(&resolved), stdout(&resolved).as_str()), (0, "192.0.2.7:5900\n"));
    }
    let json = stdout(&run("resolve", &["--form", "libvirt"], &text));
    assert_eq!(
        json,
        "{\"type\":\"vnc\",\"address\":\"192.0.2.7:5900\",\"insecure\":false,\"tlsTunnel\":false}\n"
    );
    assert_eq!(
        stdout(&run("resolve", &["--form", "websockify"], &text)),
        "{\"host\":\"192.0.2.7\",\"port\":5900}\n"
    );
    // Nova's servers are UUIDs; what cannot be written costs no use.
    assert_eq!(code(&run("resolve", &["--form", "nova", "--redeem"], &text)), 3);

    let redeemed = run("resolve", &["--redeem"], &text);
    assert_eq!((code(&redeemed), stdout(&redeemed).as_str()), (0, "192.0.2.7:5900\n"));
    for (command, more) in [("resolve", &["--redeem"][..]), ("resolve", &[]), ("verify", &[])] {
        let again = run(command, more, &text);
        assert_eq!(
            (code(&again), stdout(&again).as_str()),
            (1, "refused: all uses are spent\n"),
            "{command}"
        );
    }
    let shown: Value = serde_json::from_str(&stdout(&run("inspect", &[], &text))).unwrap();
    assert_eq!(shown["accepted"], "all uses are spent");
    // Nothing of the token is in the store.
    let file = fs::read(format!("{}/tokens.db", folder.path())).unwrap();
    assert!(!file.windows(43).any(|window| window == text.trim_end().as_bytes()));
    // Under another pepper it is not known.
    let other = folder.file("other", &[8; 32]);
    let unknown = token(&["verify", "--store", store, "--pepper-file", &other], &text);
    assert_eq!(
        (code(&unknown), stdout(&unknown).as_str()),
        (1, "refused: unknown token\n")
    );
}

#[test]
fn urls_audiences_and_times() {
    let folder = Folder::new();
    let [store, pepper] = &store(&folder);
    let place = ["--store", store, "--pepper-file", pepper];
    let run = |command: &str, more: &[&str], input: &str| token(&[&[command], &place[..], more].concat(), input);
    let endpoint = ["--host", "hv1", "--port", "5900", "--tls-port", "5901"];
    let vm = ["--vm", "b48316c5-71e8-45e4-9884-6c78055b9b13", "--audience", "gw"];
    let base = ["--url", "https://gw.example/vnc.html?path=websockify", "--uuid"];
    let url = stdout(&run("mint", &[&endpoint[..], &vm, &base].concat(), ""));
    assert!(
        url.starts_with("https://gw.example/vnc.html?path=websockify%3Ftoken%3D"),
        "{url}"
    );
    assert_eq!(
        stdout(&run("verify", &[], &url)),
        "refused: the token is for another audience\n"
    );
    let shown = stdout(&run("resolve", &["--audience", "gw", "--form", "nova"], &url));
    let value: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&value["console"]["host"], &value["console"]["port"]),
        (&"hv1".into(), &5900.into())
    );
    let redacted = stdout(&token(&["inspect"], &url));
    assert!(redacted.contains("https://gw.example/vnc.html?path=***"), "{redacted}");

    let spice = [
        &endpoint[..],
        &[
            "--console",
            "spice-direct",
            "--ttl",
            "0",
            "--url",
            "https://gw.example/nova",
        ],
    ]
    .concat();
    let url = stdout(&run("mint", &spice, ""));
    assert_eq!(stdout(&run("verify", &[], &url)), "refused: expired\n");
    for more in [
        &["--host", "h"][..],
        &["--host", "h", "--port", "1", "--console", "telnet"],
        &["--host", "h", "--port", "1", "--url", "ftp://h"],
    ] {
        assert_eq!(code(&run("mint", more, "")), 3, "{more:?}");
    }
    for text in [
        "",
        "a b",
        "https://gw.example/",
        "https://gw.example/?token=a&token=b",
        "https://gw.example/?path=x",
    ] {
        assert_eq!(
            stdout(&run("verify", &[], text)),
            "refused: not the form of a token\n",
            "{text}"
        );
    }
}

#[test]
fn token_files() {
    let folder = Folder::new();
    let lines = folder.file(
        "tokens.cfg",
        b"# comment\nabc: [2001:db8::7]:5900\nsock: unix_socket:/run/x\n",
    );
    let json = folder.file(
        "tokens.json",
        br#"{"abc": {"type": "spice", "address": "hv1:5901", "tlsTunnel": true}}"#,
    );
    let (lines, json) = (format!("websockify:{lines}"), format!("libvirt:{json}"));
    let resolve =
        |store: &str, more: &[&str], input: &str| token(&[&["resolve", "--store", store], more].concat(), input);
    assert_eq!(stdout(&resolve(&lines, &[], "abc\n")), "[2001:db8::7]:5900\n");
    assert_eq!(stdout(&resolve(&lines, &[], "sock\n")), "/run/x\n");
    assert_eq!(stdout(&resolve(&json, &[], "abc\n")), "hv1:5901\n");
    let written = stdout(&resolve(
        &lines,
        &["--form", "libvirt"],
        "https://gw.example/?token=abc",
    ));
    assert!(written.contains("\"address\":\"[2001:db8::7]:5900\""), "{written}");
    for store in [&lines, &json] {
        let unknown = resolve(store, &[], "abd");
        assert_eq!(
            (code(&unknown), stdout(&unknown).as_str()),
            (1, "refused: unknown token\n")
        );
        assert_eq!(code(&resolve(store, &["--redeem"], "abc")), 3);
        assert_eq!(stdout(&token(&["verify", "--store", store], "abc")), "accepted\n");
        assert_eq!(code(&token(&["verify", "--store", store], "abd")), 1);
    }
}

/// A file and a line for everything that is wrong, and nothing of what stands there.
#[test]
fn token_files_that_are_malformed() {
    let folder = Folder::new();
    let resolve = |store: &str, input: &str| token(&["resolve", "--store", store], input);
    let file = folder.file(
        "tokens.cfg",
        b"# consoles\nabc123:192.0.2.133:5901\n def456: h1:5900\nghi789: h2.:5900\n",
    );
    let store = format!("websockify:{file}");
    let unknown = resolve(&store, "abc123");
    assert_eq!(
        (code(&unknown), stdout(&unknown).as_str()),
        (1, "refused: unknown token\n")
    );
    let told = stderr(&unknown);
    assert!(
        told.contains(&format!(
            "{file}: line 2: not \"token: host:port\": no colon with a blank behind it"
        )),
        "{told}"
    );
    assert!(
        told.contains(&format!("{file}: line 4: invalid host: a host with a dot")),
        "{told}"
    );
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(!told.contains("abc123") && !told.contains("ghi789"));
    // Blanks in front of a token do not count in the releases of websockify.
    assert_eq!(stdout(&resolve(&store, "def456")), "h1:5900\n");
    let target = resolve(&store, "ghi789");
    assert_eq!(code(&target), 3);
    let told = stderr(&target);
    assert!(
        told.ends_with(&format!(
            "token: {file}: line 4: invalid host: a host with a dot at its end: it has to be written without\n"
        )),
        "{told}"
    );
    let verified = token(&["verify", "--store", &store], "abc123");
    assert!(stderr(&verified).contains(&format!("{file}: line 2: ")));

    // A folder, whose files come one after the other; and one with more faults than anybody reads.
    let other = folder.file("tokens.d-b", &b"x\n".repeat(99));
    let store = format!("websockify:{}", folder.path());
    let found = resolve(&store, "def456");
    assert_eq!(stdout(&found), "h1:5900\n");
    let told = stderr(&found);
    assert!(told.contains(&format!("{file}: line 2: ")) && told.contains(&format!("{other}: line 10: ")));
    assert!(
        told.contains(&format!("{other}: 89 more lines are malformed")) && !told.contains("line 11:"),
        "{told}"
    );

    let binary = folder.file("latin1.cfg", b"abc: h:1\nd\xe9f: h:1\n");
    let told = stderr(&resolve(&format!("websockify:{binary}"), "abc"));
    assert_eq!(told, format!("token: {binary}: line 2: not UTF-8\n"));
    let json = folder.file("tokens.json", b"{\"abc\": {\"type\": \"vnc\",\n \"address\" \"h:1\"}}");
    let told = stderr(&resolve(&format!("libvirt:{json}"), "abc"));
    assert_eq!(
        told,
        format!("token: {json}: line 2, column 12: invalid JSON: not JSON\n")
    );
    let json = folder.file("dot.json", b"{\"abc\": {\"type\": \"vnc\", \"address\": \"h.:1\"}}");
    let told = stderr(&resolve(&format!("libvirt:{json}"), "abc"));
    assert!(
        told.starts_with(&format!("token: {json}: invalid host: a host with a dot")),
        "{told}"
    );
}

/// What is wrong, where, and what to do; at once, and each thing once.
#[test]
fn errors_are_complete() {
    let folder = Folder::new();
    let pepper = folder.file("pepper", &[7; 32]);
    let short = folder.file("short", &[7; 31]);
    let text = folder.file("text.db", &b"This is no database, however long it may be.\n".repeat(99));
    let locked = format!("{}/no/such/folder/tokens.db", folder.path());
    let mint = |store: &str, pepper: &str, more: &[&str]| {
        let place = ["mint", "--store", store, "--pepper-file", pepper, "--port", "5900"];
        let started = std::time::Instant::now();
        let output = token(&[&place[..], more].concat(), "");
        assert_eq!(code(&output), 3, "{output:?}");
        assert!(started.elapsed().as_secs() < 5, "at once: {output:?}");
        stderr(&output)
    };
    let host = ["--host", "hv1"];
    let store = format!("sqlite:{}/tokens.db", folder.path());
    assert_eq!(
        mint(&store, &short, &host),
        format!("token: {short}: pepper too short: 31 bytes, at least 32 are needed\n")
    );
    let told = mint(&format!("sqlite:{text}"), &pepper, &host);
    assert_eq!(
        told,
        format!("token: {text}: error returned from database: (code: 26) file is not a database\n")
    );
    let told = mint(&format!("sqlite:{locked}"), &pepper, &host);
    assert!(
        told.starts_with(&format!("token: {locked}: No such file or directory")),
        "{told}"
    );
    let told = mint(&format!("sqlite:{}", folder.path()), &pepper, &host);
    assert!(told.contains("unable to open database file"), "{told}");
    for (host, why) in [
        ("hv1.", "--host: a host with a dot at its end"),
        ("fe80::1%eth0", "--host: an IPv6 address with a zone"),
        ("bücher.example", "--host: a name with letters other than ASCII"),
        ("", "--host: no host"),
    ] {
        let told = mint(&store, &pepper, &["--host", host]);
        assert!(told.starts_with(&format!("token: {why}")), "{told}");
    }
    let told = mint(&store, &pepper, &["--host", "h", "--console", "telnet"]);
    assert_eq!(told, "token: --console: unknown console protocol or type\n");
    let told = mint("nothing:x", &pepper, &host);
    assert!(told.contains("websockify:"), "{told}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let told = mint(&format!("redis://:hunter2@{closed}"), &pepper, &host);
    assert!(
        told.starts_with("token: Redis: ") && !told.contains("hunter2"),
        "{told}"
    );
    assert!(told.contains("refused"), "{told}");
}

/// Hashes, targets and names are shown to the user of the tool.
#[cfg(unix)]
#[test]
fn a_new_store_is_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    let pepper = folder.file("pepper", &[7; 32]);
    for name in ["tokens.db", "a%3f?b#c.db"] {
        let store = format!("sqlite:{}/{name}", folder.path());
        let mint = ["mint", "--store", &store, "--pepper-file", &pepper];
        let minted = token(&[&mint[..], &["--host", "h", "--port", "1"]].concat(), "");
        assert_eq!(code(&minted), 0, "{minted:?}");
        let mode = fs::metadata(format!("{}/{name}", folder.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn signed_tokens() {
    let folder = Folder::new();
    let seed = folder.file("seed", &[7; 32]);
    let public = stdout(&token(&["public-key", "--key-file", &seed], ""));
    let sign = [
        "sign",
        "--key-file",
        &seed,
        "--key-id",
        "k1",
        "--issuer",
        "cloud",
        "--audience",
        "gw",
        "--vm",
        "vm-1",
    ];
    let signed = stdout(&token(&sign, ""));
    let verify = |public: &str, id: &str, audience: &str, input: &str| {
        let output = token(
            &["verify", "--public-key", public, "--key-id", id, "--audience", audience],
            input,
        );
        (code(&output), stdout(&output))
    };
    let public = public.trim_end();
    let (status, text) = verify(public, "k1", "gw", &signed);
    assert!(
        status == 0 && text.starts_with("accepted: vm-1 by cloud, until "),
        "{text}"
    );
    assert_eq!(
        verify(public, "k2", "gw", &signed),
        (1, "refused: unknown key\n".into())
    );
    assert_eq!(
        verify(public, "k1", "gw2", &signed),
        (1, "refused: for another audience\n".into())
    );
    let other = stdout(&token(
        &["public-key", "--key-file", &folder.file("other", &[8; 32])],
        "",
    ));
    assert_eq!(
        verify(other.trim_end(), "k1", "gw", &signed),
        (1, "refused: wrong signature\n".into())
    );
    assert_eq!(
        verify(public, "k1", "gw", "abc"),
        (1, "refused: not the form of a token\n".into())
    );
    assert_eq!(verify("xyz", "k1", "gw", &signed).0, 3);
    let expired = stdout(&token(&[&sign[..], &["--ttl", "0"]].concat(), ""));
    assert_eq!(verify(public, "k1", "gw", &expired), (1, "refused: expired\n".into()));

    let inspected = stdout(&token(&["inspect"], &signed));
    assert!(!inspected.contains(signed.trim_end().rsplit('.').next().unwrap()));
    let shown: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(
        (&shown["verified"], &shown["header"]["alg"], &shown["claims"]["aud"]),
        (&false.into(), &"EdDSA".into(), &"gw".into())
    );
}

#[test]
fn wrong_use() {
    let folder = Folder::new();
    let short = folder.file("short", &[7; 31]);
    let store = store(&folder)[0].clone();
    for (arguments, status) in [
        (&["verify"][..], 2),
        (&["mint"], 2),
        (&["verify", "--public-key", "00"], 2),
        (&["inspect", "--store", "redis://x"], 2),
        (&["verify", "--store", &store], 3),
        (&["verify", "--store", &store, "--pepper-file", &short], 3),
        (&["verify", "--store", &store, "--pepper-file", "/nonexistent"], 3),
        (&["verify", "--store", "nothing:x", "--pepper-file", &short], 3),
        (&["verify", "--store", "websockify:/nonexistent"], 3),
        (&["public-key", "--key-file", &short], 3),
    ] {
        let output = token(arguments, "abc");
        assert_eq!(code(&output), status, "{arguments:?} {output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("abc"));
    }
    let inspected = stdout(&token(&["inspect"], "abc"));
    assert!(
        inspected.contains("\"bytes\": 3") && !inspected.contains("abc"),
        "{inspected}"
    );
}

#[test]
fn help_shows_every_command_and_examples() {
    let help = token(&["--help"], "");
    assert_eq!(code(&help), 0);
    for word in [
        "mint",
        "sign",
        "public-key",
        "inspect",
        "verify",
        "resolve",
        "Examples:",
        "Exit status",
    ] {
        assert!(stdout(&help).contains(word), "{word}");
    }
}
