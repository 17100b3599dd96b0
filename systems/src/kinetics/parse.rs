//! From text to tree.

use std::ops::Range;

use super::expression::{Binary, Expression, Node, Unary, Variable};
use super::number::Comparison;
use crate::nearest::nearest;

/// Brackets, signs and powers within one another.
const DEEPEST: usize = 100;
/// Numbers, names and operations of one expression.
const LONGEST: usize = 2000;

/// Functions of the language, for messages.
const FUNCTIONS: [&str; 11] = [
    "exp", "ln", "sqrt", "tanh", "cosh", "min", "max", "abs", "sigmoid", "exprel", "if",
];

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// The offending text, in bytes.
    pub span: Range<usize>,
    /// What was found and what was expected.
    pub message: String,
    /// One fix, if one is likely.
    pub help: Option<String>,
}

impl ParseError {
    fn new(span: Range<usize>, message: impl Into<String>) -> ParseError {
        ParseError {
            span,
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> ParseError {
        self.help = Some(help.into());
        self
    }
}

impl Expression {
    /// Parses `text`. Only the `variables` and `parameters` given may occur.
    ///
    /// # Errors
    /// The first place where the text leaves the language, or a name that is not known.
    pub fn parse(
        text: &str,
        variables: &[Variable],
        parameters: &[&str],
    ) -> Result<Expression, ParseError> {
        let mut parser = Parser {
            text,
            token: Token::End,
            span: 0..0,
            depth: 0,
            nodes: 0,
            variables,
            parameters,
        };
        parser.advance()?;
        let node = parser.sum()?;
        match parser.token {
            Token::End => Ok(Expression(node)),
            _ => Err(parser.trailing()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Token {
    Number(f64),
    Name,
    /// One of `+ - * / ^ ( ) ,`.
    Sign(char),
    Comparison(Comparison),
    End,
}

struct Parser<'a> {
    text: &'a str,
    /// The token at hand and where it stands.
    token: Token,
    span: Range<usize>,
    depth: usize,
    nodes: usize,
    variables: &'a [Variable],
    parameters: &'a [&'a str],
}

/// Tokens.
impl<'a> Parser<'a> {
    fn here(&self) -> &'a str {
        &self.text[self.span.clone()]
    }

    /// Goes on to the next token.
    fn advance(&mut self) -> Result<(), ParseError> {
        let rest = &self.text[self.span.end..];
        let start = self.text.len() - rest.trim_start().len();
        let rest = &self.text[start..];
        let (token, length) = match rest.chars().next() {
            None => (Token::End, 0),
            Some(c) if c.is_ascii_digit() || c == '.' => {
                let length = number_length(rest);
                self.span = start..start + length;
                (Token::Number(self.number()?), length)
            }
            Some(c) if c.is_alphabetic() || c == '_' => (Token::Name, name_length(rest)),
            Some('<') if rest.starts_with("<=") => (Token::Comparison(Comparison::LessOrEqual), 2),
            Some('<') => (Token::Comparison(Comparison::Less), 1),
            Some('>') if rest.starts_with(">=") => {
                (Token::Comparison(Comparison::GreaterOrEqual), 2)
            }
            Some('>') => (Token::Comparison(Comparison::Greater), 1),
            Some('*') if rest.starts_with("**") => {
                let error = ParseError::new(start..start + 2, "`**` is not an operator");
                return Err(error.help("a power is written `^`"));
            }
            Some(c) if "+-*/^(),".contains(c) => (Token::Sign(c), 1),
            Some(c) => return Err(stray(c, start)),
        };
        self.token = token;
        self.span = start..start + length;
        Ok(())
    }

    /// The number that `span` covers.
    fn number(&self) -> Result<f64, ParseError> {
        let text = self.here();
        let error = |message: String| ParseError::new(self.span.clone(), message);
        match text.replace('_', "").parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(x),
            Ok(_) => Err(error(format!("the number `{text}` is too large"))),
            Err(_) => Err(error(format!("`{text}` is not a number"))
                .help("numbers look like `12`, `0.5`, `5e-4` or `1_000`")),
        }
    }

    /// Goes past a sign if it is the token at hand.
    fn accept(&mut self, sign: char) -> Result<bool, ParseError> {
        let found = self.token == Token::Sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Counts a node of the tree to be.
    fn count(&mut self) -> Result<(), ParseError> {
        self.nodes += 1;
        if self.nodes > LONGEST {
            let message = format!(
                "the expression is too long: it has more than {LONGEST} numbers, names and operations"
            );
            return Err(ParseError::new(self.span.clone(), message));
        }
        Ok(())
    }
}

/// Bytes of the number at the start of `text`, with what runs into it.
fn number_length(text: &str) -> usize {
    let mut exponent = false;
    let mut length = 0;
    for c in text.chars() {
        let sign = matches!(c, '+' | '-') && exponent;
        if !(sign || c.is_ascii_digit() || matches!(c, '.' | '_' | 'e' | 'E')) {
            break;
        }
        exponent = matches!(c, 'e' | 'E');
        length += c.len_utf8();
    }
    length
}

/// Bytes of the name at the start of `text`.
fn name_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// A character the language does not use.
fn stray(c: char, start: usize) -> ParseError {
    let span = start..start + c.len_utf8();
    let error = ParseError::new(span, format!("the character `{c}` has no meaning here"));
    match c {
        '−' | '–' => error.help("minus is written `-`"),
        '×' | '·' => error.help("times is written `*`"),
        '÷' => error.help("a quotient is written `/`"),
        '²' | '³' => error.help("a power is written `^2`"),
        '[' | '{' | ']' | '}' => error.help("brackets are round"),
        '=' | '!' | '≤' | '≥' => error.help("the comparisons are `<`, `<=`, `>` and `>=`"),
        '&' | '|' => error.help("put one `if` into another"),
        _ => error,
    }
}

/// Grammar, loosest first.
impl Parser<'_> {
    fn sum(&mut self) -> Result<Node, ParseError> {
        let mut left = self.product()?;
        loop {
            let op = match self.token {
                Token::Sign('+') => Binary::Add,
                Token::Sign('-') => Binary::Sub,
                _ => return Ok(left),
            };
            self.count()?;
            self.advance()?;
            left = Node::binary(op, left, self.product()?);
        }
    }

    fn product(&mut self) -> Result<Node, ParseError> {
        let mut left = self.signed()?;
        loop {
            let op = match self.token {
                Token::Sign('*') => Binary::Mul,
                Token::Sign('/') => Binary::Div,
                _ => return Ok(left),
            };
            self.count()?;
            self.advance()?;
            left = Node::binary(op, left, self.signed()?);
        }
    }

    /// A power or one with a minus before it. Every way into the depth leads through here.
    fn signed(&mut self) -> Result<Node, ParseError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let message = format!("the expression is nested more than {DEEPEST} deep");
            return Err(ParseError::new(self.span.clone(), message));
        }
        let node = if self.token == Token::Sign('-') {
            self.count()?;
            self.advance()?;
            Node::unary(Unary::Neg, self.signed()?)
        } else {
            self.power()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn power(&mut self) -> Result<Node, ParseError> {
        let base = self.atom()?;
        if self.token != Token::Sign('^') {
            return Ok(base);
        }
        self.count()?;
        self.advance()?;
        Ok(Node::binary(Binary::Pow, base, self.signed()?))
    }

    fn atom(&mut self) -> Result<Node, ParseError> {
        self.count()?;
        match self.token {
            Token::Number(x) => {
                self.advance()?;
                Ok(Node::Number(x))
            }
            Token::Name => self.named(),
            Token::Sign('(') => {
                let open = self.span.clone();
                self.advance()?;
                let inner = self.sum()?;
                self.close(open)?;
                Ok(inner)
            }
            _ => Err(self.expected("a number, a name or `(`")),
        }
    }

    /// Goes past the `)` that belongs to `open`.
    fn close(&mut self, open: Range<usize>) -> Result<(), ParseError> {
        if self.accept(')')? {
            return Ok(());
        }
        match self.token {
            Token::End => Err(ParseError::new(open, "this `(` is never closed")),
            Token::Comparison(_) => Err(self.misplaced_comparison()),
            _ => Err(self.expected("an operator or `)`")),
        }
    }

    fn named(&mut self) -> Result<Node, ParseError> {
        let (name, span) = (self.here(), self.span.clone());
        self.advance()?;
        if self.token == Token::Sign('(') {
            return self.call(name, span);
        }
        if let Some(variable) = self.variables.iter().find(|v| v.name() == name) {
            return Ok(Node::Variable(*variable));
        }
        if self.parameters.contains(&name) {
            return Ok(Node::Parameter(name.to_string()));
        }
        Err(self.unknown_name(name, span))
    }

    fn call(&mut self, name: &str, span: Range<usize>) -> Result<Node, ParseError> {
        let op = match name {
            "if" => return self.conditional(),
            "min" | "max" => {
                let [a, b] = self.arguments(name)?;
                let op = if name == "min" {
                    Binary::Min
                } else {
                    Binary::Max
                };
                return Ok(Node::binary(op, a, b));
            }
            "exp" => Unary::Exp,
            "ln" => Unary::Ln,
            "sqrt" => Unary::Sqrt,
            "tanh" => Unary::Tanh,
            "cosh" => Unary::Cosh,
            "abs" => Unary::Abs,
            "sigmoid" => Unary::Sigmoid,
            "exprel" => Unary::Exprel,
            _ => return Err(self.unknown_function(name, span)),
        };
        let [x] = self.arguments(name)?;
        Ok(Node::unary(op, x))
    }

    /// `(a, b, ...)`, as many as asked for; the `(` is at hand.
    fn arguments<const K: usize>(&mut self, name: &str) -> Result<[Node; K], ParseError> {
        let open = self.span.clone();
        self.advance()?;
        let mut arguments = Vec::with_capacity(K);
        if self.token != Token::Sign(')') {
            arguments.push(self.sum()?);
            while self.accept(',')? {
                arguments.push(self.sum()?);
            }
        }
        let span = open.start..self.span.end;
        self.close(open)?;
        arguments.try_into().map_err(|found: Vec<Node>| {
            let s = if K == 1 { "" } else { "s" };
            let message = format!("`{name}` takes {K} argument{s}, not {}", found.len());
            ParseError::new(span, message)
        })
    }

    /// `(left < right, a, b)`; the `(` is at hand.
    fn conditional(&mut self) -> Result<Node, ParseError> {
        let open = self.span.clone();
        self.advance()?;
        let left = self.sum()?;
        let Token::Comparison(comparison) = self.token else {
            return Err(self.expected("a comparison (`<`, `<=`, `>` or `>=`)"));
        };
        self.advance()?;
        let right = self.sum()?;
        if let Token::Comparison(_) = self.token {
            let message = "a condition has one comparison only";
            return Err(
                ParseError::new(self.span.clone(), message).help("put one `if` into another")
            );
        }
        self.comma()?;
        let yes = self.sum()?;
        self.comma()?;
        let no = self.sum()?;
        self.close(open)?;
        Ok(Node::If(comparison, Box::new([left, right, yes, no])))
    }

    fn comma(&mut self) -> Result<(), ParseError> {
        if self.accept(',')? {
            return Ok(());
        }
        let error = match self.token {
            Token::Comparison(_) => self.misplaced_comparison(),
            _ => self.expected("`,`"),
        };
        Err(error.help("write `if(condition, value, value otherwise)`"))
    }
}

/// Messages.
impl Parser<'_> {
    fn expected(&self, what: &str) -> ParseError {
        let message = match self.token {
            Token::End if self.text.trim().is_empty() => "there is no expression".to_string(),
            Token::End => format!("expected {what}, but the expression ends"),
            _ => format!("expected {what}, found `{}`", self.here()),
        };
        ParseError::new(self.span.clone(), message)
    }

    /// Something after a complete expression.
    fn trailing(&self) -> ParseError {
        match self.token {
            Token::Comparison(_) => self.misplaced_comparison(),
            Token::Sign(')') => ParseError::new(self.span.clone(), "this `)` closes nothing"),
            Token::Number(_) | Token::Name | Token::Sign('(') => {
                self.expected("an operator").help("times is written `*`")
            }
            _ => self.expected("an operator"),
        }
    }

    fn misplaced_comparison(&self) -> ParseError {
        let message = format!(
            "`{}` compares outside the condition of an `if`",
            self.here()
        );
        ParseError::new(self.span.clone(), message)
            .help("write `if(condition, value, value otherwise)`")
    }

    fn unknown_name(&self, name: &str, span: Range<usize>) -> ParseError {
        if FUNCTIONS.contains(&name) {
            let error = ParseError::new(span, format!("`{name}` is a function"));
            return error.help(format!("write `{name}(...)`"));
        }
        let known = || {
            let variables = self.variables.iter().map(|v| v.name());
            variables.chain(self.parameters.iter().copied())
        };
        let allowed = listed(known());
        if Variable::ALL.iter().any(|v| v.name() == name) {
            let message = format!("`{name}` cannot be used here; allowed: {allowed}");
            return ParseError::new(span, message);
        }
        let message = format!("`{name}` is not known here; allowed: {allowed}");
        let error = ParseError::new(span, message);
        match nearest(name, known()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if name == "e" => error.help("Euler's number is `exp(1)`"),
            None => error,
        }
    }

    fn unknown_function(&self, name: &str, span: Range<usize>) -> ParseError {
        if self.variables.iter().any(|v| v.name() == name) || self.parameters.contains(&name) {
            let error = ParseError::new(span, format!("`{name}` is not a function"));
            return error.help(format!("times is written `{name}*(...)`"));
        }
        let functions = listed(FUNCTIONS.into_iter());
        let message = format!("`{name}` is not a function; there are {functions}");
        let error = ParseError::new(span, message);
        match name {
            "log" => error.help("the natural logarithm is `ln`"),
            "pow" => error.help("a power is written `^`"),
            _ => match nearest(name, FUNCTIONS) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            },
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "numbers only".to_string()
    } else {
        names.join(", ")
    }
}
