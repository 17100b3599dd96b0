//! The fields of a scene: cells, groups, edges, windows and rhythms.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use homarus_systems::address::{CellNames, ChannelNames, Names};
use homarus_systems::definition::{CellDefinition, SynapseDefinition, SynapseKind};

use super::{
    cell::{CellFields, Own, nothing_drawn},
    decode::{
        self, ANY, CONDUCTANCE, Fields, Rule, above_zero, expected, fraction, index_of, integer,
        key, keys, list, map, maximal_conductance, not_negative, number, text,
    },
    definitions::{header, optional_area},
    diagnostic::{Diagnostic, Diagnostics},
    expect, generators, include,
    library::Library,
    memory,
    merge::Entries,
    model::{
        self, Bulk, Cell, Conductance, Copies, Edge, Ends, Layout, Population, Rhythm, Samples,
        Scene, Setting, Weight, Window,
    },
    names::{self, Role},
    population::table::Table,
    protocol,
    settings::Settings,
    source::{Place, Source},
    space,
    syntax::{Key, Node, Value},
    units,
};

const TIME: Rule = not_negative("a run begins at 0");

/// Spikes of the shortest burst that counts.
const MIN_SPIKES: usize = 2;

/// Reads a scene whose base was merged in already.
pub(super) fn scene(
    name: &str,
    (head, folder): (Place, Option<&Path>),
    fields: &Entries,
    library: &mut Library,
    asked: &Asked,
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

    let nothing = Asked::default();
    let mut network = Network::new(library, head, &nothing);
    network.maximal_conductance = maximal_conductance(settings.negative_conductance);
    network.folder = folder.map(Path::to_owned);
    network.asked = asked;
    network.sized = vec![false; asked.sizes.len()];
    let networks = fields.optional("networks");
    let cells = match networks {
        Some(_) => fields.optional("cells"),
        None => fields.required("cells"),
    };
    if let Some(node) = cells {
        network.read_cells(node, errors);
    }
    if let Some(node) = networks {
        network.read_networks(node, errors);
    }
    network.check_sizes(errors);
    if cells.or(networks).is_none() || network.refused {
        // Whatever else is written refers to cells; it is judged once there are some.
        const REFERRING: [&str; 9] = [
            "groups",
            "edges",
            "generators",
            "set",
            "protocol",
            "windows",
            "rhythms",
            "samples",
            "expect",
        ];
        for name in REFERRING {
            fields.optional(name);
        }
        fields.finish(errors);
        return None;
    }
    network.begin_lookup();
    if let Some(node) = fields.optional("groups") {
        network.read_groups(node, errors);
    }
    if let Some(node) = fields.optional("edges") {
        network.read_edges(node, errors);
    }
    if let Some(node) = fields.optional("generators") {
        network.read_generators(node, errors);
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
        None if network.cells.is_empty() => None,
        None => Some(vec![network.default_rhythm()]),
    };
    let samples = fields
        .optional("samples")
        .map_or(Some(Vec::new()), |node| samples(node, errors));
    let expect = fields.optional("expect").map_or(Some(Vec::new()), |node| {
        expect::read(node, &network, duration, errors)
    });
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
        populations: network.populations,
        copies: network.copies,
        bulk: network.bulk_fine.then_some(network.bulk)?,
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
        expect: expect?,
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
pub(crate) struct Known<'n> {
    /// Duration (ms), if it is right.
    pub duration: Option<f64>,
    /// Cells: name and whether the area is known; `None` for one that is wrong.
    pub cells: Vec<(&'n str, Option<bool>)>,
    /// Channels of all cell types.
    pub channels: Vec<&'n str>,
}

impl<'n> Known<'n> {
    /// What there is in a scene; entries are held against no duration.
    pub fn of(scene: &'n Scene) -> Self {
        let cells = scene.cells.iter();
        Known {
            duration: None,
            cells: cells
                .map(|cell| (&*cell.name, Some(cell.area.is_some())))
                .collect(),
            channels: scene.channel_names(),
        }
    }
}

/// Cells and edges while they are read. A cell or edge with an error is `None`, so that indices
/// are right and nothing that refers to it is called unknown.
pub(super) struct Network<'l> {
    library: &'l mut Library,
    pub(super) head: Place,
    /// Folder that tables of edges lie in.
    pub(super) folder: Option<PathBuf>,
    /// Numbers of cells and copies, and tables, that are asked for instead of those written.
    asked: &'l Asked,
    /// Sizes that were found a use for.
    sized: Vec<bool>,
    /// Which maximal conductances are allowed.
    maximal_conductance: Rule,
    types: Vec<(String, CellDefinition)>,
    pub(super) kinds: Vec<(String, SynapseKind)>,
    /// What is written: cells, populations, copied networks.
    written: Vec<(Key, Named)>,
    by_name: HashMap<String, usize>,
    /// Cells of the network that is being read, to which its edges refer.
    scope: Option<HashMap<String, usize>>,
    /// Names of the cells.
    pub(super) names: Vec<Arc<str>>,
    pub(super) cells: Vec<Option<Cell>>,
    /// Names and groups that selectors are held against.
    lookup: Names,
    populations: Vec<Population>,
    copies: Vec<Copies>,
    groups: Vec<(Key, Vec<usize>)>,
    edges: Vec<Option<Edge>>,
    pub(super) bulk: Vec<Bulk>,
    /// Whether every edge in bulk could be read.
    pub(super) bulk_fine: bool,
    /// Whether cells are missing, so that nothing that refers to cells can be judged.
    refused: bool,
}

