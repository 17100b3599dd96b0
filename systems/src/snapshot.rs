//! Snapshots: the whole state of a network at a moment between two stretches, to go on from, in this
//! world or in another of the same network, as often as one likes. What goes on from it is, bit for
//! bit, what would have gone on without it.
//!
//! **State** is what the future follows from and the network does not say:
//!
//! * of the run, its clock, the protocol still to come with ramps and currents under way and the
//!   conductances noted for later, the windows of mean calcium, first falls below zero;
//! * of a cell, V, Ca, its integral and the mean sensed last, gates, states of kinetic schemes, spike
//!   arming, conductances and blocks, applied current, kinetic parameters, V_th, start state (resets
//!   go back to it), homeostat and controller with their time constants and integrals;
//! * of an edge, conductance, whether it is cut, s, kinetic parameters;
//! * of the integrators, the step control of each neuron and the rates of V from which voltages are
//!   extrapolated (`accurate`), the step (`reference`).
//!
//! **Scratch** is made anew from it: tables of cell types and kinds, factors on rates, effective
//! conductances, inputs, rows of coupling, plans and buffers of the integrators, the solve of a
//! controller. Names, geometry, rules and settings (detection, tolerance, kernel) are the network's
//! own; samplers, too, which go on at their next time. Spikes, samples and events that nobody has
//! taken away are what came of the past: a restored world has none. Components of foreign systems
//! are not seen.

use std::ops::Range;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::address::{bulk_edges, bulk_edges_mut, on_width, set_edge_parameters, set_parameters};
use crate::assembly::{BeforeStart, StartState, ThresholdVoltage};
use crate::calcium::{Calcium, CalciumIntegral, SensedCalcium};
use crate::channels::{Activation, Block, Gbar, Inactivation, Parameters};
use crate::coupling::{BulkState, EdgeParameters, Strength, SynapticActivation};
use crate::definition::Start;
use crate::homeostasis::{BelowZero, Homeostat};
use crate::integrate::accurate::Adaptive;
use crate::integrate::{Accurate, Reference};
use crate::membrane::{AppliedCurrent, Voltage};
use crate::neuromodulation::Controller;
use crate::observe::{Armed, Observers, Runaway, Spikes, WindowMean};
use crate::protocol::{Progress, Protocol};
use crate::schedule::{Clock, Edges, Neurons};
use crate::scheme::States;

/// State of a network, cells and edges in scene order; of one that has left its world, `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    clock: Clock,
    cells: Vec<Option<CellState>>,
    edges: Vec<Option<EdgeState>>,
    bulk: Vec<Option<BulkState>>,
    protocol: Progress,
    windows: Vec<WindowMean>,
    below: BelowZero,
    accurate: (Vec<Adaptive>, Vec<f64>),
    reference_step: f64,
}

/// Columns of a neuron with a value in each lane: conductance, the two factors of a block, the two
/// gates.
const COLUMNS: usize = 5;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CellState {
    v: f64,
    ca: f64,
    integral: CalciumIntegral,
    sensed: f64,
    armed: bool,
    current: f64,
    /// The [`COLUMNS`], one after the other.
    lanes: Vec<f64>,
    /// Of kinetic schemes.
    states: Vec<f64>,
    parameters: Vec<f64>,
    v_th: Option<f64>,
    start: Start,
    homeostat: Option<Box<Homeostat>>,
    controller: Option<Box<Controller>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct EdgeState {
    g: f64,
    connected: bool,
    s: Option<f64>,
    parameters: Vec<f64>,
}

/// Why a state is none of a network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Misfit {
    /// Another number of cells, edges or groups of edges.
    #[error("it holds {state} {what}, the network has {network}")]
    Number {
        /// What is counted.
        what: &'static str,
        /// In the state.
        state: usize,
        /// In the network.
        network: usize,
    },
    /// A cell with other channels, states or parameters.
    #[error("its cell `{0}` has other channels")]
    Cell(String),
    /// An edge, by its place in the scene, of another sort.
    #[error("its edge {0} is of another kind")]
    Edge(usize),
    /// Edges in bulk, by their place in the scene, of another number or sort.
    #[error("its edges in bulk {0} are others")]
    Bulk(usize),
    /// Another step or control interval.
    #[error("its {what} is {state} ms, that of the network {network} ms")]
    Time {
        /// Which.
        what: &'static str,
        /// In the state (ms).
        state: f64,
        /// In the network (ms).
        network: f64,
    },
    /// Kinetic parameters that no table can hold.
    #[error("{0}")]
    Kinetics(String),
}

