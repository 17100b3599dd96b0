//! RON text to a tree whose every node knows its place.
//!
//! The `ron` crate judges the syntax of the whole file first, so the scanner here walks over text
//! that is known to be well formed and only has to find where things begin and end. Maps and
//! structs are kept as ordered lists: a RON map would lose duplicates silently.

use std::sync::Arc;

use serde::de::IgnoredAny;

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    source::{Place, Source},
};

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub place: Place,
    pub value: Value,
}

/// A name and its place: a struct's, a field's or a map key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub text: String,
    pub place: Place,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A number; infinite if it is too large for 64 bits.
    Number(f64),
    /// A text in quotes.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A bare word, such as `None` or `NaN`.
    Word(String),
    /// `(a: 1, b: 2)` or `Name(a: 1, b: 2)`.
    Struct(Option<Key>, Vec<(Key, Node)>),
    /// `(1, 2)` or `Name(1, 2)`.
    Tuple(Option<Key>, Vec<Node>),
    /// `[1, 2]`.
    List(Vec<Node>),
    /// `{ "a": 1 }`.
    Map(Vec<(Key, Node)>),
    /// Well-formed RON that no scene has a use for: characters, byte strings, ranges.
    Other,
}

impl Node {
    /// What the node is, for "found …".
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Number(_) => format!("the number {}", self.place.text()),
            Value::Text(_) => "a text in quotes".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Word(word) => format!("the word `{word}`"),
            Value::Struct(Some(name), _) | Value::Tuple(Some(name), _) => {
                format!("`{}(…)`", name.text)
            }
            Value::Struct(None, _) => "a struct `(…)`".into(),
            Value::Tuple(None, items) if items.is_empty() => "an empty `()`".into(),
            Value::Tuple(None, _) => "a tuple `(…)`".into(),
            Value::List(_) => "a list `[…]`".into(),
            Value::Map(_) => "a map `{…}`".into(),
            Value::Other => "something else".into(),
        }
    }

    /// Whether the value says that there is none.
    pub fn is_none(&self) -> bool {
        matches!(&self.value, Value::Word(word) if word == "None")
    }

    /// The place to underline when the node as a whole is meant: its name or opening bracket where
    /// it spans more than that.
    pub fn head(&self) -> Place {
        match &self.value {
            Value::Struct(Some(name), _) | Value::Tuple(Some(name), _) => name.place.clone(),
            Value::Struct(None, _) | Value::Tuple(None, _) | Value::List(_) | Value::Map(_) => {
                self.place.first()
            }
            _ => self.place.clone(),
        }
    }
}

/// Reads a text. A syntax error is reported alone; duplicates all at once, and the tree is then
/// still good for finding more.
pub(crate) fn parse(source: &Arc<Source>, errors: &mut Diagnostics) -> Option<Node> {
    if let Err(error) = check(source) {
        errors.push(error);
        return None;
    }
    let mut scanner = Scanner {
        source,
        text: source.text(),
        at: 0,
        errors,
    };
    scanner.space();
    let root = scanner.value();
    scanner.space();
    if scanner.at < scanner.text.len() {
        let place = Place::new(source, scanner.at..scanner.at + 1).first();
        errors.push(Diagnostic::at(&place, "cannot read on from here").label("unexpected"));
        return None;
    }
    Some(root)
}

/// Judges the syntax of the whole text.
fn check(source: &Arc<Source>) -> Result<(), Diagnostic> {
    let text = source.text();
    let extended = |reader: &ron::Deserializer<'_>| !reader.extensions().is_empty();
    if ron::Deserializer::from_str(text).is_ok_and(|reader| extended(&reader)) {
        let start = skip_space(text);
        return Err(Diagnostic::at(
            &Place::new(source, start..start + "#![".len()),
            "extensions of RON are not used in scenes",
        )
        .label("remove this line"));
    }
    ron::from_str::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| syntax_error(source, &error))
}

