//! Schedules that PyTorch saved go on here with the same rates, and are saved in the form of PyTorch's files.

use cresset_core::{Result, Tensor};
use cresset_io::PyValue;
use cresset_optim::lr_scheduler::*;
use cresset_optim::{OptimizerState, ParamGroups, SGD};

use crate::files::{assert_alike, fixture, through_a_file};

/// A scheduler of any kind; the measure of the fixtures is always 1.
enum Any {
    Step(Box<dyn Step>),
    Plateau(ReduceLROnPlateau),
}

impl Any {
    fn step(&mut self, optimizer: &mut SGD) -> Result<()> {
        match self {
            Any::Step(s) => s.step(optimizer),
            Any::Plateau(s) => s.step(optimizer, 1.0),
        }
    }

    fn state_dict(&self) -> PyValue {
        match self {
            Any::Step(s) => s.state_dict(),
            Any::Plateau(s) => s.state_dict(),
        }
    }

    fn load_state_dict(&mut self, state: &PyValue) -> Result<()> {
        match self {
            Any::Step(s) => s.load_state_dict(state),
            Any::Plateau(s) => s.load_state_dict(state),
        }
    }
}

fn optimizer() -> Result<SGD> {
    let one = || Tensor::from_vec(vec![1_f32], [1])?.requires_grad_(true);
    let mut sgd = SGD::with([one()?], 0.1, |o| o.momentum(0.9))?;
    sgd.add_param_group([one()?], |o| o.lr(0.02))?;
    sgd.step()?;
    Ok(sgd)
}

/// The schedule as `make` sets it up, and another one with the settings of `other`, which those of the file replace.
fn check(
    name: &str,
    make: impl Fn(&mut SGD) -> Result<Any>,
    other: impl Fn(&mut SGD) -> Result<Any>,
) -> Result<()> {
    let file = fixture("schedulers.pt")?;
    let wanted = file.get(name).expect("a schedule of that name");
    let part = |key: &str| wanted.get(key).expect("a part of the file");
    let mut sgd = optimizer()?;
    let mut schedule = make(&mut sgd)?;
    (0..3).try_for_each(|_| schedule.step(&mut sgd))?;
    let state = through_a_file(&schedule.state_dict())?;
    assert_alike(&state, part("scheduler"), name)?;
    let groups = through_a_file(&PyValue::try_from(&sgd.state_dict())?)?;
    assert_alike(groups.get("param_groups").unwrap(), part("optimizer").get("param_groups").unwrap(), name)?;
    for (groups, state) in [(part("optimizer"), part("scheduler")), (&groups, &state)] {
        let mut sgd = optimizer()?;
        let mut schedule = other(&mut sgd)?;
        sgd.load_state_dict(&OptimizerState::try_from(groups)?)?;
        schedule.load_state_dict(state)?;
        for (epoch, rates) in part("then").items().unwrap().iter().enumerate() {
            schedule.step(&mut sgd)?;
            let now = |group: usize| {
                ["lr", "momentum"].map(|key| PyValue::Float(sgd.get(group, key).unwrap())).to_vec()
            };
            let now = PyValue::List((0..2).map(|group| PyValue::List(now(group))).collect());
            assert_alike(&now, rates, &format!("{name}, epoch {epoch}"))?;
        }
    }
    Ok(())
}

macro_rules! schedules {
    ($($test:ident: $name:literal, |$o:ident| $make:expr, other $other:expr;)*) => { $(
        #[test]
        fn $test() -> Result<()> {
            check($name, |$o| Ok(Any::Step(Box::new($make?))), |$o| Ok(Any::Step(Box::new($other?))))
        }
    )* };
}

fn one_cycle(change: impl Fn(&mut OneCycleOptions)) -> OneCycleOptions {
    let mut options = OneCycleOptions::default();
    change(&mut options);
    options
}

fn cyclic(up: i64, mode: CyclicMode, change: impl Fn(&mut CyclicOptions)) -> CyclicOptions {
    let mut options = CyclicOptions { step_size_up: up, mode, ..CyclicOptions::default() };
    change(&mut options);
    options
}

fn by_cycle() -> CyclicMode {
    CyclicMode::ByCycle(std::sync::Arc::new(|x| 1.0 / x))
}

