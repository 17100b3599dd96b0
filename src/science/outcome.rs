//! Predicted intersections held against the run itself: a scene is run up to a moment at which its
//! protocol changes what regulates the cells, what becomes of each is predicted
//! ([`super::intersect`]), and the run goes on to tell.

use std::{collections::BTreeMap, ops::ControlFlow};

use bevy_ecs::world::World;
use homarus_systems::{
    assembly::Simulation,
    observe::{Observers, Spikes},
    protocol,
    schedule::{Clock, ThroughTicks},
};
use serde::Serialize;

use super::{
    intersect::{
        self, Place, Prediction, Probe, Regulation, Trouble, WORK_MS, conductances, forget,
        observe, states,
    },
    statistics::median,
};
use crate::{
    execution::{self, Execution},
    run::{Failure, Progress},
    scene::{
        Diagnostic,
        model::{Action, Scene},
        spawn,
    },
};

/// Most of the model time before its end over which what has become of a cell is told (ms).
const WINDOW_MS: f64 = 12_000.0;
/// Share of the time from the moment on that it takes at most.
const WINDOW_SHARE: f64 = 0.25;
/// How far from its target mean calcium is in place, relative to the target.
pub const IN_PLACE: f64 = 0.05;

/// Neurons from which a second thread is of use: a walk has more of them than the scene has cells.
const WALKING: usize = 64;

/// What became of a cell in the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reached {
    /// Where it is at the end; what it does over the last seconds.
    #[serde(flatten)]
    pub place: Place,
    /// Whether it fires as it did at the moment.
    pub kept_pattern: bool,
    /// Whether calcium is on target within [`IN_PLACE`].
    pub calcium_in_place: bool,
}

impl Reached {
    /// Both.
    pub fn settled(&self) -> bool {
        self.kept_pattern && self.calcium_in_place
    }
}

/// A cell with what regulates it and what becomes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Name.
    pub name: String,
    /// Channels in lane order.
    #[serde(skip)]
    pub channels: Vec<String>,
    /// Channels that homeostasis moves.
    pub moved: Vec<String>,
    /// Channels that a controller holds.
    pub held: Vec<String>,
    /// Slow and ultraslow dynamic input conductance that it holds them for.
    pub held_for: Option<[f64; 2]>,
    /// Calcium target (µM).
    pub ca_target_um: f64,
    /// What should become of it.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// What became of it, if the run was asked.
    pub reached: Option<Reached>,
}

/// Numbers of cells by what was predicted and what came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// An intersection, and the cell settled.
    pub hit: usize,
    /// An intersection, and the cell did not settle.
    pub false_alarm: usize,
    /// No intersection, and the cell settled all the same.
    pub miss: usize,
    /// No intersection, and the cell did not settle.
    pub correct_rejection: usize,
}

/// How a predicted conductance compares to the one reached, over cells that settled as predicted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Channel.
    pub channel: String,
    /// Number of cells.
    pub cells: usize,
    /// Median of the predicted conductances (mS/cm²).
    pub predicted: f64,
    /// Median of those reached (mS/cm²).
    pub reached: f64,
    /// Median of the relative difference, its sign taken off (1).
    pub median_difference: f64,
    /// Greatest relative difference (1).
    pub greatest_difference: f64,
}

/// Predictions for the cells of a scene, and the truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The moment (ms) from which on is predicted.
    pub at_ms: f64,
    /// End of what is predicted: the next moment, or the end of the scene (ms).
    pub until_ms: f64,
    /// Cells that are regulated.
    pub cells: Vec<Cell>,
    /// Cells that are not.
    pub unregulated: Vec<String>,
    /// Predictions against the run.
    pub confusion: Option<Confusion>,
    /// Conductances that were predicted and reached.
    pub conductances: Vec<Comparison>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Moments (ms), ascending, from 0 on: times at which the protocol of a scene changes conductances
/// or what regulates them.
pub fn moments(scene: &Scene) -> Vec<f64> {
    let entries = scene.protocol.iter().filter_map(|entry| {
        let at = entry.at_ms;
        match &entry.action {
            Action::Ramp { over_ms, .. } => Some(at + over_ms),
            Action::Cut { .. }
            | Action::Restore { .. }
            | Action::Current { .. }
            | Action::Reset { .. } => None,
            _ => Some(at),
        }
    });
    let mut moments: Vec<f64> = std::iter::once(0.0).chain(entries).collect();
    moments.retain(|t| *t < scene.duration_ms);
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    moments
}

