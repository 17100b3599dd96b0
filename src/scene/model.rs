//! A checked scene: everything resolved to plain data, in scene order, ready to be spawned.

pub use homarus_systems::{
    assembly::IntegralStart, channels::NegativeConductance, homeostasis::Settings,
    neuromodulation::Gains, schedule::Integrator,
};

use std::{collections::HashSet, fmt, ops::Range, sync::Arc};

use glam::DVec3;
use homarus_systems::{
    definition::{CellDefinition, Start, SynapseKind},
    kinetics::Expression,
};

use super::{generate, source::Place, space::OfDistance};

/// A network, its protocol and what is to be observed.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The name it gives itself, or else its file name without extension or its shipped name.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// Where the model comes from.
    pub source: String,
    /// Model time at which the run ends (ms).
    pub duration_ms: f64,
    /// Integration step (ms).
    pub step_ms: f64,
    /// Where the step is written.
    pub step_origin: Place,
    /// Control interval of homeostasis and controllers (ms).
    pub control_ms: f64,
    /// Seed of every random stream.
    pub seed: u64,
    /// Integrator.
    pub integrator: Integrator,
    /// What a regulated conductance does below zero.
    pub negative_conductance: NegativeConductance,
    /// How controllers' integrals start.
    pub integrator_start: IntegralStart,
    /// Spike threshold (mV), default +10; detection is re-armed below `rearm_mv`.
    pub threshold_mv: f64,
    /// Re-arming voltage (mV), default 0.
    pub rearm_mv: f64,
    /// Silence that separates two bursts (ms), default 100.
    pub gap_ms: f64,
    /// Cell types used, each once, by the name the cells give.
    pub cell_types: Vec<CellDefinition>,
    /// Synapse kinds used, each once.
    pub kinds: Vec<SynapseKind>,
    /// Cells in scene order.
    pub cells: Vec<Cell>,
    /// Cells that come from one description.
    pub populations: Vec<Population>,
    /// Networks that are there several times.
    pub copies: Vec<Copies>,
    /// Groups in scene order: name and members (indices into `cells`).
    pub groups: Vec<(String, Vec<usize>)>,
    /// Edges in scene order.
    pub edges: Vec<Edge>,
    /// Edges in bulk: those of copied networks, then those of generators, each in scene order.
    pub bulk: Vec<Bulk>,
    /// Scalars set once the network is built and before anything is derived from start values.
    pub set: Vec<Setting>,
    /// Protocol entries in scene order (not yet sorted by time).
    pub protocol: Vec<Entry>,
    /// Observation windows in scene order.
    pub windows: Vec<Window>,
    /// Rhythms; never empty once checked.
    pub rhythms: Vec<Rhythm>,
    /// What is sampled.
    pub samples: Vec<Samples>,
    /// What the scene must show.
    pub expect: Vec<Expectation>,
}

/// Cells up to which a person reads a line each.
pub const LISTED_CELLS: usize = 200;

impl Scene {
    /// Number of edges, those in bulk included.
    pub fn edge_count(&self) -> usize {
        let bulk: u64 = self.bulk.iter().map(|bulk| bulk.count(self)).sum();
        self.edges.len() + usize::try_from(bulk).unwrap_or(usize::MAX)
    }

    /// Windows of the run itself.
    pub fn run_windows(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().filter(|w| w.probe_at_ms.is_none())
    }

    /// Windows that are probes.
    pub fn probes(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().filter(|w| w.probe_at_ms.is_some())
    }

    /// Channels of all cells, each name once.
    pub fn channel_names(&self) -> Vec<&str> {
        let mut channels: Vec<&str> = Vec::new();
        for (name, _) in self.cell_types.iter().flat_map(|cell| &cell.channels) {
            if !channels.contains(&name.as_str()) {
                channels.push(name);
            }
        }
        channels
    }

    /// The name of a cell in its network.
    pub fn member(&self, cell: usize) -> &str {
        let name = &self.cells[cell].name;
        name.rsplit_once('/').map_or(name, |(_, member)| member)
    }

