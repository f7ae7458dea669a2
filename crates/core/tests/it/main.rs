//! Tests of the engine through its public interface.

mod autograd;
mod custom;
mod families;
mod inplace;
mod linalg;
mod random;
mod sugar;
