//! The same scene and seed give the same bits: run again, on any number of threads, observed or
//! not, and stopped or not between its steps. With `exponential` a network without coupling is the
//! sum of its cells; permuting cells, and edges as long as the order of the edges into each cell is
//! kept, permutes the result bit for bit; another order of the edges into a cell changes the order
//! of a sum, so it agrees to rounding over the first 100 ms.

mod helpers;

use std::ops::ControlFlow;

use helpers::{BK, Bits, Folder, WIDE, bits, network, run, scene_text, stg};
use homarus::scene::Scene;
use homarus_systems::{
    address::read as read_scalar,
    assembly::Simulation,
    homeostasis::BelowZero,
    integrate::{
        Kernel,
        plan::{Plan, Sizes},
    },
    observe::{Observers, Sampler},
    schedule::{NeuronIndex, ThroughTicks},
};
use proptest::prelude::*;

/// A cell of eighteen channels, so thirty-two lanes, one of them with a kinetic scheme.
fn widest() -> String {
    let more: Vec<String> = (0..9).map(|k| format!("\"Kd{k}\": \"stg_kd\"")).collect();
    format!(
        r#"Cell(format: 1, name: "widest", capacitance: 1, channels: {{
            "Na": "stg_na", "CaT": "stg_cat", "CaS": "stg_cas", "A": "stg_a", "KCa": "stg_kca",
            "Kd": "stg_kd", "H": "stg_h", "leak": "leak", "ERG": "da_erg", {},
        }}, calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94))"#,
        more.join(", ")
    )
}

fn folder(name: &str) -> Folder {
    Folder::new(
        name,
        &[
            ("wide.ron", WIDE),
            ("bk.ron", BK),
            ("widest.ron", &widest()),
        ],
    )
}

const INCLUDE: &str = r#"include: ["wide.ron", "bk.ron", "widest.ron"]"#;

/// Cells of all three lane widths: name and fields.
fn mixed_cells() -> Vec<(String, String)> {
    let wide = |k, v, cell: &str, extra: &str| {
        stg(k, v)
            .replace("cell: \"stg\"", &format!("cell: \"{cell}\""))
            .replace("\"leak\": ", &format!("{extra}, \"leak\": "))
    };
    vec![
        ("a".into(), stg(0, -50.0)),
        (
            "b".into(),
            wide(1, -60.0, "wide", "\"BK\": 3, \"ERG\": 0.02"),
        ),
        ("c".into(), stg(3, -55.0)),
        (
            "d".into(),
            wide(2, -52.0, "widest", "\"Kd0\": 2, \"Kd8\": 5, \"ERG\": 0.05"),
        ),
        ("e".into(), stg(2, -57.0)),
        ("f".into(), wide(0, -49.0, "wide", "\"BK\": 1")),
        ("g".into(), stg(4, -51.0)),
    ]
}

