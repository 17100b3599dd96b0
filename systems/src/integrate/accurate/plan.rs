//! A cell type as the accurate scheme reads it, and the record of a neuron's numbers that goes with it.
//!
//! A record holds the state (V, Ca, gates, states of kinetic schemes, integral of Ca) and then what stands still during a
//! window: conductances by channel, calcium influx by carrier, factors on rates, then conductance
//! and current from outside as parabolas of time, and last the part of them that coupling is added
//! to.

use super::table::SmoothTable;
use crate::channels::{CellType, Gate, Pool};
use crate::kinetics::{Program, Variables, eval_removable};
use crate::membrane::Input;

/// Fastest rate of a gate (1/ms): an instantaneous gate follows within 0.1 µs.
pub const FASTEST: f64 = 1e4;

/// Coefficients of the conductance and then of the current from outside.
pub const INPUT: usize = 6;

/// A gate.
#[derive(Clone, Debug)]
pub struct PlanGate {
    /// Lane of its channel.
    pub lane: usize,
    /// 0 activation, 1 inactivation.
    pub slot: usize,
    /// Place of the neuron's factor on its rate among the fixed numbers, if it has one.
    pub rate: Option<usize>,
}

/// Where a channel's current reverses.
#[derive(Clone, Copy, Debug)]
pub enum Reversal {
    /// At a voltage (mV).
    Fixed(f64),
    /// At a slope (mV) times the logarithm of an outside concentration (µM) over Ca.
    Nernst(f64, f64),
}

/// A channel.
#[derive(Clone, Debug)]
pub struct PlanChannel {
    /// Lane.
    pub lane: usize,
    /// Place of its calcium influx among the fixed numbers, if it carries calcium.
    pub influx: Option<usize>,
    /// Reversal.
    pub reversal: Reversal,
    /// Its gates with their exponents.
    pub gates: [Option<(usize, u8)>; 2],
    /// Place of its kinetic scheme among those of the cell type, if it has one.
    pub scheme: Option<usize>,
}

/// A kinetic scheme.
#[derive(Clone, Debug)]
pub struct PlanScheme {
    /// Place of its first state among the variables.
    pub first: usize,
    /// Number of states.
    pub states: usize,
    /// States that conduct.
    pub conducting: Vec<usize>,
    /// States that are left and entered, with the column of the table that holds the rate.
    pub transitions: Vec<(usize, usize, usize)>,
}

/// A gate that no table serves.
#[derive(Clone, Debug)]
pub struct DirectGate {
    /// Place among the gates.
    pub place: usize,
    /// The gate itself.
    pub gate: Gate,
}

/// A cell type.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Gates, those of the table first.
    pub gates: Vec<PlanGate>,
    /// Number of gates in the table.
    pub tabulated: usize,
    /// Steady state over tau of each tabulated gate, then 1/tau of each, then the rates of kinetic
    /// schemes.
    pub table: SmoothTable,
    /// Factors of calcium on tabulated steady states, by gate.
    pub calcium: Vec<(usize, Program)>,
    /// Gates of V and Ca.
    pub direct: Vec<DirectGate>,
    /// Gates whose rate depends on calcium.
    pub reads_calcium: Vec<usize>,
    /// Gates of channels that carry calcium.
    pub carriers: Vec<usize>,
    /// Channels.
    pub channels: Vec<PlanChannel>,
    /// Kinetic schemes.
    pub schemes: Vec<PlanScheme>,
    /// Calcium pool.
    pub pool: Option<Pool>,
    /// Membrane capacitance (µF/cm²).
    pub capacitance: f64,
    /// Number of fixed numbers.
    pub fixed: usize,
}

/// 1/tau (1/ms), bounded.
pub fn rate(tau: f64) -> f64 {
    (1.0 / tau).min(FASTEST)
}

/// The kinetic schemes of a cell type, the rates of which have columns from `column` on; and the
/// number of columns with them.
fn plan_schemes(cell: &CellType, mut column: usize) -> (Vec<PlanScheme>, usize) {
    let variables = 2 + cell.gates.len();
    let schemes = cell.schemes.iter().map(|scheme| PlanScheme {
        first: variables + scheme.first,
        states: scheme.len(),
        conducting: (0..scheme.len())
            .filter(|state| scheme.conducting[*state])
            .collect(),
        transitions: scheme
            .transitions()
            .map(|(from, to)| {
                column += 1;
                (from, to, column - 1)
            })
            .collect(),
    });
    (schemes.collect(), column)
}

