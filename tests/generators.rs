//! Large networks from a few lines: populations, copied networks, generators of edges. Their
//! structure, that draws belong to a seed and a path alone, how their edges are named and changed,
//! and what is said of mistakes.

mod helpers;

use std::collections::{BTreeMap, BTreeSet};

use helpers::{Folder, network, run, scene_text, stg, value};
use homarus::scene::{Asked, Scene, Size, Source, memory, read_asked, read_text};
use homarus_systems::{
    address::Names, coupling::BulkEdges, math::exp, observe::Spikes, protocol::Protocol,
    schedule::Edges,
};

/// A scene of populations `E` (10 cells) and `I` (4 cells) with these generators, `more` after them.
fn text(generators: &str, more: &str) -> String {
    let cell = stg(0, -60.0);
    let cells = format!(
        "cells: {{ \"E\": (count: 10, {cell}), \"I\": (like: \"E\", count: 4) }},\n\
         generators: {{ {generators} }},\n{more}"
    );
    scene_text(20.0, 0.05, &cells)
}

#[track_caller]
fn read(text: &str) -> Scene {
    helpers::read(text)
}

/// Edges of the first generator of a scene: names of the cells and conductances.
fn edges(scene: &Scene) -> Vec<(String, String, f64)> {
    let simulation = network(scene);
    let world = &simulation.world;
    let entity = world.resource::<Edges>().bulk()[0];
    let edges = world.get::<BulkEdges>(entity).unwrap();
    let name = |cell: u32| scene.cells[cell as usize].name.to_string();
    let pairs = edges.pre().iter().zip(edges.post()).enumerate();
    pairs
        .map(|(k, (pre, post))| (name(*pre), name(*post), edges.g(k)))
        .collect()
}

fn pairs(scene: &Scene) -> Vec<(String, String)> {
    let edges = edges(scene).into_iter();
    edges.map(|(pre, post, _)| (pre, post)).collect()
}

fn strings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs.map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

/// What is told of a text, without the excerpt of a terminal.
fn told(text: &str, folder: Option<&Folder>) -> String {
    let path = folder.map(|folder| folder.path("").into());
    let path: Option<std::path::PathBuf> = path;
    match read_text(text, "scene.ron", path.as_deref()) {
        Ok(_) => panic!("the scene reads without an error\n{text}"),
        Err(errors) => errors.render(false, 120),
    }
}

#[track_caller]
fn assert_told(text: &str, expected: &[&str]) {
    let told = told(text, None);
    for part in expected {
        assert!(told.contains(part), "does not tell `{part}`:\n{told}");
    }
}

// ---------------------------------------------------------------------------------- populations

#[test]
fn a_population_is_numbered_from_0_and_its_cells_have_paths() {
    let scene = read(&text("", ""));
    assert_eq!(scene.cells.len(), 14);
    assert_eq!(&*scene.cells[9].name, "E[9]");
    assert_eq!(&*scene.cells[10].name, "I[0]");
    let simulation = network(&scene);
    let count = |path: &str| simulation.names().scalars(path).unwrap().len();
    assert_eq!(count("E[3].V"), 1);
    assert_eq!(count("E.Na.gbar"), 10);
    assert_eq!(count("I/*.V"), 4);
    assert_eq!(count("*.V"), 14);
    assert_eq!(count("E[*].Ca"), 10);
}

/// gbar (1 + u), u uniform in (-j, j): mean 1 and standard deviation j/sqrt(3) of the factor; V(0)
/// uniform in its range.
#[test]
fn jitter_and_start_voltages_have_the_spread_asked_for() {
    let cells = format!(
        "cells: {{ \"E\": (count: 2000, {}, jitter: {{ \"Na\": 0.1, \"leak\": 0 }}) }}",
        stg(0, -60.0).replace("V: -60", "V: Uniform(-70, -40)")
    );
    let simulation = network(&read(&scene_text(1.0, 0.05, &cells)));
    let values = |path: &str| -> Vec<f64> {
        let addresses = simulation.names().scalars(path).unwrap().into_iter();
        addresses
            .map(|a| homarus_systems::address::read(&simulation.world, a).unwrap())
            .collect()
    };
    let moments = |values: &[f64]| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt())
    };
    let na: Vec<f64> = values("E.Na.gbar").iter().map(|g| g / 3951.84).collect();
    let (mean, sd) = moments(&na);
    assert!(
        (mean - 1.0).abs() < 0.005 && (sd - 0.1 / 3f64.sqrt()).abs() < 0.003,
        "{mean} {sd}"
    );
    assert!(na.iter().all(|x| (0.9..1.1).contains(x)));
    let v = values("E.V");
    let (mean, sd) = moments(&v);
    assert!(
        (mean + 55.0).abs() < 0.8 && (sd - 30.0 / 12f64.sqrt()).abs() < 0.4,
        "{mean} {sd}"
    );
    assert!(v.iter().all(|v| (-70.0..-40.0).contains(v)));
    let leak: BTreeSet<u64> = values("E.leak.gbar").iter().map(|g| g.to_bits()).collect();
    assert_eq!(leak.len(), 1);
    let kd: BTreeSet<u64> = values("E.Kd.gbar").iter().map(|g| g.to_bits()).collect();
    assert_eq!(kd.len(), 1);
}

