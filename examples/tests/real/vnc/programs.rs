//! This project's own programs.
