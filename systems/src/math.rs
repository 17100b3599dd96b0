//! Pinned mathematics: the same bits on every machine.
//!
//! The transcendental functions of `std` are those of the platform's libm, and their last bits
//! differ from one platform to the next. Here `exp` and what follows from it consist of IEEE
//! operations and fused multiply-adds in a fixed order, without branches, so that a loop over
//! lanes becomes vector code with the bits of the scalar call. The other functions come from the
//! `libm` crate, whose Rust source is the same everywhere. `sqrt` is exact by IEEE 754.

use std::f64::consts::{LN_2, LOG2_E};

use crate::simd::Real;

/// Part of ln 2 below the last bit of [`LN_2`].
const LN_2_LOW: f64 = 2.3190468138462996e-17;
/// Adding 1.5 * 2^52 rounds to the nearest integer and leaves it in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// Above this `exp` is infinite.
const HIGHEST: f64 = 709.782712893384;
/// Up to here from zero nothing is reduced: ln(2)/2 less a little.
const NEAR: f64 = 0.34;
/// Below this `exp` is zero; just above the logarithm of the smallest normal number.
const LOWEST: f64 = -708.396;

/// `(exp(r) - 1 - r)/r^2` for |r| <= ln(2)/2, by powers of r (interpolated at Chebyshev nodes).
const TAIL: [f64; 11] = [
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.00833333333332614,
    0.0013888888888883752,
    0.00019841269874804214,
    2.4801587325536023e-05,
    2.7557255421023506e-06,
    2.7557273657975953e-07,
    2.5105208339987698e-08,
    2.0914680780540263e-09,
];

/// `x = k ln 2 + r` with |r| <= ln(2)/2, and what exponentials are made of.
#[derive(Clone, Copy)]
struct Reduced<T> {
    /// k as an addend to the exponent field of a number, in the low bits.
    exponent: T,
    /// r, rounded.
    r: T,
    /// `(exp(r) - 1 - r)/r^2`.
    series: T,
    /// What the rounding of r left over.
    lost: T,
}

#[inline(always)]
fn reduced<T: Real>(x: T) -> Reduced<T> {
    let exponent = x.mul_add(x.constant(LOG2_E), x.constant(ROUND));
    let k = exponent - x.constant(ROUND);
    let high = k.mul_add(x.constant(-LN_2), x);
    let r = k.mul_add(x.constant(-LN_2_LOW), high);
    let lost = k.mul_add(x.constant(-LN_2_LOW), high - r);
    Reduced {
        exponent,
        r,
        series: series(r),
        lost,
    }
}

/// `(exp(r) - 1 - r)/r^2` for |r| <= ln(2)/2.
#[inline(always)]
fn series<T: Real>(r: T) -> T {
    let mut c = [r; TAIL.len()];
    for k in 0..TAIL.len() {
        c[k] = r.constant(TAIL[k]);
    }
    let (r2, r4) = (r * r, (r * r) * (r * r));
    let low = c[3].mul_add(r, c[2]).mul_add(r2, c[1].mul_add(r, c[0]));
    let middle = c[7].mul_add(r, c[6]).mul_add(r2, c[5].mul_add(r, c[4]));
    let high = c[10].mul_add(r2, c[9].mul_add(r, c[8]));
    high.mul_add(r4, middle).mul_add(r4, low)
}

/// Whether nothing of `x` needs reducing: k would be 0, and the result has the same bits without.
/// It is worth a branch, for the reduction is a third of what one waits for.
#[inline(always)]
fn near_zero<T: Real>(x: T) -> bool {
    let (below, above) = (x.constant(-NEAR), x.constant(NEAR));
    !(x.any_less(below) | above.any_less(x))
}

/// Exponential within 0.7 units in the last place; zero below -708.396 (no subnormal results),
/// infinite above 709.782712893384, not a number for no number.
#[inline(always)]
pub fn exp<T: Real>(x: T) -> T {
    let (one, zero) = (x.constant(1.0), x.constant(0.0));
    if near_zero(x) {
        let high = one + x;
        return high + ((one - high + x) + series(x).mul_add(x * x, zero));
    }
    let infinity = x.constant(f64::INFINITY);
    let Reduced {
        exponent,
        r,
        series,
        lost,
    } = reduced(x);
    let tail = series.mul_add(r * r, lost);
    let high = one + r;
    let y = (high + ((one - high + r) + tail)).add_exponent(exponent);
    let y = x.if_less(x.constant(LOWEST), zero, y);
    let y = x.constant(HIGHEST).if_less(x, infinity, y);
    // Infinity itself, and no number.
    x.if_less(infinity, y, x)
}

