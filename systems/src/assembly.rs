//! Putting a network together: neurons and edges as entities, and their start state.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use rayon::prelude::*;

use crate::address::{
    self, Address, BulkNames, CellScalar, ChannelScalar, EdgeNames, EdgeScalar, Names, WriteError,
    on_width,
};
use crate::calcium::{Calcium, CalciumIntegral, SensedCalcium};
use crate::channels::{
    Activation, Block, CellTypeId, CellTypes, CompileError, Effective, Gbar, Inactivation, Lane,
    NegativeConductance, Parameters, RateFactor,
};
use crate::coupling::{
    BulkEdges, Coupling, Edge, EdgeParameters, KindError, Kinds, Strength, SynapticActivation,
};
use crate::definition::{CellDefinition, Start, SynapseKind};
use crate::dic;
use crate::homeostasis::{BelowZero, Homeostat, Regulated, Settings};
use crate::integrate::{
    Accurate, Kernel, Planned, Reference, accurate, exponential::Workspace, plan::Plan,
};
use crate::membrane::{AppliedCurrent, Input, Voltage};
use crate::neuromodulation::{Controller, Gains, Modulated};
use crate::observe::{Armed, Detection, Observers, Runaway, Spikes};
use crate::protocol::{self, Action, Protocol};
use crate::schedule::{Clock, Edges, Integrator, Neurons, schedule};
use crate::scheme::States;

/// V(0) (mV) where nothing else is said.
const DEFAULT_V: f64 = -60.0;

/// Start state asked for, kept until the start and for later resets.
#[derive(Component, Clone, Debug, Default)]
pub struct StartState(pub Start);

/// Threshold voltage of a neuron (mV), found from its first conductances and frozen.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct ThresholdVoltage(pub f64);

/// How a controller's integral starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntegralStart {
    /// `z = beta g(0)/Ki`: the compartments start at rest (population runs).
    #[default]
    Preloaded,
    /// `z = 0` (the published networks); the first seconds show a transient.
    Zero,
}

/// Homeostasis asked for.
#[derive(Clone, Debug)]
pub struct HomeostatSpec {
    /// Regulated lanes.
    pub lanes: Vec<usize>,
    /// Target and time constants.
    pub settings: Settings,
    /// Whether it runs from the start.
    pub on: bool,
}

/// Controller asked for.
#[derive(Clone, Debug)]
pub struct ControllerSpec {
    /// The two modulated lanes.
    pub lanes: [usize; 2],
    /// Target slow DIC.
    pub g_s: f64,
    /// Target ultraslow DIC.
    pub g_u: f64,
    /// Gains and rates.
    pub gains: Gains,
    /// Threshold voltage (mV); `None`: by the cell type's rule.
    pub v_th: Option<f64>,
    /// Start of the integral.
    pub start: IntegralStart,
    /// Whether it runs from the start.
    pub on: bool,
}

/// A neuron asked for.
#[derive(Clone, Debug)]
pub struct NeuronSpec {
    /// Name.
    pub name: Arc<str>,
    /// Cell type.
    pub definition: Arc<CellDefinition>,
    /// Kinetic parameters, see [`crate::channels::CellType::parameter_names`].
    pub parameters: Vec<f64>,
    /// Area (cm²), where known.
    pub area: Option<f64>,
    /// Maximal conductances by lane (mS/cm²).
    pub gbar: Vec<f64>,
    /// Applied current (µA/cm²).
    pub current: f64,
    /// Start state.
    pub start: Start,
    /// Rule for conductances below zero.
    pub negative: NegativeConductance,
    /// Homeostasis.
    pub homeostat: Option<HomeostatSpec>,
    /// Controller.
    pub controller: Option<ControllerSpec>,
}

/// An edge asked for, between neurons given by index.
#[derive(Clone, Debug)]
pub struct EdgeSpec {
    /// Presynaptic neuron.
    pub pre: usize,
    /// Postsynaptic neuron.
    pub post: usize,
    /// Kind.
    pub kind: SynapseKind,
    /// Parameters of the kind.
    pub parameters: Vec<f64>,
    /// Name of its own.
    pub name: Option<String>,
    /// Conductance (mS/cm² of the postsynaptic membrane).
    pub g: f64,
    /// Area of the postsynaptic over that of the presynaptic cell.
    pub area_ratio: f64,
    /// Start value of s; `None`: the kind's.
    pub s: Option<f64>,
}

