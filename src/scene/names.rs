//! What may be called what, and what was probably meant.

pub(crate) use homarus_systems::nearest::nearest;

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    syntax::Key,
};

/// Words that a path may end in after a cell: no channel may take one of these names.
const CELL_SCALARS: [&str; 15] = [
    "V",
    "Ca",
    "I",
    "Ca_target",
    "tau_g",
    "tau_Na",
    "g_s",
    "g_u",
    "Kp",
    "Ki",
    "Kt",
    "u_max",
    "alpha",
    "beta",
    "V_th",
];

/// Words that a path may end in after a channel: no kinetic parameter and no state may take one of
/// these names.
const CHANNEL_SCALARS: [&str; 5] = ["gbar", "block", "mRNA", "pool", "integral"];

/// Words that a path may end in after an edge.
const EDGE_SCALARS: [&str; 2] = ["g", "s"];

/// Columns of the tables of a study: no axis may take one of these names.
const MEMBER_COLUMNS: [&str; 8] = [
    "member",
    "base",
    "branch",
    "network",
    "realisation",
    "control",
    "seed",
    "error",
];

/// Words with a meaning of their own in expressions.
const EXPRESSION_WORDS: [&str; 15] = [
    "V", "Ca", "V_pre", "V_post", "exp", "ln", "sqrt", "tanh", "cosh", "min", "max", "abs",
    "sigmoid", "exprel", "if",
];

/// What a name names, with what it may not be.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Cell,
    Group,
    Channel,
    Gate,
    State,
    ChannelParameter,
    SynapseParameter,
    Draw,
    Edge,
    Generator,
    Network,
    Rhythm,
    Definition,
    Scene,
    Axis,
    Branch,
    Outcome,
}

impl Role {
    fn noun(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::Group => "group",
            Self::Channel => "channel",
            Self::Gate => "gate",
            Self::State => "state",
            Self::ChannelParameter | Self::SynapseParameter => "parameter",
            Self::Draw => "draw",
            Self::Edge => "edge",
            Self::Generator => "generator",
            Self::Network => "network",
            Self::Rhythm => "rhythm",
            Self::Definition => "definition",
            Self::Scene => "scene",
            Self::Axis => "axis",
            Self::Branch => "branch",
            Self::Outcome => "outcome",
        }
    }

    /// Why `name` is taken, if it is.
    fn reserved(self, name: &str) -> Option<&'static str> {
        let taken = |words: &[&str], why| words.contains(&name).then_some(why);
        match self {
            Self::Channel => taken(&CELL_SCALARS, "is a quantity of every cell in paths"),
            Self::ChannelParameter => {
                taken(&CHANNEL_SCALARS, "is a quantity of every channel in paths")
                    .or_else(|| taken(&EXPRESSION_WORDS, "has a meaning of its own in expressions"))
            }
            Self::State => taken(&CHANNEL_SCALARS, "is a quantity of every channel in paths"),
            Self::SynapseParameter => taken(&EDGE_SCALARS, "is a quantity of every edge in paths")
                .or_else(|| taken(&EXPRESSION_WORDS, "has a meaning of its own in expressions")),
            Self::Draw => taken(&EXPRESSION_WORDS, "has a meaning of its own in expressions"),
            Self::Axis => taken(&MEMBER_COLUMNS, "is a column of every table of members"),
            _ => None,
        }
    }
}

/// Refuses names with other characters than letters, digits and `_`, and reserved ones.
pub(crate) fn check(key: &Key, role: Role, errors: &mut Diagnostics) -> bool {
    let noun = role.noun();
    let name = &key.text;
    let before = errors.errors().len();
    if name.is_empty() {
        errors.push(
            Diagnostic::at(
                &key.place,
                format!("the name of {} {noun} is empty", article(noun)),
            )
            .label("expected at least one letter"),
        );
    } else if let Some(bad) = name.chars().find(|&c| !(c.is_alphanumeric() || c == '_')) {
        errors.push(
            Diagnostic::at(
                &key.place,
                format!("`{name}` cannot be the name of {} {noun}", article(noun)),
            )
            .label(format!("contains {}", character(bad)))
            .help("names are made of letters, digits and `_`"),
        );
    } else if let Some(why) = role.reserved(name) {
        errors.push(
            Diagnostic::at(
                &key.place,
                format!("`{name}` cannot be the name of {} {noun}", article(noun)),
            )
            .label("reserved")
            .help(format!("`{name}` {why}; choose another name")),
        );
    }
    errors.errors().len() == before
}

/// The article of a noun.
fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'o']) {
        "an"
    } else {
        "a"
    }
}

/// A character in words a person can search for.
pub(crate) fn character(c: char) -> String {
    match c {
        ' ' => "a space".into(),
        '\t' => "a tab".into(),
        '\n' | '\r' => "a line break".into(),
        c if c.is_control() => format!("the control character U+{:04X}", u32::from(c)),
        c if c.is_ascii() => format!("`{c}`"),
        c => format!("`{c}` (U+{:04X})", u32::from(c)),
    }
}

/// A hint for an unknown name: the nearest known one, else what there is.
pub(crate) fn hint<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(name) = nearest(found, known.iter().copied()) {
        return Some(format!("did you mean `{name}`?"));
    }
    /// More than this is not read.
    const SHOWN: usize = 12;
    match known.len() {
        0 => Some(format!("there is no {what}")),
        1..=SHOWN => Some(format!("known: {}", list(&known))),
        more => Some(format!(
            "known: {} and {} more",
            list(&known[..SHOWN]),
            more - SHOWN
        )),
    }
}

/// Names for a sentence.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
