//! Bursts one by one while a run goes on: the rows of a table of bursts, by the gap rule.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Burst, RhythmSpec, row_min_spikes};

/// A cycle of the reference cell that lasts longer (ms) gives no phases, so that bursts need not
/// wait for a cell that has fallen silent.
pub const MAX_CYCLE_MS: f64 = 60_000.0;

/// A burst of a cell with at least the `min_spikes` of the first rhythm that lists the cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// Cell.
    pub cell: usize,
    /// Number of the burst among those of its cell, from 0.
    pub k: u64,
    /// Onset, offset and spikes.
    pub burst: Burst,
    /// From this onset to the next (ms), if there is one.
    pub period_ms: Option<f64>,
    /// Onset in the cycle of the reference cell of that rhythm, in [0, 1).
    pub phase: Option<f64>,
}

impl Cycle {
    /// (offset - onset)/period.
    pub fn duty(&self) -> Option<f64> {
        let period = self.period_ms?;
        Some((self.burst.off_ms - self.burst.on_ms) / period)
    }
}

/// A burst whose period or phase is not known yet.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Waiting {
    cycle: Cycle,
    /// Whether the phase is settled, be it that there is none.
    phased: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Cell {
    /// Burst under way.
    open: Option<Burst>,
    min_spikes: usize,
    /// First rhythm that lists the cell.
    rhythm: Option<usize>,
    bursts: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reference {
    cell: usize,
    min_spikes: usize,
    /// Recent onsets (ms).
    onsets: VecDeque<f64>,
}

/// Follows the spikes of a run. Cycles come out as soon as they are complete: those of one cell in
/// order, and the order of all is decided by the spikes alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cycles {
    gap_ms: f64,
    cells: Vec<Cell>,
    references: Vec<Reference>,
}

impl Cycles {
    /// Follows `cells` cells from time 0 on.
    pub fn new(cells: usize, rhythms: &[RhythmSpec], gap_ms: f64) -> Self {
        let rhythm = |cell: usize| rhythms.iter().position(|r| r.cells.contains(&cell));
        let min_spikes = row_min_spikes(rhythms, cells).into_iter().enumerate();
        Cycles {
            gap_ms,
            cells: min_spikes
                .map(|(cell, min_spikes)| Cell {
                    min_spikes,
                    rhythm: rhythm(cell),
                    ..Cell::default()
                })
                .collect(),
            references: rhythms
                .iter()
                .map(|rhythm| Reference {
                    cell: rhythm.reference,
                    min_spikes: rhythm.min_spikes,
                    onsets: VecDeque::new(),
                })
                .collect(),
        }
    }

    /// Takes a spike; all spikes come in order of time.
    pub fn push(&mut self, cell: usize, t_ms: f64, complete: &mut Vec<Cycle>) {
        match &mut self.cells[cell].open {
            Some(burst) if t_ms - burst.off_ms <= self.gap_ms => {
                burst.off_ms = t_ms;
                burst.n_spikes += 1;
            }
            open => {
                let over = open.replace(Burst {
                    on_ms: t_ms,
                    off_ms: t_ms,
                    n_spikes: 1,
                });
                if let Some(burst) = over {
                    self.close(cell, burst, complete);
                }
            }
        }
    }

    /// Gives out the rest at the end of the run (ms), but for bursts that may go on beyond it.
    pub fn finish(mut self, end_ms: f64, complete: &mut Vec<Cycle>) {
        for cell in 0..self.cells.len() {
            if let Some(burst) = self.cells[cell].open.take()
                && burst.off_ms <= end_ms - self.gap_ms
            {
                self.close(cell, burst, complete);
            }
        }
        for cell in &mut self.cells {
            complete.extend(cell.waiting.drain(..).map(|waiting| waiting.cycle));
        }
    }

    fn close(&mut self, cell: usize, burst: Burst, complete: &mut Vec<Cycle>) {
        if burst.on_ms < self.gap_ms {
            // It may have begun before the run.
            return;
        }
        self.enter(cell, burst);
        for rhythm in 0..self.references.len() {
            let reference = &mut self.references[rhythm];
            if reference.cell == cell && burst.n_spikes >= reference.min_spikes {
                reference.onset(burst.on_ms);
                self.settle_phases(rhythm, complete);
            }
        }
        self.cells[cell].release(complete);
    }

    /// Enters a burst of a cell, which ends the cycle of the one before it.
    fn enter(&mut self, cell: usize, burst: Burst) {
        let Cell {
            min_spikes,
            rhythm,
            bursts,
            waiting,
            ..
        } = &mut self.cells[cell];
        if burst.n_spikes < *min_spikes {
            return;
        }
        if let Some(last) = waiting.back_mut() {
            last.cycle.period_ms = Some(burst.on_ms - last.cycle.burst.on_ms);
        }
        for early in waiting.iter_mut() {
            early.phased |= burst.on_ms - early.cycle.burst.on_ms > MAX_CYCLE_MS;
        }
        let mut entered = Waiting {
            cycle: Cycle {
                cell,
                k: *bursts,
                burst,
                period_ms: None,
                phase: None,
            },
            phased: true,
        };
        if let Some(rhythm) = *rhythm {
            self.references[rhythm].settle(&mut entered);
        }
        *bursts += 1;
        waiting.push_back(entered);
    }

    /// Settles what a new onset of a reference cell decides.
    fn settle_phases(&mut self, rhythm: usize, complete: &mut Vec<Cycle>) {
        let reference = &self.references[rhythm];
        for (cell, state) in self.cells.iter_mut().enumerate() {
            if state.rhythm != Some(rhythm) {
                continue;
            }
            for waiting in state.waiting.iter_mut().filter(|w| !w.phased) {
                reference.settle(waiting);
            }
            if cell != reference.cell {
                state.release(complete);
            }
        }
    }
}

impl Cell {
    /// Gives out the bursts at the front of the queue that are complete.
    fn release(&mut self, complete: &mut Vec<Cycle>) {
        while let Some(first) = self.waiting.front()
            && first.phased
            && first.cycle.period_ms.is_some()
        {
            complete.push(first.cycle);
            self.waiting.pop_front();
        }
    }
}

impl Reference {
    fn onset(&mut self, on_ms: f64) {
        self.onsets.push_back(on_ms);
        while self.onsets.len() > 2 && self.onsets[1] < on_ms - MAX_CYCLE_MS {
            self.onsets.pop_front();
        }
    }

    /// Settles the phase of a burst if the cycle it lies in is over.
    fn settle(&self, waiting: &mut Waiting) {
        let on_ms = waiting.cycle.burst.on_ms;
        let next = self.onsets.partition_point(|onset| *onset <= on_ms);
        waiting.phased = next < self.onsets.len();
        if let Some(last) = next.checked_sub(1)
            && waiting.phased
        {
            let (from, to) = (self.onsets[last], self.onsets[next]);
            waiting.cycle.phase = Some((on_ms - from) / (to - from));
        }
    }
}
