//! What the journal keeps of a member: its judgement, and the rows of the tables that are asked for.

use serde::{Deserialize, Serialize};

use crate::{
    rhythm::{CellReport, Pattern, phased_onsets},
    scene::model::Scene,
};

use super::{
    judgement::Judgement,
    maps::Lags,
    model::{Moment, ReturnMap, Study},
    observed::Observed,
    return_map, verdict,
};

/// The record of a member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The judgement; one without rhythms has an error.
    pub judgement: Judgement,
    /// Time of the fork (ms), if it came to that.
    pub fork_ms: Option<f64>,
    /// Cells in their order, by [`Moment`]; empty where nobody asks or the window was not reached.
    pub cells: [Vec<Cell>; 3],
    /// Bursts of the rhythms, if asked for.
    pub cycles: Vec<Cycle>,
    /// Lags in the cycles of `during`, if the study makes a return map.
    pub lags: Lags,
}

/// A cell in a window, as [`CellReport`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Index of the pattern in [`PATTERNS`].
    pub pattern: u8,
    /// Spikes.
    pub spikes: u32,
    /// Counted bursts.
    pub bursts: u32,
    /// Spikes of the largest burst.
    pub largest_burst: Option<u32>,
    /// Firing frequency (Hz), period (ms), its coefficient of variation, duty, spikes per burst,
    /// frequency inside bursts (Hz), burstiness (Hz²), mean calcium (µM).
    pub numbers: [Option<f64>; 8],
}

/// Patterns in the order of their words.
pub const PATTERNS: [Pattern; 4] = [
    Pattern::Silent,
    Pattern::Tonic,
    Pattern::Irregular,
    Pattern::Bursting,
];

/// A burst of a cell of a rhythm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// Rhythm, by its index in the base.
    pub rhythm: u32,
    /// Cell, by its index in the base.
    pub cell: u32,
    /// Number of the burst among those of the cell, from 0.
    pub k: u32,
    /// First spike, after the fork (ms).
    pub on_ms: f64,
    /// Last spike, after the fork (ms).
    pub off_ms: f64,
    /// To the next onset (ms).
    pub period_ms: Option<f64>,
    /// Onset in the cycle of the reference cell, in [0, 1).
    pub phase: Option<f64>,
    /// Spikes.
    pub n_spikes: u32,
}

impl Record {
    /// Of a member whose network could not be made or run.
    pub fn failed(reason: String) -> Self {
        Record {
            judgement: Judgement {
                error: Some(reason),
                ..Judgement::default()
            },
            ..Record::default()
        }
    }

    /// Of a member of a base, by its index.
    pub fn of(study: &Study, base: usize, judgement: Judgement, observed: &Observed) -> Self {
        let scene = &study.bases[base];
        let cells = |moment| {
            let report = observed.window(moment).filter(|_| study.tables.cells);
            report.map_or_else(Vec::new, |w| w.cells.iter().map(Cell::of).collect())
        };
        let from_ms = observed.fork_ms - study.before_ms;
        Record {
            judgement,
            fork_ms: Some(observed.fork_ms),
            cells: [Moment::Before, Moment::During, Moment::After].map(cells),
            cycles: match study.tables.cycles {
                true => cycles(scene, observed, from_ms),
                false => Vec::new(),
            },
            lags: study.return_map.as_ref().map_or_else(Vec::new, |asked| {
                lags(study, scene, asked, observed, from_ms)
            }),
        }
    }

    /// As the journal keeps it.
    ///
    /// # Errors
    /// It cannot be written so; in words.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        postcard::to_extend(self, Vec::new()).map_err(|error| error.to_string())
    }

    /// From what the journal kept.
    ///
    /// # Errors
    /// It is no record; in words.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        postcard::from_bytes(bytes).map_err(|error| error.to_string())
    }
}

impl Cell {
    fn of(report: &CellReport) -> Self {
        let pattern = PATTERNS.iter().position(|p| *p == report.pattern);
        Cell {
            pattern: pattern.unwrap_or_default() as u8,
            spikes: report.spikes as u32,
            bursts: report.bursts as u32,
            largest_burst: report.spikes_per_burst_max.map(|n| n as u32),
            numbers: [
                report.frequency_hz,
                report.period_ms,
                report.period_cv,
                report.duty,
                report.spikes_per_burst,
                report.intraburst_hz,
                report.burstiness_hz2,
                report.ca_mean_um,
            ],
        }
    }
}

/// The lags in the cycles of `during` but for what it leaves out; the record of spikes begins at
/// `from_ms`.
fn lags(
    study: &Study,
    scene: &Scene,
    asked: &ReturnMap,
    observed: &Observed,
    from_ms: f64,
) -> Lags {
    let first_ms = observed.fork_ms + study.during.skip_ms;
    let mut bursts = verdict::rhythm_bursts(scene, asked.rhythm, observed, from_ms).into_iter();
    let mut reference = bursts.next().unwrap_or_default();
    reference.retain(|burst| (first_ms..observed.undo_ms).contains(&burst.on_ms));
    return_map::lags(&reference, &bursts.collect::<Vec<_>>())
}

/// The bursts of every rhythm; the record of spikes begins at `from_ms`.
fn cycles(scene: &Scene, observed: &Observed, from_ms: f64) -> Vec<Cycle> {
    let mut all = Vec::new();
    for (rhythm, spec) in scene.rhythms.iter().enumerate() {
        let bursts = verdict::rhythm_bursts(scene, rhythm, observed, from_ms);
        let reference = bursts.first().map_or(&[][..], Vec::as_slice);
        for (cell, own) in verdict::cells(spec).zip(&bursts) {
            let phases = phased_onsets(reference, own);
            let phase = |on_ms: f64| phases.iter().find(|(on, _)| *on == on_ms).map(|(_, p)| *p);
            let next = own.iter().skip(1).map(|burst| Some(burst.on_ms));
            let numbered = own.iter().zip(next.chain([None])).enumerate();
            all.extend(numbered.map(|(k, (burst, next))| Cycle {
                rhythm: rhythm as u32,
                cell: cell as u32,
                k: k as u32,
                on_ms: burst.on_ms - observed.fork_ms,
                off_ms: burst.off_ms - observed.fork_ms,
                period_ms: next.map(|next| next - burst.on_ms),
                phase: phase(burst.on_ms),
                n_spikes: burst.n_spikes as u32,
            }));
        }
    }
    all
}
