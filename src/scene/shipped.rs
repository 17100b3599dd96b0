//! Scene files inside the binary.

use std::{fmt, sync::Arc};

use include_dir::{Dir, File, include_dir};

use super::{
    definitions::file_fields,
    diagnostic::Diagnostics,
    library::kind_of,
    source::Source,
    syntax::{self, Value},
};

static SCENES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenes");

/// What a file defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An ionic current.
    Channel,
    /// A synapse kind.
    Synapse,
    /// A cell type.
    Cell,
    /// A scene.
    Network,
    /// A scene that is a perturbation study.
    Study,
}

impl Kind {
    /// Every kind, in the order of listings.
    pub const ALL: [Self; 5] = [
        Self::Channel,
        Self::Synapse,
        Self::Cell,
        Self::Network,
        Self::Study,
    ];

    /// Folder the shipped files of this kind are in, also the word for them in commands.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Channel => "channels",
            Self::Synapse => "synapses",
            Self::Cell => "cells",
            Self::Network => "networks",
            Self::Study => "studies",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel => "channel",
            Self::Synapse => "synapse kind",
            Self::Cell => "cell type",
            Self::Network => "network",
            Self::Study => "study",
        })
    }
}

/// A shipped file.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// What it defines.
    pub kind: Kind,
    /// Name it is known by: its file name without `.ron`.
    pub name: String,
    /// One line about it.
    pub about: String,
    /// Where the model comes from.
    pub source: String,
    /// The file itself.
    pub text: &'static str,
}

impl Shipped {
    /// The verb of the command line that runs it, if it can be run: a study of [`Kind::Study`] may be
    /// a scene with what it must show, or a `Study(…)`.
    pub fn verb(&self) -> Option<&'static str> {
        let mut errors = Diagnostics::default();
        let root = syntax::parse(&Source::new(&self.name, self.text), &mut errors)?;
        match kind_of(&root, &mut errors)? {
            Kind::Study => Some("study"),
            Kind::Network => Some("run"),
            _ => None,
        }
    }
}

/// Everything that ships, by kind and then by name.
pub fn shipped() -> Vec<Shipped> {
    Kind::ALL
        .into_iter()
        .flat_map(|kind| files(kind).map(move |(name, text)| describe(kind, name, text)))
        .collect()
}

fn describe(kind: Kind, name: &str, text: &'static str) -> Shipped {
    let source = Source::new(name, text);
    let root = syntax::parse(&source, &mut Diagnostics::default());
    let line = |field| {
        let root = root.as_ref()?;
        match &file_fields(root, "a file").optional(field)?.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    };
    Shipped {
        kind,
        name: name.to_owned(),
        about: line("about").unwrap_or_default(),
        source: line("source").unwrap_or_default(),
        text,
    }
}

/// Names and texts of the shipped files of a kind, by name.
fn files(kind: Kind) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut files: Vec<_> = SCENES
        .get_dir(kind.folder())
        .into_iter()
        .flat_map(Dir::files)
        .filter_map(name_and_text)
        .collect();
    files.sort_unstable();
    files.into_iter()
}

fn name_and_text(file: &'static File<'static>) -> Option<(&'static str, &'static str)> {
    let name = file.path().file_name()?.to_str()?.strip_suffix(".ron")?;
    Some((name, file.contents_utf8()?))
}

/// Names of the shipped files of a kind.
pub(crate) fn names<'a>(kind: Kind) -> impl Iterator<Item = &'a str> {
    files(kind).map(|(name, _)| -> &'a str { name })
}

/// The shipped file of a kind and name.
pub(super) fn find(kind: Kind, name: &str) -> Option<Arc<Source>> {
    let (name, text) = files(kind).find(|(known, _)| *known == name)?;
    let shown = format!("shipped {}/{name}.ron", kind.folder());
    Some(Source::new(shown, text))
}
