//! vv-file: files read, linted and written.

mod groups;

use benches::vv;
use criterion::{Criterion, criterion_group, criterion_main};
use groups::{Sample, measure};

fn vv(c: &mut Criterion) {
    type Prepare = fn(Vec<u8>) -> Box<dyn FnMut()>;
    let operations: [(&str, Prepare); 4] = [
        ("vv-file/parse", vv::parse),
        ("vv-file/parse and read every value", |file| vv::read_all(vec![file])),
        ("vv-file/lint", vv::lint_of),
        ("vv-file/write", vv::write_of),
    ];
    for (operation, prepare) in operations {
        let oneself = [("with two certificates, 6 KiB".to_owned(), vv::file())];
        let sized = [
            (16, "16 B"),
            (256, "256 B"),
            (4 << 10, "4 KiB"),
            (64 << 10, "64 KiB"),
            (256 << 10, "256 KiB"),
        ];
        let sized = sized.map(|(len, name)| (format!("one value of {name}"), vv::of_one_value(len)));
        let many = [(100, "100 keys"), (4000, "4,000 keys")].map(|(keys, name)| (name.to_owned(), vv::large(keys)));
        let files = oneself.into_iter().chain(sized).chain(many);
        // A file is a message.
        let samples = files.map(|(name, file)| Sample::new(name, file.len(), 1, prepare(file)));
        measure(c, operation, samples);
    }
}

criterion_group!(benches, vv);
criterion_main!(benches);
