//! Coupling between neurons. Edges are entities for authoring, or come in bulk; before a stretch
//! they are compiled to rows by postsynaptic neuron, again whenever an edge has changed. Weights of
//! chemical edges change in place.
//!
//! One sign convention holds for every kind: a coupling current is outward positive, it is
//! *subtracted* in the current balance of the cell that feels it.
//!
//! * chemical: `I_post = g s (V_post - E)`, `ds/dt = (s_inf(V_pre) - s)/tau(V_pre)`
//! * electrical: `I_post = g f (V_post - V_pre)` and, unless one-way, the same conductance
//!   `g f (V_pre - V_post)` in the other cell, f a factor of both voltages taken from pre to post
//!
//! g is a density of the membrane that feels it (mS/cm²); coupling currents carry no calcium.

mod bulk;
mod connected;
mod implicit;
mod kinds;

use std::collections::HashMap;

use bevy_ecs::prelude::*;

pub(crate) use bulk::BulkState;
pub use bulk::{BulkEdges, Release};
pub use implicit::Component as ImplicitComponent;
pub use kinds::{CompiledKind, KindError, Kinds};

use crate::membrane::Input;
use crate::schedule::{NeuronIndex, Neurons};

/// Sum of a cell's gap conductances times dt/C up to which they are taken with the partner's old
/// voltage; from there on the cells they join are solved together.
pub const EXPLICIT_GAP_LIMIT: f64 = 0.1;

/// An edge of the network: from `pre` to `post`, of a kind with parameters.
#[derive(Component, Clone, Debug)]
pub struct Edge {
    /// Presynaptic neuron.
    pub pre: Entity,
    /// Postsynaptic neuron.
    pub post: Entity,
    /// Kind with its parameters bound, in [`Kinds`].
    pub kind: u32,
    /// Place in the scene; sums over the edges into a cell run in this order.
    pub order: u32,
}

/// How strongly an edge couples.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Strength {
    /// Conductance felt by the postsynaptic cell (mS/cm² of its membrane).
    pub g: f64,
    /// Area of the postsynaptic cell over that of the presynaptic one: turns `g` into the density
    /// that the other cell of a junction feels.
    pub area_ratio: f64,
    /// False while the edge is cut.
    pub connected: bool,
}

/// Values of an edge's parameters, in the order of its kind.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct EdgeParameters(pub Vec<f64>);

/// Activation s of a chemical edge, 0..1. Edges that share presynaptic cell, kind, parameters and
/// s are advanced as one.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct SynapticActivation(pub f64);

/// A presynaptic release: one s.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Presynaptic neuron.
    pub pre: u32,
    /// Kind, in [`Kinds`].
    pub kind: u32,
    /// Activation, 0..1.
    pub s: f64,
}

/// A chemical edge as its postsynaptic neuron feels it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chemical {
    /// Release.
    pub site: u32,
    /// Conductance (mS/cm²).
    pub g: f64,
    /// g E (µA/cm²).
    ge: f64,
}

/// A junction as one of its neurons feels it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Electrical {
    /// Presynaptic neuron.
    pub pre: u32,
    /// Postsynaptic neuron.
    pub post: u32,
    /// The other neuron, seen from this one.
    pub partner: u32,
    /// Conductance (mS/cm² of the neuron that feels it).
    pub g: f64,
    /// Kind whose factor multiplies g; `None` for an ohmic junction.
    pub factor: Option<u32>,
}

/// Scratch: edges compiled to rows by postsynaptic neuron.
#[derive(Resource, Clone, Debug, Default)]
pub struct Coupling {
    chemical_rows: Vec<u32>,
    chemical: Vec<Chemical>,
    electrical_rows: Vec<u32>,
    electrical: Vec<Electrical>,
    /// Presynaptic releases.
    pub sites: Vec<Site>,
    /// Where the chemical edges that are entities went, in their order.
    single: Vec<SingleRow>,
    /// Chemical edges in bulk, by entity.
    bulk: Vec<(Entity, BulkRows)>,
    /// Groups of cells joined by strong junctions.
    pub implicit: Vec<ImplicitComponent>,
    /// Whether a cell belongs to such a group.
    in_implicit: Vec<bool>,
    /// Counts compilations.
    generation: u64,
    /// Counts changes of weights since then.
    reweighed: u64,
}

