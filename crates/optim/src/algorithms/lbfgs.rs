//! L-BFGS: steps along an approximation of Newton's direction, from the last changes of the gradient.

use cresset_core::optimizer::axpy_dot;
use cresset_core::value::Value;
use cresset_core::{Result, Scalar, Tensor, bail, enable_grad, ensure, ops};

use super::line_search::{Point, strong_wolfe};
use super::{num, real};
use crate::hyper::{hyper, not_negative};
use crate::optimizer::{Group, Item, Optimizer, Update};
use crate::state::State;

hyper! {
    /// Hyper-parameters of [`LBFGS`].
    LBFGSOptions {
        /// Learning rate (default: 1).
        lr: f64 = 1.0,
        /// Iterations of one step, at most (default: 20).
        max_iter: i64 = 20,
        /// Evaluations of one step, at most (default: five quarters of `max_iter`).
        max_eval: Option<i64> = None,
        /// Largest element of the gradient at which the search ends (default: 1e-7).
        tolerance_grad: f64 = 1e-7,
        /// Change of loss or parameters at which the search ends (default: 1e-9).
        tolerance_change: f64 = 1e-9,
        /// How many changes are remembered (default: 100).
        history_size: i64 = 100,
        /// `strong_wolfe`, or none for steps of fixed length (default).
        line_search_fn: Option<String> = None,
        /// Whether to climb instead (default: no).
        maximize: bool = false,
    }
    besides {}
    ints { lr }
    check |h| {
        not_negative("learning rate", h.lr)?;
    }
}

/// L-BFGS, as [`torch.optim.LBFGS`](https://pytorch.org/docs/stable/generated/torch.optim.LBFGS.html): one group of
/// parameters, stepped with a closure that computes the loss and its gradients as often as the search asks
/// ([`Optimizer::step_with`]).
///
/// # Examples
/// ```
/// use cresset_core::{Result, tensor};
/// use cresset_optim::LBFGS;
///
/// # fn main() -> Result<()> {
/// let w = tensor![1.0, -2.0].requires_grad_(true)?;
/// let mut optimizer = LBFGS::with([w.clone()], 1.0, |o| o.line_search_fn(Some("strong_wolfe".into())))?;
/// optimizer.step_with(|| {
///     w.set_grad(None)?;
///     let loss = w.sub_scalar(3)?.square()?.sum()?;
///     loss.backward()?;
///     Ok(loss)
/// })?;
/// assert!(w.sub_scalar(3)?.abs()?.max()?.item()?.to_f64() < 1e-5);
/// # Ok(())
/// # }
/// ```
pub type LBFGS = Optimizer<LBFGSUpdate>;

/// The update of [`LBFGS`].
pub struct LBFGSUpdate;

impl Update for LBFGSUpdate {
    type Options = LBFGSOptions;

    const SHARED_STATE: bool = true;
    const TAKES_SPARSE: bool = true;

    fn complete(options: &mut LBFGSOptions) {
        options.max_eval.get_or_insert(options.max_iter * 5 / 4);
    }

    fn update(_: Vec<Item<'_>>, _: &LBFGSOptions) -> Result<()> {
        bail!(Type, "LBFGS.step() missing 1 required positional argument: 'closure'")
    }

    fn step_with(
        groups: &mut [Group<LBFGSOptions>],
        closure: &mut dyn FnMut() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let [group] = groups else {
            bail!(Value, "LBFGS doesn't support per-parameter options (parameter groups)")
        };
        let options = group.options.clone();
        let (params, Some(state)) = group.params_and_first_state() else {
            bail!(Index, "list index out of range")
        };
        Search { params, closure, h: &options }.run(state)
    }
}

/// What is remembered between iterations.
struct Memory {
    direction: Tensor,
    /// How the function falls along it.
    slope: f64,
    step: f64,
    /// Changes of the gradient, the latest last.
    changes: Vec<Tensor>,
    /// Changes of the parameters.
    steps: Vec<Tensor>,
    /// `1 / (change . step)` of each.
    curvatures: Vec<Tensor>,
    /// Scale of the first approximation.
    scale: Tensor,
    gradient: Tensor,
    loss: f64,
}

/// One step: the parameters and the function of them.
struct Search<'a> {
    params: &'a [Tensor],
    closure: &'a mut dyn FnMut() -> Result<Tensor>,
    h: &'a LBFGSOptions,
}

