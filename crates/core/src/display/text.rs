//! The layout of printed values: which positions of a shape are shown, one width for all elements, line breaks.

use super::PrintOptions;

/// The positions of a shape that are shown.
pub(crate) struct Grid {
    /// How many positions of each dimension are shown.
    shown: Vec<usize>,
    /// Dimensions of which the middle is left out.
    cut: Vec<bool>,
}

impl Grid {
    /// All of `sizes`, or its edges if it has more elements than the threshold.
    pub fn new(sizes: &[usize], options: &PrintOptions) -> Grid {
        let summarize = sizes.iter().product::<usize>() > options.threshold;
        let edge = options.edgeitems;
        let cut: Vec<bool> = sizes.iter().map(|&n| summarize && n > 2 * edge).collect();
        let shown = sizes.iter().zip(&cut).map(|(&n, &cut)| if cut { 2 * edge } else { n }).collect();
        Grid { shown, cut }
    }

    /// Whether the middle of dimension `d` is left out.
    pub fn is_cut(&self, d: usize) -> bool {
        self.cut[d]
    }

    /// Positions shown at either end of a cut dimension `d`.
    pub fn edge(&self, d: usize) -> usize {
        self.shown[d] / 2
    }

    fn rank(&self) -> usize {
        self.cut.len()
    }
}

/// The elements at the shown positions, in logical order.
pub(crate) enum Values {
    /// Floating-point numbers.
    Float(Vec<f64>),
    /// Integers.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Real and imaginary parts.
    Complex(Vec<f64>, Vec<f64>),
}

/// The text of the values, without what surrounds them; lines after the first start below column `indent`.
pub(crate) fn render(values: &Values, grid: &Grid, indent: usize, options: &PrintOptions) -> String {
    let (items, width) = match values {
        Values::Float(x) => FloatFormat::new(x, options).items(x),
        Values::Int(x) => aligned(x.iter().map(i64::to_string).collect()),
        Values::Bool(x) => aligned(x.iter().map(|&b| if b { "True" } else { "False" }.to_owned()).collect()),
        Values::Complex(re, im) => complex_items(re, im, options),
    };
    let mut items = items.into_iter();
    if grid.rank() == 0 {
        return items.next().unwrap_or_default();
    }
    let per_line = |indent: usize| (options.linewidth.saturating_sub(indent) / (width + 2)).max(1);
    level(0, grid, indent, &mut items, &per_line)
}

/// One bracketed block: dimension `d` at one position of those before it.
fn level(
    d: usize,
    grid: &Grid,
    indent: usize,
    items: &mut impl Iterator<Item = String>,
    per_line: &impl Fn(usize) -> usize,
) -> String {
    let last = d + 1 == grid.rank();
    let shown = grid.shown[d];
    let mut parts: Vec<String> = Vec::with_capacity(shown + 1);
    for i in 0..shown {
        if grid.cut[d] && 2 * i == shown {
            parts.push(if last { " ..." } else { "..." }.to_owned());
        }
        parts.push(if last {
            items.next().unwrap_or_default()
        } else {
            level(d + 1, grid, indent + 1, items, per_line)
        });
    }
    if grid.cut[d] && shown == 0 {
        parts.push("...".to_owned());
    }
    let start = " ".repeat(indent + 1);
    let text = if last {
        let lines: Vec<String> = parts.chunks(per_line(indent)).map(|line| line.join(", ")).collect();
        lines.join(&format!(",\n{start}"))
    } else {
        parts.join(&format!(",{}{start}", "\n".repeat(grid.rank() - d - 1)))
    };
    format!("[{text}]")
}

/// The texts padded on the left to the longest, and that width.
fn aligned(mut items: Vec<String>) -> (Vec<String>, usize) {
    let width = items.iter().map(String::len).max().unwrap_or(1).max(1);
    items.iter_mut().for_each(|s| *s = format!("{s:>width$}"));
    (items, width)
}

fn complex_items(re: &[f64], im: &[f64], options: &PrintOptions) -> (Vec<String>, usize) {
    let (re, re_width) = FloatFormat::new(re, options).items(re);
    let (im, im_width) = FloatFormat::new(im, options).items(im);
    let join = |(re, im): (String, String)| {
        let im = im.trim_start();
        let plus = if im.starts_with(['+', '-']) { "" } else { "+" };
        format!("{re}{plus}{im}j")
    };
    (re.into_iter().zip(im).map(join).collect(), re_width + im_width + 1)
}

/// How all floating-point numbers of one tensor are written.
struct FloatFormat {
    precision: usize,
    /// All numbers are whole: no digits after the point.
    whole: bool,
    scientific: bool,
    width: usize,
}

impl FloatFormat {
    /// Chosen by the finite non-zero values: more than three decades of them, very large or very small ones are
    /// written in scientific notation.
    fn new(values: &[f64], options: &PrintOptions) -> FloatFormat {
        let mut format =
            FloatFormat { precision: options.precision, whole: true, scientific: false, width: 1 };
        let counted = || values.iter().copied().filter(|v| v.is_finite() && *v != 0.0);
        let (min, max) =
            counted().fold((f64::INFINITY, 0.0_f64), |(min, max), v| (min.min(v.abs()), max.max(v.abs())));
        if max == 0.0 {
            return format;
        }
        format.whole = counted().all(|v| v == v.ceil());
        format.scientific = options.sci_mode.unwrap_or(max / min > 1000.0 || max > 1.0e8 || min < 1.0e-4);
        format.width = counted().map(|v| format.text(v).len()).max().unwrap_or(1);
        format
    }

    fn text(&self, value: f64) -> String {
        if value.is_nan() {
            return "nan".to_owned();
        }
        if value.is_infinite() {
            return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
        }
        match (self.scientific, self.whole) {
            (true, _) => scientific(value, self.precision),
            (false, true) => format!("{value:.0}."),
            (false, false) => format!("{value:.*}", self.precision),
        }
    }

    fn items(&self, values: &[f64]) -> (Vec<String>, usize) {
        let width = self.width;
        (values.iter().map(|&v| format!("{:>width$}", self.text(v))).collect(), width)
    }
}

/// C's `%.*e`: a sign and at least two digits in the exponent.
fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(e) => format!("{digits}e-{e:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// `text` with its suffixes and the closing parenthesis, on new lines where they do not fit.
pub(crate) fn with_suffixes(
    mut text: String,
    suffixes: &[String],
    indent: usize,
    options: &PrintOptions,
) -> String {
    let mut line = text.len() + 1 - text.rfind('\n').map_or(0, |at| at) + usize::from(!text.contains('\n'));
    for suffix in suffixes {
        if line + suffix.len() + 2 > options.linewidth {
            text.push_str(",\n");
            text.push_str(&" ".repeat(indent));
            line = indent + suffix.len();
        } else {
            text.push_str(", ");
            line += suffix.len() + 2;
        }
        text.push_str(suffix);
    }
    text.push(')');
    text
}

/// A shape as Python prints a tuple: `(2, 3)`, `(2,)`, `()`.
pub(crate) fn tuple(sizes: &[i64]) -> String {
    match sizes {
        [one] => format!("({one},)"),
        _ => format!("({})", sizes.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
    }
}
