//! The tables of a study, written from its journal in the order of members, so that their bytes do
//! not depend on the order in which members ended.

use std::{collections::HashMap, io};

use crate::{
    record::table::{Column, Kind, Origin, Table, Value, Words},
    rhythm::Verdict,
    scene::{
        Diagnostic, Diagnostics,
        model::{Rhythm, Scene},
    },
};

use super::{
    bisect::Fate,
    compare::Changes,
    curves::{self, Curves},
    design::{Coordinates, Plan, Run},
    engine::{Numbers, Row},
    folder::{Folder, Part},
    journal::Journal,
    judgement::{Figures, RhythmJudgement},
    maps::{self, Lags, Maps},
    model::{self, Moment, Study, Values},
    record::{Cell, Cycle, PATTERNS, Record},
    response::Curve,
    summary::{self, Summary},
    verdict::{self, Word},
};

/// Cells of a rhythm up to which `members` tells each one's phase and duty cycle.
const LISTED: usize = 32;

/// Columns of `cells`.
const CELL_COLUMNS: usize = 15;

/// The windows and their words.
const MOMENTS: [(Moment, &str); 3] = [
    (Moment::Before, "before"),
    (Moment::During, "during"),
    (Moment::After, "after"),
];

/// Refuses axes and outcomes whose column would have the name of another.
///
/// # Errors
/// Every axis and outcome with such a name.
pub fn check(study: &Study) -> Result<(), Diagnostics> {
    let layout = Layout::of(study);
    let mut tables = vec![
        layout.columns.clone(),
        layout.summary_columns(study, &Summary::of(study)),
    ];
    tables.extend(study.response.as_ref().map(|_| layout.curve_columns(study)));
    tables.extend(study.return_map.as_ref().map(|_| layout.map_columns(study)));
    let taken = |name: &str| {
        let of = |columns: &Vec<Column>| columns.iter().filter(|c| c.name == name).count() > 1;
        tables.iter().any(of)
    };
    let mut errors = Diagnostics::default();
    for axis in study.axes.iter().filter(|axis| taken(&axis.name)) {
        let message = format!("an axis cannot be called `{}`", axis.name);
        let error = Diagnostic::at(&axis.origin, message).label("the tables have such a column");
        errors.push(error.help("the name of an axis becomes a column: give it another"));
    }
    let is_axis = |name: &str| study.axes.iter().any(|axis| axis.name == name);
    let outcomes = study.outcome_names().into_iter();
    for outcome in outcomes.filter(|name| taken(name) && !is_axis(name)) {
        let message = format!("an outcome cannot be called `{outcome}`");
        let error = Diagnostic::new(message);
        errors.push(error.help("its name becomes a column, and the tables have one: give another"));
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

/// Room (bytes) that a member takes in the tables, about: numbers that are there do not shrink much.
/// Bursts in `cycles` come on top.
pub fn bytes(study: &Study) -> f64 {
    const NUMBER: f64 = 8.0;
    let columns = Layout::of(study).columns.len() as f64;
    let cells = study.bases.iter().map(|base| base.cells.len()).max();
    let rows = match study.tables.cells {
        true => (3 * cells.unwrap_or_default()) as f64,
        false => 0.0,
    };
    NUMBER * (columns + rows * CELL_COLUMNS as f64)
}

/// What was found while the tables were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Members and controls that failed.
    pub failed: u64,
}

/// Writes `members` and `summary`; `curves` and `locking` of a response, `lags` and `return_map`, and
/// `cells` and `cycles`, if the study asks for them.
///
/// # Errors
/// The disk refuses, or a record is damaged.
pub fn write(
    study: &Study,
    plan: &Plan,
    folder: &Folder,
    journal: &mut Journal,
    csv: bool,
) -> io::Result<Told> {
    let layout = Layout::of(study);
    let origin = Origin {
        scene: study.name.clone(),
        scene_hash: folder.manifest.hash.clone(),
    };
    let table = |name: &str, columns: Vec<Column>| {
        let parquet = folder.create(&format!("{name}.parquet"))?;
        let csv = match csv {
            true => Some(folder.create(&format!("{name}.csv"))?),
            false => None,
        };
        Table::create(columns, &origin, parquet, csv)
    };
    let mut members = table("members", layout.columns.clone())?;
    let mut summary = Summary::of(study);
    let mut rows = table("summary", layout.summary_columns(study, &summary))?;
    let mut cells = match study.tables.cells {
        true => Some(table("cells", layout.cell_columns())?),
        false => None,
    };
    let mut cycles = match study.tables.cycles {
        true => Some(table("cycles", layout.cycle_columns())?),
        false => None,
    };
    let mut curves = Curves::of(study);
    let mut responses = match &study.response {
        Some(_) => Some(Responses {
            count: 0,
            curves: table("curves", layout.curve_columns(study))?,
            locking: table("locking", locking_columns())?,
        }),
        None => None,
    };
    let mut maps = Maps::of(study);
    let mut returns = match &study.return_map {
        Some(_) => Some(Returns {
            count: 0,
            lags: table("lags", layout.lag_columns())?,
            maps: table("return_map", layout.map_columns(study))?,
        }),
        None => None,
    };
    let mut told = Told::default();
    let numbers = Numbers::of(plan);
    for number in 0..numbers.count() {
        let record = read(journal, number)?;
        let row = numbers.row(plan, number);
        told.failed += u64::from(record.judgement.error.is_some());
        let axes = layout.axes(study, plan, row);
        let base = base_of(row);
        members.row(layout.row(study, number, row, &record, &axes))?;
        if let Row::Member(member) = row {
            for row in summary.add(&member, &record.judgement) {
                layout.summary_row(study, plan, &summary, &row, &mut rows)?;
            }
            if let (Some(curves), Some(responses)) = (&mut curves, &mut responses) {
                for curve in curves.add(plan, member, &record.judgement) {
                    responses.row(study, plan, &curve)?;
                }
            }
        }
        if let (Some(maps), Some(returns)) = (&mut maps, &mut returns) {
            returns.lags(study, &layout, base, number, &record.lags)?;
            if let Row::Member(member) = row {
                for map in maps.add(plan, member, record.lags.clone()) {
                    returns.map(study, &layout, plan, &map)?;
                }
            }
        }
        if let Some(cells) = &mut cells {
            cell_rows(cells, &layout.scene_cells[base], number, &record)?;
        }
        if let Some(cycles) = &mut cycles {
            cycle_rows(cycles, &layout, base, number, &record)?;
        }
    }
    for row in summary.finish() {
        layout.summary_row(study, plan, &summary, &row, &mut rows)?;
    }
    if let (Some(mut curves), Some(mut responses)) = (curves, responses) {
        for curve in curves.finish() {
            responses.row(study, plan, &curve)?;
        }
        responses.curves.finish()?;
        settle(folder, "curves", csv)?;
        responses.locking.finish()?;
        settle(folder, "locking", csv)?;
    }
    if let (Some(mut maps), Some(mut returns)) = (maps, returns) {
        for map in maps.finish() {
            returns.map(study, &layout, plan, &map)?;
        }
        returns.lags.finish()?;
        settle(folder, "lags", csv)?;
        returns.maps.finish()?;
        settle(folder, "return_map", csv)?;
    }
    members.finish()?;
    settle(folder, "members", csv)?;
    rows.finish()?;
    settle(folder, "summary", csv)?;
    for (name, table) in [("cells", cells), ("cycles", cycles)] {
        if let Some(table) = table {
            table.finish()?;
            settle(folder, name, csv)?;
        }
    }
    Ok(told)
}

/// Gives a table its final name.
fn settle(folder: &Folder, name: &str, csv: bool) -> io::Result<()> {
    folder.settle(&format!("{name}.parquet"))?;
    match csv {
        true => folder.settle(&format!("{name}.csv")),
        false => Ok(()),
    }
}

/// The record of a member that has one.
///
/// # Errors
/// It has none, or it is damaged.
pub fn read(journal: &mut Journal, number: u64) -> io::Result<Record> {
    let damaged = |why: String| {
        let message = format!("the record of member {number} in the journal: {why}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let bytes = journal.read(number)?;
    let bytes = bytes.ok_or_else(|| damaged("it is not there".to_owned()))?;
    Record::read(bytes).map_err(damaged)
}

fn base_of(row: Row) -> usize {
    match row {
        Row::Member(Coordinates { base, .. }) | Row::Control(Run { base, .. }) => base as usize,
    }
}

/// A value that may own its text.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Null,
    Number(f64),
    Text(String),
}

/// The columns of `members`.
struct Layout {
    columns: Vec<Column>,
    /// Columns that every row has.
    common: usize,
    /// Where the columns of each base are, in the order of its values.
    places: Vec<Vec<usize>>,
    /// Where words of verdicts are, by base: names of cells among those of all bases.
    scene_cells: Vec<Vec<u32>>,
    cell_names: Words,
    rhythm_names: Words,
    /// Names of the rhythms of each base among those of all.
    scene_rhythms: Vec<Vec<u32>>,
}

impl Layout {
    fn of(study: &Study) -> Self {
        let mut columns = common_columns(study);
        let common = columns.len();
        let mut places = Vec::new();
        for base in &study.bases {
            let own = own_columns(base).into_iter();
            let place = |column: Column| {
                let known = columns.iter().position(|known| known.name == column.name);
                known.unwrap_or_else(|| {
                    columns.push(column);
                    columns.len() - 1
                })
            };
            places.push(own.map(place).collect());
        }
        let cells = |base: &Scene| base.cells.iter().map(|c| c.name.to_string()).collect();
        let rhythms = |base: &Scene| base.rhythms.iter().map(|r| r.name.clone()).collect();
        let (cell_names, scene_cells) = shared_words(study.bases.iter().map(cells));
        let (rhythm_names, scene_rhythms) = shared_words(study.bases.iter().map(rhythms));
        Layout {
            columns,
            common,
            places,
            scene_cells,
            cell_names,
            rhythm_names,
            scene_rhythms,
        }
    }

    /// The values of the axes of a row; none of a control's but those that make networks.
    fn axes(&self, study: &Study, plan: &Plan, row: Row) -> Vec<Held> {
        held(
            study,
            match row {
                Row::Member(member) => plan.values(member.setting, member.point),
                Row::Control(run) => plan.settings(run.setting),
            },
        )
    }
    /// A row of `members`.
    fn row<'r>(
        &self,
        study: &Study,
        number: u64,
        row: Row,
        record: &'r Record,
        axes: &'r [Held],
    ) -> Vec<Value<'r>> {
        let mut values = vec![Value::Null; self.columns.len()];
        let common = common_values(study, number, row, record, axes);
        for (value, own) in values[..self.common].iter_mut().zip(common) {
            *value = own;
        }
        let base = base_of(row);
        let own = own_values(&study.bases[base], record);
        for (place, own) in self.places[base].iter().zip(own) {
            values[*place] = own;
        }
        values
    }

    /// Columns of `summary`.
    fn summary_columns(&self, study: &Study, summary: &Summary) -> Vec<Column> {
        let mut columns = vec![base_column(study), branch_column(study)];
        columns.extend(axis_columns(study));
        let about = "network whose realisations the row is over; none: over the networks";
        columns.push(Column::new("network", "1", Kind::Count, about).nullable());
        let rhythms = Kind::Word(self.rhythm_names.clone());
        columns.push(Column::new("rhythm", "", rhythms, "rhythm"));
        columns.extend(summary.columns());
        columns
    }

    /// A row of `summary`.
    fn summary_row(
        &self,
        study: &Study,
        plan: &Plan,
        summary: &Summary,
        row: &summary::Row,
        table: &mut Table<Part>,
    ) -> io::Result<()> {
        let axes = held(study, plan.values(row.setting, row.point));
        let branch = (!study.branches.is_empty()).then_some(row.branch as u32);
        let mut values = vec![
            Value::Word(row.base as u32),
            branch.map_or(Value::Null, Value::Word),
        ];
        values.extend(axes.iter().map(Held::value));
        values.push(row.network.map_or(Value::Null, Value::Count));
        let rhythms = &self.scene_rhythms[row.base as usize];
        values.push(Value::Word(rhythms[row.rhythm]));
        values.extend(summary.values(row));
        table.row(values)
    }

    /// Columns of `lags`.
    fn lag_columns(&self) -> Vec<Column> {
        let count = |name, about| Column::new(name, "1", Kind::Count, about);
        let cells = Kind::Word(self.cell_names.clone());
        vec![
            count("member", "member, as in `members`"),
            count(
                "cycle",
                "cycle of the reference cell, from the beginning of `during`",
            ),
            Column::new("cell", "", cells, "cell that lags behind it"),
            Column::new("lag", "1", Kind::Number, "its lag, in that cycle"),
        ]
    }

    /// Columns of `return_map`.
    fn map_columns(&self, study: &Study) -> Vec<Column> {
        let count = |name, about| Column::new(name, "1", Kind::Count, about);
        let number = |name, about| Column::new(name, "1", Kind::Number, about).nullable();
        let starts = study.return_map.as_ref().map(|map| map.starts.as_slice());
        let axes = axis_columns(study).enumerate();
        let axes = axes.filter(|(k, _)| !starts.unwrap_or_default().contains(k));
        let of = Kind::Word(Words::new(&["fixed point", "attractor"]));
        let cells = Kind::Word(self.cell_names.clone());
        let mut columns = vec![
            count("map", "number of the map"),
            base_column(study),
            branch_column(study),
        ];
        columns.extend(axes.map(|(_, axis)| axis));
        columns.push(count("network", "number of the draw, or row of the table"));
        columns.push(count("realisation", "run of the network"));
        columns.push(count("runs", "members of the map"));
        columns.push(count("points", "pairs of cycles that follow each other"));
        let about = "what the row is about; none: nothing was found";
        columns.push(Column::new("of", "", of, about).nullable());
        columns.push(count("k", "its number in the map").nullable());
        columns.push(Column::new("cell", "", cells, "cell").nullable());
        columns.push(number("lag", "its lag behind the reference cell"));
        let about = "what a small distance is multiplied by in a cycle";
        columns.push(number("multiplier", about));
        let about = "whether it draws near";
        columns.push(Column::new("stable", "", Kind::Flag, about).nullable());
        columns.push(number("share", "share of the members that end there"));
        columns
    }

    /// Columns of `curves`.
    fn curve_columns(&self, study: &Study) -> Vec<Column> {
        let count = |name, about| Column::new(name, "1", Kind::Count, about);
        let number = |name: &str, unit: &str, about: &str| {
            Column::new(name, unit, Kind::Number, about).nullable()
        };
        let phase = study.response.as_ref().map(|response| response.phase);
        let axes = axis_columns(study).enumerate();
        let cycles = study
            .response
            .as_ref()
            .map_or(0, |response| response.cycles);
        let mut columns = vec![
            count("curve", "number of the curve"),
            base_column(study),
            branch_column(study),
        ];
        columns.extend(
            axes.filter(|(k, _)| Some(*k) != phase)
                .map(|(_, axis)| axis),
        );
        columns.push(count("network", "number of the draw, or row of the table"));
        columns.push(count("realisation", "run of the network"));
        columns.push(count("points", "members with a response"));
        columns.push(count(
            "failed",
            "members without, see `response_error` in `members`",
        ));
        for k in 0..cycles {
            let about = "shift of a cycle, an advance above 0";
            columns.push(number(
                &format!("shift_{k}_min"),
                "1",
                &format!("least {about}"),
            ));
            columns.push(number(
                &format!("shift_{k}_max"),
                "1",
                &format!("greatest {about}"),
            ));
        }
        let about = "period of pulses that entrain it one to one, in free periods";
        columns.push(number("entrained_from", "1", &format!("shortest {about}")));
        columns.push(number("entrained_to", "1", &format!("longest {about}")));
        let about = "size of the pulse that it is held against";
        columns.push(number("compared_with", "", about));
        let about = "greatest difference of shift/size, as a share of the greatest shift/size";
        columns.push(number("nonlinearity", "1", about));
        columns
    }

    fn cell_columns(&self) -> Vec<Column> {
        let words = MOMENTS.map(|(_, word)| word);
        let patterns = PATTERNS.map(|pattern| pattern.to_string());
        let number = |name, unit, about| Column::new(name, unit, Kind::Number, about).nullable();
        let count = |name, about| Column::new(name, "1", Kind::Count, about);
        vec![
            count("member", "member, as in `members`"),
            Column::new("window", "", Kind::Word(Words::new(&words)), "window"),
            Column::new("cell", "", Kind::Word(self.cell_names.clone()), "cell"),
            Column::new(
                "pattern",
                "",
                Kind::Word(Words::new(&patterns)),
                "firing pattern",
            ),
            count("spikes", "spikes in the window"),
            count("bursts", "bursts that count"),
            count("spikes_per_burst_max", "spikes of the largest burst").nullable(),
            number("frequency_hz", "Hz", "spikes per length of the window"),
            number("period_ms", "ms", "mean difference of onsets"),
            number("period_cv", "1", "its coefficient of variation"),
            number("duty", "1", "share of the period between onset and offset"),
            number("spikes_per_burst", "1", "mean number of spikes of a burst"),
            number("intraburst_hz", "Hz", "frequency inside bursts"),
            number("burstiness_hz2", "Hz²", "burstiness"),
            number("ca_mean_um", "µM", "mean calcium"),
        ]
    }

    fn cycle_columns(&self) -> Vec<Column> {
        let number = |name, unit, about| Column::new(name, unit, Kind::Number, about);
        let count = |name, about| Column::new(name, "1", Kind::Count, about);
        vec![
            count("member", "member, as in `members`"),
            Column::new(
                "rhythm",
                "",
                Kind::Word(self.rhythm_names.clone()),
                "rhythm",
            ),
            Column::new("cell", "", Kind::Word(self.cell_names.clone()), "cell"),
            count("k", "number of the burst in its cell"),
            number("on_ms", "ms", "first spike, from the fork"),
            number("off_ms", "ms", "last spike, from the fork"),
            number("period_ms", "ms", "onset to next onset").nullable(),
            number("duty", "1", "share of the period between onset and offset").nullable(),
            number("phase", "1", "onset in the cycle of the reference cell").nullable(),
            count("n_spikes", "spikes in it"),
        ]
    }
}

