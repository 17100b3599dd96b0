//! Column slices of the tables of neurons.

use std::ops::Range;

use bevy_ecs::change_detection::ContiguousMut;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;

use crate::calcium::{Calcium, CalciumIntegral, SensedCalcium};
use crate::channels::{
    self, Activation, CellTypeId, Effective, Gbar, Inactivation, NegativeConductance, Parameters,
    RateFactor,
};
use crate::membrane::{Input, Voltage};
use crate::observe::Armed;
use crate::schedule::NeuronIndex;
use crate::scheme::States;

/// What the step phases read and write of a neuron of lane width `W`.
type NeuronData<const W: usize> = (
    &'static CellTypeId,
    &'static NeuronIndex,
    &'static RateFactor<W>,
    &'static mut Effective<W>,
    &'static Input,
    &'static mut Voltage,
    &'static mut Calcium,
    &'static mut CalciumIntegral,
    &'static mut Activation<W>,
    &'static mut Inactivation<W>,
    &'static mut Armed,
    Option<&'static mut States>,
    Regulation<W>,
);

/// What regulation reads and writes besides.
type Regulation<const W: usize> = (
    &'static Parameters,
    &'static NegativeConductance,
    &'static channels::Block<W>,
    &'static mut SensedCalcium,
    &'static mut Gbar<W>,
);

/// The neurons of all lane widths.
#[derive(SystemParam)]
pub struct NeuronTables<'w, 's> {
    eight: Query<'w, 's, NeuronData<8>, (Without<RateFactor<16>>, Without<RateFactor<32>>)>,
    sixteen: Query<'w, 's, NeuronData<16>, (Without<RateFactor<8>>, Without<RateFactor<32>>)>,
    thirty_two: Query<'w, 's, NeuronData<32>, (Without<RateFactor<8>>, Without<RateFactor<16>>)>,
}

/// Columns of every table, by lane width.
pub struct AllColumns<'a> {
    /// Up to 8 channels.
    pub eight: Vec<Columns<'a, 8>>,
    /// Up to 16 channels.
    pub sixteen: Vec<Columns<'a, 16>>,
    /// Up to 32 channels.
    pub thirty_two: Vec<Columns<'a, 32>>,
}

impl NeuronTables<'_, '_> {
    /// Slices over all tables, one set a table.
    pub fn columns(&mut self) -> AllColumns<'_> {
        AllColumns {
            eight: slices(&mut self.eight),
            sixteen: slices(&mut self.sixteen),
            thirty_two: slices(&mut self.thirty_two),
        }
    }
}

/// Change detection is bypassed: nothing waits for a change of V, and writing the ticks of every
/// row costs a tenth of a step.
fn slices<'a, const W: usize, F: bevy_ecs::query::ArchetypeFilter>(
    query: &'a mut Query<NeuronData<W>, F>,
) -> Vec<Columns<'a, W>> {
    // All components of `NeuronData` are stored in tables, which is what `Err` would deny.
    let Ok(tables) = query.contiguous_iter_mut() else {
        return Vec::new();
    };
    tables
        .map(
            |(
                kind,
                index,
                rate,
                effective,
                input,
                v,
                ca,
                integral,
                m,
                h,
                armed,
                states,
                regulation,
            )| {
                let (parameters, negative, block, sensed, gbar) = regulation;
                Columns {
                    kind,
                    index,
                    rate,
                    effective: ContiguousMut::split(effective).0,
                    input,
                    voltage: ContiguousMut::split(v).0,
                    calcium: ContiguousMut::split(ca).0,
                    integral: ContiguousMut::split(integral).0,
                    activation: ContiguousMut::split(m).0,
                    inactivation: ContiguousMut::split(h).0,
                    armed: ContiguousMut::split(armed).0,
                    states: states.map(|states| ContiguousMut::split(states).0),
                    parameters,
                    negative,
                    block,
                    sensed: ContiguousMut::split(sensed).0,
                    gbar: ContiguousMut::split(gbar).0,
                }
            },
        )
        .collect()
}

