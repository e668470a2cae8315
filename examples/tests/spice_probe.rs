//! The tools `spice-probe` and `spice-picture`, run as programs, with each other. With QEMU and with viewers of others
//! they meet in `tests/real`.

#[path = "support/tool.rs"]
mod tool;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Output};
use std::thread;

use bytes::BytesMut;
use serde_json::Value;
use spice_proto::ids::LinkErrorCode;
use spice_proto::link::LinkReply;
use tool::{Folder, code, program, stderr, stdout};

const PASSWORD: &str = "s3cretpw";

fn probe(arguments: &[&str], password: Option<&str>) -> Output {
    let mut command = program(env!("CARGO_BIN_EXE_spice-probe"), arguments);
    match password {
        Some(password) => command.env("SPICE_PASSWORD", password),
        None => command.env_remove("SPICE_PASSWORD"),
    };
    command.output().unwrap()
}

/// `spice-picture` with a password, until this is dropped.
struct Picture {
    child: Child,
    address: String,
}

impl Picture {
    fn start(folder: &Folder) -> Self {
        let mut png = Vec::new();
        let mut encoder = png::Encoder::new(&mut png, 3, 2);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[0x55; 3 * 3 * 2]).unwrap();
        writer.finish().unwrap();
        let picture = folder.file("picture.png", &png);
        let mut command = program(
            env!("CARGO_BIN_EXE_spice-picture"),
            &["--listen=127.0.0.1:0", "--title=a picture", &picture],
        );
        let mut child = command.env("SPICE_PASSWORD", PASSWORD).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        let address = address.trim_end().to_owned();
        Self { child, address }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server for one connection.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    address
}

