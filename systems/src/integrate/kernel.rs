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
use super::columns::Columns;
use crate::calcium;
use crate::channels::{CellType, CellTypes, Gate};
use crate::kinetics::{Lanes, Program, Variables};
use crate::math;
use crate::membrane;
use crate::observe::{Detection, Spike};
use crate::scheme::{MAX_STATES, Scheme};
use crate::simd::{Eight, LANES, Real, Row, Simd, Task};
use crate::table::locate;

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

/// A factor of calcium on a steady state.
enum CalciumFactor<'a> {
    /// `Ca/(Ca + k)`, k in µM.
    Saturation(f64),
    /// Any other.
    Program(&'a Program),
}

/// How the targets of a gate apart are found.
enum Source<'a> {
    /// From its columns of the table.
    Table {
        factor: Option<CalciumFactor<'a>>,
        /// Whether the second column is an exponent, to be scaled.
        scaled: bool,
    },
    /// From its expressions.
    Direct(&'a Gate),
}

/// A gate that is moved with lanes neurons instead of lanes channels.
struct ApartGate<'a> {
    source: Source<'a>,
    power: u8,
}

/// A kinetic scheme, whose states are moved with lanes neurons.
struct KernelScheme<'a> {
    scheme: &'a Scheme,
    /// Its channel's place among those apart.
    place: usize,
    /// Probabilities of its table, two and their rises at a time.
    rows: &'a [[f64; 4]],
    /// Whether the table serves the step.
    tables: bool,
}

/// A cell type as the kernel of lane width `W` reads it.
pub struct KernelType<'a, const W: usize> {
    cell: &'a CellType,
    /// Rows of the table, eight a bin: steady states and decays of the first gates, then of the
    /// second ones, each with its rise.
    rows: &'a [[f64; W]],
    reversal: [f64; W],
    /// Lanes whose exponent has bit b, by slot, b and vector.
    powers: [[[u8; CHUNKS]; 3]; 2],
    /// Channels apart, [`CellType::apart_lanes`], each with its number of gates.
    apart: Vec<(usize, usize)>,
    apart_gates: Vec<ApartGate<'a>>,
    /// Steady state and second column of the apart gates by bin, each with its rise.
    apart_rows: &'a [[f64; 4]],
    schemes: Vec<KernelScheme<'a>>,
    /// Place of each lane in `apart`, if it is there.
    apart_place: [Option<usize>; W],
    /// Lanes that carry calcium.
    carriers: Vec<usize>,
    /// dt/C (ms cm²/µF).
    dt_c: f64,
    calcium_decay: f64,
}

impl<'a, const W: usize> KernelType<'a, W> {
    /// Reads a cell type for steps like `step`.
    pub fn new(cell: &'a CellType, step: &Step) -> Self {
        let tables = step.kinetics == Kinetics::Tables;
        let lanes: Vec<usize> = match tables {
            true => cell.apart_lanes().collect(),
            false => (0..cell.channels()).collect(),
        };
        let place = |lane: usize| lanes.iter().position(|l| *l == lane);
        let of = |lane: usize| cell.gates.iter().filter(move |gate| gate.lane == lane);
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
            reversal: std::array::from_fn(|lane| cell.reversal[lane]),
            powers,
            apart: lanes
                .iter()
                .map(|lane| (*lane, of(*lane).count()))
                .collect(),
            apart_gates: lanes
                .iter()
                .flat_map(|lane| of(*lane))
                .map(|gate| ApartGate::new(gate, tables))
                .collect(),
            apart_rows: cell.apart.numbers().as_chunks().0,
            schemes: cell
                .schemes
                .iter()
                .zip(cell.schemes.iter().filter_map(|scheme| place(scheme.lane)))
                .map(|(scheme, place)| KernelScheme {
                    scheme,
                    place,
                    rows: scheme.table.numbers().as_chunks().0,
                    tables,
                })
                .collect(),
            apart_place: std::array::from_fn(place),
            carriers: (0..cell.channels())
                .filter(|lane| cell.carries_calcium[*lane] != 0.0)
                .collect(),
            dt_c: step.dt / cell.definition.capacitance,
            calcium_decay: cell.pool.map_or(1.0, |pool| math::exp(-step.dt / pool.tau)),
            cell,
        }
    }

    /// Channels apart by lane.
    pub fn apart_lanes(&self) -> impl Iterator<Item = usize> {
        self.apart.iter().map(|(lane, _)| *lane)
    }

    /// Gates apart by channel, as (slot, lane).
    pub fn apart_gates(&self) -> impl Iterator<Item = (usize, usize)> {
        let all = self.apart.iter();
        all.flat_map(|(lane, gates)| (0..*gates).map(move |slot| (slot, *lane)))
    }

    /// Number of states of its kinetic schemes.
    pub fn states(&self) -> usize {
        self.cell.states()
    }

    /// Lanes that carry calcium and are not apart.
    pub fn carriers(&self) -> impl Iterator<Item = usize> {
        let carriers = self.carriers.iter().copied();
        carriers.filter(|lane| self.apart_place[*lane].is_none())
    }
}

