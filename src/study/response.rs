//! Phase responses: how a pulse shifts the cycles of a rhythm, and what follows from it.
//!
//! Shifts are measured by the direct method, on burst onsets, against the control's own cycles: with P
//! the length of a cycle of the control and P' that of the same cycle with the pulse,
//!
//! ```text
//! Δφ = (P - P')/P
//! ```
//!
//! in cycles. Δφ above 0 is an *advance*: the next onset comes earlier. The first shift is of the cycle
//! that holds the pulse, the second of the next one, and so on (Pinsker 1977; Canavier & Achuthan
//! 2010, "Pulse coupled oscillators and the phase resetting curve", Math. Biosci. 226: 77).
//!
//! A [`Curve`] of first shifts over the phase of the pulse predicts what pulses that come again and
//! again do: where a rhythm locks to them, over which range of periods, and where two identical cells
//! that pulse each other meet.

use serde::{Deserialize, Serialize};

use crate::rhythm::Burst;

/// Why there is no phase response.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NoResponse {
    /// The control has too few onsets after the fork.
    #[error(
        "bursts {found} times after the fork in the control, where {wanted} are needed: without a \
         rhythm there are no phases"
    )]
    Quiet {
        /// Onsets there are.
        found: usize,
        /// Onsets that are needed.
        wanted: usize,
    },
    /// The pulse stopped the rhythm.
    #[error("bursts {found} times after the pulse, where {wanted} are needed")]
    Stopped {
        /// Onsets there are.
        found: usize,
        /// Onsets that are needed.
        wanted: usize,
    },
}

/// The shifts that a pulse makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shifts {
    /// Length of the control's cycle that holds the pulse (ms).
    pub period_ms: Option<f64>,
    /// Shifts (cycles, an advance above 0) of that cycle, the next, and so on.
    pub shifts: Vec<f64>,
    /// Why there are none.
    pub error: Option<String>,
}

impl Shifts {
    /// No shifts, for a reason.
    pub fn without(error: String) -> Self {
        Shifts {
            error: Some(error),
            ..Shifts::default()
        }
    }
}

/// The first whole cycle after the fork: its onset and the next (ms).
///
/// `control` are the bursts that count of the reference cell in the control.
///
/// # Errors
/// There is no whole cycle.
pub fn first_cycle(control: &[Burst], fork_ms: f64) -> Result<[f64; 2], NoResponse> {
    let first = control.partition_point(|burst| burst.on_ms < fork_ms);
    match &control[first..] {
        [this, next, ..] => Ok([this.on_ms, next.on_ms]),
        few => Err(NoResponse::Quiet {
            found: few.len(),
            wanted: 2,
        }),
    }
}

/// The shifts of the cycle that begins at `cycle[0]` in the control and of those after it, `cycles` in
/// all; a pulse comes in that cycle.
///
/// Both series are of bursts that count (gap rule and least number of spikes). Up to the pulse the two
/// are the same, so the cycle of both begins at the control's onset. Onsets with the pulse that come
/// before the control's burst of that onset is over belong to that burst: it was split by the pulse,
/// and no cycle has gone by. A burst that a pulse calls up later counts, whatever its size.
///
/// # Errors
/// Either series has too few onsets.
pub fn shifts(
    control: &[Burst],
    pulsed: &[Burst],
    cycle: [f64; 2],
    cycles: usize,
) -> Result<Shifts, NoResponse> {
    let first = control.partition_point(|burst| burst.on_ms < cycle[0]);
    let control = &control[first..];
    if control.len() < cycles + 1 {
        return Err(NoResponse::Quiet {
            found: control.len(),
            wanted: cycles + 1,
        });
    }
    let over_ms = control[0].off_ms;
    let after = pulsed.partition_point(|burst| burst.on_ms <= over_ms);
    let pulsed = &pulsed[after..];
    if pulsed.len() < cycles {
        return Err(NoResponse::Stopped {
            found: pulsed.len(),
            wanted: cycles,
        });
    }
    let onsets = |bursts: &[Burst]| -> Vec<f64> {
        let later = bursts[..cycles].iter().map(|burst| burst.on_ms);
        std::iter::once(cycle[0]).chain(later).collect()
    };
    let (control, pulsed) = (onsets(&control[1..]), onsets(pulsed));
    let pairs = control.windows(2).zip(pulsed.windows(2));
    let shifts = pairs.map(|(own, pulsed)| {
        let period = own[1] - own[0];
        (period - (pulsed[1] - pulsed[0])) / period
    });
    Ok(Shifts {
        period_ms: Some(cycle[1] - cycle[0]),
        shifts: shifts.collect(),
        error: None,
    })
}

