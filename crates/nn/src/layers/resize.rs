//! Resizing: [`Upsample`] and its two older forms.

use cresset_core::value::OptIntList;
use cresset_core::{Result, Tensor, options};

use crate::functional::{InterpolateOptions, ScaleFactor, resize};
use crate::module::{Forward, Module, float, int_or_tuple};

options! {
    /// Settings of [`Upsample`]: exactly one of `size` and `scale_factor` is needed.
    UpsampleOptions {
        /// Size of the result: one number for all dimensions, or one for each.
        size: OptIntList = None.into(),
        /// Factor from input to result: one for all dimensions, or one for each.
        scale_factor: ScaleFactor = ScaleFactor(None),
        /// `nearest`, `linear`, `bilinear`, `bicubic` or `trilinear` (default: `nearest`).
        mode: String = "nearest".into(),
        /// Whether the corners of input and result coincide (default: no).
        align_corners: Option<bool> = None,
        /// Whether the factors are derived anew from the rounded sizes (default: no).
        recompute_scale_factor: bool = false,
    }
}

/// Resizes the last dimensions, as [`torch.nn.Upsample`](https://pytorch.org/docs/stable/generated/torch.nn.Upsample.html).
///
/// ```
/// # use cresset_nn::{Forward, Upsample};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = Upsample::with(|o| o.scale_factor(2.0).mode("bilinear"));
/// assert_eq!(layer.forward(&ops::randn([1, 3, 4, 4])?)?.sizes()[..], [1, 3, 8, 8]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[N, C, spatial…]` -> `[N, C, size…]`.
#[derive(Clone, Debug, Module)]
#[module(name = self.name.to_string(), repr = self.text())]
pub struct Upsample {
    #[module(skip)]
    name: &'static str,
    #[module(skip)]
    options: InterpolateOptions,
}

impl Upsample {
    /// With these settings.
    pub fn with(options: impl FnOnce(UpsampleOptions) -> UpsampleOptions) -> Upsample {
        Upsample::named("Upsample", options(UpsampleOptions::default()))
    }

    fn named(name: &'static str, o: UpsampleOptions) -> Upsample {
        let options = InterpolateOptions::default().size(o.size).scale_factor(o.scale_factor).mode(o.mode);
        let options = options.align_corners(o.align_corners).recompute_scale_factor(o.recompute_scale_factor);
        Upsample { name, options }
    }

    fn text(&self) -> String {
        let o = &self.options;
        let what = match (&o.scale_factor.0, o.size.as_deref()) {
            (Some(one), _) if one.len() == 1 => format!("scale_factor={}", float(one[0])),
            (Some(many), _) => {
                let list: Vec<String> = many.iter().map(|f| float(*f)).collect();
                format!("scale_factor=({})", list.join(", "))
            }
            (None, Some(size)) => format!("size={}", int_or_tuple(size)),
            (None, None) => "size=None".into(),
        };
        format!("{what}, mode='{}'", o.mode)
    }
}

impl Forward for Upsample {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        resize(input, &self.options)
    }
}

/// Makes images larger by repeating pixels, as `torch.nn.UpsamplingNearest2d`.
#[derive(Clone, Copy, Debug)]
pub struct UpsamplingNearest2d;

impl UpsamplingNearest2d {
    /// To a size or by a factor.
    pub fn with(options: impl FnOnce(UpsampleOptions) -> UpsampleOptions) -> Upsample {
        Upsample::named("UpsamplingNearest2d", options(UpsampleOptions::default()).mode("nearest"))
    }
}

/// Makes images larger by linear interpolation whose corners coincide, as `torch.nn.UpsamplingBilinear2d`.
#[derive(Clone, Copy, Debug)]
pub struct UpsamplingBilinear2d;

impl UpsamplingBilinear2d {
    /// To a size or by a factor.
    pub fn with(options: impl FnOnce(UpsampleOptions) -> UpsampleOptions) -> Upsample {
        let o = options(UpsampleOptions::default()).mode("bilinear").align_corners(true);
        Upsample::named("UpsamplingBilinear2d", o)
    }
}