impl<'a> ApartGate<'a> {
    fn new(gate: &'a Gate, tables: bool) -> Self {
        let source = if gate.is_direct() || !tables {
            Source::Direct(gate)
        } else {
            let factor = gate.calcium_factor();
            Source::Table {
                factor: factor.map(|program| match program.saturation() {
                    Some(k) => CalciumFactor::Saturation(k),
                    None => CalciumFactor::Program(program),
                }),
                scaled: gate.is_scaled(),
            }
        };
        ApartGate {
            source,
            power: gate.power,
        }
    }
}

/// The cell types of a world for the kernel of width `W`; `None` for types of another width, and
/// none at all where there are no neurons of this one.
pub fn kernel_types<'a, const W: usize>(
    types: &'a CellTypes,
    step: &Step,
    tables: &[Columns<W>],
) -> Vec<Option<KernelType<'a, W>>> {
    if tables.is_empty() {
        return Vec::new();
    }
    types
        .iter()
        .map(|t| (t.width == W).then(|| KernelType::new(t, step)))
        .collect()
}

/// Values of a block. They outlive the step, so that nothing is allocated or cleared in it.
#[derive(Default)]
pub struct Scratch {
    conductances: Conductances,
    /// Conductances of the channels apart, for the membrane and for the calcium pool.
    apart: Vec<[Row; 2]>,
    /// Open fractions of neurons whose calcium influx is not their membrane current.
    open: Vec<f64>,
}

/// Conductances by vector, neuron and lane.
#[derive(Default)]
#[repr(align(64))]
struct Conductances([[Row; LANES]; CHUNKS]);

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

/// Steady state and decay of gate apart `place` for each neuron.
#[inline(always)]
fn apart_targets<S: Simd, const W: usize>(
    ty: &KernelType<W>,
    step: &Step,
    place: usize,
    rate: &Row,
    [v, ca]: [Eight<S>; 2],
    (bins, weight): (&[i32; LANES], Eight<S>),
) -> [Eight<S>; 2] {
    match &ty.apart_gates[place].source {
        Source::Table { factor, scaled } => {
            let n = ty.apart_gates.len();
            let mut rows = [&ty.apart_rows[0]; LANES];
            for k in 0..LANES {
                rows[k] = &ty.apart_rows[bins[k] as usize * n + place];
            }
            let [inf, inf_rise, decay, decay_rise] = v.columns(rows);
            let mut inf = inf_rise.mul_add(weight, inf);
            let mut decay = decay_rise.mul_add(weight, decay);
            match factor {
                Some(CalciumFactor::Saturation(k)) => inf = inf * (ca / (ca + ca.constant(*k))),
                Some(CalciumFactor::Program(program)) => {
                    let at = Variables::membrane(Lanes(v.array()), Lanes(ca.array()));
                    inf = inf * v.from_array(&program.eval(&at).0);
                }
                None => {}
            }
            if *scaled {
                decay = math::exp(decay * v.from_array(rate));
            }
            [inf, decay]
        }
        Source::Direct(gate) => {
            let at = Variables::membrane(Lanes(v.array()), Lanes(ca.array()));
            let (inf, tau) = gate.eval_lanes(&at);
            let exponent = v.constant(-step.dt) / v.from_array(&tau) * v.from_array(rate);
            [v.from_array(&inf), math::exp(exponent)]
        }
    }
}

