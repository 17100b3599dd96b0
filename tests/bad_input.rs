//! What a person can do wrong, one row a mistake: the program ends with its code, says where it is,
//! what was found and what to do, and leaves nothing behind: no panic, no data, no file.

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use homarus::scene::{Kind, read_text, shipped};

/// A folder of its own for every run, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let process = std::process::id();
        let folder = std::env::temp_dir().join(format!("homarus-bad-input-{process}-{name}"));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn with(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_homarus"))
            .args(arguments)
            .current_dir(&self.0)
            .env("COLUMNS", "120")
            .output()
            .unwrap()
    }

    /// Everything in it.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                files.push(path);
            }
        }
        files.sort();
        files
    }

    /// What is wrong with how the program, run here, refuses `arguments`: it is to end with `code`
    /// and to tell all of `expected`.
    fn misdeeds(&self, arguments: &[&str], code: i32, expected: &[&str]) -> Option<String> {
        let before = self.files();
        let output = self.run(arguments);
        let told = told(&output);
        let mut misdeeds = Vec::new();
        if output.status.code() != Some(code) {
            misdeeds.push(format!("ended with {}", output.status));
        }
        // A run that fails on its way still tells what there is up to then.
        if code == 2 && !output.stdout.is_empty() {
            misdeeds.push("wrote to stdout".to_owned());
        }
        if told.contains("panicked") {
            misdeeds.push("panicked".to_owned());
        }
        if self.files() != before {
            misdeeds.push("changed files".to_owned());
        }
        let missing = expected.iter().filter(|part| !told.contains(*part));
        misdeeds.extend(missing.map(|part| format!("does not tell `{part}`")));
        let shown = String::from_utf8_lossy(&output.stderr);
        if shown.len() > 5000 {
            misdeeds.push("floods the terminal".to_owned());
        }
        (!misdeeds.is_empty()).then(|| format!("{}:\n{shown}", misdeeds.join(", ")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Messages on stderr as one line, without the frame that is drawn around them.
fn told(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let frame = |c: char| "│╭╰─·×┬┴".contains(c);
    text.split_whitespace()
        .map(|word| word.trim_matches(frame))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Fails with everything that is wrong.
#[track_caller]
fn none(misdeeds: impl IntoIterator<Item = Option<String>>) {
    let found: Vec<String> = misdeeds.into_iter().flatten().collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Takes the mark `§` out of the file that has one; gives the place, as `file:line:column`.
fn unmarked(files: &[(&str, &str)]) -> (Vec<(String, String)>, Option<String>) {
    let mut place = None;
    let files = files
        .iter()
        .map(|(name, text)| {
            if let Some((before, _)) = text.split_once('§') {
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                place = Some(format!("[{name}:{line}:{column}]"));
            }
            ((*name).to_owned(), text.replace('§', ""))
        })
        .collect();
    (files, place)
}

/// Runs `scene.ron` among `files`, in which a `§` marks the place that is to be told.
fn refuses(what: &str, files: &[(&str, &str)], expected: &[&str]) -> Option<String> {
    let mut folder = Folder::new(&what.replace(|c: char| !c.is_alphanumeric(), "-"));
    let (files, place) = unmarked(files);
    for (name, text) in &files {
        folder = folder.with(name, text);
    }
    let expected: Vec<&str> = place
        .as_deref()
        .into_iter()
        .chain(expected.iter().copied())
        .collect();
    let misdeeds = folder.misdeeds(&["run", "scene.ron"], 2, &expected)?;
    Some(format!("{what}: {misdeeds}"))
}

/// A scene around `fields`.
fn around(fields: &str) -> String {
    format!("Scene(format: 1, duration_ms: 10, step_ms: 0.05,\n{fields})\n")
}

/// Two passive cells, and `fields`.
fn pair(fields: &str) -> String {
    around(&format!(
        r#"cells: {{ "A": (cell: "stg", gbar: {{ "leak": 0.1 }}), "B": (like: "A") }},
{fields}"#
    ))
}

/// A text of that many levels, of which the first too many is marked.
fn deep(open: &str, fine: usize, levels: usize) -> String {
    format!("{}§{}", open.repeat(fine), open.repeat(levels - fine))
}

#[test]
#[rustfmt::skip]
fn files_that_are_no_scenes() {
    let rows = [
        ("truncated", "Scene(format: 1,\ncells: §{\n".to_owned(), "never closed", "the file ends before this bracket is closed"),
        ("truncated text", "Scene(about: §\"two".to_owned(), "begins here", "this text has no closing quote"),
        ("truncated comment", "Scene( §/* two".to_owned(), "this comment is never closed", "`*/` closes it"),
        ("empty", "§".to_owned(), "the file is empty", "a scene file begins with `Scene(`"),
        ("white space", "§ \n\t\n".to_owned(), "the file is empty", "a scene file begins with `Scene(`"),
        ("zero bytes", "§\0\0\0".to_owned(), "found", "expected a value"),
        ("prose", "hello §world".to_owned(), "found `world`", "a file holds one struct"),
        ("a number", "§12".to_owned(), "found the number 12", "`Scene(…)`"),
        ("no number", around("seed: -§x"), "found `x`", "numbers look like"),
        ("no escape", around("about: \"a\\q§\""), "this text holds an escape that there is not", "there are `\\\"`"),
        ("no name", around("seed: 1, §a.b: 2"), "found `a.b`", "names are made of letters, digits and `_`"),
        ("terminal commands", pair("edges: [(pre: §\"\u{1b}[2J\", post: \"B\", kind: \"gap\", g: 1)]"), "there is no cell `\\u{1b}[2J`", "\"?[2J\""),
        ("too deep", format!("Scene(a: {}", deep("[", 64, 50_000)), "nested too deeply", "one level too many"),
        ("a missing include", around(r#"include: [§"nope.ron"]"#), "`nope.ron` does not exist", "paths are relative to the folder of the including file"),
        ("an include of a folder", around(r#"include: [§"folder.ron"]"#), "`folder.ron` is a folder, not a file", "name the `.ron` file in it"),
        ("an include that ships not", around(r#"include: [§"half_center"]"#), "nothing called `half_center` ships", "did you mean `half_centre`?"),
    ];
    none(rows.iter().map(|(what, scene, found, fix)| {
        refuses(what, &[("scene.ron", scene), ("folder.ron/inside", "")], &[found, fix])
    }));
    let there = around(r#"include: ["back.ron"]"#);
    let back = r#"Scene(format: 1, include: [§"scene.ron"])"#;
    none([refuses("an include cycle", &[("scene.ron", &there), ("back.ron", back)],
        &["includes go round in a circle", "scene.ron is included by itself"])]);
    let folder = Folder::new("binary").with("scene.ron", b"Scene(\n  \xff\xfe\x00)");
    none([folder.misdeeds(&["run", "scene.ron"], 2,
        &["`scene.ron` is not UTF-8 text: byte 0xff in line 2, column 3", "save it with the encoding UTF-8"])]);
}

#[test]
#[rustfmt::skip]
fn names_that_nothing_has() {
    let rows = [
        ("unknown field", pair(r#"§seeed: 1"#), "a scene has no field `seeed`", "did you mean `seed`?"),
        ("unknown channel", around(r#"cells: { "A": (cell: "stg", gbar: { §"Cas": 1 }) }"#), "no channel `Cas`", "did you mean `CaS`?"),
        ("unknown cell", pair(r#"edges: [(pre: "A", post: §"BB", kind: "gap", g: 1)]"#), "there is no cell `BB`", "did you mean `B`?"),
        ("unknown cell type", around(r#"cells: { "A": (cell: §"stgg") }"#), "no cell type `stgg`", "did you mean `stg`?"),
        ("unknown path", pair(r#"protocol: [(at_ms: 1, set: §"A.Na.gbra", to: 1)]"#), "a channel has no `gbra`", "did you mean `gbar`?"),
        ("unknown unit", around(r#"cells: { "A": (cell: "stg", I: §nS(1)) }"#), "`nS` is not a unit here", "did you mean `nA`?"),
        ("wrong dimension", pair(r#"gap_ms: §mV(5)"#), "`mV` is not a unit here", "did you mean `ms`?"),
        ("glob without a match", pair(r#"protocol: [(at_ms: 1, set: §"X*.V", to: 1)]"#), "`X*` matches no cell", "there are: A, B"),
        ("unknown edge", pair(r#"protocol: [(at_ms: 1, cut: §"A->B")]"#), "there is no edge `A->B`", "the network has no edges"),
        ("unknown path before the start", pair(r#"set: { §"A.NA.gbar": 1 }"#), "there is no channel `NA`", "did you mean `Na`?"),
        ("unknown path of samples", pair(r#"samples: [(paths: ["A.V", §"A.W"], every_ms: 1)]"#), "a cell has no `W`", "there are: V, Ca"),
        ("ambiguous edge", pair(r#"edges: [(pre: "A", post: "B", kind: "tanh", g: 1), (pre: "A", post: "B", kind: "sigmoid", g: 1)],
            protocol: [(at_ms: 1, set: §"A->B.g", to: 1)]"#), "`A->B` is ambiguous: 2 edges fit", "it may be A->B:tanh or A->B:sigmoid"),
    ];
    none(rows.iter().map(|(what, scene, found, fix)| refuses(what, &[("scene.ron", scene)], &[found, fix])));
}

#[test]
#[rustfmt::skip]
fn names_that_clash_or_are_not_allowed() {
    let named = |name: &str| around(&format!("cells: {{ §\"{name}\": (cell: \"stg\") }}"));
    let rows = [
        ("a cell twice", around(r#"cells: { "A": (cell: "stg"), §"A": (cell: "stg") }"#), "the name `A` is given twice", "remove one of the two"),
        ("a field twice", pair(r#"seed: 1, §seed: 2"#), "the field `seed` is given twice", "remove one of the two"),
        ("an edge twice", pair(r#"edges: [(pre: "A", post: "B", kind: "gap", g: 1), §(pre: "A", post: "B", kind: "gap", g: 1)]"#), "joins the same cells by the same kind", "give each of them a `name`"),
        ("a window twice", pair(r#"windows: [(label: "w", from_ms: 0, to_ms: 1), (label: §"w", from_ms: 0, to_ms: 1)]"#), "the window `w` is given twice", "first here"),
        ("a rhythm twice", pair(r#"rhythms: [(name: "r", cells: ["A"]), (name: §"r", cells: ["B"])]"#), "the rhythm `r` is given twice", "first here"),
        ("a cell and a group", pair(r#"groups: { §"A": ["B"] }"#), "`A` names a cell and a group", "rename one of them"),
        ("a slash in a name", named("a/b"), "contains `/`", "letters, digits and `_`"),
        ("an arrow in a name", named("a->b"), "contains `-`", "letters, digits and `_`"),
        ("a dot in a name", named("a.b"), "contains `.`", "letters, digits and `_`"),
        ("a space in a name", named("a b"), "contains a space", "letters, digits and `_`"),
        ("an empty name", named(""), "the name of a cell is empty", "at least one letter"),
    ];
    none(rows.iter().map(|(what, scene, found, fix)| refuses(what, &[("scene.ron", scene)], &[found, fix])));
}

#[test]
#[rustfmt::skip]
fn numbers_that_make_no_sense() {
    let timed = |times: &str| format!("Scene(format: 1, {times}, cells: {{ \"A\": (cell: \"stg\") }})");
    let cell = |fields: &str| around(&format!("cells: {{ \"A\": (cell: \"stg\",\n{fields}) }}"));
    let allow = "`negative_conductance: \"allow\"` in the scene";
    let finite = "every number of a scene is finite";
    let end = "the run ends at 10 ms, its `duration_ms`";
    let rows = [
        ("NaN", timed("duration_ms: §NaN, step_ms: 0.05"), "`NaN` is not allowed here", "expected a finite number"),
        ("infinite", timed("duration_ms: §inf, step_ms: 0.05"), "`inf` is not allowed here", "expected a finite number"),
        ("too large", timed("duration_ms: §1e400, step_ms: 0.05"), "this number is too large", finite),
        ("too large by its unit", cell(r#"gbar: { "Na": §S_per_cm2(1e307) }"#), "this value is too large", finite),
        ("too large by its area", cell(r#"area_cm2: 1e-300, gbar: { "Na": §mS(1e100) }"#), "this value is too large", finite),
        ("negative duration", timed("duration_ms: §-5, step_ms: 0.05"), "found -5", "expected a number greater than 0"),
        ("zero step", timed("duration_ms: 10, step_ms: §0"), "found 0", "expected a number greater than 0"),
        ("step beyond control", timed("duration_ms: 10, step_ms: §2"), "step_ms is 2, control_ms is 1", "a smaller `step_ms`"),
        ("one step too many", timed("duration_ms: 1000000000001, step_ms: §1"), "1.000e12 steps", "a run has at most 1e12 steps"),
        ("more steps than any number", timed("duration_ms: 1e300, step_ms: §1e-300"), "more steps than can be counted", "a shorter `duration_ms`"),
        ("negative conductance", cell(r#"gbar: { "Na": §-1 }"#), "found -1", allow),
        ("negative of an edge", pair(r#"edges: [(pre: "A", post: "B", kind: "gap", g: §-1)]"#), "found -1", "expected a number that is not negative"),
        ("negative calcium", pair(r#"protocol: [(at_ms: 1, set: §"A.Ca", to: -1)]"#), "`A.Ca` cannot be -1", "expected a number that is not negative"),
        ("a gate of 2", pair(r#"edges: [(pre: "A", post: "B", kind: "tanh", g: 1)],
            protocol: [(at_ms: 1, set: §"A->B.s", to: 2)]"#), "`A->B.s` cannot be 2", "expected a number from 0 to 1"),
        ("negative before the start", pair(r#"set: { §"A.Na.gbar": -1 }"#), "`A.Na.gbar` cannot be -1", allow),
        ("samples at no distance", pair(r#"samples: [(paths: ["A.V"], every_ms: §0)]"#), "found 0", "expected a number greater than 0"),
        ("samples closer than steps", pair(r#"samples: [(paths: [§"A.V"], every_ms: 0.01)]"#), "every 0.01 ms, step_ms is 0.05", "sample every step at most"),
        ("empty network", around("cells: §{}"), "no cell", "a scene needs at least one cell"),
        ("gap to oneself", pair(r#"edges: [§(pre: "A", post: "A", kind: "gap", g: 1)]"#), "cannot have a gap junction with itself", "only chemical synapses may join"),
        ("protocol beyond the run", pair(r#"protocol: [(at_ms: §11, set: "A.V", to: 1)]"#), "this comes after the run", end),
        ("ramp beyond the run", pair(r#"protocol: [(at_ms: 9, ramp: "A.I", to: 1, over_ms: §5)]"#), "this ends after the run", end),
        ("window beyond the run", pair(r#"windows: [(label: "w", from_ms: 0, to_ms: §11)]"#), "this window ends after the run", end),
    ];
    none(rows.iter().map(|(what, scene, found, fix)| refuses(what, &[("scene.ron", scene)], &[found, fix])));
}

#[test]
#[rustfmt::skip]
fn large_networks_that_cannot_be() {
    let cells = |count: &str, more: &str| around(&format!(
        "cells: {{ §\"E\": (count: {count}, cell: \"stg\", gbar: {{ \"leak\": 0.1 }}) }},\n{more}"));
    let of_ten = |more: &str| cells("10", more).replace('§', "").replace('¶', "§");
    let generator = |fields: &str| of_ten(&format!("generators: {{ \"x\": {fields} }}"));
    let copies = |fields: &str| around(&format!("networks: {{ \"n\": ({fields}) }}"));
    let rows = [
        ("no cell in a population", cells("§0", "").replacen('§', "", 1), "a population needs at least one cell", "take `E` out of the scene"),
        ("half a cell", cells("§1.5", "").replacen('§', "", 1), "found the number 1.5", "expected a whole number"),
        ("more cells than memory", cells("100_000_000_000", ""), "these cells do not fit in memory", "a smaller network"),
        ("a cell beyond the last", of_ten(r#"edges: [(pre: ¶"E[10]", post: "E[0]", kind: "tanh", g: 1)]"#), "there is no cell `E[10]`", "its cells go from `E[0]` to `E[9]`"),
        ("a path beyond the last", of_ten(r#"set: { ¶"E[10].V": -50 }"#), "there is no `E[10]`", "`E` goes from `E[0]` to `E[9]`"),
        ("an unknown rule", generator(r#"(rule: ¶Rings, pre: "E", post: "E", kind: "tanh", g: 1)"#), "found the word `Rings`", "did you mean `Ring`?"),
        ("too high an in-degree", generator(r#"¶(rule: Random(in_degree: 10), pre: "E", post: "E", kind: "tanh", g: 1)"#), "`E` has 10", "at most 9: no cell is joined to itself"),
        ("a generator of nothing", generator(r#"(rule: Ring, pre: ¶"F", post: "E", kind: "tanh", g: 1)"#), "there is no cell `F`", "there are: E"),
        ("an unknown generator", of_ten(r#"generators: { "x": (rule: Ring, pre: "E", post: "E", kind: "tanh", g: 1) },
            set: { ¶"y:E[0]->E[1].g": 1 }"#), "there is no generator `y`", "there are: x"),
        ("a missing table", generator(r#"(rule: Table(¶"none.csv"), kind: "tanh")"#), "`none.csv` does not exist", "relative to the folder of the scene"),
        ("a table of kinds unknown", generator(r#"(rule: Table("header.csv"))"#), "header.csv:1:1", "give the generator one `kind`"),
        ("a row beyond the last", generator(r#"(rule: Table("row.csv"), kind: "tanh")"#), "row.csv:3:1", "its cells go from `E[0]` to `E[9]`"),
        ("no copy", copies(r#"network: "half_centre", copies: §0"#), "a copied network needs at least one copy", "take `n` out of the scene"),
        ("copies of nothing", copies(r#"network: §"half_center", copies: 3"#), "nothing called `half_center` ships", "did you mean `half_centre`?"),
        ("copies of a kind", copies(r#"network: §"tanh", copies: 3"#), "`tanh` is a synapse", "expected a network"),
    ];
    let (header, row) = ("pre,post,g\nE[0],E[1],1\n", "pre,post,g\nE[0],E[1],1\nE[0],E[10],1\n");
    none(rows.iter().map(|(what, scene, found, fix)| {
        refuses(what, &[("scene.ron", scene), ("header.csv", header), ("row.csv", row)], &[found, fix])
    }));
    // 3.6e9 edges; refused before any of them is made.
    let all = r#"generators: { "x": (rule: AllToAll, pre: "E", post: "E", kind: "tanh", g: 1) }"#;
    none([refuses("more edges than memory", &[("scene.ron", &cells("60_000", all).replace('§', ""))],
        &["this network does not fit in memory", "3599940000 edges in bulk", "a smaller network"])]);
    let folder = Folder::new("sizes").with("scene.ron", cells("10", "").replace('§', ""));
    none([folder.misdeeds(&["run", "scene.ron", "--set", "F.count=3"], 2, &["there is no population `F`", "known: `E`"]),
        folder.misdeeds(&["run", "scene.ron", "--set", "E.count=0"], 2, &["a population needs at least one cell"]),
        folder.misdeeds(&["run", "scene.ron", "--set", "E.count=many"], 2, &["`E.count` cannot be `many`", "write a whole number"])]);
}

/// A cell type with a channel `X`, its gate in `channel.ron`.
const CELL: &str = r#"Cell(format: 1, name: "mine", include: ["channel.ron"], capacitance: 1,
channels: { "X": "x", "leak": "leak" }, calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94))"#;

/// A scene with one such cell, which has `fields` too, and with `more`.
fn mine(fields: &str, more: &str) -> String {
    around(&format!(
        r#"include: ["cell.ron"], cells: {{ "A": (cell: "mine", gbar: {{ "X": 1, "leak": 0.1 }}, {fields}) }},
{more}"#
    ))
}

fn channel(inf: &str, tau: &str) -> String {
    format!(
        r#"Channel(format: 1, name: "x", reversal: 50, parameters: {{ "half": 40 }},
gates: {{ "m": (power: 1, inf: "{inf}", tau: {tau}) }})"#
    )
}

#[test]
#[rustfmt::skip]
fn kinetics_that_no_table_can_hold() {
    let too_long = format!("§{}V", "V+".repeat(3000));
    let too_deep = format!("{}V", deep("(", 100, 3000));
    let texts = [
        ("does not parse", channel("1/§(1 + exp((V + half)/5)", "5"), "this `(` is never closed", "in this expression"),
        ("unknown variable", channel("sigmoid((V + §halff)/5)", "5"), "`halff` is not known here", "did you mean `half`?"),
        ("variable of synapses", channel("sigmoid(§V_pre)", "5"), "`V_pre` cannot be used here", "allowed: `V`, `Ca`, `half`"),
        ("unknown function", channel("§log(V)", "5"), "`log` is not a function", "the natural logarithm is `ln`"),
        ("too deep an expression", channel(&too_deep, "5"), "nested more than 100 deep", "in this expression"),
    ];
    none(texts.iter().map(|(what, channel, found, fix)| {
        refuses(what, &[("scene.ron", &mine("", "")), ("cell.ron", CELL), ("channel.ron", channel)], &[found, fix])
    }));
    let long = channel(&too_long.replace('§', ""), "5");
    none([refuses("too long an expression", &[("scene.ron", &mine("", "")), ("cell.ron", CELL), ("channel.ron", &long)],
        &["[channel.ron:2:", "the expression is too long", "more than 2000 numbers, names and operations"])]);

    let at_cell = mine("", "").replace("\"A\"", "§\"A\"");
    let at_protocol = |to: &str| mine("", &format!(r#"protocol: [(at_ms: 5, set: §"A.X.half", to: {to})]"#));
    let bridge = "a formula with a pole there needs `bridge: (from, to)`";
    let values = [
        ("a pole", &at_cell, channel("0.5", r#""1/abs(V - 20)""#), "gate `X.m` has no finite value at V = 20 mV", bridge),
        ("a steady state of 2", &at_cell, channel("2", "5"), "gate `X.m`: the steady state is 2", "expected 0 to 1"),
        ("a negative time constant", &at_cell, channel("0.5", "-5"), "gate `X.m`: the time constant (ms) is -5", "expected 0 or more"),
        ("a pole by protocol", &at_protocol("-120"), channel("0.5", r#""1/abs(V + half + 200)""#), "`A.X.half` cannot be -120: gate `X.m` has no finite value at V = -80 mV", bridge),
        ("a factor of 0 by protocol", &at_protocol("0"), channel("0.5", r#""half*5""#), "`A.X.half` cannot be 0", "the factor on its time constant is 0, not above 0"),
    ];
    none(values.iter().map(|(what, scene, channel, found, fix)| {
        refuses(what, &[("scene.ron", scene), ("cell.ron", CELL), ("channel.ron", channel)], &[found, fix])
    }));
    let folder = Folder::new("pole-by-set").with("scene.ron", mine("", "")).with("cell.ron", CELL)
        .with("channel.ron", channel("0.5", r#""1/abs(V + half + 200)""#));
    none([folder.misdeeds(&["run", "scene.ron", "--set", "A.X.half=-110"], 2,
        &["`A.X.half` cannot be set", "no finite value at V = -90 mV", bridge])]);
}

#[test]
#[rustfmt::skip]
fn calcium_without_a_logarithm() {
    let nernst = r#"Channel(format: 1, name: "x", reversal: Nernst(slope_mV: 12.2, outside_uM: 3000), carries_calcium: true)"#;
    let pool = "calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94)";
    let (fine, resting, none_at_all) = (CELL.to_owned(), CELL.replace("0.05", "§0"), format!("§{}", CELL.replace(pool, "")));
    let fix = "expected a number greater than 0";
    let rows = [
        ("no calcium at rest", &resting, mine("", ""), fix),
        ("no calcium pool", &none_at_all, mine("", ""), "give it `calcium`"),
        ("no calcium at the start", &fine, mine("start: (Ca: §0)", ""), fix),
        ("calcium set to 0", &fine, mine("", r#"protocol: [(at_ms: 1, set: §"A.Ca", to: 0)]"#), fix),
        ("calcium reset to 0", &fine, mine("", r#"protocol: [(at_ms: 1, reset: §"A", Ca: 0)]"#), fix),
    ];
    none(rows.iter().map(|(what, cell, scene, fix)| {
        refuses(what, &[("scene.ron", scene), ("cell.ron", cell), ("channel.ron", nernst)], &[fix, "Nernst potential"])
    }));
    // A pool that a strong outward current empties while the run is under way.
    let folder = Folder::new("pool-below-zero").with("channel.ron", nernst)
        .with("scene.ron", mine("I: 1e3, start: (Ca: 0.1)", ""))
        .with("cell.ron", CELL.replace("tau_ms: 20", "tau_ms: 0.01"));
    none([folder.misdeeds(&["run", "scene.ron"], 1, &["homarus: Ca of cell `A` is -", "at t = ", "the Nernst potential of the cell has no value there"])]);
}

/// Cells that each need a table of their own: more than fits.
#[test]
fn tables_that_do_not_fit_in_memory() {
    const CELLS: usize = 100_000;
    let available = || -> Option<f64> {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let line = text
            .lines()
            .find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    // The tables take 307 GB; a machine that has as much, or does not say, does not refuse them.
    if available().is_none_or(|kib| kib > 6e8) {
        return;
    }
    let channels: String = (0..32).map(|k| format!("\"c{k}\": \"x\", ")).collect();
    let cells: String = (0..CELLS)
        .map(|k| format!("\"n{k}\": (cell: \"mine\", parameters: {{ \"c0.half\": {k} }}),\n"))
        .collect();
    let folder = Folder::new("memory")
        .with("channel.ron", channel("sigmoid((V + half)/5)", "5"))
        .with(
            "cell.ron",
            format!(r#"Cell(format: 1, name: "mine", include: ["channel.ron"], capacitance: 1, channels: {{ {channels} }})"#),
        )
        .with("scene.ron", around(&format!("include: [\"cell.ron\"], cells: {{ {cells} }}")));
    none([folder.misdeeds(
        &["run", "scene.ron"],
        2,
        &[
            "this network does not fit in memory",
            "100000 tables of kinetics of cells take 614.",
            "cells share a table where",
        ],
    )]);
}

#[test]
#[rustfmt::skip]
fn wrong_command_lines() {
    let allow = "`negative_conductance: \"allow\"` in the scene";
    let number = "write for instance 0.8";
    let ms = "write a finite number of ms above 0";
    let length = "expected a finite number of ms above 0, for instance 0.05";
    let once = "keep one of the two";
    let rows: &[(&[&str], &str, &str)] = &[
        (&["--set", "A.V"], "`--set A.V` has no `=`", "write --set PATH=VALUE"),
        (&["--set", "="], "there is no setting ``", "settings are duration_ms"),
        (&["--set", "A.V="], "`A.V`: `` is no finite number", number),
        (&["--set", "stepms=1"], "there is no setting `stepms`", "did you mean `step_ms`?"),
        (&["--set", "A=1"], "there is no setting `A`", "CELL.SCALAR"),
        (&["--set", "C.V=1"], "there is no cell `C`", "there are: A, B"),
        (&["--set", "A.Nah.gbar=1"], "there is no channel `Nah`", "did you mean `Na`?"),
        (&["--set", "A.Na=1"], "`A.Na` is a channel", "write `A.Na.gbar`"),
        (&["--set", "A->B.g=1"], "there is no edge `A->B`", "the network has no edges"),
        (&["--set", "Q*.V=1"], "`Q*` matches no cell", "there are: A, B"),
        (&["--set", "A.V=1", "--set", " A.V =2"], "`--set A.V` is given twice", "keep one of the two"),
        (&["--set", "A.V=high"], "`high` is no finite number", number),
        (&["--set", "A.V=1e400"], "`1e400` is no finite number", number),
        (&["--set", "A.V=NaN"], "`NaN` is no finite number", number),
        (&["--set", "A.Na.gbar=-1"], "`A.Na.gbar` cannot be -1", allow),
        (&["--set", "A.KCa.tm=-1"], "the factor on its time constant is -1", "not above 0"),
        (&["--set", "step_ms=0"], "`step_ms` cannot be 0", ms),
        (&["--set", "step_ms=10"], "step_ms is 10, control_ms is 1", "a smaller `step_ms`"),
        (&["--set", "control_ms=1e-300"], "step_ms is 0.05, control_ms is", "a longer `control_ms`"),
        (&["--set", "duration_ms=1e300"], "more steps than can be counted", "a run has at most 1e12 steps"),
        (&["--set", "seed=1.5"], "`seed` cannot be `1.5`", "expected a whole number from 0"),
        (&["--seed", "-1"], "invalid value '-1' for '--seed <SEED>'", "expected a whole number from 0"),
        (&["--seed", "1", "--set", "seed=2"], "`seed` is given twice: by `--seed` and by `--set seed=2`", once),
        (&["--duration-ms", "abc"], "invalid value 'abc' for '--duration-ms <MS>'", length),
        (&["--duration-ms", ""], "invalid value '' for '--duration-ms <MS>'", length),
        (&["--duration-ms", "-5"], "invalid value '-5' for '--duration-ms <MS>'", length),
        (&["--duration-ms", "1e400"], "invalid value '1e400' for '--duration-ms <MS>'", length),
        (&["--duration-ms", "5 s"], "invalid value '5 s' for '--duration-ms <MS>'", length),
        (&["--duration-ms", "5", "--set", "duration_ms=5"], "`duration_ms` is given twice: by `--duration-ms` and by `--set duration_ms=5`", once),
        (&["--step-ms", "NaN"], "invalid value 'NaN' for '--step-ms <MS>'", length),
        (&["--step-ms", "1", "--set", " step_ms = 1"], "`step_ms` is given twice", once),
        (&["--control-ms", "0"], "invalid value '0' for '--control-ms <MS>'", length),
        (&["--set", "control_ms=1", "--control-ms", "1"], "`control_ms` is given twice", once),
        (&["--step-ms", "10"], "step_ms is 10, control_ms is 1", "a smaller `step_ms`"),
        (&["-o", "DIR", "--sample", "A.V"], "`--sample A.V`", "PATH:MS"),
        (&["-o", "DIR", "--sample", "A.V:0"], "`--sample` cannot be 0", ms),
        (&["-o", "DIR", "--sample", "A.V:-1"], "`--sample` cannot be -1", ms),
        (&["-o", "DIR", "--sample", "A.V:1e-9"], "every 0.000000001 ms, step_ms is 0.05", "sample every step at most"),
        (&["-o", "DIR", "--sample", "C.V:1"], "there is no cell `C`", "there are: A, B"),
        (&["--integrator", "euler"], "there is no integrator `euler`", "there are `exponential`, `accurate` and `reference`"),
        (&["--duration", "5"], "unexpected argument '--duration'", "'--duration-ms"),
    ];
    let folder = Folder::new("command-line").with("scene.ron", pair(""));
    none(rows.iter().map(|(arguments, found, fix)| {
        let misdeeds = folder.misdeeds(&[&["run", "scene.ron"], *arguments].concat(), 2, &[found, fix])?;
        Some(format!("{arguments:?}: {misdeeds}"))
    }));
}

#[test]
#[rustfmt::skip]
fn scenes_that_cannot_be_opened() {
    let folder = Folder::new("open").with("folder.ron/inside", "").with("mine.ron", pair(""))
        .with("channel.ron", r#"Channel(format: 1, name: "x", reversal: -50)"#);
    let rows = [
        ("folder.ron", "`folder.ron` is a folder, not a file", "name the `.ron` file in it"),
        ("nope.ron", "`nope.ron` does not exist", "`homarus list networks`"),
        ("half_centre.ron", "`half_centre.ron` does not exist", "`half_centre` ships with Homarus"),
        ("half_center", "there is no shipped scene `half_center`", "did you mean `half_centre`?"),
        ("mine", "there is no shipped scene `mine`", "a scene file is given with its ending: `mine.ron`"),
        ("channel.ron", "[channel.ron:1:1]", "a scene includes it or refers to it by name"),
    ];
    none(rows.iter().map(|(scene, found, fix)| folder.misdeeds(&["run", scene], 2, &[found, fix])));
}

/// Files that are there and cannot be read to their end.
#[cfg(unix)]
#[test]
fn scenes_that_cannot_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("permission").with("scene.ron", pair(""));
    let path = folder.0.join("scene.ron");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Nothing is closed to root.
    if fs::read(&path).is_err() {
        let expected = ["`scene.ron` cannot be read", "may you read it?"];
        none([folder.misdeeds(&["run", "scene.ron"], 2, &expected)]);
    }
    let expected = ["`/dev/zero` is larger than 1 GiB", "is it a scene?"];
    none([folder.misdeeds(&["run", "/dev/zero"], 2, &expected)]);
}

/// Currents beyond all sense stop the run, and it says in which cell.
#[test]
fn runs_that_leave_all_sense() {
    for current in ["1e30", "1e308", "-1e30", "1e9"] {
        let folder = Folder::new(&format!("current-{current}")).with(
            "scene.ron",
            around(&format!(
                r#"cells: {{ "A": (cell: "stg", gbar: {{ "leak": 0.1 }}, I: {current}) }}"#
            )),
        );
        let expected = [
            "homarus: V of cell `A` is",
            "at t = ",
            "the run has left all sense",
        ];
        for integrator in ["exponential", "accurate", "reference"] {
            let arguments = ["run", "scene.ron", "--integrator", integrator];
            none([folder.misdeeds(&arguments, 1, &expected)]);
        }
    }
}

/// What looks wrong and is not.
#[test]
#[rustfmt::skip]
fn what_is_accepted() {
    // At the start a conductance below zero must be allowed; what one does in the course of a run,
    // the scene's rule says.
    let protocol = r#"protocol: [(at_ms: 1, set: "A.Na.gbar", to: -2), (at_ms: 2, overwrite: "A", gbar: { "Kd": -0.1 })]"#;
    let negative = r#"negative_conductance: "allow", cells: { "A": (cell: "stg", gbar: { "Na": -1, "leak": 10 }) },"#;
    let long = |duration: &str| format!("Scene(format: 1, duration_ms: {duration}, step_ms: 1, cells: {{ \"A\": (cell: \"stg\") }})");
    let folder = Folder::new("accepted")
        .with("negative.ron", around(&format!("{negative} {protocol}")))
        .with("clamped.ron", pair(protocol))
        .with("passive.ron", pair(""))
        .with("long.ron", long("1e10"))
        .with("longest.ron", long("1e12"))
        .with("mes réseaux/ça va.ron", pair(""));
    for arguments in [
        &["run", "negative.ron"][..],
        &["run", "negative.ron", "--set", "A.Na.gbar=-3"],
        &["run", "clamped.ron"],
        &["run", "passive.ron"],
        &["list", "paths", "long.ron"],
        &["list", "paths", "longest.ron"],
        &["run", "mes réseaux/ça va.ron"],
    ] {
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", told(&output));
        assert!(!output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(told(&output), "", "{arguments:?}");
    }
    let folder = Folder::new("unheld").with("scene.ron", around(r#"cells: { "A": (cell: "stg"), "B": (like: "A") }"#));
    let output = folder.run(&["run", "scene.ron"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(told(&output), "warning: no conductance in A, B: nothing brings the voltage to rest; see `gbar`");

    let folder = Folder::new("accents").with("mes réseaux/ça va.ron", pair("seeed: 1"));
    none([folder.misdeeds(&["run", "mes réseaux/ça va.ron"], 2, &["[mes réseaux/ça va.ron:3:1]", "did you mean `seed`?"])]);
}

/// Whoever reads no further ends the program quietly, whichever stream it is.
#[test]
fn closed_pipes() {
    let folder = Folder::new("pipe").with("wrong.ron", "Scene(");
    for (arguments, code) in [
        (&["list"][..], 0),
        (&["list", "paths", "five_neuron_cpg"], 0),
        (&["run", "half_centre", "--duration-ms", "10", "--json"], 0),
        (&["--help"], 0),
        (&["run", "wrong.ron"], 2),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_homarus"))
            .args(arguments)
            .current_dir(&folder.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut messages = child.stderr.take().unwrap();
        let mut told = String::new();
        if code == 0 {
            messages.read_to_string(&mut told).unwrap();
        }
        drop(messages);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}");
        assert_eq!(told, "", "{arguments:?}");
    }
}

/// Messages that nobody reads change no exit code, whichever verb tells them.
#[test]
fn a_closed_stderr_is_no_failure() {
    let folder = Folder::new("deaf").with("taken", "a file");
    for (arguments, code) in [
        (&["check", "five_neuron_half_centres"][..], 0),
        (&["list", "networks", "--copy", "half_centre"], 0),
        (&["run", "half_centre", "-o", "taken"], 2),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_homarus"))
            .args(arguments)
            .current_dir(&folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}");
    }
}

/// A scene is the same scene however its lines end, and its errors are at the same places.
#[test]
fn line_ends_make_no_difference() {
    let text = "// one cell\nScene(format: 1, /* a\ncomment */ duration_ms: 10, step_ms: 0.05,\n\
        about: \"two\nlines\",\n// here it is\ncells: { \"A\": (cell: \"stg\") },\n)\n";
    let forms = |text: &str| {
        let crlf = text.replace('\n', "\r\n");
        [
            text.to_owned(),
            crlf.clone(),
            text.replace('\n', "\r"),
            format!("\u{feff}{text}"),
            format!("\u{feff}{crlf}"),
        ]
    };
    let hash = |text: &String| {
        let scene = read_text(text, "scene.ron", None).unwrap_or_else(|e| panic!("{e}"));
        scene.hash()
    };
    for form in forms(text) {
        assert_eq!(hash(&form), hash(&text.to_owned()), "{form:?}");
    }
    for form in forms(&text.replace("cell:", "cel:")) {
        let folder = Folder::new("line-ends").with("scene.ron", form);
        let expected = [
            "[scene.ron:7:16]",
            "a cell has no field `cel`",
            "did you mean `cell`?",
        ];
        none([folder.misdeeds(&["run", "scene.ron"], 2, &expected)]);
    }
}

/// Reads a damaged text: it is right, or every error of it can be shown.
fn survives(text: &str) {
    if let Err(errors) = read_text(text, "scene.ron", None) {
        assert!(!errors.is_empty(), "wrong without a reason:\n{text}");
        assert!(!errors.render(false, 80).trim().is_empty());
    }
}

/// Every shipped network, cut off and with one byte changed at a time.
#[test]
fn damaged_scenes_never_panic() {
    // A linear congruential generator: the damage is the same in every run.
    let mut state = 544_u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let networks = shipped()
        .into_iter()
        .filter(|file| file.kind == Kind::Network);
    for file in networks {
        for cut in (0..file.text.len()).step_by(7) {
            survives(&file.text[..file.text.floor_char_boundary(cut)]);
        }
        for _ in 0..500 {
            let mut bytes = file.text.as_bytes().to_vec();
            let at = draw(bytes.len());
            bytes[at] = u8::try_from(draw(256)).unwrap();
            survives(&String::from_utf8_lossy(&bytes));
        }
    }
}
