//! The rows of the table.

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// It is there to be compared with.
    None,
}

/// One row.
struct Row {
    what: String,
    figure: String,
    wanted: String,
    result: &'static str,
}

/// The table.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// A figure in this unit, with what it was made of.
    pub fn figure(&mut self, what: impl Into<String>, (figure, unit): (f64, &str), bound: Bound, of: impl AsRef<str>) {
        let number = |number: f64| match number.abs() {
            ..10.0 => format!("{number:.2}"),
            ..100.0 => format!("{number:.1}"),
            _ => format!("{number:.0}"),
        };
        let (wanted, result) = match bound {
            Bound::AtLeast(least) => (format!("at least {least}"), verdict(least <= figure)),
            Bound::AtMost(most) => (format!("at most {most}"), verdict(figure <= most)),
            Bound::None => (String::new(), ""),
        };
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!(" {unit}")
        };
        let of = of.as_ref();
        let of = if of.is_empty() {
            String::new()
        } else {
            format!(" ({of})")
        };
        self.add(Row {
            what: what.into(),
            figure: format!("{}{unit}{of}", number(figure)),
            wanted,
            result,
        });
    }

    /// A row that could not be measured.
    pub fn missing(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.add(Row {
            what: what.into(),
            figure: why.into(),
            wanted: String::new(),
            result: FAILS,
        });
    }

    /// Shown when it is known, since the whole takes minutes.
    fn add(&mut self, row: Row) {
        eprintln!("{}: {} {}", row.what, row.figure, row.result);
        self.rows.push(row);
    }

    /// Prints it. `true`: no row fails.
    pub fn print(&self) -> bool {
        println!("| what | measured | wanted | |\n|---|---|---|---|");
        for Row {
            what,
            figure,
            wanted,
            result,
        } in &self.rows
        {
            println!("| {what} | {figure} | {wanted} | {result} |");
        }
        self.rows.iter().all(|row| row.result != FAILS)
    }
}

const FAILS: &str = "fails";

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { FAILS }
}
