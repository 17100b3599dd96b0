//! The folder a bundle grows in, beside its final name, and its publication.
//!
//! A bundle `NAME` grows in `.NAME.partial-PID-N/bundle`. Beside it lies `lock`, held by the process that writes and so
//! never part of what is published: who can take it knows that this process is gone, and may clear up after it. When the
//! bundle is whole, one rename makes it `NAME`.
//!
//! Folders and files are made, published and removed under one lock of the process, so that [`abandon`] leaves nothing.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    mem,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What the published folder is called while it grows.
const GROWING: &str = "bundle";
/// Where the old bundle waits for its end where two folders cannot be exchanged in one go.
const OLD: &str = "old";
/// The file whose lock says that the process lives.
const LOCK: &str = "lock";
/// The file that makes a folder a bundle.
const MARK: &str = "run.json";

/// The areas of this process, all of them; whoever makes, publishes or removes something holds it.
static AREAS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn areas() -> MutexGuard<'static, Vec<PathBuf>> {
    AREAS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what this process is writing and has not published, for good: whatever another thread would make or publish
/// afterwards, it waits until the process ends. The caller, most often a signal handler's thread, ends it next.
pub fn abandon() {
    let areas = areas();
    areas.iter().for_each(|area| clear(area));
    mem::forget(areas);
}

/// Why no bundle can be begun.
#[derive(Debug)]
pub enum Refusal {
    /// What was asked for is wrong.
    Request {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: String,
    },
    /// The disk failed: it is full, for one.
    Disk(io::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::Request { message, .. } => f.write_str(message),
            Refusal::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

fn refuse<T>(message: String, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Request {
        message,
        help: help.into(),
    })
}

/// Where a bundle has come to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// Where it was to lie.
    AsAsked(PathBuf),
    /// Beside it, because the name could not be had in the end. Nothing is lost, but the caller should fail.
    Beside {
        /// Where it lies.
        path: PathBuf,
        /// Where it was to lie.
        wanted: PathBuf,
        /// What is the matter with that name, such as "has been taken meanwhile".
        why: String,
    },
}

impl Published {
    /// Where the bundle lies.
    pub fn path(&self) -> &Path {
        match self {
            Published::AsAsked(path) | Published::Beside { path, .. } => path,
        }
    }

    /// What to tell a person, if it lies elsewhere than asked.
    pub fn complaint(&self) -> Option<String> {
        match self {
            Published::AsAsked(_) => None,
            Published::Beside { path, wanted, why } => Some(format!(
                "`{}` {why}; the bundle is in `{}`",
                wanted.display(),
                path.display()
            )),
        }
    }
}

/// A bundle that is being written. Dropped, it is removed.
#[derive(Debug)]
pub struct Staging {
    area: PathBuf,
    place: Place,
    overwrite: bool,
    _lock: File,
}

impl Staging {
    /// Begins a bundle that is to become `dir`, and clears up after processes that died writing the same one.
    ///
    /// # Errors
    /// `dir` cannot become a bundle: a name that is none, a parent folder that is missing or cannot be written in, or
    /// something there already that `overwrite` does not allow to be replaced. Or the disk failed.
    pub fn create(dir: &Path, overwrite: bool) -> Result<Self, Refusal> {
        let place = Place::of(dir)?;
        place.admit(overwrite)?;
        let mut areas = areas();
        remove_stale(&place);
        let (area, lock) = begin(&place).map_err(|error| place.refusal(error))?;
        areas.push(area.clone());
        Ok(Staging {
            area,
            place,
            overwrite,
            _lock: lock,
        })
    }

    /// Makes a new file.
    ///
    /// # Errors
    /// It cannot be made. The error names it, as do those of writing to it.
    pub fn file(&self, name: &str) -> io::Result<StagedFile> {
        let _areas = areas();
        let shown = self.place.shown.join(name);
        match File::create_new(self.path(name)) {
            Ok(file) => Ok(StagedFile { file, shown }),
            Err(error) => Err(named(&shown, error)),
        }
    }

