//! The recurrent part of a layer, all time steps in one operator.
//!
//! What comes from the input is one product for all steps, made outside by [`linear`](super::linear), and so are the
//! gradients of the weights. The gradient of the gradient is that of the same steps in ordinary operators.

use cresset_kernels::rnn::{Gradients, Mode, Recurrence};
use cresset_macros::op;

use super::{cat, linear, narrow, sum_dim};
use crate::autograd::{GradOptions, grad};
use crate::dense::{cast, dense, dense_option, float_type, slice, slice_mut};
use crate::op::{Grads, Needs, OpDef};
use crate::second::differentiate;
use crate::storage::access_lists;
use crate::{Result, Tensor, bail, copy, ensure, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![_rnn_sequence, _rnn_sequence_backward];

/// The mode of that number: PyTorch's order of its modes.
fn mode_of(mode: i64) -> Result<Mode> {
    Ok(match mode {
        0 => Mode::Relu,
        1 => Mode::Tanh,
        2 => Mode::Lstm,
        3 => Mode::Gru,
        _ => bail!("_rnn_sequence: expected a mode from 0 to 3, got {mode}"),
    })
}

/// Checks the shapes; gives the size of the state.
fn check(
    gates: &Tensor,
    hx: &Tensor,
    cx: Option<&Tensor>,
    weight: &Tensor,
    bias: Option<&Tensor>,
    batch_sizes: &[i64],
    mode: Mode,
) -> Result<i64> {
    if !gates.is_floating_point() {
        bail!(NotImplemented, "\"rnn\" not implemented for '{}'", gates.dtype().scalar_type());
    }
    ensure!(hx.dim() == 2, "_rnn_sequence: expected a state of 2 dimensions, got {}", hx.dim());
    let (batch, size) = (hx.sizes()[0], hx.sizes()[1]);
    let rows = batch_sizes.iter().fold(0_i64, |sum, n| sum.saturating_add(*n));
    let decreasing = batch_sizes.is_sorted_by(|a, b| a >= b) && batch_sizes.last().is_some_and(|n| *n >= 0);
    ensure!(
        decreasing && batch_sizes[0] == batch,
        "_rnn_sequence: expected batch sizes that decrease from {batch}, got {batch_sizes:?}"
    );
    let n = mode.gates() as i64 * size;
    let fits = gates.sizes()[..] == [rows, n]
        && weight.sizes()[..] == [n, size]
        && bias.is_none_or(|b| b.sizes()[..] == [n])
        && cx.is_none_or(|c| c.sizes() == hx.sizes());
    ensure!(
        fits && cx.is_some() == (mode == Mode::Lstm),
        "_rnn_sequence: expected gates [{rows}, {n}] and weights [{n}, {size}], got {:?} and {:?}",
        gates.sizes().as_slice(),
        weight.sizes().as_slice()
    );
    let same = [Some(hx), cx, Some(weight), bias].into_iter().flatten().find(|t| t.dtype() != gates.dtype());
    if let Some(t) = same {
        bail!(
            "mat1 and mat2 must have the same dtype, but got {} and {}",
            t.dtype().scalar_type(),
            gates.dtype().scalar_type()
        );
    }
    Ok(size)
}

/// Runs one direction of one layer over packed steps: `gates` is what comes from the input, `batch_sizes` how many sequences
/// have each step. Gives the states, with `mode` 2 (LSTM) the cells, and what backward needs.
#[op(
    "_rnn_sequence(Tensor gates, Tensor hx, Tensor? cx, Tensor weight, Tensor? bias, int[] batch_sizes, int mode, bool reverse) -> (Tensor, Tensor, Tensor)",
    wrt(gates, hx, cx, weight, bias),
    no_method,
    no_fn
)]
mod _rnn_sequence {
    fn kernel(
        gates: &Tensor,
        hx: &Tensor,
        cx: Option<&Tensor>,
        weight: &Tensor,
        bias: Option<&Tensor>,
        batch_sizes: &[i64],
        mode: i64,
        reverse: bool,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let mode = mode_of(mode)?;
        let size = check(gates, hx, cx, weight, bias, batch_sizes, mode)?;
        let (dtype, device, rows) = (gates.dtype(), gates.device(), gates.sizes()[0]);
        let compute = float_type(dtype);
        let ins = [dense(gates, compute)?, dense(hx, compute)?, dense(weight, compute)?];
        let (cx, bias) = (dense_option(cx, compute)?, dense_option(bias, compute)?);
        let (out, cell_rows) =
            (Tensor::empty_of(&[rows, size], compute, device)?, if cx.is_some() { rows } else { 0 });
        let cells = Tensor::empty_of(&[cell_rows, size], compute, device)?;
        let work_len = with_float!(compute, T => {
            Recurrence::<T> { mode, size: size as usize, batch_sizes, reverse, weight: &[], bias: &[] }.work_len()
        });
        let work = Tensor::empty_of(&[work_len as i64], compute, device)?;
        let views: Vec<_> = ins.iter().chain(&cx).chain(&bias).map(Tensor::raw).collect();
        let outs = [out.raw(), cells.raw(), work.raw()];
        access_lists(&outs.each_ref(), &views.iter().collect::<Vec<_>>(), |o, i| {
            // SAFETY: all are locked, row-major and of the type that they are read as; the outputs are fresh.
            with_float!(compute, T => unsafe {
                let first: &[T] = if cx.is_some() { slice(&i[3]) } else { &[] };
                let bias: &[T] = if bias.is_some() { slice(&i[i.len() - 1]) } else { &[] };
                let weight = slice(&i[2]);
                let layer = Recurrence::<T> { mode, size: size as usize, batch_sizes, reverse, weight, bias };
                let work = slice_mut(&o[2]);
                layer.forward(slice(&i[0]), [slice(&i[1]), first], slice_mut(&o[0]), slice_mut(&o[1]), work);
            });
        });
        Ok((cast(out, dtype)?, cast(cells, dtype)?, work))
    }
    fn grad(
        g0: Option<&Tensor>,
        g1: Option<&Tensor>,
        gates: &Tensor,
        hx: &Tensor,
        cx: Option<&Tensor>,
        weight: &Tensor,
        bias: Option<&Tensor>,
        out0: &Tensor,
        out2: &Tensor,
        batch_sizes: &[i64],
        mode: i64,
        reverse: bool,
        needs: Needs,
    ) -> Result<Grads> {
        let (of_gates, of_hidden, of_hx, of_cx) = _rnn_sequence_backward::call(
            g0,
            g1,
            gates,
            hx,
            cx,
            weight,
            bias,
            out2,
            batch_sizes,
            mode,
            reverse,
        )?;
        let of_hidden = if mode_of(mode)? == Mode::Gru { of_hidden } else { of_gates.clone() };
        let of_weight =
            needs.when(3, || of_hidden.transpose(0, 1)?.matmul(&before(hx, out0, batch_sizes, reverse)?))?;
        let of_bias = needs.when(4, || sum_dim::call(&of_hidden, Some(&[0]), false, None))?;
        let of_cx = cx.is_some().then_some(of_cx);
        Ok(vec![of_gates.into(), of_hx.into(), of_cx.into(), of_weight, of_bias])
    }
}

