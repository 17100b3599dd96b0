//! What a person can do wrong, one row a mistake: the program ends with its code, says where it is, what was found and
//! what to do, and leaves nothing behind: no panic, nothing on stdout, no file.

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
        let folder =
            std::env::temp_dir().join(format!("homarus-bad-input-{}-{name}", std::process::id()));
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

/// Runs the program in a folder and holds what it says against what it is to say.
#[track_caller]
fn refused(what: &str, folder: &Folder, arguments: &[&str], code: i32, expected: &[&str]) {
    let before = folder.files();
    let output = folder.run(arguments);
    let told = told(&output);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{what}: {shown}");
    assert!(output.stdout.is_empty(), "{what}: something on stdout");
    assert!(!told.contains("panicked"), "{what}: {shown}");
    for expected in expected {
        assert!(
            told.contains(expected),
            "{what}: no `{expected}` in\n{shown}\n{told}"
        );
    }
    assert_eq!(folder.files(), before, "{what}: files changed");
}

/// Rows of (what, text of scene.ron, where, what was found, what to do).
type Rows<'a> = &'a [(&'a str, String, &'a str, &'a str, &'a str)];

/// Runs the scene of each row, in a folder that holds `beside` too.
#[track_caller]
fn scenes_are_refused(name: &str, beside: &[(&str, &str)], rows: Rows) {
    for (k, (what, scene, place, found, fix)) in rows.iter().enumerate() {
        let mut folder = Folder::new(&format!("{name}-{k}")).with("scene.ron", scene);
        for (file, text) in beside {
            folder = folder.with(file, text);
        }
        refused(
            what,
            &folder,
            &["run", "scene.ron"],
            2,
            &[place, found, fix],
        );
    }
}

/// A scene around `fields`, which begin in line 2.
fn around(fields: &str) -> String {
    format!("Scene(format: 1, duration_ms: 10, step_ms: 0.05,\n{fields})\n")
}

/// Two cells in line 2, and `fields` from line 3.
fn pair(fields: &str) -> String {
    around(&format!(
        "cells: {{ \"A\": (cell: \"stg\", gbar: {{ \"leak\": 0.1 }}), \"B\": (like: \"A\") }},\n{fields}"
    ))
}

/// A scene whose cell `A` has the channel of `channel.ron`.
const WITH_CHANNEL: &str = r#"Scene(format: 1, include: ["cell.ron"], duration_ms: 10, step_ms: 0.05,
cells: { "A": (cell: "mine", gbar: { "X": 1, "leak": 0.1 }) })"#;
const CELL: &str = r#"Cell(format: 1, name: "mine", include: ["channel.ron"], capacitance: 1,
channels: { "X": "x", "leak": "leak" }, calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94))"#;

fn channel(inf: &str, more: &str) -> String {
    format!(
        "Channel(format: 1, name: \"x\", reversal: 50, parameters: {{ \"half\": 40 }},\ngates: {{ \"m\": (power: 1, inf: \"{inf}\", tau: 5{more}) }})"
    )
}

