//! What `bench` promises: the JSON that scripts read, an engine and a yardstick that do the same
//! work, and an answer to every network that cannot be measured.

mod program;

use homarus::bench::{
    network::{Network, STEP_MS},
    yardstick::Yardstick,
};
use homarus_systems::{
    address::{Address, CellScalar, read},
    integrate::Kernel,
    observe::Spikes,
};
use program::{homarus, stderr, stdout};
use serde_json::Value;

/// Fields of the object, in order, and whether they may be `null`.
const FIELDS: [(&str, bool); 13] = [
    ("neurons", false),
    ("synapses", false),
    ("threads", false),
    ("steps", false),
    ("kernel", false),
    ("ns_per_neuron_step", false),
    ("ns_per_neuron_step_scalar", true),
    ("ns_per_synapse_step", true),
    ("spikes_per_neuron", false),
    ("spikes_per_neuron_scalar", true),
    ("build_s", false),
    ("peak_rss_mb", cfg!(not(target_os = "linux"))),
    ("model_s_per_wall_s", false),
];

/// The object of `bench --json` with arguments.
#[track_caller]
fn measured(arguments: &[&str]) -> Value {
    let output = homarus(&[&["bench", "--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object.as_object().unwrap().len(), FIELDS.len());
    for (field, optional) in FIELDS {
        assert!(optional || !object[field].is_null(), "{field}: {object}");
    }
    object
}

/// Fails unless engine and yardstick agree on the spikes to 1 %, of which there are some.
#[track_caller]
fn the_same_work(measured: &Value) {
    let spikes = |field: &str| measured[field].as_f64().unwrap();
    let engine = spikes("spikes_per_neuron");
    let scalar = spikes("spikes_per_neuron_scalar");
    assert!(engine >= 1.0, "{measured}");
    assert!((engine / scalar - 1.0).abs() < 0.01, "{measured}");
}

#[test]
fn json_is_one_object_with_the_promised_fields() {
    let ring = measured(&[
        "--neurons",
        "40",
        "--synapses-per-neuron",
        "2",
        "--threads",
        "1",
    ]);
    assert_eq!(ring["neurons"], 40);
    assert_eq!(ring["synapses"], 80);
    assert_eq!(ring["threads"], 1);
    assert_eq!(ring["steps"], 4000);
    assert!(ring["ns_per_neuron_step_scalar"].as_f64().unwrap() > 0.0);
    assert!(ring["ns_per_synapse_step"].is_number());
    the_same_work(&ring);

    let random = measured(&["--neurons", "40", "--synapses-per-neuron", "10"]);
    assert_eq!(random["synapses"], 400);
    the_same_work(&random);

    let uncoupled = measured(&["--neurons", "33", "--synapses-per-neuron", "0"]);
    assert!(uncoupled["ns_per_synapse_step"].is_null());
    the_same_work(&uncoupled);
}

#[test]
fn a_single_cell_has_no_synapses_by_default() {
    let single = measured(&["--neurons", "1"]);
    assert_eq!(single["synapses"], 0);
    the_same_work(&single);
}

#[test]
fn threads_and_kernels_change_no_spike() {
    let spikes = |arguments: &[&str]| {
        let all = [&["--neurons", "300", "--steps", "1000"], arguments].concat();
        let object = measured(&all);
        object["spikes_per_neuron"].as_f64().unwrap()
    };
    let one = spikes(&["--threads", "1"]);
    assert_eq!(one, spikes(&["--threads", "2"]));
    for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.available()) {
        assert_eq!(one, spikes(&["--kernel", kernel.name()]), "{kernel:?}");
    }
}

#[test]
fn a_scene_is_measured_without_yardstick() {
    let scene = measured(&["--scene", "half_centre", "--steps", "20000"]);
    assert_eq!(scene["neurons"], 2);
    assert_eq!(scene["synapses"], 2);
    assert_eq!(scene["steps"], 20_000);
    for field in [
        "ns_per_neuron_step_scalar",
        "ns_per_synapse_step",
        "spikes_per_neuron_scalar",
    ] {
        assert!(scene[field].is_null(), "{field}");
    }
    assert!(scene["spikes_per_neuron"].as_f64().unwrap() > 1.0);
}

/// The two are one scheme: what parts them over 20 ms is the table, linear between points 0.1 mV
/// apart, and how `exp` rounds.
#[test]
fn the_yardstick_is_the_scheme_of_the_engine() {
    for in_degree in [0, 2, 5] {
        let network = Network::new(20, in_degree);
        let mut engine = network.simulation(400, Kernel::detect()).unwrap();
        engine.run().unwrap();
        let mut scalar = Yardstick::new(&network, STEP_MS);
        scalar.run(400);
        for (cell, by_hand) in scalar.voltages().into_iter().enumerate() {
            let v = read(&engine.world, Address::Cell(cell, CellScalar::V)).unwrap();
            assert!(
                (v - by_hand).abs() < 0.1,
                "{in_degree}, {cell}: {v} {by_hand}"
            );
        }
        let spikes = engine.world.resource::<Spikes>().list.len() as u64;
        assert_eq!(spikes, scalar.spikes());
    }
}

#[test]
fn a_table_for_people_says_the_same() {
    let output = homarus(&["bench", "--neurons", "40", "--steps", "400"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    for part in [
        "40 cells, 80 synapses, 400 steps on 1 thread",
        "a neuron in a step",
        "written by hand",
        "of which a synapse",
        "spikes of a neuron",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_sweep_is_a_row_a_network_and_number_of_threads() {
    let sweep = |how: &[&str]| {
        let small = [
            "bench",
            "--sweep",
            "--neurons",
            "100",
            "--threads",
            "2",
            "--steps",
            "40",
        ];
        let output = homarus(&[&small, how].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let expected = [(10, 1), (10, 2), (100, 1), (100, 2)];

    let csv = sweep(&["--csv"]);
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(names, FIELDS.map(|(field, _)| field));
    let rows: Vec<(u64, u64)> = lines
        .map(|line| {
            let values: Vec<&str> = line.split(',').collect();
            (values[0].parse().unwrap(), values[2].parse().unwrap())
        })
        .collect();
    assert_eq!(rows, expected);

    let lines = sweep(&["--json"]);
    let objects = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rows: Vec<(u64, u64)> = objects
        .map(|object| {
            let number = |field: &str| object[field].as_u64().unwrap();
            (number("neurons"), number("threads"))
        })
        .collect();
    assert_eq!(rows, expected);

    let table = sweep(&[]);
    assert_eq!(table.lines().count(), 1 + expected.len(), "{table}");
}

#[test]
fn more_threads_than_cores_are_used_and_told() {
    let output = homarus(&[
        "bench",
        "--neurons",
        "10",
        "--steps",
        "40",
        "--threads",
        "1000",
    ]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("on 1000 threads"));
    let told = stderr(&output);
    assert!(
        told.starts_with("warning: there ") && told.contains("for 1000 threads"),
        "{told}"
    );
}

/// What cannot be measured, and what is told about it.
#[test]
fn bad_input_is_refused() {
    let mut rows: Vec<(&str, &[&str])> = vec![
        (
            "--neurons 0",
            &["--neurons", "expected a whole number from 1 to"],
        ),
        (
            "--neurons -5",
            &["'-5'", "expected a whole number from 1 to"],
        ),
        (
            "--neurons 1e3",
            &["'1e3'", "expected a whole number from 1 to"],
        ),
        (
            "--neurons 99999999999999999999999",
            &["expected a whole number"],
        ),
        (
            "--threads 0",
            &["--threads", "expected a whole number from 1 to 1024"],
        ),
        (
            "--threads 100000",
            &["expected a whole number from 1 to 1024"],
        ),
        (
            "--steps 0",
            &["--steps", "expected a whole number from 1 to"],
        ),
        (
            "--steps 1e99",
            &["--steps", "expected a whole number from 1 to"],
        ),
        (
            "--synapses-per-neuron -1",
            &["expected a whole number from 0 to"],
        ),
        (
            "--neurons 10 --synapses-per-neuron 10",
            &[
                "10 synapses per neuron need as many other cells, but there are 10 cells",
                "write at most --synapses-per-neuron 9",
            ],
        ),
        (
            "--neurons 1 --synapses-per-neuron 1",
            &["there is 1 cell", "--synapses-per-neuron 0"],
        ),
        (
            "--kernel avx51",
            &["there is no kernel `avx51`", "did you mean `avx512`?"],
        ),
        (
            "--kernel neon",
            &[
                "there is no kernel `neon`",
                "`portable`",
                "`auto` takes the widest",
            ],
        ),
        ("--kernel", &["--kernel"]),
        ("--scene nowhere", &["there is no shipped scene `nowhere`"]),
        ("--scene nowhere.ron", &["`nowhere.ron` does not exist"]),
        (
            "--scene half_centre --neurons 5",
            &["--scene", "cannot be used with", "--neurons"],
        ),
        (
            "--scene half_centre --sweep",
            &["cannot be used with", "--sweep"],
        ),
        ("--csv --json", &["cannot be used with"]),
        (
            "--neurons 1000000000 --synapses-per-neuron 5",
            &["are too many", "a network has at most 4294967295 cells"],
        ),
        (
            "--sweep --neurons 3000000000 --synapses-per-neuron 2",
            &["are too many"],
        ),
    ];
    if cfg!(target_os = "linux") {
        rows.push((
            "--neurons 1000000 --synapses-per-neuron 1000",
            &[
                "1000000 cells with 1000 synapses each do not fit in memory",
                "engine and yardstick take about",
                "are free",
                "fewer neurons, fewer synapses",
            ],
        ));
        rows.push((
            "--neurons 4000000000 --synapses-per-neuron 0",
            &["do not fit in memory"],
        ));
    }
    for (arguments, expected) in rows {
        let all: Vec<&str> = ["bench"].into_iter().chain(arguments.split(' ')).collect();
        let output = homarus(&all);
        let told = stderr(&output);
        let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(2), "{arguments}: {told}");
        assert_eq!(stdout(&output), "", "{arguments}");
        assert!(!told.contains("panicked"), "{arguments}: {told}");
        for part in expected {
            assert!(
                flat.replace("│ ", "").contains(part),
                "{arguments}: no `{part}` in\n{told}"
            );
        }
    }
}
