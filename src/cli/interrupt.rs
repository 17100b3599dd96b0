//! Ctrl-C and SIGTERM: the first asks the run to end after the present stretch, the second ends the
//! program at once and leaves no half bundle behind.

use std::{
    ops::ControlFlow,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::message;
use crate::record::staging;

/// How often the user has asked to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicU32>);

impl Interrupt {
    /// Takes over Ctrl-C and SIGTERM.
    pub fn listen() -> Self {
        Self::listen_saying("stopped at once, nothing written")
    }

    /// As [`Interrupt::listen`], with what is said where the program ends at once.
    pub fn listen_saying(at_once: &'static str) -> Self {
        let interrupt = Interrupt::default();
        let asked = interrupt.clone();
        let listening = ctrlc::set_handler(move || {
            if asked.0.fetch_add(1, Ordering::Relaxed) == 0 {
                return;
            }
            staging::abandon();
            message(&format!("\nhomarus: {at_once}\n"));
            process::exit(1);
        });
        if let Err(error) = listening {
            // The run is as good without; a signal then ends it as the system has it.
            message(&format!("warning: Ctrl-C cannot be caught: {error}\n"));
        }
        interrupt
    }

    /// Whether to go on.
    pub fn asked(&self) -> ControlFlow<()> {
        match self.0.load(Ordering::Relaxed) {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}
