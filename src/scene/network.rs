//! The fields of a scene: cells, groups, edges, windows and rhythms.

use std::collections::{BTreeMap, HashMap, HashSet};

use homarus_systems::definition::{CellDefinition, SynapseDefinition, SynapseKind};

use super::{
    cell::CellFields,
    decode::{
        ANY, CONDUCTANCE, Fields, Rule, above_zero, fraction, index_of, integer, key, keys, list,
        map, maximal_conductance, not_negative, number, text,
    },
    definitions::{header, optional_area},
    diagnostic::{Diagnostic, Diagnostics},
    library::Library,
    merge::Entries,
    model::{Cell, Conductance, Edge, Rhythm, Samples, Scene, Setting, Window},
    names::{self, Role},
    protocol,
    settings::Settings,
    source::Place,
    syntax::{Key, Node},
    units,
};

const TIME: Rule = not_negative("a run begins at 0");

/// Spikes of the shortest burst that counts.
const MIN_SPIKES: usize = 2;

/// Reads a scene whose base was merged in already.
pub(super) fn scene(
    name: &str,
    head: Place,
    fields: &Entries,
    library: &mut Library,
    errors: &mut Diagnostics,
) -> Option<Scene> {
    let mut fields = Fields::new("a scene", head.clone(), fields);
    let header = header(&mut fields, errors);
    let own_name = fields.optional("name").and_then(|node| {
        let name = key(node, errors)?;
        names::check(&name, Role::Scene, errors).then_some(name.text)
    });
    fields.optional("include");
    fields.optional("define");
    let settings = Settings::read(&mut fields, errors);

    let mut network = Network::new(library, head);
    network.maximal_conductance = maximal_conductance(settings.negative_conductance);
    match fields.required("cells") {
        Some(node) => network.read_cells(node, errors),
        None => {
            // Whatever else is written refers to cells; it is judged once there are some.
            for name in [
                "groups", "edges", "set", "protocol", "windows", "rhythms", "samples",
            ] {
                fields.optional(name);
            }
            fields.finish(errors);
            return None;
        }
    }
    if let Some(node) = fields.optional("groups") {
        network.read_groups(node, errors);
    }
    if let Some(node) = fields.optional("edges") {
        network.read_edges(node, errors);
    }
    let set = fields
        .optional("set")
        .map_or(Some(Vec::new()), |node| set(node, errors));
    let duration = settings.duration_ms;
    let protocol = fields
        .optional("protocol")
        .map_or(Some(Vec::new()), |node| {
            let known = network.known(duration);
            protocol::read(node, &known, errors)
        });
    let windows = fields
        .optional("windows")
        .map_or(Some(Vec::new()), |node| windows(node, duration, errors));
    let rhythms = match fields.optional("rhythms") {
        Some(node) => network.rhythms(node, errors),
        None => Some(vec![network.default_rhythm()]),
    };
    let samples = fields
        .optional("samples")
        .map_or(Some(Vec::new()), |node| samples(node, errors));
    fields.finish(errors);

    let (cells, edges): (Vec<_>, Vec<_>) = (network.cells, network.edges);
    Some(Scene {
        name: own_name.unwrap_or_else(|| name.to_owned()),
        about: header.about,
        source: header.source,
        duration_ms: settings.duration_ms?,
        step_ms: settings.step_ms?,
        step_origin: settings.step_origin?,
        control_ms: settings.control_ms?,
        seed: settings.seed?,
        integrator: settings.integrator?,
        negative_conductance: settings.negative_conductance?,
        integrator_start: settings.integrator_start?,
        threshold_mv: settings.threshold_mv?,
        rearm_mv: settings.rearm_mv?,
        gap_ms: settings.gap_ms?,
        cell_types: network.types.into_iter().map(|(_, cell)| cell).collect(),
        kinds: network.kinds.into_iter().map(|(_, kind)| kind).collect(),
        cells: cells.into_iter().collect::<Option<_>>()?,
        groups: network
            .groups
            .into_iter()
            .map(|(key, members)| (key.text, members))
            .collect(),
        edges: edges.into_iter().collect::<Option<_>>()?,
        set: set?,
        protocol: protocol?,
        windows: windows?,
        rhythms: rhythms?,
        samples: samples?,
    })
}

