//! Protocol entries: a time, one action and what the action needs.

use super::{
    decode::{
        ANY, Fields, Rule, above_zero, boolean, expected, fraction, index_of, key, keys, list, map,
        not_negative, number,
    },
    diagnostic::{Diagnostic, Diagnostics},
    model::{Action, Current, Entry, Regulator},
    names,
    network::{Known, beyond},
    source::Place,
    syntax::{Key, Node},
    units,
};

const DURATION: Rule = above_zero("it would end as it begins");

/// The field that says what an entry does; its value is the path it is done to.
const ACTIONS: [&str; 15] = [
    "set",
    "scale",
    "ramp",
    "block",
    "cut",
    "restore",
    "current",
    "modulate",
    "overwrite",
    "compensate",
    "homeostat",
    "controller",
    "recall",
    "rebase",
    "reset",
];

/// Reads the list of entries.
pub(super) fn read(node: &Node, known: &Known<'_>, errors: &mut Diagnostics) -> Option<Vec<Entry>> {
    let read: Vec<Option<Entry>> = list(node, errors)?
        .iter()
        .map(|node| entry(node, known, errors))
        .collect();
    read.into_iter().collect()
}

/// Reads one entry.
pub(crate) fn entry(node: &Node, known: &Known<'_>, errors: &mut Diagnostics) -> Option<Entry> {
    let mut fields = Fields::of(node, "a protocol entry", errors)?;
    let at = fields.required("at_ms").and_then(|node| {
        let time = units::time(node, not_negative("a run begins at 0"), errors)?;
        errors_if_any(
            beyond(time, &node.place, "this comes", known.duration),
            errors,
        );
        Some(time)
    });
    let (action, path_node) = the_action(&mut fields, node, errors)?;
    let path = key(path_node, errors);
    fields.narrow(&format!("`{action}`"), &["at_ms", action]);
    let origin = path_node.place.clone();
    let mut reader = Reader {
        fields,
        known,
        at,
        origin: &origin,
        errors,
    };
    let action = reader.action(action, path.map(|path| path.text).unwrap_or_default());
    reader.fields.finish(reader.errors);
    Some(Entry {
        at_ms: at?,
        action: action?,
        origin,
    })
}

