//! The published neurons, one by one: the studies that ship, run on the published conductances of
//! neurons 1-100, against the conductances that the published runs had at the same times.
//!
//! The data stay beside the repository (their licence and notes are in the README there); where they
//! are absent these tests say that they are skipped. The first neurons of each population run with
//! the other tests; all of them:
//!
//! ```sh
//! cargo test --release --locked --test published -- --include-ignored --nocapture
//! ```

mod helpers;

use std::{collections::HashMap, ops::ControlFlow};

use helpers::{Folder, published};
use homarus::{
    execution::Execution,
    record::summary::Summary,
    rhythm::Pattern,
    run,
    scene::{self, Asked, Scene, TableFile, model::Setting, spawn},
};
use homarus_systems::{
    address::{self, Address, CellScalar},
    observe::Sampler,
};

/// Published conductances (mS/cm²) by neuron, time (s) and channel, and the channels.
struct Published {
    channels: Vec<String>,
    values: HashMap<(usize, u64), Vec<f64>>,
}

impl Published {
    fn new(text: &str) -> Self {
        let mut lines = text.lines();
        let header = lines.next().unwrap().split(',').skip(2);
        let channels = header.map(|name| name[1..].to_owned()).collect();
        let values = lines.map(|line| {
            let mut fields = line.split(',');
            let neuron: usize = fields.next().unwrap().parse().unwrap();
            let t_s: f64 = fields.next().unwrap().parse().unwrap();
            let values = fields.map(|x| x.parse().unwrap_or(f64::NAN)).collect();
            ((neuron, t_s as u64), values)
        });
        Published {
            channels,
            values: values.collect(),
        }
    }
}

/// What a study did with the published neurons.
struct Study {
    scene: Scene,
    summary: Summary,
    /// Conductances each second, by cell and channel of the file.
    rows: Vec<Vec<f64>>,
}

/// A study of the first `neurons` of the published start.
fn scene(name: &str, start: &str, neurons: usize) -> Scene {
    let table: Vec<&str> = start.lines().take(neurons + 1).collect();
    let folder = Folder::new(
        &format!("published-{name}-{neurons}"),
        &[("cells.csv", &table.join("\n"))],
    );
    let asked = Asked {
        tables: vec![TableFile {
            population: "cells".to_owned(),
            path: folder.path("cells.csv").into(),
            origin: scene::Place::default(),
        }],
        ..Asked::default()
    };
    let scene = scene::read_asked(name, &asked).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(scene.cells.len(), neurons);
    scene
}

/// Runs a scene with conductances noted each second.
fn study(mut scene: Scene, channels: &[String], step_ms: f64) -> Study {
    scene.step_ms = step_ms;
    let neurons = scene.cells.len();
    let network = spawn::spawn(&scene).unwrap_or_else(|errors| panic!("{errors}"));
    let addresses = (0..neurons).flat_map(|k| {
        let names = network.names();
        let scalar = move |channel: &String| {
            let path = format!("cells[{k}].{channel}.gbar");
            names
                .scalars(&path)
                .unwrap_or_else(|e| panic!("{path}: {e}"))[0]
        };
        channels.iter().map(scalar).collect::<Vec<_>>()
    });
    let sampler = Sampler::new(addresses.collect(), 1_000.0);
    let execution = Execution::default();
    let go_on = &mut |_| ControlFlow::Continue(());
    let (outcome, samplers) = run::run_observed(&scene, &execution, vec![sampler], go_on)
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let rows = samplers[0].rows.iter().map(|(_, row)| row.clone());
    Study {
        rows: rows.collect(),
        summary: outcome.summary,
        scene,
    }
}

/// How neurons compare with the published ones at some times: of each the largest relative
/// difference over all channels and times, ascending, and of each channel that of the medians.
struct Comparison {
    worst: Vec<(f64, usize)>,
    medians: f64,
    /// Channel and time (s) of the largest difference of medians.
    median_at: String,
}

impl Study {
    /// Compares at times (s).
    fn compare(&self, published: &Published, times: &[u64]) -> Comparison {
        let (neurons, channels) = (self.scene.cells.len(), published.channels.len());
        let mut worst = vec![0.0_f64; neurons];
        let (mut medians, mut median_at) = (0.0_f64, String::new());
        for t in times {
            let row = &self.rows[*t as usize];
            for channel in 0..channels {
                let found = |neuron: usize| row[neuron * channels + channel];
                let wanted = |neuron: usize| published.values[&(neuron + 1, *t)][channel];
                for (neuron, worst) in worst.iter_mut().enumerate() {
                    *worst = worst.max((found(neuron) / wanted(neuron) - 1.0).abs());
                }
                let found = median((0..neurons).map(found).collect());
                let wanted = median((0..neurons).map(wanted).collect());
                let difference = (found / wanted - 1.0).abs();
                if difference > medians {
                    medians = difference;
                    median_at = format!("{}, {t} s", published.channels[channel]);
                }
            }
        }
        let mut worst: Vec<(f64, usize)> = worst.into_iter().zip(1..).collect();
        worst.sort_by(|a, b| a.0.total_cmp(&b.0));
        Comparison {
            worst,
            medians,
            median_at,
        }
    }

