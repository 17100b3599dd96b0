//! The table of what the engine is to cost: each figure measured here and now, beside what is
//! wanted of it. `cargo bench --bench targets`, some minutes; how the figures are taken:
//! `benches/README.md`.
//!
//! Nothing is asserted: a shared machine says more about its other users than about the engine.

use std::time::Instant;

use homarus::{
    bench::{self, Case, Measurement},
    execution::{self, Execution},
    run,
    scene::{self, Scene, spawn},
};
use homarus_systems::integrate::Kernel;

/// Repeats of a measurement, of which the median counts.
const REPEATS: usize = 3;

/// Conductances of a burster (mS/cm²): those of cell 1 of the five-neuron network.
const CELL: &str = r#"cell: "stg", parameters: { "KCa.tm": 2 }, jitter: 0.05, start: (V: Uniform(-65, -55)), gbar: {
    "Na": 3951.84, "CaT": 2.91, "CaS": 18.98, "A": 71.02, "KCa": 109.18, "Kd": 137.74, "H": 0.2909, "leak": 0.00913 }"#;

/// Homeostasis and controller of a cell.
const REGULATED: &str = r#",
    homeostat: (channels: ["Na", "CaT", "KCa", "Kd", "H", "leak"], Ca_target: 125),
    controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;

/// The STG cell with a potassium current as a user would write it down.
const OWN: &str = r#"define: [
    Channel(format: 1, name: "own_kd", reversal: -80, gates: { "n": (power: 4,
        inf: "1/(1 + exp((V + 12.3)/(-11.8)))", tau: "7.2 - 6.4/(1 + exp((V + 28.3)/(-19.2)))") }),
    Cell(format: 1, name: "own", capacitance: 1, channels: {
        "Na": "stg_na", "CaT": "stg_cat", "CaS": "stg_cas", "A": "stg_a", "KCa": "stg_kca",
        "Kd": "own_kd", "H": "stg_h", "leak": "leak" },
        calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94)),
]"#;

fn main() {
    println!("| figure | wanted | found |\n| --- | ---: | ---: |");
    uncoupled();
    ring();
    regulation();
    large();
    five_neurons();
    population();
    speed_up();
    kernels();
    own_channel();
    building();
    accurate();
}

fn row(figure: &str, wanted: &str, found: String) {
    println!("| {figure} | {wanted} | {found} |");
}

/// The median of some repeats.
fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut found: Vec<f64> = (0..REPEATS).map(|_| measure()).collect();
    found.sort_by(f64::total_cmp);
    found[REPEATS / 2]
}

fn execution(threads: usize) -> Execution {
    Execution {
        threads: Some(threads),
        ..Execution::default()
    }
}

fn synthetic(
    neurons: usize,
    synapses_per_neuron: usize,
    steps: u64,
    threads: usize,
) -> Measurement {
    let case = Case {
        neurons,
        synapses_per_neuron,
        steps,
    };
    bench::synthetic(case, &execution(threads)).unwrap_or_else(|error| panic!("{error}"))
}

/// Nanoseconds of a neuron in a step.
fn ns(neurons: usize, synapses: usize, steps: u64, threads: usize) -> f64 {
    median(|| synthetic(neurons, synapses, steps, threads).ns_per_neuron_step)
}

fn read(text: &str) -> Scene {
    scene::read_text(text, "target", None).unwrap_or_else(|errors| panic!("{errors}"))
}

/// `count` uncoupled cells with more fields.
fn cells(count: usize, more: &str, settings: &str) -> Scene {
    read(&format!(
        "Scene(format: 1, {settings}, cells: {{ \"c\": (count: {count}, {CELL}{more}) }})"
    ))
}

/// Wall time of a whole run (s).
fn wall_s(scene: &Scene, threads: usize) -> f64 {
    let pool = execution::pool(threads).unwrap_or_else(|error| panic!("{error}"));
    let clock = Instant::now();
    pool.install(|| run::run(scene))
        .unwrap_or_else(|error| panic!("{error}"));
    clock.elapsed().as_secs_f64()
}

/// Nanoseconds of a neuron in a step of a scene.
fn scene_ns(scene: &Scene, execution: &Execution) -> f64 {
    let measured = bench::scene(scene, execution).unwrap_or_else(|error| panic!("{error}"));
    measured.ns_per_neuron_step
}

fn uncoupled() {
    for (neurons, steps, wanted) in [
        (1_000, 20_000, "10 ns, 17 ×"),
        (10_000, 2_000, "11 ns, 17 ×"),
    ] {
        let mut all: Vec<_> = (0..REPEATS)
            .map(|_| {
                let measured = synthetic(neurons, 0, steps, 1);
                let scalar = measured.ns_per_neuron_step_scalar.unwrap_or(f64::NAN);
                (measured.ns_per_neuron_step, scalar)
            })
            .collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ns, scalar) = all[REPEATS / 2];
        let found = format!("{ns:.1} ns, {:.1} ×", scalar / ns);
        row(
            &format!("{neurons} uncoupled cells: a neuron-step, and against the yardstick"),
            wanted,
            found,
        );
    }
}

fn ring() {
    let found = format!("{:.1} ns", ns(1_000, 2, 20_000, 1));
    row(
        "1 000 cells on a ring, two graded synapses each",
        "13 ns",
        found,
    );
}

fn regulation() {
    let settings = "duration_ms: 500, step_ms: 0.05";
    let (plain, regulated) = (
        cells(1_000, "", settings),
        cells(1_000, REGULATED, settings),
    );
    let added = median(|| {
        let one = execution(1);
        1e2 * (scene_ns(&regulated, &one) / scene_ns(&plain, &one) - 1.0)
    });
    row(
        "homeostasis and controller on every cell, added",
        "10 %",
        format!("{added:.0} %"),
    );
}

