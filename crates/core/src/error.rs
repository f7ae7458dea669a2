//! The one error type: a message in PyTorch's words and the kind of exception that Python raises for it.

use std::fmt;

/// The result of every fallible call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which Python exception an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `RuntimeError`.
    Runtime,
    /// `IndexError`.
    Index,
    /// `TypeError`.
    Type,
    /// `ValueError`.
    Value,
    /// `NotImplementedError`.
    NotImplemented,
    /// `ZeroDivisionError`.
    ZeroDivision,
    /// `torch.OutOfMemoryError`.
    OutOfMemory,
    /// `OSError`.
    Io,
    /// `KeyError`.
    Key,
    /// `AssertionError`.
    Assertion,
    /// `AttributeError`.
    Attribute,
    /// `torch.linalg.LinAlgError`.
    LinAlg,
}

/// What went wrong, in PyTorch's wording where PyTorch has one.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    op: Option<&'static str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {
        $($(#[$doc])* #[cold] pub fn $name(message: impl Into<String>) -> Self { Self::new(ErrorKind::$kind, message) })*
    };
}

impl Error {
    /// An error of that kind.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), op: None, source: None }))
    }

    constructors! {
        /// A `RuntimeError`.
        runtime => Runtime;
        /// An `IndexError`.
        index => Index;
        /// A `TypeError`.
        type_error => Type;
        /// A `ValueError`.
        value => Value;
        /// A `NotImplementedError`.
        not_implemented => NotImplemented;
        /// An `OSError`.
        io => Io;
        /// A `KeyError`.
        key => Key;
        /// An `AttributeError`.
        attribute => Attribute;
    }

    /// The error that caused this one, shown by [`std::error::Error::source`].
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Notes the operator that failed, unless one is noted already.
    pub fn with_op(mut self, op: &'static str) -> Self {
        self.0.op.get_or_insert(op);
        self
    }

    /// Puts `context` and a colon before the message.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// Which exception this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The text, without the kind.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The operator that failed, where one did.
    pub fn op(&self) -> Option<&'static str> {
        self.0.op
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}Error: {}", self.0.kind, self.0.message)?;
        self.0.op.map_or(Ok(()), |op| write!(f, " (in {op})"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Error::new(ErrorKind::Io, e.to_string()).with_source(e)
    }
}

/// Returns an error of a kind with a formatted message: `bail!(Index, "index {i} is out of range")`; without a kind
/// it is a `RuntimeError`.
#[macro_export]
macro_rules! bail {
    ($kind:ident, $($text:tt)+) => { return Err($crate::Error::new($crate::ErrorKind::$kind, format!($($text)+))) };
    ($($text:tt)+) => { return Err($crate::Error::runtime(format!($($text)+))) };
}

/// Returns an error unless the condition holds: `ensure!(n > 0, Value, "expected n > 0, got {n}")`.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => { if $condition {} else { $crate::bail!($($text)+) } };
}
