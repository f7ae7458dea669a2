//! ATen schema texts, as far as the macro needs them: names, types, defaults, aliasing.
//!
//! The engine parses the same text again at run time; here it decides which Rust types and functions are generated, and
//! a text that is wrong is refused while compiling.

/// The element of a schema type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    Tensor,
    Int,
    Float,
    Bool,
    Complex,
    Scalar,
    Str,
    DType,
    Layout,
    Device,
    MemoryFormat,
    Generator,
}

/// How often the element occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `T`.
    One,
    /// `T?`.
    Optional,
    /// `T[]` or `T[N]`.
    List,
    /// `T[]?`.
    OptionalList,
    /// `T?[]`.
    ListOfOptional,
}

/// A schema type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ty {
    pub base: Base,
    pub form: Form,
}

/// A default value.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Ints(Vec<i64>),
    Bools(Vec<bool>),
    Str(String),
    /// `contiguous_format`, `long`.
    Constant(String),
}

/// One argument.
#[derive(Clone, Debug)]
pub struct Argument {
    pub name: String,
    pub ty: Ty,
    pub default: Option<Default>,
    /// The default as it is written.
    pub default_text: String,
    /// Whether the call writes to it: `Tensor(a!)`.
    pub written: bool,
}

/// A parsed schema.
#[derive(Clone, Debug)]
pub struct Schema {
    pub name: String,
    pub overload: String,
    pub arguments: Vec<Argument>,
    /// Type and, where it has one, name of each return.
    pub returns: Vec<(Ty, Option<String>)>,
}

type Parsed<T> = Result<T, String>;

impl Schema {
    /// Parses `name.overload(arguments) -> returns`.
    pub fn parse(text: &str) -> Parsed<Schema> {
        let (head, rest) =
            text.split_once('(').ok_or("schema: expected `name(arguments) -> returns`, found no `(`")?;
        let (arguments, returns) = rest
            .rsplit_once(") -> ")
            .ok_or("schema: expected `) -> ` and the returns after the arguments")?;
        let (name, overload) = head.split_once('.').unwrap_or((head, ""));
        if head.contains("::") {
            return Err(format!(
                "schema: write `{}` without its namespace",
                head.rsplit("::").next().unwrap_or(head)
            ));
        }
        if !is_name(name) || !(overload.is_empty() && !head.contains('.') || is_name(overload)) {
            return Err(format!("schema: `{head}` is not an operator name"));
        }
        let returns = parse_returns(returns)?;
        Ok(Schema {
            name: name.into(),
            overload: overload.into(),
            arguments: parse_arguments(arguments)?,
            returns,
        })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn parse_arguments(text: &str) -> Parsed<Vec<Argument>> {
    let mut arguments: Vec<Argument> = Vec::new();
    let mut starred = false;
    for part in split_top(text) {
        if part == "*" && !starred {
            starred = true;
            continue;
        }
        let argument = parse_argument(part)?;
        if arguments.iter().any(|a| a.name == argument.name) {
            return Err(format!("schema: two arguments are named `{}`", argument.name));
        }
        arguments.push(argument);
    }
    Ok(arguments)
}

fn parse_argument(text: &str) -> Parsed<Argument> {
    let (declaration, default) = text.split_once('=').map_or((text, None), |(d, v)| (d, Some(v)));
    let (ty, name) = declaration
        .rsplit_once(' ')
        .filter(|(_, name)| is_name(name))
        .ok_or_else(|| format!("schema: expected `Type name`, found `{text}`"))?;
    let written = ty.contains('!');
    let ty = parse_type(ty)?;
    let value = default
        .map(|v| parse_default(v, ty).ok_or_else(|| format!("schema: `{v}` is no default for `{name}`")))
        .transpose()?;
    let default_text = default.unwrap_or("").into();
    Ok(Argument { name: name.into(), ty, default: value, default_text, written })
}

fn parse_returns(text: &str) -> Parsed<Vec<(Ty, Option<String>)>> {
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text);
    let parse = |part: &str| {
        // `Tensor(a -> *) x` has blanks inside its annotation.
        let (ty, name) = match part.rsplit_once(' ') {
            Some((ty, name)) if is_name(name) => (ty, Some(name.to_string())),
            _ => (part, None),
        };
        Ok((parse_type(ty)?, name))
    };
    split_top(inner).into_iter().map(parse).collect()
}

/// Parses a type with an optional alias annotation: `Tensor(a!)`, `int[2]`, `Tensor?[]`.
fn parse_type(text: &str) -> Parsed<Ty> {
    let unknown = || format!("schema: `{text}` is not a type that operators here can take");
    let end = text.find(['(', '?', '[']).unwrap_or(text.len());
    let mut suffix = &text[end..];
    if suffix.starts_with('(') {
        suffix = suffix.split_once(')').ok_or_else(unknown)?.1;
    }
    let base = parse_base(&text[..end]).ok_or_else(unknown)?;
    let is_list = |s: &str| {
        s.strip_prefix('[')
            .and_then(|s| s.strip_suffix(']'))
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
    };
    let form = match suffix {
        "" => Form::One,
        "?" => Form::Optional,
        s if is_list(s) => Form::List,
        s if s.strip_suffix('?').is_some_and(is_list) => Form::OptionalList,
        s if s.strip_prefix('?').is_some_and(is_list) => Form::ListOfOptional,
        _ => return Err(unknown()),
    };
    Ok(Ty { base, form })
}

fn parse_base(text: &str) -> Option<Base> {
    Some(match text {
        "Tensor" => Base::Tensor,
        "int" | "SymInt" => Base::Int,
        "float" => Base::Float,
        "bool" => Base::Bool,
        "complex" => Base::Complex,
        "Scalar" => Base::Scalar,
        "str" => Base::Str,
        "ScalarType" => Base::DType,
        "Layout" => Base::Layout,
        "Device" => Base::Device,
        "MemoryFormat" => Base::MemoryFormat,
        "Generator" => Base::Generator,
        _ => return None,
    })
}

fn parse_default(text: &str, ty: Ty) -> Option<Default> {
    if let Some(list) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let items: Vec<&str> = list.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
        return if ty.base == Base::Bool {
            items.iter().map(|s| parse_bool(s)).collect::<Option<_>>().map(Default::Bools)
        } else {
            items.iter().map(|s| s.parse().ok()).collect::<Option<_>>().map(Default::Ints)
        };
    }
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return Some(Default::Str(inner.into()));
        }
    }
    Some(match (text, ty.base) {
        ("None", _) if ty.form != Form::One => Default::None,
        (_, Base::Bool) => Default::Bool(parse_bool(text)?),
        ("Mean", Base::Int) => Default::Int(1),
        ("Sum", Base::Int) => Default::Int(2),
        (_, Base::Int) if matches!(ty.form, Form::List | Form::OptionalList) => {
            Default::Ints(vec![text.parse().ok()?])
        }
        (_, Base::Int) => Default::Int(text.parse().ok()?),
        (_, Base::Float) => Default::Float(text.parse().ok()?),
        (_, Base::Scalar) => match (parse_bool(text), text.parse()) {
            (Some(b), _) => Default::Bool(b),
            (_, Ok(i)) => Default::Int(i),
            _ => Default::Float(text.parse().ok()?),
        },
        // PyTorch prints these two by number.
        ("4", Base::DType) => Default::Constant("long".into()),
        ("0", Base::MemoryFormat) => Default::Constant("contiguous_format".into()),
        (_, Base::DType | Base::MemoryFormat) if is_name(text) => Default::Constant(text.into()),
        _ => return None,
    })
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

