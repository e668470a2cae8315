//! What the seeds reach of the four libraries: the table of `COVERAGE.md`, and `reached.txt`, from llvm-cov's lcov.
//!
//! ```text
//! cargo run -p fuzz --example coverage -- LCOV
//! ```
//!
//! `fuzz/run --coverage` calls it. It prints the functions that no seed reaches, with their reasons, and fails if
//! `unreached.txt` is another list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use fuzz::reach::{Function, byte_functions, is_closure, name_of};
use fuzz::unreached;

const CRATES: [&str; 4] = ["spice-proto", "rfb-proto", "console-token", "vv-file"];

/// Lines with code of one file, and how often each was run.
#[derive(Debug, Default)]
struct File {
    lines: BTreeMap<u32, u64>,
    /// By where they begin.
    functions: BTreeMap<u32, Functions>,
}

/// The instances of what begins in one line: a function, or all that a macro makes there.
#[derive(Debug, Default)]
struct Functions {
    names: BTreeSet<String>,
    /// One of them is no closure.
    has_function: bool,
    /// How often one of them was run.
    count: u64,
}

impl Functions {
    /// Without the crate.
    fn name(&self) -> String {
        let name = self.names.first().map_or("", String::as_str);
        let name = name.split_once("::").map_or(name, |(_, name)| name);
        format!("{name}{}", if self.has_function { "" } else { "::{closure}" })
    }
}

/// Every file of the libraries, by `CRATE/src/PATH`.
fn read(lcov: &str) -> BTreeMap<String, File> {
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    let mut current = None;
    let mut begins: BTreeMap<&str, u32> = BTreeMap::new();
    for line in lcov.lines() {
        let (kind, rest) = line.split_once(':').unwrap_or((line, ""));
        if kind == "SF" {
            current = CRATES.iter().find_map(|name| {
                let at = rest.find(&format!("/{name}/src/"))?;
                Some(rest[at + 1..].to_owned())
            });
            begins.clear();
        }
        let Some(file) = current.as_ref().map(|path| files.entry(path.clone()).or_default()) else {
            continue;
        };
        let Some((number, value)) = rest.split_once(',') else {
            continue;
        };
        let (number, count) = (number.parse(), value.parse::<u64>());
        match (kind, number, count) {
            ("DA", Ok(line), Ok(count)) => *file.lines.entry(line).or_default() += count,
            ("FN", Ok(line), _) => {
                begins.insert(value, line);
                let functions = file.functions.entry(line).or_default();
                functions.names.insert(name_of(value));
                functions.has_function |= !is_closure(value);
            }
            ("FNDA", Ok(count), _) => {
                if let Some(line) = begins.get(value) {
                    file.functions.entry(*line).or_default().count += u64::from(count);
                }
            }
            _ => {}
        }
    }
    files
}

/// `spice-proto/src/link/ticket/key.rs` belongs to `spice-proto/link`.
fn module(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    format!("{} `{}`", parts[0], parts[2].trim_end_matches(".rs"))
}

fn percent(covered: usize, all: usize) -> String {
    format!("{:.1}", covered as f64 * 100.0 / all.max(1) as f64)
}

fn table(files: &BTreeMap<String, File>) -> String {
    let mut modules: BTreeMap<String, (usize, usize, usize, usize)> = BTreeMap::new();
    for (path, file) in files {
        let crate_name = path.split('/').next().unwrap_or_default();
        let covered = file.lines.values().filter(|count| **count > 0).count();
        let reached = file.functions.values().filter(|functions| functions.count > 0).count();
        for name in [module(path), format!("{crate_name} **all**"), "**all**".to_owned()] {
            let row = modules.entry(name).or_default();
            *row = (
                row.0 + file.lines.len(),
                row.1 + covered,
                row.2 + file.functions.len(),
                row.3 + reached,
            );
        }
    }
    let mut text = "| module | lines | run | % | functions | run |\n|---|---|---|---|---|---|\n".to_owned();
    for (name, (lines, covered, functions, reached)) in modules {
        let share = percent(covered, lines);
        let _ = writeln!(
            text,
            "| {name} | {lines} | {covered} | {share} | {functions} | {reached} |"
        );
    }
    text
}

/// Functions that no seed reaches: where each begins, and `FILE: NAME`.
fn unreached(files: &BTreeMap<String, File>) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for (path, file) in files {
        let functions = file.functions.iter().filter(|(_, functions)| functions.count == 0);
        found.extend(functions.map(|(line, functions)| (*line, format!("{path}: {}", functions.name()))));
    }
    found
}

/// Prints what no seed reaches, and why. Gives what the list does not say, or says too much.
fn explain(unreached: Vec<(u32, String)>, list: &str) -> io::Result<String> {
    let list = unreached::parse(list).map_err(io::Error::other)?;
    for (line, function) in &unreached {
        let reason = unreached::reason_of(function, &list).unwrap_or("?");
        println!("{function} (line {line}) - {reason}");
    }
    let functions: Vec<String> = unreached.into_iter().map(|(_, function)| function).collect();
    Ok(unreached::differences(&functions, &list))
}

/// The public functions that take bytes and were run.
fn reached(files: &BTreeMap<String, File>, api: &[Function]) -> String {
    let mut run: BTreeSet<&str> = BTreeSet::new();
    for file in files.values() {
        for functions in file.functions.values().filter(|functions| functions.count > 0) {
            run.extend(functions.names.iter().map(String::as_str));
        }
    }
    let mut text = String::new();
    for function in api.iter().filter(|function| run.contains(&*function.key())) {
        let _ = writeln!(text, "{}", function.path);
    }
    text
}

fn main() -> io::Result<ExitCode> {
    let lcov = env::args().nth(1).expect("the file that llvm-cov wrote");
    let files = read(&fs::read_to_string(lcov)?);
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let api = byte_functions()?;
    fs::write(home.join("reached.txt"), reached(&files, &api))?;
    let path = home.join("COVERAGE.md");
    let old = fs::read_to_string(&path)?;
    let (begin, end) = ("<!-- table -->\n", "<!-- end -->\n");
    let (front, rest) = old.split_once(begin).expect("the mark of the table");
    let (_, back) = rest.split_once(end).expect("the mark of its end");
    fs::write(path, [front, begin, &table(&files), end, back].concat())?;
    let list = fs::read_to_string(home.join("unreached.txt"))?;
    let differences = explain(unreached(&files), &list)?;
    if differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprint!("fuzz/unreached.txt is another list:\n{differences}");
    Ok(ExitCode::FAILURE)
}
