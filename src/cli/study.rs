//! `homarus study FILE`.

use std::{io, path::PathBuf, process::ExitCode};

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use super::{
    execution,
    interrupt::Interrupt,
    message, output,
    progress::{Kind, clock},
    wrong,
};
use crate::{
    execution::Execution,
    record::reader::{Item, Whole},
    run::Failure,
    study::{
        design::Plan,
        engine::{self, Ending},
        file,
        folder::{Folder, Manifest, Refusal, Status},
        journal::Journal,
        member,
        model::Study,
        results,
    },
};

/// More members than this are asked about.
const MANY: u64 = 10_000_000;
/// Whole of the summary that are printed as a table.
const PRINTED: usize = 60;

/// Run a study: networks, each perturbed in many ways, and print what became of their rhythms.
///
/// What is finished is safe in the folder of the results whatever happens; the same command goes on
/// from there.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus study half_centre_coupling -o coupling
  homarus study pyloric_jitter --set networks.count=10 --dry-run")]
pub(super) struct Arguments {
    /// A .ron file, or the name of a shipped study (`homarus list studies`).
    #[arg(value_name = "FILE")]
    study: String,
    /// The folder of the results, new or of the same study; default: the name of the study and
    /// `-results`.
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Set a setting of the study, or a scalar or setting of its scenes, by path; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Write the tables as CSV, too.
    #[arg(long)]
    csv: bool,
    /// Only tell how many members there are, and what time and disk they would take, about.
    #[arg(long)]
    dry_run: bool,
    /// Run more than 10 million members.
    #[arg(long)]
    yes: bool,
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

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let execution = arguments.execution.execution(arguments.quiet)?;
    let study = file::read(&arguments.study, &arguments.set)?;
    results::check(&study)?;
    let plan = Plan::new(&study).ok_or_else(|| {
        let help = "a coarser grid, or a sampled `design`".to_owned();
        wrong(
            "there are more members than can be counted".to_owned(),
            Some(help),
        )
    })?;
    engine::check(&study, &plan)?;
    if arguments.dry_run {
        return dry_run(arguments, &study, &plan, &execution);
    }
    let members = plan.counts().members();
    if members > MANY && !arguments.yes {
        let help = "see what they take with `--dry-run`, then run them with `--yes`".to_owned();
        return Err(wrong(
            format!("the study has {members} members"),
            Some(help),
        ));
    }
    let dir = arguments
        .out
        .clone()
        .unwrap_or_else(|| format!("{}-results", study.name).into());
    let manifest = Manifest::of(&study, &arguments.set, plan.counts());
    let mut folder = match Folder::open(&dir, &study, manifest) {
        Ok(folder) => folder,
        Err(Refusal::Disk(error)) => return Ok(disk(&error, "nothing was run")),
        Err(Refusal::Wrong { message, help }) => return Err(wrong(message, Some(help))),
    };
    let say = |text: &str| {
        if !arguments.quiet {
            message(text);
        }
    };
    match folder.manifest.status {
        Status::Complete => {
            folder.forget_journal();
            say(&format!(
                "`{}` is complete; nothing to run\n",
                dir.display()
            ));
        }
        Status::Running => {
            if let Some(code) = finish(arguments, &study, &plan, &execution, &mut folder)? {
                return Ok(code);
            }
            say(&format!("results written to {}\n", dir.display()));
        }
    }
    told(arguments, &study, &folder)
}

