//! How often an admissible intersection exists, a fixed sweep over what the paper calls degeneracy
//! (Fyon & Drion, arXiv 2412.04172: more of it should mean more intersections):
//!
//! * which and how many conductances the controller may use: every pair of channels, pairs chosen
//!   among a number of channels, and triples; homeostasis moves all others;
//! * how wide the population is drawn: the ranges of the scene shrunk around their centres;
//! * the calcium target.
//!
//! A cell has an admissible intersection if somewhere along the curve of its controller mean calcium
//! of the frozen neuron rises through the target with lambda (so homeostasis stays there), no
//! conductance is negative, and the cell fires as wanted: it bursts where the wanted slow dynamic
//! input conductance is below zero, else it is tonic. With three channels a controller has one to
//! spare for two wanted conductances: it may take any pair of the three and set the third to a third
//! or three times of what homeostasis would make of it. Asked are triples of which no pair alone has
//! an intersection in any cell.

use std::sync::Arc;

use homarus_systems::{
    assembly::{NeuronSpec, ThresholdVoltage},
    dic::{self, Compensation, normaliser},
    frozen, math,
    schedule::Neurons,
};
use serde::Serialize;

use super::{
    intersect::{CALCIUM_MS, Held, Probe, Pulse, Regulation, Trouble, conductances},
    statistics::wilson,
};
use crate::{
    rhythm::Pattern,
    run::Failure,
    scene::{
        Diagnostic,
        model::{Action, Cell, Distribution, Population, Sampler, Scene, Value},
        spawn,
    },
};

/// Widths of the population, as shares of the full ranges.
pub const WIDTHS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
/// Calcium targets as multiples of that of the scene.
pub const TARGETS: [f64; 12] = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0];
/// Cells of a population where nothing else is said.
pub const CELLS: usize = 40;

/// Lambdas of a curve: from, to, and the step of the logarithm.
const LAMBDAS: [f64; 2] = [0.1, 10.0];
const STRIDE: f64 = 0.15;

/// What a controller with a conductance to spare makes of it, as multiples of what homeostasis would.
const SPARE: [f64; 2] = [1.0 / 3.0, 3.0];

/// Channels up to which every set of them is looked at.
const MOST_CHANNELS: usize = 12;

/// Where a chance lies, by what was found (Wilson's interval of 95 %).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Chance {
    /// Cells that have an admissible intersection.
    pub found: usize,
    /// Cells.
    pub cells: usize,
    /// Lower end of the interval (1).
    pub low: f64,
    /// Upper end of the interval (1).
    pub high: f64,
}

impl Chance {
    /// That of a number of cells with an intersection out of all.
    pub fn of(found: usize, cells: usize) -> Self {
        let [low, high] = wilson(found, cells);
        Chance {
            found,
            cells,
            low,
            high,
        }
    }
}

/// One point of the sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Channels that the controller may use; none: any pair.
    pub channels: Vec<String>,
    /// Width of the population, a share of the full ranges.
    pub width: f64,
    /// Calcium target (µM).
    pub ca_target_um: f64,
    /// The chance of an admissible intersection. Without any width all cells are one.
    #[serde(flatten)]
    pub chance: Chance,
}

/// The whole sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sweep {
    /// Wanted slow and ultraslow dynamic input conductance.
    pub wanted: [f64; 2],
    /// The scene's own pair.
    pub pair: Vec<String>,
    /// The scene's own calcium target (µM).
    pub ca_target_um: f64,
    /// Mean coefficient of variation of the conductances at the start (1), by width.
    pub spread: Vec<[f64; 2]>,
    /// Number of channels among which the controller may choose its pair, and the mean chance over
    /// all such sets of channels (1), at full width and the scene's own target.
    pub by_number: Vec<(usize, f64)>,
    /// Points.
    pub points: Vec<Point>,
}

/// What the sweep takes from a scene.
struct Subject<'s> {
    scene: &'s Scene,
    cell: &'s Cell,
    sampler: &'s Sampler,
    pair: [usize; 2],
    wanted: [f64; 2],
    ca_target: f64,
}