/// A shift over the phase at which it is made, both in cycles: straight lines between points, around
/// the cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// (phase in [0, 1), shift), by phase.
    points: Vec<(f64, f64)>,
}

/// A phase that a map gives back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FixedPoint {
    /// The phase (cycles), in [0, 1).
    pub phase: f64,
    /// What a small distance from it is multiplied by from one cycle to the next.
    pub multiplier: f64,
    /// Whether it draws near: the multiplier is between -1 and 1.
    pub stable: bool,
}

impl FixedPoint {
    fn new(phase: f64, multiplier: f64) -> Self {
        FixedPoint {
            phase,
            multiplier,
            stable: multiplier.abs() < 1.0,
        }
    }
}

impl Curve {
    /// Through (phase, shift); phases are taken around the cycle, and shifts at the same phase become
    /// their mean. `None` with fewer than two phases, or where a number is not finite.
    pub fn through(points: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut points: Vec<(f64, f64)> = points
            .into_iter()
            .map(|(phase, shift)| (phase.rem_euclid(1.0), shift))
            .collect();
        let finite = points.iter().all(|(x, y)| x.is_finite() && y.is_finite());
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let points: Vec<(f64, f64)> = points
            .chunk_by(|a, b| a.0 == b.0)
            .map(|same| {
                let sum: f64 = same.iter().map(|(_, shift)| shift).sum();
                (same[0].0, sum / same.len() as f64)
            })
            .collect();
        (finite && points.len() > 1).then_some(Curve { points })
    }

    /// The points, by phase.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// The lines between neighbours, the last one over the end of the cycle: both ends, the second at
    /// a phase above the first.
    fn lines(&self) -> impl Iterator<Item = [(f64, f64); 2]> {
        let first = self.points[0];
        let around = std::iter::once((first.0 + 1.0, first.1));
        let ends = self.points[1..].iter().copied().chain(around);
        self.points.iter().copied().zip(ends).map(<[_; 2]>::from)
    }

    /// The shift at a phase.
    pub fn at(&self, phase: f64) -> f64 {
        let phase = phase.rem_euclid(1.0);
        let line = self.lines().find(|[a, b]| a.0 <= phase && phase <= b.0);
        // Before the first point lies the line over the end of the cycle.
        let (phase, line) = match line {
            Some(line) => (phase, line),
            None => (phase + 1.0, self.last_line()),
        };
        let [(x0, y0), (x1, y1)] = line;
        y0 + (y1 - y0) * (phase - x0) / (x1 - x0)
    }

    fn last_line(&self) -> [(f64, f64); 2] {
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        [last, (first.0 + 1.0, first.1)]
    }

    /// Phases at which the curve passes a value, and its slope there. A curve that touches the value
    /// does not pass it; one that stays at it does so nowhere.
    pub fn crossings(&self, value: f64) -> Vec<(f64, f64)> {
        let mut crossings: Vec<(f64, f64)> = self
            .lines()
            .filter_map(|[(x0, y0), (x1, y1)]| {
                let (f0, f1) = (y0 - value, y1 - value);
                // A zero at a point belongs to the line that begins there.
                let passes = (f0 < 0.0) != (f1 < 0.0);
                passes.then(|| {
                    let phase = x0 + (x1 - x0) * f0 / (f0 - f1);
                    (phase.rem_euclid(1.0), (f1 - f0) / (x1 - x0))
                })
            })
            .collect();
        crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
        crossings
    }

