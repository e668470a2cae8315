//! Consoles that are not in the configuration: the services that are asked for them, and where they may be.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use console_token::web::Network;
use console_token::web::target::Special;
use console_token::{Protocol, Secret};
use rustls::ClientConfig;

use super::api_token;
use super::table::{Check, Table};
use crate::front::tls;
use crate::grant::resolve::client::Base;

/// The services that are asked, and where their answers may lead.
#[derive(Default)]
pub(crate) struct Resolve {
    pub(crate) nova: Option<Nova>,
    pub(crate) libvirt: Option<Libvirt>,
    pub(crate) websockify: Option<Websockify>,
    pub(crate) allow: Vec<Allowed>,
}

pub(crate) struct Nova {
    pub(crate) base: Base,
    pub(crate) token: Secret,
    /// Of an answer that does not say it.
    pub(crate) protocol: Protocol,
}

pub(crate) struct Libvirt {
    pub(crate) base: Base,
}

pub(crate) struct Websockify {
    /// A token file, or a folder of them.
    pub(crate) path: PathBuf,
    pub(crate) protocol: Protocol,
}

/// Addresses and ports at which consoles may be.
#[derive(Debug, Clone)]
pub(crate) struct Allowed {
    pub(crate) network: Network,
    pub(crate) ports: RangeInclusive<u16>,
    /// The network lies inside of special addresses, and so names them.
    pub(crate) is_special: bool,
}

impl Resolve {
    pub(crate) fn is_there(&self) -> bool {
        self.nova.is_some() || self.libvirt.is_some() || self.websockify.is_some()
    }

    /// Whether a console may be there. Loopback, link-local and metadata addresses have to be named.
    pub(crate) fn allows(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        let is_special = Special::of(address).is_some();
        self.allow.iter().any(|allowed| {
            let fits = allowed.network.contains(address) && allowed.ports.contains(&port);
            fits && (!is_special || allowed.is_special)
        })
    }
}

pub(super) fn read(check: &Check, mut table: Table) -> Resolve {
    let nova = table
        .has("nova")
        .then(|| nova(check, table.table(check, "nova")))
        .flatten();
    let libvirt = table
        .has("libvirt")
        .then(|| libvirt(check, table.table(check, "libvirt")))
        .flatten();
    let websockify = table
        .has("websockify")
        .then(|| websockify(check, table.table(check, "websockify")))
        .flatten();
    let with_any = ["nova", "libvirt", "websockify"].iter().any(|key| table.was_named(key));
    let with_allow = table.has("allow");
    let mut allow = Vec::new();
    for text in table.texts(check, "allow") {
        match allowed(&text) {
            Some(one) => allow.push(one),
            None => check
                .wrong(format_args!(
                    "[resolve] allow: {text:?} is no NETWORK:PORT[-PORT], as \"10.1.0.0/16:5900-5999\" or \"[fd00::/8]:5900\""
                ))
                .unwrap_or(()),
        }
    }
    if with_any && !with_allow {
        check.wrong::<()>("[resolve] allow is missing: no answer could be followed");
    }
    table.end(check);
    Resolve {
        nova,
        libvirt,
        websockify,
        allow,
    }
}

fn allowed(text: &str) -> Option<Allowed> {
    let (network, ports) = text.rsplit_once(':')?;
    let inner = network.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    if inner.is_none() && network.contains(':') {
        return None;
    }
    let network = inner.unwrap_or(network);
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let ports = first.parse::<u16>().ok().filter(|port| *port != 0)?..=last.parse().ok()?;
    let (address, _) = network.split_once('/').unwrap_or((network, ""));
    let address: IpAddr = address.parse().ok()?;
    (!ports.is_empty()).then_some(())?;
    Some(Allowed {
        is_special: lies_in_special(address, network),
        network: network.parse().ok()?,
        ports,
    })
}

/// Whether all of the network is one special range: its first address is, and the prefix is not shorter than that of the
/// range.
fn lies_in_special(first: IpAddr, network: &str) -> bool {
    let longest = if first.is_ipv4() { 32 } else { 128 };
    let length = network
        .split_once('/')
        .map_or(Some(longest), |(_, length)| length.parse::<u8>().ok());
    let Some(length) = length else { return false };
    let shortest = match Special::of(first) {
        Some(Special::Loopback) if first.is_ipv4() => 8,
        Some(Special::LinkLocal) if first.is_ipv4() => 16,
        Some(Special::LinkLocal) => 10,
        Some(_) => longest,
        None => return false,
    };
    shortest <= length
}

