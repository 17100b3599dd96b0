//! Study files: RON text in, a checked [`Study`] out, or every error in it at once.

use std::path::Path;

use homarus_systems::address::Names;

use crate::{
    rhythm::{MAX_PERIOD_CV, MIN_LOCK},
    scene::{
        self, Asked, Scene,
        decode::{
            ANY, Fields, Rule, above_zero, expected, fraction, index_of, integer, key, keys, list,
            map, not_negative, number,
        },
        definitions::header,
        diagnostic::{Diagnostic, Diagnostics},
        expect::{self, Quantity},
        include::Found,
        library::kind_of,
        names::{self, Role},
        network::Known,
        paths,
        shipped::Kind,
        source::Source,
        syntax::{self, Key, Node, Value as Tree},
        units,
    },
};

use super::{
    axes::{self, Read},
    model::{
        Again, Amount, Assignment, Criteria, Design, Ensemble, Measure, Moment, Networks, Outcome,
        Response, ReturnMap, Settle, Study, Tables, Timed, Value, Values, Vary, When, Window,
    },
    overrides, sobol,
    table::table,
    verdict,
};

/// More networks or realisations than this are a mistake.
const MANY: u64 = u32::MAX as u64;

/// An entry that comes again more often than this is a mistake.
const MANY_TIMES: usize = 1_000_000;

/// The largest seed that a number of 64 bits with a point holds exactly.
const MAX_SEED: u64 = 1 << 53;

const AFTER_FORK: Rule = not_negative("time is counted from the fork, or from the end of `during`");

/// Reads a study: a path to a `.ron` file, or the name of a shipped study. `sets` are `PATH=VALUE`:
/// those of settings of the study (`networks.count`, `settle_ms`, `axes.b.count`) replace what the
/// file says, others are added to its `set`.
///
/// # Errors
/// Everything that is wrong with it; a syntax error is alone.
pub fn read(name_or_path: &str, sets: &[String]) -> Result<Study, Diagnostics> {
    // A scene is found too, to say which verb runs it.
    let found = scene::find(name_or_path, &[Kind::Study, Kind::Network])?;
    read_found(&scene::stem(name_or_path), &found, sets)
}

/// Reads a study from a text. It is shown as `name` in errors; its bases and tables are looked for in
/// `folder`.
///
/// # Errors
/// As [`read`].
pub fn read_text(text: &str, name: &str, folder: Option<&Path>) -> Result<Study, Diagnostics> {
    let found = Found {
        source: Source::new(name, text),
        identity: name.to_owned(),
        folder: folder.map(Path::to_owned),
    };
    read_found(name.strip_suffix(".ron").unwrap_or(name), &found, &[])
}

/// Whether a file, or what ships under a name, is a study and no scene.
pub fn is_study(name_or_path: &str) -> bool {
    let found = scene::find(name_or_path, &[Kind::Network, Kind::Study]);
    found.is_ok_and(|found| {
        let mut errors = Diagnostics::default();
        let root = syntax::parse(&found.source, &mut errors);
        root.and_then(|root| kind_of(&root, &mut errors)) == Some(Kind::Study)
    })
}

fn read_found(name: &str, found: &Found, sets: &[String]) -> Result<Study, Diagnostics> {
    let mut errors = Diagnostics::default();
    let study = syntax::parse(&found.source, &mut errors).and_then(|root| {
        match kind_of(&root, &mut errors)? {
            Kind::Study => {}
            Kind::Network => {
                errors.push(
                    Diagnostic::at(&root.head(), "this file is a scene")
                        .label("expected `Study(…)`")
                        .help("`homarus run FILE` runs a scene, `homarus verify FILE` judges it"),
                );
                return None;
            }
            kind => {
                errors.push(
                    Diagnostic::at(&root.head(), format!("this file defines a {kind}"))
                        .label("expected `Study(…)`"),
                );
                return None;
            }
        }
        let mut fields = match &root.value {
            Tree::Struct(_, fields) => fields.clone(),
            _ => Vec::new(),
        };
        overrides::apply(&mut fields, sets, &mut errors);
        study(name, found, &root, &fields, &mut errors)
    });
    scene::finish(study, errors)
}

