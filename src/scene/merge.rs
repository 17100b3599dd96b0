//! `like` and included base scenes: copying what was written and merging into it.

use std::collections::HashMap;

use super::{
    decode,
    diagnostic::{Diagnostic, Diagnostics},
    names,
    source::Place,
    syntax::{Key, Node, Value},
};

/// Named entries in order: the fields of a struct or the entries of a map.
pub(super) type Entries = Vec<(Key, Node)>;

/// `over` laid over `base`: entries of `over` replace or merge into those of the same name, new ones follow.
pub(super) fn entries(base: &[(Key, Node)], over: &[(Key, Node)]) -> Entries {
    let mut merged = base.to_vec();
    for (key, node) in over {
        match merged.iter_mut().find(|(known, _)| known.text == key.text) {
            Some((known, under)) => {
                *under = value(under, node);
                *known = key.clone();
            }
            None => merged.push((key.clone(), node.clone())),
        }
    }
    merged
}

/// Structs and maps merge, everything else is replaced.
fn value(base: &Node, over: &Node) -> Node {
    let merged = match (&base.value, &over.value) {
        (Value::Struct(a, under), Value::Struct(b, upper)) if same_name(a, b) => {
            Value::Struct(b.clone(), entries(under, upper))
        }
        (Value::Map(under), Value::Map(upper)) => Value::Map(entries(under, upper)),
        // An empty `()` adds nothing.
        (Value::Struct(None, _), Value::Tuple(None, items)) if items.is_empty() => {
            base.value.clone()
        }
        _ => return over.clone(),
    };
    Node {
        place: over.place.clone(),
        value: merged,
    }
}

fn same_name(a: &Option<Key>, b: &Option<Key>) -> bool {
    a.as_ref().map(|key| &key.text) == b.as_ref().map(|key| &key.text)
}

/// Lays the fields of a scene over those of its base. Maps merge by name, lists and plain values are replaced. `like`
/// is resolved here; in the base it already was, so that changing a cell of the base changes that cell only.
pub(super) fn scene(
    base: &[(Key, Node)],
    over: &[(Key, Node)],
    errors: &mut Diagnostics,
) -> Entries {
    let (mut fields, mut own_cells) = (Entries::new(), None);
    for (key, node) in over {
        match &node.value {
            Value::Map(cells) if key.text == "cells" => own_cells = Some((key, &node.place, cells)),
            _ => fields.push((key.clone(), node.clone())),
        }
    }
    let base_cells = base.iter().find_map(|(key, node)| match &node.value {
        Value::Map(cells) if key.text == "cells" => Some(cells.as_slice()),
        _ => None,
    });
    let mut merged = entries(base, &fields);
    if let Some((key, place, own)) = own_cells {
        let cells = cells(base_cells.unwrap_or_default(), own, errors);
        merged.retain(|(known, _)| known.text != key.text);
        merged.push((key.clone(), map(place, cells)));
    }
    merged
}

fn map(place: &Place, entries: Entries) -> Node {
    Node {
        place: place.clone(),
        value: Value::Map(entries),
    }
}

/// What the cells of a scene copy.
struct Cells<'a> {
    own: &'a [(Key, Node)],
    /// Own cells by name, the first of duplicates.
    by_name: HashMap<&'a str, usize>,
    base: HashMap<&'a str, &'a Node>,
    done: Vec<Option<Node>>,
    /// Cells that lie on the chain that is being followed.
    on_chain: Vec<bool>,
}

/// Where a cell comes from before its own fields are laid over.
enum Origin<'a> {
    /// Nothing to copy.
    Nothing,
    /// A cell that is complete.
    Node(&'a Node),
    /// A cell of this scene, which may itself copy.
    Own(usize),
}

