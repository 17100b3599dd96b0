//! A bundle: the folder of `--out`, with the tables of a run, its scene and `run.json`.
//!
//! Rows are written by a thread of their own. It may fall behind by a few hand-overs, then the run waits for it.

use std::{
    io,
    mem::take,
    panic::resume_unwind,
    path::PathBuf,
    sync::mpsc::{SyncSender, sync_channel},
    thread::{Builder, JoinHandle},
};

pub use super::staging::{Published, Refusal};
use super::{
    staging::{StagedFile, Staging},
    table::{Column, Kind, Origin, Table, Value, Words},
};

/// Hand-overs that may wait to be written.
const WAITING: usize = 4;

/// What a user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The folder that the bundle becomes.
    pub dir: PathBuf,
    /// Whether a bundle that is there already may be replaced.
    pub overwrite: bool,
    /// Whether every table is written as CSV too.
    pub csv: bool,
}

/// What the tables hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Name of the scene.
    pub scene: String,
    /// Hash of the scene.
    pub scene_hash: String,
    /// Names of the cells, in scene order.
    pub cells: Vec<String>,
    /// Owners of the sampled scalars: cells or edges (`A->B`).
    pub owners: Vec<String>,
    /// Column (`V`, `CaS.gbar`, `g`) and unit of every sampled scalar; where there is none, there is no table of samples.
    pub scalars: Vec<(String, String)>,
}

/// A spike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpikeRow {
    /// Time (ms).
    pub t_ms: f64,
    /// Index of the cell.
    pub cell: u32,
}

/// A burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurstRow {
    /// Index of the cell.
    pub cell: u32,
    /// Number of the burst in its cell.
    pub k: u64,
    /// First spike (ms).
    pub on_ms: f64,
    /// Last spike (ms).
    pub off_ms: f64,
    /// Onset to next onset (ms).
    pub period_ms: Option<f64>,
    /// Share of the period between onset and offset.
    pub duty: Option<f64>,
    /// Onset in the cycle of the rhythm's reference cell, in [0, 1).
    pub phase: Option<f64>,
    /// Spikes in it.
    pub n_spikes: u64,
}

/// Something that the protocol did.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Time (ms).
    pub t_ms: f64,
    /// What was done.
    pub what: String,
    /// What it was done to.
    pub path: String,
    /// Value before, in the unit of the path.
    pub old: Option<f64>,
    /// Value after, in the unit of the path.
    pub new: Option<f64>,
}

/// Rows of samples, side by side in memory: there can be millions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    t_ms: Vec<f64>,
    owners: Vec<u32>,
    values: Vec<Option<f64>>,
}

impl Samples {
    /// Adds a row: time (ms), index of the owner, and a value for each scalar of the layout, `None` where it is not
    /// sampled.
    pub fn push(&mut self, t_ms: f64, owner: u32, values: impl IntoIterator<Item = Option<f64>>) {
        self.t_ms.push(t_ms);
        self.owners.push(owner);
        self.values.extend(values);
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.t_ms.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.t_ms.is_empty()
    }
}

/// Rows that are handed over together. Each table gets them in the order given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Spikes by time, then cell.
    pub spikes: Vec<SpikeRow>,
    /// Bursts.
    pub bursts: Vec<BurstRow>,
    /// Samples by time, then owner.
    pub samples: Samples,
    /// Events by time.
    pub events: Vec<EventRow>,
}

/// A file of a bundle, as `run.json` lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileDigest {
    /// Name.
    pub name: String,
    /// Size (bytes).
    pub bytes: u64,
    /// BLAKE3 hash of the content, in hexadecimal.
    pub blake3: String,
}

/// A bundle that is being written. Dropped before its end, it leaves nothing behind.
#[derive(Debug)]
pub struct Bundle {
    // Declared, and so dropped, before the folder its files are in.
    writer: Writer,
    staging: Staging,
}

