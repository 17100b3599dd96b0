//! Regulators that are asked for what they cannot do, or work against the protocol.

use std::collections::{BTreeMap, BTreeSet};

use homarus_systems::{
    address::{Address, CellScalar, ChannelScalar},
    channels::Block,
    neuromodulation::Controller,
    protocol::Action,
};

use super::super::{
    diagnostic::{Diagnostic, Diagnostics},
    model::{Entry, NegativeConductance, Regulator},
    source::Place,
};
use super::{Network, digits};

/// A controller that is to bring a conductance below zero: the solve for its targets, with the
/// other conductances as they start, at the start and at whatever targets the protocol sets.
/// Homeostasis moves those in proportion, and the references with them. A conductance that falls
/// below zero on its way to a positive reference is none of this.
pub(super) fn negative_references(network: &Network<'_>, lints: &mut Diagnostics) {
    let mut controllers: BTreeMap<usize, Controller> = BTreeMap::new();
    for (k, cell) in network.scene.cells.iter().enumerate() {
        let (Some(told), Some(controller)) = (
            &cell.controller,
            network.world.get::<Controller>(network.neuron(k)),
        ) else {
            continue;
        };
        if told.on || network.switched_on(k) {
            let controller = controllers.entry(k).or_insert_with(|| controller.clone());
            judge(network, k, controller, &told.origin, lints);
        }
    }
    for (entry, actions) in &network.protocol {
        let mut moved = BTreeSet::new();
        for action in actions {
            let (Action::Set { targets, to } | Action::Ramp { targets, to, .. }) = action else {
                continue;
            };
            for target in targets {
                if let Address::Cell(cell, scalar @ (CellScalar::GS | CellScalar::GU)) = *target
                    && let Some(controller) = controllers.get_mut(&cell)
                {
                    match scalar {
                        CellScalar::GS => controller.g_s = *to,
                        _ => controller.g_u = *to,
                    }
                    moved.insert(cell);
                }
            }
        }
        for cell in moved.into_iter().filter(|_| entry.at_ms > 0.0) {
            if let Some(controller) = controllers.get_mut(&cell) {
                judge(network, cell, controller, &entry.origin, lints);
            }
        }
    }
}

/// Tells which references of a cell are negative at the controller's targets, which `place` sets.
fn judge(
    network: &Network<'_>,
    cell: usize,
    controller: &mut Controller,
    place: &Place,
    lints: &mut Diagnostics,
) {
    let kind = network.cell_type(cell);
    let references = controller.references(
        kind,
        network.parameters(cell),
        &network.gbar(cell),
        &network.seen(cell),
    );
    let lanes = [0, 1].map(|k| controller.channels[k].lane);
    for (lane, reference) in lanes.into_iter().zip(references.into_iter().flatten()) {
        if reference >= 0.0 {
            continue;
        }
        let channel = kind.channel_name(lane);
        let path = format!("{}.{channel}.gbar", network.name(cell));
        let rule = match network.scene.negative_conductance {
            NegativeConductance::Clamp => "is held at 0, and the targets are not reached",
            NegativeConductance::RectifyCurrent => {
                "goes below 0, its current uses 0, and the targets are not reached"
            }
            NegativeConductance::Allow => "goes below 0 and acts so, which no membrane can do",
        };
        lints.push(
            Diagnostic::lint(
                place,
                format!("the reference of `{path}` is negative at these targets"),
            )
            .label(format!(
                "g_s {}, g_u {} need {} mS/cm²",
                controller.g_s,
                controller.g_u,
                digits(reference, 3)
            ))
            .help(format!(
                "solved at V_th = {} mV with the other conductances as they start; `{path}` {rule}",
                digits(controller.v_th, 4)
            ))
            .help(
                "ask for targets nearer to what the cell does now, or give it other conductances",
            ),
        );
    }
}