/// Where a chemical edge went.
#[derive(Clone, Copy, Debug)]
struct SingleRow {
    entity: Entity,
    /// Place of the edge in the scene.
    order: u32,
    site: u32,
    /// Place in the rows.
    slot: u32,
}

/// Where the chemical edges of a bulk went.
#[derive(Clone, Debug, Default)]
struct BulkRows {
    /// Place of each edge in the rows.
    slots: Vec<u32>,
    /// Site of each release.
    sites: Vec<u32>,
}

impl Coupling {
    /// Whether nothing couples and no release goes on.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty() && self.electrical.is_empty()
    }

    /// Two numbers: the first changes whenever the edges are compiled anew, the second whenever a
    /// weight does.
    pub(crate) fn generation(&self) -> (u64, u64) {
        (self.generation, self.reweighed)
    }

    /// Chemical edges, in the order of the neurons they go to.
    pub(crate) fn chemical(&self) -> &[Chemical] {
        &self.chemical
    }

    /// Place in [`Coupling::chemical`] of the first edge into a neuron.
    pub(crate) fn first_into(&self, post: usize) -> u32 {
        self.chemical_rows.get(post).copied().unwrap_or(0)
    }

    /// Chemical edges into a neuron, in the scene's order.
    pub(crate) fn chemical_into(&self, post: usize) -> &[Chemical] {
        row(&self.chemical_rows, &self.chemical, post)
    }

    /// Junctions that a neuron feels, in the scene's order.
    pub(crate) fn electrical_into(&self, post: usize) -> &[Electrical] {
        row(&self.electrical_rows, &self.electrical, post)
    }

    /// Whether a neuron belongs to a group of strongly joined ones.
    pub(crate) fn is_implicit(&self, neuron: usize) -> bool {
        self.in_implicit.get(neuron).is_some_and(|is| *is)
    }

    /// Pairs of neurons of which one acts on the other.
    fn links(&self) -> impl Iterator<Item = (u32, u32)> {
        let posts = 0..self.chemical_rows.len().saturating_sub(1);
        let chemical = posts.flat_map(move |post| {
            let edges = self.chemical_into(post).iter();
            edges.map(move |edge| (self.sites[edge.site as usize].pre, post as u32))
        });
        chemical.chain(self.electrical.iter().map(|edge| (edge.pre, edge.post)))
    }

    /// Components of the network: for each of `n` neurons the smallest index in its component.
    pub(crate) fn components(&self, n: usize) -> Vec<u32> {
        connected::leaders(n, self.links())
    }

    /// Releases of each of `n` neurons: where those of a neuron start, and all of them.
    pub(crate) fn sites_by_neuron(&self, n: usize) -> (Vec<u32>, Vec<u32>) {
        let sites = self.sites.iter().zip(0..).map(|(site, k)| (site.pre, k));
        rows(n, &sites.collect::<Vec<_>>())
    }

    /// Conductance and drive that each cell feels from its edges, from the activations and
    /// voltages as they are.
    #[inline(always)]
    pub fn gather(&self, kinds: &Kinds, voltage: &[f64], out: &mut [Input]) {
        for (post, input) in out.iter_mut().enumerate() {
            let mut g = 0.0;
            let mut current = 0.0;
            for edge in self.chemical_into(post) {
                let s = self.sites[edge.site as usize].s;
                g = edge.g.mul_add(s, g);
                current = edge.ge.mul_add(s, current);
            }
            for edge in self.electrical_into(post) {
                let conductance = edge.conductance(kinds, voltage);
                g += conductance;
                current = conductance.mul_add(voltage[edge.partner as usize], current);
            }
            *input = Input {
                conductance: g,
                current,
            };
        }
    }
}

