//! The networks of a study: what is set, read from a table and drawn for each, on top of its base.
//!
//! A draw belongs to the seed of the study, what is drawn, the number of the network and the path of
//! the scalar, to nothing else: all bases, settings and realisations of one network share its draws,
//! and no draw depends on how many networks there are.

use homarus_systems::{
    address::{self, Address, Names, Targets},
    assembly::Simulation,
};

use crate::scene::{
    self, Scene,
    diagnostic::{Diagnostic, Diagnostics},
    draw::{self, Stream},
    paths,
    source::Place,
    spawn,
};

use super::{
    design::Run,
    model::{Amount, Assignment, Ensemble, Networks, Study, Value, Vary},
};

/// Settings of a base that runs may differ in, besides its scalars. Runs that are equal in them can
/// be made of one network that was spawned once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Base, by its index.
    pub base: usize,
    /// Seed of every random stream of the scene.
    pub seed: u64,
    /// Model time at which the base says that it ends (ms).
    pub duration_ms: f64,
    /// Integration step (ms).
    pub step_ms: f64,
    /// Control interval (ms).
    pub control_ms: f64,
}

impl Settings {
    /// The settings of a run; `values` are those of all axes.
    ///
    /// # Errors
    /// A seed that is no whole number, a step or an interval that is not above 0.
    pub fn of(study: &Study, run: &Run, values: &[Option<Value>]) -> Result<Self, Diagnostic> {
        let base = run.base as usize;
        let scene = &study.bases[base];
        let mut settings = Settings {
            base,
            seed: scene.seed,
            duration_ms: scene.duration_ms,
            step_ms: scene.step_ms,
            control_ms: scene.control_ms,
        };
        for Assignment { path, to, origin } in &study.set {
            let Some(value) = to.of(values) else {
                continue;
            };
            let time = match path.as_str() {
                "seed" => {
                    settings.seed = seed(value, origin)?;
                    continue;
                }
                "duration_ms" => &mut settings.duration_ms,
                "step_ms" => &mut settings.step_ms,
                "control_ms" => &mut settings.control_ms,
                _ => continue,
            };
            *time = value;
        }
        if let Networks::Drawn(ensemble) = &study.networks {
            for vary in &ensemble.vary {
                if let Vary::Seed { from } = vary {
                    settings.seed = from.wrapping_add(run.network);
                }
            }
        }
        Ok(settings)
    }

    /// The base with these settings.
    pub fn scene(&self, study: &Study) -> Scene {
        let mut scene = study.bases[self.base].clone();
        scene.seed = self.seed;
        scene.duration_ms = self.duration_ms;
        scene.step_ms = self.step_ms;
        scene.control_ms = self.control_ms;
        scene
    }
}

/// A seed that an axis gives.
fn seed(value: f64, origin: &Place) -> Result<u64, Diagnostic> {
    if value >= 0.0 && value.fract() == 0.0 && value <= (1_u64 << 53) as f64 {
        return Ok(value as u64);
    }
    Err(Diagnostic::at(origin, format!("`seed` cannot be {value}"))
        .label("of an axis")
        .help("a seed is a whole number: list them"))
}

/// Where the value of a scalar comes from.
enum Origin<'s> {
    /// Set to an amount.
    Set(Amount),
    /// A column of the table.
    Column(usize),
    /// Drawn for each network, or for each run of one.
    Drawn(&'s Vary, Of),
}

/// What a draw is made for.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Network,
    Realisation,
}

/// Scalars that get their values in one way.
struct Step<'s> {
    origin: Origin<'s>,
    targets: Targets,
    /// What keys the draw for each of them, those in bulk behind the others.
    keys: Vec<u64>,
    place: Place,
}

/// What is done to the scalars of a base to make each of its networks; its paths are resolved once.
pub struct Recipe<'s> {
    study: &'s Study,
    scene: &'s Scene,
    steps: Vec<Step<'s>>,
}

impl<'s> Recipe<'s> {
    /// The recipe for networks of a base (by its index) with these names.
    ///
    /// # Errors
    /// A path that names nothing.
    pub fn new(study: &'s Study, base: usize, names: &Names) -> Result<Self, Diagnostics> {
        let mut recipe = Recipe {
            study,
            scene: &study.bases[base],
            steps: Vec::new(),
        };
        for Assignment { path, to, origin } in &study.set {
            if path.contains('.') && scene::of_population(path).is_none() {
                recipe.step(Origin::Set(to.clone()), (path, origin), names)?;
            }
        }
        match &study.networks {
            Networks::Drawn(ensemble) => recipe.draws(ensemble, Of::Network, names)?,
            Networks::Table { columns, .. } => {
                let nowhere = Place::default();
                for (k, column) in columns.iter().enumerate() {
                    recipe.step(Origin::Column(k), (column, &nowhere), names)?;
                }
            }
        }
        if let Some(ensemble) = &study.realisations {
            recipe.draws(ensemble, Of::Realisation, names)?;
        }
        Ok(recipe)
    }

