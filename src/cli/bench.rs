//! `homarus bench`: what a network costs, beside the same network written by hand.

use std::{
    io,
    process::{Command, ExitCode, Stdio},
};

use clap::Args;
use homarus_systems::integrate::Kernel;

use super::{execution, message, output, setting, wrong};
use crate::bench::{self, Case, Measurement};
use crate::execution::{Execution, cores};
use crate::run::Failure;
use crate::scene;

/// Defaults: the network that other simulators were measured on.
const NEURONS: usize = 1000;
const SYNAPSES: usize = 2;
const STEPS: u64 = 4000;

/// Largest network of a sweep where nothing else is said.
const LARGEST: usize = 100_000;

/// Measure what a neuron and a synapse cost in a step, beside the same code written by hand.
///
/// The network is made of STG cells, each a little different, with graded synapses: from one or
/// both neighbours on a ring, or from more cells drawn at random (always the same). Step 0.05 ms.
/// The yardstick is hand-written scalar code for it with the platform's exp, on one thread. Both
/// run in slices by turns, and the fastest slice of each counts.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus bench --neurons 200 --synapses-per-neuron 10 --steps 1000
  homarus bench --scene half_centre --json
  homarus bench --sweep --neurons 100 --steps 400 --csv")]
pub(super) struct Arguments {
    /// Number of cells [default: 1000]; with --sweep the most [default: 100000].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = cells)]
    neurons: Option<usize>,
    /// Synapses into each cell [default: 2].
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = synapses)]
    synapses_per_neuron: Option<usize>,
    /// Number of steps [default: 4000; with --scene those of the scene].
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = steps)]
    steps: Option<u64>,
    /// Measure a scene as it stands instead: a .ron file, or the name of a shipped scene.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["neurons", "synapses_per_neuron"])]
    scene: Option<String>,
    #[command(flatten)]
    execution: execution::Flags,
    /// Measure many networks: 10, 100, ... cells up to --neurons, each with 1, 2, 4, ... threads up
    /// to --threads (if not given, one a core).
    #[arg(long, conflicts_with = "scene")]
    sweep: bool,
    /// Print JSON instead of a table: one object, or with --sweep one a line.
    #[arg(long)]
    json: bool,
    /// Print CSV instead of a table.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

fn cells(value: &str) -> Result<usize, String> {
    setting::whole(value, 1, u64::from(u32::MAX)).map(|n| n as usize)
}

fn synapses(value: &str) -> Result<usize, String> {
    setting::whole(value, 0, u64::from(u32::MAX)).map(|n| n as usize)
}

