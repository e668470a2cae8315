//! noVNC in a browser without a screen.
//!
//! Its own pages are served as Debian installs them, with one script more, which tells what stands on
//! the page and what its canvas shows.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::picture::Picture;
use crate::process::{Folder, PATIENCE, Process, wait_for};

/// Where the package novnc puts the pages.
const PAGES: &str = "/usr/share/novnc";

/// Tells the server the text of noVNC's status line whenever it changes, and the canvas over and over.
const OBSERVER: &str = r##"
let told = "";
setInterval(async () => {
    const status = document.getElementById("noVNC_status").textContent;
    if (status !== told) {
        told = status;
        await fetch("/told", { method: "POST", body: status });
    }
    const canvas = document.querySelector("#noVNC_container canvas");
    if (canvas && canvas.width) {
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        await fetch(`/canvas/${canvas.width}/${canvas.height}`, { method: "POST", body: pixels.data });
    }
}, 200);
"##;

/// What the page has shown.
#[derive(Default)]
struct Seen {
    /// The status lines, one after the other.
    statuses: Vec<String>,
    canvas: Option<Picture>,
}

/// noVNC in its own browser, which ends when this is dropped.
pub(crate) struct Page {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    stopped: Arc<AtomicBool>,
    process: Process,
}

impl Page {
    /// Opens noVNC, which connects at once to this WebSocket.
    pub(crate) fn open(folder: &Folder, name: &str, server: SocketAddr, password: &str, site: TcpListener) -> Self {
        let address = site.local_addr().expect("the address of the site");
        let (seen, stopped) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        thread::spawn({
            let (seen, stopped) = (Arc::clone(&seen), Arc::clone(&stopped));
            move || {
                for stream in site.incoming().map_while(Result::ok) {
                    if stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let seen = Arc::clone(&seen);
                    // A browser opens connections ahead of time and says nothing on them.
                    thread::spawn(move || answer(stream, &seen));
                }
            }
        });
        let (host, port) = (server.ip(), server.port());
        let url = format!(
            "http://{address}/vnc.html?autoconnect=1&host={host}&port={port}&path=websockify&password={password}&quality=9"
        );
        let process = Process::start(
            folder,
            &format!("chromium-{name}"),
            "chromium-headless-shell",
            |command| {
                command
                    // Root has no sandbox; nothing but our own pages is opened.
                    .args([
                        "--no-sandbox",
                        "--disable-gpu",
                        "--window-size=1024,768",
                        "--enable-logging=stderr",
                    ])
                    .arg(format!(
                        "--user-data-dir={}",
                        folder.join(&format!("chromium-{name}")).display()
                    ))
                    .arg(url);
            },
        );
        Self {
            address,
            seen,
            stopped,
            process,
        }
    }

    /// Waits until the canvas shows the picture.
    pub(crate) fn shows(&mut self, expected: &Picture) {
        wait_for("the picture in noVNC", || {
            assert!(self.process.runs(), "the browser ended");
            let seen = self.seen.lock().expect("the page");
            (seen.canvas.as_ref() == Some(expected)).then_some(())
        });
    }

    /// Waits until the page says why it shows nothing, and returns these words.
    pub(crate) fn says(&mut self, beginning: &str) -> String {
        wait_for(&format!("the words {beginning:?} in noVNC"), || {
            assert!(self.process.runs(), "the browser ended");
            let seen = self.seen.lock().expect("the page");
            assert!(seen.canvas.is_none(), "a canvas of a session that was refused");
            let mut statuses = seen.statuses.iter();
            statuses.find_map(|status| Some(status.strip_prefix(beginning)?.to_owned()))
        })
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.process.end();
        self.stopped.store(true, Ordering::SeqCst);
        // So that the listener looks.
        let _ = TcpStream::connect(self.address);
        if thread::panicking() {
            let seen = self.seen.lock().map(|seen| seen.statuses.join(" | "));
            eprintln!("noVNC said: {}", seen.unwrap_or_default());
        }
    }
}

/// One request of the browser.
fn answer(mut stream: TcpStream, seen: &Mutex<Seen>) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let Some((target, body)) = request(&stream) else {
        return;
    };
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, content) = match path.strip_prefix("/canvas/").and_then(|size| size.split_once('/')) {
        Some((width, height)) => {
            let (width, height) = (width.parse().expect("a width"), height.parse().expect("a height"));
            let picture = Picture::from_rgba(width, height, &body);
            seen.lock().expect("the page").canvas = Some(picture);
            ("204 No Content", "text/plain", Vec::new())
        }
        None if path == "/told" => {
            let status = String::from_utf8_lossy(&body).into_owned();
            seen.lock().expect("the page").statuses.push(status);
            ("204 No Content", "text/plain", Vec::new())
        }
        None if path == "/observer.js" => ("200 OK", "text/javascript", OBSERVER.into()),
        None => page(path),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    // The browser is ended while it asks.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&content));
}

/// The target and the body of a request. `None`: the browser hung up.
fn request(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let (name, value) = match line.trim_end().split_once(':') {
            Some(field) => field,
            None => break,
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((target, body))
}

/// A file of noVNC; its page gets the script.
fn page(path: &str) -> (&'static str, &'static str, Vec<u8>) {
    let relative = Path::new(path.trim_start_matches('/'));
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    let content = inside.then(|| fs::read(Path::new(PAGES).join(relative)).ok()).flatten();
    let Some(mut content) = content else {
        return ("404 Not Found", "text/plain", Vec::new());
    };
    if path == "/vnc.html" {
        content.extend_from_slice(b"<script src=\"observer.js\"></script>");
    }
    let kind = match relative.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    ("200 OK", kind, content)
}
