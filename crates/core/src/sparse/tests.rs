//! Expected texts and values are those of PyTorch 2.15.

use crate::ops::{
    arange, cat, embedding_with, ones, sparse_coo_tensor, sparse_coo_tensor_indices_size,
    sparse_coo_tensor_size,
};
use crate::{DType, ErrorKind, Result, StorageLayout, Tensor};

/// `[[0, 4, 0], [0, 0, 2], [0, 0, 0]]`, one element given twice.
fn sample() -> Tensor {
    let indices = Tensor::from_slice(&[0_i64, 1, 0, 1, 2, 1], [2, 3]).unwrap();
    let values = Tensor::from_slice(&[1_f32, 2.0, 3.0], [3]).unwrap();
    sparse_coo_tensor_indices_size(&indices, &values, [3, 3]).unwrap()
}

fn floats(t: &Tensor) -> Vec<f32> {
    t.to_dense().unwrap().to_vec().unwrap()
}

const DENSE: [f32; 9] = [0.0, 4.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0];

#[test]
fn prints_as_pytorch() {
    let s = sample();
    assert_eq!(
        s.to_string(),
        "tensor(indices=tensor([[0, 1, 0],\n                       [1, 2, 1]]),\n       values=tensor([1., 2., 3.]),\n       size=(3, 3), nnz=3, layout=torch.sparse_coo)"
    );
    s.requires_grad_(true).unwrap();
    let doubled = s.mul(&Tensor::wrapped(2.into()).unwrap()).unwrap().to_string();
    assert!(doubled.ends_with("size=(3, 3), nnz=3, layout=torch.sparse_coo, grad_fn=<MulBackward0>)"));
    let empty = sparse_coo_tensor_size([3, 3]).unwrap();
    assert_eq!(
        empty.to_string(),
        "tensor(indices=tensor([], size=(2, 0)),\n       values=tensor([], size=(0,)),\n       size=(3, 3), nnz=0, layout=torch.sparse_coo)"
    );
}

#[test]
fn coalescing_sorts_and_adds() {
    let s = sample();
    assert!(!s.is_coalesced().unwrap() && s.storage_layout() == StorageLayout::SparseCoo);
    let c = s.coalesce().unwrap();
    assert_eq!(c.indices().unwrap().to_vec::<i64>().unwrap(), [0, 1, 1, 2]);
    assert_eq!(c.values().unwrap().to_vec::<f32>().unwrap(), [4.0, 2.0]);
    assert_eq!((floats(&s), floats(&c)), (DENSE.to_vec(), DENSE.to_vec()));
    let e = s.values().unwrap_err();
    assert_eq!(e.message(), "Cannot get values on an uncoalesced tensor, please call .coalesce() first");
}

#[test]
fn sizes_are_inferred_and_checked() {
    let indices = Tensor::from_slice(&[0_i64, 1, 0], [1, 3]).unwrap();
    let values = ones([3, 2, 2]).unwrap();
    assert_eq!(sparse_coo_tensor(&indices, &values).unwrap().sizes().as_slice(), [2, 2, 2]);
    let message = |r: Result<Tensor>| r.unwrap_err().message().to_string();
    let bad = Tensor::from_slice(&[0_i64, -1], [1, 2]).unwrap();
    assert_eq!(message(sparse_coo_tensor(&bad, &ones(2).unwrap())), "found negative index -1 for dim 0");
    assert_eq!(
        message(sparse_coo_tensor(&indices, &ones(2).unwrap())),
        "indices and values must have same nnz, but got nnz from indices: 3, nnz from values: 2"
    );
    assert_eq!(
        message(sparse_coo_tensor_indices_size(&indices, &ones(3).unwrap(), [1])),
        "size is inconsistent with indices: for dim 0, size is 1 but found index 1"
    );
    assert_eq!(message(sparse_coo_tensor_size([1 << 40, 1 << 40])), "numel: integer multiplication overflow");
}

#[test]
fn operators_without_sparse_support_refuse() {
    let s = sample();
    let e = s.exp().unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotImplemented);
    assert!(
        e.message().starts_with("Could not run 'aten::exp' with arguments from the 'SparseCPU' backend.")
    );
    assert!(s.view([9]).is_err() && s.to_vec::<f32>().is_err() && s.fill_(1).is_err());
    assert!(s.add(&ones([3, 3]).unwrap()).is_err());
    let e = ones([3, 3]).unwrap().copy_(&s).unwrap_err();
    assert!(e.message().starts_with("copy_() between dense and sparse Tensors is not implemented!"));
}

