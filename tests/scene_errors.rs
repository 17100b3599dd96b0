//! What a person is told about a broken scene, word for word: place, excerpt with what was found and expected, and the
//! nearest thing that would be right.

use homarus::scene::read_text;

/// Holds what is said about `scene` against `expected`.
#[track_caller]
fn assert_told(scene: &str, expected: &str) {
    let told = match read_text(scene, "scene.ron", None) {
        Ok(_) => panic!("the scene reads without an error"),
        Err(errors) => errors.render(false, 80),
    };
    let told: Vec<&str> = told.lines().map(str::trim_end).collect();
    let expected: Vec<&str> = expected.trim_matches('\n').lines().collect();
    assert_eq!(told, expected, "\n{}", told.join("\n"));
}

/// A missing comma, reported alone.
#[test]
fn missing_comma() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (cell: "stg"
        "B": (cell: "stg"),
    },
)
"#,
        r#"
  × expected a comma or a closing `)`
   ╭─[scene.ron:7:9]
 5 │     cells: {
 6 │         "A": (cell: "stg"
   ·              ┬
   ·              ╰── opened here
 7 │         "B": (cell: "stg"),
   ·         ┬
   ·         ╰── found `"B"`
 8 │     },
   ╰────
"#,
    );
}

/// A file that ends too early.
#[test]
fn unclosed_bracket() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (cell: "stg"),
"#,
        r#"
  × the file ends before this bracket is closed
   ╭─[scene.ron:5:12]
 4 │     step_ms: 0.05,
 5 │     cells: {
   ·            ┬
   ·            ╰── never closed
 6 │         "A": (cell: "stg"),
   ╰────
"#,
    );
}

/// A text without its closing quote.
#[test]
fn text_without_end() {
    assert_told(
        r#"Scene(
    format: 1,
    about: "two cells,
    duration_ms: 1_000,
    cells: { "A": (cell: "stg") },
)
"#,
        r#"
  × expected a comma or a closing `)`
   ╭─[scene.ron:5:15]
 1 │ Scene(
   ·      ┬
   ·      ╰── opened here
 2 │     format: 1,
 3 │     about: "two cells,
 4 │     duration_ms: 1_000,
 5 │     cells: { "A": (cell: "stg") },
   ·               ┬
   ·               ╰── found `A`
 6 │ )
   ╰────
  help: the text that begins in line 3 goes on over several lines; is its
        closing quote missing?
"#,
    );
}

/// A misspelt field, reported once.
#[test]
fn misspelt_field() {
    assert_told(
        r#"Scene(
    format: 1,
    duratoin_ms: 1_000,
    step_ms: 0.05,
    cells: { "A": (cell: "stg") },
)
"#,
        r#"
  × a scene has no field `duratoin_ms`
   ╭─[scene.ron:3:5]
 2 │     format: 1,
 3 │     duratoin_ms: 1_000,
   ·     ─────┬─────
   ·          ╰── unknown field
 4 │     step_ms: 0.05,
   ╰────
  help: did you mean `duration_ms`?
"#,
    );
}

/// Missing fields.
#[test]
fn missing_field() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    cells: { "A": () },
)
"#,
        r#"
  × a scene needs `step_ms`
   ╭─[scene.ron:1:1]
 1 │ Scene(
   · ──┬──
   ·   ╰── `step_ms` is missing
 2 │     format: 1,
   ╰────

  × a cell needs `cell`
   ╭─[scene.ron:4:19]
 3 │     duration_ms: 1_000,
 4 │     cells: { "A": () },
   ·                   ┬
   ·                   ╰── `cell` is missing
 5 │ )
   ╰────

2 errors
"#,
    );
}

