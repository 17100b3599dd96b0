//! The shipped five-neuron scenes show what the published network shows: which rhythms are there,
//! their periods, phases and locks, and the calcium that regulation arrives at. Margins are those
//! of `tests/data/fixtures_network/outcomes.json`, at the step the scenes ship with (0.01 ms).
//! F0 to F6 are the seven published experiments; cells 1 to 5 are F1, F2, hub, S1 and S2.

mod common;

use common::{json, numbers};
use homarus::{
    record::summary::Summary,
    rhythm::{
        Burst, CellReport, WindowReport, bursts, circular_mean, counted, gap_measures,
        onset_phases, resultant, whole_bursts, within,
    },
    run::{summarise, trains},
    scene::{Scene, read, spawn::spawn},
};
use homarus_systems::{
    address::{Address, ChannelScalar},
    observe::{Observers, Sampler},
};
use serde_json::Value;

const F1: usize = 0;
const F2: usize = 1;
const S1: usize = 3;
const S2: usize = 4;

/// Spikes that make a burst slow.
const SLOW: usize = 10;

/// A finished run of a shipped scene.
struct Run {
    scene: Scene,
    summary: Summary,
    trains: Vec<Vec<f64>>,
    /// gbar of CaS in S1 (mS/cm²) every second.
    cas_of_s1: Vec<f64>,
}

impl Run {
    fn of(name: &str) -> Run {
        let scene = read(name).unwrap_or_else(|e| panic!("{e}"));
        let cas = scene.cell_types[0]
            .channels
            .iter()
            .position(|(channel, _)| channel == "CaS")
            .unwrap();
        assert_eq!(scene.step_ms, 0.01);
        let mut simulation = spawn(&scene).unwrap_or_else(|e| panic!("{e}"));
        let read = vec![Address::Channel(S1, cas, ChannelScalar::Gbar)];
        let sampler = Sampler::new(read, 1000.0);
        let mut observers = simulation.world.resource_mut::<Observers>();
        observers.samplers.push(sampler);
        simulation.run().unwrap();
        let rows = &simulation.world.resource::<Observers>().samplers[0].rows;
        Run {
            summary: summarise(&scene, &simulation),
            trains: trains(&simulation),
            cas_of_s1: rows.iter().map(|(_, values)| values[0]).collect(),
            scene,
        }
    }

    fn window(&self, label: &str, wanted: &Value) -> Seen<'_> {
        let mut windows = self.summary.windows.iter();
        let report = windows.find(|w| w.label == label).unwrap();
        let edges = numbers(wanted);
        assert_eq!([report.from_ms, report.to_ms], edges[..]);
        for cell in &report.cells {
            println!(
                "  {label} {}: bursts {}, period {:.2?} cv {:.3?}, spikes {:.2?} max {:?}, Ca {:.1?}",
                cell.name,
                cell.bursts,
                cell.period_ms,
                cell.period_cv,
                cell.spikes_per_burst,
                cell.spikes_per_burst_max,
                cell.ca_mean_um
            );
        }
        Seen { run: self, report }
    }

    /// Onsets (ms) of the slow bursts of a cell.
    fn slow_onsets(&self, cell: usize) -> Vec<f64> {
        let all = bursts(&self.trains[cell], self.scene.gap_ms);
        counted(&all, SLOW).iter().map(|b| b.on_ms).collect()
    }

    /// Onset of the first slow burst after `t` (ms).
    fn first_slow_after(&self, cell: usize, t: f64) -> f64 {
        let onsets = self.slow_onsets(cell);
        onsets.into_iter().find(|on| *on >= t).unwrap_or(f64::NAN)
    }
}

/// One window of a run.
struct Seen<'a> {
    run: &'a Run,
    report: &'a WindowReport,
}

