//! Indexing: reading, writing and accumulating at places that a tensor of indices names.
//!
//! One loop serves the whole family. [`Index`] holds the `int64` indices, spread over the loop by their own strides (0
//! where they do not vary), and the operand that they index has stride 0 along the dimensions that they replace. So
//! `index_select`, `gather`, `take` and `x[i, j]` are all [`get`]; `scatter`, `index_copy`, `index_fill`, `put` are
//! [`put`]; `scatter_add`, `scatter_reduce`, `index_add` and every backward of a `get` are [`accumulate`]. Several
//! index tensors are folded into one of element offsets first ([`fold`]).
//!
//! Moves know only the size of an element. Where indices repeat, `put` and `accumulate` visit them in logical order:
//! threads share the dimensions along which no two iterations meet, so that the result depends on nothing else.

mod accumulate;
mod bags;
mod bounds;
mod columns;
mod embedding;
mod fill;
mod join;
mod mask;
mod moves;
mod pad;
mod triangle;
mod walk;

pub use accumulate::{Combine, accumulate};
pub use bags::Bags;
pub use bounds::{first_outside, fold};
pub use columns::{Columns, col2im, im2col};
pub use embedding::{EmbeddingGrad, embedding_backward};
pub use fill::fill_with;
pub use join::{Part, cat};
pub use mask::{count_true, mask_scatter, mask_select, nonzero};
pub use moves::{get, put};
pub use pad::{Border, pad};
pub use triangle::{Side, triangle};
pub use walk::Index;

/// Binds `$T` to an unsigned integer of `$dtype`'s size, for loops that only move elements.
macro_rules! with_bits {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            8 => {
                type $T = u64;
                $body
            }
            _ => {
                type $T = [u64; 2];
                $body
            }
        }
    };
}
use with_bits;

#[cfg(test)]
mod tests;