    fn patterns(&self, window: &str, pattern: Pattern) -> usize {
        let cells = self.window(window).iter();
        cells.filter(|cell| cell.pattern == pattern).count()
    }

    fn window(&self, label: &str) -> &[homarus::rhythm::CellReport] {
        let mut windows = self.summary.windows.iter();
        &windows.find(|w| w.label == label).unwrap().cells
    }

    fn calcium(&self, window: &str) -> f64 {
        let cells = self.window(window);
        cells.iter().filter_map(|cell| cell.ca_mean_um).sum::<f64>() / cells.len() as f64
    }

    fn burstiness(&self, window: &str) -> f64 {
        let cells = self.window(window).iter();
        median(cells.filter_map(|cell| cell.burstiness_hz2).collect())
    }
}

impl Comparison {
    fn within(&self, near: f64) -> usize {
        self.worst.iter().filter(|(x, _)| *x <= near).count()
    }

    fn tell(&self, what: &str, near: f64) {
        let outside = self.worst.iter().filter(|(x, _)| *x > near);
        let outside: Vec<String> = outside.map(|(x, n)| format!("{n} ({x:.3})")).collect();
        println!(
            "{what}: {} of {} neurons within {near}, worst {:.4}, medians {:.4} ({}); outside: {}",
            self.within(near),
            self.worst.len(),
            self.worst[self.worst.len() - 1].0,
            self.medians,
            self.median_at,
            outside.join(" ")
        );
    }
}

/// A column of the published firing measures, where it is defined.
fn measured(column: &str) -> Option<Vec<f64>> {
    let text = published("firing_measures.csv")?;
    let place = text
        .lines()
        .next()?
        .split(',')
        .position(|name| name == column)?;
    let values = text.lines().skip(1);
    Some(
        values
            .filter_map(|line| line.split(',').nth(place)?.parse().ok())
            .collect(),
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        _ => 0.5 * (values[(n - 1) / 2] + values[n / 2]),
    }
}

/// A controlled run and what the acceptance of the published numbers asks of it: neurons within
/// `near`, at most `astray` of 100 outside, all within twice that.
fn controlled(
    name: &str,
    file: &str,
    neurons: usize,
    times: &[u64],
    near: f64,
    astray: usize,
) -> Option<Study> {
    let da = name.ends_with("DA");
    let start = published(if da {
        "initial_da.csv"
    } else {
        "initial_stg.csv"
    })?;
    let wanted = Published::new(&published(file)?);
    let study = study(scene(name, &start, neurons), &wanted.channels, 0.025);
    let compared = study.compare(&wanted, times);
    compared.tell(name, near);
    let outside = neurons - compared.within(near);
    assert!(
        outside <= (astray * neurons).div_ceil(100),
        "{name}: {outside} outside {near}"
    );
    if !da {
        assert_eq!(compared.within(2.0 * near), neurons, "{name}");
    }
    assert!(
        compared.medians < 0.01 || neurons < 100,
        "{name}: {}",
        compared.medians
    );
    Some(study)
}

fn switched(study: &Study, calcium: f64, near: f64) {
    let neurons = study.scene.cells.len();
    assert_eq!(study.patterns("spiking", Pattern::Tonic), neurons);
    assert_eq!(study.patterns("acute", Pattern::Bursting), neurons);
    assert_eq!(study.patterns("compensated", Pattern::Bursting), neurons);
    let mean = study.calcium("calcium");
    println!("calcium {mean:.2} µM");
    assert!((mean - calcium).abs() < near, "{mean}");
}

/// Neurons 1-8 of the controlled switch from spiking to bursting.
#[test]
fn the_first_neurons_switch_as_published() {
    let file = "conductances_controlled_CaSA.csv";
    if let Some(study) = controlled("controlled_CaSA", file, 8, &[149, 180, 299], 0.03, 2) {
        switched(&study, 125.0, 2.0);
    }
}

