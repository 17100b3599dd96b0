//! The network as one ODE: state gathered from the world, right-hand side from the subjects.
//!
//! Neurons of one cell type stand in blocks of eight, a variable's eight values side by side;
//! after the blocks come the synapses' s, then homeostasis (m, g a channel), then controllers
//! (g, pool, integral a channel).

use super::Reference;
use super::dormand_prince::{Stages, StepError};
use crate::calcium;
use crate::channels::{BLOCK, CellType, CellTypes, NegativeConductance};
use crate::coupling::{Coupling, Kinds};
use crate::homeostasis::{self, Homeostat};
use crate::integrate::columns::{AllColumns, Columns};
use crate::kinetics::{Lanes, Variables};
use crate::math::powi;
use crate::membrane::{self, Input};
use crate::neuromodulation::{self, Controller};
use crate::observe::{Armed, Detection, Spike};
use crate::schedule::NeuronIndex;

/// Conductances (mS/cm²) and block factors (felt, seen) of one neuron by lane, and what it makes of
/// conductances below zero.
#[derive(Clone, Debug, Default)]
struct Membrane {
    negative: NegativeConductance,
    gbar: Vec<f64>,
    factor: Vec<f64>,
    seen: Vec<f64>,
}

/// Regulators of one neuron.
pub struct Regulation<'a> {
    /// Neuron.
    pub neuron: usize,
    /// Rule below zero.
    pub negative: NegativeConductance,
    /// Kinetic parameters.
    pub parameters: Vec<f64>,
    /// Homeostasis.
    pub homeostat: Option<&'a mut Homeostat>,
    /// Controller.
    pub controller: Option<&'a mut Controller>,
}

/// Regulators of a network.
pub type Regulators<'a> = Vec<Regulation<'a>>;

/// Up to eight neurons of one cell type.
struct Group<'a> {
    cell: &'a CellType,
    neurons: Vec<usize>,
    /// First variable of the group: V, then Ca, then the gates, then the states of kinetic schemes,
    /// eight values each.
    first: usize,
    /// Factors on rates by gate.
    rate: Vec<[f64; BLOCK]>,
    /// Conductance as the membrane feels it, and as calcium feels it, by lane.
    membrane: Vec<[f64; BLOCK]>,
    influx: Vec<[f64; BLOCK]>,
    /// Input held over the stretch.
    input: [Input; BLOCK],
}

/// A network as one ODE.
pub struct Ode<'a> {
    groups: Vec<Group<'a>>,
    /// Group and place of each neuron.
    places: Vec<(usize, usize)>,
    cells: Vec<Membrane>,
    regulators: Regulators<'a>,
    kinds: &'a Kinds,
    coupling: &'a mut Coupling,
    detection: Detection,
    y: Vec<f64>,
    scale: Vec<f64>,
    first_site: usize,
    first_regulated: usize,
    h: f64,
    voltage: Vec<f64>,
    felt: Vec<Input>,
    /// Integral of calcium and arming of each neuron.
    integral: Vec<f64>,
    armed: Vec<Armed>,
    /// Spikes found.
    pub spikes: Vec<Spike>,
    /// Conductances found below zero: (neuron, lane, time).
    pub falls: Vec<(usize, usize, f64)>,
}

impl<'a> Ode<'a> {
    /// Gathers the state of a world.
    pub fn gather(
        columns: &AllColumns,
        regulators: Regulators<'a>,
        types: &'a CellTypes,
        kinds: &'a Kinds,
        coupling: &'a mut Coupling,
        neurons: usize,
        detection: Detection,
        settings: Reference,
    ) -> Self {
        let mut ode = Ode {
            groups: Vec::new(),
            places: vec![(0, 0); neurons],
            cells: vec![Membrane::default(); neurons],
            regulators,
            kinds,
            coupling,
            detection,
            y: Vec::new(),
            scale: Vec::new(),
            first_site: 0,
            first_regulated: 0,
            h: settings.step,
            voltage: vec![0.0; neurons],
            felt: vec![Input::default(); neurons],
            integral: vec![0.0; neurons],
            armed: vec![Armed(true); neurons],
            spikes: Vec::new(),
            falls: Vec::new(),
        };
        let tolerance = settings.tolerance;
        columns
            .eight
            .iter()
            .for_each(|c| ode.gather_table(c, types, tolerance));
        columns
            .sixteen
            .iter()
            .for_each(|c| ode.gather_table(c, types, tolerance));
        columns
            .thirty_two
            .iter()
            .for_each(|c| ode.gather_table(c, types, tolerance));
        ode.first_site = ode.y.len();
        ode.y.extend(ode.coupling.sites.iter().map(|s| s.s));
        ode.first_regulated = ode.y.len();
        for r in &ode.regulators {
            if let Some(homeostat) = &r.homeostat {
                ode.y.extend(
                    homeostat
                        .channels
                        .iter()
                        .flat_map(|c| [c.mrna, c.conductance]),
                );
            }
            if let Some(controller) = &r.controller {
                ode.y
                    .extend(controller.channels.iter().flat_map(|c| c.state()));
            }
        }
        ode.scale.resize(ode.first_regulated, 0.1 * tolerance);
        ode.scale.resize(ode.y.len(), tolerance);
        ode
    }

