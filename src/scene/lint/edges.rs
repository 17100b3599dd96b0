//! Edges that do not do what an edge is for, and cells without any.

use std::collections::BTreeMap;

use homarus_systems::{
    address::{Address, EdgeScalar, Names},
    coupling::{self, BulkEdges, Kinds, Release},
    definition::SynapseDefinition,
    protocol::{Action, Change},
    schedule::Edges,
};

use super::super::{
    diagnostic::{Diagnostic, Diagnostics},
    model::Edge,
};
use super::{Network, digits, percent};

/// Activation of a synapse (1) that counts as open. The shipped kinds are at 0 (`tanh`) and below
/// 0.02 (`sigmoid`) where shipped cells start.
const OPEN: f64 = 0.1;

/// A cell with no edge in or out, in a scene that has edges. A scene without edges is a population.
pub(super) fn unreached(network: &Network<'_>, lints: &mut Diagnostics) {
    let scene = network.scene;
    if scene.edges.is_empty() && scene.bulk.is_empty() {
        return;
    }
    let mut reached = vec![false; scene.cells.len()];
    for edge in &scene.edges {
        reached[edge.pre] = true;
        reached[edge.post] = true;
    }
    for bulk in network.world.resource::<Names>().bulk() {
        for cell in bulk.pre.iter().chain(bulk.post.iter()) {
            reached[*cell as usize] = true;
        }
    }
    let cells: Vec<usize> = (0..scene.cells.len()).filter(|k| !reached[*k]).collect();
    // Cells that come from one description are told of once.
    let same = |a: &usize, b: &usize| scene.cells[*a].origin == scene.cells[*b].origin;
    for cells in cells.chunk_by(same) {
        let first = &scene.cells[cells[0]];
        let lint = |what: String, it: &str, whose: String| {
            Diagnostic::lint(&first.origin, format!("nothing reaches {what}"))
                .label("no edge in or out")
                .help(format!(
                    "join {it} to the others by an edge, or leave it if {whose} is a control"
                ))
        };
        let name = format!("`{}`", first.name);
        lints.push(match cells.len() {
            1 => lint(name.clone(), "it", name),
            n => lint(
                format!("{n} cells, {name} first"),
                "them",
                "each of them".to_owned(),
            ),
        });
    }
}

/// An edge of conductance 0 that the protocol never raises. Scaling keeps 0 at 0.
pub(super) fn without_weight(network: &Network<'_>, lints: &mut Diagnostics) {
    for (k, edge) in network.scene.edges.iter().enumerate() {
        let g = Address::Edge(k, EdgeScalar::G);
        if network.read(g) == 0.0 && !network.raised_later(g) {
            let path = network.edge_path(k);
            lints.push(
                Diagnostic::lint(&edge.origin, format!("`{path}` has no weight"))
                    .label("g is 0, and no protocol entry changes that")
                    .help(format!(
                        "give it a `g`, remove the edge, or raise it in the protocol: `set: \"{path}.g\", to: 0.8`"
                    )),
            );
        }
    }
}

/// One junction written in both directions: the two conductances add up. Two edges that both have a
/// name of their own are meant.
pub(super) fn junction_twice(network: &Network<'_>, lints: &mut Diagnostics) {
    let scene = network.scene;
    let two_way = |edge: &Edge| {
        let kind = &scene.kinds[edge.kind].definition;
        matches!(kind, SynapseDefinition::Electrical { one_way: false, .. })
    };
    let mut known: BTreeMap<_, &Edge> = BTreeMap::new();
    for edge in scene.edges.iter().filter(|edge| two_way(edge)) {
        if let Some(first) = known.get(&(edge.post, edge.pre, edge.kind))
            && !(edge.name.is_some() && first.name.is_some())
        {
            let [a, b] = [edge.pre, edge.post].map(|cell| network.name(cell));
            lints.push(
                Diagnostic::lint(
                    &edge.origin,
                    format!("the junction of `{a}` and `{b}` is listed twice"),
                )
                .label("again here, the other way round")
                .and(&first.origin, "first here")
                .help("both cells feel each of the two, so their `g` add up; keep one, or name both if you mean two"),
            );
        }
        known
            .entry((edge.pre, edge.post, edge.kind))
            .or_insert(edge);
    }
}

