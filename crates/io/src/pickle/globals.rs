//! The names that a pickle may use, and nothing else.

use cresset_core::{DType, Error, Result};

/// What an allowed name stands for. None of them runs anything: [`call`](super::call) says what data each call gives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Global {
    OrderedDict,
    /// `dict`, `Counter`: called with nothing, pairs or a dict.
    Dict,
    /// `defaultdict`: the same behind a factory.
    DefaultDict,
    List,
    Tuple,
    Set,
    Bytes,
    Complex,
    /// `_codecs.encode`: how protocol 2 spells `bytes`.
    Encode,
    Size,
    Device,
    GetLayout,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    RebuildFromType,
    DType(DType),
    /// `torch.FloatStorage` and its kin; without a dtype the untyped one.
    Storage(Option<DType>),
    /// `torch.Tensor`, `torch.FloatTensor`, `torch.nn.Parameter`, …: named, never called.
    TensorClass,
    NumpyScalar,
    NumpyReconstruct,
    NumpyFromBuffer,
    NumpyArray,
    NumpyDType,
    /// `numpy.dtypes.Float64DType`: a dtype by its class.
    NumpyDTypeClass(&'static str),
    /// TorchScript's typed lists: called with a list.
    ScriptList,
    ScriptRestoreType,
    /// A class whose objects are read as inert data.
    Inert(String),
    /// Known to PyTorch but not supported here: naming it is fine, using it gives an error.
    Unsupported(String),
}

/// Which classes, beyond the allowed ones, are read as inert data.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Policy<'a> {
    /// Full names that the caller allows.
    pub allowed: &'a [String],
    /// All classes: for listing what a file holds.
    pub any: bool,
    /// The classes of a TorchScript archive.
    pub script: bool,
}

/// Python 2's names of modules and builtins, as old pickles have them.
fn modern(module: &str) -> &str {
    match module {
        "__builtin__" => "builtins",
        "copy_reg" => "copyreg",
        "UserDict" | "UserList" => "collections",
        "numpy._core.multiarray" => "numpy.core.multiarray",
        "numpy._core.numeric" => "numpy.core.numeric",
        other => other,
    }
}

/// What `module.name` stands for, or that it is not allowed.
pub(crate) fn find(module: &str, name: &str, policy: Policy<'_>) -> Result<Global> {
    let module = modern(module);
    let known = match module {
        "collections" => collections(name),
        "builtins" => builtins(name),
        "torch" | "torch.cuda" | "torch.storage" => torch(name),
        "torch._utils" | "torch._tensor" => torch_rebuild(name),
        "torch.nn.parameter" if matches!(name, "Parameter" | "Buffer") => Some(Global::TensorClass),
        "torch.serialization" if name == "_get_layout" => Some(Global::GetLayout),
        "torch.jit._pickle" => script(name),
        "_codecs" if name == "encode" => Some(Global::Encode),
        _ if module.starts_with("numpy") => numpy(module, name),
        _ => None,
    };
    let full = format!("{module}.{name}");
    let inert =
        policy.any || policy.allowed.contains(&full) || (policy.script && module.starts_with("__torch__"));
    match known {
        Some(global) => Ok(global),
        None if inert => Ok(Global::Inert(full)),
        None => Err(Error::runtime(format!(
            "Weights only load failed. Unsupported global: GLOBAL {full} was not an allowed global by default. \
             Nothing of the file has been run; only tensors and plain containers are read."
        ))),
    }
}

fn collections(name: &str) -> Option<Global> {
    match name {
        "OrderedDict" => Some(Global::OrderedDict),
        "Counter" => Some(Global::Dict),
        "defaultdict" => Some(Global::DefaultDict),
        _ => None,
    }
}

