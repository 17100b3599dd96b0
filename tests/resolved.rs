//! A scene written down as resolved is the same scene: it reads back to the same text and hash and
//! runs to the same bits, with nothing beside it.

use homarus::{
    run,
    scene::{self, Kind, Scene, read_text, shipped},
};

fn resolved(scene: &Scene) -> Scene {
    let text = scene.text();
    read_text(&text, "scene.ron", None).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn assert_same(scene: &Scene) {
    let again = resolved(scene);
    assert_eq!(again.text(), scene.text());
    assert_eq!(again.hash(), scene.hash());
    assert_eq!(again.name, scene.name);
}

#[test]
fn every_shipped_network_reads_back_as_it_is() {
    for shipped in shipped().iter().filter(|s| s.kind == Kind::Network) {
        assert_same(&scene::read(&shipped.name).unwrap());
    }
}

#[test]
fn a_resolved_scene_runs_to_the_same_numbers() {
    let mut scene = scene::read("five_neuron_cpg").unwrap();
    scene.duration_ms = 1500.0;
    scene.protocol.clear();
    scene.windows.truncate(1);
    (scene.windows[0].from_ms, scene.windows[0].to_ms) = (200.0, 1500.0);
    let (mut one, mut two) = (
        run::run(&scene).unwrap(),
        run::run(&resolved(&scene)).unwrap(),
    );
    (one.wall_s, two.wall_s) = (0.0, 0.0);
    assert_eq!(one, two);
}

/// Every kind of field and entry, with numbers that short texts do not hold.
const EVERYTHING: &str = r#"Scene(
    format: 1, name: "everything", about: "All \"that\" a scene\ncan say", source: "this test",
    duration_ms: 100.1, step_ms: 0.3333333333333333, control_ms: 2.5, seed: 18446744073709551615,
    negative_conductance: "allow", integrator_start: "zero", threshold_mV: -5, rearm_mV: -10.5, gap_ms: 33,
    define: [
        Channel(name: "na", parameters: { "half": -25.5, "slope": 5.29 }, reversal: 50, gates: {
            "m": (power: 3, inf: "1/(1 + exp((V - half)/(-slope)))", tau: "1.32 - 1.26/(1 + exp((V + 120)/-25))"),
            "h": (power: 1, alpha: "if(V < -40, 0.07*exp(-(V + 65)/20), 1e-3)", beta: "1/(exp(-(V + 35)/10) + 1)") }),
        Channel(name: "cal", reversal: Nernst(slope_mV: 12.2, outside_uM: 3000), carries_calcium: true, gates: {
            "m": (power: 2, inf: "sigmoid((V + 33)/8.1)", tau: "1/((V + 10)*(V + 12))", bridge: (-15, -5)) }),
        Channel(name: "pas", reversal: -50),
        Cell(name: "ball", channels: { "Na": "na", "CaL": "cal", "leak": "pas" }, capacitance: 1.5, area_cm2: 6.28e-4,
            calcium: (tau_ms: 200, rest_uM: 0.05, per_nA: 14.96), start: (V: -61.125, gates: { "Na.h": 0.25 }),
            dic: (fast: "Na.m", slow: "Na.h", ultraslow: 100, threshold: Fixed(-50.1), normalise_by: "leak", calcium_at: { "CaL": 3 }),
            homeostat_reference: "Na"),
        Synapse(name: "glut", parameters: { "E": -70, "k": 0.025 }, chemical: (
            inf: "sigmoid((V_pre + 35)/5)", tau: "(1 - sigmoid((V_pre + 35)/5))/k", reversal: "E", start: "0.125")),
        Synapse(name: "half", electrical: (factor: "max(0, (V_pre - V_post)/10)", one_way: true)),
    ],
    cells: {
        "A": (cell: "ball", parameters: { "Na.half": -26 }, gbar: { "Na": 100, "CaL": 2.5, "leak": 0.01 }, I: nA(0.1),
            homeostat: (channels: ["Na"], Ca_target: 20, tau_g: 200, on: false),
            controller: (channels: ["CaL", "leak"], g_s: -2, g_u: 3, V_th: -49, on: false)),
        "β_2": (like: "A", area_cm2: 1e-3, start: (V: -50, Ca: 0.3)),
    },
    groups: { "both": ["A", "β_2"] },
    edges: [
        (pre: "A", post: "β_2", kind: "glut", g: nS(30), name: "one", parameters: { "k": 0.01 }, s: 0.5),
        (pre: "A", post: "β_2", kind: "glut", g: 0.1, name: "two"),
        (pre: "β_2", post: "A", kind: "half", g: nS(1)),
        (pre: "A", post: "β_2", kind: "gap", g: nS(0.7)),
    ],
    set: { "both/*.Na.gbar": 101.5, "A.V": -60.5 },
    protocol: [
        (at_ms: 1, set: "A.I", to: 0.1), (at_ms: 2, scale: "*.CaL.gbar", by: 0.3), (at_ms: 3, ramp: "A.leak.gbar", to: 0.02, over_ms: 7),
        (at_ms: 4, block: "*.Na", by: 0.5, controller_sees: false), (at_ms: 5, cut: "A->β_2:one"), (at_ms: 6, restore: "A"),
        (at_ms: 7.01, current: "A", amplitude: nA(0.3), for_ms: 0.001), (at_ms: 8, current: "A", amplitude: -1, for_ms: 10),
        (at_ms: 9, modulate: "both/*", g_u: 4), (at_ms: 10, overwrite: "*", gbar: { "Na": 90 }, mrna: true),
        (at_ms: 11, homeostat: "A.Na", on: true), (at_ms: 12, controller: "A", on: true),
        (at_ms: 13, reset: "A", V: -55), (at_ms: 99, reset: "β_2", Ca: 0.2),
    ],
    windows: [(label: "w \"1\"", from_ms: 10, to_ms: 100.1)],
    rhythms: [(name: "r", cells: ["both"], reference: "β_2", min_spikes: 3, order: ["A", "β_2"])],
    samples: [(paths: ["*.V", "A->β_2:one.g"], every_ms: 0.7)],
    expect: [
        (measure: "windows.w \"1\".cells.*.pattern", take: Fraction("tonic"), at_least: 0.25, at_most: 0.75),
        (measure: "windows.w \"1\".rhythms.r.cells.A.phase", value: 0.5, tolerance: 0.125, source: "a", note: "b"),
        (measure: "windows.w \"1\".rhythms.r.verdict", is: "absent"),
        (measure: "windows.w \"1\".cells.*.ca_mean_um", take: Quantile(0.9), value: 2, relative: 0.5),
        (scalar: "both/*.Na.gbar", at_ms: 9.5, values: { "A": 101.5, "β_2": 101.5 }, relative: 0.1, fraction: 0.5),
    ],
)"#;

