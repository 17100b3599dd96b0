//! Tables that a scene names: text with commas, a header, and a line a row. Lines that begin with
//! `#` are comments.

use std::sync::Arc;

use csv::{Reader, ReaderBuilder, StringRecord};

use super::source::{Place, Source};

/// A reader of a table.
pub(super) fn reader(source: &Source) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .trim(csv::Trim::All)
        .flexible(true)
        .comment(Some(b'#'))
        .from_reader(source.text().as_bytes())
}

/// The line of a record.
pub(super) fn place(source: &Arc<Source>, record: &StringRecord) -> Place {
    let start = record.position().map_or(0, |p| p.byte() as usize);
    let text = source.text();
    let start = start
        + text[start..]
            .find(|c: char| !c.is_whitespace())
            .unwrap_or(0);
    let length = text[start..].find('\n').unwrap_or(text.len() - start);
    Place::new(source, start..start + length)
}
