use std::{
    fs,
    path::{Path, PathBuf},
};

use homarus_systems::definition::{GateKinetics, Reversal, SynapseDefinition, Timescale};

use super::{
    Diagnostics, Kind, Scene, cell_definition,
    library::{Library, bare_key},
    model::{Action, Conductance, Current},
    read, read_text, shipped, synapse_kind,
};

/// Two cells in mutual inhibition, in 17 lines.
const PAIR: &str = r#"Scene(
    format: 1,
    about: "Two fast STG cells in mutual inhibition", source: "arXiv 2412.04172",
    duration_ms: 10_000, step_ms: 0.025, seed: 544,
    cells: {
        "A": (cell: "stg", parameters: { "KCa.tm": 2 }, gbar: { "Na": 3951.84, "CaS": 18.98 }, start: (V: -60)),
        "B": (like: "A", start: (V: -55)),
    },
    edges: [
        (pre: "A", post: "B", kind: "tanh", g: 0.8),
        (pre: "B", post: "A", kind: "tanh", g: 0.8),
    ],
    protocol: [(at_ms: 5_000, set: "A->B.g", to: 0.0)],
    windows: [
        (label: "coupled", from_ms: 1_000, to_ms: 5_000), (label: "cut", from_ms: 6_000, to_ms: 10_000),
    ],
)
"#;

/// A scene around `fields`.
fn around(fields: &str) -> String {
    format!("Scene(format: 1, duration_ms: 1000, step_ms: 0.05,\n{fields})")
}

#[track_caller]
fn scene(text: &str) -> Scene {
    read_text(text, "scene.ron", None).unwrap_or_else(|errors| panic!("{errors}"))
}

#[track_caller]
fn errors(text: &str) -> Diagnostics {
    let errors = read_text(text, "scene.ron", None).expect_err("the scene is wrong");
    assert!(!errors.is_empty(), "wrong without a reason: {text}");
    errors
}

/// Messages of the errors, one a line.
#[track_caller]
fn messages(text: &str) -> String {
    let errors = errors(text);
    let lines: Vec<&str> = errors
        .errors()
        .iter()
        .map(|error| error.message())
        .collect();
    lines.join("\n")
}

