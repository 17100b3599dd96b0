//! `expect` and `homarus verify`: a scene says what it must show, in any number or word of the run's
//! JSON or any scalar at a time; it is run and held to it. Everything that ships is as it expects; a
//! quantity that does not exist is refused before anything runs, with its place.

mod helpers;
mod program;

use helpers::Folder;
use homarus::{
    run,
    scene::{self, Kind, expect, read_text, shipped},
};
use program::{homarus, homarus_in, stderr, stdout};
use serde_json::Value;

/// A half-centre of two fast cells with expectations, 3 s of it.
fn pair(expect: &str) -> String {
    format!(
        "Scene(format: 1, about: \"a pair\", source: \"test\", duration_ms: 3_000, step_ms: 0.05,\n\
         cells: {{ \"A\": ({}), \"B\": ({}) }},\n\
         groups: {{ \"both\": [\"A\", \"B\"] }},\n\
         edges: [(pre: \"A\", post: \"B\", kind: \"tanh\", g: 0.8), (pre: \"B\", post: \"A\", kind: \"tanh\", g: 0.8)],\n\
         protocol: [(at_ms: 2_500, set: \"A.H.gbar\", to: 0.5)],\n\
         windows: [(label: \"v. 1\", from_ms: 1_000, to_ms: 2_000), (label: \"end\", from_ms: 2_000, to_ms: 3_000)],\n\
         expect: [\n{expect}\n])",
        helpers::stg(0, -60.0),
        helpers::stg(1, -55.0),
    )
}

/// Verifies scenes in a folder of their own.
struct Verified {
    code: Option<i32>,
    json: Value,
}

fn verify(name: &str, expect: &str) -> Verified {
    let folder = Folder::new(name, &[("pair.ron", &pair(expect))]);
    let output = homarus_in(folder.path(""), &["verify", "pair.ron", "--json"]);
    let text = stdout(&output);
    let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {}", stderr(&output)));
    Verified {
        code: output.status.code(),
        json,
    }
}

impl Verified {
    fn findings(&self) -> &[Value] {
        self.json["scenes"][0]["expectations"].as_array().unwrap()
    }
}

/// The networks; the studies take ten minutes, and are run by `homarus verify --all`.
#[test]
fn every_shipped_network_shows_what_it_expects() {
    let networks = shipped().into_iter().filter(|s| s.kind == Kind::Network);
    let names: Vec<String> = networks
        .filter(|network| network.text.contains("expect: ["))
        .map(|network| network.name)
        .collect();
    assert!(names.len() >= 9, "{names:?}");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let output = homarus(&[&["verify", "--json"][..], &names].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["met"], true);
    println!("skipped: the studies, which `homarus verify --all` runs");
}

/// A study is checked; one that is a scene says what it must show.
#[test]
fn every_study_is_sound() {
    for study in shipped().into_iter().filter(|s| s.kind == Kind::Study) {
        let checked = homarus(&["check", &study.name]);
        assert_eq!(checked.status.code(), Some(0), "{}", study.name);
        let judged = study.text.contains("expect: [") || study.verb() == Some("study");
        assert!(judged, "{}", study.name);
    }
}

