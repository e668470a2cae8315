//! A tool for connection files of virt-viewer, made of `vv-file` and nothing else. See `vv --help`.

mod cli;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use cli::{Cli, Command, Kind, New};
use examples::command;
use serde_json::{Value, json};
use vv_file::key_file::Limits;
use vv_file::lint::{lint, worst};
use vv_file::{Builder, Channel, ConnectionFile, HotkeyAction, KeyFile, Severity, WithSecrets};
use zeroize::Zeroizing;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A setter of one line of text.
type Setter = fn(Builder, &str) -> Builder;

/// Something could not be read, written or done.
const FAILED: u8 = 3;

fn main() -> ExitCode {
    match run(command::parse::<Cli>().command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("vv: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn run(command: Command) -> Result<u8> {
    match command {
        Command::Check { file, short } => return check(&file, short),
        Command::Json { file, secrets } => show(&file, secrets)?,
        Command::New(new) => print(build(&new)?.build()?.as_bytes())?,
        Command::Redact { file } => print(ConnectionFile::parse(&read(&file)?)?.redacted().as_bytes())?,
        Command::Get { file, key, group } => {
            let file = KeyFile::parse(&read(&file)?)?;
            let value = file.get(&group, &key).ok_or("no such key")?;
            let text = Zeroizing::new(value.string()?);
            print(text.as_bytes())?;
            print(b"\n")?;
        }
        Command::Set {
            file,
            key,
            value,
            group,
        } => set(&file, &group, &key, value)?,
    }
    Ok(0)
}

fn check(path: &Path, short: bool) -> Result<u8> {
    let findings = lint(&read(path)?);
    let mut out = io::stdout().lock();
    for finding in &findings {
        let place = format!("{}:{}:{}", path.display(), finding.line, finding.column);
        let key = finding.key.unwrap_or("-");
        let severity = finding.severity.name();
        if short {
            writeln!(out, "{place}: {severity}: {key}: {}", finding.kind.code())?;
        } else {
            writeln!(out, "{place}: {severity}: {key}: {}", finding.kind.meaning())?;
            writeln!(out, "    {} [{}]", finding.kind.remedy(), finding.kind.code())?;
        }
    }
    if findings.is_empty() {
        writeln!(out, "{}: nothing found", path.display())?;
    }
    Ok(match worst(&findings) {
        None | Some(Severity::Note) => 0,
        Some(Severity::Warning) => 1,
        Some(Severity::Error) => 2,
    })
}

fn show(path: &Path, secrets: bool) -> Result<()> {
    let file = ConnectionFile::parse(&read(path)?)?;
    let (typed, raw) = if secrets {
        (serde_json::to_value(WithSecrets(&file))?, raw(file.key_file()))
    } else {
        (
            serde_json::to_value(&file)?,
            raw(&KeyFile::parse(file.redacted().as_bytes())?),
        )
    };
    let whole = json!({ "typed": typed, "raw": raw });
    print(format!("{whole:#}\n").as_bytes())
}

/// Every line with a key, in order.
fn raw(file: &KeyFile) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let groups = file.groups().map(|group| {
        let keys: Vec<_> = file
            .entries_of(group)
            .map(|entry| json!({ "line": entry.line, "key": text(entry.key), "value": text(entry.value.raw()) }))
            .collect();
        json!({ "group": text(group), "keys": keys })
    });
    groups.collect()
}

fn build(new: &New) -> Result<Builder> {
    let mut builder = match (new.kind, &new.unix_path, &new.host) {
        (Kind::Spice, Some(path), _) => Builder::spice_unix(path),
        (Kind::Spice, None, Some(host)) => Builder::spice(host),
        (Kind::Vnc, None, Some(host)) => Builder::vnc(host),
        (Kind::Vnc, Some(_), _) => return Err("--unix-path is for spice".into()),
        (_, None, None) => return Err("no --host".into()),
    };
    let texts: [(&Option<String>, Setter); 8] = [
        (&new.username, |builder, text| builder.username(text)),
        (&new.title, |builder, text| builder.title(text)),
        (&new.host_subject, |builder, text| builder.host_subject(text)),
        (&new.proxy, |builder, text| builder.proxy(text)),
        (&new.usb_filter, |builder, text| builder.usb_filter(text)),
        (&new.release_cursor, |builder, text| {
            builder.hotkey(HotkeyAction::ReleaseCursor, text)
        }),
        (&new.toggle_fullscreen, |builder, text| {
            builder.hotkey(HotkeyAction::ToggleFullscreen, text)
        }),
        (&new.secure_attention, |builder, text| {
            builder.hotkey(HotkeyAction::SecureAttention, text)
        }),
    ];
    if let Some(port) = new.port {
        builder = builder.port(port);
    }
    if let Some(port) = new.tls_port {
        builder = builder.tls_port(port);
    }
    if let Some(path) = &new.password_file {
        builder = builder.password(first_line(&read(path)?));
    }
    if let Some(path) = &new.ca_file {
        builder = builder.ca(core::str::from_utf8(&read(path)?)?);
    }
    for (text, set) in texts {
        if let Some(text) = text {
            builder = set(builder, text);
        }
    }
    if new.secure {
        builder = builder.secure_channels([Channel::All]);
    }
    if new.fullscreen {
        builder = builder.fullscreen(true);
    }
    Ok(builder.delete_this_file(!new.keep))
}

fn set(path: &Path, group: &str, key: &str, value: Option<String>) -> Result<()> {
    let is_stdin = path == Path::new("-");
    let mut file = KeyFile::parse(&read(path)?)?;
    let value = match value {
        Some(value) => Zeroizing::new(value),
        None if is_stdin => return Err("VALUE is missing, and standard input is the file".into()),
        None => {
            let mut line = Zeroizing::new(String::new());
            io::stdin()
                .lock()
                .take(Limits::default().size as u64)
                .read_line(&mut line)?;
            Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned())
        }
    };
    file.set_string(group, key, &value)?;
    if is_stdin {
        return print(file.as_bytes());
    }
    replace(path, file.as_bytes())
}

/// Writes beside the file and then takes its place: a reader sees the old one or the new one, whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().ok_or("not a file")?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = (|| {
        // Never more open than the file itself, which may hold a password.
        File::options().write(true).create_new(true).open(&beside)?;
        fs::set_permissions(&beside, fs::metadata(path)?.permissions())?;
        fs::write(&beside, bytes)?;
        fs::rename(&beside, path)
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(format!("{}: {error}", path.display()).into());
    }
    Ok(())
}

/// A whole file, at most one byte larger than is taken.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let limit = Limits::default().size as u64 + 1;
    let mut bytes = Zeroizing::new(Vec::new());
    let read = match path.to_str() {
        Some("-") => io::stdin().lock().take(limit).read_to_end(&mut bytes),
        _ => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes)
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn print(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}