/// A chemical synapse whose gate is open at the presynaptic V(0): it acts before its cell does.
/// Where the edge gives its own start value, somebody has thought about it.
pub(super) fn open_at_rest(network: &Network<'_>, lints: &mut Diagnostics) {
    let kinds = network.world.resource::<Kinds>();
    for (k, edge) in network.scene.edges.iter().enumerate() {
        let kind = network.world.get::<coupling::Edge>(network.edge(k));
        let Some(kind) = kind.filter(|_| edge.s.is_none()) else {
            continue;
        };
        let v = network.voltage(edge.pre);
        let (s, _) = kinds.get(kind.kind).gate(v);
        if s > OPEN {
            let pre = network.name(edge.pre);
            lints.push(
                Diagnostic::lint(
                    &edge.origin,
                    format!("`{}` is open at rest", network.edge_path(k)),
                )
                .label(format!(
                    "at V(0) = {} mV of `{pre}` its gate is open to {}",
                    digits(v, 4),
                    percent(s)
                ))
                .help(format!(
                    "it acts though `{pre}` is silent: shift the voltage at which `{}` opens, or start `{pre}` lower; \
                     `s: …` in the edge says that it is meant",
                    network.scene.kinds[edge.kind].name
                )),
            );
        }
    }
}

/// Edges in bulk of which some have no weight, or are open at rest: what [`without_weight`] and
/// [`open_at_rest`] say of an edge, once for all that come from one description.
pub(super) fn in_bulk(network: &Network<'_>, lints: &mut Diagnostics) {
    let kinds = network.world.resource::<Kinds>();
    let names = network.world.resource::<Names>();
    for (k, bulk) in network.scene.bulk.iter().enumerate() {
        let entity = network.world.resource::<Edges>().bulk()[k];
        let Some(edges) = network.world.get::<BulkEdges>(entity) else {
            continue;
        };
        let weightless = (0..edges.len()).filter(|edge| edges.g(*edge) == 0.0);
        let weightless: Vec<usize> = weightless.collect();
        if let Some(first) = weightless.first()
            && !network.bulk_raised_later(k)
        {
            lints.push(
                Diagnostic::lint(
                    &bulk.origin,
                    format!(
                        "{} of {} edges have no weight",
                        weightless.len(),
                        edges.len()
                    ),
                )
                .label(format!("`{}` first", names.bulk_owner(k, *first)))
                .help("give them a `g`, remove them, or raise it in the protocol"),
            );
        }
        let kind = kinds.get(edges.kind);
        let open = |release: &&Release| {
            release.start.is_none() && kind.gate(network.voltage(release.pre as usize)).0 > OPEN
        };
        let found: Vec<&Release> = edges.releases().iter().filter(open).collect();
        if let Some(first) = found.first() {
            let v = network.voltage(first.pre as usize);
            let pre = network.name(first.pre as usize);
            lints.push(
                Diagnostic::lint(
                    &bulk.origin,
                    format!(
                        "synapses of {} of {} presynaptic cells are open at rest",
                        found.len(),
                        edges.releases().len()
                    ),
                )
                .label(format!(
                    "at V(0) = {} mV of `{pre}` the gate is open to {}",
                    digits(v, 4),
                    percent(kind.gate(v).0)
                ))
                .help(
                    "they act though their cells are silent: shift the voltage at which the kind opens, \
                     or start the cells lower; `s: …` says that it is meant",
                ),
            );
        }
    }
}

impl Network<'_> {
    /// Path of an edge.
    fn edge_path(&self, edge: usize) -> String {
        self.world.resource::<Names>().edge_owner(edge)
    }

    /// Whether a protocol entry writes something else than 0 to weights of edges in bulk.
    fn bulk_raised_later(&self, bulk: usize) -> bool {
        let actions = self.protocol.iter().flat_map(|(_, actions)| actions);
        actions.into_iter().any(|action| match action {
            Action::Bulk { targets, change } => {
                let to = match change {
                    Change::Set(to) | Change::Ramp { to, .. } => *to,
                    Change::Scale(_) => 0.0,
                };
                targets.bulk == bulk && targets.scalar == EdgeScalar::G && to != 0.0
            }
            _ => false,
        })
    }

    /// Whether a protocol entry writes something else than 0 to a scalar.
    fn raised_later(&self, scalar: Address) -> bool {
        let actions = self.protocol.iter().flat_map(|(_, actions)| actions);
        actions.into_iter().any(|action| match action {
            Action::Set { targets, to } | Action::Ramp { targets, to, .. } => {
                *to != 0.0 && targets.contains(&scalar)
            }
            _ => false,
        })
    }
}
