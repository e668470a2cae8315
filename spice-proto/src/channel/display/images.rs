//! The pictures in a message.

use super::ServerMessage;
use super::image::Image;
use super::shape::Brush;

impl ServerMessage {
    /// The pictures that a drawing uses, in the order of the wire: source, brush, mask. No other message
    /// has any.
    pub fn images(&self) -> impl Iterator<Item = &Image> {
        fn pattern(brush: &Brush) -> Option<&Image> {
            match brush {
                Brush::Pattern(pattern) => Some(&pattern.pat),
                Brush::Nothing(_) | Brush::Solid(_) => None,
            }
        }
        let found: [Option<&Image>; 3] = match self {
            Self::DrawFill(draw) => [None, pattern(&draw.brush), draw.mask.bitmap.as_deref()],
            Self::DrawOpaque(draw) => [
                draw.src_bitmap.as_ref(),
                pattern(&draw.brush),
                draw.mask.bitmap.as_deref(),
            ],
            Self::DrawCopy(draw) | Self::DrawBlend(draw) => {
                [draw.src_bitmap.as_ref(), None, draw.mask.bitmap.as_deref()]
            }
            Self::DrawBlackness(draw) | Self::DrawWhiteness(draw) | Self::DrawInvers(draw) => {
                [None, None, draw.mask.bitmap.as_deref()]
            }
            Self::DrawRop3(draw) => [
                draw.src_bitmap.as_ref(),
                pattern(&draw.brush),
                draw.mask.bitmap.as_deref(),
            ],
            Self::DrawStroke(draw) => [None, pattern(&draw.brush), None],
            Self::DrawText(draw) => [pattern(&draw.fore_brush), pattern(&draw.back_brush), None],
            Self::DrawTransparent(draw) => [draw.src_bitmap.as_ref(), None, None],
            Self::DrawAlphaBlend(draw) => [draw.src_bitmap.as_ref(), None, None],
            Self::DrawComposite(draw) => [
                draw.data.src_bitmap.as_ref(),
                None,
                draw.data.mask_bitmap.as_ref().and_then(Option::as_deref),
            ],
            _ => [None, None, None],
        };
        found.into_iter().flatten()
    }
}
