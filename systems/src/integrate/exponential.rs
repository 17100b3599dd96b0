//! The fixed-step scheme: in each step first the gates move (exactly, for the V and Ca of its
//! start), then V with the new gates (exactly, for frozen gates), then Ca and the synapses' s with
//! the new V. A gap junction sees its partner's old V, unless it is strong
//! ([`crate::coupling::EXPLICIT_GAP_LIMIT`]).
//!
//! At equal cost this is about ten times more accurate than moving everything from the old state
//! (Lie splitting of exponential Euler). Its error per step is of first order; slow bursters with
//! dozens of spikes a burst need 0.01 ms where fast cells are right at 0.05.
//!
//! A step reads V and s as they were and writes them elsewhere, so that the parts of a network
//! meet once a step and none waits for what another is about to change.

use std::ops::Range;

use bevy_ecs::prelude::*;
use rayon::prelude::*;

use super::Planned;
use super::block::{Block, Regulators};
use super::columns::{AllColumns, Columns, NeuronTables};
use super::dispatch::{self, Kernel};
use super::kernel::{self, BlockSums, KernelType, Kinetics, Scratch, Step};
use super::plan::{BlockPlan, Group, PartPlan, PiecePlan, Plan, SiteBlock};
use crate::channels::{CellTypeId, CellTypes};
use crate::coupling::{Coupling, Kinds};
use crate::homeostasis::{BelowZero, Homeostat};
use crate::math;
use crate::neuromodulation::Controller;
use crate::observe::{Detection, Runaway, Spike, Spikes, Wrong, wrong};
use crate::parallel::each;
use crate::schedule::{Clock, NeuronIndex, Neurons, Stretch, Tick};
use crate::simd::{Eight, LANES, Real, Row, Simd, Task};
use crate::table::locate;

/// The steps of a stretch.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    template: Step,
    /// Grid point of the first step.
    first: u64,
    count: u64,
    /// Control ticks after all but the last of them.
    ticks: &'a [Tick],
}

impl<'a> Steps<'a> {
    fn new(clock: &Clock, planned: &'a Planned, detection: Detection) -> Self {
        let now = clock.now();
        let (dt, count, kinetics) = match planned.stretch {
            Stretch::Whole { to } => (clock.dt(), to - clock.step(), Kinetics::Tables),
            stretch => (stretch.end(clock) - now, 1, Kinetics::Direct),
        };
        Steps {
            template: Step {
                dt,
                start: now,
                kinetics,
                detection,
            },
            first: clock.step(),
            count,
            ticks: &planned.ticks,
        }
    }

    /// The steps before each control tick, and those after the last.
    fn intervals(&self) -> impl Iterator<Item = (Range<u64>, Option<&'a Tick>)> {
        let first = self.first;
        let ends = self
            .ticks
            .iter()
            .map(move |tick| (tick.step - first, Some(tick)));
        let mut from = 0;
        ends.chain([(self.count, None)]).map(move |(to, tick)| {
            let steps = from..to;
            from = to;
            (steps, tick)
        })
    }

    #[inline(always)]
    fn get(&self, k: u64) -> Step {
        let mut step = self.template;
        if step.kinetics == Kinetics::Tables {
            step.start = (self.first + k) as f64 * step.dt;
        }
        step
    }
}

/// Cell types by lane width.
struct Types<'a> {
    eight: Vec<Option<KernelType<'a, 8>>>,
    sixteen: Vec<Option<KernelType<'a, 16>>>,
    thirty_two: Vec<Option<KernelType<'a, 32>>>,
}

/// What all neurons of a stretch share.
pub struct Shared<'a> {
    types: Types<'a>,
    cells: &'a CellTypes,
    kinds: &'a Kinds,
    coupling: &'a Coupling,
}

/// V (mV) and s of a piece, by block. The last row of s is 0, for edges that are not there.
#[derive(Clone, Debug, Default)]
struct Signals {
    voltage: Vec<Row>,
    release: Vec<Row>,
}

/// A share of a piece for a stretch.
struct Part<'a> {
    plan: &'a PartPlan,
    piece: &'a PiecePlan,
    eight: Vec<Block<'a, 8>>,
    sixteen: Vec<Block<'a, 16>>,
    thirty_two: Vec<Block<'a, 32>>,
    work: PartWork,
    told: Told,
}