/// Runs what is missing and writes the tables; gives the exit code where it did not come to that.
fn finish(
    arguments: &Arguments,
    study: &Study,
    plan: &Plan,
    execution: &Execution,
    folder: &mut Folder,
) -> Result<Option<ExitCode>, Failure> {
    let mut journal = match folder.journal() {
        Ok(journal) => journal,
        Err(Refusal::Disk(error)) => return Ok(Some(disk(&error, "nothing was run"))),
        Err(Refusal::Wrong { message, help }) => return Err(wrong(message, Some(help))),
    };
    let (all, before) = (engine::Numbers::of(plan).count(), journal.done());
    if before > 0 && !arguments.quiet {
        message(&format!(
            "{before} of {all} members are in {}; going on\n",
            folder.dir().display()
        ));
    }
    let interrupt = Interrupt::listen_saying("stopped at once; the same command goes on");
    let mut progress = arguments.progress.show(arguments.quiet);
    let is_there = || folder.is_there();
    let ending = engine::run(
        study,
        plan,
        execution,
        &mut journal,
        &is_there,
        &mut |now| {
            progress.tell_study(now);
            interrupt.asked()
        },
    );
    progress.end();
    match ending? {
        Ending::Complete => {}
        Ending::Stopped => {
            message(&format!(
                "homarus: stopped; {}: the same command goes on from there\n",
                safe(folder, &journal)
            ));
            return Ok(Some(ExitCode::from(1)));
        }
        Ending::Disk(error) => return Ok(Some(disk(&error, &safe(folder, &journal)))),
    }
    let written = results::write(study, plan, folder, &mut journal, arguments.csv);
    match written.and_then(|told| folder.complete(told.failed)) {
        Ok(()) => {
            folder.forget_journal();
            Ok(None)
        }
        Err(error) => Ok(Some(disk(&error, &safe(folder, &journal)))),
    }
}

/// What of a study nobody can lose any more.
fn safe(folder: &Folder, journal: &Journal) -> String {
    let dir = folder.dir().display();
    match folder.is_there() {
        Ok(()) => {
            let Manifest {
                members, controls, ..
            } = folder.manifest;
            let (done, all) = (journal.done(), members + controls);
            format!("{done} of {all} members are safe in {dir}")
        }
        Err(_) => format!("{dir} was taken away, with all members"),
    }
}

/// Says that the disk refuses, and what is safe.
fn disk(error: &io::Error, safe: &str) -> ExitCode {
    message(&format!(
        "homarus: the results cannot be written: {error}\n\
         {safe}; make room and run the same command again\n"
    ));
    ExitCode::from(1)
}

