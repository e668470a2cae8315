//! What the seeds reach of the four libraries: the table of `COVERAGE.md`, and `reached.txt`, from llvm-cov's lcov.
//!
//! ```text
//! cargo run -p fuzz --example coverage -- LCOV
//! ```
//!
//! `fuzz/run --coverage` calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

use fuzz::reach::{Function, byte_functions, name_of};

const CRATES: [&str; 4] = ["spice-proto", "rfb-proto", "console-token", "vv-file"];

/// Lines with code of one file, and how often each was run.
#[derive(Debug, Default)]
struct File {
    lines: BTreeMap<u32, u64>,
    /// By where they begin: names, and how often one of their instances was run.
    functions: BTreeMap<u32, (BTreeSet<String>, u64)>,
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
                file.functions.entry(line).or_default().0.insert(name_of(value));
            }
            ("FNDA", Ok(count), _) => {
                if let Some(line) = begins.get(value) {
                    file.functions.entry(*line).or_default().1 += u64::from(count);
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
        let reached = file.functions.values().filter(|(_, count)| *count > 0).count();
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

/// Functions that no seed reaches, by file.
fn unreached(files: &BTreeMap<String, File>) -> String {
    let mut text = String::new();
    for (path, file) in files {
        let names: Vec<String> = file
            .functions
            .iter()
            .filter(|(_, (_, count))| *count == 0)
            .filter_map(|(line, (names, _))| Some(format!("{line}: {}", names.first()?)))
            .collect();
        for name in names {
            let _ = writeln!(text, "{path}:{name}");
        }
    }
    text
}

/// The public functions that take bytes and were run.
fn reached(files: &BTreeMap<String, File>, api: &[Function]) -> String {
    let mut run: BTreeSet<&str> = BTreeSet::new();
    for file in files.values() {
        for (names, count) in file.functions.values() {
            if *count > 0 {
                run.extend(names.iter().map(String::as_str));
            }
        }
    }
    let mut text = String::new();
    for function in api.iter().filter(|function| run.contains(&*function.key())) {
        let _ = writeln!(text, "{}", function.path);
    }
    text
}

fn main() -> io::Result<()> {
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
    print!("{}", unreached(&files));
    Ok(())
}
