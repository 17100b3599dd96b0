//! Study files: what is read, and what is said of a wrong one.

use homarus::study::{
    axes::{self, Times},
    design::Plan,
    file,
    model::{Amount, Study, Value, Values, When},
    networks,
};

/// A study of the half-centre with everything in it.
const WHOLE: &str = r#"Study(
    format: 1, about: "everything", source: "example",
    base: "half_centre",
    set: { "step_ms": 0.05, "*.H.gbar": Axis("h") },
    seed: 3,
    networks: (count: 4, vary: [Seed(from: 7), Relative(path: "*.*.gbar", by: 0.05)]),
    realisations: (count: 2, vary: [Absolute(path: "*.V", by: 0.005)]),
    settle_ms: 2_000, before_ms: 1_000,
    axes: {
        "h": [0.2, 0.4],
        "b": Linear(from: 0, to: 1, count: 11),
        "edge": Edges("*->*"),
        "phase": [0, 0.25, 0.5, 0.75],
    },
    protocol: [
        (at_ms: 0, block: "*.H", by: Axis("b")),
        (at_ms: 0, cut: Axis("edge")),
        (at_phase: Axis("phase"), current: "A", amplitude: 1, for_ms: 20),
    ],
    branches: { "weak": [(at_ms: 10, scale: "*->*.g", by: 0.9)], "strong": [(at_ms: 10, scale: "*->*.g", by: 1.5)] },
    during: (skip_ms: 500, for_ms: 2_000),
    undo: [(at_ms: 0, block: "*.H", by: 0), (at_ms: 0, restore: Axis("edge"))],
    after: (skip_ms: 500, for_ms: 2_000),
    criteria: (cv_below: 0.2),
    measures: ["cells.A.spikes", "rhythms.all.period_ms", "A.CaS.gbar", "cells.*.duty"],
    outcomes: [(name: "fewer", measure: "cells.A.bursts", at: "during", below: 0.5, of: "before")],
    response: (rhythm: "all", phase: "phase"),
    tables: ["cells"],
)"#;

fn read(text: &str) -> Study {
    file::read_text(text, "a.ron", None).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is said of a wrong study.
fn complaint(text: &str) -> String {
    match file::read_text(text, "a.ron", None) {
        Ok(study) => panic!("it was read: {study:?}"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn everything_is_read() {
    let study = read(WHOLE);
    assert_eq!(study.bases[0].name, "half_centre");
    assert_eq!(study.set[1].to, Amount::Axis(0));
    let edges = ["A->B", "B->A"].map(|edge| Value::Text(edge.to_owned()));
    assert_eq!(study.axes[2].values, Values::List(edges.into()));
    let makes: Vec<bool> = study.axes.iter().map(|axis| axis.makes_networks).collect();
    assert_eq!(makes, [true, false, false, false]);
    let phase = When::Phase {
        phase: Amount::Axis(3),
        rhythm: 0,
    };
    assert_eq!(study.protocol[2].at, phase);
    let names: Vec<&str> = study.measures.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cells.A.spikes",
            "rhythms.all.period_ms",
            "A.CaS.gbar",
            "cells.A.duty",
            "cells.B.duty"
        ]
    );
    let counts = study.counts().expect("few");
    assert_eq!((counts.settings, counts.points), (2, 11 * 2 * 4));
    assert_eq!(counts.runs(), 2 * 4 * 2);
    assert_eq!(counts.members(), 2 * 4 * 2 * 2 * 88);
}

#[test]
fn numbers_and_coordinates_are_one_to_one() {
    let plan = Plan::new(&read(WHOLE)).expect("few");
    for number in 0..plan.counts().members() {
        assert_eq!(plan.number(&plan.member(number)), number);
    }
    for number in 0..plan.counts().runs() {
        assert_eq!(plan.run_number(&plan.run(number)), number);
    }
    let mut numbers: Vec<u64> = (0..plan.counts().runs())
        .flat_map(|run| plan.members_of(plan.run(run)))
        .map(|member| plan.number(&member))
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..plan.counts().members()));
}

