//! The stretch: one run of the schedule advances the world up to the next control tick, protocol
//! time, sample or window edge. Inside a stretch the steps are plain loops over column slices.
//!
//! Time is exact: the grid is `k dt`, never a running sum. A protocol time off the grid splits its
//! step in two and the grid goes on.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{LogLevel, ScheduleBuildSettings, SingleThreadedExecutor};
use serde::{Deserialize, Serialize};

use crate::{
    calcium, channels, coupling, homeostasis, integrate, membrane, neuromodulation, observe,
    protocol,
};

/// Phases of a stretch, in the order in which they run. Foreign systems hook in between.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sets {
    /// Protocol entries due now act; each neuron's [`membrane::Input`] is set to its applied
    /// current. Systems that add input run after this set and before `Advance`.
    Protocol,
    /// Derived columns and coupling rows are renewed where something changed, then the integrator
    /// advances gates, voltage, calcium, synapses and the clock by one stretch.
    Advance,
    /// At a control tick, the mean calcium of the control interval is taken.
    Sense,
    /// At a control tick, homeostasis moves mRNA and conductances.
    Regulate,
    /// At a control tick, controllers solve their references and move the modulated conductances.
    Modulate,
    /// Samples and windows are read, state is held against sense.
    Observe,
}

/// Place of a neuron in the order of the scene.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(transparent)]
pub struct NeuronIndex(pub u32);

/// Scratch: neurons by index.
#[derive(Resource, Clone, Debug, Default)]
pub struct Neurons {
    entities: Vec<Entity>,
    capacitance: Vec<f64>,
    names: Vec<Arc<str>>,
}

impl Neurons {
    /// Enters a neuron and returns its index.
    pub fn push(&mut self, entity: Entity, name: Arc<str>, capacitance: f64) -> NeuronIndex {
        self.entities.push(entity);
        self.capacitance.push(capacitance);
        self.names.push(name);
        NeuronIndex(self.entities.len() as u32 - 1)
    }

    /// Number of neurons.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Entity of a neuron.
    pub fn entity(&self, index: usize) -> Entity {
        self.entities[index]
    }

    /// Name of a neuron.
    pub fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    /// Capacitance of a neuron (µF/cm²).
    pub fn capacitance(&self, index: usize) -> f64 {
        self.capacitance[index]
    }
}

/// Scratch: edges by their place in the scene, those that are entities and those in bulk.
#[derive(Resource, Clone, Debug, Default)]
pub struct Edges {
    single: Vec<Entity>,
    bulk: Vec<Entity>,
}

impl Edges {
    /// Enters an edge.
    pub fn push(&mut self, entity: Entity) {
        self.single.push(entity);
    }

    /// Enters edges in bulk.
    pub fn push_bulk(&mut self, entity: Entity) {
        self.bulk.push(entity);
    }

    /// Number of edges that are entities.
    pub fn len(&self) -> usize {
        self.single.len()
    }

    /// Whether no edge is an entity.
    pub fn is_empty(&self) -> bool {
        self.single.is_empty()
    }

    /// Entity of an edge.
    pub fn entity(&self, index: usize) -> Entity {
        self.single[index]
    }

    /// Entities that hold edges in bulk.
    pub fn bulk(&self) -> &[Entity] {
        &self.bulk
    }
}

/// Which scheme advances the network.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Integrator {
    /// Fixed step: gates first, then V with the new gates, both exponential.
    #[default]
    Exponential,
    /// Adaptive Ros3, every neuron at its own step.
    Accurate,
    /// Adaptive Dormand-Prince 5(4) on directly evaluated kinetics, regulation included.
    Reference,
}

impl Integrator {
    /// Name in scenes and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Integrator::Exponential => "exponential",
            Integrator::Accurate => "accurate",
            Integrator::Reference => "reference",
        }
    }
}

/// Marker resource: some system must act every step, so each stretch is one step.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct EveryStep;

/// Marker resource: nothing but the engine acts at control ticks, so a stretch may go through them;
/// who integrates the neurons then senses, regulates and modulates them too. No bit depends on it.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct ThroughTicks;

/// Neuron-steps up to which a stretch goes through control ticks: some hundredths of a second, so
/// that nobody waits long for its end.
const LONGEST: u64 = 4_000_000;

/// How far a time may lie from a grid point and still be on the grid, in steps: the rounding of
/// decimal steps, not a licence.
const GRID_TOLERANCE: f64 = 1e-6;

/// Steps up to which every grid point is a 64-bit number of its own, told from its neighbours and
/// from points inside a step; a longer run is refused.
pub const MAX_STEPS: f64 = 1e12;

/// Model time.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    dt: f64,
    step: u64,
    /// Time inside step `step`, where a protocol entry has split it.
    split: Option<f64>,
    end: f64,
    control: f64,
    /// Control ticks passed.
    ticks: u64,
    /// Time of the last regulation.
    regulated_at: f64,
    due: bool,
}

