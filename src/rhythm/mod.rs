//! Rhythm analysis: from spike times to bursts, phases, patterns and verdicts.
//!
//! Everything here is a pure function of the spike times; [`analyse`] is the entry point for a whole
//! record, [`Stream`] and [`Cycles`] for a run that is still going on. Two rules
//! split a train into bursts, and each number says which one it uses:
//!
//! * the *gap rule* ([`bursts`]): a burst is a maximal run of spikes whose intervals are at most
//!   `gap_ms`. Bursts are found on the whole train, and a window counts those it wholly contains.
//!   Onsets, periods, duty cycles, spikes per burst, phases, locks and verdicts follow it.
//! * the *adaptive split* ([`published_burst_measures`]): intervals above and below the middle
//!   between the shortest and the longest. [`Pattern`] follows it always, `frequency_hz` and
//!   `burstiness_hz2` where a window asks for [`Measures::Published`].

mod bursts;
mod cycles;
mod measures;
mod pattern;
mod phase;
mod statistics;
mod stream;
#[cfg(test)]
mod tests;
mod verdict;

use serde::{Deserialize, Serialize};

pub use bursts::{Burst, GapMeasures, bursts, counted, gap_measures, whole_bursts, within};
pub use cycles::{Cycle, Cycles, MAX_CYCLE_MS};
pub use measures::{PublishedBursts, published_burst_measures, published_frequency};
pub use pattern::Pattern;
pub use phase::{circular_mean, onset_phases, phase_difference, phased_onsets, resultant};
pub use stream::{Finished, Kept, Stream};
pub use verdict::{MAX_PERIOD_CV, MIN_LOCK, MIN_PHASES, Thresholds, Verdict};

use statistics::finite;

/// Spikes a burst needs to count where no rhythm lists the cell: two, so that a lone spike is not
/// a burst.
pub const DEFAULT_MIN_SPIKES: usize = 2;

/// What is to be analysed. Times are in ms on one common axis.
///
/// Cells are referred to by their index in `cells`.
#[derive(Clone, Debug)]
pub struct Recording<'a> {
    /// Cells in the order in which they are reported.
    pub cells: Vec<CellTrain<'a>>,
    /// Windows, in any order.
    pub windows: Vec<WindowSpec<'a>>,
    /// Rhythms in the order in which they are reported.
    pub rhythms: Vec<RhythmSpec<'a>>,
    /// Longest interval inside a burst (ms).
    pub gap_ms: f64,
    /// Start of the record (ms): spikes before it are unknown.
    pub record_from_ms: f64,
    /// End of the record (ms): spikes after it are unknown.
    pub record_to_ms: f64,
}

/// Spikes of one cell.
#[derive(Clone, Copy, Debug)]
pub struct CellTrain<'a> {
    /// Name of the cell.
    pub name: &'a str,
    /// Spike times (ms), ascending and finite.
    pub spikes: &'a [f64],
}

/// A stretch of time [from, to) that is reported on its own.
#[derive(Clone, Copy, Debug)]
pub struct WindowSpec<'a> {
    /// Label.
    pub label: &'a str,
    /// Start (ms), inclusive.
    pub from_ms: f64,
    /// End (ms), exclusive.
    pub to_ms: f64,
    /// Rule of `frequency_hz` and `burstiness_hz2`.
    pub measures: Measures,
    /// Mean calcium (µM) in this window, one entry a cell; missing entries are undefined.
    pub ca_mean_um: &'a [Option<f64>],
}

/// A named rhythm.
#[derive(Clone, Copy, Debug)]
pub struct RhythmSpec<'a> {
    /// Name.
    pub name: &'a str,
    /// Cells that take part. The reference takes part whether or not it is listed.
    pub cells: &'a [usize],
    /// Cell whose onsets delimit the cycles.
    pub reference: usize,
    /// Bursts with fewer spikes do not count.
    pub min_spikes: usize,
    /// Expected cyclic order of onset phases. A reference that is not listed comes first.
    pub order: Option<&'a [usize]>,
    /// How steady it must be to count as there.
    pub thresholds: Thresholds,
}