/// The one field that says what is done, and its value.
fn the_action<'n>(
    fields: &mut Fields<'n>,
    node: &'n Node,
    errors: &mut Diagnostics,
) -> Option<(&'static str, &'n Node)> {
    let given: Vec<(&'static str, &Key, &Node)> = ACTIONS
        .into_iter()
        .filter_map(|name| fields.entry(name).map(|(key, node)| (name, key, node)))
        .collect();
    match given.as_slice() {
        [(action, _, node)] => Some((*action, *node)),
        [] => {
            errors.push(
                Diagnostic::at(fields.head(), "this protocol entry does nothing")
                    .label("no action")
                    .help(misspelt_action(node).unwrap_or_else(|| {
                        format!("an action is one of {}", names::list(&ACTIONS))
                    })),
            );
            None
        }
        [(_, first, _), (_, second, _), ..] => {
            errors.push(
                Diagnostic::at(&second.place, "a protocol entry does one thing")
                    .label("second action")
                    .and(&first.place, "first action")
                    .help("write two entries with the same `at_ms`"),
            );
            None
        }
    }
}

fn entries(node: &Node) -> &[(Key, Node)] {
    match &node.value {
        super::syntax::Value::Struct(_, entries) => entries,
        _ => &[],
    }
}

/// An unknown field that is probably meant to be an action.
fn misspelt_action(node: &Node) -> Option<String> {
    entries(node).iter().find_map(|(key, _)| {
        let near = names::nearest(&key.text, ACTIONS).filter(|near| *near != key.text)?;
        Some(format!("is `{}` meant to be `{near}`?", key.text))
    })
}

fn errors_if_any(error: Option<Diagnostic>, errors: &mut Diagnostics) {
    if let Some(error) = error {
        errors.push(error);
    }
}

/// Reads what belongs to one action.
struct Reader<'a, 'n> {
    fields: Fields<'n>,
    known: &'a Known<'a>,
    at: Option<f64>,
    origin: &'a Place,
    errors: &'a mut Diagnostics,
}

impl<'n> Reader<'_, 'n> {
    fn action(&mut self, action: &str, path: String) -> Option<Action> {
        match action {
            "set" => {
                let to = self.number("to", ANY);
                Some(Action::Set { path, to: to? })
            }
            "scale" => {
                let by = self.number("by", not_negative("a conductance would change its sign"));
                Some(Action::Scale { path, by: by? })
            }
            "ramp" => {
                let (to, over_ms) = (self.number("to", ANY), self.duration("over_ms"));
                Some(Action::Ramp {
                    path,
                    to: to?,
                    over_ms: over_ms?,
                })
            }
            "block" => {
                let by = self.number("by", fraction("it is the blocked fraction"));
                let controller_sees = self.flag("controller_sees", true);
                Some(Action::Block {
                    path,
                    by: by?,
                    controller_sees: controller_sees?,
                })
            }
            "cut" => Some(Action::Cut { path }),
            "restore" => Some(Action::Restore { path }),
            "current" => self.current(path),
            "modulate" => self.modulate(path),
            "overwrite" => {
                let gbar = self.gbar();
                let mrna = self.flag("mrna", false);
                Some(Action::Overwrite {
                    cells: path,
                    gbar: gbar?,
                    mrna: mrna?,
                })
            }
            "compensate" => self.compensate(path),
            "homeostat" => self.switch(Regulator::Homeostat, path),
            "controller" => self.switch(Regulator::Controller, path),
            "recall" => self.recall(path),
            "rebase" => Some(Action::Rebase { cells: path }),
            _ => self.reset(path),
        }
    }

    fn required(&mut self, name: &'static str) -> Option<&'n Node> {
        self.fields.required(name)
    }

    fn number(&mut self, name: &'static str, rule: Rule) -> Option<f64> {
        let node = self.required(name)?;
        number(node, rule, self.errors)
    }

    /// A number that may be missing: the outer `None` is an error.
    fn optional_number(&mut self, name: &'static str) -> Option<Option<f64>> {
        match self.fields.optional(name) {
            Some(node) => number(node, ANY, self.errors).map(Some),
            None => Some(None),
        }
    }

    fn flag(&mut self, name: &'static str, default: bool) -> Option<bool> {
        self.fields
            .optional(name)
            .map_or(Some(default), |node| boolean(node, self.errors))
    }

    /// A length of time that is to be over before the run is.
    fn duration(&mut self, name: &'static str) -> Option<f64> {
        let node = self.required(name)?;
        let length = units::time(node, DURATION, self.errors)?;
        if let Some(at) = self.at {
            let error = beyond(at + length, &node.place, "this ends", self.known.duration);
            errors_if_any(error, self.errors);
        }
        Some(length)
    }

    fn current(&mut self, cells: String) -> Option<Action> {
        let node = self.required("amplitude");
        let amplitude = node.and_then(|node| units::current(node, self.errors));
        if let (Some(node), Some(Current::Absolute(_))) = (node, amplitude) {
            self.check_areas(&cells, node);
        }
        let for_ms = self.duration("for_ms");
        Some(Action::Current {
            cells,
            amplitude: amplitude?,
            for_ms: for_ms?,
        })
    }

    /// Refuses an absolute current into a cell without an area, as far as that can be seen here.
    fn check_areas(&mut self, cells: &str, node: &Node) {
        let known = &self.known.cells;
        let without = |(_, area): &(&str, Option<bool>)| *area == Some(false);
        let named = known.iter().find(|(name, _)| *name == cells);
        let whose = match named {
            Some(cell) if without(cell) => format!("`{cells}`"),
            None if known.iter().all(without) => "the cells".to_owned(),
            _ => return,
        };
        self.errors.push(units::no_area(&node.place, &whose));
    }

    fn modulate(&mut self, cells: String) -> Option<Action> {
        let (g_s, g_u) = (self.optional_number("g_s"), self.optional_number("g_u"));
        if let (Some(None), Some(None)) = (g_s, g_u) {
            self.errors.push(
                Diagnostic::at(self.origin, "`modulate` needs `g_s`, `g_u` or both")
                    .label("no new target"),
            );
            return None;
        }
        Some(Action::Modulate {
            cells,
            g_s: g_s?,
            g_u: g_u?,
        })
    }

    /// Conductances by channel. An absolute one is refused: the cells are not known yet.
    fn gbar(&mut self) -> Option<Vec<(String, f64)>> {
        let node = self.required("gbar")?;
        let read: Vec<Option<(String, f64)>> = map(node, self.errors)?
            .iter()
            .map(|(key, node)| {
                let found = self.channel(key);
                // What one below zero does in the course of a run, the scene's rule says.
                let value = units::conductance_density(node, None, ANY, self.errors)?;
                found.map(|()| (key.text.clone(), value))
            })
            .collect();
        read.into_iter().collect()
    }

    /// Refuses a channel that no cell of the scene has.
    fn channel(&mut self, key: &Key) -> Option<()> {
        let known = self.known.channels.iter().copied();
        index_of(key, known, "channel", "the scene", self.errors).map(|_| ())
    }

    fn compensate(&mut self, cells: String) -> Option<Action> {
        let channels = self.required("channels").and_then(|node| {
            let names = keys(node, self.errors)?;
            for name in &names {
                self.channel(name)?;
            }
            match names.as_slice() {
                [a, b] if a.text != b.text => Some([a.text.clone(), b.text.clone()]),
                _ => {
                    self.errors.push(
                        expected("two different channels", node)
                            .help("the two conductances are solved from two targets"),
                    );
                    None
                }
            }
        });
        let (g_s, g_u) = (self.number("g_s", ANY), self.number("g_u", ANY));
        let mrna = self.flag("mrna", false);
        Some(Action::Compensate {
            cells,
            channels: channels?,
            g_s: g_s?,
            g_u: g_u?,
            mrna: mrna?,
        })
    }

    fn switch(&mut self, regulator: Regulator, path: String) -> Option<Action> {
        let node = self.required("on")?;
        let on = boolean(node, self.errors)?;
        Some(Action::Switch {
            regulator,
            path,
            on,
        })
    }

    fn recall(&mut self, path: String) -> Option<Action> {
        let node = self.required("from_ms");
        let from = node.and_then(|node| {
            let from = units::time(node, not_negative("a run begins at 0"), self.errors)?;
            match self.at.is_some_and(|at| from >= at) {
                true => {
                    self.errors.push(
                        Diagnostic::at(&node.place, "what is recalled lies before the recall")
                            .label("not before `at_ms`")
                            .help("give an earlier time"),
                    );
                    None
                }
                false => Some(from),
            }
        });
        let mrna = self.flag("mrna", false);
        Some(Action::Recall {
            path,
            from_ms: from?,
            mrna: mrna?,
        })
    }

    fn reset(&mut self, cells: String) -> Option<Action> {
        let v = match self.fields.optional("V") {
            Some(node) => units::voltage(node, self.errors).map(Some),
            None => Some(None),
        };
        let ca = match self.fields.optional("Ca") {
            Some(node) => {
                let rule = not_negative("a concentration is not negative");
                units::concentration(node, rule, self.errors).map(Some)
            }
            None => Some(None),
        };
        Some(Action::Reset {
            cells,
            v: v?,
            ca: ca?,
        })
    }
}
