//! Linear algebra: factors are multiplied back, gradients checked by differences, refusals read.

use cresset_core::autograd::{GradCheck, gradcheck, gradgradcheck};
use cresset_core::{DType, Result, Tensor, ops};

/// Numbers that differ from each other, real or complex, in double precision.
fn numbers(sizes: &[i64], complex: bool, salt: i64) -> Tensor {
    let n = sizes.iter().product::<i64>();
    let part = |salt: i64| {
        let values: Vec<f64> =
            (0..n).map(|i| ((i * i * 7 + i * 31 + salt * 13) % 61) as f64 / 25.0 - 1.2).collect();
        Tensor::from_slice(&values, sizes).unwrap()
    };
    if complex { ops::complex(&part(salt), &part(salt + 5)).unwrap() } else { part(salt) }
}

/// Hermitian matrices, positive-definite if `shift` is large.
fn hermitian(sizes: &[i64], complex: bool, shift: f64) -> Tensor {
    let a = numbers(sizes, complex, 3);
    let one = ops::eye_with(sizes[sizes.len() - 1], |o| o.dtype(a.dtype())).unwrap();
    a.add(&a.adjoint().unwrap()).unwrap().add(&one.mul_scalar(shift).unwrap()).unwrap()
}

#[track_caller]
fn assert_close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.sizes(), b.sizes());
    assert!(ops::allclose_with(a, b, |o| o.rtol(1e-9).atol(1e-9)).unwrap(), "{a} is not {b}");
}

fn each(f: impl Fn(bool, &[i64])) {
    for complex in [false, true] {
        for batch in [&[][..], &[2], &[2, 3], &[0]] {
            f(complex, batch);
        }
    }
}

fn shape(batch: &[i64], m: i64, n: i64) -> Vec<i64> {
    [batch, &[m, n]].concat()
}

#[test]
fn factors_multiply_back() {
    each(|complex, batch| {
        for (m, n) in [(4, 4), (5, 3), (3, 5), (0, 2), (2, 0), (1, 1)] {
            let a = numbers(&shape(batch, m, n), complex, 1);
            let (p, l, u) = ops::linalg_lu(&a).unwrap();
            assert_close(&p.matmul(&l).unwrap().matmul(&u).unwrap(), &a);
            for mode in ["reduced", "complete"] {
                let (q, r) = ops::linalg_qr_with(&a, |o| o.mode(mode)).unwrap();
                assert_close(&q.matmul(&r).unwrap(), &a);
            }
            let (u, s, vh) = ops::linalg_svd_with(&a, |o| o.full_matrices(false)).unwrap();
            assert_close(&u.mul(&s.unsqueeze(-2).unwrap()).unwrap().matmul(&vh).unwrap(), &a);
            let (u, s, vh) = ops::linalg_svd(&a).unwrap();
            assert_eq!((u.size(-1).unwrap(), s.size(-1).unwrap(), vh.size(-2).unwrap()), (m, m.min(n), n));
            assert_close(&ops::linalg_svdvals(&a).unwrap(), &s);
        }
    });
}

#[test]
fn eigenvectors_multiply_back() {
    each(|complex, batch| {
        for n in [0, 1, 2, 5] {
            let a = hermitian(&shape(batch, n, n), complex, 0.0);
            for side in ["L", "U"] {
                let (w, v) = a.linalg_eigh_with(|o| o.UPLO(side)).unwrap();
                assert_close(
                    &v.mul(&w.unsqueeze(-2).unwrap()).unwrap().matmul(&v.adjoint().unwrap()).unwrap(),
                    &a,
                );
            }
            let a = numbers(&shape(batch, n, n), complex, 2);
            let (w, v) = a.linalg_eig().unwrap();
            let wide = a.to_dtype(DType::Complex128).unwrap();
            assert_close(&wide.matmul(&v).unwrap(), &v.mul(&w.unsqueeze(-2).unwrap()).unwrap());
        }
    });
}

