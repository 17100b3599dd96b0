//! One step of eight neurons of a cell type, each of its own length, by Ros3.
//!
//! Ros3 (Sandu, Verwer, Blom, Spee, Carmichael & Potra, Atmos. Environ. 31, 3459, 1997) is an
//! L-stable Rosenbrock scheme of order 3 with an embedded one of order 2; it takes two right-hand
//! sides, one Jacobian and three linear solves a step. The Jacobian of a neuron is an arrow: V
//! depends on every gate, a gate on itself and V (some on Ca), Ca on V and the gates of its
//! carriers; a kinetic scheme is like a gate ([`super::schemes`]). So `(1/(h gamma) - J) k = b` is
//! solved by eliminating the gates and schemes, which leaves two equations for V and Ca.

use super::plan::{DirectGate, FASTEST, INPUT, Plan, Reversal, rate};
use super::schemes::{self, SchemeArrow};
use super::table::{BINS, PER_MV, SmoothTable};
use super::tangent::Tangent;
use crate::calcium;
use crate::channels::Lane;
use crate::kinetics::{Number, Program, Variables};
use crate::simd::{Eight, LANES, Real, Row, Simd};
use crate::table::FROM;

const GAMMA: f64 = 0.435_866_521_508_459;
/// Weights of earlier stages in a stage's right-hand side, over h.
const C21: f64 = -1.015_617_108_387_770_2;
const C31: f64 = 4.075_995_645_253_77;
const C32: f64 = 9.207_679_429_833_079;
/// Weights of the stages in the solution; that of the first is 1.
const M: [f64; 2] = [6.169_794_704_382_825, -0.427_722_565_432_185_7];
/// Weights of the stages in the error.
const E: [f64; 3] = [0.5, -2.907_955_871_680_547, 0.223_540_698_977_115_7];
/// Weights of h times the derivative by time in each stage.
const TIME: [f64; 3] = [GAMMA, 0.242_919_964_548_168_05, 2.185_138_002_766_406];

/// Scales of the error test, for motion d per ms: V `min(V_MOST, V_LEAST + V_MOTION d)` mV.
const V_LEAST: f64 = 10.0;
const V_MOTION: f64 = 3.0;
const V_MOST: f64 = 2e4;
/// Gates `GATE_LEAST + GATE_MOTION d`.
const GATE_LEAST: f64 = 0.03;
const GATE_MOTION: f64 = 0.1;

/// Jacobian of eight neurons, and the elimination of their gates.
#[derive(Debug, Default)]
struct Arrow {
    /// Rate of each gate (1/ms), after [`factor`] 1/(1/(h gamma) + rate).
    decay: Vec<Lane<LANES>>,
    /// Derivative of each gate's rate by V, and by Ca where it has one.
    by_v: Vec<Lane<LANES>>,
    by_ca: Vec<Lane<LANES>>,
    /// Derivative of V's rate by each gate, after [`factor`] times `decay`.
    pull: Vec<Lane<LANES>>,
    /// The same of Ca's rate.
    pull_ca: Vec<Lane<LANES>>,
    /// Kinetic schemes.
    schemes: Vec<SchemeArrow>,
}

/// Derivatives of the rates of V and Ca by each other.
struct Core<S: Simd> {
    v_by_v: Eight<S>,
    v_by_ca: Eight<S>,
    ca_by_v: Eight<S>,
    ca_by_ca: Eight<S>,
}

/// Inverse of what is left for V and Ca.
struct Inverse<S: Simd> {
    vv: Eight<S>,
    vc: Eight<S>,
    cv: Eight<S>,
    cc: Eight<S>,
}

/// Buffers of a step; the variables are V, Ca, gates, states of kinetic schemes.
#[derive(Debug, Default)]
pub struct Buffers {
    /// Rates at the start.
    pub rates: Vec<Lane<LANES>>,
    /// State at the end.
    pub next: Vec<Lane<LANES>>,
    /// Integral of Ca over the step (µM ms).
    pub integral: Row,
    stage: Vec<Lane<LANES>>,
    k: [Vec<Lane<LANES>>; 3],
    values: Vec<Lane<LANES>>,
    slopes: Vec<Lane<LANES>>,
    arrow: Arrow,
}

