//! Current balance of the membrane:
//!
//! `C dV/dt = I - sum_k g_k (V - E_k)`
//!
//! with C in µF/cm², currents in µA/cm², conductances in mS/cm². Collected as `G = sum g_k` and
//! `GE = sum g_k E_k + I` it is linear in V for fixed gates, so a step with frozen gates is exact:
//! `V(dt) = V + (GE - G V) (dt/C) (1 - exp(-z))/z` with `z = G dt/C` (exponential Euler).

use bevy_ecs::prelude::*;

use crate::math;
use crate::simd::Real;

/// Membrane voltage (mV).
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
#[repr(transparent)]
pub struct Voltage(pub f64);

/// Current applied to a cell (µA/cm²), the path `CELL.I`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct AppliedCurrent(pub f64);

/// Scratch: what acts on the membrane from outside during a stretch. It is set to the applied
/// current before [`Sets::Protocol`](crate::schedule::Sets) and is open to foreign systems until
/// `Advance`; coupling is added to it step by step.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct Input {
    /// Conductance (mS/cm²).
    pub conductance: f64,
    /// Current (µA/cm²), the conductance times its reversal potential included.
    pub current: f64,
}

/// Net inward current (µA/cm²) at `v` (mV) for total conductance `g` (mS/cm²) and drive `ge`
/// (µA/cm²).
#[inline(always)]
pub fn current<T: Real>(v: T, g: T, ge: T) -> T {
    g.mul_add(-v, ge)
}

/// Right-hand side: dV/dt (mV/ms) for total conductance `g` (mS/cm²), drive `ge` (µA/cm²) and
/// capacitance `c` (µF/cm²).
#[inline(always)]
pub fn rate(v: f64, g: f64, ge: f64, c: f64) -> f64 {
    current(v, g, ge) / c
}

/// V (mV) after dt (ms) with the conductances held; `dt_c` is dt/C. Exact for any sign of `g`,
/// also 0.
#[inline(always)]
pub fn step<T: Real>(v: T, g: T, ge: T, dt_c: T) -> T {
    (current(v, g, ge) * dt_c).mul_add(math::relative_decay(g * dt_c), v)
}

/// System: the applied current starts each stretch's input.
pub fn start_input(mut neurons: Query<(&AppliedCurrent, &mut Input)>) {
    for (applied, mut input) in &mut neurons {
        *input.bypass_change_detection() = Input {
            conductance: 0.0,
            current: applied.0,
        };
    }
}
