//! Calcium pool: `tau dCa/dt = -f I_Ca - Ca + Ca_rest` (Liu et al. 1998), Ca in µM, I_Ca the
//! calcium current density (µA/cm², inward negative), f in µM per µA/cm².
//!
//! A step holds the influx at the mean of its ends: new gates, and the mean of the old and the new
//! voltage.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::channels::Pool;
use crate::math;
use crate::simd::Real;

/// Calcium concentration (µM).
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
#[repr(transparent)]
pub struct Calcium(pub f64);

/// Integral of calcium (µM ms).
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CalciumIntegral {
    /// Since the last control tick.
    pub since_tick: f64,
    /// From the start to the last control tick.
    pub before: f64,
}

impl CalciumIntegral {
    /// From the start until now (µM ms).
    pub fn total(&self) -> f64 {
        self.before + self.since_tick
    }

    /// Ends a control interval (ms); the mean (µM) over it.
    #[inline]
    pub fn sense(&mut self, interval: f64) -> SensedCalcium {
        let mean = self.since_tick / interval;
        self.before += self.since_tick;
        self.since_tick = 0.0;
        SensedCalcium(mean)
    }
}

/// Concentration (µM) at which a constant calcium current `i_ca` (µA/cm²) holds the pool.
#[inline(always)]
pub fn equilibrium<T: Real>(pool: &Pool, i_ca: T) -> T {
    i_ca.constant(-pool.influx)
        .mul_add(i_ca, i_ca.constant(pool.rest))
}

/// Right-hand side: dCa/dt (µM/ms).
#[inline(always)]
pub fn rate(pool: &Pool, ca: f64, i_ca: f64) -> f64 {
    (equilibrium(pool, i_ca) - ca) / pool.tau
}

/// Ca (µM) after a step with the mean current `i_ca` (µA/cm²); `decay` is `exp(-dt/tau)`.
#[inline(always)]
pub fn step<T: Real>(pool: &Pool, ca: T, i_ca: T, decay: T) -> T {
    let target = equilibrium(pool, i_ca);
    (ca - target).mul_add(decay, target)
}

/// Calcium Nernst potential (mV): `slope ln(outside/Ca)`. Concentrations below 1e-9 µM count as
/// that, so that a pool driven to zero gives a large potential and no infinity.
#[inline]
pub fn nernst(slope: f64, outside: f64, ca: f64) -> f64 {
    slope * math::ln(outside / ca.max(1e-9))
}

/// Mean calcium (µM) of the last control interval: what homeostasis senses.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
#[repr(transparent)]
pub struct SensedCalcium(pub f64);

/// System: takes the mean of the control interval and starts the next one.
pub fn sense(
    clock: Res<crate::schedule::Clock>,
    mut neurons: Query<(&mut CalciumIntegral, &mut SensedCalcium)>,
) {
    let Some(interval) = clock.due() else { return };
    for (mut integral, mut sensed) in &mut neurons {
        *sensed.bypass_change_detection() = integral.bypass_change_detection().sense(interval);
    }
}
