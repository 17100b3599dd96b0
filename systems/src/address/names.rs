//! Names of a network, and the resolution of paths against them.

use std::collections::HashMap;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use crate::definition::{CellDefinition, ChannelDefinition};
use crate::nearest::nearest;

use super::{Address, CellScalar, ChannelScalar, EdgeScalar};

/// Names in a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelNames {
    /// Name of the channel in its cell.
    pub name: String,
    /// Kinetic parameters.
    pub parameters: Vec<String>,
    /// States of its kinetic scheme.
    pub states: Vec<String>,
    /// Whether homeostasis regulates it.
    pub regulated: bool,
    /// Whether a controller modulates it.
    pub modulated: bool,
}

/// Names in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellNames {
    /// Name of the cell.
    pub name: Arc<str>,
    /// Channels in lane order; cells that are alike share them.
    pub channels: Arc<[ChannelNames]>,
    /// Whether it has a homeostat.
    pub homeostat: bool,
    /// Whether it has a controller.
    pub controller: bool,
}

impl CellNames {
    /// The name up to the first `/`: that of the cell itself, or of the copy of a network that it
    /// belongs to.
    fn first(&self) -> &str {
        self.name.split_once('/').map_or(&*self.name, |(a, _)| a)
    }

    /// The name after the last `/`: that of the cell in its network.
    fn last(&self) -> &str {
        self.name.rsplit_once('/').map_or(&*self.name, |(_, b)| b)
    }
}

/// Names of an edge.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeNames {
    /// Presynaptic cell.
    pub pre: usize,
    /// Postsynaptic cell.
    pub post: usize,
    /// Kind.
    pub kind: String,
    /// Whether it is a junction (`A--B`).
    pub electrical: bool,
    /// Name of its own, if any.
    pub name: Option<String>,
    /// Parameters of the kind.
    pub parameters: Vec<String>,
}

/// Names of edges in bulk: many of one kind, none of which has a name of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkNames {
    /// Generator they come from, if it has a name.
    pub generator: Option<String>,
    /// Name that tells each of them from others that join the same cells, if one is needed.
    pub label: Option<String>,
    /// Kind.
    pub kind: String,
    /// Whether they are junctions (`A--B`).
    pub electrical: bool,
    /// Presynaptic cells.
    pub pre: Arc<Vec<u32>>,
    /// Postsynaptic cells.
    pub post: Arc<Vec<u32>>,
}

/// All names of a network, in scene order.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// Cells.
    pub cells: Vec<CellNames>,
    /// Groups and their members.
    pub groups: Vec<(String, Vec<usize>)>,
    edges: Vec<EdgeNames>,
    bulk: Vec<BulkNames>,
    /// Number of edges with a name each by the cells they join and whether they are junctions.
    pairs: HashMap<(usize, usize, bool), u32>,
    /// Channels that cells share.
    shapes: Vec<Arc<[ChannelNames]>>,
}

/// Edges that a path names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectedEdges {
    /// Edges with a name each.
    pub single: Vec<usize>,
    /// Edges in bulk: which bulk, and places in it, ascending.
    pub bulk: Vec<(usize, Vec<u32>)>,
}

impl SelectedEdges {
    /// Number of edges.
    pub fn len(&self) -> usize {
        let bulk = self.bulk.iter().map(|(_, edges)| edges.len());
        self.single.len() + bulk.sum::<usize>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn iter(&self) -> impl Iterator<Item = AnyEdge> {
        let single = self.single.iter().map(|edge| AnyEdge::Single(*edge));
        let bulk = self.bulk.iter().flat_map(|(bulk, edges)| {
            let edge = |edge: &u32| AnyEdge::Bulk(*bulk, *edge as usize);
            edges.iter().map(edge)
        });
        single.chain(bulk)
    }
}

/// One edge, wherever it is kept.
#[derive(Clone, Copy)]
enum AnyEdge {
    Single(usize),
    Bulk(usize, usize),
}

/// A scalar of many edges in bulk, which is changed as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BulkScalar {
    /// Which bulk.
    pub bulk: usize,
    /// Places in the bulk, ascending.
    #[serde(with = "crate::shared")]
    pub edges: Arc<Vec<u32>>,
    /// Scalar.
    pub scalar: EdgeScalar,
    /// The path it was asked for by.
    pub path: String,
}

/// Scalars that a path names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Targets {
    /// One by one.
    pub single: Vec<Address>,
    /// In bulk.
    pub bulk: Vec<BulkScalar>,
}