/// Rule of a cell's `frequency_hz` and `burstiness_hz2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measures {
    /// Spikes per window length, and burstiness by the gap rule.
    #[default]
    Gap,
    /// [`published_frequency`] and [`published_burst_measures`] of the spikes in the window.
    Published,
}

/// What one window shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowReport {
    /// Label of the window.
    pub label: String,
    /// Start (ms), inclusive.
    pub from_ms: f64,
    /// End (ms), exclusive.
    pub to_ms: f64,
    /// When the neurons of a probe were copied (ms); its window lies in a run of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_at_ms: Option<f64>,
    /// Rule behind the numbers, for people: `gap 100 ms`.
    pub rule: String,
    /// Rhythms in the order given.
    pub rhythms: Vec<RhythmReport>,
    /// Cells in the order given.
    pub cells: Vec<CellReport>,
}

/// One rhythm in one window, over bursts of at least the rhythm's `min_spikes` (gap rule).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RhythmReport {
    /// Name of the rhythm.
    pub name: String,
    /// Whether the rhythm is there.
    pub verdict: Verdict,
    /// Name of the reference cell.
    pub reference: String,
    /// Mean period of the reference cell (ms).
    pub period_ms: Option<f64>,
    /// Coefficient of variation of the reference cell's period (1).
    pub period_cv: Option<f64>,
    /// The other cells of the rhythm, in the order given.
    pub cells: Vec<PhaseReport>,
}

/// How a cell keeps time with the reference cell of a rhythm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Name of the cell.
    pub name: String,
    /// Circular mean of its onset phases, in [0, 1) of the reference cell's cycle; see
    /// [`onset_phases`].
    pub phase: Option<f64>,
    /// Resultant length of its onset phases, 0 (drifting) to 1 (locked).
    pub lock: Option<f64>,
}

/// One cell in one window. Undefined numbers are `None`.
///
/// The gap rule looks at bursts that the window wholly contains. A burst counts with at least the
/// `min_spikes` of the first rhythm that lists the cell, else [`DEFAULT_MIN_SPIKES`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellReport {
    /// Name of the cell.
    pub name: String,
    /// Firing pattern of the spikes in the window (adaptive split).
    pub pattern: Pattern,
    /// Spikes in the window.
    pub spikes: usize,
    /// Firing frequency (Hz): spikes per window length, so 0 for a silent cell; with
    /// [`Measures::Published`] that of [`published_frequency`], undefined below three spikes.
    pub frequency_hz: Option<f64>,
    /// Counted bursts (gap rule).
    pub bursts: usize,
    /// Mean difference of successive counted onsets (ms, gap rule).
    pub period_ms: Option<f64>,
    /// Standard deviation of these differences over their mean (1, gap rule).
    pub period_cv: Option<f64>,
    /// Mean of (offset − onset)/period of the same cycle (1, gap rule).
    pub duty: Option<f64>,
    /// Mean number of spikes of the counted bursts (gap rule).
    pub spikes_per_burst: Option<f64>,
    /// Spikes of the largest burst (gap rule), whether or not it reaches `min_spikes`: a group of 7
    /// shows as 7 where 10 are asked for, and a lone spike as 1.
    pub spikes_per_burst_max: Option<usize>,
    /// 1000/mean interval inside the counted bursts (Hz, gap rule).
    pub intraburst_hz: Option<f64>,
    /// Burstiness (Hz²): spikes per burst · intra-burst frequency · inverse of the mean silence
    /// between bursts. By the gap rule, see [`GapMeasures`]; with [`Measures::Published`] that of
    /// [`published_burst_measures`], whose factors are not those of this row.
    pub burstiness_hz2: Option<f64>,
    /// Mean calcium (µM), as given.
    pub ca_mean_um: Option<f64>,
}

/// Analyses every window, in order of time.
///
/// # Panics
///
/// If a rhythm names a cell index beyond `recording.cells`.
pub fn analyse(recording: &Recording) -> Vec<WindowReport> {
    let whole: Vec<Vec<Burst>> = recording
        .cells
        .iter()
        .map(|cell| {
            whole_bursts(
                cell.spikes,
                recording.gap_ms,
                recording.record_from_ms,
                recording.record_to_ms,
            )
        })
        .collect();
    let min_spikes = row_min_spikes(&recording.rhythms, recording.cells.len());
    windows_in_time(&recording.windows)
        .into_iter()
        .map(|window| window_report(recording, window, &whole, &min_spikes))
        .collect()
}

