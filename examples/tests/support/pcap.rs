//! Writes packet captures.

use etherparse::PacketBuilder;

/// Flags of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    Syn,
    SynAck,
    Data,
    Fin,
    Rst,
}

/// A capture of one network of Ethernet, with microseconds, little-endian.
pub(crate) struct Pcap {
    pub(crate) bytes: Vec<u8>,
    micros: u64,
}

impl Pcap {
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0x0004_0000, 1] {
            bytes.extend(word.to_le_bytes());
        }
        Self { bytes, micros: 0 }
    }

    /// A packet, a millisecond after the one before.
    pub(crate) fn packet(&mut self, packet: &[u8]) {
        self.micros += 1000;
        let len = u32::try_from(packet.len()).unwrap();
        let (seconds, micros) = (1_700_000_000 + self.micros / 1_000_000, self.micros % 1_000_000);
        for word in [seconds as u32, micros as u32, len, len] {
            self.bytes.extend(word.to_le_bytes());
        }
        self.bytes.extend(packet);
    }

    /// A segment of TCP between port 20000 of a client and port 5900 of a server.
    pub(crate) fn segment(&mut self, from_client: bool, sequence: u32, flag: Flag, payload: &[u8]) {
        self.packet(&ethernet(20000, from_client, sequence, flag, payload));
    }

    /// The opening of such a connection: the numbers of both sides' first bytes are 1000 and 5000.
    pub(crate) fn handshake(&mut self) {
        self.segment(true, 999, Flag::Syn, &[]);
        self.segment(false, 4999, Flag::SynAck, &[]);
    }
}

/// An Ethernet frame with a segment in it.
pub(crate) fn ethernet(client_port: u16, from_client: bool, sequence: u32, flag: Flag, payload: &[u8]) -> Vec<u8> {
    let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let (from, to) = if from_client {
        (client, server)
    } else {
        (server, client)
    };
    let (source, target) = if from_client {
        (client_port, 5900)
    } else {
        (5900, client_port)
    };
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from, to, 64)
        .tcp(source, target, sequence, 1024);
    let builder = match flag {
        Flag::Syn => builder.syn(),
        Flag::SynAck => builder.syn().ack(1),
        Flag::Data => builder.psh().ack(1),
        Flag::Fin => builder.fin().ack(1),
        Flag::Rst => builder.rst(),
    };
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}
