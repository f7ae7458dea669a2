//! From the kit's description of a module to the module.

use std::fmt::Debug;
use std::sync::Arc;

use cresset_core::{DType, Error, Result as Computed, Tensor};
use cresset_nn as nn;
use cresset_nn::{Forward, Layer, Module};

use super::describe::Description;
use super::inputs::Inputs;
use super::sequence;
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::kit::Pack;
use crate::value::V;

/// The call of a module on its inputs.
pub type Call = Box<dyn Fn(&Inputs) -> Computed<Vec<Tensor>>>;

/// A module with its call.
pub struct Subject {
    /// The module.
    pub module: Arc<dyn Module>,
    /// Its call.
    pub forward: Call,
    /// Whether it overwrites its input.
    pub inplace: bool,
}

/// Layers of one input, with the names of their positional arguments.
macro_rules! layers {
    ($($name:literal ($($argument:literal),*) |$a:ident| $make:expr;)*) => {
        /// The classes that can be built.
        pub const KNOWN: &[&str] = &[
            "Sequential", "Identity", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Bilinear", "CosineSimilarity", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "FractionalMaxPool2d", "FractionalMaxPool3d", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "KLDivLoss", "SoftMarginLoss", "CrossEntropyLoss",
            "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MarginRankingLoss", $($name),*
        ];

        fn layer(description: &Description, pack: &Pack) -> Result<Option<Arc<dyn Layer>>, Failure> {
            match description.name() {
                "Identity" => Ok(Some(Arc::new(nn::Identity))),
                $($name => {
                    let $a = description.arguments(&[$($argument),*], pack)?;
                    let _ = &$a;
                    Ok(Some(Arc::new($make)))
                })*
                _ => Ok(None),
            }
        }
    };
}

