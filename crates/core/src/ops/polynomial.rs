//! Orthogonal polynomials of degree `n` at `x`.

use cresset_kernels::math::polynomial;
use cresset_macros::op;

use crate::op::{OpDef, Out};
use crate::{Result, Scalar, Tensor, op_list, pointwise};

/// Declares a polynomial with its overloads for a number in place of either argument: the function of the kernels, what
/// PyTorch calls it in errors, the name and schema of each overload.
macro_rules! polynomials {
    ($($(#[$doc:meta])* $f:ident, $cpu:literal:
        $both:ident $both_schema:literal, $x:ident $x_schema:literal, $n:ident $n_schema:literal;)*) => {
        pub(crate) static OPS: &[&OpDef] = op_list![$($both, $x, $n),*];
        $(
            $(#[$doc])*
            #[op($both_schema, out, tags(pointwise), no_grad = "PyTorch has none")]
            mod $both {
                fn kernel(x: &Tensor, n: &Tensor, out: Out) -> Result<Tensor> {
                    pointwise::real_map2($cpu, x, n, out, (polynomial::$f, polynomial::$f))
                }
            }

            $(#[$doc])*
            #[op($x_schema, out = "x_scalar_out", composite)]
            mod $x {
                fn kernel(x: Scalar, n: &Tensor) -> Result<Tensor> {
                    $both(&Tensor::wrapped(x)?, n)
                }
            }

            $(#[$doc])*
            #[op($n_schema, out = "n_scalar_out", composite)]
            mod $n {
                fn kernel(x: &Tensor, n: Scalar) -> Result<Tensor> {
                    $both(x, &Tensor::wrapped(n)?)
                }
            }
        )*
    };
}

polynomials! {
    /// Chebyshev polynomial of the first kind.
    chebyshev_t, "chebyshev_polynomial_t_cpu":
        special_chebyshev_polynomial_t "special_chebyshev_polynomial_t(Tensor x, Tensor n) -> Tensor",
        special_chebyshev_polynomial_t_x_scalar "special_chebyshev_polynomial_t.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_chebyshev_polynomial_t_n_scalar "special_chebyshev_polynomial_t.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Chebyshev polynomial of the second kind.
    chebyshev_u, "chebyshev_polynomial_u_cpu":
        special_chebyshev_polynomial_u "special_chebyshev_polynomial_u(Tensor x, Tensor n) -> Tensor",
        special_chebyshev_polynomial_u_x_scalar "special_chebyshev_polynomial_u.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_chebyshev_polynomial_u_n_scalar "special_chebyshev_polynomial_u.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Chebyshev polynomial of the third kind.
    chebyshev_v, "chebyshev_polynomial_v_cpu":
        special_chebyshev_polynomial_v "special_chebyshev_polynomial_v(Tensor x, Tensor n) -> Tensor",
        special_chebyshev_polynomial_v_x_scalar "special_chebyshev_polynomial_v.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_chebyshev_polynomial_v_n_scalar "special_chebyshev_polynomial_v.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Chebyshev polynomial of the fourth kind.
    chebyshev_w, "chebyshev_polynomial_w_cpu":
        special_chebyshev_polynomial_w "special_chebyshev_polynomial_w(Tensor x, Tensor n) -> Tensor",
        special_chebyshev_polynomial_w_x_scalar "special_chebyshev_polynomial_w.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_chebyshev_polynomial_w_n_scalar "special_chebyshev_polynomial_w.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Hermite polynomial as physicists define it.
    hermite_h, "hermite_polynomial_h_cpu":
        special_hermite_polynomial_h "special_hermite_polynomial_h(Tensor x, Tensor n) -> Tensor",
        special_hermite_polynomial_h_x_scalar "special_hermite_polynomial_h.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_hermite_polynomial_h_n_scalar "special_hermite_polynomial_h.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Hermite polynomial as probabilists define it.
    hermite_he, "hermite_polynomial_he_cpu":
        special_hermite_polynomial_he "special_hermite_polynomial_he(Tensor x, Tensor n) -> Tensor",
        special_hermite_polynomial_he_x_scalar "special_hermite_polynomial_he.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_hermite_polynomial_he_n_scalar "special_hermite_polynomial_he.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Laguerre polynomial.
    laguerre_l, "laguerre_polynomial_l_cpu":
        special_laguerre_polynomial_l "special_laguerre_polynomial_l(Tensor x, Tensor n) -> Tensor",
        special_laguerre_polynomial_l_x_scalar "special_laguerre_polynomial_l.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_laguerre_polynomial_l_n_scalar "special_laguerre_polynomial_l.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Legendre polynomial.
    legendre_p, "legendre_polynomial_p_cpu":
        special_legendre_polynomial_p "special_legendre_polynomial_p(Tensor x, Tensor n) -> Tensor",
        special_legendre_polynomial_p_x_scalar "special_legendre_polynomial_p.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_legendre_polynomial_p_n_scalar "special_legendre_polynomial_p.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Chebyshev polynomial of the first kind at `2 x - 1`.
    shifted_chebyshev_t, "shifted_chebyshev_polynomial_t_cpu":
        special_shifted_chebyshev_polynomial_t "special_shifted_chebyshev_polynomial_t(Tensor x, Tensor n) -> Tensor",
        special_shifted_chebyshev_polynomial_t_x_scalar "special_shifted_chebyshev_polynomial_t.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_shifted_chebyshev_polynomial_t_n_scalar "special_shifted_chebyshev_polynomial_t.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Chebyshev polynomial of the second kind at `2 x - 1`.
    shifted_chebyshev_u, "shifted_chebyshev_polynomial_u_cpu":
        special_shifted_chebyshev_polynomial_u "special_shifted_chebyshev_polynomial_u(Tensor x, Tensor n) -> Tensor",
        special_shifted_chebyshev_polynomial_u_x_scalar "special_shifted_chebyshev_polynomial_u.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_shifted_chebyshev_polynomial_u_n_scalar "special_shifted_chebyshev_polynomial_u.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Chebyshev polynomial of the third kind at `2 x - 1`.
    shifted_chebyshev_v, "shifted_chebyshev_polynomial_v_cpu":
        special_shifted_chebyshev_polynomial_v "special_shifted_chebyshev_polynomial_v(Tensor x, Tensor n) -> Tensor",
        special_shifted_chebyshev_polynomial_v_x_scalar "special_shifted_chebyshev_polynomial_v.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_shifted_chebyshev_polynomial_v_n_scalar "special_shifted_chebyshev_polynomial_v.n_scalar(Tensor x, Scalar n) -> Tensor";

    /// Chebyshev polynomial of the fourth kind at `2 x - 1`.
    shifted_chebyshev_w, "shifted_chebyshev_polynomial_w_cpu":
        special_shifted_chebyshev_polynomial_w "special_shifted_chebyshev_polynomial_w(Tensor x, Tensor n) -> Tensor",
        special_shifted_chebyshev_polynomial_w_x_scalar "special_shifted_chebyshev_polynomial_w.x_scalar(Scalar x, Tensor n) -> Tensor",
        special_shifted_chebyshev_polynomial_w_n_scalar "special_shifted_chebyshev_polynomial_w.n_scalar(Tensor x, Scalar n) -> Tensor";
}
