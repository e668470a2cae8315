//! The stores that the tool reaches, and what is asked of them.

use std::num::NonZeroU32;
use std::path::Path;

use console_token::{Pepper, RedisStore, Secret, SqlStore, Store, Target, TokenHash};
use zeroize::Zeroizing;

use crate::Result;
use crate::files::{Libvirt, Websockify, read};

/// A store that was opened.
pub(crate) enum Opened {
    /// One of console-token, which knows tokens by their hashes.
    Hashes { store: Box<dyn Store>, pepper: Pepper },
    /// Token files of websockify.
    Websockify(Websockify),
    /// A token file of libvirt-console-proxy.
    Libvirt(Libvirt),
}

/// A store of console-token and the hash of the token.
pub(crate) struct Hashed {
    pub(crate) store: Box<dyn Store>,
    pub(crate) hash: TokenHash,
}

impl Opened {
    /// Opens a store by its name.
    pub(crate) async fn open(name: &str, pepper_file: Option<&Path>) -> Result<Self> {
        if let Some(path) = name.strip_prefix("websockify:") {
            return Ok(Self::Websockify(Websockify::open(path.as_ref())?));
        }
        if let Some(file) = name.strip_prefix("libvirt:") {
            return Ok(Self::Libvirt(Libvirt::open(file.as_ref())?));
        }
        let pepper_file = pepper_file.ok_or("this store needs --pepper-file")?;
        let pepper = Pepper::new(&read(pepper_file)?).map_err(|error| format!("{}: {error}", pepper_file.display()))?;
        let store: Box<dyn Store> = match name.split_once(':') {
            Some(("sqlite", file)) => Box::new(sqlite(file).await?),
            // These names can have a password in them.
            Some(("postgres" | "postgresql", _)) => {
                let store = SqlStore::connect(name, NonZeroU32::MIN).await;
                Box::new(store.map_err(|error| format!("PostgreSQL: {error}"))?)
            }
            Some(("redis" | "rediss", _)) => {
                let store = RedisStore::connect(name, RedisStore::PREFIX).await;
                Box::new(store.map_err(|error| format!("Redis: {error}"))?)
            }
            _ => return Err("--store: not sqlite:, postgres:, redis:, websockify: or libvirt:".into()),
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

/// A file of SQLite, which is made if it is not there.
async fn sqlite(file: &str) -> Result<SqlStore> {
    // In a URL these have a meaning.
    let path = file.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let store = SqlStore::connect(&format!("sqlite://{path}?mode=rwc"), NonZeroU32::MIN).await;
    store.map_err(|error| {
        let error = error.to_string();
        // The error names the file if that could not be made.
        let named = if error.contains(file) {
            error
        } else {
            format!("{file}: {error}")
        };
        named.into()
    })
}

/// What a token file has for this token.
pub(crate) fn in_file(opened: &Opened, token: &Secret) -> Result<Option<Target>> {
    match opened {
        Opened::Hashes { .. } => Ok(None),
        Opened::Websockify(files) => files.lookup(token),
        Opened::Libvirt(file) => file.lookup(token),
    }
}

/// The seed of a key.
pub(crate) fn seed(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let bytes = read(path)?;
    let seed = bytes
        .as_slice()
        .try_into()
        .map_err(|_| format!("{}: {} bytes, not 32", path.display(), bytes.len()))?;
    Ok(Zeroizing::new(seed))
}
