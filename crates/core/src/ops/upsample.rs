//! Interpolation: by the nearest input, linear, cubic, and free of aliasing.

use cresset_kernels::resample::Filter;
use cresset_macros::op;

use crate::autograd::Meta;
use crate::op::OpDef;
use crate::resampling::{self, Call, Mode};
use crate::{Result, Tensor, op_list};

/// Declares ways to interpolate. Each is three operators: to a size, to a size or by factors (`.vec`), and the gradient. After
/// their schemas stand the arguments that not all have: `align_corners`, and the factor of each dimension.
macro_rules! interpolations {
    ($($(#[$doc:meta])* $name:ident, $vec:ident, $backward:ident:
        $schema:literal, $vec_schema:literal, $backward_schema:literal,
        ($($align:ident)?) ($($scale:ident: $dim:literal),+) $mode:expr;)*) => {
        pub(crate) static OPS: &[&OpDef] = op_list![$($name, $vec, $backward),*];
        $(
            $(#[$doc])*
            #[op($schema, out = "out", no_method)]
            mod $name {
                fn kernel(
                    this: &Tensor,
                    output_size: &[i64],
                    $($align: bool,)?
                    $($scale: Option<f64>),+
                ) -> Result<Tensor> {
                    let (name, mode) = (stringify!($name), $mode);
                    resampling::forward(Call { name, mode, output: output_size, factors: &[$($scale),+] }, this)
                }
                fn grad_this(
                    g: &Tensor,
                    this: &Meta,
                    output_size: &[i64],
                    $($align: bool,)?
                    $($scale: Option<f64>),+
                ) -> Result<Tensor> {
                    $backward::call(g, output_size, this.sizes(), $($align,)? $($scale),+)
                }
            }

            /// The same to a size or by factors.
            #[op($vec_schema, composite, no_method)]
            mod $vec {
                fn kernel(
                    input: &Tensor,
                    output_size: Option<&[i64]>,
                    $($align: bool,)?
                    scale_factors: Option<&[f64]>,
                ) -> Result<Tensor> {
                    let size = resampling::output_size(input, output_size, scale_factors)?;
                    $name::call(input, &size, $($align,)? $(resampling::factor(scale_factors, $dim)),+)
                }
            }

            /// The gradient of an interpolation.
            #[op($backward_schema, out = "grad_input", no_method)]
            mod $backward {
                fn kernel(
                    grad_output: &Tensor,
                    output_size: &[i64],
                    input_size: &[i64],
                    $($align: bool,)?
                    $($scale: Option<f64>),+
                ) -> Result<Tensor> {
                    let (name, mode) = (stringify!($backward), $mode);
                    let call = Call { name, mode, output: output_size, factors: &[$($scale),+] };
                    resampling::backward(call, grad_output, input_size)
                }
                fn grad_grad_output(
                    g: &Tensor,
                    output_size: &[i64],
                    $($align: bool,)?
                    $($scale: Option<f64>),+
                ) -> Result<Tensor> {
                    $name::call(g, output_size, $($align,)? $($scale),+)
                }
            }
        )*
    };
}

interpolations! {
    /// Nearest input along the last dimension, rounded down.
    upsample_nearest1d, upsample_nearest1d_vec, upsample_nearest1d_backward:
        "upsample_nearest1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
        "upsample_nearest1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
        "upsample_nearest1d_backward(Tensor grad_output, SymInt[1] output_size, SymInt[3] input_size, float? scales=None) -> Tensor",
        () (scales: 0) Mode::Nearest { exact: false };

    /// Nearest input along the last two dimensions, rounded down.
    upsample_nearest2d, upsample_nearest2d_vec, upsample_nearest2d_backward:
        "upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
        "upsample_nearest2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
        "upsample_nearest2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, float? scales_h=None, float? scales_w=None) -> Tensor",
        () (scales_h: 0, scales_w: 1) Mode::Nearest { exact: false };

    /// Nearest input along the last three dimensions, rounded down.
    upsample_nearest3d, upsample_nearest3d_vec, upsample_nearest3d_backward:
        "upsample_nearest3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
        "upsample_nearest3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
        "upsample_nearest3d_backward(Tensor grad_output, SymInt[3] output_size, SymInt[5] input_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
        () (scales_d: 0, scales_h: 1, scales_w: 2) Mode::Nearest { exact: false };

    /// Nearest input along the last dimension, counted from the centre of each element.
    _upsample_nearest_exact1d, _upsample_nearest_exact1d_vec, _upsample_nearest_exact1d_backward:
        "_upsample_nearest_exact1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
        "_upsample_nearest_exact1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
        "_upsample_nearest_exact1d_backward(Tensor grad_output, SymInt[1] output_size, SymInt[3] input_size, float? scales=None) -> Tensor",
        () (scales: 0) Mode::Nearest { exact: true };

    /// Nearest input along the last two dimensions, counted from the centre of each element.
    _upsample_nearest_exact2d, _upsample_nearest_exact2d_vec, _upsample_nearest_exact2d_backward:
        "_upsample_nearest_exact2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
        "_upsample_nearest_exact2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
        "_upsample_nearest_exact2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, float? scales_h=None, float? scales_w=None) -> Tensor",
        () (scales_h: 0, scales_w: 1) Mode::Nearest { exact: true };

    /// Nearest input along the last three dimensions, counted from the centre of each element.
    _upsample_nearest_exact3d, _upsample_nearest_exact3d_vec, _upsample_nearest_exact3d_backward:
        "_upsample_nearest_exact3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
        "_upsample_nearest_exact3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
        "_upsample_nearest_exact3d_backward(Tensor grad_output, SymInt[3] output_size, SymInt[5] input_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
        () (scales_d: 0, scales_h: 1, scales_w: 2) Mode::Nearest { exact: true };

    /// Weighted mean of the two inputs around each output, along the last dimension.
    upsample_linear1d, upsample_linear1d_vec, upsample_linear1d_backward:
        "upsample_linear1d(Tensor self, SymInt[1] output_size, bool align_corners, float? scales=None) -> Tensor",
        "upsample_linear1d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
        "upsample_linear1d_backward(Tensor grad_output, SymInt[1] output_size, SymInt[3] input_size, bool align_corners, float? scales=None) -> Tensor",
        (align_corners) (scales: 0) Mode::Linear { align_corners };

    /// Weighted mean of the four inputs around each output, along the last two dimensions.
    upsample_bilinear2d, upsample_bilinear2d_vec, upsample_bilinear2d_backward:
        "upsample_bilinear2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        "upsample_bilinear2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
        "upsample_bilinear2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        (align_corners) (scales_h: 0, scales_w: 1) Mode::Linear { align_corners };

    /// Weighted mean of the eight inputs around each output, along the last three dimensions.
    upsample_trilinear3d, upsample_trilinear3d_vec, upsample_trilinear3d_backward:
        "upsample_trilinear3d(Tensor self, SymInt[3] output_size, bool align_corners, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
        "upsample_trilinear3d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
        "upsample_trilinear3d_backward(Tensor grad_output, SymInt[3] output_size, SymInt[5] input_size, bool align_corners, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
        (align_corners) (scales_d: 0, scales_h: 1, scales_w: 2) Mode::Linear { align_corners };

    /// Cubic convolution of the sixteen inputs around each output, along the last two dimensions.
    upsample_bicubic2d, upsample_bicubic2d_vec, upsample_bicubic2d_backward:
        "upsample_bicubic2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        "upsample_bicubic2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
        "upsample_bicubic2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        (align_corners) (scales_h: 0, scales_w: 1) Mode::Cubic { align_corners };

    /// Linear interpolation that does not alias: shrinking widens the filter.
    _upsample_bilinear2d_aa, _upsample_bilinear2d_aa_vec, _upsample_bilinear2d_aa_backward:
        "_upsample_bilinear2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        "_upsample_bilinear2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
        "_upsample_bilinear2d_aa_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        (align_corners) (scales_h: 0, scales_w: 1) Mode::Antialiased { filter: Filter::Linear, align_corners };

    /// Cubic interpolation that does not alias: shrinking widens the filter.
    _upsample_bicubic2d_aa, _upsample_bicubic2d_aa_vec, _upsample_bicubic2d_aa_backward:
        "_upsample_bicubic2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        "_upsample_bicubic2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
        "_upsample_bicubic2d_aa_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        (align_corners) (scales_h: 0, scales_w: 1) Mode::Antialiased { filter: Filter::Cubic, align_corners };

    /// Windowed sinc interpolation that does not alias: shrinking widens the filter.
    _upsample_lanczos2d_aa, _upsample_lanczos2d_aa_vec, _upsample_lanczos2d_aa_backward:
        "_upsample_lanczos2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        "_upsample_lanczos2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
        "_upsample_lanczos2d_aa_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
        (align_corners) (scales_h: 0, scales_w: 1) Mode::Antialiased { filter: Filter::Lanczos, align_corners };
}
