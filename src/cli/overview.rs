//! What a scene is, on one page: cells, edges, regulation, what happens when, and what it costs.

use comfy_table::{ContentArrangement, Table, presets};
use homarus_systems::{
    address::{self, Address, ChannelScalar, EdgeScalar},
    assembly::Simulation,
    coupling::BulkEdges,
    integrate::Kernel,
    schedule::Edges,
};

use super::table::seconds;
use crate::scene::{
    lint::{self, Pace, digits, percent},
    memory,
    model::{Action, Cell, Current, Distribution, Integrator, Rule, Sampler, Scene, Value},
    population::build::Thrown,
};

/// Columns of the page, one for the padding that is cut off included.
const WIDTH: u16 = 81;

/// Names that are listed before the rest is counted.
const LISTED: usize = 12;

/// Digits of a number that a person wrote.
const WRITTEN: u8 = 6;

/// Neurons a kernel treats together: a smaller number costs as much.
const BLOCK: usize = homarus_systems::channels::BLOCK;

/// Wall time (ns) of a step, and of a neuron and an edge in it, on one thread of a processor with
/// AVX-512: `homarus bench` gives 12 ns for each of 1000 STG cells, and `five_neuron_cpg` (one
/// block of eight, eight edges, regulators) takes 175 ns a step.
const STEP_NS: f64 = 50.0;
const NEURON_NS: f64 = 13.0;
const EDGE_NS: f64 = 3.0;

/// Memory (bytes) of the program itself: a run of `five_neuron_cpg` peaks at 13.6 MB. What is
/// observed is written or analysed as the run goes.
const PROGRAM_BYTES: f64 = 12.0e6;

/// The page about a scene whose network is in its start state.
pub(super) fn render(scene: &Scene, network: &Simulation) -> String {
    let mut page = Page::default();
    page.row("scene", &format!("{}: {}", scene.name, scene.about));
    if !scene.source.is_empty() {
        page.row("source", &scene.source);
    }
    page.gap();
    page.row("run", &run(scene));
    cells(scene, &mut page);
    populations(scene, network, &mut page);
    edges(scene, network, &mut page);
    regulation(scene, &mut page);
    named(scene, &mut page);
    page.gap();
    time_line(scene, &mut page);
    page.gap();
    let pace = lint::pace(scene, network);
    accuracy(scene, &pace, &mut page);
    page.row("cost", &cost(scene, *network.world.resource::<Kernel>()));
    page.text()
}

/// Units that a line does not break before.
const UNITS: [&str; 7] = ["%", "ms", "mS/cm²", "µM", "mV", "MB", "min"];

/// Rows of a title and a text, wrapped.
#[derive(Default)]
pub(super) struct Page(Vec<[String; 2]>);

impl Page {
    /// A row; a title that the row before has already is not repeated.
    pub fn row(&mut self, title: &str, text: &str) {
        self.0.push([title.to_owned(), text.to_owned()]);
    }

    pub fn gap(&mut self) {
        self.row("", "");
    }

    pub fn text(self) -> String {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH);
        let mut last = String::new();
        for [title, mut text] in self.0 {
            for unit in UNITS {
                text = text.replace(&format!(" {unit}"), &format!("\u{a0}{unit}"));
            }
            let shown = if title == last { "" } else { &title };
            table.add_row([shown, &text]);
            last = title;
        }
        // The first column is padded on its left, which a page without a frame does not need.
        let lines = table.lines().map(|line| line.replace('\u{a0}', " "));
        lines
            .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end()))
            .collect()
    }
}

/// A whole number, its thousands apart.
pub(super) fn thousands(n: f64) -> String {
    let digits = format!("{n:.0}");
    let mut text = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn steps(scene: &Scene) -> f64 {
    (scene.duration_ms / scene.step_ms).ceil()
}

fn run(scene: &Scene) -> String {
    let how = match scene.integrator {
        Integrator::Exponential => format!(
            "in {} steps of {} ms",
            thousands(steps(scene)),
            scene.step_ms
        ),
        Integrator::Accurate | Integrator::Reference => "in adaptive steps".to_owned(),
    };
    format!(
        "{} {how}, integrator {}, regulation every {} ms, seed {}",
        seconds(scene.duration_ms),
        scene.integrator.name(),
        scene.control_ms,
        scene.seed
    )
}

/// Names of cells, the first of them. Where there are many, cells that are alike have one name.
fn names<'s>(scene: &'s Scene, cells: impl IntoIterator<Item = &'s usize>) -> String {
    let cells: Vec<usize> = cells.into_iter().copied().collect();
    let mut names = scene.names_of(&cells);
    if names.len() > LISTED {
        let mut left = vec![false; scene.cells.len()];
        cells.iter().for_each(|cell| left[*cell] = true);
        names.clear();
        for (name, alike) in scene.alike() {
            if alike.iter().all(|cell| left[*cell]) {
                alike.iter().for_each(|cell| left[*cell] = false);
                names.push(name);
            }
        }
        let others = cells.iter().filter(|cell| left[**cell]);
        names.extend(others.map(|cell| scene.cells[*cell].name.to_string()));
    }
    let text = names[..names.len().min(LISTED)].join(", ");
    match names.len() {
        n if n > LISTED => format!("{text} and {} more", thousands((n - LISTED) as f64)),
        _ => text,
    }
}