/// A folder of files that is removed at the end of a test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("homarus-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("a temporary file");
        }
        Self(folder)
    }

    fn read(&self, name: &str) -> Result<Scene, Diagnostics> {
        read(&self.0.join(name).display().to_string())
    }

    #[track_caller]
    fn messages(&self, name: &str) -> String {
        let errors = self.read(name).expect_err("the scene is wrong");
        let lines: Vec<String> = errors
            .errors()
            .iter()
            .map(|error| {
                let file = error.file().map(Path::new).and_then(Path::file_name);
                let file = file.map(|name| name.to_string_lossy().into_owned());
                format!("{}: {}", file.unwrap_or_default(), error.message())
            })
            .collect();
        lines.join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_shipped_file_reads_and_says_what_it_is() {
    let mut names = Vec::new();
    for file in shipped() {
        let name = &file.name;
        assert!(!names.contains(name), "{name} ships twice");
        assert!(!file.about.is_empty() && !file.source.is_empty(), "{name}");
        assert!(
            file.text.starts_with("//"),
            "{name} has no comment at its head"
        );
        let mut errors = Diagnostics::default();
        let (mut library, key) = (Library::default(), bare_key(name));
        let found = match file.kind {
            Kind::Channel => library.channel(&key, &mut errors).map(|_| name.clone()),
            Kind::Synapse => library.synapse(&key, &mut errors).map(|kind| kind.name),
            Kind::Cell => library.cell(&key, &mut errors).map(|cell| cell.name),
            Kind::Study if file.verb() == Some("study") => {
                match crate::study::file::read(name, &[]) {
                    Ok(study) => Some(study.name),
                    Err(errors) => panic!("{errors}"),
                }
            }
            Kind::Network | Kind::Study => match read(name) {
                Ok(scene) => Some(scene.name),
                Err(errors) => panic!("{errors}"),
            },
        };
        assert!(errors.is_empty(), "{errors}");
        assert_eq!(found.as_ref(), Some(name));
        names.push(file.name);
    }
    assert!(names.len() >= 23);
}

#[test]
fn the_stg_cell_is_as_published() {
    let cell = cell_definition("stg").expect("ships");
    let channels: Vec<&str> = cell
        .channels
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        channels,
        ["Na", "CaT", "CaS", "A", "KCa", "Kd", "H", "leak"]
    );
    let reversals: Vec<Reversal> = cell
        .channels
        .iter()
        .map(|(_, channel)| channel.reversal)
        .collect();
    let published = [50.0, 80.0, 80.0, -80.0, -80.0, -80.0, -20.0, -50.0];
    assert_eq!(reversals, published.map(Reversal::Fixed));
    let powers: Vec<Vec<u8>> = cell
        .channels
        .iter()
        .map(|(_, channel)| channel.gates.iter().map(|gate| gate.power).collect())
        .collect();
    assert_eq!(
        powers,
        [
            vec![3, 1],
            vec![3, 1],
            vec![3, 1],
            vec![3, 1],
            vec![4],
            vec![4],
            vec![1],
            vec![]
        ]
    );
    let carries: Vec<bool> = cell
        .channels
        .iter()
        .map(|(_, channel)| channel.carries_calcium)
        .collect();
    assert_eq!(carries.iter().filter(|carries| **carries).count(), 2);
    assert!(carries[1] && carries[2]);
    assert_eq!(cell.channels[4].1.parameters, [("tm".to_owned(), 1.0)]);
    assert_eq!(cell.homeostat_reference.as_deref(), Some("Na"));
    let dic = cell.dic.expect("has one");
    assert_eq!(dic.calcium_at, [("CaS".to_owned(), 10.0)]);
    assert!(
        matches!(&dic.timescales[2], Timescale::Gate { channel, gate } if channel == "H" && gate == "m")
    );
}

#[test]
fn shipped_synapse_kinds_are_as_published() {
    let tanh = synapse_kind("tanh").expect("ships");
    let SynapseDefinition::Chemical {
        gate: GateKinetics::Relaxation { .. },
        start: None,
        ..
    } = tanh.definition
    else {
        panic!("tanh relaxes and starts at its steady state");
    };
    let sigmoid = synapse_kind("sigmoid").expect("ships");
    let SynapseDefinition::Chemical {
        gate: GateKinetics::Rates { .. },
        start: Some(_),
        ..
    } = sigmoid.definition
    else {
        panic!("sigmoid has rates and starts at 0");
    };
    for name in ["gap", "rectifying_gap"] {
        let kind = synapse_kind(name).expect("ships");
        assert!(matches!(
            kind.definition,
            SynapseDefinition::Electrical { one_way: false, .. }
        ));
    }
    let errors = synapse_kind("gaps").expect_err("does not ship");
    assert_eq!(
        errors.errors()[0].help_text().as_deref(),
        Some("did you mean `gap`?")
    );
}

