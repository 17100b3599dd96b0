//! Activity-dependent neuromodulation (arXiv 2412.04172): a PI controller with anti-windup steers
//! each modulated conductance through an intracellular pool p to the reference g_ref that gives
//! the wanted dynamic input conductances,
//!
//! `e = g_ref - g`, `v = Kp e + Ki z`, `u = min(v, u_max)`,
//! `dp/dt = alpha (g - p) - beta p + u`, `dg/dt = alpha (p - g)`, `dz/dt = e + Kt (u - v)`
//!
//! with g and p in mS/cm², rates in 1/ms. g_ref is solved anew from the conductances as they are
//! ([`crate::dic`]), so the controller follows homeostasis.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::channels::{
    Block, CellType, CellTypeId, CellTypes, Gbar, NegativeConductance, Parameters,
};
use crate::dic::Compensation;
use crate::homeostasis::{BelowZero, SHARE};
use crate::parallel::each;
use crate::schedule::{Clock, NeuronIndex};

/// One modulated conductance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Modulated {
    /// Lane of the channel.
    pub lane: usize,
    /// Pool (mS/cm²).
    pub pool: f64,
    /// The controller's conductance (mS/cm²), written to `Gbar` while it is on.
    pub conductance: f64,
    /// Integral of the error (mS/cm² ms).
    pub integral: f64,
    /// Whether this channel is modulated now.
    pub on: bool,
}

/// Gains and rates of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gains {
    /// Proportional gain (1/ms).
    pub kp: f64,
    /// Integral gain (1/ms²).
    pub ki: f64,
    /// Anti-windup gain (ms).
    pub kt: f64,
    /// Actuator limit (mS/cm² per ms).
    pub u_max: f64,
    /// Exchange between pool and membrane (1/ms).
    pub alpha: f64,
    /// Degradation (1/ms).
    pub beta: f64,
}

/// Controller of one cell.
#[derive(Component, Clone, Debug, Serialize, Deserialize)]
#[component(storage = "SparseSet")]
pub struct Controller {
    /// Target slow DIC.
    pub g_s: f64,
    /// Target ultraslow DIC.
    pub g_u: f64,
    /// Gains and rates.
    pub gains: Gains,
    /// Threshold voltage (mV) at which the references are solved.
    pub v_th: f64,
    /// The two modulated conductances.
    pub channels: [Modulated; 2],
    /// Scratch: what the solve needs of the cell at V_th; rebuilt when kinetics or V_th change.
    #[serde(skip)]
    pub plan: Option<Compensation>,
}

/// What is scratch does not count.
impl PartialEq for Controller {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |c: &Self| (c.g_s, c.g_u, c.gains, c.v_th);
        numbers(self) == numbers(other) && self.channels == other.channels
    }
}

/// State (g, pool, integral) of one modulated conductance.
pub type State = [f64; 3];

/// Right-hand side: rates of (g, pool, integral) for the reference `g_ref` (mS/cm²).
#[inline(always)]
pub fn rates(gains: &Gains, g_ref: f64, [g, pool, integral]: State) -> State {
    let error = g_ref - g;
    let wanted = gains.kp * error + gains.ki * integral;
    let u = wanted.min(gains.u_max);
    [
        gains.alpha * (pool - g),
        gains.alpha * (g - pool) - gains.beta * pool + u,
        error + gains.kt * (u - wanted),
    ]
}

impl Modulated {
    /// State as the right-hand side takes it.
    pub fn state(&self) -> State {
        [self.conductance, self.pool, self.integral]
    }

    /// Advances by `dt` (ms) towards `g_ref` by the midpoint rule; the fastest closed-loop time
    /// constant of the published gains is 76 ms.
    pub fn advance(&mut self, gains: &Gains, g_ref: f64, dt: f64) {
        let x = self.state();
        let slope = rates(gains, g_ref, x);
        let half = std::array::from_fn(|k| x[k] + 0.5 * dt * slope[k]);
        let slope = rates(gains, g_ref, half);
        self.conductance = x[0] + dt * slope[0];
        self.pool = x[1] + dt * slope[1];
        self.integral = x[2] + dt * slope[2];
    }
}

impl Controller {
    /// Whether any of its channels is modulated now.
    pub fn on(&self) -> bool {
        self.channels.iter().any(|c| c.on)
    }

    /// References (mS/cm²) of the two channels for the conductances as they are; `None`: the
    /// solve is singular, or the cell type has no DIC definition.
    pub fn references(
        &mut self,
        cell: &CellType,
        parameters: &[f64],
        gbar: &[f64],
        seen: &[f64],
    ) -> Option<[f64; 2]> {
        if self.plan.is_none() {
            let lanes = [self.channels[0].lane, self.channels[1].lane];
            self.plan = Compensation::new(cell, self.v_th, &cell.tau_factors(parameters), lanes);
        }
        self.plan
            .as_ref()?
            .reference(cell, gbar, seen, [self.g_s, self.g_u])
    }
}

impl Controller {
    /// Solves the references and moves the conductances `gbar` (mS/cm², by lane) over an interval
    /// (ms), every current multiplied by `seen` (1 unless blocked); which lanes fell below zero
    /// (bit k: lane k). A singular solve (a modulated channel is blocked) leaves them where they
    /// are.
    pub fn modulate(
        &mut self,
        (cell, parameters): (&CellType, &[f64]),
        seen: &[f64],
        interval: f64,
        rule: NegativeConductance,
        gbar: &mut [f64],
    ) -> u32 {
        if !self.on() {
            return 0;
        }
        let Some(references) = self.references(cell, parameters, gbar, seen) else {
            return 0;
        };
        let mut fallen = 0;
        for (channel, g_ref) in self.channels.iter_mut().zip(references) {
            if channel.on {
                channel.advance(&self.gains, g_ref, interval);
                let fell = rule.keep(&mut channel.conductance);
                fallen |= u32::from(fell) << channel.lane;
                gbar[channel.lane] = channel.conductance;
            }
        }
        fallen
    }
}

/// System: solves every controller's references and moves its conductances over the control
/// interval.
pub fn modulate<const W: usize>(
    clock: Res<Clock>,
    types: Res<CellTypes>,
    mut below: ResMut<BelowZero>,
    mut neurons: Query<(
        &NeuronIndex,
        &CellTypeId,
        &Parameters,
        &NegativeConductance,
        &Block<W>,
        &mut Controller,
        &mut Gbar<W>,
    )>,
) {
    let Some(interval) = clock.due() else { return };
    let fallen = each(
        neurons.iter_mut(),
        SHARE,
        |(index, id, parameters, rule, block, mut controller, mut gbar)| {
            let cell = (types.get(*id), &parameters.0[..]);
            let (seen, gbar) = (&block.seen.0, &mut gbar.0.0);
            (
                *index,
                controller.modulate(cell, seen, interval, *rule, gbar),
            )
        },
    );
    for (index, fallen) in fallen {
        below.note(index, fallen, clock.now());
    }
}
