//! The engine is usable in anybody's world: a component and a system that the engine knows nothing
//! of act on its neurons, between stretches or, where the resource `EveryStep` asks for it, every
//! step; and the engine's systems run in a world that holds other things.

mod helpers;

use bevy_ecs::prelude::*;
use helpers::{bits, network, read, scene_text, spikes, stg, value};
use homarus_systems::{
    assembly::{self, NeuronSpec, Simulation, Timing},
    calcium::Calcium,
    channels::{CellType, NegativeConductance},
    definition::Start,
    membrane::{Input, Voltage},
    schedule::{Clock, EveryStep, Integrator, Neurons, Sets, schedule},
};

/// A current that an experimenter injects while calcium is above a value.
#[derive(Component)]
struct CalciumTrigger {
    above_um: f64,
    current: f64,
}

/// What the foreign system has seen: the times at which it ran, and those at which it acted.
#[derive(Resource, Default)]
struct Log {
    ran: Vec<f64>,
    acted: Vec<f64>,
}

fn inject(
    clock: Res<Clock>,
    mut log: ResMut<Log>,
    mut cells: Query<(&CalciumTrigger, &Calcium, &mut Input)>,
) {
    log.ran.push(clock.now());
    for (trigger, calcium, mut input) in &mut cells {
        if calcium.0 > trigger.above_um {
            input.current += trigger.current;
            log.acted.push(clock.now());
        }
    }
}

/// One bursting cell for 60 ms: its calcium rises within its first burst.
fn bursting() -> Simulation {
    network(&read(&scene_text(
        60.0,
        0.025,
        &format!("cells: {{ \"LP\": ({}) }}", stg(0, -50.0)),
    )))
}

/// The same cell with the trigger.
fn triggered(above_um: f64, every_step: bool) -> Simulation {
    let mut simulation = bursting();
    simulation.world.init_resource::<Log>();
    if every_step {
        simulation.world.init_resource::<EveryStep>();
    }
    let cell = simulation.world.resource::<Neurons>().entity(0);
    let trigger = CalciumTrigger {
        above_um,
        current: -20.0,
    };
    simulation.world.entity_mut(cell).insert(trigger);
    simulation
        .schedule
        .add_systems(inject.after(Sets::Protocol).before(Sets::Advance));
    simulation
}

/// Runs stretch by stretch; gives the time and V at the end of each.
fn trace(simulation: &mut Simulation) -> Vec<(f64, f64)> {
    let mut trace = Vec::new();
    while !simulation.world.resource::<Clock>().finished() {
        simulation.stretch().expect("a run");
        trace.push((simulation.now(), value(simulation, "LP.V")));
    }
    trace
}

#[test]
fn a_foreign_current_acts_between_stretches() {
    let mut untouched = bursting();
    let without = trace(&mut untouched);
    let mut simulation = triggered(20.0, false);
    let with = trace(&mut simulation);
    let log = simulation.world.resource::<Log>();
    assert_eq!(log.ran.len(), 60, "one stretch a control interval");
    let first = *log.acted.first().expect("calcium passes the value");
    for ((t, a), (_, b)) in without.iter().zip(&with) {
        if *t <= first {
            assert_eq!(
                a.to_bits(),
                b.to_bits(),
                "nothing has acted before {first} ms, t = {t}"
            );
        }
    }
    let after = without
        .iter()
        .zip(&with)
        .find(|((t, _), _)| *t > first)
        .expect("time goes on");
    assert!(
        after.1.1 < after.0.1 - 0.1,
        "the current hyperpolarises at once: {after:?}"
    );
    assert!(spikes(&simulation, "LP").len() < spikes(&untouched, "LP").len());
}

#[test]
fn a_foreign_current_acts_every_step_where_it_asks_to() {
    let mut simulation = triggered(20.0, true);
    let with = trace(&mut simulation);
    let log = simulation.world.resource::<Log>();
    assert_eq!(log.ran.len(), 2400, "60 ms in steps of 0.025");
    assert_eq!(
        log.ran[1..],
        with[..2399].iter().map(|(t, _)| *t).collect::<Vec<_>>()
    );
    // The current comes and goes within the first control interval in which calcium passes the value.
    let first = *log.acted.first().expect("calcium passes the value");
    let mut coarse = triggered(20.0, false);
    trace(&mut coarse);
    let late = *coarse
        .world
        .resource::<Log>()
        .acted
        .first()
        .expect("here as well");
    assert!(
        first < late && late - first < 1.0,
        "every step {first}, every stretch {late}"
    );
}

#[test]
fn acting_every_step_changes_no_bit_of_what_nobody_touches() {
    let mut plain = bursting();
    let mut stepwise = triggered(f64::INFINITY, true);
    plain.run().expect("a run");
    stepwise.run().expect("a run");
    assert_eq!(bits(&plain), bits(&stepwise));
}

