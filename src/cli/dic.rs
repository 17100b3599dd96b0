//! `homarus dic CELL_OR_SCENE`: dynamic input conductances, and conductances that reach wanted ones.

use std::{io, process::ExitCode};

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use homarus_systems::{
    design::{MOST, NAMES, Request},
    nearest::nearest,
};
use serde::Serialize;

use super::{message, output, setting, table::significant, wrong};
use crate::run::Failure;
use crate::scene::model::LISTED_CELLS;
use crate::scene::{Diagnostic, Diagnostics, Subject, spawn};
use crate::science::dic::{Column, Design, Neuron, Origin, Point, Threshold};

/// Voltages (mV) of the curve where nothing else is said: a page of them, and finer as data.
const OVER: [f64; 2] = [-80.0, 20.0];
const PAGE_STEP: f64 = 5.0;
const DATA_STEP: f64 = 1.0;

/// Wanted fast, slow and ultraslow conductance, where they are wanted.
type Wanted = [Option<f64>; MOST];

/// Most voltages of a curve.
const MOST_POINTS: f64 = 10_000.0;

/// Show the dynamic input conductances of cells, or find conductances that reach wanted ones.
///
/// g_f, g_s and g_u (fast, slow, ultraslow) are the slope of the static I-V curve by timescale, in
/// units of the leak conductance; their sum g_in is zero at the threshold voltage V_th. The
/// sensitivity matrix says what a unit of each maximal conductance adds to the slope. What a block
/// leaves of a conductance counts. Exit code: 1 if no conductances reach what is wanted.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus dic stg_cell
  homarus dic half_centre --cell A --at -50 --json
  homarus dic stg --set leak.gbar=0.01 --set H.gbar=0.3 --over -60:-40:1 --csv
  homarus dic five_neuron_cells --cell 'slow/*' --design g_s=-8,g_u=4 --solve CaS,A")]
pub(super) struct Arguments {
    /// A .ron file, or the name of a shipped cell type or scene.
    #[arg(value_name = "CELL_OR_SCENE")]
    subject: String,
    /// Cells of a scene: one, a group, or a glob as in `slow/*`; all of them if nothing is said.
    #[arg(long, value_name = "CELL")]
    cell: Option<String>,
    /// Set a scalar first, by path; for a cell type the path begins with the channel, as in
    /// Na.gbar=4000; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Voltage (mV) of the sensitivity matrix and of a design instead of V_th.
    #[arg(long, value_name = "MV", allow_negative_numbers = true, value_parser = voltage)]
    at: Option<f64>,
    /// Voltages (mV) of the curve.
    #[arg(long, value_name = "FROM:TO:STEP", allow_hyphen_values = true, value_parser = curve, conflicts_with = "design")]
    over: Option<Over>,
    /// Find conductances that reach these dynamic input conductances, one to three of g_f, g_s, g_u.
    #[arg(long, value_name = "g_s=X,g_u=Y", requires = "solve")]
    design: Option<String>,
    /// The channels whose conductances are found, as many as there are wanted values.
    #[arg(long, value_name = "CHANNELS", requires = "design")]
    solve: Option<String>,
    /// Print one JSON object instead of tables.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV: the curve; with --at the sensitivity matrix; of a design the conductances.
    #[arg(long)]
    csv: bool,
}

/// Equally spaced voltages (mV).
#[derive(Clone, Copy)]
struct Over {
    from: f64,
    step: f64,
    points: usize,
}

impl Over {
    fn new([from, to]: [f64; 2], step: f64) -> Self {
        // A range that is whole steps long may come out a little shorter.
        let steps = ((to - from) / step + 1e-9).floor();
        Over {
            from,
            step,
            points: steps as usize + 1,
        }
    }

    /// To 1 pV, so that decimal steps give decimal voltages.
    fn voltages(self) -> impl Iterator<Item = f64> {
        (0..self.points).map(move |k| ((self.from + k as f64 * self.step) * 1e9).round() / 1e9)
    }
}

/// A voltage (mV) given by a flag; the error says what one looks like.
fn voltage(value: &str) -> Result<f64, String> {
    let number = value.trim().parse::<f64>().ok();
    number
        .filter(|v| v.abs() <= 200.0)
        .ok_or_else(|| "expected a voltage from -200 to 200 mV, for instance -50".to_owned())
}

