//! The fixed-step scheme: in each step first the gates move (exactly, for the V and Ca of its
//! start), then V with the new gates (exactly, for frozen gates), then Ca and the synapses' s with
//! the new V. A gap junction sees its partner's old V, unless it is strong
//! ([`crate::coupling::EXPLICIT_GAP_LIMIT`]).
//!
//! At equal cost this is about ten times more accurate than moving everything from the old state
//! (Lie splitting of exponential Euler). Its error per step is of first order; slow bursters with
//! dozens of spikes a burst need 0.01 ms where fast cells are right at 0.05.

use std::ops::Range;

use bevy_ecs::prelude::*;
use rayon::prelude::*;

use super::columns::{AllColumns, Columns, NeuronTables};
use super::kernel::{self, Buffer, KernelType, Kinetics, Step, Sums};
use super::{Planned, dispatch};
use crate::channels::{BLOCK, CellTypes};
use crate::coupling::{Coupling, Kinds};
use crate::membrane::Input;
use crate::observe::{Detection, Spike, Spikes};
use crate::schedule::{Clock, Neurons, Stretch};

/// Rows that a worker takes through all steps of a stretch at a time; they stay in its cache.
const PIECE: usize = 64;

/// Scratch by neuron.
#[derive(Resource, Clone, Debug, Default)]
pub struct Signals {
    voltage: Vec<f64>,
    input: Vec<Input>,
    totals: Vec<Input>,
    solved: Vec<Option<f64>>,
}

/// Scratch of a run, by lane width.
#[derive(Resource, Default)]
pub struct Buffers {
    eight: Buffer<8>,
    sixteen: Buffer<16>,
    thirty_two: Buffer<32>,
}

impl Signals {
    fn fit(&mut self, n: usize) {
        self.voltage.resize(n, 0.0);
        self.input.resize(n, Input::default());
        self.totals.resize(n, Input::default());
        self.solved.resize(n, None);
    }
}

/// The steps of a stretch.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    template: Step,
    /// Grid point of the first step.
    first: u64,
    count: u64,
}

impl Steps {
    fn new(clock: &Clock, stretch: Stretch, detection: Detection) -> Self {
        let now = clock.now();
        let (dt, count, kinetics) = match stretch {
            Stretch::Whole { to } => (clock.dt(), to - clock.step(), Kinetics::Tables),
            Stretch::Part { to } => (to - now, 1, Kinetics::Direct),
            Stretch::Rest => (
                (clock.step() + 1) as f64 * clock.dt() - now,
                1,
                Kinetics::Direct,
            ),
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
        }
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

/// Rows of uncoupled neurons with what a worker needs to step them.
pub struct Piece<'a, 'b, const W: usize> {
    columns: &'a mut Columns<'b, W>,
    types: &'a [Option<KernelType<'a, W>>],
    steps: Steps,
    spikes: &'a mut Vec<Spike>,
}

/// Takes each run of a piece through all steps.
#[inline(always)]
pub fn run_piece<const W: usize>(piece: Piece<W>) {
    let mut buffer = Buffer::default();
    for rows in piece.columns.runs(BLOCK) {
        let Some(ty) = &piece.types[piece.columns.kind[rows.start].0 as usize] else {
            continue;
        };
        let run = &mut piece.columns.run(&rows);
        for k in 0..piece.steps.count {
            let step = piece.steps.get(k);
            kernel::step_run(run, ty, &step, None, &mut buffer, piece.spikes);
        }
    }
}

/// Runs the block for every run of some [`Tables`]; a macro, so that the block is compiled for the
/// vector width of the caller.
macro_rules! for_each_run {
    ($tables:expr, |$run:ident, $ty:ident| $block:block) => {
        for (table, runs) in $tables.columns.iter_mut().zip(&$tables.runs) {
            for rows in runs {
                if let Some($ty) = &$tables.types[table.kind[rows.start].0 as usize] {
                    let $run = &mut table.run(rows);
                    $block
                }
            }
        }
    };
}

/// Columns of one lane width with their runs and types.
struct Tables<'a, const W: usize> {
    columns: Vec<Columns<'a, W>>,
    runs: Vec<Vec<Range<usize>>>,
    types: Vec<Option<KernelType<'a, W>>>,
    sums: Vec<Sums>,
    buffer: &'a mut Buffer<W>,
}

impl<'a, const W: usize> Tables<'a, W> {
    fn new(
        columns: Vec<Columns<'a, W>>,
        types: &'a CellTypes,
        step: &Step,
        buffer: &'a mut Buffer<W>,
    ) -> Self {
        let runs = columns.iter().map(|c| c.runs(BLOCK)).collect();
        let types = match columns.is_empty() {
            true => Vec::new(),
            false => kernel::kernel_types(types, step),
        };
        Tables {
            columns,
            runs,
            types,
            sums: Vec::new(),
            buffer,
        }
    }

    #[inline(always)]
    fn step(&mut self, step: &Step, input: &[Input], spikes: &mut Vec<Spike>) {
        for_each_run!(self, |run, ty| {
            kernel::step_run(run, ty, step, Some(input), self.buffer, spikes);
        });
    }

    #[inline(always)]
    fn gates(&mut self, step: &Step, input: &[Input], totals: &mut [Input]) {
        self.sums.clear();
        for_each_run!(self, |run, ty| {
            let sums = kernel::gates_run(run, ty, step, input, totals, self.buffer);
            self.sums.push(sums);
        });
    }

