//! A table on disk: Parquet, and the same rows as CSV beside it if asked.
//!
//! The bytes depend on the rows alone, not on how many were handed over at a time: rows are collected until a row group
//! is full, and the encoder only ever sees whole row groups. No more than one of them is in memory.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Arc,
};

use arrow_array::{
    Array, ArrayRef, DictionaryArray, RecordBatch, StringArray,
    builder::{BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder},
    types::Int32Type,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
    schema::types::ColumnPath,
};

/// Values in a row group, about: what bounds the memory of a table with many columns.
const GROUP_VALUES: usize = 1 << 20;

/// Rows in a row group of a table with few columns.
const GROUP_ROWS: usize = 65_536;

/// Rows in a row group of a table with very many columns.
const LEAST_GROUP_ROWS: usize = 1_024;

/// Version of the files, as their metadata tells it.
const FORMAT: &str = "1";

/// The known words of a column, such as the names of all cells; shared, not copied, between tables.
#[derive(Clone, Debug)]
pub struct Words(Arc<StringArray>);

impl Words {
    /// The words in their order: a row names one by its index.
    pub fn new<T: AsRef<str>>(words: &[T]) -> Self {
        Self(Arc::new(StringArray::from_iter_values(words)))
    }

    /// The word at an index.
    fn get(&self, index: u32) -> Option<&str> {
        let index = index as usize;
        (index < self.0.len()).then(|| self.0.value(index))
    }
}

/// What a column holds.
#[derive(Clone, Debug)]
pub enum Kind {
    /// f64.
    Number,
    /// A count: int64, which pandas, polars, DuckDB and R all take as an integer.
    Count,
    /// True or false.
    Flag,
    /// One of known words: a dictionary column, which pandas takes as a categorical and R as a factor.
    Word(Words),
    /// Any text.
    Text,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Unit, such as `ms`; `1` for a pure number, empty where there is none.
    pub unit: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether rows may leave it empty.
    pub nullable: bool,
    /// What it means, in a sentence.
    pub about: String,
}

impl Column {
    /// A column that every row fills.
    pub fn new(name: &str, unit: &str, kind: Kind, about: &str) -> Self {
        Column {
            name: name.to_string(),
            unit: unit.to_string(),
            kind,
            nullable: false,
            about: about.to_string(),
        }
    }

    /// The same column, which rows may leave empty.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    fn field(&self) -> Field {
        let data_type = match self.kind {
            Kind::Number => DataType::Float64,
            Kind::Count => DataType::Int64,
            Kind::Flag => DataType::Boolean,
            Kind::Word(_) => {
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
            }
            Kind::Text => DataType::Utf8,
        };
        let told = [("unit", &self.unit), ("about", &self.about)];
        let told: HashMap<String, String> = told
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(key, text)| (key.to_string(), text.clone()))
            .collect();
        Field::new(&self.name, data_type, self.nullable).with_metadata(told)
    }
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// A number.
    Number(f64),
    /// A count.
    Count(u64),
    /// True or false.
    Flag(bool),
    /// The word at an index.
    Word(u32),
    /// A text.
    Text(&'a str),
}

impl From<Option<f64>> for Value<'_> {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Value::Null, Value::Number)
    }
}

/// Where the rows of a table come from, as its metadata tells it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the scene.
    pub scene: String,
    /// Hash of the scene.
    pub scene_hash: String,
}

impl Origin {
    fn metadata(&self) -> Vec<KeyValue> {
        [
            ("scene", self.scene.as_str()),
            ("scene_hash", &self.scene_hash),
            ("homarus", env!("CARGO_PKG_VERSION")),
            ("format", FORMAT),
        ]
        .map(|(key, value)| KeyValue::new(key.to_string(), value.to_string()))
        .to_vec()
    }
}

/// A table that is being written.
pub struct Table<W: Write + Send> {
    columns: Vec<Column>,
    schema: SchemaRef,
    builders: Vec<Builder>,
    rows: usize,
    group_rows: usize,
    parquet: ArrowWriter<W>,
    csv: Option<csv::Writer<W>>,
    number: String,
}

impl<W: Write + Send> Table<W> {
    /// Starts a table in `parquet`, and in `csv` if given.
    ///
    /// # Errors
    /// The beginning of a file cannot be written.
    pub fn create(
        columns: Vec<Column>,
        origin: &Origin,
        parquet: W,
        csv: Option<W>,
    ) -> io::Result<Self> {
        let fields: Vec<Field> = columns.iter().map(Column::field).collect();
        let schema = Arc::new(Schema::new(fields));
        let properties = properties(&columns, origin);
        let parquet =
            ArrowWriter::try_new(parquet, schema.clone(), Some(properties)).map_err(unwrapped)?;
        let csv = match csv {
            Some(file) => Some(headed(file, &columns)?),
            None => None,
        };
        Ok(Table {
            builders: columns.iter().map(|c| Builder::new(&c.kind)).collect(),
            group_rows: (GROUP_VALUES / columns.len().max(1)).clamp(LEAST_GROUP_ROWS, GROUP_ROWS),
            rows: 0,
            number: String::new(),
            columns,
            schema,
            parquet,
            csv,
        })
    }