/// Predicts what becomes of the cells of a scene from the moment `at_ms` on (`None`: the last of
/// [`moments`]); with `run` the scene tells.
///
/// # Errors
/// The network cannot be built or has no cell that is regulated, the moment lies beyond the end, a
/// run leaves all sense or is broken off.
pub fn study(
    scene: &Scene,
    execution: &Execution,
    at_ms: Option<f64>,
    run: bool,
    pulse: &mut crate::run::Pulse,
) -> Result<Outcome, Failure> {
    let moments = moments(scene);
    let at_ms = at_ms.unwrap_or_else(|| moments.last().copied().unwrap_or_default());
    if at_ms >= scene.duration_ms {
        let end = scene.duration_ms;
        return Err(wrong(
            format!("there is nothing to predict from {at_ms} ms on: the scene ends at {end} ms"),
            "an earlier `--at-ms`, or a longer `duration_ms`",
        ));
    }
    let next = moments.into_iter().find(|t| *t > at_ms);
    let span = Span {
        at_ms,
        until_ms: next.unwrap_or(scene.duration_ms),
        run,
    };
    let threads = execution.threads(scene.cells.len().max(WALKING));
    let pool = execution::pool(threads)?;
    pool.install(|| span.study(scene, execution, pulse))
}

/// What is predicted, and whether the run is asked.
struct Span {
    at_ms: f64,
    until_ms: f64,
    run: bool,
}

impl Span {
    fn study(
        &self,
        scene: &Scene,
        execution: &Execution,
        pulse: &mut crate::run::Pulse,
    ) -> Result<Outcome, Failure> {
        let truth_ms = if self.run {
            self.until_ms - self.at_ms
        } else {
            0.0
        };
        let end_ms = self.at_ms + WORK_MS + truth_ms;
        let mut told = |now_ms| pulse(Progress { now_ms, end_ms });
        let mut simulation = spawn::spawn(scene)?;
        simulation.world.init_resource::<ThroughTicks>();
        simulation.world.insert_resource(execution.kernel);
        let mut observers = simulation.world.resource_mut::<Observers>();
        // Nobody would take the samples away.
        observers.samplers.clear();
        simulation.start()?;
        let channels = |world: &World, cell: usize| {
            let channels = scene.cell_types[scene.cells[cell].cell_type].channels.len();
            conductances(world, cell, channels)
        };
        let cells = 0..scene.cells.len();
        let start: Vec<Vec<f64>> = cells
            .clone()
            .map(|cell| channels(&simulation.world, cell))
            .collect();
        advance(&mut simulation, self.at_ms, self.at_ms, &mut told)?;
        // What is due at the moment has acted when it is over.
        protocol::act(&mut simulation.world);
        let found = cells.map(|k| Regulation::of(&simulation.world, k, &start[k]).ok_or(k));
        let (regulations, unregulated): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
        let regulations: Vec<Regulation> = regulations.into_iter().flatten().collect();
        let unregulated = unregulated.into_iter().filter_map(Result::err);
        let unregulated: Vec<usize> = unregulated.collect();
        if regulations.is_empty() {
            return Err(wrong(
                format!(
                    "homeostasis regulates no cell of `{}` at {} ms, so there is nothing that looks for an intersection",
                    scene.name, self.at_ms
                ),
                "give cells a `homeostat: (channels: [\"Na\", …])`, switched on by then",
            ));
        }
        let probe = Probe::of(scene, execution.kernel);
        let mut at_work = |now| told(self.at_ms + now);
        let predictions = intersect::predict(&regulations, &probe, &mut at_work)
            .map_err(|trouble| failure(trouble, "before the intersections were found"))?;
        let mut outcome = Outcome {
            at_ms: self.at_ms,
            until_ms: self.until_ms,
            cells: regulations
                .iter()
                .zip(predictions)
                .map(|(regulation, prediction)| described(regulation, prediction))
                .collect(),
            unregulated: unregulated
                .iter()
                .map(|k| scene.cells[*k].name.to_string())
                .collect(),
            confusion: None,
            conductances: Vec::new(),
            warnings: warnings(scene, unregulated.len()),
        };
        if self.run {
            let window = WINDOW_MS.min(WINDOW_SHARE * (self.until_ms - self.at_ms));
            let from_ms = self.until_ms - window;
            observe(&mut simulation.world, [from_ms, self.until_ms]);
            advance(&mut simulation, self.until_ms, from_ms, &mut |now| {
                told(WORK_MS + now)
            })?;
            let states = states(&simulation.world, scene.cells.len(), from_ms);
            let regulated = (0..scene.cells.len()).filter(|k| !unregulated.contains(k));
            let cells = outcome.cells.iter_mut().zip(&regulations).zip(regulated);
            for ((cell, regulation), k) in cells {
                let gbar = channels(&simulation.world, k);
                let (lane, first) = regulation.scale;
                let place = Place {
                    lambda: gbar[lane] / first,
                    gbar: regulation.named(&gbar),
                    state: states[k],
                };
                cell.reached = Some(reached(cell, place));
            }
            outcome.confusion = Some(confusion(&outcome.cells));
            outcome.conductances = comparisons(&outcome.cells);
        }
        Ok(outcome)
    }
}