    /// Makes a new file with a content.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all(content)
    }

    /// Reads a file back through `read`.
    ///
    /// # Errors
    /// It cannot be read. The error names it.
    pub fn read_back<T>(
        &self,
        name: &str,
        read: impl FnOnce(File) -> io::Result<T>,
    ) -> io::Result<T> {
        File::open(self.path(name))
            .and_then(read)
            .map_err(|error| named(&self.place.shown.join(name), error))
    }

    /// Names of the files, in alphabetical order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.area.join(GROWING))
            .map_err(|error| named(&self.place.shown, error))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Brings every file to the disk and gives the whole its final name. If something else has come to lie there, it
    /// gets the first free of `NAME-2`, `NAME-3`, …
    ///
    /// # Errors
    /// A file cannot be brought to the disk, or the folder cannot be renamed.
    pub fn publish(self) -> io::Result<Published> {
        for name in self.names()? {
            // Windows syncs only what is open for writing.
            OpenOptions::new()
                .write(true)
                .open(self.path(&name))
                .and_then(|file| file.sync_all())
                .map_err(|error| named(&self.place.shown.join(name), error))?;
        }
        sync_folder(&self.area.join(GROWING))?;
        let _areas = areas();
        let published = self.settle()?;
        // It is there: that a crash of the machine could still undo the rename is no reason to say otherwise.
        let _ = sync_folder(&self.place.parent);
        Ok(published)
    }

    /// Renames the bundle.
    fn settle(&self) -> io::Result<Published> {
        let Place {
            parent,
            name,
            shown,
        } = &self.place;
        let (from, target) = (self.area.join(GROWING), parent.join(name));
        let mut why = "has been taken meanwhile".to_string();
        if self.overwrite {
            match Occupant::of(&target) {
                Occupant::Nothing => {}
                Occupant::Bundle | Occupant::EmptyFolder => {
                    match replace(&from, &target, &self.area.join(OLD)) {
                        Ok(()) => return Ok(Published::AsAsked(shown.clone())),
                        Err(error) => why = format!("cannot be replaced: {error}"),
                    }
                }
                Occupant::Folder | Occupant::File => why = "is no longer a bundle".to_string(),
            }
        }
        match rename_new(&from, &target) {
            Ok(()) => return Ok(Published::AsAsked(shown.clone())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(named(shown, error)),
        }
        let mut number = 2_u64;
        loop {
            let free = joined(name, &format!("-{number}"));
            match rename_new(&from, &parent.join(&free)) {
                Ok(()) => {
                    return Ok(Published::Beside {
                        path: shown.with_file_name(free),
                        wanted: shown.clone(),
                        why,
                    });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(named(shown, error)),
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.area.join(GROWING).join(name)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let mut areas = areas();
        clear(&self.area);
        areas.retain(|area| *area != self.area);
    }
}

/// A file of a bundle that is being written. Its errors name it.
#[derive(Debug)]
pub struct StagedFile {
    file: File,
    shown: PathBuf,
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file
            .write(bytes)
            .map_err(|error| named(&self.shown, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// An error of the system and the file it is about.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {source}", path.display())]
struct Named {
    path: PathBuf,
    source: io::Error,
}

/// An error about a file or folder of a bundle. What is not found was there, so it says that someone took it away.
fn named(path: &Path, error: io::Error) -> io::Error {
    let kind = error.kind();
    let source = match kind {
        ErrorKind::NotFound => io::Error::new(
            kind,
            "the folder in which it was being written has been removed meanwhile",
        ),
        _ => error,
    };
    let path = path.to_path_buf();
    io::Error::new(kind, Named { path, source })
}

/// The final place of a bundle.
#[derive(Debug)]
struct Place {
    /// The folder it lies in, whatever becomes of the working directory.
    parent: PathBuf,
    name: OsString,
    /// The whole, as the user wrote it.
    shown: PathBuf,
}

impl Place {
    fn of(dir: &Path) -> Result<Self, Refusal> {
        const EXAMPLE: &str = "give the name of a new folder, such as `-o run1`";
        if dir.as_os_str().is_empty() {
            return refuse("the name of the bundle is empty".to_string(), EXAMPLE);
        }
        let (Some(name), Some(parent)) = (dir.file_name(), dir.parent()) else {
            let message = format!("`{}` cannot be the name of a bundle", dir.display());
            return refuse(message, EXAMPLE);
        };
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        let place = Place {
            parent: real_folder(parent)?,
            name: name.to_os_string(),
            shown: dir.to_path_buf(),
        };
        let target = place.target();
        if !target.is_symlink() {
            return Ok(place);
        }
        // What a link leads to is replaced, not the link.
        match fs::canonicalize(&target) {
            Ok(real) => Self::of(&real),
            Err(error) => refuse(
                format!("`{}` is a link that leads nowhere: {error}", dir.display()),
                "remove the link, or give another name",
            ),
        }
    }

    fn target(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// Refuses a place where something lies that may not be replaced.
    fn admit(&self, overwrite: bool) -> Result<(), Refusal> {
        const OTHER: &str = "give another name";
        let (target, shown) = (self.target(), self.shown.display());
        match Occupant::of(&target) {
            Occupant::Nothing => Ok(()),
            Occupant::File => refuse(
                format!("`{shown}` is a file, and a bundle is a folder"),
                OTHER,
            ),
            // Not to be replaced, so nobody is told to ask for it.
            Occupant::Folder => refuse(
                format!("`{shown}` exists and is not a bundle: it has no `{MARK}` of a run"),
                "`--overwrite` replaces bundles and empty folders only; give another name",
            ),
            _ if !overwrite => refuse(
                format!("`{shown}` exists already"),
                "`--overwrite` replaces it; or give another name",
            ),
            Occupant::Bundle | Occupant::EmptyFolder => {
                if is_mount_point(&target, &self.parent) {
                    return refuse(
                        format!("`{shown}` is a mount point, which cannot be replaced"),
                        format!("give a name inside of it, such as `-o {shown}/run1`"),
                    );
                }
                if !is_writable(&target) {
                    return refuse(
                        format!("`{shown}` cannot be replaced: it is write-protected"),
                        OTHER,
                    );
                }
                Ok(())
            }
        }
    }

    /// What an error says about this place.
    fn refusal(&self, error: io::Error) -> Refusal {
        let (message, help) = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
                format!(
                    "no bundle can be written in `{}`: {error}",
                    self.parent.display()
                ),
                "choose a folder in which you may write",
            ),
            ErrorKind::InvalidFilename => (
                format!("`{}` cannot be written: {error}", self.shown.display()),
                "give a shorter name",
            ),
            _ => return Refusal::Disk(named(&self.shown, error)),
        };
        Refusal::Request {
            message,
            help: help.to_string(),
        }
    }
}

/// The folder that bundles are to lie in.
fn real_folder(parent: &Path) -> Result<PathBuf, Refusal> {
    let shown = parent.display();
    match fs::canonicalize(parent) {
        Ok(real) if real.is_dir() => Ok(real),
        Ok(_) => refuse(
            format!("`{shown}` is a file, not a folder"),
            "give a folder that a bundle can lie in",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => refuse(
            format!("the folder `{shown}` does not exist"),
            format!("create it: `mkdir -p {}`", quoted(parent)),
        ),
        Err(error) => refuse(
            format!("the folder `{shown}` cannot be opened: {error}"),
            "give a folder that a bundle can lie in",
        ),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,@%".contains(c);
    match text.chars().all(plain) && !text.starts_with('-') {
        true => text,
        false => format!("-- '{}'", text.replace('\'', r"'\''")),
    }
}

/// What lies at a place.
enum Occupant {
    Nothing,
    Bundle,
    EmptyFolder,
    /// A folder that is neither: somebody's work.
    Folder,
    File,
}

impl Occupant {
    fn of(path: &Path) -> Self {
        if fs::symlink_metadata(path).is_err() {
            return Occupant::Nothing;
        }
        if !path.is_dir() {
            return Occupant::File;
        }
        if is_run(&path.join(MARK)) {
            return Occupant::Bundle;
        }
        match fs::read_dir(path).map(|mut entries| entries.next()) {
            Ok(None) => Occupant::EmptyFolder,
            _ => Occupant::Folder,
        }
    }
}

/// Whether a file is the `run.json` of this program; others have files of that name.
fn is_run(path: &Path) -> bool {
    let run = fs::read(path)
        .ok()
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    run.is_some_and(|run| run.get("homarus").is_some())
}

#[cfg(unix)]
fn is_mount_point(path: &Path, parent: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path| fs::metadata(path).map(|m| m.dev()).ok();
    device(path) != device(parent)
}

#[cfg(not(unix))]
fn is_mount_point(_: &Path, _: &Path) -> bool {
    false
}

#[cfg(unix)]
fn is_writable(path: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_writable(_: &Path) -> bool {
    true
}

fn joined(name: &OsStr, end: &str) -> OsString {
    let mut joined = name.to_os_string();
    joined.push(end);
    joined
}

/// What the names of all areas of a bundle begin with.
fn area_prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".partial-");
    prefix
}

/// Makes an area and takes its lock.
fn begin(place: &Place) -> io::Result<(PathBuf, File)> {
    let prefix = area_prefix(&place.name);
    let mut number = 0_u64;
    loop {
        let name = joined(&prefix, &format!("{}-{number}", process::id()));
        let area = place.parent.join(name);
        match fs::create_dir(&area) {
            Ok(()) => match claim(&area) {
                Ok(Some(lock)) => return Ok((area, lock)),
                Ok(None) => {}
                Err(error) => {
                    clear(&area);
                    return Err(error);
                }
            },
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        number += 1;
    }
}

/// Takes the lock of a new area, unless another process has found the area before it was locked and clears it up.
fn claim(area: &Path) -> io::Result<Option<File>> {
    let unless_cleared = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => Ok(None),
        _ => Err(error),
    };
    let lock = match File::create_new(area.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) => return unless_cleared(error),
    };
    // Where a file system has no locks, nobody can take this one either, and nobody clears up.
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        return Ok(None);
    }
    match fs::create_dir(area.join(GROWING)) {
        Ok(()) => Ok(Some(lock)),
        Err(error) => unless_cleared(error),
    }
}

/// Removes the areas of dead processes that wrote the same bundle.
fn remove_stale(place: &Place) {
    let prefix = area_prefix(&place.name);
    let Ok(entries) = fs::read_dir(&place.parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !is_area(&entry.file_name(), &prefix) {
            continue;
        }
        let area = entry.path();
        match OpenOptions::new().write(true).open(area.join(LOCK)) {
            Ok(lock) if lock.try_lock().is_ok() => clear(&area),
            Ok(_) => {}
            // Died before it had a lock, or is about to make one and will try again; only an empty folder goes.
            Err(_) => drop(fs::remove_dir(&area)),
        }
    }
}

/// Whether a name is the prefix and two numbers: bundles may be called anything.
fn is_area(name: &OsStr, prefix: &OsStr) -> bool {
    let rest = name
        .as_encoded_bytes()
        .strip_prefix(prefix.as_encoded_bytes());
    let mut numbers = rest.unwrap_or_default().split(|byte| *byte == b'-');
    let mut number = || {
        let digits = numbers.next().unwrap_or_default();
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    };
    number() && number() && numbers.next().is_none()
}

/// Removes an area, its lock last so that what is left half-way can still be recognised. What cannot be removed is left
/// to the next run of the same name.
fn clear(area: &Path) {
    for folder in [GROWING, OLD] {
        let _ = fs::remove_dir_all(area.join(folder));
    }
    if !area.join(GROWING).exists() && !area.join(OLD).exists() {
        let _ = fs::remove_file(area.join(LOCK));
        let _ = fs::remove_dir(area);
    }
}

/// Gives a folder a name that must be free.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match in_one_go(from, to, false) {
        Some(done) => done,
        None if fs::symlink_metadata(to).is_ok() => Err(ErrorKind::AlreadyExists.into()),
        None => fs::rename(from, to),
    }
}

/// Puts a folder in the place of another, which is then at `from` or `old`, to be removed.
fn replace(from: &Path, to: &Path, old: &Path) -> io::Result<()> {
    match in_one_go(from, to, true) {
        Some(done) => done,
        None => replace_in_steps(from, to, old),
    }
}

/// As [`replace`], where the name is missing for a moment.
fn replace_in_steps(from: &Path, to: &Path, old: &Path) -> io::Result<()> {
    fs::rename(to, old)?;
    fs::rename(from, to).inspect_err(|_| {
        // The old bundle is better than none; the error is told either way.
        let _ = fs::rename(old, to);
    })
}

/// Renames to a free name, or exchanges two names; `None` where the system cannot.
#[cfg(target_os = "linux")]
fn in_one_go(from: &Path, to: &Path, exchange: bool) -> Option<io::Result<()>> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };
    let flags = match exchange {
        true => RenameFlags::EXCHANGE,
        false => RenameFlags::NOREPLACE,
    };
    match renameat_with(CWD, from, CWD, to, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => None,
        done => Some(done.map_err(Into::into)),
    }
}

#[cfg(not(target_os = "linux"))]
fn in_one_go(_: &Path, _: &Path, _: bool) -> Option<io::Result<()>> {
    None
}

/// Brings the names in a folder to the disk, where the file system has a way to.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}
