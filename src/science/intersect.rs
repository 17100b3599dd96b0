//! Intersections in conductance space (Fyon & Drion, arXiv 2412.04172): homeostasis moves the
//! conductances of a cell along one scalar, a controller holds two of them where its dynamic input
//! conductances are as wanted, and the cell comes to rest where its mean calcium is on target.
//!
//! `lambda` is that scalar: what homeostasis has made of a conductance over what it was at the
//! start. Conductances that are regulated lie on a line over lambda, `g_k(0)` a unit; those that are
//! held are solved for anew at each lambda; all others stay. Mean calcium of the neuron with the
//! conductances of a lambda frozen says which way homeostasis goes from there, so the first lambda on
//! that way at which it is on target is where the cell stays: if it still fires as wanted there, and
//! no conductance would be negative.

use std::{collections::BTreeMap, ops::ControlFlow};

use bevy_ecs::{prelude::Entity, world::World};
use homarus_systems::{
    address::{self, Address, ChannelScalar},
    assembly::{NeuronSpec, RunError, Timing},
    channels::{Block, CellType, CellTypeId, CellTypes, CompileError, Parameters},
    dic::Compensation,
    frozen,
    homeostasis::Homeostat,
    integrate::Kernel,
    math,
    neuromodulation::Controller,
    observe::{Detection, Observers, Spikes},
    schedule::{Clock, Neurons},
};
use serde::Serialize;

use crate::{
    rhythm::{Pattern, published_burst_measures},
    scene::model::Scene,
};

/// Model time that a frozen neuron has to settle (ms).
pub const SETTLE_MS: f64 = 3_000.0;
/// End of a run for mean calcium (ms).
pub const CALCIUM_MS: f64 = 8_000.0;
/// End of a run for the firing pattern (ms).
pub const PATTERN_MS: f64 = 15_000.0;

/// Factor from the first lambda to the last of a walk that finds nothing.
const SPAN: f64 = 100.0;
/// Steps of such a walk, equal in ln lambda (3 %).
const STRIDES: usize = 154;
/// How close to target, relative to it, mean calcium at an end of a step is for the step to be taken
/// in smaller ones: calcium jumps where a burst loses a spike, and homeostasis stops in a dip between
/// two such jumps, however narrow.
const CLOSE: f64 = 0.2;
/// Smaller steps (0.75 %) that it is then taken in.
const SMALLER: usize = 4;
/// Factor from the last crossing to the end of a walk.
const BEYOND: f64 = std::f64::consts::E;
/// Bisections of a step of a walk, each on ln lambda.
const BISECTIONS: usize = 10;
/// Neurons in one network at least, so that vectors and threads are full.
const BATCH: usize = 64;
/// Strides of a cell in one network at most: what lies beyond the end of a walk is wasted.
const MOST_STRIDES: usize = 16;

/// Solves for what is held until it is taken to have no place to stay, and how little it then moves,
/// relative to itself.
const SOLVES: usize = 100;
const SOLVED: f64 = 1e-12;

/// Factor by which the burstiness of a kept pattern may change: what a crash leaves of a burster
/// passes as bursting now and then, with a hundredth of its burstiness.
const KEPT_BURSTINESS: f64 = 4.0;

/// What a frozen neuron is run by.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Step (ms).
    pub step_ms: f64,
    /// Control interval (ms).
    pub control_ms: f64,
    /// Spike detection.
    pub detection: Detection,
    /// Code path.
    pub kernel: Kernel,
}

impl Probe {
    /// As the cells of a scene are run.
    pub fn of(scene: &Scene, kernel: Kernel) -> Self {
        Probe {
            step_ms: scene.step_ms,
            control_ms: scene.control_ms,
            detection: Detection {
                threshold: scene.threshold_mv,
                rearm: scene.rearm_mv,
            },
            kernel,
        }
    }

