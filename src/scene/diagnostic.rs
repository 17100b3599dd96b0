//! What is wrong with a scene, or only questionable, where, and what to do about it; rendering of
//! all of it for people.

use std::{borrow::Cow, collections::HashSet, fmt, ops::Range, sync::Arc};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};

use super::source::{Place, Source};

/// How much is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The scene cannot be run.
    Error,
    /// The scene runs, but probably not as it is meant.
    Lint,
}

/// One error or lint.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    severity: Severity,
    message: Box<str>,
    place: Option<Place>,
    label: Option<String>,
    others: Vec<(Place, String)>,
    help: Vec<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self {
            place: Some(place.clone()),
            ..Self::new(message)
        }
    }

    /// An error without a place, such as a file that cannot be opened.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: legible(&message.into()).into(),
            place: None,
            label: None,
            others: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A lint at a place, or without one where the place is in no file.
    pub fn lint(place: &Place, message: impl Into<String>) -> Self {
        let in_a_file = !place.source().text().is_empty();
        Self {
            severity: Severity::Lint,
            place: in_a_file.then(|| place.clone()),
            ..Self::new(message)
        }
    }

    /// Words beside the underlined text, most often what was found.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(legible(&label.into()));
        self
    }

    /// A second place that has to do with it.
    #[must_use]
    pub fn and(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.others.push((place.clone(), legible(&label.into())));
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(legible_lines(&help.into()));
        self
    }

    /// What to do about it, if anything can be said.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help.extend(help.map(|help| legible_lines(&help)));
        self
    }

    /// Whether it is an error or a lint.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it: all hints, one a line.
    pub fn help_text(&self) -> Option<String> {
        let elsewhere = self.others.iter().filter(|(other, _)| {
            self.place
                .as_ref()
                .is_none_or(|place| !shown_together(place, other))
        });
        let lines: Vec<String> = elsewhere
            .map(|(place, label)| format!("{label}: {place}"))
            .chain(self.help.iter().cloned())
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Where it is.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// File it is in.
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.source().name())
    }

    /// Line, from 1.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(Place::line)
    }

    /// Column in characters, from 1.
    pub fn column(&self) -> Option<usize> {
        self.place.as_ref().map(Place::column)
    }
}

/// A text without characters that a terminal would obey instead of showing.
fn legible(text: &str) -> String {
    let mut legible = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => legible.extend(c.escape_default()),
            false => legible.push(c),
        }
    }
    legible
}

/// [`legible`], line by line.
fn legible_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(legible).collect();
    lines.join("\n")
}

/// Lines between which two places are shown in one excerpt.
const LINES: usize = 8;

/// Whether two places fit into one excerpt; the renderer would show all lines between them.
fn shown_together(a: &Place, b: &Place) -> bool {
    let (excerpt, span) = (excerpt(a), b.span());
    Arc::ptr_eq(a.source(), b.source())
        && a.line().abs_diff(b.line()) <= LINES
        && excerpt.start <= span.start
        && span.end <= excerpt.end
}

/// What of a text the renderer may show around a place: all of it, unless a line nearby is longer
/// than a person would read; then a piece of the place's own.
fn excerpt(place: &Place) -> Range<usize> {
    const READABLE: usize = 300;
    const AROUND: usize = 60;
    let (text, span) = (place.source().text(), place.span());
    let above = text[..span.start].rsplit('\n').take(LINES + 1);
    let below = text[span.start..].split('\n').take(LINES + 1);
    let (left, right) = (
        above.clone().next().map_or(0, str::len),
        below.clone().next().map_or(0, str::len),
    );
    if left + right <= READABLE && above.chain(below).all(|line| line.len() <= READABLE) {
        return 0..text.len();
    }
    let from = span.start - left.min(AROUND);
    let to = span.start + right.min(span.len().min(READABLE) + AROUND);
    text.floor_char_boundary(from)..text.ceil_char_boundary(to)
}

/// More errors than a person works through at a time are counted, not shown.
const RENDERED: usize = 100;

/// All errors of a scene, or all its lints.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    errors: Vec<Diagnostic>,
    /// File, offset and message of those with a place.
    known: HashSet<(usize, usize, Box<str>)>,
}

impl Diagnostics {
    /// Adds an error, unless the same one stands there already: a cell that is copied with `like`
    /// carries its mistakes along, but they are made once.
    pub fn push(&mut self, error: Diagnostic) {
        let new = error.place.as_ref().is_none_or(|place| {
            let file = Arc::as_ptr(place.source()).addr();
            let at = place.span().start;
            self.known.insert((file, at, error.message.clone()))
        });
        if new {
            self.errors.push(error);
        }
    }

