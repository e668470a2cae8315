//! Values made from a fuzzer's bytes (feature `arbitrary`): files that can be read, and the grammars of values.

use ::arbitrary::{Arbitrary, Error, Result, Unstructured};
use alloc::string::String;

use crate::key_file::KeyFile;
use crate::subject::HostSubject;
use crate::usb_filter::{UsbFilter, UsbRule};
use crate::{Builder, Document, key};

/// Keys of a file, at most.
const KEYS: usize = 32;

/// A name of a group or a key: a letter, then letters, digits and dashes.
fn name(u: &mut Unstructured<'_>) -> Result<String> {
    let mut name = String::from("x");
    for _ in 0..u.int_in_range(0..=8)? {
        name.push(char::from(*u.choose(b"abcdefghijklmnopqrstuvwxyz0123456789-")?));
    }
    if name.ends_with('-') {
        name.push('x');
    }
    Ok(name)
}

/// A file with groups and keys of any names and any texts that can be written. It reads back as it is.
impl<'a> Arbitrary<'a> for KeyFile {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut file = Self::parse(b"").map_err(|_| Error::IncorrectFormat)?;
        for _ in 0..u.int_in_range(0..=KEYS)? {
            let group = match u.ratio(1, 2)? {
                true => String::from("virt-viewer"),
                false => name(u)?,
            };
            let key = match u.ratio(1, 2)? {
                true => String::from(*u.choose(&[key::HOST, key::TITLE, key::PASSWORD, key::PORT])?),
                false => name(u)?,
            };
            let text = String::arbitrary(u)?;
            // A NUL, or a form feed in front, has no form in a file.
            let _ = file.set_string(&group, &key, &text);
        }
        Ok(file)
    }
}

/// A connection file that a viewer takes.
impl<'a> Arbitrary<'a> for Document {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut builder = match u.ratio(1, 2)? {
            true => Builder::spice("host.example"),
            false => Builder::vnc("192.0.2.1"),
        };
        builder = builder.port(u.int_in_range(1..=u16::MAX)?);
        if u.arbitrary()? {
            builder = builder.title(String::arbitrary(u)?.replace(char::is_control, ""));
        }
        if u.arbitrary()? {
            builder = builder.password(String::arbitrary(u)?.replace(char::is_control, ""));
        }
        if u.arbitrary()? {
            builder = builder.fullscreen(u.arbitrary()?).delete_this_file(u.arbitrary()?);
        }
        builder.build().map_err(|_| Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for UsbRule {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            class: u.arbitrary()?,
            vendor: u.arbitrary()?,
            product: u.arbitrary()?,
            version: u.arbitrary()?,
            allow: u.arbitrary()?,
        })
    }
}

impl<'a> Arbitrary<'a> for UsbFilter {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.arbitrary().map(Self)
    }
}

/// Keys and values that have a form; [`HostSubject::check`] tells whether a viewer takes them.
impl<'a> Arbitrary<'a> for HostSubject {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut entries = alloc::vec::Vec::new();
        for _ in 0..u.int_in_range(0..=6)? {
            let key = *u.choose(&["CN", "O", "OU", "C", "x"])?;
            entries.push((String::from(key), String::arbitrary(u)?));
        }
        Self::from_entries(entries).map_err(|_| Error::IncorrectFormat)
    }
}
