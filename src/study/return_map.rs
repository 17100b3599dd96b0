//! Phase-lag return maps of a motif: how the lags of its cells behind one of them change from cycle
//! to cycle, and where they end (Wojcik, Schwabedal, Clewley & Shilnikov 2014, PLoS ONE 9: e92918).
//!
//! The lag of a cell in a cycle of the reference cell is φ = (t - t_ref)/P, with t its first onset in
//! that cycle; in cycles, in [0, 1). Two cells have one lag, and its map is a curve; three have two,
//! and what their lags end in is told by attractors.

use serde::Serialize;

use crate::rhythm::{Burst, circular_mean, phase_difference, resultant};

use super::response::Curve;

/// The lags of all cells in each cycle of the reference; `None` in a cycle in which one of them does
/// not begin.
///
/// Series are of bursts that count, in order of time.
pub fn lags(reference: &[Burst], cells: &[Vec<Burst>]) -> Vec<Option<Vec<f64>>> {
    let cycles = reference.windows(2);
    cycles
        .map(|cycle| {
            let [from, to] = [cycle[0].on_ms, cycle[1].on_ms];
            let lag = |cell: &Vec<Burst>| {
                let first = cell.partition_point(|burst| burst.on_ms < from);
                let on_ms = cell.get(first)?.on_ms;
                (on_ms < to).then(|| (on_ms - from) / (to - from))
            };
            cells.iter().map(lag).collect()
        })
        .collect()
}

/// The points of the map: the lags of a cycle and those of the next, where both are there.
pub fn points(lags: &[Option<Vec<f64>>]) -> impl Iterator<Item = (&[f64], &[f64])> {
    lags.windows(2).filter_map(|pair| match pair {
        [Some(now), Some(next)] => Some((now.as_slice(), next.as_slice())),
        _ => None,
    })
}

/// The map of one lag as φ -> φ + Δ(φ), from its points (φ of a cycle, φ of the next): on a grid of
/// `bins` equal parts of the cycle, each with the means of its points, and straight between them; parts
/// without a point are left out. Its fixed points and their stability are
/// [`Curve::fixed_points`]. `None` with points in fewer than two parts.
pub fn map(points: impl IntoIterator<Item = (f64, f64)>, bins: usize) -> Option<Curve> {
    let mut sums = vec![[0.0; 3]; bins];
    for (now, next) in points {
        let now = now.rem_euclid(1.0);
        let bin = ((now * bins as f64) as usize).min(bins.saturating_sub(1));
        let [n, phase, shift] = sums.get_mut(bin)?;
        *n += 1.0;
        *phase += now;
        *shift += phase_difference(next, now);
    }
    let filled = sums.into_iter().filter(|[n, ..]| *n > 0.0);
    Curve::through(filled.map(|[n, phase, shift]| (phase / n, shift / n)))
}

/// The lags that a run ends in: the circular means over its last `cycles` cycles. `None` if a lag is
/// missing there, or one is not locked (resultant length at most `lock_above`).
pub fn final_lags(lags: &[Option<Vec<f64>>], cycles: usize, lock_above: f64) -> Option<Vec<f64>> {
    let from = lags.len().checked_sub(cycles)?;
    let last: Vec<&Vec<f64>> = lags[from..]
        .iter()
        .map(Option::as_ref)
        .collect::<Option<_>>()?;
    let cells = last.first()?.len();
    let end = |cell: usize| {
        let phases: Vec<f64> = last.iter().map(|lags| lags[cell]).collect();
        resultant(&phases).filter(|lock| *lock > lock_above)?;
        circular_mean(&phases)
    };
    (0..cells).map(end).collect()
}

/// Lags that several runs end in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attractor {
    /// Circular means of the lags.
    pub lags: Vec<f64>,
    /// The runs, by their index.
    pub runs: Vec<usize>,
}

