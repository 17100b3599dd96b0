//! `homarus study`: what is finished is safe. Killed at any moment and started again, with any number
//! of threads, a study ends with the same bytes; a folder or disk that will not do is told.

#![cfg(unix)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

/// Half-centres of drawn synapses whose cells are blocked step by step, and freed again.
const STUDY: &str = r#"Study(
    format: 1, about: "blocks", source: "test", base: "half_centre", seed: 7,
    networks: (count: 6, vary: [Relative(path: "*->*.g", by: 0.2)]),
    settle_ms: 500, before_ms: 300,
    axes: { "b": Linear(from: 0, to: 1, count: 8), "cell": ["A", "B"] },
    protocol: [(at_ms: 0, current: Axis("cell"), amplitude: Axis("b"), for_ms: 300)],
    during: (skip_ms: 0, for_ms: 300),
    after: (skip_ms: 100, for_ms: 300),
    tables: ["cells", "cycles"],
)"#;

fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("study-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homarus"));
    command.arg("study").args(arguments).current_dir(folder);
    command
}

fn study(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// Runs a study that ends well.
#[track_caller]
fn complete(folder: &Path, arguments: &[&str]) -> Output {
    let output = study(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = command(folder, arguments);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::piped());
    quiet.spawn().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The files of a folder, those in folders of it too.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match path.is_dir() {
            true => {
                let within = self::files(&path).into_iter();
                files.extend(within.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
            }
            false => drop(files.insert(name, fs::read(&path).unwrap())),
        }
    }
    files
}

#[track_caller]
fn same(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    for (name, bytes) in &one {
        assert!(bytes == &other[name], "{name} differs");
    }
}

/// Rows of a table by the columns named, without the member's number.
fn rows(table: &Path, keys: &[&str]) -> BTreeMap<Vec<String>, Vec<(String, String)>> {
    let mut reader = csv::Reader::from_path(table).unwrap();
    let names: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let rows = reader.records().map(|row| {
        let named = names
            .iter()
            .cloned()
            .zip(row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>());
        let named: Vec<(String, String)> = named.filter(|(name, _)| name != "member").collect();
        let key = keys.iter().map(|key| {
            let found = named.iter().find(|(name, _)| name == key);
            found.unwrap_or_else(|| panic!("no column {key}")).1.clone()
        });
        (key.collect(), named.clone())
    });
    rows.collect()
}

/// Numbers that look drawn, the same in every run of the test.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % n
    }
}

#[test]
fn killed_at_any_moment_it_ends_with_the_same_bytes() {
    const KILLS: usize = 50;
    let folder = folder("killed", &[("blocks.ron", STUDY)]);
    complete(
        &folder,
        &["blocks.ron", "-o", "whole", "--csv", "--threads", "1"],
    );
    let (mut draws, mut kills, mut ends) = (Draws(1), 0, 0);
    while kills < KILLS || ends == 0 {
        let dir = format!("killed-{ends}");
        // However slow the machine is, it gets somewhere in the end.
        let mut longest_us = 30_000.0;
        loop {
            let threads = (1 + draws.below(3)).to_string();
            let arguments = [
                "blocks.ron",
                "-o",
                &dir,
                "--csv",
                "--quiet",
                "--threads",
                &threads,
            ];
            let mut child = start(&folder, &arguments);
            sleep(Duration::from_micros(draws.below(longest_us as u64)));
            longest_us *= 1.07;
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            match output.status.signal() {
                Some(_) => kills += 1,
                None => {
                    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
                    break;
                }
            }
        }
        same(&folder.join("whole"), &folder.join(&dir));
        ends += 1;
    }
    println!("{kills} kills, {ends} studies");
    let again = complete(&folder, &["blocks.ron", "-o", "whole", "--csv"]);
    assert!(stderr(&again).contains("is complete"), "{}", stderr(&again));
    assert!(
        stdout(&again).contains("96 members and 6 controls"),
        "{}",
        stdout(&again)
    );
}

#[test]
fn neither_threads_nor_kernel_change_a_byte() {
    let folder = folder("threads", &[("blocks.ron", STUDY)]);
    complete(&folder, &["blocks.ron", "-o", "one", "--threads", "1"]);
    for (dir, flags) in [
        ("four", ["--threads", "4"]),
        ("portable", ["--kernel", "portable"]),
    ] {
        complete(&folder, &[&["blocks.ron", "-o", dir][..], &flags].concat());
        same(&folder.join("one"), &folder.join(dir));
    }
}

