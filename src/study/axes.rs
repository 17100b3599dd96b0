//! The axes of a study: the values of each, and what becomes of a protocol entry that refers to them.

use std::{fmt, ops::RangeInclusive};

use homarus_systems::{
    address::{Names, PathError},
    math,
};

use crate::scene::{
    Scene,
    decode::{ANY, Fields, above_zero, expected, integer, list, map, number, text},
    diagnostic::{Diagnostic, Diagnostics},
    model::{Action, Entry},
    names::{self, Role},
    network::Known,
    paths, protocol,
    source::Place,
    syntax::{self, Key, Node},
};

use super::model::{Amount, Axis, Study, Timed, Value, Values, When};

/// More values than this are no list any more.
const MAX_VALUES: usize = 1_000_000;

const RANGE: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// Ways to write the values of an axis.
const WAYS: &str = "`Linear(…)`, `Log(…)`, `Bisect(…)`, `Edges(\"*->*\")`, `Pairs(\"*->*\")`, \
                    `Cells(\"*\")`, `Channels(\"*.*\")` or a list";

impl Values {
    /// How many there are on a grid; those of a bisection are found one by one and count as one.
    pub fn count(&self) -> usize {
        match self {
            Values::List(values) => values.len(),
            Values::Linear { count, .. } | Values::Log { count, .. } => *count,
            Values::Bisect { .. } => 1,
        }
    }

    /// The value of a number below [`Values::count`]; none of a bisection.
    pub fn value(&self, number: usize) -> Option<Value> {
        match *self {
            Values::List(ref values) => values.get(number).cloned(),
            Values::Linear { from, to, count } => {
                Some(Value::Number(evenly(from, to, number, count)))
            }
            Values::Log { from, to, count } => {
                let inner = number > 0 && number + 1 < count;
                Some(Value::Number(match inner {
                    true => math::exp(evenly(math::ln(from), math::ln(to), number, count)),
                    false => evenly(from, to, number, count),
                }))
            }
            Values::Bisect { .. } => None,
        }
    }

