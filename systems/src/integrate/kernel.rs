//! The step of the fixed-step scheme over runs of rows of one cell type, at most eight at a time.
//!
//! First the gates of all rows move (steady states and decays from the table at the old V, or
//! evaluated directly), and their products with the conductances are summed by a fixed tree; then
//! V and Ca of the rows move together. All code is generic over the lane width and inlined into
//! the entry points of [`super::dispatch`], which give it the processor's vector width; fused
//! operations make the bits independent of that. Loops are written out where a closure would do:
//! a closure that is not inlined is compiled for the baseline and calls the library for each
//! fused operation.

use super::columns::Columns;
use crate::calcium;
use crate::channels::{BLOCK, CellType, CellTypes, Gate, Lane};
use crate::coupling::{Coupling, Kinds};
use crate::kinetics::{Lanes, Program, Variables};
use crate::math;
use crate::membrane::{self, Input};
use crate::observe::{Armed, Detection, Spike};
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
    /// Exponents by slot.
    powers: [Powers<W>; 2],
    /// Lanes that carry calcium.
    carriers: Vec<usize>,
    scaled: Vec<&'a Gate>,
    calcium: Vec<(&'a Gate, &'a Program)>,
    direct: Vec<&'a Gate>,
    calcium_decay: f64,
}

