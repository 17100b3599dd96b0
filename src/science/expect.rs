//! Expectations held against a run: what was found of each quantity, and whether it is as wanted.

use homarus_systems::{address::Names, observe::Sampler};
use serde::Serialize;
use serde_json::Value;

use crate::{
    record::summary::Summary,
    rhythm::WindowReport,
    scene::{
        Diagnostics, Scene,
        expect::{Quantity, owners, resolve, wanted_of},
        model::{Expectation, Take, Wanted},
        paths,
    },
};

/// What came of an expectation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The quantity, and how its values are taken.
    pub quantity: String,
    /// What is wanted of it.
    pub wanted: String,
    /// What was found, of each cell.
    pub found: Vec<Found>,
    /// Whether it is as wanted.
    pub met: bool,
    /// Where the wanted value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What a person should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The cell it belongs to, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// The value; null where it is not defined.
    pub value: Value,
    /// Whether it is as wanted.
    pub met: bool,
}

/// The expectations of a scene, ready for a run.
pub struct Expectations<'s> {
    scene: &'s Scene,
    quantities: Vec<Quantity>,
}

impl<'s> Expectations<'s> {
    /// Resolves them.
    ///
    /// # Errors
    /// Every quantity that does not exist.
    pub fn of(scene: &'s Scene) -> Result<Self, Diagnostics> {
        let names: Names = paths::names(scene);
        let (mut quantities, mut errors) = (Vec::new(), Diagnostics::default());
        for expectation in &scene.expect {
            match resolve(scene, &names, expectation) {
                Ok(quantity) => quantities.push(quantity),
                Err(error) => errors.push(error),
            }
        }
        match errors.is_empty() {
            true => Ok(Expectations { scene, quantities }),
            false => Err(errors),
        }
    }

    /// A sampler for each quantity that is a scalar, in order.
    pub fn samplers(&self) -> Vec<Sampler> {
        let quantities = self.quantities.iter();
        quantities
            .filter_map(|quantity| match quantity {
                Quantity::Scalars { addresses, at_ms } => {
                    // The first row is that of the start, the second one interval later.
                    let every = match *at_ms > 0.0 {
                        true => *at_ms,
                        false => self.scene.duration_ms,
                    };
                    Some(Sampler::new(addresses.clone(), every))
                }
                _ => None,
            })
            .collect()
    }

    /// Holds a run against them; `samplers` are those of [`Self::samplers`] with their rows.
    pub fn judge(&self, summary: &Summary, samplers: &[Sampler]) -> Vec<Finding> {
        let mut samplers = samplers.iter();
        let quantities = self.quantities.iter();
        quantities
            .zip(&self.scene.expect)
            .map(|(quantity, expectation)| {
                let values = match quantity {
                    Quantity::Scalars { addresses, at_ms } => {
                        let row = samplers
                            .next()
                            .and_then(|sampler| sampler.rows.get(usize::from(*at_ms > 0.0)));
                        let value = |k: usize| row.map_or(Value::Null, |(_, row)| row[k].into());
                        (0..addresses.len()).map(value).collect()
                    }
                    measured => self.measured(summary, measured),
                };
                self.finding(expectation, quantity, values)
            })
            .collect()
    }

    /// Values of a measure; null where it is not defined.
    fn measured(&self, summary: &Summary, quantity: &Quantity) -> Vec<Value> {
        let window = |k: &usize| -> Option<&WindowReport> {
            let label = &self.scene.windows[*k].label;
            summary.windows.iter().find(|window| window.label == *label)
        };
        match quantity {
            Quantity::Run(measure) => vec![field(summary, measure)],
            Quantity::Cells { window: k, .. }
            | Quantity::Rhythm { window: k, .. }
            | Quantity::Phases { window: k, .. } => in_window(self.scene, window(k), quantity),
            Quantity::Population {
                window: k,
                name,
                moment,
                measure,
            } => {
                let label = &self.scene.windows[*k].label;
                let mut populations = summary.populations.iter();
                let found = populations.find(|p| p.window == *label && p.name == *name);
                let value = found.map_or(Value::Null, |population| match moment {
                    Some(moment) => field(population, moment)[measure.as_str()].clone(),
                    None => field(population, measure),
                });
                vec![value]
            }
            // Read from samplers.
            Quantity::Scalars { addresses, .. } => vec![Value::Null; addresses.len()],
        }
    }

