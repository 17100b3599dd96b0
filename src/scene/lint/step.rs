//! The step against what it has to resolve.

use std::{collections::BTreeMap, ops::RangeInclusive};

use homarus_systems::{
    assembly::Simulation,
    channels::{CellType, Gate},
    definition::KnownRhythm,
    math::{exp, powi},
};

use super::super::{
    diagnostic::{Diagnostic, Diagnostics},
    model::{Integrator, Scene},
};
use super::{Network, digits, percent};

/// Voltages at which time constants are looked at (mV): what a membrane goes through, -76 to 50 mV
/// in STG cells. Below, gates may be faster, but nothing moves.
const VOLTAGES: RangeInclusive<i32> = -80..=50;

/// Time constants up to this (ms) stand for gates that follow the voltage at once.
const INSTANTANEOUS: f64 = 1e-6;

/// A spike for the estimate of the membrane rate: gates leave their steady state at `FOOT` (mV) and
/// move for `RISE` (ms) as they do at `PEAK` (mV).
const FOOT: f64 = -50.0;
const PEAK: f64 = 40.0;
const RISE: f64 = 1.0;

/// Error of a period (1) that shipped scenes keep to.
const TOLERANCE: f64 = 0.02;

/// How fast a network moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Its fastest gate that is not instantaneous.
    pub fastest: Option<Fastest>,
    /// Its fastest membrane.
    pub membrane: Option<MembraneRate>,
    /// Rhythms that are known of its cells, each with the cells (indices).
    pub rhythms: Vec<(KnownRhythm, Vec<usize>)>,
}

/// The fastest gate of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Fastest {
    /// Cell (index).
    pub cell: usize,
    /// `CHANNEL.GATE`.
    pub gate: String,
    /// Time constant (ms).
    pub tau: f64,
    /// Voltage at which it is reached (mV).
    pub v: f64,
}

/// The fastest membrane of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct MembraneRate {
    /// Cell (index).
    pub cell: usize,
    /// Sum of the open conductances over the capacitance at a spike's peak, roughly (1/ms).
    pub rate: f64,
}

/// How fast a network in its start state moves.
pub fn pace(scene: &Scene, network: &Simulation) -> Pace {
    Network::new(scene, network).pace()
}

impl Network<'_> {
    pub(super) fn pace(&self) -> Pace {
        let mut of_types = BTreeMap::new();
        let mut pace = Pace {
            fastest: None,
            membrane: None,
            rhythms: Vec::new(),
        };
        for cell in 0..self.scene.cells.len() {
            let (kind, ca) = (self.cell_type(cell), self.calcium(cell));
            let factors = kind.tau_factors(self.parameters(cell));
            let shortest = of_types.entry(self.type_id(cell).0).or_insert_with(|| {
                let gates = kind.gates.iter();
                gates.map(|gate| shortest(gate, ca)).collect::<Vec<_>>()
            });
            for (gate, found) in kind.gates.iter().zip(shortest.iter()) {
                let Some((tau, v)) = *found else { continue };
                let tau = tau * factors[gate.slot as usize][gate.lane];
                if pace.fastest.as_ref().is_none_or(|known| tau < known.tau) {
                    let gate = format!("{}.{}", kind.channel_name(gate.lane), gate.name);
                    pace.fastest = Some(Fastest { cell, gate, tau, v });
                }
            }
            let rate = membrane_rate(kind, &factors, &self.gbar(cell), ca);
            if pace.membrane.as_ref().is_none_or(|known| rate > known.rate) {
                pace.membrane = Some(MembraneRate { cell, rate });
            }
            let Some(known) = self.known_rhythm(cell) else {
                continue;
            };
            match pace.rhythms.iter_mut().find(|(other, _)| other == known) {
                Some((_, cells)) => cells.push(cell),
                None => pace.rhythms.push((known.clone(), vec![cell])),
            }
        }
        pace
    }
}

