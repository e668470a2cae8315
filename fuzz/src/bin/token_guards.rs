#![cfg_attr(fuzzing, no_main)]
//! What stands beside the tokens of a gateway: the brake on guessing, leases, notes, audit lines; and small texts.
//!
//! ```text
//! | what u8 | ... |                  what modulo 5:
//! 0 throttle: | attempts, each | bit 0: it was right, 1 to 3: source, 4 and 5: account | seconds u8 | |
//! 1 leases:   | rules u8 | idle u8 | hung u8 | steps, each | what u8 | holder u8 | seconds u8 | |
//! 2 notes:    | steps, each | what u8 | name u8 | seconds u8 | value: length u8 | |
//! 3 texts:    | text |
//! 4 rows:     | dialect u8 | what is looked for: length u8 | a file of tokens |
//! ```
//!
//! Each state machine stands against a model that only a test could afford.
//!
//! Not searched in CI: see LAWS.md.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};

use console_token::nova::{Microversion, check_show};
use console_token::resolver::websockify::{self, Dialect};
use console_token::web::origin::Origin;
use console_token::{
    AttemptId, ConsoleType, Event, Fingerprint, LeaseRules, LeaseTransition, Leases, MemoryStore, Note, NoteChange,
    Protocol, Rate, Refusal, StoreError, Throttle, ThrottleRules, TokenHash, UnixSeconds, WhenFull,
};
use fuzz::Input;

fuzz::target!(check);

/// The models are quadratic.
const STEPS: usize = 300;

/// So many attempts at once, one back in so many seconds.
const ACCOUNT: (u64, u64) = (3, 10);
const SOURCE: (u64, u64) = (8, 2);

/// A count that fills with time.
#[derive(Clone, Copy)]
struct Bucket {
    /// Seconds until it is full again.
    missing: u64,
    at: u64,
}

impl Bucket {
    fn spend(self, now: u64, (burst, refill): (u64, u64)) -> Option<Self> {
        let missing = self.missing.saturating_sub(now - self.at) + refill;
        (missing <= burst * refill).then_some(Self { missing, at: now })
    }
}

/// Each count by itself, with room for all of them.
fn throttle(mut input: Input<'_>) {
    let number = |number: u64| NonZeroU32::new(number as u32).expect("not 0");
    let rules = ThrottleRules::default()
        .with_per_account(Rate::new(number(ACCOUNT.0), number(ACCOUNT.1)))
        .with_per_source(Rate::new(number(SOURCE.0), number(SOURCE.1)))
        .with_limit(NonZeroUsize::new(1000).expect("not 0"));
    let mut throttle = Throttle::new(rules);
    let mut sources: BTreeMap<u8, Bucket> = BTreeMap::new();
    let mut accounts: BTreeMap<(u8, u8), Bucket> = BTreeMap::new();
    let mut now = 0_u64;
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let what = input.byte();
        now += u64::from(input.byte() >> 3);
        let (source, account) = (what >> 1 & 7, what >> 4 & 3);
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, source));
        let new = Bucket { missing: 0, at: now };
        let spent = [
            (sources.get(&source), SOURCE),
            (accounts.get(&(source, account)), ACCOUNT),
        ]
        .map(|(bucket, rate)| bucket.copied().unwrap_or(new).spend(now, rate));
        let looked = throttle.check(address, &[account], UnixSeconds(now)).is_ok();
        let admitted = throttle.attempt(address, &[account], UnixSeconds(now)).is_ok();
        assert_eq!(looked, admitted, "at {now}: source {source}, account {account}");
        let expected = spent.iter().all(Option::is_some);
        assert_eq!(admitted, expected, "at {now}: source {source}, account {account}");
        assert!(throttle.len() <= 1000 && !throttle.is_empty());
        if !admitted {
            continue;
        }
        let [of_source, of_account] = spent.map(|bucket| bucket.expect("it was admitted"));
        sources.insert(source, of_source);
        accounts.insert((source, account), of_account);
        if what & 1 == 1 {
            throttle.succeeded(address, &[account]);
            accounts.remove(&(source, account));
            sources.get_mut(&source).expect("it was spent").missing -= SOURCE.1;
        }
    }
}

/// A lease of the model: holder, and when it is lost.
type Held = (u8, [Option<u64>; 2]);

