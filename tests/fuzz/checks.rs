//! What must hold of any input. The fuzz targets and the tests of the kept inputs share it.

use std::fs;

use homarus::scene::{Diagnostics, Scene, lint, read_text, spawn};
use homarus_systems::kinetics::{
    Dual, Expression, Lanes, Number, ParseError, Program, Variable, Variables, eval_removable,
};

/// Reads a scene: it is right, or every error can be shown. Written down again it is the same
/// scene; a small one is built, judged and started as well. The text of a channel, synapse kind or
/// cell type is read as a file beside a scene.
pub fn scene(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = match definition_scene(&text) {
        Some(around) => beside(&text, around),
        None => read_text(&text, "fuzz.ron", None),
    };
    match read {
        Ok(scene) => {
            is_the_same_written_down(&scene);
            if is_small(&scene) {
                build(&scene);
            }
        }
        Err(errors) => show(&errors),
    }
}

fn is_the_same_written_down(scene: &Scene) {
    let text = scene.text();
    match read_text(&text, "fuzz.ron", None) {
        Ok(again) => assert_eq!(again.hash(), scene.hash(), "another scene:\n{text}"),
        Err(errors) => panic!("{errors}\n{text}"),
    }
}

fn build(scene: &Scene) {
    match spawn::spawn(scene) {
        Ok(mut simulation) => {
            if simulation.start().is_ok() {
                lint::lint(scene, &simulation).render(false, 80);
            }
        }
        Err(errors) => show(&errors),
    }
}

/// A scene that uses a definition called `mine` out of `mine.ron`.
fn definition_scene(text: &str) -> Option<&'static str> {
    [
        (
            "Channel",
            r#"Scene(format: 1, include: ["mine.ron", "cell.ron"], duration_ms: 1, step_ms: 0.1,
            cells: { "A": (cell: "around", gbar: { "X": 1, "leak": 1 }) })"#,
        ),
        (
            "Cell",
            r#"Scene(format: 1, include: ["mine.ron"], duration_ms: 1, step_ms: 0.1,
            cells: { "A": (cell: "mine") })"#,
        ),
        (
            "Synapse",
            r#"Scene(format: 1, include: ["mine.ron"], duration_ms: 1, step_ms: 0.1,
            cells: { "A": (cell: "stg"), "B": (like: "A") },
            edges: [(pre: "A", post: "B", kind: "mine", g: 0.1)])"#,
        ),
    ]
    .into_iter()
    .find_map(|(name, scene)| text.starts_with(name).then_some(scene))
}

/// A cell type around a channel `mine`.
const AROUND: &str = r#"Cell(format: 1, name: "around", capacitance: 1,
    channels: { "X": "mine", "leak": "leak" },
    calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94))"#;

/// Reads `scene` in a folder that holds `text` as `mine.ron`.
fn beside(text: &str, scene: &str) -> Result<Scene, Diagnostics> {
    let folder = std::env::temp_dir().join(format!("homarus-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    for (name, text) in [("cell.ron", AROUND), ("mine.ron", text)] {
        fs::write(folder.join(name), text).expect("a temporary file");
    }
    read_text(scene, "fuzz.ron", Some(&folder))
}

/// Whether the tables of a scene are built in no time.
fn is_small(scene: &Scene) -> bool {
    scene.cells.len() <= 8 && scene.edge_count() <= 16
}

/// Shows errors as a person sees them, on a terminal and in a file.
fn show(errors: &Diagnostics) {
    assert!(!errors.is_empty(), "wrong without a reason");
    for error in errors.errors() {
        assert!(!error.message().is_empty(), "an error without words");
        // The syntax was judged before, by another reader: the two must agree on what it is.
        assert_ne!(error.message(), "cannot read on from here");
    }
    assert!(!errors.render(true, 40).trim().is_empty());
    let plain = errors.render(false, 80);
    assert!(!plain.trim().is_empty());
    let obeyed = |c: char| c.is_control() && c != '\n';
    assert!(!plain.contains(obeyed), "a terminal would obey {plain:?}");
}

const VARIABLES: [Variable; 2] = [Variable::V, Variable::Ca];
const PARAMETERS: [&str; 2] = ["a", "tau"];
/// Voltages (mV) and calcium concentrations (µM) to evaluate at.
const POINTS: [(f64, f64); 5] = [
    (-61.3, 0.05),
    (-40.0, 125.0),
    (0.0, 0.0),
    (50.0, 3.0),
    (-120.0, -1.0),
];

/// Parses an expression: it is refused at a place within the text, or its `Display` is the same
/// expression, and all ways of evaluating it agree.
pub fn expression(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let expression = match Expression::parse(&text, &VARIABLES, &PARAMETERS) {
        Ok(expression) => expression,
        Err(error) => return within(&text, &error),
    };
    let written = expression.to_string();
    let again = Expression::parse(&written, &VARIABLES, &PARAMETERS)
        .unwrap_or_else(|error| panic!("`{text}` is written `{written}`: {error}"));
    let [first, second] = [&expression, &again].map(|e| {
        e.bind(&|name| Some(if name == "a" { 2.5 } else { -0.3 }))
            .compile()
            .expect("both parameters have a value")
    });
    for (v, ca) in POINTS {
        let at = Variables::membrane(v, ca);
        let value = first.eval(&at);
        same(value, second.eval(&at), &written);
        all_numbers_agree(&first, v, ca, value, &written);
        eval_removable(&first, v, |v| Variables::membrane(v, ca));
    }
    Expression::product(expression.factors()).to_string();
    expression.at(Variable::Ca, 1.0).is_constant();
}

/// The value on every other kind of number.
fn all_numbers_agree(program: &Program, v: f64, ca: f64, value: f64, written: &str) {
    let derivatives: Dual<2> = program.eval(&Variables::membrane(
        Dual::variable(v, 0),
        Dual::variable(ca, 1),
    ));
    same(value, derivatives.value, written);
    let lanes: Lanes = program.eval(&Variables::membrane(
        Lanes::constant(v),
        Lanes::constant(ca),
    ));
    for lane in lanes.0 {
        same(value, lane, written);
    }
}

/// The same bits, or both no number.
fn same(a: f64, b: f64, written: &str) {
    let alike = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    assert!(alike, "`{written}` is {a:e} and {b:e}");
}

fn within(text: &str, error: &ParseError) {
    assert!(!error.message.is_empty(), "an error without words");
    assert!(
        text.get(error.span.clone()).is_some(),
        "{:?} is no stretch of `{text}`: {error}",
        error.span
    );
}