    /// The map φ -> φ + Δ(φ): the phases at which the curve is zero. Stable where it falls there, by
    /// less than 2 a cycle.
    pub fn fixed_points(&self) -> Vec<FixedPoint> {
        self.locking(1.0)
    }

    /// Phases at which a pulse that comes every `period` cycles (in units of the free period, about 1)
    /// finds the rhythm again and again, one cycle a pulse: the fixed points of
    /// φ -> φ + period + Δ(φ) mod 1, where Δ(φ) = 1 - period.
    pub fn locking(&self, period: f64) -> Vec<FixedPoint> {
        let crossings = self.crossings(1.0 - period).into_iter();
        crossings
            .map(|(phase, slope)| FixedPoint::new(phase, 1.0 + slope))
            .collect()
    }

    /// The shortest and the longest period (in free periods) at which pulses can lock the rhythm one to
    /// one: 1 - the greatest shift and 1 - the least.
    pub fn entrainment(&self) -> [f64; 2] {
        let shifts = || self.points.iter().map(|(_, shift)| *shift);
        [
            1.0 - shifts().fold(f64::NEG_INFINITY, f64::max),
            1.0 - shifts().fold(f64::INFINITY, f64::min),
        ]
    }

    /// How two identical cells lock that pulse each other at their onsets, each of them with this
    /// curve of first shifts (those of later cycles are left out).
    ///
    /// When one cell begins, the other is at φ and is moved to φ + Δ(φ); when that one begins, the
    /// first is at h(φ) = 1 - φ - Δ(φ). Alternating pairs are the fixed points of h, 2φ + Δ(φ) = 1;
    /// pairs that meet at any other phase are those of h(h(φ)). A [`Pair`] is told once, with the lag
    /// that is at most half a cycle.
    pub fn pairs(&self) -> Vec<Pair> {
        let half = |phase: f64| 1.0 - phase - self.at(phase);
        let slope = |phase: f64| (half(phase + DELTA) - half(phase - DELTA)) / (2.0 * DELTA);
        let excess = |phase: f64| half(half(phase)) - phase;
        let grid = |k: usize| (k as f64 + 0.5) / PAIR_GRID as f64;
        let mut pairs: Vec<Pair> = Vec::new();
        for k in 0..PAIR_GRID - 1 {
            let (mut low, mut high) = (grid(k), grid(k + 1));
            let rising = excess(low) < 0.0;
            if rising == (excess(high) < 0.0) {
                continue;
            }
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                match (excess(middle) < 0.0) == rising {
                    true => low = middle,
                    false => high = middle,
                }
            }
            let (phase, other) = (0.5 * (low + high), half(0.5 * (low + high)));
            // A jump is no crossing, and a phase outside of the cycle is none.
            if excess(phase).abs() > 1e-6 || !(0.0..1.0).contains(&other) {
                continue;
            }
            let period = phase + other;
            let lag = (other / period).min(phase / period);
            if pairs.iter().any(|pair| (pair.lag - lag).abs() < SAME_LAG) {
                continue;
            }
            let multiplier = slope(phase) * slope(other);
            pairs.push(Pair {
                lag,
                period,
                multiplier,
                stable: multiplier.abs() < 1.0,
            });
        }
        pairs.sort_by(|a, b| a.lag.total_cmp(&b.lag));
        pairs
    }
}

/// Phases at which [`Curve::pairs`] looks for pairs.
const PAIR_GRID: usize = 2000;

/// Half-width of a difference quotient (cycles).
const DELTA: f64 = 1e-4;

/// Lags no farther apart are one (cycles).
const SAME_LAG: f64 = 1e-3;

