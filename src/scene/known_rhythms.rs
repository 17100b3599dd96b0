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