#[test]
fn definite_and_indefinite_systems_are_solved() {
    each(|complex, batch| {
        let b = numbers(&shape(batch, 4, 2), complex, 7);
        let a = hermitian(&shape(batch, 4, 4), complex, 9.0);
        for upper in [false, true] {
            let l = a.linalg_cholesky_with(|o| o.upper(upper)).unwrap();
            let (x, y) =
                if upper { (l.adjoint().unwrap(), l.clone()) } else { (l.clone(), l.adjoint().unwrap()) };
            assert_close(&x.matmul(&y).unwrap(), &a);
            let x = b.cholesky_solve_with(&l, |o| o.upper(upper)).unwrap();
            assert_close(&a.matmul(&x).unwrap(), &b);
            let inverse = l.cholesky_inverse_with(|o| o.upper(upper)).unwrap();
            assert_close(&inverse, &ops::linalg_inv(&a).unwrap());
        }
        let a = hermitian(&shape(batch, 4, 4), complex, 0.0);
        let (ld, pivots) = a.linalg_ldl_factor_with(|o| o.hermitian(complex)).unwrap();
        let x = ops::linalg_ldl_solve_with(&ld, &pivots, &b, |o| o.hermitian(complex)).unwrap();
        assert_close(&a.matmul(&x).unwrap(), &b);
    });
}

#[test]
fn systems_are_solved_from_either_side_and_with_the_adjoint() {
    each(|complex, batch| {
        let a = numbers(&shape(batch, 3, 3), complex, 4).transpose(-2, -1).unwrap();
        let (right, left) =
            (numbers(&shape(batch, 3, 2), complex, 5), numbers(&shape(batch, 2, 3), complex, 6));
        assert_close(&a.matmul(&ops::linalg_solve(&a, &right).unwrap()).unwrap(), &right);
        assert_close(
            &ops::linalg_solve_with(&a, &left, |o| o.left(false)).unwrap().matmul(&a).unwrap(),
            &left,
        );
        let (lu, pivots) = ops::linalg_lu_factor(&a).unwrap();
        let x = ops::linalg_lu_solve_with(&lu, &pivots, &right, |o| o.adjoint(true)).unwrap();
        assert_close(&a.adjoint().unwrap().matmul(&x).unwrap(), &right);
        let x = ops::linalg_lu_solve_with(&lu, &pivots, &left, |o| o.left(false).adjoint(true)).unwrap();
        assert_close(&x.matmul(&a.adjoint().unwrap()).unwrap(), &left);
        for upper in [false, true] {
            let t = if upper { a.triu() } else { a.tril() }.unwrap();
            let x = a.linalg_solve_triangular(&right, upper).unwrap();
            assert_close(&t.matmul(&x).unwrap(), &right);
            let x = a.linalg_solve_triangular_with(&left, upper, |o| o.left(false)).unwrap();
            assert_close(&x.matmul(&t).unwrap(), &left);
        }
    });
}

#[test]
fn reflections_make_the_orthogonal_factor() {
    each(|complex, batch| {
        let a = numbers(&shape(batch, 5, 3), complex, 8);
        let (r, tau) = a.geqrf().unwrap();
        let (q, _) = ops::linalg_qr(&a).unwrap();
        assert_close(&ops::linalg_householder_product(&r, &tau).unwrap(), &q);
        let c = numbers(&shape(batch, 5, 2), complex, 9);
        let (full, _) = ops::linalg_qr_with(&a, |o| o.mode("complete")).unwrap();
        assert_close(&r.ormqr(&tau, &c).unwrap(), &full.matmul(&c).unwrap());
        let turned = r.ormqr_with(&tau, &c.adjoint().unwrap(), |o| o.left(false).transpose(true)).unwrap();
        assert_close(&turned, &c.adjoint().unwrap().matmul(&full.adjoint().unwrap()).unwrap());
    });
}