/// The tables of a return map.
struct Returns {
    count: u64,
    lags: Table<Part>,
    maps: Table<Part>,
}

impl Returns {
    /// Adds the lags of a member or control.
    fn lags(
        &mut self,
        study: &Study,
        layout: &Layout,
        base: usize,
        number: u64,
        lags: &Lags,
    ) -> io::Result<()> {
        let names = lagging(study, layout, base);
        for (cycle, lags) in lags.iter().enumerate() {
            for (name, lag) in names.iter().zip(lags.iter().flatten()) {
                self.lags.row([
                    Value::Count(number),
                    Value::Count(cycle as u64),
                    Value::Word(*name),
                    Value::Number(*lag),
                ])?;
            }
        }
        Ok(())
    }

    /// Adds what was found in a map.
    fn map(
        &mut self,
        study: &Study,
        layout: &Layout,
        plan: &Plan,
        told: &maps::Told,
    ) -> io::Result<()> {
        let (number, member) = (Value::Count(self.count), told.member);
        self.count += 1;
        let names = lagging(study, layout, member.base as usize);
        let branch = (!study.branches.is_empty()).then_some(member.branch as u32);
        let axes = held(study, plan.values(member.setting, member.point));
        let starts = study.return_map.as_ref().map(|map| map.starts.as_slice());
        let mut common = vec![
            number,
            Value::Word(member.base as u32),
            branch.map_or(Value::Null, Value::Word),
        ];
        let others = axes.iter().enumerate();
        let others = others.filter(|(k, _)| !starts.unwrap_or_default().contains(k));
        common.extend(others.map(|(_, value)| value.value()));
        common.extend([member.network, member.realisation].map(Value::Count));
        common.extend([told.runs as u64, told.points as u64].map(Value::Count));
        let mut row = |own: [Value<'static>; 7]| self.maps.row(common.iter().copied().chain(own));
        for (k, at) in told.fixed.iter().enumerate() {
            row([
                Value::Word(0),
                Value::Count(k as u64),
                names.first().map_or(Value::Null, |name| Value::Word(*name)),
                Value::Number(at.phase),
                Value::Number(at.multiplier),
                Value::Flag(at.stable),
                Value::Null,
            ])?;
        }
        for (k, attractor) in told.attractors.iter().enumerate() {
            for (name, lag) in names.iter().zip(&attractor.lags) {
                row([
                    Value::Word(1),
                    Value::Count(k as u64),
                    Value::Word(*name),
                    Value::Number(*lag),
                    Value::Null,
                    Value::Null,
                    Value::Number(attractor.runs.len() as f64 / told.runs as f64),
                ])?;
            }
        }
        match told.fixed.is_empty() && told.attractors.is_empty() {
            true => row([Value::Null; 7]),
            false => Ok(()),
        }
    }
}

/// The cells that lag behind the reference of the rhythm of the return map, among the names of all
/// bases.
fn lagging(study: &Study, layout: &Layout, base: usize) -> Vec<u32> {
    let rhythm = study.return_map.as_ref().map(|map| map.rhythm);
    let rhythm = rhythm.and_then(|rhythm| study.bases[base].rhythms.get(rhythm));
    let cells = rhythm.into_iter().flat_map(verdict::cells).skip(1);
    cells.map(|cell| layout.scene_cells[base][cell]).collect()
}

/// The tables of a phase response.
struct Responses {
    count: u64,
    curves: Table<Part>,
    locking: Table<Part>,
}

impl Responses {
    /// Adds a curve, and where what has it locks.
    fn row(&mut self, study: &Study, plan: &Plan, told: &curves::Told) -> io::Result<()> {
        let (number, member) = (Value::Count(self.count), told.member);
        self.count += 1;
        let branch = (!study.branches.is_empty()).then_some(member.branch as u32);
        let axes = held(study, plan.values(member.setting, member.point));
        let phase = study.response.as_ref().map(|response| response.phase);
        let mut values = vec![
            number,
            Value::Word(member.base as u32),
            branch.map_or(Value::Null, Value::Word),
        ];
        let others = axes.iter().enumerate().filter(|(k, _)| Some(*k) != phase);
        values.extend(others.map(|(_, value)| value.value()));
        values.extend([member.network, member.realisation].map(Value::Count));
        values.extend([told.points, told.failed].map(Value::Count));
        let mut pair = |ends: Option<[f64; 2]>| {
            values.extend([0, 1].map(|k| Value::from(ends.map(|ends| ends[k]))));
        };
        told.ranges.iter().for_each(|range| pair(*range));
        pair(told.curve.as_ref().map(Curve::entrainment));
        pair(told.compared.map(|(size, apart)| [size, apart]));
        self.curves.row(values)?;
        let Some(curve) = &told.curve else {
            return Ok(());
        };
        for zero in curve.fixed_points() {
            self.locking.row([
                number,
                Value::Word(0),
                Value::Number(zero.phase),
                Value::Number(1.0),
                Value::Number(zero.multiplier),
                Value::Flag(zero.stable),
            ])?;
        }
        for pair in curve.pairs() {
            self.locking.row([
                number,
                Value::Word(1),
                Value::Number(pair.lag),
                Value::Number(pair.period),
                Value::Number(pair.multiplier),
                Value::Flag(pair.stable),
            ])?;
        }
        Ok(())
    }
}

/// Columns of `locking`.
fn locking_columns() -> Vec<Column> {
    let number = |name, about| Column::new(name, "1", Kind::Number, about);
    let of = Kind::Word(Words::new(&["pulse", "pair"]));
    let about = "what locks: the rhythm to a pulse in each free period, or two such cells that pulse \
                 each other at their onsets";
    vec![
        Column::new(
            "curve",
            "1",
            Kind::Count,
            "number of the curve, as in `curves`",
        ),
        Column::new("of", "", of, about),
        number(
            "phase",
            "phase of the pulse, or lag of one cell behind the other",
        ),
        number("period", "common period, in free periods"),
        number(
            "multiplier",
            "what a small distance is multiplied by in a cycle",
        ),
        Column::new("stable", "", Kind::Flag, "whether it draws near"),
    ]
}

/// Values of all axes as columns have them.
fn held(study: &Study, values: Vec<Option<model::Value>>) -> Vec<Held> {
    let held = |(axis, value): (&model::Axis, Option<model::Value>)| match value {
        None => Held::Null,
        Some(model::Value::Number(number)) if is_number(axis) => Held::Number(number),
        Some(model::Value::Number(number)) => Held::Text(number.to_string()),
        Some(model::Value::Text(text)) => Held::Text(text),
        Some(model::Value::Texts(texts)) => Held::Text(texts.join(" ")),
    };
    study.axes.iter().zip(values).map(held).collect()
}

impl Held {
    fn value(&self) -> Value<'_> {
        match self {
            Held::Null => Value::Null,
            Held::Number(number) => Value::Number(*number),
            Held::Text(text) => Value::Text(text),
        }
    }
}