impl<'s> Subject<'s> {
    fn of(scene: &'s Scene) -> Result<Self, Failure> {
        let refuse = |what: &str, help: &str| {
            let message = format!("no cell of `{}` {what}", scene.name);
            Failure::Input(Diagnostic::new(message).help(help).into())
        };
        let mut regulated = scene.cells.iter().filter_map(|cell| {
            let (homeostat, controller) = (cell.homeostat.as_ref()?, cell.controller.as_ref()?);
            Some((cell, homeostat, controller))
        });
        let (cell, homeostat, controller) = regulated.next().ok_or_else(|| {
            refuse(
                "has both a homeostat and a controller, between which an intersection lies",
                "`controlled_CaSA` is such a scene",
            )
        })?;
        let sampler = cell.sampler.as_deref().ok_or_else(|| {
            refuse(
                "that is regulated is drawn, so there is no range to vary",
                "draw its conductances, for instance `include: [\"stg_population\"]`, and give no table",
            )
        })?;
        let last = scene
            .protocol
            .iter()
            .filter_map(|entry| match entry.action {
                Action::Modulate { g_s, g_u, .. } => Some((g_s, g_u)),
                _ => None,
            });
        let start = [controller.g_s, controller.g_u];
        let wanted = last.fold(start, |[s, u], (g_s, g_u)| {
            [g_s.unwrap_or(s), g_u.unwrap_or(u)]
        });
        let mut subject = Subject {
            scene,
            cell,
            sampler,
            pair: controller.channels,
            wanted,
            ca_target: homeostat.settings.ca_target,
        };
        // What the scene sets by path is known where it has been set.
        if let Some(built) = subject.drawn(1.0, 1)?.cells.first() {
            subject.ca_target = built.ca_target;
        }
        Ok(subject)
    }

    /// The scene's population drawn at a width, alone and without a protocol.
    fn drawn(&self, width: f64, cells: usize) -> Result<Drawn, Failure> {
        let mut sampler = self.sampler.clone();
        for draw in &mut sampler.draws {
            if let Value::Distribution(distribution) = &mut draw.value {
                *distribution = narrowed(*distribution, width);
            }
        }
        let sampler = Arc::new(sampler);
        let jitter = self.cell.jitter.as_ref();
        let jitter: Option<Arc<[f64]>> =
            jitter.map(|j| j.iter().map(|half| half * width).collect());
        let name = &self.cell.name;
        let name = name
            .split_once('[')
            .map_or(&**name, |(population, _)| population);
        let cell = |k: usize| Cell {
            name: format!("{name}[{k}]").into(),
            sampler: Some(sampler.clone()),
            jitter: jitter.clone(),
            ..self.cell.clone()
        };
        let scene = Scene {
            cells: (0..cells).map(cell).collect(),
            populations: vec![Population {
                name: name.to_owned(),
                cells: 0..cells,
                layout: None,
                tabulated: false,
            }],
            copies: Vec::new(),
            groups: Vec::new(),
            edges: Vec::new(),
            bulk: Vec::new(),
            protocol: Vec::new(),
            windows: Vec::new(),
            samples: Vec::new(),
            ..self.scene.clone()
        };
        let mut simulation = spawn::spawn(&scene)?;
        simulation.start()?;
        let world = &simulation.world;
        let mut population = Drawn::default();
        for k in 0..cells {
            // The cell has a homeostat and a controller, both just built.
            let start = conductances(world, k, self.cell.gbar.len());
            let entity = world.resource::<Neurons>().entity(k);
            let v_th = world.get::<ThresholdVoltage>(entity).map(|v| v.0);
            if let (Some(neuron), Some(regulation)) =
                (frozen::neuron(world, k), Regulation::of(world, k, &start))
            {
                let factors = regulation.cell.tau_factors(&neuron.parameters);
                let v_th = v_th.or_else(|| dic::threshold(&regulation.cell, &start, &factors));
                population.v_th.push(v_th.unwrap_or(f64::NAN));
                population.cells.push(regulation);
            }
        }
        Ok(population)
    }
}

/// A distribution with its spread multiplied by `width`.
fn narrowed(distribution: Distribution, width: f64) -> Distribution {
    match distribution {
        Distribution::Uniform { from, to } => {
            let (centre, half) = (0.5 * (from + to), 0.5 * (to - from) * width);
            Distribution::Uniform {
                from: centre - half,
                to: centre + half,
            }
        }
        Distribution::Normal { mean, sd } => Distribution::Normal {
            mean,
            sd: sd * width,
        },
        Distribution::LogNormal { median, sigma } => Distribution::LogNormal {
            median,
            sigma: sigma * width,
        },
    }
}

