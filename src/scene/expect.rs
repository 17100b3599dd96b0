//! What a scene must show: measured quantities with the values wanted of them.
//!
//! A quantity is a number or word of the run's JSON (`measure`), lists picked by name, or a scalar
//! of the network at a time (`scalar`). The measures that there are stand here by name, so that one
//! that is not is refused before anything runs; a test holds them against the JSON itself.

use homarus_systems::address::{Address, Names};

use super::{
    decode::{
        ANY, Fields, Rule, boolean, expected, fraction, key, map, not_negative, number, text,
    },
    diagnostic::{Diagnostic, Diagnostics},
    model::{Expectation, LISTED_CELLS, Scene, Take, Tolerance, Wanted},
    names,
    network::{Network, beyond},
    paths,
    source::Place,
    syntax::{Key, Node, Value},
    units,
};

/// Measures of a cell in a window that are numbers.
pub const CELL_NUMBERS: [&str; 11] = [
    "spikes",
    "frequency_hz",
    "bursts",
    "period_ms",
    "period_cv",
    "duty",
    "spikes_per_burst",
    "spikes_per_burst_max",
    "intraburst_hz",
    "burstiness_hz2",
    "ca_mean_um",
];

/// Firing patterns of a cell.
pub const PATTERNS: [&str; 4] = ["silent", "tonic", "irregular", "bursting"];

/// Measures of a rhythm that are numbers.
pub const RHYTHM_NUMBERS: [&str; 2] = ["period_ms", "period_cv"];

/// Verdicts on a rhythm.
pub const VERDICTS: [&str; 3] = ["rhythmic", "irregular", "absent"];

/// Measures of a cell in a rhythm.
pub const PHASE_NUMBERS: [&str; 2] = ["phase", "lock"];

/// Moments of a population.
pub const MOMENTS: [&str; 3] = ["mean", "sd", "median"];

/// What only the conductances of a population have.
pub const SPREADS: [&str; 2] = ["cv", "max_over_min"];

/// Measures that have moments, besides the conductances.
pub const POPULATION_MEASURES: [&str; 6] = [
    "frequency_hz",
    "period_ms",
    "duty",
    "spikes_per_burst",
    "burstiness_hz2",
    "ca_mean_um",
];

/// Numbers of the run as a whole.
pub const RUN_NUMBERS: [&str; 5] = ["neurons", "edges", "seed", "step_ms", "model_ms"];

const SHARE: Rule = fraction("it is a share of the cells");

