//! Interpolation by the nearest input.

use crate::autograd::Meta;
use crate::op::OpDef;
use crate::resampling::{self, Call, Mode};
use crate::{Result, Tensor, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    upsample_nearest1d,
    upsample_nearest1d_vec,
    upsample_nearest1d_backward,
    upsample_nearest2d,
    upsample_nearest2d_vec,
    upsample_nearest2d_backward,
    upsample_nearest3d,
    upsample_nearest3d_vec,
    upsample_nearest3d_backward,
    _upsample_nearest_exact1d,
    _upsample_nearest_exact1d_vec,
    _upsample_nearest_exact1d_backward,
    _upsample_nearest_exact2d,
    _upsample_nearest_exact2d_vec,
    _upsample_nearest_exact2d_backward,
    _upsample_nearest_exact3d,
    _upsample_nearest_exact3d_vec,
    _upsample_nearest_exact3d_backward,
];

/// Nearest input along the last dimension, rounded down.
#[op(
    "upsample_nearest1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
    out = "out",
    no_method
)]
mod upsample_nearest1d {
    fn kernel(this: &Tensor, output_size: &[i64], scales: Option<f64>) -> Result<Tensor> {
        let mode = Mode::Nearest { exact: false };
        resampling::forward(
            Call { name: "upsample_nearest1d", mode, output: output_size, factors: &[scales] },
            this,
        )
    }
    fn grad_this(g: &Tensor, this: &Meta, output_size: &[i64], scales: Option<f64>) -> Result<Tensor> {
        upsample_nearest1d_backward::call(g, output_size, this.sizes(), scales)
    }
}

/// [`upsample_nearest1d`] to a size or by factors.
#[op(
    "upsample_nearest1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod upsample_nearest1d_vec {
    fn kernel(input: &Tensor, output_size: Option<&[i64]>, scale_factors: Option<&[f64]>) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        upsample_nearest1d::call(input, &size, resampling::factor(scale_factors, 0))
    }
}

/// Gradient of [`upsample_nearest1d`].
#[op(
    "upsample_nearest1d_backward(Tensor grad_output, SymInt[1] output_size, SymInt[3] input_size, float? scales=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod upsample_nearest1d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        scales: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("upsample_nearest1d_backward", Mode::Nearest { exact: false });
        let call = Call { name, mode, output: output_size, factors: &[scales] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(g: &Tensor, output_size: &[i64], scales: Option<f64>) -> Result<Tensor> {
        upsample_nearest1d::call(g, output_size, scales)
    }
}

/// Nearest input along the last two dimensions, rounded down.
#[op(
    "upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod upsample_nearest2d {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Nearest { exact: false };
        resampling::forward(
            Call { name: "upsample_nearest2d", mode, output: output_size, factors: &[scales_h, scales_w] },
            this,
        )
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        output_size: &[i64],
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        upsample_nearest2d_backward::call(g, output_size, this.sizes(), scales_h, scales_w)
    }
}

/// [`upsample_nearest2d`] to a size or by factors.
#[op(
    "upsample_nearest2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod upsample_nearest2d_vec {
    fn kernel(input: &Tensor, output_size: Option<&[i64]>, scale_factors: Option<&[f64]>) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        upsample_nearest2d::call(
            input,
            &size,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
        )
    }
}

/// Gradient of [`upsample_nearest2d`].
#[op(
    "upsample_nearest2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod upsample_nearest2d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("upsample_nearest2d_backward", Mode::Nearest { exact: false });
        let call = Call { name, mode, output: output_size, factors: &[scales_h, scales_w] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        upsample_nearest2d::call(g, output_size, scales_h, scales_w)
    }
}

/// Nearest input along the last three dimensions, rounded down.
#[op(
    "upsample_nearest3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod upsample_nearest3d {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Nearest { exact: false };
        resampling::forward(
            Call {
                name: "upsample_nearest3d",
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
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        upsample_nearest3d_backward::call(g, output_size, this.sizes(), scales_d, scales_h, scales_w)
    }
}

/// [`upsample_nearest3d`] to a size or by factors.
#[op(
    "upsample_nearest3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod upsample_nearest3d_vec {
    fn kernel(input: &Tensor, output_size: Option<&[i64]>, scale_factors: Option<&[f64]>) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        upsample_nearest3d::call(
            input,
            &size,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
            resampling::factor(scale_factors, 2),
        )
    }
}

/// Gradient of [`upsample_nearest3d`].
#[op(
    "upsample_nearest3d_backward(Tensor grad_output, SymInt[3] output_size, SymInt[5] input_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod upsample_nearest3d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("upsample_nearest3d_backward", Mode::Nearest { exact: false });
        let call = Call { name, mode, output: output_size, factors: &[scales_d, scales_h, scales_w] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        upsample_nearest3d::call(g, output_size, scales_d, scales_h, scales_w)
    }
}