    /// Populations, and each cell of copied networks over all copies, with their cells.
    pub fn alike(&self) -> Vec<(String, Vec<usize>)> {
        let populations = self.populations.iter().map(Population::group);
        let copies = self.copies.iter().flat_map(|copies| {
            copies.copy(0).map(|cell| {
                let every = copies.cells.clone().skip(cell - copies.cells.start);
                let name = format!("{}/{}", copies.name, self.member(cell));
                (name, every.step_by(copies.size()).collect())
            })
        });
        populations.chain(copies).collect()
    }

    /// What windows are told as besides their cells, with the cells of each: populations; where there
    /// are more cells than a person reads, all cells, cells that are alike, and the groups too.
    pub fn told(&self) -> Vec<(String, Vec<usize>)> {
        if self.cells.len() <= LISTED_CELLS {
            return self.populations.iter().map(Population::group).collect();
        }
        let mut told = self.alike();
        told.extend(self.groups.iter().cloned());
        if !told.iter().any(|(name, _)| name == "cells") {
            told.insert(0, ("cells".to_owned(), (0..self.cells.len()).collect()));
        }
        told
    }

    /// Selectors that name cells in their order: in a long list those of a whole population, of all
    /// copies of a network, or of one cell in all of them have one for all.
    pub fn names_of(&self, cells: &[usize]) -> Vec<String> {
        /// Cells up to which each has its own.
        const SHORT: usize = 12;
        let mut wholes: Vec<(String, Vec<usize>)> = Vec::new();
        if cells.len() > SHORT {
            let copies = self.copies.iter();
            wholes.extend(copies.map(|c| (c.name.clone(), c.cells.clone().collect())));
            wholes.extend(self.alike());
        }
        let (mut names, mut rest) = (Vec::new(), cells);
        while let [first, others @ ..] = rest {
            match wholes.iter().find(|(_, whole)| rest.starts_with(whole)) {
                Some((name, whole)) => {
                    names.push(name.clone());
                    rest = &rest[whole.len()..];
                }
                None => {
                    names.push(self.cells[*first].name.to_string());
                    rest = others;
                }
            }
        }
        names
    }

    /// Groups of any sort, with their members: populations, copies of networks, and what the scene
    /// calls groups.
    pub fn all_groups(&self) -> Vec<(String, Vec<usize>)> {
        let populations = self.populations.iter().map(Population::group);
        let copies = self.copies.iter();
        let copies = copies.map(|copies| (copies.name.clone(), copies.cells.clone().collect()));
        populations
            .chain(copies)
            .chain(self.groups.iter().cloned())
            .collect()
    }
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Name, unique in the scene.
    pub name: Arc<str>,
    /// Index into [`Scene::cell_types`].
    pub cell_type: usize,
    /// Kinetic parameters that differ from the channel's default: (channel, parameter, value).
    pub parameters: Arc<[(String, String, f64)]>,
    /// Maximal conductances (mS/cm²) by lane of the cell type, before they are jittered; 0 where the
    /// scene names none.
    pub gbar: Vec<f64>,
    /// How some of the conductances are drawn.
    pub sampler: Option<Arc<Sampler>>,
    /// The cell whose random numbers they are drawn with; `None`: its own.
    pub drawn_as: Option<Arc<str>>,
    /// Relative half-width of the uniform jitter of each conductance (1), by lane.
    pub jitter: Option<Arc<[f64]>>,
    /// Applied current (µA/cm²).
    pub current: f64,
    /// Start state, the cell type's defaults merged in.
    pub start: Start,
    /// Range that V(0) is drawn from (mV), in place of that of `start`.
    pub start_range: Option<(f64, f64)>,
    /// Membrane area (cm²); the cell's own or that of its type.
    pub area: Option<f64>,
    /// Where it stands (µm), where a layout begins from which it is moved.
    pub position: Option<DVec3>,
    /// Calcium homeostasis, if any.
    pub homeostat: Option<Homeostat>,
    /// Neuromodulation controller, if any.
    pub controller: Option<Controller>,
    /// Where it is written.
    pub origin: Place,
}