/// Edges in bulk asked for, between neurons given by index.
#[derive(Clone, Debug)]
pub struct BulkSpec {
    /// Generator they come from, if it has a name.
    pub generator: Option<String>,
    /// Name that tells each of them from others that join the same cells, if one is needed.
    pub label: Option<String>,
    /// Kind.
    pub kind: SynapseKind,
    /// Parameters of the kind.
    pub parameters: Vec<f64>,
    /// Presynaptic neurons.
    pub pre: Arc<Vec<u32>>,
    /// Postsynaptic neurons.
    pub post: Arc<Vec<u32>>,
    /// Conductances (mS/cm² of the postsynaptic membrane).
    pub g: Vec<f64>,
    /// Areas of postsynaptic over those of presynaptic cells; empty where all are 1.
    pub area_ratio: Vec<f64>,
    /// Start value of s; `None`: the kind's.
    pub s: Option<f64>,
}

/// Present until the start: writes to scalars that the start derives wait here for it.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct BeforeStart {
    deferred: Vec<(Address, f64)>,
}

/// Whether the start derives a scalar.
fn is_derived(address: Address) -> bool {
    matches!(
        address,
        Address::Cell(_, CellScalar::V | CellScalar::Ca)
            | Address::Channel(
                _,
                _,
                ChannelScalar::Mrna
                    | ChannelScalar::Pool
                    | ChannelScalar::Integral
                    | ChannelScalar::State(_)
            )
            | Address::Edge(_, EdgeScalar::S)
            | Address::Bulk(_, _, EdgeScalar::S)
    )
}

/// Before the start: the value that the start would give to a scalar which it derives.
pub(crate) fn foreseen(world: &World, address: Address) -> Option<f64> {
    let waiting = world.get_resource::<BeforeStart>()?;
    if !is_derived(address) {
        return None;
    }
    let mut deferred = waiting.deferred.iter().rev();
    if let Some((_, value)) = deferred.find(|(a, _)| *a == address) {
        return Some(*value);
    }
    let entity = |cell: usize| world.resource::<Neurons>().entity(cell);
    match address {
        Address::Cell(cell, scalar) => {
            let start = &world.get::<StartState>(entity(cell))?.0;
            let v = start.v.unwrap_or(DEFAULT_V);
            Some(match scalar {
                CellScalar::V => v,
                _ => start
                    .ca
                    .unwrap_or_else(|| equilibrium(world, entity(cell), v)),
            })
        }
        Address::Channel(cell, lane, scalar) => {
            let neuron = entity(cell);
            let g = on_width!(world, neuron, get, Gbar, |g| g.0.0[lane])?;
            match scalar {
                ChannelScalar::Mrna => {
                    let mut regulated = world.get::<Homeostat>(neuron)?.channels.iter();
                    regulated.find(|c| c.lane == lane).map(|_| g)
                }
                ChannelScalar::State(k) => {
                    let start = &world.get::<StartState>(neuron)?.0;
                    let cell = cell_type(world, neuron);
                    let states = cell.start_states(start, start.v.unwrap_or(DEFAULT_V));
                    states.get(cell.scheme(lane)?.first + k).copied()
                }
                _ => {
                    let mut modulated = world.get::<Controller>(neuron)?.channels.iter();
                    let channel = modulated.find(|c| c.lane == lane)?;
                    Some(match scalar {
                        ChannelScalar::Integral => channel.integral * g,
                        _ => g,
                    })
                }
            }
        }
        Address::Edge(edge, _) => {
            let entity = world.resource::<Edges>().entity(edge);
            let given = world.get::<StartActivation>(entity)?.0;
            given.or_else(|| {
                let edge = world.get::<Edge>(entity)?;
                let start = world.get::<StartState>(edge.pre)?.0.v;
                let kind = world.resource::<Kinds>().get(edge.kind);
                Some(kind.start(start.unwrap_or(DEFAULT_V)))
            })
        }
        Address::Bulk(bulk, edge, _) => {
            let edges = address::bulk_edges(world, bulk)?;
            let release = edges.release(edge)?;
            release.start.or_else(|| {
                let start = world.get::<StartState>(entity(release.pre as usize))?.0.v;
                let kind = world.resource::<Kinds>().get(edges.kind);
                Some(kind.start(start.unwrap_or(DEFAULT_V)))
            })
        }
    }
}

