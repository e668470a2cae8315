//! Every public function of the libraries that takes bytes or text is run by a target.
//!
//! What is run is known from counters: `fuzz/run --coverage` writes `fuzz/reached.txt`. A new function fails here until a
//! target with a seed runs it, or it is named in `fuzz/exceptions.txt` with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use fuzz::reach::byte_functions;
use fuzz::unreached::{fits, reasons};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Patterns of paths, with their reasons.
fn exceptions_of(text: &str) -> Vec<(&str, &str)> {
    let lines = reasons(text).unwrap_or_else(|error| panic!("{error}"));
    lines.iter().map(|line| (line.pattern, line.reason)).collect()
}

#[test]
fn every_function_that_takes_bytes_is_reached() {
    let functions = byte_functions().expect("the listings");
    let (reached, exceptions) = (read("reached.txt"), read("exceptions.txt"));
    let reached: BTreeSet<&str> = reached.lines().collect();
    let exceptions = exceptions_of(&exceptions);
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    let mut missing = Vec::new();
    let mut run = 0;
    for function in &functions {
        let path = &*function.path;
        let excepted = exceptions.iter().find(|(pattern, _)| fits(pattern, path));
        match (reached.contains(path), excepted) {
            (true, _) => run += 1,
            (false, Some((pattern, _))) => *used.entry(pattern).or_default() += 1,
            (false, None) => missing.push(format!("{path}({})", function.arguments)),
        }
    }
    println!("{} functions take bytes, {run} are run", functions.len());
    assert!(500 <= functions.len(), "the listings have more");
    assert!(
        missing.is_empty(),
        "{} are run by no target; write one, or a seed, and `fuzz/run --coverage`, or name it in fuzz/exceptions.txt:\n{}",
        missing.len(),
        missing.join("\n")
    );
    let of_libraries = exceptions
        .iter()
        .filter(|(pattern, _)| !pattern.starts_with("examples::"));
    let idle: Vec<_> = of_libraries
        .filter(|(pattern, _)| !used.contains_key(pattern))
        .collect();
    assert!(idle.is_empty(), "nothing needs these exceptions: {idle:?}");
}

#[test]
fn patterns_of_exceptions() {
    assert!(fits("*::serialize", "a::B::serialize") && !fits("*::serialize", "a::B::serialize_x"));
    assert!(fits("a::B*", "a::B::new") && fits("a::b", "a::b") && !fits("a::b", "a::b::c"));
}

/// What a function of `examples` takes that is bytes, text, or brings them.
const OF_EXAMPLES: [&str; 9] = [
    "[u8]",
    "&str",
    "String",
    "Bytes",
    "BytesMut",
    "Buffers",
    "HeaderMap",
    "Segment",
    "impl Read",
];

/// Public functions of the library of `examples` that take bytes, as `MODULE::NAME`.
fn functions_of_examples(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("bin") {
            functions_of_examples(&path, found);
        }
        let is_source = path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs");
        if !is_source {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let module = match &*module {
            "mod" => folder.file_name().expect("a name").to_string_lossy().into_owned(),
            _ => module,
        };
        for start in ["pub fn ", "pub async fn "] {
            for (at, _) in text.match_indices(start) {
                let signature = text[at + start.len()..].split(['{', ';']).next().expect("a part");
                let name: String = signature
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let arguments = signature.split(") ->").next().expect("a part");
                if OF_EXAMPLES.iter().any(|kind| arguments.contains(kind)) {
                    found.insert(format!("examples::{module}::{name}"));
                }
            }
        }
    }
}

#[test]
fn the_library_of_examples_is_reached_as_well() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut functions = BTreeSet::new();
    functions_of_examples(&home.join("../examples/src"), &mut functions);
    assert!(10 <= functions.len(), "{functions:?}");
    let mut targets = String::new();
    for entry in fs::read_dir(home.join("src/bin")).expect("the targets") {
        let path = entry.expect("an entry").path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("examples_"))
        {
            targets.push_str(&fs::read_to_string(path).expect("a target"));
        }
    }
    let exceptions = read("exceptions.txt");
    let exceptions = exceptions_of(&exceptions);
    let called = |path: &str| targets.contains(&format!("{}(", path.rsplit("::").next().expect("a name")));
    let missing: Vec<_> = functions
        .iter()
        .filter(|path| !called(path) && !exceptions.iter().any(|(pattern, _)| fits(pattern, path)))
        .collect();
    assert!(missing.is_empty(), "no target calls {missing:?}");
}
