//! The pyloric network of Prinz, Bucher & Marder (2004), `scenes/networks/pyloric.ron`: period, phases
//! and duty cycles of the reference run (exponential midpoint at 0.005 ms, `pyloric.json`), and what
//! is left of the rhythm when one of the seven synapses is missing from the start.
//!
//! At the step of the scene, 0.05 ms: period within 1 %, phases within 0.01. With the accurate
//! integrator: within 0.05 % and 0.001.

mod common;
mod helpers;

use common::{CHANNELS, json, numbers};
use helpers::{network, value};
use homarus::{
    record::summary::Summary,
    rhythm::{RhythmReport, WindowReport},
    run,
    scene::{self, Scene, model::Integrator},
};

/// Names of the cells in the scene and in the fixture.
const CELLS: [(&str, &str); 3] = [("AB", "ABPD"), ("LP", "LP"), ("PY", "PY")];

fn pyloric() -> Scene {
    scene::read("pyloric").unwrap_or_else(|e| panic!("{e}"))
}

fn finished(scene: &Scene) -> Summary {
    run::run(scene).unwrap_or_else(|e| panic!("{e}"))
}

fn phase(rhythm: &RhythmReport, cell: &str) -> (f64, f64) {
    let mut cells = rhythm.cells.iter();
    let report = cells.find(|report| report.name == cell).unwrap();
    (report.phase.unwrap(), report.lock.unwrap())
}

/// Cells, synapses and start of the scene are those of the fixture.
#[test]
fn the_scene_is_the_published_network() {
    let spec = &json("fixtures_network/pyloric.json")["spec"];
    let scene = pyloric();
    let simulation = network(&scene);
    for (k, (cell, _)) in CELLS.iter().enumerate() {
        let wanted = &spec["cells"][k];
        for (channel, g) in CHANNELS.iter().zip(numbers(&wanted["g"])) {
            assert_eq!(value(&simulation, &format!("{cell}.{channel}.gbar")), g);
        }
        assert_eq!(value(&simulation, &format!("{cell}.V")), -60.0);
        assert_eq!(value(&simulation, &format!("{cell}.Ca")), 0.05);
    }
    let synapses = spec["synapses"].as_array().unwrap();
    assert_eq!(scene.edges.len(), synapses.len());
    for wanted in synapses {
        let name = |end: &str| CELLS[wanted[end].as_u64().unwrap() as usize - 1].0;
        let number = |field: &str| wanted[field].as_f64().unwrap();
        let kind = if number("E") == -80.0 { "chol" } else { "glut" };
        let edge = format!("{}->{}:{kind}", name("pre"), name("post"));
        let found = |scalar: &str| value(&simulation, &format!("{edge}.{scalar}"));
        assert!((found("g") / number("g") - 1.0).abs() < 1e-12, "{edge}");
        assert_eq!(found("E"), number("E"));
        assert_eq!(found("V_th"), number("Vth"));
        assert_eq!(found("delta"), number("slope"));
        assert!((found("k_minus") * number("tau") - 1.0).abs() < 1e-12);
        assert_eq!(found("s"), 0.0);
    }
}

/// Holds a run against the fixture: relative error of periods, of phases and duty cycles.
fn control(scene: &Scene, of_period: f64, of_phase: f64) {
    let fixture = &json("fixtures_network/pyloric.json")["runs"]["0.005"];
    let summary = finished(scene);
    let window = &summary.windows[0];
    let rhythm = &window.rhythms[0];
    assert_eq!(rhythm.verdict.to_string(), "rhythmic");
    for (cell, name) in CELLS {
        let report = window.cells.iter().find(|c| c.name == cell).unwrap();
        let wanted = &fixture[name]["rhythm"];
        let number = |field: &str| wanted[field].as_f64().unwrap();
        let (period, duty) = (report.period_ms.unwrap(), report.duty.unwrap());
        println!("{cell}: {period:.2} ms, duty {duty:.4}");
        assert!((period / number("period_ms") - 1.0).abs() < of_period);
        assert!((duty - number("duty")).abs() < of_phase);
        assert_eq!(report.spikes_per_burst.unwrap(), number("spikes_per_burst"));
        if cell != "AB" {
            let (found, lock) = phase(rhythm, cell);
            let wanted = fixture[name]["phase"][0].as_f64().unwrap();
            println!("{cell}: phase {found:.4}, wanted {wanted:.4}, lock {lock:.6}");
            assert!((found - wanted).abs() < of_phase && lock > 0.999);
        }
    }
}

#[test]
fn the_rhythm_is_that_of_the_reference() {
    let scene = pyloric();
    assert_eq!((scene.step_ms, scene.gap_ms), (0.05, 150.0));
    control(&scene, 0.01, 0.01);
}

#[test]
fn the_accurate_integrator_is_nearer() {
    let mut scene = pyloric();
    scene.integrator = Integrator::Accurate;
    control(&scene, 5e-4, 1e-3);
}

/// What is left without one synapse.
enum Left {
    /// The order AB, LP, PY at this period (ms), within this share of it.
    Rhythm(f64, f64),
    /// LP fires tonically at this rate (Hz), AB and PY are silent.
    Lost(f64),
}

#[test]
fn each_synapse_has_its_part() {
    use Left::{Lost, Rhythm};
    // The two irregular rhythms vary by 3 %.
    let removals = [
        ("AB->LP:chol", Rhythm(1629.0, 0.01)),
        ("AB->PY:chol", Rhythm(1821.0, 0.03)),
        ("AB->LP:glut", Rhythm(1821.0, 0.03)),
        ("AB->PY:glut", Lost(18.7)),
        ("LP->PY:glut", Rhythm(1790.0, 0.01)),
        ("PY->LP:glut", Lost(20.5)),
        ("LP->AB:glut", Rhythm(1494.0, 0.01)),
    ];
    let mut scene = pyloric();
    scene.duration_ms = 15_000.0;
    (scene.windows[0].from_ms, scene.windows[0].to_ms) = (4_000.0, 15_000.0);
    for (edge, left) in removals {
        let mut scene = scene.clone();
        scene.set.push(scene::model::Setting {
            path: format!("{edge}.g"),
            value: 0.0,
            origin: scene.step_origin.clone(),
        });
        let summary = finished(&scene);
        let window: &WindowReport = &summary.windows[0];
        let rhythm = &window.rhythms[0];
        let pattern = |k: usize| window.cells[k].pattern.to_string();
        match left {
            Rhythm(wanted, margin) => {
                let period = rhythm.period_ms.unwrap();
                println!(
                    "{edge}: {period:.1} ms, CV {:.4}",
                    rhythm.period_cv.unwrap()
                );
                assert_eq!(rhythm.verdict.to_string(), "rhythmic", "{edge}");
                assert!((period / wanted - 1.0).abs() < margin, "{edge}: {period}");
            }
            Lost(wanted) => {
                let rate = window.cells[1].frequency_hz.unwrap();
                println!("{edge}: lost, LP at {rate:.1} Hz");
                assert_eq!(rhythm.verdict.to_string(), "absent", "{edge}");
                assert_eq!([0, 1, 2].map(pattern), ["silent", "tonic", "silent"]);
                assert!((rate / wanted - 1.0).abs() < 0.03, "{edge}: {rate}");
            }
        }
    }
}
