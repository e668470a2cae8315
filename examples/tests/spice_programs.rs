//! The example programs of spice-proto, each as a process, between `spice-picture` and `spice-probe`.

#[path = "support/library_example.rs"]
mod library_example;
#[path = "support/tool.rs"]
mod tool;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use library_example::{Running, ended, example};
use serde_json::Value;
use spice_proto::Limits;
use spice_proto::agent::chunk::Chunk;
use spice_proto::agent::{
    AnnounceCapabilities, Announced, Assembler, Clipboard, ClipboardGrab, ClipboardRequest, Message, Pieces, Receiver,
    caps,
};
use spice_proto::caps::CapabilityWords;
use spice_proto::ids::{AgentPort, ClipboardSelection, ClipboardType};
use tool::{Folder, code, program, stderr, stdout};

const TOKEN: &str = "the-token";
const PASSWORD: &str = "s3cretpw";

/// `spice-picture`, which shows a picture to those with the password, and its address.
fn picture(folder: &Folder) -> (Running, String) {
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 3, 2);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[0x55; 3 * 3 * 2]).unwrap();
    writer.finish().unwrap();
    let picture = folder.file("picture.png", &png);
    let mut command = Command::new(env!("CARGO_BIN_EXE_spice-picture"));
    command.args(["--listen=127.0.0.1:0", "--title=a picture", &picture]);
    let server = Running::start(command.env("SPICE_PASSWORD", PASSWORD).stderr(Stdio::null()));
    let address = server.line();
    (server, address)
}

/// `spice-probe`, which opens every channel.
fn probe(address: &str, password: &str) -> Output {
    let mut command = program(env!("CARGO_BIN_EXE_spice-probe"), &["--json", "--watch=100", address]);
    command.env("SPICE_PASSWORD", password).output().unwrap()
}

/// A viewer sees the whole session of `spice-picture` at this address.
fn sees_all(address: &str, password: &str) {
    let seen = probe(address, password);
    assert_eq!((code(&seen), stderr(&seen).as_str()), (0, ""));
    let report: Value = serde_json::from_str(&stdout(&seen)).unwrap();
    assert_eq!(report["name"], "a picture");
    let channels = report["channels"].as_array().unwrap();
    let kinds: Vec<_> = channels.iter().map(|channel| &channel["channel"]).collect();
    assert_eq!(kinds, ["MAIN", "DISPLAY", "INPUTS", "CURSOR"]);
    assert_eq!(channels[1]["messages"]["draw_copy"], 1, "{report}");
}

/// A proxy with this program: a viewer that shows the token sees everything, and more than once; others nothing.
fn proxies(name: &str) -> Vec<String> {
    let folder = Folder::new();
    let (_server, hypervisor) = picture(&folder);
    let proxy = Running::start(Command::new(example(name)).args(["127.0.0.1:0", &hypervisor, TOKEN, PASSWORD]));
    let address = proxy.line();
    // A viewer that says nothing delays no other, and has its place for 10 s.
    let mut silent = TcpStream::connect(&address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    sees_all(&address, TOKEN);
    for wrong in ["another", "the-toke", PASSWORD] {
        let refused = probe(&address, wrong);
        assert_eq!(code(&refused), 3, "{wrong:?}: {refused:?}");
    }
    sees_all(&address, TOKEN);
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "it is closed in time");
    proxy.lines_to("Ended")
}

#[test]
fn the_smallest_proxy() {
    let lines = proxies("minimal_proxy");
    assert_eq!(
        lines.iter().filter(|line| line.contains("Accepted")).count(),
        4,
        "{lines:?}"
    );
}

#[test]
fn a_proxy_without_a_runtime() {
    let lines = proxies("sans_io_proxy");
    assert_eq!(
        lines.iter().filter(|line| line.contains("Accepted")).count(),
        4,
        "{lines:?}"
    );
}

/// A hypervisor that is not there, and one that refuses: the viewer gets nothing, and the proxy goes on.
#[test]
fn proxies_without_their_hypervisor() {
    let folder = Folder::new();
    let (_server, hypervisor) = picture(&folder);
    for name in ["minimal_proxy", "sans_io_proxy"] {
        for (hypervisor, password) in [("127.0.0.1:1", PASSWORD), (hypervisor.as_str(), "wrong")] {
            let proxy = Running::start(Command::new(example(name)).args(["127.0.0.1:0", hypervisor, TOKEN, password]));
            let address = proxy.line();
            for _ in 0..2 {
                assert_ne!(code(&probe(&address, TOKEN)), 0, "{name} {hypervisor} {password}");
                assert!(
                    proxy.lines_to("Ended").last().unwrap().contains("spent: false"),
                    "{name} {hypervisor}"
                );
            }
        }
    }
}

#[test]
fn a_relay_of_single_links() {
    let folder = Folder::new();
    let (_server, hypervisor) = picture(&folder);
    let relay = Running::start(Command::new(example("relay")).args(["127.0.0.1:0", &hypervisor, TOKEN, PASSWORD]));
    let address = relay.line();
    sees_all(&address, TOKEN);
    assert_eq!(code(&probe(&address, "another")), 3);
}

