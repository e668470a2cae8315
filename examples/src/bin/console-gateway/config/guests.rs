//! The guests of the configuration: each with its consoles and places, and no place with two guests.

use std::collections::HashMap;
use std::sync::Arc;

use console_token::webmks::MksTicket;
use console_token::{AccessPath, Protocol};
use examples::vnc::Method;
use rfb_proto::tls::ClientTls;
use rustls::pki_types::ServerName;
use spice_proto::link;
use spice_proto::link::ticket::MAX_PASSWORD_LEN;
use zeroize::Zeroizing;

use super::rules;
use super::table::{Check, Table};
use crate::console::place::{Address, Console, Guest, Place, PlaceTls, VncEntry, canonical};
use crate::console::qmp::{Monitor, MonitorAddress};
use crate::front::tls;
use crate::grant::policy::Rules;

/// Longest password for VNC: DES uses no more of it.
const VNC_PASSWORD_MAX: usize = 8;

pub(super) fn read(check: &Check, tables: Vec<Table>, widest: &Rules) -> Vec<Guest> {
    let mut guests: Vec<Guest> = Vec::new();
    let mut monitors = Monitors::default();
    for table in tables {
        if let Some(guest) = guest(check, table, widest, &mut monitors) {
            apart(check, &guests, &guest);
            guests.push(guest);
        }
    }
    guests
}

/// Each monitor once, however many consoles have it: it serves one client at a time.
#[derive(Default)]
struct Monitors(HashMap<MonitorAddress, Arc<Monitor>>);

fn guest(check: &Check, mut table: Table, widest: &Rules, monitors: &mut Monitors) -> Option<Guest> {
    let id = table
        .needs(check, "id")
        .then(|| table.text(check, "id"))
        .flatten()
        .unwrap_or_default();
    let name = table.text(check, "name").unwrap_or_else(|| id.clone());
    let hypervisor_name = table.text(check, "hypervisor_name");
    // It is not looked at: a tenant is the portal's to know.
    let _ = table.text(check, "project");
    for (key, text) in [("id", &id), ("name", &name)] {
        if text.is_empty() || text.chars().any(char::is_control) {
            check.wrong::<()>(format_args!("{}: empty, or with control characters", table.key(key)));
        }
    }
    let name_of_console = format!("{} console", table.name);
    let tables = table.tables(check, "console", &name_of_console, None);
    if tables.is_empty() {
        check.wrong::<()>(format_args!("{} has no [[guest.console]]", table.name));
    }
    let read = tables.into_iter().map(|table| console(check, table, widest, monitors));
    let consoles: Vec<_> = read.collect();
    table.end(check);
    let consoles: Vec<Arc<Console>> = consoles.into_iter().collect::<Option<_>>()?;
    for protocol in [Protocol::Spice, Protocol::Vnc, Protocol::Mks] {
        if 1 < consoles.iter().filter(|console| console.protocol == protocol).count() {
            check.wrong::<()>(format_args!("[[guest]] {id:?} has two consoles of protocol {protocol}"));
        }
    }
    Some(Guest {
        id,
        name,
        hypervisor_name,
        consoles,
    })
}

fn console(check: &Check, mut table: Table, widest: &Rules, monitors: &mut Monitors) -> Option<Arc<Console>> {
    let text = table
        .needs(check, "protocol")
        .then(|| table.text(check, "protocol"))
        .flatten();
    let protocol = match text.as_deref() {
        Some("spice") => Some(Protocol::Spice),
        Some("vnc") => Some(Protocol::Vnc),
        Some("serial") => Some(Protocol::Serial),
        Some("mks") => Some(Protocol::Mks),
        Some(other) => check.wrong(format_args!(
            "{}: {other:?} is not served; \"spice\", \"vnc\", \"serial\" and \"mks\" are",
            table.key("protocol")
        )),
        None => None,
    };
    let require_tls = table.flag(check, "require_tls").unwrap_or(false);
    let own = rules(check, table.table(check, "policy"));
    let name_of_place = format!("{} place", table.name);
    let tables = table.tables(check, "place", &name_of_place, None);
    if tables.is_empty() {
        check.wrong::<()>(format_args!("{} has no [[guest.console.place]]", table.name));
    }
    table.end(check);
    let protocol = protocol?;
    let places: Vec<_> = tables
        .into_iter()
        .map(|table| place(check, table, protocol, monitors))
        .collect();
    let places: Vec<_> = places.into_iter().collect::<Option<_>>()?;
    (!places.is_empty()).then(|| {
        Arc::new(Console {
            protocol,
            require_tls,
            rules: widest.narrowed(&own),
            places,
        })
    })
}

