//! What the command line can say.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

const FIRST_STEP: &str = "\
First step, in the root of the repository:
  cargo run --release -- train                 trains a network on MNIST and saves it below runs/
then:
  cargo run --release -- evaluate              measures it again
  cargo run --release -- predict IMAGE.png     says which digit a picture shows
  cargo run --release -- inspect FILE.pt       lists what a model file holds";

/// PyTorch in Rust: trains, evaluates and uses networks, from one small binary.
#[derive(Debug, Parser)]
#[command(name = "cresset", version, after_help = FIRST_STEP, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a convolutional network on MNIST.
    Train(TrainArgs),
    /// Continue a run that was interrupted, to the same weights as if it had not been.
    Resume(ResumeArgs),
    /// Measure a saved model on the test images.
    Evaluate(EvaluateArgs),
    /// Say which digits pictures show, with probabilities.
    Predict(PredictArgs),
    /// List what a .pt or .safetensors file holds.
    Inspect(InspectArgs),
}

/// Where the images are and how the work is spread; none of it changes the results.
#[derive(Clone, Debug, clap::Args)]
pub struct Machine {
    /// Folder of the four MNIST files (idx, gzip) [default: data/mnist].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Threads that compute [default: what the machine allows].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Threads that prepare batches; 0 prepares them between the steps.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(..=256))]
    pub workers: u16,
}

#[derive(Clone, Debug, clap::Args)]
pub struct TrainArgs {
    /// Number the random streams start from: the same seed gives the same weights.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Passes over the training images.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub epochs: u32,
    /// Images per step.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub batch_size: u32,
    /// Learning rate at the start; it falls to 0 along a cosine.
    #[arg(long, value_name = "RATE", default_value_t = 2e-3, value_parser = rate)]
    pub lr: f64,
    /// Folder of the run; it must not exist, or be empty [default: the next free one of runs/mnist-1, -2, …].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Use only the first N training and the first N test images, for a quick try.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Steps from one checkpoint to the next; there is also one after each epoch.
    #[arg(long, value_name = "STEPS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub checkpoint_every: u32,
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Folder of the run [default: the newest below runs/].
    #[arg(value_name = "DIR")]
    pub run: Option<PathBuf>,
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Debug, clap::Args)]
pub struct EvaluateArgs {
    /// Model: a .pt or .safetensors file, or the folder of a run [default: the newest run below runs/].
    #[arg(value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Use only the first N test images.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub machine: Machine,
}

#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    /// Pictures of one digit each: PNG or JPEG of any size.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Model: a .pt or .safetensors file, or the folder of a run [default: the newest run below runs/].
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// The .pt or .safetensors file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("expected a number above 0".into()),
    }
}
