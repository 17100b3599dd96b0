//! Edges of generators and of copied networks: from a rule to columns.

use std::{collections::HashMap, sync::Arc};

use rayon::prelude::*;

use super::{
    diagnostic::Diagnostic,
    draw::{self, Stream},
    model::{Bulk, Conductance, Rule, Scene, Weight},
    space::{self, Neighbourhood, OfDistance},
};

/// Edges in columns, those into one cell in the order in which they are summed.
#[derive(Default)]
pub(super) struct Columns {
    pub pre: Arc<Vec<u32>>,
    pub post: Arc<Vec<u32>>,
}

/// The cells that edges in bulk join, or which probability is impossible.
pub(super) fn columns(scene: &Scene, bulk: &Bulk) -> Result<Columns, Diagnostic> {
    let (pre, post) = (&bulk.pre.cells, &bulk.post.cells);
    Ok(match &bulk.rule {
        Rule::OneToOne | Rule::Listed => Columns {
            pre: pre.clone(),
            post: post.clone(),
        },
        Rule::Ring | Rule::Chain => {
            let mut next = post[1..].to_vec();
            if bulk.rule == Rule::Ring {
                next.push(post[0]);
            }
            let pre = match bulk.rule {
                Rule::Ring => pre.clone(),
                _ => Arc::new(pre[..next.len()].to_vec()),
            };
            let post = Arc::new(next);
            Columns { pre, post }
        }
        Rule::AllToAll => {
            let pairs = post.iter().flat_map(|post| {
                let others = pre.iter().filter(move |pre| *pre != post);
                others.map(move |pre| (*pre, *post))
            });
            let (pre, post): (Vec<u32>, Vec<u32>) = pairs.unzip();
            let (pre, post) = (Arc::new(pre), Arc::new(post));
            Columns { pre, post }
        }
        Rule::Random { in_degree } => random(scene, bulk, *in_degree),
        Rule::Within {
            radius,
            probability,
        } => within(scene, bulk, *radius, probability.as_ref())?,
    })
}

/// Number of edges of a rule of distance.
pub(super) fn count(scene: &Scene, bulk: &Bulk) -> u64 {
    columns(scene, bulk).map_or(0, |columns| columns.post.len() as u64)
}

/// What is wrong with the edges of a scene that depend on distances, if anything.
pub(super) fn impossible(scene: &Scene) -> Option<Diagnostic> {
    let mut bulks = scene.bulk.iter();
    bulks.find_map(|bulk| {
        let weighed = matches!(bulk.g, Weight::OfDistance(_));
        if !weighed && !matches!(bulk.rule, Rule::Within { .. }) {
            return None;
        }
        let made = columns(scene, bulk);
        let made = made.and_then(|columns| weights(scene, bulk, &columns));
        made.err()
    })
}

/// Pairs at most a radius (µm) apart, one for each postsynaptic cell after the other.
fn within(
    scene: &Scene,
    bulk: &Bulk,
    radius: f64,
    probability: Option<&OfDistance>,
) -> Result<Columns, Diagnostic> {
    let (sources, targets) = (&bulk.pre.cells, &bulk.post.cells);
    let near = Neighbourhood::new(scene, bulk, radius);
    // The draw of a pair has a place in the stream of the postsynaptic cell that is the presynaptic
    // cell's own.
    let place = |cell: &u32| draw::place(&scene.cells[*cell as usize].name);
    let places: Vec<u64> = match probability {
        Some(_) => sources.par_iter().map(place).collect(),
        None => Vec::new(),
    };
    let into = |found: &mut Vec<(u32, f64)>, (k, post): (usize, &u32)| {
        near.of(k, found);
        found.retain(|(pre, _)| sources[*pre as usize] != *post);
        let Some(probability) = probability else {
            return Ok(found
                .iter()
                .map(|(pre, _)| sources[*pre as usize])
                .collect());
        };
        let mut stream = stream(scene, bulk, *post);
        let mut joined = Vec::new();
        for (pre, distance) in found {
            let p = probability.at(*distance);
            if !(0.0..=1.0).contains(&p) {
                let help = "a probability goes from 0 to 1; `max(0, min(1, …))` keeps it there";
                let what = "the probability";
                return Err(space::impossible(&bulk.origin, what, p, *distance, help));
            }
            stream.seek(places[*pre as usize]);
            if stream.unit() < p {
                joined.push(sources[*pre as usize]);
            }
        }
        Ok(joined)
    };
    let rows: Vec<Result<Vec<u32>, Diagnostic>> = targets
        .par_iter()
        .enumerate()
        .map_init(Vec::new, into)
        .collect();
    let (mut pre, mut post) = (Vec::new(), Vec::new());
    for (row, target) in rows.into_iter().zip(targets.iter()) {
        pre.extend(row?);
        post.resize(pre.len(), *target);
    }
    let (pre, post) = (Arc::new(pre), Arc::new(post));
    Ok(Columns { pre, post })
}

