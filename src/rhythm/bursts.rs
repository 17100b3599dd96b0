//! The gap rule: bursts as maximal runs of spikes, and what is measured on them.

use serde::{Deserialize, Serialize};

use super::statistics::{finite, intervals, mean, variation};

/// A maximal run of spikes whose intervals are at most the gap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// First spike (ms).
    pub on_ms: f64,
    /// Last spike (ms).
    pub off_ms: f64,
    /// Number of spikes, at least 1.
    pub n_spikes: usize,
}

/// Splits a train into bursts by the gap rule: an interval of exactly `gap_ms` stays inside the
/// burst, and a lone spike is a burst of one.
///
/// `spikes` are times in ms, ascending.
pub fn bursts(spikes: &[f64], gap_ms: f64) -> Vec<Burst> {
    spikes
        .chunk_by(|earlier, later| later - earlier <= gap_ms)
        .map(|run| Burst {
            // A chunk is never empty.
            on_ms: run[0],
            off_ms: run[run.len() - 1],
            n_spikes: run.len(),
        })
        .collect()
}

/// The bursts of a train that the record surely shows whole.
///
/// A burst is left out if it begins within `gap_ms` of the start of the record, since it may have
/// begun earlier, or ends within `gap_ms` of the end of the record, since it may go on.
pub fn whole_bursts(
    spikes: &[f64],
    gap_ms: f64,
    record_from_ms: f64,
    record_to_ms: f64,
) -> Vec<Burst> {
    let mut whole = bursts(spikes, gap_ms);
    whole.retain(|burst| {
        burst.on_ms >= record_from_ms + gap_ms && burst.off_ms <= record_to_ms - gap_ms
    });
    whole
}

/// The bursts that lie wholly in [from, to). A burst across an edge belongs to no window.
///
/// `bursts` are in order of time, as [`bursts()`] returns them.
pub fn within(bursts: &[Burst], from_ms: f64, to_ms: f64) -> &[Burst] {
    let first = bursts.partition_point(|burst| burst.on_ms < from_ms);
    let len = bursts[first..].partition_point(|burst| burst.off_ms < to_ms);
    &bursts[first..first + len]
}

/// The bursts of at least `min_spikes` spikes.
pub fn counted(bursts: &[Burst], min_spikes: usize) -> Vec<Burst> {
    bursts
        .iter()
        .copied()
        .filter(|burst| burst.n_spikes >= min_spikes)
        .collect()
}

/// Measures of a series of bursts by the gap rule. A cycle goes from one onset to the next of the
/// series, so a burst that is missing from it makes one long cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GapMeasures {
    /// Number of bursts.
    pub bursts: usize,
    /// Mean difference of successive onsets (ms); from two bursts on.
    pub period_ms: Option<f64>,
    /// Standard deviation (divisor n) of these differences over their mean; from three bursts on.
    pub period_cv: Option<f64>,
    /// Mean of (offset − onset)/period of the same cycle; from two bursts on.
    pub duty: Option<f64>,
    /// Mean number of spikes.
    pub spikes_per_burst: Option<f64>,
    /// 1000/mean interval inside the bursts (Hz).
    pub intraburst_hz: Option<f64>,
    /// Burstiness (Hz²): the product of spikes per burst, intra-burst frequency and
    /// 1000/mean gap, the gap being the silence from an offset to the next onset (ms), not the
    /// period; from two bursts on.
    pub burstiness_hz2: Option<f64>,
}

/// Measures `bursts`, which are in order of time.
pub fn gap_measures(bursts: &[Burst]) -> GapMeasures {
    let onsets: Vec<f64> = bursts.iter().map(|burst| burst.on_ms).collect();
    let periods = intervals(&onsets);
    let duties: Vec<f64> = bursts
        .iter()
        .zip(&periods)
        .map(|(burst, period)| (burst.off_ms - burst.on_ms) / period)
        .collect();
    let spikes_per_burst = mean_spikes(bursts);
    let intraburst_hz = intraburst_hz(bursts);
    GapMeasures {
        bursts: bursts.len(),
        period_ms: mean(&periods),
        period_cv: variation(&periods),
        duty: mean(&duties),
        spikes_per_burst,
        intraburst_hz,
        burstiness_hz2: burstiness_hz2(spikes_per_burst, intraburst_hz, mean_gap_ms(bursts)),
    }
}

fn mean_spikes(bursts: &[Burst]) -> Option<f64> {
    let counts: Vec<f64> = bursts.iter().map(|burst| burst.n_spikes as f64).collect();
    mean(&counts)
}

/// 1000/mean interval (Hz) over all intervals inside the bursts.
fn intraburst_hz(bursts: &[Burst]) -> Option<f64> {
    let inside_ms: f64 = bursts.iter().map(|burst| burst.off_ms - burst.on_ms).sum();
    let intervals: usize = bursts.iter().map(|burst| burst.n_spikes - 1).sum();
    finite(1000.0 * intervals as f64 / inside_ms)
}

/// Mean silence from an offset to the next onset (ms).
fn mean_gap_ms(bursts: &[Burst]) -> Option<f64> {
    let gaps: Vec<f64> = bursts
        .windows(2)
        .map(|pair| pair[1].on_ms - pair[0].off_ms)
        .collect();
    mean(&gaps)
}

