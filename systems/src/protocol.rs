//! Timed interventions. Entries act exactly at their time, in the order of the list where times
//! are equal; whatever they did is kept as events.

use std::collections::BTreeMap;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::address::{self, Address, BulkScalar, CellScalar, ChannelScalar, Names, on_width};
use crate::assembly;
use crate::channels::{Block, CellTypeId, CellTypes, Gbar, Parameters};
use crate::coupling::Strength;
use crate::dic::Compensation;
use crate::homeostasis::Homeostat;
use crate::neuromodulation::Controller;
use crate::schedule::{Clock, Edges, Neurons};

/// What an entry does. Cells and edges are indices in scene order, channels lanes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Writes each scalar. A conductance whose regulator is on goes back to the regulator's value
    /// when that next acts: there, `Overwrite` is what moves it.
    Set {
        /// Scalars.
        targets: Vec<Address>,
        /// New value.
        to: f64,
    },
    /// Multiplies each scalar.
    Scale {
        /// Scalars.
        targets: Vec<Address>,
        /// Factor.
        by: f64,
    },
    /// Moves each scalar linearly to a value, in steps of the control interval.
    Ramp {
        /// Scalars.
        targets: Vec<Address>,
        /// Value at the end.
        to: f64,
        /// Duration (ms).
        over_ms: f64,
    },
    /// Blocks a fraction of channels.
    Block {
        /// (cell, lane).
        channels: Vec<(usize, usize)>,
        /// Blocked fraction, 0..1.
        by: f64,
        /// Whether compensation solves reckon with the block.
        controller_sees: bool,
    },
    /// Cuts or restores edges.
    Connect {
        /// Edges.
        edges: Vec<usize>,
        /// False: cut.
        connected: bool,
    },
    /// Changes a scalar of edges in bulk, as one event.
    Bulk {
        /// Scalars.
        targets: BulkScalar,
        /// How.
        change: Change,
    },
    /// Cuts or restores edges in bulk, as one event.
    ConnectBulk {
        /// Which bulk.
        bulk: usize,
        /// Places in it.
        #[serde(with = "crate::shared")]
        edges: Arc<[u32]>,
        /// The path they were asked for by.
        path: String,
        /// False: cut.
        connected: bool,
    },
    /// Adds a current to cells for a time.
    Current {
        /// (cell, amplitude in µA/cm²).
        cells: Vec<(usize, f64)>,
        /// Duration (ms).
        for_ms: f64,
    },
    /// Overwrites conductances, the regulators' own included.
    Overwrite {
        /// (cell, lane, value in mS/cm²).
        gbar: Vec<(usize, usize, f64)>,
        /// Whether the mRNA follows.
        mrna: bool,
    },
    /// Solves two channels of each cell for wanted DICs and overwrites them.
    Compensate {
        /// (cell, the two lanes).
        cells: Vec<(usize, [usize; 2])>,
        /// Wanted slow DIC.
        g_s: f64,
        /// Wanted ultraslow DIC.
        g_u: f64,
        /// Whether the mRNA follows.
        mrna: bool,
    },
    /// Switches homeostasis of channels on or off: off freezes mRNA and conductance.
    Homeostat {
        /// (cell, lane); `None`: all its channels.
        channels: Vec<(usize, Option<usize>)>,
        /// On.
        on: bool,
    },
    /// Switches the controller of channels on or off: off freezes pool, conductance and integral.
    Controller {
        /// (cell, lane); `None`: both its channels.
        channels: Vec<(usize, Option<usize>)>,
        /// On.
        on: bool,
    },
    /// Notes conductances for a later [`Action::Recall`]; [`Protocol::new`] adds it.
    Remember {
        /// (cell, lane).
        channels: Vec<(usize, usize)>,
    },
    /// Overwrites conductances by what they were at an earlier time.
    Recall {
        /// (cell, lane).
        channels: Vec<(usize, usize)>,
        /// The time (ms).
        from_ms: f64,
        /// Whether the mRNA follows.
        mrna: bool,
    },
    /// Starts regulation anew from the conductances as they are: time constants of homeostasis,
    /// mRNA, pools, and integrals as preloaded.
    Rebase {
        /// Cells.
        cells: Vec<usize>,
    },
    /// Puts cells into a start state: V, Ca, gates at steady state.
    Reset {
        /// Cells.
        cells: Vec<usize>,
        /// V (mV); `None`: the cell's V(0).
        v: Option<f64>,
        /// Ca (µM); `None`: the equilibrium at V.
        ca: Option<f64>,
    },
}

