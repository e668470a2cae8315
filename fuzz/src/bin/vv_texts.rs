#![cfg_attr(fuzzing, no_main)]
//! The texts in and around a connection file: names of downloads, versions, filters, subjects, proxies, PEM.
//!
//! ```text
//! | length u8 | one text | another |
//! ```
//!
//! What is read is written as what reads the same; a download has a name that every system takes; versions have one order.
//!
//! Not searched in CI: see LAWS.md.

use std::cmp::Ordering;

use fuzz::Input;
use vv_file::Secret;
use vv_file::proxy::Proxy;
use vv_file::subject::HostSubject;
use vv_file::usb_filter::UsbFilter;
use vv_file::{download, pem, version};

fuzz::target!(check);

fn file_name(wish: &str) {
    let name = download::file_name(wish);
    assert!(name.len() <= 64 && name.ends_with(".vv") && !name.starts_with(['.', '-']));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    assert!(name.bytes().all(plain), "{name}");
    let stem = name.split('.').next().expect("a first part").to_ascii_lowercase();
    let devices = ["con", "prn", "aux", "nul"];
    let numbered = ["com", "lpt"].iter().any(|device| {
        stem.strip_prefix(device)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    });
    assert!(!devices.contains(&&stem[..]) && !numbered, "{name} is a device");
    assert_eq!(download::file_name(&name), name, "a name that is one stays so");
    let header = download::content_disposition(wish);
    assert_eq!(header, format!("attachment; filename=\"{name}\""));
}

fn versions(one: &str, other: &str) {
    let order = version::compare(one, other);
    assert_eq!(version::compare(one, one), Ordering::Equal);
    assert_eq!(version::satisfies(other, one), order.is_le());
    if version::is_well_formed(one) && version::is_well_formed(other) {
        assert_eq!(version::compare(other, one), order.reverse());
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let one = String::from_utf8_lossy(input.short_blob()).into_owned();
    let other = String::from_utf8_lossy(input.rest()).into_owned();
    file_name(&one);
    file_name(&other);
    versions(&one, &other);
    versions(&other, &one);
    if let Ok(filter) = UsbFilter::parse(&other) {
        assert_eq!(UsbFilter::parse(&filter.to_string()), Ok(filter));
    }
    if let Ok(subject) = HostSubject::parse(&other) {
        if subject.check().is_ok() {
            assert_eq!(HostSubject::parse(&subject.to_string()), Ok(subject.clone()));
        }
        let made = HostSubject::from_entries(subject.entries().iter().cloned());
        assert!(made.is_err() || made == Ok(subject));
    }
    if let Ok(proxy) = Proxy::parse(&other) {
        // With another password it is shown alike.
        let mut changed = Proxy::parse(&other).expect("it was one");
        changed.password = changed.password.map(|_| Secret::new("another"));
        assert_eq!(format!("{changed:?}"), format!("{proxy:?}"));
        // As it is written it reads the same, but for its password.
        let again = Proxy::parse(&proxy.to_string()).expect("it was one");
        assert_eq!(
            (again.scheme, &again.user, &again.host, again.port),
            (proxy.scheme, &proxy.user, &proxy.host, proxy.port)
        );
        let stars = again.password.as_ref().map(|secret| secret.expose());
        assert_eq!(stars, proxy.password.as_ref().map(|_| &b"***"[..]));
    }
    if let Ok(certificates) = pem::decode(&other) {
        let written = pem::encode(&certificates);
        assert_eq!(pem::decode(&written), Ok(certificates));
        assert_eq!(pem::certificates(&other), Ok(written));
    }
}
