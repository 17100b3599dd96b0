//! The conductances of cells that are drawn: draws, then compensations, then rules.

use std::{collections::HashMap, sync::Arc};

use bevy_ecs::prelude::Resource;
use homarus_systems::{
    channels::CellType,
    definition::CellDefinition,
    dic::{self, Compensation},
    kinetics::Expression,
};
use rayon::prelude::*;

use super::super::{
    diagnostic::Diagnostic,
    draw::Stream,
    model::{Cell, IfNegative, NegativeConductance, Sampler, Scene, Solve, Value},
    names, spawn,
};

/// Draws for one cell after which it is given up.
const MOST_DRAWS: u32 = 10_000;

/// Times a compensation is solved at most where the solution moves the calcium it is solved at.
const MOST_SOLVES: usize = 100;

/// How many draws were thrown away, cell by cell; empty where nothing is drawn.
#[derive(Resource, Clone, Debug, Default)]
pub struct Thrown(Vec<u32>);

impl Thrown {
    /// Draws that were thrown away for some cells (indices).
    pub fn of(&self, cells: &[usize]) -> u64 {
        let thrown = cells.iter().filter_map(|cell| self.0.get(*cell));
        thrown.map(|n| u64::from(*n)).sum()
    }
}

/// What was drawn.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// Conductances (mS/cm²) by lane, cell by cell; none for a cell of which nothing is drawn.
    gbar: Vec<Vec<f64>>,
    /// How often cells were drawn again.
    pub thrown: Thrown,
}

impl Built {
    /// Conductances (mS/cm²) of a cell by lane, before they are jittered.
    pub fn gbar(&self, scene: &Scene, cell: usize) -> Vec<f64> {
        match self.gbar.get(cell) {
            Some(gbar) if !gbar.is_empty() => gbar.clone(),
            _ => scene.cells[cell].gbar.clone(),
        }
    }
}

/// Draws the conductances of every cell of a scene.
///
/// # Errors
/// The first cell, in scene order, for which no draw is right.
pub fn build(scene: &Scene) -> Result<Built, Diagnostic> {
    /// Cells that are drawn before it is looked whether one of them failed.
    const AT_ONCE: usize = 64;
    if scene.cells.iter().all(|cell| cell.sampler.is_none()) {
        return Ok(Built::default());
    }
    let types = compiled(scene)?;
    let mut built = Built::default();
    for cells in scene.cells.chunks(AT_ONCE) {
        let drawn: Vec<_> = cells
            .par_iter()
            .map(|cell| match &cell.sampler {
                None => Ok((Vec::new(), 0)),
                Some(sampler) => Drawing::new(scene, cell, sampler, &types).finish(),
            })
            .collect();
        for outcome in drawn {
            let (gbar, thrown) = outcome?;
            built.gbar.push(gbar);
            built.thrown.0.push(thrown);
        }
    }
    Ok(built)
}

/// Cell types with the parameters of the cells that are compensated, by the sampler they share.
type Types = HashMap<usize, (CellType, [Vec<f64>; 2])>;

/// Tells samplers apart: the cells of one description share theirs.
fn key(sampler: &Arc<Sampler>) -> usize {
    Arc::as_ptr(sampler).addr()
}

fn compiled(scene: &Scene) -> Result<Types, Diagnostic> {
    let mut types = Types::new();
    for cell in &scene.cells {
        let Some(sampler) = cell.sampler.as_ref().filter(|s| !s.solves.is_empty()) else {
            continue;
        };
        if types.contains_key(&key(sampler)) {
            continue;
        }
        let definition: Arc<CellDefinition> = Arc::new(scene.cell_types[cell.cell_type].clone());
        let defaults = CellType::default_parameters(&definition);
        let parameters = spawn::own_parameters(&definition, &defaults, cell);
        let compiled = CellType::compile(&definition, &parameters, cell.area, scene.step_ms);
        let compiled = compiled.map_err(|error| {
            let whose = format!("cell `{}`", cell.name);
            spawn::kinetics(&cell.origin, &whose, &error)
        })?;
        let factors = compiled.tau_factors(&parameters);
        types.insert(key(sampler), (compiled, factors));
    }
    Ok(types)
}