#[test]
fn files_that_are_no_scenes() {
    let deep = format!("Scene(cells: {}", "(a: ".repeat(50_000));
    scenes_are_refused(
        "files",
        &[("loop.ron", r#"Scene(format: 1, include: ["scene.ron"])"#)],
        &[
            (
                "truncated",
                "Scene(format: 1,\ncells: {\n".into(),
                "scene.ron:2:8",
                "the file ends before",
                "bracket is closed",
            ),
            (
                "empty",
                String::new(),
                "scene.ron:1:1",
                "the file is empty",
                "a scene file begins with `Scene(`",
            ),
            (
                "white space",
                " \n\t\n".into(),
                "scene.ron:1:1",
                "the file is empty",
                "a scene file begins with `Scene(`",
            ),
            (
                "zero bytes",
                "\0\0\0".into(),
                "scene.ron:1:1",
                "found",
                "expected",
            ),
            (
                "prose",
                "hello world".into(),
                "scene.ron:1:1",
                "found the word `hello`",
                "begins with `Scene(`",
            ),
            (
                "too deep",
                deep,
                "scene.ron:1:",
                "nested too deeply",
                "more than 128 levels",
            ),
            (
                "a missing include",
                around("include: [\"nope.ron\"]"),
                "scene.ron:2:11",
                "`nope.ron` does not exist",
                "relative to the folder of the including file",
            ),
            (
                "an include that is a folder",
                around("include: [\"..ron\"]"),
                "scene.ron:2:11",
                "does not exist",
                "relative to",
            ),
            (
                "an include cycle",
                around("include: [\"loop.ron\"]"),
                "loop.ron:1:",
                "includes go round in a circle",
                "scene.ron is included by itself",
            ),
        ],
    );
    let folder = Folder::new("binary").with("scene.ron", b"Scene(\n  \xff\xfe\x00)");
    let expected = [
        "`scene.ron` is not UTF-8 text",
        "byte 0xff in line 2, column 3",
        "save it with the encoding UTF-8",
    ];
    refused("binary", &folder, &["run", "scene.ron"], 2, &expected);
}

#[test]
fn names_that_nothing_has() {
    scenes_are_refused(
        "unknown",
        &[],
        &[
            (
                "field",
                pair("seeed: 1"),
                "scene.ron:3:1",
                "a scene has no field `seeed`",
                "did you mean `seed`?",
            ),
            (
                "channel",
                around("cells: { \"A\": (cell: \"stg\", gbar: { \"Cas\": 1 }) }"),
                "scene.ron:2:38",
                "no channel `Cas`",
                "did you mean `CaS`?",
            ),
            (
                "cell",
                pair("edges: [(pre: \"A\", post: \"BB\", kind: \"gap\", g: 1)]"),
                "scene.ron:3:26",
                "there is no cell `BB`",
                "did you mean `B`?",
            ),
            (
                "cell type",
                around("cells: { \"A\": (cell: \"stgg\") }"),
                "scene.ron:2:22",
                "no cell type `stgg`",
                "did you mean `stg`?",
            ),
            (
                "path",
                pair("protocol: [(at_ms: 1, set: \"A.Na.gbra\", to: 1)]"),
                "scene.ron:3:28",
                "a channel has no `gbra`",
                "did you mean `gbar`?",
            ),
            (
                "unit",
                around("cells: { \"A\": (cell: \"stg\", I: nS(1)) }"),
                "scene.ron:2:32",
                "`nS` is not a unit here",
                "`nA`",
            ),
            (
                "dimension",
                pair("gap_ms: mV(5)"),
                "scene.ron:3:9",
                "`mV` is not a unit here",
                "known: `ms`, `s`, `us`",
            ),
            (
                "glob",
                pair("protocol: [(at_ms: 1, set: \"X*.V\", to: 1)]"),
                "scene.ron:3:28",
                "`X*` matches no cell",
                "there are: A, B",
            ),
            (
                "edge",
                pair("protocol: [(at_ms: 1, cut: \"A->B\")]"),
                "scene.ron:3:28",
                "there is no edge `A->B`",
                "no edges",
            ),
            (
                "an ambiguous edge",
                pair(
                    "edges: [(pre: \"A\", post: \"B\", kind: \"tanh\", g: 1), (pre: \"A\", post: \"B\", kind: \"sigmoid\", g: 1)],\nprotocol: [(at_ms: 1, set: \"A->B.g\", to: 1)]",
                ),
                "scene.ron:4:28",
                "`A->B` is ambiguous: 2 edges fit",
                "it may be A->B:tanh or A->B:sigmoid",
            ),
        ],
    );
}

#[test]
fn names_that_clash_or_are_not_allowed() {
    let named = |name: &str| around(&format!("cells: {{ \"{name}\": (cell: \"stg\") }}"));
    scenes_are_refused(
        "names",
        &[],
        &[
            (
                "a cell twice",
                around("cells: { \"A\": (cell: \"stg\"), \"A\": (cell: \"stg\") }"),
                "scene.ron:2:30",
                "the name `A` is given twice",
                "remove one of the two",
            ),
            (
                "a field twice",
                pair("seed: 1, seed: 2"),
                "scene.ron:3:10",
                "the field `seed` is given twice",
                "remove one of the two",
            ),
            (
                "an edge twice",
                pair(
                    "edges: [(pre: \"A\", post: \"B\", kind: \"gap\", g: 1), (pre: \"A\", post: \"B\", kind: \"gap\", g: 1)]",
                ),
                "scene.ron:3:51",
                "joins the same cells by the same kind",
                "give each of them a `name`",
            ),
            (
                "a window twice",
                pair(
                    "windows: [(label: \"w\", from_ms: 0, to_ms: 1), (label: \"w\", from_ms: 0, to_ms: 1)]",
                ),
                "scene.ron:3:55",
                "the window `w` is given twice",
                "first here",
            ),
            (
                "a cell and a group",
                pair("groups: { \"A\": [\"B\"] }"),
                "scene.ron:3:11",
                "`A` names a cell and a group",
                "rename one of them",
            ),
            (
                "a slash",
                named("a/b"),
                "scene.ron:2:10",
                "contains `/`",
                "letters, digits and `_`",
            ),
            (
                "an arrow",
                named("a->b"),
                "scene.ron:2:10",
                "contains `-`",
                "letters, digits and `_`",
            ),
            (
                "a dot",
                named("a.b"),
                "scene.ron:2:10",
                "contains `.`",
                "letters, digits and `_`",
            ),
            (
                "a space",
                named("a b"),
                "scene.ron:2:10",
                "contains a space",
                "letters, digits and `_`",
            ),
            (
                "nothing",
                named(""),
                "scene.ron:2:10",
                "the name of a cell is empty",
                "at least one letter",
            ),
        ],
    );
}

#[test]
fn numbers_that_make_no_sense() {
    let timed = |duration: &str, step: &str| {
        format!(
            "Scene(format: 1, duration_ms: {duration},\nstep_ms: {step}, cells: {{ \"A\": (cell: \"stg\") }})"
        )
    };
    let cell = |fields: &str| around(&format!("cells: {{ \"A\": (cell: \"stg\",\n{fields}) }}"));
    scenes_are_refused(
        "numbers",
        &[],
        &[
            (
                "NaN",
                timed("NaN", "0.05"),
                "scene.ron:1:31",
                "`NaN` is not allowed here",
                "expected a finite number",
            ),
            (
                "infinite",
                timed("inf", "0.05"),
                "scene.ron:1:31",
                "`inf` is not allowed here",
                "expected a finite number",
            ),
            (
                "too large",
                timed("1e400", "0.05"),
                "scene.ron:1:31",
                "this number is too large",
                "every number of a scene is finite",
            ),
            (
                "too large by its unit",
                cell("gbar: { \"Na\": S_per_cm2(1e307) }"),
                "scene.ron:3:15",
                "this value is too large",
                "every number of a scene is finite",
            ),
            (
                "too large by its area",
                cell("area_cm2: 1e-300, gbar: { \"Na\": mS(1e100) }"),
                "scene.ron:3:33",
                "this value is too large",
                "every number of a scene is finite",
            ),
            (
                "a negative duration",
                timed("-5", "0.05"),
                "scene.ron:1:31",
                "found -5",
                "expected a number greater than 0",
            ),
            (
                "a step of zero",
                timed("10", "0"),
                "scene.ron:2:10",
                "found 0",
                "expected a number greater than 0",
            ),
            (
                "a step beyond control",
                timed("10", "2"),
                "scene.ron:2:10",
                "step_ms is 2, control_ms is 1",
                "a smaller `step_ms`",
            ),
            (
                "too many steps",
                timed("1e300", "1e-300"),
                "scene.ron:2:10",
                "more steps than can be counted",
                "at most 1e12 steps",
            ),
            (
                "more steps than times can be told apart",
                timed("1e16", "1"),
                "scene.ron:2:10",
                "1.000e16 steps",
                "a shorter `duration_ms`",
            ),
            (
                "a negative conductance",
                cell("gbar: { \"Na\": -1 }"),
                "scene.ron:3:15",
                "found -1",
                "`negative_conductance: \"allow\"`",
            ),
            (
                "a negative one by protocol",
                pair("protocol: [(at_ms: 1, set: \"A.Na.gbar\", to: -1)]"),
                "scene.ron:3:28",
                "`A.Na.gbar` cannot be -1",
                "`negative_conductance: \"allow\"`",
            ),
            (
                "by a ramp",
                pair("protocol: [(at_ms: 1, ramp: \"*.Na.gbar\", to: -1, over_ms: 5)]"),
                "scene.ron:3:29",
                "`*.Na.gbar` cannot be -1",
                "`negative_conductance: \"allow\"`",
            ),
            (
                "by overwriting",
                pair("protocol: [(at_ms: 1, overwrite: \"A\", gbar: { \"Na\": -1 })]"),
                "scene.ron:3:54",
                "found -1",
                "`negative_conductance: \"allow\"`",
            ),
            (
                "of an edge",
                pair("edges: [(pre: \"A\", post: \"B\", kind: \"gap\", g: -1)]"),
                "scene.ron:3:46",
                "found -1",
                "expected a number that is not negative",
            ),
            (
                "negative calcium",
                pair("protocol: [(at_ms: 1, set: \"A.Ca\", to: -1)]"),
                "scene.ron:3:28",
                "`A.Ca` cannot be -1",
                "expected a number that is not negative",
            ),
            (
                "a gate of 2",
                pair(
                    "edges: [(pre: \"A\", post: \"B\", kind: \"tanh\", g: 1)],\nprotocol: [(at_ms: 1, set: \"A->B.s\", to: 2)]",
                ),
                "scene.ron:4:28",
                "`A->B.s` cannot be 2",
                "expected a number from 0 to 1",
            ),
            (
                "no cells",
                around("cells: {}"),
                "scene.ron:2:8",
                "no cell",
                "a scene needs at least one cell",
            ),
            (
                "a gap to oneself",
                pair("edges: [(pre: \"A\", post: \"A\", kind: \"gap\", g: 1)]"),
                "scene.ron:3:9",
                "cannot have a gap junction with itself",
                "only chemical synapses may join",
            ),
            (
                "a protocol beyond the run",
                pair("protocol: [(at_ms: 11, set: \"A.V\", to: 1)]"),
                "scene.ron:3:20",
                "this comes after the run",
                "the run ends at 10 ms",
            ),
            (
                "a ramp beyond the run",
                pair("protocol: [(at_ms: 9, ramp: \"A.I\", to: 1, over_ms: 5)]"),
                "scene.ron:3:52",
                "this ends after the run",
                "the run ends at 10 ms",
            ),
            (
                "a window beyond the run",
                pair("windows: [(label: \"w\", from_ms: 0, to_ms: 11)]"),
                "scene.ron:3:43",
                "this window ends after the run",
                "the run ends at 10 ms",
            ),
        ],
    );
}

#[test]
fn kinetics_that_no_table_can_hold() {
    let rows = [
        (
            "does not parse",
            channel("1/(1 + exp((V + half)/5)", ""),
            "channel.ron:2:33",
            "`(` is never closed",
            "in this expression",
        ),
        (
            "an unknown variable",
            channel("sigmoid((V + halff)/5)", ""),
            "channel.ron:2:44",
            "`halff` is not known here",
            "did you mean `half`?",
        ),
        (
            "a variable of synapses",
            channel("sigmoid(V_pre)", ""),
            "channel.ron:2:39",
            "`V_pre` cannot be used here",
            "allowed: `V`, `Ca`, `half`",
        ),
        (
            "an unknown function",
            channel("log(V)", ""),
            "channel.ron:2:31",
            "`log` is not a function",
            "the natural logarithm is `ln`",
        ),
        (
            "a pole",
            channel("0.5", ", bridge: (-1, 1)").replace("tau: 5", "tau: \"1/abs(V - 20)\""),
            "scene.ron:2:10",
            "gate `X.m` has no finite value at V = 20 mV",
            "needs `bridge: (from, to)`",
        ),
        (
            "a steady state of 2",
            channel("2", ""),
            "scene.ron:2:10",
            "the steady state is 2 at V = -150 mV",
            "`X.m`",
        ),
        (
            "a negative time constant",
            channel("0.5", "").replace("tau: 5", "tau: -5"),
            "scene.ron:2:10",
            "the time constant (ms) is -5",
            "`X.m`",
        ),
        (
            "too long",
            channel(&"V+".repeat(3000), "V"),
            "channel.ron:2:",
            "more than 2000 numbers, names and operations",
            "too long",
        ),
        (
            "too deep",
            channel(&"(".repeat(3000), ""),
            "channel.ron:2:",
            "nested more than 100 deep",
            "in this expression",
        ),
    ];
    for (k, (what, channel, place, found, fix)) in rows.iter().enumerate() {
        let folder = Folder::new(&format!("kinetics-{k}"))
            .with("scene.ron", WITH_CHANNEL)
            .with("cell.ron", CELL)
            .with("channel.ron", channel);
        refused(
            what,
            &folder,
            &["run", "scene.ron"],
            2,
            &[place, found, fix],
        );
    }
    // A pole that only comes to be while the run is under way is known before it starts.
    let folder = Folder::new("kinetics-later")
        .with("cell.ron", CELL)
        .with(
            "channel.ron",
            channel("min(1, abs(1/(V + half + 200)))", ""),
        )
        .with(
            "scene.ron",
            WITH_CHANNEL.replace(
                "})",
                "},\nprotocol: [(at_ms: 5, set: \"A.X.half\", to: -200)])",
            ),
        );
    let expected = [
        "scene.ron:3:28",
        "`A.X.half` cannot be -200: gate `X.m` has no finite value at V = 0 mV",
        "needs `bridge: (from, to)`",
    ];
    refused(
        "a pole by protocol",
        &folder,
        &["run", "scene.ron"],
        2,
        &expected,
    );
    refused(
        "a pole by --set",
        &folder,
        &["run", "scene.ron", "--set", "A.X.half=-190"],
        2,
        &[
            "`A.X.half` cannot be set",
            "no finite value at V = -10 mV",
            "`bridge",
        ],
    );
    let slow = pair("protocol: [(at_ms: 1, set: \"A.KCa.tm\", to: 0)]");
    scenes_are_refused(
        "kinetics-factor",
        &[],
        &[(
            "no time constant",
            slow,
            "scene.ron:3:28",
            "`A.KCa.tm` cannot be 0",
            "the factor on its time constant is 0, not above 0",
        )],
    );
}

#[test]
fn calcium_without_a_logarithm() {
    let nernst = r#"Channel(format: 1, name: "x", reversal: Nernst(slope_mV: 12.2, outside_uM: 3000), carries_calcium: true)"#;
    let fix = "expected a number greater than 0";
    let rows = [
        (
            "at rest",
            CELL.replace("rest_uM: 0.05", "rest_uM: 0"),
            WITH_CHANNEL.to_owned(),
            "cell.ron:2:73",
            fix,
        ),
        (
            "no pool",
            CELL.replace(
                "calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94)",
                "",
            ),
            WITH_CHANNEL.to_owned(),
            "cell.ron:1:1",
            "give it `calcium`",
        ),
        (
            "at the start",
            CELL.to_owned(),
            WITH_CHANNEL.replace("cell: \"mine\"", "cell: \"mine\", start: (Ca: 0)"),
            "scene.ron:2:44",
            fix,
        ),
        (
            "set",
            CELL.to_owned(),
            WITH_CHANNEL.replace("})", "},\nprotocol: [(at_ms: 1, set: \"A.Ca\", to: 0)])"),
            "scene.ron:3:28",
            fix,
        ),
        (
            "reset",
            CELL.to_owned(),
            WITH_CHANNEL.replace("})", "},\nprotocol: [(at_ms: 1, reset: \"A\", Ca: 0)])"),
            "scene.ron:3:30",
            fix,
        ),
    ];
    for (k, (what, cell, scene, place, fix)) in rows.iter().enumerate() {
        let folder = Folder::new(&format!("nernst-{k}"))
            .with("scene.ron", scene)
            .with("cell.ron", cell)
            .with("channel.ron", nernst);
        refused(
            what,
            &folder,
            &["run", "scene.ron"],
            2,
            &[place, fix, "Nernst potential"],
        );
    }
    // Outward calcium current far above the potential empties the pool.
    let folder = Folder::new("nernst-run")
        .with(
            "scene.ron",
            WITH_CHANNEL.replace("cell: \"mine\"", "cell: \"mine\", I: 300"),
        )
        .with("cell.ron", CELL)
        .with("channel.ron", nernst);
    let expected = [
        "homarus: Ca of cell `A` is -",
        "at t = ",
        "the Nernst potential of the cell has no value there",
    ];
    refused(
        "a pool below zero",
        &folder,
        &["run", "scene.ron"],
        1,
        &expected,
    );
}

/// Cells that each need a table of their own: more than fits.
#[test]
fn tables_that_do_not_fit_in_memory() {
    const CELLS: usize = 100_000;
    let channels: String = (0..32).map(|k| format!("\"c{k}\": \"x\", ")).collect();
    let cell = format!(
        r#"Cell(format: 1, name: "mine", include: ["channel.ron"], capacitance: 1, channels: {{ {channels} }})"#
    );
    let cells: String = (1..CELLS)
        .map(|k| format!("\"n{k}\": (cell: \"mine\", parameters: {{ \"c0.half\": {k} }}),\n"))
        .collect();
    let folder = Folder::new("memory")
        .with("channel.ron", channel("sigmoid((V + half)/5)", ""))
        .with("cell.ron", cell)
        .with("scene.ron", format!("Scene(format: 1, include: [\"cell.ron\"], duration_ms: 1, step_ms: 0.05, cells: {{ {cells} }})"));
    // The tables take 307 GB; a machine that has as much does not refuse them.
    let enough = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| {
                line.strip_prefix("MemAvailable:")?
                    .trim()
                    .split(' ')
                    .next()?
                    .parse::<f64>()
                    .ok()
            })
        })
        .is_none_or(|kib| kib > 3e8);
    if !enough {
        let expected = [
            "this network does not fit in memory",
            "99999 tables of kinetics of cells take 307.",
            "cells share a table where",
        ];
        refused("memory", &folder, &["run", "scene.ron"], 2, &expected);
    }
}

