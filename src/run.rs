//! One run of a scene: scene -> network -> spikes -> rhythms.

use std::{collections::HashSet, time::Instant};

use homarus_systems::{
    address::{self, Address, ChannelScalar},
    assembly::{RunError, Simulation},
    definition::SynapseDefinition,
    homeostasis::BelowZero,
    observe::{Observers, Spikes},
    schedule::Neurons,
};

use crate::{
    record::summary::{Populations, Summary},
    rhythm::{self, CellTrain, Measures, Recording, RhythmSpec, WindowSpec},
    scene::{
        Diagnostics,
        model::{Integrator, NegativeConductance, Scene},
        spawn::{self, Override},
    },
};

/// Cells up to which a summary lists every cell.
const LISTED_CELLS: usize = 200;

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is wrong.
    #[error("{0}")]
    Input(Diagnostics),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The outcome cannot be written.
    #[error(transparent)]
    Output(#[from] std::io::Error),
}

impl From<Diagnostics> for Failure {
    fn from(errors: Diagnostics) -> Self {
        Failure::Input(errors)
    }
}

/// Runs a scene to its end and analyses its rhythms; `overrides` are scalars set before the start.
///
/// # Errors
/// The network cannot be built, or the run leaves all sense.
pub fn run(scene: &Scene, overrides: &[Override]) -> Result<Summary, Failure> {
    let mut simulation = spawn::spawn(scene, overrides)?;
    let clock = Instant::now();
    simulation.run()?;
    let wall_s = clock.elapsed().as_secs_f64();
    Ok(summarise(scene, overrides, &simulation, wall_s))
}

/// Sums up a finished run.
pub fn summarise(
    scene: &Scene,
    overrides: &[Override],
    simulation: &Simulation,
    wall_s: f64,
) -> Summary {
    let (trains, means) = (trains(simulation), calcium_means(scene, simulation));
    let mut windows = rhythm::analyse(&recording(scene, &trains, &means, simulation.now()));
    let mut populations = Vec::new();
    if scene.cells.len() > LISTED_CELLS {
        populations = windows
            .iter()
            .map(|w| Populations::of("cells", w))
            .collect();
        windows.iter_mut().for_each(|w| w.cells.clear());
    }
    Summary {
        homarus: env!("CARGO_PKG_VERSION"),
        scene: scene.name.clone(),
        scene_hash: scene.hash(overrides),
        seed: scene.seed,
        step_ms: scene.step_ms,
        integrator: scene.integrator.name(),
        kernel: kernel(scene.integrator),
        neurons: scene.cells.len(),
        edges: scene.edges.len(),
        model_ms: simulation.now(),
        wall_s,
        windows,
        populations,
        warnings: warnings(scene, simulation),
    }
}

/// Spike times (ms) of every cell.
pub fn trains(simulation: &Simulation) -> Vec<Vec<f64>> {
    let mut trains = vec![Vec::new(); simulation.world.resource::<Neurons>().len()];
    for spike in &simulation.world.resource::<Spikes>().list {
        trains[spike.neuron.0 as usize].push(spike.t_ms);
    }
    trains
}

fn kernel(integrator: Integrator) -> &'static str {
    match integrator {
        Integrator::Exponential => homarus_systems::integrate::kernel_name(),
        Integrator::Reference => "direct",
    }
}

/// Mean calcium (µM) by window and cell.
fn calcium_means(scene: &Scene, simulation: &Simulation) -> Vec<Vec<Option<f64>>> {
    let windows = &simulation.world.resource::<Observers>().windows;
    windows
        .iter()
        .map(|w| (0..scene.cells.len()).map(|cell| w.mean(cell)).collect())
        .collect()
}

fn recording<'a>(
    scene: &'a Scene,
    trains: &'a [Vec<f64>],
    means: &'a [Vec<Option<f64>>],
    end_ms: f64,
) -> Recording<'a> {
    let cells = scene.cells.iter().zip(trains);
    let windows = scene.windows.iter().zip(means);
    Recording {
        cells: cells
            .map(|(cell, spikes)| CellTrain {
                name: &cell.name,
                spikes,
            })
            .collect(),
        windows: windows
            .map(|(window, means)| WindowSpec {
                label: &window.label,
                from_ms: window.from_ms,
                to_ms: window.to_ms,
                measures: Measures::Gap,
                ca_mean_um: means,
            })
            .collect(),
        rhythms: scene
            .rhythms
            .iter()
            .map(|rhythm| RhythmSpec {
                name: &rhythm.name,
                cells: &rhythm.cells,
                reference: rhythm.reference,
                min_spikes: rhythm.min_spikes,
                order: rhythm.order.as_deref(),
            })
            .collect(),
        gap_ms: scene.gap_ms,
        record_from_ms: 0.0,
        record_to_ms: end_ms,
    }
}

/// What a person should know about a finished run.
fn warnings(scene: &Scene, simulation: &Simulation) -> Vec<String> {
    let falls = simulation.world.resource::<BelowZero>().falls();
    let rule = match scene.negative_conductance {
        NegativeConductance::Allow => "negative values were allowed to act",
        NegativeConductance::RectifyCurrent => "its current used 0 meanwhile",
        NegativeConductance::Clamp => "it was clamped at 0",
    };
    let told = falls.iter().map(|(neuron, lane, t_ms)| {
        let cell = &simulation.names().cells[neuron.0 as usize];
        let channel = &cell.channels[*lane].name;
        format!(
            "{}.{channel}.gbar fell below zero at {t_ms} ms: {rule}",
            cell.name
        )
    });
    unheld(scene, simulation).into_iter().chain(told).collect()
}

/// The warning for cells that have no conductance of any kind: their voltage follows the current
/// applied, and never rests.
fn unheld(scene: &Scene, simulation: &Simulation) -> Option<String> {
    /// More names than this are counted.
    const NAMED: usize = 5;
    let reached: HashSet<usize> = scene
        .edges
        .iter()
        .flat_map(|edge| match scene.kinds[edge.kind].definition {
            SynapseDefinition::Electrical { one_way: false, .. } => vec![edge.pre, edge.post],
            _ => vec![edge.post],
        })
        .collect();
    let open = |cell: usize, lane: usize| {
        let gbar = Address::Channel(cell, lane, ChannelScalar::Gbar);
        address::read(&simulation.world, gbar).is_some_and(|g| g != 0.0)
    };
    let names: Vec<&str> = (0..scene.cells.len())
        .filter(|cell| !reached.contains(cell))
        .filter(|cell| !(0..scene.cells[*cell].gbar.len()).any(|lane| open(*cell, lane)))
        .map(|cell| scene.cells[cell].name.as_str())
        .collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| {
        format!(
            "no conductance in {}{more}: nothing brings the voltage to rest; see `gbar`",
            names[..names.len().min(NAMED)].join(", ")
        )
    })
}
