//! What a channel, a cell type and a synapse kind *are*: plain data, read from scene files by the
//! caller and compiled by [`crate::channels`] and [`crate::coupling`]. Nothing of a particular
//! current or cell type stands in Rust.

use serde::{Deserialize, Serialize};

use crate::kinetics::Expression;

/// How a gate moves, as expressions over `V` (mV), `Ca` (µM) and the channel's parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum GateKinetics {
    /// Steady state (0..1) and time constant (ms): `dx/dt = (inf - x)/tau`.
    Relaxation {
        /// Steady state, 0..1.
        inf: Expression,
        /// Time constant (ms). Zero makes the gate instantaneous.
        tau: Expression,
    },
    /// Opening and closing rates (1/ms): `dx/dt = alpha (1 - x) - beta x`.
    Rates {
        /// Opening rate (1/ms).
        alpha: Expression,
        /// Closing rate (1/ms).
        beta: Expression,
    },
}

impl GateKinetics {
    /// Steady state and time constant (ms) of the gate, rates worked in.
    pub fn relaxation(&self) -> (Expression, Expression) {
        match self {
            GateKinetics::Relaxation { inf, tau } => (inf.clone(), tau.clone()),
            GateKinetics::Rates { alpha, beta } => {
                let sum = Expression::sum(alpha.clone(), beta.clone());
                (
                    Expression::quotient(alpha.clone(), sum.clone()),
                    sum.reciprocal(),
                )
            }
        }
    }
}

/// One gate of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct GateDefinition {
    /// Name within the channel, `m` or `h` by custom.
    pub name: String,
    /// Exponent of the gate in the current, 1..=7.
    pub power: u8,
    /// Equations of motion.
    pub kinetics: GateKinetics,
    /// Voltage interval (mV) in which the rate 1/tau is interpolated linearly between its ends,
    /// for formulas with a pole inside it.
    pub bridge: Option<(f64, f64)>,
}

/// Reversal potential of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reversal {
    /// Constant (mV).
    Fixed(f64),
    /// Calcium Nernst potential `slope * ln(outside / Ca)` (mV).
    Nernst {
        /// RT/zF (mV); 12.243 at 11 °C for calcium.
        slope: f64,
        /// Outside concentration (µM).
        outside: f64,
    },
}

/// A passage of a kinetic scheme from one state to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// State that is left, by its place.
    pub from: usize,
    /// State that is entered, by its place.
    pub to: usize,
    /// Rate (1/ms), an expression of `V` and the channel's parameters.
    pub rate: Expression,
}

/// A kinetic scheme: each channel of a membrane is in one of a few states and passes between them
/// at rates of V. Linear in the fractions p of channels in each state:
/// `dp_j/dt = sum_i p_i rate(i -> j) - p_j sum_i rate(j -> i)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemeDefinition {
    /// Names of the states. The first holds what the others leave of 1.
    pub states: Vec<String>,
    /// States that conduct, by their places.
    pub conducting: Vec<usize>,
    /// Passages, in file order.
    pub transitions: Vec<Transition>,
}

/// An ionic current: `gbar * prod(x^p) * (V - E_rev)`, or with a kinetic scheme
/// `gbar * (fraction in conducting states) * (V - E_rev)`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelDefinition {
    /// Name of the definition; a cell may call the channel otherwise.
    pub name: String,
    /// Gates, at most two (activation, inactivation). None: a leak.
    pub gates: Vec<GateDefinition>,
    /// Kinetic scheme, in place of gates.
    pub scheme: Option<SchemeDefinition>,
    /// Reversal potential.
    pub reversal: Reversal,
    /// Whether the current feeds the calcium pool.
    pub carries_calcium: bool,
    /// Kinetic parameters with their defaults, in file order.
    pub parameters: Vec<(String, f64)>,
}

