//! Dynamic input conductances (Drion et al. 2015; arXiv 2412.04172): the slope of the static I-V
//! curve, split by timescale. A gate with time constant tau gives its part to the fast, slow and
//! ultraslow conductance by its logarithmic distance from three reference times, all at the same V:
//!
//! `g_fast + g_slow + g_uslow = dI_static/dV / g_leak`
//!
//! For a current `g prod(x_j^p_j) (V - E)`: the ohmic part `prod(x_j^p_j)` is fast; the slope of
//! gate j through V is split by its weights; every slope through calcium is ultraslow. A channel with
//! a kinetic scheme counts as one gate, its conducting fraction, whose time constant the cell type
//! states. The rules hold for any cell type: derivatives come from dual numbers over (V, Ca).

use glam::{DMat2, DMat3, DVec2, DVec3};

use crate::channels::{CellType, Gate};
use crate::definition::{ThresholdRule, Timescale};
use crate::kinetics::{Dual, Program, Variables, eval_removable};
use crate::math::{ln, powi};

/// Contributions to (fast, slow, ultraslow).
pub type Timescales = [f64; 3];

/// Equilibrium calcium at a clamped voltage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EquilibriumCalcium {
    /// Concentration (µM).
    pub ca: f64,
    /// Its derivative over V (µM/mV).
    pub slope: f64,
}

/// What the analysis needs of a neuron's kinetics at one voltage, apart from its conductances.
#[derive(Clone, Debug)]
pub struct Linearisation {
    v: f64,
    tau_factors: [Vec<f64>; 2],
    /// Steady state of each gate, without its factor of calcium where it comes apart
    /// ([`Gate::calcium_factor`]).
    steady: Vec<Dual<2>>,
    /// Weights of each gate, where neither its time constant nor a reference time reads calcium.
    weights: Vec<Option<(f64, f64)>>,
    /// Reference times (ms), where none of their gates reads calcium.
    references: Option<[f64; 3]>,
    /// Columns of the lanes that do not read calcium.
    columns: Vec<Timescales>,
    /// Whether a lane reads calcium and must be worked out at each calcium.
    reads_calcium: Vec<bool>,
    /// Open fraction and its slope (1/mV) of the calcium carriers that do not read calcium.
    carriers: Vec<(usize, Dual<2>)>,
}

/// A function of V and Ca with its derivatives.
fn dual(program: &Program, v: f64, ca: f64) -> Dual<2> {
    let x = program.eval(&Variables::membrane(
        Dual::variable(v, 0),
        Dual::variable(ca, 1),
    ));
    if is_finite(&x) {
        return x;
    }
    // A removable point of the formula: limit of the value, central difference for the slope.
    let limit = |v| eval_removable(program, v, |v| Variables::membrane(v, ca)).unwrap_or(f64::NAN);
    let h = 1e-4;
    Dual {
        value: limit(v),
        gradient: [(limit(v + h) - limit(v - h)) / (2.0 * h), 0.0],
    }
}

fn is_finite(x: &Dual<2>) -> bool {
    x.value.is_finite() && x.gradient.iter().all(|d| d.is_finite())
}

/// Whether a reference time of the three timescales depends on calcium.
fn references_read_calcium(cell: &CellType) -> bool {
    let scales = cell.definition.dic.iter().flat_map(|dic| &dic.timescales);
    let mut gates = scales.filter_map(|scale| match scale {
        Timescale::Gate { channel, gate } => cell.gate(channel, gate),
        Timescale::Constant(_) => None,
    });
    gates.any(|gate| gate.reads_calcium)
}

/// Weights (w_fs, w_su) of a gate with time constant `tau` for reference times `[f, s, u]` (ms).
fn weights(tau: f64, [f, s, u]: [f64; 3]) -> (f64, f64) {
    let position = |from: f64, to: f64| (ln(to) - ln(tau)) / (ln(to) - ln(from));
    if tau < f {
        (1.0, 1.0)
    } else if tau < s {
        (position(f, s), 1.0)
    } else if tau < u {
        (0.0, position(s, u))
    } else {
        (0.0, 0.0)
    }
}

/// Gates of a lane and their places among all gates.
fn gates_of(cell: &CellType, lane: usize) -> impl Iterator<Item = (usize, &Gate)> {
    let gates = cell.gates.iter().enumerate();
    gates.filter(move |(_, gate)| gate.lane == lane)
}