#[test]
fn determinants_agree_with_eigenvalues() {
    each(|complex, batch| {
        let a = numbers(&shape(batch, 4, 4), complex, 10);
        let product = a.linalg_eigvals().unwrap().prod_dim(-1).unwrap();
        let product = if complex { product } else { product.real().unwrap() };
        assert_close(&ops::linalg_det(&a).unwrap(), &product);
        let (sign, log) = ops::linalg_slogdet(&a).unwrap();
        assert_close(&sign.mul(&log.exp().unwrap()).unwrap(), &product);
    });
}

#[test]
fn pseudo_inverses_and_least_squares_agree() {
    each(|complex, batch| {
        for (m, n) in [(5, 3), (3, 5)] {
            let a = numbers(&shape(batch, m, n), complex, 11);
            let b = numbers(&shape(batch, m, 2), complex, 12);
            let p = a.linalg_pinv().unwrap();
            assert_close(&a.matmul(&p).unwrap().matmul(&a).unwrap(), &a);
            for driver in ["gels", "gelsy", "gelsd", "gelss"] {
                let (x, ..) = ops::linalg_lstsq_with(&a, &b, |o| o.driver(driver)).unwrap();
                assert_close(&x, &p.matmul(&b).unwrap());
            }
        }
    });
}

#[test]
fn functions_of_matrices() {
    each(|complex, batch| {
        let a = numbers(&shape(batch, 3, 3), complex, 13);
        let there = a.matrix_exp().unwrap();
        let back = a.neg().unwrap().matrix_exp().unwrap();
        assert_close(&there.matmul(&back).unwrap(), &a.matrix_power(0).unwrap());
        assert_close(&a.matrix_power(-3).unwrap(), &ops::linalg_inv(&a.matrix_power(3).unwrap()).unwrap());
        let (u, h) = ops::linalg_polar(&a).unwrap();
        assert_close(&u.matmul(&h).unwrap(), &a);
        let root = h.linalg_matrix_sqrth().unwrap();
        assert_close(&root.matmul(&root).unwrap(), &h);
    });
}

fn check(inputs: &[Tensor], twice: bool, f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>) {
    let inputs: Vec<Tensor> = inputs.iter().map(|t| t.detach().requires_grad_(true).unwrap()).collect();
    gradcheck(&f, &inputs, GradCheck::default()).unwrap();
    if twice {
        gradgradcheck(&f, &inputs, GradCheck::default()).unwrap();
    }
}

#[test]
fn systems_differentiate_twice() {
    for complex in [false, true] {
        let (a, b) = (numbers(&[2, 3, 3], complex, 1), numbers(&[2, 3, 2], complex, 2));
        let both = [a.clone(), b];
        check(&both, true, |v| Ok(vec![ops::linalg_solve(&v[0], &v[1])?]));
        check(&both, true, |v| Ok(vec![v[0].linalg_solve_triangular(&v[1], true)?]));
        check(&both, false, |v| Ok(vec![v[1].triangular_solve_with(&v[0], |o| o.transpose(true))?.0]));
        check(&both, false, |v| {
            let (lu, pivots) = ops::linalg_lu_factor(&v[0])?;
            let adjoint = ops::linalg_lu_solve_with(&lu, &pivots, &v[1], |o| o.adjoint(true))?;
            Ok(vec![ops::linalg_lu_solve(&lu, &pivots, &v[1])?, adjoint])
        });
        check(&both, false, |v| Ok(vec![v[1].cholesky_solve(&v[0].tril()?)?]));
        check(&[a], true, |v| {
            Ok(vec![ops::linalg_inv(&v[0])?, ops::linalg_det(&v[0])?, ops::linalg_slogdet(&v[0])?.1])
        });
    }
}

