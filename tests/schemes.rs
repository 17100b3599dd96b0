//! A channel may declare a kinetic scheme: states, rates between them, and which of them conduct. It is
//! a file beside the scene, like any channel. A step moves its states exactly for a V that stands
//! still, however fast they are; they stay parts of one whole; every integrator and every kernel
//! takes it; its states have paths. What a file gets wrong is told with its place.

// What is expected comes from the platform's functions, not from the engine's own.
#![allow(clippy::disallowed_methods)]

mod helpers;

use helpers::{Folder, bits, network, run, scene_text, spikes, stg, value, write};
use homarus::scene::{Scene, model::Integrator, read_text};
use homarus_systems::{
    address,
    assembly::Simulation,
    integrate::Kernel,
    observe::{Observers, Sampler},
};

/// The delayed rectifier of the STG cell as four subunits that open one by one: n^4 is the fraction of
/// channels with all four open.
fn subunits() -> String {
    let inf = "1/(1 + exp((V + 12.3)/(-11.8)))";
    let tau = "(7.2 - 6.4/(1 + exp((V + 28.3)/(-19.2))))";
    let rates: String = (0..4)
        .map(|k| {
            format!(
                "\"n{k}->n{}\": \"{}*({inf})/{tau}\", \"n{}->n{k}\": \"{}*(1 - {inf})/{tau}\",\n",
                k + 1,
                4 - k,
                k + 1,
                k + 1
            )
        })
        .collect();
    format!(
        r#"Channel(format: 1, name: "subunits", reversal: -80, scheme: (
            states: ["n0", "n1", "n2", "n3", "n4"], conducting: ["n4"], rates: {{ {rates} }}))"#
    )
}

/// The sodium channel of the STG cell as eight states, three activating subunits and one that
/// inactivates.
fn sodium() -> String {
    let m_inf = "1/(1 + exp((V + 25.5)/(-5.29)))";
    let m_tau = "(1.32 - 1.26/(1 + exp((V + 120)/(-25))))";
    let h_inf = "1/(1 + exp((V + 48.9)/5.18))";
    let h_tau = "((0.67/(1 + exp((V + 62.9)/(-10)))) * (1.5 + 1/(1 + exp((V + 34.9)/3.6))))";
    let mut rates = String::new();
    for h in ["c", "o"] {
        for k in 0..3 {
            rates += &format!(
                "\"{h}{k}->{h}{}\": \"{}*({m_inf})/{m_tau}\", \"{h}{}->{h}{k}\": \"{}*(1 - {m_inf})/{m_tau}\",\n",
                k + 1,
                3 - k,
                k + 1,
                k + 1
            );
        }
    }
    for k in 0..4 {
        rates += &format!(
            "\"c{k}->o{k}\": \"({h_inf})/{h_tau}\", \"o{k}->c{k}\": \"(1 - {h_inf})/{h_tau}\",\n"
        );
    }
    format!(
        r#"Channel(format: 1, name: "sodium", reversal: 50, scheme: (
            states: ["c0", "c1", "c2", "c3", "o0", "o1", "o2", "o3"], conducting: ["o3"], rates: {{ {rates} }}))"#
    )
}

const OWN: &str = r#"Cell(
    format: 1, name: "own", capacitance: 1, include: ["subunits.ron", "sodium.ron"],
    channels: {
        "Na": "sodium", "CaT": "stg_cat", "CaS": "stg_cas", "A": "stg_a", "KCa": "stg_kca",
        "Kd": "subunits", "H": "stg_h", "leak": "leak",
    },
    calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94),
)"#;