/// The state before each step, in packed rows.
fn before(hx: &Tensor, out: &Tensor, batch_sizes: &[i64], reverse: bool) -> Result<Tensor> {
    let (steps, batch, rows) = (batch_sizes.len(), batch_sizes[0], out.sizes()[0]);
    if batch_sizes[steps - 1] == batch {
        let parts = if reverse {
            [narrow::call(out, 0, batch, rows - batch)?, hx.clone()]
        } else {
            [hx.clone(), narrow::call(out, 0, 0, rows - batch)?]
        };
        return cat::call(&parts, 0);
    }
    let (mut parts, mut start) = (Vec::new(), 0);
    for (t, n) in batch_sizes.iter().enumerate() {
        let next = batch_sizes.get(t + 1).copied().unwrap_or(0);
        match (reverse, t) {
            (false, 0) => parts.push(hx.clone()),
            (false, _) => parts.push(narrow::call(out, 0, start - batch_sizes[t - 1], *n)?),
            (true, _) => {
                parts.push(narrow::call(out, 0, start + n, next)?);
                parts.push(narrow::call(hx, 0, next, n - next)?);
            }
        }
        start += n;
    }
    cat::call(&parts, 0)
}

/// Gradients of [`_rnn_sequence`]: of `gates`, with `mode` 3 (GRU) of what comes from the state, of the first state and of
/// the first cell.
#[op(
    "_rnn_sequence_backward(Tensor? grad_output, Tensor? grad_cells, Tensor gates, Tensor hx, Tensor? cx, Tensor weight, Tensor? bias, Tensor work, int[] batch_sizes, int mode, bool reverse) -> (Tensor, Tensor, Tensor, Tensor)",
    wrt(grad_output, grad_cells, gates, hx, cx, weight, bias),
    nondiff(work),
    no_method,
    no_fn
)]
mod _rnn_sequence_backward {
    fn kernel(
        grad_output: Option<&Tensor>,
        grad_cells: Option<&Tensor>,
        gates: &Tensor,
        hx: &Tensor,
        cx: Option<&Tensor>,
        weight: &Tensor,
        bias: Option<&Tensor>,
        work: &Tensor,
        batch_sizes: &[i64],
        mode: i64,
        reverse: bool,
    ) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        let mode = mode_of(mode)?;
        let size = check(gates, hx, cx, weight, bias, batch_sizes, mode)?;
        let (dtype, device, rows) = (gates.dtype(), gates.device(), gates.sizes()[0]);
        let compute = float_type(dtype);
        let given = [grad_output, grad_cells].into_iter().flatten();
        ensure!(
            given.clone().all(|g| g.sizes()[..] == [rows, size]),
            "_rnn_sequence_backward: expected gradients [{rows}, {size}]"
        );
        let empty = |sizes: &[i64]| Tensor::empty_of(sizes, compute, device);
        let hidden_rows = if mode == Mode::Gru { rows } else { 0 };
        let n = mode.gates() as i64 * size;
        let results = [
            empty(&[rows, n])?,
            empty(&[hidden_rows, n])?,
            empty(&hx.sizes())?,
            empty(&cx.map_or_else(|| [0, size].into(), Tensor::sizes))?,
        ];
        let mut ins = vec![dense(weight, compute)?, dense(work, compute)?];
        for g in given {
            ins.push(dense(g, compute)?);
        }
        let views: Vec<_> = ins.iter().map(Tensor::raw).collect();
        let outs = results.each_ref().map(|t| t.raw());
        let cells_at = if grad_output.is_some() { 3 } else { 2 };
        let right = access_lists(&outs.each_ref(), &views.iter().collect::<Vec<_>>(), |o, i| {
            // SAFETY: all are locked, row-major and of the type that they are read as; the outputs are fresh.
            with_float!(compute, T => unsafe {
                let of_out: &[T] = if grad_output.is_some() { slice(&i[2]) } else { &[] };
                let of_cells: &[T] = if grad_cells.is_some() { slice(&i[cells_at]) } else { &[] };
                let weight = slice(&i[0]);
                let layer = Recurrence::<T> { mode, size: size as usize, batch_sizes, reverse, weight, bias: &[] };
                let work: &[T] = slice(&i[1]);
                if work.len() != layer.work_len() {
                    return Some(());
                }
                let (gates, hidden) = (slice_mut(&o[0]), slice_mut(&o[1]));
                let to = Gradients { gates, hidden, hx: slice_mut(&o[2]), cx: slice_mut(&o[3]) };
                layer.backward(of_out, of_cells, work, to);
                None
            })
        });
        ensure!(right.is_none(), "_rnn_sequence_backward: expected the workspace of the forward call");
        let [gates, hidden, hx, cx] = results;
        Ok((cast(gates, dtype)?, cast(hidden, dtype)?, cast(hx, dtype)?, cast(cx, dtype)?))
    }
    fn grad(
        grads: &[Option<Tensor>],
        grad_output: Option<&Tensor>,
        grad_cells: Option<&Tensor>,
        gates: &Tensor,
        hx: &Tensor,
        cx: Option<&Tensor>,
        weight: &Tensor,
        bias: Option<&Tensor>,
        batch_sizes: &[i64],
        mode: i64,
        reverse: bool,
    ) -> Result<Grads> {
        let all = [grad_output, grad_cells, Some(gates), Some(hx), cx, Some(weight), bias];
        let present: Vec<&Tensor> = all.into_iter().flatten().collect();
        let mut found = differentiate(&present, grads, |inputs| {
            let mut inputs = inputs.iter().cloned();
            let inputs = all.map(|t| t.and_then(|_| inputs.next()));
            plain_backward(&inputs, batch_sizes, mode_of(mode)?, reverse)
        })?
        .into_iter();
        Ok(all.map(|t| t.and_then(|_| found.next().flatten()).into()).into())
    }
}

