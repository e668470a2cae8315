//! spice-probe at QEMU: ticket, TLS, SASL, every way to pack pictures, keys. spice-picture for spicy-screenshot.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::guest::{self, TICKET};
use crate::picture::Picture;
use crate::pki;
use crate::ports::free_port;
use crate::process::{Folder, Process, wait_for};
use crate::viewer::{Endpoint, screenshot};

pub(crate) const NAME: &str = "a guest to be probed";
const UUID: &str = "01234567-89ab-cdef-0123-456789abcdef";
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "sasl-Pa55-w0rd";

/// QEMU with these options of its SPICE server on a plain port, or on a TLS port with certificates.
fn guest(folder: &Folder, pki: Option<&Path>, spice: &str, prepare: impl Fn(&mut Command)) -> (SocketAddr, Process) {
    guest_of(folder, &guest::boot_sector(), pki, spice, prepare)
}

/// As [`guest`], with another guest.
fn guest_of(
    folder: &Folder,
    sector: &[u8],
    pki: Option<&Path>,
    spice: &str,
    prepare: impl Fn(&mut Command),
) -> (SocketAddr, Process) {
    guest::boot(folder, sector, |command| {
        let address = free_port();
        let port = match pki {
            Some(pki) => format!("tls-port={},x509-dir={}", address.port(), pki.display()),
            None => format!("port={}", address.port()),
        };
        command
            .args(["-object", &format!("secret,id=ticket,data={TICKET}")])
            .args(["-spice", &format!("addr=127.0.0.1,{port},{spice}")])
            .args(["-name", NAME, "-uuid", UUID])
            .args(["-device", "qxl-vga"]);
        prepare(command);
        address
    })
}

const TICKETED: &str = "password-secret=ticket";

/// Runs spice-probe to its end: its report, or what it said.
pub(crate) fn probe(
    folder: &Folder,
    name: &str,
    address: SocketAddr,
    password: &str,
    arguments: &[&str],
) -> Result<Value, String> {
    let (status, said) = Process::run(
        folder,
        &format!("probe-{name}"),
        env!("CARGO_BIN_EXE_spice-probe"),
        |command| {
            command
                .arg("--json")
                .args(["--watch", "1500"])
                .arg(address.to_string())
                .args(arguments)
                .env("SPICE_PASSWORD", password);
        },
    );
    match status {
        Some(0) => Ok(serde_json::from_str(&said).unwrap_or_else(|error| panic!("{name}: {error}: {said}"))),
        _ => Err(said),
    }
}

