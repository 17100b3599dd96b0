//! Resolves the paths of a scene against its cells and edges: those it sets, samples and acts on in
//! its protocol.

use std::collections::HashSet;

use bevy_ecs::prelude::World;
use homarus_systems::address::{
    Address, BulkNames, BulkScalar, CellScalar, ChannelScalar, Domain, EdgeNames, Names, PathError,
    Rehearsal, SelectedEdges, Targets,
};
use homarus_systems::definition::{Reversal, SynapseDefinition, SynapseKind};
use homarus_systems::protocol::{self as engine, Change};

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    generate,
    model::{Action, Current, Entry, NegativeConductance, Regulator, Scene},
    source::Place,
};

/// Checks every path of a scene.
pub(super) fn check(scene: &Scene, errors: &mut Diagnostics) {
    if scene.set.is_empty() && scene.samples.is_empty() && scene.protocol.is_empty() {
        return;
    }
    let names = names(scene);
    for found in [
        set(scene, &names).err(),
        samples(scene, &names).err(),
        protocol(scene, &names).err(),
    ] {
        for error in found.iter().flat_map(Diagnostics::errors) {
            errors.push(error.clone());
        }
    }
}

/// Which values a scalar of a scene may be given, and what to add where it is not.
type DomainOf = fn(&Scene, Address) -> (Domain, &'static str);

/// The scalars a path written at `origin` names, each of which may be given the value.
fn given(
    scene: &Scene,
    names: &Names,
    path: &str,
    origin: &Place,
    (value, domain): (f64, DomainOf),
) -> Result<Targets, Diagnostic> {
    let targets = targets(names, path, origin)?;
    // Of scalars in bulk one may be given what the other may.
    let of_bulk = |bulk: &BulkScalar| Address::Bulk(bulk.bulk, 0, bulk.scalar);
    let bulk: Vec<Address> = targets.bulk.iter().map(of_bulk).collect();
    let refused = refusal(scene, &targets.single, value, domain);
    match refused.or_else(|| refusal(scene, &bulk, value, domain)) {
        Some(help) => Err(
            Diagnostic::at(origin, format!("`{path}` cannot be {value}"))
                .label("this path")
                .help(help),
        ),
        None => Ok(targets),
    }
}

/// The scalars a path written at `origin` names, those of edges in bulk as one.
pub(crate) fn targets(names: &Names, path: &str, origin: &Place) -> Result<Targets, Diagnostic> {
    names.targets(path).map_err(|error| at(origin, error))
}

/// The scalars a path written at `origin` names.
fn scalars(names: &Names, path: &str, origin: &Place) -> Result<Vec<Address>, Diagnostic> {
    names.scalars(path).map_err(|error| at(origin, error))
}

/// The error for a path written at `origin`.
pub(crate) fn at(origin: &Place, error: PathError) -> Diagnostic {
    Diagnostic::at(origin, error.message)
        .label("this path")
        .maybe_help(error.help)
}

/// What a scene sets before the start, in order.
///
/// # Errors
/// Every path that names nothing.
pub fn set(scene: &Scene, names: &Names) -> Result<Vec<(Targets, f64)>, Diagnostics> {
    let read = scene.set.iter().map(|setting| {
        let (path, origin) = (&setting.path, &setting.origin);
        let targets = started(scene, names, path, origin, setting.value)?;
        Ok(vec![(targets, setting.value)])
    });
    all_or_errors(read)
}

/// The scalars a path written at `origin` names, each of which may start at the value.
pub(crate) fn started(
    scene: &Scene,
    names: &Names,
    path: &str,
    origin: &Place,
    value: f64,
) -> Result<Targets, Diagnostic> {
    given(scene, names, path, origin, (value, start_domain))
}

/// Why a scalar may not start at a value, if so.
pub(crate) fn start_refusal(scene: &Scene, target: Address, value: f64) -> Option<String> {
    refusal(scene, &[target], value, start_domain)
}

/// What a scene samples, request by request: interval (ms) and scalars, each once.
///
/// # Errors
/// Every path that names nothing; every request that asks for more than there are steps.
pub fn samples(scene: &Scene, names: &Names) -> Result<Vec<(f64, Vec<Address>)>, Diagnostics> {
    let read = scene.samples.iter().map(|request| {
        let (mut addresses, mut known) = (Vec::new(), HashSet::new());
        for (path, origin) in &request.paths {
            refuse_between_steps(scene, request.every_ms, origin)?;
            let named = scalars(names, path, origin)?;
            addresses.extend(named.into_iter().filter(|address| known.insert(*address)));
        }
        Ok(vec![(request.every_ms, addresses)])
    });
    all_or_errors(read)
}

/// Refuses samples that lie closer together than the steps: they would fill the memory with what is
/// interpolated between two of them.
fn refuse_between_steps(scene: &Scene, every_ms: f64, origin: &Place) -> Result<(), Diagnostic> {
    // An interval that is the step in decimals may differ from it in the last digit.
    if every_ms >= scene.step_ms * (1.0 - 1e-9) {
        return Ok(());
    }
    let error = Diagnostic::at(origin, "samples lie closer together than the steps")
        .label(format!("every {every_ms} ms, step_ms is {}", scene.step_ms));
    Err(error.help("between two steps there is nothing to be read: sample every step at most"))
}

/// The lists in a row, or every error.
fn all_or_errors<T>(
    lists: impl Iterator<Item = Result<Vec<T>, Diagnostic>>,
) -> Result<Vec<T>, Diagnostics> {
    let (mut all, mut errors) = (Vec::new(), Diagnostics::default());
    for list in lists {
        match list {
            Ok(list) => all.extend(list),
            Err(error) => errors.push(error),
        }
    }
    match errors.is_empty() {
        true => Ok(all),
        false => Err(errors),
    }
}

/// Protocol entries by time, those of equal time in scene order, with what the engine makes of them.
pub type Resolved<'s> = Vec<(&'s Entry, Vec<engine::Action>)>;

