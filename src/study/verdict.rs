//! Is a rhythm kept, changed, lost or recovered, and when has it settled?
//!
//! Whether it is *there* is the integrity verdict of [`crate::rhythm`] by the study's thresholds:
//! every cell bursts, the period is steady, the phases are locked and come in the expected order.
//! Whether it is *the same* is held against a reference: the same window of the control, or the window
//! before the fork where there is no control.

use serde::{Deserialize, Serialize};

use crate::{
    rhythm::{
        Burst, MIN_PHASES, Verdict, WindowReport, circular_mean, counted, phase_difference,
        phased_onsets, whole_bursts,
    },
    scene::model::{Rhythm, Scene},
};

use super::{judgement::Figures, model::Criteria, observed::Observed};

/// What became of a rhythm. The order is from the best to the worst of one that the reference has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// There, with period, phases and duty cycles within the criteria of the reference.
    Kept,
    /// Changed or lost while the protocol acted, and kept after it was undone.
    Recovered,
    /// There, but not the same.
    Changed,
    /// Not there.
    Lost,
    /// There, and the reference has none.
    Gained,
    /// Not there, and the reference has none either, so that nothing can be kept or lost.
    None,
}

impl Word {
    /// How many of the words, from the first on, are about a rhythm that the reference has.
    pub const OF_A_RHYTHM: usize = 4;

    /// Whether it is about a rhythm that the reference has.
    pub fn is_of_a_rhythm(self) -> bool {
        (self as usize) < Word::OF_A_RHYTHM
    }

    /// All words, in order.
    pub const ALL: [Word; 6] = [
        Word::Kept,
        Word::Recovered,
        Word::Changed,
        Word::Lost,
        Word::Gained,
        Word::None,
    ];

    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Word::Kept => "kept",
            Word::Recovered => "recovered",
            Word::Changed => "changed",
            Word::Lost => "lost",
            Word::Gained => "gained",
            Word::None => "none",
        }
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.text())
    }
}

/// The cells of a rhythm: its reference, then the others in the order of the scene.
pub fn cells(rhythm: &Rhythm) -> impl Iterator<Item = usize> + Clone {
    let others = rhythm.cells.iter().copied();
    std::iter::once(rhythm.reference).chain(others.filter(|cell| *cell != rhythm.reference))
}

/// A rhythm in a window, if the report has it.
pub fn figures(scene: &Scene, rhythm: usize, window: &WindowReport) -> Option<Figures> {
    let report = window.rhythms.get(rhythm)?;
    let first_of = |cell: usize| scene.rhythms.iter().position(|r| r.cells.contains(&cell));
    let reports = cells(&scene.rhythms[rhythm]).map(|cell| (cell, window.cells.get(cell)));
    let duties = reports.clone().map(|(cell, report)| {
        let own = first_of(cell) == Some(rhythm);
        report.filter(|_| own).and_then(|report| report.duty)
    });
    let calcium: Vec<f64> = reports
        .filter_map(|(_, report)| report?.ca_mean_um)
        .collect();
    let ca_mean_um = calcium.iter().sum::<f64>() / calcium.len() as f64;
    Some(Figures {
        there: report.verdict,
        period_ms: report.period_ms,
        period_cv: report.period_cv,
        phases: report.cells.iter().map(|cell| cell.phase).collect(),
        locks: report.cells.iter().map(|cell| cell.lock).collect(),
        duties: duties.collect(),
        ca_mean_um: ca_mean_um.is_finite().then_some(ca_mean_um),
    })
}

/// The word on one window: `Gained` or `None` where the reference has no rhythm, `Lost` where the window
/// has none, else `Kept` or `Changed`. A phase or duty cycle that only one of the two has is a change.
pub fn word(reference: &Figures, now: &Figures, criteria: &Criteria) -> Word {
    match (reference.there, now.there) {
        (Verdict::Rhythmic, Verdict::Rhythmic) if is_same(reference, now, criteria) => Word::Kept,
        (Verdict::Rhythmic, Verdict::Rhythmic) => Word::Changed,
        (Verdict::Rhythmic, _) => Word::Lost,
        (_, Verdict::Rhythmic) => Word::Gained,
        _ => Word::None,
    }
}

/// The verdict on a member: that of the window while the protocol acted, but `Recovered` where the
/// rhythm was changed or lost then, and is kept after the undoing.
pub fn overall(during: Option<Word>, after: Option<Word>) -> Option<Word> {
    match (during?, after) {
        (Word::Changed | Word::Lost, Some(Word::Kept)) => Some(Word::Recovered),
        (during, _) => Some(during),
    }
}

