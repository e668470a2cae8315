//! The guests of the configuration: each with its places, and no place with two guests.

use std::ops::RangeInclusive;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use spice_proto::link;
use spice_proto::link::ticket::MAX_PASSWORD_LEN;

use super::table::{Check, Table};
use crate::guest::{Console, Guest, Place, PlaceTls};
use crate::tls;

pub(super) fn read(check: &Check, tables: Vec<Table>) -> Vec<Guest> {
    if tables.is_empty() {
        check.wrong::<()>("there is no [[guest]]");
    }
    let mut guests: Vec<Guest> = Vec::new();
    for table in tables {
        if let Some(guest) = guest(check, table) {
            apart(check, &guests, &guest);
            guests.push(guest);
        }
    }
    guests
}

fn guest(check: &Check, mut table: Table) -> Option<Guest> {
    let id = table
        .needs(check, "id")
        .then(|| table.text(check, "id"))
        .flatten()
        .unwrap_or_default();
    let name = table.text(check, "name").unwrap_or_else(|| id.clone());
    // It is not looked at: a tenant is the portal's to know.
    let _ = table.text(check, "project");
    for (key, text) in [("id", &id), ("name", &name)] {
        if text.is_empty() || text.chars().any(char::is_control) {
            check.wrong::<()>(format_args!("{}: empty, or with control characters", table.key(key)));
        }
    }
    let name_of_console = format!("{} console", table.name);
    let mut consoles = table.tables(check, "console", &name_of_console, None);
    let console = match consoles.len() {
        0 => check.wrong(format_args!("{} has no [[guest.console]]", table.name)),
        1 => consoles.pop().and_then(|table| console(check, table)),
        _ => check.wrong(format_args!("{} has two consoles of one protocol", table.name)),
    };
    table.end(check);
    Some(Guest {
        id,
        name,
        console: console?,
    })
}

fn console(check: &Check, mut table: Table) -> Option<Console> {
    if let true = table.needs(check, "protocol")
        && let Some(protocol) = table.text(check, "protocol")
        && protocol != "spice"
    {
        check.wrong::<()>(format_args!(
            "{}: {protocol:?} is not served; \"spice\" is",
            table.key("protocol")
        ));
    }
    let require_tls = table.flag(check, "require_tls").unwrap_or(false);
    let name_of_place = format!("{} place", table.name);
    let tables = table.tables(check, "place", &name_of_place, None);
    if tables.is_empty() {
        check.wrong::<()>(format_args!("{} has no [[guest.console.place]]", table.name));
    }
    let places: Vec<_> = tables.into_iter().map(|table| place(check, table)).collect();
    table.end(check);
    let places: Vec<_> = places.into_iter().collect::<Option<_>>()?;
    (!places.is_empty()).then_some(Console { require_tls, places })
}

fn place(check: &Check, mut table: Table) -> Option<Arc<Place>> {
    let what = table.name.clone();
    let host = table
        .needs(check, "host")
        .then(|| table.text(check, "host"))
        .flatten()
        .unwrap_or_default();
    let announced = table.texts(check, "announced");
    for (key, name) in announced
        .iter()
        .map(|name| ("announced", name))
        .chain([("host", &host)])
    {
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            check.wrong::<()>(format_args!("{what} {key}: empty, or with spaces"));
        }
    }
    let (with_port, with_tls, with_ca) = (table.has("port"), table.has("tls_port"), table.has("ca"));
    let port = table.port(check, "port");
    let tls_port = table.port(check, "tls_port");
    if !with_port && !with_tls {
        check.wrong::<()>(format_args!("{what} needs a port or a tls_port"));
    }
    let move_ports = table.ports(check, "move_ports");
    let ca = table.file(check, "ca");
    let subject = table.text(check, "host_subject");
    let tls = match (tls_port, ca) {
        (Some(port), Some(ca)) => place_tls(check, &what, port.get(), &host, (&ca, subject.as_deref())),
        (Some(_), None) if !with_ca => check.wrong(format_args!("{what}: tls_port needs ca")),
        _ => None,
    };
    let ticket = table
        .needs(check, "ticket_file")
        .then(|| table.secret(check, "ticket_file"))
        .flatten();
    if let Some(ticket) = &ticket
        && (MAX_PASSWORD_LEN < ticket.len() || ticket.contains(&0))
    {
        let length = ticket.len();
        check.wrong::<()>(format_args!(
            "{what} ticket_file: the ticket has {length} bytes; 1 to {MAX_PASSWORD_LEN} without NUL are needed"
        ));
    }
    table.end(check);
    if with_tls && tls.is_none() {
        return None;
    }
    Some(Arc::new(Place {
        host,
        announced,
        port: port.map(std::num::NonZeroU16::get),
        tls,
        move_ports,
        ticket: link::Secret::new(&ticket?),
    }))
}

fn place_tls(check: &Check, what: &str, port: u16, host: &str, known_by: (&[u8], Option<&str>)) -> Option<PlaceTls> {
    let config = match tls::client(known_by.0, known_by.1) {
        Ok(config) => config,
        Err(tls::TlsError::Subject(error)) => return check.wrong(format_args!("{what} host_subject: {error}")),
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
        for place in &guest.console.places {
            if let Some(meeting) = other.console.places.iter().find_map(|theirs| meet(theirs, place)) {
                check.wrong::<()>(format_args!(
                    "[[guest]] {:?}: its place {meeting} is also one of {:?}, so one tenant could be brought to the other's console",
                    guest.id, other.id
                ));
            }
        }
    }
}

/// The host and a port at which both can be.
fn meet(one: &Place, other: &Place) -> Option<String> {
    let host = one.names().find(|name| other.names().any(|theirs| theirs == *name))?;
    let both = |a: &RangeInclusive<u16>, b: &RangeInclusive<u16>| {
        let port = *a.start().max(b.start());
        (a.contains(&port) && b.contains(&port)).then_some(port)
    };
    let port = one.ports().find_map(|a| other.ports().find_map(|b| both(&a, &b)))?;
    Some(format!("{host}:{port}"))
}
