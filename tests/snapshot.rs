//! A snapshot holds the whole state of a network: what goes on from it is, bit for bit, what would
//! have gone on without it, wherever the cut lies and however the run is carried out; taking one
//! changes nothing. Its file is refused, and told why, if it is cut, altered, of another format or of
//! another scene.

mod helpers;
mod program;

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use helpers::{BK, Folder, WIDE, network, scene_text, stg};
use homarus::{
    record::reader::{Item, Rows, recorded},
    scene::{
        self, Asked, Kind, Scene, Size,
        model::{Action as SceneAction, Integrator},
        spawn,
    },
};
use homarus_systems::{
    address::read as read_scalar,
    assembly::Simulation,
    integrate::{
        Kernel,
        plan::{Plan, Sizes},
    },
    observe::{Observers, Spikes},
    protocol::{Action, Entry, Protocol},
    schedule::{Clock, ThroughTicks},
    snapshot::{Misfit, State},
};
use program::{homarus_in, stderr, stdout};

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
    for (integrator, duration_ms) in [(Integrator::Accurate, 110.0), (Integrator::Reference, 3.0)] {
        scene.integrator = integrator;
        scene.duration_ms = duration_ms;
        scene.protocol.retain(|entry| entry.at_ms <= duration_ms);
        scene.windows.retain(|window| window.to_ms <= duration_ms);
        let mut straight = network(&scene);
        straight.run().expect("a run");
        let end = numbers(&State::take(&straight.world));
        let times = [1.0, 50.0, 100.0];
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

/// Every shipped network, with its protocol drawn into the first hundredths of a second so that
/// entries lie at the cut, in front of it and behind it; through the bytes of a file.
#[test]
fn every_shipped_network_goes_on_from_a_snapshot() {
    let networks = scene::shipped().into_iter();
    for (k, shipped) in networks.filter(|s| s.kind == Kind::Network).enumerate() {
        let sizes = match shipped.name.as_str() {
            "five_neuron_copies" => vec![Size {
                name: "cpg".to_owned(),
                field: "copies".to_owned(),
                number: 20,
                origin: Default::default(),
            }],
            _ => Vec::new(),
        };
        let asked = Asked {
            sizes,
            ..Asked::default()
        };
        let mut scene = scene::read_asked(&shipped.name, &asked).unwrap_or_else(|e| panic!("{e}"));
        let every_ms = match scene.integrator {
            Integrator::Exponential => scene.step_ms,
            Integrator::Accurate | Integrator::Reference => scene.control_ms,
        };
        let grid = |ms: f64| (ms / every_ms).round() * every_ms;
        let (cut_ms, end_ms) = (grid(5.0 + k as f64 * 0.37), grid(20.0));
        scene.duration_ms = end_ms;
        scene.windows.clear();
        scene.expect.clear();
        scene
            .protocol
            .retain(|entry| !matches!(entry.action, SceneAction::Recall { .. }));
        for (k, entry) in scene.protocol.iter_mut().enumerate() {
            entry.at_ms = [cut_ms, 0.5 * cut_ms, 1.01 * cut_ms][k % 3];
        }
        let mut straight = spawn::spawn(&scene).unwrap_or_else(|e| panic!("{}: {e}", shipped.name));
        straight.run().expect("a run");
        let end = numbers(&State::take(&straight.world));
        let (states, cut) = cut_at(&scene, &[cut_ms], true);
        assert_eq!(end, numbers(&State::take(&cut.world)), "{}", shipped.name);
        let bytes = postcard::to_extend(&states[0], Vec::new()).expect("bytes");
        let state: State = postcard::from_bytes(&bytes).expect("a state");
        assert_eq!(numbers(&states[0]), numbers(&state), "{}", shipped.name);
        let mut simulation = cut;
        simulation.world.insert_resource(Kernel::Portable);
        state.restore(&mut simulation.world).expect("a state");
        simulation.run().expect("a run");
        assert!(
            end == numbers(&State::take(&simulation.world)),
            "{} from {cut_ms} ms",
            shipped.name
        );
        assert_eq!(
            told(&straight, cut_ms),
            told(&simulation, cut_ms),
            "{}",
            shipped.name
        );
    }
}

/// A folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("snapshot-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Two cells in mutual inhibition; bursts, windows, a ramp and a current lie across 2500 ms, and an
/// entry lies there.
const PAIR: &str = r#"Scene(
    format: 1, duration_ms: 4000, step_ms: 0.025,
    cells: {
        "A": (cell: "stg", parameters: { "KCa.tm": 2 }, start: (V: -60), gbar: {
            "Na": 3951.84, "CaT": 2.913, "CaS": 18.976, "A": 71.02, "KCa": 109.18, "Kd": 137.74, "H": 0.29, "leak": 0.0091,
        }),
        "B": (like: "A", start: (V: -55), homeostat: (channels: ["Na", "Kd"], Ca_target: 125)),
    },
    edges: [(pre: "A", post: "B", kind: "tanh", g: 0.4), (pre: "B", post: "A", kind: "tanh", g: 0.4)],
    protocol: [
        (at_ms: 2000, ramp: "A.Kd.gbar", to: 130, over_ms: 1500),
        (at_ms: 2400, current: "B", amplitude: 0.5, for_ms: 300),
        (at_ms: 2500, set: "A->B.g", to: 0.3),
        (at_ms: 3000, cut: "B->A"),
    ],
    samples: [(paths: ["*.V", "*->*.g"], every_ms: 0.37)],
    windows: [
        (label: "early", from_ms: 500, to_ms: 1500), (label: "open", from_ms: 1000, to_ms: 3500),
        (label: "late", from_ms: 2600, to_ms: 4000), (label: "copied", probe_at_ms: 2000, from_ms: 100, to_ms: 600),
    ],
    rhythms: [(name: "pair", cells: ["A", "B"], reference: "A")],
)"#;

