//! What a network costs: time of a neuron and of a synapse in a step, memory, time to build, beside
//! the same network written by hand ([`yardstick`]).
//!
//! The networks of a measurement take turns, a slice of the steps each, and the fastest slice of
//! each counts: another job on the machine then disturbs little, and both alike.

mod memory;
pub mod network;
pub mod yardstick;

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use homarus_systems::{
    assembly::{RunError, Simulation},
    integrate::Kernel,
    observe::{Observers, Spikes},
    schedule::{Clock, ThroughTicks},
};
use serde::{Deserialize, Serialize};

use self::{
    network::{Network, STEP_MS},
    yardstick::Yardstick,
};
use crate::{
    execution::{self, Execution},
    run::{self, Failure},
    scene::{Diagnostics, Scene, spawn},
};

/// Slices of a run that take turns.
const SLICES: u64 = 8;

/// A synthetic network and how it is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Number of STG cells, at least 1.
    pub neurons: usize,
    /// Synapses into each cell, fewer than there are cells.
    pub synapses_per_neuron: usize,
    /// Steps, at least 1.
    pub steps: u64,
}

/// What a network costs: the object of `bench --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Number of cells.
    pub neurons: usize,
    /// Number of edges.
    pub synapses: usize,
    /// Threads of the engine; the yardstick has one.
    pub threads: usize,
    /// Steps.
    pub steps: u64,
    /// Code path that stepped the neurons.
    pub kernel: String,
    /// Wall time of a neuron in a step (ns), its share of everything else in the step included.
    pub ns_per_neuron_step: f64,
    /// The same of the yardstick; `None` for a scene.
    pub ns_per_neuron_step_scalar: Option<f64>,
    /// What a synapse adds to a step (ns): the network with synapses less that without, by the
    /// number of synapses; `None` without synapses and for a scene.
    pub ns_per_synapse_step: Option<f64>,
    /// Spikes of a neuron: the proof that the work was done.
    pub spikes_per_neuron: f64,
    /// The same of the yardstick; `None` for a scene.
    pub spikes_per_neuron_scalar: Option<f64>,
    /// Time to build the network in its start state (s).
    pub build_s: f64,
    /// Largest memory of the process (MB, 10^6 bytes) up to the engine's first slice, before the
    /// yardstick is built; `None` where the system does not tell.
    pub peak_rss_mb: Option<f64>,
    /// Model time of a second of wall time (s).
    pub model_s_per_wall_s: f64,
}

/// Refuses a network that cannot be numbered or would not fit in memory.
///
/// # Errors
/// What is too many, or how much memory is needed and free.
pub fn check(case: Case) -> Result<(), Diagnostics> {
    memory::check(case)
}

/// Measures a synthetic network and the yardstick on it.
///
/// # Errors
/// It would not fit in memory, or the system does not give the threads.
pub fn synthetic(case: Case, execution: &Execution) -> Result<Measurement, Failure> {
    check(case)?;
    let threads = execution.threads(case.neurons);
    let pool = execution::pool(threads)?;
    pool.install(|| race(case, execution.kernel))
}

/// Runs the engine with and without synapses and the yardstick, by turns.
fn race(case: Case, kernel: Kernel) -> Result<Measurement, Failure> {
    let steps = case.steps;
    let network = Network::new(case.neurons, case.synapses_per_neuron);
    let clock = Instant::now();
    let mut engine = network.simulation(steps, kernel)?;
    let build_s = clock.elapsed().as_secs_f64();
    let mut with = Laps::default();
    with.take(|| advance(&mut engine, slice(steps, 0)))?;
    let peak_rss_mb = memory::peak_mb();

    let mut scalar = Yardstick::new(&network, STEP_MS);
    let mut bare = match network.pre.is_empty() {
        true => None,
        false => Some(network.uncoupled().simulation(steps, kernel)?),
    };
    let (mut without, mut by_hand) = (Laps::default(), Laps::default());
    for k in 0..SLICES {
        if k > 0 {
            with.take(|| advance(&mut engine, slice(steps, k)))?;
        }
        if let Some(bare) = &mut bare {
            without.take(|| advance(bare, slice(steps, k)))?;
        }
        let count = slice(steps, k) - slice(steps, k).min(by_hand.steps);
        let Ok(()) = by_hand.take(|| {
            scalar.run(count);
            Ok::<u64, Infallible>(count)
        });
    }
    let neurons = case.neurons as f64;
    let per_synapse = case.synapses_per_neuron as f64;
    Ok(Measurement {
        ns_per_neuron_step_scalar: Some(by_hand.fastest_ns / neurons),
        spikes_per_neuron_scalar: Some(scalar.spikes() as f64 / neurons),
        ns_per_synapse_step: bare
            .map(|_| (with.fastest_ns - without.fastest_ns) / neurons / per_synapse),
        peak_rss_mb,
        ..measurement(&engine, &with, network.pre.len(), kernel.name(), build_s)
    })
}

