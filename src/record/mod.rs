//! What a run leaves behind.

pub mod bundle;
pub mod machine;
pub mod manifest;
pub mod recorder;
pub mod samples;
pub mod summary;