/// [`exp`] of every lane.
#[inline(always)]
pub fn exp_lanes<const N: usize>(x: [f64; N]) -> [f64; N] {
    let mut y = x;
    for y in &mut y {
        *y = exp(*y);
    }
    y
}

/// `exp(x) - 1`, accurate near zero.
#[inline(always)]
pub fn expm1<T: Real>(x: T) -> T {
    let lowest = x.constant(-50.0);
    far_expm1(x, reduced(x.if_less(lowest, lowest, x)))
}

/// `exp(x) - 1` from what it was reduced to.
#[inline(always)]
fn far_expm1<T: Real>(x: T, reduced: Reduced<T>) -> T {
    let one = x.constant(1.0);
    let tail = reduced.series.mul_add(reduced.r * reduced.r, reduced.lost);
    let scale = one.add_exponent(reduced.exponent);
    let near = (reduced.r + tail).mul_add(scale, scale - one);
    // Beyond 2^54 the 1 is below the last bit, and 2^k itself may overflow.
    let far = x.constant(40.0);
    if far.any_less(x) {
        return far.if_less(x, exp(x), near);
    }
    near
}

/// `(exp(x) - 1)/x`; 1 at zero. Near zero the series itself, which needs no division.
#[inline(always)]
pub fn exprel<T: Real>(x: T) -> T {
    let one = x.constant(1.0);
    if near_zero(x) {
        return x.mul_add(series(x), one);
    }
    let lowest = x.constant(-50.0);
    let reduced = reduced(x.if_less(lowest, lowest, x));
    // Where nothing is reduced r is x.
    let near = x.mul_add(reduced.series, one);
    let far = far_expm1(x, reduced) / x;
    // Infinity itself, and no number.
    let far = x.if_less(x.constant(f64::INFINITY), far, x);
    let (below, above) = (x.constant(-NEAR), x.constant(NEAR));
    x.if_less(below, far, above.if_less(x, far, near))
}

/// `(1 - exp(-z))/z` for z of either sign; 1 at zero.
#[inline(always)]
pub fn relative_decay<T: Real>(z: T) -> T {
    exprel(-z)
}

/// Slope of [`exprel`].
pub fn exprel_slope(x: f64) -> f64 {
    if x.abs() > 1.0 {
        return (exp(x) - exprel(x)) / x;
    }
    // exprel is the sum of x^n/(n+1)!, so its slope is the sum of n x^(n-1)/(n+1)!.
    let (mut sum, mut term) = (0.0, 1.0);
    for n in 1..=18_u8 {
        let n = f64::from(n);
        term /= n + 1.0;
        sum += n * term;
        term *= x;
    }
    sum
}

/// Natural logarithm.
#[inline]
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Hyperbolic tangent.
#[inline]
pub fn tanh(x: f64) -> f64 {
    libm::tanh(x)
}

/// Hyperbolic cosine.
#[inline]
pub fn cosh(x: f64) -> f64 {
    libm::cosh(x)
}

/// Hyperbolic sine.
#[inline]
pub fn sinh(x: f64) -> f64 {
    libm::sinh(x)
}

