//! Recurrent layers.

use cresset_kernels::rnn::Mode;
use cresset_macros::op;

use super::dropout::dropout;
use super::packed::batch_sizes_of;
use super::rnn_sequence::{_rnn_sequence, Layer};
use super::{cat, linear, narrow, select, stack, transpose};
use crate::op::OpDef;
use crate::{Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] =
    op_list![rnn_tanh, rnn_tanh_data, rnn_relu, rnn_relu_data, gru, gru_data, lstm, lstm_data,];

/// What all layers of a call share.
struct Stack<'a> {
    mode: Mode,
    params: &'a [Tensor],
    has_biases: bool,
    num_layers: i64,
    dropout: f64,
    train: bool,
    bidirectional: bool,
}

/// Parameters of one direction of one layer.
struct Params<'a> {
    w_ih: &'a Tensor,
    w_hh: &'a Tensor,
    b_ih: Option<&'a Tensor>,
    b_hh: Option<&'a Tensor>,
    w_hr: Option<&'a Tensor>,
}

impl Stack<'_> {
    fn directions(&self) -> i64 {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Parameters of layer and direction `i`.
    fn params(&self, i: usize, projected: bool) -> Params<'_> {
        let each = 2 + 2 * usize::from(self.has_biases) + usize::from(projected);
        let p = &self.params[i * each..(i + 1) * each];
        let bias = |i: usize| self.has_biases.then(|| &p[i]);
        Params {
            w_ih: &p[0],
            w_hh: &p[1],
            b_ih: bias(2),
            b_hh: bias(3),
            w_hr: projected.then(|| &p[each - 1]),
        }
    }

    fn check(&self, hx: &Tensor, cx: Option<&Tensor>, batch: i64) -> Result<bool> {
        let projected = cx.is_some_and(|c| c.dim() == 3 && hx.dim() == 3 && c.sizes()[2] != hx.sizes()[2]);
        let number = self.num_layers.saturating_mul(self.directions());
        let each = 2 + 2 * i64::from(self.has_biases) + i64::from(projected);
        ensure!(
            number > 0 && number.checked_mul(each) == Some(self.params.len() as i64),
            "got an incorrect number of RNN parameters"
        );
        for state in [Some(hx), cx].into_iter().flatten() {
            ensure!(state.dim() == 3, "Expected hidden states of 3 dimensions, got {}", state.dim());
            ensure!(state.sizes()[0] == number, "Expected more hidden states in stacked_rnn");
            ensure!(
                state.sizes()[1] == batch,
                "Expected hidden states of {batch} sequences, got {:?}",
                state.sizes().as_slice()
            );
        }
        Ok(projected)
    }

    /// Output, last states and, of an LSTM, last cells over packed rows.
    fn run(
        &self,
        data: &Tensor,
        batch_sizes: &[i64],
        hx: &Tensor,
        cx: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        let projected = self.check(hx, cx, batch_sizes[0])?;
        let (mut data, mut states, mut cells) = (data.clone(), Vec::new(), Vec::new());
        for layer in 0..self.num_layers {
            let mut outs = Vec::new();
            for direction in 0..self.directions() {
                let i = layer * self.directions() + direction;
                let first = |t: &Tensor| select::call(t, 0, i);
                let (h, c) = (first(hx)?, cx.map(first).transpose()?);
                let params = self.params(i as usize, projected);
                let reverse = direction == 1;
                let (out, cell) = self.layer(&data, batch_sizes, &h, c.as_ref(), &params, reverse)?;
                states.push(last(&out, batch_sizes, reverse)?);
                if let Some(cell) = cell {
                    cells.push(last(&cell, batch_sizes, reverse)?);
                }
                outs.push(out);
            }
            data = if outs.len() == 1 { outs.remove(0) } else { cat::call(&outs, 1)? };
            if self.train && self.dropout != 0.0 && layer + 1 < self.num_layers {
                data = dropout::call(&data, self.dropout, true)?;
            }
        }
        let cells = if cx.is_some() { Some(stack::call(&cells, 0)?) } else { None };
        Ok((data, stack::call(&states, 0)?, cells))
    }

    /// States and cells of all steps of one direction of a layer.
    fn layer(
        &self,
        data: &Tensor,
        batch_sizes: &[i64],
        h: &Tensor,
        c: Option<&Tensor>,
        params: &Params<'_>,
        reverse: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let gates = linear::call(data, params.w_ih, params.b_ih)?;
        if params.w_hr.is_some() {
            let Params { w_hh: weight, b_hh: bias, w_hr: projection, .. } = *params;
            let layer = Layer { weight, bias, projection, batch_sizes, mode: self.mode, reverse };
            return layer.run(&gates, h, c, None);
        }
        let mode = match self.mode {
            Mode::Relu => 0,
            Mode::Tanh => 1,
            Mode::Lstm => 2,
            Mode::Gru => 3,
        };
        let (weight, bias) = (params.w_hh, params.b_hh);
        let (out, cells, _) = _rnn_sequence::call(&gates, h, c, weight, bias, batch_sizes, mode, reverse)?;
        Ok((out, c.is_some().then_some(cells)))
    }

    /// [`Stack::run`] on `[time, batch, features]`, or `[batch, time, features]`.
    fn padded(
        &self,
        input: &Tensor,
        hx: &Tensor,
        cx: Option<&Tensor>,
        batch_first: bool,
    ) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        let input = if batch_first { transpose::call(input, 0, 1)? } else { input.clone() };
        let sizes = input.sizes();
        ensure!(sizes.len() == 3, "RNN: Expected input of 3 dimensions, got {}", sizes.len());
        let [time, batch, features] = [sizes[0], sizes[1], sizes[2]];
        ensure!(time > 0, "Expected sequence length to be larger than 0 in RNN");
        let data = input.reshape([time * batch, features])?;
        let (out, states, cells) = self.run(&data, &vec![batch; time as usize], hx, cx)?;
        let width = out.sizes()[1];
        let out = out.reshape([time, batch, width])?;
        let out = if batch_first { transpose::call(&out, 0, 1)? } else { out };
        Ok((out, states, cells))
    }

    /// [`Stack::run`] on packed steps.
    fn packed(
        &self,
        data: &Tensor,
        batch_sizes: &Tensor,
        hx: &Tensor,
        cx: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        self.run(data, &batch_sizes_of(data, batch_sizes)?, hx, cx)
    }
}