/// How conductances of cells are drawn.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// What is drawn, in scene order.
    pub draws: Vec<Draw>,
    /// Draws (places in their list) in an order in which each comes after what it is a function of.
    pub order: Vec<usize>,
    /// Compensations, one after the other.
    pub solves: Vec<Solve>,
    /// A draw for which one of these holds is thrown away.
    pub reject: Vec<Condition>,
}

/// A conductance that is drawn, or a number that others are functions of.
#[derive(Clone, Debug)]
pub struct Draw {
    /// Name: of the channel, or its own.
    pub name: String,
    /// Lane of the channel; `None`: no conductance.
    pub lane: Option<usize>,
    /// Its value (mS/cm² for a conductance).
    pub value: Value,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// As it is.
    Number(f64),
    /// Drawn.
    Distribution(Distribution),
    /// A function of other draws and of conductances (mS/cm²), by their names.
    Function(Expression),
}

/// Conductances that are solved for so that dynamic input conductances come out as wanted.
#[derive(Clone, Debug)]
pub struct Solve {
    /// Two or three channels (lanes).
    pub lanes: Vec<usize>,
    /// Wanted g_f (NaN for two channels), g_s and g_u.
    pub targets: [f64; 3],
    /// Threshold voltage (mV); `None`: by the cell type's rule.
    pub v_th: Option<f64>,
    /// What becomes of a cell with a negative solution.
    pub if_negative: IfNegative,
    /// Where it is written.
    pub origin: Place,
}

/// What becomes of a cell whose compensation has a negative solution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfNegative {
    /// The scene is refused.
    Refuse,
    /// The cell is drawn again.
    Redraw,
    /// The cell keeps it.
    Keep,
}

/// A comparison of conductances (mS/cm²) and draws.
#[derive(Clone, Debug)]
pub struct Condition {
    /// As it is written.
    pub text: String,
    /// Not 0 where it holds.
    pub holds: Expression,
    /// Where it is written.
    pub origin: Place,
}

/// Calcium homeostasis of one cell.
#[derive(Clone, Debug)]
pub struct Homeostat {
    /// Regulated channels (lane numbers), in lane order.
    pub channels: Vec<usize>,
    /// Target and time constants.
    pub settings: Settings,
    /// Whether it runs from the start.
    pub on: bool,
}

/// Neuromodulation controller of one cell.
#[derive(Clone, Debug)]
pub struct Controller {
    /// The two modulated channels (lane numbers).
    pub channels: [usize; 2],
    /// Target slow DIC.
    pub g_s: f64,
    /// Target ultraslow DIC.
    pub g_u: f64,
    /// Gains and rates.
    pub gains: Gains,
    /// Threshold voltage (mV); `None`: by the cell type's rule.
    pub v_th: Option<f64>,
    /// Whether it runs from the start.
    pub on: bool,
    /// Where it is written.
    pub origin: Place,
}

/// One edge.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Presynaptic cell (index).
    pub pre: usize,
    /// Postsynaptic cell (index).
    pub post: usize,
    /// Index into [`Scene::kinds`].
    pub kind: usize,
    /// Name, needed where several edges of one kind join a pair.
    pub name: Option<String>,
    /// Maximal conductance.
    pub g: Conductance,
    /// Parameters that differ from the kind's defaults.
    pub parameters: Vec<(String, f64)>,
    /// Start value of s, if not the kind's.
    pub s: Option<f64>,
    /// Where it is written.
    pub origin: Place,
}

/// Cells that come from one description, numbered from 0.
#[derive(Clone, Debug)]
pub struct Population {
    /// Name: cell k is called `NAME[k]`.
    pub name: String,
    /// Cells (indices).
    pub cells: Range<usize>,
    /// How they are laid out; `None`: all in one place, if in any.
    pub layout: Option<Layout>,
    /// Whether the conductances of each come from a table.
    pub tabulated: bool,
}

