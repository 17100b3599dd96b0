//! The parsed tree and what is done with it before it is compiled.

use std::fmt;

use super::number::{Comparison, Number};

/// A variable of the language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variable {
    /// `V`, membrane potential (mV).
    V,
    /// `Ca`, calcium concentration (µM).
    Ca,
    /// `V_pre`, presynaptic membrane potential (mV).
    VPre,
    /// `V_post`, postsynaptic membrane potential (mV).
    VPost,
}

impl Variable {
    pub(super) const ALL: [Variable; 4] =
        [Variable::V, Variable::Ca, Variable::VPre, Variable::VPost];

    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            Variable::V => "V",
            Variable::Ca => "Ca",
            Variable::VPre => "V_pre",
            Variable::VPost => "V_post",
        }
    }
}

/// Operation on one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unary {
    Neg,
    Exp,
    Ln,
    Sqrt,
    Tanh,
    Cosh,
    Abs,
    Sigmoid,
    Exprel,
}

impl Unary {
    #[inline(always)]
    pub(super) fn apply<N: Number>(self, x: N) -> N {
        match self {
            Unary::Neg => -x,
            Unary::Exp => x.exp(),
            Unary::Ln => x.ln(),
            Unary::Sqrt => x.sqrt(),
            Unary::Tanh => x.tanh(),
            Unary::Cosh => x.cosh(),
            Unary::Abs => x.abs(),
            Unary::Sigmoid => x.sigmoid(),
            Unary::Exprel => x.exprel(),
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Unary::Neg => "-",
            Unary::Exp => "exp",
            Unary::Ln => "ln",
            Unary::Sqrt => "sqrt",
            Unary::Tanh => "tanh",
            Unary::Cosh => "cosh",
            Unary::Abs => "abs",
            Unary::Sigmoid => "sigmoid",
            Unary::Exprel => "exprel",
        }
    }
}

/// Operation on two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
}

impl Binary {
    #[inline(always)]
    pub(super) fn apply<N: Number>(self, a: N, b: N) -> N {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Pow => a.pow(b),
            Binary::Min => a.min(b),
            Binary::Max => a.max(b),
        }
    }

    fn symbol(self) -> &'static str {
        match self {
            Binary::Add => " + ",
            Binary::Sub => " - ",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Pow => "^",
            Binary::Min => "min",
            Binary::Max => "max",
        }
    }
}

/// The exponent, if powers with it are worked out by repeated multiplication.
pub(super) fn whole(exponent: f64) -> Option<i8> {
    let is_whole = exponent.abs() <= 16.0 && exponent.trunc() == exponent;
    is_whole.then_some(exponent as i8)
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Number(f64),
    Variable(Variable),
    Parameter(String),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// Left and right side of the comparison, value if it holds, value if not.
    If(Comparison, Box<[Node; 4]>),
}

impl Node {
    pub(super) fn unary(op: Unary, x: Node) -> Node {
        match (op, x) {
            (Unary::Neg, Node::Number(x)) => Node::Number(-x),
            (op, x) => Node::Unary(op, Box::new(x)),
        }
    }

    pub(super) fn binary(op: Binary, a: Node, b: Node) -> Node {
        Node::Binary(op, Box::new(a), Box::new(b))
    }

    /// `1/self`; a reciprocal turns back into its divisor.
    fn reciprocal(self) -> Node {
        match self {
            Node::Binary(Binary::Div, one, x) if *one == Node::Number(1.0) => *x,
            node => Node::binary(Binary::Div, Node::Number(1.0), node),
        }
    }

    /// Calls `f` on this node and all below, from left to right.
    fn visit<'a>(&'a self, f: &mut dyn FnMut(&'a Node)) {
        f(self);
        match self {
            Node::Number(_) | Node::Variable(_) | Node::Parameter(_) => {}
            Node::Unary(_, x) => x.visit(f),
            Node::Binary(_, a, b) => {
                a.visit(f);
                b.visit(f);
            }
            Node::If(_, parts) => parts.iter().for_each(|part| part.visit(f)),
        }
    }

    /// Puts the value `x` in place of a variable.
    fn at(&self, v: Variable, x: f64) -> Node {
        match self {
            Node::Variable(w) if *w == v => Node::Number(x),
            Node::Number(_) | Node::Variable(_) | Node::Parameter(_) => self.clone(),
            Node::Unary(op, a) => Node::unary(*op, a.at(v, x)),
            Node::Binary(op, a, b) => Node::binary(*op, a.at(v, x), b.at(v, x)),
            Node::If(comparison, parts) => Node::If(
                *comparison,
                Box::new(parts.each_ref().map(|part| part.at(v, x))),
            ),
        }
    }

