//! The generators of a scene, and what they share with the edges of copied networks: rules,
//! weights, tables of edges.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use csv::StringRecord;
use homarus_systems::definition::SynapseDefinition;

use super::{
    decode::{
        CONDUCTANCE, Fields, above_zero, expected, integer, key, map, not_negative, number, text,
    },
    diagnostic::{Diagnostic, Diagnostics},
    model::{Bulk, Conductance, Distribution, Ends, Rule, Weight},
    names::{self, Role},
    network::{Network, refuse_same_name},
    rows,
    source::{Place, Source},
    space::{self, OfDistance},
    syntax::{Key, Node, Value},
    units,
};

/// Most edges into a cell that a rule may ask for.
const MAX_DEGREE: u64 = u32::MAX as u64;

/// The name of a rule.
const RULES: [&str; 7] = [
    "Ring", "Chain", "OneToOne", "AllToAll", "Random", "Within", "Table",
];

/// The names of distributions.
pub(super) const DISTRIBUTIONS: [&str; 3] = ["Uniform", "Normal", "LogNormal"];

/// A rule as it is written.
enum Written<'n> {
    Rule(Rule),
    /// A text with a line an edge, and where it stands.
    Table(Arc<Source>, &'n Node),
}

/// Weights: a conductance, a distribution of densities or a density by distance.
pub(super) fn weight(node: &Node, errors: &mut Diagnostics) -> Option<Weight> {
    // A number in quotes is a mistake rather than an expression.
    if let Value::Text(text) = &node.value
        && text.trim().parse::<f64>().is_err()
    {
        return OfDistance::read(node, errors).map(Weight::OfDistance);
    }
    match &node.value {
        Value::Tuple(Some(name), _) if DISTRIBUTIONS.contains(&name.text.as_str()) => {
            distribution(node, errors).map(Weight::Drawn)
        }
        _ => units::conductance(node, CONDUCTANCE, errors).map(Weight::Constant),
    }
}

/// A distribution of densities (mS/cm²), one of [`DISTRIBUTIONS`].
pub(super) fn distribution(node: &Node, errors: &mut Diagnostics) -> Option<Distribution> {
    let Value::Tuple(Some(name), items) = &node.value else {
        return None;
    };
    let names = match name.text.as_str() {
        "Uniform" => "two numbers, as in `Uniform(0.1, 0.2)`: from, to",
        "Normal" => "two numbers, as in `Normal(0.1, 0.02)`: mean, standard deviation",
        _ => {
            "two numbers, as in `LogNormal(0.1, 0.5)`: median, standard deviation of the logarithm"
        }
    };
    let [a, b] = items.as_slice() else {
        errors.push(expected(names, node));
        return None;
    };
    let spread = not_negative("a spread has no sign");
    let (first, second) = match name.text.as_str() {
        "Uniform" => (CONDUCTANCE, CONDUCTANCE),
        _ => (CONDUCTANCE, spread),
    };
    let values = (number(a, first, errors), number(b, second, errors));
    let (a_value, b_value) = (values.0?, values.1?);
    Some(match name.text.as_str() {
        "Uniform" => {
            let (from, to) = ordered((a, a_value), (b, b_value), errors)?;
            Distribution::Uniform { from, to }
        }
        "Normal" => Distribution::Normal {
            mean: a_value,
            sd: b_value,
        },
        _ => Distribution::LogNormal {
            median: a_value,
            sigma: b_value,
        },
    })
}

/// The two ends of a range.
fn ordered(
    (_, from): (&Node, f64),
    (node, to): (&Node, f64),
    errors: &mut Diagnostics,
) -> Option<(f64, f64)> {
    if from <= to {
        return Some((from, to));
    }
    errors.push(
        Diagnostic::at(
            &node.place,
            "a range goes from the lower number to the higher",
        )
        .label(format!("found {from} to {to}")),
    );
    None
}