fn study(
    name: &str,
    found: &Found,
    root: &Node,
    fields: &[(Key, Node)],
    errors: &mut Diagnostics,
) -> Option<Study> {
    let folder = found.folder.as_deref();
    let mut fields = Fields::new("a study", root.head(), fields);
    let header = header(&mut fields, errors);
    let set_node = fields.optional("set");
    let bases = bases(&mut fields, set_node, folder, errors);
    let design_node = fields.optional("design");
    let design = design_node.map_or(Some(Design::Grid), |node| design(node, errors));
    let axes_node = fields.optional("axes");
    let sampled = !matches!(design, Some(Design::Grid | Design::Together) | None);
    let read_axes = match axes_node {
        // Globs cannot be spelt out if there is nothing to hold them against.
        Some(_) if bases.is_none() => None,
        Some(node) => axes::read(
            node,
            sampled || design.is_none(),
            bases.as_deref().unwrap_or_default(),
            errors,
        ),
        None => Some(Vec::new()),
    };
    let (Some(bases), Some(read_axes)) = (bases, read_axes) else {
        // The rest refers to them.
        for name in REFERRING {
            fields.optional(name);
        }
        fields.finish(errors);
        return None;
    };
    let mut reader = Reader {
        bases,
        axes: read_axes,
        errors,
    };
    let set = set_node.map_or(Some(Vec::new()), |node| reader.set(node));
    let networks = match fields.optional("networks") {
        Some(node) => reader.networks(node, folder),
        None => Some(Networks::Drawn(Ensemble {
            count: 1,
            vary: Vec::new(),
        })),
    };
    let realisations = match fields.optional("realisations") {
        Some(node) => reader.realisations(node).map(Some),
        None => Some(None),
    };
    let seed = match fields.optional("seed") {
        Some(node) => integer(node, 0..=u64::MAX, reader.errors),
        None => Some(0),
    };
    let settle = reader.settle(&mut fields);
    let before = reader.before(&mut fields, settle);
    let during = fields
        .required("during")
        .and_then(|node| reader.window(node, "during"));
    let after = match fields.entry("after") {
        Some((_, node)) => reader.window(node, "after").map(Some),
        None => Some(None),
    };
    let acting = Stage {
        from_ms: Some(0.0),
        until_ms: during.map(Window::length),
        window: "during",
    };
    let undoing = Stage {
        from_ms: during.map(Window::length),
        until_ms: after.flatten().map(Window::length),
        window: "after",
    };
    let protocol = match fields.optional("protocol") {
        Some(node) => reader.timed(node, &acting),
        None => Some(Vec::new()),
    };
    let branches = match fields.optional("branches") {
        Some(node) => reader.branches(node, &acting),
        None => Some(Vec::new()),
    };
    let undo = match fields.entry("undo") {
        Some((name, node)) => {
            let empty = |entries: &Option<Vec<Timed>>| entries.as_ref().is_some_and(Vec::is_empty);
            let nothing = empty(&protocol) && branches.as_ref().is_some_and(Vec::is_empty);
            if nothing {
                reader.errors.push(
                    Diagnostic::at(&name.place, "there is nothing to undo")
                        .label("neither `protocol` nor `branches` do anything")
                        .help("give the study a `protocol`, or take `undo` out"),
                );
            }
            if fields.entry("after").is_none() {
                reader.errors.push(
                    Diagnostic::at(&name.place, "`undo` needs a window after it")
                        .label("no `after`")
                        .help("add for instance `after: (skip_ms: 1000, for_ms: 10_000)`"),
                );
            }
            reader.timed(node, &undoing)
        }
        None => Some(Vec::new()),
    };
    let windows = [before.is_some_and(|ms| ms > 0.0), true, after != Some(None)];
    let criteria = match fields.optional("criteria") {
        Some(node) => criteria(node, reader.errors),
        None => Some(Criteria::default()),
    };
    let measures = match fields.optional("measures") {
        Some(node) => reader.measures(node),
        None => Some(Vec::new()),
    };
    let outcomes = match fields.optional("outcomes") {
        Some(node) => reader.outcomes(node, windows),
        None => Some(Vec::new()),
    };
    // Where an entry is wrong, nobody knows at what phase it would act.
    let entries: Option<Vec<&Timed>> = protocol.as_ref().zip(branches.as_ref()).map(
        |(protocol, branches): (&Vec<Timed>, &Vec<(String, Vec<Timed>)>)| {
            let alternatives = branches.iter().flat_map(|(_, entries)| entries);
            protocol.iter().chain(alternatives).collect()
        },
    );
    let response = match fields.optional("response") {
        Some(node) => reader.response(node, entries.as_deref()).map(Some),
        None => Some(None),
    };
    let return_map = match fields.optional("return_map") {
        Some(node) => reader.return_map(node).map(Some),
        None => Some(None),
    };
    let tables = match fields.optional("tables") {
        Some(node) => tables(node, reader.errors),
        None => Some(Tables::default()),
    };
    fields.finish(reader.errors);
    reader.refuse_unused();
    if let Some(design) = design {
        reader.judge_design(design, design_node);
    }
    let study = Study {
        name: name.to_owned(),
        about: header.about,
        source: header.source,
        text: found.source.text().to_owned(),
        set: set?,
        networks: networks?,
        realisations: realisations?,
        seed: seed?,
        settle: settle?,
        before_ms: before?,
        axes: reader.axes.into_iter().map(|read| read.axis).collect(),
        bases: reader.bases.into_iter().map(|(scene, _)| scene).collect(),
        design: design?,
        protocol: protocol?,
        branches: branches?,
        during: during?,
        undo: undo?,
        after: after?,
        criteria: criteria?,
        measures: measures?,
        outcomes: outcomes?,
        response: response?,
        return_map: return_map?,
        tables: tables?,
    };
    if study.counts().is_none() {
        errors.push(
            Diagnostic::at(
                &root.head(),
                "the study has more members than can be counted",
            )
            .label("more than 10^19")
            .help("fewer values of its axes, or a sampled `design`: `Sobol(count: 1000)`"),
        );
    }
    Some(study)
}

/// Fields that refer to bases or axes.
const REFERRING: [&str; 18] = [
    "networks",
    "realisations",
    "seed",
    "settle_ms",
    "settle",
    "before_ms",
    "protocol",
    "branches",
    "during",
    "undo",
    "after",
    "criteria",
    "measures",
    "outcomes",
    "response",
    "return_map",
    "tables",
    "axes",
];

impl Window {
    /// Length with what is left out (ms).
    pub fn length(self) -> f64 {
        self.skip_ms + self.for_ms
    }
}

/// Reads the base, or the bases, with the names in each.
fn bases(
    fields: &mut Fields<'_>,
    set: Option<&Node>,
    folder: Option<&Path>,
    errors: &mut Diagnostics,
) -> Option<Vec<(Scene, Names)>> {
    let (one, many) = (fields.entry("base"), fields.entry("bases"));
    let names = match (one, many) {
        (Some((_, node)), None) => vec![key(node, errors)?],
        (None, Some((_, node))) => {
            let names = keys(node, errors)?;
            if names.is_empty() {
                errors.push(expected("the scenes that the study is about", node));
                return None;
            }
            names
        }
        (Some((first, _)), Some((second, _))) => {
            errors.push(
                Diagnostic::at(&second.place, "a study has a `base` or `bases`")
                    .label("and this")
                    .and(&first.place, "this"),
            );
            return None;
        }
        (None, None) => {
            errors.push(
                Diagnostic::at(fields.head(), "a study needs `base` or `bases`")
                    .label("no scene")
                    .help("name a scene that ships, or a file: `base: \"half_centre\"`"),
            );
            return None;
        }
    };
    let asked = asked(set, errors);
    let read: Vec<Option<(Key, Scene)>> = names
        .into_iter()
        .map(|name| {
            let scene = base(&name, folder, &asked, errors)?;
            Some((name, scene))
        })
        .collect();
    let read: Vec<(Key, Scene)> = read.into_iter().collect::<Option<_>>()?;
    for (k, (key, scene)) in read.iter().enumerate() {
        if let Some((first, _)) = read[..k].iter().find(|(_, known)| known.name == scene.name) {
            errors.push(
                Diagnostic::at(&key.place, format!("two bases are called `{}`", scene.name))
                    .label("again here")
                    .and(&first.place, "first here")
                    .help("give one of them a `name` of its own"),
            );
        }
    }
    let scenes = read.into_iter().map(|(_, scene)| {
        let names = paths::names(&scene);
        (scene, names)
    });
    Some(scenes.collect())
}

/// Numbers of cells and copies, and tables, that `set` asks for: they are known before a base is read.
fn asked(set: Option<&Node>, errors: &mut Diagnostics) -> Asked {
    let mut asked = Asked::default();
    let Some(Tree::Map(entries)) = set.map(|node| &node.value) else {
        return asked;
    };
    for (key, node) in entries {
        let Some((name, field)) = scene::of_population(&key.text) else {
            continue;
        };
        if axes::reference(node).is_some() {
            errors.push(
                Diagnostic::at(&node.head(), format!("`{}` cannot be varied", key.text))
                    .label("an axis")
                    .help("give a number; networks of several sizes are several studies"),
            );
        } else if field == scene::TABLE {
            if let Some(path) = self::key(node, errors) {
                asked.tables.push(scene::TableFile {
                    population: name.to_owned(),
                    path: path.text.into(),
                    origin: key.place.clone(),
                });
            }
        } else if let Some(number) = integer(node, 1..=u64::MAX, errors) {
            asked.sizes.push(scene::Size {
                name: name.to_owned(),
                field: field.to_owned(),
                number,
                origin: key.place.clone(),
            });
        }
    }
    asked
}

