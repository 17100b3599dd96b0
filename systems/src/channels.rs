//! The lanes of a neuron: lane k holds channel k of its cell type.
//!
//! A cell type is compiled from data ([`CellDefinition`]): each gate's steady state and time
//! constant become programs over (V, Ca) and, where they depend on V alone up to a factor of Ca
//! and a per-cell factor on the time constant, rows of a table over V. Gates obey
//!
//! `dx/dt = (x_inf(V, Ca) - x) / tau(V, Ca)`
//!
//! (Hodgkin & Huxley 1952) and the current of a channel is `gbar m^p h^q (V - E_rev)` in µA/cm². A
//! channel with a kinetic scheme ([`crate::scheme`]) has no gates: its lanes of gates stay at 1.

use std::sync::Arc;

use bevy_ecs::prelude::*;

use crate::definition::{
    CellDefinition, ChannelDefinition, GateDefinition, Reversal, SchemeDefinition, Start,
};
use crate::kinetics::{
    Comparison, Expression, Lanes, Program, Variable, Variables, eval_removable,
};
use crate::scheme::{Scheme, SchemeError};
use crate::simd;
use crate::table::{self, BadValue, Table, TabulatedGate};

/// Number of neurons a kernel treats together.
pub const BLOCK: usize = simd::LANES;

/// Lane widths a neuron can have; a cell type takes the smallest that holds its channels.
pub const WIDTHS: [usize; 3] = [8, 16, 32];

/// Values of one quantity in each of the `W` lanes of a neuron.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Lane<const W: usize>(pub [f64; W]);

impl<const W: usize> Lane<W> {
    /// The same value in every lane.
    pub const fn splat(x: f64) -> Self {
        Lane([x; W])
    }
}

/// Maximal conductances (mS/cm²).
#[derive(Component, Clone, Copy, Debug)]
pub struct Gbar<const W: usize>(pub Lane<W>);

/// Factor on each channel's current: 1 unless blocked.
#[derive(Component, Clone, Copy, Debug)]
pub struct Block<const W: usize> {
    /// What the membrane feels.
    pub factor: Lane<W>,
    /// What compensation solves and their equilibrium calcium reckon with.
    pub seen: Lane<W>,
}

/// First gate of each channel, 0..1; 1 where the channel has none.
#[derive(Component, Clone, Copy, Debug)]
pub struct Activation<const W: usize>(pub Lane<W>);

/// Second gate of each channel, 0..1; 1 where the channel has none.
#[derive(Component, Clone, Copy, Debug)]
pub struct Inactivation<const W: usize>(pub Lane<W>);

/// Per-cell factors on the gates' rates (the reciprocal of the factor on tau), beside the table.
#[derive(Component, Clone, Copy, Debug)]
pub struct RateFactor<const W: usize>(pub [Lane<W>; 2]);

impl<const W: usize> RateFactor<W> {
    /// Takes the factors by slot and lane.
    pub fn set(&mut self, factors: &[Vec<f64>; 2]) {
        for (lanes, values) in self.0.iter_mut().zip(factors) {
            lanes.0.copy_from_slice(&values[..W]);
        }
    }
}

/// Scratch: conductances (mS/cm²) as the membrane and the calcium pool see them, derived from
/// [`Gbar`] and [`Block`] whenever one of them changes.
#[derive(Component, Clone, Copy, Debug)]
pub struct Effective<const W: usize> {
    /// Conductance in the current balance.
    pub membrane: Lane<W>,
    /// Conductance in the calcium influx; 0 for channels that carry none.
    pub influx: Lane<W>,
}

impl<const W: usize> Effective<W> {
    /// Derives them.
    #[inline]
    pub fn renew(
        &mut self,
        cell: &CellType,
        rule: NegativeConductance,
        gbar: &Gbar<W>,
        block: &Block<W>,
    ) {
        for k in 0..W {
            let (membrane, influx) = rule.felt(gbar.0.0[k]);
            self.membrane.0[k] = membrane * block.factor.0[k];
            self.influx.0[k] = influx * block.factor.0[k] * cell.carries_calcium[k];
        }
    }
}

/// Index of a neuron's cell type in [`CellTypes`].
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellTypeId(pub u32);

/// Values of a neuron's kinetic parameters, in the order of [`CellType::parameter_names`].
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Parameters(pub Vec<f64>);

/// What a regulated conductance does below zero.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NegativeConductance {
    /// It acts as it is (the published controlled runs).
    Allow,
    /// The state goes on; the membrane current uses max(g, 0), the calcium influx does not.
    RectifyCurrent,
    /// The conductance itself stops at zero.
    #[default]
    Clamp,
}

impl NegativeConductance {
    /// What the membrane current and the calcium influx make of a conductance `g` (mS/cm²).
    #[inline]
    pub fn felt(self, g: f64) -> (f64, f64) {
        match self {
            NegativeConductance::Allow => (g, g),
            NegativeConductance::RectifyCurrent => (g.max(0.0), g),
            NegativeConductance::Clamp => (g.max(0.0), g.max(0.0)),
        }
    }

