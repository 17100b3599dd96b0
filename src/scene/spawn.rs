//! A checked scene becomes a network of the engine.

use std::{error::Error, sync::Arc};

use homarus_systems::{
    address,
    assembly::{
        BulkSpec, ControllerSpec, EdgeSpec, HomeostatSpec, Kinetics, NeuronSpec, Simulation, Timing,
    },
    channels::CellType,
    definition::{CellDefinition, Start, SynapseKind},
    observe::{Detection, Observers, Sampler},
    protocol::{self, Action, Protocol},
};

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    draw, generate, memory,
    model::{Bulk, Cell, Conductance, Edge, Entry, Scene},
    paths,
    population::build,
    settings,
    source::Place,
};

/// Builds the network of a scene, ready to start.
///
/// # Errors
/// Kinetics that no table can hold, a path that names nothing.
pub fn spawn(scene: &Scene) -> Result<Simulation, Diagnostics> {
    spawn_again(scene, Kinetics::default())
}

/// As [`spawn`], with what was compiled for another network, most often of the same scene: to compile
/// is most of the work.
///
/// # Errors
/// See [`spawn`].
pub fn spawn_again(scene: &Scene, compiled: Kinetics) -> Result<Simulation, Diagnostics> {
    if let Some(error) = settings::timing(
        Some(scene.duration_ms),
        scene.step_ms,
        scene.control_ms,
        None,
    ) {
        return Err(error.into());
    }
    if let Some(error) = memory::shortage(scene, memory::available()) {
        return Err(error.into());
    }
    let timing = Timing {
        dt: scene.step_ms,
        control: scene.control_ms,
        end: scene.duration_ms,
    };
    let mut simulation = Simulation::new(timing, scene.integrator);
    simulation.reuse(compiled);
    let world = &mut simulation.world;
    world.insert_resource(Detection {
        threshold: scene.threshold_mv,
        rearm: scene.rearm_mv,
    });
    let definition = |definition| simulation.definition(definition);
    let types: Vec<Arc<CellDefinition>> = scene.cell_types.iter().map(definition).collect();
    let defaults: Vec<Vec<f64>> = types
        .iter()
        .map(|t| CellType::default_parameters(t))
        .collect();
    let built = build::build(scene)?;
    for (k, cell) in scene.cells.iter().enumerate() {
        let of_type = (&types[cell.cell_type], defaults[cell.cell_type].as_slice());
        let spec = neuron(scene, cell, of_type, built.gbar(scene, k));
        simulation
            .neuron(spec)
            .map_err(|error| kinetics(&cell.origin, &format!("cell `{}`", cell.name), &error))?;
    }
    for edge in &scene.edges {
        simulation
            .edge(synapse(scene, edge))
            .map_err(|error| kinetics(&edge.origin, "this edge", &error))?;
    }
    for bulk in &scene.bulk {
        simulation
            .bulk(synapses(scene, bulk)?)
            .map_err(|error| kinetics(&bulk.origin, "these edges", &error))?;
    }
    simulation.world.insert_resource(built.thrown);
    simulation.groups(scene.all_groups());
    set(&mut simulation, scene)?;
    observe(&mut simulation, scene)?;
    intervene(&mut simulation, scene)?;
    Ok(simulation)
}

/// Asks for windows and samples.
fn observe(simulation: &mut Simulation, scene: &Scene) -> Result<(), Diagnostics> {
    let mut observers = Observers::default();
    for window in scene.run_windows() {
        observers.window(window.from_ms, window.to_ms);
    }
    observers.stops = scene.probes().filter_map(|w| w.probe_at_ms).collect();
    for (every, addresses) in paths::samples(scene, simulation.names())? {
        observers.samplers.push(Sampler::new(addresses, every));
    }
    simulation.world.insert_resource(observers);
    Ok(())
}

/// Enters the protocol, unless the network could not go along with it.
fn intervene(simulation: &mut Simulation, scene: &Scene) -> Result<(), Diagnostics> {
    let entries = acts(simulation, scene, &scene.protocol)?;
    simulation.world.insert_resource(Protocol::new(entries));
    Ok(())
}

/// What entries, those of a scene or others, are for the engine, by time.
///
/// # Errors
/// A path that names nothing, kinetics that no table can hold.
pub fn acts(
    simulation: &Simulation,
    scene: &Scene,
    entries: &[Entry],
) -> Result<Vec<protocol::Entry>, Diagnostics> {
    let resolved = paths::entries(scene, simulation.names(), entries)?;
    paths::rehearse(&resolved, simulation.names(), &simulation.world)?;
    let timed = |(entry, actions): (&Entry, Vec<Action>)| {
        let at_ms = entry.at_ms;
        let timed = move |action| protocol::Entry { at_ms, action };
        actions.into_iter().map(timed)
    };
    Ok(resolved.into_iter().flat_map(timed).collect())
}

