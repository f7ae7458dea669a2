//! Recurrent layers: [`RNN`], [`LSTM`], [`GRU`].
//!
//! All three are [`Recurrent`] parameters of some number of gates; they differ in the state that they carry.

use cresset_core::{DType, Result, Tensor, bail, ensure, modes, ops, options};

use super::{parameter, room};
use crate::init;
use crate::module::{Module, Parameter, Training, Visitor, float};
use crate::utils::rnn::PackedSequence;

options! {
    /// Optional settings of recurrent layers.
    RNNOptions {
        /// Layers on top of each other (default: 1).
        num_layers: i64 = 1,
        /// Whether there are biases (default: yes).
        bias: bool = true,
        /// Whether inputs are `[batch, time, features]` rather than `[time, batch, features]` (default: no).
        batch_first: bool = false,
        /// Dropout between the layers while training (default: 0).
        dropout: f64 = 0.0,
        /// Whether a second direction runs backward in time (default: no).
        bidirectional: bool = false,
        /// Of an [`LSTM`]: the size that its states are projected to; 0 for none (default).
        proj_size: i64 = 0,
        /// Of an [`RNN`]: whether the nonlinearity is `relu` rather than `tanh` (default: no).
        relu: bool = false,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

/// Parameters and settings of a recurrent layer.
#[derive(Clone, Debug)]
pub struct Recurrent {
    name: &'static str,
    input_size: i64,
    hidden_size: i64,
    options: RNNOptions,
    parameters: Vec<(String, Parameter)>,
    training: Training,
}

impl Recurrent {
    fn new(
        name: &'static str,
        gates: i64,
        [input_size, hidden_size]: [i64; 2],
        options: RNNOptions,
    ) -> Result<Recurrent> {
        let o = &options;
        check_options(name, input_size, hidden_size, o)?;
        let directions: &[&str] = if o.bidirectional { &["", "_reverse"] } else { &[""] };
        let state = if o.proj_size > 0 { o.proj_size } else { hidden_size };
        let mut parameters = room(o.num_layers)?;
        for layer in 0..o.num_layers {
            let inputs = if layer == 0 { input_size } else { state * directions.len() as i64 };
            for suffix in directions {
                let mut add = |kind: &str, sizes: &[i64]| -> Result<()> {
                    parameters.push((format!("{kind}_l{layer}{suffix}"), parameter(sizes, o.dtype)?));
                    Ok(())
                };
                let rows = gates.saturating_mul(hidden_size);
                add("weight_ih", &[rows, inputs])?;
                add("weight_hh", &[rows, state])?;
                if o.bias {
                    add("bias_ih", &[rows])?;
                    add("bias_hh", &[rows])?;
                }
                if o.proj_size > 0 {
                    add("weight_hr", &[o.proj_size, hidden_size])?;
                }
            }
        }
        let training = Training::new();
        let layer = Recurrent { name, input_size, hidden_size, options, parameters, training };
        layer.reset_parameters()?;
        Ok(layer)
    }

    /// Draws all parameters from `U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))`.
    ///
    /// # Errors
    /// None for tensors that can be written.
    pub fn reset_parameters(&self) -> Result<()> {
        let bound = if self.hidden_size > 0 { 1.0 / (self.hidden_size as f64).sqrt() } else { 0.0 };
        self.parameters.iter().try_for_each(|(_, p)| init::uniform_within(p, bound))
    }

    /// A parameter by its name, such as `weight_hh_l0_reverse`.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, p)| p)
    }

    fn flat(&self) -> Vec<Tensor> {
        self.parameters.iter().map(|(_, p)| Tensor::from(p)).collect()
    }

    fn states(&self) -> i64 {
        self.options.num_layers * if self.options.bidirectional { 2 } else { 1 }
    }

    /// Zeros for the first state, for that many sequences.
    fn zeros(&self, like: &Tensor, batch: i64, size: i64) -> Result<Tensor> {
        like.new_zeros([self.states(), batch, size])
    }

    fn state_size(&self) -> i64 {
        if self.options.proj_size > 0 { self.options.proj_size } else { self.hidden_size }
    }

    fn text(&self) -> String {
        let o = &self.options;
        let mut text = format!("{}, {}", self.input_size, self.hidden_size);
        if o.proj_size != 0 {
            text += &format!(", proj_size={}", o.proj_size);
        }
        if o.num_layers != 1 {
            text += &format!(", num_layers={}", o.num_layers);
        }
        if !o.bias {
            text += ", bias=False";
        }
        if o.batch_first {
            text += ", batch_first=True";
        }
        if o.dropout != 0.0 {
            text += &format!(", dropout={}", float(o.dropout));
        }
        if o.bidirectional {
            text += ", bidirectional=True";
        }
        text
    }

    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.parameters.extend(self.parameters.iter().map(|(name, p)| (name.clone(), p)));
        visitor.training.push(&self.training);
    }

    /// Whether the input has the dtype of the parameters (autocast may mix them) and as many features as expected.
    fn check_input(&self, input: &Tensor) -> Result<()> {
        let weight = self.parameters[0].1.dtype();
        ensure!(
            input.dtype() == weight || modes::any(),
            Value,
            "RNN input dtype (torch.{0}) does not match weight dtype (torch.{1}). Convert input: input.to(torch.{1}), or convert model: model.to(torch.{0})",
            input.dtype().name(),
            weight.name()
        );
        let last = input.sizes().last().copied().unwrap_or(0);
        ensure!(
            last == self.input_size,
            "input.size(-1) must be equal to input_size. Expected {}, got {last}",
            self.input_size
        );
        Ok(())
    }

    fn check_state(&self, state: &Tensor, batch: i64, size: i64, what: &str) -> Result<()> {
        let want = [self.states(), batch, size];
        ensure!(
            state.sizes()[..] == want,
            "Expected {what} size ({}, {}, {}), got {:?}",
            want[0],
            want[1],
            want[2],
            state.sizes().as_slice()
        );
        Ok(())
    }

    /// The input with a batch, the number of sequences, and whether the batch was added.
    fn batched(&self, input: &Tensor) -> Result<(Tensor, i64, bool)> {
        let what = if self.name == "RNN" { " tensor" } else { "" };
        ensure!(
            matches!(input.dim(), 2 | 3),
            Value,
            "{}: Expected input to be 2D or 3D, got {}D{what} instead",
            self.name,
            input.dim()
        );
        self.check_input(input)?;
        let dim = i64::from(!self.options.batch_first);
        let added = input.dim() == 2;
        let input = if added { input.unsqueeze(dim)? } else { input.clone() };
        let batch = input.size(dim)?;
        Ok((input, batch, added))
    }

    /// A given state, checked, with a batch; or zeros.
    fn state(
        &self,
        state: Option<&Tensor>,
        input: &Tensor,
        batch: i64,
        added: bool,
        cell: bool,
    ) -> Result<Tensor> {
        let size = if cell { self.hidden_size } else { self.state_size() };
        let Some(state) = state else { return self.zeros(input, batch, size) };
        let wanted = if added { 2 } else { 3 };
        if state.dim() != wanted {
            let kind = if added { "unbatched" } else { "batched" };
            bail!(
                "For {kind} {wanted}-D input, hx should also be {wanted}-D but got {}-D tensor",
                state.dim()
            );
        }
        let state = if added { state.unsqueeze(1)? } else { state.clone() };
        self.check_state(
            &state,
            batch,
            size,
            if self.name == "LSTM" && !cell {
                "hidden[0]"
            } else if cell {
                "hidden[1]"
            } else {
                "hidden"
            },
        )?;
        Ok(state)
    }
}

