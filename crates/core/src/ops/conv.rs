//! Convolutions: the operator behind `conv1d` and its kin, and its gradient.

use cresset_macros::op;

use super::conv_compute::{self, backward_bias, backward_input, backward_weight};
use super::conv_shape::Shape;
use crate::autograd::Meta;
use crate::layout::Dims;
use crate::op::{Grad, Grads, Needs, OpDef};
use crate::{Result, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![convolution, convolution_backward];

/// Convolution over one to three dimensions; transposed, the gradient of one with respect to its input.
#[op(
    "convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor",
    wrt(input, weight, bias),
    tags(core)
)]
mod convolution {
    fn kernel(
        input: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        transposed: bool,
        output_padding: &[i64],
        groups: i64,
    ) -> Result<Tensor> {
        let lists = [stride, padding, dilation, output_padding];
        let shape = Shape::new(&input.sizes(), &weight.sizes(), lists, transposed, groups)?;
        shape.check(input, weight, bias)?;
        conv_compute::forward(&shape, input, weight, bias)
    }
    fn grad(
        g: &Tensor,
        input: &Tensor,
        weight: &Tensor,
        bias: Option<&Meta>,
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        transposed: bool,
        output_padding: &[i64],
        groups: i64,
        needs: Needs,
    ) -> Result<Grads> {
        let mask = [0, 1, 2].map(|i| needs.get(i));
        let sizes = bias.map(|b| b.sizes());
        let (a, b, c) = convolution_backward::call(
            g,
            input,
            weight,
            sizes,
            stride,
            padding,
            dilation,
            transposed,
            output_padding,
            groups,
            &mask,
        )?;
        Ok(masked([a, b, c], mask))
    }
}

fn masked(grads: [Tensor; 3], mask: [bool; 3]) -> Grads {
    grads.into_iter().zip(mask).map(|(g, wanted)| if wanted { Grad::One(g) } else { Grad::None }).collect()
}

/// The gradients of `convolution` with respect to input, weight and bias; those that `output_mask` does not ask for are empty.
#[op(
    "convolution_backward(Tensor grad_output, Tensor input, Tensor weight, SymInt[]? bias_sizes, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
    wrt(grad_output, input, weight)
)]
mod convolution_backward {
    fn kernel(
        grad_output: &Tensor,
        input: &Tensor,
        weight: &Tensor,
        bias_sizes: Option<&[i64]>,
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        transposed: bool,
        output_padding: &[i64],
        groups: i64,
        output_mask: &[bool],
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let _ = bias_sizes;
        let lists = [stride, padding, dilation, output_padding];
        let shape = Shape::new(&input.sizes(), &weight.sizes(), lists, transposed, groups)?;
        shape.check(input, weight, None)?;
        if grad_output.sizes().as_slice() != shape.output().as_slice() || grad_output.dtype() != input.dtype()
        {
            bail!(
                "convolution_backward: expected grad_output of size {:?} and type {}, got {:?} and {}",
                shape.output().as_slice(),
                input.dtype().scalar_type(),
                grad_output.sizes().as_slice(),
                grad_output.dtype().scalar_type()
            );
        }
        let wanted = |i: usize| output_mask.get(i).copied().unwrap_or(false);
        let none = || Tensor::empty_of(&[0], input.dtype(), input.device());
        Ok((
            if wanted(0) { backward_input(&shape, grad_output, weight)? } else { none()? },
            if wanted(1) { backward_weight(&shape, grad_output, input)? } else { none()? },
            if wanted(2) { backward_bias(grad_output)? } else { none()? },
        ))
    }
    /// The three outputs are linear in `grad_output`, the first in the weight and the second in the input: their
    /// gradients are convolutions of the same shape again.
    fn grad(
        grads: &[Option<Tensor>],
        grad_output: &Tensor,
        input: &Tensor,
        weight: &Tensor,
        stride: &[i64],
        padding: &[i64],
        dilation: &[i64],
        transposed: bool,
        output_padding: &[i64],
        groups: i64,
        output_mask: &[bool],
        needs: Needs,
    ) -> Result<Grads> {
        let of = |i: usize| grads[i].as_ref().filter(|_| output_mask.get(i) == Some(&true));
        let again = |x: &Tensor, w: &Tensor| {
            convolution::call(x, w, None, stride, padding, dilation, transposed, output_padding, groups)
        };
        let back = |x: &Tensor, w: &Tensor, mask: [bool; 3]| {
            convolution_backward::call(
                grad_output,
                x,
                w,
                None,
                stride,
                padding,
                dilation,
                transposed,
                output_padding,
                groups,
                &mask,
            )
        };
        let mut d_output: Option<Tensor> = None;
        if needs.get(0) {
            let from_input = of(0).map(|ggi| again(ggi, weight)).transpose()?;
            let from_weight = of(1).map(|ggw| again(input, ggw)).transpose()?;
            let from_bias = of(2).map(|ggb| over_channels(ggb, grad_output)).transpose()?;
            for part in [from_input, from_weight, from_bias].into_iter().flatten() {
                d_output = Some(match d_output {
                    None => part,
                    Some(sum) => sum.add(&part)?,
                });
            }
        }
        let d_input = match of(1).filter(|_| needs.get(1)) {
            Some(ggw) => Some(back(input, ggw, [true, false, false])?.0),
            None => None,
        };
        let d_weight = match of(0).filter(|_| needs.get(2)) {
            Some(ggi) => Some(back(ggi, weight, [false, true, false])?.1),
            None => None,
        };
        Ok(vec![d_output.into(), d_input.into(), d_weight.into()])
    }
}

/// One value a channel, repeated over an output.
fn over_channels(values: &Tensor, output: &Tensor) -> Result<Tensor> {
    let mut sizes = Dims::from_elem(1, output.dim());
    sizes[1] = values.size(0)?;
    values.reshape(sizes)?.expand(output.sizes())
}
