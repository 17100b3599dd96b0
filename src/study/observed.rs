//! What was observed of one branch: the same for the control and for what is held against it.

use crate::rhythm::WindowReport;

use super::model::Moment;

/// A branch, or as much of it as there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Time of the fork (ms).
    pub fork_ms: f64,
    /// Time at which the protocol was undone (ms); the end of `during`.
    pub undo_ms: f64,
    /// Time up to which it ran (ms).
    pub end_ms: f64,
    /// Reports of the windows, by [`Moment`]; those that the study has and the run reached whole.
    /// Their verdicts are by the thresholds of the study's criteria.
    pub windows: [Option<WindowReport>; 3],
    /// The scalars of [`super::model::Study::scalars`], in their order, at the end of each window.
    pub scalars: [Vec<Option<f64>>; 3],
    /// Spike times (ms) of every cell, ascending, from the beginning of the window before the fork
    /// on; from the fork on if there is no such window.
    pub trains: Vec<Vec<f64>>,
    /// Why it broke off, if it did.
    pub error: Option<String>,
}

impl Observed {
    /// The report of a window.
    pub fn window(&self, moment: Moment) -> Option<&WindowReport> {
        self.windows[moment as usize].as_ref()
    }
}
