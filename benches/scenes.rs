//! Cost of a step on shipped scenes, everything on that the scene has on, and of the network of
//! `homarus bench` beside the yardstick. How to read it: `benches/README.md`.
//!
//! `five_neuron_cpg`: coupled, with homeostasis and controllers; elements are steps of the network.
//! `stg_cell`: 1 000 uncoupled copies with spread start voltages; elements are neuron-steps.
//! `ring of 1000`: two synapses a cell, by the engine and written by hand; elements are
//! neuron-steps.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use homarus::bench::{
    network::{Network, STEP_MS},
    yardstick::Yardstick,
};
use homarus::scene::{self, Scene, spawn};
use homarus_systems::{assembly::Simulation, integrate::Kernel};

/// A shipped scene cut to `duration_ms` (ms).
fn shipped(name: &str, duration_ms: f64) -> Scene {
    let mut scene = scene::read(name).unwrap_or_else(|errors| panic!("{errors}"));
    scene.duration_ms = duration_ms;
    scene.windows.clear();
    scene.protocol.retain(|entry| entry.at_ms < duration_ms);
    scene
}

/// The network of a scene in its start state.
fn started(scene: &Scene) -> Simulation {
    let mut simulation = spawn::spawn(scene).unwrap_or_else(|errors| panic!("{errors}"));
    simulation.start().unwrap_or_else(|error| panic!("{error}"));
    simulation
}

/// Runs a network to its end on one thread.
fn run(mut simulation: Simulation) -> Simulation {
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
    simulation
}

fn bench(c: &mut Criterion) {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
        .unwrap_or_else(|error| panic!("{error}"));
    let mut group = c.benchmark_group("steps");
    group.sample_size(10);

    let scene = shipped("five_neuron_cpg", 2_000.0);
    group.throughput(Throughput::Elements(
        (scene.duration_ms / scene.step_ms).round() as u64,
    ));
    group.bench_function("five_neuron_cpg", |b| {
        b.iter_batched(|| started(&scene), run, BatchSize::PerIteration);
    });

    let mut scene = shipped("stg_cell", 50.0);
    let cell = scene.cells[0].clone();
    scene.cells = (0..1000)
        .map(|k| {
            let mut copy = cell.clone();
            copy.name = format!("{}{k}", cell.name).into();
            copy.start.v = Some(-65.0 + 0.01 * f64::from(k));
            copy
        })
        .collect();
    let steps = (scene.duration_ms / scene.step_ms).round() as u64;
    group.throughput(Throughput::Elements(1000 * steps));
    group.bench_function("stg_cell x 1000", |b| {
        b.iter_batched(|| started(&scene), run, BatchSize::PerIteration);
    });
    group.finish();
}

fn beside_the_yardstick(c: &mut Criterion) {
    let (neurons, steps) = (1000, 1000);
    let network = Network::new(neurons, 2);
    let mut group = c.benchmark_group("ring of 1000");
    group.sample_size(10);
    group.throughput(Throughput::Elements(neurons as u64 * steps));
    let kernel = Kernel::detect();
    let engine = || {
        let simulation = network.simulation(steps, kernel);
        simulation.unwrap_or_else(|errors| panic!("{errors}"))
    };
    group.bench_function("engine", |b| {
        b.iter_batched(engine, run, BatchSize::PerIteration);
    });
    let scalar = || Yardstick::new(&network, STEP_MS);
    let by_hand = |mut network: Yardstick| {
        network.run(steps);
        network
    };
    group.bench_function("by hand", |b| {
        b.iter_batched(scalar, by_hand, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, bench, beside_the_yardstick);
criterion_main!(benches);
