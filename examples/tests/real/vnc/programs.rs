//! This project's own programs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use examples::vnc::Method;

use super::{Login, TENANT, USER};
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
        command.args(["--security", &login.method.to_string()]);
        if login.method.needs().tls {
            command.arg("--ca").arg(&login.authority);
        }
        if let Some(fingerprint) = login.rsa_key {
            command.args(["--rsa-key", &fingerprint.to_string()]);
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
pub(crate) fn serve(folder: &Folder, file: &Path, pki: &Path, method: Method) -> (SocketAddr, Process) {
    let name = format!("picture-{method}");
    let right = Login::right(method, pki);
    let mut process = Process::start(folder, &name, env!("CARGO_BIN_EXE_vnc-picture"), |command| {
        command.args(["--listen", "127.0.0.1:0", "--security", &method.to_string()]);
        if method.needs().tls {
            command.arg("--certificate").arg(pki.join("server-cert.pem"));
            command.arg("--key").arg(pki.join("server-key.pem"));
        }
        give_password(folder, &name, &right, command);
        command.arg(file);
    });
    let address = first_line(&mut process, &name).parse().expect("an address");
    (address, process)
}

/// Where no page comes from.
pub(crate) const NOWHERE: &str = "http://nowhere.example";

/// A running `vnc-bridge`.
pub(crate) struct Bridge {
    pub(crate) tcp: SocketAddr,
    pub(crate) websocket: SocketAddr,
    pub(crate) process: Process,
}

/// The credentials that each side shows to the bridge.
#[derive(Clone, Copy)]
pub(crate) enum Tenants<'a> {
    /// [`TENANT`], from viewers and from pages of this origin.
    Own(&'a str),
    /// What the hypervisor wants.
    PassedThrough,
}

impl Bridge {
    pub(crate) fn start(folder: &Folder, name: &str, hypervisor: SocketAddr, login: &Login, tenants: Tenants) -> Self {
        Self::with_policy(folder, name, hypervisor, login, tenants, "")
    }

    /// The same with more tables in its configuration.
    pub(crate) fn with_policy(
        folder: &Folder,
        name: &str,
        hypervisor: SocketAddr,
        login: &Login,
        tenants: Tenants,
        policy: &str,
    ) -> Self {
        let (origin, own) = match tenants {
            Tenants::Own(origin) => {
                folder.write(&format!("{name}.tenant"), format!("{TENANT}\n"));
                (origin, format!("password_file = \"{name}.tenant\""))
            }
            Tenants::PassedThrough => (NOWHERE, "passthrough = true".to_owned()),
        };
        let mut config = format!(
            "[tenant]\ntcp = \"127.0.0.1:0\"\nwebsocket = \"127.0.0.1:0\"\norigins = [\"{origin}\"]\n\
             security = [\"vnc\"]\n{own}\n\
             [hypervisor]\naddress = \"{hypervisor}\"\nsecurity = [\"{}\"]\nca = \"{}\"\n",
            login.method,
            login.authority.display(),
        );
        if let Some(password) = login.password.filter(|_| matches!(tenants, Tenants::Own(_))) {
            folder.write(&format!("{name}.hypervisor"), format!("{password}\n"));
            config += &format!("password_file = \"{name}.hypervisor\"\n");
        }
        if login.method.needs().user {
            config += &format!("user = \"{USER}\"\n");
        }
        config += policy;
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
pub(crate) fn first_line(process: &mut Process, name: &str) -> String {
    wait_for(name, || {
        let said = process.output();
        assert!(process.runs(), "{name} ended");
        Some(said.split_once('\n')?.0.to_owned())
    })
}

/// Gives a program its credentials.
fn give_password(folder: &Folder, name: &str, login: &Login, command: &mut Command) {
    if let Some(password) = login.password {
        let file = folder.write(&format!("{name}.password"), format!("{password}\n"));
        command.arg("--password-file").arg(file);
    }
    if login.method.needs().user {
        command.args(["--user", USER]);
    }
}