layers! {
    "Linear" ("in_features", "out_features", "bias") |a|
        nn::Linear::with(a.int("in_features", 0), a.int("out_features", 0), |o| o.bias(a.flag("bias", true)))?;
    "Conv1d" ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode") |a| conv::<1>(&a)?;
    "Conv2d" ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode") |a| conv::<2>(&a)?;
    "Conv3d" ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode") |a| conv::<3>(&a)?;
    "MaxPool1d" ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode") |a| max_pool::<1>(&a);
    "MaxPool2d" ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode") |a| max_pool::<2>(&a);
    "MaxPool3d" ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode") |a| max_pool::<3>(&a);
    "AvgPool1d" ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad") |a| avg_pool::<1>(&a);
    "AvgPool2d" ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override") |a| avg_pool::<2>(&a);
    "AvgPool3d" ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override") |a| avg_pool::<3>(&a);
    "AdaptiveAvgPool1d" ("output_size") |a| nn::AdaptiveAvgPool1d::new(a.output_size()?);
    "AdaptiveAvgPool2d" ("output_size") |a| nn::AdaptiveAvgPool2d::new(a.output_size()?);
    "AdaptiveAvgPool3d" ("output_size") |a| nn::AdaptiveAvgPool3d::new(a.output_size()?);
    "AdaptiveMaxPool1d" ("output_size", "return_indices") |a| nn::AdaptiveMaxPool1d::new(a.output_size()?);
    "AdaptiveMaxPool2d" ("output_size", "return_indices") |a| nn::AdaptiveMaxPool2d::new(a.output_size()?);
    "AdaptiveMaxPool3d" ("output_size", "return_indices") |a| nn::AdaptiveMaxPool3d::new(a.output_size()?);
    "BatchNorm1d" ("num_features", "eps", "momentum", "affine", "track_running_stats", "bias") |a| batch_norm::<1>(&a)?;
    "BatchNorm2d" ("num_features", "eps", "momentum", "affine", "track_running_stats", "bias") |a| batch_norm::<2>(&a)?;
    "BatchNorm3d" ("num_features", "eps", "momentum", "affine", "track_running_stats", "bias") |a| batch_norm::<3>(&a)?;
    "InstanceNorm1d" ("num_features", "eps", "momentum", "affine", "track_running_stats", "bias") |a| instance_norm::<1>(&a)?;
    "InstanceNorm2d" ("num_features", "eps", "momentum", "affine", "track_running_stats", "bias") |a| instance_norm::<2>(&a)?;
    "InstanceNorm3d" ("num_features", "eps", "momentum", "affine", "track_running_stats", "bias") |a| instance_norm::<3>(&a)?;
    "LayerNorm" ("normalized_shape", "eps", "elementwise_affine", "bias") |a| nn::LayerNorm::with(a.ints("normalized_shape", 0), |o| {
        o.eps(a.float("eps", 1e-5)).elementwise_affine(a.flag("elementwise_affine", true)).bias(a.flag("bias", true))
    })?;
    "RMSNorm" ("normalized_shape", "eps", "elementwise_affine") |a| nn::RMSNorm::with(a.ints("normalized_shape", 0), |o| {
        o.eps(a.opt_float("eps", None)).elementwise_affine(a.flag("elementwise_affine", true))
    })?;
    "GroupNorm" ("num_groups", "num_channels", "eps", "affine", "bias") |a| nn::GroupNorm::with(a.int("num_groups", 0), a.int("num_channels", 0), |o| {
        o.eps(a.float("eps", 1e-5)).affine(a.flag("affine", true)).bias(a.flag("bias", true))
    })?;
    "Dropout" ("p", "inplace") |a| nn::Dropout::with(a.float("p", 0.5), |o| o.inplace(a.flag("inplace", false)))?;
    "Dropout1d" ("p", "inplace") |a| nn::Dropout1d::with(a.float("p", 0.5), |o| o.inplace(a.flag("inplace", false)))?;
    "Dropout2d" ("p", "inplace") |a| nn::Dropout2d::with(a.float("p", 0.5), |o| o.inplace(a.flag("inplace", false)))?;
    "Dropout3d" ("p", "inplace") |a| nn::Dropout3d::with(a.float("p", 0.5), |o| o.inplace(a.flag("inplace", false)))?;
    "AlphaDropout" ("p", "inplace") |a| nn::AlphaDropout::with(a.float("p", 0.5), |o| o.inplace(a.flag("inplace", false)))?;
    "FeatureAlphaDropout" ("p", "inplace") |a| nn::FeatureAlphaDropout::with(a.float("p", 0.5), |o| o.inplace(a.flag("inplace", false)))?;
    "Flatten" ("start_dim", "end_dim") |a| nn::Flatten::with(|o| o.start_dim(a.int("start_dim", 1)).end_dim(a.int("end_dim", -1)));
    "Unflatten" ("dim", "unflattened_size") |a| nn::Unflatten::new(a.int("dim", 0), a.ints("unflattened_size", 0));
    "Embedding" ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse") |a| nn::Embedding::with(a.int("num_embeddings", 0), a.int("embedding_dim", 0), |o| {
        let o = o.padding_idx(a.opt_int("padding_idx")).max_norm(a.opt_float("max_norm", None));
        let o = o.norm_type(a.float("norm_type", 2.0)).scale_grad_by_freq(a.flag("scale_grad_by_freq", false));
        o.sparse(a.flag("sparse", false))
    })?;
    "Softmax" ("dim") |a| nn::Softmax::new(softmax_dim(&a));
    "LogSoftmax" ("dim") |a| nn::LogSoftmax::new(softmax_dim(&a));
    "Softmin" ("dim") |a| nn::Softmin::new(a.int("dim", 0));
    "Softmax2d" () |_a| nn::Softmax2d;
    "ReLU" ("inplace") |a| nn::ReLU::with(|o| o.inplace(a.flag("inplace", false)));
    "ReLU6" ("inplace") |a| nn::ReLU6::with(|o| o.inplace(a.flag("inplace", false)));
    "Sigmoid" () |_a| nn::Sigmoid;
    "Tanh" () |_a| nn::Tanh;
    "SiLU" ("inplace") |a| nn::SiLU::with(|o| o.inplace(a.flag("inplace", false)));
    "Mish" ("inplace") |a| nn::Mish::with(|o| o.inplace(a.flag("inplace", false)));
    "SELU" ("inplace") |a| nn::SELU::with(|o| o.inplace(a.flag("inplace", false)));
    "LogSigmoid" () |_a| nn::LogSigmoid;
    "Hardsigmoid" ("inplace") |a| nn::Hardsigmoid::with(|o| o.inplace(a.flag("inplace", false)));
    "Hardswish" ("inplace") |a| nn::Hardswish::with(|o| o.inplace(a.flag("inplace", false)));
    "Softsign" () |_a| nn::Softsign;
    "Tanhshrink" () |_a| nn::Tanhshrink;
    "ELU" ("alpha", "inplace") |a| nn::ELU::with(|o| o.alpha(a.number("alpha", 1.0)).inplace(a.flag("inplace", false)));
    "CELU" ("alpha", "inplace") |a| nn::CELU::with(|o| o.alpha(a.number("alpha", 1.0)).inplace(a.flag("inplace", false)));
    "LeakyReLU" ("negative_slope", "inplace") |a| nn::LeakyReLU::with(|o| o.negative_slope(a.number("negative_slope", 0.01)).inplace(a.flag("inplace", false)));
    "Softplus" ("beta", "threshold") |a| nn::Softplus::with(|o| o.beta(a.number("beta", 1.0)).threshold(a.number("threshold", 20.0)));
    "Hardshrink" ("lambd") |a| nn::Hardshrink::with(|o| o.lambd(a.number("lambd", 0.5)));
    "Softshrink" ("lambd") |a| nn::Softshrink::with(|o| o.lambd(a.number("lambd", 0.5)));
    "Hardtanh" ("min_val", "max_val", "inplace") |a| nn::Hardtanh::with(|o| {
        o.min_val(a.number("min_val", -1.0)).max_val(a.number("max_val", 1.0)).inplace(a.flag("inplace", false))
    })?;
    "Threshold" ("threshold", "value", "inplace") |a| nn::Threshold::with(a.number("threshold", 0.0), a.number("value", 0.0), |o| o.inplace(a.flag("inplace", false)));
    "GLU" ("dim") |a| nn::GLU::with(|o| o.dim(a.int("dim", -1)));
    "GELU" ("approximate") |a| nn::GELU::with(|o| o.approximate(a.word("approximate", "none")));
    "PReLU" ("num_parameters", "init") |a| nn::PReLU::with(|o| o.num_parameters(a.int("num_parameters", 1)).init(a.float("init", 0.25)))?;
    "ZeroPad1d" ("padding") |a| nn::ZeroPad1d::new(a.ints("padding", 0))?;
    "ZeroPad2d" ("padding") |a| nn::ZeroPad2d::new(a.ints("padding", 0))?;
    "ZeroPad3d" ("padding") |a| nn::ZeroPad3d::new(a.ints("padding", 0))?;
    "ReflectionPad1d" ("padding") |a| nn::ReflectionPad1d::new(a.ints("padding", 0))?;
    "ReflectionPad2d" ("padding") |a| nn::ReflectionPad2d::new(a.ints("padding", 0))?;
    "ReflectionPad3d" ("padding") |a| nn::ReflectionPad3d::new(a.ints("padding", 0))?;
    "ReplicationPad1d" ("padding") |a| nn::ReplicationPad1d::new(a.ints("padding", 0))?;
    "ReplicationPad2d" ("padding") |a| nn::ReplicationPad2d::new(a.ints("padding", 0))?;
    "ReplicationPad3d" ("padding") |a| nn::ReplicationPad3d::new(a.ints("padding", 0))?;
    "CircularPad1d" ("padding") |a| nn::CircularPad1d::new(a.ints("padding", 0))?;
    "CircularPad2d" ("padding") |a| nn::CircularPad2d::new(a.ints("padding", 0))?;
    "CircularPad3d" ("padding") |a| nn::CircularPad3d::new(a.ints("padding", 0))?;
    "ConstantPad1d" ("padding", "value") |a| nn::ConstantPad1d::new(a.ints("padding", 0), a.number("value", 0.0))?;
    "ConstantPad2d" ("padding", "value") |a| nn::ConstantPad2d::new(a.ints("padding", 0), a.number("value", 0.0))?;
    "LazyLinear" ("out_features", "bias") |a| nn::LazyLinear::with(a.int("out_features", 0), |o| o.bias(a.flag("bias", true)))?;
    "LazyConv1d" ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode") |a| lazy_conv::<1>(&a)?;
    "LazyConvTranspose1d" ("out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation") |a| lazy_transposed::<1>(&a)?;
    "LazyBatchNorm1d" ("eps", "momentum", "affine", "track_running_stats", "bias") |a| nn::LazyBatchNorm1d::with(|o| batch_norm_options(&a, o))?;
    "LazyInstanceNorm1d" ("eps", "momentum", "affine", "track_running_stats", "bias") |a| nn::LazyInstanceNorm1d::with(|o| instance_norm_options(&a, true, o))?;
    "LPPool1d" ("norm_type", "kernel_size", "stride", "ceil_mode") |a| nn::LPPool1d::with(a.number("norm_type", 2.0), a.ints("kernel_size", 0), |o| {
        o.stride(a.opt_ints("stride").as_deref()).ceil_mode(a.flag("ceil_mode", false))
    })?;
    "LazyConv2d" ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode") |a| lazy_conv::<2>(&a)?;
    "LazyConvTranspose2d" ("out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation") |a| lazy_transposed::<2>(&a)?;
    "LazyBatchNorm2d" ("eps", "momentum", "affine", "track_running_stats", "bias") |a| nn::LazyBatchNorm2d::with(|o| batch_norm_options(&a, o))?;
    "LazyInstanceNorm2d" ("eps", "momentum", "affine", "track_running_stats", "bias") |a| nn::LazyInstanceNorm2d::with(|o| instance_norm_options(&a, true, o))?;
    "LPPool2d" ("norm_type", "kernel_size", "stride", "ceil_mode") |a| nn::LPPool2d::with(a.number("norm_type", 2.0), a.ints("kernel_size", 0), |o| {
        o.stride(a.opt_ints("stride").as_deref()).ceil_mode(a.flag("ceil_mode", false))
    })?;
    "LazyConv3d" ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode") |a| lazy_conv::<3>(&a)?;
    "LazyConvTranspose3d" ("out_channels", "kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation") |a| lazy_transposed::<3>(&a)?;
    "LazyBatchNorm3d" ("eps", "momentum", "affine", "track_running_stats", "bias") |a| nn::LazyBatchNorm3d::with(|o| batch_norm_options(&a, o))?;
    "LazyInstanceNorm3d" ("eps", "momentum", "affine", "track_running_stats", "bias") |a| nn::LazyInstanceNorm3d::with(|o| instance_norm_options(&a, true, o))?;
    "LPPool3d" ("norm_type", "kernel_size", "stride", "ceil_mode") |a| nn::LPPool3d::with(a.number("norm_type", 2.0), a.ints("kernel_size", 0), |o| {
        o.stride(a.opt_ints("stride").as_deref()).ceil_mode(a.flag("ceil_mode", false))
    })?;
    "Fold" ("output_size", "kernel_size", "dilation", "padding", "stride") |a| nn::Fold::with(a.ints("output_size", 0), a.ints("kernel_size", 0), |o| blocks(&a, o));
    "Unfold" ("kernel_size", "dilation", "padding", "stride") |a| nn::Unfold::with(a.ints("kernel_size", 0), |o| blocks(&a, o));
    "PixelShuffle" ("upscale_factor") |a| nn::PixelShuffle::new(a.int("upscale_factor", 1));
    "PixelUnshuffle" ("downscale_factor") |a| nn::PixelUnshuffle::new(a.int("downscale_factor", 1));
    "ChannelShuffle" ("groups") |a| nn::ChannelShuffle::new(a.int("groups", 1));
    "RReLU" ("lower", "upper", "inplace") |a| nn::RReLU::with(|o| {
        o.lower(a.float("lower", 0.125)).upper(a.float("upper", 1.0 / 3.0)).inplace(a.flag("inplace", false))
    });
    "LocalResponseNorm" ("size", "alpha", "beta", "k") |a| nn::LocalResponseNorm::with(a.int("size", 1), |o| {
        o.alpha(a.float("alpha", 1e-4)).beta(a.float("beta", 0.75)).k(a.float("k", 1.0))
    });
    "CrossMapLRN2d" ("size", "alpha", "beta", "k") |a| nn::CrossMapLRN2d::with(a.int("size", 1), |o| {
        o.alpha(a.float("alpha", 1e-4)).beta(a.float("beta", 0.75)).k(a.number("k", 1))
    });
    "SyncBatchNorm" ("num_features", "eps", "momentum", "affine", "track_running_stats", "process_group", "bias") |a| nn::SyncBatchNorm::with(a.int("num_features", 0), |o| batch_norm_options(&a, o))?;
    "Upsample" ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor") |a| nn::Upsample::with(|o| upsample(&a, o));
    "UpsamplingNearest2d" ("size", "scale_factor") |a| nn::UpsamplingNearest2d::with(|o| upsample(&a, o));
    "UpsamplingBilinear2d" ("size", "scale_factor") |a| nn::UpsamplingBilinear2d::with(|o| upsample(&a, o));
    "ConstantPad3d" ("padding", "value") |a| nn::ConstantPad3d::new(a.ints("padding", 0), a.number("value", 0.0))?;
}

