//! A checked scene written down again: one file that holds all it was put together from and runs to
//! the same bits. Numbers are in the field's units and as precise as they were.

use std::{fmt::Write, iter};

use glam::DVec3;
use homarus_systems::{
    definition::{
        CalciumPool, CellDefinition, ChannelDefinition, DicDefinition, GateDefinition,
        GateKinetics, Influx, KnownRhythm, Reversal, SchemeDefinition, Start, SynapseDefinition,
        SynapseKind, ThresholdRule, Timescale,
    },
    kinetics::Expression,
};

use super::{
    definitions::FORMAT,
    model::{
        Action, Bulk, Cell, Conductance, Controller, Copies, Current, Distribution, Edge, Ends,
        Entry, Expectation, Homeostat, Layout, Population, Rhythm, Rule, Sampler, Samples, Scene,
        Solve, Take, Tolerance, Value, Wanted, Weight, Window,
    },
    population::IF_NEGATIVE,
    settings::{INTEGRATOR_STARTS, NEGATIVE_CONDUCTANCES},
};

/// A value of a scene file.
enum Ron {
    Number(f64),
    Whole(u64),
    Flag(bool),
    Text(String),
    /// A bare word.
    Word(String),
    /// A struct with or without a name, its fields in order.
    Struct(&'static str, Fields),
    /// A named or bare tuple.
    Tuple(&'static str, Vec<Ron>),
    List(Vec<Ron>),
    Map(Vec<(String, Ron)>),
}

type Fields = Vec<(&'static str, Ron)>;

/// Longest line, as far as lists, maps and structs can be broken.
const WIDTH: usize = 120;

impl Scene {
    /// The scene as one file: what it includes and copies inlined, what is set by path in `set`.
    pub fn text(&self) -> String {
        let mut text = format!(
            "// `{}` as resolved; run it to get the same bits.\n",
            self.name
        );
        lay_out(&Ron::Struct("Scene", fields(self)), 0, 0, &mut text);
        text.push('\n');
        text
    }

    /// As [`Self::text`], for the bundle of a run that went on from a file of it.
    pub fn text_gone_on(&self, snapshot: &str) -> String {
        let text = self.text();
        let fields = text.split_once('\n').map_or("", |(_, fields)| fields);
        format!(
            "// `{}` as resolved; the run went on from {snapshot}.\n{fields}",
            self.name
        )
    }

    /// blake3, in hexadecimal, of [`Self::text`] without what is only observed: the name, the
    /// duration, windows, rhythms, samples and expectations, and what is known of cell types.
    pub fn hash(&self) -> String {
        let observed = [
            "name",
            "duration_ms",
            "windows",
            "rhythms",
            "samples",
            "expect",
        ];
        let mut identity = fields(self);
        identity.retain(|(name, _)| !observed.contains(name));
        let define = identity.iter_mut().find(|(name, _)| *name == "define");
        if let Some((_, define)) = define {
            forget_known_rhythms(define);
        }
        let mut text = String::new();
        lay_out(&Ron::Struct("Scene", identity), 0, 0, &mut text);
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}

/// The first thing that two scenes say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, as in the resolved scene: `cells.LP.gbar.CaS`.
    pub place: String,
    /// What the one says; `None`: nothing.
    pub one: Option<String>,
    /// What the other says.
    pub other: Option<String>,
}

impl Scene {
    /// The first thing that another scene says otherwise about what runs, or about its rhythms. What
    /// only one of them runs long enough to meet does not count, nor what is only observed or told.
    pub fn difference(&self, other: &Scene) -> Option<Difference> {
        let end_ms = self.duration_ms.min(other.duration_ms);
        let (one, other) = (self.running(end_ms), other.running(end_ms));
        differ(&Ron::Struct("", one), &Ron::Struct("", other), "")
    }

    /// What runs up to a time (ms).
    fn running(&self, end_ms: f64) -> Fields {
        const TOLD: [&str; 7] = [
            "name",
            "about",
            "source",
            "duration_ms",
            "windows",
            "samples",
            "expect",
        ];
        let mut running = fields(self);
        running.retain(|(name, _)| !TOLD.contains(name));
        for (name, value) in &mut running {
            match (*name, value) {
                ("define", define) => forget_known_rhythms(define),
                ("protocol", Ron::List(entries)) => {
                    let mut at = self.protocol.iter().map(|entry| entry.at_ms);
                    entries.retain(|_| at.next().is_some_and(|at| at <= end_ms));
                }
                _ => {}
            }
        }
        running
    }
}

/// The first difference of two values at a place.
fn differ(one: &Ron, other: &Ron, place: &str) -> Option<Difference> {
    let told = |value: &Ron| shortened(one_line(value));
    let (Some((kind, own)), Some((other_kind, others))) = (parts(one), parts(other)) else {
        let same = one_line(one) == one_line(other);
        return (!same).then(|| Difference {
            place: place.to_owned(),
            one: Some(told(one)),
            other: Some(told(other)),
        });
    };
    if kind != other_kind {
        return Some(Difference {
            place: place.to_owned(),
            one: Some(told(one)),
            other: Some(told(other)),
        });
    }
    let inside = |label: &str| match place.is_empty() {
        true => label.trim_start_matches('.').to_owned(),
        false => format!("{place}{label}"),
    };
    // As a rule both have the same parts in the same order.
    let find = |list: &[(String, &Ron)], k: usize, label: &str| -> Option<usize> {
        let here = list.get(k).is_some_and(|(own, _)| own == label);
        let there = || list.iter().position(|(own, _)| own == label);
        here.then_some(k).or_else(there)
    };
    for (k, (label, value)) in own.iter().enumerate() {
        let Some(at) = find(&others, k, label) else {
            return Some(Difference {
                place: inside(label),
                one: Some(told(value)),
                other: None,
            });
        };
        let found = differ(value, others[at].1, &inside(label));
        if found.is_some() {
            return found;
        }
    }
    let mut others = others.iter().enumerate();
    let (_, (label, value)) = others.find(|(k, (label, _))| find(&own, *k, label).is_none())?;
    Some(Difference {
        place: inside(label),
        one: None,
        other: Some(told(value)),
    })
}

/// What sort of whole a value is, and its parts with what they add to its place.
fn parts(value: &Ron) -> Option<(&'static str, Vec<(String, &Ron)>)> {
    match value {
        Ron::Struct(name, fields) => {
            let fields = fields.iter();
            let parts = fields.map(|(name, value)| (format!(".{name}"), value));
            Some((name, parts.collect()))
        }
        Ron::Map(entries) => {
            let entries = entries.iter();
            let parts = entries.map(|(key, value)| (format!(".{key}"), value));
            Some(("a map", parts.collect()))
        }
        Ron::List(items) => {
            let items = items.iter().enumerate();
            let parts = items.map(|(k, value)| (format!("[{k}]"), value));
            Some(("a list", parts.collect()))
        }
        _ => None,
    }
}

/// A text that fits a message.
fn shortened(text: String) -> String {
    const LONGEST: usize = 60;
    match text.chars().count() > LONGEST {
        true => text.chars().take(LONGEST).chain("…".chars()).collect(),
        false => text,
    }
}

/// Takes what is known of them out of the cell types of a list of definitions.
fn forget_known_rhythms(define: &mut Ron) {
    let Ron::List(definitions) = define else {
        return;
    };
    for definition in definitions {
        if let Ron::Struct("Cell", fields) = definition {
            fields.retain(|(name, _)| *name != "rhythms");
        }
    }
}

/// Appends a value at a depth of nesting; `used` columns of its line are taken already.
fn lay_out(value: &Ron, depth: usize, used: usize, text: &mut String) {
    let (open, close, items) = match value {
        Ron::Struct(name, fields) => {
            let items = fields
                .iter()
                .map(|(name, value)| (format!("{name}: "), value));
            (format!("{name}("), ')', items.collect::<Vec<_>>())
        }
        Ron::Map(entries) => {
            let items = entries
                .iter()
                .map(|(key, value)| (format!("{}: ", quoted(key)), value));
            ("{".to_owned(), '}', items.collect())
        }
        Ron::List(items) => {
            let items = items.iter().map(|value| (String::new(), value));
            ("[".to_owned(), ']', items.collect())
        }
        _ => return text.push_str(&one_line(value)),
    };
    // The root is always broken; whether it fits would be found out by writing all of it.
    if depth > 0 || items.is_empty() {
        let line = one_line(value);
        if items.is_empty() || used + line.chars().count() < WIDTH {
            return text.push_str(&line);
        }
    }
    let indent = 4 * (depth + 1);
    text.push_str(&open);
    for (label, item) in items {
        let _ = write!(text, "\n{:indent$}{label}", "");
        lay_out(item, depth + 1, indent + label.chars().count(), text);
        text.push(',');
    }
    let _ = write!(text, "\n{:width$}{close}", "", width = 4 * depth);
}

fn one_line(value: &Ron) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match value {
        // The shortest text that is read back as the same number.
        Ron::Number(x) => format!("{x:?}"),
        Ron::Whole(n) => n.to_string(),
        Ron::Flag(flag) => flag.to_string(),
        Ron::Text(text) => quoted(text),
        Ron::Word(word) => word.clone(),
        Ron::Struct(name, fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name}: {}", one_line(value)));
            format!("{name}({})", joined(fields.collect()))
        }
        Ron::Tuple(name, items) => {
            format!("{name}({})", joined(items.iter().map(one_line).collect()))
        }
        Ron::List(items) => format!("[{}]", joined(items.iter().map(one_line).collect())),
        Ron::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), one_line(value)));
            format!("{{{}}}", joined(entries.collect()))
        }
    }
}

