//! Connection files.

use vv_file::key_file::Limits;
use vv_file::{ConnectionFile, KeyFile};

use crate::draw::Draw;
use crate::{Case, keep};

/// What is counted here beside what `CASES` of the library has.
pub(crate) const CASES: &[Case] = &[
    Case::new(
        "vv: the file of 6 KiB, lines and keys found by hand, values looked through (the limit)",
        500,
        1,
        || by_hand(vec![file()]),
    ),
    Case::new(
        "vv: mixed file of 35 bytes to 2 KiB, parsed and every value read",
        100,
        MIX.len() as u32,
        || read_all(mix()),
    ),
    Case::new(
        "vv: mixed file, lines and keys found by hand, values looked through (the limit)",
        100,
        MIX.len() as u32,
        || by_hand(mix()),
    ),
    Case::new("vv: key of a file of 1,000 keys, found by its name", 4, 1000, || {
        by_name(1000)
    }),
    Case::new("vv: key of a file of 16,000 keys, found by its name", 2, 16_000, || {
        by_name(16_000)
    }),
];

/// Files in the forms of several programs, as the tests have them.
const MIX: [&str; 8] = [
    include_str!("../../vv-file/tests/data/vv/commented-with-semicolons.vv"),
    include_str!("../../vv-file/tests/data/vv/crlf.vv"),
    include_str!("../../vv-file/tests/data/vv/kerbside-proxy.vv"),
    include_str!("../../vv-file/tests/data/vv/no-type.vv"),
    include_str!("../../vv-file/tests/data/vv/ovirt-spice.vv"),
    include_str!("../../vv-file/tests/data/vv/ovirt-vnc.vv"),
    include_str!("../../vv-file/tests/data/vv/pve.vv"),
    "[virt-viewer]\ntype=spice\nhost=2001:db8::7\nport=5900\ntitle=K\u{e4}se \\\\ Br\u{f6}tchen\n\n[lang]\ntitle[de]=Titel\n",
];

/// These, as bytes.
pub fn mix() -> Vec<Vec<u8>> {
    MIX.map(|file| file.as_bytes().to_vec()).into()
}

/// A file of so many keys, in an order of their own, in groups of 2,000.
pub fn large(keys: u32) -> Vec<u8> {
    let (mut draw, mut file) = (Draw::new(5), String::new());
    for key in 0..keys {
        if key % 2000 == 0 {
            file += &format!("[group {}]\n", key / 2000);
        }
        let value = "abcdefghijklmnopqrstuvwxyz0123456789";
        file += &format!(
            "key-{:08x}={}\n",
            key.reverse_bits() ^ 0x5a5a,
            &value[..draw.between(1, 36) as usize]
        );
    }
    file.into_bytes()
}

/// Limits that a large file is within.
pub fn limits() -> Limits {
    let limits = Limits::default().with_size(1 << 24);
    limits.with_lines(1 << 22).with_keys(1 << 22)
}

/// A file of 6 KiB in the form of oVirt, with two certificates.
pub fn file() -> Vec<u8> {
    let der = vec![7_u8; 1900];
    let ca = vv_file::pem::encode(&[der.clone(), der]).replace('\n', "\\n");
    let template = include_str!("../../vv-file/tests/data/vv/ovirt-spice.vv");
    let line = |line: &str| match line.starts_with("ca=") {
        true => format!("ca={ca}\n"),
        false => format!("{line}\n"),
    };
    template.lines().take(24).map(line).collect::<String>().into_bytes()
}

/// Parsing, and every value with its escapes decoded, each asked for by its name.
pub fn read() -> Box<dyn FnMut()> {
    let file = file();
    let names = KeyFile::parse(&file).unwrap();
    let names: Vec<Vec<u8>> = names.keys("virt-viewer").map(<[u8]>::to_vec).collect();
    Box::new(move || {
        let parsed = KeyFile::parse(std::hint::black_box(&file)).unwrap();
        for name in &names {
            keep(parsed.get("virt-viewer", name).unwrap().text().unwrap());
        }
    })
}

/// Each file parsed, and each value of it, with the names that were found.
pub fn read_all(files: Vec<Vec<u8>>) -> Box<dyn FnMut()> {
    Box::new(move || {
        for file in &files {
            let parsed = KeyFile::parse_with(std::hint::black_box(file), &limits()).unwrap();
            for group in parsed.groups() {
                for name in parsed.keys(group) {
                    keep(parsed.get(group, name).unwrap().text().ok());
                }
            }
        }
    })
}

/// The least: where lines end and keys do, and one look at each value for its encoding and for escapes.
pub fn by_hand(files: Vec<Vec<u8>>) -> Box<dyn FnMut()> {
    Box::new(move || {
        for file in &files {
            let mut left = &std::hint::black_box(file)[..];
            while let Some(end) = memchr::memchr(b'\n', left) {
                let (line, rest) = left.split_at(end + 1);
                left = rest;
                if let Some(equals) = memchr::memchr(b'=', line) {
                    let value = &line[equals + 1..];
                    keep((std::str::from_utf8(value).is_ok(), memchr::memchr(b'\\', value)));
                }
            }
            keep(left.len());
        }
    })
}

/// Each value of a large file, found by the name of its key; parsing is not counted.
pub fn by_name(keys: u32) -> Box<dyn FnMut()> {
    let file = KeyFile::parse_with(&large(keys), &limits()).unwrap();
    let groups: Vec<Vec<u8>> = file.groups().map(<[u8]>::to_vec).collect();
    let names = |group: &Vec<u8>| file.keys(group).map(<[u8]>::to_vec).collect();
    let names: Vec<(Vec<u8>, Vec<Vec<u8>>)> = groups.iter().map(|group| (group.clone(), names(group))).collect();
    Box::new(move || {
        for (group, names) in &names {
            for name in names {
                keep(file.get(group, name).unwrap());
            }
        }
    })
}

/// All that virt-viewer takes from a file.
pub fn take() -> Box<dyn FnMut()> {
    let file = file();
    Box::new(move || keep(ConnectionFile::parse(std::hint::black_box(&file)).unwrap()))
}

/// A connection file whose title has so many bytes.
pub fn of_one_value(len: usize) -> Vec<u8> {
    let mut file = b"[virt-viewer]\ntype=spice\nhost=h\ntitle=".to_vec();
    file.resize(file.len() + len, b'x');
    file.push(b'\n');
    file
}

/// Parsing alone.
pub fn parse(file: Vec<u8>) -> Box<dyn FnMut()> {
    Box::new(move || keep(KeyFile::parse_with(std::hint::black_box(&file), &limits()).unwrap()))
}

/// All that can be wrong with a file.
pub fn lint_of(file: Vec<u8>) -> Box<dyn FnMut()> {
    Box::new(move || keep(vv_file::lint(std::hint::black_box(&file))))
}

/// What a writer that keeps comments gives back.
pub fn write() -> Box<dyn FnMut()> {
    write_of(file())
}

/// The same for any file.
pub fn write_of(file: Vec<u8>) -> Box<dyn FnMut()> {
    let file = KeyFile::parse_with(&file, &limits()).unwrap();
    Box::new(move || keep(file.to_data()))
}
