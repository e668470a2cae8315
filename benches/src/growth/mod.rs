//! How cost grows: the same operation over more and more, and the slope of the curve on a log-log scale.

mod bodies;

use std::fmt::Write as _;
use std::num::NonZeroU32;

use console_token::{
    AttemptId, ConsoleType, Grant, MemoryStore, Target, TokenHash, Transition, UnixSeconds, Uses, VerifyContext,
};
use vv_file::KeyFile;

use crate::draw::Draw;
use crate::{keep, sessions, vv};

/// An operation that can be done over more or less.
pub struct Curve {
    /// What is done with how many of what.
    pub name: &'static str,
    /// What is counted along the curve.
    pub unit: &'static str,
    /// Amounts, growing.
    pub amounts: &'static [u32],
    /// Prepares the operation for an amount.
    pub prepare: fn(u32) -> Box<dyn FnMut()>,
}

/// Every curve.
pub const CURVES: &[Curve] = &[
    Curve {
        name: "vv-file: key file parsed",
        unit: "bytes",
        amounts: SIZES,
        prepare: parse,
    },
    Curve {
        name: "vv-file: key file parsed, each value found by the name of its key",
        unit: "bytes",
        amounts: SIZES,
        prepare: parse_and_find,
    },
    Curve {
        name: "vv-file: key file linted",
        unit: "bytes",
        amounts: LINTED,
        prepare: lint,
    },
    Curve {
        name: "console-token: grants put into the memory store and redeemed",
        unit: "grants",
        amounts: GRANTS,
        prepare: insert_and_redeem,
    },
    Curve {
        name: "console-token: 1,000 uses of tokens, among so many grants",
        unit: "grants",
        amounts: GRANTS,
        prepare: redeem_among,
    },
    Curve {
        name: "spice-proto: sessions of ten channels begin and end",
        unit: "sessions",
        amounts: SESSIONS,
        prepare: sessions::many,
    },
    Curve {
        name: "spice-proto: a body written, taken off a buffer and decoded",
        unit: "bytes",
        amounts: BODIES,
        prepare: bodies::written_and_decoded,
    },
    Curve {
        name: "spice-proto: a body relayed in a session in reads of 64 KiB",
        unit: "bytes",
        amounts: BODIES,
        prepare: bodies::relayed,
    },
];

const SIZES: &[u32] = &[1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22];
/// The lint takes 4,096 keys at most.
const LINTED: &[u32] = &[1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 17];
const GRANTS: &[u32] = &[1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
const SESSIONS: &[u32] = &[1, 10, 100, 1000, 10_000];
const BODIES: &[u32] = &[16, 256, 4 << 10, 64 << 10, 1 << 20, 16 << 20];
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// The slope of a curve on a log-log scale, by least squares: 1 is linear, 2 quadratic.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = logs.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = logs.iter().map(|point| (point.0 - x).powi(2)).sum();
    covariance / variance
}

/// A key file of about so many bytes.
fn file(size: u32) -> Vec<u8> {
    // A line has 33 bytes in the mean.
    vv::large((size / 33).max(1))
}

fn parse(size: u32) -> Box<dyn FnMut()> {
    let file = file(size);
    Box::new(move || keep(KeyFile::parse_with(std::hint::black_box(&file), &vv::limits()).unwrap()))
}

fn parse_and_find(size: u32) -> Box<dyn FnMut()> {
    let file = file(size);
    Box::new(move || {
        let parsed = KeyFile::parse_with(std::hint::black_box(&file), &vv::limits()).unwrap();
        for group in parsed.groups() {
            for key in parsed.keys(group) {
                keep(parsed.get(group, key).unwrap());
            }
        }
    })
}

fn lint(size: u32) -> Box<dyn FnMut()> {
    let file = file(size);
    Box::new(move || keep(vv_file::lint(std::hint::black_box(&file))))
}

fn hash(number: u32) -> TokenHash {
    let mut draw = Draw::new(u64::from(number) << 32);
    let mut bytes = [0; 32];
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&draw.number().to_le_bytes());
    }
    TokenHash::from_bytes(bytes)
}

fn grant() -> Grant {
    let target = Target::Host {
        host: "192.0.2.7".into(),
        port: Some(5900),
        tls_port: None,
    };
    let grant = Grant::new(target, ConsoleType::NoVnc, NOW, 600);
    grant.with_uses(Uses::Limited(NonZeroU32::MAX))
}

fn step(number: u32) -> Transition {
    Transition::Redeem(AttemptId(u128::from(number).to_le_bytes()))
}

