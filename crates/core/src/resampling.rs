//! Between interpolation operators and their kernels: sizes with PyTorch's checks, taps, memory formats.

use cresset_kernels::math::Real;
use cresset_kernels::resample::{self as kernels, Filter, Planes, Scale, Taps};

use crate::copy::{empty_of_format, to_format};
use crate::layout::Dims;
use crate::storage::{Raw, access};
use crate::{DType, MemoryFormat, Result, Tensor, bail, ensure, with_float};

/// A way to interpolate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    Nearest { exact: bool },
    Linear { align_corners: bool },
    Cubic { align_corners: bool },
    Antialiased { filter: Filter, align_corners: bool },
}

/// One call: the operator's name, the way, the sizes of the output, and the factors that were given.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub name: &'a str,
    pub mode: Mode,
    pub output: &'a [i64],
    pub factors: &'a [Option<f64>],
}

impl Call<'_> {
    fn rank(&self) -> usize {
        self.factors.len()
    }

    /// Checks the sizes of the input; gives those of the result.
    fn sizes(&self, input: &[i64]) -> Result<Dims> {
        let (n, output) = (self.rank(), self.output);
        ensure!(output.len() == n, "It is expected output_size equals to {n}, but got size {}", output.len());
        ensure!(
            input.len() == n + 2,
            "It is expected input_size equals to {}, but got size {}",
            n + 2,
            input.len()
        );
        if input[2..].iter().chain(output).any(|s| *s <= 0) {
            let named = |sizes: &[i64]| {
                let names = &["D: ", "H: ", "W: "][3 - n..];
                let parts: Vec<String> = names.iter().zip(sizes).map(|(n, s)| format!("{n}{s}")).collect();
                parts.join(", ")
            };
            let and = if n == 2 { "" } else { "and " };
            bail!(
                "Input and output sizes should be greater than 0, but got input ({}) {and}output ({})",
                named(&input[2..]),
                named(output)
            );
        }
        let limit = i64::from(u32::MAX);
        ensure!(
            input[2..].iter().chain(output).all(|s| *s < limit),
            "{}: sizes must be below {limit}",
            self.name
        );
        Ok(Dims::from_slice(&[&input[..2], output].concat()))
    }

    fn scale(&self, input: &[i64], d: usize) -> Scale {
        let align_corners = match self.mode {
            Mode::Nearest { .. } => false,
            Mode::Linear { align_corners }
            | Mode::Cubic { align_corners }
            | Mode::Antialiased { align_corners, .. } => align_corners,
        };
        let (from, to) = (input[d + 2] as usize, self.output[d] as usize);
        Scale { input: from, output: to, align_corners, factor: self.factors[d] }
    }

    /// The taps of the last three dimensions of an input of those sizes.
    fn taps<T: Real>(&self, input: &[i64], by_channels: bool) -> [Taps<T>; 3] {
        std::array::from_fn(|axis| {
            let Some(d) = (axis + self.rank()).checked_sub(3) else { return Taps::identity(1) };
            let scale = self.scale(input, d);
            match self.mode {
                Mode::Nearest { exact } => Taps::nearest(scale, exact, by_channels),
                Mode::Linear { .. } => Taps::linear(scale),
                Mode::Cubic { .. } => Taps::cubic(scale),
                Mode::Antialiased { filter, .. } => Taps::antialiased(scale, filter),
            }
        })
    }

    /// Whether PyTorch takes a loop over channels for this call, whose positions and roundings differ in details.
    fn is_by_channels(&self, input: &Tensor) -> bool {
        let last = input.layout().suggested_format() != MemoryFormat::Contiguous && input.sizes()[1] > 3;
        match (self.mode, self.rank()) {
            (Mode::Cubic { .. } | Mode::Antialiased { .. }, _) => false,
            (_, 2) => last || self.output[0].saturating_add(self.output[1]) <= 128,
            _ => last,
        }
    }

    /// The name in PyTorch's error for a dtype without a kernel.
    fn kernel_name(&self, input: &Tensor) -> &'static str {
        match (self.mode, self.rank()) {
            (Mode::Nearest { .. }, 2) if self.is_by_channels(input) => "upsample_nearest2d_channels_last",
            (Mode::Nearest { .. }, 3) if self.is_by_channels(input) => "upsample_nearest3d_channels_last",
            (Mode::Nearest { .. }, _) => "compute_indices_weights_nearest",
            (Mode::Linear { .. }, 2) if self.is_by_channels(input) => "upsample_bilinear2d_channels_last",
            (Mode::Linear { .. }, 3) if self.is_by_channels(input) => "upsample_trilinear3d_channels_last",
            (Mode::Linear { .. }, _) => "compute_indices_weights_linear",
            (Mode::Cubic { .. }, _) => "compute_indices_weights_cubic",
            (Mode::Antialiased { .. }, _) => "compute_index_ranges_weights",
        }
    }

    fn check_dtype(&self, input: &Tensor) -> Result<()> {
        let fits = match (input.dtype(), self.mode) {
            (DType::F32 | DType::F64, _) => true,
            (DType::F16 | DType::BF16, mode) => !matches!(mode, Mode::Antialiased { .. }),
            (DType::U8, Mode::Linear { .. }) => self.rank() == 2,
            (dtype, _) => dtype == DType::U8,
        };
        if !fits {
            let name = self.kernel_name(input);
            bail!(NotImplemented, "\"{name}\" not implemented for '{}'", input.dtype().scalar_type());
        }
        Ok(())
    }

    /// Runs the kernel for the input's dtype.
    ///
    /// # Safety
    /// Both are locked, dense in one format and of the sizes of the call.
    unsafe fn run(&self, planes: Planes, by_channels: bool, x: Raw<'_>, y: Raw<'_>) {
        // SAFETY: as the caller promises.
        unsafe {
            match (self.mode, x.dtype) {
                (Mode::Nearest { .. }, DType::F64) if !by_channels => {
                    kernels::pick(&self.taps::<f64>(x.sizes, false), planes, 8, x.ptr, y.ptr);
                }
                (Mode::Nearest { .. }, dtype) => {
                    let taps = self.taps::<f32>(x.sizes, by_channels);
                    kernels::pick(&taps, planes, dtype.size(), x.ptr, y.ptr);
                }
                (_, DType::U8) => {
                    let [_, rows, columns] = self.taps::<f64>(x.sizes, by_channels);
                    let (from, to) = (crate::dense::slice(&x), crate::dense::slice_mut(&y));
                    kernels::resample_bytes([&rows, &columns], planes, from, to);
                }
                (_, dtype) => with_float!(dtype, T => {
                    let taps = self.taps::<T>(x.sizes, by_channels);
                    let taps = if by_channels { taps } else { taps.map(|t| t.rounded(dtype)) };
                    kernels::resample::<T>(&taps, planes, dtype, x.ptr, y.ptr);
                }),
            }
        }
    }
}

