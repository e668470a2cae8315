//! What stands behind the gateway.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A serial port that says back what it gets, with a mark in front of each piece.
pub(super) struct Serial {
    pub(super) port: u16,
    pub(super) connections: Arc<AtomicUsize>,
}

impl Serial {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || echo(stream.unwrap()));
            }
        });
        Self { port, connections }
    }
}

/// The same in the file system.
pub(super) fn unix_serial(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo(stream.unwrap()));
        }
    });
}

fn echo(mut stream: impl Read + Write) {
    let mut buffer = [0; 1024];
    while let Ok(length) = stream.read(&mut buffer) {
        if length == 0
            || stream
                .write_all(b">")
                .and_then(|()| stream.write_all(&buffer[..length]))
                .is_err()
        {
            return;
        }
    }
}

/// A VNC server with the security type None, and a name.
pub(super) fn vnc(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve_vnc(stream.unwrap(), name));
        }
    });
    port
}

fn serve_vnc(mut stream: TcpStream, name: &str) -> Option<()> {
    stream.write_all(b"RFB 003.008\n").ok()?;
    stream.read_exact(&mut [0; 12]).ok()?;
    stream.write_all(&[1, 1]).ok()?;
    stream.read_exact(&mut [0; 1]).ok()?;
    stream.write_all(&[0; 4]).ok()?;
    stream.read_exact(&mut [0; 1]).ok()?;
    let mut init = vec![0, 64, 0, 64, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
    init.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
    init.extend(name.as_bytes());
    stream.write_all(&init).ok()?;
    // The bell for each message that comes, so that a test sees it.
    let mut buffer = [0; 1024];
    loop {
        if stream.read(&mut buffer).ok()? == 0 {
            return None;
        }
        stream.write_all(&[2]).ok()?;
    }
}

/// QEMU's monitor: takes passwords, and remembers them.
#[derive(Clone, Default)]
pub(super) struct Monitor(pub(super) Arc<Mutex<Vec<serde_json::Value>>>);

impl Monitor {
    pub(super) fn start(path: &Path) -> Self {
        let monitor = Self::default();
        let (listener, own) = (UnixListener::bind(path).unwrap(), monitor.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // QEMU may still have something to say to the client before.
                let _ = stream.write_all(b"{\"event\": \"SPICE_CONNECTED\"}\r\n{\"return\": {}}\r\n");
                let _ = stream.write_all(b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for line in lines.map_while(Result::ok) {
                    let command: serde_json::Value = serde_json::from_str(&line).unwrap();
                    own.0.lock().unwrap().push(command);
                    if stream.write_all(b"{\"event\": \"X\"}\r\n{\"return\": {}}\r\n").is_err() {
                        break;
                    }
                }
            }
        });
        monitor
    }

    /// What was set for this protocol.
    pub(super) fn passwords(&self, protocol: &str) -> Vec<String> {
        let said = self.0.lock().unwrap();
        let set = said.iter().filter(|command| command["execute"] == "set_password");
        let of = set.filter(|command| command["arguments"]["protocol"] == protocol);
        of.map(|command| command["arguments"]["password"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A service over HTTP that answers each path from a list, and counts.
pub(super) struct Http {
    pub(super) address: SocketAddr,
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Http {
    /// `answer`: status and body for the head of a request.
    pub(super) fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let (status, body) = answer(&head);
                heard.lock().unwrap().push(head);
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { address, asked }
    }
}