/// The words of several lists, each once, and where those of each list are.
fn shared_words(lists: impl Iterator<Item = Vec<String>>) -> (Words, Vec<Vec<u32>>) {
    let mut places = HashMap::new();
    let mut words: Vec<String> = Vec::new();
    let mut place = |word: String| {
        *places.entry(word.clone()).or_insert_with(|| {
            words.push(word);
            words.len() as u32 - 1
        })
    };
    let lists = lists
        .map(|list| list.into_iter().map(&mut place).collect())
        .collect();
    (Words::new(&words), lists)
}

/// Whether every value of an axis is a number.
fn is_number(axis: &model::Axis) -> bool {
    match &axis.values {
        Values::List(values) => values
            .iter()
            .all(|value| matches!(value, model::Value::Number(_))),
        _ => true,
    }
}

fn base_column(study: &Study) -> Column {
    let bases: Vec<&str> = study.bases.iter().map(|base| base.name.as_str()).collect();
    let words = Kind::Word(Words::new(&bases));
    Column::new("base", "", words, "scene the network is made of")
}

fn branch_column(study: &Study) -> Column {
    let branches = study.branches.iter().map(|(name, _)| name.as_str());
    let words = Kind::Word(Words::new(&branches.collect::<Vec<_>>()));
    Column::new("branch", "", words, "alternative of the protocol").nullable()
}

