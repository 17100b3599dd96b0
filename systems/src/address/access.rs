//! Reading and writing scalars of a world.

use std::collections::{BTreeMap, HashMap};

use bevy_ecs::prelude::*;

use super::{Address, BulkScalar, CellScalar, ChannelScalar, EdgeScalar};
use crate::assembly::ThresholdVoltage;
use crate::calcium::Calcium;
use crate::channels::{Block, CellTypeId, CellTypes, Gbar, Parameters, RateFactor};
use crate::coupling::{BulkEdges, Edge, EdgeParameters, Kinds, Strength, SynapticActivation};
use crate::homeostasis::Homeostat;
use crate::membrane::{AppliedCurrent, Voltage};
use crate::neuromodulation::{Controller, Modulated};
use crate::observe::{Armed, Detection};
use crate::schedule::{Edges, Neurons};
use crate::scheme::States;

/// A value that cannot be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// The component that holds the scalar is gone.
    #[error("the scalar does not exist in this network")]
    Missing,
    /// A kinetic parameter whose table cannot be built.
    #[error("{0}")]
    Kinetics(String),
}

/// Runs `f` on the lane component of whichever width the neuron has.
macro_rules! on_width {
    ($world:expr, $entity:expr, $get:ident, $component:ident, |$x:ident| $body:expr) => {
        if let Some($x) = $world.$get::<$component<8>>($entity) {
            Some($body)
        } else if let Some($x) = $world.$get::<$component<16>>($entity) {
            Some($body)
        } else if let Some($x) = $world.$get::<$component<32>>($entity) {
            Some($body)
        } else {
            None
        }
    };
}
pub(crate) use on_width;

/// Value of a scalar; `None` where it does not exist. Before the start, a scalar that the start
/// derives has the value it will start at.
pub fn read(world: &World, address: Address) -> Option<f64> {
    if let Some(value) = crate::assembly::foreseen(world, address) {
        return Some(value);
    }
    match address {
        Address::Cell(cell, scalar) => {
            read_cell(world, world.resource::<Neurons>().entity(cell), scalar)
        }
        Address::Channel(cell, lane, scalar) => read_channel(
            world,
            world.resource::<Neurons>().entity(cell),
            lane,
            scalar,
        ),
        Address::Edge(edge, scalar) => {
            let entity = world.resource::<Edges>().entity(edge);
            match scalar {
                EdgeScalar::G => Some(world.get::<Strength>(entity)?.g),
                EdgeScalar::S => Some(world.get::<SynapticActivation>(entity)?.0),
                EdgeScalar::Parameter(k) => world.get::<EdgeParameters>(entity)?.0.get(k).copied(),
            }
        }
        Address::Bulk(bulk, edge, scalar) => {
            let edges = bulk_edges(world, bulk)?;
            match scalar {
                EdgeScalar::G => Some(edges.g(edge)),
                EdgeScalar::S => edges.s(edge),
                EdgeScalar::Parameter(_) => None,
            }
        }
    }
}

/// Edges of a bulk.
pub(crate) fn bulk_edges(world: &World, bulk: usize) -> Option<&BulkEdges> {
    let entity = *world.resource::<Edges>().bulk().get(bulk)?;
    world.get::<BulkEdges>(entity)
}

/// Edges of a bulk, to be written.
pub(crate) fn bulk_edges_mut(world: &mut World, bulk: usize) -> Option<Mut<'_, BulkEdges>> {
    let entity = *world.resource::<Edges>().bulk().get(bulk)?;
    world.get_mut::<BulkEdges>(entity)
}

/// Writes one scalar of many edges in bulk; `value` is told the place in `edges` and the old value.
///
/// # Errors
/// The scalar does not exist.
pub fn write_bulk(
    world: &mut World,
    target: &BulkScalar,
    mut value: impl FnMut(usize, f64) -> f64,
) -> Result<(), WriteError> {
    let mut edges = bulk_edges_mut(world, target.bulk).ok_or(WriteError::Missing)?;
    match target.scalar {
        EdgeScalar::G => {
            for (k, edge) in target.edges.iter().enumerate() {
                let g = value(k, edges.g(*edge as usize));
                edges.set_g(*edge as usize, g);
            }
        }
        EdgeScalar::S => {
            // Edges that had and get the same activation go on sharing it.
            let mut wanted: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            for (k, edge) in target.edges.iter().enumerate() {
                let s = edges.s(*edge as usize).ok_or(WriteError::Missing)?;
                wanted.entry(value(k, s).to_bits()).or_default().push(*edge);
            }
            for (bits, own) in wanted {
                edges.set_s(&own, f64::from_bits(bits));
            }
        }
        EdgeScalar::Parameter(_) => return Err(WriteError::Missing),
    }
    Ok(())
}