/// Takes a write that the start would undo; false: it can be carried out at once.
pub(crate) fn defer(world: &mut World, address: Address, value: f64) -> bool {
    if !is_derived(address) || !world.contains_resource::<BeforeStart>() {
        return false;
    }
    match address {
        // Written to the edge it is the start value, too.
        Address::Bulk(..) => return false,
        Address::Cell(cell, scalar) => {
            let neuron = world.resource::<Neurons>().entity(cell);
            if let Some(mut start) = world.get_mut::<StartState>(neuron) {
                match scalar {
                    CellScalar::V => start.0.v = Some(value),
                    _ => start.0.ca = Some(value),
                }
            }
        }
        _ => world
            .resource_mut::<BeforeStart>()
            .deferred
            .push((address, value)),
    }
    true
}

/// Start value of s asked for.
#[derive(Component, Clone, Copy, Debug)]
struct StartActivation(Option<f64>);

/// Time settings of a run.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Step (ms).
    pub dt: f64,
    /// Control interval (ms).
    pub control: f64,
    /// End (ms).
    pub end: f64,
}

/// Why a run stopped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RunError {
    /// A number went wrong.
    #[error(transparent)]
    Runaway(#[from] Runaway),
    /// A protocol entry could not be carried out.
    #[error("the protocol could not be carried out: {0}")]
    Protocol(String),
    /// The homeostat's reference channel has no conductance.
    #[error(
        "cell `{cell}`: homeostasis scales with the conductance of `{channel}`, which starts at 0"
    )]
    Homeostat {
        /// Cell.
        cell: String,
        /// Reference channel.
        channel: String,
    },
    /// The cell type lacks what a regulator needs.
    #[error("cell `{cell}`: its type `{cell_type}` has no {missing}, which its {regulator} needs")]
    CellType {
        /// Cell.
        cell: String,
        /// Its type.
        cell_type: String,
        /// What is missing in the cell file.
        missing: &'static str,
        /// Who needs it.
        regulator: &'static str,
    },
}

/// A world with the engine's resources and schedule.
pub struct Simulation {
    /// Entities and resources.
    pub world: World,
    /// Schedule of one stretch; foreign systems are added here.
    pub schedule: Schedule,
}

/// Compiled kinetics: cell types and synapse kinds with their tables.
#[derive(Debug, Default)]
pub struct Kinetics {
    types: CellTypes,
    kinds: Kinds,
}

impl Simulation {
    /// An empty network.
    pub fn new(timing: Timing, integrator: Integrator) -> Self {
        let mut world = World::new();
        insert_resources(&mut world, timing, integrator);
        Simulation {
            world,
            schedule: schedule(),
        }
    }

    /// What was compiled for a network that is no longer needed, for the next one.
    pub fn into_kinetics(mut self) -> Kinetics {
        Kinetics {
            types: self.world.remove_resource().unwrap_or_default(),
            kinds: self.world.remove_resource().unwrap_or_default(),
        }
    }

    /// Gives an empty network what was compiled for another: what it shares with that one is not
    /// compiled again. Not one bit of a run depends on it.
    pub fn reuse(&mut self, kinetics: Kinetics) {
        let dt = self.world.resource::<Clock>().dt();
        self.world.insert_resource(kinetics.types.left_for(dt));
        self.world.insert_resource(kinetics.kinds.left_for(dt));
    }

    /// The definition to be given to neurons: the one that was compiled, if there is an equal one.
    pub fn definition(&self, wanted: &CellDefinition) -> Arc<CellDefinition> {
        let known = self.world.resource::<CellTypes>().definition(wanted);
        known.unwrap_or_else(|| Arc::new(wanted.clone()))
    }

    /// Adds a neuron; its index is the number of neurons before it.
    ///
    /// # Errors
    /// See [`CompileError`].
    pub fn neuron(&mut self, spec: NeuronSpec) -> Result<Entity, CompileError> {
        spawn_neuron(&mut self.world, spec)
    }

    /// Adds an edge.
    ///
    /// # Errors
    /// See [`KindError`].
    pub fn edge(&mut self, spec: EdgeSpec) -> Result<Entity, KindError> {
        spawn_edge(&mut self.world, spec)
    }

    /// Adds edges in bulk.
    ///
    /// # Errors
    /// See [`KindError`].
    pub fn bulk(&mut self, spec: BulkSpec) -> Result<Entity, KindError> {
        spawn_bulk(&mut self.world, spec)
    }

    /// Names the groups of the network: (name, members by index).
    pub fn groups(&mut self, groups: Vec<(String, Vec<usize>)>) {
        self.world.resource_mut::<Names>().groups = groups;
    }

    /// Names of everything in the network.
    pub fn names(&self) -> &Names {
        self.world.resource::<Names>()
    }