/// [`_rnn_sequence_backward`] by differentiating the steps in ordinary operators; the inputs are in the order of its `wrt`.
fn plain_backward(
    inputs: &[Option<Tensor>; 7],
    batch_sizes: &[i64],
    mode: Mode,
    reverse: bool,
) -> Result<Vec<Tensor>> {
    let [of_out, of_cells, Some(gates), Some(hx), cx, Some(weight), bias] = inputs else {
        bail!("_rnn_sequence_backward: an input is missing")
    };
    // Added to what comes from the state, so that its gradient is that part's.
    let probe = copy::zeros(&gates.sizes(), gates.dtype(), gates.device())?.requires_grad_(true)?;
    let layer = Layer { weight, bias: bias.as_ref(), projection: None, batch_sizes, mode, reverse };
    let (out, cells) = layer.run(gates, hx, cx.as_ref(), Some(&probe))?;
    let (mut outputs, mut given) = (Vec::new(), Vec::new());
    for (output, g) in [(Some(out), of_out), (cells, of_cells)] {
        if let (Some(output), Some(g)) = (output, g) {
            outputs.push(output);
            given.push(Some(g.clone()));
        }
    }
    let mut wanted = vec![gates.clone(), probe, hx.clone()];
    wanted.extend(cx.clone());
    let options = GradOptions { create_graph: true, allow_unused: true, ..Default::default() };
    let grads = grad(&outputs, &wanted, &given, options)?;
    let zeros = |t: &Tensor| copy::zeros(&t.sizes(), t.dtype(), t.device());
    let mut grads = grads
        .into_iter()
        .zip(&wanted)
        .map(|(g, t)| g.map_or_else(|| zeros(t), Ok))
        .collect::<Result<Vec<_>>>()?;
    if mode != Mode::Gru {
        grads[1] = copy::zeros(&[0, gates.sizes()[1]], gates.dtype(), gates.device())?;
    }
    if cx.is_none() {
        grads.push(copy::zeros(&[0, hx.sizes()[1]], hx.dtype(), hx.device())?);
    }
    Ok(grads)
}