    /// Puts what `node` knows in place of parameters.
    fn substitute(&self, node: &dyn Fn(&str) -> Option<Node>) -> Node {
        match self {
            Node::Number(_) | Node::Variable(_) => self.clone(),
            Node::Parameter(name) => node(name).unwrap_or_else(|| self.clone()),
            Node::Unary(op, a) => Node::unary(*op, a.substitute(node)),
            Node::Binary(op, a, b) => Node::binary(*op, a.substitute(node), b.substitute(node)),
            Node::If(comparison, parts) => Node::If(
                *comparison,
                Box::new(parts.each_ref().map(|part| part.substitute(node))),
            ),
        }
    }

    /// Substitutes what `value` knows and works out what is constant, with the operations of a
    /// program, hence with its bits.
    pub(super) fn bind(&self, value: &dyn Fn(&str) -> Option<f64>) -> Node {
        match self {
            Node::Number(_) | Node::Variable(_) => self.clone(),
            Node::Parameter(name) => value(name).map_or_else(|| self.clone(), Node::Number),
            Node::Unary(op, x) => match x.bind(value) {
                Node::Number(x) => Node::Number(op.apply(x)),
                x => Node::unary(*op, x),
            },
            Node::Binary(op, a, b) => match (a.bind(value), b.bind(value)) {
                (Node::Number(a), Node::Number(b)) => Node::Number(constant_binary(*op, a, b)),
                (a, b) => Node::binary(*op, a, b),
            },
            Node::If(comparison, parts) => {
                let [left, right, yes, no] = &**parts;
                match (left.bind(value), right.bind(value)) {
                    (Node::Number(l), Node::Number(r)) if comparison.holds(l, r) => yes.bind(value),
                    (Node::Number(_), Node::Number(_)) => no.bind(value),
                    (left, right) => {
                        let parts = [left, right, yes.bind(value), no.bind(value)];
                        Node::If(*comparison, Box::new(parts))
                    }
                }
            }
        }
    }

    pub(super) fn folded(&self) -> Node {
        self.bind(&|_| None)
    }

    fn push_factors(&self, factors: &mut Vec<Node>) {
        match self {
            Node::Number(1.0) => {}
            Node::Unary(Unary::Neg, x) => {
                factors.push(Node::Number(-1.0));
                x.push_factors(factors);
            }
            Node::Binary(Binary::Mul, a, b) => {
                a.push_factors(factors);
                b.push_factors(factors);
            }
            Node::Binary(Binary::Div, a, b) => {
                a.push_factors(factors);
                let divisors = factors.len();
                b.push_factors(factors);
                let inverted: Vec<_> = factors.drain(divisors..).map(Node::reciprocal).collect();
                factors.extend(inverted);
            }
            node => factors.push(node.clone()),
        }
    }

    /// How tightly the outermost operation binds, for brackets in [`fmt::Display`].
    fn precedence(&self) -> u8 {
        match self {
            Node::Number(x) if !x.is_finite() => PRODUCT,
            Node::Number(x) if x.is_sign_negative() => NEGATION,
            Node::Unary(Unary::Neg, _) => NEGATION,
            Node::Binary(Binary::Add | Binary::Sub, ..) => SUM,
            Node::Binary(Binary::Mul | Binary::Div, ..) => PRODUCT,
            Node::Binary(Binary::Pow, ..) => POWER,
            _ => ATOM,
        }
    }

    /// Writes the node in brackets if it binds less tightly than `least`.
    fn write(&self, f: &mut fmt::Formatter, least: u8) -> fmt::Result {
        if self.precedence() < least {
            write!(f, "({self})")
        } else {
            write!(f, "{self}")
        }
    }
}

/// A power with a whole exponent takes repeated multiplication here as in a program.
fn constant_binary(op: Binary, a: f64, b: f64) -> f64 {
    match (op, whole(b)) {
        (Binary::Pow, Some(n)) => Number::powi(a, n),
        _ => op.apply(a, b),
    }
}

const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const NEGATION: u8 = 3;
const POWER: u8 = 4;
const ATOM: u8 = 5;

