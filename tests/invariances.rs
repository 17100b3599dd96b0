//! Exact laws that need no reference data: relabelling (2), zero coupling (3), identical cells (4),
//! split edges (5), passive cells joined by a gap (6), the activations of the tanh (7) and sigmoid
//! (8) synapses behind a clamped cell, and the common factor of regulated mRNA (9). The numbers are
//! those of the list of invariances; the first, time rescaling, waits for temperature.

// What is expected comes from the platform's functions, not from the engine's own.
#![allow(clippy::disallowed_methods)]

mod helpers;

use helpers::{Folder, PASSIVE, bits, network, read, run, scene_text, stg, value};
use homarus::scene::{Scene, model::Integrator};
use homarus_systems::schedule::Clock;
use proptest::prelude::*;

/// An edge of a random network.
#[derive(Clone, Debug)]
struct Link {
    pre: usize,
    post: usize,
    kind: &'static str,
    g: f64,
}

fn links(cells: usize, most: usize) -> impl Strategy<Value = Vec<Link>> {
    let kinds = prop::sample::select(vec!["tanh", "sigmoid", "gap", "rectifying_gap"]);
    let link = (0..cells, 0..cells, kinds, 0.01..0.6_f64).prop_map(|(pre, post, kind, g)| {
        let kind = if pre == post { "tanh" } else { kind };
        // All junctions together stay below the limit from which on they are solved for.
        let g = if kind.contains("gap") { 0.25 * g } else { g };
        Link { pre, post, kind, g }
    });
    proptest::collection::vec(link, 1..most)
}

/// The edges as text, in the given order; cell k is called `c{k}`.
fn edges(links: &[Link], g: impl Fn(&Link) -> f64) -> String {
    let text = links.iter().enumerate().map(|(k, l)| {
        format!(
            "(pre: \"c{}\", post: \"c{}\", kind: \"{}\", g: {}, name: \"e{k}\"),",
            l.pre,
            l.post,
            l.kind,
            g(l)
        )
    });
    text.collect()
}

/// Five published cells in the given order, with edges.
fn published(order: &[usize], starts: &[f64], edges: &str, duration_ms: f64) -> Scene {
    let cells: String = order
        .iter()
        .map(|k| format!("\"c{k}\": ({}),", stg(*k, starts[*k])))
        .collect();
    read(&scene_text(
        duration_ms,
        0.05,
        &format!("cells: {{ {cells} }}, edges: [{edges}]"),
    ))
}

