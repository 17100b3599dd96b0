//! How the conductances of cells are drawn: each uniformly, normally, log-normally or as a function
//! of others, then solved for wanted dynamic input conductances, then held against rules that throw
//! a draw away. What is drawn for a cell belongs to the seed, the cell and the name of the draw; cells
//! that are drawn as one of them share its random numbers.

pub mod build;
pub(super) mod table;

use std::sync::Arc;

use homarus_systems::{
    definition::{CellDefinition, ThresholdRule},
    kinetics::Expression,
};

use super::{
    cell::{channel_lane, channel_lanes},
    decode::{ANY, Fields, Rule, choice, expected, expression, list, map, number},
    diagnostic::{Diagnostic, Diagnostics},
    generators,
    model::{Condition, Draw, IfNegative, Sampler, Solve, Value as Drawn},
    names::{self, Role},
    source::Place,
    syntax::{Key, Node, Value},
    units,
};

/// The words of `if_negative`.
pub(super) const IF_NEGATIVE: [(&str, IfNegative); 3] = [
    ("refuse", IfNegative::Refuse),
    ("redraw", IfNegative::Redraw),
    ("keep", IfNegative::Keep),
];

/// The fields of a cell that say what its conductances are.
pub(super) struct SamplerFields<'n> {
    gbar: Option<&'n Node>,
    draws: Option<&'n Node>,
    compensate: Option<&'n Node>,
    reject: Option<&'n Node>,
}

/// What conductances are held against: the cell type, the area (cm²) of the cell, and the rule for
/// negative ones.
#[derive(Clone, Copy)]
pub(super) struct Membrane<'d> {
    pub definition: &'d CellDefinition,
    pub area: Option<f64>,
    pub rule: Rule,
    /// Whether a table gives the conductances.
    pub tabulated: bool,
}

impl<'n> SamplerFields<'n> {
    /// Takes the fields but for `gbar`, which is looked at first.
    pub fn take(gbar: Option<&'n Node>, fields: &mut Fields<'n>) -> Self {
        Self {
            gbar,
            draws: fields.optional("draws"),
            compensate: fields.optional("compensate"),
            reject: fields.optional("reject"),
        }
    }

    /// Conductances (mS/cm²) by lane, 0 where they are drawn or not named, and how they are drawn,
    /// if they are.
    pub fn read(
        &self,
        membrane: Membrane<'_>,
        errors: &mut Diagnostics,
    ) -> Option<(Vec<f64>, Option<Arc<Sampler>>)> {
        let definition = membrane.definition;
        let mut gbar = vec![0.0; definition.channels.len()];
        let mut given = vec![membrane.tabulated; gbar.len()];
        let (mut draws, mut written, mut fine) = (Vec::new(), Vec::new(), true);
        let names = self.names(definition, errors)?;
        for (key, node) in entries(self.gbar, errors)? {
            let lane = channel_lane(key, definition, errors);
            let value = if is_drawn(node) {
                drawn(node, &names, errors)
            } else {
                units::conductance_density(node, membrane.area, membrane.rule, errors)
                    .map(Drawn::Number)
            };
            match (lane, value) {
                (Some(lane), Some(Drawn::Number(g))) => (gbar[lane], given[lane]) = (g, true),
                (Some(lane), Some(value)) => {
                    given[lane] = true;
                    written.push(node);
                    draws.push(draw(key, Some(lane), value));
                }
                _ => fine = false,
            }
        }
        for (key, node) in entries(self.draws, errors)? {
            let value = match node.value {
                Value::Number(_) => number(node, ANY, errors).map(Drawn::Number),
                _ => drawn(node, &names, errors),
            };
            match value {
                Some(value) => {
                    written.push(node);
                    draws.push(draw(key, None, value));
                }
                None => fine = false,
            }
        }
        let random = draws
            .iter()
            .any(|draw| matches!(draw.value, Drawn::Distribution(_)));
        fine &= known(definition, &draws, &written, &given, errors);
        let solves = self.solves(membrane, given, random, errors);
        let reject = self.reject(&names, random, errors);
        if !fine {
            return None;
        }
        let order = in_order(&draws, &written, errors)?;
        let (solves, reject) = (solves?, reject?);
        if draws.is_empty() && solves.is_empty() && reject.is_empty() {
            return Some((gbar, None));
        }
        let sampler = Sampler {
            draws,
            order,
            solves,
            reject,
        };
        Some((gbar, Some(Arc::new(sampler))))
    }

