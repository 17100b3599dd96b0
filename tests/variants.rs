//! A cell type may take a channel otherwise than its file defines it: with all time constants
//! multiplied, or another reversal potential. It is the same to the bit as a channel written so, and
//! reads back as it is resolved.

mod helpers;

use helpers::{Folder, bits, run, scene_text, value};
use homarus::scene::{Scene, read_text};

/// Channels slowed by hand, and one whose rates are.
const SLOW_KD: &str = r#"Channel(
    format: 1, name: "slow_kd", reversal: -90,
    gates: { "m": (power: 4, inf: "1/(1 + exp((V + 12.3)/(-11.8)))", tau: "2*(7.2 - 6.4/(1 + exp((V + 28.3)/(-19.2))))") },
)"#;
const RATES: &str = r#"Channel(
    format: 1, name: "rates", reversal: -80,
    gates: { "n": (power: 1, alpha: "0.02*exp((V + 40)/20)", beta: "0.02*exp(-(V + 40)/20)") },
)"#;
const SLOW_RATES: &str = r#"Channel(
    format: 1, name: "slow_rates", reversal: -80,
    gates: { "n": (power: 1, alpha: "0.02*exp((V + 40)/20)/4", beta: "0.02*exp(-(V + 40)/20)/4") },
)"#;
const SCHEME: &str = r#"Channel(
    format: 1, name: "scheme", reversal: -80,
    scheme: (states: ["c", "o"], conducting: ["o"],
        rates: { "c->o": "0.02*exp((V + 40)/20)", "o->c": "0.02*exp(-(V + 40)/20)" }),
)"#;

fn folder(name: &str, kd: &str, x: &str) -> Folder {
    let cell = format!(
        r#"Cell(
            format: 1, name: "own", capacitance: 1, include: ["kd.ron", "rates.ron", "slow.ron", "scheme.ron"],
            channels: {{ "Na": "stg_na", "Kd": {kd}, "X": {x}, "leak": "leak" }},
        )"#
    );
    Folder::new(
        name,
        &[
            ("own.ron", &cell),
            ("kd.ron", SLOW_KD),
            ("rates.ron", RATES),
            ("slow.ron", SLOW_RATES),
            ("scheme.ron", SCHEME),
        ],
    )
}

fn scene(folder: &Folder) -> Scene {
    folder.read(&scene_text(
        200.0,
        0.05,
        r#"include: ["own.ron"], cells: { "A": (cell: "own", start: (V: -50), I: 5,
            gbar: { "Na": 500, "Kd": 100, "X": 0.1, "leak": 0.1 }) }"#,
    ))
}

const KD: &str = r#"(channel: "stg_kd", tau_factor: 2, reversal: -90)"#;

#[test]
fn a_variant_is_the_channel_written_so() {
    let written = folder("variant-written", "\"slow_kd\"", "\"slow_rates\"");
    let varied = folder("variant-varied", KD, r#"(channel: "rates", tau_factor: 4)"#);
    let wanted = bits(&run(&scene(&written)));
    assert!(wanted[0].spikes.len() > 3);
    assert_eq!(bits(&run(&scene(&varied))), wanted);
    // Nothing but the name differs from the file where nothing is changed.
    let plain = folder("variant-plain", r#"(channel: "slow_kd")"#, "\"slow_rates\"");
    assert_eq!(bits(&run(&scene(&plain))), wanted);
}

/// The rates of a kinetic scheme are slowed, too: after 4 t it is where the faster one is after t.
#[test]
fn a_scheme_is_slowed() {
    let state = |x: &str, duration: f64| {
        let folder = folder(&format!("variant-scheme-{duration}"), KD, x);
        let mut scene = scene(&folder);
        scene.duration_ms = duration;
        // A clamp in all but name: only the leak conducts, and it reverses at V.
        scene.cells[0].gbar = vec![0.0, 0.0, 0.0, 1.0];
        scene.cells[0].current = 0.0;
        scene.cells[0].start.gates = vec![("X".into(), "o".into(), 1.0)];
        value(&run(&scene), "A.X.o")
    };
    let fast = state("\"scheme\"", 10.0);
    let slow = state(r#"(channel: "scheme", tau_factor: 4)"#, 40.0);
    assert!(fast < 0.9 && (fast - slow).abs() < 1e-9, "{fast} {slow}");
}

/// A variant has a name of its own in what is written down, whatever else is called so.
#[test]
fn a_variant_reads_back() {
    let own = SLOW_RATES.replace("slow_rates", "own_Kd");
    let folder = folder("variant-resolved", KD, "\"own_Kd\"");
    std::fs::write(folder.path("slow.ron"), own).unwrap();
    let scene = scene(&folder);
    let text = scene.text();
    let again = read_text(&text, "scene.ron", None).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(again.text(), text);
    assert_eq!(again.hash(), scene.hash());
    assert_eq!(bits(&run(&again)), bits(&run(&scene)));
    assert!(
        text.contains("\"own_Kd\"") && text.contains("\"own_Kd_2\""),
        "{text}"
    );
}
