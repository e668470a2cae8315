//! Tokens as texts, and the ways to consoles.

use std::time::Duration;

use console_token::serial::{PortAllocator, PortRange};
use console_token::webmks::{Action, Buffers, Login, LoginConfig, MksTicket, Thumbprint};
use console_token::{AccessUrl, ConsoleType, Pepper, Peppers, Secret};

use crate::keep;

/// A new token of 256 bits.
pub fn mint() -> Box<dyn FnMut()> {
    let random = [0x5a; 32];
    Box::new(move || keep(Secret::base64url(std::hint::black_box(&random))))
}

/// What was presented, checked and hashed under one pepper.
pub fn hash() -> Box<dyn FnMut()> {
    let pepper = Pepper::new(&[7; 32]).unwrap();
    let text = Secret::base64url(&[0x5a; 32]).expose().to_owned();
    Box::new(move || keep(pepper.hash(&Secret::presented(std::hint::black_box(text.as_bytes())).unwrap())))
}

/// The same under the pepper in use and the one before.
pub fn hash_twice() -> Box<dyn FnMut()> {
    let [current, previous] = [7, 8].map(|key| Pepper::new(&[key; 32]).unwrap());
    let peppers = Peppers::new(current).with_previous(previous);
    let text = Secret::base64url(&[0x5a; 32]).expose().to_owned();
    Box::new(move || {
        let token = Secret::presented(std::hint::black_box(text.as_bytes())).unwrap();
        peppers.hashes(&token).for_each(keep);
    })
}

const BASE: &str = "https://console.example/vnc_lite.html?scale=true&path=websockify";

/// The URL that a tenant opens.
pub fn url() -> Box<dyn FnMut()> {
    let token = Secret::base64url(&[0x5a; 32]);
    Box::new(move || keep(AccessUrl::new(ConsoleType::NoVnc, std::hint::black_box(BASE), &token).unwrap()))
}

/// The same as Nova has it.
pub fn nova_url() -> Box<dyn FnMut()> {
    let token = Secret::uuid4(&[0x5a; 16]);
    Box::new(move || keep(AccessUrl::nova(ConsoleType::NoVnc, std::hint::black_box(BASE), token.expose()).unwrap()))
}

/// A port behind a thousand that are taken, and back.
pub fn port() -> Box<dyn FnMut()> {
    let mut ports = PortAllocator::new(PortRange::DEFAULT);
    for _ in 0..1000 {
        ports.acquire("192.0.2.7", |_, _| true).unwrap();
    }
    Box::new(move || {
        let port = ports.acquire(std::hint::black_box("192.0.2.7"), |_, _| true).unwrap();
        keep(ports.release("192.0.2.7", port));
    })
}

/// A log-in at authd, with both certificates looked at.
pub fn log_in() -> Box<dyn FnMut()> {
    let certificates = [vec![7_u8; 900], vec![8_u8; 900]];
    let named = format!("200 {:#}\r\n", Thumbprint::of(&certificates[1]));
    let replies = ["220 authd\r\n", "331 more\r\n", "230 in\r\n", &named, "200 ok\r\n"].map(str::to_owned);
    Box::new(move || {
        let ticket = Secret::presented(b"52b5ae81-8d36-1a2f-0c3b-3d2a4c1e0f9d").unwrap();
        let ticket = MksTicket::new(ticket, "/vmfs/volumes/a/b.vmx", Thumbprint::of(&certificates[0])).unwrap();
        let mut login = Login::new(Duration::ZERO, LoginConfig::default(), ticket, &[7; 12]);
        let mut buffers = Buffers::default();
        let (mut replies, mut certificates) = (replies.iter(), certificates.iter());
        loop {
            match login.step(Duration::ZERO, &mut buffers).unwrap() {
                Action::Receive { .. } => buffers.rx.extend_from_slice(replies.next().unwrap().as_bytes()),
                Action::StartTls(_) => login.secured(&mut buffers, certificates.next().unwrap()).unwrap(),
                Action::Waiting => unreachable!("TLS was reported"),
                Action::Done(outcome) => return keep(outcome),
            }
            buffers.tx.clear();
        }
    })
}