fn nova(check: &Check, mut table: Table) -> Option<Nova> {
    let trust = trust(check, &mut table);
    let base = base(check, &mut table, trust?);
    let token = api_token(check, &mut table, 1);
    let protocol = protocol(check, &mut table);
    table.end(check);
    Some(Nova {
        base: base?,
        token: token?,
        protocol,
    })
}

fn libvirt(check: &Check, mut table: Table) -> Option<Libvirt> {
    let trust = trust(check, &mut table);
    let base = base(check, &mut table, trust?);
    table.end(check);
    Some(Libvirt { base: base? })
}

fn websockify(check: &Check, mut table: Table) -> Option<Websockify> {
    let path = table.needs(check, "path").then(|| table.text(check, "path")).flatten();
    let path = path.map(|path| check.folder.join(path));
    if let Some(path) = &path
        && !path.exists()
    {
        check.wrong::<()>(format_args!("{}: {} is not there", table.key("path"), path.display()));
    }
    let protocol = protocol(check, &mut table);
    table.end(check);
    Some(Websockify { path: path?, protocol })
}

/// The protocol of an answer that does not say it.
fn protocol(check: &Check, table: &mut Table) -> Protocol {
    let protocol = table.take(
        check,
        "protocol",
        "one of \"vnc\", \"spice\", \"serial\", \"mks\"",
        |value| {
            let protocol: Protocol = value.as_str()?.parse().ok()?;
            (protocol != Protocol::Rdp).then_some(protocol)
        },
    );
    protocol.unwrap_or(Protocol::Vnc)
}

/// The authority of the server's certificate, and the gateway's own certificate.
fn trust(check: &Check, table: &mut Table) -> Option<Option<Arc<ClientConfig>>> {
    let name = table.name.clone();
    if table.has("certificate") != table.has("private_key") {
        check.wrong::<()>(format_args!("{name}: certificate and private_key need each other"));
    }
    let identity = (table.file(check, "certificate"), table.file(check, "private_key"));
    let identity = identity.0.as_ref().zip(identity.1.as_ref());
    let identity = identity.map(|(chain, key)| (&***chain, &***key));
    if !table.has("ca") {
        return Some(None);
    }
    let ca = table.file(check, "ca")?;
    match tls::client(&ca, None, identity) {
        Ok(config) => Some(Some(config)),
        Err(error @ (tls::TlsError::NoKey | tls::TlsError::OtherKey)) => {
            check.wrong(format_args!("{name} private_key: {error}"))
        }
        Err(error) => check.wrong(format_args!("{name} ca: {error}")),
    }
}

fn base(check: &Check, table: &mut Table, trust: Option<Arc<ClientConfig>>) -> Option<Base> {
    let there = table.needs(check, "url");
    let url = there.then(|| table.text(check, "url")).flatten()?;
    let key = table.key("url");
    match Base::parse(&url, trust) {
        Ok(base) => Some(base),
        Err(problem) => check.wrong(format_args!("{key}: {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_have_to_be_named() {
        let allow = |texts: &[&str]| Resolve {
            allow: texts.iter().map(|text| allowed(text).unwrap()).collect(),
            ..Resolve::default()
        };
        let wide = allow(&["0.0.0.0/0:5900-5999", "[::/0]:1-65535"]);
        let named = allow(&["127.0.0.0/8:5900", "169.254.169.254:80", "[fe80::/10]:7", "[::1]:5900"]);
        for (address, port, by_wide, by_named) in [
            ("10.1.0.11", 5900, true, false),
            ("10.1.0.11", 6000, false, false),
            ("2001:db8::1", 22, true, false),
            ("127.0.0.1", 5900, false, true),
            ("127.0.0.1", 5901, false, false),
            ("::ffff:127.0.0.1", 5900, false, true),
            ("::1", 5900, false, true),
            ("169.254.169.254", 80, false, true),
            ("169.254.1.1", 80, false, false),
            ("fe80::1", 7, false, true),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(wide.allows(address, port), by_wide, "{address}");
            assert_eq!(named.allows(address, port), by_named, "{address}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "10.0.0.0/8",
            "10.0.0.0/8:",
            "10.0.0.0/8:0",
            "10.0.0.0/8:9-8",
            "::/0:5900",
            "host:5900",
            "10.0.0.0/33:1",
        ] {
            assert!(allowed(text).is_none(), "{text}");
        }
    }
}
