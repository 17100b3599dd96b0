//! What scripts rely on: exit codes, data on stdout and messages on stderr, the JSON of `run`.

mod program;

use program::{homarus, stderr, stdout};

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
    assert_eq!(studies, "studies\n  none ship with this version\n");
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