#[test]
fn five_neuron_scenes_share_their_base() {
    let cpg = read("five_neuron_cpg").expect("ships");
    let names: Vec<&str> = cpg.cells.iter().map(|cell| &*cell.name).collect();
    assert_eq!(names, ["F1", "F2", "hub", "S1", "S2"]);
    let tm: Vec<f64> = cpg.cells.iter().map(|cell| cell.parameters[0].2).collect();
    assert_eq!(tm, [2.0, 2.0, 2.0, 20.0, 20.0]);
    let targets: Vec<f64> = cpg
        .cells
        .iter()
        .map(|cell| cell.controller.as_ref().expect("every cell has one").g_s)
        .collect();
    assert_eq!(targets, [-8.0, -8.0, -8.0, 0.0, 0.0]);
    assert_eq!(
        (cpg.edges.len(), cpg.kinds.len(), cpg.cell_types.len()),
        (8, 2, 1)
    );
    assert_eq!(cpg.rhythms[1].min_spikes, 10);
    let controller = cpg.cells[0].controller.as_ref().expect("has one");
    assert_eq!(
        (controller.gains.kt, controller.channels),
        (5e-3 / 5e-6, [2, 3])
    );

    let sharp = read("five_neuron_sharp").expect("ships");
    for cell in &sharp.cells {
        let homeostat = cell.homeostat.as_ref().expect("has one");
        assert!(cell.controller.is_none() && !homeostat.on);
        assert_eq!(
            (
                homeostat.channels.len(),
                homeostat.settings.tau_g,
                homeostat.settings.ca_target
            ),
            (8, 1000.0, 125.0)
        );
    }
    assert_eq!(sharp.cells[3].gbar[2], 18.34358578734704);
    assert_eq!(sharp.cells[3].gbar[0], 5971.40396391051);
    assert!(
        read("five_neuron_uncoupled")
            .expect("ships")
            .edges
            .is_empty()
    );
    assert_eq!(
        read("five_neuron_half_centres").expect("ships").edges.len(),
        4
    );
    assert_eq!(
        read("five_neuron_off").expect("ships").cells[4].start.v,
        Some(-59.734731356925515)
    );
}

#[test]
fn a_pair_fits_in_25_lines() {
    assert!(PAIR.lines().count() <= 25);
    let pair = scene(PAIR);
    assert_eq!(pair.name, "scene");
    assert_eq!(pair.seed, 544);
    assert_eq!(pair.cells[1].gbar, pair.cells[0].gbar);
    assert_eq!(pair.cells[1].gbar[..3], [3951.84, 0.0, 18.98]);
    assert_eq!(
        (pair.cells[0].start.v, pair.cells[1].start.v),
        (Some(-60.0), Some(-55.0))
    );
    assert_eq!(
        pair.cells[1].parameters[..],
        [("KCa".to_owned(), "tm".to_owned(), 2.0)]
    );
    assert_eq!((pair.edges[1].pre, pair.edges[1].post), (1, 0));
    assert_eq!(pair.rhythms[0].name, "all");
    assert_eq!(pair.rhythms[0].cells, [0, 1]);
    let entry = &pair.protocol[0];
    assert_eq!(
        entry.action,
        Action::Set {
            path: "A->B.g".into(),
            to: 0.0
        }
    );
    assert_eq!(
        (entry.origin.line(), entry.origin.text()),
        (13, "\"A->B.g\"")
    );
}

#[test]
fn like_follows_chains_and_merges_deeply() {
    let scene = scene(&around(
        r#"cells: {
            "D": (like: "C", start: (V: -50)),
            "C": (like: "B", homeostat: (tau_g: 50), gbar: { "Kd": 7 }),
            "B": (like: "A", controller: None),
            "A": (
                cell: "stg", gbar: { "Na": 100, "Kd": 5 }, start: (V: -61, Ca: 0.5),
                homeostat: (channels: ["Na"], Ca_target: 100),
                controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4),
            ),
        }"#,
    ));
    let names: Vec<&str> = scene.cells.iter().map(|cell| &*cell.name).collect();
    assert_eq!(names, ["D", "C", "B", "A"]);
    let [d, _, b, a] = scene.cells.as_slice() else {
        panic!("four cells")
    };
    let homeostat = d.homeostat.as_ref().expect("copied");
    assert_eq!(
        (homeostat.settings.tau_g, homeostat.settings.ca_target),
        (50.0, 100.0)
    );
    assert_eq!((d.gbar[0], d.gbar[5]), (100.0, 7.0));
    assert_eq!((d.start.v, d.start.ca), (Some(-50.0), Some(0.5)));
    assert!(b.controller.is_none() && a.controller.is_some());
}