/// The report on a channel.
pub(crate) fn channel<'a>(report: &'a Value, kind: &str) -> &'a Value {
    let channels = report["channels"].as_array().expect("channels");
    let found = channels.iter().find(|channel| channel["channel"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {report}"))
}

/// Every device that QEMU has a channel for, and the agent's, in which no agent answers.
#[test]
#[ignore = "needs QEMU"]
fn probe_shows_what_qemu_is_and_offers() {
    let folder = Folder::new();
    let (address, qemu) = guest(&folder, None, TICKETED, |command| {
        command
            .args(["-device", "virtio-serial-pci"])
            .args(["-chardev", "spicevmc,id=agent,name=vdagent"])
            .args(["-device", "virtserialport,chardev=agent,name=com.redhat.spice.0"])
            .args(["-chardev", "spiceport,id=port,name=org.example.port.0"])
            .args(["-device", "virtserialport,chardev=port,name=org.example.port.0"])
            .args([
                "-audiodev",
                "spice,id=sound",
                "-device",
                "intel-hda",
                "-device",
                "hda-duplex,audiodev=sound",
            ])
            .args(["-device", "qemu-xhci", "-chardev", "spicevmc,id=usb,name=usbredir"])
            .args(["-device", "usb-redir,chardev=usb"]);
    });
    let report = probe(&folder, "all", address, TICKET, &[]).expect("the right password");
    assert_eq!(report["name"], NAME);
    assert_eq!(report["uuid"], UUID);
    assert_eq!(report["version"], "2.2");
    assert_eq!(
        (&report["tls"], &report["authentication"]),
        (&false.into(), &"ticket".into())
    );
    assert_eq!((&report["agent"], &report["agent_tokens"]), (&false.into(), &10.into()));
    assert_ne!(report["session_id"], 0);
    assert_eq!(report["mouse_mode"], "SERVER");
    let kinds = [
        "MAIN", "DISPLAY", "INPUTS", "CURSOR", "PLAYBACK", "RECORD", "USBREDIR", "PORT",
    ];
    for kind in kinds {
        let channel = channel(&report, kind);
        assert_eq!(channel["hung_up"], false, "{kind}");
        let common: Vec<_> = channel["common_capabilities"]
            .as_array()
            .expect("capabilities")
            .iter()
            .collect();
        assert_eq!(
            common,
            ["PROTOCOL_AUTH_SELECTION", "AUTH_SPICE", "MINI_HEADER"],
            "{kind}"
        );
    }
    assert_eq!(report["channels"].as_array().map(Vec::len), Some(kinds.len()));
    assert_eq!(channel(&report, "MAIN")["messages"]["init"], 1);
    assert_eq!(channel(&report, "PORT")["port"], "org.example.port.0");
    let display = channel(&report, "DISPLAY");
    let surface = &display["surfaces"][0];
    assert_eq!((&surface["width"], &surface["height"]), (&720.into(), &400.into()));
    assert_eq!(display["messages"]["mark"], 1);
    assert!(250_000 < report["round_trip"]["largest_ping"].as_u64().expect("a size"));

    // The same for people.
    let (status, said) = Process::run(&folder, "probe-text", env!("CARGO_BIN_EXE_spice-probe"), |command| {
        command
            .args(["--watch", "100"])
            .arg(address.to_string())
            .env("SPICE_PASSWORD", TICKET);
    });
    assert_eq!(status, Some(0), "{said}");
    for words in [
        NAME,
        UUID,
        "SPICE 2.2, no TLS, ticket",
        "surface  0: 720x400 XRGB_32",
        "agent      not connected",
    ] {
        assert!(said.contains(words), "not {words:?}: {said}");
    }
    assert!(!said.contains(TICKET));

    let wrong = probe(&folder, "wrong", address, "another", &[]).expect_err("another password");
    assert_eq!(
        wrong,
        "spice-probe: MAIN 0: rejected by the peer: PERMISSION_DENIED (is the password right?)\n"
    );
    let said = qemu.logged();
    assert!(said.contains("Invalid password"), "QEMU said: {said}");
}

#[test]
#[ignore = "needs QEMU"]
fn probe_types_into_the_guest() {
    let folder = Folder::new();
    let (address, _qemu) = guest(&folder, None, TICKETED, |_| {});
    assert_eq!(guest::typed(&folder), "");
    let text = "echo \"Hello, SPICE!\" > /tmp/a_b-1~2 | cat";
    let report = probe(&folder, "type", address, TICKET, &["--type", text]).expect("the right password");
    assert_eq!(channel(&report, "INPUTS")["messages"]["init"], 1);
    assert_eq!(guest::typed(&folder), format!("{text}\r"));
    let refused = probe(&folder, "no-key", address, TICKET, &["--type", "ü"]).expect_err("no such key");
    assert_eq!(refused, "spice-probe: no key makes 'ü'\n");
}

/// A guest that draws all the time: each way to pack its pictures shows up, and none that was not asked for. What is
/// there when a client comes, spice-server sends as a whole and without the dictionary of GLZ; what is tiny is not packed.
#[test]
#[ignore = "needs QEMU"]
fn probe_counts_pictures_of_every_compression() {
    for (name, options, kind, others) in [
        ("off", "image-compression=off", "BITMAP", &[][..]),
        ("lz", "image-compression=lz", "LZ_RGB", &[]),
        ("glz", "image-compression=glz", "GLZ_RGB", &["LZ_RGB"]),
        ("quic", "image-compression=quic", "QUIC", &[]),
        ("auto_lz", "image-compression=auto_lz", "LZ_RGB", &["QUIC"]),
        ("auto_glz", "image-compression=auto_glz", "GLZ_RGB", &["LZ_RGB", "QUIC"]),
        (
            "zlib",
            "image-compression=glz,zlib-glz-wan-compression=always",
            "ZLIB_GLZ_RGB",
            &["GLZ_RGB", "LZ_RGB"],
        ),
        (
            "jpeg",
            "image-compression=quic,jpeg-wan-compression=always",
            "JPEG",
            &["QUIC"],
        ),
    ] {
        let folder = Folder::new();
        let spice = format!("{TICKETED},streaming-video=off,{options}");
        let (address, _qemu) = guest_of(&folder, &guest::moving_sector(), None, &spice, |_| {});
        let report = probe(&folder, name, address, TICKET, &[]).expect("the right password");
        let images = channel(&report, "DISPLAY")["images"].as_object().expect("pictures");
        let allowed = |image: &String| [kind, "BITMAP"].contains(&&**image) || others.contains(&&**image);
        assert!(
            images.contains_key(kind) && images.keys().all(allowed),
            "{name}: {images:?}"
        );
    }
}

#[test]
#[ignore = "needs QEMU"]
fn probe_checks_the_certificate() {
    let folder = Folder::new();
    let pki = pki::authority(&folder, "hypervisor");
    pki::authority(&folder, "stranger");
    let (address, _qemu) = guest(&folder, Some(&pki), TICKETED, |_| {});
    let report =
        probe(&folder, "tls", address, TICKET, &["--ca", "hypervisor/ca-cert.pem"]).expect("the right authority");
    assert_eq!((&report["tls"], &report["name"]), (&true.into(), &NAME.into()));
    // Its subject instead of its name.
    let subject = ["--ca", "hypervisor/ca-cert.pem", "--host-subject", pki::SUBJECT];
    probe(&folder, "subject", address, TICKET, &subject).expect("the right subject");
    for (name, arguments) in [
        (
            "other-subject",
            &[
                "--ca",
                "hypervisor/ca-cert.pem",
                "--host-subject",
                "O=Test Bed,CN=another",
            ][..],
        ),
        (
            "stranger-subject",
            &["--ca", "stranger/ca-cert.pem", "--host-subject", pki::SUBJECT],
        ),
        ("stranger", &["--ca", "stranger/ca-cert.pem"]),
        (
            "other-name",
            &["--ca", "hypervisor/ca-cert.pem", "--server-name", "localhost"],
        ),
    ] {
        let said = probe(&folder, name, address, TICKET, arguments).expect_err(name);
        assert!(
            said.starts_with("spice-probe: MAIN 0: TLS: invalid peer certificate"),
            "{said}"
        );
    }
    // A connection file, as a portal would hand it out.
    let ca = fs::read_to_string(pki.join("ca-cert.pem"))
        .expect("a certificate")
        .replace('\n', "\\n");
    let port = address.port();
    folder.write(
        "console.vv",
        format!(
            "[virt-viewer]\ntype=spice\nhost=127.0.0.1\ntls-port={port}\npassword={TICKET}\nca={ca}\nhost-subject={}\n",
            pki::SUBJECT
        ),
    );
    let (status, said) = Process::run(&folder, "probe-vv", env!("CARGO_BIN_EXE_spice-probe"), |command| {
        command.args(["--watch", "100", "--vv", "console.vv"]);
    });
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("SPICE 2.2, TLS, ticket"), "{said}");
}

