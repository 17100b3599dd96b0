//! `homarus list`: what ships, and the paths of a scene.

use clap::{Args, ValueEnum};
use homarus_systems::address;

use super::{output, wrong};
use crate::run::Failure;
use crate::scene::{self, Kind, spawn};

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

/// List what ships, or every path of a scene.
#[derive(Args)]
#[command(after_help = "Examples:\n  homarus list networks\n  homarus list paths half_centre")]
pub(super) struct Arguments {
    /// What to list; everything that ships if nothing is named.
    what: Option<What>,
    /// For `paths`: a .ron file or the name of a shipped scene.
    scene: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match (arguments.what, &arguments.scene) {
        (Some(What::Paths), Some(scene)) => paths(scene),
        (Some(What::Paths), None) => Err(wrong(
            "`list paths` needs a scene".to_string(),
            Some("homarus list paths half_centre".to_string()),
        )),
        (_, Some(scene)) => Err(wrong(
            format!("only `list paths` takes a scene, found `{scene}`"),
            None,
        )),
        (what, None) => shipped(what),
    }
}

fn shipped(what: Option<What>) -> Result<(), Failure> {
    let sections = [
        (What::Channels, Kind::Channel, "channels"),
        (What::Synapses, Kind::Synapse, "synapses"),
        (What::Cells, Kind::Cell, "cells"),
        (What::Networks, Kind::Network, "networks"),
        (What::Studies, Kind::Study, "studies"),
    ];
    let all = scene::shipped();
    let mut text = String::new();
    for (asked, kind, title) in sections {
        if what.is_some_and(|w| w != asked) {
            continue;
        }
        let entries: Vec<_> = all.iter().filter(|s| s.kind == kind).collect();
        if entries.is_empty() && what.is_none() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{title}\n"));
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
        }
    }
    output(&text)
}

fn paths(name: &str) -> Result<(), Failure> {
    let scene = scene::read(name)?;
    let mut simulation = spawn::spawn(&scene, &[])?;
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
