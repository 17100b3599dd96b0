//! Dormand & Prince 5(4) with step-size control and dense output (Hairer, Nørsett & Wanner,
//! *Solving Ordinary Differential Equations I*, II.4-II.6).

use super::network::Ode;
use crate::math::pow;
use crate::observe::Runaway;
use crate::schedule::{NeuronIndex, Neurons};

const A: [[f64; 6]; 6] = [
    [1.0 / 5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0, 0.0],
    [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0, 0.0],
    [
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
        0.0,
        0.0,
    ],
    [
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
        0.0,
    ],
    [
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];
/// Difference of the two orders' weights.
const E: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];
/// Weights of the dense output's last coefficient.
const D: [f64; 7] = [
    -12715105075.0 / 11282082432.0,
    0.0,
    87487479700.0 / 32700410799.0,
    -10690763975.0 / 1880347072.0,
    701980252875.0 / 199316789632.0,
    -1453857185.0 / 822651844.0,
    69997945.0 / 29380423.0,
];

/// Rejections in a row after which the scheme gives up.
const MAX_RETRIES: u32 = 40;

/// A step that could not be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepError {
    /// Neuron whose voltage is worst, if any is not finite.
    pub neuron: usize,
    /// Its voltage (mV).
    pub v: f64,
    /// Time (ms).
    pub t_ms: f64,
}

impl StepError {
    /// Names the cell.
    pub fn describe(&self, neurons: &Neurons) -> Runaway {
        let wrong = ("V", self.v, Runaway::SENSELESS);
        Runaway::new(neurons, NeuronIndex(self.neuron as u32), self.t_ms, wrong)
    }
}

/// Stages of a step and the two ends.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    k: [Vec<f64>; 7],
    /// State at the start of the step.
    pub y: Vec<f64>,
    /// State at its end.
    pub next: Vec<f64>,
    trial: Vec<f64>,
}

impl Stages {
    /// Stages for a state.
    pub fn new(y: Vec<f64>) -> Self {
        let n = y.len();
        Stages {
            k: std::array::from_fn(|_| vec![0.0; n]),
            next: y.clone(),
            trial: vec![0.0; n],
            y,
        }
    }

    /// Dense output of component `i` at the fraction `x` of a step of `h` (ms).
    pub fn dense(&self, i: usize, h: f64, x: f64) -> f64 {
        let difference = self.next[i] - self.y[i];
        let b = h * self.k[0][i] - difference;
        let c = difference - h * self.k[6][i] - b;
        let d: f64 = h * self.k.iter().zip(D).map(|(k, d)| d * k[i]).sum::<f64>();
        let y = 1.0 - x;
        self.y[i] + x * (difference + y * (b + x * (c + y * d)))
    }

    /// Slopes of component `i` at the start and at the end of the step.
    pub fn slopes(&self, i: usize) -> (f64, f64) {
        (self.k[0][i], self.k[6][i])
    }

    /// Fraction of a step of `h` (ms) at which component `i` crosses `level` upward.
    pub fn crossing(&self, i: usize, h: f64, level: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..52 {
            let middle = 0.5 * (low + high);
            if self.dense(i, h, middle) > level {
                high = middle
            } else {
                low = middle
            }
        }
        0.5 * (low + high)
    }
}

/// Integrates from `t0` to `t1` (ms).
///
/// # Errors
/// No step passes the error test, however small: the state has left all sense.
#[inline(always)]
pub fn integrate(ode: &mut Ode, t0: f64, t1: f64) -> Result<(), StepError> {
    let mut stages = Stages::new(ode.state());
    let mut first = std::mem::take(&mut stages.k[0]);
    ode.rhs(&stages.y, &mut first);
    stages.k[0] = first;
    let mut t = t0;
    let mut h = ode.next_step();
    let mut before: f64 = 1e-4;
    let mut retries = 0;
    while t < t1 {
        // The last step is cut to the end; what the controller wanted is kept.
        let last = t + 1.001 * h >= t1;
        let step = if last { t1 - t } else { h };
        let error = attempt(ode, &mut stages, step);
        if error <= 1.0 {
            // PI step-size control: exponents 0.7/5 and 0.4/5.
            let factor = 0.9 * pow(error.max(1e-10), -0.14) * pow(before, 0.08);
            before = error.max(1e-4);
            let wanted = step * factor.clamp(0.2, 5.0);
            h = if last { h.max(wanted.min(h)) } else { wanted };
            ode.accept(&mut stages, t, step);
            t = if last { t1 } else { t + step };
            retries = 0;
        } else {
            // A NaN is an error of infinite size: it must reject, and end.
            let factor = if error.is_finite() {
                (0.9 * pow(error, -0.2)).max(0.1)
            } else {
                0.1
            };
            h = step * factor;
            retries += 1;
            if retries > MAX_RETRIES {
                return Err(ode.worst(&stages, t));
            }
        }
    }
    ode.finish(&stages, h);
    Ok(())
}

/// Takes a trial step and returns its error in units of the tolerance (largest component).
#[inline(always)]
fn attempt(ode: &mut Ode, stages: &mut Stages, h: f64) -> f64 {
    let n = stages.y.len();
    for (stage, row) in A.iter().enumerate() {
        let target = if stage == 5 {
            &mut stages.next
        } else {
            &mut stages.trial
        };
        for i in 0..n {
            let mut sum = 0.0;
            for (weight, k) in row[..=stage].iter().zip(&stages.k) {
                sum += weight * k[i];
            }
            target[i] = h.mul_add(sum, stages.y[i]);
        }
        let mut k = std::mem::take(&mut stages.k[stage + 1]);
        ode.rhs(
            if stage == 5 {
                &stages.next
            } else {
                &stages.trial
            },
            &mut k,
        );
        stages.k[stage + 1] = k;
    }
    let scale = ode.scale();
    let mut worst = 0.0_f64;
    for i in 0..n {
        let mut e = 0.0;
        for (weight, k) in E.iter().zip(&stages.k) {
            e += weight * k[i];
        }
        let size = stages.y[i].abs().max(stages.next[i].abs());
        let ratio = (h * e).abs() / (scale[i] * (1.0 + size));
        if ratio.is_nan() {
            return f64::INFINITY;
        }
        worst = worst.max(ratio);
    }
    worst
}

impl Stages {
    /// Makes the end of a step the start of the next.
    pub fn advance(&mut self) {
        std::mem::swap(&mut self.y, &mut self.next);
        self.k.swap(0, 6);
    }
}
