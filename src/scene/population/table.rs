//! Tables of conductances: a row a cell, a column a channel.

use std::sync::Arc;

use csv::StringRecord;
use homarus_systems::definition::CellDefinition;

use super::super::{
    decode::Rule,
    diagnostic::{Diagnostic, Diagnostics},
    names, rows,
    source::{Place, Source},
};

/// A table, where it is asked for, and what it is for.
pub(in super::super) struct Table<'s> {
    pub source: &'s Arc<Source>,
    pub place: &'s Place,
    pub definition: &'s CellDefinition,
    /// Which conductances are allowed.
    pub rule: Rule,
    /// Whether homeostasis needs its reference channel in every cell.
    pub homeostasis: bool,
}

/// Mistakes of one table beyond which no more are told.
const SHOWN: usize = 20;

impl Table<'_> {
    /// Conductances (mS/cm²) by lane, row by row. Channels without a column have those of `gbar`,
    /// if it has any.
    pub fn read(&self, gbar: &[Option<f64>], errors: &mut Diagnostics) -> Option<Vec<Vec<f64>>> {
        let mut reader = rows::reader(self.source);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return self.unreadable(&error, errors),
        };
        let columns = self.columns(&header, gbar, errors)?;
        let before = errors.errors().len();
        let (mut cells, mut record) = (Vec::new(), StringRecord::new());
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return self.unreadable(&error, errors),
            }
            let mut cell: Vec<f64> = gbar.iter().map(|g| g.unwrap_or(0.0)).collect();
            if self
                .row(&header, &columns, &record, &mut cell, errors)
                .is_some()
            {
                cells.push(cell);
            }
            if errors.errors().len() > before + SHOWN {
                return None;
            }
        }
        if errors.errors().len() > before {
            return None;
        }
        if cells.is_empty() {
            errors.push(
                Diagnostic::at(self.place, "this table holds no cell")
                    .label("no row below its header")
                    .help("a table has a row a cell and a column a channel"),
            );
            return None;
        }
        Some(cells)
    }

    fn unreadable<T>(&self, error: &csv::Error, errors: &mut Diagnostics) -> Option<T> {
        let message = format!("this table cannot be read: {error}");
        errors.push(Diagnostic::at(self.place, message).label("table of conductances"));
        None
    }

    /// The lane of each column that holds conductances.
    fn columns(
        &self,
        header: &StringRecord,
        gbar: &[Option<f64>],
        errors: &mut Diagnostics,
    ) -> Option<Vec<(usize, usize)>> {
        let channels = || {
            self.definition
                .channels
                .iter()
                .map(|(name, _)| name.as_str())
        };
        if header.iter().all(str::is_empty) {
            errors.push(
                Diagnostic::at(self.place, "this table is empty")
                    .label("no header")
                    .help(format!(
                        "its first line names its columns: {}",
                        example(channels())
                    )),
            );
            return None;
        }
        let place = rows::place(self.source, header);
        let before = errors.errors().len();
        let mut columns: Vec<(usize, usize)> = Vec::new();
        for (column, name) in header.iter().enumerate() {
            let lane = channels().position(|channel| channel == name).or_else(|| {
                let channel = name.strip_suffix(".gbar").or(name.strip_prefix('g'))?;
                channels().position(|known| known == channel)
            });
            let Some(lane) = lane else {
                // Other columns are for other readers, unless they are paths.
                if name.contains('.') {
                    let channel = name.strip_suffix(".gbar");
                    let hint = channel.and_then(|channel| {
                        let near = names::nearest(channel, channels())?;
                        Some(format!("did you mean `{near}.gbar`?"))
                    });
                    let known = || format!("its columns are conductances: {}", example(channels()));
                    errors.push(
                        Diagnostic::at(
                            &rows::field(self.source, header, column),
                            format!("a table of conductances has no column `{name}`"),
                        )
                        .label("unknown column")
                        .help(hint.unwrap_or_else(known)),
                    );
                }
                continue;
            };
            if let Some((first, _)) = columns.iter().find(|(_, known)| *known == lane) {
                let channel = &self.definition.channels[lane].0;
                errors.push(
                    Diagnostic::at(
                        &rows::field(self.source, header, column),
                        format!("two columns hold the conductance of `{channel}`"),
                    )
                    .label(format!(
                        "column {}; column {} is `{}`",
                        column + 1,
                        first + 1,
                        header.get(*first).unwrap_or_default(),
                    ))
                    .help("take one of them out, or give it another name"),
                );
            }
            columns.push((column, lane));
        }
        let missing = (0..gbar.len()).filter(|lane| {
            gbar[*lane].is_none() && !columns.iter().any(|(_, known)| known == lane)
        });
        for lane in missing {
            let channel = &self.definition.channels[lane].0;
            let spare = header.iter().enumerate();
            let spare = spare.filter(|(k, _)| !columns.iter().any(|(column, _)| column == k));
            let spare: Vec<&str> = spare.map(|(_, name)| name).collect();
            let mut forms = [channel.clone(), format!("g{channel}")].into_iter();
            let near = forms.find_map(|form| names::nearest(&form, spare.iter().copied()));
            let help = match near {
                Some(near) => format!(
                    "is column `{near}` meant? a column is called `{channel}`, `g{channel}` or `{channel}.gbar`"
                ),
                None if header.len() == 1
                    && header.get(0).is_some_and(|h| h.contains([';', '\t'])) =>
                {
                    "columns are separated by commas".to_owned()
                }
                None => format!(
                    "a column is called `{channel}`, `g{channel}` or `{channel}.gbar`; one value for all cells stands in `gbar`"
                ),
            };
            errors.push(
                Diagnostic::at(&place, format!("this table has no column for `{channel}`"))
                    .label("its header")
                    .help(help),
            );
        }
        (errors.errors().len() == before).then_some(columns)
    }

    /// Reads one row into the conductances (mS/cm²) of a cell.
    fn row(
        &self,
        header: &StringRecord,
        columns: &[(usize, usize)],
        record: &StringRecord,
        cell: &mut [f64],
        errors: &mut Diagnostics,
    ) -> Option<()> {
        let place = rows::place(self.source, record);
        if record.len() != header.len() {
            errors.push(
                Diagnostic::at(&place, format!("this row has {} columns", record.len()))
                    .label(format!("the header has {}", header.len())),
            );
            return None;
        }
        let mut fine = true;
        for &(column, lane) in columns {
            let (name, text) = (&header[column], &record[column]);
            let place = rows::field(self.source, record, column);
            match text.parse::<f64>() {
                Ok(g) if g.is_finite() => match self.rule.check(g, &place, errors) {
                    Some(g) => cell[lane] = g,
                    None => fine = false,
                },
                _ => {
                    errors.push(
                        Diagnostic::at(
                            &place,
                            format!("expected a finite number (mS/cm²) in column `{name}`"),
                        )
                        .label(match text {
                            "" => "found nothing".to_owned(),
                            text => format!("found `{text}`"),
                        })
                        .help("numbers look like `0.01` or `3951.84`"),
                    );
                    fine = false;
                }
            }
        }
        let reference = self.definition.homeostat_reference.as_ref();
        let channels = &self.definition.channels;
        let lane = reference.and_then(|r| channels.iter().position(|(name, _)| name == r));
        if let Some(lane) = lane.filter(|lane| fine && self.homeostasis && cell[*lane] <= 0.0) {
            errors.push(
                Diagnostic::at(
                    &place,
                    format!(
                        "homeostasis needs a conductance of `{}` above 0",
                        channels[lane].0
                    ),
                )
                .label(format!("found {}", cell[lane]))
                .help("the time constant of every channel is in proportion to it"),
            );
            fine = false;
        }
        fine.then_some(())
    }
}

/// A header.
fn example<'a>(channels: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = channels.collect();
    format!("`{}`", names.join(","))
}