impl Population {
    /// Name and cells (indices).
    pub fn group(&self) -> (String, Vec<usize>) {
        (self.name.clone(), self.cells.clone().collect())
    }
}

/// How cells of a population, or copies of a network, are laid out in space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layout {
    /// Along x.
    Line {
        /// Distance from one to the next (µm).
        spacing: f64,
    },
    /// Row by row along x and y.
    Grid {
        /// Cells of a row.
        columns: u64,
        /// Distance of neighbours (µm).
        spacing: f64,
    },
    /// Anywhere, uniformly.
    Box {
        /// Lengths along x, y and z (µm).
        size: DVec3,
    },
}

/// A network that is there several times, cell for cell and edge for edge.
#[derive(Clone, Debug)]
pub struct Copies {
    /// Name: copy k is called `NAME[k]`, its cells `NAME[k]/CELL`.
    pub name: String,
    /// Number of copies.
    pub count: usize,
    /// Cells of all copies (indices), copy after copy.
    pub cells: Range<usize>,
    /// Edges of all copies (indices into [`Scene::bulk`]), one bulk an edge of the network.
    pub bulk: Range<usize>,
    /// Where the origin of the first copy is (µm).
    pub position: Option<DVec3>,
    /// How the copies are laid out.
    pub layout: Option<Layout>,
}

impl Copies {
    /// Number of cells of one copy.
    pub fn size(&self) -> usize {
        self.cells.len() / self.count
    }

    /// Cells of one copy (indices).
    pub fn copy(&self, k: usize) -> Range<usize> {
        let first = self.cells.start + k * self.size();
        first..first + self.size()
    }
}

/// Edges in bulk: of one kind and one set of parameters, made by a rule.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// Name of the generator; `None`: an edge of a copied network.
    pub generator: Option<String>,
    /// Name of each of the edges, needed where several edges of one kind join a pair.
    pub label: Option<String>,
    /// Which cells are joined.
    pub rule: Rule,
    /// Presynaptic cells.
    pub pre: Ends,
    /// Postsynaptic cells.
    pub post: Ends,
    /// Index into [`Scene::kinds`].
    pub kind: usize,
    /// Weights.
    pub g: Weight,
    /// Parameters that differ from the kind's defaults.
    pub parameters: Vec<(String, f64)>,
    /// Start value of s, if not the kind's.
    pub s: Option<f64>,
    /// Where it is written.
    pub origin: Place,
}

impl Bulk {
    /// Number of edges, in a scene that has them.
    pub fn count(&self, scene: &Scene) -> u64 {
        let (pre, post) = (self.pre.cells.len() as u64, self.post.cells.len() as u64);
        match self.rule {
            Rule::Ring | Rule::OneToOne | Rule::Listed => pre,
            Rule::Chain => pre.saturating_sub(1),
            Rule::AllToAll => pre * post - self.common(),
            Rule::Random { in_degree } => post * u64::from(in_degree),
            Rule::Within { .. } => generate::count(scene, self),
        }
    }

    /// Number of cells that are on both sides.
    fn common(&self) -> u64 {
        let pre: HashSet<u32> = self.pre.cells.iter().copied().collect();
        let post = self.post.cells.iter();
        post.filter(|cell| pre.contains(cell)).count() as u64
    }
}

/// Cells on one side of edges in bulk.
#[derive(Clone, Debug)]
pub struct Ends {
    /// How the scene names them; empty where the rule lists them.
    pub selector: String,
    /// Cells (indices), in the order in which the rule goes through them.
    pub cells: Arc<Vec<u32>>,
}

