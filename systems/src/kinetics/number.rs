//! The number types a [`Program`](super::Program) can be evaluated on.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::math;

/// Comparison in the condition of an `if`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Whether the comparison holds; never with a side that is not a number.
    #[inline(always)]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
        }
    }
}

/// What the kinetics language needs of a number. On `f64` call these by path (`Number::exp(x)`):
/// `x.exp()` is the platform's.
pub trait Number:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The number `x` itself.
    fn constant(x: f64) -> Self;
    /// Pinned exponential.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Hyperbolic cosine.
    fn cosh(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// `1/(1 + exp(-x))`.
    fn sigmoid(self) -> Self;
    /// `(exp(x) - 1)/x`.
    fn exprel(self) -> Self;
    /// Power with any exponent.
    fn pow(self, exponent: Self) -> Self;
    /// `yes` where `left` compares so to `right`, else `no`.
    fn select(comparison: Comparison, left: Self, right: Self, yes: Self, no: Self) -> Self;
    /// The smaller; a side that is not a number wins.
    fn min(self, other: Self) -> Self;
    /// The larger; a side that is not a number wins.
    fn max(self, other: Self) -> Self;

    /// Whole power by repeated multiplication, for a negative one the reciprocal of that.
    #[inline(always)]
    fn powi(self, n: i8) -> Self {
        let mut y = Self::constant(1.0);
        for _ in 0..n.unsigned_abs() {
            y = y * self;
        }
        if n < 0 { Self::constant(1.0) / y } else { y }
    }
}

/// Whether `min(a, b)` is `a`.
#[inline(always)]
fn takes_first_as_min(a: f64, b: f64) -> bool {
    a < b || a.is_nan()
}

/// Whether `max(a, b)` is `a`.
#[inline(always)]
fn takes_first_as_max(a: f64, b: f64) -> bool {
    a > b || a.is_nan()
}

impl Number for f64 {
    #[inline(always)]
    fn constant(x: f64) -> f64 {
        x
    }

    #[inline(always)]
    fn exp(self) -> f64 {
        math::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> f64 {
        math::ln(self)
    }

    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn tanh(self) -> f64 {
        math::tanh(self)
    }

    #[inline(always)]
    fn cosh(self) -> f64 {
        math::cosh(self)
    }

    #[inline(always)]
    fn abs(self) -> f64 {
        f64::abs(self)
    }

    #[inline(always)]
    fn sigmoid(self) -> f64 {
        1.0 / (1.0 + math::exp(-self))
    }

    #[inline(always)]
    fn exprel(self) -> f64 {
        math::exprel(self)
    }

    #[inline(always)]
    fn pow(self, exponent: f64) -> f64 {
        math::pow(self, exponent)
    }

    #[inline(always)]
    fn select(comparison: Comparison, left: f64, right: f64, yes: f64, no: f64) -> f64 {
        if comparison.holds(left, right) {
            yes
        } else {
            no
        }
    }

    #[inline(always)]
    fn min(self, other: f64) -> f64 {
        if takes_first_as_min(self, other) {
            self
        } else {
            other
        }
    }

    #[inline(always)]
    fn max(self, other: f64) -> f64 {
        if takes_first_as_max(self, other) {
            self
        } else {
            other
        }
    }
}

/// A value with its derivatives by `N` variables (forward mode).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dual<const N: usize> {
    /// The value.
    pub value: f64,
    /// Its derivatives.
    pub gradient: [f64; N],
}

/// A slope passed on: what does not depend on a variable does not even where the slope is
/// infinite.
#[inline(always)]
fn chained(slope: f64, derivative: f64) -> f64 {
    if derivative == 0.0 {
        0.0
    } else {
        slope * derivative
    }
}

impl<const N: usize> Dual<N> {
    /// A number that depends on nothing.
    #[inline(always)]
    pub fn constant(x: f64) -> Self {
        Dual {
            value: x,
            gradient: [0.0; N],
        }
    }

    /// The variable number `index`, with the value `x`.
    ///
    /// # Panics
    /// If `index` is not below `N`.
    #[inline(always)]
    pub fn variable(x: f64, index: usize) -> Self {
        let mut variable = Dual::constant(x);
        variable.gradient[index] = 1.0;
        variable
    }

    /// A function of one number: its value and slope here.
    #[inline(always)]
    fn function(self, value: f64, slope: f64) -> Self {
        Dual {
            value,
            gradient: self.gradient.map(|d| chained(slope, d)),
        }
    }

    /// A function of two numbers: its value and both slopes here.
    #[inline(always)]
    fn function2(self, other: Self, value: f64, slopes: (f64, f64)) -> Self {
        let mut gradient = self.gradient;
        for (d, e) in gradient.iter_mut().zip(other.gradient) {
            *d = chained(slopes.0, *d) + chained(slopes.1, e);
        }
        Dual { value, gradient }
    }
}

impl<const N: usize> Add for Dual<N> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.function2(other, self.value + other.value, (1.0, 1.0))
    }
}

impl<const N: usize> Sub for Dual<N> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.function2(other, self.value - other.value, (1.0, -1.0))
    }
}

impl<const N: usize> Mul for Dual<N> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let slopes = (other.value, self.value);
        self.function2(other, self.value * other.value, slopes)
    }
}

