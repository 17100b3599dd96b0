//! Whole analyses on constructed trains, and laws that hold for any train.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const GAP_MS: f64 = 100.0;

fn pair_recording<'a>(
    a: &'a [f64],
    b: &'a [f64],
    windows: Vec<WindowSpec<'a>>,
    rhythms: Vec<RhythmSpec<'a>>,
) -> Recording<'a> {
    Recording {
        cells: vec![
            CellTrain {
                name: "A",
                spikes: a,
            },
            CellTrain {
                name: "B",
                spikes: b,
            },
        ],
        windows,
        rhythms,
        gap_ms: GAP_MS,
        record_from_ms: 0.0,
        record_to_ms: 10_000.0,
    }
}

fn window(label: &str, from_ms: f64, to_ms: f64) -> WindowSpec<'_> {
    WindowSpec {
        label,
        from_ms,
        to_ms,
        measures: Measures::Gap,
        ca_mean_um: &[],
    }
}

fn rhythm(min_spikes: usize) -> RhythmSpec<'static> {
    RhythmSpec {
        name: "all",
        cells: &[0, 1],
        reference: 0,
        min_spikes,
        order: None,
        thresholds: Thresholds::default(),
    }
}

/// Bursts of `spikes` spikes, 10 ms apart, each `period` from `start` to the end of 10 s.
fn train(start: f64, period: f64, spikes: usize) -> Vec<f64> {
    let n = ((10_000.0 - start) / period).ceil() as usize;
    (0..n)
        .flat_map(|k| (0..spikes).map(move |j| start + k as f64 * period + j as f64 * 10.0))
        .filter(|&t| t < 10_000.0)
        .collect()
}

#[test]
fn an_antiphase_pair_in_full() {
    let (a, b) = (train(0.0, 400.0, 6), train(200.0, 400.0, 3));
    let calcium = [Some(125.0), Some(f64::NAN)];
    let mut late = window("late", 5000.0, 9000.0);
    late.ca_mean_um = &calcium;
    let early = window("early", 0.0, 5000.0);
    let recording = pair_recording(&a, &b, vec![late, early], vec![rhythm(2)]);
    let reports = analyse(&recording);
    let labels: Vec<&str> = reports.iter().map(|report| report.label.as_str()).collect();
    assert_eq!(labels, ["early", "late"]);

    let early = &reports[0];
    // The first spike stands at the start of the record: nobody knows what came before.
    assert_eq!(early.cells[0].bursts, 12);
    assert_eq!(early.cells[0].spikes, 78);
    assert_eq!(early.cells[0].frequency_hz, Some(15.6));
    assert_eq!(early.cells[0].ca_mean_um, None);
    assert_eq!(early.cells[1].bursts, 12);

    let late = &reports[1];
    assert_eq!(late.rule, "gap 100 ms");
    assert_eq!(late.rhythms[0].verdict, Verdict::Rhythmic);
    assert_eq!(late.rhythms[0].cells[0].phase, Some(0.5));
    assert_eq!(late.rhythms[0].cells[0].lock, Some(1.0));
    let a = &late.cells[0];
    assert_eq!(a.pattern, Pattern::Bursting);
    assert_eq!(a.bursts, 10);
    assert_eq!(a.period_ms, Some(400.0));
    assert_eq!(a.period_cv, Some(0.0));
    assert_eq!(a.duty, Some(0.125));
    assert_eq!(a.spikes_per_burst, Some(6.0));
    assert_eq!(a.intraburst_hz, Some(100.0));
    assert_eq!(a.ca_mean_um, Some(125.0));
    assert_eq!(late.cells[1].ca_mean_um, None);
}

#[test]
fn json_has_the_promised_names() {
    let spikes = train(0.0, 400.0, 6);
    let recording = pair_recording(
        &spikes,
        &[],
        vec![window("w", 0.0, 8000.0)],
        vec![rhythm(2)],
    );
    let json = serde_json::to_string(&analyse(&recording)).unwrap();
    let expected = concat!(
        r#"[{"label":"w","from_ms":0.0,"to_ms":8000.0,"rule":"gap 100 ms","#,
        r#""rhythms":[{"name":"all","verdict":"irregular","reference":"A","#,
        r#""period_ms":400.0,"period_cv":0.0,"#,
        r#""cells":[{"name":"B","phase":null,"lock":null}]}],"#,
        r#""cells":[{"name":"A","pattern":"bursting","spikes":120,"frequency_hz":15.0,"#,
        r#""bursts":19,"period_ms":400.0,"period_cv":0.0,"duty":0.125,"spikes_per_burst":6.0,"#,
        r#""spikes_per_burst_max":6,"intraburst_hz":100.0,"burstiness_hz2":1714.2857142857142,"#,
        r#""ca_mean_um":null},"#,
        r#"{"name":"B","pattern":"silent","spikes":0,"frequency_hz":0.0,"#,
        r#""bursts":0,"period_ms":null,"period_cv":null,"duty":null,"spikes_per_burst":null,"#,
        r#""spikes_per_burst_max":null,"intraburst_hz":null,"burstiness_hz2":null,"#,
        r#""ca_mean_um":null}]}]"#
    );
    assert_eq!(json, expected);
}