/// What a name at the top of a scene stands for.
#[derive(Clone, Copy)]
enum Named {
    /// A cell (index).
    Cell(usize),
    /// Cells of one description: the first (index), and how many.
    Population(usize, usize),
    /// Copies of a network: the first cell (index), how many cells a copy, how many copies.
    Copies(usize, usize, usize),
}

/// A number of cells of a population or of copies of a network, asked for from outside.
#[derive(Clone, Debug)]
pub struct Size {
    /// Name of the population or the network.
    pub name: String,
    /// `count` or `copies`.
    pub field: String,
    /// The number.
    pub number: u64,
    /// Where it is asked for.
    pub origin: Place,
}

/// A table of conductances for a population, asked for from outside.
#[derive(Clone, Debug)]
pub struct TableFile {
    /// Name of the population.
    pub population: String,
    /// Where the table is.
    pub path: PathBuf,
    /// Where it is asked for.
    pub origin: Place,
}

/// What is asked for from outside before a network is put together.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Numbers of cells and copies.
    pub sizes: Vec<Size>,
    /// Tables of conductances.
    pub tables: Vec<TableFile>,
}

impl Asked {
    /// The table for a population, if one is asked for.
    fn table(&self, population: &str) -> Option<&TableFile> {
        self.tables.iter().find(|t| t.population == population)
    }
}

impl<'l> Network<'l> {
    fn new(library: &'l mut Library, head: Place, asked: &'l Asked) -> Self {
        Self {
            library,
            head,
            maximal_conductance: CONDUCTANCE,
            folder: None,
            asked,
            sized: Vec::new(),
            types: Vec::new(),
            kinds: Vec::new(),
            written: Vec::new(),
            by_name: HashMap::new(),
            scope: None,
            names: Vec::new(),
            cells: Vec::new(),
            lookup: Names::default(),
            populations: Vec::new(),
            copies: Vec::new(),
            groups: Vec::new(),
            edges: Vec::new(),
            bulk: Vec::new(),
            bulk_fine: true,
            refused: false,
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
            cells: self.names.iter().map(|name| &**name).zip(areas).collect(),
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
            let first = self.cells.len();
            let mut cell = self.cell(key, node, None, errors);
            let layout = field(node, "layout").and_then(|node| space::layout(node, errors));
            if let (Some(_), Some(cell)) = (layout, &mut cell) {
                cell.position.get_or_insert_default();
            }
            let many = ["count", "table"].map(|name| field(node, name));
            let named = if many.iter().any(Option::is_some) {
                self.population(key, node, (cell, layout), errors)
            } else {
                if let Some(layout) = field(node, "layout") {
                    errors.push(
                        Diagnostic::at(&layout.place, "a single cell has no `layout`")
                            .label("not here")
                            .help("give it a `position`, or make it a population by a `count`"),
                    );
                }
                self.push(Arc::from(key.text.as_str()), cell);
                Named::Cell(first)
            };
            self.enter(key, named);
        }
        let found = |name: &str| self.find(name).map(|k| &self.cells[k]);
        check_drawn_as(entries, found, errors);
    }