/// Which cells a generator joins.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Each to the next, the last to the first.
    Ring,
    /// Each to the next.
    Chain,
    /// Each to the one in the same place.
    OneToOne,
    /// Each to all, but not to itself.
    AllToAll,
    /// To each the same number of different others, chosen at random.
    Random {
        /// Edges into each postsynaptic cell.
        in_degree: u32,
    },
    /// Each to those close to it, but not to itself.
    Within {
        /// Largest distance (µm).
        radius: f64,
        /// Probability of an edge by the distance; `None`: always one.
        probability: Option<OfDistance>,
    },
    /// As a table lists them, row by row.
    Listed,
}

/// Weights of edges in bulk.
#[derive(Clone, Debug, PartialEq)]
pub enum Weight {
    /// The same for all.
    Constant(Conductance),
    /// Drawn for each (mS/cm²).
    Drawn(Distribution),
    /// By the distance of the two cells (mS/cm²).
    OfDistance(OfDistance),
    /// As listed (mS/cm²).
    Listed(Vec<f64>),
}

/// A distribution of numbers that are not negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Uniform in [from, to).
    Uniform {
        /// Least number.
        from: f64,
        /// Upper end, exclusive.
        to: f64,
    },
    /// Normal, the part below 0 cut off.
    Normal {
        /// Mean of the whole bell.
        mean: f64,
        /// Standard deviation of the whole bell.
        sd: f64,
    },
    /// Log-normal.
    LogNormal {
        /// Median.
        median: f64,
        /// Standard deviation of the logarithm (1).
        sigma: f64,
    },
}

/// Conductance of an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Conductance {
    /// Density of the postsynaptic membrane (mS/cm²).
    Density(f64),
    /// Absolute (nS).
    Absolute(f64),
}

/// A current from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Current {
    /// Density (µA/cm²).
    Density(f64),
    /// Absolute (nA); the cell's area turns it into a density.
    Absolute(f64),
}

/// A scalar with a value of its own.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Scalar, or a glob.
    pub path: String,
    /// Value, in the scalar's unit.
    pub value: f64,
    /// Where the path is written.
    pub origin: Place,
}

/// Scalars that are read at regular times.
#[derive(Clone, Debug)]
pub struct Samples {
    /// Scalars or globs, and where each is written.
    pub paths: Vec<(String, Place)>,
    /// Interval (ms): sample k is taken at k times this, the first at the start.
    pub every_ms: f64,
}

/// A timed intervention.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When (ms).
    pub at_ms: f64,
    /// What.
    pub action: Action,
    /// Where the path of the action is written.
    pub origin: Place,
}

