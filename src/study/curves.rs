//! The phase response curves of a study, made run by run while members pass in their order, so that
//! no more than the members of one run are kept.
//!
//! A curve has the members of a run that differ in the phase of the pulse alone. Where the study names
//! the axis that is the size of the pulse, each curve is held against that of the smallest other size:
//! pulses are as good as infinitesimal where responses are in proportion.

use std::collections::HashMap;

use super::{
    design::{Coordinates, Plan},
    judgement::Judgement,
    model::{Response, Study, Value},
    response::{Curve, nonlinearity},
};

/// Gathers the members of a run.
pub struct Curves<'s> {
    study: &'s Study,
    response: &'s Response,
    /// Curves of the run at hand, in the order of their first members.
    gathered: Vec<Gathered>,
    /// Their places, by the values of the other axes.
    places: HashMap<String, usize>,
}

/// The members of a curve.
struct Gathered {
    member: Coordinates,
    /// Size of the pulse, if an axis says so.
    size: Option<f64>,
    /// Values of the axes that are neither the phase nor the size.
    others: String,
    /// Phase, and the shifts of all cycles.
    points: Vec<(f64, Vec<f64>)>,
    failed: u64,
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its first member.
    pub member: Coordinates,
    /// Members with a response.
    pub points: u64,
    /// Members without.
    pub failed: u64,
    /// Least and greatest shift of each cycle.
    pub ranges: Vec<Option<[f64; 2]>>,
    /// The shifts of the cycle of the pulse; `None` with fewer than two phases.
    pub curve: Option<Curve>,
    /// The size it was held against, and how far the two are from proportion ([`nonlinearity`]).
    pub compared: Option<(f64, f64)>,
}

impl<'s> Curves<'s> {
    /// For a study that asks for a response.
    pub fn of(study: &'s Study) -> Option<Self> {
        Some(Curves {
            study,
            response: study.response.as_ref()?,
            gathered: Vec::new(),
            places: HashMap::new(),
        })
    }

    /// Adds a member; gives the curves that are whole because it belongs to another run than the last.
    pub fn add(&mut self, plan: &Plan, member: Coordinates, judgement: &Judgement) -> Vec<Told> {
        let together =
            |known: &Coordinates| (known.run(), known.branch) == (member.run(), member.branch);
        let whole = match self.gathered.first() {
            Some(first) if !together(&first.member) => self.finish(),
            _ => Vec::new(),
        };
        let values = plan.values(member.setting, member.point);
        let number = |axis: usize| match values.get(axis) {
            Some(Some(Value::Number(number))) => Some(*number),
            _ => None,
        };
        let size = self.response.size.and_then(number);
        let own = [Some(self.response.phase), self.response.size];
        let own: Vec<usize> = own.into_iter().flatten().collect();
        let others = others(self.study, &values, &own);
        let key = format!("{others}\n{size:?}");
        let next = self.gathered.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.gathered.push(Gathered {
                member,
                size,
                others,
                points: Vec::new(),
                failed: 0,
            });
        }
        let gathered = &mut self.gathered[place];
        let shifts = judgement.response.as_ref().map(|told| &told.shifts);
        let shifts = shifts.filter(|shifts| !shifts.is_empty());
        match number(self.response.phase).zip(shifts) {
            Some((phase, shifts)) => gathered.points.push((phase, shifts.clone())),
            None => gathered.failed += 1,
        }
        whole
    }

    /// The curves that are left.
    pub fn finish(&mut self) -> Vec<Told> {
        self.places.clear();
        let gathered = std::mem::take(&mut self.gathered);
        let curves: Vec<Option<Curve>> = gathered.iter().map(Gathered::curve).collect();
        let told = gathered.iter().zip(&curves).map(|(of, curve)| Told {
            member: of.member,
            points: of.points.len() as u64,
            failed: of.failed,
            ranges: (0..self.response.cycles).map(|k| of.range(k)).collect(),
            curve: curve.clone(),
            compared: compared(of, curve.as_ref(), &gathered, &curves),
        });
        told.collect()
    }
}

/// The values of all axes but some, in words.
pub(super) fn others(study: &Study, values: &[Option<Value>], own: &[usize]) -> String {
    let others = study.axes.iter().zip(values).enumerate();
    let others = others.filter(|(axis, _)| !own.contains(axis));
    let words = others.map(|(_, (axis, value))| {
        let value = value.as_ref().map(Value::to_string).unwrap_or_default();
        format!("{}={value}", axis.name)
    });
    words.collect::<Vec<String>>().join("\n")
}

impl Gathered {
    /// The shifts of the cycle of the pulse.
    fn curve(&self) -> Option<Curve> {
        let first = |(phase, shifts): &(f64, Vec<f64>)| Some((*phase, *shifts.first()?));
        Curve::through(self.points.iter().filter_map(first))
    }

    /// Least and greatest shift of a cycle.
    fn range(&self, cycle: usize) -> Option<[f64; 2]> {
        let shifts = self.points.iter().filter_map(|(_, all)| all.get(cycle));
        shifts.fold(None, |range, shift| {
            let [least, most] = range.unwrap_or([*shift; 2]);
            Some([least.min(*shift), most.max(*shift)])
        })
    }
}

