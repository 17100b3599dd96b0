//! `homarus list`: what ships, copies of it, the paths of a scene, and what a snapshot holds.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use homarus_systems::{
    address::{self, Address},
    assembly::Simulation,
    protocol::Protocol,
};

use super::{files, message, output, run::unreadable, setting, wrong};
use crate::record::snapshot::{FORMAT, Snapshot};
use crate::run::Failure;
use crate::scene::{self, Diagnostic, Kind, copy, spawn};

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

/// What is listed: things of a kind, or a snapshot.
#[derive(Clone)]
enum Subject {
    /// Things of a kind.
    All(What),
    /// A snapshot.
    Snapshot(PathBuf),
}

fn subject(word: &str) -> Result<Subject, String> {
    if word.ends_with(".snap") || Path::new(word).is_file() {
        return Ok(Subject::Snapshot(word.into()));
    }
    What::from_str(word, false).map(Subject::All).map_err(|_| {
        let known = What::value_variants().iter();
        let known = known.filter_map(ValueEnum::to_possible_value);
        let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
        format!("expected one of {}, or a snapshot", known.join(", "))
    })
}

/// List what ships, copy it to start from, or list every path of a scene or a snapshot.
#[derive(Args)]
#[command(after_help = "Examples:
  homarus list networks
  homarus list networks --copy half_centre
  homarus list paths half_centre --set 'A->B.g=0.4'
  homarus run half_centre -o half_centre.bundle --snapshot-at 500 --duration-ms 1000
  homarus list half_centre.bundle/snapshot-500.snap '*.V'")]
pub(super) struct Arguments {
    /// `channels`, `synapses`, `cells`, `networks` or `studies`: what ships of a kind; everything that
    /// ships if nothing is named. `paths`: every path of a scene with its value and unit. The file of
    /// a snapshot: its time, its network and its values by path.
    #[arg(value_parser = subject)]
    what: Option<Subject>,
    /// For `paths`: a .ron file or the name of a shipped scene. For a snapshot: the paths to list, for
    /// instance '*.V'.
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
    let what = match what {
        Some(Subject::Snapshot(file)) if copy.is_none() && set.is_empty() => {
            return snapshot(file, scene.as_deref());
        }
        Some(Subject::Snapshot(file)) => {
            return Err(wrong(
                "a snapshot is listed as it is, without `--set` and `--copy`".to_string(),
                Some(format!("homarus list {}", file.display())),
            ));
        }
        Some(Subject::All(what)) => Some(what),
        None => None,
    };
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
        (what, None, Some(name)) => copy_shipped(what.copied(), name),
        (what, None, None) => shipped(what.copied()),
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
    let all = simulation.names().all();
    output(&values(&simulation, all))
}

/// What a snapshot holds, of its values those that a path names.
fn snapshot(file: &Path, path: Option<&str>) -> Result<(), Failure> {
    let (snapshot, _) = Snapshot::read(file).map_err(unreadable)?;
    let scene = snapshot.scene()?;
    let mut simulation = spawn::spawn(&scene)?;
    let restored = snapshot.state.restore(&mut simulation.world);
    let unfit = |misfit| Diagnostic::new(format!("`{}` does not fit: {misfit}", file.display()));
    restored.map_err(|misfit| Failure::Input(unfit(misfit).into()))?;
    let named = match path {
        None => simulation.names().all(),
        Some(path) => {
            let named = simulation.names().scalars(path);
            named.map_err(|error| wrong(error.to_string(), None))?
        }
    };
    let protocol = simulation.world.resource::<Protocol>();
    let to_come = match (protocol.entries().len(), protocol.next_time()) {
        (_, None) => "nothing".to_owned(),
        (count, Some(next)) => format!("protocol entries: {count}; next at {next} ms"),
    };
    let head = [
        ("scene", snapshot.scene.clone()),
        ("scene_hash", snapshot.scene_hash.clone()),
        ("t_ms", snapshot.t_ms.to_string()),
        ("cells", scene.cells.len().to_string()),
        ("edges", scene.edge_count().to_string()),
        ("to come", to_come),
        ("homarus", format!("{}, format {FORMAT}", snapshot.homarus)),
    ];
    let head = head
        .iter()
        .map(|(what, value)| format!("{what:10}  {value}\n"));
    let head: String = head.collect();
    output(&format!("{head}\n{}", values(&simulation, named)))
}

/// Paths with their values, units and sorts, a line each.
fn values(simulation: &Simulation, addresses: Vec<Address>) -> String {
    let names = simulation.names();
    let rows: Vec<(String, String, &str, &str)> = addresses
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
    lines.collect()
}
