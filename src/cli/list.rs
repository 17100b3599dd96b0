//! `homarus list`: what ships, copies of it, and the paths of a scene.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use homarus_systems::address;

use super::{files, message, output, setting, wrong};
use crate::run::Failure;
use crate::scene::{self, Kind, copy, spawn};

/// What is listed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Ionic currents.
    Channels,
    /// Synapse kinds.
    Synapses,
    /// Cell types.
    Cells,
    /// Networks.
    Networks,
    /// Studies.
    Studies,
    /// Every path of a scene with its value and unit.
    Paths,
}

impl What {
    /// The kind of file, if it is one.
    fn kind(self) -> Option<Kind> {
        match self {
            What::Channels => Some(Kind::Channel),
            What::Synapses => Some(Kind::Synapse),
            What::Cells => Some(Kind::Cell),
            What::Networks => Some(Kind::Network),
            What::Studies => Some(Kind::Study),
            What::Paths => None,
        }
    }
}

/// List what ships, copy it to start from, or list every path of a scene.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus list networks
  homarus list networks --copy half_centre
  homarus list paths half_centre --set 'A->B.g=0.4'")]
pub(super) struct Arguments {
    /// What to list; everything that ships if nothing is named.
    what: Option<What>,
    /// For `paths`: a .ron file or the name of a shipped scene.
    scene: Option<String>,
    /// Copy this one, with what it includes, into the current folder as NAME.ron.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["scene", "set"])]
    copy: Option<String>,
    /// For `paths`: set a scalar or setting first; repeatable.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments {
        what,
        scene,
        copy,
        set,
    } = arguments;
    match (what, scene, copy) {
        (Some(What::Paths), Some(scene), None) => paths(scene, set),
        (Some(What::Paths), None, None) => Err(wrong(
            "`list paths` needs a scene".to_string(),
            Some("homarus list paths half_centre".to_string()),
        )),
        (_, Some(scene), _) => Err(wrong(
            format!("only `list paths` takes a scene, found `{scene}`"),
            None,
        )),
        (_, None, None) if !set.is_empty() => Err(wrong(
            "only `list paths` takes `--set`".to_string(),
            Some("homarus list paths SCENE --set PATH=VALUE".to_string()),
        )),
        (what, None, Some(name)) => copy_shipped(*what, name),
        (what, None, None) => shipped(*what),
    }
}

/// Copies a shipped file and what it includes into the current folder.
fn copy_shipped(what: Option<What>, name: &str) -> Result<(), Failure> {
    let kinds = match what {
        Some(what) => what.kind().into_iter().collect(),
        None => Kind::ALL.to_vec(),
    };
    if kinds.is_empty() {
        return Err(wrong(
            "paths cannot be copied".to_string(),
            Some(format!("homarus list networks --copy {name}")),
        ));
    }
    let copies = copy::with_includes(&kinds, name)?;
    let copies = copies.into_iter();
    let texts: Vec<(PathBuf, String)> = copies.map(|(name, text)| (name.into(), text)).collect();
    files::create(&texts)?;
    for (path, _) in &texts {
        message(&format!("wrote {}\n", path.display()));
    }
    Ok(())
}

fn shipped(what: Option<What>) -> Result<(), Failure> {
    let all = scene::shipped();
    let mut text = String::new();
    for kind in Kind::ALL {
        if what.is_some_and(|w| w.kind() != Some(kind)) {
            continue;
        }
        let entries: Vec<_> = all.iter().filter(|s| s.kind == kind).collect();
        if entries.is_empty() && what.is_none() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{}\n", kind.folder()));
        if entries.is_empty() {
            text.push_str("  none ship with this version\n");
        }
        let width = entries
            .iter()
            .map(|s| s.name.chars().count())
            .max()
            .unwrap_or(0);
        for entry in entries {
            text.push_str(&format!("  {:width$}  {}\n", entry.name, entry.about));
            text.push_str(&format!("  {:width$}  source: {}\n", "", entry.source));
            if let (Kind::Study, Some(verb)) = (kind, entry.verb()) {
                // What a scene must show is what makes it a study.
                let verb = if verb == "run" { "verify" } else { verb };
                text.push_str(&format!("  {:width$}  homarus {verb} {}\n", "", entry.name));
            }
        }
    }
    output(&text)
}

fn paths(name: &str, set: &[String]) -> Result<(), Failure> {
    let mut scene = setting::read(name, set)?;
    setting::apply(&mut scene, set, &mut Vec::new())?;
    let mut simulation = spawn::spawn(&scene)?;
    simulation.start()?;
    let names = simulation.names();
    let rows: Vec<(String, String, &str, &str)> = names
        .all()
        .into_iter()
        .map(|address| {
            let value = address::read(&simulation.world, address).unwrap_or(f64::NAN);
            let kind = if address.is_kinetic() {
                "kinetic"
            } else {
                "live"
            };
            (
                names.path(address),
                format!("{value}"),
                address.unit(),
                kind,
            )
        })
        .collect();
    let path = rows
        .iter()
        .map(|(path, ..)| path.chars().count())
        .max()
        .unwrap_or(0);
    let value = rows
        .iter()
        .map(|(_, value, ..)| value.len())
        .max()
        .unwrap_or(0);
    let unit = rows
        .iter()
        .map(|(_, _, unit, _)| unit.chars().count())
        .max()
        .unwrap_or(0);
    let lines = rows
        .iter()
        .map(|(p, v, u, k)| format!("{p:path$}  {v:>value$}  {u:unit$}  {k}\n"));
    output(&lines.collect::<String>())
}