/// Nearest input along the last dimension, counted from the centre of each element.
#[op(
    "_upsample_nearest_exact1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
    out = "out",
    no_method
)]
mod _upsample_nearest_exact1d {
    fn kernel(this: &Tensor, output_size: &[i64], scales: Option<f64>) -> Result<Tensor> {
        let mode = Mode::Nearest { exact: true };
        resampling::forward(
            Call { name: "_upsample_nearest_exact1d", mode, output: output_size, factors: &[scales] },
            this,
        )
    }
    fn grad_this(g: &Tensor, this: &Meta, output_size: &[i64], scales: Option<f64>) -> Result<Tensor> {
        _upsample_nearest_exact1d_backward::call(g, output_size, this.sizes(), scales)
    }
}

/// [`_upsample_nearest_exact1d`] to a size or by factors.
#[op(
    "_upsample_nearest_exact1d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod _upsample_nearest_exact1d_vec {
    fn kernel(input: &Tensor, output_size: Option<&[i64]>, scale_factors: Option<&[f64]>) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        _upsample_nearest_exact1d::call(input, &size, resampling::factor(scale_factors, 0))
    }
}

/// Gradient of [`_upsample_nearest_exact1d`].
#[op(
    "_upsample_nearest_exact1d_backward(Tensor grad_output, SymInt[1] output_size, SymInt[3] input_size, float? scales=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod _upsample_nearest_exact1d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        scales: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("_upsample_nearest_exact1d_backward", Mode::Nearest { exact: true });
        let call = Call { name, mode, output: output_size, factors: &[scales] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(g: &Tensor, output_size: &[i64], scales: Option<f64>) -> Result<Tensor> {
        _upsample_nearest_exact1d::call(g, output_size, scales)
    }
}

/// Nearest input along the last two dimensions, counted from the centre of each element.
#[op(
    "_upsample_nearest_exact2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod _upsample_nearest_exact2d {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Nearest { exact: true };
        resampling::forward(
            Call {
                name: "_upsample_nearest_exact2d",
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
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_nearest_exact2d_backward::call(g, output_size, this.sizes(), scales_h, scales_w)
    }
}

/// [`_upsample_nearest_exact2d`] to a size or by factors.
#[op(
    "_upsample_nearest_exact2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod _upsample_nearest_exact2d_vec {
    fn kernel(input: &Tensor, output_size: Option<&[i64]>, scale_factors: Option<&[f64]>) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        _upsample_nearest_exact2d::call(
            input,
            &size,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
        )
    }
}

/// Gradient of [`_upsample_nearest_exact2d`].
#[op(
    "_upsample_nearest_exact2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod _upsample_nearest_exact2d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("_upsample_nearest_exact2d_backward", Mode::Nearest { exact: true });
        let call = Call { name, mode, output: output_size, factors: &[scales_h, scales_w] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_nearest_exact2d::call(g, output_size, scales_h, scales_w)
    }
}

/// Nearest input along the last three dimensions, counted from the centre of each element.
#[op(
    "_upsample_nearest_exact3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "out",
    no_method
)]
mod _upsample_nearest_exact3d {
    fn kernel(
        this: &Tensor,
        output_size: &[i64],
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let mode = Mode::Nearest { exact: true };
        resampling::forward(
            Call {
                name: "_upsample_nearest_exact3d",
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
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_nearest_exact3d_backward::call(g, output_size, this.sizes(), scales_d, scales_h, scales_w)
    }
}

/// [`_upsample_nearest_exact3d`] to a size or by factors.
#[op(
    "_upsample_nearest_exact3d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
    composite,
    no_method
)]
mod _upsample_nearest_exact3d_vec {
    fn kernel(input: &Tensor, output_size: Option<&[i64]>, scale_factors: Option<&[f64]>) -> Result<Tensor> {
        let size = resampling::output_size(input, output_size, scale_factors)?;
        _upsample_nearest_exact3d::call(
            input,
            &size,
            resampling::factor(scale_factors, 0),
            resampling::factor(scale_factors, 1),
            resampling::factor(scale_factors, 2),
        )
    }
}

/// Gradient of [`_upsample_nearest_exact3d`].
#[op(
    "_upsample_nearest_exact3d_backward(Tensor grad_output, SymInt[3] output_size, SymInt[5] input_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
    out = "grad_input",
    no_method
)]
mod _upsample_nearest_exact3d_backward {
    fn kernel(
        grad_output: &Tensor,
        output_size: &[i64],
        input_size: &[i64],
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        let (name, mode) = ("_upsample_nearest_exact3d_backward", Mode::Nearest { exact: true });
        let call = Call { name, mode, output: output_size, factors: &[scales_d, scales_h, scales_w] };
        resampling::backward(call, grad_output, input_size)
    }
    fn grad_grad_output(
        g: &Tensor,
        output_size: &[i64],
        scales_d: Option<f64>,
        scales_h: Option<f64>,
        scales_w: Option<f64>,
    ) -> Result<Tensor> {
        _upsample_nearest_exact3d::call(g, output_size, scales_d, scales_h, scales_w)
    }
}
