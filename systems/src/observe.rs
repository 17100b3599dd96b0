//! Observation: spikes, samples, mean calcium of windows, and the guard against numbers that go
//! wrong. Nothing here acts on the network.

use std::cell::LazyCell;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::address::{Address, read};
use crate::calcium::{Calcium, CalciumIntegral};
use crate::channels::{CellType, CellTypeId, CellTypes};
use crate::membrane::Voltage;
use crate::schedule::{Clock, NeuronIndex, Neurons, Place};

/// Whether a crossing of the threshold would be a spike.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Armed(pub bool);

/// A spike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// Time (ms), interpolated.
    pub t_ms: f64,
    /// Neuron.
    pub neuron: NeuronIndex,
}

/// Spikes so far, by time, then by neuron.
#[derive(Resource, Clone, Debug, Default)]
pub struct Spikes {
    /// The spikes.
    pub list: Vec<Spike>,
}

/// Spike detection: an upward crossing of the threshold, linearly interpolated, re-armed below a
/// lower voltage. A cell that starts above the threshold has not spiked.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Threshold (mV).
    pub threshold: f64,
    /// Voltage below which detection is armed again (mV).
    pub rearm: f64,
}

impl Default for Detection {
    fn default() -> Self {
        Detection {
            threshold: 10.0,
            rearm: 0.0,
        }
    }
}

impl Detection {
    /// Arming of a cell that starts, or is put, at `v` (mV).
    pub fn arming(&self, v: f64) -> Armed {
        Armed(v <= self.threshold)
    }

    /// Whether a new voltage changes anything: a spike or a re-arming.
    #[inline(always)]
    pub fn acts(&self, armed: Armed, v: f64) -> bool {
        if armed.0 {
            v > self.threshold
        } else {
            v < self.rearm
        }
    }

    /// Follows a step from `before` to `after` (mV); for a spike, the fraction of the step at
    /// which it crossed.
    #[inline(always)]
    pub fn detect(&self, armed: &mut Armed, before: f64, after: f64) -> Option<f64> {
        if !self.acts(*armed, after) {
            return None;
        }
        armed.0 = !armed.0;
        // Disarmed now: it was a crossing.
        (!armed.0).then(|| ((self.threshold - before) / (after - before)).clamp(0.0, 1.0))
    }
}

/// A request to read scalars at regular times.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// What is read.
    pub addresses: Vec<Address>,
    /// Interval (ms); sample k lies at k times this.
    pub every: f64,
    /// Rows not yet taken away: time (ms) and values in the order of `addresses`.
    pub rows: Vec<(f64, Vec<f64>)>,
    /// Number of rows so far, those taken away included.
    taken: u64,
    /// Values at the last time read before a sample time off the grid.
    before: Option<(f64, Vec<f64>)>,
}

impl Sampler {
    /// Reads `addresses` every `every` ms (above 0), the first time at 0.
    pub fn new(addresses: Vec<Address>, every: f64) -> Self {
        Sampler {
            addresses,
            every,
            rows: Vec::new(),
            taken: 0,
            before: None,
        }
    }

    /// Time of the next row (ms).
    fn due(&self) -> f64 {
        self.taken as f64 * self.every
    }

    /// Begins after what is due by now, which somebody else has taken.
    fn resume(&mut self, world: &World, clock: &Clock) {
        self.rows.clear();
        self.taken = (clock.now() / self.every) as u64;
        while self.taken > 0 && !clock.reached((self.taken - 1) as f64 * self.every) {
            self.taken -= 1;
        }
        while clock.reached(self.due()) {
            self.taken += 1;
        }
        self.before = None;
        if clock.place(self.due()) == Place::Inside(clock.step()) {
            let addresses = self.addresses.iter();
            let values = addresses.map(|a| read(world, *a).unwrap_or(f64::NAN));
            self.before = Some((clock.now(), values.collect()));
        }
    }