#[test]
fn wrong_command_lines() {
    let set = |setting: &'static str| vec!["--set", setting];
    let rows: &[(&str, Vec<&str>, &str, &str)] = &[
        (
            "no equals sign",
            set("A.V"),
            "`--set A.V` has no `=`",
            "write --set PATH=VALUE",
        ),
        (
            "nothing at all",
            set("="),
            "there is no setting ``",
            "settings are duration_ms",
        ),
        (
            "no value",
            set("A.V="),
            "`A.V`: `` is no finite number",
            "write for instance 0.8",
        ),
        (
            "an unknown setting",
            set("stepms=1"),
            "there is no setting `stepms`",
            "did you mean `step_ms`?",
        ),
        (
            "a bare cell",
            set("A=1"),
            "there is no setting `A`",
            "CELL.SCALAR",
        ),
        (
            "an unknown cell",
            set("C.V=1"),
            "there is no cell `C`",
            "there are: A, B",
        ),
        (
            "an unknown channel",
            set("A.Nah.gbar=1"),
            "there is no channel `Nah`",
            "did you mean `Na`?",
        ),
        (
            "a channel, no scalar",
            set("A.Na=1"),
            "`A.Na` is a channel",
            "write `A.Na.gbar`",
        ),
        (
            "an unknown edge",
            set("A->B.g=1"),
            "there is no edge `A->B`",
            "no edges",
        ),
        (
            "a glob without a match",
            set("Q*.V=1"),
            "`Q*` matches no cell",
            "there are: A, B",
        ),
        (
            "twice",
            vec!["--set", "A.V=1", "--set", " A.V =2"],
            "`--set A.V` is given twice",
            "keep one of the two",
        ),
        (
            "no number",
            set("A.V=high"),
            "`high` is no finite number",
            "write for instance 0.8",
        ),
        (
            "too large",
            set("A.V=1e400"),
            "`1e400` is no finite number",
            "write for instance 0.8",
        ),
        (
            "not a number",
            set("A.V=NaN"),
            "`NaN` is no finite number",
            "write for instance 0.8",
        ),
        (
            "a negative conductance",
            set("A.Na.gbar=-1"),
            "`A.Na.gbar` cannot be -1",
            "`negative_conductance: \"allow\"`",
        ),
        (
            "no time constant",
            set("A.KCa.tm=-1"),
            "the factor on its time constant is -1",
            "not above 0",
        ),
        (
            "a step of zero",
            set("step_ms=0"),
            "`step_ms` cannot be 0",
            "a finite number of ms above 0",
        ),
        (
            "a step beyond control",
            set("step_ms=10"),
            "step_ms is 10, control_ms is 1",
            "a smaller `step_ms`",
        ),
        (
            "control below the step",
            set("control_ms=1e-300"),
            "step_ms is 0.05, control_ms is",
            "a longer `control_ms`",
        ),
        (
            "too many steps",
            set("duration_ms=1e300"),
            "more steps than can be counted",
            "at most 1e12 steps",
        ),
        (
            "half a seed",
            set("seed=1.5"),
            "`seed` cannot be `1.5`",
            "expected a whole number from 0",
        ),
        (
            "a negative seed",
            vec!["--seed", "-1"],
            "invalid value '-1' for '--seed <SEED>'",
            "expected a whole number from 0",
        ),
        (
            "a negative duration",
            vec!["--duration-ms", "-5"],
            "`--duration-ms` cannot be -5",
            "a finite number of ms above 0",
        ),
        (
            "an infinite duration",
            vec!["--duration-ms", "1e400"],
            "`--duration-ms` cannot be inf",
            "a finite number of ms above 0",
        ),
        (
            "no number of ms",
            vec!["--step-ms", "NaN"],
            "`--step-ms` cannot be NaN",
            "a finite number of ms above 0",
        ),
        (
            "a step beyond control",
            vec!["--step-ms", "10"],
            "step_ms is 10, control_ms is 1",
            "a smaller `step_ms`",
        ),
        (
            "an unknown integrator",
            vec!["--integrator", "euler"],
            "there is no integrator `euler`",
            "there are `exponential` and `reference`",
        ),
        (
            "an unknown flag",
            vec!["--duration", "5"],
            "unexpected argument '--duration'",
            "--duration-ms",
        ),
    ];
    for (k, (what, arguments, found, fix)) in rows.iter().enumerate() {
        let folder = Folder::new(&format!("line-{k}")).with("scene.ron", pair(""));
        let arguments = [&["run", "scene.ron"], &arguments[..]].concat();
        refused(what, &folder, &arguments, 2, &[found, fix]);
    }
}

