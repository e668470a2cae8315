//! vnc-screenshot, mostly of vnc-picture.

use std::net::TcpListener;

use crate::program::{Folder, METHODS, Server, USER};

const SCREENSHOT: &str = env!("CARGO_BIN_EXE_vnc-screenshot");

#[test]
fn every_method_shows_the_picture_and_no_other_password_does() {
    let folder = Folder::new();
    for method in METHODS {
        let (server, _process) = Server::picture(&folder, method);
        folder
            .screenshot(server, method, &["--password-file=right"])
            .expect(method);
        assert!(folder.shows_the_picture(), "{method}");
        let wrong = folder.screenshot(server, method, &["--password-file=wrong"]);
        if method.ends_with("none") {
            wrong.expect(method);
        } else {
            let said = wrong.expect_err(method);
            assert_eq!(
                said, "vnc-screenshot: authentication failed: Authentication failed\n",
                "{method}"
            );
            assert!(!folder.path().join("out.png").exists(), "{method}");
        }
    }
}

/// What is sealed: RSA-AES with a key from a file, whose fingerprint the client knows, Diffie-Hellman and UltraVNC's logons.
#[test]
fn every_sealed_method_shows_the_picture_and_no_other_password_does() {
    let folder = Folder::new();
    let pem = include_str!("../../../rfb-proto/tests/data/logins/rsa-2048-pkcs8.pem");
    std::fs::write(folder.path().join("rsa.pem"), pem).expect("a key");
    let key = rfb_proto::security::rsa_aes::Key::from_pem(pem).expect("a key");
    let fingerprint = rfb_proto::tls::Fingerprint(key.public().sha256()).to_string();
    for method in ["ra2", "ra2ne", "ra2-256", "ra2ne-256", "ard", "ms-logon2", "ms-logon3"] {
        let (server, _process) = Server::picture_with(&folder, method, &["--rsa-key=rsa.pem"]);
        let with = |password: &str, fingerprint: &str| {
            let more = ["--user", USER, "--rsa-key", fingerprint, password];
            folder.screenshot(server, method, &more)
        };
        with("--password-file=right", &fingerprint).expect(method);
        assert!(folder.shows_the_picture(), "{method}");
        let said = with("--password-file=wrong", &fingerprint).expect_err(method);
        assert_eq!(
            said, "vnc-screenshot: authentication failed: Authentication failed\n",
            "{method}"
        );
        if method.starts_with("ra2") {
            let said = with("--password-file=right", &"00".repeat(32)).expect_err(method);
            assert_eq!(
                said,
                "vnc-screenshot: the server's RSA key is not the one of --rsa-key\n"
            );
        }
    }
}

#[test]
fn the_best_method_is_found_without_naming_it() {
    let folder = Folder::new();
    let (server, _process) = Server::picture(&folder, "x509-plain");
    let server = server.to_string();
    let found = [
        "--ca=cert.pem",
        "--user",
        USER,
        "--password-file=right",
        &server,
        "out.png",
    ];
    folder.run(SCREENSHOT, &found).expect("x509-plain");
    assert!(folder.shows_the_picture());
    // Without a user it is not one of those that can be taken.
    let less = ["--ca=cert.pem", "--password-file=right", &server, "out.png"];
    let said = folder.run(SCREENSHOT, &less).expect_err("no method");
    assert_eq!(
        said,
        "vnc-screenshot: peer incompatible: no common VeNCrypt subtype; offered: X509Plain (262)\n"
    );
    // And without TLS nothing is taken at all.
    let said = folder.run(SCREENSHOT, &[&*server, "out.png"]).expect_err("no method");
    assert_eq!(
        said,
        "vnc-screenshot: peer incompatible: no common security type; offered: VeNCrypt (19)\n"
    );
}

#[test]
fn the_server_must_be_the_one_that_is_meant() {
    let folder = Folder::new();
    let (server, _process) = Server::picture(&folder, "x509-none");
    let stranger = folder.screenshot(server, "x509-none", &["--server-name", "console.example.org"]);
    assert!(stranger.expect_err("another name").contains("not valid for name"));
    let server = server.to_string();
    let said = folder.run(SCREENSHOT, &["--ca=stranger.pem", &server, "out.png"]);
    assert!(
        said.expect_err("another authority")
            .contains("invalid peer certificate")
    );
}

#[test]
fn what_cannot_work_is_said_before_anybody_is_called() {
    let folder = Folder::new();
    for (arguments, why) in [
        (
            &["--security=x509-vnc", "--password-file=right"][..],
            "x509-vnc needs --ca",
        ),
        (
            &["--security=vnc", "--password-file=right", "--ca=cert.pem"],
            "vnc has no TLS, and --ca wants it",
        ),
        (&["--security=vnc"], "vnc needs more: a user, a password, or both"),
        (
            &["--security=plain", "--password-file=right"],
            "plain needs more: a user, a password, or both",
        ),
        (&["--password-file=empty"], "the password is empty"),
        (
            &["--password-file=absent"],
            "absent: No such file or directory (os error 2)",
        ),
        (&["--ca=right"], "right: no certificate in PEM"),
    ] {
        let mut all = arguments.to_vec();
        all.extend(["127.0.0.1:1", "out.png"]);
        let said = folder.run(SCREENSHOT, &all).expect_err(why);
        assert_eq!(said, format!("vnc-screenshot: {why}\n"));
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let folder = Folder::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let server = silent.local_addr().expect("an address").to_string();
    let said = folder.run(SCREENSHOT, &["--timeout=1", &server, "out.png"]);
    assert_eq!(said.expect_err("silence"), "vnc-screenshot: no picture within 1 s\n");
}