    /// Takes what is due by now and not beyond the end of the run; off the grid, what was there is
    /// interpolated between the ends of the step, or of the part of it.
    fn read(&mut self, world: &World, clock: &Clock) {
        let addresses = &self.addresses;
        let here = || -> Vec<f64> {
            let values = addresses.iter();
            values
                .map(|a| read(world, *a).unwrap_or(f64::NAN))
                .collect()
        };
        let (now, values) = (clock.now(), LazyCell::new(here));
        let mut t = self.due();
        while clock.reached(t) && (t <= clock.end() || clock.coincide(t, clock.end())) {
            let row = match (&self.before, clock.place(t)) {
                (Some((from, before)), Place::Inside(_)) if *from < t && t < now => {
                    let weight = (t - from) / (now - from);
                    let mix = |(a, b): (&f64, &f64)| (b - a).mul_add(weight, *a);
                    before.iter().zip(&*values).map(mix).collect()
                }
                _ => values.clone(),
            };
            self.rows.push((t, row));
            self.taken += 1;
            t = self.due();
        }
        let before = clock.place(t) == Place::Inside(clock.step());
        self.before = before.then(|| (now, values.clone()));
    }
}

/// A window over which mean calcium is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowMean {
    /// Start (ms).
    pub from: f64,
    /// End (ms).
    pub to: f64,
    /// Integral of calcium (µM ms) by neuron from the start of the run to that of the window.
    start: Vec<f64>,
    /// The same to the end of the window, or until now.
    until: Vec<f64>,
}

impl WindowMean {
    /// Mean calcium (µM) of a neuron from the start of the window to its end, or to `now` (ms).
    pub fn mean(&self, neuron: usize, now: f64) -> Option<f64> {
        let length = self.to.min(now) - self.from;
        let (start, until) = (self.start.get(neuron)?, self.until.get(neuron)?);
        Some((until - start) / length)
    }
}

/// All requests for observation.
#[derive(Resource, Clone, Debug, Default)]
pub struct Observers {
    /// Samplers.
    pub samplers: Vec<Sampler>,
    /// Windows.
    pub windows: Vec<WindowMean>,
    /// Other times (ms) at which a stretch ends.
    pub stops: Vec<f64>,
    /// End of the last stretch (ms) and each neuron's calcium integral from the start to there.
    last: (f64, Vec<f64>),
}

impl Observers {
    /// Adds a window [from, to) (ms).
    pub fn window(&mut self, from: f64, to: f64) {
        self.windows.push(WindowMean {
            from,
            to,
            start: Vec::new(),
            until: Vec::new(),
        });
    }

    /// Windows [from, to) (ms) from now on, in this order; what is known of those that were followed
    /// before is kept. Of one that began unseen nothing is known.
    pub fn follow(&mut self, windows: impl IntoIterator<Item = (f64, f64)>) {
        let known = std::mem::take(&mut self.windows);
        for (from, to) in windows {
            match known.iter().find(|w| (w.from, w.to) == (from, to)) {
                Some(window) => self.windows.push(window.clone()),
                None => self.window(from, to),
            }
        }
    }

    /// Goes on at the present time: samplers begin with what is due after it, windows are those
    /// given.
    pub(crate) fn resume(&mut self, world: &World, windows: &[WindowMean]) {
        let clock = world.resource::<Clock>();
        for sampler in &mut self.samplers {
            sampler.resume(world, clock);
        }
        self.windows = windows.to_vec();
        let neurons = world.resource::<Neurons>();
        let integral = |k| world.get::<CalciumIntegral>(neurons.entity(k));
        let integrals = (0..neurons.len()).map(|k| integral(k).map_or(0.0, |i| i.total()));
        self.last = (clock.now(), integrals.collect());
    }

    /// Next time after now at which something is read (ms).
    pub fn next_time(&self, clock: &Clock) -> Option<f64> {
        let now = clock.now();
        let samples = self.samplers.iter().map(Sampler::due);
        let edges = self.windows.iter().flat_map(|w| [w.from, w.to]);
        samples
            .chain(edges)
            .chain(self.stops.iter().copied())
            .filter(|t| *t > now && !clock.reached(*t))
            .min_by(f64::total_cmp)
    }
}

/// System: takes the samples that are due.
pub fn sample(world: &mut World) {
    world.resource_scope(|world, mut observers: Mut<Observers>| {
        let clock = world.resource::<Clock>();
        for sampler in &mut observers.samplers {
            sampler.read(world, clock);
        }
    });
}