/// Shortest time constant (ms) of a gate without its per-cell factor, and where (mV); `None` for an
/// instantaneous gate.
fn shortest(gate: &Gate, ca: f64) -> Option<(f64, f64)> {
    VOLTAGES
        .map(f64::from)
        .map(|v| (gate.tau(v, ca, 1.0), v))
        .filter(|(tau, _)| *tau > INSTANTANEOUS)
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// Roughly the membrane rate (1/ms) at a spike's peak: 700 to 1100 per ms are measured in STG cells
/// with 4000 mS/cm² of Na, 5600 where homeostasis has raised it to 19 000.
fn membrane_rate(kind: &CellType, factors: &[Vec<f64>; 2], gbar: &[f64], ca: f64) -> f64 {
    let mut open: Vec<f64> = gbar.iter().map(|g| g.max(0.0)).collect();
    for gate in &kind.gates {
        let tau = gate.tau(PEAK, ca, factors[gate.slot as usize][gate.lane]);
        let (from, to) = (gate.inf(FOOT, ca), gate.inf(PEAK, ca));
        let x = to + (from - to) * exp(-RISE / tau.max(INSTANTANEOUS));
        open[gate.lane] *= powi(x, gate.power);
    }
    for scheme in &kind.schemes {
        let mut states = scheme.steady(FOOT)[..scheme.len()].to_vec();
        scheme.advance(&mut states, PEAK, RISE);
        open[scheme.lane] *= scheme.open_fraction(&states);
    }
    open.iter().sum::<f64>() / kind.definition.capacitance
}

/// The largest of 1, 2 or 5 times a power of ten that is not above `x`.
fn round_down(x: f64) -> f64 {
    let decade = |k: i32| format!("1e{k}").parse().unwrap_or(f64::NAN);
    let steps = (-9..=3)
        .rev()
        .flat_map(|k| [5.0, 2.0, 1.0].map(|m| m * decade(k)));
    steps.into_iter().find(|step| *step <= x).unwrap_or(x)
}

/// A step longer than the fastest gate's time constant. Gates and voltage are each solved exactly
/// within a step, so nothing blows up; what suffers is how well they follow each other. With 0.1 ms
/// against 0.061 ms an STG cell is off by 0.4 % in frequency and 1.2 % in mean calcium, with
/// 0.05 ms by half of that. The membrane rate has no threshold of its own: with 560 relaxations of
/// the membrane a step the same cells are off no more, so it is only told.
pub(super) fn longer_than_gate(network: &Network<'_>, pace: &Pace, lints: &mut Diagnostics) {
    let scene = network.scene;
    let Some(fastest) = pace.fastest.as_ref().filter(|fastest| {
        scene.integrator == Integrator::Exponential && scene.step_ms > fastest.tau
    }) else {
        return;
    };
    let membrane = pace.membrane.as_ref().map_or(0.0, |m| m.rate);
    lints.push(
        Diagnostic::lint(
            &scene.step_origin,
            format!(
                "a step of {} ms is longer than the fastest time constant",
                scene.step_ms
            ),
        )
        .label(format!(
            "`{}` of `{}` takes {} ms at {} mV",
            fastest.gate,
            network.name(fastest.cell),
            digits(fastest.tau, 2),
            fastest.v,
        ))
        .help(format!(
            "it stays stable, but spikes lose their shape: an STG cell at 0.1 ms is off by 0.4 % in \
             frequency and 1.2 % in calcium (membrane rate at a spike's peak: about {} per ms)",
            digits(membrane, 2),
        ))
        .help(format!("`step_ms: {}` resolves it", round_down(fastest.tau))),
    );
}

/// A step at which what is known of a cell's rhythm is off by more than 2 %. Slow bursters are the
/// hard test: an error in the calcium of every spike adds up over the burst.
pub(super) fn too_long_for_rhythm(network: &Network<'_>, pace: &Pace, lints: &mut Diagnostics) {
    let step = network.scene.step_ms;
    let fixed = network.scene.integrator == Integrator::Exponential;
    for (rhythm, cells) in pace.rhythms.iter().filter(|_| fixed) {
        if rhythm.error_at(step).is_some_and(|error| error > TOLERANCE) {
            lints.push(too_long(network, rhythm, cells));
        }
    }
}

fn too_long(network: &Network<'_>, rhythm: &KnownRhythm, cells: &[usize]) -> Diagnostic {
    let step = network.scene.step_ms;
    let error = rhythm.error_at(step).unwrap_or(f64::NAN);
    let beyond = rhythm
        .step_errors
        .last()
        .is_some_and(|(last, _)| step > *last);
    let about = if beyond { "at least" } else { "about" };
    let lint = Diagnostic::lint(
        &network.scene.step_origin,
        format!("a step of {step} ms is too long for {}", rhythm.about),
    )
    .label(format!("periods come out {about} {} wrong", percent(error)))
    .help(format!(
        "{} of {}: known of cell type `{}` at about {} ms{}",
        rhythm.about,
        network.names_of(cells),
        network.cell_type(cells[0]).definition.name,
        rhythm.period,
        rhythm.condition.as_ref().map_or(String::new(), |c| format!(
            ", {}.{} {} or more",
            c.channel, c.parameter, c.at_least
        )),
    ));
    match rhythm.step_for(TOLERANCE) {
        Some(step) => lint.help(format!(
            "`step_ms: {step}` is right to {}",
            percent(rhythm.error_at(step).unwrap_or(TOLERANCE))
        )),
        None => lint.help(
            "no step is known that is right to 2 %; hold the run against `--integrator reference`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{read, spawn};

    fn started(name: &str) -> (Scene, Simulation) {
        let scene = read(name).expect("it ships");
        let mut network = spawn::spawn(&scene).expect("it is built");
        network.start().expect("it starts");
        (scene, network)
    }

    /// Measured at spike peaks: about 700 per ms in the tonic cell of seed 544, 1100 in a burster
    /// with 3430 mS/cm² of Na.
    #[test]
    fn the_membrane_rate_is_right_to_a_factor_of_two() {
        let (scene, network) = started("stg_cell");
        let rate = pace(&scene, &network).membrane.expect("a membrane").rate;
        assert!((500.0..1400.0).contains(&rate), "{rate}");
    }

    /// The time constant of m_Na falls with the voltage; h_Na is slower everywhere above -80 mV.
    #[test]
    fn the_fastest_gate_of_an_stg_cell_is_m_na() {
        let (scene, network) = started("half_centre");
        let fastest = pace(&scene, &network).fastest.expect("a gate");
        assert_eq!((fastest.gate.as_str(), fastest.v), ("Na.m", 50.0));
        // 1.32 - 1.26/(1 + exp(-(50 + 120)/25))
        let expected = 0.061401795;
        assert!((fastest.tau - expected).abs() < 1e-8, "{}", fastest.tau);
    }

    #[test]
    fn steps_are_rounded_down_to_what_a_person_would_write() {
        for (x, step) in [(0.061, 0.05), (0.05, 0.05), (0.0499, 0.02), (1.7, 1.0)] {
            assert_eq!(round_down(x), step);
        }
    }
}