impl ChannelDefinition {
    /// The channel with every time constant multiplied by `factor` (1), every rate divided by it.
    #[must_use]
    pub fn slowed(mut self, factor: f64) -> Self {
        let slow = |rate: &mut Expression| {
            let fast = std::mem::replace(rate, Expression::constant(0.0));
            *rate = Expression::quotient(fast, Expression::constant(factor));
        };
        for gate in &mut self.gates {
            match &mut gate.kinetics {
                GateKinetics::Relaxation { tau, .. } => {
                    *tau = Expression::product(vec![Expression::constant(factor), tau.clone()]);
                }
                GateKinetics::Rates { alpha, beta } => [alpha, beta].into_iter().for_each(slow),
            }
        }
        let transitions = self.scheme.iter_mut().flat_map(|s| &mut s.transitions);
        transitions.for_each(|transition| slow(&mut transition.rate));
        self
    }
}

/// What calcium influx is reckoned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Influx {
    /// µM per µA/cm² of calcium current density.
    PerDensity(f64),
    /// µM per nA of absolute calcium current; needs the cell's area.
    PerCurrent(f64),
}

/// Calcium pool: `tau dCa/dt = -influx * I_Ca - Ca + rest`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalciumPool {
    /// Time constant (ms).
    pub tau: f64,
    /// Concentration without influx (µM).
    pub rest: f64,
    /// Influx per current.
    pub influx: Influx,
}

/// Reference time of one of the three timescales of the DIC analysis.
#[derive(Clone, Debug, PartialEq)]
pub enum Timescale {
    /// The time constant of gate `gate` of channel `channel` at the same voltage.
    Gate {
        /// Channel name in the cell.
        channel: String,
        /// Gate name in the channel.
        gate: String,
    },
    /// A constant (ms).
    Constant(f64),
}

/// How a cell's threshold voltage is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ThresholdRule {
    /// First grid voltage at which g_fast + g_slow + g_uslow goes from > 0 to <= 0.
    Scan {
        /// First grid voltage (mV).
        from: f64,
        /// Last grid voltage (mV).
        to: f64,
        /// Grid step (mV).
        step: f64,
        /// Voltage taken if there is no crossing (mV).
        fallback: f64,
    },
    /// A fixed voltage (mV).
    Fixed(f64),
}

/// What the dynamic-input-conductance analysis of a cell type needs.
#[derive(Clone, Debug, PartialEq)]
pub struct DicDefinition {
    /// Reference times of fast, slow and ultraslow.
    pub timescales: [Timescale; 3],
    /// How V_th is found.
    pub threshold: ThresholdRule,
    /// Channel whose gbar normalises the DICs (the leak).
    pub normalise_by: String,
    /// Conductances (mS/cm²) put in place of the real ones when the equilibrium calcium of a
    /// compensation solve is evaluated, by channel.
    pub calcium_at: Vec<(String, f64)>,
    /// Time constants (ms) by which the slopes of channels with a kinetic scheme are split, by
    /// channel; a scheme that is not listed counts as ultraslow.
    pub scheme_tau: Vec<(String, f64)>,
}

/// A firing rhythm that cells of a type are known for, and what a fixed step costs it: knowledge
/// about the type that decides nothing in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownRhythm {
    /// What it is, in a few words.
    pub about: String,
    /// Where the numbers come from.
    pub source: String,
    /// Which cells it is known of; `None`: all of the type.
    pub condition: Option<ParameterCondition>,
    /// Period (ms).
    pub period: f64,
    /// Fixed steps (ms), ascending, each with the relative error of the period that the fixed-step
    /// integrator makes with it (1).
    pub step_errors: Vec<(f64, f64)>,
}

/// Cells in which a kinetic parameter has at least some value.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterCondition {
    /// Channel by its name in the cell.
    pub channel: String,
    /// Parameter of the channel.
    pub parameter: String,
    /// Least value, in the parameter's unit.
    pub at_least: f64,
}

