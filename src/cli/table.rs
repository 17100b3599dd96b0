//! The rhythm table: what a person wants to read first.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::record::summary::{Populations, Summary};
use crate::rhythm::{CellReport, RhythmReport, Verdict, WindowReport};
use crate::run::Failure;
use crate::scene::model::Scene;

const DASH: &str = "-";

/// Lock below which a phase is marked: onsets then lie all over the cycle, and their mean says
/// little.
const DRIFTING: f64 = 0.3;

/// The table of a run.
pub(super) fn render(scene: &Scene, summary: &Summary) -> String {
    let mut text = format!(
        "{}: {}\n{} cells, {} edges, {} of model time in {:.1} s ({}, step {} ms)\n",
        summary.scene,
        scene.about,
        summary.neurons,
        summary.edges,
        seconds(summary.model_ms),
        summary.wall_s,
        summary.integrator,
        summary.step_ms,
    );
    if summary.windows.is_empty() {
        text.push_str("\nThe scene names no windows, so there is no rhythm to report.\n");
    }
    for window in &summary.windows {
        text.push_str(&format!(
            "\n{}, {} to {}\n",
            window.label,
            seconds(window.from_ms),
            seconds(window.to_ms)
        ));
        for rhythm in &window.rhythms {
            text.push_str(&line(rhythm, scene));
        }
        if !window.cells.is_empty() {
            text.push_str(&cells(window));
        }
    }
    for population in &summary.populations {
        text.push_str(&format!(
            "\n{}: {} {}: {} silent, {} tonic, {} irregular, {} bursting{}\n",
            population.window,
            population.n,
            population.name,
            population.silent,
            population.tonic,
            population.irregular,
            population.bursting,
            period(population)
        ));
    }
    text
}

/// Period of the bursting cells of a population, where there are any.
fn period(population: &Populations) -> String {
    let of = |moments: &BTreeMap<String, f64>| moments.get("period_ms").copied();
    match (of(&population.mean), of(&population.sd)) {
        (Some(mean), Some(sd)) => format!(", period {mean:.1} ms (SD {sd:.1})"),
        _ => String::new(),
    }
}

/// A time for people.
pub(super) fn seconds(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{} s", ms / 1000.0)
    } else {
        format!("{ms} ms")
    }
}

/// What a run that was broken off is told as.
pub(super) fn stopped_at(ms: f64) -> Failure {
    Failure::Stopped(format!("at {} of model time", seconds(ms)))
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| DASH.to_string(), |x| format!("{x:.digits$}"))
}

/// One line of a rhythm: verdict, period, phases.
fn line(rhythm: &RhythmReport, scene: &Scene) -> String {
    let mut text = format!("  {} rhythm: {}", rhythm.name, rhythm.verdict);
    let known = scene.rhythms.iter().find(|r| r.name == rhythm.name);
    if rhythm.verdict == Verdict::Absent {
        let least = known.map_or(2, |r| r.min_spikes);
        text.push_str(&format!(" (no burst of {least} or more spikes)\n"));
        return text;
    }
    if let Some(period) = rhythm.period_ms {
        text.push_str(&format!(
            ", period {period:.1} ms (CV {}) in {}",
            number(rhythm.period_cv, 3),
            rhythm.reference
        ));
    }
    text.push('\n');
    let mut drifting = false;
    for cell in &rhythm.cells {
        if let Some(phase) = cell.phase {
            let drifts = cell.lock.is_some_and(|lock| lock < DRIFTING);
            drifting |= drifts;
            text.push_str(&format!(
                "    {} at phase {phase:.3}{} of {}, lock {}\n",
                cell.name,
                if drifts { "?" } else { "" },
                rhythm.reference,
                number(cell.lock, 3)
            ));
        }
    }
    if drifting {
        text.push_str(&format!(
            "    (phase with ?: lock below {DRIFTING}, the cell drifts and its phase means little)\n"
        ));
    }
    text
}

/// The cells of a window.
fn cells(window: &WindowReport) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    let header = [
        "cell",
        "pattern",
        "Hz",
        "bursts",
        "period ms",
        "CV",
        "duty",
        "per burst",
        "most",
        "Ca µM",
    ];
    table.set_header(header);
    for cell in &window.cells {
        table.add_row(row(cell));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines = table.lines();
    lines
        .map(|line| format!(" {}\n", line.trim_end()))
        .collect()
}

fn row(cell: &CellReport) -> Vec<String> {
    vec![
        cell.name.clone(),
        cell.pattern.to_string(),
        number(cell.frequency_hz, 1),
        cell.bursts.to_string(),
        number(cell.period_ms, 1),
        number(cell.period_cv, 3),
        number(cell.duty, 3),
        number(cell.spikes_per_burst, 1),
        cell.spikes_per_burst_max
            .map_or_else(|| DASH.to_string(), |n| n.to_string()),
        number(cell.ca_mean_um, 1),
    ]
}

/// Five significant digits.
pub(super) fn significant(x: f64) -> String {
    let magnitude = if x == 0.0 {
        0.0
    } else {
        x.abs().log10().floor()
    };
    match magnitude {
        -3.0..=6.0 => format!("{x:.*}", (4.0 - magnitude).max(0.0) as usize),
        _ => format!("{x:.4e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rhythm::PhaseReport;
    use crate::scene;

    /// The line of a rhythm whose second cell has the lock `lock`.
    fn line_with(lock: f64) -> String {
        let rhythm = RhythmReport {
            name: "all".to_string(),
            verdict: Verdict::Irregular,
            reference: "A".to_string(),
            period_ms: Some(219.0),
            period_cv: Some(0.01),
            cells: vec![PhaseReport {
                name: "B".to_string(),
                phase: Some(0.25),
                lock: Some(lock),
            }],
        };
        line(&rhythm, &scene::read("half_centre").expect("it ships"))
    }

    #[test]
    fn a_phase_without_lock_is_marked_and_told() {
        let text = line_with(0.29);
        assert!(
            text.contains("B at phase 0.250? of A, lock 0.290\n"),
            "{text}"
        );
        assert!(text.ends_with(
            "    (phase with ?: lock below 0.3, the cell drifts and its phase means little)\n"
        ));
    }

    #[test]
    fn a_locked_phase_is_plain() {
        let text = line_with(0.3);
        assert!(
            text.ends_with("B at phase 0.250 of A, lock 0.300\n"),
            "{text}"
        );
    }
}
