//! The fields of a cell: conductances, start state, homeostasis and controller.

use std::sync::Arc;

use glam::DVec3;
use homarus_systems::definition::{CellDefinition, Start};

use super::{
    decode::{
        ANY, Fields, Rule, above_zero, boolean, expected, index_of, keys, map, not_negative, number,
    },
    definitions::{channel_path, start},
    diagnostic::{Diagnostic, Diagnostics},
    model::{Cell, Controller, Gains, Homeostat, Settings},
    population::{Membrane, SamplerFields},
    source::Place,
    syntax::{Key, Node, Value},
    units,
};

const TIME_CONSTANT: Rule = above_zero("it is divided by");
const RATE: Rule = not_negative("a rate below zero would make the compartments grow without end");

/// Time constants of homeostasis as published (Fyon & Drion, arXiv 2412.04172): ms, and
/// ms µM per mS/cm².
const TAU_G: f64 = 100.0;
const TAU_NA: f64 = 600.0;

/// Gains of the controller as published (Fyon & Drion, arXiv 2412.04172): 1/ms, 1/ms², mS/cm² per
/// ms, 1/ms, 1/ms.
const KP: f64 = 3e-4;
const KI: f64 = 5e-6;
const U_MAX: f64 = 1e7;
const ALPHA: f64 = 5e-3;
const BETA: f64 = 5e-3;

/// What is known of a cell before its type is looked at.
pub(super) struct Own {
    /// Its own area (cm²).
    pub area: Option<f64>,
    /// Its position (µm).
    pub position: Option<DVec3>,
    /// Whether its conductances come from a table.
    pub tabulated: bool,
    /// The cell that it draws like.
    pub drawn_as: Option<Key>,
}

/// The fields of a cell that need its type to be read.
pub(super) struct CellFields<'n> {
    parameters: Option<&'n Node>,
    conductances: SamplerFields<'n>,
    current: Option<&'n Node>,
    jitter: Option<&'n Node>,
    start: Option<&'n Node>,
    homeostat: Option<&'n Node>,
    controller: Option<&'n Node>,
}

impl<'n> CellFields<'n> {
    /// Takes the fields; `jitter` is that of a cell which names none of its own.
    pub fn take(fields: &mut Fields<'n>, jitter: Option<&'n Node>) -> Self {
        let jitter = fields.optional("jitter").or(jitter);
        let parameters = fields.optional("parameters");
        let gbar = fields.optional("gbar");
        Self {
            jitter,
            parameters,
            current: fields.optional("I"),
            start: fields.optional("start"),
            homeostat: fields.optional("homeostat"),
            controller: fields.optional("controller"),
            conductances: SamplerFields::take(gbar, fields),
        }
    }

    pub fn read(
        self,
        name: &Key,
        cell_type: usize,
        definition: &CellDefinition,
        own: Own,
        maximal_conductance: Rule,
        errors: &mut Diagnostics,
    ) -> Option<Cell> {
        let area = own.area.or(definition.area);
        let parameters = self.parameters(definition, errors);
        let membrane = Membrane {
            definition,
            area,
            rule: maximal_conductance,
            tabulated: own.tabulated,
        };
        let conductances = self.conductances.read(membrane, errors);
        let current = self
            .current
            .map_or(Some(0.0), |node| units::current_density(node, area, errors));
        let jitter = match self.jitter {
            Some(node) => jitter(node, definition, errors).map(Some),
            None => Some(None),
        };
        let start = self.start(definition, errors);
        let homeostat = match self.homeostat {
            Some(node) => {
                let read = conductances.as_ref();
                // Of cells that differ, each is looked at when its conductances are known.
                let alike = read.filter(|(_, sampler)| sampler.is_none() && !own.tabulated);
                let gbar = alike.map(|(gbar, _)| gbar.as_slice());
                homeostat(node, definition, gbar, errors).map(Some)
            }
            None => Some(None),
        };
        let controller = match self.controller {
            Some(node) => {
                let regulated = homeostat.as_ref().and_then(Option::as_ref);
                controller(node, definition, regulated, errors).map(Some)
            }
            None => Some(None),
        };
        let (start, start_range) = start?;
        let (gbar, sampler) = conductances?;
        if let (Some(like), None, false) = (&own.drawn_as, &sampler, own.tabulated) {
            errors.push(nothing_drawn(&like.place, &name.text));
            return None;
        }
        Some(Cell {
            name: name.text.as_str().into(),
            cell_type,
            parameters: parameters?.into(),
            gbar,
            sampler,
            drawn_as: own.drawn_as.map(|like| like.text.into()),
            jitter: jitter?,
            current: current?,
            start,
            start_range,
            area,
            position: own.position,
            homeostat: homeostat?,
            controller: controller?,
            origin: name.place.clone(),
        })
    }

