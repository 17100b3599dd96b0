//! Files that define a channel, a synapse kind or a cell type.

use homarus_systems::{
    definition::{
        CalciumPool, CellDefinition, ChannelDefinition, DicDefinition, GateDefinition,
        GateKinetics, Influx, Reversal, Start, SynapseDefinition, SynapseKind, ThresholdRule,
        Timescale,
    },
    kinetics::{Expression, Variable},
};

use super::{
    decode::{
        ANY, CONDUCTANCE, Fields, Rule, above_zero, boolean, expected, expression, fraction,
        index_of, integer, key, map, not_negative, number, text,
    },
    diagnostic::{Diagnostic, Diagnostics},
    generators::voltage_range,
    known_rhythms,
    library::Library,
    names::{self, Role},
    schemes,
    syntax::{Key, Node, Value},
    units, variants,
};

/// The `format` every file states; a later one may read otherwise.
pub(super) const FORMAT: u64 = 1;

/// Points of the longest scan for a threshold voltage: each takes some microseconds.
const MAX_SCAN: f64 = 1e5;

const AREA: Rule = above_zero("a membrane has an area");
const CONCENTRATION: Rule = not_negative("a concentration is not negative");

/// Parameters of a channel or synapse kind with their defaults.
type Parameters = Vec<(String, f64)>;

/// What every file says of itself.
pub(crate) struct Header {
    pub about: String,
    pub source: String,
}

/// Reads `format`, `about` and `source`.
pub(crate) fn header(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Header {
    if let Some(node) = fields.required("format")
        && let Some(format) = integer(node, 0..=u64::MAX, errors)
        && format != FORMAT
    {
        errors.push(
            Diagnostic::at(&node.place, format!("format {format} is not known"))
                .label("expected 1")
                .help("this version of Homarus reads `format: 1`"),
        );
    }
    let mut line = |name| {
        let node = fields.optional(name)?;
        text(node, errors).map(str::to_owned)
    };
    Header {
        about: line("about").unwrap_or_default(),
        source: line("source").unwrap_or_default(),
    }
}

/// Reads `name`.
fn name(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Option<String> {
    let name = key(fields.required("name")?, errors)?;
    names::check(&name, Role::Definition, errors).then_some(name.text)
}

/// The fields of a file whose struct name was already looked at.
pub(super) fn file_fields<'n>(root: &'n Node, what: &str) -> Fields<'n> {
    match &root.value {
        Value::Struct(_, entries) => Fields::new(what, root.head(), entries),
        _ => Fields::new(what, root.head(), &[]),
    }
}

/// Reads a `Channel(…)` file.
pub(super) fn channel(root: &Node, errors: &mut Diagnostics) -> Option<ChannelDefinition> {
    let mut fields = file_fields(root, "a channel");
    header(&mut fields, errors);
    let name = name(&mut fields, errors);
    let parameters = parameters(&mut fields, Role::ChannelParameter, errors);
    let reversal = fields
        .required("reversal")
        .and_then(|node| reversal(node, errors));
    let carries_calcium = fields
        .optional("carries_calcium")
        .map_or(Some(false), |node| boolean(node, errors));
    let known = parameters.as_deref().unwrap_or_default();
    let both = (fields.entry("scheme"), fields.entry("gates"));
    let gates = both
        .1
        .map_or(Some(Vec::new()), |(_, node)| gates(node, known, errors));
    let scheme = match both.0 {
        Some((_, node)) => schemes::read(node, known, errors).map(Some),
        None => Some(None),
    };
    fields.finish(errors);
    if let (Some((scheme, _)), Some((gates, _))) = both {
        schemes::refuse_both(scheme, gates, errors);
        return None;
    }
    Some(ChannelDefinition {
        name: name?,
        gates: gates?,
        scheme: scheme?,
        reversal: reversal?,
        carries_calcium: carries_calcium?,
        parameters: parameters?,
    })
}

fn parameters(fields: &mut Fields<'_>, role: Role, errors: &mut Diagnostics) -> Option<Parameters> {
    let Some(node) = fields.optional("parameters") else {
        return Some(Vec::new());
    };
    let read: Vec<Option<(String, f64)>> = map(node, errors)?
        .iter()
        .map(|(key, node)| {
            let fine = names::check(key, role, errors);
            let value = number(node, ANY, errors)?;
            fine.then(|| (key.text.clone(), value))
        })
        .collect();
    read.into_iter().collect()
}

