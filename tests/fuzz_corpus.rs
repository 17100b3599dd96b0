//! Inputs that fuzzing found telling, among them every one that once did harm: what must hold of any
//! input holds of them.

use std::{fs, path::PathBuf};

#[path = "fuzz/checks.rs"]
mod checks;

/// Hands the bytes of every kept input of a target to `check`.
fn each(target: &str, check: fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/fuzz")
        .join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 24, "{target} has lost its inputs");
    for file in files {
        // The last one named is the one that fails.
        println!("{}", file.display());
        check(&fs::read(file).unwrap());
    }
}

#[test]
fn kept_scenes() {
    each("scene", checks::scene);
}

#[test]
fn kept_expressions() {
    each("expression", checks::expression);
}
