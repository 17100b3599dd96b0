//! Many neurons of a cell type through a window, eight at a time: each takes its own steps, and
//! when one is at the end of the window the next takes its lane.

use super::control::{Adaptive, LEAST_MEMORY, LONGEST, growth, shrinkage};
use super::hermite::Hermite;
use super::plan::Plan;
use super::ros3::{self, Buffers, Start};
use crate::channels::Lane;
use crate::observe::{Armed, Detection, Spike};
use crate::schedule::NeuronIndex;
use crate::simd::{Eight, LANES, Row, Simd, Task};

/// Rejections in a row after which a neuron is given up.
const MAX_RETRIES: u32 = 40;
/// Trials per neuron and window, and per ms, after which it is given up.
const MAX_TRIALS: f64 = 1e5;
/// What a neuron brings along besides its record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    /// Its index.
    pub neuron: u32,
    /// Step control.
    pub adaptive: Adaptive,
    /// Spike detection.
    pub armed: Armed,
}

/// A point of a neuron's path: time in the window (ms), V (mV) and its rate (mV/ms).
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Time in the window (ms).
    pub t: f64,
    /// Voltage (mV).
    pub v: f64,
    /// Rate of the voltage (mV/ms).
    pub slope: f64,
}

/// A neuron that cannot go on.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Its index.
    pub neuron: u32,
    /// Time (ms).
    pub t_ms: f64,
    /// Voltage (mV) of the last trial.
    pub v: f64,
}

/// Neurons of one cell type and the window that they are taken through.
pub struct Batch<'a> {
    /// Cell type.
    pub plan: &'a Plan,
    /// Records, one after the other.
    pub records: &'a mut [f64],
    /// The neurons of the records.
    pub members: &'a mut [Member],
    /// Places of those that are advanced.
    pub list: &'a [u32],
    /// Start of the window (ms).
    pub start: f64,
    /// Its length (ms).
    pub length: f64,
    /// Tolerance.
    pub tolerance: f64,
    /// Spike detection.
    pub detection: Detection,
    /// Paths by neuron, where they are wanted.
    pub paths: Option<&'a mut [Vec<Point>]>,
    /// Spikes found.
    pub spikes: &'a mut Vec<Spike>,
    /// Neurons given up.
    pub failures: &'a mut Vec<Failure>,
}

/// What a worker needs to take neurons of a cell type along.
#[derive(Debug)]
pub struct Bench {
    buffers: Buffers,
    lanes: Lanes,
}

impl Bench {
    /// For neurons of a cell type.
    pub fn new(plan: &Plan) -> Self {
        Bench {
            buffers: Buffers::new(plan),
            lanes: Lanes::new(plan),
        }
    }
}

/// The eight neurons under way.
#[derive(Debug)]
struct Lanes {
    /// Place of each in the batch; `None`: the lane is idle.
    place: [Option<usize>; LANES],
    t: Lane<LANES>,
    h: Row,
    step: Lane<LANES>,
    before: Row,
    retries: [u32; LANES],
    trials: [u32; LANES],
    armed: [Armed; LANES],
    rows: Vec<Lane<LANES>>,
}

impl Lanes {
    fn new(plan: &Plan) -> Self {
        Lanes {
            place: [None; LANES],
            t: Lane::splat(0.0),
            h: [1e-3; LANES],
            step: Lane::splat(1e-3),
            before: [1.0; LANES],
            retries: [0; LANES],
            trials: [0; LANES],
            armed: [Armed(true); LANES],
            rows: vec![Lane::splat(0.0); plan.record()],
        }
    }

    #[inline(always)]
    fn load<S: Simd>(&mut self, simd: S, lane: usize, place: usize, batch: &Batch) {
        let n = self.rows.len();
        let record = &batch.records[place * n..(place + 1) * n];
        // Whole rows: one number written alone would hold up the next reading of its row.
        for k in 0..n {
            let row = Eight::load(simd, &self.rows[k].0);
            let with = Eight::splat(simd, record[k]).keep(1 << lane, row);
            with.store(&mut self.rows[k].0);
        }
        let member = &batch.members[place];
        self.place[lane] = Some(place);
        self.t.0[lane] = 0.0;
        self.h[lane] = member.adaptive.h;
        self.before[lane] = member.adaptive.before;
        self.armed[lane] = member.armed;
        self.retries[lane] = 0;
        self.trials[lane] = 0;
    }

