//! `cresset train` and `cresset resume`.
//!
//! A run is its checkpoint: everything that decides what the next step does is in it, and it is replaced as a whole.
//! Whenever the program ends, by itself, by Ctrl-C or by a kill, the run continues from the last checkpoint and does
//! the same steps again. Threads and workers only say who computes, never what.

use std::io::Write;
use std::time::Instant;

use cresset::nn::functional::cross_entropy;
use cresset::nn::{Forward, Module};
use cresset::optim::AdamW;
use cresset::optim::lr_scheduler::CosineAnnealingLR;
use cresset::prelude::*;
use cresset::random::{default_generator, get_rng_state, set_rng_state};
use cresset::{Error, ensure};

use super::args::{Machine, ResumeArgs, TrainArgs};
use super::batches::{Batch, Digits, shuffled};
use super::checkpoint::{Checkpoint, Options, Position};
use super::evaluate::{evaluate, guesses};
use super::history::{History, Row};
use super::net::Net;
use super::progress::Progress;
use super::run_folder::{RunFolder, program};
use super::{export, interrupt};

/// Points of the loss curve per epoch.
const POINTS: usize = 50;

/// A run in progress.
struct Run {
    options: Options,
    folder: RunFolder,
    workers: u16,
    train: Digits,
    test: Digits,
    net: Net,
    optimizer: AdamW,
    scheduler: CosineAnnealingLR,
    /// Orders the images of each epoch.
    order: Generator,
    /// Its state at the start of the present epoch.
    order_rng: Vec<u8>,
    at: Position,
    history: History,
    /// When the program started, until the first step is done.
    start: Option<Instant>,
}

/// What ended a part of a run.
#[derive(PartialEq)]
enum Ended {
    Done,
    Interrupted,
}

/// Starts a run.
pub fn start(args: &TrainArgs, start: Instant) -> Result<bool> {
    let TrainArgs { seed, epochs, batch_size, lr, limit, checkpoint_every, .. } = *args;
    let options = Options { seed, epochs, batch_size, lr, limit, checkpoint_every };
    let folder = RunFolder::fresh(args.out.as_deref())?;
    let mut run = Run::new(options, folder, &args.machine, start)?;
    run.folder.make(|| run.checkpoint().save(&run.folder.checkpoint()))?;
    run.finish()
}

/// Continues a run.
pub fn resume(args: &ResumeArgs, start: Instant) -> Result<bool> {
    let folder = RunFolder::existing(args.run.as_deref())?;
    let path = folder.checkpoint();
    let saved = Checkpoint::load(&path)?;
    let mut run = Run::new(saved.options, folder, &args.machine, start)?;
    run.restore(saved).map_err(|e| e.context(path.display()))?;
    run.folder.clean()?;
    run.finish()
}

