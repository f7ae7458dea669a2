//! The sizes of a convolution and the checks on its arguments, in PyTorch's words.

use cresset_kernels::conv::Conv;

use crate::layout::Dims;
use crate::scalar::type_name;
use crate::{Result, Tensor, bail};

/// The sizes of `convolution`, with its lists expanded.
pub(super) struct Shape {
    input: Dims,
    weight: Dims,
    stride: Dims,
    padding: Dims,
    dilation: Dims,
    output_padding: Dims,
    pub transposed: bool,
    groups: i64,
}

/// A list with one value for each dimension.
pub(super) fn expand_list(list: &[i64], dims: usize, name: &str) -> Result<Dims> {
    match list {
        [one] => Ok(Dims::from_elem(*one, dims)),
        many if many.len() == dims => Ok(Dims::from_slice(many)),
        _ => bail!(
            "expected {name} to be a single integer value or a list of {dims} values to match the convolution dimensions, but got {name}={list:?}"
        ),
    }
}

pub(super) fn check_types(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    transposed: bool,
) -> Result<()> {
    let bias = bias.filter(|b| b.dtype() != input.dtype());
    if let (Some(bias), false) = (bias, transposed) {
        let (a, b) = (type_name(input.dtype()), type_name(bias.dtype()));
        bail!("Input type ({a}) and bias type ({b}) should be the same");
    }
    if let Some(other) = Some(weight).filter(|w| w.dtype() != input.dtype()).or(bias) {
        let (a, b) = (input.dtype().scalar_type(), other.dtype().scalar_type());
        bail!("expected scalar type {a} but found {b}");
    }
    Ok(())
}

impl Shape {
    /// Expands the lists: stride, padding, dilation, output padding.
    pub(super) fn new(
        input: &[i64],
        weight: &[i64],
        lists: [&[i64]; 4],
        transposed: bool,
        groups: i64,
    ) -> Result<Shape> {
        let Some(dims) = weight.len().checked_sub(2).filter(|d| *d > 0) else {
            bail!("weight should have at least three dimensions");
        };
        if groups <= 0 {
            bail!("non-positive groups is not supported");
        }
        Ok(Shape {
            input: Dims::from_slice(input),
            weight: Dims::from_slice(weight),
            stride: expand_list(lists[0], dims, "stride")?,
            padding: expand_list(lists[1], dims, "padding")?,
            dilation: expand_list(lists[2], dims, "dilation")?,
            output_padding: expand_list(lists[3], dims, "output_padding")?,
            transposed,
            groups,
        })
    }

    fn dims(&self) -> usize {
        self.weight.len() - 2
    }

    /// Checks everything that a kernel relies on.
    pub(super) fn check(&self, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
        check_types(input, weight, bias, self.transposed)?;
        self.check_lists()?;
        self.check_channels(bias)?;
        self.check_extents()
    }

    fn check_lists(&self) -> Result<()> {
        let negative = |list: &Dims| list.iter().any(|x| *x < 0);
        if negative(&self.padding) {
            bail!("negative padding is not supported");
        }
        if negative(&self.output_padding) {
            bail!("negative output_padding is not supported");
        }
        if self.stride.iter().any(|s| *s <= 0) {
            bail!("non-positive stride is not supported");
        }
        if self.dilation.iter().any(|d| *d < 0) {
            bail!("dilation should be greater than zero");
        }
        let (k, dim) = (self.weight.len(), self.input.len());
        if k != dim {
            bail!(
                "Expected {k}-dimensional input for {k}-dimensional weight {:?}, but got {dim}-dimensional input of size {:?} instead",
                self.weight.as_slice(),
                self.input.as_slice()
            );
        }
        if self.dims() > 3 {
            bail!(NotImplemented, "convolution: expected 1 to 3 spatial dimensions, got {}", self.dims());
        }
        Ok(())
    }

    fn check_channels(&self, bias: Option<&Tensor>) -> Result<()> {
        let (groups, weight, input) = (self.groups, self.weight.as_slice(), self.input.as_slice());
        if weight[0] < groups {
            bail!(
                "Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size {weight:?} instead"
            );
        }
        if weight[0] % groups != 0 {
            bail!(
                "Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size [{weight:?}] instead"
            );
        }
        let (given, wanted, made) = if self.transposed {
            ("transposed=1".to_string(), weight[0], weight[1] * groups)
        } else {
            (format!("groups={groups}"), weight[1] * groups, weight[0])
        };
        if input[1] != wanted {
            bail!(
                "Given {given}, weight of size {weight:?}, expected input{input:?} to have {wanted} channels, but got {} channels instead",
                input[1]
            );
        }
        if let Some(sizes) = bias.map(Tensor::sizes).filter(|s| s.as_slice() != [made]) {
            let given = if self.transposed { "Given transposed=1, weight" } else { "Given weight" };
            bail!(
                "{given} of size {weight:?}, expected bias to be 1-dimensional with {made} elements, but got bias of size {:?} instead",
                sizes.as_slice()
            );
        }
        Ok(())
    }

