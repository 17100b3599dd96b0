//! The folder of a study's results: what it is of, its journal while it runs, its tables once it is
//! complete.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    design::Counts,
    journal::{Journal, OpenError},
    model::{Networks, Study},
};

/// Version of the folder's files.
const FORMAT: u32 = 1;
/// The file that makes a folder one of results.
const MANIFEST: &str = "study.json";
/// The journal.
const JOURNAL: &str = "journal";
/// What a file is called while it is written, behind its name.
const PARTIAL: &str = ".partial";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not of this study, or taken.
    #[error("{message}")]
    Wrong {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: String,
    },
    /// The disk fails.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// Whether the results are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Members are missing, or the tables.
    Running,
    /// The tables are there.
    Complete,
}

/// `study.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the folder's files.
    pub format: u32,
    /// Version of the program that runs it.
    pub homarus: String,
    /// Name of the study.
    pub study: String,
    /// One line for people.
    pub about: String,
    /// Where the question comes from.
    pub source: String,
    /// BLAKE3 hash of all that the results follow from, the version included.
    pub hash: String,
    /// BLAKE3 hash of the study's text.
    pub text: String,
    /// What the command line set.
    pub set: Vec<String>,
    /// Bases and the BLAKE3 hashes of their text as resolved.
    pub bases: Vec<(String, String)>,
    /// BLAKE3 hash of the table of networks, if there is one.
    pub table: Option<String>,
    /// Members, besides the controls.
    pub members: u64,
    /// Controls: runs of networks up to the fork.
    pub controls: u64,
    /// Members and controls that failed, once it is known.
    pub failed: Option<u64>,
    /// Whether the results are there.
    pub status: Status,
}

impl Manifest {
    /// Of a study that begins, with what the command line sets of it.
    pub fn of(study: &Study, set: &[String], counts: Counts) -> Self {
        let hash = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
        let base = |base: &crate::scene::Scene| (base.name.clone(), hash(&base.text()));
        let table = match &study.networks {
            Networks::Table { columns, rows, .. } => Some(hash(&format!("{columns:?}{rows:?}"))),
            Networks::Drawn(_) => None,
        };
        let mut manifest = Manifest {
            format: FORMAT,
            homarus: env!("CARGO_PKG_VERSION").to_owned(),
            study: study.name.clone(),
            about: study.about.clone(),
            source: study.source.clone(),
            hash: String::new(),
            text: hash(&study.text),
            set: set.to_vec(),
            bases: study.bases.iter().map(base).collect(),
            table,
            members: counts.members(),
            controls: counts.runs(),
            failed: None,
            status: Status::Running,
        };
        let Manifest {
            format,
            homarus,
            text,
            set,
            bases,
            table,
            ..
        } = &manifest;
        manifest.hash = hash(&format!(
            "{format} {homarus} {text} {set:?} {bases:?} {table:?}"
        ));
        manifest
    }

    /// What differs between two manifests of which the hashes do, in words.
    fn differences(&self, there: &Manifest) -> String {
        if there.format != self.format {
            return format!("they are of format {}, not {}", there.format, self.format);
        }
        let mut differ = Vec::new();
        if there.homarus != self.homarus {
            differ.push(format!(
                "homarus is {}, theirs was {}",
                self.homarus, there.homarus
            ));
        }
        if there.study != self.study {
            differ.push(format!("they are of `{}`", there.study));
        }
        if there.text != self.text {
            differ.push("the text of the study differs".to_owned());
        }
        if there.set != self.set {
            let told = |set: &[String]| match set {
                [] => "nothing".to_owned(),
                set => format!("`{}`", set.join("`, `")),
            };
            differ.push(format!(
                "`--set` sets {}, theirs {}",
                told(&self.set),
                told(&there.set)
            ));
        }
        for (name, hash) in &self.bases {
            match there.bases.iter().find(|(known, _)| known == name) {
                Some((_, known)) if known == hash => {}
                Some(_) => differ.push(format!("the base `{name}` differs")),
                None => differ.push(format!("the base `{name}` is new")),
            }
        }
        if there.table != self.table {
            differ.push("the table of networks differs".to_owned());
        }
        differ.join("; ")
    }
}

/// A folder of results, begun or gone on with.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    /// `study.json`.
    pub manifest: Manifest,
}

