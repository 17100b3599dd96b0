//! `--threads` and `--kernel` say what carries a run out, and change not one bit of what comes out.

mod helpers;
mod program;

use std::fs;

use helpers::Folder;
use homarus_systems::integrate::Kernel;
use program::{homarus, homarus_in, stderr, stdout};
use serde_json::Value;

/// Flags that must make no difference.
fn ways() -> Vec<Vec<&'static str>> {
    let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.available());
    let kernels = kernels.map(|kernel| vec!["--kernel", kernel.name()]);
    let more = [
        vec!["--threads", "1"],
        vec!["--threads", "2"],
        vec!["--threads", "7", "--kernel", "portable"],
        vec!["--kernel", "auto"],
    ];
    kernels.chain(more).collect()
}

/// Spikes and summary of a run with some flags.
fn run(folder: &Folder, flags: &[&str]) -> (Vec<u8>, Value) {
    let short = [
        "run",
        "five_neuron_cpg",
        "--duration-ms",
        "300",
        "--quiet",
        "--json",
    ];
    let bundle = ["-o", "bundle", "--overwrite"];
    let all = [&short[..], &bundle, flags].concat();
    let output = homarus_in(folder.path(""), &all);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{flags:?}: {}",
        stderr(&output)
    );
    let spikes = fs::read(folder.path("bundle/spikes.parquet")).unwrap();
    (spikes, serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn no_way_to_carry_out_a_run_changes_what_comes_out() {
    let folder = Folder::new("execution", &[]);
    let (spikes, plain) = run(&folder, &[]);
    assert_eq!(plain["kernel"], Kernel::detect().name());
    for flags in ways() {
        let (found, mut summary) = run(&folder, &flags);
        assert!(spikes == found, "other spikes with {flags:?}");
        for field in ["wall_s", "kernel"] {
            summary[field] = plain[field].clone();
        }
        assert_eq!(plain, summary, "{flags:?}");
    }
}

#[test]
fn the_kernel_and_threads_are_those_asked_for() {
    let folder = Folder::new("execution-asked", &[]);
    let (_, summary) = run(&folder, &["--kernel", "portable", "--threads", "3"]);
    assert_eq!(summary["kernel"], "portable");
    let manifest = fs::read_to_string(folder.path("bundle/run.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["threads"], 3);
    assert_eq!(manifest["kernel"], "portable");

    let (_, _) = run(&folder, &[]);
    let manifest = fs::read_to_string(folder.path("bundle/run.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["threads"], 1, "five cells need no second thread");
}

#[test]
fn more_threads_than_cores_are_told_unless_quiet() {
    let short = [
        "run",
        "half_centre",
        "--duration-ms",
        "10",
        "--threads",
        "1000",
    ];
    let output = homarus(&short);
    assert_eq!(output.status.code(), Some(0));
    let told = stderr(&output);
    assert!(
        told.contains("for 1000 threads: threads that take turns"),
        "{told}"
    );
    let output = homarus(&[&short[..], &["--quiet"]].concat());
    assert_eq!(stderr(&output), "");
}

#[test]
fn what_there_is_not_is_refused() {
    for (flags, expected) in [
        (
            ["--threads", "0"],
            ["expected a whole number from 1 to 1024", "--threads"],
        ),
        (
            ["--threads", "-1"],
            ["expected a whole number from 1 to 1024", "'-1'"],
        ),
        (
            ["--threads", "two"],
            ["expected a whole number from 1 to 1024", "'two'"],
        ),
        (
            ["--kernel", "AVX2"],
            ["there is no kernel `AVX2`", "did you mean `avx2`?"],
        ),
        (
            ["--kernel", "sse"],
            ["there is no kernel `sse`", "`auto` takes"],
        ),
    ] {
        let output = homarus(&[&["run", "half_centre"][..], &flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert_eq!(stdout(&output), "", "{flags:?}");
        let told = stderr(&output);
        for part in expected {
            assert!(told.contains(part), "{flags:?}: no `{part}` in\n{told}");
        }
    }
}
