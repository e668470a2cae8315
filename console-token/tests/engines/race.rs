//! Many tasks in several processes race for the uses of each token.
//!
//! The processes are this test binary again, at its test `worker`, with the plan in the environment. A
//! process tells the parent that its tasks stand ready for a token, and the parent, when all have, lets
//! them go: a barrier a token. Each task has an attempt of its own, and asks again with it until it has
//! an answer.

use core::num::NonZeroU32;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use console_token::{
    AttemptId, ConsoleType, Grant, RedisStore, Refusal, SqlStore, Store, StoreError, Target, TokenHash, Transition,
    UnixSeconds, Uses, VerifyContext,
};

use crate::engines::{Engine, Kind, url};

const PROCESSES: usize = 4;
const TASKS: usize = 16;
/// All attempts begin so, for the proxy to know them by; in hexadecimal digits.
pub(crate) const MARK: [u8; 4] = [0x7a, 0xce, 0x7a, 0xce];
const PLAN: &str = "CONSOLE_TOKEN_RACE";
/// How long a task asks for an answer: an engine that was killed has to come back.
const PATIENCE: Duration = Duration::from_secs(90);

/// A race.
#[derive(Clone, Copy)]
pub(crate) struct Race {
    pub(crate) kind: Kind,
    pub(crate) tokens: usize,
    pub(crate) uses: u32,
    /// SPICE sessions are claimed, connections redeemed.
    pub(crate) spice: bool,
}

/// When the parent kills the engine, and starts it again.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Crash {
    /// While the attempts of all processes are on their way.
    OnTheWay,
    /// When an attempt of the first process has its answer; the other processes find the engine dead.
    Answered,
}

/// What came of it.
pub(crate) struct Finish {
    /// Tokens at which two attempts were on their way at the same moment.
    pub(crate) overlapped: usize,
    /// The same for the attempt that won: another was on its way when it did.
    pub(crate) contested: usize,
    /// How often a task had to ask again because an answer was lost.
    pub(crate) asked_again: usize,
    /// Tokens of which some attempts had an answer at once, and others had to ask again.
    pub(crate) torn: usize,
}

/// One attempt, as its process reports it: microseconds since 1970.
struct Run {
    start: u64,
    end: u64,
    won: bool,
    again: usize,
}

