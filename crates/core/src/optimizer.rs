//! Steps of optimizers in one pass over lists of tensors.
//!
//! An algorithm is a [`Rule`]; here tensors become the dense slices that it runs over. Half precision is computed in
//! single precision and rounded once, complex tensors come as views of their parts.

pub use cresset_kernels::optimizer::{
    Adadelta, Adagrad, Adam, Adamax, Asgd, Direction, Nadam, Radam, Rmsprop, Rprop, Rule, STATES, Sgd,
};

use cresset_kernels::optimizer::{Item, step_f32, step_f64};

use crate::storage::{Raw, View, access_lists};
use crate::{DType, Result, Tensor, bail, copy, ensure};

/// Updates `params` with `grads` and their states, in place and outside of autograd. There is a rule for each parameter;
/// a list of states is empty if the algorithm does not have it.
///
/// # Errors
/// `Runtime` unless all are floating-point tensors of one precision, alike in size and apart in memory.
pub fn step(rules: &[Rule], params: &[Tensor], grads: &[Tensor], states: [&[Tensor]; STATES]) -> Result<()> {
    run(rules, params, grads, states)?;
    [params].iter().chain(&states).copied().flatten().for_each(Tensor::bump_version);
    Ok(())
}

/// [`step`] for operators: the door counts versions.
pub(crate) fn run(
    rules: &[Rule],
    params: &[Tensor],
    grads: &[Tensor],
    states: [&[Tensor]; STATES],
) -> Result<()> {
    let [a, b, c] = states;
    let lists = [params, a, b, c];
    check(&lists, grads, rules.len())?;
    if grads.is_empty() {
        return Ok(());
    }
    let dtype = if params[0].dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let dense = |t: &Tensor| {
        if is_plain(t, dtype) { Ok(t.clone()) } else { copy::contiguous_copy(&t.to_dtype(dtype)?) }
    };
    let plain: Vec<bool> = (0..grads.len()).map(|i| alike(&lists, grads, i, dtype)).collect();
    let place = |(i, t): (usize, &Tensor)| if plain[i] { Ok(t.clone()) } else { dense(t) };
    let outs: Vec<Vec<Tensor>> =
        lists.iter().map(|l| l.iter().enumerate().map(place).collect()).collect::<Result<_>>()?;
    let mut ins: Vec<Tensor> = grads.iter().enumerate().map(place).collect::<Result<_>>()?;
    let views = |tensors: &[Tensor]| tensors.iter().map(Tensor::raw).collect::<Vec<View>>();
    let out_views: Vec<View> = outs.iter().flatten().map(Tensor::raw).collect();
    if check_apart(&out_views, &views(&ins)).is_err() {
        // A gradient may be the parameter itself; two parameters or states may not be one.
        ins = ins.iter().map(Tensor::clone_tensor).collect::<Result<_>>()?;
        check_apart(&out_views, &views(&ins))?;
    }
    let in_views = views(&ins);
    let has = states.map(|list| !list.is_empty());
    access_lists(&out_views.iter().collect::<Vec<_>>(), &in_views.iter().collect::<Vec<_>>(), |outs, ins| {
        match dtype {
            DType::F64 => step_f64(items(rules, has, outs, ins)),
            _ => step_f32(items(rules, has, outs, ins)),
        }
    });
    for (target, result) in lists.iter().copied().flatten().zip(outs.iter().flatten()) {
        if !target.same(result) {
            copy::copy_into(target, result)?;
        }
    }
    Ok(())
}

/// Parameters, gradients and the states that there are, which come list after list.
fn items<'a, T>(rules: &[Rule], has: [bool; STATES], outs: &[Raw<'a>], ins: &[Raw<'a>]) -> Vec<Item<'a, T>> {
    let n = ins.len();
    let item = |i: usize| {
        let mut lists = 0;
        // SAFETY: `run` gave dense operands of this type, locked, and `check_apart` found them apart.
        unsafe {
            let states = has.map(|has| {
                lists += usize::from(has);
                has.then(|| slice_mut::<T>(&outs[lists * n + i]))
            });
            Item { rule: rules[i], param: slice_mut(&outs[i]), grad: slice(&ins[i]), states }
        }
    };
    (0..n).map(item).collect()
}

fn check(lists: &[&[Tensor]], grads: &[Tensor], rules: usize) -> Result<()> {
    let params = lists[0];
    ensure!(
        grads.len() == params.len(),
        "expected one gradient per tensor, got {} and {}",
        params.len(),
        grads.len()
    );
    ensure!(
        rules == params.len(),
        "expected one number of the step per tensor, got {} and {rules}",
        params.len()
    );
    for list in lists.iter().filter(|l| !l.is_empty()) {
        ensure!(
            list.len() == params.len(),
            "expected one state per tensor, got {} and {}",
            params.len(),
            list.len()
        );
    }
    for (i, p) in params.iter().enumerate() {
        if !p.is_floating_point() || p.dtype() == DType::F64 && params[0].dtype() != DType::F64 {
            bail!("fused optimizer steps take floating-point tensors of one precision, got {}", p.dtype());
        }
        for t in lists.iter().filter_map(|l| l.get(i)).chain([&grads[i]]) {
            ensure!(t.sizes() == p.sizes(), "expected sizes {:?}, got {:?}", &p.sizes()[..], &t.sizes()[..]);
        }
    }
    Ok(())
}

fn is_plain(t: &Tensor, dtype: DType) -> bool {
    t.dtype() == dtype && t.is_contiguous()
}

/// Whether parameter, states and gradient can be walked through together as they are.
fn alike(lists: &[&[Tensor]], grads: &[Tensor], i: usize, dtype: DType) -> bool {
    let layout = lists[0][i].layout();
    let fits = |t: &Tensor| t.dtype() == dtype && t.strides() == layout.strides;
    layout.is_non_overlapping_and_dense()
        && lists.iter().filter_map(|l| l.get(i)).chain([&grads[i]]).all(fits)
}

/// What is written must not be written twice or read as a gradient.
fn check_apart(outs: &[View], ins: &[View]) -> Result<()> {
    let range = |v: &View, is_out: bool| {
        let start = v.layout.offset * v.dtype.size();
        (v.storage.id(), start, start + v.layout.numel() * v.dtype.size(), is_out)
    };
    let outs = outs.iter().map(|v| range(v, true));
    let mut ranges: Vec<_> = outs.chain(ins.iter().map(|v| range(v, false))).filter(|r| r.1 < r.2).collect();
    ranges.sort_unstable();
    let (mut storage, mut written, mut read) = (None, 0, 0);
    for (id, start, end, is_out) in ranges {
        if storage.replace(id) != Some(id) {
            (written, read) = (0, 0);
        }
        ensure!(
            start >= written && (!is_out || start >= read),
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory location. Please clone() the tensor before performing the operation."
        );
        let reached = if is_out { &mut written } else { &mut read };
        *reached = end.max(*reached);
    }
    Ok(())
}

/// The elements of one operand, to be written.
///
/// # Safety
/// The operand is dense, of element type `T`, locked for writing, and no other slice over its elements exists.
unsafe fn slice_mut<'a, T>(x: &Raw<'a>) -> &'a mut [T] {
    let n = x.sizes.iter().product::<i64>() as usize;
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(x.cast(), n) }
}

/// The elements of one operand, to be read.
///
/// # Safety
/// The operand is dense, of element type `T`, and nobody writes to its elements.
unsafe fn slice<'a, T>(x: &Raw<'a>) -> &'a [T] {
    let n = x.sizes.iter().product::<i64>() as usize;
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(x.cast(), n) }
}