fn steps(value: &str) -> Result<u64, String> {
    setting::whole(value, 1, homarus_systems::schedule::MAX_STEPS as u64)
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    // What there is to say about threads, each measurement of a sweep says.
    let execution = arguments.execution.execution(arguments.sweep)?;
    if arguments.sweep {
        return sweep(arguments, &execution);
    }
    let measured = match &arguments.scene {
        Some(name) => {
            let mut scene = scene::read(name)?;
            if let Some(steps) = arguments.steps {
                let duration_ms = steps as f64 * scene.step_ms;
                setting::shorten(&mut scene, duration_ms);
            }
            bench::scene(&scene, &execution)?
        }
        None => bench::synthetic(case(arguments, NEURONS)?, &execution)?,
    };
    output(&match (arguments.json, arguments.csv) {
        (true, _) => serde_json::to_string_pretty(&measured).map_err(io::Error::other)? + "\n",
        (_, true) => csv(&measured, true)?,
        _ => page(&measured),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The network that is asked for, or of `neurons` cells.
fn case(arguments: &Arguments, neurons: usize) -> Result<Case, Failure> {
    let neurons = arguments.neurons.unwrap_or(neurons);
    let synapses = arguments.synapses_per_neuron;
    let synapses_per_neuron = synapses.unwrap_or(SYNAPSES.min(neurons - 1));
    if synapses_per_neuron >= neurons {
        let cells = if neurons == 1 { "cell" } else { "cells" };
        return Err(wrong(
            format!(
                "{synapses_per_neuron} synapses per neuron need as many other cells, but there {} \
                 {neurons} {cells}",
                if neurons == 1 { "is" } else { "are" }
            ),
            Some(match neurons {
                1 => "a single cell has none: --synapses-per-neuron 0".to_owned(),
                n => format!("write at most --synapses-per-neuron {}", n - 1),
            }),
        ));
    }
    Ok(Case {
        neurons,
        synapses_per_neuron,
        steps: arguments.steps.unwrap_or(STEPS),
    })
}

/// Measures networks of growing size, each with more and more threads.
fn sweep(arguments: &Arguments, execution: &Execution) -> Result<ExitCode, Failure> {
    let largest = case(arguments, LARGEST)?;
    bench::check(largest)?;
    let threads = threads(execution.threads.unwrap_or_else(cores));
    let all = sizes(largest)
        .into_iter()
        .flat_map(|neurons| threads.iter().map(move |threads| (neurons, *threads)));
    if !arguments.json && !arguments.csv {
        output(&header())?;
    }
    for (k, (neurons, threads)) in all.enumerate() {
        message(&format!("measuring {neurons} cells on {}\n", on(threads)));
        let measured = match apart(Case { neurons, ..largest }, threads, execution.kernel)? {
            Ok(measured) => measured,
            Err(code) => return Ok(code),
        };
        output(&match (arguments.json, arguments.csv) {
            (true, _) => serde_json::to_string(&measured).map_err(io::Error::other)? + "\n",
            (_, true) => csv(&measured, k == 0)?,
            _ => line(&measured),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures in a process of its own, so that no memory of another measurement counts. A failure it
/// tells itself; this gives its exit code.
fn apart(
    case: Case,
    threads: usize,
    kernel: Kernel,
) -> Result<Result<Measurement, ExitCode>, Failure> {
    let flags = [
        ("--neurons", case.neurons.to_string()),
        (
            "--synapses-per-neuron",
            case.synapses_per_neuron.to_string(),
        ),
        ("--steps", case.steps.to_string()),
        ("--threads", threads.to_string()),
        ("--kernel", kernel.name().to_owned()),
    ];
    let output = Command::new(std::env::current_exe()?)
        .args(["bench", "--json"])
        .args(flags.iter().flat_map(|(flag, value)| [*flag, value]))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        let code = output
            .status
            .code()
            .and_then(|code| u8::try_from(code).ok());
        return Ok(Err(ExitCode::from(code.unwrap_or(1))));
    }
    let measured = serde_json::from_slice(&output.stdout).map_err(io::Error::other)?;
    Ok(Ok(measured))
}

/// Powers of ten that have room for the synapses, and the largest size itself.
fn sizes(largest: Case) -> Vec<usize> {
    let powers = (1..).map_while(|k| 10_usize.checked_pow(k));
    powers
        .take_while(|n| *n < largest.neurons)
        .filter(|n| *n > largest.synapses_per_neuron)
        .chain([largest.neurons])
        .collect()
}

/// Powers of two, and the most themselves.
fn threads(most: usize) -> Vec<usize> {
    let powers = (0..).map_while(|k| 2_usize.checked_pow(k));
    powers.take_while(|n| *n < most).chain([most]).collect()
}

/// A row of CSV, under the names of its columns if `headed`.
fn csv(measured: &Measurement, headed: bool) -> Result<String, Failure> {
    let mut builder = csv::WriterBuilder::new();
    let mut writer = builder.has_headers(headed).from_writer(Vec::new());
    writer.serialize(measured).map_err(io::Error::other)?;
    let bytes = writer.into_inner().map_err(io::Error::other)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Names of the columns of a sweep.
fn header() -> String {
    format!(
        "{:>9} {:>10} {:>7} {:>11} {:>11} {:>7} {:>10} {:>13} {:>8} {:>9} {:>12}\n",
        "neurons",
        "synapses",
        "threads",
        "ns/neuron",
        "by hand",
        "ratio",
        "ns/synapse",
        "spikes/neuron",
        "build s",
        "memory MB",
        "model s/s",
    )
}

/// A line of a sweep.
fn line(measured: &Measurement) -> String {
    format!(
        "{:>9} {:>10} {:>7} {:>11.2} {:>11} {:>7} {:>10} {:>13.2} {:>8.3} {:>9} {:>12}\n",
        measured.neurons,
        measured.synapses,
        measured.threads,
        measured.ns_per_neuron_step,
        number(measured.ns_per_neuron_step_scalar, 1),
        number(ratio(measured), 1),
        number(measured.ns_per_synapse_step, 2),
        measured.spikes_per_neuron,
        measured.build_s,
        number(measured.peak_rss_mb, 1),
        significant(measured.model_s_per_wall_s),
    )
}

/// A measurement for people.
fn page(measured: &Measurement) -> String {
    let Measurement {
        neurons,
        synapses,
        threads,
        steps,
        kernel,
        ..
    } = measured;
    let mut text = format!(
        "{neurons} cells, {synapses} synapses, {steps} steps on {} ({kernel})\n\n",
        on(*threads)
    );
    let mut row = |name: &str, value: String| text.push_str(&format!("{name:<24}{value}\n"));
    row(
        "a neuron in a step",
        format!("{:.2} ns", measured.ns_per_neuron_step),
    );
    if let (Some(scalar), Some(ratio)) = (measured.ns_per_neuron_step_scalar, ratio(measured)) {
        row(
            "written by hand",
            format!("{scalar:.1} ns on one thread, {ratio:.1} times as long"),
        );
    }
    if let Some(ns) = measured.ns_per_synapse_step {
        row("of which a synapse", format!("{ns:.2} ns"));
    }
    let by_hand = measured
        .spikes_per_neuron_scalar
        .map(|spikes| format!(" (by hand {spikes:.3})"));
    row(
        "spikes of a neuron",
        format!(
            "{:.3}{}",
            measured.spikes_per_neuron,
            by_hand.unwrap_or_default()
        ),
    );
    row("built in", format!("{:.3} s", measured.build_s));
    if let Some(memory) = measured.peak_rss_mb {
        row("memory at most", format!("{memory:.1} MB"));
    }
    row(
        "model time",
        format!("{} s a second", significant(measured.model_s_per_wall_s)),
    );
    text
}

/// A number of threads in words.
fn on(threads: usize) -> String {
    match threads {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    }
}

/// How many times as long the yardstick takes.
fn ratio(measured: &Measurement) -> Option<f64> {
    let scalar = measured.ns_per_neuron_step_scalar?;
    Some(scalar / measured.ns_per_neuron_step)
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |x| format!("{x:.digits$}"))
}

/// Three significant digits.
fn significant(x: f64) -> String {
    let digits = 2 - x.abs().max(1e-9).log10().floor() as i32;
    format!("{x:.0$}", digits.clamp(0, 9) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_goes_up_to_what_is_asked_for() {
        let largest = |neurons, synapses_per_neuron| Case {
            neurons,
            synapses_per_neuron,
            steps: 1,
        };
        assert_eq!(sizes(largest(1000, 2)), [10, 100, 1000]);
        assert_eq!(sizes(largest(2500, 2)), [10, 100, 1000, 2500]);
        assert_eq!(sizes(largest(1000, 10)), [100, 1000]);
        assert_eq!(sizes(largest(5, 2)), [5]);
        assert_eq!(threads(1), [1]);
        assert_eq!(threads(4), [1, 2, 4]);
        assert_eq!(threads(6), [1, 2, 4, 6]);
    }

    #[test]
    fn numbers_have_three_digits() {
        for (x, text) in [(418.37, "418"), (4.1234, "4.12"), (0.012_345, "0.0123")] {
            assert_eq!(significant(x), text);
        }
    }
}
