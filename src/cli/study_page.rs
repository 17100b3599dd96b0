//! What a study is, on one page: its bases, axes and members.

use super::overview::{Page, thousands};
use crate::study::{
    design::MANY_MEMBERS,
    model::{Design, Settle, Study, Value, Values},
};

/// The summary of a study.
pub(super) fn page(study: &Study) -> String {
    let mut page = Page::default();
    page.row(&study.name, &study.about);
    page.gap();
    for base in &study.bases {
        page.row("base", &format!("{}: {}", base.name, base.about));
    }
    for axis in &study.axes {
        let of = if axis.makes_networks {
            ", makes networks"
        } else {
            ""
        };
        page.row(
            &axis.name,
            &format!("{}{of}", values(&axis.values, study.design)),
        );
    }
    page.row("design", &design(study.design));
    let fork = match study.settle {
        Settle::For(ms) => format!("at {ms} ms"),
        Settle::Until {
            cycles,
            within,
            at_most_ms,
        } => format!(
            "once {cycles} cycles vary by less than {} %, by {at_most_ms} ms",
            within * 100.0
        ),
    };
    page.row("fork", &fork);
    if let Some(counts) = study.counts() {
        let count = |n: u64| thousands(n as f64);
        page.row(
            "runs",
            &format!(
                "{} up to the fork, each with its control: {} bases x {} settings x {} networks x {} \
                 realisations",
                count(counts.runs()),
                counts.bases,
                count(counts.settings),
                count(counts.networks),
                count(counts.realisations)
            ),
        );
        let yes = if counts.members() > MANY_MEMBERS {
            "; `homarus study` asks for `--yes`"
        } else {
            ""
        };
        page.row(
            "members",
            &format!(
                "{}: {} branches x {} points of each{yes}",
                count(counts.members()),
                counts.branches,
                count(counts.points)
            ),
        );
    }
    page.text()
}

/// The values of an axis in words.
fn values(values: &Values, design: Design) -> String {
    let counted = |count: usize| match (count, design) {
        (0, _) | (_, Design::Random(_) | Design::LatinHypercube(_) | Design::Sobol(_)) => {
            String::new()
        }
        (n, _) => format!(", {n} values"),
    };
    match values {
        Values::List(values) => {
            const SHOWN: usize = 6;
            let shown: Vec<String> = values.iter().take(SHOWN).map(Value::to_string).collect();
            match values.len().saturating_sub(SHOWN) {
                0 => shown.join(", "),
                more => format!("{} and {more} more", shown.join(", ")),
            }
        }
        Values::Linear { from, to, count } => format!("from {from} to {to}{}", counted(*count)),
        Values::Log { from, to, count } => {
            format!("from {from} to {to} by a factor{}", counted(*count))
        }
        Values::Bisect {
            from,
            to,
            tolerance,
        } => format!("by bisection between {from} and {to}, to {tolerance}"),
    }
}

fn design(design: Design) -> String {
    match design {
        Design::Grid => "every combination".to_owned(),
        Design::Together => "values of all axes together".to_owned(),
        Design::Random(n) => format!("{n} random points"),
        Design::LatinHypercube(n) => format!("a Latin hypercube of {n} points"),
        Design::Sobol(n) => format!("{n} points of a Sobol sequence"),
    }
}
