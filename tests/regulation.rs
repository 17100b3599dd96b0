//! Homeostasis and controllers: a conductance that starts at 0 stays there, the leak can be
//! regulated, a controller's integral starts as the scene says, a conductance that falls below zero
//! is treated by the rule and the fall is told, and the control interval hardly matters.

mod helpers;

use helpers::{network, read, run, scene_text, stg, value};
use homarus::scene::Scene;
use homarus_systems::{homeostasis::BelowZero, schedule::Clock};

/// One STG cell with regulators and settings of the scene.
fn scene(duration_ms: f64, regulators: &str, settings: &str) -> Scene {
    read(&scene_text(
        duration_ms,
        0.05,
        &format!(
            r#"cells: {{ "LP": ({}, {regulators}) }}, {settings}"#,
            stg(0, -55.0)
        ),
    ))
}

#[test]
fn a_conductance_that_starts_at_zero_stays_there() {
    let scene = scene(
        200.0,
        r#"homeostat: (channels: ["Na", "H", "Kd"], Ca_target: 300, tau_g: 20, tau_Na: 1)"#,
        r#"protocol: [(at_ms: 0, set: "LP.H.gbar", to: 0)]"#,
    );
    let simulation = run(&scene);
    assert_eq!(value(&simulation, "LP.H.gbar"), 0.0);
    assert_eq!(value(&simulation, "LP.H.mRNA"), 0.0);
    assert!(
        value(&simulation, "LP.Kd.gbar") > 137.8,
        "others are regulated"
    );
}

#[test]
fn the_leak_can_be_regulated() {
    let scene = scene(
        200.0,
        r#"homeostat: (channels: ["leak"], Ca_target: 300, tau_g: 20, tau_Na: 1)"#,
        "",
    );
    let simulation = run(&scene);
    let (g, m) = (
        value(&simulation, "LP.leak.gbar"),
        value(&simulation, "LP.leak.mRNA"),
    );
    assert!(g > 0.0091267 && m > g, "{g} {m}");
    assert_eq!(value(&simulation, "LP.Na.gbar"), 3951.84);
}

/// dm/dt = (Ca_target - Ca)/tau_k, from the calcium that was.
#[test]
fn mrna_is_the_integral_of_the_calcium_error() {
    let windows = r#"windows: [(label: "all", from_ms: 0, to_ms: 150)]"#;
    let scene = scene(
        150.0,
        r#"homeostat: (channels: ["Na", "Kd"], Ca_target: 60, tau_Na: 50)"#,
        windows,
    );
    let simulation = run(&scene);
    let observers = simulation
        .world
        .resource::<homarus_systems::observe::Observers>();
    let mean = observers.windows[0].mean(0, f64::INFINITY).expect("a mean");
    for (channel, ratio) in [("Na", 1.0), ("Kd", 137.74 / 3951.84)] {
        let start = if channel == "Na" { 3951.84 } else { 137.74 };
        let gained = value(&simulation, &format!("LP.{channel}.mRNA")) - start;
        let expected = (60.0 - mean) * 150.0 * ratio / 50.0;
        assert!(
            (gained / expected - 1.0).abs() < 1e-9,
            "{channel}: {gained} {expected}"
        );
    }
}

