//! Design: the maximal conductances of up to three channels that give wanted dynamic input
//! conductances ([`crate::dic`]) at a voltage. With gamma the wanted ones and S_c the column of
//! channel c in their rows, the unknown g_x solve
//!
//! `sum_x S_x g_x = gamma g_leak - sum_c S_c g_c`
//!
//! where c runs over all other channels. Where an unknown channel carries calcium the columns
//! depend on it through the equilibrium calcium. The published compensation puts a fixed
//! conductance in its place there (`calcium_at` of the cell type), so that the solve is linear and
//! what is reached in the end differs a little from what is wanted. For channels without one, or
//! where it is asked for, Newton's method finds conductances that give the wanted values with the
//! calcium they bring about themselves; there may be none.

use glam::{DMat3, DVec3};

use crate::channels::CellType;
use crate::dic::{EquilibriumCalcium, Linearisation, Timescales, normaliser};

/// Names of the fast, slow and ultraslow conductance.
pub const NAMES: [&str; 3] = ["g_f", "g_s", "g_u"];

/// Most channels that can be solved for.
pub const MOST: usize = 3;

/// Reciprocal condition number of the scaled matrix below which a solve is called singular.
const SINGULAR: f64 = 1e-10;

/// Relative residual from which one more step leaves rounding alone.
const SETTLED: f64 = 1e-12;

/// Newton steps before the search is given up.
const STEPS: usize = 60;

/// Why no conductances give the wanted values.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoDesign {
    /// A channel that is solved for moves none of the wanted values.
    #[error("`{channel}` has no part in {wanted} at {v} mV")]
    Inert {
        /// Channel.
        channel: String,
        /// Names of the wanted conductances.
        wanted: String,
        /// Voltage (mV).
        v: f64,
    },
    /// No channel that is solved for moves one of the wanted values.
    #[error("none of {channels} has a part in {wanted} at {v} mV")]
    Unmoved {
        /// Channels that are solved for.
        channels: String,
        /// The wanted conductance.
        wanted: &'static str,
        /// Voltage (mV).
        v: f64,
    },
    /// What one channel does the others do as well.
    #[error(
        "{channels} move {wanted} in the same proportions at {v} mV, so that they cannot be told apart"
    )]
    Dependent {
        /// Channels that are solved for.
        channels: String,
        /// Names of the wanted conductances.
        wanted: String,
        /// Voltage (mV).
        v: f64,
    },
    /// The search for conductances that fit the calcium they bring about has no end.
    #[error(
        "no conductances of {channels} were found that fit the calcium they bring about at {v} mV"
    )]
    Unsettled {
        /// Channels that are solved for.
        channels: String,
        /// Voltage (mV).
        v: f64,
    },
    /// The only solution has conductances below zero.
    #[error("{} would have to be negative", list(.conductances.iter().map(|(channel, g)| format!("`{channel}` ({} mS/cm²)", readable(*g)))))]
    Negative {
        /// Channels whose conductance is below zero, with it (mS/cm²).
        conductances: Vec<(String, f64)>,
    },
    /// The cell type has no DIC definition.
    #[error("cell type `{0}` has no `dic`")]
    Undefined(String),
}

/// What is to be designed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Voltage (mV).
    pub v: f64,
    /// Lanes that are solved for, as many as there are wanted values.
    pub lanes: &'a [usize],
    /// Wanted fast, slow and ultraslow conductance; `None` is left free.
    pub wanted: [Option<f64>; 3],
    /// Whether the equilibrium calcium is the one that the found conductances bring about, also
    /// where the cell type has a fixed conductance for it.
    pub own_calcium: bool,
}

/// Conductances (mS/cm²) by lane that give what is wanted, those that are not solved for being
/// `gbar`. Where there are several solutions, the one that Newton's method finds from `gbar`.
///
/// # Errors
/// There are none; see [`NoDesign`].
///
/// # Panics
/// If the lanes are not as many as the wanted values.
pub fn design(
    cell: &CellType,
    tau_factors: &[Vec<f64>; 2],
    gbar: &[f64],
    request: Request,
) -> Result<Vec<f64>, NoDesign> {
    let rows: Vec<usize> = (0..MOST)
        .filter(|row| request.wanted[*row].is_some())
        .collect();
    assert_eq!(
        rows.len(),
        request.lanes.len(),
        "one channel a wanted value"
    );
    let problem = Problem {
        cell,
        at: Linearisation::new(cell, request.v, tau_factors),
        v: request.v,
        gbar,
        calcium_at: stand_ins(cell, request),
        lanes: request.lanes,
        targets: rows.iter().filter_map(|row| request.wanted[*row]).collect(),
        rows,
        norm: normaliser(cell).ok_or_else(|| NoDesign::Undefined(cell.definition.name.clone()))?,
    };
    let found = problem.solve()?;
    let below = |k: &usize| found[*k] < 0.0;
    let negative: Vec<(String, f64)> = (0..request.lanes.len())
        .filter(below)
        .map(|k| (problem.channel(k).to_owned(), found[k]))
        .collect();
    match negative.is_empty() {
        true => Ok(problem.with(found)),
        false => Err(NoDesign::Negative {
            conductances: negative,
        }),
    }
}

