//! The return maps of a study, made run by run while members pass in their order, so that no more than
//! the members of one run are kept.
//!
//! A map has the members of a run that differ in their starting lags alone. Two cells have one lag, and
//! the map of it fixed points; whatever their number, the lags that members end in are attractors.

use std::collections::HashMap;

use super::{
    curves::others,
    design::{Coordinates, Plan},
    model::{ReturnMap, Study},
    response::{Curve, FixedPoint},
    return_map::{self, Attractor, attractors, final_lags},
};

/// Cycles at the end of a run whose mean lags are those that it ends in.
const LAST: usize = 5;

/// The lags of each cycle of a member, `None` where a cell did not begin in it.
pub type Lags = Vec<Option<Vec<f64>>>;

/// Gathers the members of a run.
pub struct Maps<'s> {
    study: &'s Study,
    asked: &'s ReturnMap,
    /// Maps of the run at hand, in the order of their first members.
    gathered: Vec<(Coordinates, Vec<Lags>)>,
    /// Their places, by the values of the axes that are no starts.
    places: HashMap<String, usize>,
}

/// A map.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its first member.
    pub member: Coordinates,
    /// Members.
    pub runs: usize,
    /// Pairs of cycles that follow each other.
    pub points: usize,
    /// Of two cells: the lags that come again.
    pub fixed: Vec<FixedPoint>,
    /// Lags that members end in.
    pub attractors: Vec<Attractor>,
}

impl<'s> Maps<'s> {
    /// For a study that asks for a return map.
    pub fn of(study: &'s Study) -> Option<Self> {
        Some(Maps {
            study,
            asked: study.return_map.as_ref()?,
            gathered: Vec::new(),
            places: HashMap::new(),
        })
    }

    /// Adds a member; gives the maps that are whole because it belongs to another run than the last.
    pub fn add(&mut self, plan: &Plan, member: Coordinates, lags: Lags) -> Vec<Told> {
        let together =
            |known: &Coordinates| (known.run(), known.branch) == (member.run(), member.branch);
        let whole = match self.gathered.first() {
            Some((first, _)) if !together(first) => self.finish(),
            _ => Vec::new(),
        };
        let values = plan.values(member.setting, member.point);
        let next = self.gathered.len();
        let key = others(self.study, &values, &self.asked.starts);
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.gathered.push((member, Vec::new()));
        }
        self.gathered[place].1.push(lags);
        whole
    }

    /// The maps that are left.
    pub fn finish(&mut self) -> Vec<Told> {
        self.places.clear();
        let gathered = std::mem::take(&mut self.gathered).into_iter();
        gathered
            .map(|(member, runs)| self.told(member, &runs))
            .collect()
    }

    fn told(&self, member: Coordinates, runs: &[Lags]) -> Told {
        let points = || runs.iter().flat_map(|lags| return_map::points(lags));
        let one = points().filter_map(|(now, next)| match (now, next) {
            ([now], [next]) => Some((*now, *next)),
            _ => None,
        });
        let map = return_map::map(one, self.asked.bins);
        let criteria = &self.study.criteria;
        let end = |lags: &Lags| final_lags(lags, LAST, criteria.lock_above);
        let ends: Vec<Option<Vec<f64>>> = runs.iter().map(end).collect();
        Told {
            member,
            runs: runs.len(),
            points: points().count(),
            fixed: map.as_ref().map_or_else(Vec::new, Curve::fixed_points),
            attractors: attractors(&ends, criteria.phase_within),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::study::file;

    use super::*;

    #[test]
    fn runs_with_other_starts_make_a_map() {
        let text = "Study(format: 1, about: \"a\", source: \"s\", base: \"half_centre\", settle_ms: 0, \
             axes: { \"g\": [0.1, 0.2], \"hold\": Linear(from: 5, to: 95, count: 10) }, \
             protocol: [(at_ms: 0, current: \"B\", amplitude: -1, for_ms: Axis(\"hold\")), \
             (at_ms: 100, set: \"A->B.g\", to: Axis(\"g\"))], \
             during: (for_ms: 3000), return_map: (rhythm: \"all\", starts: [\"hold\"], bins: 20))";
        let study = file::read_text(text, "a.ron", None).unwrap_or_else(|e| panic!("{e}"));
        let plan = Plan::new(&study).unwrap();
        let mut maps = Maps::of(&study).unwrap();
        // The lag draws near to a half: it keeps 0.8 of the way in each cycle.
        let course = |start: f64| -> Lags {
            let lag = |k: i32| 0.5 + (start - 0.5) * 0.8_f64.powi(k);
            (0..60).map(|k| Some(vec![lag(k)])).collect()
        };
        for number in 0..plan.counts().members() {
            let member = plan.member(number);
            let start = (member.point % 10) as f64 / 10.0 + 0.05;
            let whole = maps.add(&plan, member, course(start));
            assert!(whole.is_empty());
        }
        let told = maps.finish();
        assert_eq!(
            told.iter().map(|map| map.member.point).collect::<Vec<_>>(),
            [0, 10]
        );
        for map in told {
            assert_eq!((map.runs, map.points), (10, 590));
            let stable: Vec<&FixedPoint> = map.fixed.iter().filter(|at| at.stable).collect();
            assert_eq!(stable.len(), 1, "{:?}", map.fixed);
            assert!((stable[0].phase - 0.5).abs() < 1e-9);
            assert!((stable[0].multiplier - 0.8).abs() < 1e-9);
            assert_eq!(map.attractors.len(), 1);
            assert_eq!(map.attractors[0].runs.len(), 10);
            assert!((map.attractors[0].lags[0] - 0.5).abs() < 1e-4);
        }
    }
}