#[test]
fn a_member_is_the_same_in_a_smaller_design() {
    let part = STUDY
        .replace("count: 6", "count: 4")
        .replace("Linear(from: 0, to: 1, count: 8)", "[1, 0]")
        .replace("[\"A\", \"B\"]", "[\"B\"]");
    let folder = folder("part", &[("whole.ron", STUDY), ("part.ron", &part)]);
    for name in ["whole", "part"] {
        complete(&folder, &[&format!("{name}.ron"), "-o", name, "--csv"]);
    }
    let keys = ["network", "control", "b", "cell"];
    let of = |name: &str| rows(&folder.join(name).join("members.csv"), &keys);
    let (whole, part) = (of("whole"), of("part"));
    assert_eq!((whole.len(), part.len()), (6 * 17, 4 * 3));
    for (key, row) in part {
        assert_eq!(whole.get(&key), Some(&row), "{key:?}");
    }
}

/// A limit on the size of a file: what is beyond fails as on a full disk.
#[test]
fn a_full_disk_keeps_what_is_there() {
    let folder = folder("full", &[("blocks.ron", STUDY)]);
    complete(&folder, &["blocks.ron", "-o", "whole"]);
    let arguments = ["blocks.ron", "-o", "full"];
    for limit in [16, 40] {
        let mut limited = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\"");
        limited.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_homarus"), "study"]);
        let output = limited
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("the results cannot be written"), "{told}");
        assert!(
            told.contains("of 102 members are safe in full; make room"),
            "{told}"
        );
    }
    let output = complete(&folder, &arguments);
    assert!(stderr(&output).contains("of 102 members are in full; going on"));
    same(&folder.join("whole"), &folder.join("full"));
}

#[test]
fn a_folder_that_is_taken_away_is_told() {
    let long = STUDY.replace("count: 6", "count: 100_000");
    let folder = folder("away", &[("blocks.ron", &long)]);
    let child = start(&folder, &["blocks.ron", "-o", "away"]);
    let journal = folder.join("away/journal");
    while fs::metadata(&journal).map_or(0, |file| file.len()) < 10_000 {
        sleep(Duration::from_millis(5));
    }
    fs::remove_dir_all(folder.join("away")).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("away was taken away, with all members"),
        "{told}"
    );
}

#[test]
fn asked_to_stop_it_says_how_to_go_on() {
    let folder = folder("stopped", &[("blocks.ron", STUDY)]);
    complete(&folder, &["blocks.ron", "-o", "whole", "--threads", "1"]);
    let long = ["blocks.ron", "-o", "stopped", "--threads", "1"];
    let child = start(&folder, &long);
    while fs::metadata(folder.join("stopped/journal")).map_or(0, |file| file.len()) < 1_000 {
        sleep(Duration::from_millis(1));
    }
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let told = stderr(&output);
    if output.status.code() != Some(0) {
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("members are safe in stopped: the same command goes on"),
            "{told}"
        );
    }
    complete(&folder, &long);
    same(&folder.join("whole"), &folder.join("stopped"));
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let other = STUDY.replace("seed: 7", "seed: 8");
    let folder = folder("other", &[("blocks.ron", STUDY), ("other.ron", &other)]);
    complete(
        &folder,
        &["blocks.ron", "-o", "dir", "--set", "networks.count=1"],
    );
    let before = files(&folder.join("dir"));
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = study(&folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let told = stderr(&output)
            .split_whitespace()
            .filter(|word| *word != "│")
            .collect::<Vec<_>>()
            .join(" ");
        for word in words {
            assert!(told.contains(word), "{word}: {told}");
        }
    };
    refused(
        &["other.ron", "-o", "dir", "--set", "networks.count=1"],
        &[
            "`dir` holds other results",
            "they are of `blocks`",
            "the text of the study differs",
        ],
    );
    refused(
        &["blocks.ron", "-o", "dir"],
        &[
            "`--set` sets nothing, theirs `networks.count=1`",
            "give another folder",
        ],
    );
    refused(&["blocks.ron", "-o", "."], &["is not empty"]);
    refused(&["blocks.ron", "-o", "no/such"], &["not there"]);
    assert!(before == files(&folder.join("dir")));
    // Somebody else is at it.
    let manifest = folder.join("dir/study.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("complete", "running")).unwrap();
    let journal = File::create(folder.join("dir/journal")).unwrap();
    journal.lock().unwrap();
    refused(
        &["blocks.ron", "-o", "dir", "--set", "networks.count=1"],
        &["another process is running this study"],
    );
}