impl Seen<'_> {
    fn cell(&self, cell: usize) -> &CellReport {
        &self.report.cells[cell]
    }

    fn period(&self, cell: usize) -> f64 {
        self.cell(cell).period_ms.unwrap()
    }

    fn calcium(&self, cell: usize) -> f64 {
        self.cell(cell).ca_mean_um.unwrap()
    }

    fn bursts(&self, cell: usize, min_spikes: usize) -> Vec<Burst> {
        let (train, scene) = (&self.run.trains[cell], &self.run.scene);
        let all = whole_bursts(train, scene.gap_ms, 0.0, scene.duration_ms);
        let inside = within(&all, self.report.from_ms, self.report.to_ms);
        counted(inside, min_spikes)
    }

    /// Phase and lock of a cell in the cycles of a reference cell.
    fn phase(&self, cell: usize, reference: usize, min_spikes: usize) -> (f64, f64) {
        let phases = onset_phases(
            &self.bursts(reference, min_spikes),
            &self.bursts(cell, min_spikes),
        );
        let found = (circular_mean(&phases).unwrap(), resultant(&phases).unwrap());
        println!(
            "  {} phase of {cell} in {reference}: {found:.3?}",
            self.report.label
        );
        found
    }

    /// No slow burst, whole or cut by an edge of the window.
    fn no_slow_burst(&self, cell: usize) {
        let onsets = self.run.slow_onsets(cell);
        let (from, to) = (self.report.from_ms, self.report.to_ms);
        let found: Vec<f64> = onsets
            .into_iter()
            .filter(|t| (from..to).contains(t))
            .collect();
        assert!(found.is_empty(), "cell {cell}: slow bursts at {found:?}");
    }
}

fn experiment(name: &str) -> Value {
    json("fixtures_network/outcomes.json")["five"][name].clone()
}

#[track_caller]
fn inside(value: f64, range: &Value, what: &str) {
    let range = numbers(range);
    assert!(
        value >= range[0] && value <= range[1],
        "{what}: {value} is not in {range:?}"
    );
}

#[track_caller]
fn periods(seen: &Seen, cells: &Value) {
    for (cell, range) in cells.as_object().unwrap() {
        let cell = cell.parse::<usize>().unwrap() - 1;
        inside(seen.period(cell), range, &seen.cell(cell).name);
    }
}

#[test]
fn f0_uncoupled() {
    let wanted = experiment("F0_uncoupled");
    let run = Run::of("five_neuron_uncoupled");
    let seen = run.window("late", &wanted["window"]);
    periods(&seen, &wanted["fast_period_ms"]);
    periods(&seen, &wanted["slow_period_ms"]);
    let (_, lock) = seen.phase(F2, F1, 2);
    assert!(
        lock < wanted["lock_R_max_2_in_1"].as_f64().unwrap(),
        "{lock}"
    );
}

#[test]
fn f1_half_centres() {
    let wanted = experiment("F1_half_centres");
    let run = Run::of("five_neuron_half_centres");
    let seen = run.window("late", &wanted["window"]);
    periods(&seen, &wanted["fast_period_ms"]);
    periods(&seen, &wanted["slow_period_ms"]);
    let (phase, lock) = seen.phase(F2, F1, 2);
    inside(phase, &wanted["phase_2_in_1"], "phase of F2");
    assert!(lock >= wanted["lock_R_min"].as_f64().unwrap(), "{lock}");
    let (_, lock) = seen.phase(S1, S2, SLOW);
    assert!(lock >= wanted["lock_R_min"].as_f64().unwrap(), "{lock}");
}

#[test]
fn f2_modulation_on() {
    let wanted = experiment("F2_on");
    let run = Run::of("five_neuron_on");
    let seen = run.window("late", &wanted["window"]);
    periods(&seen, &wanted["fast_period_ms"]);
    periods(&seen, &wanted["slow_period_ms"]);
    let (phase, lock) = seen.phase(F2, F1, 2);
    inside(phase, &wanted["phase_2_in_1"], "phase of F2");
    assert!(lock >= wanted["lock_R_min"].as_f64().unwrap(), "{lock}");
    let (phase, lock) = seen.phase(S1, S2, SLOW);
    inside(phase, &wanted["phase_4_in_5"], "phase of S1");
    assert!(lock >= wanted["lock_R_min"].as_f64().unwrap(), "{lock}");
    for (cell, range) in wanted["spikes_per_burst"].as_object().unwrap() {
        let cell = seen.cell(cell.parse::<usize>().unwrap() - 1);
        inside(cell.spikes_per_burst.unwrap(), range, &cell.name);
    }
    for cell in F1..=S2 {
        inside(seen.calcium(cell), &wanted["mean_ca"], "calcium");
    }
}