    /// The value of a share `u` in [0, 1) of the range, or of the list; none of a bisection.
    pub fn at(&self, u: f64) -> Option<Value> {
        let within = |from: f64, to: f64| u.mul_add(to - from, from);
        Some(match *self {
            Values::List(ref values) => {
                let place = (u * values.len() as f64) as usize;
                values.get(place.min(values.len().checked_sub(1)?))?.clone()
            }
            Values::Linear { from, to, .. } => Value::Number(within(from, to)),
            Values::Log { from, to, .. } => {
                Value::Number(math::exp(within(math::ln(from), math::ln(to))))
            }
            Values::Bisect { .. } => return None,
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::Texts(paths) => f.write_str(&paths.join(" + ")),
        }
    }
}

/// Number `k` of `count` numbers from one to another, both ends exact.
fn evenly(from: f64, to: f64, k: usize, count: usize) -> f64 {
    let last = count.saturating_sub(1);
    match k {
        0 => from,
        _ if k == last => to,
        // Of whole numbers and their tenths this is the nearest number, which a sum is not.
        _ => (from * (last - k) as f64 + to * k as f64) / last as f64,
    }
}

/// An axis as it is being read.
pub(super) struct Read {
    pub axis: Axis,
    /// Values that whatever refers to the axis is held against, and where they are written: those of
    /// a list, the ends of a range, the first of what a glob names.
    pub shown: Vec<(Value, Place)>,
    /// Whether anything refers to it.
    pub used: bool,
}

/// Reads the axes; globs are spelt out against the bases.
pub(super) fn read(
    node: &Node,
    sampled: bool,
    bases: &[(Scene, Names)],
    errors: &mut Diagnostics,
) -> Option<Vec<Read>> {
    let mut whole = true;
    let mut read = Vec::new();
    for (key, node) in map(node, errors)? {
        names::check(key, Role::Axis, errors);
        match values(node, sampled, bases, errors) {
            Some((values, shown)) => read.push(Read {
                axis: Axis {
                    name: key.text.clone(),
                    values,
                    makes_networks: false,
                    origin: key.place.clone(),
                },
                shown,
                used: false,
            }),
            None => whole = false,
        }
    }
    whole.then_some(read)
}

/// Values, and those that are shown in errors.
type Shown = (Values, Vec<(Value, Place)>);

fn values(
    node: &Node,
    sampled: bool,
    bases: &[(Scene, Names)],
    errors: &mut Diagnostics,
) -> Option<Shown> {
    match &node.value {
        syntax::Value::List(_) => listed(node, errors),
        syntax::Value::Struct(Some(name), entries) => {
            let fields = Fields::new(&format!("`{}`", name.text), node.head(), entries);
            range(name, node, fields, sampled, errors)
        }
        syntax::Value::Tuple(Some(name), items) => match items.as_slice() {
            [glob] if SELECTORS.contains(&name.text.as_str()) => {
                let pattern = text(glob, errors)?;
                let values = spelt_out(&name.text, pattern, &glob.place, bases, errors)?;
                let shown = values
                    .first()
                    .map(|first| (first.clone(), glob.place.clone()));
                Some((Values::List(values), shown.into_iter().collect()))
            }
            _ => unknown_way(node, &name.text, errors),
        },
        _ => {
            errors.push(expected(&format!("values: {WAYS}"), node));
            None
        }
    }
}

fn unknown_way<T>(node: &Node, name: &str, errors: &mut Diagnostics) -> Option<T> {
    let ways = ["Linear", "Log", "Bisect"].into_iter().chain(SELECTORS);
    let near = names::nearest(name, ways.clone()).filter(|near| *near != name);
    let help = near.map(|near| format!("did you mean `{near}`?"));
    let error = expected(&format!("values: {WAYS}"), node).maybe_help(help);
    errors.push(match name {
        "Linear" | "Log" => error.help(format!("write `{name}(from: 1, to: 10, count: 4)`")),
        "Bisect" => error.help("write `Bisect(from: 0, to: 1, tolerance: 0.01)`"),
        _ => error,
    });
    None
}

/// Values as they are listed.
fn listed(node: &Node, errors: &mut Diagnostics) -> Option<Shown> {
    let items = list(node, errors)?;
    if items.is_empty() {
        errors.push(
            Diagnostic::at(&node.place, "this axis has no values")
                .label("an empty list")
                .help("give it a value, or take the axis out"),
        );
        return None;
    }
    let read: Vec<Option<(Value, Place)>> = items
        .iter()
        .map(|item| Some((value(item, errors)?, item.head())))
        .collect();
    let shown: Vec<(Value, Place)> = read.into_iter().collect::<Option<_>>()?;
    let is_number = |value: &Value| matches!(value, Value::Number(_));
    let (first, first_place) = &shown[0];
    for (k, (value, place)) in shown.iter().enumerate() {
        if is_number(value) != is_number(first) {
            errors.push(
                Diagnostic::at(place, "an axis has numbers or words, not both")
                    .label(format!("found {}", items[k].describe()))
                    .and(first_place, format!("found {}", items[0].describe())),
            );
            return None;
        }
        if let Some((_, twice)) = shown[..k].iter().find(|(known, _)| known == value) {
            errors.push(
                Diagnostic::at(place, "this value is listed twice")
                    .label("again here")
                    .and(twice, "first here")
                    .help("remove one of the two; `networks` and `realisations` repeat a run"),
            );
        }
    }
    let values = shown.iter().map(|(value, _)| value.clone()).collect();
    Some((Values::List(values), shown))
}

fn value(node: &Node, errors: &mut Diagnostics) -> Option<Value> {
    match &node.value {
        syntax::Value::Text(text) => Some(Value::Text(text.clone())),
        syntax::Value::List(items) => {
            let paths: Vec<Option<String>> = items
                .iter()
                .map(|item| text(item, errors).map(str::to_owned))
                .collect();
            let paths: Vec<String> = paths.into_iter().collect::<Option<_>>()?;
            if paths.is_empty() {
                errors.push(expected("paths that belong together", node));
                return None;
            }
            Some(Value::Texts(paths))
        }
        syntax::Value::Number(_) | syntax::Value::Word(_) => {
            number(node, ANY, errors).map(Value::Number)
        }
        _ => {
            errors.push(expected(
                "a number, a text in quotes or a list of paths",
                node,
            ));
            None
        }
    }
}

/// A range of numbers.
fn range(
    name: &Key,
    node: &Node,
    mut fields: Fields<'_>,
    sampled: bool,
    errors: &mut Diagnostics,
) -> Option<Shown> {
    let rule = match name.text.as_str() {
        "Linear" | "Bisect" => ANY,
        "Log" => above_zero("a logarithmic range has no zero"),
        _ => return unknown_way(node, &name.text, errors),
    };
    let [from, to] = ["from", "to"].map(|end| {
        let end = fields.required(end)?;
        Some((number(end, rule, errors)?, end.place.clone()))
    });
    let last = match (name.text.as_str(), sampled) {
        ("Bisect", _) => fields.required("tolerance").and_then(|node| {
            let rule = above_zero("a bisection has to come to an end");
            Some((number(node, rule, errors)?, 0, node.place.clone()))
        }),
        (_, true) => match fields.optional("count") {
            // How many points there are, the design says.
            Some(node) => integer(node, RANGE, errors).map(|_| (0.0, 0, node.place.clone())),
            None => Some((0.0, 0, node.head())),
        },
        _ => fields.required("count").and_then(|node| {
            let count = integer(node, RANGE, errors)?;
            Some((0.0, usize::try_from(count).ok()?, node.place.clone()))
        }),
    };
    fields.finish(errors);
    let ((from, from_place), (to, to_place)) = (from?, to?);
    let (tolerance, count, last_place) = last?;
    if from == to && count != 1 {
        errors.push(
            Diagnostic::at(&to_place, "this range is empty")
                .label(format!("from {from} to {to}"))
                .help("a single value is a list: `[1]`"),
        );
        return None;
    }
    let values = match name.text.as_str() {
        "Log" => Values::Log { from, to, count },
        "Bisect" => {
            let width = (to - from).abs();
            if tolerance >= width {
                errors.push(
                    Diagnostic::at(&last_place, "the tolerance is wider than the range")
                        .label(format!("the range is {width} wide"))
                        .help("a smaller `tolerance`"),
                );
                return None;
            }
            Values::Bisect {
                from,
                to,
                tolerance,
            }
        }
        _ => Values::Linear { from, to, count },
    };
    let ends = [(from, from_place), (to, to_place)];
    let shown = ends.map(|(value, place)| (Value::Number(value), place));
    Some((values, shown.into()))
}

/// What spells out a glob.
const SELECTORS: [&str; 4] = ["Edges", "Pairs", "Cells", "Channels"];

/// The paths that a glob names in the bases, which must agree.
fn spelt_out(
    selector: &str,
    pattern: &str,
    place: &Place,
    bases: &[(Scene, Names)],
    errors: &mut Diagnostics,
) -> Option<Vec<Value>> {
    let mut known: Option<(&str, Vec<String>)> = None;
    for (scene, names) in bases {
        let found = match selected(selector, pattern, names) {
            Ok(found) => found,
            Err(error) => {
                errors.push(paths::at(place, error));
                return None;
            }
        };
        match &known {
            Some((first, paths)) if *paths != found => {
                errors.push(
                    Diagnostic::at(place, "the bases differ in what this names")
                        .label(format!("{} and {} paths", paths.len(), found.len()))
                        .help(format!(
                            "`{first}` and `{}`: list the paths that both have, or make a study \
                             for each",
                            scene.name
                        )),
                );
                return None;
            }
            Some(_) => {}
            None => known = Some((&scene.name, found)),
        }
    }
    let (_, paths) = known?;
    let pairs = selector == "Pairs";
    let count = match pairs {
        true => paths.len() * paths.len().saturating_sub(1) / 2,
        false => paths.len(),
    };
    if count == 0 || count > MAX_VALUES {
        let message = match count {
            0 => "there is no pair of edges".to_owned(),
            _ => format!("these are {count} values"),
        };
        errors.push(
            Diagnostic::at(place, message)
                .label(format!("`{pattern}` names {}", counted(paths.len())))
                .help(format!(
                    "a pair needs two, and an axis has at most {MAX_VALUES} values"
                )),
        );
        return None;
    }
    if !pairs {
        return Some(paths.into_iter().map(Value::Text).collect());
    }
    let pairs = paths.iter().enumerate().flat_map(|(k, one)| {
        let others = paths[k + 1..].iter();
        others.map(move |other| Value::Texts(vec![one.clone(), other.clone()]))
    });
    Some(pairs.collect())
}

fn counted(paths: usize) -> String {
    match paths {
        1 => "1 path".to_owned(),
        n => format!("{n} paths"),
    }
}

fn selected(selector: &str, pattern: &str, names: &Names) -> Result<Vec<String>, PathError> {
    Ok(match selector {
        "Cells" => {
            let cells = names.select_cells(pattern)?.into_iter();
            cells
                .map(|cell| names.cells[cell].name.to_string())
                .collect()
        }
        "Channels" => {
            let channels = names.select_channels(pattern)?.into_iter();
            let path = |(cell, lane): (usize, usize)| {
                let cell = &names.cells[cell];
                format!("{}.{}", cell.name, cell.channels[lane].name)
            };
            channels.map(path).collect()
        }
        _ => {
            let edges = names.select_edges(pattern)?;
            let single = edges.single.iter().map(|edge| names.edge_owner(*edge));
            let bulk = edges.bulk.iter().flat_map(|(bulk, edges)| {
                let owner = |edge: &u32| names.bulk_owner(*bulk, *edge as usize);
                edges.iter().map(owner)
            });
            single.chain(bulk).collect()
        }
    })
}

/// The name that `Axis("name")` holds, if a node is that; `None` inside: something else stands there.
pub(super) fn reference(node: &Node) -> Option<Option<Key>> {
    let name = match &node.value {
        syntax::Value::Tuple(Some(name), _) | syntax::Value::Struct(Some(name), _) => name,
        _ => return None,
    };
    if name.text != "Axis" {
        return None;
    }
    Some(match &node.value {
        syntax::Value::Tuple(_, items) => match items.as_slice() {
            [item] => match &item.value {
                syntax::Value::Text(text) => Some(Key {
                    text: text.clone(),
                    place: item.place.clone(),
                }),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    })
}

/// All references to axes in a node.
pub(super) fn references<'n>(node: &'n Node, found: &mut Vec<&'n Node>) {
    if reference(node).is_some() {
        found.push(node);
        return;
    }
    match &node.value {
        syntax::Value::Struct(_, entries) | syntax::Value::Map(entries) => {
            entries.iter().for_each(|(_, node)| references(node, found));
        }
        syntax::Value::Tuple(_, items) | syntax::Value::List(items) => {
            items.iter().for_each(|node| references(node, found));
        }
        _ => {}
    }
}

/// The node that stands for a value; of paths that belong together the one with a number.
pub(super) fn literal(value: &Value, member: usize, place: &Place) -> Node {
    let value = match value {
        Value::Number(number) => syntax::Value::Number(*number),
        Value::Text(text) => syntax::Value::Text(text.clone()),
        Value::Texts(paths) => syntax::Value::Text(paths.get(member).cloned().unwrap_or_default()),
    };
    Node {
        place: place.clone(),
        value,
    }
}

/// A node in which values stand in place of references.
fn filled(node: &Node, value: &dyn Fn(&str, &Place) -> Node) -> Node {
    if let Some(Some(key)) = reference(node) {
        return value(&key.text, &node.place);
    }
    let entries = |entries: &[(Key, Node)]| {
        let filled = entries
            .iter()
            .map(|(key, node)| (key.clone(), filled(node, value)));
        filled.collect()
    };
    let items = |items: &[Node]| items.iter().map(|node| filled(node, value)).collect();
    Node {
        place: node.place.clone(),
        value: match &node.value {
            syntax::Value::Struct(name, own) => syntax::Value::Struct(name.clone(), entries(own)),
            syntax::Value::Map(own) => syntax::Value::Map(entries(own)),
            syntax::Value::Tuple(name, own) => syntax::Value::Tuple(name.clone(), items(own)),
            syntax::Value::List(own) => syntax::Value::List(items(own)),
            other => other.clone(),
        },
    }
}

/// The value of an axis with the place it is shown at, by the name of the axis.
type ValueOf<'a> = dyn Fn(&str, &Place) -> Option<(Value, Place)> + 'a;

/// The entries that one with references becomes at a time (ms): one, or one for each of the paths
/// that belong together.
pub(super) fn entries_of(
    entry: &Node,
    at_ms: f64,
    value: &ValueOf,
    known: &Known<'_>,
    errors: &mut Diagnostics,
) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    references(entry, &mut found);
    let paths = found.iter().filter_map(|node| {
        let (value, _) = value(&reference(node)??.text, &node.place)?;
        match value {
            Value::Texts(paths) => Some(paths.len()),
            _ => None,
        }
    });
    let count = paths.max().unwrap_or(1);
    let read: Vec<Option<Entry>> = (0..count)
        .map(|member| {
            let fill = |name: &str, place: &Place| match value(name, place) {
                Some((value, place)) => literal(&value, member, &place),
                None => literal(&Value::Text(String::new()), 0, place),
            };
            let mut node = filled(entry, &fill);
            if let syntax::Value::Struct(_, entries) = &mut node.value {
                let place = entry.head();
                let key = Key {
                    text: "at_ms".to_owned(),
                    place: place.clone(),
                };
                entries.insert(0, (key, literal(&Value::Number(at_ms), 0, &place)));
            }
            protocol::entry(&node, known, errors)
        })
        .collect();
    read.into_iter().collect()
}

/// The times of a branch that its entries are counted from.
pub struct Times<'a> {
    /// The fork (ms).
    pub fork_ms: f64,
    /// What entries are counted from (ms): the fork, or the end of `during` for those that undo.
    pub from_ms: f64,
    /// When those that come again end (ms), if they do not do so before.
    pub until_ms: f64,
    /// When a rhythm of the base (by its index) is at a phase (1) in the control, for the first time
    /// after the fork (ms), if it is.
    pub phase_ms: &'a dyn Fn(usize, f64) -> Option<f64>,
}

