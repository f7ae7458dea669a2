//! Layers of sequences and their losses: modules whose calls take states, masks or lengths.

use cresset_core::{Error, Result as Computed, Tensor};
use cresset_nn as nn;

use super::build::{Subject, multiple};
use super::describe::Description;
use super::inputs::Inputs;
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::kit::Pack;

/// The classes that can be built here.
pub const KNOWN: &[&str] = &[
    "RNN",
    "LSTM",
    "GRU",
    "RNNCell",
    "LSTMCell",
    "GRUCell",
    "EmbeddingBag",
    "MultiheadAttention",
    "TransformerEncoderLayer",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerDecoder",
    "Transformer",
    "CTCLoss",
    "GaussianNLLLoss",
    "PoissonNLLLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "CosineEmbeddingLoss",
    "HingeEmbeddingLoss",
    "LinearCrossEntropyLoss",
    "PairwiseDistance",
    "AdaptiveLogSoftmaxWithLoss",
];

/// Builds the module, if it is one of these.
pub fn build(d: &Description, pack: &Pack) -> Result<Option<Subject>, Failure> {
    Ok(Some(match d.name() {
        "RNN" | "LSTM" | "GRU" => recurrent(d, pack)?,
        "RNNCell" | "LSTMCell" | "GRUCell" => cell(d, pack)?,
        "EmbeddingBag" => embedding_bag(d, pack)?,
        "MultiheadAttention" => attention(d, pack)?,
        "Transformer" => transformer(d, pack)?,
        name if name.starts_with("TransformerEncoder") => encoder(d, pack)?,
        name if name.starts_with("TransformerDecoder") => decoder(d, pack)?,
        _ => return loss(d, pack),
    }))
}

fn recurrent(d: &Description, pack: &Pack) -> Result<Subject, Failure> {
    let names = [
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
        "nonlinearity",
    ];
    let a = d.arguments(&names, pack)?;
    for (name, wanted) in
        [("bias", "bool"), ("batch_first", "bool"), ("input_size", "int"), ("hidden_size", "int")]
    {
        a.exactly(name, wanted);
    }
    let relu = a.second("nonlinearity", ["tanh", "relu"], |other| {
        Error::value(format!("Unknown nonlinearity '{other}'. Select from 'tanh' or 'relu'."))
    });
    let options = |o: nn::RNNOptions| {
        let o = o.num_layers(a.int("num_layers", 1)).bias(a.flag("bias", true));
        let o = o.batch_first(a.flag("batch_first", false)).dropout(a.float("dropout", 0.0));
        let o = o.bidirectional(a.flag("bidirectional", false)).proj_size(a.int("proj_size", 0));
        o.relu(relu)
    };
    let (inputs, hidden) = (a.int("input_size", 0), a.int("hidden_size", 0));
    let pair = |(out, h): (Tensor, Tensor)| vec![out, h];
    Ok(match d.name() {
        "RNN" => multiple(nn::RNN::with(inputs, hidden, options)?, move |m, x| {
            m.forward(&x[0], x.get(1)).map(pair)
        }),
        "GRU" => multiple(nn::GRU::with(inputs, hidden, options)?, move |m, x| {
            m.forward(&x[0], x.get(1)).map(pair)
        }),
        _ => multiple(nn::LSTM::with(inputs, hidden, options)?, |m, x| {
            let (out, (h, c)) = m.forward(&x[0], states(x))?;
            Ok(vec![out, h, c])
        }),
    })
}

/// State and cell, which come after the input.
fn states(x: &[Tensor]) -> Option<(&Tensor, &Tensor)> {
    match x {
        [_, h, c] => Some((h, c)),
        _ => None,
    }
}

