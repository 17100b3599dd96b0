//! Eight neurons of one cell type, ready for the kernel.
//!
//! Gates stay where they are, in the columns of the tables; the few numbers of which each neuron
//! has one are copied for the stretch, so that eight of them are one vector whatever their rows.
//! A block that is not full repeats its last neuron.

use smallvec::SmallVec;

use super::columns::Columns;
use super::kernel::KernelType;
use crate::channels::{Activation, CellType, Effective, Inactivation};
use crate::homeostasis::Homeostat;
use crate::neuromodulation::Controller;
use crate::observe::Armed;
use crate::schedule::{NeuronIndex, Tick};
use crate::simd::{LANES, Row};

/// A block for the length of a stretch.
pub struct Block<'a, const W: usize> {
    /// Cell type.
    pub kind: usize,
    /// Places in the scene's order; as many as the block has neurons.
    pub index: &'a [NeuronIndex],
    /// Conductances as felt.
    pub effective: &'a mut [Effective<W>],
    /// First gates.
    pub activation: &'a mut [Activation<W>],
    /// Second gates.
    pub inactivation: &'a mut [Inactivation<W>],
    /// Gates apart, see [`KernelType::apart_gates`]: where they are, and the factors on their rates.
    pub apart_gates: SmallVec<[[Row; 2]; 1]>,
    /// Conductances of the channels apart, see [`KernelType::apart_lanes`], for the membrane and
    /// for the calcium pool.
    pub apart: SmallVec<[[Row; 2]; 1]>,
    /// States of kinetic schemes.
    pub states: Vec<Row>,
    /// Calcium (µM).
    pub calcium: Row,
    /// Calcium integrals (µM ms).
    pub integral: Row,
    /// Input conductances (mS/cm²).
    pub conductance: Row,
    /// Input currents (µA/cm²).
    pub current: Row,
    /// Bit k: whether spike detection of neuron k is armed.
    pub armed: u8,
    /// Bit k: whether there is a neuron k.
    pub valid: u8,
    /// Whether the conductances that carry calcium are for the pool what they are for the membrane.
    pub same_influx: bool,
    /// What regulates each neuron; empty where nothing does or a tick does not come.
    regulators: Vec<Regulators<'a>>,
    home: Columns<'a, W>,
}

/// What regulates a neuron.
#[derive(Default)]
pub struct Regulators<'a> {
    /// Homeostasis.
    pub homeostat: Option<&'a mut Homeostat>,
    /// Neuromodulation.
    pub controller: Option<&'a mut Controller>,
}

impl Regulators<'_> {
    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        self.homeostat.is_none() && self.controller.is_none()
    }
}

/// What `value` gives for each row, the last one repeated.
fn repeated(n: usize, value: impl Fn(usize) -> f64) -> Row {
    std::array::from_fn(|k| value(k.min(n - 1)))
}

impl<'a, const W: usize> Block<'a, W> {
    /// A block of the rows of `home`, at least one and at most eight; their voltages (mV) go to
    /// `voltage`.
    pub fn new(
        mut home: Columns<'a, W>,
        ty: &KernelType<W>,
        regulators: Vec<Regulators<'a>>,
        voltage: &mut Row,
    ) -> Self {
        let n = home.len();
        *voltage = repeated(n, |k| home.voltage[k].0);
        let apart_gates = ty.apart_gates().map(|(slot, lane)| {
            let x = |k: usize| match slot {
                0 => home.activation[k].0.0[lane],
                _ => home.inactivation[k].0.0[lane],
            };
            [
                repeated(n, x),
                repeated(n, |k| home.rate[k].0[slot].0[lane]),
            ]
        });
        let fraction = |k: usize, state: usize| match &home.states {
            Some(states) => states[k].0[state],
            None => 0.0,
        };
        let states = (0..ty.states()).map(|state| repeated(n, |k| fraction(k, state)));
        let bit = |k: usize| u8::from(home.armed[k].0) << k;
        let mut this = Block {
            kind: home.kind[0].0 as usize,
            apart_gates: apart_gates.collect(),
            apart: SmallVec::new(),
            states: states.collect(),
            calcium: repeated(n, |k| home.calcium[k].0),
            integral: repeated(n, |k| home.integral[k].since_tick),
            conductance: repeated(n, |k| home.input[k].conductance),
            current: repeated(n, |k| home.input[k].current),
            armed: (0..n).map(bit).fold(0, |a, b| a | b),
            valid: u8::MAX >> (LANES - n),
            same_influx: false,
            index: home.index,
            effective: std::mem::take(&mut home.effective),
            activation: std::mem::take(&mut home.activation),
            inactivation: std::mem::take(&mut home.inactivation),
            regulators,
            home,
        };
        this.derive(ty);
        this
    }

