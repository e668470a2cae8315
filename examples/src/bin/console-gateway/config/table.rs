//! A table of the configuration that is read key by key, so that everything that is wrong with it is found at once.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use console_token::Secret;
use toml::{Table as Toml, Value};
use zeroize::Zeroizing;

/// What is wrong, point by point, and where paths count from.
pub(super) struct Check {
    pub(super) folder: PathBuf,
    pub(super) problems: RefCell<Vec<String>>,
}

impl Check {
    /// Notes a problem.
    pub(super) fn wrong<T>(&self, problem: impl fmt::Display) -> Option<T> {
        self.problems.borrow_mut().push(problem.to_string());
        None
    }

    /// Reads a file that the configuration names.
    pub(super) fn file(&self, what: &str, path: &str) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.folder.join(Path::new(path));
        match std::fs::read(&path) {
            Ok(bytes) => Some(Zeroizing::new(bytes)),
            Err(error) => self.wrong(format_args!("{what}: {} cannot be read: {error}", path.display())),
        }
    }

    /// The first line of a file, or of an environment variable that is named `env:NAME`. Never empty.
    pub(super) fn secret(&self, what: &str, place: &str) -> Option<Zeroizing<Vec<u8>>> {
        let mut secret = match place.strip_prefix("env:") {
            None => self.file(what, place)?,
            Some(name) => match std::env::var_os(name) {
                Some(value) => Zeroizing::new(value.into_encoded_bytes()),
                None => return self.wrong(format_args!("{what}: there is no environment variable {name}")),
            },
        };
        let end = secret.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let end = end.unwrap_or(secret.len());
        secret.truncate(end);
        if secret.is_empty() {
            return self.wrong(format_args!("{what}: the first line of {place} is empty"));
        }
        Some(secret)
    }
}

/// A table, and how it is called in a complaint.
pub(super) struct Table {
    pub(super) name: String,
    keys: Toml,
    /// The keys that were there.
    named: Vec<String>,
}

impl Table {
    pub(super) fn new(name: String, keys: Toml) -> Self {
        let named = keys.keys().cloned().collect();
        Self { name, keys, named }
    }