/// How a tensor of those sizes is cut up in that format.
fn planes(sizes: &[i64], format: MemoryFormat) -> Planes {
    let (n, c) = (sizes[0] as usize, sizes[1] as usize);
    match format {
        MemoryFormat::Contiguous => Planes { batch: n * c, inner: 1 },
        _ => Planes { batch: n, inner: c },
    }
}

/// Interpolates `input`; the result has its memory format.
///
/// # Errors
/// `Runtime` with PyTorch's texts for sizes that do not fit; `NotImplemented` for a dtype without a kernel.
pub(crate) fn forward(call: Call, input: &Tensor) -> Result<Tensor> {
    let sizes = call.sizes(&input.sizes())?;
    if input.sizes()[1..].contains(&0) {
        bail!(
            "Non-empty {}D data tensor expected but got a tensor with sizes {:?}",
            call.rank() + 2,
            input.sizes().as_slice()
        );
    }
    call.check_dtype(input)?;
    let format = input.layout().suggested_format();
    let x = to_format(input, input.dtype(), format)?;
    let y = empty_of_format(&sizes, input.dtype(), input.device(), format)?;
    let (from, to, by_channels) = (x.raw(), y.raw(), call.is_by_channels(input));
    access([&to], [&from], |[y], [x]| {
        // SAFETY: both are locked and dense in `format`; the output is fresh.
        unsafe { call.run(planes(&sizes, format), by_channels, x, y) }
    });
    Ok(y)
}

