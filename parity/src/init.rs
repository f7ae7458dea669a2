//! Replays `init.safetensors`: initialisation functions under a seed.

use std::collections::BTreeMap;
use std::str::FromStr;

use cresset_core::{Device, Error, Result as Computed, Tensor};
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

    /// A word that the library reads, or what is taken without it.
    fn word<T: FromStr<Err = Error>>(&self, name: &str, default: T) -> Computed<T> {
        match self.kwargs.get(name) {
            Some(V::Str(word)) => word.parse(),
            _ => Ok(default),
        }
    }

    fn kaiming(&self) -> Computed<impl FnOnce(init::KaimingOptions) -> init::KaimingOptions> {
        let (mode, nonlinearity) =
            (self.word("mode", Fan::In)?, self.word("nonlinearity", Nonlinearity::LeakyRelu)?);
        let a = self.number("a", 0.0);
        Ok(move |o: init::KaimingOptions| o.a(a).mode(mode).nonlinearity(nonlinearity))
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
        "uniform_" => init::uniform_with_(t, |o| o.a(n("a", 0.0)).b(n("b", 1.0))),
        "normal_" => init::normal_with_(t, |o| o.mean(n("mean", 0.0)).std(n("std", 1.0))),
        "trunc_normal_" => init::trunc_normal_with_(t, |o| {
            o.mean(n("mean", 0.0)).std(n("std", 1.0)).a(n("a", -2.0)).b(n("b", 2.0))
        }),
        "constant_" => init::constant_(t, n("val", 0.0)),
        "ones_" => init::ones_(t),
        "zeros_" => init::zeros_(t),
        "eye_" => init::eye_(t),
        "dirac_" => init::dirac_with_(t, |o| o.groups(n("groups", 1.0) as i64)),
        "xavier_uniform_" => init::xavier_uniform_with_(t, |o| o.gain(n("gain", 1.0))),
        "xavier_normal_" => init::xavier_normal_with_(t, |o| o.gain(n("gain", 1.0))),
        "kaiming_uniform_" => case.kaiming().and_then(|set| init::kaiming_uniform_with_(t, set)),
        "kaiming_normal_" => case.kaiming().and_then(|set| init::kaiming_normal_with_(t, set)),
        "orthogonal_" => init::orthogonal_with_(t, |o| o.gain(n("gain", 1.0))),
        "sparse_" => init::sparse_with_(t, n("sparsity", 0.0), |o| o.std(n("std", 0.01))),
        _ => return None,
    })
}
