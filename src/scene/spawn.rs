//! A checked scene becomes a network of the engine.

use std::{error::Error, sync::Arc};

use homarus_systems::{
    assembly::{ControllerSpec, EdgeSpec, HomeostatSpec, NeuronSpec, Simulation, Timing},
    channels::CellType,
    definition::CellDefinition,
    observe::{Detection, Observers, Sampler},
    protocol::{self, Action, Protocol},
};

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    memory,
    model::{Cell, Conductance, Edge, Entry, Scene},
    paths, settings,
    source::Place,
};

/// Builds the network of a scene, ready to start.
///
/// # Errors
/// Kinetics that no table can hold, a path that names nothing.
pub fn spawn(scene: &Scene) -> Result<Simulation, Diagnostics> {
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
    let world = &mut simulation.world;
    world.insert_resource(Detection {
        threshold: scene.threshold_mv,
        rearm: scene.rearm_mv,
    });
    let types: Vec<Arc<CellDefinition>> = scene.cell_types.iter().cloned().map(Arc::new).collect();
    for cell in &scene.cells {
        let spec = neuron(scene, cell, &types[cell.cell_type]);
        simulation
            .neuron(spec)
            .map_err(|error| kinetics(&cell.origin, &format!("cell `{}`", cell.name), &error))?;
    }
    for edge in &scene.edges {
        simulation
            .edge(synapse(scene, edge))
            .map_err(|error| kinetics(&edge.origin, "this edge", &error))?;
    }
    simulation.groups(scene.groups.clone());
    preset(&mut simulation, scene)?;
    observe(&mut simulation, scene)?;
    intervene(&mut simulation, scene)?;
    Ok(simulation)
}

/// Asks for windows and samples.
fn observe(simulation: &mut Simulation, scene: &Scene) -> Result<(), Diagnostics> {
    let mut observers = Observers::default();
    for window in &scene.windows {
        observers.window(window.from_ms, window.to_ms);
    }
    for (every, addresses) in paths::samples(scene, simulation.names())? {
        observers.samplers.push(Sampler::new(addresses, every));
    }
    simulation.world.insert_resource(observers);
    Ok(())
}

/// Enters the protocol, unless the network could not go along with it.
fn intervene(simulation: &mut Simulation, scene: &Scene) -> Result<(), Diagnostics> {
    let protocol = paths::protocol(scene, simulation.names())?;
    paths::rehearse(&protocol, simulation.names(), &simulation.world)?;
    let timed = |(entry, actions): (&Entry, Vec<Action>)| {
        let at_ms = entry.at_ms;
        let timed = move |action| protocol::Entry { at_ms, action };
        actions.into_iter().map(timed)
    };
    let entries = protocol.into_iter().flat_map(timed).collect();
    simulation.world.insert_resource(Protocol::new(entries));
    Ok(())
}

/// The error for `what` whose kinetics no table can hold.
fn kinetics(place: &Place, what: &str, error: &dyn Error) -> Diagnostic {
    Diagnostic::at(place, format!("{what}: {error}")).label("its kinetics cannot be tabulated")
}

/// Sets what the scene sets by path, so that whatever is derived from start values follows.
fn preset(simulation: &mut Simulation, scene: &Scene) -> Result<(), Diagnostics> {
    for (address, value) in paths::set(scene, simulation.names())? {
        simulation.preset(address, value).map_err(|e| {
            let path = simulation.names().path(address);
            Diagnostic::new(format!("`{path}` cannot be set: {e}"))
        })?;
    }
    Ok(())
}

fn neuron(scene: &Scene, cell: &Cell, definition: &Arc<CellDefinition>) -> NeuronSpec {
    let mut parameters = CellType::default_parameters(definition);
    for (value, (channel, name)) in parameters
        .iter_mut()
        .zip(CellType::parameter_names(definition))
    {
        let own = cell
            .parameters
            .iter()
            .find(|(c, p, _)| (c.as_str(), p.as_str()) == (channel, name));
        if let Some((.., own)) = own {
            *value = *own;
        }
    }
    NeuronSpec {
        name: cell.name.clone(),
        definition: definition.clone(),
        parameters,
        area: cell.area,
        gbar: cell.gbar.clone(),
        current: cell.current,
        start: cell.start.clone(),
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

fn synapse(scene: &Scene, edge: &Edge) -> EdgeSpec {
    let kind = &scene.kinds[edge.kind];
    let parameters = kind.parameters.iter().map(|(name, default)| {
        edge.parameters
            .iter()
            .find(|(own, _)| own == name)
            .map_or(*default, |(_, value)| *value)
    });
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
        parameters: parameters.collect(),
        name: edge.name.clone(),
        g,
        area_ratio,
        s: edge.s,
    }
}
