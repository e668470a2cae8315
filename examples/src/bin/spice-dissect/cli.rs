//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Takes recorded SPICE conversations apart: a line of JSON for every step of the link stage and every message.
///
/// CAPTURE is a pcap or pcapng file, plain or gzip, with any number of TCP connections in it, or - for standard
/// input. Or it is a folder with pairs of files NAME.c2s.bin and NAME.s2c.bin: what the client and what the
/// server of a connection sent. One pair is named by its two files, the client's first. If a pair has a
/// NAME.json with `segments`, both directions are shown in the order in which they were seen.
///
/// Everything is read as a stream, in constant memory; a line is written as soon as its last byte was seen.
#[derive(Debug, Parser)]
#[command(name = "spice-dissect", version, verbatim_doc_comment, after_long_help = EXAMPLES, after_help = "--help shows the lines and examples.")]
pub(crate) struct Cli {
    /// Packet capture, - for standard input, folder of pairs, or the client's file of a pair
    #[arg(value_name = "CAPTURE")]
    pub(crate) capture: PathBuf,
    /// The server's file, if CAPTURE is the client's file of a pair
    #[arg(value_name = "S2C")]
    pub(crate) server: Option<PathBuf>,
    /// Only connections to this TCP port
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Encode everything that was decoded again, and fail at the first byte that differs
    #[arg(long)]
    pub(crate) reencode: bool,
    /// Instead of lines: how many of each, and their bytes
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    pub(crate) stats: Option<StatsForm>,
    /// No lines: only the summary and what fails
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Do not stop at the first failure: leave that connection, and go on with the others
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// The recording was cut: a stream may end inside of a message or where packets were lost
    #[arg(long)]
    pub(crate) cut: bool,
    /// Cut texts longer than so many characters (two for a byte of payload); 0: show all of them
    #[arg(long, value_name = "LENGTH", default_value_t = 160)]
    pub(crate) shorten: usize,
    /// Show what the client says to SASL, which may be a password, and sealed tickets
    #[arg(long)]
    pub(crate) secrets: bool,
    /// The streams are those of a UNIX socket, where a byte with file descriptors follows some messages
    #[arg(long)]
    pub(crate) unix: bool,
    /// Largest body of a message, in bytes; it is held in memory
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub(crate) max_body: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StatsForm {
    /// For people
    Table,
    /// A line of JSON for each, and one with the sums
    Json,
}

const EXAMPLES: &str = "\
Lines:
  Every line has `connection`, counted from 0, and `kind`. Lines about bytes have `direction` (c2s or s2c) and
  `offset`, where they begin in what this side sent. `time` is when the last byte was seen, in seconds: since
  1970 in packet captures, since the start of the recording in pairs that tell times.
    open        a connection: its addresses, or its files
    link        a step of the link stage, with its fields
    message     a message: channel, number, name, form of the header, serial (counted if the header is mini),
                size of the body, fields; sub_messages of a LIST or a sub-list; images, the heads of packed
                pictures; trailing, bytes that the layout leaves over. One that is not known has its body
    agent       a message of the agent's conversation in AGENT_DATA; it may be spread over several, and offset
                is that of the last
    encrypted   from here on the bytes are of TLS, or of SASL's security layer: counted, not shown
    refused     bytes of the client that the server refused
    incomplete  the connection ended before this was whole
    close       how both directions ended, and how many bytes each had

Examples:
  spice-dissect console.pcapng | jq -c 'select(.channel == \"main\")'
  tcpdump -i any -U -w - port 5900 | spice-dissect -
  spice-dissect --stats captures/
  spice-dissect --reencode --quiet 00.c2s.bin 00.s2c.bin
  spice-dissect --port 5900 --keep-going all.pcap.gz | grep '\"migrate'

What a session carries is shown as it is: keys, clipboards and pictures are in the lines.

Exit status: 0 if every byte was placed; 1 if one was not, or was encoded otherwise, and the first such place is
told; 2 for wrong use; 3 if something cannot be read or written.";
