//! What carries a run out: a kernel and threads. Not one bit of an outcome depends on either.

use std::{num::NonZeroUsize, thread};

use homarus_systems::integrate::Kernel;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::scene::Scene;

/// Cells from which a second thread pays. Of 64 uncoupled cells two threads run 1.8 times as many
/// steps as one, sampled each millisecond 1.4 times; of 16 no more. A coupled network of up to 1024
/// cells leaves the second one idle.
const WORTH_THREADS: usize = 64;

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
    /// Threads for a network of `cells` cells.
    pub fn threads(&self, cells: usize) -> usize {
        self.threads
            .unwrap_or_else(|| default_threads(cells, cores()))
    }

    /// The thread pool for a scene; a run that is installed in it uses its threads.
    ///
    /// # Errors
    /// The system does not give as many threads.
    pub fn pool(&self, scene: &Scene) -> Result<ThreadPool, NoThreads> {
        pool(self.threads(scene.cells.len()))
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

/// Threads for a network of `cells` cells where nothing else is said: one below 64 cells, else one
/// for each of the `cores`.
pub fn default_threads(cells: usize, cores: usize) -> usize {
    if cells < WORTH_THREADS { 1 } else { cores }
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
        assert_eq!(default_threads(5, 16), 1);
        assert_eq!(default_threads(63, 16), 1);
        assert_eq!(default_threads(64, 16), 16);
        assert_eq!(default_threads(1_000_000, 1), 1);
    }

    #[test]
    fn a_number_of_threads_is_taken_as_it_is() {
        let three = Execution {
            threads: Some(3),
            ..Execution::default()
        };
        assert_eq!(three.threads(5), 3);
        let used = pool(3).map(|pool| pool.install(rayon::current_num_threads));
        assert_eq!(used.ok(), Some(3));
    }
}
