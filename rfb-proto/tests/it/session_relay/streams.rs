//! The zlib streams of a client whose guest moves: they go on.

use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush};
use rfb_proto::encoding::Encoding;
use rfb_proto::handshake::Side;
use rfb_proto::message::SetEncodings;
use rfb_proto::session::relay::End;

use super::moves::told;
use super::passes::update;
use super::{World, client, config, init};

/// A server's stream, flushed to a whole byte behind each rectangle.
struct Deflater(CompressorOxide);

impl Deflater {
    fn new() -> Self {
        // With a header, at the usual level.
        Self(CompressorOxide::new(create_comp_flags_from_zip_params(6, 15, 0)))
    }

    fn deflate(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut packed = vec![0; plain.len() + 200];
        let (_, read, written) = compress(&mut self.0, plain, &mut packed, TDEFLFlush::Sync);
        assert_eq!(read, plain.len());
        packed.truncate(written);
        packed
    }
}

/// A client's stream.
struct Inflater(Box<InflateState>);

impl Inflater {
    fn new() -> Self {
        Self(InflateState::new_boxed(DataFormat::Zlib))
    }

    fn inflate(&mut self, packed: &[u8], len: usize) -> Vec<u8> {
        let mut plain = vec![0; len];
        let done = inflate(&mut self.0, packed, &mut plain, MZFlush::Sync);
        assert_eq!(
            (done.bytes_consumed, done.bytes_written),
            (packed.len(), len),
            "{:?}",
            done.status
        );
        plain
    }
}

fn compact(len: usize) -> Vec<u8> {
    let [low, middle, high] = [len & 0x7f, len >> 7 & 0x7f, len >> 14].map(|part| part as u8);
    match (high, middle) {
        (0, 0) => vec![low],
        (0, _) => vec![low | 0x80, middle],
        _ => vec![low | 0x80, middle | 0x80, high],
    }
}

/// How data are put into a rectangle, and found again.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// zlib, ZRLE: a length of four bytes.
    Counted(Encoding),
    /// Tight, in this stream: pixels, or a filter before them.
    Tight(Encoding, u8, &'static [u8]),
}

const PALETTE: &[u8] = &[1, 1, 1, 2, 3, 4, 5, 6];
const FORMS: [Form; 8] = [
    Form::Counted(Encoding::ZLIB),
    Form::Counted(Encoding::ZRLE),
    Form::Counted(Encoding::ZYWRLE),
    Form::Tight(Encoding::TIGHT, 0x00, &[]),
    Form::Tight(Encoding::TIGHT, 0x30, &[]),
    Form::Tight(Encoding::TIGHT, 0x60, &[2]),
    Form::Tight(Encoding::TIGHT, 0x50, PALETTE),
    Form::Tight(Encoding::TIGHT_PNG, 0x50, PALETTE),
];

impl Form {
    const fn encoding(self) -> Encoding {
        match self {
            Self::Counted(encoding) | Self::Tight(encoding, ..) => encoding,
        }
    }

    /// Of a rectangle of so many pixels.
    fn bytes(self, (width, height): (u16, u16)) -> usize {
        let (width, height) = (usize::from(width), usize::from(height));
        match self {
            Self::Tight(_, _, PALETTE) => width.div_ceil(8) * height,
            _ => width * height * 3,
        }
    }

    fn update(self, size: (u16, u16), data: &[u8]) -> Vec<u8> {
        let payload = match self {
            Self::Counted(_) => [&(data.len() as u32).to_be_bytes(), data].concat(),
            Self::Tight(_, control, filter) => [&[control], filter, &compact(data.len()), data].concat(),
        };
        update(self.encoding(), size, &payload)
    }

    /// The data of one update.
    fn data(self, update: &[u8]) -> &[u8] {
        let payload = &update[16..];
        match self {
            Self::Counted(_) => &payload[4..],
            Self::Tight(_, _, filter) => {
                let length = &payload[1 + filter.len()..];
                let taken = 1 + length.iter().take(2).take_while(|byte| **byte >= 0x80).count();
                &length[taken..]
            }
        }
    }
}

/// Something to be packed that refers back.
fn pixels(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| ((at / 7 * seed) ^ (at % 5)) as u8).collect()
}

