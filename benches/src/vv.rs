//! Connection files.

use vv_file::{ConnectionFile, KeyFile};

use crate::keep;

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

/// All that virt-viewer takes from a file.
pub fn take() -> Box<dyn FnMut()> {
    let file = file();
    Box::new(move || keep(ConnectionFile::parse(std::hint::black_box(&file)).unwrap()))
}

/// All that can be wrong with a file.
pub fn lint() -> Box<dyn FnMut()> {
    let file = file();
    Box::new(move || keep(vv_file::lint(std::hint::black_box(&file))))
}

/// What a writer that keeps comments gives back.
pub fn write() -> Box<dyn FnMut()> {
    let file = KeyFile::parse(&file()).unwrap();
    Box::new(move || keep(file.to_data()))
}