fn is_same(reference: &Figures, now: &Figures, criteria: &Criteria) -> bool {
    let all = |reference: &[Option<f64>], now: &[Option<f64>], near: &dyn Fn(f64, f64) -> bool| {
        reference.iter().zip(now).all(|pair| match pair {
            (Some(was), Some(is)) => near(*was, *is),
            (was, is) => was.is_none() && is.is_none(),
        })
    };
    all(&[reference.period_ms], &[now.period_ms], &|was, is| {
        (is - was).abs() <= criteria.period_within * was
    }) && all(&reference.phases, &now.phases, &|was, is| {
        phase_difference(is, was).abs() <= criteria.phase_within
    }) && all(&reference.duties, &now.duties, &|was, is| {
        (is - was).abs() <= criteria.duty_within
    })
}

/// The bursts that count of the cells of a rhythm, the reference first; `from_ms` is the start of the
/// trains.
pub fn rhythm_bursts(
    scene: &Scene,
    rhythm: usize,
    observed: &Observed,
    from_ms: f64,
) -> Vec<Vec<Burst>> {
    let rhythm = &scene.rhythms[rhythm];
    let of = |cell: usize| {
        let train = observed.trains.get(cell).map_or(&[][..], Vec::as_slice);
        let whole = whole_bursts(train, scene.gap_ms, from_ms, observed.end_ms);
        counted(&whole, rhythm.min_spikes)
    };
    cells(rhythm).map(of).collect()
}

/// What a rhythm settles to is what it does in this last part of a stretch (ms), in its last
/// [`FINAL_CYCLES`] if they take longer, but in no more than the second half.
pub const FINAL_MS: f64 = 5000.0;

/// Whole cycles of the reference that the final part of a stretch has at least.
pub const FINAL_CYCLES: usize = 3;

/// A phase is settled within 30° of its final mean.
pub const SETTLED_WITHIN: f64 = 30.0 / 360.0;

/// A silence this many times as long as the longest between final onsets is an interruption.
const INTERRUPTION: f64 = 3.0;

/// When a rhythm has settled in the stretch [from, to): time after `from_ms` (ms), or `None` if it
/// has not.
///
/// `bursts` are those of [`rhythm_bursts`]. Settled is a rhythm from the last time on at which the
/// onset phase of any of its cells is farther than [`SETTLED_WITHIN`] from its own circular mean over
/// the final part of the stretch ([`FINAL_MS`]); a rhythm of one cell from the end of the last cycle
/// whose period differs by more than `period_within` from the final mean. It takes two final cycles
/// of every cell. A silence of a cell counts as unsettled up to its end if it is more than three times
/// as long as the longest between the final onsets. A rhythm that is unsettled in the final part
/// itself has not settled.
pub fn settling(
    bursts: &[Vec<Burst>],
    from_ms: f64,
    to_ms: f64,
    period_within: f64,
) -> Option<f64> {
    let (reference, others) = bursts.split_first()?;
    let final_from_ms = final_from_ms(reference, from_ms, to_ms);
    let in_stretch = |t: f64| from_ms <= t && t < to_ms;
    let settled = |series: Vec<(f64, f64)>, far: &dyn Fn(&[f64], f64) -> Option<bool>| {
        last_unsettled(&series, from_ms, final_from_ms, far)
    };
    let times: Option<Vec<f64>> = if others.is_empty() {
        let cycles = reference.windows(2).map(|pair| {
            let [on_ms, next_ms] = [pair[0].on_ms, pair[1].on_ms];
            (next_ms, next_ms - on_ms)
        });
        // A period that began before the stretch is none of it.
        let cycles = cycles.filter(|(end, period)| in_stretch(*end) && end - period >= from_ms);
        let far = |last: &[f64], period: f64| {
            let mean = last.iter().sum::<f64>() / last.len() as f64;
            Some((period - mean).abs() > period_within * mean)
        };
        [settled(cycles.collect(), &far)].into_iter().collect()
    } else {
        let far = |last: &[f64], phase: f64| {
            let mean = circular_mean(last)?;
            Some(phase_difference(phase, mean).abs() > SETTLED_WITHIN)
        };
        let series = others.iter().map(|cell| {
            let mut phased = phased_onsets(reference, cell);
            phased.retain(|(t, _)| in_stretch(*t));
            settled(phased, &far)
        });
        series.collect()
    };
    let last = times?.into_iter().fold(from_ms, f64::max);
    (last < final_from_ms).then_some(last - from_ms)
}

/// Beginning of the final part of a stretch (ms).
fn final_from_ms(reference: &[Burst], from_ms: f64, to_ms: f64) -> f64 {
    let onsets = reference.partition_point(|burst| burst.on_ms < to_ms);
    let cycles = onsets.checked_sub(FINAL_CYCLES + 1);
    let cycles_from_ms = cycles.map_or(f64::INFINITY, |first| reference[first].on_ms);
    let middle = 0.5 * (from_ms + to_ms);
    (to_ms - FINAL_MS).min(cycles_from_ms).max(middle)
}