    /// Makes the cells of a population, each with its row of conductances if there is a table.
    fn population(
        &mut self,
        key: &Key,
        node: &Node,
        (cell, layout): (Option<Cell>, Option<Layout>),
        errors: &mut Diagnostics,
    ) -> Named {
        let first = self.cells.len();
        let asked = self.asked.table(&key.text).is_some();
        let tabulated = asked || field(node, "table").is_some();
        let mut cell = cell;
        let rows = match &mut cell {
            Some(cell) if tabulated => self.rows(key, node, cell, errors),
            _ => None,
        };
        // What is asked for from outside goes before what is written.
        let written = field(node, "count").filter(|_| !asked);
        let written = (written, rows.as_ref().map_or(0, Vec::len));
        let size = self.size(key, ("count", "a population", "cell"), written, errors);
        let size = size.filter(|(count, place)| enough(*count, place.as_ref(), &rows, errors));
        let size = size.map(|(count, _)| count);
        let channels = cell.as_ref().map_or(0, |cell| cell.gbar.len());
        let count = size.filter(|count| self.has_room(key, *count, channels, errors));
        for k in 0..count.unwrap_or_default() {
            let name: Arc<str> = format!("{}[{k}]", key.text).into();
            let own = |cell: &Cell| Cell {
                name: name.clone(),
                gbar: rows
                    .as_ref()
                    .map_or_else(|| cell.gbar.clone(), |rows| rows[k].clone()),
                ..cell.clone()
            };
            let cell = cell.as_ref().map(own);
            self.push(name, cell);
        }
        self.refused |= count.is_none() || (tabulated && rows.is_none());
        let cells = first..self.cells.len();
        self.populations.push(Population {
            name: key.text.clone(),
            cells: cells.clone(),
            layout,
            tabulated,
        });
        Named::Population(first, cells.len())
    }

    /// The rows of the table that a population has: conductances (mS/cm²) by lane.
    fn rows(
        &self,
        key: &Key,
        node: &Node,
        cell: &mut Cell,
        errors: &mut Diagnostics,
    ) -> Option<Vec<Vec<f64>>> {
        let definition = &self.types[cell.cell_type].1;
        let (source, place) = match (self.asked.table(&key.text), field(node, "table")) {
            (Some(asked), _) => {
                // Whatever the scene draws, the table says.
                cell.sampler = None;
                match include::read_file(&asked.path) {
                    Ok(source) => (source, &asked.origin),
                    Err(unread) => {
                        let path = asked.path.display();
                        errors.push(
                            Diagnostic::at(&asked.origin, format!("`{path}` {}", unread.problem))
                                .label("table of conductances")
                                .maybe_help(unread.help),
                        );
                        return None;
                    }
                }
            }
            (None, Some(node)) => {
                let written = text(node, errors)?;
                // A table as resolved stands in the scene itself.
                let source = match written.contains('\n') {
                    true => Source::new("table in the scene", written),
                    false => self.file(node, written, "table of conductances", errors)?,
                };
                (source, &node.place)
            }
            (None, None) => return None,
        };
        if cell
            .sampler
            .as_ref()
            .is_some_and(|sampler| !sampler.draws.is_empty())
        {
            errors.push(
                Diagnostic::at(
                    place,
                    format!("the conductances of `{}` are drawn, too", key.text),
                )
                .label("a table")
                .help("a population has a `table`, or draws in `gbar` and `draws`"),
            );
            return None;
        }
        let written = field(node, "gbar").map(|node| &node.value);
        let given = |(lane, (channel, _)): (usize, &(String, _))| match written {
            Some(Value::Map(entries)) => {
                let known = entries.iter().any(|(key, value)| {
                    key.text == *channel
                        && !matches!(value.value, Value::Text(_) | Value::Tuple(..))
                });
                known.then_some(cell.gbar[lane])
            }
            _ => None,
        };
        let gbar: Vec<Option<f64>> = definition.channels.iter().enumerate().map(given).collect();
        let table = Table {
            source: &source,
            place,
            definition,
            rule: self.maximal_conductance,
            homeostasis: cell.homeostat.is_some(),
        };
        table.read(&gbar, errors)
    }

    fn push(&mut self, name: Arc<str>, cell: Option<Cell>) {
        self.names.push(name);
        self.cells.push(cell);
    }

    /// Enters a name at the top of the scene; of two that are the same the first holds.
    fn enter(&mut self, key: &Key, named: Named) {
        let index = self.written.len();
        self.by_name.entry(key.text.clone()).or_insert(index);
        self.written.push((key.clone(), named));
    }

    /// A number of cells or copies: the one asked for from outside, or else the one written.
    fn size(
        &mut self,
        key: &Key,
        (field, what, of): (&str, &str, &str),
        (written, default): (Option<&Node>, usize),
        errors: &mut Diagnostics,
    ) -> Option<(usize, Option<Place>)> {
        let sizes = self.asked.sizes.iter();
        let asked = sizes
            .enumerate()
            .find(|(_, size)| size.name == key.text && size.field == field);
        let (number, place) = match (asked, written) {
            (Some((k, size)), _) => {
                self.sized[k] = true;
                (size.number, &size.origin)
            }
            (None, Some(written)) => (integer(written, 0..=u64::MAX, errors)?, &written.place),
            (None, None) => return Some((default, None)),
        };
        if number == 0 {
            errors.push(
                Diagnostic::at(place, format!("{what} needs at least one {of}"))
                    .label(format!("`{field}` is 0"))
                    .help(format!(
                        "take `{}` out of the scene to do without it",
                        key.text
                    )),
            );
            return None;
        }
        let number = usize::try_from(number).ok()?;
        Some((number, Some(place.clone())))
    }