/// What a part has to tell of a stretch.
#[derive(Default)]
struct Told {
    spikes: Vec<Spike>,
    /// Lanes that were below zero at a time (ms).
    falls: Vec<(NeuronIndex, u32, f64)>,
    /// What went wrong first, and when (ms).
    wrong: Option<(NeuronIndex, f64, Wrong)>,
}

/// What a part needs in a step.
#[derive(Default)]
struct PartWork {
    /// Groups of strongly joined cells.
    groups: Vec<Group>,
    /// Currents by block.
    sums: Vec<BlockSums>,
    scratch: Scratch,
}

/// A piece for a stretch.
struct Piece<'a> {
    parts: Vec<Part<'a>>,
    now: Signals,
    next: Signals,
}

/// Scratch: memory of the pieces, kept from one stretch to the next.
#[derive(Resource, Default)]
pub struct Workspace {
    pieces: Vec<PieceWork>,
    generation: u64,
}

#[derive(Default)]
struct PieceWork {
    now: Signals,
    next: Signals,
    parts: Vec<PartWork>,
}

impl Workspace {
    /// Memory for the pieces of a plan.
    fn of(&mut self, pieces: &[PiecePlan], generation: u64) -> &mut [PieceWork] {
        if self.generation != generation || self.pieces.len() != pieces.len() {
            self.pieces = pieces.iter().map(PieceWork::new).collect();
            self.generation = generation;
        }
        &mut self.pieces
    }
}

impl PieceWork {
    fn new(plan: &PiecePlan) -> Self {
        let signals = Signals {
            voltage: vec![[0.0; LANES]; plan.blocks.len()],
            release: vec![[0.0; LANES]; plan.sites.len() + 1],
        };
        let parts = plan.parts.iter().map(|part| PartWork {
            groups: plan.groups.clone(),
            sums: vec![[[0.0; LANES]; 4]; part.blocks.len()],
            scratch: Scratch::default(),
        });
        PieceWork {
            parts: parts.collect(),
            next: signals.clone(),
            now: signals,
        }
    }
}

/// One step of a part: V and s as they were, and where the part's new ones go.
pub struct PartStep<'p, 'a> {
    part: &'p mut Part<'a>,
    shared: &'p Shared<'p>,
    step: &'p Step,
    now: &'p Signals,
    voltage: &'p mut [Row],
    release: &'p mut [Row],
}

/// All steps of a piece that one worker takes.
pub struct PieceSteps<'p, 'a> {
    piece: &'p mut Piece<'a>,
    shared: &'p Shared<'p>,
    steps: &'p Steps<'p>,
}

impl Task for PieceSteps<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let piece = self.piece;
        for (steps, tick) in self.steps.intervals() {
            for k in steps {
                let step = self.steps.get(k);
                for part in &mut piece.parts {
                    simd.call(PartStep {
                        voltage: &mut piece.next.voltage[part.plan.blocks.clone()],
                        release: &mut piece.next.release[part.plan.sites.clone()],
                        part,
                        shared: self.shared,
                        step: &step,
                        now: &piece.now,
                    });
                }
                std::mem::swap(&mut piece.now, &mut piece.next);
            }
            if let Some(tick) = tick {
                for part in &mut piece.parts {
                    part.regulate(tick, self.shared, &piece.now.voltage);
                }
            }
        }
    }
}

/// Blocks that go through the phases of a step together.
const TILE: usize = 8;

/// The blocks of a width in a step.
struct Blocks<'p, 'a, const W: usize> {
    blocks: &'p mut [Block<'a, W>],
    types: &'p [Option<KernelType<'p, W>>],
    plans: &'p [BlockPlan],
    piece: &'p PiecePlan,
    kinds: &'p Kinds,
    step: &'p Step,
    now: &'p Signals,
    old: &'p [Row],
    new: &'p mut [Row],
    sums: &'p mut [BlockSums],
    scratch: &'p mut Scratch,
    spikes: &'p mut Vec<Spike>,
    phases: Phases,
}

/// Which phases of a step are due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phases {
    All,
    /// Up to the membrane: strong junctions are still to be reckoned with.
    First,
    /// Calcium and spikes.
    Last,
}

impl<const W: usize> Task for Blocks<'_, '_, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let mut from = 0;
        while from < self.blocks.len() {
            let tile = from..(from + TILE).min(self.blocks.len());
            if self.phases != Phases::Last {
                self.first(simd, tile.clone());
            }
            if self.phases != Phases::First {
                self.last(simd, tile.clone());
            }
            from = tile.end;
        }
    }
}

