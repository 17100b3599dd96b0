//! What the science asks of cells and runs: dynamic input conductances, and expectations.

pub mod dic;
pub mod expect;