/// A range of voltages (mV), `Uniform(from, to)`; the outer `None`: the node is none.
pub(super) fn voltage_range(node: &Node, errors: &mut Diagnostics) -> Option<Option<(f64, f64)>> {
    let Value::Tuple(Some(name), items) = &node.value else {
        return None;
    };
    if name.text != "Uniform" {
        return None;
    }
    let [a, b] = items.as_slice() else {
        errors.push(expected("two voltages, as in `Uniform(-70, -40)`", node));
        return Some(None);
    };
    let (from, to) = (units::voltage(a, errors), units::voltage(b, errors));
    let (Some(from), Some(to)) = (from, to) else {
        return Some(None);
    };
    Some(ordered((a, from), (b, to), errors))
}

impl Network<'_> {
    pub(super) fn read_generators(&mut self, node: &Node, errors: &mut Diagnostics) {
        let mut names = Vec::new();
        for (key, node) in map(node, errors).unwrap_or_default() {
            names::check(key, Role::Generator, errors);
            refuse_same_name(&mut names, key, "generator", errors);
            if let Some(other) = self.place_of(&key.text) {
                errors.push(
                    Diagnostic::at(
                        &key.place,
                        format!("`{}` names a generator and something else", key.text),
                    )
                    .label("the generator")
                    .and(&other, "the other")
                    .help("a path could mean either; rename one of them"),
                );
            }
            if self.generator(key, node, errors).is_none() {
                self.bulk_fine = false;
            }
        }
    }

    fn generator(&mut self, name: &Key, node: &Node, errors: &mut Diagnostics) -> Option<()> {
        let mut fields = Fields::of(node, "a generator", errors)?;
        let rule = fields
            .required("rule")
            .and_then(|node| self.rule(node, errors));
        let listed = matches!(rule, Some(Written::Table(..)) | None);
        let mut side = |name: &'static str, required: bool| match required {
            true => fields.required(name),
            false => fields.optional(name),
        };
        let (pre, post) = (side("pre", !listed), side("post", !listed));
        let kind = side("kind", !listed);
        let g = side("g", !listed);
        let parameters = fields.optional("parameters");
        let s = fields.entry("s");
        fields.finish(errors);
        let kind = match kind {
            Some(node) => Some(self.kind(node, errors)?),
            None => None,
        };
        let weight = match g {
            Some(node) => Some((weight(node, errors)?, node)),
            None => None,
        };
        let origin = name.place.clone();
        match rule? {
            Written::Rule(rule) => {
                let (pre, post) = (self.ends(pre?, errors), self.ends(post?, errors));
                let (weight, kind) = (weight?, kind?);
                let bulk = Bulk {
                    generator: Some(name.text.clone()),
                    label: None,
                    rule,
                    pre: pre?,
                    post: post?,
                    kind,
                    g: weight.0,
                    parameters: self.edge_parameters(kind, parameters, errors)?,
                    s: self.edge_start(kind, s, errors)?,
                    origin,
                };
                fits(&bulk, node, errors)?;
                self.check_bulk(&bulk, node, weight.1, errors)?;
                self.bulk.push(bulk);
            }
            Written::Table(source, rule) => {
                if let Some(node) = pre.or(post) {
                    errors.push(
                        Diagnostic::at(&node.place, "a table says itself what its edges join")
                            .label("not needed")
                            .help("its columns are pre, post and g, and kind if there are several"),
                    );
                    return None;
                }
                let constant = match &weight {
                    Some((Weight::Constant(Conductance::Density(g)), _)) => Some(*g),
                    Some((_, node)) => {
                        errors.push(
                            Diagnostic::at(&node.place, "expected a density (mS/cm²)")
                                .label("the weight of every edge of the table without its own"),
                        );
                        return None;
                    }
                    None => None,
                };
                let table = Table {
                    source: &source,
                    whole: rule.place.clone(),
                    kind,
                    g: constant,
                };
                for (kind, pre, post, g) in self.table(&table, errors)? {
                    let ends = |cells: Vec<u32>| Ends {
                        selector: String::new(),
                        cells: Arc::new(cells),
                    };
                    let bulk = Bulk {
                        generator: Some(name.text.clone()),
                        label: None,
                        rule: Rule::Listed,
                        pre: ends(pre),
                        post: ends(post),
                        kind,
                        g: Weight::Listed(g),
                        parameters: self.edge_parameters(kind, parameters, errors)?,
                        s: self.edge_start(kind, s, errors)?,
                        origin: origin.clone(),
                    };
                    self.check_bulk(&bulk, node, rule, errors)?;
                    self.bulk.push(bulk);
                }
            }
        }
        Some(())
    }

    /// The cells that one side of a generator names.
    fn ends(&self, node: &Node, errors: &mut Diagnostics) -> Option<Ends> {
        let selector = key(node, errors)?;
        let cells = self.select(&selector, errors)?;
        Some(Ends {
            selector: selector.text,
            cells: Arc::new(cells.into_iter().map(|cell| cell as u32).collect()),
        })
    }

    fn rule<'n>(&self, node: &'n Node, errors: &mut Diagnostics) -> Option<Written<'n>> {
        let (name, rest) = match &node.value {
            Value::Word(word) => (word.as_str(), None),
            Value::Struct(Some(name), _) | Value::Tuple(Some(name), _) => {
                (name.text.as_str(), Some(node))
            }
            _ => ("", None),
        };
        let plain = |rule| match rest {
            None => Some(Written::Rule(rule)),
            Some(_) => None,
        };
        let written = match (name, &node.value) {
            ("Ring", _) => plain(Rule::Ring),
            ("Chain", _) => plain(Rule::Chain),
            ("OneToOne", _) => plain(Rule::OneToOne),
            ("AllToAll", _) => plain(Rule::AllToAll),
            ("Random", Value::Struct(_, entries)) => {
                let mut fields = Fields::new("`Random`", node.head(), entries);
                let degree = fields
                    .required("in_degree")
                    .and_then(|node| integer(node, 1..=MAX_DEGREE, errors));
                fields.finish(errors);
                let in_degree = u32::try_from(degree?).ok()?;
                return Some(Written::Rule(Rule::Random { in_degree }));
            }
            ("Within", Value::Struct(_, entries)) => {
                let mut fields = Fields::new("`Within`", node.head(), entries);
                let radius = fields.required("radius_um").and_then(|node| {
                    let rule = above_zero("no two cells are closer");
                    number(node, rule, errors)
                });
                let probability = match fields.optional("p") {
                    Some(node) => OfDistance::read(node, errors).map(Some),
                    None => Some(None),
                };
                fields.finish(errors);
                return Some(Written::Rule(Rule::Within {
                    radius: radius?,
                    probability: probability?,
                }));
            }
            ("Table", Value::Tuple(_, items)) => {
                let [item] = items.as_slice() else {
                    errors.push(expected("one text, as in `Table(\"edges.csv\")`", node));
                    return None;
                };
                let written = text(item, errors)?;
                // A table as resolved stands in the scene itself.
                let source = match written.contains('\n') {
                    true => Source::new("table in the scene", written),
                    false => self.file(item, written, "table of edges", errors)?,
                };
                return Some(Written::Table(source, item));
            }
            _ => None,
        };
        if written.is_none() {
            let wanted = match name {
                "Random" => "`Random(in_degree: 10)`",
                "Within" => {
                    "`Within(radius_um: 100)` or `Within(radius_um: 300, p: \"exp(-d/100)\")`"
                }
                "Table" => "`Table(\"edges.csv\")`",
                _ => {
                    "one of `Ring`, `Chain`, `OneToOne`, `AllToAll`, `Random(in_degree: 10)`, `Within(radius_um: 100)`, `Table(\"edges.csv\")`"
                }
            };
            let near = names::nearest(name, RULES).filter(|near| *near != name);
            errors.push(
                expected(wanted, node)
                    .maybe_help(near.map(|near| format!("did you mean `{near}`?"))),
            );
        }
        written
    }

    /// The text of a file that `node` names, which is to be `what`.
    pub(super) fn file(
        &self,
        node: &Node,
        name: &str,
        what: &str,
        errors: &mut Diagnostics,
    ) -> Option<Arc<Source>> {
        // Relative to the file that says so, which may be included by the scene.
        let own = Arc::ptr_eq(node.place.source(), self.head.source());
        let folder = match own {
            true => self.folder.clone(),
            false => Path::new(node.place.source().name())
                .parent()
                .map(Path::to_owned),
        };
        let Some(folder) = folder else {
            errors.push(
                Diagnostic::at(&node.place, format!("`{name}` cannot be read"))
                    .label("a file")
                    .help("a text without a folder of its own reads no files"),
            );
            return None;
        };
        let path = folder.join(name);
        match super::include::read_file(&path) {
            Ok(source) => Some(source),
            Err(unread) => {
                errors.push(
                    Diagnostic::at(&node.place, format!("`{name}` {}", unread.problem))
                        .label(what)
                        .help("paths are relative to the folder of the scene")
                        .maybe_help(unread.help),
                );
                None
            }
        }
    }

    /// Reads the rows of a table, one list of edges for each kind.
    fn table(&mut self, table: &Table, errors: &mut Diagnostics) -> Option<Vec<Listed>> {
        /// More mistakes in one table are not read.
        const SHOWN: usize = 20;
        let mut reader = rows::reader(table.source);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => {
                errors.push(Diagnostic::at(
                    &table.whole,
                    format!("this table cannot be read: {error}"),
                ));
                return None;
            }
        };
        let columns = self.columns(table, &header, errors)?;
        let mut lists: Vec<Listed> = Vec::new();
        let mut known: HashMap<(usize, u32, u32), usize> = HashMap::new();
        let mut kinds: HashMap<String, Option<usize>> = HashMap::new();
        let before = errors.errors().len();
        let mut record = StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    errors.push(Diagnostic::at(
                        &table.whole,
                        format!("this table cannot be read: {error}"),
                    ));
                    return None;
                }
            }
            let place = table.place(&record);
            if record.len() != header.len() {
                errors.push(
                    Diagnostic::at(&place, format!("this row has {} columns", record.len()))
                        .label(format!("the header has {}", header.len())),
                );
                continue;
            }
            let kind = match columns.kind {
                None => table.kind,
                Some(column) => {
                    let name = record.get(column).unwrap_or_default();
                    match kinds.get(name) {
                        Some(kind) => *kind,
                        None => {
                            let text = name.to_owned();
                            let kind = self.kind_called(
                                &Key {
                                    text,
                                    place: place.clone(),
                                },
                                errors,
                            );
                            kinds.insert(name.to_owned(), kind);
                            kind
                        }
                    }
                }
            };
            let edge = self.row(table, &columns, &record, &place, errors);
            if errors.errors().len() > before + SHOWN {
                return None;
            }
            let (Some(kind), Some((pre, post, g))) = (kind, edge) else {
                continue;
            };
            let line = record.position().map_or(0, |p| p.line() as usize);
            if let Some(first) = known.insert((kind, pre, post), line) {
                errors.push(
                    Diagnostic::at(&place, "this edge joins the same cells by the same kind")
                        .label(format!("as line {first} does"))
                        .help("one edge with the sum of their `g` does the same"),
                );
                continue;
            }
            match lists.iter_mut().find(|(known, ..)| *known == kind) {
                Some((_, pres, posts, gs)) => {
                    pres.push(pre);
                    posts.push(post);
                    gs.push(g);
                }
                None => lists.push((kind, vec![pre], vec![post], vec![g])),
            }
        }
        if errors.errors().len() > before {
            return None;
        }
        if lists.is_empty() {
            errors.push(
                Diagnostic::at(&table.whole, "this table holds no edge")
                    .label("no row below its header"),
            );
            return None;
        }
        Some(lists)
    }

    /// Finds the columns of a table by its header.
    fn columns(
        &self,
        table: &Table,
        header: &StringRecord,
        errors: &mut Diagnostics,
    ) -> Option<Header> {
        const KNOWN: [&str; 4] = ["pre", "post", "g", "kind"];
        let place = table.place(header);
        let find = |name: &str| header.iter().position(|column| column == name);
        let mut fine = true;
        if let Some(unknown) = header.iter().find(|column| !KNOWN.contains(column)) {
            errors.push(
                Diagnostic::at(
                    &place,
                    format!("a table of edges has no column `{unknown}`"),
                )
                .label("its header")
                .maybe_help(names::hint(unknown, KNOWN, "column")),
            );
            fine = false;
        }
        let mut needed = vec!["pre", "post"];
        needed.extend(table.g.is_none().then_some("g"));
        needed.extend(table.kind.is_none().then_some("kind"));
        for name in needed {
            if find(name).is_none() && fine {
                let help = match name {
                    "g" | "kind" => format!("or give the generator one `{name}` for all its edges"),
                    _ => "a header is for instance `pre,post,g`".to_owned(),
                };
                errors.push(
                    Diagnostic::at(&place, format!("this table has no column `{name}`"))
                        .label("its header")
                        .help(help),
                );
                fine = false;
            }
        }
        fine.then_some(Header {
            pre: find("pre")?,
            post: find("post")?,
            g: find("g"),
            kind: find("kind"),
        })
    }

    /// One row: the cells and the conductance (mS/cm²).
    fn row(
        &self,
        table: &Table,
        columns: &Header,
        record: &StringRecord,
        place: &Place,
        errors: &mut Diagnostics,
    ) -> Option<(u32, u32, f64)> {
        let field = |column: usize| record.get(column).unwrap_or_default();
        let [pre, post] = [columns.pre, columns.post].map(|column| {
            let text = field(column).to_owned();
            let name = Key {
                text,
                place: place.clone(),
            };
            self.cell_index(&name, errors)
        });
        let g = match columns.g {
            None => table.g,
            Some(column) => match field(column).parse::<f64>() {
                Ok(g) if g.is_finite() => CONDUCTANCE.check(g, place, errors),
                _ => {
                    errors.push(
                        Diagnostic::at(place, "expected a number (mS/cm²) in column `g`")
                            .label(format!("found `{}`", field(column))),
                    );
                    None
                }
            },
        };
        Some((pre? as u32, post? as u32, g?))
    }

    /// What edges in bulk need of the cells they join.
    pub(super) fn check_bulk(
        &self,
        bulk: &Bulk,
        node: &Node,
        g: &Node,
        errors: &mut Diagnostics,
    ) -> Option<()> {
        let definition = &self.kinds[bulk.kind].1.definition;
        let two_way = matches!(
            definition,
            SynapseDefinition::Electrical { one_way: false, .. }
        );
        let electrical = matches!(definition, SynapseDefinition::Electrical { .. });
        let area = |cell: &u32| self.cells[*cell as usize].as_ref().map(|cell| cell.area);
        let before = errors.errors().len();
        if electrical {
            let (pre, post) = (&bulk.pre.cells, &bulk.post.cells);
            let shifted = match bulk.rule {
                Rule::Ring | Rule::Chain => 1,
                _ => 0,
            };
            let next = post.iter().cycle().skip(shifted);
            let ends = usize::from(bulk.rule == Rule::Chain);
            let mut pairs = pre.iter().zip(next).take(pre.len() - ends);
            let itself = match bulk.rule {
                Rule::AllToAll | Rule::Random { .. } | Rule::Within { .. } => None,
                _ => pairs.find(|(a, b)| a == b),
            };
            if let Some((cell, _)) = itself {
                let name = &self.names[*cell as usize];
                errors.push(
                    Diagnostic::at(
                        &node.head(),
                        format!("`{name}` cannot have a gap junction with itself"),
                    )
                    .label("pre and post are the same cell")
                    .help(
                        "no current would flow; only chemical synapses may join a cell to itself",
                    ),
                );
            }
        }
        if matches!(bulk.rule, Rule::Within { .. }) || matches!(bulk.g, Weight::OfDistance(_)) {
            let placed = |cell: &&u32| match &self.cells[**cell as usize] {
                Some(cell) => cell.position.is_some(),
                None => true,
            };
            let mut ends = bulk.pre.cells.iter().chain(bulk.post.cells.iter());
            if let Some(cell) = ends.find(|cell| !placed(cell)) {
                let name = &self.names[*cell as usize];
                errors.push(space::no_position(&bulk.origin, name));
            }
        }
        let absolute = matches!(bulk.g, Weight::Constant(Conductance::Absolute(_)));
        let sides = [(&bulk.post, absolute), (&bulk.pre, absolute && two_way)];
        for (side, needed) in sides {
            if let Some(cell) = side
                .cells
                .iter()
                .find(|cell| needed && area(cell) == Some(None))
            {
                let whose = format!("`{}`", self.names[*cell as usize]);
                errors.push(units::no_area(&g.place, &whose));
            }
        }
        if two_way && !absolute {
            let all = || bulk.pre.cells.iter().chain(bulk.post.cells.iter());
            let first = all().next().and_then(area);
            let other = all().find(|cell| area(cell).is_some_and(|a| Some(a) != first));
            if let (Some(cell), Some(first)) = (other, all().next()) {
                let [a, b] = [first, cell].map(|cell| &self.names[*cell as usize]);
                errors.push(
                    Diagnostic::at(
                        &g.place,
                        "junctions between cells of different area need an absolute `g`",
                    )
                    .label("a density")
                    .help(format!("`{a}` and `{b}` differ; write it as in `g: nS(1)`")),
                );
            }
        }
        (errors.errors().len() == before).then_some(())
    }
}