#[test]
fn arithmetic_has_the_values_of_the_strided_form() {
    let (s, d) = (sample(), sample().to_dense().unwrap());
    let other = arange(9).unwrap().reshape([3, 3]).unwrap().to_dtype(DType::F32).unwrap();
    let same = |sparse: Result<Tensor>, dense: Result<Tensor>| {
        assert_eq!(floats(&sparse.unwrap()), floats(&dense.unwrap()))
    };
    same(s.add(&s), d.add(&d));
    same(s.sub(&s), d.sub(&d));
    same(s.mul(&s), d.mul(&d));
    same(s.mul(&other), d.mul(&other));
    same(other.add_with(&s, |o| o.alpha(2)), other.add_with(&d, |o| o.alpha(2)));
    same(s.sin(), d.sin());
    same(s.neg(), d.neg());
    same(s.div_scalar(2), d.div_scalar(2));
    same(s.sum(), d.sum());
    same(s.sum_dim([0]), d.sum_dim([0]));
    same(s.t(), d.t());
    same(s.mm(&other), d.mm(&other));
    same(other.mm(&s), other.mm(&d));
    same(s.mm(&s), d.mm(&d));
    same(s.addmm(&s, &s), d.addmm(&d, &d));
    same(s.unsqueeze(1), d.unsqueeze(1));
    same(s.select(0, 1), d.select(0, 1));
    same(cat(&[s.clone(), s.clone()]), cat(&[d.clone(), d.clone()]));
    let to = Tensor::from_slice(&[2_i64, 0, 0], [3]).unwrap();
    same(s.index_select(1, &to), d.index_select(1, &to));
}

#[test]
fn in_place_calls_replace_the_parts() {
    let (s, dense) = (sample(), ones([3, 3]).unwrap());
    s.mul_scalar_(3).unwrap();
    s.add_(&sample()).unwrap();
    assert_eq!(floats(&s), DENSE.map(|x| 4.0 * x));
    dense.t().unwrap().add_(&sample()).unwrap();
    assert_eq!(dense.to_vec::<f32>().unwrap(), [1.0, 1.0, 1.0, 5.0, 1.0, 1.0, 1.0, 3.0, 1.0]);
    s.zero_().unwrap();
    assert_eq!(s._nnz().unwrap(), 0);
}

#[test]
fn gradients_pass_construction_coalescing_and_products() {
    let indices = Tensor::from_slice(&[0_i64, 1, 0, 1, 2, 1], [2, 3]).unwrap();
    let values = Tensor::from_slice(&[1_f32, 2.0, 3.0], [3]).unwrap().requires_grad_(true).unwrap();
    let s = sparse_coo_tensor_indices_size(&indices, &values, [3, 3]).unwrap();
    let weight = arange(9).unwrap().reshape([3, 3]).unwrap().to_dtype(DType::F32).unwrap();
    s.coalesce().unwrap().to_dense().unwrap().mul(&weight).unwrap().sum().unwrap().backward().unwrap();
    assert_eq!(values.grad().unwrap().to_vec::<f32>().unwrap(), [1.0, 5.0, 1.0]);
    values.set_grad(None).unwrap();
    let s = sparse_coo_tensor_indices_size(&indices, &values, [3, 3]).unwrap();
    crate::ops::_sparse_mm(&s, &weight).unwrap().sum().unwrap().backward().unwrap();
    assert_eq!(values.grad().unwrap().to_vec::<f32>().unwrap(), [12.0, 21.0, 12.0]);
}

#[test]
fn embedding_gives_sparse_gradients_that_accumulate() {
    let weight = ones([4, 2]).unwrap().requires_grad_(true).unwrap();
    let indices = Tensor::from_slice(&[1_i64, 3, 1], [3]).unwrap();
    for _ in 0..2 {
        let rows = embedding_with(&weight, &indices, |o| o.sparse(true).padding_idx(3)).unwrap();
        rows.sum().unwrap().backward().unwrap();
    }
    let grad = weight.grad().unwrap();
    assert!(grad.is_sparse());
    assert_eq!(floats(&grad), [0.0, 0.0, 4.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
}
