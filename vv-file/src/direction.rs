//! Bidirectional control characters, which make a text look different from what it says.

/// Whether a character controls the direction of the text around it (Unicode Standard Annex 9, `Bidi_Control`).
fn is_control(character: char) -> bool {
    matches!(
        character,
        // Marks.
        '\u{61c}' | '\u{200e}' | '\u{200f}'
        // Embeddings and overrides.
        | '\u{202a}'..='\u{202e}'
        // Isolates.
        | '\u{2066}'..='\u{2069}'
    )
}

/// Whether a text has a bidirectional control character.
pub(crate) fn has_control(text: &str) -> bool {
    text.chars().any(is_control)
}