    /// What expressions may name: channels and draws.
    fn names(
        &self,
        definition: &CellDefinition,
        errors: &mut Diagnostics,
    ) -> Option<Vec<(String, f64)>> {
        let channels = definition.channels.iter();
        let mut names: Vec<(String, f64)> = channels.map(|(name, _)| (name.clone(), 0.0)).collect();
        let (channels, mut fine) = (names.len(), true);
        for (key, _) in entries(self.draws, errors)? {
            fine &= names::check(key, Role::Draw, errors);
            if names[..channels].iter().any(|(name, _)| *name == key.text) {
                errors.push(
                    Diagnostic::at(
                        &key.place,
                        format!("`{}` names a draw and a channel", key.text),
                    )
                    .label("the draw")
                    .help("what a channel's conductance is drawn from stands in `gbar`"),
                );
                fine = false;
            }
            names.push((key.text.clone(), 0.0));
        }
        fine.then_some(names)
    }

    fn solves(
        &self,
        membrane: Membrane<'_>,
        mut given: Vec<bool>,
        random: bool,
        errors: &mut Diagnostics,
    ) -> Option<Vec<Solve>> {
        let Some(node) = self.compensate else {
            return Some(Vec::new());
        };
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let read: Vec<Option<Solve>> = nodes
            .iter()
            .map(|node| {
                let solve = solve(node, membrane, &given, random, errors)?;
                solve.lanes.iter().for_each(|lane| given[*lane] = true);
                Some(solve)
            })
            .collect();
        read.into_iter().collect()
    }

    fn reject(
        &self,
        names: &[(String, f64)],
        random: bool,
        errors: &mut Diagnostics,
    ) -> Option<Vec<Condition>> {
        let Some(node) = self.reject else {
            return Some(Vec::new());
        };
        let nodes = list(node, errors)?;
        if !random && !nodes.is_empty() {
            errors.push(nothing_to_redraw(&node.place));
            return None;
        }
        let read: Vec<Option<Condition>> = nodes
            .iter()
            .map(|node| condition(node, names, errors))
            .collect();
        read.into_iter().collect()
    }
}

fn entries<'n>(node: Option<&'n Node>, errors: &mut Diagnostics) -> Option<&'n [(Key, Node)]> {
    node.map_or(Some([].as_slice()), |node| map(node, errors))
}

fn draw(key: &Key, lane: Option<usize>, value: Drawn) -> Draw {
    Draw {
        name: key.text.clone(),
        lane,
        value,
    }
}

/// Whether a value is written as a distribution or a function.
fn is_drawn(node: &Node) -> bool {
    match &node.value {
        // A number in quotes is a mistake rather than a function.
        Value::Text(text) => text.trim().parse::<f64>().is_err(),
        Value::Tuple(Some(name), _) => generators::DISTRIBUTIONS.contains(&name.text.as_str()),
        _ => false,
    }
}

/// A distribution or a function of what `names` names.
fn drawn(node: &Node, names: &[(String, f64)], errors: &mut Diagnostics) -> Option<Drawn> {
    match &node.value {
        Value::Text(_) => expression(node, &[], names, errors).map(Drawn::Function),
        _ if is_drawn(node) => generators::distribution(node, errors).map(Drawn::Distribution),
        _ => {
            errors.push(expected(
                "a draw: a number, `Uniform(2, 7)`, `Normal(5, 1)`, `LogNormal(5, 0.2)` or a function such as `\"0.5*leak\"`",
                node,
            ));
            None
        }
    }
}

/// Whether every conductance that a draw is a function of has a value by then.
fn known(
    definition: &CellDefinition,
    draws: &[Draw],
    written: &[&Node],
    given: &[bool],
    errors: &mut Diagnostics,
) -> bool {
    let channels = &definition.channels;
    let unknown = |name: &&str| {
        let lane = channels.iter().position(|(channel, _)| channel == name);
        lane.is_some_and(|lane| !given[lane])
    };
    let mut fine = true;
    for (draw, node) in draws.iter().zip(written) {
        let Drawn::Function(function) = &draw.value else {
            continue;
        };
        if let Some(name) = function.parameters().into_iter().find(unknown) {
            errors.push(
                Diagnostic::at(&node.place, format!("`{name}` has no value to take"))
                    .label(format!("`{}` is a function of it", draw.name))
                    .help(format!(
                        "give or draw `{name}` in `gbar`; what `compensate` solves for comes after all draws"
                    )),
            );
            fine = false;
        }
    }
    fine
}

