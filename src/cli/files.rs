//! New files of the user's: all of them, or none.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use super::wrong;
use crate::run::Failure;

/// Writes new files; none is left if one of them cannot be written.
///
/// # Errors
/// A file is there already, or the disk refuses.
pub(super) fn create(files: &[(PathBuf, String)]) -> Result<(), Failure> {
    for (done, (path, text)) in files.iter().enumerate() {
        if let Err(error) = create_one(path, text) {
            let written = if error.kind() == ErrorKind::AlreadyExists {
                done
            } else {
                done + 1
            };
            for (path, _) in &files[..written] {
                // What cannot be removed could not be written either.
                let _ = fs::remove_file(path);
            }
            return Err(refusal(path, &error));
        }
    }
    Ok(())
}

fn create_one(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn refusal(path: &Path, error: &io::Error) -> Failure {
    let folder = path.parent().unwrap_or(Path::new("")).display();
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => wrong(
            format!("the folder `{folder}` does not exist"),
            Some("create it first, or work in another folder".to_string()),
        ),
        ErrorKind::AlreadyExists => wrong(
            format!("`{path}` exists already"),
            Some("move it away first, or work in another folder".to_string()),
        ),
        _ => wrong(format!("`{path}` cannot be written: {error}"), None),
    }
}