fn quoted(text: &str) -> String {
    // A text can always be written.
    ron::to_string(text).unwrap_or_default()
}

fn text(text: &str) -> Ron {
    Ron::Text(text.to_owned())
}

/// The word for one of a few choices, each of which has one.
fn word<T: PartialEq>(choices: &[(&str, T)], value: T) -> Ron {
    let known = choices.iter().find(|(_, choice)| *choice == value);
    text(known.map_or("", |(word, _)| word))
}

fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Ron {
    Ron::List(items.into_iter().map(text).collect())
}

fn numbers(entries: &[(String, f64)]) -> Ron {
    let entries = entries
        .iter()
        .map(|(name, value)| (name.clone(), Ron::Number(*value)));
    Ron::Map(entries.collect())
}

fn expression(expression: &Expression) -> Ron {
    Ron::Text(expression.to_string())
}

fn fields(scene: &Scene) -> Fields {
    let channels = channels(scene);
    let mut define: Vec<Ron> = channels
        .iter()
        .map(|(name, definition)| channel(name, definition))
        .collect();
    define.extend(scene.cell_types.iter().map(|c| cell_type(c, &channels)));
    define.extend(scene.kinds.iter().map(kind));
    let groups = scene
        .groups
        .iter()
        .map(|(group, members)| (group.clone(), cell_names(scene, members)));
    let set = scene
        .set
        .iter()
        .map(|s| (s.path.clone(), Ron::Number(s.value)));
    let labels = scene.windows.iter().map(|window| window.label.as_str());
    let labels: Vec<&str> = labels.collect();
    // Of a window that was taken away nothing can be expected.
    let expected = scene.expect.iter();
    let expected = expected
        .filter(|e| e.within(&labels, scene.duration_ms))
        .map(expectation);
    let mut fields = vec![
        ("format", Ron::Whole(FORMAT)),
        ("name", text(&scene.name)),
        ("about", text(&scene.about)),
        ("source", text(&scene.source)),
        ("duration_ms", Ron::Number(scene.duration_ms)),
        ("step_ms", Ron::Number(scene.step_ms)),
        ("control_ms", Ron::Number(scene.control_ms)),
        ("seed", Ron::Whole(scene.seed)),
        ("integrator", text(scene.integrator.name())),
        (
            "negative_conductance",
            word(&NEGATIVE_CONDUCTANCES, scene.negative_conductance),
        ),
        (
            "integrator_start",
            word(&INTEGRATOR_STARTS, scene.integrator_start),
        ),
        ("threshold_mV", Ron::Number(scene.threshold_mv)),
        ("rearm_mV", Ron::Number(scene.rearm_mv)),
        ("gap_ms", Ron::Number(scene.gap_ms)),
        ("define", Ron::List(define)),
        ("cells", Ron::Map(cells(scene))),
        ("networks", Ron::Map(networks(scene))),
        ("groups", Ron::Map(groups.collect())),
        (
            "edges",
            Ron::List(scene.edges.iter().map(|e| edge(scene, e)).collect()),
        ),
        ("generators", Ron::Map(generators(scene))),
        ("set", Ron::Map(set.collect())),
        (
            "protocol",
            Ron::List(scene.protocol.iter().map(entry).collect()),
        ),
        (
            "windows",
            Ron::List(scene.windows.iter().map(window).collect()),
        ),
        (
            "rhythms",
            Ron::List(scene.rhythms.iter().map(|r| rhythm(scene, r)).collect()),
        ),
        (
            "samples",
            Ron::List(scene.samples.iter().map(samples).collect()),
        ),
        ("expect", Ron::List(expected.collect())),
    ];
    // These are left out rather than empty: a scene may do without any of them.
    const SPARE: [&str; 4] = ["cells", "networks", "generators", "expect"];
    let empty = |value: &Ron| match value {
        Ron::Map(entries) => entries.is_empty(),
        Ron::List(items) => items.is_empty(),
        _ => false,
    };
    fields.retain(|(name, value)| !(SPARE.contains(name) && empty(value)));
    fields
}