fn cell(d: &Description, pack: &Pack) -> Result<Subject, Failure> {
    let a = d.arguments(&["input_size", "hidden_size", "bias", "nonlinearity"], pack)?;
    let relu = a.second("nonlinearity", ["tanh", "relu"], |other| {
        Error::runtime(format!("Unknown nonlinearity: {other}"))
    });
    let options = |o: nn::RNNCellOptions| o.bias(a.flag("bias", true)).relu(relu);
    let (inputs, hidden) = (a.int("input_size", 0), a.int("hidden_size", 0));
    Ok(match d.name() {
        "RNNCell" => multiple(nn::RNNCell::with(inputs, hidden, options)?, |m, x| {
            Ok(vec![m.forward(&x[0], x.get(1))?])
        }),
        "GRUCell" => multiple(nn::GRUCell::with(inputs, hidden, options)?, |m, x| {
            Ok(vec![m.forward(&x[0], x.get(1))?])
        }),
        _ => multiple(nn::LSTMCell::with(inputs, hidden, options)?, |m, x| {
            let (h, c) = m.forward(&x[0], states(x))?;
            Ok(vec![h, c])
        }),
    })
}

fn embedding_bag(d: &Description, pack: &Pack) -> Result<Subject, Failure> {
    let names = [
        "num_embeddings",
        "embedding_dim",
        "max_norm",
        "norm_type",
        "scale_grad_by_freq",
        "mode",
        "sparse",
        "_weight",
        "include_last_offset",
        "padding_idx",
    ];
    let a = d.arguments(&names, pack)?;
    let layer = nn::EmbeddingBag::with(a.int("num_embeddings", 0), a.int("embedding_dim", 0), |o| {
        let o = o.max_norm(a.opt_float("max_norm", None)).norm_type(a.float("norm_type", 2.0));
        let o = o.scale_grad_by_freq(a.flag("scale_grad_by_freq", false)).mode(a.bag_mode());
        let o = o.sparse(a.flag("sparse", false)).padding_idx(a.opt_int("padding_idx"));
        o.include_last_offset(a.flag("include_last_offset", false))
    });
    Ok(Subject::named(layer?, |m, x| {
        let args = x.positional();
        let set = |o: nn::BagOptions| {
            o.offsets(args.get(1).cloned()).per_sample_weights(x.keyword("per_sample_weights"))
        };
        Ok(vec![m.forward_with(&args[0], set)?])
    }))
}

fn attention(d: &Description, pack: &Pack) -> Result<Subject, Failure> {
    let names = [
        "embed_dim",
        "num_heads",
        "dropout",
        "bias",
        "add_bias_kv",
        "add_zero_attn",
        "kdim",
        "vdim",
        "batch_first",
    ];
    let a = d.arguments(&names, pack)?;
    let layer = nn::MultiheadAttention::with(a.int("embed_dim", 0), a.int("num_heads", 0), |o| {
        let o = o.dropout(a.float("dropout", 0.0)).bias(a.flag("bias", true));
        let o = o.add_bias_kv(a.flag("add_bias_kv", false)).add_zero_attn(a.flag("add_zero_attn", false));
        o.kdim(a.opt_int("kdim")).vdim(a.opt_int("vdim")).batch_first(a.flag("batch_first", false))
    });
    Ok(Subject::named(layer?, |m, x| {
        let args = x.positional();
        let (out, weights) = m.forward_with(&args[0], &args[1], &args[2], |o| {
            let o = o.key_padding_mask(x.keyword("key_padding_mask")).attn_mask(x.keyword("attn_mask"));
            let o = o.need_weights(x.flag("need_weights", true)).is_causal(x.flag("is_causal", false));
            o.average_attn_weights(x.flag("average_attn_weights", true))
        })?;
        // Nobody looks at weights that were not wanted.
        let weights = weights.unwrap_or_else(|| out.clone());
        Ok(vec![out, weights])
    }))
}

const LAYER: [&str; 9] = [
    "d_model",
    "nhead",
    "dim_feedforward",
    "dropout",
    "activation",
    "layer_norm_eps",
    "batch_first",
    "norm_first",
    "bias",
];

fn layer_options(a: &Arguments<'_>, o: nn::TransformerLayerOptions) -> nn::TransformerLayerOptions {
    let o = o.dim_feedforward(a.int("dim_feedforward", 2048)).dropout(a.float("dropout", 0.1));
    let o = o.layer_norm_eps(a.float("layer_norm_eps", 1e-5)).batch_first(a.flag("batch_first", false));
    let o = o.norm_first(a.flag("norm_first", false)).bias(a.flag("bias", true));
    o.activation(activation(a))
}

