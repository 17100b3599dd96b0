//! A channel, a cell type and a synapse kind are files beside the scene: what a user writes there
//! runs without a rebuild, as fast and exact as what ships. Gates of V and Ca that do not factor
//! are evaluated directly, removable points take their limit, a bridge replaces a pole, a Nernst
//! potential follows calcium.

// What is expected comes from the platform's functions, not from the engine's own.
#![allow(clippy::disallowed_methods)]

mod helpers;

use helpers::{Folder, bits, network, read, run, scene_text, stg, value};
use homarus::scene::{model::Integrator, read_text, spawn};
use homarus_systems::{
    assembly::Simulation,
    channels::{Activation, CellTypes, Inactivation},
    schedule::{Clock, Neurons},
};

/// First gate of a lane of the first cell.
fn activation(simulation: &Simulation, lane: usize) -> f64 {
    let cell = simulation.world.resource::<Neurons>().entity(0);
    simulation
        .world
        .get::<Activation<8>>(cell)
        .expect("gates")
        .0
        .0[lane]
}

/// Second gate of a lane of the first cell.
fn inactivation(simulation: &Simulation, lane: usize) -> f64 {
    let cell = simulation.world.resource::<Neurons>().entity(0);
    simulation
        .world
        .get::<Inactivation<8>>(cell)
        .expect("gates")
        .0
        .0[lane]
}

const OWN_KD: &str = r#"Channel(
    format: 1, name: "own_kd", reversal: -80, parameters: { "half": 12.3 },
    gates: { "n": (power: 4, inf: "1/(1 + exp((V + half)/(-11.8)))", tau: "7.2 - 6.4/(1 + exp((V + 28.3)/(-19.2)))") },
)"#;

const OWN_CELL: &str = r#"Cell(
    format: 1, name: "own", capacitance: 1, include: ["own_kd.ron"],
    channels: {
        "Na": "stg_na", "CaT": "stg_cat", "CaS": "stg_cas", "A": "stg_a", "KCa": "stg_kca",
        "Kd": "own_kd", "H": "stg_h", "leak": "leak",
    },
    calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94),
)"#;

const OWN_SYNAPSE: &str = r#"Synapse(
    format: 1, name: "own_tanh", parameters: { "reach": 10 },
    chemical: (inf: "if(V_pre > -50, tanh((V_pre + 50)/reach), 0)", tau: 10, reversal: -75),
)"#;

/// The shipped cell and synapse, rewritten by a user, do what the shipped ones do; with other
/// numbers they do something else.
#[test]
fn what_a_user_writes_runs_as_what_ships() {
    let folder = Folder::new(
        "own",
        &[
            ("own_kd.ron", OWN_KD),
            ("own.ron", OWN_CELL),
            ("own_tanh.ron", OWN_SYNAPSE),
        ],
    );
    let pair = |cell: &str, kind: &str, include: &str, more: &str| {
        let own = |k, v| stg(k, v).replace("cell: \"stg\"", &format!("cell: \"{cell}\""));
        scene_text(
            200.0,
            0.05,
            &format!(
                r#"{include} cells: {{ "A": ({}), "B": ({}) }}, edges: [
                (pre: "A", post: "B", kind: "{kind}", g: 0.3), (pre: "B", post: "A", kind: "{kind}", g: 0.3, {more})]"#,
                own(0, -50.0),
                own(1, -60.0)
            ),
        )
    };
    let shipped = bits(&run(&read(&pair("stg", "tanh", "", ""))));
    let include = r#"include: ["own.ron", "own_tanh.ron"],"#;
    let own = bits(&run(&folder.read(&pair("own", "own_tanh", include, ""))));
    assert_eq!(shipped, own);
    let reach = bits(&run(&folder.read(&pair(
        "own",
        "own_tanh",
        include,
        r#"parameters: { "reach": 20 }"#,
    ))));
    assert_ne!(shipped[0].bits, reach[0].bits);
    let mut moved = network(&folder.read(&pair("own", "own_tanh", include, "")));
    helpers::write(&mut moved, "B.Kd.half", 15.0);
    moved.run().expect("a run");
    assert_ne!(shipped[1].bits, bits(&moved)[1].bits);
}

