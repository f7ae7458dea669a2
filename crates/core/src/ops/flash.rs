//! Attention that never holds the matrix of scores.

use cresset_kernels::attention::{Attention, Grid, Saved, Stored};

use cresset_macros::op;
use smallvec::SmallVec;

use super::attention::{added_mask, repeated};
use super::{_safe_softmax, raw, sum_dim};
use crate::dense::{dense, float_type};
use crate::layout::Dims;
use crate::op::{Grads, OpDef};
use crate::reduction::scale as scaled;
use crate::second::differentiate;
use crate::storage::{Raw, View, access_lists};
use crate::{DType, Result, Tensor, bail, bf16, copy, ensure, f16, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    _scaled_dot_product_flash_attention_for_cpu,
    _scaled_dot_product_flash_attention_for_cpu_backward,
];

const NAME: &str = "scaled_dot_product_attention_flash_attention";

/// Runs `$body` with `$S` bound to the type that `$dtype` is stored in.
macro_rules! with_stored {
    ($dtype:expr, $S:ident => $body:expr) => {
        match $dtype {
            DType::F64 => {
                type $S = f64;
                $body
            }
            DType::F16 => {
                type $S = f16;
                $body
            }
            DType::BF16 => {
                type $S = bf16;
                $body
            }
            _ => {
                type $S = f32;
                $body
            }
        }
    };
}

/// Whether [`_scaled_dot_product_flash_attention_for_cpu`] can do a call without dropout.
pub(super) fn suits(query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>, gqa: bool) -> bool {
    let (q, k, v) = (query.sizes(), key.sizes(), value.sizes());
    if q.len() != 4 || k.len() != 4 || v != k || !query.is_floating_point() {
        return false;
    }
    let heads = q[1] == k[1] || gqa && k[1] > 0 && q[1] % k[1] == 0;
    let scores = [q[0], q[1], q[2], k[2]];
    let masked = mask.is_none_or(|m| {
        let fits = m.sizes().iter().rev().zip(scores.iter().rev()).all(|(m, s)| *m == 1 || m == s);
        m.dim() <= 4 && fits && !m.requires_grad() && !m.is_complex()
    });
    q[0] == k[0] && heads && q[3] == k[3] && masked && !q.contains(&0) && !k.contains(&0)
}

fn check(query: &Tensor, key: &Tensor, value: &Tensor, dropout_p: f64, mask: Option<&Tensor>) -> Result<()> {
    let dtype = query.dtype();
    ensure!(
        query.is_floating_point(),
        "{NAME}: Expected data type in FP32, FP64, BF16, FP16, but got {} instead.",
        dtype.scalar_type()
    );
    let (q, k, v) = (query.sizes(), key.sizes(), value.sizes());
    ensure!(
        q.len() == 4 && k.len() == 4 && v.len() == 4,
        "{NAME}: Accept only 4 dims inputs shape of {{B, H, T, K}}"
    );
    ensure!(dropout_p == 0.0, "{NAME}: Currently do not support dropout > 0");
    ensure!(q[3] == k[3] && q[3] == v[3], "{NAME}: Q/K/V should have the same head size");
    ensure!(
        key.dtype() == dtype && value.dtype() == dtype && k == v && q[0] == k[0],
        "{NAME}: Expected keys and values of one shape, and one dtype and batch, got {:?}, {:?} and {:?}",
        q.as_slice(),
        k.as_slice(),
        v.as_slice()
    );
    ensure!(
        k[1] > 0 && q[1] % k[1] == 0 || q[1] == k[1],
        "{NAME}: Expected heads of keys that divide those of queries, got {} and {}",
        k[1],
        q[1]
    );
    let Some(mask) = mask else { return Ok(()) };
    ensure!(
        mask.dtype() == dtype || mask.dtype() == DType::F32,
        "{NAME}: Attention mask is the same data type as query"
    );
    ensure!(matches!(mask.dim(), 2 | 4), "{NAME}: Attention mask dim in {{2, 4}}");
    Ok(())
}

/// What both directions share: options, and the mask as a view of the shape of the scores.
struct Call {
    sizes: [usize; 5],
    width: usize,
    scale: f64,
    causal: bool,
    mask: Option<Tensor>,
}

