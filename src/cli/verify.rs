//! `homarus verify SCENE…`: runs scenes and holds them against what they expect.

use std::{io, process::ExitCode};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use homarus_systems::assembly::RunError;
use serde::Serialize;
use serde_json::Value;

use super::{
    execution, interrupt::Interrupt, message, output, progress::Kind, setting, table,
    table::significant, wrong,
};
use crate::record::summary::Status;
use crate::run::{self, Failure};
use crate::scene::{self, Kind as FileKind, Scene, shipped};
use crate::science::expect::{Expectations, Finding, Found};

/// Run scenes and hold each against its own `expect` section.
///
/// Exit code: 1 if something is not as expected or a run fails, else 0.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus verify half_centre
  homarus verify stg_cell half_centre --json")]
pub(super) struct Arguments {
    /// .ron files, or names of shipped scenes (`homarus list networks`).
    #[arg(value_name = "SCENE", required_unless_present = "all")]
    scenes: Vec<String>,
    /// Every scene that ships and expects something: the reproduction of what is published.
    #[arg(long, conflicts_with_all = ["scenes", "set"])]
    all: bool,
    /// Set a scalar or setting before the start, by path, in every scene; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    execution: execution::Flags,
    /// How progress is told on stderr: a bar in a terminal, JSON lines, or not at all.
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    progress: Kind,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Print no messages, only data.
    #[arg(long)]
    quiet: bool,
}

/// What came of a scene.
#[derive(Serialize)]
struct Verified {
    scene: String,
    scene_hash: String,
    /// Whether everything is as expected.
    met: bool,
    /// Why the run failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    wall_s: f64,
    expectations: Vec<Finding>,
}

