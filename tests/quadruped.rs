//! The quadruped networks of Fyon & Drion (arXiv 2604.08312): the symmetric one changes from gallop to
//! trot, the half-wired ones have one gait, the asymmetric one has none, and a drawn one is eight
//! copies of one draw.
//!
//! One run is one realisation: a start moved by 0.005 mV ends in either mirror image of the trot, or
//! slips. So it is asked of an ensemble: gallop before and trot after the switch, within 60 degrees,
//! by the median and by half of the runs at least; never on which side.

mod common;
mod helpers;

use std::ops::Range;

use common::{CHANNELS, Csv, json, numbers};
use helpers::{network, read, scene_text, value};
use homarus::{
    rhythm::{circular_mean, gap_measures, onset_phases, resultant, whole_bursts, within},
    run::trains,
    scene::{self, Scene},
};
use homarus_systems::address::{self, Address, ChannelScalar};

const CELLS: [&str; 8] = ["LF", "LH", "RF", "RH", "G1", "G2", "T1", "T2"];

fn shipped(name: &str) -> Scene {
    scene::read(name).unwrap_or_else(|e| panic!("{e}"))
}

/// Spikes of each network of a scene that holds several of `size` cells.
fn spikes_of(scene: &Scene, size: usize) -> Vec<Vec<Vec<f64>>> {
    let mut simulation = network(scene);
    simulation.run().unwrap();
    trains(&simulation)
        .chunks(size)
        .map(<[_]>::to_vec)
        .collect()
}

/// Phase (degrees from -180 to 180) and lock of a limb in the cycle of LH; period of a limb (ms).
struct Limbs<'t> {
    trains: &'t [Vec<f64>],
    window: Range<f64>,
}

impl Limbs<'_> {
    fn bursts(&self, cell: &str) -> Vec<homarus::rhythm::Burst> {
        let k = CELLS.iter().position(|name| *name == cell).unwrap();
        let all = whole_bursts(&self.trains[k], 100.0, 0.0, 50_000.0);
        within(&all, self.window.start, self.window.end).to_vec()
    }

    fn phase(&self, cell: &str) -> (f64, f64) {
        let phases = onset_phases(&self.bursts("LH"), &self.bursts(cell));
        let mean = circular_mean(&phases).unwrap();
        (360.0 * (mean - mean.round()), resultant(&phases).unwrap())
    }

    fn period(&self, cell: &str) -> f64 {
        gap_measures(&self.bursts(cell)).period_ms.unwrap()
    }

    /// Distances (degrees) of the hind and the fore limb of the right side from where a gait has
    /// them.
    fn off(&self, gait: [f64; 2]) -> [f64; 2] {
        let distance = |angle: f64| (angle + 180.0).rem_euclid(360.0) - 180.0;
        [("RH", gait[0]), ("RF", gait[1])].map(|(cell, at)| distance(self.phase(cell).0 - at).abs())
    }
}