#[test]
fn small_groups_show_although_they_do_not_count() {
    let (a, b) = (train(250.0, 500.0, 7), train(0.0, 500.0, 12));
    let recording = pair_recording(
        &a,
        &b,
        vec![window("w", 0.0, 10_000.0)],
        vec![rhythm(10), rhythm(2)],
    );
    let report = &analyse(&recording)[0];
    assert_eq!(report.cells[0].bursts, 0);
    assert_eq!(report.cells[0].spikes_per_burst, None);
    assert_eq!(report.cells[0].spikes_per_burst_max, Some(7));
    assert_eq!(report.cells[1].spikes_per_burst_max, Some(12));
    assert_eq!(report.rhythms[0].verdict, Verdict::Irregular);
    assert_eq!(report.rhythms[1].verdict, Verdict::Rhythmic);
}

#[test]
fn a_cell_outside_every_rhythm_needs_two_spikes_a_burst() {
    let (a, b) = (train(250.0, 500.0, 3), train(250.0, 500.0, 1));
    let alone = RhythmSpec {
        cells: &[0],
        ..rhythm(4)
    };
    let recording = pair_recording(&b, &a, vec![window("w", 0.0, 9000.0)], vec![alone]);
    let cells = &analyse(&recording)[0].cells;
    assert_eq!(cells[0].bursts, 0);
    assert_eq!(cells[0].spikes_per_burst_max, Some(1));
    assert_eq!(cells[1].bursts, 18);
}

#[test]
fn fast_tonic_firing_is_neither_a_burst_nor_a_rhythm() {
    let tonic: Vec<f64> = (0..500).map(|k| f64::from(k) * 20.0).collect();
    let windows = vec![window("w", 1000.0, 9000.0)];
    let recording = pair_recording(&tonic, &tonic, windows, vec![rhythm(2)]);
    let report = &analyse(&recording)[0];
    assert_eq!(report.cells[0].pattern, Pattern::Tonic);
    assert_eq!(report.cells[0].bursts, 0);
    assert_eq!(report.cells[0].frequency_hz, Some(50.0));
    assert_eq!(report.rhythms[0].verdict, Verdict::Absent);
}

#[test]
fn the_published_rule_changes_frequency_and_burstiness_only() {
    let (a, b) = (train(250.0, 500.0, 4), train(250.0, 5000.0, 1));
    let gap = window("w", 0.0, 9000.0);
    let published = WindowSpec {
        measures: Measures::Published,
        ..gap
    };
    let recording = pair_recording(&a, &b, vec![gap, published], vec![rhythm(2)]);
    let reports = analyse(&recording);
    assert_eq!(
        reports[1].rule,
        "gap 100 ms; frequency_hz and burstiness_hz2 as published"
    );
    let (gap, published) = (&reports[0].cells, &reports[1].cells);
    assert_eq!(gap[0].frequency_hz, Some(8.0));
    assert_eq!(
        published[0].frequency_hz,
        published_frequency(&a[..gap[0].spikes])
    );
    assert_eq!(published[1].frequency_hz, None);
    let burstiness = published[0].burstiness_hz2.unwrap();
    assert!((burstiness - 4.0 * 100.0 * 1000.0 / 470.0).abs() < 1e-9);
    let same_otherwise = CellReport {
        frequency_hz: gap[0].frequency_hz,
        burstiness_hz2: gap[0].burstiness_hz2,
        ..published[0].clone()
    };
    assert_eq!(same_otherwise, gap[0]);
}

#[test]
fn an_empty_recording_is_reported_too() {
    let recording = Recording {
        cells: vec![],
        windows: vec![window("nothing", 5.0, 5.0)],
        rhythms: vec![],
        gap_ms: GAP_MS,
        record_from_ms: 0.0,
        record_to_ms: 0.0,
    };
    let reports = analyse(&recording);
    assert!(reports[0].cells.is_empty() && reports[0].rhythms.is_empty());
    let empty_window = pair_recording(
        &[1.0],
        &[],
        vec![window("nothing", 5.0, 5.0)],
        vec![rhythm(2)],
    );
    assert_eq!(analyse(&empty_window)[0].cells[0].frequency_hz, None);
}

