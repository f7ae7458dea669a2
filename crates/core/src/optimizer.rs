//! Steps of optimizers in one pass over lists of tensors.
//!
//! An algorithm is a [`Rule`]; here tensors become the dense slices that it runs over. Half precision is computed in
//! single precision and rounded once, complex tensors come as views of their parts.

pub use cresset_kernels::optimizer::{
    Adadelta, Adafactor, Adagrad, Adam, Adamax, Asgd, Direction, Muon, Nadam, Radam, Rmsprop, Rprop, Rule,
    STATES, Sgd, SparseAdam,
};

use cresset_kernels::optimizer::{self as kernels, Floats, Item, Table, Variance, step_f32, step_f64};

use std::slice::from_ref;

use crate::storage::{Raw, View, access, access_lists};
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
    let dtype = precision(&params[0]);
    let plain: Vec<bool> = (0..grads.len()).map(|i| alike(&lists, grads, i, dtype)).collect();
    let place = |(i, t): (usize, &Tensor)| if plain[i] { Ok(t.clone()) } else { dense(t, dtype) };
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
    put_back(lists.iter().copied().flatten(), outs.iter().flatten())
}

/// [`step`] on the rows of a table that have a gradient; the others are not read. Tables that are not contiguous or of half
/// precision are converted as a whole.
///
/// # Errors
/// `Runtime` unless all are floating-point tensors of the same size, apart in memory, and the gradient is sparse and coalesced.
pub fn step_rows(rule: Rule, param: &Tensor, grad: &Tensor, states: [Option<&Tensor>; STATES]) -> Result<()> {
    ensure!(param.is_floating_point(), "optimizer steps take floating-point tensors, got {}", param.dtype());
    for t in states.iter().flatten().copied().chain([grad]) {
        ensure!(
            t.sizes() == param.sizes(),
            "expected sizes {:?}, got {:?}",
            &param.sizes()[..],
            &t.sizes()[..]
        );
    }
    let (rows, values) = (rows(grad)?, grad._values()?);
    if values.numel() == 0 {
        return Ok(());
    }
    let dtype = precision(param);
    let targets: Vec<&Tensor> = [param].into_iter().chain(states.into_iter().flatten()).collect();
    let outs: Vec<Tensor> = targets.iter().map(|t| dense(t, dtype)).collect::<Result<_>>()?;
    let (values, width) = (dense(&values, dtype)?, values.numel() / rows.len());
    let (out_views, value_view) = (outs.iter().map(Tensor::raw).collect::<Vec<View>>(), values.raw());
    check_apart(&out_views, &[values.raw()])?;
    let has = states.map(|s| s.is_some());
    access_lists(&out_views.iter().collect::<Vec<_>>(), &[&value_view], |outs, ins| match dtype {
        DType::F64 => kernels::step_rows_f64(table(rule, &rows, width, has, outs, &ins[0])),
        _ => kernels::step_rows_f32(table(rule, &rows, width, has, outs, &ins[0])),
    });
    put_back(targets.iter().copied(), &outs)?;
    targets.into_iter().for_each(Tensor::bump_version);
    Ok(())
}

/// The numbers of the rows that a coalesced gradient has, as if its sparse dimensions were one.
fn rows(grad: &Tensor) -> Result<Vec<usize>> {
    ensure!(grad.is_coalesced()?, "expected a gradient that is coalesced");
    let mut rows = vec![0; grad._nnz()? as usize];
    let indices = grad._indices()?.to_vec::<i64>()?;
    for (coordinates, size) in indices.chunks(rows.len().max(1)).zip(&grad.sizes()[..]) {
        rows.iter_mut().zip(coordinates).for_each(|(row, i)| *row = *row * *size as usize + *i as usize);
    }
    Ok(rows)
}

fn table<'a, T>(
    rule: Rule,
    rows: &'a [usize],
    width: usize,
    has: [bool; STATES],
    outs: &[Raw<'a>],
    grad: &Raw<'a>,
) -> Table<'a, T> {
    let mut outs = outs.iter();
    // SAFETY: `step_rows` gave dense operands of this type, locked, and `check_apart` found them apart.
    let mut next = |has: bool| unsafe { if has { outs.next().map(|x| slice_mut::<T>(x)) } else { None } };
    let param = next(true).unwrap_or_default();
    let states = has.map(next);
    // SAFETY: as above; nobody writes to the gradient.
    Table { rule, rows, width, param, grad: unsafe { slice(grad) }, states }
}