impl Plan {
    /// Reads a cell type.
    pub fn new(cell: &CellType) -> Self {
        let is = |a: &Gate, b: &Gate| a.lane == b.lane && a.slot == b.slot;
        let direct: Vec<&Gate> = cell.gates.iter().filter(|g| g.is_direct()).collect();
        let (at_end, in_table): (Vec<&Gate>, Vec<&Gate>) = cell
            .gates
            .iter()
            .partition(|gate| direct.iter().any(|d| is(d, gate)));
        let tabulated = in_table.len();
        let (schemes, columns) = plan_schemes(cell, 2 * tabulated);
        let table = SmoothTable::build(columns, |v, row| {
            for (k, gate) in in_table.iter().enumerate() {
                let (inf, tau) = gate.programs();
                let at = |v| Variables::membrane(v, 0.0);
                let value = |p| eval_removable(p, v, at).unwrap_or(f64::NAN);
                let rate = rate(value(tau));
                row[k] = value(inf) * rate;
                row[tabulated + k] = rate;
            }
            for (plan, scheme) in schemes.iter().zip(&cell.schemes) {
                for (k, (_, _, column)) in plan.transitions.iter().enumerate() {
                    row[*column] = scheme.rate(k, v);
                }
            }
        });
        let order: Vec<&Gate> = in_table.into_iter().chain(at_end).collect();
        let place = |gate: &Gate| order.iter().position(|g| is(g, gate));
        let mut fixed = cell.channels();
        let mut channels = Vec::new();
        for lane in 0..cell.channels() {
            let influx = (cell.carries_calcium[lane] != 0.0).then(|| {
                fixed += 1;
                fixed - 1
            });
            let gate = |slot: usize| {
                let found = order
                    .iter()
                    .position(|g| g.lane == lane && g.slot as usize == slot);
                found.map(|k| (k, order[k].power))
            };
            channels.push(PlanChannel {
                lane,
                influx,
                reversal: match cell.nernst[lane] {
                    Some((slope, outside)) => Reversal::Nernst(slope, outside),
                    None => Reversal::Fixed(cell.reversal[lane]),
                },
                gates: [gate(0), gate(1)],
                scheme: cell.schemes.iter().position(|s| s.lane == lane),
            });
        }
        let gates: Vec<PlanGate> = order
            .iter()
            .map(|gate| PlanGate {
                lane: gate.lane,
                slot: gate.slot as usize,
                rate: gate.is_scaled().then(|| {
                    fixed += 1;
                    fixed - 1
                }),
            })
            .collect();
        let factors = cell.gates.iter().map(|g| (g, g.calcium_factor()));
        let list =
            |holds: &dyn Fn(&Gate) -> bool| (0..order.len()).filter(|k| holds(order[*k])).collect();
        Plan {
            tabulated,
            table,
            calcium: factors
                .filter_map(|(gate, factor)| Some((place(gate)?, factor?.clone())))
                .collect(),
            direct: (tabulated..order.len())
                .map(|place| DirectGate {
                    place,
                    gate: order[place].clone(),
                })
                .collect(),
            reads_calcium: list(&|gate| gate.reads_calcium),
            carriers: list(&|gate| cell.carries_calcium[gate.lane] != 0.0),
            gates,
            channels,
            schemes,
            pool: cell.pool,
            capacitance: cell.definition.capacitance,
            fixed,
        }
    }

    /// Number of variables that have rates: V, Ca, the gates and the states of kinetic schemes.
    pub fn variables(&self) -> usize {
        let states: usize = self.schemes.iter().map(|scheme| scheme.states).sum();
        self.first_state() + states
    }

    /// Place of the first state of a kinetic scheme among the variables.
    pub fn first_state(&self) -> usize {
        2 + self.gates.len()
    }

    /// First of the fixed numbers in a record; the integral of Ca stands before it.
    pub fn first_fixed(&self) -> usize {
        self.variables() + 1
    }

    /// First coefficient of the coupling in a record.
    pub fn first_input(&self) -> usize {
        self.first_fixed() + self.fixed
    }

    /// Numbers of a record.
    pub fn record(&self) -> usize {
        self.first_input() + INPUT + 2
    }

    /// Writes what is held over a stretch into a record.
    pub fn hold_input(&self, record: &mut [f64], held: Input) {
        let first = self.first_input();
        record[first] = held.conductance;
        record[first + INPUT / 2] = held.current;
        record[first + INPUT] = held.conductance;
        record[first + INPUT + 1] = held.current;
    }
}