    fn finding(
        &self,
        expectation: &Expectation,
        quantity: &Quantity,
        values: Vec<Value>,
    ) -> Finding {
        let found: Vec<Found> = match taken(&expectation.take, &values) {
            Some(value) => vec![self.found(expectation, None, value)],
            None => {
                let owners = owners(quantity).into_iter();
                owners
                    .zip(values)
                    .map(|(owner, value)| self.found(expectation, owner, value))
                    .collect()
            }
        };
        let met = found.iter().filter(|found| found.met).count() as f64;
        Finding {
            quantity: expectation.about(),
            wanted: expectation.wanted.to_string(),
            // A share of 0.9 of 10 cells is 9 of them, whatever 0.9·10 is.
            met: met >= expectation.fraction * found.len() as f64 - 1e-9,
            found,
            source: expectation.source.clone(),
            note: expectation.note.clone(),
        }
    }

    fn found(&self, expectation: &Expectation, cell: Option<usize>, value: Value) -> Found {
        let met = match (&expectation.wanted, value.as_f64()) {
            (Wanted::Word(word), _) => value.as_str() == Some(word),
            (_, None) => value.is_null() && expectation.or_undefined,
            (Wanted::Value(wanted, near), Some(x)) => near.holds(x, *wanted),
            (Wanted::Range(least, most), Some(x)) => {
                least.is_none_or(|least| x >= least) && most.is_none_or(|most| x <= most)
            }
            (Wanted::Cells(values, near), Some(x)) => cell
                .and_then(|cell| wanted_of(self.scene, values, cell))
                .is_some_and(|wanted| near.holds(x, wanted)),
        };
        Found {
            cell: cell.map(|cell| self.scene.cells[cell].name.to_string()),
            value,
            met,
        }
    }
}

/// Values of a measure of cells or rhythms in a window, in the order of its cells; null where it is
/// not defined or there is no such window. Other quantities have no values here.
pub fn in_window(scene: &Scene, window: Option<&WindowReport>, quantity: &Quantity) -> Vec<Value> {
    let rhythm = |rhythm: &usize| window.and_then(|w| w.rhythms.get(*rhythm));
    match quantity {
        Quantity::Cells { cells, measure, .. } => {
            let report = |cell: &usize| window.and_then(|w| w.cells.get(*cell));
            let value = |cell| report(cell).map_or(Value::Null, |r| field(r, measure));
            cells.iter().map(value).collect()
        }
        Quantity::Rhythm {
            rhythm: r, measure, ..
        } => vec![rhythm(r).map_or(Value::Null, |report| field(report, measure))],
        Quantity::Phases {
            rhythm: r,
            cells,
            measure,
            ..
        } => {
            let value = |cell: &usize| {
                let name = &*scene.cells[*cell].name;
                let mut reports = rhythm(r).into_iter().flat_map(|report| &report.cells);
                let report = reports.find(|report| report.name == name);
                report.map_or(Value::Null, |report| field(report, measure))
            };
            cells.iter().map(value).collect()
        }
        _ => Vec::new(),
    }
}

/// A field of a report as it stands in the JSON.
fn field(report: &impl Serialize, name: &str) -> Value {
    // Every number of a report is finite or null, and its keys are text.
    let report = serde_json::to_value(report).unwrap_or_default();
    report[name].clone()
}

/// What the values become; `None`: they are judged one by one.
fn taken(take: &Take, values: &[Value]) -> Option<Value> {
    if let Take::Fraction(word) = take {
        let those = values.iter().filter(|value| value.as_str() == Some(word));
        return Some((those.count() as f64 / values.len() as f64).into());
    }
    // What is not defined is left out, as in the populations of the JSON.
    let mut numbers: Vec<f64> = values.iter().filter_map(Value::as_f64).collect();
    numbers.sort_by(f64::total_cmp);
    let n = numbers.len();
    let number = match take {
        Take::Each | Take::Fraction(_) => return None,
        _ if n == 0 => return Some(Value::Null),
        Take::Mean => numbers.iter().sum::<f64>() / n as f64,
        Take::Min => numbers[0],
        Take::Max => numbers[n - 1],
        Take::Quantile(q) => {
            let place = q * (n - 1) as f64;
            let below = place.floor() as usize;
            let above = numbers[(below + 1).min(n - 1)];
            numbers[below] + (place - below as f64) * (above - numbers[below])
        }
    };
    Some(number.into())
}
