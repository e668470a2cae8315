//! Writes the seeds of all fuzz targets, or prints the recipes of the files that it is given.

use std::path::Path;
use std::{env, fs, io};

use fuzz::seeds::describe::Finder;
use fuzz::seeds::source::Sources;

fn main() -> io::Result<()> {
    let mut arguments = env::args_os().skip(1);
    match arguments.next() {
        None => fuzz::seeds::write(),
        Some(command) if command == "describe" => {
            let sources = Sources::load()?;
            let finder = Finder::new(&sources);
            for path in arguments.map(|path| Path::new(&path).to_owned()) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                println!("{}", finder.describe(&name, &fs::read(&path)?));
            }
            Ok(())
        }
        Some(_) => Err(io::Error::other("usage: seeds [describe FILE...]")),
    }
}
