//! The traversal: nodes run in the order of their sequence numbers, latest first, each once all that feeds it has run.
//!
//! Nothing here recurses, so a graph may be as deep as memory allows.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::node::{Gradients, Node};
use super::{Edge, record};
use crate::modes::set_grad_enabled;
use crate::{C64, DType, Result, Tensor, bail, ensure};

/// How [`grad`] treats the graph.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradOptions {
    /// Records the backward pass, so that its results can be differentiated.
    pub create_graph: bool,
    /// Keeps what the graph saved, so that it can be run again; defaults to `create_graph`.
    pub retain_graph: Option<bool>,
    /// Gives `None` for inputs that the outputs do not depend on, instead of an error.
    pub allow_unused: bool,
}

/// Accumulates gradients of `outputs` into the leaves that they depend on, as `torch.autograd.backward`.
///
/// # Errors
/// `Runtime` when an output needs a gradient given and has none, when shapes differ, when the graph was freed, and
/// whatever a gradient formula reports.
pub fn backward(
    outputs: &[Tensor],
    gradients: &[Option<Tensor>],
    retain_graph: bool,
    create_graph: bool,
) -> Result<()> {
    let roots = roots(outputs, gradients)?;
    run(roots, retain_graph || create_graph, create_graph, None).map(|_| ())
}

/// Gradients of `outputs` with respect to `inputs`, as `torch.autograd.grad`.
///
/// # Errors
/// As [`backward`], and `Runtime` when an input is not part of the graph (unless `allow_unused`).
pub fn grad(
    outputs: &[Tensor],
    inputs: &[Tensor],
    gradients: &[Option<Tensor>],
    options: GradOptions,
) -> Result<Vec<Option<Tensor>>> {
    let mut edges = Vec::with_capacity(inputs.len());
    for t in inputs {
        match t.gradient_edge() {
            Some(edge) => edges.push(edge),
            None => bail!("One of the differentiated Tensors does not require grad"),
        }
    }
    let roots = roots(outputs, gradients)?;
    let keep = options.retain_graph.unwrap_or(options.create_graph);
    let found = run(roots, keep, options.create_graph, Some(&edges))?;
    if !options.allow_unused && found.iter().any(Option::is_none) {
        bail!(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior."
        );
    }
    Ok(found)
}

/// The edges to start from with their gradients.
fn roots(outputs: &[Tensor], gradients: &[Option<Tensor>]) -> Result<Vec<(Edge, Tensor)>> {
    ensure!(
        gradients.len() == outputs.len(),
        "got {} tensors and {} gradients",
        outputs.len(),
        gradients.len()
    );
    let mut roots = Vec::with_capacity(outputs.len());
    for (i, (t, g)) in outputs.iter().zip(gradients).enumerate() {
        let Some(edge) = t.gradient_edge() else {
            bail!("element {i} of tensors does not require grad and does not have a grad_fn");
        };
        let g = match g {
            Some(g) => checked_root(g, t, i)?,
            None if t.numel() != 1 => bail!("grad can be implicitly created only for scalar outputs"),
            None if t.is_complex() => {
                bail!(
                    "grad can be implicitly created only for real scalar outputs but got torch.{}",
                    t.dtype().name()
                )
            }
            None => crate::copy::ones_like(t)?,
        };
        roots.push((edge, g));
    }
    Ok(roots)
}

fn checked_root(g: &Tensor, t: &Tensor, i: usize) -> Result<Tensor> {
    if g.sizes() != t.sizes() {
        bail!(
            "Mismatch in shape: grad_output[{i}] has a shape of torch.Size({:?}) and output[{i}] has a shape of torch.Size({:?}).",
            g.sizes().as_slice(),
            t.sizes().as_slice()
        );
    }
    if g.is_complex() != t.is_complex() {
        bail!(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: grad_output[{i}] has a dtype of {} and output[{i}] has a dtype of {}.",
            g.dtype(),
            t.dtype()
        );
    }
    if g.dtype() == t.dtype() { Ok(g.clone()) } else { g.to_dtype(t.dtype()) }
}

/// Hashes a node's address: the low bits are the same for all.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only addresses are hashed")
    }
    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

type Address = usize;
type Map<V> = HashMap<Address, V, BuildHasherDefault<AddressHasher>>;

fn address(node: &Arc<Node>) -> Address {
    Arc::as_ptr(node) as usize
}

