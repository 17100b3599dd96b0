//! Timed interventions act exactly at their time, whatever the step: a step is split in two. They
//! change what they name and nothing else, what they did is recorded, and those at t = 0 come after
//! the threshold voltage and before the start state. Reading a run at any time, on the grid or off
//! it, reads what was there.

// What is expected comes from the platform's functions, not from the engine's own.
#![allow(clippy::disallowed_methods)]

mod helpers;

use helpers::{Folder, PASSIVE, bits, events, network, read, run, scene_text, stg, value};
use homarus::scene::{Scene, model::Setting, spawn};
use homarus_systems::{
    assembly::Simulation,
    homeostasis::Homeostat,
    observe::{Observers, Sampler},
    schedule::Neurons,
};
use proptest::prelude::*;

const REGULATED: &str =
    r#"homeostat: (channels: ["Na", "CaT", "KCa", "Kd", "H", "leak"], Ca_target: 125)"#;
const CONTROLLED: &str = r#"controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;

/// One STG cell, regulated and modulated, with a protocol.
fn stg_scene(duration_ms: f64, extra: &str, protocol: &str) -> Scene {
    read(&scene_text(
        duration_ms,
        0.05,
        &format!(
            r#"cells: {{ "LP": ({}, {extra}) }}, protocol: [{protocol}]"#,
            stg(0, -55.0)
        ),
    ))
}

fn both() -> String {
    format!("{REGULATED}, {CONTROLLED}")
}

/// A passive cell with a leak (mS/cm²), at -70 mV.
fn passive_scene(folder: &Folder, duration_ms: f64, step_ms: f64, leak: f64, more: &str) -> Scene {
    folder.read(&scene_text(
        duration_ms,
        step_ms,
        &format!(
            r#"include: ["passive.ron"],
            cells: {{ "A": (cell: "passive", gbar: {{ "leak": {leak} }}, start: (V: -70, Ca: 5)) }}, {more}"#
        ),
    ))
}

fn passive_folder(name: &str) -> Folder {
    Folder::new(name, &[("passive.ron", PASSIVE)])
}

/// g_k(0)/g_Na(0) of the regulated channels, which tau_k is made of.
fn ratios(simulation: &Simulation) -> Vec<f64> {
    let cell = simulation.world.resource::<Neurons>().entity(0);
    let homeostat = simulation
        .world
        .get::<Homeostat>(cell)
        .expect("a homeostat");
    homeostat.channels.iter().map(|c| c.ratio).collect()
}

