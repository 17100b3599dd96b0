//! `homarus run SCENE --step-study`: how far what a scene shows depends on its step.

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use comfy_table::{CellAlignment, Table, presets};

use super::{interrupt::Interrupt, output, progress, table, wrong};
use crate::execution::Execution;
use crate::record::summary::{Status, Summary};
use crate::run::{self, Failure};
use crate::scene::{Scene, model::Integrator};
use crate::step_study::{self, Need, Quantity, StepStudy};

/// Halvings of the step: the scene's own, a half and a quarter of it.
const STEPS: usize = 3;

/// Most cells that the reference integrator is asked for: it is adaptive over the whole network, so
/// that its step is that of the cell which spikes.
const REFERENCE_CELLS: usize = 20;

/// Longest wall time that the reference integrator may take, judged after a first look.
const PATIENCE: Duration = Duration::from_secs(300);
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Most means of a window that are shown one by one.
const ROWS: usize = 60;

/// Most means that cannot be judged and are listed.
const LISTED: usize = 12;

/// What is to be studied, and how.
pub(super) struct Request<'a> {
    /// The scene with everything the command line says.
    pub scene: Scene,
    pub execution: Execution,
    pub progress: progress::Kind,
    pub json: bool,
    pub quiet: bool,
    /// What a person should know.
    pub notes: &'a [String],
}

pub(super) fn run(request: Request) -> Result<(), Failure> {
    if request.scene.windows.is_empty() {
        return Err(wrong(
            "a step study compares windows, and this scene has none".to_owned(),
            Some("give it `windows` that end within its duration".to_owned()),
        ));
    }
    let interrupt = Interrupt::listen();
    let steps: Vec<f64> = (0..STEPS as i32)
        .map(|k| request.scene.step_ms / 2_f64.powi(k))
        .collect();
    let mut summaries = Vec::new();
    for step_ms in &steps {
        let scene = Scene {
            step_ms: *step_ms,
            integrator: Integrator::Exponential,
            ..request.scene.clone()
        };
        summaries.push(whole(trial(&request, &scene, &interrupt, None)?)?);
    }
    let mut missing = None;
    match reference(&request, &interrupt)? {
        Ok(summary) => summaries.push(summary),
        Err(why) => missing = Some(why),
    }
    let mut study = step_study::study(&steps, &summaries);
    let notes = request.notes.iter().cloned().chain(missing);
    study.notes.splice(0..0, notes);
    output(&match request.json {
        // Every number of it is finite or null, and its keys are text.
        true => serde_json::to_string_pretty(&study).map_err(io::Error::other)? + "\n",
        false => page(&study),
    })
}

/// One run. With a `limit` it ends early where it would take longer.
fn trial(
    request: &Request,
    scene: &Scene,
    interrupt: &Interrupt,
    limit: Option<Duration>,
) -> Result<(Summary, Option<Duration>), Failure> {
    let mut progress = request.progress.show(request.quiet);
    let clock = Instant::now();
    let mut too_long = None;
    let outcome = run::run_attended(scene, &request.execution, None, &[], &mut |now| {
        progress.tell(now);
        let taken = clock.elapsed();
        if let Some(limit) = limit.filter(|_| taken > FIRST_LOOK) {
            let whole = taken.mul_f64(now.end_ms / now.now_ms);
            if whole > limit {
                too_long = Some(whole);
                return ControlFlow::Break(());
            }
        }
        interrupt.asked()
    });
    progress.end();
    let outcome = outcome?;
    match outcome.error {
        Some(error) => Err(error.into()),
        None => Ok((outcome.summary, too_long)),
    }
}

/// The summary of a run that came to its end.
fn whole((summary, _): (Summary, Option<Duration>)) -> Result<Summary, Failure> {
    match summary.status {
        Status::Stopped => Err(table::stopped_at(summary.model_ms)),
        _ => Ok(summary),
    }
}

/// The run of the reference integrator, or why there is none.
fn reference(request: &Request, interrupt: &Interrupt) -> Result<Result<Summary, String>, Failure> {
    let cells = request.scene.cells.len();
    if cells > REFERENCE_CELLS {
        return Ok(Err(format!(
            "no run of the reference integrator: {cells} cells are more than the {REFERENCE_CELLS} \
             that it can be waited for, so errors are judged by the steps alone"
        )));
    }
    let scene = Scene {
        integrator: Integrator::Reference,
        ..request.scene.clone()
    };
    match trial(request, &scene, interrupt, Some(PATIENCE))? {
        (_, Some(whole)) => Ok(Err(format!(
            "no run of the reference integrator: it would take about {:.0} min, so errors are judged \
             by the steps alone",
            (whole.as_secs_f64() / 60.0).ceil()
        ))),
        run => whole(run).map(Ok),
    }
}