    /// Runs frozen neurons from their start states to `to_ms`; what each does after
    /// [`SETTLE_MS`].
    ///
    /// # Errors
    /// See [`Trouble`].
    pub fn run(
        &self,
        neurons: Vec<NeuronSpec>,
        to_ms: f64,
        pulse: &mut Pulse,
    ) -> Result<Vec<State>, Trouble> {
        let timing = Timing {
            dt: self.step_ms,
            control: self.control_ms,
            end: to_ms,
        };
        let count = neurons.len();
        let mut simulation = frozen::network(neurons, timing, (self.detection, self.kernel))?;
        observe(&mut simulation.world, [SETTLE_MS, to_ms]);
        let mut going = true;
        simulation.run_while(|world| {
            going = pulse(world.resource::<Clock>().now()).is_continue();
            forget(world, SETTLE_MS);
            match going {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        match going {
            true => Ok(states(&simulation.world, count, SETTLE_MS)),
            false => Err(Trouble::Stopped),
        }
    }
}

/// Told how far runs of frozen neurons have come (ms); it may break them off.
pub type Pulse<'a> = dyn FnMut(f64) -> ControlFlow<()> + Send + 'a;

/// Why there is no answer for anybody.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The kinetics of a neuron cannot be tabulated.
    #[error(transparent)]
    Kinetics(#[from] CompileError),
    /// A run left all sense.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The user broke off.
    #[error("stopped")]
    Stopped,
}

/// What a neuron does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct State {
    /// Mean calcium (µM).
    pub ca_mean_um: f64,
    /// Firing pattern.
    pub pattern: Pattern,
    /// Burstiness by the published measure (Hz²), where it is defined.
    pub burstiness_hz2: Option<f64>,
}

impl State {
    /// Whether a neuron still fires as it did in the state `wanted`.
    pub fn keeps(&self, wanted: &State) -> bool {
        let strength = match (self.burstiness_hz2, wanted.burstiness_hz2) {
            (Some(now), Some(then)) => {
                now <= KEPT_BURSTINESS * then && then <= KEPT_BURSTINESS * now
            }
            _ => true,
        };
        self.pattern == wanted.pattern && strength
    }
}

/// Asks for mean calcium over a window (ms), behind all other windows.
pub(super) fn observe(world: &mut World, [from, to]: [f64; 2]) {
    world.resource_mut::<Observers>().window(from, to);
}

/// Forgets the spikes before a window that has not begun.
pub(super) fn forget(world: &mut World, from_ms: f64) {
    if world.resource::<Clock>().now() < from_ms {
        world.resource_mut::<Spikes>().list.clear();
    }
}

/// What the neurons did in the last window, from `from_ms` on.
pub(super) fn states(world: &World, neurons: usize, from_ms: f64) -> Vec<State> {
    let mut trains = vec![Vec::new(); neurons];
    for spike in &world.resource::<Spikes>().list {
        if spike.t_ms >= from_ms {
            trains[spike.neuron.0 as usize].push(spike.t_ms);
        }
    }
    let now = world.resource::<Clock>().now();
    let window = world.resource::<Observers>().windows.last();
    let mean = |k: usize| window.and_then(|window| window.mean(k, now));
    let trains = trains.iter().enumerate();
    trains
        .map(|(k, spikes)| State {
            ca_mean_um: mean(k).unwrap_or(f64::NAN),
            pattern: Pattern::of(spikes),
            burstiness_hz2: published_burst_measures(spikes).map(|m| m.burstiness_hz2),
        })
        .collect()
}

/// Two conductances that are solved for.
#[derive(Clone, Debug)]
pub struct Held {
    /// Lanes; one that the controller has given up stays where it is.
    pub lanes: Vec<(usize, bool)>,
    /// Wanted slow and ultraslow dynamic input conductance.
    pub wanted: [f64; 2],
    /// The solve.
    pub plan: Compensation,
}

impl Held {
    /// Brings the held conductances among `gbar` (mS/cm², by lane) to where a controller would leave
    /// them; false: there is no such place. One that carries calcium moves its own reference.
    fn settle(&self, cell: &CellType, seen: &[f64], gbar: &mut [f64]) -> bool {
        for _ in 0..SOLVES {
            let Some(solution) = self.plan.reference(cell, gbar, seen, self.wanted) else {
                return false;
            };
            let mut stays = true;
            for ((lane, on), g) in self.lanes.iter().zip(solution) {
                if *on {
                    stays &= (g - gbar[*lane]).abs() <= SOLVED * g.abs();
                    gbar[*lane] = g;
                }
            }
            if stays {
                return true;
            }
        }
        false
    }
}

/// What moves the conductances of a cell from a moment on.
#[derive(Clone, Debug)]
pub struct Regulation {
    /// The cell with its conductances of the moment frozen.
    pub neuron: NeuronSpec,
    /// Its type.
    pub cell: CellType,
    /// Where homeostasis will have brought each conductance if it stops now (mS/cm²), by lane.
    pub gbar: Vec<f64>,
    /// What homeostasis adds to each conductance in a unit of lambda (mS/cm²), by lane.
    pub direction: Vec<f64>,
    /// Lambda of the moment.
    pub lambda: f64,
    /// Calcium target (µM).
    pub ca_target: f64,
    /// What a controller holds.
    pub held: Option<Held>,
    /// What is left of each current (1), by lane.
    pub left: Vec<f64>,
    /// What compensation solves know of that.
    pub seen: Vec<f64>,
    /// Lane and start value (mS/cm²) that lambda is counted by.
    pub scale: (usize, f64),
}

impl Regulation {
    /// That of a cell (index) as it is now, its conductances at the start (mS/cm², by lane) being
    /// `start`. `None`: homeostasis moves nothing of it.
    pub fn of(world: &World, index: usize, start: &[f64]) -> Option<Self> {
        let entity = world.resource::<Neurons>().entity(index);
        let types = world.resource::<CellTypes>();
        let cell = types.get(*world.get::<CellTypeId>(entity)?).clone();
        let homeostat = world.get::<Homeostat>(entity)?;
        let moved = || homeostat.channels.iter().filter(|c| c.on && c.ratio != 0.0);
        let reference = cell.definition.homeostat_reference.as_deref();
        let reference = reference.and_then(|channel| cell.lane(channel));
        let counted = moved().find(|c| Some(c.lane) == reference);
        let counted = counted.or_else(|| moved().next())?;
        let first = start[counted.lane];
        if first == 0.0 {
            return None;
        }
        let mut gbar = conductances(world, index, cell.channels());
        let mut direction = vec![0.0; gbar.len()];
        for channel in moved() {
            gbar[channel.lane] = channel.mrna;
            direction[channel.lane] = channel.ratio / counted.ratio * first;
        }
        let held = world.get::<Controller>(entity).filter(|c| c.on());
        let held = held.and_then(|controller| {
            let parameters = &world.get::<Parameters>(entity)?.0;
            let lanes = controller.channels.each_ref().map(|c| c.lane);
            let factors = cell.tau_factors(parameters);
            Some(Held {
                lanes: controller.channels.iter().map(|c| (c.lane, c.on)).collect(),
                wanted: [controller.g_s, controller.g_u],
                plan: Compensation::new(&cell, controller.v_th, &factors, lanes)?,
            })
        });
        let [left, seen] = blocks(world, entity)?;
        Some(Regulation {
            neuron: frozen::neuron(world, index)?,
            lambda: counted.mrna / first,
            ca_target: homeostat.settings.ca_target,
            scale: (counted.lane, first),
            cell,
            gbar,
            direction,
            held,
            left,
            seen,
        })
    }

    /// Conductances (mS/cm²) at a lambda, by lane. `None`: what is held has no solution there.
    pub fn at(&self, lambda: f64) -> Option<Vec<f64>> {
        let lanes = self.gbar.iter().zip(&self.direction);
        let moved = lanes.map(|(g, slope)| (lambda - self.lambda).mul_add(*slope, *g));
        let mut gbar: Vec<f64> = moved.collect();
        match &self.held {
            Some(held) => held
                .settle(&self.cell, &self.seen, &mut gbar)
                .then_some(gbar),
            None => Some(gbar),
        }
    }

    /// The neuron with the conductances of a lambda (mS/cm²) frozen; one below zero counts as 0.
    pub fn frozen(&self, gbar: &[f64]) -> NeuronSpec {
        let felt = gbar.iter().zip(&self.left);
        NeuronSpec {
            gbar: felt.map(|(g, left)| g.max(0.0) * left).collect(),
            ..self.neuron.clone()
        }
    }

    /// The first channel that would be negative at a lambda.
    fn negative(&self, lambda: f64) -> Option<&str> {
        let gbar = self.at(lambda)?;
        let lane = gbar.iter().position(|g| *g < 0.0)?;
        Some(self.cell.channel_name(lane))
    }

    /// Names of channels with their conductances (mS/cm²).
    pub fn named(&self, gbar: &[f64]) -> BTreeMap<String, f64> {
        let lanes = gbar.iter().enumerate();
        lanes
            .map(|(lane, g)| (self.cell.channel_name(lane).to_owned(), *g))
            .collect()
    }
}

/// Conductances of a cell (mS/cm²) by lane.
pub fn conductances(world: &World, index: usize, channels: usize) -> Vec<f64> {
    let read = |lane| address::read(world, Address::Channel(index, lane, ChannelScalar::Gbar));
    (0..channels)
        .map(|lane| read(lane).unwrap_or(0.0))
        .collect()
}

/// What blocks leave of the currents of a neuron, as it feels it and as compensation solves know it.
fn blocks(world: &World, entity: Entity) -> Option<[Vec<f64>; 2]> {
    fn of<const W: usize>(world: &World, entity: Entity) -> Option<[Vec<f64>; 2]> {
        let block = world.get::<Block<W>>(entity)?;
        Some([&block.factor, &block.seen].map(|lanes| lanes.0.to_vec()))
    }
    of::<8>(world, entity)
        .or_else(|| of::<16>(world, entity))
        .or_else(|| of::<32>(world, entity))
}

/// A state with its conductances.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Lambda (1).
    pub lambda: f64,
    /// Conductances (mS/cm²) by channel.
    pub gbar: BTreeMap<String, f64>,
    /// What the neuron does there.
    #[serde(flatten)]
    pub state: State,
}

/// Why a cell has no admissible intersection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Missing {
    /// Mean calcium is on target nowhere on the way.
    NoCrossing {
        /// Lambda at the end of the walk.
        to_lambda: f64,
        /// Lowest and highest mean calcium (µM) on the way.
        ca_um: [f64; 2],
    },
    /// A conductance would be negative before calcium is on target.
    Negative {
        /// The channel.
        channel: String,
        /// Lambda at which it is 0.
        lambda: f64,
        /// Lowest and highest mean calcium (µM) up to there.
        ca_um: [f64; 2],
    },
    /// The cell does not fire as it did at the moment when calcium is on target.
    PatternLost {
        /// Lambda there.
        at_lambda: f64,
        /// How it fires there.
        pattern: Pattern,
    },
    /// No conductances give the wanted dynamic input conductances.
    NoSolution {
        /// Lambda at which there are none.
        lambda: f64,
    },
}

