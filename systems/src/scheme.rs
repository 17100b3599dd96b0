//! Kinetic schemes: channels that pass between a few states, of which some conduct.
//!
//! The fractions p of channels in each state obey `dp/dt = Q(V)ᵀ p`, which is linear: for a V that
//! stands still a step is the exact `p <- exp(Q(V)ᵀ dt) p`. That matrix is tabulated over V as the
//! decays of gates are, so no rate is too stiff for a step, and the interpolation between two of its
//! rows is again a matrix of probabilities: fractions stay from 0 to 1. Their sum is 1 because the
//! first state holds what the others leave.
//!
//! Matrices and steady states are found without a subtraction (Grassmann, Taksar & Heyman, Oper.
//! Res. 33, 1107, 1985, for the latter), so that rates may lie apart by many orders of magnitude.

use bevy_ecs::prelude::*;

use crate::definition::SchemeDefinition;
use crate::kinetics::{Dual, Lanes, Number, Program, Variable, Variables, eval_removable};
use crate::table::{BadValue, Table};

/// Most states of a scheme.
pub const MAX_STATES: usize = 8;

/// One number for each pair of states.
type Matrix = [[f64; MAX_STATES]; MAX_STATES];

/// Largest rate (1/ms): a few of them still have a sum.
const FASTEST: f64 = 1e300;

/// Terms of the exponential series, enough for a matrix of norm 1/2.
const TERMS: usize = 16;

/// Fractions of channels in each state of a neuron's kinetic schemes, scheme after scheme
/// ([`Scheme::first`]). Only neurons whose cell type has a scheme have it.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct States(pub Box<[f64]>);

/// Why a definition is no kinetic scheme.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SchemeError {
    /// Too few or too many states.
    #[error("a kinetic scheme has 2 to {MAX_STATES} states, found {0}")]
    States(usize),
    /// No conducting state, or one that does not exist.
    #[error("a kinetic scheme needs conducting states out of its own")]
    Conducting,
    /// A transition between states that do not exist, or from a state to itself.
    #[error("transition {0} does not join two states of the scheme")]
    Transition(usize),
    /// Two transitions between the same states.
    #[error("transition {0} joins the same states as one before it")]
    Twice(usize),
    /// A rate that depends on calcium.
    #[error("the rate of transition {0} depends on calcium; rates of a scheme depend on V alone")]
    Calcium(usize),
    /// The states fall apart.
    #[error("no way leads from state `{from}` to state `{to}`")]
    Apart {
        /// Where a channel may be.
        from: String,
        /// Where it never gets.
        to: String,
    },
}

impl SchemeDefinition {
    /// Whether the states, conducting states and transitions make a scheme in which every state is
    /// reached from every other.
    ///
    /// # Errors
    /// See [`SchemeError`].
    pub fn check(&self) -> Result<(), SchemeError> {
        let n = self.states.len();
        if !(2..=MAX_STATES).contains(&n) {
            return Err(SchemeError::States(n));
        }
        if self.conducting.is_empty() || self.conducting.iter().any(|state| *state >= n) {
            return Err(SchemeError::Conducting);
        }
        let mut joined = [[0.0; MAX_STATES]; MAX_STATES];
        for (k, t) in self.transitions.iter().enumerate() {
            if t.from >= n || t.to >= n || t.from == t.to {
                return Err(SchemeError::Transition(k));
            }
            if joined[t.from][t.to] != 0.0 {
                return Err(SchemeError::Twice(k));
            }
            if t.rate.depends_on(Variable::Ca) {
                return Err(SchemeError::Calcium(k));
            }
            joined[t.from][t.to] = 1.0;
        }
        for from in 0..n {
            let reached = reached(n, from, |i, j| joined[i][j] != 0.0);
            if let Some(to) = (0..n).find(|to| !reached[*to]) {
                let [from, to] = [from, to].map(|state| self.states[state].clone());
                return Err(SchemeError::Apart { from, to });
            }
        }
        Ok(())
    }
}

/// States that can be reached from `from`, itself among them.
fn reached(n: usize, from: usize, joined: impl Fn(usize, usize) -> bool) -> [bool; MAX_STATES] {
    let mut reached = [false; MAX_STATES];
    reached[from] = true;
    for _ in 1..n {
        for i in 0..n {
            for j in 0..n {
                reached[j] |= reached[i] && joined(i, j);
            }
        }
    }
    reached
}

