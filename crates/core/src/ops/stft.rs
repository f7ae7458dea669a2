//! The short-time Fourier transform and its inverse.

use cresset_macros::op;

use super::{_fft_c2c, _fft_c2r, _fft_r2c, pad, unfold_backward};
use crate::op::OpDef;
use crate::{DType, Result, Tensor, bail, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![stft, stft_center, istft];

/// Fourier transforms of the windows of `n_fft` points that start every `hop_length` points of a signal.
///
/// `self [batch?, length]` -> `[batch?, frequencies, windows]`, with a last dimension of 2 unless `return_complex`.
#[op(
    "stft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool normalized=False, bool? onesided=None, bool? return_complex=None, bool? align_to_window=None) -> Tensor",
    autocast = "fp32",
    composite
)]
mod stft {
    fn kernel(
        this: &Tensor,
        n_fft: i64,
        hop_length: Option<i64>,
        win_length: Option<i64>,
        window: Option<&Tensor>,
        normalized: bool,
        onesided: Option<bool>,
        return_complex: Option<bool>,
        align_to_window: Option<bool>,
    ) -> Result<Tensor> {
        let frames = Frames::new(n_fft, hop_length, win_length, window, normalized, onesided);
        frames.transform(this, None, return_complex, align_to_window)
    }
}

/// As [`stft`], with `n_fft / 2` points padded to each end of the signal first if `center`.
#[op(
    "stft.center(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, str pad_mode=\"reflect\", bool normalized=False, bool? onesided=None, bool? return_complex=None, bool? align_to_window=None) -> Tensor",
    autocast = "fp32",
    composite
)]
mod stft_center {
    fn kernel(
        this: &Tensor,
        n_fft: i64,
        hop_length: Option<i64>,
        win_length: Option<i64>,
        window: Option<&Tensor>,
        center: bool,
        pad_mode: &str,
        normalized: bool,
        onesided: Option<bool>,
        return_complex: Option<bool>,
        align_to_window: Option<bool>,
    ) -> Result<Tensor> {
        let frames = Frames::new(n_fft, hop_length, win_length, window, normalized, onesided);
        frames.transform(this, center.then_some(pad_mode), return_complex, align_to_window)
    }
}

/// Inverse of [`stft`]: transforms back, adds the windows where they overlap, and divides by the sum of their squares.
#[op(
    "istft(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, bool normalized=False, bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor",
    composite
)]
mod istft {
    fn kernel(
        this: &Tensor,
        n_fft: i64,
        hop_length: Option<i64>,
        win_length: Option<i64>,
        window: Option<&Tensor>,
        center: bool,
        normalized: bool,
        onesided: Option<bool>,
        length: Option<i64>,
        return_complex: bool,
    ) -> Result<Tensor> {
        let frames = Frames::new(n_fft, hop_length, win_length, window, normalized, onesided);
        if !this.is_complex() {
            bail!(
                Type,
                "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
            );
        }
        let call = frames.inverse_text(this, center, length, return_complex);
        let onesided = frames.check_inverse(this, &call)?;
        let parts = frames.back(this, onesided, return_complex)?;
        let weights = frames.padded_window(parts.dtype())?;
        let signal = frames.overlap(&parts.mul(&weights)?)?;
        let squares = weights.mul(&weights)?.expand([1, parts.sizes()[1], n_fft])?;
        let end = length.map(|n| n.saturating_add(if center { n_fft / 2 } else { 0 }));
        let y = divided(&signal, &frames.overlap(&squares)?, center.then_some(n_fft / 2), end, &call)?;
        let y = if this.dim() == 2 { y.squeeze_dim(0)? } else { y };
        match end.map_or(0, |end| end.saturating_sub(signal.sizes()[1])) {
            missing if missing > 0 => y.constant_pad_nd([0, missing]),
            _ => Ok(y),
        }
    }
}

/// What the transform and its inverse are asked for.
struct Frames<'a> {
    n_fft: i64,
    hop: i64,
    width: i64,
    window: Option<&'a Tensor>,
    normalized: bool,
    onesided: Option<bool>,
}

impl<'a> Frames<'a> {
    fn new(
        n_fft: i64,
        hop_length: Option<i64>,
        win_length: Option<i64>,
        window: Option<&'a Tensor>,
        normalized: bool,
        onesided: Option<bool>,
    ) -> Self {
        let hop = hop_length.unwrap_or(n_fft >> 2);
        Frames { n_fft, hop, width: win_length.unwrap_or(n_fft), window, normalized, onesided }
    }