fn large() {
    let found = format!("{:.1} ns", ns(100_000, 10, 200, 2));
    row(
        "100 000 cells × 10 random edges, two threads",
        "35 ns",
        found,
    );
    let measured = synthetic(1_000_000, 10, 40, 2);
    let memory = measured.peak_rss_mb.unwrap_or(f64::NAN);
    let found = format!(
        "{:.1} ns, {:.1} GB",
        measured.ns_per_neuron_step,
        1e-3 * memory
    );
    row(
        "1 000 000 cells × 10 random edges, two threads",
        "under 4 GB",
        found,
    );
}

fn five_neurons() {
    let mut scene = scene::read("five_neuron_cpg").unwrap_or_else(|errors| panic!("{errors}"));
    scene.duration_ms = 30_000.0;
    scene.windows.clear();
    scene.rhythms.clear();
    scene
        .protocol
        .retain(|entry| entry.at_ms < scene.duration_ms);
    let found = median(|| 1e3 / (5.0 * scene_ns(&scene, &execution(1))));
    row(
        "five-neuron CPG, all on",
        "8 M steps/s",
        format!("{found:.1} M steps/s"),
    );
}

fn population() {
    let scene = cells(200, REGULATED, "duration_ms: 300_000, step_ms: 0.025");
    let found = format!("{:.1} s", wall_s(&scene, 2));
    row(
        "200 regulated cells, 300 s at 0.025 ms, two threads",
        "25 s",
        found,
    );
}

fn speed_up() {
    let against = |synapses: usize| {
        median(|| {
            let [one, two] = [1, 2].map(|threads| {
                let measured = synthetic(10_000, synapses, 1_000, threads);
                measured.ns_per_neuron_step
            });
            one / two
        })
    };
    row(
        "two threads against one: 10 000 cells on a ring",
        "1.6 ×",
        format!("{:.2} ×", against(2)),
    );
    row(
        "the same, uncoupled",
        "1.9 ×",
        format!("{:.2} ×", against(0)),
    );
}

fn kernels() {
    let by = |kernel: Kernel| {
        let case = Case {
            neurons: 1_000,
            synapses_per_neuron: 0,
            steps: 10_000,
        };
        let execution = Execution {
            kernel,
            threads: Some(1),
        };
        let measured = bench::synthetic(case, &execution).unwrap_or_else(|error| panic!("{error}"));
        measured.ns_per_neuron_step
    };
    if Kernel::ALL[..2].iter().any(|kernel| !kernel.available()) {
        return row(
            "AVX2 against AVX-512",
            "2.2 ×",
            "not on this processor".to_owned(),
        );
    }
    let found = median(|| by(Kernel::Avx2) / by(Kernel::Avx512));
    row(
        "AVX2 against AVX-512: slower by",
        "2.2 ×",
        format!("{found:.2} ×"),
    );
}

fn own_channel() {
    let settings = "duration_ms: 2000, step_ms: 0.05";
    let shipped = cells(1_000, "", settings);
    let cell = CELL.replacen("\"stg\"", "\"own\"", 1);
    let own = read(&format!(
        "Scene(format: 1, {settings}, {OWN}, cells: {{ \"c\": (count: 1000, {cell}) }})"
    ));
    let slower = median(|| {
        let one = execution(1);
        1e2 * (scene_ns(&own, &one) / scene_ns(&shipped, &one) - 1.0)
    });
    row(
        "a user's channel in place of a shipped one: slower by",
        "0 %",
        format!("{slower:+.1} %"),
    );
}

fn building() {
    let text = format!(
        r#"Scene(format: 1, duration_ms: 1, step_ms: 0.05, seed: 1, cells: {{ "c": (count: 100_000, {CELL}) }},
            generators: {{ "e": (rule: Random(in_degree: 10), pre: "c", post: "c", kind: "tanh", g: 0.02) }})"#
    );
    let found = median(|| {
        let clock = Instant::now();
        let mut network = spawn::spawn(&read(&text)).unwrap_or_else(|errors| panic!("{errors}"));
        network.start().unwrap_or_else(|error| panic!("{error}"));
        clock.elapsed().as_secs_f64()
    });
    row(
        "load, check and build of 100 000 cells × 10 edges",
        "2 s",
        format!("{found:.1} s"),
    );
}

fn accurate() {
    let settings = "duration_ms: 1000, step_ms: 0.05, integrator: \"accurate\"";
    // Half tonic, half bursting: without its slow calcium current a cell does not burst.
    let tonic = CELL.replacen("\"CaS\": 18.98", "\"CaS\": 2", 1);
    let mixed = read(&format!(
        "Scene(format: 1, {settings}, cells: {{ \"b\": (count: 256, {CELL}), \"t\": (count: 256, {tonic}) }})"
    ));
    let us_per_neuron_ms = |scene: &Scene| {
        let neurons = scene.cells.len() as f64;
        median(|| 1e6 * wall_s(scene, 1) / neurons / scene.duration_ms)
    };
    let found = format!("{:.2} µs", us_per_neuron_ms(&mixed));
    row(
        "`accurate`, 512 uncoupled cells: a neuron-ms",
        "0.5 µs",
        found,
    );
    let mut five = scene::read("five_neuron_cpg").unwrap_or_else(|errors| panic!("{errors}"));
    five.integrator = scene::model::Integrator::Accurate;
    five.duration_ms = 20_000.0;
    five.windows.clear();
    five.rhythms.clear();
    five.protocol.retain(|entry| entry.at_ms < five.duration_ms);
    let found = format!("{:.1} µs", us_per_neuron_ms(&five));
    row(
        "`accurate`, five-neuron CPG, all on: a neuron-ms",
        "1.3 µs",
        found,
    );
}