/// Adds a slope through V to the timescales, by its weights.
fn split(slope: f64, (w_fs, w_su): (f64, f64), out: &mut Timescales) {
    out[0] += w_fs * slope;
    out[1] += (w_su - w_fs) * slope;
    out[2] += (1.0 - w_su) * slope;
}

/// Time constant (ms) that stands for the kinetic scheme in a lane.
fn scheme_tau(cell: &CellType, lane: usize) -> f64 {
    let stated = cell.definition.dic.iter().flat_map(|dic| &dic.scheme_tau);
    let mut own = stated.filter(|(name, _)| name == cell.channel_name(lane));
    own.next().map_or(f64::INFINITY, |(_, tau)| *tau)
}

impl Linearisation {
    /// Linearises a cell at `v` (mV); `tau_factors` are the neuron's own factors on its time
    /// constants ([`CellType::tau_factors`]). Without a DIC definition every gate counts as
    /// ultraslow; equilibrium calcium and the sum of the three need none.
    pub fn new(cell: &CellType, v: f64, tau_factors: &[Vec<f64>; 2]) -> Self {
        let mut this = Self::without_columns(cell, v, tau_factors);
        let references = this.references(cell, 0.0);
        if !references_read_calcium(cell) {
            this.references = Some(references);
            let gates = cell.gates.iter();
            this.weights = gates
                .map(|gate| {
                    let constant = !gate.tau_reads_calcium;
                    constant.then(|| weights(this.tau(gate, 0.0), references))
                })
                .collect();
        }
        let none = EquilibriumCalcium {
            ca: 0.0,
            slope: 0.0,
        };
        for lane in 0..cell.channels() {
            if !this.reads_calcium[lane] {
                this.columns[lane] = this.column(cell, lane, none, references);
            }
        }
        this
    }

    /// What equilibrium calcium and the total slope need.
    fn without_columns(cell: &CellType, v: f64, tau_factors: &[Vec<f64>; 2]) -> Self {
        let mut this = Linearisation {
            v,
            tau_factors: tau_factors.clone(),
            steady: cell
                .gates
                .iter()
                .map(|g| dual(g.programs().0, v, 0.0))
                .collect(),
            weights: vec![None; cell.gates.len()],
            references: None,
            columns: vec![[0.0; 3]; cell.channels()],
            reads_calcium: vec![false; cell.channels()],
            carriers: Vec::new(),
        };
        for lane in 0..cell.channels() {
            this.reads_calcium[lane] = cell.nernst[lane].is_some()
                || cell.gates.iter().any(|g| g.lane == lane && g.reads_calcium);
        }
        for lane in 0..cell.channels() {
            if cell.carries_calcium[lane] != 0.0 && !this.reads_calcium[lane] {
                this.carriers.push((lane, this.open(cell, lane, 0.0)));
            }
        }
        this
    }

    /// Reference times (ms) at calcium `ca` (µM).
    fn references(&self, cell: &CellType, ca: f64) -> [f64; 3] {
        if let Some(references) = self.references {
            return references;
        }
        let mut times = [f64::NAN; 3];
        if let Some(dic) = &cell.definition.dic {
            for (time, scale) in times.iter_mut().zip(&dic.timescales) {
                *time = match scale {
                    Timescale::Constant(ms) => *ms,
                    Timescale::Gate { channel, gate } => match cell.gate(channel, gate) {
                        Some(g) => self.tau(g, ca),
                        None => f64::NAN,
                    },
                };
            }
        }
        times
    }

    fn tau(&self, gate: &Gate, ca: f64) -> f64 {
        gate.tau(self.v, ca, self.tau_factors[gate.slot as usize][gate.lane])
    }

    /// Steady state of gate `k` with its derivatives.
    fn inf(&self, k: usize, gate: &Gate, ca: f64) -> Dual<2> {
        if !gate.reads_calcium {
            return self.steady[k];
        }
        if let Some(factor) = gate.calcium_factor() {
            let x = product(self.steady[k], dual(factor, self.v, ca));
            if is_finite(&x) {
                return x;
            }
        }
        dual(gate.inf_program(), self.v, ca)
    }

    /// Weights of gate `k` at calcium `ca` (µM).
    fn weights(&self, k: usize, gate: &Gate, ca: f64, references: [f64; 3]) -> (f64, f64) {
        self.weights[k].unwrap_or_else(|| weights(self.tau(gate, ca), references))
    }