    /// How a key of it is called in a complaint.
    pub(super) fn key(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => format!("[{key}]"),
            name => format!("{name} {key}"),
        }
    }

    /// Complains about keys that were not asked for. The names of keys are shown, their values are not.
    pub(super) fn end(self, check: &Check) {
        for key in self.keys.keys() {
            check.wrong::<()>(format_args!("{}: unknown key", self.key(key)));
        }
    }

    pub(super) fn take<T>(
        &mut self,
        check: &Check,
        key: &str,
        wanted: &str,
        read: impl Fn(Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.keys.remove(key)?;
        // Not the value: it may be a secret in the wrong place.
        read(value).or_else(|| check.wrong(format_args!("{}: {wanted} is expected", self.key(key))))
    }

    /// A text that stays to be read.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        self.keys.get(key)?.as_str()
    }

    /// Leaves a key out, of which something was said already.
    pub(super) fn drop(&mut self, key: &str) {
        self.keys.remove(key);
    }

    /// Whether the key was there, read already or not.
    pub(super) fn was_named(&self, key: &str) -> bool {
        self.named.iter().any(|name| name == key)
    }

    /// All keys, which are then for others to look at.
    pub(super) fn into_keys(self) -> Toml {
        self.keys
    }

    /// A time in whole seconds.
    pub(super) fn seconds(&mut self, check: &Check, key: &str, most: u64, usual: u64) -> Duration {
        Duration::from_secs(self.number(check, key, 0..=most).unwrap_or(usual))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Whether the key is there, or a complaint.
    pub(super) fn needs(&self, check: &Check, key: &str) -> bool {
        if !self.has(key) {
            check.wrong::<()>(format_args!("{} is missing", self.key(key)));
        }
        self.has(key)
    }

    pub(super) fn text(&mut self, check: &Check, key: &str) -> Option<String> {
        self.take(check, key, "a text in quotes", text)
    }

    pub(super) fn flag(&mut self, check: &Check, key: &str) -> Option<bool> {
        self.take(check, key, "true or false", |value| value.as_bool())
    }

    pub(super) fn texts(&mut self, check: &Check, key: &str) -> Vec<String> {
        let texts = self.take(check, key, "a list of texts", |value| match value {
            Value::Array(values) => values.into_iter().map(text).collect(),
            _ => None,
        });
        texts.unwrap_or_default()
    }

    pub(super) fn number(&mut self, check: &Check, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        self.take(check, key, &wanted, |value| {
            let number = u64::try_from(value.as_integer()?).ok()?;
            range.contains(&number).then_some(number)
        })
    }

    pub(super) fn port(&mut self, check: &Check, key: &str) -> Option<NonZeroU16> {
        self.take(check, key, "a port from 1 to 65535", |value| {
            NonZeroU16::new(value.as_integer()?.try_into().ok()?)
        })
    }

    /// A first and a last port, as `"5900-5999"`; or one.
    pub(super) fn ports(&mut self, check: &Check, key: &str) -> Option<RangeInclusive<u16>> {
        self.take(check, key, "ports, as \"5900-5999\",", |value| {
            let text = value.as_str()?;
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let ports: [NonZeroU16; 2] = [first.parse().ok()?, last.parse().ok()?];
            (ports[0] <= ports[1]).then(|| ports[0].get()..=ports[1].get())
        })
    }

    pub(super) fn address(&mut self, check: &Check, key: &str) -> Option<SocketAddr> {
        self.take(check, key, "an address with a port, as \"127.0.0.1:5900\",", |value| {
            value.as_str()?.parse().ok()
        })
    }

    /// A file, by its contents.
    pub(super) fn file(&mut self, check: &Check, key: &str) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.text(check, key)?;
        check.file(&self.key(key), &path)
    }

    /// A secret, by its place; see [`Check::secret`].
    pub(super) fn secret(&mut self, check: &Check, key: &str) -> Option<Zeroizing<Vec<u8>>> {
        let place = self.text(check, key)?;
        check.secret(&self.key(key), &place)
    }

    /// A secret that can be shown in an HTTP header.
    pub(super) fn token(&mut self, check: &Check, key: &str, shortest: usize) -> Option<Secret> {
        let bytes = self.secret(check, key)?;
        match Secret::presented(&bytes) {
            _ if bytes.len() < shortest => {
                let (key, length) = (self.key(key), bytes.len());
                check.wrong(format_args!(
                    "{key}: {length} characters; at least {shortest} are needed"
                ))
            }
            Ok(secret) if console_token::web::place::Place::Header.carries(secret.expose()) => Some(secret),
            _ => {
                let (key, longest) = (self.key(key), Secret::MAX_LEN);
                check.wrong(format_args!(
                    "{key}: only letters, digits and -._~+/ and = at the end, at most {longest}"
                ))
            }
        }
    }

    /// A table inside of this one; empty when it is not there.
    pub(super) fn table(&mut self, check: &Check, key: &str) -> Self {
        let name = match self.name.as_str() {
            "" => format!("[{key}]"),
            name => format!("{name} {key}"),
        };
        let keys = self.take(check, key, "a table", |value| match value {
            Value::Table(keys) => Some(keys),
            _ => None,
        });
        Self::new(name, keys.unwrap_or_default())
    }

    /// The tables of a list, each named by `name` and what stands under one of its keys, or else its number.
    pub(super) fn tables(&mut self, check: &Check, key: &str, name: &str, by: Option<&str>) -> Vec<Self> {
        let tables = self.take(check, key, "a list of tables", |value| match value {
            Value::Array(values) => values
                .into_iter()
                .map(|value| match value {
                    Value::Table(keys) => Some(keys),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>(),
            _ => None,
        });
        let named = |(number, keys): (usize, Toml)| {
            let by = by.and_then(|by| keys.get(by)?.as_str());
            let name = match by {
                Some(by) => format!("{name} {by:?}"),
                None => format!("{name} {number}"),
            };
            Self::new(name, keys)
        };
        tables.unwrap_or_default().into_iter().enumerate().map(named).collect()
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