/// Resolves the protocol.
///
/// # Errors
/// Every path that names nothing.
pub fn protocol<'s>(scene: &'s Scene, names: &Names) -> Result<Resolved<'s>, Diagnostics> {
    entries(scene, names, &scene.protocol)
}

/// As [`protocol`], of entries that are none of the scene's own.
///
/// # Errors
/// Every path that names nothing.
pub fn entries<'e>(
    scene: &Scene,
    names: &Names,
    entries: &'e [Entry],
) -> Result<Resolved<'e>, Diagnostics> {
    let resolved = entries
        .iter()
        .map(|entry| Ok(vec![(entry, resolve(scene, names, entry)?)]));
    let mut resolved = all_or_errors(resolved)?;
    resolved.sort_by(|(a, _), (b, _)| a.at_ms.total_cmp(&b.at_ms));
    Ok(resolved)
}

/// Holds what the protocol does to kinetic parameters against the network it will act on.
///
/// # Errors
/// The first entry that would give kinetics no table can hold.
pub(crate) fn rehearse(
    protocol: &Resolved,
    names: &Names,
    world: &World,
) -> Result<(), Diagnostic> {
    let mut rehearsal = Rehearsal::default();
    for (entry, actions) in protocol {
        for action in actions {
            for (target, value) in writes(&rehearsal, world, action) {
                rehearsal.write(world, target, value).map_err(|error| {
                    Diagnostic::at(
                        &entry.origin,
                        format!("`{}` cannot be {value}: {error}", names.path(target)),
                    )
                    .label("its kinetics cannot be tabulated")
                })?;
            }
        }
    }
    Ok(())
}

/// Scalars that an action writes by path, with the value it leaves.
fn writes(rehearsal: &Rehearsal, world: &World, action: &engine::Action) -> Vec<(Address, f64)> {
    match action {
        engine::Action::Set { targets, to } | engine::Action::Ramp { targets, to, .. } => {
            targets.iter().map(|target| (*target, *to)).collect()
        }
        engine::Action::Scale { targets, by } => {
            let scaled = |target: &Address| Some((*target, rehearsal.read(world, *target)? * by));
            targets.iter().filter_map(scaled).collect()
        }
        _ => Vec::new(),
    }
}

