//! Phases of one cell in the cycles of another, and circular statistics of phases.
//!
//! Phases are in turns: 0 and 1 are the same point of the cycle, so they are never averaged
//! linearly.

use std::f64::consts::TAU;

use super::bursts::Burst;

/// Resultant length below which phases point nowhere and their mean is undefined.
const NO_DIRECTION: f64 = 1e-12;

/// Circular mean of phases (turns), in [0, 1): the angle of the mean of exp(2πiφ). Undefined for
/// no phases and for phases that cancel out.
pub fn circular_mean(phases: &[f64]) -> Option<f64> {
    let (x, y) = mean_vector(phases)?;
    if x.hypot(y) < NO_DIRECTION {
        return None;
    }
    let turns = (y.atan2(x) / TAU).rem_euclid(1.0);
    // A tiny negative angle comes out of `rem_euclid` as 1.
    Some(if turns < 1.0 { turns } else { 0.0 })
}

/// Resultant length R (locking index) of phases (turns): the modulus of the mean of exp(2πiφ), 1
/// where all are equal, near 0 where they drift. Undefined for no phases.
pub fn resultant(phases: &[f64]) -> Option<f64> {
    mean_vector(phases).map(|(x, y)| x.hypot(y).min(1.0))
}

/// Onset phases of a cell: for each of its onsets in a cycle [onsetₖ, onsetₖ₊₁) of the reference,
/// (onset − onsetₖ)/(onsetₖ₊₁ − onsetₖ), in [0, 1).
///
/// Onsets before the first and from the last onset of the reference on have no phase. Cycles are
/// taken as they are: one that is long because the reference left out a burst is one long cycle.
/// Both series are in order of time.
pub fn onset_phases(reference: &[Burst], cell: &[Burst]) -> Vec<f64> {
    let phased = phased_onsets(reference, cell).into_iter();
    phased.map(|(_, phase)| phase).collect()
}

/// As [`onset_phases`], each phase behind the time of its onset (ms).
pub fn phased_onsets(reference: &[Burst], cell: &[Burst]) -> Vec<(f64, f64)> {
    let mut phased = Vec::with_capacity(cell.len());
    for cycle in reference.windows(2) {
        let (start, end) = (cycle[0].on_ms, cycle[1].on_ms);
        let from = cell.partition_point(|burst| burst.on_ms < start);
        phased.extend(
            cell[from..]
                .iter()
                .take_while(|burst| burst.on_ms < end)
                .map(|burst| (burst.on_ms, (burst.on_ms - start) / (end - start))),
        );
    }
    phased
}

/// Signed difference of two phases (turns), the short way round: in [-0.5, 0.5).
pub fn phase_difference(phase: f64, from: f64) -> f64 {
    (phase - from + 0.5).rem_euclid(1.0) - 0.5
}

/// Mean of exp(2πiφ), if there is one.
fn mean_vector(phases: &[f64]) -> Option<(f64, f64)> {
    let n = phases.len() as f64;
    let (x, y) = phases.iter().fold((0.0, 0.0), |(x, y), phase| {
        let (sin, cos) = (TAU * phase).sin_cos();
        (x + cos, y + sin)
    });
    let (x, y) = (x / n, y / n);
    (x.is_finite() && y.is_finite()).then_some((x, y))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(onsets: &[f64]) -> Vec<Burst> {
        onsets
            .iter()
            .map(|&on_ms| Burst {
                on_ms,
                off_ms: on_ms + 10.0,
                n_spikes: 2,
            })
            .collect()
    }

    #[test]
    fn equal_phases() {
        assert_eq!(circular_mean(&[0.5; 7]), Some(0.5));
        assert_eq!(circular_mean(&[0.0; 7]), Some(0.0));
        assert!((resultant(&[0.3; 7]).unwrap() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn phases_around_zero_do_not_average_to_a_half() {
        let mean = circular_mean(&[0.95, 0.05]).unwrap();
        assert!(mean.min(1.0 - mean) < 1e-12, "{mean}");
        assert!((circular_mean(&[0.9, 0.06]).unwrap() - 0.98).abs() < 1e-12);
        assert!((circular_mean(&[0.98, 0.06]).unwrap() - 0.02).abs() < 1e-12);
    }

    #[test]
    fn the_mean_is_below_one() {
        assert_eq!(circular_mean(&[-1e-18]), Some(0.0));
        assert!(circular_mean(&[1.0]).unwrap() < 1.0);
    }

    #[test]
    fn differences_go_the_short_way_round() {
        assert_eq!(phase_difference(0.25, 0.75), -0.5);
        assert_eq!(phase_difference(0.75, 0.25), -0.5);
        assert!((phase_difference(0.05, 0.95) - 0.1).abs() < 1e-15);
        assert!((phase_difference(0.95, 0.05) + 0.1).abs() < 1e-15);
        assert_eq!(phase_difference(0.5, 0.5), 0.0);
    }

    #[test]
    fn opposite_phases_have_no_mean() {
        assert_eq!(circular_mean(&[0.0, 0.5]), None);
        assert!(resultant(&[0.0, 0.5]).unwrap() < 1e-12);
        assert_eq!(circular_mean(&[]), None);
        assert_eq!(resultant(&[]), None);
        assert_eq!(resultant(&[f64::NAN]), None);
    }

    #[test]
    fn phases_in_the_cycles_of_the_reference() {
        let reference = at(&[100.0, 200.0, 400.0]);
        let cell = at(&[50.0, 100.0, 150.0, 250.0, 350.0, 400.0, 500.0]);
        assert_eq!(onset_phases(&reference, &cell), [0.0, 0.5, 0.25, 0.75]);
        assert!(onset_phases(&at(&[100.0]), &cell).is_empty());
        assert!(onset_phases(&reference, &[]).is_empty());
    }
}
