//! Reads the answers of the real programs, from the copy here or from any source of the same form.

use std::{
    env, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Whether a row holds, and if not, why. `None`: it cannot be checked with the features of this build, and does not count.
pub(crate) type Checked = Option<Result<(), String>>;

/// Runs `check` on each row of the source that `variable` names, or of the copy in this crate. Every row that fails is
/// reported, and in the end how many of how many hold.
pub(crate) fn each(variable: &str, file: &str, check: impl Fn(Value) -> Checked) {
    let source = env::var_os(variable).map_or_else(|| copy(file), PathBuf::from);
    match report(variable, &source, check) {
        Ok((passed, rows)) => assert_eq!(passed, rows, "{variable}: rows fail, see above"),
        Err(error) => panic!("{variable}: {}: {error}", source.display()),
    }
}

/// The copy in this crate.
pub(crate) fn copy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)
}

/// How many rows hold, of how many. A source without rows is an error.
fn report(variable: &str, source: &Path, check: impl Fn(Value) -> Checked) -> Result<(usize, usize), String> {
    let (mut passed, mut rows) = (0, 0);
    for file in files(source).map_err(|error| error.to_string())? {
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        for (line, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
            let held = match serde_json::from_str(row) {
                // A row that makes the crate panic is a row that fails; the others are looked at.
                Ok(row) => {
                    catch_unwind(AssertUnwindSafe(|| check(row))).unwrap_or_else(|_| Some(Err("it panics".to_owned())))
                }
                Err(error) => Some(Err(error.to_string())),
            };
            let Some(held) = held else { continue };
            rows += 1;
            match held {
                Ok(()) => passed += 1,
                Err(failure) => println!("{}: line {}: {failure}", file.display(), line + 1),
            }
        }
    }
    println!("{variable}: {passed} of {rows} rows");
    if rows == 0 {
        return Err("no rows".to_owned());
    }
    Ok((passed, rows))
}

/// The file, or the files of a folder whose names end in `.jsonl`.
fn files(source: &Path) -> io::Result<Vec<PathBuf>> {
    if !source.is_dir() {
        return Ok(vec![source.to_owned()]);
    }
    let files = fs::read_dir(source)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = files.collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    Ok(files)
}

/// The fields of a row.
pub(crate) fn fields<T: DeserializeOwned>(row: Value) -> Result<T, String> {
    serde_json::from_value(row).map_err(|error| error.to_string())
}

/// Fails with both sides shown unless they are equal.
pub(crate) fn same<T: PartialEq + core::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: ours {ours:?}, theirs {theirs:?}"))
    }
}

/// A source is taken as it is: rows that fail are counted and do not hide others, and what has no rows fails.
#[test]
fn sources() {
    let folder = env::temp_dir().join(format!("console-token-oracle-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let check = |row: Value| match row.as_u64() {
        Some(0) => panic!("a row that makes the crate panic"),
        Some(1) => Some(Ok(())),
        Some(2) => None,
        _ => Some(Err("not 1".to_owned())),
    };
    let run = |source: &Path| report("ROWS", source, check);
    let file = folder.join("a.jsonl");
    fs::write(&file, "1\r\n\n3\n0\n{\n2\n1").unwrap();
    assert_eq!(run(&file), Ok((2, 5)));
    fs::write(folder.join("b.jsonl"), "1\n").unwrap();
    fs::write(folder.join("README"), "no rows").unwrap();
    assert_eq!(run(&folder), Ok((3, 6)));
    for empty in ["", "\n\n", "2\n"] {
        fs::write(&file, empty).unwrap();
        assert_eq!(run(&file), Err("no rows".to_owned()), "{empty:?}");
    }
    assert!(run(&folder.join("missing")).is_err());
    fs::remove_file(folder.join("b.jsonl")).unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(run(&folder), Err("no rows".to_owned()));
    fs::remove_dir_all(&folder).unwrap();
}
