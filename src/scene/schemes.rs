//! Kinetic schemes of channel files: states, which of them conduct, and the rates between them.

use std::ops::RangeInclusive;

use homarus_systems::{
    definition::{ChannelDefinition, SchemeDefinition, Transition},
    kinetics::{Expression, Variable},
    scheme::{MAX_STATES, SchemeError},
};

use super::{
    decode::{Fields, expression, index_of, keys, map},
    diagnostic::{Diagnostic, Diagnostics},
    names::{self, Role},
    syntax::{Key, Node, Value},
};

/// How many states a scheme may have.
const STATES: RangeInclusive<usize> = 2..=MAX_STATES;

/// Rounding that the sum of states in a file may show.
const ROUNDING: f64 = 1e-6;

/// Reads `scheme: (states: […], conducting: […], rates: {…})`.
pub(super) fn read(
    node: &Node,
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<SchemeDefinition> {
    let mut fields = Fields::of(node, "a kinetic scheme", errors)?;
    let states = fields
        .required("states")
        .and_then(|node| states(node, parameters, errors));
    // What follows names states; without them it could only be called unknown.
    let conducting = fields.required("conducting");
    let rates = fields.required("rates");
    fields.finish(errors);
    let (states, rates) = (states?, rates?);
    let conducting = conducting.and_then(|node| conducting_states(node, &states, errors));
    let transitions = transitions(rates, &states, parameters, errors);
    let scheme = SchemeDefinition {
        states,
        conducting: conducting?,
        transitions: transitions?,
    };
    if let Err(SchemeError::Apart { from, to }) = scheme.check() {
        errors.push(
            Diagnostic::at(
                &rates.head(),
                format!("no way leads from state `{from}` to state `{to}`"),
            )
            .label("leads to some states only")
            .help("every state must be reached from every other, if only through third ones"),
        );
        return None;
    }
    Some(scheme)
}

fn states(
    node: &Node,
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<Vec<String>> {
    let states = keys(node, errors)?;
    let mut fine = true;
    for (k, state) in states.iter().enumerate() {
        fine &= names::check(state, Role::State, errors);
        if let Some(first) = states[..k].iter().find(|other| other.text == state.text) {
            errors.push(
                Diagnostic::at(&state.place, format!("`{}` is listed twice", state.text))
                    .label("again here")
                    .and(&first.place, "first here"),
            );
            fine = false;
        }
        if parameters.iter().any(|(name, _)| *name == state.text) {
            errors.push(
                Diagnostic::at(
                    &state.place,
                    format!("`{}` is a parameter of the channel already", state.text),
                )
                .label("a state")
                .help("the path of the one would be that of the other: choose another name"),
            );
            fine = false;
        }
    }
    if !STATES.contains(&states.len()) {
        errors.push(
            Diagnostic::at(
                &node.place,
                format!(
                    "a kinetic scheme has {} to {MAX_STATES} states",
                    STATES.start()
                ),
            )
            .label(format!("found {}", states.len())),
        );
        fine = false;
    }
    fine.then(|| states.into_iter().map(|state| state.text).collect())
}

/// Place of a state by its name.
fn state(key: &Key, states: &[String], errors: &mut Diagnostics) -> Option<usize> {
    let known = states.iter().map(String::as_str);
    index_of(key, known, "state", "the scheme", errors)
}

fn conducting_states(
    node: &Node,
    states: &[String],
    errors: &mut Diagnostics,
) -> Option<Vec<usize>> {
    let names = keys(node, errors)?;
    if names.is_empty() {
        errors.push(
            Diagnostic::at(&node.place, "no state of this scheme conducts")
                .label("expected at least one state")
                .help("the current flows through the channels that are in one of these states"),
        );
        return None;
    }
    let found: Vec<Option<usize>> = names
        .iter()
        .map(|name| state(name, states, errors))
        .collect();
    found.into_iter().collect()
}

fn transitions(
    node: &Node,
    states: &[String],
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<Vec<Transition>> {
    let mut transitions: Vec<(Transition, &Key)> = Vec::new();
    let mut fine = true;
    for (key, node) in map(node, errors)? {
        let ends = ends(key, states, errors);
        let rate = rate(node, parameters, errors);
        let (Some((from, to)), Some(rate)) = (ends, rate) else {
            fine = false;
            continue;
        };
        let same = |(t, _): &&(Transition, &Key)| t.from == from && t.to == to;
        if let Some((_, first)) = transitions.iter().find(same) {
            errors.push(
                Diagnostic::at(
                    &key.place,
                    format!(
                        "the rate from `{}` to `{}` is given twice",
                        states[from], states[to]
                    ),
                )
                .label("again here")
                .and(&first.place, "first here"),
            );
            fine = false;
        }
        transitions.push((Transition { from, to, rate }, key));
    }
    fine.then(|| transitions.into_iter().map(|(t, _)| t).collect())
}

/// Reads a rate, an expression of V.
fn rate(node: &Node, parameters: &[(String, f64)], errors: &mut Diagnostics) -> Option<Expression> {
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    let reads_calcium = |text: &str| {
        let with_calcium = Expression::parse(text, &[Variable::V, Variable::Ca], &names);
        with_calcium.is_ok_and(|rate| rate.depends_on(Variable::Ca))
    };
    match &node.value {
        Value::Text(text) if reads_calcium(text) => {
            errors.push(
                Diagnostic::at(
                    &node.place,
                    "a rate of a kinetic scheme cannot depend on calcium",
                )
                .label("`Ca` in this rate")
                .help(
                    "rates are functions of `V` and the channel's parameters; gates may read `Ca`",
                ),
            );
            None
        }
        _ => expression(node, &[Variable::V], parameters, errors),
    }
}

/// Takes `FROM->TO` apart.
fn ends(key: &Key, states: &[String], errors: &mut Diagnostics) -> Option<(usize, usize)> {
    let Some((from, to)) = key.text.split_once("->") else {
        errors.push(
            Diagnostic::at(&key.place, "expected `FROM->TO`")
                .label(format!("found `{}`", key.text))
                .help("two states with an arrow between them, as in `\"closed->open\"`"),
        );
        return None;
    };
    let [from, to] = [from, to].map(|name| Key {
        text: name.trim().to_owned(),
        place: key.place.clone(),
    });
    let (from, to) = (state(&from, states, errors), state(&to, states, errors));
    let (from, to) = (from?, to?);
    if from == to {
        errors.push(
            Diagnostic::at(
                &key.place,
                format!("a rate from state `{}` to itself", states[from]),
            )
            .label("expected two states")
            .help("a channel that stays where it is needs no rate"),
        );
        return None;
    }
    Some((from, to))
}

/// Holds the start values of states against their sum, which is 1.
pub(super) fn check_start(
    node: &Node,
    gates: &[(String, String, f64)],
    channels: &[(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> bool {
    let mut fine = true;
    for (name, channel) in channels {
        let Some(scheme) = &channel.scheme else {
            continue;
        };
        let given = gates.iter().filter(|(channel, ..)| channel == name);
        let (count, sum) = given.fold((0, 0.0), |(n, sum), (.., x)| (n + 1, sum + x));
        let all = count == scheme.states.len();
        if sum > 1.0 + ROUNDING || (all && sum < 1.0 - ROUNDING) {
            errors.push(
                Diagnostic::at(
                    &node.head(),
                    format!("the states of `{name}` are the parts of one whole"),
                )
                .label(format!("found a sum of {sum}, expected 1"))
                .help("states that are left out share the rest as they would at rest"),
            );
            fine = false;
        }
    }
    fine
}

/// What `start` may set of a channel: its gates or the states of its scheme, and the word for one.
pub(super) fn openings(channel: &ChannelDefinition) -> (Vec<&str>, &'static str) {
    match &channel.scheme {
        Some(scheme) => (scheme.states.iter().map(String::as_str).collect(), "state"),
        None => {
            let gates = channel.gates.iter();
            (gates.map(|gate| gate.name.as_str()).collect(), "gate")
        }
    }
}

/// Reports a channel with both.
pub(super) fn refuse_both(scheme: &Key, gates: &Key, errors: &mut Diagnostics) {
    errors.push(
        Diagnostic::at(
            &scheme.place,
            "a channel has gates or a kinetic scheme, not both",
        )
        .label("a scheme")
        .and(&gates.place, "gates")
        .help("write the gates as states of the scheme"),
    );
}
