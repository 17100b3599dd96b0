//! Quantities with units: a bare number is in the field's unit, a tag such as `nS(30)` converts.

use super::{
    decode::{ANY, Rule, expected, number},
    diagnostic::{Diagnostic, Diagnostics},
    model::{Conductance, Current},
    names,
    source::Place,
    syntax::{Node, Value},
};

/// Unit tags with what they are multiplied with to reach the unit of the row.
type Tags = &'static [(&'static str, f64)];

/// To ms.
const TIME: Tags = &[("ms", 1.0), ("s", 1e3), ("us", 1e-3)];
/// To mV.
const VOLTAGE: Tags = &[("mV", 1.0), ("V", 1e3)];
/// To µM.
const CONCENTRATION: Tags = &[("uM", 1.0), ("nM", 1e-3), ("mM", 1e3)];
/// To mS/cm².
const CONDUCTANCE_DENSITY: Tags = &[("mS_per_cm2", 1.0), ("uS_per_mm2", 0.1), ("S_per_cm2", 1e3)];
/// To nS.
const CONDUCTANCE: Tags = &[("nS", 1.0), ("pS", 1e-3), ("uS", 1e3), ("mS", 1e6)];
/// To µA/cm².
const CURRENT_DENSITY: Tags = &[("uA_per_cm2", 1.0), ("nA_per_cm2", 1e-3)];
/// To nA.
const CURRENT: Tags = &[("nA", 1.0), ("pA", 1e-3), ("uA", 1e3)];

/// A number and the row of tags it belongs to.
struct Quantity {
    value: f64,
    /// Index of the row; `None` without a tag.
    row: Option<usize>,
    place: Place,
}

/// A number, bare or with a tag of one of `rows`.
fn quantity(node: &Node, rows: &[Tags], errors: &mut Diagnostics) -> Option<Quantity> {
    let (Value::Tuple(Some(tag), items), place) = (&node.value, node.place.clone()) else {
        return number(node, ANY, errors).map(|value| Quantity {
            value,
            row: None,
            place: node.place.clone(),
        });
    };
    let known = || {
        rows.iter()
            .flat_map(|row| row.iter().map(|(name, _)| *name))
    };
    let found = rows.iter().enumerate().find_map(|(row, tags)| {
        let (_, factor) = tags.iter().find(|(name, _)| *name == tag.text)?;
        Some((row, *factor))
    });
    let Some((row, factor)) = found else {
        errors.push(
            Diagnostic::at(&tag.place, format!("`{}` is not a unit here", tag.text))
                .label("unknown unit")
                .maybe_help(names::hint(&tag.text, known(), "unit")),
        );
        return None;
    };
    let [item] = items.as_slice() else {
        errors.push(expected(
            &format!("one number, as in `{}(1)`", tag.text),
            node,
        ));
        return None;
    };
    let value = finite(number(item, ANY, errors)? * factor, &place, errors)?;
    Some(Quantity {
        value,
        row: Some(row),
        place,
    })
}

/// Refuses a value that its unit, or an area, has made infinite.
fn finite(value: f64, place: &Place, errors: &mut Diagnostics) -> Option<f64> {
    if value.is_finite() {
        return Some(value);
    }
    errors.push(
        Diagnostic::at(place, "this value is too large")
            .label("more than about 1.8e308 once converted")
            .help("every number of a scene is finite"),
    );
    None
}

fn scalar(node: &Node, tags: Tags, rule: Rule, errors: &mut Diagnostics) -> Option<f64> {
    let found = quantity(node, &[tags], errors)?;
    rule.check(found.value, &found.place, errors)
}

/// A time (ms).
pub(crate) fn time(node: &Node, rule: Rule, errors: &mut Diagnostics) -> Option<f64> {
    scalar(node, TIME, rule, errors)
}

/// A voltage (mV).
pub(crate) fn voltage(node: &Node, errors: &mut Diagnostics) -> Option<f64> {
    scalar(node, VOLTAGE, ANY, errors)
}

/// A concentration (µM).
pub(crate) fn concentration(node: &Node, rule: Rule, errors: &mut Diagnostics) -> Option<f64> {
    scalar(node, CONCENTRATION, rule, errors)
}

/// A conductance, as a density or absolute.
pub(crate) fn conductance(
    node: &Node,
    rule: Rule,
    errors: &mut Diagnostics,
) -> Option<Conductance> {
    let found = quantity(node, &[CONDUCTANCE_DENSITY, CONDUCTANCE], errors)?;
    let value = rule.check(found.value, &found.place, errors)?;
    Some(match found.row {
        Some(1) => Conductance::Absolute(value),
        _ => Conductance::Density(value),
    })
}

/// A conductance density (mS/cm²) of a membrane of `area` (cm²).
pub(crate) fn conductance_density(
    node: &Node,
    area: Option<f64>,
    rule: Rule,
    errors: &mut Diagnostics,
) -> Option<f64> {
    match conductance(node, rule, errors)? {
        Conductance::Density(value) => Some(value),
        // nS to mS.
        Conductance::Absolute(value) => per_area(value * 1e-6, node, area, errors),
    }
}

/// A current, as a density or absolute.
pub(crate) fn current(node: &Node, errors: &mut Diagnostics) -> Option<Current> {
    let found = quantity(node, &[CURRENT_DENSITY, CURRENT], errors)?;
    Some(match found.row {
        Some(1) => Current::Absolute(found.value),
        _ => Current::Density(found.value),
    })
}

/// A current density (µA/cm²) of a membrane of `area` (cm²).
pub(crate) fn current_density(
    node: &Node,
    area: Option<f64>,
    errors: &mut Diagnostics,
) -> Option<f64> {
    match current(node, errors)? {
        Current::Density(value) => Some(value),
        // nA to µA.
        Current::Absolute(value) => per_area(value * 1e-3, node, area, errors),
    }
}

/// Divides an absolute value by the area.
fn per_area(value: f64, node: &Node, area: Option<f64>, errors: &mut Diagnostics) -> Option<f64> {
    if area.is_none() {
        errors.push(no_area(&node.place, "the cell"));
    }
    finite(value / area?, &node.place, errors)
}

/// The error for an absolute value where `whose` area is not known.
pub(crate) fn no_area(place: &Place, whose: &str) -> Diagnostic {
    Diagnostic::at(
        place,
        format!("an absolute value needs the area of {whose}"),
    )
    .label("absolute")
    .help("give the cell `area_cm2`, or write the value per area")
}
