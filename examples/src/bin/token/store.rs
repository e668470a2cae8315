//! The stores that the tool reaches, and what is asked of them.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use console_token::resolver::{libvirt, websockify};
use console_token::{Pepper, RedisStore, Secret, SqlStore, Store, Target, TokenHash};
use zeroize::Zeroizing;

use crate::Result;

/// A store that was opened.
pub(crate) enum Opened {
    /// One of console-token, which knows tokens by their hashes.
    Hashes { store: Box<dyn Store>, pepper: Pepper },
    /// A token file of websockify.
    Websockify(Zeroizing<String>),
    /// A token file of libvirt-console-proxy.
    Libvirt(Zeroizing<Vec<u8>>),
}

/// A store of console-token and the hash of the token.
pub(crate) struct Hashed {
    pub(crate) store: Box<dyn Store>,
    pub(crate) hash: TokenHash,
}

impl Opened {
    /// Opens a store by its name.
    pub(crate) async fn open(name: &str, pepper_file: Option<&Path>) -> Result<Self> {
        if let Some(file) = name.strip_prefix("websockify:") {
            return Ok(Self::Websockify(Zeroizing::new(String::from_utf8(
                read(file.as_ref())?.to_vec(),
            )?)));
        }
        if let Some(file) = name.strip_prefix("libvirt:") {
            return Ok(Self::Libvirt(read(file.as_ref())?));
        }
        let pepper = Pepper::new(&read(pepper_file.ok_or("this store needs --pepper-file")?)?)?;
        let store: Box<dyn Store> = match name.split_once(':') {
            Some(("sqlite", file)) => {
                Box::new(SqlStore::connect(&format!("sqlite://{file}?mode=rwc"), NonZeroU32::MIN).await?)
            }
            Some(("postgres" | "postgresql", _)) => Box::new(SqlStore::connect(name, NonZeroU32::MIN).await?),
            Some(("redis" | "rediss", _)) => Box::new(RedisStore::connect(name, RedisStore::PREFIX).await?),
            _ => return Err("no such kind of store".into()),
        };
        Ok(Self::Hashes { store, pepper })
    }

    /// The store with the hash of this token.
    pub(crate) fn hashed(self, token: &Secret) -> Result<Hashed> {
        match self {
            Self::Hashes { store, pepper } => Ok(Hashed {
                store,
                hash: pepper.hash(token),
            }),
            _ => Err("this store keeps no hashes".into()),
        }
    }
}

/// What a token file has for this token.
pub(crate) fn in_file(opened: &Opened, token: &Secret) -> Result<Option<Target>> {
    Ok(match opened {
        Opened::Hashes { .. } => None,
        Opened::Websockify(file) => match websockify::lookup(file, token.expose()) {
            Some(entry) => Some(entry.target()?),
            None => None,
        },
        Opened::Libvirt(file) => libvirt::lookup(file, token)?.map(|answer| answer.target),
    })
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

/// The seed of a key.
pub(crate) fn seed(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let bytes = read(path)?;
    let seed = bytes
        .as_slice()
        .try_into()
        .map_err(|_| format!("{}: not 32 bytes", path.display()))?;
    Ok(Zeroizing::new(seed))
}