/// Reads one base.
fn base(
    name: &Key,
    folder: Option<&Path>,
    asked: &Asked,
    errors: &mut Diagnostics,
) -> Option<Scene> {
    let path = match (name.text.ends_with(".ron"), folder) {
        (true, None) => {
            errors.push(
                Diagnostic::at(&name.place, format!("`{}` cannot be read", name.text))
                    .label("a path")
                    .help("a study without a folder of its own names scenes that ship"),
            );
            return None;
        }
        (true, Some(folder)) => folder.join(&name.text).display().to_string(),
        (false, _) => name.text.clone(),
    };
    match scene::read_asked(&path, asked) {
        Ok(scene) => Some(scene),
        Err(found) => {
            for error in found.errors() {
                errors.push(match error.place() {
                    Some(_) => error.clone(),
                    None => Diagnostic::at(&name.place, error.message())
                        .label("this base")
                        .maybe_help(error.help_text()),
                });
            }
            None
        }
    }
}

/// Reads how points are chosen.
fn design(node: &Node, errors: &mut Diagnostics) -> Option<Design> {
    const WANTED: &str = "`Grid`, `Together`, `Random(count: 100)`, `LatinHypercube(count: 100)` or \
                          `Sobol(count: 128)`";
    const NAMES: [&str; 5] = ["Grid", "Together", "Random", "LatinHypercube", "Sobol"];
    let (name, entries): (&str, &[(Key, Node)]) = match &node.value {
        Tree::Word(word) => (word, &[]),
        Tree::Struct(Some(name), entries) => (&name.text, entries),
        Tree::Tuple(Some(name), items) if items.is_empty() => (&name.text, &[]),
        _ => {
            errors.push(expected(WANTED, node));
            return None;
        }
    };
    let made: fn(usize) -> Design = match name {
        "Grid" => |_| Design::Grid,
        "Together" => |_| Design::Together,
        "Random" => Design::Random,
        "LatinHypercube" => Design::LatinHypercube,
        "Sobol" => Design::Sobol,
        _ => {
            let near = names::nearest(name, NAMES).map(|near| format!("did you mean `{near}`?"));
            errors.push(expected(WANTED, node).maybe_help(near));
            return None;
        }
    };
    let mut fields = Fields::new(&format!("`{name}`"), node.head(), entries);
    let count = match name {
        "Grid" | "Together" => Some(0),
        _ => fields
            .required("count")
            .and_then(|node| integer(node, 1..=MANY, errors)),
    };
    fields.finish(errors);
    Some(made(usize::try_from(count?).ok()?))
}

fn criteria(node: &Node, errors: &mut Diagnostics) -> Option<Criteria> {
    let mut fields = Fields::of(node, "criteria", errors)?;
    let above = above_zero("nothing would meet it");
    let mut read = |name, default, rule| match fields.optional(name) {
        Some(node) => number(node, rule, errors),
        None => Some(default),
    };
    let default = Criteria::default();
    let read = (
        read("cv_below", MAX_PERIOD_CV, above),
        read("lock_above", MIN_LOCK, fraction("it is a resultant length")),
        read("period_within", default.period_within, above),
        read("phase_within", default.phase_within, above),
        read("duty_within", default.duty_within, above),
    );
    fields.finish(errors);
    Some(Criteria {
        cv_below: read.0?,
        lock_above: read.1?,
        period_within: read.2?,
        phase_within: read.3?,
        duty_within: read.4?,
    })
}

fn tables(node: &Node, errors: &mut Diagnostics) -> Option<Tables> {
    let mut tables = Tables::default();
    for name in keys(node, errors)? {
        match index_of(&name, ["cells", "cycles"], "table", "a study", errors)? {
            0 => tables.cells = true,
            _ => tables.cycles = true,
        }
    }
    Some(tables)
}

/// When entries act: their times are counted from a moment, and a window ends them.
struct Stage {
    /// The moment they are counted from, after the fork (ms).
    from_ms: Option<f64>,
    /// The last time (ms).
    until_ms: Option<f64>,
    window: &'static str,
}

/// Reads what refers to bases and axes.
struct Reader<'e> {
    bases: Vec<(Scene, Names)>,
    axes: Vec<Read>,
    errors: &'e mut Diagnostics,
}