/// A cell's draw does not depend on what else is in the scene, only on the seed and its path.
#[test]
fn draws_belong_to_a_seed_and_a_path() {
    let scene = |before: &str, count: usize, seed: u64| {
        let cell = stg(0, -60.0);
        let cells = format!(
            "seed: {seed}, cells: {{ {before} \"E\": (count: {count}, {cell}, jitter: 0.1) }},\n\
             generators: {{ \"ee\": (rule: Random(in_degree: 2), pre: \"E\", post: \"E\", kind: \"tanh\", g: Uniform(0, 1)) }}"
        );
        read(&scene_text(1.0, 0.05, &cells))
    };
    let na = |scene: &Scene| value(&network(scene), "E[3].Na.gbar");
    let weight = |scene: &Scene| {
        let edges = edges(scene)
            .into_iter()
            .filter(|(_, post, _)| post == "E[3]");
        edges.collect::<Vec<_>>()
    };
    let small = scene("", 5, 1);
    let other = format!("\"A\": ({}),", stg(1, -50.0));
    assert_eq!(na(&small), na(&scene(&other, 7, 1)));
    assert_eq!(weight(&small), weight(&scene(&other, 5, 1)));
    assert_ne!(na(&small), na(&scene("", 5, 2)));
    assert_ne!(weight(&small), weight(&scene("", 5, 2)));
    // The seed may come later than the scene.
    let mut seeded = small.clone();
    seeded.seed = 2;
    assert_eq!(na(&seeded), na(&scene("", 5, 2)));
}

// ----------------------------------------------------------------------------------- generators

#[test]
fn a_ring_joins_each_to_the_next_and_the_last_to_the_first() {
    let scene = read(&text(
        r#""r": (rule: Ring, pre: "I", post: "I", kind: "tanh", g: 0.1)"#,
        "",
    ));
    let expected = [
        ("I[0]", "I[1]"),
        ("I[1]", "I[2]"),
        ("I[2]", "I[3]"),
        ("I[3]", "I[0]"),
    ];
    assert_eq!(pairs(&scene), strings(&expected));
}

#[test]
fn a_chain_and_one_to_one_go_through_their_sides_in_order() {
    let chain = read(&text(
        r#""c": (rule: Chain, pre: "I", post: "I", kind: "tanh", g: 0.1)"#,
        "",
    ));
    let expected = [("I[0]", "I[1]"), ("I[1]", "I[2]"), ("I[2]", "I[3]")];
    assert_eq!(pairs(&chain), strings(&expected));
    let groups = r#"groups: { "four": ["E[9]", "E[1]", "E[4]", "E[2]"] },"#;
    let one = r#""o": (rule: OneToOne, pre: "four", post: "I", kind: "tanh", g: 0.1)"#;
    let expected = [
        ("E[9]", "I[0]"),
        ("E[1]", "I[1]"),
        ("E[4]", "I[2]"),
        ("E[2]", "I[3]"),
    ];
    assert_eq!(pairs(&read(&text(one, groups))), strings(&expected));
}

#[test]
fn all_to_all_joins_no_cell_to_itself() {
    let between = read(&text(
        r#""a": (rule: AllToAll, pre: "E", post: "I", kind: "tanh", g: 0.1)"#,
        "",
    ));
    let found: BTreeSet<_> = pairs(&between).into_iter().collect();
    assert_eq!((found.len(), between.edge_count()), (40, 40));
    let within = read(&text(
        r#""a": (rule: AllToAll, pre: "I", post: "I", kind: "tanh", g: 0.1)"#,
        "",
    ));
    let found: BTreeSet<_> = pairs(&within).into_iter().collect();
    assert_eq!((found.len(), within.edge_count()), (12, 12));
    assert!(found.iter().all(|(pre, post)| pre != post));
}

#[test]
fn random_edges_have_the_in_degree_asked_for_no_cell_twice_and_none_itself() {
    for (pre, post, degree) in [("E", "E", 9), ("E", "E", 3), ("I", "E", 4), ("E", "I", 7)] {
        let rule = format!(
            "\"x\": (rule: Random(in_degree: {degree}), pre: \"{pre}\", post: \"{post}\", kind: \"tanh\", g: 0.1)"
        );
        let scene = read(&text(&rule, ""));
        let mut sources: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let pairs = pairs(&scene);
        for (a, b) in &pairs {
            assert_ne!(a, b);
            sources.entry(b.clone()).or_default().insert(a.clone());
        }
        assert_eq!(pairs.len(), scene.edge_count());
        assert!(sources.values().all(|s| s.len() == degree), "{sources:?}");
        assert_eq!(sources.len(), if post == "E" { 10 } else { 4 });
    }
}

/// The chance of each source is the same: 400 cells draw 10 of 399.
#[test]
fn random_edges_favour_nobody() {
    let cells = format!(
        "cells: {{ \"E\": (count: 400, {}) }},\n generators: {{ \"x\": (rule: Random(in_degree: 10), pre: \"E\", post: \"E\", kind: \"tanh\", g: 0.1) }}",
        stg(0, -60.0)
    );
    let scene = read(&scene_text(1.0, 0.05, &cells));
    let mut out: BTreeMap<String, usize> = BTreeMap::new();
    for (pre, _) in pairs(&scene) {
        *out.entry(pre).or_default() += 1;
    }
    // Binomial, mean 10, standard deviation 3.1.
    let degrees: Vec<usize> = out.values().copied().collect();
    assert!(degrees.iter().all(|d| (1..=26).contains(d)), "{degrees:?}");
    let variance = degrees
        .iter()
        .map(|d| (*d as f64 - 10.0).powi(2))
        .sum::<f64>()
        / 400.0;
    assert!((7.0..13.0).contains(&variance), "{variance}");
}

