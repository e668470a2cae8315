//! Connection files: parsed, and every value read by its name.

use benches::vv;
use ini::Ini;
use vv_file::KeyFile;

use crate::contest::{Contest, Peer, keep, run};
use crate::digest::Digest;
use crate::program::{GLIB, sample};

const OPERATION: &str = "`.vv` file parsed, every value read by its name";
const LIMIT: &str = "lines and keys found by hand, values looked through";

pub fn contests() -> Vec<Contest> {
    vec![
        contest("file of 6 KiB", vec![vv::file()]),
        contest("mix of 35 bytes to 2 KiB", vv::mix()),
        contest(
            "the mix without certificates and without `;`",
            vv::mix().iter().map(|file| plain(file)).collect(),
        ),
    ]
}

/// A file without what rust-ini reads otherwise.
fn plain(file: &[u8]) -> Vec<u8> {
    let lines = file.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines
        .filter(|line| !line.starts_with(b"ca=") && !line.starts_with(b";"))
        .collect();
    lines.concat()
}

fn contest(name: &str, files: Vec<Vec<u8>>) -> Contest {
    let given = given(&files);
    let paths: Vec<String> = (0..)
        .zip(&files)
        .map(|(n, file)| sample(&format!("{n}-of-{}.vv", files.len()), file))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    Contest {
        operation: OPERATION,
        sample: name.into(),
        bytes: files.iter().map(Vec::len).sum(),
        count: files.len() as u32,
        unit: "file",
        ours: run(vv::read_all(files.clone())),
        limit: Some((LIMIT, run(vv::by_hand(files.clone())))),
        peers: vec![GLIB.peer("GLib", &paths, &given), rust_ini(files)],
    }
}

/// Groups, keys and values, as the program in C says them.
fn given(files: &[Vec<u8>]) -> Digest {
    let mut digest = Digest::new();
    for file in files {
        let parsed = KeyFile::parse(file).expect("a file of the tests");
        for group in parsed.groups() {
            digest.add_string(Some(group));
            for key in parsed.keys(group) {
                digest.add_string(Some(key));
                let value = parsed.get(group, key).expect("its key was found").text();
                digest.add_string(value.ok().as_deref().map(str::as_bytes));
            }
        }
    }
    digest
}

fn rust_ini(files: Vec<Vec<u8>>) -> Peer {
    let texts: Vec<String> = files
        .into_iter()
        .map(|file| String::from_utf8(file).expect("UTF-8"))
        .collect();
    let others = texts.iter().filter(|text| !is_same(text)).count();
    if others != 0 {
        let why = format!(
            "reads {others} of {} files otherwise: drops the line end of a certificate, takes `;` for a comment",
            texts.len()
        );
        return Peer::cannot("rust-ini", why);
    }
    Peer::new(
        "rust-ini",
        run(move || {
            for text in &texts {
                let file = Ini::load_from_str(text).expect("it was read before");
                for (group, keys) in &file {
                    for (key, _) in keys.iter() {
                        keep(file.get_from(group, key));
                    }
                }
            }
        }),
    )
}

/// Whether rust-ini has the same groups, keys and values, in the same order.
fn is_same(text: &str) -> bool {
    let Ok(file) = Ini::load_from_str(text) else {
        return false;
    };
    let mut digest = Digest::new();
    for (group, keys) in &file {
        let Some(group) = group else { continue };
        digest.add_string(Some(group.as_bytes()));
        for (key, value) in keys.iter() {
            digest.add_string(Some(key.as_bytes()));
            digest.add_string(Some(value.as_bytes()));
        }
    }
    digest == given(&[text.as_bytes().to_vec()])
}
