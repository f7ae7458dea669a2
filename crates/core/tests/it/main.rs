//! Tests of the engine through its public interface.

mod autograd;
mod custom;
mod inplace;
mod sugar;
mod random;
