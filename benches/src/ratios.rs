//! Counts that are held against another one of the same run: the limit of what can be done, or the same with less.

/// One count in parts of another.
pub struct Ratio {
    /// What stands above the line, by its name among the cases.
    pub of: &'static str,
    /// What stands below it.
    pub to: &'static str,
    /// More than this fails, with every compiler. `None`: shown only.
    pub most: Option<f64>,
}

const fn ratio(of: &'static str, to: &'static str, most: Option<f64>) -> Ratio {
    Ratio { of, to, most }
}

/// Every ratio that is shown, for operations on drawn mixes.
pub const RATIOS: &[Ratio] = &[
    ratio(
        "rfb: mixed Raw rectangle, updates of 1 to 8, framed",
        "rfb: mixed Raw rectangle, headers read by hand (the limit)",
        None,
    ),
    ratio(
        "rfb: mixed CopyRect rectangle, updates of 1 to 8, framed",
        "rfb: mixed CopyRect rectangle, headers read by hand (the limit)",
        None,
    ),
    ratio(
        "rfb: mixed Hextile tile, rectangles of 2 to 200 pixels a side, framed",
        "rfb: mixed Hextile tile, masks read by hand (the limit)",
        None,
    ),
    ratio(
        "rfb: mixed client message, decoded in place",
        "rfb: mixed client message, read by hand (the limit)",
        None,
    ),
    ratio(
        "rfb: the same, with ClientInit and ServerInit",
        "rfb: the same bytes, copied in and out and compared (the limit)",
        None,
    ),
    ratio(
        "rfb: check a VNC response",
        "rfb: what the des crate takes for it",
        None,
    ),
    ratio(
        "token: redeem, 100,000 in the store",
        "token: bare SHA-256 of a token and one map look-up (the limit)",
        Some(2.1),
    ),
    ratio(
        "token: redeem, mixed tokens of 36 to 60 characters, grants of 1 to 3 uses",
        "token: bare SHA-256 of a mixed token and one map look-up (the limit)",
        None,
    ),
    ratio(
        "vv: parse a file of 6 KiB and read every value",
        "vv: the file of 6 KiB, lines and keys found by hand, values looked through (the limit)",
        None,
    ),
    ratio(
        "vv: mixed file of 35 bytes to 2 KiB, parsed and every value read",
        "vv: mixed file, lines and keys found by hand, values looked through (the limit)",
        None,
    ),
    // The cost of one look-up grows with the logarithm at most: 14 steps in place of 10, and longer ones to memory.
    ratio(
        "vv: key of a file of 16,000 keys, found by its name",
        "vv: key of a file of 1,000 keys, found by its name",
        Some(2.1),
    ),
];