fn own_folder(name: &str) -> Folder {
    let files = [
        ("subunits.ron", subunits()),
        ("sodium.ron", sodium()),
        ("own.ron", OWN.to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
    Folder::new(name, &files)
}

/// Gates and the schemes that stand for them are the same channel to every integrator.
#[test]
fn schemes_of_independent_subunits_are_gates() {
    let folder = own_folder("subunits");
    let at = |cell: &str, integrator: Integrator, step: f64| {
        let fields = stg(0, -50.0).replace("cell: \"stg\"", &format!("cell: \"{cell}\""));
        let fields = format!(r#"include: ["own.ron"], cells: {{ "A": ({fields}) }}"#);
        let mut scene = folder.read(&scene_text(60.0, step, &fields));
        scene.integrator = integrator;
        let run = run(&scene);
        (spikes(&run, "A"), value(&run, "A.Ca"))
    };
    for (integrator, step, margin) in [
        (Integrator::Reference, 1.0, 1e-4),
        (Integrator::Accurate, 1.0, 0.05),
        (Integrator::Exponential, 0.025, 0.02),
    ] {
        let (gates, schemes) = (at("stg", integrator, step), at("own", integrator, step));
        assert!(gates.0.len() > 3 && gates.0.len() == schemes.0.len());
        for (a, b) in gates.0.iter().zip(&schemes.0) {
            assert!((a - b).abs() < margin, "{integrator:?}: {a} {b}");
        }
        assert!(
            (gates.1 / schemes.1 - 1.0).abs() < margin,
            "{gates:?} {schemes:?}"
        );
    }
}

/// A membrane that nothing moves, with the ERG channel.
const HELD: &str = r#"Cell(format: 1, name: "held", capacitance: 1e30,
    channels: { "ERG": "da_erg", "leak": "leak" })"#;

fn held(folder: &Folder, v: f64, duration: f64, step: f64, more: &str) -> Scene {
    let fields = format!(
        r#"include: ["held.ron"], cells: {{ "A": (cell: "held", gbar: {{ "ERG": 1 }},
            start: (V: {v}, gates: {{ "ERG.o": 0.25, "ERG.i": 0.25 }})) }}, {more}"#
    );
    folder.read(&scene_text(duration, step, &fields))
}

const STATES: [&str; 3] = ["A.ERG.c", "A.ERG.o", "A.ERG.i"];

/// States (c, o, i) after `t` ms at `v` mV by classical Runge-Kutta steps much shorter than
/// the fastest rate.
fn by_runge_kutta(v: f64, t: f64, mut p: [f64; 3]) -> [f64; 3] {
    let (a0, b0) = (0.0036 * (0.0759 * v).exp(), 1.2523e-5 * (-0.0671 * v).exp());
    let (ai, bi) = (0.1 * (0.1189 * v).exp(), 0.003 * (-0.0733 * v).exp());
    let rates = |[c, o, i]: [f64; 3]| {
        let (opening, inactivation) = (a0 * c - b0 * o, ai * o - bi * i);
        [-opening, opening - inactivation, inactivation]
    };
    let moved = |p: [f64; 3], k: [f64; 3], h: f64| [0, 1, 2].map(|n| p[n] + h * k[n]);
    let fastest = a0 + b0 + ai + bi;
    let n = (50.0 * fastest * t).max(1000.0).ceil();
    let h = t / n;
    for _ in 0..n as u64 {
        let k1 = rates(p);
        let k2 = rates(moved(p, k1, h / 2.0));
        let k3 = rates(moved(p, k2, h / 2.0));
        let k4 = rates(moved(p, k3, h));
        p = [0, 1, 2].map(|n| p[n] + h / 6.0 * (k1[n] + 2.0 * k2[n] + 2.0 * k3[n] + k4[n]));
    }
    p
}

/// At rows of the table and between them, for rates from 0.001 to 400 per ms and steps from far
/// below the fastest time constant to far above it; and off the grid, where the table does not serve.
#[test]
fn a_step_is_the_exact_solution_at_frozen_voltage() {
    let folder = Folder::new("held", &[("held.ron", HELD)]);
    let mut worst = [0.0_f64; 3];
    for v in [-90.0, -60.03, -45.55, -20.0, 0.05, 20.0, 40.0, 55.07, 70.0] {
        for step in [0.005, 0.05, 1.0] {
            let split = format!(
                r#"protocol: [(at_ms: {}, set: "A.leak.gbar", to: 0)]"#,
                0.37 * step
            );
            for (more, off_grid) in [("", false), (split.as_str(), true)] {
                let duration = if off_grid { step } else { 10.0 * step };
                let found = run(&held(&folder, v, duration, step, more));
                let wanted = by_runge_kutta(v, duration, [0.5, 0.25, 0.25]);
                let states = STATES.map(|path| value(&found, path));
                let on_row = (10.0 * v).fract() == 0.0;
                let place = if off_grid {
                    0
                } else {
                    1 + usize::from(!on_row)
                };
                for (found, wanted) in states.into_iter().zip(wanted) {
                    worst[place] = worst[place].max((found - wanted).abs());
                }
                assert!((states.iter().sum::<f64>() - 1.0).abs() < 1e-15);
            }
        }
    }
    println!(
        "off the grid {:.1e}, rows {:.1e}, between them {:.1e}",
        worst[0], worst[1], worst[2]
    );
    assert!(
        worst[0] < 1e-9 && worst[1] < 1e-9 && worst[2] < 1e-4,
        "{worst:?}"
    );
}