/// One direction of one layer in ordinary operators.
pub(super) struct Layer<'a> {
    pub weight: &'a Tensor,
    pub bias: Option<&'a Tensor>,
    /// Of an LSTM: makes the state smaller than the cell.
    pub projection: Option<&'a Tensor>,
    pub batch_sizes: &'a [i64],
    pub mode: Mode,
    pub reverse: bool,
}

impl Layer<'_> {
    /// States and, of an LSTM, cells of all steps.
    pub(super) fn run(
        &self,
        gates: &Tensor,
        hx: &Tensor,
        cx: Option<&Tensor>,
        probe: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let mut state = (hx.clone(), cx.cloned());
        let ends = self.batch_sizes.iter().scan(0, |end, n| {
            *end += n;
            Some((*end - n, *n))
        });
        let mut spans: Vec<(i64, i64)> = ends.collect();
        if self.reverse {
            spans.reverse();
        }
        let (mut outs, mut cells) = (Vec::new(), Vec::new());
        for (start, n) in spans {
            let part = |t: &Tensor| narrow::call(t, 0, start, n);
            let (h, c) = (head(&state.0, n)?, state.1.as_ref().map(|c| head(c, n)).transpose()?);
            let mut hidden = linear::call(&h, self.weight, self.bias)?;
            if let Some(probe) = probe {
                hidden = hidden.add(&part(probe)?)?;
            }
            let (mut h, c) = step(self.mode, &part(gates)?, &hidden, &h, c.as_ref())?;
            if let Some(projection) = self.projection {
                h = linear::call(&h, projection, None)?;
            }
            outs.push(h.clone());
            cells.extend(c.clone());
            let old = state.1.take();
            state = (joined(h, &state.0)?, c.zip(old).map(|(c, old)| joined(c, &old)).transpose()?);
        }
        if self.reverse {
            outs.reverse();
            cells.reverse();
        }
        let cells = if cx.is_some() { Some(cat::call(&cells, 0)?) } else { None };
        Ok((cat::call(&outs, 0)?, cells))
    }
}