/// The error for `what` whose kinetics no table can hold.
pub(super) fn kinetics(place: &Place, what: &str, error: &dyn Error) -> Diagnostic {
    Diagnostic::at(place, format!("{what}: {error}")).label("its kinetics cannot be tabulated")
}

/// Sets what the scene sets by path; before the start, whatever is derived from start values follows.
///
/// # Errors
/// A path that names nothing, a value that the scalar cannot have.
pub fn set(simulation: &mut Simulation, scene: &Scene) -> Result<(), Diagnostics> {
    for (targets, value) in paths::set(scene, simulation.names())? {
        for address in targets.single {
            simulation.preset(address, value).map_err(|e| {
                let path = simulation.names().path(address);
                Diagnostic::new(format!("`{path}` cannot be set: {e}"))
            })?;
        }
        for target in &targets.bulk {
            address::write_bulk(&mut simulation.world, target, |_, _| value)
                .map_err(|e| Diagnostic::new(format!("`{}` cannot be set: {e}", target.path)))?;
        }
    }
    Ok(())
}

/// Kinetic parameters of a cell, its own laid over the defaults of its type.
pub(super) fn own_parameters(
    definition: &CellDefinition,
    defaults: &[f64],
    cell: &Cell,
) -> Vec<f64> {
    let mut parameters = defaults.to_vec();
    for (channel, name, own) in cell.parameters.iter() {
        let place =
            CellType::parameter_names(definition).position(|known| known == (channel, name));
        if let Some(k) = place {
            parameters[k] = *own;
        }
    }
    parameters
}

/// A neuron with these conductances (mS/cm²), before they are jittered.
fn neuron(
    scene: &Scene,
    cell: &Cell,
    (definition, defaults): (&Arc<CellDefinition>, &[f64]),
    gbar: Vec<f64>,
) -> NeuronSpec {
    let parameters = own_parameters(definition, defaults, cell);
    let (gbar, v) = draw::cell(scene.seed, cell, gbar);
    NeuronSpec {
        name: cell.name.clone(),
        definition: definition.clone(),
        parameters,
        area: cell.area,
        gbar,
        current: cell.current,
        start: Start {
            v,
            ..cell.start.clone()
        },
        negative: scene.negative_conductance,
        homeostat: cell.homeostat.as_ref().map(|h| HomeostatSpec {
            lanes: h.channels.clone(),
            settings: h.settings,
            on: h.on,
        }),
        controller: cell.controller.as_ref().map(|c| ControllerSpec {
            lanes: c.channels,
            g_s: c.g_s,
            g_u: c.g_u,
            gains: c.gains,
            v_th: c.v_th,
            start: scene.integrator_start,
            on: c.on,
        }),
    }
}

/// Parameters of a kind, those that are given laid over the defaults.
fn parameters(kind: &SynapseKind, given: &[(String, f64)]) -> Vec<f64> {
    let own = |name: &str| given.iter().find(|(own, _)| own == name);
    let parameters = kind.parameters.iter();
    parameters
        .map(|(name, default)| own(name).map_or(*default, |(_, value)| *value))
        .collect()
}

fn synapses(scene: &Scene, bulk: &Bulk) -> Result<BulkSpec, Diagnostic> {
    let kind = &scene.kinds[bulk.kind];
    let columns = generate::columns(scene, bulk)?;
    Ok(BulkSpec {
        generator: bulk.generator.clone(),
        label: bulk.label.clone(),
        kind: kind.clone(),
        parameters: parameters(kind, &bulk.parameters),
        g: generate::weights(scene, bulk, &columns)?,
        area_ratio: generate::area_ratios(scene, &columns),
        pre: columns.pre,
        post: columns.post,
        s: bulk.s,
    })
}

fn synapse(scene: &Scene, edge: &Edge) -> EdgeSpec {
    let kind = &scene.kinds[edge.kind];
    let area = |cell: usize| scene.cells[cell].area;
    let g = match (edge.g, area(edge.post)) {
        (Conductance::Absolute(g), Some(area)) => g * 1e-6 / area, // nS = 1e-6 mS
        (Conductance::Absolute(g) | Conductance::Density(g), _) => g,
    };
    let area_ratio = match (area(edge.pre), area(edge.post)) {
        (Some(pre), Some(post)) => post / pre,
        _ => 1.0,
    };
    EdgeSpec {
        pre: edge.pre,
        post: edge.post,
        kind: kind.clone(),
        parameters: parameters(kind, &edge.parameters),
        name: edge.name.clone(),
        g,
        area_ratio,
        s: edge.s,
    }
}