/// Edges among them: (pre, post, rest), of several kinds, with an autapse and parallel edges.
fn mixed_edges() -> Vec<(usize, usize, &'static str)> {
    vec![
        (1, 0, r#"kind: "tanh", g: 0.3"#),
        (0, 1, r#"kind: "tanh", g: 0.4"#),
        (0, 2, r#"kind: "tanh", g: 0.2, parameters: { "tau": 25 }"#),
        (2, 0, r#"kind: "sigmoid", g: 0.1"#),
        (2, 0, r#"kind: "tanh", g: 0.1, name: "one""#),
        (
            2,
            0,
            r#"kind: "tanh", g: 0.15, name: "two", parameters: { "V_half": -45 }"#,
        ),
        (3, 0, r#"kind: "gap", g: 0.05"#),
        (0, 4, r#"kind: "gap", g: 0.03"#),
        (4, 3, r#"kind: "rectifying_gap", g: 0.06"#),
        (5, 5, r#"kind: "tanh", g: 0.1"#),
        (3, 5, r#"kind: "sigmoid", g: 0.2, s: 0.5"#),
        (6, 5, r#"kind: "tanh", g: 0.3"#),
        (5, 6, r#"kind: "tanh", g: 0.3"#),
    ]
}

/// Text of a network of cells in the order `cells` (places in `all`) with edges in the order
/// `edges` (places in `edge_list`).
fn text(
    all: &[(String, String)],
    cells: &[usize],
    edge_list: &[(usize, usize, &str)],
    edges: &[usize],
    duration_ms: f64,
    more: &str,
) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|k| format!("\"{}\": ({})", all[*k].0, all[*k].1))
        .collect();
    let edges: Vec<String> = edges
        .iter()
        .map(|k| {
            let (pre, post, rest) = edge_list[*k];
            format!(
                "(pre: \"{}\", post: \"{}\", {rest})",
                all[pre].0, all[post].0
            )
        })
        .collect();
    let fields = format!(
        "{INCLUDE},\ncells: {{\n{}\n}},\nedges: [\n{}\n],\n{more}",
        cells.join(",\n"),
        edges.join(",\n")
    );
    scene_text(duration_ms, 0.05, &fields)
}

/// The mixed network, regulated and perturbed: homeostasis, controllers, a ramp, a current pulse
/// and a block whose times lie off the grid.
fn eventful(folder: &Folder) -> Scene {
    let mut all = mixed_cells();
    for k in [0, 2, 4] {
        all[k].1 += r#", homeostat: (channels: ["Na", "CaT", "KCa", "Kd", "H", "leak"], Ca_target: 125),
            controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;
    }
    let (cells, edges): (Vec<usize>, Vec<usize>) = ((0..7).collect(), (0..13).collect());
    let protocol = r#"protocol: [
        (at_ms: 20.013, current: "b", amplitude: 3, for_ms: 5.1234),
        (at_ms: 33.3, ramp: "*.H.gbar", to: 0.5, over_ms: 40.7),
        (at_ms: 41.017, block: "c.CaT", by: 0.5),
        (at_ms: 52, set: "a->b.tau", to: 14),
        (at_ms: 60, modulate: "a", g_s: 0),
        (at_ms: 71.001, cut: "c->a:one"),
        (at_ms: 90, restore: "c->a:one"),
    ]"#;
    folder.read(&text(&all, &cells, &mixed_edges(), &edges, 150.0, protocol))
}

fn on_threads(threads: usize, scene: &Scene) -> Vec<Bits> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool");
    let mut simulation = network(scene);
    pool.install(|| simulation.run()).expect("a run");
    bits(&simulation)
}

/// Every scalar of a network that is not in [`Bits`], as bits: gates are in V, the rest is here.
fn regulation(simulation: &Simulation) -> Vec<u64> {
    let paths = [
        "*.*.mRNA",
        "*.*.pool",
        "*.*.integral",
        "*.*.gbar",
        "*->*.s",
        "*.*.block",
        "*.ERG.*",
    ];
    let addresses = paths
        .iter()
        .flat_map(|p| simulation.names().scalars(p).expect("scalars"));
    addresses
        .map(|a| {
            read_scalar(&simulation.world, a)
                .expect("a value")
                .to_bits()
        })
        .collect()
}

/// Mean calcium of each window and cell as bits, and conductances that fell below zero.
fn observed(simulation: &Simulation) -> (Vec<u64>, Vec<(NeuronIndex, usize, f64)>) {
    let world = &simulation.world;
    let windows = world.resource::<Observers>().windows.iter();
    let means = windows.flat_map(|window| {
        (0..7).map(|cell| {
            window
                .mean(cell, simulation.now())
                .expect("a mean")
                .to_bits()
        })
    });
    (means.collect(), world.resource::<BelowZero>().falls())
}

#[test]
fn two_runs_are_identical() {
    let folder = folder("again");
    let scene = eventful(&folder);
    let (one, two) = (run(&scene), run(&scene));
    assert!(
        bits(&one).iter().filter(|b| !b.spikes.is_empty()).count() >= 5,
        "the cells are alive"
    );
    assert_eq!(bits(&one), bits(&two));
    assert_eq!(regulation(&one), regulation(&two));
}

/// A connected network of 3 000 cells of three lane widths in random order, with ten random edges a
/// cell of several kinds, junctions among them, most cells regulated, and a protocol.
fn large(folder: &Folder) -> Scene {
    let mut state = 7_u64;
    let mut random = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % n
    };
    let kinds = [
        r#"kind: "tanh", g: 0.01"#,
        r#"kind: "sigmoid", g: 0.005"#,
        r#"kind: "tanh", g: 0.02, parameters: { "tau": 25 }"#,
        r#"kind: "gap", g: 0.002"#,
        r#"kind: "rectifying_gap", g: 0.002"#,
    ];
    let cells: Vec<(String, String)> = (0..3000)
        .map(|k| {
            let (_, mut fields) = mixed_cells()[random(7)].clone();
            fields += &format!(", I: {}", 0.002 * random(500) as f64);
            // The wide cells have no analysis that a controller could use.
            if fields.contains("cell: \"stg\"") {
                fields += r#", homeostat: (channels: ["Na", "Kd", "leak"], Ca_target: 125),
                    controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;
            }
            (format!("c{k}"), fields)
        })
        .collect();
    let edges: Vec<(usize, usize, String)> = (0..30_000)
        .map(|k| {
            let rest = format!("{}, name: \"e{k}\"", kinds[random(5)]);
            (random(3000), random(3000), rest)
        })
        .filter(|(pre, post, _)| pre != post)
        .collect();
    let edges: Vec<(usize, usize, &str)> = edges.iter().map(|(a, b, c)| (*a, *b, &**c)).collect();
    let protocol = r#"protocol: [
        (at_ms: 3.013, current: "c1", amplitude: 3, for_ms: 5.1234),
        (at_ms: 7, block: "*.A", by: 0.5),
        (at_ms: 9.99, ramp: "*.H.gbar", to: 0.5, over_ms: 4),
    ]"#;
    let (order, all) = (
        (0..3000).collect::<Vec<_>>(),
        (0..edges.len()).collect::<Vec<_>>(),
    );
    folder.read(&text(&cells, &order, &edges, &all, 20.0, protocol))
}

/// Vector widths, shares of the network and threads are how a run is carried out, not what it is.
#[test]
fn any_kernel_any_shares_and_any_threads_give_the_same_bits() {
    let folder = folder("kernels");
    let carried_out = |scene: &Scene, kernel: Kernel, threads: usize, sizes: Sizes, through| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let mut simulation = network(scene);
        simulation.world.insert_resource(kernel);
        simulation.world.resource_mut::<Plan>().sizes = sizes;
        if through {
            simulation.world.init_resource::<ThroughTicks>();
        }
        pool.build()
            .expect("a pool")
            .install(|| simulation.run())
            .expect("a run");
        (bits(&simulation), regulation(&simulation))
    };
    let sizes = |piece, part| Sizes { piece, part };
    for scene in [eventful(&folder), large(&folder)] {
        let one = carried_out(&scene, Kernel::Portable, 1, sizes(1, usize::MAX), false);
        let spiking = one.0.iter().filter(|b| !b.spikes.is_empty()).count();
        assert!(2 * spiking > one.0.len(), "the cells are alive");
        let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.available());
        for (kernel, threads) in kernels.zip([8, 2, 3]) {
            let sizes = [Sizes::default(), sizes(1, 1), sizes(300, 77)];
            for (sizes, through) in sizes.into_iter().zip([false, true, true]) {
                let other = carried_out(&scene, kernel, threads, sizes, through);
                assert!(
                    one == other,
                    "{kernel:?}, {threads} threads, {sizes:?}, {through}"
                );
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let folder = folder("threads");
    let coupled = eventful(&folder);
    // 200 cells without coupling are several pieces for the workers.
    let all: Vec<(String, String)> = (0..200)
        .map(|k| {
            let (_, fields) = &mixed_cells()[k % 7];
            (format!("c{k}"), format!("{fields}, I: {}", 0.01 * k as f64))
        })
        .collect();
    let order: Vec<usize> = (0..200).collect();
    let many = folder.read(&text(&all, &order, &[], &[], 30.0, ""));
    for scene in [coupled, many] {
        let one = on_threads(1, &scene);
        assert!(one.iter().any(|b| !b.spikes.is_empty()));
        for threads in [2, 3] {
            assert_eq!(one, on_threads(threads, &scene), "{threads} threads");
        }
    }
}

/// Stops a run at awkward times: samplers on and off the grid, windows, a foreign observer.
#[test]
fn observation_changes_no_bit() {
    let folder = folder("observed");
    let mut scene = eventful(&folder);
    let plain = run(&scene);
    let mut sampled = network(&scene);
    let everything = sampled.names().scalars("*.V").expect("V");
    let slow = sampled.names().scalars("*.*.gbar").expect("gbar");
    let mut observers = Observers::default();
    observers.samplers.push(Sampler::new(everything, 0.37));
    observers.samplers.push(Sampler::new(slow, 2.5));
    observers.window(3.21, 77.0);
    sampled.world.insert_resource(observers);
    sampled.run().expect("a run");
    assert_eq!(bits(&plain), bits(&sampled), "samplers");
    assert_eq!(regulation(&plain), regulation(&sampled), "samplers");
    scene.windows = vec![
        homarus::scene::model::Window {
            label: "x".into(),
            from_ms: 10.03,
            to_ms: 60.7,
            published: false,
            probe_at_ms: None,
            origin: Default::default(),
        },
        homarus::scene::model::Window {
            label: "y".into(),
            from_ms: 40.0,
            to_ms: 111.11,
            published: false,
            probe_at_ms: None,
            origin: Default::default(),
        },
    ];
    let windows = run(&scene);
    assert_eq!(bits(&plain), bits(&windows), "windows");
    assert_eq!(regulation(&plain), regulation(&windows), "windows");
    let mut through = network(&scene);
    through.world.init_resource::<ThroughTicks>();
    let mut stretches = 0;
    let count = |_: &mut _| {
        stretches += 1;
        ControlFlow::Continue(())
    };
    through.run_while(count).expect("a run");
    assert_eq!(bits(&windows), bits(&through), "through control ticks");
    assert_eq!(
        regulation(&windows),
        regulation(&through),
        "through control ticks"
    );
    assert_eq!(
        observed(&windows),
        observed(&through),
        "through control ticks"
    );
    assert!(stretches < 100, "{stretches} stretches");
    let mut stepwise = network(&scene);
    stepwise
        .world
        .init_resource::<homarus_systems::schedule::EveryStep>();
    stepwise.run().expect("a run");
    assert_eq!(bits(&plain), bits(&stepwise), "every step");
    assert_eq!(regulation(&plain), regulation(&stepwise), "every step");
}

#[test]
fn without_coupling_a_network_is_its_cells() {
    let folder = folder("alone");
    let mut all = mixed_cells();
    all[2].1 += r#", homeostat: (channels: ["Na", "Kd"], Ca_target: 125)"#;
    all[4].1 += r#", controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;
    let together = bits(&run(&folder.read(&text(
        &all,
        &[0, 1, 2, 3, 4, 5, 6],
        &[],
        &[],
        150.0,
        "",
    ))));
    for k in 0..all.len() {
        let alone = bits(&run(&folder.read(&text(&all, &[k], &[], &[], 150.0, ""))));
        assert_eq!(alone[0], together[k]);
    }
    // Nor does a cell feel the coupling of others.
    let pair = [
        (0, 1, r#"kind: "tanh", g: 0.3"#),
        (0, 1, r#"kind: "gap", g: 30"#),
    ];
    let with = bits(&run(&folder.read(&text(
        &all,
        &[0, 1, 2, 3, 4, 5, 6],
        &pair,
        &[0, 1],
        150.0,
        "",
    ))));
    assert_eq!(with[2..], together[2..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Cells in another order, edges in another order that keeps the order into each cell.
    #[test]
    fn permuting_cells_and_edges_permutes_the_bits(
        cells in Just((0..7usize).collect::<Vec<_>>()).prop_shuffle(),
        tickets in proptest::collection::vec(0u32..1000, 13),
    ) {
        let folder = folder("permuted");
        let (all, edge_list) = (mixed_cells(), mixed_edges());
        let order: Vec<usize> = (0..7).collect();
        let edges: Vec<usize> = (0..13).collect();
        let plain = bits(&run(&folder.read(&text(&all, &order, &edge_list, &edges, 100.0, ""))));
        let moved = shuffled_by(&edge_list, &tickets);
        let permuted = bits(&run(&folder.read(&text(&all, &cells, &edge_list, &moved, 100.0, ""))));
        prop_assert_eq!(plain, permuted);
    }

    /// Any order of the edges.
    #[test]
    fn another_order_of_edges_agrees_to_rounding(
        edges in Just((0..13usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let folder = folder("reordered");
        let (all, edge_list) = (mixed_cells(), mixed_edges());
        let order: Vec<usize> = (0..7).collect();
        let plain = bits(&run(&folder.read(&text(&all, &order, &edge_list, &(0..13).collect::<Vec<_>>(), 100.0, ""))));
        let other = bits(&run(&folder.read(&text(&all, &order, &edge_list, &edges, 100.0, ""))));
        for (a, b) in plain.iter().zip(&other) {
            prop_assert!((a.v - b.v).abs() < 1e-9 && (a.ca - b.ca).abs() < 1e-9, "{a:?} {b:?}");
            prop_assert_eq!(a.spikes.len(), b.spikes.len());
        }
    }
}

/// An order of the edges by random tickets in which no two edges into the same cell (a junction
/// leads into both) change places.
fn shuffled_by(edges: &[(usize, usize, &str)], tickets: &[u32]) -> Vec<usize> {
    let into = |k: usize| {
        let (pre, post, rest) = edges[k];
        if rest.contains("gap") {
            vec![pre, post]
        } else {
            vec![post]
        }
    };
    let mut left: Vec<usize> = (0..edges.len()).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        // Free to go next: no edge before it leads into the same cell.
        let free = left.iter().copied().filter(|k| {
            let earlier = left.iter().take_while(|e| *e != k);
            earlier
                .clone()
                .all(|e| into(*e).iter().all(|cell| !into(*k).contains(cell)))
        });
        let next = free
            .min_by_key(|k| tickets[*k])
            .expect("the first is always free");
        left.retain(|k| *k != next);
        order.push(next);
    }
    order
}
