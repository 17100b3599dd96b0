//! Source texts and places in them.

use std::{fmt, ops::Range, sync::Arc};

/// The text of one scene file and the name it is shown under.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// A source shown as `name`. A byte order mark is dropped, so that column 1 is the first
    /// character, and every line end becomes `\n`: a scene is the same scene wherever it was saved.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        if text.contains('\r') {
            text = text.replace("\r\n", "\n").replace('\r', "\n");
        }
        Arc::new(Self {
            name: name.into(),
            text,
        })
    }

    /// Name the source is shown under: its path, or where it ships.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Byte offset of a line and a column, both from 1.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let start = match line.checked_sub(2) {
            None => 0,
            Some(breaks) => self
                .text
                .match_indices('\n')
                .nth(breaks)
                .map_or(self.text.len(), |(at, _)| at + 1),
        };
        let rest = &self.text[start..];
        let within = rest
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(rest.len(), |(at, _)| at);
        start + within
    }
}

/// A stretch of a source text, for error messages.
#[derive(Clone)]
pub struct Place {
    source: Arc<Source>,
    start: usize,
    end: usize,
}

impl Place {
    /// The bytes `span` of `source`, clipped to it and widened to whole characters.
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let text = source.text();
        let end = text.ceil_char_boundary(span.end.min(text.len()));
        let start = text.floor_char_boundary(span.start.min(end));
        Self {
            source: Arc::clone(source),
            start,
            end,
        }
    }

    /// The source this is a place in.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Byte range within the source.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The text at this place.
    pub fn text(&self) -> &str {
        &self.source.text[self.start..self.end]
    }

    /// The bytes `span`, counted from the start of this place.
    pub(super) fn within(&self, span: Range<usize>) -> Self {
        Self::new(&self.source, self.start + span.start..self.start + span.end)
    }

    /// The first character.
    pub(super) fn first(&self) -> Self {
        let len = self.text().chars().next().map_or(0, char::len_utf8);
        self.within(0..len)
    }

    /// Line, from 1.
    pub fn line(&self) -> usize {
        1 + self.before().matches('\n').count()
    }

    /// Column in characters, from 1.
    pub fn column(&self) -> usize {
        let line = self.before().rfind('\n').map_or(0, |at| at + 1);
        1 + self.before()[line..].chars().count()
    }

    /// The text before this place.
    fn before(&self) -> &str {
        &self.source.text[..self.start]
    }
}

impl Default for Place {
    /// A place in no file, for what was not read from one.
    fn default() -> Self {
        Self::new(&Source::new("", ""), 0..0)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source) && self.span() == other.span()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source.name, self.line(), self.column())
    }
}