/// Windows by start, then end, then the order given.
fn windows_in_time<'a, 'b>(windows: &'b [WindowSpec<'a>]) -> Vec<&'b WindowSpec<'a>> {
    let mut sorted: Vec<&WindowSpec> = windows.iter().collect();
    sorted.sort_by(|a, b| {
        a.from_ms
            .total_cmp(&b.from_ms)
            .then(a.to_ms.total_cmp(&b.to_ms))
    });
    sorted
}

/// For each cell the `min_spikes` of the first rhythm that lists it.
fn row_min_spikes(rhythms: &[RhythmSpec], cells: usize) -> Vec<usize> {
    let mut row = vec![DEFAULT_MIN_SPIKES; cells];
    for rhythm in rhythms.iter().rev() {
        for &cell in rhythm.cells {
            row[cell] = rhythm.min_spikes;
        }
    }
    row
}

fn window_report(
    recording: &Recording,
    window: &WindowSpec,
    whole: &[Vec<Burst>],
    min_spikes: &[usize],
) -> WindowReport {
    let in_window: Vec<&[Burst]> = whole
        .iter()
        .map(|all| within(all, window.from_ms, window.to_ms))
        .collect();
    let names: Vec<&str> = recording.cells.iter().map(|cell| cell.name).collect();
    let cells = recording
        .cells
        .iter()
        .enumerate()
        .map(|(k, cell)| {
            let ca_mean_um = window.ca_mean_um.get(k).copied().flatten();
            cell_report(cell, window, in_window[k], min_spikes[k], ca_mean_um)
        })
        .collect();
    WindowReport {
        label: window.label.to_owned(),
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        probe_at_ms: None,
        rule: rule(window.measures, recording.gap_ms),
        rhythms: recording
            .rhythms
            .iter()
            .map(|rhythm| verdict::rhythm_report(rhythm, &names, &in_window))
            .collect(),
        cells,
    }
}

fn rule(measures: Measures, gap_ms: f64) -> String {
    match measures {
        Measures::Gap => format!("gap {gap_ms} ms"),
        Measures::Published => {
            format!("gap {gap_ms} ms; frequency_hz and burstiness_hz2 as published")
        }
    }
}

fn cell_report(
    cell: &CellTrain,
    window: &WindowSpec,
    in_window: &[Burst],
    min_spikes: usize,
    ca_mean_um: Option<f64>,
) -> CellReport {
    let spikes = spikes_within(cell.spikes, window.from_ms, window.to_ms);
    let gap = gap_measures(&counted(in_window, min_spikes));
    let (frequency_hz, burstiness_hz2) = match window.measures {
        Measures::Gap => (
            finite(1000.0 * spikes.len() as f64 / (window.to_ms - window.from_ms)),
            gap.burstiness_hz2,
        ),
        Measures::Published => (
            published_frequency(spikes),
            published_burst_measures(spikes).map(|published| published.burstiness_hz2),
        ),
    };
    CellReport {
        name: cell.name.to_owned(),
        pattern: Pattern::of(spikes),
        spikes: spikes.len(),
        frequency_hz,
        bursts: gap.bursts,
        period_ms: gap.period_ms,
        period_cv: gap.period_cv,
        duty: gap.duty,
        spikes_per_burst: gap.spikes_per_burst,
        spikes_per_burst_max: in_window.iter().map(|burst| burst.n_spikes).max(),
        intraburst_hz: gap.intraburst_hz,
        burstiness_hz2,
        ca_mean_um: ca_mean_um.and_then(finite),
    }
}

/// Spikes in [from, to).
fn spikes_within(spikes: &[f64], from_ms: f64, to_ms: f64) -> &[f64] {
    let first = spikes.partition_point(|&t| t < from_ms);
    let len = spikes[first..].partition_point(|&t| t < to_ms);
    &spikes[first..first + len]
}