    /// Keeps a regulator's conductance `g` (mS/cm²) to the rule; whether it had fallen below zero.
    #[inline]
    pub fn keep(self, g: &mut f64) -> bool {
        let fell = *g < 0.0;
        if fell && self == NegativeConductance::Clamp {
            *g = 0.0;
        }
        fell
    }
}

/// Which of a channel's two gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first gate.
    Activation,
    /// The second gate.
    Inactivation,
}

/// How a step finds a gate's steady state and decay.
#[derive(Clone, Debug)]
enum Route {
    /// From the table; `calcium` is a factor on the steady state.
    Table { calcium: Option<Program> },
    /// By evaluating the expressions: they mix V and Ca.
    Direct,
}

/// A compiled gate.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Lane of its channel.
    pub lane: usize,
    /// Place in the channel.
    pub slot: Slot,
    /// Name within the channel.
    pub name: String,
    /// Exponent.
    pub power: u8,
    inf: Program,
    /// Time constant without the per-cell factor.
    tau: Program,
    /// Per-cell factor on tau, an expression of the channel's parameters.
    tau_factor: Option<Expression>,
    /// Part of `inf` that depends on V alone.
    inf_of_v: Program,
    /// Whether the steady state or the time constant depends on calcium.
    pub reads_calcium: bool,
    /// Whether the time constant does.
    pub tau_reads_calcium: bool,
    route: Route,
}

impl Gate {
    /// Steady state at V (mV) and Ca (µM); a removable point takes its two-sided limit.
    pub fn inf(&self, v: f64, ca: f64) -> f64 {
        eval_removable(&self.inf, v, |v| Variables::membrane(v, ca)).unwrap_or(f64::NAN)
    }

    /// Time constant (ms) at V (mV) and Ca (µM), for a factor `factor` on tau.
    pub fn tau(&self, v: f64, ca: f64, factor: f64) -> f64 {
        factor * eval_removable(&self.tau, v, |v| Variables::membrane(v, ca)).unwrap_or(f64::NAN)
    }

    /// Whether no table serves it: V and calcium do not come apart.
    pub fn is_direct(&self) -> bool {
        matches!(self.route, Route::Direct)
    }

    /// Whether each neuron scales its time constant.
    pub fn is_scaled(&self) -> bool {
        self.tau_factor.is_some()
    }

    /// Function of calcium by which its tabulated steady state is multiplied.
    pub fn calcium_factor(&self) -> Option<&Program> {
        match &self.route {
            Route::Table { calcium } => calcium.as_ref(),
            Route::Direct => None,
        }
    }

    /// Program of the steady state.
    pub fn inf_program(&self) -> &Program {
        &self.inf
    }

    /// Programs of the steady state, without its factor of calcium where it is tabulated
    /// ([`Gate::calcium_factor`]), and of the time constant (ms, without the per-cell factor).
    pub fn programs(&self) -> (&Program, &Program) {
        (&self.inf_of_v, &self.tau)
    }

    /// Steady state and time constant (ms, without the per-cell factor) of eight neurons.
    #[inline(always)]
    pub fn eval_lanes(&self, at: &Variables<Lanes>) -> ([f64; BLOCK], [f64; BLOCK]) {
        let mut inf = self.inf.eval(at).0;
        let mut tau = self.tau.eval(at).0;
        if inf.iter().chain(&tau).any(|x| !x.is_finite()) {
            self.repair(at, &mut inf, &mut tau);
        }
        (inf, tau)
    }

    /// Takes removable points one by one.
    #[cold]
    #[inline(never)]
    fn repair(&self, at: &Variables<Lanes>, inf: &mut [f64; BLOCK], tau: &mut [f64; BLOCK]) {
        for k in 0..BLOCK {
            inf[k] = self.inf(at.v.0[k], at.ca.0[k]);
            tau[k] = self.tau(at.v.0[k], at.ca.0[k], 1.0);
        }
    }
}

