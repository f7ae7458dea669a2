//! Custom functions, modes and anomaly detection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cresset_core::autograd::{self, Context, Function, GradCheck, GradOptions, gradcheck, gradgradcheck};
use cresset_core::library::OpRef;
use cresset_core::modes::{self, Mode};
use cresset_core::value::Outputs;
use cresset_core::{Result, Tensor, Value, tensor};

struct Square;

impl Function for Square {
    fn name(&self) -> &str {
        "Square"
    }
    fn forward(&self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        ctx.save_for_backward(inputs);
        Ok(vec![inputs[0].mul(&inputs[0])?])
    }
    fn backward(&self, ctx: &Context, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let x = &ctx.saved_tensors()?[0];
        Ok(vec![grads[0].as_ref().map(|g| g.mul(x)?.add(&g.mul(x)?)).transpose()?])
    }
}

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, [values.len() as i64]).unwrap().requires_grad_(true).unwrap()
}

#[test]
fn a_custom_function_differentiates_twice() {
    let f = |x: &[Tensor]| autograd::apply(Square, x);
    gradcheck(f, &[leaf(&[0.5, -2.0])], GradCheck::default()).unwrap();
    gradgradcheck(f, &[leaf(&[0.5, -2.0])], GradCheck::default()).unwrap();
    assert_eq!(f(&[leaf(&[1.0])]).unwrap()[0].grad_fn().unwrap().name(), "SquareBackward");
}

#[test]
fn a_wrong_gradient_fails_gradcheck() {
    struct Wrong;
    impl Function for Wrong {
        fn name(&self) -> &str {
            "Wrong"
        }
        fn forward(&self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
            Ok(vec![inputs[0].mul(&inputs[0])?])
        }
        fn backward(&self, _: &Context, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
            Ok(grads.to_vec())
        }
    }
    let e = gradcheck(|x| autograd::apply(Wrong, x), &[leaf(&[2.0])], GradCheck::default()).unwrap_err();
    assert!(e.message().starts_with("Jacobian mismatch for output 0 with respect to input 0"), "{e}");
}

#[test]
fn anomaly_detection_names_the_forward_call() {
    let _guard = modes::detect_anomaly();
    let x = leaf(&[f64::INFINITY]);
    let zero = Tensor::from_slice(&[0.0], [1]).unwrap();
    let y = x.mul(&zero).unwrap().mul(&x).unwrap();
    let e = y.backward().unwrap_err();
    assert!(e.message().contains("Error detected in MulBackward0. Traceback of forward call"), "{e}");
    assert!(e.message().contains("returned nan values in its 1th output"), "{e}");
}

#[test]
fn unused_inputs_are_an_error_or_none() {
    let (x, y) = (leaf(&[1.0]), leaf(&[2.0]));
    let z = x.mul(&x).unwrap();
    let e =
        autograd::grad(std::slice::from_ref(&z), std::slice::from_ref(&y), &[None], GradOptions::default())
            .unwrap_err();
    assert!(e.message().contains("appears to not have been used in the graph"), "{e}");
    let z = x.mul(&x).unwrap();
    let options = GradOptions { allow_unused: true, ..Default::default() };
    assert!(autograd::grad(&[z], &[y], &[None], options).unwrap()[0].is_none());
}

struct Count(AtomicUsize);

impl Mode for Count {
    fn call(
        &self,
        _: OpRef,
        args: &[Value],
        next: &mut dyn FnMut(&[Value]) -> Result<Outputs>,
    ) -> Result<Outputs> {
        self.0.fetch_add(1, Ordering::Relaxed);
        next(args)
    }
}

#[test]
fn a_mode_sees_calls_made_while_it_is_on() {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let x = tensor![1.0, 2.0];
    {
        let _guard = modes::push(count.clone());
        x.mul(&x).unwrap().add_(&x).unwrap();
    }
    x.mul(&x).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
}