/// Cells with their threshold voltages (mV).
#[derive(Default)]
struct Drawn {
    cells: Vec<Regulation>,
    v_th: Vec<f64>,
}

/// What a cell does along the curve of a controller: mean calcium (µM) and pattern by lambda; `None`
/// where a conductance is negative or there is no solution.
type Curve = Vec<Option<(f64, Pattern)>>;

/// A controller: two lanes that it solves for, and one that it sets to a multiple of what homeostasis
/// would make of it.
#[derive(Clone, Copy, PartialEq)]
struct Control {
    lanes: [usize; 2],
    spare: Option<(usize, f64)>,
}

impl Control {
    /// The regulation of a cell by it, all conductances that it does not hold moved by homeostasis.
    fn regulation(&self, cell: &Regulation, v_th: f64, wanted: [f64; 2]) -> Option<Regulation> {
        let mut gbar = cell.gbar.clone();
        if let Some((lane, factor)) = self.spare {
            gbar[lane] *= factor;
        }
        let factors = cell.cell.tau_factors(&cell.neuron.parameters);
        Some(Regulation {
            direction: gbar.clone(),
            held: Some(Held {
                lanes: self.lanes.iter().map(|lane| (*lane, true)).collect(),
                wanted,
                plan: Compensation::new(&cell.cell, v_th, &factors, self.lanes)?,
            }),
            gbar,
            ..cell.clone()
        })
    }
}

/// Number of lambdas of a curve.
fn points() -> usize {
    (math::ln(LAMBDAS[1] / LAMBDAS[0]) / STRIDE).round() as usize + 1
}

fn lambda(k: usize) -> f64 {
    LAMBDAS[0] * math::exp(STRIDE * k as f64)
}

/// Curves of all cells under a controller.
fn curves(
    population: &Drawn,
    control: Control,
    wanted: [f64; 2],
    probe: &Probe,
    pulse: &mut Pulse,
) -> Result<Vec<Curve>, Trouble> {
    let mut curves = vec![vec![None; points()]; population.cells.len()];
    let (mut places, mut neurons): (Vec<[usize; 2]>, Vec<NeuronSpec>) = Default::default();
    for (cell, (regulation, v_th)) in population.cells.iter().zip(&population.v_th).enumerate() {
        let Some(regulation) = control.regulation(regulation, *v_th, wanted) else {
            continue;
        };
        for k in 0..points() {
            let gbar = regulation.at(lambda(k));
            if let Some(gbar) = gbar.filter(|gbar| gbar.iter().all(|g| *g >= 0.0)) {
                places.push([cell, k]);
                neurons.push(regulation.frozen(&gbar));
            }
        }
    }
    let states = match neurons.is_empty() {
        true => Vec::new(),
        false => probe.run(neurons, CALCIUM_MS, pulse)?,
    };
    for ([cell, k], state) in places.into_iter().zip(states) {
        curves[cell][k] = Some((state.ca_mean_um, state.pattern));
    }
    Ok(curves)
}

/// Whether there is an admissible intersection on a curve: calcium rises through the target between
/// two lambdas at both of which the cell fires as wanted.
fn admissible(curve: &Curve, target: f64, wanted: Pattern) -> bool {
    curve.windows(2).any(|pair| match pair {
        [Some((below, a)), Some((above, b))] => {
            *below <= target && target < *above && *a == wanted && *b == wanted
        }
        _ => false,
    })
}

/// How a cell with these wanted dynamic input conductances should fire.
fn pattern([g_s, _]: [f64; 2]) -> Pattern {
    match g_s < 0.0 {
        true => Pattern::Bursting,
        false => Pattern::Tonic,
    }
}

/// Told of a sweep: model time (ms) that is done, each population counting once, and all.
pub type Told<'a> = dyn FnMut(f64, f64) -> std::ops::ControlFlow<()> + Send + 'a;

