//! Tree to plain values, collecting every error on the way. A function that returns `None` has
//! reported why.

use std::ops::RangeInclusive;

use homarus_systems::kinetics::{Expression, Variable};

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    model::NegativeConductance,
    names,
    source::Place,
    syntax::{Key, Node, Value},
};

/// The fields of a struct, taken one by one.
pub(crate) struct Fields<'n> {
    what: String,
    head: Place,
    entries: &'n [(Key, Node)],
    asked: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The fields of `node`, which is to be `what`, as in "a cell".
    pub fn of(node: &'n Node, what: &str, errors: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::Struct(None, entries) => Some(Self::new(what, node.head(), entries)),
            Value::Tuple(None, items) if items.is_empty() => {
                Some(Self::new(what, node.head(), &[]))
            }
            Value::Map(_) => {
                let error = expected("a struct `(field: …)`", node)
                    .help(format!("{what} has fields in round brackets"));
                errors.push(error);
                None
            }
            _ => {
                errors.push(expected(&format!("{what} `(field: …)`"), node));
                None
            }
        }
    }

    /// Fields that were already taken out of their struct; `head` stands for it in messages.
    pub fn new(what: &str, head: Place, entries: &'n [(Key, Node)]) -> Self {
        Self {
            what: what.to_owned(),
            head,
            entries,
            asked: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// A field that may be missing or `None`.
    pub fn optional(&mut self, name: &'static str) -> Option<&'n Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// A field that may be missing or `None`, with its name.
    pub fn entry(&mut self, name: &'static str) -> Option<(&'n Key, &'n Node)> {
        self.asked.push(name);
        self.entries
            .iter()
            .find(|(key, node)| key.text == name && !node.is_none())
            .map(|(key, node)| (key, node))
    }

    /// A field that must be there; if it is not, [`Self::finish`] says so.
    pub fn required(&mut self, name: &'static str) -> Option<&'n Node> {
        let found = self.optional(name);
        if found.is_none() {
            self.missing.push(name);
        }
        found
    }

    /// Goes on as `what`, with these fields asked for and no others.
    pub fn narrow(&mut self, what: &str, asked: &[&'static str]) {
        what.clone_into(&mut self.what);
        self.asked = asked.to_vec();
    }

    /// Where the struct as a whole is underlined.
    pub fn head(&self) -> &Place {
        &self.head
    }

    /// Refuses every field that was not asked for, and reports the missing ones. One that is only
    /// misspelt is reported once, as unknown.
    pub fn finish(mut self, errors: &mut Diagnostics) {
        for (key, _) in self.entries {
            if self.asked.contains(&key.text.as_str()) {
                continue;
            }
            let missing = names::nearest(&key.text, self.missing.iter().copied());
            let hint = match missing {
                Some(name) => Some(format!("did you mean `{name}`?")),
                None => names::hint(&key.text, self.asked.iter().copied(), "field"),
            };
            self.missing.retain(|name| missing != Some(*name));
            errors.push(
                Diagnostic::at(
                    &key.place,
                    format!("{} has no field `{}`", self.what, key.text),
                )
                .label("unknown field")
                .maybe_help(hint),
            );
        }
        for name in self.missing {
            errors.push(
                Diagnostic::at(&self.head, format!("{} needs `{name}`", self.what))
                    .label(format!("`{name}` is missing")),
            );
        }
    }
}

/// "Expected this, found that."
pub(crate) fn expected(what: &str, found: &Node) -> Diagnostic {
    Diagnostic::at(&found.head(), format!("expected {what}"))
        .label(format!("found {}", found.describe()))
}

/// Which values a number may have, and why no others.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    bound: Bound,
    why: &'static str,
}

#[derive(Clone, Copy)]
enum Bound {
    Any,
    Above,
    AtLeast,
    Fraction,
}

/// Any finite number.
pub(crate) const ANY: Rule = Rule {
    bound: Bound::Any,
    why: "",
};

/// Greater than zero, because `why`.
pub(crate) const fn above_zero(why: &'static str) -> Rule {
    Rule {
        bound: Bound::Above,
        why,
    }
}

/// Zero or more, because `why`.
pub(crate) const fn not_negative(why: &'static str) -> Rule {
    Rule {
        bound: Bound::AtLeast,
        why,
    }
}

/// From 0 to 1, because `why`.
pub(crate) const fn fraction(why: &'static str) -> Rule {
    Rule {
        bound: Bound::Fraction,
        why,
    }
}

/// A conductance.
pub(crate) const CONDUCTANCE: Rule = not_negative(
    "a conductance below zero would drive the voltage away from its reversal potential",
);

/// A maximal conductance of a channel under a rule for negative ones; `None` where that rule is
/// itself wrong.
pub(crate) const fn maximal_conductance(rule: Option<NegativeConductance>) -> Rule {
    match rule {
        Some(NegativeConductance::Allow) | None => ANY,
        Some(_) => not_negative(
            "a conductance below zero would drive the voltage away from its reversal potential\n\
             `negative_conductance: \"allow\"` in the scene lets it",
        ),
    }
}

impl Rule {
    /// Holds a number, found at `place`, against the rule.
    pub fn check(self, value: f64, place: &Place, errors: &mut Diagnostics) -> Option<f64> {
        let (fine, wanted) = match self.bound {
            Bound::Any => (true, ""),
            Bound::Above => (value > 0.0, "a number greater than 0"),
            Bound::AtLeast => (value >= 0.0, "a number that is not negative"),
            Bound::Fraction => ((0.0..=1.0).contains(&value), "a number from 0 to 1"),
        };
        if fine {
            return Some(value);
        }
        errors.push(
            Diagnostic::at(place, format!("expected {wanted}"))
                .label(format!("found {value}"))
                .help(self.why),
        );
        None
    }
}

/// A finite number, without a unit.
pub(crate) fn number(node: &Node, rule: Rule, errors: &mut Diagnostics) -> Option<f64> {
    match &node.value {
        Value::Number(value) if value.is_finite() => rule.check(*value, &node.place, errors),
        Value::Number(_) => {
            errors.push(
                Diagnostic::at(&node.place, "this number is too large")
                    .label("more than about 1.8e308")
                    .help("every number of a scene is finite"),
            );
            None
        }
        Value::Word(word) if is_not_finite(word) => {
            errors.push(
                Diagnostic::at(&node.place, format!("`{word}` is not allowed here"))
                    .label("expected a finite number")
                    .help("a run that starts from infinity or NaN holds nothing else"),
            );
            None
        }
        Value::Text(text) if text.trim().parse::<f64>().is_ok() => {
            errors.push(expected("a number", node).help("numbers are written without quotes"));
            None
        }
        _ => {
            errors.push(expected("a number", node));
            None
        }
    }
}

fn is_not_finite(word: &str) -> bool {
    let word = word.trim_start_matches(['+', '-']);
    [
        "inf", "infinity", "nan", "inff32", "inff64", "nanf32", "nanf64",
    ]
    .contains(&word.to_lowercase().as_str())
}

/// A whole number.
pub(crate) fn integer(
    node: &Node,
    range: RangeInclusive<u64>,
    errors: &mut Diagnostics,
) -> Option<u64> {
    let whole = match &node.value {
        Value::Number(_) => ron::from_str::<u64>(node.place.text()).ok(),
        _ => None,
    };
    let found = whole.filter(|value| range.contains(value));
    if found.is_none() {
        let wanted = match *range.end() {
            u64::MAX => format!("a whole number, {} or more", range.start()),
            end => format!("a whole number from {} to {end}", range.start()),
        };
        errors.push(expected(&wanted, node));
    }
    found
}

/// `true` or `false`.
pub(crate) fn boolean(node: &Node, errors: &mut Diagnostics) -> Option<bool> {
    match node.value {
        Value::Bool(value) => Some(value),
        _ => {
            errors.push(expected("`true` or `false`", node));
            None
        }
    }
}

/// A text in quotes.
pub(crate) fn text<'n>(node: &'n Node, errors: &mut Diagnostics) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => Some(text),
        Value::Word(word) => {
            let help = format!("put quotes around it: `\"{word}\"`");
            errors.push(expected("a text in quotes", node).help(help));
            None
        }
        _ => {
            errors.push(expected("a text in quotes", node));
            None
        }
    }
}