/// A ramp of a kinetic parameter builds tables at each control tick, and leaves none of them behind.
#[test]
fn a_kinetic_ramp_leaves_no_tables_behind() {
    let folder = Folder::new("ramped", &[("own_kd.ron", OWN_KD), ("own.ron", OWN_CELL)]);
    let own = |k, v| stg(k, v).replace("cell: \"stg\"", "cell: \"own\"");
    let text = scene_text(
        50.0,
        0.05,
        &format!(
            r#"include: ["own.ron"], cells: {{ "A": ({}), "B": ({}) }},
            protocol: [(at_ms: 5, ramp: "*.Kd.half", to: 15, over_ms: 40)]"#,
            own(0, -50.0),
            own(1, -60.0)
        ),
    );
    let simulation = run(&folder.read(&text));
    assert_eq!(value(&simulation, "A.Kd.half"), 15.0);
    let types = simulation.world.resource::<CellTypes>().len();
    assert!(types <= 3, "{types} cell types for two cells");
}

/// A potassium channel whose half voltage and time constant move with calcium: no table serves it.
const BK: &str = r#"Channel(
    format: 1, name: "bk", reversal: -80,
    gates: {
        "m": (power: 2, inf: "1/(1 + exp(-(V + 20 + 5*ln(Ca/10))/8))", tau: "2 + 3/(1 + Ca/10 + exp(V/20))"),
        "h": (power: 1, inf: "1/(1 + exp((V + 30 - Ca/10)/6))", tau: "20 + Ca/(1 + Ca/50)"),
    },
)"#;

#[test]
fn a_gate_of_v_and_calcium_agrees_with_the_reference() {
    let cell = OWN_CELL
        .replace(r#"include: ["own_kd.ron"]"#, r#"include: ["bk.ron"]"#)
        .replace("own_kd", "stg_kd");
    let cell = cell.replace(r#""H": "stg_h""#, r#""BK": "bk""#);
    let folder = Folder::new("bk", &[("bk.ron", BK), ("own.ron", &cell)]);
    let own = stg(0, -50.0).replace("cell: \"stg\"", "cell: \"own\"");
    let own = own.replace("\"H\": 0.29087", "\"BK\": 20");
    let scene = |step: f64| {
        folder.read(&scene_text(
            25.0,
            step,
            &format!(r#"include: ["own.ron"], cells: {{ "A": ({own}) }}"#),
        ))
    };
    let mut reference = scene(0.05);
    reference.integrator = Integrator::Reference;
    let exact = run(&reference);
    assert!(helpers::spikes(&exact, "A").len() > 1);
    for (step, tolerance) in [(0.01, 1.0), (0.001, 0.1)] {
        let found = run(&scene(step));
        for (what, scale) in [("A.V", 1.0), ("A.Ca", 2.0)] {
            let error = (value(&found, what) - value(&exact, what)).abs() / scale;
            assert!(error < tolerance, "{what} at {step}: {error}");
        }
        let lane = 6;
        let error = (activation(&found, lane) - activation(&exact, lane)).abs()
            + (inactivation(&found, lane) - inactivation(&exact, lane)).abs();
        assert!(error < 0.02 * tolerance, "gates at {step}: {error}");
    }
}

/// Cells that share a block with one whose gate stands at a removable point keep the bits they
/// have alone.
#[test]
fn a_removable_point_does_not_show_in_other_cells() {
    let hole = r#"Channel(
        format: 1, name: "hole", reversal: -80,
        gates: { "n": (power: 4, alpha: "(1 + Ca/100)*0.01*(V + 60)/(1 - exp(-(V + 60)/10))", beta: "0.125*exp(-(V + 70)/80)") },
    )"#;
    let cell = r#"Cell(format: 1, name: "own", capacitance: 1, include: ["hole.ron"],
        channels: { "Kd": "hole", "leak": "leak" })"#;
    let folder = Folder::new("hole", &[("hole.ron", hole), ("own.ron", cell)]);
    let starts = [-60.0, -59.0, -33.0, -71.5];
    let with = |which: &[usize]| {
        let cells: String = which
            .iter()
            .map(|k| {
                format!(
                    r#""c{k}": (cell: "own", gbar: {{ "Kd": 1, "leak": 0.1 }}, start: (V: {}, Ca: 3)),"#,
                    starts[*k]
                )
            })
            .collect();
        let fields = format!(r#"include: ["own.ron"], cells: {{ {cells} }}"#);
        bits(&run(&folder.read(&scene_text(5.0, 0.05, &fields))))
    };
    let together = with(&[0, 1, 2, 3]);
    for k in 0..4 {
        assert!(together[k].v.is_finite());
        assert_eq!(with(&[k])[0], together[k], "c{k}");
    }
    // Near the point nothing jumps.
    let near = {
        let fields = r#"include: ["own.ron"], cells: { "c0": (cell: "own", gbar: { "Kd": 1, "leak": 0.1 },
            start: (V: -60.0001, Ca: 3)) }"#;
        bits(&run(&folder.read(&scene_text(5.0, 0.05, fields))))
    };
    assert!((near[0].v - together[0].v).abs() < 1e-3);
}