fn curve(value: &str) -> Result<Over, String> {
    let wanted = || "expected FROM:TO:STEP in mV, for instance -70:-40:0.5".to_owned();
    let parts: Vec<&str> = value.split(':').collect();
    let [from, to, step] = parts.as_slice() else {
        return Err(wanted());
    };
    let (from, to) = (voltage(from)?, voltage(to)?);
    let step: f64 = step.trim().parse().map_err(|_| wanted())?;
    if !(step > 0.0 && step.is_finite()) || to < from {
        return Err(wanted());
    }
    if (to - from) / step > MOST_POINTS {
        return Err(format!("these are more than {MOST_POINTS} voltages"));
    }
    Ok(Over::new([from, to], step))
}

/// What is printed of a cell.
#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    cell_type: &'a str,
    #[serde(flatten)]
    threshold: Threshold,
    /// Channels whose conductance is 0.
    missing: Vec<&'a str>,
    at: Point,
    ca_eq_um: Option<f64>,
    sensitivity: Vec<Column>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    curve: Vec<Point>,
    #[serde(skip_serializing_if = "Option::is_none")]
    design: Option<Design>,
    /// Why no conductances reach what is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_answer: Option<String>,
}

/// The JSON of a call.
#[derive(Serialize)]
struct Reports<'a> {
    homarus: &'static str,
    subject: &'a str,
    cells: &'a [Report<'a>],
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let wanted = arguments.design.as_deref().map(wanted).transpose()?;
    let neurons = neurons(arguments)?;
    let mut reports = Vec::new();
    for neuron in &neurons {
        let request = match (wanted, &arguments.solve) {
            (Some(wanted), Some(channels)) => Some((wanted, lanes(neuron, channels, wanted)?)),
            _ => None,
        };
        reports.push((neuron, request));
    }
    let reports: Vec<Report> = reports
        .iter()
        .map(|(neuron, request)| report(neuron, request.as_ref(), arguments))
        .collect();
    output(&match (arguments.json, arguments.csv) {
        (true, _) => {
            let all = Reports {
                homarus: env!("CARGO_PKG_VERSION"),
                subject: &arguments.subject,
                cells: &reports,
            };
            // Every number of it is finite or null, and its keys are text.
            serde_json::to_string_pretty(&all).map_err(io::Error::other)? + "\n"
        }
        (_, true) => csv(&reports, arguments)?,
        _ => page(&reports, wanted),
    })?;
    let mut code = ExitCode::SUCCESS;
    for report in &reports {
        if let Some(why) = &report.no_answer {
            message(&format!("homarus: {}: no answer: {why}\n", report.name));
            code = ExitCode::from(1);
        }
    }
    Ok(code)
}

/// The cells that are asked for.
fn neurons(arguments: &Arguments) -> Result<Vec<Neuron>, Failure> {
    let (scene, chosen) = match setting::read_subject(&arguments.subject, &arguments.set)? {
        Subject::Scene(mut scene) => {
            setting::apply(&mut scene, &arguments.set, &mut Vec::new())?;
            (scene, arguments.cell.as_deref())
        }
        Subject::CellType(mut scene) => {
            if let Some(cell) = &arguments.cell {
                return Err(wrong(
                    format!("`--cell {cell}`: `{}` is a cell type, no scene", scene.name),
                    Some("leave `--cell` away".to_owned()),
                ));
            }
            let name = scene.name.clone();
            setting::apply_to_lone(&mut scene, &arguments.set, &name)?;
            (scene, None)
        }
    };
    let mut simulation = spawn::spawn(&scene)?;
    // A network that cannot start is an error of its scene: nothing has run yet.
    simulation
        .start()
        .map_err(|error| Diagnostics::from(Diagnostic::new(error.to_string())))?;
    let cells = match chosen {
        Some(selector) => simulation
            .names()
            .select_cells(selector)
            .map_err(|error| wrong(error.message, error.help))?,
        None => (0..scene.cells.len()).collect(),
    };
    if cells.len() > LISTED_CELLS {
        return Err(wrong(
            format!("these are {} cells, more than are read", cells.len()),
            Some(format!("choose at most {LISTED_CELLS} with `--cell`")),
        ));
    }
    let of = |cell: &usize| Neuron::of(&simulation, *cell);
    let neurons: Vec<Neuron> = cells.iter().filter_map(of).collect();
    let without = cells.iter().find(|cell| of(cell).is_none());
    if let Some(cell) = without {
        let cell = &scene.cells[*cell];
        let cell_type = &scene.cell_types[cell.cell_type].name;
        if neurons.is_empty() {
            return Err(wrong(
                format!("cell type `{cell_type}` has no `dic`: its timescales are unknown"),
                Some(
                    "give its file `dic: (fast: \"Na.m\", slow: \"Kd.m\", ultraslow: 100, threshold: \
                     Fixed(-50), normalise_by: \"leak\")` with channels and gates of its own"
                        .to_owned(),
                ),
            ));
        }
        message(&format!(
            "note: cells like `{}` are left out: cell type `{cell_type}` has no `dic`\n",
            cell.name
        ));
    }
    Ok(neurons)
}

