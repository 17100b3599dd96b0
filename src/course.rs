//! Where a run begins, if not at the start of its scene, and the snapshots it leaves on its way.

use homarus_systems::{
    assembly::Simulation,
    observe::Observers,
    protocol::{Entry, Protocol},
    schedule::{Clock, Place},
};

use crate::{
    record::snapshot::Snapshot,
    scene::{
        Diagnostic, Diagnostics,
        model::{Integrator, Scene, Setting},
        spawn,
    },
};

/// Beginning and snapshots of a run.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// What it goes on from; `None`: the start of the scene.
    pub from: Option<Origin>,
    /// Times (ms) of the snapshots in the bundle.
    pub snapshots_ms: Vec<f64>,
}

/// A snapshot that a run goes on from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The bytes of its file.
    pub bytes: Vec<u8>,
    /// The file, as a person calls it.
    pub file: String,
    /// Scalars that are set in the state before the run goes on.
    pub set: Vec<Setting>,
}

/// A moment at which a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Time (ms) as it was asked for.
    pub t_ms: f64,
    /// Grid point.
    pub step: u64,
}

/// A time (ms) without the noise of its last digits.
fn decimal(ms: f64) -> String {
    let text = format!("{ms:.9}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

impl Course {
    /// The moments of the snapshots, in order of time.
    ///
    /// # Errors
    /// One of them is not on the grid, beyond the end or not after the beginning.
    pub fn cuts(&self, scene: &Scene) -> Result<Vec<Cut>, Diagnostics> {
        let clock = Clock::new(scene.step_ms, scene.control_ms, scene.duration_ms);
        let mut cuts = Vec::new();
        for t_ms in &self.snapshots_ms {
            cuts.push(self.cut(scene, &clock, *t_ms)?);
        }
        cuts.sort_by_key(|cut: &Cut| cut.step);
        match cuts.windows(2).find(|pair| pair[0].step == pair[1].step) {
            Some(pair) => {
                let twice = format!("`--snapshot-at {}` is given twice", pair[1].t_ms);
                Err(Diagnostic::new(twice).help("keep one of the two").into())
            }
            None => Ok(cuts),
        }
    }

    fn cut(&self, scene: &Scene, clock: &Clock, t_ms: f64) -> Result<Cut, Diagnostic> {
        let refused = |why: String, help: String| {
            Err(Diagnostic::new(format!("`--snapshot-at {t_ms}`: {why}")).help(help))
        };
        let end_ms = scene.duration_ms;
        if t_ms > end_ms && !clock.coincide(t_ms, end_ms) {
            let help = format!("give a time up to {end_ms}, or a longer --duration-ms");
            return refused(format!("the run ends at {end_ms} ms"), help);
        }
        if let Some(origin) = &self.from
            && t_ms <= origin.snapshot.t_ms
        {
            let from = origin.snapshot.t_ms;
            let why = format!("the run goes on from a snapshot at {from} ms");
            return refused(why, "give a later time".to_owned());
        }
        let at = |step: u64| decimal(step as f64 * clock.dt());
        let nearest = |[before, after]: [u64; 2]| {
            format!("the nearest are {} and {} ms", at(before), at(after))
        };
        let place = clock.place(t_ms);
        if scene.integrator == Integrator::Exponential {
            return match place {
                Place::On(step) => Ok(Cut { t_ms, step }),
                Place::Inside(step) => refused(
                    format!("the time is not on the grid of {} ms steps", clock.dt()),
                    nearest([step, step + 1]),
                ),
            };
        }
        // Steps of the other schemes end where a stretch ends: a cut elsewhere would change them.
        let before = (t_ms / clock.control()).floor() as u64;
        let ticks = [before.saturating_sub(1), before, before + 1].map(|k| clock.tick(k));
        if let Place::On(step) = place
            && ticks.contains(&step)
        {
            return Ok(Cut { t_ms, step });
        }
        let why = format!(
            "the time is not on the grid of {} ms control ticks, where the {} integrator stops",
            clock.control(),
            scene.integrator.name()
        );
        refused(why, nearest([ticks[1], ticks[2]]))
    }
}

impl Origin {
    /// Whether a scene can go on from it.
    ///
    /// # Errors
    /// It is of another scene, or lies at the end of the run or beyond it.
    pub fn check(&self, scene: &Scene) -> Result<(), Diagnostics> {
        let (file, t_ms) = (&self.file, self.snapshot.t_ms);
        if let Some(difference) = self.snapshot.scene()?.difference(scene) {
            let says = |what: Option<String>| what.unwrap_or_else(|| "not there".to_owned());
            let (there, here) = (says(difference.one), says(difference.other.clone()));
            let place = &difference.place;
            let error = Diagnostic::new(format!(
                "the snapshot `{file}` is of another scene: `{place}` is {there} in it, {here} here"
            ));
            return Err(error
                .help(self.way_out(place, difference.other.as_deref()))
                .into());
        }
        if t_ms >= scene.duration_ms {
            let error = Diagnostic::new(format!(
                "the snapshot `{file}` is at {t_ms} ms, the run would end at {} ms",
                scene.duration_ms
            ));
            return Err(error
                .help("give a later end with --duration-ms, in ms from the start of the scene")
                .into());
        }
        Ok(())
    }

    /// How to go on although the scene is another at a place.
    fn way_out(&self, place: &str, here: Option<&str>) -> String {
        if !place.contains(['.', '[']) {
            return format!("leave `{place}` as it is in the snapshot, or run from the start");
        }
        let conductance = place
            .strip_prefix("cells.")
            .and_then(|rest| rest.split_once(".gbar."));
        let set = match (conductance, here) {
            (Some((cell, channel)), Some(value)) => format!("{cell}.{channel}.gbar={value}"),
            _ => "PATH=VALUE".to_owned(),
        };
        format!(
            "go on with its own scene, and change scalars from there on: homarus run --from {} --set {set}",
            self.file
        )
    }

    /// Puts the network of a scene into its state, to go on with the scene's protocol, windows and
    /// end.
    ///
    /// # Errors
    /// It is of another network, or what is to be set cannot be set.
    pub fn begin(&self, simulation: &mut Simulation, scene: &Scene) -> Result<(), Diagnostics> {
        let world = &mut simulation.world;
        let entries: Vec<Entry> = world.resource::<Protocol>().entries().to_vec();
        let state = &self.snapshot.state;
        state.restore(world).map_err(|misfit| {
            let file = &self.file;
            Diagnostic::new(format!("the snapshot `{file}` does not fit: {misfit}"))
        })?;
        world.resource_mut::<Clock>().set_end(scene.duration_ms);
        let mut protocol = world.resource_mut::<Protocol>();
        let acted_ms = protocol.acted_ms().unwrap_or(f64::NEG_INFINITY);
        let to_come = entries.into_iter().filter(|entry| entry.at_ms > acted_ms);
        protocol.replace(to_come.collect(), state.now());
        let windows = scene.run_windows().map(|w| (w.from_ms, w.to_ms));
        world.resource_mut::<Observers>().follow(windows);
        if self.set.is_empty() {
            return Ok(());
        }
        let set = Scene {
            set: self.set.clone(),
            ..scene.clone()
        };
        spawn::set(simulation, &set)
    }
}