/// What a study would take.
fn dry_run(
    arguments: &Arguments,
    study: &Study,
    plan: &Plan,
    execution: &Execution,
) -> Result<ExitCode, Failure> {
    let counts = plan.counts();
    let estimate = engine::estimate(study, plan, execution)?.map_err(|error| match error {
        member::Failure::Member(reason) => wrong(
            format!("the first network cannot be run: {reason}"),
            Some("see what is wrong with it: `homarus check`".to_owned()),
        ),
        member::Failure::Stopped => Failure::Stopped("the start".to_owned()),
    })?;
    let bytes = results::bytes(study) * engine::Numbers::of(plan).count() as f64;
    if arguments.json {
        let told = json!({
            "study": study.name, "members": counts.members(), "controls": counts.runs(),
            "networks": counts.networks, "realisations": counts.realisations,
            "branches": counts.branches_of_run(), "model_s": estimate.model_ms / 1000.0,
            "wall_s": estimate.wall_s, "workers": estimate.workers, "disk_mb": bytes / 1e6,
        });
        output(&format!("{told:#}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let factors = [
        (counts.bases, "bases"),
        (counts.settings, "settings"),
        (counts.networks, "networks"),
        (counts.realisations, "realisations"),
        (counts.branches_of_run(), "branches"),
    ];
    let factors = factors.iter().filter(|(n, _)| *n > 1);
    let factors: Vec<String> = factors.map(|(n, what)| format!("{n} {what}")).collect();
    output(&format!(
        "{}: {} members ({}) and {} controls\n\
         {} of model time at most, about {} with {} at once\n\
         about {} MB of disk, and as much for the journal while it runs\n",
        study.name,
        counts.members(),
        factors.join(" x "),
        counts.runs(),
        clock(estimate.model_ms / 1000.0),
        clock(estimate.wall_s),
        estimate.workers,
        three_digits(bytes / 1e6),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the summary.
fn told(arguments: &Arguments, study: &Study, folder: &Folder) -> Result<ExitCode, Failure> {
    let read = |name: &str| {
        let path = folder.dir().join(format!("{name}.parquet"));
        Whole::read(&path).map_err(|error| error.to_string())
    };
    let read_if = |asked: bool, name: &str| asked.then(|| read(name)).transpose();
    let tables = || -> Result<_, String> {
        let (response, map) = (study.response.is_some(), study.return_map.is_some());
        let curves = read_if(response, "curves")?.zip(read_if(response, "locking")?);
        Ok((read("summary")?, curves, read_if(map, "return_map")?))
    };
    let (rows, responses, maps) = match tables() {
        Ok(tables) => tables,
        Err(error) => {
            message(&format!("homarus: the results are not whole: {error}\n"));
            return Ok(ExitCode::from(1));
        }
    };
    let Manifest {
        homarus,
        study: name,
        hash,
        members,
        controls,
        failed,
        ..
    } = &folder.manifest;
    if arguments.json {
        let told = Told {
            homarus,
            study: name,
            hash,
            members: *members,
            controls: *controls,
            failed: failed.unwrap_or_default(),
            dir: folder.dir().display().to_string(),
            summary: objects(&rows),
            curves: responses.as_ref().map(|(curves, _)| objects(curves)),
            locking: responses.as_ref().map(|(_, locking)| objects(locking)),
            return_map: maps.as_ref().map(objects),
        };
        let text = serde_json::to_string_pretty(&told).map_err(io::Error::other)?;
        output(&(text + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = match failed.unwrap_or_default() {
        0 => String::new(),
        failed => format!("; {failed} failed, see `error` in members.parquet"),
    };
    output(&format!(
        "{name}: {members} members and {controls} controls{failed}\n{}{}{}",
        table(study, &rows),
        responses.map_or_else(String::new, |(curves, locking)| {
            curve_table(study, &curves, &locking)
        }),
        maps.map_or_else(String::new, |maps| map_table(study, &maps)),
    ))?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Told<'a> {
    homarus: &'a str,
    study: &'a str,
    hash: &'a str,
    members: u64,
    controls: u64,
    failed: u64,
    dir: String,
    summary: Vec<Object<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    curves: Option<Vec<Object<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locking: Option<Vec<Object<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_map: Option<Vec<Object<'a>>>,
}

/// The rows of a table as objects.
fn objects(rows: &Whole) -> Vec<Object<'_>> {
    let own = rows.rows.iter();
    own.map(|row| Object(&rows.columns, row)).collect()
}

/// A row as an object.
struct Object<'a>(&'a [String], &'a [Item]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter().zip(self.1) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The summary for people: what differs between rows, counts, and the numbers most asked for.
fn table(study: &Study, rows: &Whole) -> String {
    let mut columns: Vec<(String, Shown)> = Vec::new();
    if study.bases.len() > 1 {
        columns.push(("base".to_owned(), Shown::Value));
    }
    if !study.branches.is_empty() {
        columns.push(("branch".to_owned(), Shown::Value));
    }
    let axes = study.axes.iter();
    columns.extend(axes.map(|axis| (axis.name.clone(), Shown::Value)));
    if study.realisations.is_some() {
        columns.push(("network".to_owned(), Shown::Value));
    }
    for name in [
        "rhythm",
        "n",
        "kept",
        "recovered",
        "changed",
        "lost",
        "gained",
        "none",
    ] {
        columns.push((name.to_owned(), Shown::Value));
    }
    let with_interval = ["kept_fraction", "period_change_percent", "critical"].into_iter();
    columns.extend(with_interval.map(|name| (name.to_owned(), Shown::Interval)));
    let outcomes = study.outcome_names().into_iter();
    columns.extend(outcomes.map(|name| (format!("{name}_fraction"), Shown::Interval)));
    columns.retain(|(name, _)| {
        let place = rows.place(name);
        place.is_some_and(|place| rows.rows.iter().any(|row| row[place] != Item::Null))
    });
    let mut table = plain_table();
    table.set_header(columns.iter().map(|(name, _)| name.replace('_', " ")));
    for row in rows.rows.iter().take(PRINTED) {
        table.add_row(
            columns
                .iter()
                .map(|(name, shown)| shown.text(rows, row, name)),
        );
    }
    for (column, (name, _)) in table.column_iter_mut().zip(&columns) {
        if !["base", "branch", "rhythm"].contains(&name.as_str()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let more = match rows.rows.len().saturating_sub(PRINTED) {
        0 => String::new(),
        more => format!("and {more} more rows in summary.parquet\n"),
    };
    format!("{}\n{more}", table.trim_fmt())
}

/// A table without lines, as wide as it must be.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The phase response curves for people: what differs between them, how far they go, and where what
/// has them locks.
fn curve_table(study: &Study, curves: &Whole, locking: &Whole) -> String {
    let names = differing(study, curves);
    let of = |row: &[Item], name: &str| {
        let place = curves.place(name);
        place.map_or(Item::Null, |place| row[place].clone())
    };
    let shown = |row: &[Item], name: &str| text(&of(row, name));
    let range = |row: &[Item], from: &str, to: &str| match of(row, from) {
        Item::Null => text(&Item::Null),
        from => format!("{} to {}", text(&from), shown(row, to)),
    };
    let mut table = plain_table();
    let told = [
        "points",
        "failed",
        "shift",
        "next shift",
        "entrained periods",
    ];
    let told = told.into_iter().chain(["nonlinearity", "zeros", "pairs"]);
    let head = names.iter().map(|name| name.replace('_', " "));
    table.set_header(head.chain(told.map(str::to_owned)));
    for row in curves.rows.iter().take(PRINTED) {
        let number = of(row, "curve");
        let mut cells: Vec<String> = names.iter().map(|name| shown(row, name)).collect();
        cells.extend([
            shown(row, "points"),
            shown(row, "failed"),
            range(row, "shift_0_min", "shift_0_max"),
            range(row, "shift_1_min", "shift_1_max"),
            range(row, "entrained_from", "entrained_to"),
            match of(row, "compared_with") {
                Item::Null => text(&Item::Null),
                size => format!("{} against {}", shown(row, "nonlinearity"), text(&size)),
            },
            locked(locking, &number, "pulse"),
            locked(locking, &number, "pair"),
        ]);
        table.add_row(cells);
    }
    let more = match curves.rows.len().saturating_sub(PRINTED) {
        0 => String::new(),
        more => format!("and {more} more curves in curves.parquet\n"),
    };
    format!(
        "\nphase responses: shifts in cycles, an advance above 0; * stable\n{}\n{more}",
        table.trim_fmt()
    )
}

/// The columns that say which row is which: those in which rows differ.
fn differing(study: &Study, rows: &Whole) -> Vec<String> {
    let differs = |name: &str| {
        let place = rows.place(name)?;
        let mut own = rows.rows.iter().map(|row| &row[place]);
        let first = own.next()?;
        own.any(|value| value != first).then(|| name.to_owned())
    };
    let axes = study.axes.iter().map(|axis| axis.name.as_str());
    let names = ["base", "branch"].into_iter().chain(axes);
    let names = names.chain(["network", "realisation"]);
    names.filter_map(differs).collect()
}

/// The return maps for people: the lags that come again, and those that members end in.
fn map_table(study: &Study, maps: &Whole) -> String {
    let names = differing(study, maps);
    let of = |row: &[Item], name: &str| maps.place(name).map(|place| row[place].clone());
    let shown = |row: &[Item], name: &str| of(row, name).as_ref().map_or_else(String::new, text);
    let is = |row: &[Item], word: &str| of(row, "of") == Some(Item::Text(word.to_owned()));
    let mut table = plain_table();
    let head = names.iter().map(|name| name.replace('_', " "));
    let told = ["runs", "points", "fixed points", "attractors"].map(str::to_owned);
    table.set_header(head.chain(told));
    let mut own = maps.rows.chunk_by(|a, b| of(a, "map") == of(b, "map"));
    for rows in own.by_ref().take(PRINTED) {
        let fixed = rows.iter().filter(|row| is(row, "fixed point"));
        let fixed = fixed.map(|row| match of(row, "stable") {
            Some(Item::Flag(true)) => format!("{}*", shown(row, "lag")),
            _ => shown(row, "lag"),
        });
        let fixed: Vec<String> = fixed.collect();
        let ends: Vec<&Vec<Item>> = rows.iter().filter(|row| is(row, "attractor")).collect();
        let ends = ends.chunk_by(|a, b| of(a, "k") == of(b, "k"));
        let ends = ends.map(|cells| {
            let lags: Vec<String> = cells.iter().map(|row| shown(row, "lag")).collect();
            let share = match of(cells[0], "share") {
                Some(Item::Number(share)) => text(&Item::Number(100.0 * share)),
                _ => String::new(),
            };
            format!("({}) {share} %", lags.join(" "))
        });
        let ends: Vec<String> = ends.collect();
        let mut cells: Vec<String> = names.iter().map(|name| shown(&rows[0], name)).collect();
        cells.extend(["runs", "points"].map(|name| shown(&rows[0], name)));
        cells.extend([fixed.join(" "), ends.join(", ")]);
        table.add_row(cells);
    }
    let more = match own.count() {
        0 => String::new(),
        more => format!("and {more} more maps in return_map.parquet\n"),
    };
    format!(
        "\nreturn maps: lags in cycles of the reference cell; * stable\n{}\n{more}",
        table.trim_fmt()
    )
}

/// Where something locks that has a curve: phases, the stable ones with a star.
fn locked(locking: &Whole, curve: &Item, what: &str) -> String {
    let places = ["curve", "of", "phase", "stable"].map(|name| locking.place(name));
    let [Some(number), Some(of), Some(phase), Some(stable)] = places else {
        return text(&Item::Null);
    };
    let own = locking.rows.iter().filter(|row| {
        row[number] == *curve && matches!(&row[of], Item::Text(word) if word == what)
    });
    let phases: Vec<String> = own
        .map(|row| match row[stable] {
            Item::Flag(true) => format!("{}*", text(&row[phase])),
            _ => text(&row[phase]),
        })
        .collect();
    match phases.is_empty() {
        true => text(&Item::Null),
        false => phases.join(" "),
    }
}

/// How a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// As it is.
    Value,
    /// With the ends of its interval.
    Interval,
}

impl Shown {
    fn text(self, rows: &Whole, row: &[Item], name: &str) -> String {
        let of = |name: &str| rows.place(name).map_or(&Item::Null, |place| &row[place]);
        let value = text(of(name));
        let stem = name.strip_suffix("_fraction").unwrap_or(name);
        match (
            self,
            of(&format!("{stem}_low")),
            of(&format!("{stem}_high")),
        ) {
            (Shown::Interval, low @ Item::Number(_), high @ Item::Number(_)) => {
                format!("{value} [{}, {}]", text(low), text(high))
            }
            _ => value,
        }
    }
}

fn text(field: &Item) -> String {
    match field {
        Item::Null => "–".to_owned(),
        Item::Number(number) => three_digits(*number),
        Item::Count(count) => count.to_string(),
        Item::Flag(flag) => flag.to_string(),
        Item::Text(text) => text.clone(),
    }
}

/// A number with three significant digits, and no zeros behind them.
fn three_digits(x: f64) -> String {
    let magnitude = match x {
        0.0 => 0.0,
        x => x.abs().log10().floor(),
    };
    if !(-3.0..6.0).contains(&magnitude) {
        return format!("{x:.2e}");
    }
    let text = format!("{x:.*}", (2.0 - magnitude).max(0.0) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