/// How many scalars change at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// To a value.
    Set(f64),
    /// By a factor.
    Scale(f64),
    /// Linearly to a value.
    Ramp {
        /// Value at the end.
        to: f64,
        /// Duration (ms).
        over_ms: f64,
    },
}

/// A timed action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When (ms).
    pub at_ms: f64,
    /// What.
    pub action: Action,
}

/// Something the protocol did.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When (ms).
    pub t_ms: f64,
    /// What, in one word.
    pub what: &'static str,
    /// Path of the scalar, or of the cell or edge.
    pub path: String,
    /// Value before, where there is one.
    pub old: Option<f64>,
    /// Value after, where there is one.
    pub new: Option<f64>,
}

/// A ramp under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ActiveRamp {
    targets: Vec<(Address, f64)>,
    /// Scalars of edges in bulk with their values at the start.
    bulk: Option<(BulkScalar, Vec<f64>)>,
    to: f64,
    start: f64,
    end: f64,
}

/// Protocol of a run: entries, how far it has come, what it did.
#[derive(Resource, Clone, Debug, Default)]
pub struct Protocol {
    entries: Vec<Entry>,
    cursor: usize,
    /// Entries that entries have added and that are still to come, by time: the ends of currents.
    added: Vec<Entry>,
    /// Time (ms) of the last of the entries that acted.
    acted_ms: Option<f64>,
    ramps: Vec<ActiveRamp>,
    /// Conductances (mS/cm²) noted for later, by time (bits), cell and lane.
    memory: BTreeMap<(u64, usize, usize), f64>,
    /// Events so far, in order of time.
    pub events: Vec<Event>,
    /// The first thing that could not be done, if any: the run stops there.
    pub failure: Option<String>,
}

impl Protocol {
    /// A protocol of the given entries; equal times keep their order. What is recalled is noted
    /// before anything else acts at its time.
    pub fn new(entries: Vec<Entry>) -> Self {
        Protocol {
            entries: ordered(entries),
            ..Default::default()
        }
    }

    /// Puts other entries in place of those still to come; those before `now` (ms) are left out.
    /// Ramps and currents under way go on. An entry recalls only what was noted before or lies at
    /// `now` or later.
    pub fn replace(&mut self, entries: Vec<Entry>, now: f64) {
        let given = |entry: &Entry| !matches!(entry.action, Action::Remember { .. });
        let given: Vec<Entry> = entries.into_iter().filter(given).collect();
        self.entries = ordered(given);
        self.entries.retain(|entry| match &entry.action {
            Action::Remember { channels } => {
                let bits = entry.at_ms.to_bits();
                let known =
                    |(cell, lane): &(usize, usize)| self.memory.contains_key(&(bits, *cell, *lane));
                entry.at_ms >= now && !channels.iter().all(known)
            }
            _ => entry.at_ms >= now,
        });
        self.cursor = 0;
    }

    /// Time of the next entry or end of a ramp (ms).
    pub fn next_time(&self) -> Option<f64> {
        let listed = self.entries.get(self.cursor);
        let entries = listed.into_iter().chain(self.added.first());
        let ramps = self.ramps.iter().map(|ramp| ramp.end);
        let times = entries.map(|entry| entry.at_ms).chain(ramps);
        times.min_by(f64::total_cmp)
    }

    /// Time (ms) of the last entry that acted, the ends of currents apart; `None`: none has.
    pub fn acted_ms(&self) -> Option<f64> {
        self.acted_ms
    }

    /// Whether a ramp is under way, which moves at every control tick.
    pub fn ramping(&self) -> bool {
        !self.ramps.is_empty()
    }

    /// The entries, by time.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds an entry to those still to come.
    fn add(&mut self, entry: Entry) {
        let at = self.added.partition_point(|e| e.at_ms <= entry.at_ms);
        self.added.insert(at, entry);
    }

