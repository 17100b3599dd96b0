//! Work on many things at once, on the workers of the pool that the run has entered.

use rayon::prelude::*;

/// Does `work` for each item and gives what comes out, in order. A worker takes at least `share`
/// items (1 or more) in a row.
pub(crate) fn each<T: Send, R: Send>(
    items: impl Iterator<Item = T>,
    share: usize,
    work: impl Fn(T) -> R + Sync + Send,
) -> Vec<R> {
    // To gather the items costs as much as light work on them: only where it is shared.
    if rayon::current_num_threads() == 1 {
        return items.map(work).collect();
    }
    let items: Vec<T> = items.collect();
    if items.len() <= share {
        return items.into_iter().map(work).collect();
    }
    items
        .into_par_iter()
        .with_min_len(share)
        .map(work)
        .collect()
}