/// What entries become in a branch: `values` are those of all axes, in their order.
///
/// # Errors
/// A time that there is not because the control has no whole cycle; a value that an action refuses.
pub fn entries<'t>(
    study: &Study,
    base: usize,
    timed: impl IntoIterator<Item = &'t Timed>,
    values: &[Option<Value>],
    times: &Times,
) -> Result<Vec<Entry>, Diagnostics> {
    let known = Known::of(&study.bases[base]);
    let value = |name: &str, place: &Place| {
        let axis = study.axes.iter().position(|axis| axis.name == name)?;
        Some((values.get(axis)?.clone()?, place.clone()))
    };
    let (mut all, mut errors) = (Vec::new(), Diagnostics::default());
    for timed in timed {
        let Some(at_ms) = time(study, base, timed, values, times, &mut errors) else {
            continue;
        };
        // As when it was read, times are those after the fork.
        let after_fork = at_ms - times.fork_ms;
        let made = entries_of(&timed.entry, after_fork, &value, &known, &mut errors);
        for mut entry in made.into_iter().flatten() {
            if let Action::Recall { from_ms, .. } = &mut entry.action {
                *from_ms += times.fork_ms;
            }
            all.extend(
                repeated(timed, at_ms, times.until_ms, values).map(|at_ms| Entry {
                    at_ms,
                    ..entry.clone()
                }),
            );
        }
    }
    match errors.is_empty() {
        true => Ok(all),
        false => Err(errors),
    }
}