pub(super) fn reversal(node: &Node, errors: &mut Diagnostics) -> Option<Reversal> {
    let Value::Struct(Some(name), entries) = &node.value else {
        return match &node.value {
            Value::Tuple(Some(tag), _) if tag.text != "Nernst" => {
                units::voltage(node, errors).map(Reversal::Fixed)
            }
            Value::Number(_) | Value::Word(_) => units::voltage(node, errors).map(Reversal::Fixed),
            _ => {
                errors.push(expected(
                    "a voltage (mV) or `Nernst(slope_mV: …, outside_uM: …)`",
                    node,
                ));
                None
            }
        };
    };
    if name.text != "Nernst" {
        let message = format!("a reversal potential cannot be `{}`", name.text);
        errors.push(
            Diagnostic::at(&name.place, message)
                .label("unknown")
                .help("write a voltage (mV) or `Nernst(slope_mV: …, outside_uM: …)`"),
        );
        return None;
    }
    let mut fields = Fields::new("a Nernst potential", node.head(), entries);
    let slope = fields.required("slope_mV").and_then(|node| {
        let rule = above_zero("the slope is RT/zF, 12.2 mV for calcium at 11 °C");
        number(node, rule, errors)
    });
    let outside = fields.required("outside_uM").and_then(|node| {
        let rule = above_zero("the logarithm of the concentration is taken");
        number(node, rule, errors)
    });
    fields.finish(errors);
    Some(Reversal::Nernst {
        slope: slope?,
        outside: outside?,
    })
}