impl State {
    /// State of a started network between two stretches.
    pub fn take(world: &World) -> Self {
        let (neurons, edges) = (world.resource::<Neurons>(), world.resource::<Edges>());
        let cell = |k: usize| CellState::take(world, neurons.entity(k));
        let edge = |k: usize| EdgeState::take(world, edges.entity(k));
        let bulk = |k: usize| bulk_edges(world, k).map(|edges| edges.state());
        let accurate = world.resource::<Accurate>();
        State {
            clock: world.resource::<Clock>().clone(),
            cells: (0..neurons.len()).map(cell).collect(),
            edges: (0..edges.len()).map(edge).collect(),
            bulk: (0..edges.bulk().len()).map(bulk).collect(),
            protocol: world.resource::<Protocol>().progress(),
            windows: world.resource::<Observers>().windows.clone(),
            below: world.resource::<BelowZero>().clone(),
            accurate: (accurate.steps.clone(), accurate.slopes.clone()),
            reference_step: world.resource::<Reference>().step,
        }
    }

    /// Model time (ms) of the state.
    pub fn now(&self) -> f64 {
        self.clock.now()
    }

    /// Clock of the state.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Puts a network into this state, be it started or not. To go on otherwise than it would have
    /// gone on, give it another end ([`Clock::set_end`]), protocol ([`Protocol::replace`]) or windows
    /// ([`Observers::follow`]) then; at a control tick, where regulation lags behind nothing.
    ///
    /// # Errors
    /// The state is none of this network, which is then as it was; or kinetic parameters have no
    /// table, and the network is of no use.
    pub fn restore(&self, world: &mut World) -> Result<(), Misfit> {
        self.fits(world)?;
        world.remove_resource::<BeforeStart>();
        world.remove_resource::<Runaway>();
        world.insert_resource(self.clock.clone());
        world.insert_resource(self.protocol.protocol());
        world.insert_resource(self.below.clone());
        world.resource_mut::<Spikes>().list.clear();
        world.resource_mut::<Reference>().step = self.reference_step;
        let mut accurate = world.resource_mut::<Accurate>();
        accurate.steps.clone_from(&self.accurate.0);
        accurate.slopes.clone_from(&self.accurate.1);
        for (k, cell) in self.cells.iter().enumerate() {
            if let Some(cell) = cell {
                let neuron = world.resource::<Neurons>().entity(k);
                cell.put(world, neuron).map_err(Misfit::Kinetics)?;
            }
        }
        for (k, edge) in self.edges.iter().enumerate() {
            if let Some(edge) = edge {
                let entity = world.resource::<Edges>().entity(k);
                edge.put(world, entity).map_err(Misfit::Kinetics)?;
            }
        }
        for (k, state) in self.bulk.iter().enumerate() {
            if let (Some(state), Some(mut edges)) = (state, bulk_edges_mut(world, k)) {
                edges.set_state(state);
            }
        }
        world.resource_scope(|world, mut observers: Mut<Observers>| {
            observers.resume(world, &self.windows);
        });
        Ok(())
    }

