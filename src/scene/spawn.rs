//! A checked scene becomes a network of the engine.

use std::sync::Arc;

use homarus_systems::{
    address::{Address, PathError},
    assembly::{ControllerSpec, EdgeSpec, HomeostatSpec, NeuronSpec, Simulation, Timing},
    channels::CellType,
    definition::CellDefinition,
    observe::{Detection, Observers},
    protocol::Protocol,
};

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    model::{Cell, Conductance, Edge, Scene},
    paths,
};

/// A scalar overridden before the start: path and value.
pub type Override = (String, f64);

/// Builds the network of a scene; `overrides` act after it is built and before anything is derived
/// from start values.
///
/// # Errors
/// Kinetics that no table can hold, a path that names nothing.
pub fn spawn(scene: &Scene, overrides: &[Override]) -> Result<Simulation, Diagnostics> {
    let timing = Timing {
        dt: scene.step_ms,
        control: scene.control_ms,
        end: scene.duration_ms,
    };
    let mut simulation = Simulation::new(timing, scene.integrator);
    let world = &mut simulation.world;
    world.insert_resource(Protocol::new(paths::protocol(scene)?));
    world.insert_resource(Detection {
        threshold: scene.threshold_mv,
        rearm: scene.rearm_mv,
    });
    let mut observers = Observers::default();
    for window in &scene.windows {
        observers.window(window.from_ms, window.to_ms);
    }
    world.insert_resource(observers);
    let types: Vec<Arc<CellDefinition>> = scene.cell_types.iter().cloned().map(Arc::new).collect();
    for cell in &scene.cells {
        let spec = neuron(scene, cell, &types[cell.cell_type]);
        simulation
            .neuron(spec)
            .map_err(|e| Diagnostic::at(&cell.origin, format!("cell `{}`: {e}", cell.name)))?;
    }
    for edge in &scene.edges {
        simulation
            .edge(synapse(scene, edge))
            .map_err(|e| Diagnostic::at(&edge.origin, e.to_string()))?;
    }
    simulation.groups(scene.groups.clone());
    for (path, value) in overrides {
        preset(&mut simulation, path, *value)?;
    }
    Ok(simulation)
}

/// Resolves a path of the command line.
///
/// # Errors
/// It names nothing.
pub fn resolve(simulation: &Simulation, path: &str) -> Result<Vec<Address>, Diagnostic> {
    simulation
        .names()
        .scalars(path)
        .map_err(|e: PathError| Diagnostic::new(e.message).maybe_help(e.help))
}

fn preset(simulation: &mut Simulation, path: &str, value: f64) -> Result<(), Diagnostic> {
    for address in resolve(simulation, path)? {
        simulation
            .preset(address, value)
            .map_err(|e| Diagnostic::new(format!("`{path}` cannot be set: {e}")))?;
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
