//! The perturbation studies that ship: all are read and told of, they have the members that their
//! README says, and those that cost little show what it says.

use std::{fs, path::Path};

use homarus::{
    scene::{Kind, shipped},
    study::{design::Plan, file},
};
use serde_json::Value;

mod program;
use program::{homarus, stderr, stdout};

const README: &str = include_str!("../scenes/studies/README.md");

/// Names of the files that are studies, and no scenes.
fn studies() -> Vec<String> {
    let files = shipped().into_iter();
    let studies = files.filter(|f| f.kind == Kind::Study && f.verb() == Some("study"));
    studies.map(|study| study.name).collect()
}

/// Rows of the README's table: name, members and controls.
fn rows() -> Vec<(String, u64, u64)> {
    let section = README.split("## Perturbations").nth(1).unwrap();
    let rows = section.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let name = cells.first()?.strip_prefix("| `")?.strip_suffix('`')?;
        let (members, controls) = cells.get(2)?.split_once(" + ")?;
        Some((
            name.to_owned(),
            members.parse::<u64>().ok()?,
            controls.parse::<u64>().ok()?,
        ))
    });
    rows.collect()
}

/// Rows of the summary of a study of one rhythm.
fn summary(name: &str, sets: &[&str]) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shipped-{name}"));
    let _ = fs::remove_dir_all(&folder);
    let folder = folder.to_str().unwrap();
    let output = homarus(&[&["study", name, "-o", folder, "--json"][..], sets].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["failed"], 0, "{report}");
    report["summary"].as_array().unwrap().clone()
}

#[test]
fn every_study_is_read_and_told_of() {
    for name in studies() {
        let study = file::read(&name, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(Plan::new(&study).is_some(), "{name}");
        assert!(README.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn studies_have_the_members_that_the_readme_says() {
    let rows = rows();
    assert!(rows.len() >= 16, "{rows:?}");
    for (name, members, controls) in rows {
        let study = file::read(&name, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let counts = Plan::new(&study).unwrap().counts();
        assert_eq!(counts.members(), members, "{name}");
        assert_eq!(counts.runs(), controls, "{name}");
    }
}

/// Periods of accurate runs without one of the edges (ms); those of the two irregular rhythms vary by
/// 3 %, the others are asked for to 1 %.
#[test]
fn the_pyloric_rhythm_stands_the_removals_that_it_should() {
    let wanted = [
        ("AB->LP:chol", Some(1629.0), 0.01),
        ("AB->PY:chol", Some(1821.0), 0.03),
        ("AB->LP:glut", Some(1821.0), 0.03),
        ("AB->PY:glut", None, 0.0),
        ("LP->PY", Some(1790.0), 0.01),
        ("PY->LP", None, 0.0),
        ("LP->AB", Some(1494.0), 0.01),
    ];
    let found = summary("pyloric_removals", &[]);
    assert_eq!(found.len(), wanted.len());
    for (found, (edge, period, within)) in found.iter().zip(wanted) {
        assert_eq!(found["edge"], edge);
        assert_eq!(found["lost"], u64::from(period.is_none()), "{edge}");
        if let Some(period) = period {
            let found = found["period_ms"].as_f64().unwrap();
            assert!((found / period - 1.0).abs() < within, "{edge}: {found}");
        }
    }
}

#[test]
fn a_half_centre_needs_some_inhibition_and_stands_three_times_its_own() {
    for row in summary("half_centre_coupling", &[]) {
        let factor = row["factor"].as_f64().unwrap();
        if factor == 0.0 {
            assert_eq!(row["lost"], 1, "{row}");
        } else if factor >= 0.02 {
            assert_eq!(row["lost"], 0, "{row}");
        }
        if factor >= 0.5 {
            assert_eq!(row["kept"], 1, "{row}");
        }
    }
}

/// The soft rule asks for 70 % of the networks; these are the first four of two hundred.
#[test]
#[ignore = "takes half a minute: cargo test --release --test shipped_studies -- --ignored"]
fn a_slow_rhythm_is_held_by_controllers_and_lost_after_a_jump() {
    let slow = |name: &str| {
        let mut rows = summary(name, &["--set", "networks.count=4"]).into_iter();
        rows.find(|row| row["rhythm"] == "slow").unwrap()
    };
    let fraction = |row: &Value, name: &str| row[format!("{name}_fraction")].as_f64().unwrap();
    assert!(fraction(&slow("switch_controlled"), "recruited") >= 0.7);
    let sharp = slow("switch_sharp");
    assert!(fraction(&sharp, "recruited") >= 0.7);
    assert!(fraction(&sharp, "lost") >= 0.7);
}
