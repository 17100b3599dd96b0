//! Homarus: a simulator for central pattern generator networks with calcium homeostasis and
//! neuromodulation. Scenes in ([`scene`]), rhythms out ([`rhythm`]); the engine is the crate
//! [`homarus_systems`].

pub mod bench;
pub mod cli;
pub mod course;
pub mod execution;
pub mod probe;
pub mod record;
pub mod rhythm;
pub mod run;
pub mod scene;
pub mod science;
pub mod step_study;
pub mod study;

/// The examples of README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
