//! Probes: copies of the neurons, frozen, in a run of their own. What they show is what a scene of
//! such cells shows; the run that they are taken from does not feel them.

mod helpers;

use std::ops::ControlFlow;

use helpers::{bits, read, scene_text, stg};
use homarus::{
    execution::Execution,
    record::summary::Status,
    run::{self, Progress},
    scene::{Scene, read_text, spawn},
};

/// Two regulated cells that inhibit each other, one of them with a blocked channel, and windows.
fn scene(windows: &str) -> Scene {
    let regulated = r#"homeostat: (channels: ["Na", "CaT", "KCa", "Kd", "H", "leak"], Ca_target: 125),
        controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;
    read(&scene_text(
        3_000.0,
        0.05,
        &format!(
            r#"cells: {{ "A": ({}, {regulated}), "B": ({}, {regulated}) }},
            edges: [(pre: "A", post: "B", kind: "tanh", g: 0.2), (pre: "B", post: "A", kind: "tanh", g: 0.2)],
            protocol: [(at_ms: 500, block: "B.CaT", by: 0.5)],
            windows: [{windows}],"#,
            stg(0, -60.0),
            stg(1, -55.0)
        ),
    ))
}

const PROBE: &str = r#"(label: "probe", probe_at_ms: 1_234.55, from_ms: 500, to_ms: 2_500)"#;

#[test]
fn a_probe_shows_what_a_scene_of_such_cells_shows() {
    let scene = scene(PROBE);
    let summary = run::run(&scene).unwrap();
    let report = &summary.windows[0];
    assert_eq!(report.probe_at_ms, Some(1_234.55));
    assert!(report.rule.contains("as published"), "{}", report.rule);

    // The same conductances, read from a run that is stopped there, in a scene of their own.
    let mut short = scene.clone();
    short.duration_ms = 1_234.55;
    short.windows.clear();
    let mut stopped = spawn::spawn(&short).unwrap();
    stopped.run().unwrap();
    let gbar = |cell: &str| {
        let of = |channel: &str| {
            let g = helpers::value(&stopped, &format!("{cell}.{channel}.gbar"));
            let block = helpers::value(&stopped, &format!("{cell}.{channel}.block"));
            format!("\"{channel}\": {}", g * block)
        };
        let channels = ["Na", "CaT", "CaS", "A", "KCa", "Kd", "H", "leak"];
        channels.map(of).join(", ")
    };
    let alone = |k: usize, cell: &str, v: f64| {
        let own = stg(k, v);
        let from = own.find("gbar: {").unwrap();
        let to = from + own[from..].find('}').unwrap() + 1;
        own.replace(&own[from..to], &format!("gbar: {{ {} }}", gbar(cell)))
    };
    let frozen = read(&scene_text(
        2_500.0,
        0.05,
        &format!(
            r#"cells: {{ "A": ({}), "B": ({}) }},
            windows: [(label: "probe", from_ms: 500, to_ms: 2_500, measures: "published")],"#,
            alone(0, "A", -60.0),
            alone(1, "B", -55.0)
        ),
    ));
    let wanted = run::run(&frozen).unwrap();
    for (found, wanted) in report.cells.iter().zip(&wanted.windows[0].cells) {
        assert_eq!(
            (found.spikes, found.pattern),
            (wanted.spikes, wanted.pattern)
        );
        assert!(found.spikes > 10, "{}", found.name);
        // A probe sees spikes as samples every 0.1 ms do.
        let near = |a: Option<f64>, b: Option<f64>, by: f64| match (a, b) {
            (Some(a), Some(b)) => assert!((a / b - 1.0).abs() < by, "{a} {b}"),
            (a, b) => assert_eq!(a, b),
        };
        near(found.frequency_hz, wanted.frequency_hz, 1e-3);
        near(found.burstiness_hz2, wanted.burstiness_hz2, 1e-2);
        near(found.ca_mean_um, wanted.ca_mean_um, 1e-6);
    }
}

/// The run goes on as if nobody had looked, whenever they do.
#[test]
fn a_probe_disturbs_nothing() {
    let finished = |windows: &str| {
        let mut simulation = spawn::spawn(&scene(windows)).unwrap();
        simulation.run().unwrap();
        bits(&simulation)
    };
    let many = [0.0, 77.7, 1_234.55, 3_000.0]
        .map(|t| format!("(label: \"p{t}\", probe_at_ms: {t}, from_ms: 10, to_ms: 50)"));
    assert_eq!(finished(""), finished(&many.join(", ")));
    let summary = run::run(&scene(&many.join(", "))).unwrap();
    let times: Vec<Option<f64>> = summary.windows.iter().map(|w| w.probe_at_ms).collect();
    assert_eq!(times, [0.0, 77.7, 1_234.55, 3_000.0].map(Some));
}

#[test]
fn a_probe_reads_back_as_it_is_and_mistakes_are_told() {
    let scene = scene(PROBE);
    let again = read_text(&scene.text(), "again.ron", None).unwrap();
    assert_eq!(again.windows[0].probe_at_ms, Some(1_234.55));
    assert!(again.windows[0].published);
    let told = |window: &str| {
        let text = scene_text(
            100.0,
            0.05,
            &format!(
                "cells: {{ \"A\": ({}) }}, windows: [{window}],",
                stg(0, -60.0)
            ),
        );
        read_text(&text, "scene.ron", None).unwrap_err().to_string()
    };
    for (window, wanted) in [
        (
            r#"(label: "x", probe_at_ms: 200)"#,
            "this probe is after the run",
        ),
        (
            r#"(label: "x", probe_at_ms: 10, from_ms: 20, to_ms: 20)"#,
            "this window is empty",
        ),
        (
            r#"(label: "x", probe_at_ms: 10, measures: "gap")"#,
            "the rule of probes",
        ),
        (
            r#"(label: "x", from_ms: 0, to_ms: 10, measures: "mine")"#,
            "`\"gap\"` or `\"published\"`",
        ),
        (r#"(label: "x", to_ms: 10)"#, "from_ms"),
    ] {
        let text = told(window);
        assert!(text.contains(wanted), "{window}: {text}");
    }
}

/// Probes are part of what is told and may be broken off as the run may.
#[test]
fn probes_are_told_of_and_can_be_broken_off() {
    let scene = scene(PROBE);
    let execution = Execution::default();
    let mut all = Vec::new();
    let told = &mut |progress: Progress| {
        all.push(progress);
        ControlFlow::Continue(())
    };
    let whole = run::run_attended(&scene, &execution, None, &[], told).unwrap();
    assert_eq!(whole.summary.status, Status::Complete);
    assert!(all.iter().all(|progress| progress.end_ms == 5_500.0));
    assert!(all.windows(2).all(|pair| pair[0].now_ms < pair[1].now_ms));
    assert_eq!(all.last().unwrap().now_ms, 5_500.0);

    let stop = &mut |progress: Progress| match progress.now_ms > 4_000.0 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let stopped = run::run_attended(&scene, &execution, None, &[], stop).unwrap();
    assert_eq!(stopped.summary.status, Status::Stopped);
    assert!(stopped.summary.windows.is_empty());
    let warnings = &stopped.summary.warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning == "probe `probe`: broken off")
    );
}