/// Resolves `like` and the base for every cell. Base cells come first, in their order.
fn cells(base: &[(Key, Node)], own: &[(Key, Node)], errors: &mut Diagnostics) -> Entries {
    let mut by_name = HashMap::new();
    for (index, (key, _)) in own.iter().enumerate() {
        by_name.entry(key.text.as_str()).or_insert(index);
    }
    let mut resolver = Cells {
        own,
        by_name,
        base: base
            .iter()
            .map(|(key, node)| (key.text.as_str(), node))
            .collect(),
        done: vec![None; own.len()],
        on_chain: vec![false; own.len()],
    };
    for index in 0..own.len() {
        resolver.resolve(index, errors);
    }
    let mut merged = base.to_vec();
    let at: HashMap<&str, usize> = base
        .iter()
        .enumerate()
        .map(|(index, (key, _))| (key.text.as_str(), index))
        .collect();
    for ((key, written), resolved) in own.iter().zip(&resolver.done) {
        let node = resolved.as_ref().unwrap_or(written).clone();
        match at.get(key.text.as_str()) {
            Some(&index) => merged[index] = (key.clone(), node),
            None => merged.push((key.clone(), node)),
        }
    }
    merged
}

impl<'a> Cells<'a> {
    /// Follows the chain of copies from `index` to its end, then lays the cells over one another
    /// on the way back. A chain may be as long as the scene, so this is no recursion.
    fn resolve(&mut self, index: usize, errors: &mut Diagnostics) {
        let mut chain = Vec::new();
        let mut at = index;
        let mut under = loop {
            if let Some(node) = &self.done[at] {
                break Some(node.clone());
            }
            chain.push(at);
            self.on_chain[at] = true;
            match self.origin(at, errors) {
                Origin::Nothing => break None,
                Origin::Node(node) => break Some(node.clone()),
                Origin::Own(next) if self.on_chain[next] => {
                    self.report_cycle(&chain, next, errors);
                    break None;
                }
                Origin::Own(next) => at = next,
            }
        };
        for &at in chain.iter().rev() {
            let own = &self.own[at].1;
            let node = match &under {
                Some(under) => value(under, &without_like(own)),
                // `like` stays where it leads nowhere: what the cell lacks may be what it would copy.
                None => own.clone(),
            };
            self.done[at] = Some(node.clone());
            self.on_chain[at] = false;
            under = Some(node);
        }
    }

    fn origin(&self, index: usize, errors: &mut Diagnostics) -> Origin<'a> {
        let (key, node) = &self.own[index];
        let Some(like) = field(node, "like") else {
            return match self.base.get(key.text.as_str()) {
                Some(node) => Origin::Node(node),
                None => Origin::Nothing,
            };
        };
        let Some(like) = decode::key(like, errors) else {
            return Origin::Nothing;
        };
        if let Some(&own) = self.by_name.get(like.text.as_str()) {
            return Origin::Own(own);
        }
        if let Some(node) = self.base.get(like.text.as_str()) {
            return Origin::Node(node);
        }
        let known = self.own.iter().map(|(key, _)| key.text.as_str());
        let others = known
            .chain(self.base.keys().copied())
            .filter(|name| *name != key.text);
        errors.push(
            Diagnostic::at(
                &like.place,
                format!("there is no cell `{}` to copy", like.text),
            )
            .label("unknown cell")
            .maybe_help(names::hint(&like.text, others, "other cell")),
        );
        Origin::Nothing
    }

    fn report_cycle(&self, chain: &[usize], back_to: usize, errors: &mut Diagnostics) {
        let start = chain.iter().position(|&at| at == back_to).unwrap_or(0);
        let circle = &chain[start..];
        let mut names: Vec<&str> = circle
            .iter()
            .map(|&at| self.own[at].0.text.as_str())
            .collect();
        names.push(names[0]);
        let last = &self.own[circle[circle.len() - 1]].1;
        let place = field(last, "like").map_or(&last.place, |like| &like.place);
        errors.push(
            Diagnostic::at(place, "`like` goes round in a circle")
                .label("closes the circle")
                .help(names.join(" is like ")),
        );
    }
}

fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Struct(_, fields) => fields
            .iter()
            .find(|(key, node)| key.text == name && !node.is_none())
            .map(|(_, node)| node),
        _ => None,
    }
}

fn without_like(node: &Node) -> Node {
    let mut node = node.clone();
    if let Value::Struct(_, fields) = &mut node.value {
        fields.retain(|(key, _)| key.text != "like");
    }
    node
}
