//! `replay` runs a bundle again and proves every file's hash; `diff` says where two bundles part.

mod program;

use std::{
    fs,
    path::{Path, PathBuf},
};

use program::{homarus_in, stderr, stdout};
use serde_json::Value;

/// A folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("replay-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Exit code, stdout and stderr.
fn call(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = homarus_in(folder, arguments);
    let code = output.status.code().expect("an exit code");
    (code, stdout(&output), stderr(&output))
}

/// A short run of a shipped network into a bundle.
fn bundle(folder: &Path, name: &str, more: &[&str]) {
    let run = ["run", "half_centre", "-o", name, "--duration-ms", "2000"];
    let (code, _, message) = call(folder, &[&run[..], more].concat());
    assert_eq!(code, 0, "{message}");
}

#[test]
fn a_bundle_is_proved() {
    let folder = folder("proved");
    let more = [
        "--sample",
        "*.V:1",
        "--csv",
        "--snapshot-at",
        "1000",
        "--set",
        "A->B.g=0.5",
        "--seed",
        "3",
    ];
    bundle(&folder, "b", &more);
    let carried = ["replay", "b", "--threads", "2", "--kernel", "portable"];
    for arguments in [&["replay", "b"][..], &carried] {
        let (code, page, message) = call(&folder, arguments);
        assert_eq!(code, 0, "{page}{message}");
        assert!(page.starts_with("b gives the same bytes again\n"), "{page}");
        for file in [
            "spikes.parquet",
            "spikes.csv",
            "bursts.parquet",
            "samples.parquet",
            "events.parquet",
            "scene.ron",
            "snapshot-1000.snap",
            "run.json",
        ] {
            let line = page
                .lines()
                .find(|line| line.trim_start().starts_with(file));
            assert!(
                line.is_some_and(|line| line.contains(" same")),
                "{file}: {page}"
            );
        }
    }
    // A run that went on from a snapshot, with something set in it.
    let from = ["run", "--from", "b/snapshot-1000.snap", "-o", "on"];
    let set = ["--set", "A->B.g=0.2", "--duration-ms", "2500"];
    let (code, _, message) = call(&folder, &[&from[..], &set].concat());
    assert_eq!(code, 0, "{message}");
    fs::remove_file(folder.join("b/snapshot-1000.snap")).expect("a file");
    let (code, page, message) = call(&folder, &["replay", "on"]);
    assert_eq!(code, 0, "{page}{message}");
}

