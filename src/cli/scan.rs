//! `homarus run SCENE --scan PATH=…`: one run for each value, one JSON object a line.

use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
};

use homarus_systems::address::Names;
use serde::Serialize;

use super::{interrupt::Interrupt, output, setting, wrong};
use crate::{
    execution::{self, Execution, cores},
    record::summary::Summary,
    run::{self, Failure},
    scene::{Scene, paths},
    study::model::{Value, Values},
};

/// More members than this are a study.
const MANY: u64 = 10_000_000;

/// What is scanned: a path and its values.
pub(super) struct Scan {
    path: String,
    values: Values,
}

/// Reads every `PATH=a..b/n` and `PATH=v1,v2,…`.
///
/// # Errors
/// No path, no values, an empty range, a path that is scanned or set twice, too many members.
pub(super) fn read(scans: &[String], sets: &[String]) -> Result<Vec<Scan>, Failure> {
    let mut read: Vec<Scan> = Vec::new();
    for scan in scans {
        let Some((path, values)) = scan.split_once('=') else {
            return Err(wrong(
                format!("`--scan {scan}` has no `=`"),
                Some("write --scan PATH=a..b/n or --scan PATH=v1,v2,v3".to_string()),
            ));
        };
        let path = path.trim();
        let is_set = sets
            .iter()
            .any(|set| set.split('=').next().map(str::trim) == Some(path));
        if is_set || read.iter().any(|scan| scan.path == path) {
            let how = if is_set {
                "by `--set` and by `--scan`"
            } else {
                "by `--scan`"
            };
            return Err(wrong(
                format!("`{path}` is given twice: {how}"),
                Some("keep one of the two".to_string()),
            ));
        }
        let values = self::values(path, values.trim())?;
        read.push(Scan {
            path: path.to_string(),
            values,
        });
    }
    match count(&read) {
        Some(n) if n <= MANY => Ok(read),
        _ => Err(wrong(
            format!("these are more than {MANY} members"),
            Some("fewer values, or a study with a sampled `design`".to_string()),
        )),
    }
}

fn count(scans: &[Scan]) -> Option<u64> {
    let counts = scans.iter().map(|scan| scan.values.count() as u64);
    let mut counts = counts;
    counts.try_fold(1_u64, u64::checked_mul)
}

/// The values behind the `=`.
fn values(path: &str, text: &str) -> Result<Values, Failure> {
    let Some((from, rest)) = text.split_once("..") else {
        let values: Vec<f64> = text
            .split(',')
            .map(|value| setting::number(path, value.trim()))
            .collect::<Result<_, _>>()?;
        return Ok(Values::List(
            values.into_iter().map(Value::Number).collect(),
        ));
    };
    let Some((to, count)) = rest.split_once('/') else {
        return Err(wrong(
            format!("`--scan {path}={text}` does not say how many values"),
            Some(format!(
                "write for instance `{path}={text}/11`, both ends included"
            )),
        ));
    };
    let [from, to] = [from, to].map(|end| setting::number(path, end.trim()));
    let (from, to) = (from?, to?);
    let count = setting::whole(count, 1, MANY).map_err(|wanted| {
        wrong(
            format!("`--scan {path}={text}`: number of values"),
            Some(wanted),
        )
    })?;
    if from == to && count > 1 {
        return Err(wrong(
            format!("`--scan {path}={text}` is an empty range"),
            Some(format!("for one value write `{path}={from}`")),
        ));
    }
    Ok(Values::Linear {
        from,
        to,
        count: count as usize,
    })
}

/// The scene of a member, by what is set on top of what the command line sets anyway.
pub(super) type SceneOf<'a> =
    dyn Fn(&[String], &mut Vec<String>) -> Result<Scene, Failure> + Sync + 'a;

