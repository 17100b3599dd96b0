//! The engine of Homarus: conductance-based neurons, their coupling, calcium homeostasis and
//! neuromodulation as components and systems for any [`bevy_ecs`] world.
//!
//! A neuron is an entity; its channels are lanes of a few components ([`channels`]). One run of
//! the [`schedule`] advances the world by a stretch. [`assembly::Simulation`] puts a world, its
//! resources and its schedule together. Units are the field's: ms, mV, mS/cm², µA/cm², µF/cm², µM.

pub mod address;
pub mod assembly;
pub mod calcium;
pub mod channels;
pub mod coupling;
pub mod definition;
pub mod design;
pub mod dic;
pub mod frozen;
pub mod homeostasis;
pub mod integrate;
pub mod kinetics;
pub mod math;
pub mod membrane;
pub mod nearest;
pub mod neuromodulation;
pub mod observe;
mod parallel;
pub mod protocol;
pub mod schedule;
pub mod scheme;
mod shared;
pub mod simd;
pub mod snapshot;
pub mod table;