#[test]
fn a_controller_starts_as_the_scene_says() {
    let start = |settings: &str| {
        let controller = r#"controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;
        let mut simulation = network(&scene(100.0, controller, settings));
        simulation.start().expect("a start");
        simulation
    };
    for settings in ["", r#"integrator_start: "preloaded""#] {
        let simulation = start(settings);
        for channel in ["CaS", "A"] {
            let of = |what: &str| value(&simulation, &format!("LP.{channel}.{what}"));
            assert_eq!(of("pool"), of("gbar"));
            assert!((of("integral") / (1000.0 * of("gbar")) - 1.0).abs() < 1e-12);
        }
    }
    let mut zero = start(r#"integrator_start: "zero""#);
    assert_eq!(value(&zero, "LP.A.integral"), 0.0);
    // Without its preload the integral does not hold the conductance up.
    let mut preloaded = start("");
    zero.run().expect("a run");
    preloaded.run().expect("a run");
    assert!(value(&zero, "LP.A.gbar") < 0.95 * value(&preloaded, "LP.A.gbar"));
}

/// Calcium far above its target drives two small conductances through zero.
fn falling(rule: &str, integrator: &str) -> Scene {
    scene(
        80.0,
        r#"homeostat: (channels: ["H", "leak"], Ca_target: 0.001, tau_g: 5, tau_Na: 1.2)"#,
        &format!(r#"negative_conductance: "{rule}", integrator: "{integrator}""#),
    )
}

#[test]
fn what_happens_below_zero() {
    for integrator in ["exponential", "accurate", "reference"] {
        for rule in ["allow", "rectify_current", "clamp"] {
            let mut simulation = network(&falling(rule, integrator));
            let mut lowest = 0.0_f64;
            while !simulation.world.resource::<Clock>().finished() {
                simulation
                    .stretch()
                    .unwrap_or_else(|e| panic!("{rule}, {integrator}: {e}"));
                lowest = lowest.min(value(&simulation, "LP.H.gbar"));
            }
            let falls = simulation.world.resource::<BelowZero>().falls().to_vec();
            let lanes: Vec<usize> = falls.iter().map(|(_, lane, _)| *lane).collect();
            // Both keep their ratio, so they fall together; each is told once.
            assert_eq!(lanes, [6, 7], "{rule}, {integrator}: {falls:?}");
            assert!(
                falls[0].2 > 0.0 && falls[1].2 - falls[0].2 < 1e-9,
                "{falls:?}"
            );
            assert!(value(&simulation, "LP.H.mRNA") < 0.0, "mRNA has no bound");
            match rule {
                "clamp" => assert_eq!(lowest, 0.0, "{integrator}"),
                _ => assert!(lowest < -0.01, "{rule}, {integrator}: {lowest}"),
            }
        }
    }
}

/// The membrane of `rectify_current` uses 0, and its calcium does not; with `clamp` both do.
#[test]
fn a_rectified_current_still_carries_calcium() {
    let with = |rule: &str, channel: &str, g: f64| {
        let settings = format!(
            r#"negative_conductance: "{rule}", protocol: [(at_ms: 0, set: "LP.{channel}.gbar", to: {g})]"#
        );
        let simulation = run(&scene(0.05, "", &settings));
        (value(&simulation, "LP.V"), value(&simulation, "LP.Ca"))
    };
    let none = with("allow", "CaS", 0.0);
    let (allowed, rectified, clamped) = (
        with("allow", "CaS", -5.0),
        with("rectify_current", "CaS", -5.0),
        with("clamp", "CaS", -5.0),
    );
    assert_eq!(clamped, none);
    assert_ne!(allowed.0, none.0);
    assert!(
        rectified.1 < none.1,
        "calcium follows the negative conductance"
    );
    assert_eq!(
        with("rectify_current", "A", -5.0),
        with("clamp", "A", -5.0),
        "no calcium, no difference"
    );
}

/// Halving the control interval changes regulated conductances by much less than regulation moves
/// them.
#[test]
fn the_control_interval_hardly_matters() {
    let regulators = r#"homeostat: (channels: ["Na", "CaT", "KCa", "Kd", "H", "leak"], Ca_target: 60, tau_Na: 100),
        controller: (channels: ["CaS", "A"], g_s: -6, g_u: 4)"#;
    let paths = [
        "LP.Na.mRNA",
        "LP.Na.gbar",
        "LP.CaS.gbar",
        "LP.A.gbar",
        "LP.A.pool",
    ];
    let at = |control: f64| {
        let simulation = run(&scene(
            1_000.0,
            regulators,
            &format!("control_ms: {control}"),
        ));
        paths.map(|path| value(&simulation, path))
    };
    let starts = [3951.84, 3951.84, 18.976, 71.02, 71.02];
    let (one, half) = (at(1.0), at(0.5));
    for k in 0..paths.len() {
        let (moved, changed) = ((one[k] - starts[k]).abs(), (one[k] - half[k]).abs());
        assert!(
            changed < 0.01 * moved && changed < 2e-3 * one[k].abs(),
            "{}: {moved} {changed}",
            paths[k]
        );
    }
}
