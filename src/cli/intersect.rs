//! `homarus intersect SCENE`: where regulated cells should come to rest in conductance space, and
//! whether they do.

use std::{io, process::ExitCode};

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::{
    degeneracy, execution, interrupt::Interrupt, message, output, progress::Kind, setting,
    table::seconds,
};
use crate::run::Failure;
use crate::scene::{Scene, model::LISTED_CELLS};
use crate::science::{
    intersect::{Missing, Place, Prediction},
    outcome::{self, Cell, Comparison, Confusion, IN_PLACE, Outcome, Reached},
};

/// Find where regulated cells should come to rest, and see whether they do.
///
/// Homeostasis moves conductances along one scalar, lambda (1 at the start); a controller holds two
/// where their dynamic input conductances are as wanted. The intersection is the first lambda, from
/// where the cell is, at which mean calcium of the frozen neuron (8 s, averaged over 3-8 s) is on
/// target. There is none if calcium gets there nowhere, if a conductance would be negative first, or
/// if the cell does not fire there as it did. Then the scene runs on and tells: the cell settled if
/// it fires as it did and its calcium is within 5 % of target. `--json` gives the curve of calcium
/// over lambda of each cell, too.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus intersect controlled_CaSA --set population.cells.count=2
  homarus intersect sharp_CaSA --set population.cells.count=2 --no-run --csv
  homarus intersect controlled_CaSA --set population.cells.count=2 --at-ms 0 --no-run --json")]
pub(super) struct Arguments {
    /// A .ron file, or the name of a shipped scene (`homarus list networks`).
    scene: String,
    /// Set a scalar or setting before the start, by path; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Moment (ms) from which on to predict, up to the next one; if not given, the last time at which
    /// the protocol changes conductances or what regulates them.
    #[arg(long, value_name = "MS", allow_negative_numbers = true, value_parser = moment)]
    at_ms: Option<f64>,
    /// Predict only: the scene is run up to the moment and not farther.
    #[arg(long)]
    no_run: bool,
    /// Instead, sweep over what the controller may use, the width of the population and the calcium
    /// target, and print how often there is an intersection; takes minutes.
    #[arg(long, conflicts_with_all = ["at_ms", "no_run"])]
    degeneracy: bool,
    /// Cells a point of the sweep [default: 40].
    #[arg(long, value_name = "N", requires = "degeneracy", allow_negative_numbers = true, value_parser = degeneracy::cells)]
    pub cells: Option<usize>,
    #[command(flatten)]
    pub execution: execution::Flags,
    /// How progress is told on stderr: a bar in a terminal, JSON lines, or not at all.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    pub progress: Kind,
    /// Print one JSON object instead of tables.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print CSV instead of tables: a row a cell.
    #[arg(long)]
    pub csv: bool,
    /// Print no messages, only data.
    #[arg(long)]
    pub quiet: bool,
}

/// A time (ms) of the scene given by a flag; the error says what one looks like.
fn moment(value: &str) -> Result<f64, String> {
    let plain = value.trim().replace('_', "");
    let number = plain.parse::<f64>().ok();
    number
        .filter(|ms| *ms >= 0.0 && ms.is_finite())
        .ok_or_else(|| "expected a finite number of ms, 0 or more, for instance 150000".to_string())
}

