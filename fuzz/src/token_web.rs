//! The texts of HTTP that console-token decides by: where a token is, where a page comes from, where a CONNECT goes.
//!
//! ```text
//! | what u8 | ... |                what modulo 8:
//! 0 places:     | target, with headers behind line ends |
//! 1 written:    | place u8 | token |
//! 2 URL:        | token: length u8, bytes | URL |
//! 3 hosts:      | text |
//! 4 origin:     | TLS u8 | host, forwarded protocol, forwarded host: length u8, bytes | origin |
//! 5 CONNECT:    | head |
//! 6 address:    | 4 or 16 bytes |
//! 7 client:     | X-Forwarded-For |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use console_token::web::origin::{Caller, Origin, OriginError, OriginRule, Request};
use console_token::web::place::{self, Place, PlaceError, Presented};
use console_token::web::target::{Connect, ConnectError, Console, Special, TargetError, TargetRule};
use console_token::web::{Authority, Host, Network, Redacted};

use crate::Input;

/// Checks one input, and names what it reached.
pub fn check(data: &[u8]) -> Option<&'static str> {
    let mut input = Input::new(data);
    match input.byte() % 8 {
        0 => places(&text(input.rest())),
        1 => written(input),
        2 => url(input),
        3 => hosts(&text(input.rest())),
        4 => origin(input),
        5 => connect(input.rest()),
        6 => address(input.rest()),
        _ => client(&text(input.rest())),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn bounded(found: &Result<Option<Presented>, PlaceError>) -> bool {
    match found {
        Ok(Some(presented)) => {
            assert!((1..=Presented::MAX_LEN).contains(&presented.expose().len()));
            let secret = presented.secret();
            assert!(secret.is_err() || secret.unwrap().expose().as_bytes() == presented.expose());
            let signed = presented.signed();
            assert!(signed.is_err() || signed.unwrap().expose().as_bytes() == presented.expose());
            true
        }
        _ => false,
    }
}

/// One that is there twice is none, wherever.
fn places(text: &str) -> Option<&'static str> {
    let mut lines = text.split('\n');
    let target = lines.next().unwrap_or_default();
    let headers: Vec<&str> = lines.collect();
    let found = place::query(target);
    let names = target
        .split('#')
        .next()
        .unwrap()
        .split_once('?')
        .map_or("", |(_, query)| query);
    let plain = names
        .split('&')
        .filter(|pair| *pair == "token" || pair.starts_with("token="))
        .count();
    if 1 < plain {
        assert_eq!(found.as_ref().err(), Some(&PlaceError::Repeated));
    }
    let nova = place::nova(target, headers.first().copied());
    let mut reached = None;
    if bounded(&found) {
        let bytes = found.unwrap().unwrap();
        assert_eq!(nova.unwrap().as_str(), self::text(bytes.expose()));
        reached = Some("place: query");
    }
    let cookie = place::cookie(headers.iter().copied());
    if bounded(&cookie) {
        reached = Some("place: cookie");
        let twice: Vec<&str> = headers.iter().chain(&headers).copied().collect();
        assert_eq!(place::cookie(twice).unwrap_err(), PlaceError::Repeated);
    }
    let bearer = place::bearer(headers.iter().copied());
    let basic = place::basic(headers.iter().copied());
    for (name, found) in [("place: bearer", bearer), ("place: basic", basic)] {
        if bounded(&found) {
            assert_eq!(headers.len(), 1);
            reached = Some(name);
        }
    }
    if let Ok(protocols) = place::sub_protocols(headers.iter().copied()) {
        assert!(
            protocols
                .others
                .iter()
                .all(|name| !name.starts_with(place::SUB_PROTOCOL))
        );
        if bounded(&Ok(protocols.token)) {
            reached = Some("place: sub-protocol");
        }
    }
    if let Ok(Some((token, _))) = place::connect_host(target) {
        assert!(bounded(&Ok(Some(token))));
        reached = reached.or(Some("place: host"));
    }
    reached
}