/// Measures a scene.
///
/// # Errors
/// The network cannot be built, the run leaves all sense, or the system does not give the threads.
pub fn scene(scene: &Scene, execution: &Execution) -> Result<Measurement, Failure> {
    let pool = execution.pool(scene)?;
    pool.install(|| {
        let clock = Instant::now();
        let mut engine = spawn::spawn(scene)?;
        let world = &mut engine.world;
        world.insert_resource(execution.kernel);
        world.init_resource::<ThroughTicks>();
        // Nobody would take the samples away.
        world.resource_mut::<Observers>().samplers.clear();
        engine.start()?;
        let build_s = clock.elapsed().as_secs_f64();
        let steps = (scene.duration_ms / scene.step_ms).ceil() as u64;
        let mut laps = Laps::default();
        for k in 0..SLICES {
            laps.take(|| advance(&mut engine, slice(steps, k)))?;
        }
        let kernel = run::kernel(scene.integrator, &engine.world);
        Ok(Measurement {
            peak_rss_mb: memory::peak_mb(),
            ..measurement(&engine, &laps, scene.edge_count(), kernel, build_s)
        })
    })
}

/// What the engine alone tells.
fn measurement(
    engine: &Simulation,
    laps: &Laps,
    synapses: usize,
    kernel: &str,
    build_s: f64,
) -> Measurement {
    let count = engine.names().cells.len();
    let neurons = count as f64;
    let dt = engine.world.resource::<Clock>().dt();
    Measurement {
        neurons: count,
        synapses,
        threads: rayon::current_num_threads(),
        steps: laps.steps,
        kernel: kernel.to_owned(),
        ns_per_neuron_step: laps.fastest_ns / neurons,
        ns_per_neuron_step_scalar: None,
        ns_per_synapse_step: None,
        spikes_per_neuron: engine.world.resource::<Spikes>().list.len() as f64 / neurons,
        spikes_per_neuron_scalar: None,
        build_s,
        peak_rss_mb: None,
        model_s_per_wall_s: dt * 1e-3 / (laps.fastest_ns * 1e-9),
    }
}

/// Step at which slice `k` of a run of `steps` steps ends.
fn slice(steps: u64, k: u64) -> u64 {
    (u128::from(steps) * u128::from(k + 1) / u128::from(SLICES)) as u64
}

/// Runs a network up to step `until`, or a little further; gives the steps done.
fn advance(engine: &mut Simulation, until: u64) -> Result<u64, RunError> {
    let clock = |engine: &Simulation| {
        let clock = engine.world.resource::<Clock>();
        (clock.step(), clock.finished())
    };
    let (first, mut finished) = clock(engine);
    let mut step = first;
    while step < until && !finished {
        engine.stretch()?;
        (step, finished) = clock(engine);
    }
    Ok(step - first)
}

/// Slices that a network has run.
struct Laps {
    steps: u64,
    /// Wall time of a step in the fastest slice (ns).
    fastest_ns: f64,
}

impl Default for Laps {
    fn default() -> Self {
        Laps {
            steps: 0,
            fastest_ns: f64::INFINITY,
        }
    }
}

impl Laps {
    /// Times a slice, which gives the number of its steps.
    fn take<E>(&mut self, slice: impl FnOnce() -> Result<u64, E>) -> Result<(), E> {
        let clock = Instant::now();
        let steps = slice()?;
        let taken = clock.elapsed();
        if steps > 0 {
            self.steps += steps;
            self.fastest_ns = self.fastest_ns.min(nanoseconds(taken) / steps as f64);
        }
        Ok(())
    }
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_make_up_the_whole() {
        for steps in [1, 7, 8, 4000, u64::MAX] {
            let ends: Vec<u64> = (0..SLICES).map(|k| slice(steps, k)).collect();
            assert!(ends.is_sorted(), "{ends:?}");
            assert_eq!(ends.last(), Some(&steps));
        }
    }

    #[test]
    fn an_empty_slice_does_not_count() {
        let mut laps = Laps::default();
        assert_eq!(laps.take(|| Ok::<u64, ()>(0)), Ok(()));
        assert_eq!((laps.steps, laps.fastest_ns), (0, f64::INFINITY));
        assert_eq!(laps.take(|| Err(())), Err(()));
    }
}