/// System: follows the calcium integral through every open window.
pub fn windows(
    clock: Res<Clock>,
    neurons: Res<Neurons>,
    calcium: Query<(&NeuronIndex, &CalciumIntegral)>,
    mut observers: ResMut<Observers>,
) {
    let Observers {
        windows,
        last: (start, seen),
        ..
    } = &mut *observers;
    let (from, to) = (*start, clock.now());
    *start = to;
    // A window that begins inside the next step needs the integral of this one's end.
    if !windows
        .iter()
        .any(|w| w.from < to + clock.dt() && w.to > from)
    {
        return;
    }
    seen.resize(neurons.len(), 0.0);
    for (index, integral) in &calcium {
        let k = index.0 as usize;
        let (before, now) = (seen[k], integral.total());
        seen[k] = now;
        // Inside a step, the integral grows evenly.
        let share = |t: f64| ((t - from) / (to - from)).clamp(0.0, 1.0);
        // At its end it is what it is, wherever the stretch began.
        let at = |t: f64| match t >= to {
            true => now,
            false => (now - before).mul_add(share(t), before),
        };
        for window in windows.iter_mut() {
            if to.min(window.to) > from.max(window.from) {
                if window.from >= from {
                    window.start.resize(neurons.len(), 0.0);
                    window.start[k] = at(window.from);
                }
                window.until.resize(neurons.len(), 0.0);
                window.until[k] = at(window.to.min(to));
            }
        }
    }
}

/// A network that went wrong.
#[derive(Resource, Clone, Debug, PartialEq, thiserror::Error)]
#[error("{variable} of cell `{cell}` is {value} at t = {t_ms} ms: {why}")]
pub struct Runaway {
    /// Name of the cell.
    pub cell: String,
    /// `V` or `Ca`.
    pub variable: &'static str,
    /// Its value.
    pub value: f64,
    /// Model time (ms).
    pub t_ms: f64,
    /// What is wrong with that.
    pub why: &'static str,
}

impl Runaway {
    /// What is wrong with a value that is not finite or no cell's.
    pub const SENSELESS: &'static str = "the run has left all sense";

    /// What went wrong with a neuron at a time (ms).
    pub fn new(neurons: &Neurons, index: NeuronIndex, t_ms: f64, wrong: Wrong) -> Self {
        let (variable, value, why) = wrong;
        Runaway {
            cell: neurons.name(index.0 as usize).to_string(),
            variable,
            value,
            t_ms,
            why,
        }
    }
}

/// Voltages beyond this (mV) are no membrane's.
const V_LIMIT: f64 = 1e4;
/// Calcium beyond this (µM) is no cell's.
const CA_LIMIT: f64 = 1e9;

/// A variable, its value and what is wrong with it.
pub type Wrong = (&'static str, f64, &'static str);

/// What of V (mV) and Ca (µM) of a cell is not finite or beyond all sense, or calcium of which a
/// Nernst potential has no logarithm.
#[inline]
pub fn wrong(cell: &CellType, v: f64, ca: f64) -> Option<Wrong> {
    let senseless = |x: f64, limit: f64| !x.is_finite() || x.abs() > limit;
    if senseless(v, V_LIMIT) {
        Some(("V", v, Runaway::SENSELESS))
    } else if senseless(ca, CA_LIMIT) {
        Some(("Ca", ca, Runaway::SENSELESS))
    } else if ca <= 0.0 && cell.has_nernst {
        let why = "the Nernst potential of the cell has no value there";
        Some(("Ca", ca, why))
    } else {
        None
    }
}

/// System: looks at every cell for what is [`wrong`].
pub fn guard(
    clock: Res<Clock>,
    neurons: Res<Neurons>,
    types: Res<CellTypes>,
    state: Query<(&NeuronIndex, &CellTypeId, &Voltage, &Calcium)>,
    mut commands: Commands,
) {
    let found = state.iter().filter_map(|(index, id, v, ca)| {
        let wrong = wrong(types.get(*id), v.0, ca.0)?;
        Some((*index, wrong))
    });
    if let Some((index, wrong)) = found.min_by_key(|(index, _)| *index) {
        commands.insert_resource(Runaway::new(&neurons, index, clock.now(), wrong));
    }
}
