//! Analysis of a run that is still going on: each window is reported once it can be judged, and no
//! more spikes are kept than the windows still to come need.

use serde::{Deserialize, Serialize};

use super::{
    CellReport, CellTrain, Measures, Recording, RhythmReport, RhythmSpec, WindowReport, WindowSpec,
    analyse,
};

/// A window that was not reported yet.
#[derive(Clone, Copy, Debug)]
struct Pending<'a> {
    /// Its place in the order given.
    index: usize,
    label: &'a str,
    from_ms: f64,
    to_ms: f64,
    measures: Measures,
}

/// Spikes in, reports out. What it reports is what [`analyse`] finds in the whole record.
#[derive(Clone, Debug)]
pub struct Stream<'a> {
    names: Vec<&'a str>,
    rhythms: Vec<RhythmSpec<'a>>,
    gap_ms: f64,
    pending: Vec<Pending<'a>>,
    trains: Vec<Vec<f64>>,
    reports: Vec<(usize, WindowReport)>,
}

/// What a stream knows at a moment, for another one to go on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    windows: Vec<KeptWindow>,
    trains: Vec<Vec<f64>>,
}

/// A window that was followed, with its report if it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptWindow {
    label: String,
    from_ms: f64,
    to_ms: f64,
    rule: String,
    told: Option<(Vec<RhythmReport>, Vec<CellReport>)>,
}

impl KeptWindow {
    /// Whether it is a window that is still to be reported, with the same rule.
    fn is(&self, window: &Pending, gap_ms: f64) -> bool {
        (self.label.as_str(), self.from_ms, self.to_ms)
            == (window.label, window.from_ms, window.to_ms)
            && self.rule == super::rule(window.measures, gap_ms)
    }
}

/// The reports of a finished run.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// Windows in order of time.
    pub reports: Vec<WindowReport>,
    /// Labels of windows that the end of the run cut short.
    pub cut: Vec<String>,
    /// Labels of windows that the run did not reach.
    pub missed: Vec<String>,
}

