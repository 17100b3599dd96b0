//! Integration of the network over a stretch.
//!
//! Three schemes: [`exponential`] (fixed step, the engine's workhorse), [`accurate`] (every neuron
//! at its own adaptive step) and [`reference`](mod@reference) (the whole network at one adaptive
//! step, for validation).

pub mod accurate;
mod block;
mod columns;
pub(crate) mod dispatch;
pub mod exponential;
mod kernel;
pub mod plan;
pub mod reference;

use bevy_ecs::prelude::*;

pub use accurate::Accurate;
pub use columns::{Columns, NeuronTables};
pub use dispatch::{Kernel, KernelError};
pub use reference::Reference;

use crate::observe::Observers;
use crate::protocol::Protocol;
use crate::schedule::{Clock, EveryStep, Integrator, Stretch, plan};

/// Scratch: the stretch under way.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Planned(pub Stretch);

/// System: plans the next stretch.
pub fn plan_stretch(
    clock: Res<Clock>,
    protocol: Res<Protocol>,
    observers: Res<Observers>,
    every_step: Option<Res<EveryStep>>,
    mut planned: ResMut<Planned>,
) {
    planned.0 = plan(
        &clock,
        protocol.next_time(),
        observers.next_time(&clock),
        every_step.is_some(),
    );
}

/// System: moves the clock to the end of the stretch. Regulation catches up before a protocol
/// entry acts, so that an entry between two control ticks changes nothing that lies before it.
pub fn finish_stretch(mut clock: ResMut<Clock>, protocol: Res<Protocol>, planned: Res<Planned>) {
    match planned.0 {
        Stretch::Whole { to } => clock.go_to(to),
        Stretch::Part { to } => clock.go_inside(to),
        Stretch::Rest => {
            let next = clock.step() + 1;
            clock.go_to(next);
        }
    }
    if protocol.next_time().is_some_and(|t| clock.reached(t)) {
        clock.ask_for_regulation();
    }
}

/// Condition: the fixed-step scheme is asked for.
pub fn exponential_asked(integrator: Res<Integrator>) -> bool {
    *integrator == Integrator::Exponential
}

/// Condition: the accurate scheme is asked for.
pub fn accurate_asked(integrator: Res<Integrator>) -> bool {
    *integrator == Integrator::Accurate
}

/// Condition: the reference scheme is asked for.
pub fn reference_asked(integrator: Res<Integrator>) -> bool {
    *integrator == Integrator::Reference
}
