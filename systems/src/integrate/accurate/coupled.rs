//! A coupled network through a window: inside it every neuron goes alone, and feels its partners
//! by conductances and currents that are parabolas of time.
//!
//! In a first pass the partners' voltages are extrapolated from the end of the window before.
//! Whoever felt something else than its partners then did goes through the window again, with the
//! paths that they took, until what it feels settles: most windows need one pass, a spike behind a
//! gap junction two or three. A synapse's s is moved along the true path of its presynaptic
//! voltage.

use super::hermite::Hermite;
use super::lanes::{Batch, BatchSteps, Bench, Failure, Member, Point};
use super::plan::{INPUT, Plan, rate};
use crate::coupling::{Coupling, Kinds};
use crate::integrate::{Kernel, dispatch};
use crate::math;
use crate::membrane::Input;
use crate::observe::{Detection, Spike};
use crate::simd::{Simd, Task};
use crate::table::{FROM, TO, mix};

/// Longest window (ms). What a parabola misses of a spike behind a gap junction moves spikes by
/// 0.002 ms over 1 s, whatever the tolerance; by 0.0003 ms with 0.1 ms, 0.004 ms with 0.5 ms. The
/// number of steps is least near 0.2 ms: shorter windows cut steps, longer ones repeat more of them.
pub const WINDOW: f64 = 0.2;
/// Sum of a cell's gap conductances times window/C from which the window is shortened, so that
/// what a cell feels settles within the passes.
const GAP_LIMIT: f64 = 0.1;
/// How far a voltage is extrapolated at most (mV).
const FARTHEST: f64 = 20.0;
/// Change of V over the window (mV), per tolerance, that what a cell did not feel may make up: as
/// much as the error test lets a step err at rest. A tenth of it costs a fifth more and changes no
/// spike of the fixtures by more than 0.002 ms.
const UNFELT: f64 = 10.0;
/// Passes through a window at most.
const PASSES: usize = 4;

/// Neurons of one cell type.
#[derive(Debug, Default)]
pub struct Group {
    /// Records, one after the other.
    pub records: Vec<f64>,
    /// Their neurons.
    pub members: Vec<Member>,
    /// All places.
    pub all: Vec<u32>,
    /// Buffers of each worker.
    pub benches: Vec<Bench>,
    /// Records and members at the start of a window.
    before: (Vec<f64>, Vec<Member>),
    /// Places of those that go through a window again.
    again: Vec<u32>,
}

/// Points per mV of a [`SiteTable`]: a graded synapse may have a kink.
const PER_MV: f64 = 20.0;

/// Steady state and 1/tau of a synapse kind over V_pre, read linearly.
#[derive(Debug)]
pub struct SiteTable {
    points: Vec<[f64; 2]>,
}

impl SiteTable {
    /// Samples a kind.
    pub fn new(kinds: &Kinds, kind: u32) -> Self {
        let kind = kinds.get(kind);
        let points: Vec<[f64; 2]> = (0..=((TO - FROM) * PER_MV) as u32)
            .map(|k| {
                let (inf, tau) = kind.gate((f64::from(k) + FROM * PER_MV) / PER_MV);
                [inf, rate(tau)]
            })
            .collect();
        SiteTable { points }
    }

    /// Steady state and rate at `v` (mV).
    #[inline(always)]
    fn at(&self, v: f64) -> [f64; 2] {
        let last = self.points.len() - 1;
        let x = ((v - FROM) * PER_MV).max(0.0).min(last as f64);
        let bin = (x as i32 as usize).min(last - 1);
        let weight = x - bin as f64;
        let [low, high] = [self.points[bin], self.points[bin + 1]];
        [0, 1].map(|k| mix(low[k], high[k], weight))
    }
}

/// Scratch of a coupled network, by neuron.
#[derive(Debug, Default)]
pub struct Signals {
    /// Rate of V (mV/ms) at the end of the last window; lent by [`super::Accurate`] for a stretch.
    pub slope: Vec<f64>,
    /// V at the start, in the middle and at the end of a window.
    voltage: [Vec<f64>; 3],
    /// What is felt then, and what a pass has reckoned with.
    input: [Vec<Input>; 3],
    felt: [Vec<Input>; 3],
    paths: Vec<Vec<Point>>,
    /// Whether a neuron takes part in a pass.
    moves: Vec<bool>,
    /// s of each site at the start, in the middle and at the end.
    s: Vec<[f64; 3]>,
}