/// `x` to the power `y`.
#[inline]
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// `x` to a whole power, by repeated multiplication.
#[inline(always)]
pub fn powi(x: f64, n: u8) -> f64 {
    let mut y = 1.0;
    for _ in 0..n {
        y *= x;
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place.
    fn ulps(a: f64, b: f64) -> u64 {
        (a.to_bits() as i64).abs_diff(b.to_bits() as i64)
    }

    fn spread(from: f64, to: f64, n: u32) -> impl Iterator<Item = f64> {
        (0..=n).map(move |k| from + (to - from) * f64::from(k) / f64::from(n))
    }

    #[test]
    fn exp_is_within_one_ulp_of_libm() {
        let points = spread(LOWEST, 709.78, 1_000_000)
            .chain(spread(-1.0, 1.0, 200_000))
            .chain(spread(709.0, HIGHEST, 10_000))
            .chain(spread(LOWEST, -708.0, 10_000))
            .chain([1e-300, -1e-300, 5e-324, 0.0, -0.0]);
        let worst = points.map(|x| ulps(exp(x), libm::exp(x))).max();
        assert_eq!(worst, Some(1));
    }

    #[test]
    fn exp_at_the_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(1e300), f64::INFINITY);
        assert_eq!(exp(709.7828), f64::INFINITY);
        assert!(exp(HIGHEST).is_finite());
        assert!(exp(LOWEST).is_normal());
        assert_eq!(exp(-708.4), 0.0);
        assert_eq!(exp(-1e300), 0.0);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert!(exp(f64::NAN).is_nan());
        assert!(exp(-f64::NAN).is_nan());
    }

    #[test]
    fn known_bits() {
        let bits = |x: f64| exp(x).to_bits();
        let found = [1.0, -1.0, 0.1, 10.0, -40.0, 700.0].map(bits);
        let expected = [
            4613303445314885481,
            4600298746774613816,
            4607656066507473108,
            4671783802770883936,
            4346984719898581540,
            9155136748776909966,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn lanes_have_the_bits_of_the_scalar() {
        for x in spread(-800.0, 800.0, 20_000) {
            let lanes = [
                x,
                -x,
                x / 3.0,
                x * 0.01,
                x * 1e-5,
                0.0,
                f64::INFINITY,
                x * x,
            ];
            let scalar = lanes.map(|x| exp(x).to_bits());
            assert_eq!(exp_lanes(lanes).map(f64::to_bits), scalar);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: both features were found just above.
                let wide = unsafe { wide(lanes) };
                assert_eq!(wide.map(f64::to_bits), scalar);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn wide(x: [f64; 8]) -> [f64; 8] {
        exp_lanes(x)
    }

    #[test]
    fn expm1_and_its_quotients_are_accurate_everywhere() {
        let points = || {
            spread(-700.0, 700.0, 300_000)
                .chain(spread(-3.0, 3.0, 300_000))
                .chain(spread(-1e-3, 1e-3, 100_000))
                .chain(spread(-1e-9, 1e-9, 1_000))
        };
        for x in points().filter(|x| *x != 0.0) {
            let exact = libm::expm1(x);
            assert!((expm1(x) / exact - 1.0).abs() < 5e-16, "expm1({x})");
            assert!((exprel(x) / (exact / x) - 1.0).abs() < 7e-16, "exprel({x})");
            assert_eq!(relative_decay(-x), exprel(x));
        }
        assert_eq!(expm1(-0.0), 0.0);
        assert_eq!(expm1(f64::INFINITY), f64::INFINITY);
        assert_eq!(expm1(f64::NEG_INFINITY), -1.0);
        assert!(expm1(f64::NAN).is_nan());
    }

    #[test]
    fn quotients_at_the_ends() {
        assert_eq!(exprel(0.0), 1.0);
        assert_eq!(exprel(-0.0), 1.0);
        assert_eq!(exprel(5e-324), 1.0);
        assert_eq!(exprel(f64::INFINITY), f64::INFINITY);
        assert_eq!(exprel(f64::NEG_INFINITY), 0.0);
        assert!(exprel(f64::NAN).is_nan());
        assert_eq!(relative_decay(0.0), 1.0);
        assert_eq!(relative_decay(1e6), 1e-6);
        assert_eq!(relative_decay(f64::INFINITY), 0.0);
    }

    #[test]
    fn slope_of_exprel() {
        assert_eq!(exprel_slope(0.0), 0.5);
        for x in spread(-30.0, 30.0, 5_001) {
            let h = 1e-5 * x.abs().max(1.0);
            let difference = (exprel(x + h) - exprel(x - h)) / (2.0 * h);
            assert!((exprel_slope(x) / difference - 1.0).abs() < 1e-7, "at {x}");
        }
        let (below, above) = (exprel_slope(1.0), exprel_slope(1.0 + 1e-15));
        assert!((above / below - 1.0).abs() < 1e-14);
    }

    #[test]
    fn whole_powers() {
        assert_eq!(powi(3.0, 0), 1.0);
        assert_eq!(powi(3.0, 1), 3.0);
        assert_eq!(powi(-2.0, 7), -128.0);
    }
}
