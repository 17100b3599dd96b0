//! How far what a scene shows depends on its step: the same run at several steps, held against the
//! best of them. Pure functions of the summaries of the runs.
//!
//! The error of a step is how far a mean over a window lies from that of the reference integrator.
//! Where that is missing the finest step stands for it, and what the last halving changed is added:
//! the scheme is of first order, so the next halvings would change as much again, all together.
//!
//! Not every mean can be judged. One over few or irregular bursts is not known well enough, and the
//! period of a slow burst is ill-conditioned: a spike more or less in a burst of dozens moves it by
//! a percent or two, and anything decides which. Both are told instead of a step.

use std::f64::consts::TAU;

use homarus_systems::math;
use serde::Serialize;

use crate::record::summary::Summary;
use crate::rhythm::{CellReport, PhaseReport, RhythmReport, WindowReport};

/// What a mean may be wrong by at the step that is looked for (1).
pub const TOLERANCE: f64 = 0.01;

/// Lock below which a phase means little.
const DRIFTING: f64 = 0.3;

/// Errors of the finest step over those of the coarsest, of four times the length: 1/4 by the order
/// of the scheme. Above this the error does not fall with the step.
const FALLING: f64 = 0.7;

/// Errors below this are not looked at for whether they fall.
const SMALL: f64 = 0.002;

/// Spikes from which on a burst is long.
const LONG_BURST: f64 = 20.0;

const SPIKES_PER_BURST: &str = "spikes/burst";

/// One run of a study.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// Integrator.
    pub integrator: &'static str,
    /// Step (ms); `None` for the reference integrator, which chooses its own.
    pub step_ms: Option<f64>,
    /// Wall time of the run (s).
    pub wall_s: f64,
}

/// What several steps make of a scene: the object of `run --step-study --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepStudy {
    /// Version of the program.
    pub homarus: &'static str,
    /// Name of the scene.
    pub scene: String,
    /// Hash of the scene at its own step.
    pub scene_hash: String,
    /// Largest error that is allowed (1).
    pub tolerance: f64,
    /// The runs, the best last; the values of each quantity are in this order.
    pub trials: Vec<Trial>,
    /// Means, by window.
    pub quantities: Vec<Quantity>,
    /// Verdicts and patterns that are not the same in all runs.
    pub changes: Vec<Change>,
    /// The largest step tried that holds the tolerance in everything that can be judged; `None` if
    /// none does.
    pub needs_step_ms: Option<f64>,
    /// Where none does: about the step that would (ms), by the order of the scheme.
    pub foreseen_step_ms: Option<f64>,
    /// Whether everything could be judged.
    pub decided: bool,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A mean of a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantity {
    /// Label of the window.
    pub window: String,
    /// Rhythm or cell.
    pub of: String,
    /// Measure, such as `period`.
    pub what: String,
    /// Unit; empty for pure numbers.
    pub unit: &'static str,
    /// Value in each run.
    pub values: Vec<Option<f64>>,
    /// Difference of each run but the last to the last: relative, and for phases in cycles.
    pub deviations: Vec<Option<f64>>,
    /// Error of each step, as far as it is known.
    pub errors: Vec<Option<f64>>,
    /// Standard error of the mean in the best run, as a deviation.
    pub uncertainty: Option<f64>,
    /// What it asks of the step.
    pub need: Need,
}

/// What a quantity asks of the step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// The largest step tried (ms) that is right, as all shorter ones are.
    Step(f64),
    /// None of those tried; about this one (ms), by the order of the scheme.
    Foreseen(f64),
    /// That cannot be decided, for this reason.
    Undecided(String),
}

/// A verdict or pattern that is not the same in all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Label of the window.
    pub window: String,
    /// Rhythm or cell.
    pub of: String,
    /// What it is in each run.
    pub values: Vec<String>,
    /// The largest step (ms) from which on it is what the best run shows; `None` if none is.
    pub needs_step_ms: Option<f64>,
}

