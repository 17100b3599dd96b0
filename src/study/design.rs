//! Which members a study has: number <-> coordinates, and the values of the axes at each.
//!
//! A member is one branch of one run of one network. Its number is a mixed radix of, slowest first,
//!
//! ```text
//! base, branch, setting, network, realisation, point
//! ```
//!
//! where a *setting* is a combination of the axes that make networks and a *point* one of the other
//! axes, each in the order of the file with the last axis fastest. Where axes go together
//! ([`Design::Together`] and the sampled designs) number k of all of them is a setting if any of them
//! makes networks, else a point. Nothing of the size of the design is kept, but for the permutations
//! of a Latin hypercube, four bytes a point and axis.

use crate::scene::draw::Stream;

use super::model::{Axis, Design, Networks, Study, Value};
use super::sobol;

/// More members than this are asked about before they run.
pub const MANY_MEMBERS: u64 = 10_000_000;

/// Where a member stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Coordinates {
    /// Base, by its index.
    pub base: u64,
    /// Branch, by its index; 0 where the study names none.
    pub branch: u64,
    /// Combination of the axes that make networks.
    pub setting: u64,
    /// Draw, or row of the table.
    pub network: u64,
    /// Run of the network.
    pub realisation: u64,
    /// Combination of the other axes.
    pub point: u64,
}

impl Coordinates {
    /// The run that the member is a branch of.
    pub fn run(&self) -> Run {
        let Coordinates {
            base,
            setting,
            network,
            realisation,
            ..
        } = *self;
        Run {
            base,
            setting,
            network,
            realisation,
        }
    }
}

/// A run of a network up to the fork, which all its branches share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Run {
    /// Base, by its index.
    pub base: u64,
    /// Combination of the axes that make networks.
    pub setting: u64,
    /// Draw, or row of the table.
    pub network: u64,
    /// Run of the network.
    pub realisation: u64,
}

/// How many there are of each thing that members are numbered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Bases.
    pub bases: u64,
    /// Branches, at least 1.
    pub branches: u64,
    /// Combinations of the axes that make networks, at least 1.
    pub settings: u64,
    /// Draws of networks, or rows of their table.
    pub networks: u64,
    /// Runs of each network.
    pub realisations: u64,
    /// Combinations of the other axes, at least 1.
    pub points: u64,
}

impl Counts {
    /// Runs up to the fork: each has its control.
    pub fn runs(&self) -> u64 {
        self.bases * self.settings * self.networks * self.realisations
    }

    /// Members of one run, besides its control.
    pub fn branches_of_run(&self) -> u64 {
        self.branches * self.points
    }

    /// Members, besides the controls.
    pub fn members(&self) -> u64 {
        self.runs() * self.branches_of_run()
    }
}

/// The members of a study.
#[derive(Clone, Debug)]
pub struct Plan {
    counts: Counts,
    design: Design,
    seed: u64,
    axes: Vec<Axis>,
    /// Of a Latin hypercube, by axis: the stratum of each point.
    strata: Vec<Vec<u32>>,
}

impl Plan {
    /// The plan of a study; `None`: it has more members than can be counted.
    pub fn new(study: &Study) -> Option<Self> {
        let counts = counts(study)?;
        let strata = match study.design {
            Design::LatinHypercube(n) => {
                let axes = study.axes.iter();
                axes.map(|axis| strata(study.seed, &axis.name, n)).collect()
            }
            _ => Vec::new(),
        };
        Some(Plan {
            counts,
            design: study.design,
            seed: study.seed,
            axes: study.axes.clone(),
            strata,
        })
    }

    /// How many there are of everything.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The coordinates of a member, by its number below [`Counts::members`].
    pub fn member(&self, number: u64) -> Coordinates {
        let mut digits = Digits(number);
        let point = digits.take(self.counts.points);
        let realisation = digits.take(self.counts.realisations);
        let network = digits.take(self.counts.networks);
        let setting = digits.take(self.counts.settings);
        let branch = digits.take(self.counts.branches);
        Coordinates {
            base: digits.0,
            branch,
            setting,
            network,
            realisation,
            point,
        }
    }

    /// The number of a member.
    pub fn number(&self, member: &Coordinates) -> u64 {
        let Counts {
            branches,
            settings,
            networks,
            realisations,
            points,
            ..
        } = self.counts;
        let number = member.base * branches + member.branch;
        let number = number * settings + member.setting;
        let number = number * networks + member.network;
        (number * realisations + member.realisation) * points + member.point
    }

    /// A run, by its number below [`Counts::runs`].
    pub fn run(&self, number: u64) -> Run {
        let mut digits = Digits(number);
        let realisation = digits.take(self.counts.realisations);
        let network = digits.take(self.counts.networks);
        let setting = digits.take(self.counts.settings);
        Run {
            base: digits.0,
            setting,
            network,
            realisation,
        }
    }