/// A text in quotes, as a name with its place.
pub(crate) fn key(node: &Node, errors: &mut Diagnostics) -> Option<Key> {
    text(node, errors).map(|text| Key {
        text: text.to_owned(),
        place: node.place.clone(),
    })
}

/// A list.
pub(crate) fn list<'n>(node: &'n Node, errors: &mut Diagnostics) -> Option<&'n [Node]> {
    match &node.value {
        Value::List(items) => Some(items),
        _ => {
            errors.push(expected("a list `[…]`", node));
            None
        }
    }
}

/// A list of names.
pub(crate) fn keys(node: &Node, errors: &mut Diagnostics) -> Option<Vec<Key>> {
    let items = list(node, errors)?;
    let keys: Vec<Option<Key>> = items.iter().map(|item| key(item, errors)).collect();
    keys.into_iter().collect()
}

/// A map with names in quotes.
pub(crate) fn map<'n>(node: &'n Node, errors: &mut Diagnostics) -> Option<&'n [(Key, Node)]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        Value::Struct(None, _) => {
            errors.push(
                expected("a map `{…}`", node)
                    .help("entries stand in braces with their names in quotes: `{ \"a\": 1 }`"),
            );
            None
        }
        _ => {
            errors.push(expected("a map `{…}`", node));
            None
        }
    }
}

