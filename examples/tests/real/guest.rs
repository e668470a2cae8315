//! QEMU with a guest that shows a picture and then only tells which keys are pressed.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::gateway::Vv;
use crate::pki;
use crate::process::{Folder, Process, wait_for};

use crate::ports::free_port;

/// QEMU's password, which the viewer never learns.
pub(crate) const TICKET: &str = "hypervisor-Pa55-w0rd";

/// Text on the guest's screen.
pub(crate) struct Line {
    pub(crate) row: usize,
    pub(crate) column: usize,
    /// The attribute of VGA text: the background in the high four bits, the letters in the low four.
    colours: u8,
    pub(crate) text: &'static str,
}

/// All that the guest shows; the rest of its screen is black.
pub(crate) const LINES: &[Line] = &[
    Line {
        row: 2,
        column: 4,
        colours: 0x1f,
        text: "console gateway: a boot sector",
    },
    Line {
        row: 4,
        column: 4,
        colours: 0x2e,
        text: "The quick brown fox jumps over the lazy dog",
    },
    Line {
        row: 5,
        column: 4,
        colours: 0x4b,
        text: "0123456789 !\"#$%&'()*+,-./:;<=>?@[]^_{|}~",
    },
    Line {
        row: 22,
        column: 30,
        colours: 0x5e,
        text: "and now it waits for ever",
    },
];

/// What a boot sector runs first, loaded at 0000:7c00: a clear screen of text, at ES.
#[rustfmt::skip]
const START: &[u8] = &[
    0x31, 0xc0,             //        xor ax, ax
    0x8e, 0xd8,             //        mov ds, ax
    0x8e, 0xd0,             //        mov ss, ax
    0xbc, 0x00, 0x7c,       //        mov sp, 0x7c00
    0xfc,                   //        cld
    0xb8, 0x03, 0x00,       //        mov ax, 0x0003      ; 80x25 text, cleared
    0xcd, 0x10,             //        int 0x10
    0xb4, 0x01,             //        mov ah, 0x01        ; no cursor, so nothing blinks
    0xb9, 0x07, 0x26,       //        mov cx, 0x2607
    0xcd, 0x10,             //        int 0x10
    0xb8, 0x00, 0xb8,       //        mov ax, 0xb800      ; the text page
    0x8e, 0xc0,             //        mov es, ax
];

/// Behind [`START`]: it writes the lines of text that come right behind it, and says which keys are pressed.
#[rustfmt::skip]
const CODE: &[u8] = &[
    0xbe, 0x3c, 0x7c,       //        mov si, 0x7c3c      ; the lines
    0xad,                   // line:  lodsw               ; offset in the page, or the end
    0x83, 0xf8, 0xff,       //        cmp ax, -1
    0x74, 0x0c,             //        je done
    0x97,                   //        xchg ax, di
    0xac,                   //        lodsb
    0x88, 0xc4,             //        mov ah, al          ; colours
    0xac,                   // next:  lodsb
    0x84, 0xc0,             //        test al, al
    0x74, 0xf1,             //        jz line
    0xab,                   //        stosw
    0xeb, 0xf8,             //        jmp next
    0xb0, READY,            // done:  mov al, READY       ; to QEMU's debug console
    0xe6, 0xe9,             //        out 0xe9, al
    0x30, 0xe4,             // key:   xor ah, ah          ; the next key, as a character
    0xcd, 0x16,             //        int 0x16
    0xe6, 0xe9,             //        out 0xe9, al        ; to the debug console too
    0xeb, 0xf8,             //        jmp key
];

/// What the guest says when the picture is complete.
pub(crate) const READY: u8 = b'R';

/// The first sector of the floppy.
pub(crate) fn boot_sector() -> Vec<u8> {
    let mut sector = [START, CODE].concat();
    for line in LINES {
        let place = u16::try_from(2 * (80 * line.row + line.column)).expect("a place on the page");
        sector.extend(place.to_le_bytes());
        sector.push(line.colours);
        sector.extend(line.text.bytes());
        sector.push(0);
    }
    sector.extend([0xff, 0xff]);
    bootable(sector)
}