    /// The number of a run.
    pub fn run_number(&self, run: &Run) -> u64 {
        let number = run.base * self.counts.settings + run.setting;
        (number * self.counts.networks + run.network) * self.counts.realisations + run.realisation
    }

    /// The members of a run, branch by branch and point by point.
    pub fn members_of(&self, run: Run) -> impl Iterator<Item = Coordinates> + use<> {
        let points = self.counts.points;
        (0..self.counts.branches_of_run()).map(move |number| Coordinates {
            base: run.base,
            branch: number / points,
            setting: run.setting,
            network: run.network,
            realisation: run.realisation,
            point: number % points,
        })
    }

    /// The values of all axes at a setting and a point, in the order of the axes; none of a
    /// bisection.
    pub fn values(&self, setting: u64, point: u64) -> Vec<Option<Value>> {
        if self.design != Design::Grid {
            // All axes go together: one of the two is 0.
            let number = setting.max(point);
            let axes = self.axes.iter().enumerate();
            return axes
                .map(|(k, axis)| self.together(k, axis, number))
                .collect();
        }
        let (mut settings, mut points) = (Digits(setting), Digits(point));
        let mut values: Vec<Option<Value>> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let digits = match axis.makes_networks {
                    true => &mut settings,
                    false => &mut points,
                };
                let number = digits.take(axis.values.count() as u64);
                axis.values.value(number as usize)
            })
            .collect();
        values.reverse();
        values
    }

    /// The values of the axes that make networks, in the order of all axes; none of the others.
    pub fn settings(&self, setting: u64) -> Vec<Option<Value>> {
        let mut values = self.values(setting, 0);
        for (value, axis) in values.iter_mut().zip(&self.axes) {
            value.take_if(|_| !axis.makes_networks);
        }
        values
    }

    /// Value number `number` of an axis where all go together.
    fn together(&self, k: usize, axis: &Axis, number: u64) -> Option<Value> {
        let unit = || {
            let mut stream = Stream::new(self.seed, &format!("design {}", axis.name));
            stream.seek(number);
            stream.unit()
        };
        match self.design {
            Design::Grid | Design::Together => axis.values.value(number as usize),
            Design::Random(_) => axis.values.at(unit()),
            Design::LatinHypercube(n) => {
                let stratum = f64::from(*self.strata.get(k)?.get(number as usize)?);
                axis.values.at((stratum + unit()) / n as f64)
            }
            Design::Sobol(_) => {
                let shift = Stream::new(self.seed, &format!("design {}", axis.name)).bits();
                axis.values.at(sobol::unit(sobol::bits(number, k) ^ shift))
            }
        }
    }
}

impl Study {
    /// How many members there are, and of what; `None`: more than can be counted.
    pub fn counts(&self) -> Option<Counts> {
        counts(self)
    }
}

fn counts(study: &Study) -> Option<Counts> {
    let product = |makes_networks: bool| {
        let mut axes = study.axes.iter();
        axes.try_fold(1_u64, |product, axis| {
            match axis.makes_networks == makes_networks {
                true => product.checked_mul(axis.values.count() as u64),
                false => Some(product),
            }
        })
    };
    let together = match study.design {
        Design::Grid => None,
        Design::Together => Some(study.axes.first().map_or(1, |axis| axis.values.count())),
        Design::Random(n) | Design::LatinHypercube(n) | Design::Sobol(n) => Some(n),
    };
    let (settings, points) = match together {
        None => (product(true)?, product(false)?),
        Some(n) if study.axes.iter().any(|axis| axis.makes_networks) => (n as u64, 1),
        Some(n) => (1, n as u64),
    };
    let networks = match &study.networks {
        Networks::Drawn(ensemble) => ensemble.count,
        Networks::Table { rows, .. } => rows.len(),
    };
    let counts = Counts {
        bases: study.bases.len() as u64,
        branches: study.branches.len().max(1) as u64,
        settings,
        networks: networks as u64,
        realisations: study.realisations.as_ref().map_or(1, |r| r.count) as u64,
        points,
    };
    let factors = [
        counts.bases,
        counts.branches,
        counts.settings,
        counts.networks,
        counts.realisations,
        counts.points,
    ];
    let all = factors.iter().try_fold(1_u64, |all, n| all.checked_mul(*n));
    all.map(|_| counts)
}

/// What is left of a number of mixed radix.
struct Digits(u64);

impl Digits {
    /// Takes the last digit, of a radix of at least 1, off.
    fn take(&mut self, radix: u64) -> u64 {
        let digit = self.0 % radix;
        self.0 /= radix;
        digit
    }
}

/// The stratum of each of `n` points on an axis: every one once, in an order of its own.
fn strata(seed: u64, axis: &str, n: usize) -> Vec<u32> {
    let mut stream = Stream::new(seed, &format!("strata {axis}"));
    let mut strata: Vec<u32> = (0..n as u32).collect();
    for k in (1..strata.len()).rev() {
        strata.swap(k, stream.below(k as u32 + 1) as usize);
    }
    strata
}