/// Names of everything in a scene.
pub fn names(scene: &Scene) -> Names {
    let mut names = Names::default();
    for cell in &scene.cells {
        let regulated = cell.homeostat.as_ref().map(|h| h.channels.as_slice());
        let modulated = cell.controller.as_ref().map(|c| c.channels.as_slice());
        let definition = &scene.cell_types[cell.cell_type];
        names.enter_cell(cell.name.clone(), definition, regulated, modulated);
    }
    names.groups = scene.all_groups();
    for edge in &scene.edges {
        let kind = &scene.kinds[edge.kind];
        names.enter_edge(EdgeNames {
            pre: edge.pre,
            post: edge.post,
            kind: kind.name.clone(),
            electrical: is_electrical(kind),
            name: edge.name.clone(),
            parameters: kind.parameters.iter().map(|(p, _)| p.clone()).collect(),
        });
    }
    for bulk in &scene.bulk {
        let kind = &scene.kinds[bulk.kind];
        // Edges that cannot be made were refused, or will be.
        let columns = generate::columns(scene, bulk).unwrap_or_default();
        names.enter_bulk(BulkNames {
            generator: bulk.generator.clone(),
            label: bulk.label.clone(),
            kind: kind.name.clone(),
            electrical: is_electrical(kind),
            pre: columns.pre,
            post: columns.post,
        });
    }
    names
}

fn is_electrical(kind: &SynapseKind) -> bool {
    matches!(kind.definition, SynapseDefinition::Electrical { .. })
}

/// Why one of `targets` may not be given a value, if so.
fn refusal(scene: &Scene, targets: &[Address], value: f64, domain: DomainOf) -> Option<String> {
    let mut domains = targets.iter().map(|target| domain(scene, *target));
    let (domain, why) = domains.find(|(domain, _)| !domain.holds(value))?;
    Some(format!("expected {}{why}", domain.words()))
}

/// Which values a scalar may start at.
fn start_domain(scene: &Scene, target: Address) -> (Domain, &'static str) {
    match target {
        Address::Channel(_, _, ChannelScalar::Gbar)
            if scene.negative_conductance != NegativeConductance::Allow =>
        {
            (
                target.domain(),
                "\n`negative_conductance: \"allow\"` in the scene lets it be negative",
            )
        }
        _ => domain(scene, target),
    }
}

/// Which values a scalar may be given in the course of a run.
fn domain(scene: &Scene, target: Address) -> (Domain, &'static str) {
    match target {
        // What one below zero does then, the scene's rule says.
        Address::Channel(_, _, ChannelScalar::Gbar) => (Domain::Any, ""),
        Address::Cell(cell, CellScalar::Ca) if has_nernst(scene, cell) => (
            Domain::Positive,
            ": a Nernst potential of the cell is the logarithm of the concentration",
        ),
        _ => (target.domain(), ""),
    }
}

fn has_nernst(scene: &Scene, cell: usize) -> bool {
    let mut channels = scene.cell_types[scene.cells[cell].cell_type]
        .channels
        .iter();
    channels.any(|(_, channel)| matches!(channel.reversal, Reversal::Nernst { .. }))
}