/// What the client inflates is what each server has deflated, before and after two moves, wherever the bytes are cut.
#[test]
fn streams_go_on() {
    for form in FORMS {
        for cut in [1, 3, 16, 17, 29, 1000] {
            let mut world = World::open(config());
            world.says(Side::Tenant, &client(SetEncodings::new(&[form.encoding()])));
            world.take_heard();
            let mut inflater = Inflater::new();
            for hypervisor in 0..3 {
                let mut deflater = Deflater::new();
                for (turn, size) in [(30, 20), (300, 100), (8, 8), (30, 20)].into_iter().enumerate() {
                    let plain = pixels(form.bytes(size), turn + 3);
                    if plain.len() < 12 {
                        continue;
                    }
                    let packed = deflater.deflate(&plain);
                    let shown = form.update(size, &packed);
                    world.says_in_pieces(Side::Hypervisor, &shown, cut);
                    let seen = world.take_tenant();
                    let what = format!("{form:?}, pieces of {cut}, {hypervisor} {turn}");
                    assert_eq!(world.end, None, "{what}");
                    let is_first = hypervisor != 0 && turn == 0;
                    assert_eq!(seen == shown, !is_first, "{what}");
                    assert!(inflater.inflate(form.data(&seen), plain.len()) == plain, "{what}");
                }
                world.moves_to(&init(640, 480));
                let asked = told(&mut world);
                assert!(asked[20..].starts_with(&client(SetEncodings::new(&[form.encoding()]))));
                world.take_tenant();
            }
        }
    }
}

/// A client has ten streams, and each of them goes on by itself, however often and in which order they are used.
#[test]
fn all_streams_go_on_beside_each_other() {
    let tight = [0x00, 0x10, 0x20, 0x30].map(|control| Form::Tight(Encoding::TIGHT, control, &[]));
    let png = [0x40, 0x50, 0x60, 0x70].map(|control| Form::Tight(Encoding::TIGHT_PNG, control, PALETTE));
    let counted = [Encoding::ZLIB, Encoding::ZRLE].map(Form::Counted);
    let forms: Vec<Form> = [&tight[..], &png, &counted].concat();
    let mut world = World::open(config());
    let encodings = [Encoding::TIGHT, Encoding::TIGHT_PNG, Encoding::ZLIB, Encoding::ZRLE];
    world.says(Side::Tenant, &client(SetEncodings::new(&encodings)));
    let mut inflaters: Vec<_> = forms.iter().map(|_| Inflater::new()).collect();
    let size = (300, 20);
    // How often each is used at each server, forwards and backwards; the first stream is only begun at the second one, behind
    // those that go on.
    for (hypervisor, turns) in [1, 1, 1, 2, 1].into_iter().enumerate() {
        let mut deflaters: Vec<_> = forms.iter().map(|_| Deflater::new()).collect();
        for turn in 0..turns {
            let mut order: Vec<usize> = (0..forms.len()).collect();
            if hypervisor == 0 {
                order.remove(0);
            }
            if (hypervisor + turn) % 2 != 0 {
                order.reverse();
            }
            for stream in order {
                let form = forms[stream];
                let plain = pixels(form.bytes(size), hypervisor + turn + stream + 3);
                let shown = form.update(size, &deflaters[stream].deflate(&plain));
                world.says(Side::Hypervisor, &shown);
                let seen = world.take_tenant();
                let what = format!("{form:?}, {hypervisor} {turn}");
                assert_eq!(world.end, None, "{what}");
                let begins = hypervisor == 0 || hypervisor == 1 && stream == 0;
                assert_eq!(seen == shown, begins || turn != 0, "{what}");
                assert!(
                    inflaters[stream].inflate(form.data(&seen), plain.len()) == plain,
                    "{what}"
                );
            }
        }
        world.moves_to(&init(640, 480));
        world.take_tenant();
    }
}

/// Where a stream has begun, what has come of a rectangle goes on at once: nothing of it is waited for.
#[test]
fn rectangles_of_streams_that_run_are_not_held_back() {
    for form in FORMS {
        let mut world = World::open(config());
        world.says(Side::Tenant, &client(SetEncodings::new(&[form.encoding()])));
        let mut deflater = Deflater::new();
        let size = (300, 100);
        let mut shown = || form.update(size, &deflater.deflate(&pixels(form.bytes(size), 3)));
        world.says(Side::Hypervisor, &shown());
        world.take_tenant();
        let next = shown();
        // The control bytes, up to where the data begin.
        let control = next.len() - form.data(&next).len();
        world.says(Side::Hypervisor, &next[..control]);
        assert_eq!(world.take_tenant(), next[..control], "{form:?}");
        for (at, byte) in next.iter().enumerate().skip(control) {
            world.says(Side::Hypervisor, &[*byte]);
            assert_eq!(world.take_tenant(), [*byte], "{form:?}, byte {at}");
        }
    }
}

/// A rectangle can reset a stream that it does not use: what begins it anew has its header.
#[test]
fn streams_that_are_reset_beside_another() {
    let tight = |control| Form::Tight(Encoding::TIGHT, control, &[]);
    let mut world = World::open(config());
    world.says(Side::Tenant, &client(SetEncodings::new(&[Encoding::TIGHT])));
    let size = (10, 1);
    let data = |deflater: &mut Deflater| deflater.deflate(&pixels(30, 3));
    for control in [0x00, 0x10] {
        world.says(
            Side::Hypervisor,
            &tight(control).update(size, &data(&mut Deflater::new())),
        );
    }
    world.moves_to(&init(640, 480));
    world.take_tenant();
    let mut first = Deflater::new();
    let spliced = tight(0x00).update(size, &data(&mut first));
    world.says(Side::Hypervisor, &spliced);
    assert_ne!(world.take_tenant(), spliced);
    // Stream 0 goes on, and stream 1 is reset; then it begins.
    for shown in [
        tight(0x02).update(size, &data(&mut first)),
        tight(0x10).update(size, &data(&mut Deflater::new())),
    ] {
        world.says(Side::Hypervisor, &shown);
        assert_eq!(world.take_tenant(), shown);
    }
    assert_eq!(world.end, None);
}

