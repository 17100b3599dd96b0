//! Small networks, and the state of a run as bits, for the tests of the engine's promises.

// Every test file takes what it needs.
#![allow(dead_code)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use homarus::scene::{Scene, read_text, spawn};
use homarus_systems::{
    address,
    assembly::Simulation,
    calcium::Calcium,
    membrane::Voltage,
    observe::Spikes,
    protocol::{Event, Protocol},
    schedule::Neurons,
};

/// Conductances (mS/cm²) of the five published cells, CaS and A at their bursting references:
/// F1, F2, hub, S1, S2 (Fyon & Drion, arXiv 2412.04172, seed 544).
pub const PUBLISHED: [[f64; 8]; 5] = [
    [
        3951.84, 2.913, 18.976, 71.02, 109.18, 137.74, 0.29087, 0.0091267,
    ],
    [
        6206.17, 8.2405, 31.571, 195.16, 102.096, 193.31, 0.46357, 0.013551,
    ],
    [
        4364.12, 4.7196, 20.582, 89.569, 106.91, 144.006, 0.32179, 0.0100067,
    ],
    [
        5971.4, 4.71865, 31.636, 173.585, 175.303, 216.76, 0.44322, 0.0130477,
    ],
    [
        5517.64, 7.56468, 28.4695, 179.816, 116.053, 213.3, 0.412166, 0.0120047,
    ],
];

/// Channels of the STG cell, in lane order.
pub const STG_CHANNELS: [&str; 8] = ["Na", "CaT", "CaS", "A", "KCa", "Kd", "H", "leak"];

/// A file of the published data; `None`, and told, where they are not beside the repository.
pub fn published(file: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/published");
    let text = fs::read_to_string(folder.join(file)).ok();
    if text.is_none() {
        println!("skipped: {file} of the published data is not here");
    }
    text
}

/// Fields of an STG cell with the conductances of published cell `k`, started at `v` mV.
pub fn stg(k: usize, v: f64) -> String {
    let tm = if k < 3 { 2 } else { 20 };
    let gbar: Vec<String> = STG_CHANNELS
        .iter()
        .zip(PUBLISHED[k])
        .map(|(name, g)| format!("\"{name}\": {g}"))
        .collect();
    format!(
        "cell: \"stg\", parameters: {{ \"KCa.tm\": {tm} }}, start: (V: {v}), gbar: {{ {} }}",
        gbar.join(", ")
    )
}

/// A passive cell type: one leak that reverses at -50 mV, 1 µF/cm².
pub const PASSIVE: &str =
    r#"Cell(format: 1, name: "passive", channels: { "leak": "leak" }, capacitance: 1)"#;

/// A scene around `fields`.
pub fn scene_text(duration_ms: f64, step_ms: f64, fields: &str) -> String {
    format!("Scene(format: 1, duration_ms: {duration_ms}, step_ms: {step_ms},\n{fields}\n)")
}

/// Reads a scene of shipped pieces.
#[track_caller]
pub fn read(text: &str) -> Scene {
    read_text(text, "scene.ron", None).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// The network of a scene, ready to run.
#[track_caller]
pub fn network(scene: &Scene) -> Simulation {
    spawn::spawn(scene).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The network of a scene, run to its end.
#[track_caller]
pub fn run(scene: &Scene) -> Simulation {
    let mut simulation = network(scene);
    simulation.run().unwrap_or_else(|error| panic!("{error}"));
    simulation
}

/// A folder with files of its own, removed at the end of a test.
pub struct Folder(PathBuf);

impl Folder {
    /// A folder that holds `files`, (name, text).
    pub fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("homarus-laws-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("a temporary file");
        }
        Folder(folder)
    }

    /// Path of a file in the folder; of the folder itself for an empty name.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Reads a scene as if it lay in the folder.
    #[track_caller]
    pub fn read(&self, text: &str) -> Scene {
        read_text(text, "scene.ron", Some(&self.0))
            .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Value of the one scalar that `path` names.
#[track_caller]
pub fn value(simulation: &Simulation, path: &str) -> f64 {
    let found = simulation
        .names()
        .scalars(path)
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(found.len(), 1, "`{path}` names several scalars");
    address::read(&simulation.world, found[0]).unwrap_or_else(|| panic!("`{path}` has no value"))
}

/// Writes the scalars that `path` names, between two stretches.
#[track_caller]
pub fn write(simulation: &mut Simulation, path: &str, to: f64) {
    for target in simulation
        .names()
        .scalars(path)
        .unwrap_or_else(|e| panic!("{e}"))
    {
        address::write(&mut simulation.world, target, to).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
}

/// Events of a run so far.
pub fn events(simulation: &Simulation) -> &[Event] {
    &simulation.world.resource::<Protocol>().events
}

/// Spike times (ms) of the cell called `name`.
#[track_caller]
pub fn spikes(simulation: &Simulation, name: &str) -> Vec<f64> {
    let neurons = simulation.world.resource::<Neurons>();
    let index = (0..neurons.len()).find(|k| neurons.name(*k) == name);
    let index = index.unwrap_or_else(|| panic!("no cell `{name}`"));
    let list = &simulation.world.resource::<Spikes>().list;
    let own = list.iter().filter(|s| s.neuron.0 as usize == index);
    own.map(|s| s.t_ms).collect()
}

/// What a cell has come to: bits of V and Ca and of its spike times.
#[derive(Clone, Debug, PartialEq)]
pub struct Bits {
    /// Name of the cell.
    pub name: String,
    /// V (mV).
    pub v: f64,
    /// Ca (µM).
    pub ca: f64,
    /// V and Ca as bits.
    pub bits: [u64; 2],
    /// Spike times (ms) as bits.
    pub spikes: Vec<u64>,
}

/// Every cell of a network, in the order of names.
pub fn bits(simulation: &Simulation) -> Vec<Bits> {
    let neurons = simulation.world.resource::<Neurons>();
    let mut all: Vec<Bits> = (0..neurons.len())
        .map(|k| {
            let name = neurons.name(k).to_string();
            let v = simulation
                .world
                .get::<Voltage>(neurons.entity(k))
                .expect("a voltage")
                .0;
            let ca = simulation
                .world
                .get::<Calcium>(neurons.entity(k))
                .expect("calcium")
                .0;
            let spikes = spikes(simulation, &name)
                .into_iter()
                .map(f64::to_bits)
                .collect();
            Bits {
                name,
                v,
                ca,
                bits: [v.to_bits(), ca.to_bits()],
                spikes,
            }
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A cell of ten channels (the STG cell and two potassium currents), so sixteen lanes, one of them
/// with a gate of V and Ca that no table serves, one with a kinetic scheme.
pub const WIDE: &str = r#"Cell(
    format: 1, name: "wide", capacitance: 1,
    channels: {
        "Na": "stg_na", "CaT": "stg_cat", "CaS": "stg_cas", "A": "stg_a", "KCa": "stg_kca",
        "Kd": "stg_kd", "H": "stg_h", "leak": "leak", "BK": "bk", "ERG": "da_erg",
    },
    calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94),
)"#;
/// Its potassium channel with a gate of V and Ca.
pub const BK: &str = r#"Channel(
    format: 1, name: "bk", reversal: -80,
    gates: { "m": (power: 2, inf: "1/(1 + exp(-(V + 20 + 5*ln(Ca/10))/8))", tau: "2 + 3/(1 + Ca/10)") },
)"#;
