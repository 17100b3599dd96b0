//! `homarus run SCENE`.

use std::{io, path::PathBuf};

use clap::Args;
use homarus_systems::assembly::RunError;

use super::{
    execution, interrupt::Interrupt, message, output, progress::Kind, setting, step_study, table,
};
use crate::{
    record::{
        bundle::{Published, Request},
        summary::{Status, Summary},
    },
    run::{self, Failure, Outcome},
    scene::Scene,
};

/// Run a scene and print its rhythm table.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus run half_centre --set 'A->B.g=0.4' --duration-ms 5000
  homarus run half_centre -o half_centre.bundle --sample '*.V:1'")]
pub(super) struct Arguments {
    /// A .ron file, or the name of a shipped scene (`homarus list networks`).
    scene: String,
    /// Set a scalar or setting before the start, by path; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Model time at which the run ends (ms).
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
    #[command(flatten)]
    execution: execution::Flags,
    /// Instead, run the scene at its step, a half and a quarter of it and, up to 20 cells and 5
    /// minutes, by the reference integrator; print how far what it shows depends on the step.
    #[arg(long, conflicts_with_all = ["out", "integrator"])]
    step_study: bool,
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
    let scene = scene(arguments, &mut notes)?;
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
    let interrupt = Interrupt::listen();
    let mut progress = arguments.progress.show(quiet);
    let outcome = run::run_attended(&scene, &execution, request.as_ref(), &notes, &mut |now| {
        progress.tell(now);
        interrupt.asked()
    });
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

/// The scene with everything the command line says.
fn scene(arguments: &Arguments, notes: &mut Vec<String>) -> Result<Scene, Failure> {
    let flags = [
        ("duration_ms", arguments.duration_ms.is_some()),
        ("step_ms", arguments.step_ms.is_some()),
        ("control_ms", arguments.control_ms.is_some()),
        ("seed", arguments.seed.is_some()),
    ];
    setting::only_once(&arguments.set, &flags)?;
    let mut scene = setting::read(&arguments.scene, &arguments.set)?;
    setting::apply(&mut scene, &arguments.set, notes)?;
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
    Ok(scene)
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
