//! Single steps of recurrent layers: [`RNNCell`], [`LSTMCell`], [`GRUCell`].

use cresset_core::{DType, Result, Tensor, ensure, ops, options};

use super::{parameter, size};
use crate::init;
use crate::module::{Module, Parameter};

options! {
    /// Optional settings of recurrent cells.
    RNNCellOptions {
        /// Whether there are biases (default: yes).
        bias: bool = true,
        /// Of an [`RNNCell`]: whether the nonlinearity is `relu` rather than `tanh` (default: no).
        relu: bool = false,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// A cell of some number of gates.
macro_rules! cells {
    ($($(#[$doc:meta])* $name:ident, $gates:literal, |$s:ident| $extra:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        #[module(repr = self.text())]
        pub struct $name {
            /// The matrix of the input, drawn from `U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))` as all parameters.
            pub weight_ih: Parameter,
            /// The matrix of the state.
            pub weight_hh: Parameter,
            /// The summand of the input.
            pub bias_ih: Option<Parameter>,
            /// The summand of the state.
            pub bias_hh: Option<Parameter>,
            #[module(skip)]
            options: RNNCellOptions,
        }

        impl $name {
            /// From inputs of that size to states of that size.
            ///
            /// # Errors
            /// `Runtime` for negative sizes.
            pub fn new(input_size: i64, hidden_size: i64) -> Result<Self> {
                Self::with(input_size, hidden_size, |o| o)
            }

            /// With optional settings.
            ///
            /// # Errors
            /// `Runtime` for negative sizes.
            pub fn with(
                input_size: i64,
                hidden_size: i64,
                options: impl FnOnce(RNNCellOptions) -> RNNCellOptions,
            ) -> Result<Self> {
                let options = options(RNNCellOptions::default());
                let ([weight_ih, weight_hh], biases) = parameters($gates, input_size, hidden_size, &options)?;
                let [bias_ih, bias_hh] = biases;
                Ok($name { weight_ih, weight_hh, bias_ih, bias_hh, options })
            }

            fn text(&self) -> String {
                let mut text = format!("{}, {}", size(&self.weight_ih, 1), size(&self.weight_hh, 1));
                if !self.options.bias {
                    text += ", bias=False";
                }
                let $s = self;
                text + $extra
            }
        }
    )* };
}

cells! {
    /// One step `tanh(W_ih x + b_ih + W_hh h + b_hh)`, or with `relu`, as `torch.nn.RNNCell`.
    ///
    /// # Shapes
    /// `[N, input_size]`, state `[N, hidden_size]` -> the next state; `N` may be left out.
    RNNCell, 1, |s| if s.options.relu { ", nonlinearity=relu" } else { "" };
    /// One step of long short-term memory, as `torch.nn.LSTMCell`.
    ///
    /// # Shapes
    /// As [`RNNCell`], with a cell beside the state.
    LSTMCell, 4, |_s| "";
    /// One step of a gated recurrent unit, as `torch.nn.GRUCell`.
    ///
    /// # Shapes
    /// As [`RNNCell`].
    GRUCell, 3, |_s| "";
}

/// Weights and biases of that many gates.
fn parameters(
    gates: i64,
    input_size: i64,
    hidden_size: i64,
    o: &RNNCellOptions,
) -> Result<([Parameter; 2], [Option<Parameter>; 2])> {
    let rows = gates.saturating_mul(hidden_size);
    let weights = [parameter(&[rows, input_size], o.dtype)?, parameter(&[rows, hidden_size], o.dtype)?];
    let bias = || if o.bias { parameter(&[rows], o.dtype).map(Some) } else { Ok(None) };
    let biases = [bias()?, bias()?];
    let bound = if hidden_size > 0 { 1.0 / (hidden_size as f64).sqrt() } else { 0.0 };
    for p in weights.iter().chain(biases.iter().flatten()) {
        init::uniform_within(p, bound)?;
    }
    Ok((weights, biases))
}

/// The input and its states with a batch; those not given are zeros.
fn batched<const N: usize>(
    name: &str,
    input: &Tensor,
    states: Option<[&Tensor; N]>,
    hidden_size: i64,
) -> Result<(Tensor, [Tensor; N])> {
    ensure!(
        matches!(input.dim(), 1 | 2),
        Value,
        "{name}: Expected input to be 1D or 2D, got {}D instead",
        input.dim()
    );
    for (i, state) in states.iter().flatten().enumerate() {
        let what = if N > 1 { format!("hx[{i}]") } else { "hidden".into() };
        let dims = state.dim();
        ensure!(matches!(dims, 1 | 2), Value, "{name}: Expected {what} to be 1D or 2D, got {dims}D instead");
    }
    let batch = |t: &Tensor| if t.dim() == 1 { t.unsqueeze(0) } else { Ok(t.clone()) };
    let x = batch(input)?;
    let rows = x.sizes()[0];
    let mut all = Vec::with_capacity(N);
    for i in 0..N {
        all.push(match &states {
            Some(states) => batch(states[i])?,
            None => x.new_zeros([rows, hidden_size])?,
        });
    }
    let states = all.try_into().unwrap_or_else(|_| unreachable!("there are N of them"));
    Ok((x, states))
}

/// Removes the batch that was added to `input`.
fn like(input: &Tensor, state: Tensor) -> Result<Tensor> {
    if input.dim() == 1 { state.squeeze_dim(0) } else { Ok(state) }
}

impl RNNCell {
    /// The next state; the former one is zero unless given.
    ///
    /// # Errors
    /// `Runtime` or `Value` when shapes do not fit.
    pub fn forward(&self, input: &Tensor, hx: Option<&Tensor>) -> Result<Tensor> {
        let (x, [h]) = batched("RNNCell", input, hx.map(|h| [h]), size(&self.weight_hh, 1))?;
        let (w_ih, w_hh) = (&self.weight_ih, &self.weight_hh);
        let (b_ih, b_hh) = (self.bias_ih.as_deref(), self.bias_hh.as_deref());
        like(
            input,
            if self.options.relu {
                ops::rnn_relu_cell_with(&x, &h, w_ih, w_hh, |o| o.b_ih(b_ih).b_hh(b_hh))?
            } else {
                ops::rnn_tanh_cell_with(&x, &h, w_ih, w_hh, |o| o.b_ih(b_ih).b_hh(b_hh))?
            },
        )
    }
}

impl GRUCell {
    /// The next state; the former one is zero unless given.
    ///
    /// # Errors
    /// `Runtime` or `Value` when shapes do not fit.
    pub fn forward(&self, input: &Tensor, hx: Option<&Tensor>) -> Result<Tensor> {
        let (x, [h]) = batched("GRUCell", input, hx.map(|h| [h]), size(&self.weight_hh, 1))?;
        let (b_ih, b_hh) = (self.bias_ih.as_deref(), self.bias_hh.as_deref());
        let next = ops::gru_cell_with(&x, &h, &self.weight_ih, &self.weight_hh, |o| o.b_ih(b_ih).b_hh(b_hh))?;
        like(input, next)
    }
}

impl LSTMCell {
    /// The next state and cell; the former ones are zero unless given.
    ///
    /// # Errors
    /// `Runtime` or `Value` when shapes do not fit.
    pub fn forward(&self, input: &Tensor, hx: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, Tensor)> {
        let (x, states) = batched("LSTMCell", input, hx.map(|(h, c)| [h, c]), size(&self.weight_hh, 1))?;
        let (b_ih, b_hh) = (self.bias_ih.as_deref(), self.bias_hh.as_deref());
        let (weights, states) = ((&self.weight_ih, &self.weight_hh), &states[..]);
        let (h, c) = ops::lstm_cell_with(&x, states, weights.0, weights.1, |o| o.b_ih(b_ih).b_hh(b_hh))?;
        Ok((like(input, h)?, like(input, c)?))
    }
}
