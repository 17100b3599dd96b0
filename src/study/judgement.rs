//! What is told of one member: the record that a study keeps of it.
//!
//! A member is held against the control of its network, window by window; a control against its own
//! window before the fork. Undefined numbers are `None`.

use serde::{Deserialize, Serialize};

use crate::{rhythm::Verdict, scene::paths};

use super::{
    bisect::Critical,
    compare::{Changes, changes},
    model::{Moment, Study},
    observed::Observed,
    outcome::{Reading, held},
    response::{self, Shifts},
    verdict::{self, Word},
};

/// What came of a member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The rhythms of its base, in their order.
    pub rhythms: Vec<RhythmJudgement>,
    /// The measures in their order, by [`Moment`]; counts as they are, not per second.
    pub measures: [Vec<Option<f64>>; 3],
    /// Whether the outcomes hold, in the order of [`Study::outcome_names`]; `None`: it cannot be said,
    /// as a measure is not defined.
    pub outcomes: Vec<Option<bool>>,
    /// The phase response, if the study asks for it.
    pub response: Option<Shifts>,
    /// The critical value, if the study looks for one; who bisects writes it here.
    pub critical: Option<Critical>,
    /// Why it broke off, if it did.
    pub error: Option<String>,
}

impl Judgement {
    /// Whether there is a rhythm to be lost: the control has one, or the member broke off before that
    /// could be said.
    pub fn has_rhythm(&self) -> bool {
        let has = |rhythm: &RhythmJudgement| rhythm.during.is_some_and(Word::is_of_a_rhythm);
        self.error.is_some() || self.rhythms.iter().any(has)
    }

    /// Whether no rhythm was lost while the protocol acted: what a bisection asks of a member. A
    /// rhythm that was not there without it cannot be lost; a member that broke off has lost its own.
    pub fn survives(&self) -> bool {
        let lost = |rhythm: &RhythmJudgement| rhythm.during == Some(Word::Lost);
        self.error.is_none() && !self.rhythms.iter().any(lost)
    }
}

/// What came of a rhythm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RhythmJudgement {
    /// The verdict on the member, see [`verdict::overall`].
    pub verdict: Option<Word>,
    /// The word on the window while the protocol acts.
    pub during: Option<Word>,
    /// The word on the window after it was undone.
    pub after: Option<Word>,
    /// What each window shows, by [`Moment`].
    pub windows: [Option<Figures>; 3],
    /// Changes while the protocol acts.
    pub change_during: Option<Changes>,
    /// Changes after it was undone.
    pub change_after: Option<Changes>,
    /// Time after the fork at which the rhythm has settled (ms), see [`verdict::settling`].
    pub settling_ms: Option<f64>,
    /// Time after the undoing at which it has settled (ms), of a rhythm that is as it was.
    pub recovery_ms: Option<f64>,
}

/// A rhythm in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Whether it is there.
    pub there: Verdict,
    /// Mean period of the reference cell (ms).
    pub period_ms: Option<f64>,
    /// Its coefficient of variation (1).
    pub period_cv: Option<f64>,
    /// Circular mean onset phases of the other cells, in [0, 1), in the order of the scene.
    pub phases: Vec<Option<f64>>,
    /// Their resultant lengths (1).
    pub locks: Vec<Option<f64>>,
    /// Duty cycles (1) of the reference cell, then of the others. Undefined in every rhythm of a cell
    /// but the first, which sets how many spikes make a burst of it.
    pub duties: Vec<Option<f64>>,
    /// Mean calcium of its cells (µM).
    pub ca_mean_um: Option<f64>,
}

/// Judges members of one base of a study.
pub struct Judge<'s> {
    study: &'s Study,
    base: usize,
    measures: Vec<Option<Reading>>,
    outcomes: Vec<Option<Reading>>,
}

impl<'s> Judge<'s> {
    /// A judge of members of a base, by its index.
    ///
    /// # Panics
    /// If there is no such base.
    pub fn of(study: &'s Study, base: usize) -> Self {
        let scene = &study.bases[base];
        let names = paths::names(scene);
        let scalars = study.scalars();
        let reading = |measure| Reading::of(scene, &names, &scalars, measure);
        let outcomes = study.outcomes.iter().map(|outcome| &outcome.measure);
        Judge {
            study,
            base,
            measures: study.measures.iter().map(reading).collect(),
            outcomes: outcomes.map(reading).collect(),
        }
    }

