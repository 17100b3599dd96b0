//! The field `rhythms` of a cell file: what its cells are known to do, and what a fixed step costs
//! them.
//!
//! ```ron
//! rhythms: [
//!     (about: "fast bursts", source: "…", period_ms: 209, step_errors: [(step_ms: 0.1, error: 0.002)]),
//!     (about: "slow bursts", source: "…", parameter: "KCa.tm", at_least: 10, period_ms: 1487,
//!      step_errors: [(step_ms: 0.1, error: 0.061), (step_ms: 0.01, error: 0.01)]),
//! ]
//! ```
//!
//! An entry with `parameter` and `at_least` holds for cells in which that kinetic parameter is at
//! least so large; of the entries that fit a cell the last one holds. `error` is the relative error
//! of the period (1) that the fixed-step integrator makes with steps of `step_ms`. Nothing of it
//! changes a run: `check` judges steps and windows by it.

use homarus_systems::definition::{ChannelDefinition, KnownRhythm, ParameterCondition};

use super::{
    decode::{ANY, Fields, above_zero, index_of, key, list, not_negative, number, text},
    definitions::channel_path,
    diagnostic::{Diagnostic, Diagnostics},
    source::Place,
    syntax::Node,
    units,
};

/// Channels of a cell type by name.
type Channels = [(String, ChannelDefinition)];

/// Reads the list.
pub(super) fn read(
    node: &Node,
    channels: &Channels,
    errors: &mut Diagnostics,
) -> Option<Vec<KnownRhythm>> {
    let read: Vec<Option<KnownRhythm>> = list(node, errors)?
        .iter()
        .map(|node| rhythm(node, channels, errors))
        .collect();
    read.into_iter().collect()
}

fn rhythm(node: &Node, channels: &Channels, errors: &mut Diagnostics) -> Option<KnownRhythm> {
    let mut fields = Fields::of(node, "a known rhythm", errors)?;
    let about = fields
        .required("about")
        .and_then(|node| text(node, errors).map(str::to_owned));
    let source = match fields.optional("source") {
        Some(node) => text(node, errors).map(str::to_owned),
        None => Some(String::new()),
    };
    let condition = condition(&mut fields, channels, errors);
    let period = fields
        .required("period_ms")
        .and_then(|node| units::time(node, above_zero("a rhythm takes its time"), errors));
    let step_errors = fields
        .optional("step_errors")
        .map_or(Some(Vec::new()), |node| step_errors(node, errors));
    fields.finish(errors);
    Some(KnownRhythm {
        about: about?,
        source: source?,
        condition: condition?,
        period: period?,
        step_errors: step_errors?,
    })
}

/// Reads `parameter` and `at_least`, which belong together: the outer `None` is an error.
fn condition(
    fields: &mut Fields<'_>,
    channels: &Channels,
    errors: &mut Diagnostics,
) -> Option<Option<ParameterCondition>> {
    let (parameter, least) = (fields.entry("parameter"), fields.entry("at_least"));
    let ((_, path), (_, least)) = match (parameter, least) {
        (Some(parameter), Some(least)) => (parameter, least),
        (None, None) => return Some(None),
        (Some((alone, _)), None) | (None, Some((alone, _))) => {
            errors.push(
                Diagnostic::at(&alone.place, "`parameter` and `at_least` belong together")
                    .label("found only this one")
                    .help("as in `parameter: \"KCa.tm\", at_least: 10`; without both it holds for every cell"),
            );
            return None;
        }
    };
    let at_least = number(least, ANY, errors);
    let path = key(path, errors)?;
    let (channel, definition, parameter) = channel_path(&path, "PARAMETER", channels, errors)?;
    let known = definition.parameters.iter().map(|(name, _)| name.as_str());
    let of = format!("channel `{channel}`");
    index_of(&parameter, known, "parameter", &of, errors)?;
    Some(Some(ParameterCondition {
        channel: channel.to_owned(),
        parameter: parameter.text,
        at_least: at_least?,
    }))
}

/// Reads steps and their errors, in any order, each step once.
fn step_errors(node: &Node, errors: &mut Diagnostics) -> Option<Vec<(f64, f64)>> {
    let mut read: Vec<(f64, f64)> = Vec::new();
    let mut places: Vec<(f64, Place)> = Vec::new();
    let mut fine = true;
    for node in list(node, errors)? {
        let mut fields = Fields::of(node, "the error of a step", errors)?;
        let step_node = fields.required("step_ms");
        let step = step_node
            .and_then(|node| units::time(node, above_zero("time would stand still"), errors));
        let rule = not_negative("it is the size of the error, 0.02 for 2 %");
        let error = fields
            .required("error")
            .and_then(|node| number(node, rule, errors));
        fields.finish(errors);
        let (Some(step), Some(error), Some(step_node)) = (step, error, step_node) else {
            fine = false;
            continue;
        };
        if let Some((_, first)) = places.iter().find(|(known, _)| *known == step) {
            errors.push(
                Diagnostic::at(&step_node.place, format!("{step} ms is listed twice"))
                    .label("again here")
                    .and(first, "first here"),
            );
            fine = false;
        }
        places.push((step, step_node.place.clone()));
        read.push((step, error));
    }
    read.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    fine.then_some(read)
}

#[cfg(test)]
mod tests {
    use crate::scene::cell_definition;

    /// The file of the STG cell against the periods themselves (ms): the exact ones, and by step
    /// those of the fixed-step integrator.
    #[test]
    fn the_step_errors_of_the_stg_cell_are_those_of_its_periods() {
        let stg = cell_definition("stg").expect("it ships");
        let fast: &[(f64, &[f64])] = &[(0.1, &[209.0]), (0.05, &[208.75]), (0.025, &[208.66])];
        let slow: &[(f64, &[f64])] = &[
            (0.1, &[1274.0, 1402.0]),
            (0.05, &[1297.0, 1430.0]),
            (0.025, &[1322.0, 1453.0]),
            (0.02, &[1323.0, 1460.0]),
            (0.01, &[1343.0, 1490.0]),
            (0.005, &[1357.0, 1496.0]),
            (0.0025, &[1356.9, 1497.0]),
        ];
        for (tm, exact, periods) in [
            (2.0, [208.58, f64::NAN], fast),
            (20.0, [1356.79, 1486.58], slow),
        ] {
            let rhythm = stg.rhythm(|_, _| Some(tm)).expect("it is known");
            for (step, found) in periods {
                let errors = found
                    .iter()
                    .zip(exact)
                    .map(|(p, exact)| (p / exact - 1.0).abs());
                let worst = errors.fold(0.0, f64::max);
                let known = rhythm.error_at(*step).expect("it is known");
                assert!(
                    (known - worst).abs() < 5e-4,
                    "{step} ms: {known} and {worst}"
                );
            }
        }
    }
}