/// Sorts final lags into attractors: two runs belong together if none of their lags differs by more
/// than `within` (cycles, circular), or if other runs link them so. Attractors come by the number of
/// their runs, the greatest first, then by lags. Runs without final lags belong to none.
pub fn attractors(ends: &[Option<Vec<f64>>], within: f64) -> Vec<Attractor> {
    let near = |a: &[f64], b: &[f64]| {
        let pairs = a.iter().zip(b);
        pairs.fold(0.0_f64, |most, (a, b)| {
            most.max(phase_difference(*a, *b).abs())
        }) <= within
    };
    let mut waiting: Vec<usize> = (0..ends.len()).filter(|k| ends[*k].is_some()).collect();
    let mut found = Vec::new();
    while let Some(first) = waiting.pop() {
        let mut runs = vec![first];
        let mut looked_at = 0;
        while let Some(run) = runs.get(looked_at).copied() {
            looked_at += 1;
            let Some(here) = &ends[run] else { continue };
            let linked = |k: &usize| ends[*k].as_ref().is_some_and(|end| near(here, end));
            let (joined, apart) = waiting.into_iter().partition(linked);
            waiting = apart;
            runs.extend::<Vec<usize>>(joined);
        }
        runs.sort_unstable();
        let cells = ends[first].as_ref().map_or(0, Vec::len);
        let mean = |cell: usize| {
            let lags: Vec<f64> = runs
                .iter()
                .filter_map(|run| Some(ends[*run].as_ref()?[cell]))
                .collect();
            // Lags all around the cycle, linked by their neighbours, have no mean.
            circular_mean(&lags).unwrap_or(f64::NAN)
        };
        found.push(Attractor {
            lags: (0..cells).map(mean).collect(),
            runs,
        });
    }
    found.sort_by(|a, b| {
        let by_lags = a.lags.iter().zip(&b.lags).map(|(a, b)| a.total_cmp(b));
        let by_runs = b.runs.len().cmp(&a.runs.len());
        by_lags.fold(by_runs, std::cmp::Ordering::then)
    });
    found
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;

    /// Doublets at the given onsets.
    fn at(onsets: impl IntoIterator<Item = f64>) -> Vec<Burst> {
        let burst = |on_ms| Burst {
            on_ms,
            off_ms: on_ms + 5.0,
            n_spikes: 2,
        };
        onsets.into_iter().map(burst).collect()
    }

    /// A map of the circle with an attractor at a half, where it contracts by 1 - 2πa, and a repeller
    /// at 0.
    fn circle(phase: f64) -> f64 {
        const A: f64 = 0.05;
        (phase + A * (TAU * phase).sin()).rem_euclid(1.0)
    }

    /// Bursts of a reference of 300 ms and of a cell that follows the map from a lag on.
    fn pair(start: f64, cycles: u32) -> (Vec<Burst>, Vec<Burst>) {
        let reference = at((0..=cycles).map(|k| 300.0 * f64::from(k)));
        let mut lag = start;
        let onsets = (0..cycles).map(|k| {
            let on_ms = 300.0 * (f64::from(k) + lag);
            lag = circle(lag);
            on_ms
        });
        (reference, at(onsets.collect::<Vec<_>>()))
    }

    #[test]
    fn a_known_map_is_found_in_the_bursts() {
        let mut all = Vec::new();
        for k in 0..40 {
            let (reference, cell) = pair((f64::from(k) + 0.5) / 40.0, 12);
            let lags = lags(&reference, &[cell]);
            assert_eq!(lags.len(), 12);
            all.extend(points(&lags).map(|(now, next)| (now[0], next[0])));
        }
        for (now, next) in &all {
            assert!(phase_difference(*next, circle(*now)).abs() < 1e-9);
        }
        let map = map(all, 100).unwrap();
        let fixed = map.fixed_points();
        assert_eq!(fixed.len(), 2, "{fixed:?}");
        let [stable, unstable] =
            [true, false].map(|stable| *fixed.iter().find(|point| point.stable == stable).unwrap());
        assert!((stable.phase - 0.5).abs() < 2e-3);
        assert!((stable.multiplier - (1.0 - TAU * 0.05)).abs() < 0.02);
        assert!(unstable.phase.min(1.0 - unstable.phase) < 2e-3);
        assert!((unstable.multiplier - (1.0 + TAU * 0.05)).abs() < 0.02);
    }

    #[test]
    fn a_cycle_without_an_onset_breaks_the_sequence() {
        let reference = at([0.0, 100.0, 200.0, 300.0, 400.0]);
        let cells = [at([50.0, 150.0, 160.0, 350.0])];
        let lags = lags(&reference, &cells);
        let half = Some(vec![0.5]);
        assert_eq!(lags, [half.clone(), half.clone(), None, half]);
        assert_eq!(points(&lags).count(), 1);
        assert_eq!(final_lags(&lags, 1, 0.9), Some(vec![0.5]));
        assert_eq!(final_lags(&lags, 2, 0.9), None);
        assert_eq!(final_lags(&lags, 5, 0.9), None);
    }

    #[test]
    fn drifting_lags_end_nowhere() {
        let drifting: Vec<_> = (0..20).map(|k| Some(vec![f64::from(k) / 20.0])).collect();
        assert_eq!(final_lags(&drifting, 20, 0.9), None);
    }

    /// Two lags that each follow the map end in one attractor from everywhere; two that follow one with
    /// a doubled angle in four.
    #[test]
    fn three_cells_end_in_their_attractors() {
        let doubled = |phase: f64| {
            let twice = phase + 0.05 * (2.0 * TAU * phase).sin();
            twice.rem_euclid(1.0)
        };
        let ends = |map: &dyn Fn(f64) -> f64| -> Vec<Option<Vec<f64>>> {
            let grid = |k: i32| (f64::from(k) + 0.5) / 8.0 + 0.01;
            let starts = (0..64).map(|k| [grid(k / 8), grid(k % 8)]);
            let end = |mut lags: [f64; 2]| {
                for _ in 0..200 {
                    lags = lags.map(map);
                }
                Some(lags.to_vec())
            };
            starts.map(end).collect()
        };
        let one = attractors(&ends(&circle), 0.02);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].runs.len(), 64);
        assert!(one[0].lags.iter().all(|lag| (lag - 0.5).abs() < 1e-6));
        let four = attractors(&ends(&doubled), 0.02);
        assert_eq!(four.len(), 4);
        assert!(four.iter().all(|attractor| attractor.runs.len() == 16));
        let quarter = |lag: f64| (lag - 0.25).abs() < 1e-6 || (lag - 0.75).abs() < 1e-6;
        assert!(four.iter().flat_map(|a| &a.lags).all(|lag| quarter(*lag)));
    }

    #[test]
    fn attractors_go_over_the_end_of_the_cycle() {
        let ends = [Some(vec![0.99]), Some(vec![0.01]), Some(vec![0.5]), None];
        let found = attractors(&ends, 0.05);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].runs, [0, 1]);
        assert!(found[0].lags[0].min(1.0 - found[0].lags[0]) < 1e-9);
    }

    proptest! {
        /// Attractors part the runs, and their order does not matter.
        #[test]
        fn attractors_are_a_partition(ends in prop::collection::vec([0.0..1.0_f64, 0.0..1.0_f64], 1..30)) {
            let ends: Vec<_> = ends.into_iter().map(|end| Some(end.to_vec())).collect();
            let found = attractors(&ends, 0.1);
            let mut runs: Vec<usize> = found.iter().flat_map(|a| a.runs.clone()).collect();
            runs.sort_unstable();
            prop_assert_eq!(runs, (0..ends.len()).collect::<Vec<_>>());
            let turned: Vec<_> = ends.iter().rev().cloned().collect();
            let sizes = |found: &[Attractor]| -> Vec<usize> {
                found.iter().map(|a| a.runs.len()).collect()
            };
            prop_assert_eq!(sizes(&attractors(&turned, 0.1)), sizes(&found));
        }
    }
}