/// Runs on to `until_ms`, where spikes before `from_ms` are of no interest.
fn advance(
    simulation: &mut Simulation,
    until_ms: f64,
    from_ms: f64,
    told: &mut (dyn FnMut(f64) -> ControlFlow<()> + Send),
) -> Result<(), Failure> {
    let there = |world: &World| world.resource::<Clock>().reached(until_ms);
    if there(&simulation.world) {
        return Ok(());
    }
    simulation.world.resource_mut::<Spikes>().list.clear();
    let mut going = true;
    simulation.run_while(|world| {
        going = told(world.resource::<Clock>().now()).is_continue();
        forget(world, from_ms);
        match going && !there(world) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    match going {
        true => Ok(()),
        false => Err(stopped(simulation.now())),
    }
}

fn described(regulation: &Regulation, prediction: Prediction) -> Cell {
    let cell = &regulation.cell;
    let channels: Vec<String> = (0..cell.channels())
        .map(|lane| cell.channel_name(lane).to_owned())
        .collect();
    let moved = channels.iter().zip(&regulation.direction);
    let held = regulation.held.iter().flat_map(|held| &held.lanes);
    Cell {
        name: regulation.neuron.name.to_string(),
        moved: moved
            .filter(|(_, slope)| **slope != 0.0)
            .map(|(channel, _)| channel.clone())
            .collect(),
        held: held
            .filter(|(_, on)| *on)
            .map(|(lane, _)| channels[*lane].clone())
            .collect(),
        held_for: regulation.held.as_ref().map(|held| held.wanted),
        ca_target_um: regulation.ca_target,
        channels,
        prediction,
        reached: None,
    }
}

fn reached(cell: &Cell, place: Place) -> Reached {
    let off = (place.state.ca_mean_um - cell.ca_target_um).abs();
    Reached {
        kept_pattern: place.state.keeps(&cell.prediction.from.state),
        calcium_in_place: off <= IN_PLACE * cell.ca_target_um,
        place,
    }
}

fn warnings(scene: &Scene, unregulated: usize) -> Vec<String> {
    let coupled = (scene.edge_count() > 0).then(|| {
        "cells are coupled, and a prediction takes each by itself: what others do to its calcium is left out"
            .to_owned()
    });
    let left_out = (unregulated > 0).then(|| {
        let cells = scene.cells.len();
        format!(
            "homeostasis regulates {} of {cells} cells; the others are left out",
            cells - unregulated
        )
    });
    coupled.into_iter().chain(left_out).collect()
}

fn confusion(cells: &[Cell]) -> Confusion {
    let mut table = Confusion::default();
    for cell in cells {
        let Some(reached) = &cell.reached else {
            continue;
        };
        let count = match (cell.prediction.intersection.is_some(), reached.settled()) {
            (true, true) => &mut table.hit,
            (true, false) => &mut table.false_alarm,
            (false, true) => &mut table.miss,
            (false, false) => &mut table.correct_rejection,
        };
        *count += 1;
    }
    table
}

fn comparisons(cells: &[Cell]) -> Vec<Comparison> {
    let mut pairs: BTreeMap<&str, Vec<[f64; 2]>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for cell in cells {
        let (Some(place), Some(reached)) = (&cell.prediction.intersection, &cell.reached) else {
            continue;
        };
        if !reached.settled() {
            continue;
        }
        for channel in &cell.channels {
            if !order.contains(&channel.as_str()) {
                order.push(channel);
            }
            let pair = [place.gbar[channel], reached.place.gbar[channel]];
            pairs.entry(channel).or_default().push(pair);
        }
    }
    let compared = order.into_iter().map(|channel| {
        let pairs = &pairs[channel];
        let difference = |[predicted, reached]: &[f64; 2]| match predicted == reached {
            true => 0.0,
            false => (reached / predicted - 1.0).abs(),
        };
        let differences: Vec<f64> = pairs.iter().map(difference).collect();
        Comparison {
            channel: channel.to_owned(),
            cells: pairs.len(),
            predicted: median(pairs.iter().map(|pair| pair[0])),
            reached: median(pairs.iter().map(|pair| pair[1])),
            median_difference: median(differences.iter().copied()),
            greatest_difference: differences.iter().copied().fold(0.0, f64::max),
        }
    });
    compared.collect()
}

fn wrong(message: String, help: &str) -> Failure {
    Failure::Input(Diagnostic::new(message).help(help).into())
}

/// The failure of a prediction; `when` it was if it was broken off.
pub(super) fn failure(trouble: Trouble, when: &str) -> Failure {
    match trouble {
        Trouble::Run(error) => error.into(),
        Trouble::Kinetics(error) => wrong(error.to_string(), "see `homarus check`"),
        Trouble::Stopped => Failure::Stopped(when.to_owned()),
    }
}

fn stopped(now_ms: f64) -> Failure {
    Failure::Stopped(format!("at {} s of model time", now_ms / 1000.0))
}
