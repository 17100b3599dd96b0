//! Cubics through two points with given slopes: a path inside a step.

/// A cubic through two values with given slopes, over 0..1.
#[derive(Clone, Copy, Debug)]
pub struct Hermite([f64; 4]);

impl Hermite {
    /// From both values and both slopes (per length of the step).
    pub fn new(from: f64, to: f64, slope_from: f64, slope_to: f64) -> Self {
        let rise = to - from;
        Hermite([
            from,
            slope_from,
            3.0 * rise - 2.0 * slope_from - slope_to,
            slope_from + slope_to - 2.0 * rise,
        ])
    }

    /// Value at the fraction `x`.
    #[inline(always)]
    pub fn at(&self, x: f64) -> f64 {
        let [a, b, c, d] = self.0;
        d.mul_add(x, c).mul_add(x, b).mul_add(x, a)
    }

    /// Fraction at which it crosses `level` upward.
    pub fn crossing(&self, level: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..52 {
            let middle = 0.5 * (low + high);
            if self.at(middle) > level {
                high = middle
            } else {
                low = middle
            }
        }
        0.5 * (low + high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cubic_is_met_exactly() {
        let f = |x: f64| ((2.0 * x - 1.0) * x + 3.0) * x - 1.0;
        let curve = Hermite::new(f(0.0), f(1.0), 3.0, 6.0 - 2.0 + 3.0);
        assert!((curve.at(0.3) - f(0.3)).abs() < 1e-15);
        assert!((f(curve.crossing(0.5)) - 0.5).abs() < 1e-14);
    }
}