/// A coupled network and the stretch that it is taken through.
pub struct Network<'a> {
    /// Cell types.
    pub plans: &'a [Plan],
    /// Neurons, by cell type.
    pub groups: &'a mut [Group],
    /// Number of neurons.
    pub neurons: usize,
    /// Synapse kinds.
    pub sites: &'a [Option<SiteTable>],
    /// Coupling.
    pub coupling: &'a mut Coupling,
    /// Kinds.
    pub kinds: &'a Kinds,
    /// Scratch.
    pub signals: &'a mut Signals,
    /// Vector width.
    pub kernel: Kernel,
    /// Tolerance.
    pub tolerance: f64,
    /// Spike detection.
    pub detection: Detection,
    /// Spikes found.
    pub spikes: &'a mut Vec<Spike>,
    /// Neurons given up.
    pub failures: &'a mut Vec<Failure>,
}

/// A network to be taken from `from` to `to` (ms).
pub struct NetworkSteps<'p, 'a> {
    /// The network.
    pub network: &'p mut Network<'a>,
    /// Start (ms).
    pub from: f64,
    /// End (ms).
    pub to: f64,
}

impl Task for NetworkSteps<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        self.network.run(self.from, self.to);
    }
}

impl Signals {
    fn fit(&mut self, n: usize) {
        self.slope.resize(n, 0.0);
        self.paths.resize(n, Vec::new());
        self.moves.resize(n, true);
        for voltage in &mut self.voltage {
            voltage.resize(n, 0.0);
        }
        for input in self.input.iter_mut().chain(&mut self.felt) {
            input.resize(n, Input::default());
        }
    }
}