/// The last time at which a series of (time, value) is unsettled; `from_ms` if there is none.
/// `far` says of a value whether it is far from the final ones.
fn last_unsettled(
    series: &[(f64, f64)],
    from_ms: f64,
    final_from_ms: f64,
    far: &dyn Fn(&[f64], f64) -> Option<bool>,
) -> Option<f64> {
    let last = &series[series.partition_point(|(t, _)| *t < final_from_ms)..];
    if last.len() < MIN_PHASES {
        return None;
    }
    let values: Vec<f64> = last.iter().map(|(_, value)| *value).collect();
    let steps = last.windows(2).map(|pair| pair[1].0 - pair[0].0);
    let longest = INTERRUPTION * steps.fold(0.0, f64::max);
    let (mut before, mut unsettled) = (from_ms, from_ms);
    for (t, value) in series {
        if t - before > longest || far(&values, *value)? {
            unsettled = *t;
        }
        before = *t;
    }
    Some(unsettled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rhythmic(period_ms: f64, phases: &[f64], duties: &[f64]) -> Figures {
        Figures {
            there: Verdict::Rhythmic,
            period_ms: Some(period_ms),
            period_cv: Some(0.01),
            phases: phases.iter().copied().map(Some).collect(),
            locks: vec![Some(1.0); phases.len()],
            duties: duties.iter().copied().map(Some).collect(),
            ca_mean_um: None,
        }
    }

    /// Doublets at the given onsets.
    fn at(onsets: impl IntoIterator<Item = f64>) -> Vec<Burst> {
        let burst = |on_ms| Burst {
            on_ms,
            off_ms: on_ms + 10.0,
            n_spikes: 2,
        };
        onsets.into_iter().map(burst).collect()
    }

    /// The pyloric control and removals of network experiments, section 5.
    #[test]
    fn words_on_the_pyloric_removals() {
        let control = rhythmic(1791.7, &[0.500, 0.569], &[0.315, 0.223, 0.362]);
        let criteria = Criteria::default();
        let word = |now: &Figures| word(&control, now, &criteria);
        assert_eq!(word(&control), Word::Kept);
        // LP -> PY glut: hardly any effect; AB -> LP chol: PY later; LP -> AB glut: faster.
        let duties = [0.315, 0.223, 0.362];
        assert_eq!(word(&rhythmic(1790.0, &[0.50, 0.57], &duties)), Word::Kept);
        assert_eq!(
            word(&rhythmic(1629.0, &[0.50, 0.66], &duties)),
            Word::Changed
        );
        assert_eq!(
            word(&rhythmic(1494.0, &[0.59, 0.69], &duties)),
            Word::Changed
        );
        let lost = Figures {
            there: Verdict::Irregular,
            ..control.clone()
        };
        assert_eq!(word(&lost), Word::Lost);
        assert_eq!(super::word(&lost, &control, &criteria), Word::Gained);
        assert_eq!(super::word(&lost, &lost, &criteria), Word::None);
    }

    #[test]
    fn a_criterion_is_met_at_its_bound_and_phases_are_circular() {
        let criteria = Criteria {
            period_within: 0.125,
            phase_within: 0.0625,
            duty_within: 0.0625,
            ..Criteria::default()
        };
        let reference = rhythmic(1000.0, &[0.0], &[0.25, 0.5]);
        let word = |now| word(&reference, &now, &criteria);
        assert_eq!(
            word(rhythmic(1125.0, &[0.9375], &[0.3125, 0.4375])),
            Word::Kept
        );
        assert_eq!(word(rhythmic(1126.0, &[0.0], &[0.25, 0.5])), Word::Changed);
        assert_eq!(word(rhythmic(1000.0, &[0.93], &[0.25, 0.5])), Word::Changed);
        assert_eq!(word(rhythmic(1000.0, &[0.0], &[0.25, 0.57])), Word::Changed);
        let mut unknown = rhythmic(1000.0, &[0.0], &[0.25, 0.5]);
        unknown.duties[1] = None;
        assert_eq!(word(unknown), Word::Changed);
    }

    #[test]
    fn recovered_is_kept_again() {
        use Word::{Changed, Kept, Lost, None as Nothing, Recovered};
        let table = [
            (Some(Kept), Some(Kept), Some(Kept)),
            (Some(Kept), Some(Lost), Some(Kept)),
            (Some(Lost), Some(Kept), Some(Recovered)),
            (Some(Changed), Some(Kept), Some(Recovered)),
            (Some(Lost), Some(Changed), Some(Lost)),
            (Some(Changed), None, Some(Changed)),
            (Some(Nothing), Some(Kept), Some(Nothing)),
            (None, Some(Kept), None),
        ];
        for (during, after, wanted) in table {
            assert_eq!(overall(during, after), wanted, "{during:?} {after:?}");
        }
    }

    #[test]
    fn words_are_the_same_in_text_and_json() {
        for word in Word::ALL {
            let json = serde_json::to_string(&word).unwrap();
            assert_eq!(json, format!("\"{word}\""));
        }
        assert!(Word::ALL.is_sorted());
    }

    #[test]
    fn a_pair_settles_where_its_phase_comes_near() {
        // The phase relaxes as 0.5 + 0.4·0.8^k in cycles of 400 ms: within 1/12 from k = 8 on, since
        // 0.4·0.8^7 = 0.0839 and 0.4·0.8^8 = 0.0671.
        let reference = at((0..60).map(|k| 400.0 * f64::from(k)));
        let phase = |k: i32| 0.5 + 0.4 * 0.8_f64.powi(k);
        let cell = at((0..60).map(|k| 400.0 * (f64::from(k) + phase(k))));
        let settled = settling(&[reference, cell], 0.0, 20_000.0, 0.1).unwrap();
        assert!(
            (settled - 400.0 * (7.0 + phase(7))).abs() < 1e-9,
            "{settled}"
        );
    }

    #[test]
    fn a_pair_that_keeps_its_phase_has_settled_at_once_and_a_drifting_one_never() {
        let reference = at((0..60).map(|k| 400.0 * f64::from(k)));
        let locked = at((0..60).map(|k| 400.0 * f64::from(k) + 390.0));
        let drifting = at((0..50).map(|k| 440.0 * f64::from(k)));
        let settling =
            |cell: &Vec<Burst>| settling(&[reference.clone(), cell.clone()], 0.0, 20_000.0, 0.1);
        assert_eq!(settling(&locked), Some(0.0));
        assert_eq!(settling(&drifting), None);
        assert_eq!(settling(&vec![]), None);
    }

    #[test]
    fn a_rhythm_that_comes_late_settles_late() {
        let late = |from: f64| at((0..60).map(|k| from + 400.0 * f64::from(k)));
        let bursts = [late(6000.0), late(6200.0)];
        assert_eq!(settling(&bursts, 0.0, 20_000.0, 0.1), Some(6200.0));
        assert_eq!(settling(&bursts, 0.0, 8_000.0, 0.1), None);
    }

    #[test]
    fn a_single_cell_settles_with_its_period() {
        // Ten cycles of 300 ms, then 400 ms.
        let onsets = (0..11).map(|k| 300.0 * f64::from(k));
        let later = (1..50).map(|k| 3000.0 + 400.0 * f64::from(k));
        let cell = at(onsets.chain(later));
        assert_eq!(
            settling(std::slice::from_ref(&cell), 0.0, 20_000.0, 0.1),
            Some(3000.0)
        );
        assert_eq!(settling(&[cell], 0.0, 20_000.0, 0.5), Some(0.0));
    }

    proptest! {
        /// A wider tolerance never makes a rhythm less the same.
        #[test]
        fn words_do_not_get_worse_with_wider_criteria(
            period in 500.0..1500.0_f64, phase in 0.0..1.0_f64, duty in 0.0..1.0_f64, wider in 1.0..3.0_f64,
        ) {
            let reference = rhythmic(1000.0, &[0.5], &[0.4]);
            let now = rhythmic(period, &[phase], &[duty]);
            let criteria = Criteria::default();
            let wide = Criteria {
                period_within: criteria.period_within * wider,
                phase_within: criteria.phase_within * wider,
                duty_within: criteria.duty_within * wider,
                ..criteria
            };
            prop_assert!(word(&reference, &now, &wide) <= word(&reference, &now, &criteria));
        }

        /// Where a stretch lies in time makes no difference.
        #[test]
        fn settling_is_relative_to_the_stretch(
            jitter in prop::collection::vec(-150.0..150.0_f64, 60), shift in 0_i32..100,
        ) {
            let shift = 1024.0 * f64::from(shift);
            let bursts = |shift: f64| {
                let reference = at((0..60).map(|k| shift + 400.0 * f64::from(k)));
                let cell = at(jitter.iter().enumerate().map(|(k, j)| shift + 400.0 * k as f64 + 200.0 + j));
                [reference, cell]
            };
            let here = settling(&bursts(0.0), 0.0, 20_000.0, 0.1);
            let there = settling(&bursts(shift), shift, shift + 20_000.0, 0.1);
            prop_assert_eq!(here.is_some(), there.is_some());
            prop_assert!(here.zip(there).is_none_or(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}
