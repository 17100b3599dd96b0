//! The published measures of single-cell firing: frequency and bursts by the adaptive split.
//!
//! They are those of the studies on degenerate STG and dopamine neurons under calcium homeostasis,
//! taken from the spikes alone. The studies use sampled spike times; interpolated ones differ by
//! less than the sampling step.

use super::statistics::{finite, intervals, mean};

/// Spread of the intervals (longest − shortest, ms) below which firing is tonic.
pub(super) const TONIC_SPREAD_MS: f64 = 25.0;

/// Spikes that the measures need: two intervals.
pub(super) const MEASURABLE_SPIKES: usize = 3;

/// Rounded spikes per burst beyond which a train is not bursting.
const SPIKES_PER_BURST: std::ops::RangeInclusive<f64> = 1.5..=500.0;

/// Burst measures by the adaptive split; see [`published_burst_measures`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedBursts {
    /// 1000/mean long interval (Hz): the inverse of the silence between bursts, not of the period.
    pub interburst_hz: f64,
    /// 1000/mean short interval (Hz).
    pub intraburst_hz: f64,
    /// Mean number of spikes per burst, rounded to an integer, ties to even.
    pub spikes_per_burst: f64,
    /// Spikes per burst · intra-burst frequency · inter-burst frequency (Hz²).
    pub burstiness_hz2: f64,
}

/// Published firing frequency (Hz): 1000/mean interval, undefined below three spikes.
///
/// `spikes` are times in ms, ascending.
pub fn published_frequency(spikes: &[f64]) -> Option<f64> {
    if spikes.len() < MEASURABLE_SPIKES {
        return None;
    }
    finite(1000.0 / mean(&intervals(spikes))?)
}

/// Published burst measures, by the adaptive split of the intervals.
///
/// With the longest and the shortest interval less than 25 ms apart the train is tonic and nothing
/// is defined. Otherwise intervals above the middle of the two are long, those below it short.
/// Spikes per burst is the mean distance, in intervals, of successive long ones, rounded with ties
/// to even; it needs three long intervals and must lie in 1.5..=500. All measures or none.
///
/// `spikes` are times in ms, ascending.
pub fn published_burst_measures(spikes: &[f64]) -> Option<PublishedBursts> {
    if spikes.len() < MEASURABLE_SPIKES {
        return None;
    }
    let isi = intervals(spikes);
    let (shortest, longest) = extremes(&isi);
    if longest - shortest < TONIC_SPREAD_MS {
        return None;
    }
    let half = (longest + shortest) / 2.0;
    let long: Vec<f64> = isi.iter().copied().filter(|&i| i > half).collect();
    let short: Vec<f64> = isi.iter().copied().filter(|&i| i < half).collect();
    let interburst_hz = finite(1000.0 / mean(&long)?)?;
    let spikes_per_burst = spikes_per_burst(&isi, half)?;
    let intraburst_hz = finite(1000.0 / mean(&short)?)?;
    Some(PublishedBursts {
        interburst_hz,
        intraburst_hz,
        spikes_per_burst,
        burstiness_hz2: finite(spikes_per_burst * intraburst_hz * interburst_hz)?,
    })
}

/// Shortest and longest interval (ms).
pub(super) fn extremes(isi: &[f64]) -> (f64, f64) {
    isi.iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &i| {
            (lo.min(i), hi.max(i))
        })
}

/// Rounded mean distance of successive long intervals, if there are two distances and it is the
/// size of a burst.
fn spikes_per_burst(isi: &[f64], half: f64) -> Option<f64> {
    let long_at: Vec<f64> = isi
        .iter()
        .enumerate()
        .filter(|&(_, &interval)| interval > half)
        .map(|(index, _)| index as f64)
        .collect();
    if long_at.len() < 3 {
        return None;
    }
    let rounded = mean(&intervals(&long_at))?.round_ties_even();
    SPIKES_PER_BURST.contains(&rounded).then_some(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bursts of the given sizes, 10 ms between spikes and 200 ms between bursts.
    fn groups(sizes: &[usize]) -> Vec<f64> {
        let mut t = 0.0;
        let mut spikes = Vec::new();
        for &size in sizes {
            for _ in 0..size {
                spikes.push(t);
                t += 10.0;
            }
            t += 190.0;
        }
        spikes
    }

    #[test]
    fn frequency_needs_three_spikes() {
        assert_eq!(published_frequency(&[]), None);
        assert_eq!(published_frequency(&[0.0, 10.0]), None);
        assert_eq!(published_frequency(&[0.0, 10.0, 40.0]), Some(50.0));
        assert_eq!(published_frequency(&[5.0, 5.0, 5.0]), None);
    }

    #[test]
    fn regular_groups() {
        let measures = published_burst_measures(&groups(&[4, 4, 4, 4])).unwrap();
        assert_eq!(measures.interburst_hz, 5.0);
        assert_eq!(measures.intraburst_hz, 100.0);
        assert_eq!(measures.spikes_per_burst, 4.0);
        assert_eq!(measures.burstiness_hz2, 2000.0);
    }

    #[test]
    fn spikes_per_burst_round_ties_to_even() {
        let spikes_per_burst = |sizes: &[usize]| {
            published_burst_measures(&groups(sizes)).map(|measures| measures.spikes_per_burst)
        };
        // Only groups between long intervals enter: 2 and 3, mean 2.5; 3 and 4, mean 3.5.
        assert_eq!(spikes_per_burst(&[4, 2, 3, 4]), Some(2.0));
        assert_eq!(spikes_per_burst(&[4, 3, 4, 4]), Some(4.0));
        // Mean 1.5 rounds to 2 and passes, mean 1 does not.
        assert_eq!(spikes_per_burst(&[4, 1, 2, 4]), Some(2.0));
        assert_eq!(spikes_per_burst(&[4, 1, 1, 4]), None);
    }

    #[test]
    fn all_or_nothing() {
        // Two long intervals give one distance.
        assert_eq!(published_burst_measures(&groups(&[4, 4, 4])), None);
        // More than 500 spikes in a burst.
        assert!(published_burst_measures(&groups(&[4, 500, 500, 4])).is_some());
        assert_eq!(published_burst_measures(&groups(&[4, 501, 501, 4])), None);
        // Coinciding spikes have no intra-burst frequency.
        let coinciding = [0.0, 0.0, 200.0, 200.0, 400.0, 400.0, 600.0, 600.0];
        assert_eq!(published_burst_measures(&coinciding), None);
    }

    #[test]
    fn the_spread_decides_about_tonic() {
        let alternating = |long: f64| {
            let mut t = 0.0;
            let mut spikes = vec![t];
            for k in 0..20 {
                t += if k % 2 == 0 { 10.0 } else { long };
                spikes.push(t);
            }
            published_burst_measures(&spikes)
        };
        assert_eq!(alternating(34.0), None);
        assert_eq!(alternating(35.0).unwrap().spikes_per_burst, 2.0);
    }

    #[test]
    fn an_interval_in_the_very_middle_is_neither_long_nor_short() {
        let steps = [10.0, 210.0, 110.0, 10.0, 210.0, 110.0, 10.0, 210.0, 10.0];
        let mut spikes = vec![0.0];
        for step in steps {
            spikes.push(spikes[spikes.len() - 1] + step);
        }
        let measures = published_burst_measures(&spikes).unwrap();
        assert_eq!(measures.intraburst_hz, 100.0);
        assert_eq!(measures.interburst_hz, 1000.0 / 210.0);
        assert_eq!(measures.spikes_per_burst, 3.0);
    }
}