#[test]
fn f3_modulation_off() {
    let wanted = experiment("F3_off");
    let run = Run::of("five_neuron_off");
    let seen = run.window("late", &wanted["window"]);
    for cell in F1..=S2 {
        // Groups of two spikes or more count here, in the slow cells too.
        let groups = seen.bursts(cell, 2);
        let measures = gap_measures(&groups);
        println!("  {cell}: {measures:.3?}");
        let (cv, size) = (
            measures.period_cv.unwrap(),
            measures.spikes_per_burst.unwrap(),
        );
        assert!(
            cv >= wanted["period_cv_min"].as_f64().unwrap(),
            "{cell}: {cv}"
        );
        let most = wanted["mean_spikes_per_burst_max"].as_f64().unwrap();
        assert!(size <= most, "{cell}: {size}");
    }
    assert_eq!(wanted["slow_bursts_max_cells_4_5"], 0);
    seen.no_slow_burst(S1);
    seen.no_slow_burst(S2);
}

#[test]
fn f4_slow_side_withheld() {
    let wanted = experiment("F4_slow_withheld");
    let run = Run::of("five_neuron_slow_withheld");
    let seen = run.window("late", &wanted["window"]);
    periods(&seen, &wanted["fast_period_ms"]);
    let (_, lock) = seen.phase(F2, F1, 2);
    assert!(lock >= wanted["lock_R_min"].as_f64().unwrap(), "{lock}");
    assert_eq!(wanted["slow_bursts_max"], 0);
    for cell in [S1, S2] {
        seen.no_slow_burst(cell);
        assert!(seen.calcium(cell) < wanted["ca_4_5_below"].as_f64().unwrap());
    }
}

#[test]
fn f5_controlled() {
    let wanted = experiment("F5_controlled");
    let run = Run::of("five_neuron_cpg");
    let before = run.window("before", &wanted["before"]);
    let after = run.window("after", &wanted["after"]);
    assert_eq!(wanted["slow_bursts_before_max_cells_4_5"], 0);
    for cell in [S1, S2] {
        before.no_slow_burst(cell);
        let wait = run.first_slow_after(cell, 50_000.0) - 50_000.0;
        println!("  first slow burst of {cell} after {wait:.0} ms");
        assert!(
            wait <= wanted["first_slow_burst_after_switch_ms_max"]
                .as_f64()
                .unwrap()
        );
    }
    for seen in [&before, &after] {
        for cell in [F1, F2] {
            inside(seen.period(cell), &wanted["fast_period_ms"], "fast period");
            assert!((seen.period(cell) / 224.0 - 1.0).abs() < 0.02);
        }
        let (phase, lock) = seen.phase(F2, F1, 2);
        inside(phase, &wanted["phase_2_in_1"], "phase of F2");
        assert!((phase - 0.5).abs() < 0.06 && lock >= 0.9, "{phase} {lock}");
    }
    for cell in [S1, S2] {
        inside(after.period(cell), &wanted["slow_period_ms"], "slow period");
        assert!((after.period(cell) / 1500.0 - 1.0).abs() < 0.03);
        let slow = after.bursts(cell, SLOW);
        assert!(slow.len() as u64 >= wanted["slow_bursts_min"].as_u64().unwrap());
        assert!(slow.iter().all(|b| b.n_spikes >= 30), "{slow:?}");
    }
    let (phase, lock) = after.phase(S1, S2, SLOW);
    inside(phase, &wanted["phase_4_in_5"], "phase of S1");
    assert!(
        lock >= wanted["slow_lock_R_min"].as_f64().unwrap(),
        "{lock}"
    );
    let (phase, lock) = after.phase(S2, S1, SLOW);
    assert!((phase - 0.5).abs() < 0.12 && lock >= 0.9, "{phase} {lock}");
    for cell in F1..=S2 {
        let calcium = after.calcium(cell);
        inside(calcium, &wanted["mean_ca"], "calcium");
        assert!((calcium / 125.0 - 1.0).abs() < 0.12, "{cell}: {calcium}");
    }
}

