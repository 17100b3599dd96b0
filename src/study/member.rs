//! One network, run to the fork, and the branches that start there.
//!
//! Everything here is a pure function of the study and of numbers: which network, which branch. What
//! a branch shows is what one run from time 0 shows that does at the fork what the branch does.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bevy_ecs::world::World;
use homarus_systems::{
    address::{self, Address},
    assembly::{Kinetics, RunError, Simulation},
    integrate::Kernel,
    observe::{Observers, Spikes},
    protocol::{Entry, Protocol},
    schedule::{Clock, ThroughTicks},
    snapshot::State,
};

use crate::{
    rhythm::{
        CellTrain, Recording, RhythmSpec, WindowReport, WindowSpec, analyse, bursts, circular_mean,
        counted, gap_measures, onset_phases, phase_difference, whole_bursts,
    },
    run,
    scene::{
        Diagnostics,
        model::{self, Scene},
        paths, spawn,
    },
};

use super::{
    axes::{self, Times},
    design::{Plan, Run},
    model::{Moment, Settle, Study, Timed, Value},
    networks::{Recipe, Settings},
    observed::Observed,
};

/// Model time between two looks at whether a network has settled (ms).
const LOOK_MS: f64 = 250.0;

/// Who may break a run off, and is told how much model time has been run.
#[derive(Debug, Default)]
pub struct Watch {
    /// Whether to break off.
    pub stop: AtomicBool,
    /// Model time run so far, by all (µs).
    run_us: AtomicU64,
}

impl Watch {
    /// Model time run so far, by all (ms).
    pub fn run_ms(&self) -> f64 {
        self.run_us.load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// Whether to break off.
    pub fn asked(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn ran(&self, ms: f64) {
        self.run_us
            .fetch_add((ms * 1000.0) as u64, Ordering::Relaxed);
    }
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The network cannot be made or run: a reason for its members.
    #[error("{0}")]
    Member(String),
    /// It was broken off: nothing is known.
    #[error("broken off")]
    Stopped,
}

impl From<Diagnostics> for Failure {
    fn from(errors: Diagnostics) -> Self {
        Failure::Member(one_line(&errors))
    }
}

/// Errors in one line.
pub fn one_line(errors: &Diagnostics) -> String {
    let errors: Vec<String> = errors.errors().iter().map(ToString::to_string).collect();
    errors.join("; ")
}

/// The end of a branch, and its windows, in ms.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Course {
    fork: f64,
    /// Where there is one, by [`Moment`].
    windows: [Option<(f64, f64)>; 3],
    undo: f64,
    end: f64,
}

impl Course {
    fn of(study: &Study, fork: f64) -> Self {
        let undo = fork + study.during.skip_ms + study.during.for_ms;
        let after = study.after.map(|after| {
            let from = undo + after.skip_ms;
            (from, from + after.for_ms)
        });
        let before = (study.before_ms > 0.0).then_some((fork - study.before_ms, fork));
        Course {
            fork,
            windows: [before, Some((fork + study.during.skip_ms, undo)), after],
            undo,
            end: after.map_or(undo, |(_, to)| to),
        }
    }
}

/// Model time (ms) of a branch after the fork.
pub fn branch_ms(study: &Study) -> f64 {
    Course::of(study, 0.0).end
}

/// A network at the fork.
#[derive(Debug)]
pub struct Fork {
    /// Which.
    pub run: Run,
    scene: Scene,
    course: Course,
    /// `None`: the fork is the start.
    state: Option<State>,
    /// Spikes before the fork (ms) by cell, from the last one before the first window on.
    trains: Vec<Vec<f64>>,
    /// Mean calcium (µM) by cell in the window before.
    calcium: Vec<Option<f64>>,
    scalars: Vec<Option<f64>>,
}

/// The network of a fork in a world, to run branches in, one after the other.
pub struct Site {
    simulation: Simulation,
    scalars: Vec<Option<Address>>,
}

/// Runs networks of a study and their branches.
pub struct Runner<'s> {
    study: &'s Study,
    plan: &'s Plan,
    kernel: Kernel,
    watch: &'s Watch,
    /// By base: made with its first network.
    recipes: Vec<Option<Recipe<'s>>>,
    /// By base: what was compiled for a network that is no longer needed.
    kinetics: Vec<Kinetics>,
}

