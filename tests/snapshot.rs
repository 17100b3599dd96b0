//! A snapshot holds the whole state of a network: what goes on from it is, bit for bit, what would
//! have gone on without it, wherever the cut lies and however the run is carried out; taking one
//! changes nothing.

mod helpers;

use std::ops::ControlFlow;

use helpers::{Folder, network, scene_text, stg};
use homarus::scene::{Scene, model::Integrator};
use homarus_systems::{
    address::read as read_scalar,
    assembly::Simulation,
    integrate::{
        Kernel,
        plan::{Plan, Sizes},
    },
    observe::{Observers, Sampler, Spikes},
    protocol::{Action, Entry, Protocol},
    schedule::{Clock, ThroughTicks},
    snapshot::{Misfit, State},
};

/// A cell of ten channels: sixteen lanes, one of them with a gate of V and Ca that no table serves,
/// one with a kinetic scheme.
const WIDE: &str = r#"Cell(
    format: 1, name: "wide", capacitance: 1,
    channels: {
        "Na": "stg_na", "CaT": "stg_cat", "CaS": "stg_cas", "A": "stg_a", "KCa": "stg_kca",
        "Kd": "stg_kd", "H": "stg_h", "leak": "leak", "BK": "bk", "ERG": "da_erg",
    },
    calcium: (tau_ms: 20, rest_uM: 0.05, per_density: 0.94),
)"#;
const BK: &str = r#"Channel(
    format: 1, name: "bk", reversal: -80,
    gates: { "m": (power: 2, inf: "1/(1 + exp(-(V + 20 + 5*ln(Ca/10))/8))", tau: "2 + 3/(1 + Ca/10)") },
)"#;

const DURATION_MS: f64 = 150.0;

/// Regulated and modulated cells of two lane widths with edges of every sort, single and in bulk,
/// and a protocol of every kind of entry, some on control ticks, some between grid points.
fn eventful(name: &str, windows: &str) -> Scene {
    let folder = Folder::new(name, &[("wide.ron", WIDE), ("bk.ron", BK)]);
    let regulators = r#"homeostat: (channels: ["Na", "CaT", "KCa", "Kd", "H", "leak"], Ca_target: 125, tau_Na: 600),
        controller: (channels: ["CaS", "A"], g_s: -8, g_u: 4)"#;
    let wide = stg(1, -60.0)
        .replace("cell: \"stg\"", "cell: \"wide\"")
        .replace("\"leak\": ", "\"BK\": 3, \"ERG\": 0.02, \"leak\": ");
    let fields = format!(
        r#"include: ["wide.ron", "bk.ron"],
        cells: {{
            "a": ({}, {regulators}), "b": ({wide}), "c": ({}, {regulators}), "d": ({}),
            "E": (count: 6, jitter: 0.05, {}),
        }},
        edges: [
            (pre: "b", post: "a", kind: "tanh", g: 0.3),
            (pre: "a", post: "b", kind: "tanh", g: 0.4),
            (pre: "c", post: "a", kind: "tanh", g: 0.1, name: "one"),
            (pre: "c", post: "a", kind: "tanh", g: 0.15, name: "two", parameters: {{ "V_half": -45 }}),
            (pre: "a", post: "d", kind: "gap", g: 0.05),
            (pre: "d", post: "c", kind: "rectifying_gap", g: 0.06),
            (pre: "d", post: "b", kind: "sigmoid", g: 0.2, s: 0.5),
        ],
        generators: {{ "ee": (rule: AllToAll, pre: "E", post: "E", kind: "tanh", g: 0.02) }},
        samples: [(paths: ["*.V"], every_ms: 0.37), (paths: ["*.CaS.gbar", "ee.s"], every_ms: 2.5)],
        windows: [{windows}],
        protocol: [
            (at_ms: 10, set: "a.KCa.tm", to: 3),
            (at_ms: 20.013, current: "b", amplitude: 3, for_ms: 45.1234),
            (at_ms: 25, current: "a", amplitude: 1, for_ms: 25),
            (at_ms: 33.3, ramp: "*.H.gbar", to: 0.5, over_ms: 40.7),
            (at_ms: 35, ramp: "d.KCa.tm", to: 12, over_ms: 60),
            (at_ms: 36, ramp: "ee.g", to: 0.05, over_ms: 50),
            (at_ms: 41.017, block: "c.CaT", by: 0.5),
            (at_ms: 50, cut: "ee"),
            (at_ms: 50, set: "a->b.tau", to: 14),
            (at_ms: 60, modulate: "a", g_s: 0),
            (at_ms: 70, reset: "d"),
            (at_ms: 71.001, cut: "c->a:one"),
            (at_ms: 75, set: "b.ERG.o", to: 0.3),
            (at_ms: 80, set: "ee.s", to: 0.2),
            (at_ms: 90, restore: "c->a:one"),
            (at_ms: 95, restore: "ee"),
            (at_ms: 100, recall: "a.CaT", from_ms: 40),
            (at_ms: 110, rebase: "a"),
            (at_ms: 120, homeostat: "c", on: false),
            (at_ms: 130, compensate: "c", channels: ["CaS", "A"], g_s: -6, g_u: 4),
        ]"#,
        stg(0, -50.0),
        stg(3, -55.0),
        stg(2, -52.0),
        stg(4, -51.0),
    );
    folder.read(&scene_text(DURATION_MS, 0.05, &fields))
}