/// A run in steps and a charge that is known: a foreign current held for one step of a passive
/// cell without leak moves it by exactly I dt/C.
#[test]
fn a_foreign_current_lasts_for_the_stretch_it_was_added_in() {
    #[derive(Resource, Default)]
    struct Pulses(u32);
    fn once(mut pulses: ResMut<Pulses>, mut cells: Query<&mut Input>) {
        if pulses.0 == 0 {
            cells.iter_mut().for_each(|mut input| input.current += 3.0);
        }
        pulses.0 += 1;
    }
    let folder = helpers::Folder::new("foreign-charge", &[("passive.ron", helpers::PASSIVE)]);
    let scene = folder.read(&scene_text(
        1.0,
        0.125,
        r#"include: ["passive.ron"], cells: { "A": (cell: "passive", start: (V: -70)) }"#,
    ));
    let mut simulation = network(&scene);
    simulation.world.init_resource::<Pulses>();
    simulation.world.init_resource::<EveryStep>();
    simulation
        .schedule
        .add_systems(once.after(Sets::Protocol).before(Sets::Advance));
    simulation.run().expect("a run");
    assert_eq!(value(&simulation, "A.V"), -70.0 + 3.0 * 0.125);
}

/// The engine's resources, entities and schedule in a world of one's own, next to one's own things.
#[test]
fn the_engine_runs_in_a_world_that_holds_other_things() {
    #[derive(Component)]
    struct Lobster(u32);
    let mut world = World::new();
    world.spawn(Lobster(1));
    let timing = Timing {
        dt: 0.025,
        control: 1.0,
        end: 60.0,
    };
    assembly::insert_resources(&mut world, timing, Integrator::Exponential);
    let definition = std::sync::Arc::new(homarus::scene::cell_definition("stg").expect("ships"));
    let mut parameters = CellType::default_parameters(&definition);
    parameters[0] = 2.0;
    let spec = NeuronSpec {
        name: "LP".into(),
        parameters,
        area: None,
        gbar: helpers::PUBLISHED[0].to_vec(),
        current: 0.0,
        start: Start {
            v: Some(-50.0),
            ..Start::default()
        },
        negative: NegativeConductance::Clamp,
        homeostat: None,
        controller: None,
        definition,
    };
    let cell = assembly::spawn_neuron(&mut world, spec).expect("a neuron");
    world.entity_mut(cell).insert(Lobster(2));
    assembly::start(&mut world).expect("a start");
    let mut schedule = schedule();
    while !world.resource::<Clock>().finished() {
        schedule.run(&mut world);
    }
    let mut alone = bursting();
    alone.run().expect("a run");
    let v = world.get::<Voltage>(cell).expect("a voltage").0;
    assert_eq!(v.to_bits(), value(&alone, "LP.V").to_bits());
    let mut lobsters = world.query::<&Lobster>();
    assert_eq!(lobsters.iter(&world).map(|l| l.0).sum::<u32>(), 3);
}

/// Two foreign systems that write the same thing in no order are refused, not run in some order.
#[test]
#[should_panic]
fn an_ambiguous_order_is_an_error() {
    fn one(mut cells: Query<&mut Input>) {
        cells.iter_mut().for_each(|mut input| input.current += 1.0);
    }
    fn two(mut cells: Query<&mut Input>) {
        cells.iter_mut().for_each(|mut input| input.current *= 2.0);
    }
    let mut simulation = bursting();
    let between = (one, two).after(Sets::Protocol).before(Sets::Advance);
    simulation.schedule.add_systems(between);
    let _ = simulation.stretch();
}

/// A neuron that leaves the world takes its edges along; the others go on, and those it was not
/// joined to do not feel it.
#[test]
fn a_neuron_may_leave_a_running_network() {
    let cells: Vec<String> = (0..4)
        .map(|k| format!("\"c{k}\": ({})", stg(k, -50.0)))
        .collect();
    let edges = r#"edges: [
        (pre: "c0", post: "c1", kind: "tanh", g: 0.3), (pre: "c1", post: "c0", kind: "gap", g: 0.05),
        (pre: "c1", post: "c2", kind: "tanh", g: 0.3),
    ]"#;
    let fields = format!("cells: {{ {} }}, {edges}", cells.join(", "));
    let scene = read(&scene_text(60.0, 0.025, &fields));
    let mut left = network(&scene);
    let mut whole = network(&scene);
    for _ in 0..10 {
        left.stretch().expect("a stretch");
    }
    let neuron = left.world.resource::<Neurons>().entity(1);
    left.world.despawn(neuron);
    let end = left.world.resource::<Clock>().end();
    while left.now() < end {
        left.stretch().expect("a stretch");
    }
    whole.run().expect("a run");
    let voltage = |simulation: &Simulation, k: usize| {
        let neuron = simulation.world.resource::<Neurons>().entity(k);
        simulation
            .world
            .get::<Voltage>(neuron)
            .map(|v| v.0.to_bits())
    };
    assert_eq!(voltage(&left, 1), None);
    assert_eq!(voltage(&left, 3), voltage(&whole, 3));
    assert_ne!(voltage(&left, 0), voltage(&whole, 0));
    assert_ne!(voltage(&left, 2), voltage(&whole, 2));
}
