//! `run --step-study`: how far what a scene shows depends on its step, and what it cannot tell.

mod helpers;
mod program;

use helpers::{Folder, scene_text, stg};
use program::{homarus, homarus_in, stderr, stdout};
use serde_json::Value;

/// Two cells in mutual inhibition, over eight of their cycles.
fn pair() -> String {
    let fields = format!(
        r#"cells: {{ "A": ({}), "B": ({}) }},
        edges: [(pre: "A", post: "B", kind: "tanh", g: 0.8), (pre: "B", post: "A", kind: "tanh", g: 0.8)],
        windows: [(label: "settled", from_ms: 600, to_ms: 2500)]"#,
        stg(0, -60.0),
        stg(1, -55.0)
    );
    scene_text(2500.0, 0.05, &fields)
}

/// `n` cells on their own.
fn many(n: usize) -> String {
    let cells: Vec<String> = (0..n)
        .map(|k| format!("\"c{k}\": ({})", stg(0, -60.0 + 0.1 * k as f64)))
        .collect();
    let fields = format!(
        r#"cells: {{ {} }}, windows: [(label: "all", from_ms: 300, to_ms: 1200)]"#,
        cells.join(", ")
    );
    scene_text(1200.0, 0.05, &fields)
}

fn study(folder: &Folder, scene: &str) -> Value {
    let output = homarus_in(folder.path(""), &["run", scene, "--step-study", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn quantity<'a>(study: &'a Value, of: &str, what: &str) -> &'a Value {
    let mut all = study["quantities"].as_array().unwrap().iter();
    all.find(|q| q["of"] == of && q["what"] == what)
        .unwrap_or_else(|| panic!("no {what} of {of} in {study:#}"))
}

#[test]
fn a_fast_pair_is_held_against_the_reference() {
    let folder = Folder::new("step-study", &[("pair.ron", &pair())]);
    let study = study(&folder, "pair.ron");
    let trials = study["trials"].as_array().unwrap();
    let steps: Vec<Option<f64>> = trials.iter().map(|t| t["step_ms"].as_f64()).collect();
    assert_eq!(steps, [Some(0.05), Some(0.025), Some(0.0125), None]);
    assert_eq!(trials[3]["integrator"], "reference");

    // Settled, its period is 219.2 ms by adaptive integration; over the first cycles a little longer.
    let period = quantity(&study, "all rhythm", "period");
    let values: Vec<f64> = period["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect();
    assert_eq!(values.len(), 4);
    assert!(
        values.iter().all(|v| (v / 219.2 - 1.0).abs() < 0.01),
        "{values:?}"
    );
    for (of, what) in [
        ("all rhythm", "phase of B"),
        ("A", "spikes/burst"),
        ("B", "Ca"),
    ] {
        let quantity = quantity(&study, of, what);
        assert_eq!(quantity["deviations"].as_array().unwrap().len(), 3);
        assert_eq!(quantity["window"], "settled");
    }
    // A fast pair is right at 0.05 ms (scenes/cells/stg.ron: 0.08 % of the period).
    assert_eq!(period["need"]["step"], 0.05, "{period:#}");
    assert!(study["changes"].as_array().unwrap().is_empty());
}

#[test]
fn a_large_network_is_judged_by_its_steps_alone() {
    let folder = Folder::new("step-study-many", &[("many.ron", &many(21))]);
    let study = study(&folder, "many.ron");
    let trials = study["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 3);
    assert!(trials.iter().all(|t| t["integrator"] == "exponential"));
    let notes = study["notes"].as_array().unwrap();
    let told = notes[0].as_str().unwrap();
    assert!(
        told.contains("no run of the reference integrator: 21 cells are more than the 20"),
        "{told}"
    );
    let period = quantity(&study, "c0", "period");
    assert_eq!(period["deviations"].as_array().unwrap().len(), 2);
    assert_eq!(period["errors"].as_array().unwrap().len(), 3);

    let output = homarus_in(folder.path(""), &["run", "many.ron", "--step-study"]);
    let text = stdout(&output);
    assert!(
        text.contains("at steps of 0.05, 0.025, 0.0125 ms, held against the finest step"),
        "{text}"
    );
    assert!(
        text.contains("(of each measure the one with the largest error; --json has all)"),
        "{text}"
    );
    assert!(
        text.lines().count() < 40 && text.contains("for 1 %"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_studied_is_refused() {
    let folder = Folder::new("step-study-refused", &[("pair.ron", &pair())]);
    for (arguments, expected) in [
        (
            &["pair.ron", "--duration-ms", "100"][..],
            "a step study compares windows, and this scene has none",
        ),
        (&["pair.ron", "-o", "bundle"], "cannot be used with"),
        (
            &["pair.ron", "--integrator", "reference"],
            "cannot be used with",
        ),
    ] {
        let all = [&["run", "--step-study"], arguments].concat();
        let output = homarus_in(folder.path(""), &all);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        let told = stderr(&output);
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
    let output = homarus(&["run", "nowhere", "--step-study"]);
    assert_eq!(output.status.code(), Some(2));
}
