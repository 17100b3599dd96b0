//! The summary of a study: a row a design point and rhythm, over the networks.
//!
//! Members are handed over one by one in the order of their numbers, their controls left out; rows
//! come back once the last member of their base, branch and setting has been seen. What is kept until
//! then are some numbers a member of these, for the medians.
//!
//! Where a network is run several times, its realisations are judged together: each network has rows
//! of its own over its realisations, and counts as one in the row over networks, with
//!
//! * the middle of their words in the order kept, recovered, changed, lost (the better of the two
//!   middle ones), or `none` if no realisation has a rhythm to lose;
//! * an outcome where it holds in at least half of them; a rhythm is there, or survives, where it does
//!   in at least half of those that have one to lose;
//! * the median of each number, and the circular median of each phase;
//! * the middle of their fates along a bisected axis, and the median of their critical values.
//!
//! Members that broke off are counted as failed, and are in no other number.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use crate::{
    record::table::{Column, Kind, Value},
    rhythm::circular_mean,
    science::statistics::median,
};

use super::{
    bisect::Fate,
    compare::{Median, Share},
    design::Coordinates,
    judgement::{Judgement, RhythmJudgement},
    model::{Design, Moment, Study, Values},
    verdict::{self, Word},
};

/// Cells of all rhythms up to which the summary has columns for each.
const MOST_CELLS: usize = 32;

/// Quantiles of critical values that are told.
pub const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// A row: a rhythm at a design point, over networks or over the realisations of one network.
/// Intervals are of 95 %; medians and intervals leave out what is not defined.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Base, by its index.
    pub base: u64,
    /// Branch, by its index.
    pub branch: u64,
    /// Combination of the axes that make networks.
    pub setting: u64,
    /// Combination of the other axes.
    pub point: u64,
    /// The network whose realisations the row is over; `None`: it is over the networks.
    pub network: Option<u64>,
    /// The rhythm, by its index in the base.
    pub rhythm: usize,
    /// Networks, or realisations.
    pub n: usize,
    /// Of these, that broke off.
    pub failed: usize,
    /// How many have each word, in the order of [`Word::ALL`].
    pub words: [usize; Word::ALL.len()],
    /// Kept, of those that have a rhythm to lose.
    pub kept: Option<Share>,
    /// Recovered, of those in which it was changed or lost.
    pub recovered: Option<Share>,
    /// The rhythm is there (kept or changed) while the protocol acts.
    pub there: Option<Share>,
    /// The rhythm is there at this and every earlier value of the last axis of a grid that makes no
    /// networks.
    pub survival: Option<Share>,
    /// Share of realisations in which it is kept (1), a value a network.
    pub realisations_kept: Option<Median>,
    /// Numbers, in the order of [`Summary::numbers`].
    pub numbers: Vec<Option<Median>>,
    /// Circular medians of phases (cycles, in [0, 1)) by [`Moment`], of the cells but the reference.
    pub phases: [Vec<Option<f64>>; 3],
    /// Outcomes that hold, in the order of [`Study::outcome_names`]; one that cannot be said does not
    /// count as holding.
    pub outcomes: Vec<Option<Share>>,
    /// Critical values.
    pub critical: Option<CriticalValues>,
}

/// What a bisected axis says of the networks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CriticalValues {
    /// Lost at the first end already.
    pub lost_at_once: usize,
    /// Never lost.
    pub never_lost: usize,
    /// The critical values of the others, in the unit of the axis.
    pub value: Option<Median>,
    /// Their [`QUANTILES`].
    pub quantiles: Option<[f64; 5]>,
}

/// What a member, or a network, is in a row.
#[derive(Clone, Debug, Default, PartialEq)]
struct Item {
    word: Option<Word>,
    there: Option<bool>,
    survives: Option<bool>,
    kept: Option<f64>,
    numbers: Vec<Option<f64>>,
    phases: [Vec<Option<f64>>; 3],
    outcomes: Vec<Option<bool>>,
    critical: Option<(Fate, Option<f64>)>,
    failed: bool,
}

/// A number of a rhythm that medians are told of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Number {
    name: String,
    unit: &'static str,
    about: String,
}