/// A control tick inside a stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// Grid point.
    pub step: u64,
    /// Time (ms).
    pub t_ms: f64,
    /// Interval (ms) that regulation has to cover.
    pub interval: f64,
}

/// Place of a time on the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// Grid point k.
    On(u64),
    /// Inside step k, between the grid points k and k + 1.
    Inside(u64),
}

impl Clock {
    /// A clock at 0 with steps of `dt`, control ticks every `control` and an end, all in ms.
    pub fn new(dt: f64, control: f64, end: f64) -> Self {
        Clock {
            dt,
            step: 0,
            split: None,
            end,
            control,
            ticks: 0,
            regulated_at: 0.0,
            due: false,
        }
    }

    /// Step (ms).
    pub fn dt(&self) -> f64 {
        self.dt
    }

    /// Number of whole steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Model time (ms).
    pub fn now(&self) -> f64 {
        self.split.unwrap_or(self.step as f64 * self.dt)
    }

    /// Model time at which the run ends (ms).
    pub fn end(&self) -> f64 {
        self.end
    }

    /// Control interval (ms).
    pub fn control(&self) -> f64 {
        self.control
    }

    /// Has the run end at another model time (ms), not before the present one.
    pub fn set_end(&mut self, end: f64) {
        self.end = end;
    }

    /// Whether the run is over.
    pub fn finished(&self) -> bool {
        self.reached(self.end)
    }

    /// Whether regulation is due, and the interval (ms) it has to cover.
    pub fn due(&self) -> Option<f64> {
        let interval = self.now() - self.regulated_at;
        (self.due && interval > 0.0).then_some(interval)
    }

    /// Whether time `t` (ms) has come, up to the rounding of decimal steps.
    pub fn reached(&self, t: f64) -> bool {
        self.now() >= t - self.slack(t)
    }

    /// Length of time (ms) around `t` that is within the rounding of decimal steps; far out on the
    /// axis times themselves are rounded more coarsely.
    fn slack(&self, t: f64) -> f64 {
        (GRID_TOLERANCE * self.dt).max(2.0 * f64::EPSILON * t)
    }

    /// Whether two times (ms) are the same up to the rounding of decimal steps.
    pub fn coincide(&self, a: f64, b: f64) -> bool {
        (a - b).abs() <= self.slack(a.max(b))
    }

    /// Whether the present time is that of a control tick.
    pub fn on_tick(&self) -> bool {
        self.split.is_none() && self.step == self.grid_from(self.ticks as f64 * self.control)
    }

    /// Place of a time on the grid.
    pub fn place(&self, t: f64) -> Place {
        let x = t / self.dt;
        if (x - x.round()).abs() <= self.slack(t) / self.dt {
            Place::On(x.round() as u64)
        } else {
            Place::Inside(x as u64)
        }
    }

    /// First grid point at or after `t`.
    fn grid_from(&self, t: f64) -> u64 {
        match self.place(t) {
            Place::On(k) => k,
            Place::Inside(k) => k + 1,
        }
    }

    /// Grid point of control tick `k`, the one at 0 being the first.
    pub fn tick(&self, k: u64) -> u64 {
        self.grid_from(k as f64 * self.control)
    }

    /// Grid point of the next control tick.
    fn next_tick(&self) -> u64 {
        self.grid_from((self.ticks + 1) as f64 * self.control)
            .max(self.step + 1)
    }

    /// Last grid point of a stretch that may go through control ticks, with `neurons` neurons.
    fn through_ticks(&self, neurons: usize) -> u64 {
        let steps = LONGEST / neurons.max(1) as u64;
        let ticks = (self.step + steps) as f64 * self.dt / self.control;
        self.grid_from(ticks.floor() * self.control)
            .max(self.next_tick())
    }

    /// Control ticks after now and before grid point `to`.
    pub(crate) fn ticks_before(&self, to: u64) -> Vec<Tick> {
        let mut ticks: Vec<Tick> = Vec::new();
        let grid = (self.ticks + 1..).map(|k| self.grid_from(k as f64 * self.control));
        for step in grid.take_while(|step| *step < to) {
            let from = ticks.last().map_or(self.regulated_at, |tick| tick.t_ms);
            let t_ms = step as f64 * self.dt;
            // Ticks that lie closer than a step are one.
            if ticks.last().is_none_or(|tick| tick.step < step) {
                ticks.push(Tick {
                    step,
                    t_ms,
                    interval: t_ms - from,
                });
            }
        }
        ticks
    }

    /// Moves through a control tick at which regulation was done.
    pub(crate) fn go_through(&mut self, tick: &Tick) {
        self.go_to(tick.step);
        self.regulation_done();
    }

    /// Moves to a grid point.
    pub(crate) fn go_to(&mut self, step: u64) {
        self.step = step;
        self.split = None;
        while step >= self.grid_from((self.ticks + 1) as f64 * self.control) {
            self.ticks += 1;
            self.due = true;
        }
    }