/// Each sequence's rows at its last step, which is the first one if `reverse`.
fn last(rows: &Tensor, batch_sizes: &[i64], reverse: bool) -> Result<Tensor> {
    let (batch, all) = (batch_sizes[0], rows.sizes()[0]);
    if reverse || batch_sizes[batch_sizes.len() - 1] == batch {
        return narrow::call(rows, 0, if reverse { 0 } else { all - batch }, batch);
    }
    let mut index = vec![0; batch as usize];
    let mut start = 0;
    for n in batch_sizes {
        (0..*n).for_each(|b| index[b as usize] = start + b);
        start += n;
    }
    rows.index_select(0, &Tensor::from_vec(index, [batch])?)
}

/// State and cell out of the list that LSTMs take.
fn pair(hx: &[Tensor]) -> Result<(&Tensor, &Tensor)> {
    match hx {
        [h, c] => Ok((h, c)),
        _ => bail!("lstm expects two hidden states"),
    }
}

/// Layers of `tanh(W_ih x + b_ih + W_hh h + b_hh)` over `[time, batch, features]`: the last layer's states, and the last states.
#[op(
    "rnn_tanh.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod rnn_tanh {
    fn kernel(
        input: &Tensor,
        hx: &Tensor,
        params: &[Tensor],
        has_biases: bool,
        num_layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Result<(Tensor, Tensor)> {
        let mode = Mode::Tanh;
        let stack = Stack { mode, params, has_biases, num_layers, dropout, train, bidirectional };
        stack.padded(input, hx, None, batch_first).map(|(out, h, _)| (out, h))
    }
}