fn bootable(mut sector: Vec<u8>) -> Vec<u8> {
    assert!(sector.len() <= 510, "code and text do not fit");
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

/// As [`CODE`], for a guest that never halts: with each tick of its clock it writes other letters in other colours over
/// all of its screen.
#[rustfmt::skip]
const MOVING: &[u8] = &[
    0xb8, 0x03, 0x00,       //        mov ax, 0x0003      ; 80x25 text
    0xcd, 0x10,             //        int 0x10
    0xb0, READY,            //        mov al, READY       ; to QEMU's debug console
    0xe6, 0xe9,             //        out 0xe9, al
    0xb8, 0x00, 0xb8,       //        mov ax, 0xb800      ; the text page
    0x8e, 0xc0,             //        mov es, ax
    0x31, 0xdb,             //        xor bx, bx
    0xfb,                   //        sti
    0xf4,                   // tick:  hlt
    0x31, 0xff,             //        xor di, di
    0xb9, 0xd0, 0x07,       //        mov cx, 2000
    0x89, 0xd8,             //        mov ax, bx
    0xab,                   // next:  stosw
    0x40,                   //        inc ax
    0xe2, 0xfc,             //        loop next
    0x83, 0xc3, 0x07,       //        add bx, 7
    0xeb, 0xef,             //        jmp tick
];

/// The first sector of that floppy.
pub(crate) fn moving_sector() -> Vec<u8> {
    bootable(MOVING.to_vec())
}

/// The same for a guest that does not wait for its clock.
fn restless_sector() -> Vec<u8> {
    const HLT: u8 = 0xf4;
    const NOP: u8 = 0x90;
    bootable(
        MOVING
            .iter()
            .map(|&byte| if byte == HLT { NOP } else { byte })
            .collect(),
    )
}

/// As [`CODE`], for a guest that takes keys: each one fills the next row of its screen, and is said to QEMU's debug
/// console. The first row is there without a key.
#[rustfmt::skip]
const TYPING: &[u8] = &[
    0x31, 0xff,             //        xor di, di
    0xb0, READY,            //        mov al, READY
    0xe6, 0xe9,             // show:  out 0xe9, al        ; to QEMU's debug console
    0xb4, 0x1e,             //        mov ah, 0x1e        ; yellow on blue
    0xb9, 0x50, 0x00,       //        mov cx, 80
    0xf3, 0xab,             //        rep stosw
    0x81, 0xff, 0xa0, 0x0f, //        cmp di, 4000
    0x72, 0x02,             //        jb key
    0x31, 0xff,             //        xor di, di
    0x30, 0xe4,             // key:   xor ah, ah          ; waits for one
    0xcd, 0x16,             //        int 0x16
    0xeb, 0xe9,             //        jmp show
];

/// The first sector of that floppy.
pub(crate) fn typing_sector() -> Vec<u8> {
    bootable([START, TYPING].concat())
}

/// QEMU with a SPICE server on one port.
pub(crate) struct Guest {
    pub(crate) address: SocketAddr,
    /// Where its certificates are, if the port is a TLS port.
    pub(crate) pki: Option<PathBuf>,
    _process: Process,
}

impl Guest {
    /// Starts QEMU, and waits until the guest has its picture.
    pub(crate) fn start(folder: &Folder, pki: Option<PathBuf>) -> Self {
        Self::with_picture(folder, pki, &boot_sector(), LOSSLESS)
    }

    /// Starts QEMU with a guest that writes over its whole screen all the time. Its pictures are packed to tens of
    /// kilobytes each: what TLS takes in one go.
    pub(crate) fn restless(folder: &Folder) -> Self {
        let packed = format!("{LOSSLESS},image-compression=lz,zlib-glz-wan-compression=never");
        Self::with_picture(folder, None, &restless_sector(), &packed)
    }

    fn with_picture(folder: &Folder, pki: Option<PathBuf>, sector: &[u8], options: &str) -> Self {
        let (address, process) = boot(folder, sector, |command| {
            let address = free_port();
            let port = match &pki {
                Some(pki) => format!("tls-port={},x509-dir={}", address.port(), pki.display()),
                None => format!("port={}", address.port()),
            };
            command
                .args(["-object", &format!("secret,id=ticket,data={TICKET}")])
                .args([
                    "-spice",
                    &format!("addr=127.0.0.1,{port},password-secret=ticket,{options}"),
                ])
                .args(["-device", "qxl-vga"]);
            address
        });
        Self {
            address,
            pki,
            _process: process,
        }
    }

    /// A connection file for QEMU itself.
    pub(crate) fn connection_file(&self, title: &str) -> Vv {
        let pki = self.pki.as_ref().expect("a TLS port");
        let ca = fs::read_to_string(pki.join("ca-cert.pem"))
            .expect("a certificate")
            .replace('\n', "\\n");
        let (port, subject) = (self.address.port(), pki::SUBJECT);
        let text = format!(
            "[virt-viewer]\ntype=spice\nhost=127.0.0.1\ntls-port={port}\npassword={TICKET}\nca={ca}\n\
             host-subject={subject}\ntitle={title}\ndelete-this-file=1\n"
        );
        Vv { text }
    }
}

/// What QEMU says when another program has got a port in the meantime.
const TAKEN: [&str; 3] = [
    "failed to initialize spice server",
    "Failed to find an available port",
    "Failed to listen on",
];

/// Starts QEMU with the server that `listen` adds on a free port, and waits until the guest has its picture.
pub(crate) fn boot<T>(folder: &Folder, sector: &[u8], mut listen: impl FnMut(&mut Command) -> T) -> (T, Process) {
    write_floppy(folder, sector);
    for attempt in 0..5 {
        let name = format!("qemu-{attempt}");
        let mut place = None;
        let mut process = Process::start(folder, &name, "qemu-system-x86_64", |command| {
            machine(command, &name);
            place = Some(listen(command));
        });
        let halted = wait_for("the guest", || {
            let ready = console(folder, &name).contains(&READY);
            (ready || !process.runs()).then_some(ready)
        });
        if let (true, Some(place)) = (halted, place) {
            return (place, process);
        }
        let log = process.logged();
        assert!(TAKEN.iter().any(|taken| log.contains(taken)), "QEMU ended: {log}");
    }
    panic!("QEMU finds no port");
}

/// What was typed on the guest's keyboard, as characters.
pub(crate) fn typed(folder: &Folder) -> String {
    let mut consoles = (0..5).map(|attempt| console(folder, &format!("qemu-{attempt}")));
    let said = consoles.find(|said| said.contains(&READY));
    let mut said = said.expect("a guest that has its picture").into_iter();
    said.by_ref().find(|byte| *byte == READY);
    said.map(char::from).collect()
}

/// Writes what [`machine`] boots from.
pub(crate) fn write_floppy(folder: &Folder, sector: &[u8]) {
    let mut floppy = sector.to_vec();
    floppy.resize(1440 * 1024, 0);
    folder.write("floppy.img", floppy);
}

/// The machine that every guest here runs on.
pub(crate) fn machine(command: &mut Command, name: &str) {
    command
        .args(["-nodefaults", "-machine", "pc,accel=tcg", "-m", "64"])
        .args(["-display", "none", "-boot", "a"])
        .args(["-drive", "file=floppy.img,if=floppy,format=raw,readonly=on"])
        .args(["-debugcon", &format!("file:{name}.console")]);
}

/// What the guest of this machine has said so far.
pub(crate) fn console(folder: &Folder, name: &str) -> Vec<u8> {
    fs::read(folder.join(&format!("{name}.console"))).unwrap_or_default()
}

/// Options of QEMU's SPICE server: whatever it measures of the link, it sends no lossy picture.
pub(crate) const LOSSLESS: &str = "jpeg-wan-compression=never,streaming-video=off";
