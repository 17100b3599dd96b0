//! Means and spreads that are undefined, rather than NaN, where they do not exist.

/// The value, if it is a number.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Arithmetic mean; undefined for no values.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    finite(values.iter().sum::<f64>() / values.len() as f64)
}

/// Coefficient of variation: standard deviation (divisor n) over the mean; undefined below two
/// values, where there is nothing to vary.
pub(super) fn variation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let centre = mean(values)?;
    let squares: Vec<f64> = values
        .iter()
        .map(|value| (value - centre).powi(2))
        .collect();
    finite(mean(&squares)?.sqrt() / centre)
}

/// Differences of neighbours.
pub(super) fn intervals(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undefined_where_there_is_nothing_to_measure() {
        assert_eq!(mean(&[]), None);
        assert_eq!(variation(&[3.0]), None);
        assert_eq!(variation(&[0.0, 0.0]), None);
        assert_eq!(finite(f64::NAN), None);
        assert_eq!(finite(f64::INFINITY), None);
        assert!(intervals(&[1.0]).is_empty());
    }

    #[test]
    fn spread_uses_the_divisor_n() {
        assert_eq!(variation(&[1.0, 3.0]), Some(0.5));
    }
}