/// [`rnn_tanh`] over packed steps.
#[op(
    "rnn_tanh.data(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod rnn_tanh_data {
    fn kernel(
        data: &Tensor,
        batch_sizes: &Tensor,
        hx: &Tensor,
        params: &[Tensor],
        has_biases: bool,
        num_layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
    ) -> Result<(Tensor, Tensor)> {
        let mode = Mode::Tanh;
        let stack = Stack { mode, params, has_biases, num_layers, dropout, train, bidirectional };
        stack.packed(data, batch_sizes, hx, None).map(|(out, h, _)| (out, h))
    }
}

/// Layers of `max(W_ih x + b_ih + W_hh h + b_hh, 0)` over `[time, batch, features]`: the last layer's states, and the last states.
#[op(
    "rnn_relu.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod rnn_relu {
    fn kernel(
        input: &Tensor,
        hx: &Tensor,
        params: &[Tensor],
        has_biases: bool,
        num_layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Result<(Tensor, Tensor)> {
        let mode = Mode::Relu;
        let stack = Stack { mode, params, has_biases, num_layers, dropout, train, bidirectional };
        stack.padded(input, hx, None, batch_first).map(|(out, h, _)| (out, h))
    }
}

/// [`rnn_relu`] over packed steps.
#[op(
    "rnn_relu.data(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod rnn_relu_data {
    fn kernel(
        data: &Tensor,
        batch_sizes: &Tensor,
        hx: &Tensor,
        params: &[Tensor],
        has_biases: bool,
        num_layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
    ) -> Result<(Tensor, Tensor)> {
        let mode = Mode::Relu;
        let stack = Stack { mode, params, has_biases, num_layers, dropout, train, bidirectional };
        stack.packed(data, batch_sizes, hx, None).map(|(out, h, _)| (out, h))
    }
}

/// Layers of gated recurrent units over `[time, batch, features]`: the last layer's states, and the last states.
#[op(
    "gru.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod gru {
    fn kernel(
        input: &Tensor,
        hx: &Tensor,
        params: &[Tensor],
        has_biases: bool,
        num_layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Result<(Tensor, Tensor)> {
        let mode = Mode::Gru;
        let stack = Stack { mode, params, has_biases, num_layers, dropout, train, bidirectional };
        stack.padded(input, hx, None, batch_first).map(|(out, h, _)| (out, h))
    }
}

/// [`gru`] over packed steps.
#[op(
    "gru.data(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod gru_data {
    fn kernel(
        data: &Tensor,
        batch_sizes: &Tensor,
        hx: &Tensor,
        params: &[Tensor],
        has_biases: bool,
        num_layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
    ) -> Result<(Tensor, Tensor)> {
        let mode = Mode::Gru;
        let stack = Stack { mode, params, has_biases, num_layers, dropout, train, bidirectional };
        stack.packed(data, batch_sizes, hx, None).map(|(out, h, _)| (out, h))
    }
}

/// Layers of long short-term memory over `[time, batch, features]`, `hx` being states and cells: the last layer's states, the
/// last states and the last cells.
#[op(
    "lstm.input(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)",
    composite,
    no_method
)]
mod lstm {
    fn kernel(
        input: &Tensor,
        hx: &[Tensor],
        params: &[Tensor],
        has_biases: bool,
        num_layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let (h, c) = pair(hx)?;
        let mode = Mode::Lstm;
        let stack = Stack { mode, params, has_biases, num_layers, dropout, train, bidirectional };
        let (out, h, cells) = stack.padded(input, h, Some(c), batch_first)?;
        Ok((out, h, cells.unwrap_or_else(|| c.clone())))
    }
}

/// [`lstm`] over packed steps.
#[op(
    "lstm.data(Tensor data, Tensor batch_sizes, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional) -> (Tensor, Tensor, Tensor)",
    composite,
    no_method
)]
mod lstm_data {
    fn kernel(
        data: &Tensor,
        batch_sizes: &Tensor,
        hx: &[Tensor],
        params: &[Tensor],
        has_biases: bool,
        num_layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let (h, c) = pair(hx)?;
        let mode = Mode::Lstm;
        let stack = Stack { mode, params, has_biases, num_layers, dropout, train, bidirectional };
        let (out, h, cells) = stack.packed(data, batch_sizes, h, Some(c))?;
        Ok((out, h, cells.unwrap_or_else(|| c.clone())))
    }
}
