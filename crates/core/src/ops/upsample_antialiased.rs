//! Antialiased interpolation.

use crate::autograd::Meta;
use crate::op::OpDef;
use crate::resampling::{self, Call, Mode};
use crate::{Result, Tensor, op_list};
use cresset_kernels::resample::Filter;
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    _upsample_bilinear2d_aa,
    _upsample_bilinear2d_aa_vec,
    _upsample_bilinear2d_aa_backward,
    _upsample_bicubic2d_aa,
    _upsample_bicubic2d_aa_vec,
    _upsample_bicubic2d_aa_backward,
    _upsample_lanczos2d_aa,
    _upsample_lanczos2d_aa_vec,
    _upsample_lanczos2d_aa_backward,
];

/// Linear interpolation that does not alias: shrinking widens the filter.
#[op(
    "_upsample_bilinear2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod _upsample_bilinear2d_aa {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Antialiased { filter: Filter::Linear, align_corners };
        resampling::forward(
            Call {
                name: "_upsample_bilinear2d_aa",
                mode,
                output: output_size,
                factors: &[scales_h, scales_w],
            },
            this,
        )
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_bilinear2d_aa_backward::call(
            g,
            output_size,
            this.sizes(),
            align_corners,
            scales_h,
            scales_w,
        )
    }
}

/// [`_upsample_bilinear2d_aa`] to a size or by factors.
#[op(
    "_upsample_bilinear2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod _upsample_bilinear2d_aa_vec {
    fn kernel(
        input: &Tensor,
        output_size: Option<&[i64]>,
        align_corners: bool,
        scale_factors: Option<&[f64]>,
    ) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        _upsample_bilinear2d_aa::call(
            input,
            &size,
            align_corners,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
        )
    }
}

/// Gradient of [`_upsample_bilinear2d_aa`].
#[op(
    "_upsample_bilinear2d_aa_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod _upsample_bilinear2d_aa_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) =
            ("_upsample_bilinear2d_aa_backward", Mode::Antialiased { filter: Filter::Linear, align_corners });
        let call = Call { name, mode, output: output_size, factors: &[scales_h, scales_w] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_bilinear2d_aa::call(g, output_size, align_corners, scales_h, scales_w)
    }
}

/// Cubic interpolation that does not alias: shrinking widens the filter.
#[op(
    "_upsample_bicubic2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod _upsample_bicubic2d_aa {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Antialiased { filter: Filter::Cubic, align_corners };
        resampling::forward(
            Call {
                name: "_upsample_bicubic2d_aa",
                mode,
                output: output_size,
                factors: &[scales_h, scales_w],
            },
            this,
        )
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_bicubic2d_aa_backward::call(g, output_size, this.sizes(), align_corners, scales_h, scales_w)
    }
}

/// [`_upsample_bicubic2d_aa`] to a size or by factors.
#[op(
    "_upsample_bicubic2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod _upsample_bicubic2d_aa_vec {
    fn kernel(
        input: &Tensor,
        output_size: Option<&[i64]>,
        align_corners: bool,
        scale_factors: Option<&[f64]>,
    ) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        _upsample_bicubic2d_aa::call(
            input,
            &size,
            align_corners,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
        )
    }
}

/// Gradient of [`_upsample_bicubic2d_aa`].
#[op(
    "_upsample_bicubic2d_aa_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod _upsample_bicubic2d_aa_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) =
            ("_upsample_bicubic2d_aa_backward", Mode::Antialiased { filter: Filter::Cubic, align_corners });
        let call = Call { name, mode, output: output_size, factors: &[scales_h, scales_w] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_bicubic2d_aa::call(g, output_size, align_corners, scales_h, scales_w)
    }
}

/// Windowed sinc interpolation that does not alias: shrinking widens the filter.
#[op(
    "_upsample_lanczos2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod _upsample_lanczos2d_aa {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Antialiased { filter: Filter::Lanczos, align_corners };
        resampling::forward(
            Call {
                name: "_upsample_lanczos2d_aa",
                mode,
                output: output_size,
                factors: &[scales_h, scales_w],
            },
            this,
        )
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_lanczos2d_aa_backward::call(g, output_size, this.sizes(), align_corners, scales_h, scales_w)
    }
}

/// [`_upsample_lanczos2d_aa`] to a size or by factors.
#[op(
    "_upsample_lanczos2d_aa.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod _upsample_lanczos2d_aa_vec {
    fn kernel(
        input: &Tensor,
        output_size: Option<&[i64]>,
        align_corners: bool,
        scale_factors: Option<&[f64]>,
    ) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        _upsample_lanczos2d_aa::call(
            input,
            &size,
            align_corners,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
        )
    }
}

/// Gradient of [`_upsample_lanczos2d_aa`].
#[op(
    "_upsample_lanczos2d_aa_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod _upsample_lanczos2d_aa_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) =
            ("_upsample_lanczos2d_aa_backward", Mode::Antialiased { filter: Filter::Lanczos, align_corners });
        let call = Call { name, mode, output: output_size, factors: &[scales_h, scales_w] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_lanczos2d_aa::call(g, output_size, align_corners, scales_h, scales_w)
    }
}