    /// Whether more cells would fit in memory; asked before there are any.
    fn has_room(&self, key: &Key, cells: usize, channels: usize, errors: &mut Diagnostics) -> bool {
        let known: usize = self
            .cells
            .iter()
            .flatten()
            .map(|cell| cell.gbar.len())
            .sum();
        let all = cells.saturating_mul(channels.max(1)).saturating_add(known);
        let error = memory::shortage_of_cells(all, &key.place);
        match error {
            Some(error) => errors.push(error),
            None => return true,
        }
        false
    }

    /// Refuses sizes that nothing has.
    fn check_sizes(&self, errors: &mut Diagnostics) {
        for (size, _) in self
            .asked
            .sizes
            .iter()
            .zip(&self.sized)
            .filter(|(_, used)| !**used)
        {
            let what = match size.field.as_str() {
                "count" => "population",
                _ => "copied network",
            };
            let known = self.written.iter().filter(|(_, named)| match named {
                Named::Population(..) => size.field == "count",
                Named::Copies(..) => size.field == "copies",
                Named::Cell(_) => false,
            });
            let known = known.map(|(key, _)| key.text.as_str());
            errors.push(
                Diagnostic::at(&size.origin, format!("there is no {what} `{}`", size.name))
                    .label(format!("has no `{}`", size.field))
                    .maybe_help(names::hint(&size.name, known, what)),
            );
        }
        let known = || self.populations.iter().map(|p| p.name.as_str());
        for table in &self.asked.tables {
            let name = table.population.as_str();
            if !known().any(|population| population == name) {
                errors.push(
                    Diagnostic::at(&table.origin, format!("there is no population `{name}`"))
                        .label("takes no table")
                        .maybe_help(names::hint(name, known(), "population")),
                );
            }
        }
    }

    fn read_networks(&mut self, node: &Node, errors: &mut Diagnostics) {
        for (key, node) in map(node, errors).unwrap_or_default() {
            names::check(key, Role::Network, errors);
            if let Some(place) = self.place_of(&key.text) {
                errors.push(
                    Diagnostic::at(
                        &key.place,
                        format!("`{}` names a network and something else", key.text),
                    )
                    .label("the network")
                    .and(&place, "the other")
                    .help("a path could mean either; rename one of them"),
                );
            }
            self.refused |= self.network(key, node, errors).is_none();
        }
    }

    /// Reads a network and copies it.
    fn network(&mut self, key: &Key, node: &Node, errors: &mut Diagnostics) -> Option<()> {
        let mut fields = Fields::of(node, "a copied network", errors)?;
        fields.optional("network");
        let jitter = fields.optional("jitter");
        let copies = fields.required("copies");
        let position = match fields.optional("position") {
            Some(node) => Some(space::position(node, errors)?),
            None => None,
        };
        let layout = fields.optional("layout");
        let cells = fields.required("cells").and_then(|node| map(node, errors));
        let edges = fields
            .optional("edges")
            .map_or(Some([].as_slice()), |n| list(n, errors));
        fields.finish(errors);
        let (copies, cells, edges) = (copies?, cells?, edges?);
        let size = cells.len();
        if size == 0 {
            errors.push(
                Diagnostic::at(&node.head(), "a network needs at least one cell").label("no cell"),
            );
        }
        let (first, mut members) = (self.cells.len(), HashMap::new());
        let mut read = Vec::with_capacity(size);
        for (k, (member, node)) in cells.iter().enumerate() {
            names::check(member, Role::Cell, errors);
            let many = ["count", "layout", "table"].map(|name| (name, field(node, name)));
            for (name, node) in many
                .into_iter()
                .filter_map(|(name, node)| Some((name, node?)))
            {
                errors.push(
                    Diagnostic::at(
                        &node.place,
                        format!("a cell of a copied network has no `{name}`"),
                    )
                    .label("not here")
                    .help("write each of the cells, or make the population a part of the scene"),
                );
            }
            members.entry(member.text.clone()).or_insert(first + k);
            read.push(self.cell(member, node, jitter, errors));
        }
        let found = |name: &str| members.get(name).map(|k| &read[k - first]);
        check_drawn_as(cells, found, errors);
        let layout = match layout {
            Some(node) => Some(space::layout(node, errors)?),
            None => None,
        };
        if position.is_some() || layout.is_some() {
            // Where the network has a place, what has none in it stands at its origin.
            for cell in read.iter_mut().flatten() {
                cell.position.get_or_insert_default();
            }
        }
        let what = ("copies", "a copied network", "copy");
        let (count, _) = self.size(key, what, (Some(copies), 0), errors)?;
        let channels: usize = read.iter().flatten().map(|cell| cell.gbar.len()).sum();
        if size == 0 || !self.has_room(key, count, channels, errors) {
            return None;
        }
        for k in 0..count {
            for ((member, _), cell) in cells.iter().zip(&read) {
                let path = |member: &str| Arc::from(format!("{}[{k}]/{member}", key.text));
                let name: Arc<str> = path(&member.text);
                let own = |cell: &Cell| Cell {
                    name: name.clone(),
                    drawn_as: cell.drawn_as.as_deref().map(path),
                    ..cell.clone()
                };
                let cell = cell.as_ref().map(own);
                self.push(name, cell);
            }
        }
        self.enter(key, Named::Copies(first, size, count));
        let bulk = self.bulk.len();
        self.scope = Some(members);
        self.read_copied_edges(key, edges, (first, size, count), errors);
        self.scope = None;
        self.copies.push(Copies {
            name: key.text.clone(),
            count,
            cells: first..self.cells.len(),
            bulk: bulk..self.bulk.len(),
            position,
            layout,
        });
        Some(())
    }