    /// Overrides a scalar before the start, so that whatever is derived from start values follows.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn preset(&mut self, address: Address, value: f64) -> Result<(), WriteError> {
        address::write(&mut self.world, address, value)
    }

    /// Brings the network into its start state; the first run does it if nobody has.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn start(&mut self) -> Result<(), RunError> {
        if self.world.contains_resource::<BeforeStart>() {
            start(&mut self.world)?;
        }
        Ok(())
    }

    /// Advances by one stretch.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn stretch(&mut self) -> Result<(), RunError> {
        self.start()?;
        self.schedule.run(&mut self.world);
        // What was removed has been told to every system; without this the notices pile up, some
        // in every stretch.
        self.world.clear_trackers();
        failure(&self.world).map_or(Ok(()), Err)
    }

    /// Runs to the end, inside the thread pool, which is entered once.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run(&mut self) -> Result<(), RunError> {
        self.run_while(|_| ControlFlow::Continue(()))
    }

    /// Runs to the end, or until `between`, asked after every stretch, breaks off.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_while(
        &mut self,
        mut between: impl FnMut(&mut World) -> ControlFlow<()> + Send,
    ) -> Result<(), RunError> {
        self.start()?;
        rayon::scope(|_| {
            while !self.world.resource::<Clock>().finished() {
                self.stretch()?;
                if between(&mut self.world).is_break() {
                    return Ok(());
                }
            }
            // What is due at the end acts, though no step follows.
            protocol::act(&mut self.world);
            failure(&self.world).map_or(Ok(()), Err)
        })
    }

    /// Model time (ms).
    pub fn now(&self) -> f64 {
        self.world.resource::<Clock>().now()
    }
}

fn failure(world: &World) -> Option<RunError> {
    if let Some(runaway) = world.get_resource::<Runaway>() {
        return Some(runaway.clone().into());
    }
    world
        .resource::<Protocol>()
        .failure
        .clone()
        .map(RunError::Protocol)
}

/// Inserts every resource the engine's systems ask for.
pub fn insert_resources(world: &mut World, timing: Timing, integrator: Integrator) {
    world.insert_resource(Clock::new(timing.dt, timing.control, timing.end));
    world.insert_resource(CellTypes::for_step(timing.dt));
    world.insert_resource(Kinds::for_step(timing.dt));
    world.insert_resource(integrator);
    world.insert_resource(Kernel::detect());
    world.init_resource::<Planned>();
    world.init_resource::<Neurons>();
    world.init_resource::<Edges>();
    world.init_resource::<Names>();
    world.init_resource::<Coupling>();
    world.init_resource::<Plan>();
    world.init_resource::<Workspace>();
    world.init_resource::<Accurate>();
    world.init_resource::<accurate::Scratch>();
    world.init_resource::<Reference>();
    world.init_resource::<Detection>();
    world.init_resource::<Spikes>();
    world.init_resource::<Observers>();
    world.init_resource::<Protocol>();
    world.init_resource::<BelowZero>();
    world.init_resource::<BeforeStart>();
}

/// Adds a neuron to a world that holds the engine's resources.
///
/// # Errors
/// See [`CompileError`].
pub fn spawn_neuron(world: &mut World, spec: NeuronSpec) -> Result<Entity, CompileError> {
    let mut types = world.resource_mut::<CellTypes>();
    let id = types.intern(&spec.definition, &spec.parameters, spec.area)?;
    match types.get(id).width {
        8 => Ok(spawn_width::<8>(world, spec, id)),
        16 => Ok(spawn_width::<16>(world, spec, id)),
        _ => Ok(spawn_width::<32>(world, spec, id)),
    }
}