/// The dimension of a softmax, for which a boolean is no number.
fn softmax_dim(a: &Arguments<'_>) -> i64 {
    match a.get("dim") {
        None | Some(V::None | V::Int(_)) => a.int("dim", 0),
        Some(v) => {
            let got = v.python_type();
            a.refuse(Error::type_error(format!("dim must be an int or None, got <class '{got}'>")));
            0
        }
    }
}

fn conv<const D: usize>(a: &Arguments<'_>) -> Computed<nn::Conv<D>> {
    let (inputs, outputs) = (a.int("in_channels", 0), a.int("out_channels", 0));
    nn::Conv::with(inputs, outputs, a.ints("kernel_size", 0), |o| conv_options(a, o))
}

fn conv_options(a: &Arguments<'_>, o: nn::ConvOptions) -> nn::ConvOptions {
    let o = o.stride(a.ints("stride", 1)).dilation(a.ints("dilation", 1)).groups(a.int("groups", 1));
    o.bias(a.flag("bias", true)).padding_mode(a.padding_mode()).padding(a.padding())
}

fn lazy_conv<const D: usize>(a: &Arguments<'_>) -> Computed<nn::Lazy<nn::Conv<D>>> {
    let kernel = a.ints("kernel_size", 0);
    nn::Lazy::<nn::Conv<D>>::with(a.int("out_channels", 0), kernel, |o| conv_options(a, o))
}

