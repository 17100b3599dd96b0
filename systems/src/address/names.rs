//! Names of a network, and the resolution of paths against them.

use std::collections::HashSet;

use bevy_ecs::prelude::*;

use crate::nearest::nearest;

use super::{Address, CellScalar, ChannelScalar, EdgeScalar};

/// Names in a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelNames {
    /// Name of the channel in its cell.
    pub name: String,
    /// Kinetic parameters.
    pub parameters: Vec<String>,
    /// Whether homeostasis regulates it.
    pub regulated: bool,
    /// Whether a controller modulates it.
    pub modulated: bool,
}

/// Names in a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellNames {
    /// Name of the cell.
    pub name: String,
    /// Channels in lane order.
    pub channels: Vec<ChannelNames>,
    /// Whether it has a homeostat.
    pub homeostat: bool,
    /// Whether it has a controller.
    pub controller: bool,
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

/// All names of a network, in scene order.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// Cells.
    pub cells: Vec<CellNames>,
    /// Groups and their members.
    pub groups: Vec<(String, Vec<usize>)>,
    /// Edges.
    pub edges: Vec<EdgeNames>,
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

/// "did you mean" for the nearest of `names`, else the list of them.
fn suggestion<'a>(found: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    match nearest(found, names.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if names.is_empty() => None,
        None => Some(format!("there are: {}", names.join(", "))),
    }
}