fn spawn_width<const W: usize>(world: &mut World, spec: NeuronSpec, id: CellTypeId) -> Entity {
    let cell = world.resource::<CellTypes>().get(id);
    let factors = cell.rate_factors(&spec.parameters);
    let v = spec.start.v.unwrap_or(DEFAULT_V);
    let states = States(cell.start_states(&spec.start, v).into());
    let capacitance = cell.definition.capacitance;
    let mut gbar = Lane::splat(0.0);
    for (lane, g) in gbar.0.iter_mut().zip(&spec.gbar) {
        *lane = *g;
    }
    let mut rate = RateFactor::<W>([Lane::splat(1.0); 2]);
    rate.set(&factors);
    let entity = world.spawn_empty().id();
    let index = world
        .resource_mut::<Neurons>()
        .push(entity, spec.name.clone(), capacitance);
    world.resource_mut::<Names>().enter_cell(
        spec.name,
        &spec.definition,
        spec.homeostat.as_ref().map(|h| h.lanes.as_slice()),
        spec.controller.as_ref().map(|c| c.lanes.as_slice()),
    );
    let one = Lane::splat(1.0);
    let mut neuron = world.entity_mut(entity);
    neuron.insert((
        (
            id,
            index,
            rate,
            Gbar::<W>(gbar),
            Block::<W> {
                factor: one,
                seen: one,
            },
        ),
        Effective::<W> {
            membrane: Lane::splat(0.0),
            influx: Lane::splat(0.0),
        },
        (Activation::<W>(one), Inactivation::<W>(one), spec.negative),
        (
            Voltage(DEFAULT_V),
            Calcium(0.0),
            CalciumIntegral::default(),
            SensedCalcium(0.0),
        ),
        (AppliedCurrent(spec.current), Input::default(), Armed(true)),
        (Parameters(spec.parameters), StartState(spec.start)),
    ));
    if !states.0.is_empty() {
        neuron.insert(states);
    }
    if let Some(homeostat) = spec.homeostat {
        let channels = homeostat.lanes.iter().map(|lane| Regulated {
            lane: *lane,
            ratio: 0.0,
            mrna: 0.0,
            conductance: 0.0,
            on: homeostat.on,
        });
        neuron.insert(Homeostat {
            settings: homeostat.settings,
            channels: channels.collect(),
        });
    }
    if let Some(controller) = spec.controller {
        if let Some(v_th) = controller.v_th {
            neuron.insert(ThresholdVoltage(v_th));
        }
        let preload = match controller.start {
            IntegralStart::Preloaded => preload(&controller.gains),
            IntegralStart::Zero => 0.0,
        };
        let channels = controller.lanes.map(|lane| Modulated {
            lane,
            pool: 0.0,
            conductance: 0.0,
            // Integral per unit of start conductance, until the start multiplies it.
            integral: preload,
            on: controller.on,
        });
        let (g_s, g_u, gains) = (controller.g_s, controller.g_u, controller.gains);
        neuron.insert(Controller {
            g_s,
            g_u,
            gains,
            v_th: f64::NAN,
            channels,
            plan: None,
        });
    }
    entity
}

/// Adds an edge to a world that holds the engine's resources.
///
/// # Errors
/// See [`KindError`].
pub fn spawn_edge(world: &mut World, spec: EdgeSpec) -> Result<Entity, KindError> {
    let mut kinds = world.resource_mut::<Kinds>();
    let kind = kinds.intern(&spec.kind, &spec.parameters)?;
    let chemical = kinds.get(kind).is_chemical();
    let neurons = world.resource::<Neurons>();
    let (pre, post) = (neurons.entity(spec.pre), neurons.entity(spec.post));
    // The start looks at every edge; one that joins a running network is in time for none.
    let s = if world.contains_resource::<BeforeStart>() {
        0.0
    } else {
        let v = world.get::<Voltage>(pre).map_or(DEFAULT_V, |v| v.0);
        let kind = world.resource::<Kinds>().get(kind);
        spec.s.unwrap_or_else(|| kind.start(v))
    };
    let order = world.resource::<Edges>().len() as u32;
    let names = EdgeNames {
        pre: spec.pre,
        post: spec.post,
        kind: spec.kind.name.clone(),
        electrical: !chemical,
        name: spec.name,
        parameters: spec
            .kind
            .parameters
            .iter()
            .map(|(p, _)| p.clone())
            .collect(),
    };
    world.resource_mut::<Names>().enter_edge(names);
    let strength = Strength {
        g: spec.g,
        area_ratio: spec.area_ratio,
        connected: true,
    };
    let mut edge = world.spawn((
        Edge {
            pre,
            post,
            kind,
            order,
        },
        strength,
        EdgeParameters(spec.parameters),
    ));
    if chemical {
        edge.insert((SynapticActivation(s), StartActivation(spec.s)));
    }
    let entity = edge.id();
    world.resource_mut::<Edges>().push(entity);
    Ok(entity)
}