fn axis_columns(study: &Study) -> impl Iterator<Item = Column> {
    study.axes.iter().map(|axis| {
        let kind = match is_number(axis) {
            true => Kind::Number,
            false => Kind::Text,
        };
        Column::new(&axis.name, "", kind, "axis of the design").nullable()
    })
}

/// Columns that rows of all bases have.
fn common_columns(study: &Study) -> Vec<Column> {
    let count = |name, about| Column::new(name, "1", Kind::Count, about);
    let word =
        |name, words: &[&str], about| Column::new(name, "", Kind::Word(Words::new(words)), about);
    let mut columns = vec![
        count("member", "number of the member; controls come last"),
        base_column(study),
        branch_column(study),
        count("network", "number of the draw, or row of the table"),
        count("realisation", "run of the network"),
        Column::new("control", "", Kind::Flag, "whether nothing was done to it"),
    ];
    columns.extend(axis_columns(study));
    columns.push(word(
        "status",
        &["ok", "failed"],
        "whether it ran to its end",
    ));
    columns.push(Column::new("error", "", Kind::Text, "why it failed").nullable());
    let number = |name: &str, unit, about| Column::new(name, unit, Kind::Number, about).nullable();
    columns.push(number("fork_ms", "ms", "model time of the fork"));
    for (_, window) in MOMENTS {
        for measure in &study.measures {
            let name = format!("{window}.{}", measure.name);
            columns.push(number(&name, "", "measure in the window"));
        }
    }
    for outcome in study.outcome_names() {
        columns.push(Column::new(outcome, "", Kind::Flag, "whether the rule holds").nullable());
    }
    if let Some(response) = &study.response {
        let period = "control's cycle that holds the pulse";
        columns.push(number("response_period_ms", "ms", period));
        for k in 0..response.cycles {
            let name = format!("response_shift_{k}");
            columns.push(number(&name, "1", "shift of a cycle, an advance above 0"));
        }
        let about = "why there is no response";
        columns.push(Column::new("response_error", "", Kind::Text, about).nullable());
    }
    if has_bisection(study) {
        let fates = [Fate::LostAtOnce, Fate::NeverLost, Fate::Lost].map(|fate| fate.to_string());
        let fates: Vec<&str> = fates.iter().map(String::as_str).collect();
        let about = "whether there is a critical value";
        columns.push(word("critical_fate", &fates, about).nullable());
        columns.push(number("critical", "", "critical value of the axis"));
        columns.push(number("critical_from", "", "last value with the rhythm"));
        columns.push(number("critical_to", "", "first value without"));
        let about = "branches it took";
        columns.push(Column::new("critical_runs", "1", Kind::Count, about).nullable());
    }
    columns
}

