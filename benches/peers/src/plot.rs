//! The ratios as a picture: a group of bars an operation, on a logarithmic axis, which begin where ours is.

use std::fmt::Write as _;

use crate::contest::Outcome;
use crate::report::ratio_text;

const WIDTH: f64 = 1000.0;
/// Where the axis begins and ends.
const AXIS: (f64, f64) = (300.0, 930.0);
const BAR: f64 = 14.0;
const TITLE: f64 = 34.0;
const TOP: f64 = 60.0;
const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.sample{fill:#666;font-size:11px}\
    .grid{stroke:#ddd}.ours{stroke:#222;stroke-width:1.5}.limit{fill:#9aa5b1}.slower{fill:#3b7dd8}.faster{fill:#d8763b}";

/// Powers of ten that all ratios lie between.
struct Scale {
    least: i32,
    most: i32,
}

impl Scale {
    fn of(outcomes: &[Outcome]) -> Self {
        let mut scale = Self { least: -1, most: 1 };
        for (_, ratio, _) in outcomes.iter().flat_map(bars) {
            scale.least = scale.least.min(ratio.log10().floor() as i32);
            scale.most = scale.most.max(ratio.log10().ceil() as i32);
        }
        scale
    }

    fn x(&self, ratio: f64) -> f64 {
        let (least, most) = (f64::from(self.least), f64::from(self.most));
        AXIS.0 + (ratio.log10() - least) / (most - least) * (AXIS.1 - AXIS.0)
    }
}

/// Name, ratio and class of each bar.
fn bars(outcome: &Outcome) -> Vec<(&str, f64, &'static str)> {
    let limit = outcome
        .limit
        .iter()
        .map(|(_, ratios)| ("the least", ratios.median(), "limit"));
    let peers = outcome.peers.iter().filter_map(|(name, ratios)| {
        let ratio = ratios.as_ref().ok()?.median();
        Some((*name, ratio, if ratio < 1.0 { "faster" } else { "slower" }))
    });
    limit.chain(peers).collect()
}

/// The picture of those with a bar.
pub fn svg(outcomes: &[Outcome]) -> String {
    let scale = Scale::of(outcomes);
    let (mut groups, mut y) = (String::new(), TOP);
    for outcome in outcomes {
        y = group(&mut groups, outcome, &scale, y);
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"20\" class=\"title\">Time of others, of ours: right of the line takes longer</text>\n",
        height = y + 10.0,
    );
    for power in scale.least..=scale.most {
        let (x, class) = (scale.x(10_f64.powi(power)), if power == 0 { "ours" } else { "grid" });
        let label = if power < 0 {
            format!("{:.*}", power.unsigned_abs() as usize, 10_f64.powi(power))
        } else {
            10_u64.pow(power.unsigned_abs()).to_string()
        };
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"46\" y2=\"{y:.1}\" class=\"{class}\"/>"
        );
        let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"40\" text-anchor=\"middle\">{label}</text>");
    }
    svg + &groups + "</svg>\n"
}

/// Gives where the next one begins.
fn group(svg: &mut String, outcome: &Outcome, scale: &Scale, mut y: f64) -> f64 {
    let title = escaped(&outcome.operation.replace('`', ""));
    let _ = writeln!(
        svg,
        "<text x=\"10\" y=\"{:.1}\" class=\"title\">{title}</text>",
        y + 12.0
    );
    let _ = writeln!(
        svg,
        "<text x=\"10\" y=\"{:.1}\" class=\"sample\">{}</text>",
        y + 26.0,
        escaped(&outcome.sample)
    );
    y += TITLE;
    for (name, ratio, class) in bars(outcome) {
        let (one, end) = (scale.x(1.0), scale.x(ratio));
        let (x, width) = (one.min(end), (end - one).abs().max(1.0));
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            AXIS.0 - 8.0,
            y + 11.0
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{}\" class=\"{class}\"/>",
            y + 2.0,
            BAR - 3.0
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            one.max(end) + 5.0,
            y + 11.0,
            ratio_text(ratio)
        );
        y += BAR;
    }
    y + 10.0
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