/// Words for an error of the `ron` crate.
fn syntax_error(source: &Arc<Source>, error: &ron::error::SpannedError) -> Diagnostic {
    use ron::Error;
    let text = source.text();
    if text.trim().is_empty() {
        return Diagnostic::at(&Place::new(source, 0..0), "the file is empty")
            .help("a scene file begins with `Scene(`, `Channel(`, `Cell(` or `Synapse(`");
    }
    let end = source.offset(error.span.end.line, error.span.end.col);
    let start = source.offset(error.span.start.line, error.span.start.col);
    let read = Read::of(&text[..end]);
    let character = |at: usize| Place::new(source, at..at + 1).first();
    let here = character(end);
    let found = format!("found {}", next_token(&text[end..]));
    let report = match (&error.code, read.open.last()) {
        (Error::Eof, Some(&open)) if end >= text.len() => Diagnostic::at(
            &character(open),
            "the file ends before this bracket is closed",
        )
        .label("never closed"),
        (Error::Eof, None) => Diagnostic::at(&here, "the file ends too early").label(found),
        (
            Error::ExpectedComma
            | Error::ExpectedArrayEnd
            | Error::ExpectedMapEnd
            | Error::ExpectedStructLikeEnd
            | Error::ExpectedOptionEnd,
            Some(&open),
        ) => {
            let close = closing(text.as_bytes()[open]);
            let message = format!("expected a comma or a closing `{close}`");
            Diagnostic::at(&here, message)
                .label(found)
                .and(&character(open), "opened here")
        }
        (Error::ExpectedMapColon, _) => {
            Diagnostic::at(&here, "expected a colon and a value").label(found)
        }
        (Error::ExpectedIdentifier, _) => Diagnostic::at(&here, "expected the name of a field")
            .label(found)
            .help("fields in round brackets have no quotes: `(a: 1)`")
            .help("entries in braces have them: `{ \"a\": 1 }`"),
        (Error::InvalidIdentifier(_) | Error::SuggestRawIdentifier(_), _) => {
            Diagnostic::at(&here, "expected a name or a value")
                .label(found)
                .help("names are made of letters, digits and `_`; a text stands in quotes")
        }
        (
            Error::ExpectedInteger
            | Error::ExpectedFloat
            | Error::FloatUnderscore
            | Error::IntegerOutOfBounds
            | Error::InvalidIntegerDigit { .. }
            | Error::UnderscoreAtBeginning,
            _,
        ) => Diagnostic::at(&here, "expected a number")
            .label(found)
            .help("numbers look like `12`, `0.5`, `5e-4` or `1_000`"),
        (
            Error::ExpectedString
            | Error::ExpectedChar
            | Error::ExpectedByteLiteral
            | Error::ExpectedByteString,
            _,
        ) => Diagnostic::at(&here, "expected a text in quotes").label(found),
        (Error::InvalidEscape(_), _) => {
            Diagnostic::at(&here, "this text holds an escape that there is not")
                .label("ends before here")
                .help(r#"there are `\"`, `\\`, `\n`, `\t` and `\u{b5}`"#)
        }
        (Error::ExpectedComma, None) => Diagnostic::at(&here, "expected a comma").label(found),
        (Error::UnexpectedChar(_) | Error::ExpectedOption | Error::ExpectedAttribute, _) => {
            Diagnostic::at(&here, "expected a value").label(found)
        }
        (Error::ExpectedStringEnd, _) => {
            Diagnostic::at(&character(start), "this text has no closing quote").label("begins here")
        }
        (Error::UnclosedBlockComment, _) => {
            let begin = read.comment.unwrap_or(end);
            Diagnostic::at(&character(begin), "this comment is never closed")
                .label("begins here")
                .help("`*/` closes it")
        }
        (Error::TrailingCharacters, _) => Diagnostic::at(&here, "expected the end of the file")
            .label(found)
            .help("a file holds one struct"),
        (Error::ExceededRecursionLimit, _) => {
            Diagnostic::at(&here, "brackets are nested too deeply")
                .label("one level too many")
                .help("no scene needs more than ten")
        }
        (other, _) => Diagnostic::at(&here, lower_first(&other.to_string())).label(found),
    };
    match read.long_text {
        Some(begin) => report.help(format!(
            "the text that begins in line {} goes on over several lines; is its closing quote missing?",
            character(begin).line()
        )),
        None => report,
    }
}

/// The next token as found, in words.
fn next_token(text: &str) -> String {
    const SHOWN: usize = 20;
    match text.chars().next() {
        None => "the end of the file".to_owned(),
        Some('\n') => "the end of the line".to_owned(),
        Some(first) => {
            let token = &text[..token(text).max(first.len_utf8())];
            match token.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("`{}…`", &token[..end]),
                None => format!("`{token}`"),
            }
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The bracket that closes `open`.
fn closing(open: u8) -> char {
    match open {
        b'[' => ']',
        b'{' => '}',
        _ => ')',
    }
}

/// What a text holds that a syntax error at its end may have to do with.
#[derive(Default)]
struct Read {
    /// Offsets of brackets that are still open, outermost first.
    open: Vec<usize>,
    /// Offset of the last quoted text, if it goes over several lines.
    long_text: Option<usize>,
    /// Offset of a comment that is still open.
    comment: Option<usize>,
}

impl Read {
    fn of(text: &str) -> Self {
        let mut read = Self::default();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let spaces = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
            if spaces > 0 {
                at += spaces;
                continue;
            }
            if rest.starts_with("/*") && block_comment(rest).is_none() {
                read.comment = Some(at);
                return read;
            }
            let comment = skip_space(rest);
            if comment > 0 {
                at += comment;
                continue;
            }
            let token = &rest[..token(rest).max(1)];
            match token.as_bytes()[0] {
                b'(' | b'[' | b'{' => read.open.push(at),
                b')' | b']' | b'}' => drop(read.open.pop()),
                b'"' => read.long_text = token.contains('\n').then_some(at),
                _ => {}
            }
            at += token.len();
        }
        read
    }
}

/// Walks over well-formed text and builds the tree.
struct Scanner<'a> {
    source: &'a Arc<Source>,
    text: &'a str,
    at: usize,
    errors: &'a mut Diagnostics,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += skip_space(self.rest());
    }

    fn place(&self, start: usize) -> Place {
        Place::new(self.source, start..self.at)
    }

    /// Goes past `c`, if it is next.
    fn eat(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn value(&mut self) -> Node {
        let start = self.at;
        let value = match self.rest().chars().next() {
            Some('(') => self.group(None),
            Some('[') => self.list(),
            Some('{') => self.map(),
            _ => return self.leaf_or_named(),
        };
        Node {
            place: self.place(start),
            value,
        }
    }

    /// A number, text or word, or a struct that begins with its name.
    fn leaf_or_named(&mut self) -> Node {
        let start = self.at;
        self.at += token(self.rest());
        let place = self.place(start);
        let value = leaf(place.text());
        let Value::Word(word) = value else {
            return Node { place, value };
        };
        let name = Key { text: word, place };
        let end = self.at;
        self.space();
        if !self.rest().starts_with('(') {
            self.at = end;
            return Node {
                place: name.place,
                value: Value::Word(name.text),
            };
        }
        let optional = name.text == "Some";
        let value = self.group(Some(name));
        match value {
            // An optional value is written as it is; `Some` around it changes nothing.
            Value::Tuple(_, mut items) if optional && items.len() == 1 => items.remove(0),
            value => Node {
                place: self.place(start),
                value,
            },
        }
    }

    /// Round brackets: fields with names, or values in order.
    fn group(&mut self, name: Option<Key>) -> Value {
        if self.named_fields_follow() {
            let fields = self.items(')', |scanner| {
                let key = scanner.field_name();
                scanner.space();
                scanner.eat(':');
                scanner.space();
                (key, scanner.value())
            });
            self.refuse_duplicates(&fields, "field");
            Value::Struct(name, fields)
        } else {
            Value::Tuple(name, self.items(')', Self::value))
        }
    }

    fn list(&mut self) -> Value {
        Value::List(self.items(']', Self::value))
    }

    fn map(&mut self) -> Value {
        let entries = self.items('}', |scanner| {
            let key = scanner.value();
            scanner.space();
            scanner.eat(':');
            scanner.space();
            (key, scanner.value())
        });
        let mut named = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let (text, quoted) = match &key.value {
                Value::Text(text) => (text, true),
                Value::Word(word) => (word, false),
                _ => {
                    self.errors.push(
                        Diagnostic::at(&key.place, "expected a name in quotes")
                            .label(format!("found {}", key.describe())),
                    );
                    continue;
                }
            };
            if !quoted {
                self.errors.push(
                    Diagnostic::at(&key.place, "expected a name in quotes")
                        .label(format!("found {}", key.describe()))
                        .help(format!("write `\"{text}\"`")),
                );
            }
            let text = text.clone();
            let place = key.place;
            named.push((Key { text, place }, value));
        }
        self.refuse_duplicates(&named, "name");
        Value::Map(named)
    }

    /// Goes past an opening bracket, the items with their commas, and `close`.
    fn items<T>(&mut self, close: char, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.rest().is_empty() || self.eat(close) {
                return items;
            }
            let before = self.at;
            items.push(item(self));
            self.space();
            let comma = self.eat(',');
            if self.at == before || (!comma && !self.rest().starts_with(close)) {
                // Not reached on text the syntax check has passed; the caller reports the rest.
                return items;
            }
        }
    }

    /// Whether an opening bracket is followed by `name:`.
    fn named_fields_follow(&self) -> bool {
        let mut rest = &self.rest()[1..];
        rest = &rest[skip_space(rest)..];
        let name = token(rest);
        if name == 0 || !matches!(leaf(&rest[..name]), Value::Word(_) | Value::Bool(_)) {
            return false;
        }
        rest = &rest[name..];
        rest[skip_space(rest)..].starts_with(':')
    }

    fn field_name(&mut self) -> Key {
        let start = self.at;
        self.at += token(self.rest());
        let place = self.place(start);
        let text = place.text();
        Key {
            text: text.strip_prefix("r#").unwrap_or(text).to_owned(),
            place,
        }
    }

    fn refuse_duplicates(&mut self, entries: &[(Key, Node)], what: &str) {
        let mut first: std::collections::HashMap<&str, &Place> = std::collections::HashMap::new();
        for (key, _) in entries {
            if let Some(first) = first.get(key.text.as_str()) {
                self.errors.push(
                    Diagnostic::at(
                        &key.place,
                        format!("the {what} `{}` is given twice", key.text),
                    )
                    .label("again here")
                    .and(first, "first here")
                    .help("remove one of the two"),
                );
            } else {
                first.insert(&key.text, &key.place);
            }
        }
    }
}

