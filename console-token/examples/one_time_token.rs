//! Grants a one-time token, redeems it, and shows that it is spent.
//!
//! `cargo run --example one_time_token`

use core::error::Error;
use std::time::SystemTime;

use console_token::{
    AttemptId, ConsoleType, Grant, MemoryStore, Pepper, Secret, Target, Transition, UnixSeconds, VerifyContext,
};

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()))
}

fn main() -> Result<(), Box<dyn Error>> {
    // The issuer. A pepper of several gateways is configuration, and kept apart from the store.
    let (store, pepper) = (MemoryStore::new(10_000), Pepper::new(&random::<32>()?)?);
    let token = Secret::base64url(&random()?);
    let target = Target::Host {
        host: "192.0.2.7".into(),
        port: Some(5900),
        tls_port: None,
    };
    let grant = Grant::new(target, ConsoleType::NoVnc, now(), 600).with_vm("db-7");
    store.insert(&pepper.hash(&token), &grant)?;
    println!("granted {} characters for db-7", token.expose().len());

    // The gateway: what a viewer presented. Each attempt has 16 random bytes of its own.
    let presented = token.expose().as_bytes();
    let hash = pepper.hash(&Secret::presented(presented)?);
    let context = VerifyContext::at(now());
    let redeem = |attempt| store.apply(&hash, &context, Transition::Redeem(AttemptId(attempt)));
    let admitted = redeem(random()?)?;
    println!("redeemed: connect to {:?}", admitted.grant.target);

    // The reason is for the log; viewers get the same text whatever the reason is.
    match redeem(random()?) {
        Err(error) => println!("again: {error}; the viewer gets: {}", error.public()),
        Ok(_) => return Err("a one-time token was redeemed twice".into()),
    }
    Ok(())
}