const WINDOWS: &str = r#"(label: "x", from_ms: 10.03, to_ms: 60.7), (label: "y", from_ms: 40, to_ms: 111.11),
    (label: "z", from_ms: 50, to_ms: 150)"#;

/// What a run has told after `from_ms`: spikes, samples and events as text that tells bits apart.
fn told(simulation: &Simulation, from_ms: f64) -> Vec<String> {
    let world = &simulation.world;
    let spikes = world.resource::<Spikes>().list.iter();
    let spikes = spikes.filter(|s| s.t_ms > from_ms);
    let samplers = world.resource::<Observers>().samplers.iter();
    let rows = samplers.flat_map(|s| s.rows.iter().filter(|(t, _)| *t > from_ms));
    let events = world.resource::<Protocol>().events.iter();
    let events = events.filter(|event| event.t_ms >= from_ms);
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let spikes = spikes.map(|s| format!("{:?} {:?}", s.neuron, s.t_ms.to_bits()));
    let rows = rows.map(|(t, values)| format!("{t:?} {:?}", bits(values)));
    let events = events.map(|e| format!("{e:?}"));
    spikes.chain(rows).chain(events).collect()
}

/// Every number of a state, told apart by its bits.
fn numbers(state: &State) -> String {
    format!("{state:?}")
}

/// The states of a run at some times, and the run at its end.
fn cut_at(scene: &Scene, times: &[f64], through: bool) -> (Vec<State>, Simulation) {
    let mut simulation = network(scene);
    if through {
        simulation.world.init_resource::<ThroughTicks>();
    }
    simulation
        .world
        .resource_mut::<Observers>()
        .stops
        .extend(times);
    let mut states = Vec::new();
    simulation
        .run_while(|world| {
            let now = world.resource::<Clock>().now();
            if times.contains(&now) {
                states.push(State::take(world));
            }
            ControlFlow::Continue(())
        })
        .expect("a run");
    assert_eq!(states.len(), times.len(), "every cut is met");
    (states, simulation)
}

/// Times drawn on a grid.
fn drawn(seed: u64, count: usize, grid_ms: f64) -> Vec<f64> {
    let mut state = seed;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    let mut times: Vec<f64> = (0..count)
        .map(|_| (random() * (DURATION_MS - 1.0) / grid_ms).ceil() * grid_ms)
        .collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    times
}

/// In the middle of everything: ramps, currents, a block, windows, at protocol times and next to
/// them.
const EVENTS_MS: [f64; 7] = [10.0, 45.0, 50.0, 70.0, 80.0, 100.0, 130.0];

#[test]
fn what_goes_on_from_a_state_is_what_would_have_gone_on() {
    let scene = eventful("forward", WINDOWS);
    let mut straight = network(&scene);
    straight.run().expect("a run");
    let times: Vec<f64> = EVENTS_MS.into_iter().chain(drawn(3, 6, 0.05)).collect();
    let (states, cut) = cut_at(&scene, &times, true);
    let end = numbers(&State::take(&straight.world));
    assert_eq!(
        end,
        numbers(&State::take(&cut.world)),
        "taking one changes nothing"
    );
    assert_eq!(told(&straight, -1.0), told(&cut, -1.0));
    assert!(
        straight.world.resource::<Spikes>().list.len() > 50,
        "the cells are alive"
    );
    let mut again = network(&scene);
    for (k, state) in states.iter().enumerate() {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1 + k % 3);
        let pool = threads.build().expect("a pool");
        // A new world, a started one, one that has run; other threads, kernels and shares.
        let mut fresh = network(&scene);
        fresh.world.insert_resource(Kernel::Portable);
        fresh.world.resource_mut::<Plan>().sizes = Sizes { piece: 1, part: 2 };
        let mut started = network(&scene);
        started.start().expect("a start");
        started.world.init_resource::<ThroughTicks>();
        for simulation in [&mut fresh, &mut started, &mut again] {
            state.restore(&mut simulation.world).expect("a state");
            assert_eq!(
                numbers(state),
                numbers(&State::take(&simulation.world)),
                "{}",
                state.now()
            );
            pool.install(|| simulation.run()).expect("a run");
            assert_eq!(
                end,
                numbers(&State::take(&simulation.world)),
                "from {} ms",
                state.now()
            );
            assert_eq!(
                told(&straight, state.now()),
                told(simulation, state.now()),
                "from {} ms",
                state.now()
            );
        }
    }
}