impl Electrical {
    /// Conductance (mS/cm²) at the given voltages, by neuron or by whatever pre and post are.
    #[inline(always)]
    pub fn conductance(&self, kinds: &Kinds, voltage: &[f64]) -> f64 {
        match self.factor {
            None => self.g,
            Some(kind) => {
                let (pre, post) = (voltage[self.pre as usize], voltage[self.post as usize]);
                self.g * kinds.get(kind).factor(pre, post)
            }
        }
    }
}

/// System: compiles the edges to rows if any of them, or the step, has changed.
pub fn compile(
    changed: Query<(), (With<Edge>, Or<(Changed<Edge>, Changed<SynapticActivation>)>)>,
    reweighed: Query<(Entity, &Edge, &Strength), Changed<Strength>>,
    mut removed: RemovedComponents<Edge>,
    mut neurons_removed: RemovedComponents<NeuronIndex>,
    edges: Query<(Entity, &Edge, &Strength, Option<&SynapticActivation>)>,
    mut bulk: Query<(Entity, &mut BulkEdges)>,
    indices: Query<&NeuronIndex>,
    neurons: Res<Neurons>,
    kinds: Res<Kinds>,
    clock: Res<crate::schedule::Clock>,
    mut coupling: ResMut<Coupling>,
) {
    let structure = coupling.chemical_rows.len() != neurons.len() + 1
        || !changed.is_empty()
        || removed.read().count() > 0
        || neurons_removed.read().count() > 0
        || kinds.is_changed()
        || reweighed
            .iter()
            .any(|(_, edge, _)| !kinds.get(edge.kind).is_chemical())
        || bulk.iter().any(|(_, bulk)| {
            let junctions = !kinds.get(bulk.kind).is_chemical();
            bulk.regrouped || (junctions && !bulk.touched.is_empty())
        })
        || bulk.iter_mut().any(|(_, bulk)| bulk.is_added());
    if structure {
        let mut list: Vec<_> = edges.iter().collect();
        list.sort_by_key(|(entity, edge, _, _)| (edge.order, *entity));
        let mut of_bulk: Vec<_> = bulk.iter().collect();
        of_bulk.sort_by_key(|(_, bulk)| bulk.order);
        let place = |e: Entity| indices.get(e).map(|i| i.0).ok();
        let single: Vec<SingleEdge> = list
            .into_iter()
            .filter_map(|(entity, edge, strength, activation)| {
                let (pre, post) = (place(edge.pre)?, place(edge.post)?);
                let s = activation.map(|s| s.0);
                let (kind, strength) = (edge.kind, *strength);
                Some(SingleEdge {
                    entity,
                    order: edge.order,
                    pre,
                    post,
                    kind,
                    strength,
                    s,
                })
            })
            .collect();
        *coupling = Coupling {
            generation: coupling.generation + 1,
            ..Coupling::default()
        };
        coupling.make_rows(&single, &of_bulk, neurons.len(), &kinds);
        coupling.find_implicit(&neurons, clock.dt());
    } else {
        for (entity, edge, strength) in &reweighed {
            coupling.renew_weight((edge.order, entity), edge.kind, strength, &kinds);
        }
        for (entity, edges) in bulk.iter().filter(|(_, bulk)| !bulk.touched.is_empty()) {
            coupling.renew_weights(entity, edges, &kinds);
        }
    }
    for (_, mut edges) in &mut bulk {
        let edges = edges.bypass_change_detection();
        edges.touched.clear();
        edges.regrouped = false;
    }
}

/// Row `k` of flattened rows.
fn row<'a, T>(starts: &[u32], flat: &'a [T], k: usize) -> &'a [T] {
    match starts.get(k..k + 2) {
        Some([from, to]) => &flat[*from as usize..*to as usize],
        _ => &[],
    }
}

/// An edge that is an entity, its cells by index.
struct SingleEdge {
    entity: Entity,
    order: u32,
    pre: u32,
    post: u32,
    kind: u32,
    strength: Strength,
    /// Activation of a chemical edge.
    s: Option<f64>,
}

/// Sites by what they share: presynaptic cell, kind, bits of s.
type KnownSites = HashMap<(u32, u32, u64), u32>;