/// Items of one row; their numbers are kept flat, what is not defined as NaN.
#[derive(Clone, Debug, Default)]
struct Tally {
    n: usize,
    failed: usize,
    words: [usize; Word::ALL.len()],
    /// Found and asked.
    there: [usize; 2],
    survives: [usize; 2],
    holds: Vec<usize>,
    numbers: Vec<f64>,
    phases: Vec<f64>,
    kept: Vec<f64>,
    fates: [usize; 3],
    critical: Vec<f64>,
}

impl Tally {
    fn add(&mut self, item: &Item) {
        self.n += 1;
        if item.failed {
            self.failed += 1;
            return;
        }
        if let Some(word) = item.word {
            self.words[word as usize] += 1;
        }
        let asked = [
            (&mut self.there, item.there),
            (&mut self.survives, item.survives),
        ];
        for (count, answer) in asked {
            if let Some(answer) = answer {
                count[0] += usize::from(answer);
                count[1] += 1;
            }
        }
        self.holds.resize(item.outcomes.len(), 0);
        for (count, holds) in self.holds.iter_mut().zip(&item.outcomes) {
            *count += usize::from(*holds == Some(true));
        }
        let flat = |value: &Option<f64>| value.unwrap_or(f64::NAN);
        self.numbers.extend(item.numbers.iter().map(flat));
        self.phases.extend(item.phases.iter().flatten().map(flat));
        self.kept.extend(item.kept);
        if let Some((fate, value)) = item.critical {
            self.fates[fate as usize] += 1;
            self.critical.extend(value);
        }
    }

    /// Items that did not break off.
    fn whole(&self) -> usize {
        self.n - self.failed
    }

    /// Defined values of one of the numbers that every item has.
    fn column(flat: &[f64], items: usize, k: usize) -> Vec<f64> {
        let width = flat.len().checked_div(items).unwrap_or(0);
        let rows = flat.chunks_exact(width.max(1));
        let values = rows.filter_map(|row| row.get(k).copied());
        values.filter(|value| !value.is_nan()).collect()
    }

    fn width(&self, flat: &[f64]) -> usize {
        flat.len().checked_div(self.whole()).unwrap_or(0)
    }

    fn number(&self, k: usize) -> Vec<f64> {
        Self::column(&self.numbers, self.whole(), k)
    }

    fn circular_medians(&self) -> [Vec<Option<f64>>; 3] {
        let cells = self.width(&self.phases) / 3;
        [0, 1, 2].map(|moment| {
            let cell = |cell| Self::column(&self.phases, self.whole(), moment * cells + cell);
            (0..cells).map(|k| circular_median(&cell(k))).collect()
        })
    }

    /// Several realisations as one network.
    fn together(&self) -> Item {
        let whole = self.whole();
        if whole == 0 {
            return Item {
                failed: true,
                ..Item::default()
            };
        }
        let judged: usize = self.words[..Word::OF_A_RHYTHM].iter().sum();
        let most = |[found, asked]: [usize; 2]| (asked > 0).then_some(2 * found >= asked);
        let fates: usize = self.fates.iter().sum();
        let fate = middle(&self.fates, fates).map(|k| FATES[k]);
        let number = |k| defined(median(self.number(k).into_iter()));
        Item {
            word: match judged {
                0 => {
                    let [gained, none] = [Word::Gained, Word::None].map(|w| self.words[w as usize]);
                    let word = if gained >= none {
                        Word::Gained
                    } else {
                        Word::None
                    };
                    (gained + none > 0).then_some(word)
                }
                _ => middle(&self.words[..Word::OF_A_RHYTHM], judged).map(|k| Word::ALL[k]),
            },
            there: most(self.there),
            survives: most(self.survives),
            kept: (judged > 0).then(|| self.words[Word::Kept as usize] as f64 / judged as f64),
            numbers: (0..self.width(&self.numbers)).map(number).collect(),
            phases: self.circular_medians(),
            outcomes: self.holds.iter().map(|n| Some(2 * n >= whole)).collect(),
            critical: fate.map(|fate| {
                let value = median(self.critical.iter().copied());
                (fate, defined(value).filter(|_| fate == Fate::Lost))
            }),
            failed: false,
        }
    }