/// The JSON of a call.
#[derive(Serialize)]
struct Report<'a> {
    homarus: &'static str,
    met: bool,
    scenes: &'a [Verified],
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let execution = arguments.execution.execution(arguments.quiet)?;
    let names = match arguments.all {
        true => expecting(),
        false => arguments.scenes.clone(),
    };
    // Everything is read before anything runs.
    let mut scenes = Vec::new();
    for name in &names {
        scenes.push(read(name, arguments)?);
    }
    let interrupt = Interrupt::listen();
    let mut all = Vec::new();
    for scene in &scenes {
        let expectations = Expectations::of(scene)?;
        let mut progress = arguments.progress.show(arguments.quiet);
        let outcome = run::run_observed(scene, &execution, expectations.samplers(), &mut |now| {
            progress.tell(now);
            interrupt.asked()
        });
        progress.end();
        let (outcome, samplers) = outcome?;
        if outcome.summary.status == Status::Stopped {
            return Err(table::stopped_at(outcome.summary.model_ms));
        }
        let findings = expectations.judge(&outcome.summary, &samplers);
        let verified = Verified {
            scene: scene.name.clone(),
            scene_hash: outcome.summary.scene_hash,
            met: outcome.error.is_none() && findings.iter().all(|finding| finding.met),
            error: outcome.error.as_ref().map(RunError::to_string),
            wall_s: outcome.summary.wall_s,
            expectations: findings,
        };
        if !arguments.json {
            let before = if all.is_empty() { "" } else { "\n" };
            output(&format!("{before}{}", page(scene, &verified)))?;
        }
        if let Some(error) = &verified.error {
            message(&format!("homarus: {}: {error}\n", scene.name));
        }
        all.push(verified);
    }
    let met = all.iter().all(|verified| verified.met);
    if arguments.json {
        let report = Report {
            homarus: env!("CARGO_PKG_VERSION"),
            met,
            scenes: &all,
        };
        // Every number of it is finite or null, and its keys are text.
        output(&(serde_json::to_string_pretty(&report).map_err(io::Error::other)? + "\n"))?;
    } else if all.len() > 1 {
        let fine = all.iter().filter(|verified| verified.met).count();
        output(&format!(
            "\n{fine} of {} scenes are as expected\n",
            all.len()
        ))?;
    }
    Ok(match met {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// A scene with what it expects, in so far as it runs long enough for that.
fn read(name: &str, arguments: &Arguments) -> Result<Scene, Failure> {
    let mut notes = Vec::new();
    let mut scene = setting::read(name, &arguments.set)?;
    let written = scene.expect.len();
    setting::apply(&mut scene, &arguments.set, &mut notes)?;
    let name = &scene.name;
    if written == 0 {
        return Err(wrong(
            format!("scene `{name}` expects nothing"),
            Some(
                "give it for instance `expect: [(measure: \"windows.settled.cells.A.period_ms\", \
                 value: 219, relative: 0.02)]`"
                    .to_owned(),
            ),
        ));
    }
    if scene.expect.is_empty() {
        return Err(wrong(
            format!(
                "nothing that `{name}` expects lies within {} ms",
                scene.duration_ms
            ),
            Some("let it run longer".to_owned()),
        ));
    }
    match written - scene.expect.len() {
        0 => {}
        1 => notes.push(format!("1 expectation of `{name}` goes with them")),
        n => notes.push(format!("{n} expectations of `{name}` go with them")),
    }
    Expectations::of(&scene)?;
    if !arguments.quiet {
        for note in notes {
            message(&format!("warning: {note}\n"));
        }
    }
    Ok(scene)
}

/// Names of the shipped scenes that expect something.
fn expecting() -> Vec<String> {
    let scenes = shipped().into_iter();
    let scenes = scenes.filter(|file| [FileKind::Network, FileKind::Study].contains(&file.kind));
    let expects = |name: &String| scene::read(name).is_ok_and(|scene| !scene.expect.is_empty());
    scenes.map(|file| file.name).filter(expects).collect()
}

/// Cells that are named where they are not as wanted.
const NAMED: usize = 3;

fn page(scene: &Scene, verified: &Verified) -> String {
    let mut rows = Table::new();
    rows.load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["quantity", "wanted", "found", ""]);
    for finding in &verified.expectations {
        let verdict = if finding.met { "ok" } else { "MISSED" };
        // Nearly every quantity is that of a window.
        let quantity = finding.quantity.replacen("windows.", "", 1);
        rows.add_row([&quantity, &finding.wanted, &found(finding), verdict]);
    }
    let lines = rows.lines();
    let lines: String = lines
        .map(|line| format!(" {}\n", line.trim_end()))
        .collect();
    let met = verified.expectations.iter().filter(|f| f.met).count();
    let mut text = format!(
        "{}: {}\n{lines}{met} of {} as expected, {:.1} s\n",
        verified.scene,
        scene.about,
        verified.expectations.len(),
        verified.wall_s
    );
    for finding in verified.expectations.iter().filter(|finding| !finding.met) {
        let told = [&finding.source, &finding.note].into_iter().flatten();
        let told: Vec<&str> = told.map(String::as_str).collect();
        if !told.is_empty() {
            text.push_str(&format!("  {}: {}\n", finding.quantity, told.join("; ")));
        }
    }
    text
}

/// What was found, in a few words: the value, or the range of them and which are not as wanted.
fn found(finding: &Finding) -> String {
    let [first, .., last] = range(&finding.found)[..] else {
        return finding.found.first().map_or_else(String::new, value);
    };
    let missed: Vec<&Found> = finding.found.iter().filter(|found| !found.met).collect();
    let named = missed.iter().take(NAMED);
    let named: Vec<String> = named
        .map(|found| format!("{} {}", found.cell.as_deref().unwrap_or(""), value(found)))
        .collect();
    let more = match missed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let missed = match named.is_empty() {
        true => String::new(),
        false => format!(" (not {}{more})", named.join(", ")),
    };
    match value(first) == value(last) {
        true => format!("{}{missed}", value(first)),
        false => format!("{} to {}{missed}", value(first), value(last)),
    }
}

/// Several values in ascending order; words stay as they are.
fn range(found: &[Found]) -> Vec<&Found> {
    let mut sorted: Vec<&Found> = found.iter().collect();
    let number = |found: &Found| found.value.as_f64().unwrap_or(f64::NAN);
    sorted.sort_by(|a, b| number(a).total_cmp(&number(b)));
    sorted
}

fn value(found: &Found) -> String {
    match &found.value {
        Value::Null => "undefined".to_owned(),
        Value::String(word) => word.clone(),
        Value::Number(n) if n.is_u64() => n.to_string(),
        other => significant(other.as_f64().unwrap_or(f64::NAN)),
    }
}