impl Network<'_> {
    /// Factors on the currents of a cell by lane, as compensation solves see them.
    fn seen(&self, cell: usize) -> Vec<f64> {
        let (world, neuron) = (self.world, self.neuron(cell));
        let eight = world.get::<Block<8>>(neuron).map(|b| b.seen.0.to_vec());
        eight
            .or_else(|| world.get::<Block<16>>(neuron).map(|b| b.seen.0.to_vec()))
            .or_else(|| world.get::<Block<32>>(neuron).map(|b| b.seen.0.to_vec()))
            .unwrap_or_default()
    }

    /// Whether the protocol switches the controller of a cell on.
    fn switched_on(&self, cell: usize) -> bool {
        let mut actions = self.protocol.iter().flat_map(|(_, actions)| actions);
        actions.any(|action| match action {
            Action::Controller { channels, on: true } => channels.iter().any(|(c, _)| *c == cell),
            _ => false,
        })
    }

    /// The regulated channels and whether their regulators are on at first.
    fn regulated(&self) -> Regulated {
        let mut regulated = Regulated::default();
        for (k, cell) in self.scene.cells.iter().enumerate() {
            if let Some(homeostat) = &cell.homeostat {
                let state = (Regulator::Homeostat, homeostat.on);
                let lanes = homeostat.channels.iter();
                regulated.0.extend(lanes.map(|lane| ((k, *lane), state)));
            }
            if let Some(controller) = &cell.controller {
                let state = (Regulator::Controller, controller.on);
                let lanes = controller.channels.iter();
                regulated.0.extend(lanes.map(|lane| ((k, *lane), state)));
            }
        }
        regulated
    }
}

/// Which regulator holds a channel, (cell, lane), and whether it is on.
#[derive(Default)]
struct Regulated(BTreeMap<(usize, usize), (Regulator, bool)>);

impl Regulated {
    /// Switches a regulator of channels; `None` is every channel of the cell.
    fn switch(&mut self, which: Regulator, channels: &[(usize, Option<usize>)], to: bool) {
        for ((cell, lane), (regulator, on)) in &mut self.0 {
            let meant = |(c, l): &(usize, Option<usize>)| c == cell && l.is_none_or(|l| l == *lane);
            if *regulator == which && channels.iter().any(meant) {
                *on = to;
            }
        }
    }

    /// The regulator that holds a conductance now.
    fn holder(&self, scalar: Address) -> Option<(usize, usize, Regulator)> {
        let Address::Channel(cell, lane, ChannelScalar::Gbar) = scalar else {
            return None;
        };
        let (regulator, on) = self.0.get(&(cell, lane))?;
        on.then_some((cell, lane, *regulator))
    }
}

/// `set`, `scale` or `ramp` of a conductance whose regulator is on: the regulator writes its own
/// value at its next tick. At t = 0 such an entry acts before the regulators start, and counts.
pub(super) fn written_while_regulated(network: &Network<'_>, lints: &mut Diagnostics) {
    let mut regulated = network.regulated();
    for (entry, actions) in &network.protocol {
        for action in actions {
            let (word, targets) = match action {
                Action::Homeostat { channels, on } => {
                    regulated.switch(Regulator::Homeostat, channels, *on);
                    continue;
                }
                Action::Controller { channels, on } => {
                    regulated.switch(Regulator::Controller, channels, *on);
                    continue;
                }
                Action::Set { targets, .. } => ("set", targets),
                Action::Scale { targets, .. } => ("scale", targets),
                Action::Ramp { targets, .. } => ("ramp", targets),
                _ => continue,
            };
            let held = targets.iter().find_map(|target| regulated.holder(*target));
            if let Some((cell, lane, regulator)) = held.filter(|_| entry.at_ms > 0.0) {
                lints.push(undone(network, entry, word, (cell, lane), regulator));
            }
        }
    }
}

fn undone(
    network: &Network<'_>,
    entry: &Entry,
    word: &str,
    (cell, lane): (usize, usize),
    regulator: Regulator,
) -> Diagnostic {
    let (name, channel) = (
        network.name(cell),
        network.cell_type(cell).channel_name(lane),
    );
    let whose = match regulator {
        Regulator::Homeostat => "homeostasis",
        Regulator::Controller => "the controller",
    };
    let field = regulator.field();
    Diagnostic::lint(
        &entry.origin,
        format!("this `{word}` does not last: {whose} holds `{name}.{channel}.gbar`"),
    )
    .label(format!("{whose} is on at {} ms", entry.at_ms))
    .help(format!(
        "it writes its own value at its next tick, after {} ms at most: use `overwrite`, or switch it off first: \
         `(at_ms: {}, {field}: \"{name}.{channel}\", on: false)`",
        network.scene.control_ms, entry.at_ms
    ))
}
