//! Key presses over a link of 80 ms there and back and 10 Mbit/s, between two network namespaces that are made for it:
//! hypervisors and gateway are in one, the viewer in the other.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::certificates::Files;
use crate::hypervisor::Hypervisors;
use crate::process::Process;
use crate::program::{Gateway, SPICE, Settings};
use crate::table::{Bound, Table};
use crate::{Bench, keys, median};

/// The address of the end with the servers.
pub const SERVER: &str = "10.213.77.1";
const VIEWER: &str = "10.213.77.2";
/// 40 ms each way; 33 full packets are on their way, and 100 may wait.
const NETEM: [&str; 7] = ["netem", "delay", "40ms", "rate", "10mbit", "limit", "133"];
const ROUNDS: usize = 3;
const EVERY: Duration = Duration::from_millis(40);
/// Key presses of a round.
const KEYS: usize = 500;

/// Runs a command. `false`: it failed.
fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn ip(line: &str) -> bool {
    runs("ip", &line.split(' ').collect::<Vec<_>>())
}

/// Two namespaces with a link between them, gone with this value.
struct Namespaces {
    servers: String,
    viewers: String,
    /// What makes the link, where the kernel does not.
    link: Option<Process>,
}

impl Namespaces {
    /// `Err`: why there are none.
    fn make(files: &Files) -> Result<Self, &'static str> {
        let id = std::process::id();
        let mut namespaces = Self {
            servers: format!("bench{id}s"),
            viewers: format!("bench{id}v"),
            link: None,
        };
        let Self { servers, viewers, .. } = &namespaces;
        for name in [servers, viewers] {
            if !ip(&format!("netns add {name}")) || !ip(&format!("-n {name} link set lo up")) {
                return Err("no network namespaces: it needs root and iproute2");
            }
        }
        if namespaces.netem(id) {
            return Ok(namespaces);
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway/link.py");
        let log = std::fs::File::create(files.path("link.log")).map_err(|_| "no file for the log")?;
        let mut command = Command::new("python3");
        command.args([script, servers, SERVER, viewers, VIEWER]).stderr(log);
        match Process::with_line(&mut command) {
            Some((process, line)) if line.trim_end() == "up" => namespaces.link = Some(process),
            _ => return Err("neither netem in the kernel, nor python3 with a TUN device"),
        }
        Ok(namespaces)
    }

    /// A pair of devices with netem. `false`: this kernel has none.
    fn netem(&self, id: u32) -> bool {
        let Self { servers, viewers, .. } = self;
        let (near, far) = (format!("bench{id}a"), format!("bench{id}b"));
        if !ip(&format!(
            "link add {near} netns {servers} type veth peer name {far} netns {viewers}"
        )) {
            return false;
        }
        let ends = [(servers, &near, SERVER, VIEWER), (viewers, &far, VIEWER, SERVER)];
        let made = ends.iter().all(|(namespace, device, own, peer)| {
            let mut shaped = vec!["-n", namespace, "qdisc", "add", "dev", device, "root"];
            shaped.extend(NETEM);
            // One packet counts as one.
            ip(&format!("-n {namespace} link set {device} gso_max_segs 1"))
                && ip(&format!("-n {namespace} address add {own} peer {peer} dev {device}"))
                && ip(&format!("-n {namespace} link set {device} up"))
                && runs("tc", &shaped)
        });
        if !made {
            ip(&format!("-n {servers} link del {near}"));
        }
        made
    }

    /// This program, in one of them.
    fn program(&self, namespace: &str) -> Command {
        let mut command = Command::new("ip");
        let program = std::env::current_exe().expect("this program");
        command.args(["netns", "exec", namespace]).arg(program);
        command
    }

    fn made_by(&self) -> &'static str {
        match self.link {
            Some(_) => "TUN devices and gateway/link.py: this kernel has no netem",
            None => "netem",
        }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.link = None;
        for name in [&self.servers, &self.viewers] {
            ip(&format!("netns del {name}"));
        }
    }
}

/// `link-server`: hypervisors and a gateway, until standard input ends.
pub fn serve(folder: &Path, program: &Path) {
    let files = Files::read(folder);
    let hypervisors = Hypervisors::start(&files, "0.0.0.0");
    let settings = Settings {
        host: SERVER,
        ..Settings::default()
    };
    let gateway = Gateway::start(program, &files, hypervisors.places(), &settings);
    let mut api = gateway.api();
    let tokens: Vec<String> = (0..ROUNDS).map(|_| api.token(SPICE[0])).collect();
    let direct = SocketAddr::new(SERVER.parse().expect("an address"), hypervisors.spice[0].port());
    let line = json!({"gateway": gateway.address("spice_tls"), "direct": direct, "tokens": tokens});
    println!("{line}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// `link-keys`: a viewer.
pub async fn press(folder: &Path, to: SocketAddr, token: &str) {
    let files = Files::read(folder);
    let times = keys::at_a_rate(&files, to, token, EVERY, KEYS).await;
    println!("{} {}", times.percentile(0.5), times.percentile(0.99));
}

/// The servers. They end when their standard input does.
struct Servers(Child);

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The row.
pub fn rows(bench: &Bench, table: &mut Table) {
    let what =
        "key press beside a saturated display channel, over 80 ms and 10 Mbit/s, 99th percentile, of a direct one";
    let namespaces = match Namespaces::make(&bench.files) {
        Ok(namespaces) => namespaces,
        Err(why) => return table.missing(what, why),
    };
    let mut command = namespaces.program(&namespaces.servers);
    command.arg("link-server").arg(&bench.files.folder).arg(&bench.program);
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut servers = Servers(started.expect("this program"));
    let mut line = String::new();
    let stdout = servers.0.stdout.take().expect("standard output");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let line: Value = serde_json::from_str(&line).expect("servers");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut taken = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        let paths = [
            (text(&line["gateway"]), text(&line["tokens"][round])),
            (text(&line["direct"]), "direct".to_owned()),
        ];
        for (number, (to, token)) in paths.into_iter().enumerate() {
            let mut command = namespaces.program(&namespaces.viewers);
            command.arg("link-keys").arg(&bench.files.folder).args([to, token]);
            let output = command.stdin(Stdio::null()).output().expect("this program");
            let output = String::from_utf8_lossy(&output.stdout).into_owned();
            let times: Vec<f64> = output.split_whitespace().flat_map(str::parse).collect();
            let [half, nearly_all] = times[..] else {
                return table.missing(what, "the viewer failed");
            };
            taken[number].push(half);
            taken[2 + number].push(nearly_all);
        }
    }
    let [own_half, half, own, direct] = taken.map(median);
    let of = format!(
        "{own:.0} of {direct:.0} ms; the link is made by {}",
        namespaces.made_by()
    );
    table.figure(what, (own / direct, ""), Bound::AtMost(1.1), of);
    let of = format!("{own_half:.0} of {half:.0} ms");
    table.figure(
        "the same, median, of a direct one",
        (own_half / half, ""),
        Bound::AtMost(1.1),
        of,
    );
}
