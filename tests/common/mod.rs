//! What the fixture tests share: files in `tests/data`, scenes built from them, and runs.

#![allow(dead_code)] // every test file uses its own part

use std::path::PathBuf;

use homarus::scene::{Scene, model::Integrator, read_text, spawn::spawn};
use homarus_systems::{
    address::Address,
    assembly::Simulation,
    integrate::Reference,
    observe::{Observers, Sampler},
};
use serde_json::Value;

/// Channels in the order of every table of conductances.
pub const CHANNELS: [&str; 8] = ["Na", "CaT", "CaS", "A", "KCa", "Kd", "H", "leak"];

/// Homeostasis and controller as published, the controller asking for bursts.
pub const REGULATORS: &str = "homeostat: (channels: [\"Na\", \"CaT\", \"KCa\", \"Kd\", \"H\", \"leak\"], \
    Ca_target: 125, tau_g: 100, tau_Na: 600), controller: (channels: [\"CaS\", \"A\"], g_s: -8, g_u: 4)";

fn read(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A JSON file of `tests/data`.
pub fn json(file: &str) -> Value {
    serde_json::from_str(&read(file)).unwrap()
}

/// A list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A set of conductances of the single-cell studies.
pub fn set(name: &str) -> Vec<f64> {
    let set = json("fixtures/parameter_sets.json")["conductances"][name].clone();
    CHANNELS.iter().map(|c| set[c].as_f64().unwrap()).collect()
}

/// A table of `tests/data`: names of its columns, and its rows as text.
pub struct Csv {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Csv {
    pub fn read(file: &str) -> Self {
        let text = read(file);
        let mut lines = text.lines().map(|line| line.split(',').map(String::from));
        let names = lines.next().unwrap().collect();
        let rows = lines.map(Iterator::collect).collect();
        Csv { names, rows }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    fn place(&self, column: &str) -> usize {
        let found = self.names.iter().position(|name| name == column);
        found.unwrap_or_else(|| panic!("no column {column} in {:?}", self.names))
    }

    pub fn text(&self, row: usize, column: &str) -> &str {
        &self.rows[row][self.place(column)]
    }

    pub fn number(&self, row: usize, column: &str) -> f64 {
        self.text(row, column).parse().unwrap()
    }

    /// The number in a column by its place, where two columns have one name.
    pub fn number_at(&self, row: usize, column: usize) -> f64 {
        self.rows[row][column].parse().unwrap()
    }

    pub fn column(&self, column: &str) -> Vec<f64> {
        let place = self.place(column);
        self.rows
            .iter()
            .map(|r| r[place].parse().unwrap())
            .collect()
    }

    /// The eight conductances of a row, their columns named by `prefix`, channel and `suffix`.
    pub fn conductances(&self, row: usize, prefix: &str, suffix: &str) -> Vec<f64> {
        CHANNELS
            .iter()
            .map(|c| self.number(row, &format!("{prefix}{c}{suffix}")))
            .collect()
    }
}

/// The text of a scene's `gbar`.
pub fn gbar(conductances: &[f64]) -> String {
    let named = CHANNELS.iter().zip(conductances);
    let entries: Vec<String> = named.map(|(c, g)| format!("{c:?}: {g:?}")).collect();
    format!("{{ {} }}", entries.join(", "))
}

/// A scene of the given settings, cells and edges; cells are (name, fields).
pub fn scene(settings: &str, cells: &[(String, String)], edges: &[String]) -> Scene {
    let cells: Vec<String> = cells
        .iter()
        .map(|(name, fields)| format!("{name:?}: (cell: \"stg\", {fields})"))
        .collect();
    let text = format!(
        "Scene(format: 1, about: \"fixture\", source: \"tests/data\", {settings},\n\
         cells: {{\n{}\n}},\nedges: [\n{}\n])",
        cells.join(",\n"),
        edges.join(",\n"),
    );
    read_text(&text, "fixture", None).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// One STG cell.
pub fn single(settings: &str, conductances: &[f64], more: &str) -> Scene {
    let fields = format!("gbar: {}, {more}", gbar(conductances));
    scene(settings, &[("cell".into(), fields)], &[])
}

/// The network of a trajectory fixture: cells `c1`, `c2`, ... with `more` in each, synapses and
/// junctions in the order of the file.
pub fn network(fixture: &Value, settings: &str, more: &str) -> Scene {
    let list = |key: &str| fixture[key].as_array().unwrap().clone();
    let cells: Vec<(String, String)> = list("cells")
        .iter()
        .map(|cell| {
            let fields = format!(
                "gbar: {}, parameters: {{ \"KCa.tm\": {} }}, start: (V: {}), {more}",
                gbar(&numbers(&cell["g"])),
                cell["tmKCa"],
                cell["V0"]
            );
            (format!("c{}", cell["name"].as_str().unwrap()), fields)
        })
        .collect();
    let synapses = list("synapses").into_iter().map(|s| {
        format!(
            "(pre: \"c{}\", post: \"c{}\", kind: {}, g: {}, s: {}, parameters: {{ \"E\": {}, \
             \"V_half\": {}, \"slope\": {}, \"tau\": {} }})",
            s["pre"], s["post"], s["kind"], s["g"], s["s0"], s["E"], s["Vth"], s["slope"], s["tau"]
        )
    });
    let gaps = list("gaps").into_iter().map(|gap| {
        format!(
            "(pre: \"c{}\", post: \"c{}\", kind: \"gap\", g: {})",
            gap["a"], gap["b"], gap["g"]
        )
    });
    let edges: Vec<String> = synapses.chain(gaps).collect();
    scene(settings, &cells, &edges)
}

/// Settings of a run by the reference integrator, which asks for a grid of `grid_ms` to stop at.
pub fn reference(duration_ms: f64, grid_ms: f64) -> String {
    format!(
        "duration_ms: {duration_ms}, step_ms: {grid_ms}, control_ms: {}, integrator: \"reference\"",
        100.0_f64.max(grid_ms)
    )
}

/// Settings of a run by the fixed-step integrator.
pub fn exponential(duration_ms: f64, step_ms: f64) -> String {
    format!("duration_ms: {duration_ms}, step_ms: {step_ms}, integrator: \"exponential\"")
}

/// What a run left behind.
pub struct Run {
    /// Spike times (ms) by cell.
    pub spikes: Vec<Vec<f64>>,
    /// Samples: time (ms) and values.
    pub rows: Vec<(f64, Vec<f64>)>,
    /// The network at the end.
    pub simulation: Simulation,
}

/// Runs a scene; the reference integrator at relative tolerance `tolerance`. `sampled` are read
/// every `every_ms`.
pub fn run(scene: &Scene, tolerance: f64, sampled: &[Address], every_ms: f64) -> Run {
    let mut simulation = spawn(scene).unwrap_or_else(|e| panic!("{e}"));
    if scene.integrator == Integrator::Reference {
        simulation.world.resource_mut::<Reference>().tolerance = tolerance;
    }
    if !sampled.is_empty() {
        let mut observers = simulation.world.resource_mut::<Observers>();
        observers
            .samplers
            .push(Sampler::new(sampled.to_vec(), every_ms));
    }
    simulation.run().unwrap();
    let observers = simulation.world.resource::<Observers>();
    Run {
        spikes: homarus::run::trains(&simulation),
        rows: observers
            .samplers
            .first()
            .map_or(Vec::new(), |s| s.rows.clone()),
        simulation,
    }
}

/// Runs a scene for its spikes alone.
pub fn spikes(scene: &Scene, tolerance: f64) -> Vec<Vec<f64>> {
    run(scene, tolerance, &[], 1.0).spikes
}

/// Largest distance of two spike trains that must have as many spikes (ms).
pub fn largest_shift(found: &[f64], wanted: &[f64], what: &str) -> f64 {
    assert_eq!(found.len(), wanted.len(), "{what}: number of spikes");
    let pairs = found.iter().zip(wanted);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