impl Buffers {
    /// Buffers for a cell type.
    pub fn new(plan: &Plan) -> Self {
        let variables = || vec![Lane::splat(0.0); plan.variables()];
        let gates = || vec![Lane::splat(0.0); plan.gates.len()];
        let columns = || vec![Lane::splat(0.0); plan.table.groups() * LANES];
        Buffers {
            rates: variables(),
            next: variables(),
            integral: [0.0; LANES],
            stage: variables(),
            k: [variables(), variables(), variables()],
            values: columns(),
            slopes: columns(),
            arrow: Arrow {
                decay: gates(),
                by_v: gates(),
                by_ca: gates(),
                pull: gates(),
                pull_ca: gates(),
                schemes: plan.schemes.iter().map(SchemeArrow::new).collect(),
            },
        }
    }
}

/// Eight neurons at the start of their steps.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// State: V, Ca, gates, states of kinetic schemes.
    pub y: &'a [Lane<LANES>],
    /// Fixed numbers and coupling.
    pub fixed: &'a [Lane<LANES>],
    /// Time in the window (ms).
    pub t: &'a Row,
    /// Lengths of the steps (ms).
    pub h: &'a Row,
}

#[inline(always)]
fn at<S: Simd>(simd: S, rows: &[Lane<LANES>], k: usize) -> Eight<S> {
    Eight::load(simd, &rows[k].0)
}

/// The parabola of time whose first coefficient is number `k`, at `t`.
#[inline(always)]
fn parabola<S: Simd>(simd: S, fixed: &[Lane<LANES>], k: usize, t: Eight<S>) -> Eight<S> {
    let linear = at(simd, fixed, k + 2).mul_add(t, at(simd, fixed, k + 1));
    linear.mul_add(t, at(simd, fixed, k))
}

/// Its slope.
#[inline(always)]
fn parabola_slope<S: Simd>(simd: S, fixed: &[Lane<LANES>], k: usize, t: Eight<S>) -> Eight<S> {
    at(simd, fixed, k + 2).mul_add(t + t, at(simd, fixed, k + 1))
}

/// A gate to its exponent, and the derivative of that; 1 and 0 where there is no gate.
#[inline(always)]
fn opening<S: Simd>(simd: S, y: &[Lane<LANES>], gate: Option<(usize, u8)>) -> (Eight<S>, Eight<S>) {
    match gate {
        Some((place, exponent)) => power(at(simd, y, 2 + place), exponent),
        None => (Eight::splat(simd, 1.0), Eight::splat(simd, 0.0)),
    }
}

/// `opening - decay x` for a gate `x`, both times `scale`.
#[inline(always)]
fn motion<S: Simd>(simd: S, opening: &Row, decay: &Row, x: Eight<S>, scale: Eight<S>) -> Eight<S> {
    let decay = Eight::load(simd, decay) * scale;
    (-decay).mul_add(x, Eight::load(simd, opening) * scale)
}

/// |x|
#[inline(always)]
fn size<S: Simd>(x: Eight<S>) -> Eight<S> {
    let zero = x.constant(0.0);
    x.if_less(zero, -x, x)
}

/// The larger; `b` where one is no number.
#[inline(always)]
fn larger<S: Simd>(a: Eight<S>, b: Eight<S>) -> Eight<S> {
    b.if_less(a, a, b)
}

/// Columns of the table at V, and with `JACOBIAN` their slopes.
#[inline(always)]
fn look_up<S: Simd, const JACOBIAN: bool>(
    simd: S,
    table: &SmoothTable,
    v: Eight<S>,
    values: &mut [Lane<LANES>],
    slopes: &mut [Lane<LANES>],
) {
    let zero = v.constant(0.0);
    let x = (v - v.constant(FROM)) * v.constant(PER_MV);
    let x = zero.if_less(x, x, zero);
    let most = x.constant(BINS as f64 - 1e-9);
    let x = x.if_less(most, x, most);
    let (whole, bins) = x.whole();
    let place = (x - whole).array();
    let mut cubics = [table.bin(0); LANES];
    for k in 0..LANES {
        cubics[k] = table.bin(bins[k] as usize);
    }
    for group in 0..table.groups() {
        let mut value = [zero; LANES];
        let mut slope = [zero; LANES];
        for k in 0..LANES {
            let c = &cubics[k][4 * group..4 * group + 4];
            let x = Eight::splat(simd, place[k]);
            let (a, b) = (at(simd, c, 0), at(simd, c, 1));
            let (c, d) = (at(simd, c, 2), at(simd, c, 3));
            let linear = d.mul_add(x, c);
            let square = linear.mul_add(x, b);
            value[k] = square.mul_add(x, a);
            if JACOBIAN {
                // (d x + c) x + b differentiated: (2 d x + c) x + (d x + c) x + b.
                slope[k] = d.mul_add(x, linear).mul_add(x, square);
            }
        }
        let value = Eight::transpose(simd, value);
        for k in 0..LANES {
            value[k].store(&mut values[group * LANES + k].0);
        }
        if JACOBIAN {
            let slope = Eight::transpose(simd, slope);
            let scale = zero.constant(PER_MV);
            for k in 0..LANES {
                (slope[k] * scale).store(&mut slopes[group * LANES + k].0);
            }
        }
    }
}