/// A train in whole ms, as intervals: short ones, ones of exactly the gap, and silences. Whole
/// numbers keep shifts and integer scalings exact, so that no interval changes sides of the gap.
fn any_train() -> impl Strategy<Value = Vec<f64>> {
    let interval = prop_oneof![
        6 => 1_u32..40,
        1 => Just(100_u32),
        1 => Just(0_u32),
        3 => 101_u32..700,
    ];
    proptest::collection::vec(interval, 0..80).prop_map(|intervals| {
        intervals
            .into_iter()
            .scan(0, |t, interval| {
                *t += interval;
                Some(f64::from(*t))
            })
            .filter(|&t| t < 10_000.0)
            .collect()
    })
}

/// Analysis of some trains with all times moved and scaled, in one window and the whole record.
fn analyse_moved(
    trains: &[Vec<f64>],
    measures: Measures,
    shift: f64,
    scale: f64,
) -> Vec<WindowReport> {
    let moved: Vec<Vec<f64>> = trains
        .iter()
        .map(|train| train.iter().map(|t| t * scale + shift).collect())
        .collect();
    let names = ["A", "B", "C"];
    let spec = |label, from: f64, to: f64| WindowSpec {
        measures,
        ..window(label, from * scale + shift, to * scale + shift)
    };
    analyse(&Recording {
        cells: moved
            .iter()
            .zip(names)
            .map(|(spikes, name)| CellTrain { name, spikes })
            .collect(),
        windows: vec![spec("whole", 0.0, 10_000.0), spec("middle", 700.0, 3100.0)],
        rhythms: vec![rhythm(2), rhythm(5)],
        gap_ms: GAP_MS * scale,
        record_from_ms: shift,
        record_to_ms: 10_000.0 * scale + shift,
    })
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        (a, b) => a == b,
    }
}

/// Every number of the JSON is a number: JSON has no NaN, so a NaN would be a null where the
/// struct holds a value.
fn every_value_survives(reports: &[WindowReport]) -> bool {
    let json = serde_json::to_value(reports).unwrap();
    reports.iter().enumerate().all(|(w, report)| {
        let is_null = |row: &Value, field: &str| row[field].is_null();
        let cells = report.cells.iter().enumerate().all(|(c, cell)| {
            let row = &json[w]["cells"][c];
            [
                ("frequency_hz", cell.frequency_hz),
                ("period_ms", cell.period_ms),
                ("period_cv", cell.period_cv),
                ("duty", cell.duty),
                ("spikes_per_burst", cell.spikes_per_burst),
                ("intraburst_hz", cell.intraburst_hz),
                ("burstiness_hz2", cell.burstiness_hz2),
            ]
            .iter()
            .all(|(field, value)| is_null(row, field) == value.is_none())
        });
        let rhythms = report.rhythms.iter().enumerate().all(|(r, rhythm)| {
            let row = &json[w]["rhythms"][r];
            is_null(row, "period_ms") == rhythm.period_ms.is_none()
                && is_null(row, "period_cv") == rhythm.period_cv.is_none()
                && rhythm.cells.iter().enumerate().all(|(c, cell)| {
                    is_null(&row["cells"][c], "phase") == cell.phase.is_none()
                        && is_null(&row["cells"][c], "lock") == cell.lock.is_none()
                })
        });
        cells && rhythms
    })
}

fn any_measures() -> impl Strategy<Value = Measures> {
    prop_oneof![Just(Measures::Gap), Just(Measures::Published)]
}