    /// The transform of a signal that is padded in the mode `center` first.
    fn transform(
        &self,
        this: &Tensor,
        center: Option<&str>,
        return_complex: Option<bool>,
        align: Option<bool>,
    ) -> Result<Tensor> {
        ensure!(
            center.is_none() || align.is_none(),
            "stft align_to_window should only be set when center = false."
        );
        let any_complex = this.is_complex() || self.window.is_some_and(Tensor::is_complex);
        ensure!(
            return_complex.is_some() || any_complex,
            "stft requires the return_complex parameter be given for real inputs, and will further require that return_complex=True in a future PyTorch release."
        );
        let call = self.forward_text(this, return_complex, align);
        if this.dtype().is_integral_or_bool() {
            bail!(NotImplemented, "{call} : expected a tensor of floating point or complex values");
        }
        ensure!(matches!(this.dim(), 1 | 2), "{call} : expected a 1D or 2D tensor");
        let mut signal = if this.dim() == 1 { this.unsqueeze(0)? } else { this.clone() };
        if let Some(mode) = center {
            let half = (self.n_fft / 2).max(0);
            signal = pad::call(&signal.unsqueeze(0)?, &[half, half], mode, None)?.squeeze_dim(0)?;
        }
        self.check(signal.sizes()[1], &call)?;
        let spare = self.n_fft - self.width;
        if align == Some(true) && spare > 0 {
            signal = signal.constant_pad_nd([spare / 2, spare - spare / 2])?;
        }
        let out = self.spectra(&signal)?.transpose(1, 2)?;
        let out = if this.dim() == 1 { out.squeeze_dim(0)? } else { out };
        if return_complex.unwrap_or(any_complex) { Ok(out) } else { out.view_as_real() }
    }

    fn check(&self, length: i64, call: &str) -> Result<()> {
        let Frames { n_fft, hop, width, .. } = *self;
        ensure!(
            n_fft > 0 && n_fft <= length,
            "{call} : expected 0 < n_fft < {length}, but got n_fft={n_fft}"
        );
        ensure!(hop > 0, "{call} : expected hop_length > 0, but got hop_length={hop}");
        ensure!(
            width > 0 && width <= n_fft,
            "{call} : expected 0 < win_length <= n_fft, but got win_length={width}"
        );
        match self.window.map(|w| w.sizes()) {
            Some(sizes) if *sizes != [width] => bail!(
                "{call} : expected a 1D window tensor of size equal to win_length={width}, but got window with size {:?}",
                sizes.as_slice()
            ),
            _ => Ok(()),
        }
    }

    /// `[batch, windows, frequencies]` of `[batch, length]`.
    fn spectra(&self, signal: &Tensor) -> Result<Tensor> {
        let mut frames = signal.unfold(1, self.n_fft, self.hop)?;
        if self.window.is_some() || self.width < self.n_fft {
            frames = frames.mul(&self.padded_window(signal.dtype())?)?;
        }
        let norm = i64::from(self.normalized);
        let complex = frames.is_complex();
        let onesided = self.onesided.unwrap_or(!complex);
        ensure!(!(complex && onesided), "Cannot have onesided output if window or input is complex");
        if complex { _fft_c2c(&frames, [2], norm, true) } else { _fft_r2c(&frames, [2], norm, onesided) }
    }

    /// The window in the middle of `n_fft` points; ones of that dtype if there is none.
    fn padded_window(&self, dtype: DType) -> Result<Tensor> {
        let window = match self.window {
            Some(window) => window.clone(),
            None => copy::full(&[self.width], 1.into(), dtype, crate::Device::Cpu)?,
        };
        let spare = self.n_fft - self.width;
        if spare == 0 { Ok(window) } else { window.constant_pad_nd([spare / 2, spare - spare / 2]) }
    }