#[test]
fn what_cannot_be_opened() {
    let folder = Folder::new("open")
        .with("folder.ron/inside", "")
        .with("x.ron", r#"Channel(format: 1, name: "x", reversal: -50)"#)
        .with("half_centre", "");
    let rows = [
        (
            "a folder",
            "folder.ron",
            "`folder.ron` is a folder, not a file",
            "name the `.ron` file in it",
        ),
        (
            "no such file",
            "nope.ron",
            "`nope.ron` does not exist",
            "nope.ron",
        ),
        (
            "a shipped name with its ending",
            "half_centre.ron",
            "`half_centre.ron` does not exist",
            "`half_centre` ships with Homarus",
        ),
        (
            "no such name",
            "half_center",
            "there is no shipped scene `half_center`",
            "did you mean `half_centre`?",
        ),
        (
            "a name without its ending",
            "x",
            "there is no shipped scene `x`",
            "a scene file is given with its ending: `x.ron`",
        ),
        (
            "a channel",
            "x.ron",
            "this file defines a channel",
            "a scene includes it or refers to it by name",
        ),
    ];
    for (what, scene, found, fix) in rows {
        refused(what, &folder, &["run", scene], 2, &[found, fix]);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("permission").with("scene.ron", pair(""));
        let path = folder.0.join("scene.ron");
        fs::set_permissions(&path, fs::Permissions::from_mode(0)).unwrap();
        // Nothing is closed to root.
        if fs::read(&path).is_err() {
            refused(
                "no permission",
                &folder,
                &["run", "scene.ron"],
                2,
                &["`scene.ron` cannot be read", "ermission"],
            );
        }
        refused(
            "a device",
            &folder,
            &["run", "/dev/zero"],
            2,
            &["`/dev/zero` is larger than 1 GiB", "is it a scene?"],
        );
    }
}

#[test]
fn runs_that_leave_all_sense() {
    for (k, current) in ["1e30", "1e308", "-1e30", "1e9"].iter().enumerate() {
        let cell = |current: &str| {
            around(&format!(
                "cells: {{ \"A\": (cell: \"stg\", gbar: {{ \"leak\": 0.1 }}, I: {current}) }}"
            ))
        };
        let folder = Folder::new(&format!("current-{k}")).with("scene.ron", cell(current));
        let expected = [
            "homarus: V of cell `A` is",
            "at t = ",
            "the run has left all sense",
        ];
        refused(current, &folder, &["run", "scene.ron"], 1, &expected);
        let arguments = ["run", "scene.ron", "--integrator", "reference"];
        refused(current, &folder, &arguments, 1, &expected);
    }
}

/// What looks wrong and is not.
#[test]
fn what_is_accepted() {
    let folder = Folder::new("accepted")
        .with("negative.ron", around("negative_conductance: \"allow\", cells: { \"A\": (cell: \"stg\", gbar: { \"Na\": -1, \"leak\": 10 }) }, protocol: [(at_ms: 1, set: \"A.Na.gbar\", to: -2)]"))
        .with("passive.ron", pair(""))
        .with("empty.ron", around("cells: { \"A\": (cell: \"stg\"), \"B\": (like: \"A\") }"))
        .with("long.ron", "Scene(format: 1, duration_ms: 1e15, step_ms: 1, cells: { \"A\": (cell: \"stg\") })")
        .with("mes réseaux/ça va.ron", pair(""));
    for arguments in [
        &["run", "negative.ron"][..],
        &["run", "negative.ron", "--set", "A.Na.gbar=-3"],
        &["run", "passive.ron"],
        &["list", "paths", "long.ron"],
        &["run", "mes réseaux/ça va.ron"],
    ] {
        let output = folder.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            told(&output)
        );
        assert!(!output.stdout.is_empty());
        assert_eq!(told(&output), "", "{arguments:?}");
    }
    let output = folder.run(&["run", "empty.ron"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        told(&output),
        "warning: no conductance in A, B: nothing brings the voltage to rest; see `gbar`"
    );

    let folder = Folder::new("accents").with("mes réseaux/ça va.ron", pair("seeed: 1"));
    refused(
        "accents",
        &folder,
        &["run", "mes réseaux/ça va.ron"],
        2,
        &["mes réseaux/ça va.ron:3:1", "did you mean `seed`?"],
    );
}

/// Whoever reads no further ends the program quietly.
#[test]
fn a_closed_pipe() {
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
        let mut errors = child.stderr.take().unwrap();
        let mut told = String::new();
        if code == 0 {
            errors.read_to_string(&mut told).unwrap();
        }
        // The errors of a wrong scene find nobody who reads them.
        drop(errors);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}");
        assert_eq!(told, "", "{arguments:?}");
    }
}