/// An order in which each draw comes after those it is a function of.
fn in_order(draws: &[Draw], written: &[&Node], errors: &mut Diagnostics) -> Option<Vec<usize>> {
    let needs = |draw: &Draw| -> Vec<usize> {
        let Drawn::Function(function) = &draw.value else {
            return Vec::new();
        };
        let known = |name: &str| draws.iter().position(|draw| draw.name == name);
        function
            .parameters()
            .into_iter()
            .filter_map(known)
            .collect()
    };
    let needs: Vec<Vec<usize>> = draws.iter().map(needs).collect();
    let mut order: Vec<usize> = Vec::with_capacity(draws.len());
    while order.len() < draws.len() {
        let ready = (0..draws.len())
            .find(|k| !order.contains(k) && needs[*k].iter().all(|needed| order.contains(needed)));
        match ready {
            Some(k) => order.push(k),
            None => {
                errors.push(circle(draws, written, &needs, &order));
                return None;
            }
        }
    }
    Some(order)
}

/// The error for draws that wait for one another.
fn circle(draws: &[Draw], written: &[&Node], needs: &[Vec<usize>], order: &[usize]) -> Diagnostic {
    let waiting = |k: &usize| !order.contains(k);
    let mut chain: Vec<usize> = (0..draws.len()).find(waiting).into_iter().collect();
    // Whatever waits needs something that waits.
    let start = loop {
        let last = chain[chain.len() - 1];
        let next = needs[last].iter().copied().find(waiting).unwrap_or(last);
        match chain.iter().position(|k| *k == next) {
            Some(start) => break start,
            None => chain.push(next),
        }
    };
    let circle = &chain[start..];
    let names = circle.iter().chain(&circle[..1]);
    let names: Vec<String> = names.map(|k| format!("`{}`", draws[*k].name)).collect();
    let first = circle[0];
    Diagnostic::at(
        &written[first].place,
        format!("`{}` depends on itself", draws[first].name),
    )
    .label("a function of itself")
    .help(names.join(" needs "))
}

/// Reads a compensation; `given` are the lanes that have a value before it.
fn solve(
    node: &Node,
    membrane: Membrane<'_>,
    given: &[bool],
    random: bool,
    errors: &mut Diagnostics,
) -> Option<Solve> {
    let definition = membrane.definition;
    let mut fields = Fields::of(node, "a compensation", errors)?;
    let channels = fields
        .required("channels")
        .and_then(|node| Some((channel_lanes(node, definition, errors)?, node)));
    let mut target = |name: &'static str, required: bool, errors: &mut Diagnostics| {
        let node = match required {
            true => fields.required(name),
            false => fields.optional(name),
        };
        match node {
            Some(node) => Some((number(node, ANY, errors)?, Some(&node.place))),
            None => (!required).then_some((f64::NAN, None)),
        }
    };
    let three = channels.as_ref().is_some_and(|(lanes, _)| lanes.len() == 3);
    let g_f = target("g_f", three, errors);
    let (g_s, g_u) = (target("g_s", true, errors), target("g_u", true, errors));
    let v_th = match fields.optional("V_th") {
        Some(node) => units::voltage(node, errors).map(Some),
        None => Some(None),
    };
    let if_negative = match fields.optional("if_negative") {
        Some(node) => choice(node, &IF_NEGATIVE, errors).map(|word| (word, node)),
        None => Some((IfNegative::Refuse, node)),
    };
    let head = fields.head().clone();
    fields.finish(errors);
    let Some(dic) = &definition.dic else {
        errors.push(
            Diagnostic::at(&head, "a compensation needs dynamic input conductances")
                .label(format!("cell type `{}` has no `dic`", definition.name)),
        );
        return None;
    };
    let (channels, channels_node) = channels?;
    let (g_f, of_fast) = g_f?;
    match (channels.len(), of_fast) {
        (2, Some(place)) => {
            errors.push(
                Diagnostic::at(place, "two channels are solved from two targets")
                    .label("a third")
                    .help("`g_s` and `g_u`; three channels take `g_f`, too"),
            );
            return None;
        }
        (2 | 3, _) => {}
        (n, _) => {
            errors.push(
                Diagnostic::at(&channels_node.place, "expected two or three channels")
                    .label(format!("found {n}"))
                    .help("two are solved from `g_s` and `g_u`, three from `g_f`, `g_s` and `g_u`"),
            );
            return None;
        }
    }
    if let Some((_, key)) = channels
        .iter()
        .find(|(_, key)| key.text == dic.normalise_by)
    {
        errors.push(
            Diagnostic::at(&key.place, format!("`{}` cannot be solved for", key.text))
                .label("normalises the dynamic input conductances")
                .help("the targets are in units of it; draw it, and solve for others"),
        );
        return None;
    }
    let scanned = matches!(dic.threshold, ThresholdRule::Scan { .. });
    let open = channels.iter().find(|(lane, _)| !given[*lane]);
    if let (Some((_, key)), true, Some(None)) = (open, scanned, v_th) {
        errors.push(
            Diagnostic::at(&head, "this compensation needs `V_th`")
                .label(format!("`{}` has no value before it is solved for", key.text))
                .help(format!(
                    "the threshold voltage of `{}` depends on all conductances; write it as in `V_th: -50`",
                    definition.name
                )),
        );
        return None;
    }
    let (if_negative, words) = if_negative?;
    match if_negative {
        IfNegative::Redraw if !random => {
            errors.push(nothing_to_redraw(&words.place));
            return None;
        }
        IfNegative::Keep if !lets_negative(membrane.rule) => {
            errors.push(
                Diagnostic::at(
                    &words.place,
                    "this scene has no use for a conductance below zero",
                )
                .label("would be kept")
                .help("`negative_conductance: \"allow\"` in the scene lets it"),
            );
            return None;
        }
        _ => {}
    }
    Some(Solve {
        lanes: channels.into_iter().map(|(lane, _)| lane).collect(),
        targets: [g_f, g_s?.0, g_u?.0],
        v_th: v_th?,
        if_negative,
        origin: head,
    })
}