fn read_cell(world: &World, neuron: Entity, scalar: CellScalar) -> Option<f64> {
    let homeostat = || Some(world.get::<Homeostat>(neuron)?.settings);
    let controller = || world.get::<Controller>(neuron);
    Some(match scalar {
        CellScalar::V => world.get::<Voltage>(neuron)?.0,
        CellScalar::Ca => world.get::<Calcium>(neuron)?.0,
        CellScalar::I => world.get::<AppliedCurrent>(neuron)?.0,
        CellScalar::CaTarget => homeostat()?.ca_target,
        CellScalar::TauG => homeostat()?.tau_g,
        CellScalar::TauNa => homeostat()?.tau_na,
        CellScalar::GS => controller()?.g_s,
        CellScalar::GU => controller()?.g_u,
        CellScalar::Kp => controller()?.gains.kp,
        CellScalar::Ki => controller()?.gains.ki,
        CellScalar::Kt => controller()?.gains.kt,
        CellScalar::UMax => controller()?.gains.u_max,
        CellScalar::Alpha => controller()?.gains.alpha,
        CellScalar::Beta => controller()?.gains.beta,
        CellScalar::VTh => controller()?.v_th,
    })
}

fn read_channel(world: &World, neuron: Entity, lane: usize, scalar: ChannelScalar) -> Option<f64> {
    let modulated = || {
        world
            .get::<Controller>(neuron)?
            .channels
            .iter()
            .find(|c| c.lane == lane)
    };
    Some(match scalar {
        ChannelScalar::Gbar => on_width!(world, neuron, get, Gbar, |g| g.0.0[lane])?,
        ChannelScalar::Block => on_width!(world, neuron, get, Block, |b| b.factor.0[lane])?,
        ChannelScalar::Mrna => {
            world
                .get::<Homeostat>(neuron)?
                .channels
                .iter()
                .find(|c| c.lane == lane)?
                .mrna
        }
        ChannelScalar::Pool => modulated()?.pool,
        ChannelScalar::Integral => modulated()?.integral,
        ChannelScalar::Parameter(k) => {
            let first = parameters_before(world, neuron, lane)?;
            *world.get::<Parameters>(neuron)?.0.get(first + k)?
        }
        ChannelScalar::State(k) => {
            let cell = world.get::<CellTypeId>(neuron)?;
            let places = world
                .resource::<CellTypes>()
                .get(*cell)
                .scheme(lane)?
                .places();
            *world.get::<States>(neuron)?.0.get(places)?.get(k)?
        }
    })
}

/// Number of kinetic parameters of the channels before `lane`.
fn parameters_before(world: &World, neuron: Entity, lane: usize) -> Option<usize> {
    let cell = world
        .resource::<CellTypes>()
        .get(*world.get::<CellTypeId>(neuron)?);
    Some(
        cell.definition.channels[..lane]
            .iter()
            .map(|(_, c)| c.parameters.len())
            .sum(),
    )
}

/// Writes exactly one scalar; what is derived from it follows at the next stretch. The other states
/// of a kinetic scheme share what a written one leaves, in their proportions. Before the start, scalars that the start derives are kept for it.
///
/// # Errors
/// The scalar does not exist, or a kinetic parameter gives kinetics that no table can hold.
pub fn write(world: &mut World, address: Address, value: f64) -> Result<(), WriteError> {
    if crate::assembly::defer(world, address, value) {
        return Ok(());
    }
    match address {
        Address::Cell(cell, scalar) => {
            let neuron = world.resource::<Neurons>().entity(cell);
            write_cell(world, neuron, scalar, value).ok_or(WriteError::Missing)
        }
        Address::Channel(cell, lane, ChannelScalar::Parameter(k)) => {
            let neuron = world.resource::<Neurons>().entity(cell);
            write_parameter(world, neuron, lane, k, value)
        }
        Address::Channel(cell, lane, scalar) => {
            let neuron = world.resource::<Neurons>().entity(cell);
            write_channel(world, neuron, lane, scalar, value).ok_or(WriteError::Missing)
        }
        Address::Edge(edge, scalar) => {
            let entity = world.resource::<Edges>().entity(edge);
            match scalar {
                EdgeScalar::G => {
                    world
                        .get_mut::<Strength>(entity)
                        .ok_or(WriteError::Missing)?
                        .g = value;
                }
                EdgeScalar::S => {
                    world
                        .get_mut::<SynapticActivation>(entity)
                        .ok_or(WriteError::Missing)?
                        .0 = value;
                }
                EdgeScalar::Parameter(k) => write_edge_parameter(world, entity, k, value)?,
            }
            Ok(())
        }
        Address::Bulk(bulk, edge, scalar) => {
            let mut edges = bulk_edges_mut(world, bulk).ok_or(WriteError::Missing)?;
            match scalar {
                EdgeScalar::G => edges.set_g(edge, value),
                EdgeScalar::S => edges.set_s(&[edge as u32], value),
                EdgeScalar::Parameter(_) => return Err(WriteError::Missing),
            }
            Ok(())
        }
    }
}