impl Reader<'_> {
    /// The axis that a node refers to, by its index, if it refers to one.
    fn reference(&mut self, node: &Node) -> Option<Option<usize>> {
        let Some(key) = axes::reference(node)? else {
            self.errors.push(
                Diagnostic::at(&node.head(), "expected the name of an axis")
                    .label("in these brackets")
                    .help("write `Axis(\"name\")`, with a name from `axes`"),
            );
            return Some(None);
        };
        let known = self.axes.iter().map(|read| read.axis.name.as_str());
        let found = index_of(&key, known, "axis", "the study", self.errors);
        let near = || {
            let known = self.axes.iter().map(|read| read.axis.name.as_str());
            let near = names::nearest(&key.text, known)?;
            self.axes.iter().position(|read| read.axis.name == near)
        };
        // One that is only misspelt here is not called unused, too.
        if let Some(axis) = found.or_else(near) {
            self.axes[axis].used = true;
        }
        Some(found)
    }

    /// A number, or an axis each of whose values is one; `of_networks`: it makes networks.
    fn amount(
        &mut self,
        node: &Node,
        of_networks: bool,
        read: impl Fn(&Node, &mut Diagnostics) -> Option<f64>,
    ) -> Option<Amount> {
        let Some(axis) = self.reference(node) else {
            return read(node, self.errors).map(Amount::Given);
        };
        let axis = axis?;
        let Read {
            axis: of, shown, ..
        } = &mut self.axes[axis];
        if of_networks {
            of.makes_networks = true;
        }
        if of_networks && matches!(of.values, Values::Bisect { .. }) {
            self.errors.push(
                Diagnostic::at(&node.head(), "a bisection cannot make networks")
                    .label("of `Bisect`")
                    .help(
                        "bisect a value of the protocol, from which branches of one network differ",
                    ),
            );
            return None;
        }
        let mut fine = true;
        for (value, place) in shown.iter() {
            fine &= read(&axes::literal(value, 0, place), self.errors).is_some();
        }
        fine.then_some(Amount::Axis(axis))
    }

    /// Reads what is set before the start.
    fn set(&mut self, node: &Node) -> Option<Vec<Assignment>> {
        let mut whole = true;
        let mut set = Vec::new();
        for (key, node) in map(node, self.errors)? {
            if scene::of_population(&key.text).is_some() {
                continue;
            }
            let setting = overrides::SETTINGS.contains(&key.text.as_str());
            let rule = match setting {
                true => above_zero("it is a length of time"),
                false => ANY,
            };
            let read = |node: &Node, errors: &mut Diagnostics| match key.text.as_str() {
                "seed" => integer(node, 0..=MAX_SEED, errors).map(|seed| seed as f64),
                _ => number(node, rule, errors),
            };
            let amount = self.amount(node, true, read);
            if !setting {
                whole &= self.starts(key, node, amount.as_ref());
            }
            match amount {
                Some(to) => set.push(Assignment {
                    path: key.text.clone(),
                    to,
                    origin: key.place.clone(),
                }),
                None => whole = false,
            }
        }
        whole.then_some(set)
    }

    /// Holds a scalar that is set against the bases, with every value that it may get.
    fn starts(&mut self, key: &Key, node: &Node, amount: Option<&Amount>) -> bool {
        let values: Vec<f64> = match amount {
            Some(Amount::Given(value)) => vec![*value],
            Some(Amount::Axis(axis)) => numbers(&self.axes[*axis]).collect(),
            None => Vec::new(),
        };
        let before = self.errors.errors().len();
        for (scene, names) in &self.bases {
            if !key.text.contains('.') {
                let settings = overrides::SETTINGS;
                let help = match names::nearest(&key.text, settings) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "a scalar has a dot, as `*.V`; settings are {}",
                        settings.join(", ")
                    ),
                };
                self.errors.push(
                    Diagnostic::at(&key.place, format!("there is no setting `{}`", key.text))
                        .label("unknown setting")
                        .help(help),
                );
                return false;
            }
            if values.is_empty()
                && let Err(error) = paths::targets(names, &key.text, &key.place)
            {
                self.errors.push(error);
            }
            for value in &values {
                if let Err(error) = paths::started(scene, names, &key.text, &key.place, *value) {
                    self.errors.push(match amount {
                        Some(Amount::Axis(_)) => error.and(&node.head(), "by this axis"),
                        _ => error,
                    });
                    break;
                }
            }
        }
        self.errors.errors().len() == before
    }

    /// Reads the networks.
    fn networks(&mut self, node: &Node, folder: Option<&Path>) -> Option<Networks> {
        let mut fields = Fields::of(node, "`networks`", self.errors)?;
        let Some((name, node)) = fields.entry("table") else {
            return self.ensemble(fields, "networks").map(Networks::Drawn);
        };
        for other in ["count", "vary"] {
            if let Some((key, _)) = fields.entry(other) {
                self.errors.push(
                    Diagnostic::at(&key.place, "a table has a row a network")
                        .label(format!("`{other}` beside a table"))
                        .and(&name.place, "the table")
                        .help(format!(
                            "take `{other}` out; `realisations` draws around each row"
                        )),
                );
            }
        }
        fields.finish(self.errors);
        let file = key(node, self.errors)?;
        table(&file, folder, &self.bases, self.errors)
    }

    /// Reads the realisations.
    fn realisations(&mut self, node: &Node) -> Option<Ensemble> {
        let fields = Fields::of(node, "`realisations`", self.errors)?;
        self.ensemble(fields, "realisations")
    }

    fn ensemble(&mut self, mut fields: Fields<'_>, what: &str) -> Option<Ensemble> {
        let count = fields
            .required("count")
            .and_then(|node| integer(node, 1..=MANY, self.errors));
        let vary = fields.required("vary").and_then(|node| {
            let items = list(node, self.errors)?;
            let read: Vec<Option<Vary>> = items
                .iter()
                .map(|node| self.vary(node, what == "networks"))
                .collect();
            if items.is_empty() {
                self.errors.push(
                    Diagnostic::at(&node.place, format!("all {what} would be the same"))
                        .label("nothing varies")
                        .help("for instance `Relative(path: \"*.*.gbar\", by: 0.1)`"),
                );
                return None;
            }
            read.into_iter().collect()
        });
        fields.finish(self.errors);
        Some(Ensemble {
            count: usize::try_from(count?).ok()?,
            vary: vary?,
        })
    }

    fn vary(&mut self, node: &Node, of_networks: bool) -> Option<Vary> {
        const WANTED: &str = "`Seed(from: 1)`, `Relative(path: \"*.*.gbar\", by: 0.2)`, \
                              `Absolute(path: \"*.V\", by: 0.005)` or \
                              `Uniform(path: \"*.V\", from: -65, to: -55)`";
        const NAMES: [&str; 4] = ["Seed", "Relative", "Absolute", "Uniform"];
        let Tree::Struct(Some(name), entries) = &node.value else {
            self.errors.push(expected(WANTED, node));
            return None;
        };
        let mut fields = Fields::new(&format!("`{}`", name.text), node.head(), entries);
        let read = match name.text.as_str() {
            "Seed" => {
                let from = fields
                    .required("from")
                    .and_then(|node| integer(node, 0..=u64::MAX - MANY, self.errors));
                if !of_networks {
                    self.errors.push(
                        Diagnostic::at(&name.place, "another seed makes another network")
                            .label("in `realisations`")
                            .help("draw seeds in `networks`"),
                    );
                    return None;
                }
                from.map(|from| Vary::Seed { from })
            }
            "Uniform" => {
                let path = self.scalars(&mut fields);
                let [from, to] = ["from", "to"].map(|end| {
                    let node = fields.required(end)?;
                    Some((number(node, ANY, self.errors)?, node))
                });
                let range = match (from, to) {
                    (Some((from, _)), Some((to, node))) if from >= to => {
                        self.errors.push(
                            Diagnostic::at(&node.place, "this range is empty")
                                .label(format!("from {from} to {to}"))
                                .help("`to` is greater than `from`"),
                        );
                        None
                    }
                    (Some((from, _)), Some((to, _))) => Some(from..to),
                    _ => None,
                };
                if let (Some(path), Some(range)) = (&path, &range) {
                    for (scene, names) in &self.bases {
                        for value in [range.start, range.end] {
                            let (text, place) = (&path.text, &path.place);
                            if let Err(error) = paths::started(scene, names, text, place, value) {
                                self.errors.push(error);
                            }
                        }
                    }
                }
                path.zip(range).map(|(path, range)| Vary::Uniform {
                    path: path.text,
                    range,
                    origin: path.place,
                })
            }
            "Relative" | "Absolute" => {
                let path = self.scalars(&mut fields);
                let by = fields.required("by").and_then(|node| {
                    let rule = not_negative("it is how far a value may be off, to both sides");
                    self.amount(node, of_networks, |node, errors| number(node, rule, errors))
                });
                path.zip(by).map(|(path, by)| match name.text.as_str() {
                    "Relative" => Vary::Relative {
                        path: path.text,
                        by,
                        origin: path.place,
                    },
                    _ => Vary::Absolute {
                        path: path.text,
                        by,
                        origin: path.place,
                    },
                })
            }
            other => {
                let near = names::nearest(other, NAMES);
                let near = near.map(|near| format!("did you mean `{near}`?"));
                self.errors.push(expected(WANTED, node).maybe_help(near));
                return None;
            }
        };
        fields.finish(self.errors);
        read
    }

    /// A path to scalars of every base.
    fn scalars(&mut self, fields: &mut Fields<'_>) -> Option<Key> {
        let path = key(fields.required("path")?, self.errors)?;
        for (_, names) in &self.bases {
            if let Err(error) = paths::targets(names, &path.text, &path.place) {
                self.errors.push(error);
                return None;
            }
        }
        Some(path)
    }

    fn settle(&mut self, fields: &mut Fields<'_>) -> Option<Settle> {
        match (fields.entry("settle_ms"), fields.entry("settle")) {
            (Some((_, node)), None) => {
                let rule = not_negative("a run begins at 0");
                units::time(node, rule, self.errors).map(Settle::For)
            }
            (None, Some((_, node))) => {
                let mut fields = Fields::of(node, "`settle`", self.errors)?;
                let cycles = fields
                    .required("cycles")
                    .and_then(|node| integer(node, 2..=1_000_000, self.errors));
                let within = fields.required("within").and_then(|node| {
                    number(node, above_zero("no rhythm is that steady"), self.errors)
                });
                let at_most = fields.required("at_most_ms").and_then(|node| {
                    let rule = above_zero("a network needs time to settle");
                    units::time(node, rule, self.errors)
                });
                fields.finish(self.errors);
                Some(Settle::Until {
                    cycles: usize::try_from(cycles?).ok()?,
                    within: within?,
                    at_most_ms: at_most?,
                })
            }
            (Some((first, _)), Some((second, _))) => {
                self.errors.push(
                    Diagnostic::at(&second.place, "a study has `settle_ms` or `settle`")
                        .label("and this")
                        .and(&first.place, "this"),
                );
                None
            }
            (None, None) => {
                self.errors.push(
                    Diagnostic::at(fields.head(), "a study needs `settle_ms` or `settle`")
                        .label("when are networks forked?")
                        .help(
                            "`settle_ms: 20_000` after a time, `settle_ms: 0` at the start, \
                             `settle: (cycles: 10, within: 0.02, at_most_ms: 60_000)` once steady",
                        ),
                );
                None
            }
        }
    }

    /// The length of the window before the fork (ms).
    fn before(&mut self, fields: &mut Fields<'_>, settle: Option<Settle>) -> Option<f64> {
        let Some(node) = fields.optional("before_ms") else {
            return Some(0.0);
        };
        let rule = not_negative("it is a length of time");
        let before = units::time(node, rule, self.errors)?;
        let latest = match settle? {
            Settle::For(ms) => ms,
            Settle::Until { at_most_ms, .. } => at_most_ms,
        };
        if before > latest {
            self.errors.push(
                Diagnostic::at(
                    &node.place,
                    "the window before the fork begins before the run",
                )
                .label(format!("{before} ms, and the fork is at {latest} ms"))
                .help("a shorter `before_ms`, or a later fork"),
            );
            return None;
        }
        Some(before)
    }

    fn window(&mut self, node: &Node, name: &str) -> Option<Window> {
        let mut fields = Fields::of(node, &format!("`{name}`"), self.errors)?;
        let skip = match fields.optional("skip_ms") {
            Some(node) => units::time(node, not_negative("it is a length of time"), self.errors),
            None => Some(0.0),
        };
        let length = fields.required("for_ms").and_then(|node| {
            let rule = above_zero("there would be nothing to analyse");
            units::time(node, rule, self.errors)
        });
        fields.finish(self.errors);
        Some(Window {
            skip_ms: skip?,
            for_ms: length?,
        })
    }

    fn branches(&mut self, node: &Node, stage: &Stage) -> Option<Vec<(String, Vec<Timed>)>> {
        let entries = map(node, self.errors)?;
        let read: Vec<Option<(String, Vec<Timed>)>> = entries
            .iter()
            .map(|(key, node)| {
                names::check(key, Role::Branch, self.errors);
                if key.text == "control" {
                    self.errors.push(
                        Diagnostic::at(
                            &key.place,
                            "`control` is the branch to which nothing is done",
                        )
                        .label("reserved")
                        .help("it runs in every study; choose another name"),
                    );
                }
                Some((key.text.clone(), self.timed(node, stage)?))
            })
            .collect();
        read.into_iter().collect()
    }

    /// Reads a list of protocol entries.
    fn timed(&mut self, node: &Node, stage: &Stage) -> Option<Vec<Timed>> {
        let items = list(node, self.errors)?;
        let read: Vec<Option<Timed>> = items.iter().map(|node| self.entry(node, stage)).collect();
        read.into_iter().collect()
    }

    fn entry(&mut self, node: &Node, stage: &Stage) -> Option<Timed> {
        let Tree::Struct(None, entries) = &node.value else {
            self.errors
                .push(expected("a protocol entry `(field: …)`", node));
            return None;
        };
        let mut fields = Fields::new("a protocol entry", node.head(), entries);
        let (at, phase) = (fields.entry("at_ms"), fields.entry("at_phase"));
        let rhythm = phase.and_then(|_| fields.entry("rhythm"));
        let when = match (at, phase) {
            (Some((_, node)), None) => self.at_ms(node, stage).map(When::Ms),
            (None, Some((name, node))) => self.at_phase(name, node, rhythm, stage),
            (Some((first, _)), Some((second, _))) => {
                self.errors.push(
                    Diagnostic::at(&second.place, "an entry has one time")
                        .label("second time")
                        .and(&first.place, "first time"),
                );
                None
            }
            (None, None) => {
                self.errors.push(
                    Diagnostic::at(
                        fields.head(),
                        "a protocol entry needs `at_ms` or `at_phase`",
                    )
                    .label("no time")
                    .help("`at_ms` is counted from the fork, in `undo` from the end of `during`"),
                );
                None
            }
        };
        let (every, times) = (fields.entry("every_ms"), fields.entry("times"));
        let again = self.again(every, times, when.as_ref(), stage);
        let of_time =
            [at, phase, rhythm, every, times].map(|field| field.map(|(key, _)| &key.text));
        let rest = entries
            .iter()
            .filter(|(key, _)| !of_time.contains(&Some(&key.text)));
        let entry = Node {
            place: node.place.clone(),
            value: Tree::Struct(None, rest.cloned().collect()),
        };
        let fine = self.check_entry(&entry, stage);
        let timed = Timed {
            at: when?,
            again: again?,
            entry,
        };
        Some(timed).filter(|_| fine)
    }

    /// How an entry comes again: the outer `None` is an error.
    fn again(
        &mut self,
        every: Option<(&Key, &Node)>,
        times: Option<(&Key, &Node)>,
        at: Option<&When>,
        stage: &Stage,
    ) -> Option<Option<Again>> {
        let Some((_, every)) = every else {
            let Some((name, _)) = times else {
                return Some(None);
            };
            self.errors.push(
                Diagnostic::at(&name.place, "how often does this come again?")
                    .label("`times` without `every_ms`")
                    .help("add for instance `every_ms: 500`"),
            );
            return None;
        };
        let rule = above_zero("it is the time from one to the next");
        let every_ms = self.amount(every, false, |node, errors| units::time(node, rule, errors))?;
        let times = match times {
            Some((_, node)) => {
                let count = integer(node, 1..=MANY_TIMES as u64, self.errors)?;
                Some((count as usize, node))
            }
            None => None,
        };
        let shortest = self.shown(&every_ms).fold(f64::INFINITY, f64::min);
        let longest = self.shown(&every_ms).fold(0.0, f64::max);
        if let (None, Some(until)) = (times, stage.until_ms.filter(|_| shortest > 0.0))
            && let count = (until / shortest).ceil()
            && count > MANY_TIMES as f64
        {
            self.errors.push(
                Diagnostic::at(&every.place, "this comes too often")
                    .label(format!("every {shortest} ms: {count} times"))
                    .help(format!(
                        "{MANY_TIMES} times are the most; a longer `every_ms`"
                    )),
            );
            return None;
        }
        if let (Some((count, node)), Some(When::Ms(at))) = (times, at)
            && let Some(until) = stage.until_ms
            && let last = self.shown(at).fold(0.0, f64::max) + (count - 1) as f64 * longest
            && last >= until
        {
            let window = stage.window;
            self.errors.push(
                Diagnostic::at(
                    &node.place,
                    format!("the last of them does not come before the end of `{window}`"),
                )
                .label(format!("the last at {last} ms"))
                .help(format!(
                    "`{window}` ends {until} ms after it begins; without `times` it goes on to there"
                )),
            );
            return None;
        }
        Some(Some(Again {
            every_ms,
            times: times.map(|(count, _)| count),
        }))
    }

    /// The numbers that an amount is shown by.
    fn shown(&self, amount: &Amount) -> impl Iterator<Item = f64> + use<> {
        let numbers: Vec<f64> = match amount {
            Amount::Given(number) => vec![*number],
            Amount::Axis(axis) => {
                let shown = self.axes[*axis].shown.iter();
                let number = |(value, _): &(Value, _)| match value {
                    Value::Number(number) => Some(*number),
                    _ => None,
                };
                shown.filter_map(number).collect()
            }
        };
        numbers.into_iter()
    }

    fn at_ms(&mut self, node: &Node, stage: &Stage) -> Option<Amount> {
        let (until, window) = (stage.until_ms, stage.window);
        self.amount(node, false, |node, errors| {
            let time = units::time(node, AFTER_FORK, errors)?;
            if let Some(until) = until.filter(|until| time > *until) {
                errors.push(
                    Diagnostic::at(
                        &node.place,
                        format!("this comes after the end of `{window}`"),
                    )
                    .label(format!("{time} ms"))
                    .help(format!("`{window}` ends {until} ms after it begins")),
                );
                return None;
            }
            Some(time)
        })
    }

    fn at_phase(
        &mut self,
        name: &Key,
        node: &Node,
        rhythm: Option<(&Key, &Node)>,
        stage: &Stage,
    ) -> Option<When> {
        if stage.window == "after" {
            self.errors.push(
                Diagnostic::at(&name.place, "what is undone has a time, not a phase")
                    .label("in `undo`")
                    .help("write `at_ms`, counted from the end of `during`"),
            );
            return None;
        }
        let phase = self.amount(node, false, axes::phase);
        let rhythm = match rhythm {
            Some((_, node)) => {
                let name = key(node, self.errors)?;
                self.rhythm(&name)
            }
            None if self.bases.iter().all(|(base, _)| base.rhythms.len() == 1) => Some(0),
            None => {
                let (base, _) = &self.bases[0];
                let known: Vec<&str> = base.rhythms.iter().map(|r| r.name.as_str()).collect();
                self.errors.push(
                    Diagnostic::at(&name.place, "of which rhythm is this the phase?")
                        .label("`rhythm` is missing")
                        .help(format!("`{}` has {}", base.name, names::list(&known))),
                );
                None
            }
        };
        Some(When::Phase {
            phase: phase?,
            rhythm: rhythm?,
        })
    }

    /// The index of a rhythm, which is the same in all bases.
    fn rhythm(&mut self, name: &Key) -> Option<usize> {
        let mut known: Option<usize> = None;
        for (base, _) in &self.bases {
            let rhythms = base.rhythms.iter().map(|rhythm| rhythm.name.as_str());
            let of = format!("`{}`", base.name);
            let found = index_of(name, rhythms, "rhythm", &of, self.errors)?;
            if *known.get_or_insert(found) != found {
                self.errors.push(
                    Diagnostic::at(&name.place, "the bases list their rhythms in another order")
                        .label("not at one place")
                        .help("list the rhythms of all bases in the same order"),
                );
                return None;
            }
        }
        known
    }

    /// Holds an entry against the bases, with every value that its axes are shown by.
    fn check_entry(&mut self, entry: &Node, stage: &Stage) -> bool {
        let mut nodes = Vec::new();
        axes::references(entry, &mut nodes);
        let mut used: Vec<usize> = Vec::new();
        let mut fine = true;
        for node in nodes {
            match self.reference(node) {
                Some(Some(axis)) if !used.contains(&axis) => used.push(axis),
                Some(Some(_)) => {}
                _ => fine = false,
            }
        }
        let of_paths = |axis: &&usize| {
            let first = self.axes[**axis].shown.first();
            matches!(first, Some((Value::Texts(_), _)))
        };
        if used.iter().filter(of_paths).count() > 1 {
            self.errors.push(
                Diagnostic::at(
                    &entry.head(),
                    "an entry has one axis of paths that belong together",
                )
                .label("has several")
                .help("make an entry for each"),
            );
            fine = false;
        }
        if !fine {
            return false;
        }
        let before = self.errors.errors().len();
        // Each axis goes through its values while the others have their first.
        let turns = used.iter().flat_map(|axis| {
            let shown = 0..self.axes[*axis].shown.len();
            shown.map(move |number| (*axis, number))
        });
        let mut turns: Vec<(usize, usize)> = turns.collect();
        if turns.is_empty() {
            turns.push((usize::MAX, 0));
        }
        let at_ms = stage.from_ms.unwrap_or_default();
        for (axis, number) in turns {
            let value = |name: &str, _: &crate::scene::Place| {
                let k = self.axes.iter().position(|read| read.axis.name == name)?;
                let shown = &self.axes[k].shown;
                shown.get(if k == axis { number } else { 0 }).cloned()
            };
            for (scene, names) in &self.bases {
                let known = Known::of(scene);
                let made = axes::entries_of(entry, at_ms, &value, &known, self.errors);
                if let Err(found) = paths::entries(scene, names, &made.unwrap_or_default()) {
                    found
                        .errors()
                        .iter()
                        .for_each(|error| self.errors.push(error.clone()));
                }
            }
        }
        self.errors.errors().len() == before
    }

    fn measures(&mut self, node: &Node) -> Option<Vec<Measure>> {
        let mut measures = Vec::new();
        for name in keys(node, self.errors)? {
            for measure in self.measure(&name)? {
                if measures.contains(&measure) {
                    self.errors.push(
                        Diagnostic::at(&name.place, format!("`{}` is told twice", measure.name))
                            .label("again here")
                            .help("remove one of the two"),
                    );
                }
                measures.push(measure);
            }
        }
        Some(measures)
    }

    /// The measures that a path names in every base: a glob is spelt out.
    fn measure(&mut self, written: &Key) -> Option<Vec<Measure>> {
        let mut known: Option<Vec<Measure>> = None;
        for (scene, names) in &self.bases {
            match measure(scene, names, written) {
                Ok(found) if known.as_ref().is_some_and(|known| *known != found) => {
                    self.errors.push(
                        Diagnostic::at(&written.place, "the bases differ in what this names")
                            .label("not the same cells")
                            .help("name cells that all bases have, one by one"),
                    );
                    return None;
                }
                Ok(found) => known = Some(found),
                Err(error) => {
                    self.errors.push(error);
                    return None;
                }
            }
        }
        known
    }

    fn outcomes(&mut self, node: &Node, windows: [bool; 3]) -> Option<Vec<Outcome>> {
        let items = list(node, self.errors)?;
        let read: Vec<Option<Vec<Outcome>>> = items
            .iter()
            .map(|node| self.outcome(node, windows))
            .collect();
        let read: Vec<Vec<Outcome>> = read.into_iter().collect::<Option<_>>()?;
        Some(read.into_iter().flatten().collect())
    }

    fn outcome(&mut self, node: &Node, windows: [bool; 3]) -> Option<Vec<Outcome>> {
        let mut fields = Fields::of(node, "an outcome", self.errors)?;
        let name = fields
            .required("name")
            .and_then(|node| key(node, self.errors));
        if let Some(name) = &name {
            names::check(name, Role::Outcome, self.errors);
        }
        let measure = fields.required("measure").and_then(|node| {
            let written = key(node, self.errors)?;
            self.measure(&written)
        });
        let at = fields
            .required("at")
            .and_then(|node| self.moment(node, windows));
        let of = match fields.optional("of") {
            Some(node) => self.moment(node, windows).map(Some),
            None => Some(None),
        };
        let bounds = [fields.entry("below"), fields.entry("above")];
        let bound = match bounds {
            [Some((_, node)), None] => number(node, ANY, self.errors).map(|bound| (true, bound)),
            [None, Some((_, node))] => number(node, ANY, self.errors).map(|bound| (false, bound)),
            [Some((first, _)), Some((second, _))] => {
                self.errors.push(
                    Diagnostic::at(&second.place, "an outcome has one bound")
                        .label("second bound")
                        .and(&first.place, "first bound")
                        .help("write two outcomes of one name: both must hold"),
                );
                None
            }
            [None, None] => {
                self.errors.push(
                    Diagnostic::at(fields.head(), "an outcome needs `below` or `above`")
                        .label("no bound"),
                );
                None
            }
        };
        fields.finish(self.errors);
        let (name, (below, bound), at, of) = (name?, bound?, at?, of?);
        let outcome = |measure: Measure| Outcome {
            name: name.text.clone(),
            measure,
            at,
            below,
            bound,
            of,
        };
        Some(measure?.into_iter().map(outcome).collect())
    }

    /// A window that the study has.
    fn moment(&mut self, node: &Node, windows: [bool; 3]) -> Option<Moment> {
        const MOMENTS: [(&str, Moment); 3] = [
            ("before", Moment::Before),
            ("during", Moment::During),
            ("after", Moment::After),
        ];
        let moment = scene::decode::choice(node, &MOMENTS, self.errors)?;
        if windows[moment as usize] {
            return Some(moment);
        }
        let (name, help) = match moment {
            Moment::Before => ("before", "`before_ms: 10_000`"),
            _ => ("after", "`after: (skip_ms: 1000, for_ms: 10_000)`"),
        };
        self.errors.push(
            Diagnostic::at(&node.place, format!("the study has no window `{name}`"))
                .label("no such window")
                .help(format!("add for instance {help}")),
        );
        None
    }

    fn response(&mut self, node: &Node, entries: Option<&[&Timed]>) -> Option<Response> {
        let mut fields = Fields::of(node, "`response`", self.errors)?;
        let rhythm = fields
            .required("rhythm")
            .and_then(|node| key(node, self.errors))
            .and_then(|name| self.rhythm(&name));
        let phase = fields.required("phase").and_then(|node| {
            let name = key(node, self.errors)?;
            let known = self.axes.iter().map(|read| read.axis.name.as_str());
            let axis = index_of(&name, known, "axis", "the study", self.errors)?;
            let is_phase = entries.is_none_or(|entries| {
                entries.iter().any(|timed| {
                matches!(&timed.at, When::Phase { phase: Amount::Axis(of), .. } if *of == axis)
            })
            });
            if !is_phase {
                self.errors.push(
                    Diagnostic::at(&name.place, format!("axis `{}` is no phase", name.text))
                        .label("no entry acts at it")
                        .help(format!(
                            "an entry of the protocol needs `at_phase: Axis(\"{}\")`",
                            name.text
                        )),
                );
                return None;
            }
            Some(axis)
        });
        let size = match fields.optional("size") {
            Some(node) => self.size(node).map(Some),
            None => Some(None),
        };
        let cycles = match fields.optional("cycles") {
            Some(node) => integer(node, 1..=100, self.errors),
            None => Some(2),
        };
        fields.finish(self.errors);
        Some(Response {
            rhythm: rhythm?,
            phase: phase?,
            size: size?,
            cycles: usize::try_from(cycles?).ok()?,
        })
    }

    fn return_map(&mut self, node: &Node) -> Option<ReturnMap> {
        let mut fields = Fields::of(node, "`return_map`", self.errors)?;
        let rhythm = fields.required("rhythm").and_then(|node| {
            let name = key(node, self.errors)?;
            let rhythm = self.rhythm(&name)?;
            let alone = self.bases.iter().find(|(base, _)| {
                let cells = base.rhythms.get(rhythm).map(verdict::cells);
                cells.is_none_or(|cells| cells.count() < 2)
            });
            if let Some((base, _)) = alone {
                let message = format!("rhythm `{}` of `{}` has one cell", name.text, base.name);
                let error = Diagnostic::at(&name.place, message).label("nothing lags behind it");
                self.errors
                    .push(error.help("a return map takes a rhythm of two cells or more"));
                return None;
            }
            Some(rhythm)
        });
        let starts = fields.required("starts").and_then(|node| {
            let names = keys(node, self.errors)?;
            if names.is_empty() {
                let wanted = "the axes that set the starting lags: `[\"hold\"]`";
                self.errors.push(expected(wanted, node));
                return None;
            }
            let known = || self.axes.iter().map(|read| read.axis.name.as_str());
            let axes = names
                .iter()
                .map(|name| index_of(name, known(), "axis", "the study", self.errors));
            axes.collect::<Vec<Option<usize>>>().into_iter().collect()
        });
        let bins = match fields.optional("bins") {
            Some(node) => integer(node, 2..=10_000, self.errors),
            None => Some(20),
        };
        fields.finish(self.errors);
        Some(ReturnMap {
            rhythm: rhythm?,
            starts: starts?,
            bins: usize::try_from(bins?).ok()?,
        })
    }

    /// The axis that is the size of a pulse.
    fn size(&mut self, node: &Node) -> Option<usize> {
        let name = key(node, self.errors)?;
        let known = self.axes.iter().map(|read| read.axis.name.as_str());
        let axis = index_of(&name, known, "axis", "the study", self.errors)?;
        let mut shown = self.axes[axis].shown.iter();
        if let Some((value, _)) = shown.find(|(value, _)| !matches!(value, Value::Number(_))) {
            let message = format!("axis `{}` is no size", name.text);
            let error = Diagnostic::at(&name.place, message).label(format!("`{value}` is a word"));
            self.errors
                .push(error.help("name the axis of the amplitude, or of the length, of the pulse"));
            return None;
        }
        Some(axis)
    }

    /// Refuses axes that nothing refers to.
    fn refuse_unused(&mut self) {
        for read in self.axes.iter().filter(|read| !read.used) {
            let name = &read.axis.name;
            self.errors.push(
                Diagnostic::at(
                    &read.axis.origin,
                    format!("nothing refers to axis `{name}`"),
                )
                .label("unused axis")
                .help(format!(
                    "write `Axis(\"{name}\")` where its value belongs, or take it out"
                )),
            );
        }
    }

    /// Holds the axes against the way in which points are chosen.
    fn judge_design(&mut self, design: Design, node: Option<&Node>) {
        let head = node.map(Node::head).unwrap_or_default();
        let axes = || self.axes.iter().map(|read| &read.axis);
        let bisections: Vec<_> = axes()
            .filter(|axis| matches!(axis.values, Values::Bisect { .. }))
            .collect();
        if let [first, second, ..] = bisections.as_slice() {
            self.errors.push(
                Diagnostic::at(&second.origin, "a study has one bisection at most")
                    .label("second bisection")
                    .and(&first.origin, "first bisection")
                    .help("vary the other one by `Linear(…)`"),
            );
        }
        if let (Some(axis), true) = (bisections.first(), design != Design::Grid) {
            self.errors.push(
                Diagnostic::at(&axis.origin, "a bisection needs a grid")
                    .label("bisection")
                    .and(&head, "not a grid")
                    .help("take `design` out"),
            );
        }
        if axes().next().is_none() && design != Design::Grid {
            self.errors.push(
                Diagnostic::at(&head, "there is nothing to choose points of")
                    .label("no `axes`")
                    .help("take `design` out, or add `axes`"),
            );
        }
        if let Design::Sobol(_) = design
            && self.axes.len() > sobol::DIMENSIONS
        {
            self.errors.push(
                Diagnostic::at(&head, "a Sobol sequence has not as many dimensions")
                    .label(format!("{} axes", self.axes.len()))
                    .help(format!(
                        "at most {}, or `LatinHypercube`",
                        sobol::DIMENSIONS
                    )),
            );
        }
        let counts = || axes().map(|axis| (axis, axis.values.count()));
        if let (Design::Together, Some((first, count))) = (design, counts().next())
            && let Some((axis, other)) = counts().find(|(_, other)| *other != count)
        {
            self.errors.push(
                Diagnostic::at(
                    &axis.origin,
                    "axes that go together have as many values each",
                )
                .label(format!("{other} values"))
                .and(&first.origin, format!("{count} values"))
                .help("`design: Grid` takes every combination"),
            );
        }
    }
}

