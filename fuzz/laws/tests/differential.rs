//! The same inputs given to other implementations: all seeds, and mutations of them that are the same in each run.
//!
//! | what | against |
//! |---|---|
//! | key files: groups, keys, every reader, what is written back | GLib |
//! | the token that Nova's proxy finds in a request | CPython's `urllib.parse` and `http.cookies`, called as Nova calls them |
//! | VNC's response to a challenge | DES of OpenSSL |
//! | Diffie-Hellman log-in (type 30) as a client says it | Python's integers, MD5 and AES of OpenSSL |
//!
//! A difference is a fault of a library here, or is named with its reason where it is skipped.

#[path = "../../../vv-file/tests/real/glib.rs"]
mod glib;
#[path = "differential/python.rs"]
mod python;

use rfb_proto::handshake::client::ClientQuestion;
use rfb_proto::handshake::{Action, Buffers, ClientConfig, ClientHandshake, Machine as _};
use rfb_proto::security::ard::ArdParameters;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{SecurityType, Seed};
use serde_json::json;

/// GLib takes none of these: its `encoding_length` and the lines of this crate are the same but for the limit of a file, which
/// no seed comes near.
#[test]
#[ignore = "needs GLib"]
fn key_files_are_read_as_glib_reads_them() {
    let mut files = laws::of(&["vv_bytes", "vv_lint", "vv_edit"]);
    laws::mutate(&mut files, 6000);
    // GLib's functions take group and key names that end at a NUL.
    files.retain(|file| !file.contains(&0));
    println!("{} files", files.len());
    assert!(3000 <= files.len());
    let mut differences = 0;
    for (file, theirs) in files.iter().zip(glib::ask(&files)) {
        let ours = glib::ours(file);
        if ours != theirs {
            println!("{}\n  ours   {ours}\n  theirs {theirs}", file.escape_ascii());
            differences += 1;
        }
    }
    assert_eq!(differences, 0);
}

/// Names and values of letters, digits and a few signs, as browsers send them. What Python makes of others is no grammar: it
/// drops a part with a quoted text inside, takes two cookies out of one part, and takes what it knows out of nonsense.
fn is_cookie(header: &str) -> bool {
    let plain = |text: &str| {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !text.is_empty() && text.bytes().all(sign)
    };
    header.split("; ").all(|part| {
        let pair = part.split_once('=');
        pair.is_some_and(|(name, value)| plain(name) && plain(value))
    })
}

/// Nova's proxy reads the target of a request, and then its cookies.
#[test]
#[ignore = "needs Python"]
fn tokens_are_found_where_nova_finds_them() {
    let mut texts = laws::of(&["token_web"]);
    texts.extend(laws::targets());
    laws::mutate(&mut texts, 20_000);
    let asked: Vec<_> = texts
        .iter()
        .map(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let (target, cookie) = text.split_once('\n').unwrap_or((&text, ""));
            // A request line and a header are one line each.
            let [target, cookie] = [target, cookie].map(|text| text.replace(char::is_control, ""));
            let cookie = if is_cookie(&cookie) { cookie } else { String::new() };
            json!({"what": "nova", "target": target, "cookie": cookie})
        })
        .collect();
    println!("{} requests", asked.len());
    assert!(10_000 <= asked.len());
    let mut differences = 0;
    for (asked, answer) in asked.iter().zip(python::ask(&asked)) {
        let text = |name: &str| asked[name].as_str().expect("a text");
        if let Some(why) = answer["skipped"].as_str() {
            assert!(["not for urlparse", "above Python's limit"].contains(&why), "{why}");
            continue;
        }
        let cookie = text("cookie");
        let ours = console_token::web::place::nova(text("target"), (!cookie.is_empty()).then_some(cookie));
        let theirs = answer["token"].as_str().filter(|token| !token.is_empty());
        if ours.as_ref().map(|token| token.as_str()) != theirs {
            println!("{asked}\n  ours   {ours:?}\n  theirs {theirs:?}");
            differences += 1;
        }
    }
    assert_eq!(differences, 0);
}

/// The passwords of the seeds, and any.
#[test]
#[ignore = "needs OpenSSL"]
fn vnc_responses_are_those_of_openssl() {
    let mut random = laws::Random::default();
    let asked: Vec<_> = (0..5000)
        .map(|_| {
            let len = random.below(11);
            let (password, challenge) = (random.bytes(len), random.bytes(16));
            json!({"what": "des", "password": glib::hex(&password), "challenge": glib::hex(&challenge)})
        })
        .collect();
    for (asked, answer) in asked.iter().zip(python::ask(&asked)) {
        let [password, challenge] = ["password", "challenge"].map(|name| {
            let digits = asked[name].as_str().expect("digits");
            base16ct::lower::decode_vec(digits).expect("digits")
        });
        let response = Password::new(&password).respond(challenge[..].try_into().expect("16 bytes"));
        assert_eq!(answer["response"], glib::hex(&response), "{asked}");
    }
}

/// Python is the server: it knows its private exponent, and opens what a client of this crate has sealed.
#[test]
#[ignore = "needs OpenSSL"]
fn diffie_hellman_log_ins_open_at_another_server() {
    let mut random = laws::Random::default();
    let servers: Vec<_> = (0..40)
        .map(|_| json!({"what": "dh", "private": glib::hex(&random.bytes(40))}))
        .collect();
    let mut logins = Vec::new();
    for (server, offer) in servers.iter().zip(python::ask(&servers)) {
        let offer = base16ct::lower::decode_vec(offer["offer"].as_str().expect("digits")).expect("digits");
        let parameters = ArdParameters::decode_slice(&offer, &rfb_proto::Limits::default()).expect("a good group");
        let (user, password) = (random.below(64), random.below(64));
        let (user, password) = (random.text(user), random.text(password));
        let seed = Seed::new(random.bytes(32).try_into().expect("32 bytes"));
        let response = client_says(&parameters, &user, &password, &seed);
        logins.push((
            json!({"what": "ard", "private": server["private"], "response": glib::hex(&response)}),
            user,
            password,
        ));
    }
    let asked: Vec<_> = logins.iter().map(|(asked, ..)| asked.clone()).collect();
    for ((_, user, password), answer) in logins.iter().zip(python::ask(&asked)) {
        assert_eq!(
            (&answer["user"], &answer["password"]),
            (&json!(glib::hex(user)), &json!(glib::hex(password)))
        );
    }
}

/// What a client sends behind a server's parameters.
fn client_says(parameters: &ArdParameters, user: &[u8], password: &[u8], seed: &Seed) -> Vec<u8> {
    let config = ClientConfig::new(&[SecurityType::DIFFIE_HELLMAN]);
    let mut machine = ClientHandshake::new(std::time::Duration::ZERO, config);
    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(b"RFB 003.008\n\x01\x1e");
    parameters.encode(&mut buffers.rx).expect("it fits");
    let action = machine
        .step(std::time::Duration::ZERO, &mut buffers)
        .expect("it goes on");
    let Action::Ask(ClientQuestion::DiffieHellman(parameters)) = action else {
        panic!("{action:?}");
    };
    buffers.tx.clear();
    let response = parameters.respond(user, password, seed).expect("they fit");
    machine.diffie_hellman(&mut buffers, &response).expect("it was asked");
    let _ = machine.step(std::time::Duration::ZERO, &mut buffers);
    buffers.tx.to_vec()
}
