//! Passwords come from files or from the environment: what stands on a command line, everybody can see.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use zeroize::Zeroizing;

/// Bytes that are overwritten when they go.
pub type Secret = Zeroizing<Vec<u8>>;

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
    /// Nothing stands where the password should. That is no password, rather than an empty one.
    #[error("the password is empty")]
    Empty,
}

/// The password: the first line of the file if one is named, or else what this environment variable
/// holds, if there is one.
///
/// # Errors
/// The file cannot be read, or the password is empty.
pub fn password(file: Option<&Path>, variable: &str) -> Result<Option<Secret>, SecretError> {
    let Some(path) = file else {
        let value = env::var_os(variable).map(|value| Secret::new(value.into_encoded_bytes()));
        return value.map(not_empty).transpose();
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
    not_empty(bytes).map(Some)
}

fn not_empty(password: Secret) -> Result<Secret, SecretError> {
    if password.is_empty() {
        return Err(SecretError::Empty);
    }
    Ok(password)
}