fn leases(mut input: Input<'_>) {
    let (rule, idle, hung) = (input.byte(), input.byte(), input.byte());
    let seconds = |byte: u8| (byte != 0).then_some(u64::from(byte));
    let rules = LeaseRules {
        leases: NonZeroU16::new(u16::from(rule & 3) + 1).expect("not 0"),
        when_full: if rule & 4 == 0 {
            WhenFull::Refuse
        } else {
            WhenFull::Kick
        },
        idle: seconds(idle),
        hung: seconds(hung),
    };
    let store = MemoryStore::new(1);
    let mut alone = Leases::default();
    let mut model: Vec<Held> = Vec::new();
    let mut now = 0_u64;
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let (what, holder) = (input.byte(), input.byte() & 7);
        now += u64::from(input.byte());
        let times = |of: u64| [rules.idle, rules.hung].map(|seconds| seconds.map(|seconds| of + seconds));
        let lost = |held: &Held| held.1.iter().flatten().any(|at| *at <= now);
        let own = model.iter().position(|held| held.0 == holder && !lost(held));
        let id = AttemptId([holder; 16]);
        let (transition, expected) = match what & 3 {
            0 => {
                let expected = match own {
                    Some(at) => {
                        model[at].1 = times(now);
                        Ok(Vec::new())
                    }
                    None => {
                        let live = model.iter().filter(|held| !lost(held)).count();
                        let room = usize::from(rules.leases.get());
                        if room <= live && rules.when_full == WhenFull::Refuse {
                            Err(Refusal::Busy)
                        } else {
                            let mut gone: Vec<u8> = model.iter().filter(|held| lost(held)).map(|held| held.0).collect();
                            model.retain(|held| !lost(held));
                            while room <= model.len() {
                                gone.push(model.remove(0).0);
                            }
                            model.push((holder, times(now)));
                            Ok(gone)
                        }
                    }
                };
                (LeaseTransition::Take(id), expected)
            }
            1 => {
                let active = what & 4 != 0;
                let expected = match own {
                    Some(at) => {
                        let [idle, hung] = times(now);
                        let before = model[at].1[0];
                        model[at].1 = [if active { idle } else { before }, hung];
                        Ok(Vec::new())
                    }
                    None => Err(Refusal::LeaseLost),
                };
                (LeaseTransition::Keep { holder: id, active }, expected)
            }
            2 => {
                let gone: Vec<u8> = model
                    .iter()
                    .filter(|held| held.0 == holder)
                    .map(|held| held.0)
                    .collect();
                model.retain(|held| held.0 != holder);
                (LeaseTransition::Leave(id), Ok(gone))
            }
            _ => (LeaseTransition::Clear, Ok(model.drain(..).map(|held| held.0).collect())),
        };
        let expected = expected.map(|gone| {
            gone.into_iter()
                .map(|holder| AttemptId([holder; 16]))
                .collect::<Vec<_>>()
        });
        assert_eq!(alone.apply(UnixSeconds(now), &rules, transition), expected);
        let stored = store.leases("console", UnixSeconds(now), &rules, transition);
        let line = Event::leases(UnixSeconds(now), "a \"console\"\n", transition, &stored).to_string();
        assert!(!line.contains('\n') && line.starts_with(&now.to_string()), "{line}");
        match (stored, expected) {
            (Ok(gone), Ok(expected)) => assert_eq!(gone, expected),
            (Err(StoreError::Refused(refusal)), Err(expected)) => assert_eq!(refusal, expected),
            (stored, expected) => panic!("{stored:?}, not {expected:?}"),
        }
        assert!(alone.holders().eq(model.iter().map(|held| AttemptId([held.0; 16]))));
    }
}