impl Targets {
    /// Every scalar by itself.
    pub fn addresses(self) -> Vec<Address> {
        let mut all = self.single;
        for BulkScalar {
            bulk,
            edges,
            scalar,
            ..
        } in &self.bulk
        {
            let address = |edge: &u32| Address::Bulk(*bulk, *edge as usize, *scalar);
            all.extend(edges.iter().map(address));
        }
        all
    }
}

/// A path that names nothing, or not one thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PathError {
    /// What was found and what was expected.
    pub message: String,
    /// A fix.
    pub help: Option<String>,
}

fn error(message: String, help: Option<String>) -> PathError {
    PathError { message, help }
}

/// Whether `name` fits `pattern`, in which `*` stands for any run of characters.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices()
                .map(|(k, _)| k)
                .chain([rest.len()])
                .any(|k| fits(tail, &rest[k..]))
        }),
    }
}

fn is_glob(text: &str) -> bool {
    text.contains('*')
}

/// More names than this are not read.
const SHOWN: usize = 12;

/// "did you mean" for the nearest of `names`, else the list of them.
fn suggestion<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    match nearest(found, names.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if names.is_empty() => None,
        None if names.len() <= SHOWN => Some(format!("there are: {}", names.join(", "))),
        None => Some(format!(
            "there are: {} and {} more",
            names[..SHOWN].join(", "),
            names.len() - SHOWN
        )),
    }
}

impl Names {
    /// Enters a cell; `regulated` and `modulated` are the lanes of its homeostat and its controller.
    pub fn enter_cell(
        &mut self,
        name: Arc<str>,
        definition: &CellDefinition,
        regulated: Option<&[usize]>,
        modulated: Option<&[usize]>,
    ) {
        let among = |lanes: Option<&[usize]>, lane| lanes.is_some_and(|l| l.contains(&lane));
        let lanes = || definition.channels.iter().enumerate();
        let alike = |shape: &&Arc<[ChannelNames]>| {
            shape.len() == definition.channels.len()
                && lanes()
                    .zip(shape.iter())
                    .all(|((lane, (name, channel)), known)| {
                        known.name == *name
                            && known.regulated == among(regulated, lane)
                            && known.modulated == among(modulated, lane)
                            && known
                                .parameters
                                .iter()
                                .eq(channel.parameters.iter().map(|(p, _)| p))
                            && known.states == states_of(channel)
                    })
        };
        let channels = self.shapes.iter().rev().find(alike).cloned();
        let channels = channels.unwrap_or_else(|| {
            let shape: Arc<[ChannelNames]> = lanes()
                .map(|(lane, (name, channel))| ChannelNames {
                    name: name.clone(),
                    parameters: channel.parameters.iter().map(|(p, _)| p.clone()).collect(),
                    states: states_of(channel).to_vec(),
                    regulated: among(regulated, lane),
                    modulated: among(modulated, lane),
                })
                .collect();
            self.shapes.push(shape.clone());
            shape
        });
        self.cells.push(CellNames {
            name,
            channels,
            homeostat: regulated.is_some(),
            controller: modulated.is_some(),
        });
    }

    /// Enters an edge.
    pub fn enter_edge(&mut self, edge: EdgeNames) {
        let pair = (edge.pre, edge.post, edge.electrical);
        *self.pairs.entry(pair).or_default() += 1;
        self.edges.push(edge);
    }

    /// Enters edges in bulk.
    pub fn enter_bulk(&mut self, bulk: BulkNames) {
        self.bulk.push(bulk);
    }

    /// Edges with a name each.
    pub fn edges(&self) -> &[EdgeNames] {
        &self.edges
    }

    /// Edges in bulk.
    pub fn bulk(&self) -> &[BulkNames] {
        &self.bulk
    }