/// The draws for one cell.
struct Drawing<'s> {
    scene: &'s Scene,
    cell: &'s Cell,
    sampler: &'s Sampler,
    of_type: Option<&'s (CellType, [Vec<f64>; 2])>,
    /// A stream a draw.
    streams: Vec<Stream>,
}

/// Why a draw is thrown away.
enum Wrong {
    /// Another may be right.
    Again(Diagnostic),
    /// So would be any other.
    Always(Diagnostic),
}

impl<'s> Drawing<'s> {
    fn new(scene: &'s Scene, cell: &'s Cell, sampler: &'s Arc<Sampler>, types: &'s Types) -> Self {
        let owner = cell.drawn_as.as_ref().unwrap_or(&cell.name);
        let stream = |name: &str| Stream::new(scene.seed, &format!("{owner}.{name}"));
        Self {
            scene,
            cell,
            sampler,
            of_type: types.get(&key(sampler)),
            streams: sampler
                .draws
                .iter()
                .map(|draw| stream(&draw.name))
                .collect(),
        }
    }

    /// Conductances (mS/cm²) by lane of the first draw that is right, and how many were not.
    fn finish(mut self) -> Result<(Vec<f64>, u32), Diagnostic> {
        let mut thrown = 0;
        loop {
            match self.draw() {
                Ok(gbar) => return Ok((gbar, thrown)),
                Err(Wrong::Always(error)) => return Err(error),
                Err(Wrong::Again(error)) => {
                    thrown += 1;
                    if thrown == MOST_DRAWS {
                        return Err(error.help(format!(
                            "so it went {MOST_DRAWS} times for `{}`, and no more is tried: other draws, or a looser rule",
                            self.cell.name
                        )));
                    }
                }
            }
        }
    }

    fn draw(&mut self) -> Result<Vec<f64>, Wrong> {
        let sampler = self.sampler;
        let mut gbar = self.cell.gbar.clone();
        let mut values = vec![f64::NAN; sampler.draws.len()];
        for &k in &sampler.order {
            let draw = &sampler.draws[k];
            let value = match &draw.value {
                Value::Number(x) => *x,
                Value::Distribution(distribution) => self.streams[k].draw(*distribution),
                Value::Function(function) => self.value(function, &gbar, &values),
            };
            if !value.is_finite() {
                return Err(Wrong::Always(self.told(&draw.name, value)));
            }
            values[k] = value;
            if let Some(lane) = draw.lane {
                gbar[lane] = value;
            }
        }
        for solve in &sampler.solves {
            self.solve(solve, &mut gbar)?;
        }
        for condition in &sampler.reject {
            if self.value(&condition.holds, &gbar, &values) != 0.0 {
                return Err(Wrong::Again(
                    Diagnostic::at(
                        &condition.origin,
                        format!("every draw for `{}` is rejected", self.cell.name),
                    )
                    .label("by this rule, the last time"),
                ));
            }
        }
        self.check(&gbar)?;
        Ok(gbar)
    }

    /// An expression of channels and draws.
    fn value(&self, expression: &Expression, gbar: &[f64], values: &[f64]) -> f64 {
        let channels = &self.scene.cell_types[self.cell.cell_type].channels;
        let known = |name: &str| match channels.iter().position(|(channel, _)| channel == name) {
            Some(lane) => Some(gbar[lane]),
            None => {
                let mut draws = self.sampler.draws.iter();
                draws.position(|draw| draw.name == name).map(|k| values[k])
            }
        };
        expression.bind(&known).is_constant().unwrap_or(f64::NAN)
    }

    fn channel(&self, lane: usize) -> &str {
        &self.scene.cell_types[self.cell.cell_type].channels[lane].0
    }

    /// The error for an impossible value of a draw.
    fn told(&self, name: &str, value: f64) -> Diagnostic {
        Diagnostic::at(
            &self.cell.origin,
            format!("`{name}` of `{}` comes out as {value}", self.cell.name),
        )
        .label("drawn for this description")
        .help(match value.is_finite() {
            true => format!(
                "a function that stays above 0, `reject: [\"{name} < 0\"]`, or `negative_conductance: \"allow\"` in the scene"
            ),
            false => format!("a function with a finite value wherever `{name}` is drawn"),
        })
    }

