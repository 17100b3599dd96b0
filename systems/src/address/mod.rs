//! Paths: the one name of every scalar of a network, `LP.CaS.gbar`, `LP.V`, `A->B.g`, `A--B.g`,
//! with globs (`slow/*.CaS.gbar`, `*->LP.g`; `*` stays inside one segment).
//!
//! A path is resolved against [`Names`] to [`Address`]es, which [`read`] and [`write()`] take to the
//! components. This is the one room for whoever sets, lists, samples or perturbs a scalar.

mod access;
mod names;

use serde::{Deserialize, Serialize};

pub use access::{Rehearsal, WriteError, read, write, write_bulk};
pub(crate) use access::{
    bulk_edges, bulk_edges_mut, on_width, set_edge_parameters, set_parameters,
};
pub use names::{
    BulkNames, BulkScalar, CellNames, ChannelNames, EdgeNames, Names, PathError, SelectedEdges,
    Targets,
};

/// A scalar of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChannelScalar {
    /// Maximal conductance (mS/cm²).
    Gbar,
    /// Factor on the current.
    Block,
    /// mRNA (mS/cm²), where homeostasis regulates the channel.
    Mrna,
    /// Pool (mS/cm²), where a controller modulates the channel.
    Pool,
    /// Integral of the controller's error (mS/cm² ms).
    Integral,
    /// Kinetic parameter: its place among the channel's.
    Parameter(usize),
    /// Fraction of the channels in a state of its kinetic scheme: the place of the state.
    State(usize),
}

/// A scalar of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum CellScalar {
    V,
    Ca,
    I,
    CaTarget,
    TauG,
    TauNa,
    GS,
    GU,
    Kp,
    Ki,
    Kt,
    UMax,
    Alpha,
    Beta,
    VTh,
}

/// A scalar of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EdgeScalar {
    /// Conductance (mS/cm² of the postsynaptic membrane).
    G,
    /// Activation of a chemical synapse.
    S,
    /// Kinetic parameter: its place among the kind's.
    Parameter(usize),
}

/// A resolved scalar: indices of cells and edges in scene order, lanes of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Address {
    /// Of a cell.
    Cell(usize, CellScalar),
    /// Of a channel of a cell.
    Channel(usize, usize, ChannelScalar),
    /// Of an edge.
    Edge(usize, EdgeScalar),
    /// Of an edge in bulk: which bulk, and the place in it.
    Bulk(usize, usize, EdgeScalar),
}

/// Which values a scalar may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Any finite number.
    Any,
    /// Above 0.
    Positive,
    /// 0 or more.
    NotNegative,
    /// From 0 to 1.
    Fraction,
}

impl Domain {
    /// Whether the domain holds a value.
    pub fn holds(self, x: f64) -> bool {
        x.is_finite()
            && match self {
                Domain::Any => true,
                Domain::Positive => x > 0.0,
                Domain::NotNegative => x >= 0.0,
                Domain::Fraction => (0.0..=1.0).contains(&x),
            }
    }

    /// Its numbers in words, as in "expected …".
    pub fn words(self) -> &'static str {
        match self {
            Domain::Any => "a finite number",
            Domain::Positive => "a number greater than 0",
            Domain::NotNegative => "a number that is not negative",
            Domain::Fraction => "a number from 0 to 1",
        }
    }
}

impl CellScalar {
    /// All of them with their names and units.
    pub const ALL: [(CellScalar, &'static str, &'static str); 15] = [
        (CellScalar::V, "V", "mV"),
        (CellScalar::Ca, "Ca", "µM"),
        (CellScalar::I, "I", "µA/cm²"),
        (CellScalar::CaTarget, "Ca_target", "µM"),
        (CellScalar::TauG, "tau_g", "ms"),
        (CellScalar::TauNa, "tau_Na", "ms µM/(mS/cm²)"),
        (CellScalar::GS, "g_s", "1"),
        (CellScalar::GU, "g_u", "1"),
        (CellScalar::Kp, "Kp", "1/ms"),
        (CellScalar::Ki, "Ki", "1/ms²"),
        (CellScalar::Kt, "Kt", "ms"),
        (CellScalar::UMax, "u_max", "mS/cm²/ms"),
        (CellScalar::Alpha, "alpha", "1/ms"),
        (CellScalar::Beta, "beta", "1/ms"),
        (CellScalar::VTh, "V_th", "mV"),
    ];

