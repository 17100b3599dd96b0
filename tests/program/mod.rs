//! The program, run as a person or a script runs it.

use std::process::{Command, Output};

/// Runs it with arguments.
pub fn homarus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_homarus"))
        .args(arguments)
        .output()
        .unwrap()
}

/// What it wrote to stdout.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it wrote to stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
