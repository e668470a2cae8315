//! An operation on one sample, done by the libraries of this repository, by the peers, and by the least that can be done.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Repeats an operation so often, and says how long that took.
pub type Run = Box<dyn FnMut(u32) -> Duration>;

/// An operation of this process.
pub fn run(mut operation: impl FnMut() + 'static) -> Run {
    Box::new(move |repetitions| {
        let begin = Instant::now();
        for _ in 0..repetitions {
            operation();
        }
        begin.elapsed()
    })
}

/// Keeps a result from being optimised away.
pub fn keep<T>(value: T) {
    black_box(value);
}

/// A library that is compared, and how it does the work; or why it cannot.
pub struct Peer {
    pub name: &'static str,
    pub run: Result<Run, String>,
}

impl Peer {
    /// A peer that was seen to give the same.
    pub fn new(name: &'static str, run: Run) -> Self {
        Self { name, run: Ok(run) }
    }

    /// A peer that cannot do it.
    pub fn cannot(name: &'static str, why: impl Into<String>) -> Self {
        let run = Err(why.into());
        Self { name, run }
    }
}

/// An operation on one sample.
pub struct Contest {
    pub operation: &'static str,
    pub sample: String,
    /// Bytes that one run works on.
    pub bytes: usize,
    /// What is counted in one run, and how many there are.
    pub count: u32,
    pub unit: &'static str,
    pub ours: Run,
    /// The least, and what it is.
    pub limit: Option<(&'static str, Run)>,
    pub peers: Vec<Peer>,
}

/// What was measured, a value a round. Ratios are times of others by ours.
pub struct Outcome {
    pub operation: &'static str,
    pub sample: String,
    pub bytes: usize,
    pub unit: &'static str,
    /// Nanoseconds of one unit.
    pub ours: Rounds,
    pub limit: Option<(&'static str, Rounds)>,
    pub peers: Vec<(&'static str, Result<Rounds, String>)>,
}

impl Outcome {
    /// Adds the rounds of the same contest.
    pub fn add(&mut self, other: Self) {
        self.ours.0.extend(other.ours.0);
        if let (Some((_, rounds)), Some((_, others))) = (&mut self.limit, other.limit) {
            rounds.0.extend(others.0);
        }
        for ((_, rounds), (_, others)) in self.peers.iter_mut().zip(other.peers) {
            if let (Ok(rounds), Ok(others)) = (rounds, others) {
                rounds.0.extend(others.0);
            }
        }
    }
}

/// A value of each round.
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// The value that so many quarters of all lie below: 1 to 3.
    fn quartile(&self, quarters: usize) -> f64 {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values[values.len() * quarters / 4]
    }

    pub fn median(&self) -> f64 {
        self.quartile(2)
    }

    /// What half of all lies between.
    pub fn middle_half(&self) -> (f64, f64) {
        (self.quartile(1), self.quartile(3))
    }
}

/// How long a run is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    pub rounds: usize,
    pub round: Duration,
}

/// A run, and how often it is repeated in a round.
struct Runner {
    run: Run,
    repetitions: u32,
}

impl Runner {
    /// As many repetitions as fill a round. What was seen once is in the caches, and has its memory.
    fn new(mut run: Run, plan: Plan) -> Self {
        let mut repetitions = 1;
        loop {
            let took = run(repetitions);
            if plan.round <= took * 2 || u32::MAX / 2 < repetitions {
                break;
            }
            let wanted = plan.round.as_secs_f64() / took.as_secs_f64().max(1e-9);
            repetitions = (f64::from(repetitions) * wanted.clamp(2.0, 1000.0)).min(f64::from(u32::MAX)) as u32;
        }
        Self { run, repetitions }
    }

    /// Nanoseconds of one repetition.
    fn round(&mut self) -> f64 {
        (self.run)(self.repetitions).as_secs_f64() * 1e9 / f64::from(self.repetitions)
    }
}

impl Contest {
    /// All take turns: each ratio is one of times of the same round.
    pub fn measure(self, plan: Plan) -> Outcome {
        let runner = |run| Runner::new(run, plan);
        let mut ours = runner(self.ours);
        let mut limit = self.limit.map(|(name, run)| (name, runner(run), Vec::new()));
        let mut peers: Vec<_> = self
            .peers
            .into_iter()
            .map(|peer| (peer.name, peer.run.map(runner), Vec::new()))
            .collect();
        let (mut times, count) = (Vec::new(), f64::from(self.count));
        for _ in 0..plan.rounds {
            let time = ours.round();
            times.push(time / count);
            if let Some((_, runner, ratios)) = &mut limit {
                ratios.push(runner.round() / time);
            }
            for (_, runner, ratios) in &mut peers {
                if let Ok(runner) = runner {
                    ratios.push(runner.round() / time);
                }
            }
        }
        Outcome {
            operation: self.operation,
            sample: self.sample,
            bytes: self.bytes,
            unit: self.unit,
            ours: Rounds(times),
            limit: limit.map(|(name, _, ratios)| (name, Rounds(ratios))),
            peers: peers
                .into_iter()
                .map(|(name, runner, ratios)| (name, runner.map(|_| Rounds(ratios))))
                .collect(),
        }
    }
}