    /// Whether it belongs to a homeostat.
    pub fn of_homeostat(self) -> bool {
        matches!(
            self,
            CellScalar::CaTarget | CellScalar::TauG | CellScalar::TauNa
        )
    }

    /// Whether it belongs to a controller.
    pub fn of_controller(self) -> bool {
        !self.of_homeostat() && !matches!(self, CellScalar::V | CellScalar::Ca | CellScalar::I)
    }
}

impl ChannelScalar {
    /// All but the parameters and states, with their names and units.
    pub const ALL: [(ChannelScalar, &'static str, &'static str); 5] = [
        (ChannelScalar::Gbar, "gbar", "mS/cm²"),
        (ChannelScalar::Block, "block", "1"),
        (ChannelScalar::Mrna, "mRNA", "mS/cm²"),
        (ChannelScalar::Pool, "pool", "mS/cm²"),
        (ChannelScalar::Integral, "integral", "mS/cm² ms"),
    ];
}

impl Address {
    /// Unit of the scalar; parameters carry the unit of their expression.
    pub fn unit(self) -> &'static str {
        match self {
            Address::Cell(_, scalar) => CellScalar::ALL
                .iter()
                .find(|(s, ..)| *s == scalar)
                .map_or("", |(_, _, unit)| unit),
            Address::Channel(_, _, ChannelScalar::State(_)) => "1",
            Address::Channel(_, _, scalar) => ChannelScalar::ALL
                .iter()
                .find(|(s, ..)| *s == scalar)
                .map_or("", |(_, _, unit)| unit),
            Address::Edge(_, scalar) | Address::Bulk(_, _, scalar) => match scalar {
                EdgeScalar::G => "mS/cm²",
                EdgeScalar::S => "1",
                EdgeScalar::Parameter(_) => "",
            },
        }
    }

    /// Which values the scalar may be given. A maximal conductance is not negative here, whatever a
    /// network allows; what a kinetic parameter may be shows in its kinetics.
    pub fn domain(self) -> Domain {
        match self {
            Address::Cell(_, scalar) => match scalar {
                CellScalar::V
                | CellScalar::I
                | CellScalar::GS
                | CellScalar::GU
                | CellScalar::VTh => Domain::Any,
                CellScalar::CaTarget
                | CellScalar::TauG
                | CellScalar::TauNa
                | CellScalar::Ki
                | CellScalar::UMax => Domain::Positive,
                CellScalar::Ca
                | CellScalar::Kp
                | CellScalar::Kt
                | CellScalar::Alpha
                | CellScalar::Beta => Domain::NotNegative,
            },
            Address::Channel(_, _, scalar) => match scalar {
                ChannelScalar::Gbar | ChannelScalar::Block => Domain::NotNegative,
                ChannelScalar::Mrna
                | ChannelScalar::Pool
                | ChannelScalar::Integral
                | ChannelScalar::Parameter(_) => Domain::Any,
                ChannelScalar::State(_) => Domain::Fraction,
            },
            Address::Edge(_, scalar) | Address::Bulk(_, _, scalar) => match scalar {
                EdgeScalar::G => Domain::NotNegative,
                EdgeScalar::S => Domain::Fraction,
                EdgeScalar::Parameter(_) => Domain::Any,
            },
        }
    }

    /// Whether a change rebuilds a table (kinetic) and so can only come at protocol times; live
    /// scalars change at any time.
    pub fn is_kinetic(self) -> bool {
        matches!(
            self,
            Address::Channel(_, _, ChannelScalar::Parameter(_))
                | Address::Edge(_, EdgeScalar::Parameter(_))
        )
    }
}
