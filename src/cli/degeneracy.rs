//! `homarus intersect SCENE --degeneracy`: how often an admissible intersection exists.

use std::{io, process::ExitCode};

use serde::Serialize;

use super::{
    interrupt::Interrupt,
    intersect::{Arguments, short, table},
    output, setting,
};
use crate::execution;
use crate::run::{Failure, Progress};
use crate::scene::Scene;
use crate::science::{
    degeneracy::{self, Point, Sweep},
    intersect::Probe,
};

/// The JSON of a call.
#[derive(Serialize)]
struct Report<'a> {
    homarus: &'static str,
    scene: &'a str,
    scene_hash: String,
    #[serde(flatten)]
    sweep: &'a Sweep,
}

pub(super) fn run(arguments: &Arguments, scene: &Scene) -> Result<ExitCode, Failure> {
    let execution = arguments.execution.execution(arguments.quiet)?;
    let pool = execution::pool(execution.threads.unwrap_or_else(execution::cores))?;
    let interrupt = Interrupt::listen();
    let mut progress = arguments.progress.show(arguments.quiet);
    let probe = Probe::of(scene, execution.kernel);
    let cells = arguments.cells.unwrap_or(degeneracy::CELLS);
    let sweep = pool.install(|| {
        degeneracy::sweep(scene, cells, &probe, &mut |done, all| {
            progress.tell(Progress {
                now_ms: done,
                end_ms: all,
            });
            interrupt.asked()
        })
    });
    progress.end();
    let sweep = sweep?;
    output(&match (arguments.json, arguments.csv) {
        (true, _) => {
            let report = Report {
                homarus: env!("CARGO_PKG_VERSION"),
                scene: &scene.name,
                scene_hash: scene.hash(),
                sweep: &sweep,
            };
            // Every number of it is finite or null, and its keys are text.
            serde_json::to_string_pretty(&report).map_err(io::Error::other)? + "\n"
        }
        (_, true) => csv(&sweep)?,
        _ => page(scene, &sweep),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The number of cells of a population given by a flag.
pub(super) fn cells(value: &str) -> Result<usize, String> {
    setting::whole(value, 1, 100_000).map(|n| n as usize)
}

fn csv(sweep: &Sweep) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = "channels,width,ca_target_um,found,cells,low,high";
    let mut write = |fields: Vec<String>| writer.write_record(fields).map_err(io::Error::other);
    write(head.split(',').map(str::to_owned).collect())?;
    for point in &sweep.points {
        let chance = &point.chance;
        write(vec![
            used(point),
            point.width.to_string(),
            point.ca_target_um.to_string(),
            chance.found.to_string(),
            chance.cells.to_string(),
            chance.low.to_string(),
            chance.high.to_string(),
        ])?;
    }
    let bytes = writer.into_inner().map_err(io::Error::other)?;
    Ok(String::from_utf8(bytes).map_err(io::Error::other)?)
}

/// What the controller may use.
fn used(point: &Point) -> String {
    match point.channels.is_empty() {
        true => "any pair".to_owned(),
        false => point.channels.join(" "),
    }
}

/// `0.87 (0.80-0.93)`.
fn chance(point: &Point) -> String {
    let chance = &point.chance;
    let share = chance.found as f64 / chance.cells as f64;
    format!("{share:.2} ({:.2}-{:.2})", chance.low, chance.high)
}

fn page(scene: &Scene, sweep: &Sweep) -> String {
    let [g_s, g_u] = sweep.wanted;
    let most = sweep.points.iter().map(|point| point.chance.cells).max();
    let mut text = format!(
        "{}: chance of an admissible intersection at g_s {g_s}, g_u {g_u}\n\
         {} cells a point, drawn anew at each width; 95 % intervals (Wilson)\n",
        scene.name,
        most.unwrap_or_default()
    );
    let at = |width: f64, target: f64| {
        let points = sweep.points.iter();
        points.filter(move |p| p.width == width && p.ca_target_um == target)
    };
    let target = sweep.ca_target_um;
    text.push_str(&format!(
        "\nBy what the controller may use and the width of the population (Ca {} µM)\n",
        short(target)
    ));
    let head: Vec<String> = sweep
        .spread
        .iter()
        .map(|[width, _]| format!("width {width}"))
        .collect();
    let head: Vec<&str> = ["channels"]
        .into_iter()
        .chain(head.iter().map(String::as_str))
        .collect();
    let mut rows = vec![Vec::from(["mean CV of conductances".to_owned()])];
    rows[0].extend(
        sweep
            .spread
            .iter()
            .map(|[_, spread]| format!("{spread:.3}")),
    );
    for known in at(1.0, target) {
        let mut row = vec![used(known)];
        row.extend(sweep.spread.iter().map(|[width, _]| {
            let mut same = at(*width, target).filter(|p| p.channels == known.channels);
            same.next().map_or_else(String::new, chance)
        }));
        rows.push(row);
    }
    let mut row = vec!["mean of pairs".to_owned()];
    row.extend(
        sweep
            .spread
            .iter()
            .map(|[width, _]| mean_of_pairs(at(*width, target))),
    );
    rows.push(row);
    text.push_str(&table(&head, &[0], rows));
    text.push_str("\nBy the number of channels from which the controller may choose its pair\n");
    let rows = sweep.by_number.iter();
    let rows = rows.map(|(number, mean)| vec![number.to_string(), format!("{mean:.2}")]);
    text.push_str(&table(&["channels", "mean of sets"], &[], rows.collect()));
    text.push_str("\nBy the calcium target (full width)\n");
    let mut targets: Vec<f64> = sweep.points.iter().map(|p| p.ca_target_um).collect();
    targets.sort_by(f64::total_cmp);
    targets.dedup();
    let rows = targets.into_iter().map(|target| {
        let mut row = vec![short(target)];
        row.extend(summary(sweep, &at(1.0, target).collect::<Vec<_>>()));
        row
    });
    let own = sweep.pair.join(" ");
    let head = ["Ca µM", own.as_str(), "any pair", "mean of pairs"];
    text.push_str(&table(&head, &[], rows.collect()));
    text
}

/// Chances of the scene's own pair and of any pair, and the mean of all pairs.
fn summary(sweep: &Sweep, points: &[&Point]) -> Vec<String> {
    let own = points.iter().find(|point| {
        point.channels.len() == sweep.pair.len()
            && point
                .channels
                .iter()
                .all(|channel| sweep.pair.contains(channel))
    });
    let any = points.iter().find(|point| point.channels.is_empty());
    let shown = |point: Option<&&Point>| point.map_or_else(String::new, |point| chance(point));
    vec![
        shown(own),
        shown(any),
        mean_of_pairs(points.iter().copied()),
    ]
}

fn mean_of_pairs<'a>(points: impl Iterator<Item = &'a Point>) -> String {
    let pairs = points.filter(|point| point.channels.len() == 2);
    let share = |point: &Point| point.chance.found as f64 / point.chance.cells as f64;
    let shares: Vec<f64> = pairs.map(share).collect();
    format!("{:.2}", shares.iter().sum::<f64>() / shares.len() as f64)
}
