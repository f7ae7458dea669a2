//! Tests of the engine through its public interface.

mod autograd;
mod custom;
mod families;
mod inplace;
mod random;
mod sugar;
