//! The yardstick: the synthetic network as a scientist writes it by hand, one neuron after the
//! other, with the platform's `exp` and no tables. It is the scheme of the engine's `exponential`
//! integrator: gates first, then V with the new gates, then Ca by the mean influx, then the
//! synapses' s with the new V.
//!
//! Nothing in it is slow on purpose: factors that never change are computed once, s is advanced
//! once for each presynaptic neuron, and the inner loops check no bounds.
//!
//! Units: ms, mV, mS/cm², µA/cm², µM; C is 1 µF/cm². The cell is that of Liu, Golowasch, Marder &
//! Abbott 1998 (doi 10.1523/JNEUROSCI.18-07-02309.1998), as `scenes/cells/stg.ron` has it.

// What it measures is what the platform's functions cost.
#![allow(clippy::disallowed_methods)]

use super::network::Network;

const E_NA: f64 = 50.0;
const E_CA: f64 = 80.0;
const E_K: f64 = -80.0;
const E_H: f64 = -20.0;
const E_LEAK: f64 = -50.0;

const TAU_CA: f64 = 20.0;
const CA_REST: f64 = 0.05;
/// µM per µA/cm².
const CA_INFLUX: f64 = 0.94;

const E_SYN: f64 = -75.0;
const TAU_SYN: f64 = 10.0;
const V_HALF_SYN: f64 = -50.0;
const SLOPE_SYN: f64 = 10.0;

/// A spike is a crossing of this voltage upwards, armed again below the other.
const SPIKE: f64 = 10.0;
const REARM: f64 = 0.0;

/// The network and its state.
#[derive(Clone, Debug)]
pub struct Yardstick {
    neurons: Vec<Neuron>,
    /// Activation of the synapses of each presynaptic neuron.
    s: Vec<f64>,
    in_degree: usize,
    pre: Vec<u32>,
    g: Vec<f64>,
    dt: f64,
    ca_decay: f64,
    s_decay: f64,
    spikes: u64,
}

#[derive(Clone, Debug)]
struct Neuron {
    v: f64,
    ca: f64,
    m_na: f64,
    h_na: f64,
    m_cat: f64,
    h_cat: f64,
    m_cas: f64,
    h_cas: f64,
    m_a: f64,
    h_a: f64,
    m_kca: f64,
    m_kd: f64,
    m_h: f64,
    g_na: f64,
    g_cat: f64,
    g_cas: f64,
    g_a: f64,
    g_kca: f64,
    g_kd: f64,
    g_h: f64,
    g_leak: f64,
    armed: bool,
}

impl Yardstick {
    /// The network in its start state, to be stepped by `dt` (ms).
    pub fn new(network: &Network, dt: f64) -> Self {
        let cells = network.gbar.iter().zip(&network.start);
        Yardstick {
            neurons: cells.map(|(gbar, v)| Neuron::new(gbar, *v)).collect(),
            s: network.start.iter().map(|v| s_inf(*v)).collect(),
            in_degree: network.in_degree,
            pre: network.pre.clone(),
            g: network.g.clone(),
            dt,
            ca_decay: (-dt / TAU_CA).exp(),
            s_decay: (-dt / TAU_SYN).exp(),
            spikes: 0,
        }
    }

    /// Takes the network through `steps` steps.
    pub fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            match self.in_degree {
                0 => self.step_uncoupled(),
                _ => self.step_coupled(),
            }
        }
    }

    /// Spikes of all neurons so far.
    pub fn spikes(&self) -> u64 {
        self.spikes
    }

    /// Voltages (mV).
    pub fn voltages(&self) -> Vec<f64> {
        self.neurons.iter().map(|neuron| neuron.v).collect()
    }

    fn step_uncoupled(&mut self) {
        for neuron in &mut self.neurons {
            let spiked = neuron.step(0.0, self.dt, self.ca_decay);
            self.spikes += u64::from(spiked);
        }
    }

    fn step_coupled(&mut self) {
        let sources = self.pre.chunks_exact(self.in_degree);
        let weights = self.g.chunks_exact(self.in_degree);
        for ((neuron, sources), weights) in self.neurons.iter_mut().zip(sources).zip(weights) {
            let mut g_syn = 0.0;
            for (pre, g) in sources.iter().zip(weights) {
                g_syn += g * self.s[*pre as usize];
            }
            let spiked = neuron.step(g_syn, self.dt, self.ca_decay);
            self.spikes += u64::from(spiked);
        }
        for (s, neuron) in self.s.iter_mut().zip(&self.neurons) {
            let inf = s_inf(neuron.v);
            *s = inf + (*s - inf) * self.s_decay;
        }
    }
}