impl<const W: usize> Blocks<'_, '_, W> {
    #[inline(always)]
    fn first<S: Simd>(&mut self, simd: S, tile: Range<usize>) {
        for k in tile.clone() {
            let block = &mut self.blocks[k];
            if let Some(ty) = &self.types[block.kind] {
                let coupling = drive(simd, &self.plans[k], self.piece, self.kinds, self.now);
                kernel::sum_currents(
                    simd,
                    block,
                    ty,
                    self.step,
                    &self.old[k],
                    coupling,
                    &mut self.sums[k],
                    self.scratch,
                );
            }
        }
        for k in tile {
            if let Some(ty) = &self.types[self.blocks[k].kind] {
                kernel::move_membranes(simd, ty, &self.old[k], &mut self.new[k], &self.sums[k]);
            }
        }
    }

    #[inline(always)]
    fn last<S: Simd>(&mut self, simd: S, tile: Range<usize>) {
        for k in tile {
            let block = &mut self.blocks[k];
            if let Some(ty) = &self.types[block.kind] {
                let (voltage, sums) = ((&self.old[k], &self.new[k]), &self.sums[k]);
                kernel::finish(simd, block, ty, self.step, voltage, sums, self.spikes);
            }
        }
    }
}

impl PartStep<'_, '_> {
    /// Takes the blocks of all widths through some phases.
    #[inline(always)]
    fn blocks<S: Simd>(&mut self, simd: S, phases: Phases) {
        let types = &self.shared.types;
        let [eight, sixteen] = [self.part.eight.len(), self.part.sixteen.len()];
        let part = &mut *self.part;
        let all = part.plan.blocks.clone();
        macro_rules! width {
            ($blocks:expr, $types:expr, $range:expr) => {
                let range: Range<usize> = $range;
                if !range.is_empty() {
                    let place = all.start + range.start..all.start + range.end;
                    simd.call(Blocks {
                        blocks: $blocks,
                        types: $types,
                        plans: &part.piece.blocks[place.clone()],
                        piece: part.piece,
                        kinds: self.shared.kinds,
                        step: self.step,
                        now: self.now,
                        old: &self.now.voltage[place],
                        new: &mut self.voltage[range.clone()],
                        sums: &mut part.work.sums[range],
                        scratch: &mut part.work.scratch,
                        spikes: &mut part.told.spikes,
                        phases,
                    });
                }
            };
        }
        width!(&mut part.eight, &types.eight, 0..eight);
        width!(&mut part.sixteen, &types.sixteen, eight..eight + sixteen);
        width!(
            &mut part.thirty_two,
            &types.thirty_two,
            eight + sixteen..all.len()
        );
    }
}

impl Task for PartStep<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        if self.part.work.groups.is_empty() {
            self.blocks(simd, Phases::All);
        } else {
            self.blocks(simd, Phases::First);
            solve_groups(&mut self);
            self.blocks(simd, Phases::Last);
        }
        release(simd, self);
    }
}

/// Conductance (mS/cm²) and drive (µA/cm²) that a block feels from its edges, V and s as they were;
/// `None` where there are none.
#[inline(always)]
fn drive<S: Simd>(
    simd: S,
    plan: &BlockPlan,
    piece: &PiecePlan,
    kinds: &Kinds,
    now: &Signals,
) -> Option<[Eight<S>; 2]> {
    if plan.segments.is_empty() && plan.junctions.is_empty() {
        return None;
    }
    let zero = Eight::splat(simd, 0.0);
    let (mut total, mut drive) = (zero, zero);
    let s = now.release.as_flattened();
    for segment in &piece.segments[plan.segments.clone()] {
        let mut g = zero;
        let vectors = segment.vectors.clone();
        let weights = &piece.weights[vectors.clone()];
        for (sources, weights) in piece.sources[vectors].iter().zip(weights) {
            let mut open = [0.0; LANES];
            for k in 0..LANES {
                open[k] = s[sources[k] as usize];
            }
            let open = Eight::gather(simd, open);
            g = Eight::load(simd, weights).mul_add(open, g);
        }
        let reversal = Eight::splat(simd, segment.reversal);
        total = total + g;
        drive = g.mul_add(reversal, drive);
    }
    if !plan.junctions.is_empty() {
        let (mut g, mut ge) = ([0.0; LANES], [0.0; LANES]);
        let voltage = now.voltage.as_flattened();
        for junction in &piece.junctions[plan.junctions.clone()] {
            let conductance = junction.edge.conductance(kinds, voltage);
            let k = junction.lane;
            g[k] += conductance;
            ge[k] = conductance.mul_add(voltage[junction.edge.partner as usize], ge[k]);
        }
        total = total + Eight::load(simd, &g);
        drive = drive + Eight::load(simd, &ge);
    }
    Some([total, drive])
}