/// Reads the scalars a scene sets by path; the paths are held against the network later.
fn set(node: &Node, errors: &mut Diagnostics) -> Option<Vec<Setting>> {
    let read: Vec<Option<Setting>> = map(node, errors)?
        .iter()
        .map(|(key, node)| {
            Some(Setting {
                path: key.text.clone(),
                value: number(node, ANY, errors)?,
                origin: key.place.clone(),
            })
        })
        .collect();
    read.into_iter().collect()
}

fn samples(node: &Node, errors: &mut Diagnostics) -> Option<Vec<Samples>> {
    let read: Vec<Option<Samples>> = list(node, errors)?
        .iter()
        .map(|node| {
            let mut fields = Fields::of(node, "a request for samples", errors)?;
            let paths = fields.required("paths").and_then(|node| keys(node, errors));
            let every = fields.required("every_ms").and_then(|node| {
                let rule = above_zero("time would stand still between two samples");
                units::time(node, rule, errors)
            });
            fields.finish(errors);
            let paths = paths?.into_iter().map(|key| (key.text, key.place));
            Some(Samples {
                paths: paths.collect(),
                every_ms: every?,
            })
        })
        .collect();
    read.into_iter().collect()
}

/// What protocol entries are held against.
pub(super) struct Known<'n> {
    /// Duration (ms), if it is right.
    pub duration: Option<f64>,
    /// Cells: name and whether the area is known; `None` for one that is wrong.
    pub cells: Vec<(&'n str, Option<bool>)>,
    /// Channels of all cell types.
    pub channels: Vec<&'n str>,
}

/// Cells and edges while they are read. A cell or edge with an error is `None`, so that indices
/// are right and nothing that refers to it is called unknown.
struct Network<'l> {
    library: &'l mut Library,
    head: Place,
    /// Which maximal conductances are allowed.
    maximal_conductance: Rule,
    types: Vec<(String, CellDefinition)>,
    kinds: Vec<(String, SynapseKind)>,
    names: Vec<Key>,
    by_name: HashMap<String, usize>,
    cells: Vec<Option<Cell>>,
    groups: Vec<(Key, Vec<usize>)>,
    edges: Vec<Option<Edge>>,
}

impl<'l> Network<'l> {
    fn new(library: &'l mut Library, head: Place) -> Self {
        Self {
            library,
            head,
            maximal_conductance: CONDUCTANCE,
            types: Vec::new(),
            kinds: Vec::new(),
            names: Vec::new(),
            by_name: HashMap::new(),
            cells: Vec::new(),
            groups: Vec::new(),
            edges: Vec::new(),
        }
    }

