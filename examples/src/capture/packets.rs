//! Packet captures: pcap and pcapng, plain or gzip, from a file or from a running `tcpdump -w -`.

use std::collections::VecDeque;
use std::fmt;
use std::io::{Cursor, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use flate2::read::MultiGzDecoder;
use pcap_parser::nom::Err as NomError;
use pcap_parser::{
    Block, Linktype, PcapHeader, parse_block_be, parse_block_le, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header, parse_sectionheaderblock,
};

use super::tcp::{Segment, Table};
use super::{CaptureError, CaptureErrorKind, Event, Options};

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;
/// Largest record of a file.
const RECORD: usize = 16 << 20;
/// Most interfaces in a section of a pcapng file.
const INTERFACES: usize = 4096;
/// First bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A packet capture.
pub struct Packets {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    buffer: BytesMut,
    /// Bytes of the file in front of `buffer`.
    offset: u64,
    format: Option<Format>,
    cut: bool,
    table: Table,
    events: VecDeque<Event>,
    ended: bool,
}

impl fmt::Debug for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packets")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What the first bytes of a file said.
enum Format {
    Pcap(PcapHeader),
    PcapNg {
        big_endian: bool,
        interfaces: Vec<Interface>,
    },
}

/// One network of a pcapng section.
struct Interface {
    link: Linktype,
    /// Units of a second.
    resolution: u64,
    /// Seconds to add.
    offset: i64,
}

/// A packet as it was on the network.
struct Packet {
    time: Option<Duration>,
    link: Linktype,
    data: Bytes,
}

/// What a record is.
enum Record {
    Packet(Option<Duration>, Linktype, std::ops::Range<usize>),
    Other,
}

impl Packets {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path, options: &Options) -> Result<Self, CaptureError> {
        Self::read(path, super::open(path)?, options)
    }

    /// Reads what comes from `input`, which errors call `path`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path, mut input: impl Read + Send + 'static, options: &Options) -> Result<Self, CaptureError> {
        let mut start = Vec::new();
        (&mut input)
            .take(GZIP.len() as u64)
            .read_to_end(&mut start)
            .map_err(|error| CaptureErrorKind::from(error).of(path))?;
        let zipped = start == GZIP;
        let input: Box<dyn Read + Send> = Box::new(Cursor::new(start).chain(input));
        Ok(Self {
            path: path.to_path_buf(),
            input: if zipped {
                Box::new(MultiGzDecoder::new(input))
            } else {
                input
            },
            buffer: BytesMut::new(),
            offset: 0,
            format: None,
            cut: options.cut,
            table: Table::new(options.port),
            events: VecDeque::new(),
            ended: false,
        })
    }

    /// See [`super::Capture::event`].
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
    pub fn event(&mut self) -> Result<Option<Event>, CaptureError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self.packet().map_err(|kind| kind.of(&self.path))? {
                Some(packet) => {
                    let (time, segment) = (packet.time, packet.segment().map_err(|kind| kind.of(&self.path))?);
                    if let Some(segment) = segment {
                        self.table.segment(time, segment, &mut self.events);
                    }
                }
                None => {
                    self.ended = true;
                    self.table.end(&mut self.events);
                }
            }
        }
    }

    /// The next packet; `None` at the end of the file.
    fn packet(&mut self) -> Result<Option<Packet>, CaptureErrorKind> {
        loop {
            match self.record()? {
                Some((len, record)) => {
                    let bytes = self.buffer.split_to(len).freeze();
                    self.offset += len as u64;
                    if let Record::Packet(time, link, range) = record {
                        let data = bytes.slice(range);
                        return Ok(Some(Packet { time, link, data }));
                    }
                }
                None if self.fill()? => {}
                None if self.format.is_none() => return Err(CaptureErrorKind::Unrecognised),
                None if self.buffer.is_empty() || self.cut => return Ok(None),
                None => return Err(self.damaged("the file ends inside of a packet")),
            }
        }
    }

    /// Reads on; `false` at the end of the file.
    fn fill(&mut self) -> Result<bool, CaptureErrorKind> {
        if RECORD < self.buffer.len() {
            return Err(self.damaged("a record of more than 16 MiB"));
        }
        let before = self.buffer.len();
        self.buffer.resize(before + CHUNK, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        Ok(0 < read?)
    }

    /// The record at the front of the buffer, and its length; `None` when it is not whole.
    fn record(&mut self) -> Result<Option<(usize, Record)>, CaptureErrorKind> {
        let offset = self.offset;
        let damaged = |what| CaptureErrorKind::Damaged { offset, what };
        let buffer = &self.buffer[..];
        let parsed = match &mut self.format {
            None if parse_sectionheaderblock(buffer).is_ok() => {
                self.format = Some(Format::PcapNg {
                    big_endian: false,
                    interfaces: Vec::new(),
                });
                return self.record();
            }
            None => match parse_pcap_header(buffer) {
                Ok((rest, header)) => {
                    self.format = Some(Format::Pcap(header));
                    Ok((rest, Record::Other))
                }
                // More bytes may make it one of the two.
                Err(NomError::Incomplete(_)) => return Ok(None),
                Err(_) => match parse_sectionheaderblock(buffer) {
                    Err(NomError::Incomplete(_)) => return Ok(None),
                    _ => return Err(CaptureErrorKind::Unrecognised),
                },
            },
            Some(Format::Pcap(header)) => {
                let parse = match (header.is_modified_format(), header.is_bigendian()) {
                    (true, _) => parse_pcap_frame_modified,
                    (false, true) => parse_pcap_frame_be,
                    (false, false) => parse_pcap_frame,
                };
                parse(buffer).map(|(rest, packet)| {
                    let fraction = if header.is_nanosecond_precision() { 1 } else { 1000 };
                    let time = Duration::from_secs(packet.ts_sec.into())
                        .saturating_add(Duration::from_nanos(u64::from(packet.ts_usec) * fraction));
                    (
                        rest,
                        Record::Packet(Some(time), header.network, range(buffer, packet.data)),
                    )
                })
            }
            Some(Format::PcapNg { big_endian, interfaces }) => {
                let parse = if *big_endian { parse_block_be } else { parse_block_le };
                match parse(buffer) {
                    Ok((rest, block)) => Ok((
                        rest,
                        next_generation(buffer, &block, big_endian, interfaces).map_err(damaged)?,
                    )),
                    Err(error) => Err(error),
                }
            }
        };
        match parsed {
            Ok((rest, record)) => Ok(Some((buffer.len() - rest.len(), record))),
            Err(NomError::Incomplete(_)) => Ok(None),
            Err(_) => Err(damaged("no record of a packet capture")),
        }
    }

    fn damaged(&self, what: &'static str) -> CaptureErrorKind {
        CaptureErrorKind::Damaged {
            offset: self.offset,
            what,
        }
    }
}