#[test]
#[ignore = "a minute in a release build; see the head of the file"]
fn controlled_cas_a() {
    let file = "conductances_controlled_CaSA.csv";
    if let Some(study) = controlled("controlled_CaSA", file, 100, &[149, 180, 299], 0.03, 2) {
        switched(&study, 125.0, 0.5);
        let Some(wanted) = measured("controlledA_burstiness_end") else {
            return;
        };
        let (found, wanted) = (study.burstiness("compensated"), median(wanted));
        println!("median burstiness at the end {found:.0}, published {wanted:.0}");
        assert!((found / wanted - 1.0).abs() < 0.02, "{found} {wanted}");
    }
}

#[test]
#[ignore = "a minute in a release build; see the head of the file"]
fn controlled_cas_h() {
    let file = "conductances_controlled_CaSH.csv";
    let (Some(start), Some(wanted)) = (published("initial_stg.csv"), published(file)) else {
        return;
    };
    // This pair is the most sensitive to the step: of 100 neurons 70 lie within 3 % at 0.025 ms, 88
    // at 0.01, 86 at 0.005 and 88 by the accurate integrator, so it is the published runs, made at a
    // tolerance of 1e-3, that lie elsewhere in the others.
    let wanted = Published::new(&wanted);
    let scene = scene("controlled_CaSH", &start, 100);
    let study = study(scene, &wanted.channels, 0.01);
    let compared = study.compare(&wanted, &[149, 180, 299]);
    compared.tell("controlled_CaSH", 0.03);
    assert!(compared.within(0.03) >= 85 && compared.within(0.06) >= 95);
    assert!(compared.medians < 0.01, "{}", compared.medians);
    switched(&study, 125.0, 0.5);
}

#[test]
#[ignore = "a minute in a release build; see the head of the file"]
fn controlled_da() {
    let file = "conductances_controlled_DA.csv";
    if let Some(study) = controlled("controlled_DA", file, 100, &[299], 0.05, 5) {
        switched(&study, 3.0, 0.1);
    }
}

#[test]
#[ignore = "two minutes in a release build; see the head of the file"]
fn washouts() {
    for (name, file) in [
        ("washout_after", "conductances_controlled_washout_after.csv"),
        (
            "washout_compensated",
            "conductances_controlled_washout_compensated.csv",
        ),
    ] {
        if let Some(study) = controlled(name, file, 100, &[149, 449], 0.03, 2) {
            assert_eq!(study.patterns("washed_out", Pattern::Tonic), 100);
        }
    }
}

/// The first half of the sharp runs is homeostasis alone; after the jump A falls below zero in
/// every cell and no cell bursts as it should.
#[test]
#[ignore = "two minutes in a release build; see the head of the file"]
fn sharp() {
    for (name, file, falls) in [
        (
            "sharp_CaSA",
            "conductances_sharp_CaSA_fig3.csv",
            [6.5, 17.0],
        ),
        (
            "sharp_CaSA_common",
            "conductances_sharp_CaSA_fig2.csv",
            [4.5, 14.0],
        ),
    ] {
        let (Some(start), Some(wanted)) = (published("initial_stg.csv"), published(file)) else {
            return;
        };
        let wanted = Published::new(&wanted);
        let study = study(scene(name, &start, 100), &wanted.channels, 0.025);
        let compared = study.compare(&wanted, &[149]);
        compared.tell(name, 0.03);
        assert!(compared.within(0.03) >= 98, "{name}");
        // The time of each fall is in the warnings of the run.
        let fell = study.summary.warnings.iter().filter_map(|warning| {
            let (_, rest) = warning.split_once(".A.gbar fell below zero at ")?;
            let t_ms: f64 = rest.split_once(" ms")?.0.parse().ok()?;
            Some(1e-3 * t_ms - 150.0)
        });
        let fell: Vec<f64> = fell.collect();
        let [first, last] = [f64::min, f64::max].map(|pick| fell.iter().copied().reduce(pick));
        println!(
            "{name}: A below zero after {first:?} to {last:?} s in {} cells",
            fell.len()
        );
        assert_eq!(fell.len(), 100, "{name}");
        assert!(
            fell.iter().all(|t| (falls[0]..=falls[1]).contains(t)),
            "{name}"
        );
        for window in ["acute", "compensated"] {
            let cells = study.window(window).iter();
            let most = cells
                .filter_map(|cell| cell.burstiness_hz2)
                .fold(0.0, f64::max);
            println!("{name}, {window}: burstiness at most {most:.0}");
            assert!(most <= 2_000.0, "{name}, {window}: {most}");
        }
        let mean = study.calcium("calcium");
        println!("{name}: calcium {mean:.2} µM");
        assert!((mean - 125.0).abs() < 1.0, "{name}: {mean}");
    }
}

