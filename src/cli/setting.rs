//! What the command line overrides: settings before the network is built, scalars after.

use crate::run::Failure;
use crate::scene::model::{Integrator, Samples, Scene, Setting};
use crate::scene::{self, Asked, Place, Size, Source, Subject, TableFile};

use homarus_systems::nearest::nearest;

use super::wrong;

/// Settings that `--set` knows beside the scalars of the network.
const SETTINGS: [&str; 4] = ["duration_ms", "step_ms", "control_ms", "seed"];

/// Reads a scene with the numbers of cells and copies and the tables of conductances that
/// `PATH=VALUE` sets: `NAME.count`, `NAME.copies`, `NAME.table`, each also as `population.NAME.…`.
pub(super) fn read(name: &str, sets: &[String]) -> Result<Scene, Failure> {
    Ok(scene::read_asked(name, &asked(sets)?)?)
}

/// As [`read`], of a scene or a cell type.
pub(super) fn read_subject(name: &str, sets: &[String]) -> Result<Subject, Failure> {
    Ok(scene::read_subject(name, &asked(sets)?)?)
}

/// The numbers of cells and copies and the tables that are set.
fn asked(sets: &[String]) -> Result<Asked, Failure> {
    let (mut asked, mut seen) = (Asked::default(), Vec::new());
    for set in sets {
        let Some((path, value)) = set.split_once('=') else {
            continue;
        };
        let (path, value) = (path.trim(), value.trim());
        let Some((name, field)) = scene::of_population(path) else {
            continue;
        };
        if seen.contains(&(name, field)) {
            return Err(twice(path));
        }
        seen.push((name, field));
        let origin = argument("--set", set, path);
        if field == scene::TABLE {
            asked.tables.push(TableFile {
                population: name.to_string(),
                path: value.into(),
                origin,
            });
            continue;
        }
        let number = value.replace('_', "").parse().map_err(|_| {
            wrong(
                format!("`{path}` cannot be `{value}`"),
                Some("write a whole number, 1 or more".to_string()),
            )
        })?;
        asked.sizes.push(Size {
            name: name.to_string(),
            field: field.to_string(),
            number,
            origin,
        });
    }
    Ok(asked)
}

/// The error for a second value.
fn twice(path: &str) -> Failure {
    wrong(
        format!("`--set {path}` is given twice"),
        Some("keep one of the two".to_string()),
    )
}

/// Applies every `PATH=VALUE`: settings at once, scalars as if the scene set them last. What is
/// dropped is told in `notes`.
pub(super) fn apply(
    scene: &mut Scene,
    sets: &[String],
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let mut seen: Vec<&str> = Vec::new();
    for set in sets {
        let (path, value) = set.split_once('=').ok_or_else(|| {
            wrong(
                format!("`--set {set}` has no `=`"),
                Some("write --set PATH=VALUE".to_string()),
            )
        })?;
        let (path, value) = (path.trim(), value.trim());
        if seen.contains(&path) {
            return Err(twice(path));
        }
        seen.push(path);
        if scene::of_population(path).is_some() {
            continue;
        }
        if !path.contains('.') && !SETTINGS.contains(&path) {
            return Err(unknown(path));
        }
        let number = number(path, value)?;
        match path {
            "duration_ms" => notes.extend(shorten(scene, positive(path, number)?)),
            "step_ms" => {
                scene.step_ms = positive(path, number)?;
                scene.step_origin = argument("--set", set, path);
            }
            "control_ms" => scene.control_ms = positive(path, number)?,
            "seed" => {
                scene.seed = seed(value).map_err(|wanted| {
                    wrong(format!("`seed` cannot be `{value}`: {wanted}"), None)
                })?;
            }
            _ => {
                scene.set.retain(|setting| setting.path != path);
                scene.set.push(Setting {
                    path: path.to_string(),
                    value: number,
                    origin: argument("--set", set, path),
                });
            }
        }
    }
    Ok(())
}

/// As [`apply`], in a scene of one cell: scalars of it, whose paths may leave its name away.
pub(super) fn apply_to_lone(scene: &mut Scene, sets: &[String], cell: &str) -> Result<(), Failure> {
    let own = format!("{cell}.");
    let full = |set: &String| match set.trim_start().starts_with(&own) || !set.contains('=') {
        true => set.clone(),
        false => format!("{own}{}", set.trim_start()),
    };
    let full: Vec<String> = sets.iter().map(full).collect();
    apply(scene, &full, &mut Vec::new())?;
    // What was written, not what it stands for, is shown in errors.
    for (setting, set) in scene.set.iter_mut().zip(sets) {
        let path = set.split('=').next().unwrap_or_default().trim();
        setting.origin = argument("--set", set, path);
    }
    Ok(())
}

/// Adds a request for samples, `PATH:MS`.
pub(super) fn sample(scene: &mut Scene, request: &str) -> Result<(), Failure> {
    // A path may name a kind after a colon; the interval is what stands after the last.
    let parts = request
        .rsplit_once(':')
        .map(|(path, ms)| (path.trim(), ms.trim()));
    let every = parts.and_then(|(path, ms)| Some((path, ms.parse::<f64>().ok()?)));
    let Some((path, every_ms)) = every else {
        return Err(wrong(
            format!("`--sample {request}` is no path with an interval"),
            Some("write --sample PATH:MS, for instance --sample '*.V:1'".to_string()),
        ));
    };
    scene.samples.push(Samples {
        paths: vec![(path.to_string(), argument("--sample", request, path))],
        every_ms: positive("--sample", every_ms)?,
    });
    Ok(())
}

