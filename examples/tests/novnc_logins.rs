//! The log-ins that noVNC has from 1.4 on, in a browser: RSA-AES (6), Apple's Diffie-Hellman (30) and UltraVNC's second
//! logon (113), with our server, and through our proxy.
//!
//! Debian 12 has noVNC 1.3, which knows none of them. So these tests want the folder of a newer one in `NOVNC`, and fail
//! without it. Stage `new-peers` unpacks that of Debian's newest suite and runs them; `README.md` says how to do it by hand.

#[path = "real/browser.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod browser;
#[path = "real/gateway.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod gateway;
#[path = "real/guest.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod guest;
#[path = "real/picture.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod picture;
#[path = "real/pki.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod pki;
#[path = "support/ports.rs"]
mod ports;
#[path = "real/process.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod process;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use examples::stream::ReadAhead;
use examples::vnc::{Method, security_types};
use examples::websocket;
use rfb_proto::proxy::*;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use browser::{App, Site};
use picture::Picture;
use process::{Folder, Process, wait_for};

const METHODS: [Method; 3] = [Method::Ra2ne, Method::Ard, Method::MsLogon2];
/// The user that may log in to our server, and at our proxy. The two passwords have nothing in common.
const USER: &str = "alice";
const PASSWORD: &str = "Pa55-w0rd-of-alice";
const TENANT: &str = "t3nant-of-the-proxy";
const WRONG: &str = "wr0ng-pw";
/// The key of RSA of both.
const KEY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../rfb-proto/tests/data/logins/rsa-2048-pkcs8.pem"
);

/// noVNC's client, without its user interface. It takes a server with this key only.
const PAGE: &str = r##"<!DOCTYPE html>
<title>noVNC</title>
<div id="status"></div>
<div id="screen" style="width: 800px; height: 600px"></div>
<script type="module">
import RFB from "./core/rfb.js";
const say = (what) => { document.querySelector("#status").textContent = what; };
const asked = new URLSearchParams(location.search);
const server = `ws://${asked.get("host")}:${asked.get("port")}/${asked.get("path")}`;
const credentials = { username: "USER", password: asked.get("password") };
const rfb = new RFB(document.querySelector("#screen"), server, { credentials });
rfb.addEventListener("serververification", async (event) => {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", event.detail.publickey));
    const text = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (text === "FINGERPRINT") {
        rfb.approveServer();
    } else {
        say(`another key: ${text}`);
    }
});
rfb.addEventListener("credentialsrequired", (event) => say(`asked for: ${event.detail.types}`));
rfb.addEventListener("securityfailure", (event) => say(`refused: ${event.detail.reason}`));
// It ends as well when it is refused.
rfb.addEventListener("disconnect", () => { if (!document.querySelector("#status").textContent) say("disconnected"); });
</script>
"##;

/// The pages of noVNC that `NOVNC` names, which has to be a new one.
fn novnc(key: &Key) -> Site {
    let folder = std::env::var("NOVNC").expect("NOVNC: the folder of noVNC 1.4 or newer");
    assert!(
        Path::new(&folder).join("core/ra2.js").exists(),
        "{folder}: this noVNC has no RSA-AES"
    );
    let fingerprint: String = key.public().sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = PAGE.replace("USER", USER).replace("FINGERPRINT", &fingerprint);
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    Site::start(Box::leak(Box::new(App {
        folder: leak(folder),
        page: "logins.html",
        text: Some(leak(text)),
        status: "#status",
        canvas: "#screen canvas",
    })))
}

fn key() -> Key {
    let pem = std::fs::read_to_string(KEY).expect("the key");
    Key::from_pem(&pem).expect("a key of RSA")
}

fn seed() -> Seed {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("random bytes");
    Seed::new(bytes)
}

/// Starts `vnc-picture` with one way to log in.
fn serve(folder: &Folder, file: &Path, method: Method) -> (SocketAddr, Process) {
    let name = format!("picture-{method}");
    let password = folder.write(&format!("{name}.password"), format!("{PASSWORD}\n"));
    let mut process = Process::start(folder, &name, env!("CARGO_BIN_EXE_vnc-picture"), |command| {
        command.args(["--listen", "127.0.0.1:0", "--security", &method.to_string()]);
        command.args(["--user", USER, "--rsa-key", KEY, "--password-file"]);
        command.arg(password).arg(file);
    });
    let line = wait_for(&name, || {
        assert!(process.runs(), "{name} ended");
        Some(process.output().split_once('\n')?.0.to_owned())
    });
    (line.parse().expect("an address"), process)
}

/// A listener for browsers. What comes in is carried by `carry`.
fn listen<F>(runtime: &Runtime, origin: &str, carry: impl Fn(WebSocket) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("its address");
    let origins = [origin.to_owned()];
    runtime.spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            match websocket::accept(tcp, &origins).await {
                Ok(stream) => drop(tokio::spawn(carry(stream))),
                Err(error) => eprintln!("no WebSocket: {error}"),
            }
        }
    });
    address
}

