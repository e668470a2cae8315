//! The real GLib, spice-gtk, OpenSSL and remote-viewer.
//!
//! GLib is asked by `real/glib.py`, spice-gtk and OpenSSL by `real/spice.py`. Servers and displays listen on the loopback only, are limited in time, and
//! are ended by their process id. Random files come from a seed that is printed; `VV_SEED` sets it.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "tests run on the host, and one that panics has failed"
)]

#[path = "real/glib.rs"]
mod glib;
#[path = "real/spice.rs"]
mod spice;
#[path = "real/viewer.rs"]
mod viewer;

use vv_file::{Builder, Channel, ColorDepth, Effect, Engine, HotkeyAction, KeyFile, key};

/// A generator of numbers that is the same everywhere.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::env::var("VV_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            time.unwrap().as_nanos() as u64 | 1
        });
        println!("VV_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..=self.below(most)).map(|_| self.pick(pieces)).collect()
    }
}

const TOKENS: [&[u8]; 50] = [
    b"[",
    b"]",
    b"=",
    b"=",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"[g]\n",
    b"[virt-viewer]\n",
    b"k=",
    b"type=spice\n",
    b"host=",
    b"\\",
    b"\\s",
    b"\\n",
    b"\\;",
    b"\\q",
    b";",
    b"#",
    b" ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\r",
    b"\0",
    b"1",
    b"-7",
    b"true",
    b"false",
    b"2147483648",
    b"Encoding=",
    b"UTF-8",
    b"Encoding=UTF-8",
    b"\0\n",
    b"[de]",
    "é".as_bytes(),
    b"\xff",
    b"abc",
    b"\x7f",
    b"k[",
    b"\x80",
    b"\xcd\x85",
    "ก".as_bytes(),
    b"9223372036854775808",
    b"-18446744073709551616",
    b"+",
    b"1;2; 3;",
    b"true;0;",
    b"\xef\xbb\xbf",
];

/// Parsing, every value and what is written back, on random files.
#[test]
#[ignore = "needs GLib"]
fn glib_reads_random_files_alike() {
    let mut random = Random::new();
    let files: Vec<Vec<u8>> = (0..2000)
        .map(|_| {
            let mut file = Vec::new();
            if random.below(4) != 0 {
                file.extend_from_slice(b"[virt-viewer]\n");
            }
            // Every line with a key, in half of the files: of the others few load.
            let is_tidy = random.below(2) == 0;
            for _ in 0..random.below(40) {
                if is_tidy && (file.is_empty() || file.ends_with(b"\n")) {
                    file.extend_from_slice(b"k=");
                }
                file.extend_from_slice(random.pick(&TOKENS));
            }
            file
        })
        .collect();
    let mut loaded = 0;
    for (file, theirs) in files.iter().zip(glib::ask(&files)) {
        let ours = glib::ours(file);
        assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(file));
        loaded += u32::from(ours["error"].is_null());
    }
    println!("{} files, {loaded} of them loaded", files.len());
    assert!(400 < loaded, "too few files load to mean anything");
}

/// A setter of one line of text.
type Setter = fn(Builder, &str) -> Builder;

const PIECES: [&str; 16] = [
    " ", "\\", ";", "#", "=", "[", "]", "a", "B", "7", "é", "\"", "%d", ",", "コ", "\u{a0}",
];

/// Each value of files that are built, as GLib reads it.
#[test]
#[ignore = "needs GLib"]
fn glib_reads_what_is_built() {
    let mut random = Random::new();
    let mut files = Vec::new();
    let mut expected = Vec::new();
    while files.len() < 10_000 {
        let mut values: Vec<(&str, String)> = Vec::new();
        let host = random.text(&["a", "b", "a-b", "b1", "c.example", "é"], 6);
        let mut builder = Builder::spice(&host).tls_port(5901);
        values.push((key::HOST, host));
        let setters: [(&str, Setter); 5] = [
            (key::TITLE, |b, t| b.title(t)),
            (key::USERNAME, |b, t| b.username(t)),
            (key::PASSWORD, |b, t| b.password(t)),
            (key::TLS_CIPHERS, |b, t| b.tls_ciphers(t)),
            (key::NEWER_VERSION_URL, |b, t| b.newer_version_url(t)),
        ];
        for (key, set) in setters {
            if random.below(3) != 0 {
                let text = random.text(&PIECES, 12);
                builder = set(builder, &text);
                values.push((key, text));
            }
        }
        if random.below(2) == 0 {
            let entries = [("O", random.text(&PIECES, 6)), ("CN", random.text(&PIECES, 6))];
            let subject = vv_file::subject::HostSubject::from_entries(entries)
                .unwrap()
                .to_string();
            builder = builder.host_subject(&subject);
            values.push((key::HOST_SUBJECT, subject));
        }
        if random.below(2) == 0 {
            let der: Vec<u8> = (0..=random.below(200)).map(|_| random.below(256) as u8).collect();
            let pem = vv_file::pem::encode(&[der]);
            builder = builder.ca(&pem);
            values.push((key::CA, pem));
        }
        if random.below(2) == 0 {
            builder = builder
                .hotkey(HotkeyAction::SecureAttention, "ctrl+alt+end")
                .secure_channels([Channel::Main, Channel::All])
                .disable_effects([Effect::Wallpaper])
                .color_depth(ColorDepth::Bits32)
                .versions([("rhel8", "7.0-3")]);
            values.push((key::SECURE_ATTENTION, "ctrl+alt+end".into()));
            values.push((key::SECURE_CHANNELS, "main;all;".into()));
            values.push((key::DISABLE_EFFECTS, "wallpaper;".into()));
            values.push((key::COLOR_DEPTH, "32".into()));
            values.push((key::VERSIONS, "rhel8:7.0-3;".into()));
        }
        if random.below(2) == 0 {
            builder = builder.ovirt(&Engine {
                host: "e",
                vm_guid: "v",
                ..Engine::default()
            });
        }
        let Ok(document) = builder.build() else { continue };
        files.push(document.as_bytes().to_vec());
        expected.push(values);
    }
    for ((file, values), theirs) in files.iter().zip(&expected).zip(glib::ask(&files)) {
        assert_eq!(glib::ours(file), theirs);
        let keys = theirs["groups"][0][1].as_array().unwrap();
        for (key, value) in values {
            let entry = keys.iter().find(|entry| entry[0] == glib::hex(key.as_bytes())).unwrap();
            assert_eq!(entry[2], glib::hex(value.as_bytes()), "{key}");
        }
        // type, delete-this-file and tls-port are always there.
        assert_eq!(keys.len(), values.len() + 3);
        assert!(KeyFile::parse(file).is_ok());
    }
    println!("{} models", files.len());
}