    fn parameters(
        &self,
        definition: &CellDefinition,
        errors: &mut Diagnostics,
    ) -> Option<Vec<(String, String, f64)>> {
        let entries = self
            .parameters
            .map_or(Some([].as_slice()), |node| map(node, errors))?;
        let read: Vec<Option<(String, String, f64)>> = entries
            .iter()
            .map(|(key, node)| {
                let found = channel_path(key, "PARAMETER", &definition.channels, errors);
                let value = number(node, ANY, errors);
                let (channel, of_channel, parameter) = found?;
                let known = of_channel.parameters.iter().map(|(name, _)| name.as_str());
                let of = format!("channel `{channel}`");
                index_of(&parameter, known, "parameter", &of, errors)?;
                Some((channel.to_owned(), parameter.text, value?))
            })
            .collect();
        read.into_iter().collect()
    }

    /// The cell's own start state with that of its type for what it does not say, and the range
    /// that V(0) is drawn from, if it is.
    fn start(
        &self,
        definition: &CellDefinition,
        errors: &mut Diagnostics,
    ) -> Option<(Start, Option<(f64, f64)>)> {
        let mut range = None;
        let own = self.start.map_or(Some(Start::default()), |node| {
            start(node, &definition.channels, Some(&mut range), errors)
        })?;
        let typical = &definition.start;
        // States of a scheme are parts of one whole: a cell that names some says it for all of them.
        let whole = |channel: &str| {
            let mut channels = definition.channels.iter();
            channels.any(|(name, c)| name == channel && c.scheme.is_some())
        };
        let mut gates = typical.gates.clone();
        gates.retain(|(channel, gate, _)| {
            let mut own = own.gates.iter();
            !own.any(|(c, g, _)| c == channel && (g == gate || whole(c)))
        });
        gates.extend(own.gates);
        let start = Start {
            v: own.v.or(typical.v),
            ca: own.ca.or(typical.ca),
            gates,
        };
        Some((start, range))
    }
}

/// The error for a cell that has no draws, where they would be shared.
pub(super) fn nothing_drawn(place: &Place, cell: &str) -> Diagnostic {
    Diagnostic::at(place, format!("nothing of `{cell}` is drawn"))
        .label("no random numbers to share")
        .help("draw a conductance, as in `gbar: { \"Na\": Uniform(4000, 8000) }`")
}

/// Relative half-widths of the jitter of conductances, by lane: one for all channels, or one a
/// channel.
fn jitter(
    node: &Node,
    definition: &CellDefinition,
    errors: &mut Diagnostics,
) -> Option<Arc<[f64]>> {
    let width = |node: &Node, errors: &mut Diagnostics| {
        let width = number(node, not_negative("a spread has no sign"), errors)?;
        if width >= 1.0 {
            errors.push(
                Diagnostic::at(&node.place, "this jitter would turn conductances negative")
                    .label(format!("found {width}"))
                    .help("it is relative: 0.05 moves a conductance by up to 5 % either way"),
            );
            return None;
        }
        Some(width)
    };
    let lanes = definition.channels.len();
    let Value::Map(entries) = &node.value else {
        return width(node, errors).map(|width| vec![width; lanes].into());
    };
    let mut widths = vec![0.0; lanes];
    let mut fine = true;
    for (key, node) in entries {
        match (channel_lane(key, definition, errors), width(node, errors)) {
            (Some(lane), Some(width)) => widths[lane] = width,
            _ => fine = false,
        }
    }
    fine.then(|| widths.into())
}

