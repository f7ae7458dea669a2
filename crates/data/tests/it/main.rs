//! Datasets, orders and loaders through the public interface.

// Order of visit, loading, and MNIST's files.
mod loading;
mod mnist;
mod order;
mod streams;