impl Search<'_> {
    fn run(&mut self, state: &mut State) -> Result<Tensor> {
        let first = self.evaluate()?;
        let mut point = self.point(&first)?;
        let counted =
            |state: &State, key: &str| state.get(key).and_then(Value::as_scalar).map_or(0, Scalar::to_i64);
        let (mut all_evals, mut all_iters) = (counted(state, "func_evals") + 1, counted(state, "n_iter"));
        state.insert("func_evals", all_evals);
        state.insert("n_iter", all_iters);
        if point.largest()? <= self.h.tolerance_grad {
            return Ok(first);
        }
        let mut memory = if all_iters > 0 { Some(Memory::load(state)?) } else { None };
        let max_eval = self.h.max_eval.unwrap_or(self.h.max_iter * 5 / 4);
        let mut evals = 1;
        for iteration in 1..=self.h.max_iter {
            all_iters += 1;
            let m = match memory.take() {
                None => Memory::start(&point, self.h)?,
                Some(m) => m.next(&point, self.h)?,
            };
            let slope = m.slope;
            let m = memory.insert(m);
            if slope > -self.h.tolerance_change {
                break;
            }
            let last = iteration == self.h.max_iter;
            let used = self.advance(&mut point, m, slope, last, max_eval - evals)?;
            evals += used;
            all_evals += used;
            let moved = largest(&m.direction)? * m.step.abs();
            if last
                || evals >= max_eval
                || used > 0 && point.largest()? <= self.h.tolerance_grad
                || moved <= self.h.tolerance_change
                || (point.loss - m.loss).abs() < self.h.tolerance_change
            {
                break;
            }
        }
        state.insert("func_evals", all_evals);
        state.insert("n_iter", all_iters);
        if let Some(memory) = memory {
            memory.store(state);
        }
        Ok(first)
    }

    /// Moves along the direction, by the learning rate or as far as the line search finds good; how often the function
    /// was evaluated.
    fn advance(
        &mut self,
        point: &mut Point,
        m: &mut Memory,
        slope: f64,
        last: bool,
        evals_left: i64,
    ) -> Result<i64> {
        if self.h.line_search_fn.is_some() {
            let start: Vec<Tensor> =
                self.params.iter().map(|p| p.detach().clone_tensor()).collect::<Result<_>>()?;
            let (direction, tolerance) = (m.direction.clone(), self.h.tolerance_change);
            let mut at = |t: f64| {
                self.add(t, &direction)?;
                let loss = self.evaluate()?;
                let point = self.point(&loss)?;
                self.params.iter().zip(&start).try_for_each(|(p, x)| p.copy_(x).map(|_| ()))?;
                Ok(point)
            };
            let found = strong_wolfe(&mut at, m.step, &direction, point, slope, tolerance, evals_left)?;
            (*point, m.step) = (found.point, found.step);
            self.add(m.step, &direction)?;
            return Ok(found.evals);
        }
        self.add(m.step, &m.direction)?;
        if last {
            return Ok(0);
        }
        let loss = self.evaluate()?;
        *point = self.point(&loss)?;
        Ok(1)
    }

    fn evaluate(&mut self) -> Result<Tensor> {
        let _guard = enable_grad();
        (self.closure)()
    }

    /// The loss and the gradient that the closure left, downhill.
    fn point(&self, loss: &Tensor) -> Result<Point> {
        let (loss, gradient) = (loss.item()?.to_f64(), flat_gradient(self.params)?);
        match self.h.maximize {
            true => Ok(Point { loss: -loss, gradient: gradient.neg()? }),
            false => Ok(Point { loss, gradient }),
        }
    }

    fn add(&self, step: f64, direction: &Tensor) -> Result<()> {
        let mut start = 0;
        for p in self.params {
            let p = real(&p.detach())?;
            let n = p.numel() as i64;
            let part = direction.narrow(0, start, n)?.view(p.sizes())?;
            p.add_with_(&part, |o| o.alpha(step))?;
            start += n;
        }
        Ok(())
    }
}

impl Memory {
    /// Straight downhill.
    fn start(point: &Point, h: &LBFGSOptions) -> Result<Memory> {
        let steepness = norm(&point.gradient, 1.0)?;
        Ok(Memory {
            direction: point.gradient.neg()?,
            slope: -point.gradient.dot(&point.gradient)?.item()?.to_f64(),
            step: (1.0 / steepness).min(1.0) * h.lr,
            changes: Vec::new(),
            steps: Vec::new(),
            curvatures: Vec::new(),
            scale: Tensor::scalar(1, point.gradient.dtype())?,
            gradient: point.gradient.clone(),
            loss: point.loss,
        })
    }

    /// Remembers what the last step did, and the direction from here.
    fn next(mut self, point: &Point, h: &LBFGSOptions) -> Result<Memory> {
        let change = point.gradient.sub(&self.gradient)?;
        let step = self.direction.mul(&num(self.step)?)?;
        let curvature = change.dot(&step)?;
        if curvature.item()?.to_f64() > 1e-10 {
            if self.changes.len() as i64 >= h.history_size && !self.changes.is_empty() {
                self.changes.remove(0);
                self.steps.remove(0);
                self.curvatures.remove(0);
            }
            self.scale = curvature.div(&change.dot(&change)?)?;
            self.curvatures.push(curvature.reciprocal()?);
            self.changes.push(change);
            self.steps.push(step);
        }
        (self.direction, self.slope) = self.newton(&point.gradient)?;
        (self.step, self.gradient, self.loss) = (h.lr, point.gradient.clone(), point.loss);
        Ok(self)
    }

