//! Makes the seeds of every target from their recipes and from the test data of the crates.
//!
//! `recipes/TARGET.txt` has one entry for each file of `seeds/TARGET/`. An entry is the name in brackets and then the
//! pieces of the file, one a line, see [`Piece`](recipe::Piece). `ORIGIN.md` tells what each kind of seed is made from.
//!
//! `cargo run -p fuzz --example seeds` writes `seeds/` again, `cargo run -p fuzz --example seeds -- describe FILE...` prints
//! the recipes of inputs that a search has found.

pub mod describe;
pub mod recipe;
pub mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use recipe::Recipe;
use source::Sources;

/// The seeds of one target, by name.
pub type Seeds = BTreeMap<String, Vec<u8>>;

/// A folder of this package.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The seeds of every target, by the target's name, as the recipes make them.
///
/// # Errors
/// A recipe or a source cannot be read, or a recipe names a source or a range that is not there.
pub fn make() -> io::Result<BTreeMap<String, Seeds>> {
    let sources = Sources::load()?;
    let mut targets = BTreeMap::new();
    for entry in folder("recipes").read_dir()? {
        let path = entry?.path();
        let seeds = seeds_of(&fs::read_to_string(&path)?, &sources)
            .map_err(|problem| io::Error::other(format!("{}: {problem}", path.display())))?;
        let target = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        targets.insert(target, seeds);
    }
    Ok(targets)
}

fn seeds_of(text: &str, sources: &Sources) -> Result<Seeds, String> {
    let mut seeds = Seeds::new();
    for recipe in Recipe::parse_all(text)? {
        let bytes = recipe.make(sources)?;
        if seeds.insert(recipe.name.clone(), bytes).is_some() {
            return Err(format!("{} stands twice", recipe.name));
        }
    }
    Ok(seeds)
}

/// Writes `seeds/`: all that the recipes make, and nothing else.
///
/// # Errors
/// As [`make`], or a file cannot be written.
pub fn write() -> io::Result<()> {
    for (target, seeds) in make()? {
        let folder = folder("seeds").join(&target);
        fs::create_dir_all(&folder)?;
        for entry in folder.read_dir()? {
            let entry = entry?;
            if !seeds.contains_key(&*entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())?;
            }
        }
        for (name, bytes) in &seeds {
            fs::write(folder.join(name), bytes)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path) -> Seeds {
        let entries = folder.read_dir().unwrap();
        let read = entries.map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        });
        read.collect()
    }

    #[test]
    fn the_seeds_are_what_the_recipes_make() {
        let made = make().unwrap();
        let targets = folder("seeds").read_dir().unwrap();
        let targets = targets.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        assert_eq!(
            targets.collect::<std::collections::BTreeSet<_>>(),
            made.keys().cloned().collect()
        );
        let (mut files, most) = (0, 12 * made.len());
        for (target, seeds) in made {
            assert!(!seeds.is_empty(), "{target}");
            assert_eq!(read(&folder("seeds").join(&target)), seeds, "{target}");
            files += seeds.len();
        }
        assert!(
            files <= most,
            "{files} seeds are more than {most}, twelve a target: merge them, see ORIGIN.md"
        );
    }

    #[test]
    fn recipes_and_regressions_are_of_targets_that_are_there() {
        let stems = |folder: &Path| {
            let entries = folder.read_dir().unwrap();
            let stems = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned());
            stems.collect::<std::collections::BTreeSet<_>>()
        };
        let targets = stems(&folder("src/bin"));
        for inputs in ["recipes", "regressions"].map(|name| stems(&folder(name))) {
            assert!(inputs.is_subset(&targets), "{inputs:?}");
        }
    }

    /// `fuzz/run` builds a target with the feature that is the first part of its name.
    #[test]
    fn the_names_of_targets_begin_with_a_feature() {
        let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
        let features = manifest
            .split("[features]")
            .nth(1)
            .unwrap()
            .split("\n[")
            .next()
            .unwrap();
        for entry in folder("src/bin").read_dir().unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            let crate_of = name.split('_').next().unwrap();
            assert!(
                features.contains(&format!("\n{crate_of} = ")),
                "{name}: no feature {crate_of}"
            );
        }
    }
}