    fn known(&self, duration: Option<f64>) -> Known<'_> {
        let mut channels: Vec<&str> = Vec::new();
        for (_, cell) in &self.types {
            for (name, _) in &cell.channels {
                if !channels.contains(&name.as_str()) {
                    channels.push(name);
                }
            }
        }
        let areas = self
            .cells
            .iter()
            .map(|cell| cell.as_ref().map(|cell| cell.area.is_some()));
        Known {
            duration,
            cells: self
                .names
                .iter()
                .map(|key| key.text.as_str())
                .zip(areas)
                .collect(),
            channels,
        }
    }

    fn read_cells(&mut self, node: &Node, errors: &mut Diagnostics) {
        let Some(entries) = map(node, errors) else {
            return;
        };
        if entries.is_empty() {
            errors.push(
                Diagnostic::at(&node.place, "a scene needs at least one cell").label("no cell"),
            );
        }
        for (key, node) in entries {
            names::check(key, Role::Cell, errors);
            self.by_name
                .entry(key.text.clone())
                .or_insert(self.names.len());
            self.names.push(key.clone());
            let cell = self.cell(key, node, errors);
            self.cells.push(cell);
        }
    }

    fn cell(&mut self, key: &Key, node: &Node, errors: &mut Diagnostics) -> Option<Cell> {
        let mut fields = Fields::of(node, "a cell", errors)?;
        // `like` was resolved when files were merged; one that is left leads nowhere, which was
        // reported, and what it should have copied is not missed a second time.
        let lost = fields.optional("like").is_some();
        let cell = if lost {
            fields.optional("cell")
        } else {
            fields.required("cell")
        };
        let index = cell.and_then(|node| self.cell_type(node, errors));
        let given = CellFields::take(&mut fields);
        let own_area = optional_area(&mut fields, errors);
        fields.finish(errors);
        let (index, own_area) = (index?, own_area?);
        let definition = &self.types[index].1;
        given.read(
            key,
            index,
            definition,
            own_area,
            self.maximal_conductance,
            errors,
        )
    }

    /// The index of the cell type a cell names, read when it is first met.
    fn cell_type(&mut self, node: &Node, errors: &mut Diagnostics) -> Option<usize> {
        let name = key(node, errors)?;
        let known = self.types.iter().position(|(known, _)| *known == name.text);
        if known.is_some() {
            return known;
        }
        let definition = self.library.cell(&name, errors)?;
        self.types.push((name.text, definition));
        Some(self.types.len() - 1)
    }

    /// The index of the synapse kind an edge names.
    fn kind(&mut self, node: &Node, errors: &mut Diagnostics) -> Option<usize> {
        let name = key(node, errors)?;
        let known = self.kinds.iter().position(|(known, _)| *known == name.text);
        if known.is_some() {
            return known;
        }
        let kind = self.library.synapse(&name, errors)?;
        self.kinds.push((name.text, kind));
        Some(self.kinds.len() - 1)
    }

    fn read_groups(&mut self, node: &Node, errors: &mut Diagnostics) {
        for (key, node) in map(node, errors).unwrap_or_default() {
            names::check(key, Role::Group, errors);
            if let Some(&cell) = self.by_name.get(&key.text) {
                errors.push(
                    Diagnostic::at(
                        &key.place,
                        format!("`{}` names a cell and a group", key.text),
                    )
                    .label("the group")
                    .and(&self.names[cell].place, "the cell")
                    .help("a path could mean either; rename one of them"),
                );
            }
            let Some(names) = keys(node, errors) else {
                continue;
            };
            let mut members = Vec::with_capacity(names.len());
            let mut known = HashSet::with_capacity(names.len());
            for name in &names {
                if let Some(cell) = self.cell_index(name, errors) {
                    refuse_twice(&mut known, cell, name, errors);
                    members.push(cell);
                }
            }
            self.groups.push((key.clone(), members));
        }
    }

    /// The cell called `name`.
    fn cell_index(&self, name: &Key, errors: &mut Diagnostics) -> Option<usize> {
        if let Some(&index) = self.by_name.get(&name.text) {
            return Some(index);
        }
        let error = Diagnostic::at(&name.place, format!("there is no cell `{}`", name.text));
        let group = self.groups.iter().find(|(key, _)| key.text == name.text);
        errors.push(match group {
            Some((group, _)) => error
                .label("this is a group")
                .and(&group.place, "defined here")
                .help("name one cell"),
            None => error.label("unknown cell").maybe_help(names::hint(
                &name.text,
                self.names.iter().map(|key| key.text.as_str()),
                "cell",
            )),
        });
        None
    }

    fn read_edges(&mut self, node: &Node, errors: &mut Diagnostics) {
        let mut joined: BTreeMap<_, Vec<NamedPlace>> = BTreeMap::new();
        for node in list(node, errors).unwrap_or_default() {
            let edge = self.edge(node, errors);
            if let Some(edge) = &edge {
                let same = joined.entry((edge.pre, edge.post, edge.kind)).or_default();
                refuse_same_edge(same, edge, node, errors);
                same.push((edge.name.clone(), node.place.clone()));
            }
            self.edges.push(edge);
        }
    }

    fn edge(&mut self, node: &Node, errors: &mut Diagnostics) -> Option<Edge> {
        let mut fields = Fields::of(node, "an edge", errors)?;
        let [pre, post] = ["pre", "post"].map(|name| {
            let node = fields.required(name)?;
            self.cell_index(&key(node, errors)?, errors)
        });
        let kind = fields
            .required("kind")
            .and_then(|node| self.kind(node, errors));
        let g_node = fields.required("g");
        let g = g_node.and_then(|node| units::conductance(node, CONDUCTANCE, errors));
        let name = match fields.optional("name") {
            Some(node) => key(node, errors).and_then(|name| {
                names::check(&name, Role::Edge, errors).then_some(Some(name.text))
            }),
            None => Some(None),
        };
        let parameters = fields.entry("parameters");
        let s = fields.entry("s");
        fields.finish(errors);
        let kind = kind?;
        let parameters = self.edge_parameters(kind, parameters.map(|(_, node)| node), errors);
        let start = self.edge_start(kind, s, errors);
        let edge = Edge {
            pre: pre?,
            post: post?,
            kind,
            name: name?,
            g: g?,
            parameters: parameters?,
            s: start?,
            origin: node.head(),
        };
        self.check_edge(&edge, node, g_node?, errors);
        Some(edge)
    }

    fn edge_parameters(
        &self,
        kind: usize,
        node: Option<&Node>,
        errors: &mut Diagnostics,
    ) -> Option<Vec<(String, f64)>> {
        let (_, kind) = &self.kinds[kind];
        let of = format!("synapse kind `{}`", kind.name);
        let entries = node.map_or(Some([].as_slice()), |node| map(node, errors))?;
        let read: Vec<Option<(String, f64)>> = entries
            .iter()
            .map(|(key, node)| {
                let known = kind.parameters.iter().map(|(name, _)| name.as_str());
                let found = index_of(key, known, "parameter", &of, errors);
                let value = number(node, ANY, errors)?;
                found.map(|_| (key.text.clone(), value))
            })
            .collect();
        read.into_iter().collect()
    }

    /// The start value of an edge's gate: the outer `None` is an error.
    fn edge_start(
        &self,
        kind: usize,
        s: Option<(&Key, &Node)>,
        errors: &mut Diagnostics,
    ) -> Option<Option<f64>> {
        let Some((key, node)) = s else {
            return Some(None);
        };
        if let SynapseDefinition::Electrical { .. } = self.kinds[kind].1.definition {
            errors.push(
                Diagnostic::at(&key.place, "an electrical synapse has no `s`")
                    .label("no such state")
                    .help("only chemical synapses have a gate"),
            );
            return None;
        }
        number(node, fraction("s is a fraction"), errors).map(Some)
    }

    /// What an edge needs of the cells it joins.
    fn check_edge(&self, edge: &Edge, node: &Node, g: &Node, errors: &mut Diagnostics) {
        let (Some(pre), Some(post)) = (&self.cells[edge.pre], &self.cells[edge.post]) else {
            return;
        };
        let two_way = match self.kinds[edge.kind].1.definition {
            SynapseDefinition::Electrical { one_way, .. } => {
                if edge.pre == edge.post {
                    errors.push(
                        Diagnostic::at(
                            &node.head(),
                            format!("`{}` cannot have a gap junction with itself", pre.name),
                        )
                        .label("pre and post are the same cell")
                        .help("no current would flow; only chemical synapses may join a cell to itself"),
                    );
                }
                !one_way
            }
            SynapseDefinition::Chemical { .. } => false,
        };
        match edge.g {
            Conductance::Absolute(_) => {
                let needing = [(post, true), (pre, two_way)];
                let missing = needing
                    .into_iter()
                    .find(|(cell, needed)| *needed && cell.area.is_none());
                if let Some((cell, _)) = missing {
                    let whose = format!("`{}`", cell.name);
                    errors.push(units::no_area(&g.place, &whose));
                }
            }
            Conductance::Density(_) if two_way && pre.area != post.area => errors.push(
                Diagnostic::at(
                    &g.place,
                    "a gap junction between cells of unequal area must be absolute",
                )
                .label("per area")
                .help(format!(
                    "`{}` has {}, `{}` has {}; write it as in `g: nS(1)`",
                    pre.name,
                    area_text(pre.area),
                    post.name,
                    area_text(post.area),
                )),
            ),
            Conductance::Density(_) => {}
        }
    }

    fn default_rhythm(&self) -> Rhythm {
        Rhythm {
            name: "all".to_owned(),
            cells: (0..self.cells.len()).collect(),
            reference: 0,
            min_spikes: MIN_SPIKES,
            order: None,
            origin: self.head.clone(),
        }
    }

    fn rhythms(&self, node: &Node, errors: &mut Diagnostics) -> Option<Vec<Rhythm>> {
        let items = list(node, errors)?;
        if items.is_empty() {
            return Some(vec![self.default_rhythm()]);
        }
        let mut names: Vec<Key> = Vec::new();
        let read: Vec<Option<Rhythm>> = items
            .iter()
            .map(|node| self.rhythm(node, &mut names, errors))
            .collect();
        read.into_iter().collect()
    }

    fn rhythm(
        &self,
        node: &Node,
        names: &mut Vec<Key>,
        errors: &mut Diagnostics,
    ) -> Option<Rhythm> {
        let mut fields = Fields::of(node, "a rhythm", errors)?;
        let name = fields
            .required("name")
            .and_then(|node| key(node, errors))
            .filter(|name| names::check(name, Role::Rhythm, errors));
        if let Some(name) = &name {
            refuse_same_name(names, name, "rhythm", errors);
        }
        let cells = fields
            .required("cells")
            .and_then(|node| self.rhythm_cells(node, errors));
        let reference = match (fields.optional("reference"), &cells) {
            (Some(node), Some(cells)) => self.member(&key(node, errors)?, cells, errors),
            (None, Some(cells)) => cells.first().copied(),
            _ => None,
        };
        let min_spikes = match fields.optional("min_spikes") {
            Some(node) => {
                integer(node, 1..=1_000_000, errors).and_then(|spikes| usize::try_from(spikes).ok())
            }
            None => Some(MIN_SPIKES),
        };
        let order = match (fields.optional("order"), &cells) {
            (Some(node), Some(cells)) => self.order(node, cells, errors).map(Some),
            (None, _) => Some(None),
            _ => None,
        };
        fields.finish(errors);
        Some(Rhythm {
            name: name?.text,
            cells: cells?,
            reference: reference?,
            min_spikes: min_spikes?,
            order: order?,
            origin: node.head(),
        })
    }

    /// Cells and members of groups, each once.
    fn rhythm_cells(&self, node: &Node, errors: &mut Diagnostics) -> Option<Vec<usize>> {
        let (mut cells, mut known) = (Vec::new(), HashSet::new());
        let mut fine = true;
        for name in keys(node, errors)? {
            if let Some((_, members)) = self.groups.iter().find(|(key, _)| key.text == name.text) {
                cells.extend(members.iter().filter(|&&member| known.insert(member)));
            } else if let Some(cell) = self.cell_index(&name, errors) {
                fine &= refuse_twice(&mut known, cell, &name, errors);
                cells.push(cell);
            } else {
                fine = false;
            }
        }
        if fine && cells.is_empty() {
            errors.push(
                Diagnostic::at(&node.place, "a rhythm needs at least one cell").label("no cell"),
            );
            return None;
        }
        fine.then_some(cells)
    }

    /// A cell of a rhythm.
    fn member(&self, name: &Key, cells: &[usize], errors: &mut Diagnostics) -> Option<usize> {
        let cell = self.cell_index(name, errors)?;
        if cells.contains(&cell) {
            return Some(cell);
        }
        let members: Vec<&str> = cells
            .iter()
            .map(|&cell| self.names[cell].text.as_str())
            .collect();
        errors.push(
            Diagnostic::at(
                &name.place,
                format!("`{}` is not in this rhythm", name.text),
            )
            .label("not one of its cells")
            .help(format!("its cells are {}", names::list(&members))),
        );
        None
    }

    fn order(&self, node: &Node, cells: &[usize], errors: &mut Diagnostics) -> Option<Vec<usize>> {
        let (mut order, mut known) = (Vec::new(), HashSet::new());
        let mut fine = true;
        for name in keys(node, errors)? {
            match self.member(&name, cells, errors) {
                Some(cell) => {
                    fine &= refuse_twice(&mut known, cell, &name, errors);
                    order.push(cell);
                }
                None => fine = false,
            }
        }
        if fine && order.len() < 2 {
            errors.push(
                Diagnostic::at(&node.place, "an order needs at least two cells")
                    .label(format!("found {}", order.len())),
            );
            return None;
        }
        fine.then_some(order)
    }
}