/// Holds runs of a scene against each other: at `steps_ms`, each half of the one before, and after
/// them one of the reference integrator if there is one more summary than steps.
pub fn study(steps_ms: &[f64], summaries: &[Summary]) -> StepStudy {
    let known = summaries.len() > steps_ms.len();
    let mut quantities = Vec::new();
    let mut changes = Vec::new();
    let windows = summaries.last().map_or(0, |best| best.windows.len());
    for w in 0..windows {
        let reports: Vec<&WindowReport> = summaries.iter().map(|s| &s.windows[w]).collect();
        let judge = Judge {
            steps_ms,
            known,
            window: &reports[0].label,
        };
        judge.rhythms(&reports, &mut quantities, &mut changes);
        judge.cells(&reports, &mut quantities, &mut changes);
    }
    let trials = summaries.iter().enumerate().map(|(k, summary)| Trial {
        integrator: summary.integrator,
        step_ms: steps_ms.get(k).copied(),
        wall_s: summary.wall_s,
    });
    let (needs_step_ms, foreseen_step_ms) = needed(steps_ms, &quantities, &changes);
    let undecided = |q: &Quantity| matches!(q.need, Need::Undecided(_));
    StepStudy {
        homarus: env!("CARGO_PKG_VERSION"),
        scene: summaries
            .first()
            .map_or_else(String::new, |s| s.scene.clone()),
        scene_hash: summaries
            .first()
            .map_or_else(String::new, |s| s.scene_hash.clone()),
        tolerance: TOLERANCE,
        trials: trials.collect(),
        needs_step_ms,
        foreseen_step_ms,
        decided: !quantities.iter().any(undecided),
        notes: slow_bursts(&quantities)
            .into_iter()
            .chain(quantities.iter().filter_map(Quantity::note))
            .collect(),
        quantities,
        changes,
    }
}

/// The note for cells with long bursts.
fn slow_bursts(quantities: &[Quantity]) -> Option<String> {
    let long = |q: &&Quantity| {
        let spikes = q.values.last().copied().flatten();
        q.what == SPIKES_PER_BURST && spikes.is_some_and(|n| n >= LONG_BURST)
    };
    let mut cells: Vec<&str> = Vec::new();
    for quantity in quantities.iter().filter(long) {
        if !cells.contains(&quantity.of.as_str()) {
            cells.push(&quantity.of);
        }
    }
    /// More names than this are counted.
    const NAMED: usize = 5;
    let more = match cells.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!cells.is_empty()).then(|| {
        format!(
            "the period of bursts of {LONG_BURST} spikes and more ({}{more}) is ill-conditioned: kicks of \
             0.0001 mV move it by 0.4 %, so that a smaller deviation may be luck",
            cells[..cells.len().min(NAMED)].join(", ")
        )
    })
}

/// The step that everything that can be judged asks for, and the one foreseen where none tried is
/// short enough.
fn needed(
    steps_ms: &[f64],
    quantities: &[Quantity],
    changes: &[Change],
) -> (Option<f64>, Option<f64>) {
    let finest = steps_ms.last().copied().unwrap_or(f64::INFINITY);
    let mut needed = steps_ms.first().copied();
    let mut foreseen: Option<f64> = None;
    let mut longer = |step: f64| foreseen = Some(foreseen.map_or(step, |known| known.min(step)));
    let mut judged = false;
    for quantity in quantities {
        match quantity.need {
            Need::Step(step) => needed = needed.map(|known| known.min(step)),
            Need::Foreseen(step) => longer(step),
            Need::Undecided(_) => continue,
        }
        judged = true;
    }
    for change in changes {
        match change.needs_step_ms {
            Some(step) => needed = needed.map(|known| known.min(step)),
            None => longer(0.5 * finest),
        }
        judged = true;
    }
    match (judged, foreseen) {
        (false, _) => (None, None),
        (true, None) => (needed, None),
        (true, foreseen) => (None, foreseen),
    }
}

/// How many of what spread tell a mean.
#[derive(Clone, Copy)]
struct Sample {
    /// Number of bursts or cycles.
    count: usize,
    /// Standard deviation of one of them, as a deviation.
    spread: f64,
}

impl Sample {
    /// Standard error of the mean.
    fn error(self) -> f64 {
        match self.count {
            0 | 1 => f64::INFINITY,
            n => self.spread / (n as f64).sqrt(),
        }
    }
}

/// How two values differ.
type Difference = fn(f64, f64) -> f64;

fn relative(value: f64, best: f64) -> f64 {
    (value - best) / best
}

/// Difference of two phases in cycles, the short way round.
fn around(value: f64, best: f64) -> f64 {
    let d = value - best;
    d - d.round()
}