impl Names {
    /// Cells that a selector names: a cell, `group/member`, a group, or a glob.
    ///
    /// # Errors
    /// No such cell, or a glob that matches nothing.
    pub fn select_cells(&self, selector: &str) -> Result<Vec<usize>, PathError> {
        if let Some((group, member)) = selector.split_once('/') {
            let groups: Vec<_> = self
                .groups
                .iter()
                .filter(|(name, _)| fits(group, name))
                .collect();
            if groups.is_empty() {
                let names = self.groups.iter().map(|(name, _)| name.as_str());
                return Err(error(
                    format!("there is no group `{group}`"),
                    suggestion(group, names),
                ));
            }
            let mut found: Vec<usize> =
                groups.iter().flat_map(|(_, m)| m.iter().copied()).collect();
            found.retain(|k| fits(member, &self.cells[*k].name));
            found.sort_unstable();
            found.dedup();
            if found.is_empty() {
                let names = groups
                    .iter()
                    .flat_map(|(_, m)| m.iter().map(|k| self.cells[*k].name.as_str()));
                let message = format!("no member of group `{group}` is called `{member}`");
                return Err(error(message, suggestion(member, names)));
            }
            return Ok(found);
        }
        if let Some((_, members)) = self.groups.iter().find(|(name, _)| name == selector) {
            return Ok(members.clone());
        }
        let found: Vec<usize> = (0..self.cells.len())
            .filter(|k| fits(selector, &self.cells[*k].name))
            .collect();
        if found.is_empty() {
            let names = self.cells.iter().map(|c| c.name.as_str());
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

    /// Edges that `PRE->POST`, `PRE--POST` or `PRE->POST:NAME` names.
    ///
    /// # Errors
    /// No such edge, several where one is meant, a glob that matches nothing.
    pub fn select_edges(&self, owner: &str) -> Result<Vec<usize>, PathError> {
        let Some((pre, post, electrical)) = split_edge(owner) else {
            return Err(error(
                format!("`{owner}` names no edge"),
                Some("write PRE->POST for a synapse, A--B for a junction".to_string()),
            ));
        };
        let (post, label) = match post.split_once(':') {
            Some((post, label)) => (post, Some(label)),
            None => (post, None),
        };
        let pres: HashSet<usize> = self.select_cells(pre)?.into_iter().collect();
        let posts: HashSet<usize> = self.select_cells(post)?.into_iter().collect();
        let joins = |edge: &EdgeNames| {
            edge.electrical == electrical
                && ((pres.contains(&edge.pre) && posts.contains(&edge.post))
                    || (electrical && pres.contains(&edge.post) && posts.contains(&edge.pre)))
        };
        let called = |edge: &EdgeNames| {
            label.is_none_or(|l| {
                fits(l, &edge.kind) || edge.name.as_deref().is_some_and(|n| fits(l, n))
            })
        };
        let between: Vec<usize> = (0..self.edges.len())
            .filter(|k| joins(&self.edges[*k]))
            .collect();
        let found: Vec<usize> = between
            .iter()
            .copied()
            .filter(|k| called(&self.edges[*k]))
            .collect();
        if found.is_empty() {
            let help = if self.edges.is_empty() {
                Some("the network has no edges".to_string())
            } else if between.is_empty() {
                suggestion(
                    owner,
                    (0..self.edges.len())
                        .map(|k| self.edge_owner(k))
                        .collect::<Vec<_>>()
                        .iter()
                        .map(String::as_str),
                )
            } else {
                suggestion(
                    label.unwrap_or_default(),
                    between.iter().map(|k| {
                        let edge = &self.edges[*k];
                        edge.name.as_deref().unwrap_or(&edge.kind)
                    }),
                )
            };
            return Err(error(format!("there is no edge `{owner}`"), help));
        }
        if found.len() > 1 && pres.len() == 1 && posts.len() == 1 && !is_glob(owner) {
            let names: Vec<String> = found.iter().map(|k| self.edge_owner(*k)).collect();
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

    /// Scalars that a path names.
    ///
    /// # Errors
    /// Which segment names nothing, what there is instead; a glob that matches nothing; an edge
    /// path that fits several edges.
    pub fn scalars(&self, path: &str) -> Result<Vec<Address>, PathError> {
        let Some((owner, scalar)) = path.rsplit_once('.') else {
            let help = format!("write for instance `{path}.V`, `{path}.Na.gbar` or `A->B.g`");
            return Err(error(format!("`{path}` names no scalar"), Some(help)));
        };
        if split_edge(owner).is_some() {
            return self.edge_scalars(owner, scalar);
        }
        if owner.contains('.') {
            return self.channel_scalars(owner, scalar);
        }
        self.cell_scalars(owner, scalar)
    }

    fn edge_scalars(&self, owner: &str, scalar: &str) -> Result<Vec<Address>, PathError> {
        let edges = self.select_edges(owner)?;
        let mut found = Vec::new();
        for edge in &edges {
            found.extend(
                self.scalars_of_edge(*edge)
                    .into_iter()
                    .filter(|(name, _)| fits(scalar, name))
                    .map(|(_, s)| Address::Edge(*edge, s)),
            );
        }
        if found.is_empty() {
            let names: Vec<String> = edges
                .iter()
                .flat_map(|e| self.scalars_of_edge(*e))
                .map(|(name, _)| name)
                .collect();
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
        own.map(|(s, name, _)| (name.to_string(), *s))
            .chain(parameters.map(|(k, name)| (name.clone(), ChannelScalar::Parameter(k))))
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
        let alone = self
            .edges
            .iter()
            .filter(|o| (o.pre, o.post, o.electrical) == (e.pre, e.post, e.electrical))
            .count()
            == 1;
        match &e.name {
            _ if alone => pair,
            Some(name) => format!("{pair}:{name}"),
            None => format!("{pair}:{}", e.kind),
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
            regulated,
            modulated,
        };
        let cell = |name: &str, regulation| CellNames {
            name: name.to_string(),
            channels: vec![
                channel("Na", regulation, false),
                channel("CaS", false, regulation),
                channel("KCa", regulation, false),
            ],
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
        Names {
            cells: vec![cell("F1", true), cell("S1", true), cell("S2", false)],
            groups: vec![("slow".to_string(), vec![1, 2])],
            edges: vec![
                edge(0, 1, "glut", None),
                edge(0, 1, "chol", None),
                edge(1, 2, "glut", Some("a")),
                edge(1, 2, "glut", Some("b")),
                edge(0, 2, "gap", None),
                edge(2, 1, "glut", None),
            ],
        }
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
