//! What carries a run out: a kernel and threads. Not one bit of an outcome depends on either.

use std::{num::NonZeroUsize, thread};

use homarus_systems::integrate::Kernel;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::scene::Scene;

/// Cells from which threads pay in a coupled network, which meets at a barrier in every step.
const COUPLED: usize = 2000;
/// Cells from which threads pay where every cell runs on its own.
const UNCOUPLED: usize = 64;

/// What a run is carried out by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Code path that steps the neurons.
    pub kernel: Kernel,
    /// Number of threads, at least 1; `None`: as the size of the network says, see
    /// [`default_threads`].
    pub threads: Option<usize>,
}

impl Default for Execution {
    fn default() -> Self {
        Execution {
            kernel: Kernel::detect(),
            threads: None,
        }
    }
}

/// The threads of a run could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{threads} threads cannot be started: {reason}")]
pub struct NoThreads {
    threads: usize,
    reason: ThreadPoolBuildError,
}

impl Execution {
    /// Threads for a network of `cells` cells and `edges` edges.
    pub fn threads(&self, cells: usize, edges: usize) -> usize {
        let threads = self.threads;
        threads.unwrap_or_else(|| default_threads(cells, edges, cores()))
    }

    /// The thread pool for a scene; a run that is installed in it uses its threads.
    ///
    /// # Errors
    /// The system does not give as many threads.
    pub fn pool(&self, scene: &Scene) -> Result<ThreadPool, NoThreads> {
        pool(self.threads(scene.cells.len(), scene.edges.len()))
    }
}

/// A pool of `threads` threads.
///
/// # Errors
/// The system does not give as many threads.
pub fn pool(threads: usize) -> Result<ThreadPool, NoThreads> {
    let builder = ThreadPoolBuilder::new().num_threads(threads);
    builder
        .build()
        .map_err(|reason| NoThreads { threads, reason })
}

/// Threads for a network where nothing else is said: one where it is small, so that threads would
/// wait for each other longer than they work (below 2000 cells; 64 if no edge joins them), else
/// one for each of the `cores`.
pub fn default_threads(cells: usize, edges: usize, cores: usize) -> usize {
    let least = if edges == 0 { UNCOUPLED } else { COUPLED };
    if cells < least { 1 } else { cores }
}

/// Cores that this process may use; 1 where the system does not tell.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_networks_run_on_one_thread() {
        assert_eq!(default_threads(5, 8, 16), 1);
        assert_eq!(default_threads(1999, 4000, 16), 1);
        assert_eq!(default_threads(2000, 4000, 16), 16);
        assert_eq!(default_threads(63, 0, 16), 1);
        assert_eq!(default_threads(64, 0, 16), 16);
        assert_eq!(default_threads(1_000_000, 0, 1), 1);
    }

    #[test]
    fn a_number_of_threads_is_taken_as_it_is() {
        let three = Execution {
            threads: Some(3),
            ..Execution::default()
        };
        assert_eq!(three.threads(5, 8), 3);
        let used = pool(3).map(|pool| pool.install(rayon::current_num_threads));
        assert_eq!(used.ok(), Some(3));
    }
}
