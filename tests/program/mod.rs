//! The program, run as a person or a script runs it.

// Every test file takes what it needs.
#![allow(dead_code)]

use std::{
    path::Path,
    process::{Command, Output},
};

/// Runs it with arguments.
pub fn homarus(arguments: &[&str]) -> Output {
    homarus_in(".", arguments)
}

/// Runs it with arguments in a folder.
pub fn homarus_in(folder: impl AsRef<Path>, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_homarus"))
        .args(arguments)
        .current_dir(folder)
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