/// A quantity as it is looked up; cells, windows and rhythms by their place in the scene.
#[derive(Clone, Debug, PartialEq)]
pub enum Quantity {
    /// A number of the run.
    Run(&'static str),
    /// A measure of cells in a window.
    Cells {
        /// Window.
        window: usize,
        /// Cells.
        cells: Vec<usize>,
        /// Measure.
        measure: &'static str,
    },
    /// A measure of a rhythm in a window.
    Rhythm {
        /// Window.
        window: usize,
        /// Rhythm.
        rhythm: usize,
        /// Measure.
        measure: &'static str,
    },
    /// A measure of cells in a rhythm.
    Phases {
        /// Window.
        window: usize,
        /// Rhythm.
        rhythm: usize,
        /// Cells.
        cells: Vec<usize>,
        /// Measure.
        measure: &'static str,
    },
    /// A number of a population in a window.
    Population {
        /// Window.
        window: usize,
        /// Population.
        name: String,
        /// Moment, if it is one.
        moment: Option<&'static str>,
        /// Measure or count.
        measure: String,
    },
    /// Scalars of the network at a time (ms).
    Scalars {
        /// Scalars.
        addresses: Vec<Address>,
        /// Time (ms).
        at_ms: f64,
    },
}

/// Reads the expectations of a scene.
pub(super) fn read(
    node: &Node,
    network: &Network,
    duration: Option<f64>,
    errors: &mut Diagnostics,
) -> Option<Vec<Expectation>> {
    let items = super::decode::list(node, errors)?;
    let read: Vec<Option<Expectation>> = items
        .iter()
        .map(|node| expectation(node, network, duration, errors))
        .collect();
    read.into_iter().collect()
}

fn expectation(
    node: &Node,
    network: &Network,
    duration: Option<f64>,
    errors: &mut Diagnostics,
) -> Option<Expectation> {
    let mut fields = Fields::of(node, "an expectation", errors)?;
    let head = fields.head().clone();
    let measure = fields.optional("measure");
    let scalar = fields.optional("scalar");
    let at = fields.entry("at_ms");
    let take = match fields.optional("take") {
        Some(node) => take(node, errors),
        None => Some(Take::Each),
    };
    let share = match fields.optional("fraction") {
        Some(node) => number(node, SHARE, errors),
        None => Some(1.0),
    };
    let or_undefined = match fields.optional("or_undefined") {
        Some(node) => boolean(node, errors),
        None => Some(false),
    };
    let wanted = wanted(&mut fields, network, errors);
    let [source, note] = ["source", "note"].map(|name| match fields.optional(name) {
        Some(node) => text(node, errors).map(|text| Some(text.to_owned())),
        None => Some(None),
    });
    fields.finish(errors);
    let quantity = match (measure, scalar) {
        (Some(node), None) | (None, Some(node)) => key(node, errors)?,
        (Some(_), Some(node)) => {
            errors.push(
                Diagnostic::at(&node.place, "an expectation is about one quantity")
                    .label("second quantity")
                    .help("write one expectation for each"),
            );
            return None;
        }
        (None, None) => {
            errors.push(
                Diagnostic::at(&head, "an expectation needs a quantity")
                    .label("`measure` or `scalar` is missing")
                    .help(
                        "for instance `measure: \"windows.settled.cells.A.period_ms\"`, or \
                         `scalar: \"A.CaS.gbar\"`",
                    ),
            );
            return None;
        }
    };
    let at_ms = match at {
        None => None,
        Some((name, _)) if measure.is_some() => {
            errors.push(
                Diagnostic::at(&name.place, "a measure has no time of its own")
                    .label("only with `scalar`")
                    .help("a measure is taken over its window"),
            );
            return None;
        }
        Some((_, node)) => {
            let at = units::time(node, not_negative("a run begins at 0"), errors)?;
            if let Some(error) = beyond(at, &node.place, "this is", duration) {
                errors.push(error);
                return None;
            }
            Some(at)
        }
    };
    Some(Expectation {
        quantity: quantity.text,
        is_scalar: scalar.is_some(),
        at_ms,
        take: take?,
        wanted: wanted?,
        fraction: share?,
        or_undefined: or_undefined?,
        source: source?,
        note: note?,
        origin: quantity.place,
    })
}

/// What several values become one by.
fn take(node: &Node, errors: &mut Diagnostics) -> Option<Take> {
    const WANTED: &str =
        "one of `Mean`, `Median`, `Min`, `Max`, `Quantile(0.9)`, `Fraction(\"bursting\")`";
    match &node.value {
        Value::Word(word) => match word.as_str() {
            "Mean" => return Some(Take::Mean),
            "Median" => return Some(Take::Quantile(0.5)),
            "Min" => return Some(Take::Min),
            "Max" => return Some(Take::Max),
            _ => {}
        },
        Value::Tuple(Some(name), items) => match (name.text.as_str(), items.as_slice()) {
            ("Quantile", [q]) => {
                return number(q, fraction("a quantile is a share"), errors).map(Take::Quantile);
            }
            ("Fraction", [word]) => {
                return text(word, errors).map(|word| Take::Fraction(word.to_owned()));
            }
            _ => {}
        },
        _ => {}
    }
    errors.push(expected(WANTED, node));
    None
}

/// The value wanted, in one of the ways there are.
fn wanted(fields: &mut Fields, network: &Network, errors: &mut Diagnostics) -> Option<Wanted> {
    let head = fields.head().clone();
    let [value, is, values, table, column] =
        ["value", "is", "values", "table", "column"].map(|name| fields.optional(name));
    let [least, most] = ["at_least", "at_most"].map(|name| fields.optional(name));
    let near = fields.optional("tolerance").or(fields.optional("relative"));
    let tolerance = tolerance(fields, errors);
    let range = least.or(most);
    let ways = [value, is, values, table, range];
    let mut given = ways.into_iter().flatten();
    let Some(first) = given.next() else {
        errors.push(
            Diagnostic::at(&head, "an expectation needs a value")
                .label("nothing is wanted")
                .help(
                    "write `value: 222, tolerance: 5`, `at_least: 11`, `is: \"bursting\"` or \
                     `table: \"cells.csv\", column: \"g\", relative: 0.05`",
                ),
        );
        return None;
    };
    if let Some(second) = given.next() {
        errors.push(
            Diagnostic::at(&second.place, "an expectation wants one thing")
                .label("and this")
                .and(&first.place, "this")
                .help("write one expectation for each"),
        );
        return None;
    }
    let tolerance = tolerance?;
    let spare = [
        (
            column.filter(|_| table.is_none()),
            "`column` belongs to a `table`",
        ),
        (
            near.filter(|_| range.is_some() || is.is_some()),
            "a tolerance belongs to a value",
        ),
    ];
    for (node, message) in spare {
        if let Some(node) = node {
            errors.push(Diagnostic::at(&node.place, message).label("not needed"));
        }
    }
    let needs = |node: &Node, errors: &mut Diagnostics| {
        if tolerance.is_none() {
            errors.push(
                Diagnostic::at(&node.place, "a value needs a tolerance")
                    .label("how near is near enough?")
                    .help("add `tolerance: 5` (in its unit) or `relative: 0.05`"),
            );
        }
        tolerance
    };
    match (value, is, values, table) {
        (Some(node), ..) => {
            let value = number(node, ANY, errors);
            let tolerance = needs(node, errors);
            Some(Wanted::Value(value?, tolerance?))
        }
        (_, Some(node), ..) => text(node, errors).map(|word| Wanted::Word(word.to_owned())),
        (_, _, Some(node), _) => {
            let entries = map(node, errors)?.iter();
            let values: Vec<Option<(String, f64)>> = entries
                .map(|(cell, node)| Some((cell.text.clone(), number(node, ANY, errors)?)))
                .collect();
            let tolerance = needs(node, errors);
            Some(Wanted::Cells(
                values.into_iter().collect::<Option<_>>()?,
                tolerance?,
            ))
        }
        (_, _, _, Some(node)) => {
            let Some(column) = column else {
                errors.push(
                    Diagnostic::at(&node.place, "which column of the table?")
                        .label("`column` is missing")
                        .help("the column `cell` has the names, `column: \"g\"` the values"),
                );
                return None;
            };
            let (file, column) = (key(node, errors), key(column, errors));
            let tolerance = needs(node, errors);
            let values = table_column(network, node, &file?, &column?, errors);
            Some(Wanted::Cells(values?, tolerance?))
        }
        _ => {
            let [low, high] = [least, most].map(|node| match node {
                Some(node) => number(node, ANY, errors).map(Some),
                None => Some(None),
            });
            let (low, high) = (low?, high?);
            if let (Some(a), Some(b), Some(node)) = (low, high, most)
                && a > b
            {
                errors.push(
                    Diagnostic::at(&node.place, "no number is in this range")
                        .label(format!("at least {a}, at most {b}")),
                );
                return None;
            }
            Some(Wanted::Range(low, high))
        }
    }
}

/// `tolerance` or `relative`, if there is one.
fn tolerance(fields: &mut Fields, errors: &mut Diagnostics) -> Option<Option<Tolerance>> {
    let absolute = fields.optional("tolerance");
    let relative = fields.optional("relative");
    match (absolute, relative) {
        (Some(_), Some(node)) => {
            errors.push(
                Diagnostic::at(&node.place, "one tolerance is enough").label("second tolerance"),
            );
            None
        }
        (Some(node), None) => {
            let rule = not_negative("a distance has no sign");
            number(node, rule, errors).map(|x| Some(Tolerance::Absolute(x)))
        }
        (None, Some(node)) => {
            let rule = not_negative("a distance has no sign");
            number(node, rule, errors).map(|x| Some(Tolerance::Relative(x)))
        }
        (None, None) => Some(None),
    }
}

/// Values by cell from a table with a column `cell`.
fn table_column(
    network: &Network,
    node: &Node,
    file: &Key,
    column: &Key,
    errors: &mut Diagnostics,
) -> Option<Vec<(String, f64)>> {
    let source = network.file(node, &file.text, "table of values", errors)?;
    let mut wrong = |place: &Place, message: String, help: Option<String>| {
        errors.push(
            Diagnostic::at(place, message)
                .label("this table")
                .maybe_help(help),
        );
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(source.text().as_bytes());
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(str::to_owned).collect(),
        Err(error) => {
            wrong(&node.place, format!("`{}`: {error}", file.text), None);
            return None;
        }
    };
    let place = |name: &str| header.iter().position(|known| known == name);
    let (Some(cell), Some(value)) = (place("cell"), place(&column.text)) else {
        let missing = match place("cell") {
            None => "cell",
            Some(_) => column.text.as_str(),
        };
        let known = header.iter().map(String::as_str);
        wrong(
            &node.place,
            format!("`{}` has no column `{missing}`", file.text),
            names::hint(missing, known, "column"),
        );
        return None;
    };
    let mut values: Vec<(String, f64)> = Vec::new();
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                wrong(&node.place, format!("`{}`: {error}", file.text), None);
                return None;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        let text = row.get(value).unwrap_or_default();
        let number = text.parse::<f64>().ok().filter(|x| x.is_finite());
        let Some(number) = number else {
            let message = format!("`{}`, line {line}: `{text}` is no finite number", file.text);
            wrong(&node.place, message, None);
            return None;
        };
        values.push((row.get(cell).unwrap_or_default().to_owned(), number));
    }
    Some(values)
}

