//! Single steps of recurrent layers.

use cresset_kernels::rnn::Mode;
use cresset_macros::op;

use super::linear;
use super::rnn_sequence::step;
use crate::op::OpDef;
use crate::{Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![rnn_tanh_cell, rnn_relu_cell, gru_cell, lstm_cell];

/// One step of a layer on `[batch, features]`.
fn cell(
    mode: Mode,
    input: &Tensor,
    (h, c): (&Tensor, Option<&Tensor>),
    [w_ih, w_hh]: [&Tensor; 2],
    [b_ih, b_hh]: [Option<&Tensor>; 2],
) -> Result<(Tensor, Option<Tensor>)> {
    let (x, inputs) = (input.sizes(), w_ih.sizes());
    if x.len() == 2 && inputs.len() == 2 && x[1] != inputs[1] {
        bail!("input has inconsistent input_size: got {} expected {}", x[1], inputs[1]);
    }
    for (i, state) in [Some(h), c].into_iter().flatten().enumerate() {
        let (s, wanted) = (state.sizes(), w_hh.sizes());
        if x.len() == 2 && s.len() == 2 && x[0] != s[0] {
            bail!("Input batch size {} doesn't match hidden{i} batch size {}", x[0], s[0]);
        }
        if s.len() == 2 && wanted.len() == 2 && s[1] != wanted[1] {
            bail!("hidden{i} has inconsistent hidden_size: got {}, expected {}", s[1], wanted[1]);
        }
    }
    ensure!(x.len() == 2, "Expected 2D input (batch x feature), but got {}D input", x.len());
    ensure!(h.dim() == 2, "Expected 2D hidden state (batch x feature), but got {}D", h.dim());
    let (gates, hidden) = (linear::call(input, w_ih, b_ih)?, linear::call(h, w_hh, b_hh)?);
    ensure!(
        gates.sizes() == hidden.sizes() && gates.sizes()[1] == mode.gates() as i64 * h.sizes()[1],
        "Expected weights for {} gates, got {:?} and {:?}",
        mode.gates(),
        inputs.as_slice(),
        w_hh.sizes().as_slice()
    );
    step(mode, &gates, &hidden, h, c)
}

/// One step of [`rnn_tanh`](super::rnn_tanh) on `[batch, features]`.
#[op(
    "rnn_tanh_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
    composite,
    no_method
)]
mod rnn_tanh_cell {
    fn kernel(
        input: &Tensor,
        hx: &Tensor,
        w_ih: &Tensor,
        w_hh: &Tensor,
        b_ih: Option<&Tensor>,
        b_hh: Option<&Tensor>,
    ) -> Result<Tensor> {
        Ok(cell(Mode::Tanh, input, (hx, None), [w_ih, w_hh], [b_ih, b_hh])?.0)
    }
}

/// One step of [`rnn_relu`](super::rnn_relu).
#[op(
    "rnn_relu_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
    composite,
    no_method
)]
mod rnn_relu_cell {
    fn kernel(
        input: &Tensor,
        hx: &Tensor,
        w_ih: &Tensor,
        w_hh: &Tensor,
        b_ih: Option<&Tensor>,
        b_hh: Option<&Tensor>,
    ) -> Result<Tensor> {
        Ok(cell(Mode::Relu, input, (hx, None), [w_ih, w_hh], [b_ih, b_hh])?.0)
    }
}

/// One step of [`gru`](super::gru).
#[op(
    "gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
    composite,
    no_method
)]
mod gru_cell {
    fn kernel(
        input: &Tensor,
        hx: &Tensor,
        w_ih: &Tensor,
        w_hh: &Tensor,
        b_ih: Option<&Tensor>,
        b_hh: Option<&Tensor>,
    ) -> Result<Tensor> {
        Ok(cell(Mode::Gru, input, (hx, None), [w_ih, w_hh], [b_ih, b_hh])?.0)
    }
}

/// One step of [`lstm`](super::lstm): state and cell from those in `hx`.
#[op(
    "lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> (Tensor, Tensor)",
    composite,
    no_method
)]
mod lstm_cell {
    fn kernel(
        input: &Tensor,
        hx: &[Tensor],
        w_ih: &Tensor,
        w_hh: &Tensor,
        b_ih: Option<&Tensor>,
        b_hh: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let [h, c] = hx else { bail!("lstm_cell expects two hidden states") };
        let (h, new) = cell(Mode::Lstm, input, (h, Some(c)), [w_ih, w_hh], [b_ih, b_hh])?;
        Ok((h, new.unwrap_or_else(|| c.clone())))
    }
}
