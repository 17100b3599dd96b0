//! How far a run has come, on stderr: a bar for people, JSON lines for programs.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::{run::Progress, study::engine};

/// How progress is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A bar if stderr is a terminal, else nothing.
    #[default]
    Auto,
    /// One JSON object a line, once a second.
    Json,
    /// Nothing.
    None,
}

/// Wall time between two JSON lines.
const LINE: Duration = Duration::from_secs(1);
/// Wall time between two drawings of the bar.
const DRAWING: Duration = Duration::from_millis(100);

/// What is shown while a run goes on.
pub(super) struct Shown {
    start: Instant,
    next: Instant,
    how: How,
}

enum How {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Kind {
    /// Begins to tell; a quiet run shows no bar.
    pub fn show(self, quiet: bool) -> Shown {
        let now = Instant::now();
        let how = match self {
            Kind::Json => How::Lines,
            Kind::Auto if !quiet && io::stderr().is_terminal() => How::Bar(bar()),
            Kind::Auto | Kind::None => How::Nothing,
        };
        // A run that is over at once needs no progress.
        let next = now
            + if matches!(how, How::Bar(_)) {
                3 * DRAWING
            } else {
                LINE
            };
        Shown {
            start: now,
            next,
            how,
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    let colour = if super::color() { ".cyan" } else { "" };
    let template = format!("{{bar:20{colour}}} {{percent:>3}} %  {{msg}}");
    // The template is well formed; a plain bar would do, too.
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

impl Shown {
    /// Told after every stretch; shows a little of it.
    pub fn tell(&mut self, progress: Progress) {
        let Some(wall_s) = self.due() else {
            return;
        };
        let Progress { now_ms, end_ms } = progress;
        let pace = Pace::of(now_ms, end_ms, wall_s);
        self.show(now_ms / end_ms, &pace.words(now_ms, end_ms), || {
            json!({
                "model_ms": now_ms, "duration_ms": end_ms, "wall_s": wall_s,
                "model_s_per_wall_s": pace.rate, "eta_s": pace.eta_s,
            })
        });
    }

    /// Told often while a study goes on; shows a little of it.
    pub fn tell_study(&mut self, progress: engine::Progress) {
        let Some(wall_s) = self.due() else {
            return;
        };
        let engine::Progress {
            done,
            all,
            run_ms,
            all_ms,
        } = progress;
        let pace = Pace::of(run_ms, all_ms, wall_s);
        let words = format!("{done} of {all} members, {}", pace.words(run_ms, all_ms));
        self.show(run_ms / all_ms, &words, || {
            json!({
                "members_done": done, "members": all, "model_ms": run_ms,
                "model_ms_to_run": all_ms, "wall_s": wall_s,
                "model_s_per_wall_s": pace.rate, "eta_s": pace.eta_s,
            })
        });
    }

    /// Wall time since the beginning (s), if it is time to show something.
    fn due(&mut self) -> Option<f64> {
        let interval = match self.how {
            How::Nothing => return None,
            How::Bar(_) => DRAWING,
            How::Lines => LINE,
        };
        let now = Instant::now();
        (now >= self.next).then(|| {
            self.next = now + interval;
            (now - self.start).as_secs_f64()
        })
    }

    fn show(&self, share: f64, words: &str, line: impl FnOnce() -> serde_json::Value) {
        match &self.how {
            How::Bar(bar) => {
                bar.set_length(1_000_000);
                bar.set_position((share * 1e6) as u64);
                bar.set_message(words.to_owned());
            }
            _ => super::message(&format!("{}\n", line())),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
    }
}

/// How fast model time goes by.
struct Pace {
    /// Model time by wall time (1).
    rate: f64,
    /// Wall time to the end (s).
    eta_s: f64,
}

impl Pace {
    fn of(now_ms: f64, end_ms: f64, wall_s: f64) -> Self {
        let rate = now_ms / 1000.0 / wall_s;
        let eta_s = (end_ms - now_ms) / 1000.0 / rate;
        Pace { rate, eta_s }
    }

    fn words(&self, now_ms: f64, end_ms: f64) -> String {
        format!(
            "{} of {}, {} model s per s, {} left",
            seconds(now_ms / 1000.0),
            seconds(end_ms / 1000.0),
            significant(self.rate),
            clock(self.eta_s)
        )
    }
}

/// Seconds with one digit after the point.
fn seconds(s: f64) -> String {
    format!("{s:.1} s")
}

/// A rate with about three digits.
fn significant(x: f64) -> String {
    match x {
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 1.0 => format!("{x:.1}"),
        x => format!("{x:.3}"),
    }
}

/// A length of wall time as people say it.
pub(super) fn clock(s: f64) -> String {
    let s = s.max(0.0).round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}