    /// Takes the next entry whose time has come; of two at one time the listed one goes first.
    fn take_due(&mut self, clock: &Clock) -> Option<Entry> {
        let due = |entry: &&Entry| clock.reached(entry.at_ms);
        let listed = self.entries.get(self.cursor).filter(due);
        let added = self.added.first().filter(due);
        match (listed, added) {
            (Some(a), Some(b)) if b.at_ms < a.at_ms => Some(self.added.remove(0)),
            (None, Some(_)) => Some(self.added.remove(0)),
            (Some(entry), _) => {
                self.cursor += 1;
                self.acted_ms = Some(entry.at_ms);
                Some(entry.clone())
            }
            (None, None) => None,
        }
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            to_come: self.entries[self.cursor..].to_vec(),
            added: self.added.clone(),
            acted_ms: self.acted_ms,
            ramps: self.ramps.clone(),
            memory: self.memory.clone(),
            failure: self.failure.clone(),
        }
    }
}

/// How far a protocol has come, and what is still to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    to_come: Vec<Entry>,
    added: Vec<Entry>,
    acted_ms: Option<f64>,
    ramps: Vec<ActiveRamp>,
    memory: BTreeMap<(u64, usize, usize), f64>,
    failure: Option<String>,
}

impl Progress {
    /// The protocol that goes on from here; what it did before is told no more.
    pub(crate) fn protocol(&self) -> Protocol {
        Protocol {
            entries: self.to_come.clone(),
            cursor: 0,
            added: self.added.clone(),
            acted_ms: self.acted_ms,
            ramps: self.ramps.clone(),
            memory: self.memory.clone(),
            events: Vec::new(),
            failure: self.failure.clone(),
        }
    }
}

/// Entries by time, with those that note what others recall.
fn ordered(entries: Vec<Entry>) -> Vec<Entry> {
    let remember = |entry: &Entry| match &entry.action {
        Action::Recall {
            channels, from_ms, ..
        } => Some(Entry {
            at_ms: *from_ms,
            action: Action::Remember {
                channels: channels.clone(),
            },
        }),
        _ => None,
    };
    let notes: Vec<Entry> = entries.iter().filter_map(remember).collect();
    let mut entries: Vec<Entry> = notes.into_iter().chain(entries).collect();
    entries.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    entries
}

/// System: acts out every entry whose time has come, and moves ramps.
pub fn act(world: &mut World) {
    let clock = world.resource::<Clock>();
    let protocol = world.resource::<Protocol>();
    let now = clock.now();
    if protocol.ramps.is_empty() && !protocol.next_time().is_some_and(|t| clock.reached(t)) {
        return;
    }
    world.resource_scope(|world, mut protocol: Mut<Protocol>| {
        move_ramps(world, &mut protocol, now);
        while let Some(entry) = protocol.take_due(world.resource::<Clock>()) {
            act_out(world, &mut protocol, &entry);
        }
    });
}

fn move_ramps(world: &mut World, protocol: &mut Protocol, now: f64) {
    let mut ramps = std::mem::take(&mut protocol.ramps);
    // Whatever else ends a stretch (a sample, another entry) must not move a ramp.
    let tick = world.resource::<Clock>().on_tick();
    ramps.retain(|ramp| {
        let done = world.resource::<Clock>().reached(ramp.end);
        if !done && !tick {
            return true;
        }
        let x = ((now - ramp.start) / (ramp.end - ramp.start)).clamp(0.0, 1.0);
        let between = |from: f64| match done {
            true => ramp.to,
            false => (ramp.to - from).mul_add(x, from),
        };
        if let Some((target, from)) = &ramp.bulk {
            let written = address::write_bulk(world, target, |k, _| between(from[k]));
            note_bulk_failure(protocol, target, written);
            if done {
                note_bulk(protocol, ramp.end, "ramp", &target.path, Some(ramp.to));
            }
        }
        for (target, from) in &ramp.targets {
            let value = between(*from);
            let written = address::write(world, *target, value);
            note_failure(world, protocol, *target, written);
            if done {
                let path = world.resource::<Names>().path(*target);
                let (old, new) = (Some(*from), Some(ramp.to));
                protocol.events.push(Event {
                    t_ms: ramp.end,
                    what: "ramp",
                    path,
                    old,
                    new,
                });
            }
        }
        !done
    });
    protocol.ramps = ramps;
}

fn note_failure(
    world: &World,
    protocol: &mut Protocol,
    target: Address,
    written: Result<(), address::WriteError>,
) {
    if let Err(e) = written
        && protocol.failure.is_none()
    {
        protocol.failure = Some(format!("{}: {e}", world.resource::<Names>().path(target)));
    }
}