impl Folder {
    /// The folder of a study: a new one, or one that is of the same study.
    ///
    /// # Errors
    /// It is of another study or version, or no folder of results; or the disk fails.
    pub fn open(dir: &Path, study: &Study, manifest: Manifest) -> Result<Self, Refusal> {
        let mut folder = Folder {
            dir: dir.to_owned(),
            manifest,
        };
        match fs::read_to_string(dir.join(MANIFEST)) {
            Ok(text) => folder.go_on(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => folder.begin()?,
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(folder.refuse("is no folder".to_owned()));
            }
            Err(error) => return Err(named(&dir.join(MANIFEST), error).into()),
        }
        if folder.manifest.status == Status::Running {
            folder.keep("study.ron", &study.text)?;
            fs::create_dir_all(dir.join("scenes"))
                .map_err(|error| named(&dir.join("scenes"), error))?;
            for base in &study.bases {
                folder.keep(&format!("scenes/{}.ron", base.name), &base.text())?;
            }
        }
        Ok(folder)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn refuse(&self, why: String) -> Refusal {
        Refusal::Wrong {
            message: format!("`{}` {why}", self.dir.display()),
            help: "give another folder with `-o`, or move that one away".to_owned(),
        }
    }

    /// Takes the manifest that is there, if it is of the same study.
    fn go_on(&mut self, text: &str) -> Result<(), Refusal> {
        let Ok(there) = serde_json::from_str::<Manifest>(text) else {
            return Err(self.refuse(format!(
                "has a {MANIFEST} that this version does not understand"
            )));
        };
        if there.hash != self.manifest.hash {
            let what = self.manifest.differences(&there);
            return Err(self.refuse(format!("holds other results: {what}")));
        }
        self.manifest = there;
        Ok(())
    }

    /// Makes the folder, or takes an empty one.
    fn begin(&self) -> Result<(), Refusal> {
        let shown = |error| named(&self.dir, error);
        match fs::read_dir(&self.dir) {
            Ok(entries) => {
                for entry in entries {
                    // What a process left that was killed as it began.
                    if entry.map_err(shown)?.file_name() != partial(MANIFEST).as_str() {
                        return Err(self.refuse("is not empty, and holds no results".to_owned()));
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir(&self.dir).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => self.refuse("lies in a folder that is not there".into()),
                    _ => shown(error).into(),
                })?;
            }
            Err(error) => return Err(shown(error).into()),
        }
        Ok(self.save()?)
    }

    fn save(&self) -> io::Result<()> {
        let text = serde_json::to_string_pretty(&self.manifest).map_err(io::Error::other)?;
        self.write(MANIFEST, &(text + "\n"))
    }

    /// Opens the journal.
    ///
    /// # Errors
    /// Another process runs the study; or the disk fails.
    pub fn journal(&self) -> Result<Journal, Refusal> {
        let path = self.dir.join(JOURNAL);
        let Manifest {
            hash,
            members,
            controls,
            ..
        } = &self.manifest;
        let hash = *blake3::hash(hash.as_bytes()).as_bytes();
        Journal::open(&path, hash, members + controls).map_err(|error| match error {
            OpenError::Disk(error) => named(&path, error).into(),
            OpenError::Taken => Refusal::Wrong {
                message: format!("`{}`: {error}", self.dir.display()),
                help: "wait for its end, or give another folder with `-o`".to_owned(),
            },
            OpenError::Foreign => self.refuse(format!("holds a damaged journal: {error}")),
        })
    }

    /// Whether the journal that is open still lies in the folder.
    ///
    /// # Errors
    /// It does not: somebody took the folder away.
    pub fn is_there(&self) -> io::Result<()> {
        let path = self.dir.join(JOURNAL);
        match fs::metadata(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(named(&path, error)),
        }
    }

    /// Makes a new file beside its final name; [`Folder::settle`] gives it that.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn create(&self, name: &str) -> io::Result<Part> {
        let path = self.dir.join(partial(name));
        match File::create(&path) {
            Ok(file) => Ok(Part { file, path }),
            Err(error) => Err(named(&path, error)),
        }
    }

    /// Gives a file that is whole its final name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn settle(&self, name: &str) -> io::Result<()> {
        let (from, to) = (self.dir.join(partial(name)), self.dir.join(name));
        File::open(&from)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&from, &to))
            .map_err(|error| named(&to, error))
    }

    /// Writes a file unless it is there as it should be.
    fn keep(&self, name: &str, text: &str) -> io::Result<()> {
        match fs::read(self.dir.join(name)) {
            Ok(known) if known == text.as_bytes() => Ok(()),
            _ => self.write(name, text),
        }
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        self.create(name)?.write_all(text.as_bytes())?;
        self.settle(name)
    }

    /// Ends the study: its tables are there, the journal is no longer needed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn complete(&mut self, failed: u64) -> io::Result<()> {
        self.manifest.status = Status::Complete;
        self.manifest.failed = Some(failed);
        self.save()
    }

    /// Removes the journal of a study that is complete.
    pub fn forget_journal(&self) {
        // If it stays, nothing is wrong but the room it takes.
        let _ = fs::remove_file(self.dir.join(JOURNAL));
    }
}

fn partial(name: &str) -> String {
    format!("{name}{PARTIAL}")
}

/// A file that is being written. Its errors name it.
#[derive(Debug)]
pub struct Part {
    file: File,
    path: PathBuf,
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file
            .write(bytes)
            .map_err(|error| named(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// An error that names its file.
fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}
