//! How a network is stepped: which neurons make a block, which blocks a worker takes together, and
//! what couples them, in the order in which the kernel reads it.
//!
//! * A **piece** is a set of neurons that nothing outside acts on: some independent components of
//!   the network. A worker takes it through all steps of a stretch.
//! * A **part** is a share of a piece that is too large for one worker. Parts of a piece meet after
//!   every step.
//! * A **block** is at most eight neurons of one cell type in neighbouring rows.
//!
//! None of this shows in the results: each neuron's sums run in the scene's order, whatever the
//! pieces, parts and blocks.

use std::ops::Range;

use bevy_ecs::prelude::*;
use rayon::prelude::*;

use super::columns::{AllColumns, Columns};
use crate::channels::{CellTypeId, WIDTHS};
use crate::coupling::{Coupling, Electrical, ImplicitComponent, Kinds};
use crate::schedule::{NeuronIndex, Neurons};
use crate::simd::{LANES, Row};

/// Pieces that a small network of independent cells is cut into, at least.
const SHARES: usize = 8;

/// Neurons of the smallest piece worth a worker's while.
const LEAST_PIECE: usize = 32;

/// How large the shares of a network are. They change no result.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Neurons of a piece, about: enough that what a step costs beside them is little, few enough
    /// to stay in a worker's cache. A small network is cut finer, so that every worker has a share.
    pub piece: usize,
    /// Neurons of a part, at least. Below, meeting after every step costs more than a second worker
    /// brings.
    pub part: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            piece: 256,
            part: 1024,
        }
    }
}

/// Where the neurons of a block lie.
#[derive(Clone, Debug)]
pub struct BlockPlan {
    /// Place of the lane width in [`WIDTHS`].
    pub width: usize,
    /// Table of that width.
    pub table: usize,
    /// Number of neurons.
    pub len: usize,
    /// Chemical edges, in [`PiecePlan::segments`].
    pub segments: Range<usize>,
    /// Junctions, in [`PiecePlan::junctions`].
    pub junctions: Range<usize>,
}

/// Edges of one kind into a block: `depth` vectors of at most one edge a neuron.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Reversal potential (mV).
    pub reversal: f64,
    /// Vectors, in [`PiecePlan::sources`] and [`PiecePlan::weights`].
    pub vectors: Range<usize>,
}

/// A junction as one of its cells feels it.
#[derive(Clone, Copy, Debug)]
pub struct Junction {
    /// Lane of the cell that feels it.
    pub lane: usize,
    /// The junction, with slots of the piece for neurons.
    pub(crate) edge: Electrical,
}

/// Up to eight releases of one kind.
#[derive(Clone, Debug)]
pub struct SiteBlock {
    /// Kind.
    pub kind: u32,
    /// Slots of the presynaptic cells, from the part's first one on.
    pub pre: [u32; LANES],
    /// Places in [`Coupling::sites`].
    pub origin: Vec<u32>,
}

/// Cells joined by strong junctions.
#[derive(Clone, Debug)]
pub struct Group {
    /// The system of equations.
    pub component: ImplicitComponent,
    /// Slots of the cells, in the component's order.
    pub slots: Vec<u32>,
    /// Capacitances (µF/cm²).
    pub capacitance: Vec<f64>,
    /// Junctions that each cell feels, and the position of the partner.
    pub junctions: Vec<Vec<(usize, Junction)>>,
}

/// A share of a piece.
#[derive(Clone, Debug)]
pub struct PartPlan {
    /// Blocks, in [`PiecePlan::blocks`].
    pub blocks: Range<usize>,
    /// Releases of its cells, in [`PiecePlan::sites`].
    pub sites: Range<usize>,
}

/// A set of neurons that nothing outside acts on.
#[derive(Clone, Debug, Default)]
pub struct PiecePlan {
    /// Shares.
    pub parts: Vec<PartPlan>,
    /// Blocks by width, table and row. Lane k of block b is slot `8 b + k`.
    pub blocks: Vec<BlockPlan>,
    /// Chemical edges by block and kind.
    pub segments: Vec<Segment>,
    /// Releases that the edges of a vector read; the last one of all is always 0.
    pub sources: Vec<[u32; LANES]>,
    /// Conductances (mS/cm²) of the edges of a vector.
    pub weights: Vec<Row>,
    /// Their places in [`Coupling::chemical`].
    edges: Vec<[u32; LANES]>,
    /// Weak junctions by block.
    pub junctions: Vec<Junction>,
    /// Releases by part and kind.
    pub sites: Vec<SiteBlock>,
    /// Groups of cells to be solved together.
    pub groups: Vec<Group>,
}

