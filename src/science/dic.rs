//! Dynamic input conductances of the cells of a network, and the conductances that reach wanted
//! ones. Voltages in mV, conductances in mS/cm², calcium in µM; dynamic input conductances are
//! normalised by the leak and have no unit.

use homarus_systems::{
    address::{self, Address, CellScalar, ChannelScalar},
    assembly::Simulation,
    channels::{CellType, CellTypeId, CellTypes, Parameters},
    definition::ThresholdRule,
    design::{self, NoDesign, Request},
    dic::{self, Linearisation, Timescales},
    schedule::Neurons,
};
use serde::Serialize;

/// Where a threshold voltage comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The scan of the cell type's rule.
    Scan,
    /// No crossing in the range of the scan: what the rule takes then.
    Fallback,
    /// The cell type's rule says it.
    Fixed,
    /// The cell's controller has it.
    Controller,
}

/// A threshold voltage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// Voltage (mV).
    pub v_th_mv: f64,
    /// Where it comes from.
    pub v_th_from: Origin,
}

/// Dynamic input conductances at a voltage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Voltage (mV).
    pub v_mv: f64,
    /// Fast; `None` where there is no leak to normalise by, like the others.
    pub g_f: Option<f64>,
    /// Slow.
    pub g_s: Option<f64>,
    /// Ultraslow.
    pub g_u: Option<f64>,
    /// Their sum: the slope of the static I-V curve.
    pub g_in: Option<f64>,
}

impl Point {
    fn of(v_mv: f64, [f, s, u]: Timescales) -> Self {
        let finite = |x: f64| x.is_finite().then_some(x);
        Point {
            v_mv,
            g_f: finite(f),
            g_s: finite(s),
            g_u: finite(u),
            g_in: finite(f + s + u),
        }
    }

    /// The fast, slow and ultraslow one.
    pub fn timescales(&self) -> [Option<f64>; 3] {
        [self.g_f, self.g_s, self.g_u]
    }
}

/// What the conductance of a channel does at a voltage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Channel.
    pub channel: String,
    /// Its maximal conductance with what a block leaves of it (mS/cm²).
    pub gbar: f64,
    /// Slope of the static I-V curve that a unit of conductance adds (1), by timescale: fast.
    pub fast: f64,
    /// Slow.
    pub slow: f64,
    /// Ultraslow.
    pub ultraslow: f64,
}

/// One cell with what its analysis needs.
#[derive(Clone, Debug)]
pub struct Neuron {
    /// Name.
    pub name: String,
    /// Its type.
    pub cell: CellType,
    /// Factors on its time constants.
    tau_factors: [Vec<f64>; 2],
    /// Maximal conductances (mS/cm²) with what blocks leave of them, by lane.
    pub gbar: Vec<f64>,
    /// What is left of each current (1), by lane.
    pub left: Vec<f64>,
    /// Threshold voltage.
    pub threshold: Threshold,
}

impl Neuron {
    /// A cell of a network that has started. `None`: its type has no DIC definition.
    pub fn of(simulation: &Simulation, index: usize) -> Option<Self> {
        let world = &simulation.world;
        let neuron = world.resource::<Neurons>().entity(index);
        let types = world.resource::<CellTypes>();
        let cell = types.get(*world.get::<CellTypeId>(neuron)?).clone();
        let tau_factors = cell.tau_factors(&world.get::<Parameters>(neuron)?.0);
        let scalars = |scalar: ChannelScalar| -> Option<Vec<f64>> {
            let lanes = 0..cell.channels();
            let read = |lane| address::read(world, Address::Channel(index, lane, scalar));
            lanes.map(read).collect()
        };
        let left = scalars(ChannelScalar::Block)?;
        let gbar = scalars(ChannelScalar::Gbar)?;
        let gbar: Vec<f64> = gbar.iter().zip(&left).map(|(g, left)| g * left).collect();
        let by_rule = threshold(&cell, &gbar, &tau_factors)?;
        let own = address::read(world, Address::Cell(index, CellScalar::VTh));
        let threshold = match own {
            Some(v_th_mv) if v_th_mv != by_rule.v_th_mv => Threshold {
                v_th_mv,
                v_th_from: Origin::Controller,
            },
            _ => by_rule,
        };
        Some(Neuron {
            name: world.resource::<Neurons>().name(index).to_owned(),
            cell,
            tau_factors,
            gbar,
            left,
            threshold,
        })
    }

    /// Channels without a conductance.
    pub fn missing(&self) -> Vec<&str> {
        let lanes = (0..self.gbar.len()).filter(|lane| self.gbar[*lane] == 0.0);
        lanes.map(|lane| self.cell.channel_name(lane)).collect()
    }

    /// Conductances at a voltage (mV).
    pub fn at(&self, v_mv: f64) -> Point {
        self.with(&self.gbar, v_mv)
    }

    /// Conductances at a voltage (mV) if the cell had the maximal conductances `gbar` (mS/cm²).
    fn with(&self, gbar: &[f64], v_mv: f64) -> Point {
        let at = Linearisation::new(&self.cell, v_mv, &self.tau_factors);
        Point::of(v_mv, at.conductances(&self.cell, gbar))
    }

