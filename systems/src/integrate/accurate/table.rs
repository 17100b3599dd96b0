//! Smooth tables: piecewise cubics over a voltage whose value and slope are continuous, so that a
//! Jacobian taken from them is exactly that of the right-hand side.

use crate::channels::Lane;
use crate::simd::LANES;
use crate::table::{FROM, TO};

/// Bins per mV. At 0.5 mV the error of a steady state of the shipped channels is about 3e-7; 0.25
/// and 1 mV give the same spike times to 0.001 ms at any tolerance from 1e-4 up.
pub const PER_MV: f64 = 2.0;
/// Bins of a table.
pub const BINS: usize = ((TO - FROM) * PER_MV) as usize;
/// Distance (mV) of the points that slopes are found from.
const ASIDE: f64 = 1.0 / 64.0;
/// How much steeper than both neighbouring secants a slope may be: more is a jump, and would make
/// the cubic swing.
const STEEPEST: f64 = 1.5;

/// Columns over V, eight to a group; of each bin the four coefficients of each group.
#[derive(Clone, Debug, Default)]
pub struct SmoothTable {
    groups: usize,
    coefficients: Vec<Lane<LANES>>,
}

impl SmoothTable {
    /// Samples `columns` functions of V (mV); `sample` writes their values.
    pub fn build(columns: usize, sample: impl Fn(f64, &mut [f64])) -> Self {
        let groups = columns.div_ceil(LANES);
        let at = |v: f64| {
            let mut row = vec![0.0; columns];
            sample(v, &mut row);
            row
        };
        let node = |k: usize| FROM + k as f64 / PER_MV;
        let values: Vec<Vec<f64>> = (0..=BINS).map(|k| at(node(k))).collect();
        let slopes: Vec<Vec<f64>> = (0..=BINS)
            .map(|k| {
                let v = node(k);
                let [a, b, c, d] = [-2.0, -1.0, 1.0, 2.0].map(|n| at(v + n * ASIDE));
                let secant = |k: usize, j: usize| (values[k + 1][j] - values[k][j]) * PER_MV;
                (0..columns)
                    .map(|j| {
                        let left = secant(k.saturating_sub(1), j);
                        let right = secant(k.min(BINS - 1), j);
                        let limit = STEEPEST * left.abs().max(right.abs());
                        let slope = (8.0 * (c[j] - b[j]) - (d[j] - a[j])) / (12.0 * ASIDE);
                        if slope.is_finite() {
                            slope.clamp(-limit, limit)
                        } else {
                            0.5 * (left + right)
                        }
                    })
                    .collect()
            })
            .collect();
        let mut coefficients = vec![Lane::splat(0.0); BINS * groups * 4];
        for bin in 0..BINS {
            for j in 0..columns {
                let (from, to) = (values[bin][j], values[bin + 1][j]);
                let (left, right) = (slopes[bin][j] / PER_MV, slopes[bin + 1][j] / PER_MV);
                let rise = to - from;
                let cubic = [
                    from,
                    left,
                    3.0 * rise - 2.0 * left - right,
                    left + right - 2.0 * rise,
                ];
                let first = (bin * groups + j / LANES) * 4;
                for (power, c) in cubic.into_iter().enumerate() {
                    coefficients[first + power].0[j % LANES] = c;
                }
            }
        }
        SmoothTable {
            groups,
            coefficients,
        }
    }

    /// Number of groups of eight columns.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Coefficients of all groups in a bin, four rows a group.
    #[inline(always)]
    pub fn bin(&self, bin: usize) -> &[Lane<LANES>] {
        &self.coefficients[bin * self.groups * 4..(bin + 1) * self.groups * 4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first column at `v` (mV).
    fn first(table: &SmoothTable, v: f64) -> f64 {
        let x = ((v - FROM) * PER_MV).clamp(0.0, BINS as f64);
        let bin = (x as usize).min(BINS - 1);
        let [a, b, c, d] = [0, 1, 2, 3].map(|k| table.bin(bin)[k].0[0]);
        let x = x - bin as f64;
        ((d * x + c) * x + b) * x + a
    }

    #[test]
    fn a_smooth_function_is_met_to_the_fourth_order() {
        let f = |v: f64| crate::math::tanh((v + 40.0) / 9.0);
        let table = SmoothTable::build(1, |v, row| row[0] = f(v));
        for k in 0..6000 {
            let v = -149.97 + 0.05 * f64::from(k);
            let found = first(&table, v);
            assert!((found - f(v)).abs() < 1e-6, "{v}: {found} {}", f(v));
        }
    }

    #[test]
    fn a_jump_does_not_swing() {
        let table = SmoothTable::build(1, |v, row| row[0] = if v > -40.0 { 1.0 } else { 0.0 });
        for k in 0..1000 {
            let a = first(&table, -45.0 + 0.01 * f64::from(k));
            assert!((-0.25..=1.25).contains(&a), "{a}");
        }
    }
}