/// Moves the releases of a part, with the new V.
#[inline(always)]
fn release<S: Simd>(simd: S, step: PartStep) {
    let voltage = step.voltage.as_flattened();
    let now = &step.now.release[step.part.plan.sites.clone()];
    let sites = &step.part.piece.sites[step.part.plan.sites.clone()];
    for ((site, s), new) in sites.iter().zip(now).zip(step.release) {
        let mut v = [0.0; LANES];
        for k in 0..LANES {
            v[k] = voltage[site.pre[k] as usize];
        }
        let [inf, decay] = match step.step.kinetics {
            Kinetics::Tables => tabulated(simd, site, step.shared.kinds, &v),
            Kinetics::Direct => directly(simd, site, step.shared.kinds, &v, step.step.dt),
        };
        (Eight::load(simd, s) - inf).mul_add(decay, inf).store(new);
    }
}

/// Steady states and decays of eight releases from the table of their kind.
#[inline(always)]
fn tabulated<S: Simd>(simd: S, site: &SiteBlock, kinds: &Kinds, v: &Row) -> [Eight<S>; 2] {
    let table = kinds.get(site.kind).table().numbers().as_chunks::<4>().0;
    let v = Eight::gather(simd, *v);
    let (bins, weight) = locate(v);
    let mut rows = [&table[0]; LANES];
    for k in 0..LANES {
        rows[k] = &table[bins[k] as usize];
    }
    let [inf, inf_rise, decay, decay_rise] = v.columns(rows);
    [
        inf_rise.mul_add(weight, inf),
        decay_rise.mul_add(weight, decay),
    ]
}

/// The same without tables, for a step of `dt` (ms).
#[inline(always)]
fn directly<S: Simd>(simd: S, site: &SiteBlock, kinds: &Kinds, v: &Row, dt: f64) -> [Eight<S>; 2] {
    let mut gates = [[0.0; LANES]; 2];
    for k in 0..LANES {
        let (inf, tau) = kinds.get(site.kind).gate(v[k]);
        gates[0][k] = inf;
        gates[1][k] = crate::table::decay(tau, dt);
    }
    [Eight::load(simd, &gates[0]), Eight::load(simd, &gates[1])]
}

/// Puts the new voltages of strongly joined cells right.
fn solve_groups(step: &mut PartStep) {
    let mut groups = std::mem::take(&mut step.part.work.groups);
    for group in &mut groups {
        solve(group, step);
    }
    step.part.work.groups = groups;
}

/// Puts the new voltages of a group, found without its junctions, right.
fn solve(group: &mut Group, step: &mut PartStep) {
    let (slots, junctions) = (&group.slots, &group.junctions);
    let capacitance = &group.capacitance;
    let old = step.now.voltage.as_flattened();
    let new = step.voltage.as_flattened_mut();
    let (sums, kinds, dt) = (&step.part.work.sums, step.shared.kinds, step.step.dt);
    let solved = group.component.solve(|i, add| {
        let slot = slots[i] as usize;
        let [g, ..] = &sums[slot / LANES];
        let dt_c = dt / capacitance[i];
        let k = dt_c * math::relative_decay(g[slot % LANES] * dt_c);
        for (partner, junction) in &junctions[i] {
            let a = k * junction.edge.conductance(kinds, old);
            add(i, -a);
            add(*partner, a);
        }
        new[slot]
    });
    for (slot, v) in slots.iter().zip(solved) {
        new[*slot as usize] = *v;
    }
}

/// Takes the rows of the tables from the front, block by block.
struct Rows<'a, const W: usize>(Vec<Option<Columns<'a, W>>>);

impl<'a, const W: usize> Rows<'a, W> {
    fn new(columns: Vec<Columns<'a, W>>) -> Self {
        Rows(columns.into_iter().map(Some).collect())
    }