/// The linear system at one calcium. Systems of fewer unknowns stand in the corner of one of three.
struct System {
    matrix: DMat3,
    right: DVec3,
}

impl System {
    /// What is missing to the wanted values.
    fn residual(&self, x: DVec3) -> DVec3 {
        self.matrix * x - self.right
    }
}

/// Conductances (mS/cm²) that stand for unknown ones in the equilibrium calcium, by lane.
fn stand_ins(cell: &CellType, request: Request) -> Vec<Option<f64>> {
    let mut stand_ins = vec![None; cell.channels()];
    let known = cell.definition.dic.iter().flat_map(|dic| &dic.calcium_at);
    for (channel, g) in known.filter(|_| !request.own_calcium) {
        let lane = cell.lane(channel);
        if let Some(lane) = lane.filter(|lane| request.lanes.contains(lane)) {
            stand_ins[lane] = Some(*g);
        }
    }
    stand_ins
}

struct Problem<'a> {
    cell: &'a CellType,
    at: Linearisation,
    v: f64,
    gbar: &'a [f64],
    /// Conductance (mS/cm²) that stands for an unknown one in the equilibrium calcium, by lane.
    calcium_at: Vec<Option<f64>>,
    lanes: &'a [usize],
    rows: Vec<usize>,
    targets: Vec<f64>,
    norm: usize,
}