    #[inline(always)]
    fn store(&self, lane: usize, place: usize, batch: &mut Batch) {
        let n = self.rows.len();
        let record = &mut batch.records[place * n..(place + 1) * n];
        for (row, x) in self.rows.iter().zip(record).take(batch.plan.first_fixed()) {
            *x = row.0[lane];
        }
        let member = &mut batch.members[place];
        member.adaptive = Adaptive {
            h: self.h[lane],
            before: self.before[lane],
        };
        member.armed = self.armed[lane];
    }
}

/// A batch to be taken through its window.
pub struct BatchSteps<'p, 'a> {
    /// Memory for it.
    pub bench: &'p mut Bench,
    /// The neurons.
    pub batch: Batch<'a>,
}

impl Task for BatchSteps<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        run(simd, self.bench, self.batch);
    }
}

/// Takes the neurons of a batch through its window.
#[inline(always)]
fn run<S: Simd>(simd: S, bench: &mut Bench, mut batch: Batch) {
    let plan = batch.plan;
    let Bench { buffers, lanes } = bench;
    let mut waiting = batch.list.iter();
    let mut busy = 0;
    for lane in 0..LANES {
        match waiting.next() {
            Some(place) => {
                lanes.load(simd, lane, *place as usize, &batch);
                busy += 1;
            }
            // An idle lane repeats the first one's start and stands still.
            None if busy > 0 => {
                lanes.load(simd, lane, batch.list[0] as usize, &batch);
                lanes.place[lane] = None;
            }
            None => return,
        }
    }
    let (variables, first_fixed) = (plan.variables(), plan.first_fixed());
    let most_trials = (MAX_TRIALS * (1.0 + batch.length)) as u32;
    while busy > 0 {
        for k in 0..LANES {
            let left = batch.length - lanes.t.0[k];
            lanes.step.0[k] = if lanes.place[k].is_none() {
                1e-3
            } else if 1.001 * lanes.h[k] >= left {
                left
            } else {
                lanes.h[k]
            };
        }
        let start = Start {
            y: &lanes.rows[..first_fixed],
            fixed: &lanes.rows[first_fixed..],
            t: &lanes.t.0,
            h: &lanes.step.0,
        };
        let error = ros3::attempt(simd, plan, start, batch.tolerance, buffers);
        let mut accepted = 0_u8;
        for k in 0..LANES {
            if lanes.place[k].is_some() && error[k] <= 1.0 {
                accepted |= 1 << k;
            }
        }
        follow(simd, lanes, accepted, buffers, &mut batch);
        for k in 0..variables {
            let next = Eight::load(simd, &buffers.next[k].0);
            let row = &mut lanes.rows[k].0;
            next.keep(accepted, Eight::load(simd, row)).store(row);
        }
        let row = &mut lanes.rows[variables].0;
        let integral = Eight::load(simd, row);
        (integral + Eight::load(simd, &buffers.integral))
            .keep(accepted, integral)
            .store(row);
        for k in 0..LANES {
            let Some(place) = lanes.place[k] else {
                continue;
            };
            let mut done = false;
            let step = lanes.step.0[k];
            if accepted >> k & 1 == 1 {
                let cut = 1.001 * lanes.h[k] >= batch.length - lanes.t.0[k];
                let factor = growth(error[k], lanes.before[k]);
                let wanted = (step * factor).min(LONGEST);
                lanes.retries[k] = 0;
                if cut {
                    // What a step cut short says of longer ones counts in its direction alone.
                    lanes.h[k] = if factor < 1.0 {
                        lanes.h[k].min(wanted)
                    } else {
                        lanes.h[k].max(wanted)
                    };
                    lanes.t.0[k] = batch.length;
                    done = true;
                } else {
                    lanes.h[k] = wanted;
                    lanes.before[k] = error[k].max(LEAST_MEMORY);
                    lanes.t.0[k] += step;
                }
            } else {
                lanes.h[k] = step * shrinkage(error[k]);
                lanes.retries[k] += 1;
            }
            lanes.trials[k] += 1;
            if lanes.retries[k] > MAX_RETRIES || lanes.trials[k] > most_trials {
                batch.failures.push(Failure {
                    neuron: batch.members[place].neuron,
                    t_ms: batch.start + lanes.t.0[k],
                    v: buffers.next[0].0[k],
                });
                done = true;
            }
            if done {
                lanes.store(k, place, &mut batch);
                match waiting.next() {
                    Some(next) => lanes.load(simd, k, *next as usize, &batch),
                    None => {
                        lanes.place[k] = None;
                        busy -= 1;
                    }
                }
            }
        }
    }
}

