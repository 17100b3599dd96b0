//! What `check` promises: errors or lints with a place and a fix, a page about the scene on stdout,
//! exit codes, and nothing else.

mod helpers;
mod program;

use std::process::{Command, Output};

use helpers::{Folder, network, read, scene_text, stg};
use program::{homarus, stderr, stdout};

use homarus::scene::{Diagnostic, Diagnostics, diagnostic::Severity, lint, read_text, shipped};

fn check(arguments: &[&str]) -> Output {
    homarus(&[&["check"], arguments].concat())
}

/// Lints of a scene with the given step and fields.
#[track_caller]
fn lints(step_ms: f64, fields: &str) -> Diagnostics {
    let scene = read(&scene_text(20_000.0, step_ms, fields));
    let mut simulation = network(&scene);
    simulation.start().unwrap();
    lint::lint(&scene, &simulation)
}

/// The one lint of a scene.
#[track_caller]
fn only(step_ms: f64, fields: &str) -> Diagnostic {
    let lints = lints(step_ms, fields);
    assert_eq!(lints.errors().len(), 1, "{lints}");
    let lint = lints.errors()[0].clone();
    assert_eq!(lint.severity(), Severity::Lint);
    lint
}

#[track_caller]
fn assert_none(step_ms: f64, fields: &str) {
    let lints = lints(step_ms, fields);
    assert!(lints.is_empty(), "{lints}");
}

/// Holds message, line, column and help of a lint against what is expected. Line 2 is the first of
/// the fields.
#[track_caller]
fn assert_told(lint: &Diagnostic, message: &str, line: usize, column: usize, help: &[&str]) {
    assert_eq!(lint.message(), message);
    assert_eq!(
        (lint.line(), lint.column()),
        (Some(line), Some(column)),
        "{lint}"
    );
    let told = lint.help_text().unwrap_or_default();
    for part in help {
        assert!(told.contains(part), "`{part}` in\n{told}");
    }
}

/// Two fast cells and an edge each way, `more` after them.
fn pair(more: &str) -> String {
    let edge = |pre: &str, post: &str| {
        format!("(pre: \"{pre}\", post: \"{post}\", kind: \"tanh\", g: 0.8)")
    };
    with_edges(&format!("{}, {}", edge("A", "B"), edge("B", "A")), more)
}

/// Two fast cells and the given edges, on one line each, `more` after them.
fn with_edges(edges: &str, more: &str) -> String {
    format!(
        "cells: {{ \"A\": ({}), \"B\": ({}) }},\nedges: [{edges}],\n{more}",
        stg(0, -60.0),
        stg(1, -55.0)
    )
}

/// One cell under homeostasis and a controller, `more` after it.
fn regulated(targets: &str, more: &str) -> String {
    format!(
        "cells: {{ \"A\": ({},\nhomeostat: (channels: [\"Na\", \"Kd\"], Ca_target: 125),\n\
         controller: (channels: [\"CaS\", \"A\"], {targets}),\n) }},\n{more}",
        stg(0, -60.0)
    )
}

#[test]
fn shipped_networks_are_clean() {
    let networks = shipped()
        .into_iter()
        .filter(|s| s.kind == homarus::scene::Kind::Network);
    for shipped in networks {
        let output = check(&[&shipped.name]);
        assert_eq!(output.status.code(), Some(0), "{}", shipped.name);
        let (page, told) = (stdout(&output), stderr(&output));
        // The hub of this one is free on purpose: a control for the two half-centres.
        match shipped.name.as_str() {
            "five_neuron_half_centres" => {
                assert!(told.contains("nothing reaches `hub`"), "{told}");
                assert_eq!(told.matches("⚠").count(), 1, "{told}");
            }
            _ => assert_eq!(told, "", "{}", shipped.name),
        }
        assert!(page.contains(&shipped.name), "{page}");
        for line in page.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line, line.trim_end());
        }
        assert!(!page.contains('\u{1b}'));
    }
}

