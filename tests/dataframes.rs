//! A bundle, and the results of a study, open in pandas and in polars in one line, with the columns,
//! types and rows that `run.json` and the study tell of. The Python is `HOMARUS_PYTHON`, else `python3`; where it or a module is
//! missing, the test says so and does nothing.

mod helpers;
mod program;

use std::{collections::BTreeMap, env, fs, process::Command};

use helpers::Folder;
use program::{homarus_in, stderr};
use serde_json::{Value, json};

/// Two cells, 3 s, an entry of the protocol that acts on both, and one window that is the whole run.
const SCENE: &str = r#"Scene(
    format: 1, about: "", source: "test", duration_ms: 3_000, step_ms: 0.05,
    cells: {
        "A": (cell: "stg", parameters: { "KCa.tm": 2 }, start: (V: -60), gbar: {
            "Na": 3951.84, "CaT": 2.91, "CaS": 18.98, "A": 71.02, "KCa": 109.18, "Kd": 137.74, "H": 0.2909, "leak": 0.00913 }),
        "B": (like: "A", start: (V: -55)),
    },
    edges: [(pre: "A", post: "B", kind: "tanh", g: 0.8)],
    protocol: [(at_ms: 1_000, set: "*.A.gbar", to: 60)],
    windows: [(label: "all", from_ms: 0, to_ms: 3_000)],
    samples: [(paths: ["*.V", "*.Ca"], every_ms: 2), (paths: ["A->B.s"], every_ms: 5)],
)"#;

