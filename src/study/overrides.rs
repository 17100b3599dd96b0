//! What the command line sets of a study: its own settings in place, all else as if its `set` said so.

use crate::scene::{
    diagnostic::{Diagnostic, Diagnostics},
    names,
    source::{Place, Source},
    syntax::{Key, Node, Value},
};

/// Settings of a scene that `set` knows beside scalars.
pub(super) const SETTINGS: [&str; 4] = ["duration_ms", "step_ms", "control_ms", "seed"];

/// Fields of a study that can be set.
const FIELDS: [&str; 10] = [
    "seed",
    "settle_ms",
    "settle",
    "before_ms",
    "networks",
    "realisations",
    "during",
    "after",
    "axes",
    "criteria",
];

/// Lays every `PATH=VALUE` over the fields of a study.
pub(super) fn apply(fields: &mut Vec<(Key, Node)>, sets: &[String], errors: &mut Diagnostics) {
    let mut seen: Vec<&str> = Vec::new();
    for set in sets {
        let Some((path, value)) = set.split_once('=') else {
            let error = Diagnostic::new(format!("`--set {set}` has no `=`"));
            errors.push(error.help("write --set PATH=VALUE"));
            continue;
        };
        let (path, value) = (path.trim(), value.trim());
        if seen.contains(&path) {
            let error = Diagnostic::new(format!("`--set {path}` is given twice"));
            errors.push(error.help("keep one of the two"));
            continue;
        }
        seen.push(path);
        let written = Written::new(set, path, value);
        let first = path.split('.').next().unwrap_or_default();
        if FIELDS.contains(&first) {
            match path {
                "settle_ms" => fields.retain(|(key, _)| key.text != "settle"),
                _ if first == "settle" => fields.retain(|(key, _)| key.text != "settle_ms"),
                _ => {}
            }
            if let Err(error) = replace(fields, path, &written) {
                errors.push(error);
            }
        } else if path.contains('.') || SETTINGS.contains(&path) {
            add(fields, &written);
        } else {
            let known = FIELDS.iter().chain(&SETTINGS).copied();
            let error = Diagnostic::at(&written.key.place, format!("there is no setting `{path}`"));
            let error = error.label("unknown setting");
            errors.push(error.maybe_help(names::hint(path, known, "setting")));
        }
    }
}

/// One `PATH=VALUE`.
struct Written {
    key: Key,
    value: Node,
}

impl Written {
    fn new(set: &str, path: &str, value: &str) -> Self {
        const FLAG: &str = "--set ";
        let source = Source::new("command line", format!("{FLAG}{set}"));
        let text = source.text();
        let place = |part: &str, from: usize| {
            let start = text[from..].find(part).map_or(0, |at| from + at);
            Place::new(&source, start..start + part.len())
        };
        let behind = text.find('=').map_or(0, |at| at + 1);
        let plain = value.replace('_', "");
        Written {
            key: Key {
                text: path.to_owned(),
                place: place(path, FLAG.len()),
            },
            value: Node {
                place: place(value, behind),
                value: match plain.parse::<f64>() {
                    Ok(number) if number.is_finite() => Value::Number(number),
                    _ => Value::Text(value.to_owned()),
                },
            },
        }
    }

    fn called(&self, name: &str) -> Key {
        Key {
            text: name.to_owned(),
            place: self.key.place.clone(),
        }
    }
}

/// Puts a value in place of what stands at a path in a tree of structs and maps.
fn replace(fields: &mut Vec<(Key, Node)>, path: &str, written: &Written) -> Result<(), Diagnostic> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let at = fields.iter().position(|(key, _)| key.text == name);
    let Some(rest) = rest else {
        let entry = (written.called(name), written.value.clone());
        match at {
            Some(at) => fields[at] = entry,
            None => fields.push(entry),
        }
        return Ok(());
    };
    let at = at.unwrap_or_else(|| {
        let value = Value::Struct(None, Vec::new());
        let place = written.key.place.clone();
        fields.push((written.called(name), Node { place, value }));
        fields.len() - 1
    });
    match &mut fields[at].1.value {
        Value::Struct(_, inner) | Value::Map(inner) => replace(inner, rest, written),
        _ => Err(Diagnostic::at(
            &written.key.place,
            format!("there is no `{}` to set", written.key.text),
        )
        .label(format!("`{name}` has no fields"))
        .and(&fields[at].0.place, "in the file")),
    }
}

/// Adds a scalar or a setting of the bases to `set`.
fn add(fields: &mut Vec<(Key, Node)>, written: &Written) {
    let entry = (written.key.clone(), written.value.clone());
    let set = fields.iter_mut().find(|(key, _)| key.text == "set");
    match set.map(|(_, node)| &mut node.value) {
        Some(Value::Map(entries)) => {
            entries.retain(|(key, _)| key.text != entry.0.text);
            entries.push(entry);
        }
        // What stands there is no map, which is told when it is read.
        Some(_) => {}
        None => {
            let place = written.key.place.clone();
            let value = Value::Map(vec![entry]);
            fields.push((written.called("set"), Node { place, value }));
        }
    }
}