/// A transition with its rate as a program of V.
#[derive(Clone, Debug)]
struct Passage {
    from: usize,
    to: usize,
    rate: Program,
}

/// A compiled kinetic scheme.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// Lane of its channel.
    pub lane: usize,
    /// Place of its first state in [`States`].
    pub first: usize,
    /// Names of its states.
    pub states: Vec<String>,
    /// Whether each state conducts.
    pub conducting: Vec<bool>,
    /// The table of the step it was built for: for each state but the first the probabilities of
    /// getting there from every state, each with its rise to the next row.
    pub table: Table,
    passages: Vec<Passage>,
}

impl Scheme {
    /// A scheme in `lane` whose states begin at place `first`, with the rates of its transitions.
    pub(crate) fn new(
        lane: usize,
        first: usize,
        definition: &SchemeDefinition,
        rates: Vec<Program>,
    ) -> Self {
        let states = 0..definition.states.len();
        let passages = definition.transitions.iter().zip(rates);
        Scheme {
            lane,
            first,
            states: definition.states.clone(),
            conducting: states.map(|k| definition.conducting.contains(&k)).collect(),
            table: Table::default(),
            passages: passages
                .map(|(t, rate)| Passage {
                    from: t.from,
                    to: t.to,
                    rate,
                })
                .collect(),
        }
    }

    /// Number of states.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether it has no states; a compiled scheme has at least two.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Places of its states in [`States`].
    pub fn places(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.len()
    }

    /// Transitions as (from, to), by place.
    pub fn transitions(&self) -> impl Iterator<Item = (usize, usize)> {
        self.passages.iter().map(|p| (p.from, p.to))
    }

    /// Rate (1/ms) of transition `k` at `v` (mV); a removable point takes its two-sided limit.
    pub fn rate(&self, k: usize, v: f64) -> f64 {
        let at = |v| Variables::membrane(v, 0.0);
        eval_removable(&self.passages[k].rate, v, at).unwrap_or(f64::NAN)
    }

    /// Rates of transition `k` of eight neurons.
    #[inline(always)]
    pub fn rate_lanes(&self, k: usize, at: &Variables<Lanes>) -> [f64; crate::simd::LANES] {
        let mut rates = self.passages[k].rate.eval(at).0;
        for (rate, v) in rates.iter_mut().zip(at.v.0) {
            if !rate.is_finite() {
                *rate = self.rate(k, v);
            }
        }
        rates
    }

    /// Rate of transition `k` with its slope.
    fn rate_dual(&self, k: usize, v: f64) -> Dual<1> {
        let at = Variables::membrane(Dual::variable(v, 0), Dual::constant(0.0));
        let rate = self.passages[k].rate.eval(&at);
        if rate.value.is_finite() && rate.gradient[0].is_finite() {
            return rate;
        }
        // A removable point of the formula: limit of the value, central difference for the slope.
        let h = 1e-4;
        Dual {
            value: self.rate(k, v),
            gradient: [(self.rate(k, v + h) - self.rate(k, v - h)) / (2.0 * h)],
        }
    }

    /// Fractions at steady state for `v` (mV); not finite where they are not one set alone.
    pub fn steady(&self, v: f64) -> [f64; MAX_STATES] {
        self.stationary(|k| self.rate(k, v))
    }

    /// Conducting fraction at steady state for `v` (mV), with its slope over V (1/mV).
    pub fn open(&self, v: f64) -> Dual<1> {
        let steady = self.stationary(|k| self.rate_dual(k, v));
        let states = steady.into_iter().zip(&self.conducting);
        let open = states.filter(|(_, conducts)| **conducts);
        open.fold(Dual::constant(0.0), |sum, (p, _)| sum + p)
    }

    /// Conducting fraction of the states `p` of this scheme.
    pub fn open_fraction(&self, p: &[f64]) -> f64 {
        let states = p.iter().zip(&self.conducting);
        states
            .filter(|(_, conducts)| **conducts)
            .map(|(p, _)| p)
            .sum()
    }