/// Runs a line of Python on a bundle's tables: `None`, and a word why, if a module is not there.
fn python(modules: &str, line: &str, folder: &Folder) -> Option<Value> {
    let python = env::var("HOMARUS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |code: &str| {
        let mut command = Command::new(&python);
        command.args(["-c", code]).current_dir(folder.path("out"));
        command.output()
    };
    let found = run(&format!("import {modules}"));
    if !found.as_ref().is_ok_and(|output| output.status.success()) {
        let why = found.map_or_else(|error| error.to_string(), |output| stderr(&output));
        let why = why.lines().last().unwrap_or_default();
        println!("skipped: `{python}` cannot import {modules} (set HOMARUS_PYTHON): {why}");
        return None;
    }
    let output = run(line).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// What is known of the tables: columns as (name, type), and rows by cell or edge, as `run.json` of
/// the bundle has them.
fn expected(folder: &Folder) -> Value {
    let text = fs::read_to_string(folder.path("out/run.json")).unwrap();
    let run: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(run["status"], "complete");
    let cells = run["windows"][0]["cells"].as_array().unwrap();
    assert_eq!(run["neurons"], cells.len());
    let by_cell = |field: &str| -> BTreeMap<&str, u64> {
        let count = |cell: &Value| cell[field].as_u64().filter(|n| *n > 0).unwrap();
        let cells = cells.iter();
        cells
            .map(|c| (c["name"].as_str().unwrap(), count(c)))
            .collect()
    };
    let end = run["model_ms"].as_f64().unwrap();
    // The first row is the start, the last one the end.
    let rows = |every_ms: f64| (end / every_ms) as u64 + 1;
    json!({
        "spikes": {
            "columns": [["t_ms", "float64"], ["cell", "word"]],
            "rows": by_cell("spikes"),
        },
        "bursts": {
            "columns": [
                ["cell", "word"], ["k", "int64"], ["on_ms", "float64"], ["off_ms", "float64"],
                ["period_ms", "float64"], ["duty", "float64"], ["phase", "float64"], ["n_spikes", "int64"],
            ],
            "rows": by_cell("bursts"),
        },
        "samples": {
            "columns": [
                ["t_ms", "float64"], ["cell", "word"],
                ["V", "float64"], ["Ca", "float64"], ["s", "float64"],
            ],
            "rows": { "A": rows(2.0), "B": rows(2.0), "A->B": rows(5.0) },
        },
        "events": {
            "columns": [
                ["t_ms", "float64"], ["what", "text"], ["path", "text"],
                ["old", "float64"], ["new", "float64"],
            ],
            "rows": { "A.A.gbar": 1, "B.A.gbar": 1 },
        },
    })
}

/// Opens the tables with `open`, a line that takes `path`, and holds them against the bundle.
fn opens(name: &str, modules: &str, open: &str, counts: &str) {
    let folder = Folder::new(name, &[("scene.ron", SCENE)]);
    let output = homarus_in(folder.path(""), &["run", "scene.ron", "-o", "out"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // Names of types differ between the two and their versions: what they mean is compared.
    let code = format!(
        r#"
import json
import {modules}
word, text = ("category", "categorical", "enum"), ("object", "str", "string")
def kind(type):
    type = str(type).lower().split("(")[0]
    return "word" if type in word else "text" if type in text else type
told = {{}}
for table in ["spikes", "bursts", "samples", "events"]:
    path = f"{{table}}.parquet"
    d = {open}
    key = "path" if table == "events" else "cell"
    rows = {counts}
    assert sum(rows.values()) == len(d)
    told[table] = dict(columns=[[c, kind(d[c].dtype)] for c in d.columns], rows=rows)
print(json.dumps(told))
"#
    );
    if let Some(told) = python(modules, &code, &folder) {
        assert_eq!(told, expected(&folder));
    }
}

#[test]
fn a_bundle_opens_in_pandas() {
    opens(
        "pandas",
        "pandas, pyarrow",
        "pandas.read_parquet(path)",
        "d[key].value_counts().to_dict()",
    );
}

#[test]
fn a_bundle_opens_in_polars() {
    opens(
        "polars",
        "polars",
        "polars.read_parquet(path)",
        "dict(d[key].value_counts().iter_rows())",
    );
}

/// Two blocks of two networks, and their controls.
const STUDY: &str = r#"Study(
    format: 1, about: "", source: "test", base: "half_centre",
    networks: (count: 2, vary: [Relative(path: "*->*.g", by: 0.1)]),
    settle_ms: 500, before_ms: 400,
    axes: { "b": [0, 1], "cell": ["A"] },
    protocol: [(at_ms: 0, block: "*.H", by: Axis("b")), (at_ms: 0, current: Axis("cell"), amplitude: 0.1, for_ms: 10)],
    during: (skip_ms: 0, for_ms: 400),
    tables: ["cells", "cycles"],
)"#;

/// Opens the tables of a study with `open`, a line that takes `path`.
fn study_opens(name: &str, modules: &str, open: &str) {
    let folder = Folder::new(name, &[("study.ron", STUDY)]);
    let output = homarus_in(folder.path(""), &["study", "study.ron", "-o", "out"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let code = format!(
        r#"
import json
import {modules}
word, text = ("category", "categorical", "enum"), ("object", "str", "string")
def kind(type):
    type = str(type).lower().split("(")[0]
    return "word" if type in word else "text" if type in text else "bool" if type.startswith("bool") else type
told = {{}}
for table in ["members", "summary", "cells", "cycles"]:
    path = f"{{table}}.parquet"
    d = {open}
    told[table] = dict(rows=len(d), kinds={{c: kind(d[c].dtype) for c in d.columns}})
path = "members.parquet"
d = {open}
told["controls"] = int(d["control"].sum())
told["blocked"] = list(d["b"])[:4]
print(json.dumps(told))
"#
    );
    let Some(told) = python(modules, &code, &folder) else {
        return;
    };
    assert_eq!(told["controls"], 2);
    assert_eq!(told["blocked"], json!([0.0, 1.0, 0.0, 1.0]));
    let kinds = |table: &str, columns: &[(&str, &str)]| {
        for (column, kind) in columns {
            assert_eq!(told[table]["kinds"][column], *kind, "{column} of {table}");
        }
    };
    kinds(
        "members",
        &[
            ("member", "int64"),
            ("base", "word"),
            ("control", "bool"),
            ("b", "float64"),
            ("cell", "text"),
            ("error", "text"),
            ("all.verdict", "word"),
            ("all.before.period_ms", "float64"),
        ],
    );
    kinds(
        "summary",
        &[
            ("n", "int64"),
            ("rhythm", "word"),
            ("kept_fraction", "float64"),
        ],
    );
    kinds(
        "cells",
        &[
            ("window", "word"),
            ("spikes", "int64"),
            ("ca_mean_um", "float64"),
        ],
    );
    kinds(
        "cycles",
        &[("cell", "word"), ("on_ms", "float64"), ("phase", "float64")],
    );
    assert_eq!(told["members"]["rows"], 6);
    assert_eq!(told["summary"]["rows"], 2);
    assert_eq!(told["cells"]["rows"], 6 * 2 * 2);
}

#[test]
fn a_study_opens_in_pandas() {
    study_opens(
        "study-pandas",
        "pandas, pyarrow",
        "pandas.read_parquet(path)",
    );
}

#[test]
fn a_study_opens_in_polars() {
    study_opens("study-polars", "polars", "polars.read_parquet(path)");
}
