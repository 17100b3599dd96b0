//! A checked study: base scenes, the networks that are made of them, what is done to each, and what
//! is to be told of it.
//!
//! A network runs undisturbed until the *fork*. From its state there every *branch* starts: the
//! *control*, to which nothing is done, and one for each point of the design. What an axis acts on
//! decides where it belongs: one that `set` or `networks` refers to makes other networks, one that
//! only the protocol refers to makes other branches of one network.
//!
//! ```text
//!            settle_ms                 fork      during          undo       after
//! 0 |----------------[ before_ms ]-----|--skip--[ for_ms ]--------|--skip--[ for_ms ]
//! ```

use std::{ops::Range, path::PathBuf};

use crate::scene::{Scene, source::Place, syntax::Node};

/// A study.
#[derive(Clone, Debug)]
pub struct Study {
    /// Its file name without extension, or the name under which it ships.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// Where the question comes from.
    pub source: String,
    /// The file as it is, but for byte order mark and line ends; without what the command line sets.
    pub text: String,
    /// The scenes that networks are made of; their own protocol and windows end with the fork.
    pub bases: Vec<Scene>,
    /// Scalars and settings of every base, before the start.
    pub set: Vec<Assignment>,
    /// How a base becomes many networks.
    pub networks: Networks,
    /// How a network is run several times, judged together.
    pub realisations: Option<Ensemble>,
    /// Seed of the draws of networks, realisations and random designs.
    pub seed: u64,
    /// Time of the fork.
    pub settle: Settle,
    /// Length of the window before the fork (ms); 0: there is none.
    pub before_ms: f64,
    /// What is varied, in the order of the file; the last one goes round fastest.
    pub axes: Vec<Axis>,
    /// How points are chosen from the axes.
    pub design: Design,
    /// What is done in every branch but the control, in times from the fork.
    pub protocol: Vec<Timed>,
    /// Alternatives, added to `protocol`; more than none make an axis called `branch`, which goes
    /// round slower than all others.
    pub branches: Vec<(String, Vec<Timed>)>,
    /// The window while it is done.
    pub during: Window,
    /// What undoes it, in times from the end of `during`.
    pub undo: Vec<Timed>,
    /// The window after it was undone.
    pub after: Option<Window>,
    /// When a rhythm counts as kept.
    pub criteria: Criteria,
    /// Measures and scalars told of each window besides those of the rhythms.
    pub measures: Vec<Measure>,
    /// Rules whose truth is told of each member.
    pub outcomes: Vec<Outcome>,
    /// The phase response that is measured, if any.
    pub response: Option<Response>,
    /// The return map of phase lags that is made, if any.
    pub return_map: Option<ReturnMap>,
    /// Which tables are written besides `members`.
    pub tables: Tables,
}

impl Study {
    /// The scalars that are read at the end of each window: those among the measures, then those of
    /// the outcomes that are not among them.
    pub fn scalars(&self) -> Vec<&str> {
        let outcomes = self.outcomes.iter().map(|outcome| &outcome.measure);
        let measures = self.measures.iter().chain(outcomes);
        distinct(measures.filter(|m| m.is_scalar).map(|m| m.name.as_str()))
    }

    /// Names of the outcomes, each once: a column of `members` each.
    pub fn outcome_names(&self) -> Vec<&str> {
        distinct(self.outcomes.iter().map(|outcome| outcome.name.as_str()))
    }
}

/// Each name once, where it comes first.
fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

/// A window: time that is left out, then time that is analysed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Left out first (ms).
    pub skip_ms: f64,
    /// Analysed (ms).
    pub for_ms: f64,
}

/// When a network is forked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Settle {
    /// At a time (ms).
    For(f64),
    /// Once every rhythm has gone round steadily.
    Until {
        /// Cycles looked at.
        cycles: usize,
        /// Largest coefficient of variation of their periods (1), and of the change of phases (1).
        within: f64,
        /// Latest time (ms); a network that has not settled by then is told as such.
        at_most_ms: f64,
    },
}

/// A value of an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A word or path.
    Text(String),
    /// Paths that belong together, as the two edges of a pair.
    Texts(Vec<String>),
}

/// Something that is varied.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its name: a column of every table.
    pub name: String,
    /// The values.
    pub values: Values,
    /// Whether `set` or `networks` refers to it, so that each value makes other networks.
    pub makes_networks: bool,
    /// Where it is written.
    pub origin: Place,
}

/// The values of an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// As listed; globs of paths are spelt out.
    List(Vec<Value>),
    /// Evenly from one number to another; a sampled design draws from the range.
    Linear {
        /// First.
        from: f64,
        /// Last.
        to: f64,
        /// How many.
        count: usize,
    },
    /// By a constant factor from one number above 0 to another.
    Log {
        /// First.
        from: f64,
        /// Last.
        to: f64,
        /// How many.
        count: usize,
    },
    /// The value at which the rhythm is lost, by bisection in each member.
    Bisect {
        /// One end.
        from: f64,
        /// The other.
        to: f64,
        /// Width of the last bracket.
        tolerance: f64,
    },
}

/// How points are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Design {
    /// Every combination.
    #[default]
    Grid,
    /// The first value of each axis, then the second, and so on.
    Together,
    /// Independent draws.
    Random(usize),
    /// A Latin hypercube.
    LatinHypercube(usize),
    /// A scrambled Sobol sequence.
    Sobol(usize),
}

/// A number that is written out, or the value of an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Amount {
    /// Written out.
    Given(f64),
    /// The axis by its index.
    Axis(usize),
}

