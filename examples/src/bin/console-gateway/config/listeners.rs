//! The listeners, which clients may come in at each, and the addresses that users get.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use console_token::Secret;
use console_token::web::Network;
use console_token::web::origin::Origin;
use rustls::ServerConfig;

use super::table::{Check, Table};
use super::{api_token, networks, origins, server};
use crate::console::vv::Viewer;

/// Shortest token of the API: 16 characters of base64 are 96 bits.
const TOKEN_MIN: usize = 16;

/// The address of the API, and the token that it requires.
pub(crate) struct Api {
    pub(crate) listen: SocketAddr,
    pub(crate) token: Secret,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// The listeners for viewers.
#[derive(Default)]
pub(crate) struct Listen {
    pub(crate) spice: Option<SocketAddr>,
    pub(crate) spice_tls: Option<SocketAddr>,
    pub(crate) web: Option<SocketAddr>,
    pub(crate) web_plain: Option<SocketAddr>,
    pub(crate) vnc: Option<SocketAddr>,
    /// For the other gateways of the store.
    pub(crate) gateways: Option<SocketAddr>,
    /// The pages of others that may connect.
    pub(crate) origins: Vec<Origin>,
    /// From these a PROXY header comes first.
    pub(crate) proxy_protocol: Vec<Network>,
    /// From these X-Forwarded-* is believed.
    pub(crate) forwarded: Vec<Network>,
    /// Of `spice_tls`, `web` and `vnc`.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// The same certificate, for VeNCrypt.
    pub(crate) vnc_tls: Option<rfb_proto::tls::ServerTls>,
}

/// What users are told.
#[derive(Debug)]
pub(crate) struct Public {
    url: Option<String>,
    /// The host of the viewer's file was named.
    names_host: bool,
    viewer: Viewer,
    spice_port: PublicPort,
    spice_tls_port: PublicPort,
}

/// A port in `.vv` files.
#[derive(Debug, Clone, Copy)]
enum PublicPort {
    None,
    Number(NonZeroU16),
    /// The one that the listener got.
    Bound,
}

impl PublicPort {
    fn number(self, bound: Option<SocketAddr>) -> Option<u16> {
        match self {
            Self::None => None,
            Self::Number(port) => Some(port.get()),
            Self::Bound => bound.map(|address| address.port()),
        }
    }
}

impl Public {
    /// The host and ports in `.vv` files, once the listeners are bound.
    pub(crate) fn viewer(&self, spice: Option<SocketAddr>, spice_tls: Option<SocketAddr>) -> Viewer {
        Viewer {
            port: self.spice_port.number(spice),
            tls_port: self.spice_tls_port.number(spice_tls),
            ..self.viewer.clone()
        }
    }

    /// The base of access URLs, without a slash at its end.
    pub(crate) fn url(&self, web: Option<SocketAddr>, web_plain: Option<SocketAddr>) -> String {
        let at = |address: SocketAddr| match self.names_host {
            true => format!("{}:{}", self.viewer.host, address.port()),
            false => address.to_string(),
        };
        match (&self.url, web, web_plain) {
            (Some(url), ..) => url.clone(),
            (None, Some(web), _) => format!("https://{}", at(web)),
            (None, None, Some(web)) => format!("http://{}", at(web)),
            (None, None, None) => format!("http://{}", self.viewer.host),
        }
    }
}

pub(super) fn api(check: &Check, mut table: Table) -> Option<Api> {
    let listen = table
        .needs(check, "listen")
        .then(|| table.address(check, "listen"))
        .flatten();
    let token = api_token(check, &mut table, TOKEN_MIN);
    let with_tls = table.has("certificate") || table.has("private_key");
    let tls = with_tls.then(|| server(check, &mut table)).flatten();
    if !with_tls && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        check.wrong::<()>("[api] listen: an address that is not loopback needs certificate and private_key");
    }
    table.end(check);
    Some(Api {
        listen: listen?,
        token: token?,
        tls,
    })
}

