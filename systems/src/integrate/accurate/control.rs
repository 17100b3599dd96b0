//! Step control: how long the next step of a neuron is.

use serde::{Deserialize, Serialize};

/// Longest step (ms).
pub const LONGEST: f64 = 5.0;
/// Smallest error that the step control reckons with, in units of the tolerance.
const LEAST_ERROR: f64 = 1e-10;
/// Smallest error that it remembers.
pub const LEAST_MEMORY: f64 = 1e-4;

/// State of the step control of a neuron. Part of the state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adaptive {
    /// Step (ms) to try next.
    pub h: f64,
    /// Error of the last step that nothing cut short, in units of the tolerance.
    pub before: f64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Adaptive {
            h: 1e-3,
            before: LEAST_MEMORY,
        }
    }
}

/// Base-2 logarithm of a positive number to 0.01: enough for step control, and cheap.
#[inline(always)]
fn rough_log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as f64 - 1023.0;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    exponent + (2.0 - mantissa / 3.0).mul_add(mantissa, -5.0 / 3.0)
}

/// 2 to the power `x` to 0.3 %, for |x| < 1000.
#[inline(always)]
fn rough_exp2(x: f64) -> f64 {
    let whole = x.floor();
    let rest = x - whole;
    let mantissa = 0.343_5_f64.mul_add(rest, 0.656_5).mul_add(rest, 1.0);
    mantissa * f64::from_bits(((whole + 1023.0) as u64) << 52)
}

/// log2 0.9
const SAFETY: f64 = -0.152_003_093_445_049_98;

/// Factor on the step after one that passed with `error`, by the rule of a PI controller.
#[inline(always)]
pub fn growth(error: f64, before: f64) -> f64 {
    let memory = 0.1 * rough_log2(before);
    let exponent = (-0.7 / 3.0_f64).mul_add(rough_log2(error.max(LEAST_ERROR)), memory + SAFETY);
    rough_exp2(exponent).clamp(0.2, 5.0)
}

/// Factor on the step after one that failed; an error that is no number is of infinite size.
#[inline(always)]
pub fn shrinkage(error: f64) -> f64 {
    if error.is_finite() {
        rough_exp2((-1.0 / 3.0_f64).mul_add(rough_log2(error), SAFETY)).max(0.1)
    } else {
        0.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rough_functions_are_near() {
        for k in -300..300 {
            let x = 1.07_f64.powi(k);
            assert!((rough_log2(x) - libm::log2(x)).abs() < 0.01, "{x}");
            let y = 0.1 * f64::from(k);
            assert!((rough_exp2(y) / libm::exp2(y) - 1.0).abs() < 0.004, "{y}");
        }
    }
}
