//! Where along a range is a rhythm lost? A bisection that is told the answer of one member at a time.
//!
//! The ends come first, then the middle of the bracket, until it is narrow enough. The bracket always
//! has one end at which the rhythm is there and one at which it is not, so a result is true whatever
//! happens elsewhere: where a rhythm comes and goes along the range, *one* of the values at which it
//! is lost is found, and a rhythm that is there at both ends is told as never lost though it may be
//! missing between them. A grid over the range says more about such cases.

use serde::{Deserialize, Serialize};

/// Whether a range has a critical value; in the order along the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The rhythm is not there at the first end already.
    LostAtOnce,
    /// It is there at the first end and not at the last.
    Lost,
    /// It is there at both ends.
    NeverLost,
}

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Fate::LostAtOnce => "lost_at_once",
            Fate::NeverLost => "never_lost",
            Fate::Lost => "lost",
        })
    }
}

/// The critical value of a member, in the unit of the axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Critical {
    /// Whether there is one.
    pub fate: Fate,
    /// The middle of the bracket, if there is one.
    pub value: Option<f64>,
    /// The last value at which the rhythm was there, and the first at which it was not.
    pub bracket: Option<[f64; 2]>,
    /// How many runs it took.
    pub evaluations: usize,
}

/// A bisection under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bisection {
    /// Where the rhythm is there, then where it is not, as far as it is known.
    bracket: [f64; 2],
    tolerance: f64,
    evaluations: usize,
    fate: Option<Fate>,
}

impl Bisection {
    /// From one end to the other, to a bracket no wider than `tolerance`.
    pub fn new(from: f64, to: f64, tolerance: f64) -> Self {
        Bisection {
            bracket: [from, to],
            tolerance,
            evaluations: 0,
            fate: None,
        }
    }

    /// The value to be tried next; `None` once the result is there.
    pub fn next(&self) -> Option<f64> {
        let [there, lost] = self.bracket;
        match (self.fate, self.evaluations) {
            (Some(_), _) => None,
            (None, 0) => Some(there),
            (None, 1) => Some(lost),
            (None, _) => Some(middle(self.bracket)),
        }
    }

    /// Tells whether the rhythm was there at the value that [`Self::next`] gave.
    pub fn tell(&mut self, there: bool) {
        let Some(value) = self.next() else {
            return;
        };
        self.evaluations += 1;
        match (self.evaluations, there) {
            (1, false) => self.fate = Some(Fate::LostAtOnce),
            (2, true) => self.fate = Some(Fate::NeverLost),
            (1, true) => {}
            (_, there) => {
                self.bracket[usize::from(!there)] = value;
                if self.is_narrow() {
                    self.fate = Some(Fate::Lost);
                }
            }
        }
    }

    /// Narrow enough, or as narrow as numbers can be.
    fn is_narrow(&self) -> bool {
        let [there, lost] = self.bracket;
        let middle = middle(self.bracket);
        (lost - there).abs() <= self.tolerance || middle == there || middle == lost
    }

    /// The result, once it is there.
    pub fn result(&self) -> Option<Critical> {
        let fate = self.fate?;
        let bracket = (fate == Fate::Lost).then_some(self.bracket);
        Some(Critical {
            fate,
            value: bracket.map(middle),
            bracket,
            evaluations: self.evaluations,
        })
    }
}

fn middle([there, lost]: [f64; 2]) -> f64 {
    0.5 * there + 0.5 * lost
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(mut bisection: Bisection, there: impl Fn(f64) -> bool) -> Critical {
        while let Some(value) = bisection.next() {
            bisection.tell(there(value));
        }
        bisection.result().unwrap()
    }

    #[test]
    fn the_ends_come_first() {
        let mut bisection = Bisection::new(0.0, 1.0, 0.25);
        let mut tried = Vec::new();
        while let Some(value) = bisection.next() {
            assert_eq!(bisection.result(), None);
            tried.push(value);
            bisection.tell(value < 0.3);
        }
        assert_eq!(tried, [0.0, 1.0, 0.5, 0.25]);
        let critical = bisection.result().unwrap();
        assert_eq!(critical.bracket, Some([0.25, 0.5]));
        assert_eq!((critical.value, critical.evaluations), (Some(0.375), 4));
        bisection.tell(true);
        assert_eq!(bisection.result(), Some(critical));
    }

    #[test]
    fn a_range_without_a_critical_value() {
        let nowhere = run(Bisection::new(0.0, 1.0, 0.01), |_| false);
        assert_eq!((nowhere.fate, nowhere.evaluations), (Fate::LostAtOnce, 1));
        assert_eq!((nowhere.value, nowhere.bracket), (None, None));
        let everywhere = run(Bisection::new(0.0, 1.0, 0.01), |_| true);
        assert_eq!(
            (everywhere.fate, everywhere.evaluations),
            (Fate::NeverLost, 2)
        );
        // Missing between the ends only.
        let gap = run(Bisection::new(0.0, 1.0, 0.01), |x| !(0.4..0.6).contains(&x));
        assert_eq!(gap.fate, Fate::NeverLost);
    }

    #[test]
    fn a_tolerance_of_nothing_ends_where_numbers_do() {
        let critical = run(Bisection::new(0.0, 1.0, 0.0), |x| x < 0.3);
        assert!(critical.evaluations < 80);
        assert!((critical.value.unwrap() - 0.3).abs() < 1e-15);
    }

    proptest! {
        /// Of any threshold, on a range in either direction, in as many runs as halving takes.
        #[test]
        fn the_threshold_is_in_the_bracket(
            from in -10.0..10.0_f64, span in 0.1..20.0_f64, share in 0.0..1.0_f64,
            up: bool, tolerance in 1e-6..1.0_f64,
        ) {
            let to = if up { from + span } else { from - span };
            let threshold = from + share * (to - from);
            let there = |x: f64| if up { x <= threshold } else { x >= threshold };
            let critical = run(Bisection::new(from, to, tolerance), there);
            prop_assume!(critical.fate == Fate::Lost);
            let [kept, lost] = critical.bracket.unwrap();
            prop_assert!(there(kept) && !there(lost));
            prop_assert!((lost - kept).abs() <= tolerance);
            let value = critical.value.unwrap();
            prop_assert!((value - threshold).abs() <= 0.5 * tolerance + 1e-12);
            let halvings = (span / tolerance).log2().ceil().max(0.0) as usize;
            prop_assert!(critical.evaluations <= 2 + halvings + 1);
        }

        /// However often a rhythm comes and goes, the bracket holds a place at which it is lost.
        #[test]
        fn the_bracket_is_true_where_a_rhythm_comes_and_goes(edges in prop::collection::vec(0.0..1.0_f64, 1..20)) {
            let there = |x: f64| edges.iter().filter(|edge| **edge < x).count() % 2 == 0;
            let critical = run(Bisection::new(0.0, 1.0, 1e-3), there);
            match critical.fate {
                Fate::LostAtOnce => prop_assert!(!there(0.0)),
                Fate::NeverLost => prop_assert!(there(0.0) && there(1.0)),
                Fate::Lost => {
                    let [kept, lost] = critical.bracket.unwrap();
                    prop_assert!(there(kept) && !there(lost) && lost - kept <= 1e-3);
                }
            }
        }
    }
}
