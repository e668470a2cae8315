//! Hotkeys and versions, compared with what virt-viewer made of them.

use std::cmp::Ordering;

use proptest::prelude::*;
use serde::Deserialize;
use vv_file::{
    HotkeyAction,
    hotkey::{Hotkey, display, normalize},
    version,
};

use crate::oracle::{self, same};

#[derive(Deserialize)]
struct HotkeyRow {
    input: String,
    gtk_accel: String,
    display_hotkey: Option<String>,
    used_native_fallback: bool,
    keyval: u32,
    mods: u32,
    accel_name: Option<String>,
    accepted_for_normal_action: bool,
    /// It takes anything.
    #[serde(default = "yes")]
    accepted_for_release_cursor: bool,
}

fn yes() -> bool {
    true
}

#[test]
fn binds_what_virt_viewer_binds() {
    oracle::each("HOTKEY_ORACLE", "hotkey-oracle.jsonl", |row: &HotkeyRow| {
        let ours = Hotkey::parse(&row.input);
        same("gtk_accel", &ours.accelerator, &row.gtk_accel)?;
        same("used_native_fallback", &ours.used_text, &row.used_native_fallback)?;
        same("keyval", &ours.key.unwrap_or_default(), &row.keyval)?;
        same("mods", &ours.modifiers.0, &row.mods)?;
        same("accel_name", &ours.name(), &row.accel_name)?;
        if let Some(shown) = &row.display_hotkey {
            same("display_hotkey", &display(&row.input), shown)?;
        }
        same("binds", &ours.binds(), &row.accepted_for_normal_action)?;
        let taken = [HotkeyAction::ZoomIn, HotkeyAction::ReleaseCursor].map(|action| ours.is_taken_for(action));
        let theirs = [row.accepted_for_normal_action, row.accepted_for_release_cursor];
        same("accepted", &taken, &theirs)?;
        // What is brought into the safe spelling binds the same key, or one that did not bind before.
        match normalize(&row.input).map(|safe| Hotkey::parse(&safe)) {
            Some(safe) if ours.binds() => same("normalized", &(safe.key, safe.modifiers), &(ours.key, ours.modifiers)),
            Some(safe) => same("normalized binds", &safe.binds(), &true),
            None => Ok(()),
        }
    });
}

#[derive(Deserialize)]
struct VersionRow {
    a: String,
    b: String,
    compare: i32,
    sign: i8,
}

/// Numbers that do not fit the C `int` in which virt-viewer keeps their difference.
fn overflows(version: &str) -> bool {
    version
        .split(|character: char| !character.is_ascii_digit())
        .any(|digits| digits.trim_start_matches('0').len() > 9)
}

#[test]
fn compares_as_virt_viewer() {
    oracle::each("VERSION_ORACLE", "version-oracle.jsonl", |row: &VersionRow| {
        let order = version::compare(&row.a, &row.b);
        same("reversed", &version::compare(&row.b, &row.a), &order.reverse())?;
        same("satisfies", &version::satisfies(&row.b, &row.a), &order.is_le())?;
        if overflows(&row.a) || overflows(&row.b) {
            return Ok(());
        }
        same("sign", &(order as i8), &row.sign)?;
        same("compare", &(order as i32), &row.compare.signum())
    });
}

#[test]
fn numbers_do_not_overflow() {
    assert_eq!(version::compare("18446744073709551616", "1"), Ordering::Greater);
    assert_eq!(version::compare("4294967297.0", "1.0"), Ordering::Greater);
    assert_eq!(version::compare("01", "1"), Ordering::Equal);
}

proptest! {
    #[test]
    fn any_text_compares_and_binds(a in r"[0-9.\- a+]{0,12}|\PC{0,12}", b in r"[0-9.\- a+]{0,12}|\PC{0,12}") {
        prop_assert_eq!(version::compare(&a, &b), version::compare(&b, &a).reverse());
        let _ = (Hotkey::parse(&a), version::is_well_formed(&a));
        if let Some(safe) = normalize(&a) {
            prop_assert!(Hotkey::parse(&safe).binds());
            prop_assert_eq!(normalize(&safe), Some(safe));
        }
    }
}
