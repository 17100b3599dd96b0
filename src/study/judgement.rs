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