impl<'a, const W: usize> KernelType<'a, W> {
    /// Reads a cell type for steps like `step`.
    pub fn new(cell: &'a CellType, step: &Step) -> Self {
        let tables = step.kinetics == Kinetics::Tables;
        let lane = |values: &[f64]| Lane(std::array::from_fn(|k| values[k]));
        KernelType {
            reversal: lane(&cell.reversal),
            powers: [Powers::new(&cell.powers[0]), Powers::new(&cell.powers[1])],
            carriers: (0..cell.channels())
                .filter(|lane| cell.carries_calcium[*lane] != 0.0)
                .collect(),
            scaled: if tables {
                cell.scaled_gates().collect()
            } else {
                Vec::new()
            },
            calcium: if tables {
                cell.calcium_gates().collect()
            } else {
                Vec::new()
            },
            direct: if tables {
                cell.direct_gates().collect()
            } else {
                cell.gates.iter().collect()
            },
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
    types
        .iter()
        .map(|t| (t.width == W).then(|| KernelType::new(t, step)))
        .collect()
}

/// Sums over the lanes of up to eight rows after their gates have moved.
#[derive(Clone, Copy)]
pub struct Sums {
    g: [f64; BLOCK],
    ge: [f64; BLOCK],
    influx_g: [f64; BLOCK],
    influx_ge: [f64; BLOCK],
}

/// Sum of all lanes, always by the same tree: halves onto halves. The lanes are used up.
#[inline(always)]
fn tree<const W: usize>(x: &mut [f64; W]) -> f64 {
    let mut width = W;
    while width > 1 {
        width /= 2;
        for k in 0..width {
            x[k] += x[k + width];
        }
    }
    x[0]
}

/// Exponents of a slot's gates by lane, as their three bits: `set` is 1 and `clear` 0 where a bit
/// is set.
struct Powers<const W: usize> {
    set: [Lane<W>; 3],
    clear: [Lane<W>; 3],
}

impl<const W: usize> Powers<W> {
    fn new(powers: &[u8]) -> Self {
        let bit = |k: usize, bit: usize| f64::from(powers[k] >> bit & 1);
        Powers {
            set: std::array::from_fn(|b| Lane(std::array::from_fn(|k| bit(k, b)))),
            clear: std::array::from_fn(|b| Lane(std::array::from_fn(|k| 1.0 - bit(k, b)))),
        }
    }

    /// A lane to its exponent: the product of x, x², x⁴ where their bit is set, else 1. The
    /// choice is exact: x*1 + 0 or x*0 + 1.
    #[inline(always)]
    fn raise(&self, x: f64, lane: usize) -> f64 {
        let x2 = x * x;
        let x4 = x2 * x2;
        x.mul_add(self.set[0].0[lane], self.clear[0].0[lane])
            * x2.mul_add(self.set[1].0[lane], self.clear[1].0[lane])
            * x4.mul_add(self.set[2].0[lane], self.clear[2].0[lane])
    }
}

/// Values of a run by row and lane. A buffer that outlives the step: it is not cleared each time,
/// and what passes through memory is vectorised.
pub struct Buffer<const W: usize> {
    /// Steady states and decays by slot.
    inf: [[Lane<W>; 2]; BLOCK],
    decay: [[Lane<W>; 2]; BLOCK],
    /// Open fractions, then conductances and their drives.
    open: [Lane<W>; BLOCK],
    products: [[Lane<W>; 2]; BLOCK],
}

impl<const W: usize> Default for Buffer<W> {
    fn default() -> Self {
        Buffer {
            inf: [[Lane::splat(1.0); 2]; BLOCK],
            decay: [[Lane::splat(0.0); 2]; BLOCK],
            open: [Lane::splat(1.0); BLOCK],
            products: [[Lane::splat(0.0); 2]; BLOCK],
        }
    }
}

/// The `W` values of a row from column `at`.
#[inline(always)]
fn lanes<const W: usize>(row: &[f64], at: usize) -> &[f64; W] {
    match row[at..].first_chunk() {
        Some(lanes) => lanes,
        None => unreachable!("a row holds four times the lane width"),
    }
}

/// V and Ca of a run, the last row repeated to fill the block.
#[inline(always)]
fn load<const W: usize>(run: &Columns<W>) -> [[f64; BLOCK]; 2] {
    let last = run.len() - 1;
    let mut v = [run.voltage[last].0; BLOCK];
    let mut ca = [run.calcium[last].0; BLOCK];
    for (v, x) in v.iter_mut().zip(&*run.voltage) {
        *v = x.0;
    }
    for (ca, x) in ca.iter_mut().zip(&*run.calcium) {
        *ca = x.0;
    }
    [v, ca]
}

#[inline(always)]
fn find_targets<const W: usize>(
    run: &Columns<W>,
    start: &[[f64; BLOCK]; 2],
    ty: &KernelType<W>,
    step: &Step,
    t: &mut Buffer<W>,
) {
    let n = run.len().min(BLOCK);
    let rate = &run.rate[..n];
    let [v, ca] = *start;
    if step.kinetics == Kinetics::Tables {
        let table = &ty.cell.table;
        let mut places = [(0, 0.0); BLOCK];
        for k in 0..n {
            places[k] = table.locate(v[k]);
        }
        for k in 0..n {
            let (bin, weight) = places[k];
            let (low, high) = table.rows(bin);
            for slot in 0..2 {
                let first = 2 * slot * W;
                let (from, to) = (lanes::<W>(low, first), lanes::<W>(high, first));
                let inf = &mut t.inf[k][slot].0;
                for lane in 0..W {
                    inf[lane] = mix(from[lane], to[lane], weight);
                }
                let (from, to) = (lanes::<W>(low, first + W), lanes::<W>(high, first + W));
                let decay = &mut t.decay[k][slot].0;
                for lane in 0..W {
                    decay[lane] = mix(from[lane], to[lane], weight);
                }
            }
        }
        for (j, gate) in ty.scaled.iter().enumerate() {
            let (slot, lane) = (gate.slot as usize, gate.lane);
            let mut z = [0.0; BLOCK];
            for k in 0..n {
                let (bin, weight) = places[k];
                let (low, high) = table.rows(bin);
                let exponent = mix(low[4 * W + j], high[4 * W + j], weight);
                z[k] = exponent * rate[k].0[slot].0[lane];
            }
            let decay = math::exp_lanes(z);
            for k in 0..n {
                t.decay[k][slot].0[lane] = decay[k];
            }
        }
        for (gate, factor) in &ty.calcium {
            let factor = factor.eval(&Variables::membrane(Lanes(v), Lanes(ca))).0;
            for k in 0..n {
                t.inf[k][gate.slot as usize].0[gate.lane] *= factor[k];
            }
        }
    }
    for gate in &ty.direct {
        let (slot, lane) = (gate.slot as usize, gate.lane);
        let (inf, tau) = gate.eval_lanes(&Variables::membrane(Lanes(v), Lanes(ca)));
        let mut z = [0.0; BLOCK];
        for k in 0..n {
            z[k] = -step.dt / tau[k] * rate[k].0[slot].0[lane];
        }
        let decay = math::exp_lanes(z);
        for k in 0..n {
            t.inf[k][slot].0[lane] = inf[k];
            t.decay[k][slot].0[lane] = decay[k];
        }
    }
}

/// Exact step of gates towards their steady states.
#[inline(always)]
fn relax<const W: usize>(x: &mut [f64; W], inf: &[f64; W], decay: &[f64; W]) {
    for k in 0..W {
        x[k] = (x[k] - inf[k]).mul_add(decay[k], inf[k]);
    }
}

/// Moves the gates of a run and sums their currents.
#[inline(always)]
fn gates<const W: usize>(
    run: &mut Columns<W>,
    start: &[[f64; BLOCK]; 2],
    ty: &KernelType<W>,
    step: &Step,
    t: &mut Buffer<W>,
) -> Sums {
    find_targets(run, start, ty, step, t);
    // Slices of one length, known to be at most a block: no check is left in the loops.
    let n = run.len().min(BLOCK);
    let (activation, inactivation) = (&mut run.activation[..n], &mut run.inactivation[..n]);
    let (effective, calcium) = (&run.effective[..n], &run.calcium[..n]);
    for k in 0..n {
        let m = &mut activation[k].0.0;
        let h = &mut inactivation[k].0.0;
        relax(m, &t.inf[k][0].0, &t.decay[k][0].0);
        relax(h, &t.inf[k][1].0, &t.decay[k][1].0);
        // Copies, so that no store stands between two loads that the compiler could join.
        let (m, h) = (*m, *h);
        t.open[k] = open_fraction(&m, &h, &ty.powers);
        let [g, ge] = &mut t.products[k];
        *g = times(&t.open[k], &effective[k].membrane);
        *ge = if ty.cell.has_nernst {
            times(g, &reversals(calcium[k].0, ty))
        } else {
            times(g, &ty.reversal)
        };
    }
    let mut sums = Sums {
        g: [0.0; BLOCK],
        ge: [0.0; BLOCK],
        influx_g: [0.0; BLOCK],
        influx_ge: [0.0; BLOCK],
    };
    for k in 0..n {
        let [g, ge] = &mut t.products[k];
        sums.g[k] = tree(&mut g.0);
        sums.ge[k] = tree(&mut ge.0);
    }
    for &lane in &ty.carriers {
        for k in 0..n {
            let influx = effective[k].influx.0[lane] * t.open[k].0[lane];
            let reversal = if ty.cell.has_nernst {
                ty.cell.reversal_at(lane, calcium[k].0)
            } else {
                ty.reversal.0[lane]
            };
            sums.influx_g[k] += influx;
            sums.influx_ge[k] = influx.mul_add(reversal, sums.influx_ge[k]);
        }
    }
    sums
}

/// Open fraction m^p h^q of each lane.
#[inline(always)]
fn open_fraction<const W: usize>(m: &[f64; W], h: &[f64; W], powers: &[Powers<W>; 2]) -> Lane<W> {
    let mut open = [0.0; W];
    for lane in 0..W {
        open[lane] = powers[0].raise(m[lane], lane) * powers[1].raise(h[lane], lane);
    }
    Lane(open)
}

/// Product lane by lane.
#[inline(always)]
fn times<const W: usize>(a: &Lane<W>, b: &Lane<W>) -> Lane<W> {
    let mut product = [0.0; W];
    for lane in 0..W {
        product[lane] = a.0[lane] * b.0[lane];
    }
    Lane(product)
}

/// Reversal potentials at calcium `ca` (µM).
#[inline(always)]
fn reversals<const W: usize>(ca: f64, ty: &KernelType<W>) -> Lane<W> {
    let mut reversal = ty.reversal;
    for (e, nernst) in reversal.0.iter_mut().zip(&ty.cell.nernst) {
        if let Some((slope, outside)) = nernst {
            *e = crate::calcium::nernst(*slope, *outside, ca);
        }
    }
    reversal
}

/// What acts on a run's membranes besides their channels.
#[inline(always)]
fn add_input<const W: usize>(run: &Columns<W>, coupling: Option<&[Input]>, sums: &mut Sums) {
    for (k, input) in run.input.iter().take(BLOCK).enumerate() {
        sums.g[k] += input.conductance;
        sums.ge[k] += input.current;
    }
    if let Some(coupling) = coupling {
        for (k, index) in run.index.iter().take(BLOCK).enumerate() {
            let input = coupling[index.0 as usize];
            sums.g[k] += input.conductance;
            sums.ge[k] += input.current;
        }
    }
}

/// Moves V by the sums, then Ca; `given` overrides the new voltages by neuron.
#[inline(always)]
fn membranes<const W: usize>(
    run: &mut Columns<W>,
    start: &[[f64; BLOCK]; 2],
    ty: &KernelType<W>,
    step: &Step,
    sums: &Sums,
    given: Option<&[Option<f64>]>,
    spikes: &mut Vec<Spike>,
) {
    let [v, ca] = *start;
    let c = ty.cell.definition.capacitance;
    let mut new = [0.0; BLOCK];
    for k in 0..BLOCK {
        new[k] = membrane::step(v[k], sums.g[k], sums.ge[k], c, step.dt);
    }
    if let Some(given) = given {
        for (new, index) in new.iter_mut().zip(run.index) {
            *new = given[index.0 as usize].unwrap_or(*new);
        }
    }
    let mut ca_new = ca;
    if let Some(pool) = &ty.cell.pool {
        for k in 0..BLOCK {
            let mean = 0.5 * (v[k] + new[k]);
            let current = sums.influx_g[k].mul_add(mean, -sums.influx_ge[k]);
            ca_new[k] = calcium::step(pool, ca[k], current, ty.calcium_decay);
        }
    }
    for (x, new) in run.voltage.iter_mut().zip(new) {
        x.0 = new;
    }
    for (x, new) in run.calcium.iter_mut().zip(ca_new) {
        x.0 = new;
    }
    for (k, integral) in run.integral.iter_mut().take(BLOCK).enumerate() {
        integral.0 = (0.5 * step.dt).mul_add(ca[k] + ca_new[k], integral.0);
    }
    let acts = |(armed, new): (&Armed, f64)| step.detection.acts(*armed, new);
    if run.armed.iter().zip(new).any(acts) {
        detect(run, step, &v, &new, spikes);
    }
}

/// Follows the spike detection of a run through a step.
#[cold]
#[inline(never)]
fn detect<const W: usize>(
    run: &mut Columns<W>,
    step: &Step,
    v: &[f64; BLOCK],
    new: &[f64; BLOCK],
    spikes: &mut Vec<Spike>,
) {
    for (k, armed) in run.armed.iter_mut().take(BLOCK).enumerate() {
        if let Some(fraction) = step.detection.detect(armed, v[k], new[k]) {
            let t_ms = fraction.mul_add(step.dt, step.start);
            let neuron = run.index[k];
            spikes.push(Spike { t_ms, neuron });
        }
    }
}

/// One step of a run of an uncoupled or explicitly coupled table.
#[inline(always)]
pub fn step_run<const W: usize>(
    run: &mut Columns<W>,
    ty: &KernelType<W>,
    step: &Step,
    coupling: Option<&[Input]>,
    buffer: &mut Buffer<W>,
    spikes: &mut Vec<Spike>,
) {
    let start = load(run);
    let mut sums = gates(run, &start, ty, step, buffer);
    add_input(run, coupling, &mut sums);
    membranes(run, &start, ty, step, &sums, None, spikes);
}

/// First half of a step with implicit junctions: gates, and the sums by neuron.
#[inline(always)]
pub fn gates_run<const W: usize>(
    run: &mut Columns<W>,
    ty: &KernelType<W>,
    step: &Step,
    coupling: &[Input],
    totals: &mut [Input],
    buffer: &mut Buffer<W>,
) -> Sums {
    let mut sums = gates(run, &load(run), ty, step, buffer);
    add_input(run, Some(coupling), &mut sums);
    for (k, index) in run.index.iter().take(BLOCK).enumerate() {
        totals[index.0 as usize] = Input {
            conductance: sums.g[k],
            current: sums.ge[k],
        };
    }
    sums
}

/// Second half: membranes, with the voltages of implicit groups given.
#[inline(always)]
pub fn membranes_run<const W: usize>(
    run: &mut Columns<W>,
    ty: &KernelType<W>,
    step: &Step,
    sums: &Sums,
    solved: &[Option<f64>],
    spikes: &mut Vec<Spike>,
) {
    membranes(run, &load(run), ty, step, sums, Some(solved), spikes);
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
            let (total, c, v) = (totals[neuron], capacitance(neuron), voltage[neuron]);
            let k = step.dt / c * math::relative_decay(total.conductance * step.dt / c);
            for (partner, g) in coupling.junctions(kinds, voltage, neuron) {
                if let Ok(j) = cells.binary_search(&partner) {
                    let a = k * g;
                    add(i, -a);
                    add(j, a);
                }
            }
            membrane::step(v, total.conductance, total.current, c, step.dt)
        });
        for (cell, v) in cells.iter().zip(x) {
            solved[*cell as usize] = Some(*v);
        }
    }
    coupling.implicit = groups;
}
