//! Turns by what sources have cost: against a naive model, and under a flood.

use core::net::{IpAddr, Ipv4Addr};
use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use console_token::{FairQueue, FairScheduler, WaitId};
use futures_util::FutureExt as _;
use proptest::{collection::vec, prelude::*};
use tokio::task::yield_now;

/// Of a turn.
const COST: Duration = Duration::from_millis(1);

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn source(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))
}

/// What is waiting, in the order in which it came, and what each source has cost.
#[derive(Default)]
struct Model {
    waiting: Vec<(u8, u32)>,
    cost: [u64; 4],
    under_way: Vec<u8>,
}

impl Model {
    fn next(&mut self) -> Option<(u8, u32)> {
        let (place, _) = self
            .waiting
            .iter()
            .enumerate()
            .min_by_key(|(place, (source, _))| (self.cost[usize::from(*source)], *place))?;
        Some(self.waiting.remove(place))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u8),
    /// Of those under way, with this cost.
    End(usize, u64),
    /// Of those waiting.
    Cancel(usize),
    Refund(u8, u64),
    Age,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Step::Ask),
        4 => (any::<usize>(), prop_oneof![0..4_u64, Just(u64::MAX)]).prop_map(|(which, cost)| Step::End(which, cost)),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => (0..4_u8, 0..4_u64).prop_map(|(from, cost)| Step::Refund(from, cost)),
        1 => Just(Step::Age),
    ]
}

proptest! {
    #[test]
    fn the_queue_is_the_model(at_once in 1..4_u32, steps in vec(step(), 0..200)) {
        let (mut queue, mut model) = (FairQueue::new(number(at_once)), Model::default());
        let mut ids: Vec<(u32, WaitId)> = Vec::new();
        for (name, step) in (0..).zip(steps) {
            match step {
                Step::Ask(from) => {
                    let id = queue.ask(source(from), (from, name));
                    prop_assert_eq!(id.is_none(), model.under_way.len() < at_once as usize);
                    match id {
                        None => model.under_way.push(from),
                        Some(id) => {
                            model.waiting.push((from, name));
                            ids.push((name, id));
                        }
                    }
                }
                Step::End(which, cost) if !model.under_way.is_empty() => {
                    let from = model.under_way.swap_remove(which % model.under_way.len());
                    let total = &mut model.cost[usize::from(from)];
                    *total = total.saturating_add(cost);
                    let next = model.next();
                    model.under_way.extend(next.map(|(from, _)| from));
                    prop_assert_eq!(queue.end(source(from), cost), next);
                }
                Step::Cancel(which) if !ids.is_empty() => {
                    let (name, id) = ids[which % ids.len()];
                    let place = model.waiting.iter().position(|(_, waiting)| *waiting == name);
                    prop_assert_eq!(queue.waiting(id).is_some(), place.is_some());
                    let cancelled = place.map(|place| model.waiting.remove(place));
                    prop_assert_eq!(queue.cancel(id), cancelled);
                }
                Step::Refund(from, cost) => {
                    let total = &mut model.cost[usize::from(from)];
                    *total = total.saturating_sub(cost);
                    queue.refund(source(from), cost);
                }
                Step::Age => {
                    queue.age();
                    model.cost.iter_mut().for_each(|cost| *cost /= 2);
                }
                Step::End(..) | Step::Cancel(_) => {}
            }
            prop_assert_eq!(queue.len(), model.waiting.len());
            prop_assert_eq!(queue.is_empty(), model.waiting.is_empty());
        }
    }
}