/// The schemes at adaptive steps, too; they are cut where they stop of themselves, at control ticks.
#[test]
fn adaptive_schemes_go_on_as_they_would_have() {
    let mut scene = eventful("adaptive", WINDOWS);
    for (integrator, duration_ms) in [(Integrator::Accurate, 120.0), (Integrator::Reference, 12.0)]
    {
        scene.integrator = integrator;
        scene.duration_ms = duration_ms;
        scene.protocol.retain(|entry| entry.at_ms <= duration_ms);
        scene.windows.retain(|window| window.to_ms <= duration_ms);
        let mut straight = network(&scene);
        straight.run().expect("a run");
        let end = numbers(&State::take(&straight.world));
        let times = [1.0, 7.0, 10.0, 50.0, 55.0, 100.0];
        let times: Vec<f64> = times.into_iter().filter(|t| *t < duration_ms).collect();
        let (states, cut) = cut_at(&scene, &times, false);
        assert_eq!(end, numbers(&State::take(&cut.world)), "{integrator:?}");
        for state in states {
            let mut simulation = network(&scene);
            state.restore(&mut simulation.world).expect("a state");
            simulation.run().expect("a run");
            let after = numbers(&State::take(&simulation.world));
            assert_eq!(end, after, "{integrator:?} from {} ms", state.now());
            assert_eq!(told(&straight, state.now()), told(&simulation, state.now()));
        }
    }
}

/// A fork goes on otherwise: another end, protocol and windows. What an earlier fork did to the
/// world does not show.
#[test]
fn forks_do_not_see_each_other() {
    let scene = eventful("forks", "");
    let (states, _) = cut_at(&scene, &[45.0, 100.0], true);
    let perturb = |simulation: &mut Simulation, state: &State, action: Option<Action>| {
        state.restore(&mut simulation.world).expect("a state");
        let now = state.now();
        let world = &mut simulation.world;
        world.resource_mut::<Clock>().set_end(now + 40.0);
        let mut protocol = world.resource_mut::<Protocol>();
        let at_ms = now + 10.0;
        let entries = action.into_iter().map(|action| Entry { at_ms, action });
        protocol.replace(entries.collect(), now);
        let mut observers = world.resource_mut::<Observers>();
        observers.follow([(now, now + 20.0), (now + 20.0, now + 40.0)]);
        simulation.run().expect("a run");
        let world = &simulation.world;
        let windows = &world.resource::<Observers>().windows;
        let mean = |k: usize| windows[k].mean(0, simulation.now()).expect("a mean");
        let means = [mean(0).to_bits(), mean(1).to_bits()];
        (told(simulation, now), means, numbers(&State::take(world)))
    };
    let g = network(&scene).names().scalars("*.Na.gbar").expect("paths");
    let actions = || {
        [
            None,
            Some(Action::Block {
                channels: vec![(0, 2), (4, 1)],
                by: 1.0,
                controller_sees: true,
            }),
            Some(Action::Scale {
                targets: g.clone(),
                by: 0.9,
            }),
        ]
    };
    let mut worker = network(&scene);
    for state in states.iter().chain(&states) {
        let mut outcomes = Vec::new();
        for action in actions() {
            let mut fresh = network(&scene);
            let here = perturb(&mut worker, state, action.clone());
            assert_eq!(here, perturb(&mut fresh, state, action));
            outcomes.push(here);
        }
        assert!(outcomes[0] != outcomes[1] && outcomes[1] != outcomes[2]);
    }
}

#[test]
fn a_state_of_another_network_is_refused() {
    let scene = eventful("misfit", "");
    let (states, _) = cut_at(&scene, &[1.0], true);
    let refused = |change: &dyn Fn(&mut Scene)| {
        let mut other = scene.clone();
        change(&mut other);
        let mut simulation = network(&other);
        let error = states[0]
            .restore(&mut simulation.world)
            .expect_err("another");
        simulation.run().expect("it is as it was");
        error
    };
    assert_eq!(
        refused(&|scene| scene.step_ms = 0.025).to_string(),
        "its step is 0.05 ms, that of the network 0.025 ms"
    );
    assert_eq!(
        refused(&|scene| {
            scene.edges.pop();
        }),
        Misfit::Number {
            what: "edges",
            state: 7,
            network: 6
        }
    );
    let value = |simulation: &Simulation| {
        let v = simulation.names().scalars("a.V").expect("V")[0];
        read_scalar(&simulation.world, v)
    };
    let mut simulation = network(&scene);
    let before = value(&simulation);
    states[0].restore(&mut simulation.world).expect("its own");
    assert_ne!(before, value(&simulation));
}
