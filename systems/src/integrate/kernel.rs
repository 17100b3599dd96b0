//! The step of the fixed-step scheme over blocks of at most eight neurons of one cell type.
//!
//! The gates of a neuron are lanes: its steady states and decays are read from the table as they
//! lie, all gates move at once, and so do the products of open fractions and conductances. The
//! products of a block's neurons are then transposed once, and from there on lanes are neurons:
//! sums of currents, membrane, calcium, spike detection.
//!
//! All code is generic over the lane width and the vector width and inlined into the entry points
//! of [`super::dispatch`]; the operations are those of [`crate::simd`], so the bits are the same
//! for every vector width. Loops are written out where a closure would do: a closure that is not
//! inlined is compiled for the baseline processor.

use super::block::Block;
use crate::calcium;
use crate::channels::{CellType, CellTypes, Gate};
use crate::kinetics::{Lanes, Program, Variables};
use crate::math;
use crate::membrane;
use crate::observe::{Detection, Spike};
use crate::simd::{Eight, LANES, Real, Row, Simd, Task};
use crate::table::{locate_eight, mix};

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

/// Vectors of the widest lane.
const CHUNKS: usize = 4;

/// What a gate takes from elsewhere than the table.
#[derive(Clone, Copy)]
enum Source {
    /// A factor on the steady state.
    Factor,
    /// The decay.
    Decay,
    /// Both steady state and decay.
    Both,
}

/// A gate that the table does not serve alone.
#[derive(Clone, Copy)]
struct Special {
    source: Source,
    /// Lane in its vector, as a bit.
    bit: u8,
    /// Place among the values of its source that were found for the block.
    place: usize,
}

/// A factor of calcium on a steady state.
enum CalciumFactor<'a> {
    /// `Ca/(Ca + k)`, k in µM.
    Saturation(f64),
    /// Any other.
    Program(&'a Program),
}

/// A cell type as the kernel of lane width `W` reads it.
pub struct KernelType<'a, const W: usize> {
    cell: &'a CellType,
    /// Rows of the table: steady states and decays of the first gates, then of the second ones.
    rows: &'a [[f64; W]],
    /// Exponents of the scaled gates.
    exponents: &'a [f64],
    reversal: &'a [f64],
    /// Lanes whose exponent has bit b, by slot, b and vector.
    powers: [[[u8; CHUNKS]; 3]; 2],
    /// Lanes that carry calcium.
    carriers: Vec<usize>,
    factors: Vec<CalciumFactor<'a>>,
    scaled: Vec<&'a Gate>,
    direct: Vec<&'a Gate>,
    /// Gates that the table does not serve alone, by slot and vector.
    specials: [[Vec<Special>; CHUNKS]; 2],
    /// dt/C (ms cm²/µF).
    dt_c: f64,
    calcium_decay: f64,
}

impl<'a, const W: usize> KernelType<'a, W> {
    /// Reads a cell type for steps like `step`.
    pub fn new(cell: &'a CellType, step: &Step) -> Self {
        let tables = step.kinetics == Kinetics::Tables;
        let (mut factored, mut scaled) = (Vec::new(), Vec::new());
        let mut direct: Vec<&Gate> = cell.gates.iter().collect();
        if tables {
            factored = cell.calcium_gates().collect();
            scaled = cell.scaled_gates().collect();
            direct = cell.direct_gates().collect();
        }
        let mut specials = <[[Vec<Special>; CHUNKS]; 2]>::default();
        let factors = factored.iter().map(|(gate, _)| *gate).enumerate();
        let factors = factors.map(|(place, gate)| (Source::Factor, place, gate));
        let decays = scaled.iter().copied().enumerate();
        let decays = decays.map(|(place, gate)| (Source::Decay, place, gate));
        let both = direct.iter().copied().enumerate();
        let both = both.map(|(place, gate)| (Source::Both, place, gate));
        for (source, place, gate) in factors.chain(decays).chain(both) {
            let bit = 1 << (gate.lane % LANES);
            let special = Special { source, bit, place };
            specials[gate.slot as usize][gate.lane / LANES].push(special);
        }
        let mut powers = [[[0; CHUNKS]; 3]; 2];
        for slot in 0..2 {
            for (lane, power) in cell.powers[slot].iter().enumerate() {
                for bit in 0..3 {
                    powers[slot][bit][lane / LANES] |= (power >> bit & 1) << (lane % LANES);
                }
            }
        }
        KernelType {
            rows: cell.table.numbers().as_chunks().0,
            exponents: cell.exponents.numbers(),
            reversal: &cell.reversal,
            powers,
            carriers: (0..cell.channels())
                .filter(|lane| cell.carries_calcium[*lane] != 0.0)
                .collect(),
            factors: factored
                .into_iter()
                .map(|(_, program)| match program.saturation() {
                    Some(k) => CalciumFactor::Saturation(k),
                    None => CalciumFactor::Program(program),
                })
                .collect(),
            scaled,
            direct,
            specials,
            dt_c: step.dt / cell.definition.capacitance,
            calcium_decay: cell.pool.map_or(1.0, |pool| math::exp(-step.dt / pool.tau)),
            cell,
        }
    }