#[test]
fn like_goes_through_a_very_long_chain() {
    // Backwards, so that the first cell leads through all others.
    let mut cells = String::new();
    for n in (1..3000).rev() {
        cells += &format!("\"c{n}\": (like: \"c{}\"),", n - 1);
    }
    let scene = scene(&around(&format!(
        "cells: {{ {cells} \"c0\": (cell: \"stg\") }}"
    )));
    assert_eq!(scene.cells.len(), 3000);
}

#[test]
fn like_that_leads_nowhere_is_one_error() {
    let told = messages(&around(
        r#"cells: { "A": (like: "B"), "B": (like: "A"), "C": (like: "B") }"#,
    ));
    assert_eq!(told, "`like` goes round in a circle");
    let told = messages(&around(
        r#"cells: { "A": (like: "Q"), "B": (like: "A"), "C": (like: "C") }"#,
    ));
    assert_eq!(
        told,
        "there is no cell `Q` to copy\n`like` goes round in a circle"
    );
}

#[test]
fn a_mistake_that_was_copied_is_reported_once() {
    let told = messages(&around(
        r#"cells: { "A": (cell: "stg", gbar: { "Nax": 1 }), "B": (like: "A"), "C": (like: "B") }"#,
    ));
    assert_eq!(told, "cell type `stg` has no channel `Nax`");
}

#[test]
fn definitions_beside_a_scene_are_included() {
    let folder = Folder::new(
        "beside",
        &[
            (
                "na.ron",
                r#"Channel(format: 1, name: "my_na", reversal: mV(55), parameters: { "q": 2 },
                   gates: { "m": (power: 3, alpha: "q*exp(V/10)", beta: 1, bridge: (-41, -39)) })"#,
            ),
            (
                "cell.ron",
                r#"Cell(format: 1, name: "mine", include: ["na.ron"], capacitance: 1, area_cm2: 0.001,
                   calcium: (tau_ms: s(0.2), rest_uM: 0.05, per_nA: 14.96),
                   channels: { "Na": "my_na", "leak": "leak" })"#,
            ),
            (
                "syn.ron",
                r#"Synapse(format: 1, name: "fast", parameters: { "E": 0 },
                   chemical: (inf: "sigmoid(V_pre)", tau: 5, reversal: "E"))"#,
            ),
            (
                "scene.ron",
                r#"Scene(format: 1, include: ["cell.ron", "syn.ron", "na.ron"], duration_ms: 1, step_ms: 0.01,
                   cells: {
                     "A": (cell: "mine", I: nA(0.1), gbar: { "Na": nS(30) }, parameters: { "Na.q": 3 }),
                     "B": (cell: "stg"),
                   },
                   edges: [(pre: "A", post: "B", kind: "fast", g: uS_per_mm2(10), parameters: { "E": -5 })])"#,
            ),
        ],
    );
    let scene = folder
        .read("scene.ron")
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(scene.cell_types.len(), 2);
    let a = &scene.cells[0];
    // 0.1 nA on 0.001 cm² and 30 nS on the same.
    assert!((a.current - 0.1).abs() < 1e-12);
    assert!((a.gbar[0] - 0.03).abs() < 1e-12);
    assert_eq!(scene.edges[0].g, Conductance::Density(1.0));
    assert_eq!(scene.edges[0].parameters, [("E".to_owned(), -5.0)]);
    assert_eq!(
        scene.cell_types[0].channels[0].1.reversal,
        Reversal::Fixed(55.0)
    );
}

