//! The network that is measured where no scene is named: STG cells, each a little different, on
//! graded synapses. The same numbers give the same network, on every machine.

use std::sync::Arc;

use homarus_systems::{
    assembly::{BulkSpec, NeuronSpec, Simulation, Timing},
    channels::{CellType, NegativeConductance},
    definition::{Start, SynapseKind},
    integrate::Kernel,
    schedule::{Integrator, ThroughTicks},
};

use crate::scene::{self, Diagnostic, Diagnostics};

/// Step (ms).
pub const STEP_MS: f64 = 0.05;

/// Control interval (ms): the default of scenes.
const CONTROL_MS: f64 = 1.0;

/// Conductances (mS/cm²) of the mean cell, a burster, in the order of the cell type: Na, CaT, CaS,
/// A, KCa, Kd, H, leak.
const MEAN: [f64; 8] = [1800.0, 3.0, 10.0, 100.0, 100.0, 160.0, 0.1, 0.01];

/// How far a conductance lies from its mean at most.
const JITTER: f64 = 0.1;

/// Start voltages (mV).
const START: [f64; 2] = [-70.0, -45.0];

/// Sum of the synaptic conductances into a cell (mS/cm²), however many there are.
const INHIBITION: f64 = 0.2;

/// Synapses a cell up to which they come from its neighbours on a ring.
const RING: usize = 2;

/// Cells and the synapses into each, as plain numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Conductances (mS/cm²) of each cell, in the order of the cell type.
    pub gbar: Vec<[f64; 8]>,
    /// Start voltage (mV) of each cell.
    pub start: Vec<f64>,
    /// Number of synapses into each cell.
    pub in_degree: usize,
    /// Presynaptic cells: `in_degree` of them for the first cell, then for the second, and so on.
    pub pre: Vec<u32>,
    /// Conductances (mS/cm²) of the synapses, in the same order.
    pub g: Vec<f64>,
}

impl Network {
    /// A network of `neurons` cells that `in_degree` others (fewer than there are cells) reach:
    /// up to two from its neighbours on a ring, more from others drawn at random.
    pub fn new(neurons: usize, in_degree: usize) -> Self {
        let mut random = Random(neurons as u64);
        let around =
            |mean: f64, random: &mut Random| mean * random.between(1.0 - JITTER, 1.0 + JITTER);
        let gbar = (0..neurons)
            .map(|_| MEAN.map(|mean| around(mean, &mut random)))
            .collect();
        let start = (0..neurons)
            .map(|_| random.between(START[0], START[1]))
            .collect();
        let pre = match in_degree {
            0..=RING => ring(neurons, in_degree),
            _ => random_sources(neurons, in_degree, &mut random),
        };
        let mean = INHIBITION / in_degree.max(1) as f64;
        let g = pre.iter().map(|_| around(mean, &mut random)).collect();
        Network {
            gbar,
            start,
            in_degree,
            pre,
            g,
        }
    }

    /// The same cells without synapses.
    pub fn uncoupled(&self) -> Self {
        Network {
            in_degree: 0,
            pre: Vec::new(),
            g: Vec::new(),
            ..self.clone()
        }
    }

    /// The network in the engine, in its start state; the run ends after `steps` steps.
    ///
    /// # Errors
    /// The shipped cell type or synapse kind cannot be used.
    pub fn simulation(&self, steps: u64, kernel: Kernel) -> Result<Simulation, Diagnostics> {
        let timing = Timing {
            dt: STEP_MS,
            control: CONTROL_MS,
            end: steps as f64 * STEP_MS,
        };
        let mut simulation = Simulation::new(timing, Integrator::Exponential);
        simulation.world.insert_resource(kernel);
        simulation.world.init_resource::<ThroughTicks>();
        self.spawn_cells(&mut simulation)?;
        self.connect(&mut simulation)?;
        simulation.start().map_err(unusable)?;
        Ok(simulation)
    }

    fn spawn_cells(&self, simulation: &mut Simulation) -> Result<(), Diagnostics> {
        let definition = Arc::new(scene::cell_definition("stg")?);
        let parameters = CellType::default_parameters(&definition);
        for (k, (gbar, start)) in self.gbar.iter().zip(&self.start).enumerate() {
            let spec = NeuronSpec {
                name: format!("cells[{k}]").into(),
                definition: definition.clone(),
                parameters: parameters.clone(),
                area: None,
                gbar: gbar.to_vec(),
                current: 0.0,
                start: Start {
                    v: Some(*start),
                    ..Start::default()
                },
                negative: NegativeConductance::default(),
                homeostat: None,
                controller: None,
            };
            simulation.neuron(spec).map_err(unusable)?;
        }
        Ok(())
    }

