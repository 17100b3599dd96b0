//! Synapse kinds with their parameters bound.

use std::cmp::Ordering;

use bevy_ecs::prelude::*;

use crate::definition::{SynapseDefinition, SynapseKind};
use crate::kinetics::{Expression, Program, Variables, eval_removable};
use crate::table::{self, Table, TabulatedGate};

/// Columns of a table: steady state and decay of the one gate.
const COLUMNS: usize = 2;

/// Why a synapse kind cannot be compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KindError {
    /// The gate has a pole or an impossible value.
    #[error("the gate of synapse kind `{kind}` has no proper value at V_pre = {v} mV")]
    Gate {
        /// Name of the kind.
        kind: String,
        /// Presynaptic voltage (mV).
        v: f64,
    },
    /// An expression that should be a number of the parameters alone.
    #[error("`{what}` of synapse kind `{kind}` is no finite number of its parameters")]
    Number {
        /// Name of the kind.
        kind: String,
        /// Which expression.
        what: &'static str,
    },
}

#[derive(Clone, Debug)]
enum Compiled {
    Chemical {
        inf: Program,
        tau: Program,
        reversal: f64,
        start: Option<f64>,
        table: Table,
    },
    Electrical {
        factor: Factor,
        one_way: bool,
    },
}

/// How the factor of a junction is found.
#[derive(Clone, Debug)]
enum Factor {
    Constant(f64),
    Direct(Program),
}

/// A kind with its parameters bound.
#[derive(Clone, Debug)]
pub struct CompiledKind {
    definition: SynapseKind,
    parameters: Vec<f64>,
    compiled: Compiled,
}

impl CompiledKind {
    /// Bytes of the table of a chemical kind.
    pub const TABLE_BYTES: usize = 2 * COLUMNS * table::ROWS * size_of::<f64>();

    fn compile(kind: &SynapseKind, parameters: &[f64], dt: f64) -> Result<Self, KindError> {
        let lookup = |p: &str| {
            kind.parameters
                .iter()
                .position(|(q, _)| q == p)
                .and_then(|k| parameters.get(k).copied())
        };
        let bad = |v| KindError::Gate {
            kind: kind.name.clone(),
            v,
        };
        let program = |e: Expression| e.bind(&lookup).compile().map_err(|_| bad(f64::NAN));
        let number = |e: &Expression, what| {
            let value = e.bind(&lookup).is_constant().filter(|x| x.is_finite());
            value.ok_or_else(|| KindError::Number {
                kind: kind.name.clone(),
                what,
            })
        };
        let compiled = match &kind.definition {
            SynapseDefinition::Chemical {
                gate,
                reversal,
                start,
            } => {
                let (inf, tau) = gate.relaxation();
                let (inf, tau) = (program(inf)?, program(tau)?);
                let tabulated = TabulatedGate {
                    column: 0,
                    inf: &inf,
                    tau: &tau,
                };
                let table = Table::build(1, COLUMNS, |row, v| {
                    let (inf, tau) = tabulated.sample(v)?;
                    row.copy_from_slice(&[inf, table::decay(tau, dt)]);
                    Ok(())
                })
                .map_err(|e| bad(e.v))?;
                let start = start.as_ref().map(|e| number(e, "start")).transpose()?;
                Compiled::Chemical {
                    reversal: number(reversal, "reversal")?,
                    start,
                    inf,
                    tau,
                    table,
                }
            }
            SynapseDefinition::Electrical { factor, one_way } => {
                let bound = factor.bind(&lookup);
                let factor = match bound.is_constant() {
                    Some(_) => Factor::Constant(number(factor, "factor")?),
                    _ => Factor::Direct(program(bound)?),
                };
                Compiled::Electrical {
                    factor,
                    one_way: *one_way,
                }
            }
        };
        Ok(CompiledKind {
            definition: kind.clone(),
            parameters: parameters.to_vec(),
            compiled,
        })
    }

    /// The data it was compiled from.
    pub fn definition(&self) -> &SynapseKind {
        &self.definition
    }

    /// Steady state and time constant (ms) of the gate at `v_pre` (mV), directly evaluated;
    /// (0, infinity) for a junction.
    pub fn gate(&self, v_pre: f64) -> (f64, f64) {
        match &self.compiled {
            Compiled::Chemical { inf, tau, .. } => {
                let at = |v| Variables::synapse(v, 0.0);
                (
                    eval_removable(inf, v_pre, at).unwrap_or(f64::NAN),
                    eval_removable(tau, v_pre, at).unwrap_or(f64::NAN),
                )
            }
            Compiled::Electrical { .. } => (0.0, f64::INFINITY),
        }
    }

    /// Start value of s for V_pre(0) = `v_pre` (mV).
    pub fn start(&self, v_pre: f64) -> f64 {
        match &self.compiled {
            Compiled::Chemical { start: Some(s), .. } => *s,
            _ => self.gate(v_pre).0,
        }
    }

