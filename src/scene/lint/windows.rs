//! Windows that look too early or too briefly.

use super::super::{
    diagnostic::{Diagnostic, Diagnostics},
    model::Window,
};
use super::{Network, digits};

/// How long the start of a run is felt (ms) where a controller is on from the start: a step of a
/// reference is within 2 % after 4.4 s with the published gains (arXiv 2412.04172), and the first
/// references are such a step even where the integral is preloaded.
const CONTROLLED: f64 = 5_000.0;

/// The same (ms) without a controller: the first bursts.
const FREE: f64 = 500.0;

/// Periods that a window has to hold: fewer give no mean of a period, let alone its CV.
const PERIODS: f64 = 3.0;

/// A window that begins before the start of the run is forgotten.
pub(super) fn in_transient(network: &Network<'_>, lints: &mut Diagnostics) {
    let scene = network.scene;
    let mut controllers = scene
        .cells
        .iter()
        .filter_map(|cell| cell.controller.as_ref());
    let (transient, why) = if controllers.any(|controller| controller.on) {
        (CONTROLLED, "the controllers move their conductances")
    } else {
        (FREE, "the cells leave their start values")
    };
    for window in scene.run_windows().filter(|w| w.from_ms < transient) {
        lints.push(
            Diagnostic::lint(
                &window.origin,
                format!("window `{}` begins inside the start transient", window.label),
            )
            .label(format!("begins at {} ms", window.from_ms))
            .help(format!(
                "for about {transient} ms {why}, and a mean over the window mixes that with what follows; \
                 `from_ms: {transient}` or later"
            )),
        );
    }
}

/// A window shorter than three periods of what a cell of a rhythm is known to do.
pub(super) fn too_short(network: &Network<'_>, lints: &mut Diagnostics) {
    let scene = network.scene;
    let slowest = scene
        .rhythms
        .iter()
        .flat_map(|rhythm| rhythm.cells.iter().map(move |cell| (rhythm, *cell)))
        .filter_map(|(rhythm, cell)| Some((rhythm, cell, network.known_rhythm(cell)?)))
        .reduce(|slowest, next| {
            if next.2.period > slowest.2.period {
                next
            } else {
                slowest
            }
        });
    let Some((rhythm, cell, known)) = slowest else {
        return;
    };
    let needed = PERIODS * known.period;
    let length = |window: &Window| window.to_ms - window.from_ms;
    for window in scene.run_windows().filter(|w| length(w) < needed) {
        lints.push(
            Diagnostic::lint(
                &window.origin,
                format!("window `{}` is shorter than three periods", window.label),
            )
            .label(format!("{} ms long", digits(length(window), 6)))
            .help(format!(
                "`{}` of rhythm `{}` can do {} of {} ms; make the window {needed} ms or longer",
                network.name(cell),
                rhythm.name,
                known.about,
                known.period,
            )),
        );
    }
}
