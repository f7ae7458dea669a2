//! What holds for every operator of the table, whatever PyTorch says about its values.
//!
//! Inputs are those of the shipped kit; what is compared are two ways of computing the same thing in Cresset.

mod autocast;
mod fuzz;
mod gradients;
mod layers;
mod layouts;
mod random;
mod replay;
mod sample;
mod saves;
mod schemas;
mod sparse;
mod variants;
