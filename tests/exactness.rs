//! What a person can check by hand: where samples lie and how many there are, that a response does
//! not know when it happens, and that a run beyond 2^31 steps keeps its times.

mod helpers;

use bevy_ecs::{system::RunSystemOnce, world::World};
use helpers::{Folder, PASSIVE, events, network, read, run, scene_text, spikes, value};
use homarus::scene::Scene;
use homarus_systems::{
    assembly::Simulation,
    integrate::{Planned, finish_stretch},
    observe::Observers,
    protocol::Protocol,
    schedule::{Clock, MAX_STEPS, Place, Stretch},
};
use proptest::prelude::*;

/// A passive cell at -70 mV with a leak (mS/cm²) that reverses at -50 mV.
fn passive(name: &str, times: (f64, f64), leak: f64, more: &str) -> Scene {
    let folder = Folder::new(name, &[("passive.ron", PASSIVE)]);
    let (duration_ms, step_ms) = times;
    folder.read(&scene_text(
        duration_ms,
        step_ms,
        &format!(
            r#"include: ["passive.ron"],
            cells: {{ "A": (cell: "passive", gbar: {{ "leak": {leak} }}, start: (V: -70, Ca: 5)) }}, {more}"#
        ),
    ))
}

/// Rows of the first sampler: time (ms) and values.
fn rows(simulation: &Simulation) -> &[(f64, Vec<f64>)] {
    &simulation.world.resource::<Observers>().samplers[0].rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Sample k lies at k D, the first is the start state, and there are floor(T/D) + 1 of them:
    /// whether D divides T, or the step either, or not. Times are whole numbers of 0.001 ms, so the
    /// count is one of whole numbers.
    #[test]
    fn samples_lie_at_multiples_of_their_interval(
        every in prop_oneof![Just(100_u64), 10..3_000_u64],
        most in 0..20_u64,
        // Nothing, or a part of the interval.
        rest in prop_oneof![Just(0.0), 0.0..1.0_f64],
        step in prop::sample::select(vec![10_u64, 25, 30, 50, 70, 100]),
    ) {
        let duration = most * every + (rest * every as f64) as u64;
        prop_assume!(every >= step && duration > 0);
        let ms = |thousandths: u64| thousandths as f64 / 1e3;
        let samples = format!(r#"samples: [(paths: ["A.V", "A.Ca"], every_ms: {})]"#, ms(every));
        let scene = passive("samples-at", (ms(duration), ms(step)), 0.3, &samples);
        let simulation = run(&scene);
        let rows = rows(&simulation);
        prop_assert_eq!(&rows[0].1, &[-70.0, 5.0]);
        prop_assert_eq!(rows.len() as u64, duration / every + 1);
        for (k, (t, _)) in rows.iter().enumerate() {
            prop_assert_eq!(t.to_bits(), (k as f64 * ms(every)).to_bits(), "sample {}", k);
        }
        // The last one lies where the run ends: it is the final state.
        if duration.is_multiple_of(every) {
            let last = rows.last().map(|(_, values)| values[0]);
            prop_assert_eq!(last, Some(value(&simulation, "A.V")));
        }
    }
}

/// V (mV) of a resting passive cell at every step from a pulse that begins at `at` (ms), on the grid.
fn response(at: f64) -> Vec<u64> {
    let more = format!(
        r#"protocol: [(at_ms: {at}, current: "A", amplitude: 7, for_ms: 0.5)],
        samples: [(paths: ["A.V"], every_ms: 0.0625)]"#
    );
    let mut scene = passive("response", (at + 20.0, 0.0625), 0.1, &more);
    scene.cells[0].start.v = Some(-50.0);
    let simulation = run(&scene);
    let rows = rows(&simulation).iter();
    rows.filter(|(t, _)| *t >= at)
        .map(|(_, values)| values[0].to_bits())
        .collect()
}

/// On a grid that binary numbers can hold nothing is rounded: the response is the same to the bit.
#[test]
fn a_response_is_the_same_bits_whenever_it_happens() {
    let early = response(1.0);
    assert_eq!(early.len(), 321);
    assert_ne!(early[8], early[0], "the pulse acts");
    for at in [1.0625, 10.0, 777.75, 4096.0, 10_000.0] {
        assert_eq!(response(at), early, "a pulse at {at} ms");
    }
}

/// Off the grid times are rounded, by less the earlier they are: spikes come as late after the pulse
/// as that rounding allows. The cell has come to rest before.
#[test]
fn a_cell_at_rest_answers_the_same_whenever_it_is_asked() {
    let answer = |at: f64| {
        let scene = read(&scene_text(
            at + 300.0,
            0.05,
            &format!(
                r#"cells: {{ "A": (cell: "stg", gbar: {{ "Na": 800, "Kd": 100, "A": 50, "leak": 0.05 }}, start: (V: -55)) }},
                protocol: [(at_ms: {at}, current: "A", amplitude: 8, for_ms: 200.0123)]"#
            ),
        ));
        let times = spikes(&run(&scene), "A");
        times.into_iter().map(|t| t - at).collect::<Vec<f64>>()
    };
    let early = answer(2_000.013);
    assert!(early.len() >= 2 && early[0] > 0.0, "{early:?}");
    for shift in [0.05, 1_000.0, 12_345.6, 50_000.0] {
        let late = answer(2_000.013 + shift);
        assert_eq!(late.len(), early.len(), "later by {shift} ms");
        for (early, late) in early.iter().zip(&late) {
            assert!(
                (early - late).abs() < 1e-6,
                "later by {shift} ms: {early} {late}"
            );
        }
    }
}

/// Moves the clock of a network to a grid point as the end of a stretch does, without integrating
/// what lies between.
fn move_clock(world: &mut World, to: u64) {
    world.insert_resource(Planned {
        stretch: Stretch::Whole { to },
        ticks: Vec::new(),
    });
    world.run_system_once(finish_stretch).unwrap();
}

/// One step further than 32 bits with a sign can count.
const BEYOND: u64 = 1 << 31;

#[test]
fn every_grid_point_is_k_steps_however_many_they_are() {
    let most = MAX_STEPS as u64;
    for dt in [0.01, 0.025, 0.05, 0.1, 0.07, 1.0] {
        for k in [
            BEYOND - 1,
            BEYOND,
            BEYOND + 1,
            1 << 32,
            (1 << 32) + 1,
            most / 3,
            most,
        ] {
            let t = k as f64 * dt;
            // One control interval is the whole run.
            let clock = Clock::new(dt, 2.0 * MAX_STEPS * dt, MAX_STEPS * dt);
            let mut world = World::new();
            world.insert_resource(clock);
            world.insert_resource(Protocol::new(Vec::new()));
            move_clock(&mut world, k);
            let clock = world.resource::<Clock>();
            assert_eq!(clock.step(), k);
            assert_eq!(clock.now().to_bits(), t.to_bits());
            assert_eq!(clock.place(t), Place::On(k), "step {k} of {dt} ms");
            assert!(clock.reached(t) && !clock.reached((k as f64 + 0.5) * dt));
            assert_eq!(clock.place((k as f64 + 0.5) * dt), Place::Inside(k));
            assert_eq!(clock.finished(), k == most);
        }
    }
}

/// A network that goes past 2^31 steps: its pulses deliver their charge at their times, samples lie
/// where they are to, control ticks come when they are due.
#[test]
fn a_run_past_2_to_the_31_steps_goes_on_as_before() {
    let dt = 0.05;
    let at = |steps: f64| (BEYOND as f64 + steps) * dt;
    let (on, off, end) = (at(-4.0), at(3.5), at(40.0));
    // Eight samples lie before, the ninth at step 2^31.
    let every = at(0.0) / 8.0;
    let more = format!(
        r#"control_ms: 1e6,
        protocol: [
            (at_ms: {on}, current: "A", amplitude: 3, for_ms: 0.1),
            (at_ms: {off}, set: "A.I", to: 2),
        ],
        samples: [(paths: ["A.V"], every_ms: {every})]"#
    );
    let mut simulation = network(&passive("beyond", (end, dt), 0.0, &more));
    simulation.start().unwrap();
    move_clock(&mut simulation.world, BEYOND - 10);
    simulation.run().unwrap();
    let clock = simulation.world.resource::<Clock>();
    assert_eq!(clock.step(), BEYOND + 40);
    assert_eq!(clock.now().to_bits(), end.to_bits());
    let acted: Vec<f64> = events(&simulation).iter().map(|event| event.t_ms).collect();
    assert!(acted.contains(&on) && acted.contains(&off), "{acted:?}");
    // Times of 10^8 ms are known to 1.5e-8 ms.
    let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
    let charge = 3.0 * 0.1;
    let v = value(&simulation, "A.V");
    assert!(close(v, -70.0 + charge + 2.0 * (end - off)), "{v}");
    let rows = rows(&simulation);
    assert_eq!(rows.len(), 9);
    assert_eq!(rows[8].0, 8.0 * every);
    assert!(close(rows[8].1[0], -70.0 + charge), "{:?}", rows[8]);
}