/// A cell that spikes, sampled at every step: the states are parts of one whole all along.
#[test]
fn states_are_parts_of_one_whole() {
    for (integrator, rounding) in [
        (Integrator::Exponential, 1e-15_f64),
        (Integrator::Accurate, 1e-3),
        (Integrator::Reference, 1e-6),
    ] {
        let mut scene = homarus::scene::read("da_cell").expect("it ships");
        (scene.duration_ms, scene.integrator) = (1_000.0, integrator);
        scene.windows.clear();
        let mut simulation = network(&scene);
        let states = simulation.names().scalars("DA.ERG.*").expect("scalars");
        let states: Vec<_> = states
            .into_iter()
            .filter(|a| {
                matches!(
                    a,
                    address::Address::Channel(.., address::ChannelScalar::State(_))
                )
            })
            .collect();
        assert_eq!(states.len(), 3);
        let mut observers = simulation.world.resource_mut::<Observers>();
        observers.samplers.push(Sampler::new(states, 0.025));
        simulation.run().expect("a run");
        let rows = &simulation.world.resource::<Observers>().samplers[0].rows;
        let mut most_open: f64 = 0.0;
        for (t, states) in rows {
            let sum: f64 = states.iter().sum();
            assert!(
                (sum - 1.0).abs() < rounding.min(1e-9),
                "{integrator:?}, {t} ms: {states:?}"
            );
            let range = -rounding..=1.0 + rounding;
            assert!(
                states.iter().all(|p| range.contains(p)),
                "{integrator:?}, {t} ms: {states:?}"
            );
            most_open = most_open.max(states[1]);
        }
        assert!(most_open > 0.1, "{most_open}");
    }
}

/// Cells with and without schemes, of two lane widths, coupled, regulated and perturbed.
fn mixed(folder: &Folder, integrator: Integrator) -> Scene {
    let da = |v: f64| {
        format!(
            r#"cell: "da", gbar: {{ "Na": 26.4, "Kd": 8.09, "CaL": 0.0283, "CaN": 0.185, "ERG": 0.1419,
            "NMDA": 0.109, "leak": 0.0118 }}, start: (V: {v}), I: 0.4,
            homeostat: (channels: ["Na", "Kd", "ERG", "NMDA", "leak"], Ca_target: 3),
            controller: (channels: ["CaL", "CaN"], g_s: -4, g_u: 5)"#
        )
    };
    let own = stg(1, -50.0).replace("cell: \"stg\"", "cell: \"own\"");
    let fields = format!(
        r#"include: ["own.ron"], cells: {{ "a": ({}), "b": ({}), "c": ({}), "d": ({own}), "e": ({}) }},
        edges: [(pre: "a", post: "b", kind: "tanh", g: 0.05), (pre: "c", post: "a", kind: "tanh", g: 0.3),
            (pre: "b", post: "d", kind: "gap", g: 0.05)],
        protocol: [(at_ms: 20.013, current: "a", amplitude: 3, for_ms: 5.1234), (at_ms: 33.3, block: "b.ERG", by: 0.5),
            (at_ms: 41.017, set: "e.NMDA.Mg", to: 1.2), (at_ms: 50, reset: "a", V: -60)]"#,
        da(-60.0),
        da(-50.0),
        stg(0, -50.0),
        da(-45.0)
    );
    let mut scene = folder.read(&scene_text(120.0, 0.05, &fields));
    scene.integrator = integrator;
    scene
}