/// What every place has: where it is.
struct Where {
    at: Address,
    announced: Vec<String>,
    port: Option<u16>,
    tls_port: Option<u16>,
}

fn located(check: &Check, table: &mut Table, protocol: Protocol) -> Option<Where> {
    let what = table.name.clone();
    let may_be_unix = matches!(protocol, Protocol::Vnc | Protocol::Serial);
    if may_be_unix && table.has("unix") {
        for key in ["host", "port", "tls_port", "announced", "move_ports"] {
            if table.has(key) {
                check.wrong::<()>(format_args!("{what}: unix and {key} exclude each other"));
                table.drop(key);
            }
        }
        let path = table.text(check, "unix")?;
        return Some(Where {
            at: Address::Unix(check.folder.join(path)),
            announced: Vec::new(),
            port: None,
            tls_port: None,
        });
    }
    let host = table.needs(check, "host").then(|| table.text(check, "host")).flatten();
    let host = host.unwrap_or_default();
    let announced = table.texts(check, "announced");
    let names = announced.iter().map(|name| ("announced", name));
    for (key, name) in names.chain([("host", &host)]) {
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            check.wrong::<()>(format_args!("{what} {key}: empty, or with spaces"));
        }
    }
    let (with_port, with_tls) = (table.has("port"), table.has("tls_port"));
    let has_tls_port = matches!(protocol, Protocol::Spice | Protocol::Serial);
    if !has_tls_port && !with_port {
        check.wrong::<()>(format_args!("{what} port is missing"));
    }
    if has_tls_port && !with_port && !with_tls {
        check.wrong::<()>(format_args!("{what} needs a port or a tls_port"));
    }
    Some(Where {
        at: Address::Host(host),
        announced,
        port: table.port(check, "port").map(std::num::NonZeroU16::get),
        tls_port: has_tls_port
            .then(|| table.port(check, "tls_port"))
            .flatten()
            .map(std::num::NonZeroU16::get),
    })
}

fn place(check: &Check, mut table: Table, protocol: Protocol, monitors: &mut Monitors) -> Option<Arc<Place>> {
    let what = table.name.clone();
    let with_ca = table.has("ca");
    let found = located(check, &mut table, protocol);
    let move_ports = table.ports(check, "move_ports");
    let ca = table.file(check, "ca");
    let subject = table.text(check, "host_subject");
    let [certificate, key] = client_identity(check, &mut table);
    let identity = certificate.as_ref().zip(key.as_ref());
    let identity = identity.map(|(chain, key)| (&***chain, &***key));
    let monitor = monitor(check, &mut table, monitors);
    let tls_port = found.as_ref().and_then(|found| found.tls_port);
    let host = match found.as_ref().map(|found| &found.at) {
        Some(Address::Host(host)) => host.clone(),
        _ => String::new(),
    };
    let tls = match (tls_port, &ca) {
        (Some(port), Some(ca)) => place_tls(check, &what, port, &host, (ca, subject.as_deref(), identity)),
        (Some(_), None) if !with_ca => check.wrong(format_args!("{what}: tls_port needs ca")),
        _ => None,
    };
    let lacks_tls = tls_port.is_some() && tls.is_none();
    let ticket = (protocol == Protocol::Spice).then(|| ticket(check, &mut table, monitor.is_some()));
    let vnc = match protocol {
        Protocol::Vnc => vnc(check, &mut table, (ca.as_deref(), identity), monitor.is_some()),
        _ => Some(VncEntry::default()),
    };
    let access_path = (protocol == Protocol::Mks).then(|| access_path(check, &mut table));
    table.end(check);
    let found = found?;
    if lacks_tls || access_path.as_ref().is_some_and(Option::is_none) {
        return None;
    }
    Some(Arc::new(Place {
        at: found.at,
        announced: found.announced,
        port: found.port,
        tls,
        move_ports,
        ticket: match ticket {
            None => None,
            Some(ticket) => ticket?,
        },
        monitor,
        vnc: vnc?,
        access_path: access_path.flatten(),
    }))
}