/// What a protocol entry does. Paths may be globs; they are resolved against the built network.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write one scalar (or each scalar a glob matches).
    Set {
        /// Scalars.
        path: String,
        /// New value, in the scalar's unit.
        to: f64,
    },
    /// Multiply.
    Scale {
        /// Scalars.
        path: String,
        /// Factor.
        by: f64,
    },
    /// Move linearly to `to` over `over_ms`.
    Ramp {
        /// Scalars.
        path: String,
        /// Value at the end, in the scalar's unit.
        to: f64,
        /// Duration (ms).
        over_ms: f64,
    },
    /// Block channels.
    Block {
        /// Channels, `CELL.CHANNEL`.
        path: String,
        /// Blocked fraction of the current, 0..1.
        by: f64,
        /// Whether compensation solves of controllers know of the block.
        controller_sees: bool,
    },
    /// Cut an edge, or all edges of a cell.
    Cut {
        /// Edges or cells.
        path: String,
    },
    /// Undo a cut.
    Restore {
        /// Edges or cells.
        path: String,
    },
    /// Add a current to cells for a time.
    Current {
        /// Cells.
        cells: String,
        /// Added current.
        amplitude: Current,
        /// Duration (ms).
        for_ms: f64,
    },
    /// Move modulation targets.
    Modulate {
        /// Cells.
        cells: String,
        /// New slow target; `None`: unchanged.
        g_s: Option<f64>,
        /// New ultraslow target; `None`: unchanged.
        g_u: Option<f64>,
    },
    /// Overwrite conductances, the regulators' own included.
    Overwrite {
        /// Cells.
        cells: String,
        /// New conductances (mS/cm²) by channel.
        gbar: Vec<(String, f64)>,
        /// Whether the mRNA of homeostasis is overwritten too.
        mrna: bool,
    },
    /// Per-cell DIC solve of two channels for given targets, then as `Overwrite`.
    Compensate {
        /// Cells.
        cells: String,
        /// The channels that are solved for.
        channels: [String; 2],
        /// Slow target.
        g_s: f64,
        /// Ultraslow target.
        g_u: f64,
        /// Whether the mRNA of homeostasis is overwritten too.
        mrna: bool,
    },
    /// Switch homeostasis or controller on or off.
    Switch {
        /// Which of the two.
        regulator: Regulator,
        /// Cells or single channels.
        path: String,
        /// On or off.
        on: bool,
    },
    /// Overwrite conductances by what they were at an earlier time of the run.
    Recall {
        /// Cells or single channels.
        path: String,
        /// The earlier time (ms).
        from_ms: f64,
        /// Whether the mRNA of homeostasis is overwritten too.
        mrna: bool,
    },
    /// Start regulation anew from the present conductances: time constants of homeostasis, mRNA,
    /// pools and preloaded integrals.
    Rebase {
        /// Cells.
        cells: String,
    },
    /// Reset the membrane state: V, Ca, gates at steady state.
    Reset {
        /// Cells.
        cells: String,
        /// Voltage (mV); `None`: the cell's start voltage.
        v: Option<f64>,
        /// Calcium (µM); `None`: its equilibrium for the voltage.
        ca: Option<f64>,
    },
}

impl Action {
    /// The path or glob the action is applied to.
    pub fn path(&self) -> &str {
        match self {
            Self::Set { path, .. }
            | Self::Scale { path, .. }
            | Self::Ramp { path, .. }
            | Self::Block { path, .. }
            | Self::Cut { path }
            | Self::Restore { path }
            | Self::Recall { path, .. }
            | Self::Switch { path, .. } => path,
            Self::Current { cells, .. }
            | Self::Modulate { cells, .. }
            | Self::Overwrite { cells, .. }
            | Self::Compensate { cells, .. }
            | Self::Rebase { cells }
            | Self::Reset { cells, .. } => cells,
        }
    }
}

/// Which regulator a [`Action::Switch`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regulator {
    /// Calcium homeostasis.
    Homeostat,
    /// Neuromodulation controller.
    Controller,
}

impl Regulator {
    /// The field of a cell and of a protocol entry that is about it.
    pub fn field(self) -> &'static str {
        match self {
            Self::Homeostat => "homeostat",
            Self::Controller => "controller",
        }
    }
}

/// An observation window [from, to).
#[derive(Clone, Debug)]
pub struct Window {
    /// Label, unique.
    pub label: String,
    /// Start (ms); of a probe in the time of its own run.
    pub from_ms: f64,
    /// End (ms), exclusive; of a probe that of its own run.
    pub to_ms: f64,
    /// Whether frequency and burstiness are the published ones.
    pub published: bool,
    /// When the neurons of a probe are copied (ms); `None`: a window of the run itself.
    pub probe_at_ms: Option<f64>,
    /// Where it is written.
    pub origin: Place,
}

/// A named rhythm.
#[derive(Clone, Debug)]
pub struct Rhythm {
    /// Name, unique.
    pub name: String,
    /// Cells (indices).
    pub cells: Vec<usize>,
    /// Reference cell (index).
    pub reference: usize,
    /// Bursts with fewer spikes do not count.
    pub min_spikes: usize,
    /// Expected order of onset phases (indices), if any.
    pub order: Option<Vec<usize>>,
    /// Where it is written.
    pub origin: Place,
}