    fn take(
        &mut self,
        plan: &BlockPlan,
        regulators: &mut [Regulators<'a>],
    ) -> Option<BlockRows<'a, W>> {
        let rest = self.0[plan.table].take()?;
        let (rows, rest) = rest.split_at(plan.len);
        self.0[plan.table] = Some(rest);
        let own = |index: &NeuronIndex| regulators.get_mut(index.0 as usize).map(std::mem::take);
        let own: Vec<_> = rows.index.iter().filter_map(own).collect();
        let any = own.iter().any(|regulators| !regulators.is_empty());
        Some((rows, if any { own } else { Vec::new() }))
    }
}

/// Rows of all lane widths.
struct AllRows<'a> {
    /// By neuron; none where none is asked for.
    regulators: Vec<Regulators<'a>>,
    eight: Rows<'a, 8>,
    sixteen: Rows<'a, 16>,
    thirty_two: Rows<'a, 32>,
}

/// Rows of a block and what regulates its neurons.
type BlockRows<'a, const W: usize> = (Columns<'a, W>, Vec<Regulators<'a>>);

/// Rows of a part, by block.
#[derive(Default)]
struct PartRows<'a> {
    eight: Vec<BlockRows<'a, 8>>,
    sixteen: Vec<BlockRows<'a, 16>>,
    thirty_two: Vec<BlockRows<'a, 32>>,
}

impl<'a> AllRows<'a> {
    fn take(&mut self, plan: &[BlockPlan]) -> PartRows<'a> {
        let mut rows = PartRows::default();
        for block in plan {
            match block.width {
                0 => rows
                    .eight
                    .extend(self.eight.take(block, &mut self.regulators)),
                1 => rows
                    .sixteen
                    .extend(self.sixteen.take(block, &mut self.regulators)),
                _ => rows
                    .thirty_two
                    .extend(self.thirty_two.take(block, &mut self.regulators)),
            }
        }
        rows
    }
}

impl<'a> Part<'a> {
    /// Reads the rows; their voltages (mV) go to `voltage`, one row a block.
    fn new(
        (plan, piece): (&'a PartPlan, &'a PiecePlan),
        rows: PartRows<'a>,
        types: &Types,
        voltage: &mut [Row],
        work: PartWork,
    ) -> Self {
        let mut voltage = voltage.iter_mut();
        Part {
            plan,
            piece,
            eight: blocks(rows.eight, &types.eight, &mut voltage),
            sixteen: blocks(rows.sixteen, &types.sixteen, &mut voltage),
            thirty_two: blocks(rows.thirty_two, &types.thirty_two, &mut voltage),
            work,
            told: Told::default(),
        }
    }

    /// Senses, regulates and modulates at a control tick, and looks for what is wrong.
    fn regulate(&mut self, tick: &Tick, shared: &Shared, voltage: &[Row]) {
        let mut voltage = voltage[self.plan.blocks.clone()].iter();
        let Shared { types, cells, .. } = shared;
        let told = &mut self.told;
        regulate(
            &mut self.eight,
            &types.eight,
            cells,
            tick,
            &mut voltage,
            told,
        );
        regulate(
            &mut self.sixteen,
            &types.sixteen,
            cells,
            tick,
            &mut voltage,
            told,
        );
        regulate(
            &mut self.thirty_two,
            &types.thirty_two,
            cells,
            tick,
            &mut voltage,
            told,
        );
    }

    /// Gives V and all else back to the columns; what is left is what it tells and the memory.
    fn store(self, types: &Types, voltage: &[Row]) -> (Told, PartWork) {
        let mut voltage = voltage.iter();
        store(self.eight, &types.eight, &mut voltage);
        store(self.sixteen, &types.sixteen, &mut voltage);
        store(self.thirty_two, &types.thirty_two, &mut voltage);
        (self.told, self.work)
    }
}

/// Senses, regulates and modulates at a control tick; each block takes the next voltages.
fn regulate<'v, const W: usize>(
    blocks: &mut [Block<W>],
    types: &[Option<KernelType<W>>],
    cells: &CellTypes,
    tick: &Tick,
    voltage: &mut impl Iterator<Item = &'v Row>,
    told: &mut Told,
) {
    for (block, v) in blocks.iter_mut().zip(voltage) {
        let Some(ty) = &types[block.kind] else {
            continue;
        };
        let cell = cells.get(CellTypeId(block.kind as u32));
        let falls = &mut told.falls;
        block.regulate(tick, cell, ty, |index, lanes| {
            falls.push((index, lanes, tick.t_ms))
        });
        if told.wrong.is_none_or(|(_, t_ms, _)| t_ms == tick.t_ms) {
            for (k, index) in block.index.iter().enumerate() {
                let first = told.wrong.is_none_or(|(known, ..)| *index < known);
                if let Some(wrong) = wrong(cell, v[k], block.calcium[k]).filter(|_| first) {
                    told.wrong = Some((*index, tick.t_ms, wrong));
                }
            }
        }
    }
}