impl Coupling {
    /// Compiles edges to rows, those that are entities before those in bulk.
    fn make_rows(
        &mut self,
        single: &[SingleEdge],
        bulk: &[(Entity, &BulkEdges)],
        neurons: usize,
        kinds: &Kinds,
    ) {
        let mut known = KnownSites::new();
        let (mut chemical, mut electrical) = (Vec::new(), Vec::new());
        for edge in single {
            let connected = edge.strength.connected;
            if let Some(s) = edge.s {
                let site = self.site(&mut known, (edge.pre, edge.kind, s));
                chemical.push((edge, site));
            } else if connected {
                let Strength { g, area_ratio, .. } = edge.strength;
                let cells = (edge.pre, edge.post);
                junction(cells, (g, area_ratio), edge.kind, kinds, &mut electrical);
            }
        }
        let (of_synapses, of_junctions): (Vec<_>, Vec<_>) = bulk
            .iter()
            .partition(|(_, edges)| kinds.get(edges.kind).is_chemical());
        for (_, edges) in of_junctions {
            for edge in (0..edges.len()).filter(|edge| edges.connected(*edge)) {
                let cells = (edges.pre()[edge], edges.post()[edge]);
                let strength = (edges.g(edge), edges.area_ratio(edge));
                junction(cells, strength, edges.kind, kinds, &mut electrical);
            }
        }
        (self.electrical_rows, self.electrical) = rows(neurons, &electrical);

        let posts = || of_synapses.iter().flat_map(|(_, edges)| edges.post());
        let posts = chemical.iter().map(|(edge, _)| &edge.post).chain(posts());
        self.chemical_rows = row_starts(neurons, posts);
        let mut next = self.chemical_rows.clone();
        let total = self.chemical_rows[neurons] as usize;
        let nothing = Chemical {
            site: 0,
            g: 0.0,
            ge: 0.0,
        };
        self.chemical = vec![nothing; total];
        let mut slot = |post: u32| {
            let slot = next[post as usize];
            next[post as usize] += 1;
            slot
        };
        for (edge, site) in chemical {
            let (slot, (entity, order)) = (slot(edge.post), (edge.entity, edge.order));
            let (g, ge) = weight(&edge.strength, kinds.get(edge.kind));
            self.chemical[slot as usize] = Chemical { site, g, ge };
            self.single.push(SingleRow {
                entity,
                order,
                site,
                slot,
            });
        }
        for (entity, edges) in of_synapses {
            let releases = edges.releases().iter();
            let sites: Vec<u32> = releases
                .map(|r| self.site(&mut known, (r.pre, edges.kind, r.s)))
                .collect();
            let reversal = kinds.get(edges.kind).reversal();
            let mut slots = Vec::with_capacity(edges.len());
            for (edge, post) in edges.post().iter().enumerate() {
                let slot = slot(*post);
                // A cut edge keeps its place, with no weight.
                let g = edges.weight(edge);
                let site = edges.release_of(edge).map_or(0, |r| sites[r as usize]);
                self.chemical[slot as usize] = Chemical {
                    site,
                    g,
                    ge: g * reversal,
                };
                slots.push(slot);
            }
            self.bulk.push((entity, BulkRows { slots, sites }));
        }
    }

    /// One site for all edges that are alike so far.
    fn site(&mut self, known: &mut KnownSites, (pre, kind, s): (u32, u32, f64)) -> u32 {
        *known.entry((pre, kind, s.to_bits())).or_insert_with(|| {
            self.sites.push(Site { pre, kind, s });
            self.sites.len() as u32 - 1
        })
    }

    /// Takes over the changed weight of a chemical edge, given by its place in the scene.
    fn renew_weight(
        &mut self,
        place: (u32, Entity),
        kind: u32,
        strength: &Strength,
        kinds: &Kinds,
    ) {
        let found = self
            .single
            .binary_search_by_key(&place, |row| (row.order, row.entity));
        if let Ok(k) = found {
            let chemical = &mut self.chemical[self.single[k].slot as usize];
            (chemical.g, chemical.ge) = weight(strength, kinds.get(kind));
            self.reweighed += 1;
        }
    }