#[test]
fn what_is_not_as_it_was_is_named() {
    let folder = folder("altered");
    bundle(&folder, "b", &[]);
    let spikes = folder.join("b/spikes.parquet");
    let mut bytes = fs::read(&spikes).expect("spikes");
    bytes.push(0);
    fs::write(&spikes, bytes).expect("a file");
    let (code, json, _) = call(&folder, &["replay", "b", "--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(report["same"], false);
    let verdict = |report: &Value, name: &str| {
        let files = report["files"].as_array().expect("files").clone();
        let file = files.into_iter().find(|file| file["name"] == name);
        file.expect("a file")["verdict"]
            .as_str()
            .expect("a verdict")
            .to_owned()
    };
    assert_eq!(verdict(&report, "spikes.parquet"), "altered in the bundle");
    assert_eq!(verdict(&report, "bursts.parquet"), "same");
    // Another scene in it is another run.
    let scene = folder.join("b/scene.ron");
    let text = fs::read_to_string(&scene).expect("a scene");
    fs::write(&scene, text.replace("0.8", "0.1")).expect("a file");
    fs::remove_file(folder.join("b/bursts.parquet")).expect("a file");
    let (code, json, _) = call(&folder, &["replay", "b", "--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(verdict(&report, "scene.ron"), "altered in the bundle");
    assert_eq!(verdict(&report, "bursts.parquet"), "missing in the bundle");
    assert_eq!(verdict(&report, "run.json"), "differs");
    let (code, _, message) = call(&folder, &["replay", "nowhere"]);
    assert_eq!(code, 2);
    assert!(message.contains("`nowhere` is no bundle"), "{message}");
}

#[test]
fn where_two_bundles_part() {
    let folder = folder("part");
    let window = ["--sample", "*.V:5"];
    bundle(&folder, "a", &window);
    bundle(
        &folder,
        "same",
        &[&window[..], &["--threads", "2"]].concat(),
    );
    bundle(
        &folder,
        "b",
        &[&window[..], &["--set", "A->B.g=0.5"]].concat(),
    );
    let (code, page, _) = call(&folder, &["diff", "a", "same"]);
    assert_eq!(
        (code, page.as_str()),
        (0, "a and same tell the same: every row, every rhythm\n")
    );
    let (code, page, _) = call(&folder, &["diff", "a", "b"]);
    assert_eq!(code, 1);
    assert!(
        page.contains("scenes: set.A->B.g is not there | 0.5"),
        "{page}"
    );
    let (code, json, _) = call(&folder, &["diff", "a", "b", "--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&json).expect("JSON");
    let samples = report["tables"].as_array().expect("tables").clone();
    let samples = samples.into_iter().find(|t| t["table"] == "samples");
    let samples = samples.expect("samples part");
    // B is what feels it, once A has depolarised.
    assert_eq!(samples["owner"], "B");
    assert_eq!(samples["column"], "V");
    let (t_ms, row) = (&samples["t_ms"], &samples["row"]);
    let t_ms = t_ms.as_f64().expect("a time");
    assert!(t_ms > 0.0);
    // Every 5 ms a row of A and one of B.
    assert_eq!(row.as_f64().expect("a row"), 2.0 * (t_ms / 5.0) + 1.0);
    assert_ne!(samples["a"], samples["b"]);
    let (code, _, message) = call(&folder, &["diff", "a", "nowhere"]);
    assert_eq!(code, 2);
    assert!(message.contains("`nowhere` is no bundle"), "{message}");
}

#[test]
fn how_the_rhythms_differ() {
    let folder = folder("rhythms");
    let scene = r#"Scene(
        format: 1, duration_ms: 1500, step_ms: 0.025,
        cells: { "A": (cell: "stg", parameters: { "KCa.tm": 2 }, gbar: {
            "Na": 3951.84, "CaT": 2.913, "CaS": 18.976, "A": 71.02, "KCa": 109.18, "Kd": 137.74, "H": 0.29, "leak": 0.0091,
        }) },
        windows: [(label: "end", from_ms: 500, to_ms: 1500)],
    )"#;
    fs::write(folder.join("one.ron"), scene).expect("a file");
    for (name, set) in [("a", "A.H.gbar=0.29"), ("b", "A.I=-20")] {
        let run = ["run", "one.ron", "-o", name, "--set", set];
        assert_eq!(call(&folder, &run).0, 0);
    }
    let (code, json, _) = call(&folder, &["diff", "a", "b", "--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&json).expect("JSON");
    let rhythms = report["rhythms"].as_array().expect("rhythms");
    let shift = |of: &str, what: &str| {
        let found = rhythms.iter().find(|s| s["of"] == of && s["what"] == what);
        found.unwrap_or_else(|| panic!("{what} of {of}: {json}"))
    };
    assert_eq!(shift("A", "pattern")["a"], "bursting");
    assert_eq!(shift("A", "pattern")["b"], "silent");
    assert_eq!(shift("A", "pattern")["window"], "end");
    assert_eq!(shift("all", "period_ms")["b"], Value::Null);
    let (_, page, _) = call(&folder, &["diff", "a", "b"]);
    let line = page
        .lines()
        .find(|line| line.contains("pattern"))
        .expect("a line");
    assert!(
        line.contains("bursting") && line.contains("silent"),
        "{page}"
    );
}

/// The commands of README, as they are printed.
#[test]
fn the_examples_of_readme_run() {
    let folder = folder("readme");
    let readme = include_str!("../README.md");
    let blocks = readme.split("```sh\n").skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().expect("a block"));
    let block = blocks.find(|block| block.contains("--snapshot-at"));
    let lines = block.expect("the block on snapshots").lines();
    for line in lines {
        let line = line.replace('\'', "");
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("homarus"));
        let arguments: Vec<&str> = words.collect();
        let (code, _, message) = call(&folder, &arguments);
        let wanted = i32::from(arguments[0] == "diff");
        assert_eq!(code, wanted, "{line}: {message}");
    }
}