/// A study for people.
fn page(study: &StepStudy) -> String {
    let steps: Vec<String> = study.trials.iter().filter_map(step).collect();
    let wall_s: f64 = study.trials.iter().map(|trial| trial.wall_s).sum();
    let against = match study.trials.last().and_then(|trial| trial.step_ms) {
        None => "the reference integrator",
        Some(_) => "the finest step",
    };
    let mut text = format!(
        "{} at steps of {} ms, held against {against} ({wall_s:.1} s)\n",
        study.scene,
        steps.join(", "),
    );
    let mut shown = "";
    for quantity in &study.quantities {
        if quantity.window != shown {
            shown = &quantity.window;
            text.push_str(&format!("\n{shown}\n"));
            text.push_str(&window(study, shown));
        }
    }
    for change in &study.changes {
        text.push_str(&format!(
            "\n{}, {}: {}\n",
            change.window,
            change.of,
            change.values.join(", ")
        ));
    }
    for note in &study.notes {
        text.push_str(&format!("\nnote: {note}\n"));
    }
    text + "\n" + &conclusion(study)
}

/// The step of a trial.
fn step(trial: &step_study::Trial) -> Option<String> {
    trial.step_ms.map(|step| format!("{step}"))
}

/// The means of a window.
fn window(study: &StepStudy, label: &str) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let best = match study.trials.last().and_then(step) {
        None => "reference".to_owned(),
        Some(step) => format!("at {step}"),
    };
    let of_window = study.quantities.iter().filter(|q| q.window == label);
    let of_window: Vec<&Quantity> = of_window.collect();
    let compared = of_window.first().map_or(0, |q| q.deviations.len());
    let steps = study.trials[..compared].iter().filter_map(step);
    let percent = percent(TOLERANCE);
    let header = ["".to_owned(), "".to_owned(), best].into_iter();
    table.set_header(header.chain(steps).chain([format!("for {percent}")]));
    let shown = worst(&of_window);
    for quantity in &shown {
        table.add_row(row(quantity));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines = table.lines().map(|line| format!(" {}\n", line.trim_end()));
    let mut text: String = lines.collect();
    if shown.len() < of_window.len() {
        text.push_str("  (of each measure the one with the largest error; --json has all)\n");
    }
    text
}

/// All of a few means; of many, for each rhythm and for the cells, each measure where it is worst.
fn worst<'a>(quantities: &[&'a Quantity]) -> Vec<&'a Quantity> {
    if quantities.len() <= ROWS {
        return quantities.to_vec();
    }
    // Only the names of rhythms have a space; the measure of a phase names a cell, too.
    fn group(quantity: &Quantity) -> (&str, &str) {
        let of = quantity.of.as_str();
        let measure = quantity.what.split(" of ").next().unwrap_or_default();
        (if of.contains(' ') { of } else { "" }, measure)
    }
    let mut shown: Vec<&Quantity> = Vec::new();
    for quantity in quantities {
        match shown.iter_mut().find(|q| group(q) == group(quantity)) {
            Some(known) if known.worst() < quantity.worst() => *known = quantity,
            Some(_) => {}
            None => shown.push(quantity),
        }
    }
    shown
}

fn row(quantity: &Quantity) -> Vec<String> {
    let best = quantity.values.last().copied().flatten();
    let best = best.map_or_else(dash, |x| format!("{} {}", digits(x), quantity.unit));
    let deviations = quantity.deviations.iter();
    let deviations = deviations.map(|d| d.map_or_else(dash, |d| format!("{:+.2} %", 100.0 * d)));
    let need = match &quantity.need {
        Need::Step(step) => format!("{step} ms"),
        Need::Foreseen(step) => format!("~{step:.1e} ms"),
        Need::Undecided(_) => "?".to_owned(),
    };
    let named = [
        quantity.of.clone(),
        quantity.what.clone(),
        best.trim_end().to_owned(),
    ];
    named.into_iter().chain(deviations).chain([need]).collect()
}

/// What a person wants to know in the end.
fn conclusion(study: &StepStudy) -> String {
    let percent = percent(TOLERANCE);
    let own = study.trials.first().and_then(|trial| trial.step_ms);
    let mut text = match (study.needs_step_ms, study.foreseen_step_ms) {
        (Some(step), _) if Some(step) == own => {
            format!("The scene's own step of {step} ms is right to {percent}")
        }
        (Some(step), _) => format!("For {percent} the scene needs a step of {step} ms"),
        (None, Some(step)) => {
            format!("No step tried is right to {percent}; one of about {step:.1e} ms might be")
        }
        (None, None) => format!("Which step is right to {percent} cannot be decided"),
    };
    let undecided = study.quantities.iter().filter_map(|q| match &q.need {
        Need::Undecided(why) => Some(format!("  {}, {} of {}: {why}\n", q.window, q.what, q.of)),
        _ => None,
    });
    let undecided: Vec<String> = undecided.collect();
    if undecided.is_empty() {
        return text + ".\n";
    }
    text.push_str(", as far as it can be judged. It cannot for\n");
    let listed = undecided.len().min(LISTED);
    text.extend(undecided[..listed].iter().map(String::as_str));
    if undecided.len() > listed {
        text.push_str(&format!(
            "  and {} more; --json has all\n",
            undecided.len() - listed
        ));
    }
    text
}

const TOLERANCE: f64 = step_study::TOLERANCE;

fn percent(x: f64) -> String {
    format!("{} %", 100.0 * x)
}

fn dash() -> String {
    "-".to_owned()
}

/// Four digits or so.
fn digits(x: f64) -> String {
    match x.abs() {
        a if a >= 1000.0 => format!("{x:.0}"),
        a if a >= 100.0 => format!("{x:.1}"),
        a if a >= 10.0 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}
