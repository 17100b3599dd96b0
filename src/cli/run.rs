//! `homarus run SCENE`.

use std::{
    io, mem,
    path::{Path, PathBuf},
};

use clap::Args;
use homarus_systems::assembly::RunError;

use super::{
    execution, interrupt::Interrupt, message, output, progress::Kind, scan, setting, step_study,
    table,
};
use crate::{
    course::{Course, Origin},
    record::{
        bundle::{Published, Request},
        snapshot::{Snapshot, Unreadable},
        summary::{Status, Summary},
    },
    run::{self, Failure, Outcome},
    scene::{Diagnostic, Diagnostics, Scene},
};

/// Run a scene and print its rhythm table.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus run half_centre --set 'A->B.g=0.4' --duration-ms 5000
  homarus run half_centre -o half_centre.bundle --sample '*.V:1'
  homarus run half_centre -o first --snapshot-at 4000 --duration-ms 5000
  homarus run --from first/snapshot-4000.snap --set 'A->B.g=0' --duration-ms 6000
  homarus run half_centre --scan '*->*.g=0..1/11'")]
pub(super) struct Arguments {
    /// A .ron file, or the name of a shipped scene (`homarus list networks`). With `--from` it may be
    /// left out: the snapshot holds its scene.
    #[arg(required_unless_present = "from")]
    scene: Option<String>,
    /// Set a scalar or setting before the start, by path; with `--from` a scalar in the snapshot;
    /// repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Model time at which the run ends (ms), also with `--from`.
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = setting::ms)]
    duration_ms: Option<f64>,
    /// Integration step (ms).
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = setting::ms)]
    step_ms: Option<f64>,
    /// Interval of homeostasis and controllers (ms).
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = setting::ms)]
    control_ms: Option<f64>,
    /// Seed of every random stream.
    #[arg(long, allow_negative_numbers = true, value_parser = setting::seed)]
    seed: Option<u64>,
    /// `exponential` (fixed step), `accurate` (every cell at its own step) or `reference` (adaptive, slow, for validation).
    #[arg(long, value_name = "NAME")]
    integrator: Option<String>,
    /// Write a bundle into this new folder: tables, the scene as resolved, `run.json`.
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the bundle that is there.
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// Write the tables as CSV, too.
    #[arg(long, requires = "out")]
    csv: bool,
    /// Sample scalars at an interval (ms) into the bundle, on top of what the scene samples;
    /// repeatable.
    #[arg(long, value_name = "PATH:MS", requires = "out")]
    sample: Vec<String>,
    /// Take a snapshot of the exact state at a time on the grid of steps (ms) into the bundle, as
    /// snapshot-MS.snap; repeatable. With the adaptive integrators: on a control tick.
    #[arg(long, value_name = "MS", requires = "out", allow_negative_numbers = true, value_parser = setting::moment)]
    snapshot_at: Vec<f64>,
    /// Go on from a snapshot instead of the start. Tables hold what lies after it.
    #[arg(long, value_name = "SNAPSHOT")]
    from: Option<PathBuf>,
    #[command(flatten)]
    execution: execution::Flags,
    /// Instead, run the scene at its step, a half and a quarter of it and, up to 20 cells and 5
    /// minutes, by the reference integrator; print how far what it shows depends on the step.
    #[arg(long, conflicts_with_all = ["out", "integrator", "from"])]
    step_study: bool,
    /// Instead, run the scene once for each value, `PATH=a..b/n` (both ends included) or
    /// `PATH=v1,v2,…`, members side by side on all cores; print one JSON object a member, one a line.
    /// Several make a grid, the last going round fastest; repeatable.
    #[arg(long, value_name = "PATH=VALUES", conflicts_with_all = ["out", "from", "step_study", "progress"])]
    scan: Vec<String>,
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

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let quiet = arguments.quiet;
    let execution = arguments.execution.execution(quiet)?;
    let mut notes = Vec::new();
    if !arguments.scan.is_empty() {
        let scans = scan::read(&arguments.scan, &arguments.set)?;
        return scan::run(&scans, &execution, &|more, notes| {
            Ok(scene(arguments, &[&arguments.set, more].concat(), notes)?.0)
        });
    }
    let (scene, from) = scene(arguments, &arguments.set, &mut notes)?;
    if arguments.step_study {
        return step_study::run(step_study::Request {
            scene,
            execution,
            progress: arguments.progress,
            json: arguments.json,
            quiet,
            notes: &notes,
        });
    }
    let request = arguments.out.as_ref().map(|dir| Request {
        dir: dir.clone(),
        overwrite: arguments.overwrite,
        csv: arguments.csv,
    });
    let course = Course {
        from,
        snapshots_ms: arguments.snapshot_at.clone(),
    };
    let interrupt = Interrupt::listen();
    let mut progress = arguments.progress.show(quiet);
    let mut pulse = |now| {
        progress.tell(now);
        interrupt.asked()
    };
    let request = request.as_ref();
    let outcome = run::run_on_course(&scene, &execution, request, &course, &notes, &mut pulse);
    progress.end();
    let Outcome {
        summary,
        error,
        bundle,
    } = outcome?;
    if !quiet && !arguments.json {
        for warning in &summary.warnings {
            message(&format!("warning: {warning}\n"));
        }
    }
    let summary = summary.brief();
    let text = match arguments.json {
        // Every number of the summary is finite or null, and its keys are text.
        true => serde_json::to_string_pretty(&summary).map_err(io::Error::other)? + "\n",
        false => table::render(&scene, &summary),
    };
    output(&text)?;
    ending(&summary, error, bundle.as_ref(), quiet)
}