/// Adds edges in bulk to a world that holds the engine's resources.
///
/// # Errors
/// See [`KindError`].
pub fn spawn_bulk(world: &mut World, spec: BulkSpec) -> Result<Entity, KindError> {
    let mut kinds = world.resource_mut::<Kinds>();
    let kind = kinds.intern(&spec.kind, &spec.parameters)?;
    let chemical = kinds.get(kind).is_chemical();
    let order = world.resource::<Edges>().bulk().len() as u32;
    world.resource_mut::<Names>().enter_bulk(BulkNames {
        generator: spec.generator,
        label: spec.label,
        kind: spec.kind.name,
        electrical: !chemical,
        pre: spec.pre.clone(),
        post: spec.post.clone(),
    });
    let (traits, cells) = ((kind, order, chemical), (spec.pre, spec.post));
    let mut edges = BulkEdges::new(traits, cells, spec.g, spec.area_ratio, spec.s);
    // The start looks at every edge; those that join a running network are in time for none.
    if !world.contains_resource::<BeforeStart>() {
        start_releases(world, &mut edges);
    }
    let entity = world.spawn(edges).id();
    world.resource_mut::<Edges>().push_bulk(entity);
    Ok(entity)
}

/// Brings a world into its start state: threshold voltages are found, protocol entries at t = 0
/// act, then gates, calcium, homeostatic time constants and controllers are set from what is there.
///
/// # Errors
/// A regulator that the cell type or the conductances do not allow.
pub fn start(world: &mut World) -> Result<(), RunError> {
    let neurons = world.resource::<Neurons>().clone();
    let compensated: HashSet<usize> = world
        .resource::<Protocol>()
        .entries()
        .iter()
        .flat_map(|e| match &e.action {
            Action::Compensate { cells, .. } => cells.iter().map(|(cell, _)| *cell).collect(),
            _ => Vec::new(),
        })
        .collect();
    let measured: Vec<usize> = (0..neurons.len())
        .filter(|k| {
            let controlled = world.get::<Controller>(neurons.entity(*k)).is_some();
            controlled || compensated.contains(k)
        })
        .collect();
    let thresholds: Vec<Result<f64, RunError>> = {
        let world = &*world;
        let find = |k: &usize| find_threshold(world, neurons.entity(*k), neurons.name(*k));
        measured.par_iter().map(find).collect()
    };
    for (k, v_th) in measured.into_iter().zip(thresholds) {
        set_threshold(world, neurons.entity(k), v_th?);
    }
    protocol::act(world);
    let rest: Vec<Rest> = {
        let world = &*world;
        let at_rest = |k: usize| {
            let neuron = neurons.entity(k);
            let start = world.get::<StartState>(neuron).map(|s| &s.0);
            Rest::of(
                world,
                neuron,
                start.and_then(|s| s.v),
                start.and_then(|s| s.ca),
            )
        };
        (0..neurons.len()).into_par_iter().map(at_rest).collect()
    };
    for (k, rest) in rest.into_iter().enumerate() {
        let neuron = neurons.entity(k);
        rest.put(world, neuron);
        set_gates(world, neuron);
        start_regulation(world, neuron, neurons.name(k))?;
    }
    start_synapses(world);
    let deferred = world
        .remove_resource::<BeforeStart>()
        .unwrap_or_default()
        .deferred;
    for (address, value) in deferred {
        // The names were resolved against this network, so the scalars exist.
        let _ = address::write(world, address, value);
    }
    crate::observe::sample(world);
    failure(world).map_or(Ok(()), Err)
}

/// Threshold voltage (mV) of a neuron: the one given, or that of its type's rule.
fn find_threshold(world: &World, neuron: Entity, name: &str) -> Result<f64, RunError> {
    if let Some(given) = world.get::<ThresholdVoltage>(neuron) {
        return Ok(given.0);
    }
    let cell = cell_type(world, neuron);
    let factors = cell.tau_factors(&parameters(world, neuron));
    let gbar = on_width!(world, neuron, get, Gbar, |g| g.0.0.to_vec()).unwrap_or_default();
    dic::threshold(cell, &gbar, &factors).ok_or_else(|| RunError::CellType {
        cell: name.to_string(),
        cell_type: cell.definition.name.clone(),
        missing: "`dic` section",
        regulator: "controller",
    })
}

fn set_threshold(world: &mut World, neuron: Entity, v_th: f64) {
    world.entity_mut(neuron).insert(ThresholdVoltage(v_th));
    if let Some(mut controller) = world.get_mut::<Controller>(neuron) {
        controller.v_th = v_th;
        controller.plan = None;
    }
}

fn cell_type(world: &World, neuron: Entity) -> &crate::channels::CellType {
    let id = world
        .get::<CellTypeId>(neuron)
        .copied()
        .unwrap_or(CellTypeId(0));
    world.resource::<CellTypes>().get(id)
}

fn parameters(world: &World, neuron: Entity) -> Vec<f64> {
    world
        .get::<Parameters>(neuron)
        .map(|p| p.0.clone())
        .unwrap_or_default()
}

