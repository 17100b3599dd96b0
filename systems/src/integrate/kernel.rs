//! The step of the fixed-step scheme over runs of rows of one cell type, at most eight at a time.
//!
//! First the gates of all rows move (steady states and decays from the table at the old V, or
//! evaluated directly), and their products with the conductances are summed by a fixed tree; then
//! V and Ca of the rows move together. All code is generic over the lane width and inlined into
//! the entry points of [`super::dispatch`], which give it the processor's vector width; fused
//! operations make the bits independent of that.

use std::ops::Range;

use super::columns::Columns;
use crate::calcium;
use crate::channels::{BLOCK, CellType, CellTypes, Gate, Lane};
use crate::coupling::{Coupling, Kinds};
use crate::kinetics::{Lanes, Program, Variables};
use crate::math;
use crate::membrane::{self, Input};
use crate::observe::{Detection, Spike};
use crate::table::mix;

/// How a step finds gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinetics {
    /// From the tables of the grid's step.
    Tables,
    /// Directly, for parts of a step.
    Direct,
}

/// A step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Length (ms).
    pub dt: f64,
    /// Start (ms).
    pub start: f64,
    /// How gates are found.
    pub kinetics: Kinetics,
    /// Spike detection.
    pub detection: Detection,
}

/// A cell type as the kernel of lane width `W` reads it.
pub struct KernelType<'a, const W: usize> {
    cell: &'a CellType,
    reversal: Lane<W>,
    carries: Lane<W>,
    /// Bits 0, 1, 2 of the exponents as masks, by slot.
    powers: [[[u64; W]; 3]; 2],
    scaled: Vec<&'a Gate>,
    calcium: Vec<(&'a Gate, &'a Program)>,
    direct: Vec<&'a Gate>,
    calcium_decay: f64,
}

impl<'a, const W: usize> KernelType<'a, W> {
    /// Reads a cell type for steps like `step`.
    pub fn new(cell: &'a CellType, step: &Step) -> Self {
        let tables = step.kinetics == Kinetics::Tables;
        let mask = |slot: usize, bit: u32| {
            std::array::from_fn(|k| if cell.powers[slot][k] >> bit & 1 == 1 { u64::MAX } else { 0 })
        };
        let lane = |values: &[f64]| Lane(std::array::from_fn(|k| values[k]));
        KernelType {
            reversal: lane(&cell.reversal),
            carries: lane(&cell.carries_calcium),
            powers: std::array::from_fn(|slot| std::array::from_fn(|bit| mask(slot, bit as u32))),
            scaled: if tables { cell.scaled_gates().collect() } else { Vec::new() },
            calcium: if tables { cell.calcium_gates().collect() } else { Vec::new() },
            direct: if tables { cell.direct_gates().collect() } else { cell.gates.iter().collect() },
            calcium_decay: cell.pool.map_or(1.0, |pool| math::exp(-step.dt / pool.tau)),
            cell,
        }
    }
}

/// The cell types of a world for the kernel of width `W`; `None` for types of another width.
pub fn kernel_types<'a, const W: usize>(
    types: &'a CellTypes,
    step: &Step,
) -> Vec<Option<KernelType<'a, W>>> {
    types.iter().map(|t| (t.width == W).then(|| KernelType::new(t, step))).collect()
}

/// Sums over the lanes of up to eight rows after their gates have moved.
#[derive(Clone, Copy)]
pub struct Sums {
    g: [f64; BLOCK],
    ge: [f64; BLOCK],
    influx_g: [f64; BLOCK],
    influx_ge: [f64; BLOCK],
}

/// Sum of all lanes, always by the same tree: halves onto halves.
#[inline(always)]
fn tree<const W: usize>(mut x: [f64; W]) -> f64 {
    let mut width = W;
    while width > 1 {
        width /= 2;
        for k in 0..width {
            x[k] += x[k + width];
        }
    }
    x[0]
}

/// x where the mask is set, else 1.
#[inline(always)]
fn or_one(mask: u64, x: f64) -> f64 {
    f64::from_bits((x.to_bits() & mask) | (1.0f64.to_bits() & !mask))
}