#[track_caller]
fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = homarus_in(folder, arguments);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{arguments:?}\n{}",
        stderr(&output)
    );
    stdout(&output)
}

/// stderr of a call that is refused.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = homarus_in(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert_eq!(stdout(&output), "");
    // Lines of a message are broken to fit.
    let message = stderr(&output);
    let words: Vec<&str> = message.split_whitespace().filter(|w| *w != "│").collect();
    words.join(" ")
}

fn rows(bundle: &Path, table: &str) -> (Vec<String>, Vec<Vec<Item>>) {
    let mut rows = Rows::open(&bundle.join(format!("{table}.parquet"))).expect("a table");
    let mut all = Vec::new();
    while let Some(row) = rows.next_row().expect("a row") {
        all.push(row);
    }
    (rows.columns, all)
}

fn number(item: &Item) -> f64 {
    match item {
        Item::Number(x) => *x,
        other => panic!("no number: {other:?}"),
    }
}

#[test]
fn a_continued_run_writes_what_the_straight_run_writes() {
    let folder = folder("continued");
    fs::write(folder.join("pair.ron"), PAIR).expect("a file");
    done(&folder, &["run", "pair.ron", "-o", "plain"]);
    let cuts = [
        "--snapshot-at",
        "2500",
        "--snapshot-at",
        "1712.3",
        "--snapshot-at",
        "0",
    ];
    done(
        &folder,
        &[&["run", "pair.ron", "-o", "straight"], &cuts[..]].concat(),
    );
    let files = |bundle: &str| {
        let (recorded, _) = recorded(&folder.join(bundle)).expect("a bundle");
        let mut files = recorded.files;
        files.retain(|file| !file.name.ends_with(".snap"));
        files
    };
    assert_eq!(
        files("plain"),
        files("straight"),
        "taking one changes nothing"
    );
    let straight = recorded(&folder.join("straight")).expect("a bundle").0;
    let snapshots: Vec<&str> = straight
        .files
        .iter()
        .map(|file| file.name.as_str())
        .filter(|name| name.ends_with(".snap"))
        .collect();
    assert_eq!(
        snapshots,
        [
            "snapshot-0.snap",
            "snapshot-1712.3.snap",
            "snapshot-2500.snap"
        ]
    );
    for (cut_ms, scene, more) in [
        (2500.0, None, &["--threads", "2"][..]),
        (1712.3, Some("pair.ron"), &["--kernel", "portable"]),
        (0.0, None, &[]),
    ] {
        let file = format!("straight/snapshot-{cut_ms}.snap");
        let out = format!("from-{cut_ms}");
        let mut arguments = vec!["run", "--from", &file, "-o", &out];
        arguments.extend(scene);
        arguments.extend(more);
        done(&folder, &arguments);
        let (continued, _) = recorded(&folder.join(&out)).expect("a bundle");
        assert_eq!(straight.windows, continued.windows, "from {cut_ms} ms");
        assert_eq!(continued.windows.len(), 4);
        let bundle = folder.join(&out);
        // Bursts belong to where they were over, which is one gap after their last spike.
        for (table, column, last_ms, gap_ms) in [
            ("spikes", "t_ms", cut_ms, 0.0),
            ("samples", "t_ms", cut_ms, 0.0),
            ("bursts", "off_ms", cut_ms, 100.0),
        ] {
            let (columns, mut wanted) = rows(&folder.join("straight"), table);
            let place = columns.iter().position(|c| c == column).expect("a column");
            wanted.retain(|row| number(&row[place]) > last_ms - gap_ms);
            assert!(!wanted.is_empty());
            let (_, found) = rows(&bundle, table);
            assert_eq!(wanted, found, "{table} from {cut_ms} ms");
        }
        let (_, mut wanted) = rows(&folder.join("straight"), "events");
        wanted.retain(|row| number(&row[0]) >= cut_ms);
        assert_eq!(wanted, rows(&bundle, "events").1, "events from {cut_ms} ms");
        // Its own snapshot is the same as that of the straight run, too.
    }
    // A later snapshot of a continued run is that of the straight run.
    let file = "straight/snapshot-1712.3.snap";
    done(
        &folder,
        &[
            "run",
            "--from",
            file,
            "-o",
            "again",
            "--snapshot-at",
            "2500",
        ],
    );
    let name = "snapshot-2500.snap";
    let list = |bundle: &str| done(&folder, &["list", &format!("{bundle}/{name}")]);
    assert_eq!(list("straight"), list("again"));
}