#[test]
fn the_page_says_what_the_scene_is() {
    let page = stdout(&check(&["five_neuron_cpg"]));
    for part in [
        "five_neuron_cpg: Controlled modulation",
        "Fyon & Drion",
        "150 s in 15 000 000 steps of 0.01 ms",
        "5 stg: F1, F2, hub, S1, S2",
        "6 tanh: g 0.8 mS/cm², 4.8 in all",
        "2 gap: g 0.05 mS/cm², 0.1 in all",
        "Na, CaT, KCa, Kd, H, leak of F1, F2, hub, S1, S2",
        "CaS, A of S1, S2: controller to g_s 0, g_u 4",
        "fast: F1, F2",
        " 40 s  window before, to 50 s",
        " 50 s  modulate slow/* to g_s -8",
        "Na.m of F1: 0.061 ms at 50 mV, 6.1 steps",
        "slow bursts of S1, S2: about 1487 ms",
        "MB and about 3 s",
    ] {
        assert!(page.contains(part), "`{part}` in\n{page}");
    }
    let at = |what: &str| {
        page.find(what)
            .unwrap_or_else(|| panic!("{what} in\n{page}"))
    };
    assert!(
        at("window before") < at("modulate slow/*"),
        "by time\n{page}"
    );
    assert!(
        at("modulate slow/*") < at("window after"),
        "by time\n{page}"
    );
}

