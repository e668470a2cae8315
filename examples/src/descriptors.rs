//! File descriptors: each connection takes one, and a process without any cannot accept.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where the system sets no limit.
const UNLIMITED: u32 = 1 << 20;

/// Raises the limit of this process as far as it may, and says how many descriptors it can have. Called once, at the
/// start.
#[must_use]
pub fn raise_limit() -> u32 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
    let limit = if raised.is_ok() { maximum } else { current };
    limit.map_or(UNLIMITED, |limit| {
        u32::try_from(limit).unwrap_or(UNLIMITED).min(UNLIMITED)
    })
}