impl PiecePlan {
    /// Takes over changed weights.
    fn reweigh(&mut self, coupling: &Coupling) {
        let edges = coupling.chemical();
        for (weights, places) in self.weights.iter_mut().zip(&self.edges) {
            for (weight, place) in weights.iter_mut().zip(places) {
                if let Some(edge) = edges.get(*place as usize) {
                    *weight = edge.g;
                }
            }
        }
    }

    /// Number of neurons.
    fn neurons(&self) -> usize {
        self.blocks.iter().map(|block| block.len).sum()
    }
}

/// Scratch: the plan, with what it was made from.
#[derive(Resource, Clone, Debug, Default)]
pub struct Plan {
    /// How large the shares are.
    pub sizes: Sizes,
    pieces: Vec<PiecePlan>,
    rows: Vec<TableRows>,
    /// See [`Coupling::generation`].
    coupling: Option<(u64, u64)>,
    /// Counts plans.
    generation: u64,
}

/// The rows of a table as they were.
#[derive(Clone, Debug, PartialEq)]
struct TableRows {
    width: usize,
    /// Place among the tables of its width.
    table: usize,
    index: Vec<NeuronIndex>,
    kind: Vec<CellTypeId>,
}

impl TableRows {
    fn matches<const W: usize>(&self, columns: &Columns<W>) -> bool {
        self.width == width_place::<W>() && self.index == columns.index && self.kind == columns.kind
    }

    fn of<const W: usize>((table, columns): (usize, &Columns<W>)) -> Self {
        TableRows {
            width: width_place::<W>(),
            table,
            index: columns.index.to_vec(),
            kind: columns.kind.to_vec(),
        }
    }
}

fn width_place<const W: usize>() -> usize {
    WIDTHS.iter().position(|w| *w == W).unwrap_or(WIDTHS.len())
}

impl Plan {
    /// The pieces and the number of the plan, which is made anew where the tables or the coupling
    /// have changed.
    pub fn renew(
        &mut self,
        columns: &AllColumns,
        coupling: &Coupling,
        kinds: &Kinds,
        neurons: &Neurons,
    ) -> (&[PiecePlan], u64) {
        let (edges, weights) = coupling.generation();
        if self.coupling.map(|(edges, _)| edges) != Some(edges) || !self.holds(columns) {
            let eight = columns.eight.iter().enumerate().map(TableRows::of);
            let sixteen = columns.sixteen.iter().enumerate().map(TableRows::of);
            let thirty_two = columns.thirty_two.iter().enumerate().map(TableRows::of);
            self.rows = eight.chain(sixteen).chain(thirty_two).collect();
            self.pieces = pieces(&self.rows, coupling, kinds, neurons, self.sizes);
            self.generation += 1;
        } else if self.coupling != Some((edges, weights)) {
            self.pieces
                .par_iter_mut()
                .for_each(|piece| piece.reweigh(coupling));
        }
        self.coupling = Some((edges, weights));
        (&self.pieces, self.generation)
    }

    fn holds(&self, columns: &AllColumns) -> bool {
        let n = columns.eight.len() + columns.sixteen.len() + columns.thirty_two.len();
        let mut rows = self.rows.iter();
        let same = n == self.rows.len();
        same && columns
            .eight
            .iter()
            .all(|c| rows.next().is_some_and(|r| r.matches(c)))
            && columns
                .sixteen
                .iter()
                .all(|c| rows.next().is_some_and(|r| r.matches(c)))
            && columns
                .thirty_two
                .iter()
                .all(|c| rows.next().is_some_and(|r| r.matches(c)))
    }
}

/// Independent components by neuron, numbered from 0 in the order of the rows, and how many there
/// are. Neurons without a row, which have left the world, have no component.
fn components(rows: &[TableRows], coupling: &Coupling, neurons: usize) -> (Vec<u32>, usize) {
    let leaders = coupling.components(neurons);
    let mut number = vec![u32::MAX; neurons];
    let mut next = 0;
    for neuron in rows.iter().flat_map(|table| &table.index) {
        let own = &mut number[leaders[neuron.0 as usize] as usize];
        if *own == u32::MAX {
            *own = next;
            next += 1;
        }
    }
    let components = leaders.iter().map(|leader| number[*leader as usize]);
    (components.collect(), next as usize)
}

