//! Peers in C: a small program each, compiled when it is needed, which repeats an operation on demand and measures itself.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::contest::{Peer, Run};
use crate::digest::Digest;

const NOT_INSTALLED: &str = "not installed";

/// Whether a peer is out because its library, or a compiler, is not there.
pub fn is_not_installed(why: &str) -> bool {
    why.starts_with(NOT_INSTALLED)
}

/// A program of the folder `c`, and the Debian packages and pkg-config modules that it needs.
pub struct Source {
    pub name: &'static str,
    pub modules: &'static [&'static str],
}

pub const GLIB: Source = Source {
    name: "glib",
    modules: &["glib-2.0"],
};
pub const OPENSSL: Source = Source {
    name: "openssl",
    modules: &["libcrypto"],
};
pub const LIBVNCSERVER: Source = Source {
    name: "libvncserver",
    modules: &["libvncserver"],
};
pub const LIBVNCCLIENT: Source = Source {
    name: "libvncclient",
    modules: &["libvncclient"],
};

impl Source {
    /// The peer `name`: this program with these arguments, if it gives what is expected.
    pub fn peer(&self, name: &'static str, arguments: &[&str], expected: &Digest) -> Peer {
        let program = self.compile().and_then(|path| Program::start(&path, arguments));
        let run = program.map(|(program, given)| {
            assert_eq!(given, expected.to_string(), "{name} {arguments:?} gives something else");
            program.run()
        });
        Peer { name, run }
    }

    fn compile(&self) -> Result<PathBuf, String> {
        let output = folder().join(self.name);
        let flags = output_of(
            Command::new("pkg-config")
                .args(["--cflags", "--libs"])
                .args(self.modules),
        )?;
        let source = format!("{}/c/{}.c", env!("CARGO_MANIFEST_DIR"), self.name);
        // Libraries stand behind what needs them.
        let flags = flags.split_whitespace();
        output_of(
            Command::new("cc")
                .args(["-O2", "-Wall", "-Wextra", "-o"])
                .arg(&output)
                .arg(source)
                .args(flags),
        )?;
        Ok(output)
    }

    /// The version that is installed.
    pub fn version(&self) -> Option<String> {
        let version = output_of(Command::new("pkg-config").arg("--modversion").args(self.modules)).ok()?;
        Some(version.trim().to_owned())
    }
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{NOT_INSTALLED} ({program}: {error})"))?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(format!("{NOT_INSTALLED} ({program} fails)"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where programs and samples are: beside this one.
fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    let folder = program.with_file_name("peers-c");
    std::fs::create_dir_all(&folder).expect("a folder for the programs in C");
    folder
}

/// Writes a sample that a program reads.
pub fn sample(name: &str, bytes: &[u8]) -> String {
    let path = folder().join(name);
    std::fs::write(&path, bytes).expect("a sample is written");
    path.to_string_lossy().into_owned()
}

/// A program that runs.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it, and gives what its operation gave.
    fn start(path: &Path, arguments: &[&str]) -> Result<(Self, String), String> {
        let mut child = Command::new(path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut program = Self {
            child,
            input,
            output: BufReader::new(output),
        };
        let given = program.line();
        Ok((program, given))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a program in C answers");
        assert!(line.ends_with('\n'), "a program in C has ended");
        line.trim().to_owned()
    }

    fn run(mut self) -> Run {
        Box::new(move |repetitions| {
            writeln!(self.input, "{repetitions}").expect("a program in C listens");
            Duration::from_nanos(self.line().parse().expect("nanoseconds"))
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