#[test]
fn a_short_pulse_off_the_grid_delivers_its_charge() {
    let folder = passive_folder("charge");
    for (at, length) in [
        (3.017, 0.0213),
        (3.017, 0.2),
        (0.0, 0.03),
        (4.05, 1e-4),
        (2.999, 1.002),
    ] {
        let pulse =
            format!(r#"protocol: [(at_ms: {at}, current: "A", amplitude: 7, for_ms: {length})]"#);
        let v = value(
            &run(&passive_scene(&folder, 10.0, 0.05, 0.0, &pulse)),
            "A.V",
        );
        assert!(
            (v - (-70.0 + 7.0 * length)).abs() < 1e-11,
            "{at} + {length}: {v}"
        );
    }
    // Two pulses inside one step, and two that overlap.
    let pulses = r#"protocol: [
        (at_ms: 1.011, current: "A", amplitude: 5, for_ms: 0.01),
        (at_ms: 1.031, current: "A", amplitude: -3, for_ms: 0.005),
        (at_ms: 2.01, current: "A", amplitude: 2, for_ms: 1.5),
        (at_ms: 3.02, current: "A", amplitude: 4, for_ms: 1.25)]"#;
    let simulation = run(&passive_scene(&folder, 10.0, 0.05, 0.0, pulses));
    let charge = 5.0 * 0.01 - 3.0 * 0.005 + 2.0 * 1.5 + 4.0 * 1.25;
    assert!((value(&simulation, "A.V") - (-70.0 + charge)).abs() < 1e-11);
    assert!(
        value(&simulation, "A.I").abs() < 1e-12,
        "nothing is left of the currents"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A passive cell under a pulse has an analytic solution at any step.
    #[test]
    fn a_passive_cell_has_the_analytic_solution(
        leak in 0.01..5.0_f64,
        at in 0.0..20.0_f64,
        length in 1e-3..20.0_f64,
        amplitude in -10.0..10.0_f64,
        step in prop::sample::select(vec![0.01, 0.025, 0.07, 0.1, 0.3]),
    ) {
        let folder = passive_folder("analytic");
        let (at, length) = ((at * 1e4).round() / 1e4, (length * 1e4).round() / 1e4);
        let pulse = format!(r#"protocol: [(at_ms: {at}, current: "A", amplitude: {amplitude}, for_ms: {length})]"#);
        let simulation = run(&passive_scene(&folder, 45.0, step, leak, &pulse));
        let end = simulation.now();
        let held = (amplitude / leak) * (1.0 - (-leak * length).exp()) * (-leak * (end - at - length)).exp();
        let expected = -50.0 - 20.0 * (-leak * end).exp() + held;
        prop_assert!((value(&simulation, "A.V") - expected).abs() < 1e-9, "{} {expected}", value(&simulation, "A.V"));
    }
}

/// A thing that happens late has the same effect as one that happens early.
#[test]
fn the_place_on_the_time_axis_does_not_matter() {
    let folder = passive_folder("late");
    let response = |from: f64| {
        let pulse = format!(
            r#"protocol: [(at_ms: {}, current: "A", amplitude: 7, for_ms: 0.4321)]"#,
            from + 10.013
        );
        // At rest from the start.
        let mut scene = passive_scene(&folder, from + 20.0, 0.05, 0.1, &pulse);
        scene.cells[0].start.v = Some(-50.0);
        value(&run(&scene), "A.V") + 50.0
    };
    let (early, late) = (response(0.0), response(100_000.0));
    assert!((early / late - 1.0).abs() < 1e-8, "{early} {late}");
}

#[test]
fn set_scale_and_ramp_reach_any_path() {
    let protocol = r#"
        (at_ms: 1, set: "LP.H.gbar", to: 0.7), (at_ms: 2, scale: "LP.H.gbar", by: 0.5),
        (at_ms: 1.234, set: "LP.I", to: 0.25), (at_ms: 3, scale: "LP.I", by: 4),
        (at_ms: 2, set: "LP.KCa.tm", to: 5), (at_ms: 3, scale: "LP.KCa.tm", by: 2),
        (at_ms: 4, set: "LP.Ca_target", to: 90), (at_ms: 4, scale: "LP.tau_g", by: 2),
        (at_ms: 4, set: "LP.Kp", to: 1e-4), (at_ms: 4, set: "LP.V_th", to: -48),
        (at_ms: 5, ramp: "LP.g_s", to: 0, over_ms: 2.5), (at_ms: 5.5, ramp: "LP.KCa.tm", to: 3, over_ms: 3.3),
        (at_ms: 9, set: "LP.Na.mRNA", to: 4000), (at_ms: 9, set: "LP.CaS.pool", to: 6),
        (at_ms: 9, set: "LP.CaS.integral", to: 7), (at_ms: 9, set: "LP.A.block", to: 0.25),
        (at_ms: 9, set: "LP.V", to: -33), (at_ms: 9, set: "LP.Ca", to: 44)"#;
    let controlled = r#"homeostat: (channels: ["Na", "CaT", "KCa", "Kd", "leak"], Ca_target: 125),
        controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;
    let mut simulation = network(&stg_scene(9.05, controlled, protocol));
    simulation.run().expect("a run");
    let of = |path: &str| value(&simulation, path);
    assert_eq!(of("LP.H.gbar"), 0.35);
    assert_eq!(of("LP.I"), 1.0);
    assert_eq!(of("LP.KCa.tm"), 3.0);
    assert_eq!(of("LP.Ca_target"), 90.0);
    assert_eq!(of("LP.tau_g"), 200.0);
    assert_eq!(of("LP.Kp"), 1e-4);
    assert_eq!(of("LP.V_th"), -48.0);
    assert_eq!(of("LP.g_s"), 0.0);
    assert_eq!(of("LP.A.block"), 0.25);
    // One step later the state has moved on a little.
    assert!((of("LP.Na.mRNA") - 4000.0).abs() < 0.1);
    assert!((of("LP.CaS.pool") - 6.0).abs() < 0.1);
    assert!((of("LP.CaS.integral") - 7.0).abs() < 20.0);
    assert!((of("LP.V") + 33.0).abs() < 10.0 && (of("LP.Ca") - 44.0).abs() < 5.0);
}

/// A ramp is linear, moves at the control ticks, and ends at its value at its time.
#[test]
fn a_ramp_moves_linearly_in_control_steps() {
    let folder = passive_folder("ramp");
    let ramp = r#"protocol: [(at_ms: 2.5, ramp: "A.I", to: 10, over_ms: 4.03)], control_ms: 1"#;
    let mut simulation = network(&passive_scene(&folder, 8.0, 0.05, 0.5, ramp));
    let current = simulation.names().scalars("A.I").expect("I");
    let mut observers = Observers::default();
    observers.samplers.push(Sampler::new(current, 0.5));
    simulation.world.insert_resource(observers);
    simulation.run().expect("a run");
    let rows = &simulation.world.resource::<Observers>().samplers[0].rows;
    for (t, values) in rows {
        // What is read at a tick was held since the one before.
        let tick = (t - 1e-9).floor();
        let expected = if *t > 6.53 {
            10.0
        } else {
            ((tick - 2.5) / 4.03).clamp(0.0, 1.0) * 10.0
        };
        assert!(
            (values[0] - expected).abs() < 1e-12,
            "t = {t}: {} instead of {expected}",
            values[0]
        );
    }
    assert_eq!(value(&simulation, "A.I"), 10.0);
    let event = &events(&simulation)[0];
    assert_eq!(
        (event.what, event.path.as_str(), event.old, event.new),
        ("ramp", "A.I", Some(0.0), Some(10.0))
    );
    assert!((event.t_ms - 6.53).abs() < 1e-12);
}

/// What is set at t = 0 is as if the scene said so; a kinetic parameter too.
#[test]
fn a_kinetic_parameter_set_at_the_start_is_the_parameter() {
    let set = run(&stg_scene(
        100.0,
        "",
        r#"(at_ms: 0, set: "LP.KCa.tm", to: 7)"#,
    ));
    let text = scene_text(
        100.0,
        0.05,
        &format!(r#"cells: {{ "LP": ({}) }}"#, stg(0, -55.0)),
    );
    let written = run(&read(&text.replace("\"KCa.tm\": 2", "\"KCa.tm\": 7")));
    assert_eq!(bits(&set), bits(&written));
}

/// An unregulated cell with a blocked channel is one whose conductance is smaller.
#[test]
fn a_block_multiplies_the_current_and_its_calcium() {
    for channel in ["CaT", "Na", "H"] {
        let blocked = run(&stg_scene(
            100.0,
            "",
            &format!(r#"(at_ms: 0, block: "LP.{channel}", by: 0.5)"#),
        ));
        let halved = run(&stg_scene(
            100.0,
            "",
            &format!(r#"(at_ms: 0, scale: "LP.{channel}.gbar", by: 0.5)"#),
        ));
        assert_eq!(bits(&blocked), bits(&halved), "{channel}");
        let plain = run(&stg_scene(100.0, "", ""));
        let gbar = format!("LP.{channel}.gbar");
        assert_eq!(
            value(&blocked, &gbar),
            value(&plain, &gbar),
            "gbar is untouched"
        );
        assert_ne!(bits(&blocked)[0].bits, bits(&plain)[0].bits);
    }
    // A second block replaces the first, and none undoes it.
    let twice = r#"(at_ms: 0, block: "LP.H", by: 0.9), (at_ms: 0, block: "LP.H", by: 0)"#;
    assert_eq!(
        bits(&run(&stg_scene(50.0, "", twice))),
        bits(&run(&stg_scene(50.0, "", "")))
    );
}

/// mRNA, tau_k and V_th do not know of a block, whenever it comes.
#[test]
fn a_block_leaves_regulation_alone() {
    let start = |protocol: &str| {
        let mut simulation = network(&stg_scene(50.0, &both(), protocol));
        simulation.start().expect("a start");
        simulation
    };
    let (plain, blocked) = (start(""), start(r#"(at_ms: 0, block: "LP.*", by: 0.7)"#));
    assert_eq!(ratios(&plain), ratios(&blocked));
    let same = [
        "LP.V_th",
        "LP.Na.mRNA",
        "LP.CaT.mRNA",
        "LP.CaT.gbar",
        "LP.CaS.pool",
        "LP.CaS.integral",
    ];
    for path in same {
        assert_eq!(value(&plain, path), value(&blocked, path), "{path}");
    }
    assert!(
        value(&blocked, "LP.Ca") < value(&plain, "LP.Ca"),
        "less calcium flows in at rest"
    );
}

/// A compensation solve that sees a block solves for a cell without the channel; one that does not
/// see it solves for the whole cell, with its whole equilibrium calcium.
#[test]
fn compensation_sees_a_block_unless_told_otherwise() {
    let solved = |protocol: &str| {
        // Both solves at the same V_th.
        let fixed = format!(
            "{REGULATED}, controller: (channels: [\"CaS\", \"A\"], g_s: -8, g_u: 4, V_th: -49.67)"
        );
        let simulation = run(&stg_scene(0.05, &fixed, protocol));
        ["LP.CaS.gbar", "LP.A.gbar"].map(|path| value(&simulation, path))
    };
    let solve = r#"(at_ms: 0, compensate: "LP", channels: ["CaS", "A"], g_s: -6, g_u: 3)"#;
    let whole = solved(solve);
    for (channel, by) in [("CaT", 1.0), ("KCa", 0.5), ("H", 1.0), ("Na", 1.0)] {
        let block = |sees| {
            format!(
                r#"(at_ms: 0, block: "LP.{channel}", by: {by}, controller_sees: {sees}), {solve}"#
            )
        };
        let less = format!(
            r#"(at_ms: 0, scale: "LP.{channel}.gbar", by: {}), {solve}"#,
            1.0 - by
        );
        if channel != "Na" {
            // Homeostasis cannot start from a Na conductance of 0, but a block leaves it.
            let (seen, without) = (solved(&block(true)), solved(&less));
            for (a, b) in seen.iter().zip(without) {
                assert!((a / b - 1.0).abs() < 1e-12, "{channel}: {a} {b}");
            }
        }
        assert_ne!(solved(&block(true)), whole, "{channel}");
        assert_eq!(solved(&block(false)), whole, "{channel}");
    }
}

/// The same for the references that a controller follows.
#[test]
fn a_controller_sees_a_block_unless_told_otherwise() {
    let after = |protocol: &str| {
        let controlled = r#"controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4, V_th: -49.67)"#;
        run(&stg_scene(100.0, controlled, protocol))
    };
    let seen = after(r#"(at_ms: 0, block: "LP.H", by: 1)"#);
    let none = after(r#"(at_ms: 0, set: "LP.H.gbar", to: 0)"#);
    assert_eq!(bits(&seen), bits(&none));
    let (unseen, plain) = (
        after(r#"(at_ms: 0, block: "LP.H", by: 1, controller_sees: false)"#),
        after(""),
    );
    for path in ["LP.CaS.gbar", "LP.A.gbar", "LP.CaS.integral"] {
        assert_eq!(value(&seen, path), value(&none, path), "{path}");
        assert_eq!(value(&unseen, path), value(&plain, path), "{path}");
        assert_ne!(value(&seen, path), value(&plain, path), "{path}");
    }
}

#[test]
fn modulation_targets_move_one_or_both() {
    let targets = |protocol: &str| {
        let simulation = run(&stg_scene(5.0, &both(), protocol));
        (value(&simulation, "LP.g_s"), value(&simulation, "LP.g_u"))
    };
    assert_eq!(targets(r#"(at_ms: 1, modulate: "LP", g_s: 0)"#), (0.0, 4.0));
    assert_eq!(targets(r#"(at_ms: 1, modulate: "*", g_u: 1)"#), (-8.0, 1.0));
    assert_eq!(
        targets(r#"(at_ms: 1.003, modulate: "LP", g_s: 5, g_u: 2)"#),
        (5.0, 2.0)
    );
}

/// `set gbar` changes the membrane and no regulator; `overwrite` moves the regulator's own
/// conductance with it, and the mRNA where asked; neither touches anything else.
#[test]
fn overwriting_and_setting_conductances() {
    // Not yet a control tick: regulators have not moved since t = 0 but for the catching up.
    let after = |protocol: &str| run(&stg_scene(2.5, &both(), protocol));
    let off = r#"(at_ms: 0, homeostat: "LP", on: false), (at_ms: 0, controller: "LP", on: false),"#;
    let plain = after(off);
    let set = after(&format!(r#"{off} (at_ms: 1.2, set: "LP.Kd.gbar", to: 70)"#));
    assert_eq!(value(&set, "LP.Kd.gbar"), 70.0);
    assert_eq!(value(&set, "LP.Kd.mRNA"), value(&plain, "LP.Kd.mRNA"));
    let only = after(&format!(
        r#"{off} (at_ms: 1.2, overwrite: "LP", gbar: {{ "Kd": 70, "A": 50 }})"#
    ));
    assert_eq!(
        (value(&only, "LP.Kd.gbar"), value(&only, "LP.A.gbar")),
        (70.0, 50.0)
    );
    for path in ["LP.Kd.mRNA", "LP.A.pool", "LP.A.integral", "LP.CaS.gbar"] {
        assert_eq!(value(&only, path), value(&plain, path), "{path}");
    }
    let with = after(&format!(
        r#"{off} (at_ms: 1.2, overwrite: "LP", gbar: {{ "Kd": 70 }}, mrna: true)"#
    ));
    assert_eq!(value(&with, "LP.Kd.mRNA"), 70.0);
    // Switched on again, a regulator goes on from its own conductance.
    let on = r#"(at_ms: 1.5, homeostat: "LP", on: true)"#;
    let set = after(&format!(
        r#"{off} (at_ms: 1.2, set: "LP.Kd.gbar", to: 70), {on}"#
    ));
    assert!(
        (value(&set, "LP.Kd.gbar") - 137.74).abs() < 0.5,
        "never read again from gbar"
    );
    let over = after(&format!(
        r#"{off} (at_ms: 1.2, overwrite: "LP", gbar: {{ "Kd": 70 }}), {on}"#
    ));
    assert!((value(&over, "LP.Kd.gbar") - 70.0).abs() < 1.0);
    assert!(
        value(&over, "LP.Kd.gbar") > 70.0,
        "it relaxes towards its mRNA"
    );
}

/// While a channel is switched off its regulator stands still; switched on it goes on from there.
/// One channel of a cell can be switched alone.
#[test]
fn switching_regulation_freezes_and_continues() {
    let paths = [
        "LP.Na.mRNA",
        "LP.Na.gbar",
        "LP.H.mRNA",
        "LP.H.gbar",
        "LP.CaS.gbar",
        "LP.CaS.pool",
        "LP.CaS.integral",
    ];
    let at = |t: f64, protocol: &str| {
        let mut simulation = network(&stg_scene(200.0, &both(), protocol));
        while simulation.now() < t {
            simulation.stretch().expect("a run");
        }
        paths.map(|path| value(&simulation, path))
    };
    let switch = r#"(at_ms: 50.02, homeostat: "LP", on: false), (at_ms: 50.02, controller: "LP", on: false),
        (at_ms: 80, homeostat: "LP", on: true), (at_ms: 80, controller: "LP", on: true)"#;
    let frozen = at(50.02, switch);
    assert_eq!(at(79.0, switch), frozen);
    assert_eq!(at(80.0, switch), frozen);
    let later = at(82.0, switch);
    for (k, (a, b)) in frozen.iter().zip(&later).enumerate() {
        assert!(
            a != b && (a / b - 1.0).abs() < 0.2,
            "{} goes on from {a}: {b}",
            paths[k]
        );
    }
    let one = at(
        79.0,
        r#"(at_ms: 50.02, homeostat: "LP.H", on: false), (at_ms: 50.02, controller: "LP.CaS", on: false)"#,
    );
    for k in [2, 3, 4, 5, 6] {
        assert_eq!(one[k], frozen[k], "{} is frozen", paths[k]);
    }
    for k in [0, 1] {
        assert_ne!(one[k], frozen[k], "{} is not", paths[k]);
    }
    // Whatever happens to gbar meanwhile.
    let set = format!(r#"{switch}, (at_ms: 60, set: "LP.*.gbar", to: 1)"#);
    let meanwhile = at(79.0, &set);
    assert_eq!(meanwhile[1], 1.0);
    assert_eq!(
        (meanwhile[0], meanwhile[2], meanwhile[5], meanwhile[6]),
        (frozen[0], frozen[2], frozen[5], frozen[6])
    );
    let back = at(81.0, &set);
    assert!(
        (back[1] / frozen[1] - 1.0).abs() < 0.01 && (back[4] / frozen[4] - 1.0).abs() < 0.05,
        "{back:?}"
    );
}

/// Conductances come back as they were at a time of the run, on the grid or off it, whatever acts
/// then; the mRNA follows if asked to.
#[test]
fn a_recall_brings_back_what_was() {
    let protocol = |until: &str| {
        let entries = r#"(at_ms: 100.0131, scale: "LP.H.gbar", by: 2)"#;
        stg_scene(400.0, REGULATED, &format!("{entries}{until}"))
    };
    let mut early = protocol("");
    early.duration_ms = 100.0131;
    early.protocol.clear();
    let early = run(&early);
    let last = ", (at_ms: 400, recall: \"LP\", from_ms: 100.0131, mrna: true)";
    let all = run(&protocol(last));
    let mrna_kept = ", (at_ms: 400, recall: \"LP.Na\", from_ms: 100.0131)";
    let (one, none) = (run(&protocol(mrna_kept)), run(&protocol("")));
    for channel in ["Na", "CaT", "CaS", "A", "KCa", "Kd", "H", "leak"] {
        let path = format!("LP.{channel}.gbar");
        let was = value(&early, &path);
        assert_eq!(value(&all, &path), was, "{channel}");
        let wanted = if channel == "Na" {
            was
        } else {
            value(&none, &path)
        };
        assert_eq!(value(&one, &path), wanted, "{channel}");
    }
    assert_eq!(value(&all, "LP.Na.mRNA"), value(&early, "LP.Na.gbar"));
    assert_eq!(value(&one, "LP.Na.mRNA"), value(&none, "LP.Na.mRNA"));
}

/// Regulation starts anew from the conductances as they are: tau_k, mRNA and pool, and an integral
/// that holds them.
#[test]
fn a_rebase_starts_regulation_anew() {
    let protocol = r#"(at_ms: 200, scale: "LP.Kd.gbar", by: 1.5), (at_ms: 200, rebase: "LP")"#;
    let mut scene = stg_scene(200.0, &both(), protocol);
    let based = run(&scene);
    scene.protocol.clear();
    let before = run(&scene);
    let g = |path: &str| value(&based, path);
    assert_eq!(g("LP.Kd.gbar"), 1.5 * value(&before, "LP.Kd.gbar"));
    for (channel, ratio) in ["Na", "CaT", "KCa", "Kd", "H", "leak"]
        .iter()
        .zip(ratios(&based))
    {
        let gbar = g(&format!("LP.{channel}.gbar"));
        assert_eq!(ratio, gbar / g("LP.Na.gbar"), "{channel}");
        assert_eq!(g(&format!("LP.{channel}.mRNA")), gbar, "{channel}");
    }
    for channel in ["CaS", "A"] {
        let gbar = g(&format!("LP.{channel}.gbar"));
        assert_eq!(g(&format!("LP.{channel}.pool")), gbar, "{channel}");
        let held = g("LP.beta") / g("LP.Ki") * gbar;
        assert_eq!(g(&format!("LP.{channel}.integral")), held, "{channel}");
    }
}

/// At the start regulation is as new as it can be, and its integrals are preloaded.
#[test]
fn a_rebase_at_the_start_changes_nothing() {
    let based = run(&stg_scene(50.0, &both(), r#"(at_ms: 0, rebase: "LP")"#));
    let plain = run(&stg_scene(50.0, &both(), ""));
    assert_eq!(bits(&based)[0].bits, bits(&plain)[0].bits);
    for path in [
        "LP.A.integral",
        "LP.CaS.integral",
        "LP.A.gbar",
        "LP.Na.mRNA",
    ] {
        assert_eq!(value(&based, path), value(&plain, path), "{path}");
    }
}

#[test]
fn a_reset_is_a_new_start_of_the_membrane() {
    let simulation = run(&stg_scene(
        30.0,
        &both(),
        r#"(at_ms: 30, set: "LP.I", to: 0), (at_ms: 29.95, reset: "LP")"#,
    ));
    let fresh = {
        let mut fresh = network(&stg_scene(30.0, &both(), ""));
        fresh.start().expect("a start");
        fresh
    };
    assert!((value(&simulation, "LP.V") - value(&fresh, "LP.V")).abs() < 1.0);
    // Unregulated: the run after the reset is the run from the start.
    let later = run(&stg_scene(90.0, "", r#"(at_ms: 40, reset: "LP")"#));
    let first = run(&stg_scene(50.0, "", ""));
    assert_eq!(bits(&later)[0].bits, bits(&first)[0].bits);
    let other = run(&stg_scene(
        90.0,
        "",
        r#"(at_ms: 40, reset: "LP", V: -65, Ca: 0.5)"#,
    ));
    let mut scene = stg_scene(50.0, "", "");
    (scene.cells[0].start.v, scene.cells[0].start.ca) = (Some(-65.0), Some(0.5));
    assert_eq!(bits(&other)[0].bits, bits(&run(&scene))[0].bits);
}

/// Entries at t = 0 come after the threshold voltage is scanned and before everything else is taken
/// from the conductances.
#[test]
fn entries_at_the_start() {
    let start = |protocol: &str, overrides: &[(&str, f64)]| {
        let mut scene = stg_scene(50.0, &both(), protocol);
        let settings = overrides.iter().map(|(path, value)| Setting {
            path: path.to_string(),
            value: *value,
            origin: Default::default(),
        });
        scene.set = settings.collect();
        let mut simulation = spawn::spawn(&scene).unwrap_or_else(|e| panic!("{e}"));
        simulation.start().expect("a start");
        simulation
    };
    let plain = start("", &[]);
    let change = r#"(at_ms: 0, scale: "LP.Na.gbar", by: 0.5), (at_ms: 0, set: "LP.CaS.gbar", to: 25),
        (at_ms: 0, set: "LP.CaT.gbar", to: 9)"#;
    let changed = start(change, &[]);
    assert_eq!(
        value(&changed, "LP.V_th"),
        value(&plain, "LP.V_th"),
        "V_th is scanned before"
    );
    assert_eq!(
        value(&changed, "LP.Na.mRNA"),
        0.5 * value(&plain, "LP.Na.mRNA")
    );
    let doubled: Vec<f64> = ratios(&plain).iter().map(|x| 2.0 * x).collect();
    assert_eq!(ratios(&changed)[2..], doubled[2..], "tau_k follows g_Na(0)");
    assert_eq!(ratios(&changed)[0], 1.0);
    assert_eq!(value(&changed, "LP.CaS.pool"), 25.0);
    assert_eq!(
        value(&changed, "LP.CaS.integral"),
        5e-3 / 5e-6 * 25.0,
        "preload z = beta g/Ki"
    );
    assert!(
        value(&changed, "LP.Ca") > 1.1 * value(&plain, "LP.Ca"),
        "calcium at rest follows"
    );
    // The same on the command line is there before V_th.
    let overridden = start(
        "",
        &[
            ("LP.Na.gbar", 0.5 * 3951.84),
            ("LP.CaS.gbar", 25.0),
            ("LP.CaT.gbar", 9.0),
        ],
    );
    assert_ne!(value(&overridden, "LP.V_th"), value(&plain, "LP.V_th"));
    for path in ["LP.Na.mRNA", "LP.CaS.integral", "LP.Ca"] {
        assert_eq!(value(&overridden, path), value(&changed, path), "{path}");
    }
    // Later the same entries leave all that as it is.
    let later = change.replace("at_ms: 0", "at_ms: 10");
    let mut simulation = start(&later, &[]);
    while simulation.now() < 10.0 {
        simulation.stretch().expect("a run");
    }
    let before = (
        ratios(&simulation),
        value(&simulation, "LP.Na.mRNA"),
        value(&simulation, "LP.CaS.pool"),
    );
    simulation.schedule.add_systems(|| {});
    homarus_systems::protocol::act(&mut simulation.world);
    assert_eq!(value(&simulation, "LP.CaS.gbar"), 25.0);
    assert_eq!(
        before,
        (
            ratios(&simulation),
            value(&simulation, "LP.Na.mRNA"),
            value(&simulation, "LP.CaS.pool")
        )
    );
    // What is set outright at t = 0 stays set.
    let outright = start(
        r#"(at_ms: 0, set: "LP.V", to: -44), (at_ms: 0, set: "LP.Ca", to: 3), (at_ms: 0, set: "LP.Na.mRNA", to: 1),
        (at_ms: 0, set: "LP.A.integral", to: 2), (at_ms: 0, reset: "LP", V: -45)"#,
        &[],
    );
    assert_eq!(value(&outright, "LP.V"), -45.0, "the later entry wins");
    assert_eq!(
        (
            value(&outright, "LP.Na.mRNA"),
            value(&outright, "LP.A.integral")
        ),
        (1.0, 2.0)
    );
}

/// What the start derives can be scaled and ramped from t = 0 too: from the value it starts at.
#[test]
fn scaling_at_the_start_scales_the_start_value() {
    let start = |protocol: &str| {
        let mut simulation = network(&stg_scene(50.0, &both(), protocol));
        simulation.start().expect("a start");
        simulation
    };
    let plain = start("");
    for path in [
        "LP.Na.mRNA",
        "LP.CaS.pool",
        "LP.A.integral",
        "LP.V",
        "LP.Ca",
    ] {
        let scaled = start(&format!(r#"(at_ms: 0, scale: "{path}", by: 0.9)"#));
        let expected = 0.9 * value(&plain, path);
        assert!(
            (value(&scaled, path) / expected - 1.0).abs() < 1e-12,
            "{path}: {} instead of {expected}",
            value(&scaled, path)
        );
        let event = &events(&scaled)[0];
        assert!(
            (event.old.unwrap() / value(&plain, path) - 1.0).abs() < 1e-12,
            "{path}: {event:?}"
        );
    }
}

/// Whatever an entry did is kept: when, what, which scalar, the values before and after.
#[test]
fn what_the_protocol_did_is_recorded() {
    let folder = passive_folder("events");
    let text = scene_text(
        30.0,
        0.05,
        r#"include: ["passive.ron"], cells: {
            "A": (cell: "passive", gbar: { "leak": 0.1 }), "B": (like: "A") },
        edges: [(pre: "A", post: "B", kind: "tanh", g: 0.2)],
        protocol: [
            (at_ms: 5.01, current: "*", amplitude: 2, for_ms: 3),
            (at_ms: 0, set: "A.leak.gbar", to: 0.3),
            (at_ms: 20, cut: "A->B"), (at_ms: 20, scale: "A->B.g", by: 2), (at_ms: 25, restore: "A"),
            (at_ms: 10, block: "A.leak", by: 0.25),
            (at_ms: 12, reset: "B", V: -40, Ca: 1),
        ]"#,
    );
    let simulation = run(&folder.read(&text));
    let told: Vec<_> = events(&simulation)
        .iter()
        .map(|e| (e.t_ms, e.what, e.path.as_str(), e.old, e.new))
        .collect();
    let expected = vec![
        (0.0, "set", "A.leak.gbar", Some(0.1), Some(0.3)),
        (5.01, "current", "A.I", Some(0.0), Some(2.0)),
        (5.01, "current", "B.I", Some(0.0), Some(2.0)),
        (5.01 + 3.0, "current", "A.I", Some(2.0), Some(0.0)),
        (5.01 + 3.0, "current", "B.I", Some(2.0), Some(0.0)),
        (10.0, "block", "A.leak.block", Some(1.0), Some(0.75)),
        (12.0, "reset", "B", None, Some(1.0)),
        (20.0, "cut", "A->B", Some(1.0), Some(0.0)),
        (20.0, "scale", "A->B.g", Some(0.2), Some(0.4)),
        (25.0, "restore", "A->B", Some(0.0), Some(1.0)),
    ];
    assert_eq!(told, expected);
}

/// An entry at the very end acts: the final state has it.
#[test]
fn an_entry_at_the_end_acts() {
    let simulation = run(&stg_scene(10.0, "", r#"(at_ms: 10, set: "LP.I", to: 3)"#));
    assert_eq!(value(&simulation, "LP.I"), 3.0);
    assert_eq!(events(&simulation).len(), 1);
}

/// Sample k lies at k times the interval: on the grid it is the state, off the grid it lies between
/// its neighbours, also where the interval is about the step, and where an entry splits the step.
#[test]
fn samples_lie_at_their_times() {
    let folder = passive_folder("samples");
    for every in [0.1, 0.3, 0.25, 0.12, 0.15, 0.19, 0.04, 0.07, 0.2] {
        let mut simulation = network(&passive_scene(
            &folder,
            6.0,
            0.1,
            0.0,
            r#"protocol: [(at_ms: 0, set: "A.I", to: 3)]"#,
        ));
        let v = simulation.names().scalars("A.V").expect("V");
        let mut observers = Observers::default();
        observers.samplers.push(Sampler::new(v, every));
        simulation.world.insert_resource(observers);
        simulation.run().expect("a run");
        let rows = &simulation.world.resource::<Observers>().samplers[0].rows;
        assert!(
            rows.len() as f64 >= 6.0 / every - 1e-9,
            "every {every}: {} rows",
            rows.len()
        );
        for (k, (t, values)) in rows.iter().enumerate() {
            assert!((t - k as f64 * every).abs() < 1e-12);
            // V moves by 3 mV per ms, in a straight line.
            assert!(
                (values[0] - (-70.0 + 3.0 * t)).abs() < 1e-9,
                "every {every}: V({t}) = {}",
                values[0]
            );
        }
    }
    // A current that begins inside the step: samples of the step lie on the broken line.
    for every in [0.33, 0.37] {
        let mut simulation = network(&passive_scene(
            &folder,
            0.5,
            0.1,
            0.0,
            r#"protocol: [(at_ms: 0.35, set: "A.I", to: 3)]"#,
        ));
        let v = simulation.names().scalars("A.V").expect("V");
        let mut observers = Observers::default();
        observers.samplers.push(Sampler::new(v, every));
        simulation.world.insert_resource(observers);
        simulation.run().expect("a run");
        let row = &simulation.world.resource::<Observers>().samplers[0].rows[1];
        let expected = -70.0 + 3.0 * f64::max(every - 0.35, 0.0);
        assert!(
            (row.1[0] - expected).abs() < 1e-9,
            "V({every}) = {} instead of {expected}",
            row.1[0]
        );
    }
}

/// The mean of what does not change is that, over any window.
#[test]
fn windows_take_the_mean_of_what_lies_in_them() {
    let folder = passive_folder("windows");
    let edges = [
        (0.0, 6.0),
        (1.0, 3.0),
        (1.5, 1.6),
        (1.53, 2.71),
        (3.97, 4.01),
        (0.013, 0.027),
        (5.555, 6.0),
    ];
    let means = |windows: &[(f64, f64)]| {
        let protocol = r#"protocol: [(at_ms: 1.6171, set: "A.I", to: 1)]"#;
        let mut simulation = network(&passive_scene(&folder, 6.0, 0.05, 0.1, protocol));
        let mut observers = Observers::default();
        windows
            .iter()
            .for_each(|(from, to)| observers.window(*from, *to));
        simulation.world.insert_resource(observers);
        simulation.run().expect("a run");
        let found = &simulation.world.resource::<Observers>().windows;
        found
            .iter()
            .map(|w| w.mean(0, f64::INFINITY).expect("a mean"))
            .collect::<Vec<f64>>()
    };
    // All at once, and each alone.
    let mut found = means(&edges);
    for edge in edges {
        found.extend(means(&[edge]));
    }
    for (mean, (from, to)) in found.iter().zip(edges.iter().cycle()) {
        assert!((mean - 5.0).abs() < 1e-9, "[{from}, {to}): {mean}");
    }
}