/// `x^power` and its derivative.
#[inline(always)]
fn power<S: Simd>(x: Eight<S>, power: u8) -> (Eight<S>, Eight<S>) {
    match power {
        1 => (x, x.constant(1.0)),
        2 => (x * x, x + x),
        3 => {
            let square = x * x;
            (square * x, square * x.constant(3.0))
        }
        4 => {
            let square = x * x;
            (square * square, square * x * x.constant(4.0))
        }
        _ => {
            let mut below = x * x * x * x;
            for _ in 5..power {
                below = below * x;
            }
            (below * x, below * x.constant(f64::from(power)))
        }
    }
}

/// Rates of V, Ca and the gates at state `y` and time `t`, and with `JACOBIAN` the derivatives.
#[inline(always)]
fn find_rates<S: Simd, const JACOBIAN: bool>(
    simd: S,
    plan: &Plan,
    y: &[Lane<LANES>],
    fixed: &[Lane<LANES>],
    t: Eight<S>,
    rates: &mut [Lane<LANES>],
    (values, slopes): (&mut [Lane<LANES>], &mut [Lane<LANES>]),
    arrow: &mut Arrow,
) -> Core<S> {
    let v = at(simd, y, 0);
    let ca = at(simd, y, 1);
    let zero = v.constant(0.0);
    let one = v.constant(1.0);
    look_up::<S, JACOBIAN>(simd, &plan.table, v, values, slopes);
    for (gate, factor) in &plan.calcium {
        let gate = *gate;
        let of_v = at(simd, values, gate);
        let value = if JACOBIAN {
            let found = evaluate_factor::<1>(factor, ca.array());
            let value = Eight::load(simd, &found.value);
            let slope = Eight::load(simd, &found.slopes[0]);
            (of_v * slope).store(&mut arrow.by_ca[gate].0);
            (at(simd, slopes, gate) * value).store(&mut slopes[gate].0);
            value
        } else {
            Eight::load(simd, &evaluate_factor::<0>(factor, ca.array()).value)
        };
        (of_v * value).store(&mut values[gate].0);
    }
    let tabulated = plan.tabulated;
    let gates = &plan.gates[..tabulated];
    let (openings, decays) = values.split_at(tabulated);
    let (opening_slopes, decay_slopes) = slopes.split_at(tabulated);
    let (openings, decays) = (&openings[..tabulated], &decays[..tabulated]);
    let opening_slopes = &opening_slopes[..tabulated];
    let decay_slopes = &decay_slopes[..tabulated];
    let states = &y[2..2 + tabulated];
    for k in 0..tabulated {
        let gate = &gates[k];
        let x = at(simd, states, k);
        let decay = at(simd, decays, k);
        let mut motion = (-decay).mul_add(x, at(simd, openings, k));
        if JACOBIAN {
            let mut decay = decay;
            let by_decay = at(simd, decay_slopes, k);
            let mut by_v = (-by_decay).mul_add(x, at(simd, opening_slopes, k));
            if let Some(rate) = gate.rate {
                let rate = at(simd, fixed, rate);
                by_v = by_v * rate;
                decay = decay * rate;
            }
            by_v.store(&mut arrow.by_v[k].0);
            decay.store(&mut arrow.decay[k].0);
        }
        if let Some(rate) = gate.rate {
            motion = motion * at(simd, fixed, rate);
        }
        motion.store(&mut rates[2 + k].0);
    }
    if JACOBIAN {
        for (k, _) in &plan.calcium {
            if let Some(rate) = plan.gates[*k].rate {
                let scaled = at(simd, &arrow.by_ca, *k) * at(simd, fixed, rate);
                scaled.store(&mut arrow.by_ca[*k].0);
            }
        }
    }
    for direct in &plan.direct {
        let k = direct.place;
        let x = at(simd, y, 2 + k);
        let scale = match plan.gates[k].rate {
            Some(rate) => at(simd, fixed, rate),
            None => one,
        };
        let [opening, decay] = find_direct(direct, v.array(), ca.array());
        motion(simd, &opening.value, &decay.value, x, scale).store(&mut rates[2 + k].0);
        if JACOBIAN {
            let [v_part, ca_part] = [0, 1];
            motion(
                simd,
                &opening.slopes[v_part],
                &decay.slopes[v_part],
                x,
                scale,
            )
            .store(&mut arrow.by_v[k].0);
            motion(
                simd,
                &opening.slopes[ca_part],
                &decay.slopes[ca_part],
                x,
                scale,
            )
            .store(&mut arrow.by_ca[k].0);
            (Eight::load(simd, &decay.value) * scale).store(&mut arrow.decay[k].0);
        }
    }
    schemes::find_rates::<S, JACOBIAN>(simd, plan, y, rates, (values, slopes), &mut arrow.schemes);

    let capacity = one / one.constant(plan.capacitance);
    // Calcium per current (µM per ms for 1 µA/cm²), and the way back to rest.
    let (influx_rate, pool_rate, rest) = match plan.pool {
        Some(p) => (p.influx / p.tau, 1.0 / p.tau, p.rest),
        None => (0.0, 0.0, 0.0),
    };
    let influx_rate = one.constant(influx_rate);
    let (mut g, mut ge, mut influx, mut influx_e) = (zero, zero, zero, zero);
    let (mut v_by_e, mut ca_by_e) = (zero, zero);
    for (k, channel) in plan.channels.iter().enumerate() {
        let (e, e_slope) = match channel.reversal {
            Reversal::Fixed(e) => (one.constant(e), zero),
            Reversal::Nernst(slope, outside) => {
                let mut e = ca.array();
                for e in &mut e {
                    *e = calcium::nernst(slope, outside, *e);
                }
                (Eight::load(simd, &e), -(one.constant(slope) / ca))
            }
        };
        let m = match channel.scheme {
            Some(scheme) => (schemes::open(simd, &plan.schemes[scheme], y), zero),
            None => opening(simd, y, channel.gates[0]),
        };
        let h = opening(simd, y, channel.gates[1]);
        let gbar = at(simd, fixed, k);
        let conductance = gbar * m.0 * h.0;
        g = g + conductance;
        ge = conductance.mul_add(e, ge);
        let drive = v - e;
        let carries = channel.influx.is_some();
        let feeding = match channel.influx {
            Some(place) => at(simd, fixed, place),
            None => zero,
        };
        if carries {
            let fed = feeding * m.0 * h.0;
            influx = influx + fed;
            influx_e = fed.mul_add(e, influx_e);
            if JACOBIAN {
                ca_by_e = fed.mul_add(e_slope, ca_by_e);
            }
        }
        if JACOBIAN {
            v_by_e = conductance.mul_add(e_slope, v_by_e);
            if let Some(scheme) = channel.scheme {
                let into_ca = -(drive * feeding * influx_rate);
                arrow.schemes[scheme].set_pull(-(drive * gbar * capacity), into_ca);
            }
            let opened = [m.1 * h.0, m.0 * h.1];
            for slot in 0..2 {
                let Some((place, _)) = channel.gates[slot] else {
                    continue;
                };
                let current = -(opened[slot] * drive);
                (current * gbar * capacity).store(&mut arrow.pull[place].0);
                if carries {
                    (current * feeding * influx_rate).store(&mut arrow.pull_ca[place].0);
                }
            }
        }
    }
    let input = plan.fixed;
    g = g + parabola(simd, fixed, input, t);
    ge = ge + parabola(simd, fixed, input + INPUT / 2, t);
    ((-g).mul_add(v, ge) * capacity).store(&mut rates[0].0);
    let to_rest = (one.constant(rest) - ca) * one.constant(pool_rate);
    let inflow = (-influx).mul_add(v, influx_e);
    inflow.mul_add(influx_rate, to_rest).store(&mut rates[1].0);
    Core {
        v_by_v: -(g * capacity),
        v_by_ca: v_by_e * capacity,
        ca_by_v: -(influx * influx_rate),
        ca_by_ca: ca_by_e.mul_add(influx_rate, -one.constant(pool_rate)),
    }
}

