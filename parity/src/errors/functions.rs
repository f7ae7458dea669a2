//! Python functions that check before any operator runs: their counterparts here, by name.

use cresset_core::signal::windows::{self, WindowOptions};
use cresset_core::{Device, Error, Result as Computed, Tensor};
use cresset_nn::functional as f;
use cresset_nn::{PairwiseDistance, Reduction};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::kit::Pack;
use crate::value::V;

/// The arguments of a call as Python passes them.
pub struct Passed<'a> {
    pub positional: &'a [V],
    pub keyword: &'a std::collections::BTreeMap<String, V>,
    pub pack: &'a Pack,
}

impl<'a> Passed<'a> {
    fn bind(&self, names: &[&str]) -> Result<Arguments<'a>, Failure> {
        let named = self.keyword.iter().map(|(name, v)| (name.clone(), v.clone()));
        Ok(Arguments::bind(names, self.positional.iter().cloned(), named, self.pack)?)
    }
}

/// Functions with the names of their arguments; `None` for a name that is none of theirs.
macro_rules! functions {
    ($name:expr, $passed:expr; $($known:literal ($($argument:literal),*) |$a:ident| $call:expr;)*) => {
        match $name {
            $($known => {
                let $a = $passed.bind(&[$($argument),*])?;
                let result: Computed<Tensor> = $call;
                match $a.refusal().take() {
                    Some(e) => Err(Failure::Argument(e)),
                    None => Ok(Some(result?)),
                }
            })*
            _ => Ok(None),
        }
    };
}

/// Calls the counterpart of a Python function; `None` if there is none.
///
/// # Errors
/// Those of the function and of the conversion of its arguments.
pub fn call(name: &str, passed: &Passed<'_>) -> Result<Option<Tensor>, Failure> {
    if let Some(name) = name.strip_prefix("torch.signal.windows.") {
        return window(name, passed);
    }
    let Some(name) = name.strip_prefix("torch.nn.functional.") else { return Ok(None) };
    match loss(name, passed)? {
        None => layer(name, passed),
        called => Ok(called),
    }
}

fn window(name: &str, passed: &Passed<'_>) -> Result<Option<Tensor>, Failure> {
    functions!(name, passed;
        "exponential" ("M", "center", "tau", "sym", "dtype", "layout", "device", "requires_grad") |a|
            windows::exponential(a.int("M", 0), a.opt_float("center", None), a.number("tau", 1.0), |o| settings(&a, o));
        "gaussian" ("M", "std", "sym", "dtype", "layout", "device", "requires_grad") |a|
            windows::gaussian(a.int("M", 0), a.number("std", 1.0), |o| settings(&a, o));
        "kaiser" ("M", "beta", "sym", "dtype", "layout", "device", "requires_grad") |a|
            windows::kaiser(a.int("M", 0), a.number("beta", 12.0), |o| settings(&a, o));
        "general_cosine" ("M", "a", "sym", "dtype", "layout", "device", "requires_grad") |a|
            windows::general_cosine(a.int("M", 0), &coefficients(&a), |o| settings(&a, o));
        "general_hamming" ("M", "alpha", "sym", "dtype", "layout", "device", "requires_grad") |a|
            windows::general_hamming(a.int("M", 0), a.float("alpha", 0.54), |o| settings(&a, o));
        "cosine" ("M", "sym", "dtype", "layout", "device", "requires_grad") |a| windows::cosine(a.int("M", 0), |o| settings(&a, o));
        "hamming" ("M", "sym", "dtype", "layout", "device", "requires_grad") |a| windows::hamming(a.int("M", 0), |o| settings(&a, o));
        "hann" ("M", "sym", "dtype", "layout", "device", "requires_grad") |a| windows::hann(a.int("M", 0), |o| settings(&a, o));
        "blackman" ("M", "sym", "dtype", "layout", "device", "requires_grad") |a| windows::blackman(a.int("M", 0), |o| settings(&a, o));
        "bartlett" ("M", "sym", "dtype", "layout", "device", "requires_grad") |a| windows::bartlett(a.int("M", 0), |o| settings(&a, o));
        "nuttall" ("M", "sym", "dtype", "layout", "device", "requires_grad") |a| windows::nuttall(a.int("M", 0), |o| settings(&a, o));
    )
}

