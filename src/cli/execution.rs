//! The flags that say what carries a run out: `--threads` and `--kernel`.

use clap::Args;
use homarus_systems::integrate::{Kernel, KernelError};

use super::{message, setting, wrong};
use crate::execution::{Execution, cores};
use crate::run::Failure;

/// More threads than this help nobody.
const MOST_THREADS: u64 = 1024;

/// What carries a run out; the outcome is the same to the bit.
#[derive(Args)]
pub(super) struct Flags {
    /// Number of threads; if not given, 1 for a small network (below 64 cells), else one a core.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = threads)]
    threads: Option<usize>,
    /// Vector instructions: `auto` (the widest here), `avx512`, `avx2` or `portable`.
    #[arg(long, value_name = "NAME", default_value = Kernel::AUTO)]
    kernel: String,
}

fn threads(value: &str) -> Result<usize, String> {
    setting::whole(value, 1, MOST_THREADS).map(|n| n as usize)
}

impl Flags {
    /// What the flags ask for. That there are fewer cores than threads is told, unless `quiet`.
    pub fn execution(&self, quiet: bool) -> Result<Execution, Failure> {
        let kernel = Kernel::named(&self.kernel).map_err(no_kernel)?;
        let cores = cores();
        if let Some(threads) = self.threads.filter(|n| *n > cores && !quiet) {
            let there_are = match cores {
                1 => "there is 1 core".to_owned(),
                n => format!("there are {n} cores"),
            };
            message(&format!(
                "warning: {there_are} for {threads} threads: threads that take turns wait for each other\n"
            ));
        }
        Ok(Execution {
            kernel,
            threads: self.threads,
        })
    }
}

/// The error for a kernel that is not there.
fn no_kernel(error: KernelError) -> Failure {
    let available = || {
        let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.available());
        let names = kernels.map(|kernel| format!("`{}`", kernel.name()));
        names.collect::<Vec<_>>().join(", ")
    };
    let help = match &error {
        KernelError::Unknown {
            nearest: Some(nearest),
            ..
        } => format!("did you mean `{nearest}`?"),
        _ => format!(
            "this processor has {}; `auto` takes the widest",
            available()
        ),
    };
    wrong(error.to_string(), Some(help))
}