/// A factor of calcium, with `N` = 1 its derivative.
#[inline(always)]
fn evaluate_factor<const N: usize>(factor: &Program, ca: Row) -> Tangent<N> {
    let none = Tangent::constant(0.0);
    factor.eval(&Variables::membrane(none, Tangent::variable(ca, 0)))
}

/// Steady state over tau and 1/tau of a gate of V and Ca, with their derivatives.
#[inline(always)]
fn find_direct(direct: &DirectGate, v: Row, ca: Row) -> [Tangent<2>; 2] {
    let (inf, tau) = direct.gate.programs();
    let variables = Variables::membrane(Tangent::variable(v, 0), Tangent::variable(ca, 1));
    let least = Tangent::constant(1.0 / FASTEST);
    let decay = Tangent::constant(1.0) / tau.eval(&variables).max(least);
    let opening = inf.eval(&variables) * decay;
    let mut found = [opening, decay];
    for k in 0..LANES {
        if !(found[0].is_finite(k) && found[1].is_finite(k)) {
            repair(direct, v[k], ca[k], k, &mut found);
        }
    }
    found
}

/// A removable point of one neuron: its limit, and slopes from beside it.
#[cold]
#[inline(never)]
fn repair(direct: &DirectGate, v: f64, ca: f64, k: usize, found: &mut [Tangent<2>; 2]) {
    let gate = &direct.gate;
    let values = |v: f64, ca: f64| {
        let decay = rate(gate.tau(v, ca, 1.0));
        [gate.inf(v, ca) * decay, decay]
    };
    let (dv, dca) = (1e-4, 1e-6 * ca.abs().max(1e-3));
    let here = values(v, ca);
    let by_v = [values(v - dv, ca), values(v + dv, ca)];
    let by_ca = [values(v, ca - dca), values(v, ca + dca)];
    for (n, found) in found.iter_mut().enumerate() {
        found.value[k] = here[n];
        found.slopes[0][k] = (by_v[1][n] - by_v[0][n]) / (2.0 * dv);
        found.slopes[1][k] = (by_ca[1][n] - by_ca[0][n]) / (2.0 * dca);
    }
}

