//! What a measurement takes of memory: reckoned before the network is built, looked up after.

use std::fs;

use super::Case;
use crate::scene::{
    Diagnostic, Diagnostics,
    memory::{amount, available},
};

/// Bytes of a cell and of a synapse in the engine, about: the peaks of 300 000 cells and of a million
/// synapses.
const CELL: f64 = 2300.0;
const SYNAPSE: f64 = 750.0;
/// The same outside the engine, in the yardstick and in the description of the network.
const CELL_BY_HAND: f64 = 300.0;
const SYNAPSE_BY_HAND: f64 = 24.0;

/// Refuses a network that cannot be numbered or would not fit in memory.
pub(super) fn check(case: Case) -> Result<(), Diagnostics> {
    let Case {
        neurons,
        synapses_per_neuron,
        ..
    } = case;
    let most = u32::MAX;
    let count = |n: Option<usize>| n.filter(|n| *n <= most as usize);
    let synapses = count(neurons.checked_mul(synapses_per_neuron));
    if count(Some(neurons)).is_none() || synapses.is_none() {
        let what = format!("{neurons} cells with {synapses_per_neuron} synapses each are too many");
        let help = format!("a network has at most {most} cells and as many synapses");
        return Err(Diagnostic::new(what).help(help).into());
    }
    let needed = needed(case);
    match available() {
        Some(free) if needed > free => {
            let what = format!(
                "{neurons} cells with {synapses_per_neuron} synapses each do not fit in memory: \
                 engine and yardstick take about {}; {} are free",
                amount(needed),
                amount(free)
            );
            let help = "fewer neurons, fewer synapses, or a machine with more memory";
            Err(Diagnostic::new(what).help(help).into())
        }
        _ => Ok(()),
    }
}

/// Bytes of a measurement, about.
fn needed(case: Case) -> f64 {
    let cells = case.neurons as f64;
    let synapses = cells * case.synapses_per_neuron as f64;
    // The cells are in the engine twice, with their synapses and without.
    cells * (2.0 * CELL + CELL_BY_HAND) + synapses * (SYNAPSE + SYNAPSE_BY_HAND)
}

/// Peak of the memory of this process (MB, 10^6 bytes), where the system tells.
pub(super) fn peak_mb() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 * 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(neurons: usize, synapses_per_neuron: usize) -> String {
        let case = Case {
            neurons,
            synapses_per_neuron,
            steps: 1,
        };
        check(case).map_or_else(|errors| errors.render(false, 200), |()| "fine".to_owned())
    }

    #[test]
    fn what_cannot_be_numbered_is_refused() {
        for (neurons, synapses) in [
            (5_000_000_000, 0),
            (1_000_000, 10_000),
            (usize::MAX, usize::MAX),
        ] {
            let told = told(neurons, synapses);
            assert!(told.contains("are too many"), "{told}");
        }
        assert_eq!(told(1000, 100), "fine");
    }

    #[test]
    fn a_network_takes_what_its_cells_and_synapses_take() {
        let of = |neurons, synapses_per_neuron| {
            needed(Case {
                neurons,
                synapses_per_neuron,
                steps: 1,
            })
        };
        assert_eq!(of(20, 3), 20.0 * (of(1, 0) + 3.0 * (of(1, 1) - of(1, 0))));
    }
}