fn write_number(f: &mut fmt::Formatter, x: f64) -> fmt::Result {
    if x.is_nan() {
        write!(f, "0/0")
    } else if x.is_infinite() {
        write!(f, "{}/0", x.signum())
    } else if x == 0.0 || (1e-4..1e16).contains(&x.abs()) {
        write!(f, "{x}")
    } else {
        write!(f, "{x:e}")
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Node::Number(x) => write_number(f, *x),
            Node::Variable(variable) => write!(f, "{}", variable.name()),
            Node::Parameter(name) => write!(f, "{name}"),
            Node::Unary(Unary::Neg, x) => {
                write!(f, "-")?;
                x.write(f, NEGATION)
            }
            Node::Unary(op, x) => write!(f, "{}({x})", op.symbol()),
            Node::Binary(op @ (Binary::Min | Binary::Max), a, b) => {
                write!(f, "{}({a}, {b})", op.symbol())
            }
            Node::Binary(op, a, b) => {
                let (left, right) = match op {
                    Binary::Pow => (ATOM, NEGATION),
                    _ => (self.precedence(), self.precedence() + 1),
                };
                a.write(f, left)?;
                write!(f, "{}", op.symbol())?;
                b.write(f, right)
            }
            Node::If(comparison, parts) => {
                let [left, right, yes, no] = &**parts;
                let sign = match comparison {
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                };
                write!(f, "if({left} {sign} {right}, {yes}, {no})")
            }
        }
    }
}

/// A parsed expression. Its `Display` is the language again.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(pub(super) Node);

impl Expression {
    /// The number `x`.
    pub fn constant(x: f64) -> Expression {
        Expression(Node::Number(x))
    }

    /// The value, if the expression depends on no variable and no parameter.
    pub fn is_constant(&self) -> Option<f64> {
        match self.0.folded() {
            Node::Number(x) => Some(x),
            _ => None,
        }
    }

    /// Whether the variable occurs.
    pub fn depends_on(&self, v: Variable) -> bool {
        let mut found = false;
        self.0
            .visit(&mut |node| found |= matches!(node, Node::Variable(w) if *w == v));
        found
    }

    /// The parameters in order of first use, each once.
    pub fn parameters(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        self.0.visit(&mut |node| match node {
            Node::Parameter(name) if !names.contains(&name.as_str()) => names.push(name),
            _ => {}
        });
        names
    }

    /// Substitutes the parameters for which `value` knows one and works out what is constant then.
    #[must_use]
    pub fn bind(&self, value: &dyn Fn(&str) -> Option<f64>) -> Expression {
        Expression(self.0.bind(value))
    }

    /// The expression at the value `x` of a variable.
    #[must_use]
    pub fn at(&self, v: Variable, x: f64) -> Expression {
        Expression(self.0.at(v, x).folded())
    }

    /// The expression with a variable in place of a parameter.
    #[must_use]
    pub fn with_variable(&self, parameter: &str, v: Variable) -> Expression {
        let found = |name: &str| (name == parameter).then_some(Node::Variable(v));
        Expression(self.0.substitute(&found))
    }

    /// Splits a product or quotient into factors whose product is the expression: a divisor x
    /// appears as 1/x, a minus sign as the constant -1. None for the constant 1.
    pub fn factors(&self) -> Vec<Expression> {
        let mut factors = Vec::new();
        self.0.push_factors(&mut factors);
        factors.into_iter().map(Expression).collect()
    }

    /// The product of the factors, in their order; 1 for none. A factor 1/x divides.
    pub fn product(factors: Vec<Expression>) -> Expression {
        let mut factors = factors.into_iter().map(|factor| factor.0);
        let Some(first) = factors.next() else {
            return Expression::constant(1.0);
        };
        Expression(factors.fold(first, |product, factor| match factor {
            Node::Binary(Binary::Div, one, x) if *one == Node::Number(1.0) => {
                Node::Binary(Binary::Div, Box::new(product), x)
            }
            factor => Node::binary(Binary::Mul, product, factor),
        }))
    }

    /// `1/self`; the reciprocal of `1/x` is x.
    #[must_use]
    pub fn reciprocal(self) -> Expression {
        Expression(self.0.reciprocal())
    }

    /// The variable itself.
    pub fn variable(v: Variable) -> Expression {
        Expression(Node::Variable(v))
    }

    /// `if(left compared to right, yes, no)`.
    pub fn conditional(comparison: Comparison, parts: [Expression; 4]) -> Expression {
        Expression(Node::If(comparison, Box::new(parts.map(|part| part.0))))
    }

    /// `a - b`.
    pub fn difference(a: Expression, b: Expression) -> Expression {
        Expression(Node::binary(Binary::Sub, a.0, b.0))
    }

    /// `a + b`.
    pub fn sum(a: Expression, b: Expression) -> Expression {
        Expression(Node::binary(Binary::Add, a.0, b.0))
    }

    /// `a/b`.
    pub fn quotient(a: Expression, b: Expression) -> Expression {
        Expression(Node::binary(Binary::Div, a.0, b.0))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}
