//! What was written, read back: what `run.json` of a bundle says, and the rows of tables.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Float64Type, Int32Type, Int64Type},
};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde::{Deserialize, Serialize};

use super::{bundle::FileDigest, manifest::From};
use crate::rhythm::WindowReport;

/// What `run.json` of a bundle says, as far as it is read back.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    /// Version of the program.
    pub homarus: String,
    /// Hash of the scene.
    pub scene_hash: String,
    /// How the run ended.
    pub status: String,
    /// Model time at the end (ms).
    pub model_ms: f64,
    /// Windows in order of time.
    pub windows: Vec<WindowReport>,
    /// What the run went on from.
    pub from: Option<From>,
    /// Every other file.
    pub files: Vec<FileDigest>,
}

/// Why a folder is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum NoBundle {
    /// There is no such file.
    #[error("`{}` is no bundle: its run.json cannot be read: {error}", .dir.display())]
    Missing {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is not what a run writes.
    #[error("`{}` is no bundle: its run.json is not what a run writes: {error}", .dir.display())]
    Other {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// Reads `run.json` of a bundle, and gives its text, too.
///
/// # Errors
/// The folder is no bundle.
pub fn recorded(dir: &Path) -> Result<(Recorded, String), NoBundle> {
    let own = || dir.to_owned();
    let text = fs::read_to_string(dir.join("run.json"));
    let text = text.map_err(|error| NoBundle::Missing { dir: own(), error })?;
    let recorded = serde_json::from_str(&text);
    let recorded = recorded.map_err(|error| NoBundle::Other { dir: own(), error })?;
    Ok((recorded, text))
}

/// A value of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// Nothing.
    Null,
    /// A number.
    Number(f64),
    /// A count.
    Count(i64),
    /// True or false.
    Flag(bool),
    /// A word or text.
    Text(String),
}

impl Item {
    /// Whether it is the same to the bit.
    pub fn same(&self, other: &Item) -> bool {
        match (self, other) {
            (Item::Number(a), Item::Number(b)) => a.to_bits() == b.to_bits(),
            _ => self == other,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Null => f.write_str("-"),
            Item::Number(x) => write!(f, "{x}"),
            Item::Count(n) => write!(f, "{n}"),
            Item::Flag(flag) => write!(f, "{flag}"),
            Item::Text(text) => f.write_str(text),
        }
    }
}

/// The rows of a table, one after the other.
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    reader: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    next: usize,
}

impl Rows {
    /// Opens a Parquet file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let named = |error: &dyn fmt::Display| {
            io::Error::other(format!("`{}` cannot be read: {error}", path.display()))
        };
        let file = File::open(path).map_err(|error| named(&error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file);
        let reader = builder.and_then(ParquetRecordBatchReaderBuilder::build);
        let reader = reader.map_err(|error| named(&error))?;
        let fields = arrow_array::RecordBatchReader::schema(&reader);
        let columns = fields.fields().iter().map(|field| field.name().clone());
        Ok(Rows {
            columns: columns.collect(),
            reader,
            batch: None,
            next: 0,
        })
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn next_row(&mut self) -> io::Result<Option<Vec<Item>>> {
        loop {
            if let Some(batch) = &self.batch
                && self.next < batch.num_rows()
            {
                let row = batch.columns().iter().map(|column| item(column, self.next));
                let row = row.collect();
                self.next += 1;
                return Ok(Some(row));
            }
            match self.reader.next() {
                Some(batch) => self.batch = Some(batch.map_err(io::Error::other)?),
                None => return Ok(None),
            }
            self.next = 0;
        }
    }
}

/// A table in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Item>>,
}

impl Whole {
    /// Reads a Parquet file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut from = Rows::open(path)?;
        let mut rows = Vec::new();
        while let Some(row) = from.next_row()? {
            rows.push(row);
        }
        let columns = from.columns;
        Ok(Whole { columns, rows })
    }

    /// Place of a column.
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}

/// A value of a column; tables hold no other sorts of columns.
fn item(column: &dyn Array, row: usize) -> Item {
    if column.is_null(row) {
        Item::Null
    } else if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        Item::Number(numbers.value(row))
    } else if let Some(counts) = column.as_primitive_opt::<Int64Type>() {
        Item::Count(counts.value(row))
    } else if let Some(flags) = column.as_boolean_opt() {
        Item::Flag(flags.value(row))
    } else if let Some(texts) = column.as_string_opt::<i32>() {
        Item::Text(texts.value(row).to_owned())
    } else if let Some(words) = column.as_dictionary_opt::<Int32Type>() {
        item(words.values(), words.keys().value(row) as usize)
    } else {
        Item::Null
    }
}
