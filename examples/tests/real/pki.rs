//! Certificates for one test, made by `openssl`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{Folder, Process};

/// The subject of every server certificate, as SPICE clients write one.
pub(crate) const SUBJECT: &str = "O=Test Bed,CN=127.0.0.1";

/// A folder with an authority of its own and a server certificate for 127.0.0.1, under the file
/// names that QEMU's `x509-dir` looks for.
pub(crate) fn authority(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir(&path).expect("a folder for the certificates");
    let file = |file: &str| path.join(file).to_string_lossy().into_owned();
    let extensions = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n\
                      extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1\n";
    fs::write(file("extensions"), extensions).expect("a file of the test");
    #[rustfmt::skip]
    let steps: [&[&str]; 3] = [
        &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-sha256",
          "-subj", &format!("/O=Test Bed/CN=authority of {name}"),
          "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
          "-keyout", &file("ca-key.pem"), "-out", &file("ca-cert.pem")],
        &["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Test Bed/CN=127.0.0.1",
          "-keyout", &file("server-key.pem"), "-out", &file("server.csr")],
        &["x509", "-req", "-days", "2", "-sha256", "-set_serial", "2", "-extfile", &file("extensions"),
          "-CA", &file("ca-cert.pem"), "-CAkey", &file("ca-key.pem"),
          "-in", &file("server.csr"), "-out", &file("server-cert.pem")],
    ];
    for step in steps {
        openssl(folder, name, step);
    }
    path
}

/// A key as SPICE links have one, RSA with 1024 bits, in `path`. Returns its public half as DER.
pub(crate) fn link_key(folder: &Folder, path: &Path) -> Vec<u8> {
    let (key, public) = (path.to_string_lossy(), path.with_extension("der"));
    openssl(
        folder,
        "key",
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:1024",
            "-out",
            &key,
        ],
    );
    openssl(
        folder,
        "key",
        &[
            "pkey",
            "-in",
            &key,
            "-pubout",
            "-outform",
            "DER",
            "-out",
            &public.to_string_lossy(),
        ],
    );
    fs::read(public).expect("a public key")
}

fn openssl(folder: &Folder, name: &str, arguments: &[&str]) {
    let (status, text) = Process::run(folder, &format!("openssl-{name}"), "openssl", |command| {
        command.args(arguments);
    });
    assert_eq!(status, Some(0), "openssl {arguments:?}: {text}");
}