#[inline(always)]
fn raise<const W: usize>(x: &[f64; W], masks: &[[u64; W]; 3]) -> [f64; W] {
    std::array::from_fn(|k| {
        let x2 = x[k] * x[k];
        let x4 = x2 * x2;
        or_one(masks[0][k], x[k]) * or_one(masks[1][k], x2) * or_one(masks[2][k], x4)
    })
}

/// Steady states and decays of a run's gates: row by slot by lane.
struct Targets<const W: usize> {
    inf: [[[f64; W]; 2]; BLOCK],
    decay: [[[f64; W]; 2]; BLOCK],
}

/// V and Ca of a run, the last row repeated to fill the block.
#[inline(always)]
fn load<const W: usize>(columns: &Columns<W>, rows: &Range<usize>) -> ([f64; BLOCK], [f64; BLOCK]) {
    let row = |k: usize| (rows.start + k).min(rows.end - 1);
    (
        std::array::from_fn(|k| columns.voltage[row(k)].0),
        std::array::from_fn(|k| columns.calcium[row(k)].0),
    )
}

#[inline(always)]
fn targets<const W: usize>(
    columns: &Columns<W>,
    rows: &Range<usize>,
    ty: &KernelType<W>,
    step: &Step,
) -> Targets<W> {
    let n = rows.len();
    let (v, ca) = load(columns, rows);
    let mut t = Targets { inf: [[[1.0; W]; 2]; BLOCK], decay: [[[0.0; W]; 2]; BLOCK] };
    if step.kinetics == Kinetics::Tables {
        let mut exponents = [[0.0; BLOCK]; 4];
        for k in 0..n {
            let (low, high, weight) = ty.cell.table.locate(v[k]);
            for slot in 0..2 {
                let first = 2 * slot * W;
                let (inf_low, inf_high) = (&low[first..first + W], &high[first..first + W]);
                let (dec_low, dec_high) =
                    (&low[first + W..first + 2 * W], &high[first + W..first + 2 * W]);
                for lane in 0..W {
                    t.inf[k][slot][lane] = mix(inf_low[lane], inf_high[lane], weight);
                    t.decay[k][slot][lane] = mix(dec_low[lane], dec_high[lane], weight);
                }
            }
            for (j, exponent) in exponents.iter_mut().enumerate().take(ty.scaled.len().min(4)) {
                exponent[k] = mix(low[4 * W + j], high[4 * W + j], weight);
            }
        }
        for (j, gate) in ty.scaled.iter().enumerate() {
            let (slot, lane) = (gate.slot as usize, gate.lane);
            let mut z = [0.0; BLOCK];
            for k in 0..n {
                let exponent = if j < 4 {
                    exponents[j][k]
                } else {
                    let (low, high, weight) = ty.cell.table.locate(v[k]);
                    mix(low[4 * W + j], high[4 * W + j], weight)
                };
                z[k] = exponent * columns.rate[rows.start + k].0[slot].0[lane];
            }
            let decay = math::exp_lanes(z);
            for k in 0..n {
                t.decay[k][slot][lane] = decay[k];
            }
        }
        for (gate, factor) in &ty.calcium {
            let factor = factor.eval(&Variables::membrane(Lanes(v), Lanes(ca))).0;
            for k in 0..n {
                t.inf[k][gate.slot as usize][gate.lane] *= factor[k];
            }
        }
    }
    for gate in &ty.direct {
        let (slot, lane) = (gate.slot as usize, gate.lane);
        let (inf, tau) = gate.eval_lanes(&Variables::membrane(Lanes(v), Lanes(ca)));
        let mut z = [0.0; BLOCK];
        for k in 0..n {
            z[k] = -step.dt / tau[k] * columns.rate[rows.start + k].0[slot].0[lane];
        }
        let decay = math::exp_lanes(z);
        for k in 0..n {
            t.inf[k][slot][lane] = inf[k];
            t.decay[k][slot][lane] = decay[k];
        }
    }
    t
}

