//! The example program, run.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::example::example;
use crate::peers::{Manners, Viewer, serve, view};

/// For all that one test does.
const BOUND: Duration = Duration::from_secs(60);

fn command() -> Command {
    let mut command = Command::new(example("vnc_gateway"));
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

struct Gateway {
    child: Child,
    token: String,
    address: String,
}

async fn hypervisor() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(Box::new(tcp), b"secret", b'h', Manners::Good));
        }
    });
    port
}

async fn gateway(password: &str, uses: &str) -> Gateway {
    let mut command = command();
    command.args(["127.0.0.1:0", "127.0.0.1", &hypervisor().await, password, uses]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = async |word: &str| {
        let line = lines.next_line().await.unwrap().unwrap();
        line.strip_prefix(word).expect(word).to_owned()
    };
    let token = read("token ").await;
    let address = read("listening on ").await;
    Gateway { child, token, address }
}

impl Gateway {
    async fn open(&self, token: &str) -> Option<Viewer> {
        let tcp = TcpStream::connect(&self.address).await.unwrap();
        view(Box::new(tcp), Some(("user", token))).await
    }
}

#[tokio::test]
async fn vnc_gateway_lets_a_token_in_as_often_as_it_is_good() {
    let test = async {
        let gateway = gateway("secret", "2").await;
        assert!(gateway.open("another").await.is_none());
        let (one, other) = (
            gateway.open(&gateway.token).await.unwrap(),
            gateway.open(&gateway.token).await.unwrap(),
        );
        assert_eq!((one.desktop, other.desktop), (b'h', b'h'));
        assert!(gateway.open(&gateway.token).await.is_none());
        drop((one, other));
        assert!(gateway.open(&gateway.token).await.is_none());
    };
    timeout(BOUND, test).await.expect("in time");
}

/// It is refused each time, and not for a spent token: its log says so.
#[tokio::test]
async fn vnc_gateway_spends_no_use_on_a_hypervisor_that_refuses() {
    let test = async {
        let mut gateway = gateway("wrong", "1").await;
        let mut log = BufReader::new(gateway.child.stderr.take().unwrap()).lines();
        for _ in 0..2 {
            assert!(gateway.open(&gateway.token).await.is_none());
            let closed = loop {
                let line = log.next_line().await.unwrap().unwrap();
                if line.starts_with("Closed") {
                    break line;
                }
            };
            assert!(closed.contains("spent: false"), "{closed}");
        }
    };
    timeout(BOUND, test).await.expect("in time");
}

#[tokio::test]
async fn vnc_gateway_says_how_it_is_used() {
    let run = command().arg("127.0.0.1:0").output();
    let output = timeout(BOUND, run).await.expect("in time").unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage: vnc_gateway LISTEN"));
}
