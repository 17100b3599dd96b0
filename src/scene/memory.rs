//! What a network takes of memory, reckoned before it is built.

use std::{collections::HashSet, fs};

use homarus_systems::{channels::CellType, coupling::CompiledKind, definition::SynapseDefinition};

use super::{
    diagnostic::Diagnostic,
    model::{Rule, Scene},
    source::Place,
    space,
};

/// Bytes of a neuron's components and names per channel, and of an edge's, about.
const PER_CHANNEL: usize = 200;
const PER_EDGE: usize = 400;

/// Bytes of an edge in bulk: its columns, its row, and what making the rows needs.
const PER_BULK_EDGE: usize = 80;

/// Most edges in bulk: their places in the rows are 32-bit numbers.
const MAX_EDGES: u64 = u32::MAX as u64;

const SMALLER: &str = "a smaller network, or a machine with more memory";

/// Things of one sort and what each of them takes.
struct Demand {
    /// As in "12 tables of cell types".
    what: &'static str,
    count: usize,
    bytes_each: usize,
    help: &'static str,
}

impl Demand {
    fn bytes(&self) -> f64 {
        self.count as f64 * self.bytes_each as f64
    }
}

/// The error for cells with so many channels in all that they take more memory than there is, written
/// at `place`; asked before any of them is made.
pub(super) fn shortage_of_cells(channels: usize, place: &Place) -> Option<Diagnostic> {
    let (needed, available) = (channels as f64 * PER_CHANNEL as f64, available()?);
    (needed > available).then(|| {
        Diagnostic::at(place, "these cells do not fit in memory")
            .label(format!("they take about {}", amount(needed)))
            .help(format!("{} are free: {SMALLER}", amount(available)))
    })
}

/// Bytes that the network of a scene takes, about.
pub fn needed(scene: &Scene) -> f64 {
    demands(scene).iter().map(Demand::bytes).sum()
}

/// The error for a scene that would take more than `available` bytes, where that is known.
pub(super) fn shortage(scene: &Scene, available: Option<f64>) -> Option<Diagnostic> {
    let far = scene.bulk.iter().find_map(|bulk| match &bulk.rule {
        Rule::Within { radius, .. } => space::too_many_pairs(scene, bulk, *radius),
        _ => None,
    });
    if far.is_some() {
        return far;
    }
    let edges: u64 = scene.bulk.iter().map(|bulk| bulk.count(scene)).sum();
    if edges > MAX_EDGES {
        let message =
            format!("this network has {edges} edges, and at most {MAX_EDGES} can be counted");
        return Some(Diagnostic::new(message).help("fewer edges into each cell"));
    }
    let available = available?;
    let demands = demands(scene);
    let needed: f64 = demands.iter().map(Demand::bytes).sum();
    if needed <= available {
        return None;
    }
    let most = demands
        .into_iter()
        .max_by(|a, b| a.bytes().total_cmp(&b.bytes()))?;
    Some(
        Diagnostic::new(format!(
            "this network does not fit in memory: it takes about {}, of which {} {} take {}; {} are free",
            amount(needed),
            most.count,
            most.what,
            amount(most.bytes()),
            amount(available),
        ))
        .help(most.help),
    )
}

fn demands(scene: &Scene) -> Vec<Demand> {
    let cells = scene.cells.len();
    let widest = scene.cell_types.iter().map(CellType::table_bytes).max();
    let channels: usize = scene.cells.iter().map(|cell| cell.gbar.len()).sum();
    vec![
        Demand {
            what: "tables of kinetics of cells",
            count: cell_tables(scene),
            bytes_each: widest.unwrap_or(0),
            help: "cells share a table where they have the same parameters and area; parameters that only scale a time constant do not count",
        },
        Demand {
            what: "tables of kinetics of edges",
            count: edge_tables(scene),
            bytes_each: CompiledKind::TABLE_BYTES,
            help: "edges share a table where they have the same parameters",
        },
        Demand {
            what: "channels of cells",
            count: channels,
            bytes_each: PER_CHANNEL,
            help: SMALLER,
        },
        Demand {
            what: "edges",
            count: scene.edges.len(),
            bytes_each: PER_EDGE,
            help: SMALLER,
        },
        Demand {
            what: "edges in bulk",
            count: scene.edge_count() - scene.edges.len(),
            bytes_each: PER_BULK_EDGE,
            help: SMALLER,
        },
        Demand {
            what: "means of calcium, one a window and cell,",
            count: cells.saturating_mul(scene.run_windows().count()),
            bytes_each: size_of::<f64>(),
            help: "fewer windows",
        },
    ]
}

/// Distinct sets of what is worked into the tables of cells.
fn cell_tables(scene: &Scene) -> usize {
    let tabulated: Vec<Vec<bool>> = scene
        .cell_types
        .iter()
        .map(CellType::tabulated_parameters)
        .collect();
    let sets: HashSet<_> = scene
        .cells
        .iter()
        .map(|cell| {
            let definition = &scene.cell_types[cell.cell_type];
            let names = CellType::parameter_names(definition);
            let own = names
                .zip(&tabulated[cell.cell_type])
                .filter(|(_, tabulated)| **tabulated)
                .map(|(name, _)| {
                    let mut given = cell.parameters.iter();
                    let value = given.find(|(c, p, _)| (c.as_str(), p.as_str()) == name);
                    value.map(|(.., x)| x.to_bits())
                });
            (
                cell.cell_type,
                own.collect::<Vec<_>>(),
                cell.area.map(f64::to_bits),
            )
        })
        .collect();
    sets.len()
}

/// Distinct sets of parameters of chemical synapses.
fn edge_tables(scene: &Scene) -> usize {
    let single = scene.edges.iter().map(|edge| (edge.kind, &edge.parameters));
    let bulk = scene.bulk.iter().map(|bulk| (bulk.kind, &bulk.parameters));
    let chemical = single.chain(bulk).filter(|(kind, _)| {
        let definition = &scene.kinds[*kind].definition;
        matches!(definition, SynapseDefinition::Chemical { .. })
    });
    let sets: HashSet<_> = chemical
        .map(|(kind, parameters)| {
            let mut own: Vec<_> = parameters
                .iter()
                .map(|(name, x)| (name.as_str(), x.to_bits()))
                .collect();
            own.sort_unstable();
            (kind, own)
        })
        .collect();
    sets.len()
}

/// Bytes in words.
pub(crate) fn amount(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Bytes of memory that are free, where the system tells.
pub(crate) fn available() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0)
}