/// The function between the two linear layers: by its public name or by a word.
fn activation(a: &Arguments<'_>) -> nn::Activation {
    let name = a.function("activation", "relu");
    match name.trim_start_matches("torch.nn.functional.") {
        "relu" => nn::Activation::relu(),
        "gelu" => nn::Activation::gelu(),
        other => {
            a.refuse(Error::runtime(format!("activation should be relu/gelu, not {other}")));
            nn::Activation::relu()
        }
    }
}

fn encoder_layer(d: &Description, pack: &Pack) -> Result<nn::TransformerEncoderLayer, Failure> {
    let a = d.arguments(&LAYER, pack)?;
    let (width, heads) = (a.int("d_model", 0), a.int("nhead", 0));
    Ok(nn::TransformerEncoderLayer::with(width, heads, |o| layer_options(&a, o))?)
}

fn decoder_layer(d: &Description, pack: &Pack) -> Result<nn::TransformerDecoderLayer, Failure> {
    let a = d.arguments(&LAYER, pack)?;
    let (width, heads) = (a.int("d_model", 0), a.int("nhead", 0));
    Ok(nn::TransformerDecoderLayer::with(width, heads, |o| layer_options(&a, o))?)
}

/// The layer, number and normalisation that a stack is described by.
fn stack(d: &Description, pack: &Pack) -> Result<(Description, i64, Option<nn::LayerNorm>), Failure> {
    let layer = d.part(0).ok_or("a stack without a layer")?;
    let number = d.number(1).ok_or("a stack without a number of layers")?;
    let norm = d.part(2).map(|norm| -> Result<_, Failure> {
        let a = norm.arguments(&["normalized_shape", "eps"], pack)?;
        Ok(nn::LayerNorm::with(a.ints("normalized_shape", 0), |o| o.eps(a.float("eps", 1e-5)))?)
    });
    Ok((layer, number, norm.transpose()?))
}

fn encoder(d: &Description, pack: &Pack) -> Result<Subject, Failure> {
    fn masks(x: &Inputs, o: nn::EncoderMasks) -> nn::EncoderMasks {
        let mask = x.keyword("mask").or_else(|| x.keyword("src_mask"));
        o.mask(mask).key_padding_mask(x.keyword("src_key_padding_mask"))
    }
    if d.name() == "TransformerEncoderLayer" {
        return Ok(Subject::named(encoder_layer(d, pack)?, |m, x| {
            Ok(vec![m.forward_with(&x.positional()[0], |o| masks(x, o))?])
        }));
    }
    let (layer, number, norm) = stack(d, pack)?;
    let layer = encoder_layer(&layer, pack)?;
    let stack = nn::TransformerEncoder::with(&layer, number, |o| o.norm(norm))?;
    Ok(Subject::named(stack, |m, x| Ok(vec![m.forward_with(&x.positional()[0], |o| masks(x, o))?])))
}

fn decoder(d: &Description, pack: &Pack) -> Result<Subject, Failure> {
    fn masks(x: &Inputs, o: nn::DecoderMasks) -> nn::DecoderMasks {
        let o = o.tgt_mask(x.keyword("tgt_mask")).memory_mask(x.keyword("memory_mask"));
        let o = o.tgt_key_padding_mask(x.keyword("tgt_key_padding_mask"));
        o.memory_key_padding_mask(x.keyword("memory_key_padding_mask"))
    }
    if d.name() == "TransformerDecoderLayer" {
        return Ok(Subject::named(decoder_layer(d, pack)?, |m, x| {
            let args = x.positional();
            Ok(vec![m.forward_with(&args[0], &args[1], |o| masks(x, o))?])
        }));
    }
    let (layer, number, norm) = stack(d, pack)?;
    let layer = decoder_layer(&layer, pack)?;
    let stack = nn::TransformerDecoder::with(&layer, number, |o| o.norm(norm))?;
    Ok(Subject::named(stack, |m, x| {
        let args = x.positional();
        Ok(vec![m.forward_with(&args[0], &args[1], |o| masks(x, o))?])
    }))
}

