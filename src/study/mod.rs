//! Studies: a rhythm perturbed many times, over many networks. A [`model::Study`] is read from a
//! file, its members are run, each is judged against its control, and what came of them is written.

pub mod axes;
pub mod design;
pub mod file;
pub mod journal;
pub mod model;
pub mod observed;
mod overrides;
pub mod sobol;
mod table;
