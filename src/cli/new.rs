//! `homarus new NAME`: a scene to start from.

use std::path::Path;

use clap::Args;

use super::{files, output, wrong};
use crate::run::Failure;

/// The scene it writes.
const STARTER: &str = include_str!("../../scenes/starter.ron");

/// Write a commented starter scene that runs.
#[derive(Args)]
#[command(after_help = "Example:\n  homarus new my_network\n  homarus run my_network.ron")]
pub(super) struct Arguments {
    /// Name of the scene: letters, digits and `_`; the file is NAME.ron.
    name: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = arguments
        .name
        .strip_suffix(".ron")
        .unwrap_or(&arguments.name);
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let stem = Path::new(name).file_name().and_then(|stem| stem.to_str());
    let fine = stem.is_some_and(|stem| stem.chars().all(plain)) && !name.ends_with(['/', '\\']);
    if !fine {
        return Err(wrong(
            format!("`{}` is no name for a scene", arguments.name),
            Some("letters, digits and `_`: homarus new my_network".to_string()),
        ));
    }
    let file = format!("{name}.ron");
    files::create(&[(file.clone().into(), STARTER.to_string())])?;
    output(&format!(
        "wrote {file}; run it with\n  homarus run {file}\n"
    ))
}
