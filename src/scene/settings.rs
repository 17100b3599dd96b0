//! Numbers and words at the top of a scene.

use homarus_systems::schedule::MAX_STEPS;

use super::{
    decode::{Fields, above_zero, choice, integer},
    diagnostic::{Diagnostic, Diagnostics},
    model::{IntegralStart, Integrator, NegativeConductance},
    source::Place,
    units,
};

/// Control interval (ms): every time constant of regulation is at least 76 times as long.
const CONTROL_MS: f64 = 1.0;
/// Spike threshold (mV) and the voltage below which detection is armed again (mV).
const THRESHOLD_MV: f64 = 10.0;
const REARM_MV: f64 = 0.0;
/// Silence between two bursts (ms).
const GAP_MS: f64 = 100.0;

/// The words of `negative_conductance`.
pub(super) const NEGATIVE_CONDUCTANCES: [(&str, NegativeConductance); 3] = [
    ("allow", NegativeConductance::Allow),
    ("rectify_current", NegativeConductance::RectifyCurrent),
    ("clamp", NegativeConductance::Clamp),
];
/// The words of `integrator_start`.
pub(super) const INTEGRATOR_STARTS: [(&str, IntegralStart); 2] = [
    ("preloaded", IntegralStart::Preloaded),
    ("zero", IntegralStart::Zero),
];

/// What is wrong between the times of a run (ms), if anything; `place` is that of the step.
pub(super) fn timing(
    duration: Option<f64>,
    step: f64,
    control: f64,
    place: Option<&Place>,
) -> Option<Diagnostic> {
    let steps = duration.map_or(0.0, |duration| duration / step);
    let (message, found, help) = if step > control {
        (
            "the step is longer than the control interval",
            format!("step_ms is {step}, control_ms is {control}"),
            "a smaller `step_ms`, or a longer `control_ms`".to_owned(),
        )
    } else if steps > MAX_STEPS {
        let duration = duration.unwrap_or_default();
        (
            "the run has more steps than can be counted",
            format!("{duration:e} ms in steps of {step:e} ms: {steps:.3e} steps"),
            format!(
                "a run has at most {MAX_STEPS:e} steps: a shorter `duration_ms`, or a longer `step_ms`"
            ),
        )
    } else {
        return None;
    };
    let error = match place {
        Some(place) => Diagnostic::at(place, message).label(found),
        None => Diagnostic::new(format!("{message}: {found}")),
    };
    Some(error.help(help))
}

/// Numbers and words at the top of a scene; `None` where one is wrong.
pub(super) struct Settings {
    pub duration_ms: Option<f64>,
    pub step_ms: Option<f64>,
    pub step_origin: Option<Place>,
    pub control_ms: Option<f64>,
    pub seed: Option<u64>,
    pub integrator: Option<Integrator>,
    pub negative_conductance: Option<NegativeConductance>,
    pub integrator_start: Option<IntegralStart>,
    pub threshold_mv: Option<f64>,
    pub rearm_mv: Option<f64>,
    pub gap_ms: Option<f64>,
}

impl Settings {
    pub fn read(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Self {
        let duration = fields.required("duration_ms").and_then(|node| {
            let rule = above_zero("the run would end before it begins");
            units::time(node, rule, errors)
        });
        let step = fields.required("step_ms").and_then(|node| {
            let rule = above_zero("time would stand still");
            units::time(node, rule, errors).map(|value| (value, node))
        });
        let control = match fields.optional("control_ms") {
            Some(node) => units::time(node, above_zero("regulation would never act"), errors),
            None => Some(CONTROL_MS),
        };
        if let (Some((step, node)), Some(control)) = (step, control)
            && let Some(error) = timing(duration, step, control, Some(&node.place))
        {
            errors.push(error);
        }
        let threshold = fields.entry("threshold_mV");
        let threshold_mv = match threshold {
            Some((_, node)) => units::voltage(node, errors),
            None => Some(THRESHOLD_MV),
        };
        let rearm = fields.entry("rearm_mV");
        let rearm_mv = match rearm {
            Some((_, node)) => units::voltage(node, errors),
            None => Some(REARM_MV),
        };
        if let (Some(threshold), Some(rearm_mv)) = (threshold_mv, rearm_mv)
            && rearm_mv > threshold
            && let Some((key, _)) = rearm.or(fields.entry("threshold_mV"))
        {
            errors.push(
                Diagnostic::at(&key.place, "spikes are re-armed above their threshold")
                    .label(format!(
                        "threshold {threshold} mV, re-armed at {rearm_mv} mV"
                    ))
                    .help("`rearm_mV` is at most `threshold_mV`"),
            );
        }
        Self {
            duration_ms: duration,
            step_ms: step.map(|(step, _)| step),
            step_origin: step.map(|(_, node)| node.place.clone()),
            control_ms: control,
            seed: fields
                .optional("seed")
                .map_or(Some(0), |node| integer(node, 0..=u64::MAX, errors)),
            integrator: word(
                fields,
                "integrator",
                &[
                    ("exponential", Integrator::Exponential),
                    ("accurate", Integrator::Accurate),
                    ("reference", Integrator::Reference),
                ],
                errors,
            ),
            negative_conductance: word(
                fields,
                "negative_conductance",
                &NEGATIVE_CONDUCTANCES,
                errors,
            ),
            integrator_start: word(fields, "integrator_start", &INTEGRATOR_STARTS, errors),
            threshold_mv,
            rearm_mv,
            gap_ms: match fields.optional("gap_ms") {
                Some(node) => units::time(node, above_zero("every spike would be a burst"), errors),
                None => Some(GAP_MS),
            },
        }
    }
}

/// A setting that is one of a few words, or its default.
fn word<T: Copy + Default>(
    fields: &mut Fields<'_>,
    name: &'static str,
    choices: &[(&str, T)],
    errors: &mut Diagnostics,
) -> Option<T> {
    match fields.optional(name) {
        Some(node) => choice(node, choices, errors),
        None => Some(T::default()),
    }
}