/// QEMU answers a plain link of a channel that it wants secured with `NEED_SECURED`, and the other way round.
#[test]
#[ignore = "needs QEMU"]
fn probe_comes_again_with_tls_where_it_is_wanted() {
    let folder = Folder::new();
    let pki = pki::authority(&folder, "hypervisor");
    let secured = free_port();
    let spice = format!(
        "{TICKETED},tls-port={},x509-dir={},tls-channel=inputs,plaintext-channel=cursor",
        secured.port(),
        pki.display()
    );
    let (address, _qemu) = guest(&folder, None, &spice, |_| {});
    let tls_port = secured.port().to_string();
    let both = ["--ca", "hypervisor/ca-cert.pem", "--tls-port", &tls_port];
    let report = probe(&folder, "both", address, TICKET, &both).expect("both ports");
    for (kind, tls) in [("MAIN", false), ("DISPLAY", false), ("INPUTS", true), ("CURSOR", false)] {
        assert_eq!(channel(&report, kind)["tls"], tls, "{kind}");
    }
    assert_eq!(report["not_opened"], Value::Null);

    // What is there is shown, what is missing is reported, and no channel goes back from TLS.
    let plain = probe(&folder, "plain", address, TICKET, &[]).expect_err("one port");
    assert!(
        plain.contains("INPUTS 0: rejected by the peer: NEED_SECURED (name its TLS port"),
        "{plain}"
    );
    let ca = ["--ca", "hypervisor/ca-cert.pem"];
    let tls = probe(&folder, "tls", secured, TICKET, &ca).expect_err("the other port");
    assert!(
        tls.contains("CURSOR 0: rejected by the peer: NEED_UNSECURED (this channel"),
        "{tls}"
    );
}