fn has_bisection(study: &Study) -> bool {
    let mut axes = study.axes.iter();
    axes.any(|axis| matches!(axis.values, Values::Bisect { .. }))
}

fn common_values<'r>(
    study: &Study,
    number: u64,
    row: Row,
    record: &'r Record,
    axes: &'r [Held],
) -> Vec<Value<'r>> {
    let (run, branch) = match row {
        Row::Member(member) => {
            let named = !study.branches.is_empty();
            (member.run(), named.then_some(member.branch as u32))
        }
        Row::Control(run) => (run, None),
    };
    let judgement = &record.judgement;
    let mut values = vec![
        Value::Count(number),
        Value::Word(run.base as u32),
        branch.map_or(Value::Null, Value::Word),
        Value::Count(run.network),
        Value::Count(run.realisation),
        Value::Flag(matches!(row, Row::Control(_))),
    ];
    values.extend(axes.iter().map(Held::value));
    values.push(Value::Word(u32::from(judgement.error.is_some())));
    values.push(text(judgement.error.as_deref()));
    values.push(record.fork_ms.into());
    for measures in &judgement.measures {
        let value = |k: usize| Value::from(measures.get(k).copied().flatten());
        values.extend((0..study.measures.len()).map(value));
    }
    let outcome = |k: usize| judgement.outcomes.get(k).copied().flatten();
    let outcomes = (0..study.outcome_names().len()).map(outcome);
    values.extend(outcomes.map(|held| held.map_or(Value::Null, Value::Flag)));
    if let Some(response) = &study.response {
        let shifts = judgement.response.as_ref();
        values.push(shifts.and_then(|shifts| shifts.period_ms).into());
        let shift = |k: usize| shifts.and_then(|shifts| shifts.shifts.get(k).copied());
        values.extend((0..response.cycles).map(|k| Value::from(shift(k))));
        values.push(text(shifts.and_then(|shifts| shifts.error.as_deref())));
    }
    if has_bisection(study) {
        let critical = judgement.critical.as_ref();
        let fate = critical.map(|critical| match critical.fate {
            Fate::LostAtOnce => 0,
            Fate::NeverLost => 1,
            Fate::Lost => 2,
        });
        let bracket = critical.and_then(|critical| critical.bracket);
        values.push(fate.map_or(Value::Null, Value::Word));
        values.push(critical.and_then(|critical| critical.value).into());
        values.push(bracket.map(|[from, _]| from).into());
        values.push(bracket.map(|[_, to]| to).into());
        let runs = critical.map(|critical| critical.evaluations as u64);
        values.push(runs.map_or(Value::Null, Value::Count));
    }
    values
}

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, Value::Text)
}