pub(super) fn listen(check: &Check, mut table: Table) -> Listen {
    let with_tls = ["spice_tls", "web", "vnc", "certificate", "private_key"];
    let with_tls = with_tls.iter().any(|key| table.has(key));
    let vnc_tls = with_tls.then(|| vnc_tls(check, &table)).flatten();
    let tls = with_tls.then(|| server(check, &mut table)).flatten();
    let listen = Listen {
        spice: table.address(check, "spice"),
        spice_tls: table.address(check, "spice_tls"),
        web: table.address(check, "web"),
        web_plain: table.address(check, "web_plain"),
        vnc: table.address(check, "vnc"),
        gateways: table.address(check, "gateways"),
        origins: origins(check, &mut table, "origins"),
        proxy_protocol: networks(check, &mut table, "proxy_protocol"),
        forwarded: networks(check, &mut table, "forwarded"),
        tls,
        vnc_tls,
    };
    let is_open = |address: SocketAddr| !address.ip().is_loopback() && listen.forwarded.is_empty();
    if listen.web_plain.is_some_and(is_open) {
        check.wrong::<()>(
            "[listen] web_plain: only a loopback address can go without TLS, unless [listen] forwarded names who may come",
        );
    }
    let named = [
        ("spice", listen.spice),
        ("spice_tls", listen.spice_tls),
        ("web", listen.web),
        ("web_plain", listen.web_plain),
        ("vnc", listen.vnc),
        ("gateways", listen.gateways),
    ];
    for (n, (name, address)) in named.iter().enumerate() {
        let same =
            |other: &&(&str, Option<SocketAddr>)| address.is_some_and(|at| at.port() != 0) && other.1 == *address;
        if let Some((other, _)) = named[..n].iter().find(same) {
            check.wrong::<()>(format_args!("[listen] {name} has the address of {other}"));
        }
    }
    table.end(check);
    listen
}

/// The certificate once more, as VeNCrypt needs it. What is wrong with it is said elsewhere.
fn vnc_tls(check: &Check, table: &Table) -> Option<rfb_proto::tls::ServerTls> {
    let read = |key: &str| std::fs::read(check.folder.join(table.peek(key)?)).ok();
    let (certificate, key) = (read("certificate")?, zeroize::Zeroizing::new(read("private_key")?));
    let identity = rfb_proto::tls::Identity {
        chain: &certificate,
        key: &key,
    };
    rfb_proto::tls::ServerTls::new(identity, None).ok()
}

pub(super) fn public(check: &Check, mut table: Table, listen: &Listen) -> Option<Public> {
    let url = table.text(check, "url");
    if let Some(url) = &url {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_base = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', ' ', '@']));
        if !is_base {
            check.wrong::<()>(
                "[public] url: http:// or https:// with a host is expected, without query, fragment and user",
            );
        }
    }
    let speaks_spice = listen.spice.is_some() || listen.spice_tls.is_some();
    let host_of_url = || {
        let (_, rest) = url.as_ref()?.split_once("://")?;
        let authority = rest.split('/').next()?;
        let parsed: console_token::web::Authority = authority.parse().ok()?;
        Some(parsed.host.to_string())
    };
    let names_host = table.has("host") || url.is_some();
    let host = match table.has("host") {
        true => table.text(check, "host"),
        false if speaks_spice => check.wrong("[public] host is missing: it goes into .vv files"),
        false => host_of_url().or_else(|| Some("localhost".to_owned())),
    };
    let spice_port = public_port(check, &mut table, "spice_port", listen.spice);
    let spice_tls_port = public_port(check, &mut table, "spice_tls_port", listen.spice_tls);
    let with_ca = table.has("ca");
    let ca = table.file(check, "ca");
    let ca = match ca.map(|bytes| String::from_utf8(bytes.to_vec())) {
        Some(Ok(ca)) => Some(ca),
        Some(Err(_)) => check.wrong("[public] ca: not text"),
        None => None,
    };
    if !with_ca && !matches!(spice_tls_port, PublicPort::None) {
        check.wrong::<()>("[public] spice_tls_port needs ca");
    }
    let viewer = Viewer {
        host: host.unwrap_or_default(),
        port: Some(1),
        tls_port: ca.as_ref().map(|_| 1),
        ca,
        host_subject: table.text(check, "host_subject"),
    };
    table.end(check);
    let url = url.map(|url| url.trim_end_matches('/').to_owned());
    // One is written for a try, so that none fails later.
    match viewer.file("token", "title", false) {
        _ if viewer.host.is_empty() => None, // said already
        Ok(_) => Some(Public {
            url,
            names_host,
            viewer,
            spice_port,
            spice_tls_port,
        }),
        Err(error) => check.wrong(format_args!("[public] no connection file can be made: {error}")),
    }
}

/// A port in `.vv` files needs a listener behind it.
fn public_port(check: &Check, table: &mut Table, key: &str, listener: Option<SocketAddr>) -> PublicPort {
    let wanted = "a port from 0 to 65535, or \"bound\",";
    let port = table.take(check, key, wanted, |value| match value.as_str() {
        Some("bound") => Some(PublicPort::Bound),
        _ => {
            let port = u16::try_from(value.as_integer()?).ok()?;
            Some(NonZeroU16::new(port).map_or(PublicPort::None, PublicPort::Number))
        }
    });
    let port = port.unwrap_or(PublicPort::None);
    if listener.is_none() && !matches!(port, PublicPort::None) {
        let listener = key.trim_end_matches("_port");
        check.wrong::<()>(format_args!("[public] {key} needs [listen] {listener}"));
    }
    port
}
