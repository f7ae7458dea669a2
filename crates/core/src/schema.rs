//! ATen schema texts, parsed: `add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`.

use crate::{Error, Result, Scalar, bail};

/// The type of an argument or return.
#[derive(Clone, Debug, PartialEq)]
pub enum Ty {
    /// `Tensor`.
    Tensor,
    /// `int` or `SymInt`.
    Int,
    /// `float`.
    Float,
    /// `bool`.
    Bool,
    /// `complex`.
    Complex,
    /// `Scalar`: a Python number of any kind.
    Scalar,
    /// `str`.
    Str,
    /// `ScalarType`.
    DType,
    /// `Layout`.
    Layout,
    /// `Device`.
    Device,
    /// `MemoryFormat`.
    MemoryFormat,
    /// `Generator`.
    Generator,
    /// `T?`.
    Optional(Box<Ty>),
    /// `T[]` or `T[N]`.
    List(Box<Ty>, Option<usize>),
}

impl Ty {
    /// The type without `?` around it.
    fn base(&self) -> &Ty {
        match self {
            Ty::Optional(inner) => inner.base(),
            other => other,
        }
    }
}

/// A default value.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// `None`.
    None,
    /// A number or boolean.
    Scalar(Scalar),
    /// A list of integers, or a single one for a sized list.
    Ints(Vec<i64>),
    /// A list of booleans.
    Bools(Vec<bool>),
    /// Text.
    Str(String),
    /// `contiguous_format` and kin.
    Constant(String),
}

/// One argument.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The name, as in the text.
    pub name: String,
    /// The type.
    pub ty: Ty,
    /// The default, if it has one.
    pub default: Option<Default>,
    /// Whether it comes after `*`.
    pub kwarg_only: bool,
    /// Its alias annotation, such as `a!` or `a`.
    pub alias: Option<String>,
}

impl Argument {
    /// Whether the call writes to it.
    pub fn is_written(&self) -> bool {
        self.alias.as_deref().is_some_and(|a| a.contains('!'))
    }
}

/// A parsed schema.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The name.
    pub name: String,
    /// The overload, empty for the default one.
    pub overload: String,
    /// The arguments, in order.
    pub arguments: Vec<Argument>,
    /// The types of the returns with their alias annotations.
    pub returns: Vec<(Ty, Option<String>)>,
}

impl Schema {
    /// Parses a schema text, with or without a namespace.
    ///
    /// # Errors
    /// `Value`, naming the part that is not understood.
    pub fn parse(text: &str) -> Result<Schema> {
        let (head, rest) = text.split_once('(').ok_or_else(|| unexpected(text))?;
        let (args, returns) = rest.rsplit_once(") -> ").ok_or_else(|| unexpected(text))?;
        let head = head.trim().rsplit("::").next().unwrap_or(head);
        let (name, overload) = head.split_once('.').unwrap_or((head, ""));
        let mut kwarg_only = false;
        let mut arguments = Vec::new();
        for part in split_top(args) {
            match part {
                "*" => kwarg_only = true,
                "" => {}
                _ => arguments.push(parse_argument(part, kwarg_only)?),
            }
        }
        let returns = returns.trim();
        let inner = returns.strip_prefix('(').and_then(|r| r.strip_suffix(')')).unwrap_or(returns);
        let returns = split_top(inner)
            .into_iter()
            .filter(|r| !r.is_empty())
            .map(parse_return)
            .collect::<Result<_>>()?;
        Ok(Schema { name: name.into(), overload: overload.into(), arguments, returns })
    }

    /// The position of the argument of that name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.arguments.iter().position(|a| a.name == name)
    }
}

fn unexpected(text: &str) -> Error {
    Error::value(format!("schema: cannot parse `{text}`"))
}

/// Splits at commas that are not inside brackets.
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
    parts.push(text[start..].trim());
    parts
}

fn parse_return(text: &str) -> Result<(Ty, Option<String>)> {
    let ty = text.split_once(' ').filter(|(t, _)| !t.is_empty()).map_or(text, |(t, _)| t);
    parse_type(ty)
}