/// The value of a token that is no bracket.
fn leaf(token: &str) -> Value {
    let Some(first) = token.chars().next() else {
        return Value::Other;
    };
    match first {
        '"' => text(token),
        'r' if token.starts_with("r\"")
            || token.starts_with("r#\"")
            || token.starts_with("r##") =>
        {
            text(token)
        }
        '0'..='9' | '+' | '-' | '.' => number(token),
        '\'' => Value::Other,
        'b' if token.starts_with("b\"")
            || token.starts_with("b'")
            || token.starts_with("br") && token.ends_with(['"', '#']) =>
        {
            Value::Other
        }
        _ => match token {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            word => Value::Word(word.strip_prefix("r#").unwrap_or(word).to_owned()),
        },
    }
}

fn text(token: &str) -> Value {
    ron::from_str(token).map_or(Value::Other, Value::Text)
}

/// A number. Decimal notation goes straight to the parser of the standard library, which rounds
/// correctly; what it does not know (`0x1F`, type suffixes) goes through `ron`.
fn number(token: &str) -> Value {
    if let "-inf" | "+inf" | "-NaN" | "+NaN" = token {
        return Value::Word(token.to_owned());
    }
    let digits: String = token.chars().filter(|&c| c != '_').collect();
    match digits.parse().or_else(|_| ron::from_str::<f64>(token)) {
        Ok(value) => Value::Number(value),
        Err(_) => ron::from_str::<i64>(token).map_or(Value::Other, |value| {
            #[expect(
                clippy::cast_precision_loss,
                reason = "hexadecimal numbers in scenes are small"
            )]
            Value::Number(value as f64)
        }),
    }
}

