//! What a client lets a file decide.

use vv_file::ConnectionFile;
use vv_file::policy::{Demand, Policy};

fn refused(policy: &Policy<'_>, keys: &str) -> Vec<Demand> {
    let file = format!("[virt-viewer]\ntype=spice\n{keys}\n");
    policy.refused(&ConnectionFile::parse(file.as_bytes()).unwrap())
}

#[test]
fn a_file_decides_nothing_unless_it_may() {
    let hosts = ["gw.example.org"];
    let none = Policy::default().with_hosts(&hosts);
    let cases: [(&str, &[Demand], Policy<'_>); 14] = [
        ("host=GW.example.org\ntls-port=1", &[], none),
        ("host=evil.example.org\ntls-port=1", &[Demand::Host], Policy::default()),
        ("tls-port=1\n[ovirt]\nhost=evil", &[Demand::Host], Policy::default()),
        ("proxy=http://evil", &[Demand::Proxy], none.with_proxy(true)),
        ("ca=x", &[Demand::Authorities], none.with_authorities(true)),
        ("host-subject=CN=x", &[Demand::Authorities], none.with_authorities(true)),
        ("[ovirt]\nca=x", &[Demand::Authorities], none.with_authorities(true)),
        ("unix-path=/run/docker.sock", &[Demand::Socket], none.with_socket(true)),
        ("port=1", &[Demand::ClearText], none.with_clear_text(true)),
        (
            "port=1\ntls-port=2\nsecure-channels=main",
            &[Demand::ClearText],
            none.with_clear_text(true),
        ),
        ("port=1\ntls-port=2\nsecure-channels=all", &[], none),
        ("enable-usb-autoshare=1", &[Demand::Devices], none.with_devices(true)),
        ("delete-this-file=1", &[Demand::Deletion], none.with_deletion(true)),
        // These read 0, and so ask for nothing.
        ("delete-this-file=true\nenable-smartcard=yes\nport=-1", &[], none),
    ];
    for (keys, demands, allowing) in cases {
        assert_eq!(refused(&none, keys), demands, "{keys}");
        assert_eq!(refused(&allowing, keys), [], "{keys}");
    }
}