/// Parses a type with an optional alias annotation: `Tensor(a!)`, `int[2]`, `Tensor?[]`.
fn parse_type(text: &str) -> Result<(Ty, Option<String>)> {
    let (base, alias, suffix) = match text.split_once('(') {
        Some((base, rest)) => {
            let (alias, suffix) = rest.split_once(')').ok_or_else(|| unexpected(text))?;
            (base, Some(alias.to_string()), suffix)
        }
        None => {
            let end = text.find(['?', '[']).unwrap_or(text.len());
            (&text[..end], None, &text[end..])
        }
    };
    let mut ty = match base {
        "Tensor" => Ty::Tensor,
        "int" | "SymInt" => Ty::Int,
        "float" => Ty::Float,
        "bool" => Ty::Bool,
        "complex" => Ty::Complex,
        "Scalar" => Ty::Scalar,
        "str" => Ty::Str,
        "ScalarType" => Ty::DType,
        "Layout" => Ty::Layout,
        "Device" => Ty::Device,
        "MemoryFormat" => Ty::MemoryFormat,
        "Generator" => Ty::Generator,
        _ => return Err(unexpected(text)),
    };
    let mut rest = suffix;
    while !rest.is_empty() {
        if let Some(r) = rest.strip_prefix('?') {
            ty = Ty::Optional(Box::new(ty));
            rest = r;
        } else if let Some((n, r)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            ty = Ty::List(Box::new(ty), n.parse().ok());
            rest = r;
        } else {
            return Err(unexpected(text));
        }
    }
    Ok((ty, alias))
}

fn parse_argument(text: &str, kwarg_only: bool) -> Result<Argument> {
    let (declaration, default) = match text.split_once('=') {
        Some((d, v)) => (d, Some(v)),
        None => (text, None),
    };
    let (ty, name) = declaration.rsplit_once(' ').ok_or_else(|| unexpected(text))?;
    let (ty, alias) = parse_type(ty)?;
    let default = default.map(|v| parse_default(v, &ty)).transpose()?;
    Ok(Argument { name: name.into(), ty, default, kwarg_only, alias })
}

fn parse_default(text: &str, ty: &Ty) -> Result<Default> {
    if let Some(list) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return parse_list(list, ty);
    }
    if let Some(quoted) = text.strip_prefix(['\'', '"']) {
        return Ok(Default::Str(quoted.trim_end_matches(['\'', '"']).into()));
    }
    Ok(match text {
        "None" => Default::None,
        "True" => Default::Scalar(Scalar::Bool(true)),
        "False" => Default::Scalar(Scalar::Bool(false)),
        _ if text.parse::<i64>().is_ok() => parse_int(text, ty),
        _ => match text.parse::<f64>() {
            Ok(x) => Default::Scalar(Scalar::Float(x)),
            Err(_) => Default::Constant(text.into()),
        },
    })
}

fn parse_int(text: &str, ty: &Ty) -> Default {
    // PyTorch prints dtypes and memory formats by number.
    match (text, ty.base()) {
        ("4", Ty::DType) => return Default::Constant("long".into()),
        ("0", Ty::MemoryFormat) => return Default::Constant("contiguous_format".into()),
        _ => {}
    }
    let n = text.parse().unwrap_or(0);
    match ty {
        Ty::List(..) => Default::Ints(vec![n]),
        Ty::Float => Default::Scalar(Scalar::Float(n as f64)),
        _ => Default::Scalar(Scalar::Int(n)),
    }
}

fn parse_list(list: &str, ty: &Ty) -> Result<Default> {
    let items: Vec<&str> = list.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    if matches!(ty, Ty::List(t, _) if **t == Ty::Bool) {
        return Ok(Default::Bools(items.iter().map(|s| *s == "True").collect()));
    }
    let ints: Result<Vec<i64>, _> = items.iter().map(|s| s.parse()).collect();
    match ints {
        Ok(ints) => Ok(Default::Ints(ints)),
        Err(_) => bail!(Value, "schema: cannot parse the default [{list}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_defaults_and_aliases() {
        let s = Schema::parse(
            "aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)",
        )
        .unwrap();
        assert_eq!((s.name.as_str(), s.overload.as_str()), ("add_", "Tensor"));
        assert!(s.arguments[0].is_written() && s.arguments[2].kwarg_only);
        assert_eq!(s.arguments[2].default, Some(Default::Scalar(Scalar::Int(1))));
        let s = Schema::parse("conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, str padding=\"valid\") -> Tensor").unwrap();
        assert_eq!(s.arguments[3].ty, Ty::List(Box::new(Ty::Int), Some(2)));
        assert_eq!(s.arguments[3].default, Some(Default::Ints(vec![1])));
        let s = Schema::parse(
            "max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
        )
        .unwrap();
        assert_eq!(s.returns.len(), 2);
        let s =
            Schema::parse("split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]")
                .unwrap();
        assert_eq!(s.returns[0].0, Ty::List(Box::new(Ty::Tensor), None));
    }
}
