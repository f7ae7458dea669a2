//! [`MultiheadAttention`]: attention in several subspaces at once.

use cresset_core::{DType, Result, Tensor, bail, ensure, no_grad, ops, options};

use super::{Linear, parameter, size};
use crate::functional::MultiHeadAttentionSettings;
use crate::init;
use crate::module::{Module, Parameter, Training, boolean, tuple};

options! {
    /// Optional settings of [`MultiheadAttention`].
    MultiheadAttentionOptions {
        /// Dropout of the weights while training (default: 0).
        dropout: f64 = 0.0,
        /// Whether the projections have biases (default: yes).
        bias: bool = true,
        /// Whether a trained key and value are added to each sequence (default: no).
        add_bias_kv: bool = false,
        /// Whether a key and value of zeros are added to each sequence (default: no).
        add_zero_attn: bool = false,
        /// Elements of a key (default: those of the output).
        kdim: Option<i64> = None,
        /// Elements of a value (default: those of the output).
        vdim: Option<i64> = None,
        /// Whether tensors are `[batch, length, elements]` (default: no).
        batch_first: bool = false,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

options! {
    /// Optional arguments of [`MultiheadAttention::forward`].
    AttentionOptions {
        /// `[N, S]`: keys that nobody sees where true, or numbers that are added to their scores.
        key_padding_mask: Option<Tensor> = None,
        /// Whether the weights are returned, too (default: yes); it is faster without.
        need_weights: bool = true,
        /// `[L, S]` or `[N * heads, L, S]`: pairs that do not see each other where true, or numbers that are added.
        attn_mask: Option<Tensor> = None,
        /// Whether the weights are averaged over the heads (default: yes).
        average_attn_weights: bool = true,
        /// A hint that `attn_mask` is that of causality (default: no).
        is_causal: bool = false,
    }
}

/// The layer after attention; printed by the name that it has in PyTorch.
#[derive(Clone, Debug, Module)]
#[module(name = "NonDynamicallyQuantizableLinear", repr = self.text())]
pub struct OutputProjection {
    /// The matrix.
    pub weight: Parameter,
    /// The vector, at first 0.
    pub bias: Option<Parameter>,
}

impl OutputProjection {
    fn text(&self) -> String {
        let (w, bias) = (&self.weight, boolean(self.bias.is_some()));
        format!("in_features={}, out_features={}, bias={bias}", size(w, 1), size(w, 0))
    }
}

/// Attention in several subspaces at once (Vaswani et al. 2017), as
/// [`torch.nn.MultiheadAttention`](https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html).
///
/// ```
/// # use cresset_nn::{MultiheadAttention};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let attention = MultiheadAttention::with(16, 4, |o| o.batch_first(true))?;
/// let x = ops::randn([2, 5, 16])?;
/// let (y, weights) = attention.forward(&x, &x, &x)?;
/// assert_eq!((&y.sizes()[..], &weights.unwrap().sizes()[..]), (&[2, 5, 16][..], &[2, 5, 5][..]));
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// Query `[L, N, embed_dim]`, key `[S, N, kdim]`, value `[S, N, vdim]` -> `[L, N, embed_dim]` and weights `[N, L, S]`; `N` may be
/// left out, and comes first with `batch_first`.
#[derive(Clone, Debug, Module)]
pub struct MultiheadAttention {
    /// Projections of query, key and value, if they have the same size.
    pub in_proj_weight: Option<Parameter>,
    /// Projection of the query, else.
    pub q_proj_weight: Option<Parameter>,
    /// Projection of the key, else.
    pub k_proj_weight: Option<Parameter>,
    /// Projection of the value, else.
    pub v_proj_weight: Option<Parameter>,
    /// Summands of the projections, at first 0.
    pub in_proj_bias: Option<Parameter>,
    /// The key that is added to each sequence.
    pub bias_k: Option<Parameter>,
    /// The value that is added to each sequence.
    pub bias_v: Option<Parameter>,
    /// The layer after attention.
    pub out_proj: OutputProjection,
    training: Training,
    #[module(skip)]
    embed_dim: i64,
    #[module(skip)]
    num_heads: i64,
    #[module(skip)]
    options: MultiheadAttentionOptions,
}

impl MultiheadAttention {
    /// Of that many elements, shared among that many heads.
    ///
    /// # Errors
    /// `Value` unless both are positive, `Assertion` unless the heads divide the elements.
    pub fn new(embed_dim: i64, num_heads: i64) -> Result<Self> {
        Self::with(embed_dim, num_heads, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// As [`MultiheadAttention::new`].
    pub fn with(
        embed_dim: i64,
        num_heads: i64,
        options: impl FnOnce(MultiheadAttentionOptions) -> MultiheadAttentionOptions,
    ) -> Result<Self> {
        let o = options(MultiheadAttentionOptions::default());
        ensure!(
            embed_dim > 0 && num_heads > 0,
            Value,
            "embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} instead"
        );
        ensure!(embed_dim % num_heads == 0, Assertion, "embed_dim must be divisible by num_heads");
        let (k, v) = (o.kdim.unwrap_or(embed_dim), o.vdim.unwrap_or(embed_dim));
        let same = k == embed_dim && v == embed_dim;
        let make = |on: bool, sizes: &[i64]| if on { parameter(sizes, o.dtype).map(Some) } else { Ok(None) };
        let in_proj_weight = make(same, &[3 * embed_dim, embed_dim])?;
        let q_proj_weight = make(!same, &[embed_dim, embed_dim])?;
        let k_proj_weight = make(!same, &[embed_dim, k])?;
        let v_proj_weight = make(!same, &[embed_dim, v])?;
        let in_proj_bias = make(o.bias, &[3 * embed_dim])?;
        let Linear { weight, bias } = Linear::with(embed_dim, embed_dim, |l| l.bias(o.bias).dtype(o.dtype))?;
        let layer = MultiheadAttention {
            in_proj_weight,
            q_proj_weight,
            k_proj_weight,
            v_proj_weight,
            in_proj_bias,
            bias_k: make(o.add_bias_kv, &[1, 1, embed_dim])?,
            bias_v: make(o.add_bias_kv, &[1, 1, embed_dim])?,
            out_proj: OutputProjection { weight, bias },
            training: Training::new(),
            embed_dim,
            num_heads,
            options: o,
        };
        layer.reset_parameters()?;
        Ok(layer)
    }

    /// Of given tensors, for one call.
    pub(crate) fn assembled(
        query: &Tensor,
        num_heads: i64,
        in_proj_weight: Option<&Tensor>,
        out_proj_weight: &Tensor,
        s: &MultiHeadAttentionSettings,
    ) -> Result<Self> {
        let embed_dim = query.size(-1)?;
        ensure!(
            num_heads > 0 && embed_dim % num_heads == 0,
            "embed_dim {embed_dim} not divisible by num_heads {num_heads}"
        );
        ensure!(
            in_proj_weight.is_some() || s.separate_proj_weights.is_some(),
            "use_separate_proj_weight is False but in_proj_weight is None"
        );
        let computed = |t: Option<&Tensor>| t.cloned().map(Parameter::computed);
        let apart = |i: usize| computed(s.separate_proj_weights.as_ref().map(|w| &w[i]));
        let training = Training::new();
        training.set(s.training);
        let options =
            MultiheadAttentionOptions::default().dropout(s.dropout_p).add_zero_attn(s.add_zero_attn);
        Ok(MultiheadAttention {
            in_proj_weight: computed(in_proj_weight),
            q_proj_weight: apart(0),
            k_proj_weight: apart(1),
            v_proj_weight: apart(2),
            in_proj_bias: computed(s.in_proj_bias.as_ref()),
            bias_k: computed(s.bias_k.as_ref()),
            bias_v: computed(s.bias_v.as_ref()),
            out_proj: OutputProjection {
                weight: Parameter::computed(out_proj_weight.clone()),
                bias: computed(s.out_proj_bias.as_ref()),
            },
            training,
            embed_dim,
            num_heads,
            options,
        })
    }

    /// Draws the projections anew, `U` by Xavier; biases become 0.
    ///
    /// # Errors
    /// None for tensors that can be written.
    pub fn reset_parameters(&self) -> Result<()> {
        let weights = [&self.in_proj_weight, &self.q_proj_weight, &self.k_proj_weight, &self.v_proj_weight];
        weights.into_iter().flatten().try_for_each(|w| init::xavier_uniform_(w).map(|_| ()))?;
        for bias in [&self.in_proj_bias, &self.out_proj.bias].into_iter().flatten() {
            init::zeros_(bias)?;
        }
        for bias in [&self.bias_k, &self.bias_v].into_iter().flatten() {
            init::xavier_normal_(bias)?;
        }
        Ok(())
    }

    /// What each query gathers from the values, and the weights.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        self.forward_with(query, key, value, |o| o)
    }

    /// [`MultiheadAttention::forward`] with optional settings: masks, and no weights where they are not needed.
    ///
    /// # Errors
    /// As there.
    pub fn forward_with(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        options: impl FnOnce(AttentionOptions) -> AttentionOptions,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let o = options(AttentionOptions::default());
        let batched = check_dims(query, key, value, &o)?;
        let first = self.options.batch_first && batched;
        let arrange = |t: &Tensor| match (first, batched) {
            (true, _) => t.transpose(0, 1),
            (false, true) => Ok(t.clone()),
            (false, false) => t.unsqueeze(1),
        };
        let inputs = [arrange(query)?, arrange(key)?, arrange(value)?];
        let (out, weights) = self.attend(&inputs, &o, batched)?;
        let out = match (first, batched) {
            (true, _) => out.transpose(0, 1)?,
            (false, true) => out,
            (false, false) => out.squeeze_dim(1)?,
        };
        let weights = weights.map(|w| if batched { Ok(w) } else { w.squeeze_dim(0) }).transpose()?;
        Ok((out, weights))
    }

    /// Attention on `[length, batch, elements]`.
    fn attend(
        &self,
        inputs: &[Tensor; 3],
        o: &AttentionOptions,
        batched: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let [query, key, value] = inputs;
        let (length, batch, width) = (query.size(0)?, query.size(1)?, query.size(2)?);
        ensure!(
            width == self.embed_dim,
            Assertion,
            "was expecting embedding dimension of {}, but got {width}",
            self.embed_dim
        );
        let (k, v) = (key.sizes(), value.sizes());
        if self.in_proj_weight.is_some() {
            ensure!(
                k == v,
                Assertion,
                "key shape torch.Size({:?}) does not match value shape torch.Size({:?})",
                &k[..],
                &v[..]
            );
        }
        ensure!(
            k[..2] == v[..2],
            Assertion,
            "key's sequence and batch dims torch.Size({:?}) do not match value's torch.Size({:?})",
            &k[..2],
            &v[..2]
        );
        let [q, mut k, mut v] = self.project(inputs)?;
        ensure!(
            !o.is_causal || o.attn_mask.is_some(),
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method `generate_square_subsequent_mask` to create this mask."
        );
        check_masks(o, [batch, self.num_heads, length, key.size(0)?], batched)?;
        let mut masks = Masks::new(o, &q, batched)?;
        if let (Some(bias_k), Some(bias_v)) = (&self.bias_k, &self.bias_v) {
            k = ops::cat(&[k, bias_k.repeat([1, batch, 1])?])?;
            v = ops::cat(&[v, bias_v.repeat([1, batch, 1])?])?;
            masks = masks.widened()?;
        }
        let [q, mut k, mut v] = [self.split(&q)?, self.split(&k)?, self.split(&v)?];
        if self.options.add_zero_attn {
            let zeros = k.new_zeros([batch, self.num_heads, 1, self.head_dim()])?;
            k = ops::cat_with(&[k, zeros.clone()], |o| o.dim(2))?;
            v = ops::cat_with(&[v, zeros], |o| o.dim(2))?;
            masks = masks.widened()?;
        }
        let causal = o.is_causal && masks.padding.is_none() && !o.need_weights;
        let mask = if causal { None } else { masks.joined(batch, self.num_heads)? };
        let dropout = if self.training.is_on() { self.options.dropout } else { 0.0 };
        let (out, weights) = if o.need_weights {
            weighted(&q, &k, &v, mask.as_ref(), dropout)?
        } else {
            let out = ops::scaled_dot_product_attention_with(&q, &k, &v, |s| {
                s.attn_mask(mask.as_ref()).dropout_p(dropout).is_causal(causal)
            })?;
            (out, None)
        };
        let rows = out.permute([2, 0, 1, 3])?.reshape([length * batch, self.embed_dim])?;
        let bias = self.out_proj.bias.as_deref();
        let out = ops::linear_with(&rows, &self.out_proj.weight, |l| l.bias(bias))?;
        let average = |w: Tensor| if o.average_attn_weights { ops::mean_dim(&w, [1]) } else { Ok(w) };
        Ok((out.reshape([length, batch, self.embed_dim])?, weights.map(average).transpose()?))
    }

    fn head_dim(&self) -> i64 {
        self.embed_dim / self.num_heads
    }

    /// `[length, batch, elements]` as `[batch, heads, length, elements of a head]`.
    fn split(&self, t: &Tensor) -> Result<Tensor> {
        let (length, batch) = (t.size(0)?, t.size(1)?);
        t.reshape([length, batch, self.num_heads, self.head_dim()])?.permute([1, 2, 0, 3])
    }

    /// Query, key and value in the subspaces.
    fn project(&self, [query, key, value]: &[Tensor; 3]) -> Result<[Tensor; 3]> {
        let n = self.embed_dim;
        let part = |t: &Tensor, i: i64| t.narrow(0, i * n, n);
        let bias = |i: i64| self.in_proj_bias.as_ref().map(|b| part(b, i)).transpose();
        let linear = |x: &Tensor, w: &Tensor, b: Option<&Tensor>| ops::linear_with(x, w, |l| l.bias(b));
        if let Some(weight) = &self.in_proj_weight {
            if query.same(key) && key.same(value) {
                let all = linear(query, weight, self.in_proj_bias.as_deref())?;
                return Ok([all.narrow(-1, 0, n)?, all.narrow(-1, n, n)?, all.narrow(-1, 2 * n, n)?]);
            }
            let one = |x: &Tensor, i: i64| linear(x, &part(weight, i)?, bias(i)?.as_ref());
            return Ok([one(query, 0)?, one(key, 1)?, one(value, 2)?]);
        }
        let one = |x: &Tensor, w: &Option<Parameter>, i: i64| match w {
            Some(w) => linear(x, w, bias(i)?.as_ref()),
            None => bail!("use_separate_proj_weight is True but a projection is None"),
        };
        Ok([
            one(query, &self.q_proj_weight, 0)?,
            one(key, &self.k_proj_weight, 1)?,
            one(value, &self.v_proj_weight, 2)?,
        ])
    }
}

/// Attention with its weights.
fn weighted(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<&Tensor>,
    dropout: f64,
) -> Result<(Tensor, Option<Tensor>)> {
    let scale = 1.0 / (q.size(-1)? as f64).sqrt();
    let mut scores = q.mul_scalar(scale)?.matmul(&k.transpose(-2, -1)?)?;
    if let Some(mask) = mask {
        scores = scores.add(mask)?;
    }
    let mut weights = ops::softmax(&scores, -1)?;
    if dropout > 0.0 {
        weights = ops::dropout(&weights, dropout, true)?;
    }
    Ok((weights.matmul(v)?, Some(weights)))
}

/// Whether there is a batch.
fn check_dims(query: &Tensor, key: &Tensor, value: &Tensor, o: &AttentionOptions) -> Result<bool> {
    let [q, k, v] = [query, key, value].map(Tensor::dim);
    ensure!(
        q == 2 || q == 3,
        Assertion,
        "query should be unbatched 2D or batched 3D tensor but received {q}-D query tensor"
    );
    let kind = if q == 3 { "batched (3-D)" } else { "unbatched (2-D)" };
    ensure!(
        k == q && v == q,
        Assertion,
        "For {kind} `query`, expected `key` and `value` to be {q}-D but found {k}-D and {v}-D tensors respectively"
    );
    if let Some(mask) = o.key_padding_mask.as_ref().filter(|m| m.dim() != q - 1) {
        bail!(
            Assertion,
            "For {kind} `query`, expected `key_padding_mask` to be `None` or {}-D but found {}-D tensor instead",
            q - 1,
            mask.dim()
        );
    }
    if let Some(dims) = o.attn_mask.as_ref().map(Tensor::dim).filter(|n| !matches!(n, 2 | 3)) {
        bail!(
            Assertion,
            "For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {dims}-D tensor instead"
        );
    }
    Ok(q == 3)
}

/// Whether the masks are of the sizes `[batch, heads, queries, keys]` that they are for.
fn check_masks(o: &AttentionOptions, [batch, heads, queries, keys]: [i64; 4], batched: bool) -> Result<()> {
    if let Some(mask) = &o.attn_mask {
        let sizes = mask.sizes();
        let (flat, all) = ([queries, keys], [batch * heads, queries, keys]);
        let (dims, wanted) = if sizes.len() == 2 { (2, &flat[..]) } else { (3, &all[..]) };
        if sizes[..] != *wanted {
            let wanted = tuple(wanted);
            ensure!(
                batched || dims == 2,
                Assertion,
                "Expected `attn_mask` shape to be {wanted} but got torch.Size({:?})",
                &sizes[..]
            );
            bail!(
                "The shape of the {dims}D attn_mask is torch.Size({:?}), but should be {wanted}.",
                &sizes[..]
            );
        }
    }
    if let Some(mask) = &o.key_padding_mask {
        let found = mask.size(-1)?;
        ensure!(found == keys, Assertion, "Expected key_padded_mask.shape[1] to be {keys}, but got {found}");
    }
    Ok(())
}

/// What is added to scores: `padding [batch, keys]`, `pairs [1 or batch * heads, queries, keys]`.
struct Masks {
    padding: Option<Tensor>,
    pairs: Option<Tensor>,
}

impl Masks {
    fn new(o: &AttentionOptions, query: &Tensor, batched: bool) -> Result<Masks> {
        let padding = o.key_padding_mask.as_ref().map(|m| numbers(m, query, "key_padding_mask"));
        let padding = padding.transpose()?.map(|m| if batched { Ok(m) } else { m.unsqueeze(0) });
        let pairs = o.attn_mask.as_ref().map(|m| numbers(m, query, "attn_mask")).transpose()?;
        let pairs = pairs.map(|m| match m.dim() {
            2 => m.unsqueeze(0),
            3 => Ok(m),
            n => bail!("attn_mask's dimension {n} is not supported"),
        });
        Ok(Masks { padding: padding.transpose()?, pairs: pairs.transpose()? })
    }

    /// With one more key that everyone sees.
    fn widened(self) -> Result<Masks> {
        let widen = |m: Option<Tensor>| m.map(|m| ops::constant_pad_nd(&m, [0, 1])).transpose();
        Ok(Masks { padding: widen(self.padding)?, pairs: widen(self.pairs)? })
    }

    /// Both in one, `[batch or 1, heads or 1, queries or 1, keys]`.
    fn joined(self, batch: i64, heads: i64) -> Result<Option<Tensor>> {
        let pairs = self.pairs.map(|m| {
            let sizes = m.sizes();
            if sizes[0] == 1 { m.unsqueeze(0) } else { m.reshape([batch, heads, sizes[1], sizes[2]]) }
        });
        let padding = self.padding.map(|m| m.unsqueeze(1)?.unsqueeze(1));
        match (pairs.transpose()?, padding.transpose()?) {
            (Some(pairs), Some(padding)) => pairs.add(&padding).map(Some),
            (pairs, padding) => Ok(pairs.or(padding)),
        }
    }
}

/// A mask as numbers: `-inf` where a boolean one is true.
fn numbers(mask: &Tensor, query: &Tensor, name: &str) -> Result<Tensor> {
    if mask.is_floating_point() {
        return Ok(mask.clone());
    }
    ensure!(mask.dtype() == DType::Bool, Assertion, "only bool and floating types of {name} are supported");
    let _guard = no_grad();
    ops::zeros_like_with(mask, |o| o.dtype(query.dtype()))?.masked_fill(mask, f64::NEG_INFINITY)
}
