//! Edges of generators and of copied networks: from a rule to columns.

use std::{collections::HashMap, sync::Arc};

use rayon::prelude::*;

use super::{
    draw::Stream,
    model::{Bulk, Conductance, Rule, Scene, Weight},
};

/// Edges in columns, those into one cell in the order in which they are summed.
pub(super) struct Columns {
    pub pre: Arc<Vec<u32>>,
    pub post: Arc<Vec<u32>>,
}

/// The cells that edges in bulk join.
pub(super) fn columns(scene: &Scene, bulk: &Bulk) -> Columns {
    let (pre, post) = (&bulk.pre.cells, &bulk.post.cells);
    match bulk.rule {
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
        Rule::Random { in_degree } => random(scene, bulk, in_degree),
    }
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

/// Conductances (mS/cm²) of edges in bulk.
pub(super) fn weights(scene: &Scene, bulk: &Bulk, columns: &Columns) -> Vec<f64> {
    let post = &columns.post;
    match &bulk.g {
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
    }
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
