//! A long run in little memory: what is written leaves the program as it comes, every row arrives,
//! and the same run gives the same bytes.
//!
//! The hour itself takes minutes and is asked for by name:
//! `cargo test --release --test long_run -- --ignored --nocapture`

#![cfg(target_os = "linux")]

mod program;

use std::{
    fmt::Write as _,
    fs::{self, File},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use parquet::file::reader::{FileReader, SerializedFileReader};

const CELLS: usize = 200;
const SAMPLED_EVERY_MS: usize = 50;

/// Cells with homeostasis and every conductance moved by up to 5 %, on a ring; the windows lie
/// side by side, so that none needs more than its own length of spikes.
fn scene(duration_ms: usize, window_ms: usize) -> String {
    let mut state = 1_u64;
    let mut jittered = |x: f64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        x * (1.0 + 0.05 * ((state >> 11) as f64 / 2f64.powi(52) - 1.0))
    };
    let gbar = [
        ("Na", 3950.0),
        ("CaT", 2.9),
        ("CaS", 19.0),
        ("A", 71.0),
        ("KCa", 109.0),
        ("Kd", 138.0),
        ("H", 0.29),
        ("leak", 0.009),
    ];
    let mut text = format!(
        "Scene(format: 1, about: \"a ring\", source: \"written by a test\",\n\
         duration_ms: {duration_ms}, step_ms: 0.05, cells: {{\n"
    );
    for cell in 0..CELLS {
        write!(text, "  \"c{cell}\": (cell: \"stg\", gbar: {{").unwrap();
        for (name, value) in gbar {
            write!(text, "\"{name}\": {}, ", jittered(value)).unwrap();
        }
        text += "}, homeostat: (channels: [\"Na\", \"CaT\", \"KCa\", \"Kd\", \"H\", \"leak\"], Ca_target: 125)),\n";
    }
    text += "}, edges: [\n";
    for cell in 0..CELLS {
        let next = (cell + 1) % CELLS;
        writeln!(
            text,
            "  (pre: \"c{cell}\", post: \"c{next}\", kind: \"tanh\", g: 0.05),"
        )
        .unwrap();
    }
    text += "], windows: [\n";
    for from in (0..duration_ms).step_by(window_ms) {
        let to = (from + window_ms).min(duration_ms);
        writeln!(
            text,
            "  (label: \"from {from}\", from_ms: {from}, to_ms: {to}),"
        )
        .unwrap();
    }
    writeln!(
        text,
        "], samples: [(paths: [\"*.V\", \"*.Ca\"], every_ms: {SAMPLED_EVERY_MS})])"
    )
    .unwrap();
    text
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("long-run-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Resident memory (MB) of a process; `None` once it is over.
fn resident_mb(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// Runs the scene into a bundle; gives the memory (MB) at each look.
fn run(folder: &Path, bundle: &str, look_every: Duration) -> Vec<f64> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_homarus"))
        .args(["run", "ring.ron", "--quiet", "-o", bundle])
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut looks = Vec::new();
    loop {
        looks.extend(resident_mb(&child));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return looks;
        }
        sleep(look_every);
    }
}

fn rows(bundle: &Path, table: &str) -> i64 {
    let file = File::open(bundle.join(table)).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    reader.metadata().file_metadata().num_rows()
}

/// Two runs: memory flat, rows complete, bytes equal. Memory may grow by `filling_mb` in the last
/// third: a short run ends before the first rows of a table are written together.
fn hold(name: &str, duration_ms: usize, window_ms: usize, look_every: Duration, filling_mb: f64) {
    let folder = folder(name);
    fs::write(folder.join("ring.ron"), scene(duration_ms, window_ms)).unwrap();
    let looks = run(&folder, "one", look_every);
    run(&folder, "two", look_every);

    let highest = |looks: &[f64]| looks.iter().copied().fold(0.0, f64::max);
    let third = looks.len() / 3;
    let (early, late) = (highest(&looks[..2 * third]), highest(&looks[2 * third..]));
    println!(
        "{CELLS} cells, {} s: {early:.1} MB in the first two thirds, {late:.1} MB in the last",
        duration_ms / 1000
    );
    for tenth in looks.chunks(looks.len().div_ceil(10)) {
        println!("  up to {:.1} MB", highest(tenth));
    }
    assert!(late < 1.1 * early + filling_mb, "{looks:?}");

    let (one, two) = (folder.join("one"), folder.join("two"));
    let samples = (duration_ms / SAMPLED_EVERY_MS + 1) * CELLS;
    assert_eq!(rows(&one, "samples.parquet"), samples as i64);
    let text = fs::read_to_string(one.join("run.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let windows = json["windows"].as_array().unwrap();
    assert_eq!(windows.len(), duration_ms.div_ceil(window_ms));
    let cells = windows.iter().flat_map(|w| w["cells"].as_array().unwrap());
    let spikes: i64 = cells.map(|cell| cell["spikes"].as_i64().unwrap()).sum();
    assert_eq!(rows(&one, "spikes.parquet"), spikes);
    for table in ["spikes", "bursts", "samples", "events"] {
        let file = format!("{table}.parquet");
        let read = |bundle: &Path| fs::read(bundle.join(&file)).unwrap();
        assert!(read(&one) == read(&two), "{file}");
    }
}

/// Notices of removed components, which a world collects until they are cleared.
#[test]
fn notices_do_not_pile_up_from_stretch_to_stretch() {
    let mut scene = homarus::scene::read("half_centre").unwrap();
    scene.duration_ms = 1_000.0;
    scene.windows.clear();
    let mut simulation = homarus::scene::spawn::spawn(&scene).unwrap();
    let (mut stretches, mut most) = (0, 0);
    let run = simulation.run_while(|world| {
        let notices = world.removed_components().iter();
        most = most.max(notices.map(|(_, messages)| messages.len()).sum());
        stretches += 1;
        ControlFlow::Continue(())
    });
    run.unwrap();
    assert!(stretches >= 1_000, "{stretches}");
    assert!(most < 100, "{most} notices");
}

#[test]
fn a_run_of_two_hundred_cells() {
    hold("short", 15_000, 500, Duration::from_millis(20), 16.0);
}

#[test]
#[ignore = "takes minutes; see the top of the file"]
fn an_hour_of_two_hundred_cells() {
    hold("hour", 3_600_000, 60_000, Duration::from_secs(1), 0.0);
}