fn insert_and_redeem(grants: u32) -> Box<dyn FnMut()> {
    let hashes: Vec<TokenHash> = (0..grants).map(hash).collect();
    let grant = grant().with_uses(Uses::ONCE);
    Box::new(move || {
        let store = MemoryStore::new(grants as usize);
        for hash in &hashes {
            store.insert(hash, &grant).unwrap();
        }
        for hash in &hashes {
            keep(store.apply(hash, &VerifyContext::at(NOW), step(1)).unwrap());
        }
        keep(store);
    })
}

/// Tokens in any order, so that what is found was not looked at lately.
fn redeem_among(grants: u32) -> Box<dyn FnMut()> {
    let store = MemoryStore::new(grants as usize);
    let hashes: Vec<TokenHash> = (0..grants).map(hash).collect();
    hashes.iter().for_each(|hash| store.insert(hash, &grant()).unwrap());
    let (mut draw, mut number) = (Draw::new(9), 0);
    Box::new(move || {
        for _ in 0..1000 {
            number += 1;
            let hash = &hashes[draw.between(0, grants - 1) as usize];
            keep(store.apply(hash, &VerifyContext::at(NOW), step(number)).unwrap());
        }
    })
}

/// A curve that was measured: its name, unit, slope, and instructions by amount.
pub struct Measured {
    /// As in [`Curve`].
    pub name: &'static str,
    /// As in [`Curve`].
    pub unit: &'static str,
    /// Of [`slope`].
    pub slope: f64,
    /// Amounts and instructions.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const MARGIN: f64 = 60.0;
/// Space on the right for the names.
const NAMES: f64 = 380.0;
const COLOURS: [&str; 8] = [
    "#1b6ca8", "#c0392b", "#1e8449", "#8e44ad", "#b7950b", "#117a65", "#7b241c", "#34495e",
];

/// Where a value lies between two ends, on a log scale.
fn place(value: f64, (least, most): (f64, f64)) -> f64 {
    (value.ln() - least.ln()) / (most.ln() - least.ln())
}

/// The powers of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()))
}

/// All curves as one picture (SVG), both scales logarithmic.
#[must_use]
pub fn plot(curves: &[Measured]) -> String {
    let across = decades(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)));
    let up = decades(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)));
    let x = |amount: f64| MARGIN + place(amount, across) * (WIDTH - MARGIN);
    let y = |count: f64| HEIGHT - place(count, up) * (HEIGHT - MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH + NAMES,
        HEIGHT + MARGIN
    );
    grid(
        &mut svg,
        across,
        |amount| (x(amount), HEIGHT, x(amount), MARGIN),
        |power| format!("1e{power}"),
    );
    grid(
        &mut svg,
        up,
        |count| (MARGIN, y(count), WIDTH, y(count)),
        |power| format!("1e{power}"),
    );
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<String> = curve
            .points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            points.join(" ")
        );
    }
    for (row, (curve, colour)) in curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let top = MARGIN + 44.0 * row as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{0}\" y=\"{top}\" fill=\"{colour}\">{1}</text>\n\
             <text x=\"{0}\" y=\"{2}\" fill=\"{colour}\">by {3}: slope {4:.2}</text>",
            WIDTH + 10.0,
            curve.name,
            top + 16.0,
            curve.unit,
            curve.slope
        );
    }
    svg += "</svg>\n";
    svg
}

/// A line with its label for each power of ten.
fn grid(svg: &mut String, ends: (f64, f64), line: impl Fn(f64) -> (f64, f64, f64, f64), label: impl Fn(i32) -> String) {
    let (first, last) = (ends.0.log10().round() as i32, ends.1.log10().round() as i32);
    for power in first..=last {
        let (x1, y1, x2, y2) = line(10_f64.powi(power));
        let (below, left) = if x1 == x2 { (16.0, -10.0) } else { (4.0, -55.0) };
        let _ = writeln!(
            svg,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x1 + left,
            y1 + below,
            label(power)
        );
    }
}

/// Holds the ruler against what is known, before anything is measured with it: slopes of known curves, and sizes of files.
///
/// # Panics
/// It does not measure what it says.
pub fn check() {
    let points = |of: fn(f64) -> f64| [1.0, 10.0, 100.0, 1000.0].map(|x| (x, of(x)));
    for (of, expected) in [
        (points(|x| 3.0 * x), 1.0),
        (points(|x| x * x / 7.0), 2.0),
        (points(|_| 5.0), 0.0),
    ] {
        assert!((slope(&of) - expected).abs() < 1e-9, "{}", slope(&of));
    }
    for size in SIZES {
        let len = file(*size).len() as f64;
        assert!((0.85..1.15).contains(&(len / f64::from(*size))), "{size}: {len}");
    }
}