/// The cells of a rhythm that `members` tells of: the reference, then the others; none of a large one.
fn listed(rhythm: &Rhythm) -> Vec<usize> {
    let cells: Vec<usize> = verdict::cells(rhythm).collect();
    match cells.len() {
        0..=LISTED => cells,
        _ => Vec::new(),
    }
}

/// Columns that rows of a base have, rhythm by rhythm.
fn own_columns(base: &Scene) -> Vec<Column> {
    let words = Words::new(&Word::ALL.map(Word::text));
    let there = Words::new(&VERDICTS.map(|verdict| verdict.to_string()));
    let number = |name: &str, unit, about| Column::new(name, unit, Kind::Number, about).nullable();
    let word = |name: &str, words: &Words, about| {
        Column::new(name, "", Kind::Word(words.clone()), about).nullable()
    };
    let mut columns = Vec::new();
    for rhythm in &base.rhythms {
        let name = &rhythm.name;
        let cells = listed(rhythm);
        let others = cells.get(1..).unwrap_or_default();
        let of = |cell: &usize| &base.cells[*cell].name;
        columns.push(word(&format!("{name}.verdict"), &words, "verdict"));
        columns.push(word(
            &format!("{name}.during"),
            &words,
            "verdict while the protocol acted",
        ));
        columns.push(word(
            &format!("{name}.after"),
            &words,
            "verdict after it was undone",
        ));
        let about = "time after the fork at which it settled";
        columns.push(number(&format!("{name}.settling_ms"), "ms", about));
        let about = "time after the undoing at which it was as before";
        columns.push(number(&format!("{name}.recovery_ms"), "ms", about));
        for (_, window) in MOMENTS {
            let at = format!("{name}.{window}");
            columns.push(word(&format!("{at}.there"), &there, "whether it is there"));
            columns.push(number(&format!("{at}.period_ms"), "ms", "mean period"));
            let about = "coefficient of variation of the period";
            columns.push(number(&format!("{at}.period_cv"), "1", about));
            columns.push(number(&format!("{at}.ca_mean_um"), "µM", "mean calcium"));
            columns.extend(
                others.iter().map(|cell| {
                    number(&format!("{at}.{}.phase", of(cell)), "1", "mean onset phase")
                }),
            );
            columns.extend(others.iter().map(|cell| {
                let about = "resultant length of its onset phases";
                number(&format!("{at}.{}.lock", of(cell)), "1", about)
            }));
            columns.extend(
                cells
                    .iter()
                    .map(|cell| number(&format!("{at}.{}.duty", of(cell)), "1", "duty cycle")),
            );
        }
        for window in ["during", "after"] {
            let at = format!("{name}.change_{window}");
            let about = "change of the period against the control";
            columns.push(number(&format!("{at}.period_percent"), "%", about));
            columns.push(number(&format!("{at}.ca_um"), "µM", "change of calcium"));
            columns.extend(
                others.iter().map(|cell| {
                    number(&format!("{at}.{}.phase", of(cell)), "1", "change of phase")
                }),
            );
            columns.extend(cells.iter().map(|cell| {
                let about = "change of the duty cycle";
                number(&format!("{at}.{}.duty", of(cell)), "1", about)
            }));
        }
    }
    columns
}

