//! Copies of shipped files to start from.

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    names,
    shipped::{self, Kind},
    syntax::{self, Node, Value},
};

/// A file to be written: its name and text.
pub type Copy = (String, String);

/// A shipped file of one of `kinds` and, behind it, the shipped files that it includes, each of them
/// once. Inclusions are turned into those of the copies.
///
/// # Errors
/// There is none of that name.
pub fn with_includes(kinds: &[Kind], name: &str) -> Result<Vec<Copy>, Diagnostics> {
    let Some(kind) = kind_of(kinds, name) else {
        let known = kinds.iter().flat_map(|kind| shipped::names(*kind));
        let what = match kinds {
            [kind] => kind.to_string(),
            _ => "file".to_owned(),
        };
        let error = Diagnostic::new(format!("there is no shipped {what} `{name}`"));
        return Err(error.maybe_help(names::hint(name, known, &what)).into());
    };
    let mut copies = Vec::new();
    copy(kind, name, &mut copies);
    Ok(copies)
}

/// The first of `kinds` of which a file called `name` ships.
fn kind_of(kinds: &[Kind], name: &str) -> Option<Kind> {
    let ships = |kind: &Kind| shipped::find(*kind, name).is_some();
    kinds.iter().copied().find(ships)
}

fn copy(kind: Kind, name: &str, copies: &mut Vec<Copy>) {
    let file = format!("{name}.ron");
    if copies.iter().any(|(known, _)| *known == file) {
        return;
    }
    let Some(source) = shipped::find(kind, name) else {
        return;
    };
    let included = syntax::parse(&source, &mut Diagnostics::default())
        .map(|root| includes(&root))
        .unwrap_or_default();
    let mut text = source.text().to_owned();
    // From the last on, so that what stands before keeps its place.
    for node in included.iter().rev() {
        text.replace_range(node.place.span(), &format!("\"{}.ron\"", name_of(node)));
    }
    copies.push((file, text));
    for node in &included {
        let name = name_of(node);
        if let Some(kind) = kind_of(&Kind::ALL, name) {
            copy(kind, name, copies);
        }
    }
}

/// The entries of a file's `include`, or the bases of a study, in the order of the text.
fn includes(root: &Node) -> Vec<Node> {
    let Value::Struct(_, fields) = &root.value else {
        return Vec::new();
    };
    let naming = ["include", "base", "bases"];
    let nodes = fields
        .iter()
        .filter(|(key, _)| naming.contains(&key.text.as_str()));
    let names = nodes.flat_map(|(_, node)| match &node.value {
        Value::List(items) => items.clone(),
        Value::Text(_) => vec![node.clone()],
        _ => Vec::new(),
    });
    names.collect()
}

fn name_of(node: &Node) -> &str {
    match &node.value {
        Value::Text(name) => name,
        _ => "",
    }
}
