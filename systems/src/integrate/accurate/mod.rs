//! The accurate scheme: every neuron at its own adaptive step, by Ros3 with the exact Jacobian
//! on smooth tables.
//!
//! The tolerance bounds the local error of each step; a slow burst's period is so ill-conditioned
//! (a kick of 0.0001 mV once per ms moves it by 0.4 %) that single periods agree only in the mean
//! over many cells, while spikes of the first bursts are right to hundredths of a ms.
//!
//! Steps end where a stretch ends, so stopping at other times (samples off the control ticks, say)
//! changes a result within the tolerance. Homeostasis and controllers act at control ticks, as in
//! the fixed-step scheme.

mod control;
mod coupled;
mod hermite;
mod lanes;
mod plan;
mod ros3;
mod schemes;
mod table;
mod tangent;

use std::sync::Arc;

use bevy_ecs::prelude::*;
use rayon::prelude::*;

use super::columns::{AllColumns, Columns, NeuronTables};
use super::{Kernel, Planned, dispatch};
use crate::channels::{CellType, CellTypes};
use crate::coupling::{Coupling, Kinds};
use crate::definition::CellDefinition;
use crate::observe::{Detection, Runaway, Spike, Spikes};
use crate::schedule::{Clock, NeuronIndex, Neurons};
pub use control::Adaptive;
use coupled::Network;
use coupled::{Group, NetworkSteps, Signals, SiteTable};
use lanes::{Batch, Bench};
use lanes::{BatchSteps, Failure, Member};
use plan::Plan;

/// Neurons that a worker takes through a stretch at a time: enough that lanes which find no other
/// neuron at the end are few.
const PIECE: usize = 256;

/// Voltages below this (mV) may be a membrane's.
const SANE: f64 = 1e4;

/// Settings and state of the accurate scheme.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct Accurate {
    /// Bound on the local error of a step, relative to the scales of the error test (10 mV at
    /// rest, 0.03 of a gate, 1 µM).
    pub tolerance: f64,
    /// Step control of each neuron; survives the end of a stretch.
    pub steps: Vec<Adaptive>,
    /// Rate of V (mV/ms) of each neuron at the end of the last window of a coupled network: voltages
    /// are extrapolated from there.
    pub slopes: Vec<f64>,
}

impl Accurate {
    /// Default tolerance. Over 64 jittered bursters, half of them slow, against itself at 3e-7:
    /// periods are off by 0.22 % in the mean and spikes at 1 s by 0.005 ms in the median; by
    /// 0.46 % and 0.013 ms at 1e-3, which costs three quarters; by 0.11 % and 0.002 ms at 1e-4,
    /// which costs a third more. A network's slow rhythm, where errors add up, asks for 1e-4.
    pub const TOLERANCE: f64 = 3e-4;
}

impl Default for Accurate {
    fn default() -> Self {
        Accurate {
            tolerance: Self::TOLERANCE,
            steps: Vec::new(),
            slopes: Vec::new(),
        }
    }
}

/// Scratch: smooth tables, and the network gathered by cell type.
#[derive(Resource, Debug, Default)]
pub struct Scratch {
    plans: Vec<Plan>,
    /// What each plan was made of.
    keys: Vec<Key>,
    sites: Vec<Option<SiteTable>>,
    groups: Vec<Group>,
    signals: Signals,
}

/// What tells a compiled cell type from others: its definition, parameters and area.
#[derive(Clone, Debug)]
struct Key {
    definition: Arc<CellDefinition>,
    parameters: Vec<f64>,
    area: Option<f64>,
}

impl Key {
    fn of(cell: &CellType) -> Self {
        Key {
            definition: cell.definition.clone(),
            parameters: cell.parameters().to_vec(),
            area: cell.area,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.definition, &other.definition)
            && self.parameters == other.parameters
            && self.area == other.area
    }
}

impl Scratch {
    fn renew(&mut self, types: &Res<CellTypes>, kinds: &Res<Kinds>, coupling: &Coupling) {
        if types.is_changed() || self.plans.len() != types.len() {
            for (k, cell) in types.iter().enumerate() {
                let key = Key::of(cell);
                if k == self.plans.len() {
                    self.plans.push(Plan::new(cell));
                    self.groups.push(Group::default());
                    self.keys.push(key);
                } else if self.keys[k] != key {
                    self.plans[k] = Plan::new(cell);
                    self.groups[k] = Group::default();
                    self.keys[k] = key;
                }
            }
        }
        if kinds.is_changed() {
            self.sites.clear();
        }
        for site in &coupling.sites {
            let kind = site.kind as usize;
            if self.sites.len() <= kind {
                self.sites.resize_with(kind + 1, || None);
            }
            self.sites[kind].get_or_insert_with(|| SiteTable::new(kinds, site.kind));
        }
    }
}