/// Eliminates the gates from `1/(h gamma) - J`.
#[inline(always)]
fn factor<S: Simd>(
    simd: S,
    plan: &Plan,
    core: &Core<S>,
    shift: Eight<S>,
    values: &[Lane<LANES>],
    arrow: &mut Arrow,
) -> Inverse<S> {
    let one = shift.constant(1.0);
    let mut vv = shift - core.v_by_v;
    let mut vc = core.v_by_ca;
    let mut cv = core.ca_by_v;
    let mut cc = shift - core.ca_by_ca;
    let n = plan.gates.len();
    let (decays, pulls) = (&mut arrow.decay[..n], &mut arrow.pull[..n]);
    let by_v = &arrow.by_v[..n];
    // Two reciprocals cost one division.
    let pairs = n / 2;
    for k in 0..pairs {
        let a = shift + at(simd, decays, 2 * k);
        let b = shift + at(simd, decays, 2 * k + 1);
        let both = one / (a * b);
        (b * both).store(&mut decays[2 * k].0);
        (a * both).store(&mut decays[2 * k + 1].0);
    }
    if n % 2 == 1 {
        let last = one / (shift + at(simd, decays, n - 1));
        last.store(&mut decays[n - 1].0);
    }
    for k in 0..n {
        let pull = at(simd, pulls, k) * at(simd, decays, k);
        pull.store(&mut pulls[k].0);
        vv = (-pull).mul_add(at(simd, by_v, k), vv);
    }
    for &k in &plan.carriers {
        let pull = at(simd, &arrow.pull_ca, k) * at(simd, &arrow.decay, k);
        pull.store(&mut arrow.pull_ca[k].0);
        cv = pull.mul_add(at(simd, &arrow.by_v, k), cv);
    }
    for &k in &plan.reads_calcium {
        let by_ca = at(simd, &arrow.by_ca, k);
        vc = at(simd, &arrow.pull, k).mul_add(by_ca, vc);
        // Zero unless the gate's channel carries calcium itself.
        cc = (-at(simd, &arrow.pull_ca, k)).mul_add(by_ca, cc);
    }
    for (scheme, own) in plan.schemes.iter().zip(&mut arrow.schemes) {
        let [v, ca] = own.factor(simd, scheme, values, shift);
        vv = vv - v;
        cv = cv + ca;
    }
    let scale = one / (vv * cc - vc * cv);
    Inverse {
        vv: cc * scale,
        vc: vc * scale,
        cv: cv * scale,
        cc: vv * scale,
    }
}

