//! This project's own programs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Login, Security, TENANT, USER};
use crate::picture::Picture;
use crate::process::{Folder, Process, wait_for};

/// What became of one run of `vnc-screenshot`.
pub(crate) struct Screenshot {
    status: Option<i32>,
    said: String,
    picture: Option<Picture>,
}

/// Looks at a server once.
pub(crate) fn screenshot(folder: &Folder, name: &str, server: SocketAddr, login: &Login) -> Screenshot {
    let file = folder.join(&format!("{name}.png"));
    let _ = fs::remove_file(&file);
    let program = env!("CARGO_BIN_EXE_vnc-screenshot");
    let (status, said) = Process::run(folder, &format!("screenshot-{name}"), program, |command| {
        command.args(["--security", login.security.name()]);
        if login.security.has_tls() {
            command.arg("--ca").arg(&login.authority);
        }
        give_password(folder, name, login, command);
        command.arg(server.to_string()).arg(&file);
    });
    let picture = fs::read(file).ok().map(|png| Picture::from_png(&png));
    Screenshot { status, said, picture }
}

impl Screenshot {
    pub(crate) fn picture(self) -> Picture {
        assert_eq!(self.status, Some(0), "no screenshot: {}", self.said);
        self.picture.unwrap_or_else(|| panic!("no screenshot: {}", self.said))
    }

    /// There is no picture. Returns what the program says.
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.status, Some(1), "not refused: {}", self.said);
        assert!(self.picture.is_none(), "a screenshot of a session that was refused");
        self.said.trim_end().to_owned()
    }
}

/// Starts `vnc-picture` for one way to log in. Returns its address.
pub(crate) fn serve(folder: &Folder, file: &Path, pki: &Path, security: Security) -> (SocketAddr, Process) {
    let name = format!("picture-{}", security.name());
    let right = Login::right(security, pki);
    let mut process = Process::start(folder, &name, env!("CARGO_BIN_EXE_vnc-picture"), |command| {
        command.args(["--listen", "127.0.0.1:0", "--security", security.name()]);
        if security.has_tls() {
            command.arg("--certificate").arg(pki.join("server-cert.pem"));
            command.arg("--key").arg(pki.join("server-key.pem"));
        }
        give_password(folder, &name, &right, command);
        command.arg(file);
    });
    let address = first_line(&mut process, &name).parse().expect("an address");
    (address, process)
}

/// A running `vnc-bridge`.
pub(crate) struct Bridge {
    pub(crate) tcp: SocketAddr,
    pub(crate) websocket: SocketAddr,
    pub(crate) process: Process,
}

/// What a bridge is told of its hypervisor.
pub(crate) struct Hypervisor<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) login: &'a Login,
}

impl Bridge {
    /// Starts one whose tenants show [`TENANT`], or with `passthrough` what the hypervisor wants.
    pub(crate) fn start(folder: &Folder, name: &str, hypervisor: &Hypervisor, origin: &str, passthrough: bool) -> Self {
        let Hypervisor { address, login } = hypervisor;
        folder.write(&format!("{name}.tenant"), format!("{TENANT}\n"));
        let own = if passthrough {
            "passthrough = true".to_owned()
        } else {
            format!("password_file = \"{name}.tenant\"")
        };
        let mut config = format!(
            "[tenant]\ntcp = \"127.0.0.1:0\"\nwebsocket = \"127.0.0.1:0\"\norigins = [\"{origin}\"]\n\
             security = [\"vnc\"]\n{own}\n\
             [hypervisor]\naddress = \"{address}\"\nsecurity = [\"{}\"]\nca = \"{}\"\n",
            login.security.name(),
            login.authority.display(),
        );
        if let Some(password) = login.password.filter(|_| !passthrough) {
            folder.write(&format!("{name}.hypervisor"), format!("{password}\n"));
            config += &format!("password_file = \"{name}.hypervisor\"\n");
        }
        if login.security.has_user() {
            config += &format!("user = \"{USER}\"\n");
        }
        let config = folder.write(&format!("{name}.toml"), config);
        let mut process = Process::start(folder, name, env!("CARGO_BIN_EXE_vnc-bridge"), |command| {
            command.arg("--config").arg(config);
        });
        let line = first_line(&mut process, name);
        let address = |listener: &str| {
            let (_, rest) = line.split_once(&format!("\"{listener}\":\""))?;
            rest.split('"').next()?.parse().ok()
        };
        Self {
            tcp: address("tcp").expect("a listener for viewers"),
            websocket: address("websocket").expect("a listener for browsers"),
            process,
        }
    }
}

/// The first line that a program writes to its standard output.
fn first_line(process: &mut Process, name: &str) -> String {
    wait_for(name, || {
        let said = process.output();
        assert!(process.runs(), "{name} ended");
        Some(said.split_once('\n')?.0.to_owned())
    })
}

/// Tells a program who is to log in.
fn give_password(folder: &Folder, name: &str, login: &Login, command: &mut Command) {
    if let Some(password) = login.password {
        let file = folder.write(&format!("{name}.password"), format!("{password}\n"));
        command.arg("--password-file").arg(file);
    }
    if login.security.has_user() {
        command.args(["--user", USER]);
    }
}