/// Conductances (mS/cm²) as the calcium pool feels them, by lane.
fn influx_conductances(world: &World, neuron: Entity) -> Vec<f64> {
    let negative = world
        .get::<NegativeConductance>(neuron)
        .copied()
        .unwrap_or_default();
    let gbar = on_width!(world, neuron, get, Gbar, |g| g.0.0.to_vec()).unwrap_or_default();
    let block = on_width!(world, neuron, get, Block, |b| b.factor.0.to_vec()).unwrap_or_default();
    gbar.iter()
        .zip(&block)
        .map(|(g, b)| negative.felt(*g).1 * b)
        .collect()
}

/// Resets the membrane state of a neuron: V (mV), Ca (µM), every gate and kinetic scheme at its
/// steady state. Before
/// the start it is the start state that changes.
pub fn reset(world: &mut World, neuron: Entity, v: Option<f64>, ca: Option<f64>) {
    let before_start = world.contains_resource::<BeforeStart>();
    if let Some(mut start) = world.get_mut::<StartState>(neuron)
        && before_start
    {
        start.0 = Start {
            v: v.or(start.0.v),
            ca,
            gates: Vec::new(),
        };
        return;
    }
    settle(world, neuron, v, ca);
}

/// Calcium (µM) at which a neuron rests while it is held at `v` (mV).
fn equilibrium(world: &World, neuron: Entity, v: f64) -> f64 {
    let cell = cell_type(world, neuron);
    let factors = cell.tau_factors(&parameters(world, neuron));
    let g = influx_conductances(world, neuron);
    dic::rest_calcium(cell, v, &factors, |lane| g[lane])
}

fn settle(world: &mut World, neuron: Entity, v: Option<f64>, ca: Option<f64>) {
    Rest::of(world, neuron, v, ca).put(world, neuron);
}

/// A neuron's membrane at rest: every gate and kinetic scheme at its steady state.
struct Rest {
    v: f64,
    ca: f64,
    gates: [Vec<f64>; 2],
    states: Vec<f64>,
    armed: Armed,
}

impl Rest {
    /// At `v` (mV), or else at the start voltage, and `ca` (µM), or else at its equilibrium.
    fn of(world: &World, neuron: Entity, v: Option<f64>, ca: Option<f64>) -> Self {
        let start = world.get::<StartState>(neuron).and_then(|s| s.0.v);
        let v = v.or(start).unwrap_or(DEFAULT_V);
        let ca = ca.unwrap_or_else(|| equilibrium(world, neuron, v));
        Rest {
            v,
            ca,
            gates: cell_type(world, neuron).steady_gates(v, ca),
            states: cell_type(world, neuron).steady_states(v),
            armed: world.resource::<Detection>().arming(v),
        }
    }

    fn put(self, world: &mut World, neuron: Entity) {
        put_gates(world, neuron, &self.gates);
        put_states(world, neuron, &self.states);
        let state = (Voltage(self.v), Calcium(self.ca), self.armed);
        world.entity_mut(neuron).insert(state);
    }
}

fn put_gates(world: &mut World, neuron: Entity, gates: &[Vec<f64>; 2]) {
    on_width!(world, neuron, get_mut, Activation, |x| {
        let lanes = &mut x.into_inner().0.0;
        lanes
            .iter_mut()
            .zip(&gates[0])
            .for_each(|(lane, g)| *lane = *g);
    });
    on_width!(world, neuron, get_mut, Inactivation, |x| {
        let lanes = &mut x.into_inner().0.0;
        lanes
            .iter_mut()
            .zip(&gates[1])
            .for_each(|(lane, g)| *lane = *g);
    });
}

fn put_states(world: &mut World, neuron: Entity, states: &[f64]) {
    if let Some(mut own) = world.get_mut::<States>(neuron) {
        own.0.copy_from_slice(states);
    }
}

/// Gates, and states of kinetic schemes, that the start state sets by name.
fn set_gates(world: &mut World, neuron: Entity) {
    let start = world
        .get::<StartState>(neuron)
        .filter(|s| !s.0.gates.is_empty());
    let Some(StartState(start)) = start.cloned() else {
        return;
    };
    let cell = cell_type(world, neuron);
    let (v, ca) = (
        world.get::<Voltage>(neuron).map_or(DEFAULT_V, |v| v.0),
        world.get::<Calcium>(neuron).map_or(0.0, |c| c.0),
    );
    let mut gates = cell.steady_gates(v, ca);
    for (channel, gate, value) in &start.gates {
        if let Some(gate) = cell.gate(channel, gate) {
            gates[gate.slot as usize][gate.lane] = *value;
        }
    }
    let states = cell.start_states(&start, v);
    put_gates(world, neuron, &gates);
    put_states(world, neuron, &states);
}