    /// Steady state for rates `rate(transition)`: states are taken out of the scheme one by one,
    /// their passages becoming passages of the others, and put back in the reverse order.
    fn stationary<T: Number + Value>(&self, rate: impl Fn(usize) -> T) -> [T; MAX_STATES] {
        let n = self.len();
        let zero = T::constant(0.0);
        let mut q = [[zero; MAX_STATES]; MAX_STATES];
        for (k, passage) in self.passages.iter().enumerate() {
            q[passage.from][passage.to] = rate(k);
        }
        // The last to stay must be one that every other gets to; some rates may be 0 here.
        let joined = |i: usize, j: usize| q[i][j].value() != 0.0;
        let all = |root: &usize| (0..n).all(|from| reached(n, from, joined)[*root]);
        let Some(root) = (0..n).find(all) else {
            return [T::constant(f64::NAN); MAX_STATES];
        };
        let mut order: Vec<usize> = vec![root];
        order.extend((0..n).filter(|state| *state != root));
        for last in (1..n).rev() {
            let (out, rest) = (order[last], &order[..last]);
            let exit = rest.iter().fold(zero, |sum, j| sum + q[out][*j]);
            for i in rest {
                q[*i][out] = q[*i][out] / exit;
                for j in rest.iter().filter(|j| *j != i) {
                    q[*i][*j] = q[*i][*j] + q[*i][out] * q[out][*j];
                }
            }
        }
        let mut p = [zero; MAX_STATES];
        p[root] = T::constant(1.0);
        let mut total = p[root];
        for last in 1..n {
            let state = order[last];
            let into = order[..last].iter();
            p[state] = into.fold(zero, |sum, i| sum + p[*i] * q[*i][state]);
            total = total + p[state];
        }
        p.map(|x| x / total)
    }

    /// Probabilities of getting from state `from` to state `to` within `dt` (ms) at `v` (mV), as
    /// `[to][from]`.
    pub fn propagator(&self, v: f64, dt: f64) -> Matrix {
        let mut rates = [[0.0; MAX_STATES]; MAX_STATES];
        for (k, passage) in self.passages.iter().enumerate() {
            rates[passage.to][passage.from] = self.rate(k, v);
        }
        exponential(self.len(), rates, dt)
    }

    /// Moves the fractions `p` by `dt` (ms) at `v` (mV), without the table.
    pub fn advance(&self, p: &mut [f64], v: f64, dt: f64) {
        let m = self.propagator(v, dt);
        let before: [f64; MAX_STATES] = std::array::from_fn(|k| p.get(k).copied().unwrap_or(0.0));
        let mut rest = 1.0;
        for (to, p) in p.iter_mut().enumerate().skip(1) {
            let sources = m[to].iter().zip(before);
            *p = sources.fold(0.0, |sum, (m, x)| m.mul_add(x, sum));
            rest -= *p;
        }
        p[0] = f64::max(rest, 0.0);
    }

    /// Fractions whose named ones, (place, value), are as given; the others share what is left of 1
    /// as they do in `rest`.
    pub fn completed(&self, rest: &[f64], named: &[(usize, f64)]) -> Vec<f64> {
        let of = |k: usize| named.iter().rev().find(|(state, _)| *state == k);
        let free = |k: &usize| of(*k).is_none();
        let given: f64 = (0..self.len()).filter_map(of).map(|(_, x)| x).sum();
        let left = (1.0 - given).max(0.0);
        let weight: f64 = (0..self.len()).filter(free).map(|k| rest[k]).sum();
        let first = (0..self.len()).find(free);
        let share = |k: usize| match (weight > 0.0, first == Some(k)) {
            (true, _) => left * rest[k] / weight,
            // At rest they are all empty: the first takes it.
            (false, true) => left,
            (false, false) => 0.0,
        };
        (0..self.len())
            .map(|k| of(k).map_or_else(|| share(k), |(_, x)| *x))
            .collect()
    }

    /// Place of a state by its name.
    pub fn state(&self, name: &str) -> Option<usize> {
        self.states.iter().position(|state| state == name)
    }

    /// Builds the table for steps of `dt` (ms).
    ///
    /// # Errors
    /// A transition, by its place, whose rate is negative or not finite; with the place beyond the
    /// last transition: a voltage without a steady state.
    pub(crate) fn rebuild(&mut self, dt: f64) -> Result<(), BadValue> {
        let n = self.len();
        let table = Table::build(1, n * (n - 1), |row, v| {
            for k in 0..self.passages.len() {
                let rate = self.rate(k, v);
                let what = ("the rate (1/ms)", rate, "0 or more");
                if !(0.0..=FASTEST).contains(&rate) {
                    return Err(BadValue {
                        column: k,
                        v,
                        what: rate.is_finite().then_some(what),
                    });
                }
            }
            if !self.steady(v)[..n].iter().all(|p| p.is_finite()) {
                return Err(BadValue {
                    column: self.passages.len(),
                    v,
                    what: None,
                });
            }
            let probabilities = self.propagator(v, dt);
            for (row, to) in row.chunks_mut(n).zip(&probabilities[1..]) {
                row.copy_from_slice(&to[..n]);
            }
            Ok(())
        })?;
        self.table = table;
        Ok(())
    }