fn starts() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(-65.0..-45.0_f64, 5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// (2) Permuting cells with their edges permutes the result bit for bit.
    #[test]
    fn relabelling(
        links in links(5, 12),
        starts in starts(),
        order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let edges = edges(&links, |l| l.g);
        let one = bits(&run(&published(&[0, 1, 2, 3, 4], &starts, &edges, 80.0)));
        let two = bits(&run(&published(&order, &starts, &edges, 80.0)));
        prop_assert_eq!(one, two);
    }

    /// (3) Zero coupling equals the single cells exactly.
    #[test]
    fn zero_coupling(links in links(5, 12), starts in starts()) {
        let coupled = bits(&run(&published(&[0, 1, 2, 3, 4], &starts, &edges(&links, |_| 0.0), 80.0)));
        for k in 0..5 {
            let alone = bits(&run(&published(&[k], &starts, "", 80.0)));
            prop_assert_eq!(&coupled[k], &alone[0]);
        }
    }

    /// (4) Two identical cells with the same start and any symmetric coupling stay the same.
    #[test]
    fn identical_cells_stay_identical(
        which in 0..5usize,
        v in -65.0..-45.0_f64,
        inhibition in 0.0..1.0_f64,
        sigmoid in 0.0..0.3_f64,
        gap in 0.0..1.9_f64,
    ) {
        let cells = format!(r#"cells: {{ "A": ({}), "B": (like: "A") }}"#, stg(which, v));
        let symmetric = |gap: f64| format!(
            r#"{cells}, edges: [
            (pre: "A", post: "B", kind: "tanh", g: {inhibition}), (pre: "B", post: "A", kind: "tanh", g: {inhibition}),
            (pre: "B", post: "A", kind: "sigmoid", g: {sigmoid}), (pre: "A", post: "B", kind: "sigmoid", g: {sigmoid}),
            (pre: "A", post: "A", kind: "tanh", g: 0.1), (pre: "B", post: "B", kind: "tanh", g: 0.1),
            (pre: "A", post: "B", kind: "gap", g: {gap})]"#
        );
        let both = bits(&run(&read(&scene_text(150.0, 0.05, &symmetric(gap)))));
        prop_assert_eq!(both[0].bits, both[1].bits);
        prop_assert_eq!(&both[0].spikes, &both[1].spikes);
        // Where the junction is solved for, elimination treats the first cell before the second.
        let strong = bits(&run(&read(&scene_text(150.0, 0.05, &symmetric(50.0 * gap + 3.0)))));
        prop_assert!((strong[0].v - strong[1].v).abs() < 1e-10, "{} {}", strong[0].v, strong[1].v);
    }

    /// (5) Two edges of half the conductance are one edge, to rounding.
    #[test]
    fn splitting_edges(links in links(5, 8), starts in starts()) {
        let whole = bits(&run(&published(&[0, 1, 2, 3, 4], &starts, &edges(&links, |l| l.g), 50.0)));
        let twice: Vec<Link> = links.iter().flat_map(|l| [l.clone(), l.clone()]).collect();
        let halves = bits(&run(&published(&[0, 1, 2, 3, 4], &starts, &edges(&twice, |l| 0.5 * l.g), 50.0)));
        for (a, b) in whole.iter().zip(&halves) {
            prop_assert!((a.v - b.v).abs() < 1e-8 && (a.ca - b.ca).abs() < 1e-8, "{a:?} {b:?}");
            prop_assert_eq!(a.spikes.len(), b.spikes.len());
        }
    }

    /// (6) Two passive cells joined by a gap: their difference decays with g_leak + 2 g_el, their
    /// mean with g_leak.
    #[test]
    fn passive_cells_joined_by_a_gap(
        leak in 0.02..0.5_f64,
        gap in 0.02..1.0_f64,
        a in -80.0..-20.0_f64,
        apart in 5.0..30.0_f64,
    ) {
        let folder = Folder::new("law6", &[("passive.ron", PASSIVE)]);
        let mut scene = folder.read(&scene_text(4.0, 0.005, &format!(
            r#"include: ["passive.ron"], cells: {{
                "A": (cell: "passive", gbar: {{ "leak": {leak} }}, start: (V: {a})),
                "B": (like: "A", start: (V: {})) }},
            edges: [(pre: "A", post: "B", kind: "gap", g: {gap})]"#, a - apart
        )));
        for (integrator, tolerance) in [(Integrator::Exponential, 0.01), (Integrator::Reference, 1e-6)] {
            scene.integrator = integrator;
            let simulation = run(&scene);
            let (va, vb) = (value(&simulation, "A.V"), value(&simulation, "B.V"));
            let difference = apart * (-(leak + 2.0 * gap) * 4.0_f64).exp();
            let mean = -50.0 + (a - 0.5 * apart + 50.0) * (-leak * 4.0_f64).exp();
            prop_assert!((va - vb - difference).abs() < tolerance * apart, "{} {difference}", va - vb);
            prop_assert!((0.5 * (va + vb) - mean).abs() < tolerance * 10.0, "{} {mean}", 0.5 * (va + vb));
        }
    }

    /// (9) m(t)/m(0) is the same for all regulated channels of a cell.
    #[test]
    fn regulated_channels_keep_their_ratios(which in 0..5usize, v in -65.0..-45.0_f64, target in 20.0..300.0_f64) {
        let channels = helpers::STG_CHANNELS.map(|c| format!("\"{c}\"")).join(", ");
        let scene = read(&scene_text(400.0, 0.05, &format!(
            r#"cells: {{ "A": ({}, homeostat: (channels: [{channels}], Ca_target: {target}, tau_g: 50, tau_Na: 100)), "B": ({}) }},
            edges: [(pre: "B", post: "A", kind: "tanh", g: 0.3), (pre: "A", post: "B", kind: "tanh", g: 0.3)]"#,
            stg(which, v), stg(1, -55.0)
        )));
        let mut simulation = network(&scene);
        simulation.start().expect("a start");
        let all = |what: &str, s: &homarus_systems::assembly::Simulation| {
            helpers::STG_CHANNELS.map(|c| value(s, &format!("A.{c}.{what}")))
        };
        let (m, g) = (all("mRNA", &simulation), all("gbar", &simulation));
        while !simulation.world.resource::<Clock>().finished() {
            simulation.stretch().expect("a run");
            let factors: Vec<f64> = all("mRNA", &simulation).iter().zip(m).map(|(x, x0)| x / x0).collect();
            let lambda: Vec<f64> = all("gbar", &simulation).iter().zip(g).map(|(x, x0)| x / x0).collect();
            for k in 1..8 {
                prop_assert!((factors[k] / factors[0] - 1.0).abs() < 1e-11, "mRNA {factors:?}");
                prop_assert!((lambda[k] / lambda[0] - 1.0).abs() < 1e-11, "gbar {lambda:?}");
            }
        }
        let moved = value(&simulation, "A.Na.mRNA") / m[0] - 1.0;
        prop_assert!(moved.abs() > 1e-6, "regulation has moved: {moved}");
    }
}