/// The times at which an entry acts that first does so at `at_ms` (ms).
fn repeated(
    timed: &Timed,
    at_ms: f64,
    until_ms: f64,
    values: &[Option<Value>],
) -> impl Iterator<Item = f64> + use<> {
    let again = timed.again.as_ref();
    let every_ms = again.and_then(|again| again.every_ms.of(values));
    let times = match (again, every_ms) {
        (Some(again), Some(_)) => again.times.unwrap_or(usize::MAX),
        _ => 1,
    };
    // From the first on, so that no rounding adds up.
    let at = move |k: usize| (k as f64).mul_add(every_ms.unwrap_or(0.0), at_ms);
    let in_time = move |(k, at_ms): &(usize, f64)| *k == 0 || *at_ms < until_ms;
    (0..times)
        .map(move |k| (k, at(k)))
        .take_while(in_time)
        .map(|(_, at_ms)| at_ms)
}

/// When an entry acts (ms).
fn time(
    study: &Study,
    base: usize,
    timed: &Timed,
    values: &[Option<Value>],
    times: &Times,
    errors: &mut Diagnostics,
) -> Option<f64> {
    match &timed.at {
        When::Ms(amount) => Some(times.from_ms + amount.of(values)?),
        When::Phase { phase, rhythm } => {
            let phase = phase.of(values)?;
            let found = (times.phase_ms)(*rhythm, phase);
            if found.is_none() {
                let name = &study.bases[base].rhythms[*rhythm].name;
                errors.push(Diagnostic::new(format!(
                    "the control has no whole cycle of rhythm `{name}` after the fork, so that there is no phase {phase} of it"
                )));
            }
            found
        }
    }
}

impl Amount {
    /// The number, with the values of all axes; `None`: the axis has none, or a word.
    pub fn of(&self, values: &[Option<Value>]) -> Option<f64> {
        match self {
            Amount::Given(number) => Some(*number),
            Amount::Axis(axis) => match values.get(*axis)? {
                Some(Value::Number(number)) => Some(*number),
                _ => None,
            },
        }
    }
}

/// A phase in [0, 1).
pub(super) fn phase(node: &Node, errors: &mut Diagnostics) -> Option<f64> {
    let phase = number(node, ANY, errors)?;
    if (0.0..1.0).contains(&phase) {
        return Some(phase);
    }
    errors.push(
        Diagnostic::at(&node.place, "expected a phase: a number from 0, below 1")
            .label(format!("found {phase}"))
            .help("phase 1 is phase 0 of the next cycle"),
    );
    None
}