impl Call {
    fn new(
        query: &Tensor,
        key: &Tensor,
        causal: bool,
        mask: Option<&Tensor>,
        scale: Option<f64>,
    ) -> Result<Call> {
        let (q, k) = (query.sizes(), key.sizes());
        let compute = float_type(query.dtype());
        let whole = [q[0], q[1], q[2], k[2]];
        let spread = |m: &Tensor| {
            let m = m.detach();
            if m.dtype() == compute { m.expand(whole) } else { dense(&m, compute)?.expand(whole) }
        };
        Ok(Call {
            sizes: [q[0], q[1], k[1].max(1), q[2], k[2]].map(|n| n as usize),
            width: q[3] as usize,
            scale: scale.unwrap_or(1.0 / (q[3] as f64).sqrt()),
            causal,
            mask: mask.map(spread).transpose()?,
        })
    }

    fn kernel<S: Stored>(&self, mask: Option<&Raw<'_>>) -> Attention<S::Sum> {
        let [batch, heads, kv_heads, queries, keys] = self.sizes;
        let (width, causal, mask) = (self.width, self.causal, mask.map(grid));
        let scale = <S::Sum as cresset_kernels::math::Real>::real(self.scale);
        Attention { batch, heads, kv_heads, queries, keys, width, scale, causal, mask }
    }
}

/// Memory for `[batch, heads, length, ..]` in which the heads of one position lie side by side, as projections have them.
fn beside(sizes: &[i64], dtype: DType, like: &Tensor) -> Result<Tensor> {
    let mut swapped = Dims::from_slice(sizes);
    swapped.swap(1, 2);
    let t = Tensor::empty_of(&swapped, dtype, like.device())?;
    let mut layout = t.layout();
    layout.sizes.swap(1, 2);
    layout.strides.swap(1, 2);
    raw::window(&t, layout)
}

/// A four-dimensional operand; one of three dimensions gets a last one.
fn grid<S>(raw: &Raw<'_>) -> Grid<S> {
    let stride = |d: usize| raw.strides.get(d).map_or(0, |s| *s as isize);
    Grid { ptr: raw.cast(), strides: [stride(0), stride(1), stride(2), stride(3)] }
}

/// Runs `f` with the outputs and the inputs, the mask being the last of them.
fn run(outs: &[&Tensor], ins: &[&Tensor], mask: Option<&Tensor>, f: impl FnOnce(&[Raw<'_>], &[Raw<'_>])) {
    let outs: SmallVec<[View; 3]> = outs.iter().map(|t| t.raw()).collect();
    let ins: SmallVec<[View; 7]> = ins.iter().copied().chain(mask).map(|t| t.raw()).collect();
    let outs: SmallVec<[&View; 3]> = outs.iter().collect();
    let ins: SmallVec<[&View; 7]> = ins.iter().collect();
    access_lists(&outs, &ins, f);
}

/// [`super::scaled_dot_product_attention`] in tiles, and for each query the logarithm of the sum of the exponentials of its
/// scores. All are `[batch, heads, length, width]`; keys may have fewer heads than queries, each serving several.
#[op(
    "_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0., bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)",
    wrt(query, key, value),
    nondiff(attn_mask),
    no_method,
    no_fn
)]
mod _scaled_dot_product_flash_attention_for_cpu {
    fn kernel(
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        dropout_p: f64,
        is_causal: bool,
        attn_mask: Option<&Tensor>,
        scale: Option<f64>,
    ) -> Result<(Tensor, Tensor)> {
        check(query, key, value, dropout_p, attn_mask)?;
        let (dtype, sizes) = (query.dtype(), query.sizes());
        let output = copy::empty_like(query, dtype)?;
        let logsumexp = beside(&sizes[..3], float_type(dtype), query)?;
        let call = Call::new(query, key, is_causal, attn_mask, scale)?;
        run(&[&output, &logsumexp], &[query, key, value], call.mask.as_ref(), |o, i| {
            let inputs = [&i[0], &i[1], &i[2]];
            // SAFETY: all are locked, have the sizes of the call, and the outputs are fresh.
            with_stored!(dtype, S => unsafe {
                S::forward(&call.kernel::<S>(i.get(3)), inputs.map(grid), grid(&o[0]), grid(&o[1]));
            });
        });
        Ok((output, logsumexp))
    }
    fn grad(
        g0: Option<&Tensor>,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        out0: &Tensor,
        out1: &Tensor,
        dropout_p: f64,
        is_causal: bool,
        attn_mask: Option<&Tensor>,
        scale: Option<f64>,
    ) -> Result<Grads> {
        let Some(g) = g0 else { return Ok(vec![None.into(), None.into(), None.into()]) };
        let (q, k, v) = _scaled_dot_product_flash_attention_for_cpu_backward::call(
            g, query, key, value, out0, out1, dropout_p, is_causal, attn_mask, scale,
        )?;
        Ok(vec![q.into(), k.into(), v.into()])
    }
}