pub(super) fn channel_lane(
    key: &Key,
    definition: &CellDefinition,
    errors: &mut Diagnostics,
) -> Option<usize> {
    let known = definition.channels.iter().map(|(name, _)| name.as_str());
    let of = format!("cell type `{}`", definition.name);
    index_of(key, known, "channel", &of, errors)
}

/// Lanes of the channels a list names, each once.
pub(super) fn channel_lanes(
    node: &Node,
    definition: &CellDefinition,
    errors: &mut Diagnostics,
) -> Option<Vec<(usize, Key)>> {
    let mut lanes: Vec<(usize, Key)> = Vec::new();
    let mut fine = true;
    for name in keys(node, errors)? {
        let Some(lane) = channel_lane(&name, definition, errors) else {
            fine = false;
            continue;
        };
        if let Some((_, first)) = lanes.iter().find(|(known, _)| *known == lane) {
            errors.push(
                Diagnostic::at(&name.place, format!("`{}` is listed twice", name.text))
                    .label("again here")
                    .and(&first.place, "first here"),
            );
            fine = false;
        } else {
            lanes.push((lane, name));
        }
    }
    fine.then_some(lanes)
}

/// A number that has a default.
fn number_or(
    fields: &mut Fields<'_>,
    name: &'static str,
    default: f64,
    rule: Rule,
    errors: &mut Diagnostics,
) -> Option<f64> {
    match fields.optional(name) {
        Some(node) => number(node, rule, errors),
        None => Some(default),
    }
}