/// Gradient of [`forward`] for an input of sizes `input`.
///
/// # Errors
/// As [`forward`].
pub(crate) fn backward(call: Call, g: &Tensor, input: &[i64]) -> Result<Tensor> {
    let sizes = call.sizes(input)?;
    let (n, shape) = (call.rank() + 2, g.sizes());
    ensure!(
        shape.len() == n,
        "Expected grad_output to be a tensor of dimension {n} but got: dimension {}",
        shape.len()
    );
    if let Some(d) = (0..n).find(|d| shape[*d] != sizes[*d]) {
        bail!(
            "Expected grad_output to have the same shape as output; output.size({d}) = {} but got grad_output.size({d}) = {}",
            sizes[d],
            shape[d]
        );
    }
    let (dtype, antialiased) = (g.dtype(), matches!(call.mode, Mode::Antialiased { .. }));
    let wide = matches!(dtype, DType::F32 | DType::F64);
    if !wide && (antialiased || !dtype.is_floating_point()) {
        let name = call.name.trim_start_matches('_');
        let name = if antialiased { format!("{name}_cpu") } else { call.name.to_owned() };
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", dtype.scalar_type());
    }
    let format = gradient_format(call, g);
    let g = to_format(g, dtype, format)?;
    let gx = empty_of_format(input, dtype, g.device(), format)?;
    let (from, to) = (g.raw(), gx.raw());
    access([&to], [&from], |[gx], [g]| {
        with_float!(dtype, T => {
            let taps = match call.mode {
                // Positions are those of `f32` here, as in the loop over channels.
                Mode::Nearest { .. } => call.taps::<f32>(input, true).map(|t| t.transposed().to()),
                _ => call.taps::<T>(input, true).map(|t| t.transposed()),
            };
            // SAFETY: both are locked and dense in `format`; the output is fresh.
            unsafe { kernels::resample::<T>(&taps, planes(input, format), dtype, g.ptr, gx.ptr) }
        });
    });
    Ok(gx)
}

/// PyTorch keeps channels last in the gradients of some modes only.
fn gradient_format(call: Call, g: &Tensor) -> MemoryFormat {
    let keeps = match call.mode {
        Mode::Nearest { .. } => call.rank() == 2,
        Mode::Linear { .. } => true,
        Mode::Cubic { .. } => false,
        Mode::Antialiased { filter, .. } => filter == Filter::Linear,
    };
    if keeps { g.layout().suggested_format() } else { MemoryFormat::Contiguous }
}

/// The sizes of the output from those wanted, or from factors.
///
/// # Errors
/// `Runtime` with PyTorch's text unless exactly one is given, one entry a dimension.
pub(crate) fn output_size(input: &Tensor, size: Option<&[i64]>, factors: Option<&[f64]>) -> Result<Dims> {
    let sizes = input.sizes();
    let n = sizes.len().saturating_sub(2);
    if sizes.len() != n + 2 {
        bail!("It is expected input_size equals to {}, but got size {}", n + 2, sizes.len());
    }
    match (size, factors) {
        (Some(size), None) if size.len() == n => Ok(Dims::from_slice(size)),
        (None, Some(factors)) if factors.len() == n => {
            let scaled: Vec<i64> =
                sizes[2..].iter().zip(factors).map(|(s, f)| (*s as f64 * f) as i64).collect();
            Ok(Dims::from_slice(&scaled))
        }
        (Some(_), Some(_)) | (None, None) => {
            bail!("Must specify exactly one of output_size and scale_factors")
        }
        (Some(size), _) => {
            bail!("It is expected output_size equals to {n}, but got size {}", size.len())
        }
        (_, Some(factors)) => {
            bail!("It is expected scale_factors equals to {n}, but got size {}", factors.len())
        }
    }
}

/// Factor number `d` of those that were given.
pub(crate) fn factor(factors: Option<&[f64]>, d: usize) -> Option<f64> {
    factors.and_then(|f| f.get(d).copied())
}
