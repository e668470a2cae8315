//! Seats at a console: exclusive leases, kicks, idle and hung sessions.

use core::num::NonZeroU16;

use console_token::{AttemptId, Refusal, SeatRules, SeatStep, Seats, WhenFull};
use proptest::{collection::vec, prelude::*};

use crate::at;

const A: AttemptId = AttemptId([1; 16]);
const B: AttemptId = AttemptId([2; 16]);
const C: AttemptId = AttemptId([3; 16]);

fn rules(seats: u16, when_full: WhenFull) -> SeatRules {
    SeatRules {
        seats: NonZeroU16::new(seats).unwrap(),
        when_full,
        idle: None,
        hung: None,
    }
}

fn keep(holder: AttemptId, active: bool) -> SeatStep {
    SeatStep::Keep { holder, active }
}

#[test]
fn the_second_user_is_refused() {
    let rules = rules(1, WhenFull::Refuse);
    let mut seats = Seats::default();
    assert_eq!(seats.apply(at(0), &rules, SeatStep::Take(A)), Ok(vec![]));
    let before = seats.clone();
    assert_eq!(seats.apply(at(0), &rules, SeatStep::Take(B)), Err(Refusal::Busy));
    assert_eq!(seats.apply(at(0), &rules, keep(B, true)), Err(Refusal::SeatLost));
    assert_eq!(seats, before, "a refused step changes nothing");
    assert_eq!(
        seats.apply(at(0), &rules, SeatStep::Take(A)),
        Ok(vec![]),
        "the answer again"
    );
    assert_eq!(seats.apply(at(9), &rules, SeatStep::Leave(B)), Ok(vec![]));
    assert_eq!(seats.apply(at(9), &rules, SeatStep::Leave(A)), Ok(vec![A]));
    assert_eq!(seats.apply(at(9), &rules, SeatStep::Take(B)), Ok(vec![]));
    assert_eq!(seats.holders().collect::<Vec<_>>(), [B]);
}

#[test]
fn the_first_user_is_kicked() {
    let rules = rules(2, WhenFull::Kick);
    let mut seats = Seats::default();
    for holder in [A, B] {
        assert_eq!(seats.apply(at(0), &rules, SeatStep::Take(holder)), Ok(vec![]));
    }
    assert_eq!(seats.apply(at(0), &rules, SeatStep::Take(C)), Ok(vec![A]));
    assert_eq!(seats.apply(at(0), &rules, keep(A, true)), Err(Refusal::SeatLost));
    assert_eq!(seats.apply(at(0), &rules, keep(B, true)), Ok(vec![]));
    // Fewer seats than before: as many go as there are too many.
    let rules = SeatRules {
        seats: NonZeroU16::MIN,
        ..rules
    };
    assert_eq!(seats.apply(at(0), &rules, SeatStep::Take(A)), Ok(vec![B, C]));
}

#[test]
fn an_operator_disconnects() {
    let rules = rules(2, WhenFull::Refuse);
    let mut seats = Seats::default();
    for holder in [A, B] {
        seats.apply(at(0), &rules, SeatStep::Take(holder)).unwrap();
    }
    assert_eq!(seats.apply(at(0), &rules, SeatStep::Clear), Ok(vec![A, B]));
    assert_eq!(seats.apply(at(0), &rules, SeatStep::Clear), Ok(vec![]));
    assert_eq!(seats.apply(at(0), &rules, keep(A, false)), Err(Refusal::SeatLost));
}

#[test]
fn idle_and_hung_sessions_lose_their_seat() {
    let rules = SeatRules {
        idle: Some(100),
        hung: Some(10),
        ..rules(1, WhenFull::Refuse)
    };
    let mut seats = Seats::default();
    seats.apply(at(0), &rules, SeatStep::Take(A)).unwrap();
    // Its gateway is there, and no data passes.
    for now in 1..100 {
        assert_eq!(seats.apply(at(now), &rules, keep(A, false)), Ok(vec![]), "{now}");
    }
    assert_eq!(seats.apply(at(99), &rules, SeatStep::Take(B)), Err(Refusal::Busy));
    assert!(!seats.is_over(at(99)));
    assert!(seats.is_over(at(100)));
    assert_eq!(
        seats.apply(at(100), &rules, keep(A, true)),
        Err(Refusal::SeatLost),
        "idle"
    );
    assert_eq!(seats.apply(at(100), &rules, SeatStep::Take(B)), Ok(vec![A]));
    // Its gateway says nothing any more.
    assert_eq!(seats.apply(at(109), &rules, SeatStep::Take(C)), Err(Refusal::Busy));
    assert_eq!(seats.apply(at(110), &rules, SeatStep::Take(C)), Ok(vec![B]), "hung");
    assert_eq!(seats.apply(at(u64::MAX), &rules, SeatStep::Take(A)), Ok(vec![C]));
}

/// What is known of each holder, from the whole history.
#[derive(Clone, Debug)]
struct Heard {
    holder: AttemptId,
    data: u64,
    word: u64,
}

proptest! {
    /// Against a list that is searched anew for each question.
    #[test]
    fn seats_do_what_a_list_does(
        seats in 1_u16..4, kick: bool, idle in proptest::option::of(0_u64..8), hung in proptest::option::of(0_u64..8),
        steps in vec((0_u8..6, 0_u8..5, 0_u64..4, any::<bool>()), 0..60),
    ) {
        let when_full = if kick { WhenFull::Kick } else { WhenFull::Refuse };
        let rules = SeatRules { idle, hung, ..rules(seats, when_full) };
        let (mut tested, mut list, mut now) = (Seats::default(), Vec::<Heard>::new(), 0);
        for (kind, holder, later, active) in steps {
            now += later;
            let holder = AttemptId([holder; 16]);
            let lost = |heard: &Heard| {
                idle.is_some_and(|idle| heard.data + idle <= now) || hung.is_some_and(|hung| heard.word + hung <= now)
            };
            let own = list.iter().position(|heard| heard.holder == holder && !lost(heard));
            let (step, expected) = match kind {
                0..=2 => {
                    let live = list.iter().filter(|heard| !lost(heard)).count();
                    let expected = if let Some(own) = own {
                        list[own] = Heard { holder, data: now, word: now };
                        Ok(vec![])
                    } else if live >= usize::from(seats) && !kick {
                        Err(Refusal::Busy)
                    } else {
                        let mut gone: Vec<_> = list.iter().filter(|heard| lost(heard)).map(|heard| heard.holder).collect();
                        list.retain(|heard| !lost(heard));
                        while list.len() >= usize::from(seats) {
                            gone.push(list.remove(0).holder);
                        }
                        list.push(Heard { holder, data: now, word: now });
                        Ok(gone)
                    };
                    (SeatStep::Take(holder), expected)
                }
                3 | 4 => {
                    let expected = own.ok_or(Refusal::SeatLost).map(|own| {
                        list[own].word = now;
                        if active {
                            list[own].data = now;
                        }
                        vec![]
                    });
                    (keep(holder, active), expected)
                }
                _ => {
                    let gone = list.iter().filter(|heard| heard.holder == holder).map(|heard| heard.holder).collect();
                    list.retain(|heard| heard.holder != holder);
                    (SeatStep::Leave(holder), Ok(gone))
                }
            };
            let before = tested.clone();
            prop_assert_eq!(tested.apply(at(now), &rules, step), expected.clone(), "{:?}", step);
            if expected.is_err() {
                prop_assert_eq!(&tested, &before);
            }
            prop_assert_eq!(tested.holders().collect::<Vec<_>>(), list.iter().map(|heard| heard.holder).collect::<Vec<_>>());
        }
    }
}
