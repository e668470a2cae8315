//! Lists what a library makes public, from the JSON that rustdoc writes, and compares it with the listing that is kept.
//!
//! ```text
//! public-api-listing compare|save RUSTDOC_JSON LISTING
//! ```
//!
//! Implementations that are derived, automatic or of a blanket are left out. The exit status is 1 if the listings differ.
//! The differences are printed as `-` what was, `+` what is.

use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;
use std::{env, fs};

use public_api::{Builder, MINIMUM_NIGHTLY_RUST_VERSION};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("public-api-listing: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [mode, json, listing] = &arguments[..] else {
        return Err("usage: public-api-listing compare|save RUSTDOC_JSON LISTING".into());
    };
    let found = list(json)?;
    match mode.as_str() {
        "save" => {
            fs::write(listing, found)?;
            Ok(ExitCode::SUCCESS)
        }
        "compare" => compare(&fs::read_to_string(listing)?, &found, listing),
        _ => Err(format!("{mode}: it is compare or save").into()),
    }
}

/// One line for each item.
fn list(json: &str) -> Result<String, Box<dyn Error>> {
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| format!("{json}: {error} (the format of {MINIMUM_NIGHTLY_RUST_VERSION} is read)"))?;
    Ok(api.to_string())
}

fn compare(kept: &str, found: &str, listing: &str) -> Result<ExitCode, Box<dyn Error>> {
    let [before, after] = [kept, found].map(|text| text.lines().collect::<BTreeSet<_>>());
    let (gone, new): (Vec<_>, Vec<_>) = (
        before.difference(&after).collect(),
        after.difference(&before).collect(),
    );
    gone.iter().for_each(|line| println!("-{line}"));
    new.iter().for_each(|line| println!("+{line}"));
    println!("{listing}: {} items, {} gone, {} new", after.len(), gone.len(), new.len());
    Ok(if gone.is_empty() && new.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
