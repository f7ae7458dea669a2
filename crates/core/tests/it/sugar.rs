//! Operators and literals.

use cresset_core::{DType, tensor};

#[test]
fn numbers_promote_as_in_python() {
    let x = tensor![1, 2, 3];
    assert_eq!((&x + 1).dtype(), DType::I64);
    assert_eq!((&x * 0.5).to_vec::<f32>().unwrap(), [0.5, 1.0, 1.5]);
    assert_eq!((1.0 / (&x + &x)).to_vec::<f32>().unwrap(), [0.5, 0.25, 1.0 / 6.0]);
    assert_eq!((-(x - 2) % 2).to_vec::<i64>().unwrap(), [1, 0, 1]);
}

#[test]
#[should_panic(
    expected = "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0"
)]
fn shapes_that_do_not_broadcast_panic_with_the_message() {
    let _ = tensor![1.0, 2.0] + tensor![1.0, 2.0, 3.0];
}

#[test]
fn literals_have_the_type_that_torch_gives_them() {
    assert_eq!(tensor![[1.0, 2.0], [3.0, 4.0]].sizes(), [2, 2]);
    assert_eq!(tensor![true, false].dtype(), DType::Bool);
    assert_eq!((tensor![].dtype(), tensor![].sizes().len()), (DType::F32, 1));
}
