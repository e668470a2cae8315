//! The public functions of the libraries that take bytes or text: from the listings that stage `api` keeps, and by the names
//! that a program with counters gives them.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// The libraries with a listing.
const CRATES: [&str; 4] = ["spice-proto", "rfb-proto", "console-token", "vv-file"];
/// What an argument is called that is bytes, text, or brings them.
const BYTES: [&str; 12] = [
    "[u8]",
    "[u8;",
    "str",
    "bytes::bytes::Bytes",
    "bytes::bytes_mut::BytesMut",
    "AsRef<[u8]>",
    "AsRef<str>",
    "Into<alloc::string::String>",
    "alloc::string::String",
    "handshake::Buffers",
    "link::Buffers",
    "SideBuffers",
];

/// A public function or method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// Its path in the listing, without what types are generic over.
    pub path: String,
    /// Its arguments.
    pub arguments: String,
}

impl Function {
    /// The crate, the type of a method, and the name: what remains the same wherever it is exported.
    #[must_use]
    pub fn key(&self) -> String {
        key(&self.path)
    }
}

fn key(path: &str) -> String {
    // What a function makes, as the future of an async one, is the function.
    let parts: Vec<&str> = path
        .split("::")
        .filter(|part| !part.is_empty() && !part.starts_with('{'))
        .collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return String::new();
    };
    // A function is exported from other modules than its own; a type keeps its name.
    let of_type = parts
        .iter()
        .rev()
        .nth(1)
        .filter(|part| part.starts_with(char::is_uppercase));
    match of_type {
        Some(name) => format!("{first}::{name}::{last}"),
        None => format!("{first}::{last}"),
    }
}

/// Without `<...>`.
fn without_generics(text: &str) -> String {
    let mut depth = 0_u32;
    let mut out = String::new();
    let mut last = ' ';
    for character in text.chars() {
        match character {
            '<' => depth += 1,
            '>' if last != '-' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(character),
            _ => {}
        }
        last = character;
    }
    out
}

/// The arguments of a line that begins behind `fn`: name and arguments.
fn split(line: &str) -> Option<(String, &str)> {
    let mut depth = 0_i32;
    let mut open = None;
    let mut last = ' ';
    for (at, character) in line.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            '(' if depth == 0 && open.is_none() => open = Some(at),
            _ => {}
        }
        last = character;
    }
    let open = open?;
    let mut parens = 0_i32;
    for (at, character) in line[open..].char_indices() {
        match character {
            '(' => parens += 1,
            ')' => parens -= 1,
            _ => {}
        }
        if parens == 0 {
            return Some((without_generics(&line[..open]), &line[open + 1..open + at]));
        }
    }
    None
}

/// Whether one of the arguments brings bytes or text from outside.
fn takes_bytes(arguments: &str) -> bool {
    BYTES.iter().any(|name| {
        arguments.match_indices(name).any(|(at, _)| {
            let before = arguments[..at].chars().next_back();
            let behind = arguments[at + name.len()..].chars().next();
            let is_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let starts = !name.starts_with(char::is_alphanumeric) || !is_word(before);
            starts && (name.ends_with(';') || !is_word(behind))
        })
    })
}

/// All public functions that take bytes, from the listings.
///
/// # Errors
/// A listing cannot be read.
pub fn byte_functions() -> io::Result<Vec<Function>> {
    let mut found = BTreeSet::new();
    for name in CRATES {
        let listing = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(name)
            .join("public-api.txt");
        for line in fs::read_to_string(listing)?.lines() {
            let Some((head, rest)) = line.split_once("fn ") else {
                continue;
            };
            let is_function = head
                .split(' ')
                .all(|word| matches!(word, "" | "pub" | "const" | "async"));
            if let (true, Some((path, arguments))) = (is_function, split(rest)) {
                let arguments = arguments.to_owned();
                if takes_bytes(&arguments) {
                    found.insert(Function { path, arguments });
                }
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// What a mangled name stands for, in the form of [`Function::key`].
#[cfg(feature = "seeds")]
#[must_use]
pub fn name_of(mangled: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(mangled));
    key(&plain(&name))
}

/// Whether a mangled name is that of a closure.
#[cfg(feature = "seeds")]
#[must_use]
pub fn is_closure(mangled: &str) -> bool {
    format!("{:#}", rustc_demangle::demangle(mangled)).contains("::{closure")
}

/// `<crate::Type<T> as crate::Trait>::name` is the type's.
#[cfg(feature = "seeds")]
fn plain(name: &str) -> String {
    let Some(rest) = name.strip_prefix('<') else {
        return without_generics(name).replace("::::", "::");
    };
    let (mut depth, mut end, mut last) = (1_i32, rest.len(), ' ');
    for (at, character) in rest.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            end = at;
            break;
        }
        last = character;
    }
    let inner = rest[..end].split(" as ").next().unwrap_or_default();
    let behind = rest.get(end + 1..).unwrap_or_default();
    format!("{}{}", plain(inner.trim_start_matches('&')), without_generics(behind)).replace("::::", "::")
}

#[test]
fn arguments_that_bring_bytes() {
    for arguments in [
        "&[u8]",
        "&mut self, &mut bytes::bytes_mut::BytesMut",
        "&'a str, u8",
        "[u8; 16]",
    ] {
        assert!(takes_bytes(arguments), "{arguments}");
    }
    for arguments in [
        "&self",
        "u8, u32",
        "core::strange::Thing",
        "&mut core::fmt::Formatter<'_>",
    ] {
        assert!(!takes_bytes(arguments), "{arguments}");
    }
    let line = "x::A<'_, fn(u8) -> u8>::take<S: Fn(u8)>(&[u8], impl Fn(&str) -> u8) -> Option<u8> where S: Fn(u8)";
    assert_eq!(
        split(line),
        Some(("x::A::take".to_owned(), "&[u8], impl Fn(&str) -> u8"))
    );
}

#[cfg(feature = "seeds")]
#[test]
fn names_of_types_and_functions() {
    for (name, expected) in [
        ("<spice_proto::a::b::Type>::take", "spice_proto::Type::take"),
        ("spice_proto::a::b::Type::take", "spice_proto::Type::take"),
        (
            "<rfb_proto::a::Type<x::Y> as core::str::FromStr>::from_str",
            "rfb_proto::Type::from_str",
        ),
        ("vv_file::pem::decode", "vv_file::decode"),
        (
            "spice_proto::drive::link::drive::<x::Y>::{closure#0}",
            "spice_proto::drive",
        ),
        ("<vv_file::a::KeyFile>::get::<&[u8], &[u8]>", "vv_file::KeyFile::get"),
        ("<rfb_proto::drive::Stream<S>>::new", "rfb_proto::Stream::new"),
    ] {
        assert_eq!(key(&plain(name)), expected);
    }
}