/// Verdicts in the order of their words.
const VERDICTS: [Verdict; 3] = [Verdict::Rhythmic, Verdict::Irregular, Verdict::Absent];

/// The values of the columns that rows of a base have.
fn own_values<'r>(base: &Scene, record: &'r Record) -> Vec<Value<'r>> {
    let none = RhythmJudgement::default();
    let mut values = Vec::new();
    for (k, rhythm) in base.rhythms.iter().enumerate() {
        let told = record.judgement.rhythms.get(k).unwrap_or(&none);
        let cells = listed(rhythm).len();
        let others = cells.saturating_sub(1);
        let word = |word: Option<Word>| {
            let place = word.and_then(|word| Word::ALL.iter().position(|known| *known == word));
            place.map_or(Value::Null, |place| Value::Word(place as u32))
        };
        values.extend([told.verdict, told.during, told.after].map(word));
        values.push(told.settling_ms.into());
        values.push(told.recovery_ms.into());
        for window in &told.windows {
            figures(window.as_ref(), cells, others, &mut values);
        }
        for change in [&told.change_during, &told.change_after] {
            changes(change.as_ref(), cells, others, &mut values);
        }
    }
    values
}

/// The first `n` numbers of a list, or nothing in their places.
fn numbers(list: Option<&[Option<f64>]>, n: usize, values: &mut Vec<Value<'_>>) {
    let number = |k: usize| list.and_then(|list| list.get(k).copied().flatten());
    values.extend((0..n).map(|k| Value::from(number(k))));
}