fn write_cell(world: &mut World, neuron: Entity, scalar: CellScalar, x: f64) -> Option<()> {
    match scalar {
        CellScalar::V => {
            world.get_mut::<Voltage>(neuron)?.0 = x;
            let armed = world.resource::<Detection>().arming(x);
            *world.get_mut::<Armed>(neuron)? = armed;
        }
        CellScalar::Ca => world.get_mut::<Calcium>(neuron)?.0 = x,
        CellScalar::I => world.get_mut::<AppliedCurrent>(neuron)?.0 = x,
        _ if scalar.of_homeostat() => {
            let settings = &mut world.get_mut::<Homeostat>(neuron)?.into_inner().settings;
            match scalar {
                CellScalar::CaTarget => settings.ca_target = x,
                CellScalar::TauG => settings.tau_g = x,
                _ => settings.tau_na = x,
            }
        }
        _ => {
            let controller = world.get_mut::<Controller>(neuron)?.into_inner();
            match scalar {
                CellScalar::GS => controller.g_s = x,
                CellScalar::GU => controller.g_u = x,
                CellScalar::Kp => controller.gains.kp = x,
                CellScalar::Ki => controller.gains.ki = x,
                CellScalar::Kt => controller.gains.kt = x,
                CellScalar::UMax => controller.gains.u_max = x,
                CellScalar::Alpha => controller.gains.alpha = x,
                CellScalar::Beta => controller.gains.beta = x,
                _ => {
                    controller.v_th = x;
                    controller.plan = None;
                    world.entity_mut(neuron).insert(ThresholdVoltage(x));
                }
            }
        }
    }
    Some(())
}

fn write_channel(
    world: &mut World,
    neuron: Entity,
    lane: usize,
    scalar: ChannelScalar,
    x: f64,
) -> Option<()> {
    match scalar {
        ChannelScalar::Gbar => on_width!(world, neuron, get_mut, Gbar, |g| g.into_inner().0.0
            [lane] = x),
        ChannelScalar::Block => on_width!(world, neuron, get_mut, Block, |b| {
            let block = b.into_inner();
            block.factor.0[lane] = x;
            block.seen.0[lane] = x;
        }),
        ChannelScalar::Mrna => {
            let homeostat = world.get_mut::<Homeostat>(neuron)?.into_inner();
            homeostat
                .channels
                .iter_mut()
                .find(|c| c.lane == lane)
                .map(|c| c.mrna = x)
        }
        ChannelScalar::Pool => modulated(world, neuron, lane).map(|c| c.pool = x),
        ChannelScalar::Integral => modulated(world, neuron, lane).map(|c| c.integral = x),
        ChannelScalar::State(k) => {
            let cell = world.get::<CellTypeId>(neuron)?;
            let scheme = world.resource::<CellTypes>().get(*cell).scheme(lane)?;
            let places = scheme.places();
            let old = world.get::<States>(neuron)?.0.get(places.clone())?;
            let new = scheme.completed(old, &[(k, x)]);
            world.get_mut::<States>(neuron)?.0[places].copy_from_slice(&new);
            Some(())
        }
        ChannelScalar::Parameter(_) => None,
    }
}

fn modulated(world: &mut World, neuron: Entity, lane: usize) -> Option<&mut Modulated> {
    let controller = world.get_mut::<Controller>(neuron)?.into_inner();
    controller.channels.iter_mut().find(|c| c.lane == lane)
}

/// Kinetic parameters as writes would leave them, none of which are carried out: whether a
/// protocol can be acted out shows before it begins.
#[derive(Debug, Default)]
pub struct Rehearsal {
    values: HashMap<Address, f64>,
}

impl Rehearsal {
    /// Value a kinetic parameter would have.
    pub fn read(&self, world: &World, address: Address) -> Option<f64> {
        self.values
            .get(&address)
            .copied()
            .or_else(|| read(world, address))
    }

    /// Takes note of a write; one to a live scalar is none of its business.
    ///
    /// # Errors
    /// The write would give kinetics that no table can hold.
    pub fn write(&mut self, world: &World, address: Address, value: f64) -> Result<(), WriteError> {
        if !address.is_kinetic() {
            return Ok(());
        }
        self.values.insert(address, value);
        match address {
            Address::Channel(cell, ..) => self.compile_cell(world, cell),
            Address::Edge(edge, _) => self.compile_edge(world, edge),
            Address::Cell(..) | Address::Bulk(..) => Ok(()),
        }
    }