/// What becomes of a cell, by its intersections.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Where it comes from.
    pub from: Place,
    /// Where it stays; `None`: nowhere.
    pub intersection: Option<Place>,
    /// Why there is none.
    pub missing: Option<Missing>,
    /// Where calcium is on target farther along the way, negative conductances counting as 0.
    pub later: Vec<Place>,
    /// Lambda (1) and mean calcium (µM) as far as the way was walked.
    pub curve: Vec<[f64; 2]>,
}

/// The walk of one cell.
struct Walk<'a> {
    regulation: &'a Regulation,
    /// Stride in ln lambda: down where calcium is above its target.
    stride: f64,
    /// Lambda and mean calcium (µM) as far as it has come.
    points: Vec<[f64; 2]>,
    /// Points (places in `points`) behind which calcium is on the other side of its target.
    crossings: Vec<usize>,
    /// Lambda at which what is held has no solution.
    stopped: Option<f64>,
    done: bool,
}

impl<'a> Walk<'a> {
    fn new(regulation: &'a Regulation, from: &State) -> Self {
        let down = from.ca_mean_um > regulation.ca_target;
        Walk {
            regulation,
            stride: math::ln(SPAN) / STRIDES as f64 * if down { -1.0 } else { 1.0 },
            points: vec![[regulation.lambda, from.ca_mean_um]],
            crossings: Vec::new(),
            stopped: None,
            // ln lambda needs a lambda, and a direction a target that is a number.
            done: regulation.lambda <= 0.0 || from.ca_mean_um.is_nan(),
        }
    }

