//! Files: reading them, and what they include.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    string::FromUtf8Error,
    sync::Arc,
};

use super::{
    decode,
    definitions::FORMAT,
    diagnostic::{Diagnostic, Diagnostics},
    library::{Library, defined_name, kind_of},
    merge::{self, Entries},
    names,
    shipped::{self, Kind},
    source::{Place, Source},
    syntax::{self, Key, Node, Value},
};

/// A chain of includes longer than this is taken for a mistake.
const MAX_DEPTH: usize = 32;

/// A file longer than this is no scene; a device could go on for ever.
const MAX_BYTES: u64 = 1 << 30;

/// A file that was found.
pub(crate) struct Found {
    pub source: Arc<Source>,
    /// Tells files apart: the full path, or the shipped name.
    pub identity: String,
    /// Folder its own includes start from; shipped files have none.
    pub folder: Option<PathBuf>,
}

impl Found {
    /// The shipped file of a kind and name.
    pub fn shipped(kind: Kind, name: &str) -> Option<Self> {
        Some(Self {
            source: shipped::find(kind, name)?,
            identity: format!("shipped {}/{name}", kind.folder()),
            folder: None,
        })
    }

    /// A file on disk.
    pub fn on_disk(path: &Path) -> Result<Self, Unread> {
        let text = String::from_utf8(bytes(path)?).map_err(|error| Unread::not_text(&error))?;
        let full = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self {
            source: Source::new(path.display().to_string(), text),
            identity: full.display().to_string(),
            folder: Some(path.parent().unwrap_or(Path::new("")).to_owned()),
        })
    }
}

/// The text of a file that is no scene.
pub(crate) fn read_file(path: &Path) -> Result<Arc<Source>, Unread> {
    Found::on_disk(path).map(|found| found.source)
}

/// Why a file cannot be read.
pub(crate) struct Unread {
    /// A phrase that follows the file's name.
    pub problem: String,
    /// What to do about it, if anything can be said.
    pub help: Option<String>,
}

impl Unread {
    fn new(problem: String, help: &str) -> Self {
        let help = (!help.is_empty()).then(|| help.to_owned());
        Self { problem, help }
    }

    fn not_text(error: &FromUtf8Error) -> Self {
        let bytes = error.as_bytes();
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&bytes[..at]);
        let source = Source::new("", before);
        let end = Place::new(&source, source.text().len()..source.text().len());
        let problem = format!(
            "is not UTF-8 text: byte 0x{:02x} in line {}, column {}",
            bytes[at],
            end.line(),
            end.column()
        );
        Self::new(
            problem,
            "a scene is a text file; save it with the encoding UTF-8",
        )
    }
}

/// The bytes of a file.
fn bytes(path: &Path) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Unread::new("does not exist".to_owned(), ""),
            ErrorKind::PermissionDenied => {
                Unread::new(format!("cannot be read: {error}"), "may you read it?")
            }
            ErrorKind::IsADirectory => Unread::new(
                "is a folder, not a file".to_owned(),
                "name the `.ron` file in it",
            ),
            _ => Unread::new(format!("cannot be read: {error}"), ""),
        })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unread::new(
            "is larger than 1 GiB".to_owned(),
            "is it a scene?",
        ));
    }
    Ok(bytes)
}

/// Follows includes and fills the library.
#[derive(Default)]
pub(super) struct Loader {
    pub library: Library,
    /// Files that are being read, outermost first.
    chain: Vec<String>,
    /// Definition files that were read.
    loaded: Vec<String>,
}

