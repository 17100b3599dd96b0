//! Tables over a voltage: one row a bin holds the steady state and the decay factor
//! `exp(-dt/tau)` of every gate, read by linear interpolation between neighbouring rows.
//!
//! At 0.1 mV the largest error of a steady state of the shipped channels is below 1e-5, far
//! under the integrator's own at any step, and a user's channel costs what a shipped one does.

use std::sync::Arc;

use rayon::prelude::*;

use crate::kinetics::{Program, Variables, eval_removable};
use crate::math;
use crate::simd::{Eight, LANES, Real, Row, Simd};

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
    stride: usize,
    rows: Arc<Vec<f64>>,
    /// Where the first row begins: on a cache line.
    start: usize,
}

impl Table {
    /// Fills rows of `stride` numbers; `fill` gets a row of zeros and its voltage (mV).
    ///
    /// # Errors
    /// What `fill` cannot do.
    pub fn build(
        stride: usize,
        fill: impl Fn(&mut [f64], f64) -> Result<(), BadValue> + Sync,
    ) -> Result<Table, BadValue> {
        if stride == 0 {
            return Ok(Table::default());
        }
        let mut rows = vec![0.0; stride * ROWS + LANES];
        let start = rows.as_ptr().align_offset(64).min(LANES);
        rows[start..start + stride * ROWS]
            .par_chunks_mut(stride)
            .enumerate()
            .try_for_each(|(k, row)| fill(row, voltage(k)))?;
        Ok(Table {
            stride,
            rows: Arc::new(rows),
            start,
        })
    }

    /// All rows, one after another.
    #[inline(always)]
    pub fn numbers(&self) -> &[f64] {
        &self.rows[self.start..]
    }

    /// Place of `v` (mV): the bin it lies in and the weight of the bin's upper row. A voltage
    /// outside the table (or none at all) takes the nearest end.
    #[inline(always)]
    pub fn locate(&self, v: f64) -> (usize, f64) {
        let x = place(v);
        // Within 0..ROWS, so that the narrow conversion, which is one instruction, loses nothing.
        let bin = x as i32;
        (bin as usize, x - f64::from(bin))
    }

    /// The lower and the upper row of a bin.
    #[inline(always)]
    pub fn rows(&self, bin: usize) -> (&[f64], &[f64]) {
        self.numbers()[bin * self.stride..(bin + 2) * self.stride].split_at(self.stride)
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

/// [`Table::locate`] of eight voltages.
#[inline(always)]
pub fn locate_eight<S: Simd>(v: Eight<S>) -> ([i32; LANES], Row) {
    let x = place(v);
    let (whole, bins) = x.whole();
    (bins, (x - whole).array())
}

/// Linear interpolation, fused.
#[inline(always)]
pub fn mix<T: Real>(low: T, high: T, weight: T) -> T {
    (high - low).mul_add(weight, low)
}