/// What is wanted, `g_s=-8,g_u=4`.
fn wanted(text: &str) -> Result<Wanted, Failure> {
    let mut wanted = [None; MOST];
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| {
            wrong(
                format!("`--design {text}`: `{part}` has no `=`"),
                Some("write for instance --design g_s=-8,g_u=4".to_owned()),
            )
        })?;
        let name = name.trim();
        let row = NAMES
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| {
                let help = match nearest(name, NAMES) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "there are `g_f`, `g_s` and `g_u` (fast, slow, ultraslow)".to_owned(),
                };
                wrong(
                    format!("there is no dynamic input conductance `{name}`"),
                    Some(help),
                )
            })?;
        let number = setting::number(name, value.trim())?;
        if wanted[row].replace(number).is_some() {
            return Err(wrong(
                format!("`--design {text}` wants `{name}` twice"),
                Some("keep one of the two".to_owned()),
            ));
        }
    }
    Ok(wanted)
}

/// Lanes of the channels that are solved for, `CaS,A`.
fn lanes(neuron: &Neuron, text: &str, wanted: Wanted) -> Result<Vec<usize>, Failure> {
    let cell = &neuron.cell;
    let mut lanes = Vec::new();
    for name in text.split(',').map(str::trim) {
        let lane = cell.lane(name).ok_or_else(|| {
            let known: Vec<&str> = (0..cell.channels()).map(|k| cell.channel_name(k)).collect();
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", known.join(", ")),
            };
            let of = &cell.definition.name;
            wrong(
                format!("cell type `{of}` has no channel `{name}`"),
                Some(help),
            )
        })?;
        if lanes.contains(&lane) {
            return Err(wrong(
                format!("`--solve {text}` names `{name}` twice"),
                Some("each channel once".to_owned()),
            ));
        }
        if neuron.left[lane] != 1.0 {
            return Err(wrong(
                format!(
                    "`{}.{name}` is blocked and cannot be solved for",
                    neuron.name
                ),
                Some("solve for other channels, or set its `block` to 1".to_owned()),
            ));
        }
        lanes.push(lane);
    }
    let count = wanted.iter().flatten().count();
    if lanes.len() != count {
        let things = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        return Err(wrong(
            format!(
                "{} cannot be solved from {}",
                things(lanes.len(), "conductance"),
                things(count, "wanted value")
            ),
            Some("`--solve` names as many channels as `--design` wants values".to_owned()),
        ));
    }
    Ok(lanes)
}

fn report<'a>(
    neuron: &'a Neuron,
    request: Option<&(Wanted, Vec<usize>)>,
    arguments: &Arguments,
) -> Report<'a> {
    let v = arguments.at.unwrap_or(neuron.threshold.v_th_mv);
    let (mut design, mut no_answer) = (None, None);
    if let Some((wanted, lanes)) = request {
        let (wanted, lanes) = (*wanted, lanes.as_slice());
        match neuron.design(Request {
            v,
            lanes,
            wanted,
            own_calcium: false,
        }) {
            Ok(found) => design = Some(found),
            Err(why) => no_answer = Some(why.to_string()),
        }
    }
    let step = match arguments.json || arguments.csv {
        true => DATA_STEP,
        false => PAGE_STEP,
    };
    let over = arguments.over.unwrap_or_else(|| Over::new(OVER, step));
    let over = request.is_none().then_some(over);
    let curve = over.into_iter().flat_map(Over::voltages);
    Report {
        name: &neuron.name,
        cell_type: &neuron.cell.definition.name,
        threshold: neuron.threshold,
        missing: neuron.missing(),
        at: neuron.at(v),
        ca_eq_um: neuron.calcium(v),
        sensitivity: neuron.sensitivity(v),
        curve: curve.map(|v| neuron.at(v)).collect(),
        design,
        no_answer,
    }
}