    fn draws(&mut self, ensemble: &'s Ensemble, of: Of, names: &Names) -> Result<(), Diagnostics> {
        for vary in &ensemble.vary {
            match vary {
                Vary::Seed { .. } => {}
                Vary::Relative { path, origin, .. }
                | Vary::Absolute { path, origin, .. }
                | Vary::Uniform { path, origin, .. } => {
                    self.step(Origin::Drawn(vary, of), (path, origin), names)?;
                }
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        origin: Origin<'s>,
        (path, place): (&str, &Place),
        names: &Names,
    ) -> Result<(), Diagnostics> {
        let targets = paths::targets(names, path, place)?;
        let mut keys = Vec::new();
        if let Origin::Drawn(vary, of) = origin {
            // A second draw of one sort for a scalar is another draw.
            let same = |step: &&Step| match step.origin {
                Origin::Drawn(known, known_of) => known_of == of && word(known) == word(vary),
                _ => false,
            };
            let earlier: Vec<&Targets> =
                self.steps.iter().filter(same).map(|s| &s.targets).collect();
            for address in targets.clone().addresses() {
                let before = earlier
                    .iter()
                    .filter(|targets| (**targets).clone().addresses().contains(&address))
                    .count();
                let what = match of {
                    Of::Network => "network",
                    Of::Realisation => "realisation",
                };
                let name = names.path(address);
                keys.push(draw::place(&format!(
                    "{what} {} {before} {name}",
                    word(vary)
                )));
            }
        }
        self.steps.push(Step {
            origin,
            targets,
            keys,
            place: place.clone(),
        });
        Ok(())
    }

    /// Gives a network that was spawned with the [`Settings`] of a run, and has not started, the
    /// scalars of the run; `values` are those of all axes.
    ///
    /// # Errors
    /// A value that a scalar may not start at.
    pub fn apply(
        &self,
        run: &Run,
        values: &[Option<Value>],
        simulation: &mut Simulation,
    ) -> Result<(), Diagnostic> {
        for step in &self.steps {
            let value = |old: f64, key: usize| self.value(step, run, values, old, key);
            for (k, address) in step.targets.single.iter().enumerate() {
                let old = address::read(&simulation.world, *address).unwrap_or_default();
                let new = value(old, k);
                let refused = paths::start_refusal(self.scene, *address, new);
                let fine = match refused {
                    Some(help) => Err(help),
                    None => simulation
                        .preset(*address, new)
                        .map_err(|error| error.to_string()),
                };
                fine.map_err(|help| refusal(&simulation.names().path(*address), new, step, help))?;
            }
            let mut first = step.targets.single.len();
            for target in &step.targets.bulk {
                let mut refused = None;
                let written = address::write_bulk(&mut simulation.world, target, |k, old| {
                    let new = value(old, first + k);
                    let edge = Address::Bulk(target.bulk, target.edges[k] as usize, target.scalar);
                    if let Some(help) = paths::start_refusal(self.scene, edge, new) {
                        refused.get_or_insert((edge, new, help));
                    }
                    new
                });
                if let Some((edge, new, help)) = refused {
                    return Err(refusal(&simulation.names().path(edge), new, step, help));
                }
                written.map_err(|error| {
                    Diagnostic::at(&step.place, format!("`{}` cannot be set", target.path))
                        .label(error.to_string())
                })?;
                first += target.edges.len();
            }
        }
        Ok(())
    }

    /// The new value of a scalar.
    fn value(&self, step: &Step, run: &Run, values: &[Option<Value>], old: f64, key: usize) -> f64 {
        let (vary, of) = match &step.origin {
            Origin::Set(to) => return to.of(values).unwrap_or(old),
            Origin::Column(column) => {
                let Networks::Table { rows, .. } = &self.study.networks else {
                    return old;
                };
                return rows[run.network as usize][*column];
            }
            Origin::Drawn(vary, of) => (vary, of),
        };
        let mut stream = Stream::keyed(self.study.seed, step.keys[key]);
        stream.seek(match of {
            Of::Network => run.network,
            Of::Realisation => (run.network << 32) | run.realisation,
        });
        match vary {
            Vary::Seed { .. } => old,
            Vary::Relative { by, .. } => {
                old * by
                    .of(values)
                    .unwrap_or(0.0)
                    .mul_add(stream.uniform(-1.0, 1.0), 1.0)
            }
            Vary::Absolute { by, .. } => by
                .of(values)
                .unwrap_or(0.0)
                .mul_add(stream.uniform(-1.0, 1.0), old),
            Vary::Uniform { range, .. } => stream.uniform(range.start, range.end),
        }
    }
}

/// The word for a sort of draw.
fn word(vary: &Vary) -> &'static str {
    match vary {
        Vary::Seed { .. } => "seed",
        Vary::Relative { .. } => "relative",
        Vary::Absolute { .. } => "absolute",
        Vary::Uniform { .. } => "uniform",
    }
}

/// The error for a value that a scalar may not start at.
fn refusal(path: &str, value: f64, step: &Step, help: String) -> Diagnostic {
    let message = format!("`{path}` cannot be {value}");
    match step.place.source().text().is_empty() {
        true => Diagnostic::new(message),
        false => Diagnostic::at(&step.place, message).label("given here"),
    }
    .help(help)
}

/// A network of a run: its base with the settings of the run, spawned and given its scalars. A run of
/// many members spawns once for each [`Settings`] and applies the [`Recipe`] itself.
///
/// # Errors
/// A network that cannot be built, a value that a scalar may not start at.
pub fn spawn(
    study: &Study,
    run: &Run,
    values: &[Option<Value>],
) -> Result<Simulation, Diagnostics> {
    let settings = Settings::of(study, run, values)?;
    let mut simulation = spawn::spawn(&settings.scene(study))?;
    let recipe = Recipe::new(study, settings.base, &simulation.names().clone())?;
    recipe.apply(run, values, &mut simulation)?;
    Ok(simulation)
}