proptest! {
    #[test]
    fn a_shift_changes_nothing(
        a in any_train(),
        b in any_train(),
        measures in any_measures(),
        shift in -100_000_i32..100_000,
    ) {
        let trains = [a, b];
        let here = analyse_moved(&trains, measures, 0.0, 1.0);
        let there = analyse_moved(&trains, measures, f64::from(shift), 1.0);
        for (here, there) in here.iter().zip(&there) {
            prop_assert_eq!(&here.rhythms, &there.rhythms);
            prop_assert_eq!(&here.cells, &there.cells);
        }
    }

    #[test]
    fn scaling_time_scales_periods_and_leaves_phases(
        a in any_train(),
        b in any_train(),
        scale in 1_u32..9,
    ) {
        let trains = [a, b];
        let scale = f64::from(scale);
        let slow = analyse_moved(&trains, Measures::Gap, 0.0, scale);
        let fast = analyse_moved(&trains, Measures::Gap, 0.0, 1.0);
        let times = |value: Option<f64>| value.map(|value| value * scale);
        for (slow, fast) in slow.iter().zip(&fast) {
            for (slow, fast) in slow.cells.iter().zip(&fast.cells) {
                prop_assert_eq!(slow.bursts, fast.bursts);
                prop_assert_eq!(slow.spikes_per_burst, fast.spikes_per_burst);
                prop_assert!(close(slow.period_ms, times(fast.period_ms)));
                prop_assert!(close(slow.period_cv, fast.period_cv));
                prop_assert!(close(slow.duty, fast.duty));
                prop_assert!(close(times(slow.frequency_hz), fast.frequency_hz));
                prop_assert!(close(times(slow.intraburst_hz), fast.intraburst_hz));
                prop_assert!(close(times(times(slow.burstiness_hz2)), fast.burstiness_hz2));
            }
            for (slow, fast) in slow.rhythms.iter().zip(&fast.rhythms) {
                prop_assert!(close(slow.period_ms, times(fast.period_ms)));
                prop_assert_eq!(&slow.cells, &fast.cells);
            }
        }
    }

    #[test]
    fn another_cell_changes_no_row(a in any_train(), b in any_train(), c in any_train()) {
        let two = analyse_moved(&[a.clone(), b.clone()], Measures::Gap, 0.0, 1.0);
        let three = analyse_moved(&[a, b, c], Measures::Gap, 0.0, 1.0);
        for (two, three) in two.iter().zip(&three) {
            prop_assert_eq!(&two.rhythms, &three.rhythms);
            prop_assert_eq!(&two.cells[..], &three.cells[..2]);
        }
    }

    #[test]
    fn numbers_are_numbers_and_in_their_range(
        a in any_train(),
        b in any_train(),
        measures in any_measures(),
        scale in prop_oneof![Just(1.0), Just(0.0), 1e-6..1e6],
    ) {
        let reports = analyse_moved(&[a, b], measures, 0.0, scale);
        prop_assert!(every_value_survives(&reports));
        for report in &reports {
            for cell in &report.cells {
                prop_assert!(cell.duty.is_none_or(|duty| (0.0..1.0).contains(&duty)));
            }
            for cell in report.rhythms.iter().flat_map(|rhythm| &rhythm.cells) {
                prop_assert!(cell.phase.is_none_or(|phase| (0.0..1.0).contains(&phase)));
                prop_assert!(cell.lock.is_none_or(|lock| (0.0..=1.0).contains(&lock)));
            }
        }
    }

    #[test]
    fn bursts_hold_every_spike_once(train in any_train()) {
        let found = bursts(&train, GAP_MS);
        let total: usize = found.iter().map(|burst| burst.n_spikes).sum();
        prop_assert_eq!(total, train.len());
        for pair in found.windows(2) {
            prop_assert!(pair[1].on_ms - pair[0].off_ms > GAP_MS);
        }
    }

    /// A run that is analysed as it goes gives what its whole record gives, however often one looks.
    #[test]
    fn a_stream_reports_what_the_record_shows(
        a in any_train(),
        b in any_train(),
        edges in proptest::collection::vec((0_u32..9_000, 1_u32..4_000), 0..6),
        looks in proptest::collection::vec(0_u32..10_000, 0..20),
        measures in any_measures(),
    ) {
        let means = |window: usize, cell: usize| (cell == 0).then_some(window as f64);
        let labels: Vec<String> = (0..edges.len()).map(|k| k.to_string()).collect();
        let ends = |&(from, length): &(u32, u32)| {
            (f64::from(from), f64::from((from + length).min(10_000)))
        };
        let stretches: Vec<(f64, f64)> = edges.iter().map(ends).collect();
        let given: Vec<Vec<Option<f64>>> =
            (0..edges.len()).map(|k| vec![means(k, 0), means(k, 1)]).collect();
        let windows = labels.iter().zip(&stretches).zip(&given);
        let windows: Vec<WindowSpec> = windows
            .map(|((label, (from, to)), given)| WindowSpec {
                measures,
                ca_mean_um: given,
                ..window(label, *from, *to)
            })
            .collect();
        let recording = pair_recording(&a, &b, windows, vec![rhythm(2), rhythm(3)]);

        let specs = labels.iter().zip(&stretches);
        let specs = specs.map(|(label, (from, to))| (label.as_str(), *from, *to, measures));
        let mut stream = Stream::new(vec!["A", "B"], recording.rhythms.clone(), specs, GAP_MS);
        let mut spikes: Vec<(f64, usize)> = a.iter().map(|t| (*t, 0)).collect();
        spikes.extend(b.iter().map(|t| (*t, 1)));
        spikes.sort_by(|x, y| x.0.total_cmp(&y.0));
        let mut looks: Vec<f64> = looks.into_iter().map(f64::from).collect();
        looks.sort_by(f64::total_cmp);
        for (t, cell) in spikes {
            let due = looks.partition_point(|look| *look < t);
            looks.drain(..due).for_each(|look| stream.advance(look, means));
            stream.push(cell, t);
        }
        let finished = stream.finish(10_000.0, means);
        prop_assert_eq!(finished.reports, analyse(&recording));
        prop_assert!(finished.cut.is_empty() && finished.missed.is_empty());
    }

    /// The bursts that come out one by one are those of the whole record, with the same means.
    #[test]
    fn cycles_are_the_bursts_of_the_record(a in any_train(), b in any_train()) {
        let whole = window("whole", 0.0, 10_000.0);
        let recording = pair_recording(&a, &b, vec![whole], vec![rhythm(2)]);
        let report = &analyse(&recording)[0];
        let mut cycles = Cycles::new(2, &recording.rhythms, GAP_MS);
        let mut spikes: Vec<(f64, usize)> = a.iter().map(|t| (*t, 0)).collect();
        spikes.extend(b.iter().map(|t| (*t, 1)));
        spikes.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
        let mut found = Vec::new();
        for (t, cell) in spikes {
            cycles.push(cell, t, &mut found);
        }
        cycles.finish(10_000.0, &mut found);
        for (cell, train) in [&a, &b].into_iter().enumerate() {
            let own: Vec<&Cycle> = found.iter().filter(|cycle| cycle.cell == cell).collect();
            let bursts: Vec<Burst> = own.iter().map(|cycle| cycle.burst).collect();
            let all = whole_bursts(train, GAP_MS, 0.0, 10_000.0);
            prop_assert_eq!(&bursts, &counted(&all, 2));
            prop_assert!(own.iter().enumerate().all(|(k, cycle)| cycle.k == k as u64));
            let periods: Vec<f64> = own.iter().filter_map(|cycle| cycle.period_ms).collect();
            prop_assert_eq!(periods.len(), own.len().saturating_sub(1));
            prop_assert_eq!(statistics::mean(&periods), report.cells[cell].period_ms);
            let duties: Vec<f64> = own.iter().filter_map(|cycle| cycle.duty()).collect();
            prop_assert_eq!(statistics::mean(&duties), report.cells[cell].duty);
        }
        let phases: Vec<f64> = found.iter().filter(|c| c.cell == 1).filter_map(|c| c.phase).collect();
        let follower = &report.rhythms[0].cells[0];
        prop_assert!(close(circular_mean(&phases), follower.phase));
        prop_assert!(close(resultant(&phases), follower.lock));
    }
}