/// Splits at commas that are not inside brackets; no parts for an empty text.
fn split_top(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    if !text.trim().is_empty() {
        parts.push(text[start..].trim());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(base: Base, form: Form) -> Ty {
        Ty { base, form }
    }

    #[test]
    fn conv2d_has_all_kinds_of_defaults() {
        let s = Schema::parse(
            "conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, str padding=\"valid\", \
             SymInt[2] dilation=[1,2], SymInt groups=1) -> Tensor",
        )
        .unwrap();
        assert_eq!((s.name.as_str(), s.overload.as_str()), ("conv2d", "padding"));
        let defaults: Vec<_> = s.arguments.iter().map(|a| a.default.clone()).collect();
        assert_eq!(defaults[..3], [None, None, Some(Default::None)]);
        assert_eq!(defaults[3], Some(Default::Ints(vec![1])));
        assert_eq!(defaults[4], Some(Default::Str("valid".into())));
        assert_eq!(defaults[5], Some(Default::Ints(vec![1, 2])));
        assert_eq!(s.arguments[6].ty, ty(Base::Int, Form::One));
    }

    #[test]
    fn forms_and_annotations() {
        let s = Schema::parse("f(Tensor(a -> *) self, Tensor?[] indices, float[]? scale=None, bool[3] mask) -> (Tensor(a)[], Tensor values)").unwrap();
        let types: Vec<_> = s.arguments.iter().map(|a| a.ty).collect();
        assert_eq!(types[0], ty(Base::Tensor, Form::One));
        assert_eq!(types[1], ty(Base::Tensor, Form::ListOfOptional));
        assert_eq!(types[2], ty(Base::Float, Form::OptionalList));
        assert_eq!(types[3], ty(Base::Bool, Form::List));
        assert_eq!(
            s.returns,
            [(ty(Base::Tensor, Form::List), None), (ty(Base::Tensor, Form::One), Some("values".into()))]
        );
        assert!(s.arguments.iter().all(|a| !a.written));
        let s = Schema::parse("g(Tensor(a!) self) -> ()").unwrap();
        assert!(s.returns.is_empty() && s.arguments[0].written);
        assert!(Schema::parse("g() -> Tensor").unwrap().arguments.is_empty());
    }

    #[test]
    fn named_constants() {
        let s = Schema::parse(
            "f(int reduction=Mean, ScalarType? dtype=long, Scalar alpha=1e-05, *, Scalar beta=1) -> Tensor",
        )
        .unwrap();
        let defaults: Vec<_> = s.arguments.iter().map(|a| a.default.clone().unwrap()).collect();
        assert_eq!(
            defaults,
            [Default::Int(1), Default::Constant("long".into()), Default::Float(1e-5), Default::Int(1)]
        );
    }

    #[test]
    fn errors_name_the_part() {
        let error = |text: &str| Schema::parse(text).unwrap_err();
        assert!(error("add Tensor self").contains("no `(`"));
        assert!(error("add(Tensor self)").contains("`) -> `"));
        assert!(error("add(Tensor) -> Tensor").contains("found `Tensor`"));
        assert!(error("add(Tenso self) -> Tensor").contains("`Tenso`"));
        assert!(error("add(int dim=x) -> Tensor").contains("`x` is no default for `dim`"));
        assert!(error("add(Tensor self, Tensor self) -> Tensor").contains("two arguments"));
        assert!(error("aten::add(Tensor self) -> Tensor").contains("without its namespace"));
    }
}