#[test]
fn a_base_scene_gives_defaults() {
    let base = r#"Scene(format: 1, about: "base", duration_ms: 500, step_ms: 0.05, seed: 7,
        cells: {
            "A": (cell: "stg", gbar: { "Na": 100 }),
            "B": (like: "A"),
        },
        groups: { "all_of_them": ["A", "B"] },
        edges: [(pre: "A", post: "B", kind: "gap", g: 0.1)],
        windows: [(label: "w", from_ms: 0, to_ms: 100)])"#;
    let over = r#"Scene(format: 1, include: ["base.ron"], duration_ms: 100,
        cells: {
            "C": (like: "A", gbar: { "Kd": 9 }),
            "A": (gbar: { "Kd": 5 }),
        },
        edges: [])"#;
    let folder = Folder::new("base", &[("base.ron", base), ("scene.ron", over)]);
    let scene = folder
        .read("scene.ron")
        .unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<&str> = scene.cells.iter().map(|cell| &*cell.name).collect();
    assert_eq!(names, ["A", "B", "C"]);
    let kd: Vec<f64> = scene.cells.iter().map(|cell| cell.gbar[5]).collect();
    // B is like A as the base says it; C is like A as this scene has it.
    assert_eq!(kd, [5.0, 0.0, 9.0]);
    assert!(scene.cells.iter().all(|cell| cell.gbar[0] == 100.0));
    assert_eq!(
        (scene.duration_ms, scene.seed, scene.about.as_str()),
        (100.0, 7, "base")
    );
    assert_eq!(
        (scene.edges.len(), scene.windows.len(), scene.groups.len()),
        (0, 1, 1)
    );
}