/// Moves the gates of the channels apart; their conductances go to the work space.
#[inline(always)]
fn apart<S: Simd, const W: usize>(
    block: &mut Block<W>,
    ty: &KernelType<W>,
    step: &Step,
    at: [Eight<S>; 2],
    places: (&[i32; LANES], Eight<S>),
    t: &mut Scratch,
) {
    if t.apart.len() < ty.apart.len() {
        t.apart.resize(ty.apart.len(), [[0.0; LANES]; 2]);
    }
    let [v, _] = at;
    let mut place = 0;
    let channels = ty.apart.iter().zip(&block.apart).zip(&mut t.apart);
    for (((_, gates), [membrane, influx]), [g, g_influx]) in channels {
        let mut open = v.constant(1.0);
        for _ in 0..*gates {
            let [x, rate] = &mut block.apart_gates[place];
            let [inf, decay] = apart_targets(ty, step, place, rate, at, places);
            let moved = (v.from_array(x) - inf).mul_add(decay, inf);
            moved.store(x);
            open = open * power(moved, ty.apart_gates[place].power);
            place += 1;
        }
        (open * v.from_array(membrane)).store(g);
        (open * v.from_array(influx)).store(g_influx);
    }
}

/// The kinetic schemes of a block in a step: their states move, their conductances go to the work
/// space. A function of its own, which leaves that of cells without schemes as it is.
struct Schemes<'p, 'a, const W: usize> {
    block: &'p mut Block<'a, W>,
    ty: &'p KernelType<'p, W>,
    dt: f64,
    v: &'p Row,
    t: &'p mut Scratch,
}

impl<const W: usize> Task for Schemes<'_, '_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for this in &self.ty.schemes {
            let states = &mut self.block.states[this.scheme.places()];
            if this.tables {
                move_tabulated(simd, this, states, self.v);
            } else {
                move_directly(this.scheme, states, self.v, self.dt);
            }
            let mut open = Eight::splat(simd, 0.0);
            for (state, conducts) in states.iter().zip(&this.scheme.conducting) {
                if *conducts {
                    open = open + Eight::load(simd, state);
                }
            }
            let [membrane, influx] = &self.block.apart[this.place];
            let [g, g_influx] = &mut self.t.apart[this.place];
            (open * Eight::load(simd, membrane)).store(g);
            (open * Eight::load(simd, influx)).store(g_influx);
        }
    }
}

/// Moves the states of a scheme by the table.
#[inline(always)]
fn move_tabulated<S: Simd>(simd: S, this: &KernelScheme, states: &mut [Row], v: &Row) {
    let (bins, weight) = locate(Eight::load(simd, v));
    let zero = Eight::splat(simd, 0.0);
    let n = states.len().min(MAX_STATES);
    let (mut before, mut after) = ([zero; MAX_STATES], [zero; MAX_STATES]);
    for k in 0..n {
        before[k] = Eight::load(simd, &states[k]);
    }
    let pairs = n * (n - 1) / 2;
    let (mut to, mut from) = (1, 0);
    for pair in 0..pairs {
        let mut rows = [&this.rows[0]; LANES];
        for k in 0..LANES {
            rows[k] = &this.rows[bins[k] as usize * pairs + pair];
        }
        let [a, a_rise, b, b_rise] = zero.columns(rows);
        for probability in [a_rise.mul_add(weight, a), b_rise.mul_add(weight, b)] {
            after[to] = probability.mul_add(before[from], after[to]);
            from += 1;
            if from == n {
                (to, from) = (to + 1, 0);
            }
        }
    }
    let mut rest = Eight::splat(simd, 1.0);
    for k in 1..n {
        rest = rest - after[k];
        after[k].store(&mut states[k]);
    }
    zero.if_less(rest, rest, zero).store(&mut states[0]);
}

/// Moves the states of a scheme by `dt` (ms) without the table.
#[inline(never)]
fn move_directly(scheme: &Scheme, states: &mut [Row], v: &Row, dt: f64) {
    for k in 0..LANES {
        let mut p = [0.0; MAX_STATES];
        for (p, row) in p.iter_mut().zip(&*states) {
            *p = row[k];
        }
        scheme.advance(&mut p[..states.len()], v[k], dt);
        for (row, p) in states.iter_mut().zip(p) {
            row[k] = p;
        }
    }
}