#[test]
fn nothing_a_scene_can_say_is_lost() {
    let scene = read_text(EVERYTHING, "everything.ron", None).unwrap_or_else(|e| panic!("{e}"));
    assert_same(&scene);
    let text = scene.text();
    for said in [
        "Nernst(slope_mV: 12.2",
        "bridge: (-15.0, -5.0)",
        "per_nA: 14.96",
        "seed: 18446744073709551615",
        "g: nS(30.0)",
        "amplitude: nA(0.3)",
        "name: \"two\"",
        "one_way: true",
        "controller_sees: false",
        "\"both/*.Na.gbar\": 101.5",
        "on: false",
        "every_ms: 0.7",
        "order: [\"A\", \"β_2\"]",
        "take: Fraction(\"tonic\"), at_least: 0.25, at_most: 0.75",
        "value: 0.5, tolerance: 0.125, source: \"a\", note: \"b\"",
        "take: Quantile(0.9), value: 2.0, relative: 0.5",
        "at_ms: 9.5, values: {\"A\": 101.5, \"β_2\": 101.5}, relative: 0.1, fraction: 0.5",
    ] {
        assert!(text.contains(said), "{said} in\n{text}");
    }
}

/// What is only observed has no part in the identity of a scene; what acts has.
#[test]
fn the_hash_tells_what_acts_from_what_observes() {
    let scene = read_text(EVERYTHING, "everything.ron", None).unwrap();
    let changed = |change: &dyn Fn(&mut Scene)| {
        let mut other = scene.clone();
        change(&mut other);
        other.hash() != scene.hash()
    };
    assert!(!changed(&|s| s.windows.clear()));
    assert!(!changed(&|s| s.samples.clear()));
    assert!(!changed(&|s| s.rhythms.clear()));
    assert!(!changed(&|s| s.expect.clear()));
    assert!(!changed(&|s| s.duration_ms = 7.0));
    assert!(!changed(&|s| s.name.clear()));
    assert!(changed(&|s| s.step_ms = 0.1));
    assert!(changed(&|s| s.seed = 1));
    assert!(changed(&|s| s.set[0].value += 1e-13));
    assert!(changed(&|s| s.cells[1].gbar[0] += 1e-13));
    assert!(changed(&|s| drop(s.protocol.pop())));
}

/// A base scene keeps what it defines and samples for the scenes that include it.
#[test]
fn definitions_inside_a_scene_serve_it_like_files() {
    let bad = EVERYTHING.replace("\"Na\": \"na\"", "\"Na\": \"nah\"");
    let errors = read_text(&bad, "everything.ron", None).unwrap_err();
    let message = errors.errors()[0].to_string();
    assert_eq!(message, "everything.ron:12:46: there is no channel `nah`");
    let twice = EVERYTHING.replace("Channel(name: \"pas\"", "Channel(name: \"na\"");
    let errors = read_text(&twice, "everything.ron", None).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("the channel `na` is defined twice"),
        "{errors}"
    );
    let scene = EVERYTHING.replace("Channel(name: \"pas\", reversal: -50)", "Scene(format: 1)");
    let errors = read_text(&scene, "everything.ron", None).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("a scene cannot be defined inside a scene"),
        "{errors}"
    );
}