/// The published state at the beginning of a blockade, all channels, as a table. It is the same for
/// all four, and the file of each leaves its channel out.
fn before_blockade() -> Option<String> {
    let [na, kca] = ["Na", "KCa"].map(|channel| {
        published(&format!("conductances_blockade_{channel}.csv")).map(|text| Published::new(&text))
    });
    let (na, kca) = (na?, kca?);
    let mut table = format!("Na,{}\n", na.channels.join(","));
    for neuron in 1..=100 {
        let first = kca.values[&(neuron, 0)][0];
        let rest = na.values[&(neuron, 0)].iter().map(f64::to_string);
        table += &format!("{first},{}\n", rest.collect::<Vec<_>>().join(","));
    }
    Some(table)
}

/// The threshold voltages (mV) of the cells of a study, found from their first conductances.
fn thresholds(study: &str) -> Vec<Setting> {
    let first = published("initial_stg.csv").unwrap();
    let mut network = spawn::spawn(&scene(study, &first, 100)).unwrap();
    network.start().unwrap();
    let threshold = |cell| Setting {
        path: format!("cells[{cell}].V_th"),
        value: address::read(&network.world, Address::Cell(cell, CellScalar::VTh)).unwrap(),
        origin: scene::Place::default(),
    };
    (0..100).map(threshold).collect()
}

/// Neurons after blockade, fifty seconds of compensation later. The studies first let the cells
/// switch to bursting for 150 s; here they begin with the blockade, in the published state there.
#[test]
#[ignore = "three minutes in a release build; see the head of the file"]
fn blockades() {
    /// Model time (ms) of the studies before the blockade.
    const SWITCHED_MS: f64 = 150_000.0;
    // Without CaT neurons stop on different branches by the step: of 100 neurons 68 lie within 3 % at
    // 0.025 ms, 83 at 0.01 and 88 at 0.005.
    let cases: [(&str, f64, &[(f64, usize)], f64, f64, [f64; 2]); 4] = [
        ("H", 0.025, &[(0.03, 98)], 0.01, 5243.0, [125.0, 1.0]),
        (
            "CaT",
            0.01,
            &[(0.03, 70), (0.05, 85)],
            0.05,
            3211.0,
            [125.0, 1.0],
        ),
        (
            "KCa",
            0.025,
            &[(0.03, 65), (0.05, 80)],
            0.05,
            1502.0,
            [125.0, 1.0],
        ),
        ("Na", 0.025, &[(0.001, 100)], 0.01, f64::NAN, [63.6, 5.0]),
    ];
    for (channel, step_ms, bounds, medians, burstiness, [calcium, near]) in cases {
        let file = format!("conductances_blockade_{channel}.csv");
        let (Some(start), Some(wanted)) = (before_blockade(), published(&file)) else {
            return;
        };
        let wanted = Published::new(&wanted);
        let name = format!("blockade_{channel}");
        let mut scene = scene(&name, &start, 100);
        scene.set.extend(thresholds(&name));
        scene.windows.retain(|window| window.probe_at_ms.is_none());
        scene.duration_ms -= SWITCHED_MS;
        for entry in &mut scene.protocol {
            entry.at_ms -= SWITCHED_MS;
        }
        for window in &mut scene.windows {
            window.from_ms -= SWITCHED_MS;
            window.to_ms -= SWITCHED_MS;
        }
        let study = study(scene, &wanted.channels, step_ms);
        let compared = study.compare(&wanted, &[50]);
        for (near, least) in bounds {
            compared.tell(&name, *near);
            assert!(compared.within(*near) >= *least, "{name}: within {near}");
        }
        assert!(
            compared.medians < medians,
            "{name}: medians {}",
            compared.medians
        );
        let bursting = study.patterns("after", Pattern::Bursting);
        let found = study.burstiness("after");
        let mean = study.calcium("calcium");
        println!(
            "{name}: {bursting} bursting, burstiness {found:.0} of {burstiness}, calcium {mean:.2} µM"
        );
        // Published of 200: all, all, 199 and none.
        let wanted = match channel {
            "Na" => 0..=0,
            "KCa" => 99..=100,
            _ => 100..=100,
        };
        assert!(wanted.contains(&bursting), "{name}: {bursting} bursting");
        if burstiness.is_finite() {
            assert!((found / burstiness - 1.0).abs() < 0.03, "{name}: {found}");
        }
        assert!((mean - calcium).abs() < near, "{name}: {mean}");
    }
}