/// What is said of [`WHOLE`] with a part of it in other words.
fn said(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    complaint(&WHOLE.replacen(from, to, 1))
}

#[test]
fn every_mistake_is_told_with_its_place_and_a_fix() {
    let mut missed = Vec::new();
    for (from, to, told) in [
        (
            "Axis(\"b\")",
            "Axis(\"bb\")",
            &["a.ron:16:43", "no axis `bb`", "did you mean `b`?"][..],
        ),
        (
            "Axis(\"b\")",
            "0.5",
            &["a.ron:11:9", "nothing refers to axis `b`"],
        ),
        ("Axis(\"b\")", "Axis(3)", &["expected the name of an axis"]),
        (
            "block: \"*.H\", by: A",
            "block: \"*.HH\", by: A",
            &["a.ron:16:27", "no channel `HH`", "did you mean `H`?"],
        ),
        (
            "to: 1, count: 11",
            "to: 2, count: 11",
            &["expected a number from 0 to 1", "found 2"],
        ),
        (
            "to: 1, count: 11",
            "to: 0, count: 11",
            &["this range is empty"],
        ),
        ("count: 11", "count: 0", &["a whole number from 1"]),
        (
            "from: 0, to: 1, count",
            "from: 0, to: 1, coun",
            &["no field `coun`", "did you mean `count`?"],
        ),
        (
            "Linear(from: 0, to: 1, count: 11)",
            "Liner(from: 0, to: 1)",
            &["did you mean `Linear`?"],
        ),
        (
            "Linear(from: 0, to: 1, count: 11)",
            "Log(from: 0, to: 1, count: 3)",
            &["greater than 0", "has no zero"],
        ),
        (
            "Linear(from: 0, to: 1, count: 11)",
            "[]",
            &["this axis has no values"],
        ),
        (
            "Linear(from: 0, to: 1, count: 11)",
            "[0.5, \"a\"]",
            &["numbers or words, not both"],
        ),
        (
            "Linear(from: 0, to: 1, count: 11)",
            "[0.5, 0.5]",
            &["listed twice"],
        ),
        (
            "Linear(from: 0, to: 1, count: 11)",
            "[\"x\"]",
            &["a.ron:11:15", "expected a number"],
        ),
        (
            "Linear(from: 0, to: 1, count: 11)",
            "Bisect(from: 0, to: 1, tolerance: 2)",
            &["wider than the range"],
        ),
        (
            "[0.2, 0.4]",
            "Bisect(from: 0, to: 1, tolerance: 0.1)",
            &["a bisection cannot make networks"],
        ),
        (
            "Edges(\"*->*\")",
            "Edges(\"*->C\")",
            &["there is no cell `C`"],
        ),
        (
            "Edges(\"*->*\")",
            "Pairs(\"A->B\")",
            &["there is no pair of edges", "names 1 path"],
        ),
        (
            "\"b\": Linear",
            "\"branch\": Linear",
            &["`branch` cannot be the name of an axis", "reserved"],
        ),
        ("\"b\": Linear", "\"h\": Linear", &["given twice"]),
        ("0.5, 0.75]", "0.5, 1]", &["expected a phase", "found 1"]),
        (
            "current: \"A\", amp",
            "rhythm: \"slow\", current: \"A\", amp",
            &["has no rhythm `slow`"],
        ),
        (
            "at_ms: 0, cut",
            "at_ms: 3_000, cut",
            &["after the end of `during`", "3000 ms", "ends 2500 ms"],
        ),
        ("at_ms: 0, cut", "cut", &["needs `at_ms` or `at_phase`"]),
        (
            "at_ms: 0, cut",
            "at_ms: 0, at_phase: 0, cut",
            &["an entry has one time"],
        ),
        (
            "cut: Axis",
            "cutt: Axis",
            &["does nothing", "is `cutt` meant to be `cut`?"],
        ),
        (
            "    after: (skip_ms: 500, for_ms: 2_000),\n",
            "",
            &["`undo` needs a window after it"],
        ),
        ("\"strong\"", "\"control\"", &["to which nothing is done"]),
        ("settle_ms: 2_000, ", "", &["needs `settle_ms` or `settle`"]),
        (
            "before_ms: 1_000",
            "before_ms: 9_000",
            &["begins before the run"],
        ),
        (
            "during: (skip_ms: 500, for_ms: 2_000),",
            "",
            &["a study needs `during`"],
        ),
        (
            "cells.A.spikes",
            "cells.A.spike",
            &["no measure of cells `spike`", "did you mean `spikes`?"],
        ),
        (
            "cells.A.spikes",
            "cells.C.spikes",
            &["there is no cell `C`"],
        ),
        (
            "cells.A.spikes",
            "cells.A.pattern",
            &["`pattern` is a word"],
        ),
        (
            "rhythms.all.period_ms",
            "rhythms.slow.period_ms",
            &["there is no rhythm `slow`"],
        ),
        ("A.CaS.gbar", "A.CaX.gbar", &["did you mean"]),
        (
            "phase: \"phase\"",
            "phase: \"b\"",
            &["axis `b` is no phase"],
        ),
        (
            "at: \"during\"",
            "at: \"durin\"",
            &["did you mean `during`?"],
        ),
        (
            "below: 0.5, of",
            "below: 0.5, above: 1, of",
            &["an outcome has one bound"],
        ),
        (
            "tables: [\"cells\"]",
            "tables: [\"cell\"]",
            &["no table `cell`", "did you mean `cells`?"],
        ),
        (
            "base: \"half_centre\"",
            "base: \"half_center\"",
            &[
                "a.ron:3:11",
                "no shipped scene",
                "did you mean `half_centre`?",
            ],
        ),
        (
            "base: \"half_centre\"",
            "base: \"half.ron\"",
            &["names scenes that ship"],
        ),
        (
            "base: \"half_centre\"",
            "bases: [\"half_centre\", \"half_centre\"]",
            &["two bases are called"],
        ),
        ("*.H.gbar", "*.HH.gbar", &["no channel `HH`"]),
        (
            "*.H.gbar",
            "step_m",
            &["there is no setting `step_m`", "did you mean `step_ms`?"],
        ),
        ("[0.2, 0.4]", "[-0.2, 0.4]", &["cannot be -0.2"]),
        (
            "by: 0.05)])",
            "by: -0.05)])",
            &["expected a number that is not negative"],
        ),
        (
            "count: 4, vary: [Seed(from: 7), R",
            "count: 4, vary: [Sed(from: 7), R",
            &["did you mean `Seed`?"],
        ),
        (
            "vary: [Absolute(path: \"*.V\", by: 0.005)]",
            "vary: [Seed(from: 1)]",
            &["another seed makes another network"],
        ),
        (
            "vary: [Absolute(path: \"*.V\", by: 0.005)]",
            "vary: []",
            &["all realisations would be the same"],
        ),
        (
            "seed: 3,",
            "seed: 3, design: Sobl(count: 4),",
            &["did you mean `Sobol`?"],
        ),
        (
            "seed: 3,",
            "seed: 3, design: Together,",
            &["as many values each"],
        ),
        (
            "tables:",
            "table:",
            &["no field `table`", "did you mean `tables`?"],
        ),
        ("format: 1", "format: 2", &["format 2 is not known"]),
        ("Study(", "Studi(", &["did you mean `Study`?"]),
    ] {
        let said = said(from, to);
        let missing = told.iter().filter(|part| !said.contains(**part));
        missed.extend(missing.map(|part| format!("{from} -> {to}: no `{part}` in\n{said}")));
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn mistakes_come_all_at_once_and_one_by_one() {
    let twice = WHOLE
        .replacen("cells.A.spikes", "cells.A.spike", 1)
        .replacen("for_ms: 20)", "for_ms: -20)", 1);
    let said = complaint(&twice);
    assert!(said.contains("2 errors"), "{said}");
}

#[test]
fn a_scene_is_no_study_and_a_study_no_scene() {
    let said = file::read("half_centre", &[]).unwrap_err().to_string();
    assert!(said.contains("this file is a scene"), "{said}");
    assert!(said.contains("`homarus run FILE`"), "{said}");
    let said = homarus::scene::read_text(WHOLE, "a.ron", None);
    let said = said.unwrap_err().to_string();
    assert!(said.contains("this file is a study"), "{said}");
    assert!(said.contains("`homarus study FILE` runs it"), "{said}");
}

/// A small study with these axes and this design.
fn small(axes: &str, design: &str) -> String {
    format!(
        r#"Study(format: 1, about: "a", source: "b", base: "half_centre", settle_ms: 0, seed: 5,
            axes: {{ {axes} }}, design: {design}, during: (for_ms: 100),
            protocol: [(at_ms: 0, scale: "A->B.g", by: Axis("a")), (at_ms: 0, scale: "B->A.g", by: Axis("b"))])"#
    )
}

/// The values of both axes at each point.
fn points(design: &str) -> Vec<[f64; 2]> {
    let axes = r#""a": Linear(from: 0, to: 1, count: 4), "b": Linear(from: 0, to: 1, count: 4)"#;
    let plan = Plan::new(&read(&small(axes, design))).expect("few");
    let points = (0..plan.counts().points).map(|point| {
        let values = plan.values(0, point);
        [0, 1].map(|k| match values[k] {
            Some(Value::Number(x)) => x,
            ref other => panic!("{other:?}"),
        })
    });
    points.collect()
}

#[test]
fn a_grid_goes_round_with_its_last_axis_fastest() {
    let grid = points("Grid");
    assert_eq!(grid.len(), 16);
    assert_eq!(grid[0], [0.0, 0.0]);
    assert_eq!(grid[1], [0.0, 1.0 / 3.0]);
    assert_eq!(grid[4], [1.0 / 3.0, 0.0]);
    assert_eq!(grid[15], [1.0, 1.0]);
    assert_eq!(points("Together")[3], [1.0, 1.0]);
    assert_eq!(points("Together").len(), 4);
}

#[test]
fn a_latin_hypercube_meets_every_stratum_of_every_axis_once() {
    let points = points("LatinHypercube(count: 50)");
    for axis in 0..2 {
        let mut strata: Vec<usize> = points.iter().map(|p| (p[axis] * 50.0) as usize).collect();
        assert!(!strata.is_sorted());
        strata.sort_unstable();
        assert!(strata.into_iter().eq(0..50));
    }
}

#[test]
fn points_do_not_depend_on_how_many_there_are() {
    for design in ["Random", "Sobol"] {
        let few = points(&format!("{design}(count: 8)"));
        let many = points(&format!("{design}(count: 64)"));
        assert_eq!(few, many[..8]);
        let inside = |p: &[f64; 2]| p.iter().all(|x| (0.0..1.0).contains(x));
        assert!(many.iter().all(inside));
        // As many in each quarter, roughly; of a Sobol sequence exactly.
        let quarter = many.iter().filter(|p| p[0] < 0.5 && p[1] < 0.5).count();
        match design {
            "Sobol" => assert_eq!(quarter, 16),
            _ => assert!((6..=28).contains(&quarter)),
        }
    }
}

#[test]
fn designs_that_cannot_be_are_refused() {
    let bisect = r#""a": Bisect(from: 0, to: 1, tolerance: 0.1), "b": [1, 2]"#;
    let said = complaint(&small(bisect, "Random(count: 5)"));
    assert!(said.contains("a bisection needs a grid"), "{said}");
    let twice = bisect.replace("[1, 2]", "Bisect(from: 0, to: 1, tolerance: 0.1)");
    let said = complaint(&small(&twice, "Grid"));
    assert!(said.contains("one bisection at most"), "{said}");
    let huge = r#""a": Linear(from: 0, to: 1, count: 4_000_000_000), "b": Linear(from: 0, to: 1, count: 4_000_000_000)"#;
    let counts = read(&small(huge, "Grid")).counts().expect("below 2^64");
    assert_eq!(counts.members(), 16_000_000_000_000_000_000);
    let text =
        small(huge, "Grid").replace("seed: 5", "networks: (count: 2, vary: [Seed(from: 0)])");
    let said = complaint(&text);
    assert!(said.contains("more members than can be counted"), "{said}");
}

#[test]
fn settings_of_a_study_are_set_in_place_and_all_else_is_added() {
    let folder = std::env::temp_dir().join(format!("homarus-study-set-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("whole.ron");
    std::fs::write(&path, WHOLE).unwrap();
    let read = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        file::read(path.to_str().unwrap(), &sets).map_err(|errors| errors.to_string())
    };
    let study = read(&[
        "networks.count=1_000",
        "settle_ms=5000",
        "axes.b.count=3",
        "A.V=-50",
        "seed=9",
    ])
    .unwrap();
    assert_eq!(study.name, "whole");
    assert_eq!(study.counts().unwrap().networks, 1_000);
    assert_eq!(study.seed, 9);
    assert_eq!(study.axes[1].values.count(), 3);
    assert_eq!(study.set.last().unwrap().path, "A.V");
    for (set, told) in [
        ("networks.cont=3", "has no field `cont`"),
        ("networks.count=many", "found a text in quotes"),
        ("A.Vx=3", "A.Vx"),
        ("setle_ms=3", "did you mean `settle_ms`?"),
        ("seed.x=3", "`seed` has no fields"),
        ("seed", "has no `=`"),
    ] {
        let said = read(&[set]).unwrap_err();
        assert!(said.contains(told), "{set}: {said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn networks_come_from_a_table() {
    let folder = std::env::temp_dir().join(format!("homarus-study-table-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = WHOLE.replace(
        r#"networks: (count: 4, vary: [Seed(from: 7), Relative(path: "*.*.gbar", by: 0.05)])"#,
        r#"networks: (table: "n.csv")"#,
    );
    let read = |table: &str| {
        std::fs::write(folder.join("n.csv"), table).unwrap();
        file::read_text(&text, "a.ron", Some(&folder)).map_err(|errors| errors.to_string())
    };
    let study = read("\u{feff}A.Na.gbar,*.V\r\n4000,-60\r\n5000,-55.5\r\n").unwrap();
    assert_eq!(study.counts().unwrap().networks, 2);
    for (table, told) in [
        ("", "this table is empty"),
        ("A.Na.gbar,B.Na.gbar\n", "holds no network"),
        ("A.Na.gbar,A.Na\n1,2\n", "n.csv:1:11"),
        ("A.Na.gbar,A.NaX.gbar\n1,2\n", "there is no channel `NaX`"),
        (
            "A.Na.gbar,A.Na.gbar\n1,2\n",
            "two columns are called `A.Na.gbar`",
        ),
        ("A.Na.gbar\nmany\n", "found `many`"),
        ("A.Na.gbar\nNaN\n", "expected a finite number"),
        ("A.Na.gbar,B.Na.gbar\n1\n", "not as many fields"),
        ("A.Na.gbar\n-1\n", "cannot be -1"),
    ] {
        let said = read(table).unwrap_err();
        assert!(said.contains(told), "{table}: {said}");
    }
    std::fs::remove_file(folder.join("n.csv")).unwrap();
    let said = file::read_text(&text, "a.ron", Some(&folder))
        .unwrap_err()
        .to_string();
    assert!(said.contains("`n.csv` does not exist"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Scalars of a network of a run.
fn made(study: &Study, number: u64, paths: &[&str]) -> Vec<f64> {
    let plan = Plan::new(study).expect("few");
    let run = plan.run(number);
    let network = networks::spawn(study, &run, &plan.settings(run.setting))
        .unwrap_or_else(|errors| panic!("{errors}"));
    let read = |path: &&str| {
        let address = network.names().scalars(path).expect("is there")[0];
        homarus_systems::address::read(&network.world, address).expect("is there")
    };
    paths.iter().map(read).collect()
}

#[test]
fn draws_belong_to_network_and_path_alone() {
    let study = read(WHOLE);
    let paths = ["A.Na.gbar", "B.Na.gbar", "A.H.gbar", "A.V"];
    // Settings go round slower than networks, networks slower than realisations.
    let [first, again, other, setting] = [0, 1, 2, 8].map(|run| made(&study, run, &paths));
    assert_eq!(first[..3], again[..3], "realisations share their network");
    assert_ne!(first[3], again[3], "but not their start");
    assert!((first[3] + 60.0).abs() <= 0.005);
    assert_ne!(first[0], other[0], "networks differ");
    assert!((first[0] / 3951.842313071123 - 1.0).abs() <= 0.05);
    assert_eq!(first[0], setting[0], "settings share the draws");
    assert!(
        (first[2] / 0.2 - setting[2] / 0.4).abs() < 1e-12,
        "of what they set, too"
    );
    let more = WHOLE
        .replace("networks: (count: 4", "networks: (count: 400")
        .replace(
            r#"Relative(path: "*.*.gbar""#,
            r#"Absolute(path: "A->B.g", by: 0.1), Relative(path: "*.*.gbar""#,
        );
    assert_eq!(
        made(&read(&more), 0, &paths),
        first,
        "whatever else is drawn"
    );
    let seeded = WHOLE.replace("seed: 3", "seed: 4");
    assert_ne!(made(&read(&seeded), 0, &paths)[0], first[0]);
}

#[test]
fn a_draw_that_a_scalar_cannot_have_is_told() {
    let text = WHOLE.replace("by: 0.05)", "by: 5)");
    let study = read(&text);
    let plan = Plan::new(&study).expect("few");
    let run = plan.run(0);
    let refused = networks::spawn(&study, &run, &plan.settings(0));
    let said = refused
        .err()
        .expect("some conductance is below 0")
        .to_string();
    assert!(said.contains("gbar` cannot be -"), "{said}");
}

#[test]
fn entries_have_absolute_times_and_the_values_of_a_point() {
    let study = read(WHOLE);
    let plan = Plan::new(&study).expect("few");
    let values = plan.values(0, 87);
    let times = Times {
        fork_ms: 2_000.0,
        from_ms: 2_000.0,
        until_ms: 9_000.0,
        phase_ms: &|rhythm, phase| (rhythm == 0).then_some(2_100.0 + 200.0 * phase),
    };
    let made = axes::entries(&study, 0, &study.protocol, &values, &times).expect("fine");
    let told: Vec<(f64, &str)> = made.iter().map(|e| (e.at_ms, e.action.path())).collect();
    assert_eq!(told, [(2_000.0, "*.H"), (2_000.0, "B->A"), (2_250.0, "A")]);
    let none = Times {
        phase_ms: &|_, _| None,
        ..times
    };
    let said = axes::entries(&study, 0, &study.protocol, &values, &none).unwrap_err();
    assert!(
        said.to_string().contains("no whole cycle of rhythm `all`"),
        "{said}"
    );
}

#[test]
fn a_pair_makes_an_entry_for_each() {
    let text = WHOLE.replace("Edges(\"*->*\")", "Pairs(\"*->*\")");
    let study = read(&text);
    let plan = Plan::new(&study).expect("few");
    let times = Times {
        fork_ms: 0.0,
        from_ms: 10.0,
        until_ms: 20.0,
        phase_ms: &|_, _| None,
    };
    let made = axes::entries(&study, 0, &study.undo, &plan.values(0, 0), &times).expect("fine");
    let told: Vec<(f64, &str)> = made.iter().map(|e| (e.at_ms, e.action.path())).collect();
    assert_eq!(told, [(10.0, "*.H"), (10.0, "A->B"), (10.0, "B->A")]);
}

#[test]
fn entries_come_again_up_to_their_number_or_the_end() {
    let again = |more: &str| {
        let from = "(at_ms: 0, block: \"*.H\", by: Axis(\"b\"))";
        let to = format!("(at_ms: 10, {more}, block: \"*.H\", by: Axis(\"b\"))");
        let study = read(&WHOLE.replacen(from, &to, 1));
        let plan = Plan::new(&study).expect("few");
        let times = Times {
            fork_ms: 2_000.0,
            from_ms: 2_000.0,
            until_ms: 4_500.0,
            phase_ms: &|_, _| Some(2_100.0),
        };
        let values = plan.values(0, 0);
        let made = axes::entries(&study, 0, &study.protocol[..1], &values, &times).expect("fine");
        made.iter().map(|entry| entry.at_ms).collect::<Vec<f64>>()
    };
    assert_eq!(
        again("every_ms: 100, times: 3"),
        [2_010.0, 2_110.0, 2_210.0]
    );
    // The last that is before the end of `during`, 2500 ms after the fork.
    let whole = again("every_ms: 250");
    assert_eq!((whole.len(), whole[9]), (10, 4_260.0));
}

#[test]
fn repetitions_that_cannot_be_are_refused() {
    let from = "(at_ms: 0, block:";
    for (more, told) in [
        ("every_ms: 0", &["expected a number greater than 0"][..]),
        (
            "times: 3",
            &[
                "how often does this come again?",
                "add for instance `every_ms: 500`",
            ],
        ),
        (
            "every_ms: 1000, times: 5",
            &[
                "before the end of `during`",
                "the last at 4000 ms",
                "ends 2500 ms after",
            ],
        ),
        (
            "every_ms: 0.001",
            &["this comes too often", "2500000 times"],
        ),
    ] {
        let said = said(from, &format!("(at_ms: 0, {more}, block:"));
        for words in told {
            assert!(said.contains(words), "{more}:\n{said}");
        }
    }
}

#[test]
fn a_size_is_a_number_and_a_lag_needs_a_second_cell() {
    let response = "phase: \"phase\")";
    let word = said(response, "phase: \"phase\", size: \"edge\")");
    assert!(word.contains("axis `edge` is no size"), "{word}");
    let unknown = said(response, "phase: \"phase\", size: \"bb\")");
    assert!(unknown.contains("did you mean `b`?"), "{unknown}");
    let tables = "tables: [\"cells\"]";
    let map = |starts: &str| format!("return_map: (rhythm: \"all\", starts: {starts}), {tables}");
    let none = said(tables, &map("[]"));
    assert!(
        none.contains("expected the axes that set the starting lags"),
        "{none}"
    );
    let unknown = said(tables, &map("[\"phse\"]"));
    assert!(unknown.contains("did you mean `phase`?"), "{unknown}");
    let alone = complaint(
        "Study(format: 1, about: \"a\", source: \"s\", base: \"stg_cell\", settle_ms: 0, \
         axes: { \"x\": [1, 2] }, \
         protocol: [(at_ms: 0, current: \"LP\", amplitude: Axis(\"x\"), for_ms: 5)], \
         during: (for_ms: 1000), return_map: (rhythm: \"all\", starts: [\"x\"]))",
    );
    assert!(alone.contains("of `stg_cell` has one cell"), "{alone}");
}