/// Settings and fields that do not exist.
#[test]
fn unknown_word() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    integrator: "euler",
    negative_conductance: "clmp",
    seed: -1,
    cells: { "A": (cell: "stg", colour: "red") },
)
"#,
        r#"
  × expected one of `exponential`, `accurate`, `reference`
   ╭─[scene.ron:5:17]
 4 │     step_ms: 0.05,
 5 │     integrator: "euler",
   ·                 ───┬───
   ·                    ╰── found `euler`
 6 │     negative_conductance: "clmp",
   ╰────

  × expected one of `allow`, `rectify_current`, `clamp`
   ╭─[scene.ron:6:27]
 5 │     integrator: "euler",
 6 │     negative_conductance: "clmp",
   ·                           ───┬──
   ·                              ╰── found `clmp`
 7 │     seed: -1,
   ╰────
  help: did you mean `clamp`?

  × expected a whole number, 0 or more
   ╭─[scene.ron:7:11]
 6 │     negative_conductance: "clmp",
 7 │     seed: -1,
   ·           ─┬
   ·            ╰── found the number -1
 8 │     cells: { "A": (cell: "stg", colour: "red") },
   ╰────

  × a cell has no field `colour`
   ╭─[scene.ron:8:33]
 7 │     seed: -1,
 8 │     cells: { "A": (cell: "stg", colour: "red") },
   ·                                 ───┬──
   ·                                    ╰── unknown field
 9 │ )
   ╰────
  help: known: `like`, `cell`, `count`, `jitter`, `parameters`, `gbar`, `I`,
        `start`, `homeostat`, `controller`, `draws`, `compensate` and 6 more

4 errors
"#,
    );
}

/// A cell given twice.
#[test]
fn duplicate_cell() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (cell: "stg"),
        "A": (cell: "stg", gbar: { "Na": 100 }),
    },
)
"#,
        r#"
  × the name `A` is given twice
   ╭─[scene.ron:7:9]
 5 │     cells: {
 6 │         "A": (cell: "stg"),
   ·         ─┬─
   ·          ╰── first here
 7 │         "A": (cell: "stg", gbar: { "Na": 100 }),
   ·         ─┬─
   ·          ╰── again here
 8 │     },
   ╰────
  help: remove one of the two
"#,
    );
}

/// Names that nothing has.
#[test]
fn unknown_names() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (cell: "stg", gbar: { "Cas": 8 }, parameters: { "KCa.tn": 2 }),
        "B": (cell: "gm"),
    },
    edges: [
        (pre: "A", post: "BB", kind: "tahn", g: 0.8),
    ],
)
"#,
        r#"
  × cell type `stg` has no channel `Cas`
   ╭─[scene.ron:6:36]
 5 │     cells: {
 6 │         "A": (cell: "stg", gbar: { "Cas": 8 }, parameters: { "KCa.tn": 2 }),
   ·                                    ──┬──
   ·                                      ╰── unknown channel
 7 │         "B": (cell: "gm"),
   ╰────
  help: did you mean `CaS`?

  × channel `KCa` has no parameter `tn`
   ╭─[scene.ron:6:62]
 5 │     cells: {
 6 │         "A": (cell: "stg", gbar: { "Cas": 8 }, parameters: { "KCa.tn": 2 }),
   ·                                                              ────┬───
   ·                                                                  ╰── unknown parameter
 7 │         "B": (cell: "gm"),
   ╰────
  help: did you mean `tm`?

  × there is no cell type `gm`
   ╭─[scene.ron:7:21]
 6 │         "A": (cell: "stg", gbar: { "Cas": 8 }, parameters: { "KCa.tn": 2 }),
 7 │         "B": (cell: "gm"),
   ·                     ──┬─
   ·                       ╰── unknown cell type
 8 │     },
   ╰────
  help: known: `da`, `prinz`, `stg`
        a cell type of your own is a file that the scene includes

  × there is no cell `BB`
    ╭─[scene.ron:10:26]
  9 │     edges: [
 10 │         (pre: "A", post: "BB", kind: "tahn", g: 0.8),
    ·                          ──┬─
    ·                            ╰── unknown cell
 11 │     ],
    ╰────
  help: did you mean `B`?

  × there is no synapse kind `tahn`
    ╭─[scene.ron:10:38]
  9 │     edges: [
 10 │         (pre: "A", post: "BB", kind: "tahn", g: 0.8),
    ·                                      ───┬──
    ·                                         ╰── unknown synapse kind
 11 │     ],
    ╰────
  help: did you mean `tanh`?

5 errors
"#,
    );
}

/// Names that are not allowed.
#[test]
fn names() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "L-P": (cell: "stg"),
        "slow": (cell: "stg"),
    },
    groups: { "slow": ["slow"] },
)
"#,
        r#"
  × `L-P` cannot be the name of a cell
   ╭─[scene.ron:6:9]
 5 │     cells: {
 6 │         "L-P": (cell: "stg"),
   ·         ──┬──
   ·           ╰── contains `-`
 7 │         "slow": (cell: "stg"),
   ╰────
  help: names are made of letters, digits and `_`

  × `slow` names a cell and a group
    ╭─[scene.ron:9:15]
  6 │         "L-P": (cell: "stg"),
  7 │         "slow": (cell: "stg"),
    ·         ───┬──
    ·            ╰── the cell
  8 │     },
  9 │     groups: { "slow": ["slow"] },
    ·               ───┬──
    ·                  ╰── the group
 10 │ )
    ╰────
  help: a path could mean either; rename one of them

