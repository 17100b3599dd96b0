//! `run -o`: the same bundle twice, the same from its own `scene.ron`, whole after SIGTERM, nothing
//! half-written after SIGKILL at any moment, and a folder or disk that will not do is told.

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

/// Messages as one line, without the frame that is drawn around them.
fn told(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let words = text.split_whitespace();
    words
        .filter(|word| !["×", "│"].contains(word))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_folder_that_will_not_do_is_refused_before_the_run_starts() {
    let folder = folder("refused");
    fs::create_dir(folder.join("thesis")).unwrap();
    fs::write(folder.join("thesis/chapter1.tex"), "long work").unwrap();
    fs::write(folder.join("file"), "mine").unwrap();
    // A run that started would not come to an end.
    let endless = ["run", "stg_cell", "--set", "duration_ms=1e9", "-o"];
    let spared = "`--overwrite` replaces bundles and empty folders only; give another name";
    for (dir, more, found, fix) in [
        (
            "thesis",
            &[][..],
            "`thesis` exists and is not a bundle",
            spared,
        ),
        (
            "thesis",
            &["--overwrite"],
            "`thesis` exists and is not a bundle",
            spared,
        ),
        (
            "file",
            &[],
            "`file` is a file, and a bundle is a folder",
            "give another name",
        ),
        (
            "file",
            &["--overwrite"],
            "`file` is a file, and a bundle is a folder",
            "give another name",
        ),
        (
            "file/out",
            &[],
            "`file` is a file, not a folder",
            "give a folder that a bundle can lie in",
        ),
        (
            "results/out",
            &[],
            "the folder `results` does not exist",
            "create it: `mkdir -p results`",
        ),
        (
            "",
            &[],
            "a value is required for '--out <DIR>'",
            "try '--help'",
        ),
    ] {
        let output = homarus(&folder, &[&endless, &[dir][..], more].concat());
        assert_eq!(output.status.code(), Some(2), "{dir} {more:?}");
        assert_eq!(output.stdout, b"", "{dir} {more:?}");
        let told = told(&output);
        assert!(told.contains(found) && told.contains(fix), "{told}");
        assert_eq!(names(&folder), ["file", "thesis"]);
        assert_eq!(names(&folder.join("thesis")), ["chapter1.tex"]);
    }
}

#[test]
fn a_folder_in_which_one_may_not_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("read-only");
    let set = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    set(0o555);
    if fs::write(folder.join("probe"), "").is_ok() {
        println!("skipped: whoever runs this test (root?) may write in any folder");
        set(0o755);
        return;
    }
    let output = homarus(&folder, &["run", "half_centre", "-o", "out"]);
    let left = names(&folder);
    set(0o755);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stdout, b"");
    let told = told(&output);
    assert!(told.contains("no bundle can be written in `"), "{told}");
    assert!(told.contains("Permission denied"), "{told}");
    assert!(
        told.contains("choose a folder in which you may write"),
        "{told}"
    );
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_folder_that_is_removed_during_the_run_is_told() {
    let folder = folder("removed");
    let results = folder.join("results");
    fs::create_dir(&results).unwrap();
    let run = [
        "run",
        "stg_cell",
        "-o",
        "results/out",
        "--duration-ms",
        "100000",
    ];
    let mut command = command(&folder, &run);
    let mut child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while names(&results).is_empty() {
        assert_eq!(child.try_wait().unwrap(), None, "the run is too short");
        sleep(Duration::from_millis(1));
    }
    // The run may put a file into a folder that is just being emptied.
    while results.exists() {
        let _ = fs::remove_dir_all(&results);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(
        told.contains("homarus: the bundle cannot be written: `results/out"),
        "{told}"
    );
    assert!(told.ends_with("has been removed meanwhile"), "{told}");
    assert_eq!(names(&folder), [""; 0]);
}

/// A limit on the size of a file: what is beyond fails as on a full disk. The run would be endless,
/// so it is the disk that ends it.
#[test]
fn a_full_disk_ends_the_run_and_leaves_nothing() {
    let folder = folder("full");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    let endless = ["run", "stg_cell", "-o", "out", "--set", "duration_ms=1e9"];
    let output = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_homarus")])
        .args(endless)
        .args(["--sample", "*.V:0.1"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = "homarus: the bundle cannot be written: `out/samples.parquet`: File too large";
    let told = told(&output);
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(names(&folder), [""; 0]);
}
