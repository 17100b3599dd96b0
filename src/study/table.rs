//! Tables of networks: a row a network, a path a column.

use std::path::{Path, PathBuf};

use csv::StringRecord;
use homarus_systems::address::Names;

use crate::scene::{
    Scene,
    diagnostic::{Diagnostic, Diagnostics},
    include, paths, rows,
    source::Place,
    syntax::Key,
};

use super::model::Networks;

/// Mistakes of a table beyond which no more are told.
const SHOWN: usize = 20;

/// Reads the table that `file` names and holds its columns and values against the bases.
pub(super) fn table(
    file: &Key,
    folder: Option<&Path>,
    bases: &[(Scene, Names)],
    errors: &mut Diagnostics,
) -> Option<Networks> {
    let Some(folder) = folder else {
        let error = Diagnostic::at(&file.place, format!("`{}` cannot be read", file.text));
        errors.push(
            error
                .label("a path")
                .help("a study without a folder of its own has no tables"),
        );
        return None;
    };
    let path = folder.join(&file.text);
    let source = match include::read_file(&path) {
        Ok(source) => source,
        Err(unread) => {
            let message = format!("`{}` {}", file.text, unread.problem);
            let error = Diagnostic::at(&file.place, message).label("table of networks");
            errors.push(error.help("paths are relative to the folder of the study"));
            return None;
        }
    };
    let unreadable = |error: csv::Error| {
        let message = format!("this table cannot be read: {error}");
        Diagnostic::at(&file.place, message).label("table of networks")
    };
    let before = errors.errors().len();
    let mut reader = rows::reader(&source);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            errors.push(unreadable(error));
            return None;
        }
    };
    if header.iter().all(str::is_empty) {
        errors.push(
            Diagnostic::at(&file.place, "this table is empty")
                .label("no header")
                .help(
                    "its first line names paths, as `LP.Na.gbar`; each further line is a network",
                ),
        );
        return None;
    }
    let places: Vec<Place> = (0..header.len())
        .map(|column| rows::field(&source, &header, column))
        .collect();
    columns(&header, &places, bases, errors);
    let (mut values, mut record) = (Vec::new(), StringRecord::new());
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                errors.push(unreadable(error));
                return None;
            }
        }
        let row = row(&header, &record, bases, &|column| {
            rows::field(&source, &record, column)
        });
        match row {
            Ok(row) => values.push(row),
            Err(error) => errors.push(error),
        }
        if errors.errors().len() > before + SHOWN {
            return None;
        }
    }
    if errors.errors().len() > before {
        return None;
    }
    if values.is_empty() {
        errors.push(
            Diagnostic::at(&file.place, "this table holds no network")
                .label("no row below its header")
                .help("a table has a row a network and a path a column"),
        );
        return None;
    }
    Some(Networks::Table {
        file: PathBuf::from(&file.text),
        columns: header.iter().map(str::to_owned).collect(),
        rows: values,
    })
}

/// Holds the names of columns against the bases.
fn columns(
    header: &StringRecord,
    places: &[Place],
    bases: &[(Scene, Names)],
    errors: &mut Diagnostics,
) {
    for (column, name) in header.iter().enumerate() {
        let place = &places[column];
        if let Some(first) = header.iter().take(column).position(|known| known == name) {
            errors.push(
                Diagnostic::at(place, format!("two columns are called `{name}`"))
                    .label(format!(
                        "column {}; the first is column {}",
                        column + 1,
                        first + 1
                    ))
                    .help("take one of them out"),
            );
            continue;
        }
        for (_, names) in bases {
            if let Err(error) = paths::targets(names, name, place) {
                errors.push(error);
                break;
            }
        }
    }
}

/// The values of a network.
fn row(
    header: &StringRecord,
    record: &StringRecord,
    bases: &[(Scene, Names)],
    place: &dyn Fn(usize) -> Place,
) -> Result<Vec<f64>, Diagnostic> {
    if record.len() != header.len() {
        return Err(Diagnostic::at(
            &place(usize::MAX),
            "this row has not as many fields as the header",
        )
        .label(format!("{} fields, {} columns", record.len(), header.len())));
    }
    let mut values = Vec::with_capacity(record.len());
    for (column, (name, text)) in header.iter().zip(record).enumerate() {
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
        let Some(value) = value else {
            let found = match text {
                "" => "nothing".to_owned(),
                text => format!("`{text}`"),
            };
            return Err(Diagnostic::at(&place(column), "expected a finite number")
                .label(format!("found {found}"))
                .help(format!("in column `{name}`")));
        };
        for (scene, names) in bases {
            // What is wrong with the path itself is told of the header.
            if names.targets(name).is_ok() {
                paths::started(scene, names, name, &place(column), value)?;
            }
        }
        values.push(value);
    }
    Ok(values)
}