fn note_bulk_failure(
    protocol: &mut Protocol,
    target: &BulkScalar,
    written: Result<(), address::WriteError>,
) {
    if let Err(e) = written
        && protocol.failure.is_none()
    {
        protocol.failure = Some(format!("{}: {e}", target.path));
    }
}

fn note_bulk(protocol: &mut Protocol, t_ms: f64, what: &'static str, path: &str, new: Option<f64>) {
    let (path, old) = (path.to_owned(), None);
    protocol.events.push(Event {
        t_ms,
        what,
        path,
        old,
        new,
    });
}

/// Changes a scalar of edges in bulk.
fn change_bulk(
    world: &mut World,
    protocol: &mut Protocol,
    t_ms: f64,
    target: &BulkScalar,
    change: Change,
) {
    let (what, new, written) = match change {
        Change::Set(to) => (
            "set",
            Some(to),
            address::write_bulk(world, target, |_, _| to),
        ),
        Change::Scale(by) => (
            "scale",
            None,
            address::write_bulk(world, target, |_, old| old * by),
        ),
        Change::Ramp { to, over_ms } => {
            let mut from = Vec::with_capacity(target.edges.len());
            for edge in target.edges.iter() {
                let value = Address::Bulk(target.bulk, *edge as usize, target.scalar);
                from.push(address::read(world, value).unwrap_or(f64::NAN));
            }
            protocol.ramps.push(ActiveRamp {
                targets: Vec::new(),
                bulk: Some((target.clone(), from)),
                to,
                start: t_ms,
                end: t_ms + over_ms,
            });
            return;
        }
    };
    note_bulk_failure(protocol, target, written);
    note_bulk(protocol, t_ms, what, &target.path, new);
}

/// Writes a scalar and keeps the event.
fn set(
    world: &mut World,
    protocol: &mut Protocol,
    t_ms: f64,
    what: &'static str,
    target: Address,
    to: f64,
) {
    let old = address::read(world, target);
    let written = address::write(world, target, to);
    note_failure(world, protocol, target, written);
    let path = world.resource::<Names>().path(target);
    protocol.events.push(Event {
        t_ms,
        what,
        path,
        old,
        new: Some(to),
    });
}

