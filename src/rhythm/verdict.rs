//! Is a rhythm there, and how do its cells keep time?

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bursts::{Burst, counted, gap_measures};
use super::phase::{circular_mean, onset_phases, resultant};
use super::{PhaseReport, RhythmReport, RhythmSpec};

/// A rhythm's period varies less than this (coefficient of variation of the reference cell).
pub const MAX_PERIOD_CV: f64 = 0.1;

/// The phases of a rhythm's cells have a resultant length above this.
pub const MIN_LOCK: f64 = 0.9;

/// How steady a rhythm must be to count as there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// The period of the reference cell varies less than this (coefficient of variation).
    pub cv_below: f64,
    /// The phases of every other cell have a resultant length above this.
    pub lock_above: f64,
}

impl Default for Thresholds {
    /// [`MAX_PERIOD_CV`] and [`MIN_LOCK`].
    fn default() -> Self {
        Thresholds {
            cv_below: MAX_PERIOD_CV,
            lock_above: MIN_LOCK,
        }
    }
}

/// Onset phases a cell needs before its lock says anything: a single phase always has length 1.
pub const MIN_PHASES: usize = 2;

/// Whether a rhythm is there: the integrity verdict on bursts by the gap rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The reference cell's period has a coefficient of variation below the threshold (which
    /// takes three bursts), every other cell has at least [`MIN_PHASES`] onsets in its cycles with
    /// a lock above the threshold, and the phases come in the expected order, if there is one.
    Rhythmic,
    /// Some cell bursts, but the rhythm is not as above.
    Irregular,
    /// No cell of the rhythm has a burst that counts.
    Absent,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rhythmic => "rhythmic",
            Self::Irregular => "irregular",
            Self::Absent => "absent",
        })
    }
}

/// A cell of a rhythm other than the reference.
struct Follower {
    cell: usize,
    bursts: usize,
    phases: Vec<f64>,
}

impl Follower {
    fn is_locked(&self, lock_above: f64) -> bool {
        self.phases.len() >= MIN_PHASES && resultant(&self.phases).is_some_and(|r| r > lock_above)
    }
}

/// Reports one rhythm from the bursts of every cell in one window.
pub(super) fn rhythm_report(
    rhythm: &RhythmSpec,
    names: &[&str],
    in_window: &[&[Burst]],
) -> RhythmReport {
    let reference = counted(in_window[rhythm.reference], rhythm.min_spikes);
    let followers = followers(rhythm, &reference, in_window);
    let measures = gap_measures(&reference);
    RhythmReport {
        name: rhythm.name.to_owned(),
        verdict: verdict(rhythm, measures.bursts, measures.period_cv, &followers),
        reference: names[rhythm.reference].to_owned(),
        period_ms: measures.period_ms,
        period_cv: measures.period_cv,
        cells: followers
            .iter()
            .map(|follower| PhaseReport {
                name: names[follower.cell].to_owned(),
                phase: circular_mean(&follower.phases),
                lock: resultant(&follower.phases),
            })
            .collect(),
    }
}

fn followers(rhythm: &RhythmSpec, reference: &[Burst], in_window: &[&[Burst]]) -> Vec<Follower> {
    rhythm
        .cells
        .iter()
        .filter(|&&cell| cell != rhythm.reference)
        .map(|&cell| {
            let bursts = counted(in_window[cell], rhythm.min_spikes);
            Follower {
                cell,
                bursts: bursts.len(),
                phases: onset_phases(reference, &bursts),
            }
        })
        .collect()
}

fn verdict(
    rhythm: &RhythmSpec,
    reference_bursts: usize,
    period_cv: Option<f64>,
    followers: &[Follower],
) -> Verdict {
    if reference_bursts == 0 && followers.iter().all(|follower| follower.bursts == 0) {
        return Verdict::Absent;
    }
    let Thresholds {
        cv_below,
        lock_above,
    } = rhythm.thresholds;
    let regular = period_cv.is_some_and(|cv| cv < cv_below);
    let locked = followers
        .iter()
        .all(|follower| follower.is_locked(lock_above));
    if regular && locked && in_expected_order(rhythm, followers) {
        Verdict::Rhythmic
    } else {
        Verdict::Irregular
    }
}