impl Network<'_> {
    /// Takes the network from `from` to `to` (ms).
    #[inline(always)]
    fn run(&mut self, from: f64, to: f64) {
        let neurons = self.neurons;
        self.signals.fit(neurons);
        self.publish();
        let longest = self.longest_window();
        let count = ((to - from) / longest - 1e-9).ceil().max(1.0);
        for k in 0..count as usize {
            // Multiples of a part, never a running sum.
            let at = |k: usize| (to - from).mul_add(k as f64 / count, from);
            let (start, end) = (
                at(k),
                if k + 1 == count as usize {
                    to
                } else {
                    at(k + 1)
                },
            );
            self.window(start, end - start);
            if !self.failures.is_empty() {
                return;
            }
        }
    }

    /// Voltages at the start of a window.
    #[inline(always)]
    fn publish(&mut self) {
        for (group, plan) in self.groups.iter().zip(self.plans) {
            let records = group.records.chunks_exact(plan.record());
            for (record, member) in records.zip(&group.members) {
                self.signals.voltage[0][member.neuron as usize] = record[0];
            }
        }
    }

    /// The longest window in which what a cell feels settles.
    #[inline(always)]
    fn longest_window(&self) -> f64 {
        let mut longest = WINDOW;
        let voltage = &self.signals.voltage[0];
        for (group, plan) in self.groups.iter().zip(self.plans) {
            for member in &group.members {
                let neuron = member.neuron as usize;
                let junctions = self.coupling.electrical_into(neuron).iter();
                let total: f64 = junctions.map(|j| j.conductance(self.kinds, voltage)).sum();
                if total > 0.0 {
                    longest = longest.min(GAP_LIMIT * plan.capacitance / total);
                }
            }
        }
        longest
    }

    #[inline(always)]
    fn window(&mut self, start: f64, length: f64) {
        let first = self.spikes.len();
        for group in &mut *self.groups {
            group.before.0.clone_from(&group.records);
            group.before.1.clone_from(&group.members);
            group.again.clone_from(&group.all);
        }
        self.signals.moves.fill(true);
        self.extrapolate(length);
        self.gather();
        for pass in 1..=PASSES {
            self.feel(length);
            self.advance(start, length);
            self.take_paths(length);
            if pass == PASSES || !self.failures.is_empty() {
                break;
            }
            self.gather();
            if !self.go_back(length) {
                break;
            }
            let moves = &self.signals.moves;
            let found = self.spikes.split_off(first);
            let stand = |spike: &Spike| !moves[spike.neuron.0 as usize];
            self.spikes.extend(found.into_iter().filter(stand));
        }
        let signals = &mut *self.signals;
        for (site, s) in self.coupling.sites.iter_mut().zip(&signals.s) {
            site.s = s[2];
        }
        for (neuron, path) in signals.paths.iter().enumerate() {
            if let Some(end) = path.last() {
                signals.slope[neuron] = end.slope;
                signals.voltage[0][neuron] = end.v;
            }
        }
    }

    /// Puts those that felt something else than there was back to the start of the window; false:
    /// there are none.
    #[inline(always)]
    fn go_back(&mut self, length: f64) -> bool {
        let signals = &mut *self.signals;
        signals.moves.fill(false);
        let mut any = false;
        for (group, plan) in self.groups.iter_mut().zip(self.plans) {
            group.again.clear();
            let limit = UNFELT * self.tolerance * plan.capacitance / length;
            for (place, member) in group.members.iter_mut().enumerate() {
                let neuron = member.neuron as usize;
                let unfelt = |k: usize| {
                    let (new, old) = (signals.input[k][neuron], signals.felt[k][neuron]);
                    let v = signals.voltage[k][neuron];
                    let current = new.current - old.current;
                    (current - v * (new.conductance - old.conductance)).abs()
                };
                // Simpson's rule; at the start nothing differs.
                if (4.0 * unfelt(1) + unfelt(2)) / 6.0 <= limit {
                    continue;
                }
                any = true;
                signals.moves[neuron] = true;
                group.again.push(place as u32);
                *member = group.before.1[place];
                let n = plan.record();
                let state = place * n..place * n + plan.first_fixed();
                group.records[state.clone()].copy_from_slice(&group.before.0[state]);
            }
        }
        any
    }

    /// Voltages and activations as they would go on.
    #[inline(always)]
    fn extrapolate(&mut self, length: f64) {
        let signals = &mut *self.signals;
        for neuron in 0..signals.slope.len() {
            let v = signals.voltage[0][neuron];
            let change = (signals.slope[neuron] * length).clamp(-FARTHEST, FARTHEST);
            signals.voltage[1][neuron] = 0.5_f64.mul_add(change, v);
            signals.voltage[2][neuron] = v + change;
        }
        signals.s.clear();
        for site in &self.coupling.sites {
            let Some(table) = &self.sites[site.kind as usize] else {
                continue;
            };
            let [v0, v1, v2] = [0, 1, 2].map(|k| signals.voltage[k][site.pre as usize]);
            let [a, b, c] = [v0, v1, v2].map(|v| table.at(v));
            let middle = relax(site.s, a, b, 0.5 * length);
            let end = relax(middle, b, c, 0.5 * length);
            signals.s.push([site.s, middle, end]);
        }
    }

    /// Voltages and activations along the paths of those that moved.
    #[inline(always)]
    fn take_paths(&mut self, length: f64) {
        let signals = &mut *self.signals;
        for (neuron, path) in signals.paths.iter().enumerate() {
            let (Some(first), Some(last)) = (path.first(), path.last()) else {
                continue;
            };
            if signals.moves[neuron] {
                // The middle is such that the parabola has the mean of the path: no charge is lost.
                let mean = integral(path) / length;
                signals.voltage[1][neuron] = 0.25 * (6.0 * mean - first.v - last.v);
                signals.voltage[2][neuron] = last.v;
            }
        }
        for (site, s) in self.coupling.sites.iter().zip(&mut signals.s) {
            let pre = site.pre as usize;
            let Some(table) = &self.sites[site.kind as usize] else {
                continue;
            };
            if signals.moves[pre] {
                *s = follow(table, &signals.paths[pre], s[0], 0.5 * length);
            }
        }
    }

    /// What each neuron feels at the start, in the middle and at the end.
    #[inline(always)]
    fn gather(&mut self) {
        let signals = &mut *self.signals;
        for k in 0..3 {
            for (site, s) in self.coupling.sites.iter_mut().zip(&signals.s) {
                site.s = s[k];
            }
            let voltage = &signals.voltage[k];
            self.coupling
                .gather(self.kinds, voltage, &mut signals.input[k]);
        }
    }

    /// Writes what those that move feel into their records.
    #[inline(always)]
    fn feel(&mut self, length: f64) {
        let signals = &mut *self.signals;
        for (group, plan) in self.groups.iter_mut().zip(self.plans) {
            let (n, first) = (plan.record(), plan.first_input());
            for &place in &group.again {
                let neuron = group.members[place as usize].neuron as usize;
                let record = &mut group.records[place as usize * n..][..n];
                let held = [record[first + INPUT], record[first + INPUT + 1]];
                let mut nodes = [[0.0; 3]; 2];
                for k in 0..3 {
                    let input = signals.input[k][neuron];
                    signals.felt[k][neuron] = input;
                    nodes[0][k] = input.conductance + held[0];
                    nodes[1][k] = input.current + held[1];
                }
                record[first..first + 3].copy_from_slice(&parabola(nodes[0], length));
                record[first + 3..first + 6].copy_from_slice(&parabola(nodes[1], length));
            }
        }
    }

    /// Takes those that move through the window.
    #[inline(always)]
    fn advance(&mut self, start: f64, length: f64) {
        for (group, plan) in self.groups.iter_mut().zip(self.plans) {
            if group.again.is_empty() {
                continue;
            }
            if group.benches.is_empty() {
                group.benches.push(Bench::new(plan));
            }
            let batch = Batch {
                plan,
                records: &mut group.records,
                members: &mut group.members,
                list: &group.again,
                start,
                length,
                tolerance: self.tolerance,
                detection: self.detection,
                paths: Some(&mut self.signals.paths),
                spikes: self.spikes,
                failures: self.failures,
            };
            let bench = &mut group.benches[0];
            dispatch::run(self.kernel, BatchSteps { bench, batch });
        }
    }
}