/// What a rule needs of the number of cells on its sides.
fn fits(bulk: &Bulk, node: &Node, errors: &mut Diagnostics) -> Option<()> {
    let (pre, post) = (bulk.pre.cells.len(), bulk.post.cells.len());
    let sources: HashSet<u32> = bulk.pre.cells.iter().copied().collect();
    let others = bulk.post.cells.iter().any(|cell| sources.contains(cell));
    let refuse =
        |message: String, label: String| Diagnostic::at(&node.head(), message).label(label);
    let error = match bulk.rule {
        Rule::Ring | Rule::Chain | Rule::OneToOne if pre != post => refuse(
            "this rule needs as many cells in `pre` as in `post`".to_owned(),
            format!(
                "`{}` has {pre}, `{}` has {post}",
                bulk.pre.selector, bulk.post.selector
            ),
        ),
        Rule::Ring | Rule::Chain if pre < 2 => refuse(
            "this rule needs at least two cells".to_owned(),
            format!("`{}` has one", bulk.pre.selector),
        ),
        Rule::Random { in_degree } => {
            let most = pre - usize::from(others);
            if in_degree as usize <= most {
                return Some(());
            }
            refuse(
                format!("an in-degree of {in_degree} needs as many different cells in `pre`"),
                format!("`{}` has {pre}", bulk.pre.selector),
            )
            .help(match others {
                true => format!("at most {most}: no cell is joined to itself, and no two twice"),
                false => format!("at most {most}: no two cells are joined twice"),
            })
        }
        _ => return Some(()),
    };
    errors.push(error);
    None
}

/// Edges of a kind: presynaptic and postsynaptic cells and conductances (mS/cm²).
type Listed = (usize, Vec<u32>, Vec<u32>, Vec<f64>);

/// A table of edges and what the generator says for all of them.
struct Table<'s> {
    source: &'s Arc<Source>,
    /// Where the scene names it.
    whole: Place,
    kind: Option<usize>,
    /// mS/cm².
    g: Option<f64>,
}

impl Table<'_> {
    /// The line of a record.
    fn place(&self, record: &StringRecord) -> Place {
        rows::place(self.source, record)
    }
}

/// Places of the columns of a table.
struct Header {
    pre: usize,
    post: usize,
    g: Option<usize>,
    kind: Option<usize>,
}