fn check_options(name: &str, input_size: i64, hidden_size: i64, o: &RNNOptions) -> Result<()> {
    ensure!(
        (0.0..=1.0).contains(&o.dropout),
        Value,
        "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
    );
    ensure!(input_size > 0, Value, "input_size must be greater than zero");
    ensure!(hidden_size > 0, Value, "hidden_size must be greater than zero");
    ensure!(o.num_layers > 0, Value, "num_layers must be greater than zero");
    ensure!(o.proj_size >= 0, Value, "proj_size should be a positive integer or zero to disable projections");
    ensure!(o.proj_size < hidden_size, Value, "proj_size has to be smaller than hidden_size");
    ensure!(
        o.proj_size == 0 || name == "LSTM",
        Value,
        "proj_size argument is only supported for LSTM, not RNN or GRU"
    );
    Ok(())
}

/// Removes the batch that was added.
fn without(t: Tensor, dim: i64, added: bool) -> Result<Tensor> {
    if added { t.squeeze_dim(dim) } else { Ok(t) }
}

/// What the three layers share besides their calls.
macro_rules! recurrent {
    ($($(#[$doc:meta])* $name:ident, $gates:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Recurrent);

        impl $name {
            /// From inputs of that size to states of that size.
            ///
            /// # Errors
            /// `Value` for settings out of range.
            pub fn new(input_size: i64, hidden_size: i64) -> Result<Self> {
                Self::with(input_size, hidden_size, |o| o)
            }

            /// With optional settings.
            ///
            /// # Errors
            /// `Value` for settings out of range.
            pub fn with(
                input_size: i64,
                hidden_size: i64,
                options: impl FnOnce(RNNOptions) -> RNNOptions,
            ) -> Result<Self> {
                let options = options(RNNOptions::default());
                Recurrent::new(stringify!($name), $gates, [input_size, hidden_size], options).map($name)
            }
        }

        impl std::ops::Deref for $name {
            type Target = Recurrent;
            fn deref(&self) -> &Recurrent {
                &self.0
            }
        }

        impl Module for $name {
            fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
                self.0.visit(visitor);
            }

            fn name(&self) -> String {
                stringify!($name).into()
            }

            fn extra_repr(&self) -> String {
                self.0.text()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.repr())
            }
        }
    )* };
}

