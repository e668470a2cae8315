//! Redis and PostgreSQL, each started for one test: on loopback, on data in a temporary folder, ended by
//! its process id.

use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::ports::free_port;

/// How long an engine may take to start, also after it was killed.
const START: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Redis,
    Postgres,
}

/// A running engine.
pub(crate) struct Engine {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Engine {
    /// Sets up an empty one and starts it.
    pub(crate) fn start(kind: Kind) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("console-token-{kind:?}-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        if let Some((user, group)) = postgres_user(kind) {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let port = free_port().port();
        let mut engine = Self {
            kind,
            folder,
            port,
            child: None,
        };
        if kind == Kind::Postgres {
            let mut initdb = engine.command(&postgres("initdb"));
            initdb.args([
                "--username=test",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--pgdata",
            ]);
            let output = initdb.arg(engine.folder.join("data")).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        engine.run();
        engine
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = postgres_user(self.kind) {
            command.uid(user).gid(group);
        }
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Starts it on what it has kept.
    pub(crate) fn run(&mut self) {
        let port = self.port.to_string();
        let mut command = match self.kind {
            Kind::Redis => {
                let mut redis = self.command(Path::new("redis-server"));
                redis.args([
                    "--bind",
                    "127.0.0.1",
                    "--port",
                    &port,
                    "--save",
                    "",
                    "--daemonize",
                    "no",
                ]);
                // It keeps what it has confirmed, as `RedisStore` asks for.
                redis.args(["--appendonly", "yes", "--appendfsync", "always"]);
                redis
            }
            Kind::Postgres => {
                let mut server = self.command(&postgres("postgres"));
                server.args([
                    "-p",
                    &port,
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "unix_socket_directories=",
                ]);
                server.args(["-c", "max_connections=150"]);
                server.arg("-D").arg(self.folder.join("data"));
                server
            }
        };
        let log = self.folder.join("log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program())));
        let start = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < START, "{ended:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Ends it without a chance to put anything in order.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if self.kind == Kind::Postgres {
            // "Immediate": all of its processes end at once, and the next start has to recover.
            let id = child.id().to_string();
            let _ = Command::new("kill").args(["-QUIT", &id]).status();
            let start = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The address of a store in an engine, or in what forwards to it.
pub(crate) fn url(kind: Kind, address: &str) -> String {
    match kind {
        Kind::Redis => format!("redis://{address}/"),
        // Connections through a proxy of the test know no TLS.
        Kind::Postgres => format!("postgres://test@{address}/postgres?sslmode=disable"),
    }
}

/// PostgreSQL refuses to run as root; Debian's package brings a user for it.
fn postgres_user(kind: Kind) -> Option<(u32, u32)> {
    let root = std::fs::metadata("/proc/self")
        .map(|own| std::os::unix::fs::MetadataExt::uid(&own))
        .unwrap()
        == 0;
    if kind == Kind::Redis || !root {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .expect("the user postgres");
    let mut ids = user.split(':').skip(2).map(|id| id.parse().unwrap());
    Some((ids.next().unwrap(), ids.next().unwrap()))
}

/// A program of PostgreSQL, whose folder has its version in it.
fn postgres(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("Debian's postgresql");
    let newest = versions.map(|entry| entry.unwrap().path()).max();
    newest.expect("a version of PostgreSQL").join("bin").join(program)
}