impl<'s> Runner<'s> {
    /// A runner of a study.
    pub fn new(study: &'s Study, plan: &'s Plan, kernel: Kernel, watch: &'s Watch) -> Self {
        Runner {
            study,
            plan,
            kernel,
            watch,
            recipes: study.bases.iter().map(|_| None).collect(),
            kinetics: study.bases.iter().map(|_| Kinetics::default()).collect(),
        }
    }

    /// Runs a network to the fork.
    ///
    /// # Errors
    /// It cannot be made, leaves all sense or does not settle in time; or it was broken off.
    pub fn fork(&mut self, run: Run) -> Result<(Fork, Site), Failure> {
        let values = self.plan.settings(run.setting);
        let settings = Settings::of(self.study, &run, &values).map_err(Diagnostics::from)?;
        let mut scene = settings.scene(self.study);
        let latest_ms = match self.study.settle {
            Settle::For(ms) => ms,
            Settle::Until { at_most_ms, .. } => at_most_ms,
        };
        // What the base says of times ends with the fork, but for what makes its start.
        let at_fork = |at_ms: f64| at_ms >= latest_ms && at_ms > 0.0;
        scene.protocol.retain(|entry| !at_fork(entry.at_ms));
        scene.windows.clear();
        scene.samples.clear();
        // Nothing ends at the fork: it lies between two stretches.
        scene.duration_ms = latest_ms + Course::of(self.study, 0.0).end.max(scene.step_ms);
        let mut site = self.site(&scene, &run)?;
        let fork_ms = match self.study.settle {
            Settle::For(ms) => {
                site.follow([(ms - self.study.before_ms, ms)]);
                site.run_to(ms, self.watch)?;
                ms
            }
            Settle::Until {
                cycles,
                within,
                at_most_ms,
            } => self.settle(&scene, &mut site, cycles, within, at_most_ms)?,
        };
        let world = &site.simulation.world;
        let course = Course::of(self.study, fork_ms);
        let windows = &world.resource::<Observers>().windows;
        let cells = 0..scene.cells.len();
        let mean = |cell| windows.first()?.mean(cell, fork_ms);
        let started = fork_ms > 0.0;
        let first_ms = course.windows[0].map_or(fork_ms, |(from, _)| from);
        let fork = Fork {
            run,
            course,
            trains: site.trains(first_ms),
            calcium: match course.windows[0] {
                Some(_) => cells.map(mean).collect(),
                None => Vec::new(),
            },
            scalars: site.scalars(),
            state: started.then(|| State::take(world)),
            scene,
        };
        Ok((fork, site))
    }

    /// The network of a run, ready to start; `scene` has the settings of the run.
    fn site(&mut self, scene: &Scene, run: &Run) -> Result<Site, Failure> {
        let base = run.base as usize;
        let kinetics = std::mem::take(&mut self.kinetics[base]);
        let mut simulation = spawn::spawn_again(scene, kinetics)?;
        simulation.world.init_resource::<ThroughTicks>();
        simulation.world.insert_resource(self.kernel);
        let recipe = match &mut self.recipes[base] {
            Some(recipe) => recipe,
            none => none.insert(Recipe::new(self.study, base, simulation.names())?),
        };
        let values = self.plan.settings(run.setting);
        recipe
            .apply(run, &values, &mut simulation)
            .map_err(Diagnostics::from)?;
        let names = simulation.names();
        let scalar = |path: &str| match names.scalars(path).as_deref() {
            Ok([address]) => Some(*address),
            _ => None,
        };
        let scalars = self.study.scalars().into_iter().map(scalar).collect();
        Ok(Site {
            simulation,
            scalars,
        })
    }

    /// Takes back a network that is no longer needed, of a run.
    pub fn leave(&mut self, site: Site, run: &Run) {
        self.kinetics[run.base as usize] = site.simulation.into_kinetics();
    }

    /// The network of a fork once more, for another worker.
    ///
    /// # Errors
    /// None that [`Runner::fork`] did not have.
    pub fn another_site(&mut self, fork: &Fork) -> Result<Site, Failure> {
        self.site(&fork.scene, &fork.run)
    }

    /// Runs a network for so much wall time, and gives the model time that goes by in a second (ms).
    ///
    /// # Errors
    /// It cannot be made, or leaves all sense.
    pub fn pace(&mut self, run: Run, wall: Duration) -> Result<f64, Failure> {
        let values = self.plan.settings(run.setting);
        let settings = Settings::of(self.study, &run, &values).map_err(Diagnostics::from)?;
        let mut scene = settings.scene(self.study);
        scene.windows.clear();
        scene.samples.clear();
        scene.duration_ms = 1e9 * scene.step_ms;
        let mut site = self.site(&scene, &run)?;
        let start = Instant::now();
        let mut to_ms = 0.0;
        while start.elapsed() < wall {
            to_ms += LOOK_MS;
            site.run_to(to_ms, self.watch)?;
        }
        Ok(to_ms / start.elapsed().as_secs_f64())
    }

