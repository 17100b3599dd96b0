//! `homarus run SCENE`.

use clap::Args;

use super::{message, output, setting, table};
use crate::run::{self, Failure};
use crate::scene;

/// Run a scene and print its rhythm table.
#[derive(Args)]
#[command(after_help = "Example:\n  homarus run half_centre --set 'A->B.g=0.4' --duration-ms 5000")]
pub(super) struct Arguments {
    /// A .ron file, or the name of a shipped scene (`homarus list networks`).
    scene: String,
    /// Set a scalar or setting before the start, by path; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Model time at which the run ends (ms).
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    duration_ms: Option<f64>,
    /// Integration step (ms).
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    step_ms: Option<f64>,
    /// Interval of homeostasis and controllers (ms).
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    control_ms: Option<f64>,
    /// Seed of every random stream.
    #[arg(long, allow_negative_numbers = true, value_parser = setting::seed)]
    seed: Option<u64>,
    /// `exponential` (fixed step) or `reference` (adaptive, slow, for validation).
    #[arg(long, value_name = "NAME")]
    integrator: Option<String>,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Print no messages, only data.
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut scene = scene::read(&arguments.scene)?;
    let mut notes = Vec::new();
    let overrides = setting::apply(&mut scene, &arguments.set, &mut notes)?;
    if let Some(ms) = arguments.duration_ms {
        notes.extend(setting::shorten(
            &mut scene,
            setting::positive("--duration-ms", ms)?,
        ));
    }
    if let Some(ms) = arguments.step_ms {
        scene.step_ms = setting::positive("--step-ms", ms)?;
    }
    if let Some(ms) = arguments.control_ms {
        scene.control_ms = setting::positive("--control-ms", ms)?;
    }
    if let Some(seed) = arguments.seed {
        scene.seed = seed;
    }
    if let Some(name) = &arguments.integrator {
        scene.integrator = setting::integrator(name)?;
    }
    let mut summary = run::run(&scene, &overrides)?;
    summary.warnings.splice(0..0, notes);
    if !arguments.quiet && !arguments.json {
        for warning in &summary.warnings {
            message(&format!("warning: {warning}\n"));
        }
    }
    if arguments.json {
        // Every number of the summary is finite or null, and its keys are text.
        let text = serde_json::to_string_pretty(&summary).map_err(std::io::Error::other)?;
        return output(&format!("{text}\n"));
    }
    output(&table::render(&scene, &summary))
}
