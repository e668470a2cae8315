//! Hotkeys as virt-viewer binds them.
//!
//! ```text
//! hotkey   = *( part "+" ) part
//! part     = modifier / name / any
//! modifier = [ "l" / "r" / "left" / "right" / "left-" / "right-" ] ( "alt" / "ctrl" / "shift" / "cmd" / "win" )
//! name     = "esc" / "ins" / "del" / "pgup" / "pageup" / "pgdn" / "pagedown" / "end" / "enter"
//! ```
//! virt-viewer translates the parts into an accelerator of GTK, upper-casing what it does not know, and has
//! GTK parse that. If GTK finds nothing in it, the text itself is tried as an accelerator. If GTK does not
//! know that either, virt-viewer binds no key and writes a warning to its standard error.

use alloc::{string::String, vec::Vec};

use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_till},
    combinator::all_consuming,
    multi::{many0, separated_list1},
    sequence::delimited,
};

use crate::builder::HotkeyAction;

/// Names of keys and their numbers in hexadecimal, as GDK 3 knows them, and the name that it shows where that is
/// another. Upper-case letters have the number of the lower-case one.
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

/// A hotkey as virt-viewer binds it.
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
    /// Reads a hotkey. Every text is read; one that GTK does not know has no key.
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

    /// Whether the hotkey triggers an action: it has a key, or the action is `release-cursor` and it has modifiers.
    pub fn works_for(&self, action: HotkeyAction) -> bool {
        let has_modifiers = self.modifiers != Modifiers::default();
        self.binds() || (action == HotkeyAction::ReleaseCursor && has_modifiers)
    }

    /// Whether the viewer accepts the hotkey for an action without a warning. `release-cursor` accepts every text, and an
    /// unknown one does nothing.
    pub fn is_taken_for(&self, action: HotkeyAction) -> bool {
        self.binds() || action == HotkeyAction::ReleaseCursor
    }

    /// GTK's name of it, as `<Primary><Alt>End`; `None` if there is no key.
    pub fn name(&self) -> Option<String> {
        let name = shown_name(self.key?)?;
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
/// `pgup`, `pgdn`, `enter` and `esc`. Other spellings of these are converted. `None` means that some versions of
/// virt-viewer, or all, bind no such key.
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
            (Some((modifier, _)), _) => modifiers.0 |= modifier.bits.0,
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

/// The text that virt-viewer shows for a hotkey (`spice_hotkey_to_display_hotkey`), for example in the title of a window
/// as the hotkey that releases the pointer.
///
/// ```
/// use vv_file::hotkey::display;
/// assert_eq!(display("shift+f12"), "Shift_L+F12");
/// assert_eq!(display("<Ctrl>+ralt+x"), "Control_L+Alt_R+x");
/// ```
pub fn display(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (index, part) in text.split('+').enumerate() {
        if index > 0 {
            shown.push('+');
        }
        let inner = part.strip_prefix('<').and_then(|part| part.strip_suffix('>'));
        let part = inner.unwrap_or(part);
        let lower = part.to_ascii_lowercase();
        let modifier = modifier(&lower).map(|(modifier, is_right)| {
            let [left, right] = modifier.shown;
            if is_right { right } else { left }
        });
        let name = translated(&lower, &NAMES).or(translated(&lower, &ONLY_SHOWN));
        shown.push_str(modifier.or(name).unwrap_or(part));
    }
    shown
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

/// A modifier by the name that virt-viewer translates.
struct Modifier {
    name: &'static str,
    accelerator: &'static str,
    bits: Modifiers,
    /// What is shown for the key on the left and on the right.
    shown: [&'static str; 2],
}

const ALT: [&str; 2] = ["Alt_L", "Alt_R"];
const CTRL: [&str; 2] = ["Control_L", "Control_R"];
const SHIFT: [&str; 2] = ["Shift_L", "Shift_R"];
const SUPER: [&str; 2] = ["Super_L", "Super_R"];

#[rustfmt::skip]
const MODIFIERS: [Modifier; 5] = [
    Modifier { name: "alt", accelerator: "<Alt>", bits: Modifiers::ALT, shown: ALT },
    Modifier { name: "ctrl", accelerator: "<Ctrl>", bits: Modifiers::CTRL, shown: CTRL },
    Modifier { name: "cmd", accelerator: "<Ctrl>", bits: Modifiers::CTRL, shown: CTRL },
    Modifier { name: "shift", accelerator: "<Shift>", bits: Modifiers::SHIFT, shown: SHIFT },
    Modifier { name: "win", accelerator: "<Super>", bits: Modifiers::SUPER, shown: SUPER },
];

/// Names that are shown as another, beside [`NAMES`] and [`MODIFIERS`].
const ONLY_SHOWN: [(&str, &str); 24] = [
    ("control", "Control_L"),
    ("ctl", "Control_L"),
    ("delete", "Delete"),
    ("escape", "Escape"),
    ("f1", "F1"),
    ("f2", "F2"),
    ("f3", "F3"),
    ("f4", "F4"),
    ("f5", "F5"),
    ("f6", "F6"),
    ("f7", "F7"),
    ("f8", "F8"),
    ("f9", "F9"),
    ("f10", "F10"),
    ("f11", "F11"),
    ("f12", "F12"),
    ("home", "Home"),
    ("hyper", "Hyper_L"),
    ("insert", "Insert"),
    ("meta", "Meta_L"),
    ("shft", "Shift_L"),
    ("space", "space"),
    ("super", "Super_L"),
    ("tab", "Tab"),
];

/// The modifier that a lower-case part stands for, and whether it is the one on the right: that makes no difference
/// but to what is shown.
fn modifier(part: &str) -> Option<(&'static Modifier, bool)> {
    let sides = ["left-", "left", "right-", "right", "l", "r", ""];
    sides.iter().find_map(|side| {
        let name = part.strip_prefix(side)?;
        let modifier = MODIFIERS.iter().find(|modifier| modifier.name == name)?;
        Some((modifier, side.starts_with('r')))
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
        let modifier = modifier(&lower).map(|(modifier, _)| modifier.accelerator);
        match modifier.or(translated(&lower, &NAMES)) {
            Some(name) => accelerator.push_str(name),
            None => accelerator.push_str(&part.to_ascii_uppercase()),
        }
    }
    accelerator
}

fn translated(part: &str, names: &[(&str, &'static str)]) -> Option<&'static str> {
    let (_, name) = names.iter().find(|(name, _)| *name == part)?;
    Some(name)
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
    // Of a bracket that does not close GTK takes all for a modifier, and none that it knows.
    if name.is_empty() || name.starts_with('<') {
        return (None, held);
    }
    match keysym(name) {
        Some(key) => (Some(key), held),
        None => (None, Modifiers::default()),
    }
}

/// The number of a key by its name (`gdk_keyval_from_name`).
fn keysym(name: &str) -> Option<u32> {
    let name = name.strip_prefix("XF86").unwrap_or(name);
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let start = ["\n", name, " "].concat();
    let at = memchr::memmem::find(KEYSYMS.as_bytes(), start.as_bytes())?;
    let (_, line) = KEYSYMS.split_at_checked(at.saturating_add(start.len()))?;
    let number = line.split([' ', '\n']).next()?;
    u32::from_str_radix(number, 16).ok()
}

/// The name of a key (`gdk_keyval_name`).
fn shown_name(key: u32) -> Option<&'static str> {
    KEYSYMS.lines().find_map(|line| {
        let mut columns = line.split(' ');
        let (name, number) = (columns.next()?, columns.next()?);
        let is_it = u32::from_str_radix(number, 16) == Ok(key);
        is_it.then(|| columns.next().unwrap_or(name))
    })
}
