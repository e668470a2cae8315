//! Starts the programs and ends them again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "s3cretpw";
pub(crate) const WRONG: &str = "wr0ng-pw";

/// The methods of the programs, as they are named on command lines and in configurations.
pub(crate) const METHODS: [&str; 6] = ["none", "vnc", "plain", "x509-none", "x509-vnc", "x509-plain"];

/// A folder of its own for a test, gone with it: a picture, certificates for localhost and 127.0.0.1, passwords.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("vnc-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        let folder = Self(path);
        let names = ["localhost", "127.0.0.1"].map(String::from);
        let certified = rcgen::generate_simple_self_signed(names).expect("a certificate");
        folder.write("cert.pem", certified.cert.pem());
        folder.write("key.pem", certified.signing_key.serialize_pem());
        let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        folder.write("stranger.pem", stranger.cert.pem());
        folder.write("right", format!("{PASSWORD}\nnot looked at\n"));
        folder.write("wrong", format!("{WRONG}\r\n"));
        folder.write("empty", "\n");
        folder.write("picture.png", picture());
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file");
        path
    }

    /// Runs a program of ours to its end, in this folder. What it says on standard error; `Ok`: it succeeded.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let output = self.command(program, arguments).output().expect("the program runs");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.0)
            .env_remove("VNC_PASSWORD")
            .stdin(Stdio::null());
        command
    }

    /// Takes a screenshot in this way. The arguments say the rest.
    pub(crate) fn screenshot(&self, server: SocketAddr, method: &str, more: &[&str]) -> Result<(), String> {
        let _ = fs::remove_file(self.0.join("out.png"));
        let (server, mut arguments) = (server.to_string(), vec!["--security", method]);
        if method.starts_with("x509") {
            arguments.extend(["--ca", "cert.pem"]);
        }
        if method.ends_with("plain") {
            arguments.extend(["--user", USER]);
        }
        arguments.extend(more);
        arguments.extend([server.as_str(), "out.png"]);
        self.run(env!("CARGO_BIN_EXE_vnc-screenshot"), &arguments).map(drop)
    }

    /// Whether the screenshot shows the picture, pixel for pixel.
    pub(crate) fn shows_the_picture(&self) -> bool {
        pixels(&self.0.join("out.png")) == pixels(&self.0.join("picture.png"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A small picture in which no two pixels are the same.
fn picture() -> Vec<u8> {
    let (width, height) = (40_u8, 30_u8);
    let rgb: Vec<u8> = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| [x * 6, y * 8, x ^ y]))
        .collect();
    let mut data = Vec::new();
    let mut encoder = png::Encoder::new(&mut data, width.into(), height.into());
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a PNG");
    writer.write_image_data(&rgb).expect("a PNG");
    writer.finish().expect("a PNG");
    data
}

/// Width, height and pixels of a PNG, three bytes each.
pub(crate) fn pixels(path: &Path) -> (u32, u32, Vec<u8>) {
    let file = BufReader::new(fs::File::open(path).expect("a picture"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a small PNG")];
    let info = reader.next_frame(&mut pixels).expect("a PNG");
    assert_eq!(info.color_type, png::ColorType::Rgb);
    (info.width, info.height, pixels)
}

/// A program that listens, until this is dropped.
pub(crate) struct Server {
    child: Child,
    /// The first line that it printed.
    pub(crate) line: String,
}

impl Server {
    pub(crate) fn start(folder: &Folder, program: &str, arguments: &[&str]) -> Self {
        let mut command = folder.command(program, arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        Self { child, line }
    }

    /// `vnc-picture`, for one method.
    pub(crate) fn picture(folder: &Folder, method: &str) -> (SocketAddr, Self) {
        Self::picture_with(folder, method, &[])
    }

    /// The same with further arguments.
    pub(crate) fn picture_with(folder: &Folder, method: &str, more: &[&str]) -> (SocketAddr, Self) {
        let mut arguments = vec![
            "--listen=127.0.0.1:0",
            "--security",
            method,
            "--user",
            USER,
            "--password-file=right",
            "--certificate=cert.pem",
            "--key=key.pem",
        ];
        arguments.extend(more);
        arguments.push("picture.png");
        let server = Self::start(folder, env!("CARGO_BIN_EXE_vnc-picture"), &arguments);
        (server.line.trim_end().parse().expect("an address"), server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