    /// Cells that a selector names: a cell, `group/member`, a group, all cells of the copy of a
    /// network, or a glob.
    ///
    /// # Errors
    /// No such cell, or a glob that matches nothing.
    pub fn select_cells(&self, selector: &str) -> Result<Vec<usize>, PathError> {
        if let Some((group, member)) = selector.split_once('/') {
            return self.select_members(group, member);
        }
        if let Some((_, members)) = self.groups.iter().find(|(name, _)| name == selector) {
            return Ok(members.clone());
        }
        let found: Vec<usize> = (0..self.cells.len())
            .filter(|k| fits(selector, self.cells[*k].first()))
            .collect();
        if found.is_empty() {
            if let Some(error) = self.beyond(selector) {
                return Err(error);
            }
            // Numbered cells are known by the name of their group.
            let names = self.cells.iter().map(|c| &*c.name);
            let names = names.filter(|name| !name.contains('['));
            return Err(if is_glob(selector) {
                error(
                    format!("`{selector}` matches no cell"),
                    suggestion(selector, names),
                )
            } else {
                let names = names.chain(self.groups.iter().map(|(name, _)| name.as_str()));
                error(
                    format!("there is no cell `{selector}`"),
                    suggestion(selector, names),
                )
            });
        }
        Ok(found)
    }