/// x to a power below eight.
#[inline(always)]
fn power<S: Simd>(x: Eight<S>, n: u8) -> Eight<S> {
    let mut y = x.constant(1.0);
    if n & 1 != 0 {
        y = x;
    }
    let x2 = x * x;
    if n & 2 != 0 {
        y = y * x2;
    }
    if n & 4 != 0 {
        y = y * (x2 * x2);
    }
    y
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
    // A copy, which no store can change.
    let powers = ty.powers;
    for k in 0..n {
        let weight = one.constant(weights[k]);
        let Some(row) = ty.rows[8 * bins[k] as usize..].first_chunk::<8>() else {
            unreachable!("a bin has eight rows");
        };
        for chunk in 0..W / LANES {
            let mut targets = [[one; 2]; 2];
            for column in 0..4 {
                let value = vector(simd, &row[2 * column], chunk);
                let rise = vector(simd, &row[2 * column + 1], chunk);
                targets[column / 2][column % 2] = rise.mul_add(weight, value);
            }
            let mut open = one;
            for (slot, gates) in [&mut activation[k].0, &mut inactivation[k].0]
                .into_iter()
                .enumerate()
            {
                let x = &mut gates.0.as_chunks_mut::<LANES>().0[chunk];
                let [inf, decay] = targets[slot];
                let moved = (Eight::load(simd, x) - inf).mul_add(decay, inf);
                moved.store(x);
                open = raise(open, moved, &powers[slot], chunk);
            }
            if !block.same_influx {
                let open = open.array();
                for lane in 0..LANES {
                    t.open[k * W + chunk * LANES + lane] = open[lane];
                }
            }
            let conductance = open * vector(simd, &effective[k].membrane.0, chunk);
            conductance.store(&mut t.conductances.0[chunk][k]);
        }
    }
}

/// Moves the gates of a block and sums the currents of its channels. V (mV) and Ca (µM) are those
/// of the step's start.
#[inline(always)]
fn gates<S: Simd, const W: usize>(
    simd: S,
    block: &mut Block<W>,
    ty: &KernelType<W>,
    step: &Step,
    [v, ca]: [Eight<S>; 2],
    t: &mut Scratch,
) -> Sums<S> {
    let (bins, weight) = locate(v);
    apart(block, ty, step, [v, ca], (&bins, weight), t);
    if !ty.schemes.is_empty() {
        let v = &v.array();
        simd.call(Schemes {
            block,
            ty,
            dt: step.dt,
            v,
            t,
        });
    }
    if !block.same_influx && t.open.len() < LANES * W {
        t.open.resize(LANES * W, 0.0);
    }
    rows(simd, block, ty, (&bins, &weight.array()), t);
    for chunk in 0..W / LANES {
        let mut by_neuron = [v; LANES];
        for k in 0..LANES {
            by_neuron[k] = Eight::load(simd, &t.conductances.0[chunk][k]);
        }
        let by_channel = Eight::transpose(simd, by_neuron);
        for k in 0..LANES {
            by_channel[k].store(&mut t.conductances.0[chunk][k]);
        }
    }
    for (place, (lane, _)) in ty.apart.iter().enumerate() {
        t.conductances.0[lane / LANES][lane % LANES] = t.apart[place][0];
    }
    Sums {
        membrane: membrane_sums(simd, ty, ca, t),
        influx: influx_sums(simd, block, ty, ca, t),
    }
}

/// Reversal potential (mV) of a lane for each neuron of a block.
#[inline(always)]
fn reversal<S: Simd, const W: usize>(ty: &KernelType<W>, lane: usize, ca: Eight<S>) -> Eight<S> {
    if ty.cell.has_nernst && ty.cell.nernst[lane].is_some() {
        return nernst(ty, lane, ca);
    }
    ca.constant(ty.reversal[lane])
}

#[inline(never)]
fn nernst<S: Simd, const W: usize>(ty: &KernelType<W>, lane: usize, ca: Eight<S>) -> Eight<S> {
    let mut e = ca.array();
    for e in &mut e {
        *e = ty.cell.reversal_at(lane, *e);
    }
    ca.from_array(&e)
}