impl Run {
    /// A run before its first step.
    fn new(options: Options, folder: RunFolder, machine: &Machine, start: Instant) -> Result<Run> {
        machine.apply();
        let (train, test) = Digits::open_both(machine.data.as_deref(), options.limit)?;
        ensure!(train.len() > 0 && test.len() > 0, "there are no images to train on");
        default_generator().manual_seed(options.seed);
        let net = Net::new()?;
        let mut optimizer = AdamW::new(net.parameters(), options.lr)?;
        let steps = train.len().div_ceil(options.batch_size as usize) as i64 * i64::from(options.epochs);
        let scheduler = CosineAnnealingLR::new(&mut optimizer, steps)?;
        let order = Generator::new(options.seed);
        Ok(Run {
            options,
            folder,
            workers: machine.workers,
            train,
            test,
            net,
            optimizer,
            scheduler,
            order_rng: order.get_state(),
            order,
            at: Position::default(),
            history: History::default(),
            start: Some(start),
        })
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            options: self.options,
            at: self.at,
            model: self.net.state_dict(),
            optimizer: self.optimizer.state_dict(),
            scheduler: self.scheduler.state_dict(),
            rng: get_rng_state(),
            order_rng: self.order_rng.clone(),
            history: self.history.clone(),
        }
    }

    fn save(&self) -> Result<()> {
        self.checkpoint().save(&self.folder.checkpoint())
    }

    fn restore(&mut self, saved: Checkpoint) -> Result<()> {
        self.net.load_state_dict(&saved.model)?;
        self.optimizer.load_state_dict(&saved.optimizer)?;
        self.scheduler.load_state_dict(&saved.scheduler)?;
        self.order.set_state(&saved.order_rng)?;
        set_rng_state(&saved.rng)?;
        ensure!(saved.at.batch <= self.epoch_len(), "the checkpoint is of a run with more images");
        (self.order_rng, self.at, self.history) = (saved.order_rng, saved.at, saved.history);
        Ok(())
    }

    /// Steps in an epoch.
    fn epoch_len(&self) -> usize {
        self.train.len().div_ceil(self.options.batch_size as usize)
    }

    /// Trains what is left, with everything that belongs to it.
    fn finish(&mut self) -> Result<bool> {
        interrupt::watch()?;
        self.announce()?;
        if self.at.epoch > 0 {
            // A kill between the checkpoint and these files would leave them an epoch behind.
            self.export()?;
        }
        while self.at.epoch < self.options.epochs {
            if self.epoch()? == Ended::Interrupted {
                self.save()?;
                let mut err = std::io::stderr().lock();
                writeln!(
                    err,
                    "interrupted after step {}; continue with: {}",
                    self.at.step,
                    self.folder.resume_command()
                )?;
                return Ok(false);
            }
        }
        self.conclude()?;
        Ok(true)
    }

    fn announce(&self) -> Result<()> {
        let weights: usize = self.net.parameters().iter().map(|p| p.numel()).sum();
        let (path, images) = (self.folder.path().display(), self.train.len());
        let verb = if self.at == Position::default() { "training" } else { "continuing" };
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{verb} {path}: {weights} weights, {images} images, {} epochs, seed {}",
            self.options.epochs, self.options.seed
        )?;
        Ok(())
    }

    /// Trains the rest of the present epoch, measures, and goes to the next.
    fn epoch(&mut self) -> Result<Ended> {
        if self.train_epoch()? == Ended::Interrupted {
            return Ok(Ended::Interrupted);
        }
        let Some(measured) = evaluate(&self.net, &self.test, self.workers)? else {
            return Ok(Ended::Interrupted);
        };
        let at = std::mem::take(&mut self.at);
        self.history.confusion = measured.confusion;
        self.history.rows.push(Row {
            epoch: f64::from(at.epoch + 1),
            step: at.step as f64,
            lr: self.scheduler.get_last_lr().first().copied().unwrap_or_default(),
            train_loss: at.loss_sum / at.seen as f64,
            train_accuracy: at.correct as f64 / at.seen as f64,
            test_loss: measured.loss,
            test_accuracy: measured.accuracy,
            seconds: at.seconds,
        });
        self.at = Position { epoch: at.epoch + 1, step: at.step, recent: at.recent, ..Position::default() };
        self.order_rng = self.order.get_state();
        self.export()?;
        self.save()?;
        self.report(&self.history.rows[self.history.rows.len() - 1])?;
        Ok(Ended::Done)
    }

    fn train_epoch(&mut self) -> Result<Ended> {
        let order = shuffled(self.train.len(), &self.order)?;
        let (size, first) = (self.options.batch_size as usize, self.at.batch);
        let rest = order.get(first * size..).unwrap_or_default();
        let label = format!("epoch {}/{}", self.at.epoch + 1, self.options.epochs);
        let mut progress = Progress::new(label, self.epoch_len(), first);
        self.net.train();
        let mut begin = Instant::now();
        for batch in &self.train.batches(rest, size, self.workers)? {
            if let Some(start) = self.start.take() {
                let elapsed = start.elapsed().as_secs_f64() * 1e3;
                progress.say(&format!("first step {elapsed:.0} ms after the start"));
            }
            self.step(batch?)?;
            self.at.seconds += std::mem::replace(&mut begin, Instant::now()).elapsed().as_secs_f64();
            progress.step(|| format!("loss {:.4}", self.at.loss_sum / self.at.seen as f64));
            if interrupt::is_asked() {
                return Ok(Ended::Interrupted);
            }
            if self.at.step.is_multiple_of(self.options.checkpoint_every.into()) {
                self.save()?;
            }
        }
        Ok(Ended::Done)
    }

    /// One update of the weights.
    fn step(&mut self, (images, labels): Batch) -> Result<()> {
        let logits = self.net.forward(&images)?;
        let loss = cross_entropy(&logits, &labels)?;
        self.optimizer.zero_grad();
        loss.backward()?;
        self.optimizer.step()?;
        self.scheduler.step(&mut self.optimizer)?;
        let (loss, labels) = (loss.item()?.to_f64(), labels.to_vec::<i64>()?);
        ensure!(loss.is_finite(), "the loss is {loss} at step {}: try a smaller --lr", self.at.step + 1);
        let right = guesses(&logits)?.iter().zip(&labels).filter(|(guess, label)| guess == label).count();
        self.count(loss, labels.len() as u64, right as u64);
        Ok(())
    }

    /// Adds a step to the sums, and a point to the curve when it is time.
    fn count(&mut self, loss: f64, images: u64, right: u64) {
        let at = &mut self.at;
        at.batch += 1;
        at.step += 1;
        at.loss_sum += loss * images as f64;
        at.seen += images;
        at.correct += right;
        at.recent = (at.recent.0 + loss, at.recent.1 + 1);
        let every = self.train.len().div_ceil(self.options.batch_size as usize).div_ceil(POINTS);
        if self.at.recent.1 >= every as u64 {
            let (sum, n) = std::mem::take(&mut self.at.recent);
            self.history.curve.push((self.at.step as f64, sum / n as f64));
        }
    }

    fn export(&self) -> Result<()> {
        export::models(&self.folder, &self.net)?;
        export::metrics(&self.folder, &self.history)
    }

    fn report(&self, row: &Row) -> Result<()> {
        let Row { epoch, train_loss, train_accuracy, test_loss, test_accuracy, seconds, .. } = *row;
        let (train, test) = (100.0 * train_accuracy, 100.0 * test_accuracy);
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "epoch {epoch}/{}: loss {train_loss:.4}, accuracy {train:.2} %; test loss {test_loss:.4}, test accuracy {test:.2} %; {seconds:.1} s",
            self.options.epochs
        )?;
        Ok(())
    }

    fn conclude(&self) -> Result<()> {
        let Some(last) = self.history.rows.last() else {
            return Err(Error::runtime("the run has no epochs"));
        };
        let (path, accuracy) = (self.folder.path().display(), 100.0 * last.test_accuracy);
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "test accuracy {accuracy:.2} % after {} epochs; models, metrics and drawings are in {path}",
            last.epoch
        )?;
        writeln!(out, "try it: {} predict --model {path} IMAGE.png", program())?;
        Ok(())
    }
}
