//! Writes a connection file for a SPICE console with TLS. The password, or a token in its place, comes on standard input.
//!
//! `cargo run -p vv-file --example write_vv -- gw.example.org 5901 'db 7' ca.pem < token > console.vv`

use core::error::Error;
use std::io::{Read as _, Write as _};

use vv_file::{Builder, Channel};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, tls_port, title, ca] = &arguments[..] else {
        return Err("usage: write_vv HOST TLS-PORT TITLE CA-FILE < TOKEN".into());
    };
    let mut token = String::new();
    std::io::stdin().take(1024).read_to_string(&mut token)?;
    let authority = std::fs::read_to_string(ca).map_err(|error| format!("{ca}: {error}"))?;
    let file = Builder::spice(host)
        .tls_port(tls_port.parse()?)
        .secure_channels([Channel::All])
        .title(title)
        .ca(&authority)
        .password(token.trim_end())
        .build()?;
    std::io::stdout().write_all(file.as_bytes())?;
    Ok(())
}
