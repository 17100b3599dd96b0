//! One run of a scene: scene -> network -> spikes -> rhythms and tables.

use std::{io, mem, ops::ControlFlow, time::Instant};

use bevy_ecs::world::World;
use homarus_systems::{
    address::{self, Address, ChannelScalar},
    assembly::{RunError, Simulation},
    definition::SynapseDefinition,
    homeostasis::BelowZero,
    integrate::Kernel,
    observe::{Observers, Sampler, Spike, Spikes},
    schedule::{Clock, ThroughTicks},
    snapshot::State,
};

use crate::{
    course::{Course, Cut, Origin},
    execution::{Execution, NoThreads},
    probe::{Probed, Probes, Told},
    record::{
        bundle::{Published, Refusal, Request},
        manifest,
        recorder::Recorder,
        snapshot::{self, Snapshot},
        summary::{self, Conductances, Populations, Status, Summary},
    },
    rhythm::{Finished, Measures, RhythmSpec, Stream, Thresholds, WindowReport},
    scene::{
        Diagnostics,
        model::{Cell, Integrator, NegativeConductance, Scene},
        population::build::Thrown,
        spawn,
    },
};

/// Stretches between two looks at what has been observed, so that little of it is held in memory.
const STRETCHES: u32 = 64;

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is wrong.
    #[error("{0}")]
    Input(Diagnostics),
    /// The directory of the bundle is refused.
    #[error(transparent)]
    Directory(#[from] Refusal),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The run cannot have its threads.
    #[error(transparent)]
    Threads(#[from] NoThreads),
    /// The user broke off; when that was.
    #[error("stopped {0}")]
    Stopped(String),
    /// Of several runs not all came to a good end: how many, in words.
    #[error("{0}")]
    Members(String),
    /// The bundle cannot be written; nothing of it is left.
    #[error("the bundle cannot be written: {0}")]
    Bundle(io::Error),
    /// The outcome cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl From<Diagnostics> for Failure {
    fn from(errors: Diagnostics) -> Self {
        Failure::Input(errors)
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Model time done (ms), that of probes included.
    pub now_ms: f64,
    /// Model time at which the run ends, and that of its probes (ms).
    pub end_ms: f64,
}

/// Told after every stretch how far the run has come; it may break off.
pub type Pulse<'a> = dyn FnMut(Progress) -> ControlFlow<()> + Send + 'a;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Summary of what there is, be the run whole or not.
    pub summary: Summary,
    /// Why the run failed, if it did.
    pub error: Option<RunError>,
    /// Where the bundle is, if one was asked for.
    pub bundle: Option<Published>,
}

/// Runs a scene to its end and analyses its rhythms.
///
/// # Errors
/// The network cannot be built, or the run leaves all sense.
pub fn run(scene: &Scene) -> Result<Summary, Failure> {
    let execution = Execution::default();
    let go_on = &mut |_| ControlFlow::Continue(());
    let outcome = run_attended(scene, &execution, None, &[], go_on)?;
    match outcome.error {
        Some(error) => Err(error.into()),
        None => Ok(outcome.summary),
    }
}

/// Runs a scene, writes a bundle if asked and tells `pulse` how it goes. A run that is broken off or
/// fails gives what there is up to then. `notes` become the first warnings of the summary.
///
/// # Errors
/// The network cannot be built, the directory is refused, the disk is full, or the system does not
/// give the threads.
pub fn run_attended(
    scene: &Scene,
    execution: &Execution,
    bundle: Option<&Request>,
    notes: &[String],
    pulse: &mut Pulse,
) -> Result<Outcome, Failure> {
    run_on_course(scene, execution, bundle, &Course::default(), notes, pulse)
}

/// As [`run_attended`], from where and with the snapshots that `course` says; those need a bundle.
///
/// # Errors
/// As there; a snapshot that is of another scene, or a time at which none can be taken.
pub fn run_on_course(
    scene: &Scene,
    execution: &Execution,
    bundle: Option<&Request>,
    course: &Course,
    notes: &[String],
    pulse: &mut Pulse,
) -> Result<Outcome, Failure> {
    if let Some(origin) = &course.from {
        origin.check(scene)?;
    }
    let cuts = course.cuts(scene)?;
    let pool = execution.pool(scene)?;
    pool.install(|| {
        let mut simulation = network(scene, execution)?;
        if bundle.is_none() {
            // Nobody would take the samples away.
            let mut observers = simulation.world.resource_mut::<Observers>();
            observers.samplers.clear();
        }
        if let Some(origin) = &course.from {
            origin.begin(&mut simulation, scene)?;
        }
        let from = course.from.as_ref();
        attended(scene, &mut simulation, bundle, (from, cuts), notes, pulse)
    })
}

/// As [`run_attended`] without a bundle, with samplers in place of those of the scene; they come back
/// with their rows.
///
/// # Errors
/// The network cannot be built, or the system does not give the threads.
pub fn run_observed(
    scene: &Scene,
    execution: &Execution,
    samplers: Vec<Sampler>,
    pulse: &mut Pulse,
) -> Result<(Outcome, Vec<Sampler>), Failure> {
    let pool = execution.pool(scene)?;
    pool.install(|| {
        let mut simulation = network(scene, execution)?;
        let mut observers = simulation.world.resource_mut::<Observers>();
        observers.samplers = samplers;
        let outcome = attended(scene, &mut simulation, None, (None, Vec::new()), &[], pulse)?;
        let mut observers = simulation.world.resource_mut::<Observers>();
        Ok((outcome, mem::take(&mut observers.samplers)))
    })
}

/// The network of a scene.
fn network(scene: &Scene, execution: &Execution) -> Result<Simulation, Failure> {
    let mut simulation = spawn::spawn(scene)?;
    simulation.world.init_resource::<ThroughTicks>();
    simulation.world.insert_resource(execution.kernel);
    Ok(simulation)
}

fn attended(
    scene: &Scene,
    simulation: &mut Simulation,
    bundle: Option<&Request>,
    (from, cuts): (Option<&Origin>, Vec<Cut>),
    notes: &[String],
    pulse: &mut Pulse,
) -> Result<Outcome, Failure> {
    let stops = cuts.iter().map(|cut| cut.t_ms);
    let mut observers = simulation.world.resource_mut::<Observers>();
    observers.stops.extend(stops);
    let rhythms = rhythms(scene);
    let recorder = match bundle {
        Some(request) => Some(Recorder::new(request, scene, &rhythms, simulation)?),
        None => None,
    };
    let mut session = Session {
        scene,
        cuts,
        stream: stream(scene, rhythms),
        recorder,
        spikes: Vec::new(),
        disk: Ok(()),
        probes: Probes::new(scene),
    };
    let unseen = match from {
        Some(origin) => session
            .resume(origin, &simulation.world)
            .map_err(Failure::Bundle)?,
        None => Vec::new(),
    };
    let clock = Instant::now();
    let all_ms = simulation.world.resource::<Clock>().end() + session.probes.model_ms();
    let mut told = |now_ms| {
        let end_ms = all_ms;
        pulse(Progress { now_ms, end_ms })
    };
    let (mut status, error, end_ms) = session.run(simulation, &mut told);
    session.disk.map_err(Failure::Bundle)?;
    let means = |window: usize, cell: usize| mean_calcium(&simulation.world, window, cell, end_ms);
    let finished = session.stream.finish(end_ms, means);
    let kernel = *simulation.world.resource::<Kernel>();
    let mut going = ControlFlow::Continue(());
    let probed = session.probes.run(kernel, &mut |done_ms| {
        going = told(end_ms + done_ms);
        going
    });
    if going.is_break() && status == Status::Complete {
        status = Status::Stopped;
    }
    let mut summary = Summary {
        status,
        error: error.as_ref().map(ToString::to_string),
        model_ms: end_ms,
        wall_s: clock.elapsed().as_secs_f64(),
        ..summary(scene, simulation, finished, probed)
    };
    let notes = notes.iter().cloned().chain(unseen);
    summary.warnings.splice(0..0, notes);
    let bundle = match session.recorder {
        Some(recorder) => {
            let manifest = |files: &[_]| manifest::text(&summary, from, files);
            let text = match from {
                Some(origin) => scene.text_gone_on(&snapshot::file_name(origin.snapshot.t_ms)),
                None => scene.text(),
            };
            Some(
                recorder
                    .finish(end_ms, &text, manifest)
                    .map_err(Failure::Bundle)?,
            )
        }
        None => None,
    };
    Ok(Outcome {
        summary,
        error,
        bundle,
    })
}

/// A run under way.
struct Session<'a> {
    scene: &'a Scene,
    /// Snapshots still to come, in order of time.
    cuts: Vec<Cut>,
    stream: Stream<'a>,
    recorder: Option<Recorder>,
    /// Spikes being worked on; kept for its memory.
    spikes: Vec<Spike>,
    /// What the disk said.
    disk: io::Result<()>,
    probes: Probes<'a>,
}