fn lazy_transposed<const D: usize>(a: &Arguments<'_>) -> Computed<nn::Lazy<nn::ConvTranspose<D>>> {
    let kernel = a.ints("kernel_size", 0);
    let options = |o| transposed_options(a, o);
    nn::Lazy::<nn::ConvTranspose<D>>::with(a.int("out_channels", 0), kernel, options)
}

fn transposed_options(a: &Arguments<'_>, o: nn::ConvTransposeOptions) -> nn::ConvTransposeOptions {
    let o = o.stride(a.ints("stride", 1)).padding(a.ints("padding", 0));
    let o = o.output_padding(a.ints("output_padding", 0)).dilation(a.ints("dilation", 1));
    o.groups(a.int("groups", 1)).bias(a.flag("bias", true))
}

fn blocks(a: &Arguments<'_>, o: nn::functional::BlockOptions) -> nn::functional::BlockOptions {
    o.dilation(a.ints("dilation", 1)).padding(a.ints("padding", 0)).stride(a.ints("stride", 1))
}

fn upsample(a: &Arguments<'_>, o: nn::UpsampleOptions) -> nn::UpsampleOptions {
    let o = o.size(a.opt_ints("size").as_deref()).scale_factor(a.opt_floats("scale_factor"));
    let o = o.mode(a.word("mode", "nearest")).align_corners(a.opt_flag("align_corners"));
    o.recompute_scale_factor(a.flag("recompute_scale_factor", false))
}