    fn row(&self, at: &Coordinates, network: Option<u64>, rhythm: usize, seed: u64) -> Row {
        let key = |what: &str| {
            let Coordinates {
                base,
                branch,
                setting,
                point,
                ..
            } = at;
            let mut key = format!("summary {base} {branch} {setting} {point} {rhythm} {what}");
            if let Some(network) = network {
                // Text never refuses what is written to it.
                let _ = write!(key, " {network}");
            }
            key
        };
        let judged = self.words[..Word::OF_A_RHYTHM].iter().sum();
        let [kept, recovered] = [Word::Kept, Word::Recovered].map(|w| self.words[w as usize]);
        let numbers = (0..self.width(&self.numbers)).map(|k| {
            let values = self.number(k);
            Median::of(values, seed, &key(&k.to_string()))
        });
        let fates: usize = self.fates.iter().sum();
        let [lost_at_once, _, never_lost] = self.fates;
        let holds = self.holds.iter();
        Row {
            base: at.base,
            branch: at.branch,
            setting: at.setting,
            point: at.point,
            network,
            rhythm,
            n: self.n,
            failed: self.failed,
            words: self.words,
            kept: Share::of(kept, judged),
            recovered: Share::of(recovered, judged - kept),
            there: Share::of(self.there[0], self.there[1]),
            survival: Share::of(self.survives[0], self.survives[1]),
            realisations_kept: Median::of(self.kept.clone(), seed, &key("realisations")),
            numbers: numbers.collect(),
            phases: self.circular_medians(),
            outcomes: holds.map(|n| Share::of(*n, self.whole())).collect(),
            critical: (fates > 0).then(|| CriticalValues {
                lost_at_once,
                never_lost,
                value: Median::of(self.critical.clone(), seed, &key("critical")),
                quantiles: quantiles(self.critical.clone()),
            }),
        }
    }
}

/// Fates along the axis, in order.
const FATES: [Fate; 3] = [Fate::LostAtOnce, Fate::Lost, Fate::NeverLost];

fn defined(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

/// The middle of counted things in order, the first of the two middle ones.
fn middle(counts: &[usize], total: usize) -> Option<usize> {
    let mut before = 0;
    let reaches = |count: &usize| {
        before += count;
        2 * before >= total
    };
    (total > 0)
        .then(|| counts.iter().position(reaches))
        .flatten()
}

/// Quantiles, straight between values.
fn quantiles(mut values: Vec<f64>) -> Option<[f64; 5]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(QUANTILES.map(|q| {
        let place = q * last as f64;
        let below = place.floor() as usize;
        let above = values[(below + 1).min(last)];
        values[below] + (place - below as f64) * (above - values[below])
    }))
}

/// The circular median of phases (cycles), in [0, 1): the phase among them whose summed distance the
/// short way round to all others is least, or the circular mean of several such (Fisher 1993,
/// Statistical Analysis of Circular Data, section 2.3.2). `None` of no phases.
pub fn circular_median(phases: &[f64]) -> Option<f64> {
    /// Sums no farther apart are equal.
    const EQUAL: f64 = 1e-9;
    let n = phases.len();
    let mut sorted: Vec<f64> = phases.iter().map(|phase| phase.rem_euclid(1.0)).collect();
    sorted.sort_by(f64::total_cmp);
    // Twice around, and the sums up to each place.
    let twice = |k: usize| sorted[k % n] + if k < n { 0.0 } else { 1.0 };
    let mut sums = vec![0.0; 2 * n + 1];
    for k in 0..2 * n {
        sums[k + 1] = sums[k] + twice(k);
    }
    let mut ahead = 0;
    let distances: Vec<f64> = (0..n)
        .map(|k| {
            // Those less than half a cycle ahead, then the others, which are behind.
            ahead = ahead.max(k + 1);
            while ahead < k + n && twice(ahead) - twice(k) <= 0.5 {
                ahead += 1;
            }
            let (near, far) = ((ahead - k) as f64, (k + n - ahead) as f64);
            let forward = sums[ahead] - sums[k] - near * twice(k);
            let backward = far * (twice(k) + 1.0) - (sums[k + n] - sums[ahead]);
            forward + backward
        })
        .collect();
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let nearest: Vec<f64> = sorted
        .iter()
        .zip(&distances)
        .filter(|(_, distance)| **distance <= least + EQUAL)
        .map(|(phase, _)| *phase)
        .collect();
    // Phases that cancel out have no mean; then any of them is as good.
    circular_mean(&nearest).or(nearest.first().copied())
}