type WebSocket = websocket::WebSocket<ReadAhead<TcpStream>>;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A picture in a file, and itself.
fn picture(folder: &Folder) -> (Picture, std::path::PathBuf) {
    let ramp = |x: usize, y: usize| u8::try_from((3 * x + 7 * y) % 251).expect("below 251");
    let picture = Picture::new(223, 101, |x, y| [ramp(x, y), ramp(y, 3 * x), ramp(x + y, 5)]);
    let file = folder.write("served.png", picture.to_png());
    (picture, file)
}

/// Our server role: `vnc-picture`, behind a WebSocket that carries bytes.
#[test]
#[ignore = "needs Chromium and noVNC of Debian's newest suite"]
fn novnc_logs_in_to_our_server() {
    let (folder, runtime, key) = (Folder::new(), runtime(), key());
    let (expected, file) = picture(&folder);
    let site = novnc(&key);
    for method in METHODS {
        let (server, _process) = serve(&folder, &file, method);
        let through = listen(&runtime, &site.origin(), move |mut stream| async move {
            let copied: io::Result<_> = async {
                let mut tcp = TcpStream::connect(server).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut tcp).await
            }
            .await;
            drop(copied);
        });
        let name = format!("server-{method}");
        site.open(&folder, &name, through, PASSWORD).shows(&expected);
        let mut page = site.open(&folder, &name, through, WRONG);
        assert_eq!(page.says("refused: "), "Authentication failed", "{name}");
    }
}

/// Answers for tenants with sealed log-ins; the hypervisor wants one of its own.
struct Handler {
    server: SocketAddr,
    key: Arc<Key>,
    ard: ArdSecret,
    ms_logon: MsLogonSecret,
}

impl ProxyHandler for Handler {
    type Hypervisor = TcpStream;

    fn challenge(&mut self) -> [u8; 16] {
        unreachable!("VNC authentication is not offered")
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
        let shown = match shown {
            ClientCredentials::Plain(shown) => Some(shown),
            ClientCredentials::DiffieHellman(response) => self.ard.open(&response),
            ClientCredentials::MsLogonII(response) => self.ms_logon.open(&response),
            other => panic!("{other:?}"),
        };
        let is_right = |shown: &Credentials| {
            shown.user[..] == *USER.as_bytes() && shown.password == Secret::new(TENANT.as_bytes())
        };
        match shown.is_some_and(|shown| is_right(&shown)) {
            true => Ok(()),
            false => Err(Refusal::Failed(Reason::from_static("not at this proxy"))),
        }
    }

    async fn dial(&mut self, _: Dial) -> Result<(TcpStream, Upstream), NotDialled> {
        let upstream = Upstream::default()
            .with_credentials(Credentials {
                user: Bytes::from_static(USER.as_bytes()),
                password: Secret::new(PASSWORD.as_bytes()),
            })
            .with_seed(seed())
            .with_rsa_aes(self.key.clone(), Pin::Key(self.key.public().clone()));
        Ok((TcpStream::connect(self.server).await?, upstream))
    }

    fn rsa_aes(&mut self) -> Option<(Arc<Key>, Seed)> {
        Some((self.key.clone(), seed()))
    }

    fn diffie_hellman(&mut self) -> Option<ArdParameters> {
        Some(self.ard.parameters().clone())
    }

    fn ms_logon_ii(&mut self) -> Option<MsLogonParameters> {
        Some(*self.ms_logon.parameters())
    }
}

/// Both roles of our proxy: the tenant logs in with one of the three, and the proxy to the hypervisor with RSA-AES of 256
/// bits and its layer.
#[test]
#[ignore = "needs Chromium and noVNC of Debian's newest suite"]
fn novnc_logs_in_at_our_proxy() {
    let (folder, runtime, key) = (Folder::new(), runtime(), Arc::new(key()));
    let (expected, file) = picture(&folder);
    let site = novnc(&key);
    let (server, _process) = serve(&folder, &file, Method::Ra2Long);
    for method in METHODS {
        let bridge = BridgeConfig::default()
            .with_tenant_types(&security_types(&[method]))
            .with_hypervisor_types(&security_types(&[Method::Ra2Long]));
        let (config, own) = (Arc::new(ProxyConfig::new(bridge)), key.clone());
        let through = listen(&runtime, &site.origin(), move |stream| {
            let handler = Handler {
                server,
                key: own.clone(),
                ard: ArdSecret::new(&seed()),
                ms_logon: MsLogonSecret::new(&seed()),
            };
            let connection = Connection::new(config.clone());
            async move {
                let (end, _) = drive_session(connection, stream, handler).await;
                println!("{end}");
            }
        });
        let name = format!("proxy-{method}");
        site.open(&folder, &name, through, TENANT).shows(&expected);
        // The hypervisor's own password is none of the proxy's.
        for wrong in [WRONG, PASSWORD] {
            let mut page = site.open(&folder, &name, through, wrong);
            assert_eq!(page.says("refused: "), "not at this proxy", "{name}");
        }
    }
}