    /// Reads the edges of a network whose cells are there already, `count` times `size` of them.
    fn read_copied_edges(
        &mut self,
        network: &Key,
        nodes: &[Node],
        (first, size, count): (usize, usize, usize),
        errors: &mut Diagnostics,
    ) {
        let mut joined: BTreeMap<_, Vec<NamedPlace>> = BTreeMap::new();
        let begin = self.bulk.len();
        for node in nodes {
            let Some((edge, g)) = self.edge(node, errors) else {
                self.bulk_fine = false;
                continue;
            };
            let same = joined.entry((edge.pre, edge.post, edge.kind)).or_default();
            refuse_same_edge(same, &edge, node, errors);
            same.push((edge.name.clone(), node.place.clone()));
            let ends = |cell: usize| Ends {
                selector: format!("{}/{}", network.text, last(&self.names[cell])),
                cells: Arc::new((0..count).map(|k| (cell + k * size) as u32).collect()),
            };
            debug_assert!((first..first + size).contains(&edge.pre));
            self.bulk.push(Bulk {
                generator: None,
                label: edge.name,
                rule: model::Rule::OneToOne,
                pre: ends(edge.pre),
                post: ends(edge.post),
                kind: edge.kind,
                g,
                parameters: edge.parameters,
                s: edge.s,
                origin: edge.origin,
            });
        }
        self.label_edges(begin);
    }

    /// Gives edges of a copied network that join the same cells the name of their kind.
    fn label_edges(&mut self, begin: usize) {
        let mut pairs: HashMap<(u32, u32), usize> = HashMap::new();
        let pair = |bulk: &Bulk| (bulk.pre.cells[0], bulk.post.cells[0]);
        for bulk in &self.bulk[begin..] {
            *pairs.entry(pair(bulk)).or_default() += 1;
        }
        for bulk in &mut self.bulk[begin..] {
            if bulk.label.is_none() && pairs.get(&pair(bulk)).is_some_and(|n| *n > 1) {
                bulk.label = Some(self.kinds[bulk.kind].1.name.clone());
            }
        }
    }

    /// Enters what selectors may name, once all cells are there.
    fn begin_lookup(&mut self) {
        let channels: Arc<[ChannelNames]> = Arc::default();
        let cell = |name: &Arc<str>| CellNames {
            name: name.clone(),
            channels: channels.clone(),
            homeostat: false,
            controller: false,
        };
        self.lookup.cells = self.names.iter().map(cell).collect();
        let populations = self.populations.iter().map(Population::group);
        let copies = self.copies.iter();
        let copies = copies.map(|copies| (copies.name.clone(), copies.cells.clone().collect()));
        self.lookup.groups = populations.chain(copies).collect();
    }

    /// The cells a selector names.
    pub(super) fn select(&self, selector: &Key, errors: &mut Diagnostics) -> Option<Vec<usize>> {
        let found = self.lookup.select_cells(&selector.text);
        found
            .map_err(|error| {
                errors.push(
                    Diagnostic::at(&selector.place, error.message)
                        .label("unknown cells")
                        .maybe_help(error.help),
                );
            })
            .ok()
    }

    /// Where a name of the scene is written.
    pub(super) fn place_of(&self, name: &str) -> Option<Place> {
        let written = self.by_name.get(name).map(|k| &self.written[*k].0.place);
        let group = || self.groups.iter().find(|(key, _)| key.text == name);
        written
            .or_else(|| group().map(|(key, _)| &key.place))
            .cloned()
    }