/// The measures that can be expected are those of the JSON.
#[test]
fn every_number_and_word_of_the_json_can_be_expected() {
    let scene = read_text(&pair(""), "pair.ron", None).unwrap();
    let summary = serde_json::to_value(run::run(&scene).unwrap()).unwrap();
    let keys = |value: &Value, of: fn(&Value) -> bool| -> Vec<String> {
        let fields = value.as_object().unwrap().iter();
        let mut keys: Vec<String> = fields
            .filter(|(_, value)| of(value))
            .map(|(key, _)| key.clone())
            .collect();
        keys.sort();
        keys
    };
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    let window = &summary["windows"][0];
    let cell = keys(&window["cells"][0], |v| !v.is_string());
    assert_eq!(cell, sorted(&expect::CELL_NUMBERS));
    assert_eq!(
        keys(&window["cells"][0], Value::is_string),
        ["name", "pattern"]
    );
    let rhythm = &window["rhythms"][0];
    assert_eq!(
        keys(rhythm, Value::is_number),
        sorted(&expect::RHYTHM_NUMBERS)
    );
    assert_eq!(
        keys(rhythm, Value::is_string),
        ["name", "reference", "verdict"]
    );
    assert_eq!(
        keys(&rhythm["cells"][0], Value::is_number),
        sorted(&expect::PHASE_NUMBERS)
    );
    let run = keys(&summary, Value::is_number);
    assert_eq!(
        run,
        sorted(&[&expect::RUN_NUMBERS[..], &["wall_s"]].concat())
    );

    // A population, with every pattern that there is.
    let many = helpers::scene_text(
        1_500.0,
        0.05,
        &format!(
            "cells: {{ \"P\": (count: 201, {}) }},\nwindows: [(label: \"end\", from_ms: 500, to_ms: 1_500)],",
            helpers::stg(0, -60.0)
        ),
    );
    let scene = read_text(&many, "many.ron", None).unwrap();
    let summary = serde_json::to_value(run::run(&scene).unwrap()).unwrap();
    let population = &summary["populations"][0];
    let counts = [&expect::PATTERNS[..], &["n"]].concat();
    assert_eq!(keys(population, Value::is_number), sorted(&counts));
    // Correlations are a matrix, which nothing is expected of.
    let moments = [&expect::MOMENTS[..], &expect::SPREADS, &["correlation"]].concat();
    assert_eq!(keys(population, Value::is_object), sorted(&moments));
    let mut measures = keys(&population["mean"], Value::is_number);
    measures.retain(|measure| !measure.ends_with(".gbar"));
    assert_eq!(measures, sorted(&expect::POPULATION_MEASURES));
    let wanted = many.trim_end_matches([')', '\n']).to_owned()
        + "\nexpect: [(measure: \"populations.end.P.bursting\", value: 201, tolerance: 0),
            (measure: \"populations.end.cells.median.Na.gbar\", value: 3951.84, relative: 1e-6),
            (measure: \"populations.end.P.cv.Na.gbar\", at_most: 1e-9),
            (measure: \"windows.end.cells.P.pattern\", is: \"bursting\"),
            (measure: \"windows.end.cells.P[17].spikes\", at_least: 10)])";
    let folder = Folder::new("verify-many", &[("many.ron", &wanted)]);
    let output = homarus_in(folder.path(""), &["verify", "many.ron"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

#[test]
fn what_is_found_is_judged_as_it_is_wanted() {
    let verified = verify(
        "verify-judged",
        r#"(measure: "windows.v. 1.rhythms.all.verdict", is: "rhythmic"),
        (measure: "windows.v. 1.rhythms.all.period_ms", value: 219.2, relative: 0.02),
        (measure: "windows.v. 1.rhythms.all.period_ms", value: 230, tolerance: 5),
        (measure: "windows.v. 1.rhythms.all.cells.B.phase", at_least: 0.4, at_most: 0.6),
        (measure: "windows.v. 1.cells.both.pattern", is: "bursting"),
        (measure: "windows.v. 1.cells.both.pattern", is: "tonic", note: "a note", source: "a source"),
        (measure: "windows.v. 1.cells.*.pattern", take: Fraction("bursting"), value: 1, tolerance: 0),
        (measure: "windows.end.cells.*.ca_mean_um", take: Mean, at_least: 1),
        (measure: "windows.end.cells.*.ca_mean_um", take: Min, at_least: 1e6),
        (measure: "windows.end.cells.A.ca_mean_um", take: Max, at_most: 1e6),
        (measure: "windows.end.cells.A.ca_mean_um", take: Median, at_most: 1e6),
        (measure: "neurons", value: 2, tolerance: 0),
        (scalar: "A.H.gbar", at_ms: 0, value: 0.29087, relative: 1e-9),
        (scalar: "A.H.gbar", at_ms: 2_400, value: 0.29087, relative: 1e-9),
        (scalar: "A.H.gbar", value: 0.5, tolerance: 0),
        (scalar: "*.Na.gbar", values: { "A": 3951.84, "B": 6206.17 }, relative: 1e-9),
        (scalar: "*.Na.gbar", values: { "A": 3951.84, "B": 1 }, relative: 1e-9),
        (scalar: "*.Na.gbar", values: { "A": 3951.84, "B": 1 }, relative: 1e-9, fraction: 0.5),
        (scalar: "A->B.g", value: 0.8, tolerance: 1e-12)"#,
    );
    assert_eq!(verified.code, Some(1));
    let met: Vec<bool> = verified
        .findings()
        .iter()
        .map(|finding| finding["met"].as_bool().unwrap())
        .collect();
    let wanted = [
        true, true, false, true, true, false, true, true, false, true, true, true, true, true,
        true, true, false, true, true,
    ];
    assert_eq!(met, wanted, "{:#}", verified.json);
    let missed = &verified.findings()[5];
    assert_eq!(missed["found"][1]["cell"], "B");
    assert_eq!(missed["found"][1]["value"], "bursting");
    assert_eq!(
        (&missed["note"], &missed["source"]),
        (&"a note".into(), &"a source".into())
    );
    assert_eq!(verified.json["met"], false);
}

#[test]
fn a_measure_that_is_not_defined_is_missed() {
    let verified = verify(
        "verify-undefined",
        "(measure: \"windows.end.cells.*.duty\", at_least: 0), (measure: \"windows.end.cells.*.duty\", take: Mean, at_least: 0)",
    );
    assert_eq!(verified.code, Some(0));
    let silent = pair("(measure: \"windows.end.cells.*.duty\", at_least: 0)")
        .replace("\"leak\": 0.0", "\"leak\": 5.0");
    let folder = Folder::new("verify-silent", &[("pair.ron", &silent)]);
    let output = homarus_in(folder.path(""), &["verify", "pair.ron"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("(not A undefined"),
        "{}",
        stdout(&output)
    );
    let excused = silent.replace("at_least: 0)", "at_least: 0, or_undefined: true)");
    let folder = Folder::new("verify-excused", &[("pair.ron", &excused)]);
    let output = homarus_in(folder.path(""), &["verify", "pair.ron"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn the_table_says_what_was_wanted_and_found() {
    let expect = "(measure: \"windows.v. 1.cells.A.pattern\", is: \"bursting\"),
        (measure: \"windows.v. 1.cells.*.spikes\", at_most: 3, source: \"nobody\", note: \"too few\")";
    let folder = Folder::new("verify-table", &[("pair.ron", &pair(expect))]);
    let output = homarus_in(folder.path(""), &["verify", "pair.ron", "half_centre"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "");
    let text = stdout(&output);
    for part in [
        "pair: a pair\n",
        "v. 1.cells.A.pattern  bursting   bursting",
        "MISSED",
        "(not A ",
        "1 of 2 as expected, ",
        "  windows.v. 1.cells.*.spikes: nobody; too few\n",
        "half_centre: Two fast STG cells",
        "3 of 3 as expected",
        "1 of 2 scenes are as expected\n",
    ] {
        assert!(text.contains(part), "`{part}` in\n{text}");
    }
    let check = stdout(&homarus_in(folder.path(""), &["check", "pair.ron"]));
    assert!(
        check.contains("windows.v. 1.cells.*.spikes: at most 3"),
        "{check}"
    );
}

#[test]
fn a_table_beside_the_scene_has_a_value_for_each_cell() {
    let table = "# gbar at the end\ncell,Na,Kd\nA,3951.84,137.74\nB,6206.17,1\nC,5,5\n";
    let expect = |column: &str, more: &str| {
        pair(&format!(
            "(scalar: \"*.{column}.gbar\", table: \"g.csv\", column: \"{column}\", relative: 0.001{more})"
        ))
    };
    let files = [
        ("g.csv", table),
        ("na.ron", &expect("Na", "")),
        ("kd.ron", &expect("Kd", "")),
        ("half.ron", &expect("Kd", ", fraction: 0.5")),
    ];
    let folder = Folder::new("verify-csv", &files);
    for (scene, code) in [("na.ron", 0), ("kd.ron", 1), ("half.ron", 0)] {
        let output = homarus_in(folder.path(""), &["verify", scene]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{scene}: {}",
            stderr(&output)
        );
    }
    // As resolved it needs the table no more.
    let scene = scene::read(&folder.path("na.ron")).unwrap();
    let again = read_text(&scene.text(), "again.ron", None).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again.expect.len(), 1);
    assert_eq!(again.hash(), scene.hash());
}

#[test]
fn what_a_scene_expects_is_not_inherited_and_goes_with_its_windows() {
    let heir = "Scene(format: 1, include: [\"half_centre\"], windows: [])";
    let scene = read_text(heir, "heir.ron", None).unwrap_or_else(|e| panic!("{e}"));
    assert!(scene.expect.is_empty());
    let expect = "(measure: \"windows.v. 1.cells.A.spikes\", at_least: 1), (measure: \"windows.end.cells.A.spikes\", at_least: 1)";
    let folder = Folder::new("verify-short", &[("pair.ron", &pair(expect))]);
    let arguments = ["verify", "pair.ron", "--set", "duration_ms=2_200"];
    let output = homarus_in(folder.path(""), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("1 of 1 as expected"));
    assert_eq!(
        stderr(&output),
        "warning: 1 window and 1 protocol entry beyond 2200 ms dropped\n\
         warning: 1 expectation of `pair` goes with them\n"
    );
    let arguments = ["verify", "pair.ron", "--set", "duration_ms=500"];
    let output = homarus_in(folder.path(""), &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nothing that `pair` expects lies within 500 ms"));
    // What is set is part of what is held against it.
    let arguments = ["verify", "half_centre", "--set", "*.Na.gbar=0"];
    assert_eq!(homarus(&arguments).status.code(), Some(1));
}

#[test]
fn a_run_that_fails_is_not_as_expected() {
    let text = pair("(measure: \"neurons\", value: 2, tolerance: 0)")
        .replace("set: \"A.H.gbar\", to: 0.5", "set: \"A.I\", to: 1e9");
    let folder = Folder::new("verify-fails", &[("pair.ron", &text)]);
    let output = homarus_in(folder.path(""), &["verify", "pair.ron"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("homarus: pair: V of cell `A`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn bad_expectations_are_refused_with_their_place() {
    for (expect, line, message, fix) in [
        (
            r#"(measure: "windows.later.cells.A.spikes", at_least: 1)"#,
            8,
            "there is no window `later`",
            "`v. 1`, `end`",
        ),
        (
            r#"(measure: "windows.end.cells.C.spikes", at_least: 1)"#,
            8,
            "there is no cell `C`",
            "",
        ),
        (
            r#"(measure: "windows.end.cells.A.spike", at_least: 1)"#,
            8,
            "there is no measure of cells `spike`",
            "did you mean `spikes`?",
        ),
        (
            r#"(measure: "windows.end.cells.A", at_least: 1)"#,
            8,
            "ends before a measure of cells",
            "known: ",
        ),
        (
            r#"(measure: "windows.end.rhythm.all.period_ms", at_least: 1)"#,
            8,
            "there is no list of a window `rhythm`",
            "did you mean `rhythms`?",
        ),
        (
            r#"(measure: "windows.end.rhythms.fast.period_ms", at_least: 1)"#,
            8,
            "there is no rhythm `fast`",
            "`all`",
        ),
        (
            r#"(measure: "windows.end.rhythms.all.phase", at_least: 1)"#,
            8,
            "there is no measure of rhythms `phase`",
            "",
        ),
        (
            r#"(measure: "windows.end.rhythms.all.cells.A.phase", at_least: 1)"#,
            8,
            "`A` follows no rhythm `all`",
            "its reference, A",
        ),
        (
            r#"(measure: "populations.end.cells.bursting", at_least: 1)"#,
            8,
            "a scene of 2 single cells has no populations",
            "cells.*",
        ),
        (
            r#"(measure: "neuron", at_least: 1)"#,
            8,
            "there is no measure `neuron`",
            "did you mean `neurons`?",
        ),
        (
            r#"(measure: "", at_least: 1)"#,
            8,
            "ends before a measure",
            "",
        ),
        (
            r#"(scalar: "A.CaX.gbar", at_least: 1)"#,
            8,
            "CaX",
            "did you mean",
        ),
        (
            r#"(scalar: "A.V", at_ms: 4_000, at_least: 1)"#,
            8,
            "this is after the run",
            "3000 ms",
        ),
        (
            r#"(measure: "neurons", at_ms: 1, at_least: 1)"#,
            8,
            "a measure has no time of its own",
            "",
        ),
        (
            r#"(measure: "neurons", scalar: "A.V", at_least: 1)"#,
            8,
            "about one quantity",
            "",
        ),
        (
            "(at_least: 1)",
            8,
            "an expectation needs a quantity",
            "measure",
        ),
        (
            r#"(measure: "neurons")"#,
            8,
            "an expectation needs a value",
            "tolerance: 5",
        ),
        (
            r#"(measure: "neurons", value: 2)"#,
            8,
            "a value needs a tolerance",
            "relative: 0.05",
        ),
        (
            r#"(measure: "neurons", value: 2, tolerance: 1, relative: 1)"#,
            8,
            "one tolerance is enough",
            "",
        ),
        (
            r#"(measure: "neurons", value: 2, tolerance: -1)"#,
            8,
            "not negative",
            "",
        ),
        (
            r#"(measure: "neurons", value: 2, tolerance: 1, at_least: 1)"#,
            8,
            "wants one thing",
            "",
        ),
        (
            r#"(measure: "neurons", at_least: 3, at_most: 2)"#,
            8,
            "no number is in this range",
            "",
        ),
        (
            r#"(measure: "neurons", at_least: 3, tolerance: 2)"#,
            8,
            "a tolerance belongs to a value",
            "",
        ),
        (
            r#"(measure: "neurons", is: "two")"#,
            8,
            "is a number, it is never `two`",
            "at_least",
        ),
        (
            r#"(measure: "windows.end.cells.A.pattern", at_least: 1)"#,
            8,
            "is a word",
            "is: \"silent\"",
        ),
        (
            r#"(measure: "windows.end.cells.A.pattern", is: "bursing")"#,
            8,
            "is never `bursing`",
            "did you mean `bursting`?",
        ),
        (
            r#"(measure: "windows.end.cells.A.pattern", take: Fraction("burst"), at_least: 1)"#,
            8,
            "is never `burst`",
            "",
        ),
        (
            r#"(measure: "windows.end.cells.*.spikes", take: Average, at_least: 1)"#,
            8,
            "expected one of `Mean`",
            "",
        ),
        (
            r#"(measure: "windows.end.cells.*.spikes", take: Quantile(2), at_least: 1)"#,
            8,
            "from 0 to 1",
            "",
        ),
        (
            r#"(measure: "windows.end.cells.*.spikes", take: Mean, fraction: 0.5, at_least: 1)"#,
            8,
            "of one number there is no fraction",
            "",
        ),
        (
            r#"(measure: "windows.end.cells.*.spikes", values: { "A": 1 }, tolerance: 1)"#,
            8,
            "no value for cell `B`",
            "",
        ),
        (
            r#"(measure: "neurons", values: { "A": 1 }, tolerance: 1)"#,
            8,
            "is not a quantity of cells",
            "",
        ),
        (
            r#"(measure: "windows.end.cells.*.spikes", table: "no.csv", column: "n", tolerance: 1)"#,
            8,
            "`no.csv` does not exist",
            "",
        ),
        (
            r#"(measure: "windows.end.cells.*.spikes", table: "t.csv", column: "m", tolerance: 1)"#,
            8,
            "`t.csv` has no column `m`",
            "`n`",
        ),
        (
            r#"(measure: "windows.end.cells.*.spikes", table: "t.csv", tolerance: 1)"#,
            8,
            "which column of the table?",
            "",
        ),
        (
            r#"(measure: "windows.end.cells.*.spikes", table: "t.csv", column: "n", tolerance: 1)"#,
            8,
            "line 3: `many` is no finite number",
            "",
        ),
        (
            r#"(measure: "neurons", tolerence: 1, at_least: 2)"#,
            8,
            "has no field `tolerence`",
            "did you mean `tolerance`?",
        ),
    ] {
        let folder = Folder::new(
            "verify-wrong",
            &[
                ("pair.ron", &pair(expect)),
                ("t.csv", "cell,n\nA,1\nB,many\n"),
            ],
        );
        let errors = scene::read(&folder.path("pair.ron")).expect_err(expect);
        let first = &errors.errors()[0];
        let told = format!("{first} {}", first.help_text().unwrap_or_default());
        assert!(
            told.contains(message) && told.contains(fix),
            "{expect}: {told}"
        );
        assert_eq!(first.line(), Some(line), "{expect}: {told}");
        let output = homarus_in(folder.path(""), &["verify", "pair.ron"]);
        assert_eq!(output.status.code(), Some(2), "{expect}");
    }
}

#[test]
fn bad_calls_are_refused() {
    for (arguments, message) in [
        (&["verify"][..], "required"),
        (
            &["verify", "five_neuron_cells"],
            "scene `five_neuron_cells` expects nothing",
        ),
        (&["verify", "half_center"], "did you mean `half_centre`?"),
        (&["verify", "--all", "half_centre"], "cannot be used with"),
        (
            &["verify", "half_centre", "five_neuron_cells"],
            "expects nothing",
        ),
        (&["verify", "half_centre", "--set", "X.gbar=1"], "X"),
    ] {
        let output = homarus(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}
