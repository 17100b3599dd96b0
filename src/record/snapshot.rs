//! Snapshot files: the exact state of a run at a moment, with its scene and with what had been found
//! out by then.
//!
//! A file is the same on every machine: eight fixed bytes, the number of the format, the number of
//! bytes of the content, the content, and the BLAKE3 hash of all that lies before it. Whole numbers of
//! the frame are little-endian; the content is in the format of postcard, which keeps the bits of
//! every floating-point number. The format changes with every change of what a state is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use homarus_systems::snapshot::State;
use serde::{Deserialize, Serialize};

use crate::{
    probe::KeptProbe,
    rhythm::{Cycles, Kept},
    scene::{Diagnostics, Scene, read_text},
};

/// First bytes of a snapshot. Like those of a PNG they tell a file that was changed as a text.
const MAGIC: [u8; 8] = *b"\x89HOMAR\r\n";

/// Number of the format.
pub const FORMAT: u32 = 1;

/// Bytes before the content.
const HEAD: usize = MAGIC.len() + size_of::<u32>() + size_of::<u64>();

/// Bytes of the hash at the end.
const HASH: usize = blake3::OUT_LEN;

/// A run at a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of the program that took it.
    pub homarus: String,
    /// Name of the scene.
    pub scene: String,
    /// Hash of the scene.
    pub scene_hash: String,
    /// The scene as resolved, up to the end of the run that it was taken in.
    pub scene_text: String,
    /// Model time (ms) as it was asked for.
    pub t_ms: f64,
    /// State of the network.
    pub state: State,
    /// Windows and spikes that windows still need.
    pub windows: Kept,
    /// Bursts that were not told yet.
    pub cycles: Cycles,
    /// Probes taken.
    pub probes: Vec<KeptProbe>,
}

/// Why a file cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It cannot be read at all.
    #[error("`{}` cannot be read: {error}", .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Something else.
    #[error("`{}` is no snapshot of homarus", .0.display())]
    Other(PathBuf),
    /// A snapshot of another format.
    #[error("`{}` is a snapshot of format {format}; homarus {} reads format {FORMAT}", .path.display(), env!("CARGO_PKG_VERSION"))]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Part of it is missing.
    #[error("the snapshot `{}` is cut short: {found} of {whole} bytes are there", .path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        found: u64,
        /// Bytes that it should have.
        whole: u64,
    },
    /// It is not as it was written.
    #[error("the snapshot `{}` has been altered: its content does not match its hash", .0.display())]
    Altered(PathBuf),
}

impl Unreadable {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Unreadable::Disk { .. } => "give the path of a snapshot-….snap of a bundle",
            Unreadable::Other(_) => {
                "snapshots are the files snapshot-….snap that `homarus run SCENE -o DIR --snapshot-at MS` writes"
            }
            Unreadable::Format { .. } => "go on from it with the homarus that wrote it",
            Unreadable::Cut { .. } | Unreadable::Altered(_) => {
                "copy it once more from where it came from, or take it anew with --snapshot-at"
            }
        }
    }
}

/// Name of the snapshot at a time (ms) in a bundle.
pub fn file_name(t_ms: f64) -> String {
    format!("snapshot-{t_ms}.snap")
}

/// Time (ms) of a snapshot by its name in a bundle.
pub fn time_of(name: &str) -> Option<f64> {
    let time = name.strip_prefix("snapshot-")?.strip_suffix(".snap")?;
    time.parse().ok()
}

impl Snapshot {
    /// The bytes of its file.
    ///
    /// # Errors
    /// It cannot be written down; nobody has met that.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let head = vec![0; HEAD];
        let mut bytes = postcard::to_extend(self, head).map_err(io::Error::other)?;
        let length = (bytes.len() - HEAD) as u64;
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        let (format, rest) = rest.split_at_mut(size_of::<u32>());
        magic.copy_from_slice(&MAGIC);
        format.copy_from_slice(&FORMAT.to_le_bytes());
        rest[..size_of::<u64>()].copy_from_slice(&length.to_le_bytes());
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        Ok(bytes)
    }

    /// Reads a file, and gives its bytes, too.
    ///
    /// # Errors
    /// It is no whole and unaltered snapshot of this format.
    pub fn read(path: &Path) -> Result<(Self, Vec<u8>), Unreadable> {
        let bytes = fs::read(path).map_err(|error| Unreadable::Disk {
            path: path.to_owned(),
            error,
        })?;
        let snapshot = Snapshot::of(&bytes, path)?;
        Ok((snapshot, bytes))
    }

    /// The snapshot that a file holds.
    fn of(bytes: &[u8], path: &Path) -> Result<Self, Unreadable> {
        let path = || path.to_owned();
        if !bytes.starts_with(&MAGIC) {
            return Err(Unreadable::Other(path()));
        }
        let found = bytes.len() as u64;
        let cut = |whole| Unreadable::Cut {
            path: path(),
            found,
            whole,
        };
        let least = (HEAD + HASH) as u64;
        let after_magic = &bytes[MAGIC.len()..];
        let Some((format, rest)) = after_magic.split_first_chunk() else {
            return Err(cut(least));
        };
        let format = u32::from_le_bytes(*format);
        if format != FORMAT {
            return Err(Unreadable::Format {
                path: path(),
                format,
            });
        }
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Err(cut(least));
        };
        let whole = u64::from_le_bytes(*length).saturating_add(least);
        if found < whole {
            return Err(cut(whole));
        }
        let altered = || Unreadable::Altered(path());
        let (content, hash) = rest.split_last_chunk::<HASH>().ok_or_else(altered)?;
        if found > whole || blake3::hash(&bytes[..bytes.len() - HASH]) != *hash {
            return Err(altered());
        }
        postcard::from_bytes(content).map_err(|_| altered())
    }

    /// The scene that it was taken in.
    ///
    /// # Errors
    /// This program reads the scene otherwise than the one that wrote it.
    pub fn scene(&self) -> Result<Scene, Diagnostics> {
        read_text(&self.scene_text, "scene of the snapshot", None)
    }
}