/// Solves for the right-hand side `x`, in place.
#[inline(always)]
fn solve<S: Simd>(
    simd: S,
    plan: &Plan,
    arrow: &Arrow,
    inverse: &Inverse<S>,
    x: &mut [Lane<LANES>],
) {
    let n = plan.gates.len();
    let (core, gates) = x.split_at_mut(2);
    let (gates, states) = gates.split_at_mut(n);
    let (pull, by_v, decay) = (&arrow.pull[..n], &arrow.by_v[..n], &arrow.decay[..n]);
    // Two sums, so that one need not wait for the other.
    let mut even = at(simd, core, 0);
    let mut odd = even.constant(0.0);
    for k in 0..n / 2 {
        even = at(simd, pull, 2 * k).mul_add(at(simd, gates, 2 * k), even);
        odd = at(simd, pull, 2 * k + 1).mul_add(at(simd, gates, 2 * k + 1), odd);
    }
    if n % 2 == 1 {
        even = at(simd, pull, n - 1).mul_add(at(simd, gates, n - 1), even);
    }
    let mut bv = even + odd;
    let mut bc = at(simd, core, 1);
    for &k in &plan.carriers {
        bc = at(simd, &arrow.pull_ca, k).mul_add(at(simd, gates, k), bc);
    }
    let mut first = 0;
    for own in &arrow.schemes {
        let [to_v, to_ca] = own.fold(simd, &states[first..first + own.states()]);
        bv = bv + to_v;
        bc = bc + to_ca;
        first += own.states();
    }
    let v = inverse.vv.mul_add(bv, inverse.vc * bc);
    let ca = inverse.cv.mul_add(bv, inverse.cc * bc);
    v.store(&mut core[0].0);
    ca.store(&mut core[1].0);
    for &k in &plan.reads_calcium {
        let with = at(simd, &arrow.by_ca, k).mul_add(ca, at(simd, gates, k));
        with.store(&mut gates[k].0);
    }
    for k in 0..n {
        let with = at(simd, by_v, k).mul_add(v, at(simd, gates, k));
        (with * at(simd, decay, k)).store(&mut gates[k].0);
    }
    let mut first = 0;
    for own in &arrow.schemes {
        own.solve(simd, v, &mut states[first..first + own.states()]);
        first += own.states();
    }
}

