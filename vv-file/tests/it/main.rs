//! Everything that is tested from outside, in one binary.

mod builder;
mod key_file;
mod keyfile_oracle;
mod oracle;
mod vv_oracle;
