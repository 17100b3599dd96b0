//! Lints: what a scene that runs probably does not mean. None is fatal; each has a place and a fix.
//!
//! They look at the network as it starts, so that `--set` and protocol entries at t = 0 count, and
//! at the protocol for what comes later. What is known of a cell type stands in its file
//! ([`CellDefinition::rhythms`](homarus_systems::definition::CellDefinition::rhythms)).

mod edges;
mod regulation;
mod step;
mod windows;

use bevy_ecs::prelude::{Entity, World};
use homarus_systems::{
    address::{self, Address, CellScalar, ChannelScalar},
    assembly::Simulation,
    channels::{CellType, CellTypeId, CellTypes, Parameters},
    definition::KnownRhythm,
    schedule::{Edges, Neurons},
};

use super::{
    diagnostic::Diagnostics,
    model::Scene,
    names,
    paths::{self, Resolved},
};

pub use step::{Fastest, MembraneRate, Pace, pace};

/// Every lint of a scene whose network is in its start state, in the order of the text.
pub fn lint(scene: &Scene, network: &Simulation) -> Diagnostics {
    let network = Network::new(scene, network);
    let pace = network.pace();
    let mut lints = Diagnostics::default();
    step::longer_than_gate(&network, &pace, &mut lints);
    step::too_long_for_rhythm(&network, &pace, &mut lints);
    edges::unreached(&network, &mut lints);
    edges::without_weight(&network, &mut lints);
    edges::junction_twice(&network, &mut lints);
    edges::open_at_rest(&network, &mut lints);
    edges::in_bulk(&network, &mut lints);
    windows::in_transient(&network, &mut lints);
    windows::too_short(&network, &mut lints);
    regulation::negative_references(&network, &mut lints);
    regulation::written_while_regulated(&network, &mut lints);
    lints.sort();
    lints
}

/// A scene with its network in the start state.
struct Network<'a> {
    scene: &'a Scene,
    world: &'a World,
    protocol: Resolved<'a>,
}

impl<'a> Network<'a> {
    fn new(scene: &'a Scene, network: &'a Simulation) -> Self {
        let names = network.names();
        Self {
            scene,
            world: &network.world,
            // A path that names nothing was refused before there was a network.
            protocol: paths::protocol(scene, names).unwrap_or_default(),
        }
    }

    fn neuron(&self, cell: usize) -> Entity {
        self.world.resource::<Neurons>().entity(cell)
    }

    fn edge(&self, edge: usize) -> Entity {
        self.world.resource::<Edges>().entity(edge)
    }

    fn read(&self, address: Address) -> f64 {
        address::read(self.world, address).unwrap_or(f64::NAN)
    }

    fn voltage(&self, cell: usize) -> f64 {
        self.read(Address::Cell(cell, CellScalar::V))
    }

    fn calcium(&self, cell: usize) -> f64 {
        self.read(Address::Cell(cell, CellScalar::Ca))
    }

    /// Conductances (mS/cm²) of a cell by lane.
    fn gbar(&self, cell: usize) -> Vec<f64> {
        let lanes = 0..self.cell_type(cell).channels();
        lanes
            .map(|lane| self.read(Address::Channel(cell, lane, ChannelScalar::Gbar)))
            .collect()
    }

    fn type_id(&self, cell: usize) -> CellTypeId {
        let id = self.world.get::<CellTypeId>(self.neuron(cell));
        id.copied().unwrap_or(CellTypeId(0))
    }

    fn cell_type(&self, cell: usize) -> &'a CellType {
        self.world.resource::<CellTypes>().get(self.type_id(cell))
    }

    /// Kinetic parameters of a cell, see [`CellType::parameter_names`].
    fn parameters(&self, cell: usize) -> &'a [f64] {
        let parameters = self.world.get::<Parameters>(self.neuron(cell));
        parameters.map_or(&[], |p| &p.0)
    }

    /// The rhythm that is known of a cell, if any.
    fn known_rhythm(&self, cell: usize) -> Option<&'a KnownRhythm> {
        let definition = &*self.cell_type(cell).definition;
        definition.rhythm(|channel, parameter| {
            CellType::parameter_names(definition)
                .zip(self.parameters(cell))
                .find(|(name, _)| *name == (channel, parameter))
                .map(|(_, value)| *value)
        })
    }

    fn name(&self, cell: usize) -> &'a str {
        &self.scene.cells[cell].name
    }

    /// Names of cells for a sentence.
    fn names_of(&self, cells: &[usize]) -> String {
        /// More names are not read.
        const SHOWN: usize = 6;
        let shown: Vec<&str> = cells.iter().take(SHOWN).map(|k| self.name(*k)).collect();
        match cells.len() {
            n if n > SHOWN => format!("{} and {} more", names::list(&shown), n - SHOWN),
            _ => names::list(&shown),
        }
    }
}

/// A number for a sentence: a whole one as it is, any other to `count` digits that count.
pub(crate) fn digits(x: f64, count: u8) -> String {
    let decimals = usize::from(count.saturating_sub(1));
    let rounded = format!("{x:.decimals$e}").parse().unwrap_or(x);
    let shown = if x.fract() == 0.0 { x } else { rounded };
    format!("{shown}")
}

/// A fraction as a percentage for a sentence.
pub(crate) fn percent(x: f64) -> String {
    format!("{} %", digits(100.0 * x, 2))
}