    fn connect(&self, simulation: &mut Simulation) -> Result<(), Diagnostics> {
        let kind: SynapseKind = scene::synapse_kind("tanh")?;
        let post = (0..self.pre.len()).map(|edge| (edge / self.in_degree) as u32);
        let spec = BulkSpec {
            generator: None,
            label: None,
            parameters: kind.parameters.iter().map(|(_, value)| *value).collect(),
            kind,
            pre: Arc::new(self.pre.clone()),
            post: Arc::new(post.collect()),
            g: self.g.clone(),
            area_ratio: Vec::new(),
            s: None,
        };
        simulation.bulk(spec).map_err(unusable)?;
        Ok(())
    }
}

fn unusable(error: impl std::error::Error) -> Diagnostics {
    Diagnostic::new(error.to_string()).into()
}

/// One neighbour on a ring, or both.
fn ring(neurons: usize, in_degree: usize) -> Vec<u32> {
    let neighbours = |cell: usize| [(cell + neurons - 1) % neurons, (cell + 1) % neurons];
    (0..neurons)
        .flat_map(|cell| neighbours(cell).into_iter().take(in_degree))
        .map(|pre| pre as u32)
        .collect()
}

/// For each cell `in_degree` different others (Floyd's sampling without replacement).
fn random_sources(neurons: usize, in_degree: usize, random: &mut Random) -> Vec<u32> {
    let mut sources = Vec::with_capacity(neurons * in_degree);
    let mut taken_by = vec![None; neurons];
    let others = neurons - 1;
    for post in 0..neurons {
        for last in others - in_degree..others {
            let drawn = random.below(last + 1);
            let other = match taken_by[drawn] == Some(post) {
                true => last,
                false => drawn,
            };
            taken_by[other] = Some(post);
            // The others are numbered past the cell itself.
            let pre = other + usize::from(other >= post);
            sources.push(pre as u32);
        }
    }
    sources
}

/// SplitMix64 (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [low, high).
    fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        low + (high - low) * unit
    }

    /// A number below `n` (at least 1).
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(network: &Network, post: usize) -> &[u32] {
        &network.pre[post * network.in_degree..][..network.in_degree]
    }

    #[test]
    fn few_synapses_come_from_the_neighbours_on_a_ring() {
        assert_eq!(Network::new(5, 1).pre, [4, 0, 1, 2, 3]);
        let both = Network::new(5, 2);
        assert_eq!(sources(&both, 0), [4, 1]);
        assert_eq!(sources(&both, 4), [3, 0]);
    }

    #[test]
    fn many_synapses_come_from_different_others() {
        for in_degree in [3, 7, 19] {
            let network = Network::new(20, in_degree);
            for post in 0..20 {
                let mut pre = sources(&network, post).to_vec();
                pre.sort_unstable();
                pre.dedup();
                assert_eq!(pre.len(), in_degree, "{post}: {pre:?}");
                assert!(!pre.contains(&(post as u32)), "{post}: {pre:?}");
                assert!(pre.iter().all(|pre| *pre < 20), "{post}: {pre:?}");
            }
        }
    }

    #[test]
    fn every_source_is_drawn_about_as_often() {
        let network = Network::new(1000, 10);
        let mut drawn = vec![0_usize; 1000];
        for pre in &network.pre {
            drawn[*pre as usize] += 1;
        }
        // Ten on average, with a standard deviation of three.
        assert!(drawn.iter().all(|n| *n < 30), "{drawn:?}");
        assert!(drawn.iter().filter(|n| **n == 0).count() < 5);
    }

    #[test]
    fn conductances_lie_around_their_means_and_sum_up() {
        let network = Network::new(1000, 10);
        for (lane, mean) in MEAN.iter().enumerate() {
            let of_lane = network.gbar.iter().map(|gbar| gbar[lane]);
            assert!(of_lane.clone().all(|g| (g / mean - 1.0).abs() <= JITTER));
            let average = of_lane.sum::<f64>() / 1000.0;
            assert!((average / mean - 1.0).abs() < 0.01, "{lane}: {average}");
        }
        let inhibition: f64 = network.g.iter().sum::<f64>() / 1000.0;
        assert!((inhibition / INHIBITION - 1.0).abs() < 0.01, "{inhibition}");
    }

    #[test]
    fn the_same_numbers_give_the_same_network() {
        assert_eq!(Network::new(50, 10), Network::new(50, 10));
        let (with, without) = (Network::new(50, 10), Network::new(50, 0));
        assert_eq!(with.uncoupled(), without);
    }
}
