//! Tables over a voltage: one row a bin holds the steady state and the decay factor
//! `exp(-dt/tau)` of every gate at its lower end, each with its rise to the upper end, so that
//! linear interpolation is one fused operation on what lies side by side.
//!
//! At 0.1 mV the largest error of a steady state of the shipped channels is below 1e-5 (3e-5 for the
//! one that rises within 2 mV, CaL of the dopamine cell), far under the integrator's own at any step,
//! and a user's channel costs what a shipped one does.

use std::sync::Arc;

use rayon::prelude::*;

use crate::kinetics::{Program, Variables, eval_removable};
use crate::math;
use crate::simd::{Eight, LANES, Real, Simd};

/// Lowest voltage of a table (mV); gates are constant beyond.
pub const FROM: f64 = -150.0;
/// Highest voltage of a table (mV).
pub const TO: f64 = 150.0;
/// Rows per mV.
pub const PER_MV: f64 = 10.0;
/// Rows of a table.
pub const ROWS: usize = ((TO - FROM) * PER_MV) as usize + 1;
/// The last place of a table: just below the last row, so that its bin is the last one.
const LAST: f64 = (ROWS - 1) as f64 * (1.0 - f64::EPSILON);

/// Voltage (mV) of row `k`, exact on whole mV.
fn voltage(k: usize) -> f64 {
    (k as f64 + FROM * PER_MV) / PER_MV
}

/// A gate to be sampled.
pub struct TabulatedGate<'a> {
    /// What a bad value of this gate is reported by.
    pub column: usize,
    /// Steady state (0..1).
    pub inf: &'a Program,
    /// Time constant (ms).
    pub tau: &'a Program,
}

/// A value no table can hold.
#[derive(Debug)]
pub struct BadValue {
    /// [`TabulatedGate::column`] of the gate.
    pub column: usize,
    /// Voltage (mV).
    pub v: f64,
    /// What is out of range, its value and what it may be; `None`: it is not finite.
    pub what: Option<(&'static str, f64, &'static str)>,
}

impl TabulatedGate<'_> {
    /// Steady state and time constant (ms) at `v` (mV).
    ///
    /// # Errors
    /// What is not finite, a steady state outside 0..1, a negative tau.
    pub fn sample(&self, v: f64) -> Result<(f64, f64), BadValue> {
        let bad = |what| BadValue {
            column: self.column,
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
        let inf = eval_removable(self.inf, v, at).ok_or_else(|| bad(None))?;
        let tau = eval_removable(self.tau, v, at).ok_or_else(|| bad(None))?;
        if !(-1e-9..=1.0 + 1e-9).contains(&inf) {
            return Err(bad(Some(("the steady state", inf, "0 to 1"))));
        }
        if tau < 0.0 {
            return Err(bad(Some(("the time constant (ms)", tau, "0 or more"))));
        }
        Ok((inf, tau))
    }
}

/// Decay factor of a step of `dt` (ms). tau = 0 makes a gate instantaneous: -dt/0 = -inf and
/// exp(-inf) = 0.
pub fn decay(tau: f64, dt: f64) -> f64 {
    math::exp(-dt / tau)
}

/// Exponent -dt/tau of a decay factor that is found by interpolation, so it stays finite.
pub fn exponent(tau: f64, dt: f64) -> f64 {
    (-dt / tau).max(-1e6)
}

/// Rows over V. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Arc<Vec<f64>>,
    /// Where the first row begins: on a cache line.
    start: usize,
}

impl Table {
    /// Samples columns of `width` numbers: `fill` gets the `width * columns` numbers of a place, all
    /// 0, and its voltage (mV). A row holds, for each column, its values and then their rises.
    ///
    /// # Errors
    /// What `fill` cannot do.
    pub fn build(
        width: usize,
        columns: usize,
        fill: impl Fn(&mut [f64], f64) -> Result<(), BadValue> + Sync,
    ) -> Result<Table, BadValue> {
        let numbers = width * columns;
        if numbers == 0 {
            return Ok(Table::default());
        }
        let mut samples = vec![0.0; numbers * ROWS];
        samples
            .par_chunks_mut(numbers)
            .enumerate()
            .try_for_each(|(k, row)| fill(row, voltage(k)))?;
        let bins = 2 * numbers * (ROWS - 1);
        let mut rows = vec![0.0; bins + LANES];
        let start = rows.as_ptr().align_offset(64).min(LANES);
        let ends = samples
            .chunks(numbers)
            .zip(samples[numbers..].chunks(numbers));
        for (row, (low, high)) in rows[start..start + bins].chunks_mut(2 * numbers).zip(ends) {
            let values = low.chunks(width).zip(high.chunks(width));
            for (column, (low, high)) in row.chunks_mut(2 * width).zip(values) {
                let (value, rise) = column.split_at_mut(width);
                value.copy_from_slice(low);
                for (rise, (low, high)) in rise.iter_mut().zip(low.iter().zip(high)) {
                    *rise = high - low;
                }
            }
        }
        Ok(Table {
            rows: Arc::new(rows),
            start,
        })
    }

    /// All rows, one after another.
    #[inline(always)]
    pub fn numbers(&self) -> &[f64] {
        &self.rows[self.start..]
    }
}

/// Place of `v` (mV) in rows.
#[inline(always)]
fn place<T: Real>(v: T) -> T {
    let zero = v.constant(0.0);
    let x = (v - v.constant(FROM)) * v.constant(PER_MV);
    let x = zero.if_less(x, x, zero);
    x.if_less(v.constant(LAST), x, v.constant(LAST))
}

/// Places of eight voltages (mV): the bins they lie in and how far from the bin's lower row to the
/// upper one. A voltage outside the table (or none at all) takes the nearest end.
#[inline(always)]
pub fn locate<S: Simd>(v: Eight<S>) -> ([i32; LANES], Eight<S>) {
    let x = place(v);
    let (whole, bins) = x.whole();
    (bins, x - whole)
}

/// Linear interpolation, fused.
#[inline(always)]
pub fn mix<T: Real>(low: T, high: T, weight: T) -> T {
    (high - low).mul_add(weight, low)
}