/// One entry as the engine acts it out.
fn resolve(scene: &Scene, names: &Names, entry: &Entry) -> Result<Vec<engine::Action>, Diagnostic> {
    let fail = |error: PathError| at(&entry.origin, error);
    let given = |path: &str, value: f64| given(scene, names, path, &entry.origin, (value, domain));
    let cells = |path: &str| names.select_cells(path).map_err(fail);
    Ok(match &entry.action {
        Action::Set { path, to } => actions(
            given(path, *to)?,
            |targets| engine::Action::Set { targets, to: *to },
            Change::Set(*to),
        ),
        Action::Scale { path, by } => actions(
            targets(names, path, &entry.origin)?,
            |targets| engine::Action::Scale { targets, by: *by },
            Change::Scale(*by),
        ),
        Action::Ramp { path, to, over_ms } => {
            let (to, over_ms) = (*to, *over_ms);
            let ramp = |targets| engine::Action::Ramp {
                targets,
                to,
                over_ms,
            };
            actions(given(path, to)?, ramp, Change::Ramp { to, over_ms })
        }
        Action::Block {
            path,
            by,
            controller_sees,
        } => vec![engine::Action::Block {
            channels: names.select_channels(path).map_err(fail)?,
            by: *by,
            controller_sees: *controller_sees,
        }],
        Action::Cut { path } => connect(names, path, false).map_err(fail)?,
        Action::Restore { path } => connect(names, path, true).map_err(fail)?,
        Action::Current {
            cells: path,
            amplitude,
            for_ms,
        } => {
            let cells =
                cells(path)?.into_iter().map(|cell| {
                    density(scene, cell, *amplitude)
                        .map(|amplitude| (cell, amplitude))
                        .ok_or_else(|| {
                            let name = &scene.cells[cell].name;
                            Diagnostic::at(&entry.origin, format!("cell `{name}` has no area"))
                        .label("a current in nA needs one")
                        .help("give the cell an `area_cm2`, or the current as a density (µA/cm²)")
                        })
                });
            vec![engine::Action::Current {
                cells: cells.collect::<Result<_, _>>()?,
                for_ms: *for_ms,
            }]
        }
        Action::Modulate {
            cells: path,
            g_s,
            g_u,
        } => {
            let cells = cells(path)?;
            if let Some(cell) = cells.iter().find(|c| scene.cells[**c].controller.is_none()) {
                let name = &scene.cells[*cell].name;
                return Err(Diagnostic::at(
                    &entry.origin,
                    format!("cell `{name}` has no controller"),
                )
                .label("nothing to modulate")
                .help("give the cell a `controller`"));
            }
            let target = |scalar, value: &Option<f64>| {
                value.map(|to| engine::Action::Set {
                    targets: cells.iter().map(|c| Address::Cell(*c, scalar)).collect(),
                    to,
                })
            };
            [target(CellScalar::GS, g_s), target(CellScalar::GU, g_u)]
                .into_iter()
                .flatten()
                .collect()
        }
        Action::Overwrite {
            cells: path,
            gbar,
            mrna,
        } => {
            let mut values = Vec::new();
            for cell in cells(path)? {
                for (channel, g) in gbar {
                    values.push((cell, lane(names, cell, channel, entry)?, *g));
                }
            }
            vec![engine::Action::Overwrite {
                gbar: values,
                mrna: *mrna,
            }]
        }
        Action::Compensate {
            cells: path,
            channels,
            g_s,
            g_u,
            mrna,
        } => {
            let mut solved = Vec::new();
            for cell in cells(path)? {
                let [a, b] = channels;
                solved.push((
                    cell,
                    [lane(names, cell, a, entry)?, lane(names, cell, b, entry)?],
                ));
            }
            let (g_s, g_u, mrna) = (*g_s, *g_u, *mrna);
            vec![engine::Action::Compensate {
                cells: solved,
                g_s,
                g_u,
                mrna,
            }]
        }
        Action::Switch {
            regulator,
            path,
            on,
        } => {
            let channels: Vec<(usize, Option<usize>)> = if path.contains('.') {
                let channels = names.select_channels(path).map_err(fail)?;
                channels
                    .into_iter()
                    .map(|(cell, lane)| (cell, Some(lane)))
                    .collect()
            } else {
                cells(path)?.into_iter().map(|cell| (cell, None)).collect()
            };
            switchable(names, *regulator, &channels, entry)?;
            vec![match regulator {
                Regulator::Homeostat => engine::Action::Homeostat { channels, on: *on },
                Regulator::Controller => engine::Action::Controller { channels, on: *on },
            }]
        }
        Action::Recall {
            path,
            from_ms,
            mrna,
        } => {
            let channels = if path.contains('.') {
                names.select_channels(path).map_err(fail)?
            } else {
                let all =
                    |cell: usize| (0..names.cells[cell].channels.len()).map(move |k| (cell, k));
                cells(path)?.into_iter().flat_map(all).collect()
            };
            vec![engine::Action::Recall {
                channels,
                from_ms: *from_ms,
                mrna: *mrna,
            }]
        }
        Action::Rebase { cells: path } => vec![engine::Action::Rebase {
            cells: cells(path)?,
        }],
        Action::Reset { cells: path, v, ca } => {
            let cells = cells(path)?;
            let calcium = |cell: &usize| Address::Cell(*cell, CellScalar::Ca);
            let targets: Vec<Address> = cells.iter().map(calcium).collect();
            if let Some(ca) = ca
                && let Some(help) = refusal(scene, &targets, *ca, domain)
            {
                let message = format!("calcium cannot be reset to {ca}");
                let error = Diagnostic::at(&entry.origin, message).label("of this cell");
                return Err(error.help(help));
            }
            vec![engine::Action::Reset {
                cells,
                v: *v,
                ca: *ca,
            }]
        }
    })
}

