//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

/// A gateway for the consoles of virtual machines: tenants come with a token, hypervisors keep their passwords.
#[derive(Debug, Parser)]
#[command(name = "console-gateway", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  console-gateway demo                               every kind of console, in one process
  console-gateway serve --help-config                every key of the configuration
  console-gateway check-config --dial gateway.toml   what is wrong with one
  console-gateway serve --config gateway.toml";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the gateway between viewers and hypervisors in this process, and shows what passes and what does not.
    Demo {
        /// Switches one rule off; the demo has to notice.
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

/// A rule that can be switched off, each in one place beside the gateway.
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
    /// The token of a URL is exchanged for a second password.
    ExchangeTwice,
    /// A hypervisor's certificate at the log-in of WebMKS is believed, whichever it is.
    TrustLogin,
    /// The certificate of a WebMKS console is believed, whichever it is.
    TrustConsole,
    /// A refused attempt costs a use of the token.
    KeepUse,
    /// A hypervisor's monitor says that a password is set, and sets none.
    SetNothing,
    /// A hypervisor's ticket outlives its time.
    KeepTicket,
    /// A page of another site opens a WebSocket.
    AnyOrigin,
    /// A token goes on after it was replaced.
    KeepReplaced,
    /// A revocation is forgotten.
    ForgetRevocation,
    /// The policy of a grant is forgotten.
    ForgetPolicy,
    /// A resolver's answer is followed wherever it leads.
    FollowResolver,
    /// The seat at a serial port is given to two users.
    SeatTwice,
    /// A user with force gets no seat that is taken.
    IgnoreForce,
    /// The seat of a gateway that has stopped is never free.
    KeepSeat,
    /// A port is handed out to two guests.
    PortsTwice,
}

impl Break {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