/// Rows of each table up to which the pieces go.
fn cuts(rows: &[TableRows], (component, count): (&[u32], usize), piece: usize) -> Vec<Vec<usize>> {
    let tables = rows.len();
    // Of each component and table: rows, and the row after the last one.
    let mut extent = vec![(0_usize, 0_usize); count * tables];
    for (t, table) in rows.iter().enumerate() {
        for (row, index) in table.index.iter().enumerate() {
            let own = &mut extent[component[index.0 as usize] as usize * tables + t];
            own.0 += 1;
            own.1 = row + 1;
        }
    }
    let mut cuts = vec![vec![0; tables]];
    let mut taken = vec![(0, 0); tables];
    let mut size = 0;
    for own in extent.chunks(tables.max(1)) {
        for (taken, own) in taken.iter_mut().zip(own) {
            taken.0 += own.0;
            taken.1 = taken.1.max(own.1);
            size += own.0;
        }
        // Closed: the components so far fill the tables without a gap.
        if size >= piece && taken.iter().all(|(rows, end)| rows == end) {
            cuts.push(taken.iter().map(|(rows, _)| *rows).collect());
            size = 0;
        }
    }
    if size > 0 {
        cuts.push(rows.iter().map(|table| table.index.len()).collect());
    }
    cuts
}

fn pieces(
    rows: &[TableRows],
    coupling: &Coupling,
    kinds: &Kinds,
    neurons: &Neurons,
    sizes: Sizes,
) -> Vec<PiecePlan> {
    let (component, count) = components(rows, coupling, neurons.len());
    let piece = component.len() / SHARES;
    let piece = piece.clamp(LEAST_PIECE.min(sizes.piece), sizes.piece);
    let cuts = cuts(rows, (&component, count), piece);
    let mut wiring = Wiring {
        coupling,
        kinds,
        neurons,
        sizes,
        ranks: kinds.ranks(),
        slot: vec![u32::MAX; component.len()],
        site: vec![u32::MAX; coupling.sites.len()],
        sites_of: coupling.sites_by_neuron(component.len()),
    };
    cuts.windows(2)
        .map(|cut| {
            let ranges = cut[0].iter().zip(&cut[1]).map(|(from, to)| *from..*to);
            wiring.piece(rows, ranges)
        })
        .collect()
}

/// What wires pieces.
struct Wiring<'a> {
    coupling: &'a Coupling,
    kinds: &'a Kinds,
    neurons: &'a Neurons,
    sizes: Sizes,
    /// Order in which the kinds into a neuron are summed.
    ranks: Vec<u32>,
    /// Slot of each neuron in its piece.
    slot: Vec<u32>,
    /// Place of each release in its piece.
    site: Vec<u32>,
    sites_of: (Vec<u32>, Vec<u32>),
}

