//! Replays `init.safetensors`: initialisation functions under a seed.

use std::collections::BTreeMap;

use cresset_core::{Device, Result as Computed, Tensor};
use cresset_nn::init::{self, Fan, Nonlinearity};
use serde::Deserialize;

use crate::array::{Array, named};
use crate::compare::{Check, Tolerance, compare};
use crate::kit::{Kit, Pack, Reason};
use crate::ops::with_seed;
use crate::report::{FileReport, Outcome, guarded};
use crate::value::V;

#[derive(Debug, Deserialize)]
struct Case {
    id: u64,
    #[serde(rename = "fn")]
    function: String,
    shape: Vec<i64>,
    dtype: String,
    seed: u64,
    kwargs: BTreeMap<String, V>,
    out: V,
    rtol: f64,
    atol: f64,
}

/// Replays the file.
pub fn run(kit: &Kit, file: &str) -> FileReport {
    let read = kit.pack(&format!("{file}.safetensors")).and_then(|pack| Ok((pack.cases::<Case>()?, pack)));
    let (cases, pack) = match read {
        Ok(read) => read,
        Err(reason) => return FileReport::broken(reason),
    };
    let mut report = FileReport::default();
    for case in &cases {
        let outcome = match with_seed(Some(case.seed), || guarded(|| replay(case, &pack))) {
            Outcome::Failed(reason) if reason == UNKNOWN => Outcome::Skipped,
            outcome => outcome,
        };
        report.add(case.function.clone(), "", format!("c{}", case.id), outcome);
    }
    report
}

const UNKNOWN: &str = "no such function";

impl Case {
    fn number(&self, name: &str, default: f64) -> f64 {
        match self.kwargs.get(name) {
            Some(V::Float(x)) => *x,
            Some(V::Int(i)) => *i as f64,
            _ => default,
        }
    }

    fn fan(&self) -> Fan {
        if matches!(self.kwargs.get("mode"), Some(V::Str(s)) if s == "fan_out") { Fan::Out } else { Fan::In }
    }

    fn nonlinearity(&self) -> Nonlinearity {
        match self.kwargs.get("nonlinearity") {
            Some(V::Str(s)) => match s.as_str() {
                "relu" => Nonlinearity::Relu,
                "tanh" => Nonlinearity::Tanh,
                "sigmoid" => Nonlinearity::Sigmoid,
                "selu" => Nonlinearity::Selu,
                "linear" => Nonlinearity::Linear,
                _ => Nonlinearity::LeakyRelu,
            },
            _ => Nonlinearity::LeakyRelu,
        }
    }
}

fn replay(case: &Case, pack: &Pack) -> Result<(), Reason> {
    let text = |e: cresset_core::Error| format!("{e:?}");
    let t = Tensor::empty_of(&case.shape, named(&case.dtype)?, Device::Cpu).map_err(text)?;
    init::constant_(&t, 9.0).map_err(text)?;
    let returned = call(case, &t).ok_or(UNKNOWN)?.map_err(text)?;
    if !returned.same(&t) {
        return Err("returned another tensor".into());
    }
    let V::Tensor(reference) = &case.out else { return Err("the kit has no result".into()) };
    let tolerance = Tolerance { rtol: case.rtol, atol: case.atol };
    compare(&Array::got(&t)?, &Array::expected(pack, reference)?, Check::Close(tolerance))
}

fn call(case: &Case, t: &Tensor) -> Option<Computed<Tensor>> {
    let n = |name, default| case.number(name, default);
    Some(match case.function.as_str() {
        "uniform_" => init::uniform_(t, n("a", 0.0), n("b", 1.0)),
        "normal_" => init::normal_(t, n("mean", 0.0), n("std", 1.0)),
        "trunc_normal_" => init::trunc_normal_(t, n("mean", 0.0), n("std", 1.0), n("a", -2.0), n("b", 2.0)),
        "constant_" => init::constant_(t, n("val", 0.0)),
        "ones_" => init::ones_(t),
        "zeros_" => init::zeros_(t),
        "eye_" => init::eye_(t),
        "dirac_" => init::dirac_(t, n("groups", 1.0) as usize),
        "xavier_uniform_" => init::xavier_uniform_(t, n("gain", 1.0)),
        "xavier_normal_" => init::xavier_normal_(t, n("gain", 1.0)),
        "kaiming_uniform_" => init::kaiming_uniform_(t, n("a", 0.0), case.fan(), case.nonlinearity()),
        "kaiming_normal_" => init::kaiming_normal_(t, n("a", 0.0), case.fan(), case.nonlinearity()),
        "orthogonal_" => init::orthogonal_(t, n("gain", 1.0)),
        "sparse_" => init::sparse_(t, n("sparsity", 0.0), n("std", 0.01)),
        _ => return None,
    })
}