/// One of several words in quotes.
pub(crate) fn choice<T: Copy>(
    node: &Node,
    choices: &[(&str, T)],
    errors: &mut Diagnostics,
) -> Option<T> {
    let word = match &node.value {
        Value::Word(word) => word,
        _ => text(node, errors)?,
    };
    let found = choices.iter().find(|(name, _)| *name == word);
    if found.is_none() {
        let known: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        errors.push(
            Diagnostic::at(
                &node.place,
                format!("expected one of {}", names::list(&known)),
            )
            .label(format!("found `{word}`"))
            .maybe_help(
                names::nearest(word, known.iter().copied())
                    .map(|near| format!("did you mean `{near}`?")),
            ),
        );
    }
    found.map(|(_, value)| *value)
}

/// An expression in quotes, or a plain number.
pub(crate) fn expression(
    node: &Node,
    variables: &[Variable],
    parameters: &[(String, f64)],
    errors: &mut Diagnostics,
) -> Option<Expression> {
    let Value::Text(text) = &node.value else {
        return match node.value {
            Value::Number(_) => number(node, ANY, errors).map(Expression::constant),
            _ => {
                errors.push(expected("an expression in quotes or a number", node));
                None
            }
        };
    };
    let parameters: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    match Expression::parse(text, variables, &parameters) {
        Ok(expression) => Some(expression),
        Err(error) => {
            // Where the text holds escapes its offsets are not those of the file.
            let place = match node.place.text().find(text.as_str()) {
                Some(start) => {
                    let (from, to) = (error.span.start, error.span.end.max(error.span.start + 1));
                    let inside = node.place.within(start + from..start + to);
                    if inside.span().is_empty() {
                        node.place.clone()
                    } else {
                        inside
                    }
                }
                None => node.place.clone(),
            };
            errors.push(
                Diagnostic::at(&place, error.message)
                    .label("in this expression")
                    .maybe_help(error.help),
            );
            None
        }
    }
}

/// Looks `key` up among `known` names; an unknown one is reported with the nearest.
pub(crate) fn index_of<'a>(
    key: &Key,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
    of: &str,
    errors: &mut Diagnostics,
) -> Option<usize> {
    let known: Vec<&str> = known.into_iter().collect();
    let found = known.iter().position(|name| *name == key.text);
    if found.is_none() {
        errors.push(
            Diagnostic::at(&key.place, format!("{of} has no {what} `{}`", key.text))
                .label(format!("unknown {what}"))
                .maybe_help(names::hint(&key.text, known, what)),
        );
    }
    found
}
