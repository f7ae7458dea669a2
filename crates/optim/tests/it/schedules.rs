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

schedules! {
    step: "StepLR", |o| StepLR::with(o, 2, |s| s.gamma(0.5)), other StepLR::new(o, 9);
    multi_step: "MultiStepLR", |o| MultiStepLR::with(o, [2, 4, 4], |s| s.gamma(0.5)), other MultiStepLR::new(o, [1]);
    constant: "ConstantLR", |o| ConstantLR::with(o, |s| s.factor(0.5).total_iters(4)), other ConstantLR::new(o);
    linear: "LinearLR", |o| LinearLR::with(o, |s| s.start_factor(0.25)),
        other LinearLR::with(o, |s| s.start_factor(0.5).end_factor(0.7).total_iters(9));
    exponential: "ExponentialLR", |o| ExponentialLR::new(o, 0.9), other ExponentialLR::new(o, 0.1);
    polynomial: "PolynomialLR", |o| PolynomialLR::with(o, |s| s.total_iters(6).power(2.0)), other PolynomialLR::new(o);
    lambda: "LambdaLR", |o| LambdaLR::new(o, |e| 0.95_f64.powi(e as i32)), other LambdaLR::new(o, |e| 0.95_f64.powi(e as i32));
    multiplicative: "MultiplicativeLR", |o| MultiplicativeLR::new(o, |_| 0.95), other MultiplicativeLR::new(o, |_| 0.95);
    cosine: "CosineAnnealingLR", |o| CosineAnnealingLR::with(o, 5, |c| c.eta_min(0.001)), other CosineAnnealingLR::new(o, 9);
    warm_restarts: "CosineAnnealingWarmRestarts",
        |o| CosineAnnealingWarmRestarts::with(o, 2, |c| c.t_mult(2).eta_min(0.001)), other CosineAnnealingWarmRestarts::new(o, 9);
    one_cycle_of_two: "OneCycleLR", |o| OneCycleLR::new(o, [0.5, 0.1], 10),
        other OneCycleLR::with(o, 0.3, 20, |c| c.anneal_strategy("linear"));
    one_cycle_of_three: "OneCycleLR, three",
        |o| OneCycleLR::with(o, 0.5, 10, |c| c.anneal_strategy("linear").cycle_momentum(false).three_phase(true)),
        other OneCycleLR::with(o, 0.3, 20, |c| c.pct_start(0.5));
    cycles: "CyclicLR", |o| CyclicLR::with(o, 0.01, 0.1, |c| c.step_size_up(3)),
        other CyclicLR::with(o, 0.02, 0.2, |c| c.step_size_up(4).mode("triangular2"));
    lower_cycles: "CyclicLR, triangular2",
        |o| CyclicLR::with(o, 0.01, 0.1, |c| c.step_size_up(1).step_size_down(2).mode("triangular2")),
        other CyclicLR::with(o, 0.02, 0.2, |c| c.step_size_up(4).cycle_momentum(false));
    exponential_cycles: "CyclicLR, exp_range",
        |o| CyclicLR::with(o, [0.01, 0.02], 0.1, |c| c.step_size_up(3).mode("exp_range").gamma(0.9).cycle_momentum(false)),
        other CyclicLR::new(o, 0.02, 0.2);
    cycles_by_function: "CyclicLR, function",
        |o| CyclicLR::with(o, 0.01, 0.1, |c| c.step_size_up(2).scale_fn(|x: f64| 1.0 / x)),
        other CyclicLR::with(o, 0.02, 0.2, |c| c.scale_fn(|x: f64| 1.0 / x));
    sequential: "SequentialLR", |o| in_sequence(o, 0.1, 2), other in_sequence(o, 0.5, 5);
    chained: "ChainedScheduler", |o| chain(o, 0.1, 0.9), other chain(o, 0.5, 0.2);
    averaging: "SWALR", |o| SWALR::with(o, [0.05, 0.5], |s| s.anneal_epochs(5).anneal_strategy("linear")), other SWALR::new(o, [0.05, 0.5]);
}

fn in_sequence(o: &mut SGD, factor: f64, until: i64) -> Result<SequentialLR> {
    let (first, then) =
        (ConstantLR::with(o, |s| s.factor(factor).total_iters(until))?, ExponentialLR::new(o, 0.9)?);
    SequentialLR::new(o, vec![Box::new(first), Box::new(then)], vec![until])
}

fn chain(o: &mut SGD, start: f64, gamma: f64) -> Result<ChainedScheduler> {
    let (first, then) = (LinearLR::with(o, |s| s.start_factor(start))?, ExponentialLR::new(o, gamma)?);
    ChainedScheduler::new(o, vec![Box::new(first), Box::new(then)])
}

#[test]
fn plateaus() -> Result<()> {
    type Options = ReduceLROnPlateauOptions;
    let make =
        |o: &mut SGD, options: fn(Options) -> Options| ReduceLROnPlateau::with(o, options).map(Any::Plateau);
    check(
        "ReduceLROnPlateau",
        |o| make(o, |p| p.patience(1).cooldown(1).min_lr([0.001, 0.002])),
        |o| make(o, |p| p.mode("max").eps(0.5)),
    )?;
    check(
        "ReduceLROnPlateau, max",
        |o| make(o, |p| p.mode("max").threshold_mode("abs").patience(0).factor(0.5).min_lr(1e-4)),
        |o| make(o, |_| Options::default()),
    )
}

fn refused<T>(result: Result<T>) -> String {
    let error = result.map(drop).unwrap_err();
    format!("{:?}: {}", error.kind(), error.message())
}

