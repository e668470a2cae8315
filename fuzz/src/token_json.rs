//! The bodies and files of others that console-token reads: Nova's API, and the forms of resolvers.
//!
//! ```text
//! | what u8 | version u8 | text |                what modulo 9:
//! 0 request   1 answer to it   2 what a token leads to   3 fault          of Nova, in microversion 2.version
//! 4 answer    5 file, whose token is the next | length u8, bytes |        of libvirt-console-proxy
//! 6 file      7 JSON, Redis value and source                              of websockify
//! 8 answer                                                                of vm-console-proxy
//! ```

use console_token::nova::{CreateAnswer, CreateRequest, Fault, Microversion, NovaError, ShowAnswer, show_path};
use console_token::resolver::libvirt::Answer;
use console_token::resolver::websockify::{Dialect, Entry};
use console_token::resolver::{ResolverError, kubevirt, libvirt, websockify};
use console_token::{ConsoleType, Grant, JsonError, Protocol, Secret, Target, UnixSeconds};
use serde_json::Value;

use crate::Input;

/// Checks one input, and names what it reached.
pub fn check(data: &[u8]) -> Option<&'static str> {
    let mut input = Input::new(data);
    let what = input.byte() % 9;
    let version = Microversion(input.byte().into());
    match what {
        0 => request(version, input.rest()),
        1 => created(version, input.rest()),
        2 => shown(version, input.rest()),
        3 => fault(input.rest()),
        4 => of_libvirt(input.rest()),
        5 => file_of_libvirt(input),
        6 => file_of_websockify(input),
        7 => of_websockify(input.rest()),
        _ => of_kubevirt(input.rest()),
    }
}

/// What is read within the limits is JSON for others too. In members that are not looked at there can be numbers that
/// fit no type and halves of characters, which others refuse.
fn value(json: &[u8]) -> Option<Value> {
    assert!(json.len() <= libvirt::MAX_FILE && std::str::from_utf8(json).is_ok());
    serde_json::from_slice(json).ok()
}

fn is_limit(error: JsonError, json: &[u8]) -> bool {
    let brackets = json.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    match error {
        JsonError::TooLong { limit } => limit < json.len(),
        JsonError::TooDeep { limit } => limit < brackets,
        _ => true,
    }
}

fn refused(error: NovaError, json: &[u8]) -> Option<&'static str> {
    if let NovaError::Body(error) = error {
        assert!(is_limit(error, json));
    }
    assert_eq!(Fault::from_json(error.fault().to_json().as_bytes()), Ok(error.fault()));
    (error.status() == 400).then_some("nova: refused")
}

fn request(version: Microversion, json: &[u8]) -> Option<&'static str> {
    let request = match CreateRequest::from_json(version, json) {
        Ok(request) => request,
        Err(error) => return refused(error, json),
    };
    let value = value(json)?;
    let (members, reached) = if version < Microversion::V2_6 {
        (
            value.as_object().unwrap().values().next().unwrap().clone(),
            "nova: action",
        )
    } else {
        assert_eq!(value["remote_console"]["protocol"], request.protocol.as_str());
        (value["remote_console"].clone(), "nova: request")
    };
    assert_eq!(members["type"], request.console_type.as_str());
    assert_eq!(request.console().protocol(), request.protocol);
    let own = CreateRequest::new(request.console_type);
    assert!(own == request || request.protocol == Protocol::Serial);
    let is_action = version < Microversion::V2_6;
    assert_eq!(CreateRequest::path(version) == "action", is_action);
    let written = request.to_json(version).unwrap();
    assert_eq!(CreateRequest::from_json(version, written.as_bytes()), Ok(request));
    Some(reached)
}

fn created(version: Microversion, json: &[u8]) -> Option<&'static str> {
    let answer = match CreateAnswer::from_json(version, json) {
        Ok(answer) => answer,
        Err(error) => return refused(error, json),
    };
    let (value, name) = (
        value(json)?,
        if version < Microversion::V2_6 {
            "console"
        } else {
            "remote_console"
        },
    );
    assert_eq!(value[name]["url"], answer.url.expose());
    assert!(answer.url.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    let again = CreateAnswer::from_json(version, answer.to_json(version).as_bytes()).unwrap();
    assert_eq!(
        (again.request, again.url.expose()),
        (answer.request, answer.url.expose())
    );
    Some("nova: created")
}

