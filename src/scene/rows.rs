//! Tables that a scene names: text with commas, a header, and a line a row. Lines that begin with
//! `#` are comments.

use std::sync::Arc;

use csv::{Reader, ReaderBuilder, StringRecord};

use super::source::{Place, Source};

/// A reader of a table.
pub(crate) fn reader(source: &Source) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .comment(Some(b'#'))
        .from_reader(source.text().as_bytes())
}

/// The line of a record.
pub(crate) fn place(source: &Arc<Source>, record: &StringRecord) -> Place {
    let start = record.position().map_or(0, |p| p.byte() as usize);
    let text = source.text();
    let start = start
        + text[start..]
            .find(|c: char| !c.is_whitespace())
            .unwrap_or(0);
    let length = text[start..].find('\n').unwrap_or(text.len() - start);
    Place::new(source, start..start + length)
}

/// One field of a record; its whole line where the field is empty, or a comma stands in quotes.
pub(crate) fn field(source: &Arc<Source>, record: &StringRecord, column: usize) -> Place {
    let line = place(source, record);
    let fields: Vec<&str> = line.text().split(',').collect();
    let Some(text) = fields.get(column).filter(|_| fields.len() == record.len()) else {
        return line;
    };
    let before: usize = fields[..column].iter().map(|field| field.len() + 1).sum();
    let start = before + text.len() - text.trim_start().len();
    match text.trim() {
        "" => line,
        text => line.within(start..start + text.len()),
    }
}
