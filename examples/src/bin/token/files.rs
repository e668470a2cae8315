//! Token files of other proxies, and the faults in them.

use std::fs;
use std::path::{Path, PathBuf};

use console_token::resolver::{libvirt, websockify};
use console_token::{Secret, Target};
use zeroize::Zeroizing;

use crate::Result;

/// How many faults of a file are shown.
const SHOWN: usize = 10;

/// A token file, with its path.
pub(crate) struct File<T> {
    path: PathBuf,
    text: T,
}

/// The token files of websockify: one, or those of a folder.
pub(crate) struct Websockify(Vec<File<Zeroizing<String>>>);

impl Websockify {
    /// Reads them, and tells what is wrong with which line. Those lines are left out, as websockify does.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut paths = vec![path.to_owned()];
        if path.is_dir() {
            let failed = |error: std::io::Error| format!("{}: {error}", path.display());
            let entries = fs::read_dir(path).map_err(failed)?;
            paths = entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<std::io::Result<_>>()
                .map_err(failed)?;
            paths.retain(|path| path.is_file());
            paths.sort();
        }
        let files = paths.into_iter().map(|path| {
            let bytes = read(&path)?;
            let text = str::from_utf8(&bytes).map_err(|error| {
                let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
                format!("{}: line {line}: not UTF-8", path.display())
            })?;
            let text = Zeroizing::new(text.to_owned());
            Ok(File { path, text })
        });
        let files = Self(files.collect::<Result<_>>()?);
        files.tell_faults();
        Ok(files)
    }

    fn tell_faults(&self) {
        for File { path, text } in &self.0 {
            let mut faults = websockify::faults(text);
            for fault in faults.by_ref().take(SHOWN) {
                eprintln!("token: {}: {fault}", path.display());
            }
            let more = faults.count();
            if 0 < more {
                eprintln!("token: {}: {more} more lines are malformed", path.display());
            }
        }
    }

    /// What the files have for this token: the last line counts.
    pub(crate) fn lookup(&self, token: &Secret) -> Result<Option<Target>> {
        let mut found = self.0.iter().filter_map(|File { path, text }| {
            let row = websockify::find(text, token.expose(), websockify::Dialect::Released)?;
            Some((path, row))
        });
        let Some((path, row)) = found.next_back() else {
            return Ok(None);
        };
        let target = row.entry.target();
        let target = target.map_err(|error| format!("{}: line {}: {error}", path.display(), row.line))?;
        Ok(Some(target))
    }
}

/// The token file of libvirt-console-proxy.
pub(crate) struct Libvirt(File<Zeroizing<Vec<u8>>>);

impl Libvirt {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self(File {
            path: path.to_owned(),
            text: read(path)?,
        }))
    }

    /// What the file has for this token.
    pub(crate) fn lookup(&self, token: &Secret) -> Result<Option<Target>> {
        let Self(File { path, text }) = self;
        let answer = libvirt::lookup(text, token).map_err(|error| {
            // Where it stops to be JSON; what stands there may be a token.
            let syntax = serde_json::from_slice::<serde::de::IgnoredAny>(text).err();
            let line = syntax.map(|error| format!("line {}, column {}: ", error.line(), error.column()));
            format!("{}: {}{error}", path.display(), line.unwrap_or_default())
        })?;
        Ok(answer.map(|answer| answer.target))
    }
}

/// A whole file, of at most a mebibyte.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    const MAX: u64 = 1 << 20;
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if MAX < fs::metadata(path).map_err(failed)?.len() {
        return Err(format!("{}: more than {MAX} bytes", path.display()).into());
    }
    Ok(Zeroizing::new(fs::read(path).map_err(failed)?))
}