fn transformer(d: &Description, pack: &Pack) -> Result<Subject, Failure> {
    let names = [
        "d_model",
        "nhead",
        "num_encoder_layers",
        "num_decoder_layers",
        "dim_feedforward",
        "dropout",
        "activation",
        "layer_norm_eps",
        "batch_first",
        "norm_first",
        "bias",
    ];
    let a = d.arguments(&names, pack)?;
    let model = nn::Transformer::with(|o| {
        let o = o.d_model(a.int("d_model", 512)).nhead(a.int("nhead", 8));
        let o = o.num_encoder_layers(a.int("num_encoder_layers", 6));
        let o = o.num_decoder_layers(a.int("num_decoder_layers", 6));
        let o = o.dim_feedforward(a.int("dim_feedforward", 2048)).dropout(a.float("dropout", 0.1));
        let o = o.layer_norm_eps(a.float("layer_norm_eps", 1e-5)).batch_first(a.flag("batch_first", false));
        let o = o.activation(activation(&a));
        o.norm_first(a.flag("norm_first", false)).bias(a.flag("bias", true))
    });
    Ok(Subject::named(model?, |m, x| {
        let args = x.positional();
        let out = m.forward_with(&args[0], &args[1], |o| {
            let o = o.src_mask(x.keyword("src_mask")).tgt_mask(x.keyword("tgt_mask"));
            let o = o.memory_mask(x.keyword("memory_mask"));
            let o = o.src_key_padding_mask(x.keyword("src_key_padding_mask"));
            let o = o.tgt_key_padding_mask(x.keyword("tgt_key_padding_mask"));
            o.memory_key_padding_mask(x.keyword("memory_key_padding_mask"))
        })?;
        Ok(vec![out])
    }))
}

/// The only result in a list.
fn one(result: Computed<Tensor>) -> Computed<Vec<Tensor>> {
    result.map(|t| vec![t])
}

fn loss(d: &Description, pack: &Pack) -> Result<Option<Subject>, Failure> {
    let args = |names: &[&str]| d.arguments(names, pack);
    Ok(Some(match d.name() {
        "CTCLoss" => {
            let a = args(&["blank", "reduction", "zero_infinity"])?;
            let loss = nn::CTCLoss::with(|o| {
                let o = o.blank(a.int("blank", 0)).reduction(a.reduction());
                o.zero_infinity(a.flag("zero_infinity", false))
            });
            multiple(loss, |m, x| {
                let length = |t: &Tensor| t.to_dtype(cresset_core::DType::I64)?.to_vec::<i64>();
                one(m.forward(&x[0], &x[1], &length(&x[2])?, &length(&x[3])?))
            })
        }
        "GaussianNLLLoss" => {
            let a = args(&["full", "eps", "reduction"])?;
            let loss = nn::GaussianNLLLoss::with(|o| {
                o.full(a.flag("full", false)).eps(a.float("eps", 1e-6)).reduction(a.reduction_briefly())
            });
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1], &x[2])))
        }
        "PoissonNLLLoss" => {
            let a = args(&["log_input", "full", "eps", "reduction"])?;
            let loss = nn::PoissonNLLLoss::with(|o| {
                let o = o.log_input(a.flag("log_input", true)).full(a.flag("full", false));
                o.eps(a.float("eps", 1e-8)).reduction(a.reduction())
            });
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1])))
        }
        "MultiLabelMarginLoss" => {
            let a = args(&["reduction"])?;
            let loss = nn::MultiLabelMarginLoss::with(|o| o.reduction(a.reduction()));
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1])))
        }
        "MultiLabelSoftMarginLoss" => {
            let a = args(&["weight", "reduction"])?;
            let weight = a.tensor("weight")?;
            let loss =
                nn::MultiLabelSoftMarginLoss::with(|o| o.weight(weight).reduction(a.reduction_briefly()));
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1])))
        }
        "MultiMarginLoss" => {
            let a = args(&["p", "margin", "weight", "reduction"])?;
            let weight = a.tensor("weight")?;
            let loss = nn::MultiMarginLoss::with(|o| {
                let o = o.p(a.number("p", 1.0)).margin(a.number("margin", 1.0));
                o.weight(weight).reduction(a.reduction())
            })?;
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1])))
        }
        _ => return distance(d, pack),
    }))
}