/// Whether a rule lets conductances be negative.
fn lets_negative(rule: Rule) -> bool {
    let unheard = &mut Diagnostics::default();
    rule.check(-1.0, &Place::default(), unheard).is_some()
}

/// The error for a second draw where the first would come out the same.
fn nothing_to_redraw(place: &Place) -> Diagnostic {
    Diagnostic::at(place, "nothing of this cell is drawn")
        .label("a second draw would be the same")
        .help("draw a conductance, as in `gbar: { \"Na\": Uniform(4000, 8000) }`")
}

/// Whether a text is one argument of a function, as far as brackets and commas say.
fn is_one(text: &str) -> bool {
    let mut depth = 0;
    for sign in text.chars() {
        match sign {
            '(' => depth += 1,
            ')' if depth == 0 => return false,
            ')' => depth -= 1,
            ',' if depth == 0 => return false,
            _ => {}
        }
    }
    depth == 0
}

/// Reads a condition under which a draw is thrown away: a comparison.
fn condition(node: &Node, names: &[(String, f64)], errors: &mut Diagnostics) -> Option<Condition> {
    /// A condition is part of the language only inside an `if`.
    const OPEN: &str = "if(";
    let text = super::decode::text(node, errors)?;
    let parameters: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    if !is_one(text) {
        errors.push(
            Diagnostic::at(&node.place, "a condition is one comparison")
                .label("its brackets or commas make it more, or less")
                .help("write each condition as a text of its own"),
        );
        return None;
    }
    match Expression::parse(&format!("{OPEN}{text}, 1, 0)"), &[], &parameters) {
        Ok(holds) => Some(Condition {
            text: text.to_owned(),
            holds,
            origin: node.place.clone(),
        }),
        Err(error) => {
            let inside = node.place.text().find(text).map(|start| {
                let [from, to] = [error.span.start, error.span.end]
                    .map(|at| start + at.saturating_sub(OPEN.len()).min(text.len()));
                node.place.within(from..to)
            });
            let inside = inside.filter(|place| !place.span().is_empty());
            errors.push(
                Diagnostic::at(inside.as_ref().unwrap_or(&node.place), error.message)
                    .label("in this condition")
                    .help(error.help.unwrap_or_else(|| {
                        "a condition compares two expressions, as in `\"A/CaS > 30\"`".to_owned()
                    })),
            );
            None
        }
    }
}
