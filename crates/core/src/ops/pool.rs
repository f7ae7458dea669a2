//! Maximum and average pooling with windows of a fixed size.

use cresset_kernels::pool::Average;
use cresset_macros::op;

use crate::autograd::Meta;
use crate::op::OpDef;
use crate::pooling::{self, Sizes, windows};
use crate::supported::{floats, not_half, reals, require};
use crate::{Result, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool2d_with_indices_backward,
    max_pool3d,
    max_pool3d_with_indices,
    max_pool3d_with_indices_backward,
    avg_pool1d,
    avg_pool2d,
    avg_pool2d_backward,
    avg_pool3d,
    avg_pool3d_backward,
];

/// Largest element of every window along the last dimension.
#[op(
    "max_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], int[1] dilation=[1], bool ceil_mode=False) -> Tensor",
    composite,
    onnx = "MaxPool"
)]
mod max_pool1d {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
    ) -> Result<Tensor> {
        require("max_pool1d_impl", this, floats)?;
        check_max_pool1d(this, kernel_size, stride, padding, dilation, ceil_mode)?;
        Ok(max_pool1d_with_indices::call(this, kernel_size, stride, padding, dilation, ceil_mode)?.0)
    }
}

/// PyTorch's own texts for this operator.
fn check_max_pool1d(
    this: &Tensor,
    kernel_size: &[i64],
    stride: &[i64],
    padding: &[i64],
    dilation: &[i64],
    ceil_mode: bool,
) -> Result<()> {
    let shape = this.sizes();
    if !matches!(shape.len(), 2 | 3) || shape[shape.len() - 2..].contains(&0) {
        bail!(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:{:?}",
            shape.as_slice()
        );
    }
    let stride = if stride.is_empty() { kernel_size } else { stride };
    let named =
        [("kernel_size", kernel_size), ("stride", stride), ("padding", padding), ("dilation", dilation)];
    if let Some((name, list)) = named.into_iter().find(|(_, list)| list.len() != 1) {
        bail!(
            "max_pool1d() {name} must be an int, list of ints or tuple of ints of size 1 but got size {}",
            list.len()
        );
    }
    let (k, s, p, d) = (kernel_size[0], stride[0], padding[0], dilation[0]);
    for (name, value) in [("kernel_size", k), ("stride", s), ("dilation", d)] {
        if value <= 0 {
            bail!("max_pool1d() {name} must be greater than zero, but got {value}");
        }
    }
    if p < 0 {
        bail!("max_pool1d() padding must be non-negative, but got {p}");
    }
    if p > k / 2 {
        bail!(
            "max_pool1d() padding should be at most half of kernel size, but got padding={p} and kernel_size={k}"
        );
    }
    let n = pooling::output_size(this.size(-1)?, k, p, s, d, ceil_mode)?;
    if n <= 0 {
        bail!("max_pool1d() Invalid computed output size: {n}");
    }
    Ok(())
}

/// Largest element of every window along the last dimension, and its index.
#[op(
    "max_pool1d_with_indices(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], int[1] dilation=[1], bool ceil_mode=False) -> (Tensor, Tensor)",
    composite
)]
mod max_pool1d_with_indices {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
    ) -> Result<(Tensor, Tensor)> {
        check_1d("max_pool1d", this)?;
        let stride = if stride.is_empty() { kernel_size } else { stride };
        let (values, indices) = max_pool2d_with_indices::call(
            &this.unsqueeze(-2)?,
            &rows(1, kernel_size),
            &rows(1, stride),
            &rows(0, padding),
            &rows(1, dilation),
            ceil_mode,
        )?;
        Ok((values.squeeze_dim(-2)?, indices.squeeze_dim(-2)?))
    }
}

/// A size of the last dimension as one of the last two.
fn rows(first: i64, rest: &[i64]) -> Vec<i64> {
    std::iter::once(first).chain(rest.iter().copied()).collect()
}

