//! Strong gap junctions: cells they join are stepped together.
//!
//! Each cell's exponential step for all but its junctions gets their current at the *new* voltages,
//! `V_i' = X_i + k_i sum_j g_ij (V_j' - V_i')`, `X_i = V_i + k_i (GE_i - G_i V_i)`,
//! `k_i = (dt/C) (1 - exp(-z_i))/z_i`, `z_i = G_i dt/C`.
//! What leaves one cell arrives in the other, so without other conductances the charge of a group
//! is kept exactly, also between cells of unequal area. The matrix has the diagonal
//! `1 + k_i sum_j g_ij` and non-positive off-diagonals whatever the step: the new voltages lie among
//! the X_i, differences do not change sign, and elimination needs no pivots. It runs in cell order.

use std::collections::{BTreeMap, BTreeSet};

use super::connected::leaders;

/// A group of cells joined by junctions, with the pattern of its elimination.
#[derive(Clone, Debug)]
pub struct Component {
    /// Neuron indices, ascending.
    cells: Vec<u32>,
    /// Columns of each row after fill, ascending (positions in `cells`).
    pattern: Vec<Vec<u32>>,
    /// Values of `pattern`.
    values: Vec<Vec<f64>>,
    /// Dense work row.
    work: Vec<f64>,
    /// Right-hand side, then solution.
    x: Vec<f64>,
}

impl Component {
    /// Neuron indices, ascending.
    pub fn cells(&self) -> &[u32] {
        &self.cells
    }

    /// Position of a neuron in the group.
    pub fn position(&self, neuron: u32) -> Option<usize> {
        self.cells.binary_search(&neuron).ok()
    }

    /// Solves `x_i - sum_j a_ij x_j = b_i`; `row(i, add)` returns b_i and adds the a_ij as
    /// (position, value).
    pub fn solve(
        &mut self,
        mut row: impl FnMut(usize, &mut dyn FnMut(usize, f64)) -> f64,
    ) -> &[f64] {
        for i in 0..self.cells.len() {
            for j in &self.pattern[i] {
                self.work[*j as usize] = 0.0;
            }
            self.work[i] = 1.0;
            let work = &mut self.work;
            let mut b = row(i, &mut |j, a| work[j] -= a);
            for k in 0..self.pattern[i].len() {
                let j = self.pattern[i][k] as usize;
                if j >= i {
                    break;
                }
                let factor = self.work[j] / self.diagonal(j);
                for (column, value) in self.pattern[j].iter().zip(&self.values[j]) {
                    let column = *column as usize;
                    if column > j {
                        self.work[column] = (-factor).mul_add(*value, self.work[column]);
                    }
                }
                b = (-factor).mul_add(self.x[j], b);
            }
            for (value, column) in self.values[i].iter_mut().zip(&self.pattern[i]) {
                *value = self.work[*column as usize];
            }
            self.x[i] = b;
        }
        for i in (0..self.cells.len()).rev() {
            let mut b = self.x[i];
            for (column, value) in self.pattern[i].iter().zip(&self.values[i]) {
                let column = *column as usize;
                if column > i {
                    b = (-value).mul_add(self.x[column], b);
                }
            }
            self.x[i] = b / self.diagonal(i);
        }
        &self.x
    }

    fn diagonal(&self, i: usize) -> f64 {
        match self.pattern[i].binary_search(&(i as u32)) {
            Ok(k) => self.values[i][k],
            Err(_) => 1.0,
        }
    }
}

/// Groups of cells connected by `links` that hold at least one `strong` cell.
pub fn components(n: usize, links: &[(u32, u32)], strong: &[bool]) -> Vec<Component> {
    // The smallest index leads, so that groups come in cell order.
    let roots = leaders(n, links.iter().copied());
    let mut groups: BTreeMap<u32, (Vec<u32>, Vec<(u32, u32)>)> = (0..n)
        .filter(|k| strong[*k])
        .map(|k| (roots[k], Default::default()))
        .collect();
    for (k, leader) in roots.iter().enumerate() {
        if let Some((cells, _)) = groups.get_mut(leader) {
            cells.push(k as u32);
        }
    }
    for link in links {
        if let Some((_, own)) = groups.get_mut(&roots[link.0 as usize]) {
            own.push(*link);
        }
    }
    groups
        .into_values()
        .map(|(cells, links)| component(cells, &links))
        .collect()
}

/// Works out where elimination in cell order fills the matrix.
fn component(cells: Vec<u32>, links: &[(u32, u32)]) -> Component {
    let n = cells.len();
    let mut rows: Vec<BTreeSet<u32>> = (0..n as u32).map(|i| BTreeSet::from([i])).collect();
    for (a, b) in links {
        if let (Ok(i), Ok(j)) = (cells.binary_search(a), cells.binary_search(b)) {
            rows[i].insert(j as u32);
            rows[j].insert(i as u32);
        }
    }
    for i in 0..n {
        let mut next = 0;
        while let Some(j) = rows[i].range(next..i as u32).next().copied() {
            let upper: Vec<u32> = rows[j as usize].range(j + 1..).copied().collect();
            rows[i].extend(upper);
            next = j + 1;
        }
    }
    let pattern: Vec<Vec<u32>> = rows.into_iter().map(|r| r.into_iter().collect()).collect();
    let values = pattern
        .iter()
        .map(|r: &Vec<u32>| vec![0.0; r.len()])
        .collect();
    Component {
        cells,
        pattern,
        values,
        work: vec![0.0; n],
        x: vec![0.0; n],
    }
}