/// Reads rows into blocks; each fills the next row of voltages.
fn blocks<'a, 'v, const W: usize>(
    rows: Vec<BlockRows<'a, W>>,
    types: &[Option<KernelType<W>>],
    voltage: &mut impl Iterator<Item = &'v mut Row>,
) -> Vec<Block<'a, W>> {
    let rows = rows.into_iter().zip(voltage);
    rows.filter_map(|((rows, regulators), voltage)| {
        let ty = types[rows.kind[0].0 as usize].as_ref()?;
        Some(Block::new(rows, ty, regulators, voltage))
    })
    .collect()
}

impl<'a> Piece<'a> {
    fn new(
        plan: &'a PiecePlan,
        rows: Vec<PartRows<'a>>,
        shared: &Shared,
        work: &mut PieceWork,
    ) -> Self {
        let PieceWork {
            mut now,
            next,
            parts,
        } = std::mem::take(work);
        for (row, site) in now.release.iter_mut().zip(&plan.sites) {
            for (s, origin) in row.iter_mut().zip(&site.origin) {
                *s = shared.coupling.sites[*origin as usize].s;
            }
        }
        let mut voltage = &mut now.voltage[..];
        let parts = plan.parts.iter().zip(parts).zip(rows);
        let parts = parts.map(|((part, work), rows)| {
            let (own, rest) = std::mem::take(&mut voltage).split_at_mut(part.blocks.len());
            voltage = rest;
            (part, rows, own, work)
        });
        let parts = each(parts, 1, |(part, rows, voltage, work)| {
            Part::new((part, plan), rows, &shared.types, voltage, work)
        });
        Piece { parts, now, next }
    }

    /// Takes the piece through all steps.
    fn run(&mut self, kernel: Kernel, shared: &Shared, steps: &Steps) {
        if self.parts.len() > 1 {
            return self.run_together(kernel, shared, steps);
        }
        let piece = self;
        let steps = PieceSteps {
            piece,
            shared,
            steps,
        };
        dispatch::run(kernel, steps);
    }

    /// Takes the parts through all steps; they meet after each.
    fn run_together(&mut self, kernel: Kernel, shared: &Shared, steps: &Steps) {
        for (interval, tick) in steps.intervals() {
            for k in interval {
                self.step_together(kernel, shared, &steps.get(k));
            }
            if let Some(tick) = tick {
                let voltage = &self.now.voltage;
                let parts = self.parts.par_iter_mut();
                parts.for_each(|part| part.regulate(tick, shared, voltage));
            }
        }
    }

    /// Takes the parts through a step.
    fn step_together(&mut self, kernel: Kernel, shared: &Shared, step: &Step) {
        let mut voltage = &mut self.next.voltage[..];
        let mut release = &mut self.next.release[..];
        let mut runs = Vec::with_capacity(self.parts.len());
        for part in &mut self.parts {
            let (own_voltage, rest) = voltage.split_at_mut(part.plan.blocks.len());
            voltage = rest;
            let (own_release, rest) = release.split_at_mut(part.plan.sites.len());
            release = rest;
            runs.push(PartStep {
                part,
                shared,
                step,
                now: &self.now,
                voltage: own_voltage,
                release: own_release,
            });
        }
        runs.into_par_iter()
            .for_each(|run| dispatch::run(kernel, run));
        std::mem::swap(&mut self.now, &mut self.next);
    }

    /// Gives V and all else but s back to the columns and the memory to the workspace; what is left
    /// is what the parts tell.
    fn store(self, types: &Types, work: &mut PieceWork) -> Vec<Told> {
        let voltage = &self.now.voltage;
        let parts = each(self.parts.into_iter(), 1, |part| {
            let blocks = part.plan.blocks.clone();
            part.store(types, &voltage[blocks])
        });
        let (told, memory) = parts.into_iter().unzip();
        *work = PieceWork {
            now: self.now,
            next: self.next,
            parts: memory,
        };
        told
    }
}