/// Moves the gates of a run and sums their currents.
#[inline(always)]
pub fn gates<const W: usize>(
    columns: &mut Columns<W>,
    rows: &Range<usize>,
    ty: &KernelType<W>,
    step: &Step,
) -> Sums {
    let t = targets(columns, rows, ty, step);
    let mut sums =
        Sums { g: [0.0; BLOCK], ge: [0.0; BLOCK], influx_g: [0.0; BLOCK], influx_ge: [0.0; BLOCK] };
    for (k, row) in rows.clone().enumerate() {
        let m = &mut columns.activation[row].0.0;
        let h = &mut columns.inactivation[row].0.0;
        for lane in 0..W {
            m[lane] = (m[lane] - t.inf[k][0][lane]).mul_add(t.decay[k][0][lane], t.inf[k][0][lane]);
            h[lane] = (h[lane] - t.inf[k][1][lane]).mul_add(t.decay[k][1][lane], t.inf[k][1][lane]);
        }
        let (m, h) = (raise(m, &ty.powers[0]), raise(h, &ty.powers[1]));
        let reversal = reversals(columns, row, ty);
        let effective = &columns.effective[row];
        let open: [f64; W] = std::array::from_fn(|k| m[k] * h[k]);
        let g: [f64; W] = std::array::from_fn(|k| effective.membrane.0[k] * open[k]);
        let ge: [f64; W] = std::array::from_fn(|k| g[k] * reversal[k]);
        let influx: [f64; W] = std::array::from_fn(|k| effective.influx.0[k] * open[k] * ty.carries.0[k]);
        let influx_e: [f64; W] = std::array::from_fn(|k| influx[k] * reversal[k]);
        sums.g[k] = tree(g);
        sums.ge[k] = tree(ge);
        sums.influx_g[k] = tree(influx);
        sums.influx_ge[k] = tree(influx_e);
    }
    sums
}

/// Reversal potentials of a row at its calcium.
#[inline(always)]
fn reversals<const W: usize>(columns: &Columns<W>, row: usize, ty: &KernelType<W>) -> [f64; W] {
    let mut reversal = ty.reversal.0;
    if ty.cell.has_nernst {
        for (lane, e) in reversal.iter_mut().enumerate() {
            if let Some((slope, outside)) = ty.cell.nernst[lane] {
                *e = calcium::nernst(slope, outside, columns.calcium[row].0);
            }
        }
    }
    reversal
}

/// What acts on a run's membranes besides their channels.
#[inline(always)]
fn add_input<const W: usize>(
    columns: &Columns<W>,
    rows: &Range<usize>,
    coupling: Option<&[Input]>,
    sums: &mut Sums,
) {
    for (k, row) in rows.clone().enumerate() {
        let input = columns.input[row];
        sums.g[k] += input.conductance;
        sums.ge[k] += input.current;
        if let Some(coupling) = coupling {
            let input = coupling[columns.index[row].0 as usize];
            sums.g[k] += input.conductance;
            sums.ge[k] += input.current;
        }
    }
}

/// Moves V by the sums, then Ca; `given` overrides the new voltages.
#[inline(always)]
fn membranes<const W: usize>(
    columns: &mut Columns<W>,
    rows: &Range<usize>,
    ty: &KernelType<W>,
    step: &Step,
    sums: &Sums,
    given: impl Fn(usize) -> Option<f64>,
    spikes: &mut Vec<Spike>,
) {
    let (v, ca) = load(columns, rows);
    let c = ty.cell.definition.capacitance;
    let mut new: [f64; BLOCK] =
        std::array::from_fn(|k| membrane::step(v[k], sums.g[k], sums.ge[k], c, step.dt));
    let mut crossed = false;
    for (k, row) in rows.clone().enumerate() {
        if let Some(v) = given(columns.index[row].0 as usize) {
            new[k] = v;
        }
        columns.voltage[row].0 = new[k];
        crossed |= step.detection.acts(columns.armed[row], new[k]);
    }
    if let Some(pool) = &ty.cell.pool {
        for (k, row) in rows.clone().enumerate() {
            let mean = 0.5 * (v[k] + new[k]);
            let current = sums.influx_g[k].mul_add(mean, -sums.influx_ge[k]);
            columns.calcium[row].0 = calcium::step(pool, ca[k], current, ty.calcium_decay);
        }
    }
    for (k, row) in rows.clone().enumerate() {
        let integral = &mut columns.integral[row].0;
        *integral = (0.5 * step.dt).mul_add(ca[k] + columns.calcium[row].0, *integral);
    }
    if crossed {
        for (k, row) in rows.clone().enumerate() {
            let spike = step.detection.detect(&mut columns.armed[row], v[k], new[k]);
            if let Some(fraction) = spike {
                let t_ms = fraction.mul_add(step.dt, step.start);
                spikes.push(Spike { t_ms, neuron: columns.index[row] });
            }
        }
    }
}