/// Gradients of [`_scaled_dot_product_flash_attention_for_cpu`].
#[op(
    "_scaled_dot_product_flash_attention_for_cpu_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor out, Tensor logsumexp, float dropout_p, bool is_causal, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor grad_query, Tensor grad_key, Tensor grad_value)",
    wrt(grad_out, query, key, value),
    nondiff(out, logsumexp, attn_mask),
    no_method,
    no_fn
)]
mod _scaled_dot_product_flash_attention_for_cpu_backward {
    fn kernel(
        grad_out: &Tensor,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        out: &Tensor,
        logsumexp: &Tensor,
        dropout_p: f64,
        is_causal: bool,
        attn_mask: Option<&Tensor>,
        scale: Option<f64>,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        check(query, key, value, dropout_p, attn_mask)?;
        let (dtype, sizes) = (query.dtype(), query.sizes());
        let suits = |t: &Tensor| t.sizes() == sizes && t.dtype() == dtype;
        if !suits(grad_out) || !suits(out) || logsumexp.sizes()[..] != sizes[..3] {
            bail!("{NAME}_backward: expected gradient and output {:?}, got other sizes", sizes.as_slice());
        }
        let logsumexp = dense(logsumexp, float_type(dtype))?;
        let like = |t: &Tensor| beside(&t.sizes(), dtype, query);
        let results = [like(query)?, like(key)?, like(value)?];
        let call = Call::new(query, key, is_causal, attn_mask, scale)?;
        let ins = [grad_out, query, key, value, out, &logsumexp];
        run(&results.each_ref(), &ins, call.mask.as_ref(), |o, i| {
            let inputs = [&i[1], &i[2], &i[3]];
            // SAFETY: all are locked, have the sizes of the call, and the outputs are fresh.
            with_stored!(dtype, S => unsafe {
                let (grad, out, logsumexp) = (grid(&i[0]), grid(&i[4]), grid(&i[5]));
                let saved = Saved { grad, inputs: inputs.map(grid), out, logsumexp };
                S::backward(&call.kernel::<S>(i.get(6)), saved, [grid(&o[0]), grid(&o[1]), grid(&o[2])]);
            });
        });
        let [q, k, v] = results;
        Ok((q, k, v))
    }
    fn grad(
        grads: &[Option<Tensor>],
        grad_out: &Tensor,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        is_causal: bool,
        attn_mask: Option<&Tensor>,
        scale: Option<f64>,
    ) -> Result<Grads> {
        let all = differentiate(&[grad_out, query, key, value], grads, |t| {
            plain_backward([&t[0], &t[1], &t[2], &t[3]], is_causal, attn_mask, scale)
        })?;
        Ok(all.into_iter().map(Into::into).collect())
    }
}

/// The gradients in ordinary operators, to be differentiated once more.
fn plain_backward(
    [grad, query, key, value]: [&Tensor; 4],
    causal: bool,
    mask: Option<&Tensor>,
    scale: Option<f64>,
) -> Result<Vec<Tensor>> {
    let kv_heads = key.sizes()[1];
    let by = scale.unwrap_or(1.0 / (query.sizes()[3] as f64).sqrt());
    let (key, value) = repeated(query, key, value)?;
    let mut scores = scaled(&query.matmul(&key.transpose(-2, -1)?)?, by)?;
    if causal {
        scores = scores.add(&added_mask(query, &key, None, true)?)?;
    }
    if let Some(mask) = mask {
        scores = scores.add(mask)?;
    }
    let weights = _safe_softmax::call(&scores, -1, None)?;
    let grad_value = weights.transpose(-2, -1)?.matmul(grad)?;
    let grad_weights = grad.matmul(&value.transpose(-2, -1)?)?;
    let along = sum_dim::call(&weights.mul(&grad_weights)?, Some(&[-1]), true, None)?;
    let grad_scores = scaled(&weights.mul(&grad_weights.sub(&along)?)?, by)?;
    let grad_query = grad_scores.matmul(&key)?;
    let grad_key = grad_scores.transpose(-2, -1)?.matmul(query)?;
    Ok(vec![grad_query, gathered(&grad_key, kv_heads)?, gathered(&grad_value, kv_heads)?])
}

/// The gradient of repeated heads as that of the `heads` that there were.
fn gathered(grad: &Tensor, heads: i64) -> Result<Tensor> {
    let sizes = grad.sizes();
    if sizes[1] == heads {
        return Ok(grad.clone());
    }
    let split = grad.reshape([sizes[0], heads, sizes[1] / heads, sizes[2], sizes[3]])?;
    sum_dim::call(&split, Some(&[2]), false, None)
}