/// The sweep on the population of a scene, with `cells` cells a point.
///
/// # Errors
/// The scene has no population that is drawn, with a homeostat and a controller; a run leaves all
/// sense or is broken off.
pub fn sweep(
    scene: &Scene,
    cells: usize,
    probe: &Probe,
    told: &mut Told,
) -> Result<Sweep, Failure> {
    let subject = Subject::of(scene)?;
    let definition = &scene.cell_types[subject.cell.cell_type];
    let name = |lane: usize| definition.channels[lane].0.clone();
    let wanted = pattern(subject.wanted);
    let mut sweep = Sweep {
        wanted: subject.wanted,
        pair: subject.pair.iter().map(|lane| name(*lane)).collect(),
        ca_target_um: subject.ca_target,
        spread: Vec::new(),
        by_number: Vec::new(),
        points: Vec::new(),
    };
    let targets = TARGETS.map(|factor| factor * subject.ca_target);
    let mut work = Work {
        probe,
        told,
        wanted: subject.wanted,
        done: 0.0,
        all: 0.0,
    };
    for width in WIDTHS {
        // Without any width all cells are one.
        let population = subject.drawn(width, if width == 0.0 { 1 } else { cells })?;
        sweep.spread.push([width, spread(&population)]);
        let n = population.cells.len();
        let lanes = controllable(&population);
        let pairs: Vec<[usize; 2]> = pairs(&lanes);
        work.all = (WIDTHS.len() * pairs.len()) as f64;
        let mut point = |lanes: &[usize], target: f64, curves: &[&Vec<Curve>]| {
            let any = |cell: &usize| {
                let mut of_cell = curves.iter().map(|curves| &curves[*cell]);
                of_cell.any(|curve| admissible(curve, target, wanted))
            };
            let chance = Chance::of((0..n).filter(any).count(), n);
            sweep.points.push(Point {
                channels: lanes.iter().map(|lane| name(*lane)).collect(),
                width,
                ca_target_um: target,
                chance,
            });
            chance.found
        };
        let mut of_pairs = Vec::new();
        for lanes in &pairs {
            let (lanes, spare) = (*lanes, None);
            of_pairs.push(work.curves(&population, Control { lanes, spare })?);
        }
        for target in targets {
            for (lanes, curves) in pairs.iter().zip(&of_pairs) {
                point(lanes, target, &[curves]);
            }
            point(&[], target, &of_pairs.iter().collect::<Vec<_>>());
        }
        if width != 1.0 {
            continue;
        }
        let works = |curve: &Curve| admissible(curve, subject.ca_target, wanted);
        let works = of_pairs
            .iter()
            .map(|curves| curves.iter().map(works).collect());
        let works: Vec<Vec<bool>> = works.collect();
        let hopeless = triples(&lanes).into_iter().filter(|triple| {
            let mut own = pairs.iter().zip(&works);
            own.all(|(pair, works)| !within(pair, triple) || works.iter().all(|works| !works))
        });
        let hopeless: Vec<[usize; 3]> = hopeless.collect();
        work.all += (hopeless.len() * spare_controls([0; 3]).len()) as f64;
        for triple in hopeless {
            let mut spares = Vec::new();
            for control in spare_controls(triple) {
                spares.push(work.curves(&population, control)?);
            }
            let own = pairs.iter().zip(&of_pairs);
            let own = own.filter(|(pair, _)| within(pair, &triple));
            let curves: Vec<&Vec<Curve>> = own.map(|(_, curves)| curves).chain(&spares).collect();
            for target in targets {
                point(&triple, target, &curves);
            }
        }
        sweep.by_number = by_number(&lanes, &pairs, &works);
    }
    Ok(sweep)
}

/// Runs of a sweep.
struct Work<'a, 't> {
    probe: &'a Probe,
    told: &'a mut Told<'t>,
    wanted: [f64; 2],
    /// Controllers done, and all.
    done: f64,
    all: f64,
}

impl Work<'_, '_> {
    /// Curves of a population under a controller.
    fn curves(&mut self, population: &Drawn, control: Control) -> Result<Vec<Curve>, Failure> {
        let (done, all, told) = (self.done, self.all, &mut *self.told);
        let mut pulse = |now: f64| told(done.mul_add(CALCIUM_MS, now), all * CALCIUM_MS);
        let curves = curves(population, control, self.wanted, self.probe, &mut pulse);
        self.done += 1.0;
        curves.map_err(|trouble| super::outcome::failure(trouble, "before the sweep was done"))
    }
}

