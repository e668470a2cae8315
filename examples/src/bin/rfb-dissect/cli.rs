//! The command line.

use clap::Parser;
use examples::dissect::Arguments;

/// Takes recorded RFB (VNC) conversations apart: a line of JSON for every step of the handshake, every message, and
/// every rectangle of a picture.
///
/// CAPTURE is a pcap or pcapng file, plain or gzip, with any number of TCP connections in it, or - for standard
/// input. Or it is a folder with pairs of files NAME.c2s.bin and NAME.s2c.bin: what the client and what the
/// server of a connection sent. One pair is named by its two files, the client's first. If a pair has a
/// NAME.json with `segments`, both directions are shown in the order in which they were seen. That order counts
/// where the client changes the format of pixels.
///
/// Everything is read as a stream, in constant memory; no pixel is decoded or held. A line is written as soon as its
/// last byte was seen.
#[derive(Debug, Parser)]
#[command(name = "rfb-dissect", version, verbatim_doc_comment, after_long_help = EXAMPLES, after_help = "--help shows the lines and examples.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Arguments,
    /// Longest message, in bytes: clipboards, names, sound
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub(crate) max_message: u32,
}

const EXAMPLES: &str = "\
Lines:
  Every line has `connection`, counted from 0, and `kind`. Lines about bytes have `direction` (c2s or s2c) and
  `offset`, where they begin in what this side sent. `time` is when the last byte was seen, in seconds: since
  1970 in packet captures, since the start of the recording in pairs that tell times.
    open        a connection: its addresses, or its files
    handshake   a step of the handshake, with its fields
    message     a message: number, name, size, fields. Of an update it is the head
    rectangle   of an update: place, size, encoding, bytes of the payload; fields if it is no picture
    encrypted   from here on the bytes are of TLS, or of SASL's security layer: counted, not shown
    refused     bytes of the client that the server refused
    incomplete  the connection ended before this was whole
    close       how both directions ended, and how many bytes each had

Examples:
  rfb-dissect console.pcapng | jq -c 'select(.kind == \"rectangle\") | .encoding' | sort | uniq -c
  tcpdump -i any -U -w - port 5900 | rfb-dissect -
  rfb-dissect --stats captures/
  rfb-dissect --reencode --quiet 00.c2s.bin 00.s2c.bin

What a session carries is shown as it is: keys and clipboards are in the lines.

Exit status: 0 if every byte was placed; 1 if one was not, or was encoded otherwise, and the first such place is
told; 2 for wrong use; 3 if something cannot be read or written.";
