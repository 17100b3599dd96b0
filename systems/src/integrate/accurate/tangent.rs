//! Eight neurons at once with derivatives: kinetics that no table over V alone can hold.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::kinetics::{Comparison, Dual, Lanes, Number};

/// Values of eight neurons with their derivatives by `N` variables.
#[derive(Clone, Copy, Debug)]
pub struct Tangent<const N: usize> {
    /// Values.
    pub value: Lanes,
    /// Derivatives by each variable.
    pub slopes: [Lanes; N],
}

impl<const N: usize> Tangent<N> {
    /// The variable number `index` with the values `x`.
    #[inline(always)]
    pub fn variable(x: Lanes, index: usize) -> Self {
        let mut slopes = [Lanes([0.0; 8]); N];
        slopes[index] = Lanes([1.0; 8]);
        Tangent { value: x, slopes }
    }

    /// A function worked out neuron by neuron, by its rules for [`Dual`].
    #[inline(always)]
    fn each(self, other: Self, f: impl Fn(Dual<N>, Dual<N>) -> Dual<N>) -> Self {
        let mut result = self;
        for k in 0..8 {
            let dual = f(self.lane(k), other.lane(k));
            result.value.0[k] = dual.value;
            for n in 0..N {
                result.slopes[n].0[k] = dual.gradient[n];
            }
        }
        result
    }

    #[inline(always)]
    fn lane(&self, k: usize) -> Dual<N> {
        let mut dual = Dual::constant(self.value.0[k]);
        for n in 0..N {
            dual.gradient[n] = self.slopes[n].0[k];
        }
        dual
    }
}

impl<const N: usize> Add for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        self.value = self.value + other.value;
        for n in 0..N {
            self.slopes[n] = self.slopes[n] + other.slopes[n];
        }
        self
    }
}

impl<const N: usize> Sub for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        self.value = self.value - other.value;
        for n in 0..N {
            self.slopes[n] = self.slopes[n] - other.slopes[n];
        }
        self
    }
}

impl<const N: usize> Mul for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for n in 0..N {
            self.slopes[n] = self.slopes[n] * other.value + other.slopes[n] * self.value;
        }
        self.value = self.value * other.value;
        self
    }
}

impl<const N: usize> Div for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn div(mut self, other: Self) -> Self {
        let quotient = self.value / other.value;
        for n in 0..N {
            self.slopes[n] = (self.slopes[n] - other.slopes[n] * quotient) / other.value;
        }
        self.value = quotient;
        self
    }
}

impl<const N: usize> Neg for Tangent<N> {
    type Output = Self;

    #[inline(always)]
    fn neg(mut self) -> Self {
        self.value = -self.value;
        self.slopes = self.slopes.map(|d| -d);
        self
    }
}

impl<const N: usize> Number for Tangent<N> {
    #[inline(always)]
    fn constant(x: f64) -> Self {
        Tangent {
            value: Lanes([x; 8]),
            slopes: [Lanes([0.0; 8]); N],
        }
    }

    #[inline(always)]
    fn exp(mut self) -> Self {
        self.value = self.value.exp();
        self.slopes = self.slopes.map(|d| d * self.value);
        self
    }

    #[inline(always)]
    fn sigmoid(mut self) -> Self {
        self.value = self.value.sigmoid();
        let slope = self.value * (Lanes([1.0; 8]) - self.value);
        self.slopes = self.slopes.map(|d| d * slope);
        self
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
        for k in 0..8 {
            if comparison.holds(left.value.0[k], right.value.0[k]) {
                result.value.0[k] = yes.value.0[k];
                for n in 0..N {
                    result.slopes[n].0[k] = yes.slopes[n].0[k];
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