/// A stream that the client has not begun keeps its header; so does one that the new server resets itself.
#[test]
fn streams_that_begin() {
    let tight = |control| Form::Tight(Encoding::TIGHT, control, &[]);
    let mut world = World::open(config());
    world.says(Side::Tenant, &client(SetEncodings::new(&[Encoding::TIGHT])));
    let data = Deflater::new().deflate(&pixels(30, 3));
    // Stream 0 begins; in stream 1 there is too little for it.
    world.says(Side::Hypervisor, &tight(0x00).update((10, 1), &data));
    world.says(Side::Hypervisor, &update(Encoding::TIGHT, (3, 1), b"\x10ninebytes"));
    // A palette of one colour, and one JPEG, use none.
    world.says(Side::Hypervisor, &update(Encoding::TIGHT, (10, 1), b"\x80abc"));
    world.says(Side::Hypervisor, &update(Encoding::TIGHT, (10, 1), b"\x90\x03abc"));
    world.moves_to(&init(640, 480));
    world.take_tenant();
    for shown in [
        tight(0x10).update((10, 1), &data),
        // Resets stream 0, then uses it.
        tight(0x01).update((10, 1), &data),
        tight(0x00).update((10, 1), b"goes on"),
    ] {
        world.says(Side::Hypervisor, &shown);
        assert_eq!(world.take_tenant(), shown);
    }
    assert_eq!(world.end, None);
}

/// What does not begin as a stream of zlib, or has a larger window, cannot follow.
#[test]
fn streams_that_cannot_follow() {
    let form = Form::Counted(Encoding::ZRLE);
    for (begun, next, fits) in [
        (&b"\x78\x9cdata"[..], &b"\x78\x9cdata"[..], true),
        (b"\x78\x9cdata", b"\x48\x89data", true),
        (b"\x48\x89data", b"\x78\x9cdata", false),
        (b"\x78\x9cdata", b"\x78\x9ddata", false),
        (b"\x78\x9cdata", b"\x79\x9cdata", false),
        // With a dictionary.
        (b"\x78\x9cdata", b"\x78\xbbdata", false),
        // Nothing but the header, and not even all of it: the next byte is that of another message.
        (b"\x78\x9cdata", b"\x78\x9c", true),
        (b"\x78\x9cdata", b"\x78", false),
    ] {
        let mut world = World::open(config());
        world.says(Side::Tenant, &client(SetEncodings::new(&[Encoding::ZRLE])));
        world.says(Side::Hypervisor, &form.update((10, 1), begun));
        world.moves_to(&init(640, 480));
        world.take_tenant();
        let colours = b"\x01\0\0\0\0\0";
        world.says(Side::Hypervisor, &[&form.update((10, 1), next)[..], colours].concat());
        match world.end {
            None => assert!(fits, "{}", next.escape_ascii()),
            Some(End::Malformed { by, error }) => {
                assert!(!fits && by == Side::Hypervisor);
                let why = "ZRLE.data at byte 0: its zlib stream cannot follow that of the server before";
                assert!(error.to_string().ends_with(why), "{error}");
            }
            Some(other) => panic!("{other}"),
        }
    }
}

/// What the client's decoder cannot go on with is not asked for again, once it was used; now and later.
#[test]
fn encodings_that_cannot_go_on() {
    let all = [Encoding::ZLIB_HEX, Encoding::ZSTD, Encoding::HEXTILE];
    let mut world = World::open(config());
    let asks = |world: &mut World| world.says(Side::Tenant, &client(SetEncodings::new(&all)));
    asks(&mut world);
    // A plain tile.
    world.says(Side::Hypervisor, &update(Encoding::ZLIB_HEX, (1, 1), b"\x02abcd"));
    world.moves_to(&init(640, 480));
    let left = client(SetEncodings::new(&all[1..]));
    assert!(told(&mut world)[20..].starts_with(&left));
    world.says(Side::Hypervisor, &update(Encoding::ZSTD, (1, 1), b"\0\0\0\x03abc"));
    asks(&mut world);
    assert_eq!(world.take_heard(), left, "what was used since may still be used");
    world.moves_to(&init(640, 480));
    let left = client(SetEncodings::new(&all[2..]));
    assert!(told(&mut world)[20..].starts_with(&left));
    asks(&mut world);
    assert_eq!(world.take_heard(), left);
}
