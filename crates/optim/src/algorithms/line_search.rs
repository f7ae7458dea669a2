//! A line search for the strong Wolfe conditions (Nocedal and Wright, algorithms 3.5 and 3.6).

use cresset_core::{Result, Tensor};

use super::lbfgs::largest;

/// A loss and its gradient.
#[derive(Clone)]
pub(super) struct Point {
    pub loss: f64,
    pub gradient: Tensor,
}

/// Where the search ended.
pub(super) struct Found {
    pub point: Point,
    pub step: f64,
    /// How often the function was evaluated.
    pub evals: i64,
}

/// How much of the expected decrease is enough.
const DECREASE: f64 = 1e-4;
/// Down to which part the slope must fall.
const CURVATURE: f64 = 0.9;

/// A step that was tried.
#[derive(Clone)]
struct Trial {
    step: f64,
    point: Point,
    slope: f64,
}

struct Search<'a> {
    at: &'a mut dyn FnMut(f64) -> Result<Point>,
    direction: &'a Tensor,
    start: &'a Trial,
    /// Trials after the first.
    iterations: i64,
    evals: i64,
}

/// Searches along `direction` from `start`, where the function falls with that `slope`, beginning with `step`.
pub(super) fn strong_wolfe(
    at: &mut dyn FnMut(f64) -> Result<Point>,
    step: f64,
    direction: &Tensor,
    start: &Point,
    slope: f64,
    tolerance_change: f64,
    max_iterations: i64,
) -> Result<Found> {
    let start = Trial { step: 0.0, point: start.clone(), slope };
    let mut search = Search { at, direction, start: &start, iterations: 0, evals: 0 };
    let best = match search.bracket(step, max_iterations)? {
        (best, None) => best,
        (one, Some(other)) => search.zoom([one, other], tolerance_change, max_iterations)?,
    };
    Ok(Found { point: best.point, step: best.step, evals: search.evals })
}

impl Search<'_> {
    fn try_step(&mut self, step: f64) -> Result<Trial> {
        let point = (self.at)(step)?;
        self.evals += 1;
        let slope = point.gradient.dot(self.direction)?.item()?.to_f64();
        Ok(Trial { step, point, slope })
    }

    /// Whether the loss fell too little.
    fn is_high(&self, trial: &Trial) -> bool {
        trial.point.loss > self.start.point.loss + DECREASE * trial.step * self.start.slope
    }

    fn is_flat(&self, trial: &Trial) -> bool {
        trial.slope.abs() <= -CURVATURE * self.start.slope
    }

    /// Goes on until a step is good, or two steps have a good one between them.
    fn bracket(&mut self, step: f64, max_iterations: i64) -> Result<(Trial, Option<Trial>)> {
        let mut previous = self.start.clone();
        let mut trial = self.try_step(step)?;
        while self.iterations < max_iterations {
            let rose = self.iterations > 1 && trial.point.loss >= previous.point.loss;
            if self.is_high(&trial) || rose {
                return Ok((previous, Some(trial)));
            }
            if self.is_flat(&trial) {
                return Ok((trial, None));
            }
            if trial.slope >= 0.0 {
                return Ok((previous, Some(trial)));
            }
            let bounds = (trial.step + 0.01 * (trial.step - previous.step), trial.step * 10.0);
            let next = cubic_minimum(&previous, &trial, Some(bounds));
            previous = trial;
            trial = self.try_step(next)?;
            self.iterations += 1;
        }
        Ok((self.start.clone(), Some(trial)))
    }

    /// Narrows the bracket down.
    fn zoom(&mut self, mut ends: [Trial; 2], tolerance: f64, max_iterations: i64) -> Result<Trial> {
        let size = largest(self.direction)?;
        let mut stuck = false;
        let mut low = lower(&ends);
        while self.iterations < max_iterations {
            if (ends[1].step - ends[0].step).abs() * size < tolerance {
                break;
            }
            let step = inside(cubic_minimum(&ends[0], &ends[1], None), &ends, &mut stuck);
            let trial = self.try_step(step)?;
            self.iterations += 1;
            if self.is_high(&trial) || trial.point.loss >= ends[low].point.loss {
                ends[1 - low] = trial;
                low = lower(&ends);
                continue;
            }
            let done = self.is_flat(&trial);
            if !done && trial.slope * (ends[1 - low].step - ends[low].step) >= 0.0 {
                ends[1 - low] = ends[low].clone();
            }
            ends[low] = trial;
            if done {
                break;
            }
        }
        let [first, second] = ends;
        Ok(if low == 0 { first } else { second })
    }
}

fn lower(ends: &[Trial; 2]) -> usize {
    if ends[0].point.loss <= ends[1].point.loss { 0 } else { 1 }
}

/// Keeps a step away from the ends of the bracket when the search makes no progress there.
fn inside(step: f64, ends: &[Trial; 2], stuck: &mut bool) -> f64 {
    let (low, high) = (ends[0].step.min(ends[1].step), ends[0].step.max(ends[1].step));
    let margin = 0.1 * (high - low);
    if (high - step).min(step - low) >= margin {
        *stuck = false;
        return step;
    }
    if !*stuck && step < high && step > low {
        *stuck = true;
        return step;
    }
    *stuck = false;
    if (step - high).abs() < (step - low).abs() { high - margin } else { low + margin }
}

/// Where the cubic through two trials and their slopes is lowest, within bounds (the trials, if none are given).
fn cubic_minimum(a: &Trial, b: &Trial, bounds: Option<(f64, f64)>) -> f64 {
    let (low, high) = bounds.unwrap_or((a.step.min(b.step), a.step.max(b.step)));
    let d1 = a.slope + b.slope - 3.0 * (a.point.loss - b.point.loss) / (a.step - b.step);
    let square = d1 * d1 - a.slope * b.slope;
    if square.is_nan() || square < 0.0 {
        return (low + high) / 2.0;
    }
    let d2 = square.sqrt();
    let (near, far) = if a.step <= b.step { (a, b) } else { (b, a) };
    let part = (far.slope + d2 - d1) / (far.slope - near.slope + 2.0 * d2);
    // As Python's `min` and `max`, which keep what is not comparable.
    let step = far.step - (far.step - near.step) * part;
    let step = if low > step { low } else { step };
    if high < step { high } else { step }
}
