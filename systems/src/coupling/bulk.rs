//! Edges in bulk: many of one kind and one set of parameters, kept in columns instead of an entity
//! each.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

/// Edges of one kind with the same parameters, in columns. A weight may change at any time; which
/// cells they join does not.
#[derive(Component, Clone, Debug)]
pub struct BulkEdges {
    /// Kind with its parameters bound, in [`Kinds`](super::Kinds).
    pub kind: u32,
    /// Place among all bulks; sums over the edges into a cell run in this order, after the edges
    /// that are entities, and within a bulk in the order of its columns.
    pub order: u32,
    pre: Arc<Vec<u32>>,
    post: Arc<Vec<u32>>,
    g: Vec<f64>,
    /// Area of the postsynaptic cell over that of the presynaptic one; empty where all are 1.
    area_ratio: Vec<f64>,
    /// Edges that are cut; empty while none is.
    cut: Vec<bool>,
    /// Release of each edge; empty for junctions.
    release: Vec<u32>,
    releases: Vec<Release>,
    /// Edges whose weight has changed since the rows were last made.
    pub(super) touched: Vec<u32>,
    /// Whether releases have been added since the rows were last made.
    pub(super) regrouped: bool,
}

/// What of edges in bulk changes in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BulkState {
    g: Vec<f64>,
    cut: Vec<bool>,
    release: Vec<u32>,
    releases: Vec<Release>,
}

/// The activation that edges with one presynaptic cell share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Presynaptic neuron (index).
    pub pre: u32,
    /// Activation, 0..1.
    pub s: f64,
    /// Start value asked for; `None`: the kind's.
    pub start: Option<f64>,
}

impl BulkEdges {
    /// Edges from `pre` to `post` (neuron indices) with conductances `g` (mS/cm² of the postsynaptic
    /// membrane). `area_ratio` may be empty. `start` is the start value of s; `None`: the kind's.
    pub fn new(
        (kind, order, chemical): (u32, u32, bool),
        (pre, post): (Arc<Vec<u32>>, Arc<Vec<u32>>),
        g: Vec<f64>,
        area_ratio: Vec<f64>,
        start: Option<f64>,
    ) -> Self {
        let (mut release, mut releases) = (Vec::new(), Vec::new());
        if chemical {
            let cells = pre.iter().max().map_or(0, |last| *last as usize + 1);
            let mut known = vec![u32::MAX; cells];
            release.reserve_exact(pre.len());
            for pre in pre.iter() {
                let own = &mut known[*pre as usize];
                if *own == u32::MAX {
                    *own = releases.len() as u32;
                    let s = start.unwrap_or(0.0);
                    releases.push(Release {
                        pre: *pre,
                        s,
                        start,
                    });
                }
                release.push(*own);
            }
        }
        BulkEdges {
            kind,
            order,
            pre,
            post,
            g,
            area_ratio,
            cut: Vec::new(),
            release,
            releases,
            touched: Vec::new(),
            regrouped: false,
        }
    }

    /// Number of edges.
    pub fn len(&self) -> usize {
        self.pre.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pre.is_empty()
    }

    /// Presynaptic neurons (indices).
    pub fn pre(&self) -> &[u32] {
        &self.pre
    }

    /// Postsynaptic neurons (indices).
    pub fn post(&self) -> &[u32] {
        &self.post
    }

    /// Conductance of an edge (mS/cm² of the postsynaptic membrane), cut or not.
    pub fn g(&self, edge: usize) -> f64 {
        self.g[edge]
    }

    /// Conductance of an edge as it acts: 0 while it is cut.
    pub fn weight(&self, edge: usize) -> f64 {
        match self.connected(edge) {
            true => self.g[edge],
            false => 0.0,
        }
    }

    /// Area of the postsynaptic cell over that of the presynaptic one.
    pub fn area_ratio(&self, edge: usize) -> f64 {
        self.area_ratio.get(edge).copied().unwrap_or(1.0)
    }

    /// Changes a conductance.
    pub fn set_g(&mut self, edge: usize, g: f64) {
        self.g[edge] = g;
        self.touched.push(edge as u32);
    }

    /// Whether an edge is not cut.
    pub fn connected(&self, edge: usize) -> bool {
        !self.cut.get(edge).copied().unwrap_or(false)
    }

    /// Cuts or restores an edge.
    pub fn connect(&mut self, edge: usize, connected: bool) {
        if self.cut.is_empty() {
            self.cut = vec![false; self.pre.len()];
        }
        self.cut[edge] = !connected;
        self.touched.push(edge as u32);
    }

    /// Activation of an edge; `None` for a junction.
    pub fn s(&self, edge: usize) -> Option<f64> {
        Some(self.release(edge)?.s)
    }

    /// The release an edge shares; `None` for a junction.
    pub fn release(&self, edge: usize) -> Option<&Release> {
        Some(&self.releases[*self.release.get(edge)? as usize])
    }

    /// Place of an edge's release among the [`Self::releases`]; `None` for a junction.
    pub fn release_of(&self, edge: usize) -> Option<u32> {
        self.release.get(edge).copied()
    }

    /// Gives edges an activation of their own, as their start value too; a junction has none.
    pub fn set_s(&mut self, edges: &[u32], s: f64) {
        if self.release.is_empty() {
            return;
        }
        let mut moved = std::collections::HashMap::new();
        for edge in edges {
            let old = self.release[*edge as usize];
            let releases = &mut self.releases;
            let new = *moved.entry(old).or_insert_with(|| {
                let pre = releases[old as usize].pre;
                let start = Some(s);
                releases.push(Release { pre, s, start });
                releases.len() as u32 - 1
            });
            self.release[*edge as usize] = new;
        }
        self.regrouped = true;
    }

    /// Activations that edges share.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// What of it changes in a run.
    pub(crate) fn state(&self) -> BulkState {
        BulkState {
            g: self.g.clone(),
            cut: self.cut.clone(),
            release: self.release.clone(),
            releases: self.releases.clone(),
        }
    }

    /// Whether a state is one of as many edges of the same sort.
    pub(crate) fn fits(&self, state: &BulkState) -> bool {
        let sizes = (state.g.len(), state.release.len());
        let known = |release: &u32| (*release as usize) < state.releases.len();
        sizes == (self.g.len(), self.release.len())
            && (state.cut.is_empty() || state.cut.len() == state.g.len())
            && state.release.iter().all(known)
    }

    /// Puts a state in place of the present one.
    pub(crate) fn set_state(&mut self, state: &BulkState) {
        self.g.clone_from(&state.g);
        self.cut.clone_from(&state.cut);
        self.release.clone_from(&state.release);
        self.releases.clone_from(&state.releases);
        self.touched.clear();
        self.regrouped = true;
    }

    /// Activations that edges share, to be written.
    pub fn releases_mut(&mut self) -> &mut [Release] {
        &mut self.releases
    }
}