/// Whether the mean phases ascend strictly around the cycle in the expected order, wherever on the
/// cycle the order begins.
fn in_expected_order(rhythm: &RhythmSpec, followers: &[Follower]) -> bool {
    let Some(order) = rhythm.order else {
        return true;
    };
    let listed = order.contains(&rhythm.reference);
    let unlisted_reference = (!listed).then_some(rhythm.reference);
    let phases: Option<Vec<f64>> = unlisted_reference
        .iter()
        .chain(order)
        .map(|&cell| mean_phase(rhythm, followers, cell))
        .collect();
    phases.is_some_and(|phases| ascend_around_the_cycle(&phases))
}

/// Mean phase of a cell of the rhythm; that of the reference is 0.
fn mean_phase(rhythm: &RhythmSpec, followers: &[Follower], cell: usize) -> Option<f64> {
    if cell == rhythm.reference {
        return Some(0.0);
    }
    let follower = followers.iter().find(|follower| follower.cell == cell)?;
    circular_mean(&follower.phases)
}

fn ascend_around_the_cycle(phases: &[f64]) -> bool {
    let from_first: Vec<f64> = phases
        .iter()
        .map(|phase| (phase - phases[0]).rem_euclid(1.0))
        .collect();
    from_first.windows(2).all(|pair| pair[0] < pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doublets at the given onsets (ms).
    fn doublets(onsets: impl IntoIterator<Item = f64>) -> Vec<Burst> {
        onsets
            .into_iter()
            .map(|on_ms| Burst {
                on_ms,
                off_ms: on_ms + 10.0,
                n_spikes: 2,
            })
            .collect()
    }

    /// Onsets each 400 ms from `start` on.
    fn every_400(start: f64) -> Vec<Burst> {
        doublets((0..10).map(|k| start + 400.0 * f64::from(k)))
    }

    fn judge(rhythm: &RhythmSpec, cells: &[Vec<Burst>]) -> RhythmReport {
        let slices: Vec<&[Burst]> = cells.iter().map(Vec::as_slice).collect();
        rhythm_report(rhythm, &["A", "B", "C"][..cells.len()], &slices)
    }

    const PAIR: RhythmSpec = RhythmSpec {
        name: "pair",
        cells: &[0, 1],
        reference: 0,
        min_spikes: 2,
        order: None,
        thresholds: Thresholds {
            cv_below: MAX_PERIOD_CV,
            lock_above: MIN_LOCK,
        },
    };

    #[test]
    fn antiphase_pair() {
        let report = judge(&PAIR, &[every_400(0.0), every_400(200.0)]);
        assert_eq!(report.verdict, Verdict::Rhythmic);
        assert_eq!(report.reference, "A");
        assert_eq!(report.period_ms, Some(400.0));
        assert_eq!(report.cells.len(), 1);
        assert_eq!(report.cells[0].name, "B");
        assert_eq!(report.cells[0].phase, Some(0.5));
        assert_eq!(report.cells[0].lock, Some(1.0));
    }

    #[test]
    fn drifting_pair() {
        let drifting = doublets((0..10).map(|k| 440.0 * f64::from(k)));
        let report = judge(&PAIR, &[every_400(0.0), drifting]);
        assert_eq!(report.verdict, Verdict::Irregular);
        assert!(report.cells[0].lock.unwrap() < 0.2);
    }

    #[test]
    fn a_pair_that_straddles_phase_zero_is_locked() {
        let jitter = [-8.0, 8.0, -4.0, 4.0, -6.0, 6.0, -2.0, 2.0, -8.0, 8.0];
        let around = doublets((0..10).map(|k| 400.0 * k as f64 + jitter[k]));
        let report = judge(&PAIR, &[every_400(0.0), around]);
        assert_eq!(report.verdict, Verdict::Rhythmic);
        let phase = report.cells[0].phase.unwrap();
        assert!(phase.min(1.0 - phase) < 0.01, "{phase}");
        assert!(report.cells[0].lock.unwrap() > 0.99);
    }

    #[test]
    fn a_jittering_reference_is_irregular() {
        let jittering = doublets((0..10).map(|k| 400.0 * k as f64 + [0.0, 100.0][k % 2]));
        let alone = RhythmSpec {
            cells: &[0],
            ..PAIR
        };
        let report = judge(&alone, std::slice::from_ref(&jittering));
        assert!(report.period_cv.unwrap() > MAX_PERIOD_CV);
        assert_eq!(report.verdict, Verdict::Irregular);
    }

    #[test]
    fn thresholds_are_the_askers() {
        // Periods of 500 and 300 ms in turn, five and four of them: mean 411, SD 99.
        let jittering = doublets((0..10).map(|k| 400.0 * k as f64 + [0.0, 100.0][k % 2]));
        let with = |cv_below| {
            let alone = RhythmSpec {
                cells: &[0],
                thresholds: Thresholds {
                    cv_below,
                    ..Thresholds::default()
                },
                ..PAIR
            };
            judge(&alone, std::slice::from_ref(&jittering)).verdict
        };
        assert_eq!(with(0.24), Verdict::Irregular);
        assert_eq!(with(0.25), Verdict::Rhythmic);
    }

    #[test]
    fn a_single_cell_needs_bursts_and_a_steady_period() {
        let alone = RhythmSpec {
            cells: &[0],
            ..PAIR
        };
        let report = judge(&alone, &[every_400(0.0)]);
        assert_eq!(report.verdict, Verdict::Rhythmic);
        assert!(report.cells.is_empty());
        let two = every_400(0.0)[..2].to_vec();
        assert_eq!(judge(&alone, &[two]).verdict, Verdict::Irregular);
        assert_eq!(judge(&alone, &[vec![]]).verdict, Verdict::Absent);
    }

    #[test]
    fn absent_only_where_nobody_bursts() {
        assert_eq!(judge(&PAIR, &[vec![], vec![]]).verdict, Verdict::Absent);
        let one_sided = judge(&PAIR, &[vec![], every_400(0.0)]);
        assert_eq!(one_sided.verdict, Verdict::Irregular);
        assert_eq!(one_sided.period_ms, None);
        assert_eq!(one_sided.cells[0].phase, None);
        assert_eq!(one_sided.cells[0].lock, None);
        let other_sided = judge(&PAIR, &[every_400(0.0), vec![]]);
        assert_eq!(other_sided.verdict, Verdict::Irregular);
    }

    #[test]
    fn one_onset_is_no_lock() {
        let lone = doublets([200.0]);
        let report = judge(&PAIR, &[every_400(0.0), lone]);
        assert_eq!(report.cells[0].lock, Some(1.0));
        assert_eq!(report.verdict, Verdict::Irregular);
    }

    #[test]
    fn small_groups_do_not_make_a_slow_rhythm() {
        let slow = RhythmSpec {
            min_spikes: 10,
            ..PAIR
        };
        let report = judge(&slow, &[every_400(0.0), every_400(200.0)]);
        assert_eq!(report.verdict, Verdict::Absent);
    }

    #[test]
    fn order_is_cyclic_and_starts_at_an_unlisted_reference() {
        let cells = [every_400(0.0), every_400(130.0), every_400(260.0)];
        let verdict = |order: &'static [usize]| {
            let rhythm = RhythmSpec {
                cells: &[0, 1, 2],
                order: Some(order),
                ..PAIR
            };
            judge(&rhythm, &cells).verdict
        };
        assert_eq!(verdict(&[0, 1, 2]), Verdict::Rhythmic);
        assert_eq!(verdict(&[1, 2, 0]), Verdict::Rhythmic);
        assert_eq!(verdict(&[1, 2]), Verdict::Rhythmic);
        assert_eq!(verdict(&[0, 2, 1]), Verdict::Irregular);
        assert_eq!(verdict(&[2, 1]), Verdict::Irregular);
    }

    #[test]
    fn words_are_the_same_in_text_and_json() {
        for verdict in [Verdict::Rhythmic, Verdict::Irregular, Verdict::Absent] {
            let json = serde_json::to_string(&verdict).unwrap();
            assert_eq!(json, format!("\"{verdict}\""));
        }
    }
}
