//! Samples of several requests as one table: a row a time and owner, a column a scalar.

use homarus_systems::{
    address::{Address, Names},
    observe::Observers,
    schedule::Clock,
};

use super::bundle::Samples;

/// Where the values of every request go.
#[derive(Clone, Debug, Default)]
pub struct Sampling {
    /// Owners of sampled scalars, cells before edges, each in scene order.
    pub owners: Vec<String>,
    /// Sampled scalars and their units, in the order in which they were asked for.
    pub scalars: Vec<(String, String)>,
    /// For each request the owner and scalar of each of its values.
    places: Vec<Vec<(usize, usize)>>,
}

impl Sampling {
    /// Lays out the requests of a network.
    pub fn new(names: &Names, observers: &Observers) -> Self {
        let requests = || observers.samplers.iter().map(|sampler| &sampler.addresses);
        let mut owners: Vec<Owner> = requests().flatten().copied().map(Owner::of).collect();
        owners.sort_unstable();
        owners.dedup();
        let mut layout = Sampling {
            owners: owners.iter().map(|owner| owner.name(names)).collect(),
            ..Sampling::default()
        };
        for request in requests() {
            let places = request.iter().map(|address| {
                // Every owner was entered before.
                let row = owners
                    .binary_search(&Owner::of(*address))
                    .unwrap_or_default();
                (row, layout.column(names, row, *address))
            });
            let places = places.collect();
            layout.places.push(places);
        }
        layout
    }

    /// The column of a scalar of the owner in a row, entered when it is first met.
    fn column(&mut self, names: &Names, row: usize, address: Address) -> usize {
        let scalar = &names.path(address)[self.owners[row].len() + 1..];
        let known = self.scalars.iter().position(|(name, _)| name == scalar);
        known.unwrap_or_else(|| {
            self.scalars
                .push((scalar.to_owned(), address.unit().to_owned()));
            self.scalars.len() - 1
        })
    }

    /// Takes the rows away that have been sampled; all requests have been read up to now.
    pub fn take(&self, observers: &mut Observers, clock: &Clock) -> Samples {
        let samplers = observers.samplers.iter_mut();
        let mut requests: Vec<_> = samplers.map(|s| s.rows.drain(..).peekable()).collect();
        let mut rows = Samples::default();
        let width = self.scalars.len();
        // One instant: a row of scalars for each owner, and whether it is sampled at all.
        let mut values = vec![None; self.owners.len() * width];
        let mut sampled = vec![false; self.owners.len()];
        loop {
            let times = requests
                .iter_mut()
                .filter_map(|rows| rows.peek().map(|(t, _)| *t));
            let Some(t_ms) = times.min_by(f64::total_cmp) else {
                return rows;
            };
            for (rows, places) in requests.iter_mut().zip(&self.places) {
                let Some((_, row)) = rows.next_if(|(t, _)| clock.coincide(*t, t_ms)) else {
                    continue;
                };
                for ((owner, scalar), value) in places.iter().zip(row) {
                    sampled[*owner] = true;
                    values[owner * width + scalar] = Some(value);
                }
            }
            for (owner, row) in values.chunks_mut(width).enumerate() {
                if std::mem::take(&mut sampled[owner]) {
                    rows.push(t_ms, owner as u32, row.iter_mut().map(Option::take));
                }
            }
        }
    }
}

/// Who has a scalar; cells come before edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Cell(usize),
    Edge(usize),
    Bulk(usize, usize),
}

impl Owner {
    fn of(address: Address) -> Self {
        match address {
            Address::Cell(cell, _) | Address::Channel(cell, ..) => Owner::Cell(cell),
            Address::Edge(edge, _) => Owner::Edge(edge),
            Address::Bulk(bulk, edge, _) => Owner::Bulk(bulk, edge),
        }
    }

    fn name(self, names: &Names) -> String {
        match self {
            Owner::Cell(cell) => names.cells[cell].name.to_string(),
            Owner::Edge(edge) => names.edge_owner(edge),
            Owner::Bulk(bulk, edge) => names.bulk_owner(bulk, edge),
        }
    }
}