#[test]
fn weights_are_drawn_edge_by_edge() {
    let scene = read(&text(
        r#""x": (rule: AllToAll, pre: "E", post: "E", kind: "tanh", g: LogNormal(0.1, 0.5))"#,
        "",
    ));
    let g: BTreeSet<u64> = edges(&scene).iter().map(|(.., g)| g.to_bits()).collect();
    assert_eq!(g.len(), 90);
    let fixed = read(&text(
        r#""x": (rule: AllToAll, pre: "E", post: "E", kind: "tanh", g: 0.1)"#,
        "",
    ));
    assert!(edges(&fixed).iter().all(|(.., g)| *g == 0.1));
}

/// Edges in bulk are the same edges as those that are written one by one.
#[test]
fn generated_edges_run_to_the_bits_of_written_ones() {
    let bits = |scene: &Scene| {
        let simulation = run(scene);
        let state = scene
            .cells
            .iter()
            .map(|cell| value(&simulation, &format!("{}.V", cell.name)).to_bits());
        state.collect::<Vec<_>>()
    };
    for kind in ["tanh", "gap"] {
        let rule = format!(
            "\"x\": (rule: Random(in_degree: 3), pre: \"E\", post: \"I\", kind: \"{kind}\", g: Uniform(0.01, 0.1))"
        );
        let generated = read(&text(&rule, ""));
        let written: Vec<String> = edges(&generated)
            .into_iter()
            .map(|(pre, post, g)| {
                format!("(pre: \"{pre}\", post: \"{post}\", kind: \"{kind}\", g: {g:?})")
            })
            .collect();
        let written = read(&text("", &format!("edges: [{}]", written.join(", "))));
        assert_eq!(bits(&generated), bits(&written), "{kind}");
    }
}

// -------------------------------------------------------------------------------------- tables