#[test]
fn factorisations_differentiate_twice() {
    for complex in [false, true] {
        let h = hermitian(&[3, 3], complex, 8.0);
        let own = |t: &Tensor| t.add(&t.adjoint()?)?.mul_scalar(0.5);
        check(std::slice::from_ref(&h), true, |v| Ok(vec![own(&v[0])?.linalg_cholesky()?]));
        check(&[h], true, |v| Ok(vec![own(&v[0])?.linalg_eigvalsh()?]));
        for (m, n) in [(3, 3), (4, 3), (3, 4)] {
            let a = [numbers(&[m, n], complex, 14)];
            check(&a, false, |v| Ok(vec![ops::linalg_lu(&v[0])?.1, ops::linalg_lu(&v[0])?.2]));
            check(&a, true, |v| Ok(vec![ops::linalg_qr(&v[0])?.0, ops::linalg_qr(&v[0])?.1]));
            check(&a, true, |v| Ok(vec![ops::linalg_svdvals(&v[0])?, v[0].linalg_pinv()?]));
            check(&a, true, |v| {
                // What does not depend on signs and phases of the vectors.
                let (u, s, vh) = ops::linalg_svd_with(&v[0], |o| o.full_matrices(false))?;
                Ok(vec![u.matmul(&vh)?, s, u.abs()?])
            });
            if m >= n {
                check(&a, true, |v| Ok(vec![ops::linalg_polar(&v[0])?.0, ops::linalg_polar(&v[0])?.1]));
            }
        }
        let a = [numbers(&[3, 3], complex, 15)];
        check(&a, true, |v| Ok(vec![v[0].matrix_exp()?, v[0].linalg_eig()?.1.abs()?]));
    }
}

#[test]
fn reflections_and_least_squares_differentiate() {
    for complex in [false, true] {
        let (a, tau) = (numbers(&[4, 3], complex, 16), numbers(&[3], complex, 17));
        let c = numbers(&[4, 2], complex, 18);
        check(&[a.clone(), tau.clone()], true, |v| Ok(vec![ops::linalg_householder_product(&v[0], &v[1])?]));
        check(&[a.clone(), tau, c.clone()], false, |v| Ok(vec![v[0].ormqr(&v[1], &v[2])?]));
        check(&[a, c], true, |v| {
            let (x, residuals, ..) = ops::linalg_lstsq_with(&v[0], &v[1], |o| o.driver("gels"))?;
            Ok(vec![x, residuals])
        });
    }
}

#[test]
fn the_gradient_of_a_singular_determinant_is_its_adjugate() {
    let a = Tensor::from_slice(&[1.0, 2.0, 2.0, 4.0], [2, 2]).unwrap().requires_grad_(true).unwrap();
    let det = ops::linalg_det(&a).unwrap();
    det.backward().unwrap();
    let want = Tensor::from_slice(&[4.0, -2.0, -2.0, 1.0], [2, 2]).unwrap();
    assert_close(&a.grad().unwrap(), &want);
}

#[test]
fn refusals_speak_as_pytorch_does() {
    let zero = ops::zeros([3, 3]).unwrap();
    let batch = ops::stack(&[ops::eye(3).unwrap(), zero.clone()]).unwrap();
    let text = |r: Result<Tensor>| r.unwrap_err().to_string();
    let singular = "The diagonal element 1 is zero, the inversion could not be completed because the input matrix is singular.";
    assert_eq!(text(ops::linalg_inv(&zero)), format!("linalg.inv: {singular}"));
    assert_eq!(text(ops::linalg_inv(&batch)), format!("linalg.inv: (Batch element 1): {singular}"));
    assert_eq!(
        text(ops::linalg_solve(&batch, &batch)),
        "torch.linalg.solve: (Batch element 1): The solver failed because the input matrix is singular."
    );
    assert_eq!(
        text(zero.linalg_cholesky()),
        "linalg.cholesky: The factorization could not be completed because the input is not positive-definite (the leading minor of order 1 is not positive-definite)."
    );
    let half = zero.to_dtype(DType::F16).unwrap();
    assert_eq!(text(ops::linalg_inv(&half)), "linalg.inv: Low precision dtypes not supported. Got Half");
    assert_eq!(text(ops::linalg_svdvals(&half)), "\"linalg_svd_cpu\" not implemented for 'Half'");
    let wide = ops::ones([2, 3]).unwrap();
    assert_eq!(
        text(ops::linalg_det(&wide)),
        "linalg.det: A must be batches of square matrices, but they are 2 by 3 matrices"
    );
}
