//! Tables over a voltage: one row a bin holds the steady state and the decay factor
//! `exp(-dt/tau)` of every gate, read by linear interpolation between neighbouring rows.
//!
//! At 0.1 mV the largest error of a steady state of the shipped channels is below 1e-5, far
//! under the integrator's own at any step, and a user's channel costs what a shipped one does.

use rayon::prelude::*;

use crate::kinetics::{Program, Variables, eval_removable};
use crate::math;

/// Lowest voltage of a table (mV); gates are constant beyond.
pub const FROM: f64 = -150.0;
/// Highest voltage of a table (mV).
pub const TO: f64 = 150.0;
/// Rows per mV.
pub const PER_MV: f64 = 10.0;
/// Rows of a table.
pub const ROWS: usize = ((TO - FROM) * PER_MV) as usize + 1;

/// Voltage (mV) of row `k`, exact on whole mV.
fn voltage(k: usize) -> f64 {
    (k as f64 + FROM * PER_MV) / PER_MV
}

/// A gate's columns in a table.
pub struct GatePair<'a> {
    /// Column of the steady state.
    pub inf_column: usize,
    /// Column of the decay factor `exp(-dt/tau)`.
    pub decay_column: usize,
    /// Column of the exponent `-dt/tau`, for gates whose tau every neuron scales.
    pub exponent_column: Option<usize>,
    /// Steady state (0..1).
    pub inf: &'a Program,
    /// Time constant (ms).
    pub tau: &'a Program,
}

/// A value no table can hold.
#[derive(Debug)]
pub struct BadValue {
    /// Steady-state column of the gate.
    pub column: usize,
    /// Voltage (mV).
    pub v: f64,
    /// What is out of range and its value; `None`: it is not finite.
    pub what: Option<(&'static str, f64)>,
}

/// Rows over V.
#[derive(Clone, Debug, Default)]
pub struct Table {
    stride: usize,
    rows: Vec<f64>,
}

impl Table {
    /// Samples `gates` for steps of `dt` (ms); `blank` fills a row before.
    ///
    /// # Errors
    /// The first value that is not finite, a steady state outside 0..1, a negative tau.
    pub fn build(
        stride: usize,
        blank: impl Fn(&mut [f64]) + Sync,
        gates: &[GatePair],
        dt: f64,
    ) -> Result<Table, BadValue> {
        let mut rows = vec![0.0; stride * ROWS];
        rows.par_chunks_mut(stride)
            .enumerate()
            .try_for_each(|(k, row)| {
                blank(row);
                gates
                    .iter()
                    .try_for_each(|gate| fill(row, gate, voltage(k), dt))
            })?;
        Ok(Table { stride, rows })
    }

    /// Place of `v` (mV): the bin it lies in and the weight of the bin's upper row. A voltage
    /// outside the table (or none at all) takes the nearest end.
    #[inline(always)]
    pub fn locate(&self, v: f64) -> (usize, f64) {
        let x = ((v - FROM) * PER_MV).max(0.0).min((ROWS - 1) as f64);
        // Within 0..ROWS, so that the narrow conversion, which is one instruction, loses nothing.
        let bin = (x as i32 as usize).min(ROWS - 2);
        (bin, x - bin as f64)
    }

    /// The lower and the upper row of a bin.
    #[inline(always)]
    pub fn rows(&self, bin: usize) -> (&[f64], &[f64]) {
        self.rows[bin * self.stride..(bin + 2) * self.stride].split_at(self.stride)
    }
}

/// Linear interpolation, fused.
#[inline(always)]
pub fn mix(low: f64, high: f64, weight: f64) -> f64 {
    (high - low).mul_add(weight, low)
}

fn fill(row: &mut [f64], gate: &GatePair, v: f64, dt: f64) -> Result<(), BadValue> {
    let bad = |what| BadValue {
        column: gate.inf_column,
        v,
        what,
    };
    // The same row serves membranes (V) and synapses (V_pre).
    let at = |v| Variables {
        v,
        ca: 0.0,
        v_pre: v,
        v_post: 0.0,
    };
    let inf = eval_removable(gate.inf, v, at).ok_or_else(|| bad(None))?;
    let tau = eval_removable(gate.tau, v, at).ok_or_else(|| bad(None))?;
    if !(-1e-9..=1.0 + 1e-9).contains(&inf) {
        return Err(bad(Some(("the steady state", inf))));
    }
    if tau < 0.0 {
        return Err(bad(Some(("the time constant (ms)", tau))));
    }
    // tau = 0 makes the gate instantaneous: -dt/0 = -inf and exp(-inf) = 0. A scaled exponent is
    // interpolated, so it stays finite.
    let exponent = -dt / tau;
    row[gate.inf_column] = inf;
    row[gate.decay_column] = math::exp(exponent);
    if let Some(column) = gate.exponent_column {
        row[column] = exponent.max(-1e6);
    }
    Ok(())
}
