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
use crate::schedule::{
    Clock, EveryStep, Integrator, Neurons, Pace, Stretch, ThroughTicks, Tick, plan,
};

/// Scratch: the stretch under way.
#[derive(Resource, Clone, Debug)]
pub struct Planned {
    /// What it consists of.
    pub stretch: Stretch,
    /// Control ticks inside it, at which the integrator regulates.
    pub ticks: Vec<Tick>,
}

impl Default for Planned {
    fn default() -> Self {
        Planned {
            stretch: Stretch::Rest,
            ticks: Vec::new(),
        }
    }
}

/// System: plans the next stretch.
pub fn plan_stretch(
    clock: Res<Clock>,
    protocol: Res<Protocol>,
    observers: Res<Observers>,
    integrator: Res<Integrator>,
    neurons: Res<Neurons>,
    (every_step, through): (Option<Res<EveryStep>>, Option<Res<ThroughTicks>>),
    mut planned: ResMut<Planned>,
) {
    let alone = *integrator == Integrator::Exponential && !protocol.ramping();
    let pace = match (every_step, through) {
        (Some(_), _) => Pace::EveryStep,
        (None, Some(_)) if alone => Pace::ThroughTicks(neurons.len()),
        _ => Pace::ToTick,
    };
    let observe = observers.next_time(&clock);
    planned.stretch = plan(&clock, protocol.next_time(), observe, pace);
    planned.ticks = match planned.stretch {
        Stretch::Whole { to } => clock.ticks_before(to),
        _ => Vec::new(),
    };
}

/// System: moves the clock to the end of the stretch. Regulation catches up before a protocol
/// entry acts, so that an entry between two control ticks changes nothing that lies before it.
pub fn finish_stretch(mut clock: ResMut<Clock>, protocol: Res<Protocol>, planned: Res<Planned>) {
    for tick in &planned.ticks {
        clock.go_through(tick);
    }
    match planned.stretch {
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
