//! Runs that PyTorch saved go on here to the same weights, and a run saved here has the form of PyTorch's files
//! (`data/make.py` made them).

use cresset_core::{DType, Result, Tensor, ops};
use cresset_io::{PyValue, load, load_bytes, save_to};
use cresset_optim::lr_scheduler::StepLR;
use cresset_optim::*;

pub const NAMES: [&str; 4] = ["w1", "b1", "w2", "b2"];

/// A file of `data`.
pub fn fixture(name: &str) -> Result<PyValue> {
    load(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")))
}

/// What a file holds when `value` is written and read again.
pub fn through_a_file(value: &PyValue) -> Result<PyValue> {
    let mut bytes = Vec::new();
    save_to(value, &mut bytes)?;
    load_bytes(&bytes)
}

fn near(got: f64, want: f64) -> bool {
    got == want || (got - want).abs() <= 1e-6 * want.abs().max(0.1)
}

fn numbers(t: &Tensor) -> Result<Vec<f64>> {
    t.to_dtype(DType::F64)?.to_vec()
}

/// Compares keys, types and numbers; `at` says where in the file.
pub fn assert_alike(got: &PyValue, want: &PyValue, at: &str) -> Result<()> {
    match (got, want) {
        (PyValue::Tensor(g), PyValue::Tensor(w)) => {
            assert_eq!((g.dtype(), &g.sizes()[..]), (w.dtype(), &w.sizes()[..]), "{at}");
            let (g, w) = (numbers(g)?, numbers(w)?);
            assert!(g.iter().zip(&w).all(|(g, w)| near(*g, *w)), "{at}: {g:?}, expected {w:?}");
        }
        // A default of 0 is an int in Python where a setting is a float: nothing reads the difference.
        (PyValue::Float(g), PyValue::Int(w)) => assert_eq!(*g, *w as f64, "{at}"),
        (PyValue::Float(g), PyValue::Float(w)) => assert!(near(*g, *w), "{at}: {g}, expected {w}"),
        (PyValue::List(g), PyValue::List(w)) | (PyValue::Tuple(g), PyValue::Tuple(w)) => {
            assert_eq!(g.len(), w.len(), "{at}");
            for (i, (g, w)) in g.iter().zip(w).enumerate() {
                assert_alike(g, w, &format!("{at}[{i}]"))?;
            }
        }
        (PyValue::Dict(g), PyValue::Dict(w)) => {
            let sorted = |entries: &[(PyValue, PyValue)]| {
                let mut entries: Vec<_> =
                    entries.iter().map(|(k, v)| (format!("{k:?}"), v.clone())).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                entries
            };
            let (g, w) = (sorted(g), sorted(w));
            let keys = |entries: &[(String, PyValue)]| {
                entries.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(keys(&g), keys(&w), "{at}");
            for ((key, g), (_, w)) in g.iter().zip(&w) {
                assert_alike(g, w, &format!("{at}[{key}]"))?;
            }
        }
        (g, w) => assert_eq!(format!("{g:?}"), format!("{w:?}"), "{at}"),
    }
    Ok(())
}

/// The network of the fixtures: two layers, or a table of which rows are looked up.
pub struct Net {
    pub params: Vec<Tensor>,
    is_sparse: bool,
}

impl Net {
    pub fn new(state: &PyValue, dtype: DType, is_sparse: bool) -> Result<Net> {
        let param = |name: &str| {
            let t = state.get(name).and_then(PyValue::as_tensor).expect("a parameter");
            t.to_dtype_with(dtype, |o| o.copy(true))?.requires_grad_(true)
        };
        Ok(Net { params: NAMES.iter().map(|n| param(n)).collect::<Result<_>>()?, is_sparse })
    }

    pub fn loss(&self, file: &PyValue) -> Result<Tensor> {
        let data = |key: &str| file.get(key).and_then(PyValue::as_tensor).expect("data");
        let [w1, b1, w2, b2] = &self.params[..] else { unreachable!("four parameters") };
        if self.is_sparse {
            let rows = ops::embedding_with(w1, data("ids"), |o| o.sparse(true))?;
            return ops::mse_loss(&rows, &data("x").narrow(0, 0, 4)?);
        }
        let (x, y) = (data("x").to_dtype(w1.dtype())?, data("y").to_dtype(w1.dtype())?);
        let hidden = x.matmul(&w1.t()?)?.add(b1)?.tanh()?;
        ops::mse_loss(&hidden.matmul(&w2.t()?)?.add(b2)?, &y)
    }
}

/// A run: what is trained, and what trains it.
struct Run<U: Update> {
    net: Net,
    optimizer: Optimizer<U>,
    scheduler: StepLR,
}

/// The options of all parameters, and of the second group if there are two.
type Settings<O> = (f64, fn(O) -> O, Option<fn(O) -> O>);

impl<U: Update> Run<U> {
    fn new(net: Net, (lr, options, second): Settings<U::Options>, name: &str) -> Result<Self> {
        let mut optimizer = Optimizer::<U>::without_params(lr, options)?;
        let pick = |list: &[usize]| list.iter().map(|i| net.params[*i].clone()).collect::<Vec<_>>();
        let (first, other): (&[usize], &[usize]) = match (name, second) {
            ("SparseAdam", _) => (&[0], &[]),
            ("Muon", _) => (&[0], &[2]),
            (_, None) => (&[0, 1, 2, 3], &[]),
            _ => (&[0, 2], &[1, 3]),
        };
        optimizer.add_param_group(pick(first), |o| o)?;
        if let Some(second) = second {
            optimizer.add_param_group(pick(other), second)?;
        }
        let scheduler = StepLR::with(&mut optimizer, 2, |s| s.gamma(0.5))?;
        Ok(Run { net, optimizer, scheduler })
    }

    fn load(&mut self, saved: &PyValue) -> Result<()> {
        let part = |key: &str| saved.get(key).expect("a part of the file");
        self.optimizer.load_state_dict(&OptimizerState::try_from(part("optimizer"))?)?;
        self.scheduler.load_state_dict(part("scheduler"))
    }

    fn train(&mut self, file: &PyValue) -> Result<()> {
        for _ in 0..3 {
            let net = &self.net;
            let params = || net.params.iter();
            self.optimizer.step_with(|| {
                params().try_for_each(|p| p.set_grad(None))?;
                let loss = net.loss(file)?;
                loss.backward()?;
                Ok(loss)
            })?;
            self.scheduler.step(&mut self.optimizer)?;
        }
        Ok(())
    }

    fn save(&self) -> Result<PyValue> {
        let model = NAMES.iter().zip(&self.net.params).map(|(n, p)| (*n, PyValue::Tensor(p.detach())));
        through_a_file(&PyValue::dict([
            ("model", PyValue::dict(model)),
            ("optimizer", PyValue::try_from(&self.optimizer.state_dict())?),
            ("scheduler", self.scheduler.state_dict()),
        ]))
    }
}

/// PyTorch's run `name` goes on here; then the same run is begun here, saved, and goes on from the file.
fn both_ways<U: Update>(name: &str, settings: Settings<U::Options>) -> Result<()> {
    let file = fixture("optimizers.pt")?;
    let wanted = file.get("runs").and_then(|runs| runs.get(name)).expect("a run of that name");
    let part = |key: &str| wanted.get(key).expect("a part of the run");
    let kept = part("model").get("w1").and_then(PyValue::as_tensor).expect("a parameter");
    let start =
        |state: &PyValue| Run::<U>::new(Net::new(state, kept.dtype(), name == "SparseAdam")?, settings, name);
    let go_on = |saved: &PyValue| -> Result<PyValue> {
        let mut run = start(saved.get("model").expect("a model"))?;
        run.load(saved)?;
        run.train(&file)?;
        run.save()
    };
    assert_alike(go_on(wanted)?.get("model").unwrap(), part("final"), &format!("{name}, from PyTorch"))?;
    let mut run = start(file.get("start").expect("the start"))?;
    run.train(&file)?;
    let saved = run.save()?;
    for key in ["model", "optimizer", "scheduler"] {
        let want = without_scratch(part(key));
        assert_alike(saved.get(key).unwrap(), &want, &format!("{name} {key}"))?;
    }
    assert_alike(go_on(&saved)?.get("model").unwrap(), part("final"), &format!("{name}, from here"))
}

/// L-BFGS keeps the factors of its last recursion, which nothing reads again.
fn without_scratch(value: &PyValue) -> PyValue {
    match value {
        PyValue::Dict(entries) => {
            let kept = entries.iter().filter(|(key, _)| key.as_str() != Some("al"));
            PyValue::Dict(kept.map(|(key, value)| (key.clone(), without_scratch(value))).collect())
        }
        other => other.clone(),
    }
}

macro_rules! runs {
    ($($test:ident: $update:ty, $name:literal, $lr:literal $(.$key:ident($value:expr))*; $(then $(.$other:ident($new:expr))*)?;)*) => { $(
        #[test]
        fn $test() -> Result<()> {
            let second: &[fn(<$update as Update>::Options) -> <$update as Update>::Options] = &[$(|o| o$(.$other($new))*)?];
            both_ways::<$update>($name, ($lr, |o| o$(.$key($value))*, second.first().copied()))
        }
    )* };
}

runs! {
    sgd: SGDUpdate, "SGD", 0.1 .momentum(0.9).weight_decay(0.01).nesterov(true); then .lr(0.05);
    plain_sgd: SGDUpdate, "SGD, plain", 0.1; then;
    adadelta: AdadeltaUpdate, "Adadelta", 0.5 .rho(0.8).weight_decay(0.1); then .rho(0.95);
    adagrad: AdagradUpdate, "Adagrad", 0.1 .lr_decay(0.1).initial_accumulator_value(0.5); then .weight_decay(0.1);
    adam: AdamUpdate, "Adam", 0.1 .betas((0.8, 0.9)).amsgrad(true).weight_decay(0.1); then .eps(0.01);
    adamw: AdamWUpdate, "AdamW", 0.1 .weight_decay(0.2); then .weight_decay(0.0).maximize(true);
    sparse_adam: SparseAdamUpdate, "SparseAdam", 0.1 .betas((0.7, 0.8));;
    adamax: AdamaxUpdate, "Adamax", 0.1 .betas((0.8, 0.9)); then .weight_decay(0.1);
    asgd: ASGDUpdate, "ASGD", 0.1 .lambd(0.1).alpha(0.5).t0(2.0); then .weight_decay(0.1);
    lbfgs: LBFGSUpdate, "LBFGS", 0.8 .max_iter(3).history_size(4).line_search_fn(Some("strong_wolfe".into()));;
    lbfgs_of_fixed_steps: LBFGSUpdate, "LBFGS, fixed", 0.1 .max_iter(2).history_size(2);;
    rmsprop: RMSpropUpdate, "RMSprop", 0.05 .momentum(0.9).alpha(0.9).centered(true); then .weight_decay(0.1);
    plain_rmsprop: RMSpropUpdate, "RMSprop, plain", 0.05; then;
    rprop: RpropUpdate, "Rprop", 0.1 .etas((0.4, 1.3)).step_sizes((1e-3, 5.0)); then .lr(0.05);
    nadam: NAdamUpdate, "NAdam", 0.1 .weight_decay(0.1).decoupled_weight_decay(true); then .momentum_decay(0.1);
    radam: RAdamUpdate, "RAdam", 0.1 .betas((0.8, 0.9)).weight_decay(0.1); then .decoupled_weight_decay(true);
    adafactor: AdafactorUpdate, "Adafactor", 0.1 .weight_decay(0.1); then .eps((Some(1e-3), 0.01)).d(2.0);
    muon: MuonUpdate, "Muon", 0.1 .momentum(0.8).ns_steps(3); then .nesterov(false).adjust_lr_fn(Some("match_rms_adamw".into()));
}