    /// Members of groups and of copies of networks.
    fn select_members(&self, group: &str, member: &str) -> Result<Vec<usize>, PathError> {
        let groups: Vec<_> = self
            .groups
            .iter()
            .filter(|(name, _)| fits(group, name))
            .collect();
        let of_copies = || {
            let cells = self.cells.iter().enumerate();
            cells.filter(|(_, cell)| cell.name.contains('/') && fits(group, cell.first()))
        };
        if groups.is_empty() && of_copies().next().is_none() {
            if let Some(error) = self.beyond(group) {
                return Err(error);
            }
            let names = self.groups.iter().map(|(name, _)| name.as_str());
            return Err(error(
                format!("there is no group `{group}`"),
                suggestion(group, names),
            ));
        }
        let of_groups = groups.iter().flat_map(|(_, m)| m.iter().copied());
        let mut found: Vec<usize> = of_groups.chain(of_copies().map(|(k, _)| k)).collect();
        found.retain(|k| fits(member, self.cells[*k].last()));
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            let of_groups = groups.iter().flat_map(|(_, m)| m.iter());
            let of_groups = of_groups.map(|k| self.cells[*k].last());
            let names = dedup(of_groups.chain(of_copies().map(|(_, cell)| cell.last())));
            let message = format!("no member of group `{group}` is called `{member}`");
            return Err(error(message, suggestion(member, names)));
        }
        Ok(found)
    }

    /// The error for `name[k]` beyond the last of a group of numbered members.
    fn beyond(&self, selector: &str) -> Option<PathError> {
        let (group, _) = selector.strip_suffix(']')?.split_once('[')?;
        let (_, members) = self.groups.iter().find(|(name, _)| name == group)?;
        let [first, last] = [members.first()?, members.last()?].map(|k| self.cells[*k].first());
        Some(error(
            format!("there is no `{selector}`"),
            Some(format!("`{group}` goes from `{first}` to `{last}`")),
        ))
    }

    /// Channels that `CELL.CHANNEL` names, as (cell, lane).
    ///
    /// # Errors
    /// As [`Names::scalars`].
    pub fn select_channels(&self, path: &str) -> Result<Vec<(usize, usize)>, PathError> {
        let Some((cells, channel)) = path.split_once('.') else {
            return Err(error(
                format!("`{path}` names no channel"),
                Some(format!("write CELL.CHANNEL, for instance `{path}.Na`")),
            ));
        };
        let cells = self.select_cells(cells)?;
        let found: Vec<(usize, usize)> = cells
            .iter()
            .flat_map(|cell| {
                let channels = self.cells[*cell].channels.iter().enumerate();
                channels
                    .filter(|(_, c)| fits(channel, &c.name))
                    .map(|(lane, _)| (*cell, lane))
            })
            .collect();
        if found.is_empty() {
            let names = cells
                .iter()
                .flat_map(|k| self.cells[*k].channels.iter().map(|c| c.name.as_str()));
            return Err(error(
                format!("there is no channel `{channel}`"),
                suggestion(channel, dedup(names)),
            ));
        }
        Ok(found)
    }

    /// Edges that `PRE->POST`, `PRE--POST`, `PRE->POST:NAME` or `GENERATOR:PRE->POST` names, or all
    /// of a generator by its name.
    ///
    /// # Errors
    /// No such edge, several where one is meant, a glob that matches nothing.
    pub fn select_edges(&self, owner: &str) -> Result<SelectedEdges, PathError> {
        let Some((pre, post, electrical)) = split_edge(owner) else {
            return self.all_generated(owner).ok_or_else(|| {
                error(
                    format!("`{owner}` names no edge"),
                    Some("write PRE->POST for a synapse, A--B for a junction".to_string()),
                )
            });
        };
        let (generator, pre) = match pre.split_once(':') {
            Some((generator, pre)) => (Some(generator), pre),
            None => (None, pre),
        };
        let (post, label) = match post.split_once(':') {
            Some((post, label)) => (post, Some(label)),
            None => (post, None),
        };
        if let Some(generator) = generator
            && !self.generators().any(|name| fits(generator, name))
        {
            return Err(error(
                format!("there is no generator `{generator}`"),
                suggestion(generator, self.generators()),
            ));
        }
        let (pres, posts) = (self.select_cells(pre)?, self.select_cells(post)?);
        let (from, to) = (self.mask(&pres), self.mask(&posts));
        let joins = |is_junction: bool, pre: usize, post: usize| {
            is_junction == electrical
                && ((from[pre] && to[post]) || (electrical && from[post] && to[pre]))
        };
        let between: Vec<usize> = match generator {
            Some(_) => Vec::new(),
            None => (0..self.edges.len())
                .filter(|k| {
                    let edge = &self.edges[*k];
                    joins(edge.electrical, edge.pre, edge.post)
                })
                .collect(),
        };
        let called = |edge: &EdgeNames| {
            label.is_none_or(|l| {
                fits(l, &edge.kind) || edge.name.as_deref().is_some_and(|n| fits(l, n))
            })
        };
        let mut found = SelectedEdges {
            single: between
                .iter()
                .copied()
                .filter(|k| called(&self.edges[*k]))
                .collect(),
            bulk: Vec::new(),
        };
        for (k, bulk) in self.bulk.iter().enumerate() {
            let meant = generator
                .is_none_or(|g| bulk.generator.as_deref().is_some_and(|name| fits(g, name)))
                && label.is_none_or(|l| {
                    fits(l, &bulk.kind) || bulk.label.as_deref().is_some_and(|n| fits(l, n))
                });
            if !meant || bulk.electrical != electrical {
                continue;
            }
            let pairs = bulk.pre.iter().zip(bulk.post.iter()).enumerate();
            let edges: Vec<u32> = pairs
                .filter(|(_, (pre, post))| joins(electrical, **pre as usize, **post as usize))
                .map(|(edge, _)| edge as u32)
                .collect();
            if !edges.is_empty() {
                found.bulk.push((k, edges));
            }
        }
        if found.is_empty() {
            return Err(self.no_edge(owner, label, &between));
        }
        if found.len() > 1 && pres.len() == 1 && posts.len() == 1 && !is_glob(owner) {
            let names: Vec<String> = found.iter().map(|edge| self.any_owner(edge)).collect();
            let mut distinct = names.clone();
            distinct.dedup();
            let help = if distinct.len() == found.len() {
                format!("it may be {}", names.join(" or "))
            } else {
                "give each of them a `name`".to_string()
            };
            return Err(error(
                format!("`{owner}` is ambiguous: {} edges fit", found.len()),
                Some(help),
            ));
        }
        Ok(found)
    }

    fn no_edge(&self, owner: &str, label: Option<&str>, between: &[usize]) -> PathError {
        /// Among more edges than this the nearest is not looked for.
        const LOOKED_AT: usize = 100_000;
        let help = if self.edges.is_empty() && self.bulk.is_empty() {
            Some("the network has no edges".to_string())
        } else if between.is_empty() {
            let owners: Vec<String> = self
                .every_edge()
                .take(LOOKED_AT)
                .map(|edge| self.any_owner(edge))
                .collect();
            suggestion(owner, owners.iter().map(String::as_str))
        } else {
            suggestion(
                label.unwrap_or_default(),
                between.iter().map(|k| {
                    let edge = &self.edges[*k];
                    edge.name.as_deref().unwrap_or(&edge.kind)
                }),
            )
        };
        error(format!("there is no edge `{owner}`"), help)
    }

    fn every_edge(&self) -> impl Iterator<Item = AnyEdge> {
        let single = (0..self.edges.len()).map(AnyEdge::Single);
        let bulk = self.bulk.iter().enumerate();
        single.chain(
            bulk.flat_map(|(k, bulk)| (0..bulk.pre.len()).map(move |edge| AnyEdge::Bulk(k, edge))),
        )
    }

    /// Which cells are among some.
    fn mask(&self, cells: &[usize]) -> Vec<bool> {
        let mut mask = vec![false; self.cells.len()];
        for cell in cells {
            mask[*cell] = true;
        }
        mask
    }

    /// Names of generators, each once for every bulk of its.
    fn generators(&self) -> impl Iterator<Item = &str> {
        self.bulk.iter().filter_map(|b| b.generator.as_deref())
    }

    /// All edges of the generator called `name`.
    fn all_generated(&self, name: &str) -> Option<SelectedEdges> {
        let bulk = self.bulk.iter().enumerate();
        let own = bulk.filter(|(_, b)| b.generator.as_deref() == Some(name));
        let bulk: Vec<(usize, Vec<u32>)> = own
            .map(|(k, b)| (k, (0..b.pre.len() as u32).collect()))
            .collect();
        let single = Vec::new();
        (!bulk.is_empty()).then_some(SelectedEdges { single, bulk })
    }

    /// Scalars that a path names, each by itself.
    ///
    /// # Errors
    /// See [`Names::targets`].
    pub fn scalars(&self, path: &str) -> Result<Vec<Address>, PathError> {
        self.targets(path).map(Targets::addresses)
    }

    /// Scalars that a path names, those of edges in bulk as one.
    ///
    /// # Errors
    /// Which segment names nothing, what there is instead; a glob that matches nothing; an edge
    /// path that fits several edges.
    pub fn targets(&self, path: &str) -> Result<Targets, PathError> {
        let Some((owner, scalar)) = path.rsplit_once('.') else {
            let help = format!("write for instance `{path}.V`, `{path}.Na.gbar` or `A->B.g`");
            return Err(error(format!("`{path}` names no scalar"), Some(help)));
        };
        if split_edge(owner).is_some() || self.generators().any(|name| name == owner) {
            return self.edge_scalars(path, owner, scalar);
        }
        let single = if owner.contains('.') {
            self.channel_scalars(owner, scalar)?
        } else {
            self.cell_scalars(owner, scalar)?
        };
        let bulk = Vec::new();
        Ok(Targets { single, bulk })
    }

    fn edge_scalars(&self, path: &str, owner: &str, scalar: &str) -> Result<Targets, PathError> {
        let edges = self.select_edges(owner)?;
        let alone = edges.len() == 1;
        let mut found = Targets::default();
        for edge in &edges.single {
            found.single.extend(
                self.scalars_of_edge(*edge)
                    .into_iter()
                    .filter(|(name, _)| fits(scalar, name))
                    .map(|(_, s)| Address::Edge(*edge, s)),
            );
        }
        for (bulk, edges) in &edges.bulk {
            let scalars = self.scalars_of_bulk(*bulk).iter();
            let scalars = scalars.filter(|(name, _)| fits(scalar, name));
            let shared = Arc::new(edges.clone());
            for (_, s) in scalars {
                if alone {
                    found
                        .single
                        .push(Address::Bulk(*bulk, edges[0] as usize, *s));
                    continue;
                }
                found.bulk.push(BulkScalar {
                    bulk: *bulk,
                    edges: shared.clone(),
                    scalar: *s,
                    path: path.to_string(),
                });
            }
        }
        if found.single.is_empty() && found.bulk.is_empty() {
            let single = edges.single.iter().flat_map(|e| self.scalars_of_edge(*e));
            let of_bulk = edges
                .bulk
                .iter()
                .flat_map(|(b, _)| self.scalars_of_bulk(*b));
            let of_bulk = of_bulk.map(|(name, _)| name.to_string());
            let names: Vec<String> = single.map(|(name, _)| name).chain(of_bulk).collect();
            let help = suggestion(scalar, dedup(names.iter().map(String::as_str)));
            return Err(error(format!("an edge has no `{scalar}`"), help));
        }
        Ok(found)
    }

    fn channel_scalars(&self, owner: &str, scalar: &str) -> Result<Vec<Address>, PathError> {
        let channels = self.select_channels(owner)?;
        let mut found = Vec::new();
        for (cell, lane) in &channels {
            let names = self.scalars_of_channel(*cell, *lane).into_iter();
            found.extend(
                names
                    .filter(|(name, _)| fits(scalar, name))
                    .map(|(_, s)| Address::Channel(*cell, *lane, s)),
            );
        }
        if found.is_empty() {
            let exists = ChannelScalar::ALL
                .iter()
                .any(|(_, name, _)| *name == scalar);
            let (message, help) = match scalar {
                "mRNA" if exists => (
                    format!("`{owner}` has no mRNA: homeostasis does not regulate it"),
                    Some("name the channel in the cell's `homeostat`".to_string()),
                ),
                _ if exists => (
                    format!("`{owner}` has no `{scalar}`: no controller modulates it"),
                    Some("name the channel in the cell's `controller`".to_string()),
                ),
                _ => {
                    let names: Vec<String> = channels
                        .iter()
                        .flat_map(|(c, l)| self.scalars_of_channel(*c, *l))
                        .map(|(name, _)| name)
                        .collect();
                    (
                        format!("a channel has no `{scalar}`"),
                        suggestion(scalar, dedup(names.iter().map(String::as_str))),
                    )
                }
            };
            return Err(error(message, help));
        }
        Ok(found)
    }

    fn cell_scalars(&self, owner: &str, scalar: &str) -> Result<Vec<Address>, PathError> {
        let cells = self.select_cells(owner)?;
        let mut found = Vec::new();
        for cell in &cells {
            let names = self.scalars_of_cell(*cell).into_iter();
            found.extend(
                names
                    .filter(|(name, _)| fits(scalar, name))
                    .map(|(_, s)| Address::Cell(*cell, s)),
            );
        }
        if found.is_empty() {
            let known = CellScalar::ALL.iter().find(|(_, name, _)| *name == scalar);
            return Err(match known {
                Some((s, ..)) if s.of_homeostat() => error(
                    format!("`{owner}` has no `{scalar}`: it has no homeostat"),
                    Some("give the cell a `homeostat`".to_string()),
                ),
                Some(_) => error(
                    format!("`{owner}` has no `{scalar}`: it has no controller"),
                    Some("give the cell a `controller`".to_string()),
                ),
                None => {
                    let channels = cells.iter().flat_map(|k| self.cells[*k].channels.iter());
                    if channels.clone().any(|c| c.name == scalar) {
                        let help = format!("a channel is no scalar: write `{owner}.{scalar}.gbar`");
                        return Err(error(
                            format!("`{owner}.{scalar}` is a channel"),
                            Some(help),
                        ));
                    }
                    let names = CellScalar::ALL.iter().map(|(_, name, _)| *name);
                    error(
                        format!("a cell has no `{scalar}`"),
                        suggestion(scalar, names),
                    )
                }
            });
        }
        Ok(found)
    }

    fn scalars_of_cell(&self, cell: usize) -> Vec<(&'static str, CellScalar)> {
        let cell = &self.cells[cell];
        CellScalar::ALL
            .iter()
            .filter(|(s, ..)| {
                (!s.of_homeostat() || cell.homeostat) && (!s.of_controller() || cell.controller)
            })
            .map(|(s, name, _)| (*name, *s))
            .collect()
    }

    fn scalars_of_channel(&self, cell: usize, lane: usize) -> Vec<(String, ChannelScalar)> {
        let channel = &self.cells[cell].channels[lane];
        let own = ChannelScalar::ALL.iter().filter(|(s, ..)| match s {
            ChannelScalar::Mrna => channel.regulated,
            ChannelScalar::Pool | ChannelScalar::Integral => channel.modulated,
            _ => true,
        });
        let parameters = channel.parameters.iter().enumerate();
        let states = channel.states.iter().enumerate();
        own.map(|(s, name, _)| (name.to_string(), *s))
            .chain(parameters.map(|(k, name)| (name.clone(), ChannelScalar::Parameter(k))))
            .chain(states.map(|(k, name)| (name.clone(), ChannelScalar::State(k))))
            .collect()
    }

    fn scalars_of_edge(&self, edge: usize) -> Vec<(String, EdgeScalar)> {
        let edge = &self.edges[edge];
        let mut scalars = vec![("g".to_string(), EdgeScalar::G)];
        if !edge.electrical {
            scalars.push(("s".to_string(), EdgeScalar::S));
        }
        let parameters = edge.parameters.iter().enumerate();
        scalars.extend(parameters.map(|(k, name)| (name.clone(), EdgeScalar::Parameter(k))));
        scalars
    }

    fn scalars_of_bulk(&self, bulk: usize) -> &'static [(&'static str, EdgeScalar)] {
        match self.bulk[bulk].electrical {
            true => &[("g", EdgeScalar::G)],
            false => &[("g", EdgeScalar::G), ("s", EdgeScalar::S)],
        }
    }

    /// Every scalar of the network, cells first.
    pub fn all(&self) -> Vec<Address> {
        let mut all = Vec::new();
        for cell in 0..self.cells.len() {
            all.extend(
                self.scalars_of_cell(cell)
                    .into_iter()
                    .map(|(_, s)| Address::Cell(cell, s)),
            );
            for lane in 0..self.cells[cell].channels.len() {
                let scalars = self.scalars_of_channel(cell, lane).into_iter();
                all.extend(scalars.map(|(_, s)| Address::Channel(cell, lane, s)));
            }
        }
        for edge in 0..self.edges.len() {
            all.extend(
                self.scalars_of_edge(edge)
                    .into_iter()
                    .map(|(_, s)| Address::Edge(edge, s)),
            );
        }
        for bulk in 0..self.bulk.len() {
            for edge in 0..self.bulk[bulk].pre.len() {
                let scalars = self.scalars_of_bulk(bulk).iter();
                all.extend(scalars.map(|(_, s)| Address::Bulk(bulk, edge, *s)));
            }
        }
        all
    }

    /// Path of an edge without a scalar, with its name or kind where the pair alone is ambiguous.
    pub fn edge_owner(&self, edge: usize) -> String {
        let e = &self.edges[edge];
        let arrow = if e.electrical { "--" } else { "->" };
        let pair = format!(
            "{}{arrow}{}",
            self.cells[e.pre].name, self.cells[e.post].name
        );
        let alone = self.pairs.get(&(e.pre, e.post, e.electrical)) == Some(&1);
        match &e.name {
            _ if alone => pair,
            Some(name) => format!("{pair}:{name}"),
            None => format!("{pair}:{}", e.kind),
        }
    }

    /// Path of an edge in bulk without a scalar.
    pub fn bulk_owner(&self, bulk: usize, edge: usize) -> String {
        let bulk = &self.bulk[bulk];
        let arrow = if bulk.electrical { "--" } else { "->" };
        let [pre, post] =
            [&bulk.pre, &bulk.post].map(|cells| &self.cells[cells[edge] as usize].name);
        let pair = format!("{pre}{arrow}{post}");
        match (&bulk.generator, &bulk.label) {
            (Some(generator), _) => format!("{generator}:{pair}"),
            (None, Some(label)) => format!("{pair}:{label}"),
            (None, None) => pair,
        }
    }

    fn any_owner(&self, edge: AnyEdge) -> String {
        match edge {
            AnyEdge::Single(edge) => self.edge_owner(edge),
            AnyEdge::Bulk(bulk, edge) => self.bulk_owner(bulk, edge),
        }
    }

    /// Path of a scalar.
    pub fn path(&self, address: Address) -> String {
        match address {
            Address::Cell(cell, scalar) => {
                let name = CellScalar::ALL
                    .iter()
                    .find(|(s, ..)| *s == scalar)
                    .map_or("", |(_, n, _)| n);
                format!("{}.{name}", self.cells[cell].name)
            }
            Address::Channel(cell, lane, scalar) => {
                let names = self.scalars_of_channel(cell, lane);
                let name = names
                    .iter()
                    .find(|(_, s)| *s == scalar)
                    .map_or("", |(n, _)| n);
                format!(
                    "{}.{}.{name}",
                    self.cells[cell].name, self.cells[cell].channels[lane].name
                )
            }
            Address::Edge(edge, scalar) => {
                let names = self.scalars_of_edge(edge);
                let name = names
                    .iter()
                    .find(|(_, s)| *s == scalar)
                    .map_or("", |(n, _)| n);
                format!("{}.{name}", self.edge_owner(edge))
            }
            Address::Bulk(bulk, edge, scalar) => {
                let names = self.scalars_of_bulk(bulk).iter();
                let name = names
                    .clone()
                    .find(|(_, s)| *s == scalar)
                    .map_or("", |(n, _)| n);
                format!("{}.{name}", self.bulk_owner(bulk, edge))
            }
        }
    }
}