impl<'a> Stream<'a> {
    /// A stream from time 0 on. Windows are given as (label, from_ms, to_ms, measures).
    pub fn new(
        names: Vec<&'a str>,
        rhythms: Vec<RhythmSpec<'a>>,
        windows: impl IntoIterator<Item = (&'a str, f64, f64, Measures)>,
        gap_ms: f64,
    ) -> Self {
        let pending = windows.into_iter().enumerate();
        Stream {
            trains: vec![Vec::new(); names.len()],
            names,
            rhythms,
            gap_ms,
            pending: pending
                .map(|(index, (label, from_ms, to_ms, measures))| Pending {
                    index,
                    label,
                    from_ms,
                    to_ms,
                    measures,
                })
                .collect(),
            reports: Vec::new(),
        }
    }

    /// Takes a spike of a cell; times (ms) of one cell ascend.
    pub fn push(&mut self, cell: usize, t_ms: f64) {
        // Of what lies before a window only the last spike matters: a burst may begin there. It is
        // kept where no window is left, too: a run that goes on from here may have one.
        let earliest = self.earliest().unwrap_or(f64::INFINITY);
        let train = &mut self.trains[cell];
        if t_ms < earliest {
            train.clear();
        }
        train.push(t_ms);
    }

    /// What is known so far.
    pub fn keep(&self) -> Kept {
        let pending = self.pending.iter().map(|window| KeptWindow {
            label: window.label.to_owned(),
            from_ms: window.from_ms,
            to_ms: window.to_ms,
            rule: super::rule(window.measures, self.gap_ms),
            told: None,
        });
        let told = self.reports.iter().map(|(_, report)| KeptWindow {
            label: report.label.clone(),
            from_ms: report.from_ms,
            to_ms: report.to_ms,
            rule: report.rule.clone(),
            told: Some((report.rhythms.clone(), report.cells.clone())),
        });
        Kept {
            windows: pending.chain(told).collect(),
            trains: self.trains.clone(),
        }
    }

    /// Goes on at `now_ms` from what another stream of the same cells and rhythms knew then. Windows
    /// that had begun and that it did not follow are taken out; gives their labels.
    pub fn resume(&mut self, kept: &Kept, now_ms: f64) -> Vec<String> {
        self.trains.clone_from(&kept.trains);
        let mut unseen = Vec::new();
        for window in std::mem::take(&mut self.pending) {
            let known = kept.windows.iter().find(|k| k.is(&window, self.gap_ms));
            match known.map(|known| &known.told) {
                Some(Some((rhythms, cells))) => {
                    let report = WindowReport {
                        label: window.label.to_owned(),
                        from_ms: window.from_ms,
                        to_ms: window.to_ms,
                        probe_at_ms: None,
                        rule: super::rule(window.measures, self.gap_ms),
                        rhythms: rhythms.clone(),
                        cells: cells.clone(),
                    };
                    self.reports.push((window.index, report));
                }
                None if window.from_ms < now_ms => unseen.push(window.label.to_owned()),
                _ => self.pending.push(window),
            }
        }
        unseen
    }

    /// Reports the windows that no later spike can change. `ca_mean_um` gives the mean calcium (µM)
    /// of a window, by its place in the order given, and a cell.
    pub fn advance(&mut self, now_ms: f64, ca_mean_um: impl Fn(usize, usize) -> Option<f64>) {
        let gap_ms = self.gap_ms;
        let over = |window: &Pending| window.to_ms + gap_ms <= now_ms;
        if !self.pending.iter().any(over) {
            return;
        }
        let (done, pending) = self.pending.iter().partition(|window| over(window));
        self.pending = pending;
        for window in done {
            self.report(window, now_ms, &ca_mean_um);
        }
        self.forget();
    }

    /// Reports the rest at the end of the run; a window that goes on beyond it is cut there.
    pub fn finish(
        mut self,
        end_ms: f64,
        ca_mean_um: impl Fn(usize, usize) -> Option<f64>,
    ) -> Finished {
        let mut finished = Finished::default();
        for mut window in std::mem::take(&mut self.pending) {
            if window.from_ms >= end_ms {
                finished.missed.push(window.label.to_owned());
                continue;
            }
            if window.to_ms > end_ms {
                finished.cut.push(window.label.to_owned());
                window.to_ms = end_ms;
            }
            self.report(window, end_ms, &ca_mean_um);
        }
        self.reports.sort_by(|(i, a), (j, b)| {
            a.from_ms
                .total_cmp(&b.from_ms)
                .then(a.to_ms.total_cmp(&b.to_ms))
                .then(i.cmp(j))
        });
        finished.reports = self.reports.into_iter().map(|(_, report)| report).collect();
        finished
    }

    fn earliest(&self) -> Option<f64> {
        self.pending
            .iter()
            .map(|w| w.from_ms)
            .min_by(f64::total_cmp)
    }

    /// Drops the spikes that no window needs any more.
    fn forget(&mut self) {
        let earliest = self.earliest().unwrap_or(f64::INFINITY);
        for train in &mut self.trains {
            let before = train.partition_point(|t| *t < earliest);
            train.drain(..before.saturating_sub(1));
        }
    }

    fn report(
        &mut self,
        window: Pending,
        now_ms: f64,
        ca_mean_um: &impl Fn(usize, usize) -> Option<f64>,
    ) {
        let cells = 0..self.names.len();
        let means: Vec<Option<f64>> = cells.map(|cell| ca_mean_um(window.index, cell)).collect();
        let cells = self.names.iter().zip(&self.trains);
        let recording = Recording {
            cells: cells
                .map(|(name, spikes)| CellTrain { name, spikes })
                .collect(),
            windows: vec![WindowSpec {
                label: window.label,
                from_ms: window.from_ms,
                to_ms: window.to_ms,
                measures: window.measures,
                ca_mean_um: &means,
            }],
            rhythms: self.rhythms.clone(),
            gap_ms: self.gap_ms,
            record_from_ms: 0.0,
            record_to_ms: now_ms,
        };
        let reports = analyse(&recording).into_iter();
        self.reports
            .extend(reports.map(|report| (window.index, report)));
    }
}