/// Why a cell definition cannot be compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// More channels than the widest lane.
    #[error("cell type `{cell}` has {found} channels; at most {} fit", WIDTHS[2])]
    TooManyChannels {
        /// Name of the cell type.
        cell: String,
        /// Number of channels.
        found: usize,
    },
    /// More than two gates.
    #[error("channel `{channel}` has {found} gates; at most 2 fit (activation and inactivation)")]
    TooManyGates {
        /// Name of the channel.
        channel: String,
        /// Number of gates.
        found: usize,
    },
    /// An exponent the kernels do not know.
    #[error(
        "gate `{channel}.{gate}` has the exponent {found}; whole numbers from 1 to 7 are known"
    )]
    Power {
        /// Channel.
        channel: String,
        /// Gate.
        gate: String,
        /// The exponent.
        found: u8,
    },
    /// A gate has a pole, or its value is no number.
    #[error(
        "gate `{channel}.{gate}` has no finite value at V = {v} mV; a formula with a pole there needs `bridge: (from, to)`"
    )]
    Pole {
        /// Channel.
        channel: String,
        /// Gate.
        gate: String,
        /// Voltage (mV).
        v: f64,
    },
    /// A steady state outside 0..1 or a negative time constant.
    #[error("gate `{channel}.{gate}`: {what} is {value} at V = {v} mV, expected {expected}")]
    Range {
        /// Channel.
        channel: String,
        /// Gate.
        gate: String,
        /// Which quantity.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Which values it may have.
        expected: &'static str,
        /// Voltage (mV).
        v: f64,
    },
    /// A neuron's own factor on a time constant is no positive number.
    #[error("gate `{channel}.{gate}`: the factor on its time constant is {value}, not above 0")]
    Factor {
        /// Channel.
        channel: String,
        /// Gate.
        gate: String,
        /// The factor.
        value: f64,
    },
    /// A kinetic scheme that is none.
    #[error("channel `{channel}`: {error}")]
    Scheme {
        /// Channel.
        channel: String,
        /// What is wrong with it.
        error: SchemeError,
    },
    /// Gates and a kinetic scheme in one channel.
    #[error("channel `{0}` has gates and a kinetic scheme; it can have one of them")]
    GatesAndScheme(String),
    /// A rate of a kinetic scheme that no channel can have.
    #[error(
        "channel `{channel}`: the rate `{from}->{to}` is {value} per ms at V = {v} mV, expected 0 or more"
    )]
    Rate {
        /// Channel.
        channel: String,
        /// State that is left.
        from: String,
        /// State that is entered.
        to: String,
        /// The rate (1/ms).
        value: f64,
        /// Voltage (mV).
        v: f64,
    },
    /// A rate of a kinetic scheme that is no number.
    #[error("channel `{channel}`: the rate `{from}->{to}` has no finite value at V = {v} mV")]
    RatePole {
        /// Channel.
        channel: String,
        /// State that is left.
        from: String,
        /// State that is entered.
        to: String,
        /// Voltage (mV).
        v: f64,
    },
    /// A kinetic scheme that rests in more ways than one.
    #[error(
        "channel `{channel}` has no single steady state at V = {v} mV: rates that are 0 there part its states"
    )]
    NoSteadyState {
        /// Channel.
        channel: String,
        /// Voltage (mV).
        v: f64,
    },
    /// Calcium influx by absolute current without an area.
    #[error("cell type `{0}` reckons its calcium from the absolute current (nA) but has no area")]
    NoArea(String),
    /// A DIC definition names what the cell does not have.
    #[error("cell type `{cell}`: its DIC analysis names `{name}`, which is no {what} of the cell")]
    Dic {
        /// Cell type.
        cell: String,
        /// The unknown name.
        name: String,
        /// `channel` or `gate`.
        what: &'static str,
    },
}

/// Calcium pool with its influx per current density resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    /// Time constant (ms).
    pub tau: f64,
    /// Concentration without influx (µM).
    pub rest: f64,
    /// Influx (µM per µA/cm²).
    pub influx: f64,
}

/// A compiled cell type: the channels of a neuron with all parameters bound but the factors on
/// time constants, which each neuron keeps for itself.
#[derive(Clone, Debug)]
pub struct CellType {
    /// The data it was compiled from.
    pub definition: Arc<CellDefinition>,
    /// Lane width.
    pub width: usize,
    /// Gates, in lane order, activation before inactivation.
    pub gates: Vec<Gate>,
    /// Kinetic schemes, in lane order.
    pub schemes: Vec<Scheme>,
    /// Reversal potentials by lane (mV); lanes with a Nernst potential hold 0 here.
    pub reversal: Vec<f64>,
    /// Nernst slope (mV) and outside concentration (µM) by lane, where the channel has one.
    pub nernst: Vec<Option<(f64, f64)>>,
    /// Whether any lane has a Nernst potential.
    pub has_nernst: bool,
    /// 1 for lanes that carry calcium, else 0.
    pub carries_calcium: Vec<f64>,
    /// Exponents by lane, activation and inactivation; 0 where there is no gate.
    pub powers: [Vec<u8>; 2],
    /// Calcium pool, if any.
    pub pool: Option<Pool>,
    /// Membrane area of the cell (cm²), where known.
    pub area: Option<f64>,
    /// The table of the step it was built for: rows of steady state and decay of the first gates,
    /// then of the second ones, by lane.
    pub table: Table,
    /// Steady state and decay of [`CellType::apart_gates`], in their order; for a gate whose time
    /// constant each neuron scales, the exponent -dt/tau instead of the decay. Steady states are
    /// without their factor of calcium.
    pub apart: Table,
    parameters: Vec<f64>,
    /// Whether each parameter is worked into the table.
    tabulated: Vec<bool>,
}

impl CellType {
    /// Values of the kinetic parameters that it was compiled with.
    pub fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    /// Names of the kinetic parameters: (channel, parameter), in lane and file order.
    pub fn parameter_names(definition: &CellDefinition) -> impl Iterator<Item = (&str, &str)> {
        definition.channels.iter().flat_map(|(name, channel)| {
            channel
                .parameters
                .iter()
                .map(move |(p, _)| (name.as_str(), p.as_str()))
        })
    }