fn act_out(world: &mut World, protocol: &mut Protocol, entry: &Entry) {
    let t_ms = entry.at_ms;
    match &entry.action {
        Action::Set { targets, to } => {
            for target in targets {
                set(world, protocol, t_ms, "set", *target, *to);
            }
        }
        Action::Scale { targets, by } => {
            for target in targets {
                let to = address::read(world, *target).unwrap_or(f64::NAN) * by;
                set(world, protocol, t_ms, "scale", *target, to);
            }
        }
        Action::Ramp {
            targets,
            to,
            over_ms,
        } => {
            let from = |t: &Address| (*t, address::read(world, *t).unwrap_or(f64::NAN));
            let targets = targets.iter().map(from).collect();
            protocol.ramps.push(ActiveRamp {
                targets,
                bulk: None,
                to: *to,
                start: t_ms,
                end: t_ms + over_ms,
            });
        }
        Action::Block {
            channels,
            by,
            controller_sees,
        } => {
            for (cell, lane) in channels {
                block(
                    world,
                    protocol,
                    t_ms,
                    (*cell, *lane),
                    1.0 - by,
                    *controller_sees,
                );
            }
        }
        Action::Connect { edges, connected } => {
            for edge in edges {
                connect(world, protocol, t_ms, *edge, *connected);
            }
        }
        Action::Bulk { targets, change } => {
            change_bulk(world, protocol, t_ms, targets, *change);
        }
        Action::ConnectBulk {
            bulk,
            edges,
            path,
            connected,
        } => {
            if let Some(mut columns) = address::bulk_edges_mut(world, *bulk) {
                for edge in edges.iter() {
                    columns.connect(*edge as usize, *connected);
                }
            }
            let (what, new) = match connected {
                true => ("restore", 1.0),
                false => ("cut", 0.0),
            };
            note_bulk(protocol, t_ms, what, path, Some(new));
        }
        Action::Current { cells, for_ms } => {
            for (cell, amplitude) in cells {
                let target = Address::Cell(*cell, CellScalar::I);
                let to = address::read(world, target).unwrap_or(f64::NAN) + amplitude;
                set(world, protocol, t_ms, "current", target, to);
            }
            if for_ms.is_finite() {
                let cells = cells
                    .iter()
                    .map(|(cell, amplitude)| (*cell, -amplitude))
                    .collect();
                let action = Action::Current {
                    cells,
                    for_ms: f64::INFINITY,
                };
                protocol.add(Entry {
                    at_ms: t_ms + for_ms,
                    action,
                });
            }
        }
        Action::Overwrite { gbar, mrna } => {
            for (cell, lane, g) in gbar {
                overwrite(
                    world,
                    protocol,
                    t_ms,
                    "overwrite",
                    (*cell, *lane),
                    *g,
                    *mrna,
                );
            }
        }
        Action::Compensate {
            cells,
            g_s,
            g_u,
            mrna,
        } => {
            for (cell, lanes) in cells {
                compensate(world, protocol, t_ms, *cell, *lanes, [*g_s, *g_u], *mrna);
            }
        }
        Action::Homeostat { channels, on } => {
            for (cell, lane) in channels {
                let neuron = world.resource::<Neurons>().entity(*cell);
                if let Some(mut homeostat) = world.get_mut::<Homeostat>(neuron) {
                    let meant = homeostat
                        .channels
                        .iter_mut()
                        .filter(|c| lane.is_none_or(|l| l == c.lane));
                    meant.for_each(|c| c.on = *on);
                }
                note_switch(world, protocol, t_ms, "homeostat", (*cell, *lane), *on);
            }
        }
        Action::Controller { channels, on } => {
            for (cell, lane) in channels {
                let neuron = world.resource::<Neurons>().entity(*cell);
                if let Some(mut controller) = world.get_mut::<Controller>(neuron) {
                    let meant = controller
                        .channels
                        .iter_mut()
                        .filter(|c| lane.is_none_or(|l| l == c.lane));
                    meant.for_each(|c| c.on = *on);
                }
                note_switch(world, protocol, t_ms, "controller", (*cell, *lane), *on);
            }
        }
        Action::Remember { channels } => {
            for (cell, lane) in channels {
                let gbar = Address::Channel(*cell, *lane, ChannelScalar::Gbar);
                if let Some(g) = address::read(world, gbar) {
                    protocol.memory.insert((t_ms.to_bits(), *cell, *lane), g);
                }
            }
        }
        Action::Recall {
            channels,
            from_ms,
            mrna,
        } => {
            for (cell, lane) in channels {
                let noted = protocol.memory.get(&(from_ms.to_bits(), *cell, *lane));
                let place = (*cell, *lane);
                if let Some(g) = noted.copied() {
                    overwrite(world, protocol, t_ms, "recall", place, g, *mrna);
                } else if protocol.failure.is_none() {
                    let gbar = Address::Channel(*cell, *lane, ChannelScalar::Gbar);
                    let path = world.resource::<Names>().path(gbar);
                    protocol.failure = Some(format!(
                        "recall: nobody noted {path} at {from_ms} ms, which lies before the state that \
                         the run goes on from"
                    ));
                }
            }
        }
        Action::Rebase { cells } => {
            for cell in cells {
                let neurons = world.resource::<Neurons>();
                let (neuron, path) = (neurons.entity(*cell), neurons.name(*cell).to_string());
                if let Err(error) = assembly::rebase(world, neuron, &path)
                    && protocol.failure.is_none()
                {
                    protocol.failure = Some(format!("rebase: {error}"));
                }
                protocol.events.push(Event {
                    t_ms,
                    what: "rebase",
                    path,
                    old: None,
                    new: None,
                });
            }
        }
        Action::Reset { cells, v, ca } => {
            for cell in cells {
                let neuron = world.resource::<Neurons>().entity(*cell);
                assembly::reset(world, neuron, *v, *ca);
                let path = world.resource::<Names>().cells[*cell].name.to_string();
                let new = address::read(world, Address::Cell(*cell, CellScalar::Ca));
                protocol.events.push(Event {
                    t_ms,
                    what: "reset",
                    path,
                    old: None,
                    new,
                });
            }
        }
    }
}

fn note_switch(
    world: &World,
    protocol: &mut Protocol,
    t_ms: f64,
    what: &'static str,
    (cell, lane): (usize, Option<usize>),
    on: bool,
) {
    let cell = &world.resource::<Names>().cells[cell];
    let path = match lane {
        Some(lane) => format!("{}.{}", cell.name, cell.channels[lane].name),
        None => cell.name.to_string(),
    };
    let new = Some(if on { 1.0 } else { 0.0 });
    protocol.events.push(Event {
        t_ms,
        what,
        path,
        old: None,
        new,
    });
}