/// System: advances the world by the planned stretch.
pub fn advance(
    mut tables: NeuronTables,
    types: Res<CellTypes>,
    kinds: Res<Kinds>,
    neurons: Res<Neurons>,
    clock: Res<Clock>,
    planned: Res<Planned>,
    detection: Res<Detection>,
    mut coupling: ResMut<Coupling>,
    kernel: Res<Kernel>,
    mut settings: ResMut<Accurate>,
    mut scratch: ResMut<Scratch>,
    mut spikes: ResMut<Spikes>,
    mut commands: Commands,
) {
    let from = clock.now();
    let to = planned.stretch.end(&clock);
    scratch.renew(&types, &kinds, &coupling);
    settings.steps.resize(neurons.len(), Adaptive::default());
    let mut columns = tables.columns();
    let Scratch {
        plans,
        sites,
        groups,
        signals,
        ..
    } = &mut *scratch;
    gather(&columns, plans, groups, &settings.steps);
    let first = spikes.list.len();
    let mut failures = Vec::new();
    let mut stretch = Alone {
        start: from,
        length: to - from,
        kernel: *kernel,
        tolerance: settings.tolerance,
        detection: *detection,
        spikes: &mut spikes.list,
        failures: &mut failures,
    };
    if coupling.is_empty() {
        for (plan, group) in plans.iter().zip(&mut *groups) {
            stretch.run(plan, group);
        }
    } else {
        let mut network = Network {
            plans,
            groups,
            neurons: neurons.len(),
            sites,
            coupling: &mut coupling,
            kinds: &kinds,
            signals,
            kernel: *kernel,
            tolerance: settings.tolerance,
            detection: *detection,
            spikes: &mut spikes.list,
            failures: &mut failures,
        };
        std::mem::swap(&mut network.signals.slope, &mut settings.slopes);
        let steps = NetworkSteps {
            network: &mut network,
            from,
            to,
        };
        dispatch::run(*kernel, steps);
        std::mem::swap(&mut network.signals.slope, &mut settings.slopes);
    }
    scatter(&mut columns, plans, groups, &mut settings.steps);
    spikes.list[first..].sort_by(|a, b| a.t_ms.total_cmp(&b.t_ms).then(a.neuron.cmp(&b.neuron)));
    let earliest =
        |a: &Failure, b: &Failure| a.t_ms.total_cmp(&b.t_ms).then(a.neuron.cmp(&b.neuron));
    if let Some(failure) = failures.into_iter().min_by(earliest) {
        let why = match failure.v.abs() < SANE {
            true => "no step of the accurate integrator is short enough there",
            false => Runaway::SENSELESS,
        };
        let (index, wrong) = (NeuronIndex(failure.neuron), ("V", failure.v, why));
        commands.insert_resource(Runaway::new(&neurons, index, failure.t_ms, wrong));
    }
}

/// A stretch of neurons that nothing couples.
struct Alone<'a> {
    start: f64,
    length: f64,
    kernel: Kernel,
    tolerance: f64,
    detection: Detection,
    spikes: &'a mut Vec<Spike>,
    failures: &'a mut Vec<Failure>,
}

impl Alone<'_> {
    /// Takes the neurons of a cell type through it, piece by piece on as many workers as there are.
    fn run(&mut self, plan: &Plan, group: &mut Group) {
        let (start, length) = (self.start, self.length);
        let (tolerance, detection, kernel) = (self.tolerance, self.detection, self.kernel);
        let piece = |((records, members), bench): ((&mut [f64], &mut [Member]), &mut Bench)| {
            let (mut spikes, mut failures) = (Vec::new(), Vec::new());
            // Those with most steps before them go first, so that none is left alone at the end.
            let mut list: Vec<u32> = (0..members.len() as u32).collect();
            let step = |place: &u32| members[*place as usize].adaptive.h;
            list.sort_by(|a, b| step(a).total_cmp(&step(b)));
            let batch = Batch {
                plan,
                records,
                list: &list,
                members,
                start,
                length,
                tolerance,
                detection,
                paths: None,
                spikes: &mut spikes,
                failures: &mut failures,
            };
            dispatch::run(kernel, BatchSteps { bench, batch });
            (spikes, failures)
        };
        let (records, members) = (&mut group.records[..], &mut group.members[..]);
        let pieces = members.len().div_ceil(PIECE);
        while group.benches.len() < pieces {
            group.benches.push(Bench::new(plan));
        }
        let found: Vec<_> = match &mut group.benches[..pieces] {
            [bench] => vec![piece(((records, members), bench))],
            benches => records
                .par_chunks_mut(PIECE * plan.record())
                .zip(members.par_chunks_mut(PIECE))
                .zip(benches)
                .map(piece)
                .collect(),
        };
        for (spikes, failures) in found {
            self.spikes.extend(spikes);
            self.failures.extend(failures);
        }
    }
}