/// Definitions with names of their own.
type Named<'s, T> = Vec<(String, &'s T)>;

/// The channels of all cell types, each definition once. Of two that differ and have one name, as a
/// channel of a cell type and a file may, the second is numbered.
fn channels(scene: &Scene) -> Named<'_, ChannelDefinition> {
    let mut channels: Named<'_, ChannelDefinition> = Vec::new();
    let all = scene.cell_types.iter().flat_map(|cell| &cell.channels);
    for (_, definition) in all {
        if channels.iter().any(|(_, known)| *known == definition) {
            continue;
        }
        let numbered = (2..).map(|n| format!("{}_{n}", definition.name));
        let mut names = iter::once(definition.name.clone()).chain(numbered);
        let free = |name: &String| !channels.iter().any(|(known, _)| known == name);
        if let Some(name) = names.find(free) {
            channels.push((name, definition));
        }
    }
    channels
}

fn channel(name: &str, channel: &ChannelDefinition) -> Ron {
    let mut fields = vec![("name", text(name))];
    if !channel.parameters.is_empty() {
        fields.push(("parameters", numbers(&channel.parameters)));
    }
    fields.push((
        "reversal",
        match channel.reversal {
            Reversal::Fixed(e) => Ron::Number(e),
            Reversal::Nernst { slope, outside } => Ron::Struct(
                "Nernst",
                vec![
                    ("slope_mV", Ron::Number(slope)),
                    ("outside_uM", Ron::Number(outside)),
                ],
            ),
        },
    ));
    if channel.carries_calcium {
        fields.push(("carries_calcium", Ron::Flag(true)));
    }
    if !channel.gates.is_empty() {
        let gates = channel.gates.iter().map(|g| (g.name.clone(), gate(g)));
        fields.push(("gates", Ron::Map(gates.collect())));
    }
    if let Some(definition) = &channel.scheme {
        fields.push(("scheme", scheme(definition)));
    }
    Ron::Struct("Channel", fields)
}

fn scheme(scheme: &SchemeDefinition) -> Ron {
    let name = |state: &usize| scheme.states[*state].as_str();
    let rates = scheme.transitions.iter().map(|t| {
        let ends = [t.from, t.to].map(|state| scheme.states[state].as_str());
        (ends.join("->"), expression(&t.rate))
    });
    Ron::Struct(
        "",
        vec![
            ("states", texts(scheme.states.iter().map(String::as_str))),
            ("conducting", texts(scheme.conducting.iter().map(name))),
            ("rates", Ron::Map(rates.collect())),
        ],
    )
}