    fn gather_table<const W: usize>(
        &mut self,
        columns: &Columns<W>,
        types: &'a CellTypes,
        tolerance: f64,
    ) {
        for rows in columns.runs(BLOCK) {
            let cell = types.get(columns.kind[rows.start]);
            let row = |k: usize| (rows.start + k).min(rows.end - 1);
            let first = self.y.len();
            let neurons: Vec<usize> = rows.clone().map(|r| columns.index[r].0 as usize).collect();
            for (k, neuron) in neurons.iter().enumerate() {
                self.places[*neuron] = (self.groups.len(), k);
                self.integral[*neuron] = columns.integral[rows.start + k].since_tick;
                self.armed[*neuron] = columns.armed[rows.start + k];
                let block = &columns.block[rows.start + k];
                self.cells[*neuron] = Membrane {
                    negative: columns.negative[rows.start + k],
                    gbar: columns.gbar[rows.start + k].0.0.to_vec(),
                    factor: block.factor.0.to_vec(),
                    seen: block.seen.0.to_vec(),
                };
            }
            self.y.extend((0..BLOCK).map(|k| columns.voltage[row(k)].0));
            self.y.extend((0..BLOCK).map(|k| columns.calcium[row(k)].0));
            let gates = |slot: usize, k: usize, lane: usize| match slot {
                0 => columns.activation[row(k)].0.0[lane],
                _ => columns.inactivation[row(k)].0.0[lane],
            };
            let mut rate = Vec::new();
            for gate in &cell.gates {
                let (slot, lane) = (gate.slot as usize, gate.lane);
                self.y.extend((0..BLOCK).map(|k| gates(slot, k, lane)));
                rate.push(std::array::from_fn(|k| {
                    columns.rate[row(k)].0[slot].0[lane]
                }));
            }
            for state in 0..cell.states() {
                self.y.extend((0..BLOCK).map(|k| match &columns.states {
                    Some(states) => states[row(k)].0[state],
                    None => 0.0,
                }));
            }
            // Gates are small numbers: their absolute tolerance is a tenth of that of V and Ca.
            self.scale.resize(first + 2 * BLOCK, tolerance);
            self.scale.resize(self.y.len(), 0.1 * tolerance);
            self.groups.push(Group {
                cell,
                neurons,
                first,
                rate,
                membrane: vec![[0.0; BLOCK]; cell.channels()],
                influx: vec![[0.0; BLOCK]; cell.channels()],
                input: std::array::from_fn(|k| columns.input[row(k)]),
            });
        }
        for group in 0..self.groups.len() {
            self.feel(group);
        }
    }

    /// Derives what a group feels from the conductances of its neurons.
    fn feel(&mut self, group: usize) {
        for k in 0..self.groups[group].neurons.len() {
            for lane in 0..self.groups[group].cell.channels() {
                self.feel_lane(self.groups[group].neurons[k], lane);
            }
        }
    }

    fn feel_lane(&mut self, neuron: usize, lane: usize) {
        let (group, k) = self.places[neuron];
        let cell = &self.cells[neuron];
        let (membrane, influx) = cell.negative.felt(cell.gbar[lane]);
        let group = &mut self.groups[group];
        group.membrane[lane][k] = membrane * cell.factor[lane];
        group.influx[lane][k] = influx * cell.factor[lane] * group.cell.carries_calcium[lane];
    }

    /// State at the start.
    pub fn state(&self) -> Vec<f64> {
        self.y.clone()
    }

    /// Absolute tolerances.
    pub fn scale(&self) -> &[f64] {
        &self.scale
    }

    /// Step (ms) to try next.
    pub fn next_step(&self) -> f64 {
        self.h
    }