fn fractional<const D: usize>(a: &Arguments<'_>) -> Result<Subject, Failure> {
    // Recorded wider than the module has them.
    let samples = a.tensor("_random_samples")?.map(|t| t.to_dtype(DType::F32)).transpose()?;
    let layer = nn::FractionalMaxPool::<D>::with(a.ints("kernel_size", 0), |o| {
        let o = o.output_size(a.opt_ints("output_size").as_deref());
        o.output_ratio(a.opt_floats("output_ratio")).random_samples(samples)
    })?;
    let both = a.flag("return_indices", false);
    Ok(multiple(layer, move |m, x| {
        let (values, indices) = m.forward_with_indices(&x[0])?;
        Ok(if both { vec![values, indices] } else { vec![values] })
    }))
}

/// The third input, where there is one, is the size of the output.
fn unpool<const D: usize>(a: &Arguments<'_>) -> Result<Subject, Failure> {
    let layer = nn::MaxUnpool::<D>::with(a.ints("kernel_size", 0), |o| {
        o.stride(a.opt_ints("stride").as_deref()).padding(a.ints("padding", 0))
    });
    let forward = |m: &nn::MaxUnpool<D>, x: &[Tensor]| match x {
        [input, indices, size] => Ok(vec![m.forward_to(input, indices, &size.to_vec::<i64>()?)?]),
        x => Ok(vec![m.forward(&x[0], &x[1])?]),
    };
    Ok(multiple(layer?, forward))
}