/// A switch that is on unless it says otherwise.
fn on(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Option<bool> {
    fields
        .optional("on")
        .map_or(Some(true), |node| boolean(node, errors))
}

fn homeostat(
    node: &Node,
    definition: &CellDefinition,
    gbar: Option<&[f64]>,
    errors: &mut Diagnostics,
) -> Option<Homeostat> {
    let mut fields = Fields::of(node, "homeostasis", errors)?;
    let channels = fields
        .required("channels")
        .and_then(|node| channel_lanes(node, definition, errors));
    let ca_target = fields.required("Ca_target").and_then(|node| {
        let rule = above_zero("calcium is never driven to zero");
        units::concentration(node, rule, errors)
    });
    let tau_g = match fields.optional("tau_g") {
        Some(node) => units::time(node, TIME_CONSTANT, errors),
        None => Some(TAU_G),
    };
    let tau_na = number_or(&mut fields, "tau_Na", TAU_NA, TIME_CONSTANT, errors);
    let on = on(&mut fields, errors);
    let head = fields.head().clone();
    fields.finish(errors);
    check_homeostat_type(&head, definition, gbar, errors)?;
    let mut channels: Vec<usize> = channels?.into_iter().map(|(lane, _)| lane).collect();
    channels.sort_unstable();
    Some(Homeostat {
        channels,
        settings: Settings {
            ca_target: ca_target?,
            tau_g: tau_g?,
            tau_na: tau_na?,
        },
        on: on?,
    })
}

/// What homeostasis needs of the cell.
fn check_homeostat_type(
    head: &Place,
    definition: &CellDefinition,
    gbar: Option<&[f64]>,
    errors: &mut Diagnostics,
) -> Option<()> {
    let name = &definition.name;
    if definition.calcium.is_none() {
        errors.push(
            Diagnostic::at(head, "homeostasis needs calcium that moves")
                .label(format!("cell type `{name}` has no `calcium` pool")),
        );
        return None;
    }
    let Some(reference) = &definition.homeostat_reference else {
        errors.push(
            Diagnostic::at(head, "homeostasis needs a reference channel")
                .label(format!("cell type `{name}` has no `homeostat_reference`")),
        );
        return None;
    };
    let lane = definition
        .channels
        .iter()
        .position(|(name, _)| name == reference)?;
    let g = gbar.map_or(f64::INFINITY, |gbar| gbar[lane]);
    if g <= 0.0 {
        errors.push(
            Diagnostic::at(
                head,
                format!("homeostasis needs a conductance of `{reference}` above 0"),
            )
            .label(format!("gbar of `{reference}` is {g}"))
            .help("the time constant of every channel is in proportion to it"),
        );
        return None;
    }
    Some(())
}

fn controller(
    node: &Node,
    definition: &CellDefinition,
    regulated: Option<&Homeostat>,
    errors: &mut Diagnostics,
) -> Option<Controller> {
    let mut fields = Fields::of(node, "a controller", errors)?;
    let channels = fields
        .required("channels")
        .and_then(|node| two_channels(node, definition, regulated, errors));
    let [g_s, g_u] = ["g_s", "g_u"].map(|name| {
        let node = fields.required(name)?;
        number(node, ANY, errors)
    });
    let gain = not_negative("the controller would push away from its target");
    let kp = number_or(&mut fields, "Kp", KP, gain, errors);
    let integral = above_zero("the controller holds a conductance by its integral alone");
    let ki = number_or(&mut fields, "Ki", KI, integral, errors);
    let limit = above_zero("the controller could not add anything");
    let u_max = number_or(&mut fields, "u_max", U_MAX, limit, errors);
    let alpha = number_or(&mut fields, "alpha", ALPHA, RATE, errors);
    let beta = number_or(&mut fields, "beta", BETA, RATE, errors);
    let kt = match (fields.optional("Kt"), beta, ki) {
        (Some(node), ..) => number(node, gain, errors),
        (None, Some(beta), Some(ki)) => Some(beta / ki),
        _ => None,
    };
    let v_th = match fields.optional("V_th") {
        Some(node) => units::voltage(node, errors).map(Some),
        None => Some(None),
    };
    let on = on(&mut fields, errors);
    let head = fields.head().clone();
    fields.finish(errors);
    if definition.dic.is_none() {
        errors.push(
            Diagnostic::at(&head, "a controller needs dynamic input conductances")
                .label(format!("cell type `{}` has no `dic`", definition.name)),
        );
        return None;
    }
    Some(Controller {
        channels: channels?,
        g_s: g_s?,
        g_u: g_u?,
        gains: Gains {
            kp: kp?,
            ki: ki?,
            kt: kt?,
            u_max: u_max?,
            alpha: alpha?,
            beta: beta?,
        },
        v_th: v_th?,
        on: on?,
        origin: head,
    })
}

fn two_channels(
    node: &Node,
    definition: &CellDefinition,
    regulated: Option<&Homeostat>,
    errors: &mut Diagnostics,
) -> Option<[usize; 2]> {
    let lanes = channel_lanes(node, definition, errors)?;
    if let Some(homeostat) = regulated {
        for (_, name) in lanes
            .iter()
            .filter(|(lane, _)| homeostat.channels.contains(lane))
        {
            errors.push(
                Diagnostic::at(
                    &name.place,
                    format!("`{}` is regulated by homeostasis already", name.text),
                )
                .label("regulated twice")
                .help("take it out of the `channels` of one of the two"),
            );
        }
    }
    let [a, b] = lanes.as_slice() else {
        errors.push(
            expected("two channels", node).help("the two conductances are solved from two targets"),
        );
        return None;
    };
    Some([a.0, b.0])
}