fn cells(scene: &Scene, page: &mut Page) {
    for (k, kind) in scene.cell_types.iter().enumerate() {
        let of_type: Vec<usize> = (0..scene.cells.len())
            .filter(|cell| scene.cells[*cell].cell_type == k)
            .collect();
        let channels: Vec<&str> = kind
            .channels
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        page.row(
            "cells",
            &format!(
                "{} {}: {}; channels {}",
                thousands(of_type.len() as f64),
                kind.name,
                names(scene, &of_type),
                channels.join(", ")
            ),
        );
    }
}

/// Where the conductances of populations come from, and how far they are spread.
fn populations(scene: &Scene, network: &Simulation, page: &mut Page) {
    for population in &scene.populations {
        let first = &scene.cells[population.cells.start];
        let channels = &scene.cell_types[first.cell_type].channels;
        let mut from = match population.tabulated {
            true => vec!["from a table".to_owned()],
            false => Vec::new(),
        };
        from.extend(
            first
                .sampler
                .iter()
                .flat_map(|sampler| drawn(scene, first, sampler)),
        );
        from.extend(first.jitter.iter().map(|_| "jittered".to_owned()));
        if from.is_empty() {
            continue;
        }
        let cells: Vec<usize> = population.cells.clone().collect();
        let thrown = network.world.get_resource::<Thrown>();
        from.extend(match thrown.map_or(0, |thrown| thrown.of(&cells)) {
            0 => None,
            n => Some(format!("{} draws thrown away", thousands(n as f64))),
        });
        let name = &population.name;
        page.row("populations", &format!("{name}: {}", from.join("; ")));
        let range = |(lane, (channel, _)): (usize, &(String, _))| {
            let g = |cell: &usize| {
                let gbar = Address::Channel(*cell, lane, ChannelScalar::Gbar);
                address::read(&network.world, gbar).unwrap_or(f64::NAN)
            };
            let low = cells.iter().map(g).fold(f64::INFINITY, f64::min);
            let high = cells.iter().map(g).fold(f64::NEG_INFINITY, f64::max);
            let [a, b] = [low, high].map(|g| digits(g, 3));
            match a == b {
                true => format!("{channel} {a}"),
                false => format!("{channel} {a} to {b}"),
            }
        };
        let ranges: Vec<String> = channels.iter().enumerate().map(range).collect();
        page.row(
            "populations",
            &format!("{name}: {} mS/cm²", ranges.join(", ")),
        );
    }
}

/// How conductances are drawn, in words.
fn drawn(scene: &Scene, cell: &Cell, sampler: &Sampler) -> Vec<String> {
    let short = |x: f64| digits(x, WRITTEN);
    let draws = sampler.draws.iter().map(|draw| {
        let name = &draw.name;
        match &draw.value {
            Value::Number(x) => format!("{name} {}", short(*x)),
            Value::Function(function) => format!("{name} = {function}"),
            Value::Distribution(Distribution::Uniform { from, to }) => {
                format!("{name} uniform {} to {}", short(*from), short(*to))
            }
            Value::Distribution(Distribution::Normal { mean, sd }) => {
                format!("{name} normal {} (SD {})", short(*mean), short(*sd))
            }
            Value::Distribution(Distribution::LogNormal { median, sigma }) => {
                format!(
                    "{name} log-normal {} (sigma {})",
                    short(*median),
                    short(*sigma)
                )
            }
        }
    });
    let channels = &scene.cell_types[cell.cell_type].channels;
    let solves = sampler.solves.iter().map(|solve| {
        let names: Vec<&str> = solve
            .lanes
            .iter()
            .map(|l| channels[*l].0.as_str())
            .collect();
        let targets = ["g_f", "g_s", "g_u"].into_iter().zip(solve.targets);
        let targets = targets.filter(|(_, target)| !target.is_nan());
        let targets: Vec<String> = targets
            .map(|(name, g)| format!("{name} {}", short(g)))
            .collect();
        let at = solve
            .v_th
            .map_or("the threshold".to_owned(), |v| format!("{v} mV"));
        format!(
            "{} solved for {} at {at}",
            names.join(", "),
            targets.join(", ")
        )
    });
    let reject = sampler.reject.iter();
    let reject = reject.map(|condition| format!("not where {}", condition.text));
    draws.chain(solves).chain(reject).collect()
}