    /// Default values of the kinetic parameters.
    pub fn default_parameters(definition: &CellDefinition) -> Vec<f64> {
        definition
            .channels
            .iter()
            .flat_map(|(_, c)| c.parameters.iter().map(|(_, x)| *x))
            .collect()
    }

    /// For each parameter: whether its value is worked into the table (true), so that neurons with
    /// different values need tables of their own, or only into factors on time constants (false).
    pub fn tabulated_parameters(definition: &CellDefinition) -> Vec<bool> {
        tabulated_parameters(definition)
    }

    /// Bytes of the table of a definition, about: factors on time constants add a few columns.
    pub fn table_bytes(definition: &CellDefinition) -> usize {
        let schemes = definition
            .channels
            .iter()
            .filter_map(|(_, c)| c.scheme.as_ref());
        let of_schemes = schemes.map(|scheme| Scheme::table_bytes(scheme.states.len()));
        8 * width_of(definition.channels.len()).unwrap_or(WIDTHS[2])
            * table::ROWS
            * size_of::<f64>()
            + of_schemes.sum::<usize>()
    }

    /// Compiles a definition with the given parameter values and area (cm²), tables for steps
    /// of `dt` (ms).
    ///
    /// # Errors
    /// What the definition asks for and the engine cannot do, see [`CompileError`].
    pub fn compile(
        definition: &Arc<CellDefinition>,
        parameters: &[f64],
        area: Option<f64>,
        dt: f64,
    ) -> Result<CellType, CompileError> {
        let n = definition.channels.len();
        let width = width_of(n).ok_or_else(|| CompileError::TooManyChannels {
            cell: definition.name.clone(),
            found: n,
        })?;
        let mut cell = CellType {
            definition: definition.clone(),
            width,
            gates: Vec::new(),
            schemes: Vec::new(),
            reversal: vec![0.0; width],
            nernst: vec![None; width],
            has_nernst: false,
            carries_calcium: vec![0.0; width],
            powers: [vec![0; width], vec![0; width]],
            pool: resolve_pool(definition, area)?,
            area,
            table: Table::default(),
            apart: Table::default(),
            parameters: parameters.to_vec(),
            tabulated: tabulated_parameters(definition),
        };
        let mut first = 0;
        for (lane, (name, channel)) in definition.channels.iter().enumerate() {
            let values = &parameters[first..first + channel.parameters.len()];
            first += channel.parameters.len();
            match channel.reversal {
                Reversal::Fixed(e) => cell.reversal[lane] = e,
                Reversal::Nernst { slope, outside } => {
                    cell.nernst[lane] = Some((slope, outside));
                    cell.has_nernst = true;
                }
            }
            cell.carries_calcium[lane] = if channel.carries_calcium { 1.0 } else { 0.0 };
            if channel.gates.len() > 2 {
                return Err(CompileError::TooManyGates {
                    channel: name.clone(),
                    found: channel.gates.len(),
                });
            }
            let lookup = |p: &str| {
                channel
                    .parameters
                    .iter()
                    .position(|(q, _)| q == p)
                    .map(|k| values[k])
            };
            if let Some(scheme) = &channel.scheme {
                if !channel.gates.is_empty() {
                    return Err(CompileError::GatesAndScheme(name.clone()));
                }
                let first = cell.states();
                let scheme = compile_scheme(lane, first, name, scheme, &lookup)?;
                cell.schemes.push(scheme);
            }
            for (slot, gate) in [Slot::Activation, Slot::Inactivation]
                .into_iter()
                .zip(&channel.gates)
            {
                let compiled = compile_gate(lane, slot, name, gate, &lookup)?;
                cell.powers[slot as usize][lane] = gate.power;
                cell.gates.push(compiled);
            }
        }
        check_dic(definition)?;
        cell.rebuild(dt)?;
        Ok(cell)
    }

