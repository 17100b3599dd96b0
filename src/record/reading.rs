//! Reads a table back, as [`super::table`] wrote it.

use std::{fs::File, io};

use arrow_array::{
    Array, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    types::Int32Type,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Field {
    /// Nothing.
    Null,
    /// A number.
    Number(f64),
    /// A count.
    Count(i64),
    /// True or false.
    Flag(bool),
    /// A text or a word.
    Text(String),
}

/// A table in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Field>>,
}

impl Rows {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no such table.
    pub fn read(file: File) -> io::Result<Self> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(io::Error::other)?;
        let fields = builder.schema().fields().iter();
        let mut table = Rows {
            columns: fields.map(|field| field.name().clone()).collect(),
            rows: Vec::new(),
        };
        for batch in builder.build().map_err(io::Error::other)? {
            let batch = batch.map_err(io::Error::other)?;
            let rows = (0..batch.num_rows()).map(|row| fields_of(&batch, row));
            table.rows.extend(rows);
        }
        Ok(table)
    }

    /// Place of a column.
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }
}

fn fields_of(batch: &RecordBatch, row: usize) -> Vec<Field> {
    let columns = batch.columns().iter();
    columns.map(|column| field(column.as_ref(), row)).collect()
}

fn field(column: &dyn Array, row: usize) -> Field {
    if column.is_null(row) {
        return Field::Null;
    }
    let any = column.as_any();
    if let Some(numbers) = any.downcast_ref::<Float64Array>() {
        Field::Number(numbers.value(row))
    } else if let Some(counts) = any.downcast_ref::<Int64Array>() {
        Field::Count(counts.value(row))
    } else if let Some(flags) = any.downcast_ref::<BooleanArray>() {
        Field::Flag(flags.value(row))
    } else if let Some(texts) = any.downcast_ref::<StringArray>() {
        Field::Text(texts.value(row).to_owned())
    } else if let Some(words) = any.downcast_ref::<DictionaryArray<Int32Type>>() {
        let key = words.keys().value(row) as usize;
        field(words.values().as_ref(), key)
    } else {
        Field::Null
    }
}