    /// Reads a cell, or what the cells of a population have in common.
    fn cell(
        &mut self,
        key: &Key,
        node: &Node,
        jitter: Option<&Node>,
        errors: &mut Diagnostics,
    ) -> Option<Cell> {
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
        fields.optional("count");
        let given = CellFields::take(&mut fields, jitter);
        let own_area = optional_area(&mut fields, errors);
        let position = match fields.optional("position") {
            Some(node) => space::position(node, errors).map(Some),
            None => Some(None),
        };
        fields.optional("layout");
        let drawn_as = fields.optional("drawn_as");
        let drawn_as = drawn_as.and_then(|node| decode::key(node, errors));
        let tabulated = fields.optional("table").is_some() || self.asked.table(&key.text).is_some();
        fields.finish(errors);
        let (index, area, position) = (index?, own_area?, position?);
        let own = Own {
            area,
            position,
            tabulated,
            drawn_as,
        };
        let definition = &self.types[index].1;
        given.read(
            key,
            index,
            definition,
            own,
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
    pub(super) fn kind(&mut self, node: &Node, errors: &mut Diagnostics) -> Option<usize> {
        self.kind_called(&key(node, errors)?, errors)
    }

    /// The index of the synapse kind of a name.
    pub(super) fn kind_called(&mut self, name: &Key, errors: &mut Diagnostics) -> Option<usize> {
        let known = self.kinds.iter().position(|(known, _)| *known == name.text);
        if known.is_some() {
            return known;
        }
        let kind = self.library.synapse(name, errors)?;
        self.kinds.push((name.text.clone(), kind));
        Some(self.kinds.len() - 1)
    }

    fn read_groups(&mut self, node: &Node, errors: &mut Diagnostics) {
        for (key, node) in map(node, errors).unwrap_or_default() {
            names::check(key, Role::Group, errors);
            if let Some(&written) = self.by_name.get(&key.text) {
                let (other, named) = &self.written[written];
                let what = match named {
                    Named::Cell(_) => "cell",
                    Named::Population(..) => "population",
                    Named::Copies(..) => "network",
                };
                errors.push(
                    Diagnostic::at(
                        &key.place,
                        format!("`{}` names a {what} and a group", key.text),
                    )
                    .label("the group")
                    .and(&other.place, format!("the {what}"))
                    .help("a path could mean either; rename one of them"),
                );
            }
            let Some(names) = keys(node, errors) else {
                continue;
            };
            let mut members = Vec::with_capacity(names.len());
            let mut known = HashSet::with_capacity(names.len());
            for name in &names {
                if self.names_many(name) {
                    let cells = self.select(name, errors).unwrap_or_default();
                    members.extend(cells.into_iter().filter(|cell| known.insert(*cell)));
                } else if let Some(cell) = self.cell_index(name, errors) {
                    refuse_twice(&mut known, cell, name, errors);
                    members.push(cell);
                }
            }
            self.groups.push((key.clone(), members));
        }
        let groups = self
            .groups
            .iter()
            .map(|(key, members)| (key.text.clone(), members.clone()));
        self.lookup.groups.extend(groups);
    }

    /// Whether a name stands for many cells by the way it is written: a population, a copied
    /// network or one of its copies, a glob.
    fn names_many(&self, name: &Key) -> bool {
        let written = self.by_name.get(&name.text).map(|k| self.written[*k].1);
        let alone = self.find(&name.text).is_some();
        matches!(written, Some(Named::Population(..) | Named::Copies(..)))
            || (!alone && name.text.contains(['*', '/', '[']))
    }

    /// The cell called `name`, if there is one.
    fn find(&self, name: &str) -> Option<usize> {
        if let Some(scope) = &self.scope {
            return scope.get(name).copied();
        }
        let written = |name: &str| self.by_name.get(name).map(|k| self.written[*k].1);
        if let Some(Named::Cell(cell)) = written(name) {
            return Some(cell);
        }
        let (head, rest) = name.split_once('[')?;
        let (number, rest) = rest.split_once(']')?;
        let k: usize = number.parse().ok()?;
        let cell = match written(head)? {
            Named::Population(first, count) if k < count => first + k,
            Named::Copies(first, size, count) if k < count => {
                let member = rest.strip_prefix('/')?;
                let of_copy = &self.names[first..first + size];
                first + k * size + of_copy.iter().position(|cell| last(cell) == member)?
            }
            _ => return None,
        };
        // A number has one way to be written.
        (*self.names[cell] == *name).then_some(cell)
    }

    /// The cell called `name`.
    pub(super) fn cell_index(&self, name: &Key, errors: &mut Diagnostics) -> Option<usize> {
        if let Some(index) = self.find(&name.text) {
            return Some(index);
        }
        let error = Diagnostic::at(&name.place, format!("there is no cell `{}`", name.text));
        let group = self.groups.iter().find(|(key, _)| key.text == name.text);
        errors.push(match group {
            Some((group, _)) => error
                .label("this is a group")
                .and(&group.place, "defined here")
                .help("name one cell"),
            None => match self.written_as(&name.text) {
                Some(help) => error.label("unknown cell").help(help),
                None => {
                    let scope = self.scope.iter().flatten().map(|(name, _)| name.as_str());
                    let mut known: Vec<&str> = scope.collect();
                    known.sort_unstable();
                    if self.scope.is_none() {
                        known = self
                            .written
                            .iter()
                            .map(|(key, _)| key.text.as_str())
                            .collect();
                    }
                    error
                        .label("unknown cell")
                        .maybe_help(names::hint(&name.text, known, "cell"))
                }
            },
        });
        None
    }

    /// How the cells behind a name are called, where it is not that of one cell.
    fn written_as(&self, name: &str) -> Option<String> {
        let head = name.split_once('[').map_or(name, |(head, _)| head);
        let (key, named) = &self.written[*self.by_name.get(head)?];
        let key = &key.text;
        match *named {
            Named::Cell(_) => None,
            Named::Population(_, count) => Some(format!(
                "`{key}` is a population of {count}: its cells go from `{key}[0]` to `{key}[{}]`",
                count - 1
            )),
            Named::Copies(first, size, count) => {
                let [a, b] = [first, first + size - 1].map(|cell| last(&self.names[cell]));
                Some(format!(
                    "`{key}` is a network of {count} copies: its cells go from `{key}[0]/{a}` to `{key}[{}]/{b}`",
                    count - 1
                ))
            }
        }
    }

    fn read_edges(&mut self, node: &Node, errors: &mut Diagnostics) {
        let mut joined: BTreeMap<_, Vec<NamedPlace>> = BTreeMap::new();
        for node in list(node, errors).unwrap_or_default() {
            let edge = self.edge(node, errors).map(|(edge, _)| edge);
            if let Some(edge) = &edge {
                let same = joined.entry((edge.pre, edge.post, edge.kind)).or_default();
                refuse_same_edge(same, edge, node, errors);
                same.push((edge.name.clone(), node.place.clone()));
            }
            self.edges.push(edge);
        }
    }

    /// Reads an edge and its weight, which may be drawn for each copy of a network.
    fn edge(&mut self, node: &Node, errors: &mut Diagnostics) -> Option<(Edge, Weight)> {
        let mut fields = Fields::of(node, "an edge", errors)?;
        let [pre, post] = ["pre", "post"].map(|name| {
            let node = fields.required(name)?;
            self.cell_index(&key(node, errors)?, errors)
        });
        let kind = fields
            .required("kind")
            .and_then(|node| self.kind(node, errors));
        let g_node = fields.required("g");
        let weight = g_node.and_then(|node| match self.scope {
            Some(_) => generators::weight(node, errors),
            None => units::conductance(node, CONDUCTANCE, errors).map(Weight::Constant),
        });
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
        let weight = weight?;
        let g = match weight {
            Weight::Constant(g) => g,
            // A density, as all that are drawn.
            _ => Conductance::Density(0.0),
        };
        let edge = Edge {
            pre: pre?,
            post: post?,
            kind,
            name: name?,
            g,
            parameters: parameters?,
            s: start?,
            origin: node.head(),
        };
        self.check_edge(&edge, node, g_node?, errors);
        if matches!(weight, Weight::OfDistance(_)) {
            let mut ends = [edge.pre, edge.post].into_iter();
            let placed = |cell: &Cell| cell.position.is_some();
            let missing = ends.find(|end| !self.cells[*end].as_ref().is_none_or(placed));
            if let Some(cell) = missing {
                errors.push(space::no_position(&g_node?.place, &self.names[cell]));
            }
        }
        Some((edge, weight))
    }

    pub(super) fn edge_parameters(
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
    pub(super) fn edge_start(
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
            } else if self.names_many(&name) {
                match self.select(&name, errors) {
                    Some(members) => cells.extend(members.into_iter().filter(|m| known.insert(*m))),
                    None => fine = false,
                }
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
        /// More names are not read.
        const LISTED: usize = 12;
        let cell = self.cell_index(name, errors)?;
        if cells.contains(&cell) {
            return Some(cell);
        }
        let members: Vec<&str> = cells
            .iter()
            .take(LISTED)
            .map(|&cell| &*self.names[cell])
            .collect();
        errors.push(
            Diagnostic::at(
                &name.place,
                format!("`{}` is not in this rhythm", name.text),
            )
            .label("not one of its cells")
            .help(match cells.len() {
                n if n > LISTED => format!(
                    "its cells are {} and {} more",
                    names::list(&members),
                    n - LISTED
                ),
                _ => format!("its cells are {}", names::list(&members)),
            }),
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

/// Whether a table has as many rows as are asked for at a place.
fn enough(
    count: usize,
    place: Option<&Place>,
    rows: &Option<Vec<Vec<f64>>>,
    errors: &mut Diagnostics,
) -> bool {
    let (Some(place), Some(rows)) = (place, rows) else {
        return true;
    };
    if count > rows.len() {
        errors.push(
            Diagnostic::at(place, format!("its table has {} rows", rows.len()))
                .label(format!("`count` is {count}"))
                .help("a population from a table has a cell a row, or fewer"),
        );
    }
    count <= rows.len()
}

/// Refuses cells that draw like one that is not there, draws nothing or draws like a third; `found`
/// looks cells up.
fn check_drawn_as<'c>(
    cells: &[(Key, Node)],
    found: impl Fn(&str) -> Option<&'c Option<Cell>>,
    errors: &mut Diagnostics,
) {
    for (_, node) in cells {
        let Some(like) = field(node, "drawn_as").and_then(|node| key(node, errors)) else {
            continue;
        };
        let place = &like.place;
        match found(&like.text) {
            None => {
                let known = cells.iter().map(|(key, _)| key.text.as_str());
                errors.push(
                    Diagnostic::at(place, format!("there is no cell `{}`", like.text))
                        .label("whose random numbers would be shared")
                        .maybe_help(names::hint(&like.text, known, "cell")),
                );
            }
            Some(Some(cell)) if cell.sampler.is_none() => {
                errors.push(nothing_drawn(place, &cell.name));
            }
            Some(Some(cell)) => {
                if let Some(third) = cell.drawn_as.as_ref().filter(|third| **third != cell.name) {
                    errors.push(
                        Diagnostic::at(place, format!("`{}` is drawn as `{third}`", like.text))
                            .label("has no random numbers of its own")
                            .help(format!("write `drawn_as: \"{third}\"` here, too")),
                    );
                }
            }
            Some(None) => {}
        }
    }
}

/// A field of a cell, if it has that.
fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Struct(_, fields) => {
            let mut fields = fields.iter();
            let field = fields.find(|(key, node)| key.text == name && !node.is_none());
            field.map(|(_, node)| node)
        }
        _ => None,
    }
}

/// The name of a cell in its network.
fn last(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
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
pub(super) fn refuse_same_name(
    known: &mut Vec<Key>,
    name: &Key,
    what: &str,
    errors: &mut Diagnostics,
) {
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

/// Start and end (ms) of the window of a probe where it says nothing else (arXiv 2412.04172).
const PROBE_MS: [f64; 2] = [3_000.0, 15_000.0];

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
    let probe = fields.optional("probe_at_ms");
    let probe_at = match probe {
        Some(node) => {
            let at = units::time(node, TIME, errors);
            let error = at.and_then(|at| beyond(at, &node.place, "this probe is", duration));
            error.into_iter().for_each(|error| errors.push(error));
            at.map(Some)
        }
        None => Some(None),
    };
    let [from, to] = [("from_ms", PROBE_MS[0]), ("to_ms", PROBE_MS[1])].map(|(name, standard)| {
        let node = match probe {
            Some(_) => fields.optional(name),
            None => Some(fields.required(name)?),
        };
        match node {
            Some(node) => Some((units::time(node, TIME, errors)?, node.place.clone())),
            None => Some((standard, label.as_ref()?.place.clone())),
        }
    });
    let published = match fields.optional("measures") {
        Some(node) => text(node, errors).and_then(|word| match word {
            "published" => Some(true),
            "gap" if probe.is_none() => Some(false),
            _ => {
                let known = match probe {
                    Some(_) => "`\"published\"`, the rule of probes",
                    None => "`\"gap\"` or `\"published\"`",
                };
                errors.push(expected(known, node));
                None
            }
        }),
        None => Some(probe.is_some()),
    };
    fields.finish(errors);
    let ((from_ms, from_place), (to_ms, to_place)) = (from?, to?);
    if from_ms >= to_ms {
        errors.push(
            Diagnostic::at(&to_place, "this window is empty")
                .label(format!("ends at {to_ms} ms"))
                .and(&from_place, format!("begins at {from_ms} ms")),
        );
    } else if probe.is_none() {
        let error = beyond(to_ms, &to_place, "this window ends", duration);
        error.into_iter().for_each(|error| errors.push(error));
    }
    Some(Window {
        label: label?.text,
        from_ms,
        to_ms,
        published: published?,
        probe_at_ms: probe_at?,
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