/// Spikes and paths of the steps that passed.
#[inline(always)]
fn follow<S: Simd>(
    simd: S,
    lanes: &mut Lanes,
    accepted: u8,
    buffers: &mut Buffers,
    batch: &mut Batch,
) {
    let mut crossing = 0_u8;
    for k in 0..LANES {
        let acts = batch.detection.acts(lanes.armed[k], buffers.next[0].0[k]);
        if accepted >> k & 1 == 1 && acts {
            crossing |= 1 << k;
        }
    }
    if crossing != 0 {
        detect(simd, lanes, crossing, buffers, batch);
    }
    if batch.paths.is_some() {
        record(lanes, accepted, buffers, batch);
    }
}

/// Appends the steps that passed to the paths.
fn record(lanes: &Lanes, accepted: u8, buffers: &Buffers, batch: &mut Batch) {
    let Some(paths) = &mut batch.paths else {
        return;
    };
    for k in 0..LANES {
        let Some(place) = lanes.place[k] else {
            continue;
        };
        if accepted >> k & 1 == 0 {
            continue;
        }
        let path = &mut paths[batch.members[place].neuron as usize];
        let (t, h, v) = (lanes.t.0[k], lanes.step.0[k], lanes.rows[0].0[k]);
        let (slope, next) = (buffers.rates[0].0[k], buffers.next[0].0[k]);
        if t == 0.0 {
            path.clear();
        } else {
            path.pop();
        }
        path.push(Point { t, v, slope });
        // The slope at the end is that of the parabola, until the next step knows better.
        path.push(Point {
            t: t + h,
            v: next,
            slope: 2.0 * (next - v) / h - slope,
        });
    }
}