/// Numbers of each neuron into the record of its cell type's group.
fn gather(columns: &AllColumns, plans: &[Plan], groups: &mut [Group], steps: &[Adaptive]) {
    for group in &mut *groups {
        group.records.clear();
        group.members.clear();
    }
    let mut each = (plans, &mut *groups, steps);
    columns
        .eight
        .iter()
        .for_each(|c| gather_table(c, &mut each));
    columns
        .sixteen
        .iter()
        .for_each(|c| gather_table(c, &mut each));
    columns
        .thirty_two
        .iter()
        .for_each(|c| gather_table(c, &mut each));
    for group in groups {
        group.all.clear();
        group.all.extend(0..group.members.len() as u32);
    }
}

fn gather_table<const W: usize>(
    columns: &Columns<W>,
    (plans, groups, steps): &mut (&[Plan], &mut [Group], &[Adaptive]),
) {
    for row in 0..columns.len() {
        let kind = columns.kind[row].0 as usize;
        let (plan, group) = (&plans[kind], &mut groups[kind]);
        let neuron = columns.index[row].0;
        group.members.push(Member {
            neuron,
            adaptive: steps[neuron as usize],
            armed: columns.armed[row],
        });
        let first = group.records.len();
        group.records.resize(first + plan.record(), 0.0);
        let record = &mut group.records[first..];
        record[0] = columns.voltage[row].0;
        record[1] = columns.calcium[row].0;
        let fixed = plan.first_fixed();
        for (k, gate) in plan.gates.iter().enumerate() {
            record[2 + k] = match gate.slot {
                0 => columns.activation[row].0.0[gate.lane],
                _ => columns.inactivation[row].0.0[gate.lane],
            };
            if let Some(rate) = gate.rate {
                record[fixed + rate] = columns.rate[row].0[gate.slot].0[gate.lane];
            }
        }
        if let Some(states) = &columns.states {
            record[plan.first_state()..plan.variables()].copy_from_slice(&states[row].0);
        }
        record[plan.variables()] = columns.integral[row].since_tick;
        let effective = &columns.effective[row];
        for (k, channel) in plan.channels.iter().enumerate() {
            record[fixed + k] = effective.membrane.0[channel.lane];
            if let Some(influx) = channel.influx {
                record[fixed + influx] = effective.influx.0[channel.lane];
            }
        }
        plan.hold_input(record, columns.input[row]);
    }
}

/// The state of each neuron back into its columns.
fn scatter(columns: &mut AllColumns, plans: &[Plan], groups: &[Group], steps: &mut [Adaptive]) {
    let mut next = vec![0; groups.len()];
    let mut each = (plans, groups, steps, &mut next[..]);
    columns
        .eight
        .iter_mut()
        .for_each(|c| scatter_table(c, &mut each));
    columns
        .sixteen
        .iter_mut()
        .for_each(|c| scatter_table(c, &mut each));
    columns
        .thirty_two
        .iter_mut()
        .for_each(|c| scatter_table(c, &mut each));
}

fn scatter_table<const W: usize>(
    columns: &mut Columns<W>,
    (plans, groups, steps, next): &mut (&[Plan], &[Group], &mut [Adaptive], &mut [usize]),
) {
    for row in 0..columns.len() {
        let kind = columns.kind[row].0 as usize;
        let (plan, group) = (&plans[kind], &groups[kind]);
        let place = next[kind];
        next[kind] += 1;
        let member = &group.members[place];
        let record = &group.records[place * plan.record()..];
        columns.voltage[row].0 = record[0];
        columns.calcium[row].0 = record[1];
        for (gate, x) in plan.gates.iter().zip(&record[2..]) {
            match gate.slot {
                0 => columns.activation[row].0.0[gate.lane] = *x,
                _ => columns.inactivation[row].0.0[gate.lane] = *x,
            }
        }
        if let Some(states) = &mut columns.states {
            let own = &record[plan.first_state()..plan.variables()];
            states[row].0.copy_from_slice(own);
        }
        columns.integral[row].since_tick = record[plan.variables()];
        columns.armed[row] = member.armed;
        steps[member.neuron as usize] = member.adaptive;
    }
}