#[test]
fn every_kernel_gives_the_same_bits() {
    let folder = own_folder("kernels");
    for integrator in [Integrator::Exponential, Integrator::Accurate] {
        let scene = mixed(&folder, integrator);
        let with = |kernel: Kernel| {
            let mut simulation = network(&scene);
            simulation.world.insert_resource(kernel);
            simulation.run().expect("a run");
            let states = ["a", "b", "e"].map(|cell| value(&simulation, &format!("{cell}.ERG.o")));
            (bits(&simulation), states.map(f64::to_bits))
        };
        let plain = with(Kernel::Portable);
        assert!(
            plain.0.iter().all(|cell| !cell.spikes.is_empty()),
            "{plain:?}"
        );
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.available()) {
            assert_eq!(plain, with(kernel), "{kernel:?}, {integrator:?}");
        }
    }
}

/// The same network goes the same way by all integrators, but for their errors.
#[test]
fn integrators_agree() {
    let folder = own_folder("agree");
    let at = |integrator: Integrator, step: f64| {
        let mut scene = mixed(&folder, integrator);
        (scene.step_ms, scene.duration_ms) = (step, 60.0);
        run(&scene)
    };
    let exact = at(Integrator::Reference, 0.05);
    for (integrator, step, margin) in [
        (Integrator::Exponential, 0.001, 0.02),
        (Integrator::Accurate, 0.05, 0.1),
    ] {
        let found = at(integrator, step);
        for cell in ["a", "b", "c", "d", "e"] {
            let (a, b) = (spikes(&found, cell), spikes(&exact, cell));
            assert_eq!(a.len(), b.len(), "{integrator:?}, {cell}");
            let shift = a
                .iter()
                .zip(&b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            println!("{integrator:?}, {cell}: {} spikes, {shift:.1e} ms", a.len());
            assert!(shift < margin, "{integrator:?}, {cell}: {a:?} {b:?}");
        }
        for path in ["a.ERG.o", "b.ERG.i", "e.ERG.o", "a.CaN.gbar", "b.Na.mRNA"] {
            let (a, b) = (value(&found, path), value(&exact, path));
            assert!(
                (a - b).abs() < 0.05 * (0.1 + b.abs()),
                "{integrator:?}, {path}: {a} {b}"
            );
        }
    }
}

/// States have paths: they are at rest at the start unless the scene says otherwise, and what is
/// written to one the others make up for.
#[test]
fn states_have_paths() {
    let folder = Folder::new("paths", &[("held.ron", HELD)]);
    let mut simulation = network(&held(&folder, -40.0, 10.0, 0.05, ""));
    let of = |simulation: &Simulation| STATES.map(|path| value(simulation, path));
    assert_eq!(of(&simulation), [0.5, 0.25, 0.25]);
    simulation.start().expect("a start");
    assert_eq!(of(&simulation), [0.5, 0.25, 0.25]);
    write(&mut simulation, "A.ERG.o", 0.4);
    let [c, o, i] = of(&simulation);
    assert!((c - 0.4).abs() < 1e-15 && o == 0.4 && (i - 0.2).abs() < 1e-15);
    write(&mut simulation, "A.ERG.c", 1.0);
    assert_eq!(of(&simulation), [1.0, 0.0, 0.0]);
    write(&mut simulation, "A.ERG.c", 0.0);
    assert_eq!(of(&simulation).iter().sum::<f64>(), 1.0);
    let rest = held(
        &folder,
        -40.0,
        10.0,
        0.05,
        r#"protocol: [(at_ms: 5, reset: "A", V: -40)]"#,
    );
    let found = of(&run(&rest));
    // gates_da.csv: o and i at rest.
    assert!((found[1] - 0.481713640951).abs() < 1e-6, "{found:?}");
    assert!((found[2] - 0.00735887986505).abs() < 1e-7, "{found:?}");
}

/// A rate may hold parameters of the channel, which are kinetic scalars.
#[test]
fn rates_may_hold_parameters() {
    let channel = r#"Channel(format: 1, name: "two", reversal: 0, parameters: { "half": -40, "rate": 0.1 },
        scheme: (states: ["shut", "open"], conducting: ["open"],
            rates: { "shut->open": "rate*sigmoid((V - half)/5)", "open->shut": "rate*sigmoid((half - V)/5)" }))"#;
    let cell = r#"Cell(format: 1, name: "own", capacitance: 1e30, include: ["two.ron"], channels: { "X": "two" })"#;
    let folder = Folder::new("parameters", &[("two.ron", channel), ("own.ron", cell)]);
    let fields = r#"include: ["own.ron"], cells: { "A": (cell: "own", start: (V: -40)),
        "B": (cell: "own", parameters: { "X.half": -50 }, start: (V: -40)) },
        protocol: [(at_ms: 10, set: "A.X.half", to: -50)]"#;
    let simulation = run(&folder.read(&scene_text(20.0, 0.05, fields)));
    let rest = |half: f64| 1.0 / (1.0 + (-(-40.0 - half) / 5.0).exp());
    let b = value(&simulation, "B.X.open");
    assert!((b - rest(-50.0)).abs() < 1e-12, "{b}");
    let a = value(&simulation, "A.X.open");
    let wanted = rest(-50.0) + (rest(-40.0) - rest(-50.0)) * (-0.1 * 10.0_f64).exp();
    assert!((a - wanted).abs() < 1e-9, "{a} {wanted}");
}

