//! What in-place writes to leaves, views and inference tensors are allowed to do, in PyTorch's words.

use cresset_core::{Tensor, inference_mode, no_grad, tensor};

fn leaf() -> Tensor {
    tensor![[1.0, 2.0], [3.0, 4.0]].requires_grad_(true).unwrap()
}

#[test]
fn a_view_of_a_leaf_is_refused() {
    let x = leaf();
    let e = x.select(0, 0).unwrap().add_(&tensor![1.0, 1.0]).unwrap_err();
    assert_eq!(
        e.message(),
        "a view of a leaf Variable that requires grad is being used in an in-place operation."
    );
}

#[test]
fn one_of_several_views_is_refused() {
    let y = leaf().mul(&leaf()).unwrap();
    let parts = y.unbind().unwrap();
    let e = parts[0].add_(&tensor![1.0, 1.0]).unwrap_err();
    assert!(
        e.message().starts_with("Output 0 of UnbindBackward0 is a view and is being modified inplace."),
        "{e}"
    );
    assert!(e.message().contains("multiple views"), "{e}");
}

#[test]
fn a_view_made_without_gradients_is_refused_where_they_are_on() {
    let y = leaf().mul(&leaf()).unwrap();
    let view = {
        let _guard = no_grad();
        y.select(0, 0).unwrap()
    };
    let e = view.mul_(&leaf().select(0, 0).unwrap()).unwrap_err();
    assert!(e.message().contains("was created in no_grad mode and is being modified inplace"), "{e}");
}

#[test]
fn an_inference_tensor_is_refused_outside() {
    let t = {
        let _guard = inference_mode();
        tensor![1.0]
    };
    let e = t.add_(&t).unwrap_err();
    assert!(
        e.message().starts_with("Inplace update to inference tensor outside InferenceMode is not allowed."),
        "{e}"
    );
}

#[test]
fn a_write_counts_for_the_base_its_views_and_detached_aliases_but_not_for_data() {
    let base = tensor![1.0, 2.0, 3.0];
    let (view, detached, data) = (base.select(0, 1).unwrap(), base.detach(), base.data());
    view.add_(&tensor![1.0].select(0, 0).unwrap()).unwrap();
    assert_eq!((base.version(), view.version(), detached.version(), data.version()), (1, 1, 1, 0));
    assert_eq!(data.to_vec::<f32>().unwrap(), [1.0, 3.0, 3.0]);
    data.add_(&data).unwrap();
    assert_eq!((base.version(), data.version()), (1, 1));
}

#[test]
fn adding_a_tensor_to_itself_in_place_does_not_wait_for_itself() {
    let x = tensor![1.0, 2.0];
    x.add_(&x).unwrap();
    assert_eq!(x.to_vec::<f32>().unwrap(), [2.0, 4.0]);
}

#[test]
fn an_inplace_result_must_fit_shape_and_dtype() {
    let e = tensor![1, 2].add_(&tensor![0.5, 0.5]).unwrap_err();
    assert_eq!(e.message(), "result type Float can't be cast to the desired output type Long");
    let e = tensor![1.0].add_(&tensor![1.0, 2.0]).unwrap_err();
    assert_eq!(e.message(), "output with shape [1] doesn't match the broadcast shape [2]");
}

#[test]
fn writing_to_an_expanded_tensor_is_refused() {
    let e = tensor![1.0].expand([3]).unwrap().copy_(&tensor![1.0, 2.0, 3.0]).unwrap_err();
    assert!(
        e.message().starts_with("unsupported operation: more than one element of the written-to tensor"),
        "{e}"
    );
}

#[test]
fn out_of_a_call_that_needs_gradients_is_refused() {
    let x = leaf();
    let out = tensor![[0.0, 0.0], [0.0, 0.0]];
    let e = x.mul_out(&x, &out).unwrap_err();
    assert!(
        e.message().contains("functions with out=... arguments don't support automatic differentiation"),
        "{e}"
    );
}

#[test]
fn threads_may_write_and_read_one_tensor() {
    let x = tensor![0.0];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| drop(x.add_(&tensor![1.0]).unwrap())));
        }
    });
    assert_eq!(x.to_vec::<f32>().unwrap(), [2000.0]);
}
