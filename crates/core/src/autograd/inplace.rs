//! What an in-place write does to history: the checks before it, and the rebasing of the tensor, its base and its
//! other views after it.

use std::sync::Arc;

use super::Edge;
use super::node::{Backward, Gradients, Node};
use super::record::Meta;
use crate::layout::Layout;
use crate::tensor::Creation;
use crate::{Result, Tensor, bail};

/// The node and output that a tensor comes from; `None` for a leaf.
///
/// A view whose base was written to since has its history made anew from that of the base.
pub(crate) fn history(t: &Tensor) -> Option<Edge> {
    let (edge, view_version) = match t.autograd().as_ref() {
        Some(meta) => (meta.grad_fn.clone(), meta.view_version),
        None => (None, 0),
    };
    let Some(base) = t.base() else { return edge };
    if matches!(t.creation(), Creation::NoGrad | Creation::Custom)
        || (edge.is_some() && view_version == t.version())
    {
        return edge;
    }
    if edge.is_none() && !t.requires_grad() {
        return None;
    }
    let Some(base_edge) = base.gradient_edge() else { return edge };
    if t.is_complex() != base.is_complex() {
        return edge;
    }
    let node = AsStrided { base: Meta::of(base), view: t.layout() };
    let node =
        Node::new(Box::new(node), smallvec::smallvec![Some(base_edge)], smallvec::smallvec![Meta::of(t)]);
    t.set_history(node.clone(), 0);
    Some(Edge { node, index: 0 })
}

/// Checks that `t` may be written in place by a call that is recorded (`recording`) or not.
///
/// # Errors
/// `Runtime` with PyTorch's texts: a leaf that requires gradients, a view of one, one of several views of one call, an
/// expanded tensor, an inference tensor.
pub(crate) fn check_inplace(t: &Tensor, recording: bool) -> Result<()> {
    if t.is_inference() && !crate::modes::is_inference() {
        bail!(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        );
    }
    if !crate::modes::is_grad_enabled() || !(t.requires_grad() || recording) {
        return Ok(());
    }
    match t.base() {
        Some(base) => check_view(t, base),
        None if t.requires_grad() && t.is_leaf() => {
            bail!("a leaf Variable that requires grad is being used in an in-place operation.")
        }
        None => Ok(()),
    }
}

fn check_view(t: &Tensor, base: &Tensor) -> Result<()> {
    if base.requires_grad() && base.is_leaf() {
        bail!("a view of a leaf Variable that requires grad is being used in an in-place operation.");
    }
    let why = match t.creation() {
        Creation::MultiOutput => {
            "This view is the output of a function that returns multiple views. Such functions do not allow the output views to be modified inplace. You should replace the inplace operation by an out-of-place one."
        }
        Creation::NoGrad => {
            "This view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
        }
        Creation::Custom => {
            "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle view+inplace would override the custom backward associated with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom Function."
        }
        Creation::Inference => {
            "This view was created in inference mode and is being modified inplace in normal mode. Given that this use case is ambiguous and error-prone, it is forbidden."
        }
        Creation::Default => return Ok(()),
    };
    let name = history(t)
        .map_or_else(|| "A view".to_string(), |e| format!("Output {} of {}", e.index, e.node.name()));
    bail!("{name} is a view and is being modified inplace. {why}")
}

/// Gives `t`, just written in place by a call that `node` stands for, its new history. A view writes through to its
/// base, whose history becomes "the base with this part replaced".
pub(crate) fn rebase(t: &Tensor, node: Arc<Node>, index: usize) {
    let Some(base) = t.base() else {
        t.set_history(node, index);
        return;
    };
    let mut edges = node.edges.clone();
    let base_edge = base.gradient_edge();
    if edges.is_empty() {
        edges.push(None);
    }
    edges[0] = base_edge;
    let copy = CopySlices { base: Meta::of(base), view: t.layout(), inner: node, index };
    let node = Node::new(Box::new(copy), edges, smallvec::smallvec![Meta::of(base)]);
    base.set_history(node, 0);
    forget_history(t);
}

/// Lets the history of a view be made anew from that of its base when it is asked for.
pub(crate) fn forget_history(view: &Tensor) {
    view.autograd_mut().get_or_insert_default().grad_fn = None;
    view.set_needs_grad(true);
}

/// `g` laid out as the base was, so that the view's strides make sense in it.
fn in_base_geometry(g: &Tensor, base: &Meta) -> Result<Tensor> {
    if g.layout() == (Layout { offset: g.storage_offset(), ..base.layout.clone() }) && g.storage_offset() == 0
    {
        return Ok(g.clone());
    }
    let dense = Tensor::empty_strided_of(base.sizes(), base.strides(), g.dtype(), g.device())?;
    dense.copy_(g)
}

/// Gradient of a view that is rebuilt from its base.
struct AsStrided {
    base: Meta,
    view: Layout,
}

impl Backward for AsStrided {
    fn name(&self) -> String {
        "AsStridedBackward0".into()
    }

    fn apply(&self, _: &Arc<Node>, grads: &[Option<Tensor>], _: &[bool]) -> Result<Gradients> {
        let Some(Some(g)) = grads.first() else { return Ok(smallvec::smallvec![None]) };
        let zeros = Tensor::empty_strided_of(self.base.sizes(), self.base.strides(), g.dtype(), g.device())?;
        zeros.zero_()?;
        let offset = (self.view.offset - self.base.layout.offset) as i64;
        let placed = crate::ops::_put_strided::call(&zeros, g, &self.view.sizes, &self.view.strides, offset)?;
        Ok(smallvec::smallvec![Some(placed)])
    }
}

/// A base after one of its views was written: the gradient of that part goes through the call that wrote it.
struct CopySlices {
    base: Meta,
    view: Layout,
    inner: Arc<Node>,
    index: usize,
}

impl Backward for CopySlices {
    fn name(&self) -> String {
        "CopySlices".into()
    }

    fn apply(&self, _: &Arc<Node>, grads: &[Option<Tensor>], needs: &[bool]) -> Result<Gradients> {
        let Some(Some(g)) = grads.first() else {
            return Ok(smallvec::SmallVec::from_elem(None, needs.len()));
        };
        let g = in_base_geometry(g, &self.base)?;
        let offset = (self.view.offset - self.base.layout.offset) as i64;
        let (sizes, strides) = (&self.view.sizes, &self.view.strides);
        let part = g.as_strided_with(sizes, strides, |o| o.storage_offset(offset))?;
        let mut inner_grads: Gradients = smallvec::SmallVec::from_elem(None, self.index + 1);
        inner_grads[self.index] = Some(crate::ops::clone_tensor(&part)?);
        let mut inner_needs: smallvec::SmallVec<[bool; 4]> = needs.into();
        inner_needs[0] = true;
        let mut result = self.inner.backward.apply(&self.inner, &inner_grads, &inner_needs)?;
        result.resize(needs.len(), None);
        if needs[0] {
            let replaced = match result[0].take() {
                Some(r) => r,
                None => crate::copy::zeros(sizes, g.dtype(), g.device())?,
            };
            result[0] = Some(crate::ops::_put_strided::call(&g, &replaced, sizes, strides, offset)?);
        }
        Ok(result)
    }

    fn release(&self) {
        self.inner.backward.release();
    }
}