fn block(
    world: &mut World,
    protocol: &mut Protocol,
    t_ms: f64,
    (cell, lane): (usize, usize),
    factor: f64,
    seen: bool,
) {
    let target = Address::Channel(cell, lane, ChannelScalar::Block);
    let old = address::read(world, target);
    let neuron = world.resource::<Neurons>().entity(cell);
    on_width!(world, neuron, get_mut, Block, |b| {
        let block = b.into_inner();
        block.factor.0[lane] = factor;
        block.seen.0[lane] = if seen { factor } else { 1.0 };
    });
    let path = world.resource::<Names>().path(target);
    protocol.events.push(Event {
        t_ms,
        what: "block",
        path,
        old,
        new: Some(factor),
    });
}

fn connect(world: &mut World, protocol: &mut Protocol, t_ms: f64, edge: usize, connected: bool) {
    let entity = world.resource::<Edges>().entity(edge);
    let number = |c: bool| if c { 1.0 } else { 0.0 };
    let mut old = None;
    if let Some(mut strength) = world.get_mut::<Strength>(entity) {
        old = Some(number(strength.connected));
        strength.connected = connected;
    }
    let path = world.resource::<Names>().edge_owner(edge);
    let what = if connected { "restore" } else { "cut" };
    protocol.events.push(Event {
        t_ms,
        what,
        path,
        old,
        new: Some(number(connected)),
    });
}

/// Writes a conductance into the membrane and into whichever regulator owns it.
fn overwrite(
    world: &mut World,
    protocol: &mut Protocol,
    t_ms: f64,
    what: &'static str,
    (cell, lane): (usize, usize),
    g: f64,
    mrna: bool,
) {
    set(
        world,
        protocol,
        t_ms,
        what,
        Address::Channel(cell, lane, ChannelScalar::Gbar),
        g,
    );
    let neuron = world.resource::<Neurons>().entity(cell);
    if let Some(mut homeostat) = world.get_mut::<Homeostat>(neuron)
        && let Some(channel) = homeostat.channels.iter_mut().find(|c| c.lane == lane)
    {
        channel.conductance = g;
        if mrna {
            channel.mrna = g;
        }
    }
    if let Some(mut controller) = world.get_mut::<Controller>(neuron)
        && let Some(channel) = controller.channels.iter_mut().find(|c| c.lane == lane)
    {
        channel.conductance = g;
    }
}

fn compensate(
    world: &mut World,
    protocol: &mut Protocol,
    t_ms: f64,
    cell: usize,
    lanes: [usize; 2],
    wanted: [f64; 2],
    mrna: bool,
) {
    let neuron = world.resource::<Neurons>().entity(cell);
    let Some(solution) = solve(world, neuron, lanes, wanted) else {
        if protocol.failure.is_none() {
            let name = &world.resource::<Names>().cells[cell].name;
            protocol.failure = Some(format!(
                "compensate: the solve of cell `{name}` for (g_s, g_u) = ({}, {}) is singular",
                wanted[0], wanted[1]
            ));
        }
        return;
    };
    for (lane, g) in lanes.into_iter().zip(solution) {
        overwrite(world, protocol, t_ms, "compensate", (cell, lane), g, mrna);
    }
}

/// Conductances (mS/cm²) of two lanes that give the wanted DICs of a neuron at its V_th.
fn solve(world: &World, neuron: Entity, lanes: [usize; 2], wanted: [f64; 2]) -> Option<[f64; 2]> {
    let cell = world
        .resource::<CellTypes>()
        .get(*world.get::<CellTypeId>(neuron)?);
    let parameters = world.get::<Parameters>(neuron)?;
    let v_th = world.get::<assembly::ThresholdVoltage>(neuron)?.0;
    let plan = Compensation::new(cell, v_th, &cell.tau_factors(&parameters.0), lanes)?;
    let gbar = on_width!(world, neuron, get, Gbar, |g| g.0.0.to_vec())?;
    let seen = on_width!(world, neuron, get, Block, |b| b.seen.0.to_vec())?;
    plan.reference(cell, &gbar, &seen, wanted)
}
