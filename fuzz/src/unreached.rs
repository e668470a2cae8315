//! Functions of the libraries that no seed runs, held against the list that explains each: `unreached.txt`.
//!
//! A line of the list is `FILE: NAME - reason`; `*` in front of the dash stands for any text. A closure has the name of the
//! function that it stands in, and `{closure}` behind it.

use std::fmt::Write as _;

/// So many bytes are no reason.
const SHORTEST_REASON: usize = 10;

/// Which functions a line is about, and why they are not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    /// `FILE: NAME`, in which `*` stands for any text.
    pub pattern: &'a str,
    /// A few words.
    pub reason: &'a str,
}

/// The lines of a list.
///
/// # Errors
/// A line has no reason, or names no function.
pub fn parse(list: &str) -> Result<Vec<Reason<'_>>, String> {
    let lines = reasons(list)?;
    for Reason { pattern, .. } in &lines {
        let (_, name) = pattern
            .split_once(": ")
            .ok_or_else(|| format!("no function: {pattern}"))?;
        if name.trim_matches(['*', ':']).is_empty() {
            return Err(format!("no function, but all of a file: {pattern}"));
        }
    }
    Ok(lines)
}

/// The lines of any list of patterns with reasons, `PATTERN - reason`: of `exceptions.txt` as well.
///
/// # Errors
/// A line has no reason.
pub fn reasons(list: &str) -> Result<Vec<Reason<'_>>, String> {
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let parts = line
                .split_once(" - ")
                .filter(|(_, reason)| SHORTEST_REASON <= reason.len());
            let (pattern, reason) = parts.ok_or_else(|| format!("no reason: {line}"))?;
            Ok(Reason { pattern, reason })
        })
        .collect()
}

/// Whether `text` has this form, in which each `*` stands for any text.
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(left) = text.strip_prefix(start) else {
        return false;
    };
    let mut ends = left.char_indices().map(|(at, _)| at).chain([left.len()]);
    ends.any(|at| fits(rest, &left[at..]))
}

/// Holds what no seed runs, each as `FILE: NAME`, against the list. Gives what is wrong, a line for each; empty: nothing is.
#[must_use]
pub fn differences(functions: &[String], list: &[Reason<'_>]) -> String {
    let mut wrong = String::new();
    for function in functions {
        if reason_of(function, list).is_none() {
            let _ = writeln!(wrong, "{function}: no seed runs it, and nothing says why");
        }
    }
    for line in list {
        if !functions.iter().any(|function| fits(line.pattern, function)) {
            let _ = writeln!(wrong, "{}: a seed runs it, or it is gone", line.pattern);
        }
    }
    wrong
}

/// Why no seed runs a function. What is said of one alone goes before what is said of many.
#[must_use]
pub fn reason_of<'a>(function: &str, list: &[Reason<'a>]) -> Option<&'a str> {
    let fitting = list.iter().filter(|line| fits(line.pattern, function));
    let line = fitting.min_by_key(|line| line.pattern.matches('*').count())?;
    Some(line.reason)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn patterns() {
        assert!(fits("a/b.rs: A::b", "a/b.rs: A::b") && !fits("a/b.rs: A::b", "a/b.rs: A::bc"));
        assert!(fits("*: *::fmt", "a/b.rs: A::fmt") && !fits("*: *::fmt", "a/b.rs: A::fmt_all"));
        assert!(fits("a*b*c", "a-b-b-c") && !fits("a*b*c", "a-c-b") && fits("*", ""));
    }

    #[test]
    fn lines_without_a_reason_are_refused() {
        for line in [
            "a.rs: b",
            "a.rs: b - short",
            "b - a reason that is long",
            "a.rs: * - all of them are fine",
        ] {
            parse(line).unwrap_err();
        }
    }

    #[test]
    fn both_lists_are_the_same() {
        let list = parse("# a comment\n\na.rs: one - a reason of its own\na.rs: o* - a reason of many\n").unwrap();
        let functions = |names: &[&str]| names.iter().map(|name| format!("a.rs: {name}")).collect::<Vec<_>>();
        assert_eq!(differences(&functions(&["one", "other"]), &list), "");
        assert_eq!(reason_of("a.rs: one", &list), Some("a reason of its own"));
        assert_eq!(reason_of("a.rs: other", &list), Some("a reason of many"));
        let wrong = differences(&functions(&["other", "two"]), &list);
        assert!(
            wrong.contains("a.rs: two: no seed") && wrong.contains("a.rs: one: a seed"),
            "{wrong}"
        );
        assert_eq!(wrong.lines().count(), 2);
    }

    /// What is run is known only behind `fuzz/run --coverage`; what a line is about is known always.
    #[test]
    fn the_list_is_of_files_that_are_there() {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let list = fs::read_to_string(home.join("unreached.txt")).unwrap();
        let list = parse(&list).unwrap();
        assert!(!list.is_empty());
        for line in list {
            let (file, name) = line.pattern.split_once(": ").unwrap();
            if file.contains('*') {
                continue;
            }
            let source = fs::read_to_string(home.join("..").join(file));
            let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
            let word = name.trim_end_matches("::{closure}").rsplit("::").next().unwrap();
            let word = word.trim_matches('*');
            assert!(source.contains(word), "{file} has no {word}");
        }
    }
}