/// What is said about a channel file with `scheme`.
fn told(scheme: &str, more: &str) -> String {
    let channel = format!(
        "Channel(format: 1, name: \"own\", reversal: -80, parameters: {{ \"k\": 1 }}, {more}\n{scheme})"
    );
    let cell = r#"Cell(format: 1, name: "cell", capacitance: 1, include: ["own.ron"], channels: { "X": "own" })"#;
    let folder = Folder::new("told", &[("own.ron", &channel), ("cell.ron", cell)]);
    let text = scene_text(
        1.0,
        0.05,
        r#"include: ["cell.ron"], cells: { "A": (cell: "cell") }"#,
    );
    let folder = std::path::PathBuf::from(folder.path(""));
    match read_text(&text, "scene.ron", Some(&folder)) {
        Err(errors) => errors.render(false, 100),
        Ok(scene) => match homarus::scene::spawn::spawn(&scene) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("nothing is said about {scheme}"),
        },
    }
}

#[test]
fn what_is_wrong_with_a_scheme_is_told() {
    let scheme = |states: &str, conducting: &str, rates: &str| {
        format!("scheme: (states: [{states}], conducting: [{conducting}], rates: {{ {rates} }})")
    };
    let (ab, b) = (r#""a", "b""#, r#""b""#);
    let both = r#""a->b": "1", "b->a": "2""#;
    let cases = [
        (
            scheme(ab, r#""bb""#, both),
            vec!["the scheme has no state `bb`", "did you mean `b`?"],
        ),
        (
            scheme(ab, "", both),
            vec!["no state of this scheme conducts"],
        ),
        (
            scheme(ab, b, r#""a->c": "1", "b->a": "2""#),
            vec!["the scheme has no state `c`"],
        ),
        (
            scheme(ab, b, r#""a->a": "1", "a->b": "1", "b->a": "2""#),
            vec!["a rate from state `a` to itself"],
        ),
        (
            scheme(ab, b, r#""a->b": "1", "a -> b": "3", "b->a": "2""#),
            vec!["the rate from `a` to `b` is given twice", "first here"],
        ),
        (scheme(ab, b, r#""a, b": "1""#), vec!["expected `FROM->TO`"]),
        (
            scheme(ab, b, r#""a->b": "1""#),
            vec!["no way leads from state `b` to state `a`"],
        ),
        (
            scheme(r#""a", "b", "c""#, b, both),
            vec!["no way leads from state `a` to state `c`"],
        ),
        (
            scheme(ab, b, r#""a->b": "Ca", "b->a": "2""#),
            vec!["a rate of a kinetic scheme cannot depend on calcium"],
        ),
        (
            scheme(ab, b, r#""a->b": "exp(W)", "b->a": "2""#),
            vec!["`W` is not known here; allowed: `V`, `k`"],
        ),
        (
            scheme(r#""a""#, r#""a""#, ""),
            vec!["a kinetic scheme has 2 to 8 states", "found 1"],
        ),
        (
            scheme(r#""a", "a""#, r#""a""#, ""),
            vec!["`a` is listed twice"],
        ),
        (
            scheme(r#""a", "k""#, r#""a""#, ""),
            vec!["`k` is a parameter of the channel already"],
        ),
        (
            scheme(r#""a", "gbar""#, r#""a""#, ""),
            vec!["`gbar` cannot be the name of a state"],
        ),
        (
            scheme(ab, b, r#""a->b": "V", "b->a": "2""#),
            vec!["the rate `a->b` is -", "expected 0 or more"],
        ),
        (
            scheme(ab, b, r#""a->b": "1/(V + 40)^2", "b->a": "2""#),
            vec!["the rate `a->b` has no finite value at V = -40 mV"],
        ),
        (
            scheme(
                ab,
                b,
                r#""a->b": "if(V > 0, 1, 0)", "b->a": "if(V > 0, 1, 0)""#,
            ),
            vec!["has no single steady state at V = -150 mV"],
        ),
        (
            "scheme: (states: [\"a\", \"b\"], rates: {})".to_owned(),
            vec!["a kinetic scheme needs `conducting`"],
        ),
    ];
    for (scheme, wanted) in cases {
        let told = told(&scheme, "");
        println!("{told}");
        for words in wanted {
            assert!(told.contains(words), "{scheme}: {words}\n{told}");
        }
    }
    let gates = r#"gates: { "m": (power: 1, inf: 1, tau: 1) },"#;
    let told = told(&scheme(ab, b, both), gates);
    assert!(
        told.contains("a channel has gates or a kinetic scheme, not both"),
        "{told}"
    );
}

/// Irreversible steps are fine as long as there is a way back, and rates may be 0 where the
/// scheme still rests in one way.
#[test]
fn one_way_rates_make_a_cycle() {
    let channel = r#"Channel(format: 1, name: "cycle", reversal: 0, scheme: (
        states: ["a", "b", "c"], conducting: ["b", "c"],
        rates: { "a->b": "max(0, V + 40)", "b->c": "2", "c->a": "1" }))"#;
    let cell = r#"Cell(format: 1, name: "own", capacitance: 1e30, include: ["cycle.ron"], channels: { "X": "cycle" })"#;
    let folder = Folder::new("cycle", &[("cycle.ron", channel), ("own.ron", cell)]);
    let fields = r#"include: ["own.ron"], cells: { "A": (cell: "own", start: (V: -60)), "B": (cell: "own", start: (V: -39)) }"#;
    let simulation = run(&folder.read(&scene_text(5.0, 0.05, fields)));
    assert_eq!(value(&simulation, "A.X.a"), 1.0);
    // Flows around the cycle are equal: a, b/2 and c in the proportion of 1 to 1/2 to 1.
    for (state, wanted) in [("a", 0.4), ("b", 0.2), ("c", 0.4)] {
        let found = value(&simulation, &format!("B.X.{state}"));
        assert!((found - wanted).abs() < 1e-12, "{state}: {found}");
    }
}

#[test]
fn start_values_of_states_are_held_against_their_sum() {
    let with = |gates: &str| {
        let fields = format!(r#"cells: {{ "A": (cell: "da", start: (gates: {{ {gates} }})) }}"#);
        read_text(&scene_text(1.0, 0.05, &fields), "scene.ron", None)
    };
    for (gates, words) in [
        (
            r#""ERG.o": 0.7, "ERG.i": 0.7"#,
            "found a sum of 1.4, expected 1",
        ),
        (
            r#""ERG.o": 0.1, "ERG.i": 0.2, "ERG.c": 0.3"#,
            "the states of `ERG` are the parts of one whole",
        ),
        (r#""ERG.open": 0.1"#, "channel `ERG` has no state `open`"),
    ] {
        let told = with(gates).expect_err("refused").render(false, 100);
        assert!(told.contains(words), "{told}");
    }
    let scene = with(r#""ERG.i": 0.5"#).expect("a scene");
    let simulation = network(&scene);
    assert_eq!(value(&simulation, "A.ERG.i"), 0.5);
    let sum = value(&simulation, "A.ERG.o") + value(&simulation, "A.ERG.c");
    assert!((sum - 0.5).abs() < 1e-15);
}