/// What a place carries is found there as it was.
fn written(mut input: Input<'_>) -> Option<&'static str> {
    let place = Place::ALL[usize::from(input.byte()) % Place::ALL.len()];
    let token = text(input.rest());
    let Some(written) = place.write(&token) else {
        assert!(!place.carries(&token));
        return Some("written: not carried");
    };
    assert!(place.carries(&token));
    let found = match place {
        Place::Query => place::query(&format!("/?a=1&{}#x", *written)).unwrap(),
        Place::Cookie => place::cookie([format!("a=1; {}", *written).as_str()]).unwrap(),
        Place::Header => place::bearer([written.as_str()]).unwrap(),
        Place::ProxyHeader => place::basic([written.as_str()]).unwrap(),
        Place::SubProtocol => {
            place::sub_protocols([format!("binary,{}", *written).as_str()])
                .unwrap()
                .token
        }
        Place::ConnectHost => place::connect_host(&format!("{}:1", *written))
            .unwrap()
            .map(|(token, _)| token),
        _ => place::spice_password(written.as_bytes()).unwrap(),
    };
    assert_eq!(found.unwrap().expose(), token.as_bytes());
    if let Some(cookie) = place::set_cookie(&token, "/", 1) {
        assert_eq!(cookie.matches(';').count(), 5);
    }
    Some(match place {
        Place::Query => "written: query",
        Place::Cookie => "written: cookie",
        Place::Header => "written: header",
        Place::ProxyHeader => "written: proxy's header",
        Place::SubProtocol => "written: sub-protocol",
        Place::ConnectHost => "written: host",
        _ => "written: password",
    })
}

/// One line of visible ASCII, and no token that stands behind a name that tells.
fn url(mut input: Input<'_>) -> Option<&'static str> {
    let token = text(input.short_blob());
    let url = text(input.rest());
    let shown = Redacted(&url).to_string();
    assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(shown.len() <= 3 * Redacted::LONGEST + 3);
    let plain = url.replace(['#', '?'], "");
    // As it is shown: what stands for a byte may end in digits, too.
    let visible: String = plain
        .bytes()
        .map(|byte| match byte.is_ascii_graphic() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    let is_marked = token.len() == 12 && token.bytes().all(|byte| byte.is_ascii_digit()) && !visible.contains(&token);
    if !is_marked || Redacted::LONGEST / 2 < url.len() {
        return None;
    }
    let base = url.split(['?', '#']).next().unwrap();
    for secret in [
        format!("{base}?{plain}&token={token}"),
        format!("{base}?path=x%3Ftoken%3D{token}"),
        format!("{base}#token={token}"),
        format!("https://u:{token}@gw.example/"),
        format!("/token/{token}/x"),
    ] {
        assert!(!Redacted(&secret).to_string().contains(&token), "{secret}");
    }
    Some("redacted")
}

/// Whatever is read has one form, and no other reader takes a name for an address.
fn hosts(text: &str) -> Option<&'static str> {
    let mut reached = None;
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
        reached = Some("network");
    }
    if let Ok(authority) = text.parse::<Authority>() {
        assert_eq!(authority.to_string().parse(), Ok(authority.clone()));
        if let Host::Name(name) = &authority.host {
            let last = name.as_str().rsplit('.').next().unwrap();
            assert!(last.parse::<u128>().is_err() && !last.starts_with("0x"));
            assert!(
                name.as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte))
            );
        }
        reached = Some(match (&authority.host, authority.port) {
            (Host::Name(_), None) => "host: name",
            (Host::Name(_), Some(_)) => "host: name and port",
            (Host::Address(IpAddr::V4(_)), _) => "host: IPv4",
            (Host::Address(IpAddr::V6(_)), _) => "host: IPv6",
        });
    }
    reached
}