    #[inline(always)]
    fn membranes(&mut self, step: &Step, solved: &[Option<f64>], spikes: &mut Vec<Spike>) {
        let mut next = 0;
        for_each_run!(self, |run, ty| {
            kernel::membranes_run(run, ty, step, &self.sums[next], solved, spikes);
            next += 1;
        });
    }

    #[inline(always)]
    fn publish(&self, voltage: &mut [f64]) {
        for columns in &self.columns {
            kernel::publish(columns, voltage);
        }
    }
}

/// A coupled network and its steps.
pub struct Coupled<'a> {
    eight: Tables<'a, 8>,
    sixteen: Tables<'a, 16>,
    thirty_two: Tables<'a, 32>,
    steps: Steps,
    coupling: &'a mut Coupling,
    kinds: &'a Kinds,
    neurons: &'a Neurons,
    signals: &'a mut Signals,
    spikes: &'a mut Vec<Spike>,
}

/// Takes a coupled network through all steps.
#[inline(always)]
pub fn run_coupled(mut net: Coupled) {
    net.publish();
    let implicit = !net.coupling.implicit.is_empty();
    for k in 0..net.steps.count {
        let step = net.steps.get(k);
        net.coupling.gather(
            net.kinds,
            &net.signals.voltage,
            false,
            &mut net.signals.input,
        );
        if implicit {
            net.implicit_step(&step);
        } else {
            let (input, spikes) = (&net.signals.input, &mut *net.spikes);
            net.eight.step(&step, input, spikes);
            net.sixteen.step(&step, input, spikes);
            net.thirty_two.step(&step, input, spikes);
        }
        net.publish();
        match step.kinetics {
            Kinetics::Tables => net.coupling.advance_sites(net.kinds, &net.signals.voltage),
            Kinetics::Direct => {
                net.coupling
                    .advance_sites_directly(net.kinds, &net.signals.voltage, step.dt);
            }
        }
    }
}

impl Coupled<'_> {
    #[inline(always)]
    fn publish(&mut self) {
        self.eight.publish(&mut self.signals.voltage);
        self.sixteen.publish(&mut self.signals.voltage);
        self.thirty_two.publish(&mut self.signals.voltage);
    }

    #[inline(always)]
    fn implicit_step(&mut self, step: &Step) {
        let Signals {
            voltage,
            input,
            totals,
            solved,
        } = &mut *self.signals;
        self.eight.gates(step, input, totals);
        self.sixteen.gates(step, input, totals);
        self.thirty_two.gates(step, input, totals);
        let capacitance = |k: usize| self.neurons.capacitance(k);
        kernel::solve_implicit(
            self.coupling,
            self.kinds,
            capacitance,
            step,
            totals,
            voltage,
            solved,
        );
        self.eight.membranes(step, solved, self.spikes);
        self.sixteen.membranes(step, solved, self.spikes);
        self.thirty_two.membranes(step, solved, self.spikes);
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
    mut signals: ResMut<Signals>,
    mut buffers: ResMut<Buffers>,
    mut spikes: ResMut<Spikes>,
) {
    let steps = Steps::new(&clock, planned.0, *detection);
    let columns = tables.columns();
    let first = spikes.list.len();
    if coupling.is_empty() {
        uncoupled(columns, &types, steps, &mut spikes.list);
    } else {
        signals.fit(neurons.len());
        let buffers = &mut *buffers;
        let step = &steps.template;
        dispatch::coupled(Coupled {
            eight: Tables::new(columns.eight, &types, step, &mut buffers.eight),
            sixteen: Tables::new(columns.sixteen, &types, step, &mut buffers.sixteen),
            thirty_two: Tables::new(columns.thirty_two, &types, step, &mut buffers.thirty_two),
            steps,
            coupling: &mut coupling,
            kinds: &kinds,
            neurons: &neurons,
            signals: &mut signals,
            spikes: &mut spikes.list,
        });
    }
    spikes.list[first..].sort_by(|a, b| a.t_ms.total_cmp(&b.t_ms).then(a.neuron.cmp(&b.neuron)));
}

fn uncoupled(columns: AllColumns, types: &CellTypes, steps: Steps, spikes: &mut Vec<Spike>) {
    pieces(columns.eight, types, steps, spikes);
    pieces(columns.sixteen, types, steps, spikes);
    pieces(columns.thirty_two, types, steps, spikes);
}

/// Steps each piece of rows on its own, on as many workers as there are.
fn pieces<const W: usize>(
    tables: Vec<Columns<W>>,
    types: &CellTypes,
    steps: Steps,
    spikes: &mut Vec<Spike>,
) {
    if tables.is_empty() {
        return;
    }
    let types = kernel::kernel_types::<W>(types, &steps.template);
    let mut pieces: Vec<_> = tables.into_iter().flat_map(|c| c.pieces(PIECE)).collect();
    let run = |columns: &mut Columns<W>| {
        let mut spikes = Vec::new();
        dispatch::piece(Piece {
            columns,
            types: &types,
            steps,
            spikes: &mut spikes,
        });
        spikes
    };
    if let [piece] = pieces.as_mut_slice() {
        spikes.extend(run(piece));
        return;
    }
    let found: Vec<Vec<Spike>> = pieces.par_iter_mut().map(run).collect();
    spikes.extend(found.into_iter().flatten());
}
