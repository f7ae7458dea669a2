//! Histories, in-place writes, views, hooks, and graphs that are too deep for recursion.

use cresset_core::autograd::{self, GradCheck, GradOptions, gradcheck, gradgradcheck};
use cresset_core::{Tensor, no_grad};

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, [values.len() as i64]).unwrap().requires_grad_(true).unwrap()
}

#[test]
fn gradients_accumulate_over_uses_and_calls() {
    let x = leaf(&[2.0, 3.0]);
    let y = x.mul(&x).unwrap().add(&x).unwrap();
    y.backward_with(&Tensor::from_slice(&[1.0, 1.0], [2]).unwrap()).unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [5.0, 7.0]);
    let z = x.mul(&x).unwrap();
    z.backward_with(&Tensor::from_slice(&[1.0, 1.0], [2]).unwrap()).unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [9.0, 13.0]);
}

#[test]
fn third_derivative_of_a_cube() {
    let x = leaf(&[2.0]);
    let options = GradOptions { create_graph: true, ..Default::default() };
    let mut y = x.mul(&x).unwrap().mul(&x).unwrap();
    for expected in [12.0, 12.0, 6.0] {
        y = autograd::grad(&[y.clone()], std::slice::from_ref(&x), &[None], options).unwrap()[0]
            .clone()
            .unwrap();
        assert_eq!(y.to_vec::<f64>().unwrap(), [expected]);
    }
}

#[test]
fn a_second_backward_needs_retain_graph() {
    let x = leaf(&[2.0]);
    let y = x.mul(&x).unwrap();
    y.backward().unwrap();
    let e = y.backward().unwrap_err();
    assert!(e.message().starts_with("Trying to backward through the graph a second time"), "{e}");
}

#[test]
fn inplace_on_a_leaf_is_refused_and_under_no_grad_is_not() {
    let x = leaf(&[1.0]);
    let e = x.add_(&x).unwrap_err();
    assert_eq!(e.message(), "a leaf Variable that requires grad is being used in an in-place operation.");
    let _guard = no_grad();
    x.add_(&x).unwrap();
    assert_eq!(x.to_vec::<f64>().unwrap(), [2.0]);
}

#[test]
fn a_stale_saved_tensor_is_named_with_its_versions() {
    let x = leaf(&[1.0, 2.0]);
    let y = x.mul(&x).unwrap();
    let z = y.mul(&y).unwrap();
    y.add_(&x).unwrap();
    let ones = Tensor::from_slice(&[1.0, 1.0], [2]).unwrap();
    let e = z.backward_with(&ones).unwrap_err();
    assert!(
        e.message().contains("modified by an inplace operation: [torch.DoubleTensor [2]], which is output 0 of AddBackward0, is at version 1; expected version 0 instead"),
        "{e}"
    );
}

#[test]
fn inplace_on_a_view_changes_the_history_of_its_base() {
    let x = leaf(&[1.0, 2.0, 3.0]);
    let w = leaf(&[10.0]);
    let base = x.mul(&x).unwrap();
    let view = base.as_strided_with([1_i64], [1_i64], |o| o.storage_offset(1)).unwrap();
    view.mul_(&w).unwrap();
    assert_eq!(base.to_vec::<f64>().unwrap(), [1.0, 40.0, 9.0]);
    base.backward_with(&Tensor::from_slice(&[1.0, 1.0, 1.0], [3]).unwrap()).unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [2.0, 40.0, 6.0]);
    assert_eq!(w.grad().unwrap().to_vec::<f64>().unwrap(), [4.0]);
}

#[test]
fn a_view_follows_a_later_write_to_its_base() {
    let x = leaf(&[1.0, 2.0]);
    let base = x.mul(&x).unwrap();
    let view = base.as_strided([1_i64], [1_i64]).unwrap();
    base.mul_(&x.detach()).unwrap();
    assert_eq!(view.grad_fn().unwrap().name(), "AsStridedBackward0");
}

#[test]
fn hooks_replace_gradients_and_can_be_removed() {
    let x = leaf(&[1.0]);
    let y = x.mul(&x).unwrap();
    let handle = y.register_hook(|g| g.add(g).map(Some)).unwrap();
    y.backward_with(&Tensor::from_slice(&[1.0], [1]).unwrap()).unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [4.0]);
    handle.remove();
    x.set_grad(None).unwrap();
    let y = x.mul(&x).unwrap();
    y.backward().unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [2.0]);
}

#[test]
fn a_graph_of_a_million_nodes_runs_and_drops() {
    let x = leaf(&[0.0]);
    let one = Tensor::from_slice(&[1.0], [1]).unwrap();
    let mut y = x.add(&one).unwrap();
    for _ in 0..1_000_000 {
        y = y.add(&one).unwrap();
    }
    y.backward().unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [1.0]);
    // The chain is still whole: saved values are gone, nodes and edges are not.
    drop(y);
}

#[test]
fn products_pass_gradcheck_twice() {
    let (a, b) = (leaf(&[0.5, -1.5, 2.0]), leaf(&[1.0, 0.25, -3.0]));
    let f = |x: &[Tensor]| Ok(vec![x[0].mul(&x[1])?.mul(&x[0])?]);
    gradcheck(f, &[a.clone(), b.clone()], GradCheck::default()).unwrap();
    gradgradcheck(f, &[a, b], GradCheck::default()).unwrap();
}

#[test]
fn checkpointed_parts_give_the_same_gradients() {
    let x = leaf(&[3.0]);
    let y =
        autograd::checkpoint(|i| Ok(vec![i[0].mul(&i[0])?.mul(&i[0])?]), std::slice::from_ref(&x)).unwrap();
    y[0].backward().unwrap();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [27.0]);
}