#[test]
fn includes_that_cannot_be_are_refused() {
    let scene = |include: &str| {
        format!(
            "Scene(format: 1, include: [{include}], duration_ms: 1, step_ms: 0.1, cells: {{ \"A\": (cell: \"stg\") }})"
        )
    };
    let channel = r#"Channel(format: 1, name: "x", reversal: 0)"#;
    let folder = Folder::new(
        "refused",
        &[
            ("missing.ron", &scene("\"nothere.ron\", \"stgg\"")),
            ("round.ron", &scene("\"round2.ron\"")),
            ("round2.ron", &scene("\"round.ron\"")),
            ("two.ron", &scene("\"half_centre\", \"stg_cell\"")),
            ("twice.ron", &scene("\"x.ron\", \"y.ron\"")),
            ("x.ron", channel),
            ("y.ron", channel),
            ("bad.ron", &scene("\"broken.ron\"")),
            (
                "broken.ron",
                "Channel(format: 1, name: \"z\", reversal: 0, gates: { \"m\": (power: 0) })",
            ),
            ("cell.ron", &scene("\"cell_with_scene.ron\"")),
            (
                "cell_with_scene.ron",
                r#"Cell(format: 1, name: "c", include: ["half_centre"], capacitance: 1, channels: { "leak": "leak" })"#,
            ),
        ],
    );
    assert_eq!(
        folder.messages("missing.ron"),
        "missing.ron: `nothere.ron` does not exist\nmissing.ron: nothing called `stgg` ships with Homarus"
    );
    assert_eq!(
        folder.messages("round.ron"),
        "round2.ron: includes go round in a circle"
    );
    assert_eq!(
        folder.messages("two.ron"),
        "two.ron: a scene has at most one base scene"
    );
    assert_eq!(
        folder.messages("twice.ron"),
        "y.ron: the channel `x` is defined twice"
    );
    assert_eq!(
        folder.messages("bad.ron"),
        "broken.ron: a gate needs `inf` and `tau`, or `alpha` and `beta`\n\
         broken.ron: expected a whole number from 1 to 7"
    );
    assert_eq!(
        folder.messages("cell.ron"),
        "cell_with_scene.ron: only a scene can include a scene"
    );
    assert!(
        folder
            .messages("x.ron")
            .contains("this file defines a channel")
    );
    assert!(folder.messages("nothere.ron").contains("does not exist"));
    let told = messages(r#"Scene(format: 1, include: ["a.ron"])"#);
    assert_eq!(told, "`a.ron` cannot be included");
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = Folder::new("bytes", &[]);
    fs::write(folder.0.join("bytes.ron"), b"Scene(\n\xff\xfe)").expect("a temporary file");
    assert!(
        folder
            .messages("bytes.ron")
            .contains("is not UTF-8 text: byte 0xff in line 2, column 1")
    );
    fs::create_dir_all(folder.0.join("folder.ron")).expect("a temporary folder");
    assert!(folder.messages("folder.ron").contains("folder"));
    let errors = read("half_center").expect_err("does not ship");
    assert_eq!(
        errors.errors()[0].help_text().as_deref(),
        Some("did you mean `half_centre`?")
    );
}

#[test]
fn lines_and_columns_are_right_whatever_ends_a_line() {
    let text = around("cells: {\n    \"Ω\": (cell: \"stg\"), \"µ\": (cell: \"nope\"),\n}");
    for text in [
        text.clone(),
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
        format!("\u{feff}{}", text.replace('\n', "\r\n")),
    ] {
        let errors = errors(&text);
        let [error] = errors.errors() else {
            panic!("{errors}")
        };
        assert_eq!((error.line(), error.column()), (Some(3), Some(37)));
        assert!(
            errors.render(false, 80).contains("[scene.ron:3:37]"),
            "{errors}"
        );
    }
    let syntax = errors("\u{feff}Scene(\r\n    format 1,\r\n)");
    assert_eq!(
        (syntax.errors()[0].line(), syntax.errors()[0].column()),
        (Some(2), Some(12))
    );
}

#[test]
fn a_syntax_error_is_reported_alone() {
    let errors = errors("Scene(format: 2, nonsense: 3, cells: { \"A\" (cell: 4) })");
    assert_eq!(errors.errors().len(), 1, "{errors}");
}

#[test]
fn errors_in_expressions_point_into_them() {
    for quoted in [r#""1 + @""#, r##"r#"1 + @"#"##] {
        let text = format!(
            "Channel(format: 1, name: \"x\", reversal: 0, gates: {{ \"m\": (power: 1, inf: {quoted}, tau: 1) }})"
        );
        let folder = Folder::new("expression", &[("x.ron", &text)]);
        let scene = r#"Scene(format: 1, include: ["x.ron"], duration_ms: 1, step_ms: 0.1, cells: { "A": (cell: "stg") })"#;
        let errors =
            read_text(scene, "scene.ron", Some(&folder.0)).expect_err("the channel is wrong");
        let place = errors.errors()[0].place().expect("has one");
        assert_eq!(place.text(), "@", "{errors}");
    }
}

#[test]
fn every_protocol_action_reads() {
    let scene = scene(&around(
        r#"cells: { "A": (cell: "stg", area_cm2: 0.001) },
        protocol: [
            (at_ms: 1, set: "A.Na.gbar", to: 3),
            (at_ms: ms(2), scale: "A.Na.gbar", by: 0.5),
            (at_ms: s(0.003), ramp: "A.Na.gbar", to: 3, over_ms: 10),
            (at_ms: 4, block: "A.Na", by: 1, controller_sees: false),
            (at_ms: 5, cut: "A"),
            (at_ms: 6, restore: "A"),
            (at_ms: 7, current: "A", amplitude: pA(100), for_ms: 5),
            (at_ms: 8, overwrite: "A", gbar: { "Na": 4 }, mrna: true),
            (at_ms: 9, reset: "A", V: -70, Ca: 0.5),
        ]"#,
    ));
    let times: Vec<f64> = scene.protocol.iter().map(|entry| entry.at_ms).collect();
    assert_eq!(times, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    assert!(
        scene
            .protocol
            .iter()
            .all(|entry| entry.action.path().starts_with('A'))
    );
    let Action::Current { amplitude, .. } = &scene.protocol[6].action else {
        panic!("a current")
    };
    assert_eq!(*amplitude, Current::Absolute(0.1));
}

#[test]
fn regulators_have_the_published_defaults() {
    let scene = scene(&around(
        r#"cells: { "A": (cell: "stg", gbar: { "Na": 4000 },
            homeostat: (channels: ["leak", "Na"], Ca_target: 125),
            controller: (channels: ["H", "CaS"], g_s: -8, g_u: 4, on: false)) }"#,
    ));
    let homeostat = scene.cells[0].homeostat.as_ref().expect("has one");
    assert_eq!(
        (
            homeostat.settings.tau_g,
            homeostat.settings.tau_na,
            homeostat.on
        ),
        (100.0, 600.0, true)
    );
    assert_eq!(homeostat.channels, [0, 7]);
    let controller = scene.cells[0].controller.as_ref().expect("has one");
    assert_eq!(
        (
            controller.gains.kp,
            controller.gains.ki,
            controller.gains.kt
        ),
        (3e-4, 5e-6, 5e-3 / 5e-6)
    );
    assert_eq!(
        (
            controller.gains.alpha,
            controller.gains.beta,
            controller.gains.u_max
        ),
        (5e-3, 5e-3, 1e7)
    );
    assert_eq!((controller.channels, controller.on), ([6, 2], false));
}

