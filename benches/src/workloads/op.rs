//! `op/*`: single operators.

use cresset_core::random::manual_seed;
use cresset_core::{DType, Result, Tensor, ops};

use super::{gradient, seeded};
use crate::measure::Workload;

pub fn workloads() -> Vec<Workload> {
    let mut list = matmuls();
    list.extend(pointwise());
    list.extend(reductions());
    list.extend(layouts());
    list.extend(small());
    list
}

fn matmul(name: &str, m: i64, k: i64, n: i64) -> Workload {
    Workload::new(format!("op/{name}"), move || {
        let (a, b) = (seeded(&[m, k], 0)?, seeded(&[k, n], 1)?);
        Ok(move || a.matmul(&b))
    })
}

fn matmuls() -> Vec<Workload> {
    vec![
        matmul("matmul-128", 128, 128, 128),
        matmul("matmul-1024", 1024, 1024, 1024),
        matmul("matmul-2048", 2048, 2048, 2048),
        matmul("matmul-skinny-8x4096x4096", 8, 4096, 4096),
        matmul("matvec-4096", 1, 4096, 4096),
        Workload::new("op/bmm-64x128x64x128", || {
            let (a, b) = (seeded(&[64, 128, 64], 0)?, seeded(&[64, 64, 128], 1)?);
            Ok(move || a.bmm(&b))
        }),
        Workload::new("op/matmul-1024-bf16", || {
            let half = |seed| seeded(&[1024, 1024], seed)?.to_dtype(DType::BF16);
            let (a, b) = (half(0)?, half(1)?);
            Ok(move || a.matmul(&b))
        })
        .tol(5e-2),
    ]
}

fn add(name: &str, a: &'static [i64], b: &'static [i64], transposed: bool) -> Workload {
    Workload::new(format!("op/{name}"), move || {
        let (a, mut b) = (seeded(a, 0)?, seeded(b, 1)?);
        if transposed {
            b = b.t()?;
        }
        Ok(move || a.add(&b))
    })
}

fn unary(name: &str, f: fn(&Tensor) -> Result<Tensor>) -> Workload {
    Workload::new(format!("op/{name}-4M"), move || {
        let x = seeded(&[1 << 22], 0)?;
        Ok(move || f(&x))
    })
}

fn pointwise() -> Vec<Workload> {
    vec![
        add("add-16M", &[1 << 24], &[1 << 24], false),
        add("add-64K", &[1 << 16], &[1 << 16], false),
        add("add-broadcast-4096x4096", &[4096, 4096], &[4096, 1], false),
        add("add-transposed-2048", &[2048, 2048], &[2048, 2048], true),
        unary("exp", Tensor::exp),
        unary("tanh", Tensor::tanh),
        unary("gelu", Tensor::gelu),
        unary("sigmoid", Tensor::sigmoid),
        unary("sin", Tensor::sin),
        unary("relu", Tensor::relu),
    ]
}

/// A function of one matrix of standard normals.
fn of_matrix(name: &str, rows: i64, columns: i64, f: fn(&Tensor) -> Result<Tensor>) -> Workload {
    Workload::new(format!("op/{name}"), move || {
        let x = seeded(&[rows, columns], 0)?;
        Ok(move || f(&x))
    })
}

fn reductions() -> Vec<Workload> {
    vec![
        Workload::new("op/sum-16M", || {
            let x = seeded(&[1 << 24], 0)?;
            Ok(move || x.sum())
        }),
        of_matrix("sum-rows-4096", 4096, 4096, |x| x.sum_dim([1])),
        of_matrix("sum-cols-4096", 4096, 4096, |x| x.sum_dim([0])),
        of_matrix("argmax-rows-4096", 4096, 4096, |x| x.argmax_with(|o| o.dim(1))?.to_dtype(DType::F32)),
        of_matrix("softmax-4096x1024", 4096, 1024, |x| x.softmax(-1)),
        of_matrix("cumsum-4096", 4096, 4096, |x| x.cumsum(1)),
    ]
}

fn layouts() -> Vec<Workload> {
    vec![
        of_matrix("transpose-copy-4096", 4096, 4096, |x| x.t()?.contiguous()),
        Workload::new("op/permute-copy-nchw-nhwc", || {
            let x = seeded(&[32, 64, 56, 56], 0)?;
            Ok(move || x.permute([0, 2, 3, 1])?.contiguous())
        }),
        Workload::new("op/cat-8x1M", || {
            let xs: Vec<Tensor> = (0..8).map(|seed| seeded(&[1024, 1024], seed)).collect::<Result<_>>()?;
            Ok(move || ops::cat_with(&xs, |o| o.dim(1)))
        }),
        Workload::new("op/index-select-100kx128", || {
            let x = seeded(&[100_000, 128], 0)?;
            let i = jumping_indices(65_536, 100_000)?;
            Ok(move || x.index_select(0, &i))
        }),
        Workload::new("op/where-masked-4M", || {
            let x = seeded(&[1 << 22], 0)?;
            Ok(move || ops::where_self(&x.gt_scalar(0)?, &x, &x.mul_scalar(0.1)?))
        }),
        Workload::new("op/randn-4M", || {
            Ok(|| {
                manual_seed(0);
                ops::randn([1 << 22])
            })
        }),
        Workload::new("op/sort-1M", || {
            let x = seeded(&[1 << 20], 0)?;
            Ok(move || Ok(x.sort()?.0))
        }),
        Workload::new("op/topk-256x10000", || {
            let x = seeded(&[256, 10_000], 0)?;
            Ok(move || Ok(x.topk_with(10, |o| o.dim(1))?.0))
        }),
    ]
}

/// `(arange(n) * 7919) % modulus`: indices that jump about.
pub fn jumping_indices(n: i64, modulus: i64) -> Result<Tensor> {
    ops::arange(n)?.mul_scalar(7919)?.remainder_scalar(modulus)
}

fn small() -> Vec<Workload> {
    vec![
        Workload::new("op/small-add-x1000", || {
            let (a, b) = (seeded(&[8], 0)?, seeded(&[8], 1)?);
            Ok(move || {
                let mut c = a.add(&b)?;
                for _ in 1..1000 {
                    c = a.add(&b)?;
                }
                Ok(c)
            })
        }),
        Workload::new("op/small-autograd-x200", || {
            let w = ops::ones([8])?.requires_grad_(true)?;
            let x = seeded(&[8], 0)?;
            Ok(move || {
                for _ in 0..200 {
                    w.set_grad(None)?;
                    w.mul(&x)?.tanh()?.add(&w)?.sum()?.backward()?;
                }
                gradient(&w)
            })
        }),
    ]
}