/// Sums over all channels, always by the same tree: halves onto halves.
#[inline(always)]
fn membrane_sums<S: Simd, const W: usize>(
    simd: S,
    ty: &KernelType<W>,
    ca: Eight<S>,
    t: &Scratch,
) -> Drive<S> {
    let conductances = t.conductances.0.as_flattened();
    let (mut g, mut ge) = ([ca; W], [ca; W]);
    for k in 0..W / 2 {
        let a = Eight::load(simd, &conductances[k]);
        let b = Eight::load(simd, &conductances[k + W / 2]);
        g[k] = a + b;
        ge[k] = a.mul_add(reversal(ty, k, ca), b * reversal(ty, k + W / 2, ca));
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
    ca: Eight<S>,
    t: &Scratch,
) -> Drive<S> {
    let zero = Eight::splat(simd, 0.0);
    let (mut g, mut ge) = (zero, zero);
    for &lane in &ty.carriers {
        let influx = if let Some(place) = ty.apart_place[lane] {
            Eight::load(simd, &t.apart[place][1])
        } else if block.same_influx {
            Eight::load(simd, &t.conductances.0[lane / LANES][lane % LANES])
        } else {
            let mut influx = [0.0; LANES];
            for k in 0..block.len() {
                influx[k] = t.open[k * W + lane] * block.effective[k].influx.0[lane];
            }
            Eight::load(simd, &influx)
        };
        g = g + influx;
        ge = influx.mul_add(reversal(ty, lane, ca), ge);
    }
    Drive { g, ge }
}

/// What a block's membranes and calcium pools feel in a step: conductance (mS/cm²) and drive
/// (µA/cm²) of the membrane, then of the calcium influx.
pub type BlockSums = [Row; 4];

/// First phase of a step: gates move and currents are summed, for a few blocks one after another.
/// What one waits for hides behind what the next has to do, so each phase is a loop of its own.
#[inline(always)]
pub fn sum_currents<S: Simd, const W: usize>(
    simd: S,
    block: &mut Block<W>,
    ty: &KernelType<W>,
    step: &Step,
    old: &Row,
    coupling: Option<[Eight<S>; 2]>,
    sums: &mut BlockSums,
    t: &mut Scratch,
) {
    let v = Eight::load(simd, old);
    let ca = Eight::load(simd, &block.calcium);
    let channels = gates(simd, block, ty, step, [v, ca], t);
    let mut g = channels.membrane.g + Eight::load(simd, &block.conductance);
    let mut ge = channels.membrane.ge + Eight::load(simd, &block.current);
    if let Some([conductance, drive]) = coupling {
        g = g + conductance;
        ge = ge + drive;
    }
    g.store(&mut sums[0]);
    ge.store(&mut sums[1]);
    channels.influx.g.store(&mut sums[2]);
    channels.influx.ge.store(&mut sums[3]);
}

/// Second phase: V (mV) moves.
#[inline(always)]
pub fn move_membranes<S: Simd, const W: usize>(
    simd: S,
    ty: &KernelType<W>,
    old: &Row,
    new: &mut Row,
    [g, ge, _, _]: &BlockSums,
) {
    let v = Eight::load(simd, old);
    let (g, ge) = (Eight::load(simd, g), Eight::load(simd, ge));
    membrane::step(v, g, ge, v.constant(ty.dt_c)).store(new);
}

/// Third phase: Ca moves, with V at both ends of the step, and spikes are detected.
#[inline(always)]
pub fn finish<S: Simd, const W: usize>(
    simd: S,
    block: &mut Block<W>,
    ty: &KernelType<W>,
    step: &Step,
    (old, new): (&Row, &Row),
    [_, _, g, ge]: &BlockSums,
    spikes: &mut Vec<Spike>,
) {
    let (v, v_new) = (Eight::load(simd, old), Eight::load(simd, new));
    let ca = Eight::load(simd, &block.calcium);
    let mut ca_new = ca;
    if let Some(pool) = &ty.cell.pool {
        let mean = v.constant(0.5) * (v + v_new);
        let current = Eight::load(simd, g).mul_add(mean, -Eight::load(simd, ge));
        ca_new = calcium::step(pool, ca, current, v.constant(ty.calcium_decay));
    }
    ca_new.store(&mut block.calcium);
    let integral = Eight::load(simd, &block.integral);
    let half = v.constant(0.5 * step.dt);
    half.mul_add(ca + ca_new, integral)
        .store(&mut block.integral);
    let above = v.constant(step.detection.threshold).less(v_new);
    let below = v_new.less(v.constant(step.detection.rearm));
    if (above & block.armed | below & !block.armed) & block.valid != 0 {
        detect(block, step, old, new, spikes);
    }
}

/// Follows the spike detection of a block through a step.
#[cold]
#[inline(never)]
fn detect<const W: usize>(
    block: &mut Block<W>,
    step: &Step,
    old: &Row,
    new: &Row,
    spikes: &mut Vec<Spike>,
) {
    for k in 0..block.len() {
        let mut armed = block.armed(k);
        if let Some(fraction) = step.detection.detect(&mut armed, old[k], new[k]) {
            let t_ms = fraction.mul_add(step.dt, step.start);
            let neuron = block.index[k];
            spikes.push(Spike { t_ms, neuron });
        }
        block.arm(k, armed);
    }
}