/// Where RH and RF are (degrees).
const GALLOP: [f64; 2] = [0.0, 180.0];
const TROT: [f64; 2] = [180.0, 0.0];

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// Networks of a shipped scene with other start voltages, each cell's drawn from what `range` says.
fn ensemble(name: &str, copies: usize, range: &dyn Fn(f64) -> (f64, f64)) -> Scene {
    let one = shipped(name);
    let cells = one.cells.iter().map(|cell| {
        let (from, to) = cell.start.v.map_or((-65.0, -55.0), range);
        format!("{:?}: (start: (V: Uniform({from}, {to})))", cell.name)
    });
    let cells: Vec<String> = cells.collect();
    read(&scene_text(
        50_000.0,
        one.step_ms,
        &format!(
            "seed: 1, integrator: {:?}, negative_conductance: \"clamp\", integrator_start: \"zero\",
             networks: {{ \"quad\": (network: {name:?}, copies: {copies}, cells: {{ {} }}) }},
             protocol: [(at_ms: 25_000, modulate: \"quad/G*\", g_s: 5), (at_ms: 25_000, modulate: \"quad/T*\", g_s: -8)]",
            one.integrator.name(),
            cells.join(", ")
        ),
    ))
}

/// Distances (degrees) from gallop at 20-25 s and from trot at 40-45 s, network by network.
fn offsets(networks: &[Vec<Vec<f64>>]) -> [Vec<[f64; 2]>; 2] {
    [(20_000.0..25_000.0, GALLOP), (40_000.0..45_000.0, TROT)].map(|(window, gait)| {
        let limbs = networks.iter().map(|trains| Limbs {
            trains,
            window: window.clone(),
        });
        limbs.map(|limbs| limbs.off(gait)).collect()
    })
}

fn near(off: &[[f64; 2]], tolerance: f64) -> Vec<bool> {
    let near = |off: &[f64; 2]| off.iter().all(|distance| *distance < tolerance);
    off.iter().map(near).collect()
}

fn count(of: &[bool]) -> usize {
    of.iter().filter(|yes| **yes).count()
}

/// The reference cell: conductances, start voltages, threshold and what the controllers aim at.
#[test]
fn the_cell_is_the_published_one() {
    let fixture = json("fixtures_network/quad_cell.json");
    let scene = shipped("quadruped");
    let mut simulation = network(&scene);
    simulation.start().unwrap();
    let starts = numbers(&fixture["V0"]);
    assert_eq!(scene.cells.len(), CELLS.len());
    for ((cell, v), described) in CELLS.iter().zip(&starts).zip(&scene.cells) {
        assert_eq!(&*described.name, *cell);
        assert!((value(&simulation, &format!("{cell}.V")) - v).abs() < 1e-12);
        assert_eq!(value(&simulation, &format!("{cell}.KCa.tm")), 4.0);
        let threshold = value(&simulation, &format!("{cell}.V_th"));
        assert!((threshold - fixture["Vth"].as_f64().unwrap()).abs() < 1e-9);
        for (channel, g) in CHANNELS.iter().zip(numbers(&fixture["g_spiking"])) {
            let found = value(&simulation, &format!("{cell}.{channel}.gbar"));
            assert!((found / g - 1.0).abs() < 1e-14, "{cell} {channel}: {found}");
        }
    }
    // Where the controllers bring CaS and A: the references of bursting and spiking.
    let mut scene = scene;
    scene.duration_ms = 20_000.0;
    (scene.protocol, scene.windows) = (Vec::new(), Vec::new());
    let mut simulation = network(&scene);
    simulation.run().unwrap();
    for (cell, key) in [("LF", "g_ref_minus8"), ("T2", "g_ref_5")] {
        for (channel, g) in CHANNELS.iter().zip(numbers(&fixture[key])) {
            let found = value(&simulation, &format!("{cell}.{channel}.gbar"));
            assert!((found / g - 1.0).abs() < 0.01, "{cell} {channel}: {found}");
        }
    }
}

#[test]
fn most_starts_gallop_and_then_trot() {
    let jittered = ensemble("quadruped", 16, &|v| (v - 0.005, v + 0.005));
    let networks = spikes_of(&jittered, CELLS.len());
    for (off, gait) in offsets(&networks).iter().zip(["gallop", "trot"]) {
        let [hind, fore] = [0, 1].map(|limb| median(off.iter().map(|off| off[limb])));
        let there = count(&near(off, 60.0));
        println!("{gait}: {there} of 16; medians RH {hind:.1}, RF {fore:.1} degrees off");
        assert!(hind < 60.0 && fore < 60.0 && there >= 8, "{gait}");
    }
}

/// Left and right half-centre have periods of their own and drift past one another, from every
/// published start.
#[test]
fn without_command_half_centres_there_is_no_gait() {
    let starts = json("fixtures_network/asym_V0.json")["V0"].clone();
    let starts: Vec<Vec<f64>> = starts.as_array().unwrap().iter().map(numbers).collect();
    let one = shipped("quadruped_asymmetric");
    assert_eq!(starts.len(), 20);
    for (cell, v) in one.cells.iter().zip(&starts[0]) {
        assert_eq!(cell.start.v, Some(*v));
    }
    // Four of them, for the time it takes.
    let networks = starts.iter().take(4).enumerate().map(|(k, start)| {
        let cells = one.cells.iter().zip(start);
        let cells = cells.map(|(cell, v)| format!("{:?}: (start: (V: {v}))", cell.name));
        let cells: Vec<String> = cells.collect();
        format!(
            "\"n{k}\": (network: \"quadruped_asymmetric\", copies: 1, cells: {{ {} }})",
            cells.join(", ")
        )
    });
    let networks: Vec<String> = networks.collect();
    let scene = read(&scene_text(
        50_000.0,
        one.step_ms,
        &format!(
            "integrator: {:?}, negative_conductance: \"clamp\", integrator_start: \"zero\", networks: {{ {} }}",
            one.integrator.name(),
            networks.join(",\n")
        ),
    ));
    for (k, trains) in spikes_of(&scene, 6).iter().enumerate() {
        let limbs = Limbs {
            trains,
            window: 15_000.0..50_000.0,
        };
        let [left, right] = ["LH", "RH"].map(|cell| limbs.period(cell));
        let [fore, hind] = ["LF", "RH"].map(|cell| limbs.phase(cell).1);
        println!("{k}: LH {left:.1} ms, RH {right:.1} ms; lock of LF {fore:.3}, of RH {hind:.3}");
        assert!(fore > 0.85, "{k}: {fore}");
        assert!((right - left).abs() > 5.0 || hind < 0.5, "{k}");
    }
}

/// Conductances (mS/cm²) of the cells of a scene, by lane.
fn conductances(scene: &Scene) -> Vec<Vec<f64>> {
    let simulation = network(scene);
    let gbar = |cell, lane| {
        let address = Address::Channel(cell, lane, ChannelScalar::Gbar);
        address::read(&simulation.world, address).unwrap()
    };
    let of = |cell| (0..CHANNELS.len()).map(|lane| gbar(cell, lane)).collect();
    (0..scene.cells.len()).map(of).collect()
}

/// Another seed is another network of eight equal cells; the draws are spread as the published.
#[test]
fn a_drawn_network_is_eight_copies_of_one_cell() {
    let mut scene = shipped("quadruped_draws");
    let one = conductances(&scene);
    assert!(one.iter().all(|cell| *cell == one[0]));
    scene.seed += 1;
    let other = conductances(&scene);
    assert!(other.iter().all(|cell| *cell == other[0]));
    assert!(one[0].iter().zip(&other[0]).all(|(a, b)| a != b));

    // As many at once as are asked for, each a draw of its own.
    let many = ensemble("quadruped_draws", 200, &|v| (v, v));
    let cells = conductances(&many);
    for network in cells.chunks(CELLS.len()) {
        assert!(network.iter().all(|cell| *cell == network[0]));
    }
    let networks: Vec<&Vec<f64>> = cells.iter().step_by(CELLS.len()).collect();
    let published = [0.21, 0.39, 0.40, 0.29, 0.29, 0.21, 0.21, 0.21];
    for (lane, wanted) in published.into_iter().enumerate() {
        let values = networks.iter().map(|cell| cell[lane]);
        let mean = values.clone().sum::<f64>() / 200.0;
        let variance = values.map(|g| (g - mean).powi(2)).sum::<f64>() / 200.0;
        let cv = variance.sqrt() / mean;
        println!("{}: mean {mean:.4}, CV {cv:.3}", CHANNELS[lane]);
        // Three standard errors of the difference of two such samples.
        assert!((cv / wanted - 1.0).abs() < 0.2, "{}", CHANNELS[lane]);
    }
}

/// Fractions by tolerance beside the published ones, which are no target: the published phases of
/// the population do not all come of the published parameters.
#[test]
#[ignore = "minutes: cargo test --release --locked --test quadruped -- --ignored --nocapture"]
fn fractions_of_a_population_beside_the_published() {
    let file = Csv::read("fixtures_network/quad_population.csv");
    let columns = ["RH_before", "RF_before", "RH_after", "RF_after"].map(|c| file.column(c));
    let angle = |x: f64| ((x + 180.0).rem_euclid(360.0) - 180.0).abs();
    let published = [(0, GALLOP), (2, TROT)].map(|(first, gait)| -> Vec<[f64; 2]> {
        let off = |k: usize| [0, 1].map(|limb| angle(columns[first + limb][k] - gait[limb]));
        (0..file.len()).map(off).collect()
    });
    let many = ensemble("quadruped_draws", 200, &|v| (v, v));
    let found = offsets(&spikes_of(&many, CELLS.len()));
    println!("tolerance  gallop before  trot after  both (published)");
    for tolerance in [45.0, 60.0, 75.0, 90.0, 110.0] {
        let counts = [&found, &published].map(|[before, after]| {
            let (before, after) = (near(before, tolerance), near(after, tolerance));
            let both: Vec<bool> = before.iter().zip(&after).map(|(a, b)| *a && *b).collect();
            [before, after, both].map(|of| count(&of))
        });
        let [[a, b, c], [d, e, f]] = counts;
        println!("{tolerance:>9}  {a} ({d})  {b} ({e})  {c} ({f})");
    }
    assert_eq!(count(&near(&published[0], 60.0)), 190);
    assert_eq!(count(&near(&published[1], 60.0)), 159);
}