impl Session<'_> {
    /// Runs to the end, a break or a failure; gives the model time (ms) up to which all is well.
    fn run(
        &mut self,
        simulation: &mut Simulation,
        pulse: &mut Told,
    ) -> (Status, Option<RunError>, f64) {
        let (mut stretches, mut broken_off) = (0, false);
        let clock = simulation.world.resource::<Clock>();
        let mut good_ms = clock.now();
        // What cannot be started is told by the run.
        if simulation.start().is_ok() {
            self.probes.take(&simulation.world);
            self.disk = self.cut(&mut simulation.world);
        }
        let outcome = simulation.run_while(|world| {
            let now_ms = world.resource::<Clock>().now();
            good_ms = now_ms;
            stretches += 1;
            self.probes.take(world);
            if stretches % STRETCHES == 0 {
                self.disk = self.take(world, now_ms);
            }
            if self.disk.is_ok() {
                self.disk = self.cut(world);
            }
            broken_off = pulse(now_ms).is_break();
            match broken_off || self.disk.is_err() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if outcome.is_err() {
            // The stretch that went wrong is left out.
            let mut spikes = simulation.world.resource_mut::<Spikes>();
            spikes.list.retain(|spike| spike.t_ms <= good_ms);
        }
        if self.disk.is_ok() {
            self.disk = self.take(&mut simulation.world, good_ms);
        }
        match outcome {
            Err(error) => (Status::Failed, Some(error), good_ms),
            Ok(()) if broken_off => (Status::Stopped, None, good_ms),
            Ok(()) => (Status::Complete, None, good_ms),
        }
    }

    /// Goes on from a snapshot. What it did not follow is left out, and told.
    fn resume(&mut self, origin: &Origin, world: &World) -> io::Result<Vec<String>> {
        let snapshot = &origin.snapshot;
        let t_ms = snapshot.t_ms;
        let windows = self.stream.resume(&snapshot.windows, snapshot.state.now());
        let probes = self.probes.resume(world, &snapshot.probes);
        if let Some(recorder) = &mut self.recorder {
            recorder.resume(snapshot.cycles.clone(), snapshot.state.now());
            recorder.add(&snapshot::file_name(t_ms), &origin.bytes)?;
        }
        let told = windows.into_iter().chain(probes).map(|label| {
            format!(
                "window `{label}` began before the snapshot at {t_ms} ms, where nobody followed it: left out"
            )
        });
        Ok(told.collect())
    }

    /// Takes the snapshots that are due.
    fn cut(&mut self, world: &mut World) -> io::Result<()> {
        while let Some(cut) = self.cuts.first().copied()
            && world.resource::<Clock>().step() >= cut.step
        {
            self.cuts.remove(0);
            let now_ms = world.resource::<Clock>().now();
            self.take(world, now_ms)?;
            let Some(recorder) = &mut self.recorder else {
                continue;
            };
            let snapshot = Snapshot {
                homarus: env!("CARGO_PKG_VERSION").to_owned(),
                scene: self.scene.name.clone(),
                scene_hash: self.scene.hash(),
                scene_text: self.scene.text(),
                t_ms: cut.t_ms,
                state: State::take(world),
                windows: self.stream.keep(),
                cycles: recorder.cycles().clone(),
                probes: self.probes.keep(),
            };
            recorder.add(&snapshot::file_name(cut.t_ms), &snapshot.bytes()?)?;
        }
        Ok(())
    }

    /// Takes away what has been observed up to `until_ms`.
    fn take(&mut self, world: &mut World, until_ms: f64) -> io::Result<()> {
        mem::swap(&mut self.spikes, &mut world.resource_mut::<Spikes>().list);
        for spike in &self.spikes {
            self.stream.push(spike.neuron.0 as usize, spike.t_ms);
        }
        let means = |window: usize, cell: usize| mean_calcium(world, window, cell, until_ms);
        self.stream.advance(until_ms, means);
        let taken = match &mut self.recorder {
            Some(recorder) => recorder.take(&self.spikes, world),
            None => Ok(()),
        };
        self.spikes.clear();
        taken
    }
}

/// Sums up a finished run whose spikes are all still there.
pub fn summarise(scene: &Scene, simulation: &Simulation) -> Summary {
    let mut stream = stream(scene, rhythms(scene));
    for spike in &simulation.world.resource::<Spikes>().list {
        stream.push(spike.neuron.0 as usize, spike.t_ms);
    }
    let now = simulation.now();
    let means = |window: usize, cell: usize| mean_calcium(&simulation.world, window, cell, now);
    summary(
        scene,
        simulation,
        stream.finish(now, means),
        Probed::default(),
    )
}

fn summary(scene: &Scene, simulation: &Simulation, finished: Finished, probed: Probed) -> Summary {
    let mut warnings = warnings(scene, simulation);
    warnings.extend(probed.warnings);
    let cut = finished
        .cut
        .iter()
        .map(|label| format!("window `{label}` was cut short"));
    let missed = finished
        .missed
        .iter()
        .map(|label| format!("window `{label}` was not reached"));
    warnings.extend(cut.chain(missed));
    Summary {
        homarus: env!("CARGO_PKG_VERSION"),
        scene: scene.name.clone(),
        scene_hash: scene.hash(),
        status: Status::Complete,
        error: None,
        seed: scene.seed,
        step_ms: scene.step_ms,
        integrator: scene.integrator.name(),
        kernel: kernel(scene.integrator, &simulation.world),
        neurons: scene.cells.len(),
        edges: scene.edge_count(),
        model_ms: simulation.now(),
        wall_s: 0.0,
        populations: populations(scene, simulation, &finished.reports, &probed.reports),
        windows: in_time(finished.reports, probed.reports),
        warnings,
    }
}

/// Windows and probes by time.
fn in_time(
    mut windows: Vec<WindowReport>,
    probed: Vec<(WindowReport, Conductances)>,
) -> Vec<WindowReport> {
    windows.extend(probed.into_iter().map(|(window, _)| window));
    let at = |window: &WindowReport| window.probe_at_ms.unwrap_or(window.from_ms);
    windows.sort_by(|a, b| at(a).total_cmp(&at(b)));
    windows
}

/// What windows are told as besides their cells.
fn populations(
    scene: &Scene,
    simulation: &Simulation,
    windows: &[WindowReport],
    probed: &[(WindowReport, Conductances)],
) -> Vec<Populations> {
    let groups = scene.told();
    if groups.is_empty() {
        return Vec::new();
    }
    let conductances = scene.channel_names().into_iter().map(|channel| {
        let value = |(k, cell): (usize, &Cell)| {
            let mut lanes = scene.cell_types[cell.cell_type].channels.iter();
            let lane = lanes.position(|(name, _)| name == channel)?;
            address::read(
                &simulation.world,
                Address::Channel(k, lane, ChannelScalar::Gbar),
            )
        };
        let values = scene.cells.iter().enumerate().map(value).collect();
        (format!("{channel}.gbar"), values)
    });
    let conductances: Conductances = conductances.collect();
    let at_end = |window: &WindowReport| window.to_ms >= simulation.now();
    let run = windows.iter().map(|window| match at_end(window) {
        true => (window, &conductances[..]),
        false => (window, &[][..]),
    });
    let probes = probed.iter().map(|(window, known)| (window, &known[..]));
    summary::populations(run.chain(probes), &groups)
}

/// Spike times (ms) of every cell.
pub fn trains(simulation: &Simulation) -> Vec<Vec<f64>> {
    let mut trains = vec![Vec::new(); simulation.names().cells.len()];
    for spike in &simulation.world.resource::<Spikes>().list {
        trains[spike.neuron.0 as usize].push(spike.t_ms);
    }
    trains
}

/// Name of the code path that steps the neurons of a network.
pub fn kernel(integrator: Integrator, world: &World) -> &'static str {
    match integrator {
        Integrator::Exponential | Integrator::Accurate => world.resource::<Kernel>().name(),
        Integrator::Reference => "direct",
    }
}

