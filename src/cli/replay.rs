//! `homarus replay BUNDLE`: runs a bundle again and holds every file against its hash.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{self, ExitCode},
};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::{
    execution, interrupt::Interrupt, message, output, progress::Kind, run::origin, table, wrong,
};
use crate::course::Course;
use crate::record::{
    bundle::{FileDigest, Request},
    manifest::From,
    reader::{NoBundle, Recorded, recorded},
    snapshot::time_of,
    summary::Status,
};
use crate::run::{self, Failure};
use crate::scene::{self, model::Setting};

/// What of `run.json` depends on the machine, the time, the command line and how a run is carried
/// out.
const INCIDENTAL: [&str; 7] = [
    "wall_s",
    "written_unix_s",
    "machine",
    "threads",
    "kernel",
    "command_line",
    "warnings",
];

/// Run a bundle again, from its own scene.ron, and prove the hash of every file.
///
/// run.json is compared in what does not depend on the machine, the time, the command line, the
/// kernel and the threads; its warnings are not compared. Exit code: 1 if something differs, else 0.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus run half_centre -o half_centre.bundle --duration-ms 5000
  homarus replay half_centre.bundle
  homarus replay half_centre.bundle --threads 2 --kernel portable")]
pub(super) struct Arguments {
    /// The folder that `homarus run -o` wrote.
    bundle: PathBuf,
    #[command(flatten)]
    execution: execution::Flags,
    /// How progress is told on stderr: a bar in a terminal, JSON lines, or not at all.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    progress: Kind,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Print no messages, only data.
    #[arg(long)]
    quiet: bool,
}

/// A file of the bundle and what became of it.
#[derive(Serialize)]
struct Compared {
    name: String,
    same: bool,
    /// In words.
    verdict: &'static str,
    /// Hash that run.json states; none for run.json itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<String>,
    /// Hash of the file as it lies there.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    /// Hash of the file of the run made again.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<String>,
}

/// The JSON of a call.
#[derive(Serialize)]
struct Report<'a> {
    homarus: &'static str,
    bundle: String,
    same: bool,
    files: &'a [Compared],
}

