//! From a running network to the tables of its bundle.

use std::io;

use bevy_ecs::world::World;
use homarus_systems::{
    assembly::Simulation,
    observe::{Observers, Spike},
    protocol::Protocol,
    schedule::Clock,
};

use super::{
    bundle::{
        Bundle, BurstRow, EventRow, FileDigest, Layout, Published, Refusal, Request, Rows, SpikeRow,
    },
    sampling::Sampling,
};
use crate::{
    rhythm::{Cycle, Cycles, RhythmSpec},
    scene::Scene,
};

/// Fills the tables of a bundle while a network runs.
pub struct Recorder {
    bundle: Bundle,
    cycles: Cycles,
    samples: Sampling,
    /// Bursts that were over by this time (ms) are told already.
    told_ms: f64,
    gap_ms: f64,
}

impl Recorder {
    /// Begins a bundle.
    ///
    /// # Errors
    /// The directory is refused.
    pub fn new(
        request: &Request,
        scene: &Scene,
        rhythms: &[RhythmSpec],
        simulation: &Simulation,
    ) -> Result<Self, Refusal> {
        let observers = simulation.world.resource::<Observers>();
        let samples = Sampling::new(simulation.names(), observers);
        let layout = Layout {
            scene: scene.name.clone(),
            scene_hash: scene.hash(),
            cells: scene
                .cells
                .iter()
                .map(|cell| cell.name.to_string())
                .collect(),
            owners: samples.owners.clone(),
            scalars: samples.scalars.clone(),
        };
        Ok(Recorder {
            bundle: Bundle::create(request, layout)?,
            cycles: Cycles::new(scene.cells.len(), rhythms, scene.gap_ms),
            samples,
            told_ms: 0.0,
            gap_ms: scene.gap_ms,
        })
    }

    /// Goes on at `now_ms` from the bursts as another recorder of the same cells and rhythms knew
    /// them; those that were over by then it has told.
    pub fn resume(&mut self, cycles: Cycles, now_ms: f64) {
        self.cycles = cycles;
        self.told_ms = now_ms;
    }

    /// The bursts that are not told yet.
    pub fn cycles(&self) -> &Cycles {
        &self.cycles
    }

    /// Adds a file of another sort to the bundle.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.bundle.add(name, content)
    }

    /// The rows of bursts that are complete now.
    fn rows(&self, complete: &[Cycle]) -> Vec<BurstRow> {
        let untold = |cycle: &&Cycle| cycle.burst.off_ms > self.told_ms - self.gap_ms;
        complete.iter().filter(untold).map(row).collect()
    }

    /// Takes what has come up since the last call; waits for the disk where it lags behind.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn take(&mut self, spikes: &[Spike], world: &mut World) -> io::Result<()> {
        let mut complete = Vec::new();
        for spike in spikes {
            self.cycles
                .push(spike.neuron.0 as usize, spike.t_ms, &mut complete);
        }
        let samples =
            world.resource_scope(|world, mut observers: bevy_ecs::world::Mut<Observers>| {
                self.samples.take(&mut observers, world.resource::<Clock>())
            });
        let events = std::mem::take(&mut world.resource_mut::<Protocol>().events);
        self.bundle.push(Rows {
            spikes: spikes
                .iter()
                .map(|spike| SpikeRow {
                    t_ms: spike.t_ms,
                    cell: spike.neuron.0,
                })
                .collect(),
            bursts: self.rows(&complete),
            samples,
            events: events
                .into_iter()
                .map(|event| EventRow {
                    t_ms: event.t_ms,
                    what: event.what.to_owned(),
                    path: event.path,
                    old: event.old,
                    new: event.new,
                })
                .collect(),
        })
    }

    /// Writes the rest of a run that ended at `end_ms` (ms) and publishes the bundle.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(
        mut self,
        end_ms: f64,
        scene_ron: &str,
        run_json: impl FnOnce(&[FileDigest]) -> String,
    ) -> io::Result<Published> {
        let mut complete = Vec::new();
        let cycles = std::mem::replace(&mut self.cycles, Cycles::new(0, &[], self.gap_ms));
        cycles.finish(end_ms, &mut complete);
        let bursts = self.rows(&complete);
        self.bundle.push(Rows {
            bursts,
            ..Rows::default()
        })?;
        self.bundle.finish(scene_ron, run_json)
    }
}

fn row(cycle: &Cycle) -> BurstRow {
    BurstRow {
        cell: cycle.cell as u32,
        k: cycle.k,
        on_ms: cycle.burst.on_ms,
        off_ms: cycle.burst.off_ms,
        period_ms: cycle.period_ms,
        duty: cycle.duty(),
        phase: cycle.phase,
        n_spikes: cycle.burst.n_spikes as u64,
    }
}
