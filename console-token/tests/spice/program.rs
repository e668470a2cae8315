//! The example program, run.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::example::example;
use crate::hypervisor::{Hypervisor, session_id};
use crate::line::{Line, link};
use crate::{DENIED, INPUTS, MAIN};

/// For all that one test does.
const BOUND: Duration = Duration::from_secs(60);

fn command() -> Command {
    let mut command = Command::new(example("spice_gateway"));
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

struct Gateway {
    _child: Child,
    _lines: Lines<BufReader<ChildStdout>>,
    token: String,
    address: String,
}

async fn gateway(hypervisor: u16, password: &str, uses: &str) -> Gateway {
    let mut command = command();
    command.args(["127.0.0.1:0", "127.0.0.1", &hypervisor.to_string(), password, uses]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = async |word: &str| {
        let line = lines.next_line().await.unwrap().unwrap();
        line.strip_prefix(word).expect(word).to_owned()
    };
    let token = read("token ").await;
    let address = read("listening on ").await;
    Gateway {
        _child: child,
        _lines: lines,
        token,
        address,
    }
}

impl Gateway {
    async fn link(&self, channel: spice_proto::ids::ChannelType, id: u32, token: &str) -> Result<Line, Option<u32>> {
        let tcp = TcpStream::connect(&self.address).await.unwrap();
        link(Box::new(tcp), channel, id, token.as_bytes()).await
    }

    async fn open(&self) -> Result<(u32, Line, Line), Option<u32>> {
        let mut main = self.link(MAIN, 0, &self.token).await?;
        let id = session_id(&main.expect(103).await);
        main.say(104, &[]).await;
        main.expect(104).await;
        let inputs = self.link(INPUTS, id, &self.token).await?;
        Ok((id, main, inputs))
    }
}

async fn hypervisor() -> (Arc<Hypervisor>, u16) {
    let hypervisor = Hypervisor::new(b"secret", 100);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = hypervisor.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serving.clone().serve(Box::new(tcp)));
        }
    });
    (hypervisor, port)
}

#[tokio::test]
async fn spice_gateway_lets_a_token_in_as_often_as_it_is_good() {
    let (hypervisor, port) = hypervisor().await;
    let test = async {
        let gateway = gateway(port, "secret", "2").await;
        assert_eq!(gateway.link(MAIN, 0, "another").await.err(), Some(DENIED));
        let (one, other) = (gateway.open().await.unwrap(), gateway.open().await.unwrap());
        assert_eq!((one.0, other.0), (101, 102));
        assert_eq!(gateway.open().await.err(), Some(DENIED));
        drop((one, other));
        assert_eq!(gateway.open().await.err(), Some(DENIED));
    };
    timeout(BOUND, test).await.expect("in time");
    assert_eq!((hypervisor.count(MAIN), hypervisor.count(INPUTS)), (2, 2));
}

/// It is refused each time, and not for a spent token: its log says so.
#[tokio::test]
async fn spice_gateway_spends_no_use_on_a_hypervisor_that_refuses() {
    let (hypervisor, port) = hypervisor().await;
    let test = async {
        let mut command = command();
        command.args(["127.0.0.1:0", "127.0.0.1", &port.to_string(), "wrong"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let token = lines.next_line().await.unwrap().unwrap();
        let address = lines.next_line().await.unwrap().unwrap();
        for _ in 0..2 {
            let tcp = TcpStream::connect(address.strip_prefix("listening on ").unwrap())
                .await
                .unwrap();
            let token = token.strip_prefix("token ").unwrap();
            assert!(link(Box::new(tcp), MAIN, 0, token.as_bytes()).await.is_err());
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
    assert_eq!(hypervisor.count(MAIN), 0);
}

#[tokio::test]
async fn spice_gateway_says_how_it_is_used() {
    let run = command().arg("127.0.0.1:0").output();
    let output = timeout(BOUND, run).await.expect("in time").unwrap();
    assert!(!ExitStatus::success(&output.status));
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage: spice_gateway LISTEN"));
}