2 errors
"#,
    );
}

/// Numbers that make no sense.
#[test]
fn bad_numbers() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: inf,
    step_ms: 0,
    cells: {
        "A": (cell: "stg", gbar: { "Na": -100, "Kd": "120", "H": 1e400 }),
    },
)
"#,
        r#"
  × `inf` is not allowed here
   ╭─[scene.ron:3:18]
 2 │     format: 1,
 3 │     duration_ms: inf,
   ·                  ─┬─
   ·                   ╰── expected a finite number
 4 │     step_ms: 0,
   ╰────
  help: a run that starts from infinity or NaN holds nothing else

  × expected a number greater than 0
   ╭─[scene.ron:4:14]
 3 │     duration_ms: inf,
 4 │     step_ms: 0,
   ·              ┬
   ·              ╰── found 0
 5 │     cells: {
   ╰────
  help: time would stand still

  × expected a number that is not negative
   ╭─[scene.ron:6:42]
 5 │     cells: {
 6 │         "A": (cell: "stg", gbar: { "Na": -100, "Kd": "120", "H": 1e400 }),
   ·                                          ──┬─
   ·                                            ╰── found -100
 7 │     },
   ╰────
  help: a conductance below zero would drive the voltage away from its
        reversal potential
        `negative_conductance: "allow"` in the scene lets it

  × expected a number
   ╭─[scene.ron:6:54]
 5 │     cells: {
 6 │         "A": (cell: "stg", gbar: { "Na": -100, "Kd": "120", "H": 1e400 }),
   ·                                                      ──┬──
   ·                                                        ╰── found a text in quotes
 7 │     },
   ╰────
  help: numbers are written without quotes

  × this number is too large
   ╭─[scene.ron:6:66]
 5 │     cells: {
 6 │         "A": (cell: "stg", gbar: { "Na": -100, "Kd": "120", "H": 1e400 }),
   ·                                                                  ──┬──
   ·                                                                    ╰── more than about 1.8e308
 7 │     },
   ╰────
  help: every number of a scene is finite

5 errors
"#,
    );
}

/// Units that do not fit.
#[test]
fn units() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (cell: "stg", I: nA(0.1)),
        "B": (cell: "stg", area_cm2: 0.0006),
        "C": (like: "B", area_cm2: 0.0012),
    },
    edges: [
        (pre: "B", post: "C", kind: "gap", g: 0.05),
        (pre: "A", post: "B", kind: "tanh", g: Siemens(1)),
    ],
)
"#,
        r#"
  × an absolute value needs the area of the cell
   ╭─[scene.ron:6:31]
 5 │     cells: {
 6 │         "A": (cell: "stg", I: nA(0.1)),
   ·                               ───┬───
   ·                                  ╰── absolute
 7 │         "B": (cell: "stg", area_cm2: 0.0006),
   ╰────
  help: give the cell `area_cm2`, or write the value per area

  × a gap junction between cells of unequal area must be absolute
    ╭─[scene.ron:11:47]
 10 │     edges: [
 11 │         (pre: "B", post: "C", kind: "gap", g: 0.05),
    ·                                               ──┬─
    ·                                                 ╰── per area
 12 │         (pre: "A", post: "B", kind: "tanh", g: Siemens(1)),
    ╰────
  help: `B` has 0.0006 cm², `C` has 0.0012 cm²; write it as in `g: nS(1)`

  × `Siemens` is not a unit here
    ╭─[scene.ron:12:48]
 11 │         (pre: "B", post: "C", kind: "gap", g: 0.05),
 12 │         (pre: "A", post: "B", kind: "tanh", g: Siemens(1)),
    ·                                                ───┬───
    ·                                                   ╰── unknown unit
 13 │     ],
    ╰────
  help: known: `mS_per_cm2`, `uS_per_mm2`, `S_per_cm2`, `nS`, `pS`, `uS`, `mS`

3 errors
"#,
    );
}