    /// Builds the table again for steps of `dt` (ms).
    ///
    /// # Errors
    /// A pole or an impossible value on the table's range.
    pub fn rebuild(&mut self, dt: f64) -> Result<(), CompileError> {
        let tabulated: Vec<TabulatedGate> = self
            .gates
            .iter()
            .filter(|g| !g.is_direct())
            .map(|g| tabulated_gate(g, self.width))
            .collect();
        let table = Table::build(self.width, 4, |row, v| {
            default_row(row, self.width);
            tabulated.iter().try_for_each(|gate| {
                let (inf, tau) = gate.sample(v)?;
                row[gate.column] = inf;
                row[gate.column + self.width] = table::decay(tau, dt);
                Ok(())
            })
        });
        let apart: Vec<&Gate> = self.apart_gates().collect();
        let own = Table::build(1, 2 * apart.len(), |row, v| {
            let (columns, _) = row.as_chunks_mut::<2>();
            for (gate, column) in apart.iter().zip(columns) {
                if gate.is_direct() {
                    continue;
                }
                let (inf, tau) = tabulated_gate(gate, self.width).sample(v)?;
                // A gate with a per-cell factor needs -dt/tau instead of its exponential.
                let second = match gate.is_scaled() {
                    true => table::exponent(tau, dt),
                    false => table::decay(tau, dt),
                };
                *column = [inf, second];
            }
            Ok(())
        });
        let tables = table.and_then(|table| Ok((table, own?)));
        (self.table, self.apart) = tables.map_err(|e| {
            let gate = self
                .gates
                .iter()
                .find(|g| 2 * (g.slot as usize) * self.width + g.lane == e.column);
            let (channel, gate) = match gate {
                Some(g) => (self.channel_name(g.lane).to_string(), g.name.clone()),
                None => (String::new(), String::new()),
            };
            match e.what {
                Some((what, value, expected)) => CompileError::Range {
                    channel,
                    gate,
                    what,
                    value,
                    expected,
                    v: e.v,
                },
                None => CompileError::Pole {
                    channel,
                    gate,
                    v: e.v,
                },
            }
        })?;
        for k in 0..self.schemes.len() {
            let built = self.schemes[k].rebuild(dt);
            built.map_err(|bad| self.scheme_error(&self.schemes[k], bad))?;
        }
        Ok(())
    }

    /// What is wrong with the rates of a scheme, in words.
    fn scheme_error(&self, scheme: &Scheme, bad: BadValue) -> CompileError {
        let channel = self.channel_name(scheme.lane).to_string();
        let v = bad.v;
        let Some((from, to)) = scheme.transitions().nth(bad.column) else {
            return CompileError::NoSteadyState { channel, v };
        };
        let [from, to] = [from, to].map(|state| scheme.states[state].clone());
        match bad.what {
            Some((_, value, _)) => CompileError::Rate {
                channel,
                from,
                to,
                value,
                v,
            },
            None => CompileError::RatePole {
                channel,
                from,
                to,
                v,
            },
        }
    }

    /// Number of states of all its kinetic schemes.
    pub fn states(&self) -> usize {
        self.schemes.iter().map(Scheme::len).sum()
    }

    /// The kinetic scheme of the channel in a lane, if it has one.
    pub fn scheme(&self, lane: usize) -> Option<&Scheme> {
        self.schemes.iter().find(|scheme| scheme.lane == lane)
    }

    /// States of all its kinetic schemes at steady state for V (mV).
    pub fn steady_states(&self, v: f64) -> Vec<f64> {
        let schemes = self.schemes.iter();
        schemes
            .flat_map(|scheme| scheme.steady(v).into_iter().take(scheme.len()))
            .collect()
    }

    /// States of all its kinetic schemes at the start for V (mV): at steady state, but for those
    /// that `start` names.
    pub fn start_states(&self, start: &Start, v: f64) -> Vec<f64> {
        let mut states = self.steady_states(v);
        for scheme in &self.schemes {
            let named = start.gates.iter().filter_map(|(channel, state, x)| {
                let own = *channel == self.channel_name(scheme.lane);
                own.then(|| Some((scheme.state(state)?, *x)))?
            });
            let named: Vec<(usize, f64)> = named.collect();
            if !named.is_empty() {
                let states = &mut states[scheme.places()];
                states.copy_from_slice(&scheme.completed(states, &named));
            }
        }
        states
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.definition.channels.len()
    }

    /// Name of the channel in a lane.
    pub fn channel_name(&self, lane: usize) -> &str {
        &self.definition.channels[lane].0
    }

    /// Lane of a channel.
    pub fn lane(&self, channel: &str) -> Option<usize> {
        self.definition
            .channels
            .iter()
            .position(|(name, _)| name == channel)
    }

    /// The gate `gate` of channel `channel`.
    pub fn gate(&self, channel: &str, gate: &str) -> Option<&Gate> {
        let lane = self.lane(channel)?;
        self.gates.iter().find(|g| g.lane == lane && g.name == gate)
    }

    /// Lanes of the channels that a row of the table does not serve alone: a gate reads calcium,
    /// each neuron scales its time constant, or a kinetic scheme stands in for gates.
    pub fn apart_lanes(&self) -> impl Iterator<Item = usize> {
        let alone = |lane: usize| {
            let mut gates = self.gates.iter().filter(|g| g.lane == lane);
            self.scheme(lane).is_none()
                && gates.all(|g| !g.is_direct() && !g.is_scaled() && g.calcium_factor().is_none())
        };
        (0..self.channels()).filter(move |lane| !alone(*lane))
    }

    /// Gates of the channels of [`CellType::apart_lanes`].
    pub fn apart_gates(&self) -> impl Iterator<Item = &Gate> {
        let gates = self.gates.iter();
        gates.filter(|g| self.apart_lanes().any(|lane| lane == g.lane))
    }

