//! Einstein sums: every operand is brought to the same dimensions, then pairs are multiplied as batches of matrices.

use cresset_macros::op;

use super::products::summed;
use super::sum_dim;
use super::views::diagonal;
use crate::layout::Dims;
use crate::op::OpDef;
use crate::{Result, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![einsum];

/// Sums of products of the operands' elements, as the equation says.
#[op("einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor", composite)]
mod einsum {
    fn kernel(equation: &str, tensors: &[Tensor], path: Option<&[i64]>) -> Result<Tensor> {
        if tensors.is_empty() {
            bail!("einsum(): must provide at least one operand");
        }
        let equation = Equation::parse(equation, tensors)?;
        let mut operands = Vec::with_capacity(tensors.len());
        for (t, subscripts) in tensors.iter().zip(&equation.inputs) {
            operands.push(equation.aligned(t, subscripts)?);
        }
        check_sizes(&equation, &operands)?;
        contract(&equation, operands, path)
    }
}

/// A position in a subscript list.
#[derive(Clone, Copy, PartialEq)]
enum Subscript {
    Letter(u8),
    Ellipsis,
}

struct Equation {
    inputs: Vec<Vec<Subscript>>,
    /// Most dimensions that an ellipsis stands for.
    ellipsis: usize,
    /// The dimension of each letter once operands are aligned.
    place: [Option<usize>; 128],
    /// Where the ellipsis starts once operands are aligned.
    ellipsis_at: usize,
    /// Dimensions of the result, and of the aligned operands.
    kept: usize,
    total: usize,
}

impl Equation {
    fn parse(text: &str, tensors: &[Tensor]) -> Result<Equation> {
        let (left, right) = match text.find("->") {
            Some(at) => (&text[..at], Some(&text[at + 2..])),
            None => (text, None),
        };
        let inputs = parse_inputs(left, tensors.len())?;
        let mut equation =
            Equation { inputs, ellipsis: 0, place: [None; 128], ellipsis_at: 0, kept: 0, total: 0 };
        for (i, (t, list)) in tensors.iter().zip(&equation.inputs).enumerate() {
            let letters = list.iter().filter(|s| **s != Subscript::Ellipsis).count();
            let has_ellipsis = letters < list.len();
            if if has_ellipsis { letters > t.dim() } else { letters != t.dim() } {
                let tail = if has_ellipsis {
                    "is more than the number of dimensions"
                } else {
                    "does not match the number of dimensions"
                };
                let reason = if has_ellipsis { "" } else { " and no ellipsis was given" };
                bail!(
                    "einsum(): the number of subscripts in the equation ({letters}) {tail} ({}) for operand {i}{reason}",
                    t.dim()
                );
            }
            if has_ellipsis {
                equation.ellipsis = equation.ellipsis.max(t.dim() - letters);
            }
        }
        let output = match right {
            Some(right) => equation.parse_output(right, text.len() - right.len())?,
            None => equation.implicit_output(),
        };
        equation.arrange(&output);
        Ok(equation)
    }

    fn uses(&self, letter: u8) -> usize {
        self.inputs.iter().flatten().filter(|s| **s == Subscript::Letter(letter)).count()
    }

    fn parse_output(&self, text: &str, start: usize) -> Result<Vec<Subscript>> {
        let mut output = Vec::new();
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                b' ' => {}
                b'.' => {
                    if output.contains(&Subscript::Ellipsis) {
                        bail!("einsum(): found '.' for output but an ellipsis (...) was already found");
                    }
                    if !text[i..].starts_with("...") {
                        bail!("einsum(): found '.' for output that is not part of any ellipsis (...)");
                    }
                    output.push(Subscript::Ellipsis);
                    i += 2;
                }
                c if c.is_ascii_alphabetic() => {
                    let letter = c as char;
                    if output.contains(&Subscript::Letter(c)) {
                        bail!("einsum(): output subscript {letter} appears more than once in the output");
                    }
                    if self.uses(c) == 0 {
                        bail!(
                            "einsum(): output subscript {letter} does not appear in the equation for any input operand"
                        );
                    }
                    output.push(Subscript::Letter(c));
                }
                _ => return Err(invalid(start + i)),
            }
            i += 1;
        }
        Ok(output)
    }

    /// The ellipsis, then the letters that occur once, upper case first.
    fn implicit_output(&self) -> Vec<Subscript> {
        let once = (b'A'..=b'z').filter(|c| c.is_ascii_alphabetic() && self.uses(*c) == 1);
        std::iter::once(Subscript::Ellipsis).chain(once.map(Subscript::Letter)).collect()
    }

    /// Gives each letter its dimension: those of the output in its order, then those that are summed.
    fn arrange(&mut self, output: &[Subscript]) {
        let mut next = 0;
        for s in output {
            match s {
                Subscript::Letter(c) => {
                    self.place[*c as usize] = Some(next);
                    next += 1;
                }
                Subscript::Ellipsis => {
                    self.ellipsis_at = next;
                    next += self.ellipsis;
                }
            }
        }
        self.kept = next;
        if !output.contains(&Subscript::Ellipsis) {
            self.ellipsis_at = next;
            next += self.ellipsis;
        }
        for c in (b'A'..=b'z').filter(|c| c.is_ascii_alphabetic()) {
            if self.uses(c) > 0 && self.place[c as usize].is_none() {
                self.place[c as usize] = Some(next);
                next += 1;
            }
        }
        self.total = next;
    }

    /// The operand with all dimensions of the equation, those that it lacks of size 1.
    fn aligned(&self, t: &Tensor, subscripts: &[Subscript]) -> Result<Tensor> {
        let mut t = t.clone();
        let letters = subscripts.iter().filter(|s| **s != Subscript::Ellipsis).count();
        let covered = t.dim() - letters;
        // The dimension of `t` for each dimension of the equation.
        let mut source: Vec<Option<usize>> = vec![None; self.total];
        let mut dim = 0;
        for s in subscripts {
            match s {
                Subscript::Ellipsis => {
                    for e in 0..covered {
                        source[self.ellipsis_at + self.ellipsis - covered + e] = Some(dim);
                        dim += 1;
                    }
                }
                Subscript::Letter(c) => {
                    let place = self.place[*c as usize].unwrap_or(0);
                    if let Some(first) = source[place] {
                        t = repeated(&t, first, dim, *c, self.index_of(subscripts))?;
                    } else {
                        source[place] = Some(dim);
                        dim += 1;
                    }
                }
            }
        }
        let order: Vec<i64> = source.iter().flatten().map(|d| *d as i64).collect();
        let mut t = t.permute(order)?;
        for (d, _) in source.iter().enumerate().filter(|(_, s)| s.is_none()) {
            t = t.unsqueeze(d as i64)?;
        }
        Ok(t)
    }

    fn index_of(&self, subscripts: &[Subscript]) -> usize {
        self.inputs.iter().position(|l| std::ptr::eq(l.as_slice(), subscripts)).unwrap_or(0)
    }
}