/// Gives blocks back to the columns; each takes the next voltages.
fn store<'v, const W: usize>(
    blocks: Vec<Block<W>>,
    types: &[Option<KernelType<W>>],
    voltage: &mut impl Iterator<Item = &'v Row>,
) {
    for (block, voltage) in blocks.into_iter().zip(voltage) {
        if let Some(ty) = &types[block.kind] {
            block.store(ty, voltage);
        }
    }
}

/// What regulates a neuron.
type Regulated = (
    &'static NeuronIndex,
    Option<&'static mut Homeostat>,
    Option<&'static mut Controller>,
);

/// System: advances the world by the planned stretch.
pub fn advance(
    mut tables: NeuronTables,
    types: Res<CellTypes>,
    kinds: Res<Kinds>,
    clock: Res<Clock>,
    planned: Res<Planned>,
    detection: Res<Detection>,
    kernel: Res<Kernel>,
    neurons: Res<Neurons>,
    mut plan: ResMut<Plan>,
    mut workspace: ResMut<Workspace>,
    mut coupling: ResMut<Coupling>,
    mut spikes: ResMut<Spikes>,
    mut below: ResMut<BelowZero>,
    mut regulated: Query<Regulated, Or<(With<Homeostat>, With<Controller>)>>,
    mut commands: Commands,
) {
    let steps = Steps::new(&clock, &planned, *detection);
    let columns = tables.columns();
    let (plans, generation) = plan.renew(&columns, &coupling, &kinds, &neurons);
    let work = workspace.of(plans, generation);
    let step = &steps.template;
    let shared = Shared {
        types: Types {
            eight: kernel::kernel_types(&types, step, &columns.eight),
            sixteen: kernel::kernel_types(&types, step, &columns.sixteen),
            thirty_two: kernel::kernel_types(&types, step, &columns.thirty_two),
        },
        cells: &types,
        kinds: &kinds,
        coupling: &coupling,
    };
    let AllColumns {
        eight,
        sixteen,
        thirty_two,
    } = columns;
    let mut regulators = Vec::new();
    if !steps.ticks.is_empty() && !regulated.is_empty() {
        regulators.resize_with(neurons.len(), Regulators::default);
        for (index, homeostat, controller) in &mut regulated {
            regulators[index.0 as usize] = Regulators {
                homeostat: homeostat.map(Mut::into_inner),
                controller: controller.map(Mut::into_inner),
            };
        }
    }
    let mut rows = AllRows {
        regulators,
        eight: Rows::new(eight),
        sixteen: Rows::new(sixteen),
        thirty_two: Rows::new(thirty_two),
    };
    let tasks = plans.iter().zip(work.iter_mut()).map(|(plan, work)| {
        let parts = plan.parts.iter();
        let rows = parts.map(|part| rows.take(&plan.blocks[part.blocks.clone()]));
        (plan, rows.collect(), work)
    });
    let found = each(tasks, 1, |(plan, rows, work)| {
        let mut piece = Piece::new(plan, rows, &shared, work);
        piece.run(*kernel, &shared, &steps);
        piece.store(&shared.types, work)
    });
    for (plan, work) in plans.iter().zip(work) {
        for (row, site) in work.now.release.iter().zip(&plan.sites) {
            for (s, origin) in row.iter().zip(&site.origin) {
                coupling.sites[*origin as usize].s = *s;
            }
        }
    }
    let first = spikes.list.len();
    let mut wrong = Vec::new();
    for told in found.into_iter().flatten() {
        spikes.list.extend(told.spikes);
        wrong.extend(told.wrong);
        for (index, lanes, t_ms) in told.falls {
            below.note(index, lanes, t_ms);
        }
    }
    let earliest = |a: &(NeuronIndex, f64, Wrong), b: &(NeuronIndex, f64, Wrong)| {
        a.1.total_cmp(&b.1).then(a.0.cmp(&b.0))
    };
    if let Some((index, t_ms, wrong)) = wrong.into_iter().min_by(earliest) {
        commands.insert_resource(Runaway::new(&neurons, index, t_ms, wrong));
    }
    spikes.list[first..].sort_by(|a, b| a.t_ms.total_cmp(&b.t_ms).then(a.neuron.cmp(&b.neuron)));
}