    /// Moves to a time inside the present step; regulation catches up there.
    pub(crate) fn go_inside(&mut self, t: f64) {
        self.split = Some(t);
        self.due = true;
    }

    /// Asks for regulation at the present time whatever the control ticks.
    pub(crate) fn ask_for_regulation(&mut self) {
        self.due = true;
    }

    fn regulation_done(&mut self) {
        if self.due {
            self.due = false;
            self.regulated_at = self.now();
        }
    }
}

/// What the next stretch consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stretch {
    /// Whole steps up to a grid point.
    Whole {
        /// The grid point.
        to: u64,
    },
    /// Part of a step, to a time inside it.
    Part {
        /// End (ms).
        to: f64,
    },
    /// The rest of a split step.
    Rest,
}

impl Stretch {
    /// Time at which it ends (ms).
    pub fn end(self, clock: &Clock) -> f64 {
        match self {
            Stretch::Whole { to } => to as f64 * clock.dt(),
            Stretch::Part { to } => to,
            Stretch::Rest => (clock.step() + 1) as f64 * clock.dt(),
        }
    }
}

/// What may act at the control ticks of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Anything, and in every step.
    EveryStep,
    /// Anything: a stretch ends at a control tick.
    ToTick,
    /// Only the engine, in so many neurons: a stretch may go through them.
    ThroughTicks(usize),
}

/// Plans the next stretch. `protocol` is the next protocol time (ms), `observe` the next time at
/// which something is read. The end of the run, too, may lie inside a step and then splits it.
pub fn plan(clock: &Clock, protocol: Option<f64>, observe: Option<f64>, pace: Pace) -> Stretch {
    let stop = protocol.map_or(clock.end, |t| t.min(clock.end));
    if let Place::Inside(k) = clock.place(stop)
        && k == clock.step
        && stop > clock.now()
    {
        return Stretch::Part { to: stop };
    }
    if clock.split.is_some() {
        return Stretch::Rest;
    }
    let (Place::On(before_stop) | Place::Inside(before_stop)) = clock.place(stop);
    let mut to = before_stop.min(match pace {
        Pace::EveryStep => clock.step + 1,
        Pace::ToTick => clock.next_tick(),
        Pace::ThroughTicks(neurons) => clock.through_ticks(neurons),
    });
    if let Some(t) = observe {
        // Off the grid, both neighbours are read and the value is interpolated.
        let stop = match clock.place(t) {
            Place::On(k) => k,
            Place::Inside(k) if k > clock.step => k,
            Place::Inside(k) => k + 1,
        };
        to = to.min(stop);
    }
    Stretch::Whole {
        to: to.max(clock.step + 1),
    }
}

/// System: closes regulation of this stretch.
pub fn close_regulation(mut clock: ResMut<Clock>) {
    clock.regulation_done();
}

fn regulating(clock: Res<Clock>, integrator: Res<Integrator>) -> bool {
    *integrator != Integrator::Reference && clock.due().is_some()
}

/// Builds the schedule of one stretch. Ambiguous orders are errors.
pub fn schedule() -> Schedule {
    let mut schedule = Schedule::default();
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule.set_build_settings(ScheduleBuildSettings {
        ambiguity_detection: LogLevel::Error,
        ..Default::default()
    });
    use Sets::*;
    schedule.configure_sets((Protocol, Advance, Sense, Regulate, Modulate, Observe).chain());
    schedule.configure_sets((Sense, Regulate, Modulate).run_if(regulating));
    schedule.add_systems(
        (protocol::act, membrane::start_input)
            .chain()
            .in_set(Protocol),
    );
    schedule.add_systems(
        (
            channels::refresh_effective::<8>,
            channels::refresh_effective::<16>,
            channels::refresh_effective::<32>,
            coupling::compile,
            integrate::plan_stretch,
            integrate::exponential::advance.run_if(integrate::exponential_asked),
            integrate::accurate::advance.run_if(integrate::accurate_asked),
            integrate::reference::advance.run_if(integrate::reference_asked),
            integrate::finish_stretch,
            coupling::store_activations,
            observe::windows,
        )
            .chain()
            .in_set(Advance),
    );
    schedule.add_systems(calcium::sense.in_set(Sense));
    schedule.add_systems(
        (
            homeostasis::regulate::<8>,
            homeostasis::regulate::<16>,
            homeostasis::regulate::<32>,
        )
            .chain()
            .in_set(Regulate),
    );
    schedule.add_systems(
        (
            neuromodulation::modulate::<8>,
            neuromodulation::modulate::<16>,
            neuromodulation::modulate::<32>,
        )
            .chain()
            .in_set(Modulate),
    );
    schedule.add_systems(
        (
            close_regulation,
            observe::guard.run_if(not(resource_exists::<observe::Runaway>)),
            observe::sample.run_if(not(resource_exists::<observe::Runaway>)),
        )
            .chain()
            .in_set(Observe),
    );
    schedule
}