/// A curve against that of the smallest other pulse of the run, of the same direction if there are two.
fn compared(
    of: &Gathered,
    curve: Option<&Curve>,
    all: &[Gathered],
    curves: &[Option<Curve>],
) -> Option<(f64, f64)> {
    let (curve, size) = (curve?, of.size.filter(|size| *size != 0.0)?);
    let known = all.iter().zip(curves).filter_map(|(other, curve)| {
        let other_size = other.size.filter(|own| *own != 0.0 && *own != size)?;
        let curve = curve.as_ref().filter(|_| other.others == of.others)?;
        Some((other_size, curve))
    });
    let (other_size, other) = known.min_by(|(a, _), (b, _)| {
        let opposite = |other: f64| other.signum() != size.signum();
        let by_size = a.abs().total_cmp(&b.abs());
        by_size.then(opposite(*a).cmp(&opposite(*b)))
    })?;
    Some((other_size, nonlinearity((curve, size), (other, other_size))))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use crate::study::{file, response::Shifts};

    use super::*;

    fn study() -> Study {
        let text = "Study(format: 1, about: \"a\", source: \"s\", base: \"half_centre\", \
             networks: (count: 2, vary: [Relative(path: \"*.*.gbar\", by: 0.1)]), settle_ms: 0, \
             axes: { \"size\": [-1, 1, 2], \"phase\": Linear(from: 0, to: 0.95, count: 20) }, \
             protocol: [(at_phase: Axis(\"phase\"), current: \"A\", amplitude: Axis(\"size\"), for_ms: 5)], \
             during: (for_ms: 3000), \
             response: (rhythm: \"all\", phase: \"phase\", size: \"size\", cycles: 2))";
        file::read_text(text, "a.ron", None).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The curves of responses that a function of size and phase gives.
    fn curves(shift: impl Fn(f64, f64) -> Option<f64>) -> Vec<Told> {
        let study = study();
        let plan = Plan::new(&study).unwrap();
        let mut curves = Curves::of(&study).unwrap();
        let mut told = Vec::new();
        for number in 0..plan.counts().members() {
            let member = plan.member(number);
            let values = plan.values(member.setting, member.point);
            let (Some(Value::Number(size)), Some(Value::Number(phase))) = (&values[0], &values[1])
            else {
                unreachable!("both axes are numbers")
            };
            let shifts = match shift(*size, *phase) {
                Some(shift) => Shifts {
                    shifts: vec![shift, 0.0],
                    ..Shifts::default()
                },
                None => Shifts::without("`A` bursts 0 times".to_owned()),
            };
            let judgement = Judgement {
                response: Some(shifts),
                ..Judgement::default()
            };
            told.extend(curves.add(&plan, member, &judgement));
        }
        told.extend(curves.finish());
        told
    }

    #[test]
    fn a_curve_has_the_phases_of_a_run_and_a_size() {
        let told = curves(|size, phase| Some(0.01 * size * (TAU * phase).sin()));
        let own: Vec<(u64, u64, u64)> = told
            .iter()
            .map(|curve| (curve.member.network, curve.member.point, curve.points))
            .collect();
        assert_eq!(
            own,
            [0, 1]
                .map(|n| [0, 20, 40].map(|point| (n, point, 20)))
                .concat()
        );
        let [least, most] = told[2].ranges[0].unwrap();
        assert!((least + 0.02).abs() < 1e-9 && (most - 0.02).abs() < 1e-9);
        assert_eq!(told[2].ranges[1], Some([0.0; 2]));
        let zeros = told[2].curve.as_ref().unwrap().fixed_points();
        let stable: Vec<f64> = zeros.iter().filter(|z| z.stable).map(|z| z.phase).collect();
        assert!(
            stable.len() == 1 && (stable[0] - 0.5).abs() < 1e-9,
            "{zeros:?}"
        );
    }

    #[test]
    fn curves_in_proportion_have_no_nonlinearity() {
        let sizes = |told: &[Told]| -> Vec<Option<f64>> {
            told.iter()
                .map(|curve| curve.compared.map(|c| c.0))
                .collect()
        };
        let linear = curves(|size, phase| Some(0.01 * size * (TAU * phase).sin()));
        assert_eq!(sizes(&linear[..3]), [Some(1.0), Some(-1.0), Some(1.0)]);
        assert!(linear.iter().all(|curve| curve.compared.unwrap().1 < 1e-12));
        // Of a pulse of 2 in proportion to 1 but for a quarter.
        let bent = curves(|size, _| Some(if size == 2.0 { 0.015 } else { 0.01 * size }));
        assert!((bent[2].compared.unwrap().1 - 0.25).abs() < 1e-12);
    }

    #[test]
    fn members_without_a_response_are_counted() {
        let told = curves(|size, phase| (size < 2.0 && phase < 0.48).then_some(0.01));
        assert_eq!((told[0].points, told[0].failed), (10, 10));
        assert_eq!((told[2].points, told[2].failed), (0, 20));
        assert_eq!((&told[2].curve, told[2].compared), (&None, None));
    }
}