    /// Lambda of the k-th point.
    fn lambda(&self, k: usize) -> f64 {
        self.regulation.lambda * math::exp(self.stride * k as f64)
    }

    /// The next `count` lambdas with their conductances, up to where there is no solution.
    fn next(&mut self, count: usize) -> Vec<(f64, Vec<f64>)> {
        let first = self.points.len();
        let mut next = Vec::new();
        for lambda in (first..first + count).map(|k| self.lambda(k)) {
            match self.regulation.at(lambda) {
                Some(gbar) => next.push((lambda, gbar)),
                None => {
                    self.stopped = Some(lambda);
                    break;
                }
            }
        }
        next
    }

    /// Goes on to the next lambda.
    fn step(&mut self, lambda: f64, ca: f64) {
        if self.done {
            return;
        }
        let above = |ca: f64| ca > self.regulation.ca_target;
        if above(self.points[self.points.len() - 1][1]) != above(ca) {
            self.crossings.push(self.points.len());
        }
        self.points.push([lambda, ca]);
        let beyond = (math::ln(BEYOND) / self.stride.abs()).ceil() as usize;
        let end = self.crossings.last().map_or(STRIDES, |k| k + beyond);
        self.done = self.points.len() > end.min(STRIDES);
    }

    /// Puts points in their order on the way, with the crossings between them.
    fn sort(&mut self) {
        let (down, target) = (self.stride < 0.0, self.regulation.ca_target);
        self.points.sort_by(|[a, _], [b, _]| match down {
            true => b.total_cmp(a),
            false => a.total_cmp(b),
        });
        let ends = 1..self.points.len();
        let above = |k: usize| self.points[k][1] > target;
        self.crossings = ends.filter(|k| above(k - 1) != above(*k)).collect();
    }