/// Takes a trial step; returns each neuron's error in units of the tolerance, which is no number
/// where the step went wrong.
#[inline(always)]
pub fn attempt<S: Simd>(
    simd: S,
    plan: &Plan,
    start: Start,
    tolerance: f64,
    b: &mut Buffers,
) -> Row {
    let n = plan.variables();
    let (y, fixed) = (&start.y[..n], start.fixed);
    let (t, h) = (Eight::load(simd, start.t), Eight::load(simd, start.h));
    let one = h.constant(1.0);
    let gamma = h.constant(GAMMA);
    let [k1, k2, k3] = &mut b.k;
    let (k1, k2, k3) = (&mut k1[..n], &mut k2[..n], &mut k3[..n]);
    let tables = (&mut b.values[..], &mut b.slopes[..]);
    let core = find_rates::<S, true>(simd, plan, y, fixed, t, &mut b.rates, tables, &mut b.arrow);
    let per_h = one / h;
    let shift = per_h * h.constant(1.0 / GAMMA);
    let h_gamma = h * gamma;
    let inverse = factor(simd, plan, &core, shift, &b.values, &mut b.arrow);
    // h times the derivative of V's rate by time.
    let input = plan.fixed;
    let g_slope = parabola_slope(simd, fixed, input, t);
    let current_slope = parabola_slope(simd, fixed, input + INPUT / 2, t);
    let by_time = (-g_slope).mul_add(at(simd, y, 0), current_slope);
    let by_time = by_time * h / one.constant(plan.capacitance);

    let rates = &b.rates[..n];
    k1.copy_from_slice(rates);
    by_time
        .mul_add(one.constant(TIME[0]), at(simd, k1, 0))
        .store(&mut k1[0].0);
    solve(simd, plan, &b.arrow, &inverse, k1);
    let stage = &mut b.stage[..n];
    for k in 0..n {
        (at(simd, y, k) + at(simd, k1, k)).store(&mut stage[k].0);
    }
    let tables = (&mut b.values[..], &mut b.slopes[..]);
    // The rates of both later stages; the arrow is not touched.
    find_rates::<S, false>(
        simd,
        plan,
        stage,
        fixed,
        t + h_gamma,
        k3,
        tables,
        &mut b.arrow,
    );
    let c21 = per_h * one.constant(C21);
    for k in 0..n {
        c21.mul_add(at(simd, k1, k), at(simd, k3, k))
            .store(&mut k2[k].0);
    }
    by_time
        .mul_add(one.constant(TIME[1]), at(simd, k2, 0))
        .store(&mut k2[0].0);
    solve(simd, plan, &b.arrow, &inverse, k2);
    let (c31, c32) = (per_h * one.constant(C31), per_h * one.constant(C32));
    for k in 0..n {
        let with = c31.mul_add(at(simd, k1, k), at(simd, k3, k));
        c32.mul_add(at(simd, k2, k), with).store(&mut k3[k].0);
    }
    by_time
        .mul_add(one.constant(TIME[2]), at(simd, k3, 0))
        .store(&mut k3[0].0);
    solve(simd, plan, &b.arrow, &inverse, k3);

    // The integral of Ca is one variable more, on which nothing depends.
    let ca = [at(simd, y, 1), at(simd, stage, 1)];
    let i1 = (ca[0] + at(simd, k1, 1)) * h_gamma;
    let i2 = (c21.mul_add(i1, ca[1]) + at(simd, k2, 1)) * h_gamma;
    let i3 = (c32.mul_add(i2, c31.mul_add(i1, ca[1])) + at(simd, k3, 1)) * h_gamma;
    let (m2, m3) = (one.constant(M[0]), one.constant(M[1]));
    m3.mul_add(i3, m2.mul_add(i2, i1)).store(&mut b.integral);

    let next = &mut b.next[..n];
    let (e1, e2, e3) = (one.constant(E[0]), one.constant(E[1]), one.constant(E[2]));
    // The largest ratio of error and scale, as a fraction: comparing crosswise spares divisions.
    let (mut worst, mut worst_scale) = (one.constant(0.0), one);
    // A sum that is no number as soon as one error is none.
    let mut sound = one.constant(0.0);
    for k in 0..n {
        let (a, b, c) = (at(simd, k1, k), at(simd, k2, k), at(simd, k3, k));
        let change = m3.mul_add(c, m2.mul_add(b, a));
        let end = at(simd, y, k) + change;
        end.store(&mut next[k].0);
        let error = size(e3.mul_add(c, e2.mul_add(b, e1 * a)));
        let motion = larger(size(at(simd, rates, k)), size(change) * per_h);
        let scale = match k {
            0 => {
                let scale = motion.mul_add(one.constant(V_MOTION), one.constant(V_LEAST));
                let most = one.constant(V_MOST);
                scale.if_less(most, scale, most)
            }
            1 => one + size(at(simd, y, 1)),
            _ => motion.mul_add(one.constant(GATE_MOTION), one.constant(GATE_LEAST)),
        };
        sound = (error + scale).mul_add(one.constant(0.0), sound);
        let (here, there) = (error * worst_scale, worst * scale);
        worst = there.if_less(here, error, worst);
        worst_scale = there.if_less(here, scale, worst_scale);
    }
    ((worst / worst_scale + sound) * one.constant(1.0 / tolerance)).array()
}

/// Rates of V at the ends of the steps.
#[inline(always)]
pub fn end_slopes<S: Simd>(simd: S, plan: &Plan, start: Start, b: &mut Buffers) -> Row {
    let t = Eight::load(simd, start.t) + Eight::load(simd, start.h);
    let tables = (&mut b.values[..], &mut b.slopes[..]);
    find_rates::<S, false>(
        simd,
        plan,
        &b.next,
        start.fixed,
        t,
        &mut b.stage,
        tables,
        &mut b.arrow,
    );
    b.stage[0].0
}