/// A scalar or setting that gets a value.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Scalar, glob or setting.
    pub path: String,
    /// Value, in its unit.
    pub to: Amount,
    /// Where the path is written.
    pub origin: Place,
}

/// The networks of a study.
#[derive(Clone, Debug)]
pub enum Networks {
    /// Draws.
    Drawn(Ensemble),
    /// A table: a network a row, a path a column.
    Table {
        /// The file.
        file: PathBuf,
        /// Paths, and where they are written.
        columns: Vec<String>,
        /// Values by row.
        rows: Vec<Vec<f64>>,
    },
}

/// Networks, or runs of one, that differ by draws.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// How many.
    pub count: usize,
    /// In what they differ.
    pub vary: Vec<Vary>,
}

/// A draw.
#[derive(Clone, Debug)]
pub enum Vary {
    /// The seed of the base: `from` for the first network, one more for each next.
    Seed {
        /// Seed of the first.
        from: u64,
    },
    /// Each scalar times 1 + `by`·u, u uniform in [-1, 1).
    Relative {
        /// Scalars.
        path: String,
        /// Half-width (1).
        by: Amount,
        /// Where the path is written.
        origin: Place,
    },
    /// Each scalar plus `by`·u, u uniform in [-1, 1).
    Absolute {
        /// Scalars.
        path: String,
        /// Half-width, in the unit of the scalar.
        by: Amount,
        /// Where the path is written.
        origin: Place,
    },
    /// Each scalar uniform in [from, to).
    Uniform {
        /// Scalars.
        path: String,
        /// Range.
        range: Range<f64>,
        /// Where the path is written.
        origin: Place,
    },
}

/// A protocol entry whose values may be those of axes.
#[derive(Clone, Debug)]
pub struct Timed {
    /// When.
    pub at: When,
    /// How it comes again.
    pub again: Option<Again>,
    /// The entry as written, without its time; `Axis("name")` stands for a value.
    pub(crate) entry: Node,
}

/// When an entry acts.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Time (ms) after the fork, or after the end of `during`.
    Ms(Amount),
    /// Phase (1) of the first whole cycle that the reference cell of a rhythm has in the control
    /// after the fork.
    Phase {
        /// The phase.
        phase: Amount,
        /// The rhythm, by its index in the base.
        rhythm: usize,
    },
}

/// How an entry comes again.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// From one time to the next (ms).
    pub every_ms: Amount,
    /// How many times in all, at least 1; `None`: up to the end of its part of the branch.
    pub times: Option<usize>,
}

/// When a rhythm counts as there, and as the same (`reference` network experiments, section 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criteria {
    /// A rhythm is there if its period varies less than this (coefficient of variation).
    pub cv_below: f64,
    /// And the phases of its cells have a resultant length above this.
    pub lock_above: f64,
    /// It is kept if its period changed by at most this (relative to the control).
    pub period_within: f64,
    /// And no phase by more than this (1, circular).
    pub phase_within: f64,
    /// And no duty cycle by more than this (1).
    pub duty_within: f64,
}

impl Criteria {
    /// Those by which the reports of windows say whether a rhythm is there.
    pub fn thresholds(&self) -> crate::rhythm::Thresholds {
        crate::rhythm::Thresholds {
            cv_below: self.cv_below,
            lock_above: self.lock_above,
        }
    }
}

impl Default for Criteria {
    fn default() -> Self {
        Criteria {
            cv_below: crate::rhythm::MAX_PERIOD_CV,
            lock_above: crate::rhythm::MIN_LOCK,
            period_within: 0.1,
            phase_within: 0.05,
            duty_within: 0.05,
        }
    }
}

/// A number told of each window: `cells.LP.spikes`, `rhythms.slow.period_ms`, or a scalar by its
/// path, read at the end of the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// As written: the name of its columns, after that of the window.
    pub name: String,
    /// Whether it is a scalar of the network.
    pub is_scalar: bool,
}

/// One of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Before the fork.
    Before,
    /// While the protocol acts.
    During,
    /// After it was undone.
    After,
}

/// A rule: a measure in one window is below or above a multiple of itself in another, counts taken a
/// second; or below or above a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Name: a column of `members`. Rules of one name must all hold.
    pub name: String,
    /// The measure, as in [`Measure`].
    pub measure: Measure,
    /// Window it is taken in.
    pub at: Moment,
    /// Whether it must be below; else above.
    pub below: bool,
    /// The bound, or the factor of the other window's value.
    pub bound: f64,
    /// The other window.
    pub of: Option<Moment>,
}

/// A phase response: how a pulse shifts the cycles of a rhythm, against the control.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The rhythm, by its index in the base.
    pub rhythm: usize,
    /// The axis that is the phase, by its index.
    pub phase: usize,
    /// The axis that is the size of the pulse, by its index: responses are held against each other
    /// in proportion to it.
    pub size: Option<usize>,
    /// Cycles after the pulse that are told.
    pub cycles: usize,
}

/// A return map: how the lags of the cells of a rhythm behind its reference change from cycle to cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct ReturnMap {
    /// The rhythm, by its index in the base.
    pub rhythm: usize,
    /// The axes that set the starting lags, by their indices: members that differ in them alone make
    /// one map.
    pub starts: Vec<usize>,
    /// Parts of the cycle over which the points of two cells are averaged.
    pub bins: usize,
}

/// Tables besides `members`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// `cells.parquet`: a row a cell and window of each member.
    pub cells: bool,
    /// `cycles.parquet`: a row a cycle of each rhythm of each member.
    pub cycles: bool,
}