#[test]
fn edges_are_held_against_the_areas_of_their_cells() {
    let told = messages(&around(
        r#"cells: { "A": (cell: "stg", area_cm2: 1e-3), "B": (cell: "stg", area_cm2: 2e-3), "C": (cell: "stg") },
        edges: [
            (pre: "A", post: "B", kind: "gap", g: 0.1),
            (pre: "A", post: "B", kind: "gap", g: nS(1), name: "x"),
            (pre: "C", post: "C", kind: "tanh", g: nS(1)),
            (pre: "A", post: "A", kind: "tanh", g: nS(1)),
            (pre: "A", post: "C", kind: "gap", g: nS(1)),
        ]"#,
    ));
    assert_eq!(
        told,
        "a gap junction between cells of unequal area must be absolute\n\
         this edge joins the same cells by the same kind\n\
         an absolute value needs the area of `C`\n\
         an absolute value needs the area of `C`"
    );
}

#[test]
fn rhythms_name_cells_and_groups() {
    let cells = r#"cells: { "A": (cell: "stg"), "B": (like: "A"), "C": (like: "A") }, groups: { "two": ["A", "B"] },"#;
    let scene = scene(&around(&format!(
        "{cells} rhythms: [(name: \"r\", cells: [\"C\", \"two\"], reference: \"A\", order: [\"A\", \"C\", \"B\"])]"
    )));
    let rhythm = &scene.rhythms[0];
    assert_eq!(
        (rhythm.cells.as_slice(), rhythm.reference),
        ([2, 0, 1].as_slice(), 0)
    );
    assert_eq!(rhythm.order.as_deref(), Some([0, 2, 1].as_slice()));
    let told = messages(&around(&format!(
        "{cells} rhythms: [(name: \"r\", cells: [\"two\"], reference: \"C\"), (name: \"r\", cells: [\"A\", \"A\"])]"
    )));
    assert_eq!(
        told,
        "`C` is not in this rhythm\nthe rhythm `r` is given twice\n`A` is listed twice"
    );
}

#[test]
fn all_of_ron_is_understood() {
    let scene = scene(
        "/* a /* nested */ comment */ Scene // and another\n(\nr#format: 1, duration_ms: Some(1e3), step_ms: +5e-2,\n\
         seed: 0x10, about: r#\"say \"hi\"\"#, source: \"tab\\t\\u{b5}\",\n\
         cells: { \"A\" : ( cell /* type */ : \"stg\", homeostat: None, ), },)  // end",
    );
    assert_eq!((scene.duration_ms, scene.step_ms), (1000.0, 0.05));
    assert_eq!(
        (scene.about.as_str(), scene.source.as_str()),
        ("say \"hi\"", "tab\tµ")
    );
}