#[test]
fn f6_sharp() {
    let wanted = experiment("F6_sharp");
    let run = Run::of("five_neuron_sharp");
    let switch = wanted["t_switch"].as_f64().unwrap();
    let homeostasis = wanted["t_homeostasis"].as_f64().unwrap();
    for window in &run.summary.windows {
        let edges = serde_json::json!([window.from_ms, window.to_ms]);
        let seen = run.window(&window.label, &edges);
        seen.phase(F2, F1, 2);
        for cell in [F1, F2] {
            inside(seen.period(cell), &wanted["fast_period_ms"], "fast period");
        }
    }
    for cell in [S1, S2] {
        let onsets = run.slow_onsets(cell);
        let wait = run.first_slow_after(cell, switch) - switch;
        let last = onsets.last().unwrap() - homeostasis;
        println!(
            "  cell {cell}: first slow burst after {wait:.0} ms, last {last:.0} ms after homeostasis"
        );
        assert!(
            wait <= wanted["first_slow_burst_after_switch_ms_max"]
                .as_f64()
                .unwrap()
        );
        assert!(last <= 3000.0, "{last}");
        let modulated = onsets.iter().filter(|t| (27_000.0..50_000.0).contains(*t));
        assert!(
            modulated.count() as u64 >= wanted["slow_bursts_27000_50000_min"].as_u64().unwrap()
        );
    }
    assert_eq!(wanted["slow_bursts_53000_150000_max"], 0);
    inside(
        run.cas_of_s1[52],
        &wanted["gCaS_4_at_52000"],
        "gbar of CaS in S1",
    );
}

/// Slow bursts per second of S1 and S2 in a window of a run.
fn slow_rate(summary: &Summary, label: &str) -> f64 {
    let mut windows = summary.windows.iter();
    let window = windows.find(|w| w.label == label).unwrap();
    let bursts = window.cells[S1].bursts + window.cells[S2].bursts;
    1e3 * bursts as f64 / (window.to_ms - window.from_ms)
}

/// Whatever the conductances: modulation recruits the slow rhythm (less than a quarter of its rate
/// before), and a jump is erased (less than a third of its rate after). The reference found it in 52
/// of 60 draws each.
#[test]
#[ignore = "minutes: cargo test --release --locked --test five_neuron -- --ignored --nocapture"]
fn most_drawn_networks_are_recruited_and_most_lose_a_jump() {
    const SEEDS: u64 = 20;
    let summary = |name: &str, seed| {
        let mut scene = read(name).unwrap_or_else(|e| panic!("{e}"));
        scene.seed = seed;
        homarus::run::run(&scene).unwrap()
    };
    let (mut recruited, mut lost) = (0, 0);
    for seed in 1..=SEEDS {
        let controlled = summary("five_neuron_draws", seed);
        let [before, after] = ["before", "after"].map(|label| slow_rate(&controlled, label));
        let sharp = summary("five_neuron_draws_sharp", seed);
        let [modulated, late] = ["modulated", "late"].map(|label| slow_rate(&sharp, label));
        println!("{seed}: {before:.2}, {after:.2} Hz; {modulated:.2}, {late:.2} Hz");
        recruited += u64::from(after > 0.0 && before < after / 4.0);
        lost += u64::from(modulated > 0.0 && late < modulated / 3.0);
    }
    println!("recruited {recruited}, lost {lost} of {SEEDS}");
    assert!(10 * recruited >= 7 * SEEDS && 10 * lost >= 7 * SEEDS);
}