impl KnownRhythm {
    /// Relative error of the period (1) to be expected with steps of `step` (ms): between two known
    /// steps on the straight line that joins them, beyond the largest that of the largest, below
    /// the smallest that of the smallest. `None`: nothing is known.
    pub fn error_at(&self, step: f64) -> Option<f64> {
        let above = self.step_errors.partition_point(|(known, _)| *known < step);
        let before = above.checked_sub(1).map(|k| self.step_errors[k]);
        match (before, self.step_errors.get(above).copied()) {
            (Some((a, low)), Some((b, high))) => Some(low + (high - low) * (step - a) / (b - a)),
            (one, other) => one.or(other).map(|(_, error)| error),
        }
    }

    /// Largest known step (ms) whose error, like that of every smaller one, is at most `error` (1).
    pub fn step_for(&self, error: f64) -> Option<f64> {
        let fine = self.step_errors.iter().take_while(|(_, e)| *e <= error);
        fine.last().map(|(step, _)| *step)
    }
}

/// A cell type.
#[derive(Clone, Debug, PartialEq)]
pub struct CellDefinition {
    /// Name of the type.
    pub name: String,
    /// Channels by the name they have in the cell, in lane order.
    pub channels: Vec<(String, ChannelDefinition)>,
    /// Membrane capacitance (µF/cm²).
    pub capacitance: f64,
    /// Membrane area (cm²), where known.
    pub area: Option<f64>,
    /// Calcium pool; none: calcium stays at its start value.
    pub calcium: Option<CalciumPool>,
    /// Default start state.
    pub start: Start,
    /// DIC analysis, needed for controllers and compensation.
    pub dic: Option<DicDefinition>,
    /// Channel whose gbar(0) scales the homeostatic time constants (`Na`).
    pub homeostat_reference: Option<String>,
    /// Rhythms its cells are known for, the general before the special: of those that fit a cell
    /// the last holds. Not part of what identifies a scene.
    pub rhythms: Vec<KnownRhythm>,
}

impl CellDefinition {
    /// The rhythm known of a cell whose kinetic parameters are `value(channel, parameter)`.
    pub fn rhythm(&self, value: impl Fn(&str, &str) -> Option<f64>) -> Option<&KnownRhythm> {
        self.rhythms.iter().rev().find(|rhythm| {
            rhythm.condition.as_ref().is_none_or(|c| {
                value(&c.channel, &c.parameter).is_some_and(|value| value >= c.at_least)
            })
        })
    }
}

/// Start state of a cell; what is `None` follows the rule "at rest": gates at steady state for
/// V(0) and Ca(0), calcium at its equilibrium for V(0).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// V(0) (mV); default -60.
    pub v: Option<f64>,
    /// Ca(0) (µM).
    pub ca: Option<f64>,
    /// Gates that do not start at steady state: (channel, gate, value). The same for the states of a
    /// kinetic scheme; those of it that are not named share what is left of 1 as they would at rest.
    pub gates: Vec<(String, String, f64)>,
}

/// What a synapse kind does.
#[derive(Clone, Debug, PartialEq)]
pub enum SynapseDefinition {
    /// `I_post = g s (V_post - E)` with a gate `s` of `V_pre`.
    Chemical {
        /// Gate over `V_pre` (mV).
        gate: GateKinetics,
        /// Reversal potential (mV), an expression of the kind's parameters.
        reversal: Expression,
        /// Start value of s; `None`: its steady state for V_pre(0).
        start: Option<Expression>,
    },
    /// `I_post = g f (V_post - V_pre)` and, unless one-way, the opposite current in the other cell.
    Electrical {
        /// Factor f over `V_pre` and `V_post` (mV); 1 for an ohmic junction.
        factor: Expression,
        /// Only the postsynaptic cell feels it.
        one_way: bool,
    },
}

/// A synapse kind with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct SynapseKind {
    /// Name of the kind.
    pub name: String,
    /// Parameters with their defaults, in file order.
    pub parameters: Vec<(String, f64)>,
    /// Equations.
    pub definition: SynapseDefinition,
}