    /// Minus the approximate inverse Hessian times the gradient (two-loop recursion, Nocedal 1980), and the slope there. Each
    /// pass adds one vector and multiplies with the next.
    fn newton(&self, gradient: &Tensor) -> Result<(Tensor, f64)> {
        let (n, r) = (self.changes.len(), gradient.neg()?);
        let curvatures: Vec<f64> =
            self.curvatures.iter().map(|c| Ok(c.item()?.to_f64())).collect::<Result<_>>()?;
        let scale = self.scale.item()?.to_f64();
        let mut parts = vec![0.0; n];
        let mut dot = match self.steps.last() {
            Some(last) => last.dot(&r)?.item()?.to_f64(),
            None => 0.0,
        };
        for i in (0..n).rev() {
            parts[i] = dot * curvatures[i];
            let next = if i == 0 { &self.changes[0] } else { &self.steps[i - 1] };
            dot = axpy_dot(&r, -parts[i], &self.changes[i], next)?;
        }
        r.mul_(&num(scale)?)?;
        dot *= scale;
        for i in 0..n {
            let second = dot * curvatures[i];
            let next = self.changes.get(i + 1).unwrap_or(gradient);
            dot = axpy_dot(&r, parts[i] - second, &self.steps[i], next)?;
        }
        let slope = if n == 0 { r.dot(gradient)?.item()?.to_f64() } else { dot };
        Ok((r, slope))
    }

    fn store(self, state: &mut State) {
        // The factors of the last recursion, which PyTorch keeps beside and never reads again.
        state.remove("al");
        state.insert("d", self.direction);
        state.insert("t", self.step);
        state.insert("old_dirs", self.changes);
        state.insert("old_stps", self.steps);
        state.insert("ro", self.curvatures);
        state.insert("H_diag", self.scale);
        state.insert("prev_flat_grad", self.gradient);
        state.insert("prev_loss", self.loss);
    }

    fn load(state: &State) -> Result<Memory> {
        let direction = state.tensor("d")?.clone();
        let number = |key: &str| match state.get(key) {
            Some(Value::Tensor(t)) => t.item(),
            Some(v) => v.as_scalar().ok_or_else(|| {
                cresset_core::Error::key(format!("the optimizer's state has no number '{key}'"))
            }),
            None => bail!(Key, "the optimizer's state has no number '{key}'"),
        };
        let list = |key: &str| match state.get(key) {
            Some(Value::Tensors(list)) => Ok(list.clone()),
            // A list without members is read as one of numbers.
            Some(Value::Ints(l)) if l.is_empty() => Ok(Vec::new()),
            _ => bail!(Key, "the optimizer's state has no list of tensors '{key}'"),
        };
        let (changes, steps, curvatures) = (list("old_dirs")?, list("old_stps")?, list("ro")?);
        ensure!(
            changes.len() == steps.len() && changes.len() == curvatures.len(),
            Value,
            "the optimizer's state has {} directions, {} steps and {} curvatures",
            changes.len(),
            steps.len(),
            curvatures.len()
        );
        let scale = Tensor::scalar(number("H_diag")?, direction.dtype())?;
        let gradient = state.tensor("prev_flat_grad")?.clone();
        let (step, loss) = (number("t")?.to_f64(), number("prev_loss")?.to_f64());
        // The slope is that of the direction that the next iteration finds.
        Ok(Memory { direction, slope: 0.0, step, changes, steps, curvatures, scale, gradient, loss })
    }
}

/// The gradients one after the other, complex ones as pairs; zeros where there is none.
fn flat_gradient(params: &[Tensor]) -> Result<Tensor> {
    let flat = |p: &Tensor| match p.grad() {
        None => real(&p.detach().zero()?)?.reshape(-1),
        Some(g) => real(&g.to_dense()?)?.reshape(-1),
    };
    let parts: Vec<Tensor> = params.iter().map(flat).collect::<Result<_>>()?;
    ops::cat(&parts)
}

impl Point {
    fn largest(&self) -> Result<f64> {
        largest(&self.gradient)
    }
}

/// The largest absolute value.
pub(super) fn largest(t: &Tensor) -> Result<f64> {
    if t.numel() == 0 { Ok(0.0) } else { norm(t, f64::INFINITY) }
}

fn norm(t: &Tensor, ord: f64) -> Result<f64> {
    Ok(ops::linalg_vector_norm_with(t, |o| o.ord(ord))?.item()?.to_f64())
}
