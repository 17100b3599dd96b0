//! What README says, holds: its scenes run as printed, its channel works beside a scene, the names
//! it mentions ship. (Its Rust example is a documentation test.)

use homarus::{run, scene, study};

const README: &str = include_str!("../README.md");

/// Fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    README
        .split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_string())
        .collect()
}

#[test]
fn the_network_of_ones_own_runs_as_printed() {
    let text = &blocks("ron")[0];
    let scene = scene::read_text(text, "pair.ron", None).unwrap_or_else(|e| panic!("{e}"));
    let summary = run::run(&scene).unwrap();
    let verdict = |k: usize| summary.windows[k].rhythms[0].verdict.to_string();
    assert_eq!(verdict(0), "rhythmic");
    // Uncoupled twins go on bursting, each from where the cut left it.
    assert_eq!(summary.windows[1].cells[0].pattern.to_string(), "bursting");
}

#[test]
fn the_large_network_is_what_it_says() {
    let text = &blocks("ron")[1];
    let mut scene = scene::read_text(text, "large.ron", None).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(scene.cells.len(), 200 + 3 * 2);
    assert_eq!(scene.edge_count(), 3 * 2 + 200 * 10 + 2 + 200 * 2);
    for path in [
        "E[17]",
        "hc[2]/A",
        "ee:E[3]->E[0].g",
        "ee.g",
        "hc/A",
        "cpg.copies",
    ] {
        assert!(README.contains(path), "{path}");
    }
    scene.windows.clear();
    scene.duration_ms = 50.0;
    scene.protocol.clear();
    assert_eq!(run::run(&scene).unwrap().edges, scene.edge_count());
}

#[test]
fn the_channels_work_beside_a_scene() {
    let folder = std::env::temp_dir().join(format!("homarus-readme-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("nap.ron"), &blocks("ron")[2]).unwrap();
    std::fs::write(folder.join("erg.ron"), &blocks("ron")[3]).unwrap();
    let cell = r#"Cell(format: 1, name: "pacemaker", about: "", source: "test", include: ["nap.ron", "erg.ron"],
        channels: { "NaP": "NaP", "ERG": "erg", "Kd": "stg_kd", "leak": "leak" }, capacitance: 1)"#;
    std::fs::write(folder.join("pacemaker.ron"), cell).unwrap();
    let text = r#"Scene(format: 1, about: "", source: "test", include: ["pacemaker.ron"],
        duration_ms: 100, step_ms: 0.05,
        cells: { "P": (cell: "pacemaker", gbar: { "NaP": 0.1, "ERG": 0.1, "Kd": 1, "leak": 0.05 }) })"#;
    let scene =
        scene::read_text(text, "beside.ron", Some(&folder)).unwrap_or_else(|e| panic!("{e}"));
    let outcome = run::run(&scene);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(outcome.unwrap().model_ms >= 100.0);
}

#[test]
fn the_study_is_read_as_printed() {
    let text = &blocks("ron")[4];
    let study = study::file::read_text(text, "h.ron", None).unwrap_or_else(|e| panic!("{e}"));
    let counts = study.counts().unwrap();
    assert_eq!((counts.runs(), counts.members()), (10, 10 * 6 * 2));
    // What the tables mention beside it can be written.
    for (from, to) in [
        (
            "settle_ms: 3_000",
            "settle: (cycles: 10, within: 0.02, at_most_ms: 60_000)",
        ),
        (
            "Linear(from: 0, to: 1, count: 6)",
            "Bisect(from: 0, to: 1, tolerance: 0.01)",
        ),
        ("[\"A\", \"*\"]", "Cells(\"*\")"),
        ("Relative(path: \"*.*.gbar\", by: 0.05)", "Seed(from: 1)"),
        (
            "Relative(path: \"*.*.gbar\", by: 0.05)",
            "Uniform(path: \"*.V\", from: -65, to: -55)",
        ),
        (
            "    measures",
            "    design: LatinHypercube(count: 100), measures",
        ),
        ("    measures", "    design: Sobol(count: 128), measures"),
        (
            "    measures",
            "    realisations: (count: 16, vary: [Absolute(path: \"*.V\", by: 0.005)]), measures",
        ),
    ] {
        let text = text.replacen(from, to, 1);
        let read = study::file::read_text(&text, "h.ron", None);
        read.unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn the_names_it_mentions_ship() {
    for name in [
        "five_neuron_cpg",
        "five_neuron_sharp",
        "half_centre",
        "da_cell",
        "five_neuron_copies",
        "stg_population",
        "stg_sheet",
        "pyloric",
        "quadruped",
        "quadruped_gallop_wired",
        "quadruped_trot_wired",
        "quadruped_asymmetric",
        "quadruped_draws",
        "five_neuron_draws",
        "five_neuron_draws_sharp",
    ] {
        assert!(README.contains(name));
        scene::read(name).unwrap_or_else(|e| panic!("{e}"));
    }
}