#[test]
fn odd_values_are_refused_one_by_one() {
    let wrong = [
        ("cells: {}", "a scene needs at least one cell"),
        ("cells: []", "expected a map `{…}`"),
        ("cells: { A: (cell: \"stg\") }", "expected a name in quotes"),
        ("cells: { \"A\": \"stg\" }", "expected a cell `(field: …)`"),
        ("cells: { \"A\": (cell: stg) }", "expected a text in quotes"),
        (
            "cells: { \"A\": (cell: \"stg\", start: (V: -inf)) }",
            "`-inf` is not allowed here",
        ),
        (
            "cells: { \"A\": (cell: \"stg\", start: (gates: { \"Na.m\": 2 })) }",
            "expected a number from 0 to 1",
        ),
        (
            "cells: { \"A\": (cell: \"stg\", start: (gates: { \"Na\": 1 })) }",
            "expected `CHANNEL.GATE`",
        ),
        ("cells: { \"A\": (cell: 'x') }", "expected a text in quotes"),
        (
            "cells: { \"A\": (cell: \"stg\") }, seed: 1.5",
            "expected a whole number, 0 or more",
        ),
        (
            "cells: { \"A\": (cell: \"stg\") }, control_ms: 0.01",
            "the step is longer than the control interval",
        ),
        (
            "cells: { \"A\": (cell: \"stg\") }, rearm_mV: 20",
            "spikes are re-armed above their threshold",
        ),
        (
            "cells: { \"A\": (cell: \"stg\", homeostat: (channels: [\"Na\"], Ca_target: 1)) }",
            "homeostasis needs a conductance of `Na` above 0",
        ),
        (
            "cells: { \"A\": (cell: \"stg\", controller: (channels: [\"Na\"], g_s: 1, g_u: 1)) }",
            "expected two channels",
        ),
        // A missing field whose name is near to that of a field which is given.
        (
            "cells: { \"A\": (cell: \"stg\", controller: (channels: [\"Na\", \"A\"], g_u: 1)) }",
            "a controller needs `g_s`",
        ),
    ];
    for (fields, told) in wrong {
        assert_eq!(messages(&around(fields)), told, "{fields}");
    }
    assert_eq!(messages("Scene()").lines().count(), 4);
    assert_eq!(
        messages("Scene(format: 2, duration_ms: 1, step_ms: 0.1, cells: {\"A\": (cell: \"stg\")})"),
        "format 2 is not known"
    );
}

#[test]
fn truncated_files_are_refused_without_a_panic() {
    let texts = shipped()
        .into_iter()
        .filter(|file| ["half_centre", "five_neuron_cells"].contains(&file.name.as_str()));
    let mut count = 0;
    for file in texts {
        let end = file.text.trim_end().len();
        for cut in (0..end).filter(|&cut| file.text.is_char_boundary(cut)) {
            let errors = errors(&file.text[..cut]);
            assert!(errors.errors()[0].line().is_some());
            errors.render(false, 80);
            count += 1;
        }
    }
    assert!(count > 4000);
}

#[test]
fn damaged_files_never_panic_and_never_fail_silently() {
    let pieces = [
        "(", ")", "{", "}", "[", "]", ",", ":", "\"", "'", "/*", "//", "\\", "r#\"", "b\"", "-",
        "1e999", "None", "µ", "\0", "..", "x",
    ];
    // A linear congruential generator: the damage is the same in every run.
    let mut state = 544_u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    for _ in 0..4000 {
        let mut text = PAIR.to_owned();
        for _ in 0..=draw(3) {
            let from = text.floor_char_boundary(draw(text.len()));
            let to = text.ceil_char_boundary((from + draw(6)).min(text.len()));
            text.replace_range(from..to, pieces[draw(pieces.len())]);
        }
        if let Err(errors) = read_text(&text, "scene.ron", None) {
            assert!(!errors.is_empty(), "wrong without a reason:\n{text}");
            errors.render(false, 80);
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    for open in ["(", "[", "{\"a\":", "x(", "Some(", "(a:"] {
        let told = messages(&format!("Scene(cells: {})", open.repeat(20_000)));
        assert!(!told.is_empty());
        messages(&format!("Scene(cells: {}", open.repeat(100)));
    }
    messages(&"/*".repeat(100_000));
}
