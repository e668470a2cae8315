//! Strangers from many addresses do what costs us most. Beside them honest viewers get in, and an open console loses
//! nothing. Half a minute of attack each: `cargo test -p examples --all-features --test strangers -- --ignored`.

#[path = "strangers/attack.rs"]
mod attack;
#[path = "strangers/bridge.rs"]
mod bridge;
#[path = "strangers/gateway.rs"]
mod gateway;
#[path = "console_gateway/http.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod http;
#[path = "console_gateway/program.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod program;
#[path = "strangers/scene.rs"]
mod scene;
#[path = "console_gateway/spice.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod spice;
