//! Pictures from viewers and from the X server, and what the guest's must look like.

use std::io::Cursor;

use crate::guest::LINES;

/// Width and height of a character in the text mode of the guest, in pixels.
const CELL: (usize, usize) = (9, 16);

/// Pixels, three bytes each, from the top left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of this size with the colour of each pixel.
    pub(crate) fn new(width: usize, height: usize, colour: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb = pixels.flat_map(|(x, y)| colour(x, y)).collect();
        Self { width, height, rgb }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Red, green, blue and alpha, as a browser's canvas has them. `None`: a pixel is not opaque.
    pub(crate) fn from_rgba(width: usize, height: usize, rgba: &[u8]) -> Option<Self> {
        assert_eq!(rgba.len(), width * height * 4, "a cut picture");
        let pixels = rgba.chunks_exact(4);
        let is_opaque = pixels.clone().all(|pixel| pixel[3] == 255);
        let rgb = pixels.flat_map(|pixel| &pixel[..3]).copied().collect();
        is_opaque.then_some(Self { width, height, rgb })
    }

    /// A PNG with eight bits a colour, with alpha or without.
    pub(crate) fn from_png(data: &[u8]) -> Self {
        let mut reader = png::Decoder::new(Cursor::new(data)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a small PNG")];
        let info = reader.next_frame(&mut pixels).expect("the pixels of a PNG");
        assert_eq!(info.bit_depth, png::BitDepth::Eight, "not eight bits a colour");
        let (width, height) = (info.width as usize, info.height as usize);
        match info.color_type {
            png::ColorType::Rgb => Self {
                width,
                height,
                rgb: pixels,
            },
            png::ColorType::Rgba => Self::from_rgba(width, height, &pixels).expect("an opaque PNG"),
            other => panic!("a PNG of colour type {other:?}"),
        }
    }

    pub(crate) fn to_png(&self) -> Vec<u8> {
        let mut data = Vec::new();
        let size = |length: usize| u32::try_from(length).expect("a small picture");
        let mut encoder = png::Encoder::new(&mut data, size(self.width), size(self.height));
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().expect("the head of a PNG");
        writer.write_image_data(&self.rgb).expect("the pixels of a PNG");
        writer.finish().expect("the end of a PNG");
        data
    }

    /// A binary PPM with a header of three lines, as spicy-screenshot writes it.
    pub(crate) fn from_ppm(data: &[u8]) -> Self {
        let mut parts = data.splitn(4, |&byte| byte == b'\n');
        let mut line = || parts.next().unwrap_or_default();
        assert_eq!(line(), b"P6", "no PPM");
        let size = String::from_utf8_lossy(line()).into_owned();
        let (width, height) = size.split_once(' ').expect("a width and a height");
        let (width, height) = (width.parse().expect("a width"), height.parse().expect("a height"));
        assert_eq!(line(), b"255", "not one byte a colour");
        let rgb = line().to_vec();
        assert_eq!(rgb.len(), width * height * 3, "a cut PPM");
        Self { width, height, rgb }
    }

    /// A true-colour XWD file in the byte order that Xvfb writes on a little-endian machine.
    pub(crate) fn from_xwd(data: &[u8]) -> Self {
        let field = |index: usize| {
            let bytes = data[4 * index..4 * index + 4].try_into().expect("four bytes");
            usize::try_from(u32::from_be_bytes(bytes)).expect("a small number")
        };
        assert_eq!(
            (field(1), field(2), field(7), field(11)),
            (7, 2, 0, 32),
            "version, format, byte order, depth"
        );
        assert_eq!((field(14), field(15), field(16)), (0xff_0000, 0xff00, 0xff), "masks");
        let (width, height, stride) = (field(4), field(5), field(12));
        let pixels = &data[field(0) + 12 * field(19)..];
        let mut rgb = Vec::with_capacity(width * height * 3);
        for row in pixels.chunks_exact(stride).take(height) {
            for pixel in row[..4 * width].chunks_exact(4) {
                rgb.extend_from_slice(&[pixel[2], pixel[1], pixel[0]]);
            }
        }
        assert_eq!(rgb.len(), width * height * 3, "a cut XWD");
        Self { width, height, rgb }
    }

    /// Whether this is the finished screen of the guest: every line of text in two colours on its
    /// own cells, and black everywhere else.
    pub(crate) fn is_the_guest(&self) -> bool {
        if (self.width, self.height) != (80 * CELL.0, 25 * CELL.1) {
            return false;
        }
        let mut rest = self.rgb.clone();
        for line in LINES {
            let mut colours = Vec::new();
            for y in line.row * CELL.1..(line.row + 1) * CELL.1 {
                for x in line.column * CELL.0..(line.column + line.text.len()) * CELL.0 {
                    let pixel = &mut rest[3 * (y * self.width + x)..][..3];
                    if !colours.contains(&pixel.to_vec()) {
                        colours.push(pixel.to_vec());
                    }
                    pixel.fill(0);
                }
            }
            // No line is written in black.
            if colours.len() != 2 || colours.contains(&vec![0; 3]) {
                return false;
            }
        }
        rest.iter().all(|&byte| byte == 0)
    }

    /// Where the other picture stands in this one, pixel for pixel.
    pub(crate) fn find(&self, other: &Self) -> Option<(usize, usize)> {
        let across = self.width.checked_sub(other.width)?;
        let down = self.height.checked_sub(other.height)?;
        // Most rows are black; one with text is found at once or nowhere.
        let telling = (0..other.height).find(|&y| other.row(0, y, other.width).iter().any(|&byte| byte != 0))?;
        let places = (0..=down).flat_map(|y| (0..=across).map(move |x| (x, y)));
        let same = |x, y, row| self.row(x, y + row, other.width) == other.row(0, row, other.width);
        places
            .into_iter()
            .find(|&(x, y)| same(x, y, telling) && (0..other.height).all(|row| same(x, y, row)))
    }

    fn row(&self, x: usize, y: usize, width: usize) -> &[u8] {
        &self.rgb[3 * (y * self.width + x)..][..3 * width]
    }
}