/// What is held against what, and in which window.
struct Judge<'a> {
    steps_ms: &'a [f64],
    /// Whether the last run is that of the reference integrator.
    known: bool,
    window: &'a str,
}

impl Judge<'_> {
    fn rhythms(
        &self,
        reports: &[&WindowReport],
        quantities: &mut Vec<Quantity>,
        changes: &mut Vec<Change>,
    ) {
        for r in 0..reports[0].rhythms.len() {
            let rhythms: Vec<&RhythmReport> = reports.iter().map(|w| &w.rhythms[r]).collect();
            let best = rhythms[rhythms.len() - 1];
            let of = format!("{} rhythm", best.name);
            let verdicts = rhythms.iter().map(|r| r.verdict.to_string());
            changes.extend(self.change(&of, verdicts.collect()));
            let cycles = cycles(reports[reports.len() - 1], &best.reference);
            let sample = best.period_cv.map(|spread| Sample {
                count: cycles,
                spread,
            });
            let periods = rhythms.iter().map(|r| r.period_ms).collect();
            quantities.extend(self.quantity(&of, "period", "ms", periods, sample, relative));
            for c in 0..best.cells.len() {
                let phases: Vec<&PhaseReport> = rhythms.iter().map(|r| &r.cells[c]).collect();
                let phase = phases[phases.len() - 1];
                let what = format!("phase of {}", phase.name);
                let sample = phase.lock.map(|lock| Sample {
                    count: cycles,
                    spread: phase_spread(lock),
                });
                let values = phases.iter().map(|p| p.phase).collect();
                let mut judged = self.quantity(&of, &what, "", values, sample, around);
                if let (Some(quantity), Some(lock)) = (&mut judged, phase.lock)
                    && lock < DRIFTING
                {
                    quantity.need = Need::Undecided(format!(
                        "it drifts (lock {lock:.2}), so that its phase means little"
                    ));
                }
                quantities.extend(judged);
            }
        }
    }

    fn cells(
        &self,
        reports: &[&WindowReport],
        quantities: &mut Vec<Quantity>,
        changes: &mut Vec<Change>,
    ) {
        for c in 0..reports[0].cells.len() {
            let cells: Vec<&CellReport> = reports.iter().map(|w| &w.cells[c]).collect();
            let best = cells[cells.len() - 1];
            let of = best.name.as_str();
            let patterns = cells.iter().map(|cell| cell.pattern.to_string());
            changes.extend(self.change(of, patterns.collect()));
            let all = |measure: fn(&CellReport) -> Option<f64>| -> Vec<Option<f64>> {
                cells.iter().map(|cell| measure(cell)).collect()
            };
            let bursts = best.period_cv.map(|spread| Sample {
                count: best.bursts.saturating_sub(1),
                spread,
            });
            if best.period_ms.is_some() {
                let periods = all(|cell| cell.period_ms);
                quantities.extend(self.quantity(of, "period", "ms", periods, bursts, relative));
                let spikes = all(|cell| cell.spikes_per_burst);
                quantities.extend(self.quantity(
                    of,
                    SPIKES_PER_BURST,
                    "",
                    spikes,
                    bursts,
                    relative,
                ));
            } else {
                let frequency = all(|cell| cell.frequency_hz.filter(|hz| *hz > 0.0));
                quantities.extend(self.quantity(of, "frequency", "Hz", frequency, None, relative));
            }
            let calcium = all(|cell| cell.ca_mean_um);
            quantities.extend(self.quantity(of, "Ca", "µM", calcium, bursts, relative));
        }
    }

    /// A mean that at least one run has.
    fn quantity(
        &self,
        of: &str,
        what: &str,
        unit: &'static str,
        values: Vec<Option<f64>>,
        sample: Option<Sample>,
        difference: Difference,
    ) -> Option<Quantity> {
        if values.iter().all(Option::is_none) {
            return None;
        }
        let best = values[values.len() - 1];
        let deviations: Vec<Option<f64>> = values[..values.len() - 1]
            .iter()
            .map(|value| Some(difference((*value)?, best?)))
            .collect();
        let errors = self.errors(&deviations, best);
        let uncertainty = sample.map(Sample::error);
        let need = self.need(&errors, uncertainty);
        Some(Quantity {
            window: self.window.to_owned(),
            of: of.to_owned(),
            what: what.to_owned(),
            unit,
            values,
            deviations,
            errors,
            uncertainty: uncertainty.filter(|u| u.is_finite()),
            need,
        })
    }

    /// Errors of the steps from their deviations.
    fn errors(&self, deviations: &[Option<f64>], best: Option<f64>) -> Vec<Option<f64>> {
        let sizes = deviations.iter().map(|d| d.map(f64::abs));
        if self.known {
            return sizes.collect();
        }
        // The finest step is the last value, and not among the deviations.
        let halving = deviations.last().copied().flatten().map(f64::abs);
        let finest = best.and(halving);
        let coarser = sizes.map(|size| Some(size? + halving?));
        coarser.chain([finest]).collect()
    }

    fn need(&self, errors: &[Option<f64>], uncertainty: Option<f64>) -> Need {
        if let Some(uncertain) = uncertainty.filter(|u| *u > TOLERANCE) {
            return Need::Undecided(match uncertain.is_finite() {
                true => format!(
                    "the window tells this mean to {:.1} % only: it wants a longer one",
                    100.0 * uncertain
                ),
                false => "the window has too few bursts: it wants a longer one".to_owned(),
            });
        }
        if let Some(step) = self.last_while(|k| errors[k].is_some_and(|e| e <= TOLERANCE)) {
            return Need::Step(step);
        }
        let (first, last) = (errors[0], errors[errors.len() - 1]);
        let finest = self.steps_ms[self.steps_ms.len() - 1];
        match (first, last) {
            (Some(first), Some(last)) if last <= FALLING * first => {
                Need::Foreseen(finest * TOLERANCE / last)
            }
            (None, Some(last)) => Need::Foreseen(finest * TOLERANCE / last),
            (Some(_), Some(last)) => Need::Undecided(format!(
                "its error does not fall with the step ({:.1} % at the finest): it is ill-conditioned",
                100.0 * last
            )),
            (_, None) => Need::Undecided("it is not defined in every run".to_owned()),
        }
    }

    /// The largest step that is fine, as all finer ones are.
    fn last_while(&self, fine: impl Fn(usize) -> bool) -> Option<f64> {
        let steps = (0..self.steps_ms.len()).rev().take_while(|k| fine(*k));
        steps.last().map(|k| self.steps_ms[k])
    }

    /// Words that are not the same in all runs.
    fn change(&self, of: &str, values: Vec<String>) -> Option<Change> {
        let best = values.last()?;
        if values.iter().all(|value| value == best) {
            return None;
        }
        let needs_step_ms = match self.known {
            true => self.last_while(|k| values[k] == *best),
            // The finest step is the best by definition; it takes a second one to bear it out.
            false => self
                .last_while(|k| values[k] == *best)
                .filter(|step| *step > self.steps_ms[self.steps_ms.len() - 1]),
        };
        Some(Change {
            window: self.window.to_owned(),
            of: of.to_owned(),
            needs_step_ms,
            values,
        })
    }
}