    /// Whether it is one of this network.
    fn fits(&self, world: &World) -> Result<(), Misfit> {
        let (neurons, edges) = (world.resource::<Neurons>(), world.resource::<Edges>());
        let numbers = [
            ("cells", self.cells.len(), neurons.len()),
            ("edges", self.edges.len(), edges.len()),
            ("groups of edges", self.bulk.len(), edges.bulk().len()),
        ];
        let other = numbers.into_iter().find(|(_, state, own)| state != own);
        if let Some((what, state, network)) = other {
            return Err(Misfit::Number {
                what,
                state,
                network,
            });
        }
        let clock = world.resource::<Clock>();
        let times = [
            ("step", self.clock.dt(), clock.dt()),
            ("control interval", self.clock.control(), clock.control()),
        ];
        if let Some((what, state, network)) = times.into_iter().find(|(_, a, b)| a != b) {
            return Err(Misfit::Time {
                what,
                state,
                network,
            });
        }
        for (k, cell) in self.cells.iter().enumerate() {
            let own = CellState::shape(world, neurons.entity(k));
            if cell.as_ref().map(CellState::own_shape) != own {
                return Err(Misfit::Cell(neurons.name(k).to_string()));
            }
        }
        for (k, edge) in self.edges.iter().enumerate() {
            let own = EdgeState::shape(world, edges.entity(k));
            if edge.as_ref().map(EdgeState::own_shape) != own {
                return Err(Misfit::Edge(k));
            }
        }
        for (k, state) in self.bulk.iter().enumerate() {
            let fits = match (state, bulk_edges(world, k)) {
                (Some(state), Some(edges)) => edges.fits(state),
                (state, edges) => state.is_none() && edges.is_none(),
            };
            if !fits {
                return Err(Misfit::Bulk(k));
            }
        }
        Ok(())
    }
}

/// Whether two lists of numbers are the same bits.
fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

impl CellState {
    fn take(world: &World, neuron: Entity) -> Option<Self> {
        let mut lanes = Vec::new();
        on_width!(world, neuron, get, Gbar, |x| lanes
            .extend_from_slice(&x.0.0))?;
        on_width!(world, neuron, get, Block, |x| {
            lanes.extend_from_slice(&x.factor.0);
            lanes.extend_from_slice(&x.seen.0);
        })?;
        on_width!(world, neuron, get, Activation, |x| lanes
            .extend_from_slice(&x.0.0))?;
        on_width!(world, neuron, get, Inactivation, |x| lanes
            .extend_from_slice(&x.0.0))?;
        let states = world.get::<States>(neuron);
        let controller = world.get::<Controller>(neuron);
        Some(CellState {
            v: world.get::<Voltage>(neuron)?.0,
            ca: world.get::<Calcium>(neuron)?.0,
            integral: *world.get::<CalciumIntegral>(neuron)?,
            sensed: world.get::<SensedCalcium>(neuron)?.0,
            armed: world.get::<Armed>(neuron)?.0,
            current: world.get::<AppliedCurrent>(neuron)?.0,
            lanes,
            states: states.map_or_else(Vec::new, |states| states.0.to_vec()),
            parameters: world.get::<Parameters>(neuron)?.0.clone(),
            v_th: world.get::<ThresholdVoltage>(neuron).map(|v| v.0),
            start: world.get::<StartState>(neuron)?.0.clone(),
            homeostat: world.get::<Homeostat>(neuron).cloned().map(Box::new),
            controller: controller.map(|controller| {
                Box::new(Controller {
                    plan: None,
                    ..controller.clone()
                })
            }),
        })
    }

    /// Numbers of lanes, of states of kinetic schemes and of parameters.
    fn shape(world: &World, neuron: Entity) -> Option<[usize; 3]> {
        let lanes = on_width!(world, neuron, get, Gbar, |x| x.0.0.len())?;
        let states = world.get::<States>(neuron);
        let states = states.map_or(0, |states| states.0.len());
        Some([lanes, states, world.get::<Parameters>(neuron)?.0.len()])
    }

    fn own_shape(&self) -> [usize; 3] {
        let lanes = self.lanes.len() / COLUMNS;
        [lanes, self.states.len(), self.parameters.len()]
    }

