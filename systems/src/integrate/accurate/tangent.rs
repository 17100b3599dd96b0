//! Eight neurons at once with derivatives: kinetics that no table over V alone can hold. Loops are
//! written out, so that they are compiled for the vector width of the caller.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::kinetics::{Comparison, Dual, Number};
use crate::math;
use crate::simd::{LANES, Row};

/// Values of eight neurons with their derivatives by `N` variables.
#[derive(Clone, Copy, Debug)]
pub struct Tangent<const N: usize> {
    /// Values.
    pub value: Row,
    /// Derivatives by each variable.
    pub slopes: [Row; N],
}

impl<const N: usize> Tangent<N> {
    /// The variable number `index` with the values `x`; derivatives by it are not kept where
    /// `index` is not below `N`.
    #[inline(always)]
    pub fn variable(x: Row, index: usize) -> Self {
        let mut slopes = [[0.0; LANES]; N];
        if index < N {
            slopes[index] = [1.0; LANES];
        }
        Tangent { value: x, slopes }
    }

    /// Whether value and derivatives of neuron `k` are finite.
    #[inline(always)]
    pub fn is_finite(&self, k: usize) -> bool {
        let mut sum = 0.0 * self.value[k];
        for n in 0..N {
            sum += 0.0 * self.slopes[n][k];
        }
        sum == 0.0
    }

    /// A function of value `value` and slope `slope`.
    #[inline(always)]
    fn chain(mut self, value: Row, slope: Row) -> Self {
        self.value = value;
        for n in 0..N {
            for k in 0..LANES {
                self.slopes[n][k] *= slope[k];
            }
        }
        self
    }

    /// A function worked out neuron by neuron, by its rules for [`Dual`].
    #[inline(always)]
    fn each(self, other: Self, f: impl Fn(Dual<N>, Dual<N>) -> Dual<N>) -> Self {
        let mut result = self;
        for k in 0..LANES {
            let dual = f(self.lane(k), other.lane(k));
            result.value[k] = dual.value;
            for n in 0..N {
                result.slopes[n][k] = dual.gradient[n];
            }
        }
        result
    }

    #[inline(always)]
    fn lane(&self, k: usize) -> Dual<N> {
        let mut dual = Dual::constant(self.value[k]);
        for n in 0..N {
            dual.gradient[n] = self.slopes[n][k];
        }
        dual
    }
}

impl<const N: usize> Add for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for k in 0..LANES {
            self.value[k] += other.value[k];
        }
        for n in 0..N {
            for k in 0..LANES {
                self.slopes[n][k] += other.slopes[n][k];
            }
        }
        self
    }
}

impl<const N: usize> Sub for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl<const N: usize> Mul for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for n in 0..N {
            for k in 0..LANES {
                self.slopes[n][k] =
                    self.slopes[n][k] * other.value[k] + other.slopes[n][k] * self.value[k];
            }
        }
        for k in 0..LANES {
            self.value[k] *= other.value[k];
        }
        self
    }
}

impl<const N: usize> Div for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn div(mut self, other: Self) -> Self {
        for k in 0..LANES {
            self.value[k] /= other.value[k];
        }
        for n in 0..N {
            for k in 0..LANES {
                let rest = self.slopes[n][k] - other.slopes[n][k] * self.value[k];
                self.slopes[n][k] = rest / other.value[k];
            }
        }
        self
    }
}

impl<const N: usize> Neg for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn neg(mut self) -> Self {
        for k in 0..LANES {
            self.value[k] = -self.value[k];
        }
        for n in 0..N {
            for k in 0..LANES {
                self.slopes[n][k] = -self.slopes[n][k];
            }
        }
        self
    }
}

impl<const N: usize> Number for Tangent<N> {
    #[inline(always)]
    fn constant(x: f64) -> Self {
        Tangent {
            value: [x; LANES],
            slopes: [[0.0; LANES]; N],
        }
    }

    #[inline(always)]
    fn exp(self) -> Self {
        let y = math::exp_lanes(self.value);
        self.chain(y, y)
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let mut y = self.value;
        let mut slope = y;
        for k in 0..LANES {
            y[k] = -y[k];
        }
        y = math::exp_lanes(y);
        for k in 0..LANES {
            y[k] = 1.0 / (1.0 + y[k]);
            slope[k] = y[k] * (1.0 - y[k]);
        }
        self.chain(y, slope)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        self.each(self, |x, _| x.ln())
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.each(self, |x, _| x.sqrt())
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        self.each(self, |x, _| x.tanh())
    }

    #[inline(always)]
    fn cosh(self) -> Self {
        self.each(self, |x, _| x.cosh())
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.each(self, |x, _| x.abs())
    }

    #[inline(always)]
    fn exprel(self) -> Self {
        self.each(self, |x, _| x.exprel())
    }

    #[inline(always)]
    fn pow(self, exponent: Self) -> Self {
        self.each(exponent, Number::pow)
    }

    #[inline(always)]
    fn select(comparison: Comparison, left: Self, right: Self, yes: Self, no: Self) -> Self {
        let mut result = no;
        for k in 0..LANES {
            if comparison.holds(left.value[k], right.value[k]) {
                result.value[k] = yes.value[k];
                for n in 0..N {
                    result.slopes[n][k] = yes.slopes[n][k];
                }
            }
        }
        result
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.each(other, Number::min)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.each(other, Number::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinetics::{Expression, Variable, Variables};

    /// Every function has the value and the derivatives of the scalar rules.
    #[test]
    fn eight_neurons_are_eight_duals() {
        let texts = [
            "V*Ca - V/Ca + 3",
            "exp(V/20)*sigmoid(Ca - 2)",
            "ln(Ca)*sqrt(Ca) + tanh(V/30)/cosh(Ca/3)",
            "exprel(V/10) + abs(V)^1.5",
            "if(V > Ca, min(V, 2*Ca), max(Ca, -V))",
        ];
        let v: Row = std::array::from_fn(|k| 11.0 * k as f64 - 40.0);
        let ca: Row = std::array::from_fn(|k| 0.7 * k as f64 + 0.3);
        for text in texts {
            let program = Expression::parse(text, &[Variable::V, Variable::Ca], &[])
                .expect("an expression")
                .compile()
                .expect("no parameters");
            let found: Tangent<2> = program.eval(&Variables::membrane(
                Tangent::variable(v, 0),
                Tangent::variable(ca, 1),
            ));
            for k in 0..LANES {
                let one: Dual<2> = program.eval(&Variables::membrane(
                    Dual::variable(v[k], 0),
                    Dual::variable(ca[k], 1),
                ));
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs().max(1.0);
                assert!(near(found.value[k], one.value), "{text}");
                for n in 0..2 {
                    assert!(near(found.slopes[n][k], one.gradient[n]), "{text}");
                }
            }
        }
    }
}