fn gates(
    node: &Node,
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<Vec<GateDefinition>> {
    let entries = map(node, errors)?;
    if let Some((third, _)) = entries.get(2) {
        errors.push(
            Diagnostic::at(&third.place, "a channel has at most two gates")
                .label("one too many")
                .help("activation and inactivation; split the channel if it has more"),
        );
        return None;
    }
    let read: Vec<Option<GateDefinition>> = entries
        .iter()
        .map(|(key, node)| gate(key, node, parameters, errors))
        .collect();
    read.into_iter().collect()
}

fn gate(
    key: &Key,
    node: &Node,
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<GateDefinition> {
    let named = names::check(key, Role::Gate, errors);
    let mut fields = Fields::of(node, "a gate", errors)?;
    let power = fields
        .required("power")
        .and_then(|node| integer(node, 1..=7, errors))
        .and_then(|power| u8::try_from(power).ok());
    let variables = [Variable::V, Variable::Ca];
    let kinetics = gate_kinetics(&mut fields, &variables, parameters, errors);
    let bridge = match fields.optional("bridge") {
        Some(node) => bridge(node, errors).map(Some),
        None => Some(None),
    };
    fields.finish(errors);
    named.then_some(())?;
    Some(GateDefinition {
        name: key.text.clone(),
        power: power?,
        kinetics: kinetics?,
        bridge: bridge?,
    })
}

/// Reads `inf` and `tau`, or `alpha` and `beta`.
fn gate_kinetics(
    fields: &mut Fields<'_>,
    variables: &[Variable],
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<GateKinetics> {
    let given = ["inf", "tau", "alpha", "beta"].map(|name| fields.entry(name));
    let [inf, tau, alpha, beta] = given;
    let mut read = |node: &Node| expression(node, variables, parameters, errors);
    match (inf, tau, alpha, beta) {
        (Some((_, inf)), Some((_, tau)), None, None) => {
            let (inf, tau) = (read(inf), read(tau));
            Some(GateKinetics::Relaxation {
                inf: inf?,
                tau: tau?,
            })
        }
        (None, None, Some((_, alpha)), Some((_, beta))) => {
            let (alpha, beta) = (read(alpha), read(beta));
            Some(GateKinetics::Rates {
                alpha: alpha?,
                beta: beta?,
            })
        }
        _ => {
            for (_, node) in given.into_iter().flatten() {
                read(node);
            }
            let found: Vec<&str> = given
                .iter()
                .flatten()
                .map(|(key, _)| key.text.as_str())
                .collect();
            let found = match found.as_slice() {
                [] => "found neither".to_owned(),
                found => format!("found {}", names::list(found)),
            };
            errors.push(
                Diagnostic::at(
                    fields.head(),
                    "a gate needs `inf` and `tau`, or `alpha` and `beta`",
                )
                .label(found),
            );
            None
        }
    }
}

fn bridge(node: &Node, errors: &mut Diagnostics) -> Option<(f64, f64)> {
    let Value::Tuple(None, items) = &node.value else {
        errors.push(expected("two voltages `(from, to)`", node));
        return None;
    };
    let [from, to] = items.as_slice() else {
        errors.push(expected("two voltages `(from, to)`", node));
        return None;
    };
    let (from, to) = (units::voltage(from, errors), units::voltage(to, errors));
    let (from, to) = (from?, to?);
    if from < to {
        return Some((from, to));
    }
    errors.push(
        Diagnostic::at(
            &node.place,
            "a bridge goes from the lower voltage to the higher",
        )
        .label(format!("found {from} to {to}")),
    );
    None
}

/// Reads a `Synapse(…)` file.
pub(super) fn synapse(root: &Node, errors: &mut Diagnostics) -> Option<SynapseKind> {
    let mut fields = file_fields(root, "a synapse kind");
    header(&mut fields, errors);
    let name = name(&mut fields, errors);
    let parameters = parameters(&mut fields, Role::SynapseParameter, errors);
    let known = parameters.as_deref().unwrap_or_default();
    let definition = match (fields.entry("chemical"), fields.entry("electrical")) {
        (Some((_, node)), None) => chemical(node, known, errors),
        (None, Some((_, node))) => electrical(node, known, errors),
        (Some((one, _)), Some((two, _))) => {
            errors.push(
                Diagnostic::at(
                    &two.place,
                    "a synapse kind is chemical or electrical, not both",
                )
                .label("second")
                .and(&one.place, "first"),
            );
            None
        }
        (None, None) => {
            errors.push(
                Diagnostic::at(
                    fields.head(),
                    "a synapse kind needs `chemical` or `electrical`",
                )
                .label("found neither"),
            );
            None
        }
    };
    fields.finish(errors);
    Some(SynapseKind {
        name: name?,
        parameters: parameters?,
        definition: definition?,
    })
}

fn chemical(
    node: &Node,
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<SynapseDefinition> {
    let mut fields = Fields::of(node, "a chemical synapse", errors)?;
    let gate = gate_kinetics(&mut fields, &[Variable::VPre], parameters, errors);
    let reversal = fields
        .required("reversal")
        .and_then(|node| expression(node, &[], parameters, errors));
    let start = optional_expression(&mut fields, "start", &[], parameters, errors);
    fields.finish(errors);
    Some(SynapseDefinition::Chemical {
        gate: gate?,
        reversal: reversal?,
        start: start?,
    })
}

fn electrical(
    node: &Node,
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<SynapseDefinition> {
    let mut fields = Fields::of(node, "an electrical synapse", errors)?;
    let variables = [Variable::VPre, Variable::VPost];
    let factor = optional_expression(&mut fields, "factor", &variables, parameters, errors);
    let one_way = fields
        .optional("one_way")
        .map_or(Some(false), |node| boolean(node, errors));
    fields.finish(errors);
    Some(SynapseDefinition::Electrical {
        factor: factor?.unwrap_or_else(|| Expression::constant(1.0)),
        one_way: one_way?,
    })
}

/// An expression that may be missing: the outer `None` is an error.
fn optional_expression(
    fields: &mut Fields<'_>,
    name: &'static str,
    variables: &[Variable],
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<Option<Expression>> {
    match fields.optional(name) {
        Some(node) => expression(node, variables, parameters, errors).map(Some),
        None => Some(None),
    }
}

/// Reads a `Cell(…)` file.
pub(super) fn cell(
    root: &Node,
    library: &mut Library,
    errors: &mut Diagnostics,
) -> Option<CellDefinition> {
    let mut fields = file_fields(root, "a cell type");
    header(&mut fields, errors);
    fields.optional("include");
    let name = name(&mut fields, errors);
    let called = name.as_deref().unwrap_or_default();
    let channels = fields
        .required("channels")
        .and_then(|node| variants::channels(called, node, library, errors));
    let capacitance = fields.required("capacitance").and_then(|node| {
        let rule = above_zero("the voltage of a membrane without capacitance is not defined");
        number(node, rule, errors)
    });
    let area = optional_area(&mut fields, errors);
    let calcium = match fields.optional("calcium") {
        Some(node) => {
            let rule = concentration(channels.as_deref().unwrap_or_default());
            calcium(node, area.flatten(), rule, errors).map(Some)
        }
        None => Some(None),
    };
    // What follows names channels; without them it could only be called unknown.
    let known = channels.as_deref();
    let start = match (fields.optional("start"), known) {
        (Some(node), Some(channels)) => start(node, channels, None, errors),
        (None, _) => Some(Start::default()),
        _ => None,
    };
    let dic = match (fields.optional("dic"), known) {
        (Some(node), Some(channels)) => dic(node, channels, errors).map(Some),
        (None, _) => Some(None),
        _ => None,
    };
    let reference = match (fields.optional("homeostat_reference"), known) {
        (Some(node), Some(channels)) => channel_name(node, channels, errors).map(Some),
        (None, _) => Some(None),
        _ => None,
    };
    let rhythms = match (fields.optional("rhythms"), known) {
        (Some(node), Some(channels)) => known_rhythms::read(node, channels, errors),
        (None, _) => Some(Vec::new()),
        _ => None,
    };
    let head = fields.head().clone();
    fields.finish(errors);
    if let (Some(channels), Some(None), Some(Start { ca: None, .. })) = (known, calcium, &start)
        && channels.iter().any(|(_, channel)| is_nernst(channel))
    {
        errors.push(
            Diagnostic::at(&head, "a Nernst potential needs calcium")
                .label("this cell type has none")
                .help("give it `calcium`, or a constant concentration: `start: (Ca: …)`"),
        );
    }
    Some(CellDefinition {
        name: name?,
        channels: channels?,
        capacitance: capacitance?,
        area: area?,
        calcium: calcium?,
        start: start?,
        dic: dic?,
        homeostat_reference: reference?,
        rhythms: rhythms?,
    })
}

/// Reads `area_cm2`, which may be missing: the outer `None` is an error.
pub(super) fn optional_area(
    fields: &mut Fields<'_>,
    errors: &mut Diagnostics,
) -> Option<Option<f64>> {
    match fields.optional("area_cm2") {
        Some(node) => number(node, AREA, errors).map(Some),
        None => Some(None),
    }
}

fn is_nernst(channel: &ChannelDefinition) -> bool {
    matches!(channel.reversal, Reversal::Nernst { .. })
}

/// Which concentrations of calcium a cell with these channels can have.
fn concentration(channels: &[(String, ChannelDefinition)]) -> Rule {
    let nernst = channels.iter().any(|(_, channel)| is_nernst(channel));
    match nernst {
        true => above_zero("a Nernst potential of the cell is the logarithm of the concentration"),
        false => CONCENTRATION,
    }
}

fn calcium(
    node: &Node,
    area: Option<f64>,
    concentration: Rule,
    errors: &mut Diagnostics,
) -> Option<CalciumPool> {
    let mut fields = Fields::of(node, "a calcium pool", errors)?;
    let tau = fields
        .required("tau_ms")
        .and_then(|node| units::time(node, above_zero("calcium relaxes with this time"), errors));
    let rest = fields
        .required("rest_uM")
        .and_then(|node| units::concentration(node, concentration, errors));
    let influx_rule = not_negative("inward calcium current raises calcium");
    let influx = match (fields.entry("per_density"), fields.entry("per_nA")) {
        (Some((_, node)), None) => number(node, influx_rule, errors).map(Influx::PerDensity),
        (None, Some((key, node))) => {
            if area.is_none() {
                errors.push(
                    Diagnostic::at(&key.place, "influx per nA needs the area of the cell type")
                        .label("absolute current")
                        .help("give the cell type `area_cm2`, or use `per_density`"),
                );
            }
            number(node, influx_rule, errors).map(Influx::PerCurrent)
        }
        (Some(_), Some((second, _))) => {
            errors.push(
                Diagnostic::at(
                    &second.place,
                    "influx is given per density or per nA, not both",
                )
                .label("second"),
            );
            None
        }
        (None, None) => {
            errors.push(
                Diagnostic::at(
                    fields.head(),
                    "a calcium pool needs `per_density` or `per_nA`",
                )
                .label("found neither"),
            );
            None
        }
    };
    fields.finish(errors);
    Some(CalciumPool {
        tau: tau?,
        rest: rest?,
        influx: influx?,
    })
}

/// Reads a start state; gates are named `CHANNEL.GATE`, states of kinetic schemes likewise. Where `range` is given, V may be drawn from
/// one.
pub(super) fn start(
    node: &Node,
    channels: &[(String, ChannelDefinition)],
    range: Option<&mut Option<(f64, f64)>>,
    errors: &mut Diagnostics,
) -> Option<Start> {
    let mut fields = Fields::of(node, "a start state", errors)?;
    let v = match (fields.optional("V"), range) {
        (Some(node), Some(range)) => match voltage_range(node, errors) {
            Some(found) => {
                *range = found;
                found.map(|_| None)
            }
            None => units::voltage(node, errors).map(Some),
        },
        (Some(node), None) => units::voltage(node, errors).map(Some),
        (None, _) => Some(None),
    };
    let ca = match fields.optional("Ca") {
        Some(node) => units::concentration(node, concentration(channels), errors).map(Some),
        None => Some(None),
    };
    let mut gates = Some(Vec::new());
    let given = fields
        .optional("gates")
        .map_or(Some([].as_slice()), |node| map(node, errors));
    for (key, node) in given? {
        let gate = opening_path(key, channels, errors);
        let value = number(node, fraction("a gate is a fraction"), errors);
        match (gate, value, &mut gates) {
            (Some((channel, gate)), Some(value), Some(gates)) => {
                gates.push((channel, gate, value));
            }
            _ => gates = None,
        }
    }
    fields.finish(errors);
    if let Some(gates) = &gates
        && !schemes::check_start(node, gates, channels, errors)
    {
        return None;
    }
    Some(Start {
        v: v?,
        ca: ca?,
        gates: gates?,
    })
}

/// Takes `CHANNEL.WORD` apart and looks the channel up.
pub(super) fn channel_path<'c>(
    key: &Key,
    what: &str,
    channels: &'c [(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> Option<(&'c str, &'c ChannelDefinition, Key)> {
    let Some((channel, word)) = key.text.split_once('.') else {
        errors.push(
            Diagnostic::at(&key.place, format!("expected `CHANNEL.{what}`"))
                .label(format!("found `{}`", key.text))
                .help(format!(
                    "the channel and its {} with a dot between them",
                    what.to_lowercase()
                )),
        );
        return None;
    };
    let channel = Key {
        text: channel.to_owned(),
        place: key.place.clone(),
    };
    let known = channels.iter().map(|(name, _)| name.as_str());
    let (name, definition) = &channels[index_of(&channel, known, "channel", "the cell", errors)?];
    let word = Key {
        text: word.to_owned(),
        place: key.place.clone(),
    };
    Some((name, definition, word))
}

/// Looks up what a start state sets: a gate of a channel, or a state of its kinetic scheme.
fn opening_path(
    key: &Key,
    channels: &[(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> Option<(String, String)> {
    let (channel, definition, name) = channel_path(key, "GATE", channels, errors)?;
    let (known, what) = schemes::openings(definition);
    let of = format!("channel `{channel}`");
    index_of(&name, known, what, &of, errors)?;
    Some((channel.to_owned(), name.text))
}

fn gate_path(
    key: &Key,
    channels: &[(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> Option<(String, String)> {
    let (channel, definition, gate) = channel_path(key, "GATE", channels, errors)?;
    let known = definition.gates.iter().map(|gate| gate.name.as_str());
    let of = format!("channel `{channel}`");
    index_of(&gate, known, "gate", &of, errors)?;
    Some((channel.to_owned(), gate.text))
}

fn channel_name(
    node: &Node,
    channels: &[(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> Option<String> {
    let name = key(node, errors)?;
    let known = channels.iter().map(|(name, _)| name.as_str());
    index_of(&name, known, "channel", "the cell", errors)?;
    Some(name.text)
}

fn dic(
    node: &Node,
    channels: &[(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> Option<DicDefinition> {
    let mut fields = Fields::of(node, "the analysis of dynamic input conductances", errors)?;
    let timescales = ["fast", "slow", "ultraslow"].map(|name| {
        let node = fields.required(name)?;
        timescale(node, channels, errors)
    });
    let threshold = fields
        .required("threshold")
        .and_then(|node| threshold(node, errors));
    let normalise_by = fields
        .required("normalise_by")
        .and_then(|node| channel_name(node, channels, errors));
    let calcium_at = fields
        .optional("calcium_at")
        .map_or(Some(Vec::new()), |node| calcium_at(node, channels, errors));
    let scheme_tau = fields
        .optional("scheme_tau")
        .map_or(Some(Vec::new()), |node| scheme_tau(node, channels, errors));
    fields.finish(errors);
    let [fast, slow, ultraslow] = timescales;
    Some(DicDefinition {
        timescales: [fast?, slow?, ultraslow?],
        threshold: threshold?,
        normalise_by: normalise_by?,
        calcium_at: calcium_at?,
        scheme_tau: scheme_tau?,
    })
}

fn timescale(
    node: &Node,
    channels: &[(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> Option<Timescale> {
    if let Value::Text(_) = node.value {
        let (channel, gate) = gate_path(&key(node, errors)?, channels, errors)?;
        return Some(Timescale::Gate { channel, gate });
    }
    let rule = above_zero("its logarithm is taken");
    units::time(node, rule, errors).map(Timescale::Constant)
}

fn threshold(node: &Node, errors: &mut Diagnostics) -> Option<ThresholdRule> {
    match &node.value {
        Value::Tuple(Some(name), items) if name.text == "Fixed" && items.len() == 1 => {
            units::voltage(&items[0], errors).map(ThresholdRule::Fixed)
        }
        Value::Struct(Some(name), entries) if name.text == "Scan" => {
            let mut fields = Fields::new("a scan", node.head(), entries);
            let [from, to, fallback] = ["from", "to", "fallback"].map(|name| {
                let node = fields.required(name)?;
                units::voltage(node, errors)
            });
            let step = fields
                .required("step")
                .and_then(|node| number(node, above_zero("the scan would never end"), errors));
            fields.finish(errors);
            let (from, to, step) = (from?, to?, step?);
            let points = (to - from) / step;
            if points > MAX_SCAN {
                errors.push(
                    Diagnostic::at(&node.head(), "this scan has too many points")
                        .label(format!("{points:.3e} points"))
                        .help(format!("at most {MAX_SCAN:.0e}: a longer `step`, in mV")),
                );
                return None;
            }
            if from >= to {
                errors.push(
                    Diagnostic::at(
                        &node.place,
                        "a scan goes from the lower voltage to the higher",
                    )
                    .label(format!("found {from} to {to}")),
                );
                return None;
            }
            Some(ThresholdRule::Scan {
                from,
                to,
                step,
                fallback: fallback?,
            })
        }
        _ => {
            errors.push(expected(
                "`Scan(from: …, to: …, step: …, fallback: …)` or `Fixed(…)`",
                node,
            ));
            None
        }
    }
}

fn calcium_at(
    node: &Node,
    channels: &[(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> Option<Vec<(String, f64)>> {
    let read: Vec<Option<(String, f64)>> = map(node, errors)?
        .iter()
        .map(|(key, node)| {
            let known = channels.iter().map(|(name, _)| name.as_str());
            let found = index_of(key, known, "channel", "the cell", errors);
            let value = number(node, CONDUCTANCE, errors)?;
            found.map(|_| (key.text.clone(), value))
        })
        .collect();
    read.into_iter().collect()
}

/// Reads the time constants (ms) that stand for kinetic schemes, by channel.
fn scheme_tau(
    node: &Node,
    channels: &[(String, ChannelDefinition)],
    errors: &mut Diagnostics,
) -> Option<Vec<(String, f64)>> {
    let with_scheme = channels.iter().filter(|(_, c)| c.scheme.is_some());
    let known: Vec<&str> = with_scheme.map(|(name, _)| name.as_str()).collect();
    let read: Vec<Option<(String, f64)>> = map(node, errors)?
        .iter()
        .map(|(key, node)| {
            let what = "channel with a kinetic scheme";
            let found = index_of(key, known.iter().copied(), what, "the cell", errors);
            let tau = units::time(node, above_zero("its logarithm is taken"), errors)?;
            found.map(|_| (key.text.clone(), tau))
        })
        .collect();
    read.into_iter().collect()
}