    /// Lowest and highest mean calcium (µM) of the first `count` points.
    fn range(&self, count: usize) -> [f64; 2] {
        let calcium = self.points[..count].iter().map(|[_, ca]| *ca);
        calcium.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], ca| {
            [low.min(ca), high.max(ca)]
        })
    }

    /// The first lambda on the way, up to point `last`, at which a conductance is below zero; with
    /// the channel and the number of points before it.
    fn negative(&self, last: usize) -> Option<(String, f64, usize)> {
        let negative = |lambda: f64| self.regulation.negative(lambda);
        let k = (0..=last).find(|k| negative(self.points[*k][0]).is_some())?;
        let mut bad = self.points[k][0];
        if k > 0 {
            let mut good = self.points[k - 1][0];
            for _ in 0..40 {
                let middle = (good * bad).sqrt();
                match negative(middle) {
                    Some(_) => bad = middle,
                    None => good = middle,
                }
            }
        }
        Some((negative(bad)?.to_owned(), bad, k.max(1)))
    }
}

/// Runs of frozen neurons, one after the other, and how far they have come in all.
struct Runs<'a, 'p> {
    probe: &'a Probe,
    pulse: &'a mut Pulse<'p>,
    told_ms: f64,
}

impl Runs<'_, '_> {
    /// Runs neurons to `to_ms`, of which each ms is told as `share`.
    fn run(
        &mut self,
        neurons: Vec<NeuronSpec>,
        to_ms: f64,
        share: f64,
    ) -> Result<Vec<State>, Trouble> {
        let start = self.told_ms;
        self.told_ms += to_ms * share;
        if neurons.is_empty() {
            return Ok(Vec::new());
        }
        let pulse = &mut *self.pulse;
        self.probe
            .run(neurons, to_ms, &mut |now| pulse(now.mul_add(share, start)))
    }
}

/// Conductances of a cell (place in a list) at a lambda.
type Asked = (usize, f64, Vec<f64>);