recurrent! {
    /// Layers of `tanh(W_ih x + b_ih + W_hh h + b_hh)`, or with `relu`, as
    /// [`torch.nn.RNN`](https://pytorch.org/docs/stable/generated/torch.nn.RNN.html).
    ///
    /// # Shapes
    /// `[T, N, input_size]`, state `[layers * directions, N, hidden_size]` -> `[T, N, directions * hidden_size]` and the last
    /// state; `N` may be left out, and comes first with `batch_first`.
    RNN, 1;
    /// Layers of long short-term memory (Hochreiter and Schmidhuber 1997), as
    /// [`torch.nn.LSTM`](https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html).
    ///
    /// # Shapes
    /// As [`RNN`], with a cell beside the state; states have `proj_size` elements if that is not 0.
    LSTM, 4;
    /// Layers of gated recurrent units (Cho et al. 2014), as
    /// [`torch.nn.GRU`](https://pytorch.org/docs/stable/generated/torch.nn.GRU.html).
    ///
    /// # Shapes
    /// As [`RNN`].
    GRU, 3;
}

/// The calls of a layer whose state is one tensor.
macro_rules! one_state {
    ($name:ident, |$o:ident| $padded:expr, $packed:expr) => {
        impl $name {
            /// Output of the last layer at every step, and the last state of every layer; the first state is zero unless given.
            ///
            /// # Errors
            /// `Runtime` or `Value` when shapes do not fit.
            pub fn forward(&self, input: &Tensor, hx: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
                let ($o, dim) = (&self.options, i64::from(!self.options.batch_first));
                let (input, batch, added) = self.batched(input)?;
                let hx = self.state(hx, &input, batch, added, false)?;
                let (train, flat) = (self.training.is_on(), self.flat());
                let (out, h) = $padded(
                    &input,
                    &hx,
                    &flat[..],
                    $o.bias,
                    $o.num_layers,
                    $o.dropout,
                    train,
                    $o.bidirectional,
                    $o.batch_first,
                )?;
                Ok((without(out, dim, added)?, without(h, 1, added)?))
            }

            /// [`Self::forward`] of sequences of different lengths.
            ///
            /// # Errors
            /// As there.
            pub fn forward_packed(
                &self,
                input: &PackedSequence,
                hx: Option<&Tensor>,
            ) -> Result<(PackedSequence, Tensor)> {
                let $o = &self.options;
                self.check_input(&input.data)?;
                let batch = input.batch()?;
                let hx = self.state(
                    hx.map(|h| input.sorted(h)).transpose()?.as_ref(),
                    &input.data,
                    batch,
                    false,
                    false,
                )?;
                let (train, flat) = (self.training.is_on(), self.flat());
                let (out, h) = $packed(
                    &input.data,
                    &input.batch_sizes,
                    &hx,
                    &flat[..],
                    $o.bias,
                    $o.num_layers,
                    $o.dropout,
                    train,
                    $o.bidirectional,
                )?;
                Ok((input.with_data(out), input.unsorted(&h)?))
            }
        }
    };
}

