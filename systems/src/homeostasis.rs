//! Integral calcium homeostasis of maximal conductances (O'Leary et al. 2014, in the form of
//! arXiv 2412.04172): each regulated conductance k has an mRNA m_k and follows
//!
//! `dm_k/dt = (Ca_target - Ca)/tau_k`, `dg_k/dt = (m_k - g_k)/tau_g`,
//! `tau_k = tau_Na g_Na(0)/g_k(0)`
//!
//! with m and g in mS/cm², Ca in µM, tau_Na in ms µM/(mS/cm²). A conductance that starts at 0
//! stays at 0. All regulated conductances of a cell therefore keep their ratios.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::calcium::SensedCalcium;
use crate::channels::{Gbar, NegativeConductance};
use crate::parallel::each;
use crate::schedule::{Clock, NeuronIndex};

/// One regulated conductance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regulated {
    /// Lane of the channel.
    pub lane: usize,
    /// g_k(0)/g_Na(0), frozen at the start; tau_k = tau_Na / ratio.
    pub ratio: f64,
    /// mRNA (mS/cm²).
    pub mrna: f64,
    /// The regulator's conductance (mS/cm²), written to `Gbar` while it is on.
    pub conductance: f64,
    /// Whether this channel is regulated now.
    pub on: bool,
}

/// Target and time constants of a cell's homeostasis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Target calcium (µM).
    pub ca_target: f64,
    /// Time constant from mRNA to membrane (ms).
    pub tau_g: f64,
    /// Integral time constant of the reference channel (ms µM per mS/cm²).
    pub tau_na: f64,
}

/// Homeostasis of one cell.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[component(storage = "SparseSet")]
pub struct Homeostat {
    /// Target and time constants.
    pub settings: Settings,
    /// Regulated conductances, in lane order.
    pub channels: Vec<Regulated>,
}

/// Right-hand side: rates (mS/cm² per ms) of mRNA `mrna` and conductance `g` at calcium `ca` (µM);
/// `ratio` is g_k(0)/g_Na(0).
#[inline(always)]
pub fn rates(settings: &Settings, ratio: f64, ca: f64, [mrna, g]: [f64; 2]) -> [f64; 2] {
    // Whatever is the same for all conductances of a cell stands apart: divisions are slow.
    let (drive, rate) = (
        (settings.ca_target - ca) / settings.tau_na,
        1.0 / settings.tau_g,
    );
    [drive * ratio, (mrna - g) * rate]
}

impl Regulated {
    /// Advances by `dt` (ms) at the mean calcium `ca` (µM) by the midpoint rule: exact in the
    /// mRNA, an error of order (dt/tau_g)³ in the conductance.
    pub fn advance(&mut self, settings: &Settings, ca: f64, dt: f64) {
        let x = [self.mrna, self.conductance];
        let slope = rates(settings, self.ratio, ca, x);
        let half = [x[0] + 0.5 * dt * slope[0], x[1] + 0.5 * dt * slope[1]];
        let slope = rates(settings, self.ratio, ca, half);
        self.mrna = x[0] + dt * slope[0];
        self.conductance = x[1] + dt * slope[1];
    }
}

impl Homeostat {
    /// Moves mRNA and the conductances `gbar` (mS/cm², by lane) over an interval (ms) with mean
    /// calcium `ca` (µM); which lanes fell below zero (bit k: lane k).
    pub fn regulate(
        &mut self,
        ca: f64,
        interval: f64,
        rule: NegativeConductance,
        gbar: &mut [f64],
    ) -> u32 {
        let mut fallen = 0;
        for channel in self.channels.iter_mut().filter(|c| c.on) {
            channel.advance(&self.settings, ca, interval);
            let fell = rule.keep(&mut channel.conductance);
            fallen |= u32::from(fell) << channel.lane;
            gbar[channel.lane] = channel.conductance;
        }
        fallen
    }
}

/// Conductances that have fallen below zero: (neuron, lane) with the time (ms) of the first fall.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BelowZero {
    falls: Vec<(NeuronIndex, usize, f64)>,
    /// Lanes that have fallen, as bits, by neuron.
    fallen: Vec<u32>,
}

impl BelowZero {
    /// The first falls so far, by time, neuron and lane.
    pub fn falls(&self) -> Vec<(NeuronIndex, usize, f64)> {
        let mut falls = self.falls.clone();
        falls.sort_by(|a, b| a.2.total_cmp(&b.2).then((a.0, a.1).cmp(&(b.0, b.1))));
        falls
    }

    /// Notes which lanes of a neuron (bit k: lane k) are below zero at a time (ms).
    pub fn note(&mut self, index: NeuronIndex, lanes: u32, now: f64) {
        if lanes == 0 {
            return;
        }
        let place = index.0 as usize;
        if self.fallen.len() <= place {
            self.fallen.resize(place + 1, 0);
        }
        let new = lanes & !self.fallen[place];
        self.fallen[place] |= new;
        let lanes = (0..u32::BITS as usize).filter(|lane| new >> lane & 1 == 1);
        self.falls.extend(lanes.map(|lane| (index, lane, now)));
    }
}

/// Neurons that a worker takes in a row: some microseconds of work.
pub(crate) const SHARE: usize = 32;

/// System: moves mRNA and conductances of every homeostat over the control interval.
pub fn regulate<const W: usize>(
    clock: Res<Clock>,
    mut below: ResMut<BelowZero>,
    mut neurons: Query<(
        &NeuronIndex,
        &SensedCalcium,
        &NegativeConductance,
        &mut Homeostat,
        &mut Gbar<W>,
    )>,
) {
    let Some(interval) = clock.due() else { return };
    let fallen = each(
        neurons.iter_mut(),
        SHARE,
        |(index, sensed, rule, mut homeostat, mut gbar)| {
            let fallen = homeostat.regulate(sensed.0, interval, *rule, &mut gbar.0.0);
            (*index, fallen)
        },
    );
    for (index, fallen) in fallen {
        below.note(index, fallen, clock.now());
    }
}