fn distance(d: &Description, pack: &Pack) -> Result<Option<Subject>, Failure> {
    let args = |names: &[&str]| d.arguments(names, pack);
    Ok(Some(match d.name() {
        "TripletMarginLoss" => {
            let a = args(&["margin", "p", "eps", "swap", "reduction"])?;
            let loss = nn::TripletMarginLoss::with(|o| {
                let o = o.margin(a.float("margin", 1.0)).p(a.float("p", 2.0)).eps(a.float("eps", 1e-6));
                o.swap(a.flag("swap", false)).reduction(a.reduction())
            })?;
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1], &x[2])))
        }
        "TripletMarginWithDistanceLoss" => {
            let a = args(&["margin", "swap", "reduction"])?;
            let loss = nn::TripletMarginWithDistanceLoss::with(nn::PairwiseDistance::new(), |o| {
                let o = o.margin(a.float("margin", 1.0)).swap(a.flag("swap", false));
                o.reduction(a.reduction())
            })?;
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1], &x[2])))
        }
        "CosineEmbeddingLoss" => {
            let a = args(&["margin", "reduction"])?;
            let loss =
                nn::CosineEmbeddingLoss::with(|o| o.margin(a.float("margin", 0.0)).reduction(a.reduction()));
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1], &x[2])))
        }
        "HingeEmbeddingLoss" => {
            let a = args(&["margin", "reduction"])?;
            let loss =
                nn::HingeEmbeddingLoss::with(|o| o.margin(a.float("margin", 1.0)).reduction(a.reduction()));
            multiple(loss, |m, x| one(m.forward(&x[0], &x[1])))
        }
        "PairwiseDistance" => {
            let a = args(&["p", "eps", "keepdim"])?;
            let layer = nn::PairwiseDistance::with(|o| {
                o.p(a.float("p", 2.0)).eps(a.float("eps", 1e-6)).keepdim(a.flag("keepdim", false))
            });
            multiple(layer, |m, x| one(m.forward(&x[0], &x[1])))
        }
        "AdaptiveLogSoftmaxWithLoss" => {
            let a = args(&["in_features", "n_classes", "cutoffs", "div_value", "head_bias"])?;
            let (inputs, classes) = (a.int("in_features", 0), a.int("n_classes", 0));
            let loss = nn::AdaptiveLogSoftmaxWithLoss::with(inputs, classes, &a.ints("cutoffs", 0), |o| {
                o.div_value(a.float("div_value", 4.0)).head_bias(a.flag("head_bias", false))
            });
            multiple(loss?, |m, x| {
                let (output, loss) = m.forward(&x[0], &x[1])?;
                Ok(vec![output, loss])
            })
        }
        "LinearCrossEntropyLoss" => {
            let names = [
                "in_features",
                "num_classes",
                "out_features",
                "bias",
                "reduction",
                "weight",
                "ignore_index",
                "label_smoothing",
                "options",
            ];
            let a = args(&names)?;
            let weight = a.tensor("weight")?;
            let sizes = a.opt_ints("out_features").map(|l| l.to_vec()).unwrap_or_default();
            let loss =
                nn::LinearCrossEntropyLoss::with(a.int("in_features", 0), a.int("num_classes", 0), |o| {
                    let o = o.out_features(sizes).bias(a.flag("bias", false)).reduction(a.reduction());
                    let o = o.weight(weight).ignore_index(a.opt_int("ignore_index"));
                    o.label_smoothing(a.float("label_smoothing", 0.0))
                });
            multiple(loss?, |m, x| one(m.forward(&x[0], &x[1])))
        }
        _ => return Ok(None),
    }))
}