fn shown(version: Microversion, json: &[u8]) -> Option<&'static str> {
    let answer = match ShowAnswer::from_json(version, json) {
        Ok(answer) => answer,
        Err(error) => return refused(error, json),
    };
    let value = value(json)?;
    let console = &value["console"];
    assert_eq!(console["port"], answer.port);
    assert_eq!(console["host"].as_str(), answer.host.as_deref());
    let path = answer.internal_access_path.as_ref().map(|path| path.expose());
    assert_eq!(console["internal_access_path"].as_str(), path);
    let again = ShowAnswer::from_json(version, answer.to_json(version).unwrap().as_bytes());
    assert_eq!(again.as_ref(), Ok(&answer));
    if let Ok(target) = answer.target() {
        granted(&answer, target);
    }
    match answer.target() {
        Ok(Target::Host { host, port, tls_port }) => {
            assert!(!host.is_empty() && port != Some(0) && tls_port != Some(0));
            Some(if tls_port.is_some() { "nova: TLS" } else { "nova: shown" })
        }
        Ok(Target::Internal { path, .. }) => {
            assert!(!path.expose().is_empty());
            Some("nova: internal")
        }
        Ok(Target::Unix { .. } | _) => unreachable!(),
        Err(_) => Some("nova: no target"),
    }
}

/// A grant for the target gives the same answer; one without a server, or for a socket, gives none.
fn granted(answer: &ShowAnswer, target: Target) {
    let console = if answer.tls_port.is_some() {
        ConsoleType::SpiceDirect
    } else {
        ConsoleType::NoVnc
    };
    let grant = Grant::new(target, console, UnixSeconds(1), 600);
    assert_eq!(ShowAnswer::of(&grant), Err(NovaError::Member("instance_uuid")));
    let again = ShowAnswer::of(&grant.with_vm(&answer.instance_uuid)).expect("it has a port");
    assert_eq!((&again.host, again.port), (&answer.host, answer.port));
    assert_eq!(again.target().is_ok(), answer.target().is_ok());
    let socket = Target::Unix {
        path: "/run/vnc".into(),
    };
    let socket = Grant::new(socket, console, UnixSeconds(1), 600).with_vm(&answer.instance_uuid);
    assert_eq!(ShowAnswer::of(&socket), Err(NovaError::Member("host")));
}

fn fault(json: &[u8]) -> Option<&'static str> {
    // What is answered for want of a machine or a token is read again as well.
    for error in [
        NovaError::InstanceNotFound,
        NovaError::TokenNotFound,
        NovaError::InstanceNotReady,
        NovaError::NotImplemented,
    ] {
        assert!(error.status() != 400 && refused(error, json).is_none());
    }
    let fault = match Fault::from_json(json) {
        Ok(fault) => fault,
        Err(error) => return refused(error, json),
    };
    assert_eq!(value(json)?[fault.name()]["code"], fault.code);
    assert_eq!(Fault::from_json(fault.to_json().as_bytes()), Ok(fault));
    Some("nova: fault")
}

fn of_libvirt(json: &[u8]) -> Option<&'static str> {
    let answer = match Answer::from_json(json) {
        Ok(answer) => answer,
        Err(ResolverError::Json(error)) => {
            assert!(is_limit(error, json));
            return None;
        }
        Err(_) => return Some("libvirt: refused"),
    };
    let value = value(json)?;
    assert_eq!(value["insecure"].as_bool().unwrap_or_default(), answer.insecure);
    let password = answer.password.as_ref().map_or("", |password| password.as_str());
    assert_eq!(value["password"].as_str().unwrap_or_default(), password);
    assert!(
        password.len() < 3
            || !format!("{answer:?}")
                .replace("redacted", "")
                .contains(&format!("\"{password}\""))
    );
    assert_eq!(Answer::from_json(answer.to_json().unwrap().as_bytes()), Ok(answer));
    Some("libvirt: answer")
}

fn file_of_libvirt(mut input: Input<'_>) -> Option<&'static str> {
    let token = Secret::presented(input.short_blob()).ok()?;
    // In a path the token is one part, of characters that stand for themselves.
    for (path, front) in [
        (libvirt::path(&token), "token/"),
        (show_path(&token), "os-console-auth-tokens/"),
    ] {
        let part = path.strip_prefix(front).expect("its front");
        assert!(
            part.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte))
        );
    }
    let json = input.rest();
    let answer = match libvirt::lookup(json, &token) {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            assert!(value(json)?.get(token.expose()).is_none());
            return Some("libvirt: not in the file");
        }
        Err(_) => return None,
    };
    let value = value(json)?;
    // An answer alone has a limit of its own, which an entry of a file has not.
    let own = value[token.expose()].to_string();
    assert!(libvirt::MAX_LEN < own.len() || Answer::from_json(own.as_bytes()).as_ref() == Ok(&answer));
    let written = libvirt::write_file([(&token, &answer)]).unwrap();
    assert!(libvirt::write_file([(&token, &answer), (&token, &answer)]).is_err());
    assert_eq!(libvirt::lookup(written.as_bytes(), &token), Ok(Some(answer)));
    Some("libvirt: in the file")
}

