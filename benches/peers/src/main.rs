//! The libraries of this repository beside others that do the same, on the same bytes and in the same run.
//!
//! ```text
//! peers                  measures all, and prints the tables
//! peers WORD...          only operations and samples whose names have one of these words
//! peers --save           writes the tables into benches/RESULTS.md, and the picture as benches/peers.svg
//! peers --test           a short round of each: whether all are there, and still give the same
//! ```
//!
//! Whether a peer gives the same is seen before anything is measured; one that does not ends the program.

mod contest;
mod digest;
mod plot;
mod program;
mod random;
mod report;
mod rfb;
mod spice;
mod tokens;
mod vv;

use std::process::ExitCode;
use std::time::Duration;

use contest::{Contest, Outcome, Plan};
use program::is_not_installed;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What the tables stand between in RESULTS.md.
const MARKS: [&str; 2] = ["<!-- peers: written by the bench -->\n\n", "\n<!-- peers: end -->"];

fn main() -> ExitCode {
    let (options, words): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let has = |option: &str| options.iter().any(|given| given == option);
    let (passes, rounds, round) = if has("--test") { (1, 1, 1) } else { (5, 7, 20) };
    let plan = Plan {
        rounds,
        round: Duration::from_millis(round),
    };
    let outcomes = measure(passes, plan, &words);
    let text = report::markdown(&outcomes, passes * rounds);
    println!("\n{text}");
    if has("--save") {
        save(&text, &outcomes);
    }
    let is_missing = |outcome: &Outcome| {
        outcome
            .peers
            .iter()
            .any(|(_, ratios)| ratios.as_ref().is_err_and(|why| is_not_installed(why)))
    };
    if has("--test") && outcomes.iter().any(is_missing) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn contests(words: &[String]) -> Vec<Contest> {
    let all = [spice::contests(), rfb::contests(), tokens::contests(), vv::contests()];
    let is_asked = |contest: &Contest| {
        let name = format!("{}, {}", contest.operation, contest.sample);
        words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
    };
    all.into_iter().flatten().filter(is_asked).collect()
}

/// Each pass makes everything anew: where samples and buffers lie in memory makes a difference.
fn measure(passes: usize, plan: Plan, words: &[String]) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for pass in 1..=passes {
        for (at, contest) in contests(words).into_iter().enumerate() {
            eprintln!("{pass} of {passes}: {}, {}", contest.operation, contest.sample);
            let outcome = contest.measure(plan);
            match outcomes.get_mut(at) {
                Some(known) => known.add(outcome),
                None => outcomes.push(outcome),
            }
        }
    }
    outcomes
}

fn save(text: &str, outcomes: &[Outcome]) {
    let path = format!("{FOLDER}/RESULTS.md");
    let results = std::fs::read_to_string(&path).expect("benches/RESULTS.md");
    let (front, rest) = results.split_once(MARKS[0]).expect("a mark in front of the tables");
    let (_, behind) = rest.split_once(MARKS[1]).expect("a mark behind the tables");
    std::fs::write(&path, [front, MARKS[0], text, MARKS[1], behind].concat()).expect("benches/RESULTS.md");
    std::fs::write(format!("{FOLDER}/peers.svg"), plot::svg(outcomes)).expect("benches/peers.svg");
}