    /// Variable of a neuron's voltage.
    fn v_of(&self, neuron: usize) -> usize {
        let (group, k) = self.places[neuron];
        self.groups[group].first + k
    }

    /// Right-hand side.
    #[inline(always)]
    pub fn rhs(&mut self, y: &[f64], dy: &mut [f64]) {
        for neuron in 0..self.voltage.len() {
            self.voltage[neuron] = y[self.v_of(neuron)];
        }
        for (k, site) in self.coupling.sites.iter_mut().enumerate() {
            let (inf, tau) = self
                .kinds
                .get(site.kind)
                .gate(self.voltage[site.pre as usize]);
            (site.s, dy[self.first_site + k]) = relaxing(y[self.first_site + k], inf, tau);
        }
        if !self.coupling.is_empty() {
            self.coupling
                .gather(self.kinds, &self.voltage, &mut self.felt);
        }
        self.regulate(y, dy);
        for group in &self.groups {
            group_rates(group, &self.felt, y, dy);
        }
    }

    /// Puts the regulated conductances in place, then homeostasis and controllers.
    fn regulate(&mut self, y: &[f64], dy: &mut [f64]) {
        let mut at = self.first_regulated;
        for r in 0..self.regulators.len() {
            for (lane, g) in self.regulators[r].conductances(&y[at..]) {
                let neuron = self.regulators[r].neuron;
                self.cells[neuron].gbar[lane] = g;
                self.feel_lane(neuron, lane);
            }
            let regulation = &mut self.regulators[r];
            let (group, k) = self.places[regulation.neuron];
            let ca = y[self.groups[group].first + BLOCK + k];
            let cell = &self.cells[regulation.neuron];
            at += regulation.rates(self.groups[group].cell, cell, ca, &y[at..], &mut dy[at..]);
        }
    }

    /// Takes over an accepted step of `h` from `t` (ms): spikes, calcium integral, conductances
    /// below zero.
    pub fn accept(&mut self, stages: &mut Stages, t: f64, h: f64) {
        for neuron in 0..self.voltage.len() {
            let (group, k) = self.places[neuron];
            let v = self.groups[group].first + k;
            let (before, after) = (stages.y[v], stages.next[v]);
            if self
                .detection
                .detect(&mut self.armed[neuron], before, after)
                .is_some()
            {
                let fraction = stages.crossing(v, h, self.detection.threshold);
                let t_ms = fraction.mul_add(h, t);
                self.spikes.push(Spike {
                    t_ms,
                    neuron: NeuronIndex(neuron as u32),
                });
            }
            let ca = v + BLOCK;
            let (a, b) = stages.slopes(ca);
            self.integral[neuron] +=
                0.5 * h * (stages.y[ca] + stages.next[ca]) + h * h / 12.0 * (a - b);
        }
        stages.advance();
        let mut at = self.first_regulated;
        for r in &self.regulators {
            for (place, lane) in r.places() {
                let g = &mut stages.y[at + place];
                if *g < 0.0 {
                    self.falls.push((r.neuron, lane, t + h));
                    if r.negative == NegativeConductance::Clamp {
                        *g = 0.0;
                    }
                }
            }
            at += r.len();
        }
    }

    /// Keeps the state at the end of a stretch.
    pub fn finish(&mut self, stages: &Stages, h: f64) {
        self.y.clone_from(&stages.y);
        self.h = h;
    }

    /// The neuron that explains why no step passes.
    pub fn worst(&self, stages: &Stages, t_ms: f64) -> StepError {
        let at = |n: usize| stages.next[self.v_of(n)];
        let neuron = (0..self.voltage.len())
            .max_by(|a, b| {
                let badness = |n: usize| {
                    if at(n).is_finite() {
                        at(n).abs()
                    } else {
                        f64::INFINITY
                    }
                };
                badness(*a).total_cmp(&badness(*b))
            })
            .unwrap_or(0);
        StepError {
            neuron,
            v: at(neuron),
            t_ms,
        }
    }

    /// Writes the state back.
    pub fn scatter(mut self, columns: &mut AllColumns) {
        let mut at = self.first_regulated;
        for r in &mut self.regulators {
            r.store(&self.y[at..]);
            for (lane, g) in r.conductances(&self.y[at..]) {
                self.cells[r.neuron].gbar[lane] = g;
            }
            at += r.len();
        }
        columns.eight.iter_mut().for_each(|c| self.scatter_table(c));
        columns
            .sixteen
            .iter_mut()
            .for_each(|c| self.scatter_table(c));
        columns
            .thirty_two
            .iter_mut()
            .for_each(|c| self.scatter_table(c));
        for neuron in 0..self.voltage.len() {
            self.voltage[neuron] = self.y[self.v_of(neuron)];
        }
        for (site, s) in self
            .coupling
            .sites
            .iter_mut()
            .zip(&self.y[self.first_site..])
        {
            let v_pre = self.voltage[site.pre as usize];
            let (inf, tau) = self.kinds.get(site.kind).gate(v_pre);
            site.s = relaxing(*s, inf, tau).0;
        }
    }

