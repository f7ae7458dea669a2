//! Adam and AdamW.

use cresset_core::Result;
use cresset_core::optimizer::Direction;

use super::fused;
use crate::hyper::{Betas, betas, hyper, not_negative};
use crate::optimizer::{Item, Optimizer, Update};

macro_rules! adam {
    ($(#[$meta:meta])* $options:ident, decay $decay:literal $(($int:ident))?, decoupled $decoupled:literal) => {
        hyper! {
            $(#[$meta])*
            $options {
                /// Learning rate (default: 1e-3).
                lr: f64 = 1e-3,
                /// Decay rates of the moments (default: 0.9 and 0.999).
                betas: Betas = (0.9, 0.999),
                /// Added to the root of the second moment (default: 1e-8).
                eps: f64 = 1e-8,
                /// Weight decay.
                weight_decay: f64 = $decay,
                /// Whether the largest second moment so far is used (default: no).
                amsgrad: bool = false,
                /// Whether to climb instead (default: no).
                maximize: bool = false,
                /// Whether the parameter decays by itself instead of through the gradient.
                decoupled_weight_decay: bool = $decoupled,
            }
            besides { foreach, capturable, differentiable, fused }
            $(ints { $int })?
            check |h| {
                not_negative("learning rate", h.lr)?;
                not_negative("epsilon value", h.eps)?;
                betas(h.betas)?;
                not_negative("weight_decay value", h.weight_decay)?;
            }
        }
    };
}

adam! {
    /// Hyper-parameters of [`Adam`]; the weight decay is 0 at first and goes through the gradient.
    AdamOptions, decay 0.0 (weight_decay), decoupled false
}

adam! {
    /// Hyper-parameters of [`AdamW`]; the weight decay is 0.01 at first and decoupled.
    AdamWOptions, decay 0.01, decoupled true
}

/// Adam, as [`torch.optim.Adam`](https://pytorch.org/docs/stable/generated/torch.optim.Adam.html) (Kingma and Ba 2014):
/// `m <- b1 m + (1 - b1) g`, `v <- b2 v + (1 - b2) g^2`, `p <- p - lr m' / (sqrt(v') + eps)`, primes for bias correction.
///
#[doc = example!("Adam", "0.1, |o| o.amsgrad(true)", "3.38")]
pub type Adam = Optimizer<AdamUpdate>;

/// Adam with decoupled weight decay, as `torch.optim.AdamW` (Loshchilov and Hutter 2017).
///
#[doc = example!("AdamW", "0.1, |o| o.weight_decay(0.1)", "3.16")]
pub type AdamW = Optimizer<AdamWUpdate>;

/// The update of [`Adam`].
pub struct AdamUpdate;

/// The update of [`AdamW`].
pub struct AdamWUpdate;

impl Update for AdamUpdate {
    type Options = AdamOptions;

    fn update(items: Vec<Item<'_>>, h: &AdamOptions) -> Result<()> {
        let direction = Direction::new(h.maximize, h.weight_decay, h.decoupled_weight_decay.then_some(h.lr));
        fused(items, |param, state| {
            let step = state.next_step()?;
            let exp_avg = state.zeros_like("exp_avg", param)?;
            let exp_avg_sq = state.zeros_like("exp_avg_sq", param)?;
            let largest = state.zeros_like_if(h.amsgrad, "max_exp_avg_sq", param)?;
            let rule = cresset_core::optimizer::Adam::new(direction, h.lr, h.betas, h.eps, h.amsgrad, step);
            Ok((rule, [Some(exp_avg), Some(exp_avg_sq), largest]))
        })
    }
}

impl Update for AdamWUpdate {
    type Options = AdamWOptions;

    fn update(items: Vec<Item<'_>>, h: &AdamWOptions) -> Result<()> {
        let AdamWOptions { lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay, .. } = *h;
        let h = AdamOptions {
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize,
            decoupled_weight_decay,
            ..Default::default()
        };
        AdamUpdate::update(items, &h)
    }
}
