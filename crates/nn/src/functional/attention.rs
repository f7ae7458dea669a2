//! Attention in several subspaces with given projections.

use cresset_core::{Result, Tensor, options};

use crate::layers::MultiheadAttention;

options! {
    /// Optional settings of [`multi_head_attention_forward`].
    MultiHeadAttentionSettings {
        /// Projections of query, key and value, if they are not one tensor (default: none).
        separate_proj_weights: Option<[Tensor; 3]> = None,
        /// Summands of the projections, `[3 E]` (default: none).
        in_proj_bias: Option<Tensor> = None,
        /// The key that is added to each sequence, `[1, 1, E]` (default: none).
        bias_k: Option<Tensor> = None,
        /// The value that is added to each sequence, `[1, 1, E]` (default: none).
        bias_v: Option<Tensor> = None,
        /// Whether a key and value of zeros are added to each sequence (default: no).
        add_zero_attn: bool = false,
        /// Dropout of the weights while training (default: 0).
        dropout_p: f64 = 0.0,
        /// The summand of the result, `[E]` (default: none).
        out_proj_bias: Option<Tensor> = None,
        /// Whether there is dropout (default: yes).
        training: bool = true,
        /// `[N, S]`: keys that nobody sees where true, or numbers that are added to their scores.
        key_padding_mask: Option<Tensor> = None,
        /// Whether the weights are returned, too (default: yes).
        need_weights: bool = true,
        /// `[L, S]` or `[N * heads, L, S]`: pairs that do not see each other where true, or numbers that are added.
        attn_mask: Option<Tensor> = None,
        /// Whether the weights are averaged over the heads (default: yes).
        average_attn_weights: bool = true,
        /// A hint that `attn_mask` is that of causality (default: no).
        is_causal: bool = false,
    }
}

/// What each query gathers from the values, and the weights unless they are not needed: [`MultiheadAttention`] with
/// projections of the caller. Without `in_proj_weight`, `separate_proj_weights` are the projections.
///
/// # Shapes
/// Query `[L, N, E]`, key `[S, N, K]`, value `[S, N, V]`, `in_proj_weight [3 E, E]`, `out_proj_weight [E, E]` -> `[L, N, E]` and
/// weights `[N, L, S]`; `N` may be left out.
/// # Errors
/// As [`MultiheadAttention`].
pub fn multi_head_attention_forward(
    [query, key, value]: [&Tensor; 3],
    num_heads: i64,
    in_proj_weight: Option<&Tensor>,
    out_proj_weight: &Tensor,
    options: impl FnOnce(MultiHeadAttentionSettings) -> MultiHeadAttentionSettings,
) -> Result<(Tensor, Option<Tensor>)> {
    let o = options(MultiHeadAttentionSettings::default());
    let layer = MultiheadAttention::assembled(query, num_heads, in_proj_weight, out_proj_weight, &o)?;
    layer.forward_with(query, key, value, |a| {
        let a = a.key_padding_mask(o.key_padding_mask).attn_mask(o.attn_mask).need_weights(o.need_weights);
        a.average_attn_weights(o.average_attn_weights).is_causal(o.is_causal)
    })
}