/// Distinct names in order of first appearance.
fn dedup<'a>(names: impl Iterator<Item = &'a str>) -> std::vec::IntoIter<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen.into_iter()
}

/// `PRE->POST` or `A--B`, and whether it is a junction.
fn split_edge(owner: &str) -> Option<(&str, &str, bool)> {
    owner
        .split_once("->")
        .map(|(a, b)| (a, b, false))
        .or_else(|| owner.split_once("--").map(|(a, b)| (a, b, true)))
}

/// States of a channel's kinetic scheme.
fn states_of(channel: &ChannelDefinition) -> &[String] {
    channel.scheme.as_ref().map_or(&[], |scheme| &scheme.states)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let channel = |name: &str, regulated, modulated| ChannelNames {
            name: name.to_string(),
            parameters: if name == "KCa" {
                vec!["tm".to_string()]
            } else {
                Vec::new()
            },
            states: Vec::new(),
            regulated,
            modulated,
        };
        let cell = |name: &str, regulation| CellNames {
            name: name.into(),
            channels: [
                channel("Na", regulation, false),
                channel("CaS", false, regulation),
                channel("KCa", regulation, false),
            ]
            .into(),
            homeostat: regulation,
            controller: regulation,
        };
        let edge = |pre, post, kind: &str, name: Option<&str>| EdgeNames {
            pre,
            post,
            kind: kind.to_string(),
            electrical: kind == "gap",
            name: name.map(String::from),
            parameters: vec!["tau".to_string()],
        };
        let mut names = Names {
            cells: vec![cell("F1", true), cell("S1", true), cell("S2", false)],
            groups: vec![("slow".to_string(), vec![1, 2])],
            ..Names::default()
        };
        for edge in [
            edge(0, 1, "glut", None),
            edge(0, 1, "chol", None),
            edge(1, 2, "glut", Some("a")),
            edge(1, 2, "glut", Some("b")),
            edge(0, 2, "gap", None),
            edge(2, 1, "glut", None),
        ] {
            names.enter_edge(edge);
        }
        names.enter_bulk(BulkNames {
            generator: Some("ee".to_string()),
            label: None,
            kind: "glut".to_string(),
            electrical: false,
            pre: Arc::new(vec![2, 0]),
            post: Arc::new(vec![0, 0]),
        });
        names
    }

    #[test]
    fn every_listed_scalar_has_a_path_that_finds_it_again() {
        let names = names();
        for address in names.all() {
            assert_eq!(
                names.scalars(&names.path(address)),
                Ok(vec![address]),
                "{}",
                names.path(address)
            );
        }
    }

    #[test]
    fn globs_stay_inside_a_segment() {
        let names = names();
        assert_eq!(names.scalars("slow/*.CaS.gbar").unwrap().len(), 2);
        assert_eq!(names.scalars("*.*.gbar").unwrap().len(), 9);
        assert_eq!(names.scalars("*->S2.g").unwrap().len(), 2);
        assert_eq!(names.scalars("*->F1.g").unwrap().len(), 2);
        assert_eq!(names.scalars("ee:S*->*.g").unwrap().len(), 1);
        assert_eq!(names.scalars("ee.g").unwrap().len(), 2);
        assert_eq!(names.scalars("*.V").unwrap().len(), 3);
        assert!(names.scalars("X*.V").is_err());
    }

    #[test]
    fn a_junction_answers_to_both_orders() {
        assert_eq!(
            names().scalars("S2--F1.g"),
            Ok(vec![Address::Edge(4, EdgeScalar::G)])
        );
    }

    #[test]
    fn errors_say_what_there_is() {
        let names = names();
        let help = |path: &str| {
            let e = names.scalars(path).unwrap_err();
            format!("{} | {}", e.message, e.help.unwrap_or_default())
        };
        assert_eq!(help("S3.V"), "there is no cell `S3` | did you mean `S1`?");
        assert_eq!(
            help("S1.CaX.gbar"),
            "there is no channel `CaX` | did you mean `CaS`?"
        );
        assert_eq!(
            help("S1.CaS.gba"),
            "a channel has no `gba` | did you mean `gbar`?"
        );
        assert_eq!(
            help("S2.CaS.pool"),
            "`S2.CaS` has no `pool`: no controller modulates it | name the channel in the cell's `controller`"
        );
        assert_eq!(
            help("S2.g_s"),
            "`S2` has no `g_s`: it has no controller | give the cell a `controller`"
        );
        assert_eq!(
            help("F1.Na"),
            "`F1.Na` is a channel | a channel is no scalar: write `F1.Na.gbar`"
        );
        assert_eq!(
            help("F1->S1.g"),
            "`F1->S1` is ambiguous: 2 edges fit | it may be F1->S1:glut or F1->S1:chol"
        );
        assert_eq!(
            help("S1->S2:glut.g"),
            "`S1->S2:glut` is ambiguous: 2 edges fit | it may be S1->S2:a or S1->S2:b"
        );
    }
}