/// A member, as it is printed.
#[derive(Serialize)]
struct Member {
    /// Values by path.
    scan: BTreeMap<String, f64>,
    #[serde(flatten)]
    summary: Option<Summary>,
    /// Why it could not begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The values of member `number`, of which the last scan goes round fastest.
fn member(scans: &[Scan], number: u64) -> Vec<(&str, f64)> {
    let mut rest = number;
    let mut values: Vec<(&str, f64)> = scans
        .iter()
        .rev()
        .map(|scan| {
            let count = scan.values.count() as u64;
            let value = scan.values.value((rest % count) as usize);
            rest /= count;
            let number = match value {
                Some(Value::Number(number)) => number,
                _ => f64::NAN,
            };
            (scan.path.as_str(), number)
        })
        .collect();
    values.reverse();
    values
}

fn sets(values: &[(&str, f64)]) -> Vec<String> {
    let sets = values.iter().map(|(path, value)| format!("{path}={value}"));
    sets.collect()
}

/// Holds every value against the scene while the others have their first; of a range its ends.
fn judge(scans: &[Scan], scene: &SceneOf) -> Result<(), Failure> {
    let first = member(scans, 0);
    let mut names: Option<Names> = None;
    for (k, scan) in scans.iter().enumerate() {
        let count = scan.values.count();
        let step = match scan.values {
            Values::List(_) => 1,
            _ => (count - 1).max(1),
        };
        for number in (0..count).step_by(step) {
            let mut values = first.clone();
            if let Some(Value::Number(value)) = scan.values.value(number) {
                values[k].1 = value;
            }
            let scene = scene(&sets(&values), &mut Vec::new())?;
            // A scan may change how many cells there are.
            let known = names
                .as_ref()
                .filter(|names| names.cells.len() == scene.cells.len());
            match known {
                Some(known) => paths::set(&scene, known)?,
                None => paths::set(&scene, names.insert(paths::names(&scene)))?,
            };
        }
    }
    Ok(())
}

/// Runs every member and prints each as it is its turn.
///
/// # Errors
/// What [`read`] cannot know: a path that names nothing, a value that it cannot have; at the end, that
/// members failed.
pub(super) fn run(scans: &[Scan], execution: &Execution, scene: &SceneOf) -> Result<(), Failure> {
    judge(scans, scene)?;
    let all = count(scans).unwrap_or(u64::MAX);
    let interrupt = Interrupt::listen();
    let workers = execution
        .threads
        .unwrap_or_else(cores)
        .min(all as usize)
        .max(1);
    let alone = Execution {
        threads: Some(1),
        ..*execution
    };
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let go_on = || !stop.load(Ordering::Relaxed) && interrupt.asked().is_continue();
    let (sender, receiver) = mpsc::channel();
    let work = |sender: mpsc::Sender<(u64, Line)>| {
        while go_on() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= all {
                return;
            }
            let pulse = &mut |_| match go_on() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            };
            let line = line(&member(scans, number), &alone, scene, pulse);
            if !go_on() || sender.send((number, line)).is_err() {
                return;
            }
        }
    };
    let (mut printed, mut failed, mut told) = (0, 0_u64, Ok(()));
    execution::pool(workers)?.in_place_scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(|_| work(sender));
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        for (number, line) in receiver {
            waiting.insert(number, line);
            while let Some(line) = waiting.remove(&printed) {
                printed += 1;
                failed += u64::from(line.failed);
                if told.is_ok() {
                    told = line
                        .text
                        .map_err(Failure::from)
                        .and_then(|text| output(&text));
                }
            }
            stop.fetch_or(told.is_err(), Ordering::Relaxed);
        }
    });
    told?;
    match printed < all {
        true => Err(Failure::Members(format!(
            "stopped after {printed} of {all} members"
        ))),
        false if failed > 0 => Err(Failure::Members(format!(
            "{failed} of {all} members failed"
        ))),
        false => Ok(()),
    }
}

/// What is printed of a member.
struct Line {
    text: io::Result<String>,
    failed: bool,
}

fn line(
    values: &[(&str, f64)],
    execution: &Execution,
    scene: &SceneOf,
    pulse: &mut run::Pulse,
) -> Line {
    let mut notes = Vec::new();
    let outcome = scene(&sets(values), &mut notes)
        .and_then(|scene| run::run_attended(&scene, execution, None, &notes, pulse));
    let (summary, error) = match outcome {
        Ok(outcome) => (Some(outcome.summary.brief()), None),
        Err(Failure::Input(errors)) => {
            let errors = errors
                .errors()
                .iter()
                .map(|error| error.message().to_owned());
            (None, Some(errors.collect::<Vec<_>>().join("; ")))
        }
        Err(failure) => (None, Some(failure.to_string())),
    };
    let failed = summary
        .as_ref()
        .is_none_or(|summary| summary.error.is_some());
    let scan = values
        .iter()
        .map(|(path, value)| ((*path).to_owned(), *value));
    let member = Member {
        scan: scan.collect(),
        summary,
        error,
    };
    let text = serde_json::to_string(&member).map_err(io::Error::other);
    Line {
        text: text.map(|text| text + "\n"),
        failed,
    }
}
