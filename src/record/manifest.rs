//! `run.json`: the summary of a run with what it takes to trace it back.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{bundle::FileDigest, machine::Machine, snapshot, summary::Summary};
use crate::course::Origin;

#[derive(Serialize)]
struct Manifest<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    /// Seconds since 1970, UTC, at which the bundle was written.
    written_unix_s: u64,
    machine: Machine,
    threads: usize,
    command_line: Vec<String>,
    /// What the run went on from, if not from the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<From>,
    /// Every other file of the bundle.
    files: &'a [FileDigest],
}

/// A snapshot that a run went on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct From {
    /// Its time (ms).
    pub t_ms: f64,
    /// Its name in the bundle.
    pub file: String,
    /// Scalars that were set in it: path and value.
    pub set: Vec<(String, f64)>,
}

impl From {
    fn new(origin: &Origin) -> Self {
        let set = origin.set.iter();
        From {
            t_ms: origin.snapshot.t_ms,
            file: snapshot::file_name(origin.snapshot.t_ms),
            set: set.map(|set| (set.path.clone(), set.value)).collect(),
        }
    }
}

/// The text of `run.json`.
pub fn text(summary: &Summary, from: Option<&Origin>, files: &[FileDigest]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let manifest = Manifest {
        summary,
        written_unix_s: now.map_or(0, |time| time.as_secs()),
        machine: Machine::here(),
        threads: rayon::current_num_threads(),
        command_line: std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
        from: from.map(From::new),
        files,
    };
    // Every number of it is finite or null, and its keys are text.
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    format!("{text}\n")
}
