//! Probes: what the conductances of a moment do by themselves. The neurons of the network are
//! copied as they are, without coupling and regulation, start anew and run beside the run, which
//! they do not disturb (arXiv 2412.04172 reads its firing measures this way).

use std::ops::ControlFlow;

use bevy_ecs::world::World;
use homarus_systems::{
    assembly::{NeuronSpec, RunError, Timing},
    channels::CompileError,
    definition::Start,
    frozen,
    integrate::Kernel,
    observe::{Detection, Observers},
    schedule::Clock,
};
use serde::{Deserialize, Serialize};

use crate::{
    record::summary::Conductances,
    rhythm::{CellTrain, Measures, Recording, WindowReport, WindowSpec, analyse},
    run::trains,
    scene::model::{Scene, Window},
};

/// Sampling interval (ms) of the published measures: a spike is seen at the first sample above the
/// threshold.
const SAMPLED_MS: f64 = 0.1;

/// The probes of a run.
pub struct Probes<'a> {
    scene: &'a Scene,
    /// By time.
    pending: Vec<&'a Window>,
    taken: Vec<(&'a Window, Vec<NeuronSpec>)>,
}

/// A probe that was taken, for another run to go on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptProbe {
    label: String,
    at_ms: f64,
    from_ms: f64,
    to_ms: f64,
    neurons: Vec<KeptNeuron>,
}

/// What of a copied neuron the network does not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptNeuron {
    gbar: Vec<f64>,
    parameters: Vec<f64>,
    current: f64,
    start: Start,
}

impl KeptProbe {
    fn is(&self, window: &Window) -> bool {
        self.label == window.label
            && (Some(self.at_ms), self.from_ms, self.to_ms)
                == (window.probe_at_ms, window.from_ms, window.to_ms)
    }
}

