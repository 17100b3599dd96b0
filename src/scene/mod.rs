//! Scenes: RON text in, a checked [`Scene`] out, or every error in it at once.
//!
//! A text becomes a tree with places (`syntax`), the tree of what it includes is merged in
//! (`include`, `merge`), definitions are looked up by name (`library`, `definitions`) and
//! the fields of the scene are read (`network`, `protocol`).

mod cell;
pub mod copy;
pub(crate) mod decode;
pub(crate) mod definitions;
pub mod diagnostic;
mod document;
pub(crate) mod draw;
pub mod expect;
mod generate;
mod generators;
pub(crate) mod include;
mod known_rhythms;
pub(crate) mod library;
pub mod lint;
pub mod memory;
mod merge;
pub mod model;
pub(crate) mod names;
pub(crate) mod network;
pub mod paths;
pub mod population;
pub(crate) mod protocol;
pub(crate) mod rows;
mod schemes;
mod settings;
pub mod shipped;
pub mod source;
pub mod space;
pub mod spawn;
pub(crate) mod syntax;
pub(crate) mod units;
mod variants;

#[cfg(test)]
mod tests;

use std::path::Path;

use homarus_systems::definition::{CellDefinition, SynapseKind};

pub use self::{
    diagnostic::{Diagnostic, Diagnostics},
    document::Difference,
    model::Scene,
    network::{Asked, Size, TableFile},
    shipped::{Kind, Shipped, shipped},
    source::{Place, Source},
};

use self::{
    definitions::FORMAT,
    include::{Found, Loader, Unread},
    library::{Library, bare_key},
    syntax::Value,
};

/// Reads a scene: a path to a `.ron` file, or the name of a shipped network or study.
///
/// # Errors
///
/// Everything that is wrong with it; a syntax error is alone.
pub fn read(name_or_path: &str) -> Result<Scene, Diagnostics> {
    read_asked(name_or_path, &Asked::default())
}

/// As [`read`], with other numbers of cells of populations and of copies of networks, and other
/// tables of conductances, than the scene says.
///
/// # Errors
/// Everything that is wrong with it; a population or network that is not there.
pub fn read_asked(name_or_path: &str, asked: &Asked) -> Result<Scene, Diagnostics> {
    let found = find(name_or_path, &SCENES)?;
    read_found(&stem(name_or_path), &found, asked)
}

/// Kinds of files that are scenes.
const SCENES: [Kind; 2] = [Kind::Network, Kind::Study];

/// A cell type on its own or a scene, as a scene.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A scene of one cell of a type, called as the type is, with nothing but the type's defaults.
    CellType(Scene),
    /// A scene as it is.
    Scene(Scene),
}

/// Reads a cell type or a scene, from a file or by the name under which it ships.
///
/// # Errors
/// Everything that is wrong with it; a file that defines something else.
pub fn read_subject(name_or_path: &str, asked: &Asked) -> Result<Subject, Diagnostics> {
    let found = find(name_or_path, &[Kind::Cell, Kind::Network, Kind::Study])?;
    let mut errors = Diagnostics::default();
    let mut loader = Loader::default();
    let Some((name, place)) = loader.cell_type(&found, &mut errors) else {
        if !errors.is_empty() {
            return finish(None, errors);
        }
        return read_found(&stem(name_or_path), &found, asked).map(Subject::Scene);
    };
    let mut library = loader.library;
    library.check_included(&mut errors);
    let lone = format!(
        "Scene(format: {FORMAT}, duration_ms: 1000, step_ms: 0.01, cells: {{ {name:?}: (cell: {name:?}) }})"
    );
    let lone = syntax::parse(&Source::new("a lone cell", lone), &mut errors);
    let scene = match lone.map(|root| root.value) {
        Some(Value::Struct(_, fields)) if errors.is_empty() => {
            let place = (place, found.folder.as_deref());
            network::scene(&name, place, &fields, &mut library, asked, &mut errors)
        }
        _ => None,
    };
    finish(scene, errors).map(Subject::CellType)
}