    /// Runs until every rhythm is steady, then through the window before the fork; gives the time of
    /// the fork (ms).
    fn settle(
        &self,
        scene: &Scene,
        site: &mut Site,
        cycles: usize,
        within: f64,
        at_most_ms: f64,
    ) -> Result<f64, Failure> {
        let control_ms = scene.control_ms;
        let on_tick = |ms: f64| (ms / control_ms).ceil() * control_ms;
        for look in 1_u64.. {
            let now_ms = on_tick(look as f64 * LOOK_MS);
            let fork_ms = on_tick(now_ms + self.study.before_ms);
            if fork_ms > at_most_ms {
                break;
            }
            site.run_to(now_ms, self.watch)?;
            let trains = run::trains(&site.simulation);
            let steady = |rhythm: &RhythmSpec| {
                is_steady(rhythm, &trains, scene.gap_ms, now_ms, cycles, within)
            };
            if run::rhythms(scene).iter().all(steady) {
                site.follow([(fork_ms - self.study.before_ms, fork_ms)]);
                site.run_to(fork_ms, self.watch)?;
                return Ok(fork_ms);
            }
        }
        Err(Failure::Member(format!(
            "the network has not settled within {} s",
            at_most_ms / 1000.0
        )))
    }

    /// Runs the branch to which nothing is done.
    ///
    /// # Errors
    /// It was broken off.
    pub fn control(&mut self, fork: &Fork, site: &mut Site) -> Result<Observed, Failure> {
        self.branch(fork, site, &[])
    }

    /// Runs a branch: `branch` is its index among the alternatives, `values` are those of all axes.
    ///
    /// # Errors
    /// The values make no protocol, or it was broken off.
    pub fn member(
        &mut self,
        fork: &Fork,
        site: &mut Site,
        branch: usize,
        values: &[Option<Value>],
        control: &Observed,
    ) -> Result<Observed, Failure> {
        let Study {
            protocol,
            branches,
            undo,
            ..
        } = self.study;
        let alternative = branches.get(branch).map_or(&[][..], |(_, entries)| entries);
        let phase_ms = |rhythm, phase| phase_ms(self.study, &fork.scene, control, rhythm, phase);
        let entries = |timed: &mut dyn Iterator<Item = &Timed>, from_ms, until_ms| {
            let times = Times {
                fork_ms: fork.course.fork,
                from_ms,
                until_ms,
                phase_ms: &phase_ms,
            };
            axes::entries(self.study, fork.run.base as usize, timed, values, &times)
        };
        let Course {
            fork: begin,
            undo: undone,
            end,
            ..
        } = fork.course;
        let mut all = entries(&mut protocol.iter().chain(alternative), begin, undone)?;
        all.extend(entries(&mut undo.iter(), undone, end)?);
        self.branch(fork, site, &all)
    }