/// Starts regulation with the conductances as they are; integrals start as asked for.
fn start_regulation(world: &mut World, neuron: Entity, name: &str) -> Result<(), RunError> {
    base_regulation(world, neuron, name)?;
    if let Some(mut controller) = world.get_mut::<Controller>(neuron) {
        for channel in &mut controller.channels {
            channel.integral *= channel.conductance;
        }
    }
    Ok(())
}

/// Integral that holds a conductance, over the conductance.
fn preload(gains: &Gains) -> f64 {
    match gains.ki == 0.0 {
        true => 0.0,
        false => gains.beta / gains.ki,
    }
}

/// Starts regulation anew with the conductances as they are; integrals hold them.
pub(crate) fn rebase(world: &mut World, neuron: Entity, name: &str) -> Result<(), RunError> {
    let before_start = world.contains_resource::<BeforeStart>();
    if let Some(mut controller) = world.get_mut::<Controller>(neuron) {
        let preload = preload(&controller.gains);
        for channel in &mut controller.channels {
            channel.integral = preload;
        }
    }
    match before_start {
        // The start does the rest, with the conductances that there are then.
        true => Ok(()),
        false => start_regulation(world, neuron, name),
    }
}

/// Time constants of homeostasis, mRNA, pools and the regulators' conductances from the
/// conductances as they are.
fn base_regulation(world: &mut World, neuron: Entity, name: &str) -> Result<(), RunError> {
    let gbar = on_width!(world, neuron, get, Gbar, |g| g.0.0.to_vec()).unwrap_or_default();
    if world.get::<Homeostat>(neuron).is_some() {
        let cell = cell_type(world, neuron);
        let missing = || RunError::CellType {
            cell: name.to_string(),
            cell_type: cell.definition.name.clone(),
            missing: "`homeostat_reference`",
            regulator: "homeostat",
        };
        let channel = cell
            .definition
            .homeostat_reference
            .clone()
            .ok_or_else(missing)?;
        let reference = cell
            .lane(&channel)
            .map(|lane| gbar[lane])
            .ok_or_else(missing)?;
        if reference == 0.0 {
            return Err(RunError::Homeostat {
                cell: name.to_string(),
                channel,
            });
        }
        if let Some(mut homeostat) = world.get_mut::<Homeostat>(neuron) {
            for channel in &mut homeostat.channels {
                let g = gbar[channel.lane];
                (channel.ratio, channel.mrna, channel.conductance) = (g / reference, g, g);
            }
        }
    }
    if let Some(mut controller) = world.get_mut::<Controller>(neuron) {
        for channel in &mut controller.channels {
            let g = gbar[channel.lane];
            (channel.pool, channel.conductance) = (g, g);
        }
    }
    Ok(())
}

fn start_synapses(world: &mut World) {
    let mut edges = world.query::<(&mut SynapticActivation, &Edge, &StartActivation)>();
    let mut voltages = world.query::<&Voltage>();
    world.resource_scope(|world, kinds: Mut<Kinds>| {
        let starts: Vec<f64> = edges
            .iter(world)
            .map(|(_, edge, start)| {
                let v = voltages.get(world, edge.pre).map_or(DEFAULT_V, |v| v.0);
                start.0.unwrap_or_else(|| kinds.get(edge.kind).start(v))
            })
            .collect();
        for ((mut s, ..), start) in edges.iter_mut(world).zip(starts) {
            s.0 = start;
        }
    });
    for entity in world.resource::<Edges>().bulk().to_vec() {
        if let Some(mut edges) = world.entity_mut(entity).take::<BulkEdges>() {
            start_releases(world, &mut edges);
            world.entity_mut(entity).insert(edges);
        }
    }
}

/// Sets the activations of edges in bulk to their start values.
fn start_releases(world: &World, edges: &mut BulkEdges) {
    let (kinds, neurons) = (world.resource::<Kinds>(), world.resource::<Neurons>());
    let kind = kinds.get(edges.kind);
    for release in edges.releases_mut() {
        let neuron = neurons.entity(release.pre as usize);
        let v = world.get::<Voltage>(neuron).map_or(DEFAULT_V, |v| v.0);
        release.s = release.start.unwrap_or_else(|| kind.start(v));
    }
}
