#![cfg_attr(fuzzing, no_main)]
//! What feature `arbitrary` makes of bytes: files and values that read back as they are.
//!
//! ```text
//! | draws, from which a file and values are made |
//! ```
//!
//! Not searched in CI: see LAWS.md.

use arbitrary::{Arbitrary, Result, Unstructured};
use vv_file::subject::HostSubject;
use vv_file::usb_filter::UsbFilter;
use vv_file::{ConnectionFile, Document, KeyFile};

fuzz::target!(check);

fn run(draws: &mut Unstructured<'_>) -> Result<()> {
    let file = KeyFile::arbitrary(draws)?;
    let again = KeyFile::parse(file.as_bytes()).expect("it was written");
    assert!(again.groups().eq(file.groups()));
    for group in file.groups() {
        for key in file.keys(group) {
            let [one, other] = [&file, &again].map(|file| file.get(group, key).map(|value| value.string()));
            assert!(matches!((&one, &other), (Some(Ok(one)), Some(Ok(other))) if one == other));
        }
    }
    let filter = UsbFilter::arbitrary(draws)?;
    if !filter.0.is_empty() {
        assert_eq!(UsbFilter::parse(&filter.to_string()), Ok(filter));
    }
    let subject = HostSubject::arbitrary(draws)?;
    if subject.check().is_ok() {
        assert_eq!(HostSubject::parse(&subject.to_string()), Ok(subject));
    }
    let document = Document::arbitrary(draws)?;
    ConnectionFile::parse_strict(document.as_bytes()).expect("a viewer takes it");
    Ok(())
}

fn check(data: &[u8]) {
    // When the bytes are used up, all is drawn that can be.
    let _ = run(&mut Unstructured::new(data));
}