/// A design point: the networks seen, and the realisations of the one that is being seen.
#[derive(Clone, Debug, Default)]
struct Point {
    networks: Vec<Tally>,
    realisations: Vec<Tally>,
}

/// Gathers members into rows.
pub struct Summary<'s> {
    study: &'s Study,
    /// Values of the last axis of a grid that makes no networks.
    swept: u64,
    /// The numbers of the rhythms of each base.
    numbers: Vec<Vec<Vec<Number>>>,
    /// Cells that have columns.
    cells: Vec<String>,
    at: Option<Coordinates>,
    points: BTreeMap<u64, Point>,
    /// Whether each rhythm has been there at every value so far.
    alive: Vec<bool>,
    rows: Vec<Row>,
}

impl<'s> Summary<'s> {
    /// An empty summary.
    pub fn of(study: &'s Study) -> Self {
        let mut axes = study.axes.iter().rev();
        let swept = axes.find(|axis| !axis.makes_networks);
        let swept = swept.map_or(1, |axis| match &axis.values {
            Values::List(values) => values.len(),
            Values::Linear { count, .. } | Values::Log { count, .. } => *count,
            Values::Bisect { .. } => 1,
        });
        let mut cells: Vec<String> = Vec::new();
        for scene in &study.bases {
            for cell in scene.rhythms.iter().flat_map(verdict::cells) {
                let name = scene.cells[cell].name.to_string();
                if cells.len() <= MOST_CELLS && !cells.contains(&name) {
                    cells.push(name);
                }
            }
        }
        if cells.len() > MOST_CELLS {
            cells.clear();
        }
        let numbers = study.bases.iter().map(|scene| {
            let rhythms = scene.rhythms.iter();
            let rhythms = rhythms.map(|rhythm| {
                let cells = verdict::cells(rhythm).map(|k| &*scene.cells[k].name);
                numbers(study, &cells.collect::<Vec<_>>())
            });
            rhythms.collect()
        });
        Summary {
            study,
            swept: match study.design {
                Design::Grid => swept.max(1) as u64,
                _ => 1,
            },
            numbers: numbers.collect(),
            cells,
            at: None,
            points: BTreeMap::new(),
            alive: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Takes the next member, and gives the rows that are complete.
    pub fn add(&mut self, at: &Coordinates, judgement: &Judgement) -> Vec<Row> {
        let (group, network) = match self.at {
            Some(last) => (
                (last.base, last.branch, last.setting) != (at.base, at.branch, at.setting),
                last.network != at.network,
            ),
            None => (false, false),
        };
        if group {
            self.close_group();
        } else if network {
            self.close_network();
        }
        self.at = Some(*at);
        let scene = &self.study.bases[at.base as usize];
        let rhythms = scene.rhythms.len();
        if at.point.is_multiple_of(self.swept) {
            self.alive = vec![true; rhythms];
        }
        let together = self.study.realisations.is_some();
        let point = self.points.entry(at.point).or_insert_with(|| Point {
            networks: vec![Tally::default(); rhythms],
            realisations: vec![Tally::default(); rhythms],
        });
        for rhythm in 0..rhythms {
            let cells = verdict::cells(&scene.rhythms[rhythm]).count();
            let alive = &mut self.alive[rhythm];
            let item = item(self.study, (rhythm, cells), judgement, alive);
            match together {
                true => point.realisations[rhythm].add(&item),
                false => point.networks[rhythm].add(&item),
            }
        }
        std::mem::take(&mut self.rows)
    }

    /// The rest of the rows, after the last member.
    pub fn finish(&mut self) -> Vec<Row> {
        self.close_group();
        std::mem::take(&mut self.rows)
    }

    /// The network that was being seen has no more realisations.
    fn close_network(&mut self) {
        let Some(at) = self.at.filter(|_| self.study.realisations.is_some()) else {
            return;
        };
        for (number, point) in &mut self.points {
            let at = Coordinates {
                point: *number,
                ..at
            };
            let pairs = point.networks.iter_mut().zip(&mut point.realisations);
            for (rhythm, (networks, realisations)) in pairs.enumerate() {
                let realisations = std::mem::take(realisations);
                networks.add(&realisations.together());
                let network = Some(at.network);
                self.rows
                    .push(realisations.row(&at, network, rhythm, self.study.seed));
            }
        }
    }

    /// The base, branch and setting that were being seen have no more networks.
    fn close_group(&mut self) {
        self.close_network();
        let Some(at) = self.at.take() else {
            return;
        };
        for (number, point) in std::mem::take(&mut self.points) {
            let at = Coordinates {
                point: number,
                ..at
            };
            for (rhythm, tally) in point.networks.iter().enumerate() {
                self.rows
                    .push(tally.row(&at, None, rhythm, self.study.seed));
            }
        }
    }

    /// Names and units of the numbers of a rhythm, in the order of [`Row::numbers`].
    pub fn numbers(&self, base: usize, rhythm: usize) -> impl Iterator<Item = (&str, &str)> {
        let numbers = self.numbers[base][rhythm].iter();
        numbers.map(|number| (number.name.as_str(), number.unit))
    }

    /// Numbers that have columns, each once.
    fn told(&self) -> Vec<&Number> {
        let plain = numbers(self.study, &[]).len();
        let all = self.numbers.iter().flatten();
        let mut told: Vec<&Number> = Vec::new();
        let least = all
            .clone()
            .flat_map(|numbers| &numbers[..plain.min(numbers.len())]);
        let cells = all.flat_map(|numbers| &numbers[plain.min(numbers.len())..]);
        for number in least.chain(cells.filter(|_| !self.cells.is_empty())) {
            if !told.iter().any(|known| known.name == number.name) {
                told.push(number);
            }
        }
        told
    }

    /// Columns of the table, behind those that say which row it is: base, branch, values of the axes,
    /// network and rhythm. Studies of rhythms with very many cells have no columns for each cell.
    pub fn columns(&self) -> Vec<Column> {
        let mut columns = Vec::new();
        let what = match self.study.realisations {
            Some(_) => "networks, or realisations of the network",
            None => "networks",
        };
        let mut count = |name: &str, about: &str| {
            columns.push(Column::new(name, "", Kind::Count, about));
        };
        count("n", what);
        count("failed", "of these, that broke off");
        for word in Word::ALL {
            count(word.text(), &format!("how many are `{word}`"));
        }
        let mut number = |name: String, unit: &str, about: String| {
            columns.push(Column::new(&name, unit, Kind::Number, &about).nullable());
        };
        let share = |name: &str| {
            [
                (format!("{name}_fraction"), "fraction"),
                (
                    format!("{name}_low"),
                    "lower end of the 95 % interval (Wilson)",
                ),
                (
                    format!("{name}_high"),
                    "upper end of the 95 % interval (Wilson)",
                ),
            ]
        };
        let median = |name: &str| {
            [
                (name.to_owned(), "median"),
                (
                    format!("{name}_low"),
                    "lower end of the 95 % interval (bootstrap)",
                ),
                (
                    format!("{name}_high"),
                    "upper end of the 95 % interval (bootstrap)",
                ),
            ]
        };
        let shares = [
            ("kept", "kept, of those that have a rhythm to lose"),
            (
                "recovered",
                "recovered, of those in which it was changed or lost",
            ),
            ("there", "the rhythm is there while the protocol acts"),
            (
                "survival",
                "the rhythm is there at this and every earlier value of the last axis",
            ),
        ];
        let outcomes = self.study.outcome_names().into_iter();
        for (name, about) in shares
            .into_iter()
            .chain(outcomes.map(|name| (name, "the outcome holds")))
        {
            for (column, part) in share(name) {
                number(column, "1", format!("{about}: {part}"));
            }
        }
        if self.study.realisations.is_some() {
            for (column, part) in median("realisations_kept") {
                let about = format!("share of realisations in which it is kept: {part}");
                number(column, "1", about);
            }
        }
        for told in self.told() {
            for (column, part) in median(&told.name) {
                number(column, told.unit, format!("{}: {part}", told.about));
            }
        }
        for moment in MOMENTS {
            for cell in &self.cells {
                let about = format!("circular median of the onset phase of {cell}");
                number(format!("{moment}_{cell}_phase"), "1", about);
            }
        }
        if self.bisects() {
            number(
                "lost_at_once".into(),
                "",
                "lost at the first end of the axis".into(),
            );
            number(
                "never_lost".into(),
                "",
                "there at both ends of the axis".into(),
            );
            for (column, part) in median("critical") {
                number(column, "", format!("critical value: {part}"));
            }
            for q in QUANTILES {
                let name = format!("critical_q{:02}", (100.0 * q).round());
                number(name, "", format!("quantile {q} of the critical values"));
            }
        }
        columns
    }

    fn bisects(&self) -> bool {
        let mut axes = self.study.axes.iter();
        axes.any(|axis| matches!(axis.values, Values::Bisect { .. }))
    }

    /// The values of a row, in the order of [`Self::columns`].
    pub fn values(&self, row: &Row) -> Vec<Value<'static>> {
        let count = |n: usize| Value::Count(n as u64);
        let mut values = vec![count(row.n), count(row.failed)];
        values.extend(row.words.map(count));
        let share = |share: &Option<Share>| {
            let number = |of: fn(&Share) -> f64| Value::from(share.as_ref().map(of));
            [
                number(|s| s.fraction),
                number(|s| s.low),
                number(|s| s.high),
            ]
        };
        let median = |median: &Option<Median>| {
            [
                Value::from(median.map(|m| m.median)),
                Value::from(median.and_then(|m| m.low)),
                Value::from(median.and_then(|m| m.high)),
            ]
        };
        for of in [&row.kept, &row.recovered, &row.there, &row.survival] {
            values.extend(share(of));
        }
        for k in 0..self.study.outcome_names().len() {
            values.extend(share(&row.outcomes.get(k).copied().flatten()));
        }
        if self.study.realisations.is_some() {
            values.extend(median(&row.realisations_kept));
        }
        let own = &self.numbers[row.base as usize][row.rhythm];
        for told in self.told() {
            let place = own.iter().position(|number| number.name == told.name);
            let number = place.and_then(|k| row.numbers.get(k).copied().flatten());
            values.extend(median(&number));
        }
        let scene = &self.study.bases[row.base as usize];
        let followers = || verdict::cells(&scene.rhythms[row.rhythm]).skip(1);
        for phases in &row.phases {
            for cell in &self.cells {
                let place = followers().position(|k| *scene.cells[k].name == **cell);
                values.push(place.and_then(|k| phases.get(k).copied().flatten()).into());
            }
        }
        if self.bisects() {
            let critical = row.critical.as_ref();
            let number =
                |of: fn(&CriticalValues) -> usize| Value::from(critical.map(of).map(|n| n as f64));
            values.extend([number(|c| c.lost_at_once), number(|c| c.never_lost)]);
            values.extend(median(&critical.and_then(|c| c.value)));
            let quantiles = critical.and_then(|c| c.quantiles);
            let quantile = |k: usize| Value::from(quantiles.map(|q| q[k]));
            values.extend((0..QUANTILES.len()).map(quantile));
        }
        values
    }
}

/// The words of the windows, by [`Moment`].
const MOMENTS: [&str; 3] = ["before", "during", "after"];

/// The numbers of a rhythm of some cells, the reference first.
fn numbers(study: &Study, cells: &[&str]) -> Vec<Number> {
    let number = |name: String, unit: &'static str, about: String| Number { name, unit, about };
    let mut numbers = vec![
        number(
            "period_ms".into(),
            "ms",
            "period while the protocol acts".into(),
        ),
        number(
            "period_change_percent".into(),
            "%",
            "change of the period".into(),
        ),
        number(
            "ca_change_um".into(),
            "µM",
            "change of mean calcium of its cells".into(),
        ),
        number(
            "settling_ms".into(),
            "ms",
            "time after the fork until it has settled".into(),
        ),
        number(
            "recovery_ms".into(),
            "ms",
            "time after the undoing until it has settled, where it is kept".into(),
        ),
    ];
    numbers.extend((1..=cycles(study)).map(|k| {
        let about = format!("shift of cycle {k} by the pulse, an advance above 0");
        number(format!("shift_{k}"), "1", about)
    }));
    numbers.extend(cells.iter().skip(1).map(|cell| {
        let about = format!("change of the onset phase of {cell}, later above 0");
        number(format!("{cell}_phase_change"), "1", about)
    }));
    numbers.extend(cells.iter().map(|cell| {
        let about = format!("change of the duty cycle of {cell}");
        number(format!("{cell}_duty_change"), "1", about)
    }));
    numbers
}

/// Cycles whose shifts are told.
fn cycles(study: &Study) -> usize {
    let response = study.response.as_ref();
    response.map_or(0, |response| response.cycles)
}

/// Their values, in the same order, for a rhythm of `cells` cells.
fn measured(
    study: &Study,
    cells: usize,
    told: &RhythmJudgement,
    judgement: &Judgement,
) -> Vec<Option<f64>> {
    let during = told.windows[Moment::During as usize].as_ref();
    let change = told.change_during.as_ref();
    let shifts = judgement.response.as_ref();
    let mut values = vec![
        during.and_then(|window| window.period_ms),
        change.and_then(|change| change.period_percent),
        change.and_then(|change| change.ca_um),
        told.settling_ms,
        told.recovery_ms,
    ];
    values.extend((0..cycles(study)).map(|k| shifts?.shifts.get(k).copied()));
    values.extend((0..cells - 1).map(|k| *change?.phases.get(k)?));
    values.extend((0..cells).map(|k| *change?.duties.get(k)?));
    values
}

/// What a member is in the row of a rhythm of `cells` cells; `alive` is whether the rhythm has been
/// there so far.
fn item(
    study: &Study,
    (rhythm, cells): (usize, usize),
    judgement: &Judgement,
    alive: &mut bool,
) -> Item {
    let told = judgement.rhythms.get(rhythm);
    let Some(told) = told.filter(|_| judgement.error.is_none()) else {
        return Item {
            failed: true,
            ..Item::default()
        };
    };
    let there = match told.during {
        Some(word) if word.is_of_a_rhythm() => Some(word != Word::Lost),
        _ => None,
    };
    *alive &= there != Some(false);
    let phases = |moment: usize| {
        let window = told.windows[moment].as_ref();
        let phase = |k: usize| *window?.phases.get(k)?;
        (0..cells - 1).map(phase).collect()
    };
    Item {
        word: told.verdict,
        there,
        survives: there.map(|_| *alive),
        kept: None,
        numbers: measured(study, cells, told, judgement),
        phases: [0, 1, 2].map(phases),
        outcomes: judgement.outcomes.clone(),
        critical: judgement.critical.map(|c| (c.fate, c.value)),
        failed: false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{rhythm::phase_difference, study::judgement};

    use super::*;

    const STEADY: [(f64, f64); 3] = [(400.0, 0.5); 3];
    const LOST: [(f64, f64); 3] = [(400.0, 0.5), (0.0, 0.0), (0.0, 0.0)];

    /// Rows of a study of the half-centre from a made-up member a coordinate, in the order of members:
    /// network, realisation, point.
    fn rows(
        study: &Study,
        counts: [u64; 3],
        parts: impl Fn([u64; 3]) -> [(f64, f64); 3],
    ) -> Vec<Row> {
        let control = judgement::tests::pair(study, STEADY);
        let mut summary = Summary::of(study);
        let mut rows = Vec::new();
        for number in 0..counts.iter().product() {
            let at = [
                number / counts[2] / counts[1],
                number / counts[2] % counts[1],
                number % counts[2],
            ];
            let member = judgement::tests::pair(study, parts(at));
            let judgement = judgement::judge(study, 0, Some(&control), &member);
            let [network, realisation, point] = at;
            let at = Coordinates {
                network,
                realisation,
                point,
                ..Coordinates::default()
            };
            rows.extend(summary.add(&at, &judgement));
        }
        rows.extend(summary.finish());
        for row in &rows {
            assert_eq!(summary.values(row).len(), summary.columns().len());
        }
        rows
    }

    #[test]
    fn a_row_a_point_over_networks_with_survival_along_the_axis() {
        let study = judgement::tests::blocked(
            "Axis(\"b\")",
            "axes: { \"b\": [0, 0.5, 1] }, \
             networks: (count: 4, vary: [Relative(path: \"*.*.gbar\", by: 0.1)])",
        );
        // Network k is lost at value k alone, so that it comes back later.
        let rows = rows(&study, [4, 1, 3], |[network, _, point]| {
            match network == point {
                true => LOST,
                false => STEADY,
            }
        });
        assert_eq!(rows.len(), 3);
        let found = |share: fn(&Row) -> Option<Share>| -> Vec<usize> {
            rows.iter().map(|row| share(row).unwrap().found).collect()
        };
        assert_eq!(found(|row| row.there), [3, 3, 3]);
        assert_eq!(found(|row| row.kept), [3, 3, 3]);
        assert_eq!(found(|row| row.survival), [3, 2, 1]);
        assert_eq!(rows[0].words, [3, 0, 0, 1, 0, 0]);
        let period = rows[0].numbers[0].unwrap();
        assert_eq!((period.n, period.median), (3, 400.0));
    }

    #[test]
    fn realisations_are_judged_together() {
        let study = judgement::tests::study(
            "networks: (count: 2, vary: [Relative(path: \"*.*.gbar\", by: 0.1)]), \
             realisations: (count: 4, vary: [Absolute(path: \"*.V\", by: 0.005)])",
        );
        // Mirror phases in the first network; the second is lost in three of four.
        let rows = rows(&study, [2, 4, 1], |at| match at {
            [0, realisation, _] if realisation < 3 => [(400.0, 0.4); 3],
            [0, ..] => [(400.0, 0.6); 3],
            [_, 0, _] => STEADY,
            _ => LOST,
        });
        assert_eq!(rows.len(), 3);
        let [first, second, over] = [&rows[0], &rows[1], &rows[2]];
        assert_eq!((first.network, first.n), (Some(0), 4));
        assert!((first.phases[1][0].unwrap() - 0.4).abs() < 1e-9);
        assert_eq!(second.words, [1, 0, 0, 3, 0, 0]);
        assert_eq!((over.network, over.n), (None, 2));
        assert_eq!(over.words, [0, 0, 1, 1, 0, 0]);
        let kept = over.realisations_kept.unwrap();
        assert_eq!((kept.n, kept.median), (2, 0.125));
    }

    #[test]
    fn the_circular_median_of_mirror_states_is_one_of_them_or_between() {
        let median = |phases: &[f64]| circular_median(phases).unwrap();
        assert!((median(&[0.1, 0.1, 0.9]) - 0.1).abs() < 1e-9);
        let between = median(&[0.1, 0.1, 0.9, 0.9]);
        assert!(between.min(1.0 - between) < 1e-9, "{between}");
        assert!((median(&[0.48, 0.5, 0.9]) - 0.5).abs() < 1e-9);
        assert_eq!(circular_median(&[]), None);
        assert!(circular_median(&[0.25, 0.75]).is_some());
    }

    #[test]
    fn fates_are_counted_in_the_order_along_the_axis() {
        assert_eq!(FATES.map(|fate| fate as usize), [0, 1, 2]);
    }

    #[test]
    fn the_middle_of_counted_things() {
        assert_eq!(middle(&[1, 0, 0, 1], 2), Some(0));
        assert_eq!(middle(&[1, 0, 1, 1], 3), Some(2));
        assert_eq!(middle(&[0, 0, 0, 3], 3), Some(3));
        assert_eq!(middle(&[0, 0], 0), None);
    }

    #[test]
    fn quantiles_lie_straight_between_values() {
        let quantiles = quantiles((0..=20).map(f64::from).collect()).unwrap();
        for (found, wanted) in quantiles.iter().zip([1.0, 5.0, 10.0, 15.0, 19.0]) {
            assert!((found - wanted).abs() < 1e-12);
        }
        assert_eq!(super::quantiles(vec![]), None);
    }

    proptest! {
        /// By the definition, one distance after the other.
        #[test]
        fn the_circular_median_is_nearest_to_all(phases in prop::collection::vec(0.0..1.0_f64, 1..30)) {
            let sum = |phase: f64| -> f64 {
                phases.iter().map(|other| phase_difference(phase, *other).abs()).sum()
            };
            let least = phases.iter().copied().map(sum).fold(f64::INFINITY, f64::min);
            let median = circular_median(&phases).unwrap();
            prop_assert!(sum(median) <= least + 1e-6);
        }
    }
}