/// Refuses inputs without channels or a length, with the number of dimensions that the function counts.
pub(super) fn check_1d(name: &str, this: &Tensor) -> Result<()> {
    let dims = this.dim();
    if dims != 2 && dims != 3 {
        bail!(
            "Expected 2 to 3 dimensions, but got {dims}-dimensional tensor for argument #1 'self' (while checking arguments for {name})"
        );
    }
    Ok(())
}

/// Average of every window along the last dimension.
#[op(
    "avg_pool1d(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], bool ceil_mode=False, bool count_include_pad=True) -> Tensor",
    composite,
    out = "out",
    onnx = "AveragePool"
)]
mod avg_pool1d {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
    ) -> Result<Tensor> {
        check_1d("avg_pool1d", this)?;
        let stride = if stride.is_empty() { kernel_size } else { stride };
        avg_pool2d::call(
            &this.unsqueeze(-2)?,
            &rows(1, kernel_size),
            &rows(1, stride),
            &rows(0, padding),
            ceil_mode,
            count_include_pad,
            None,
        )?
        .squeeze_dim(-2)
    }
}

/// How windows of an average are counted.
fn counted(count_padding: bool, divisor: Option<i64>) -> Result<Average> {
    if divisor == Some(0) {
        bail!("divisor must be not zero");
    }
    Ok(Average { count_padding, divisor })
}

/// Largest element of every window over the last two dimensions.
#[op(
    "max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor",
    composite
)]
mod max_pool2d {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
    ) -> Result<Tensor> {
        Ok(max_pool2d_with_indices::call(this, kernel_size, stride, padding, dilation, ceil_mode)?.0)
    }
}

/// Largest element of every window over the last two dimensions, and its index in the plane.
#[op(
    "max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
    out("out", out, indices),
    tags(core)
)]
mod max_pool2d_with_indices {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
    ) -> Result<(Tensor, Tensor)> {
        require("max_pool2d", this, reals)?;
        let sizes = Sizes { kernel: kernel_size, stride, padding, dilation, ceil: ceil_mode };
        let (windows, result) = windows("max_pool2d", this, 2, sizes)?;
        pooling::max(this, &windows, &result)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
        out1: &Tensor,
    ) -> Result<Tensor> {
        max_pool2d_with_indices_backward::call(
            g,
            this,
            kernel_size,
            stride,
            padding,
            dilation,
            ceil_mode,
            out1,
        )
    }
}

/// Gradient of [`max_pool2d_with_indices`] from that of its values.
#[op(
    "max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation, bool ceil_mode, Tensor indices) -> Tensor",
    nondiff(indices),
    no_method
)]
mod max_pool2d_with_indices_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
        indices: &Tensor,
    ) -> Result<Tensor> {
        require("max_pool2d_backward", grad_output, floats)?;
        let sizes = Sizes { kernel: kernel_size, stride, padding, dilation, ceil: ceil_mode };
        windows("max_pool2d", this, 2, sizes)?;
        pooling::max_backward(grad_output, this, indices, 2)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        pooling::pick(g, indices, 2)
    }
}

/// Average of every window over the last two dimensions.
#[op(
    "avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
    out = "out",
    tags(core)
)]
mod avg_pool2d {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: Option<i64>,
    ) -> Result<Tensor> {
        let how = counted(count_include_pad, divisor_override)?;
        let sizes = Sizes { kernel: kernel_size, stride, padding, dilation: &[1], ceil: ceil_mode };
        let (windows, result) = windows("avg_pool2d", this, 2, sizes)?;
        pooling::average(this, &windows, how, &result)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: Option<i64>,
    ) -> Result<Tensor> {
        avg_pool2d_backward::call(
            g,
            this,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )
    }
}

