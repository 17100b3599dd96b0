//! Studies: a rhythm perturbed many times, over many networks. A [`model::Study`] is read from a
//! file, its members are run, each is judged against its control, and what came of them is written.

pub mod axes;
pub mod bisect;
pub mod compare;
pub mod curves;
pub mod design;
pub mod engine;
pub mod file;
pub mod folder;
pub mod journal;
pub mod judgement;
pub mod maps;
pub mod member;
pub mod model;
pub mod networks;
pub mod observed;
pub mod outcome;
mod overrides;
pub mod record;
pub mod response;
pub mod results;
pub mod return_map;
pub mod sobol;
pub mod summary;
mod table;
pub mod verdict;