/// One step of a run of an uncoupled or explicitly coupled table.
#[inline(always)]
pub fn step_run<const W: usize>(
    columns: &mut Columns<W>,
    rows: &Range<usize>,
    ty: &KernelType<W>,
    step: &Step,
    coupling: Option<&[Input]>,
    spikes: &mut Vec<Spike>,
) {
    let mut sums = gates(columns, rows, ty, step);
    add_input(columns, rows, coupling, &mut sums);
    membranes(columns, rows, ty, step, &sums, |_| None, spikes);
}

/// First half of a step with implicit junctions: gates, and the sums by neuron.
#[inline(always)]
pub fn gates_run<const W: usize>(
    columns: &mut Columns<W>,
    rows: &Range<usize>,
    ty: &KernelType<W>,
    step: &Step,
    coupling: &[Input],
    totals: &mut [Input],
) -> Sums {
    let mut sums = gates(columns, rows, ty, step);
    add_input(columns, rows, Some(coupling), &mut sums);
    for (k, row) in rows.clone().enumerate() {
        totals[columns.index[row].0 as usize] =
            Input { conductance: sums.g[k], current: sums.ge[k] };
    }
    sums
}

/// Second half: membranes, with the voltages of implicit groups given.
#[inline(always)]
pub fn membranes_run<const W: usize>(
    columns: &mut Columns<W>,
    rows: &Range<usize>,
    ty: &KernelType<W>,
    step: &Step,
    sums: &Sums,
    solved: &[Option<f64>],
    spikes: &mut Vec<Spike>,
) {
    membranes(columns, rows, ty, step, sums, |neuron| solved[neuron], spikes);
}

/// Voltages of a table into the array by neuron.
#[inline(always)]
pub fn publish<const W: usize>(columns: &Columns<W>, voltage: &mut [f64]) {
    for (index, v) in columns.index.iter().zip(&*columns.voltage) {
        voltage[index.0 as usize] = v.0;
    }
}

/// New voltages of the implicit groups from the totals of their cells.
pub fn solve_implicit(
    coupling: &mut Coupling,
    kinds: &Kinds,
    capacitance: impl Fn(usize) -> f64,
    step: &Step,
    totals: &[Input],
    voltage: &[f64],
    solved: &mut [Option<f64>],
) {
    let mut groups = std::mem::take(&mut coupling.implicit);
    for group in &mut groups {
        let cells = group.cells().to_vec();
        let x = group.solve(|i, add| {
            let neuron = cells[i] as usize;
            let total = totals[neuron];
            let junctions: Vec<(u32, f64)> = coupling
                .junctions(neuron)
                .map(|(partner, junction)| (partner, junction.conductance(kinds, voltage)))
                .collect();
            let g = total.conductance + junctions.iter().map(|(_, g)| g).sum::<f64>();
            let c = capacitance(neuron);
            let k = step.dt / c * math::relative_decay(g * step.dt / c);
            for (partner, g) in &junctions {
                if let Ok(j) = cells.binary_search(partner) {
                    add(j, k * g);
                }
            }
            k.mul_add(g.mul_add(-voltage[neuron], total.current), voltage[neuron])
        });
        for (cell, v) in cells.iter().zip(x) {
            solved[*cell as usize] = Some(*v);
        }
    }
    coupling.implicit = groups;
}