schedules! {
    step: "StepLR", |o| StepLR::new(o, 2, 0.5), other StepLR::new(o, 9, 0.1);
    multi_step: "MultiStepLR", |o| MultiStepLR::new(o, vec![2, 4, 4], 0.5), other MultiStepLR::new(o, vec![1], 0.1);
    constant: "ConstantLR", |o| ConstantLR::new(o, 0.5, 4), other ConstantLR::new(o, 0.1, 9);
    linear: "LinearLR", |o| LinearLR::new(o, 0.25, 1.0, 5), other LinearLR::new(o, 0.5, 0.7, 9);
    exponential: "ExponentialLR", |o| ExponentialLR::new(o, 0.9), other ExponentialLR::new(o, 0.1);
    polynomial: "PolynomialLR", |o| PolynomialLR::new(o, 6, 2.0), other PolynomialLR::new(o, 9, 1.0);
    lambda: "LambdaLR", |o| LambdaLR::new(o, |e| 0.95_f64.powi(e as i32)), other LambdaLR::new(o, |e| 0.95_f64.powi(e as i32));
    multiplicative: "MultiplicativeLR", |o| MultiplicativeLR::new(o, |_| 0.95), other MultiplicativeLR::new(o, |_| 0.95);
    cosine: "CosineAnnealingLR", |o| CosineAnnealingLR::new(o, 5, 0.001), other CosineAnnealingLR::new(o, 9, 0.0);
    warm_restarts: "CosineAnnealingWarmRestarts", |o| CosineAnnealingWarmRestarts::new(o, 2, 2, 0.001),
        other CosineAnnealingWarmRestarts::new(o, 9, 1, 0.0);
    one_cycle_of_two: "OneCycleLR", |o| OneCycleLR::new(o, &[0.5, 0.1], 10, OneCycleOptions::default()),
        other OneCycleLR::new(o, &[0.3], 20, one_cycle(|c| c.cosine = false));
    one_cycle_of_three: "OneCycleLR, three",
        |o| OneCycleLR::new(o, &[0.5], 10, one_cycle(|c| (c.cosine, c.cycle_momentum, c.three_phase) = (false, false, true))),
        other OneCycleLR::new(o, &[0.3], 20, one_cycle(|c| c.pct_start = 0.5));
    cycles: "CyclicLR", |o| CyclicLR::new(o, &[0.01], &[0.1], cyclic(3, CyclicMode::Triangular, |_| ())),
        other CyclicLR::new(o, &[0.02], &[0.2], cyclic(4, CyclicMode::Triangular2, |_| ()));
    lower_cycles: "CyclicLR, triangular2",
        |o| CyclicLR::new(o, &[0.01], &[0.1], cyclic(1, CyclicMode::Triangular2, |c| c.step_size_down = Some(2))),
        other CyclicLR::new(o, &[0.02], &[0.2], cyclic(4, CyclicMode::Triangular, |c| c.cycle_momentum = false));
    exponential_cycles: "CyclicLR, exp_range",
        |o| CyclicLR::new(o, &[0.01, 0.02], &[0.1], cyclic(3, CyclicMode::ExpRange(0.9), |c| c.cycle_momentum = false)),
        other CyclicLR::new(o, &[0.02], &[0.2], cyclic(4, CyclicMode::Triangular, |_| ()));
    cycles_by_function: "CyclicLR, function", |o| CyclicLR::new(o, &[0.01], &[0.1], cyclic(2, by_cycle(), |_| ())),
        other CyclicLR::new(o, &[0.02], &[0.2], cyclic(4, by_cycle(), |_| ()));
    sequential: "SequentialLR", |o| in_sequence(o, 0.1, 2), other in_sequence(o, 0.5, 5);
    chained: "ChainedScheduler", |o| chain(o, 0.1, 0.9), other chain(o, 0.5, 0.2);
    averaging: "SWALR", |o| SWALR::new(o, &[0.05, 0.5], 5, false), other SWALR::new(o, &[0.05, 0.5], 9, true);
}

fn in_sequence(o: &mut SGD, factor: f64, until: i64) -> Result<SequentialLR> {
    let (first, then) = (ConstantLR::new(o, factor, until)?, ExponentialLR::new(o, 0.9)?);
    SequentialLR::new(o, vec![Box::new(first), Box::new(then)], vec![until])
}

fn chain(o: &mut SGD, start: f64, gamma: f64) -> Result<ChainedScheduler> {
    let (first, then) = (LinearLR::new(o, start, 1.0, 5)?, ExponentialLR::new(o, gamma)?);
    ChainedScheduler::new(o, vec![Box::new(first), Box::new(then)])
}

#[test]
fn plateaus() -> Result<()> {
    let make = |o: &mut SGD, change: fn(&mut PlateauOptions)| {
        let mut options = PlateauOptions::default();
        change(&mut options);
        ReduceLROnPlateau::new(o, options).map(Any::Plateau)
    };
    check(
        "ReduceLROnPlateau",
        |o| make(o, |p| (p.patience, p.cooldown, p.min_lr) = (1, 1, vec![0.001, 0.002])),
        |o| make(o, |p| (p.mode, p.eps) = (Mode::Max, 0.5)),
    )?;
    check(
        "ReduceLROnPlateau, max",
        |o| {
            make(o, |p| {
                (p.mode, p.relative, p.patience) = (Mode::Max, false, 0);
                (p.factor, p.min_lr) = (0.5, vec![1e-4]);
            })
        },
        |o| make(o, |_| ()),
    )
}