fn settings(a: &Arguments<'_>, o: WindowOptions) -> WindowOptions {
    o.sym(a.flag("sym", true)).dtype(a.dtype("dtype")).layout(a.layout("layout")).device(Device::Cpu)
}

fn coefficients(a: &Arguments<'_>) -> Vec<f64> {
    let list = matches!(a.get("a"), Some(V::List(_) | V::Ints(_)));
    a.opt_floats("a").filter(|_| list).unwrap_or_else(|| {
        a.refuse(Error::type_error("Coefficients must be a list/tuple"));
        Vec::new()
    })
}

/// One tensor after the other.
macro_rules! given {
    ($a:ident: $($name:literal),*) => { ($($a.given($name)?),*) };
}

fn loss(name: &str, passed: &Passed<'_>) -> Result<Option<Tensor>, Failure> {
    functions!(name, passed;
        "l1_loss" ("input", "target", "size_average", "reduce", "reduction", "weight") |a|
            f::l1_loss_with(&a.given("input")?, &a.given("target")?, |o| o.reduction(a.reduction()));
        "mse_loss" ("input", "target", "size_average", "reduce", "reduction", "weight") |a|
            f::mse_loss_with(&a.given("input")?, &a.given("target")?, |o| o.reduction(a.reduction()));
        "soft_margin_loss" ("input", "target", "size_average", "reduce", "reduction") |a|
            f::soft_margin_loss_with(&a.given("input")?, &a.given("target")?, |o| o.reduction(a.reduction()));
        "multilabel_margin_loss" ("input", "target", "size_average", "reduce", "reduction") |a|
            f::multilabel_margin_loss_with(&a.given("input")?, &a.given("target")?, |o| o.reduction(a.reduction()));
        "smooth_l1_loss" ("input", "target", "size_average", "reduce", "reduction", "beta") |a|
            f::smooth_l1_loss_with(&a.given("input")?, &a.given("target")?, |o| o.reduction(a.reduction()).beta(a.float("beta", 1.0)));
        "huber_loss" ("input", "target", "reduction", "delta", "weight") |a|
            f::huber_loss_with(&a.given("input")?, &a.given("target")?, |o| o.reduction(a.reduction()).delta(a.float("delta", 1.0)));
        "hinge_embedding_loss" ("input", "target", "margin", "size_average", "reduce", "reduction") |a|
            f::hinge_embedding_loss_with(&a.given("input")?, &a.given("target")?, |o| o.margin(a.float("margin", 1.0)).reduction(a.reduction()));
        "kl_div" ("input", "target", "size_average", "reduce", "reduction", "log_target") |a| {
            let batchmean = a.word("reduction", "mean") == "batchmean";
            let reduction = if batchmean { Reduction::Mean } else { a.reduction() };
            f::kl_div_with(&a.given("input")?, &a.given("target")?, |o| {
                o.reduction(reduction).batchmean(batchmean).log_target(a.flag("log_target", false))
            })
        };
        "binary_cross_entropy" ("input", "target", "weight", "size_average", "reduce", "reduction") |a| {
            let weight = a.tensor("weight")?;
            f::binary_cross_entropy_with(&a.given("input")?, &a.given("target")?, |o| o.weight(weight).reduction(a.reduction()))
        };
        "binary_cross_entropy_with_logits" ("input", "target", "weight", "size_average", "reduce", "reduction", "pos_weight") |a| {
            let (weight, positive) = (a.tensor("weight")?, a.tensor("pos_weight")?);
            f::binary_cross_entropy_with_logits_with(&a.given("input")?, &a.given("target")?, |o| {
                o.weight(weight).pos_weight(positive).reduction(a.reduction())
            })
        };
        "cross_entropy" ("input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing") |a| {
            let weight = a.tensor("weight")?;
            f::cross_entropy_with(&a.given("input")?, &a.given("target")?, |o| {
                let o = o.weight(weight).ignore_index(a.int("ignore_index", -100)).reduction(a.reduction());
                o.label_smoothing(a.float("label_smoothing", 0.0))
            })
        };
        "nll_loss" ("input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction") |a| {
            let weight = a.tensor("weight")?;
            f::nll_loss_with(&a.given("input")?, &a.given("target")?, |o| {
                o.weight(weight).ignore_index(a.int("ignore_index", -100)).reduction(a.reduction())
            })
        };
        "linear_cross_entropy" ("input", "linear_weight", "target", "linear_bias", "weight", "reduction", "ignore_index", "label_smoothing", "options") |a| {
            let (x, w, target) = given!(a: "input", "linear_weight", "target");
            let (bias, weight) = (a.tensor("linear_bias")?, a.tensor("weight")?);
            f::linear_cross_entropy_with(&x, &w, &target, |o| {
                let o = o.linear_bias(bias).weight(weight).reduction(a.reduction());
                o.ignore_index(a.opt_int("ignore_index")).label_smoothing(a.float("label_smoothing", 0.0))
            })
        };
        "margin_ranking_loss" ("input1", "input2", "target", "margin", "size_average", "reduce", "reduction") |a| {
            let (x, y, target) = given!(a: "input1", "input2", "target");
            f::margin_ranking_loss_with(&x, &y, &target, |o| o.margin(a.float("margin", 0.0)).reduction(a.reduction()))
        };
        "cosine_embedding_loss" ("input1", "input2", "target", "margin", "size_average", "reduce", "reduction") |a| {
            let (x, y, target) = given!(a: "input1", "input2", "target");
            f::cosine_embedding_loss_with(&x, &y, &target, |o| o.margin(a.float("margin", 0.0)).reduction(a.reduction()))
        };
        "multi_margin_loss" ("input", "target", "p", "margin", "weight", "size_average", "reduce", "reduction") |a| {
            let weight = a.tensor("weight")?;
            f::multi_margin_loss_with(&a.given("input")?, &a.given("target")?, |o| {
                let o = o.p(a.number("p", 1)).margin(a.number("margin", 1.0));
                o.weight(weight).reduction(a.reduction())
            })
        };
        "multilabel_soft_margin_loss" ("input", "target", "weight", "size_average", "reduce", "reduction") |a| {
            let weight = a.tensor("weight")?;
            f::multilabel_soft_margin_loss_with(&a.given("input")?, &a.given("target")?, |o| o.weight(weight).reduction(a.reduction_briefly()))
        };
        "poisson_nll_loss" ("input", "target", "log_input", "full", "size_average", "eps", "reduce", "reduction") |a|
            f::poisson_nll_loss_with(&a.given("input")?, &a.given("target")?, |o| {
                let o = o.log_input(a.flag("log_input", true)).full(a.flag("full", false));
                o.eps(a.float("eps", 1e-8)).reduction(a.reduction())
            });
        "gaussian_nll_loss" ("input", "target", "var", "full", "eps", "reduction") |a| {
            let (x, target, var) = given!(a: "input", "target", "var");
            f::gaussian_nll_loss_with(&x, &target, &var, |o| {
                o.full(a.flag("full", false)).eps(a.float("eps", 1e-6)).reduction(a.reduction_briefly())
            })
        };
        "triplet_margin_loss" ("anchor", "positive", "negative", "margin", "p", "eps", "swap", "size_average", "reduce", "reduction") |a| {
            let (x, y, z) = given!(a: "anchor", "positive", "negative");
            f::triplet_margin_loss_with(&x, &y, &z, |o| {
                let o = o.margin(a.float("margin", 1.0)).p(a.float("p", 2.0)).eps(a.float("eps", 1e-6));
                o.swap(a.flag("swap", false)).reduction(a.reduction())
            })
        };
        "triplet_margin_with_distance_loss" ("anchor", "positive", "negative", "distance_function", "margin", "swap", "reduction") |a| {
            let (x, y, z) = given!(a: "anchor", "positive", "negative");
            let distance = |x: &Tensor, y: &Tensor| PairwiseDistance::new().forward(x, y);
            f::triplet_margin_with_distance_loss_with([&x, &y, &z], distance, |o| {
                o.margin(a.float("margin", 1.0)).swap(a.flag("swap", false)).reduction(a.reduction())
            })
        };
        "ctc_loss" ("log_probs", "targets", "input_lengths", "target_lengths", "blank", "reduction", "zero_infinity") |a| {
            let (inputs, targets) = (a.ints("input_lengths", 0), a.ints("target_lengths", 0));
            f::ctc_loss_with(&a.given("log_probs")?, &a.given("targets")?, &inputs, &targets, |o| {
                o.blank(a.int("blank", 0)).reduction(a.reduction()).zero_infinity(a.flag("zero_infinity", false))
            })
        };
    )
}

