//! console-token: hashes, the store in memory, URLs.

mod groups;

use benches::{consoles, tokens};
use criterion::{Criterion, criterion_group, criterion_main};
use groups::{Sample, measure};

fn token(c: &mut Criterion) {
    let sized = [16, 36, 43, 64, 256].map(|len| Sample::new(format!("{len} B"), len, 1, tokens::hash_of(len)));
    measure(c, "console-token/check and hash what was presented", sized);
    let one = |name, len, run| [Sample::new(name, len, 1, run)];
    measure(c, "console-token/make", one("256 bits", 43, consoles::mint()));
    measure(
        c,
        "console-token/redeem",
        one("100,000 grants", 43, tokens::redeem_again()),
    );
    measure(c, "console-token/URL", one("noVNC", 110, consoles::url()));
    measure(
        c,
        "console-token/URL",
        one("noVNC, Nova's form", 110, consoles::nova_url()),
    );
}

criterion_group!(benches, token);
criterion_main!(benches);
