//! `homarus run SCENE --scan PATH=…`: one JSON object a member, one a line, in order.

use std::process::{Command, Output};

use serde_json::Value;

fn homarus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_homarus"))
        .args(arguments)
        .output()
        .expect("homarus starts")
}

fn scan(arguments: &[&str]) -> Output {
    let short = ["run", "half_centre", "--duration-ms", "200", "--quiet"];
    homarus(&[&short[..], arguments].concat())
}

fn members(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("is text");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect()
}

#[test]
fn members_come_in_order_each_as_its_own_run() {
    let output = scan(&["--scan", "*->*.g=0..1/3", "--scan", "A.V=-60,-50"]);
    assert_eq!(output.status.code(), Some(0));
    let members = members(&output);
    let scanned: Vec<(f64, f64)> = members
        .iter()
        .map(|member| {
            let value = |path: &str| member["scan"][path].as_f64().expect("is there");
            (value("*->*.g"), value("A.V"))
        })
        .collect();
    let grid = [0.0, 0.5, 1.0].into_iter();
    let grid: Vec<(f64, f64)> = grid.flat_map(|g| [(g, -60.0), (g, -50.0)]).collect();
    assert_eq!(scanned, grid);
    let alone = scan(&["--set", "*->*.g=0.5", "--set", "A.V=-50", "--json"]);
    let mut alone: Value = serde_json::from_slice(&alone.stdout).expect("is JSON");
    let mut member = members[3].clone();
    for object in [&mut alone, &mut member] {
        let object = object.as_object_mut().expect("is an object");
        object.remove("scan");
        object.remove("wall_s");
    }
    assert_eq!(member, alone);
}

#[test]
fn threads_change_nothing() {
    let lines = |threads: &str| {
        let mut members = members(&scan(&["--threads", threads, "--scan", "seed=1,2,3,4,5"]));
        for member in &mut members {
            member["wall_s"] = Value::Null;
        }
        members
    };
    let one = lines("1");
    assert_eq!(one.len(), 5);
    assert_eq!(one, lines("3"));
}

#[test]
fn a_member_that_fails_is_told_and_the_others_go_on() {
    let failed = scan(&["--scan", "step_ms=0.025,5"]);
    assert_eq!(failed.status.code(), Some(1));
    let told = members(&failed);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0]["status"], "complete");
    let error = told[1]["error"].as_str().expect("is told");
    assert!(
        error.contains("longer than the control interval"),
        "{error}"
    );
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("1 of 2 members failed"), "{said}");
}

#[test]
fn wrong_scans_are_refused() {
    for (arguments, told) in [
        (&["--scan", "A.V"][..], "has no `=`"),
        (&["--scan", "A.V=1..2"], "does not say how many values"),
        (&["--scan", "A.V=1..1/3"], "is an empty range"),
        (&["--scan", "A.V=1..2/0"], "expected a whole number from 1"),
        (&["--scan", "A.V=1..x/3"], "no finite number"),
        (&["--scan", "A.V="], "no finite number"),
        (&["--scan", "A.Vx=1..2/3"], "A.Vx"),
        (&["--scan", "A.Na.gbar=-1,2"], "cannot be -1"),
        (
            &["--scan", "duration=1,2"],
            "there is no setting `duration`",
        ),
        (
            &["--scan", "A.V=1,2", "--scan", "A.V=3"],
            "given twice: by `--scan`",
        ),
        (
            &["--scan", "A.V=1,2", "--set", "A.V=3"],
            "by `--set` and by `--scan`",
        ),
        (
            &["--scan", "A.V=1..2/9999999", "--scan", "B.V=1..2/9999999"],
            "more than 10000000 members",
        ),
        (&["--scan", "A.V=1,2", "-o", "x"], "cannot be used with"),
        (
            &["--scan", "A.V=1,2", "--step-study"],
            "cannot be used with",
        ),
    ] {
        let output = scan(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(told), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_study_is_checked_and_no_other_verb_runs_it() {
    let folder = std::env::temp_dir().join(format!("homarus-scan-study-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("can be made");
    let path = folder.join("cut.ron");
    let text = r#"Study(format: 1, about: "Each synapse cut", source: "example", base: "half_centre",
        settle_ms: 1_000, axes: { "edge": Edges("*->*") },
        protocol: [(at_ms: 0, cut: Axis("edge"))], during: (for_ms: 1_000))"#;
    std::fs::write(&path, text).expect("can be written");
    let path = path.to_str().expect("is text");
    let page = homarus(&["check", path, "--set", "networks.count=3"]);
    let said = String::from_utf8_lossy(&page.stderr).into_owned();
    assert_eq!(page.status.code(), Some(2), "{said}");
    assert!(said.contains("needs `vary`"), "{said}");
    let page = homarus(&["check", path]);
    assert_eq!(page.status.code(), Some(0));
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("A->B, B->A"), "{page}");
    assert!(page.contains("2: 1 branches x 2 points of each"), "{page}");
    for verb in ["run", "verify"] {
        let refused = homarus(&[verb, path]);
        assert_eq!(refused.status.code(), Some(2));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("this file is a study"), "{said}");
    }
    std::fs::remove_dir_all(&folder).expect("is there");
}