fn csv(reports: &[Report], arguments: &Arguments) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let cell = |x: Option<f64>| x.map_or_else(String::new, |x| x.to_string());
    let mut write = |fields: Vec<String>| writer.write_record(fields).map_err(io::Error::other);
    let head = |names: &str| names.split(',').map(str::to_owned).collect();
    match (&arguments.design, arguments.at) {
        (Some(_), _) => {
            write(head("cell,channel,before,gbar"))?;
            for report in reports {
                for c in report.design.iter().flat_map(|design| &design.channels) {
                    let numbers = [c.before, c.gbar].map(|x| x.to_string());
                    write(row(&[report.name, &c.channel], numbers))?;
                }
            }
        }
        (None, Some(_)) => {
            write(head("cell,v_mv,channel,gbar,fast,slow,ultraslow"))?;
            for report in reports {
                let v = report.at.v_mv.to_string();
                for c in &report.sensitivity {
                    let numbers = [c.gbar, c.fast, c.slow, c.ultraslow].map(|x| x.to_string());
                    write(row(&[report.name, &v, &c.channel], numbers))?;
                }
            }
        }
        (None, None) => {
            write(head("cell,v_mv,g_f,g_s,g_u,g_in"))?;
            for report in reports {
                for p in &report.curve {
                    let numbers = [Some(p.v_mv), p.g_f, p.g_s, p.g_u, p.g_in].map(cell);
                    write(row(&[report.name], numbers))?;
                }
            }
        }
    }
    let bytes = writer.into_inner().map_err(io::Error::other)?;
    Ok(String::from_utf8(bytes).map_err(io::Error::other)?)
}

/// A row of a table: texts, then numbers.
fn row(texts: &[&str], numbers: impl IntoIterator<Item = String>) -> Vec<String> {
    let texts = texts.iter().map(|text| (*text).to_owned());
    texts.chain(numbers).collect()
}

fn optional(x: Option<f64>) -> String {
    x.map_or_else(|| "-".to_owned(), significant)
}

/// `g_f 1.0, g_s -8.0, g_u 4.0`.
fn timescales(point: &Point) -> String {
    let values = NAMES.iter().zip(point.timescales());
    let values: Vec<String> = values
        .map(|(name, x)| format!("{name} {}", optional(x)))
        .collect();
    values.join(", ")
}

fn table(header: &[&str], texts: usize, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header)
        .add_rows(rows);
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines = table.lines();
    lines
        .map(|line| format!(" {}\n", line.trim_end()))
        .collect()
}

fn page(reports: &[Report], wanted: Option<Wanted>) -> String {
    let pages: Vec<String> = match (wanted, reports) {
        (Some(wanted), _) => {
            let designs = reports.iter();
            designs
                .filter_map(|report| Some(design_page(report, report.design.as_ref()?, wanted)))
                .collect()
        }
        (None, [report]) => vec![full(report)],
        (None, _) => vec![overview(reports)],
    };
    pages.join("\n")
}

/// Where a threshold comes from, in words.
fn origin(from: Origin) -> &'static str {
    match from {
        Origin::Scan => "where g_in falls through zero",
        Origin::Fallback => "g_in does not fall through zero: what the cell type takes then",
        Origin::Fixed => "fixed by the cell type",
        Origin::Controller => "that of its controller",
    }
}

/// A line each of many cells.
fn overview(reports: &[Report]) -> String {
    let rows = reports.iter().map(|report| {
        let mut row = vec![report.name.to_owned(), report.cell_type.to_owned()];
        row.push(report.threshold.v_th_mv.to_string());
        row.push(report.at.v_mv.to_string());
        row.extend(report.at.timescales().map(optional));
        row.push(optional(report.at.g_in));
        row
    });
    let header = [
        "cell", "type", "V_th mV", "at mV", "g_f", "g_s", "g_u", "g_in",
    ];
    let mut text = table(&header, 2, rows);
    for report in reports {
        text.push_str(&missing(report));
    }
    text + "\n`--cell NAME` shows the sensitivity matrix and the curve of one.\n"
}

