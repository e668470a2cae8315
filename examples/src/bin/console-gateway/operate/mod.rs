//! What operators see and do: open sessions, an audit log, figures.

pub(crate) mod audit;
pub(crate) mod book;
pub(crate) mod metrics;
pub(crate) mod moves;
pub(crate) mod status;
pub(crate) mod traffic;
pub(crate) mod watched;