    /// Equilibrium calcium (µM) at a voltage (mV); `None` where there is no pool.
    pub fn calcium(&self, v_mv: f64) -> Option<f64> {
        self.cell.pool?;
        let at = Linearisation::new(&self.cell, v_mv, &self.tau_factors);
        Some(at.equilibrium(&self.cell, |lane| self.gbar[lane]).ca)
    }

    /// The sensitivity matrix at a voltage (mV), a column a channel.
    pub fn sensitivity(&self, v_mv: f64) -> Vec<Column> {
        let at = Linearisation::new(&self.cell, v_mv, &self.tau_factors);
        let calcium = at.equilibrium(&self.cell, |lane| self.gbar[lane]);
        let columns = at.sensitivity(&self.cell, calcium).into_iter().enumerate();
        columns
            .map(|(lane, [fast, slow, ultraslow])| Column {
                channel: self.cell.channel_name(lane).to_owned(),
                gbar: self.gbar[lane],
                fast,
                slow,
                ultraslow,
            })
            .collect()
    }

    /// The conductances that reach `request`.
    ///
    /// # Errors
    /// There are none.
    pub fn design(&self, request: Request) -> Result<Design, NoDesign> {
        let found = design::design(&self.cell, &self.tau_factors, &self.gbar, request)?;
        // The cell has a DIC definition, so it has a threshold.
        let after = threshold(&self.cell, &found, &self.tau_factors).unwrap_or(self.threshold);
        let channels = request.lanes.iter().map(|lane| Change {
            channel: self.cell.channel_name(*lane).to_owned(),
            before: self.gbar[*lane],
            gbar: found[*lane],
        });
        Ok(Design {
            channels: channels.collect(),
            reached: self.with(&found, request.v),
            threshold: after,
            moved_mv: after.v_th_mv - self.threshold.v_th_mv,
            at_threshold: self.with(&found, after.v_th_mv),
            own_calcium: self.own_calcium(request, &found),
        })
    }

    /// The answer with the calcium that the conductances bring about, where `found` is one with
    /// fixed conductances in its place.
    fn own_calcium(&self, request: Request, found: &[f64]) -> Option<OwnCalcium> {
        let dic = self.cell.definition.dic.as_ref()?;
        let lanes = request.lanes.iter();
        let solved: Vec<&str> = lanes.map(|lane| self.cell.channel_name(*lane)).collect();
        let replaced = dic.calcium_at.iter();
        let replaced = replaced.filter(|(channel, _)| solved.contains(&channel.as_str()));
        let replaced: Vec<(String, f64)> = replaced.cloned().collect();
        if request.own_calcium || replaced.is_empty() {
            return None;
        }
        let request = Request {
            own_calcium: true,
            ..request
        };
        let exact = design::design(&self.cell, &self.tau_factors, found, request);
        let of = |gbar: Vec<f64>| request.lanes.iter().map(|lane| gbar[*lane]).collect();
        Some(OwnCalcium {
            replaced,
            gbar: exact.ok().map(of),
        })
    }
}

/// Threshold voltage by the rule of a cell type; `None` where it has no DIC definition.
fn threshold(cell: &CellType, gbar: &[f64], tau_factors: &[Vec<f64>; 2]) -> Option<Threshold> {
    let (v_th_mv, v_th_from) = match cell.definition.dic.as_ref()?.threshold {
        ThresholdRule::Fixed(v) => (v, Origin::Fixed),
        ThresholdRule::Scan { fallback, .. } => match dic::crossing(cell, gbar, tau_factors) {
            Some(v) => (v, Origin::Scan),
            None => (fallback, Origin::Fallback),
        },
    };
    Some(Threshold { v_th_mv, v_th_from })
}

/// A channel whose conductance is solved for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Channel.
    pub channel: String,
    /// Conductance that the cell has (mS/cm²).
    pub before: f64,
    /// Conductance that reaches what is wanted (mS/cm²).
    pub gbar: f64,
}

/// Conductances that reach what is wanted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Design {
    /// The channels, in the order asked for.
    pub channels: Vec<Change>,
    /// What they reach at the voltage of the solve, worked out anew from all conductances.
    pub reached: Point,
    /// Threshold voltage of the cell with them.
    #[serde(flatten)]
    pub threshold: Threshold,
    /// How far it has moved (mV).
    pub moved_mv: f64,
    /// What they come to at that threshold.
    pub at_threshold: Point,
    /// Where the cell type says which conductances stand for some of the channels in the
    /// equilibrium calcium, as in the published compensation: what they do without that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_calcium: Option<OwnCalcium>,
}

/// What a design comes to with the calcium that its conductances bring about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OwnCalcium {
    /// Channels whose conductance was replaced in the equilibrium calcium, and by what (mS/cm²).
    pub replaced: Vec<(String, f64)>,
    /// Conductances (mS/cm²) in the order of the channels; `None`: none were found.
    pub gbar: Option<Vec<f64>>,
}