    fn check_extents(&self) -> Result<()> {
        let (input, kernel) = (&self.input[2..], &self.weight[2..]);
        if kernel.contains(&0) {
            bail!("kernel size should be greater than zero, but got {}", named("kernel", kernel));
        }
        if self.dilation.contains(&0) {
            let got = match (self.transposed, self.dilation.as_slice()) {
                (true, list) => named("dilation", list).replace(" dilation", ", dilation"),
                (false, [one]) => format!("[1, {one}]"),
                (false, list) => format!("{list:?}"),
            };
            bail!("dilation should be greater than zero, but got {got}");
        }
        if self.transposed {
            return self.check_transposed();
        }
        let padded: Vec<i64> =
            input.iter().zip(&self.padding).map(|(n, p)| n.saturating_add(p.saturating_mul(2))).collect();
        let reach: Vec<i64> = kernel.iter().zip(&self.dilation).map(|(k, d)| reach(*k, *d)).collect();
        if padded.iter().zip(&reach).any(|(n, r)| n < r) {
            bail!(
                "Calculated padded input size per channel: ({}). Kernel size: ({}). Kernel size can't be greater than actual input size",
                by(&padded),
                by(&reach)
            );
        }
        if input.contains(&0) {
            bail!(
                "Only zero batch or zero channel inputs are supported, but got input shape: {:?}",
                self.input.as_slice()
            );
        }
        Ok(())
    }

    fn check_transposed(&self) -> Result<()> {
        let larger = |d: usize| self.output_padding[d] >= self.stride[d].max(self.dilation[d]);
        if (0..self.dims()).any(larger) {
            bail!(
                "output padding must be smaller than either stride or dilation, but got {} {} {}",
                named("output_padding", &self.output_padding),
                named("stride", &self.stride),
                named("dilation", &self.dilation)
            );
        }
        if self.input[2..].contains(&0) && !self.input[..2].contains(&0) {
            let mut shape = self.input.to_vec();
            if self.dims() == 1 {
                shape.insert(2, 1);
            }
            bail!("Only zero batch or zero channel inputs are supported, but got input shape: {shape:?}");
        }
        let output = self.output();
        if output[2..].iter().any(|n| *n < 1) {
            bail!(
                "Given input size per channel: ({}). Calculated output size per channel: ({}). Output size is too small",
                by(&self.input[2..]),
                by(&output[2..])
            );
        }
        Ok(())
    }

    /// The sizes of the result.
    pub(super) fn output(&self) -> Dims {
        let channels = if self.transposed { self.weight[1] * self.groups } else { self.weight[0] };
        let mut sizes = Dims::from_slice(&[self.input[0], channels]);
        for d in 0..self.dims() {
            let (n, reach) = (self.input[d + 2], reach(self.weight[d + 2], self.dilation[d]));
            // Absurd settings give sizes that no memory holds, not a panic.
            let padding = self.padding[d].saturating_mul(2);
            sizes.push(if self.transposed {
                let inner = (n - 1).saturating_mul(self.stride[d]).saturating_sub(padding);
                inner.saturating_add(reach).saturating_add(self.output_padding[d])
            } else {
                n.saturating_add(padding).saturating_sub(reach) / self.stride[d] + 1
            });
        }
        sizes
    }

    pub(super) fn input(&self) -> &Dims {
        &self.input
    }

    pub(super) fn weight(&self) -> &Dims {
        &self.weight
    }

    /// The forward convolution that the kernels know: of a transposed one, the one whose gradient it is.
    pub(super) fn conv(&self) -> Conv {
        let output = self.output();
        let (from, to) = if self.transposed { (&output, &self.input) } else { (&self.input, &output) };
        let three = |list: &[i64], fill: usize| {
            let mut all = [fill; 3];
            all[3 - list.len()..].iter_mut().zip(list).for_each(|(a, x)| *a = *x as usize);
            all
        };
        // A single window never moves: its stride, which the kernels step through, may be absurd.
        let stride = |d: usize| match to[d + 2] {
            1 => self.stride[d].min(from[d + 2] + 2 * self.padding[d] + 1).max(1),
            _ => self.stride[d],
        };
        let strides: Dims = (0..self.dims()).map(stride).collect();
        Conv {
            batch: self.input[0] as usize,
            groups: self.groups as usize,
            in_channels: from[1] as usize,
            out_channels: to[1] as usize,
            input: three(&from[2..], 1),
            output: three(&to[2..], 1),
            kernel: three(&self.weight[2..], 1),
            stride: three(&strides, 1),
            padding: three(&self.padding, 0),
            dilation: three(&self.dilation, 1),
        }
    }
}

/// `4 x 5`.
fn by(list: &[i64]) -> String {
    list.iter().map(i64::to_string).collect::<Vec<_>>().join(" x ")
}

/// `kernel_height: 2 kernel_width: 3`.
fn named(what: &str, list: &[i64]) -> String {
    let names = ["depth", "height", "width"];
    let list: Vec<i64> = if list.len() == 1 { vec![1, list[0]] } else { list.to_vec() };
    let names = &names[3 - list.len()..];
    list.iter().zip(names).map(|(x, n)| format!("{what}_{n}: {x}")).collect::<Vec<_>>().join(" ")
}

/// Positions from the first to the last tap of a dilated kernel.
fn reach(kernel: i64, dilation: i64) -> i64 {
    dilation.saturating_mul(kernel - 1).saturating_add(1)
}