    /// Adds a row: one value a column, in their order.
    ///
    /// # Errors
    /// A file cannot be written, or the values do not fit the columns.
    pub fn row<'a>(&mut self, values: impl IntoIterator<Item = Value<'a>>) -> io::Result<()> {
        let mut values = values.into_iter();
        for (column, builder) in self.columns.iter().zip(&mut self.builders) {
            let value = values.next().ok_or_else(|| misfit(column, "no value"))?;
            if !builder.append(value) {
                return Err(misfit(column, &format!("{value:?}")));
            }
            if let Some(csv) = &mut self.csv {
                write_field(csv, &mut self.number, column, value)?;
            }
        }
        if let Some(csv) = &mut self.csv {
            csv.write_record(None::<&[u8]>).map_err(untabled)?;
        }
        self.rows += 1;
        if self.rows == self.group_rows {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is left and ends the files.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.parquet.close().map_err(unwrapped)?;
        match self.csv {
            Some(mut csv) => csv.flush(),
            None => Ok(()),
        }
    }

    /// Writes the collected rows as a row group.
    fn flush(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let arrays: Result<Vec<ArrayRef>, _> =
            self.builders.iter_mut().map(Builder::finish).collect();
        let batch = arrays.and_then(|arrays| RecordBatch::try_new(self.schema.clone(), arrays));
        self.parquet
            .write(&batch.map_err(io::Error::other)?)
            .and_then(|()| self.parquet.flush())
            .map_err(unwrapped)?;
        self.rows = 0;
        Ok(())
    }
}

/// The values of a column that wait for their row group.
enum Builder {
    Number(Float64Builder),
    Count(Int64Builder),
    Flag(BooleanBuilder),
    Word(Int32Builder, Words),
    Text(StringBuilder),
}

impl Builder {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Number => Builder::Number(Float64Builder::new()),
            Kind::Count => Builder::Count(Int64Builder::new()),
            Kind::Flag => Builder::Flag(BooleanBuilder::new()),
            Kind::Word(words) => Builder::Word(Int32Builder::new(), words.clone()),
            Kind::Text => Builder::Text(StringBuilder::new()),
        }
    }

    /// Takes a value, or says that it does not fit.
    fn append(&mut self, value: Value) -> bool {
        match (self, value) {
            (Builder::Number(numbers), Value::Number(number)) => numbers.append_value(number),
            (Builder::Number(numbers), Value::Null) => numbers.append_null(),
            (Builder::Count(counts), Value::Count(count)) => {
                let Ok(count) = i64::try_from(count) else {
                    return false;
                };
                counts.append_value(count);
            }
            (Builder::Count(counts), Value::Null) => counts.append_null(),
            (Builder::Flag(flags), Value::Flag(flag)) => flags.append_value(flag),
            (Builder::Flag(flags), Value::Null) => flags.append_null(),
            (Builder::Word(keys, words), Value::Word(index)) => {
                let known = words.get(index).is_some();
                let Some(key) = i32::try_from(index).ok().filter(|_| known) else {
                    return false;
                };
                keys.append_value(key);
            }
            (Builder::Word(keys, _), Value::Null) => keys.append_null(),
            (Builder::Text(texts), Value::Text(text)) => texts.append_value(text),
            (Builder::Text(texts), Value::Null) => texts.append_null(),
            _ => return false,
        }
        true
    }

    fn finish(&mut self) -> Result<ArrayRef, arrow_schema::ArrowError> {
        Ok(match self {
            Builder::Number(numbers) => Arc::new(numbers.finish()),
            Builder::Count(counts) => Arc::new(counts.finish()),
            Builder::Flag(flags) => Arc::new(flags.finish()),
            Builder::Word(keys, words) => Arc::new(DictionaryArray::<Int32Type>::try_new(
                keys.finish(),
                words.0.clone(),
            )?),
            Builder::Text(texts) => Arc::new(texts.finish()),
        })
    }
}

fn properties(columns: &[Column], origin: &Origin) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(origin.metadata()));
    for column in columns {
        if matches!(column.kind, Kind::Number) {
            let path = ColumnPath::new(vec![column.name.clone()]);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
        }
    }
    properties.build()
}

/// A CSV file that begins with the names of the columns.
fn headed<W: Write>(file: W, columns: &[Column]) -> io::Result<csv::Writer<W>> {
    let mut csv = csv::WriterBuilder::new()
        .buffer_capacity(1 << 16)
        .from_writer(file);
    csv.write_record(columns.iter().map(|c| &c.name))
        .map_err(untabled)?;
    Ok(csv)
}

/// Writes a value as CSV; `number` is scratch.
fn write_field<W: Write>(
    csv: &mut csv::Writer<W>,
    number: &mut String,
    column: &Column,
    value: Value,
) -> io::Result<()> {
    use std::fmt::Write;
    number.clear();
    let text = match (value, &column.kind) {
        (Value::Number(x), _) => {
            // The shortest text that reads back as the same number. Writing to a String cannot fail.
            let _ = write!(number, "{x:?}");
            number.as_str()
        }
        (Value::Count(n), _) => {
            let _ = write!(number, "{n}");
            number.as_str()
        }
        (Value::Flag(true), _) => "true",
        (Value::Flag(false), _) => "false",
        (Value::Word(index), Kind::Word(words)) => words.get(index).unwrap_or_default(),
        (Value::Text(text), _) => text,
        (Value::Null | Value::Word(_), _) => "",
    };
    csv.write_field(text).map_err(untabled)
}

fn misfit(column: &Column, value: &str) -> io::Error {
    let message = format!("the column `{}` cannot hold {value}", column.name);
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// The error of the file below, where there is one.
fn unwrapped(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

/// The error of the file below, where there is one.
fn untabled(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