/// Reads a snapshot to go on from.
pub(super) fn origin(path: &Path) -> Result<Origin, Failure> {
    let (snapshot, bytes) = Snapshot::read(path).map_err(unreadable)?;
    Ok(Origin {
        snapshot,
        bytes,
        file: path.display().to_string(),
        set: Vec::new(),
    })
}

/// The error for a file that is no snapshot to go on from.
pub(super) fn unreadable(error: Unreadable) -> Failure {
    Diagnostics::from(Diagnostic::new(error.to_string()).help(error.help())).into()
}

/// The scene with everything the command line says and what is `set`, and what its run goes on from.
fn scene(
    arguments: &Arguments,
    set: &[String],
    notes: &mut Vec<String>,
) -> Result<(Scene, Option<Origin>), Failure> {
    let flags = [
        ("duration_ms", arguments.duration_ms.is_some()),
        ("step_ms", arguments.step_ms.is_some()),
        ("control_ms", arguments.control_ms.is_some()),
        ("seed", arguments.seed.is_some()),
    ];
    setting::only_once(set, &flags)?;
    let mut from = arguments.from.as_deref().map(origin).transpose()?;
    let mut scene = match (&arguments.scene, &from) {
        (None, Some(origin)) => {
            setting::no_sizes(set)?;
            origin.snapshot.scene()?
        }
        (scene, _) => setting::read(scene.as_deref().unwrap_or_default(), set)?,
    };
    let own = match from {
        Some(_) => mem::take(&mut scene.set),
        None => Vec::new(),
    };
    setting::apply(&mut scene, set, notes)?;
    if let Some(origin) = &mut from {
        // What is set acts on the state, not on the start of the scene.
        origin.set = mem::replace(&mut scene.set, own);
    }
    if let Some(ms) = arguments.duration_ms {
        notes.extend(setting::shorten(&mut scene, ms));
    }
    if let Some(ms) = arguments.step_ms {
        scene.step_ms = ms;
    }
    if let Some(ms) = arguments.control_ms {
        scene.control_ms = ms;
    }
    if let Some(seed) = arguments.seed {
        scene.seed = seed;
    }
    if let Some(name) = &arguments.integrator {
        scene.integrator = setting::integrator(name)?;
    }
    for request in &arguments.sample {
        setting::sample(&mut scene, request)?;
    }
    Ok((scene, from))
}

/// Says how the run ended and where its bundle is.
fn ending(
    summary: &Summary,
    error: Option<RunError>,
    bundle: Option<&Published>,
    quiet: bool,
) -> Result<(), Failure> {
    let end = table::seconds(summary.model_ms);
    if let Some(bundle) = bundle {
        let path = bundle.path().display();
        match summary.status {
            Status::Complete if quiet => {}
            Status::Complete => message(&format!("bundle written to {path}\n")),
            status => message(&format!(
                "what there is up to {end} is in {path}, marked as {status}\n"
            )),
        }
    }
    match (error, summary.status, bundle.and_then(Published::complaint)) {
        (Some(error), ..) => Err(error.into()),
        (None, Status::Stopped, _) => Err(table::stopped_at(summary.model_ms)),
        (None, _, Some(complaint)) => Err(Failure::Bundle(io::Error::other(complaint))),
        _ => Ok(()),
    }
}