    /// Judges a member against its control; a control against itself before the fork.
    pub fn judge(&self, control: Option<&Observed>, member: &Observed) -> Judgement {
        let scene = &self.study.bases[self.base];
        let read = |reading: &Option<Reading>, moment| {
            reading
                .as_ref()
                .and_then(|r| r.value(member, moment, scene))
        };
        let by_moment = |moment| {
            let measures = self.measures.iter();
            measures.map(|reading| read(reading, moment)).collect()
        };
        let outcomes = self.study.outcome_names().into_iter();
        let held = |name: &str| {
            let outcomes = self.study.outcomes.iter().zip(&self.outcomes);
            held(
                outcomes
                    .filter(|(outcome, _)| outcome.name == name)
                    .map(|(outcome, reading)| outcome.holds(reading.as_ref()?, member, scene)),
            )
        };
        Judgement {
            rhythms: (0..scene.rhythms.len())
                .map(|rhythm| self.rhythm(rhythm, control, member))
                .collect(),
            measures: [Moment::Before, Moment::During, Moment::After].map(by_moment),
            outcomes: outcomes.map(held).collect(),
            response: self.response(control, member),
            critical: None,
            error: member.error.clone(),
        }
    }

    fn rhythm(
        &self,
        rhythm: usize,
        control: Option<&Observed>,
        member: &Observed,
    ) -> RhythmJudgement {
        let scene = &self.study.bases[self.base];
        let criteria = &self.study.criteria;
        let figures = |observed: &Observed, moment| {
            let window = observed.window(moment)?;
            verdict::figures(scene, rhythm, window)
        };
        let windows =
            [Moment::Before, Moment::During, Moment::After].map(|moment| figures(member, moment));
        let reference = |moment| match control {
            Some(control) => figures(control, moment),
            None => figures(member, Moment::Before),
        };
        let [_, now, later] = &windows;
        let (reference_during, reference_after) =
            (reference(Moment::During), reference(Moment::After));
        let word = |reference, now| Some(verdict::word(reference?, now?, criteria));
        let during = word(reference_during.as_ref(), now.as_ref());
        let after = word(reference_after.as_ref(), later.as_ref());
        let change = |reference, now| Some(changes(reference?, now?));
        let change_during = change(reference_during.as_ref(), now.as_ref());
        let change_after = change(reference_after.as_ref(), later.as_ref());
        let bursts = verdict::rhythm_bursts(scene, rhythm, member, self.record_from_ms(member));
        let settled = |from_ms, to_ms| {
            let whole = member.error.is_none();
            let settling = || verdict::settling(&bursts, from_ms, to_ms, criteria.period_within);
            whole.then(settling).flatten()
        };
        let recovered = after == Some(Word::Kept);
        RhythmJudgement {
            verdict: verdict::overall(during, after),
            during,
            after,
            settling_ms: settled(member.fork_ms, member.undo_ms),
            recovery_ms: recovered
                .then(|| settled(member.undo_ms, member.end_ms))
                .flatten(),
            windows,
            change_during,
            change_after,
        }
    }

    fn response(&self, control: Option<&Observed>, member: &Observed) -> Option<Shifts> {
        let asked = self.study.response.as_ref()?;
        let scene = &self.study.bases[self.base];
        let reference = |observed: &Observed| {
            let from_ms = self.record_from_ms(observed);
            let bursts = verdict::rhythm_bursts(scene, asked.rhythm, observed, from_ms);
            bursts.into_iter().next().unwrap_or_default()
        };
        let (control, fork_ms) = (reference(control?), member.fork_ms);
        let cycle = response::first_cycle(&control, fork_ms);
        let shifts = cycle
            .and_then(|cycle| response::shifts(&control, &reference(member), cycle, asked.cycles));
        Some(shifts.unwrap_or_else(|error| {
            let cell = &scene.cells[scene.rhythms[asked.rhythm].reference].name;
            Shifts::without(format!("`{cell}` {error}"))
        }))
    }

    /// Start of the trains (ms).
    fn record_from_ms(&self, observed: &Observed) -> f64 {
        observed.fork_ms - self.study.before_ms
    }
}