    /// Open fraction of a lane with its derivatives.
    fn open(&self, cell: &CellType, lane: usize, ca: f64) -> Dual<2> {
        if let Some(scheme) = cell.scheme(lane) {
            let open = scheme.open(self.v);
            return Dual {
                value: open.value,
                gradient: [open.gradient[0], 0.0],
            };
        }
        let mut open = Dual::constant(1.0);
        for (k, gate) in gates_of(cell, lane) {
            let x = self.inf(k, gate, ca);
            for _ in 0..gate.power {
                open = product(open, x);
            }
        }
        open
    }

    /// Column of the sensitivity matrix of one lane: slope contributions of a unit conductance.
    fn column(
        &self,
        cell: &CellType,
        lane: usize,
        eq: EquilibriumCalcium,
        references: [f64; 3],
    ) -> Timescales {
        let mut gates = gates_of(cell, lane);
        let gates: [Option<(usize, &Gate, Dual<2>)>; 2] = std::array::from_fn(|_| {
            let (k, gate) = gates.next()?;
            Some((k, gate, self.inf(k, gate, eq.ca)))
        });
        let raised = |k: usize| gates[k].map_or(1.0, |(_, g, x)| powi(x.value, g.power));
        let scheme = cell.scheme(lane).map(|scheme| scheme.open(self.v));
        let open = match scheme {
            Some(open) => open.value,
            None => raised(0) * raised(1),
        };
        let driving = self.v - cell.reversal_at(lane, eq.ca);
        let mut out = [open, 0.0, 0.0];
        if let Some(open) = scheme {
            let by_voltage = open.gradient[0] * driving;
            let weights = weights(scheme_tau(cell, lane), references);
            split(by_voltage, weights, &mut out);
        }
        for k in 0..2 {
            let Some((index, gate, x)) = gates[k] else {
                continue;
            };
            let through =
                f64::from(gate.power) * powi(x.value, gate.power - 1) * raised(1 - k) * driving;
            let by_voltage = through * x.gradient[0];
            split(
                by_voltage,
                self.weights(index, gate, eq.ca, references),
                &mut out,
            );
            out[2] += through * x.gradient[1] * eq.slope;
        }
        if let Some((slope, _)) = cell.nernst[lane] {
            // dE/dCa = -slope/Ca
            out[2] += open * slope / eq.ca * eq.slope;
        }
        out
    }

    /// Equilibrium calcium at the clamped voltage for conductances `gbar(lane)` (mS/cm²).
    pub fn equilibrium(&self, cell: &CellType, gbar: impl Fn(usize) -> f64) -> EquilibriumCalcium {
        let Some(pool) = cell.pool else {
            return EquilibriumCalcium {
                ca: 0.0,
                slope: 0.0,
            };
        };
        let reading =
            (0..cell.channels()).any(|k| cell.carries_calcium[k] != 0.0 && self.reads_calcium[k]);
        let balance = |ca: f64| self.balance(cell, &pool, ca, &gbar);
        if !reading {
            let at = balance(0.0);
            return EquilibriumCalcium {
                ca: at.value,
                slope: at.gradient[0],
            };
        }
        // The carriers read calcium: the fixed point of `balance`, which falls with calcium.
        let ca = fixed_point(|ca| balance(ca).value, pool.rest);
        let at = balance(ca);
        EquilibriumCalcium {
            ca,
            slope: at.gradient[0] / (1.0 - at.gradient[1]),
        }
    }

    /// `rest - f I_Ca` with its derivatives over (V, Ca).
    fn balance(
        &self,
        cell: &CellType,
        pool: &crate::channels::Pool,
        ca: f64,
        gbar: &impl Fn(usize) -> f64,
    ) -> Dual<2> {
        let mut sum = Dual::constant(pool.rest);
        let mut add = |lane: usize, open: Dual<2>| {
            let scale = pool.influx * gbar(lane);
            let driving = self.v - cell.reversal_at(lane, ca);
            let de_dca = cell.nernst[lane].map_or(0.0, |(slope, _)| -slope / ca);
            sum.value -= scale * open.value * driving;
            sum.gradient[0] -= scale * (open.gradient[0] * driving + open.value);
            sum.gradient[1] -= scale * (open.gradient[1] * driving - open.value * de_dca);
        };
        for (lane, open) in &self.carriers {
            add(*lane, *open);
        }
        for lane in 0..cell.channels() {
            if cell.carries_calcium[lane] != 0.0 && self.reads_calcium[lane] {
                add(lane, self.open(cell, lane, ca));
            }
        }
        sum
    }

    /// Column of one lane at the given calcium.
    fn column_at(
        &self,
        cell: &CellType,
        lane: usize,
        eq: EquilibriumCalcium,
        references: [f64; 3],
    ) -> Timescales {
        if self.reads_calcium[lane] {
            self.column(cell, lane, eq, references)
        } else {
            self.columns[lane]
        }
    }

