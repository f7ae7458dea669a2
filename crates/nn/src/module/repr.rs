//! The printed form of modules and of the numbers in them, as Python prints them.

use cresset_core::Scalar;

use super::Module;

/// `repr(module)`: the name, what the module says of itself, and its children, indented by two.
pub(super) fn repr<M: Module + ?Sized>(module: &M) -> String {
    let extra = module.extra_repr();
    let children: Vec<(String, String)> =
        module.fields().children.iter().map(|(n, m)| (n.clone(), m.repr())).collect();
    let children = if module.is_list() { collapse(children) } else { children };
    let mut lines: Vec<String> =
        if extra.is_empty() { Vec::new() } else { extra.split('\n').map(String::from).collect() };
    if children.is_empty() && lines.len() < 2 {
        return format!("{}({extra})", module.name());
    }
    lines
        .extend(children.into_iter().map(|(name, text)| format!("({name}): {}", text.replace('\n', "\n  "))));
    format!("{}(\n  {}\n)", module.name(), lines.join("\n  "))
}

/// Runs of children that print the same become one: `(0-2): 3 x Linear(…)`.
fn collapse(children: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut runs: Vec<(usize, usize, String)> = Vec::new();
    for (i, (_, text)) in children.into_iter().enumerate() {
        match runs.last_mut() {
            Some((_, last, previous)) if *previous == text => *last = i,
            _ => runs.push((i, i, text)),
        }
    }
    let line = |(first, last, text): (usize, usize, String)| match last - first {
        0 => (first.to_string(), text),
        n => (format!("{first}-{last}"), format!("{} x {text}", n + 1)),
    };
    runs.into_iter().map(line).collect()
}

/// A tuple of integers: `(3,)`, `(3, 3)`.
pub fn tuple(values: &[i64]) -> String {
    match values {
        [one] => format!("({one},)"),
        many => format!("({})", many.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// An integer where one was given for all dimensions, else a tuple.
pub fn int_or_tuple(values: &[i64]) -> String {
    match values {
        [one] => one.to_string(),
        many => tuple(many),
    }
}

/// A float: `0.1`, `2.0`, `1e-05`.
pub fn float(x: f64) -> String {
    let magnitude = x.abs();
    if x != 0.0 && x.is_finite() && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{x:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    match x {
        x if x.is_nan() => "nan".into(),
        x if x.is_infinite() => if x > 0.0 { "inf" } else { "-inf" }.into(),
        x => format!("{x:?}"),
    }
}

/// A number of any kind.
pub fn number(x: Scalar) -> String {
    match x {
        Scalar::Float(x) => float(x),
        other => other.to_string(),
    }
}

/// `True` or `False`.
pub(crate) fn boolean(b: bool) -> &'static str {
    if b { "True" } else { "False" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_in_python() {
        let cases = [
            (1e-5, "1e-05"),
            (0.1, "0.1"),
            (2.0, "2.0"),
            (1e16, "1e+16"),
            (-2.5e-7, "-2.5e-07"),
            (0.0, "0.0"),
            (1e-4, "0.0001"),
        ];
        for (x, text) in cases {
            assert_eq!(float(x), text);
        }
        assert_eq!(
            (tuple(&[3]).as_str(), tuple(&[3, 4]).as_str(), int_or_tuple(&[3]).as_str()),
            ("(3,)", "(3, 4)", "3")
        );
    }
}
