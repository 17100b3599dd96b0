//! The summary of a run: the one JSON object of `run --json`.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::rhythm::{CellReport, Pattern, RhythmReport, WindowReport};
use crate::scene::model::LISTED_CELLS;

/// Summary of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Version of the program.
    pub homarus: &'static str,
    /// Name of the scene.
    pub scene: String,
    /// Hash of the resolved scene without what is only observed.
    pub scene_hash: String,
    /// Whether the run came to its end.
    pub status: Status,
    /// Why the run failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Seed of every random stream.
    pub seed: u64,
    /// Integration step (ms).
    pub step_ms: f64,
    /// Integrator.
    pub integrator: &'static str,
    /// Code path that stepped the neurons.
    pub kernel: &'static str,
    /// Number of cells.
    pub neurons: usize,
    /// Number of edges.
    pub edges: usize,
    /// Model time at the end (ms).
    pub model_ms: f64,
    /// Wall time of the run (s).
    pub wall_s: f64,
    /// Windows in order of time.
    pub windows: Vec<WindowReport>,
    /// Populations, where there are more cells than a person reads.
    pub populations: Vec<Populations>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// At its end.
    Complete,
    /// Broken off by the user; what there is up to then is right.
    Stopped,
    /// A number went wrong; what there is up to then is right.
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

impl Summary {
    /// The summary without the cells of windows that are told as populations, and of rhythms with
    /// more cells than a person reads.
    #[must_use]
    pub fn brief(mut self) -> Self {
        for window in &mut self.windows {
            if window.cells.len() > LISTED_CELLS {
                window.cells.clear();
            }
            let large = |rhythm: &&mut RhythmReport| rhythm.cells.len() > LISTED_CELLS;
            let rhythms = window.rhythms.iter_mut().filter(large);
            rhythms.for_each(|rhythm| rhythm.cells.clear());
        }
        self
    }
}

/// Conductances (mS/cm²) of cells: `CHANNEL.gbar`, and the value in each cell that has
/// the channel.
pub type Conductances = Vec<(String, Vec<Option<f64>>)>;

/// Populations in every window, whose conductances are known at its end or at the time of a probe:
/// name and cells of each.
pub fn populations<'a>(
    windows: impl Iterator<Item = (&'a WindowReport, &'a [(String, Vec<Option<f64>>)])>,
    groups: &[(String, Vec<usize>)],
) -> Vec<Populations> {
    windows
        .flat_map(|(window, known)| {
            let groups = groups.iter();
            groups.map(move |(name, cells)| Populations::of(name, window, cells, known))
        })
        .collect()
}

/// A population in a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Populations {
    /// Label of the window.
    pub window: String,
    /// Name of the population.
    pub name: String,
    /// Number of cells.
    pub n: usize,
    /// Silent cells.
    pub silent: usize,
    /// Tonically firing cells.
    pub tonic: usize,
    /// Irregular cells.
    pub irregular: usize,
    /// Bursting cells.
    pub bursting: usize,
    /// Means of the measures over the cells in which they are defined.
    pub mean: BTreeMap<String, f64>,
    /// Standard deviations (divisor n).
    pub sd: BTreeMap<String, f64>,
    /// Medians.
    pub median: BTreeMap<String, f64>,
    /// Standard deviations of conductances over their means (1).
    pub cv: BTreeMap<String, Option<f64>>,
    /// Largest over smallest conductances (1).
    pub max_over_min: BTreeMap<String, Option<f64>>,
    /// How conductances go along with one another.
    pub correlation: Option<Correlation>,
}

/// Correlations of conductances over the cells of a population.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Correlation {
    /// The conductances, `CHANNEL.gbar`.
    pub of: Vec<String>,
    /// Pearson's coefficients, row by row; undefined where one of the two does not vary.
    pub r: Vec<Vec<Option<f64>>>,
}

impl Correlation {
    /// Of conductances that all cells have.
    fn new(values: Vec<(&str, Vec<f64>)>) -> Self {
        let r = |a: &[f64], b: &[f64]| {
            let n = a.len() as f64;
            let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
            let (mean_a, mean_b) = (mean(a), mean(b));
            let moment = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| -> f64 {
                let pairs = a.iter().zip(b);
                pairs.map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
            };
            let (aa, bb) = (moment(a, mean_a, a, mean_a), moment(b, mean_b, b, mean_b));
            let r = moment(a, mean_a, b, mean_b) / (aa * bb).sqrt();
            r.is_finite().then(|| r.clamp(-1.0, 1.0))
        };
        let row = |a: &[f64]| values.iter().map(|(_, b)| r(a, b)).collect();
        Self {
            of: values.iter().map(|(name, _)| (*name).to_owned()).collect(),
            r: values.iter().map(|(_, a)| row(a)).collect(),
        }
    }
}

/// A measure of a cell and its name.
type Measure = (&'static str, fn(&CellReport) -> Option<f64>);

const MEASURES: [Measure; 6] = [
    ("frequency_hz", |c| c.frequency_hz),
    ("period_ms", |c| c.period_ms),
    ("duty", |c| c.duty),
    ("spikes_per_burst", |c| c.spikes_per_burst),
    ("burstiness_hz2", |c| c.burstiness_hz2),
    ("ca_mean_um", |c| c.ca_mean_um),
];

impl Populations {
    /// Sums up some cells of a window.
    fn of(
        name: &str,
        window: &WindowReport,
        cells: &[usize],
        conductances: &[(String, Vec<Option<f64>>)],
    ) -> Self {
        let reports = || cells.iter().map(|cell| &window.cells[*cell]);
        let count = |pattern| reports().filter(|c| c.pattern == pattern).count();
        let mut population = Populations {
            window: window.label.clone(),
            name: name.to_string(),
            n: cells.len(),
            silent: count(Pattern::Silent),
            tonic: count(Pattern::Tonic),
            irregular: count(Pattern::Irregular),
            bursting: count(Pattern::Bursting),
            mean: BTreeMap::new(),
            sd: BTreeMap::new(),
            median: BTreeMap::new(),
            cv: BTreeMap::new(),
            max_over_min: BTreeMap::new(),
            correlation: None,
        };
        for (name, measure) in MEASURES {
            population.sum_up(name, reports().filter_map(measure).collect());
        }
        let mut shared = Vec::new();
        for (name, values) in conductances {
            let values: Vec<f64> = cells.iter().filter_map(|cell| values[*cell]).collect();
            population.spread(name, &values);
            population.sum_up(name, values.clone());
            if values.len() == cells.len() {
                shared.push((name.as_str(), values));
            }
        }
        population.correlation = (!shared.is_empty()).then(|| Correlation::new(shared));
        population
    }

    /// Adds how far a conductance that some cells have is spread.
    fn spread(&mut self, name: &str, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ratio = |a: f64, b: f64| (b > 0.0).then(|| a / b);
        self.cv.insert(name.to_owned(), ratio(sd, mean));
        self.max_over_min.insert(name.to_owned(), ratio(high, low));
    }

    /// Adds the moments of a measure that is defined in some cells.
    fn sum_up(&mut self, name: &str, mut values: Vec<f64>) {
        if values.is_empty() {
            return;
        }
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let median = 0.5 * (values[(values.len() - 1) / 2] + values[values.len() / 2]);
        self.mean.insert(name.to_owned(), mean);
        self.sd.insert(name.to_owned(), sd);
        self.median.insert(name.to_owned(), median);
    }
}
