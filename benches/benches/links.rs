//! Links a second with a key at hand, and what RSA takes of that.

use criterion::{Criterion, criterion_group, criterion_main};

fn links(c: &mut Criterion) {
    let mut group = c.benchmark_group("spice link");
    let mut relay = benches::links::relay(true);
    group.bench_function("relayed, RSA included", |b| b.iter(&mut relay));
    let (mut open, mut seal) = (benches::links::open(), benches::links::seal());
    group.bench_function("one opening and one sealing", |b| {
        b.iter(|| {
            open();
            seal();
        });
    });
    let mut tenant = benches::links::relay(false);
    group.bench_function("tenant's half, no RSA", |b| b.iter(&mut tenant));
}

criterion_group!(benches, links);
criterion_main!(benches);