/// The JSON of a call.
#[derive(Serialize)]
struct Report<'a> {
    homarus: &'static str,
    scene: &'a str,
    scene_hash: String,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let quiet = arguments.quiet;
    let mut notes = Vec::new();
    let mut scene = setting::read(&arguments.scene, &arguments.set)?;
    setting::apply(&mut scene, &arguments.set, &mut notes)?;
    if arguments.degeneracy {
        return degeneracy::run(arguments, &scene);
    }
    let execution = arguments.execution.execution(quiet)?;
    let interrupt = Interrupt::listen();
    let mut progress = arguments.progress.show(quiet);
    let outcome = outcome::study(
        &scene,
        &execution,
        arguments.at_ms,
        !arguments.no_run,
        &mut |now| {
            progress.tell(now);
            interrupt.asked()
        },
    );
    progress.end();
    let mut outcome = outcome?;
    outcome.warnings.splice(0..0, notes);
    if !quiet && !arguments.json {
        for warning in &outcome.warnings {
            message(&format!("warning: {warning}\n"));
        }
    }
    output(&match (arguments.json, arguments.csv) {
        (true, _) => {
            let report = Report {
                homarus: env!("CARGO_PKG_VERSION"),
                scene: &scene.name,
                scene_hash: scene.hash(),
                outcome: &outcome,
            };
            // Every number of it is finite or null, and its keys are text.
            serde_json::to_string_pretty(&report).map_err(io::Error::other)? + "\n"
        }
        (_, true) => csv(&outcome)?,
        _ => page(&scene, &outcome),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Channels of all cells, each once, in lane order.
fn channels(outcome: &Outcome) -> Vec<&str> {
    let mut channels: Vec<&str> = Vec::new();
    for channel in outcome.cells.iter().flat_map(|cell| &cell.channels) {
        if !channels.contains(&channel.as_str()) {
            channels.push(channel);
        }
    }
    channels
}

fn csv(outcome: &Outcome) -> Result<String, Failure> {
    let channels = channels(outcome);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |fields: Vec<String>| writer.write_record(fields).map_err(io::Error::other);
    let columns = |of: &str| {
        let gbar = channels
            .iter()
            .map(|channel| format!("{of}.{channel}.gbar"));
        ["lambda", "ca_mean_um", "pattern", "burstiness_hz2"]
            .iter()
            .map(|column| format!("{of}.{column}"))
            .chain(gbar)
            .collect::<Vec<_>>()
    };
    let place = |place: Option<&Place>| {
        let Some(place) = place else {
            return vec![String::new(); 4 + channels.len()];
        };
        let state = &place.state;
        let gbar = channels
            .iter()
            .map(|channel| optional(place.gbar.get(*channel)));
        [
            place.lambda.to_string(),
            state.ca_mean_um.to_string(),
            state.pattern.to_string(),
            optional(state.burstiness_hz2.as_ref()),
        ]
        .into_iter()
        .chain(gbar)
        .collect()
    };
    let mut head = vec!["cell".to_owned(), "ca_target_um".to_owned()];
    head.extend(columns("from"));
    head.push("why_none".to_owned());
    head.extend(columns("intersection"));
    head.push("later_lambdas".to_owned());
    head.extend(columns("reached"));
    head.extend(["kept_pattern", "calcium_in_place"].map(str::to_owned));
    write(head)?;
    for cell in &outcome.cells {
        let Prediction {
            from,
            intersection,
            missing,
            later,
            ..
        } = &cell.prediction;
        let mut row = vec![cell.name.clone(), cell.ca_target_um.to_string()];
        row.extend(place(Some(from)));
        row.push(missing.as_ref().map_or_else(String::new, why));
        row.extend(place(intersection.as_ref()));
        let later: Vec<String> = later.iter().map(|place| place.lambda.to_string()).collect();
        row.push(later.join(" "));
        let reached = cell.reached.as_ref();
        row.extend(place(reached.map(|reached| &reached.place)));
        let flag = |flag: fn(&Reached) -> bool| {
            reached
                .map(flag)
                .map_or_else(String::new, |x| x.to_string())
        };
        row.push(flag(|reached| reached.kept_pattern));
        row.push(flag(|reached| reached.calcium_in_place));
        write(row)?;
    }
    let bytes = writer.into_inner().map_err(io::Error::other)?;
    Ok(String::from_utf8(bytes).map_err(io::Error::other)?)
}

fn optional(x: Option<&f64>) -> String {
    x.map_or_else(String::new, f64::to_string)
}

/// Four significant digits.
pub(super) fn short(x: f64) -> String {
    let magnitude = if x == 0.0 {
        0.0
    } else {
        x.abs().log10().floor()
    };
    match magnitude {
        -3.0..=6.0 => format!("{x:.*}", (3.0 - magnitude).max(0.0) as usize),
        _ => format!("{x:.3e}"),
    }
}

/// Why there is no intersection, in words.
fn why(missing: &Missing) -> String {
    let range = |[low, high]: [f64; 2]| format!("Ca {low:.0} to {high:.0} µM");
    match missing {
        Missing::NoCrossing { to_lambda, ca_um } => {
            format!(
                "{} all the way to lambda {}",
                range(*ca_um),
                short(*to_lambda)
            )
        }
        Missing::Negative {
            channel,
            lambda,
            ca_um,
        } => format!(
            "{channel} negative from lambda {} on, {} until there",
            short(*lambda),
            range(*ca_um)
        ),
        Missing::PatternLost { pattern, at_lambda } => {
            format!(
                "the pattern is lost: {pattern} at lambda {}",
                short(*at_lambda)
            )
        }
        Missing::NoSolution { lambda } => {
            format!(
                "no conductances give the wanted ones at lambda {}",
                short(*lambda)
            )
        }
    }
}

fn page(scene: &Scene, outcome: &Outcome) -> String {
    let mut text = format!(
        "{}: {}\n{} from {} to {}\n",
        scene.name,
        scene.about,
        counted(outcome.cells.len()),
        seconds(outcome.at_ms),
        seconds(outcome.until_ms)
    );
    let mut described: Vec<String> = outcome.cells.iter().map(regulation).collect();
    described.dedup();
    for line in described {
        text.push_str(&format!(" {line}\n"));
    }
    text.push('\n');
    match outcome.cells.len() > LISTED_CELLS {
        true => text.push_str("More cells than a person reads: --csv and --json have them.\n"),
        false => text.push_str(&cells(outcome)),
    }
    let found = |cell: &&Cell| cell.prediction.intersection.is_some();
    let with = outcome.cells.iter().filter(found).count();
    text.push_str(&format!(
        "\n{with} of {} with an intersection\n",
        counted(outcome.cells.len())
    ));
    if let Some(confusion) = &outcome.confusion {
        text.push_str(&confusion_table(confusion));
    }
    if !outcome.conductances.is_empty() {
        text.push_str(&comparison_table(&outcome.conductances));
        text.push_str(&near(&outcome.cells));
    }
    text
}

fn counted(cells: usize) -> String {
    match cells {
        1 => "1 cell".to_owned(),
        n => format!("{n} cells"),
    }
}

/// What regulates a cell, in words.
fn regulation(cell: &Cell) -> String {
    let mut text = format!(
        "homeostasis moves {} for Ca {} µM",
        cell.moved.join(", "),
        cell.ca_target_um
    );
    if let Some([g_s, g_u]) = cell.held_for.filter(|_| !cell.held.is_empty()) {
        let held = cell.held.join(", ");
        text.push_str(&format!(
            "; a controller holds {held} at g_s {g_s}, g_u {g_u}"
        ));
    }
    text
}

fn cells(outcome: &Outcome) -> String {
    let ran = outcome.confusion.is_some();
    let mut head = vec![
        "cell",
        "lambda",
        "Ca",
        "fires",
        "intersection",
        "Ca",
        "fires",
        "later",
    ];
    if ran {
        head.extend(["reached", "Ca", "fires", "outcome"]);
    }
    let mut reasons = Vec::new();
    let rows = outcome.cells.iter().map(|cell| {
        let prediction = &cell.prediction;
        let mut row = vec![cell.name.clone()];
        row.extend(place(Some(&prediction.from)));
        row.extend(place(prediction.intersection.as_ref()));
        if let Some(missing) = &prediction.missing {
            reasons.push(format!("{}: none: {}\n", cell.name, why(missing)));
        }
        let later = prediction.later.iter().map(|place| short(place.lambda));
        row.push(later.collect::<Vec<_>>().join(" "));
        if let Some(reached) = &cell.reached {
            row.extend(place(Some(&reached.place)));
            row.push(verdict(reached).to_owned());
        }
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let texts = [0, 3, 6, 10, 11];
    table(&head, &texts, rows) + &reasons.concat()
}

/// Lambda, calcium and pattern of a place.
fn place(place: Option<&Place>) -> [String; 3] {
    match place {
        None => ["none", "", ""].map(str::to_owned),
        Some(place) => [
            short(place.lambda),
            format!("{:.1}", place.state.ca_mean_um),
            place.state.pattern.to_string(),
        ],
    }
}

fn verdict(reached: &Reached) -> &'static str {
    match (reached.kept_pattern, reached.calcium_in_place) {
        (true, true) => "settled",
        (true, false) => "calcium off",
        (false, true) => "pattern lost",
        (false, false) => "both lost",
    }
}

fn confusion_table(confusion: &Confusion) -> String {
    let Confusion {
        hit,
        false_alarm,
        miss,
        correct_rejection,
    } = confusion;
    let percent = 100.0 * IN_PLACE;
    let row = |name: &str, settled: &usize, not: &usize| {
        vec![name.to_owned(), settled.to_string(), not.to_string()]
    };
    let rows = vec![
        row("intersection", hit, false_alarm),
        row("none", miss, correct_rejection),
    ];
    format!(
        "\nPredicted, and come to (settled: pattern kept, calcium within {percent} % of target)\n{}",
        table(&["", "settled", "not"], &[0], rows)
    )
}

fn comparison_table(comparisons: &[Comparison]) -> String {
    let percent = |x: f64| format!("{:.2} %", 100.0 * x);
    let rows = comparisons.iter().map(|c| {
        vec![
            c.channel.clone(),
            short(c.predicted),
            short(c.reached),
            percent(c.median_difference),
            percent(c.greatest_difference),
        ]
    });
    let cells = comparisons
        .iter()
        .map(|c| c.cells)
        .max()
        .unwrap_or_default();
    format!(
        "\nConductances of cells that settled, as predicted (medians of {}, mS/cm²)\n{}",
        counted(cells),
        table(
            &["", "predicted", "reached", "median off", "most off"],
            &[0],
            rows.collect()
        )
    )
}

/// How many cells came close to where they were predicted; others went on to a later crossing.
fn near(cells: &[Cell]) -> String {
    const NEAR: f64 = 0.03;
    let off = cells.iter().filter_map(|cell| {
        let predicted = cell.prediction.intersection.as_ref()?;
        let reached = cell.reached.as_ref().filter(|reached| reached.settled())?;
        Some((reached.place.lambda / predicted.lambda - 1.0).abs())
    });
    let off: Vec<f64> = off.collect();
    let near = off.iter().filter(|off| **off <= NEAR).count();
    format!(
        "{near} of {} are within {} % of the predicted lambda\n",
        counted(off.len()),
        100.0 * NEAR
    )
}

/// A table; columns that are not `texts` are numbers.
pub(super) fn table(head: &[&str], texts: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head)
        .add_rows(rows);
    for (k, column) in table.column_iter_mut().enumerate() {
        if !texts.contains(&k) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines();
    lines
        .map(|line| format!(" {}\n", line.trim_end()))
        .collect()
}
