//! The dopamine (DA) neuron beside the STG one: its kinetics, dynamic input conductances and
//! compensation solves meet the published-model fixtures as closely as those of the STG cell do
//! (gates to 1e-11, DICs to 1e-9, solves to 1e-8, relative), its trajectory the reference one: with the
//! adaptive reference integrator V within 1e-3 mV and calcium within 1e-5 µM over 0.5 s and spikes
//! within 0.01 ms over 10 s; with the fixed step errors that shrink with it; with the accurate
//! integrator spikes to a tenth of a ms. Regulated as published, populations go where the published
//! ones go: from pacing to bursts, the calcium at its target.

mod common;

use std::sync::Arc;

use common::{Csv, exponential, json, largest_shift, numbers, reference, run, spikes};
use homarus::scene::{Scene, cell_definition, read_text};
use homarus_systems::{
    address::{Address, CellScalar, ChannelScalar},
    channels::CellType,
    dic::{self, Compensation, Linearisation},
};

/// Channels in the order of every table of conductances.
const CHANNELS: [&str; 7] = ["Na", "Kd", "CaL", "CaN", "ERG", "NMDA", "leak"];

/// Start state of the published runs.
const START: &str = r#"start: (V: -90, Ca: 0.5, gates: { "ERG.o": 0, "ERG.i": 0 })"#;

/// The shipped DA cell.
fn da() -> CellType {
    let definition = Arc::new(cell_definition("da").unwrap());
    let parameters = CellType::default_parameters(&definition);
    CellType::compile(&definition, &parameters, None, 0.05).unwrap()
}

fn factors(cell: &CellType) -> [Vec<f64>; 2] {
    cell.tau_factors(&CellType::default_parameters(&cell.definition))
}

fn set(name: &str) -> Vec<f64> {
    let set = json("fixtures/parameter_sets.json")["conductances"][name].clone();
    CHANNELS.iter().map(|c| set[c].as_f64().unwrap()).collect()
}

fn conductances(file: &Csv, row: usize) -> Vec<f64> {
    let channels = CHANNELS.iter();
    channels
        .map(|c| file.number(row, &format!("g{c}")))
        .collect()
}

fn relative(found: f64, wanted: f64) -> f64 {
    if found == wanted {
        0.0
    } else {
        (found - wanted).abs() / wanted.abs()
    }
}