/// One step of [`Adafactor`], in place and outside of autograd. The variance is one tensor of the parameter's size, or for
/// matrices (of the last two dimensions) a row and a column.
///
/// # Errors
/// `Runtime` unless all are floating-point tensors that fit, apart in memory.
pub fn adafactor(rule: &Adafactor, param: &Tensor, grad: &Tensor, variance: &[&Tensor]) -> Result<()> {
    ensure!(param.is_floating_point(), "optimizer steps take floating-point tensors, got {}", param.dtype());
    let (n, sizes) = (param.numel(), param.sizes());
    let [height, width] = match &sizes[..] {
        [.., height, width] => [*height as usize, *width as usize],
        _ => [1, n],
    };
    let fits = match variance {
        [full] => full.numel() == n,
        [row, column] => n == 0 || row.numel() == n / width && column.numel() == n / height,
        _ => false,
    };
    ensure!(
        fits && grad.sizes() == sizes,
        "expected gradient and states for a parameter of sizes {:?}",
        &sizes[..]
    );
    let dtype = precision(param);
    let targets: Vec<&Tensor> = [param].into_iter().chain(variance.iter().copied()).collect();
    let outs: Vec<Tensor> = targets.iter().map(|t| dense(t, dtype)).collect::<Result<_>>()?;
    let out_views: Vec<View> = outs.iter().map(Tensor::raw).collect();
    let mut grad = dense(grad, dtype)?;
    if check_apart(&out_views, &[grad.raw()]).is_err() {
        grad = grad.clone_tensor()?;
        check_apart(&out_views, &[grad.raw()])?;
    }
    access_lists(&out_views.iter().collect::<Vec<_>>(), &[&grad.raw()], |outs, ins| {
        // SAFETY: dense operands of this type, locked, and `check_apart` found them apart.
        unsafe {
            match dtype {
                DType::F64 => {
                    rule.step_f64(slice_mut(&outs[0]), slice(&ins[0]), moments(&outs[1..], height, width))
                }
                _ => rule.step_f32(slice_mut(&outs[0]), slice(&ins[0]), moments(&outs[1..], height, width)),
            }
        }
    });
    put_back(targets.iter().copied(), &outs)?;
    targets.into_iter().for_each(Tensor::bump_version);
    Ok(())
}

/// The second moments that Adafactor keeps.
///
/// # Safety
/// As [`slice_mut`] of each.
unsafe fn moments<'a, T>(states: &[Raw<'a>], height: usize, width: usize) -> Variance<'a, T> {
    // SAFETY: the caller's promise.
    unsafe {
        match states {
            [full] => Variance::Full(slice_mut(full)),
            [row, column, ..] => {
                Variance::Factored { row: slice_mut(row), column: slice_mut(column), width, height }
            }
            [] => Variance::Full(&mut []),
        }
    }
}

/// `y <- a x + y`, outside of autograd, and the dot product of the result with `z`, in one pass.
///
/// # Errors
/// `Runtime` unless all are floating-point vectors of one size.
pub fn axpy_dot(y: &Tensor, a: f64, x: &Tensor, z: &Tensor) -> Result<f64> {
    ensure!(y.is_floating_point(), "optimizer steps take floating-point tensors, got {}", y.dtype());
    ensure!(x.sizes() == y.sizes() && z.sizes() == y.sizes(), "expected vectors of one size");
    let dtype = precision(y);
    let (out, x, z) = (dense(y, dtype)?, dense(x, dtype)?, dense(z, dtype)?);
    let views = (out.raw(), x.raw(), z.raw());
    check_apart(from_ref(&views.0), &[x.raw(), z.raw()])?;
    // SAFETY: dense operands of this type, locked, and `check_apart` found them apart.
    let dot = access([&views.0], [&views.1, &views.2], |[y], [x, z]| unsafe {
        match dtype {
            DType::F64 => kernels::axpy_dot_f64(a, slice(&x), slice_mut(&y), slice(&z)),
            _ => kernels::axpy_dot_f32(a, slice(&x), slice_mut(&y), slice(&z)),
        }
    });
    put_back([y], [&out])?;
    y.bump_version();
    Ok(dot)
}

/// Multiplies gradients of floating point by `factor`; whether they were finite before. The door counts versions.
pub(crate) fn unscale(grads: &[Tensor], factor: f32) -> Result<bool> {
    let outs: Vec<Tensor> = grads.iter().map(|g| dense(g, g.dtype())).collect::<Result<_>>()?;
    let views: Vec<View> = outs.iter().map(Tensor::raw).collect();
    check_apart(&views, &[])?;
    let strange = access_lists(&views.iter().collect::<Vec<_>>(), &[], |outs, _| {
        // SAFETY: dense operands of their types, locked, and `check_apart` found them apart.
        let tensors = outs.iter().zip(grads).map(|(x, t)| unsafe { floats(x, t.dtype()) }).collect();
        !kernels::unscale(tensors, factor)
    });
    put_back(grads, &outs)?;
    Ok(!strange)
}

/// The elements of one operand of floating point, to be written.
///
/// # Safety
/// As [`slice_mut`].
unsafe fn floats<'a>(x: &Raw<'a>, dtype: DType) -> Floats<'a> {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::F16 => Floats::F16(slice_mut(x)),
            DType::BF16 => Floats::BF16(slice_mut(x)),
            DType::F64 => Floats::F64(slice_mut(x)),
            _ => Floats::F32(slice_mut(x)),
        }
    }
}

/// In which type a parameter is updated.
fn precision(param: &Tensor) -> DType {
    if param.dtype() == DType::F64 { DType::F64 } else { DType::F32 }
}

/// The tensor as a contiguous one of that dtype; itself, if it is one.
fn dense(t: &Tensor, dtype: DType) -> Result<Tensor> {
    if t.dtype() == dtype && t.is_contiguous() {
        Ok(t.clone())
    } else {
        copy::contiguous_copy(&t.to_dtype(dtype)?)
    }
}

/// Copies results to where they belong, unless they are there.
fn put_back<'a>(
    targets: impl IntoIterator<Item = &'a Tensor>,
    results: impl IntoIterator<Item = &'a Tensor>,
) -> Result<()> {
    let mut pairs = targets.into_iter().zip(results).filter(|(target, result)| !target.same(result));
    pairs.try_for_each(|(target, result)| copy::copy_into(target, result))
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
