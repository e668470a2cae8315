//! Hotkeys as virt-viewer binds them.
//!
//! ```text
//! hotkey   = *( part "+" ) part
//! part     = modifier / name / any
//! modifier = [ "l" / "r" / "left" / "right" / "left-" / "right-" ] ( "alt" / "ctrl" / "shift" / "cmd" / "win" )
//! name     = "esc" / "ins" / "del" / "pgup" / "pageup" / "pgdn" / "pagedown" / "end" / "enter"
//! ```
//! virt-viewer translates the parts into an accelerator of GTK, upper-casing what it does not know, and has
//! GTK parse that. If GTK finds nothing in it, the text itself is tried as an accelerator. What GTK
//! does not know then is not bound; there is a warning on a terminal that nobody looks at.

use alloc::{string::String, vec::Vec};

use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_till},
    combinator::all_consuming,
    multi::{many0, separated_list1},
    sequence::delimited,
};

/// Names of keys and their numbers, as X11 has them and GDK 3 knows them. Upper-case letters have the
/// number of the lower-case one; of several names of a number the first is the one that is shown.
const KEYSYMS: &str = include_str!("keysyms.txt");

/// The modifiers of a hotkey, as bits of GDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modifiers(pub u32);

impl Modifiers {
    /// Shift.
    pub const SHIFT: Self = Self(1);
    /// Ctrl.
    pub const CTRL: Self = Self(1 << 2);
    /// Alt.
    pub const ALT: Self = Self(1 << 3);
    /// The Windows key.
    pub const SUPER: Self = Self(1 << 26);

    /// Whether all modifiers of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What virt-viewer makes of a hotkey.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hotkey {
    /// The accelerator of GTK that the text is translated to.
    pub accelerator: String,
    /// Whether the text itself had to be tried as an accelerator.
    pub used_text: bool,
    /// Number of the key; `None` if there is none beside the modifiers, or none that GTK knows.
    pub key: Option<u32>,
    /// Modifiers that are held.
    pub modifiers: Modifiers,
}

impl Hotkey {
    /// Reads a hotkey. There is no error: what GTK does not know is not bound.
    pub fn parse(text: &str) -> Self {
        let accelerator = translate(text);
        let (key, modifiers) = parse_accelerator(&accelerator);
        let used_text = key.is_none() && modifiers == Modifiers::default();
        let (key, modifiers) = if used_text {
            parse_accelerator(text)
        } else {
            (key, modifiers)
        };
        Self {
            accelerator,
            used_text,
            key,
            modifiers,
        }
    }

    /// Whether the viewer reacts to it. Modifiers alone do only for `release-cursor`.
    pub fn binds(&self) -> bool {
        self.key.is_some()
    }

    /// GTK's name of it, as `<Primary><Alt>End`; `None` if there is no key.
    pub fn name(&self) -> Option<String> {
        let key = self.key?;
        let (name, _) = keysyms().find(|(_, number)| *number == key)?;
        let mut text = String::new();
        for (modifier, bits) in SHOWN {
            if self.modifiers.contains(bits) {
                text.push('<');
                text.push_str(modifier);
                text.push('>');
            }
        }
        text.push_str(name);
        Some(text)
    }
}

/// A hotkey that every version of virt-viewer binds, in the spelling of its manual.
///
/// That is: shift, ctrl and alt, then F1 to F12, a letter, a digit, or one of `ins`, `del`, `end`,
/// `pgup`, `pgdn`, `enter` and `esc`. Other spellings of these are brought into this one; `None` is
/// what may work somewhere, or nowhere.
///
/// ```
/// use vv_file::hotkey::normalize;
/// assert_eq!(normalize("Alt+Ctrl+PageUp").as_deref(), Some("ctrl+alt+pgup"));
/// assert_eq!(normalize("delete").as_deref(), Some("del"));
/// assert_eq!(normalize("ctrl+alt"), None);
/// ```
pub fn normalize(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (mut modifiers, mut key) = (Modifiers::default(), None);
    for part in lower.split('+').map(str::trim) {
        match (modifier(part), part) {
            (Some((_, bits)), _) => modifiers.0 |= bits.0,
            (None, "control") => modifiers.0 |= Modifiers::CTRL.0,
            (None, _) if key.is_some() => return None,
            (None, _) => key = Some(safe_key(part)?),
        }
    }
    let key = key?;
    if Modifiers(modifiers.0 & !Modifiers::SUPER.0) != modifiers {
        return None;
    }
    let mut text = String::new();
    for (name, bits) in [
        ("shift+", Modifiers::SHIFT),
        ("ctrl+", Modifiers::CTRL),
        ("alt+", Modifiers::ALT),
    ] {
        if modifiers.contains(bits) {
            text.push_str(name);
        }
    }
    text.push_str(key);
    Some(text)
}

