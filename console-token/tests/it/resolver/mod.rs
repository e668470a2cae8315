//! What other proxies resolve their tokens with.

mod libvirt_proxy;
mod vm_console_proxy;
mod websockify_tokens;

use console_token::resolver::libvirt::{Answer, Kind};
use console_token::resolver::{ResolverError, kubevirt, libvirt, websockify};
use console_token::web::{Authority, Host, HostError};
use console_token::{JsonError, Secret, SignedToken, Target, UnixSeconds};
use expect_test::expect;
use proptest::prelude::*;
use zeroize::Zeroizing;

const MEMBER: fn(&'static str) -> ResolverError = ResolverError::Member;
const HOST: fn(HostError) -> ResolverError = ResolverError::Host;

fn secret(text: &str) -> Secret {
    Secret::presented(text.as_bytes()).unwrap()
}

fn host(host: &str, port: u16) -> Target {
    Target::Host {
        host: host.into(),
        port: Some(port),
        tls_port: None,
    }
}

fn tls(host: &str, port: u16) -> Target {
    Target::Host {
        host: host.into(),
        port: None,
        tls_port: Some(port),
    }
}

#[test]
fn texts() {
    let texts = [
        ResolverError::Json(JsonError::Syntax),
        MEMBER("host"),
        HOST(HostError::TrailingDot),
        ResolverError::Target,
        ResolverError::Token,
    ];
    expect![[r#"
        invalid JSON: not JSON
        invalid host
        invalid host: a host with a dot at its end: it has to be written without
        a target that this form has no place for
        a token that this form has no place for"#]]
    .assert_eq(&texts.map(|error| error.to_string()).join("\n"));
}

proptest! {
    /// What is written reads as the same again with each reader.
    #[test]
    fn written_and_read(token in "[!-~]{1,40}", name in "[a-z][a-z0-9.-]{0,20}|[0-9a-f:]{2,20}|[0-9.]{7,15}", number: u16) {
        let token = secret(&token);
        let target = host(&name, number);
        let is_host = number != 0 && name.parse::<Host>().is_ok();
        let same = |read: &Target| {
            let Target::Host { host, port: Some(port), .. } = read else { return false };
            *port == number && host.parse::<Host>() == name.parse()
        };
        let answer = Answer { kind: Kind::Vnc, target: target.clone(), insecure: false, password: None };
        prop_assert_eq!(answer.to_json().is_ok(), is_host);
        if is_host {
            let json = answer.to_json().unwrap();
            prop_assert!(same(&Answer::from_json(json.as_bytes()).unwrap().target));
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert!(value["address"].as_str().unwrap().parse::<Authority>().is_ok());
            let file = libvirt::write_file([(&token, &answer)]).unwrap();
            prop_assert!(same(&libvirt::lookup(file.as_bytes(), &token).unwrap().unwrap().target));
            prop_assert!(same(&websockify::from_json(websockify::to_json(&target).unwrap().as_bytes()).unwrap()));
            if let Ok(line) = websockify::line(&token, &target) {
                prop_assert!(same(&websockify::lookup(&line, token.expose()).unwrap().target().unwrap()));
            } else {
                prop_assert!(token.expose().starts_with('#'));
            }
            match websockify::to_redis(&target) {
                Ok(value) => prop_assert!(same(&websockify::from_redis(&value).unwrap())),
                Err(_) => prop_assert!(name.contains(':')),
            }
        }
    }

    /// No text can do harm.
    #[test]
    fn any_text(text in "\\PC{0,80}|[\\[\\]{}:\", a-z0-9#\n\r\t]{0,80}", token in "[!-~]{1,8}") {
        let bytes = text.as_bytes();
        let _ = (Answer::from_json(bytes).is_ok(), libvirt::lookup(bytes, &secret(&token)).is_ok());
        let _ = (websockify::from_json(bytes).is_ok(), websockify::from_redis(&text).is_ok());
        let _ = kubevirt::Answer::from_json(bytes).is_ok();
        for (own, entry) in websockify::entries(&text) {
            prop_assert!(text.contains(own) && text.contains(entry.host));
            let _ = entry.target().is_ok();
            prop_assert!(websockify::lookup(&text, own).is_some());
        }
        let fields = websockify::source_fields(&text);
        prop_assert!(fields.iter().all(|field| text.contains(field)));
        let _ = websockify::RedisSource::from_source(&text).is_ok();
    }
}