    /// Refuses what the network would refuse.
    fn check(&self, gbar: &[f64]) -> Result<(), Wrong> {
        let solved = |lane: &usize| self.sampler.solves.iter().any(|s| s.lanes.contains(lane));
        let allowed = self.scene.negative_conductance == NegativeConductance::Allow;
        let negative = (0..gbar.len()).find(|lane| gbar[*lane] < 0.0 && !solved(lane));
        if let Some(lane) = negative.filter(|_| !allowed) {
            return Err(Wrong::Always(self.told(self.channel(lane), gbar[lane])));
        }
        let definition = &self.scene.cell_types[self.cell.cell_type];
        let reference = definition.homeostat_reference.as_ref();
        let reference = reference.filter(|_| self.cell.homeostat.is_some());
        let lane = reference.and_then(|r| definition.channels.iter().position(|(c, _)| c == r));
        if let Some(lane) = lane.filter(|lane| gbar[*lane] <= 0.0) {
            return Err(Wrong::Always(
                Diagnostic::at(
                    &self.cell.origin,
                    format!(
                        "homeostasis needs a conductance of `{}` above 0",
                        self.channel(lane)
                    ),
                )
                .label(format!("`{}` has {}", self.cell.name, gbar[lane]))
                .help("the time constant of every channel is in proportion to it"),
            ));
        }
        Ok(())
    }

    /// Replaces the conductances (mS/cm²) that are solved for.
    fn solve(&self, solve: &Solve, gbar: &mut [f64]) -> Result<(), Wrong> {
        let wrong = |error: Diagnostic, again: bool| match again {
            true => Wrong::Again(error),
            false => Wrong::Always(error),
        };
        let again = solve.if_negative == IfNegative::Redraw;
        let Some(solution) = self.solution(solve, gbar) else {
            let names: Vec<&str> = solve.lanes.iter().map(|lane| self.channel(*lane)).collect();
            let error = Diagnostic::at(
                &solve.origin,
                format!("the compensation of `{}` has no solution", self.cell.name),
            )
            .label("singular")
            .help(format!(
                "{} do not move the targets independently at this voltage: other channels, another `V_th`",
                names::list(&names)
            ));
            return Err(wrong(error, again));
        };
        for (lane, g) in solve.lanes.iter().zip(solution) {
            if g < 0.0 && solve.if_negative != IfNegative::Keep {
                let error = Diagnostic::at(
                    &solve.origin,
                    format!(
                        "the compensation of `{}` needs a negative conductance of `{}`",
                        self.cell.name,
                        self.channel(*lane)
                    ),
                )
                .label(format!("{g:.6} mS/cm²"));
                let help = "`if_negative: \"redraw\"` draws such a cell again, `\"keep\"` keeps the value; or other targets";
                let error = match again {
                    true => error,
                    false => error.help(help),
                };
                return Err(wrong(error, again));
            }
            gbar[*lane] = g;
        }
        Ok(())
    }

    /// The conductances (mS/cm²) that a compensation wants. Where they carry calcium that others
    /// read, they are solved for again until they stay.
    fn solution(&self, solve: &Solve, gbar: &[f64]) -> Option<Vec<f64>> {
        let (cell, factors) = self.of_type?;
        let v_th = match solve.v_th {
            Some(v) => v,
            None => dic::threshold(cell, gbar, factors)?,
        };
        let mut gbar = gbar.to_vec();
        let unblocked = vec![1.0; gbar.len()];
        let [_, g_s, g_u] = solve.targets;
        for _ in 0..MOST_SOLVES {
            let found = match *solve.lanes.as_slice() {
                [a, b] => Compensation::new(cell, v_th, factors, [a, b])?
                    .reference(cell, &gbar, &unblocked, [g_s, g_u])?
                    .to_vec(),
                [a, b, c] => {
                    dic::build(cell, v_th, factors, &gbar, [a, b, c], solve.targets)?.to_vec()
                }
                _ => return None,
            };
            let mut stays = true;
            for (lane, g) in solve.lanes.iter().zip(&found) {
                stays &= (g - gbar[*lane]).abs() <= 1e-12 * g.abs();
                gbar[*lane] = *g;
            }
            if stays {
                return Some(found);
            }
        }
        None
    }
}