    /// Checks what the inverse is given; whether only half of the frequencies are there.
    fn check_inverse(&self, this: &Tensor, call: &str) -> Result<bool> {
        let Frames { n_fft, hop, width, .. } = *self;
        let (ndim, sizes) = (this.dim() + 1, this.sizes());
        if ndim < 3 {
            bail!(
                Index,
                "Dimension out of range (expected to be in range of [-{ndim}, {}], but got -3)",
                ndim - 1
            );
        }
        ensure!(this.numel() > 0, "{call} : input tensor cannot be empty.");
        ensure!(ndim < 5, "{call} : expected a tensor with 3 or 4 dimensions, but got {ndim}");
        let frequencies = sizes[ndim - 3];
        let onesided = self.onesided.unwrap_or(frequencies != n_fft);
        let (wanted, text) = match onesided {
            true => (n_fft / 2 + 1, "n_fft / 2 + 1 when onesided=True"),
            false => (n_fft, "n_fft when onesided=False"),
        };
        ensure!(
            frequencies == wanted,
            "{call} : expected the frequency dimension (3rd to the last) of the input tensor to match {text}, but got {frequencies}"
        );
        ensure!(0 < hop && hop <= width, "{call} : expected 0 < hop_length <= win_length");
        ensure!(0 < width && width <= n_fft, "{call} : expected 0 < win_length <= n_fft");
        ensure!(
            self.window.is_none_or(|w| *w.sizes() == [width]),
            "{call} : Invalid window shape. window has to be 1D and length of `win_length`"
        );
        Ok(onesided)
    }

    /// The points of every window, `[batch, windows, n_fft]`.
    fn back(&self, this: &Tensor, onesided: bool, return_complex: bool) -> Result<Tensor> {
        let spectra = if this.dim() == 2 { this.unsqueeze(0)? } else { this.clone() }.transpose(1, 2)?;
        let norm = if self.normalized { 1 } else { 2 };
        if return_complex {
            ensure!(!onesided, "Cannot have onesided output if window or input is complex");
            return _fft_c2c(&spectra, [2], norm, false);
        }
        ensure!(
            !self.window.is_some_and(Tensor::is_complex),
            "Complex windows are incompatible with return_complex=False"
        );
        _fft_c2r(&spectra.narrow(2, 0, self.n_fft / 2 + 1)?, [2], norm, self.n_fft)
    }

    /// The sum of windows `[batch, windows, n_fft]`, each at its place: `[batch, length]`.
    fn overlap(&self, parts: &Tensor) -> Result<Tensor> {
        let sizes = parts.sizes();
        let length = (sizes[1] - 1).checked_mul(self.hop).and_then(|n| n.checked_add(self.n_fft));
        let Some(length) = length else { bail!("istft: the signal would be too long") };
        unfold_backward(parts, [sizes[0], length], 1, self.n_fft, self.hop)
    }

    fn forward_text(&self, this: &Tensor, return_complex: Option<bool>, align: Option<bool>) -> String {
        format!(
            "stft(torch.{}Tensor{:?}, n_fft={}, hop_length={}, win_length={}, window={}, normalized={}, onesided={}, return_complex={}, align_to_window={})",
            this.dtype().scalar_type(),
            this.sizes().as_slice(),
            self.n_fft,
            self.hop,
            self.width,
            self.window_text(),
            i32::from(self.normalized),
            flag(self.onesided),
            flag(return_complex),
            flag(align)
        )
    }

    fn inverse_text(&self, this: &Tensor, center: bool, length: Option<i64>, complex: bool) -> String {
        format!(
            "istft(CPU{}Type{:?}, n_fft={}, hop_length={}, win_length={}, window={}, center={}, normalized={}, onesided={}, length={}, return_complex={})",
            this.dtype().scalar_type(),
            this.sizes().as_slice(),
            self.n_fft,
            self.hop,
            self.width,
            self.window_text(),
            i32::from(center),
            i32::from(self.normalized),
            flag(self.onesided),
            length.map_or("None".into(), |n| n.to_string()),
            i32::from(complex)
        )
    }

    fn window_text(&self) -> String {
        match self.window {
            Some(w) => format!("torch.{}Tensor{{{:?}}}", w.dtype().scalar_type(), w.sizes().as_slice()),
            None => "None".into(),
        }
    }
}

/// A truth value as C++ prints it.
fn flag(value: Option<bool>) -> &'static str {
    match value {
        None => "None",
        Some(false) => "0",
        Some(true) => "1",
    }
}

/// `signal / envelope` from `trim` (if the windows were centred) up to `end`, by default as far from the other end.
fn divided(
    signal: &Tensor,
    envelope: &Tensor,
    trim: Option<i64>,
    end: Option<i64>,
    call: &str,
) -> Result<Tensor> {
    let n = signal.sizes()[1];
    let start = trim.unwrap_or(0).min(n);
    let end = end.unwrap_or(n - trim.unwrap_or(0)).clamp(start, n);
    let (signal, envelope) = (signal.narrow(1, start, end - start)?, envelope.narrow(1, start, end - start)?);
    let lowest = envelope.detach().abs()?.min()?.item()?.to_f64();
    ensure!(lowest >= 1e-11, "{call} window overlap add min: 1\n[ CPUBoolType{{}} ]");
    signal.div(&envelope)
}