    fn scatter_table<const W: usize>(&self, columns: &mut Columns<W>) {
        for row in 0..columns.len() {
            let neuron = columns.index[row].0 as usize;
            let (group, k) = self.places[neuron];
            let group = &self.groups[group];
            columns.voltage[row].0 = self.y[group.first + k];
            columns.calcium[row].0 = self.y[group.first + BLOCK + k];
            columns.integral[row].since_tick = self.integral[neuron];
            columns.armed[row] = self.armed[neuron];
            let (rule, gbar) = (columns.negative[row], &mut columns.gbar[row]);
            gbar.0.0.copy_from_slice(&self.cells[neuron].gbar);
            columns.effective[row].renew(group.cell, rule, gbar, &columns.block[row]);
            for (g, gate) in group.cell.gates.iter().enumerate() {
                let (v, ca) = (columns.voltage[row].0, columns.calcium[row].0);
                let x = self.y[group.first + (2 + g) * BLOCK + k];
                let x = relaxing(x, gate.inf(v, ca), gate.tau(v, ca, 1.0)).0;
                match gate.slot as usize {
                    0 => columns.activation[row].0.0[gate.lane] = x,
                    _ => columns.inactivation[row].0.0[gate.lane] = x,
                }
            }
            if let Some(states) = &mut columns.states {
                let first = 2 + group.cell.gates.len();
                for (state, x) in states[row].0.iter_mut().enumerate() {
                    *x = self.y[group.first + (first + state) * BLOCK + k];
                }
            }
        }
    }
}

/// A gate as it acts and its rate (1/ms). Without a time constant it is its steady state, and the
/// variable stands still.
#[inline(always)]
fn relaxing(x: f64, inf: f64, tau: f64) -> (f64, f64) {
    if tau == 0.0 {
        (inf, 0.0)
    } else {
        (x, (inf - x) / tau)
    }
}

/// Rates of the gates, V and Ca of a group.
#[inline(always)]
fn group_rates(group: &Group, felt: &[Input], y: &[f64], dy: &mut [f64]) {
    let first = group.first;
    let block = |at: usize| -> [f64; BLOCK] { std::array::from_fn(|k| y[first + at * BLOCK + k]) };
    let (v, ca) = (block(0), block(1));
    let at = Variables::membrane(Lanes(v), Lanes(ca));
    let cell = group.cell;
    let mut open = [[1.0; BLOCK]; 32];
    for (g, gate) in cell.gates.iter().enumerate() {
        let x = block(2 + g);
        let (inf, tau) = gate.eval_lanes(&at);
        for k in 0..BLOCK {
            let (x, rate) = relaxing(x[k], inf[k], tau[k]);
            dy[first + (2 + g) * BLOCK + k] = rate * group.rate[g][k];
            open[gate.lane][k] *= powi(x, gate.power);
        }
    }
    for scheme in &cell.schemes {
        let place = 2 + cell.gates.len() + scheme.first;
        for state in 0..scheme.len() {
            dy[first + (place + state) * BLOCK..][..BLOCK].fill(0.0);
        }
        for (transition, (from, to)) in scheme.transitions().enumerate() {
            let (rate, p) = (scheme.rate_lanes(transition, &at), block(place + from));
            for k in 0..BLOCK {
                dy[first + (place + from) * BLOCK + k] -= rate[k] * p[k];
                dy[first + (place + to) * BLOCK + k] += rate[k] * p[k];
            }
        }
        open[scheme.lane] = [0.0; BLOCK];
        let states = scheme.conducting.iter().enumerate();
        for (state, _) in states.filter(|(_, conducts)| **conducts) {
            let p = block(place + state);
            for k in 0..BLOCK {
                open[scheme.lane][k] += p[k];
            }
        }
    }
    let (mut g, mut ge, mut influx) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
    for lane in 0..cell.channels() {
        for k in 0..BLOCK {
            let e = cell.reversal_at(lane, ca[k]);
            let conductance = group.membrane[lane][k] * open[lane][k];
            g[k] += conductance;
            ge[k] += conductance * e;
            influx[k] += group.influx[lane][k] * open[lane][k] * (v[k] - e);
        }
    }
    for k in 0..BLOCK {
        // Places beyond the last neuron repeat it and stand still.
        let Some(neuron) = group.neurons.get(k) else {
            for variable in 0..2 + cell.gates.len() + cell.states() {
                dy[first + variable * BLOCK + k] = 0.0;
            }
            continue;
        };
        let (input, coupling) = (group.input[k], felt[*neuron]);
        let total = g[k] + input.conductance + coupling.conductance;
        let drive = ge[k] + input.current + coupling.current;
        dy[first + k] = membrane::rate(v[k], total, drive, cell.definition.capacitance);
        dy[first + BLOCK + k] = cell
            .pool
            .as_ref()
            .map_or(0.0, |p| calcium::rate(p, ca[k], influx[k]));
    }
}

