//! What the laws are held with: the cases of seeds and regressions of all targets, and mutations that are the same in each run.

use fuzz::each_case;

/// A generator of numbers that is the same everywhere, and in each run.
#[derive(Debug)]
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }
}

impl Random {
    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    /// Letters and digits.
    pub fn text(&mut self, len: usize) -> Vec<u8> {
        (0..len)
            .map(|_| b"abcdefghijklmnopqrstuvwxyz0123456789"[self.below(36)])
            .collect()
    }
}

/// All cases of these targets, without doubles.
pub fn of(targets: &[&str]) -> Vec<Vec<u8>> {
    let mut cases = Vec::new();
    for target in targets {
        for folder in ["seeds", "regressions"] {
            each_case(folder, target, |case| cases.push(case.to_vec()));
        }
    }
    cases.sort();
    cases.dedup();
    cases
}

/// Targets of requests, with the places where a token can be.
pub fn targets() -> Vec<Vec<u8>> {
    let texts = [
        "/?token=abc",
        "/vnc.html?token=a%20b+c&token=&x=1#token=d",
        "/websockify?path=%3Ftoken%3Dabc",
        "/?a=1&token=%zz&token=%C3%A9",
        "?token",
        "/\ntoken=abc; a=b",
        "/?x\na=b; token=c; token=e",
        "/\ntoken=a.b-c_d",
        "//host/?token=abc",
        "/;p?token=a;token=b",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Adds so many mutations of what is there: bytes changed, put in, taken out and doubled; and halves of two.
pub fn mutate(cases: &mut Vec<Vec<u8>>, count: usize) {
    let mut random = Random::default();
    let given = cases.len();
    for _ in 0..count {
        let mut case = cases[random.below(given)].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(case.len() + 1);
            match random.below(5) {
                0 if at < case.len() => case[at] = random.below(256) as u8,
                1 => case.insert(at, b"=&?;%+ \\\n#[]\"0aeE"[random.below(17)]),
                2 if at < case.len() => drop(case.remove(at)),
                3 => {
                    let other = &cases[random.below(given)];
                    let from = random.below(other.len() + 1);
                    case.truncate(at);
                    case.extend_from_slice(&other[from..]);
                }
                _ => {
                    let piece = case[at..case.len().min(at + 9)].to_vec();
                    case.splice(at..at, piece);
                }
            }
        }
        case.truncate(4096);
        cases.push(case);
    }
}
