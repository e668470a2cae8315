//! What both protocol crates need stands in both, and stands there alike.
//!
//! The crates share no code, so that each stands alone. Items of one name in twin files are the same, token by token and but
//! for their documentation, unless [`DIFFERS`] says why not. So a change of one crate alone fails this test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use expect_test::expect;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{ImplItem, Item, ItemImpl, TraitItem};

/// Files below `spice-proto/src`, and their twins below `rfb-proto/src`.
const TWINS: [(&str, &str); 15] = [
    ("fields/mod.rs", "fields/mod.rs"),
    ("fields/layout.rs", "fields/layout.rs"),
    ("error.rs", "error.rs"),
    ("limits.rs", "limits.rs"),
    ("ids/mod.rs", "ids/mod.rs"),
    ("ids/mask.rs", "ids/mask.rs"),
    ("serialize.rs", "serialize.rs"),
    ("codec.rs", "codec.rs"),
    ("channel/mod.rs", "message/mod.rs"),
    ("link/machine.rs", "handshake/mod.rs"),
    ("link/first_bytes.rs", "first_bytes.rs"),
    ("drive/mod.rs", "drive/mod.rs"),
    ("drive/port.rs", "drive/line.rs"),
    ("tls/mod.rs", "tls/mod.rs"),
    ("tls/mod.rs", "tls/error.rs"),
];

/// What is not the same, and why.
const DIFFERS: &[(&str, &[&str])] = &[
    ("SPICE is little-endian, RFB is big-endian", &["fixed_integers!"]),
    (
        "a reader of RFB knows the limits and what was negotiated, since both decide where a message ends",
        &["Reader", "Reader<'a>::borrowed", "Reader<'a>::new", "codec!"],
    ),
    (
        "a reader of SPICE keeps what is left as a slice, since messages are decoded from it at every rate; what RFB frames \
         at such rates does not go through its reader, which keeps its position",
        &[
            "Reader<'a>::array",
            "Reader<'a>::block",
            "Reader<'a>::left",
            "Reader<'a>::short_block",
            "fmt::DebugforReader<'_>::fmt",
        ],
    ),
    (
        "offsets in SPICE messages have up to 64 bits",
        &["Reader<'a>::blob", "Reader<'a>::bytes"],
    ),
    (
        "each has the shapes of its own messages: `as`, tails and pointers; numbers and counts",
        &["layout!"],
    ),
    (
        "names of SPICE are the constants of spice.proto; those of RFB are texts of its specifications, with the number",
        &["ids!", "masks!", "open_number!", "fmt::DisplayforMask::fmt", "unnamed"],
    ),
    (
        "masks of SPICE have up to 64 bits",
        &["Mask", "Mask::new", "Mask::rest"],
    ),
    (
        "each has the limits of its own lengths",
        &["Limits", "DefaultforLimits::default"],
    ),
    (
        "each knows other strangers: what comes to a SPICE port, and what comes to a VNC port",
        &["FirstBytes", "FirstBytes::of", "fmt::DisplayforFirstBytes::fmt"],
    ),
    (
        "rfb-proto tells an old certificate from the other errors of rustls",
        &["TlsError::Rustls"],
    ),
];

/// The tokens without documentation.
fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let begins_with_doc =
                    matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(word)) if word == "doc");
                if group.delimiter() == Delimiter::Bracket && begins_with_doc {
                    while matches!(kept.last(), Some(TokenTree::Punct(mark)) if "#!".contains(mark.as_char())) {
                        kept.pop();
                    }
                    continue;
                }
                kept.push(Group::new(group.delimiter(), without_docs(group.stream())).into());
            }
            other => kept.push(other),
        }
    }
    kept.into_iter().collect()
}

fn text(syntax: &impl ToTokens) -> String {
    without_docs(syntax.to_token_stream()).to_string()
}

/// The items of a file by their names. Members of `impl` and `trait` blocks and variants are items of their own.
fn items(path: &Path) -> BTreeMap<String, String> {
    let file = syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut found = BTreeMap::new();
    for item in &file.items {
        match item {
            Item::Impl(block) => members(block, &mut found),
            Item::Trait(block) => {
                for member in &block.items {
                    if let TraitItem::Fn(function) = member {
                        found.insert(format!("{}::{}", block.ident, function.sig.ident), text(function));
                    }
                }
            }
            Item::Fn(item) => drop(found.insert(item.sig.ident.to_string(), text(item))),
            Item::Struct(item) => drop(found.insert(item.ident.to_string(), text(item))),
            Item::Enum(item) => {
                for variant in &item.variants {
                    found.insert(format!("{}::{}", item.ident, variant.ident), text(variant));
                }
            }
            Item::Const(item) => drop(found.insert(item.ident.to_string(), text(item))),
            Item::Type(item) => drop(found.insert(item.ident.to_string(), text(item))),
            Item::Macro(item) => {
                let name = item.ident.as_ref().map(|name| format!("{name}!"));
                name.map(|name| found.insert(name, text(item)));
            }
            _ => {}
        }
    }
    found
}