/// Mean calcium (µM) of a cell in a window as far as it has come.
fn mean_calcium(world: &World, window: usize, cell: usize, now_ms: f64) -> Option<f64> {
    let windows = &world.resource::<Observers>().windows;
    windows.get(window)?.mean(cell, now_ms)
}

pub(crate) fn rhythms(scene: &Scene) -> Vec<RhythmSpec<'_>> {
    let rhythms = scene.rhythms.iter();
    rhythms
        .map(|rhythm| RhythmSpec {
            name: &rhythm.name,
            cells: &rhythm.cells,
            reference: rhythm.reference,
            min_spikes: rhythm.min_spikes,
            order: rhythm.order.as_deref(),
            thresholds: Thresholds::default(),
        })
        .collect()
}

fn stream<'a>(scene: &'a Scene, rhythms: Vec<RhythmSpec<'a>>) -> Stream<'a> {
    let names = scene.cells.iter().map(|cell| &*cell.name).collect();
    let windows = scene.run_windows().map(|w| {
        let measures = match w.published {
            true => Measures::Published,
            false => Measures::Gap,
        };
        (w.label.as_str(), w.from_ms, w.to_ms, measures)
    });
    Stream::new(names, rhythms, windows, scene.gap_ms)
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
    let unheld = unheld(scene, simulation).into_iter();
    unheld
        .chain(thrown(scene, simulation))
        .chain(told)
        .collect()
}

