//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

use crate::demo::Rules;

/// A gateway for SPICE consoles: tenants come with a token, hypervisors keep their passwords.
#[derive(Debug, Parser)]
#[command(name = "console-gateway", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  console-gateway demo                               every step of a console, in one process
  console-gateway serve --help-config                every key of the configuration
  console-gateway check-config --dial gateway.toml   what is wrong with one
  console-gateway serve --config gateway.toml";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a hypervisor, the gateway and a viewer in this process and shows what passes and what does not.
    Demo {
        /// Switches one rule off in the gateway; the demo has to notice.
        #[arg(long = "break", value_name = "RULE")]
        broken: Option<Break>,
        /// What the gateway logs, on standard error.
        #[arg(long, value_name = "LEVEL", default_value = "error")]
        log: LevelFilter,
    },
    /// Runs the gateway.
    Serve {
        /// The configuration (TOML).
        #[arg(long, value_name = "FILE", required_unless_present = "help_config")]
        config: Option<PathBuf>,
        /// Prints every key of the configuration, and ends.
        #[arg(long, exclusive = true)]
        help_config: bool,
        /// What is logged, on standard error: off, error, warn, info, debug or trace.
        #[arg(long, value_name = "LEVEL", default_value = "info")]
        log: LevelFilter,
        /// How it is logged.
        #[arg(long, value_name = "FORMAT", default_value = "json")]
        log_format: LogFormat,
    },
    /// Reads a configuration and the files that it names, and lists what is wrong on standard error, a line each.
    CheckConfig {
        /// The configuration (TOML).
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Also connects to each place.
        #[arg(long)]
        dial: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Compact,
}

/// A rule that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Break {
    /// A token's expiry is not looked at.
    AcceptExpired,
    /// A spent token opens another session.
    AcceptReplay,
    /// A token that was not issued opens a session.
    AcceptWrong,
    /// A refused tenant receives the reason.
    LeakReason,
}

impl From<Break> for Rules {
    fn from(broken: Break) -> Self {
        Self {
            accept_expired: broken == Break::AcceptExpired,
            accept_replay: broken == Break::AcceptReplay,
            accept_wrong: broken == Break::AcceptWrong,
            leak_reason: broken == Break::LeakReason,
        }
    }
}
