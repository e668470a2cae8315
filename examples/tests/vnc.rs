//! The VNC programs with each other: vnc-screenshot, vnc-bridge, vnc-picture. What they do with programs of others
//! is in `tests/real`.

#[path = "vnc/bridge.rs"]
mod bridge;
#[path = "vnc/odd_servers.rs"]
mod odd_servers;
#[path = "vnc/program.rs"]
mod program;
#[path = "vnc/screenshot.rs"]
mod screenshot;