    /// Sensitivity matrix: the columns of all lanes (without the 1/g_leak).
    pub fn sensitivity(&self, cell: &CellType, eq: EquilibriumCalcium) -> Vec<Timescales> {
        let references = self.references(cell, eq.ca);
        (0..cell.channels())
            .map(|lane| self.column_at(cell, lane, eq, references))
            .collect()
    }

    /// `S gbar`: the slope of the static I-V curve by timescale (mS/cm²), not yet divided by the
    /// leak.
    pub fn slopes(&self, cell: &CellType, gbar: &[f64]) -> Timescales {
        let eq = self.equilibrium(cell, |k| gbar[k]);
        let mut sum = [0.0; 3];
        for (column, g) in self.sensitivity(cell, eq).iter().zip(gbar) {
            for (s, c) in sum.iter_mut().zip(column) {
                *s += c * g;
            }
        }
        sum
    }

    /// Dynamic input conductances (g_fast, g_slow, g_uslow), normalised by the leak.
    pub fn conductances(&self, cell: &CellType, gbar: &[f64]) -> Timescales {
        let norm = normaliser(cell).map_or(f64::NAN, |lane| gbar[lane]);
        self.slopes(cell, gbar).map(|g| g / norm)
    }
}

/// Equilibrium calcium (µM) of a cell held at `v` (mV) with conductances `gbar(lane)` (mS/cm²).
pub fn rest_calcium(
    cell: &CellType,
    v: f64,
    tau_factors: &[Vec<f64>; 2],
    gbar: impl Fn(usize) -> f64,
) -> f64 {
    let at = Linearisation::without_columns(cell, v, tau_factors);
    at.equilibrium(cell, gbar).ca
}

fn product(a: Dual<2>, b: Dual<2>) -> Dual<2> {
    Dual {
        value: a.value * b.value,
        gradient: std::array::from_fn(|k| a.gradient[k] * b.value + a.value * b.gradient[k]),
    }
}

/// Lane of the conductance that normalises the DICs.
pub fn normaliser(cell: &CellType) -> Option<usize> {
    cell.lane(&cell.definition.dic.as_ref()?.normalise_by)
}

/// Root of `f(x) = x` above zero for a falling `f`, by bisection on a bracket found from `guess`.
fn fixed_point(f: impl Fn(f64) -> f64, guess: f64) -> f64 {
    let (mut low, mut high) = (1e-9, guess.max(1e-6));
    while f(high) > high && high < 1e9 {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if f(middle) > middle {
            low = middle
        } else {
            high = middle
        }
    }
    0.5 * (low + high)
}

/// Slope dI/dV of the static I-V curve (mS/cm²) at `v` (mV): every gate and calcium at their
/// equilibrium.
pub fn static_slope(cell: &CellType, v: f64, gbar: &[f64], tau_factors: &[Vec<f64>; 2]) -> f64 {
    let at = Linearisation::without_columns(cell, v, tau_factors);
    let eq = at.equilibrium(cell, |k| gbar[k]);
    let slope = |lane: usize| {
        let open = at.open(cell, lane, eq.ca);
        let driving = v - cell.reversal_at(lane, eq.ca);
        let de_dca = cell.nernst[lane].map_or(0.0, |(slope, _)| -slope / eq.ca);
        let by_voltage = open.value + open.gradient[0] * driving;
        let by_calcium = open.gradient[1] * driving - open.value * de_dca;
        gbar[lane] * (by_voltage + by_calcium * eq.slope)
    };
    (0..cell.channels()).map(slope).sum()
}

/// Threshold voltage (mV) by the cell type's rule; `None` where it has no DIC definition.
pub fn threshold(cell: &CellType, gbar: &[f64], tau_factors: &[Vec<f64>; 2]) -> Option<f64> {
    match cell.definition.dic.as_ref()?.threshold {
        ThresholdRule::Fixed(v) => Some(v),
        ThresholdRule::Scan { fallback, .. } => {
            Some(crossing(cell, gbar, tau_factors).unwrap_or(fallback))
        }
    }
}