/// Holds every expectation against the scene it is of.
pub(super) fn check(scene: &Scene, errors: &mut Diagnostics) {
    if scene.expect.is_empty() {
        return;
    }
    let names = paths::names(scene);
    for expectation in &scene.expect {
        if let Err(error) = resolve(scene, &names, expectation) {
            errors.push(error);
        }
    }
}

/// What an expectation is about.
///
/// # Errors
/// There is no such quantity, or it cannot be judged as it is asked for.
pub fn resolve(
    scene: &Scene,
    names: &Names,
    expectation: &Expectation,
) -> Result<Quantity, Diagnostic> {
    let quantity = match expectation.is_scalar {
        true => Quantity::Scalars {
            addresses: names
                .scalars(&expectation.quantity)
                .map_err(|e| no(&expectation.origin, e.message, e.help))?,
            at_ms: expectation.at_ms.unwrap_or(scene.duration_ms),
        },
        false => measure(scene, names, expectation)?,
    };
    judgeable(scene, expectation, &quantity)?;
    Ok(quantity)
}

fn no(origin: &Place, message: String, help: Option<String>) -> Diagnostic {
    Diagnostic::at(origin, message)
        .label("this quantity")
        .maybe_help(help)
}

/// Takes the next name off a path; one of `known` names may hold dots.
fn split<'p>(path: &'p str, known: &[&str]) -> (&'p str, &'p str) {
    let whole = known.iter().find_map(|name| {
        let rest = path.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with('.')).then_some(name.len())
    });
    let end = whole.unwrap_or_else(|| path.find('.').unwrap_or(path.len()));
    (&path[..end], path[end..].trim_start_matches('.'))
}

