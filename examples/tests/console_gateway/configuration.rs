//! Each thing that is wrong with a configuration has a message of its own, and none shows a secret.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::program::{BEARER, Folder, Service, TICKET, configuration, run};

/// A configuration with everything in it.
fn complete() -> String {
    format!(
        "[api]\nlisten = \"127.0.0.1:0\"\nbearer_token = \"{BEARER}\"\n\
         [spice]\nplain = \"127.0.0.1:0\"\ntls = \"127.0.0.1:0\"\nhost = \"127.0.0.1\"\n\
         certificate = \"cert.pem\"\nprivate_key = \"key.pem\"\nca = \"cert.pem\"\nhost_subject = \"CN=gateway\"\n\
         token_ttl_seconds = 60\n\
         [[target]]\nname = \"vm1\"\nhost = \"127.0.0.1\"\nport = 5901\ntls_port = 5902\nca = \"cert.pem\"\n\
         ticket = \"{TICKET}\"\n\
         [policy]\nview_only = true\nclipboard = \"none\"\nfiles = \"to-guest\"\nwithheld = [\"usbredir\"]\n"
    )
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
    folder.write("line", "ticket in a file\r\n");
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
    for name in ["api", "plain", "tls"] {
        assert_ne!(service.address(name).unwrap().port(), 0);
    }
    let minimal = Service::start(&configuration(5901));
    assert_eq!(minimal.address("tls"), None);
}

