//! The command line.

use std::path::PathBuf;

use clap::Parser;
use tracing::level_filters::LevelFilter;

/// Lets VNC viewers and browsers into a hypervisor that speaks VeNCrypt.
///
/// The tenant shows its own password to the bridge, or lets the hypervisor check it; the bridge does the
/// hypervisor's TLS and shows the hypervisor's password, which no tenant ever has. The first line of standard
/// output tells where it listens. It runs until it is ended.
#[derive(Debug, Parser)]
#[command(name = "vnc-bridge", version, after_help = AFTER)]
pub(crate) struct Cli {
    /// The configuration (TOML).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// What is logged, on standard error: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log: LevelFilter,
}

const AFTER: &str = r#"Example:
  vnc-bridge --config bridge.toml

Configuration; paths count from the folder of the file:
  [tenant]
  tcp = "127.0.0.1:5900"               # for viewers
  websocket = "127.0.0.1:6080"         # for browsers, at /websockify; one of the two, or both
  origins = ["http://127.0.0.1:8080"]  # with websocket: where the pages come from that may connect
  security = ["vnc"]                   # none, vnc, x509-none, x509-vnc, x509-plain
  password_file = "tenant-password"
  user = "alice"                       # for x509-plain
  certificate = "server-cert.pem"      # for x509-...
  private_key = "server-key.pem"
  passthrough = false                  # true: no password here, the hypervisor checks that of the tenant

  [hypervisor]
  address = "hypervisor.example.org:5901"
  security = ["x509-plain", "x509-vnc", "x509-none"]
  ca = "hypervisor-ca.pem"             # for x509-...
  server_name = "hypervisor.example.org"   # that of the certificate; without: the address
  user = "console"                     # for x509-plain
  password_file = "hypervisor-password"

  [policy]                             # may be left out, as each of its keys
  view_only = false                    # true: keys, pointer, clipboard and sizes do not reach the guest
  clipboard = "both"                   # both, to-guest, from-guest, none
  clipboard_bytes = 65536              # longer ones are withheld; without: as long as they are
  input_per_second = 1000              # keys and movements beyond it are withheld; without: any number
  shared = "tenant"                    # the shared flag: tenant (as it says), always, never
  viewers = 10                         # connected at a time; without: any number

  [operate]                            # may be left out, as each of its keys
  idle_seconds = 28800                 # a console on which no byte passes for so long is ended
  drain_seconds = 30                   # after SIGTERM: for open consoles to end by themselves

The password of a file is its first line. Of VNC passwords eight bytes count."#;