impl Neuron {
    /// A neuron at rest for the voltage `v`, its calcium included.
    fn new(gbar: &[f64; 8], v: f64) -> Self {
        let [g_na, g_cat, g_cas, g_a, g_kca, g_kd, g_h, g_leak] = *gbar;
        let (m_cat, h_cat) = (m_cat_inf(v), h_cat_inf(v));
        let (m_cas, h_cas) = (m_cas_inf(v), h_cas_inf(v));
        let g_ca = g_cat * cube(m_cat) * h_cat + g_cas * cube(m_cas) * h_cas;
        let ca = CA_REST - CA_INFLUX * g_ca * (v - E_CA);
        Neuron {
            v,
            ca,
            m_na: m_na_inf(v),
            h_na: h_na_inf(v),
            m_cat,
            h_cat,
            m_cas,
            h_cas,
            m_a: m_a_inf(v),
            h_a: h_a_inf(v),
            m_kca: m_kca_inf(v, ca),
            m_kd: m_kd_inf(v),
            m_h: m_h_inf(v),
            g_na,
            g_cat,
            g_cas,
            g_a,
            g_kca,
            g_kd,
            g_h,
            g_leak,
            armed: v <= SPIKE,
        }
    }

    /// One step with the synaptic conductance `g_syn`; whether the neuron has spiked.
    #[inline]
    fn step(&mut self, g_syn: f64, dt: f64, ca_decay: f64) -> bool {
        let v = self.v;
        relax(&mut self.m_na, m_na_inf(v), m_na_tau(v), dt);
        relax(&mut self.h_na, h_na_inf(v), h_na_tau(v), dt);
        relax(&mut self.m_cat, m_cat_inf(v), m_cat_tau(v), dt);
        relax(&mut self.h_cat, h_cat_inf(v), h_cat_tau(v), dt);
        relax(&mut self.m_cas, m_cas_inf(v), m_cas_tau(v), dt);
        relax(&mut self.h_cas, h_cas_inf(v), h_cas_tau(v), dt);
        relax(&mut self.m_a, m_a_inf(v), m_a_tau(v), dt);
        relax(&mut self.h_a, h_a_inf(v), h_a_tau(v), dt);
        relax(&mut self.m_kca, m_kca_inf(v, self.ca), m_kca_tau(v), dt);
        relax(&mut self.m_kd, m_kd_inf(v), m_kd_tau(v), dt);
        relax(&mut self.m_h, m_h_inf(v), m_h_tau(v), dt);

        let g_na = self.g_na * cube(self.m_na) * self.h_na;
        let g_ca =
            self.g_cat * cube(self.m_cat) * self.h_cat + self.g_cas * cube(self.m_cas) * self.h_cas;
        let g_k = self.g_a * cube(self.m_a) * self.h_a
            + self.g_kca * square(square(self.m_kca))
            + self.g_kd * square(square(self.m_kd));
        let g_h = self.g_h * self.m_h;
        let g = g_na + g_ca + g_k + g_h + self.g_leak + g_syn;
        let v_inf = (g_na * E_NA
            + g_ca * E_CA
            + g_k * E_K
            + g_h * E_H
            + self.g_leak * E_LEAK
            + g_syn * E_SYN)
            / g;
        self.v = v_inf + (v - v_inf) * (-g * dt).exp();

        let i_ca = g_ca * (0.5 * (v + self.v) - E_CA);
        let ca_inf = CA_REST - CA_INFLUX * i_ca;
        self.ca = ca_inf + (self.ca - ca_inf) * ca_decay;

        let spiked = self.armed && self.v > SPIKE;
        if spiked {
            self.armed = false;
        } else if self.v < REARM {
            self.armed = true;
        }
        spiked
    }
}