/// The diagonal of two dimensions with the same letter, in the place of the first.
fn repeated(t: &Tensor, first: usize, second: usize, letter: u8, operand: usize) -> Result<Tensor> {
    let sizes = t.sizes();
    if sizes[first] != sizes[second] {
        let (letter, a, b) = (letter as char, sizes[second], sizes[first]);
        bail!(
            "einsum(): subscript {letter} is repeated for operand {operand} but the sizes don't match, {a} != {b}"
        );
    }
    diagonal::call(t, 0, first as i64, second as i64)?.movedim(-1, first as i64)
}

fn invalid(at: usize) -> crate::Error {
    crate::Error::runtime(format!(
        "einsum(): invalid subscript given at index {at} in the equation string, subscripts must be in [a-zA-Z]"
    ))
}

fn parse_inputs(text: &str, operands: usize) -> Result<Vec<Vec<Subscript>>> {
    let mut inputs = vec![Vec::new()];
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let operand = inputs.len() - 1;
        match bytes[i] {
            b' ' => {}
            b'.' => {
                if inputs[operand].contains(&Subscript::Ellipsis) {
                    bail!(
                        "einsum(): found '.' for operand {operand} for which an ellipsis was already found"
                    );
                }
                if !text[i..].starts_with("...") {
                    bail!("einsum(): found '.' for operand {operand} that is not part of any ellipsis");
                }
                inputs[operand].push(Subscript::Ellipsis);
                i += 2;
            }
            b',' => {
                inputs.push(Vec::new());
                if inputs.len() > operands {
                    bail!("einsum(): fewer operands were provided than specified in the equation");
                }
            }
            c if c.is_ascii_alphabetic() => inputs[operand].push(Subscript::Letter(c)),
            _ => return Err(invalid(i)),
        }
        i += 1;
    }
    if inputs.len() < operands {
        bail!("einsum(): more operands were provided than specified in the equation");
    }
    Ok(inputs)
}