/// (4) No current flows through the junction of two identical cells: they move as they would alone.
#[test]
fn no_current_between_identical_cells() {
    let with = |edges: &str| {
        let fields = format!(
            r#"cells: {{ "A": ({}), "B": (like: "A") }}, edges: [{edges}], integrator: "reference""#,
            stg(0, -50.0)
        );
        bits(&run(&read(&scene_text(20.0, 0.05, &fields))))
    };
    let (joined, free) = (
        with(r#"(pre: "A", post: "B", kind: "gap", g: 0.5)"#),
        with(""),
    );
    assert_eq!(joined[0].spikes.len(), free[0].spikes.len());
    assert!(
        (joined[0].v - free[0].v).abs() < 1e-3,
        "{} {}",
        joined[0].v,
        free[0].v
    );
}

/// A cell held at `v` mV: it has no conductance at all.
fn behind_a_clamp(v: f64, kind: &str, more: &str) -> Scene {
    let folder = Folder::new(
        &format!("clamp{v}{kind}{}", more.len()),
        &[("passive.ron", PASSIVE)],
    );
    folder.read(&scene_text(
        40.0,
        0.05,
        &format!(
            r#"include: ["passive.ron"], cells: {{
                "pre": (cell: "passive", start: (V: {v})), "post": (cell: "passive", gbar: {{ "leak": 0.1 }}) }},
            edges: [(pre: "pre", post: "post", kind: "{kind}", g: 0.1, {more})]"#
        ),
    ))
}

/// s after each control interval against `s_inf + (s0 - s_inf) exp(-t/tau)`.
fn follows(scene: &Scene, s0: f64, inf: f64, tau: f64) {
    let mut simulation = network(scene);
    simulation.start().expect("a start");
    assert!((value(&simulation, "pre->post.s") - s0).abs() < 1e-12, "s0");
    while !simulation.world.resource::<Clock>().finished() {
        simulation.stretch().expect("a run");
        let (t, s) = (simulation.now(), value(&simulation, "pre->post.s"));
        let expected = inf + (s0 - inf) * (-t / tau).exp();
        assert!(
            (s - expected).abs() < 2e-6,
            "t = {t}: s = {s} instead of {expected}"
        );
    }
}

/// (7)
#[test]
fn the_tanh_synapse_behind_a_clamped_cell() {
    for (v, inf) in [
        (0.0, 0.999909),
        (-40.0, 0.761594),
        (-50.0, 0.0),
        (-70.0, 0.0),
    ] {
        for s0 in [0.0, 0.3, 1.0] {
            follows(
                &behind_a_clamp(v, "tanh", &format!("s: {s0}")),
                s0,
                inf,
                10.0,
            );
        }
        // It starts at rest.
        let exact = if v > -50.0 {
            ((v + 50.0) / 10.0_f64).tanh()
        } else {
            0.0
        };
        follows(&behind_a_clamp(v, "tanh", ""), exact, inf, 10.0);
    }
}

/// (8)
#[test]
fn the_sigmoid_synapse_behind_a_clamped_cell() {
    let table = [
        (-35.0, 0.5, 20.0, 50.0),
        (-60.0, 0.006693, 39.7, 99.3),
        (0.0, 0.999089, 0.0364, 0.0911),
    ];
    for (v, inf, glut, chol) in table {
        let exact = 1.0 / (1.0 + f64::exp((-35.0 - v) / 5.0));
        assert!((exact - inf).abs() < 1e-6);
        for (k_minus, given) in [(0.025, glut), (0.01, chol)] {
            let tau = (1.0 - exact) / k_minus;
            assert!((tau / given - 1.0_f64).abs() < 2e-3, "{tau} {given}");
            let more = format!("parameters: {{ \"k_minus\": {k_minus} }}");
            follows(
                &behind_a_clamp(v, "sigmoid", &format!("{more}, s: 0.8")),
                0.8,
                exact,
                tau,
            );
            follows(&behind_a_clamp(v, "sigmoid", &more), 0.0, exact, tau);
        }
    }
}