/// What came of the probes.
#[derive(Default)]
pub struct Probed {
    /// Reports by time of the probe, with the conductances (mS/cm²) of the cells as they acted.
    pub reports: Vec<(WindowReport, Conductances)>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl<'a> Probes<'a> {
    /// Those that a scene asks for.
    pub fn new(scene: &'a Scene) -> Self {
        let mut pending: Vec<&Window> = scene.probes().collect();
        let at = |window: &Window| window.probe_at_ms.unwrap_or(0.0);
        pending.sort_by(|a, b| at(a).total_cmp(&at(b)));
        Probes {
            scene,
            pending,
            taken: Vec::new(),
        }
    }

    /// Copies the neurons for every probe whose time has come.
    pub fn take(&mut self, world: &World) {
        let clock = world.resource::<Clock>();
        let due = |window: &&Window| window.probe_at_ms.is_some_and(|at| clock.reached(at));
        while let Some(window) = self.pending.first().copied().filter(due) {
            self.pending.remove(0);
            let cells = 0..self.scene.cells.len();
            let neurons = cells.filter_map(|k| frozen::neuron(world, k));
            self.taken.push((window, neurons.collect()));
        }
    }

    /// What was taken so far.
    pub fn keep(&self) -> Vec<KeptProbe> {
        let kept = |(window, neurons): &(&Window, Vec<NeuronSpec>)| KeptProbe {
            label: window.label.clone(),
            at_ms: window.probe_at_ms.unwrap_or_default(),
            from_ms: window.from_ms,
            to_ms: window.to_ms,
            neurons: neurons
                .iter()
                .map(|neuron| KeptNeuron {
                    gbar: neuron.gbar.clone(),
                    parameters: neuron.parameters.clone(),
                    current: neuron.current,
                    start: neuron.start.clone(),
                })
                .collect(),
        };
        self.taken.iter().map(kept).collect()
    }

    /// Goes on in a world that has come so far with what was taken by then. Probes whose time has
    /// gone and that were not taken are left out; gives their labels.
    pub fn resume(&mut self, world: &World, kept: &[KeptProbe]) -> Vec<String> {
        let clock = world.resource::<Clock>();
        let mut unseen = Vec::new();
        for window in std::mem::take(&mut self.pending) {
            if !window.probe_at_ms.is_some_and(|at| clock.reached(at)) {
                self.pending.push(window);
                continue;
            }
            let Some(known) = kept.iter().find(|kept| kept.is(window)) else {
                unseen.push(window.label.clone());
                continue;
            };
            let own = known.neurons.iter().enumerate();
            let neurons = own.filter_map(|(k, own)| {
                Some(NeuronSpec {
                    gbar: own.gbar.clone(),
                    parameters: own.parameters.clone(),
                    current: own.current,
                    start: own.start.clone(),
                    ..frozen::neuron(world, k)?
                })
            });
            self.taken.push((window, neurons.collect()));
        }
        unseen
    }

    /// Model time (ms) of all of them.
    pub fn model_ms(&self) -> f64 {
        let taken = self.taken.iter().map(|(window, _)| *window);
        let all = self.pending.iter().copied().chain(taken);
        all.map(|window| window.to_ms).sum()
    }

    /// Runs what was copied, on the threads of the pool. `pulse` is told how much model time (ms) of
    /// all probes is done; it may break off.
    pub fn run(self, kernel: Kernel, pulse: &mut Told) -> Probed {
        let mut probed = Probed::default();
        let mut done_ms = 0.0;
        let missed = self.pending.iter();
        let missed = missed.map(|window| format!("window `{}` was not reached", window.label));
        probed.warnings.extend(missed);
        for (window, neurons) in self.taken {
            let conductances = conductances(self.scene, &neurons);
            let told = &mut |now_ms: f64| pulse(done_ms + now_ms);
            let outcome = probe(self.scene, window, neurons, kernel, told);
            done_ms += window.to_ms;
            match outcome {
                Ok(report) => probed.reports.push((report, conductances)),
                Err(error) => probed
                    .warnings
                    .push(format!("probe `{}`: {error}", window.label)),
            }
        }
        probed
    }
}

/// Told after every stretch how much model time (ms) is done; it may break off.
pub type Told<'a> = dyn FnMut(f64) -> ControlFlow<()> + Send + 'a;

/// Why a probe has nothing to tell.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error(transparent)]
    Kinetics(#[from] CompileError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("broken off")]
    BrokenOff,
}

/// Runs one probe.
fn probe(
    scene: &Scene,
    window: &Window,
    neurons: Vec<NeuronSpec>,
    kernel: Kernel,
    pulse: &mut Told,
) -> Result<WindowReport, ProbeError> {
    let timing = Timing {
        dt: scene.step_ms,
        control: scene.control_ms,
        end: window.to_ms,
    };
    let detection = Detection {
        threshold: scene.threshold_mv,
        rearm: scene.rearm_mv,
    };
    let mut simulation = frozen::network(neurons, timing, (detection, kernel))?;
    let mut observers = Observers::default();
    observers.window(window.from_ms, window.to_ms);
    simulation.world.insert_resource(observers);
    let mut going = ControlFlow::Continue(());
    simulation.run_while(|world| {
        going = pulse(world.resource::<Clock>().now());
        going
    })?;
    if going.is_break() {
        return Err(ProbeError::BrokenOff);
    }
    let trains: Vec<Vec<f64>> = trains(&simulation).into_iter().map(sampled).collect();
    let mean = &simulation.world.resource::<Observers>().windows[0];
    let calcium: Vec<Option<f64>> = (0..trains.len())
        .map(|cell| mean.mean(cell, window.to_ms))
        .collect();
    let cells = scene.cells.iter().zip(&trains);
    let recording = Recording {
        cells: cells
            .map(|(cell, spikes)| CellTrain {
                name: &cell.name,
                spikes,
            })
            .collect(),
        windows: vec![WindowSpec {
            label: &window.label,
            from_ms: window.from_ms,
            to_ms: window.to_ms,
            measures: Measures::Published,
            ca_mean_um: &calcium,
        }],
        rhythms: Vec::new(),
        gap_ms: scene.gap_ms,
        record_from_ms: 0.0,
        record_to_ms: window.to_ms,
    };
    // One window is asked for, so one is reported.
    let mut report = analyse(&recording).remove(0);
    report.probe_at_ms = window.probe_at_ms;
    Ok(report)
}

/// Spike times as sampling every 0.1 ms sees them.
fn sampled(mut spikes: Vec<f64>) -> Vec<f64> {
    let per_ms = 1.0 / SAMPLED_MS;
    for t in &mut spikes {
        *t = (*t * per_ms).ceil() / per_ms;
    }
    spikes
}

/// Conductances of the copied neurons by channel.
fn conductances(scene: &Scene, neurons: &[NeuronSpec]) -> Conductances {
    let of = |channel: &str| {
        let value = |neuron: &NeuronSpec| {
            let mut lanes = neuron.definition.channels.iter();
            let lane = lanes.position(|(name, _)| name == channel)?;
            neuron.gbar.get(lane).copied()
        };
        neurons.iter().map(value).collect()
    };
    let channels = scene.channel_names().into_iter();
    channels
        .map(|channel| (format!("{channel}.gbar"), of(channel)))
        .collect()
}
