//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Looks into connection files of virt-viewer (.vv), checks them, changes them and writes new ones.
///
/// FILE may be - for standard input. Secrets are shown only where --secrets asks for them, by `get`, and in
/// the files themselves.
#[derive(Debug, Parser)]
#[command(name = "vv", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  vv check console.vv                              what a viewer refuses, misreads or ignores
  vv json console.vv                               what a viewer takes from it
  vv new spice --host gw.example.org --tls-port 5901 --password-file token --ca-file ca.pem
  vv redact console.vv                             a copy for a bug report
  vv get console.vv host                           one value, unescaped
  vv set console.vv title 'db \\ 1'                 one value, escaped, in place

Exit status of check: 0 nothing or notes, 1 warnings, 2 errors. Of all: 3 if a file cannot be read or written, or a
value is refused; 2 for wrong use.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Report what is wrong with a file; the exit status tells the worst finding
    Check {
        /// Connection file, or -
        file: PathBuf,
        /// Show the place and the name of each finding only
        #[arg(long)]
        short: bool,
    },
    /// Show what a viewer takes from a file, and what stands in it, as JSON
    Json {
        /// Connection file, or -
        file: PathBuf,
        /// Show passwords, tickets and tokens instead of null and REDACTED
        #[arg(long)]
        secrets: bool,
    },
    /// Write a new file to standard output
    New(Box<New>),
    /// Write a copy without secrets to standard output, for bug reports
    Redact {
        /// Connection file, or -
        file: PathBuf,
    },
    /// Write one value to standard output, unescaped
    Get {
        /// Connection file, or -
        file: PathBuf,
        /// Name of the key
        key: String,
        /// Group of the key
        #[arg(long, default_value = "virt-viewer")]
        group: String,
    },
    /// Set one value, and touch nothing else
    ///
    /// The file is changed in place; one from standard input goes to standard output. Without VALUE the value is
    /// the first line of standard input, so that a password need not stand on a command line.
    Set {
        /// Connection file, or -
        file: PathBuf,
        /// Name of the key
        key: String,
        /// Value, unescaped
        value: Option<String>,
        /// Group of the key
        #[arg(long, default_value = "virt-viewer")]
        group: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Spice,
    Vnc,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// Kind of the connection
    pub(crate) kind: Kind,
    /// Name or address of the server
    #[arg(long, required_unless_present = "unix_path")]
    pub(crate) host: Option<String>,
    /// Port without TLS
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Port with TLS (SPICE)
    #[arg(long)]
    pub(crate) tls_port: Option<u16>,
    /// Socket instead of host and ports (SPICE)
    #[arg(long, conflicts_with_all = ["host", "port", "tls_port"])]
    pub(crate) unix_path: Option<String>,
    /// User name
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// File whose first line is the password, or - for standard input
    #[arg(long)]
    pub(crate) password_file: Option<PathBuf>,
    /// Title of the window
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// Start in full screen
    #[arg(long)]
    pub(crate) fullscreen: bool,
    /// Certificates of the authorities, in PEM (SPICE)
    #[arg(long)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Subject of the server's certificate, as O=Example,CN=host (SPICE)
    #[arg(long)]
    pub(crate) host_subject: Option<String>,
    /// HTTP proxy (SPICE)
    #[arg(long)]
    pub(crate) proxy: Option<String>,
    /// Every channel has to use TLS (SPICE)
    #[arg(long)]
    pub(crate) secure: bool,
    /// Rules for USB devices (SPICE)
    #[arg(long)]
    pub(crate) usb_filter: Option<String>,
    /// Hotkey that gives the pointer back, as shift+f12
    #[arg(long)]
    pub(crate) release_cursor: Option<String>,
    /// Hotkey for full screen, as shift+f11
    #[arg(long)]
    pub(crate) toggle_fullscreen: Option<String>,
    /// Hotkey that sends Ctrl+Alt+Del, as ctrl+alt+end
    #[arg(long)]
    pub(crate) secure_attention: Option<String>,
    /// Leave the file where it is after it was opened
    #[arg(long)]
    pub(crate) keep: bool,
}