    /// Gates whose rates each neuron scales, in the order of [`Block::rates`].
    pub fn rated(&self) -> impl Iterator<Item = &Gate> {
        self.scaled.iter().chain(&self.direct).copied()
    }

    /// Lanes that carry calcium.
    pub fn carriers(&self) -> &[usize] {
        &self.carriers
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

/// Values of a block. They outlive the step, so that nothing is allocated or cleared in it.
#[derive(Default)]
pub struct Scratch {
    /// Values of the special gates by source and place, by neuron.
    factors: Vec<Row>,
    decays: Vec<Row>,
    both: Vec<[Row; 2]>,
    /// Conductances by vector, neuron and lane.
    conductances: [[Row; LANES]; CHUNKS],
    /// Open fractions of neurons whose calcium influx is not their membrane current.
    open: Vec<f64>,
}

impl Scratch {
    /// Makes room for the blocks of a type.
    fn fit<const W: usize>(&mut self, ty: &KernelType<W>) {
        if self.factors.len() < ty.factors.len() {
            self.factors.resize(ty.factors.len(), [0.0; LANES]);
        }
        if self.decays.len() < ty.scaled.len() {
            self.decays.resize(ty.scaled.len(), [0.0; LANES]);
        }
        if self.both.len() < ty.direct.len() {
            self.both.resize(ty.direct.len(), [[0.0; LANES]; 2]);
        }
        if self.open.len() < LANES * W {
            self.open.resize(LANES * W, 0.0);
        }
    }
}

/// What acts on the membranes of a block: conductance (mS/cm²) and drive (µA/cm²).
#[derive(Clone, Copy)]
pub struct Drive<S: Simd> {
    /// Conductance (mS/cm²).
    pub g: Eight<S>,
    /// Conductance times reversal potential, and current (µA/cm²).
    pub ge: Eight<S>,
}

/// Sums over the channels of a block's neurons after their gates have moved.
#[derive(Clone, Copy)]
pub struct Sums<S: Simd> {
    /// What the membrane feels.
    pub membrane: Drive<S>,
    /// What the calcium pool feels.
    pub influx: Drive<S>,
}

/// One row of `W` values as vectors: vector `chunk`.
#[inline(always)]
fn vector<S: Simd, const W: usize>(simd: S, values: &[f64; W], chunk: usize) -> Eight<S> {
    Eight::load(simd, &values.as_chunks::<LANES>().0[chunk])
}

/// Values of the gates that the table does not serve alone.
#[inline(always)]
fn find_specials<S: Simd, const W: usize>(
    simd: S,
    block: &Block<W>,
    ty: &KernelType<W>,
    step: &Step,
    [v, ca]: [Eight<S>; 2],
    (bins, weights): (&[i32; LANES], &Row),
    t: &mut Scratch,
) {
    t.fit(ty);
    for (factor, values) in ty.factors.iter().zip(&mut t.factors) {
        *values = match factor {
            CalciumFactor::Saturation(k) => (ca / (ca + ca.constant(*k))).array(),
            CalciumFactor::Program(program) => {
                let at = Variables::membrane(Lanes(v.array()), Lanes(ca.array()));
                program.eval(&at).0
            }
        };
    }
    let stride = ty.scaled.len();
    let (rates, own_rates) = block.rates.split_at(stride);
    for (gate, (rate, decay)) in rates.iter().zip(&mut t.decays).enumerate() {
        let (mut low, mut high) = ([0.0; LANES], [0.0; LANES]);
        for k in 0..LANES {
            let row = bins[k] as usize * stride + gate;
            low[k] = ty.exponents[row];
            high[k] = ty.exponents[row + stride];
        }
        let (low, high) = (Eight::gather(simd, low), Eight::gather(simd, high));
        let exponent = mix(low, high, Eight::load(simd, weights));
        math::exp(exponent * Eight::load(simd, rate)).store(decay);
    }
    if ty.direct.is_empty() {
        return;
    }
    let at = Variables::membrane(Lanes(v.array()), Lanes(ca.array()));
    for ((gate, rate), both) in ty.direct.iter().zip(own_rates).zip(&mut t.both) {
        let (inf, tau) = gate.eval_lanes(&at);
        let tau = Eight::load(simd, &tau);
        let exponent = tau.constant(-step.dt) / tau * Eight::load(simd, rate);
        *both = [inf, math::exp(exponent).array()];
    }
}

/// Moves the gates of one slot and vector of neuron `k`.
#[inline(always)]
fn relax<S: Simd>(
    x: Eight<S>,
    [mut inf, mut decay]: [Eight<S>; 2],
    specials: &[Special],
    t: &Scratch,
    k: usize,
) -> Eight<S> {
    for special in specials {
        match special.source {
            Source::Factor => {
                inf = inf.times_in(special.bit, x.constant(t.factors[special.place][k]));
            }
            Source::Decay => {
                let own = x.constant(t.decays[special.place][k]);
                decay = own.keep(special.bit, decay);
            }
            Source::Both => {
                let [own_inf, own_decay] = &t.both[special.place];
                inf = x.constant(own_inf[k]).keep(special.bit, inf);
                decay = x.constant(own_decay[k]).keep(special.bit, decay);
            }
        }
    }
    (x - inf).mul_add(decay, inf)
}

/// `open` times a gate to its exponent, lane by lane.
#[inline(always)]
fn raise<S: Simd>(
    open: Eight<S>,
    x: Eight<S>,
    powers: &[[u8; CHUNKS]; 3],
    chunk: usize,
) -> Eight<S> {
    let mut open = open.times_in(powers[0][chunk], x);
    if powers[1][chunk] | powers[2][chunk] != 0 {
        let x2 = x * x;
        open = open.times_in(powers[1][chunk], x2);
        open = open.times_in(powers[2][chunk], x2 * x2);
    }
    open
}

/// Moves the gates of a block; their conductances go to the work space.
#[inline(always)]
fn rows<S: Simd, const W: usize>(
    simd: S,
    block: &mut Block<W>,
    ty: &KernelType<W>,
    (bins, weights): (&[i32; LANES], &Row),
    t: &mut Scratch,
) {
    let one = Eight::splat(simd, 1.0);
    let n = block.len();
    let (activation, inactivation) = (&mut block.activation[..n], &mut block.inactivation[..n]);
    let effective = &block.effective[..n];
    for k in 0..n {
        let weight = one.constant(weights[k]);
        // A place of the table has its own row and the next one, four times the lane width each.
        let Some(row) = ty.rows[4 * bins[k] as usize..].first_chunk::<8>() else {
            unreachable!("the last bin is the last but one row");
        };
        for chunk in 0..W / LANES {
            let mut targets = [[one; 2]; 2];
            for column in 0..4 {
                let low = vector(simd, &row[column], chunk);
                let high = vector(simd, &row[column + 4], chunk);
                targets[column / 2][column % 2] = mix(low, high, weight);
            }
            let mut open = one;
            for (slot, gates) in [&mut activation[k].0, &mut inactivation[k].0]
                .into_iter()
                .enumerate()
            {
                let x = &mut gates.0.as_chunks_mut::<LANES>().0[chunk];
                let specials = &ty.specials[slot][chunk];
                let moved = relax(Eight::load(simd, x), targets[slot], specials, t, k);
                moved.store(x);
                open = raise(open, moved, &ty.powers[slot], chunk);
            }
            if !block.same_influx {
                let open = open.array();
                for lane in 0..LANES {
                    t.open[k * W + chunk * LANES + lane] = open[lane];
                }
            }
            let conductance = open * vector(simd, &effective[k].membrane.0, chunk);
            conductance.store(&mut t.conductances[chunk][k]);
        }
    }
}

/// Reversal potentials (mV) by lane for each neuron of a block.
#[inline(always)]
fn reversals<S: Simd, const W: usize>(ty: &KernelType<W>, ca: Eight<S>) -> [Eight<S>; W] {
    let mut reversals = [ca; W];
    for lane in 0..W {
        reversals[lane] = ca.constant(ty.reversal[lane]);
    }
    if ty.cell.has_nernst {
        let ca = ca.array();
        for lane in 0..W {
            if ty.cell.nernst[lane].is_some() {
                let mut e = ca;
                for e in &mut e {
                    *e = ty.cell.reversal_at(lane, *e);
                }
                reversals[lane] = reversals[lane].from_array(&e);
            }
        }
    }
    reversals
}

/// Moves the gates of a block and sums their currents. V and Ca are those of the step's start.
#[inline(always)]
pub fn gates<S: Simd, const W: usize>(
    simd: S,
    block: &mut Block<W>,
    ty: &KernelType<W>,
    step: &Step,
    [v, ca]: [Eight<S>; 2],
    t: &mut Scratch,
) -> Sums<S> {
    let (bins, weights) = locate_eight(v);
    let places = (&bins, &weights);
    find_specials(simd, block, ty, step, [v, ca], places, t);
    rows(simd, block, ty, places, t);
    let mut by_channel = [v; W];
    for chunk in 0..W / LANES {
        let mut by_neuron = [v; LANES];
        for k in 0..LANES {
            by_neuron[k] = Eight::load(simd, &t.conductances[chunk][k]);
        }
        let columns = Eight::transpose(simd, by_neuron);
        by_channel[chunk * LANES..(chunk + 1) * LANES].copy_from_slice(&columns);
    }
    let reversals = reversals(ty, ca);
    Sums {
        membrane: membrane_sums(&by_channel, &reversals),
        influx: influx_sums(simd, block, ty, &by_channel, &reversals, t),
    }
}

/// Sums over all channels, always by the same tree: halves onto halves.
#[inline(always)]
fn membrane_sums<S: Simd, const W: usize>(
    conductances: &[Eight<S>; W],
    reversals: &[Eight<S>; W],
) -> Drive<S> {
    let (mut g, mut ge) = (*conductances, *conductances);
    for k in 0..W / 2 {
        let (a, b) = (conductances[k], conductances[k + W / 2]);
        g[k] = a + b;
        ge[k] = a.mul_add(reversals[k], b * reversals[k + W / 2]);
    }
    // Written out by length, so that the compiler knows each.
    if W == 32 {
        fold::<S, W, 8>(&mut g);
        fold::<S, W, 8>(&mut ge);
    }
    if W >= 16 {
        fold::<S, W, 4>(&mut g);
        fold::<S, W, 4>(&mut ge);
    }
    fold::<S, W, 2>(&mut g);
    fold::<S, W, 2>(&mut ge);
    Drive {
        g: g[0] + g[1],
        ge: ge[0] + ge[1],
    }
}

/// Adds the second `HALF` of twice as many to the first.
#[inline(always)]
fn fold<S: Simd, const W: usize, const HALF: usize>(x: &mut [Eight<S>; W]) {
    for k in 0..HALF {
        x[k] = x[k] + x[k + HALF];
    }
}

/// Sums over the channels that carry calcium, in lane order.
#[inline(always)]
fn influx_sums<S: Simd, const W: usize>(
    simd: S,
    block: &Block<W>,
    ty: &KernelType<W>,
    conductances: &[Eight<S>; W],
    reversals: &[Eight<S>; W],
    t: &Scratch,
) -> Drive<S> {
    let zero = Eight::splat(simd, 0.0);
    let (mut g, mut ge) = (zero, zero);
    // Over all lanes, so that none is addressed by a number found at run time.
    for lane in 0..W {
        if ty.cell.carries_calcium[lane] == 0.0 {
            continue;
        }
        let influx = if block.same_influx {
            conductances[lane]
        } else {
            let mut influx = [0.0; LANES];
            for k in 0..block.len() {
                influx[k] = t.open[k * W + lane] * block.effective[k].influx.0[lane];
            }
            Eight::load(simd, &influx)
        };
        g = g + influx;
        ge = influx.mul_add(reversals[lane], ge);
    }
    Drive { g, ge }
}

/// Moves Ca to the end of a step that takes V from `v` to `new`, and detects spikes.
#[inline(always)]
pub fn finish<S: Simd, const W: usize>(
    block: &mut Block<W>,
    ty: &KernelType<W>,
    step: &Step,
    influx: &Drive<S>,
    [v, new]: [Eight<S>; 2],
    spikes: &mut Vec<Spike>,
) {
    let ca = v.from_array(&block.calcium);
    let mut ca_new = ca;
    if let Some(pool) = &ty.cell.pool {
        let mean = v.constant(0.5) * (v + new);
        let current = influx.g.mul_add(mean, -influx.ge);
        ca_new = calcium::step(pool, ca, current, v.constant(ty.calcium_decay));
    }
    ca_new.store(&mut block.calcium);
    let integral = v.from_array(&block.integral);
    let half = v.constant(0.5 * step.dt);
    half.mul_add(ca + ca_new, integral)
        .store(&mut block.integral);
    let above = v.constant(step.detection.threshold).less(new);
    let below = new.less(v.constant(step.detection.rearm));
    if above & block.armed | below & !block.armed & block.valid != 0 {
        detect(block, step, &v.array(), &new.array(), spikes);
    }
}

/// Follows the spike detection of a block through a step.
#[cold]
#[inline(never)]
fn detect<const W: usize>(
    block: &mut Block<W>,
    step: &Step,
    v: &Row,
    new: &Row,
    spikes: &mut Vec<Spike>,
) {
    for k in 0..block.len() {
        let mut armed = block.armed(k);
        if let Some(fraction) = step.detection.detect(&mut armed, v[k], new[k]) {
            let t_ms = fraction.mul_add(step.dt, step.start);
            let neuron = block.index[k];
            spikes.push(Spike { t_ms, neuron });
        }
        block.arm(k, armed);
    }
}

/// One step of a block.
pub struct BlockStep<'p, 'a, const W: usize> {
    /// The block.
    pub block: &'p mut Block<'a, W>,
    /// Its cell type.
    pub ty: &'p KernelType<'p, W>,
    /// The step.
    pub step: &'p Step,
    /// Conductance (mS/cm²) and drive (µA/cm²) of its edges.
    pub coupling: Option<[Row; 2]>,
    /// V at the start (mV).
    pub old: &'p Row,
    /// V at the end (mV).
    pub new: &'p mut Row,
    /// Where strong junctions are still to be reckoned with, the step goes only up to the membrane:
    /// its conductance and the conductance and drive of the calcium influx go here.
    pub sums: Option<&'p mut [Row; 3]>,
    /// Work space.
    pub scratch: &'p mut Scratch,
    /// Spikes found.
    pub spikes: &'p mut Vec<Spike>,
}

impl<const W: usize> Task for BlockStep<'_, '_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (block, ty, step) = (self.block, self.ty, self.step);
        let v = Eight::load(simd, self.old);
        let ca = Eight::load(simd, &block.calcium);
        let channels = gates(simd, block, ty, step, [v, ca], self.scratch);
        let mut g = channels.membrane.g + Eight::load(simd, &block.conductance);
        let mut ge = channels.membrane.ge + Eight::load(simd, &block.current);
        if let Some([coupling, drive]) = &self.coupling {
            g = g + Eight::load(simd, coupling);
            ge = ge + Eight::load(simd, drive);
        }
        let new = membrane::step(v, g, ge, v.constant(ty.dt_c));
        new.store(self.new);
        if let Some(sums) = self.sums {
            let influx = channels.influx;
            *sums = [g.array(), influx.g.array(), influx.ge.array()];
            return;
        }
        finish(block, ty, step, &channels.influx, [v, new], self.spikes);
    }
}