    fn compile_cell(&self, world: &World, cell: usize) -> Result<(), WriteError> {
        let neuron = world.resource::<Neurons>().entity(cell);
        let types = world.resource::<CellTypes>();
        let id = world.get::<CellTypeId>(neuron).ok_or(WriteError::Missing)?;
        let definition = &types.get(*id).definition;
        let lanes = definition.channels.iter().enumerate();
        let parameters: Option<Vec<f64>> = lanes
            .flat_map(|(lane, (_, channel))| (0..channel.parameters.len()).map(move |k| (lane, k)))
            .map(|(lane, k)| {
                let scalar = ChannelScalar::Parameter(k);
                self.read(world, Address::Channel(cell, lane, scalar))
            })
            .collect();
        types
            .check(*id, &parameters.ok_or(WriteError::Missing)?)
            .map_err(|e| WriteError::Kinetics(e.to_string()))
    }

    fn compile_edge(&self, world: &World, edge: usize) -> Result<(), WriteError> {
        let entity = world.resource::<Edges>().entity(edge);
        let kind = world.get::<Edge>(entity).ok_or(WriteError::Missing)?.kind;
        let kinds = world.resource::<Kinds>();
        let count = kinds.get(kind).definition().parameters.len();
        let parameters: Option<Vec<f64>> = (0..count)
            .map(|k| self.read(world, Address::Edge(edge, EdgeScalar::Parameter(k))))
            .collect();
        kinds
            .check(kind, &parameters.ok_or(WriteError::Missing)?)
            .map_err(|e| WriteError::Kinetics(e.to_string()))
    }
}

fn write_parameter(
    world: &mut World,
    neuron: Entity,
    lane: usize,
    k: usize,
    x: f64,
) -> Result<(), WriteError> {
    let first = parameters_before(world, neuron, lane).ok_or(WriteError::Missing)?;
    let mut parameters = world
        .get::<Parameters>(neuron)
        .ok_or(WriteError::Missing)?
        .0
        .clone();
    *parameters.get_mut(first + k).ok_or(WriteError::Missing)? = x;
    set_parameters(world, neuron, parameters)
}

/// Gives a neuron other values of its kinetic parameters; tables follow.
///
/// # Errors
/// They give kinetics that no table can hold.
pub(crate) fn set_parameters(
    world: &mut World,
    neuron: Entity,
    parameters: Vec<f64>,
) -> Result<(), WriteError> {
    let old = *world.get::<CellTypeId>(neuron).ok_or(WriteError::Missing)?;
    let mut types = world.resource_mut::<CellTypes>();
    let (definition, area) = (types.get(old).definition.clone(), types.get(old).area);
    let id = types
        .intern(&definition, &parameters, area)
        .map_err(|e| WriteError::Kinetics(e.to_string()))?;
    types.release(old);
    let factors = types.get(id).rate_factors(&parameters);
    let written = on_width!(world, neuron, get_mut, RateFactor, |r| r
        .into_inner()
        .set(&factors));
    written.ok_or(WriteError::Missing)?;
    if let Some(mut controller) = world.get_mut::<Controller>(neuron) {
        controller.plan = None;
    }
    *world
        .get_mut::<CellTypeId>(neuron)
        .ok_or(WriteError::Missing)? = id;
    *world
        .get_mut::<Parameters>(neuron)
        .ok_or(WriteError::Missing)? = Parameters(parameters);
    Ok(())
}

fn write_edge_parameter(
    world: &mut World,
    edge: Entity,
    k: usize,
    x: f64,
) -> Result<(), WriteError> {
    let mut parameters = world
        .get::<EdgeParameters>(edge)
        .ok_or(WriteError::Missing)?
        .0
        .clone();
    *parameters.get_mut(k).ok_or(WriteError::Missing)? = x;
    set_edge_parameters(world, edge, parameters)
}

/// Gives an edge other values of its parameters; tables follow.
///
/// # Errors
/// They give kinetics that no table can hold.
pub(crate) fn set_edge_parameters(
    world: &mut World,
    edge: Entity,
    parameters: Vec<f64>,
) -> Result<(), WriteError> {
    let old = world.get::<Edge>(edge).ok_or(WriteError::Missing)?.kind;
    let mut kinds = world.resource_mut::<Kinds>();
    let definition = kinds.get(old).definition().clone();
    let kind = kinds
        .intern(&definition, &parameters)
        .map_err(|e| WriteError::Kinetics(e.to_string()))?;
    kinds.release(old);
    world.get_mut::<Edge>(edge).ok_or(WriteError::Missing)?.kind = kind;
    *world
        .get_mut::<EdgeParameters>(edge)
        .ok_or(WriteError::Missing)? = EdgeParameters(parameters);
    Ok(())
}