#[test]
fn a_recorder_names_every_message() {
    let folder = Folder::new();
    let (_server, hypervisor) = picture(&folder);
    let recorder = Running::start(Command::new(example("recorder")).args(["127.0.0.1:0", &hypervisor]));
    let address = recorder.line();
    sees_all(&address, PASSWORD);
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.extend(recorder.lines_to("closed"));
    }
    for wanted in [
        "link Client: LinkMess",
        "link Server: LinkReply",
        "link Client: EncryptedTicket",
        "link Server: LinkResult",
        "MAIN Server: init, 32 bytes",
        "MAIN Client: attach_channels, 0 bytes",
        "MAIN Server: channels_list, 10 bytes",
        "DISPLAY Client: init, 14 bytes",
        "DISPLAY Server: surface_create, 20 bytes",
        "DISPLAY Server: mark, 0 bytes",
        "INPUTS Server: init, 2 bytes",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "not {wanted:?}: {lines:#?}");
    }
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("unknown") || line.contains(PASSWORD)),
        "{lines:#?}"
    );
    // What is refused is seen, too.
    assert_eq!(code(&probe(&address, "another")), 3);
    recorder.lines_to("Refused(");
}

#[test]
fn a_client_tells_what_the_first_picture_is() {
    let folder = Folder::new();
    let (_server, address) = picture(&folder);
    let (content, lines) = ended(Command::new(example("picture_head")).args([&address, PASSWORD]));
    assert!(content, "{lines:?}");
    assert_eq!(lines[0], "surface_create");
    assert!(
        lines[1].starts_with("draw_copy: ImageDescriptor") && lines[1].contains("width: 3, height: 2"),
        "{lines:?}"
    );
    assert_eq!(lines[2..], ["not packed"]);
    let (content, lines) = ended(
        Command::new(example("picture_head"))
            .args([&address, "another"])
            .stderr(Stdio::null()),
    );
    assert!(!content && lines.is_empty(), "{lines:?}");
}

/// A chunk for each piece of a message.
fn chunks(port: AgentPort, message: &Message) -> BytesMut {
    let mut bytes = BytesMut::new();
    for data in Pieces::new(message).unwrap() {
        Chunk { port, data }.encode(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn an_agent_with_a_clipboard() {
    let can = [
        caps::CLIPBOARD_BY_DEMAND,
        caps::CLIPBOARD_SELECTION,
        caps::CLIPBOARD_GRAB_SERIAL,
    ];
    let announce = AnnounceCapabilities {
        request: 1,
        caps: CapabilityWords::of(&can),
    };
    // The serial of grabs is not agreed: the agent does not know it.
    let agreed = caps::Agreed::of(&can[..2]);
    let selection = || agreed.selection(ClipboardSelection::CLIPBOARD);
    let r#type = ClipboardType::UTF8_TEXT;
    let data = Bytes::from(vec![b'a'; 5000]);
    let said = [
        Message::AnnounceCapabilities(announce.clone()),
        Message::ClipboardRequest(ClipboardRequest {
            selection: selection(),
            r#type,
        }),
        Message::ClipboardRequest(ClipboardRequest {
            selection: selection(),
            r#type: ClipboardType::IMAGE_PNG,
        }),
        Message::ClipboardGrab(ClipboardGrab {
            selection: selection(),
            serial: None,
            types: vec![ClipboardType::IMAGE_PNG, r#type],
        }),
        Message::Clipboard(Clipboard {
            selection: selection(),
            r#type,
            data,
        }),
    ];
    let mut input: Vec<u8> = said
        .iter()
        .flat_map(|message| chunks(AgentPort::CLIENT, message))
        .collect();
    input.extend(chunks(AgentPort::SERVER, &Message::ClientDisconnected));

    let mut command = Command::new(example("agent"));
    let command = command
        .arg("to paste")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{output:?}");

    let (mut rx, mut announced) = (BytesMut::from(&output.stdout[..]), Announced::new());
    announced.by_client(&announce);
    let (mut stream, mut heard) = (Assembler::new(Receiver::Client, &Limits::default()), Vec::new());
    while let Some(chunk) = Chunk::decode(&mut rx).unwrap() {
        assert_eq!(chunk.port, AgentPort::CLIENT);
        for frame in stream.frames(&chunk.data) {
            let message = Message::decode(&frame.unwrap(), announced.agreed()).unwrap();
            if let Message::AnnounceCapabilities(theirs) = &message {
                announced.by_agent(theirs);
            }
            heard.push(message);
        }
    }
    assert!(rx.is_empty());
    let [
        Message::AnnounceCapabilities(first),
        Message::AnnounceCapabilities(again),
        rest @ ..,
    ] = &heard[..]
    else {
        panic!("{heard:?}");
    };
    assert_eq!((first.request, again.request, announced.agreed()), (1, 0, agreed));
    let none = ClipboardType::NONE;
    let expected = [
        Message::ClipboardGrab(ClipboardGrab {
            selection: selection(),
            serial: None,
            types: vec![r#type],
        }),
        Message::Clipboard(Clipboard {
            selection: selection(),
            r#type,
            data: "to paste".into(),
        }),
        Message::Clipboard(Clipboard {
            selection: selection(),
            r#type: none,
            data: Bytes::new(),
        }),
        Message::ClipboardRequest(ClipboardRequest {
            selection: selection(),
            r#type,
        }),
    ];
    assert_eq!(rest, expected);
    assert_eq!(
        stderr(&output),
        format!("copied: {}\nclient_disconnected\n", "a".repeat(5000))
    );
}
