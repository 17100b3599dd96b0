//! `homarus check SCENE` or `STUDY`: everything that can be known without running.

use std::process::ExitCode;

use clap::Args;

use super::{color, message, output, overview, setting, study_page, width};
use crate::run::Failure;
use crate::scene::{Diagnostic, Diagnostics, lint, spawn};
use crate::study::file;

/// Judge a scene or a study without running it: errors, then lints, then a summary.
///
/// Errors and lints go to stderr, the summary to stdout. Exit code: 2 if there is an error; 0 if
/// there are only lints, or 1 with `--deny-lints`; else 0.
#[derive(Args)]
#[command(after_help = "Example:\n  homarus check five_neuron_cpg --set step_ms=0.05")]
pub(super) struct Arguments {
    /// A .ron file, or the name of a shipped scene or study (`homarus list networks`).
    scene: String,
    /// Set a scalar or setting before the start, by path; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// End with exit code 1 if there is a lint.
    #[arg(long)]
    deny_lints: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if file::is_study(&arguments.scene) {
        let study = file::read(&arguments.scene, &arguments.set)?;
        output(&study_page::page(&study))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut scene = setting::read(&arguments.scene, &arguments.set)?;
    let mut notes = Vec::new();
    setting::apply(&mut scene, &arguments.set, &mut notes)?;
    let mut network = spawn::spawn(&scene)?;
    // A network that cannot start is an error of its scene: nothing has run yet.
    network
        .start()
        .map_err(|error| Diagnostics::from(Diagnostic::new(error.to_string())))?;
    for note in notes {
        message(&format!("warning: {note}\n"));
    }
    let lints = lint::lint(&scene, &network);
    if !lints.is_empty() {
        message(&lints.render(color(), width()));
    }
    output(&overview::render(&scene, &network))?;
    Ok(match arguments.deny_lints && !lints.is_empty() {
        true => ExitCode::from(1),
        false => ExitCode::SUCCESS,
    })
}