fn figures(told: Option<&Figures>, cells: usize, others: usize, values: &mut Vec<Value<'_>>) {
    let place = told.and_then(|told| VERDICTS.iter().position(|known| *known == told.there));
    values.push(place.map_or(Value::Null, |place| Value::Word(place as u32)));
    values.push(told.and_then(|told| told.period_ms).into());
    values.push(told.and_then(|told| told.period_cv).into());
    values.push(told.and_then(|told| told.ca_mean_um).into());
    numbers(told.map(|told| &told.phases[..]), others, values);
    numbers(told.map(|told| &told.locks[..]), others, values);
    numbers(told.map(|told| &told.duties[..]), cells, values);
}

fn changes(told: Option<&Changes>, cells: usize, others: usize, values: &mut Vec<Value<'_>>) {
    values.push(told.and_then(|told| told.period_percent).into());
    values.push(told.and_then(|told| told.ca_um).into());
    numbers(told.map(|told| &told.phases[..]), others, values);
    numbers(told.map(|told| &told.duties[..]), cells, values);
}

fn cell_rows(
    table: &mut Table<Part>,
    names: &[u32],
    number: u64,
    record: &Record,
) -> io::Result<()> {
    for (window, cells) in record.cells.iter().enumerate() {
        for (name, cell) in names.iter().zip(cells) {
            let Cell {
                pattern,
                spikes,
                bursts,
                largest_burst,
                numbers,
            } = cell;
            let mut row = vec![
                Value::Count(number),
                Value::Word(window as u32),
                Value::Word(*name),
                Value::Word(u32::from(*pattern)),
                Value::Count(u64::from(*spikes)),
                Value::Count(u64::from(*bursts)),
                largest_burst.map_or(Value::Null, |n| Value::Count(u64::from(n))),
            ];
            row.extend(numbers.iter().map(|number| Value::from(*number)));
            table.row(row)?;
        }
    }
    Ok(())
}

fn cycle_rows(
    table: &mut Table<Part>,
    layout: &Layout,
    base: usize,
    number: u64,
    record: &Record,
) -> io::Result<()> {
    for cycle in &record.cycles {
        let Cycle {
            rhythm,
            cell,
            k,
            on_ms,
            off_ms,
            period_ms,
            phase,
            n_spikes,
        } = *cycle;
        table.row([
            Value::Count(number),
            Value::Word(layout.scene_rhythms[base][rhythm as usize]),
            Value::Word(layout.scene_cells[base][cell as usize]),
            Value::Count(u64::from(k)),
            Value::Number(on_ms),
            Value::Number(off_ms),
            period_ms.into(),
            period_ms
                .map(|period_ms| (off_ms - on_ms) / period_ms)
                .into(),
            phase.into(),
            Value::Count(u64::from(n_spikes)),
        ])?;
    }
    Ok(())
}
