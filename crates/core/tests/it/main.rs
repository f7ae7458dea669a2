//! Tests of the engine through its public interface.

mod autograd;
mod custom;
mod inplace;
mod random;
mod sugar;