    /// Factors on tau by slot and lane for a neuron with the given parameters.
    pub fn tau_factors(&self, parameters: &[f64]) -> [Vec<f64>; 2] {
        let mut factors = [vec![1.0; self.width], vec![1.0; self.width]];
        for gate in &self.gates {
            if let Some(factor) = &gate.tau_factor {
                let bound = factor.bind(&|p| self.parameter(gate.lane, p, parameters));
                factors[gate.slot as usize][gate.lane] = bound.is_constant().unwrap_or(f64::NAN);
            }
        }
        factors
    }

    /// Refuses parameters of a neuron that give a gate no time constant.
    fn check_factors(&self, parameters: &[f64]) -> Result<(), CompileError> {
        let factors = self.tau_factors(parameters);
        let wrong = self.gates.iter().find_map(|gate| {
            let value = factors[gate.slot as usize][gate.lane];
            let fine = value > 0.0 && value.is_finite() && (1.0 / value).is_finite();
            (!fine).then_some((gate, value))
        });
        match wrong {
            Some((gate, value)) => Err(CompileError::Factor {
                channel: self.channel_name(gate.lane).to_string(),
                gate: gate.name.clone(),
                value,
            }),
            None => Ok(()),
        }
    }

    /// Factors on rates, the reciprocals of [`CellType::tau_factors`].
    pub fn rate_factors(&self, parameters: &[f64]) -> [Vec<f64>; 2] {
        self.tau_factors(parameters)
            .map(|slot| slot.into_iter().map(|x| 1.0 / x).collect())
    }

    fn parameter(&self, lane: usize, name: &str, parameters: &[f64]) -> Option<f64> {
        let channels = &self.definition.channels;
        let first: usize = channels[..lane]
            .iter()
            .map(|(_, c)| c.parameters.len())
            .sum();
        let k = channels[lane]
            .1
            .parameters
            .iter()
            .position(|(p, _)| p == name)?;
        parameters.get(first + k).copied()
    }

    /// Whether a neuron with these parameters and this area can share this compiled type: they
    /// may differ only in factors on time constants.
    fn serves(
        &self,
        definition: &Arc<CellDefinition>,
        parameters: &[f64],
        area: Option<f64>,
    ) -> bool {
        if !Arc::ptr_eq(&self.definition, definition) || self.area != area {
            return false;
        }
        self.parameters
            .iter()
            .zip(parameters)
            .zip(&self.tabulated)
            .all(|((a, b), tabulated)| !tabulated || a.to_bits() == b.to_bits())
    }

    /// Reversal potential (mV) of a lane at calcium `ca` (µM).
    pub fn reversal_at(&self, lane: usize, ca: f64) -> f64 {
        match self.nernst[lane] {
            Some((slope, outside)) => crate::calcium::nernst(slope, outside, ca),
            None => self.reversal[lane],
        }
    }

    /// Gates at steady state for V (mV) and Ca (µM), by slot and lane; 1 where there is no gate.
    pub fn steady_gates(&self, v: f64, ca: f64) -> [Vec<f64>; 2] {
        let mut gates = [vec![1.0; self.width], vec![1.0; self.width]];
        for gate in &self.gates {
            gates[gate.slot as usize][gate.lane] = gate.inf(v, ca);
        }
        gates
    }
}

/// The smallest width that holds `n` channels.
fn width_of(n: usize) -> Option<usize> {
    WIDTHS.into_iter().find(|width| *width >= n)
}

/// A gate for a table whose rows hold steady states and decays of the first gates, then of the
/// second ones, by lane.
fn tabulated_gate(gate: &Gate, width: usize) -> TabulatedGate<'_> {
    TabulatedGate {
        column: 2 * (gate.slot as usize) * width + gate.lane,
        inf: &gate.inf_of_v,
        tau: &gate.tau,
    }
}

fn resolve_pool(
    definition: &CellDefinition,
    area: Option<f64>,
) -> Result<Option<Pool>, CompileError> {
    use crate::definition::Influx;
    let Some(pool) = definition.calcium else {
        return Ok(None);
    };
    let influx = match pool.influx {
        Influx::PerDensity(f) => f,
        // nA = 1e-3 µA, so a density of 1 µA/cm² on an area A (cm²) is 1e3 A nA.
        Influx::PerCurrent(f) => {
            f * 1e3 * area.ok_or_else(|| CompileError::NoArea(definition.name.clone()))?
        }
    };
    Ok(Some(Pool {
        tau: pool.tau,
        rest: pool.rest,
        influx,
    }))
}

fn check_dic(definition: &CellDefinition) -> Result<(), CompileError> {
    use crate::definition::Timescale;
    let Some(dic) = &definition.dic else {
        return Ok(());
    };
    let missing = |name: &str, what| CompileError::Dic {
        cell: definition.name.clone(),
        name: name.to_string(),
        what,
    };
    let channel = |name: &str| definition.channels.iter().find(|(n, _)| n == name);
    for scale in &dic.timescales {
        if let Timescale::Gate { channel: c, gate } = scale {
            let (_, found) = channel(c).ok_or_else(|| missing(c, "channel"))?;
            if !found.gates.iter().any(|g| g.name == *gate) {
                return Err(missing(&format!("{c}.{gate}"), "gate"));
            }
        }
    }
    for name in dic
        .calcium_at
        .iter()
        .map(|(n, _)| n)
        .chain(dic.scheme_tau.iter().map(|(n, _)| n))
        .chain([&dic.normalise_by])
    {
        channel(name).ok_or_else(|| missing(name, "channel"))?;
    }
    Ok(())
}