/// How two cells that pulse each other meet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Lag of one behind the other (cycles of the pair), at most 0.5: antiphase.
    pub lag: f64,
    /// Their common period, in free periods.
    pub period: f64,
    /// What a small distance from it is multiplied by in a cycle.
    pub multiplier: f64,
    /// Whether it draws near.
    pub stable: bool,
}

/// How far pulses of two sizes are from doing the same in proportion: the greatest difference of
/// Δφ/size over the phases of `one`, as a share of the greatest |Δφ/size| of both. Small where pulses
/// are small enough for the response to be infinitesimal; 0 where neither does anything. Sizes are
/// charges or areas of the pulses, of either sign, and not 0.
pub fn nonlinearity(one: (&Curve, f64), other: (&Curve, f64)) -> f64 {
    let pairs = one
        .0
        .points
        .iter()
        .map(|(phase, shift)| [shift / one.1, other.0.at(*phase) / other.1]);
    let (apart, most) = pairs.fold((0.0_f64, 0.0_f64), |(apart, most), [a, b]| {
        (apart.max((a - b).abs()), most.max(a.abs()).max(b.abs()))
    });
    if most == 0.0 { 0.0 } else { apart / most }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use homarus_systems::math;
    use proptest::prelude::*;

    use super::*;

    /// Bursts of 20 ms at the given onsets.
    fn at(onsets: impl IntoIterator<Item = f64>) -> Vec<Burst> {
        let burst = |on_ms| Burst {
            on_ms,
            off_ms: on_ms + 20.0,
            n_spikes: 3,
        };
        onsets.into_iter().map(burst).collect()
    }

    fn curve(shift: impl Fn(f64) -> f64, n: u32) -> Curve {
        let phases = (0..n).map(|k| f64::from(k) / f64::from(n));
        Curve::through(phases.map(|phase| (phase, shift(phase)))).unwrap()
    }

    /// A leaky integrate-and-fire cell dv/dt = I - v from 0 to 1, in phases: its period, and where a
    /// kick of v takes it, in closed form.
    struct Leaky {
        current: f64,
    }

    impl Leaky {
        fn period(&self) -> f64 {
            math::ln(self.current / (self.current - 1.0))
        }

        fn shift(&self, phase: f64, kick: f64) -> f64 {
            let v = self.current * (1.0 - math::exp(-phase * self.period())) + kick;
            let then = math::ln(self.current / (self.current - v)) / self.period();
            then.min(1.0) - phase
        }

        /// The derivative of the shift after the kick at 0.
        fn infinitesimal(&self, phase: f64) -> f64 {
            math::exp(phase * self.period()) / (self.current * self.period())
        }
    }

    #[test]
    fn advances_are_above_zero_and_cycles_are_paired() {
        // The control's own cycles are 400, 420 and 410 ms.
        let control = at([100.0, 500.0, 920.0, 1330.0]);
        let cycle = first_cycle(&control, 50.0).unwrap();
        assert_eq!(cycle, [100.0, 500.0]);
        let pulsed = at([100.0, 460.0, 901.0, 1311.0]);
        let found = shifts(&control, &pulsed, cycle, 3).unwrap();
        assert_eq!(found.period_ms, Some(400.0));
        assert_eq!(found.shifts, [0.1, -0.05, 0.0]);
        let same = shifts(&control, &control, cycle, 3).unwrap();
        assert_eq!(same.shifts, [0.0; 3]);
    }

    #[test]
    fn a_burst_that_the_pulse_splits_is_one() {
        let long = |on_ms, off_ms| Burst {
            on_ms,
            off_ms,
            n_spikes: 10,
        };
        let control = [
            long(100.0, 400.0),
            long(1100.0, 1400.0),
            long(2100.0, 2400.0),
        ];
        let cycle = [100.0, 1100.0];
        let shift = |first: &[Burst]| {
            let pulsed = [first, &[long(1200.0, 1500.0)]].concat();
            shifts(&control, &pulsed, cycle, 1).unwrap().shifts[0]
        };
        assert_eq!(shift(&[long(100.0, 150.0), long(300.0, 390.0)]), -0.1);
        // The first part was too small to count.
        assert_eq!(shift(&[long(300.0, 390.0)]), -0.1);
        assert_eq!(shift(&[long(100.0, 500.0)]), -0.1);
    }

    #[test]
    fn without_a_rhythm_there_is_no_response() {
        let few = at([100.0, 500.0]);
        let none = first_cycle(&at([100.0]), 50.0).unwrap_err();
        assert_eq!(
            none,
            NoResponse::Quiet {
                found: 1,
                wanted: 2
            }
        );
        assert!(first_cycle(&[], 0.0).is_err());
        let quiet = shifts(&few, &few, [100.0, 500.0], 2).unwrap_err();
        assert_eq!(
            quiet,
            NoResponse::Quiet {
                found: 2,
                wanted: 3
            }
        );
        let stopped = shifts(&few, &few[..1], [100.0, 500.0], 1).unwrap_err();
        assert_eq!(
            stopped,
            NoResponse::Stopped {
                found: 0,
                wanted: 1
            }
        );
        assert!(stopped.to_string().contains("0 times after the pulse"));
    }

    #[test]
    fn the_direct_method_finds_the_curve_of_a_leaky_cell() {
        let cell = Leaky { current: 1.2 };
        let period = 300.0;
        let kick = 0.02;
        for k in 0..20 {
            let phase = (f64::from(k) + 0.5) / 20.0;
            let expected = cell.shift(phase, kick);
            let control = at((0..4).map(|n| 40.0 + period * f64::from(n)));
            let pulsed = at(std::iter::once(40.0)
                .chain((1..4).map(|n| 40.0 + period * (f64::from(n) - expected))));
            let found = shifts(&control, &pulsed, [40.0, 340.0], 2).unwrap();
            assert!((found.shifts[0] - expected).abs() < 1e-12);
            assert!(found.shifts[1].abs() < 1e-12);
        }
    }

    #[test]
    fn small_kicks_are_infinitesimal_and_large_ones_are_not() {
        let cell = Leaky { current: 1.5 };
        let kicked = |kick: f64| {
            let phases = (0..18).map(|k| f64::from(k) / 20.0);
            Curve::through(phases.map(|phase| (phase, cell.shift(phase, kick)))).unwrap()
        };
        let (tiny, small, large) = (kicked(1e-5), kicked(2e-5), kicked(0.2));
        assert!(nonlinearity((&tiny, 1e-5), (&small, 2e-5)) < 1e-3);
        assert!(nonlinearity((&tiny, 1e-5), (&large, 0.2)) > 0.1);
        for (phase, shift) in tiny.points() {
            let known = cell.infinitesimal(*phase);
            assert!((shift / 1e-5 - known).abs() < 1e-3 * known);
        }
    }

    #[test]
    fn a_sine_locks_where_it_falls() {
        // Δ = -a sin(2πφ): zeros at 0, falling by 2πa, and at a half, rising.
        let a = 0.1;
        let sine = curve(|phase| -a * (TAU * phase).sin(), 400);
        let [falls, rises] = sine.fixed_points()[..] else {
            panic!("{:?}", sine.fixed_points());
        };
        assert!(falls.phase.min(1.0 - falls.phase) < 1e-6 && falls.stable);
        assert!((falls.multiplier - (1.0 - TAU * a)).abs() < 1e-3);
        assert!((rises.phase - 0.5).abs() < 1e-6 && !rises.stable);
        let [shortest, longest] = sine.entrainment();
        assert!((shortest - 0.9).abs() < 1e-6 && (longest - 1.1).abs() < 1e-6);
        // A pulse every 1.05 periods: sin(2πφ) = 0.5, falling at 1/12.
        let locked = sine.locking(1.05);
        let stable: Vec<_> = locked.iter().filter(|point| point.stable).collect();
        assert_eq!(stable.len(), 1);
        assert!((stable[0].phase - 1.0 / 12.0).abs() < 1e-4);
        assert!(sine.locking(1.2).is_empty());
    }

    /// A strong fall overshoots: the map is unstable though the curve falls.
    #[test]
    fn a_steep_fall_is_unstable() {
        let steep = curve(|phase| -0.4 * (TAU * phase).sin(), 400);
        let near_zero = steep.fixed_points()[0];
        assert!(near_zero.multiplier < -1.0 && !near_zero.stable);
    }

    #[test]
    fn pairs_meet_where_iterating_the_map_takes_them() {
        for shift in [
            |phase: f64| -0.1 * (TAU * phase).sin(),
            |phase: f64| 0.1 * (TAU * phase).sin(),
            |phase: f64| 0.08 * (2.0 * TAU * phase).sin() - 0.05 * phase * (1.0 - phase),
        ] {
            let half = |phase: f64| 1.0 - phase - shift(phase);
            let pairs = curve(shift, 2000).pairs();
            for start in [0.2, 0.35, 0.6, 0.9] {
                let mut phase = start;
                for _ in 0..4000 {
                    phase = half(phase);
                }
                let (phase, other) = (phase, half(phase));
                let lag = (other / (phase + other)).min(phase / (phase + other));
                if !(0.01..=0.5 + 1e-9).contains(&lag) {
                    // In phase: the two begin at once, where no pulse finds a phase.
                    continue;
                }
                let near = pairs.iter().find(|pair| (pair.lag - lag).abs() < 2e-3);
                let near = near.unwrap_or_else(|| panic!("{lag} {pairs:?}"));
                assert!(near.stable);
                assert!((near.period - (phase + other)).abs() < 2e-3);
            }
        }
    }

    /// Two cells with a falling sine at a half are antiphase, by symmetry; there 2φ + Δ(φ) = 1 and the
    /// common period is the free one.
    #[test]
    fn a_symmetric_curve_gives_antiphase() {
        let pairs = curve(|phase| 0.1 * (TAU * phase).sin(), 2000).pairs();
        let antiphase = pairs.iter().find(|pair| pair.stable).unwrap();
        assert!((antiphase.lag - 0.5).abs() < 1e-4);
        assert!((antiphase.period - 1.0).abs() < 1e-4);
        let slope = 1.0 - TAU * 0.1;
        assert!((antiphase.multiplier - slope * slope).abs() < 1e-2);
    }

    #[test]
    fn curves_need_two_phases_and_go_round() {
        assert_eq!(Curve::through([(0.5, 0.1), (1.5, 0.3)]), None);
        assert_eq!(Curve::through([(0.5, 0.1), (0.7, f64::NAN)]), None);
        let curve = Curve::through([(0.75, 1.0), (0.25, 0.0), (0.25, 0.0)]).unwrap();
        assert_eq!(curve.at(0.5), 0.5);
        assert_eq!(curve.at(0.0), 0.5);
        assert_eq!(curve.at(1.25), 0.0);
    }

    proptest! {
        /// Shifts of any onsets give the onsets back.
        #[test]
        fn shifts_add_up(steps in prop::collection::vec(50.0..500.0_f64, 5), from in 0.0..100.0_f64) {
            let control = at((0..6).map(|k| from + 300.0 * f64::from(k)));
            let mut t = from;
            let onsets = steps.iter().map(|step| { t += step; t });
            let pulsed = at(std::iter::once(from).chain(onsets));
            let found = shifts(&control, &pulsed, [from, from + 300.0], 5).unwrap();
            for (shift, step) in found.shifts.iter().zip(&steps) {
                prop_assert!((300.0 * (1.0 - shift) - step).abs() < 1e-9);
            }
        }
    }
}