fn random(scene: &Scene, bulk: &Bulk, in_degree: u32) -> Columns {
    let k = in_degree as usize;
    let (sources, targets) = (&bulk.pre.cells, &bulk.post.cells);
    let place: HashMap<u32, u32> = sources.iter().copied().zip(0..).collect();
    let mut pre = vec![0; targets.len() * k];
    pre.par_chunks_mut(k)
        .zip(targets.par_iter())
        .for_each_init(Vec::new, |chosen, (row, post)| {
            let mut stream = stream(scene, bulk, *post);
            let own = place.get(post).copied();
            let others = sources.len() as u32 - u32::from(own.is_some());
            stream.sample(others, in_degree, chosen);
            for (pre, number) in row.iter_mut().zip(chosen.iter()) {
                // The cell itself is left out of the count.
                let skipped = own.is_some_and(|own| *number >= own);
                *pre = sources[(number + u32::from(skipped)) as usize];
            }
        });
    let post = targets.iter().flat_map(|post| vec![*post; k]).collect();
    let (pre, post) = (Arc::new(pre), Arc::new(post));
    Columns { pre, post }
}

/// Conductances (mS/cm²) of edges in bulk, or which of them is impossible.
pub(super) fn weights(
    scene: &Scene,
    bulk: &Bulk,
    columns: &Columns,
) -> Result<Vec<f64>, Diagnostic> {
    let post = &columns.post;
    Ok(match &bulk.g {
        Weight::Listed(g) => g.clone(),
        Weight::Constant(Conductance::Density(g)) => vec![*g; post.len()],
        Weight::Constant(Conductance::Absolute(g)) => {
            let density = |post: &u32| match scene.cells[*post as usize].area {
                Some(area) => g * 1e-6 / area, // nS = 1e-6 mS
                None => *g,
            };
            post.iter().map(density).collect()
        }
        Weight::Drawn(distribution) => {
            // Edges into one cell are drawn from its own stream, in their order.
            let mut order: Vec<u32> = (0..post.len() as u32).collect();
            order.par_sort_by_key(|edge| post[*edge as usize]);
            let same = |a: &u32, b: &u32| post[*a as usize] == post[*b as usize];
            let into_cells: Vec<&[u32]> = order.chunk_by(same).collect();
            let draws: Vec<Vec<f64>> = into_cells
                .par_iter()
                .map(|edges| {
                    let mut stream = stream(scene, bulk, post[edges[0] as usize]).weights();
                    edges.iter().map(|_| stream.draw(*distribution)).collect()
                })
                .collect();
            let mut g = vec![0.0; post.len()];
            for (edge, draw) in order.iter().zip(draws.iter().flatten()) {
                g[*edge as usize] = *draw;
            }
            g
        }
        Weight::OfDistance(g) => {
            let distances = space::distances(scene, &columns.pre, post);
            let g: Vec<f64> = distances.par_iter().map(|d| g.at(*d)).collect();
            if let Some(k) = g.iter().position(|g| !(g.is_finite() && *g >= 0.0)) {
                let help = "a conductance is a finite number, 0 or more";
                let (what, distance) = ("the weight `g`", distances[k]);
                return Err(space::impossible(&bulk.origin, what, g[k], distance, help));
            }
            g
        }
    })
}

/// The stream of the edges into a cell.
fn stream(scene: &Scene, bulk: &Bulk, post: u32) -> Stream {
    let post = &scene.cells[post as usize].name;
    let path = match &bulk.generator {
        Some(generator) => format!("{generator}:->{post}"),
        None => {
            let pre = &bulk.pre.selector;
            let label = bulk.label.as_deref().unwrap_or_default();
            format!("{pre}->{post}:{label}:{}", scene.kinds[bulk.kind].name)
        }
    };
    Stream::new(scene.seed, &path)
}

/// Areas of postsynaptic over those of presynaptic cells; empty where all are 1.
pub(super) fn area_ratios(scene: &Scene, columns: &Columns) -> Vec<f64> {
    let area = |cell: u32| scene.cells[cell as usize].area;
    let ratio = |(pre, post): (&u32, &u32)| match (area(*pre), area(*post)) {
        (Some(pre), Some(post)) => post / pre,
        _ => 1.0,
    };
    let pairs = || columns.pre.iter().zip(columns.post.iter());
    match pairs().all(|pair| ratio(pair) == 1.0) {
        true => Vec::new(),
        false => pairs().map(ratio).collect(),
    }
}