impl Loader {
    /// The fields of a scene with its base merged in, and where it stands. `None` if the file or
    /// something it includes cannot be read; the rest of it would then be judged wrongly.
    pub fn scene(&mut self, file: &Found, errors: &mut Diagnostics) -> Option<(Place, Entries)> {
        let root = syntax::parse(&file.source, errors)?;
        match kind_of(&root, errors)? {
            Kind::Network => self.scene_tree(file, &root, errors),
            Kind::Study => {
                errors.push(
                    Diagnostic::at(&root.head(), "this file is a study")
                        .label("expected `Scene(…)`")
                        .help("`homarus study FILE` runs it, `homarus check FILE` judges it"),
                );
                None
            }
            kind => {
                errors.push(
                    Diagnostic::at(&root.head(), format!("this file defines a {kind}"))
                        .label("expected `Scene(…)`")
                        .help("a scene includes it or refers to it by name"),
                );
                None
            }
        }
    }

    /// Adds the cell type of a file; gives its name and where it stands. `None`: the file holds none,
    /// or cannot be read.
    pub fn cell_type(&mut self, file: &Found, errors: &mut Diagnostics) -> Option<(String, Place)> {
        let root = syntax::parse(&file.source, errors)?;
        match kind_of(&root, errors)? {
            Kind::Cell => {}
            Kind::Network | Kind::Study => return None,
            kind => {
                errors.push(
                    Diagnostic::at(&root.head(), format!("this file defines a {kind}"))
                        .label("expected `Cell(…)` or `Scene(…)`"),
                );
                return None;
            }
        }
        let head = root.head();
        let name = defined_name(&root);
        self.definition(Kind::Cell, root.clone(), file, errors)?;
        match name {
            Some(name) => Some((name.text, head)),
            // What is wrong with its name is said where the file is read in full.
            None => {
                self.library.check_included(errors);
                None
            }
        }
    }

    fn scene_tree(
        &mut self,
        file: &Found,
        root: &Node,
        errors: &mut Diagnostics,
    ) -> Option<(Place, Entries)> {
        let fields = match &root.value {
            Value::Struct(_, fields) => fields.as_slice(),
            _ => &[],
        };
        self.chain.push(file.identity.clone());
        let base = self.includes(fields, file.folder.as_deref(), true, errors);
        let defined = self.defines(fields, file.folder.as_deref(), errors);
        let copied = self.networks(fields, file.folder.as_deref(), errors);
        self.chain.pop();
        let merged = merge::scene(&base?, &copied?, errors);
        defined.then(|| (root.head(), merged))
    }

    /// The fields of a scene in which every copied network holds what the network it names holds.
    fn networks(
        &mut self,
        fields: &[(Key, Node)],
        folder: Option<&Path>,
        errors: &mut Diagnostics,
    ) -> Option<Entries> {
        let mut fields = fields.to_vec();
        let networks = fields.iter_mut().find(|(key, _)| key.text == "networks");
        let mut whole = true;
        if let Some((_, node)) = networks
            && let Value::Map(entries) = &mut node.value
        {
            for (_, entry) in entries {
                let Value::Struct(None, own) = &mut entry.value else {
                    continue;
                };
                match self.network(own, folder, errors) {
                    Some(merged) => *own = merged,
                    None => whole = false,
                }
            }
        }
        whole.then_some(fields)
    }

    /// The fields of a copied network, laid over the cells and edges of the network it names.
    fn network(
        &mut self,
        own: &Entries,
        folder: Option<&Path>,
        errors: &mut Diagnostics,
    ) -> Option<Entries> {
        let name = own
            .iter()
            .find(|(key, node)| key.text == "network" && !node.is_none());
        let Some((_, name)) = name else {
            return Some(merge::scene(&[], own, errors));
        };
        let name = decode::key(name, errors)?;
        let (root, found) = self.open(&name, folder, errors)?;
        let kind = kind_of(&root, errors)?;
        if kind != Kind::Network {
            errors.push(
                Diagnostic::at(&name.place, format!("`{}` is a {kind}", name.text))
                    .label("expected a network"),
            );
            return None;
        }
        let (_, base) = self.scene_tree(&found, &root, errors)?;
        // Of these there would be one for all copies, and none is written in the network's file.
        const NOT_COPIED: [&str; 3] = ["set", "networks", "generators"];
        let held = base.iter().find(|(key, node)| {
            let empty = matches!(&node.value, Value::Map(entries) if entries.is_empty());
            NOT_COPIED.contains(&key.text.as_str()) && !empty && !node.is_none()
        });
        if let Some((key, _)) = held {
            errors.push(
                Diagnostic::at(&name.place, format!("`{}` cannot be copied", name.text))
                    .label("copied here")
                    .and(&key.place, format!("it has `{}`", key.text))
                    .help("only cells and edges are copied"),
            );
            return None;
        }
        let kept = ["cells", "edges"];
        let base: Entries = base
            .into_iter()
            .filter(|(key, _)| kept.contains(&key.text.as_str()))
            .collect();
        Some(merge::scene(&base, own, errors))
    }