/// A scene is the same scene however its lines end, and its errors are at the same places.
#[test]
fn line_ends_make_no_difference() {
    let text = "// two cells\nScene(format: 1, /* a\ncomment */ duration_ms: 10, step_ms: 0.05,\nabout: \"two\nlines\",\n// here they are\ncells: { \"A\": (cell: \"stg\") },\n)\n";
    let wrong = text.replace("cell:", "cel:");
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
    let hashes: Vec<String> = forms(text)
        .iter()
        .map(|text| {
            read_text(text, "scene.ron", None)
                .unwrap_or_else(|e| panic!("{e}"))
                .hash(&[])
        })
        .collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    for (k, text) in forms(&wrong).iter().enumerate() {
        let folder = Folder::new(&format!("ends-{k}")).with("scene.ron", text);
        refused(
            "line ends",
            &folder,
            &["run", "scene.ron"],
            2,
            &["scene.ron:7:16", "no field `cel`", "did you mean `cell`?"],
        );
    }
}

/// Reads a damaged text: it is right, or every error of it can be shown.
fn survives(text: &str) {
    if let Err(errors) = read_text(text, "scene.ron", None) {
        assert!(!errors.is_empty(), "wrong without a reason:\n{text}");
        assert!(!errors.render(false, 80).trim().is_empty());
    }
}

#[test]
fn damaged_scenes_are_refused_with_a_reason() {
    // A linear congruential generator: the damage is the same in every run.
    let mut state = 544_u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let scenes = shipped()
        .into_iter()
        .filter(|file| file.kind == Kind::Network);
    for file in scenes {
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