fn members(block: &ItemImpl, found: &mut BTreeMap<String, String>) {
    let of = block.trait_.as_ref().map(|(_, path, _)| format!("{} for ", text(path)));
    let head = format!("{}{}", of.unwrap_or_default(), text(&*block.self_ty));
    for member in &block.items {
        let name = match member {
            ImplItem::Fn(function) => &function.sig.ident,
            ImplItem::Const(constant) => &constant.ident,
            ImplItem::Type(alias) => &alias.ident,
            _ => continue,
        };
        found.insert(format!("{head}::{name}"), text(member));
    }
}

#[test]
fn twins_are_alike() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut same, mut differs) = (String::new(), BTreeSet::new());
    for (spice, rfb) in TWINS {
        let ours = items(&root.join("spice-proto/src").join(spice));
        let theirs = items(&root.join("rfb-proto/src").join(rfb));
        for (name, item) in &ours {
            match theirs.get(name) {
                Some(other) if item == other => same += &format!("{rfb}: {}\n", name.replace(' ', "")),
                Some(_) => drop(differs.insert(name.replace(' ', ""))),
                None => {}
            }
        }
    }
    let listed: BTreeSet<String> = DIFFERS
        .iter()
        .flat_map(|(_, names)| *names)
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(differs, listed);
    // An item that one crate renames or drops is missing here.
    expect![[r#"
        fields/mod.rs: Decode::read
        fields/mod.rs: Encode::wire_len
        fields/mod.rs: Encode::write
        fields/mod.rs: Field
        fields/mod.rs: Fixedfor[u8;N]::SIZE
        fields/mod.rs: Fixedfor[u8;N]::get
        fields/mod.rs: Fixedfor[u8;N]::put
        fields/mod.rs: Fixed::get
        fields/mod.rs: Fixed::put
        fields/mod.rs: Reader<'a>::error
        fields/mod.rs: Reader<'a>::slice
        fields/mod.rs: Reader<'a>::truncated
        fields/mod.rs: Unseen
        fields/mod.rs: append
        fields/mod.rs: fmt::DebugforUnseen<'_>::fmt
        fields/mod.rs: length
        fields/mod.rs: put_array
        fields/mod.rs: put_block
        error.rs: DecodeError
        error.rs: DecodeErrorKind::Invalid
        error.rs: DecodeErrorKind::TooLarge
        error.rs: DecodeErrorKind::Truncated
        error.rs: EncodeError
        limits.rs: Limits::with_sasl_data
        limits.rs: Limits::with_sasl_mechanisms
        ids/mask.rs: Mask::names
        ids/mask.rs: serde::SerializeforMask::serialize
        serialize.rs: Hex
        serialize.rs: fmt::DisplayforHex<'_>::fmt
        serialize.rs: hex
        serialize.rs: text
        codec.rs: CodecError::Decode
        codec.rs: CodecError::Encode
        codec.rs: CodecError::Io
        handshake/mod.rs: Action::Ask
        handshake/mod.rs: Action::Done
        handshake/mod.rs: Action::Receive
        handshake/mod.rs: Action::Waiting
        handshake/mod.rs: Buffers
        handshake/mod.rs: Machine::deadline
        handshake/mod.rs: Machine::eof
        handshake/mod.rs: Machine::max_input
        handshake/mod.rs: Machine::step
        handshake/mod.rs: Side::Hypervisor
        handshake/mod.rs: Side::Tenant
        handshake/mod.rs: SideBuffers
        handshake/mod.rs: SideBuffers::side
        first_bytes.rs: fmt::DebugforFirstBytes::fmt
        drive/mod.rs: Clock
        drive/mod.rs: Clock::instant
        drive/mod.rs: Clock::now
        drive/mod.rs: Clock::start
        drive/mod.rs: DriveError::Io
        drive/mod.rs: DriveError::Protocol
        drive/mod.rs: Driven::Ask
        drive/mod.rs: Driven::Done
        drive/mod.rs: From<tokio::io::Error>forDriveError<Protocol>::from
        tls/mod.rs: provider
        tls/error.rs: TlsError::BadCertificate
        tls/error.rs: TlsError::BadName
        tls/error.rs: TlsError::NoCertificate
    "#]]
    .assert_eq(&same);
}