#[test]
fn a_table_lists_edges_and_may_name_kinds() {
    let table = "# comment\npre, post, g, kind\nE[0],I[0],0.25,tanh\nE[1],I[0],0.5,gap\nI[0],E[0],0.125,tanh\n";
    let folder = Folder::new("table", &[("edges.csv", table)]);
    let scene = folder.read(&text(r#""t": (rule: Table("edges.csv"))"#, ""));
    assert_eq!(scene.edge_count(), 3);
    let simulation = network(&scene);
    assert_eq!(value(&simulation, "t:E[0]->I[0].g"), 0.25);
    assert_eq!(value(&simulation, "t:I[0]--E[1].g"), 0.5);
    // As resolved it needs no file beside it, and is the same scene.
    let again = read(&scene.text());
    assert_eq!(again.text(), scene.text());
    assert_eq!(again.hash(), scene.hash());
}

#[test]
fn mistakes_in_a_table_are_told_with_their_lines() {
    let table = "pre,post,g\nE[0],I[0],0.25\nE[0],I[4],0.5\nE[1],I[0],much\nE[1],I[1],-1\nE[0],I[0],1\nE[2],I[1]\n";
    let folder = Folder::new(
        "bad-table",
        &[("edges.csv", table), ("empty.csv", "pre,post,g\n")],
    );
    let told = |fields: &str| told(&text(&format!("\"t\": ({fields})"), ""), Some(&folder));
    let all = told(r#"rule: Table("edges.csv"), kind: "tanh""#);
    for part in [
        "there is no cell `I[4]`",
        "edges.csv:3:1",
        "`I` is a population of 4: its cells go from `I[0]` to `I[3]`",
        "edges.csv:4:1",
        "expected a number (mS/cm²) in column `g`",
        "found `much`",
        "edges.csv:5:1",
        "expected a number that is not negative",
        "edges.csv:6:1",
        "as line 2 does",
        "edges.csv:7:1",
        "this row has 2 columns",
    ] {
        assert!(all.contains(part), "does not tell `{part}`:\n{all}");
    }
    let told_of = |fields: &str, part: &str| {
        let told = told(fields);
        assert!(told.contains(part), "does not tell `{part}`:\n{told}");
    };
    told_of(
        r#"rule: Table("edges.csv")"#,
        "this table has no column `kind`",
    );
    told_of(
        r#"rule: Table("none.csv"), kind: "tanh""#,
        "`none.csv` does not exist",
    );
    told_of(
        r#"rule: Table("empty.csv"), kind: "tanh""#,
        "this table holds no edge",
    );
}

// ------------------------------------------------------------------------------ copied networks

const COPIES: &str = r#"networks: { "hc": (network: "half_centre", copies: 3, jitter: 0.02) },
    generators: { "chain": (rule: Chain, pre: "hc/A", post: "hc/B", kind: "tanh", g: 0.05) },
    groups: { "first": ["hc[0]"], "b": ["hc/B"] },"#;

#[test]
fn copies_of_a_network_are_addressed_and_joined() {
    let scene = read(&scene_text(20.0, 0.025, COPIES));
    let names: Vec<&str> = scene.cells.iter().map(|cell| &*cell.name).collect();
    assert_eq!(
        names,
        [
            "hc[0]/A", "hc[0]/B", "hc[1]/A", "hc[1]/B", "hc[2]/A", "hc[2]/B"
        ]
    );
    assert_eq!(scene.edge_count(), 3 * 2 + 2);
    assert_eq!(
        scene.groups,
        [
            ("first".to_owned(), vec![0, 1]),
            ("b".to_owned(), vec![1, 3, 5])
        ]
    );
    let simulation = network(&scene);
    assert_eq!(value(&simulation, "hc[1]/A->hc[1]/B.g"), 0.8);
    assert_eq!(value(&simulation, "chain:hc[1]/A->hc[2]/B.g"), 0.05);
    let count = |path: &str| simulation.names().scalars(path).unwrap().len();
    assert_eq!(count("hc/A.V"), 3);
    assert_eq!(count("hc[1].V"), 2);
    assert_eq!(count("hc[*]/B.Na.gbar"), 3);
    assert_eq!(count("*.V"), 6);
    assert_eq!(count("*->*.g"), 8);
    let na = |k: usize| value(&simulation, &format!("hc[{k}]/A.Na.gbar"));
    assert!(na(0) != na(1) && (na(0) / 3951.84 - 1.0).abs() < 0.021);
}

/// Without chain and jitter each copy is the network itself, to the bit.
#[test]
fn a_copy_runs_to_the_bits_of_its_network() {
    let copies = r#"networks: { "hc": (network: "half_centre", copies: 2) },"#;
    let copied = run(&read(&scene_text(300.0, 0.025, copies)));
    let alone = run(&read(&scene_text(
        300.0,
        0.025,
        r#"include: ["half_centre"], windows: []"#,
    )));
    for cell in ["A", "B"] {
        for scalar in ["V", "Ca"] {
            let expected = value(&alone, &format!("{cell}.{scalar}")).to_bits();
            for k in 0..2 {
                let path = format!("hc[{k}]/{cell}.{scalar}");
                assert_eq!(value(&copied, &path).to_bits(), expected, "{path}");
            }
        }
    }
}

/// These sizes and no tables.
fn sizes(sizes: &[Size]) -> Asked {
    Asked {
        sizes: sizes.to_vec(),
        ..Asked::default()
    }
}

#[test]
fn sizes_are_asked_for_from_outside() {
    let size = |name: &str, field: &str, number| Size {
        name: name.to_owned(),
        field: field.to_owned(),
        number,
        origin: homarus::scene::Place::new(&Source::new("here", "x"), 0..1),
    };
    let scene = read_asked("five_neuron_copies", &sizes(&[size("cpg", "copies", 3)])).unwrap();
    assert_eq!((scene.cells.len(), scene.edge_count()), (15, 3 * 8 + 2));
    let told = |asked: &[Size]| {
        let errors = read_asked("five_neuron_copies", &sizes(asked)).unwrap_err();
        errors.render(false, 120)
    };
    assert!(told(&[size("cpg", "copies", 0)]).contains("a copied network needs at least one copy"));
    assert!(told(&[size("E", "count", 3)]).contains("there is no population `E`"));
}

// ------------------------------------------------------------------------------ many edges at once

/// Edges in bulk answer to the name of their generator, to globs and one by one; a change is one
/// event and needs no new rows.
#[test]
fn a_protocol_changes_many_edges_as_one() {
    let protocol = r#"protocol: [
        (at_ms: 1, scale: "ee.g", by: 0.5),
        (at_ms: 2, set: "ee:E[1]->E[0].g", to: 3),
        (at_ms: 3, cut: "ee:E[2]->*"),
        (at_ms: 4, cut: "ee"),
        (at_ms: 5, restore: "ee"),
        (at_ms: 6, ramp: "ie.g", to: 1, over_ms: 4),
        (at_ms: 12, set: "ie:I[0]->*.s", to: 0.25),
    ],"#;
    let scene = read(&text(
        r#""ee": (rule: AllToAll, pre: "E", post: "E", kind: "tanh", g: 0.1),
           "ie": (rule: AllToAll, pre: "I", post: "E", kind: "tanh", g: 0)"#,
        protocol,
    ));
    let simulation = run(&scene);
    assert_eq!(value(&simulation, "ee:E[3]->E[0].g"), 0.05);
    assert_eq!(value(&simulation, "ee:E[1]->E[0].g"), 3.0);
    assert_eq!(value(&simulation, "ie:I[3]->E[0].g"), 1.0);
    let events = &simulation.world.resource::<Protocol>().events;
    let told: Vec<(&str, &str)> = events.iter().map(|e| (e.what, e.path.as_str())).collect();
    let expected = [
        ("scale", "ee.g"),
        ("set", "ee:E[1]->E[0].g"),
        ("cut", "ee:E[2]->*"),
        ("cut", "ee"),
        ("restore", "ee"),
        ("ramp", "ie.g"),
        ("set", "ie:I[0]->*.s"),
    ];
    assert_eq!(told, expected);
}

/// What is cut does not act, and what is changed in place acts as if the scene had said it.
#[test]
fn weights_changed_in_place_act_as_if_they_were_written() {
    let scene = |g: f64, protocol: &str| {
        let rule =
            format!("\"x\": (rule: AllToAll, pre: \"E\", post: \"I\", kind: \"tanh\", g: {g})");
        let fields = format!(
            "protocol: [{protocol}], edges: [(pre: \"E[0]\", post: \"I[0]\", kind: \"tanh\", g: 0.5)],"
        );
        read(&text(&rule, &fields))
    };
    let bits = |scene: &Scene| {
        let simulation = run(scene);
        (0..4)
            .map(|k| value(&simulation, &format!("I[{k}].V")).to_bits())
            .collect::<Vec<_>>()
    };
    let scaled = bits(&scene(
        0.2,
        r#"(at_ms: 0, scale: "x.g", by: 0.5), (at_ms: 0, set: "x:*->I[0].g", to: 0.1)"#,
    ));
    assert_eq!(scaled, bits(&scene(0.1, "")));
    let cut = bits(&scene(0.2, r#"(at_ms: 0, cut: "x:*->*")"#));
    assert_eq!(cut, bits(&scene(0.0, "")));
    // In the middle of a run, too: what went before is the same, what comes after differs.
    let late = r#"(at_ms: 10, scale: "x.g", by: 5)"#;
    let one_by_one = r#"(at_ms: 10, scale: "x:E[0]->*.g", by: 5), (at_ms: 10, scale: "x:E[1]->*.g", by: 5),
        (at_ms: 10, scale: "x:E[2]->*.g", by: 5), (at_ms: 10, scale: "x:E[3]->*.g", by: 5), (at_ms: 10, scale: "x:E[4]->*.g", by: 5),
        (at_ms: 10, scale: "x:E[5]->*.g", by: 5), (at_ms: 10, scale: "x:E[6]->*.g", by: 5), (at_ms: 10, scale: "x:E[7]->*.g", by: 5),
        (at_ms: 10, scale: "x:E[8]->*.g", by: 5), (at_ms: 10, scale: "x:E[9]->*.g", by: 5)"#;
    assert_eq!(bits(&scene(0.1, late)), bits(&scene(0.1, one_by_one)));
    assert_ne!(bits(&scene(0.1, late)), bits(&scene(0.1, "")));
}

/// Every scalar of a scene with edges in bulk has a path that leads back to it.
#[test]
fn every_path_that_is_listed_is_found_again() {
    let copies = read(&scene_text(20.0, 0.025, COPIES));
    let random = read(&text(
        r#""x": (rule: Random(in_degree: 3), pre: "E", post: "E", kind: "tanh", g: 0.1)"#,
        r#"edges: [(pre: "E[0]", post: "I[0]", kind: "gap", g: 0.1)]"#,
    ));
    for scene in [copies, random] {
        let simulation = network(&scene);
        let names: &Names = simulation.names();
        for address in names.all() {
            let path = names.path(address);
            assert_eq!(names.scalars(&path), Ok(vec![address]), "{path}");
        }
    }
}

// ---------------------------------------------------------------------------- as resolved, refused

#[test]
fn a_resolved_scene_keeps_its_generators_and_runs_to_the_same_bits() {
    let scenes = [
        scene_text(20.0, 0.025, COPIES),
        text(
            r#""ee": (rule: Random(in_degree: 3), pre: "E", post: "E", kind: "tanh", g: Normal(0.1, 0.05), s: 0.25),
               "ie": (rule: OneToOne, pre: "I", post: "I", kind: "gap", g: 0)"#
                .replace("OneToOne", "Chain")
                .as_str(),
            r#"groups: { "few": ["E[1]", "I"] }"#,
        ),
    ];
    for text in scenes {
        let scene = read(&text);
        let again = read(&scene.text());
        assert_eq!(again.text(), scene.text());
        assert_eq!(again.hash(), scene.hash());
        let spikes = |scene: &Scene| run(scene).world.resource::<Spikes>().list.clone();
        assert_eq!(spikes(&again), spikes(&scene));
        assert!(scene.text().lines().count() < 400, "{}", scene.text());
    }
}

#[test]
fn mistakes_are_told_with_a_fix() {
    let random = |degree: &str| {
        text(
            &format!(
                "\"x\": (rule: Random(in_degree: {degree}), pre: \"E\", post: \"E\", kind: \"tanh\", g: 0.1)"
            ),
            "",
        )
    };
    assert_told(
        &random("10"),
        &[
            "an in-degree of 10 needs as many different cells in `pre`",
            "at most 9",
        ],
    );
    assert_told(&random("0"), &["expected a whole number from 1"]);
    let generator = |fields: &str| text(&format!("\"x\": ({fields})"), "");
    assert_told(
        &generator(r#"rule: Rng, pre: "E", post: "E", kind: "tanh", g: 0.1"#),
        &["expected one of `Ring`", "did you mean `Ring`?"],
    );
    assert_told(
        &generator(r#"rule: OneToOne, pre: "E", post: "I", kind: "tanh", g: 0.1"#),
        &[
            "this rule needs as many cells in `pre` as in `post`",
            "`E` has 10, `I` has 4",
        ],
    );
    assert_told(
        &generator(r#"rule: Ring, pre: "X", post: "I", kind: "tanh", g: 0.1"#),
        &["there is no cell `X`"],
    );
    assert_told(
        &generator(r#"rule: Ring, pre: "I", post: "I", kind: "tanh", g: Uniform(2, 1)"#),
        &["a range goes from the lower number to the higher"],
    );
    assert_told(
        &generator(r#"rule: Ring, pre: "I", post: "I", kind: "tanh""#),
        &["a generator needs `g`"],
    );
    assert_told(
        &text(
            r#""E": (rule: Ring, pre: "I", post: "I", kind: "tanh", g: 1)"#,
            "",
        ),
        &["`E` names a generator and something else"],
    );
    assert_told(
        &text(
            "",
            r#"edges: [(pre: "E", post: "I[0]", kind: "tanh", g: 1), (pre: "E[10]", post: "I[0]", kind: "tanh", g: 1)]"#,
        ),
        &[
            "there is no cell `E`",
            "there is no cell `E[10]`",
            "its cells go from `E[0]` to `E[9]`",
        ],
    );
    let cells = |fields: &str| {
        scene_text(
            1.0,
            0.05,
            &format!("cells: {{ \"E\": ({fields}, {}) }}", stg(0, -60.0)),
        )
    };
    assert_told(
        &cells("count: 0"),
        &["a population needs at least one cell", "`count` is 0"],
    );
    assert_told(&cells("count: -1"), &["expected a whole number, 0 or more"]);
    assert_told(
        &cells("jitter: 1"),
        &["this jitter would turn conductances negative"],
    );
    assert_told(
        &cells("count: 1_000_000_000_000"),
        &["these cells do not fit in memory"],
    );
    let network =
        |fields: &str| scene_text(1.0, 0.025, &format!("networks: {{ \"n\": ({fields}) }}"));
    assert_told(
        &network(r#"network: "half_centre""#),
        &["a copied network needs `copies`"],
    );
    assert_told(
        &network(r#"network: "half_centre", copies: 0"#),
        &["a copied network needs at least one copy"],
    );
    assert_told(
        &network(r#"network: "half_center", copies: 2"#),
        &["did you mean `half_centre`?"],
    );
    assert_told(
        &network(r#"network: "tanh", copies: 2"#),
        &["`tanh` is a synapse", "expected a network"],
    );
}

/// What refers to cells that are refused is not called unknown.
#[test]
fn a_refused_population_is_told_alone() {
    let generator = r#"generators: { "x": (rule: Ring, pre: "E", post: "E", kind: "tanh", g: 0.1) }, rhythms: [(name: "r", cells: ["E[3]"])]"#;
    let cells = |count: &str| {
        let cells = format!("cells: {{ \"E\": (count: {count}, {}) }},", stg(0, -60.0));
        scene_text(1.0, 0.05, &format!("{cells}\n{generator}"))
    };
    for count in ["0", "1e3", "1_000_000_000_000"] {
        let errors = read_text(&cells(count), "scene.ron", None).unwrap_err();
        assert_eq!(errors.errors().len(), 1, "{}", errors.render(false, 120));
    }
}

/// More edges than memory holds are refused before any of them is made.
#[test]
fn a_network_that_does_not_fit_is_refused_before_it_is_built() {
    let cells = format!(
        "cells: {{ \"E\": (count: 60_000, {}) }},\n generators: {{ \"all\": (rule: AllToAll, pre: \"E\", post: \"E\", kind: \"tanh\", g: 0.1) }}",
        stg(0, -60.0)
    );
    // 3.6e9 edges, 288 GB.
    let told = told(&scene_text(1.0, 0.05, &cells), None);
    assert!(
        told.contains("this network does not fit in memory"),
        "{told}"
    );
    assert!(told.contains("3599940000 edges in bulk"), "{told}");
    let scene = read(&text(
        r#""x": (rule: AllToAll, pre: "E", post: "E", kind: "tanh", g: 0.1)"#,
        "",
    ));
    assert!(memory::needed(&scene) > 0.0);
}

// ------------------------------------------------------------------------------ the shipped scene

/// A small one of the 100 000 cells: fast and slow cells burst at their own periods, as a population.
#[test]
fn the_copied_network_has_the_rhythms_of_its_cells() {
    let size = Size {
        name: "cpg".to_owned(),
        field: "copies".to_owned(),
        number: 41,
        origin: homarus::scene::Place::new(&Source::new("here", "x"), 0..1),
    };
    let mut scene = read_asked("five_neuron_copies", &sizes(&[size])).unwrap();
    scene.step_ms = 0.05;
    let summary = homarus::run::run(&scene).unwrap();
    let of = |name: &str| {
        let mut populations = summary.populations.iter();
        populations
            .find(|p| p.name == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    assert_eq!((of("cells").n, of("cpg/F1").n), (205, 41));
    let periods = [
        ("cpg/F1", 200.0..240.0),
        ("cpg/F2", 200.0..240.0),
        ("cpg/S2", 1300.0..1550.0),
    ];
    for (name, period) in periods {
        let cells = of(name);
        assert_eq!(cells.bursting, 41, "{name}: {cells:?}");
        assert!(
            period.contains(&cells.mean["period_ms"]),
            "{name}: {cells:?}"
        );
        assert!(cells.sd["period_ms"] > 0.0, "{name}: {cells:?}");
    }
    assert!((of("cpg/F1").mean["Na.gbar"] / 3951.84 - 1.0).abs() < 0.005);
    let text = serde_json::to_string(&summary.brief()).unwrap();
    assert!(text.len() < 20_000, "{}", text.len());
}

// ---------------------------------------------------------------------------------------- distance

/// A scene of a population `E` laid out as `layout` says, and a cell `X`.
fn laid_out(count: usize, layout: &str, generators: &str) -> String {
    let cell = stg(0, -60.0);
    let cells = format!(
        "seed: 1, cells: {{ \"E\": (count: {count}, layout: {layout}, {cell}), \"X\": (position: (5, 0, 0), {cell}) }},\n\
         generators: {{ {generators} }}"
    );
    scene_text(20.0, 0.05, &cells)
}

/// Distance (µm) of two cells.
fn distance(scene: &Scene, positions: &[Option<[f64; 3]>], a: &str, b: &str) -> f64 {
    let at = |name: &str| {
        let cell = scene.cells.iter().position(|cell| &*cell.name == name);
        positions[cell.unwrap()].unwrap()
    };
    let (a, b) = (at(a), at(b));
    let square = (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f64>();
    square.sqrt()
}

fn positions(scene: &Scene) -> Vec<Option<[f64; 3]>> {
    let positions = homarus::scene::space::positions(scene).into_iter();
    positions.map(|at| at.map(|at| at.to_array())).collect()
}

#[test]
fn layouts_say_where_cells_and_copies_stand() {
    let line = read(&laid_out(
        3,
        "Line(spacing_um: 10), position: (1, 2, 3)",
        "",
    ));
    assert_eq!(
        positions(&line),
        [
            [1.0, 2.0, 3.0],
            [11.0, 2.0, 3.0],
            [21.0, 2.0, 3.0],
            [5.0, 0.0, 0.0]
        ]
        .map(Some)
    );
    let grid = read(&laid_out(4, "Grid(columns: 3, spacing_um: 5)", ""));
    assert_eq!(positions(&grid)[3], Some([0.0, 5.0, 0.0]));
    let copies = r#"networks: { "hc": (network: "half_centre", copies: 2, position: (0, 1, 0), layout: Line(spacing_um: 100),
        cells: { "B": (position: (7, 0, 0)) }) }"#;
    let copies = read(&scene_text(1.0, 0.05, copies));
    assert_eq!(
        positions(&copies),
        [
            [0.0, 1.0, 0.0],
            [7.0, 1.0, 0.0],
            [100.0, 1.0, 0.0],
            [107.0, 1.0, 0.0]
        ]
        .map(Some)
    );
    assert_eq!(positions(&read(&copies.text())), positions(&copies));
}

/// A cell's place in a box is drawn for itself alone, uniformly.
#[test]
fn places_in_a_box_belong_to_a_seed_and_a_path() {
    let scene = read(&laid_out(2000, "Box(size_um: (300, 30, 0))", ""));
    let all = positions(&scene);
    let x: Vec<f64> = all[..2000].iter().map(|at| at.unwrap()[0]).collect();
    assert!(x.iter().all(|x| (0.0..300.0).contains(x)));
    // Standard error 300/sqrt(12)/sqrt(2000) = 1.9.
    let mean = x.iter().sum::<f64>() / 2000.0;
    assert!((mean - 150.0).abs() < 8.0, "{mean}");
    assert!(all[..2000].iter().all(|at| at.unwrap()[2] == 0.0));
    let fewer = read(&laid_out(7, "Box(size_um: (300, 30, 0))", ""));
    assert_eq!(positions(&fewer)[..7], all[..7]);
    let mut seeded = fewer.clone();
    seeded.seed = 2;
    assert_ne!(positions(&seeded)[..7], all[..7]);
}

/// Against every pair looked at one by one, in three dimensions.
#[test]
fn cells_within_a_radius_are_joined_and_no_others() {
    let rule = r#""w": (rule: Within(radius_um: 40), pre: "E", post: "E", kind: "tanh", g: "0.1*exp(-d/20)"),
        "x": (rule: Within(radius_um: 60), pre: "X", post: "E", kind: "tanh", g: 0.1)"#;
    let scene = read(&laid_out(
        200,
        "Box(size_um: (120, 120, 120)), position: (-60, -60, -60)",
        rule,
    ));
    let at = positions(&scene);
    let found: BTreeSet<(String, String)> = pairs(&scene).into_iter().collect();
    let mut expected = BTreeSet::new();
    for a in 0..200 {
        for b in 0..200 {
            let [a, b] = [a, b].map(|k| format!("E[{k}]"));
            if a != b && distance(&scene, &at, &a, &b) <= 40.0 {
                expected.insert((a, b));
            }
        }
    }
    assert!(expected.len() > 1000, "{}", expected.len());
    assert_eq!(found, expected);
    for (pre, post, g) in edges(&scene) {
        let d = distance(&scene, &at, &pre, &post);
        assert!(
            (g / (0.1 * exp(-d / 20.0)) - 1.0).abs() < 1e-12,
            "{pre} {post}"
        );
    }
    let from_x = (0..200).filter(|k| distance(&scene, &at, "X", &format!("E[{k}]")) <= 60.0);
    assert_eq!(scene.edge_count(), found.len() + from_x.count());
    let again = read(&scene.text());
    assert_eq!((again.text(), again.hash()), (scene.text(), scene.hash()));
    assert_eq!(edges(&again), edges(&scene));
}

/// Binomial with the probability at the distance, and a pair's draw is its own.
#[test]
fn a_probability_by_distance_is_that_of_the_pair() {
    let rule = |p: &str| {
        format!(
            "\"w\": (rule: Within(radius_um: 1000, p: \"{p}\"), pre: \"E\", post: \"E\", kind: \"tanh\", g: 0.1)"
        )
    };
    let gauss = "exp(-(d/100)^2/2)";
    let line = |count, p: &str| read(&laid_out(count, "Line(spacing_um: 50)", &rule(p)));
    let scene = line(2000, gauss);
    let pairs =
        |scene: &Scene| -> BTreeSet<(String, String)> { self::pairs(scene).into_iter().collect() };
    let found = pairs(&scene);
    for steps in [1, 2, 4] {
        let hits = (0..2000 - steps)
            .filter(|k| found.contains(&(format!("E[{k}]"), format!("E[{}]", k + steps))));
        let p = exp(-(0.5 * steps as f64).powi(2) / 2.0);
        let rate = hits.count() as f64 / (2000 - steps) as f64;
        // Four standard errors.
        assert!(
            (rate - p).abs() < 4.0 * (p * (1.0 - p) / 2000.0).sqrt(),
            "{steps}: {rate} {p}"
        );
    }
    let fewer = pairs(&line(50, gauss));
    let inside = |name: &String| (0..50).any(|k| *name == format!("E[{k}]"));
    let kept: BTreeSet<_> = found
        .iter()
        .filter(|(a, b)| inside(a) && inside(b))
        .cloned()
        .collect();
    assert_eq!(fewer, kept);
    // Certain and impossible.
    assert_eq!(
        line(50, "1").edge_count(),
        pairs(&line(50, "max(0, 1)")).len()
    );
    assert_eq!(line(50, "0").edge_count(), 0);
    run(&line(50, "0"));
}

/// 100 000 cells and three million edges are made in passing.
#[test]
fn a_rule_of_distance_serves_large_populations() {
    let rule = r#""w": (rule: Within(radius_um: 25), pre: "E", post: "E", kind: "tanh", g: 0.001)"#;
    let scene = read(&laid_out(
        100_000,
        "Grid(columns: 400, spacing_um: 10)",
        rule,
    ));
    // 20 grid points lie within 2.5 spacings; fewer at the rim.
    let edges = scene.edge_count();
    assert!((1_950_000..2_000_000).contains(&edges), "{edges}");
    let far = laid_out(200_000, "Line(spacing_um: 1)", &rule.replace("25", "1e9"));
    assert_told(
        &far,
        &[
            "this rule has too many pairs of cells to look at",
            "a smaller `radius_um`",
        ],
    );
}

#[test]
fn mistakes_of_distance_are_told_with_a_fix() {
    let within = |fields: &str, post: &str, g: &str| {
        format!(
            "\"w\": (rule: Within({fields}), pre: \"E\", post: \"{post}\", kind: \"tanh\", g: {g})"
        )
    };
    let line = |generators: &str| laid_out(3, "Line(spacing_um: 10)", generators);
    assert_told(
        &text(&within("radius_um: 5", "I", "0.1"), ""),
        &[
            "`E[0]` has no position",
            "give the cell a `position: (x, y, z)`",
        ],
    );
    assert_told(
        &text(
            r#""r": (rule: Ring, pre: "E", post: "E", kind: "tanh", g: "exp(-d)")"#,
            "",
        ),
        &["`E[0]` has no position"],
    );
    assert_told(
        &line(&within("radius_um: -5", "E", "0.1")),
        &["expected a number greater than 0", "found -5"],
    );
    assert_told(
        &line(&within("radius_um: NaN", "E", "0.1")),
        &["`NaN` is not allowed here"],
    );
    assert_told(
        &line(&within("radius: 5", "E", "0.1")),
        &["`Within` has no field `radius`", "known: `radius_um`, `p`"],
    );
    assert_told(
        &line(&within("radius_um: 50, p: \"2*exp(-d/100)\"", "E", "0.1")),
        &[
            "the probability is 1.809674836071919 at a distance of 10 µm",
            "`max(0, min(1, …))` keeps it there",
        ],
    );
    assert_told(
        &line(&within("radius_um: 50", "E", "\"1/(d - 10)\"")),
        &["the weight `g` is inf at a distance of 10 µm"],
    );
    assert_told(
        &line(&within("radius_um: 50", "E", "\"ln(0*d - 1)\"")),
        &["the weight `g` is NaN at a distance of 10 µm"],
    );
    assert_told(
        &line(&within("radius_um: 50", "E", "\"exp(-r)\"")),
        &["`r`"],
    );
    let layout = |layout: &str| laid_out(3, layout, "");
    assert_told(
        &layout("Line(spacing_um: 0)"),
        &["expected a number greater than 0"],
    );
    assert_told(
        &layout("Lines(spacing_um: 1)"),
        &["expected a layout", "did you mean `Line`?"],
    );
    assert_told(
        &layout("Line(5)"),
        &["expected a layout: `Line(spacing_um: 10)`"],
    );
    assert_told(
        &layout("Box(size_um: (1, 2))"),
        &["expected three numbers (µm)", "found 2"],
    );
    assert_told(
        &layout("Box(size_um: (1, 2, -3))"),
        &["expected a number that is not negative"],
    );
    assert_told(
        &scene_text(
            1.0,
            0.05,
            &format!(
                "cells: {{ \"A\": (layout: Line(spacing_um: 1), {}) }}",
                stg(0, -60.0)
            ),
        ),
        &["a single cell has no `layout`", "make it a population"],
    );
    assert_told(
        &scene_text(
            1.0,
            0.05,
            &format!(
                "cells: {{ \"A\": (position: (1, inf, 2), {}) }}",
                stg(0, -60.0)
            ),
        ),
        &["`inf` is not allowed here"],
    );
}