/// The numbers an axis is shown by.
fn numbers(read: &Read) -> impl Iterator<Item = f64> {
    read.shown.iter().filter_map(|(value, _)| match value {
        Value::Number(number) => Some(*number),
        _ => None,
    })
}

/// The measures that a path names in a scene.
fn measure(scene: &Scene, names: &Names, written: &Key) -> Result<Vec<Measure>, Diagnostic> {
    let (text, place) = (written.text.as_str(), &written.place);
    if !["cells.", "rhythms."]
        .iter()
        .any(|root| text.starts_with(root))
    {
        let known = ["cells.CELL.spikes", "rhythms.NAME.period_ms"];
        if !text.contains('.') {
            return Err(
                Diagnostic::at(place, format!("there is no measure `{text}`"))
                    .label("this quantity")
                    .help(format!(
                        "for instance {}, or a scalar as `LP.V`",
                        names::list(&known)
                    )),
            );
        }
        let targets = paths::targets(names, text, place)?;
        let scalars = targets.addresses().into_iter().map(|address| Measure {
            name: names.path(address),
            is_scalar: true,
        });
        return Ok(scalars.collect());
    }
    let word = |measure: &str| {
        Err(
            Diagnostic::at(place, format!("`{measure}` is a word, not a number"))
                .label("this quantity")
                .help("verdicts and patterns are columns of the tables anyway"),
        )
    };
    let of = |name: String| Measure {
        name,
        is_scalar: false,
    };
    let cell = |cell: usize| &scene.cells[cell].name;
    let rhythm = |rhythm: usize| &scene.rhythms[rhythm].name;
    match expect::of_window(scene, names, (0, text), (text, place))? {
        Quantity::Cells {
            measure: word_of @ "pattern",
            ..
        }
        | Quantity::Rhythm {
            measure: word_of @ ("verdict" | "reference"),
            ..
        } => word(word_of),
        Quantity::Cells { cells, measure, .. } => {
            let names = cells.into_iter();
            Ok(names
                .map(|k| of(format!("cells.{}.{measure}", cell(k))))
                .collect())
        }
        Quantity::Rhythm {
            rhythm: r, measure, ..
        } => Ok(vec![of(format!("rhythms.{}.{measure}", rhythm(r)))]),
        Quantity::Phases {
            rhythm: r,
            cells,
            measure,
            ..
        } => {
            let names = cells.into_iter();
            let name = |k: usize| format!("rhythms.{}.cells.{}.{measure}", rhythm(r), cell(k));
            Ok(names.map(|k| of(name(k))).collect())
        }
        _ => Ok(Vec::new()),
    }
}