    /// Reads the definitions a scene holds itself; false if one of them is not any.
    fn defines(
        &mut self,
        fields: &[(Key, Node)],
        folder: Option<&Path>,
        errors: &mut Diagnostics,
    ) -> bool {
        let field = fields.iter().find(|(key, _)| key.text == "define");
        let Some((_, list)) = field.filter(|(_, node)| !node.is_none()) else {
            return true;
        };
        let mut whole = true;
        for node in decode::list(list, errors).unwrap_or_default() {
            match kind_of(node, errors) {
                Some(kind @ (Kind::Network | Kind::Study)) => {
                    let what = if kind == Kind::Study {
                        "study"
                    } else {
                        "scene"
                    };
                    let message = format!("a {what} cannot be defined inside a scene");
                    errors.push(
                        Diagnostic::at(&node.head(), message)
                            .label("expected `Channel(…)`, `Cell(…)` or `Synapse(…)`"),
                    );
                    whole = false;
                }
                Some(kind) => whole &= self.add(kind, with_format(node), folder, errors),
                None => whole = false,
            }
        }
        whole
    }

    /// Reads what `fields` include; gives the fields of the included base scene, if any.
    fn includes(
        &mut self,
        fields: &[(Key, Node)],
        folder: Option<&Path>,
        base_allowed: bool,
        errors: &mut Diagnostics,
    ) -> Option<Entries> {
        let mut base: Option<(Key, Entries)> = None;
        let Some((_, list)) = fields
            .iter()
            .find(|(key, node)| key.text == "include" && !node.is_none())
        else {
            return Some(Entries::new());
        };
        let mut whole = true;
        for name in decode::keys(list, errors)? {
            let Some((root, found)) = self.open(&name, folder, errors) else {
                whole = false;
                continue;
            };
            let Some(kind) = kind_of(&root, errors) else {
                whole = false;
                continue;
            };
            if kind == Kind::Study {
                errors.push(
                    Diagnostic::at(&name.place, "a study cannot be included")
                        .label("this is a study")
                        .help("a study names the scenes it is about: `base`"),
                );
                whole = false;
            } else if kind != Kind::Network {
                whole &= self.definition(kind, root, &found, errors).is_some();
            } else if !base_allowed {
                errors.push(
                    Diagnostic::at(&name.place, "only a scene can include a scene")
                        .label("this is a scene"),
                );
                whole = false;
            } else if let Some((first, _)) = &base {
                errors.push(
                    Diagnostic::at(&name.place, "a scene has at most one base scene")
                        .label("second scene")
                        .and(&first.place, "first scene"),
                );
                whole = false;
            } else {
                match self.scene_tree(&found, &root, errors) {
                    Some((_, mut fields)) => {
                        // What a file says about itself is not inherited, nor what it shows as it is.
                        const OWN: [&str; 5] = ["include", "define", "format", "name", "expect"];
                        fields.retain(|(key, _)| !OWN.contains(&key.text.as_str()));
                        base = Some((name, fields));
                    }
                    None => whole = false,
                }
            }
        }
        whole.then(|| base.map(|(_, fields)| fields).unwrap_or_default())
    }

