//! Linear and cubic interpolation.

use crate::autograd::Meta;
use crate::op::OpDef;
use crate::resampling::{self, Call, Mode};
use crate::{Result, Tensor, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    upsample_linear1d,
    upsample_linear1d_vec,
    upsample_linear1d_backward,
    upsample_bilinear2d,
    upsample_bilinear2d_vec,
    upsample_bilinear2d_backward,
    upsample_trilinear3d,
    upsample_trilinear3d_vec,
    upsample_trilinear3d_backward,
    upsample_bicubic2d,
    upsample_bicubic2d_vec,
    upsample_bicubic2d_backward,
];

/// Weighted mean of the two inputs around each output, along the last dimension.
#[op(
    "upsample_linear1d(Tensor self, SymInt[1] output_size, bool align_corners, float? scales=None) -> Tensor",
    out = "out",
    no_method
)]
mod upsample_linear1d {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Linear { align_corners };
        resampling::forward(
            Call { name: "upsample_linear1d", mode, output: output_size, factors: &[scales] },
            this,
        )
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        output_size: &[i64],
        align_corners: bool,
        scales: Option<f64>,
    ) -> Result<Tensor> {
        upsample_linear1d_backward::call(g, output_size, this.sizes(), align_corners, scales)
    }
}

/// [`upsample_linear1d`] to a size or by factors.
#[op(
    "upsample_linear1d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod upsample_linear1d_vec {
    fn kernel(
        input: &Tensor,
        output_size: Option<&[i64]>,
        align_corners: bool,
        scale_factors: Option<&[f64]>,
    ) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        upsample_linear1d::call(input, &size, align_corners, resampling::factor(scale_factors, 0))
    }
}

/// Gradient of [`upsample_linear1d`].
#[op(
    "upsample_linear1d_backward(Tensor grad_output, SymInt[1] output_size, SymInt[3] input_size, bool align_corners, float? scales=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod upsample_linear1d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        align_corners: bool,
        scales: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("upsample_linear1d_backward", Mode::Linear { align_corners });
        let call = Call { name, mode, output: output_size, factors: &[scales] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales: Option<f64>,
    ) -> Result<Tensor> {
        upsample_linear1d::call(g, output_size, align_corners, scales)
    }
}

/// Weighted mean of the four inputs around each output, along the last two dimensions.
#[op(
    "upsample_bilinear2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod upsample_bilinear2d {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Linear { align_corners };
        resampling::forward(
            Call { name: "upsample_bilinear2d", mode, output: output_size, factors: &[scales_h, scales_w] },
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
        upsample_bilinear2d_backward::call(g, output_size, this.sizes(), align_corners, scales_h, scales_w)
    }
}

/// [`upsample_bilinear2d`] to a size or by factors.
#[op(
    "upsample_bilinear2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod upsample_bilinear2d_vec {
    fn kernel(
        input: &Tensor,
        output_size: Option<&[i64]>,
        align_corners: bool,
        scale_factors: Option<&[f64]>,
    ) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        upsample_bilinear2d::call(
            input,
            &size,
            align_corners,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
        )
    }
}

/// Gradient of [`upsample_bilinear2d`].
#[op(
    "upsample_bilinear2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod upsample_bilinear2d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("upsample_bilinear2d_backward", Mode::Linear { align_corners });
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
        upsample_bilinear2d::call(g, output_size, align_corners, scales_h, scales_w)
    }
}

/// Weighted mean of the eight inputs around each output, along the last three dimensions.
#[op(
    "upsample_trilinear3d(Tensor self, SymInt[3] output_size, bool align_corners, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod upsample_trilinear3d {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Linear { align_corners };
        resampling::forward(
            Call {
                name: "upsample_trilinear3d",
                mode,
                output: output_size,
                factors: &[scales_d, scales_h, scales_w],
            },
            this,
        )
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        output_size: &[i64],
        align_corners: bool,
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        upsample_trilinear3d_backward::call(
            g,
            output_size,
            this.sizes(),
            align_corners,
            scales_d,
            scales_h,
            scales_w,
        )
    }
}

/// [`upsample_trilinear3d`] to a size or by factors.
#[op(
    "upsample_trilinear3d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod upsample_trilinear3d_vec {
    fn kernel(
        input: &Tensor,
        output_size: Option<&[i64]>,
        align_corners: bool,
        scale_factors: Option<&[f64]>,
    ) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        upsample_trilinear3d::call(
            input,
            &size,
            align_corners,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
            resampling::factor(scale_factors, 2),
        )
    }
}

/// Gradient of [`upsample_trilinear3d`].
#[op(
    "upsample_trilinear3d_backward(Tensor grad_output, SymInt[3] output_size, SymInt[5] input_size, bool align_corners, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod upsample_trilinear3d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        align_corners: bool,
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("upsample_trilinear3d_backward", Mode::Linear { align_corners });
        let call = Call { name, mode, output: output_size, factors: &[scales_d, scales_h, scales_w] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        upsample_trilinear3d::call(g, output_size, align_corners, scales_d, scales_h, scales_w)
    }
}

/// Cubic convolution of the sixteen inputs around each output, along the last two dimensions.
#[op(
    "upsample_bicubic2d(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod upsample_bicubic2d {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Cubic { align_corners };
        resampling::forward(
            Call { name: "upsample_bicubic2d", mode, output: output_size, factors: &[scales_h, scales_w] },
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
        upsample_bicubic2d_backward::call(g, output_size, this.sizes(), align_corners, scales_h, scales_w)
    }
}

/// [`upsample_bicubic2d`] to a size or by factors.
#[op(
    "upsample_bicubic2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod upsample_bicubic2d_vec {
    fn kernel(
        input: &Tensor,
        output_size: Option<&[i64]>,
        align_corners: bool,
        scale_factors: Option<&[f64]>,
    ) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        upsample_bicubic2d::call(
            input,
            &size,
            align_corners,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
        )
    }
}

/// Gradient of [`upsample_bicubic2d`].
#[op(
    "upsample_bicubic2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod upsample_bicubic2d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        align_corners: bool,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("upsample_bicubic2d_backward", Mode::Cubic { align_corners });
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
        upsample_bicubic2d::call(g, output_size, align_corners, scales_h, scales_w)
    }
}