/// Periods of a cell in a window.
fn cycles(report: &WindowReport, name: &str) -> usize {
    let cell = report.cells.iter().find(|cell| cell.name == name);
    cell.map_or(0, |cell| cell.bursts.saturating_sub(1))
}

/// Circular standard deviation (cycles) of phases with the resultant length `lock`.
fn phase_spread(lock: f64) -> f64 {
    (-2.0 * math::ln(lock.clamp(1e-9, 1.0))).sqrt() / TAU
}

impl Quantity {
    /// The largest error of a step.
    pub fn worst(&self) -> f64 {
        let errors = self.errors.iter().map(|e| e.unwrap_or(f64::INFINITY));
        errors.fold(0.0, f64::max)
    }

    /// The note for a mean that is right, but whose error does not fall with the step.
    fn note(&self) -> Option<String> {
        let Need::Step(_) = self.need else {
            return None;
        };
        let (first, last) = (*self.errors.first()?, *self.errors.last()?);
        let (first, last) = (first?, last?);
        (last > SMALL && last > FALLING * first).then(|| {
            format!(
                "{}, {} of {}: its error does not fall with the step ({:.2} % and {:.2} %), so that a \
                 small one may be luck",
                self.window,
                self.what,
                self.of,
                100.0 * first,
                100.0 * last
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [f64; 3] = [0.04, 0.02, 0.01];

    fn judge(known: bool) -> Judge<'static> {
        Judge {
            steps_ms: &STEPS,
            known,
            window: "w",
        }
    }

    /// What a mean with these values asks for.
    fn need(values: &[f64], known: bool, sample: Option<Sample>) -> Need {
        let values = values.iter().copied().map(Some).collect();
        let judged = judge(known).quantity("A", "period", "ms", values, sample, relative);
        judged.expect("it has values").need
    }

    #[test]
    fn the_reference_tells_the_error_of_a_step() {
        assert_eq!(
            need(&[104.0, 102.0, 101.0, 100.0], true, None),
            Need::Step(0.01)
        );
        assert_eq!(
            need(&[102.0, 101.0, 100.5, 100.0], true, None),
            Need::Step(0.02)
        );
        assert_eq!(
            need(&[99.5, 99.7, 99.9, 100.0], true, None),
            Need::Step(0.04)
        );
        let Need::Foreseen(step) = need(&[116.0, 108.0, 104.0, 100.0], true, None) else {
            panic!("4 % at 0.01 ms, so 1 % at a quarter of it");
        };
        assert!((step - 0.0025).abs() < 1e-12, "{step}");
    }

    #[test]
    fn without_it_the_last_halving_stands_for_all_later_ones() {
        // A mean of exactly first order around 100: the truth is found from the steps alone.
        let first_order = |slope: f64| STEPS.map(|step| 100.0 + slope * step);
        let errors = |slope: f64| {
            let values = first_order(slope).map(Some).to_vec();
            let judged = judge(false).quantity("A", "period", "ms", values, None, relative);
            judged.expect("it has values").errors
        };
        for (error, step) in errors(25.0).into_iter().zip(STEPS) {
            let error = error.expect("it is defined");
            assert!((error - 0.25 * step).abs() < 1e-4, "{step}: {error}");
        }
        assert_eq!(need(&first_order(20.0), false, None), Need::Step(0.04));
        assert_eq!(need(&first_order(40.0), false, None), Need::Step(0.02));
        assert!(
            matches!(need(&first_order(200.0), false, None), Need::Foreseen(step) if step < 0.01)
        );
    }

    #[test]
    fn a_hit_between_misses_does_not_count() {
        assert_eq!(
            need(&[100.1, 103.0, 100.4, 100.0], true, None),
            Need::Step(0.01)
        );
    }

    #[test]
    fn what_cannot_be_judged_is_not() {
        let undecided = |need| match need {
            Need::Undecided(why) => why,
            other => panic!("{other:?}"),
        };
        let stuck = need(&[103.0, 102.0, 102.5, 100.0], true, None);
        assert!(undecided(stuck).contains("does not fall with the step (2.5 %"));
        let few = |count| Some(Sample { count, spread: 0.1 });
        let told = undecided(need(&[100.0; 4], true, few(4)));
        assert!(told.contains("tells this mean to 5.0 % only"), "{told}");
        assert!(undecided(need(&[100.0; 4], true, few(1))).contains("too few bursts"));
        assert_eq!(need(&[100.0; 4], true, few(400)), Need::Step(0.04));
        let values = vec![Some(100.0), Some(100.0), None, Some(100.0)];
        let judged = judge(true).quantity("A", "period", "ms", values, None, relative);
        let told = undecided(judged.expect("it has values").need);
        assert!(told.contains("not defined in every run"), "{told}");
    }

    #[test]
    fn phases_differ_the_short_way_round() {
        assert!((around(0.99, 0.01) + 0.02).abs() < 1e-12);
        assert!((around(0.3, 0.2) - 0.1).abs() < 1e-12);
        assert!(phase_spread(1.0) == 0.0 && phase_spread(0.0).is_finite());
        // A normal spread of 0.05 cycles.
        let lock = math::exp(-0.5 * (0.05 * TAU).powi(2));
        assert!((phase_spread(lock) - 0.05).abs() < 1e-12);
    }

    #[test]
    fn a_verdict_that_changes_asks_for_the_step_from_which_it_stays() {
        let words = |all: [&str; 4]| judge(true).change("A", all.map(str::to_owned).to_vec());
        assert_eq!(words(["tonic"; 4]), None);
        let needs = |all| words(all).expect("it changes").needs_step_ms;
        assert_eq!(
            needs(["tonic", "bursting", "bursting", "bursting"]),
            Some(0.02)
        );
        assert_eq!(needs(["bursting", "bursting", "tonic", "bursting"]), None);
    }
}