#[test]
fn each_mistake_has_its_message() {
    let folder = files();
    let ttl = "token_ttl_seconds = 60";
    let ticket = &format!("ticket = \"{TICKET}\"");
    let bearer = &format!("bearer_token = \"{BEARER}\"");
    let long = &format!("ticket = \"{}\"", "x".repeat(61));
    let plain_target = "port = 5901\ntls_port = 5902\nca = \"cert.pem\"\n";
    let table: &[(&str, &str, &str)] = &[
        // text, what stands in its place, message
        (
            "[api]",
            "[api]\nlisten2 = 1",
            "line 2: unknown field `listen2`, expected `listen` or `bearer_token`",
        ),
        (
            "[api]",
            "[web]",
            "line 1: unknown field `web`, expected one of `api`, `spice`, `target`, `policy`",
        ),
        (bearer, "", "line 1: missing field `bearer_token`"),
        (
            bearer,
            "bearer_token = 1234567890123456",
            "line 3: expected a string in quotes",
        ),
        (
            bearer,
            "bearer_token = \"short\"",
            "[api] bearer_token: 5 characters; at least 16 are needed",
        ),
        (
            bearer,
            "bearer_token = \"with spaces in the middle\"",
            "[api] bearer_token: only letters, digits and -._~+/",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "listen = \"localhost\"",
            "[api] listen: \"localhost\" is no address with a port",
        ),
        (
            "plain = \"127.0.0.1:0\"",
            "plain = \"127.0.0.1\"",
            "[spice] plain: \"127.0.0.1\" is no address with a port",
        ),
        (
            "tls = \"127.0.0.1:0\"",
            "tls = \"x\"",
            "[spice] tls: \"x\" is no address with a port",
        ),
        (
            "plain = \"127.0.0.1:0\"\ntls = \"127.0.0.1:0\"",
            "",
            "[spice] needs a listener: plain, tls or both",
        ),
        ("certificate = \"cert.pem\"\n", "", "[spice] tls needs certificate"),
        ("private_key = \"key.pem\"\n", "", "[spice] tls needs private_key"),
        (
            "ca = \"cert.pem\"\nhost_subject",
            "host_subject",
            "[spice] tls needs ca",
        ),
        (
            "certificate = \"cert.pem\"",
            "certificate = \"gone\"",
            "[spice] certificate: gone cannot be read: No such file",
        ),
        (
            "certificate = \"cert.pem\"",
            "certificate = \"empty\"",
            "[spice] certificate: no certificate in PEM",
        ),
        (
            "certificate = \"cert.pem\"",
            "certificate = \"not.pem\"",
            "[spice] certificate: a certificate in it cannot be read",
        ),
        (
            "private_key = \"key.pem\"",
            "private_key = \"cert.pem\"",
            "[spice] private_key: no private key in PEM",
        ),
        (
            "key.pem",
            "other-key.pem",
            "[spice] certificate and private key do not belong together",
        ),
        (
            "ca = \"cert.pem\"\nhost_subject",
            "ca = \"empty\"\nhost_subject",
            "[spice] no connection file can be made: ca",
        ),
        (
            "ca = \"cert.pem\"\nhost_subject",
            "ca = \"key.pem\"\nhost_subject",
            "[spice] no connection file can be made: ca",
        ),
        (
            "ca = \"cert.pem\"\nhost_subject",
            "ca = \"latin1\"\nhost_subject",
            "[spice] ca: latin1 is not text",
        ),
        (
            "host_subject = \"CN=gateway\"",
            "host_subject = \"\"",
            "[spice] no connection file can be made: host-subject",
        ),
        ("[spice]", "[spice]\nport = 1", "line 5: unknown field `port`"),
        (
            ttl,
            "token_ttl_seconds = 0",
            "[spice] token_ttl_seconds: 0 is not in 1 to 86400",
        ),
        (
            ttl,
            "token_ttl_seconds = 86401",
            "[spice] token_ttl_seconds: 86401 is not in 1 to 86400",
        ),
        (
            ttl,
            "token_ttl_seconds = -1",
            "line 12: invalid value: integer `-1`, expected u64",
        ),
        (
            ttl,
            "token_ttl_seconds = \"60\"",
            "line 12: invalid type: string \"60\", expected u64",
        ),
        (
            "name = \"vm1\"",
            "name = \"\"",
            "[[target]] \"\": the name is empty or has control characters",
        ),
        (
            "name = \"vm1\"\nhost = \"127.0.0.1\"",
            "name = \"vm1\"\nhost = \"\"",
            "[[target]] \"vm1\": host is empty or has spaces",
        ),
        (
            "name = \"vm1\"\nhost = \"127.0.0.1\"",
            "name = \"vm1\"\nhost = \"-\"",
            "[[target]] \"vm1\": host \"-\" is no name that a certificate can have",
        ),
        ("port = 5901", "port = 0", "[[target]] \"vm1\": port is 0"),
        (
            "port = 5901",
            "port = 65536",
            "line 16: invalid value: integer `65536`, expected u16",
        ),
        (plain_target, "", "[[target]] \"vm1\" needs a port or a tls_port"),
        (
            "5902\nca = \"cert.pem\"",
            "5902",
            "[[target]] \"vm1\": tls_port needs ca",
        ),
        (
            "5902\nca = \"cert.pem\"",
            "5902\nca = \"gone\"",
            "[[target]] \"vm1\" ca: gone cannot be read: No such file",
        ),
        (
            "5902\nca = \"cert.pem\"",
            "5902\nca = \"key.pem\"",
            "[[target]] \"vm1\" ca: no certificate in PEM",
        ),
        (
            "5902\nca = \"cert.pem\"",
            "5902\nca = \"cert.pem\"\nhost_subject = \"CN\"",
            "[[target]] \"vm1\" host_subject: ",
        ),
        (
            "\"usbredir\"",
            "\"main\"",
            "[policy] withheld: no channel is called \"main\"",
        ),
        (
            "\"none\"",
            "\"no\"",
            "line 22: unknown variant `no`, expected one of `both`, `to-guest`, `from-guest`, `none`",
        ),
        ("view_only", "look_only", "line 21: unknown field `look_only`"),
        (ticket, "", "[[target]] \"vm1\" needs a ticket or a ticket_file"),
        (
            ticket,
            "ticket = \"\"",
            "[[target]] \"vm1\": the ticket has 0 bytes; 1 to 60 without NUL are needed",
        ),
        (ticket, long, "[[target]] \"vm1\": the ticket has 61 bytes"),
        (
            ticket,
            "ticket = \"x\"\nticket_file = \"line\"",
            "[[target]] \"vm1\": ticket and ticket_file; one is enough",
        ),
        (
            ticket,
            "ticket_file = \"gone\"",
            "[[target]] \"vm1\" ticket_file: gone cannot be read: No such file",
        ),
        (
            ticket,
            "ticket_file = \"empty\"",
            "[[target]] \"vm1\": the ticket has 0 bytes",
        ),
        (ticket, "ticket = [\"x\"]", "line 19: expected a string in quotes"),
        (
            "[[target]]",
            "[[targets]]",
            "line 13: unknown field `targets`, expected one of `api`, `spice`, `target`, `policy`",
        ),
    ];
    let mut other = String::new();
    for (text, instead, message) in table {
        assert!(complete().contains(text), "{text}");
        let said = complaint(&folder, &complete().replacen(text, instead, 1));
        if !said.starts_with(message) || said.lines().count() != 1 {
            other += &format!("for {instead:?}\nit said   {said}and not   {message}\n");
        }
    }
    assert_eq!(other, "");
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = complete()
        .replace(BEARER, "short")
        .replace("token_ttl_seconds = 60", "token_ttl_seconds = 0")
        .replace("port = 5901\ntls_port = 5902\n", "");
    let said = complaint(&files(), &text);
    assert_eq!(said.lines().count(), 3, "{said}");

    let twice = complete();
    let target = twice.split_once("[[target]]").unwrap().1;
    let target = target.split_once("[policy]").unwrap().0;
    let said = complaint(&files(), &format!("{twice}[[target]]{target}"));
    assert_eq!(said, "there are two [[target]] with the name \"vm1\"\n");
    let none = twice.split_once("[[target]]").unwrap().0;
    assert_eq!(complaint(&files(), none), "there is no [[target]]\n");
}

#[test]
fn what_cannot_be_parsed_is_located_but_not_shown() {
    let folder = files();
    for text in [
        complete().replace(&format!("\"{TICKET}\""), TICKET),
        complete().replace(&format!("\"{TICKET}\""), &format!("\"{TICKET}")),
        complete().replace(&format!("\"{BEARER}\""), &format!("{BEARER}\"")),
        complete().replace(&format!("\"{BEARER}\""), &format!("\"{BEARER}\" x")),
        complete().replace(&format!("ticket = \"{TICKET}\""), &format!("\"{TICKET}\" = 1")),
    ] {
        let said = complaint(&folder, &text);
        assert!(said.starts_with("line "), "{said}");
        assert!(!said.contains(BEARER), "{said}");
        // The last one made the ticket the name of a key, and those are shown.
        assert_eq!(said.contains(TICKET), text.contains("\" = 1"), "{said}");
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
        ("plain = \"127.0.0.1:0\"", "[spice] plain"),
    ] {
        let at_address = text.replace("127.0.0.1:0", &address.to_string());
        let said = complaint(&folder, &configuration(5901).replace(text, &at_address));
        let message = format!("{what}: cannot listen on {address}: Address already in use");
        assert!(said.starts_with(&message), "{said}");
    }
}