/// The names of the positional arguments of an unpooling layer.
const UNPOOL: [&str; 3] = ["kernel_size", "stride", "padding"];

/// The names of the positional arguments of a pool with windows at random places.
const FRACTIONAL: [&str; 5] =
    ["kernel_size", "output_size", "output_ratio", "return_indices", "_random_samples"];

/// The names of the positional arguments of a transposed convolution.
const TRANSPOSED: [&str; 10] = [
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "output_padding",
    "groups",
    "bias",
    "dilation",
    "padding_mode",
];

/// The second input, where there is one, is the size of the output.
fn transposed<const D: usize>(a: &Arguments<'_>) -> Result<Subject, Failure> {
    let (inputs, outputs) = (a.int("in_channels", 0), a.int("out_channels", 0));
    let kernel = a.ints("kernel_size", 0);
    if a.word("padding_mode", "zeros") != "zeros" {
        let text = format!("Only \"zeros\" padding mode is supported for ConvTranspose{D}d");
        a.refuse(Error::value(text));
    }
    let layer = nn::ConvTranspose::<D>::with(inputs, outputs, kernel, |o| transposed_options(a, o));
    let forward = |layer: &nn::ConvTranspose<D>, x: &[Tensor]| match x {
        [input, size] => Ok(vec![layer.forward_to(input, &size.to_vec::<i64>()?)?]),
        x => Ok(vec![layer.forward(&x[0])?]),
    };
    Ok(multiple(layer?, forward))
}

fn max_pool<const D: usize>(a: &Arguments<'_>) -> nn::MaxPool<D> {
    nn::MaxPool::with(a.ints("kernel_size", 0), |o| {
        let o = o.stride(a.opt_ints("stride").as_deref()).padding(a.ints("padding", 0));
        o.dilation(a.ints("dilation", 1)).ceil_mode(a.flag("ceil_mode", false))
    })
}

fn avg_pool<const D: usize>(a: &Arguments<'_>) -> nn::AvgPool<D> {
    nn::AvgPool::with(a.ints("kernel_size", 0), |o| {
        let o = o
            .stride(a.opt_ints("stride").as_deref())
            .padding(a.ints("padding", 0))
            .ceil_mode(a.flag("ceil_mode", false));
        o.count_include_pad(a.flag("count_include_pad", true)).divisor_override(a.opt_int("divisor_override"))
    })
}

fn batch_norm<const D: usize>(a: &Arguments<'_>) -> Computed<nn::BatchNorm<D>> {
    nn::BatchNorm::with(a.int("num_features", 0), |o| batch_norm_options(a, o))
}

fn batch_norm_options(a: &Arguments<'_>, o: nn::BatchNormOptions) -> nn::BatchNormOptions {
    let o = o
        .eps(a.float("eps", 1e-5))
        .momentum(a.opt_float("momentum", Some(0.1)))
        .affine(a.flag("affine", true));
    o.track_running_stats(a.flag("track_running_stats", true)).bias(a.flag("bias", true))
}

fn instance_norm<const D: usize>(a: &Arguments<'_>) -> Computed<nn::InstanceNorm<D>> {
    nn::InstanceNorm::with(a.int("num_features", 0), |o| instance_norm_options(a, false, o))
}

/// `on`: whether it is affine and keeps statistics unless told otherwise, as only the lazy forms are.
fn instance_norm_options(a: &Arguments<'_>, on: bool, o: nn::InstanceNormOptions) -> nn::InstanceNormOptions {
    let o = o.eps(a.float("eps", 1e-5)).momentum(a.float("momentum", 0.1)).affine(a.flag("affine", on));
    o.track_running_stats(a.flag("track_running_stats", on)).bias(a.flag("bias", true))
}

