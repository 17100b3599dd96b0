//! Where cells stand, and which of them stand close together: positions (µm), layouts of
//! populations and of copied networks, rules and weights that depend on the distance of two cells.

use std::collections::HashMap;

use glam::{DVec3, I64Vec3};
use homarus_systems::kinetics::{Expression, Program, Variable, Variables};
use rayon::prelude::*;

use super::{
    decode::{ANY, Fields, Rule, above_zero, expected, expression, integer, not_negative, number},
    diagnostic::{Diagnostic, Diagnostics},
    draw::Stream,
    model::{Bulk, Layout, Scene},
    names,
    source::Place,
    syntax::{Node, Value},
};

/// The name of the distance (µm) in expressions.
const DISTANCE: &str = "d";

/// Most pairs of cells that a rule of distance looks at: about a minute.
const MAX_PAIRS: u64 = 10_000_000_000;

/// An expression of the distance of two cells.
#[derive(Clone, Debug, PartialEq)]
pub struct OfDistance {
    written: Expression,
    program: Program,
}

impl OfDistance {
    /// Reads an expression of `d` (µm), or a number.
    pub(super) fn read(node: &Node, errors: &mut Diagnostics) -> Option<Self> {
        let written = expression(node, &[], &[(DISTANCE.to_owned(), 0.0)], errors)?;
        // A variable of a program is a number that is put in when it runs.
        let of_variable = written.with_variable(DISTANCE, Variable::V);
        let program = of_variable.compile().ok()?;
        Some(Self { written, program })
    }

    /// The expression as a scene writes it.
    pub fn written(&self) -> &Expression {
        &self.written
    }

    /// The value at a distance (µm).
    pub fn at(&self, distance: f64) -> f64 {
        self.program.eval(&Variables::membrane(distance, 0.0))
    }
}

const SPACING: Rule = above_zero("the cells would all stand in one place");

/// A position (µm).
pub(super) fn position(node: &Node, errors: &mut Diagnostics) -> Option<DVec3> {
    triple(node, "position: (10, 20, 0)", ANY, errors)
}

fn triple(node: &Node, example: &str, rule: Rule, errors: &mut Diagnostics) -> Option<DVec3> {
    let Value::Tuple(None, items) = &node.value else {
        errors.push(expected(&three(example), node));
        return None;
    };
    let [x, y, z] = items.as_slice() else {
        let found = format!("found {}", items.len());
        errors
            .push(Diagnostic::at(&node.place, format!("expected {}", three(example))).label(found));
        return None;
    };
    let [x, y, z] = [x, y, z].map(|node| number(node, rule, errors));
    Some(DVec3::new(x?, y?, z?))
}

fn three(example: &str) -> String {
    format!("three numbers (µm), as in `{example}`")
}

/// A layout of cells or of copies.
pub(super) fn layout(node: &Node, errors: &mut Diagnostics) -> Option<Layout> {
    const LAYOUTS: [&str; 3] = ["Line", "Grid", "Box"];
    let (name, entries) = match &node.value {
        Value::Struct(Some(name), entries) => (name.text.as_str(), Some(entries)),
        Value::Tuple(Some(name), _) => (name.text.as_str(), None),
        Value::Word(word) => (word.as_str(), None),
        _ => ("", None),
    };
    let Some(entries) = entries.filter(|_| LAYOUTS.contains(&name)) else {
        let near = names::nearest(name, LAYOUTS).filter(|near| *near != name);
        errors.push(
            expected(
                "a layout: `Line(spacing_um: 10)`, `Grid(columns: 10, spacing_um: 20)` or `Box(size_um: (100, 100, 0))`",
                node,
            )
            .maybe_help(near.map(|near| format!("did you mean `{near}`?"))),
        );
        return None;
    };
    let mut fields = Fields::new(&format!("`{name}`"), node.head(), entries);
    let spacing = |fields: &mut Fields<'_>, errors: &mut Diagnostics| {
        let node = fields.required("spacing_um")?;
        number(node, SPACING, errors)
    };
    let layout = match name {
        "Line" => spacing(&mut fields, errors).map(|spacing| Layout::Line { spacing }),
        "Grid" => {
            let columns = fields.required("columns");
            let columns = columns.and_then(|node| integer(node, 1..=u64::from(u32::MAX), errors));
            let spacing = spacing(&mut fields, errors);
            columns
                .zip(spacing)
                .map(|(columns, spacing)| Layout::Grid { columns, spacing })
        }
        _ => {
            let size = fields.required("size_um");
            let rule = not_negative("a length has no sign");
            let size = size.and_then(|node| triple(node, "size_um: (100, 100, 0)", rule, errors));
            size.map(|size| Layout::Box { size })
        }
    };
    fields.finish(errors);
    layout
}

impl Layout {
    /// Where number `k` stands (µm), by the stream of `name` if the place is drawn.
    fn offset(self, k: usize, seed: u64, name: &str) -> DVec3 {
        match self {
            Self::Line { spacing } => DVec3::new(k as f64 * spacing, 0.0, 0.0),
            Self::Grid { columns, spacing } => {
                let k = k as u64;
                spacing * DVec3::new((k % columns) as f64, (k / columns) as f64, 0.0)
            }
            Self::Box { size } => {
                let mut stream = Stream::new(seed, &format!("{name}:position"));
                size.map(|length| stream.uniform(0.0, length))
            }
        }
    }
}

