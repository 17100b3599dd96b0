//! Numbers that sum up many: medians and intervals of fractions.

/// Median: the mean of the two middle values of an even number; NaN of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n => 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]),
    }
}

/// Wilson's interval of 95 % for the chance behind `found` out of `of`; NaN of nothing.
pub fn wilson(found: usize, of: usize) -> [f64; 2] {
    /// Two-sided 95 % point of the normal distribution.
    const Z: f64 = 1.959_964;
    let (n, p) = (of as f64, found as f64 / of as f64);
    let scale = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    if n == 0.0 {
        return [f64::NAN; 2];
    }
    // Its ends are exact where none or all are found; the sums are not.
    let low = if found == 0 { 0.0 } else { centre - half };
    let high = if found == of { 1.0 } else { centre + half };
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe 1998, Statistics in Medicine 17: 857, table I, method 3.
        let known = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
        ];
        for (found, of, low, high) in known {
            let interval = wilson(found, of);
            assert!((interval[0] - low).abs() < 1e-4, "{interval:?}");
            assert!((interval[1] - high).abs() < 1e-4, "{interval:?}");
        }
    }

    #[test]
    fn nothing_has_no_interval() {
        assert!(wilson(0, 0).iter().all(|end| end.is_nan()));
        assert!(median(std::iter::empty()).is_nan());
    }
}