/// Row of a table before any gate is written: gates that do not exist stay at 1.
fn default_row(row: &mut [f64], width: usize) {
    for slot in 0..2 {
        row[2 * slot * width..(2 * slot + 1) * width].fill(1.0);
    }
}

/// Replaces 1/tau between the ends of the bridge by the straight line that joins them; the ends
/// keep what else tau depends on.
fn bridged(tau: &Expression, (from, to): (f64, f64)) -> Expression {
    use Expression as E;
    let v = || E::variable(Variable::V);
    let rate = |v: f64| tau.at(Variable::V, v).reciprocal();
    let (a, b) = (rate(from), rate(to));
    let run = E::difference(v(), E::constant(from));
    let rise = E::product(vec![run, E::difference(b, a.clone())]);
    let line = E::sum(a, E::quotient(rise, E::constant(to - from)));
    let below = [v(), E::constant(to), line.reciprocal(), tau.clone()];
    let bridge = E::conditional(Comparison::Less, below);
    E::conditional(
        Comparison::Greater,
        [v(), E::constant(from), bridge, tau.clone()],
    )
}

/// For each parameter of a cell: whether its value is worked into the table (true) or only into
/// factors on time constants (false).
fn tabulated_parameters(definition: &CellDefinition) -> Vec<bool> {
    definition
        .channels
        .iter()
        .flat_map(|(_, channel)| {
            let used: Vec<String> = channel
                .gates
                .iter()
                .flat_map(|gate| {
                    let (inf, tau) = gate.kinetics.relaxation();
                    let (_, rest) = split_tau(&tau);
                    inf.parameters()
                        .into_iter()
                        .chain(rest.parameters())
                        .map(String::from)
                        .collect::<Vec<_>>()
                })
                .chain(scheme_parameters(channel))
                .collect();
            channel
                .parameters
                .iter()
                .map(move |(p, _)| used.contains(p))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Parameters that the rates of a channel's kinetic scheme use.
fn scheme_parameters(channel: &ChannelDefinition) -> Vec<String> {
    let scheme = channel.scheme.iter();
    let transitions = scheme.flat_map(|scheme| &scheme.transitions);
    let parameters = transitions.flat_map(|t| t.rate.parameters());
    parameters.map(String::from).collect()
}

/// Splits tau into the factor that depends on parameters alone and the rest.
fn split_tau(tau: &Expression) -> (Option<Expression>, Expression) {
    let (factor, rest): (Vec<_>, Vec<_>) = tau.factors().into_iter().partition(|f| {
        !f.parameters().is_empty() && !f.depends_on(Variable::V) && !f.depends_on(Variable::Ca)
    });
    if factor.is_empty() {
        (None, tau.clone())
    } else {
        (Some(Expression::product(factor)), Expression::product(rest))
    }
}

fn compile_gate(
    lane: usize,
    slot: Slot,
    channel: &str,
    gate: &GateDefinition,
    lookup: &dyn Fn(&str) -> Option<f64>,
) -> Result<Gate, CompileError> {
    if !(1..=7).contains(&gate.power) {
        return Err(CompileError::Power {
            channel: channel.to_string(),
            gate: gate.name.clone(),
            found: gate.power,
        });
    }
    let pole = |v: f64| CompileError::Pole {
        channel: channel.to_string(),
        gate: gate.name.clone(),
        v,
    };
    let (inf, tau) = gate.kinetics.relaxation();
    let (tau_factor, tau) = split_tau(&tau);
    let inf = inf.bind(lookup);
    let mut tau = tau.bind(lookup);
    if let Some(bridge) = gate.bridge {
        tau = bridged(&tau, bridge);
    }
    let (of_v, of_ca): (Vec<_>, Vec<_>) = inf
        .factors()
        .into_iter()
        .partition(|f| !f.depends_on(Variable::Ca));
    let factors = of_ca.iter().all(|f| !f.depends_on(Variable::V));
    let compile = |e: &Expression| e.compile().map_err(|_| pole(f64::NAN));
    let route = if tau.depends_on(Variable::Ca) || !factors {
        Route::Direct
    } else if of_ca.is_empty() {
        Route::Table { calcium: None }
    } else {
        Route::Table {
            calcium: Some(compile(&Expression::product(of_ca))?),
        }
    };
    Ok(Gate {
        lane,
        slot,
        name: gate.name.clone(),
        power: gate.power,
        reads_calcium: inf.depends_on(Variable::Ca) || tau.depends_on(Variable::Ca),
        tau_reads_calcium: tau.depends_on(Variable::Ca),
        inf_of_v: compile(&if matches!(route, Route::Direct) {
            inf.clone()
        } else {
            Expression::product(of_v)
        })?,
        inf: compile(&inf)?,
        tau: compile(&tau)?,
        tau_factor,
        route,
    })
}

/// Compiles the kinetic scheme of a channel in `lane`, whose states begin at place `first`.
fn compile_scheme(
    lane: usize,
    first: usize,
    name: &str,
    definition: &SchemeDefinition,
    lookup: &dyn Fn(&str) -> Option<f64>,
) -> Result<Scheme, CompileError> {
    definition.check().map_err(|error| CompileError::Scheme {
        channel: name.to_string(),
        error,
    })?;
    let rates = definition.transitions.iter().map(|transition| {
        let rate = transition.rate.bind(lookup).compile();
        rate.map_err(|_| CompileError::RatePole {
            channel: name.to_string(),
            from: definition.states[transition.from].clone(),
            to: definition.states[transition.to].clone(),
            v: f64::NAN,
        })
    });
    let rates = rates.collect::<Result<_, _>>()?;
    Ok(Scheme::new(lane, first, definition, rates))
}

/// All compiled cell types of a world.
#[derive(Resource, Default, Debug)]
pub struct CellTypes {
    types: Vec<CellType>,
    /// Number of neurons of each type.
    users: Vec<usize>,
    /// Step (ms) the tables are built for; 0 before the first.
    dt: f64,
}

impl CellTypes {
    /// A registry whose tables serve steps of `dt` (ms).
    pub fn for_step(dt: f64) -> Self {
        CellTypes {
            types: Vec::new(),
            users: Vec::new(),
            dt,
        }
    }

    /// The same types, of which no neuron is one, for a world with steps of `dt` (ms); none if they
    /// were compiled for another step.
    pub(crate) fn left_for(mut self, dt: f64) -> Self {
        if self.dt.to_bits() != dt.to_bits() {
            return CellTypes::for_step(dt);
        }
        self.users.fill(0);
        self
    }

    /// The definition of a compiled type that is equal to the one given.
    pub(crate) fn definition(&self, wanted: &CellDefinition) -> Option<Arc<CellDefinition>> {
        let mut known = self.types.iter().map(|t| &t.definition);
        known.find(|known| ***known == *wanted).cloned()
    }

    /// The compiled type for a neuron, shared with all neurons that differ from it only in
    /// factors on time constants; compiled if it is new.
    ///
    /// # Errors
    /// See [`CellType::compile`].
    pub fn intern(
        &mut self,
        definition: &Arc<CellDefinition>,
        parameters: &[f64],
        area: Option<f64>,
    ) -> Result<CellTypeId, CompileError> {
        let known = self
            .types
            .iter()
            .position(|t| t.serves(definition, parameters, area));
        let id = match known {
            Some(id) => {
                self.types[id].check_factors(parameters)?;
                id
            }
            None => {
                let new = CellType::compile(definition, parameters, area, self.dt)?;
                new.check_factors(parameters)?;
                // A type that nobody is left of makes room: a ramp leaves one behind at each tick.
                match self.users.iter().position(|n| *n == 0) {
                    Some(id) => {
                        self.types[id] = new;
                        id
                    }
                    None => {
                        self.types.push(new);
                        self.users.push(0);
                        self.types.len() - 1
                    }
                }
            }
        };
        self.users[id] += 1;
        Ok(CellTypeId(id as u32))
    }

    /// Whether a neuron of a type could have other parameters.
    ///
    /// # Errors
    /// See [`CellType::compile`].
    pub fn check(&self, id: CellTypeId, parameters: &[f64]) -> Result<(), CompileError> {
        let (definition, area) = (&self.get(id).definition, self.get(id).area);
        let mut known = self.types.iter();
        match known.find(|t| t.serves(definition, parameters, area)) {
            Some(known) => known.check_factors(parameters),
            None => {
                CellType::compile(definition, parameters, area, self.dt)?.check_factors(parameters)
            }
        }
    }

    /// Takes note that a neuron has left a type.
    pub fn release(&mut self, id: CellTypeId) {
        let users = &mut self.users[id.0 as usize];
        *users = users.saturating_sub(1);
    }

    /// The compiled type of a neuron.
    pub fn get(&self, id: CellTypeId) -> &CellType {
        &self.types[id.0 as usize]
    }

    /// All compiled types, by id.
    pub fn iter(&self) -> impl Iterator<Item = &CellType> {
        self.types.iter()
    }

    /// Number of compiled types.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether no type is compiled yet.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
}

/// System: derives what the membrane sees from [`Gbar`] and [`Block`] where one has changed.
pub fn refresh_effective<const W: usize>(
    types: Res<CellTypes>,
    mut neurons: Query<
        (
            &CellTypeId,
            &NegativeConductance,
            &Gbar<W>,
            &Block<W>,
            &mut Effective<W>,
        ),
        Or<(Changed<Gbar<W>>, Changed<Block<W>>)>,
    >,
) {
    for (id, rule, gbar, block, mut effective) in &mut neurons {
        effective.renew(types.get(*id), *rule, gbar, block);
    }
}
