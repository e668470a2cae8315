//! The demo.
use crate::rules::Rules;
use std::process::ExitCode;
pub(crate) async fn run(_rules: Rules) -> ExitCode {
    ExitCode::FAILURE
}
