//! Tests of spice-proto from the outside.

mod captures;
mod coverage;
mod drive;
mod frames;
mod hostile;
mod link;
mod pair;
mod recordings;
mod ticket;
mod values;