fn origin(mut input: Input<'_>) -> Option<&'static str> {
    let tls = input.byte() & 1 != 0;
    let (host, proto, forwarded) = (
        text(input.short_blob()),
        text(input.short_blob()),
        text(input.short_blob()),
    );
    let origin = text(input.rest());
    let (hosts, protos, forwardeds, origins) = (
        [host.as_str()],
        [proto.as_str()],
        [forwarded.as_str()],
        [origin.as_str()],
    );
    let proxy: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let stranger: IpAddr = Ipv4Addr::new(11, 0, 0, 1).into();
    let rule = OriginRule::default().with_proxy("10.0.0.0/8".parse().unwrap());
    let plain = |peer| rule.check(&Request::new(peer, tls, &hosts, &origins));
    let told = |peer| {
        let request = Request::new(peer, tls, &hosts, &origins);
        rule.check(&request.with_forwarded_proto(&protos).with_forwarded_host(&forwardeds))
    };
    // Each part of the rule admits what it names, and nothing else.
    let request = Request::new(stranger, tls, &hosts, &origins);
    let closed = OriginRule::default().with_same_origin(false).with_no_browser(false);
    assert!(closed.check(&request).is_err());
    let none = Request::new(stranger, tls, &hosts, &[]);
    assert_eq!(closed.check(&none), Err(OriginError::Missing));
    assert_eq!(rule.check(&none), Ok(Caller::NoBrowser));
    let twice = [origins[0], origins[0]];
    let twice = Request::new(stranger, tls, &hosts, &twice);
    assert_eq!(rule.check(&twice), Err(OriginError::Ambiguous));
    if let Ok(page) = origin.parse::<Origin>() {
        let own = closed.clone().with_page(page.clone());
        assert_eq!(own.check(&request), Ok(Caller::Page(page.clone())));
        let neighbours = closed.with_host(page.host.clone()).check(&request);
        let own = rule.own(&request);
        assert_eq!(neighbours.is_ok(), own.is_ok_and(|own| own.scheme == page.scheme));
    }
    let port = request.with_forwarded_port(&forwardeds);
    assert_eq!(rule.check(&port), plain(stranger));
    // What a stranger says of where it was asked changes nothing.
    assert_eq!(told(stranger), plain(stranger));
    let result = told(proxy);
    match (&result, plain(stranger)) {
        (Ok(Caller::Page(page)), _) => {
            // Only a request with the name of the page is accepted.
            assert_eq!(
                forwarded
                    .split(',')
                    .next()
                    .unwrap()
                    .trim_matches([' ', '\t'])
                    .parse::<Authority>()
                    .unwrap()
                    .host,
                page.host
            );
            assert_eq!(page.to_string().parse(), Ok(page.clone()));
            Some("origin: forwarded")
        }
        (_, Ok(Caller::Page(page))) => {
            assert_eq!(host.parse::<Authority>().unwrap().host, page.host);
            Some("origin: own")
        }
        (Err(OriginError::Opaque), _) => Some("origin: opaque"),
        (Err(OriginError::Foreign), _) => Some("origin: foreign"),
        (Err(OriginError::Host), _) => Some("origin: no host"),
        (Err(OriginError::Malformed | OriginError::InvalidHost(_)), _) => Some("origin: malformed"),
        other => unreachable!("{other:?}"),
    }
}

/// A head is the same however it came, and no less of it is one.
fn connect(bytes: &[u8]) -> Option<&'static str> {
    let whole = Connect::parse(bytes);
    let connect = match whole {
        Ok(Some(connect)) => connect,
        Ok(None) => {
            assert!(bytes.len() < Connect::MAX_LEN);
            return Some("CONNECT: not whole");
        }
        Err(error) => {
            assert!((400..432).contains(&error.status()));
            return Some(match error {
                ConnectError::Method => "CONNECT: method",
                ConnectError::Content => "CONNECT: content",
                ConnectError::TooLong => "CONNECT: too long",
                _ => "CONNECT: malformed",
            });
        }
    };
    let len = connect.len();
    assert!(bytes[..len].ends_with(b"\r\n\r\n"));
    assert!(Connect::parse(&bytes[..len - 1]).unwrap().is_none());
    let alone = Connect::parse(&bytes[..len]).unwrap().unwrap();
    assert_eq!(alone.target(), connect.target());
    let has_token = bounded(&connect.token());
    if let Ok((host, port)) = connect.target() {
        let mut rule = TargetRule::default();
        assert!(rule.check(&host, port).is_err());
        rule.insert(host.clone(), port);
        let admitted = rule.check(&host, port);
        match &host {
            Host::Address(address) => assert_eq!(admitted.is_err(), Special::of(*address).is_some()),
            Host::Name(_) => assert!(admitted.is_ok()),
        }
        if let Ok(console) = admitted {
            resolved(&console, &host, port);
        }
        assert!(rule.remove(&host, port) && !rule.remove(&host, port) && rule.check(&host, port).is_err());
        assert!(!format!("{connect:?}").contains('/'));
        return Some(if has_token { "CONNECT: token" } else { "CONNECT: target" });
    }
    connect.host_token().ok().flatten().map(|_| "CONNECT: host token")
}

