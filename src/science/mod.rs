//! What the science asks of cells and runs: dynamic input conductances, expectations, and
//! intersections in conductance space.

pub mod degeneracy;
pub mod dic;
pub mod expect;
pub mod intersect;
pub mod outcome;
pub mod statistics;
