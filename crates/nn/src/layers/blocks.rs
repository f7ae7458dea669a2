//! Sliding blocks as columns ([`Fold`], [`Unfold`]), and channels exchanged with pixels.

use cresset_core::{IntList, Result, Tensor, ops};

use crate::functional::{BlockOptions, fold_with, unfold_with};
use crate::module::{Forward, Module, int_or_tuple};

fn text(o: &BlockOptions) -> String {
    let (d, p, s) = (int_or_tuple(&o.dilation), int_or_tuple(&o.padding), int_or_tuple(&o.stride));
    format!("dilation={d}, padding={p}, stride={s}")
}

/// Sums overlapping blocks to images, as `torch.nn.Fold`.
///
/// # Shapes
/// `[N, C kh kw, L]` -> `[N, C, *output_size]`, or both without `N`.
#[derive(Clone, Debug, Module)]
#[module(repr = self.text())]
pub struct Fold {
    #[module(skip)]
    output_size: IntList,
    #[module(skip)]
    kernel_size: IntList,
    #[module(skip)]
    options: BlockOptions,
}

impl Fold {
    /// Blocks one step apart.
    pub fn new(output_size: impl Into<IntList>, kernel_size: impl Into<IntList>) -> Fold {
        Fold::with(output_size, kernel_size, |o| o)
    }

    /// With optional settings.
    pub fn with(
        output_size: impl Into<IntList>,
        kernel_size: impl Into<IntList>,
        options: impl FnOnce(BlockOptions) -> BlockOptions,
    ) -> Fold {
        let options = options(BlockOptions::default());
        Fold { output_size: output_size.into(), kernel_size: kernel_size.into(), options }
    }

    fn text(&self) -> String {
        let (size, kernel) = (int_or_tuple(&self.output_size), int_or_tuple(&self.kernel_size));
        format!("output_size={size}, kernel_size={kernel}, {}", text(&self.options))
    }
}

impl Forward for Fold {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        fold_with(input, &self.output_size[..], &self.kernel_size[..], |_| self.options.clone())
    }
}

/// Takes sliding blocks out of images, as `torch.nn.Unfold`.
///
/// # Shapes
/// `[N, C, H, W]` -> `[N, C kh kw, L]`, or both without `N`.
#[derive(Clone, Debug, Module)]
#[module(repr = format!("kernel_size={}, {}", int_or_tuple(&self.kernel_size), text(&self.options)))]
pub struct Unfold {
    #[module(skip)]
    kernel_size: IntList,
    #[module(skip)]
    options: BlockOptions,
}

impl Unfold {
    /// Blocks one step apart.
    pub fn new(kernel_size: impl Into<IntList>) -> Unfold {
        Unfold::with(kernel_size, |o| o)
    }

    /// With optional settings.
    pub fn with(
        kernel_size: impl Into<IntList>,
        options: impl FnOnce(BlockOptions) -> BlockOptions,
    ) -> Unfold {
        Unfold { kernel_size: kernel_size.into(), options: options(BlockOptions::default()) }
    }
}

impl Forward for Unfold {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        unfold_with(input, &self.kernel_size[..], |_| self.options.clone())
    }
}

macro_rules! exchanges {
    ($($(#[$doc:meta])* $name:ident $op:ident $field:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        #[module(repr = format!(concat!(stringify!($field), "={}"), self.$field))]
        pub struct $name {
            #[module(skip)]
            $field: i64,
        }

        impl $name {
            #[doc = concat!("With that `", stringify!($field), "`.")]
            pub fn new($field: i64) -> $name {
                $name { $field }
            }
        }

        impl Forward for $name {
            fn forward(&self, input: &Tensor) -> Result<Tensor> {
                ops::$op(input, self.$field)
            }
        }
    )* };
}

exchanges! {
    /// Makes pixels of channels: `[*, C r^2, H, W]` -> `[*, C, H r, W r]`, as `torch.nn.PixelShuffle`.
    PixelShuffle pixel_shuffle upscale_factor;
    /// Makes channels of pixels: `[*, C, H r, W r]` -> `[*, C r^2, H, W]`, as `torch.nn.PixelUnshuffle`.
    PixelUnshuffle pixel_unshuffle downscale_factor;
    /// Deals the channels out, those of each group in turn, as `torch.nn.ChannelShuffle`.
    ChannelShuffle channel_shuffle groups;
}