fn burstiness_hz2(
    spikes_per_burst: Option<f64>,
    intraburst_hz: Option<f64>,
    gap_ms: Option<f64>,
) -> Option<f64> {
    finite(spikes_per_burst? * intraburst_hz? * 1000.0 / gap_ms?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` bursts of `spikes` spikes `interval` apart, one each `period`, the first at `start`.
    fn train(start: f64, n: usize, period: f64, spikes: usize, interval: f64) -> Vec<f64> {
        (0..n)
            .flat_map(|k| (0..spikes).map(move |j| start + k as f64 * period + j as f64 * interval))
            .collect()
    }

    #[test]
    fn regular_bursts() {
        let found = bursts(&train(500.0, 4, 320.0, 5, 10.0), 100.0);
        assert_eq!(found.len(), 4);
        assert_eq!(
            found[1],
            Burst {
                on_ms: 820.0,
                off_ms: 860.0,
                n_spikes: 5
            }
        );
        let measures = gap_measures(&found);
        assert_eq!(measures.bursts, 4);
        assert_eq!(measures.period_ms, Some(320.0));
        assert_eq!(measures.period_cv, Some(0.0));
        assert_eq!(measures.duty, Some(0.125));
        assert_eq!(measures.spikes_per_burst, Some(5.0));
        assert_eq!(measures.intraburst_hz, Some(100.0));
        // The silence is 280 ms, not the period of 320 ms.
        let burstiness = measures.burstiness_hz2.unwrap();
        assert!((burstiness - 5.0 * 100.0 * 1000.0 / 280.0).abs() < 1e-9);
    }

    #[test]
    fn doublets() {
        let measures = gap_measures(&bursts(&train(0.0, 5, 200.0, 2, 20.0), 100.0));
        assert_eq!(measures.bursts, 5);
        assert_eq!(measures.spikes_per_burst, Some(2.0));
        assert_eq!(measures.intraburst_hz, Some(50.0));
    }

    #[test]
    fn lone_spikes_are_bursts_of_one_and_have_no_intraburst_frequency() {
        let found = bursts(&train(0.0, 3, 300.0, 1, 0.0), 100.0);
        assert!(found.iter().all(|burst| burst.n_spikes == 1));
        let measures = gap_measures(&found);
        assert_eq!(measures.period_ms, Some(300.0));
        assert_eq!(measures.duty, Some(0.0));
        assert_eq!(measures.intraburst_hz, None);
        assert_eq!(measures.burstiness_hz2, None);
        assert!(counted(&found, 2).is_empty());
    }

    #[test]
    fn an_interval_of_exactly_the_gap_stays_inside() {
        assert_eq!(bursts(&[0.0, 100.0, 200.0], 100.0).len(), 1);
        assert_eq!(bursts(&[0.0, 100.0, 200.0 + 1e-9], 100.0).len(), 2);
    }

    #[test]
    fn no_spikes_no_bursts_no_measures() {
        assert!(bursts(&[], 100.0).is_empty());
        let measures = gap_measures(&[]);
        assert_eq!(measures.bursts, 0);
        assert_eq!(measures.period_ms, None);
        assert_eq!(measures.duty, None);
        assert_eq!(measures.spikes_per_burst, None);
        assert_eq!(measures.intraburst_hz, None);
    }

    #[test]
    fn one_burst_has_no_period_and_two_have_no_variation() {
        let one = gap_measures(&bursts(&[0.0, 10.0], 100.0));
        assert_eq!((one.period_ms, one.duty), (None, None));
        assert_eq!(one.intraburst_hz, Some(100.0));
        assert_eq!(one.burstiness_hz2, None);
        let two = gap_measures(&bursts(&[0.0, 10.0, 500.0, 510.0], 100.0));
        assert_eq!((two.period_ms, two.period_cv), (Some(500.0), None));
    }

    #[test]
    fn bursts_near_the_edges_of_the_record_may_be_cut() {
        let spikes = train(50.0, 4, 300.0, 3, 10.0);
        // Onsets 50, 350, 650, 950; last offset 970.
        assert_eq!(whole_bursts(&spikes, 100.0, 0.0, 1070.0).len(), 3);
        assert_eq!(whole_bursts(&spikes, 100.0, 0.0, 1069.0).len(), 2);
        assert_eq!(whole_bursts(&spikes, 100.0, -50.0, 1069.0).len(), 3);
    }

    #[test]
    fn a_burst_over_a_window_edge_belongs_to_no_window() {
        let found = bursts(&train(1000.0, 3, 400.0, 3, 10.0), 100.0);
        // Onsets 1000, 1400, 1800; each lasts 20 ms.
        assert_eq!(within(&found, 1000.0, 1820.0).len(), 2);
        assert_eq!(within(&found, 1000.0, 1821.0).len(), 3);
        assert_eq!(within(&found, 1001.0, 1821.0).len(), 2);
        assert_eq!(within(&found, 0.0, 1410.0).len(), 1);
        assert_eq!(within(&found, 1410.0, 3000.0).len(), 1);
        assert!(within(&found, 2000.0, 1000.0).is_empty());
    }
}
