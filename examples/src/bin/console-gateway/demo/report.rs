//! The demo's output: one line a step, and an end at the first that does not do what it must.

use std::error::Error;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::hypervisor::SOON;

/// What a step, or a part of one, comes to.
pub(super) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// No step takes a second; one that hangs has failed.
const STEP: Duration = Duration::from_secs(10);

/// What a step has to tell.
pub(super) struct StepReport {
    /// What happened.
    pub(super) happened: String,
    /// What the other end saw of it.
    pub(super) seen: String,
}

/// A step's result and what it has to tell.
pub(super) fn told<T>(result: T, happened: impl Into<String>, seen: impl Into<String>) -> Outcome<(T, StepReport)> {
    let told = StepReport {
        happened: happened.into(),
        seen: seen.into(),
    };
    Ok((result, told))
}

/// A condition that a step has to meet.
pub(super) fn must(met: bool, problem: impl Into<String>) -> Outcome<()> {
    if met { Ok(()) } else { Err(problem.into().into()) }
}

/// A step has failed, and has been printed.
#[derive(Debug)]
pub(super) struct Failed;

/// Counts and prints.
pub(super) struct Report {
    began: Instant,
    steps: usize,
}

impl Report {
    pub(super) fn start() -> Self {
        Self {
            began: Instant::now(),
            steps: 0,
        }
    }

    /// Prints what the next steps are about.
    pub(super) fn section(&self, about: &str) {
        println!("-- {about}");
    }

    /// Runs a step and prints its line.
    pub(super) async fn step<T>(
        &mut self,
        name: &'static str,
        step: impl Future<Output = Outcome<(T, StepReport)>>,
    ) -> Result<T, Failed> {
        self.steps += 1;
        let began = Instant::now();
        let outcome = timeout(STEP, step).await.unwrap_or_else(|_| Err("it hangs".into()));
        let (n, took) = (self.steps, began.elapsed().as_millis());
        match outcome {
            Ok((result, StepReport { happened, seen })) => {
                println!("{n:>2} {name:<14} ok {took:>4} ms  {happened}; {seen}");
                Ok(result)
            }
            Err(problem) => {
                println!("{n:>2} {name:<14} FAILED {took} ms  {problem}");
                println!("demo: step {n} ({name}) did not do what it must: {problem}");
                Err(Failed)
            }
        }
    }

    /// The last line.
    pub(super) fn end(&self) {
        let seconds = self.began.elapsed().as_secs_f32();
        println!("demo: {} steps, all as they must be, {seconds:.1} s", self.steps);
    }
}

/// Waits for something that is on its way. `false`: it did not come.
pub(super) async fn soon(mut met: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + SOON;
    while !met() {
        if until <= Instant::now() {
            return false;
        }
        sleep(Duration::from_millis(2)).await;
    }
    true
}