/// The first `n` rows.
fn head(t: &Tensor, n: i64) -> Result<Tensor> {
    if t.sizes()[0] == n { Ok(t.clone()) } else { narrow::call(t, 0, 0, n) }
}

/// `new` rows, then those of `old` beyond them.
fn joined(new: Tensor, old: &Tensor) -> Result<Tensor> {
    let (n, all) = (new.sizes()[0], old.sizes()[0]);
    if n == all { Ok(new) } else { cat::call(&[new, narrow::call(old, 0, n, all - n)?], 0) }
}

/// One step: the state and the cell from the sums of gates from the input and from the state.
pub(super) fn step(
    mode: Mode,
    gates: &Tensor,
    hidden: &Tensor,
    h: &Tensor,
    c: Option<&Tensor>,
) -> Result<(Tensor, Option<Tensor>)> {
    let part = |t: &Tensor, i: usize| {
        let n = t.sizes()[1] / mode.gates() as i64;
        narrow::call(t, 1, i as i64 * n, n)
    };
    match (mode, c) {
        (Mode::Relu, _) => Ok((gates.add(hidden)?.relu()?, None)),
        (Mode::Tanh, _) => Ok((gates.add(hidden)?.tanh()?, None)),
        (Mode::Gru, _) => {
            let gate = |i| part(gates, i)?.add(&part(hidden, i)?)?.sigmoid();
            let (r, z) = (gate(0)?, gate(1)?);
            let new = part(gates, 2)?.add(&r.mul(&part(hidden, 2)?)?)?.tanh()?;
            Ok((h.sub(&new)?.mul(&z)?.add(&new)?, None))
        }
        (Mode::Lstm, Some(c)) => {
            let sums = gates.add(hidden)?;
            let gate = |i| part(&sums, i)?.sigmoid();
            let new = part(&sums, 2)?.tanh()?;
            let c = gate(1)?.mul(c)?.add(&gate(0)?.mul(&new)?)?;
            Ok((gate(3)?.mul(&c.tanh()?)?, Some(c)))
        }
        (Mode::Lstm, None) => bail!("lstm expects two hidden states"),
    }
}
