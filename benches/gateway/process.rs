//! Programs that are measured: started, looked at in /proc, ended.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use serde_json::Value;

/// A program, ended with this value.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it, with nothing on its standard input. `None`: it is not there.
    pub fn start(command: &mut Command) -> Option<Self> {
        let child = command.stdin(Stdio::null()).spawn().ok()?;
        Some(Self { child })
    }

    /// Starts it, and reads the first line that it prints.
    pub fn with_line(command: &mut Command) -> Option<(Self, String)> {
        let mut process = Self::start(command.stdout(Stdio::piped()))?;
        let mut line = String::new();
        let stdout: ChildStdout = process.child.stdout.take()?;
        BufReader::new(stdout).read_line(&mut line).ok()?;
        Some((process, line))
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Seconds that all of its threads, and those of the programs that it has started, were on a processor.
    pub fn processor(&self) -> f64 {
        on_processor(self.child.id())
    }

    /// Bytes that are resident.
    pub fn memory(&self) -> f64 {
        let status = self.proc("status");
        let mut lines = status.lines().filter_map(|line| line.strip_prefix("VmRSS:"));
        let text = lines.next().and_then(|text| text.split_whitespace().next());
        text.and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN) * 1024.0
    }

    /// Descriptors that are open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Ends it as an operator does, and waits.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &id]).status();
        let _ = self.child.wait();
    }
}

fn on_processor(process: u32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
        return 0.0;
    };
    let mut seconds = 0.0;
    for task in tasks.flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanoseconds = text.split(' ').next().and_then(|text| text.parse::<f64>().ok());
        seconds += nanoseconds.unwrap_or(0.0) / 1e9;
        // websockify has a process for each connection.
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|id| id.parse().ok());
        seconds += children.map(on_processor).sum::<f64>();
    }
    seconds
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that is told JSON in lines, and says such lines. It ends when its standard input does, so also when this
/// process is gone.
pub struct Talking {
    stdin: ChildStdin,
    said: mpsc::Receiver<Value>,
    _process: Process,
}

impl Talking {
    /// Starts it. `None`: it is not there.
    pub fn start(command: &mut Command) -> Option<Self> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut process = Process { child };
        let (stdin, stdout) = (process.child.stdin.take()?, process.child.stdout.take()?);
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let values = lines.map_while(|line| serde_json::from_str(&line).ok());
            let _ = values.map(|value| say.send(value)).find(Result::is_err);
        });
        Some(Self {
            stdin,
            said,
            _process: process,
        })
    }

    /// Tells it something; one that is gone hears nothing, and says nothing.
    pub fn tell(&mut self, value: &Value) {
        let _ = writeln!(self.stdin, "{value}");
    }

    /// What it says next. `None`: nothing in this time.
    pub fn hear(&self, within: Duration) -> Option<Value> {
        self.said.recv_timeout(within).ok()
    }
}
