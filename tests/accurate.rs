//! The accurate integrator.

mod common;

use common::{Csv, gbar, json, largest_shift, network, numbers, scene, set, single};
use homarus::rhythm::{Burst, bursts};
use homarus::scene::{Scene, spawn::spawn};
use homarus_systems::integrate::Accurate;

/// Settings of a run by the accurate integrator.
fn accurate(duration_ms: f64) -> String {
    format!("duration_ms: {duration_ms}, step_ms: 0.05, integrator: \"accurate\"")
}

/// Spike times (ms) by cell at a tolerance.
fn spikes(scene: &Scene, tolerance: f64) -> Vec<Vec<f64>> {
    let mut simulation = spawn(scene).unwrap_or_else(|e| panic!("{e}"));
    simulation.world.resource_mut::<Accurate>().tolerance = tolerance;
    simulation.run().unwrap();
    homarus::run::trains(&simulation)
}

#[test]
fn explore() {
    for tolerance in [1e-3, 1e-4, 1e-5, 1e-6] {
        for name in ["stg_spiking", "stg_bursting"] {
            let wanted = Csv::read(&format!("fixtures/spikes_{name}.csv")).column("t_ms");
            let scene = single(&accurate(10_000.0), &set(name), "start: (V: -70, Ca: 0.5)");
            let found = &spikes(&scene, tolerance)[0];
            let worst = |t: f64| {
                found
                    .iter()
                    .zip(&wanted)
                    .filter(|(_, b)| **b < t)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f64::max)
            };
            println!(
                "{tolerance} {name}: {} {} spikes, {:.5} at 1 s, {:.5} at 10 s",
                found.len(),
                wanted.len(),
                worst(1000.0),
                worst(1e4)
            );
        }
        for (cell, period) in [(4, 1356.79), (5, 1486.58)] {
            let five = json("fixtures_network/five_cells.json");
            let scene = single(
                &accurate(9000.0),
                &numbers(&five["g_ref_minus8"][cell - 1]),
                &format!("parameters: {{ \"KCa.tm\": 20 }}, start: (V: -60)"),
            );
            let found = &spikes(&scene, tolerance)[0];
            let b = bursts(found, 100.0);
            println!(
                "{tolerance} cell {cell}: {:?} {:?}",
                b.windows(2)
                    .map(|w| w[1].on_ms - w[0].on_ms)
                    .collect::<Vec<_>>(),
                b.iter().map(|b| b.n_spikes).collect::<Vec<_>>()
            );
        }
        for name in ["pair_graded", "pair_gap", "pair_both", "five_fixed"] {
            let fixture = json(&format!("fixtures_network/{name}.json"));
            let duration = fixture["T"].as_f64().unwrap();
            let found = spikes(&network(&fixture, &accurate(duration), ""), tolerance);
            for (cell, wanted) in fixture["spikes"].as_array().unwrap().iter().enumerate() {
                let wanted = numbers(wanted);
                let n = found[cell].len();
                let worst = found[cell]
                    .iter()
                    .zip(&wanted)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f64::max);
                println!("{tolerance} {name} {cell}: {n} {} {worst:.4}", wanted.len());
            }
        }
    }
}
