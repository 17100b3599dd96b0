//! Definitions by name: those a scene includes first, then those that ship.

use std::collections::BTreeMap;

use homarus_systems::definition::{CellDefinition, ChannelDefinition, SynapseKind};

use super::{
    definitions,
    diagnostic::{Diagnostic, Diagnostics},
    names,
    shipped::{self, Kind},
    source::Place,
    syntax::{self, Key, Node, Value},
};

/// Definitions a scene can refer to. Each is read once, so each mistake in one is reported once.
#[derive(Default)]
pub(super) struct Library {
    /// Files the scene includes: kind, name and tree.
    included: Vec<(Kind, Key, Node)>,
    channels: BTreeMap<String, Option<ChannelDefinition>>,
    synapses: BTreeMap<String, Option<SynapseKind>>,
    cells: BTreeMap<String, Option<CellDefinition>>,
}

impl Library {
    /// Adds an included file; two that define the same are refused.
    pub fn add(&mut self, kind: Kind, root: Node, errors: &mut Diagnostics) {
        let Some(name) = defined_name(&root) else {
            // Reported when the file is read in full.
            let place = root.place.clone();
            let unnamed = Key {
                text: String::new(),
                place,
            };
            self.included.push((kind, unnamed, root));
            return;
        };
        let same =
            |(other, known, _): &&(Kind, Key, Node)| *other == kind && known.text == name.text;
        if let Some((_, first, _)) = self.included.iter().find(same) {
            errors.push(
                Diagnostic::at(
                    &name.place,
                    format!("the {kind} `{}` is defined twice", name.text),
                )
                .label("again here")
                .and(&first.place, "first here"),
            );
        } else {
            self.included.push((kind, name, root));
        }
    }

    /// Reads every included file, used or not, so that what is wrong with it is said.
    pub fn check_included(&mut self, errors: &mut Diagnostics) {
        let included: Vec<(Kind, Key, Node)> = self.included.clone();
        for (kind, name, root) in included {
            match kind {
                _ if name.text.is_empty() => self.read_unnamed(kind, &root, errors),
                Kind::Channel => drop(self.channel(&name, errors)),
                Kind::Synapse => drop(self.synapse(&name, errors)),
                Kind::Cell => drop(self.cell(&name, errors)),
                Kind::Network | Kind::Study => {}
            }
        }
    }

    fn read_unnamed(&mut self, kind: Kind, root: &Node, errors: &mut Diagnostics) {
        match kind {
            Kind::Channel => drop(definitions::channel(root, errors)),
            Kind::Synapse => drop(definitions::synapse(root, errors)),
            Kind::Cell => drop(definitions::cell(root, self, errors)),
            Kind::Network | Kind::Study => {}
        }
    }

    /// The channel called `name`.
    pub fn channel(&mut self, name: &Key, errors: &mut Diagnostics) -> Option<ChannelDefinition> {
        if let Some(known) = self.channels.get(&name.text) {
            return known.clone();
        }
        let root = self.find(Kind::Channel, name, errors)?;
        let read = definitions::channel(&root, errors);
        self.channels.insert(name.text.clone(), read.clone());
        read
    }

    /// The synapse kind called `name`.
    pub fn synapse(&mut self, name: &Key, errors: &mut Diagnostics) -> Option<SynapseKind> {
        if let Some(known) = self.synapses.get(&name.text) {
            return known.clone();
        }
        let root = self.find(Kind::Synapse, name, errors)?;
        let read = definitions::synapse(&root, errors);
        self.synapses.insert(name.text.clone(), read.clone());
        read
    }

    /// The cell type called `name`.
    pub fn cell(&mut self, name: &Key, errors: &mut Diagnostics) -> Option<CellDefinition> {
        if let Some(known) = self.cells.get(&name.text) {
            return known.clone();
        }
        let root = self.find(Kind::Cell, name, errors)?;
        let read = definitions::cell(&root, self, errors);
        self.cells.insert(name.text.clone(), read.clone());
        read
    }

    /// The tree of the file that defines `name`.
    fn find(&self, kind: Kind, name: &Key, errors: &mut Diagnostics) -> Option<Node> {
        let included = self
            .included
            .iter()
            .filter(|(other, _, _)| *other == kind)
            .map(|(_, key, root)| (key.text.as_str(), root));
        if let Some((_, root)) = included.clone().find(|(known, _)| *known == name.text) {
            return Some(root.clone());
        }
        if let Some(source) = shipped::find(kind, &name.text) {
            return syntax::parse(&source, errors);
        }
        let known: Vec<&str> = included
            .map(|(name, _)| name)
            .chain(shipped::names(kind))
            .collect();
        let error = Diagnostic::at(&name.place, format!("there is no {kind} `{}`", name.text))
            .label(format!("unknown {kind}"))
            .maybe_help(names::hint(
                &name.text,
                known.iter().copied(),
                &kind.to_string(),
            ));
        errors.push(match names::nearest(&name.text, known) {
            Some(_) => error,
            None => error.help(format!(
                "a {kind} of your own is a file that the scene includes"
            )),
        });
        None
    }
}

/// The `name` a definition file gives itself.
pub(super) fn defined_name(root: &Node) -> Option<Key> {
    let Value::Struct(_, fields) = &root.value else {
        return None;
    };
    let (_, node) = fields.iter().find(|(key, _)| key.text == "name")?;
    match &node.value {
        Value::Text(text) => Some(Key {
            text: text.clone(),
            place: node.place.clone(),
        }),
        _ => None,
    }
}

/// What a file defines, by the name of its struct.
pub(crate) fn kind_of(root: &Node, errors: &mut Diagnostics) -> Option<Kind> {
    const STRUCTS: [(&str, Kind); 5] = [
        ("Scene", Kind::Network),
        ("Study", Kind::Study),
        ("Channel", Kind::Channel),
        ("Cell", Kind::Cell),
        ("Synapse", Kind::Synapse),
    ];
    const WANTED: &str = "expected `Scene(…)`, `Channel(…)`, `Cell(…)`, `Synapse(…)` or `Study(…)`";
    let name = match &root.value {
        Value::Struct(Some(name), _) => name,
        // `Scene()` has no fields; that they are missing is said later.
        Value::Tuple(Some(name), items) if items.is_empty() => name,
        _ => {
            errors.push(
                Diagnostic::at(&root.head(), WANTED).label(format!("found {}", root.describe())),
            );
            return None;
        }
    };
    let found = STRUCTS.iter().find(|(known, _)| *known == name.text);
    if found.is_none() {
        let near = names::nearest(&name.text, STRUCTS.iter().map(|(known, _)| *known));
        errors.push(
            Diagnostic::at(&name.place, WANTED)
                .label(format!("found `{}(…)`", name.text))
                .maybe_help(near.map(|near| format!("did you mean `{near}`?"))),
        );
    }
    found.map(|(_, kind)| *kind)
}

/// A name that stands in no file, for look-ups from outside.
pub(crate) fn bare_key(name: &str) -> Key {
    let source = super::source::Source::new("the name", name);
    Key {
        text: name.to_owned(),
        place: Place::new(&source, 0..name.len()),
    }
}