impl Regulation<'_> {
    /// Number of variables.
    fn len(&self) -> usize {
        2 * self.homeostat.as_ref().map_or(0, |h| h.channels.len())
            + 3 * self.controller.as_ref().map_or(0, |c| c.channels.len())
    }

    /// Places of the conductances among the variables, with their lanes; those that are off too.
    fn all_places(&self) -> Vec<(usize, usize, bool)> {
        let mut places = Vec::new();
        let mut at = 0;
        if let Some(homeostat) = &self.homeostat {
            for channel in &homeostat.channels {
                places.push((at + 1, channel.lane, channel.on));
                at += 2;
            }
        }
        if let Some(controller) = &self.controller {
            for channel in &controller.channels {
                places.push((at, channel.lane, channel.on));
                at += 3;
            }
        }
        places
    }

    /// Places of the conductances that are regulated now, with their lanes.
    fn places(&self) -> Vec<(usize, usize)> {
        self.all_places()
            .into_iter()
            .filter(|(.., on)| *on)
            .map(|(at, lane, _)| (at, lane))
            .collect()
    }

    /// Regulated conductances by lane.
    fn conductances(&self, y: &[f64]) -> Vec<(usize, f64)> {
        self.places()
            .into_iter()
            .map(|(at, lane)| (lane, y[at]))
            .collect()
    }

    /// Rates of all variables; returns their number.
    fn rates(
        &mut self,
        cell: &CellType,
        membrane: &Membrane,
        ca: f64,
        y: &[f64],
        dy: &mut [f64],
    ) -> usize {
        let mut at = 0;
        let clamp = self.negative == NegativeConductance::Clamp;
        // At the floor a conductance can only rise.
        let hold = |g: f64, rate: f64| {
            if clamp && g <= 0.0 {
                rate.max(0.0)
            } else {
                rate
            }
        };
        if let Some(homeostat) = &self.homeostat {
            for channel in &homeostat.channels {
                let (m, g) = (y[at], y[at + 1]);
                let [dm, dg] = homeostasis::rates(&homeostat.settings, channel.ratio, ca, [m, g]);
                let on = if channel.on { 1.0 } else { 0.0 };
                dy[at] = on * dm;
                dy[at + 1] = on * hold(g, dg);
                at += 2;
            }
        }
        if let Some(controller) = &mut self.controller {
            let references = if controller.on() {
                controller.references(cell, &self.parameters, &membrane.gbar, &membrane.seen)
            } else {
                None
            };
            for (k, channel) in controller.channels.iter().enumerate() {
                let state = [y[at], y[at + 1], y[at + 2]];
                let rates = match references {
                    Some(r) if channel.on => neuromodulation::rates(&controller.gains, r[k], state),
                    _ => [0.0; 3],
                };
                dy[at] = hold(state[0], rates[0]);
                dy[at + 1] = rates[1];
                dy[at + 2] = rates[2];
                at += 3;
            }
        }
        at
    }

    /// Writes the variables back into the components.
    fn store(&mut self, y: &[f64]) {
        let mut at = 0;
        if let Some(homeostat) = &mut self.homeostat {
            for channel in &mut homeostat.channels {
                (channel.mrna, channel.conductance) = (y[at], y[at + 1]);
                at += 2;
            }
        }
        if let Some(controller) = &mut self.controller {
            for channel in &mut controller.channels {
                (channel.conductance, channel.pool, channel.integral) =
                    (y[at], y[at + 1], y[at + 2]);
                at += 3;
            }
        }
    }
}