/// Finds the intersections of cells with what moves their conductances, in batches of frozen
/// neurons. `pulse` is told of model time (ms) out of [`WORK_MS`].
///
/// # Errors
/// See [`Trouble`].
pub fn predict(
    regulations: &[Regulation],
    probe: &Probe,
    pulse: &mut Pulse,
) -> Result<Vec<Prediction>, Trouble> {
    let told_ms = 0.0;
    let mut runs = Runs {
        probe,
        pulse,
        told_ms,
    };
    // The pair that a controller is to hold is not there yet at the moment itself.
    let from = regulations.iter().enumerate();
    let from: Vec<Asked> = from
        .map(|(k, r)| {
            (
                k,
                r.lambda,
                r.at(r.lambda).unwrap_or_else(|| r.gbar.clone()),
            )
        })
        .collect();
    let calcium = runs.run(frozen_at(regulations, &from), CALCIUM_MS, 1.0)?;
    let mut walks: Vec<Walk> = regulations
        .iter()
        .zip(&calcium)
        .map(|(regulation, state)| Walk::new(regulation, state))
        .collect();
    walk(&mut walks, regulations, &mut runs)?;
    look_closer(&mut walks, regulations, &mut runs)?;
    let crossings = bisect(&walks, regulations, &mut runs)?;
    let all: Vec<Asked> = from.into_iter().chain(crossings).collect();
    let states = runs.run(frozen_at(regulations, &all), PATTERN_MS, 1.0)?;
    let mut places = vec![Vec::new(); walks.len()];
    for ((k, lambda, gbar), state) in all.into_iter().zip(states) {
        let gbar = regulations[k].named(&gbar);
        places[k].push(Place {
            lambda,
            gbar,
            state,
        });
    }
    let cells = walks.iter().zip(places);
    Ok(cells
        .map(|(walk, mut places)| {
            let from = places.remove(0);
            judge(walk, from, places)
        })
        .collect())
}

fn frozen_at(regulations: &[Regulation], asked: &[Asked]) -> Vec<NeuronSpec> {
    let neurons = asked.iter();
    neurons
        .map(|(k, _, gbar)| regulations[*k].frozen(gbar))
        .collect()
}

/// Walks to the end, all cells side by side.
fn walk(walks: &mut [Walk], regulations: &[Regulation], runs: &mut Runs) -> Result<(), Trouble> {
    let strides = BATCH.div_ceil(walks.len().max(1)).clamp(4, MOST_STRIDES);
    let (from_ms, share) = (runs.told_ms, strides as f64 / STRIDES as f64);
    while walks.iter().any(|walk| !walk.done) {
        let mut asked: Vec<Asked> = Vec::new();
        for (k, walk) in walks.iter_mut().enumerate().filter(|(_, w)| !w.done) {
            let next = walk.next(strides).into_iter();
            asked.extend(next.map(|(lambda, gbar)| (k, lambda, gbar)));
        }
        let share = share * WALK_MS / CALCIUM_MS;
        let states = runs.run(frozen_at(regulations, &asked), CALCIUM_MS, share)?;
        for ((k, lambda, _), state) in asked.iter().zip(states) {
            walks[*k].step(*lambda, state.ca_mean_um);
        }
        for walk in walks.iter_mut() {
            walk.done |= walk.stopped.is_some();
        }
    }
    runs.told_ms = from_ms + WALK_MS;
    Ok(())
}

/// Takes the steps that begin or end close to target in smaller ones, all cells side by side.
fn look_closer(
    walks: &mut [Walk],
    regulations: &[Regulation],
    runs: &mut Runs,
) -> Result<(), Trouble> {
    let mut asked: Vec<Asked> = Vec::new();
    for (k, walk) in walks.iter().enumerate() {
        let target = walk.regulation.ca_target;
        let close = |[_, ca]: &[f64; 2]| (ca - target).abs() < CLOSE * target;
        for pair in walk.points.windows(2).filter(|pair| pair.iter().any(close)) {
            let [from, to] = [pair[0][0], pair[1][0]].map(math::ln);
            for part in 1..SMALLER {
                let share = part as f64 / SMALLER as f64;
                let lambda = math::exp((to - from).mul_add(share, from));
                let gbar = walk.regulation.at(lambda);
                asked.extend(gbar.map(|gbar| (k, lambda, gbar)));
            }
        }
    }
    let states = runs.run(frozen_at(regulations, &asked), CALCIUM_MS, 1.0)?;
    for ((k, lambda, _), state) in asked.iter().zip(states) {
        walks[*k].points.push([*lambda, state.ca_mean_um]);
    }
    for walk in walks {
        walk.sort();
    }
    Ok(())
}

