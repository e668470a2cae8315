//! Where findings go.

pub(crate) use examples::dissect::Place;

use crate::stats::Entry;

pub(crate) type Report<W> = examples::dissect::Report<W, Entry>;