    /// Runs a branch in which entries act.
    fn branch(
        &mut self,
        fork: &Fork,
        site: &mut Site,
        entries: &[model::Entry],
    ) -> Result<Observed, Failure> {
        let course = &fork.course;
        site.go_to(self, fork, entries)?;
        let [_, during, after] = course.windows;
        let (mut good_ms, mut scalars) = (course.fork, [const { Vec::new() }; 3]);
        scalars[Moment::Before as usize] = match course.windows[0] {
            Some(_) => fork.scalars.clone(),
            None => Vec::new(),
        };
        let mut due = [(Moment::During, during), (Moment::After, after)]
            .into_iter()
            .filter_map(|(moment, window)| Some((moment, window?.1)))
            .peekable();
        let addresses = std::mem::take(&mut site.scalars);
        let outcome = site.simulation.run_while(|world| {
            let clock = world.resource::<Clock>();
            self.watch.ran(clock.now() - good_ms);
            good_ms = clock.now();
            while let Some((moment, _)) = due.next_if(|(_, to)| clock.reached(*to)) {
                scalars[moment as usize] = values(world, &addresses);
            }
            match self.watch.asked() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        site.scalars = addresses;
        if self.watch.asked() {
            return Err(Failure::Stopped);
        }
        Ok(self.observed(fork, site, scalars, good_ms, outcome.err()))
    }

    /// What is to be seen in a branch that ran up to `good_ms`.
    fn observed(
        &self,
        fork: &Fork,
        site: &Site,
        scalars: [Vec<Option<f64>>; 3],
        good_ms: f64,
        error: Option<RunError>,
    ) -> Observed {
        let course = &fork.course;
        let world = &site.simulation.world;
        let mut trains = fork.trains.clone();
        for spike in &world.resource::<Spikes>().list {
            if spike.t_ms <= good_ms {
                trains[spike.neuron.0 as usize].push(spike.t_ms);
            }
        }
        let followed = &world.resource::<Observers>().windows;
        let cells = fork.scene.cells.len();
        let means = |window: usize| {
            let mean = |cell| followed.get(window)?.mean(cell, good_ms);
            (0..cells).map(mean).collect::<Vec<Option<f64>>>()
        };
        let calcium = [fork.calcium.clone(), means(0), means(1)];
        let windows = self.windows(fork, &trains, &calcium, good_ms);
        let first_ms = course.windows[0].map_or(course.fork, |(from, _)| from);
        for train in &mut trains {
            train.drain(..train.partition_point(|t| *t < first_ms));
        }
        Observed {
            fork_ms: course.fork,
            undo_ms: course.undo.min(good_ms),
            end_ms: good_ms,
            windows,
            scalars,
            trains,
            error: error.map(|error| error.to_string()),
        }
    }

    /// Reports of the windows that a run up to `good_ms` has reached.
    fn windows(
        &self,
        fork: &Fork,
        trains: &[Vec<f64>],
        calcium: &[Vec<Option<f64>>; 3],
        good_ms: f64,
    ) -> [Option<WindowReport>; 3] {
        let scene = &fork.scene;
        let thresholds = self.study.criteria.thresholds();
        let rhythms = run::rhythms(scene).into_iter();
        let mut recording = Recording {
            cells: scene
                .cells
                .iter()
                .zip(trains)
                .map(|(cell, spikes)| CellTrain {
                    name: &cell.name,
                    spikes,
                })
                .collect(),
            windows: Vec::new(),
            rhythms: rhythms
                .map(|rhythm| RhythmSpec {
                    thresholds,
                    ..rhythm
                })
                .collect(),
            gap_ms: scene.gap_ms,
            record_from_ms: 0.0,
            record_to_ms: good_ms,
        };
        let mut report = |moment: Moment, label| {
            let (from_ms, to_ms) = fork.course.windows[moment as usize]?;
            // A run that ends at its end may do so a rounding of its steps earlier.
            if to_ms > good_ms + 0.5 * scene.step_ms {
                return None;
            }
            recording.windows = vec![WindowSpec {
                label,
                from_ms,
                to_ms,
                measures: crate::rhythm::Measures::Gap,
                ca_mean_um: &calcium[moment as usize],
            }];
            analyse(&recording).pop()
        };
        [
            report(Moment::Before, "before"),
            report(Moment::During, "during"),
            report(Moment::After, "after"),
        ]
    }
}

impl Site {
    /// Puts the network to the fork, with entries and windows to come.
    fn go_to(
        &mut self,
        runner: &mut Runner,
        fork: &Fork,
        entries: &[model::Entry],
    ) -> Result<(), Failure> {
        let course = &fork.course;
        match &fork.state {
            Some(state) => {
                let world = &mut self.simulation.world;
                state
                    .restore(world)
                    .map_err(|error| Failure::Member(error.to_string()))?;
                let acts = acts(&fork.scene, &self.simulation, entries)?;
                let world = &mut self.simulation.world;
                let mut protocol = world.resource_mut::<Protocol>();
                protocol.replace(acts, course.fork);
            }
            None => {
                // What acts at the start acts before anything is derived from it.
                let mut scene = fork.scene.clone();
                scene.protocol.extend(entries.iter().cloned());
                let site = runner.site(&scene, &fork.run)?;
                runner.leave(std::mem::replace(self, site), &fork.run);
            }
        }
        let world = &mut self.simulation.world;
        world.resource_mut::<Clock>().set_end(course.end);
        let [_, during, after] = course.windows;
        self.follow(during.into_iter().chain(after));
        Ok(())
    }

    /// Follows mean calcium in windows [from, to) (ms) from now on.
    fn follow(&mut self, windows: impl IntoIterator<Item = (f64, f64)>) {
        let world = &mut self.simulation.world;
        world.resource_mut::<Observers>().follow(windows);
    }

    /// Runs to a time (ms) and no further.
    fn run_to(&mut self, to_ms: f64, watch: &Watch) -> Result<(), Failure> {
        let world = &mut self.simulation.world;
        world.resource_mut::<Observers>().stops = vec![to_ms];
        if world.resource::<Clock>().reached(to_ms) {
            return Ok(());
        }
        let mut before_ms = world.resource::<Clock>().now();
        let outcome = self.simulation.run_while(|world| {
            let clock = world.resource::<Clock>();
            watch.ran(clock.now() - before_ms);
            before_ms = clock.now();
            match watch.asked() || clock.reached(to_ms) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if watch.asked() {
            return Err(Failure::Stopped);
        }
        outcome.map_err(|error| Failure::Member(error.to_string()))
    }

    /// Spike times (ms) of every cell, from the last one before a time (ms) on: a burst may begin
    /// there.
    fn trains(&self, from_ms: f64) -> Vec<Vec<f64>> {
        let mut trains = run::trains(&self.simulation);
        for train in &mut trains {
            let before = train.partition_point(|t| *t < from_ms);
            train.drain(..before.saturating_sub(1));
        }
        trains
    }

    /// The scalars that are told, as they are now.
    fn scalars(&self) -> Vec<Option<f64>> {
        values(&self.simulation.world, &self.scalars)
    }
}

fn values(world: &World, scalars: &[Option<Address>]) -> Vec<Option<f64>> {
    let value = |scalar: &Option<Address>| address::read(world, (*scalar)?);
    scalars.iter().map(value).collect()
}

/// What entries are for the engine.
fn acts(
    scene: &Scene,
    simulation: &Simulation,
    entries: &[model::Entry],
) -> Result<Vec<Entry>, Diagnostics> {
    let resolved = paths::entries(scene, simulation.names(), entries)?;
    paths::rehearse(&resolved, simulation.names(), &simulation.world)?;
    let timed = |(entry, actions): (&model::Entry, Vec<_>)| {
        let at_ms = entry.at_ms;
        actions
            .into_iter()
            .map(move |action| Entry { at_ms, action })
    };
    Ok(resolved.into_iter().flat_map(timed).collect())
}

/// When a rhythm (by its index) is at a phase (1) for the first time after the fork in the control
/// (ms): in the first whole cycle of its reference cell.
fn phase_ms(
    study: &Study,
    scene: &Scene,
    control: &Observed,
    rhythm: usize,
    phase: f64,
) -> Option<f64> {
    let (gap_ms, rhythm) = (scene.gap_ms, &scene.rhythms[rhythm]);
    let from_ms = control.fork_ms - study.before_ms;
    let train = control.trains.get(rhythm.reference)?;
    let whole = whole_bursts(train, gap_ms, from_ms, control.end_ms);
    let mut onsets = counted(&whole, rhythm.min_spikes)
        .into_iter()
        .map(|burst| burst.on_ms)
        .skip_while(|on| *on < control.fork_ms);
    let (from, to) = (onsets.next()?, onsets.next()?);
    Some(phase.mul_add(to - from, from))
}

/// Whether the last cycles of a rhythm have the same period and phases within a bound (1).
fn is_steady(
    rhythm: &RhythmSpec,
    trains: &[Vec<f64>],
    gap_ms: f64,
    now_ms: f64,
    cycles: usize,
    within: f64,
) -> bool {
    let of = |cell: usize| {
        let mut whole = bursts(&trains[cell], gap_ms);
        whole.retain(|burst| burst.off_ms <= now_ms - gap_ms);
        counted(&whole, rhythm.min_spikes)
    };
    let reference = of(rhythm.reference);
    let Some(first) = reference.len().checked_sub(cycles + 1) else {
        return false;
    };
    let reference = &reference[first..];
    // One period has no variation that is defined.
    let regular = match gap_measures(reference).period_cv {
        Some(cv) => cv <= within,
        None => cycles == 1,
    };
    let mut others = rhythm.cells.iter().filter(|c| **c != rhythm.reference);
    regular
        && others.all(|cell| {
            let phases = onset_phases(reference, &of(*cell));
            let Some(mean) = circular_mean(&phases) else {
                return false;
            };
            let near = |phase: &f64| phase_difference(mean, *phase).abs() <= within;
            phases.len() >= cycles && phases.iter().all(near)
        })
}