/// A folder that is removed again.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left in the folder for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The error for a folder that is no bundle.
pub(super) fn no_bundle(error: NoBundle) -> Failure {
    wrong(
        error.to_string(),
        Some("give the folder that `homarus run SCENE -o DIR` wrote".to_owned()),
    )
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let dir = &arguments.bundle;
    let execution = arguments.execution.execution(arguments.quiet)?;
    let (recorded, text) = recorded(dir).map_err(no_bundle)?;
    if recorded.status != Status::Complete.to_string() {
        return Err(wrong(
            format!(
                "the run of `{}` is marked as {} at {} ms, so nobody knows where to end it again",
                dir.display(),
                recorded.status,
                recorded.model_ms
            ),
            Some("only a complete run can be replayed".to_owned()),
        ));
    }
    if recorded.homarus != env!("CARGO_PKG_VERSION") && !arguments.quiet {
        message(&format!(
            "warning: the bundle was written by homarus {}, this is {}: bits may differ\n",
            recorded.homarus,
            env!("CARGO_PKG_VERSION")
        ));
    }
    let scratch = Scratch(std::env::temp_dir().join(format!("homarus-replay-{}", process::id())));
    again(arguments, &recorded, execution, &scratch.0)?;
    let (replayed, replayed_text) = self::recorded(&scratch.0).map_err(no_bundle)?;
    let mut files = compared(dir, &recorded, &replayed).map_err(Failure::Output)?;
    files.push(summaries(&text, &replayed_text)?);
    let same = files.iter().all(|file| file.same);
    let text = match arguments.json {
        true => {
            let report = Report {
                homarus: env!("CARGO_PKG_VERSION"),
                bundle: dir.display().to_string(),
                same,
                files: &files,
            };
            serde_json::to_string_pretty(&report).map_err(io::Error::other)? + "\n"
        }
        false => page(dir, same, &files),
    };
    output(&text)?;
    Ok(match same {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// Makes the run of a bundle again.
fn again(
    arguments: &Arguments,
    recorded: &Recorded,
    execution: crate::execution::Execution,
    dir: &Path,
) -> Result<(), Failure> {
    let bundle = &arguments.bundle;
    let scene = scene::read(&bundle.join("scene.ron").display().to_string())?;
    let from = match &recorded.from {
        Some(From { file, set, .. }) => {
            let mut origin = origin(&bundle.join(file))?;
            let set = set.iter().map(|(path, value)| Setting {
                path: path.clone(),
                value: *value,
                origin: Default::default(),
            });
            origin.set = set.collect();
            Some(origin)
        }
        None => None,
    };
    let began = recorded.from.as_ref().map(|from| from.file.as_str());
    let names = || recorded.files.iter().map(|file| file.name.as_str());
    let taken = names().filter(|name| Some(*name) != began);
    let course = Course {
        from,
        snapshots_ms: taken.filter_map(time_of).collect(),
    };
    let request = Request {
        dir: dir.to_owned(),
        overwrite: false,
        csv: names().any(|name| name.ends_with(".csv")),
    };
    let interrupt = Interrupt::listen();
    let mut progress = arguments.progress.show(arguments.quiet);
    let mut pulse = |now| {
        progress.tell(now);
        interrupt.asked()
    };
    let outcome = run::run_on_course(&scene, &execution, Some(&request), &course, &[], &mut pulse);
    progress.end();
    let outcome = outcome?;
    match (outcome.error, outcome.summary.status) {
        (Some(error), _) => Err(error.into()),
        (None, Status::Stopped) => Err(table::stopped_at(outcome.summary.model_ms)),
        (None, _) => Ok(()),
    }
}

/// Every file but run.json, as it was recorded, lies there and came out again.
fn compared(dir: &Path, recorded: &Recorded, replayed: &Recorded) -> io::Result<Vec<Compared>> {
    let hash = |files: &[FileDigest], name: &str| {
        let known = files.iter().find(|file| file.name == name);
        known.map(|file| file.blake3.clone())
    };
    let mut names: Vec<&str> = recorded.files.iter().map(|file| &*file.name).collect();
    let new = replayed.files.iter().map(|file| &*file.name);
    names.extend(new.filter(|name| hash(&recorded.files, name).is_none()));
    let compare = |name: &str| {
        let stated = hash(&recorded.files, name);
        let again = hash(&replayed.files, name);
        let found = found(&dir.join(name))?;
        let verdict = match (&stated, &found, &again) {
            (None, ..) => "only in the replay",
            (_, _, None) => "not in the replay",
            (_, None, _) => "missing in the bundle",
            _ if stated != found => "altered in the bundle",
            _ if stated != again => "differs",
            _ => "same",
        };
        Ok(Compared {
            name: name.to_owned(),
            same: verdict == "same",
            verdict,
            recorded: stated,
            found,
            replayed: again,
        })
    };
    names.into_iter().map(compare).collect()
}

/// Hash of a file; `None`: it is not there.
fn found(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(Some(hasher.finalize().to_hex().to_string()))
}

/// The two run.json without what is incidental.
fn summaries(recorded: &str, replayed: &str) -> Result<Compared, Failure> {
    let essence = |text: &str| -> Result<Value, Failure> {
        let mut value: Value = serde_json::from_str(text).map_err(io::Error::other)?;
        if let Value::Object(object) = &mut value {
            object.retain(|key, _| !INCIDENTAL.contains(&key.as_str()));
        }
        Ok(value)
    };
    let same = essence(recorded)? == essence(replayed)?;
    Ok(Compared {
        name: "run.json".to_owned(),
        same,
        verdict: if same { "same" } else { "differs" },
        recorded: None,
        found: None,
        replayed: None,
    })
}

fn page(dir: &Path, same: bool, files: &[Compared]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["file", "replay", "hash"]);
    for file in files {
        let hash = file.recorded.as_deref().unwrap_or_default();
        table.add_row([&file.name, file.verdict, hash.get(..16).unwrap_or(hash)]);
    }
    let verdict = match same {
        true => "gives the same bytes again",
        false => "does not give the same bytes again",
    };
    format!(
        "{} {verdict}\n\n{table}\n\nrun.json is compared without what depends on machine, time, command line, kernel and threads.\n",
        dir.display()
    )
}
