//! Signal processing, as `torch.signal`.

pub mod windows;