/// A node that is ready, ordered by sequence number.
struct Ready(Arc<Node>);

impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        self.0.sequence == other.0.sequence
    }
}
impl Eq for Ready {}
impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ready {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.sequence.cmp(&other.0.sequence)
    }
}

/// What one run knows of a node.
#[derive(Default)]
struct State {
    /// Edges from nodes of this run that have not run yet.
    waiting: usize,
    /// The gradients that have arrived.
    grads: Gradients,
}

struct Run<'a> {
    states: Map<State>,
    ready: BinaryHeap<Ready>,
    /// Of `grad`: the edges whose gradients are wanted, and the nodes that lead to one.
    wanted: Option<&'a [Edge]>,
    useful: HashSet<Address, BuildHasherDefault<AddressHasher>>,
    found: Vec<Option<Tensor>>,
    keep_graph: bool,
}

fn run(
    roots: Vec<(Edge, Tensor)>,
    keep_graph: bool,
    create_graph: bool,
    wanted: Option<&[Edge]>,
) -> Result<Vec<Option<Tensor>>> {
    let _guard = set_grad_enabled(create_graph);
    let mut run = Run {
        states: Map::default(),
        ready: BinaryHeap::new(),
        wanted,
        useful: HashSet::default(),
        found: vec![None; wanted.map_or(0, <[Edge]>::len)],
        keep_graph,
    };
    run.count(&roots);
    for (edge, g) in roots {
        run.deliver(&edge, g, false)?;
        if run.states.get(&address(&edge.node)).is_some_and(|s| s.waiting == 0) {
            run.push_once(edge.node);
        }
    }
    while let Some(Ready(node)) = run.ready.pop() {
        run.step(&node)?;
    }
    Ok(run.found)
}

impl Run<'_> {
    /// Counts for each node the edges that lead to it, and with `wanted` finds the nodes that lead to a wanted one.
    fn count(&mut self, roots: &[(Edge, Tensor)]) {
        let mut order: Vec<Arc<Node>> = Vec::new();
        let mut stack: Vec<Arc<Node>> = roots.iter().map(|(e, _)| e.node.clone()).collect();
        while let Some(node) = stack.pop() {
            if !self.useful.insert(address(&node)) {
                continue;
            }
            for edge in node.edges.iter().flatten() {
                self.states.entry(address(&edge.node)).or_default().waiting += 1;
                stack.push(edge.node.clone());
            }
            self.states.entry(address(&node)).or_default();
            order.push(node);
        }
        if let Some(wanted) = self.wanted {
            self.keep_useful(wanted, order);
        }
    }

    /// Nodes were found parents first; sequence numbers of inputs are smaller, so ascending order meets inputs first.
    fn keep_useful(&mut self, wanted: &[Edge], mut order: Vec<Arc<Node>>) {
        self.useful.clear();
        let targets: HashSet<Address> = wanted.iter().map(|e| address(&e.node)).collect();
        // Accumulators have the largest number but no inputs; they come first.
        order.sort_by_key(|n| if n.sequence == u64::MAX { 0 } else { n.sequence + 1 });
        for node in order {
            let leads = node.edges.iter().flatten().any(|e| self.useful.contains(&address(&e.node)));
            if leads || targets.contains(&address(&node)) {
                self.useful.insert(address(&node));
            }
        }
    }

    fn push_once(&mut self, node: Arc<Node>) {
        if !self.ready.iter().any(|r| Arc::ptr_eq(&r.0, &node)) {
            self.ready.push(Ready(node));
        }
    }

    /// Adds a gradient to what has arrived at an edge; `count` takes it off the number that the node waits for.
    fn deliver(&mut self, edge: &Edge, g: Tensor, count: bool) -> Result<()> {
        let state = self.states.entry(address(&edge.node)).or_default();
        if count {
            state.waiting -= 1;
        }
        let n = edge.node.outputs.len().max(edge.index + 1);
        if state.grads.len() < n {
            state.grads.resize(n, None);
        }
        let slot = &mut state.grads[edge.index];
        *slot = Some(match slot.take() {
            None => g,
            Some(sum)
                if !crate::modes::is_grad_enabled()
                    && sum.is_unique()
                    && !sum.is_sparse()
                    && sum.sizes() == g.sizes()
                    && sum.dtype() == g.dtype()
                    && sum.layout().is_non_overlapping_and_dense() =>
            {
                sum.add_(&g)?;
                sum
            }
            Some(sum) => sum_of(&sum, &g)?,
        });
        Ok(())
    }

    fn skip(&mut self, edge: &Edge) {
        if let Some(state) = self.states.get_mut(&address(&edge.node)) {
            state.waiting -= 1;
        }
    }

    fn step(&mut self, node: &Arc<Node>) -> Result<()> {
        let mut grads =
            self.states.get_mut(&address(node)).map(|s| std::mem::take(&mut s.grads)).unwrap_or_default();
        grads.resize(node.outputs.len().max(grads.len()), None);
        for (g, meta) in grads.iter_mut().zip(&node.outputs) {
            if let Some(t) = g.take() {
                *g = Some(record::reduce_to(t, meta)?);
            }
        }
        node.hooks().run(&mut grads)?;
        let results =
            if self.capture(node, &grads) { self.apply(node, &mut grads)? } else { Gradients::new() };
        for (i, edge) in node.edges.iter().enumerate() {
            let Some(edge) = edge else { continue };
            match results.get(i).cloned().flatten() {
                Some(g) => self.deliver(edge, g, true)?,
                None => self.skip(edge),
            }
            if self.states.get(&address(&edge.node)).is_some_and(|s| s.waiting == 0) {
                self.ready.push(Ready(edge.node.clone()));
            }
        }
        Ok(())
    }

    /// Notes gradients that were asked for; whether the node must run.
    fn capture(&mut self, node: &Arc<Node>, grads: &Gradients) -> bool {
        let Some(wanted) = self.wanted else { return grads.iter().any(Option::is_some) };
        for (edge, found) in wanted.iter().zip(&mut self.found) {
            if Arc::ptr_eq(&edge.node, node) {
                found.clone_from(&grads[edge.index]);
            }
        }
        let leads = node.edges.iter().flatten().any(|e| self.useful.contains(&address(&e.node)));
        leads && grads.iter().any(Option::is_some)
    }

    fn apply(&self, node: &Arc<Node>, grads: &mut Gradients) -> Result<Gradients> {
        let useful = |e: &Option<Edge>| {
            e.as_ref().is_some_and(|e| self.wanted.is_none() || self.useful.contains(&address(&e.node)))
        };
        let needs: smallvec::SmallVec<[bool; 4]> = node.edges.iter().map(useful).collect();
        let results = node.backward.apply(node, grads, &needs).map_err(|e| explain(e, node))?;
        grads.clear();
        if crate::modes::is_anomaly_enabled() {
            check_nan(node, &results)?;
        }
        if !self.keep_graph {
            node.backward.release();
        }
        Ok(results)
    }
}

