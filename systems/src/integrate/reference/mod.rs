//! The reference scheme: the whole network with its homeostasis and controllers as one ODE, on
//! directly evaluated kinetics, by Dormand & Prince's adaptive Runge-Kutta 5(4) with dense output.
//!
//! The cells are stiff (membrane rates reach 5600 per ms), so stability holds the step to
//! microseconds in a spike whatever the tolerance: slow, and for validation.

mod dormand_prince;
mod network;

use bevy_ecs::prelude::*;

use super::columns::NeuronTables;
use super::{Planned, dispatch};
use crate::channels::{CellTypes, NegativeConductance, Parameters};
use crate::coupling::{Coupling, Kinds};
use crate::homeostasis::{BelowZero, Homeostat};
use crate::neuromodulation::Controller;
use crate::observe::{Detection, Spikes};
use crate::schedule::{Clock, NeuronIndex, Neurons};
use crate::simd::{Simd, Task};

pub use dormand_prince::{StepError, integrate};
pub use network::Ode;
use network::{Regulation, Regulators};

/// Settings and state of the reference scheme.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// Relative tolerance.
    pub tolerance: f64,
    /// The step (ms) it would take next; survives the end of a stretch.
    pub step: f64,
}

impl Default for Reference {
    fn default() -> Self {
        Reference {
            tolerance: 1e-8,
            step: 1e-3,
        }
    }
}

/// The integration of a network as one ODE from `t0` to `t1` (ms). Its loops are plain code, only
/// compiled for the vector width.
struct Integrate<'p, 'a> {
    ode: &'p mut Ode<'a>,
    t0: f64,
    t1: f64,
}

impl Task for Integrate<'_, '_> {
    type Output = Result<(), StepError>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        integrate(self.ode, self.t0, self.t1)
    }
}

/// Regulators of the neurons that have any.
type RegulatorData = (
    &'static NeuronIndex,
    &'static NegativeConductance,
    &'static Parameters,
    Option<&'static mut Homeostat>,
    Option<&'static mut Controller>,
);

/// System: advances the world by the planned stretch.
pub fn advance(
    mut tables: NeuronTables,
    mut regulators: Query<RegulatorData, Or<(With<Homeostat>, With<Controller>)>>,
    kernel: Res<dispatch::Kernel>,
    types: Res<CellTypes>,
    kinds: Res<Kinds>,
    neurons: Res<Neurons>,
    clock: Res<Clock>,
    planned: Res<Planned>,
    detection: Res<Detection>,
    mut coupling: ResMut<Coupling>,
    mut spikes: ResMut<Spikes>,
    mut below: ResMut<BelowZero>,
    mut settings: ResMut<Reference>,
    mut commands: Commands,
) {
    let t0 = clock.now();
    let t1 = planned.stretch.end(&clock);
    let regulation: Regulators = regulators
        .iter_mut()
        .map(
            |(index, negative, parameters, homeostat, controller)| Regulation {
                neuron: index.0 as usize,
                negative: *negative,
                parameters: parameters.0.clone(),
                homeostat: homeostat.map(Mut::into_inner),
                controller: controller.map(Mut::into_inner),
            },
        )
        .collect();
    let mut columns = tables.columns();
    let first = spikes.list.len();
    let mut ode = Ode::gather(
        &columns,
        regulation,
        &types,
        &kinds,
        &mut coupling,
        neurons.len(),
        *detection,
        *settings,
    );
    let ode_steps = Integrate {
        ode: &mut ode,
        t0,
        t1,
    };
    let result = dispatch::run(*kernel, ode_steps);
    settings.step = ode.next_step();
    spikes.list.append(&mut ode.spikes);
    let falls = std::mem::take(&mut ode.falls);
    ode.scatter(&mut columns);
    for (neuron, lane, t) in falls {
        below.note(NeuronIndex(neuron as u32), 1 << lane, t);
    }
    spikes.list[first..].sort_by(|a, b| a.t_ms.total_cmp(&b.t_ms).then(a.neuron.cmp(&b.neuron)));
    if let Err(error) = result {
        commands.insert_resource(error.describe(&neurons));
    }
}
