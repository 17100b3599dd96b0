//! Kinetics: the small language in which a scene writes steady states, time constants and rates.
//!
//! An expression consists of numbers (`5e-4`, `1_000`), variables (`V`, `Ca`, `V_pre`, `V_post`),
//! named parameters, `+ - * / ^`, the functions `exp ln sqrt tanh cosh min max abs`,
//! `sigmoid(x) = 1/(1 + exp(-x))`, `exprel(x) = (exp(x) - 1)/x`, and `if(condition, a, b)` whose
//! condition is one comparison (`< <= > >=`). `^` binds tightest and to the right: `-V^2` is
//! `-(V^2)`, `2^3^2` is `2^9`.
//!
//! Text becomes an [`Expression`], whose parameters are bound to values; that compiles to a
//! [`Program`], which runs on any [`Number`]: `f64`, [`Dual`] for derivatives, [`Lanes`] for eight
//! neurons at once, the latter with the bits of the former.

mod expression;
mod number;
mod parse;
mod program;
#[cfg(test)]
mod tests;

pub use expression::{Expression, Variable};
pub use number::{Comparison, Dual, Lanes, Number};
pub use parse::ParseError;
pub use program::{Program, UnboundParameter, Variables, eval_removable};