#[test]
fn impossible_settings_are_refused_in_pytorchs_words() -> Result<()> {
    let o = &mut optimizer()?;
    for (error, text) in [
        (
            refused(ConstantLR::with(o, |s| s.factor(1.5))),
            "Value: Constant multiplicative factor expected to be between 0 and 1.",
        ),
        (
            refused(LinearLR::with(o, |s| s.start_factor(0.0))),
            "Value: Starting multiplicative factor expected to be greater than 0 and less or equal to 1.",
        ),
        (
            refused(LinearLR::with(o, |s| s.end_factor(-0.5))),
            "Value: Ending multiplicative factor expected to be between 0 and 1.",
        ),
        (refused(StepLR::new(o, 0)), "ZeroDivision: integer modulo by zero"),
        (refused(CosineAnnealingLR::new(o, 0)), "ZeroDivision: integer modulo by zero"),
        (refused(CosineAnnealingWarmRestarts::new(o, 0)), "Value: Expected positive integer T_0, but got 0"),
        (
            refused(CosineAnnealingWarmRestarts::with(o, 1, |c| c.t_mult(0))),
            "Value: Expected integer T_mult >= 1, but got 0",
        ),
        (refused(LambdaLR::per_group(o, vec![])), "Value: Expected 2 lr_lambdas, but got 0"),
        (refused(OneCycleLR::new(o, 0.1, 0)), "Value: Expected positive integer total_steps, but got 0"),
        (
            refused(OneCycleLR::with(o, 0.1, 9, |c| c.pct_start(2.0))),
            "Value: Expected float between 0 and 1 pct_start, but got 2.0",
        ),
        (
            refused(OneCycleLR::with(o, 0.1, 9, |c| c.anneal_strategy("flat"))),
            "Value: anneal_strategy must be one of 'cos' or 'linear', instead got flat",
        ),
        (
            refused(OneCycleLR::new(o, [0.1], 9)),
            "Value: max_lr must have the same length as optimizer.param_groups. max_lr has 1 values, param_groups has 2.",
        ),
        (
            refused(CyclicLR::with(o, 0.1, 0.2, |c| c.mode("square"))),
            "Value: mode is invalid and scale_fn is None",
        ),
        (
            refused(SWALR::with(o, 0.1, |s| s.anneal_epochs(-1))),
            "Value: anneal_epochs must be equal or greater than 0, got -1",
        ),
        (refused(ReduceLROnPlateau::with(o, |p| p.factor(1.0))), "Value: Factor should be < 1.0."),
        (refused(ReduceLROnPlateau::with(o, |p| p.mode("mean"))), "Value: mode mean is unknown!"),
        (
            refused(ReduceLROnPlateau::with(o, |p| p.threshold_mode("x"))),
            "Value: threshold mode x is unknown!",
        ),
        (refused(ReduceLROnPlateau::with(o, |p| p.min_lr([0.1]))), "Value: expected 2 min_lrs, got 1"),
        (
            refused(SequentialLR::new(o, vec![], vec![])),
            "Value: SequentialLR expects at least one scheduler, but got no scheduler.",
        ),
    ] {
        assert_eq!(error, text);
    }
    let fresh = &mut optimizer()?;
    let error = refused(ExponentialLR::with(fresh, 0.5, |s| s.last_epoch(3)));
    let text = "Key: param 'initial_lr' is not specified in param_groups[0] when resuming scheduler with last_epoch >= 0.";
    assert!(error.starts_with(text), "{error}");
    let plain = &mut cresset_optim::Rprop::new([Tensor::from_vec(vec![1_f32], [1])?], 0.1)?;
    let text = "Value: optimizer must support momentum or beta1 with `cycle_momentum` option enabled";
    assert_eq!(refused(CyclicLR::new(plain, 0.1, 0.2)), text);
    Ok(())
}

#[test]
fn schedules_go_on_after_an_epoch() -> Result<()> {
    // PyTorch's rates of both groups.
    let mut sgd = optimizer()?;
    StepLR::with(&mut sgd, 3, |s| s.gamma(0.5))?;
    let mut schedule = StepLR::with(&mut sgd, 3, |s| s.gamma(0.5).last_epoch(1))?;
    assert_eq!((schedule.last_epoch(), schedule.get_last_lr()), (2, &[0.1, 0.02][..]));
    schedule.step(&mut sgd)?;
    assert_eq!(schedule.get_last_lr(), [0.05, 0.01]);
    let restarts = CosineAnnealingWarmRestarts::with(&mut sgd, 4, |c| c.last_epoch(1))?;
    assert!((restarts.get_last_lr()[0] - 0.05).abs() < 1e-15);
    Ok(())
}

#[test]
fn a_measure_that_is_no_number_is_no_improvement() -> Result<()> {
    let mut sgd = optimizer()?;
    let mut schedule = ReduceLROnPlateau::with(&sgd, |p| p.patience(1).factor(0.5).min_lr([0.06, 0.0]))?;
    for metric in [f64::NAN, f64::NAN] {
        schedule.step(&mut sgd, metric)?;
    }
    assert_eq!(schedule.get_last_lr(), [0.06, 0.01]);
    sgd.add_param_group([Tensor::from_vec(vec![1_f32], [1])?], |o| o)?;
    schedule.step(&mut sgd, f64::NAN)?;
    let text = "Runtime: The number of param groups in the `optimizer` (3) differs from when `ReduceLROnPlateau` was initialized (2)";
    assert!(refused(schedule.step(&mut sgd, f64::NAN)).starts_with(text));
    Ok(())
}
