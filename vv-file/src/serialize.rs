//! The typed model for serde: a map with the names of the keys, and `null` for keys that are not set.
//!
//! Passwords, tickets and tokens are also `null`, unless the caller wraps the model in [`WithSecrets`].

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde_core::ser::{Error, Serialize, SerializeMap, Serializer};

use crate::{
    connection::{ConnectionFile, ConnectionType, VirtViewer},
    fields::{Fields, Shown},
    host::is_ticket,
    key,
    ovirt::Ovirt,
    redact::shown_proxy,
    secret::Secret,
};

/// Serializes the wrapped model with its secrets.
#[derive(Debug)]
pub struct WithSecrets<'a, T>(pub &'a T);

impl Serialize for Shown<'_, Option<Secret>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Some(secret) if self.secrets => {
                let text = core::str::from_utf8(secret.expose()).map_err(S::Error::custom)?;
                serializer.serialize_some(text)
            }
            _ => serializer.serialize_none(),
        }
    }
}

impl Serialize for Shown<'_, Option<String>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.key, self.value) {
            (key::HOST, Some(host)) if !self.secrets && is_ticket(host) => serializer.serialize_none(),
            (key::PROXY, Some(proxy)) if !self.secrets => shown_proxy(proxy).serialize(serializer),
            (_, value) => value.serialize(serializer),
        }
    }
}

impl Serialize for Shown<'_, Option<ConnectionType>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.as_ref().map(ConnectionType::name).serialize(serializer)
    }
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Serialize for Shown<'_, $type> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.value.serialize(serializer)
            }
        }
    )*};
}

plain!(Option<i32>, Option<bool>, Option<Vec<String>>, BTreeMap<String, String>);

/// A group, and whether its secrets are shown.
struct Group<'a, T> {
    fields: &'a T,
    secrets: bool,
}

impl<T: Fields> Serialize for Group<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields.serialize_fields(serializer, self.secrets)
    }
}

impl Fields for ConnectionFile {
    fn serialize_fields<S: Serializer>(&self, serializer: S, secrets: bool) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        let fields = &self.virt_viewer;
        map.serialize_entry(key::VIRT_VIEWER, &Group { fields, secrets })?;
        let ovirt = self.ovirt.as_ref().map(|fields| Group { fields, secrets });
        map.serialize_entry(key::OVIRT, &ovirt)?;
        map.end()
    }
}

macro_rules! models {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize_fields(serializer, false)
            }
        }

        impl Serialize for WithSecrets<'_, $name> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize_fields(serializer, true)
            }
        }
    )*};
}

models!(ConnectionFile, VirtViewer, Ovirt);