fn gate(gate: &GateDefinition) -> Ron {
    let mut fields = vec![("power", Ron::Whole(u64::from(gate.power)))];
    fields.extend(kinetics(&gate.kinetics));
    if let Some((from, to)) = gate.bridge {
        fields.push((
            "bridge",
            Ron::Tuple("", vec![Ron::Number(from), Ron::Number(to)]),
        ));
    }
    Ron::Struct("", fields)
}

fn kinetics(kinetics: &GateKinetics) -> Fields {
    match kinetics {
        GateKinetics::Relaxation { inf, tau } => {
            vec![("inf", expression(inf)), ("tau", expression(tau))]
        }
        GateKinetics::Rates { alpha, beta } => {
            vec![("alpha", expression(alpha)), ("beta", expression(beta))]
        }
    }
}

fn cell_type(cell: &CellDefinition, definitions: &Named<'_, ChannelDefinition>) -> Ron {
    let channels = cell.channels.iter().filter_map(|(name, channel)| {
        let definition = definitions.iter().find(|(_, known)| *known == channel);
        definition.map(|(called, _)| (name.clone(), text(called)))
    });
    let mut fields = vec![
        ("name", text(&cell.name)),
        ("channels", Ron::Map(channels.collect())),
        ("capacitance", Ron::Number(cell.capacitance)),
    ];
    if let Some(area) = cell.area {
        fields.push(("area_cm2", Ron::Number(area)));
    }
    if let Some(pool) = &cell.calcium {
        fields.push(("calcium", calcium(pool)));
    }
    fields.push(("start", start(&cell.start)));
    if let Some(definition) = &cell.dic {
        fields.push(("dic", dic(definition)));
    }
    if let Some(channel) = &cell.homeostat_reference {
        fields.push(("homeostat_reference", text(channel)));
    }
    if !cell.rhythms.is_empty() {
        let rhythms = cell.rhythms.iter().map(known_rhythm);
        fields.push(("rhythms", Ron::List(rhythms.collect())));
    }
    Ron::Struct("Cell", fields)
}

fn known_rhythm(rhythm: &KnownRhythm) -> Ron {
    let mut fields = vec![
        ("about", text(&rhythm.about)),
        ("source", text(&rhythm.source)),
    ];
    if let Some(condition) = &rhythm.condition {
        let parameter = format!("{}.{}", condition.channel, condition.parameter);
        fields.push(("parameter", Ron::Text(parameter)));
        fields.push(("at_least", Ron::Number(condition.at_least)));
    }
    let errors = rhythm.step_errors.iter().map(|(step, error)| {
        let fields = vec![
            ("step_ms", Ron::Number(*step)),
            ("error", Ron::Number(*error)),
        ];
        Ron::Struct("", fields)
    });
    fields.push(("period_ms", Ron::Number(rhythm.period)));
    fields.push(("step_errors", Ron::List(errors.collect())));
    Ron::Struct("", fields)
}

fn calcium(pool: &CalciumPool) -> Ron {
    Ron::Struct(
        "",
        vec![
            ("tau_ms", Ron::Number(pool.tau)),
            ("rest_uM", Ron::Number(pool.rest)),
            match pool.influx {
                Influx::PerDensity(x) => ("per_density", Ron::Number(x)),
                Influx::PerCurrent(x) => ("per_nA", Ron::Number(x)),
            },
        ],
    )
}

fn start(start: &Start) -> Ron {
    let mut fields = Vec::new();
    fields.extend(start.v.map(|v| ("V", Ron::Number(v))));
    fields.extend(start.ca.map(|ca| ("Ca", Ron::Number(ca))));
    if !start.gates.is_empty() {
        let gates = start.gates.iter();
        let gates = gates.map(|(channel, gate, x)| (format!("{channel}.{gate}"), Ron::Number(*x)));
        fields.push(("gates", Ron::Map(gates.collect())));
    }
    Ron::Struct("", fields)
}

fn dic(dic: &DicDefinition) -> Ron {
    let time = |scale: &Timescale| match scale {
        Timescale::Gate { channel, gate } => Ron::Text(format!("{channel}.{gate}")),
        Timescale::Constant(ms) => Ron::Number(*ms),
    };
    let [fast, slow, ultraslow] = &dic.timescales;
    let threshold = match dic.threshold {
        ThresholdRule::Scan {
            from,
            to,
            step,
            fallback,
        } => Ron::Struct(
            "Scan",
            vec![
                ("from", Ron::Number(from)),
                ("to", Ron::Number(to)),
                ("step", Ron::Number(step)),
                ("fallback", Ron::Number(fallback)),
            ],
        ),
        ThresholdRule::Fixed(v) => Ron::Tuple("Fixed", vec![Ron::Number(v)]),
    };
    let mut fields = vec![
        ("fast", time(fast)),
        ("slow", time(slow)),
        ("ultraslow", time(ultraslow)),
        ("threshold", threshold),
        ("normalise_by", text(&dic.normalise_by)),
    ];
    if !dic.calcium_at.is_empty() {
        fields.push(("calcium_at", numbers(&dic.calcium_at)));
    }
    if !dic.scheme_tau.is_empty() {
        fields.push(("scheme_tau", numbers(&dic.scheme_tau)));
    }
    Ron::Struct("", fields)
}