    /// Bytes of the table of a scheme of `n` states.
    pub fn table_bytes(n: usize) -> usize {
        2 * n * n.saturating_sub(1) * crate::table::ROWS * size_of::<f64>()
    }
}

/// A number whose value is looked at.
trait Value {
    /// The value.
    fn value(self) -> f64;
}

impl Value for f64 {
    fn value(self) -> f64 {
        self
    }
}

impl Value for Dual<1> {
    fn value(self) -> f64 {
        self.value
    }
}

/// `exp(dt A)` for the generator A whose rates (1/ms) from state to state are `rates[to][from]`.
///
/// Adding the fastest exit rate to the diagonal leaves no negative number in it and changes the
/// exponential by a factor that making each column's sum 1 takes out again. Halving dt until the
/// series converges at once and squaring as often keeps it so.
fn exponential(n: usize, rates: Matrix, dt: f64) -> Matrix {
    let exits: [f64; MAX_STATES] =
        std::array::from_fn(|from| (0..n).map(|to| rates[to][from]).sum::<f64>());
    let fastest = exits[..n].iter().copied().fold(0.0, f64::max);
    let (mut h, mut halvings) = (dt, 0);
    while fastest * h > 0.5 {
        h *= 0.5;
        halvings += 1;
    }
    let mut a = [[0.0; MAX_STATES]; MAX_STATES];
    for to in 0..n {
        for from in 0..n {
            a[to][from] = h * rates[to][from];
        }
        a[to][to] = h * (fastest - exits[to]);
    }
    let mut term = identity();
    let mut sum = identity();
    for k in 1..=TERMS {
        term = product(n, &term, &a);
        for to in 0..n {
            for from in 0..n {
                term[to][from] /= k as f64;
                sum[to][from] += term[to][from];
            }
        }
    }
    normalise(n, &mut sum);
    for _ in 0..halvings {
        sum = product(n, &sum, &sum);
        normalise(n, &mut sum);
    }
    sum
}

fn identity() -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 } else { 0.0 }))
}

fn product(n: usize, a: &Matrix, b: &Matrix) -> Matrix {
    let mut c = [[0.0; MAX_STATES]; MAX_STATES];
    for i in 0..n {
        for j in 0..n {
            c[i][j] = (0..n).fold(0.0, |sum, k| a[i][k].mul_add(b[k][j], sum));
        }
    }
    c
}