impl Wiring<'_> {
    fn piece(
        &mut self,
        rows: &[TableRows],
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> PiecePlan {
        let mut piece = PiecePlan::default();
        let mut neurons: Vec<&[NeuronIndex]> = Vec::new();
        for (table, range) in rows.iter().zip(ranges) {
            for block in blocks(&table.kind[range.clone()]) {
                let (from, to) = (range.start + block.start, range.start + block.end);
                neurons.push(&table.index[from..to]);
                piece.blocks.push(BlockPlan {
                    width: table.width,
                    table: table.table,
                    len: block.len(),
                    segments: 0..0,
                    junctions: 0..0,
                });
            }
        }
        for (block, neurons) in neurons.iter().enumerate() {
            for (lane, neuron) in neurons.iter().enumerate() {
                self.slot[neuron.0 as usize] = (block * LANES + lane) as u32;
            }
        }
        let all = neurons.iter().flat_map(|block| block.iter());
        piece.groups = all.filter_map(|n| self.group_led_by(n.0)).collect();
        // Cells that are solved together stay with one worker.
        let parts = match piece.groups.is_empty() {
            true => (piece.neurons() / self.sizes.part).max(1),
            false => 1,
        };
        let n = piece.blocks.len();
        for part in 0..parts {
            let blocks = part * n / parts..(part + 1) * n / parts;
            let from = piece.sites.len();
            self.sites(&mut piece.sites, &neurons[blocks.clone()], blocks.start);
            let sites = from..piece.sites.len();
            piece.parts.push(PartPlan { blocks, sites });
        }
        for (block, neurons) in neurons.iter().enumerate() {
            self.edges(&mut piece, block, neurons);
        }
        piece
    }

    /// Releases of a part's cells, by kind and slot.
    fn sites(&mut self, sites: &mut Vec<SiteBlock>, neurons: &[&[NeuronIndex]], first: usize) {
        let (starts, own) = &self.sites_of;
        let mut list = Vec::new();
        for neuron in neurons.iter().flat_map(|n| n.iter()) {
            let k = neuron.0 as usize;
            let slot = self.slot[k] - (first * LANES) as u32;
            let range = starts[k] as usize..starts[k + 1] as usize;
            list.extend(own[range].iter().map(|site| {
                let kind = self.coupling.sites[*site as usize].kind;
                (kind, slot, *site)
            }));
        }
        list.sort_unstable();
        for alike in list.chunk_by(|a, b| a.0 == b.0) {
            for eight in alike.chunks(LANES) {
                for (lane, (_, _, site)) in eight.iter().enumerate() {
                    self.site[*site as usize] = (sites.len() * LANES + lane) as u32;
                }
                let last = eight.len() - 1;
                sites.push(SiteBlock {
                    kind: eight[0].0,
                    pre: std::array::from_fn(|lane| eight[lane.min(last)].1),
                    origin: eight.iter().map(|(_, _, site)| *site).collect(),
                });
            }
        }
    }

    /// Edges into a block.
    fn edges(&self, piece: &mut PiecePlan, block: usize, neurons: &[NeuronIndex]) {
        let silent = (piece.sites.len() * LANES) as u32;
        let from = piece.segments.len();
        let mut edges = Vec::new();
        for (lane, neuron) in neurons.iter().enumerate() {
            let places = self.coupling.first_into(neuron.0 as usize)..;
            for (edge, place) in self
                .coupling
                .chemical_into(neuron.0 as usize)
                .iter()
                .zip(places)
            {
                let kind = self.coupling.sites[edge.site as usize].kind;
                edges.push((kind, lane, self.site[edge.site as usize], (edge.g, place)));
            }
        }
        // Stable: within a kind and a neuron, edges keep the scene's order.
        edges.sort_by_key(|(kind, lane, _, _)| (self.ranks[*kind as usize], *lane));
        for alike in edges.chunk_by(|a, b| a.0 == b.0) {
            let first = piece.sources.len();
            for own in alike.chunk_by(|a, b| a.1 == b.1) {
                for (depth, (_, lane, site, (g, place))) in own.iter().enumerate() {
                    if first + depth == piece.sources.len() {
                        piece.sources.push([silent; LANES]);
                        piece.weights.push([0.0; LANES]);
                        piece.edges.push([u32::MAX; LANES]);
                    }
                    piece.sources[first + depth][*lane] = *site;
                    piece.weights[first + depth][*lane] = *g;
                    piece.edges[first + depth][*lane] = *place;
                }
            }
            piece.segments.push(Segment {
                reversal: self.kinds.get(alike[0].0).reversal(),
                vectors: first..piece.sources.len(),
            });
        }
        piece.blocks[block].segments = from..piece.segments.len();
        let from = piece.junctions.len();
        for (lane, neuron) in neurons.iter().enumerate() {
            if !self.coupling.is_implicit(neuron.0 as usize) {
                piece
                    .junctions
                    .extend(self.junctions(neuron.0 as usize, lane));
            }
        }
        piece.blocks[block].junctions = from..piece.junctions.len();
    }

    fn junctions(&self, neuron: usize, lane: usize) -> impl Iterator<Item = Junction> {
        let edges = self.coupling.electrical_into(neuron).iter();
        edges.map(move |edge| Junction {
            lane,
            edge: Electrical {
                pre: self.slot[edge.pre as usize],
                post: self.slot[edge.post as usize],
                partner: self.slot[edge.partner as usize],
                ..*edge
            },
        })
    }

    /// The group of strongly joined cells of which a neuron is the first.
    fn group_led_by(&self, neuron: u32) -> Option<Group> {
        let groups = &self.coupling.implicit;
        let found = groups.binary_search_by_key(&neuron, |group| group.cells()[0]);
        let component = &groups[found.ok()?];
        let junctions = component.cells().iter().map(|cell| {
            let partners = self.coupling.electrical_into(*cell as usize).iter();
            self.junctions(*cell as usize, 0)
                .zip(partners)
                .filter_map(|(junction, edge)| Some((component.position(edge.partner)?, junction)))
                .collect()
        });
        Some(Group {
            junctions: junctions.collect(),
            capacitance: component
                .cells()
                .iter()
                .map(|cell| self.neurons.capacitance(*cell as usize))
                .collect(),
            slots: component
                .cells()
                .iter()
                .map(|cell| self.slot[*cell as usize])
                .collect(),
            component: component.clone(),
        })
    }
}

/// Ranges of at most eight rows of one cell type.
fn blocks(kinds: &[CellTypeId]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    for alike in kinds.chunk_by(|a, b| a == b) {
        for eight in alike.chunks(LANES) {
            blocks.push(start..start + eight.len());
            start += eight.len();
        }
    }
    blocks
}
