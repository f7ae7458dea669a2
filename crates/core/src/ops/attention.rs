//! Scaled dot product attention, `softmax(q k^T * scale + mask) v`.

use cresset_macros::op;

use super::dropout::dropout;
use super::flash::{_scaled_dot_product_flash_attention_for_cpu, suits};
use super::{_safe_softmax, full, masked_fill, ones, repeat_interleave, tril, where_self};
use crate::op::OpDef;
use crate::scalar::type_name;
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![scaled_dot_product_attention, _scaled_dot_product_attention_math];

/// `softmax(query key^T * scale + mask) value`, the scale being `1 / sqrt(query.size(-1))` unless given.
///
/// A boolean mask says which keys take part; a mask of numbers is added. With `enable_gqa` the heads of keys and values are
/// repeated to the number of the query's.
#[op(
    "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
    autocast = "lower",
    composite,
    no_method
)]
mod scaled_dot_product_attention {
    fn kernel(
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        attn_mask: Option<&Tensor>,
        dropout_p: f64,
        is_causal: bool,
        scale: Option<f64>,
        enable_gqa: bool,
    ) -> Result<Tensor> {
        check(query, key, value, attn_mask)?;
        let (mask, drop) = (attn_mask, dropout_p);
        let both = mask.is_some() && is_causal;
        if drop == 0.0 && !both && suits(query, key, value, mask, enable_gqa) {
            let mask =
                mask.map(|m| four_dimensional(&added_mask(query, key, Some(m), false)?)).transpose()?;
            let call = _scaled_dot_product_flash_attention_for_cpu::call;
            return Ok(call(query, key, value, 0.0, is_causal, mask.as_ref(), scale)?.0);
        }
        let (out, _) = _scaled_dot_product_attention_math::call(
            query, key, value, mask, drop, is_causal, None, scale, enable_gqa,
        )?;
        Ok(out)
    }
}

fn check(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Result<()> {
    let [q, k, v] = [query, key, value].map(Tensor::dim);
    if q < 2 || k < 2 || v < 2 {
        bail!(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {q} key.dim: {k} and value.dim: {v} instead."
        );
    }
    let [q, k, v] = [query, key, value].map(Tensor::dtype);
    if q != k || q != v {
        let [q, k, v] = [q, k, v].map(type_name);
        bail!(
            "Expected query, key, and value to have the same dtype, but got query.dtype: {q} key.dtype: {k} and value.dtype: {v} instead."
        );
    }
    match mask.map(Tensor::dtype) {
        Some(m) if m != DType::Bool && m != q && m != DType::F32 => bail!(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: {} and  query.dtype: {} instead.",
            type_name(m),
            type_name(q)
        ),
        _ => Ok(()),
    }
}

/// Attention made of other operators; also returns the weights. `dropout_mask` says which weights stay.
#[op(
    "_scaled_dot_product_attention_math(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, Tensor? dropout_mask=None, *, float? scale=None, bool enable_gqa=False) -> (Tensor, Tensor)",
    composite,
    no_method,
    no_fn
)]
mod _scaled_dot_product_attention_math {
    fn kernel(
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        attn_mask: Option<&Tensor>,
        dropout_p: f64,
        is_causal: bool,
        dropout_mask: Option<&Tensor>,
        scale: Option<f64>,
        enable_gqa: bool,
    ) -> Result<(Tensor, Tensor)> {
        for (name, t) in [("query", query), ("key", key), ("value", value)] {
            ensure!(
                t.dim() >= 2,
                "scaled_dot_product_attention: {name} must have at least 2 dimensions, got {}",
                t.dim()
            );
        }
        let dtype = query.dtype();
        let working = if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype };
        let [query, key, value] = [query, key, value].map(|t| t.to_dtype(working));
        let (query, key, value) = (query?, key?, value?);
        let (key, value) = if enable_gqa { repeated(&query, &key, &value)? } else { (key, value) };
        let mask = mask_for(&query, &key, attn_mask, is_causal)?;
        // Half of the scale goes to each side, as PyTorch does, so that products stay in range.
        let scale = scale.unwrap_or_else(|| 1.0 / (query.sizes()[query.dim() - 1] as f64).sqrt());
        let root = Tensor::wrapped(Scalar::Float(scale.abs().sqrt()))?;
        let signed = Tensor::wrapped(Scalar::Float(scale.abs().sqrt().copysign(scale)))?;
        let mut scores = query.mul(&signed)?.matmul(&key.transpose(-2, -1)?.mul(&root)?)?;
        if let Some(mask) = mask {
            scores = scores.add(&mask)?;
        }
        let mut weights = _safe_softmax::call(&scores, -1, None)?;
        let mut value = value;
        if let Some(stays) = dropout_mask {
            weights = masked_fill::call(&weights, &stays.logical_not()?, Scalar::Float(0.0))?;
            value = value.mul(&Tensor::wrapped(Scalar::Float(1.0 / (1.0 - dropout_p)))?)?;
        } else if dropout_p != 0.0 {
            weights = dropout::call(&weights, dropout_p, true)?;
        }
        Ok((weights.matmul(&value)?.to_dtype(dtype)?, weights.to_dtype(dtype)?))
    }
}

/// Keys and values with as many heads as the query.
pub(super) fn repeated(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<(Tensor, Tensor)> {
    if query.dim() < 3 || key.dim() < 3 || value.dim() < 3 {
        return Ok((key.clone(), value.clone()));
    }
    let [q, k, v] = [query.size(-3)?, key.size(-3)?, value.size(-3)?];
    if k == 0 || v == 0 || q % k != 0 || q % v != 0 {
        bail!("Number of heads in key and value must divide the number of heads in query");
    }
    let times = |t: &Tensor, n: i64| {
        if n == 1 { Ok(t.clone()) } else { repeat_interleave::call(t, n, Some(-3), None) }
    };
    Ok((times(key, q / k)?, times(value, q / v)?))
}

/// What is added to the scores, if anything.
fn mask_for(query: &Tensor, key: &Tensor, mask: Option<&Tensor>, is_causal: bool) -> Result<Option<Tensor>> {
    match mask {
        Some(_) if is_causal => {
            bail!("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
        }
        None if !is_causal => Ok(None),
        _ => added_mask(query, key, mask, is_causal).map(Some),
    }
}

/// `mask`, or that of causality, as numbers to be added to scores.
pub(super) fn added_mask(
    query: &Tensor,
    key: &Tensor,
    mask: Option<&Tensor>,
    is_causal: bool,
) -> Result<Tensor> {
    let mask = match mask {
        Some(mask) if !is_causal => mask.clone(),
        _ => {
            let sizes = [query.size(-2)?, key.size(-2)?];
            tril::call(&ones::call(&sizes, Some(DType::Bool), Some(query.device()))?, 0)?
        }
    };
    if mask.dtype() != DType::Bool {
        return Ok(mask);
    }
    let number = |x: f64| full::call(&[], Scalar::Float(x), Some(query.dtype()), Some(query.device()));
    where_self::call(&mask, &number(0.0)?, &number(f64::NEG_INFINITY)?)
}

/// A mask with dimensions of size 1 before its own.
fn four_dimensional(mask: &Tensor) -> Result<Tensor> {
    let own = mask.sizes();
    let mut sizes = vec![1; 4 - own.len()];
    sizes.extend_from_slice(&own);
    mask.reshape(sizes)
}