/// Makes the sum of every column 1.
fn normalise(n: usize, m: &mut Matrix) {
    for from in 0..n {
        let total: f64 = (0..n).map(|to| m[to][from]).sum();
        for row in m.iter_mut().take(n) {
            row[from] /= total;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definition::Transition;
    use crate::kinetics::Expression;

    /// A scheme whose rates (1/ms) are `rates[from][to]` at every voltage, 0 where there is none.
    fn scheme(n: usize, rates: &[Vec<f64>]) -> (SchemeDefinition, Scheme) {
        let pairs = (0..n).flat_map(|from| (0..n).map(move |to| (from, to)));
        let transitions = pairs
            .filter(|(from, to)| from != to && rates[*from][*to] > 0.0)
            .map(|(from, to)| Transition {
                from,
                to,
                rate: Expression::constant(rates[from][to]),
            });
        let definition = SchemeDefinition {
            states: (0..n).map(|k| format!("s{k}")).collect(),
            conducting: vec![0],
            transitions: transitions.collect(),
        };
        let programs = definition.transitions.iter();
        let programs = programs.map(|t| t.rate.compile().expect("a constant"));
        let scheme = Scheme::new(0, 0, &definition, programs.collect());
        (definition, scheme)
    }

    /// Rates (1/ms) of the fractions `p`.
    fn motion(scheme: &Scheme, p: [f64; MAX_STATES]) -> [f64; MAX_STATES] {
        let mut motion = [0.0; MAX_STATES];
        for (k, (from, to)) in scheme.transitions().enumerate() {
            let flow = scheme.rate(k, 0.0) * p[from];
            motion[from] -= flow;
            motion[to] += flow;
        }
        motion
    }

    /// `p` after `t` (ms) by short classical Runge-Kutta steps.
    fn by_runge_kutta(scheme: &Scheme, mut p: [f64; MAX_STATES], t: f64) -> [f64; MAX_STATES] {
        let steps = 2000;
        let h = t / f64::from(steps);
        let moved = |p: [f64; MAX_STATES], k: [f64; MAX_STATES], h: f64| {
            std::array::from_fn(|i| p[i] + h * k[i])
        };
        for _ in 0..steps {
            let k1 = motion(scheme, p);
            let k2 = motion(scheme, moved(p, k1, h / 2.0));
            let k3 = motion(scheme, moved(p, k2, h / 2.0));
            let k4 = motion(scheme, moved(p, k3, h));
            p = std::array::from_fn(|i| {
                p[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i])
            });
        }
        p
    }

    /// Rates over five orders of magnitude between up to eight states, a third of them missing.
    fn any_rates() -> impl Strategy<Value = (usize, Vec<Vec<f64>>)> {
        (2..=MAX_STATES).prop_flat_map(|n| {
            let rate = prop_oneof![1 => Just(0.0), 2 => (-4.0..1.0_f64).prop_map(|x| x.exp2())];
            let row = proptest::collection::vec(rate, n);
            (Just(n), proptest::collection::vec(row, n))
        })
    }

    proptest! {
        #[test]
        fn the_exponential_is_the_solution((n, rates) in any_rates(), t in 0.01..20.0_f64) {
            let (_, scheme) = scheme(n, &rates);
            let m = scheme.propagator(0.0, t);
            for from in 0..n {
                let mut p = [0.0; MAX_STATES];
                p[from] = 1.0;
                let wanted = by_runge_kutta(&scheme, p, t);
                let mut sum = 0.0;
                for to in 0..n {
                    prop_assert!((m[to][from] - wanted[to]).abs() < 1e-7, "{} {}", m[to][from], wanted[to]);
                    prop_assert!((0.0..=1.0 + 1e-15).contains(&m[to][from]));
                    sum += m[to][from];
                }
                prop_assert!((sum - 1.0).abs() < 1e-15);
            }
        }

        #[test]
        fn at_steady_state_nothing_moves((n, rates) in any_rates()) {
            let (definition, scheme) = scheme(n, &rates);
            let p = scheme.steady(0.0);
            if definition.check().is_ok() {
                prop_assert!(p[..n].iter().all(|p| *p > 0.0));
            }
            if p[0].is_finite() {
                prop_assert!((p[..n].iter().sum::<f64>() - 1.0).abs() < 1e-14);
                let motion = motion(&scheme, p);
                prop_assert!(motion[..n].iter().all(|rate| rate.abs() < 1e-13), "{motion:?}");
            }
        }
    }

    /// However stiff: a scheme of two states relaxes as `exp(-(a + b) t)`.
    #[test]
    fn two_states_of_any_rate() {
        for (a, b, t) in [
            (1e-9, 3e-9, 0.01),
            (1e6, 3e6, 0.01),
            (1e12, 1e-3, 1.0),
            (2.0, 5.0, 0.1),
        ] {
            let (_, scheme) = scheme(2, &[vec![0.0, a], vec![b, 0.0]]);
            let m = scheme.propagator(0.0, t);
            let wanted = -a / (a + b) * crate::math::expm1(-(a + b) * t);
            assert!(
                (m[1][0] / wanted - 1.0).abs() < 1e-12,
                "{a}: {} {wanted}",
                m[1][0]
            );
        }
    }

    #[test]
    fn states_that_are_not_named_share_the_rest() {
        let (_, scheme) = scheme(3, &vec![vec![1.0; 3]; 3]);
        let rest = [0.2, 0.6, 0.2];
        assert_eq!(scheme.completed(&rest, &[(1, 0.5)]), [0.25, 0.5, 0.25]);
        assert_eq!(
            scheme.completed(&rest, &[(1, 0.0), (2, 0.0)]),
            [1.0, 0.0, 0.0]
        );
        assert_eq!(
            scheme.completed(&[1.0, 0.0, 0.0], &[(0, 0.3)]),
            [0.3, 0.7, 0.0]
        );
        assert_eq!(scheme.completed(&rest, &[]), rest);
    }
}