fn edges(scene: &Scene, network: &Simulation, page: &mut Page) {
    if scene.edges.is_empty() && scene.bulk.is_empty() {
        page.row("edges", "none");
    }
    let bulks = network.world.resource::<Edges>().bulk();
    for (k, kind) in scene.kinds.iter().enumerate() {
        let of_kind = (0..scene.edges.len()).filter(|edge| scene.edges[*edge].kind == k);
        let single = of_kind
            .map(|edge| Address::Edge(edge, EdgeScalar::G))
            .map(|g| address::read(&network.world, g).unwrap_or(f64::NAN));
        let in_bulk = scene
            .bulk
            .iter()
            .zip(bulks)
            .filter(|(bulk, _)| bulk.kind == k);
        let in_bulk = in_bulk.filter_map(|(_, entity)| network.world.get::<BulkEdges>(*entity));
        let in_bulk = in_bulk.flat_map(|edges| (0..edges.len()).map(|edge| edges.g(edge)));
        let g: Vec<f64> = single.chain(in_bulk).collect();
        let low = g.iter().copied().fold(f64::INFINITY, f64::min);
        let high = g.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = match low == high {
            true => digits(low, WRITTEN),
            false => format!("{} to {}", digits(low, WRITTEN), digits(high, WRITTEN)),
        };
        page.row(
            "edges",
            &format!(
                "{} {}: g {range} mS/cm², {} in all",
                thousands(g.len() as f64),
                kind.name,
                digits(g.iter().sum(), WRITTEN),
            ),
        );
    }
    for copies in &scene.copies {
        let edges = &scene.bulk[copies.bulk.clone()];
        page.row(
            "networks",
            &format!(
                "{}: {} copies of {} cells and {} edges",
                copies.name,
                thousands(copies.count as f64),
                copies.size(),
                edges.len()
            ),
        );
    }
    for bulk in &scene.bulk {
        let Some(name) = &bulk.generator else {
            continue;
        };
        let (pre, post) = (&bulk.pre.selector, &bulk.post.selector);
        let rule = match &bulk.rule {
            Rule::Ring => format!("a ring from {pre} to {post}"),
            Rule::Chain => format!("a chain from {pre} to {post}"),
            Rule::OneToOne => format!("{pre} to {post} one to one"),
            Rule::AllToAll => format!("all of {pre} to all of {post}"),
            Rule::Random { in_degree } => format!("{in_degree} of {pre} into each of {post}"),
            Rule::Within {
                radius,
                probability,
            } => {
                let by = probability
                    .as_ref()
                    .map(|p| format!(" with probability {}", p.written()));
                format!(
                    "{pre} to {post} within {radius} µm{}",
                    by.unwrap_or_default()
                )
            }
            Rule::Listed => "a table".to_owned(),
        };
        let kind = &scene.kinds[bulk.kind].name;
        let count = thousands(bulk.count(scene) as f64);
        page.row("generators", &format!("{name}: {rule}, {count} {kind}"));
    }
}

/// Cells that a property groups: the property, the cells it holds for.
fn grouped<P: PartialEq>(
    scene: &Scene,
    property: impl Fn(&Cell) -> Option<P>,
) -> Vec<(P, Vec<usize>)> {
    let mut groups: Vec<(P, Vec<usize>)> = Vec::new();
    for (k, cell) in scene.cells.iter().enumerate() {
        let Some(found) = property(cell) else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == found) {
            Some((_, cells)) => cells.push(k),
            None => groups.push((found, vec![k])),
        }
    }
    groups
}