fn builtins(name: &str) -> Option<Global> {
    Some(match name {
        "set" | "frozenset" => Global::Set,
        "bytes" | "bytearray" => Global::Bytes,
        "complex" => Global::Complex,
        "dict" => Global::Dict,
        "list" => Global::List,
        "tuple" => Global::Tuple,
        "slice" | "range" | "int" | "float" | "bool" | "str" | "object" => {
            Global::Inert(format!("builtins.{name}"))
        }
        _ => return None,
    })
}

fn torch(name: &str) -> Option<Global> {
    if let Some(stem) = name.strip_suffix("Storage") {
        return Some(storage(stem, name));
    }
    Some(match name {
        "Size" => Global::Size,
        "device" => Global::Device,
        "Tensor" => Global::TensorClass,
        "strided" | "sparse_coo" | "per_tensor_affine" | "per_channel_affine" => {
            Global::Unsupported(format!("torch.{name}"))
        }
        "uint16" | "uint32" | "uint64" | "complex32" | "float8_e4m3fn" | "float8_e5m2" | "qint8"
        | "quint8" | "qint32" => Global::Unsupported(format!("torch.{name}")),
        _ if name.strip_suffix("Tensor").is_some_and(|stem| scalar_type(stem).is_some()) => {
            Global::TensorClass
        }
        _ => Global::DType(DType::parse(name)?),
    })
}

/// The dtype of a class such as `FloatStorage` or `HalfTensor`, by the first part of its name.
fn scalar_type(stem: &str) -> Option<DType> {
    DType::ALL.into_iter().find(|dtype| dtype.scalar_type() == stem)
}

fn storage(stem: &str, name: &str) -> Global {
    match stem {
        "Untyped" | "_Untyped" => Global::Storage(None),
        _ => match scalar_type(stem) {
            Some(dtype) => Global::Storage(Some(dtype)),
            None => Global::Unsupported(format!("torch.{name}")),
        },
    }
}

fn torch_rebuild(name: &str) -> Option<Global> {
    Some(match name {
        "_rebuild_tensor" => Global::RebuildTensor,
        "_rebuild_tensor_v2" => Global::RebuildTensorV2,
        "_rebuild_tensor_v3" => Global::RebuildTensorV3,
        "_rebuild_parameter" | "_rebuild_parameter_with_state" => Global::RebuildParameter,
        "_rebuild_from_type_v2" => Global::RebuildFromType,
        "_rebuild_sparse_tensor"
        | "_rebuild_qtensor"
        | "_rebuild_wrapper_subclass"
        | "_rebuild_meta_tensor_no_storage" => Global::Unsupported(format!("torch._utils.{name}")),
        _ => return None,
    })
}

fn script(name: &str) -> Option<Global> {
    Some(match name {
        "build_intlist" | "build_tensorlist" | "build_doublelist" | "build_boollist" => Global::ScriptList,
        "restore_type_tag" => Global::ScriptRestoreType,
        _ => return None,
    })
}

fn numpy(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("numpy.core.multiarray", "scalar") => Global::NumpyScalar,
        ("numpy.core.multiarray", "_reconstruct") => Global::NumpyReconstruct,
        ("numpy.core.numeric", "_frombuffer") => Global::NumpyFromBuffer,
        ("numpy", "ndarray") => Global::NumpyArray,
        ("numpy", "dtype") => Global::NumpyDType,
        ("numpy.dtypes", _) => Global::NumpyDTypeClass(numpy_class(name)?),
        _ => return None,
    })
}

/// The type code of a class of `numpy.dtypes`.
fn numpy_class(name: &str) -> Option<&'static str> {
    Some(match name.strip_suffix("DType")? {
        "Bool" => "b1",
        "UInt8" => "u1",
        "Int8" => "i1",
        "Int16" => "i2",
        "Int32" => "i4",
        "Int64" => "i8",
        "Float16" => "f2",
        "Float32" => "f4",
        "Float64" => "f8",
        "Complex64" => "c8",
        "Complex128" => "c16",
        _ => return None,
    })
}