fn kind(kind: &SynapseKind) -> Ron {
    let mut fields = vec![("name", text(&kind.name))];
    if !kind.parameters.is_empty() {
        fields.push(("parameters", numbers(&kind.parameters)));
    }
    fields.push(match &kind.definition {
        SynapseDefinition::Chemical {
            gate,
            reversal,
            start,
        } => {
            let mut fields = kinetics(gate);
            fields.push(("reversal", expression(reversal)));
            fields.extend(start.as_ref().map(|s| ("start", expression(s))));
            ("chemical", Ron::Struct("", fields))
        }
        SynapseDefinition::Electrical { factor, one_way } => {
            let fields = vec![
                ("factor", expression(factor)),
                ("one_way", Ron::Flag(*one_way)),
            ];
            ("electrical", Ron::Struct("", fields))
        }
    });
    Ron::Struct("Synapse", fields)
}

/// Cells and populations at the top of a scene.
fn cells(scene: &Scene) -> Vec<(String, Ron)> {
    let end = scene
        .copies
        .first()
        .map_or(scene.cells.len(), |copies| copies.cells.start);
    let (mut entries, mut k) = (Vec::new(), 0);
    let mut populations = scene.populations.iter().peekable();
    while k < end {
        match populations.next_if(|population| population.cells.start == k) {
            Some(population) => {
                let first = cell(scene, &scene.cells[k], Some(population));
                entries.push((population.name.clone(), first));
                k = population.cells.end;
            }
            None => {
                let single = &scene.cells[k];
                entries.push((single.name.to_string(), cell(scene, single, None)));
                k += 1;
            }
        }
    }
    entries
}

fn networks(scene: &Scene) -> Vec<(String, Ron)> {
    let copies = scene.copies.iter();
    let entry = |copies: &Copies| {
        let cells = copies.copy(0);
        let cells = cells.map(|k| {
            (
                scene.member(k).to_owned(),
                cell(scene, &scene.cells[k], None),
            )
        });
        let edges = scene.bulk[copies.bulk.clone()].iter();
        let name = |ends: &Ends| text(scene.member(ends.cells[0] as usize));
        let edges = edges.map(|bulk| {
            let mut fields = vec![("pre", name(&bulk.pre)), ("post", name(&bulk.post))];
            fields.extend(of_bulk(scene, bulk));
            Ron::Struct("", fields)
        });
        let mut fields = vec![("copies", Ron::Whole(copies.count as u64))];
        fields.extend(copies.position.map(|at| ("position", triple(at))));
        fields.extend(copies.layout.map(|of| ("layout", layout(of))));
        fields.push(("cells", Ron::Map(cells.collect())));
        fields.push(("edges", Ron::List(edges.collect())));
        (copies.name.clone(), Ron::Struct("", fields))
    };
    copies.map(entry).collect()
}

/// Kind, weight, name, parameters and start value of edges in bulk.
fn of_bulk(scene: &Scene, bulk: &Bulk) -> Fields {
    let mut fields = vec![("kind", text(&scene.kinds[bulk.kind].name))];
    let g = match &bulk.g {
        Weight::Constant(g) => Some(conductance(*g)),
        Weight::Drawn(drawn) => Some(distribution(*drawn)),
        Weight::OfDistance(g) => Some(expression(g.written())),
        Weight::Listed(_) => None,
    };
    fields.extend(g.map(|g| ("g", g)));
    fields.extend(bulk.label.as_deref().map(|name| ("name", text(name))));
    if !bulk.parameters.is_empty() {
        fields.push(("parameters", numbers(&bulk.parameters)));
    }
    fields.extend(bulk.s.map(|s| ("s", Ron::Number(s))));
    fields
}

fn distribution(distribution: Distribution) -> Ron {
    let pair = |name, a, b| Ron::Tuple(name, vec![Ron::Number(a), Ron::Number(b)]);
    match distribution {
        Distribution::Uniform { from, to } => pair("Uniform", from, to),
        Distribution::Normal { mean, sd } => pair("Normal", mean, sd),
        Distribution::LogNormal { median, sigma } => pair("LogNormal", median, sigma),
    }
}

fn drawn(value: &Value) -> Ron {
    match value {
        Value::Number(x) => Ron::Number(*x),
        Value::Distribution(drawn) => distribution(*drawn),
        Value::Function(function) => expression(function),
    }
}

fn solve(definition: &CellDefinition, solve: &Solve) -> Ron {
    let mut fields = vec![("channels", channel_names(definition, &solve.lanes))];
    let targets = ["g_f", "g_s", "g_u"].into_iter().zip(solve.targets);
    // Two channels have no fast target.
    let targets = targets.filter(|(_, target)| !target.is_nan());
    fields.extend(targets.map(|(name, target)| (name, Ron::Number(target))));
    fields.extend(solve.v_th.map(|v| ("V_th", Ron::Number(v))));
    fields.push(("if_negative", word(&IF_NEGATIVE, solve.if_negative)));
    Ron::Struct("", fields)
}

/// What draws conductances, but for the conductances themselves.
fn sampler(definition: &CellDefinition, sampler: &Sampler) -> Fields {
    let mut fields = Vec::new();
    let draws = sampler.draws.iter().filter(|draw| draw.lane.is_none());
    let draws: Vec<_> = draws.map(|d| (d.name.clone(), drawn(&d.value))).collect();
    if !draws.is_empty() {
        fields.push(("draws", Ron::Map(draws)));
    }
    if !sampler.solves.is_empty() {
        let solves = sampler.solves.iter().map(|s| solve(definition, s));
        fields.push(("compensate", Ron::List(solves.collect())));
    }
    if !sampler.reject.is_empty() {
        let reject = sampler.reject.iter().map(|c| c.text.as_str());
        fields.push(("reject", texts(reject)));
    }
    fields
}

