//! The tracker against a table, through many sequences of operations.

mod table;
mod world;

use self::table::TABLE;
use self::world::World;

/// Numbers below what they are asked for.
fn random(mut state: u64) -> impl FnMut(usize) -> usize {
    move |n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % n
    }
}

#[test]
fn tracker_refuses_as_the_table() {
    let mut world = World::new(random(0x9e37_79b9_7f4a_7c15));
    for turn in 0..900_000_u32 {
        world.turn();
        if turn % 16 == 0 {
            world.compare();
        }
    }
    for (verdict, count) in &world.verdicts {
        println!("{count:>8} {verdict}");
    }
    for (step, count) in &world.steps {
        println!("{count:>8} {step}");
    }
    let lines = TABLE.iter().map(|(letter, _, reason)| (*letter, *reason));
    for (letter, reason) in lines {
        let count = world.verdicts.get(&format!("({letter}) {reason:?}"));
        assert!(
            count.is_some_and(|count| 1000 <= *count),
            "({letter}) {reason:?}: {count:?}"
        );
    }
    for step in [
        "target told",
        "target's main linked",
        "connected",
        "connect error",
        "cancelled",
        "moved",
        "switch told",
    ] {
        assert!(world.steps.get(step).is_some_and(|count| 100 <= *count), "{step}");
    }
}