#[test]
fn adaptive_runs_are_cut_at_control_ticks() {
    let folder = folder("adaptive");
    fs::write(folder.join("pair.ron"), PAIR).expect("a file");
    let run = |more: &[&'static str]| {
        let run = [
            "run",
            "pair.ron",
            "--integrator",
            "accurate",
            "--duration-ms",
            "600",
        ];
        [&run[..], more].concat()
    };
    let message = refused(&folder, &run(&["-o", "x", "--snapshot-at", "300.025"]));
    let wanted = "`--snapshot-at 300.025`: the time is not on the grid of 1 ms control ticks, where the accurate integrator stops";
    assert!(message.contains(wanted), "{message}");
    assert!(
        message.contains("the nearest are 300 and 301 ms"),
        "{message}"
    );
    done(&folder, &run(&["-o", "plain"]));
    done(&folder, &run(&["-o", "cut", "--snapshot-at", "300"]));
    done(
        &folder,
        &["run", "--from", "cut/snapshot-300.snap", "-o", "on"],
    );
    let spikes = |bundle: &str| rows(&folder.join(bundle), "spikes").1;
    assert_eq!(spikes("plain"), spikes("cut"));
    let mut wanted = spikes("plain");
    wanted.retain(|row| number(&row[0]) > 300.0);
    assert!(!wanted.is_empty());
    assert_eq!(wanted, spikes("on"));
}

#[test]
fn times_at_which_there_is_no_snapshot_are_refused() {
    let folder = folder("times");
    fs::write(folder.join("pair.ron"), PAIR).expect("a file");
    for (at, wanted, help) in [
        (
            "100.013",
            "`--snapshot-at 100.013`: the time is not on the grid of 0.025 ms steps",
            "the nearest are 100 and 100.025 ms",
        ),
        (
            "5000",
            "`--snapshot-at 5000`: the run ends at 4000 ms",
            "give a time up to 4000, or a longer --duration-ms",
        ),
        (
            "-1",
            "expected a time in ms, 0 or later",
            "for instance 2500",
        ),
    ] {
        let arguments = ["run", "pair.ron", "-o", "x", "--snapshot-at", at];
        let message = refused(&folder, &arguments);
        assert!(message.contains(wanted), "{message}");
        assert!(message.contains(help), "{message}");
        assert!(!folder.join("x").exists(), "nothing has run");
    }
    let twice = ["--snapshot-at", "10", "--snapshot-at", "10"];
    let message = refused(
        &folder,
        &[&["run", "pair.ron", "-o", "x"], &twice[..]].concat(),
    );
    assert!(
        message.contains("`--snapshot-at 10` is given twice"),
        "{message}"
    );
    let message = refused(&folder, &["run", "pair.ron", "--snapshot-at", "10"]);
    assert!(message.contains("--out"), "{message}");
}

