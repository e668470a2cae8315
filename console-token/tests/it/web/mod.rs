//! What is decided by the text of a request.

mod host;
mod origin;
mod place;
mod redact;
mod target;
