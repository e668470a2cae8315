//! The command line.

use clap::Parser;
use examples::dissect::Arguments;

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
    #[command(flatten)]
    pub(crate) common: Arguments,
    /// The streams are those of a UNIX socket, where a byte with file descriptors follows some messages
    #[arg(long)]
    pub(crate) unix: bool,
    /// Largest body of a message, in bytes; it is held in memory
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub(crate) max_body: u32,
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
                is that of the last. What was announced holds for the session, over all of its main channels
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
