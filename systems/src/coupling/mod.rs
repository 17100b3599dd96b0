//! Coupling between neurons. Edges are entities for authoring; before a stretch they are compiled
//! to rows by postsynaptic neuron, again whenever an edge has changed.
//!
//! One sign convention holds for every kind: a coupling current is outward positive, it is
//! *subtracted* in the current balance of the cell that feels it.
//!
//! * chemical: `I_post = g s (V_post - E)`, `ds/dt = (s_inf(V_pre) - s)/tau(V_pre)`
//! * electrical: `I_post = g f (V_post - V_pre)` and, unless one-way, the same conductance
//!   `g f (V_pre - V_post)` in the other cell, f a factor of both voltages taken from pre to post
//!
//! g is a density of the membrane that feels it (mS/cm²); coupling currents carry no calcium.

mod implicit;
mod kinds;

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;

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
    /// Site of each chemical edge, by entity.
    site_of: Vec<(Entity, u32)>,
    /// Groups of cells joined by strong junctions.
    pub implicit: Vec<ImplicitComponent>,
    /// Whether a cell belongs to such a group.
    in_implicit: Vec<bool>,
    /// Counts compilations.
    generation: u64,
}

impl Coupling {
    /// Whether nothing couples and no release goes on.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty() && self.electrical.is_empty()
    }

    /// A number that changes whenever the edges are compiled anew.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
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
    pub(crate) fn links(&self) -> impl Iterator<Item = (u32, u32)> {
        let posts = 0..self.chemical_rows.len().saturating_sub(1);
        let chemical = posts.flat_map(move |post| {
            let edges = self.chemical_into(post).iter();
            edges.map(move |edge| (self.sites[edge.site as usize].pre, post as u32))
        });
        chemical.chain(self.electrical.iter().map(|edge| (edge.pre, edge.post)))
    }

    /// Releases of each of `n` neurons: where those of a neuron start, and all of them.
    pub(crate) fn sites_by_neuron(&self, n: usize) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0; n + 1];
        for site in &self.sites {
            starts[site.pre as usize + 1] += 1;
        }
        for k in 0..n {
            starts[k + 1] += starts[k];
        }
        let mut next = starts.clone();
        let mut sites = vec![0; self.sites.len()];
        for (k, site) in self.sites.iter().enumerate() {
            let place = &mut next[site.pre as usize];
            sites[*place as usize] = k as u32;
            *place += 1;
        }
        (starts, sites)
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
    /// Conductance (mS/cm²) at the given voltages.
    #[inline(always)]
    fn conductance(&self, kinds: &Kinds, voltage: &[f64]) -> f64 {
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
    changed: Query<
        (),
        (
            With<Edge>,
            Or<(
                Changed<Edge>,
                Changed<Strength>,
                Changed<SynapticActivation>,
            )>,
        ),
    >,
    mut removed: RemovedComponents<Edge>,
    edges: Query<(Entity, &Edge, &Strength, Option<&SynapticActivation>)>,
    indices: Query<&NeuronIndex>,
    neurons: Res<Neurons>,
    kinds: Res<Kinds>,
    clock: Res<crate::schedule::Clock>,
    mut coupling: ResMut<Coupling>,
) {
    let structure = coupling.chemical_rows.len() != neurons.len() + 1;
    if changed.is_empty() && removed.read().count() == 0 && !structure && !kinds.is_changed() {
        return;
    }
    let mut list: Vec<_> = edges.iter().collect();
    list.sort_by_key(|(_, edge, _, _)| edge.order);
    let place = |e: Entity| indices.get(e).map(|i| i.0).ok();
    *coupling = Coupling {
        generation: coupling.generation + 1,
        ..Coupling::default()
    };
    let n = neurons.len();
    let mut known = BTreeMap::new();
    let mut chemical: Vec<Vec<Chemical>> = vec![Vec::new(); n];
    let mut electrical: Vec<Vec<Electrical>> = vec![Vec::new(); n];
    for (entity, edge, strength, activation) in list {
        let (Some(pre), Some(post)) = (place(edge.pre), place(edge.post)) else {
            continue;
        };
        let kind = kinds.get(edge.kind);
        if let Some(s) = activation {
            // One site for all edges that are alike so far.
            let alike = (pre, edge.kind, s.0.to_bits());
            let site = *known.entry(alike).or_insert_with(|| {
                coupling.sites.push(Site {
                    pre,
                    kind: edge.kind,
                    s: s.0,
                });
                coupling.sites.len() as u32 - 1
            });
            coupling.site_of.push((entity, site));
            let ge = strength.g * kind.reversal();
            // The release of a cut synapse goes on: s is the presynaptic cell's.
            if strength.connected {
                chemical[post as usize].push(Chemical {
                    site,
                    g: strength.g,
                    ge,
                });
            }
        } else if strength.connected {
            let (g, factor) = match kind.constant_factor() {
                Some(f) => (strength.g * f, None),
                None => (strength.g, Some(edge.kind)),
            };
            let junction = Electrical {
                pre,
                post,
                partner: pre,
                g,
                factor,
            };
            electrical[post as usize].push(junction);
            if !kind.one_way() {
                let g = g * strength.area_ratio;
                electrical[pre as usize].push(Electrical {
                    partner: post,
                    g,
                    ..junction
                });
            }
        }
    }
    (coupling.chemical_rows, coupling.chemical) = rows(chemical);
    (coupling.electrical_rows, coupling.electrical) = rows(electrical);
    let strong: Vec<bool> = (0..n)
        .map(|post| {
            let row = coupling.electrical_rows[post] as usize
                ..coupling.electrical_rows[post + 1] as usize;
            let sum: f64 = coupling.electrical[row].iter().map(|e| e.g).sum();
            sum * clock.dt() / neurons.capacitance(post) > EXPLICIT_GAP_LIMIT
        })
        .collect();
    let links: Vec<(u32, u32)> = coupling
        .electrical
        .iter()
        .map(|e| (e.pre, e.post))
        .collect();
    coupling.implicit = implicit::components(n, &links, &strong);
    coupling.in_implicit = vec![false; n];
    let members: Vec<u32> = coupling
        .implicit
        .iter()
        .flat_map(|c| c.cells().to_vec())
        .collect();
    for cell in members {
        coupling.in_implicit[cell as usize] = true;
    }
}

/// Row `k` of flattened rows.
fn row<'a, T>(starts: &[u32], flat: &'a [T], k: usize) -> &'a [T] {
    match starts.get(k..k + 2) {
        Some([from, to]) => &flat[*from as usize..*to as usize],
        _ => &[],
    }
}

/// Flattens rows.
fn rows<T>(lists: Vec<Vec<T>>) -> (Vec<u32>, Vec<T>) {
    let mut starts = vec![0];
    let mut flat = Vec::new();
    for list in lists {
        flat.extend(list);
        starts.push(flat.len() as u32);
    }
    (starts, flat)
}

/// System: writes every s back to its edge, so that the entities hold the state.
pub fn store_activations(coupling: Res<Coupling>, mut edges: Query<&mut SynapticActivation>) {
    for (entity, site) in &coupling.site_of {
        if let Ok(mut s) = edges.get_mut(*entity) {
            s.bypass_change_detection().0 = coupling.sites[*site as usize].s;
        }
    }
}
