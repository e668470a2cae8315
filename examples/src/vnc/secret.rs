//! Passwords come from files or from the environment: what stands on a command line, everybody can see.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use zeroize::Zeroizing;

/// Bytes that are overwritten when they go.
pub type Secret = Zeroizing<Vec<u8>>;

/// Where a password is looked for when no file is named.
const VARIABLE: &str = "VNC_PASSWORD";

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A password is needed, and none is given.
    #[error("no password: name a file, or set {VARIABLE}")]
    Missing,
}

/// The password in the file: its first line. Without a file, that of the environment.
///
/// # Errors
/// The file cannot be read, or there is no password at all.
pub fn password_of(file: Option<&Path>) -> Result<Secret, SecretError> {
    password(file)?.ok_or(SecretError::Missing)
}

/// The same, if there is one.
///
/// # Errors
/// The file cannot be read.
pub fn password(file: Option<&Path>) -> Result<Option<Secret>, SecretError> {
    let Some(path) = file else {
        // A password is bytes; those of the variable are what they are.
        let value = env::var_os(VARIABLE).map(|value| value.into_encoded_bytes());
        return Ok(value.map(Secret::new));
    };
    let mut bytes = fs::read(path).map(Secret::new).map_err(|error| SecretError::File {
        path: path.to_owned(),
        error,
    })?;
    let line = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    bytes.truncate(line);
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    Ok(Some(bytes))
}