fn regulation(scene: &Scene, page: &mut Page) {
    let channels = |cell: &Cell, lanes: &[usize]| {
        let all = &scene.cell_types[cell.cell_type].channels;
        let names: Vec<&str> = lanes.iter().map(|lane| all[*lane].0.as_str()).collect();
        names.join(", ")
    };
    let off = |on: bool| if on { "" } else { ", off at first" };
    let regulated = grouped(scene, |cell| {
        let homeostat = cell.homeostat.as_ref()?;
        Some([
            channels(cell, &homeostat.channels),
            format!(
                "homeostasis to {} µM Ca{}",
                homeostat.settings.ca_target,
                off(homeostat.on)
            ),
        ])
    });
    let modulated = grouped(scene, |cell| {
        let controller = cell.controller.as_ref()?;
        Some([
            channels(cell, &controller.channels),
            format!(
                "controller to g_s {}, g_u {}{}",
                controller.g_s,
                controller.g_u,
                off(controller.on)
            ),
        ])
    });
    for (title, groups) in [("regulated", regulated), ("modulated", modulated)] {
        for ([channels, how], cells) in groups {
            page.row(
                title,
                &format!("{channels} of {}: {how}", names(scene, &cells)),
            );
        }
    }
}

/// Groups, rhythms, what is set by path and what is sampled.
fn named(scene: &Scene, page: &mut Page) {
    for (name, members) in &scene.groups {
        page.row("groups", &format!("{name}: {}", names(scene, members)));
    }
    for rhythm in &scene.rhythms {
        page.row(
            "rhythms",
            &format!(
                "{}: {}; reference {}, bursts of at least {} spikes",
                rhythm.name,
                names(scene, &rhythm.cells),
                scene.cells[rhythm.reference].name,
                rhythm.min_spikes
            ),
        );
    }
    for setting in &scene.set {
        let value = digits(setting.value, WRITTEN);
        page.row("set", &format!("{} to {value}", setting.path));
    }
    for samples in &scene.samples {
        let paths: Vec<&str> = samples
            .paths
            .iter()
            .map(|(path, _)| path.as_str())
            .collect();
        let every = seconds(samples.every_ms);
        page.row("samples", &format!("{} every {every}", paths.join(", ")));
    }
}

/// What happens when: protocol entries and windows by time.
fn time_line(scene: &Scene, page: &mut Page) {
    let entries = scene.protocol.iter();
    let mut events: Vec<(f64, String)> = entries
        .map(|entry| (entry.at_ms, words(&entry.action)))
        .collect();
    events.extend(scene.run_windows().map(|window| {
        let text = format!("window {}, to {}", window.label, seconds(window.to_ms));
        (window.from_ms, text)
    }));
    events.extend(scene.probes().map(|window| {
        let [from, to] = [window.from_ms, window.to_ms].map(seconds);
        let text = format!("probe {}, {from} to {to} of its own run", window.label);
        (window.probe_at_ms.unwrap_or_default(), text)
    }));
    events.push((scene.duration_ms, "end".to_owned()));
    events.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let times: Vec<String> = events.iter().map(|(t, _)| seconds(*t)).collect();
    let width = times.iter().map(String::len).max().unwrap_or(0);
    for (time, (_, text)) in times.iter().zip(&events) {
        page.row("time line", &format!("{time:>width$}  {text}"));
    }
    for expectation in &scene.expect {
        page.row(
            "expects",
            &format!("{}: {}", expectation.about(), expectation.wanted),
        );
    }
    if scene.windows.is_empty() {
        page.row("time line", "no window, so no rhythm will be reported");
    }
}