/// For hypervisors that ask for the gateway's certificate.
fn client_identity(check: &Check, table: &mut Table) -> [Option<Zeroizing<Vec<u8>>>; 2] {
    let both = ["client_certificate", "client_key"];
    if table.has(both[0]) != table.has(both[1]) {
        check.wrong::<()>(format_args!(
            "{}: client_certificate and client_key need each other",
            table.name
        ));
    }
    both.map(|key| table.file(check, key))
}

fn monitor(check: &Check, table: &mut Table, monitors: &mut Monitors) -> Option<Arc<Monitor>> {
    let text = table.text(check, "qmp")?;
    let address = match text.strip_prefix("unix:") {
        Some(path) if !path.is_empty() => MonitorAddress::Unix(check.folder.join(path)),
        _ => match text.strip_prefix("tcp:").unwrap_or(&text).parse() {
            Ok(address) => MonitorAddress::Tcp(address),
            Err(_) => {
                return check.wrong(format_args!(
                    "{}: unix:PATH, or an address with a port, is expected",
                    table.key("qmp")
                ));
            }
        },
    };
    let made = monitors.0.entry(address.clone());
    Some(made.or_insert_with(|| Arc::new(Monitor::new(address))).clone())
}

/// The hypervisor's own ticket; with a monitor there need be none.
fn ticket(check: &Check, table: &mut Table, with_monitor: bool) -> Option<Option<link::Secret>> {
    if with_monitor && !table.has("ticket_file") {
        return Some(None);
    }
    let what = table.key("ticket_file");
    let there = table.needs(check, "ticket_file");
    let ticket = there.then(|| table.secret(check, "ticket_file")).flatten()?;
    if MAX_PASSWORD_LEN < ticket.len() || ticket.contains(&0) {
        let length = ticket.len();
        return check.wrong(format_args!(
            "{what}: the ticket has {length} bytes; 1 to {MAX_PASSWORD_LEN} without NUL are needed"
        ));
    }
    Some(Some(link::Secret::new(&ticket)))
}

type Trusted<'a> = (Option<&'a Vec<u8>>, Option<(&'a [u8], &'a [u8])>);

fn vnc(check: &Check, table: &mut Table, trusted: Trusted<'_>, with_monitor: bool) -> Option<VncEntry> {
    let what = table.name.clone();
    let names = match table.has("auth") {
        true => table.texts(check, "auth"),
        false => vec!["x509vnc".to_owned(), "x509none".to_owned()],
    };
    let mut methods = Vec::new();
    for name in names {
        match method(&name) {
            Some(method) => methods.push(method),
            None => check
                .wrong(format_args!(
                    "{what} auth: {name:?} is not spoken; \"none\", \"vnc\", \"x509none\", \"x509vnc\" and \"x509plain\" are"
                ))
                .unwrap_or(()),
        }
    }
    if methods.is_empty() {
        return check.wrong(format_args!("{what} auth: nothing is left that may be spoken"));
    }
    let user = table.text(check, "user");
    let with_password = table.has("password_file");
    let password = table.secret(check, "password_file");
    let needs = |wanted: fn(Method) -> bool| methods.iter().copied().any(wanted);
    if needs(|method| method.needs().user) && (user.is_none() || !with_password) {
        check.wrong::<()>(format_args!("{what}: auth x509plain needs user and password_file"));
    }
    if !methods.contains(&Method::X509Plain) && password.as_ref().is_some_and(|own| VNC_PASSWORD_MAX < own.len()) {
        check.wrong::<()>(format_args!(
            "{what} password_file: VNC uses {VNC_PASSWORD_MAX} bytes of a password, and this one is longer"
        ));
    }
    let only_passwords = methods.iter().all(|method| method.needs().password);
    if only_passwords && !with_password && !with_monitor {
        check.wrong::<()>(format_args!("{what}: auth needs password_file, or qmp"));
    }
    let tls = match trusted {
        (Some(ca), identity) => {
            let identity = identity.map(|(chain, key)| rfb_proto::tls::Identity { chain, key });
            match ClientTls::new(ca, identity) {
                Ok(tls) => Some(tls),
                Err(error) => return check.wrong(format_args!("{what} ca: {error}")),
            }
        }
        (None, _) if needs(|method| method.needs().tls) && !table.was_named("ca") => {
            return check.wrong(format_args!("{what}: auth with x509 needs ca"));
        }
        (None, _) => None,
    };
    Some(VncEntry {
        methods,
        user,
        password: password.map(|bytes| link::Secret::new(&bytes)),
        tls,
    })
}

