//! Bytes a second of connection files, read and written.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn vv(c: &mut Criterion) {
    let mut group = c.benchmark_group("vv, 6 KiB with two certificates");
    group.throughput(Throughput::Bytes(benches::vv::file().len() as u64));
    let (mut read, mut take) = (benches::vv::read(), benches::vv::take());
    group.bench_function("parsed, every value read", |b| b.iter(&mut read));
    group.bench_function("taken as virt-viewer does", |b| b.iter(&mut take));
    let (mut write, mut lint) = (benches::vv::write(), benches::vv::lint());
    group.bench_function("written", |b| b.iter(&mut write));
    group.bench_function("linted", |b| b.iter(&mut lint));
}

criterion_group!(benches, vv);
criterion_main!(benches);