/// Against the lines of the plugin, written down once more.
fn file_of_websockify(mut input: Input<'_>) -> Option<&'static str> {
    let token = String::from_utf8_lossy(input.short_blob()).into_owned();
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    for dialect in [Dialect::Released, Dialect::Repository] {
        let found = websockify::find(&text, &token, dialect).map(|row| joined(row.entry));
        assert_eq!(found, by_the_plugin(&text, &token, dialect), "{dialect:?}");
    }
    if let Some(row) = websockify::find(&text, &token, Dialect::default()) {
        assert!(websockify::entries(&text).any(|(own, entry)| own == token && entry == row.entry));
        // What is shown of a line has no token in it.
        assert_eq!(
            format!("{row:?}"),
            format!("Row {{ line: {}, entry: {:?}, .. }}", row.line, row.entry)
        );
    }
    let found = websockify::lookup(&text, &token);
    assert_eq!(
        found,
        websockify::find(&text, &token, Dialect::default()).map(|row| row.entry)
    );
    let target = found?.target();
    let Ok(target) = target else {
        return Some("websockify: no target");
    };
    let Ok(token) = Secret::presented(token.as_bytes()) else {
        return Some("websockify: other token");
    };
    if let Ok(line) = websockify::line(&token, &target) {
        assert_eq!(
            websockify::lookup(&line, token.expose()).unwrap().target(),
            Ok(target.clone())
        );
    }
    Some(if matches!(target, Target::Unix { .. }) {
        "websockify: socket"
    } else {
        "websockify: host"
    })
}

/// What `TokenFile` finds, as `host:port`.
fn by_the_plugin(text: &str, token: &str, dialect: Dialect) -> Option<String> {
    let is_space = |character: char| character.is_whitespace() || ('\x1c'..='\x1f').contains(&character);
    let mut found = None;
    for line in text.replace('\r', "\n").split_inclusive('\n') {
        let line = match dialect {
            Dialect::Released => line.trim_matches(is_space),
            Dialect::Repository => line,
        };
        if line.starts_with('#') {
            continue;
        }
        let characters: Vec<char> = line.chars().collect();
        let cuts: Vec<usize> = (0..characters.len().saturating_sub(1))
            .filter(|at| characters[*at] == ':' && is_space(characters[at + 1]))
            .collect();
        if let [cut] = cuts[..] {
            let own: String = characters[..cut].iter().collect();
            let target: String = characters[cut + 2..].iter().collect();
            if own == token {
                found = Some(target.trim_matches(is_space).to_owned());
            }
        }
    }
    found
}

fn joined(entry: Entry<'_>) -> String {
    match entry.port {
        Some(port) => format!("{}:{port}", entry.host),
        None => entry.host.to_owned(),
    }
}

fn of_websockify(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(target) = websockify::from_json(bytes) {
        assert_eq!(
            websockify::from_json(websockify::to_json(&target).unwrap().as_bytes()),
            Ok(target)
        );
        return Some("websockify: JSON");
    }
    if let Ok(target) = websockify::from_redis(&text) {
        assert_eq!(
            websockify::from_redis(&websockify::to_redis(&target).unwrap()),
            Ok(target)
        );
        return Some("websockify: Redis");
    }
    let fields = websockify::source_fields(&text);
    let plain: Vec<&str> = text.split(':').collect();
    assert!(fields == plain || text.contains('"'));
    let source = websockify::RedisSource::from_source(&text).ok()?;
    assert!(source.port != 0 && !source.host.is_empty());
    let token = Secret::presented(b"a-token").expect("it is one");
    let key = source.key(&token);
    assert!(key.ends_with("a-token") && source.namespace.as_ref().is_none_or(|name| key.starts_with(&**name)));
    let hides = format!("{source:?}").contains(r#"password: Some("redacted")"#);
    assert_eq!(hides, source.password.is_some());
    Some("websockify: source")
}

fn of_kubevirt(json: &[u8]) -> Option<&'static str> {
    let names = String::from_utf8_lossy(json);
    let (namespace, name) = names.split_once('/').unwrap_or((&names, "vm"));
    if let Some(path) = kubevirt::path(namespace, name, kubevirt::MIN_SECONDS) {
        // Both names are whole parts of it.
        assert!(path.contains(&format!("/{namespace}/virtualmachines/{name}/vnc?")) && path.matches('/').count() == 7);
    }
    assert_eq!(kubevirt::path(namespace, name, kubevirt::MIN_SECONDS - 1), None);
    let Ok(answer) = kubevirt::Answer::from_json(json) else {
        return None;
    };
    assert_eq!(value(json)?["token"], answer.token.expose());
    assert_eq!(
        kubevirt::Answer::from_json(answer.to_json().unwrap().as_bytes()),
        Ok(answer)
    );
    Some("kubevirt: answer")
}
