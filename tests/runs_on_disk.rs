//! `run -o`: the same bundle twice, the same from its own `scene.ron`, whole after SIGTERM, and
//! nothing half-written after SIGKILL at any moment.

#![cfg(unix)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("on-disk-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homarus"));
    command.args(arguments).current_dir(folder);
    command
}

fn homarus(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = command(folder, arguments);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().unwrap()
}

fn run_json(bundle: &Path) -> serde_json::Value {
    let text = fs::read_to_string(bundle.join("run.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

const SAMPLED: [&str; 4] = ["--sample", "*.V:1", "--sample", "*->*.s:2.5"];

#[test]
fn the_same_run_gives_the_same_bundle_and_so_does_its_scene() {
    let folder = folder("same");
    let arguments = |scene, dir| {
        let run = ["run", scene, "-o", dir, "--csv", "--duration-ms", "4000"];
        [run.as_slice(), &SAMPLED].concat()
    };
    for dir in ["one", "two"] {
        let mut arguments = arguments("half_centre", dir);
        arguments.extend(["--set", "A->B.g=0.7"]);
        let output = homarus(&folder, &arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let again = ["run", "one/scene.ron", "-o", "three", "--csv"];
    assert_eq!(homarus(&folder, &again).status.code(), Some(0));
    let files = names(&folder.join("one"));
    assert_eq!(files.len(), 10, "{files:?}");
    for file in files.iter().filter(|file| *file != "run.json") {
        let read = |dir: &str| fs::read(folder.join(dir).join(file)).unwrap();
        assert!(read("one") == read("two"), "{file}");
        assert!(read("one") == read("three"), "{file}");
    }
    let [mut one, mut two] = ["one", "two"].map(|dir| run_json(&folder.join(dir)));
    for field in ["wall_s", "written_unix_s", "command_line"] {
        assert!(!one[field].is_null(), "{field}");
        one[field] = serde_json::Value::Null;
        two[field] = serde_json::Value::Null;
    }
    assert_eq!(one, two);
    for file in one["files"].as_array().unwrap() {
        let bytes = fs::read(folder.join("one").join(file["name"].as_str().unwrap())).unwrap();
        assert_eq!(file["blake3"], blake3::hash(&bytes).to_hex().as_str());
    }
    let samples = fs::read_to_string(folder.join("one/samples.csv")).unwrap();
    // A row for each cell every 1 ms and for each synapse every 2.5 ms, both ends included.
    assert_eq!(samples.lines().count(), 1 + 2 * 4001 + 2 * 1601);
}

#[test]
fn a_run_that_is_stopped_leaves_a_whole_bundle() {
    let folder = folder("stopped");
    let endless = ["run", "stg_cell", "-o", "out", "--set", "duration_ms=1e9"];
    let child = start(&folder, &endless);
    sleep(Duration::from_millis(700));
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let run = run_json(&folder.join("out"));
    assert_eq!(run["status"], "stopped");
    assert!(run["model_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(names(&folder), ["out"]);
}

#[test]
fn a_killed_run_leaves_no_half_bundle_and_stops_no_later_one() {
    let folder = folder("killed");
    let run = [
        "run",
        "stg_cell",
        "-o",
        "out",
        "--overwrite",
        "--duration-ms",
        "2000",
    ];
    for k in 0..40_u64 {
        let mut child = start(&folder, &run);
        // Spread over the whole of the run, its end included.
        sleep(Duration::from_millis(k * 7 % 120));
        let _ = child.kill();
        child.wait().unwrap();
        if folder.join("out").exists() {
            assert_eq!(run_json(&folder.join("out"))["status"], "complete");
        }
    }
    assert_eq!(homarus(&folder, &run).status.code(), Some(0));
    assert_eq!(names(&folder), ["out"]);
}