/// A measured quantity and what is wanted of it.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// A measure of the run's JSON, or a scalar of the network.
    pub quantity: String,
    /// Whether it is a scalar.
    pub is_scalar: bool,
    /// When a scalar is read (ms); `None`: at the end.
    pub at_ms: Option<f64>,
    /// How several values become one.
    pub take: Take,
    /// What is wanted.
    pub wanted: Wanted,
    /// Least share of the values that must be as wanted (1).
    pub fraction: f64,
    /// Whether a measure that is not defined, as the burstiness of a cell that does not burst, is as
    /// wanted too.
    pub or_undefined: bool,
    /// Where the wanted value comes from.
    pub source: Option<String>,
    /// What a person should know.
    pub note: Option<String>,
    /// Where the quantity is written.
    pub origin: Place,
}

impl Expectation {
    /// Whether it can be judged by a run with these windows that ends at `end_ms`.
    pub fn within(&self, windows: &[&str], end_ms: f64) -> bool {
        if self.is_scalar {
            return self.at_ms.is_none_or(|at| at <= end_ms);
        }
        let roots = ["windows.", "populations."];
        let rest = roots
            .iter()
            .find_map(|root| self.quantity.strip_prefix(root));
        let starts = |rest: &str, label: &str| {
            let after = rest.strip_prefix(label);
            after.is_some_and(|after| after.starts_with('.'))
        };
        rest.is_none_or(|rest| windows.iter().any(|label| starts(rest, label)))
    }
}

impl Expectation {
    /// The quantity in words, with how its values are taken.
    pub fn about(&self) -> String {
        let take = match &self.take {
            Take::Each => String::new(),
            Take::Mean => "mean of ".to_owned(),
            Take::Min => "least of ".to_owned(),
            Take::Max => "greatest of ".to_owned(),
            Take::Quantile(q) => format!("quantile {q} of "),
            Take::Fraction(word) => format!("share of {word} in "),
        };
        let at = self
            .at_ms
            .map_or_else(String::new, |at| format!(" at {at} ms"));
        let share = match self.fraction {
            1.0 => String::new(),
            share => format!(" (in {} % of them)", (share * 1e8).round() / 1e6),
        };
        let undefined = if self.or_undefined {
            ", if defined"
        } else {
            ""
        };
        format!("{take}{}{at}{share}{undefined}", self.quantity)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Value(value, near) => write!(f, "{value} {near}"),
            Self::Range(Some(least), Some(most)) => write!(f, "{least} to {most}"),
            Self::Range(Some(least), None) => write!(f, "at least {least}"),
            Self::Range(None, Some(most)) => write!(f, "at most {most}"),
            Self::Range(None, None) => Ok(()),
            Self::Cells(values, near) => write!(f, "{} values {near}", values.len()),
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(reach) => write!(f, "± {reach}"),
            // 100·0.07 is 7.000000000000001.
            Self::Relative(part) => write!(f, "± {} %", (part * 1e8).round() / 1e6),
        }
    }
}

/// How the values of several cells are judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Take {
    /// One by one.
    Each,
    /// By their mean.
    Mean,
    /// By the least.
    Min,
    /// By the greatest.
    Max,
    /// By a quantile (1), linear between two values.
    Quantile(f64),
    /// By the share of them that is this word.
    Fraction(String),
}

/// What is wanted of a quantity, in its unit.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// A word.
    Word(String),
    /// A value.
    Value(f64, Tolerance),
    /// At least and at most.
    Range(Option<f64>, Option<f64>),
    /// A value for each cell.
    Cells(Vec<(String, f64)>, Tolerance),
}

/// How far a value may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// In its unit.
    Absolute(f64),
    /// Relative to the wanted value (1).
    Relative(f64),
}

impl Tolerance {
    /// Whether `found` is near enough to `wanted`.
    pub fn holds(self, found: f64, wanted: f64) -> bool {
        let reach = match self {
            Self::Absolute(reach) => reach,
            Self::Relative(part) => part * wanted.abs(),
        };
        (found - wanted).abs() <= reach
    }
}