/// 200 sources that have 20 waiting each: one that comes now and then is next, each time.
#[test]
fn a_viewer_does_not_stand_behind_a_flood() {
    let mut queue = FairQueue::new(number(2));
    let (stranger, viewer) = (|n: u32| source(u8::try_from(n % 200).unwrap()), source(250));
    let mut waiting = (0..4000).filter_map(|n| queue.ask(stranger(n), stranger(n))).count();
    let mut turn = stranger(0);
    // Each of them has had a turn.
    for _ in 0..200 {
        turn = queue.end(turn, 1_000_000).unwrap();
        waiting -= 1;
    }
    for round in 0..50 {
        // Each turn of a stranger costs a millisecond.
        for _ in 0..20 {
            turn = queue.end(turn, 1_000_000).unwrap();
            waiting -= 1;
            if round < 49 {
                queue.ask(turn, turn).unwrap();
                waiting += 1;
            }
        }
        queue.ask(viewer, viewer).unwrap();
        assert_eq!(queue.end(turn, 1_000_000), Some(viewer), "round {round}");
        turn = queue.end(viewer, 100_000).unwrap();
        waiting -= 1;
    }
    assert_eq!(queue.len(), waiting);
}

/// What is remembered is bounded, and no more than what waits where nothing costs anything.
#[test]
fn costs_are_remembered_of_so_many_sources() {
    let mut queue = FairQueue::<()>::new(number(1));
    let info = allocation_counter::measure(|| {
        for n in 0..200_000_u32 {
            assert!(queue.ask(Ipv4Addr::from_bits(n).into(), ()).is_none());
            assert_eq!(queue.end(Ipv4Addr::from_bits(n).into(), 1), None);
        }
    });
    assert!(info.bytes_max < 16 << 20, "{} bytes", info.bytes_max);
    assert!(1 << 20 < info.bytes_max, "{} bytes", info.bytes_max);
    queue.age();
    let info = allocation_counter::measure(|| drop(queue));
    assert!(-1024 < info.bytes_current, "{} bytes were kept", info.bytes_current);
}

#[tokio::test]
async fn turns_go_to_the_waiting() {
    let scheduler = FairScheduler::new(number(1));
    let turn = scheduler.turn(source(1), COST).await;
    let waits = |from| {
        let scheduler = scheduler.clone();
        tokio::spawn(async move { drop(scheduler.turn(source(from), COST).await) })
    };
    let (gone, stays) = (waits(2), waits(3));
    yield_now().await;
    assert_eq!(scheduler.waiting(), 2);
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(scheduler.waiting(), 1);
    drop(turn);
    stays.await.unwrap();
    // Dropped when its turn has begun, and before it knows: the next one has it.
    let turn = scheduler.turn(source(1), COST).await;
    let mut lost = Box::pin(scheduler.turn(source(2), COST));
    assert!((&mut lost).now_or_never().is_none());
    drop(turn);
    drop(lost);
    let next = tokio::time::timeout(Duration::from_secs(5), scheduler.turn(source(3), COST));
    drop(next.await.unwrap());
    assert_eq!(scheduler.waiting(), 0);
}

/// At most one of those that were not let in is polled at a time, and one that was let in waits for none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_let_in_waits_for_no_turn() {
    let scheduler = FairScheduler::new(number(1));
    let (at_once, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let strangers: Vec<_> = (0..50)
        .map(|n| {
            let (at_once, most) = (at_once.clone(), most.clone());
            let work = async move {
                for _ in 0..20 {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_micros(50));
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    yield_now().await;
                }
            };
            tokio::spawn(scheduler.run(source(n), || false, work))
        })
        .collect();
    let let_in = Arc::new(AtomicBool::new(false));
    let is_let_in = let_in.clone();
    let busy = scheduler.clone();
    let session = async move {
        let_in.store(true, Ordering::SeqCst);
        yield_now().await;
        // Without a turn, though somebody has the only one.
        let _turn = busy.turn(source(200), COST).await;
        yield_now().await;
        yield_now().await;
    };
    let session = scheduler.run(source(201), move || is_let_in.load(Ordering::SeqCst), session);
    tokio::time::timeout(Duration::from_secs(20), session).await.unwrap();
    for stranger in strangers {
        tokio::time::timeout(Duration::from_secs(20), stranger)
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!((most.load(Ordering::SeqCst), scheduler.waiting()), (1, 0));
}
