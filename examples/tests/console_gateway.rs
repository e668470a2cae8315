//! The gateway as a program: what it prints, what it refuses, how it ends.

#[path = "console_gateway/configuration.rs"]
mod configuration;
#[path = "console_gateway/demo.rs"]
mod demo;
#[path = "console_gateway/http.rs"]
mod http;
#[path = "console_gateway/program.rs"]
mod program;
#[path = "console_gateway/service.rs"]
mod service;
#[path = "console_gateway/spice.rs"]
mod spice;