    /// Takes over changed weights of chemical edges in bulk.
    fn renew_weights(&mut self, entity: Entity, edges: &BulkEdges, kinds: &Kinds) {
        let Some((_, rows)) = self.bulk.iter().find(|(known, _)| *known == entity) else {
            return;
        };
        let reversal = kinds.get(edges.kind).reversal();
        for edge in &edges.touched {
            let g = edges.weight(*edge as usize);
            let chemical = &mut self.chemical[rows.slots[*edge as usize] as usize];
            (chemical.g, chemical.ge) = (g, g * reversal);
        }
        self.reweighed += 1;
    }

    /// Finds the groups of cells that strong junctions join.
    fn find_implicit(&mut self, neurons: &Neurons, dt: f64) {
        let n = neurons.len();
        self.in_implicit = vec![false; n];
        if self.electrical.is_empty() {
            return;
        }
        let strong: Vec<bool> = (0..n)
            .map(|post| {
                let sum: f64 = self.electrical_into(post).iter().map(|e| e.g).sum();
                sum * dt / neurons.capacitance(post) > EXPLICIT_GAP_LIMIT
            })
            .collect();
        let links: Vec<(u32, u32)> = self.electrical.iter().map(|e| (e.pre, e.post)).collect();
        self.implicit = implicit::components(n, &links, &strong);
        for component in &self.implicit {
            for cell in component.cells() {
                self.in_implicit[*cell as usize] = true;
            }
        }
    }
}

/// Conductance g (mS/cm²) of a chemical edge as it acts, and g E (µA/cm²). A cut edge keeps its place
/// with no weight: its release goes on, since s is the presynaptic cell's.
fn weight(strength: &Strength, kind: &CompiledKind) -> (f64, f64) {
    match strength.connected {
        true => (strength.g, strength.g * kind.reversal()),
        false => (0.0, 0.0),
    }
}

/// Adds a junction to the rows of the cells that feel it: of conductance `g` and area ratio.
fn junction(
    (pre, post): (u32, u32),
    (g, area_ratio): (f64, f64),
    kind: u32,
    kinds: &Kinds,
    rows: &mut Vec<(u32, Electrical)>,
) {
    let compiled = kinds.get(kind);
    let (g, factor) = match compiled.constant_factor() {
        Some(f) => (g * f, None),
        None => (g, Some(kind)),
    };
    let junction = Electrical {
        pre,
        post,
        partner: pre,
        g,
        factor,
    };
    rows.push((post, junction));
    if !compiled.one_way() {
        let back = Electrical {
            partner: post,
            g: g * area_ratio,
            ..junction
        };
        rows.push((pre, back));
    }
}

/// Where each of `n` rows starts if one item goes into each of the rows listed.
fn row_starts<'a>(n: usize, listed: impl Iterator<Item = &'a u32>) -> Vec<u32> {
    let mut starts = vec![0; n + 1];
    for row in listed {
        starts[*row as usize + 1] += 1;
    }
    for row in 0..n {
        starts[row + 1] += starts[row];
    }
    starts
}

/// Items by row, in the order in which they are listed.
fn rows<T: Copy>(n: usize, listed: &[(u32, T)]) -> (Vec<u32>, Vec<T>) {
    let starts = row_starts(n, listed.iter().map(|(row, _)| row));
    let mut order: Vec<usize> = (0..listed.len()).collect();
    order.sort_by_key(|k| listed[*k].0);
    (starts, order.into_iter().map(|k| listed[k].1).collect())
}

/// System: writes every s back to its edge, so that the entities hold the state.
pub fn store_activations(
    coupling: Res<Coupling>,
    mut edges: Query<&mut SynapticActivation>,
    mut bulk: Query<&mut BulkEdges>,
) {
    for row in &coupling.single {
        if let Ok(mut s) = edges.get_mut(row.entity) {
            s.bypass_change_detection().0 = coupling.sites[row.site as usize].s;
        }
    }
    for (entity, rows) in &coupling.bulk {
        if let Ok(mut edges) = bulk.get_mut(*entity) {
            let releases = edges.bypass_change_detection().releases_mut();
            for (release, site) in releases.iter_mut().zip(&rows.sites) {
                release.s = coupling.sites[*site as usize].s;
            }
        }
    }
}