/// Edges that cannot be.
#[test]
fn self_gap() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (cell: "stg"),
        "B": (like: "A"),
    },
    edges: [
        (pre: "A", post: "A", kind: "gap", g: 0.1),
        (pre: "A", post: "B", kind: "tanh", g: 0.8),
        (pre: "A", post: "B", kind: "tanh", g: 0.4),
    ],
)
"#,
        r#"
  × `A` cannot have a gap junction with itself
    ╭─[scene.ron:10:9]
  9 │     edges: [
 10 │         (pre: "A", post: "A", kind: "gap", g: 0.1),
    ·         ┬
    ·         ╰── pre and post are the same cell
 11 │         (pre: "A", post: "B", kind: "tanh", g: 0.8),
    ╰────
  help: no current would flow; only chemical synapses may join a cell to
        itself

  × this edge joins the same cells by the same kind
    ╭─[scene.ron:12:9]
 10 │         (pre: "A", post: "A", kind: "gap", g: 0.1),
 11 │         (pre: "A", post: "B", kind: "tanh", g: 0.8),
    ·         ┬
    ·         ╰── first here
 12 │         (pre: "A", post: "B", kind: "tanh", g: 0.4),
    ·         ┬
    ·         ╰── again here
 13 │     ],
    ╰────
  help: give each of them a `name` of its own, or one the sum of their `g`

2 errors
"#,
    );
}

/// Copies in a circle.
#[test]
fn like_cycle() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (like: "C"),
        "B": (like: "A"),
        "C": (like: "B"),
    },
)
"#,
        r#"
  × `like` goes round in a circle
   ╭─[scene.ron:7:21]
 6 │         "A": (like: "C"),
 7 │         "B": (like: "A"),
   ·                     ─┬─
   ·                      ╰── closes the circle
 8 │         "C": (like: "B"),
   ╰────
  help: A is like C is like B is like A
"#,
    );
}

/// A channel with two regulators.
#[test]
fn regulated_twice() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (
            cell: "stg",
            gbar: { "Na": 4000 },
            homeostat: (channels: ["Na", "A"], Ca_target: 125),
            controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4),
        ),
    },
)
"#,
        r#"
  × `A` is regulated by homeostasis already
    ╭─[scene.ron:10:44]
  9 │             homeostat: (channels: ["Na", "A"], Ca_target: 125),
 10 │             controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4),
    ·                                            ─┬─
    ·                                             ╰── regulated twice
 11 │         ),
    ╰────
  help: take it out of the `channels` of one of the two
"#,
    );
}

/// Protocol entries.
#[test]
fn protocol() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (cell: "stg"),
        "B": (like: "A"),
    },
    protocol: [
        (at_ms: 2_000, cut: "A->B"),
        (at_ms: 100, set: "A.Na.gbar", by: 2),
        (at_ms: 100, cut: "A->B", restore: "B->A"),
        (at_ms: 100),
    ],
)
"#,
        r#"
  × this comes after the run
    ╭─[scene.ron:10:17]
  9 │     protocol: [
 10 │         (at_ms: 2_000, cut: "A->B"),
    ·                 ──┬──
    ·                   ╰── 2000 ms
 11 │         (at_ms: 100, set: "A.Na.gbar", by: 2),
    ╰────
  help: the run ends at 1000 ms, its `duration_ms`

  × `set` needs `to`
    ╭─[scene.ron:11:9]
 10 │         (at_ms: 2_000, cut: "A->B"),
 11 │         (at_ms: 100, set: "A.Na.gbar", by: 2),
    ·         ┬
    ·         ╰── `to` is missing
 12 │         (at_ms: 100, cut: "A->B", restore: "B->A"),
    ╰────

  × `set` has no field `by`
    ╭─[scene.ron:11:40]
 10 │         (at_ms: 2_000, cut: "A->B"),
 11 │         (at_ms: 100, set: "A.Na.gbar", by: 2),
    ·                                        ─┬
    ·                                         ╰── unknown field
 12 │         (at_ms: 100, cut: "A->B", restore: "B->A"),
    ╰────
  help: known: `at_ms`, `set`, `to`

  × a protocol entry does one thing
    ╭─[scene.ron:12:35]
 11 │         (at_ms: 100, set: "A.Na.gbar", by: 2),
 12 │         (at_ms: 100, cut: "A->B", restore: "B->A"),
    ·                      ─┬─          ───┬───
    ·                       │              ╰── second action
    ·                       ╰── first action
 13 │         (at_ms: 100),
    ╰────
  help: write two entries with the same `at_ms`

  × this protocol entry does nothing
    ╭─[scene.ron:13:9]
 12 │         (at_ms: 100, cut: "A->B", restore: "B->A"),
 13 │         (at_ms: 100),
    ·         ┬
    ·         ╰── no action
 14 │     ],
    ╰────
  help: an action is one of `set`, `scale`, `ramp`, `block`, `cut`, `restore`,
        `current`, `modulate`, `overwrite`, `compensate`, `homeostat`,
        `controller`, `recall`, `rebase`, `reset`