fn method(name: &str) -> Option<Method> {
    Some(match name {
        "none" => Method::None,
        "vnc" => Method::Vnc,
        "x509none" => Method::X509None,
        "x509vnc" => Method::X509Vnc,
        "x509plain" => Method::X509Plain,
        _ => return None,
    })
}

/// `{"ticket","cfgFile","thumbprint"}`: from a file, or inline without a ticket.
fn access_path(check: &Check, table: &mut Table) -> Option<AccessPath> {
    let (inline, file) = ("internal_access_path", "internal_access_path_file");
    if table.has(inline) == table.has(file) {
        table.drop(inline);
        table.drop(file);
        let name = &table.name;
        return check.wrong(format_args!("{name} needs {file}, or {inline}, and not both"));
    }
    if let Some(text) = table.text(check, inline) {
        if text.contains("\"ticket\"") {
            let key = table.key(inline);
            return check.wrong(format_args!("{key}: a ticket is a secret, and belongs into {file}"));
        }
        return Some(AccessPath::new(text));
    }
    let key = table.key(file);
    let bytes = table.file(check, file)?;
    let path = String::from_utf8(bytes.to_vec())
        .ok()
        .map(|text| AccessPath::new(text.trim()));
    let read = path.as_ref().map(MksTicket::from_access_path);
    match read {
        Some(Ok(_)) => path,
        Some(Err(error)) => check.wrong(format_args!("{key}: {error}")),
        None => check.wrong(format_args!("{key}: not text")),
    }
}

type KnownBy<'a> = (&'a [u8], Option<&'a str>, Option<(&'a [u8], &'a [u8])>);

fn place_tls(check: &Check, what: &str, port: u16, host: &str, known_by: KnownBy<'_>) -> Option<PlaceTls> {
    let config = match tls::client(known_by.0, known_by.1, known_by.2) {
        Ok(config) => config,
        Err(tls::TlsError::Subject(error)) => return check.wrong(format_args!("{what} host_subject: {error}")),
        Err(error @ (tls::TlsError::NoKey | tls::TlsError::OtherKey)) => {
            return check.wrong(format_args!("{what} client_key: {error}"));
        }
        Err(error) => return check.wrong(format_args!("{what} ca: {error}")),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match ServerName::try_from(bare.unwrap_or(host).to_owned()) {
        Ok(name) => Some(PlaceTls { port, name, config }),
        Err(_) if host.is_empty() => None, // said already
        Err(_) => check.wrong(format_args!(
            "{what} host: {host:?} is no name that a certificate can have"
        )),
    }
}

/// Complains if a guest cannot be told from another one: by its id, its name, or a place.
fn apart(check: &Check, others: &[Guest], guest: &Guest) {
    for other in others {
        for (key, same) in [("id", other.id == guest.id), ("name", other.name == guest.name)] {
            if same {
                check.wrong::<()>(format_args!(
                    "[[guest]] {:?}: another guest has the same {key}",
                    guest.id
                ));
            }
        }
        let differ = other.id != guest.id && other.name != guest.name;
        if differ && (other.name == guest.id || other.id == guest.name) {
            check.wrong::<()>(format_args!(
                "[[guest]] {:?}: its id or name is the other one of {:?}",
                guest.id, other.id
            ));
        }
        for place in places(guest) {
            if let Some(meeting) = places(other).find_map(|theirs| meet(theirs, place)) {
                check.wrong::<()>(format_args!(
                    "[[guest]] {:?}: its place {meeting} is also one of {:?}, so one tenant could be brought to the other's console",
                    guest.id, other.id
                ));
            }
        }
    }
}

fn places(guest: &Guest) -> impl Iterator<Item = &Arc<Place>> {
    guest.consoles.iter().flat_map(|console| &console.places)
}

/// The host and a port at which both are, or the path.
fn meet(one: &Place, other: &Place) -> Option<String> {
    if let (Address::Unix(path), true) = (&one.at, one.at == other.at) {
        return Some(path.display().to_string());
    }
    let host = one.names().find(|name| other.names().any(|theirs| theirs == *name))?;
    let port = one.ports().find(|port| other.ports().any(|theirs| theirs == *port))?;
    Some(format!("{}:{port}", canonical(&host)))
}