/// The one spelling of a key that is bound everywhere.
fn safe_key(part: &str) -> Option<&str> {
    Some(match part {
        "ins" | "insert" => "ins",
        "del" | "delete" => "del",
        "pgup" | "pageup" | "page_up" => "pgup",
        "pgdn" | "pagedown" | "page_down" => "pgdn",
        "enter" | "return" => "enter",
        "esc" | "escape" => "esc",
        "end" => "end",
        _ => {
            let function = part.strip_prefix('f').and_then(|number| number.parse::<u8>().ok());
            let is_function = function.is_some_and(|number| (1..=12).contains(&number)) && !part.starts_with("f0");
            let is_character = matches!(part.as_bytes(), [b'a'..=b'z' | b'0'..=b'9']);
            return (is_function || is_character).then_some(part);
        }
    })
}

/// GTK's order of the modifiers.
const SHOWN: [(&str, Modifiers); 11] = [
    ("Release", Modifiers(1 << 30)),
    ("Primary", Modifiers::CTRL),
    ("Shift", Modifiers::SHIFT),
    ("Alt", Modifiers::ALT),
    ("Mod2", Modifiers(1 << 4)),
    ("Mod3", Modifiers(1 << 5)),
    ("Mod4", Modifiers(1 << 6)),
    ("Mod5", Modifiers(1 << 7)),
    ("Meta", Modifiers(1 << 28)),
    ("Hyper", Modifiers(1 << 27)),
    ("Super", Modifiers::SUPER),
];

/// Names that virt-viewer translates, with their name in GTK.
const NAMES: [(&str, &str); 9] = [
    ("esc", "Escape"),
    ("ins", "Insert"),
    ("del", "Delete"),
    ("pgup", "Page_Up"),
    ("pageup", "Page_Up"),
    ("pgdn", "Page_Down"),
    ("pagedown", "Page_Down"),
    ("end", "End"),
    ("enter", "Return"),
];

/// The modifier that a lower-case part stands for. Sides make no difference.
fn modifier(part: &str) -> Option<(&'static str, Modifiers)> {
    let sides = ["left-", "left", "right-", "right", "l", "r", ""];
    sides.iter().find_map(|side| match part.strip_prefix(side)? {
        "alt" => Some(("<Alt>", Modifiers::ALT)),
        "ctrl" | "cmd" => Some(("<Ctrl>", Modifiers::CTRL)),
        "shift" => Some(("<Shift>", Modifiers::SHIFT)),
        "win" => Some(("<Super>", Modifiers::SUPER)),
        _ => None,
    })
}

fn parts(text: &str) -> IResult<&str, Vec<&str>> {
    all_consuming(separated_list1(tag("+"), take_till(|character| character == '+'))).parse(text)
}

/// virt-viewer's accelerator for a text.
fn translate(text: &str) -> String {
    let (_, parts) = parts(text).unwrap_or((text, Vec::new()));
    let mut accelerator = String::with_capacity(text.len());
    for part in parts {
        let lower = part.to_ascii_lowercase();
        let name = NAMES.iter().find(|(name, _)| *name == lower).map(|(_, name)| *name);
        match modifier(&lower).map(|(name, _)| name).or(name) {
            Some(name) => accelerator.push_str(name),
            None => accelerator.push_str(&part.to_ascii_uppercase()),
        }
    }
    accelerator
}

/// GTK's modifiers in angle brackets, in any case.
fn gtk_modifier(name: &str) -> Option<Modifiers> {
    Some(match name.to_ascii_lowercase().as_str() {
        "release" => Modifiers(1 << 30),
        "primary" | "control" | "ctrl" | "ctl" => Modifiers::CTRL,
        "shift" | "shft" => Modifiers::SHIFT,
        "alt" | "mod1" => Modifiers::ALT,
        "mod2" => Modifiers(1 << 4),
        "mod3" => Modifiers(1 << 5),
        "mod4" => Modifiers(1 << 6),
        "mod5" => Modifiers(1 << 7),
        "meta" => Modifiers(1 << 28),
        "hyper" => Modifiers(1 << 27),
        "super" => Modifiers::SUPER,
        _ => return None,
    })
}

/// What GTK reads in an accelerator: modifiers in angle brackets, then the name of a key. When the name is
/// unknown, the modifiers do not count either.
fn parse_accelerator(text: &str) -> (Option<u32>, Modifiers) {
    let bracketed = delimited(tag("<"), take_till(|character| character == '>'), tag(">"));
    let parsed: IResult<_, Vec<&str>> = many0(bracketed).parse(text);
    let (name, modifiers) = parsed.unwrap_or((text, Vec::new()));
    let mut held = Modifiers::default();
    for modifier in modifiers {
        let Some(bits) = gtk_modifier(modifier) else {
            return (None, Modifiers::default());
        };
        held.0 |= bits.0;
    }
    if name.is_empty() {
        return (None, held);
    }
    match keysyms().find(|(known, _)| *known == name) {
        Some((_, key)) => (Some(key), held),
        None => (None, Modifiers::default()),
    }
}

fn keysyms() -> impl Iterator<Item = (&'static str, u32)> {
    KEYSYMS.lines().filter_map(|line| {
        let (name, number) = line.split_once(' ')?;
        Some((name, u32::from_str_radix(number, 16).ok()?))
    })
}
