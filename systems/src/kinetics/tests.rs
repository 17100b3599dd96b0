use proptest::prelude::*;

use super::expression::{Binary, Node, Unary, whole};
use super::*;
use crate::math;

fn parse(text: &str) -> Result<Expression, ParseError> {
    let variables = [Variable::V, Variable::Ca];
    Expression::parse(text, &variables, &["half", "slope"])
}

fn value(text: &str) -> f64 {
    let bound = parse(text).unwrap().bind(&|name| match name {
        "half" => Some(-40.0),
        _ => Some(5.0),
    });
    let at = Variables::membrane(3.0, 0.5);
    bound.compile().unwrap().eval(&at)
}

#[test]
fn precedence() {
    for (text, expected) in [
        ("-V^2", -9.0),
        ("(-V)^2", 9.0),
        ("-2^2", -4.0),
        ("2^3^2", 512.0),
        ("2^-1", 0.5),
        ("2^-V^2", 2.0_f64.powi(-9)),
        ("2*-V", -6.0),
        ("2 - -V", 5.0),
        ("--V", 3.0),
        ("10 - 4 - 3", 3.0),
        ("16/4/2", 2.0),
        ("16/4*2", 8.0),
        ("1 + 2*V^2", 19.0),
        ("-V*2 + 1", -5.0),
        ("(1 + 2)*(V - 1)", 6.0),
        ("half/slope", -8.0),
        ("V*Ca", 1.5),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn numbers() {
    for (text, expected) in [
        ("5e-4", 5e-4),
        ("1_000", 1000.0),
        ("1.5E+3", 1500.0),
        (".5", 0.5),
        ("2.", 2.0),
        ("1e3-1", 999.0),
        (" \t7\n", 7.0),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn functions() {
    for (text, expected) in [
        ("exp(1)", math::exp(1.0)),
        ("ln(V)", math::ln(3.0)),
        ("sqrt(16)", 4.0),
        ("tanh(Ca)", math::tanh(0.5)),
        ("cosh(Ca)", math::cosh(0.5)),
        ("min(V, 2)", 2.0),
        ("max(V, 2)", 3.0),
        ("abs(-V)", 3.0),
        ("sigmoid(0)", 0.5),
        ("exprel(0)", 1.0),
        ("V^0.5", math::pow(3.0, 0.5)),
        ("V^-2", 1.0 / 9.0),
        ("V^Ca", math::pow(3.0, 0.5)),
        ("if(V < 3, 1, 2)", 2.0),
        ("if(V <= 3, 1, 2)", 1.0),
        ("if(V > 3, 1, 2)", 2.0),
        ("if(V >= 3, 1, 2)", 1.0),
        ("if(V + 1 > 2*Ca, V, -V)", 3.0),
        ("if(1 > 2, 1/0, 4)", 4.0),
        ("if(V > 4, ln(-1), if(Ca < 1, 7, 8))", 7.0),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
    assert!(value("min(0/0, 1)").is_nan());
    assert!(value("max(1, 0/0)").is_nan());
}

/// The marked text of the error, its message and its help.
fn failure(text: &str) -> (String, String, Option<String>) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.to_string(), error.message);
    (
        text[error.span.clone()].to_string(),
        error.message,
        error.help,
    )
}

#[test]
fn errors_mark_the_place_and_say_what_helps() {
    for (text, marked, message, help) in [
        ("", "", "there is no expression", ""),
        (
            "1 + ",
            "",
            "expected a number, a name or `(`, but the expression ends",
            "",
        ),
        (
            "1 + * 2",
            "*",
            "expected a number, a name or `(`, found `*`",
            "",
        ),
        (
            "2 V",
            "V",
            "expected an operator, found `V`",
            "times is written `*`",
        ),
        ("(1 + V", "(", "this `(` is never closed", ""),
        ("1 + V)", ")", "this `)` closes nothing", ""),
        ("(V 2)", "2", "expected an operator or `)`, found `2`", ""),
        ("1, 2", ",", "expected an operator, found `,`", ""),
        (
            "V**2",
            "**",
            "`**` is not an operator",
            "a power is written `^`",
        ),
        (
            "V − 2",
            "−",
            "the character `−` has no meaning here",
            "minus is written `-`",
        ),
        ("V # 2", "#", "the character `#` has no meaning here", ""),
        (
            "1.2.3",
            "1.2.3",
            "`1.2.3` is not a number",
            "numbers look like `12`, `0.5`, `5e-4` or `1_000`",
        ),
        (
            "1e",
            "1e",
            "`1e` is not a number",
            "numbers look like `12`, `0.5`, `5e-4` or `1_000`",
        ),
        ("1e999", "1e999", "the number `1e999` is too large", ""),
        (
            "2*ca",
            "ca",
            "`ca` is not known here; allowed: `V`, `Ca`, `half`, `slope`",
            "did you mean `Ca`?",
        ),
        (
            "V/slop",
            "slop",
            "`slop` is not known here; allowed: `V`, `Ca`, `half`, `slope`",
            "did you mean `slope`?",
        ),
        (
            "e",
            "e",
            "`e` is not known here; allowed: `V`, `Ca`, `half`, `slope`",
            "Euler's number is `exp(1)`",
        ),
        (
            "V_pre",
            "V_pre",
            "`V_pre` cannot be used here; allowed: `V`, `Ca`, `half`, `slope`",
            "",
        ),
        ("exp + 1", "exp", "`exp` is a function", "write `exp(...)`"),
        (
            "V(1)",
            "V",
            "`V` is not a function",
            "times is written `V*(...)`",
        ),
        ("exp(1, 2)", "(1, 2)", "`exp` takes 1 argument, not 2", ""),
        ("min(1)", "(1)", "`min` takes 2 arguments, not 1", ""),
        ("tanh()", "()", "`tanh` takes 1 argument, not 0", ""),
        (
            "V < 2",
            "<",
            "`<` compares outside the condition of an `if`",
            "write `if(condition, value, value otherwise)`",
        ),
        (
            "exp(V >= 2)",
            ">=",
            "`>=` compares outside the condition of an `if`",
            "write `if(condition, value, value otherwise)`",
        ),
        (
            "if(V, 1, 2)",
            ",",
            "expected a comparison (`<`, `<=`, `>` or `>=`), found `,`",
            "",
        ),
        (
            "if(1 < V < 2, 1, 2)",
            "<",
            "a condition has one comparison only",
            "put one `if` into another",
        ),
        (
            "if(V < 2, 1)",
            ")",
            "expected `,`, found `)`",
            "write `if(condition, value, value otherwise)`",
        ),
        (
            "if(V == 2, 1, 2)",
            "=",
            "the character `=` has no meaning here",
            "the comparisons are `<`, `<=`, `>` and `>=`",
        ),
    ] {
        let help = (!help.is_empty()).then(|| help.to_string());
        let expected = (marked.to_string(), message.to_string(), help);
        assert_eq!(failure(text), expected, "{text}");
    }
}

#[test]
fn unknown_functions_name_the_known_ones() {
    let (marked, message, help) = failure("1 + sigmoyd(V)");
    assert_eq!(marked, "sigmoyd");
    assert!(message.starts_with("`sigmoyd` is not a function; there are `exp`, `ln`"));
    assert_eq!(help.as_deref(), Some("did you mean `sigmoid`?"));
    assert_eq!(
        failure("log(V)").2.as_deref(),
        Some("the natural logarithm is `ln`")
    );
    let error = Expression::parse("x", &[], &[]).unwrap_err();
    assert_eq!(
        error.message,
        "`x` is not known here; allowed: numbers only"
    );
}

#[test]
fn excess_is_refused_without_a_crash() {
    for text in [
        "(".repeat(100_000) + "V" + &")".repeat(100_000),
        "-".repeat(100_000) + "V",
        "V^".repeat(100_000) + "V",
        "exp(".repeat(100_000),
        "if(".repeat(100_000),
        "if(V < 1, 2, ".repeat(100_000),
    ] {
        let message = parse(&text).unwrap_err().message;
        assert_eq!(message, "the expression is nested more than 100 deep");
    }
    for text in ["V + ".repeat(100_000) + "V", "V/".repeat(100_000) + "V"] {
        let message = parse(&text).unwrap_err().message;
        assert!(
            message.starts_with("the expression is too long"),
            "{message}"
        );
    }
    let longest = "V + ".repeat(999) + "V";
    let sum = parse(&longest).unwrap();
    assert_eq!(parse(&sum.to_string()).unwrap(), sum);
    let deepest = "(".repeat(99) + "V" + &")".repeat(99);
    assert_eq!(value(&deepest), 3.0);
}

#[test]
fn many_slots() {
    fn wide(depth: u32) -> String {
        match depth {
            0 => "1".to_string(),
            _ => {
                let inner = wide(depth - 1);
                format!("if({inner} < {inner}, {inner}, {inner} + V)")
            }
        }
    }
    let expression = parse(&wide(4)).unwrap();
    let program = expression.compile().unwrap();
    assert_eq!(
        program.eval(&Variables::membrane(2.0, 0.0)),
        walk(&expression.0, 2.0, 0.0)
    );
}

#[test]
fn constants_fold() {
    assert_eq!(parse("2*3 + 4^0.5").unwrap().is_constant(), Some(8.0));
    assert_eq!(parse("2*V").unwrap().is_constant(), None);
    assert_eq!(parse("2*half").unwrap().is_constant(), None);
    let bound = parse("exp(half/slope)*V").unwrap().bind(&|_| Some(0.0));
    assert_eq!(bound.to_string(), "0/0*V");
    let bound = parse("(half - V)/slope + 2^slope")
        .unwrap()
        .bind(&|name| (name == "slope").then_some(5.0));
    assert_eq!(bound.to_string(), "(half - V)/5 + 32");
    assert_eq!(Expression::constant(-3.0).is_constant(), Some(-3.0));
}

#[test]
fn what_occurs() {
    let e = parse("slope*exp((V - half)/slope)").unwrap();
    assert_eq!(e.parameters(), ["slope", "half"]);
    assert!(e.depends_on(Variable::V));
    assert!(!e.depends_on(Variable::Ca));
    let e = parse("if(Ca < 1, half, 2)").unwrap();
    assert!(e.depends_on(Variable::Ca));
    assert!(!e.depends_on(Variable::VPre));
}

#[test]
fn unbound_parameters_do_not_compile() {
    let error = parse("V*slope + half").unwrap().compile().unwrap_err();
    assert_eq!(error.name, "slope");
    assert_eq!(error.to_string(), "parameter `slope` has no value");
}

#[test]
fn factors_and_products() {
    for (text, factors, product) in [
        ("V", "V", "V"),
        ("1", "", "1"),
        ("Ca/(Ca + 3)*V", "Ca; 1/(Ca + 3); V", "Ca/(Ca + 3)*V"),
        ("-V*Ca", "-1; V; Ca", "-1*V*Ca"),
        ("half/(V*Ca)", "half; 1/V; 1/Ca", "half/V/Ca"),
        ("half/(V/Ca)", "half; 1/V; Ca", "half/V*Ca"),
        ("1/(1/V)", "V", "V"),
        ("1/V", "1/V", "1/V"),
        (
            "2*(1 + V)/-slope",
            "2; 1 + V; 1/-1; 1/slope",
            "2*(1 + V)/-1/slope",
        ),
    ] {
        let found = parse(text).unwrap().factors();
        let listed: Vec<_> = found.iter().map(Expression::to_string).collect();
        assert_eq!(listed.join("; "), factors, "{text}");
        assert_eq!(Expression::product(found).to_string(), product, "{text}");
    }
    assert_eq!(Expression::product(Vec::new()), Expression::constant(1.0));
    let (a, b) = (parse("V").unwrap(), parse("Ca + 1").unwrap());
    assert_eq!(
        Expression::sum(a.clone(), b.clone()).to_string(),
        "V + (Ca + 1)"
    );
    assert_eq!(Expression::quotient(a, b.clone()).to_string(), "V/(Ca + 1)");
    assert_eq!(b.clone().reciprocal().to_string(), "1/(Ca + 1)");
    assert_eq!(b.clone().reciprocal().reciprocal(), b);
}

#[test]
fn synapses_have_their_variables() {
    let variables = [Variable::VPre, Variable::VPost];
    let e = Expression::parse("max(0, V_pre - V_post)", &variables, &[]).unwrap();
    let program = e.compile().unwrap();
    assert_eq!(program.eval(&Variables::synapse(-20.0, -50.0)), 30.0);
    assert_eq!(program.eval(&Variables::synapse(-60.0, -50.0)), 0.0);
}

fn removable(text: &str, at: f64) -> Option<f64> {
    let program = parse(text).unwrap().compile().unwrap();
    eval_removable(&program, at, |v| Variables::membrane(v, 0.0))
}

#[test]
fn removable_points_take_their_limit() {
    for (text, at, expected) in [
        ("0.1*(V + 40)/(1 - exp(-(V + 40)/10))", -40.0, 1.0),
        ("V/(1 - exp(-V/0.5))", 0.0, 0.5),
        ("(V - 60)/(exp((V - 60)/20) - 1)", 60.0, 20.0),
        ("(V^2 - 9)/(V - 3)", 3.0, 6.0),
        ("V^2/V", 0.0, 0.0),
        ("V^4/V^2", 0.0, 0.0),
        ("V*ln(abs(V))", 0.0, 0.0),
        ("V + 1", 4.0, 5.0),
    ] {
        let found = removable(text, at).unwrap();
        let tolerance = 1e-10 * expected.abs() + 1e-3 * f64::from(u8::from(expected == 0.0));
        assert!((found - expected).abs() <= tolerance, "{text}: {found}");
    }
}

#[test]
fn poles_and_jumps_have_no_limit() {
    for (text, at) in [
        ("1/V", 0.0),
        ("1/(V + 40)", -40.0),
        ("1/V^2", 0.0),
        ("1/abs(V)", 0.0),
        ("abs(V)/V", 0.0),
        ("ln(abs(V))", 0.0),
        ("ln(V)", 0.0),
        ("sqrt(V - 5)", 3.0),
        ("1/(exp(V/10) - 1)", 0.0),
    ] {
        assert_eq!(removable(text, at), None, "{text}");
    }
}

/// The tree evaluated as it stands.
fn walk(node: &Node, v: f64, ca: f64) -> f64 {
    match node {
        Node::Number(x) => *x,
        Node::Variable(Variable::Ca) => ca,
        Node::Variable(_) => v,
        Node::Parameter(name) => panic!("{name} has no value"),
        Node::Unary(op, x) => op.apply(walk(x, v, ca)),
        Node::Binary(Binary::Pow, x, n) => {
            let (x, n) = (walk(x, v, ca), walk(n, v, ca));
            whole(n).map_or_else(|| math::pow(x, n), |n| Number::powi(x, n))
        }
        Node::Binary(op, a, b) => op.apply(walk(a, v, ca), walk(b, v, ca)),
        Node::If(comparison, parts) => {
            let [l, r, yes, no] = parts.each_ref().map(|part| walk(part, v, ca));
            if comparison.holds(l, r) { yes } else { no }
        }
    }
}

fn nodes() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        Just(Node::Variable(Variable::V)),
        Just(Node::Variable(Variable::Ca)),
        Just(Node::Parameter("slope".to_string())),
        (-5.0..5.0).prop_map(Node::Number),
        (-4_i8..9).prop_map(|n| Node::Number(f64::from(n))),
        (-320..300).prop_map(|n| Node::Number(format!("3e{n}").parse().unwrap())),
    ];
    let unary = prop::sample::select(vec![
        Unary::Neg,
        Unary::Exp,
        Unary::Ln,
        Unary::Sqrt,
        Unary::Tanh,
        Unary::Cosh,
        Unary::Abs,
        Unary::Sigmoid,
        Unary::Exprel,
    ]);
    let binary = prop::sample::select(vec![
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Min,
        Binary::Max,
    ]);
    let comparison = prop::sample::select(vec![
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    leaf.prop_recursive(7, 80, 4, move |inner| {
        let exponent = prop_oneof![(-20_i8..20).prop_map(f64::from), -3.0..3.0];
        let four = [inner.clone(), inner.clone(), inner.clone(), inner.clone()];
        prop_oneof![
            3 => (unary.clone(), inner.clone()).prop_map(|(op, x)| Node::unary(op, x)),
            4 => (binary.clone(), inner.clone(), inner.clone())
                .prop_map(|(op, a, b)| Node::binary(op, a, b)),
            1 => (inner.clone(), exponent)
                .prop_map(|(x, n)| Node::binary(Binary::Pow, x, Node::Number(n))),
            1 => (comparison.clone(), four)
                .prop_map(|(comparison, parts)| Node::If(comparison, Box::new(parts))),
        ]
    })
}

/// Bits, any two that are not a number being alike.
fn bits(x: f64) -> u64 {
    if x.is_nan() {
        f64::NAN.to_bits()
    } else {
        x.to_bits()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn eval_wide(program: &Program, at: &Variables<Lanes>) -> Lanes {
    program.eval(at)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn display_is_the_language(node in nodes()) {
        let expression = Expression(node);
        let text = expression.to_string();
        prop_assert_eq!(parse(&text).map_err(|e| format!("{text}: {e}")), Ok(expression));
    }

    #[test]
    fn every_evaluation_has_the_same_bits(
        node in nodes(),
        slope in -3.0..3.0,
        v in prop::array::uniform8(-100.0..100.0),
        ca in prop::array::uniform8(0.0..10.0),
    ) {
        let bound = Expression(node).bind(&|_| Some(slope));
        let program = bound.compile().unwrap();
        let scalar: Vec<f64> =
            (0..8).map(|k| program.eval(&Variables::membrane(v[k], ca[k]))).collect();
        let walked: Vec<f64> = (0..8).map(|k| walk(&bound.0, v[k], ca[k])).collect();
        let at = Variables::membrane(Lanes(v), Lanes(ca));
        let lanes = program.eval(&at).0;
        for k in 0..8 {
            prop_assert_eq!(bits(lanes[k]), bits(scalar[k]));
            prop_assert_eq!(bits(walked[k]), bits(scalar[k]));
            let dual = program.eval(&Variables::membrane(
                Dual::<2>::variable(v[k], 0),
                Dual::variable(ca[k], 1),
            ));
            prop_assert_eq!(bits(dual.value), bits(scalar[k]));
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: both features were found just above.
            let wide = unsafe { eval_wide(&program, &at) };
            prop_assert_eq!(wide.0.map(bits), lanes.map(bits));
        }
    }

    #[test]
    fn folding_changes_no_bits(node in nodes(), slope in -3.0..3.0) {
        let folded = Expression(node.clone()).bind(&|_| Some(slope));
        let text = Expression(node).to_string().replace("slope", "(0 + V)");
        let open = parse(&text).unwrap().compile().unwrap();
        // 0 + x is x but for -0, which the range leaves out.
        for (v, ca) in [(slope, 0.1), (slope, 3.0)] {
            let closed = folded.0.bind(&|_| None);
            let at = Variables::membrane(v, ca);
            let folded = Expression(closed).compile().unwrap().eval(&at);
            prop_assert_eq!(bits(folded), bits(open.eval(&at)));
        }
    }

    #[test]
    fn factors_multiply_to_the_whole(node in nodes(), v in -50.0..50.0, ca in 0.1..5.0) {
        let whole = Expression(node).bind(&|_| Some(2.0));
        let product = Expression::product(whole.factors());
        let at = Variables::membrane(v, ca);
        let a: f64 = whole.compile().unwrap().eval(&at);
        let b: f64 = product.compile().unwrap().eval(&at);
        // Another order of multiplication overflows elsewhere.
        if (1e-100..1e100).contains(&a.abs()) && (1e-100..1e100).contains(&b.abs()) {
            prop_assert!((a / b - 1.0).abs() < 1e-12, "{} and {}", a, b);
        }
    }

    #[test]
    fn duals_agree_with_differences(v in -3.0..3.0_f64, ca in 0.2..4.0_f64) {
        for text in [
            "V + Ca", "V - 2*Ca", "V*Ca", "V/Ca", "-V", "exp(V)", "ln(Ca)", "sqrt(Ca)", "tanh(V)",
            "cosh(V)", "abs(V)", "sigmoid(V)", "exprel(V)", "exprel(40*V)", "min(V, Ca)",
            "max(V, Ca)", "if(V < Ca, V^2, Ca^3)", "Ca^V", "Ca^2.5", "V^3", "V^-2", "2^V",
            "exp(-V/Ca)*sigmoid(Ca*V)", "Ca/(Ca + 3)/(1 + exp((V + 2)/-0.8))",
        ] {
            let program = parse(text).unwrap().compile().unwrap();
            let eval = |v: f64, ca: f64| -> f64 { program.eval(&Variables::membrane(v, ca)) };
            let h = 1e-6;
            let kink = (v - ca).abs() < 1e-3 || v.abs() < 1e-2;
            if kink {
                continue;
            }
            let differences = [
                (eval(v + h, ca) - eval(v - h, ca)) / (2.0 * h),
                (eval(v, ca + h) - eval(v, ca - h)) / (2.0 * h),
            ];
            let dual = program.eval(&Variables::membrane(
                Dual::<2>::variable(v, 0),
                Dual::variable(ca, 1),
            ));
            let scale = 1e-9 * dual.value.abs();
            for (d, e) in dual.gradient.into_iter().zip(differences) {
                let tolerance = 1e-6 * d.abs() + scale + 1e-8;
                prop_assert!((d - e).abs() <= tolerance, "{text} at {v}, {ca}: {d}, {e}");
            }
        }
    }
}

#[test]
fn duals_at_special_points() {
    let gradient = |text: &str, v: f64| {
        let program = parse(text).unwrap().compile().unwrap();
        let at = Variables::membrane(Dual::variable(v, 0), Dual::constant(0.5));
        let dual: Dual<1> = program.eval(&at);
        dual.gradient[0]
    };
    assert_eq!(gradient("V^2", 0.0), 0.0);
    assert_eq!(gradient("V^1", 0.0), 1.0);
    assert_eq!(gradient("V^0", 0.0), 0.0);
    assert_eq!(gradient("V^2.5", 0.0), 0.0);
    assert_eq!(gradient("V^(2*Ca)", 0.0), 1.0);
    assert_eq!(gradient("V^(0*Ca)", 0.0), 0.0);
    assert_eq!(gradient("Ca^V", 0.0), math::ln(0.5));
    assert_eq!(gradient("(V - 1)^V", 1.0), 1.0);
    assert_eq!(gradient("sqrt(0*Ca) + V", 2.0), 1.0);
    assert_eq!(gradient("exprel(V)", 0.0), 0.5);
    assert_eq!(gradient("if(V > 0, sqrt(V), 3)", -1.0), 0.0);
    assert_eq!(gradient("sqrt(V)", 0.0), f64::INFINITY);
}