impl Bundle {
    /// Begins a bundle.
    ///
    /// # Errors
    /// The request cannot be granted, or the disk fails.
    pub fn create(request: &Request, layout: Layout) -> Result<Self, Refusal> {
        let staging = Staging::create(&request.dir, request.overwrite)?;
        let writer = Tables::create(&staging, request.csv, &layout)
            .and_then(Writer::start)
            .map_err(Refusal::Disk)?;
        Ok(Bundle { writer, staging })
    }

    /// Hands rows to the writing thread. If the disk is slower than the run, this waits.
    ///
    /// # Errors
    /// The thread has failed, with these rows or earlier ones; the bundle cannot be finished then. The error names the
    /// file and keeps the kind of the system's error.
    pub fn push(&mut self, rows: Rows) -> io::Result<()> {
        self.writer.push(rows)
    }

    /// Adds a file of another sort.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.staging.write(name, content)
    }

    /// Ends the tables, writes `scene.ron` and `run.json` and publishes the whole. `run_json` gets all other files, by
    /// name, and returns the text.
    ///
    /// # Errors
    /// A file cannot be written, or the bundle cannot get its name. Nothing is left behind then.
    pub fn finish(
        self,
        scene_ron: &str,
        run_json: impl FnOnce(&[FileDigest]) -> String,
    ) -> io::Result<Published> {
        let Bundle {
            mut writer,
            staging,
        } = self;
        writer.join()?.finish()?;
        staging.write("scene.ron", scene_ron.as_bytes())?;
        let digests: io::Result<Vec<FileDigest>> = staging
            .names()?
            .into_iter()
            .map(|name| digest(&staging, name))
            .collect();
        staging.write("run.json", run_json(&digests?).as_bytes())?;
        staging.publish()
    }
}

