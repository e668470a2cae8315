//! Certificates for one test, made by `openssl`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::process::{Folder, Process};

/// The subject of every server certificate, as SPICE clients write one.
pub(crate) const SUBJECT: &str = "O=Test Bed,CN=127.0.0.1";

/// A folder with an authority of its own and a server certificate for 127.0.0.1, under the file
/// names that QEMU's `x509-dir` looks for.
pub(crate) fn authority(folder: &Folder, name: &str) -> PathBuf {
    let path = authority_alone(folder, name);
    certify(folder, &path, &path, "Test Bed", Ipv4Addr::LOCALHOST);
    path
}

/// A folder with an authority.
pub(crate) fn authority_alone(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir(&path).expect("a folder for the certificates");
    #[rustfmt::skip]
    openssl(folder, name, &[
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-sha256",
        "-subj", &format!("/O=Test Bed/CN=authority of {name}"),
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", &file(&path, "ca-key.pem"), "-out", &file(&path, "ca-cert.pem"),
    ]);
    path
}

/// A folder with the certificate of the authority, and with one that it has signed for this address.
pub(crate) fn server(folder: &Folder, authority: &Path, organisation: &str, address: Ipv4Addr) -> PathBuf {
    let path = folder.join(&format!("certificate-{address}"));
    fs::create_dir(&path).expect("a folder for the certificate");
    fs::copy(authority.join("ca-cert.pem"), path.join("ca-cert.pem")).expect("a certificate");
    certify(folder, authority, &path, organisation, address);
    path
}

/// A certificate of the authority for a client, in the folder of the authority.
pub(crate) fn client(folder: &Folder, authority: &Path) {
    fs::write(
        authority.join("client-extensions"),
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=clientAuth\n",
    )
    .expect("a file of the test");
    #[rustfmt::skip]
    let steps: [&[&str]; 2] = [
        &["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=Test Bed/CN=gateway",
          "-keyout", &file(authority, "client-key.pem"), "-out", &file(authority, "client.csr")],
        &["x509", "-req", "-days", "2", "-sha256", "-set_serial", "7", "-extfile", &file(authority, "client-extensions"),
          "-CA", &file(authority, "ca-cert.pem"), "-CAkey", &file(authority, "ca-key.pem"),
          "-in", &file(authority, "client.csr"), "-out", &file(authority, "client-cert.pem")],
    ];
    for step in steps {
        openssl(folder, "client", step);
    }
}

/// The subject of such a certificate, as SPICE clients write one.
pub(crate) fn subject(organisation: &str, address: Ipv4Addr) -> String {
    format!("O={organisation},CN={address}")
}

/// Makes a key and a certificate in `path`.
fn certify(folder: &Folder, authority: &Path, path: &Path, organisation: &str, address: Ipv4Addr) {
    let extensions = format!(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n\
         extendedKeyUsage=serverAuth\nsubjectAltName=IP:{address}\n"
    );
    fs::write(path.join("extensions"), extensions).expect("a file of the test");
    let serial = address.to_bits().to_string();
    #[rustfmt::skip]
    let steps: [&[&str]; 2] = [
        &["req", "-newkey", "rsa:2048", "-nodes", "-subj", &format!("/O={organisation}/CN={address}"),
          "-keyout", &file(path, "server-key.pem"), "-out", &file(path, "server.csr")],
        &["x509", "-req", "-days", "2", "-sha256", "-set_serial", &serial, "-extfile", &file(path, "extensions"),
          "-CA", &file(authority, "ca-cert.pem"), "-CAkey", &file(authority, "ca-key.pem"),
          "-in", &file(path, "server.csr"), "-out", &file(path, "server-cert.pem")],
    ];
    for step in steps {
        openssl(folder, "certificate", step);
    }
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
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