/// Lanes of all channels but the one that normalises dynamic input conductances.
fn controllable(population: &Drawn) -> Vec<usize> {
    population.cells.first().map_or(Vec::new(), |first| {
        let norm = normaliser(&first.cell);
        let lanes = 0..first.cell.channels();
        lanes.filter(|lane| Some(*lane) != norm).collect()
    })
}

fn pairs(lanes: &[usize]) -> Vec<[usize; 2]> {
    let firsts = lanes.iter().enumerate();
    let pairs = firsts.flat_map(|(k, a)| lanes[k + 1..].iter().map(|b| [*a, *b]));
    pairs.collect()
}

fn triples(lanes: &[usize]) -> Vec<[usize; 3]> {
    let firsts = lanes.iter().enumerate();
    let triples =
        firsts.flat_map(|(k, a)| pairs(&lanes[k + 1..]).into_iter().map(|[b, c]| [*a, b, c]));
    triples.collect()
}

fn within(pair: &[usize; 2], triple: &[usize; 3]) -> bool {
    pair.iter().all(|lane| triple.contains(lane))
}

/// For each number of channels, the mean chance over all sets of as many that some pair in the set
/// has an intersection; `works` says of each pair in which cells it has.
fn by_number(lanes: &[usize], pairs: &[[usize; 2]], works: &[Vec<bool>]) -> Vec<(usize, f64)> {
    let (n, cells) = (lanes.len(), works.first().map_or(0, Vec::len));
    if n > MOST_CHANNELS || cells == 0 {
        return Vec::new();
    }
    let mut sums = vec![(0_usize, 0_usize); n + 1];
    for set in 0_usize..1 << n {
        let holds = |lane: &usize| {
            lanes
                .iter()
                .position(|l| l == lane)
                .is_some_and(|k| set >> k & 1 == 1)
        };
        let inside = pairs.iter().zip(works);
        let inside: Vec<&Vec<bool>> = inside
            .filter(|(pair, _)| pair.iter().all(holds))
            .map(|(_, works)| works)
            .collect();
        let (sets, found) = &mut sums[set.count_ones() as usize];
        *sets += 1;
        *found += (0..cells)
            .filter(|cell| inside.iter().any(|works| works[*cell]))
            .count();
    }
    let of = |(number, (sets, found)): (usize, (usize, usize))| {
        (number, found as f64 / (sets * cells) as f64)
    };
    sums.into_iter().enumerate().skip(2).map(of).collect()
}

/// A pair of a triple solved for and the third set, to what its pairs alone do not make of it.
fn spare_controls([a, b, c]: [usize; 3]) -> Vec<Control> {
    let pairs = [([a, b], c), ([a, c], b), ([b, c], a)];
    let controls = SPARE.into_iter().flat_map(|factor| {
        pairs.map(|(lanes, third)| Control {
            lanes,
            spare: Some((third, factor)),
        })
    });
    controls.collect()
}

/// Mean coefficient of variation of the conductances of a population (1).
fn spread(population: &Drawn) -> f64 {
    let n = population.cells.len() as f64;
    let lanes = population.cells.first().map_or(0, |cell| cell.gbar.len());
    let variation = |lane: usize| {
        let values = || population.cells.iter().map(|cell| cell.gbar[lane]);
        let mean = values().sum::<f64>() / n;
        let squares: f64 = values().map(|g| (g - mean) * (g - mean)).sum();
        (squares / (n - 1.0).max(1.0)).sqrt() / mean
    };
    (0..lanes).map(variation).sum::<f64>() / lanes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calcium_must_rise_through_the_target_where_the_pattern_is_right() {
        use Pattern::{Bursting, Tonic};
        let curve = |points: &[(f64, Pattern)]| points.iter().copied().map(Some).collect();
        let admissible = |curve: &Curve| admissible(curve, 125.0, Bursting);
        assert!(admissible(&curve(&[(100.0, Bursting), (150.0, Bursting)])));
        assert!(!admissible(&curve(&[(150.0, Bursting), (100.0, Bursting)])));
        assert!(!admissible(&curve(&[(100.0, Tonic), (150.0, Bursting)])));
        assert!(!admissible(&vec![
            Some((100.0, Bursting)),
            None,
            Some((150.0, Bursting))
        ]));
    }
}