/// A cell held at `v` mV and `ca` µM with the gate of one channel at 0, after 3 ms.
fn gate_of_a_clamped_cell(
    channel: &str,
    v: f64,
    ca: f64,
    integrator: Integrator,
) -> Result<f64, String> {
    let cell = r#"Cell(format: 1, name: "own", capacitance: 1, include: ["channel.ron"], channels: { "X": "own" })"#;
    let folder = Folder::new(
        &format!("clamped{}{v}{ca}", channel.len()),
        &[("channel.ron", channel), ("own.ron", cell)],
    );
    let mut scene = folder.read(&scene_text(
        3.0,
        0.05,
        &format!(
            r#"include: ["own.ron"], cells: {{ "A": (cell: "own", start: (V: {v}, Ca: {ca}, gates: {{ "X.m": 0 }})) }}"#
        ),
    ));
    scene.integrator = integrator;
    let mut simulation = spawn::spawn(&scene).map_err(|e| e.to_string())?;
    simulation.run().map_err(|e| e.to_string())?;
    Ok(activation(&simulation, 0))
}

fn own(gate: &str) -> String {
    format!(r#"Channel(format: 1, name: "own", reversal: 0, gates: {{ "m": (power: 1, {gate}) }})"#)
}

#[test]
fn a_bridge_replaces_a_pole() {
    // 1/tau has no value at -40 mV, and none above 0 around it.
    let tau = r#"inf: 0.8, tau: "5 + 1/(V + 40)""#;
    let error =
        gate_of_a_clamped_cell(&own(tau), -60.0, 0.0, Integrator::Exponential).expect_err("a pole");
    assert!(
        error.contains("bridge") || error.contains("time constant"),
        "{error}"
    );
    let (a, b) = (1.0 / (5.0 - 0.2), 1.0 / (5.0 + 0.2));
    let bridged = own(&format!("{tau}, bridge: (-45, -35)"));
    for (v, rate) in [
        (-40.0, 0.5 * (a + b)),
        (-45.0, a),
        (-35.0, b),
        (-43.0, a + 0.2 * (b - a)),
        (-30.0, 1.0 / 5.1),
        (-60.0, 1.0 / 4.95),
    ] {
        let expected = 0.8 * (1.0 - f64::exp(-3.0 * rate));
        for (integrator, margin) in MARGINS {
            let m = gate_of_a_clamped_cell(&bridged, v, 0.0, integrator).expect("a run");
            assert!(
                (m - expected).abs() < margin,
                "{v} mV: {m} instead of {expected}"
            );
        }
    }
}

/// What each integrator may err by in a gate.
const MARGINS: [(Integrator, f64); 3] = [
    (Integrator::Exponential, 1e-7),
    (Integrator::Accurate, 1e-5),
    (Integrator::Reference, 1e-7),
];

/// The ends of a bridge have the calcium of the moment.
#[test]
fn a_bridge_of_a_gate_that_reads_calcium() {
    let gate = own(r#"inf: 0.8, tau: "(5 + 1/(V + 40))*(1 + Ca)", bridge: (-45, -35)"#);
    for ca in [0.0, 2.0] {
        let rate = 0.5 * (1.0 / 4.8 + 1.0 / 5.2) / (1.0 + ca);
        let expected = 0.8 * (1.0 - f64::exp(-3.0 * rate));
        let m = gate_of_a_clamped_cell(&gate, -40.0, ca, Integrator::Exponential).expect("a run");
        assert!(
            (m - expected).abs() < 1e-9,
            "{ca} µM: {m} instead of {expected}"
        );
    }
}

#[test]
fn a_removable_point_takes_its_limit() {
    let rates = own(r#"alpha: "0.1*(V + 40)/(1 - exp(-(V + 40)/10))", beta: 0.5"#);
    for (integrator, margin) in MARGINS {
        let m = gate_of_a_clamped_cell(&rates, -40.0, 0.0, integrator).expect("a run");
        let expected = 1.0 / 1.5 * (1.0 - f64::exp(-3.0 * 1.5));
        assert!((m - expected).abs() < margin, "{m} instead of {expected}");
    }
    let pole = own(r#"inf: "1/(V + 40)", tau: 1"#);
    let error =
        gate_of_a_clamped_cell(&pole, -60.0, 0.0, Integrator::Exponential).expect_err("a pole");
    assert!(error.contains("own") || error.contains("X.m"), "{error}");
}

/// A gate with a time constant of 0 is at its steady state at every step, by every integrator.
#[test]
fn an_instantaneous_gate() {
    let gate = own(r#"inf: "1/(1 + exp(-(V + 40)/5))", tau: 0"#);
    for integrator in [
        Integrator::Exponential,
        Integrator::Accurate,
        Integrator::Reference,
    ] {
        let m = gate_of_a_clamped_cell(&gate, -38.0, 0.0, integrator).expect("a run");
        let expected = 1.0 / (1.0 + f64::exp(-0.4));
        assert!(
            (m - expected).abs() < 1e-6,
            "{integrator:?}: {m} instead of {expected}"
        );
    }
}

/// A synapse without a time constant follows its presynaptic cell at once, by every integrator.
#[test]
fn an_instantaneous_synapse() {
    let kind = r#"Synapse(format: 1, name: "instant",
        chemical: (inf: "1/(1 + exp(-(V_pre + 40)/5))", tau: 0, reversal: -75))"#;
    let folder = Folder::new(
        "instant",
        &[("instant.ron", kind), ("passive.ron", helpers::PASSIVE)],
    );
    let mut scene = folder.read(&scene_text(
        10.0,
        0.005,
        r#"include: ["instant.ron", "passive.ron"], cells: {
            "A": (cell: "passive", gbar: { "leak": 0.2 }, start: (V: -20)),
            "B": (cell: "passive", gbar: { "leak": 0.1 }, start: (V: -50)) },
        edges: [(pre: "A", post: "B", kind: "instant", g: 0.2)]"#,
    ));
    let mut v = -50.0;
    let s = |t: f64| 1.0 / (1.0 + f64::exp(-(-50.0 + 30.0 * f64::exp(-0.2 * t) + 40.0) / 5.0));
    for k in 0..100_000 {
        v += 1e-4 * (-0.1 * (v + 50.0) - 0.2 * s(1e-4 * k as f64) * (v + 75.0));
    }
    for (integrator, tolerance) in [
        (Integrator::Exponential, 0.01),
        (Integrator::Accurate, 0.01),
        (Integrator::Reference, 1e-3),
    ] {
        scene.integrator = integrator;
        let simulation = run(&scene);
        let found = value(&simulation, "B.V");
        assert!((found - v).abs() < tolerance, "{integrator:?}: {found} {v}");
        assert!((value(&simulation, "A->B.s") - s(10.0)).abs() < 1e-4);
    }
}

/// A calcium channel whose reversal follows calcium by Nernst's law.
#[test]
fn a_nernst_potential_follows_calcium() {
    let channel = r#"Channel(format: 1, name: "open_ca", carries_calcium: true,
        reversal: Nernst(slope_mV: 12.243, outside_uM: 3000))"#;
    let cell = r#"Cell(format: 1, name: "own", capacitance: 1, include: ["open_ca.ron"],
        channels: { "open": "open_ca", "leak": "leak" },
        calcium: (tau_ms: 200, rest_uM: 0.05, per_nA: 14.96), area_cm2: 0.628e-3)"#;
    let folder = Folder::new("nernst", &[("open_ca.ron", channel), ("own.ron", cell)]);
    let scene = |leak: f64, duration: f64, step: f64| {
        folder.read(&scene_text(
            duration,
            step,
            &format!(r#"include: ["own.ron"], cells: {{ "A": (cell: "own", gbar: {{ "open": 0.05, "leak": {leak} }}, start: (V: -40)) }}"#),
        ))
    };
    // It starts where influx balances removal at the start voltage (200 ms, 14.96 µM/nA, 0.628e-3 cm²).
    let mut fresh = network(&scene(0.1, 10.0, 0.05));
    fresh.start().expect("a start");
    let ca = value(&fresh, "A.Ca");
    let current = |v: f64, ca: f64| 0.05 * (v - 12.243 * (3000.0 / ca).ln());
    assert!(
        (ca - (0.05 - 14.96 * 0.628 * current(-40.0, ca))).abs() < 1e-9,
        "{ca}"
    );
    // Against the equations by small steps, by every integrator.
    let (mut v, mut c) = (-40.0, ca);
    for _ in 0..1_000_000 {
        let i = current(v, c);
        let dv = -(i + 0.1 * (v + 50.0));
        let dc = (0.05 - 14.96 * 0.628 * i - c) / 200.0;
        (v, c) = (v + 1e-4 * dv, c + 1e-4 * dc);
    }
    let mut reference = scene(0.1, 100.0, 0.05);
    reference.integrator = Integrator::Reference;
    let mut accurate = scene(0.1, 100.0, 0.05);
    accurate.integrator = Integrator::Accurate;
    let fixed = (scene(0.1, 100.0, 0.005), 1e-3);
    for (scene, tolerance) in [fixed, (accurate, 5e-3), (reference, 1e-4)] {
        let simulation = run(&scene);
        let (found_v, found_c) = (value(&simulation, "A.V"), value(&simulation, "A.Ca"));
        assert!(
            (found_v - v).abs() < tolerance && (found_c - c).abs() < tolerance,
            "{found_v} {v} {found_c} {c}"
        );
    }
    // Without a leak the cell comes to rest at the potential itself, without current and influx.
    let rest = run(&scene(0.0, 80_000.0, 0.1));
    let ca = value(&rest, "A.Ca");
    assert!((ca - 0.05).abs() < 1e-6, "{ca}");
    assert!((value(&rest, "A.V") - 12.243 * (3000.0_f64 / 0.05).ln()).abs() < 1e-4);
}

/// A user's synapse kind: its start, a reversal worked out from parameters, a junction with a
/// factor of both voltages.
#[test]
fn a_synapse_kind_of_ones_own() {
    let slow = r#"Synapse(format: 1, name: "slow", parameters: { "E": -60, "shift": 5, "s0": 0.25 },
        chemical: (alpha: "0.02*exp(V_pre/100)", beta: 0.01, reversal: "E - 2*shift", start: "s0"))"#;
    let junction = r#"Synapse(format: 1, name: "valve", electrical: (factor: "min(max((V_pre - V_post)/20, 0), 1)"))"#;
    let folder = Folder::new(
        "kinds",
        &[
            ("slow.ron", slow),
            ("valve.ron", junction),
            ("passive.ron", helpers::PASSIVE),
        ],
    );
    let text = scene_text(
        30.0,
        0.01,
        r#"include: ["slow.ron", "valve.ron", "passive.ron"], cells: {
            "A": (cell: "passive", start: (V: -20)), "B": (cell: "passive", gbar: { "leak": 0.1 }, start: (V: -50)) },
        edges: [(pre: "A", post: "B", kind: "slow", g: 0.2, parameters: { "shift": 10 }),
            (pre: "B", post: "A", kind: "valve", g: 0.5)]"#,
    );
    let mut simulation = network(&folder.read(&text));
    simulation.start().expect("a start");
    assert_eq!(value(&simulation, "A->B.s"), 0.25);
    while !simulation.world.resource::<Clock>().finished() {
        simulation.stretch().expect("a run");
        // V_pre - V_post is B - A, below 0: the valve is shut and A stays where it is.
        assert_eq!(value(&simulation, "A.V"), -20.0);
    }
    let (opening, closing) = (0.02 * (-0.2_f64).exp(), 0.01);
    let inf = opening / (opening + closing);
    let s = inf + (0.25 - inf) * (-30.0 * (opening + closing)).exp();
    assert!((value(&simulation, "A->B.s") - s).abs() < 1e-9);
    let mut v = -50.0;
    for k in 0..300_000 {
        let s = inf + (0.25 - inf) * (-1e-4 * k as f64 * (opening + closing)).exp();
        v += 1e-4 * (-0.1 * (v + 50.0) - 0.2 * s * (v + 80.0));
    }
    assert!(
        (value(&simulation, "B.V") - v).abs() < 0.01,
        "{} {v}",
        value(&simulation, "B.V")
    );
}

/// A file beside the scene that is wrong is told by its own name, before anything runs.
#[test]
fn a_broken_file_beside_the_scene_is_named() {
    let folder = Folder::new(
        "broken",
        &[(
            "bad.ron",
            r#"Channel(format: 1, name: "bad", reversal: -80, gates: { "m": (power: 2, inf: "1/(1 + exp(W))", tau: 2) })"#,
        )],
    );
    let text = scene_text(
        1.0,
        0.05,
        r#"include: ["bad.ron"], cells: { "A": (cell: "stg") }"#,
    );
    let elsewhere = Folder::new("broken-elsewhere", &[]);
    let elsewhere = std::path::PathBuf::from(elsewhere.path(""));
    assert!(
        read_text(&text, "scene.ron", Some(&elsewhere)).is_err(),
        "not there"
    );
    let errors = std::panic::catch_unwind(|| folder.read(&text)).expect_err("wrong");
    let told = errors.downcast_ref::<String>().expect("a message");
    assert!(told.contains("bad.ron") && told.contains('W'), "{told}");
}