fn area_text(area: Option<f64>) -> String {
    area.map_or_else(|| "no `area_cm2`".to_owned(), |area| format!("{area} cm²"))
}

/// Refuses a cell that a list already holds.
fn refuse_twice(
    known: &mut HashSet<usize>,
    cell: usize,
    name: &Key,
    errors: &mut Diagnostics,
) -> bool {
    let twice = !known.insert(cell);
    if twice {
        errors.push(
            Diagnostic::at(&name.place, format!("`{}` is listed twice", name.text))
                .label("again here"),
        );
    }
    !twice
}

/// Refuses a second entry of a list with the same name, and remembers the name.
fn refuse_same_name(known: &mut Vec<Key>, name: &Key, what: &str, errors: &mut Diagnostics) {
    if let Some(first) = known.iter().find(|known| known.text == name.text) {
        errors.push(
            Diagnostic::at(
                &name.place,
                format!("the {what} `{}` is given twice", name.text),
            )
            .label("again here")
            .and(&first.place, "first here"),
        );
    } else {
        known.push(name.clone());
    }
}

/// The name of an edge, if any, and where it is written.
type NamedPlace = (Option<String>, Place);

/// Refuses an edge that a path could not tell from an earlier one.
fn refuse_same_edge(same: &[NamedPlace], edge: &Edge, node: &Node, errors: &mut Diagnostics) {
    let clash = same
        .iter()
        .find(|(name, _)| name.is_none() || edge.name.is_none() || *name == edge.name);
    if let Some((_, first)) = clash {
        errors.push(
            Diagnostic::at(
                &node.head(),
                "this edge joins the same cells by the same kind",
            )
            .label("again here")
            .and(&first.first(), "first here")
            .help("give each of them a `name` of its own, or one the sum of their `g`"),
        );
    }
}