/// Against a map, with versions that are never used again.
fn notes(mut input: Input<'_>) {
    const NAMES: [&str; 4] = ["guest/1", "guest/10", "guest/2", ""];
    let store = MemoryStore::new(8);
    let mut model: BTreeMap<&str, (Vec<u8>, u64, u64)> = BTreeMap::new();
    let mut seen: BTreeSet<(&str, u64)> = BTreeSet::new();
    let mut now = 0_u64;
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let (what, name) = (input.byte(), NAMES[usize::from(input.byte() & 3)]);
        now += u64::from(input.byte() >> 4);
        let value = input.short_blob();
        model.retain(|_, note| now < note.2);
        let there = model.get(name);
        let until = UnixSeconds(now + u64::from(what >> 4));
        let mut change = match what & 1 {
            0 => NoteChange::write(value, until),
            _ => NoteChange::remove(),
        };
        let version = there.map_or(0, |note| note.1);
        let fits = match what >> 1 & 3 {
            0 => true,
            1 => {
                change = change.expecting(version);
                true
            }
            _ => {
                change = change.expecting(version + 1);
                false
            }
        };
        let set = store.set_note(name, UnixSeconds(now), &change);
        assert_eq!(set.ok(), Some(fits), "{change:?}");
        unseen(&change, value);
        if fits {
            model.remove(name);
            if let Some(value) = change.value {
                if let Some(note) = store.note(name, UnixSeconds(now)) {
                    unseen(&note, value);
                    assert!(
                        0 < note.version && seen.insert((name, note.version)),
                        "a version is used once"
                    );
                    model.insert(name, (value.to_vec(), note.version, until.0));
                } else {
                    assert!(until.0 <= now);
                }
            }
        }
        for prefix in ["", "guest/1", name] {
            let listed = store.notes(prefix, UnixSeconds(now));
            let listed: Vec<_> = listed
                .iter()
                .map(|(name, note)| (&**name, note.value.clone(), note.version, note.until.0))
                .collect();
            let mut expected: Vec<_> = model
                .iter()
                .filter(|(name, note)| name.starts_with(prefix) && now < note.2)
                .map(|(name, note)| (*name, note.0.clone(), note.1, note.2))
                .collect();
            expected.sort();
            let mut found = listed;
            found.sort();
            assert_eq!(found, expected);
        }
    }
    let long = "x".repeat(Note::NAME_MAX + 1);
    let change = NoteChange::write(b"", UnixSeconds(u64::MAX));
    assert!(store.set_note(&long, UnixSeconds(now), &change).is_err());
}

/// A note may be a secret: what is shown of it is its length.
fn unseen(shown: &impl std::fmt::Debug, value: &[u8]) {
    let (shown, value) = (format!("{shown:?}"), value.escape_ascii().to_string());
    assert!(
        shown.len() < 200 && (value.len() < 12 || !shown.contains(&value)),
        "{shown}"
    );
}

/// Each text against its own way to be written.
fn texts(text: &str) {
    if let Ok(version) = text.parse::<Microversion>() {
        assert_eq!(version.to_string(), text);
        assert_eq!(
            Microversion::requested(&format!("compute {text}"), Microversion::V2_1),
            Ok(version)
        );
    }
    if let Ok(version) = Microversion::requested(text, Microversion(777)) {
        let named = text
            .split(',')
            .filter_map(|entry| entry.trim_matches([' ', '\t']).strip_prefix("compute "));
        let named: Vec<&str> = named.collect();
        match named[..] {
            [] => assert_eq!(version, Microversion::V2_1),
            ["latest"] => assert_eq!(version, Microversion(777)),
            [own] => assert_eq!(version.to_string(), own),
            _ => panic!("{named:?}"),
        }
        let old = version < Microversion::V2_31;
        assert_eq!(check_show(version, "").is_err(), old);
        assert_eq!(
            check_show(version, "a=1").is_err(),
            old || Microversion::V2_99 <= version
        );
    }
    if let Ok(print) = text.parse::<Fingerprint>() {
        assert_eq!(print.to_string(), text.to_ascii_lowercase());
        let other = TokenHash::from_bytes([0; 32]).fingerprint();
        assert_eq!(print == other, print.as_bytes() == other.as_bytes());
    }
    if let Ok(origin) = text.parse::<Origin>() {
        assert_eq!(origin.to_string().parse(), Ok(origin));
    }
    let (protocol, kind) = text.split_once('/').unwrap_or((text, ""));
    if let Ok(console) = ConsoleType::from_pair(protocol, kind) {
        assert_eq!((console.protocol().as_str(), console.as_str()), (protocol, kind));
    }
    if let Ok(protocol) = text.parse::<Protocol>() {
        assert_eq!(protocol.as_str(), text);
    }
}

/// A file of tokens, in the dialect of either program.
fn rows(mut input: Input<'_>) {
    let dialect = [Dialect::Released, Dialect::Repository][usize::from(input.byte() & 1)];
    let wanted = String::from_utf8_lossy(input.short_blob()).into_owned();
    let file = String::from_utf8_lossy(input.rest()).into_owned();
    let mut good = Vec::new();
    for row in websockify::rows(&file, dialect) {
        match row {
            Ok(row) => good.push(row),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    // Python ends a line at either.
    assert!(websockify::faults(&file).count() <= file.split(['\r', '\n']).count());
    if let Some(found) = websockify::find(&file, &wanted, dialect) {
        assert!(good.contains(&found), "what is found is a row");
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 5 {
        0 => throttle(input),
        1 => leases(input),
        2 => notes(input),
        3 => texts(&String::from_utf8_lossy(input.rest())),
        _ => rows(input),
    }
}