/// Lambda of every crossing, cell by cell in their order on the way, all side by side.
fn bisect(
    walks: &[Walk],
    regulations: &[Regulation],
    runs: &mut Runs,
) -> Result<Vec<Asked>, Trouble> {
    let above = |k: usize, ca: f64| ca > regulations[k].ca_target;
    let mut brackets = Vec::new();
    for (k, walk) in walks.iter().enumerate() {
        let steps = walk.crossings.iter();
        brackets.extend(steps.map(|far| {
            let ([near, _], [far, ca]) = (walk.points[far - 1], walk.points[*far]);
            (k, [near, far], above(k, ca))
        }));
    }
    let middles = |brackets: &[(usize, [f64; 2], bool)]| -> Vec<Asked> {
        let brackets = brackets.iter();
        brackets
            .map(|(k, [near, far], _)| {
                let (r, lambda) = (&regulations[*k], (near * far).sqrt());
                (*k, lambda, r.at(lambda).unwrap_or_else(|| r.gbar.clone()))
            })
            .collect()
    };
    for _ in 0..BISECTIONS {
        let asked = middles(&brackets);
        let states = runs.run(frozen_at(regulations, &asked), CALCIUM_MS, 1.0)?;
        for ((bracket, (k, lambda, _)), state) in brackets.iter_mut().zip(asked).zip(states) {
            let (_, [near, far], far_above) = bracket;
            match above(k, state.ca_mean_um) == *far_above {
                true => *far = lambda,
                false => *near = lambda,
            }
        }
    }
    Ok(middles(&brackets))
}

/// Model time (ms) that a walk to the end of its span is told as.
const WALK_MS: f64 = 500_000.0;

/// Model time (ms) that [`predict`] tells of.
pub const WORK_MS: f64 = WALK_MS + CALCIUM_MS * (2 + BISECTIONS) as f64 + PATTERN_MS;

/// Which of the crossings of a walk, in their order on the way, the cell stays at, and if none, why.
fn judge(walk: &Walk, from: Place, mut places: Vec<Place>) -> Prediction {
    let end = walk.points.len() - 1;
    let before = walk.crossings.first().map_or(end, |crossing| crossing - 1);
    let below_zero = |place: &Place| {
        let mut gbar = place.gbar.iter();
        gbar.find(|(_, g)| **g < 0.0)
            .map(|(channel, _)| channel.clone())
    };
    let negative = walk.negative(before).or_else(|| {
        // Between the last point and the crossing itself.
        let place = places.first()?;
        Some((below_zero(place)?, place.lambda, before + 1))
    });
    let missing = match (negative, places.first()) {
        (Some((channel, lambda, points)), _) => Some(Missing::Negative {
            channel,
            lambda,
            ca_um: walk.range(points),
        }),
        (None, Some(place)) if place.state.keeps(&from.state) => None,
        (None, Some(place)) => Some(Missing::PatternLost {
            at_lambda: place.lambda,
            pattern: place.state.pattern,
        }),
        (None, None) => Some(match walk.stopped {
            Some(lambda) => Missing::NoSolution { lambda },
            None => Missing::NoCrossing {
                to_lambda: walk.points[end][0],
                ca_um: walk.range(walk.points.len()),
            },
        }),
    };
    let intersection = match missing {
        None if !places.is_empty() => Some(places.remove(0)),
        _ => None,
    };
    Prediction {
        from,
        intersection,
        missing,
        later: places,
        curve: walk.points.clone(),
    }
}
