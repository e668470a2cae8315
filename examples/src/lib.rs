//! The programs of this project.