/// Follows the spike detection of the lanes in `crossing` through their steps.
#[inline(always)]
fn detect<S: Simd>(
    simd: S,
    lanes: &mut Lanes,
    crossing: u8,
    buffers: &mut Buffers,
    batch: &mut Batch,
) {
    let first_fixed = batch.plan.first_fixed();
    let from = buffers.rates[0].0;
    let start = Start {
        y: &lanes.rows[..first_fixed],
        fixed: &lanes.rows[first_fixed..],
        t: &lanes.t.0,
        h: &lanes.step.0,
    };
    let to = ros3::end_slopes(simd, batch.plan, start, buffers);
    for k in 0..LANES {
        let (Some(place), true) = (lanes.place[k], crossing >> k & 1 == 1) else {
            continue;
        };
        let (before, after) = (lanes.rows[0].0[k], buffers.next[0].0[k]);
        let spiked = batch.detection.detect(&mut lanes.armed[k], before, after);
        let member = &batch.members[place];
        if spiked.is_some() {
            let h = lanes.step.0[k];
            let curve = Hermite::new(before, after, h * from[k], h * to[k]);
            let fraction = curve.crossing(batch.detection.threshold);
            batch.spikes.push(Spike {
                t_ms: batch.start + fraction.mul_add(h, lanes.t.0[k]),
                neuron: NeuronIndex(member.neuron),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::channels::CellType;
    use crate::definition::{
        CalciumPool, CellDefinition, ChannelDefinition, GateDefinition, GateKinetics, Influx,
        Reversal,
    };
    use crate::integrate::{Kernel, dispatch};
    use crate::kinetics::{Expression, Variable};

    /// A cell type with tabulated gates, one that calcium multiplies, one of V and Ca, a factor on
    /// a time constant and a Nernst potential.
    fn cell() -> CellType {
        let gate = |name: &str, power, inf: &str, tau: &str| GateDefinition {
            name: name.to_string(),
            power,
            kinetics: GateKinetics::Relaxation {
                inf: expression(inf),
                tau: expression(tau),
            },
            bridge: None,
        };
        let channel = |name: &str, reversal, carries_calcium, gates| {
            let definition = ChannelDefinition {
                name: name.to_string(),
                gates,
                scheme: None,
                reversal,
                carries_calcium,
                parameters: vec![("slow".to_string(), 1.5)],
            };
            (name.to_string(), definition)
        };
        let sodium = vec![
            gate(
                "m",
                3,
                "sigmoid((V + 25.5)/5.29)",
                "1.32 - 1.26*sigmoid((V + 120)/25)",
            ),
            gate(
                "h",
                1,
                "sigmoid(-(V + 48.9)/5.18)",
                "0.67*sigmoid((V + 62.9)/10)*(1.5 + sigmoid(-(V + 34.9)/3.6))",
            ),
        ];
        let calcium = vec![gate("m", 3, "sigmoid((V + 33)/8.1)", "3")];
        let nernst = Reversal::Nernst {
            slope: 12.243,
            outside: 3000.0,
        };
        let kca = vec![gate(
            "m",
            4,
            "Ca/(Ca + 3)*sigmoid((V + 28.3)/12.6)",
            "slow*10",
        )];
        let bk = vec![gate(
            "m",
            2,
            "sigmoid((V + 20 + 5*ln(Ca/10))/8)",
            "2 + 3/(1 + Ca/10)",
        )];
        let kd = vec![gate(
            "m",
            4,
            "sigmoid((V + 12.3)/11.8)",
            "7.2 - 6.4*sigmoid((V + 28.3)/19.2)",
        )];
        let definition = CellDefinition {
            name: "own".to_string(),
            channels: vec![
                channel("Na", Reversal::Fixed(50.0), false, sodium),
                channel("Ca", nernst, true, calcium),
                channel("KCa", Reversal::Fixed(-80.0), false, kca),
                channel("BK", Reversal::Fixed(-80.0), false, bk),
                channel("Kd", Reversal::Fixed(-80.0), false, kd),
                channel("leak", Reversal::Fixed(-50.0), false, vec![]),
            ],
            capacitance: 1.0,
            area: None,
            calcium: Some(CalciumPool {
                tau: 20.0,
                rest: 0.05,
                influx: Influx::PerDensity(0.94),
            }),
            start: Default::default(),
            dic: None,
            homeostat_reference: None,
            rhythms: vec![],
        };
        let definition = Arc::new(definition);
        let parameters = CellType::default_parameters(&definition);
        CellType::compile(&definition, &parameters, None, 0.05).expect("a cell type")
    }

    fn expression(text: &str) -> Expression {
        Expression::parse(text, &[Variable::V, Variable::Ca], &["slow"]).expect("an expression")
    }

    /// Plain arrays and the widest vectors of this processor give the same bits.
    #[test]
    fn the_bits_do_not_depend_on_the_width() {
        let cell = cell();
        let plan = Plan::new(&cell);
        let mut records = Vec::new();
        for k in 0..9 {
            let v = -62.0 + 3.0 * f64::from(k);
            let mut record = vec![0.0; plan.record()];
            (record[0], record[1]) = (v, 0.3 + 2.0 * f64::from(k));
            for (x, gate) in record[2..].iter_mut().zip(&plan.gates) {
                *x = cell.steady_gates(v, 0.3)[gate.slot][gate.lane];
            }
            let fixed = plan.first_fixed();
            record[fixed..plan.first_input()].fill(2.0);
            for (channel, g) in plan
                .channels
                .iter()
                .zip([1000.0, 5.0, 20.0, 3.0, 100.0, 0.1])
            {
                record[fixed + channel.lane] = g;
            }
            records.extend(record);
        }
        let run = |kernel: Kernel| {
            let mut records = records.clone();
            let mut members: Vec<Member> = (0..9)
                .map(|neuron| Member {
                    neuron,
                    adaptive: Adaptive::default(),
                    armed: Armed(true),
                })
                .collect();
            let (mut spikes, mut failures) = (Vec::new(), Vec::new());
            let list: Vec<u32> = (0..9).collect();
            let batch = Batch {
                plan: &plan,
                records: &mut records,
                members: &mut members,
                list: &list,
                start: 0.0,
                length: 20.0,
                tolerance: 1e-4,
                detection: Detection::default(),
                paths: None,
                spikes: &mut spikes,
                failures: &mut failures,
            };
            let bench = &mut Bench::new(&plan);
            dispatch::run(kernel, BatchSteps { bench, batch });
            assert!(failures.is_empty());
            let bits: Vec<u64> = records.iter().map(|x| x.to_bits()).collect();
            (bits, members, spikes)
        };
        let portable = run(Kernel::Portable);
        assert!(!portable.2.is_empty());
        for kernel in Kernel::ALL.into_iter().filter(|k| k.available()) {
            assert_eq!(portable, run(kernel), "{kernel:?}");
        }
    }
}