#[test]
fn overrides_are_judged() {
    let output = check(&["half_centre", "--set", "A->B.g=0"]);
    assert!(
        stderr(&output).contains("`A->B` has no weight"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("A->B.g to 0"), "set by path");
    assert!(
        stdout(&output).contains("g 0 to 0.8 mS/cm²"),
        "{}",
        stdout(&output)
    );

    let told = stderr(&check(&["five_neuron_cpg", "--set", "step_ms=0.05"]));
    assert!(
        told.contains("a step of 0.05 ms is too long for slow bursts"),
        "{told}"
    );
    assert!(told.contains("command line:1:7"), "{told}");
    let told = stderr(&check(&["half_centre", "--set", "A.KCa.tm=20"]));
    assert!(told.contains("slow bursts of `A`:"), "{told}");
}

#[test]
fn lints_deny_only_where_asked() {
    let lint = ["five_neuron_cpg", "--set", "step_ms=0.05"];
    assert_eq!(check(&lint).status.code(), Some(0));
    let denied = check(&[&lint[..], &["--deny-lints"]].concat());
    assert_eq!(denied.status.code(), Some(1));
    assert_ne!(stdout(&denied), "", "the page is there all the same");
    assert_eq!(
        check(&["five_neuron_cpg", "--deny-lints"]).status.code(),
        Some(0)
    );
}

#[test]
fn errors_come_alone_and_all_at_once() {
    let text = scene_text(
        1_000.0,
        0.2,
        "cells: { \"A\": (cell: \"stg\", gbar: { \"Nah\": 1 }), \"B\": (cell: \"sgt\") },\n\
         edges: [(pre: \"A\", post: \"C\", kind: \"tanh\", g: 0)]",
    );
    let folder = Folder::new("check-errors", &[("broken.ron", &text)]);
    let file = folder.path("broken.ron");
    let output = check(&[&file, "--deny-lints"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    let told = stderr(&output);
    for part in [
        "has no channel `Nah`",
        "`sgt`",
        "there is no cell `C`",
        "3 errors",
    ] {
        assert!(told.contains(part), "`{part}` in\n{told}");
    }
    assert!(!told.contains('⚠') && !told.contains("lint"), "{told}");
}

/// Kinetics that no table can hold show only when the network is built.
#[test]
fn what_only_the_network_shows_is_an_error_too() {
    let channel = "Channel(format: 1, name: \"pole\", reversal: 0, gates: {\n\
        \"m\": (power: 1, inf: \"0.5\", tau: \"1/(V + 40)\") })";
    let cell = "Cell(format: 1, name: \"odd\", channels: { \"pole\": \"pole\" }, capacitance: 1)";
    let scene = scene_text(
        1_000.0,
        0.05,
        "include: [\"pole.ron\", \"odd.ron\"],\ncells: { \"A\": (cell: \"odd\", gbar: { \"pole\": 1 }) }",
    );
    let files = [
        ("pole.ron", channel),
        ("odd.ron", cell),
        ("scene.ron", scene.as_str()),
    ];
    let folder = Folder::new("check-kinetics", &files);
    let output = check(&[&folder.path("scene.ron")]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("gate `pole.m`"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("scene.ron:3:10"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nothing_is_written() {
    let text = scene_text(20_000.0, 0.1, &pair(""));
    let folder = Folder::new("check-writes", &[("pair.ron", &text)]);
    let output = Command::new(env!("CARGO_BIN_EXE_homarus"))
        .args(["check", "pair.ron"])
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let files: Vec<_> = std::fs::read_dir(folder.path("")).unwrap().collect();
    assert_eq!(files.len(), 1);
}

#[test]
fn lints_are_rendered_as_warnings_and_counted() {
    let rendered = lints(
        0.1,
        &with_edges("(pre: \"A\", post: \"B\", kind: \"tanh\", g: 0)", ""),
    )
    .render(false, 80);
    let expected = "  ⚠ `A->B` has no weight\n   ╭─[scene.ron:3:9]\n";
    assert!(rendered.contains(expected), "{rendered}");
    assert!(
        rendered.contains("╰── g is 0, and no protocol entry changes that"),
        "{rendered}"
    );
    assert!(rendered.ends_with("\n2 lints\n"), "{rendered}");
}

#[test]
fn a_step_longer_than_the_fastest_gate() {
    let lint = only(0.1, &pair(""));
    assert_told(
        &lint,
        "a step of 0.1 ms is longer than the fastest time constant",
        1,
        47,
        &["it stays stable", "`step_ms: 0.05` resolves it", "per ms"],
    );
    assert_none(0.05, &pair(""));
    // The adaptive integrator takes the step only as a grid to stop at.
    assert_none(0.1, &pair("integrator: \"reference\""));
}

#[test]
fn a_step_too_long_for_a_slow_burster() {
    let slow = format!(
        "cells: {{ \"S1\": ({}), \"F1\": ({}) }}",
        stg(3, -60.0),
        stg(0, -60.0)
    );
    let lint = only(0.05, &slow);
    assert_told(
        &lint,
        "a step of 0.05 ms is too long for slow bursts",
        1,
        47,
        &[
            "slow bursts of `S1`: known of cell type `stg`",
            "`step_ms: 0.01` is right to 1 %",
        ],
    );
    let rendered = lints(0.05, &slow).render(false, 80);
    assert!(
        rendered.contains("periods come out about 4.4 % wrong"),
        "{rendered}"
    );
    assert_none(0.01, &slow);
    // 2.5 % at 0.02 and 1 % at 0.01: on the line between them 2 % lie at 0.0167.
    assert_none(0.016, &slow);
    only(0.018, &slow);
}

#[test]
fn a_cell_that_nothing_reaches() {
    let cells = format!(
        "cells: {{ \"A\": ({}), \"B\": ({}),\n\"C\": ({}) }},\n",
        stg(0, -60.0),
        stg(1, -55.0),
        stg(2, -50.5)
    );
    let edge = |pre: &str, post: &str| {
        format!("edges: [(pre: \"{pre}\", post: \"{post}\", kind: \"gap\", g: 0.1)]")
    };
    let lint = only(0.025, &format!("{cells}{}", edge("A", "B")));
    assert_told(
        &lint,
        "nothing reaches `C`",
        3,
        1,
        &["join it to the others by an edge"],
    );
    let lints = lints(
        0.025,
        &format!("{cells}{}", edge("A", "A2").replace("A2", "C")),
    );
    assert_eq!(lints.errors()[0].message(), "nothing reaches `B`");
    // A scene without edges is a population.
    assert_none(0.025, &cells);
}

#[test]
fn an_edge_without_weight() {
    let edges = "(pre: \"B\", post: \"A\", kind: \"tanh\", g: 0.8), (pre: \"A\", post: \"B\", kind: \"tanh\", g: 0)";
    let lint = only(0.025, &with_edges(edges, ""));
    assert_told(
        &lint,
        "`A->B` has no weight",
        3,
        54,
        &["give it a `g`", "`set: \"A->B.g\", to: 0.8`"],
    );
    let later = |entry: &str| with_edges(edges, &format!("protocol: [(at_ms: 5000, {entry})]"));
    assert_none(0.025, &later("set: \"*->*.g\", to: 0.4"));
    assert_none(0.025, &later("ramp: \"A->B.g\", to: 0.4, over_ms: 100"));
    // Twice nothing is nothing.
    only(0.025, &later("scale: \"A->B.g\", by: 2"));
    only(0.025, &later("set: \"B->A.g\", to: 0.4"));
}

#[test]
fn a_junction_listed_twice() {
    let gap = |pre: &str, post: &str, more: &str| {
        format!("(pre: \"{pre}\", post: \"{post}\", kind: \"gap\", g: 0.1{more})")
    };
    let twice = format!("{},\n{}", gap("A", "B", ""), gap("B", "A", ""));
    let lint = only(0.025, &with_edges(&twice, ""));
    assert_told(
        &lint,
        "the junction of `B` and `A` is listed twice",
        4,
        1,
        &["their `g` add up", "keep one"],
    );
    assert_none(0.025, &with_edges(&gap("A", "B", ""), ""));
    let named = format!(
        "{},\n{}",
        gap("A", "B", ", name: \"x\""),
        gap("B", "A", ", name: \"y\"")
    );
    assert_none(0.025, &with_edges(&named, ""));
    // Two chemical synapses, one each way, are not a junction.
    assert_none(0.025, &pair(""));
}

#[test]
fn a_synapse_open_at_rest() {
    let edge = |more: &str| {
        let edge = format!("(pre: \"A\", post: \"B\", kind: \"tanh\", g: 0.8{more})");
        with_edges(&edge, "")
    };
    let lint = only(0.025, &edge(", parameters: { \"V_half\": -65 }"));
    // tanh((-60 + 65)/10) = 0.462
    assert_told(
        &lint,
        "`A->B` is open at rest",
        3,
        9,
        &[
            "it acts though `A` is silent",
            "`s: …` in the edge says that it is meant",
        ],
    );
    let rendered = lints(0.025, &edge(", parameters: { \"V_half\": -65 }")).render(false, 80);
    assert!(
        rendered.contains("at V(0) = -60 mV of `A` its gate is open to 46 %"),
        "{rendered}"
    );
    // tanh(0.09) = 0.09
    assert_none(0.025, &edge(", parameters: { \"V_half\": -60.9 }"));
    assert_none(0.025, &edge(", parameters: { \"V_half\": -65 }, s: 0"));
    let sigmoid = "(pre: \"A\", post: \"B\", kind: \"sigmoid\", g: 0.1)";
    assert_none(0.025, &with_edges(sigmoid, ""));
}

#[test]
fn a_window_inside_the_start_transient() {
    let window =
        |from: f64| format!("windows: [(label: \"early\", from_ms: {from}, to_ms: 20_000)]");
    let controlled = |from| regulated("g_s: -8, g_u: 4", &window(from));
    let lint = only(0.025, &controlled(4_000.0));
    assert_told(
        &lint,
        "window `early` begins inside the start transient",
        6,
        11,
        &[
            "for about 5000 ms the controllers move",
            "`from_ms: 5000` or later",
        ],
    );
    assert_none(0.025, &controlled(5_000.0));
    assert_none(
        0.025,
        &regulated("g_s: -8, g_u: 4, on: false", &window(500.0)),
    );
    only(0.025, &pair(&window(499.0)));
    assert_none(0.025, &pair(&window(500.0)));
}

#[test]
fn a_window_shorter_than_three_periods() {
    let window = |length: f64| {
        format!(
            "windows: [(label: \"w\", from_ms: 6_000, to_ms: {})]",
            6_000.0 + length
        )
    };
    let lint = only(0.025, &pair(&window(600.0)));
    assert_told(
        &lint,
        "window `w` is shorter than three periods",
        4,
        11,
        &["`A` of rhythm `all` can do fast bursts of 209 ms; make the window 627 ms or longer"],
    );
    assert_none(0.025, &pair(&window(627.0)));
    let slow = |length| {
        format!(
            "cells: {{ \"F\": ({}), \"S\": ({}) }},\n{}",
            stg(0, -60.0),
            stg(3, -60.0),
            window(length)
        )
    };
    let told = only(0.01, &slow(4_000.0));
    assert!(
        told.help_text()
            .unwrap()
            .contains("`S` of rhythm `all` can do slow bursts of 1487 ms")
    );
    assert_none(0.01, &slow(4_461.0));
    // Only cells of a rhythm are looked at.
    let fast = "\nrhythms: [(name: \"fast\", cells: [\"F\"], reference: \"F\")]";
    assert_none(0.01, &format!("{},{fast}", slow(4_000.0)));
}

#[test]
fn references_below_zero() {
    let lint = only(0.025, &regulated("g_s: 80, g_u: 4", ""));
    assert_told(
        &lint,
        "the reference of `A.CaS.gbar` is negative at these targets",
        4,
        13,
        &[
            "solved at V_th = -52.0",
            "`A.CaS.gbar` is held at 0",
            "ask for targets nearer",
        ],
    );
    assert_none(0.025, &regulated("g_s: -8, g_u: 4", ""));
    // A controller that is never on asks for nothing.
    assert_none(0.025, &regulated("g_s: 80, g_u: 4, on: false", ""));
    let protocol = |entry: &str| {
        regulated(
            "g_s: -8, g_u: 4",
            &format!("protocol: [(at_ms: 6000, {entry})]"),
        )
    };
    let later = only(0.025, &protocol("modulate: \"A\", g_s: -100"));
    assert_told(
        &later,
        "the reference of `A.A.gbar` is negative at these targets",
        6,
        36,
        &[],
    );
    assert_none(0.025, &protocol("modulate: \"A\", g_s: 0"));
}

#[test]
fn a_write_that_a_regulator_undoes() {
    let protocol = |entries: &str| regulated("g_s: -8, g_u: 4", &format!("protocol: [{entries}]"));
    let lint = only(
        0.025,
        &protocol("(at_ms: 6000, set: \"A.Na.gbar\", to: 3000)"),
    );
    assert_told(
        &lint,
        "this `set` does not last: homeostasis holds `A.Na.gbar`",
        6,
        31,
        &[
            "use `overwrite`",
            "`(at_ms: 6000, homeostat: \"A.Na\", on: false)`",
        ],
    );
    let lint = only(
        0.025,
        &protocol("(at_ms: 6000, scale: \"A.CaS.gbar\", by: 2)"),
    );
    assert_eq!(
        lint.message(),
        "this `scale` does not last: the controller holds `A.CaS.gbar`"
    );
    only(
        0.025,
        &protocol("(at_ms: 6000, ramp: \"A.A.gbar\", to: 3, over_ms: 100)"),
    );
    for fine in [
        "(at_ms: 6000, overwrite: \"A\", gbar: { \"Na\": 3000 })",
        "(at_ms: 6000, set: \"A.KCa.gbar\", to: 100)",
        "(at_ms: 6000, homeostat: \"A\", on: false), (at_ms: 6000, set: \"A.Na.gbar\", to: 3000)",
        "(at_ms: 0, set: \"A.Na.gbar\", to: 3000)",
    ] {
        assert_none(0.025, &protocol(fine));
    }
    let back = "(at_ms: 5000, homeostat: \"A\", on: false), (at_ms: 5500, homeostat: \"A.Na\", on: true), \
        (at_ms: 6000, set: \"A.Na.gbar\", to: 3000)";
    only(0.025, &protocol(back));
}

/// A cell file of one channel with the given list of known rhythms.
fn cell_file(rhythms: &str) -> String {
    format!(
        "Cell(format: 1, name: \"own\", channels: {{ \"KCa\": \"stg_kca\" }}, capacitance: 1,\nrhythms: [{rhythms}],\n)"
    )
}

#[test]
fn a_cell_file_says_what_is_known_of_its_cells() {
    let files = [(
        "own.ron",
        cell_file(
            "(about: \"waves\", period_ms: 1000, step_errors: [(step_ms: 1, error: 0.3), (step_ms: 0.5, error: 0.015)])",
        ),
    )];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let folder = Folder::new("check-own", &files);
    let scene = folder.read(&scene_text(
        20_000.0,
        1.0,
        "include: [\"own.ron\"],\ncells: { \"A\": (cell: \"own\") },\nwindows: [(label: \"w\", from_ms: 1000, to_ms: 3000)]",
    ));
    let mut simulation = network(&scene);
    simulation.start().unwrap();
    let lints = lint::lint(&scene, &simulation);
    let messages: Vec<&str> = lints.errors().iter().map(Diagnostic::message).collect();
    assert_eq!(
        messages,
        [
            "a step of 1 ms is too long for waves",
            "window `w` is shorter than three periods"
        ]
    );
    assert!(
        lints.errors()[0]
            .help_text()
            .unwrap()
            .contains("`step_ms: 0.5` is right to 1.5 %")
    );
}

#[test]
fn a_wrong_known_rhythm_is_told() {
    for (rhythms, message) in [
        (
            "(about: \"x\", period_ms: 0)",
            "expected a number greater than 0",
        ),
        ("(about: \"x\")", "a known rhythm needs `period_ms`"),
        (
            "(about: \"x\", period_ms: 1, at_least: 3)",
            "`parameter` and `at_least` belong together",
        ),
        (
            "(about: \"x\", period_ms: 1, parameter: \"KCa.tn\", at_least: 3)",
            "channel `KCa` has no parameter `tn`",
        ),
        (
            "(about: \"x\", period_ms: 1, parameter: \"tm\", at_least: 3)",
            "expected `CHANNEL.PARAMETER`",
        ),
        (
            "(about: \"x\", period_ms: 1, step_errors: [(step_ms: 1, error: -1)])",
            "expected a number that is not negative",
        ),
        (
            "(about: \"x\", period_ms: 1, step_errors: [(step_ms: 1, error: 0), (step_ms: 1, error: 1)])",
            "1 ms is listed twice",
        ),
    ] {
        let file = cell_file(rhythms);
        let folder = Folder::new("check-known", &[("own.ron", &file)]);
        let text = scene_text(
            1_000.0,
            0.05,
            "include: [\"own.ron\"],\ncells: { \"A\": (cell: \"own\") }",
        );
        let errors = read_text(
            &text,
            "scene.ron",
            Some(std::path::Path::new(&folder.path(""))),
        )
        .expect_err(message);
        let told: Vec<&str> = errors.errors().iter().map(Diagnostic::message).collect();
        assert_eq!(told, [message]);
        assert_eq!(errors.errors()[0].line(), Some(2));
    }
}