#[test]
fn a_member_that_leaves_all_sense_is_a_row() {
    let text = STUDY
        .replace("Linear(from: 0, to: 1, count: 8)", "[0, 1e12]")
        .replace("count: 6", "count: 2");
    let folder = folder("senseless", &[("wild.ron", &text)]);
    let output = complete(&folder, &["wild.ron", "-o", "dir", "--csv", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["failed"], 4);
    assert_eq!(told["members"], 8);
    let rows = rows(
        &folder.join("dir/members.csv"),
        &["network", "control", "b", "cell"],
    );
    for (key, row) in rows {
        let of = |name: &str| {
            row.iter()
                .find(|(known, _)| known == name)
                .unwrap()
                .1
                .as_str()
        };
        let wild = key[2].parse().is_ok_and(|b: f64| b > 0.0);
        assert_eq!(of("status"), if wild { "failed" } else { "ok" }, "{key:?}");
        assert_eq!(
            of("error").contains("has left all sense"),
            wild,
            "{}",
            of("error")
        );
        assert_ne!(of("all.before.ca_mean_um"), "", "{key:?}");
    }
}

/// What a branch shows is what one run shows that does the same at the time of the fork.
#[test]
fn a_member_is_what_one_run_shows() {
    const COURSE: &str = r#"protocol: [(at_ms: 2000, cut: "A->B"), (at_ms: 3000, restore: "A->B")],
    windows: [(label: "before", from_ms: 1000, to_ms: 2000), (label: "during", from_ms: 2000, to_ms: 3000),
              (label: "after", from_ms: 3100, to_ms: 4100)],
)"#;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/networks/half_centre.ron");
    let shipped = fs::read_to_string(shipped).unwrap();
    let (network, _) = shipped.split_once("windows:").unwrap();
    let scene = network.replace("duration_ms: 10_000", "duration_ms: 4_100") + COURSE;
    let cut = STUDY
        .replace(
            "networks: (count: 6, vary: [Relative(path: \"*->*.g\", by: 0.2)]),",
            "",
        )
        .replace(
            "settle_ms: 500, before_ms: 300",
            "settle_ms: 2000, before_ms: 1000",
        )
        .replace("for_ms: 300)", "for_ms: 1000)");
    let (head, rest) = cut.split_once("    axes:").unwrap();
    let (_, rest) = rest.split_once("    during:").unwrap();
    let cut = format!(
        "{head}    protocol: [(at_ms: 0, cut: \"A->B\")], undo: [(at_ms: 0, restore: \"A->B\")],\n    during:{rest}"
    );
    let folder = folder("one-run", &[("scene.ron", &scene), ("cut.ron", &cut)]);
    complete(&folder, &["cut.ron", "-o", "dir", "--csv"]);
    let mut run = Command::new(env!("CARGO_BIN_EXE_homarus"));
    let run = run
        .args(["run", "scene.ron", "--json"])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let run: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let told = fs::read_to_string(folder.join("dir/cells.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(told.as_bytes());
    let names: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let mut seen = 0;
    for row in reader.records() {
        let row = row.unwrap();
        let of = |name: &str| &row[names.iter().position(|known| known == name).unwrap()];
        if of("member") != "0" {
            continue;
        }
        let windows = run["windows"].as_array().unwrap();
        let window = windows.iter().find(|w| w["label"] == of("window")).unwrap();
        let cells = window["cells"].as_array().unwrap();
        let cell = cells.iter().find(|c| c["name"] == of("cell")).unwrap();
        for field in [
            "spikes",
            "bursts",
            "period_ms",
            "period_cv",
            "duty",
            "ca_mean_um",
        ] {
            // A number of JSON is read to the last digit but one.
            let (found, wanted) = (of(field).parse().ok(), cell[field].as_f64());
            let near = |(found, wanted): (f64, f64)| (found - wanted).abs() <= 4e-16 * wanted;
            let same = found.is_some() == wanted.is_some() && found.zip(wanted).is_none_or(near);
            assert!(same, "{field}: {found:?}, {wanted:?} of {row:?}");
        }
        seen += 1;
    }
    assert_eq!(seen, 6);
}
