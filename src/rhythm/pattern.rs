//! Firing pattern of a cell by the adaptive split, so that fast tonic firing is never one burst.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::measures::{MEASURABLE_SPIKES, TONIC_SPREAD_MS, extremes, published_burst_measures};
use super::statistics::intervals;

/// How a cell fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// No spike.
    Silent,
    /// At least three spikes, longest − shortest interval below 25 ms.
    Tonic,
    /// Spikes, but neither tonic nor bursting.
    Irregular,
    /// All measures of [`published_burst_measures`] are defined.
    Bursting,
}

impl Pattern {
    /// Pattern of a train of spike times (ms), ascending.
    pub fn of(spikes: &[f64]) -> Self {
        if spikes.is_empty() {
            Self::Silent
        } else if is_tonic(spikes) {
            Self::Tonic
        } else if published_burst_measures(spikes).is_some() {
            Self::Bursting
        } else {
            Self::Irregular
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Silent => "silent",
            Self::Tonic => "tonic",
            Self::Irregular => "irregular",
            Self::Bursting => "bursting",
        })
    }
}

fn is_tonic(spikes: &[f64]) -> bool {
    let (shortest, longest) = extremes(&intervals(spikes));
    spikes.len() >= MEASURABLE_SPIKES && longest - shortest < TONIC_SPREAD_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(interval: f64, n: usize) -> Vec<f64> {
        (0..n).map(|k| k as f64 * interval).collect()
    }

    #[test]
    fn fast_tonic_firing_is_tonic() {
        assert_eq!(Pattern::of(&every(5.0, 1000)), Pattern::Tonic);
        assert_eq!(Pattern::of(&every(500.0, 3)), Pattern::Tonic);
    }

    #[test]
    fn few_spikes_are_irregular() {
        assert_eq!(Pattern::of(&[]), Pattern::Silent);
        assert_eq!(Pattern::of(&[10.0]), Pattern::Irregular);
        assert_eq!(Pattern::of(&[10.0, 20.0]), Pattern::Irregular);
        assert_eq!(Pattern::of(&[10.0, 20.0, 500.0]), Pattern::Irregular);
    }

    #[test]
    fn groups_are_bursts() {
        let spikes: Vec<f64> = (0..5)
            .flat_map(|k| (0..3).map(move |j| f64::from(k * 300 + j * 10)))
            .collect();
        assert_eq!(Pattern::of(&spikes), Pattern::Bursting);
    }

    #[test]
    fn words_are_the_same_in_text_and_json() {
        for pattern in [
            Pattern::Silent,
            Pattern::Tonic,
            Pattern::Irregular,
            Pattern::Bursting,
        ] {
            let json = serde_json::to_string(&pattern).unwrap();
            assert_eq!(json, format!("\"{pattern}\""));
        }
    }
}
