//! Shared lists in saved state (`Arc<Vec<u32>>`, `Arc<[u32]>`), written as the lists they are. The
//! feature of serde that does this would have every crate that uses serde compiled anew.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a list.
pub(crate) fn serialize<S: Serializer>(
    list: &Arc<impl AsRef<[u32]> + ?Sized>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    (**list).as_ref().serialize(serializer)
}

/// Reads a list.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, L: From<Vec<u32>>>(
    deserializer: D,
) -> Result<L, D::Error> {
    Vec::deserialize(deserializer).map(L::from)
}
