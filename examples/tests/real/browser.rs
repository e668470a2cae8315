//! noVNC and spice-html5 in a browser without a screen.
//!
//! Their own pages are served as Debian installs them, with one script more, which tells what stands on
//! the page and what its canvas shows.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::picture::Picture;
use crate::process::{Folder, PATIENCE, Process, wait_for};

/// A client that is a page.
#[derive(Debug)]
pub(crate) struct App {
    /// Where its package puts the pages.
    pub(crate) folder: &'static str,
    /// The page that connects to what its address says.
    pub(crate) page: &'static str,
    /// That page, if it is none of the package's.
    pub(crate) text: Option<&'static str>,
    /// Where it says what goes wrong, and where it draws, as selectors.
    pub(crate) status: &'static str,
    pub(crate) canvas: &'static str,
}

pub(crate) const NOVNC: App = App {
    folder: "/usr/share/novnc",
    page: "vnc.html",
    text: None,
    status: "#noVNC_status",
    canvas: "#noVNC_container canvas",
};

pub(crate) const SPICE_HTML5: App = App {
    folder: "/usr/share/spice-html5",
    page: "spice_auto.html",
    text: None,
    status: "#message-div",
    canvas: "#spice-screen canvas",
};

/// Tells the server the text of the page's status whenever it changes, and the canvas over and over.
const OBSERVER: &str = r##"
let told = "";
setInterval(async () => {
    const status = document.querySelector(STATUS).textContent;
    if (status !== told) {
        told = status;
        await fetch("told", { method: "POST", body: status });
    }
    const canvas = document.querySelector(CANVAS);
    if (canvas && canvas.width) {
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        await fetch(`canvas/${canvas.width}/${canvas.height}`, { method: "POST", body: pixels.data });
    }
}, 200);
"##;

/// What the page has shown.
#[derive(Default)]
struct Seen {
    /// What the status said, one after the other.
    statuses: Vec<String>,
    canvas: Option<Picture>,
}

/// Where browsers get the pages from. It stops when it is dropped.
pub(crate) struct Site {
    app: &'static App,
    address: SocketAddr,
    /// Each page has a folder of its own in its address: its number.
    pages: Arc<Mutex<Vec<Seen>>>,
    stopped: Arc<AtomicBool>,
}

impl Site {
    pub(crate) fn start(app: &'static App) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the site");
        let address = listener.local_addr().expect("the address of the site");
        let (pages, stopped) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        thread::spawn({
            let (pages, stopped) = (Arc::clone(&pages), Arc::clone(&stopped));
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let pages = Arc::clone(&pages);
                    // A browser opens connections ahead of time and says nothing on them.
                    thread::spawn(move || answer(stream, app, &pages));
                }
            }
        });
        Self {
            app,
            address,
            pages,
            stopped,
        }
    }

    /// What browsers say where their pages come from.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Opens the page in a browser of its own. It connects at once to this WebSocket.
    pub(crate) fn open(&self, folder: &Folder, name: &str, server: SocketAddr, password: &str) -> Page<'_> {
        let number = {
            let mut pages = self.pages.lock().expect("the pages");
            pages.push(Seen::default());
            pages.len() - 1
        };
        let (origin, host, port) = (self.origin(), server.ip(), server.port());
        // The gateway's tokens open the WebSocket, and are the password inside of it.
        let path = match self.app.page == SPICE_HTML5.page {
            true => format!("websockify%3Ftoken%3D{password}"),
            false => "websockify".to_owned(),
        };
        let url = format!(
            "{origin}/{number}/{}?autoconnect=1&host={host}&port={port}&path={path}&password={password}&quality=9",
            self.app.page
        );
        let name = format!("chromium-{name}");
        let process = Process::start(folder, &name, "chromium-headless-shell", |command| {
            command
                // Root has no sandbox; nothing but our own pages is opened.
                .args(["--no-sandbox", "--disable-gpu", "--window-size=1024,768"])
                .arg(format!(
                    "--user-data-dir={}",
                    folder.join(&format!("{name}-{number}")).display()
                ))
                .arg(url);
        });
        Page {
            site: self,
            number,
            process,
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // So that the listener looks.
        let _ = TcpStream::connect(self.address);
    }
}

/// A page in its own browser, which ends when this is dropped.
pub(crate) struct Page<'a> {
    site: &'a Site,
    number: usize,
    process: Process,
}

impl Page<'_> {
    /// Waits until the canvas shows the picture.
    pub(crate) fn shows(&mut self, expected: &Picture) {
        self.wait_for("the picture in the browser", |seen| {
            (seen.canvas.as_ref() == Some(expected)).then_some(())
        });
    }

    /// Waits until the page says why it shows nothing, in words that begin like this, and returns the rest.
    pub(crate) fn says(&mut self, beginning: &str) -> String {
        self.wait_for(&format!("the words {beginning:?} in the browser"), |seen| {
            assert!(seen.canvas.is_none(), "a canvas of a session that was refused");
            let mut statuses = seen.statuses.iter();
            statuses.find_map(|status| Some(status.strip_prefix(beginning)?.to_owned()))
        })
    }

    fn wait_for<T>(&mut self, what: &str, mut ask: impl FnMut(&Seen) -> Option<T>) -> T {
        wait_for(what, || {
            assert!(self.process.runs(), "the browser ended");
            ask(&self.site.pages.lock().expect("the pages")[self.number])
        })
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if thread::panicking()
            && let Ok(pages) = self.site.pages.lock()
        {
            eprintln!("the page said: {:?}", pages[self.number].statuses);
        }
    }
}

/// One request of the browser.
fn answer(mut stream: TcpStream, app: &App, pages: &Mutex<Vec<Seen>>) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let Some((target, body)) = request(&stream) else {
        return;
    };
    let path = target.split('?').next().unwrap_or_default();
    let (number, path) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let tell = |change: &dyn Fn(&mut Seen)| {
        let mut pages = pages.lock().expect("the pages");
        if let Some(seen) = number.parse().ok().and_then(|number: usize| pages.get_mut(number)) {
            change(seen);
        }
        ("204 No Content", "text/plain", Vec::new())
    };
    let (status, kind, content) = match path.strip_prefix("canvas/").and_then(|size| size.split_once('/')) {
        Some((width, height)) => {
            let (width, height) = (width.parse().expect("a width"), height.parse().expect("a height"));
            // Nothing has been drawn yet where it is transparent.
            match Picture::from_rgba(width, height, &body) {
                Some(picture) => tell(&|seen| seen.canvas = Some(picture.clone())),
                None => tell(&|_| {}),
            }
        }
        None if path == "told" => tell(&|seen| seen.statuses.push(String::from_utf8_lossy(&body).into_owned())),
        None if path == "observer.js" => ("200 OK", "text/javascript", observer(app)),
        None => page(app, path),
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

fn observer(app: &App) -> Vec<u8> {
    let App { status, canvas, .. } = app;
    format!("const STATUS = {status:?}, CANVAS = {canvas:?};{OBSERVER}").into()
}

/// A file of the client; its page gets the script.
fn page(app: &App, path: &str) -> (&'static str, &'static str, Vec<u8>) {
    let relative = Path::new(path);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    let content = match app.text {
        Some(text) if path == app.page => Some(text.into()),
        _ if inside => fs::read(Path::new(app.folder).join(relative)).ok(),
        _ => None,
    };
    let Some(mut content) = content else {
        return ("404 Not Found", "text/plain", Vec::new());
    };
    if path == app.page {
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