/// Length of white space and comments at the start of `text`.
fn skip_space(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let spaces = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
        let comment = if rest[spaces..].starts_with("//") {
            rest[spaces..].find('\n').unwrap_or(rest.len() - spaces)
        } else if rest[spaces..].starts_with("/*") {
            block_comment(&rest[spaces..]).unwrap_or(rest.len() - spaces)
        } else {
            0
        };
        at += spaces + comment;
        if comment == 0 {
            return at;
        }
    }
}

/// Length of a block comment, nested ones included, if it is closed.
fn block_comment(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at = text.ceil_char_boundary(at + 1);
        }
    }
    None
}

fn is_space(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t'..='\r' | '\u{85}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}'
    )
}

/// Length of the token at the start of `text`; 1 for a bracket, comma or colon.
fn token(text: &str) -> usize {
    let mut chars = text.chars();
    match chars.next() {
        None => 0,
        Some('"') => quoted(text, '"'),
        Some('\'') => character_literal(text),
        Some('b') if text.starts_with("b\"") => 1 + quoted(&text[1..], '"'),
        Some('b') if text.starts_with("b'") => 1 + character_literal(&text[1..]),
        Some('b') if text.starts_with("br") => raw_quoted(text, 2).unwrap_or_else(|| word(text)),
        Some('r') => raw_quoted(text, 1).unwrap_or_else(|| word(text)),
        Some('(' | ')' | '[' | ']' | '{' | '}' | ',' | ':') => 1,
        Some(_) => word(text),
    }
}

/// Length of a run of characters that are neither space nor punctuation of RON.
fn word(text: &str) -> usize {
    let stop = |(at, c): (usize, char)| {
        is_space(c)
            || "()[]{},:\"'".contains(c)
            || text[at..].starts_with("//")
            || text[at..].starts_with("/*")
    };
    let mut chars = text.char_indices();
    chars.find(|&at| stop(at)).map_or(text.len(), |(at, _)| at)
}

/// Length of a text or character in `quote`s, escapes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Length of a character in single quotes, which may itself be one.
fn character_literal(text: &str) -> usize {
    match text.starts_with("'''") {
        true => 3,
        false => quoted(text, '\''),
    }
}

/// Length of a raw string whose hashes begin at `prefix`, if it is one.
fn raw_quoted(text: &str, prefix: usize) -> Option<usize> {
    let rest = &text[prefix..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &rest[..hashes]);
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(prefix + hashes + 1 + length)
}
