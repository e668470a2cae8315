//! Seats at a console: exclusive leases, kicks, idle and hung sessions.

use core::num::NonZeroU16;

use console_token::{AttemptId, LeaseRules, LeaseTransition, Leases, Refusal, WhenFull};
use proptest::{collection::vec, prelude::*};

use crate::at;

const A: AttemptId = AttemptId([1; 16]);
const B: AttemptId = AttemptId([2; 16]);
const C: AttemptId = AttemptId([3; 16]);

fn rules(leases: u16, when_full: WhenFull) -> LeaseRules {
    LeaseRules {
        leases: NonZeroU16::new(leases).unwrap(),
        when_full,
        idle: None,
        hung: None,
    }
}

fn keep(holder: AttemptId, active: bool) -> LeaseTransition {
    LeaseTransition::Keep { holder, active }
}

#[test]
fn the_second_user_is_refused() {
    let rules = rules(1, WhenFull::Refuse);
    let mut leases = Leases::default();
    assert_eq!(leases.apply(at(0), &rules, LeaseTransition::Take(A)), Ok(vec![]));
    let before = leases.clone();
    assert_eq!(
        leases.apply(at(0), &rules, LeaseTransition::Take(B)),
        Err(Refusal::Busy)
    );
    assert_eq!(leases.apply(at(0), &rules, keep(B, true)), Err(Refusal::LeaseLost));
    assert_eq!(leases, before, "a refused step changes nothing");
    assert_eq!(
        leases.apply(at(0), &rules, LeaseTransition::Take(A)),
        Ok(vec![]),
        "the answer again"
    );
    assert_eq!(leases.apply(at(9), &rules, LeaseTransition::Leave(B)), Ok(vec![]));
    assert_eq!(leases.apply(at(9), &rules, LeaseTransition::Leave(A)), Ok(vec![A]));
    assert_eq!(leases.apply(at(9), &rules, LeaseTransition::Take(B)), Ok(vec![]));
    assert_eq!(leases.holders().collect::<Vec<_>>(), [B]);
}

#[test]
fn the_first_user_is_kicked() {
    let rules = rules(2, WhenFull::Kick);
    let mut leases = Leases::default();
    for holder in [A, B] {
        assert_eq!(leases.apply(at(0), &rules, LeaseTransition::Take(holder)), Ok(vec![]));
    }
    assert_eq!(leases.apply(at(0), &rules, LeaseTransition::Take(C)), Ok(vec![A]));
    assert_eq!(leases.apply(at(0), &rules, keep(A, true)), Err(Refusal::LeaseLost));
    assert_eq!(leases.apply(at(0), &rules, keep(B, true)), Ok(vec![]));
    // Fewer leases than before: as many go as there are too many.
    let rules = LeaseRules {
        leases: NonZeroU16::MIN,
        ..rules
    };
    assert_eq!(leases.apply(at(0), &rules, LeaseTransition::Take(A)), Ok(vec![B, C]));
}

#[test]
fn an_operator_disconnects() {
    let rules = rules(2, WhenFull::Refuse);
    let mut leases = Leases::default();
    for holder in [A, B] {
        leases.apply(at(0), &rules, LeaseTransition::Take(holder)).unwrap();
    }
    assert_eq!(leases.apply(at(0), &rules, LeaseTransition::Clear), Ok(vec![A, B]));
    assert_eq!(leases.apply(at(0), &rules, LeaseTransition::Clear), Ok(vec![]));
    assert_eq!(leases.apply(at(0), &rules, keep(A, false)), Err(Refusal::LeaseLost));
}

#[test]
fn idle_and_hung_sessions_lose_their_lease() {
    let rules = LeaseRules {
        idle: Some(100),
        hung: Some(10),
        ..rules(1, WhenFull::Refuse)
    };
    let mut leases = Leases::default();
    leases.apply(at(0), &rules, LeaseTransition::Take(A)).unwrap();
    // Its gateway is there, and no data passes.
    for now in 1..100 {
        assert_eq!(leases.apply(at(now), &rules, keep(A, false)), Ok(vec![]), "{now}");
    }
    assert_eq!(
        leases.apply(at(99), &rules, LeaseTransition::Take(B)),
        Err(Refusal::Busy)
    );
    assert!(!leases.is_over(at(99)));
    assert!(leases.is_over(at(100)));
    assert_eq!(
        leases.apply(at(100), &rules, keep(A, true)),
        Err(Refusal::LeaseLost),
        "idle"
    );
    assert_eq!(leases.apply(at(100), &rules, LeaseTransition::Take(B)), Ok(vec![A]));
    // Its gateway says nothing any more.
    assert_eq!(
        leases.apply(at(109), &rules, LeaseTransition::Take(C)),
        Err(Refusal::Busy)
    );
    assert_eq!(
        leases.apply(at(110), &rules, LeaseTransition::Take(C)),
        Ok(vec![B]),
        "hung"
    );
    assert_eq!(
        leases.apply(at(u64::MAX), &rules, LeaseTransition::Take(A)),
        Ok(vec![C])
    );
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
    fn leases_do_what_a_list_does(
        leases in 1_u16..4, kick: bool, idle in proptest::option::of(0_u64..8), hung in proptest::option::of(0_u64..8),
        transitions in vec((0_u8..6, 0_u8..5, 0_u64..4, any::<bool>()), 0..60),
    ) {
        let when_full = if kick { WhenFull::Kick } else { WhenFull::Refuse };
        let rules = LeaseRules { idle, hung, ..rules(leases, when_full) };
        let (mut tested, mut list, mut now) = (Leases::default(), Vec::<Heard>::new(), 0);
        for (kind, holder, later, active) in transitions {
            now += later;
            let holder = AttemptId([holder; 16]);
            let lost = |heard: &Heard| {
                idle.is_some_and(|idle| heard.data + idle <= now) || hung.is_some_and(|hung| heard.word + hung <= now)
            };
            let own = list.iter().position(|heard| heard.holder == holder && !lost(heard));
            let (transition, expected) = match kind {
                0..=2 => {
                    let live = list.iter().filter(|heard| !lost(heard)).count();
                    let expected = if let Some(own) = own {
                        list[own] = Heard { holder, data: now, word: now };
                        Ok(vec![])
                    } else if live >= usize::from(leases) && !kick {
                        Err(Refusal::Busy)
                    } else {
                        let mut gone: Vec<_> = list.iter().filter(|heard| lost(heard)).map(|heard| heard.holder).collect();
                        list.retain(|heard| !lost(heard));
                        while list.len() >= usize::from(leases) {
                            gone.push(list.remove(0).holder);
                        }
                        list.push(Heard { holder, data: now, word: now });
                        Ok(gone)
                    };
                    (LeaseTransition::Take(holder), expected)
                }
                3 | 4 => {
                    let expected = own.ok_or(Refusal::LeaseLost).map(|own| {
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
                    (LeaseTransition::Leave(holder), Ok(gone))
                }
            };
            let before = tested.clone();
            prop_assert_eq!(tested.apply(at(now), &rules, transition), expected.clone(), "{:?}", transition);
            if expected.is_err() {
                prop_assert_eq!(&tested, &before);
            }
            prop_assert_eq!(tested.holders().collect::<Vec<_>>(), list.iter().map(|heard| heard.holder).collect::<Vec<_>>());
        }
    }
}
