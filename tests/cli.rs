//! What scripts rely on: exit codes, data on stdout and messages on stderr, the JSON of `run`, the
//! files that `new` and `list --copy` write, and that the help tells the truth.

mod helpers;
mod program;

use std::fs;

use helpers::Folder;
use program::{homarus, homarus_in, stderr, stdout};

#[test]
fn run_prints_a_table_and_ends_with_0() {
    let output = homarus(&["run", "half_centre", "--duration-ms", "10000"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("all rhythm: rhythmic, period 219"), "{text}");
    assert!(text.contains("B at phase 0.4"), "{text}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn json_is_one_object_with_the_promised_fields() {
    let output = homarus(&["run", "half_centre", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for field in [
        "homarus",
        "scene",
        "scene_hash",
        "seed",
        "step_ms",
        "integrator",
        "kernel",
        "neurons",
        "edges",
        "model_ms",
        "wall_s",
        "windows",
        "populations",
        "warnings",
    ] {
        assert!(!summary[field].is_null(), "{field}");
    }
    let window = &summary["windows"][0];
    assert_eq!(window["label"], "settled");
    let rhythm = &window["rhythms"][0];
    assert_eq!(rhythm["verdict"], "rhythmic");
    assert_eq!(rhythm["reference"], "A");
    assert_eq!(rhythm["cells"].as_array().unwrap().len(), 1);
    let cell = &window["cells"][0];
    for field in [
        "name",
        "pattern",
        "spikes",
        "frequency_hz",
        "bursts",
        "period_ms",
        "period_cv",
        "duty",
        "spikes_per_burst",
        "spikes_per_burst_max",
        "intraburst_hz",
        "burstiness_hz2",
        "ca_mean_um",
    ] {
        assert!(!cell[field].is_null(), "{field}");
    }
}

#[test]
fn the_same_scene_and_seed_give_the_same_object() {
    let run = || {
        let output = homarus(&["run", "half_centre", "--json"]);
        let mut summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        summary["wall_s"] = serde_json::Value::Null;
        summary
    };
    assert_eq!(run(), run());
}

#[test]
fn overrides_act_and_change_the_hash() {
    let run = |extra: &[&str]| {
        let arguments = [&["run", "half_centre", "--json"], extra].concat();
        let summary: serde_json::Value =
            serde_json::from_slice(&homarus(&arguments).stdout).unwrap();
        summary
    };
    let (plain, cut) = (run(&[]), run(&["--set", "*->*.g=0"]));
    assert_ne!(plain["scene_hash"], cut["scene_hash"]);
    let period = |summary: &serde_json::Value| {
        summary["windows"][0]["cells"][0]["period_ms"]
            .as_f64()
            .unwrap()
    };
    assert!(
        (period(&cut) - 208.66).abs() < 0.5,
        "an isolated cell bursts at 208.6 ms"
    );
    assert!(period(&plain) > 215.0);
    // What is only observed leaves the hash alone.
    assert_eq!(
        plain["scene_hash"],
        run(&["--duration-ms", "500"])["scene_hash"]
    );
    assert_ne!(
        plain["scene_hash"],
        run(&["--set", "step_ms=0.05"])["scene_hash"]
    );
}

#[test]
fn a_shortened_run_drops_what_lies_beyond_with_one_warning() {
    let output = homarus(&["run", "five_neuron_cpg", "--duration-ms", "20"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stderr(&output),
        "warning: 2 windows and 1 protocol entry beyond 20 ms dropped\n"
    );
    assert_eq!(
        stderr(&homarus(&[
            "run",
            "five_neuron_cpg",
            "--duration-ms",
            "20",
            "--quiet"
        ])),
        ""
    );
}

#[test]
fn wrong_input_ends_with_2_a_failed_run_with_1() {
    for arguments in [
        &["run"][..],
        &["run", "no_such_scene"],
        &["run", "no_such_file.ron"],
        &["run", "half_centre", "--set", "A.Na.gbar"],
        &["run", "half_centre", "--set", "A.Nah.gbar=1"],
        &["run", "half_centre", "--set", "A.V=-50", "--set", "A.V=-60"],
        &["run", "half_centre", "--set", "step_ms=0"],
        &["run", "half_centre", "--step-ms", "-1"],
        &["run", "half_centre", "--integrator", "euler"],
        &["list", "paths"],
        &["frobnicate"],
    ] {
        let output = homarus(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert_ne!(stderr(&output), "", "{arguments:?}");
    }
    let output = homarus(&[
        "run",
        "half_centre",
        "--set",
        "A.I=1e9",
        "--duration-ms",
        "10",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("\nhomarus: V of cell `A` is "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn errors_are_plain_text_where_nobody_watches() {
    let text = stderr(&homarus(&["run", "half_centre", "--set", "A.Nah.gbar=1"]));
    assert!(!text.contains('\u{1b}'));
    assert!(
        text.contains("there is no channel `Nah`") && text.contains("did you mean `Na`?"),
        "{text}"
    );
}

#[test]
fn list_names_what_ships_and_every_path() {
    let text = stdout(&homarus(&["list"]));
    for name in ["stg_kca", "tanh", "stg", "five_neuron_cpg"] {
        assert!(text.contains(name), "{name}");
    }
    let studies = stdout(&homarus(&["list", "studies"]));
    assert!(studies.contains("controlled_CaSA"), "{studies}");
    assert!(!studies.contains("five_neuron_cpg"), "{studies}");
    let paths = stdout(&homarus(&["list", "paths", "five_neuron_cpg"]));
    for line in [
        "S1.KCa.tm",
        "F1.Na.mRNA",
        "F1.CaS.pool",
        "F1->F2.g",
        "F2--hub.g",
        "S1.g_s",
    ] {
        assert!(
            paths.lines().any(|l| l.starts_with(line)),
            "{line} in\n{paths}"
        );
    }
    let threshold = paths.lines().find(|l| l.starts_with("F1.V_th")).unwrap();
    assert!(threshold.contains("-49.67"), "{threshold}");
}

/// Names of what lies in a folder, in alphabetical order.
fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn every_network_that_ships_can_be_copied_and_the_copy_is_the_same_scene() {
    let listed = stdout(&homarus(&["list", "networks"]));
    let entry = |line: &str| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    let networks: Vec<String> = listed.lines().filter_map(entry).collect();
    assert!(networks.contains(&"half_centre".to_owned()), "{listed}");
    for name in networks {
        let folder = Folder::new(&format!("copy-{name}"), &[]);
        let run = |arguments: &[&str]| homarus_in(folder.path(""), arguments);
        let copied = run(&["list", "networks", "--copy", &name]);
        assert_eq!(copied.status.code(), Some(0), "{}", stderr(&copied));
        assert_eq!(stdout(&copied), "");
        let file = format!("{name}.ron");
        let told = stderr(&copied);
        assert!(
            told.lines().any(|line| line == format!("wrote {file}")),
            "{told}"
        );
        assert_eq!(told.lines().count(), names(&folder).len(), "{told}");
        let check = |scene: &str| {
            let checked = run(&["check", scene]);
            assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
            stdout(&checked)
        };
        assert_eq!(check(&file), check(&name));
        let hash = |scene: &str| {
            let output = run(&["run", scene, "--json", "--quiet", "--duration-ms", "10"]);
            let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            summary["scene_hash"].clone()
        };
        assert_eq!(hash(&file), hash(&name));
    }
}

#[test]
fn a_copy_overwrites_nothing_and_a_wrong_name_is_answered_with_the_right_one() {
    let folder = Folder::new("copy-refused", &[("half_centre.ron", "my own work")]);
    for (arguments, found, fix) in [
        (
            &["networks", "--copy", "half_centre"][..],
            "`half_centre.ron` exists already",
            "move it away first, or work in another folder",
        ),
        (
            &["networks", "--copy", "half_center"],
            "there is no shipped network `half_center`",
            "did you mean `half_centre`?",
        ),
        (
            &["--copy", "half_center"],
            "there is no shipped file `half_center`",
            "did you mean `half_centre`?",
        ),
        (
            &["channels", "--copy", "stg_kc"],
            "there is no shipped channel `stg_kc`",
            "did you mean `stg_kca`?",
        ),
        (
            &["paths", "--copy", "half_centre"],
            "paths cannot be copied",
            "homarus list networks --copy half_centre",
        ),
    ] {
        let output = homarus_in(folder.path(""), &[&["list"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        let told = stderr(&output);
        assert!(told.contains(found) && told.contains(fix), "{told}");
    }
    assert_eq!(names(&folder), ["half_centre.ron"]);
    let mine = fs::read_to_string(folder.path("half_centre.ron")).unwrap();
    assert_eq!(mine, "my own work");
}

#[test]
fn new_writes_a_scene_that_is_clean_and_runs() {
    let folder = Folder::new("new", &[]);
    let run = |arguments: &[&str]| homarus_in(folder.path(""), arguments);
    for (name, file) in [("mine", "mine.ron"), ("other.ron", "other.ron")] {
        let made = run(&["new", name]);
        assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
        assert!(stdout(&made).contains(&format!("homarus run {file}")));
        let checked = run(&["check", file, "--deny-lints"]);
        assert_eq!(checked.status.code(), Some(0));
        assert_eq!(stderr(&checked), "");
        let ran = run(&["run", file, "--duration-ms", "200", "--quiet"]);
        assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
        // The path that its comments name.
        let ran = run(&[
            "run",
            file,
            "--set",
            "A->B.g=0.4",
            "--set",
            "duration_ms=7000",
        ]);
        assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
        assert!(stdout(&ran).contains("half_centre rhythm: rhythmic"));
    }
    assert_eq!(names(&folder), ["mine.ron", "other.ron"]);
}

#[test]
fn new_overwrites_nothing_and_takes_plain_names() {
    let folder = Folder::new("new-refused", &[("mine.ron", "my own work")]);
    for (name, found, fix) in [
        ("mine", "`mine.ron` exists already", "move it away first"),
        (
            "mine.ron",
            "`mine.ron` exists already",
            "move it away first",
        ),
        (
            "my net",
            "`my net` is no name for a scene",
            "letters, digits and `_`",
        ),
        ("", "`` is no name for a scene", "homarus new my_network"),
        (
            "nets/mine",
            "the folder `nets` does not exist",
            "create it first",
        ),
    ] {
        let output = homarus_in(folder.path(""), &["new", name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert_eq!(stdout(&output), "", "{name}");
        let told = stderr(&output);
        assert!(told.contains(found) && told.contains(fix), "{told}");
    }
    assert_eq!(names(&folder), ["mine.ron"]);
    let mine = fs::read_to_string(folder.path("mine.ron")).unwrap();
    assert_eq!(mine, "my own work");
}

/// Verbs that the help of the program lists.
fn verbs() -> Vec<String> {
    let help = stdout(&homarus(&["--help"]));
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| line.starts_with("  "));
    // What a verb does goes on in lines that are indented farther.
    lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Examples at the end of the help of a verb.
fn examples(verb: &str) -> Vec<String> {
    let help = stdout(&homarus(&[verb, "--help"]));
    let after = |heading: &str| help.split_once(heading).map(|(_, text)| text);
    let listed = after("\nExamples:\n").or_else(|| after("\nExample:\n"));
    let lines = listed.unwrap_or_default().lines();
    lines.map(|line| line.trim().to_owned()).collect()
}

/// Every example of the help, as a person types it, those of a verb one after the other in one
/// folder. A run that names no duration ends after 1 s of model time: that changes how long it
/// takes and not what it shows. The scene of an example is one that ships or that an example before
/// it has written.
#[cfg(unix)]
#[test]
fn every_example_of_the_help_runs() {
    use std::{path::Path, process::Command};

    let program = Path::new(env!("CARGO_BIN_EXE_homarus")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let verbs = verbs();
    assert!(verbs.contains(&"run".to_owned()), "{verbs:?}");
    for verb in verbs {
        let folder = Folder::new(&format!("examples-{verb}"), &[]);
        let examples = examples(&verb);
        let own = format!("homarus {verb} ");
        assert!(
            examples.iter().any(|line| line.starts_with(&own)),
            "no example of `{verb}`: {examples:?}"
        );
        for example in examples {
            assert!(example.starts_with("homarus "), "{example}");
            let endless = example.starts_with("homarus run ") && !example.contains("duration");
            let short = if endless { " --duration-ms 1000" } else { "" };
            let before = names(&folder);
            let output = Command::new("sh")
                .args(["-c", &format!("{example}{short}")])
                .env("PATH", &path)
                .current_dir(folder.path(""))
                .output()
                .unwrap();
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(0), "{example}: {told}");
            assert!(
                !output.stdout.is_empty() || names(&folder) != before,
                "`{example}` does nothing"
            );
        }
    }
}