/// The name that a file gives what it holds.
pub(crate) fn stem(name_or_path: &str) -> String {
    Path::new(name_or_path).file_stem().map_or_else(
        || name_or_path.to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

/// A file on disk, or one of the first of `kinds` that ships under a name.
pub(crate) fn find(name_or_path: &str, kinds: &[Kind]) -> Result<Found, Diagnostics> {
    let is_path = name_or_path.ends_with(".ron") || name_or_path.contains(['/', '\\']);
    if is_path {
        let found = Found::on_disk(Path::new(name_or_path));
        return Ok(found.map_err(|Unread { problem, help }| {
            Diagnostic::new(format!("`{name_or_path}` {problem}"))
                .help(help.unwrap_or_else(|| shipped_instead(name_or_path)))
        })?);
    }
    let mut shipped = kinds.iter();
    let found = shipped.find_map(|kind| Found::shipped(*kind, name_or_path));
    Ok(found.ok_or_else(|| not_shipped(name_or_path, kinds))?)
}

/// Reads a scene from a text. It is shown as `name` in errors; files it includes are looked for in
/// `folder`.
///
/// # Errors
///
/// Everything that is wrong with it; a syntax error is alone.
pub fn read_text(text: &str, name: &str, folder: Option<&Path>) -> Result<Scene, Diagnostics> {
    let found = Found {
        source: Source::new(name, text),
        identity: name.to_owned(),
        folder: folder.map(Path::to_owned),
    };
    read_found(
        name.strip_suffix(".ron").unwrap_or(name),
        &found,
        &Asked::default(),
    )
}

fn read_found(name: &str, found: &Found, asked: &Asked) -> Result<Scene, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut loader = Loader::default();
    let tree = loader.scene(found, &mut errors);
    let mut library = loader.library;
    library.check_included(&mut errors);
    let scene = tree.and_then(|(head, fields)| {
        let place = (head, found.folder.as_deref());
        network::scene(name, place, &fields, &mut library, asked, &mut errors)
    });
    if let Some(scene) = &scene {
        match memory::shortage(scene, memory::available()) {
            // Its edges are not made to see which of them are named.
            Some(error) => errors.push(error),
            None => match generate::impossible(scene) {
                Some(error) => errors.push(error),
                None => {
                    paths::check(scene, &mut errors);
                    expect::check(scene, &mut errors);
                }
            },
        }
    }
    finish(scene, errors)
}

/// The value, or the errors in order.
pub(crate) fn finish<T>(value: Option<T>, mut errors: Diagnostics) -> Result<T, Diagnostics> {
    errors.sort();
    match value {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(errors),
    }
}

/// What to do where a scene file is not there.
fn shipped_instead(path: &str) -> String {
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
    let ships = |stem: &&str| {
        let mut kinds = [Kind::Network, Kind::Study].into_iter();
        kinds.any(|kind| shipped::find(kind, stem).is_some())
    };
    match stem.filter(ships) {
        Some(stem) => format!("`{stem}` ships with Homarus: leave its folder and `.ron` away"),
        None => "`homarus list networks` shows the scenes that ship".to_owned(),
    }
}

/// The last word of the path of a table of conductances.
pub(crate) const TABLE: &str = "table";

/// Takes the path of a number of cells or copies, or of a table, apart.
pub(crate) fn of_population(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("population.");
    let rest = rest.filter(|rest| rest.contains('.')).unwrap_or(path);
    let (name, field) = rest.split_once('.')?;
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (plain && ["count", "copies", TABLE].contains(&field)).then_some((name, field))
}

/// The error for a name that is neither a path nor shipped under one of `kinds`.
fn not_shipped(name: &str, kinds: &[Kind]) -> Diagnostic {
    let known = || kinds.iter().copied().flat_map(shipped::names);
    let (what, file) = match kinds {
        [Kind::Study, ..] => ("shipped study", "a study file"),
        _ if kinds.contains(&Kind::Cell) => ("shipped cell type or scene", "a file"),
        _ => ("shipped scene", "a scene file"),
    };
    let error = Diagnostic::new(format!("there is no {what} `{name}`")).maybe_help(names::hint(
        name,
        known(),
        what,
    ));
    match Path::new(&format!("{name}.ron")).exists() {
        true => error.help(format!("{file} is given with its ending: `{name}.ron`")),
        false => error,
    }
}

/// The shipped cell type `name`.
///
/// # Errors
///
/// There is none, or it is wrong.
pub fn cell_definition(name: &str) -> Result<CellDefinition, Diagnostics> {
    let mut errors = Diagnostics::default();
    let cell = Library::default().cell(&bare_key(name), &mut errors);
    finish(cell, errors)
}

/// The shipped synapse kind `name`.
///
/// # Errors
///
/// There is none, or it is wrong.
pub fn synapse_kind(name: &str) -> Result<SynapseKind, Diagnostics> {
    let mut errors = Diagnostics::default();
    let kind = Library::default().synapse(&bare_key(name), &mut errors);
    finish(kind, errors)
}