fn windows(node: &Node, duration: Option<f64>, errors: &mut Diagnostics) -> Option<Vec<Window>> {
    let mut labels = Vec::new();
    let read: Vec<Option<Window>> = list(node, errors)?
        .iter()
        .map(|node| window(node, duration, &mut labels, errors))
        .collect();
    read.into_iter().collect()
}

fn window(
    node: &Node,
    duration: Option<f64>,
    labels: &mut Vec<Key>,
    errors: &mut Diagnostics,
) -> Option<Window> {
    let mut fields = Fields::of(node, "a window", errors)?;
    let label = fields
        .required("label")
        .and_then(|node| text(node, errors).and_then(|_| key(node, errors)));
    if let Some(label) = &label {
        refuse_same_name(labels, label, "window", errors);
    }
    let [from, to] = ["from_ms", "to_ms"].map(|name| {
        let node = fields.required(name)?;
        Some((units::time(node, TIME, errors)?, node))
    });
    fields.finish(errors);
    let ((from_ms, from_node), (to_ms, to_node)) = (from?, to?);
    if from_ms >= to_ms {
        errors.push(
            Diagnostic::at(&to_node.place, "this window is empty")
                .label(format!("ends at {to_ms} ms"))
                .and(&from_node.place, format!("begins at {from_ms} ms")),
        );
    } else if let Some(error) = beyond(to_ms, &to_node.place, "this window ends", duration) {
        errors.push(error);
    }
    Some(Window {
        label: label?.text,
        from_ms,
        to_ms,
        origin: node.head(),
    })
}

/// The error for a time beyond the end of the run; `what` as in "this window ends".
pub(super) fn beyond(
    time: f64,
    place: &Place,
    what: &str,
    duration: Option<f64>,
) -> Option<Diagnostic> {
    let end = duration?;
    (time > end).then(|| {
        Diagnostic::at(place, format!("{what} after the run"))
            .label(format!("{time} ms"))
            .help(format!("the run ends at {end} ms, its `duration_ms`"))
    })
}