/// Judges one member of a base, by its index, against its control; a control against itself before
/// the fork. Who judges many keeps a [`Judge`].
///
/// # Panics
/// If there is no such base.
pub fn judge(
    study: &Study,
    base: usize,
    control: Option<&Observed>,
    member: &Observed,
) -> Judgement {
    Judge::of(study, base).judge(control, member)
}

#[cfg(test)]
pub(super) mod tests {
    use crate::{
        rhythm::{CellTrain, Measures, Recording, RhythmSpec, WindowSpec, analyse},
        study::file,
    };

    use super::*;

    /// A study of the half-centre, whose bursts the tests make up: fork at 5 s, windows of 4 s.
    pub fn study(more: &str) -> Study {
        blocked("0.5", more)
    }

    /// The same with a blockade of its own.
    pub fn blocked(by: &str, more: &str) -> Study {
        let text = format!(
            "Study(format: 1, about: \"a\", source: \"s\", base: \"half_centre\", settle_ms: 5000, \
             before_ms: 5000, protocol: [(at_ms: 0, block: \"*.H\", by: {by})], \
             during: (skip_ms: 1000, for_ms: 9000), \
             undo: [(at_ms: 0, block: \"*.H\", by: 0)], after: (skip_ms: 1000, for_ms: 9000), {more})"
        );
        file::read_text(&text, "a.ron", None).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// Groups of 6 spikes, 10 ms apart, each `period` from one time to another, `phase` behind.
    fn bursts(from: f64, to: f64, period: f64, phase: f64) -> Vec<f64> {
        let n = ((to - from) / period) as usize;
        let onset = |k: usize| from + (k as f64 + phase) * period;
        (0..n)
            .flat_map(|k| (0..6).map(move |j| onset(k) + 10.0 * f64::from(j)))
            .collect()
    }

    /// A pair with a period and a phase in each of the three parts; none where the period is 0.
    pub fn pair(study: &Study, parts: [(f64, f64); 3]) -> Observed {
        let scene = &study.bases[0];
        let ends = [0.0, 5_000.0, 15_000.0, 25_000.0];
        let train = |follows: f64| -> Vec<f64> {
            let parts = parts.iter().enumerate().filter(|(_, part)| part.0 > 0.0);
            parts
                .flat_map(|(k, (period, phase))| {
                    bursts(ends[k], ends[k + 1], *period, follows * phase)
                })
                .collect()
        };
        let mut trains = vec![Vec::new(); scene.cells.len()];
        let rhythm = &scene.rhythms[0];
        for (follows, cell) in verdict::cells(rhythm).enumerate() {
            trains[cell] = train(follows as f64);
        }
        let windows = [
            ("before", 0.0, 5_000.0),
            ("during", 6_000.0, 15_000.0),
            ("after", 16_000.0, 25_000.0),
        ];
        let names = scene.cells.iter().map(|cell| &*cell.name);
        let recording = Recording {
            cells: names
                .zip(&trains)
                .map(|(name, spikes)| CellTrain { name, spikes })
                .collect(),
            windows: windows
                .map(|(label, from_ms, to_ms)| WindowSpec {
                    label,
                    from_ms,
                    to_ms,
                    measures: Measures::Gap,
                    ca_mean_um: &[],
                })
                .to_vec(),
            rhythms: vec![RhythmSpec {
                name: &rhythm.name,
                cells: &rhythm.cells,
                reference: rhythm.reference,
                min_spikes: rhythm.min_spikes,
                order: rhythm.order.as_deref(),
                thresholds: study.criteria.thresholds(),
            }],
            gap_ms: scene.gap_ms,
            record_from_ms: 0.0,
            record_to_ms: 25_000.0,
        };
        let mut reports = analyse(&recording).into_iter();
        Observed {
            fork_ms: 5_000.0,
            undo_ms: 15_000.0,
            end_ms: 25_000.0,
            windows: [(); 3].map(|()| reports.next()),
            scalars: [const { Vec::new() }; 3],
            trains,
            error: None,
        }
    }

    const STEADY: [(f64, f64); 3] = [(400.0, 0.5); 3];

    #[test]
    fn a_member_against_its_control() {
        let study = study("");
        let control = pair(&study, STEADY);
        let verdict = |parts| {
            let judgement = judge(&study, 0, Some(&control), &pair(&study, parts));
            judgement.rhythms[0].clone()
        };
        let kept = verdict(STEADY);
        assert_eq!(
            (kept.verdict, kept.after),
            (Some(Word::Kept), Some(Word::Kept))
        );
        assert_eq!(kept.settling_ms, Some(0.0));
        assert_eq!(kept.recovery_ms, Some(0.0));
        let recovered = verdict([(400.0, 0.5), (500.0, 0.5), (400.0, 0.5)]);
        assert_eq!(recovered.during, Some(Word::Changed));
        assert_eq!(recovered.verdict, Some(Word::Recovered));
        let change = recovered.change_during.unwrap();
        assert!((change.period_percent.unwrap() - 25.0).abs() < 1e-9);
        assert!(change.phases[0].unwrap().abs() < 1e-9);
        // A burst of 50 ms in 400 and in 500 ms.
        assert!((change.duties[0].unwrap() - (0.1 - 0.125)).abs() < 1e-9);
        let lost = verdict([(400.0, 0.5), (0.0, 0.0), (0.0, 0.0)]);
        assert_eq!(
            (lost.verdict, lost.after),
            (Some(Word::Lost), Some(Word::Lost))
        );
        assert_eq!((lost.settling_ms, lost.recovery_ms), (None, None));
        let moved = verdict([(400.0, 0.5), (400.0, 0.7), (400.0, 0.7)]);
        assert_eq!(moved.verdict, Some(Word::Changed));
        assert!((moved.change_during.unwrap().phases[0].unwrap() - 0.2).abs() < 1e-9);
        assert_eq!(moved.recovery_ms, None);
    }

    #[test]
    fn a_control_is_held_against_itself_before() {
        let study = study("");
        let word = |parts| judge(&study, 0, None, &pair(&study, parts)).rhythms[0].verdict;
        assert_eq!(word(STEADY), Some(Word::Kept));
        assert_eq!(
            word([(400.0, 0.5), (500.0, 0.5), (500.0, 0.5)]),
            Some(Word::Changed)
        );
        assert_eq!(
            word([(0.0, 0.0), (500.0, 0.5), (500.0, 0.5)]),
            Some(Word::Gained)
        );
    }

    #[test]
    fn measures_and_outcomes() {
        let study = study(
            "measures: [\"cells.A.bursts\", \"rhythms.all.B.phase\"], outcomes: [\
             (name: \"slower\", measure: \"cells.A.bursts\", at: \"during\", below: 0.95, of: \"before\"),\
             (name: \"slower\", measure: \"cells.A.bursts\", at: \"during\", above: 5),\
             (name: \"period\", measure: \"rhythms.all.period_ms\", at: \"during\", above: 1)]",
        );
        assert_eq!(study.outcome_names(), ["slower", "period"]);
        let outcomes = |parts| judge(&study, 0, None, &pair(&study, parts)).outcomes;
        let slower = [(400.0, 0.5), (500.0, 0.5), (500.0, 0.5)];
        assert_eq!(outcomes(slower), [Some(true), Some(true)]);
        // The window after the fork is nearly twice as long: its bursts are taken per second.
        assert_eq!(outcomes(STEADY), [Some(false), Some(true)]);
        let silent = [(400.0, 0.5), (0.0, 0.0), (400.0, 0.5)];
        assert_eq!(outcomes(silent), [Some(false), None]);
        let told = judge(&study, 0, None, &pair(&study, slower)).measures;
        assert_eq!(told[1][0], Some(18.0));
        assert!((told[1][1].unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let study = study("");
        let parts = [(400.0, 0.5), (500.0, 0.3), (0.0, 0.0)];
        let judgement = judge(&study, 0, None, &pair(&study, parts));
        let json = serde_json::to_string(&judgement).unwrap();
        let back: Judgement = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }

    #[test]
    fn what_broke_off_is_judged_as_far_as_it_went() {
        let study = study("");
        let mut broken = pair(&study, STEADY);
        broken.windows[1] = None;
        broken.windows[2] = None;
        broken.error = Some("V of `A` is no number at 7000 ms".into());
        let judgement = judge(&study, 0, Some(&pair(&study, STEADY)), &broken);
        assert_eq!(judgement.rhythms[0].verdict, None);
        assert_eq!(judgement.rhythms[0].settling_ms, None);
        assert!(!judgement.survives());
    }
}