    /// The errors: file by file, in the order of the text once [`Self::sort`] was called.
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Orders the errors of each file by their place, files in the order they were met.
    pub fn sort(&mut self) {
        let mut files: Vec<String> = Vec::new();
        for error in &self.errors {
            let file = error.file().unwrap_or_default();
            if !files.iter().any(|known| known == file) {
                files.push(file.to_owned());
            }
        }
        self.errors.sort_by_key(|error| {
            let file = error.file().unwrap_or_default();
            let start = error.place().map_or(0, |place| place.span().start);
            (files.iter().position(|known| known == file), start)
        });
    }

    /// The errors as text for people, `width` columns wide.
    pub fn render(&self, color: bool, width: usize) -> String {
        let theme = if color {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_links(false)
            .without_primary_span_start();
        let mut text = String::new();
        for error in self.errors.iter().take(RENDERED) {
            // Formatting into a String fails only if the text cannot be cut as asked; the plain
            // message is then still worth having.
            let mut one = String::new();
            if handler
                .render_report(&mut one, &Report::new(error))
                .is_err()
            {
                one = error.to_string();
            }
            text.push_str(one.trim_matches('\n'));
            text.push_str("\n\n");
        }
        match self.errors.len() {
            0 | 1 => {
                text.pop();
            }
            n if n > RENDERED => {
                text.push_str(&format!("{}, the first {RENDERED} shown\n", self.counted()))
            }
            _ => text.push_str(&format!("{}\n", self.counted())),
        }
        text
    }

    /// How many there are, as in "3 errors" or "1 error and 2 lints".
    fn counted(&self) -> String {
        let count = |severity, one: &str| {
            let of_it = self.errors.iter().filter(|e| e.severity == severity);
            match of_it.count() {
                0 => None,
                1 => Some(format!("1 {one}")),
                n => Some(format!("{n} {one}s")),
            }
        };
        let counts = [
            count(Severity::Error, "error"),
            count(Severity::Lint, "lint"),
        ];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        counts.join(" and ")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(error: Diagnostic) -> Self {
        let mut errors = Self::default();
        errors.push(error);
        errors
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false, 80).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

/// A [`Diagnostic`] in the form the renderer wants.
#[derive(Debug)]
struct Report<'a> {
    error: &'a Diagnostic,
    text: Option<Excerpt<'a>>,
}

impl<'a> Report<'a> {
    fn new(error: &'a Diagnostic) -> Self {
        let text = error.place.as_ref().map(Excerpt::around);
        Self { error, text }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.error.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Lint => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error
            .help_text()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (place, text) = (self.error.place.as_ref()?, self.text.as_ref()?);
        let primary =
            LabeledSpan::new_primary_with_span(self.error.label.clone(), text.span(place));
        let others = self
            .error
            .others
            .iter()
            .filter(move |(other, _)| shown_together(place, other))
            .map(|(other, label)| {
                LabeledSpan::new_with_span(Some(label.clone()), text.span(other))
            });
        Some(Box::new(std::iter::once(primary).chain(others)))
    }
}

/// What is shown of a text, which names the places in it. The renderer would count columns in
/// bytes, so line and column are made part of the name.
#[derive(Debug)]
struct Excerpt<'a> {
    source: &'a Arc<Source>,
    /// Where it starts.
    start: usize,
    text: Cow<'a, str>,
}

impl<'a> Excerpt<'a> {
    fn around(place: &'a Place) -> Self {
        let source = place.source();
        let shown = excerpt(place);
        Self {
            source,
            start: shown.start,
            text: masked(&source.text()[shown]),
        }
    }

    /// A place as the renderer finds it, counted from the start of what is shown.
    fn span(&self, place: &Place) -> Range<usize> {
        let Range { start, end } = place.span();
        start - self.start..(end - self.start).min(self.text.len())
    }
}

/// A text with stand-ins of the same length for what a terminal would obey instead of showing.
fn masked(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let stand_in = |c: char| match (obeyed(c), c.len_utf8()) {
        (false, _) => c,
        (true, 1) => '?',
        // The others take two bytes, as this one does.
        (true, _) => '§',
    };
    Cow::Owned(text.chars().map(stand_in).collect())
}

impl SourceCode for Excerpt<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, lines_before, lines_after)?;
        let place = |at: usize| Place::new(self.source, at..at);
        let lines_above = place(self.start).line() - 1;
        Ok(Box::new(MietteSpanContents::new_named(
            legible(&place(self.start + span.offset()).to_string()),
            inner.data(),
            *inner.span(),
            lines_above + inner.line(),
            inner.column(),
            // Labels lie so close together that one excerpt shall hold them all: it reaches far.
            usize::MAX / 2,
        )))
    }
}