/// Conductances of the cells of a population, a row a cell.
fn conductances(scene: &Scene, population: &Population) -> String {
    let cells = &scene.cells[population.cells.clone()];
    let channels = &scene.cell_types[cells[0].cell_type].channels;
    let names: Vec<&str> = channels.iter().map(|(name, _)| name.as_str()).collect();
    let mut table = names.join(",") + "\n";
    for cell in cells {
        let row: Vec<String> = cell.gbar.iter().map(|g| format!("{g:?}")).collect();
        table += &(row.join(",") + "\n");
    }
    table
}

fn conductance(g: Conductance) -> Ron {
    match g {
        Conductance::Density(g) => Ron::Number(g),
        Conductance::Absolute(g) => Ron::Tuple("nS", vec![Ron::Number(g)]),
    }
}

/// Generators as rules; what came from a table as a table.
fn generators(scene: &Scene) -> Vec<(String, Ron)> {
    let named: Vec<&Bulk> = scene
        .bulk
        .iter()
        .filter(|b| b.generator.is_some())
        .collect();
    let of_one = named.chunk_by(|a, b| a.generator == b.generator);
    let entry = |bulks: &[&Bulk]| {
        let bulk = bulks[0];
        let word = |rule: &str| Ron::Word(rule.to_owned());
        let rule = match &bulk.rule {
            Rule::Ring => word("Ring"),
            Rule::Chain => word("Chain"),
            Rule::OneToOne => word("OneToOne"),
            Rule::AllToAll => word("AllToAll"),
            Rule::Random { in_degree } => {
                let degree = ("in_degree", Ron::Whole(u64::from(*in_degree)));
                Ron::Struct("Random", vec![degree])
            }
            Rule::Within {
                radius,
                probability,
            } => {
                let mut fields = vec![("radius_um", Ron::Number(*radius))];
                let p = probability.as_ref().map(|p| expression(p.written()));
                fields.extend(p.map(|p| ("p", p)));
                Ron::Struct("Within", fields)
            }
            Rule::Listed => Ron::Tuple("Table", vec![Ron::Text(table(scene, bulks))]),
        };
        let mut fields = vec![("rule", rule)];
        let mut rest = of_bulk(scene, bulk);
        if bulk.rule == Rule::Listed {
            rest.retain(|(name, _)| *name != "kind");
        } else {
            fields.push(("pre", text(&bulk.pre.selector)));
            fields.push(("post", text(&bulk.post.selector)));
        }
        fields.extend(rest);
        let name = bulk.generator.clone().unwrap_or_default();
        (name, Ron::Struct("", fields))
    };
    of_one.map(entry).collect()
}

/// Edges of the kinds of one generator as a table.
fn table(scene: &Scene, bulks: &[&Bulk]) -> String {
    let mut table = "pre,post,g,kind\n".to_owned();
    for bulk in bulks {
        let Weight::Listed(g) = &bulk.g else { continue };
        let kind = &scene.kinds[bulk.kind].name;
        let pairs = bulk.pre.cells.iter().zip(bulk.post.cells.iter());
        for ((pre, post), g) in pairs.zip(g) {
            let [pre, post] = [pre, post].map(|cell| &scene.cells[*cell as usize].name);
            let _ = writeln!(table, "{pre},{post},{g:?},{kind}");
        }
    }
    table
}

fn cell_names(scene: &Scene, cells: &[usize]) -> Ron {
    Ron::List(scene.names_of(cells).into_iter().map(Ron::Text).collect())
}

/// A position or lengths (µm).
fn triple(at: DVec3) -> Ron {
    Ron::Tuple("", at.to_array().map(Ron::Number).into())
}

fn layout(layout: Layout) -> Ron {
    match layout {
        Layout::Line { spacing } => Ron::Struct("Line", vec![("spacing_um", Ron::Number(spacing))]),
        Layout::Grid { columns, spacing } => Ron::Struct(
            "Grid",
            vec![
                ("columns", Ron::Whole(columns)),
                ("spacing_um", Ron::Number(spacing)),
            ],
        ),
        Layout::Box { size } => Ron::Struct("Box", vec![("size_um", triple(size))]),
    }
}

