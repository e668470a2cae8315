//! A picture from a PNG, for the programs that show one.

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Bytes of a pixel in memory.
const RGB: usize = 3;

/// Pixels, red, green and blue, from the top left.
#[derive(Debug)]
pub struct Picture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Three bytes a pixel.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// From a PNG with eight bits a colour. Transparency is not looked at.
    ///
    /// # Errors
    /// The file cannot be read, or is no such PNG.
    pub fn load(path: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut reader = png::Decoder::new(BufReader::new(File::open(path)?)).read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().ok_or("too large")?];
        let info = reader.next_frame(&mut pixels)?;
        let rgb = match (info.color_type, info.bit_depth) {
            (png::ColorType::Rgb, png::BitDepth::Eight) => pixels,
            (png::ColorType::Rgba, png::BitDepth::Eight) => pixels
                .chunks_exact(RGB + 1)
                .flat_map(|pixel| &pixel[..RGB])
                .copied()
                .collect(),
            (colours, depth) => return Err(format!("{colours:?} with {depth:?} bits; only RGB with 8 is shown").into()),
        };
        let (width, height) = (info.width, info.height);
        Ok(Self { width, height, rgb })
    }
}