/// Where a part of a buffer lies in it.
fn range(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// What a block of a pcapng file is; remembers what later blocks refer to.
fn next_generation(
    buffer: &[u8],
    block: &Block<'_>,
    big_endian: &mut bool,
    interfaces: &mut Vec<Interface>,
) -> Result<Record, &'static str> {
    Ok(match block {
        Block::SectionHeader(section) => {
            *big_endian = section.big_endian();
            interfaces.clear();
            Record::Other
        }
        Block::InterfaceDescription(interface) => {
            if interfaces.len() == INTERFACES {
                return Err("too many interfaces");
            }
            interfaces.push(Interface {
                link: interface.linktype,
                resolution: interface
                    .ts_resolution()
                    .filter(|units| 0 < *units)
                    .unwrap_or(1_000_000),
                offset: interface.ts_offset(),
            });
            Record::Other
        }
        Block::EnhancedPacket(packet) => {
            let interface = interfaces
                .get(packet.if_id as usize)
                .ok_or("an interface that was not described")?;
            let data = packet
                .data
                .get(..packet.caplen as usize)
                .ok_or("a packet that is longer than its block")?;
            let time = interface.time(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low));
            Record::Packet(time, interface.link, range(buffer, data))
        }
        Block::SimplePacket(packet) => {
            let interface = interfaces.first().ok_or("an interface that was not described")?;
            let len = packet.data.len().min(packet.origlen as usize);
            Record::Packet(None, interface.link, range(buffer, &packet.data[..len]))
        }
        _ => Record::Other,
    })
}

impl Interface {
    fn time(&self, units: u64) -> Option<Duration> {
        let seconds = (units / self.resolution).checked_add_signed(self.offset)?;
        let rest = u128::from(units % self.resolution) * 1_000_000_000 / u128::from(self.resolution);
        Duration::from_secs(seconds).checked_add(Duration::from_nanos(u64::try_from(rest).ok()?))
    }
}

/// Link types that a raw IP packet has on some systems (`DLT_RAW` of BSD).
const RAW: [Linktype; 2] = [Linktype(12), Linktype(14)];

impl Packet {
    /// The TCP segment in it, if there is one.
    fn segment(&self) -> Result<Option<Segment>, CaptureErrorKind> {
        let data = &self.data[..];
        // Cooked captures have the type of the network packet at `at`, and `len` bytes in all in front of it.
        let cooked = |at: usize, len: usize| {
            let ether_type = data.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))?;
            Some(LaxSlicedPacket::from_ether_type(
                EtherType(ether_type),
                data.get(len..)?,
            ))
        };
        let packet = match self.link {
            Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
            Linktype::NULL | Linktype::LOOP => data.get(4..).and_then(|data| LaxSlicedPacket::from_ip(data).ok()),
            Linktype::LINUX_SLL => cooked(14, 16),
            Linktype::LINUX_SLL2 => cooked(0, 20),
            link if [Linktype::RAW, Linktype::IPV4, Linktype::IPV6, RAW[0], RAW[1]].contains(&link) => {
                LaxSlicedPacket::from_ip(data).ok()
            }
            Linktype(link) => return Err(CaptureErrorKind::LinkType(link)),
        };
        let Some((net, Some(TransportSlice::Tcp(tcp)))) =
            packet.and_then(|packet| Some((packet.net?, packet.transport)))
        else {
            return Ok(None);
        };
        let (from, to): (IpAddr, IpAddr) = match net {
            LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            LaxNetSlice::Arp(_) => return Ok(None),
        };
        Ok(Some(Segment {
            from: SocketAddr::new(from, tcp.source_port()),
            to: SocketAddr::new(to, tcp.destination_port()),
            sequence: tcp.sequence_number(),
            syn: tcp.syn(),
            ack: tcp.ack(),
            fin: tcp.fin(),
            rst: tcp.rst(),
            payload: self.data.slice(range(data, tcp.payload())),
        }))
    }
}