/// A scene of DA cells, each with its conductances and `more`.
fn scene(settings: &str, cells: &[Vec<f64>], more: &str) -> Scene {
    let cells = cells.iter().enumerate().map(|(k, gbar)| {
        let named = CHANNELS.iter().zip(gbar);
        let gbar: Vec<String> = named.map(|(c, g)| format!("{c:?}: {g:?}")).collect();
        let gbar = gbar.join(", ");
        format!("\"c{k}\": (cell: \"da\", gbar: {{ {gbar} }}, {START}, {more})")
    });
    let cells: Vec<String> = cells.collect();
    let text = format!(
        "Scene(format: 1, {settings}, cells: {{ {} }})",
        cells.join(",\n")
    );
    read_text(&text, "fixture", None).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[test]
fn gates_by_direct_evaluation() {
    let (cell, file) = (da(), Csv::read("fixtures/gates_da.csv"));
    let erg = &cell.schemes[0];
    let mut worst: f64 = 0.0;
    for row in 0..file.len() {
        let (v, inf) = (file.number(row, "V_mV"), file.number(row, "x_inf"));
        match file.text(row, "gate") {
            "oERG" => worst = worst.max(relative(erg.steady(v)[1], inf)),
            "iERG" => worst = worst.max(relative(erg.steady(v)[2], inf)),
            name => {
                let name = name.trim_end_matches("_Mg1.4");
                let (gate, channel) = name.split_at(1);
                let gate = cell.gate(channel, gate).unwrap();
                worst = worst
                    .max(relative(gate.inf(v, 0.0), inf))
                    .max(relative(gate.tau(v, 0.0, 1.0), file.number(row, "tau_ms")));
            }
        }
    }
    println!("gates: {worst:e}");
    assert_eq!(file.len(), 8 * 61);
    assert!(worst < 1e-11, "{worst:e}");
}

/// The pole of the printed m_Na formula is bridged between the ends of the convention.
#[test]
fn the_pole_of_m_na_is_bridged() {
    let cell = da();
    let gate = cell.gate("Na", "m").unwrap();
    let rate = |v: f64| 1.0 / gate.tau(v, 0.0, 1.0);
    for (v, wanted) in [(-38.78, 4.838795), (-38.68, 4.346806)] {
        assert!((rate(v) - wanted).abs() < 1e-6, "{v}: {}", rate(v));
    }
    let middle = 0.5 * (rate(-38.78) + rate(-38.68));
    assert!((rate(-38.73) - middle).abs() < 1e-12);
}

#[test]
fn rates_of_erg() {
    let (cell, file) = (da(), Csv::read("fixtures/erg_rates_da.csv"));
    let erg = &cell.schemes[0];
    let columns = ["a0_per_ms", "b0_per_ms", "ai_per_ms", "bi_per_ms"];
    let mut worst: f64 = 0.0;
    for row in 0..file.len() {
        let v = file.number(row, "V_mV");
        for (k, column) in columns.into_iter().enumerate() {
            worst = worst.max(relative(erg.rate(k, v), file.number(row, column)));
        }
    }
    println!("rates: {worst:e}");
    assert_eq!(file.len(), 61);
    assert!(worst < 1e-11, "{worst:e}");
}

#[test]
fn dic_curves() {
    let (cell, file) = (da(), Csv::read("fixtures/dic_da.csv"));
    let factors = factors(&cell);
    let (mut worst, mut sum) = (0.0_f64, 0.0_f64);
    for row in 0..file.len() {
        let gbar = set(file.text(row, "set"));
        let v = file.number(row, "V_mV");
        let found = Linearisation::new(&cell, v, &factors).conductances(&cell, &gbar);
        let wanted = ["g_fast", "g_slow", "g_uslow"].map(|c| file.number(row, c));
        let size = wanted.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
        for (found, wanted) in found.into_iter().zip(wanted) {
            worst = worst.max((found - wanted).abs() / size);
        }
        // The three are the slope of the static I-V curve.
        let slope = dic::static_slope(&cell, v, &gbar, &factors) / gbar[6];
        sum = sum.max((wanted.iter().sum::<f64>() - slope).abs() / size);
    }
    println!("DIC curves: {worst:e}, static slope {sum:e}");
    assert!(file.len() > 100);
    assert!(worst < 1e-9 && sum < 1e-9, "{worst:e} {sum:e}");
}

#[test]
fn sensitivities_and_threshold() {
    let cell = da();
    let factors = factors(&cell);
    let v_th = dic::threshold(&cell, &set("da_spiking"), &factors);
    assert_eq!(v_th, Some(-55.5));
    let at = Linearisation::new(&cell, -55.5, &factors);
    let gbar = set("da_spiking");
    let found = at.sensitivity(&cell, at.equilibrium(&cell, |k| gbar[k]));
    let wanted = &json("fixtures/parameter_sets.json")["da_sensitivity_at_-55.5"];
    let mut worst: f64 = 0.0;
    for (scale, row) in wanted.as_array().unwrap().iter().enumerate() {
        for (lane, wanted) in numbers(row).into_iter().enumerate() {
            worst = worst.max(relative(found[lane][scale], wanted));
        }
    }
    println!("sensitivities: {worst:e}");
    assert!(worst < 1e-9, "{worst:e}");
}

#[test]
fn population_build() {
    let (cell, file) = (da(), Csv::read("fixtures/solve_da_build.csv"));
    let factors = factors(&cell);
    let lanes = ["Na", "CaN", "ERG"].map(|c| cell.lane(c).unwrap());
    let mut worst: f64 = 0.0;
    for row in 0..file.len() {
        let mut gbar = vec![0.0; 7];
        for channel in ["Kd", "CaL", "NMDA", "leak"] {
            gbar[cell.lane(channel).unwrap()] = file.number(row, &format!("g{channel}"));
        }
        // The published build leaves out what the leak itself gives to the fast conductance.
        let [fast, slow, ultraslow] = ["gf_without_leak", "gs", "gu"].map(|c| file.number(row, c));
        let wanted = [fast + 1.0, slow, ultraslow];
        let v = file.number(row, "Vth_mV");
        let found = dic::build(&cell, v, &factors, &gbar, lanes, wanted).unwrap();
        for (g, column) in found.into_iter().zip(["gNa", "gCaN", "gERG"]) {
            worst = worst.max(relative(g, file.number(row, column)));
        }
    }
    println!("build: {worst:e}");
    assert_eq!(file.len(), 20);
    assert!(worst < 1e-8, "{worst:e}");
}

#[test]
fn compensation() {
    let (cell, file) = (da(), Csv::read("fixtures/solve_da_neuromod.csv"));
    let factors = factors(&cell);
    let lanes = ["CaL", "CaN"].map(|c| cell.lane(c).unwrap());
    let mut worst: f64 = 0.0;
    for row in 0..file.len() {
        let gbar = conductances(&file, row);
        let wanted = ["gs", "gu"].map(|c| file.number(row, c));
        let v_th = file.number(row, "Vth_mV");
        let solve = Compensation::new(&cell, v_th, &factors, lanes).unwrap();
        let found = solve.reference(&cell, &gbar, &[1.0; 8], wanted).unwrap();
        // The last two columns are the solution, under the names of conductances.
        for (g, column) in found.into_iter().zip([10, 11]) {
            worst = worst.max(relative(g, file.number_at(row, column)));
        }
    }
    println!("compensation: {worst:e}");
    assert_eq!(file.len(), 20);
    assert!(worst < 1e-8, "{worst:e}");
}

/// Largest deviations of V (mV) and calcium (µM) from the reference trajectory over 0.5 s.
fn trace(settings: &str, tolerance: f64) -> [f64; 2] {
    let file = Csv::read("fixtures/trace_da_spiking.csv");
    let scene = scene(settings, &[set("da_built_spiking")], "");
    let read = [CellScalar::V, CellScalar::Ca].map(|s| Address::Cell(0, s));
    let found = run(&scene, tolerance, &read, 0.1);
    assert_eq!(found.rows.len(), file.len());
    let mut worst = [0.0_f64; 2];
    for (k, column) in ["V_mV", "Ca"].into_iter().enumerate() {
        for ((_, values), wanted) in found.rows.iter().zip(file.column(column)) {
            worst[k] = worst[k].max((values[k] - wanted).abs());
        }
    }
    println!("{settings}: V {:.1e} mV, Ca {:.1e} µM", worst[0], worst[1]);
    worst
}

#[test]
fn trace_by_reference() {
    let worst = trace(&reference(500.0, 0.1), 1e-8);
    assert!(worst[0] < 1e-3 && worst[1] < 1e-5, "{worst:?}");
}

/// The error of the fixed step is of first order in V at the flanks of spikes.
#[test]
fn trace_by_fixed_step() {
    let [coarse, fine] = [0.01, 0.001].map(|step| trace(&exponential(500.0, step), 0.0));
    assert!(fine[0] < 0.2 * coarse[0] && fine[1] < 0.2 * coarse[1]);
    assert!(coarse[1] < 1e-2 && fine[1] < 1e-3, "{coarse:?} {fine:?}");
}

/// Largest distance of the spikes over 10 s from the reference ones (ms).
fn shift(settings: &str, tolerance: f64) -> f64 {
    let wanted = Csv::read("fixtures/spikes_da_spiking.csv").column("t_ms");
    let found = spikes(&scene(settings, &[set("da_built_spiking")], ""), tolerance);
    let shift = largest_shift(&found[0], &wanted, settings);
    println!("{settings}: {shift:.1e} ms");
    shift
}

#[test]
fn spikes_by_every_integrator() {
    assert!(shift(&reference(10_000.0, 100.0), 1e-8) < 0.01);
    assert!(shift(&exponential(10_000.0, 0.025), 0.0) < 5.0);
    assert!(shift(&exponential(10_000.0, 0.0025), 0.0) < 0.5);
    let accurate = "duration_ms: 10_000, step_ms: 1, integrator: \"accurate\"";
    assert!(shift(accurate, 0.0) < 0.5);
}

/// Sixteen neurons of the published population under homeostasis and controller, asked for bursts
/// at 150 s: before the switch all conductances of each lie within 1 % of the published ones; at the end
/// within 5 % in all but one (2 of 100 go astray at this step), within 1 % in the median neuron; all of
/// them pace and then burst, and calcium is back at its target.
#[test]
fn the_regulated_population_goes_where_the_published_one_goes() {
    let file = Csv::read("published/conductances_controlled_DA.csv");
    let at = |t_s: f64| -> Vec<Vec<f64>> {
        let rows = (0..file.len()).filter(|row| (file.number(*row, "t_s") - t_s).abs() < 0.01);
        rows.map(|row| conductances(&file, row)).collect()
    };
    let regulators = r#"homeostat: (channels: ["Na", "Kd", "ERG", "NMDA", "leak"], Ca_target: 3),
        controller: (channels: ["CaL", "CaN"], g_s: 0.5, g_u: 5)"#;
    let settings = r#"duration_ms: 300_000, step_ms: 0.025, negative_conductance: "allow",
        protocol: [(at_ms: 150_000, modulate: "*", g_s: -4)],
        windows: [(label: "before", from_ms: 140_000, to_ms: 150_000),
                  (label: "end", from_ms: 290_000, to_ms: 300_000)]"#;
    let scene = scene(settings, &at(0.0), regulators);
    let cells = scene.cells.len();
    assert_eq!(cells, 16);
    let all = (0..cells).flat_map(|cell| {
        let lanes = 0..CHANNELS.len();
        lanes.map(move |lane| Address::Channel(cell, lane, ChannelScalar::Gbar))
    });
    let all: Vec<Address> = all.collect();
    let found = run(&scene, 0.0, &all, 1000.0);
    for (t_s, margin, astray, median_margin) in [(149.0, 0.01, 0, 0.005), (299.0, 0.05, 1, 0.01)] {
        let row = found.rows[t_s as usize].1.chunks(CHANNELS.len());
        let worst = row.zip(at(t_s)).map(|(found, wanted)| {
            let errors = found.iter().zip(wanted).map(|(a, b)| relative(*a, b));
            errors.fold(0.0, f64::max)
        });
        let mut worst: Vec<f64> = worst.collect();
        worst.sort_by(f64::total_cmp);
        println!("{t_s} s: {worst:.4?}");
        assert!(worst[cells / 2] < median_margin && worst[cells - 1 - astray] < margin);
    }
    let observers = found
        .simulation
        .world
        .resource::<homarus_systems::observe::Observers>();
    for (window, pattern) in [(0, "tonic"), (1, "bursting")] {
        let [from, to] = [[140_000.0, 150_000.0], [290_000.0, 300_000.0]][window];
        let mut calcium = 0.0;
        for (cell, train) in found.spikes.iter().enumerate() {
            let own: Vec<f64> = train
                .iter()
                .copied()
                .filter(|t| *t >= from && *t < to)
                .collect();
            let intervals: Vec<f64> = own.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let longest = intervals.iter().copied().fold(0.0, f64::max);
            let shortest = intervals.iter().copied().fold(f64::INFINITY, f64::min);
            let tonic = longest - shortest < 25.0;
            assert_eq!(
                tonic,
                pattern == "tonic",
                "cell {cell}: {shortest} to {longest} ms"
            );
            calcium += observers.windows[window].mean(cell, f64::INFINITY).unwrap() / cells as f64;
        }
        println!("{pattern}: calcium {calcium:.2} µM");
        if pattern == "bursting" {
            assert!((calcium - 3.0).abs() < 0.1, "{calcium}");
        }
    }
}