one_state!(
    RNN,
    |o| if o.relu { ops::rnn_relu } else { ops::rnn_tanh },
    if o.relu { ops::rnn_relu_data } else { ops::rnn_tanh_data }
);
one_state!(GRU, |o| ops::gru, ops::gru_data);

impl LSTM {
    /// Output of the last layer at every step, and the last states and cells of every layer; the first ones are zero
    /// unless given.
    ///
    /// # Errors
    /// `Runtime` or `Value` when shapes do not fit.
    pub fn forward(
        &self,
        input: &Tensor,
        hx: Option<(&Tensor, &Tensor)>,
    ) -> Result<(Tensor, (Tensor, Tensor))> {
        let (o, dim) = (&self.options, i64::from(!self.options.batch_first));
        let (input, batch, added) = self.batched(input)?;
        let wanted = if added { 2 } else { 3 };
        if let Some((h, c)) = hx.filter(|(h, c)| h.dim() != wanted || c.dim() != wanted) {
            let (kind, h, c) = (if added { "unbatched" } else { "batched" }, h.dim(), c.dim());
            bail!(
                "For {kind} {wanted}-D input, hx and cx should also be {wanted}-D but got ({h}-D, {c}-D) tensors"
            );
        }
        let h = self.state(hx.map(|(h, _)| h), &input, batch, added, false)?;
        let c = self.state(hx.map(|(_, c)| c), &input, batch, added, true)?;
        let (train, flat) = (self.training.is_on(), self.flat());
        let (layers, dropout) = (o.num_layers, o.dropout);
        let (out, h, c) = ops::lstm(
            &input,
            &[h, c],
            &flat[..],
            o.bias,
            layers,
            dropout,
            train,
            o.bidirectional,
            o.batch_first,
        )?;
        Ok((without(out, dim, added)?, (without(h, 1, added)?, without(c, 1, added)?)))
    }

    /// [`LSTM::forward`] of sequences of different lengths.
    ///
    /// # Errors
    /// As there.
    pub fn forward_packed(
        &self,
        input: &PackedSequence,
        hx: Option<(&Tensor, &Tensor)>,
    ) -> Result<(PackedSequence, (Tensor, Tensor))> {
        let (o, batch) = (&self.options, input.batch()?);
        self.check_input(&input.data)?;
        let sorted = |t: Option<&Tensor>| t.map(|t| input.sorted(t)).transpose();
        let h = self.state(sorted(hx.map(|(h, _)| h))?.as_ref(), &input.data, batch, false, false)?;
        let c = self.state(sorted(hx.map(|(_, c)| c))?.as_ref(), &input.data, batch, false, true)?;
        let (train, flat) = (self.training.is_on(), self.flat());
        let (layers, dropout) = (o.num_layers, o.dropout);
        let (out, h, c) = ops::lstm_data(
            &input.data,
            &input.batch_sizes,
            &[h, c],
            &flat[..],
            o.bias,
            layers,
            dropout,
            train,
            o.bidirectional,
        )?;
        Ok((input.with_data(out), (input.unsorted(&h)?, input.unsorted(&c)?)))
    }
}
