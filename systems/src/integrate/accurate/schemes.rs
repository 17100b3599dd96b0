//! Kinetic schemes in a Ros3 step. The states of a scheme hang on V alone, and V on their conducting
//! fraction: like one gate, but for a small matrix in place of its rate. `1/(h gamma) - Q` has
//! columns whose diagonal outweighs the rest, so it is factored without a search for pivots.

use super::plan::{Plan, PlanScheme};
use crate::channels::Lane;
use crate::scheme::MAX_STATES;
use crate::simd::{Eight, LANES, Real, Row, Simd};

/// Derivatives of a scheme of eight neurons, and the elimination of its states.
#[derive(Debug)]
pub struct SchemeArrow {
    /// Factors of `1/(h gamma) - Q`, row by row; the diagonal holds reciprocals.
    matrix: Vec<Lane<LANES>>,
    /// Derivative of each state's rate by V.
    by_v: Vec<Lane<LANES>>,
    /// What each state's right-hand side means for the conducting fraction.
    weight: Vec<Lane<LANES>>,
    /// Derivative of V's rate by the conducting fraction, and that of Ca's.
    pull: [Row; 2],
}

impl SchemeArrow {
    /// Memory for a scheme.
    pub fn new(scheme: &PlanScheme) -> Self {
        let n = scheme.states;
        SchemeArrow {
            matrix: vec![Lane::splat(0.0); n * n],
            by_v: vec![Lane::splat(0.0); n],
            weight: vec![Lane::splat(0.0); n],
            pull: [[0.0; LANES]; 2],
        }
    }

    /// Number of states.
    pub fn states(&self) -> usize {
        self.by_v.len()
    }

    /// Takes the derivatives of the rates of V and Ca by the conducting fraction.
    #[inline(always)]
    pub fn set_pull<S: Simd>(&mut self, v: Eight<S>, ca: Eight<S>) {
        v.store(&mut self.pull[0]);
        ca.store(&mut self.pull[1]);
    }

    /// Eliminates the states; what this adds to the derivative of V's rate by V, and to that of
    /// Ca's. `values` are the columns of the table.
    #[inline(always)]
    pub fn factor<S: Simd>(
        &mut self,
        simd: S,
        scheme: &PlanScheme,
        values: &[Lane<LANES>],
        shift: Eight<S>,
    ) -> [Eight<S>; 2] {
        let n = scheme.states;
        let zero = shift.constant(0.0);
        let mut a = [[zero; MAX_STATES]; MAX_STATES];
        for k in 0..n {
            a[k][k] = shift;
        }
        for &(from, to, column) in &scheme.transitions {
            let rate = Eight::load(simd, &values[column].0);
            a[from][from] = a[from][from] + rate;
            a[to][from] = a[to][from] - rate;
        }
        for k in 0..n {
            a[k][k] = shift.constant(1.0) / a[k][k];
            for i in k + 1..n {
                let below = a[i][k] * a[k][k];
                a[i][k] = below;
                for j in k + 1..n {
                    a[i][j] = (-below).mul_add(a[k][j], a[i][j]);
                }
            }
        }
        // The transposed matrix on the conducting states.
        let mut u = [zero; MAX_STATES];
        for &state in &scheme.conducting {
            u[state] = shift.constant(1.0);
        }
        for i in 0..n {
            for j in 0..i {
                u[i] = (-a[j][i]).mul_add(u[j], u[i]);
            }
            u[i] = u[i] * a[i][i];
        }
        for i in (0..n).rev() {
            for j in i + 1..n {
                u[i] = (-a[j][i]).mul_add(u[j], u[i]);
            }
        }
        let mut through = zero;
        for i in 0..n {
            u[i].store(&mut self.weight[i].0);
            through = u[i].mul_add(Eight::load(simd, &self.by_v[i].0), through);
            for j in 0..n {
                a[i][j].store(&mut self.matrix[i * n + j].0);
            }
        }
        let [v, ca] = &self.pull;
        [
            through * Eight::load(simd, v),
            through * Eight::load(simd, ca),
        ]
    }

    /// What the right-hand sides `b` of the states add to those of V and Ca.
    #[inline(always)]
    pub fn fold<S: Simd>(&self, simd: S, b: &[Lane<LANES>]) -> [Eight<S>; 2] {
        let mut open = Eight::splat(simd, 0.0);
        for k in 0..self.weight.len() {
            let weight = Eight::load(simd, &self.weight[k].0);
            open = weight.mul_add(Eight::load(simd, &b[k].0), open);
        }
        let [v, ca] = &self.pull;
        [open * Eight::load(simd, v), open * Eight::load(simd, ca)]
    }

    #[inline(always)]
    fn entry<S: Simd>(&self, simd: S, row: usize, column: usize) -> Eight<S> {
        Eight::load(simd, &self.matrix[row * self.states() + column].0)
    }

    /// Solves for the right-hand sides `x` of the states in place, V being `v`.
    #[inline(always)]
    pub fn solve<S: Simd>(&self, simd: S, v: Eight<S>, x: &mut [Lane<LANES>]) {
        let n = self.states();
        let mut p = [v; MAX_STATES];
        for i in 0..n {
            let with = Eight::load(simd, &self.by_v[i].0).mul_add(v, Eight::load(simd, &x[i].0));
            p[i] = with;
            for j in 0..i {
                p[i] = (-self.entry(simd, i, j)).mul_add(p[j], p[i]);
            }
        }
        for i in (0..n).rev() {
            for j in i + 1..n {
                p[i] = (-self.entry(simd, i, j)).mul_add(p[j], p[i]);
            }
            p[i] = p[i] * self.entry(simd, i, i);
            p[i].store(&mut x[i].0);
        }
    }
}

/// Rates of the states of every scheme, and with `JACOBIAN` their derivatives by V; `values` and
/// `slopes` are the columns of the table.
#[inline(always)]
pub fn find_rates<S: Simd, const JACOBIAN: bool>(
    simd: S,
    plan: &Plan,
    y: &[Lane<LANES>],
    rates: &mut [Lane<LANES>],
    (values, slopes): (&[Lane<LANES>], &[Lane<LANES>]),
    arrows: &mut [SchemeArrow],
) {
    let zero = Eight::splat(simd, 0.0);
    for (scheme, arrow) in plan.schemes.iter().zip(arrows) {
        let n = scheme.states;
        let (mut motion, mut by_v) = ([zero; MAX_STATES], [zero; MAX_STATES]);
        for &(from, to, column) in &scheme.transitions {
            let p = Eight::load(simd, &y[scheme.first + from].0);
            let flow = p * Eight::load(simd, &values[column].0);
            motion[from] = motion[from] - flow;
            motion[to] = motion[to] + flow;
            if JACOBIAN {
                let flow = p * Eight::load(simd, &slopes[column].0);
                by_v[from] = by_v[from] - flow;
                by_v[to] = by_v[to] + flow;
            }
        }
        for k in 0..n {
            motion[k].store(&mut rates[scheme.first + k].0);
            if JACOBIAN {
                by_v[k].store(&mut arrow.by_v[k].0);
            }
        }
    }
}

/// Conducting fraction of a scheme.
#[inline(always)]
pub fn open<S: Simd>(simd: S, scheme: &PlanScheme, y: &[Lane<LANES>]) -> Eight<S> {
    let mut open = Eight::splat(simd, 0.0);
    for &state in &scheme.conducting {
        open = open + Eight::load(simd, &y[scheme.first + state].0);
    }
    open
}
