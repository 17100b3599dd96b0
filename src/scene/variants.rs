//! The channels of a cell type: each as its file defines it, or with other time constants or
//! another reversal potential.

use homarus_systems::definition::{ChannelDefinition, Reversal};

use super::{
    decode::{Fields, Rule, above_zero, expected, key, map, number},
    definitions::reversal,
    diagnostic::{Diagnostic, Diagnostics},
    library::Library,
    names::{self, Role},
    syntax::{Key, Node, Value},
};

/// More channels do not fit the widest table of lanes.
const MAX_CHANNELS: usize = 32;

const TAU_FACTOR: Rule = above_zero("it multiplies time constants");

/// Reads the `channels` of the cell type `cell`.
pub(super) fn channels(
    cell: &str,
    node: &Node,
    library: &mut Library,
    errors: &mut Diagnostics,
) -> Option<Vec<(String, ChannelDefinition)>> {
    let entries = map(node, errors)?;
    if let Some((extra, _)) = entries.get(MAX_CHANNELS) {
        errors.push(
            Diagnostic::at(
                &extra.place,
                format!("a cell has at most {MAX_CHANNELS} channels"),
            )
            .label("one too many"),
        );
        return None;
    }
    if entries.is_empty() {
        errors.push(
            Diagnostic::at(&node.place, "a cell needs at least one channel")
                .label("no channel")
                .help("a passive membrane is a cell with a leak: `{ \"leak\": \"leak\" }`"),
        );
        return None;
    }
    let read: Vec<Option<(String, ChannelDefinition)>> = entries
        .iter()
        .map(|(name, node)| {
            let fine = names::check(name, Role::Channel, errors);
            let definition = channel(cell, name, node, library, errors)?;
            fine.then(|| (name.text.clone(), definition))
        })
        .collect();
    read.into_iter().collect()
}

/// A channel by the name of its file, or that with fields that say how it differs.
fn channel(
    cell: &str,
    name: &Key,
    node: &Node,
    library: &mut Library,
    errors: &mut Diagnostics,
) -> Option<ChannelDefinition> {
    match &node.value {
        Value::Text(_) => library.channel(&key(node, errors)?, errors),
        Value::Struct(None, _) => variant(&format!("{cell}_{}", name.text), node, library, errors),
        _ => {
            errors.push(
                expected("the name of a channel", node).help(
                    "one that differs from its file is written as in `(channel: \"stg_na\", tau_factor: 2)`",
                ),
            );
            None
        }
    }
}

/// Reads a channel that differs from its file; it is called `name`.
fn variant(
    name: &str,
    node: &Node,
    library: &mut Library,
    errors: &mut Diagnostics,
) -> Option<ChannelDefinition> {
    let mut fields = Fields::of(node, "a channel of a cell type", errors)?;
    let definition = fields
        .required("channel")
        .and_then(|node| library.channel(&key(node, errors)?, errors));
    let factor = match fields.optional("tau_factor") {
        Some(node) => number(node, TAU_FACTOR, errors),
        None => Some(1.0),
    };
    let other: Option<Option<Reversal>> = match fields.optional("reversal") {
        Some(node) => reversal(node, errors).map(Some),
        None => Some(None),
    };
    fields.finish(errors);
    let (definition, factor) = (definition?, factor?);
    let mut variant = match factor {
        1.0 => definition,
        factor => definition.slowed(factor),
    };
    variant.name = name.to_owned();
    variant.reversal = other?.unwrap_or(variant.reversal);
    Some(variant)
}