/// What was drawn in vain.
fn thrown(scene: &Scene, simulation: &Simulation) -> Vec<String> {
    let Some(thrown) = simulation.world.get_resource::<Thrown>() else {
        return Vec::new();
    };
    let populations = scene.alike().into_iter();
    let told = populations.filter_map(|(name, cells)| match thrown.of(&cells) {
        0 => None,
        n => Some(format!(
            "population {name}: {n} draws were thrown away to get {} cells",
            cells.len()
        )),
    });
    told.collect()
}

/// The warning for cells that have no conductance of any kind: their voltage follows the current
/// applied, and never rests.
fn unheld(scene: &Scene, simulation: &Simulation) -> Option<String> {
    /// More names than this are counted.
    const NAMED: usize = 5;
    let two_way = |kind: usize| {
        let definition = &scene.kinds[kind].definition;
        matches!(
            definition,
            SynapseDefinition::Electrical { one_way: false, .. }
        )
    };
    let mut reached = vec![false; scene.cells.len()];
    for edge in &scene.edges {
        reached[edge.post] = true;
        reached[edge.pre] |= two_way(edge.kind);
    }
    for (bulk, names) in scene.bulk.iter().zip(simulation.names().bulk()) {
        for (pre, post) in names.pre.iter().zip(names.post.iter()) {
            reached[*post as usize] = true;
            reached[*pre as usize] |= two_way(bulk.kind);
        }
    }
    let open = |cell: usize, lane: usize| {
        let gbar = Address::Channel(cell, lane, ChannelScalar::Gbar);
        address::read(&simulation.world, gbar).is_some_and(|g| g != 0.0)
    };
    let names: Vec<&str> = (0..scene.cells.len())
        .filter(|cell| !reached[*cell])
        .filter(|cell| !(0..scene.cells[*cell].gbar.len()).any(|lane| open(*cell, lane)))
        .map(|cell| &*scene.cells[cell].name)
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
