//! What the science asks of cells and runs: dynamic input conductances.

pub mod dic;