#[inline(always)]
fn relax(x: &mut f64, inf: f64, tau: f64, dt: f64) {
    *x = inf + (*x - inf) * (-dt / tau).exp();
}

#[inline(always)]
fn square(x: f64) -> f64 {
    x * x
}

#[inline(always)]
fn cube(x: f64) -> f64 {
    x * x * x
}

/// `1/(1 + exp(x))`.
#[inline(always)]
fn falling(x: f64) -> f64 {
    1.0 / (1.0 + x.exp())
}

#[inline(always)]
fn s_inf(v: f64) -> f64 {
    if v > V_HALF_SYN {
        ((v - V_HALF_SYN) / SLOPE_SYN).tanh()
    } else {
        0.0
    }
}

#[inline(always)]
fn m_na_inf(v: f64) -> f64 {
    falling((v + 25.5) / -5.29)
}

#[inline(always)]
fn m_na_tau(v: f64) -> f64 {
    1.32 - 1.26 * falling((v + 120.0) / -25.0)
}

#[inline(always)]
fn h_na_inf(v: f64) -> f64 {
    falling((v + 48.9) / 5.18)
}

#[inline(always)]
fn h_na_tau(v: f64) -> f64 {
    0.67 * falling((v + 62.9) / -10.0) * (1.5 + falling((v + 34.9) / 3.6))
}

#[inline(always)]
fn m_cat_inf(v: f64) -> f64 {
    falling((v + 27.1) / -7.2)
}

#[inline(always)]
fn m_cat_tau(v: f64) -> f64 {
    21.7 - 21.3 * falling((v + 68.1) / -20.5)
}

#[inline(always)]
fn h_cat_inf(v: f64) -> f64 {
    falling((v + 32.1) / 5.5)
}

#[inline(always)]
fn h_cat_tau(v: f64) -> f64 {
    105.0 - 89.8 * falling((v + 55.0) / -16.9)
}

#[inline(always)]
fn m_cas_inf(v: f64) -> f64 {
    falling((v + 33.0) / -8.1)
}

#[inline(always)]
fn m_cas_tau(v: f64) -> f64 {
    1.4 + 7.0 / (((v + 27.0) / 10.0).exp() + ((v + 70.0) / -13.0).exp())
}

#[inline(always)]
fn h_cas_inf(v: f64) -> f64 {
    falling((v + 60.0) / 6.2)
}

#[inline(always)]
fn h_cas_tau(v: f64) -> f64 {
    60.0 + 150.0 / (((v + 55.0) / 9.0).exp() + ((v + 65.0) / -16.0).exp())
}

#[inline(always)]
fn m_a_inf(v: f64) -> f64 {
    falling((v + 27.2) / -8.7)
}

#[inline(always)]
fn m_a_tau(v: f64) -> f64 {
    11.6 - 10.4 * falling((v + 32.9) / -15.2)
}

#[inline(always)]
fn h_a_inf(v: f64) -> f64 {
    falling((v + 56.9) / 4.9)
}

#[inline(always)]
fn h_a_tau(v: f64) -> f64 {
    38.6 - 29.2 * falling((v + 38.9) / -26.5)
}

#[inline(always)]
fn m_kca_inf(v: f64, ca: f64) -> f64 {
    ca / (ca + 3.0) * falling((v + 28.3) / -12.6)
}

#[inline(always)]
fn m_kca_tau(v: f64) -> f64 {
    90.3 - 75.1 * falling((v + 46.0) / -22.7)
}

#[inline(always)]
fn m_kd_inf(v: f64) -> f64 {
    falling((v + 12.3) / -11.8)
}

#[inline(always)]
fn m_kd_tau(v: f64) -> f64 {
    7.2 - 6.4 * falling((v + 28.3) / -19.2)
}

#[inline(always)]
fn m_h_inf(v: f64) -> f64 {
    falling((v + 70.0) / 6.0)
}

#[inline(always)]
fn m_h_tau(v: f64) -> f64 {
    272.0 + 1499.0 * falling((v + 42.2) / -8.73)
}