/// The place of a part of an argument of the command line.
fn argument(flag: &str, argument: &str, part: &str) -> Place {
    let text = format!("{flag} {argument}");
    let start = text.find(part).unwrap_or_default();
    Place::new(
        &Source::new("command line", text),
        start..start + part.len(),
    )
}

/// A finite number of the command line.
pub(super) fn number(path: &str, value: &str) -> Result<f64, Failure> {
    let plain = value.replace('_', "");
    plain
        .parse::<f64>()
        .ok()
        .filter(|x| x.is_finite())
        .ok_or_else(|| {
            wrong(
                format!("`{path}`: `{value}` is no finite number"),
                Some("write for instance 0.8".to_string()),
            )
        })
}

/// The error for a word that is neither a setting nor a path.
fn unknown(path: &str) -> Failure {
    let help = match nearest(path, SETTINGS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "settings are {}; a scalar of the network is written CELL.SCALAR, CELL.CHANNEL.SCALAR or PRE->POST.SCALAR, as `homarus list paths SCENE` shows them",
            SETTINGS.join(", ")
        ),
    };
    wrong(format!("there is no setting `{path}`"), Some(help))
}

/// Refuses a setting that is given by its flag, if `true` beside its name, and by `--set`, too.
pub(super) fn only_once(sets: &[String], flags: &[(&str, bool)]) -> Result<(), Failure> {
    for set in sets {
        let path = set.split('=').next().unwrap_or_default().trim();
        if flags.contains(&(path, true)) {
            let flag = path.replace('_', "-");
            return Err(wrong(
                format!("`{path}` is given twice: by `--{flag}` and by `--set {set}`"),
                Some("keep one of the two".to_string()),
            ));
        }
    }
    Ok(())
}

/// A length of time (ms) given by a flag; the error says what one looks like.
pub(super) fn ms(value: &str) -> Result<f64, String> {
    let plain = value.trim().replace('_', "");
    let number = plain.parse::<f64>().ok();
    number
        .filter(|ms| *ms > 0.0 && ms.is_finite())
        .ok_or_else(|| "expected a finite number of ms above 0, for instance 0.05".to_string())
}

/// A time (ms) of the model given by a flag; the error says what one looks like.
pub(super) fn moment(value: &str) -> Result<f64, String> {
    let plain = value.trim().replace('_', "");
    let number = plain.parse::<f64>().ok();
    number
        .filter(|ms| *ms >= 0.0 && ms.is_finite())
        .ok_or_else(|| "expected a time in ms, 0 or later, for instance 2500".to_string())
}

/// Refuses numbers of cells and copies and tables, which no state can be given.
pub(super) fn no_sizes(sets: &[String]) -> Result<(), Failure> {
    for set in sets {
        let path = set.split('=').next().unwrap_or_default().trim();
        if scene::of_population(path).is_some() {
            return Err(wrong(
                format!("`--set {set}` would change the network, which a snapshot cannot follow"),
                Some("set scalars: CELL.SCALAR, CELL.CHANNEL.SCALAR, PRE->POST.SCALAR".to_string()),
            ));
        }
    }
    Ok(())
}

/// A whole number from `least` to `most` given by a flag; the error says what one looks like.
pub(super) fn whole(value: &str, least: u64, most: u64) -> Result<u64, String> {
    let plain = value.trim().replace('_', "");
    let number = plain.parse().ok();
    number
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

/// A positive number of the command line.
fn positive(name: &str, value: f64) -> Result<f64, Failure> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    let wanted = "write a finite number of ms above 0".to_string();
    Err(wrong(format!("`{name}` cannot be {value}"), Some(wanted)))
}

/// A seed; the error says what one looks like.
pub(super) fn seed(value: &str) -> Result<u64, String> {
    let plain = value.replace('_', "");
    plain
        .parse()
        .map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

/// Sets the duration; what then lies beyond it is dropped, and told.
pub(super) fn shorten(scene: &mut Scene, duration_ms: f64) -> Option<String> {
    scene.duration_ms = duration_ms;
    let entries = scene.protocol.len();
    scene.protocol.retain(|entry| entry.at_ms <= duration_ms);
    let windows = scene.windows.len();
    scene
        .windows
        .retain(|window| window.probe_at_ms.unwrap_or(window.to_ms) <= duration_ms);
    let labels = scene.windows.iter().map(|window| window.label.as_str());
    let labels: Vec<&str> = labels.collect();
    // What is expected of a window goes with it.
    scene.expect.retain(|e| e.within(&labels, duration_ms));
    let (entries, windows) = (
        entries - scene.protocol.len(),
        windows - scene.windows.len(),
    );
    let count = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let dropped: Vec<String> = [
        count(windows, "window", "windows"),
        count(entries, "protocol entry", "protocol entries"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!dropped.is_empty())
        .then(|| format!("{} beyond {duration_ms} ms dropped", dropped.join(" and ")))
}

/// An integrator by name.
pub(super) fn integrator(name: &str) -> Result<Integrator, Failure> {
    [
        Integrator::Exponential,
        Integrator::Accurate,
        Integrator::Reference,
    ]
    .into_iter()
    .find(|i| i.name() == name)
    .ok_or_else(|| {
        let help = "there are `exponential`, `accurate` and `reference`".to_string();
        wrong(format!("there is no integrator `{name}`"), Some(help))
    })
}