5 errors
"#,
    );
}

/// Windows.
#[test]
fn windows() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    cells: {
        "A": (cell: "stg"),
        "B": (like: "A"),
    },
    windows: [
        (label: "early", from_ms: 500, to_ms: 500),
        (label: "late", from_ms: 500, to_ms: s(2)),
    ],
)
"#,
        r#"
  × this window is empty
    ╭─[scene.ron:10:47]
  9 │     windows: [
 10 │         (label: "early", from_ms: 500, to_ms: 500),
    ·                                   ─┬─         ─┬─
    ·                                    │           ╰── ends at 500 ms
    ·                                    ╰── begins at 500 ms
 11 │         (label: "late", from_ms: 500, to_ms: s(2)),
    ╰────

  × this window ends after the run
    ╭─[scene.ron:11:46]
 10 │         (label: "early", from_ms: 500, to_ms: 500),
 11 │         (label: "late", from_ms: 500, to_ms: s(2)),
    ·                                              ──┬─
    ·                                                ╰── 2000 ms
 12 │     ],
    ╰────
  help: the run ends at 1000 ms, its `duration_ms`

2 errors
"#,
    );
}

/// An include that does not exist.
#[test]
fn include_missing() {
    assert_told(
        r#"Scene(
    format: 1,
    include: ["five_neuron_cell"],
    duration_ms: 1_000,
)
"#,
        r#"
  × nothing called `five_neuron_cell` ships with Homarus
   ╭─[scene.ron:3:15]
 2 │     format: 1,
 3 │     include: ["five_neuron_cell"],
   ·               ─────────┬────────
   ·                        ╰── cannot be included
 4 │     duration_ms: 1_000,
   ╰────
  help: did you mean `five_neuron_cells`?
"#,
    );
}

/// A channel of a cell type that is neither a name nor says which channel it is.
#[test]
fn channel_of_a_cell_type() {
    assert_told(
        r#"Scene(
    format: 1,
    duration_ms: 1_000,
    step_ms: 0.05,
    define: [
        Cell(name: "slow", capacitance: 1, channels: {
            "Na": (channel: "stg_n", tau_factor: 0),
            "Kd": (tau: 2),
            "leak": 3,
        }),
    ],
    cells: { "A": (cell: "slow") },
)
"#,
        r#"
  × there is no channel `stg_n`
   ╭─[scene.ron:7:29]
 6 │         Cell(name: "slow", capacitance: 1, channels: {
 7 │             "Na": (channel: "stg_n", tau_factor: 0),
   ·                             ───┬───
   ·                                ╰── unknown channel
 8 │             "Kd": (tau: 2),
   ╰────
  help: did you mean `stg_a`?

  × expected a number greater than 0
   ╭─[scene.ron:7:50]
 6 │         Cell(name: "slow", capacitance: 1, channels: {
 7 │             "Na": (channel: "stg_n", tau_factor: 0),
   ·                                                  ┬
   ·                                                  ╰── found 0
 8 │             "Kd": (tau: 2),
   ╰────
  help: it multiplies time constants

  × a channel of a cell type needs `channel`
   ╭─[scene.ron:8:19]
 7 │             "Na": (channel: "stg_n", tau_factor: 0),
 8 │             "Kd": (tau: 2),
   ·                   ┬
   ·                   ╰── `channel` is missing
 9 │             "leak": 3,
   ╰────

  × a channel of a cell type has no field `tau`
   ╭─[scene.ron:8:20]
 7 │             "Na": (channel: "stg_n", tau_factor: 0),
 8 │             "Kd": (tau: 2),
   ·                    ─┬─
   ·                     ╰── unknown field
 9 │             "leak": 3,
   ╰────
  help: known: `channel`, `tau_factor`, `reversal`

  × expected the name of a channel
    ╭─[scene.ron:9:21]
  8 │             "Kd": (tau: 2),
  9 │             "leak": 3,
    ·                     ┬
    ·                     ╰── found the number 3
 10 │         }),
    ╰────
  help: one that differs from its file is written as in `(channel: "stg_na",
        tau_factor: 2)`

5 errors
"#,
    );
}