/// A gateway connects to no special address, and to no other one than a console's own.
fn resolved(console: &Console<'_>, host: &Host, port: NonZeroU16) {
    assert_eq!(console.host(), host);
    assert_eq!(console.addresses(&[]), Err(TargetError::Unresolved));
    let (public, own): (IpAddr, IpAddr) = (Ipv4Addr::new(192, 0, 2, 7).into(), Ipv4Addr::LOCALHOST.into());
    match host {
        Host::Name(_) => {
            assert_eq!(console.addresses(&[public]), Ok(vec![(public, port.get()).into()]));
            assert!(matches!(
                console.addresses(&[public, own]),
                Err(TargetError::Special(_))
            ));
        }
        Host::Address(address) => {
            assert_eq!(console.addresses(&[*address]), Ok(vec![(*address, port.get()).into()]));
            assert_eq!(console.addresses(&[own, *address]), Err(TargetError::Unresolved));
        }
    }
}

/// IPv4 by arithmetic of its own, and the same however it is wrapped.
fn address(bytes: &[u8]) -> Option<&'static str> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        let number = u32::from_be_bytes(octets);
        let inside =
            |first: [u8; 4], prefix: u32| number >> (32 - prefix) == u32::from_be_bytes(first) >> (32 - prefix);
        let expected = [
            ([0, 0, 0, 0], 8),
            ([127, 0, 0, 0], 8),
            ([169, 254, 0, 0], 16),
            ([192, 0, 0, 0], 24),
            ([224, 0, 0, 0], 3),
        ]
        .into_iter()
        .any(|(first, prefix)| inside(first, prefix))
            || [[168, 63, 129, 16], [100, 100, 100, 200]].contains(&octets);
        let plain = Special::of(Ipv4Addr::from(octets).into());
        assert_eq!(plain.is_some(), expected);
        let [high, low] = [(number >> 16) as u16, number as u16];
        for segments in [
            [0, 0, 0, 0, 0, 0xffff, high, low],
            [0, 0, 0, 0, 0xffff, 0, high, low],
            [0x64, 0xff9b, 0, 0, 0, 0, high, low],
            [0x2002, high, low, 0, 0, 0, 0, 1],
            [0x2001, 0, high, low, 0, 0, 0x3fff, 0xfdf8],
            [0x2001, 0, 0xc000, 0x0207, 0, 0, !high, !low],
            [0x2001, 0xdb8, 0, 0, 0x0200, 0x5efe, high, low],
        ] {
            assert_eq!(Special::of(Ipv6Addr::from(segments).into()), plain, "{segments:x?}");
        }
        return Some(if expected {
            "address: special IPv4"
        } else {
            "address: IPv4"
        });
    }
    let octets = <[u8; 16]>::try_from(bytes).ok()?;
    let address = IpAddr::from(octets);
    let special = Special::of(address);
    assert_eq!(Special::of(address.to_canonical()), special);
    let rule = TargetRule::default();
    assert_eq!(rule.admit(address).is_err(), special.is_some());
    let except = TargetRule::default().with_exception(Network::of(address));
    assert!(except.admit(address).is_ok());
    Some(if special.is_some() {
        "address: special IPv6"
    } else {
        "address: IPv6"
    })
}

/// It is the peer, or an address that stands in the text and was told by a proxy.
fn client(text: &str) -> Option<&'static str> {
    let rule = OriginRule::default().with_proxy("10.0.0.0/8".parse().unwrap());
    let stranger: IpAddr = Ipv4Addr::new(11, 0, 0, 1).into();
    assert_eq!(rule.client(stranger, &[text]), stranger);
    let proxy: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let client = rule.client(proxy, &[text]);
    let lines: Vec<&str> = text.split(',').collect();
    assert_eq!(rule.client(proxy, &lines), client);
    Some(if client == proxy {
        "client: proxy"
    } else {
        "client: told"
    })
}