/// An action in words.
fn words(action: &Action) -> String {
    let short = |x: f64| digits(x, WRITTEN);
    let switched = |on: bool| if on { "on" } else { "off" };
    let targets = |g_s: Option<f64>, g_u: Option<f64>| {
        let g_s = g_s.map(|g| format!("g_s {}", short(g)));
        let g_u = g_u.map(|g| format!("g_u {}", short(g)));
        g_s.into_iter().chain(g_u).collect::<Vec<_>>().join(", ")
    };
    let too = |mrna: bool| if mrna { ", mRNA too" } else { "" };
    match action {
        Action::Set { path, to } => format!("set {path} to {}", short(*to)),
        Action::Scale { path, by } => format!("scale {path} by {}", short(*by)),
        Action::Ramp { path, to, over_ms } => {
            format!("ramp {path} to {} over {}", short(*to), seconds(*over_ms))
        }
        Action::Block {
            path,
            by,
            controller_sees,
        } => {
            let unseen = match controller_sees {
                true => "",
                false => ", unseen by controllers",
            };
            format!("block {} of {path}{unseen}", percent(*by))
        }
        Action::Cut { path } => format!("cut {path}"),
        Action::Restore { path } => format!("restore {path}"),
        Action::Current {
            cells,
            amplitude,
            for_ms,
        } => {
            let amplitude = match amplitude {
                Current::Density(i) => format!("{} µA/cm²", short(*i)),
                Current::Absolute(i) => format!("{} nA", short(*i)),
            };
            format!("current {amplitude} into {cells} for {}", seconds(*for_ms))
        }
        Action::Modulate { cells, g_s, g_u } => {
            format!("modulate {cells} to {}", targets(*g_s, *g_u))
        }
        Action::Overwrite { cells, gbar, mrna } => {
            let gbar: Vec<String> = gbar
                .iter()
                .map(|(c, g)| format!("{c} {}", short(*g)))
                .collect();
            format!("overwrite {cells}: {}{}", gbar.join(", "), too(*mrna))
        }
        Action::Compensate {
            cells,
            channels: [a, b],
            g_s,
            g_u,
            mrna,
        } => format!(
            "compensate {cells}: {a} and {b} for {}{}",
            targets(Some(*g_s), Some(*g_u)),
            too(*mrna)
        ),
        Action::Switch {
            regulator,
            path,
            on,
        } => {
            format!("{} of {path} {}", regulator.field(), switched(*on))
        }
        Action::Recall {
            path,
            from_ms,
            mrna,
        } => format!("recall {path} as at {} ms{}", short(*from_ms), too(*mrna)),
        Action::Rebase { cells } => format!("rebase the regulation of {cells}"),
        Action::Reset { cells, v, ca } => {
            let v = v.map(|v| format!(" to V {} mV", short(v)));
            let ca = ca.map(|ca| format!(", Ca {} µM", short(ca)));
            format!(
                "reset {cells}{}{}",
                v.unwrap_or_default(),
                ca.unwrap_or_default()
            )
        }
    }
}

/// The step against what it resolves.
fn accuracy(scene: &Scene, pace: &Pace, page: &mut Page) {
    let name = |cell: usize| &scene.cells[cell].name;
    let fixed = scene.integrator == Integrator::Exponential;
    if let Some(fastest) = &pace.fastest {
        let steps = match fixed {
            true => format!(", {} steps", digits(fastest.tau / scene.step_ms, 2)),
            false => String::new(),
        };
        page.row(
            "fastest",
            &format!(
                "gate {} of {}: {} ms at {} mV{steps}",
                fastest.gate,
                name(fastest.cell),
                digits(fastest.tau, 2),
                fastest.v,
            ),
        );
    }
    if let Some(membrane) = &pace.membrane {
        page.row(
            "fastest",
            &format!(
                "membrane of {} at a spike's peak: about {} per ms",
                name(membrane.cell),
                digits(membrane.rate, 2)
            ),
        );
    }
    for (known, cells) in &pace.rhythms {
        let error = known.error_at(scene.step_ms).filter(|_| fixed);
        let error = error.map_or(String::new(), |e| {
            format!(", about {} wrong at this step", percent(e))
        });
        page.row(
            "known",
            &format!(
                "{} of {}: about {} ms{error}",
                known.about,
                names(scene, cells),
                known.period
            ),
        );
    }
}

/// Memory and wall time, roughly.
fn cost(scene: &Scene, kernel: Kernel) -> String {
    let bytes = PROGRAM_BYTES + memory::needed(scene);
    let memory = format!("about {} MB", digits((bytes * 1e-6).ceil(), 2));
    if scene.integrator != Integrator::Exponential {
        return format!("{memory}; the time of an adaptive run is not foreseen");
    }
    let of_type = |k| {
        scene
            .cells
            .iter()
            .filter(move |cell| cell.cell_type == k)
            .count()
    };
    let types = 0..scene.cell_types.len();
    let lanes: usize = types.map(|k| of_type(k).next_multiple_of(BLOCK)).sum();
    let edges = scene.edge_count() as f64;
    let step_ns = STEP_NS + lanes as f64 * NEURON_NS + edges * EDGE_NS;
    let wall_s = steps(scene) * step_ns * 1e-9;
    let time = match wall_s {
        s if s < 0.1 => "less than 0.1 s".to_owned(),
        s if s < 120.0 => format!("about {} s", digits(s, 1)),
        s if s < 7200.0 => format!("about {} min", digits(s / 60.0, 1)),
        s => format!("about {} h", digits(s / 3600.0, 1)),
    };
    let longer = match kernel {
        Kernel::Avx512 => "",
        _ => " with AVX-512, longer here",
    };
    format!("{memory} and {time} on one thread{longer}")
}