pub(crate) async fn connect(kind: Kind, address: &str) -> Arc<dyn Store> {
    let url = url(kind, address);
    let start = Instant::now();
    loop {
        let store: Result<Arc<dyn Store>, _> = match kind {
            Kind::Redis => RedisStore::connect(&url, RedisStore::PREFIX)
                .await
                .map(|store| Arc::new(store) as _),
            Kind::Postgres => {
                let connections = NonZeroU32::new(16).unwrap();
                SqlStore::connect(&url, connections)
                    .await
                    .map(|store| Arc::new(store) as _)
            }
        };
        match store {
            Ok(store) => return store,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{url}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn hash(token: usize) -> TokenHash {
    let mut bytes = [0x11; 32];
    bytes[..8].copy_from_slice(&(token as u64).to_be_bytes());
    TokenHash::from_bytes(bytes)
}

/// Runs a race at an engine, through `address`, and checks that each token gave as many uses as it has.
///
/// `crash` says at which tokens the engine is killed.
pub(crate) async fn run(
    engine: &mut Engine,
    address: &str,
    race: Race,
    crash: impl Fn(usize) -> Option<Crash>,
) -> Finish {
    let store = connect(race.kind, &engine.address()).await;
    let target = Target::Unix {
        path: "/run/console".into(),
    };
    let console = if race.spice {
        ConsoleType::SpiceDirect
    } else {
        ConsoleType::NoVnc
    };
    let grant = Grant::new(target, console, UnixSeconds(1000), 600);
    let grant = grant.with_uses(Uses::Limited(NonZeroU32::new(race.uses).unwrap()));
    for token in 0..race.tokens {
        store.insert(&hash(token), &grant).await.unwrap();
    }

    let mut workers: Vec<Worker> = (0..PROCESSES)
        .map(|process| Worker::start(address, race, process))
        .collect();
    let mut finish = Finish {
        overlapped: 0,
        contested: 0,
        asked_again: 0,
        torn: 0,
    };
    for token in 0..race.tokens {
        workers.iter_mut().for_each(|worker| worker.wait_for("ready"));
        let crash = crash(token);
        let (first, others) = workers.split_first_mut().unwrap();
        first.go();
        if crash == Some(Crash::Answered) {
            first.wait_for("answered");
            engine.kill();
        }
        others.iter_mut().for_each(Worker::go);
        match crash {
            None => {}
            Some(Crash::OnTheWay) => engine.kill(),
            Some(Crash::Answered) => others.iter_mut().for_each(|worker| worker.wait_for("again")),
        }
        if crash.is_some() {
            engine.run();
        }
        let runs: Vec<Run> = workers.iter_mut().flat_map(Worker::runs).collect();
        assert_eq!(runs.len(), PROCESSES * TASKS);
        let winners: Vec<&Run> = runs.iter().filter(|run| run.won).collect();
        assert_eq!(
            winners.len(),
            race.uses as usize,
            "token {token}: one winner a use, no more and no less"
        );
        let meet =
            |one: &Run, other: &Run| !core::ptr::eq(one, other) && one.start < other.end && other.start < one.end;
        let met = |one: &Run| runs.iter().any(|other| meet(one, other));
        finish.overlapped += usize::from(runs.iter().any(met));
        finish.contested += usize::from(winners.into_iter().any(met));
        finish.torn += usize::from(runs.iter().any(|run| run.again == 0) && runs.iter().any(|run| run.again != 0));
        finish.asked_again += runs.iter().map(|run| run.again).sum::<usize>();
    }
    for worker in &mut workers {
        assert!(worker.child.wait().unwrap().success());
    }
    for token in 0..race.tokens {
        let record = record(&*store, token).await;
        assert_eq!(record.uses_left(), Some(0), "token {token} in the store");
    }
    println!(
        "{:?}: {} tokens of {} uses, {} tasks in {PROCESSES} processes: {} tokens with overlapping attempts, {} with one that \
         overlaps the winner's; {} times asked again, at {} tokens by some attempts only",
        race.kind,
        race.tokens,
        race.uses,
        PROCESSES * TASKS,
        finish.overlapped,
        finish.contested,
        finish.asked_again,
        finish.torn,
    );
    assert!(
        race.tokens * 3 <= finish.overlapped * 10,
        "too few attempts overlap to prove anything"
    );
    finish
}

/// The first look after an engine came back can fail: its connection is of before.
async fn record(store: &dyn Store, token: usize) -> console_token::Record {
    let start = Instant::now();
    loop {
        match store.record(&hash(token)).await {
            Ok(record) => return record.unwrap(),
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A process with its tasks, seen from the parent.
struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(address: &str, race: Race, process: usize) -> Self {
        let Race {
            kind, tokens, spice, ..
        } = race;
        let plan = format!("{kind:?} {address} {tokens} {spice} {process}");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "worker", "--nocapture", "--test-threads=1"])
            .env(PLAN, plan)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The next line of the worker's own; the test runner prints others.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "a worker has ended");
            if let Some((_, text)) = line.split_once("race> ") {
                return text.trim_end().into();
            }
        }
    }

    /// Passes over lines about what happened meanwhile.
    fn wait_for(&mut self, text: &str) {
        while self.line() != text {}
    }

    fn go(&mut self) {
        writeln!(self.input, "go").unwrap();
    }

    fn runs(&mut self) -> Vec<Run> {
        let mut line = self.line();
        while !line.contains(':') {
            line = self.line();
        }
        let run = |run: &str| {
            let numbers: Vec<u64> = run.split(':').map(|number| number.parse().unwrap()).collect();
            Run {
                start: numbers[0],
                end: numbers[1],
                won: numbers[2] == 1,
                again: usize::try_from(numbers[3]).unwrap(),
            }
        };
        line.split(' ').map(run).collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other side: a process with its tasks. Without a plan there is nothing to race for.
pub(crate) async fn worker() {
    let Ok(plan) = std::env::var(PLAN) else { return };
    let [kind, address, tokens, spice, process] = plan.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{plan}");
    };
    let kind = if kind == "Redis" { Kind::Redis } else { Kind::Postgres };
    let (tokens, spice, process): (usize, bool, usize) = (
        tokens.parse().unwrap(),
        spice.parse().unwrap(),
        process.parse().unwrap(),
    );
    // Of Redis one connection carries the calls of all tasks, so each has a store of its own.
    let stores = if kind == Kind::Redis { TASKS } else { 1 };
    let mut connected = Vec::new();
    for _ in 0..stores {
        connected.push(connect(kind, address).await);
    }
    for token in 0..tokens {
        println!("race> ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        assert_eq!(line, "go\n");
        let news = Arc::new(News::default());
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (store, news) = (Arc::clone(&connected[task % stores]), Arc::clone(&news));
                tokio::spawn(attempt(store, token, process * TASKS + task, spice, news))
            })
            .collect();
        let mut report = String::from("race>");
        for task in tasks {
            let run = task.await.unwrap();
            report += &format!(" {}:{}:{}:{}", run.start, run.end, u8::from(run.won), run.again);
        }
        println!("{report}");
    }
}

/// What a process has told of a token, once.
#[derive(Default)]
struct News {
    answered: AtomicBool,
    again: AtomicBool,
}

fn tell(once: &AtomicBool, text: &str) {
    if !once.swap(true, Ordering::Relaxed) {
        println!("race> {text}");
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

async fn attempt(store: Arc<dyn Store>, token: usize, task: usize, spice: bool, news: Arc<News>) -> Run {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&MARK);
    id[4..8].copy_from_slice(&u32::try_from(token).unwrap().to_be_bytes());
    id[8..12].copy_from_slice(&u32::try_from(task).unwrap().to_be_bytes());
    let transition = if spice {
        Transition::Claim(AttemptId(id))
    } else {
        Transition::Redeem(AttemptId(id))
    };
    let (hash, context) = (hash(token), VerifyContext::at(UnixSeconds(1000)));
    let (begin, start) = (Instant::now(), now());
    let mut again = 0;
    loop {
        let done = store.apply(&hash, context, transition).await;
        let won = match done {
            Ok(_) => true,
            Err(StoreError::Refused(Refusal::Spent)) => false,
            Err(StoreError::Backend(error)) => {
                assert!(begin.elapsed() < PATIENCE, "{error}");
                tell(&news.again, "again");
                again += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        tell(&news.answered, "answered");
        return Run {
            start,
            end: now(),
            won,
            again,
        };
    }
}