/// The voltage (mV) that the scan of the cell type's threshold rule finds; `None` where there is no
/// scan, or no crossing in its range.
pub fn crossing(cell: &CellType, gbar: &[f64], tau_factors: &[Vec<f64>; 2]) -> Option<f64> {
    let ThresholdRule::Scan { from, to, step, .. } = cell.definition.dic.as_ref()?.threshold else {
        return None;
    };
    // Grid points as whole multiples of the step. A decimal step has no exact double, its reciprocal
    // often has: -4966/100 is the double nearest to -49.66, and -4966*0.01 is not.
    let per_mv = (1.0 / step).round();
    let decimal = (per_mv * step - 1.0).abs() < 1e-12;
    let grid = |k: f64| if decimal { k / per_mv } else { k * step };
    let first = (from / step).round();
    let last = (to / step).round();
    let mut before = 0.0;
    for k in 0..=(last - first) as u64 {
        let v = grid(first + k as f64);
        let total = static_slope(cell, v, gbar, tau_factors);
        if before > 0.0 && total <= 0.0 {
            return Some(v);
        }
        before = total;
    }
    None
}

/// The compensation solve of two channels for a wanted slow and ultraslow DIC, at a frozen
/// threshold voltage.
#[derive(Clone, Debug)]
pub struct Compensation {
    at: Linearisation,
    lanes: [usize; 2],
    norm: usize,
    /// Conductances (mS/cm²) that stand for the real ones in the equilibrium calcium, by lane.
    calcium_at: Vec<Option<f64>>,
}

impl Compensation {
    /// Prepares the solve for `lanes` at `v_th` (mV).
    pub fn new(
        cell: &CellType,
        v_th: f64,
        tau_factors: &[Vec<f64>; 2],
        lanes: [usize; 2],
    ) -> Option<Self> {
        let dic = cell.definition.dic.as_ref()?;
        let calcium_at = (0..cell.channels())
            .map(|lane| {
                dic.calcium_at
                    .iter()
                    .find(|(n, _)| n == cell.channel_name(lane))
                    .map(|(_, g)| *g)
            })
            .collect();
        Some(Compensation {
            at: Linearisation::new(cell, v_th, tau_factors),
            lanes,
            norm: normaliser(cell)?,
            calcium_at,
        })
    }

    /// Conductances (mS/cm²) of the two channels that give `[g_s, g_u]`, the others being `gbar`
    /// and every current multiplied by `seen` (1 unless blocked). `None`: the solve is singular.
    pub fn reference(
        &self,
        cell: &CellType,
        gbar: &[f64],
        seen: &[f64],
        [g_s, g_u]: [f64; 2],
    ) -> Option<[f64; 2]> {
        let eq = self
            .at
            .equilibrium(cell, |k| self.calcium_at[k].unwrap_or(gbar[k]) * seen[k]);
        let references = self.at.references(cell, eq.ca);
        let mut rest = DVec2::new(g_s, g_u) * gbar[self.norm];
        let mut columns = [DVec2::ZERO; 2];
        for lane in 0..cell.channels() {
            let [_, slow, uslow] = self.at.column_at(cell, lane, eq, references);
            let column = DVec2::new(slow, uslow) * seen[lane];
            match self.lanes.iter().position(|l| *l == lane) {
                Some(k) => columns[k] = column,
                None => rest -= column * gbar[lane],
            }
        }
        let matrix = DMat2::from_cols(columns[0], columns[1]);
        let solution = matrix.inverse() * rest;
        (matrix.determinant() != 0.0 && solution.is_finite()).then(|| solution.to_array())
    }
}

/// The population build: conductances (mS/cm²) of three channels that give all three wanted DICs
/// at `v` (mV), the equilibrium calcium taken from the conductances as they are. `None`: singular,
/// or no DIC definition.
pub fn build(
    cell: &CellType,
    v: f64,
    tau_factors: &[Vec<f64>; 2],
    gbar: &[f64],
    lanes: [usize; 3],
    wanted: Timescales,
) -> Option<[f64; 3]> {
    let at = Linearisation::new(cell, v, tau_factors);
    let eq = at.equilibrium(cell, |k| gbar[k]);
    let mut rest = DVec3::from_array(wanted) * gbar[normaliser(cell)?];
    let mut columns = [DVec3::ZERO; 3];
    for (lane, column) in at.sensitivity(cell, eq).into_iter().enumerate() {
        match lanes.iter().position(|l| *l == lane) {
            Some(k) => columns[k] = DVec3::from_array(column),
            None => rest -= DVec3::from_array(column) * gbar[lane],
        }
    }
    let matrix = DMat3::from_cols(columns[0], columns[1], columns[2]);
    let solution = matrix.inverse() * rest;
    (matrix.determinant() != 0.0 && solution.is_finite()).then(|| solution.to_array())
}
