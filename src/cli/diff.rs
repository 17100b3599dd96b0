//! `homarus diff A B`: where two bundles part.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::{output, replay::no_bundle, wrong};
use crate::record::reader::{Item, Recorded, Rows, recorded};
use crate::rhythm::{CellReport, RhythmReport, WindowReport};
use crate::run::Failure;
use crate::scene;

/// Tables of a bundle.
const TABLES: [&str; 4] = ["spikes", "bursts", "samples", "events"];

/// Show where two bundles part: the first row, cell and scalar of each table, and how their rhythms
/// differ.
///
/// Exit code: 0 if they tell the same, 1 if they part, 2 if one of them cannot be read.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus run half_centre -o one --duration-ms 5000
  homarus run half_centre -o two --duration-ms 5000 --threads 2
  homarus diff one two
  homarus diff one two --json")]
pub(super) struct Arguments {
    /// The folder of one run.
    a: PathBuf,
    /// The folder of another.
    b: PathBuf,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// Where two tables part.
#[derive(Serialize)]
struct Parting {
    table: &'static str,
    /// In words.
    what: String,
    /// Number of the row, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    /// Time of the row (ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    t_ms: Option<Item>,
    /// Cell, edge or path of the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Item>,
    /// Column of the first difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    a: Option<Item>,
    b: Option<Item>,
}

/// A number of the rhythm tables that is not the same.
#[derive(Serialize)]
struct Shift {
    window: String,
    /// Rhythm, rhythm and cell, or cell.
    of: String,
    what: &'static str,
    a: Value,
    b: Value,
}

/// What the scenes say otherwise.
#[derive(Serialize)]
struct SceneShift {
    place: String,
    a: Option<String>,
    b: Option<String>,
}

/// The JSON of a call.
#[derive(Serialize)]
struct Report {
    homarus: &'static str,
    a: String,
    b: String,
    same: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scene: Option<SceneShift>,
    tables: Vec<Parting>,
    rhythms: Vec<Shift>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let (a, b) = (&arguments.a, &arguments.b);
    let (one, _) = recorded(a).map_err(no_bundle)?;
    let (other, _) = recorded(b).map_err(no_bundle)?;
    let mut tables = Vec::new();
    for table in TABLES {
        let parting = parting(table, (a, &one), (b, &other));
        let parting = parting.map_err(|error| wrong(error.to_string(), None))?;
        tables.extend(parting);
    }
    let scene = match one.scene_hash == other.scene_hash {
        true => None,
        false => scenes(a, b),
    };
    let rhythms = rhythms(&one, &other);
    let report = Report {
        homarus: env!("CARGO_PKG_VERSION"),
        a: a.display().to_string(),
        b: b.display().to_string(),
        same: tables.is_empty() && rhythms.is_empty() && one.scene_hash == other.scene_hash,
        scene,
        tables,
        rhythms,
    };
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&report).map_err(io::Error::other)? + "\n",
        false => page(&report),
    };
    output(&text)?;
    Ok(match report.same {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// What the scenes of two bundles say otherwise, where both can be read.
fn scenes(a: &Path, b: &Path) -> Option<SceneShift> {
    let scene = |dir: &Path| scene::read(&dir.join("scene.ron").display().to_string()).ok();
    let difference = scene(a)?.difference(&scene(b)?)?;
    Some(SceneShift {
        place: difference.place,
        a: difference.one,
        b: difference.other,
    })
}

/// Where a table of two bundles parts; `None`: it is the same in both.
fn parting(
    table: &'static str,
    (a, one): (&Path, &Recorded),
    (b, other): (&Path, &Recorded),
) -> io::Result<Option<Parting>> {
    let file = format!("{table}.parquet");
    let whole = |what: String| Parting {
        table,
        what,
        row: None,
        t_ms: None,
        owner: None,
        column: None,
        a: None,
        b: None,
    };
    let has = |recorded: &Recorded| recorded.files.iter().any(|own| own.name == file);
    match (has(one), has(other)) {
        (false, false) => return Ok(None),
        (true, false) => return Ok(Some(whole(format!("only in {}", a.display())))),
        (false, true) => return Ok(Some(whole(format!("only in {}", b.display())))),
        (true, true) => {}
    }
    let (mut one, mut other) = (Rows::open(&a.join(&file))?, Rows::open(&b.join(&file))?);
    if one.columns != other.columns {
        let (a, b) = (one.columns.join(", "), other.columns.join(", "));
        return Ok(Some(whole(format!("columns {a} | {b}"))));
    }
    let place = |name: &str| one.columns.iter().position(|column| column == name);
    let time = place("t_ms").or_else(|| place("on_ms"));
    let owner = place("cell").or_else(|| place("path"));
    let mut row = 0;
    loop {
        let (here, there) = (one.next_row()?, other.next_row()?);
        let of = |items: &[Item], k: Option<usize>| k.map(|k| items[k].clone());
        let parted = |what: String, items: &[Item]| Parting {
            row: Some(row),
            t_ms: of(items, time),
            owner: of(items, owner),
            ..whole(what)
        };
        match (here, there) {
            (None, None) => return Ok(None),
            (Some(items), None) => {
                let what = format!("{} ends after {row} rows", b.display());
                return Ok(Some(parted(what, &items)));
            }
            (None, Some(items)) => {
                let what = format!("{} ends after {row} rows", a.display());
                return Ok(Some(parted(what, &items)));
            }
            (Some(here), Some(there)) => {
                let mut columns = here.iter().zip(&there);
                if let Some(k) = columns.position(|(a, b)| !a.same(b)) {
                    let column = one.columns[k].clone();
                    let what = format!("{column} {} | {}", here[k], there[k]);
                    return Ok(Some(Parting {
                        column: Some(column),
                        a: Some(here[k].clone()),
                        b: Some(there[k].clone()),
                        ..parted(what, &here)
                    }));
                }
            }
        }
        row += 1;
    }
}

/// How the rhythm tables differ, window by window.
fn rhythms(one: &Recorded, other: &Recorded) -> Vec<Shift> {
    let mut shifts = Vec::new();
    let find = |windows: &[WindowReport], label: &str| {
        windows.iter().find(|window| window.label == label).cloned()
    };
    let there = |there: bool| Value::from(if there { "there" } else { "not there" });
    for window in &one.windows {
        match find(&other.windows, &window.label) {
            Some(same) => shifts.extend(window_shifts(window, &same)),
            None => shifts.push(Shift {
                window: window.label.clone(),
                of: String::new(),
                what: "window",
                a: there(true),
                b: there(false),
            }),
        }
    }
    let new = other.windows.iter();
    let new = new.filter(|window| find(&one.windows, &window.label).is_none());
    shifts.extend(new.map(|window| Shift {
        window: window.label.clone(),
        of: String::new(),
        what: "window",
        a: there(false),
        b: there(true),
    }));
    shifts
}

/// A number of a table and its name.
type Measure = (&'static str, Value);

fn of_window(window: &WindowReport) -> Vec<Measure> {
    vec![
        ("from_ms", window.from_ms.into()),
        ("to_ms", window.to_ms.into()),
    ]
}

fn of_rhythm(rhythm: &RhythmReport) -> Vec<Measure> {
    vec![
        ("verdict", rhythm.verdict.to_string().into()),
        ("period_ms", rhythm.period_ms.into()),
        ("period_cv", rhythm.period_cv.into()),
    ]
}

fn of_cell(cell: &CellReport) -> Vec<Measure> {
    vec![
        ("pattern", cell.pattern.to_string().into()),
        ("spikes", cell.spikes.into()),
        ("frequency_hz", cell.frequency_hz.into()),
        ("bursts", cell.bursts.into()),
        ("period_ms", cell.period_ms.into()),
        ("duty", cell.duty.into()),
        ("spikes_per_burst", cell.spikes_per_burst.into()),
        ("ca_mean_um", cell.ca_mean_um.into()),
    ]
}

fn window_shifts(a: &WindowReport, b: &WindowReport) -> Vec<Shift> {
    let mut shifts = Vec::new();
    let mut compare = |of: &str, one: Vec<Measure>, other: Vec<Measure>| {
        for ((what, a), (_, b)) in one.into_iter().zip(other) {
            if a != b {
                shifts.push(Shift {
                    window: String::new(),
                    of: of.to_owned(),
                    what,
                    a,
                    b,
                });
            }
        }
    };
    compare("", of_window(a), of_window(b));
    for rhythm in &a.rhythms {
        let Some(other) = b.rhythms.iter().find(|other| other.name == rhythm.name) else {
            continue;
        };
        compare(&rhythm.name, of_rhythm(rhythm), of_rhythm(other));
        for cell in &rhythm.cells {
            let Some(other) = other.cells.iter().find(|other| other.name == cell.name) else {
                continue;
            };
            let of = format!("{} in {}", cell.name, rhythm.name);
            compare(
                &of,
                vec![("phase", cell.phase.into()), ("lock", cell.lock.into())],
                vec![("phase", other.phase.into()), ("lock", other.lock.into())],
            );
        }
    }
    for cell in &a.cells {
        if let Some(other) = b.cells.iter().find(|other| other.name == cell.name) {
            compare(&cell.name, of_cell(cell), of_cell(other));
        }
    }
    for shift in &mut shifts {
        shift.window.clone_from(&a.label);
    }
    shifts
}

fn page(report: &Report) -> String {
    let (a, b) = (&report.a, &report.b);
    if report.same {
        return format!("{a} and {b} tell the same: every row, every rhythm\n");
    }
    let mut text = format!("{a} | {b}\n");
    if let Some(scene) = &report.scene {
        let says = |what: &Option<String>| what.clone().unwrap_or_else(|| "not there".to_owned());
        text.push_str(&format!(
            "\nscenes: {} is {} | {}\n",
            scene.place,
            says(&scene.a),
            says(&scene.b)
        ));
    }
    let mut table = plain();
    table.set_header(["table", "row", "t_ms", "cell", "first difference"]);
    let shown = |item: &Option<Item>| item.as_ref().map_or_else(String::new, Item::to_string);
    for parting in &report.tables {
        let row = parting.row.map_or_else(String::new, |row| row.to_string());
        let (t_ms, owner) = (shown(&parting.t_ms), shown(&parting.owner));
        table.add_row([parting.table, &row, &t_ms, &owner, &parting.what]);
    }
    match report.tables.is_empty() {
        true => text.push_str("\nevery table has the same rows\n"),
        false => text.push_str(&format!("\n{table}\n")),
    }
    let mut table = plain();
    table.set_header(["window", "of", "what", "A", "B"]);
    let shown = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => match value.as_f64() {
            Some(x) if !value.is_u64() => super::table::significant(x),
            _ => value.to_string(),
        },
    };
    for shift in &report.rhythms {
        let (a, b) = (shown(&shift.a), shown(&shift.b));
        table.add_row([&shift.window, &shift.of, shift.what, &a, &b]);
    }
    match report.rhythms.is_empty() {
        true => text.push_str("\nthe rhythms are the same\n"),
        false => text.push_str(&format!("\n{table}\n")),
    }
    text
}

fn plain() -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}