    /// Where a column of lanes is.
    fn column(&self, k: usize) -> Range<usize> {
        let width = self.lanes.len() / COLUMNS;
        k * width..(k + 1) * width
    }

    fn put(&self, world: &mut World, neuron: Entity) -> Result<(), String> {
        let known = world.get::<Parameters>(neuron);
        let same_kinetics = known.is_some_and(|known| same(&known.0, &self.parameters));
        if !same_kinetics {
            set_parameters(world, neuron, self.parameters.clone()).map_err(|e| e.to_string())?;
        }
        let lanes = |k: usize| &self.lanes[self.column(k)];
        on_width!(world, neuron, get_mut, Gbar, |x| {
            x.into_inner().0.0.copy_from_slice(lanes(0));
        });
        on_width!(world, neuron, get_mut, Block, |x| {
            let block = x.into_inner();
            block.factor.0.copy_from_slice(lanes(1));
            block.seen.0.copy_from_slice(lanes(2));
        });
        on_width!(world, neuron, get_mut, Activation, |x| {
            x.into_inner().0.0.copy_from_slice(lanes(3));
        });
        on_width!(world, neuron, get_mut, Inactivation, |x| {
            x.into_inner().0.0.copy_from_slice(lanes(4));
        });
        if let Some(mut states) = world.get_mut::<States>(neuron) {
            states.0.copy_from_slice(&self.states);
        }
        if let Some(mut start) = world.get_mut::<StartState>(neuron) {
            start.0.clone_from(&self.start);
        }
        let mut entity = world.entity_mut(neuron);
        entity.insert((
            (Voltage(self.v), Calcium(self.ca), Armed(self.armed)),
            (self.integral, SensedCalcium(self.sensed)),
            AppliedCurrent(self.current),
        ));
        match self.v_th {
            Some(v_th) => entity.insert(ThresholdVoltage(v_th)),
            None => entity.remove::<ThresholdVoltage>(),
        };
        match &self.homeostat {
            Some(homeostat) => entity.insert(Homeostat::clone(homeostat)),
            None => entity.remove::<Homeostat>(),
        };
        match &self.controller {
            Some(controller) => {
                let mut controller = Controller::clone(controller);
                // The solve that is there holds as long as what it was made from.
                let own = entity.get_mut::<Controller>();
                let own = own.filter(|own| same(&[own.v_th], &[controller.v_th]));
                controller.plan = own.and_then(|mut own| own.plan.take());
                entity.insert(controller)
            }
            None => entity.remove::<Controller>(),
        };
        Ok(())
    }
}

impl EdgeState {
    fn take(world: &World, edge: Entity) -> Option<Self> {
        let strength = world.get::<Strength>(edge)?;
        Some(EdgeState {
            g: strength.g,
            connected: strength.connected,
            s: world.get::<SynapticActivation>(edge).map(|s| s.0),
            parameters: world.get::<EdgeParameters>(edge)?.0.clone(),
        })
    }

    /// Whether it has an activation, and its number of parameters.
    fn shape(world: &World, edge: Entity) -> Option<(bool, usize)> {
        let activation = world.get::<SynapticActivation>(edge).is_some();
        Some((activation, world.get::<EdgeParameters>(edge)?.0.len()))
    }

    fn own_shape(&self) -> (bool, usize) {
        (self.s.is_some(), self.parameters.len())
    }

    fn put(&self, world: &mut World, edge: Entity) -> Result<(), String> {
        let known = world.get::<EdgeParameters>(edge);
        if !known.is_some_and(|known| same(&known.0, &self.parameters)) {
            set_edge_parameters(world, edge, self.parameters.clone()).map_err(|e| e.to_string())?;
        }
        if let Some(mut strength) = world.get_mut::<Strength>(edge) {
            (strength.g, strength.connected) = (self.g, self.connected);
        }
        if let (Some(mut own), Some(s)) = (world.get_mut::<SynapticActivation>(edge), self.s) {
            own.0 = s;
        }
        Ok(())
    }
}