    /// Opens and parses one entry of an `include` list.
    fn open(
        &self,
        name: &Key,
        folder: Option<&Path>,
        errors: &mut Diagnostics,
    ) -> Option<(Node, Found)> {
        let found = locate(name, folder, errors)?;
        if self.chain.contains(&found.identity) {
            errors.push(
                Diagnostic::at(&name.place, "includes go round in a circle")
                    .label("leads back to a file that is being read")
                    .help(format!("{} is included by itself", found.source.name())),
            );
            return None;
        }
        if self.chain.len() >= MAX_DEPTH {
            errors.push(
                Diagnostic::at(&name.place, "includes are nested too deeply")
                    .label(format!("more than {MAX_DEPTH} levels")),
            );
            return None;
        }
        let root = syntax::parse(&found.source, errors)?;
        Some((root, found))
    }

    /// Adds a definition file and what it includes, once.
    fn definition(
        &mut self,
        kind: Kind,
        root: Node,
        file: &Found,
        errors: &mut Diagnostics,
    ) -> Option<()> {
        if self.loaded.contains(&file.identity) {
            return Some(());
        }
        self.loaded.push(file.identity.clone());
        self.chain.push(file.identity.clone());
        let whole = self.add(kind, root, file.folder.as_deref(), errors);
        self.chain.pop();
        whole.then_some(())
    }

    /// Adds a definition and what it includes; false if something it includes cannot be read.
    fn add(
        &mut self,
        kind: Kind,
        root: Node,
        folder: Option<&Path>,
        errors: &mut Diagnostics,
    ) -> bool {
        let whole = match (kind, &root.value) {
            (Kind::Cell, Value::Struct(_, fields)) => {
                self.includes(fields, folder, false, errors).is_some()
            }
            _ => true,
        };
        self.library.add(kind, root, errors);
        whole
    }
}

/// A definition inside a scene is of the scene's format.
fn with_format(node: &Node) -> Node {
    let mut node = node.clone();
    if let Value::Struct(Some(name), fields) = &mut node.value
        && fields.iter().all(|(key, _)| key.text != "format")
    {
        let written = Source::new("the scene's format", FORMAT.to_string());
        let format = Node {
            place: Place::new(&written, 0..written.text().len()),
            value: Value::Number(FORMAT as f64),
        };
        let (text, place) = ("format".to_owned(), name.place.clone());
        fields.push((Key { text, place }, format));
    }
    node
}

/// Finds what an `include` entry means: a path if it ends in `.ron`, else a shipped name.
fn locate(name: &Key, folder: Option<&Path>, errors: &mut Diagnostics) -> Option<Found> {
    if name.text.ends_with(".ron") {
        let Some(folder) = folder else {
            errors.push(
                Diagnostic::at(&name.place, format!("`{}` cannot be included", name.text))
                    .label("a path")
                    .help("a text without a folder of its own includes shipped files only"),
            );
            return None;
        };
        let path = folder.join(&name.text);
        return Found::on_disk(&path)
            .map_err(|Unread { problem, help }| {
                let folder = match folder.as_os_str().is_empty() {
                    true => "the current folder".to_owned(),
                    false => format!("`{}`", folder.display()),
                };
                errors.push(
                    Diagnostic::at(&name.place, format!("`{}` {problem}", name.text))
                        .label("cannot be included")
                        .help(format!(
                            "paths are relative to the folder of the including file, {folder}"
                        ))
                        .maybe_help(help),
                );
            })
            .ok();
    }
    let found = Kind::ALL
        .into_iter()
        .find_map(|kind| Found::shipped(kind, &name.text));
    if found.is_none() {
        let known = Kind::ALL.into_iter().flat_map(shipped::names);
        let help = match names::nearest(&name.text, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("a file is included as `\"{}.ron\"`", name.text),
        };
        errors.push(
            Diagnostic::at(
                &name.place,
                format!("nothing called `{}` ships with Homarus", name.text),
            )
            .label("cannot be included")
            .help(help),
        );
    }
    found
}