/// Gradient of [`avg_pool2d`].
#[op(
    "avg_pool2d_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
    no_method
)]
mod avg_pool2d_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: Option<i64>,
    ) -> Result<Tensor> {
        let how = counted(count_include_pad, divisor_override)?;
        let sizes = Sizes { kernel: kernel_size, stride, padding, dilation: &[1], ceil: ceil_mode };
        let (windows, result) = windows("avg_pool2d", this, 2, sizes)?;
        pooling::check_gradient(grad_output, &result)?;
        pooling::average_backward(grad_output, this, &windows, how)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(
        g: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: Option<i64>,
    ) -> Result<Tensor> {
        avg_pool2d::call(g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    }
}

/// Largest element of every window over the last three dimensions.
#[op(
    "max_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> Tensor",
    autocast = "fp32",
    composite
)]
mod max_pool3d {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
    ) -> Result<Tensor> {
        Ok(max_pool3d_with_indices::call(this, kernel_size, stride, padding, dilation, ceil_mode)?.0)
    }
}

/// Largest element of every window over the last three dimensions, and its index in the plane.
#[op(
    "max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)",
    out("out", out, indices),
    tags(core)
)]
mod max_pool3d_with_indices {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
    ) -> Result<(Tensor, Tensor)> {
        require("max_pool3d", this, reals)?;
        let sizes = Sizes { kernel: kernel_size, stride, padding, dilation, ceil: ceil_mode };
        let (windows, result) = windows("max_pool3d_with_indices", this, 3, sizes)?;
        pooling::max(this, &windows, &result)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
        out1: &Tensor,
    ) -> Result<Tensor> {
        max_pool3d_with_indices_backward::call(
            g,
            this,
            kernel_size,
            stride,
            padding,
            dilation,
            ceil_mode,
            out1,
        )
    }
}

/// Gradient of [`max_pool3d_with_indices`] from that of its values.
#[op(
    "max_pool3d_with_indices_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, int[3] dilation, bool ceil_mode, Tensor indices) -> Tensor",
    nondiff(indices),
    no_method
)]
mod max_pool3d_with_indices_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        ceil_mode: bool,
        indices: &Tensor,
    ) -> Result<Tensor> {
        require("max_pool3d_backward", grad_output, floats)?;
        let sizes = Sizes { kernel: kernel_size, stride, padding, dilation, ceil: ceil_mode };
        windows("max_pool3d_with_indices", this, 3, sizes)?;
        pooling::max_backward(grad_output, this, indices, 3)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        pooling::pick(g, indices, 3)
    }
}

/// Average of every window over the last three dimensions.
#[op(
    "avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
    autocast = "fp32",
    out = "out",
    tags(core)
)]
mod avg_pool3d {
    fn kernel(
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: Option<i64>,
    ) -> Result<Tensor> {
        require("avg_pool3d_out_frame", this, not_half)?;
        let how = counted(count_include_pad, divisor_override)?;
        let sizes = Sizes { kernel: kernel_size, stride, padding, dilation: &[1], ceil: ceil_mode };
        let (windows, result) = windows("avg_pool3d", this, 3, sizes)?;
        pooling::average(this, &windows, how, &result)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: Option<i64>,
    ) -> Result<Tensor> {
        avg_pool3d_backward::call(
            g,
            this,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )
    }
}

/// Gradient of [`avg_pool3d`].
#[op(
    "avg_pool3d_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
    no_method
)]
mod avg_pool3d_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: Option<i64>,
    ) -> Result<Tensor> {
        require("avg_pool3d_backward_out_frame", this, not_half)?;
        let how = counted(count_include_pad, divisor_override)?;
        let sizes = Sizes { kernel: kernel_size, stride, padding, dilation: &[1], ceil: ceil_mode };
        let (windows, result) = windows("avg_pool3d", this, 3, sizes)?;
        pooling::check_gradient(grad_output, &result)?;
        pooling::average_backward(grad_output, this, &windows, how)
    }
    fn grad_this(this: &Meta) -> Result<Tensor> {
        this.zeros()
    }
    fn grad_grad_output(
        g: &Tensor,
        kernel_size: &[i64],
        stride: &[i64],
        padding: &[i64],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: Option<i64>,
    ) -> Result<Tensor> {
        avg_pool3d::call(g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    }
}