/// What is said of a cell without some conductances.
fn missing(report: &Report) -> String {
    let Some(first) = report.missing.first() else {
        return String::new();
    };
    format!(
        "{} has no conductance of {}; each counts as 0.\n  `--set {first}.gbar=…` gives one (mS/cm²).\n",
        report.name,
        report.missing.join(", ")
    )
}

fn full(report: &Report) -> String {
    let Threshold { v_th_mv, v_th_from } = report.threshold;
    let mut text = format!("{} (cell type {})\n", report.name, report.cell_type);
    text.push_str(&missing(report));
    text.push_str(&format!("V_th {v_th_mv} mV: {}\n", origin(v_th_from)));
    let v = report.at.v_mv;
    match report.at.g_in {
        Some(g_in) => text.push_str(&format!(
            "at {v} mV: {}, g_in {}\n",
            timescales(&report.at),
            significant(g_in)
        )),
        None => text.push_str("no leak to normalise by, so there are no g_f, g_s and g_u\n"),
    }
    if let Some(ca) = report.ca_eq_um {
        text.push_str(&format!("equilibrium calcium {} µM\n", significant(ca)));
    }
    text.push_str(&format!(
        "\nSensitivity matrix at {v} mV: slope added by 1 mS/cm² of each channel\n"
    ));
    let rows = report.sensitivity.iter().map(|column| {
        let Column {
            channel,
            gbar,
            fast,
            slow,
            ultraslow,
        } = column;
        let numbers = [*gbar, *fast, *slow, *ultraslow].map(significant);
        row(&[channel], numbers)
    });
    let header = ["channel", "gbar mS/cm²", "fast", "slow", "ultraslow"];
    text.push_str(&table(&header, 1, rows));
    if report.at.g_in.is_some() {
        text.push_str("\nCurve\n");
        let rows = report.curve.iter().map(|point| {
            let [f, s, u] = point.timescales();
            let numbers = [f, s, u, point.g_in].map(optional);
            row(&[&point.v_mv.to_string()], numbers)
        });
        text.push_str(&table(&["V mV", "g_f", "g_s", "g_u", "g_in"], 0, rows));
    }
    text
}

fn design_page(report: &Report, design: &Design, wanted: Wanted) -> String {
    let named = NAMES.iter().zip(wanted);
    let named: Vec<String> = named
        .filter_map(|(name, x)| Some(format!("{name} {}", significant(x?))))
        .collect();
    let v = report.at.v_mv;
    let at_threshold = match v == report.threshold.v_th_mv {
        true => "its V_th before",
        false => "as asked",
    };
    let mut text = format!(
        "{} (cell type {}): {} at {v} mV, {at_threshold}\n",
        report.name,
        report.cell_type,
        named.join(", ")
    );
    text.push_str(&missing(report));
    let rows = design.channels.iter().map(|c| {
        let numbers = [c.before, c.gbar].map(significant);
        row(&[&c.channel], numbers)
    });
    text.push_str(&table(
        &["channel", "before mS/cm²", "found mS/cm²"],
        1,
        rows,
    ));
    text.push_str(&format!(
        "reached at {v} mV: {}\n",
        timescales(&design.reached)
    ));
    let Threshold { v_th_mv, v_th_from } = design.threshold;
    text.push_str(&format!(
        "V_th before {} mV, after {v_th_mv} mV: moved by {:+.2} mV\n",
        report.threshold.v_th_mv, design.moved_mv
    ));
    if v_th_from == Origin::Fallback {
        text.push_str(&format!("  ({})\n", origin(v_th_from)));
    }
    if design.at_threshold.v_mv != v {
        text.push_str(&format!(
            "at {} mV: {}\n",
            design.at_threshold.v_mv,
            timescales(&design.at_threshold)
        ));
    }
    if let Some(own) = &design.own_calcium {
        let replaced = own.replaced.iter();
        let replaced: Vec<String> = replaced
            .map(|(channel, g)| format!("{channel} at {g} mS/cm²"))
            .collect();
        let exact = match &own.gbar {
            Some(gbar) => {
                let found = design.channels.iter().zip(gbar);
                let found = found.map(|(c, g)| format!("{} {}", c.channel, significant(*g)));
                found.collect::<Vec<_>>().join(", ")
            }
            None => "none found".to_owned(),
        };
        text.push_str(&format!(
            "calcium taken with {}, as controllers of the type do;\n  \
             with the calcium of the found conductances: {exact}\n",
            replaced.join(", ")
        ));
    }
    text
}
