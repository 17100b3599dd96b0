//! Study files: what is read, and what is said of a wrong one.

use homarus::study::{
    design::Plan,
    file,
    model::{Amount, Study, Value, Values, When},
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

#[test]
fn zz() {
    for (from, to) in [
        ("Axis(\"b\")", "Axis(\"bb\")"),
        ("block: \"*.H\", by: Axis", "block: \"*.HH\", by: Axis"),
        ("to: 1, count: 11", "to: 2, count: 11"),
        ("0.75]", "1.5]"),
        ("0.75]", "]"),
        ("phase: \"phase\"", "phase: \"b\""),
        ("during: (", "durin: ("),
    ] {
        eprintln!("{}", complaint(&WHOLE.replacen(from, to, 1)));
    }
}