/// Builds the module.
///
/// # Errors
/// [`Failure::Argument`] when the types of the constructor have no place for an argument.
pub fn build(description: &Description, pack: &Pack) -> Result<Subject, Failure> {
    let built = construct(description, pack);
    description.refusal.take().map_or(built, |e| Err(Failure::Argument(e)))
}

fn construct(description: &Description, pack: &Pack) -> Result<Subject, Failure> {
    if let Some(with_indices) = with_indices(description, pack)? {
        return Ok(with_indices);
    }
    if let Some(subject) = sequence::build(description, pack)? {
        return Ok(subject);
    }
    if description.name() == "Sequential" {
        let mut layers = nn::Sequential::new();
        for part in description.parts()? {
            layers = layers.push(layer(&part, pack)?.ok_or_else(|| format!("no layer {}", part.name()))?);
        }
        return Ok(unary(Arc::new(layers), false));
    }
    match layer(description, pack)? {
        Some(layer) => {
            let inplace = layer.extra_repr().ends_with("inplace=True");
            Ok(unary(layer, inplace))
        }
        None => binary(description, pack),
    }
}

fn unary(layer: Arc<dyn Layer>, inplace: bool) -> Subject {
    let module: Arc<dyn Module> = Arc::new(layer.clone());
    Subject { module, forward: Box::new(move |inputs| Ok(vec![layer.forward(&inputs.all()[0])?])), inplace }
}

impl Subject {
    /// A module whose call looks at the names of its inputs.
    pub fn named<M: Module + 'static>(
        module: M,
        forward: impl Fn(&M, &Inputs) -> Computed<Vec<Tensor>> + 'static,
    ) -> Subject {
        let module = Arc::new(module);
        Subject {
            module: module.clone(),
            forward: Box::new(move |inputs| forward(&module, inputs)),
            inplace: false,
        }
    }
}

/// A module that takes its inputs in their order.
pub fn multiple<M: Module + Debug + 'static>(
    module: M,
    forward: impl Fn(&M, &[Tensor]) -> Computed<Vec<Tensor>> + 'static,
) -> Subject {
    Subject::named(module, move |module, inputs| forward(module, &inputs.all()))
}

/// Pooling layers that also return positions.
fn with_indices(description: &Description, pack: &Pack) -> Result<Option<Subject>, Failure> {
    const POOL: [&str; 6] = ["kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"];
    let pair = |(values, indices): (Tensor, Tensor)| vec![values, indices];
    macro_rules! pools {
        ($a:ident, $make:expr) => {
            multiple($make, move |m, x| m.forward_with_indices(&x[0]).map(pair))
        };
    }
    let name = description.name();
    let Ok(a) = description
        .arguments(if name.starts_with('A') { &["output_size", "return_indices"] } else { &POOL }, pack)
    else {
        return Ok(None);
    };
    if !a.flag("return_indices", false) {
        return Ok(None);
    }
    Ok(Some(match name {
        "MaxPool1d" => pools!(a, max_pool::<1>(&a)),
        "MaxPool2d" => pools!(a, max_pool::<2>(&a)),
        "MaxPool3d" => pools!(a, max_pool::<3>(&a)),
        "AdaptiveMaxPool1d" => pools!(a, nn::AdaptiveMaxPool1d::new(a.output_size()?)),
        "AdaptiveMaxPool2d" => pools!(a, nn::AdaptiveMaxPool2d::new(a.output_size()?)),
        "AdaptiveMaxPool3d" => pools!(a, nn::AdaptiveMaxPool3d::new(a.output_size()?)),
        _ => return Ok(None),
    }))
}

