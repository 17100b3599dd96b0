//! What a run leaves behind: its summary, and its bundle on disk.

pub mod bundle;
pub mod machine;
pub mod manifest;
pub mod reader;
pub mod recorder;
pub mod sampling;
pub mod snapshot;
pub mod staging;
pub mod summary;
pub mod table;