impl Problem<'_> {
    fn channel(&self, k: usize) -> &str {
        self.cell.channel_name(self.lanes[k])
    }

    /// All conductances with the unknown ones at `x`.
    fn with(&self, x: DVec3) -> Vec<f64> {
        let mut gbar = self.gbar.to_vec();
        for (k, lane) in self.lanes.iter().enumerate() {
            gbar[*lane] = x[k];
        }
        gbar
    }

    fn calcium(&self, x: DVec3) -> EquilibriumCalcium {
        let gbar = self.with(x);
        let stand_in = |lane: usize| self.calcium_at[lane].unwrap_or(gbar[lane]);
        self.at.equilibrium(self.cell, stand_in)
    }

    /// Rows of a column of the sensitivity matrix that are wanted; the leak, which normalises, moves
    /// the targets, too.
    fn column(&self, lane: usize, sensitivity: Timescales) -> DVec3 {
        let mut column = DVec3::ZERO;
        for (k, row) in self.rows.iter().enumerate() {
            column[k] = sensitivity[*row];
            if lane == self.norm {
                column[k] -= self.targets[k];
            }
        }
        column
    }

    fn system(&self, calcium: EquilibriumCalcium) -> System {
        let mut matrix = DMat3::IDENTITY;
        let mut right = DVec3::ZERO;
        let sensitivity = self.at.sensitivity(self.cell, calcium);
        for (lane, sensitivity) in sensitivity.into_iter().enumerate() {
            let column = self.column(lane, sensitivity);
            match self.lanes.iter().position(|l| *l == lane) {
                Some(k) => *matrix.col_mut(k) = column,
                None => right -= column * self.gbar[lane],
            }
        }
        System { matrix, right }
    }

    /// Derivatives of the residual over the unknowns, those through calcium by central differences.
    fn jacobian(&self, x: DVec3, system: &System) -> DMat3 {
        let mut jacobian = system.matrix;
        for (k, lane) in self.lanes.iter().enumerate() {
            if self.cell.carries_calcium[*lane] == 0.0 || self.calcium_at[*lane].is_some() {
                continue;
            }
            let h = 1e-6 * x[k].abs().max(1e-3);
            let mut shift = DVec3::ZERO;
            shift[k] = h;
            let at = |x_for_calcium| self.system(self.calcium(x_for_calcium)).residual(x);
            *jacobian.col_mut(k) += (at(x + shift) - at(x - shift)) / (2.0 * h);
        }
        jacobian
    }

    fn solve(&self) -> Result<DVec3, NoDesign> {
        let mut x = DVec3::ZERO;
        for (k, lane) in self.lanes.iter().enumerate() {
            x[k] = self.gbar[*lane];
        }
        for _ in 0..STEPS {
            let system = self.system(self.calcium(x));
            self.judge(&system.matrix)?;
            let residual = system.residual(x);
            let step = well_conditioned(&self.jacobian(x, &system), residual)
                .ok_or_else(|| self.unsettled())?;
            if self.far(&system, x) < SETTLED {
                return Ok(x - step);
            }
            x = self.downhill(x, step, &system)?;
        }
        Err(self.unsettled())
    }

    /// The next point on the way: a full step, or the first half of it and so on that comes closer.
    fn downhill(&self, x: DVec3, step: DVec3, system: &System) -> Result<DVec3, NoDesign> {
        let here = self.far(system, x);
        let mut length = 1.0;
        while length > 1e-6 {
            let next = x - step * length;
            if self.far(&self.system(self.calcium(next)), next) < here {
                return Ok(next);
            }
            length *= 0.5;
        }
        Err(self.unsettled())
    }

    /// How much is missing, relative to what the rows add up from.
    fn far(&self, system: &System, x: DVec3) -> f64 {
        let residual = system.residual(x);
        let relative = |row: usize| {
            let terms = (system.matrix.row(row) * x).abs().element_sum();
            residual[row].abs() / (terms + system.right[row].abs()).max(f64::MIN_POSITIVE)
        };
        (0..self.lanes.len()).map(relative).fold(0.0, f64::max)
    }

    fn unsettled(&self) -> NoDesign {
        NoDesign::Unsettled {
            channels: self.channels(),
            v: self.v,
        }
    }

    fn channels(&self) -> String {
        list((0..self.lanes.len()).map(|k| format!("`{}`", self.channel(k))))
    }

    /// Refuses a matrix that no right-hand side determines the unknowns with, and says why.
    fn judge(&self, matrix: &DMat3) -> Result<(), NoDesign> {
        let n = self.lanes.len();
        let v = self.v;
        let wanted = || list(self.rows.iter().map(|row| NAMES[*row].to_owned()));
        if let Some(k) = (0..n).find(|k| matrix.col(*k) == DVec3::ZERO) {
            return Err(NoDesign::Inert {
                channel: self.channel(k).to_owned(),
                wanted: wanted(),
                v,
            });
        }
        if let Some(k) = (0..n).find(|k| matrix.row(*k) == DVec3::ZERO) {
            return Err(NoDesign::Unmoved {
                channels: self.channels(),
                wanted: NAMES[self.rows[k]],
                v,
            });
        }
        match well_conditioned(matrix, DVec3::ZERO) {
            Some(_) => Ok(()),
            None => Err(NoDesign::Dependent {
                channels: self.channels(),
                wanted: wanted(),
                v,
            }),
        }
    }
}

/// Solution of `matrix x = right`; `None`: singular. Columns and rows are scaled first, because
/// conductances and their effects lie orders of magnitude apart, and the solution is refined once.
fn well_conditioned(matrix: &DMat3, right: DVec3) -> Option<DVec3> {
    let largest = |vector: DVec3| vector.abs().max_element();
    let columns = DVec3::from_array(std::array::from_fn(|k| 1.0 / largest(matrix.col(k))));
    let scaled = *matrix * DMat3::from_diagonal(columns);
    let rows = DVec3::from_array(std::array::from_fn(|k| 1.0 / largest(scaled.row(k))));
    let scaled = DMat3::from_diagonal(rows) * scaled;
    let inverse = scaled.inverse();
    let norm = |m: &DMat3| {
        let rows = (0..3).map(|row| m.row(row).abs().element_sum());
        rows.fold(0.0, f64::max)
    };
    let condition = norm(&scaled) * norm(&inverse);
    // Not a number where a row or column is zero.
    if condition.is_nan() || condition * SINGULAR >= 1.0 {
        return None;
    }
    let right = right * rows;
    let first = inverse * right;
    let refined = first + inverse * (right - scaled * first);
    let solution = refined * columns;
    solution.is_finite().then_some(solution)
}

/// Five significant digits of a conductance.
fn readable(g: f64) -> String {
    match g.abs() {
        1.0.. => format!("{g:.2}"),
        _ => format!("{g:.4e}"),
    }
}

/// Names for a sentence.
fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