/// Checks that the aligned operands broadcast.
fn check_sizes(equation: &Equation, operands: &[Tensor]) -> Result<()> {
    for d in 0..equation.total {
        let mut seen = 1;
        for (i, t) in operands.iter().enumerate() {
            let size = t.sizes()[d];
            if size == 1 || size == seen {
                continue;
            }
            if seen == 1 {
                seen = size;
                continue;
            }
            match (b'A'..=b'z').find(|c| equation.place[*c as usize] == Some(d)) {
                Some(c) => bail!(
                    "einsum(): subscript {} has size {size} for operand {i} which does not broadcast with previously seen size {seen}",
                    c as char
                ),
                None => bail!(
                    "einsum(): dimension {} covered by ellipsis in operand {i}has size {size} which does not broadcast with previously seen ellipsis with size {seen} for the respective dimension",
                    d - equation.ellipsis_at
                ),
            }
        }
    }
    Ok(())
}

/// Multiplies the operands pair by pair, along the path or from left to right.
fn contract(equation: &Equation, mut operands: Vec<Tensor>, path: Option<&[i64]>) -> Result<Tensor> {
    let mut steps = path.map(|p| p.chunks(2));
    // Sums over a single operand promote integers, also where there is one element to sum.
    let single = operands.len() == 1;
    while operands.len() > 1 {
        let (i, j) = match steps.as_mut().and_then(Iterator::next) {
            Some([i, j]) => (*i.min(j) as usize, *i.max(j) as usize),
            _ => (0, 1),
        };
        if i == j || j >= operands.len() {
            bail!("einsum(): invalid contraction path ({i}, {j}) is not a valid pair of operands");
        }
        let right = operands.remove(j);
        let left = operands.remove(i);
        let elsewhere = |d: usize| operands.iter().any(|t| t.sizes()[d] != 1);
        let sums: Vec<usize> = (equation.kept..equation.total).filter(|d| !elsewhere(*d)).collect();
        let product = multiply(&left, &right, &sums)?;
        if path.is_some() { operands.push(product) } else { operands.insert(0, product) }
    }
    let mut result = operands.remove(0);
    for d in equation.kept..equation.total {
        if single || result.sizes()[d] != 1 {
            result = sum_dim::call(&result, Some(&[d as i64]), true, None)?;
        }
    }
    let sizes = Dims::from_slice(&result.sizes()[..equation.kept]);
    result.reshape(sizes)
}

/// The product of two aligned operands, summed over some dimensions, which stay with size 1.
fn multiply(left: &Tensor, right: &Tensor, sums: &[usize]) -> Result<Tensor> {
    let (mut left, mut right) = (left.clone(), right.clone());
    // What only one of them has can be summed before.
    for d in sums {
        match (left.sizes()[*d], right.sizes()[*d]) {
            (1, n) if n != 1 => right = summed(&right, *d)?,
            (n, 1) if n != 1 => left = summed(&left, *d)?,
            _ => {}
        }
    }
    let (sl, sr) = (left.sizes(), right.sizes());
    let all = 0..sl.len();
    let is_sum = |d: &usize| sums.contains(d);
    let both: Vec<usize> = all.clone().filter(|d| !is_sum(d) && sl[*d] != 1 && sr[*d] != 1).collect();
    let only_left: Vec<usize> = all.clone().filter(|d| !is_sum(d) && sr[*d] == 1).collect();
    let only_right: Vec<usize> = all.filter(|d| !is_sum(d) && sl[*d] == 1 && sr[*d] != 1).collect();
    let product = |sizes: &Dims, dims: &[usize]| dims.iter().map(|d| sizes[*d]).product::<i64>();
    let batch = |t: &Tensor, groups: [&[usize]; 4]| -> Result<Tensor> {
        let sizes = t.sizes();
        let order: Vec<i64> = groups.concat().iter().map(|d| *d as i64).collect();
        let shape = [0, 1, 2].map(|i| product(&sizes, groups[i]));
        t.permute(order)?.reshape(shape)
    };
    let a = batch(&left, [&both, &only_left, sums, &only_right])?;
    let b = batch(&right, [&both, sums, &only_right, &only_left])?;
    let order: Vec<usize> = [both, only_left, only_right, sums.to_vec()].concat();
    let size = |d: usize| {
        if is_sum(&d) {
            1
        } else if sl[d] == 1 {
            sr[d]
        } else {
            sl[d]
        }
    };
    let mut back = vec![0_i64; order.len()];
    order.iter().enumerate().for_each(|(i, d)| back[*d] = i as i64);
    a.bmm(&b)?.reshape(order.iter().map(|d| size(*d)).collect::<Vec<i64>>())?.permute(back)
}
