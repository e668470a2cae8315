//! The command line of all programs: arguments, and what a package makes of them.
//!
//! `PROGRAM --completions SHELL` writes a completion script to standard output, and `PROGRAM --man-pages FOLDER` the man
//! pages of the program and its subcommands into a folder. Both are for packagers and are not in `--help`.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::exit;

use clap::{CommandFactory, Parser, ValueEnum as _};
use clap_complete::Shell;

/// Columns of the help.
const WIDTH: usize = 120;

/// Reads the arguments of this program. It ends the process where they are wrong, or ask for help, for completions or for
/// man pages.
#[must_use]
pub fn parse<T: Parser>() -> T {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match &arguments[..] {
        [_, option, value] if option == "--completions" => finish(completions::<T>(value)),
        [_, option, folder] if option == "--man-pages" => finish(man_pages::<T>(Path::new(folder))),
        _ => arguments_of(arguments),
    }
}

/// Reads the arguments. Help is wrapped at the width that its examples have.
fn arguments_of<T: Parser>(arguments: Vec<OsString>) -> T {
    let mut command = T::command().term_width(WIDTH);
    let read = command.try_get_matches_from_mut(arguments);
    let parsed = read.and_then(|mut read| T::from_arg_matches_mut(&mut read));
    parsed.unwrap_or_else(|error| error.format(&mut command).exit())
}

/// A script for a shell, on standard output.
fn completions<T: CommandFactory>(shell: &OsString) -> Result<(), String> {
    let named = shell.to_str().and_then(|name| Shell::from_str(name, false).ok());
    let shell = named.ok_or_else(|| {
        let all = Shell::value_variants().iter().map(ToString::to_string);
        format!("--completions takes one of {}", all.collect::<Vec<_>>().join(", "))
    })?;
    let mut command = T::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    io::stdout().write_all(&script).map_err(|error| error.to_string())
}

/// A page for the program, and one for each of its subcommands: `vv.1`, `vv-check.1`.
fn man_pages<T: CommandFactory>(folder: &Path) -> Result<(), String> {
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(T::command(), folder));
    written.map_err(|error| format!("{}: {error}", folder.display()))
}

fn finish(done: Result<(), String>) -> ! {
    match done {
        Ok(()) => exit(0),
        Err(problem) => {
            eprintln!("{problem}");
            exit(2)
        }
    }
}