#[test]
fn a_snapshot_that_does_not_do_is_refused() {
    let folder = folder("refused");
    fs::write(folder.join("pair.ron"), PAIR).expect("a file");
    let short = [
        "run",
        "pair.ron",
        "--duration-ms",
        "60",
        "-o",
        "b",
        "--snapshot-at",
        "50",
    ];
    done(&folder, &short);
    let whole = fs::read(folder.join("b/snapshot-50.snap")).expect("a snapshot");
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    let mut newer = whole.clone();
    newer[8] = 2;
    for (name, bytes, wanted) in [
        (
            "cut.snap",
            &whole[..1000],
            format!(
                "the snapshot `cut.snap` is cut short: 1000 of {} bytes are there",
                whole.len()
            ),
        ),
        (
            "stub.snap",
            &whole[..10],
            "the snapshot `stub.snap` is cut short".to_owned(),
        ),
        (
            "altered.snap",
            &altered,
            "the snapshot `altered.snap` has been altered: its content does not match its hash"
                .to_owned(),
        ),
        (
            "newer.snap",
            &newer,
            "`newer.snap` is a snapshot of format 2; homarus 0.1.0 reads format 1".to_owned(),
        ),
        (
            "text.snap",
            b"Scene()",
            "`text.snap` is no snapshot of homarus".to_owned(),
        ),
    ] {
        fs::write(folder.join(name), bytes).expect("a file");
        for verb in [&["run", "--from", name][..], &["list", name]] {
            let message = refused(&folder, verb);
            assert!(message.contains(&wanted), "{message}");
        }
    }
    let message = refused(&folder, &["run", "--from", "nowhere.snap"]);
    assert!(
        message.contains("`nowhere.snap` cannot be read"),
        "{message}"
    );
    let other = PAIR.replacen("\"Kd\": 137.74", "\"Kd\": 120", 1);
    fs::write(folder.join("other.ron"), other).expect("a file");
    let from = ["--from", "b/snapshot-50.snap"];
    let message = refused(&folder, &[&["run", "other.ron"], &from[..]].concat());
    for wanted in [
        "the snapshot `b/snapshot-50.snap` is of another scene: `cells.A.gbar.Kd` is 137.74 in it, 120.0 here",
        "homarus run --from b/snapshot-50.snap --set A.Kd.gbar=120.0",
    ] {
        assert!(message.contains(wanted), "{message}");
    }
    for (more, wanted) in [
        (
            &["--step-ms", "0.05"][..],
            "`step_ms` is 0.025 in it, 0.05 here",
        ),
        (&["--seed", "7"], "`seed` is 0 in it, 7 here"),
        (
            &["--integrator", "accurate"],
            "`integrator` is \"exponential\" in it, \"accurate\" here",
        ),
        (
            &["--duration-ms", "50"],
            "is at 50 ms, the run would end at 50 ms",
        ),
        (&["--set", "E.count=4"], "would change the network"),
        (&["--set", "A.K.gbar=4"], "there is no channel"),
    ] {
        let message = refused(&folder, &[&["run"], &from[..], more].concat());
        assert!(message.contains(wanted), "{more:?}: {message}");
    }
}

/// What is set with `--from` is set in the state: as if an entry of the protocol had done it.
#[test]
fn set_acts_on_the_snapshot() {
    let folder = folder("set");
    let with = PAIR.replace(
        "protocol: [",
        "protocol: [(at_ms: 300, set: \"A.Kd.gbar\", to: 100),",
    );
    fs::write(folder.join("pair.ron"), PAIR).expect("a file");
    fs::write(folder.join("with.ron"), with).expect("a file");
    let end = ["--duration-ms", "700"];
    let run = ["run", "pair.ron", "-o", "b", "--snapshot-at", "300"];
    done(&folder, &[&run[..], &end].concat());
    done(
        &folder,
        &[&["run", "with.ron", "-o", "with"], &end[..]].concat(),
    );
    let from = ["run", "--from", "b/snapshot-300.snap", "-o", "on"];
    done(
        &folder,
        &[&from[..], &["--set", "A.Kd.gbar=100"], &end].concat(),
    );
    let spikes = |bundle: &str| {
        let mut spikes = rows(&folder.join(bundle), "spikes").1;
        spikes.retain(|row| number(&row[0]) > 300.0);
        spikes
    };
    assert_eq!(spikes("with"), spikes("on"));
    assert_ne!(spikes("b"), spikes("on"));
}

#[test]
fn a_snapshot_can_be_listed() {
    let folder = folder("listed");
    fs::write(folder.join("pair.ron"), PAIR).expect("a file");
    let run = ["run", "pair.ron", "-o", "b", "--snapshot-at", "2100"];
    done(&folder, &run);
    let file = "b/snapshot-2100.snap";
    let all = done(&folder, &["list", file]);
    for wanted in [
        "scene       pair",
        "t_ms        2100",
        "cells       2",
        "edges       2",
    ] {
        assert!(all.contains(wanted), "{wanted}: {all}");
    }
    assert!(all.contains("next at 2400 ms"), "{all}");
    // The ramp of Kd has come a fifteenth of its way, by its last control tick.
    let kd = all.lines().find(|line| line.starts_with("A.Kd.gbar"));
    let kd = kd.and_then(|line| line.split_whitespace().nth(1));
    let kd: f64 = kd.expect("a value").parse().expect("a number");
    assert!(
        (kd - (137.74 + (130.0 - 137.74) * 100.0 / 1500.0)).abs() < 0.01,
        "{kd}"
    );
    let some = done(&folder, &["list", file, "*.V"]);
    assert_eq!(some.lines().filter(|line| line.contains(".V ")).count(), 2);
    assert!(!some.contains("gbar"));
    let message = refused(&folder, &["list", file, "*.W"]);
    assert!(message.contains("W"), "{message}");
}
