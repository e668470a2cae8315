//! Each thing that is wrong with a configuration has a message of its own, and none shows a secret.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::program::{BEARER, Folder, Service, TICKET, configuration, run};

/// A configuration with everything in it.
fn complete() -> String {
    r#"
        [api]
        listen = "127.0.0.1:0"
        token_file = "api.token"
        certificate = "cert.pem"
        private_key = "key.pem"
        [public]
        host = "127.0.0.1"
        spice_port = "bound"
        spice_tls_port = 5901
        host_subject = "CN=gateway"
        ca = "cert.pem"
        [listen]
        spice = "127.0.0.1:0"
        spice_tls = "127.0.0.1:0"
        web = "127.0.0.1:0"
        web_plain = "127.0.0.1:0"
        origins = ["https://here"]
        certificate = "cert.pem"
        private_key = "key.pem"
        [tokens]
        ttl_seconds = 60
        [policy]
        view_only = true
        clipboard = "none"
        files = "to-guest"
        withheld = ["usbredir"]
        [[guest]]
        id = "vm1"
        name = "db-7"
        project = "tenant"
          [[guest.console]]
          protocol = "spice"
          require_tls = true
            [[guest.console.place]]
            host = "127.0.0.1"
            announced = ["node1", "10.0.0.1"]
            port = 5900
            tls_port = 5902
            move_ports = "5900-5999"
            ca = "cert.pem"
            ticket_file = "vm1.ticket"
    "#
    .to_owned()
}

fn files() -> Folder {
    let folder = Folder::new();
    for name in ["", "other-"] {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        folder.write(&format!("{name}cert.pem"), cert.pem());
        folder.write(&format!("{name}key.pem"), signing_key.serialize_pem());
    }
    folder.write(
        "not.pem",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    );
    folder.write("empty", "");
    folder.write("short", "keep-secret-this\n".split_at(5).0);
    folder.write("spaces", "with spaces in the middle");
    folder.write("line", "ticket in a file\r\nand more");
    folder.write("long", "x".repeat(61));
    folder.write("latin1", b"caf\xe9");
    folder
}