/// Layers and losses of several inputs.
fn binary(d: &Description, pack: &Pack) -> Result<Subject, Failure> {
    macro_rules! loss {
        ($make:expr) => {
            multiple($make, |m, x| Ok(vec![m.forward(&x[0], &x[1])?]))
        };
    }
    let args = |names: &[&str]| d.arguments(names, pack);
    Ok(match d.name() {
        "ConvTranspose1d" => transposed::<1>(&args(&TRANSPOSED)?)?,
        "ConvTranspose2d" => transposed::<2>(&args(&TRANSPOSED)?)?,
        "ConvTranspose3d" => transposed::<3>(&args(&TRANSPOSED)?)?,
        "CosineSimilarity" => {
            let a = args(&["dim", "eps"])?;
            loss!(nn::CosineSimilarity::with(|o| o.dim(a.int("dim", 1)).eps(a.float("eps", 1e-8))))
        }
        "MaxUnpool1d" => unpool::<1>(&args(&UNPOOL)?)?,
        "MaxUnpool2d" => unpool::<2>(&args(&UNPOOL)?)?,
        "MaxUnpool3d" => unpool::<3>(&args(&UNPOOL)?)?,
        "FractionalMaxPool2d" => fractional::<2>(&args(&FRACTIONAL)?)?,
        "FractionalMaxPool3d" => fractional::<3>(&args(&FRACTIONAL)?)?,
        "Bilinear" => {
            let a = args(&["in1_features", "in2_features", "out_features", "bias"])?;
            let (n1, n2, n) = (a.int("in1_features", 0), a.int("in2_features", 0), a.int("out_features", 0));
            loss!(nn::Bilinear::with(n1, n2, n, |o| o.bias(a.flag("bias", true)))?)
        }
        "MSELoss" => {
            let a = args(&["reduction"])?;
            loss!(nn::MSELoss::with(|o| o.reduction(a.reduction())))
        }
        "L1Loss" => {
            let a = args(&["reduction"])?;
            loss!(nn::L1Loss::with(|o| o.reduction(a.reduction())))
        }
        "SoftMarginLoss" => {
            let a = args(&["reduction"])?;
            loss!(nn::SoftMarginLoss::with(|o| o.reduction(a.reduction())))
        }
        "SmoothL1Loss" => {
            let a = args(&["reduction", "beta"])?;
            loss!(nn::SmoothL1Loss::with(|o| o.reduction(a.reduction()).beta(a.float("beta", 1.0))))
        }
        "HuberLoss" => {
            let a = args(&["reduction", "delta"])?;
            if let Some(v) = a.get("delta").filter(|v| v.real().is_none()) {
                let got = v.python_type();
                a.refuse(Error::type_error(format!("delta must be a float or int, got: <class '{got}'>")));
            }
            loss!(nn::HuberLoss::with(|o| o.reduction(a.reduction()).delta(a.float("delta", 1.0))))
        }
        "KLDivLoss" => {
            let a = args(&["reduction", "log_target"])?;
            let batchmean = a.word("reduction", "") == "batchmean";
            let reduction = if batchmean { nn::Reduction::Mean } else { a.reduction() };
            let log_target = a.flag("log_target", false);
            loss!(nn::KLDivLoss::with(|o| o.reduction(reduction).batchmean(batchmean).log_target(log_target)))
        }
        "CrossEntropyLoss" => {
            let a = args(&["weight", "ignore_index", "reduction", "label_smoothing"])?;
            let weight = a.tensor("weight")?;
            loss!(nn::CrossEntropyLoss::with(|o| {
                let o = o.weight(weight).ignore_index(a.int("ignore_index", -100)).reduction(a.reduction());
                o.label_smoothing(a.float("label_smoothing", 0.0))
            }))
        }
        "NLLLoss" => {
            let a = args(&["weight", "ignore_index", "reduction"])?;
            let weight = a.tensor("weight")?;
            loss!(nn::NLLLoss::with(|o| o
                .weight(weight)
                .ignore_index(a.int("ignore_index", -100))
                .reduction(a.reduction())))
        }
        "BCELoss" => {
            let a = args(&["weight", "reduction"])?;
            let weight = a.tensor("weight")?;
            loss!(nn::BCELoss::with(|o| o.weight(weight).reduction(a.reduction())))
        }
        "BCEWithLogitsLoss" => {
            let a = args(&["weight", "reduction", "pos_weight"])?;
            let (weight, pos_weight) = (a.tensor("weight")?, a.tensor("pos_weight")?);
            loss!(nn::BCEWithLogitsLoss::with(|o| o
                .weight(weight)
                .pos_weight(pos_weight)
                .reduction(a.reduction())))
        }
        "MarginRankingLoss" => {
            let a = args(&["margin", "reduction"])?;
            let loss =
                nn::MarginRankingLoss::with(|o| o.margin(a.float("margin", 0.0)).reduction(a.reduction()));
            multiple(loss, |m, x| Ok(vec![m.forward(&x[0], &x[1], &x[2])?]))
        }
        other => return Err(format!("no module {other} here").into()),
    })
}