fn measure(
    scene: &Scene,
    names: &Names,
    expectation: &Expectation,
) -> Result<Quantity, Diagnostic> {
    let written = (expectation.quantity.as_str(), &expectation.origin);
    let unknown = |what: &str, found: &str, known: &[&str]| unknown(written, what, found, known);
    let windows: Vec<&str> = scene.windows.iter().map(|w| w.label.as_str()).collect();
    let (root, rest) = split(&expectation.quantity, &[]);
    if root != "windows" && root != "populations" {
        let known = [&RUN_NUMBERS[..], &["windows", "populations"]].concat();
        return pick(written, "measure", &expectation.quantity, &known).map(Quantity::Run);
    }
    let (label, rest) = split(rest, &windows);
    let window = windows
        .iter()
        .position(|known| *known == label)
        .ok_or_else(|| unknown("window", label, &windows))?;
    if root == "populations" {
        return population(scene, (window, rest), expectation, &unknown);
    }
    of_window(scene, names, (window, rest), written)
}

/// A quantity as it is written, and where.
type Written<'a> = (&'a str, &'a Place);

/// The error for a part of a quantity that there is not.
fn unknown((written, origin): Written, what: &str, found: &str, known: &[&str]) -> Diagnostic {
    let message = match found.is_empty() {
        true => format!("`{written}` ends before a {what}"),
        false => format!("there is no {what} `{found}`"),
    };
    no(
        origin,
        message,
        names::hint(found, known.iter().copied(), what),
    )
}

/// The one of some known words that is meant.
fn pick(
    written: Written,
    what: &str,
    found: &str,
    known: &[&'static str],
) -> Result<&'static str, Diagnostic> {
    let found_at = known.iter().find(|name| **name == found);
    found_at
        .copied()
        .ok_or_else(|| unknown(written, what, found, known))
}