    /// Whether the kind has an activation s.
    pub fn is_chemical(&self) -> bool {
        matches!(self.compiled, Compiled::Chemical { .. })
    }

    /// Reversal potential (mV) of a chemical kind.
    pub fn reversal(&self) -> f64 {
        match self.compiled {
            Compiled::Chemical { reversal, .. } => reversal,
            Compiled::Electrical { .. } => f64::NAN,
        }
    }

    /// Table of a chemical kind over V_pre: steady state and its rise, decay and its rise.
    #[inline(always)]
    pub(crate) fn table(&self) -> &Table {
        match &self.compiled {
            Compiled::Chemical { table, .. } => table,
            Compiled::Electrical { .. } => unreachable!("only chemical edges have a release site"),
        }
    }

    /// Whether only the postsynaptic cell feels a junction.
    pub fn one_way(&self) -> bool {
        matches!(self.compiled, Compiled::Electrical { one_way: true, .. })
    }

    /// Factor of an ohmic junction.
    pub fn constant_factor(&self) -> Option<f64> {
        match self.compiled {
            Compiled::Electrical {
                factor: Factor::Constant(f),
                ..
            } => Some(f),
            _ => None,
        }
    }

    /// Factor of a junction at the two voltages (mV).
    #[inline]
    pub fn factor(&self, v_pre: f64, v_post: f64) -> f64 {
        match &self.compiled {
            Compiled::Electrical {
                factor: Factor::Constant(f),
                ..
            } => *f,
            Compiled::Electrical {
                factor: Factor::Direct(program),
                ..
            } => program.eval(&Variables::synapse(v_pre, v_post)),
            Compiled::Chemical { .. } => 0.0,
        }
    }
}

/// The kinds of a world, each with every set of parameters in use.
#[derive(Resource, Clone, Debug, Default)]
pub struct Kinds {
    kinds: Vec<CompiledKind>,
    /// Number of edges of each kind.
    users: Vec<usize>,
    dt: f64,
}

impl Kinds {
    /// A registry whose tables serve steps of `dt` (ms).
    pub fn for_step(dt: f64) -> Self {
        Kinds {
            kinds: Vec::new(),
            users: Vec::new(),
            dt,
        }
    }

    /// The same kinds, of which no edge is one, for a world with steps of `dt` (ms); none if they were
    /// compiled for another step.
    pub(crate) fn left_for(mut self, dt: f64) -> Self {
        if self.dt.to_bits() != dt.to_bits() {
            return Kinds::for_step(dt);
        }
        self.users.fill(0);
        self
    }

    /// The compiled kind for the given parameters, compiled if it is new.
    ///
    /// # Errors
    /// See [`KindError`].
    pub fn intern(&mut self, kind: &SynapseKind, parameters: &[f64]) -> Result<u32, KindError> {
        let same = |k: &CompiledKind| {
            k.definition == *kind
                && k.parameters.len() == parameters.len()
                && k.parameters
                    .iter()
                    .zip(parameters)
                    .all(|(a, b)| a.to_bits() == b.to_bits())
        };
        let id = match self.kinds.iter().position(same) {
            Some(id) => id,
            None => {
                let new = CompiledKind::compile(kind, parameters, self.dt)?;
                // A kind that no edge is left of makes room: a ramp leaves one behind at each tick.
                match self.users.iter().position(|n| *n == 0) {
                    Some(id) => {
                        self.kinds[id] = new;
                        id
                    }
                    None => {
                        self.kinds.push(new);
                        self.users.push(0);
                        self.kinds.len() - 1
                    }
                }
            }
        };
        self.users[id] += 1;
        Ok(id as u32)
    }

    /// Whether an edge of a kind could have other parameters.
    ///
    /// # Errors
    /// See [`KindError`].
    pub fn check(&self, id: u32, parameters: &[f64]) -> Result<(), KindError> {
        CompiledKind::compile(self.get(id).definition(), parameters, self.dt).map(|_| ())
    }

    /// Place of each kind in an order that does not depend on which edge came first: by name, then
    /// by parameters.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<usize> = (0..self.kinds.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&self.kinds[*a], &self.kinds[*b]);
            let parameters = || {
                let pairs = a.parameters.iter().zip(&b.parameters);
                let orders = pairs.map(|(x, y)| x.total_cmp(y));
                orders.fold(Ordering::Equal, Ordering::then)
            };
            a.definition
                .name
                .cmp(&b.definition.name)
                .then_with(parameters)
        });
        let mut ranks = vec![0; order.len()];
        for (rank, kind) in order.into_iter().enumerate() {
            ranks[kind] = rank as u32;
        }
        ranks
    }

    /// Takes note that an edge has left a kind.
    pub fn release(&mut self, id: u32) {
        let users = &mut self.users[id as usize];
        *users = users.saturating_sub(1);
    }

    /// A compiled kind.
    #[inline(always)]
    pub fn get(&self, id: u32) -> &CompiledKind {
        &self.kinds[id as usize]
    }
}
