#![cfg_attr(fuzzing, no_main)]
//! The places of a gateway's connections, against a list that is searched from the front.
//!
//! ```text
//! | half-open u8 | open u8 | of one source u8 | steps, each | what u8 | which u8 |      what modulo 8:
//! 0 to 3 a connection arrives from this address, 4 and 5 it is let in, 6 it leaves, 7 other limits
//! ```
//!
//! The law: a newcomer always gets a place; the oldest connection of the source with the most gives way, and open ones never
//! do; a place is had once and given back once, and in the end all are free.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use console_token::{AdmitError, ConnectionLimiter, ConnectionLimits, SlotId, Source};
use fuzz::Input;

fuzz::target!(check);

/// The model is quadratic.
const STEPS: usize = 300;

/// Two addresses of one source among them: an IPv6 network counts as one.
fn address(which: u8) -> IpAddr {
    match which & 7 {
        number @ 0..=4 => Ipv4Addr::new(192, 0, 2, number).into(),
        5 => Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1).into(),
        6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2).into(),
        _ => Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201).into(),
    }
}

fn limits(half_open: u8, open: u8, of_one: u8) -> ConnectionLimits {
    let number = |number: u8| NonZeroU32::new(u32::from(number % 8)).unwrap_or(NonZeroU32::MIN);
    ConnectionLimits::default()
        .with_half_open(number(half_open))
        .with_open(number(open))
        .with_open_per_source((of_one != 0).then(|| number(of_one)))
}

/// A connection of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    HalfOpen,
    Open,
    Gone,
}

struct Model {
    limits: ConnectionLimits,
    /// In the order of arrival; the handle is the position.
    all: Vec<(SlotId, Source, State)>,
}

impl Model {
    fn number(&self, state: State, of: Option<Source>) -> usize {
        let fits = |(_, source, own): &&(SlotId, Source, State)| *own == state && of.is_none_or(|of| of == *source);
        self.all.iter().filter(fits).count()
    }

    /// The connection that gives way to a newcomer.
    fn gives_way(&self, newcomer: Source) -> Option<usize> {
        if self.number(State::HalfOpen, None) < self.limits.half_open.get() as usize {
            return None;
        }
        let half_open = || {
            self.all
                .iter()
                .enumerate()
                .filter(|(_, (.., state))| *state == State::HalfOpen)
        };
        let weight = |source: Source| self.number(State::HalfOpen, Some(source));
        let most = half_open().map(|(_, (_, source, _))| weight(*source)).max()?;
        let own = half_open().find(|(_, (_, source, _))| *source == newcomer && weight(newcomer) == most);
        let any = half_open().find(|(_, (_, source, _))| weight(*source) == most);
        own.or(any).map(|(at, _)| at)
    }

    fn admit(&mut self, at: usize) -> Result<(), AdmitError> {
        let (_, from, state) = self.all[at];
        match state {
            State::Open => return Ok(()),
            State::Gone => return Err(AdmitError::Displaced),
            State::HalfOpen => {}
        }
        let limit = self.limits.open;
        if limit.get() as usize <= self.number(State::Open, None) {
            return Err(AdmitError::Full { limit });
        }
        let of_one = self.limits.open_per_source;
        if let Some(limit) = of_one.filter(|limit| limit.get() as usize <= self.number(State::Open, Some(from))) {
            return Err(AdmitError::SourceFull { from, limit });
        }
        self.all[at].2 = State::Open;
        Ok(())
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let first = limits(input.byte(), input.byte(), input.byte());
    let mut limiter = ConnectionLimiter::new(first);
    let mut model = Model {
        limits: first,
        all: Vec::new(),
    };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let (what, which) = (input.byte(), input.byte());
        let at = (!model.all.is_empty()).then(|| model.all.len() - 1 - usize::from(which) % model.all.len());
        match (what % 8, at) {
            (0..=3, _) => {
                let source = Source::of(address(which));
                let expected = model.gives_way(source);
                let arrival = limiter.arrive(address(which), model.all.len());
                let displaced = arrival.displaced.map(|gone| {
                    assert_eq!(
                        (gone.slot, gone.source),
                        (model.all[gone.handle].0, model.all[gone.handle].1)
                    );
                    gone.handle
                });
                assert_eq!(displaced, expected);
                if let Some(gone) = displaced {
                    model.all[gone].2 = State::Gone;
                }
                assert!(
                    model.all.iter().all(|(slot, ..)| *slot != arrival.slot),
                    "a name is used once"
                );
                model.all.push((arrival.slot, source, State::HalfOpen));
            }
            (4 | 5, Some(at)) => {
                let admitted = limiter.admit(model.all[at].0);
                if let Err(error) = &admitted {
                    assert!(!error.to_string().is_empty());
                }
                assert_eq!(admitted, model.admit(at));
            }
            (6, Some(at)) => {
                assert_eq!(limiter.leave(model.all[at].0), model.all[at].2 != State::Gone);
                model.all[at].2 = State::Gone;
            }
            (7, _) => {
                model.limits = limits(which, what >> 3, which >> 4);
                limiter.set_limits(model.limits);
            }
            (_, None) | (_, Some(_)) => {}
        }
        assert_eq!(limiter.half_open(), model.number(State::HalfOpen, None));
        assert_eq!(limiter.open(), model.number(State::Open, None));
        for which in 0..8 {
            let source = Some(Source::of(address(which)));
            assert_eq!(
                limiter.half_open_from(address(which)),
                model.number(State::HalfOpen, source)
            );
            assert_eq!(limiter.open_from(address(which)), model.number(State::Open, source));
        }
    }
    for (slot, _, state) in model.all {
        assert_eq!(limiter.leave(slot), state != State::Gone);
        assert!(!limiter.leave(slot), "given back once");
    }
    assert_eq!((limiter.half_open(), limiter.open()), (0, 0));
}
