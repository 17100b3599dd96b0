//! Compiled expressions: a flat list of instructions on numbered slots.
//!
//! The first four slots hold the variables, the rest intermediate results. Of an instruction's
//! operands the one that needs most slots is worked out first, so `n` slots suffice for any tree
//! with fewer than about 1.58^n leaves.

use super::expression::{Binary, Expression, Node, Unary, Variable, whole};
use super::number::{Comparison, Number};

/// Slots of most programs: clearing more is what a short one would cost.
const FEW: usize = 8;
/// Slots of the others that are met.
const SOME: usize = 16;
/// Slots of any program: a tree that needed more would not fit in memory.
const MANY: usize = 64;

/// Where an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variables<N> {
    /// `V` (mV).
    pub v: N,
    /// `Ca` (µM).
    pub ca: N,
    /// `V_pre` (mV).
    pub v_pre: N,
    /// `V_post` (mV).
    pub v_post: N,
}

impl<N: Number> Variables<N> {
    /// On a membrane: V (mV) and Ca (µM); `V_pre` and `V_post` are 0.
    #[inline(always)]
    pub fn membrane(v: N, ca: N) -> Variables<N> {
        let zero = N::constant(0.0);
        Variables {
            v,
            ca,
            v_pre: zero,
            v_post: zero,
        }
    }

    /// At a synapse: V_pre and V_post (mV); `V` and `Ca` are 0.
    #[inline(always)]
    pub fn synapse(v_pre: N, v_post: N) -> Variables<N> {
        let zero = N::constant(0.0);
        Variables {
            v: zero,
            ca: zero,
            v_pre,
            v_post,
        }
    }
}

/// A parameter that was given no value before compilation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` has no value")]
pub struct UnboundParameter {
    /// Name of the parameter.
    pub name: String,
}

/// One step of a program: what to do and the slots of the operands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Number(f64),
    Unary(Unary, u8),
    Binary(Binary, u8, u8),
    Power(u8, i8),
    Select(Comparison, [u8; 4]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Instruction {
    operation: Operation,
    /// Slot of the result.
    to: u8,
}

/// A compiled expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    instructions: Box<[Instruction]>,
    /// Slot of the value.
    value: u8,
    /// Slots in use, variables included.
    slots: usize,
}

impl Expression {
    /// Compiles the expression. Both branches of an `if` are evaluated and one is selected.
    ///
    /// # Errors
    /// The first parameter that has no value.
    pub fn compile(&self) -> Result<Program, UnboundParameter> {
        let mut compiler = Compiler {
            instructions: Vec::new(),
            slots: Variable::ALL.len(),
        };
        let value = compiler.emit(&self.0.folded(), Variable::ALL.len() as u8)?;
        Ok(Program {
            instructions: compiler.instructions.into(),
            value,
            slots: compiler.slots,
        })
    }
}

struct Compiler {
    instructions: Vec<Instruction>,
    slots: usize,
}

impl Compiler {
    /// Writes the instructions for `node`, with intermediate results from slot `free` on; returns
    /// the slot of the value.
    fn emit(&mut self, node: &Node, free: u8) -> Result<u8, UnboundParameter> {
        let operation = match node {
            Node::Variable(variable) => return Ok(*variable as u8),
            Node::Parameter(name) => return Err(UnboundParameter { name: name.clone() }),
            Node::Number(x) => Operation::Number(*x),
            Node::Unary(op, x) => Operation::Unary(*op, self.emit(x, free)?),
            Node::Binary(op, a, b) => match (op, whole_power(b)) {
                (Binary::Pow, Some(n)) => Operation::Power(self.emit(a, free)?, n),
                _ => {
                    let [a, b] = self.emit_all([a, b], free)?;
                    Operation::Binary(*op, a, b)
                }
            },
            Node::If(comparison, parts) => {
                Operation::Select(*comparison, self.emit_all(parts.each_ref(), free)?)
            }
        };
        self.slots = self.slots.max(usize::from(free) + 1);
        self.instructions.push(Instruction {
            operation,
            to: free,
        });
        Ok(free)
    }

    /// Writes the operands, the one that needs most slots first; returns their slots.
    fn emit_all<const K: usize>(
        &mut self,
        operands: [&Node; K],
        mut free: u8,
    ) -> Result<[u8; K], UnboundParameter> {
        let mut slots = [0; K];
        for k in by_need(operands) {
            slots[k] = self.emit(operands[k], free)?;
            if slots[k] == free {
                free += 1;
            }
        }
        Ok(slots)
    }
}

fn whole_power(exponent: &Node) -> Option<i8> {
    match exponent {
        Node::Number(x) => whole(*x),
        _ => None,
    }
}

/// Indices of the operands, the one that needs most slots first.
fn by_need<const K: usize>(operands: [&Node; K]) -> [usize; K] {
    let needs = operands.map(need);
    let mut order = std::array::from_fn(|k| k);
    order.sort_by_key(|k| std::cmp::Reverse(needs[*k]));
    order
}