/// What it says about a configuration that is wrong.
fn complaint(folder: &Folder, text: &str) -> String {
    let path = folder.write("gateway.toml", text);
    let path = path.to_str().unwrap();
    let output = run(&["serve", "--config", path]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}\n{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{text}");
    for line in said.lines() {
        assert!(line.starts_with(&format!("{path}: ")), "{line}");
    }
    said.replace(&format!("{path}: "), "")
        .replace(path.strip_suffix("gateway.toml").unwrap(), "")
}

#[test]
fn a_complete_configuration_is_taken() {
    let service = Service::start_in(files(), &complete());
    for name in ["api", "spice", "spice_tls", "web", "web_plain"] {
        assert_ne!(service.address(name).unwrap().port(), 0);
    }
    let minimal = Service::start(&configuration(5901));
    assert_eq!(minimal.address("spice_tls"), None);
}

#[test]
fn the_help_shows_a_configuration_that_is_taken_but_for_its_files() {
    let help = run(&["serve", "--help-config"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, configuration) = help.split_once('\n').unwrap();
    let documented = include_str!("../../README.md");
    assert!(
        documented.contains(configuration.trim()),
        "examples/README.md has other keys"
    );
    let said = complaint(&files(), configuration);
    for line in said.lines() {
        let is_file = line.contains("cannot be read: No such file") || line.ends_with("is no folder");
        assert!(is_file || line.ends_with("is not there"), "{line}");
    }
}

#[test]
fn a_configuration_can_be_checked_alone() {
    let folder = files();
    let path = folder.write("gateway.toml", configuration(5901));
    let check = |arguments: &[&str]| {
        let output = run(&[&["check-config", path.to_str().unwrap()], arguments].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(check(&[]), (Some(0), String::new()));
    let closed = crate::ports::free_port();
    folder.write("gateway.toml", configuration(closed.port()));
    let (status, said) = check(&["--dial"]);
    assert_eq!(status, Some(1));
    assert!(
        said.starts_with(&format!(
            "{}: [[guest]] \"vm1\" spice place 0: cannot connect: ",
            path.display()
        )),
        "{said}"
    );
    let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    folder.write("gateway.toml", configuration(open.local_addr().unwrap().port()));
    assert_eq!(check(&["--dial"]), (Some(0), String::new()));
    folder.write("gateway.toml", "[nothing]");
    let (status, said) = check(&[]);
    assert_eq!((status, said.lines().count()), (Some(1), 4), "{said}");
}

/// What stands in the configuration, what stands in its place, and what is said about that.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("[api]", "[api]\nlisten2 = 1", "[api] listen2: unknown key"),
    ("[policy]", "[polity]", "[polity]: unknown key"),
    ("token_file = \"api.token\"", "", "[api] token_file is missing"),
    (
        "\"api.token\"",
        "\"short\"",
        "[api] token_file: 5 characters; at least 16 are needed",
    ),
    (
        "\"api.token\"",
        "\"empty\"",
        "[api] token_file: the first line of empty is empty",
    ),
    (
        "\"api.token\"",
        "\"spaces\"",
        "[api] token_file: only letters, digits and -._~+/",
    ),
    (
        "\"api.token\"",
        "\"env:NO_SUCH_VARIABLE\"",
        "[api] token_file: there is no environment variable NO_SUCH_VARIABLE",
    ),
    ("\"api.token\"", "7", "[api] token_file: a text in quotes is expected"),
    ("listen = \"127.0.0.1:0\"", "", "[api] listen is missing"),
    (
        "listen = \"127.0.0.1:0\"",
        "listen = \"localhost\"",
        "[api] listen: an address with a port, as",
    ),
    (
        "listen = \"127.0.0.1:0\"\n        token_file = \"api.token\"\n        certificate = \"cert.pem\"\n        private_key = \"key.pem\"",
        "listen = \"0.0.0.0:0\"\ntoken_file = \"api.token\"",
        "[api] listen: an address that is not loopback needs certificate and private_key",
    ),
    (
        "private_key = \"key.pem\"\n        [public]",
        "[public]",
        "[api] private_key is missing",
    ),
    (
        "host = \"127.0.0.1\"\n        spice_port",
        "spice_port",
        "[public] host is missing",
    ),
    (
        "host = \"127.0.0.1\"\n        spice_port",
        "host = \"a b\"\nspice_port",
        "[public] no connection file can be made: host",
    ),
    (
        "\"bound\"",
        "65536",
        "[public] spice_port: a port from 0 to 65535, or \"bound\", is expected",
    ),
    (
        "spice = \"127.0.0.1:0\"\n",
        "",
        "[public] spice_port needs [listen] spice",
    ),
    (
        "\"CN=gateway\"",
        "\"\"",
        "[public] no connection file can be made: host-subject",
    ),
    (
        "ca = \"cert.pem\"\n        [listen]",
        "[listen]",
        "[public] spice_tls_port needs ca",
    ),
    (
        "ca = \"cert.pem\"\n        [listen]",
        "ca = \"empty\"\n[listen]",
        "[public] no connection file can be made: ca",
    ),
    (
        "ca = \"cert.pem\"\n        [listen]",
        "ca = \"key.pem\"\n[listen]",
        "[public] no connection file can be made: ca",
    ),
    (
        "spice = \"127.0.0.1:0\"",
        "spice = \"x\"",
        "[listen] spice: an address with a port, as",
    ),
    (
        "origins = [\"https://here\"]",
        "origins = [\"here\"]",
        "[listen] origins: \"here\": ",
    ),
    (
        "origins = [\"https://here\"]",
        "origins = [1]",
        "[listen] origins: a list of texts is expected",
    ),
    (
        "web_plain = \"127.0.0.1:0\"",
        "web_plain = \"0.0.0.0:0\"",
        "[listen] web_plain: only a loopback address",
    ),
    (
        "certificate = \"cert.pem\"\n        private_key = \"key.pem\"\n        [tokens]",
        "private_key = \"key.pem\"\n[tokens]",
        "[listen] certificate is missing",
    ),
    (
        "private_key = \"key.pem\"\n        [tokens]",
        "private_key = \"other-key.pem\"\n[tokens]",
        "[listen] certificate and private key do not belong together",
    ),
    (
        "private_key = \"key.pem\"\n        [tokens]",
        "private_key = \"cert.pem\"\n[tokens]",
        "[listen] private_key: no private key in PEM",
    ),
    (
        "certificate = \"cert.pem\"\n        private_key = \"key.pem\"\n        [tokens]",
        "certificate = \"not.pem\"\nprivate_key = \"key.pem\"\n[tokens]",
        "[listen] certificate: a certificate in it cannot be read",
    ),
    (
        "ttl_seconds = 60",
        "ttl_seconds = 0",
        "[tokens] ttl_seconds: a number from 1 to 86400 is expected",
    ),
    (
        "ttl_seconds = 60",
        "ttl_seconds = 86401",
        "[tokens] ttl_seconds: a number from 1 to 86400 is expected",
    ),
    (
        "ttl_seconds = 60",
        "ttl_seconds = \"60\"",
        "[tokens] ttl_seconds: a number from 1 to 86400 is expected",
    ),
    (
        "\"usbredir\"",
        "\"main\"",
        "[policy] withheld: no channel is called \"main\"",
    ),
    (
        "\"none\"",
        "\"no\"",
        "[policy] clipboard: unknown variant `no`, expected one of `both`, `to-guest`, `from-guest`, `none`",
    ),
    (
        "view_only = true",
        "view_only = 1",
        "[policy] view_only: invalid type: integer `1`, expected a boolean",
    ),
    ("view_only", "look_only", "[policy] look_only: unknown key"),
    (
        "id = \"vm1\"",
        "id = \"\"",
        "[[guest]] \"\" id: empty, or with control characters",
    ),
    ("id = \"vm1\"", "id = 1", "[[guest]] 0 id: a text in quotes is expected"),
    (
        "name = \"db-7\"",
        "name = \"two\\nlines\"",
        "[[guest]] \"vm1\" name: empty, or with control characters",
    ),
    (
        "project = \"tenant\"",
        "uuid = \"x\"",
        "[[guest]] \"vm1\" uuid: unknown key",
    ),
    (
        "protocol = \"spice\"",
        "",
        "[[guest]] \"vm1\" console 0 protocol is missing",
    ),
    (
        "protocol = \"spice\"",
        "protocol = \"rdp\"",
        "[[guest]] \"vm1\" console 0 protocol: \"rdp\" is not served",
    ),
    (
        "announced = [\"node1\", \"10.0.0.1\"]",
        "announced = [\"no de\"]",
        "[[guest]] \"vm1\" console 0 place 0 announced: empty, or with spaces",
    ),
    (
        "host = \"127.0.0.1\"\n            announced",
        "host = \"-\"\nannounced",
        "[[guest]] \"vm1\" console 0 place 0 host: \"-\" is no name that a certificate can have",
    ),
    (
        "port = 5900\n            tls",
        "port = 0\ntls",
        "[[guest]] \"vm1\" console 0 place 0 port: a port from 1 to 65535 is expected",
    ),
    (
        "port = 5900\n            tls_port = 5902",
        "",
        "[[guest]] \"vm1\" console 0 place 0 needs a port or a tls_port",
    ),
    (
        "5900-5999",
        "5999-5900",
        "[[guest]] \"vm1\" console 0 place 0 move_ports: ports, as",
    ),
    (
        "ca = \"cert.pem\"\n            ticket",
        "ticket",
        "[[guest]] \"vm1\" console 0 place 0: tls_port needs ca",
    ),
    (
        "ca = \"cert.pem\"\n            ticket",
        "ca = \"gone\"\nticket",
        "[[guest]] \"vm1\" console 0 place 0 ca: gone cannot be read: No such file",
    ),
    (
        "ca = \"cert.pem\"\n            ticket",
        "ca = \"key.pem\"\nticket",
        "[[guest]] \"vm1\" console 0 place 0 ca: no certificate in PEM",
    ),
    (
        "ca = \"cert.pem\"\n            ticket",
        "host_subject = \"CN\"\nca = \"cert.pem\"\nticket",
        "[[guest]] \"vm1\" console 0 place 0 host_subject: ",
    ),
    (
        "ticket_file = \"vm1.ticket\"",
        "",
        "[[guest]] \"vm1\" console 0 place 0 ticket_file is missing",
    ),
    (
        "\"vm1.ticket\"",
        "\"empty\"",
        "[[guest]] \"vm1\" console 0 place 0 ticket_file: the first line of empty is empty",
    ),
    (
        "\"vm1.ticket\"",
        "\"long\"",
        "[[guest]] \"vm1\" console 0 place 0 ticket_file: the ticket has 61 bytes",
    ),
    (
        "ticket_file = ",
        "ticket = ",
        "[[guest]] \"vm1\" console 0 place 0 ticket_file is missing",
    ),
];

#[test]
fn each_mistake_has_its_message() {
    let folder = files();
    let mut other = String::new();
    for (text, instead, message) in MISTAKES {
        assert!(complete().contains(text), "{text}");
        let said = complaint(&folder, &complete().replacen(text, instead, 1));
        // One mistake can make two: a key that is unknown leaves another one missing.
        if !said.lines().any(|line| line.starts_with(message)) || 2 < said.lines().count() {
            other += &format!("for {instead:?}\nit said   {said}and not   {message}\n");
        }
    }
    assert_eq!(other, "");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mut text = complete();
    let mut wanted = Vec::new();
    for (place, instead, message) in MISTAKES {
        let chosen = [
            "unknown key",
            "no such channel",
            "a number from",
            "needs each",
            "is not served",
            "5900-5999",
        ];
        if chosen.iter().any(|word| message.contains(word)) && text.contains(place) && *place != "[policy]" {
            text = text.replacen(place, instead, 1);
            wanted.push(message);
        }
    }
    let said = complaint(&files(), &text);
    assert!(5 <= wanted.len());
    for message in wanted {
        assert!(said.contains(*message), "{message} in {said}");
    }
    let none = complete();
    let none = none.split_once("[[guest]]").unwrap().0;
    assert_eq!(
        complaint(&files(), none),
        "there is no [[guest]], and no [resolve] that could name one\n"
    );
}

#[test]
fn two_guests_are_never_at_one_place() {
    let other = |id: &str, place: &str| {
        format!(
            "{}[[guest]]\nid = \"{id}\"\n[[guest.console]]\nprotocol = \"spice\"\n\
             [[guest.console.place]]\nticket_file = \"vm1.ticket\"\n{place}\n",
            complete()
        )
    };
    let folder = files();
    let elsewhere = "host = \"node2\"\nport = 5900";
    assert_eq!(
        complaint(&folder, &other("vm1", elsewhere)),
        "[[guest]] \"vm1\": another guest has the same id\n"
    );
    assert_eq!(
        complaint(&folder, &other("db-7", elsewhere)),
        "[[guest]] \"db-7\": another guest has the same name\n"
    );
    for (place, at) in [
        ("host = \"127.0.0.1\"\nport = 5900", "127.0.0.1:5900"),
        ("host = \"::ffff:127.0.0.1\"\nport = 5902", "127.0.0.1:5902"),
        ("host = \"NODE1.\"\nport = 5902", "node1:5902"),
        (
            "host = \"node2\"\nannounced = [\"10.0.0.1\"]\nport = 5900",
            "10.0.0.1:5900",
        ),
    ] {
        let said = complaint(&folder, &other("vm2", place));
        let message = format!("[[guest]] \"vm2\": its place {at} is also one of \"vm1\"");
        assert!(
            said.starts_with(&message) && said.lines().count() == 1,
            "{place}: {said}"
        );
    }
    for place in [
        elsewhere,
        "host = \"127.0.0.1\"\nport = 6000",
        "host = \"10.0.0.2\"\nport = 5900",
        // Where moves arrive, several guests can: what arrives there says whose it is.
        "host = \"10.0.0.1\"\nport = 6000\nmove_ports = \"5800-5950\"",
        "host = \"10.0.0.1\"\nport = 5950",
    ] {
        Service::start_in(files(), &other("vm2", place));
    }
}

#[test]
fn what_cannot_be_parsed_is_located_but_not_shown() {
    let folder = files();
    for text in [
        complete().replace("\"vm1.ticket\"", TICKET),
        complete().replace("\"vm1.ticket\"", &format!("\"{TICKET}")),
        complete().replace("\"api.token\"", &format!("{BEARER}\"")),
        complete().replace("\"api.token\"", &format!("\"{BEARER}\" x")),
    ] {
        let said = complaint(&folder, &text);
        assert!(said.starts_with("line ") && said.lines().count() == 1, "{said}");
        assert!(!said.contains(BEARER) && !said.contains(TICKET), "{said}");
    }
    let output = run(&["serve", "--config", "/nowhere/gateway.toml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("/nowhere/gateway.toml: cannot be read: No such file"),
        "{said}"
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new();
    for (text, what) in [
        ("listen = \"127.0.0.1:0\"", "[api] listen"),
        ("spice = \"127.0.0.1:0\"", "[listen] spice"),
    ] {
        let at_address = text.replace("127.0.0.1:0", &address.to_string());
        let said = complaint(&folder, &configuration(5901).replace(text, &at_address));
        let message = format!("{what}: cannot listen on {address}: Address already in use");
        assert!(said.starts_with(&message), "{said}");
    }
}