/// Coefficients of the parabola through values at the start, in the middle and at the end.
#[inline(always)]
fn parabola([a, b, c]: [f64; 3], length: f64) -> [f64; 3] {
    [
        a,
        (4.0 * b - 3.0 * a - c) / length,
        2.0 * (a - 2.0 * b + c) / (length * length),
    ]
}

/// Integral of V over a path (mV ms).
#[inline(always)]
fn integral(path: &[Point]) -> f64 {
    let mut sum = 0.0;
    for pair in path.windows(2) {
        let [a, b] = [pair[0], pair[1]];
        let h = b.t - a.t;
        sum += h * (0.5 * (a.v + b.v) + h / 12.0 * (a.slope - b.slope));
    }
    sum
}

/// s after `h` ms in which its steady state moves evenly from that of `a` to that of `b`, (steady
/// state, rate) both.
#[inline(always)]
fn relax(s: f64, a: [f64; 2], b: [f64; 2], h: f64) -> f64 {
    let z = 0.5 * (a[1] + b[1]) * h;
    let mean_decay = math::relative_decay(z);
    let kept = (-z).mul_add(mean_decay, 1.0);
    kept.mul_add(s - a[0], b[0]) - (b[0] - a[0]) * mean_decay
}

/// s along a path: at its start, at `middle` (ms) and at its end.
#[inline(always)]
fn follow(table: &SiteTable, path: &[Point], s: f64, middle: f64) -> [f64; 3] {
    let start = s;
    let (mut s, mut at_middle) = (s, s);
    let Some(first) = path.first() else {
        return [s; 3];
    };
    let mut a = table.at(first.v);
    for pair in path.windows(2) {
        let [from, to] = [pair[0], pair[1]];
        let h = to.t - from.t;
        let half = Hermite::new(from.v, to.v, h * from.slope, h * to.slope).at(0.5);
        let [b, c] = [half, to.v].map(|v| table.at(v));
        let before = s;
        s = relax(relax(s, a, b, 0.5 * h), b, c, 0.5 * h);
        if from.t <= middle && middle < to.t {
            at_middle = (s - before).mul_add((middle - from.t) / h, before);
        }
        a = c;
    }
    [start, at_middle, s]
}