/// A cell, or the cells of a population.
fn cell(scene: &Scene, cell: &Cell, population: Option<&Population>) -> Ron {
    let definition = &scene.cell_types[cell.cell_type];
    let mut fields = vec![("cell", text(&definition.name))];
    if let Some(population) = population {
        fields.push(("count", Ron::Whole(population.cells.len() as u64)));
        fields.extend(population.layout.map(|of| ("layout", layout(of))));
    }
    fields.extend(cell.position.map(|at| ("position", triple(at))));
    if !cell.parameters.is_empty() {
        let parameters = cell.parameters.iter();
        let parameters = parameters.map(|(c, p, value)| (format!("{c}.{p}"), Ron::Number(*value)));
        fields.push(("parameters", Ron::Map(parameters.collect())));
    }
    if let Some(population) = population.filter(|population| population.tabulated) {
        fields.push(("table", Ron::Text(conductances(scene, population))));
    } else {
        let value = |lane: usize| {
            let mut draws = cell.sampler.iter().flat_map(|sampler| &sampler.draws);
            let draw = draws.find(|draw| draw.lane == Some(lane));
            draw.map_or(Ron::Number(cell.gbar[lane]), |draw| drawn(&draw.value))
        };
        let gbar = definition.channels.iter().enumerate();
        let gbar = gbar.map(|(lane, (name, _))| (name.clone(), value(lane)));
        fields.push(("gbar", Ron::Map(gbar.collect())));
    }
    if let Some(drawn) = &cell.sampler {
        fields.extend(sampler(definition, drawn));
    }
    // In a copied network the name is that in the network.
    let drawn_as = cell.drawn_as.as_deref();
    let drawn_as = drawn_as.map(|name| name.rsplit_once('/').map_or(name, |(_, member)| member));
    fields.extend(drawn_as.map(|name| ("drawn_as", text(name))));
    if let Some(jitter) = &cell.jitter {
        let jitter = definition.channels.iter().zip(jitter.iter());
        let jitter = jitter.map(|((name, _), width)| (name.clone(), Ron::Number(*width)));
        fields.push(("jitter", Ron::Map(jitter.collect())));
    }
    if cell.current != 0.0 {
        fields.push(("I", Ron::Number(cell.current)));
    }
    let mut begin = start(&cell.start);
    if let (Some((from, to)), Ron::Struct(_, fields)) = (cell.start_range, &mut begin) {
        fields.retain(|(name, _)| *name != "V");
        let range = Ron::Tuple("Uniform", vec![Ron::Number(from), Ron::Number(to)]);
        fields.insert(0, ("V", range));
    }
    fields.push(("start", begin));
    fields.extend(cell.area.map(|area| ("area_cm2", Ron::Number(area))));
    fields.extend(
        cell.homeostat
            .as_ref()
            .map(|h| ("homeostat", homeostat(definition, h))),
    );
    fields.extend(
        cell.controller
            .as_ref()
            .map(|c| ("controller", controller(definition, c))),
    );
    Ron::Struct("", fields)
}

fn channel_names(definition: &CellDefinition, lanes: &[usize]) -> Ron {
    texts(
        lanes
            .iter()
            .map(|lane| definition.channels[*lane].0.as_str()),
    )
}

fn homeostat(definition: &CellDefinition, homeostat: &Homeostat) -> Ron {
    Ron::Struct(
        "",
        vec![
            ("channels", channel_names(definition, &homeostat.channels)),
            ("Ca_target", Ron::Number(homeostat.settings.ca_target)),
            ("tau_g", Ron::Number(homeostat.settings.tau_g)),
            ("tau_Na", Ron::Number(homeostat.settings.tau_na)),
            ("on", Ron::Flag(homeostat.on)),
        ],
    )
}

fn controller(definition: &CellDefinition, controller: &Controller) -> Ron {
    let gains = controller.gains;
    let mut fields = vec![
        ("channels", channel_names(definition, &controller.channels)),
        ("g_s", Ron::Number(controller.g_s)),
        ("g_u", Ron::Number(controller.g_u)),
        ("Kp", Ron::Number(gains.kp)),
        ("Ki", Ron::Number(gains.ki)),
        ("Kt", Ron::Number(gains.kt)),
        ("u_max", Ron::Number(gains.u_max)),
        ("alpha", Ron::Number(gains.alpha)),
        ("beta", Ron::Number(gains.beta)),
    ];
    fields.extend(controller.v_th.map(|v| ("V_th", Ron::Number(v))));
    fields.push(("on", Ron::Flag(controller.on)));
    Ron::Struct("", fields)
}

fn edge(scene: &Scene, edge: &Edge) -> Ron {
    let name = |cell: usize| text(&scene.cells[cell].name);
    let mut fields = vec![
        ("pre", name(edge.pre)),
        ("post", name(edge.post)),
        ("kind", text(&scene.kinds[edge.kind].name)),
        ("g", conductance(edge.g)),
    ];
    fields.extend(edge.name.as_deref().map(|name| ("name", text(name))));
    if !edge.parameters.is_empty() {
        fields.push(("parameters", numbers(&edge.parameters)));
    }
    fields.extend(edge.s.map(|s| ("s", Ron::Number(s))));
    Ron::Struct("", fields)
}