fn layer(name: &str, passed: &Passed<'_>) -> Result<Option<Tensor>, Failure> {
    functions!(name, passed;
        "batch_norm" ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps") |a| {
            let (mean, var, weight, bias) = (a.tensor("running_mean")?, a.tensor("running_var")?, a.tensor("weight")?, a.tensor("bias")?);
            f::batch_norm_with(&a.given("input")?, mean.as_ref(), var.as_ref(), |o| {
                let o = o.weight(weight).bias(bias).training(a.flag("training", false));
                o.momentum(a.float("momentum", 0.1)).eps(a.float("eps", 1e-5))
            })
        };
        "instance_norm" ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps") |a| {
            let (mean, var, weight, bias) = (a.tensor("running_mean")?, a.tensor("running_var")?, a.tensor("weight")?, a.tensor("bias")?);
            f::instance_norm_with(&a.given("input")?, |o| {
                let o = o.running_mean(mean).running_var(var).weight(weight).bias(bias);
                let o = o.use_input_stats(a.flag("use_input_stats", true));
                o.momentum(a.float("momentum", 0.1)).eps(a.float("eps", 1e-5))
            })
        };
        "group_norm" ("input", "num_groups", "weight", "bias", "eps") |a| {
            let (weight, bias) = (a.tensor("weight")?, a.tensor("bias")?);
            f::group_norm_with(&a.given("input")?, a.int("num_groups", 0), |o| o.weight(weight).bias(bias).eps(a.float("eps", 1e-5)))
        };
        "local_response_norm" ("input", "size", "alpha", "beta", "k") |a|
            f::local_response_norm_with(&a.given("input")?, a.int("size", 0), |o| {
                o.alpha(a.float("alpha", 1e-4)).beta(a.float("beta", 0.75)).k(a.float("k", 1.0))
            });
        "dropout" ("input", "p", "training", "inplace") |a| f::dropout(&a.given("input")?, a.float("p", 0.5), a.flag("training", true));
        "dropout1d" ("input", "p", "training", "inplace") |a| f::dropout1d(&a.given("input")?, a.float("p", 0.5), a.flag("training", true));
        "dropout2d" ("input", "p", "training", "inplace") |a| f::dropout2d(&a.given("input")?, a.float("p", 0.5), a.flag("training", true));
        "dropout3d" ("input", "p", "training", "inplace") |a| f::dropout3d(&a.given("input")?, a.float("p", 0.5), a.flag("training", true));
        "alpha_dropout" ("input", "p", "training", "inplace") |a|
            f::alpha_dropout(&a.given("input")?, a.float("p", 0.5), a.flag("training", false));
        "feature_alpha_dropout" ("input", "p", "training", "inplace") |a|
            f::feature_alpha_dropout(&a.given("input")?, a.float("p", 0.5), a.flag("training", false));
        "hardtanh" ("input", "min_val", "max_val", "inplace") |a|
            f::hardtanh_with(&a.given("input")?, |o| o.min_val(a.number("min_val", -1.0)).max_val(a.number("max_val", 1.0)));
        "adaptive_avg_pool2d" ("input", "output_size") |a| f::adaptive_avg_pool2d(&a.given("input")?, a.output_size()?);
        "adaptive_avg_pool3d" ("input", "output_size") |a| f::adaptive_avg_pool3d(&a.given("input")?, a.output_size()?);
        "adaptive_max_pool1d" ("input", "output_size", "return_indices") |a| f::adaptive_max_pool1d(&a.given("input")?, a.output_size()?);
        "adaptive_max_pool2d" ("input", "output_size", "return_indices") |a| f::adaptive_max_pool2d(&a.given("input")?, a.output_size()?);
        "adaptive_max_pool3d" ("input", "output_size", "return_indices") |a| f::adaptive_max_pool3d(&a.given("input")?, a.output_size()?);
        "lp_pool1d" ("input", "norm_type", "kernel_size", "stride", "ceil_mode") |a|
            f::lp_pool1d_with(&a.given("input")?, a.number("norm_type", 0), a.ints("kernel_size", 0), |o| lp(&a, o));
        "lp_pool2d" ("input", "norm_type", "kernel_size", "stride", "ceil_mode") |a|
            f::lp_pool2d_with(&a.given("input")?, a.number("norm_type", 0), a.ints("kernel_size", 0), |o| lp(&a, o));
        "lp_pool3d" ("input", "norm_type", "kernel_size", "stride", "ceil_mode") |a|
            f::lp_pool3d_with(&a.given("input")?, a.number("norm_type", 0), a.ints("kernel_size", 0), |o| lp(&a, o));
        "fold" ("input", "output_size", "kernel_size", "dilation", "padding", "stride") |a|
            f::fold_with(&a.given("input")?, a.ints("output_size", 0), a.ints("kernel_size", 0), |o| blocks(&a, o));
        "unfold" ("input", "kernel_size", "dilation", "padding", "stride") |a|
            f::unfold_with(&a.given("input")?, a.ints("kernel_size", 0), |o| blocks(&a, o));
        "interpolate" ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias") |a|
            f::interpolate(&a.given("input")?, |o| {
                let o = o.size(a.opt_ints("size").as_deref()).scale_factor(a.opt_floats("scale_factor"));
                let o = o.mode(a.word("mode", "nearest")).align_corners(a.opt_flag("align_corners"));
                o.recompute_scale_factor(a.flag("recompute_scale_factor", false)).antialias(a.flag("antialias", false))
            });
        "grid_sample" ("input", "grid", "mode", "padding_mode", "align_corners") |a|
            f::grid_sample_with(&a.given("input")?, &a.given("grid")?, |o| {
                let o = o.mode(a.word("mode", "bilinear")).padding_mode(a.word("padding_mode", "zeros"));
                o.align_corners(a.flag("align_corners", false))
            });
        "affine_grid" ("theta", "size", "align_corners") |a|
            f::affine_grid(&a.given("theta")?, &a.ints("size", 0), a.flag("align_corners", false));
    )
}

fn lp(a: &Arguments<'_>, o: f::LPPoolOptions) -> f::LPPoolOptions {
    o.stride(a.opt_ints("stride").as_deref()).ceil_mode(a.flag("ceil_mode", false))
}

fn blocks(a: &Arguments<'_>, o: f::BlockOptions) -> f::BlockOptions {
    o.dilation(a.ints("dilation", 1)).padding(a.ints("padding", 0)).stride(a.ints("stride", 1))
}