/// A run that ends early reports the windows it reached, cut to what there is.
#[test]
fn an_early_end_cuts_windows() {
    let windows = [
        ("done", 0.0, 1_000.0),
        ("open", 500.0, 4_000.0),
        ("missed", 2_000.0, 3_000.0),
    ];
    let windows = windows.map(|(label, from, to)| (label, from, to, Measures::Gap));
    let mut stream = Stream::new(vec!["A"], vec![], windows, GAP_MS);
    for k in 0..15 {
        stream.push(0, f64::from(k) * 100.0);
        stream.advance(f64::from(k) * 100.0, |_, _| None);
    }
    let finished = stream.finish(1_500.0, |_, _| None);
    assert_eq!(finished.cut, ["open"]);
    assert_eq!(finished.missed, ["missed"]);
    let spans: Vec<(&str, f64, usize)> = finished
        .reports
        .iter()
        .map(|report| (report.label.as_str(), report.to_ms, report.cells[0].spikes))
        .collect();
    assert_eq!(spans, [("done", 1_000.0, 10), ("open", 1_500.0, 10)]);
}

/// A reference cell that falls silent does not hold back the bursts of the others.
#[test]
fn bursts_do_not_wait_for_a_silent_reference() {
    let rhythms = [rhythm(2)];
    let mut cycles = Cycles::new(2, &rhythms, GAP_MS);
    let mut found = Vec::new();
    let bursts = (1..1_000).map(|k| 300.0 * f64::from(k));
    for on in bursts {
        if on < 1_000.0 {
            cycles.push(0, on, &mut found);
            cycles.push(0, on + 5.0, &mut found);
        }
        cycles.push(1, on + 10.0, &mut found);
        cycles.push(1, on + 20.0, &mut found);
    }
    let longest = MAX_CYCLE_MS / 300.0;
    assert!(
        found.len() as f64 > 1_000.0 - longest - 5.0,
        "{}",
        found.len()
    );
}