/// QEMU with SASL: libsasl checks the user against a file.
pub(crate) fn sasl_guest(folder: &Folder, pki: &Path) -> (SocketAddr, Process) {
    fs::create_dir(folder.join("sasl")).expect("a folder");
    folder.write("secret", PASSWORD);
    let users = folder.join("sasl/users").to_string_lossy().into_owned();
    let (status, said) = Process::run(folder, "saslpasswd2", "sh", |command| {
        command.args(["-c", "saslpasswd2 -p -c -f \"$1\" \"$2\" <secret", "sh", &users, USER]);
    });
    assert_eq!(status, Some(0), "{said}");
    let config = format!(
        "mech_list: PLAIN SCRAM-SHA-256 SCRAM-SHA-1\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {users}\n"
    );
    folder.write("sasl/qemu.conf", config.as_bytes());
    folder.write("sasl/spice.conf", config);
    let sasl = folder.join("sasl");
    guest(folder, Some(pki), "sasl=on", |command| {
        command.env("SASL_CONF_PATH", &sasl);
    })
}

#[test]
#[ignore = "needs QEMU"]
fn probe_logs_in_with_sasl() {
    let folder = Folder::new();
    let pki = pki::authority(&folder, "hypervisor");
    let (address, qemu) = sasl_guest(&folder, &pki);
    let ca = ["--ca", "hypervisor/ca-cert.pem"];
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-1"] {
        let arguments = [&ca[..], &["--user", USER, "--mechanism", mechanism]].concat();
        let report = probe(&folder, mechanism, address, PASSWORD, &arguments)
            .unwrap_or_else(|said| panic!("{mechanism}: {said}"));
        assert_eq!(
            (&report["authentication"], &report["name"]),
            (&mechanism.into(), &NAME.into())
        );
        let common = &channel(&report, "DISPLAY")["common_capabilities"];
        assert!(
            common.as_array().expect("capabilities").contains(&"AUTH_SASL".into()),
            "{common}"
        );

        let wrong = probe(&folder, "wrong", address, "another", &arguments).expect_err(mechanism);
        assert!(wrong.contains("are user and password right?"), "{mechanism}: {wrong}");
        let nobody = [&ca[..], &["--user", "mallory", "--mechanism", mechanism]].concat();
        let nobody = probe(&folder, "nobody", address, PASSWORD, &nobody).expect_err(mechanism);
        assert!(nobody.contains("are user and password right?"), "{mechanism}: {nobody}");
    }
    // The best is taken without being named, and a ticket is of no use.
    let best = [&ca[..], &["--user", USER]].concat();
    let report = probe(&folder, "best", address, PASSWORD, &best).expect("the right password");
    assert_eq!(report["authentication"], "SCRAM-SHA-256");
    let said = probe(&folder, "ticket", address, PASSWORD, &ca).expect_err("SASL is wanted");
    assert_eq!(
        said,
        "spice-probe: MAIN 0: peer incompatible: takes no tickets (it wants SASL: name a user with --user)\n"
    );
    let said = qemu.logged();
    assert!(!said.contains(PASSWORD), "QEMU said: {said}");
}

/// The server half for a real client: its picture arrives pixel for pixel, and for one password only.
#[test]
#[ignore = "needs spicy-screenshot"]
fn a_picture_of_ours_is_shown_by_spicy_screenshot() {
    let folder = Folder::new();
    // An odd size, and a colour of its own for each pixel.
    let colour = |x: usize, y: usize| [x, y, x * y].map(|value| u8::try_from(value % 256).expect("a byte"));
    let picture = Picture::new(333, 211, colour);
    folder.write("picture.png", picture.to_png());
    let mut server = Process::start(
        &folder,
        "spice-picture",
        env!("CARGO_BIN_EXE_spice-picture"),
        |command| {
            command
                .args(["--listen", "127.0.0.1:0", "--title", NAME, "picture.png"])
                .env("SPICE_PASSWORD", TICKET);
        },
    );
    let address: SocketAddr = wait_for("spice-picture", || {
        assert!(server.runs(), "spice-picture ended: {}", server.said());
        server
            .output()
            .strip_suffix('\n')
            .map(|line| line.parse().expect("an address"))
    });
    let endpoint = Endpoint::plain(address);
    let shown = screenshot(&folder, "picture", &endpoint, TICKET).picture();
    assert!(shown == picture, "the picture is another");
    screenshot(&folder, "wrong", &endpoint, "another").assert_refused();
    screenshot(&folder, "empty", &endpoint, "").assert_refused();

    // And our own client is content with it.
    let report = probe(&folder, "picture", address, TICKET, &[]).expect("the right password");
    assert_eq!(report["name"], NAME);
    let display = channel(&report, "DISPLAY");
    assert_eq!(display["images"]["BITMAP"], 1);
    assert_eq!(
        (&display["surfaces"][0]["width"], &display["surfaces"][0]["height"]),
        (&333.into(), &211.into())
    );
    let said = server.logged();
    assert!(said.contains("DISPLAY let in") && !said.contains(TICKET), "{said}");
}