/// Positions (µm) of all cells that have one.
pub fn positions(scene: &Scene) -> Vec<Option<DVec3>> {
    let mut positions: Vec<_> = scene.cells.iter().map(|cell| cell.position).collect();
    let offset = |layout: Option<Layout>, k: usize, name: &str| {
        layout.map_or(DVec3::ZERO, |layout| layout.offset(k, scene.seed, name))
    };
    for population in &scene.populations {
        for (k, cell) in population.cells.clone().enumerate() {
            let moved = |at| at + offset(population.layout, k, &scene.cells[cell].name);
            positions[cell] = positions[cell].map(moved);
        }
    }
    for copies in &scene.copies {
        for k in 0..copies.count {
            let name = format!("{}[{k}]", copies.name);
            let origin = copies.position.unwrap_or_default() + offset(copies.layout, k, &name);
            for cell in copies.copy(k) {
                positions[cell] = positions[cell].map(|at| at + origin);
            }
        }
    }
    positions
}

/// Distances (µm) of pairs of cells, all of which have a position.
pub(super) fn distances(scene: &Scene, pre: &[u32], post: &[u32]) -> Vec<f64> {
    let positions = positions(scene);
    let at = |cell: u32| positions[cell as usize].unwrap_or_default();
    let pairs = pre.par_iter().zip(post);
    pairs
        .map(|(pre, post)| at(*pre).distance(at(*post)))
        .collect()
}

/// Pairs of cells at most a radius apart.
pub(super) struct Neighbourhood {
    radius: f64,
    pre: Vec<DVec3>,
    post: Vec<DVec3>,
    /// Places in `pre` by cube of space, ascending.
    cubes: HashMap<I64Vec3, Vec<u32>>,
}

impl Neighbourhood {
    /// Sorts the presynaptic cells of edges in bulk into cubes as wide as the radius (µm).
    pub fn new(scene: &Scene, bulk: &Bulk, radius: f64) -> Self {
        let positions = positions(scene);
        let of = |cells: &[u32]| -> Vec<DVec3> {
            let at = |cell: &u32| positions[*cell as usize].unwrap_or_default();
            cells.iter().map(at).collect()
        };
        let (pre, post) = (of(&bulk.pre.cells), of(&bulk.post.cells));
        let mut this = Self {
            radius,
            pre,
            post,
            cubes: HashMap::new(),
        };
        for k in 0..this.pre.len() {
            let cube = this.cube(this.pre[k]);
            this.cubes.entry(cube).or_default().push(k as u32);
        }
        this
    }

    /// A little wider than the radius, so that rounding never puts two neighbours further apart
    /// than one cube.
    fn cube(&self, at: DVec3) -> I64Vec3 {
        (at / (self.radius * (1.0 + 1e-9))).floor().as_i64vec3()
    }

    /// Cells in the cubes around a place.
    fn around(&self, at: DVec3) -> impl Iterator<Item = &[u32]> {
        let middle = self.cube(at);
        let steps = -1..=1;
        let every = steps.clone().flat_map(move |x| {
            let steps = steps.clone();
            steps
                .clone()
                .flat_map(move |y| steps.clone().map(move |z| I64Vec3::new(x, y, z)))
        });
        // Where space ends, two steps lead into one cube.
        let mut seen = Vec::with_capacity(27);
        every.filter_map(move |step| {
            let cube = middle.saturating_add(step);
            if seen.contains(&cube) {
                return None;
            }
            seen.push(cube);
            self.cubes.get(&cube).map(Vec::as_slice)
        })
    }

    /// Number of pairs whose distance has to be looked at.
    pub fn candidates(&self) -> u64 {
        let of = |at: &DVec3| {
            self.around(*at)
                .map(|cells| cells.len() as u64)
                .sum::<u64>()
        };
        self.post.par_iter().map(of).sum()
    }

    /// Presynaptic cells (places in their list, ascending) close to a postsynaptic one, and how far
    /// (µm) they are.
    pub fn of(&self, post: usize, found: &mut Vec<(u32, f64)>) {
        let at = self.post[post];
        found.clear();
        for cells in self.around(at) {
            let far = |k: &u32| (*k, self.pre[*k as usize].distance(at));
            let near = cells.iter().map(far).filter(|(_, d)| *d <= self.radius);
            found.extend(near);
        }
        found.sort_unstable_by_key(|(k, _)| *k);
    }
}

/// The error for a rule of distance that would look at too many pairs.
pub(super) fn too_many_pairs(scene: &Scene, bulk: &Bulk, radius: f64) -> Option<Diagnostic> {
    // All pairs, where they are few enough, need no counting.
    let all = bulk.pre.cells.len() as u64 * bulk.post.cells.len() as u64;
    if all <= MAX_PAIRS {
        return None;
    }
    let pairs = Neighbourhood::new(scene, bulk, radius).candidates();
    (pairs > MAX_PAIRS).then(|| {
        Diagnostic::at(
            &bulk.origin,
            "this rule has too many pairs of cells to look at",
        )
        .label(format!(
            "{:.1e} pairs within about {radius} µm",
            pairs as f64
        ))
        .help(format!("at most {MAX_PAIRS:.0e}: a smaller `radius_um`"))
    })
}

/// The error for an expression of distance that has an impossible value.
pub(super) fn impossible(
    place: &Place,
    what: &str,
    value: f64,
    distance: f64,
    help: &str,
) -> Diagnostic {
    Diagnostic::at(
        place,
        format!("{what} is {value} at a distance of {distance} µm"),
    )
    .label("for these edges")
    .help(help)
}

/// The error for a cell without a position where a rule or weight needs one.
pub(super) fn no_position(place: &Place, cell: &str) -> Diagnostic {
    Diagnostic::at(place, format!("`{cell}` has no position"))
        .label("depends on the distance of two cells")
        .help("give the cell a `position: (x, y, z)` (µm), or its population or network a `layout`")
}