/// Slices over the rows of a table, or of a part of one.
pub struct Columns<'a, const W: usize> {
    /// Cell types.
    pub kind: &'a [CellTypeId],
    /// Places in the scene's order.
    pub index: &'a [NeuronIndex],
    /// Per-cell factors on rates.
    pub rate: &'a [RateFactor<W>],
    /// Conductances as felt.
    pub effective: &'a mut [Effective<W>],
    /// Input held over the stretch.
    pub input: &'a [Input],
    /// Voltages (mV).
    pub voltage: &'a mut [Voltage],
    /// Calcium (µM).
    pub calcium: &'a mut [Calcium],
    /// Calcium integrals (µM ms).
    pub integral: &'a mut [CalciumIntegral],
    /// First gates.
    pub activation: &'a mut [Activation<W>],
    /// Second gates.
    pub inactivation: &'a mut [Inactivation<W>],
    /// Whether spike detection is armed.
    pub armed: &'a mut [Armed],
    /// States of kinetic schemes, where the cell types have any.
    pub states: Option<&'a mut [States]>,
    /// Kinetic parameters.
    pub parameters: &'a [Parameters],
    /// What regulated conductances do below zero.
    pub negative: &'a [NegativeConductance],
    /// Factors on currents.
    pub block: &'a [channels::Block<W>],
    /// Calcium as sensed.
    pub sensed: &'a mut [SensedCalcium],
    /// Maximal conductances.
    pub gbar: &'a mut [Gbar<W>],
}

impl<'a, const W: usize> Columns<'a, W> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.kind.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kind.is_empty()
    }

    /// Cuts off everything from row `at`.
    pub fn split_at(self, at: usize) -> (Columns<'a, W>, Columns<'a, W>) {
        let (effective, effective_b) = self.effective.split_at_mut(at);
        let (voltage, voltage_b) = self.voltage.split_at_mut(at);
        let (calcium, calcium_b) = self.calcium.split_at_mut(at);
        let (integral, integral_b) = self.integral.split_at_mut(at);
        let (activation, activation_b) = self.activation.split_at_mut(at);
        let (inactivation, inactivation_b) = self.inactivation.split_at_mut(at);
        let (armed, armed_b) = self.armed.split_at_mut(at);
        let (states, states_b) = self.states.map(|states| states.split_at_mut(at)).unzip();
        let (sensed, sensed_b) = self.sensed.split_at_mut(at);
        let (gbar, gbar_b) = self.gbar.split_at_mut(at);
        let first = Columns {
            kind: &self.kind[..at],
            index: &self.index[..at],
            rate: &self.rate[..at],
            effective,
            input: &self.input[..at],
            voltage,
            calcium,
            integral,
            activation,
            inactivation,
            armed,
            states,
            parameters: &self.parameters[..at],
            negative: &self.negative[..at],
            block: &self.block[..at],
            sensed,
            gbar,
        };
        let second = Columns {
            kind: &self.kind[at..],
            index: &self.index[at..],
            rate: &self.rate[at..],
            effective: effective_b,
            input: &self.input[at..],
            voltage: voltage_b,
            calcium: calcium_b,
            integral: integral_b,
            activation: activation_b,
            inactivation: inactivation_b,
            armed: armed_b,
            states: states_b,
            parameters: &self.parameters[at..],
            negative: &self.negative[at..],
            block: &self.block[at..],
            sensed: sensed_b,
            gbar: gbar_b,
        };
        (first, second)
    }

    /// Runs of at most `size` rows of one cell type.
    pub fn runs(&self, size: usize) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        for row in 1..=self.len() {
            if row == self.len() || self.kind[row] != self.kind[start] || row - start == size {
                runs.push(start..row);
                start = row;
            }
        }
        runs
    }
}