fn digest(staging: &Staging, name: String) -> io::Result<FileDigest> {
    let mut hasher = blake3::Hasher::new();
    staging.read_back(&name, |file| hasher.update_reader(file).map(drop))?;
    Ok(FileDigest {
        name,
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

/// The thread that writes.
#[derive(Debug)]
struct Writer {
    queue: Option<SyncSender<Rows>>,
    thread: Option<JoinHandle<io::Result<Tables>>>,
}

impl Writer {
    fn start(mut tables: Tables) -> io::Result<Self> {
        let (queue, rows) = sync_channel::<Rows>(WAITING);
        let write = move || {
            for rows in rows {
                tables.write(&rows)?;
            }
            Ok(tables)
        };
        let thread = Builder::new().name("bundle".to_string()).spawn(write)?;
        Ok(Writer {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    fn push(&mut self, rows: Rows) -> io::Result<()> {
        // The thread takes rows until it fails.
        if let Some(queue) = &self.queue
            && queue.send(rows).is_ok()
        {
            return Ok(());
        }
        self.join().map(drop)
    }

    /// Lets the thread write what waits, and end.
    fn join(&mut self) -> io::Result<Tables> {
        self.queue = None;
        let Some(thread) = take(&mut self.thread) else {
            return Err(io::Error::other("an earlier error has ended the bundle"));
        };
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = take(&mut self.thread) {
            // Whoever drops an unfinished bundle has no use for its errors.
            let _ = thread.join();
        }
    }
}

/// The tables of a bundle.
struct Tables {
    spikes: Table<StagedFile>,
    bursts: Table<StagedFile>,
    samples: Option<Table<StagedFile>>,
    events: Table<StagedFile>,
    scalars: usize,
}

impl Tables {
    fn create(staging: &Staging, csv: bool, layout: &Layout) -> io::Result<Self> {
        let origin = Origin {
            scene: layout.scene.clone(),
            scene_hash: layout.scene_hash.clone(),
        };
        let table = |name: &str, columns| {
            let parquet = staging.file(&format!("{name}.parquet"))?;
            let csv = match csv {
                true => Some(staging.file(&format!("{name}.csv"))?),
                false => None,
            };
            Table::create(columns, &origin, parquet, csv)
        };
        let cells = Words::new(&layout.cells);
        let samples = match layout.scalars.is_empty() {
            true => None,
            false => Some(table("samples", sample_columns(layout))?),
        };
        Ok(Tables {
            spikes: table("spikes", spike_columns(&cells))?,
            bursts: table("bursts", burst_columns(&cells))?,
            samples,
            events: table("events", event_columns())?,
            scalars: layout.scalars.len(),
        })
    }

    fn write(&mut self, rows: &Rows) -> io::Result<()> {
        for spike in &rows.spikes {
            self.spikes
                .row([Value::Number(spike.t_ms), Value::Word(spike.cell)])?;
        }
        for burst in &rows.bursts {
            self.bursts.row([
                Value::Word(burst.cell),
                Value::Count(burst.k),
                Value::Number(burst.on_ms),
                Value::Number(burst.off_ms),
                burst.period_ms.into(),
                burst.duty.into(),
                burst.phase.into(),
                Value::Count(burst.n_spikes),
            ])?;
        }
        self.write_samples(&rows.samples)?;
        for event in &rows.events {
            self.events.row([
                Value::Number(event.t_ms),
                Value::Text(&event.what),
                Value::Text(&event.path),
                event.old.into(),
                event.new.into(),
            ])?;
        }
        Ok(())
    }

    fn write_samples(&mut self, samples: &Samples) -> io::Result<()> {
        let Some(table) = &mut self.samples else {
            return Ok(());
        };
        if samples.values.len() != samples.len() * self.scalars {
            let message = "samples need one value for each scalar of the layout";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let times = samples.t_ms.iter().zip(&samples.owners);
        for ((t_ms, owner), values) in times.zip(samples.values.chunks_exact(self.scalars)) {
            let values = values.iter().map(|value| Value::from(*value));
            table.row(
                [Value::Number(*t_ms), Value::Word(*owner)]
                    .into_iter()
                    .chain(values),
            )?;
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        self.spikes.finish()?;
        self.bursts.finish()?;
        if let Some(samples) = self.samples {
            samples.finish()?;
        }
        self.events.finish()
    }
}

fn spike_columns(cells: &Words) -> Vec<Column> {
    let cell = Kind::Word(cells.clone());
    vec![
        Column::new(
            "t_ms",
            "ms",
            Kind::Number,
            "Time at which the membrane crossed the threshold",
        ),
        Column::new("cell", "", cell, "Cell that fired"),
    ]
}

fn burst_columns(cells: &Words) -> Vec<Column> {
    let cell = Kind::Word(cells.clone());
    let number = |name, unit, about| Column::new(name, unit, Kind::Number, about);
    vec![
        Column::new("cell", "", cell, "Cell that burst"),
        Column::new("k", "1", Kind::Count, "Number of the burst in its cell"),
        number("on_ms", "ms", "First spike"),
        number("off_ms", "ms", "Last spike"),
        number("period_ms", "ms", "Onset to next onset").nullable(),
        number("duty", "1", "Share of the period from onset to offset").nullable(),
        number(
            "phase",
            "1",
            "Onset in the cycle of the rhythm's reference cell, in [0, 1)",
        )
        .nullable(),
        Column::new("n_spikes", "1", Kind::Count, "Spikes in the burst"),
    ]
}

fn sample_columns(layout: &Layout) -> Vec<Column> {
    let owner = Kind::Word(Words::new(&layout.owners));
    let mut columns = vec![
        Column::new("t_ms", "ms", Kind::Number, "Time of the sample"),
        Column::new("cell", "", owner, "Cell or edge that was sampled"),
    ];
    for (name, unit) in &layout.scalars {
        let about = "Sampled scalar; empty where it was not sampled";
        columns.push(Column::new(name, unit, Kind::Number, about).nullable());
    }
    columns
}

fn event_columns() -> Vec<Column> {
    let value = |name, about| Column::new(name, "", Kind::Number, about).nullable();
    vec![
        Column::new("t_ms", "ms", Kind::Number, "Time of the event"),
        Column::new("what", "", Kind::Text, "What the protocol did"),
        Column::new("path", "", Kind::Text, "What it was done to"),
        value("old", "Value before, in the unit of the path"),
        value("new", "Value after, in the unit of the path"),
    ]
}