    /// Copies what the kernel reads of the conductances.
    fn derive(&mut self, ty: &KernelType<W>) {
        let (n, effective) = (self.len(), &*self.effective);
        let apart = ty.apart_lanes().map(|lane| {
            let membrane = repeated(n, |k| effective[k].membrane.0[lane]);
            [membrane, repeated(n, |k| effective[k].influx.0[lane])]
        });
        let same = |e: &Effective<W>| {
            let mut carriers = ty.carriers();
            carriers.all(|lane| e.influx.0[lane].to_bits() == e.membrane.0[lane].to_bits())
        };
        self.apart = apart.collect();
        self.same_influx = effective.iter().all(same);
    }

    /// Senses, regulates and modulates at a control tick; tells `fell` of lanes below zero (bit k:
    /// lane k).
    pub fn regulate(
        &mut self,
        tick: &Tick,
        cell: &CellType,
        ty: &KernelType<W>,
        mut fell: impl FnMut(NeuronIndex, u32),
    ) {
        let (interval, home) = (tick.interval, &mut self.home);
        for k in 0..self.index.len() {
            home.integral[k].since_tick = self.integral[k];
            home.sensed[k] = home.integral[k].sense(interval);
        }
        self.integral = [0.0; LANES];
        for (k, regulators) in self.regulators.iter_mut().enumerate() {
            let (rule, block, gbar) = (home.negative[k], &home.block[k], &mut home.gbar[k]);
            let mut fallen = 0;
            if let Some(homeostat) = &mut regulators.homeostat {
                fallen |= homeostat.regulate(home.sensed[k].0, interval, rule, &mut gbar.0.0);
            }
            if let Some(controller) = &mut regulators.controller {
                let cell = (cell, &home.parameters[k].0[..]);
                let gbar = &mut gbar.0.0;
                fallen |= controller.modulate(cell, &block.seen.0, interval, rule, gbar);
            }
            if fallen != 0 {
                fell(self.index[k], fallen);
            }
            if !regulators.is_empty() {
                self.effective[k].renew(cell, rule, gbar, block);
            }
        }
        if !self.regulators.is_empty() {
            self.derive(ty);
        }
    }

    /// Number of neurons.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether spike detection of neuron `k` is armed.
    pub fn armed(&self, k: usize) -> Armed {
        Armed(self.armed >> k & 1 == 1)
    }

    /// Arms or disarms spike detection of neuron `k`.
    pub fn arm(&mut self, k: usize, armed: Armed) {
        self.armed = self.armed & !(1 << k) | u8::from(armed.0) << k;
    }

    /// Gives everything back to the columns.
    pub fn store(mut self, ty: &KernelType<W>, voltage: &Row) {
        for ((slot, lane), [x, _]) in ty.apart_gates().zip(&self.apart_gates) {
            for k in 0..self.len() {
                match slot {
                    0 => self.activation[k].0.0[lane] = x[k],
                    _ => self.inactivation[k].0.0[lane] = x[k],
                }
            }
        }
        if let Some(states) = &mut self.home.states {
            for (k, neuron) in states.iter_mut().enumerate() {
                for (x, row) in neuron.0.iter_mut().zip(&self.states) {
                    *x = row[k];
                }
            }
        }
        for k in 0..self.len() {
            self.home.voltage[k].0 = voltage[k];
            self.home.calcium[k].0 = self.calcium[k];
            self.home.integral[k].since_tick = self.integral[k];
            self.home.armed[k] = self.armed(k);
        }
    }
}
