//! Rules whose truth is told of each member, and the measures they are about.
//!
//! A measure is named as in `expect`, without its window: `cells.LP.spikes`, `rhythms.slow.period_ms`,
//! `rhythms.all.LP.phase`; or it is a scalar, `LP.CaS.gbar`. A rule holds, does not hold, or
//! cannot be judged: as `None` where a measure is not defined, such as the period of a silent cell.
//! What cannot be judged does not count as holding.

use homarus_systems::address::Names;

use crate::{
    scene::{
        expect::{self, Quantity},
        model::Scene,
    },
    science,
};

use super::{
    model::{Measure, Moment, Outcome},
    observed::Observed,
};

/// Counts, which grow with the window they are taken in.
const COUNTS: [&str; 2] = ["spikes", "bursts"];

/// How a measure is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// From the scalars of a window, by its index in [`super::model::Study::scalars`].
    Scalar(usize),
    /// From the report of a window.
    Report(Quantity),
}

impl Reading {
    /// How `measure` is read in a scene; `scalars` are those of the study. `None`: it is not a measure
    /// of this scene, which is refused with the file.
    pub fn of(scene: &Scene, names: &Names, scalars: &[&str], measure: &Measure) -> Option<Self> {
        let name = measure.name.as_str();
        if measure.is_scalar {
            let index = scalars.iter().position(|known| *known == name);
            return index.map(Reading::Scalar);
        }
        // The window is chosen when it is read, and where an error lies is told with the file.
        let written = (name, &scene.step_origin);
        let quantity = expect::of_window(scene, names, (0, name), written);
        quantity.ok().map(Reading::Report)
    }

    /// The value in a window, if it is defined; a count as it is.
    pub fn value(&self, observed: &Observed, moment: Moment, scene: &Scene) -> Option<f64> {
        match self {
            Reading::Scalar(index) => {
                let scalars = &observed.scalars[moment as usize];
                scalars.get(*index).copied().flatten()
            }
            Reading::Report(quantity) => {
                let window = observed.window(moment);
                let values = science::expect::in_window(scene, window, quantity);
                values.first()?.as_f64()
            }
        }
    }

    /// The value in a window, a count per second.
    fn rate(&self, observed: &Observed, moment: Moment, scene: &Scene) -> Option<f64> {
        let value = self.value(observed, moment, scene)?;
        match self {
            Reading::Report(Quantity::Cells { measure, .. }) if COUNTS.contains(measure) => {
                let window = observed.window(moment)?;
                Some(1000.0 * value / (window.to_ms - window.from_ms))
            }
            _ => Some(value),
        }
    }
}

impl Outcome {
    /// Whether the rule holds; `None`: a measure is not defined. A number is held against the measure
    /// as it is told, a count as a count; two windows are held against each other in counts per second.
    pub fn holds(&self, reading: &Reading, observed: &Observed, scene: &Scene) -> Option<bool> {
        let (value, bound) = match self.of {
            None => (reading.value(observed, self.at, scene)?, self.bound),
            Some(other) => (
                reading.rate(observed, self.at, scene)?,
                self.bound * reading.rate(observed, other, scene)?,
            ),
        };
        Some(if self.below {
            value < bound
        } else {
            value > bound
        })
    }
}

/// Whether all rules of one name hold: not if one does not, and else it cannot be said if one of them
/// cannot be judged (Kleene).
pub fn held(rules: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for rule in rules {
        match rule {
            Some(true) => {}
            Some(false) => return rule,
            None => all = None,
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::held;

    #[test]
    fn one_rule_that_fails_decides_and_one_that_cannot_be_judged_leaves_it_open() {
        let cases = [
            (vec![], Some(true)),
            (vec![Some(true), Some(true)], Some(true)),
            (vec![None, Some(true)], None),
            (vec![None, Some(false)], Some(false)),
            (vec![Some(false), None], Some(false)),
        ];
        for (rules, wanted) in cases {
            assert_eq!(held(rules.iter().copied()), wanted, "{rules:?}");
        }
    }
}
