//! `run.json`: the summary of a run with what it takes to trace it back.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::{bundle::FileDigest, machine::Machine, summary::Summary};

#[derive(Serialize)]
struct Manifest<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    /// Seconds since 1970, UTC, at which the bundle was written.
    written_unix_s: u64,
    machine: Machine,
    threads: usize,
    command_line: Vec<String>,
    /// Every other file of the bundle.
    files: &'a [FileDigest],
}

/// The text of `run.json`.
pub fn text(summary: &Summary, files: &[FileDigest]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let manifest = Manifest {
        summary,
        written_unix_s: now.map_or(0, |time| time.as_secs()),
        machine: Machine::here(),
        threads: rayon::current_num_threads(),
        command_line: std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
        files,
    };
    // Every number of it is finite or null, and its keys are text.
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    format!("{text}\n")
}
