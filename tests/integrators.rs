//! The two integrators are two ways through the same equations: on small coupled, regulated and
//! perturbed networks `exponential` goes to what `reference` says as its step shrinks.

// What is expected comes from the platform's functions, not from the engine's own.
#![allow(clippy::disallowed_methods)]

mod helpers;

use helpers::{Folder, PASSIVE, events, read, run, scene_text, spikes, stg, value};
use homarus::scene::{Scene, model::Integrator};

/// Two regulated cells in mutual inhibition with a gap, and a protocol.
fn network(duration_ms: f64, step_ms: f64, integrator: &str, protocol: &str) -> Scene {
    let homeostat = r#"homeostat: (channels: ["Na", "CaT", "KCa", "Kd", "H", "leak"], Ca_target: 125, tau_Na: 100)"#;
    let controller = r#"controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;
    read(&scene_text(
        duration_ms,
        step_ms,
        &format!(
            r#"integrator: "{integrator}",
            cells: {{ "A": ({}, {homeostat}, {controller}), "B": ({}, {homeostat}) }},
            edges: [(pre: "A", post: "B", kind: "tanh", g: 0.4), (pre: "B", post: "A", kind: "tanh", g: 0.2, parameters: {{ "V_half": -45, "tau": 25 }}),
            (pre: "A", post: "B", kind: "gap", g: 0.05), (pre: "A", post: "A", kind: "tanh", g: 0.05)],
            protocol: [{protocol}]"#,
            stg(0, -50.0),
            stg(1, -50.0)
        ),
    ))
}

/// Every kind of entry, most of them off the grid.
const ENTRIES: &str = r#"
    (at_ms: 0, scale: "A.H.gbar", by: 2), (at_ms: 1.0173, current: "A", amplitude: 5, for_ms: 1.1),
    (at_ms: 3.9, block: "B.CaT", by: 0.5), (at_ms: 4.003, set: "A->B.tau", to: 15),
    (at_ms: 5, ramp: "A.Ca_target", to: 50, over_ms: 4), (at_ms: 5.5, homeostat: "A.CaT", on: false),
    (at_ms: 6.5, cut: "A--B"), (at_ms: 7, modulate: "A", g_s: -2), (at_ms: 7.25, restore: "A--B"),
    (at_ms: 7.6, set: "B.KCa.tm", to: 4), (at_ms: 8.1, overwrite: "B", gbar: { "Kd": 180 }, mrna: true),
    (at_ms: 9, controller: "A", on: false),
    (at_ms: 9.3, compensate: "A", channels: ["CaS", "A"], g_s: -5, g_u: 4), (at_ms: 10, reset: "B", V: -62)"#;

/// What the two must agree on: path and the size of an error that counts as 1.
const PATHS: [(&str, f64); 14] = [
    ("A.V", 30.0),
    ("B.V", 30.0),
    ("A.Ca", 50.0),
    ("B.Ca", 50.0),
    ("A.Na.mRNA", 5.0),
    ("B.Kd.gbar", 2.0),
    ("A.CaT.gbar", 0.1),
    ("A.CaS.gbar", 1.0),
    ("A.A.gbar", 10.0),
    ("B.CaT.mRNA", 0.1),
    ("A.A.pool", 10.0),
    ("A.CaS.integral", 300.0),
    ("A->B.s", 0.5),
    ("B->A.s", 0.5),
];

/// Errors of `exponential` at two steps against the reference.
#[track_caller]
fn converges(duration_ms: f64, protocol: &str) {
    let exact = run(&network(duration_ms, 0.05, "reference", protocol));
    let at = |step: f64| {
        let found = run(&network(duration_ms, step, "exponential", protocol));
        for cell in ["A", "B"] {
            let (a, b) = (spikes(&found, cell), spikes(&exact, cell));
            assert!(a.len() == b.len() && !a.is_empty(), "{cell}: {a:?} {b:?}");
            assert!(
                a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 5.0 * step),
                "{cell}: {a:?} {b:?}"
            );
        }
        let told = |s| {
            events(s)
                .iter()
                .map(|e| (e.t_ms, e.what, e.path.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&found), told(&exact), "what the protocol did");
        PATHS.map(|(path, scale)| (value(&found, path) - value(&exact, path)).abs() / scale)
    };
    let (coarse, fine) = (at(0.01), at(0.001));
    let worst = |errors: [f64; 14]| errors.iter().copied().fold(0.0, f64::max);
    assert!(worst(coarse) < 0.02, "{coarse:?}");
    assert!(worst(fine) < 0.003, "{fine:?}");
}

#[test]
fn a_small_step_agrees_with_the_reference() {
    converges(40.0, "");
}

#[test]
fn a_small_step_agrees_with_the_reference_through_a_protocol() {
    converges(40.0, ENTRIES);
}

/// Where the reference stops does not show.
#[test]
fn the_reference_does_not_depend_on_its_stretches() {
    let at = |step: f64| {
        let simulation = run(&network(
            5.0,
            step,
            "reference",
            r#"(at_ms: 1.0173, set: "A.I", to: 1)"#,
        ));
        PATHS.map(|(path, scale)| value(&simulation, path) / scale)
    };
    let (coarse, fine) = (at(0.5), at(0.01));
    for (k, (path, _)) in PATHS.iter().enumerate() {
        assert!(
            (coarse[k] - fine[k]).abs() < 1e-5,
            "{path}: {} {}",
            coarse[k],
            fine[k]
        );
    }
}

/// Both make the same of a conductance below zero, also where nothing regulates the cell.
#[test]
fn a_negative_conductance_is_the_same_to_both() {
    let at = |rule: &str, channel: &str, integrator: &str| {
        let simulation = run(&read(&scene_text(
            2.0,
            0.001,
            &format!(
                r#"negative_conductance: "{rule}", integrator: "{integrator}", cells: {{ "A": ({}) }},
                protocol: [(at_ms: 0.5, set: "A.{channel}.gbar", to: -3)]"#,
                stg(0, -58.0)
            ),
        )));
        (value(&simulation, "A.V"), value(&simulation, "A.Ca"))
    };
    for rule in ["allow", "rectify_current", "clamp"] {
        for channel in ["CaS", "H"] {
            let (found, exact) = (
                at(rule, channel, "exponential"),
                at(rule, channel, "reference"),
            );
            let error = (found.0 - exact.0).abs() + (found.1 - exact.1).abs();
            assert!(error < 1e-3, "{rule}, {channel}: {found:?} {exact:?}");
        }
    }
}

/// Both deliver the exact charge of a pulse off the grid.
#[test]
fn a_pulse_off_the_grid_in_the_reference() {
    let folder = Folder::new("reference-charge", &[("passive.ron", PASSIVE)]);
    let mut scene = folder.read(&scene_text(
        5.0,
        0.1,
        r#"include: ["passive.ron"],
        cells: { "A": (cell: "passive", gbar: { "leak": 0.3 }, start: (V: -70)) },
        protocol: [(at_ms: 1.0171, current: "A", amplitude: 7, for_ms: 0.0213)]"#,
    ));
    scene.integrator = Integrator::Reference;
    let v = value(&run(&scene), "A.V");
    let held =
        7.0 / 0.3 * (1.0 - (-0.3 * 0.0213_f64).exp()) * (-0.3 * (5.0 - 1.0171 - 0.0213_f64)).exp();
    let expected = -50.0 - 20.0 * (-1.5_f64).exp() + held;
    assert!((v - expected).abs() < 1e-6, "{v} {expected}");
}