/// The same thing done to scalars one by one and in bulk.
fn actions(
    targets: Targets,
    single: impl FnOnce(Vec<Address>) -> engine::Action,
    change: Change,
) -> Vec<engine::Action> {
    let Targets {
        single: addresses,
        bulk,
    } = targets;
    let single = (!addresses.is_empty()).then(|| single(addresses));
    let bulk = bulk
        .into_iter()
        .map(|targets| engine::Action::Bulk { targets, change });
    single.into_iter().chain(bulk).collect()
}

/// Edges to cut or restore: those a path names, or all edges of cells.
fn connect(names: &Names, path: &str, connected: bool) -> Result<Vec<engine::Action>, PathError> {
    let is_generator = |name: &str| {
        let mut bulk = names.bulk().iter();
        bulk.any(|bulk| bulk.generator.as_deref() == Some(name))
    };
    let found = if path.contains("->") || path.contains("--") || is_generator(path) {
        names.select_edges(path)?
    } else {
        edges_of(names, &names.select_cells(path)?)
    };
    let SelectedEdges {
        single: edges,
        bulk,
    } = found;
    let single = (!edges.is_empty()).then_some(engine::Action::Connect { edges, connected });
    let bulk = bulk
        .into_iter()
        .map(|(bulk, edges)| engine::Action::ConnectBulk {
            bulk,
            path: match edges.as_slice() {
                [edge] => names.bulk_owner(bulk, *edge as usize),
                _ => path.to_owned(),
            },
            edges: edges.into(),
            connected,
        });
    Ok(single.into_iter().chain(bulk).collect())
}

/// All edges that begin or end in one of some cells.
fn edges_of(names: &Names, cells: &[usize]) -> SelectedEdges {
    let mut meant = vec![false; names.cells.len()];
    cells.iter().for_each(|cell| meant[*cell] = true);
    let edges = names.edges().iter().enumerate();
    let single = edges.filter(|(_, edge)| meant[edge.pre] || meant[edge.post]);
    let bulk = names.bulk().iter().enumerate().map(|(k, bulk)| {
        let pairs = bulk.pre.iter().zip(bulk.post.iter()).enumerate();
        let own = pairs.filter(|(_, (pre, post))| meant[**pre as usize] || meant[**post as usize]);
        (k, own.map(|(edge, _)| edge as u32).collect::<Vec<_>>())
    });
    SelectedEdges {
        single: single.map(|(k, _)| k).collect(),
        bulk: bulk.filter(|(_, edges)| !edges.is_empty()).collect(),
    }
}

/// A current as a density (µA/cm²); `None`: the cell has no area.
fn density(scene: &Scene, cell: usize, current: Current) -> Option<f64> {
    match current {
        Current::Density(i) => Some(i),
        // nA = 1e-3 µA
        Current::Absolute(i) => scene.cells[cell].area.map(|area| i * 1e-3 / area),
    }
}

fn lane(names: &Names, cell: usize, channel: &str, entry: &Entry) -> Result<usize, Diagnostic> {
    let cell = &names.cells[cell];
    cell.channels
        .iter()
        .position(|c| c.name == channel)
        .ok_or_else(|| {
            let known: Vec<&str> = cell.channels.iter().map(|c| c.name.as_str()).collect();
            Diagnostic::at(
                &entry.origin,
                format!("cell `{}` has no channel `{channel}`", cell.name),
            )
            .label("in this entry")
            .help(format!("its channels are {}", known.join(", ")))
        })
}

fn switchable(
    names: &Names,
    regulator: Regulator,
    channels: &[(usize, Option<usize>)],
    entry: &Entry,
) -> Result<(), Diagnostic> {
    for (cell, lane) in channels {
        let cell = &names.cells[*cell];
        let word = regulator.field();
        let has = match regulator {
            Regulator::Homeostat => {
                lane.map_or(cell.homeostat, |lane| cell.channels[lane].regulated)
            }
            Regulator::Controller => {
                lane.map_or(cell.controller, |lane| cell.channels[lane].modulated)
            }
        };
        if !has {
            let what = match lane {
                Some(lane) => format!("channel `{}.{}`", cell.name, cell.channels[*lane].name),
                None => format!("cell `{}`", cell.name),
            };
            return Err(
                Diagnostic::at(&entry.origin, format!("{what} has no {word} to switch"))
                    .label("this path")
                    .help(format!(
                        "list it in the cell's `{word}`; `on: false` keeps it off at first"
                    )),
            );
        }
    }
    Ok(())
}