impl<const N: usize> Div for Dual<N> {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let quotient = self.value / other.value;
        let slopes = (1.0 / other.value, -quotient / other.value);
        self.function2(other, quotient, slopes)
    }
}

impl<const N: usize> Neg for Dual<N> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        self.function(-self.value, -1.0)
    }
}

impl<const N: usize> Number for Dual<N> {
    #[inline(always)]
    fn constant(x: f64) -> Self {
        Dual::constant(x)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        let y = math::exp(self.value);
        self.function(y, y)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        self.function(math::ln(self.value), 1.0 / self.value)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        let y = f64::sqrt(self.value);
        self.function(y, 0.5 / y)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        let y = math::tanh(self.value);
        self.function(y, 1.0 - y * y)
    }

    #[inline(always)]
    fn cosh(self) -> Self {
        self.function(math::cosh(self.value), math::sinh(self.value))
    }

    #[inline(always)]
    fn abs(self) -> Self {
        let slope = if self.value < 0.0 { -1.0 } else { 1.0 };
        self.function(f64::abs(self.value), slope)
    }

    #[inline(always)]
    fn sigmoid(self) -> Self {
        let y = Number::sigmoid(self.value);
        self.function(y, y * (1.0 - y))
    }

    #[inline(always)]
    fn exprel(self) -> Self {
        self.function(math::exprel(self.value), math::exprel_slope(self.value))
    }

    #[inline(always)]
    fn pow(self, exponent: Self) -> Self {
        let (a, b) = (self.value, exponent.value);
        let value = math::pow(a, b);
        let by_base = if b == 0.0 {
            0.0
        } else {
            b * math::pow(a, b - 1.0)
        };
        // a^b ln a goes to zero with a for any positive b.
        let by_exponent = if value == 0.0 {
            0.0
        } else {
            value * math::ln(a)
        };
        self.function2(exponent, value, (by_base, by_exponent))
    }

    #[inline(always)]
    fn select(comparison: Comparison, left: Self, right: Self, yes: Self, no: Self) -> Self {
        if comparison.holds(left.value, right.value) {
            yes
        } else {
            no
        }
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        if takes_first_as_min(self.value, other.value) {
            self
        } else {
            other
        }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if takes_first_as_max(self.value, other.value) {
            self
        } else {
            other
        }
    }
}

/// Eight neurons at once, each with the bits of the scalar evaluation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lanes(pub [f64; 8]);

impl Lanes {
    #[inline(always)]
    fn map(self, f: impl Fn(f64) -> f64) -> Lanes {
        let mut lanes = self;
        for x in &mut lanes.0 {
            *x = f(*x);
        }
        lanes
    }

    #[inline(always)]
    fn zip(self, other: Lanes, f: impl Fn(f64, f64) -> f64) -> Lanes {
        let mut lanes = self;
        for (x, y) in lanes.0.iter_mut().zip(other.0) {
            *x = f(*x, y);
        }
        lanes
    }
}

impl Add for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn add(self, other: Lanes) -> Lanes {
        self.zip(other, |x, y| x + y)
    }
}

impl Sub for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn sub(self, other: Lanes) -> Lanes {
        self.zip(other, |x, y| x - y)
    }
}

impl Mul for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn mul(self, other: Lanes) -> Lanes {
        self.zip(other, |x, y| x * y)
    }
}

impl Div for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn div(self, other: Lanes) -> Lanes {
        self.zip(other, |x, y| x / y)
    }
}

impl Neg for Lanes {
    type Output = Lanes;

    #[inline(always)]
    fn neg(self) -> Lanes {
        self.map(|x| -x)
    }
}

impl Number for Lanes {
    #[inline(always)]
    fn constant(x: f64) -> Lanes {
        Lanes([x; 8])
    }

    #[inline(always)]
    fn exp(self) -> Lanes {
        Lanes(math::exp_lanes(self.0))
    }

    #[inline(always)]
    fn ln(self) -> Lanes {
        self.map(math::ln)
    }

    #[inline(always)]
    fn sqrt(self) -> Lanes {
        self.map(f64::sqrt)
    }

    #[inline(always)]
    fn tanh(self) -> Lanes {
        self.map(math::tanh)
    }

    #[inline(always)]
    fn cosh(self) -> Lanes {
        self.map(math::cosh)
    }

    #[inline(always)]
    fn abs(self) -> Lanes {
        self.map(f64::abs)
    }

    #[inline(always)]
    fn sigmoid(self) -> Lanes {
        self.map(Number::sigmoid)
    }

    #[inline(always)]
    fn exprel(self) -> Lanes {
        self.map(math::exprel)
    }

    #[inline(always)]
    fn pow(self, exponent: Lanes) -> Lanes {
        self.zip(exponent, math::pow)
    }

    #[inline(always)]
    fn select(comparison: Comparison, left: Lanes, right: Lanes, yes: Lanes, no: Lanes) -> Lanes {
        let mut lanes = no;
        for (k, x) in lanes.0.iter_mut().enumerate() {
            *x = f64::select(comparison, left.0[k], right.0[k], yes.0[k], *x);
        }
        lanes
    }

    #[inline(always)]
    fn min(self, other: Lanes) -> Lanes {
        self.zip(other, Number::min)
    }

    #[inline(always)]
    fn max(self, other: Lanes) -> Lanes {
        self.zip(other, Number::max)
    }
}