fn entry(entry: &Entry) -> Ron {
    let mut fields = vec![("at_ms", Ron::Number(entry.at_ms))];
    let path = text(entry.action.path());
    let (word, rest): (&'static str, Fields) = match &entry.action {
        Action::Set { to, .. } => ("set", vec![("to", Ron::Number(*to))]),
        Action::Scale { by, .. } => ("scale", vec![("by", Ron::Number(*by))]),
        Action::Ramp { to, over_ms, .. } => (
            "ramp",
            vec![("to", Ron::Number(*to)), ("over_ms", Ron::Number(*over_ms))],
        ),
        Action::Block {
            by,
            controller_sees,
            ..
        } => (
            "block",
            vec![
                ("by", Ron::Number(*by)),
                ("controller_sees", Ron::Flag(*controller_sees)),
            ],
        ),
        Action::Cut { .. } => ("cut", vec![]),
        Action::Restore { .. } => ("restore", vec![]),
        Action::Current {
            amplitude, for_ms, ..
        } => {
            let amplitude = match amplitude {
                Current::Density(i) => Ron::Number(*i),
                Current::Absolute(i) => Ron::Tuple("nA", vec![Ron::Number(*i)]),
            };
            (
                "current",
                vec![("amplitude", amplitude), ("for_ms", Ron::Number(*for_ms))],
            )
        }
        Action::Modulate { g_s, g_u, .. } => {
            let target = |name, value: &Option<f64>| value.map(|x| (name, Ron::Number(x)));
            let targets = [target("g_s", g_s), target("g_u", g_u)];
            ("modulate", targets.into_iter().flatten().collect())
        }
        Action::Overwrite { gbar, mrna, .. } => (
            "overwrite",
            vec![("gbar", numbers(gbar)), ("mrna", Ron::Flag(*mrna))],
        ),
        Action::Compensate {
            channels,
            g_s,
            g_u,
            mrna,
            ..
        } => (
            "compensate",
            vec![
                ("channels", texts(channels.iter().map(String::as_str))),
                ("g_s", Ron::Number(*g_s)),
                ("g_u", Ron::Number(*g_u)),
                ("mrna", Ron::Flag(*mrna)),
            ],
        ),
        Action::Switch { regulator, on, .. } => (regulator.field(), vec![("on", Ron::Flag(*on))]),
        Action::Recall { from_ms, mrna, .. } => (
            "recall",
            vec![
                ("from_ms", Ron::Number(*from_ms)),
                ("mrna", Ron::Flag(*mrna)),
            ],
        ),
        Action::Rebase { .. } => ("rebase", vec![]),
        Action::Reset { v, ca, .. } => {
            let value = |name, value: &Option<f64>| value.map(|x| (name, Ron::Number(x)));
            (
                "reset",
                [value("V", v), value("Ca", ca)]
                    .into_iter()
                    .flatten()
                    .collect(),
            )
        }
    };
    fields.push((word, path));
    fields.extend(rest);
    Ron::Struct("", fields)
}

fn window(window: &Window) -> Ron {
    let mut fields = vec![("label", text(&window.label))];
    fields.extend(
        window
            .probe_at_ms
            .map(|at| ("probe_at_ms", Ron::Number(at))),
    );
    fields.push(("from_ms", Ron::Number(window.from_ms)));
    fields.push(("to_ms", Ron::Number(window.to_ms)));
    if window.published {
        fields.push(("measures", text("published")));
    }
    Ron::Struct("", fields)
}

fn rhythm(scene: &Scene, rhythm: &Rhythm) -> Ron {
    let name = |cell: &usize| &*scene.cells[*cell].name;
    let mut fields = vec![
        ("name", text(&rhythm.name)),
        ("cells", cell_names(scene, &rhythm.cells)),
        ("reference", text(name(&rhythm.reference))),
        ("min_spikes", Ron::Whole(rhythm.min_spikes as u64)),
    ];
    fields.extend(
        rhythm
            .order
            .as_ref()
            .map(|order| ("order", texts(order.iter().map(name)))),
    );
    Ron::Struct("", fields)
}

fn samples(samples: &Samples) -> Ron {
    let paths = samples.paths.iter().map(|(path, _)| path.as_str());
    Ron::Struct(
        "",
        vec![
            ("paths", texts(paths)),
            ("every_ms", Ron::Number(samples.every_ms)),
        ],
    )
}

fn expectation(expectation: &Expectation) -> Ron {
    let quantity = match expectation.is_scalar {
        true => "scalar",
        false => "measure",
    };
    let mut fields = vec![(quantity, text(&expectation.quantity))];
    fields.extend(expectation.at_ms.map(|at| ("at_ms", Ron::Number(at))));
    let take = match &expectation.take {
        Take::Each => None,
        Take::Mean => Some(Ron::Word("Mean".to_owned())),
        Take::Min => Some(Ron::Word("Min".to_owned())),
        Take::Max => Some(Ron::Word("Max".to_owned())),
        Take::Quantile(q) => Some(Ron::Tuple("Quantile", vec![Ron::Number(*q)])),
        Take::Fraction(word) => Some(Ron::Tuple("Fraction", vec![text(word)])),
    };
    fields.extend(take.map(|take| ("take", take)));
    let near = |tolerance: Tolerance| match tolerance {
        Tolerance::Absolute(x) => ("tolerance", Ron::Number(x)),
        Tolerance::Relative(x) => ("relative", Ron::Number(x)),
    };
    match &expectation.wanted {
        Wanted::Word(word) => fields.push(("is", text(word))),
        Wanted::Value(value, tolerance) => {
            fields.extend([("value", Ron::Number(*value)), near(*tolerance)]);
        }
        Wanted::Range(least, most) => {
            fields.extend(least.map(|x| ("at_least", Ron::Number(x))));
            fields.extend(most.map(|x| ("at_most", Ron::Number(x))));
        }
        Wanted::Cells(values, tolerance) => {
            fields.extend([("values", numbers(values)), near(*tolerance)]);
        }
    }
    if expectation.fraction != 1.0 {
        fields.push(("fraction", Ron::Number(expectation.fraction)));
    }
    if expectation.or_undefined {
        fields.push(("or_undefined", Ron::Flag(true)));
    }
    fields.extend(expectation.source.as_deref().map(|s| ("source", text(s))));
    fields.extend(expectation.note.as_deref().map(|s| ("note", text(s))));
    Ron::Struct("", fields)
}
