//! Neurons with frozen conductances: copies without coupling, regulation or protocol that start
//! anew, to tell what the conductances of a moment do by themselves.

use bevy_ecs::prelude::*;

use crate::address::on_width;
use crate::assembly::{NeuronSpec, Simulation, StartState, Timing};
use crate::channels::{
    Block, CellTypeId, CellTypes, CompileError, Gbar, NegativeConductance, Parameters,
};
use crate::integrate::Kernel;
use crate::membrane::AppliedCurrent;
use crate::observe::Detection;
use crate::schedule::{Integrator, Neurons, ThroughTicks};

/// A neuron (index) as it is now, to be frozen: its conductances (mS/cm²) as the membrane feels
/// them, its own start state and applied current. `None`: it is not in the world any more.
pub fn neuron(world: &World, index: usize) -> Option<NeuronSpec> {
    let neurons = world.resource::<Neurons>();
    let entity = neurons.entity(index);
    let cell = world
        .resource::<CellTypes>()
        .get(*world.get::<CellTypeId>(entity)?);
    let rule = *world.get::<NegativeConductance>(entity)?;
    let gbar = on_width!(world, entity, get, Gbar, |g| g.0.0.to_vec())?;
    let block = on_width!(world, entity, get, Block, |b| b.factor.0.to_vec())?;
    let felt = |(g, factor): (&f64, &f64)| rule.felt(*g).0 * factor;
    Some(NeuronSpec {
        name: neurons.name(index).into(),
        definition: cell.definition.clone(),
        parameters: world.get::<Parameters>(entity)?.0.clone(),
        area: cell.area,
        gbar: gbar
            .iter()
            .zip(&block)
            .take(cell.channels())
            .map(felt)
            .collect(),
        current: world.get::<AppliedCurrent>(entity)?.0,
        start: world.get::<StartState>(entity)?.0.clone(),
        negative: NegativeConductance::Allow,
        homeostat: None,
        controller: None,
    })
}

/// A network of such neurons, none of which feels another.
///
/// # Errors
/// See [`CompileError`].
pub fn network(
    neurons: Vec<NeuronSpec>,
    timing: Timing,
    (detection, kernel): (Detection, Kernel),
) -> Result<Simulation, CompileError> {
    let mut simulation = Simulation::new(timing, Integrator::Exponential);
    simulation.world.insert_resource(detection);
    simulation.world.insert_resource(kernel);
    simulation.world.init_resource::<ThroughTicks>();
    for neuron in neurons {
        simulation.neuron(neuron)?;
    }
    Ok(simulation)
}