#[test]
fn a_session_is_shown() {
    let folder = Folder::new();
    let server = Picture::start(&folder);
    let seen = probe(&["--json", "--watch=100", &server.address], Some(PASSWORD));
    assert_eq!((code(&seen), stderr(&seen).as_str()), (0, ""));
    let report: Value = serde_json::from_str(&stdout(&seen)).unwrap();
    for (key, value) in [
        ("name", Value::from("a picture")),
        ("version", "2.2".into()),
        ("authentication", "ticket".into()),
        ("tls", false.into()),
        ("uuid", Value::Null),
        ("agent", false.into()),
        ("mouse_mode", "SERVER".into()),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    let channels = report["channels"].as_array().unwrap();
    let kinds: Vec<_> = channels.iter().map(|channel| &channel["channel"]).collect();
    assert_eq!(kinds, ["MAIN", "DISPLAY", "INPUTS", "CURSOR"]);
    let counts: Vec<_> = channels.iter().map(|channel| channel["messages"].to_string()).collect();
    assert_eq!(
        counts,
        [
            r#"{"channels_list":1,"init":1,"name":1}"#,
            r#"{"draw_copy":1,"mark":1,"surface_create":1}"#,
            r#"{"init":1}"#,
            r#"{"init":1}"#,
        ]
    );
    assert_eq!(channels[1]["surfaces"][0]["width"], 3);

    // The password from a file, and the same for people.
    let file = folder.file("password", format!("{PASSWORD}\n").as_bytes());
    let seen = probe(&["--watch=100", "--password-file", &file, &server.address], None);
    assert_eq!(code(&seen), 0, "{seen:?}");
    let text = stdout(&seen);
    for words in [
        "SPICE 2.2, no TLS, ticket",
        "name       a picture",
        "surface  0: 3x2",
        "BITMAP 1",
    ] {
        assert!(text.contains(words), "not {words:?}: {text}");
    }
    assert!(!text.contains(PASSWORD));
}

#[test]
fn a_connection_file_says_where_and_as_whom() {
    let folder = Folder::new();
    let server = Picture::start(&folder);
    let port = server.address.rsplit_once(':').unwrap().1;
    let vv = |more: &str| {
        let text = format!("[virt-viewer]\ntype=spice\nhost=127.0.0.1\ndelete-this-file=1\n{more}");
        folder.file("console.vv", text.as_bytes())
    };
    let file = vv(&format!("port={port}\npassword={PASSWORD}\n"));
    let seen = probe(&["--watch=100", "--vv", &file], None);
    assert_eq!(code(&seen), 0, "{seen:?}");
    assert!(std::path::Path::new(&file).exists(), "the file stays");
    // Neither the variable nor anything else takes the place of what the file says.
    let file = vv(&format!("port={port}\npassword=another\n"));
    assert_eq!(code(&probe(&["--vv", &file], Some(PASSWORD))), 3);

    for (more, words) in [
        ("", "it names no port"),
        ("port=70000\n", "it names no port"),
        ("port=1\nproxy=http://proxy\n", "HTTP proxy"),
        ("tls-port=1\n", "no authorities"),
        ("tls-port=1\nca=rubbish\n", "console.vv: "),
    ] {
        let said = probe(&["--vv", &vv(more)], None);
        assert_eq!(code(&said), 2, "{more}: {said:?}");
        let said = stderr(&said);
        assert!(said.contains(words) && said.contains("console.vv"), "{more}: {said}");
    }
    let vnc = folder.file("vnc.vv", b"[virt-viewer]\ntype=vnc\nhost=127.0.0.1\nport=1\n");
    assert!(stderr(&probe(&["--vv", &vnc], None)).contains("not for SPICE"));
}

/// Arguments that cannot be used are reported before a connection is made.
#[test]
fn arguments_are_judged_first() {
    let folder = Folder::new();
    let (empty, rubbish) = (folder.file("empty", b"\n"), folder.file("rubbish.pem", b"rubbish"));
    let (empty, rubbish) = (empty.as_str(), rubbish.as_str());
    for (arguments, words) in [
        (&[][..], "required"),
        (&["127.0.0.1"], "HOST:PORT"),
        (&["127.0.0.1:99999"], "is no port"),
        (&["127.0.0.1:1", "--password-file", "/nowhere"], "/nowhere: "),
        (&["127.0.0.1:1", "--password-file", empty], "the password is empty"),
        (&["127.0.0.1:1", "--ca", "/nowhere"], "/nowhere: "),
        (&["127.0.0.1:1", "--ca", rubbish], "rubbish.pem: "),
        (&["127.0.0.1:1", "--tls-port=2"], "--ca"),
        (&["127.0.0.1:1", "--mechanism=PLAIN"], "--user"),
        (&["127.0.0.1:1", "--type=\u{fc}"], "no key makes '\u{fc}'"),
        (&["127.0.0.1:1", "--watch=-1"], "--watch"),
        (&["127.0.0.1:1", "--vv=x"], "cannot be used with"),
    ] {
        let said = probe(arguments, None);
        assert_eq!(code(&said), 2, "{arguments:?}: {said:?}");
        assert!(stderr(&said).contains(words), "{arguments:?}: {said:?}");
    }
    let help = probe(&["--help"], None);
    assert_eq!(code(&help), 0);
    for words in ["--host-subject", "--type", "SPICE_PASSWORD", "Exit status:"] {
        assert!(stdout(&help).contains(words), "{words}");
    }
}

/// The exit status tells a server that is not there from one that says no, and the words what went wrong.
#[test]
fn failures_name_what_failed() {
    let folder = Folder::new();
    let picture = Picture::start(&folder);
    let said = probe(&[&picture.address], Some("another"));
    assert_eq!(
        (code(&said), stderr(&said).as_str()),
        (
            3,
            "spice-probe: MAIN 0: rejected by the peer: PERMISSION_DENIED (is the password right?)\n"
        )
    );
    assert_eq!(code(&probe(&[&picture.address], None)), 3, "no password is a wrong one");

    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let said = probe(&[&gone], None);
    assert_eq!(code(&said), 1);
    assert!(
        stderr(&said).starts_with("spice-probe: MAIN 0: cannot connect to 127.0.0.1, port "),
        "{said:?}"
    );

    let other = server(|mut tcp| tcp.write_all(b"RFB 003.008\n").unwrap()).to_string();
    let said = probe(&[&other], None);
    assert_eq!(code(&said), 1);
    assert!(stderr(&said).contains("LinkHeader.magic"), "{said:?}");

    let silent = server(|mut tcp| drop(tcp.read_to_end(&mut Vec::new()))).to_string();
    let said = probe(&["--timeout=1", "--watch=0", &silent], None);
    assert_eq!(
        (code(&said), stderr(&said).as_str()),
        (1, "spice-probe: no end within 1 s\n")
    );

    // Without its TLS port it cannot do what is wanted.
    let refuse = |code: LinkErrorCode| {
        let mut reply = BytesMut::new();
        LinkReply::refusal(code).encode(&mut reply).unwrap();
        server(move |mut tcp| tcp.write_all(&reply).unwrap()).to_string()
    };
    let said = probe(&[&refuse(LinkErrorCode::NEED_SECURED)], None);
    assert_eq!(code(&said), 3);
    assert!(
        stderr(&said).contains("NEED_SECURED (name its TLS port with --tls-port, and --ca)"),
        "{said:?}"
    );
}

#[test]
fn spice_picture_tells_why_it_does_not_start() {
    let folder = Folder::new();
    let rubbish = folder.file("rubbish.png", b"rubbish");
    for (arguments, words) in [
        (&[rubbish.as_str()][..], "rubbish.png: "),
        (&["/nowhere.png"], "/nowhere.png: "),
    ] {
        let said = program(env!("CARGO_BIN_EXE_spice-picture"), arguments)
            .output()
            .unwrap();
        assert_eq!(code(&said), 1);
        assert!(stderr(&said).contains(words), "{said:?}");
    }
}