/// A measure of cells or of a rhythm in a window (by its place in the scene, if it is one of it), by
/// what follows the window in its path.
///
/// # Errors
/// There is no such measure, cell or rhythm.
pub(crate) fn of_window(
    scene: &Scene,
    names: &Names,
    (window, rest): (usize, &str),
    written: Written,
) -> Result<Quantity, Diagnostic> {
    let origin = written.1;
    let unknown = |what: &str, found: &str, known: &[&str]| unknown(written, what, found, known);
    let pick = |what: &str, found: &str, known: &[&'static str]| pick(written, what, found, known);
    let rhythms: Vec<&str> = scene.rhythms.iter().map(|r| r.name.as_str()).collect();
    let (list, rest) = split(rest, &[]);
    let select = |selector: &str| {
        names
            .select_cells(selector)
            .map_err(|e| no(origin, e.message, e.help))
    };
    let of_cells = [&CELL_NUMBERS[..], &["pattern"]].concat();
    let of_rhythm = [&RHYTHM_NUMBERS[..], &["verdict", "reference"]].concat();
    match list {
        "cells" => {
            let (cells, field) = split(rest, &[]);
            Ok(Quantity::Cells {
                window,
                cells: select(cells)?,
                measure: pick("measure of cells", field, &of_cells)?,
            })
        }
        "rhythms" => {
            let (name, rest) = split(rest, &rhythms);
            let rhythm = rhythms
                .iter()
                .position(|known| *known == name)
                .ok_or_else(|| unknown("rhythm", name, &rhythms))?;
            let (field, rest) = split(rest, &[]);
            let (cells, field) = match (field, rest) {
                ("cells", rest) => split(rest, &[]),
                (field, "") => {
                    let measure = pick("measure of rhythms", field, &of_rhythm)?;
                    return Ok(Quantity::Rhythm {
                        window,
                        rhythm,
                        measure,
                    });
                }
                // `cells` may be left out.
                (cell, field) => (cell, field),
            };
            let chosen = select(cells)?;
            let of = &scene.rhythms[rhythm];
            let followers: Vec<usize> = chosen
                .into_iter()
                .filter(|cell| of.cells.contains(cell) && *cell != of.reference)
                .collect();
            if followers.is_empty() {
                let message = format!("`{cells}` follows no rhythm `{name}`");
                let help = format!(
                    "phases are those of its other cells in the cycle of its reference, {}",
                    scene.cells[of.reference].name
                );
                return Err(no(origin, message, Some(help)));
            }
            Ok(Quantity::Phases {
                window,
                rhythm,
                cells: followers,
                measure: pick("measure of cells in a rhythm", field, &PHASE_NUMBERS)?,
            })
        }
        other => Err(unknown("list of a window", other, &["cells", "rhythms"])),
    }
}

/// A number of a population; there are populations where there are many cells.
fn population(
    scene: &Scene,
    (window, rest): (usize, &str),
    expectation: &Expectation,
    unknown: &dyn Fn(&str, &str, &[&str]) -> Diagnostic,
) -> Result<Quantity, Diagnostic> {
    let told = scene.told();
    if told.is_empty() {
        let message = format!(
            "a scene of {} single cells has no populations",
            scene.cells.len()
        );
        let help = format!(
            "a cell with a `count` is one, and above {LISTED_CELLS} cells all are; take a measure \
             over `cells.*` instead"
        );
        return Err(no(&expectation.origin, message, Some(help)));
    }
    let known: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    let (name, rest) = split(rest, &known);
    if !known.contains(&name) {
        return Err(unknown("population", name, &known));
    }
    let (field, rest) = split(rest, &[]);
    let counts = [&["n"][..], &PATTERNS].concat();
    let mut moments = MOMENTS.into_iter().chain(SPREADS);
    let moment = moments.find(|moment| *moment == field);
    let measure = match moment {
        None if counts.contains(&field) && rest.is_empty() => field,
        None => {
            let known = [&counts[..], &MOMENTS, &SPREADS].concat();
            return Err(unknown("number of a population", field, &known));
        }
        Some(_) => {
            let channels = scene.cell_types.iter().flat_map(|cell| &cell.channels);
            let conductances: Vec<String> = channels
                .map(|(channel, _)| format!("{channel}.gbar"))
                .collect();
            // Conductances are those at the end of the run, or of a probe.
            let window = &scene.windows[window];
            let at_end = window.probe_at_ms.is_some() || window.to_ms >= scene.duration_ms;
            let mut known = POPULATION_MEASURES.to_vec();
            known.retain(|_| !SPREADS.contains(&field));
            known.extend(conductances.iter().filter(|_| at_end).map(String::as_str));
            if !known.contains(&rest) {
                return Err(unknown("measure of populations", rest, &known));
            }
            rest
        }
    };
    Ok(Quantity::Population {
        window,
        name: name.to_owned(),
        moment,
        measure: measure.to_owned(),
    })
}

/// Refuses what cannot be judged: words held against numbers, cells without a value.
fn judgeable(
    scene: &Scene,
    expectation: &Expectation,
    quantity: &Quantity,
) -> Result<(), Diagnostic> {
    let words: Option<Vec<&str>> = match quantity {
        Quantity::Cells {
            measure: "pattern", ..
        } => Some(PATTERNS.to_vec()),
        Quantity::Rhythm {
            measure: "verdict", ..
        } => Some(VERDICTS.to_vec()),
        Quantity::Rhythm {
            measure: "reference",
            ..
        } => Some(scene.cells.iter().map(|cell| &*cell.name).collect()),
        _ => None,
    };
    let about = &expectation.quantity;
    let word = match (&expectation.take, &expectation.wanted) {
        (Take::Fraction(word), _) => Some(word),
        (_, Wanted::Word(word)) => Some(word),
        _ => None,
    };
    match (&words, word) {
        (Some(words), Some(word)) if !words.contains(&word.as_str()) => {
            let message = format!("`{about}` is never `{word}`");
            let help = names::hint(word, words.iter().copied(), "word");
            return Err(no(&expectation.origin, message, help));
        }
        (Some(words), None) => {
            let message = format!("`{about}` is a word");
            let help = format!("write for instance `is: \"{}\"`", words[0]);
            return Err(no(&expectation.origin, message, Some(help)));
        }
        (None, Some(word)) => {
            let message = format!("`{about}` is a number, it is never `{word}`");
            let help = "write `value` with a tolerance, `at_least` or `at_most`".to_owned();
            return Err(no(&expectation.origin, message, Some(help)));
        }
        _ => {}
    }
    if matches!(expectation.take, Take::Fraction(_))
        && matches!(expectation.wanted, Wanted::Word(_))
    {
        let message = "a fraction is a number".to_owned();
        return Err(no(
            &expectation.origin,
            message,
            Some("write for instance `at_least: 0.9`".to_owned()),
        ));
    }
    if expectation.take != Take::Each && expectation.fraction != 1.0 {
        let message = "of one number there is no fraction".to_owned();
        let help = "leave `take` or `fraction` away".to_owned();
        return Err(no(&expectation.origin, message, Some(help)));
    }
    let Wanted::Cells(values, _) = &expectation.wanted else {
        return Ok(());
    };
    if expectation.take != Take::Each {
        let message = "values of cells are compared cell by cell".to_owned();
        return Err(no(
            &expectation.origin,
            message,
            Some("leave `take` away".to_owned()),
        ));
    }
    for owner in owners(quantity) {
        let message = match owner {
            Some(cell) if wanted_of(scene, values, cell).is_some() => continue,
            Some(cell) => format!("there is no value for cell `{}`", scene.cells[cell].name),
            None => format!("`{about}` is not a quantity of cells"),
        };
        return Err(no(&expectation.origin, message, None));
    }
    Ok(())
}

/// The cells that the values of a quantity belong to, in order; `None` for what is no cell's.
pub fn owners(quantity: &Quantity) -> Vec<Option<usize>> {
    match quantity {
        Quantity::Cells { cells, .. } | Quantity::Phases { cells, .. } => {
            cells.iter().copied().map(Some).collect()
        }
        Quantity::Scalars { addresses, .. } => {
            let cell = |address: &Address| match address {
                Address::Cell(cell, _) | Address::Channel(cell, ..) => Some(*cell),
                Address::Edge(..) | Address::Bulk(..) => None,
            };
            addresses.iter().map(cell).collect()
        }
        _ => vec![None],
    }
}

/// The value wanted of a cell.
pub fn wanted_of(scene: &Scene, values: &[(String, f64)], cell: usize) -> Option<f64> {
    let name = &*scene.cells[cell].name;
    let found = values.iter().find(|(of, _)| of == name);
    found.map(|(_, value)| *value)
}
