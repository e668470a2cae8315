//! The gateway as a program: what it prints, what it refuses, how it ends.

#[path = "support/authd.rs"]
mod authd;
#[path = "console_gateway/configuration.rs"]
mod configuration;
#[path = "console_gateway/demo.rs"]
mod demo;
#[path = "console_gateway/http.rs"]
mod http;
#[path = "support/narrow.rs"]
mod narrow;
#[path = "support/ports.rs"]
mod ports;
#[path = "console_gateway/program.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod program;
#[path = "console_gateway/service.rs"]
mod service;
#[path = "console_gateway/slow.rs"]
mod slow;
#[path = "console_gateway/spice.rs"]
mod spice;
#[path = "console_gateway/whole/mod.rs"]
mod whole;
