//! Chromium without a screen, driven over its DevTools protocol: pages are opened as a tenant opens them, keys and
//! clicks come from outside of the page, and its picture is what is drawn.

use std::net::{SocketAddr, TcpStream};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::picture::Picture;
use crate::process::{Folder, PATIENCE, Process, wait_for};

/// The modifier Ctrl of `Input.dispatchKeyEvent`.
const CTRL: u8 = 2;

/// A canvas over black, as a PNG.
const COPY: &str = "(selector) => {
    const canvas = document.querySelector(selector);
    if (!canvas || !canvas.width) { return null; }
    const copy = document.createElement('canvas');
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const drawing = copy.getContext('2d');
    drawing.fillRect(0, 0, copy.width, copy.height);
    drawing.drawImage(canvas, 0, 0);
    return copy.toDataURL('image/png').split(',')[1];
}";

/// A browser with one page. It ends when this is dropped.
pub(crate) struct Browser {
    process: Process,
    page: WebSocket<TcpStream>,
    sent: u64,
    /// What the page told without being asked.
    events: Vec<Value>,
}

impl Browser {
    /// Opens an address in a browser of its own.
    pub(crate) fn open(folder: &Folder, name: &str, url: &str) -> Self {
        let name = format!("chromium-{name}");
        let process = Process::start(folder, &name, "chromium-headless-shell", |command| {
            command
                // Root has no sandbox; nothing but pages of the test is opened.
                .args(["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"])
                .args(["--window-size=1280,1024", "--remote-debugging-port=0"])
                // Those of the test are of an authority that no browser knows.
                .args(["--ignore-certificate-errors"])
                .arg(format!("--user-data-dir={}", folder.join(&name).display()))
                .arg("about:blank");
        });
        let address: SocketAddr = wait_for("the port of Chromium", || {
            let said = process.logged();
            let (_, rest) = said.split_once("DevTools listening on ws://")?;
            rest.split_once('/')?.0.parse().ok()
        });
        let said = process.logged();
        let path = said.split_once(&format!("ws://{address}/")).expect("an address").1;
        let mut whole = Self {
            page: connect(address, path.lines().next().expect("a path")),
            process,
            sent: 0,
            events: Vec::new(),
        };
        let page = wait_for("the page of Chromium", || {
            let targets = whole.call("Target.getTargets", json!({}));
            let targets = targets["targetInfos"].as_array()?;
            let page = targets.iter().find(|target| target["type"] == "page")?;
            Some(page["targetId"].as_str()?.to_owned())
        });
        whole.page = connect(address, &format!("devtools/page/{page}"));
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            whole.call(domain, json!({}));
        }
        whole.call("Page.navigate", json!({ "url": url }));
        whole
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let mut answer = self.call(
            "Runtime.evaluate",
            json!({ "expression": expression, "returnByValue": true }),
        );
        answer["result"]["value"].take()
    }

    /// The text of what the selector finds.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.textContent ?? ''"));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the text of what the selector finds has these words in it.
    pub(crate) fn says(&mut self, selector: &str, words: &str) {
        wait_for(&format!("the words {words:?} in the page"), || {
            self.text(selector).contains(words).then_some(())
        });
    }

    /// Where in the page the picture is drawn, pixel for pixel.
    pub(crate) fn finds(&mut self, expected: &Picture) -> Option<(usize, usize)> {
        // A page that is being left for another has no picture.
        let answer = self.ask("Page.captureScreenshot", json!({ "format": "png" })).ok()?;
        let png = answer["data"].as_str().expect("a screenshot");
        Picture::from_png(&STANDARD.decode(png).expect("Base64")).find(expected)
    }

    /// Waits until the guest is shown, pixel for pixel.
    pub(crate) fn shows(&mut self, expected: &Picture) {
        wait_for("the guest in the browser", || self.finds(expected));
    }

    /// Waits until a canvas shows the guest: for pages that draw something over its corners.
    pub(crate) fn shows_on(&mut self, canvas: &str, expected: &Picture) {
        let script = format!("({COPY})({canvas:?})");
        wait_for("the guest on the canvas", || {
            let copied = self.value(&script);
            let png = STANDARD.decode(copied.as_str()?).expect("Base64");
            (Picture::from_png(&png) == *expected).then_some(())
        });
    }

    /// Presses the left button in the middle of what the selector finds.
    pub(crate) fn click(&mut self, selector: &str) {
        let script = format!(
            "(() => {{ const at = document.querySelector({selector:?}).getBoundingClientRect();
                return [at.x + at.width / 2, at.y + at.height / 2]; }})()"
        );
        let at = self.value(&script);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Types lower-case letters, spaces and line ends.
    pub(crate) fn types(&mut self, text: &str) {
        for letter in text.chars() {
            let (key, code, number) = match letter {
                '\n' => ("Enter".to_owned(), "Enter".to_owned(), 13),
                ' ' => (" ".to_owned(), "Space".to_owned(), 32),
                _ => named(letter),
            };
            let written = letter.to_string().replace('\n', "\r");
            self.key(json!({ "type": "keyDown", "key": key, "code": code, "windowsVirtualKeyCode": number, "text": written }));
            self.key(json!({ "type": "keyUp", "key": key, "code": code, "windowsVirtualKeyCode": number }));
        }
    }

    /// Presses a letter together with Ctrl.
    pub(crate) fn types_with_ctrl(&mut self, letter: char) {
        let (key, code, number) = named(letter);
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": CTRL
            });
            self.key(event);
        }
    }

    fn key(&mut self, event: Value) {
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Waits until the page asks for something in a dialogue, and gives it.
    pub(crate) fn answers_prompt(&mut self, text: &str) {
        while !self
            .events
            .iter()
            .any(|event| event["method"] == "Page.javascriptDialogOpening")
        {
            let event = self.receive();
            self.events.push(event);
        }
        self.events.clear();
        let answer = json!({ "accept": true, "promptText": text });
        self.call("Page.handleJavaScriptDialog", answer);
    }

    fn call(&mut self, method: &str, arguments: Value) -> Value {
        let answered = self.ask(method, arguments);
        answered.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn ask(&mut self, method: &str, arguments: Value) -> Result<Value, Value> {
        self.sent += 1;
        let message = json!({ "id": self.sent, "method": method, "params": arguments });
        let sent = self.page.send(Message::text(message.to_string()));
        sent.unwrap_or_else(|error| panic!("Chromium takes no {method}: {error}"));
        loop {
            let mut answer = self.receive();
            if answer["id"] == self.sent {
                return match answer["error"].take() {
                    Value::Null => Ok(answer["result"].take()),
                    error => Err(error),
                };
            }
            self.events.push(answer);
        }
    }

    fn receive(&mut self) -> Value {
        loop {
            match self.page.read() {
                Ok(Message::Text(text)) => return serde_json::from_str(text.as_str()).expect("JSON of Chromium"),
                Ok(_) => {}
                Err(error) => panic!("Chromium says nothing: {error}"),
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            for event in &self.events {
                let method = event["method"].as_str().unwrap_or_default();
                if method.starts_with("Log.") || method.starts_with("Runtime.console") || method.contains("exception") {
                    eprintln!("the page said: {}", event["params"]);
                }
            }
        }
        self.process.end();
    }
}

/// The key of a letter, its place on the keyboard, and its number.
fn named(letter: char) -> (String, String, u32) {
    let upper = letter.to_ascii_uppercase();
    (letter.to_string(), format!("Key{upper}"), u32::from(upper))
}

fn connect(address: SocketAddr, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("Chromium");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let url = format!("ws://{address}/{path}");
    let (socket, _) = client(url.as_str(), stream).expect("a WebSocket of Chromium");
    socket
}