/// In anomaly mode, adds where the forward call was made.
#[cold]
fn explain(e: crate::Error, node: &Node) -> crate::Error {
    match &node.forward_trace {
        Some(trace) => e.context(format!(
            "Error detected in {}. Traceback of forward call that caused the error:\n{trace}",
            node.name()
        )),
        None => e,
    }
}

fn check_nan(node: &Node, results: &Gradients) -> Result<()> {
    for (i, g) in results.iter().enumerate() {
        let Some(g) = g else { continue };
        if has_nan(&g.detach())? {
            let e = crate::Error::runtime(format!(
                "Function '{}' returned nan values in its {i}th output.",
                node.name()
            ));
            return Err(explain(e, node));
        }
    }
    Ok(())
}

fn has_nan(g: &Tensor) -> Result<bool> {
    Ok(match g.dtype() {
        d if d.is_complex() => g.to_dtype(DType::Complex128)?.to_vec::<C64>()?.iter().any(|z| z.is_nan()),
        d if d.is_floating_point() => g.to_dtype(DType::F64)?.to_vec::<f64>()?.iter().any(|x| x.is_nan()),
        _ => false,
    })
}

/// The sum of two gradients, of which each may be sparse.
pub(super) fn sum_of(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.is_sparse() && !b.is_sparse() { b.add(a) } else { a.add(b) }
}

/// The gradient to keep in `.grad`: itself if nobody else holds it, else a copy.
pub(super) fn owned(g: &Tensor) -> Result<Tensor> {
    if g.is_sparse() {
        return g.detach().clone_tensor();
    }
    if g.is_unique() && g.layout().is_non_overlapping_and_dense() {
        return Ok(g.detach());
    }
    crate::copy::duplicate(g)
}