/// Slots needed for intermediate results.
fn need(node: &Node) -> usize {
    match node {
        Node::Variable(_) | Node::Parameter(_) => 0,
        Node::Number(_) => 1,
        Node::Unary(_, x) => need(x).max(1),
        Node::Binary(_, a, b) => need_of_all([a, b]),
        Node::If(_, parts) => need_of_all(parts.each_ref()),
    }
}

fn need_of_all<const K: usize>(operands: [&Node; K]) -> usize {
    let mut needs = operands.map(need);
    needs.sort_unstable_by_key(|n| std::cmp::Reverse(*n));
    let held = needs.iter().enumerate().filter(|(_, n)| **n > 0);
    held.map(|(k, n)| n + k).max().unwrap_or(0).max(1)
}

impl Program {
    /// k where the program is `Ca/(Ca + k)`, which the kernels know by heart.
    pub fn saturation(&self) -> Option<f64> {
        let ca = Variable::Ca as u8;
        let [number, sum, quotient] = &*self.instructions else {
            return None;
        };
        let Operation::Number(k) = number.operation else {
            return None;
        };
        let sums = [(ca, number.to), (number.to, ca)];
        let is_sum = |(a, b)| sum.operation == Operation::Binary(Binary::Add, a, b);
        let is_quotient = quotient.operation == Operation::Binary(Binary::Div, ca, sum.to);
        (sums.into_iter().any(is_sum) && is_quotient).then_some(k)
    }

    /// The value at a point. Compiled for the processor features of the caller.
    #[inline(always)]
    pub fn eval<N: Number>(&self, at: &Variables<N>) -> N {
        if self.slots <= FEW {
            self.run::<N, FEW>(at)
        } else if self.slots <= SOME {
            self.run::<N, SOME>(at)
        } else {
            self.run_large(at)
        }
    }

    #[cold]
    #[inline(never)]
    fn run_large<N: Number>(&self, at: &Variables<N>) -> N {
        self.run::<N, MANY>(at)
    }

    /// Runs on `SLOTS` slots, a power of two: the mask spares the bounds checks.
    #[inline(always)]
    fn run<N: Number, const SLOTS: usize>(&self, at: &Variables<N>) -> N {
        let mut slots = [N::constant(0.0); SLOTS];
        slots[Variable::V as usize] = at.v;
        slots[Variable::Ca as usize] = at.ca;
        slots[Variable::VPre as usize] = at.v_pre;
        slots[Variable::VPost as usize] = at.v_post;
        let index = |slot: u8| usize::from(slot) & (SLOTS - 1);
        for instruction in &self.instructions {
            let value = match instruction.operation {
                Operation::Number(x) => N::constant(x),
                Operation::Unary(op, x) => op.apply(slots[index(x)]),
                Operation::Binary(op, a, b) => op.apply(slots[index(a)], slots[index(b)]),
                Operation::Power(x, n) => slots[index(x)].powi(n),
                Operation::Select(comparison, parts) => {
                    let [left, right, yes, no] = parts.map(|slot| slots[index(slot)]);
                    N::select(comparison, left, right, yes, no)
                }
            };
            slots[index(instruction.to)] = value;
        }
        slots[index(self.value)]
    }
}

/// Distance (mV or µM) at which the sides of a point without a finite value are looked at.
const ASIDE: f64 = 1e-4;

/// The value at `at`, where `f` gives the variables; at a removable point (0/0) the two-sided
/// limit. `None` at a true pole, a jump, or where a side has no finite value.
pub fn eval_removable(
    program: &Program,
    at: f64,
    f: impl Fn(f64) -> Variables<f64>,
) -> Option<f64> {
    let value = program.eval(&f(at));
    if value.is_finite() {
        return Some(value);
    }
    limit(|x| program.eval(&f(x)), at)
}

/// Two-sided limit of `f`: as the distance is halved, both the gap between the sides and the
/// change of their mean must shrink. A pole makes them grow, a jump leaves the gap.
#[cold]
#[inline(never)]
fn limit(f: impl Fn(f64) -> f64, at: f64) -> Option<f64> {
    let aside = ASIDE.max(at.abs() * 1e-8);
    let [far, near, nearest] = [aside, aside / 2.0, aside / 4.0].map(|h| {
        let (left, right) = (f(at - h), f(at + h));
        ((left + right) / 2.0, right - left)
    });
    if ![far, near, nearest]
        .iter()
        .all(|(mean, gap)| (mean + gap).is_finite())
    {
        return None;
    }
    let rounding = 1e-8 * far.0.abs().max(far.1.abs());
    let shrinks = |from: f64, to: f64| to.abs() <= 0.75 * from.abs() + rounding;
    let converges = shrinks(far.1, near.1)
        && shrinks(near.1, nearest.1)
        && shrinks(near.0 - far.0, nearest.0 - near.0);
    // The curvature of the mean goes with the square of the distance.
    converges.then_some((4.0 * near.0 - far.0) / 3.0)
}
