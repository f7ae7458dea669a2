//! Random arguments: right, nearly right and plainly wrong.

use cresset_core::layout::Layout;
use cresset_core::library::OpRef;
use cresset_core::schema::Ty;
use cresset_core::storage::Storage;
use cresset_core::{C64, DType, Device, MemoryFormat, Scalar, StorageLayout, Tensor, Value};
use cresset_parity::call::Arguments;

pub const DTYPES: [DType; 12] = [
    DType::Bool,
    DType::U8,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::F16,
    DType::BF16,
    DType::F32,
    DType::F64,
    DType::Complex64,
    DType::Complex128,
];
const INTEGERS: [i64; 24] = [
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    -2,
    -3,
    7,
    17,
    64,
    -64,
    1 << 45,
    -(1 << 45),
    1 << 62,
    i64::MAX,
    i64::MIN,
    i64::MAX - 1,
    i64::MIN + 1,
    i64::MAX / 2,
    i32::MAX as i64 * (1 << 20),
    1 << 55,
    12,
];
const FLOATS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    -3.5,
    0.1,
    1e-30,
    1e30,
    1e300,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    65504.0,
    9.3e18,
];
const WORDS: [&str; 18] = [
    "mean", "sum", "none", "ij", "xy", "reflect", "constant", "linear", "trunc", "floor", "fro", "nuc",
    "prod", "amax", "amin", "i,i->", "", "ÿ",
];

/// A generator of random arguments (SplitMix64) that likes to repeat shapes and dtypes within one call.
pub struct Random {
    state: u64,
    sizes: Vec<Vec<i64>>,
    dtype: Option<DType>,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15), sizes: Vec::new(), dtype: None }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// True in that many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Lets later tensors have the shape and dtype of this one.
    pub fn remember(&mut self, t: &Tensor) {
        self.sizes.push(t.sizes().to_vec());
        self.dtype = Some(t.dtype());
    }

    /// An integer, mostly a small one.
    pub fn integer(&mut self) -> i64 {
        if self.chance(75) { self.below(5) as i64 - 1 } else { self.pick(&INTEGERS) }
    }

    /// A number, sometimes an odd one.
    pub fn float(&mut self) -> f64 {
        if self.chance(50) { self.below(9) as f64 / 4.0 - 1.0 } else { self.pick(&FLOATS) }
    }

    fn scalar(&mut self) -> Scalar {
        match self.below(8) {
            0..=2 => self.float().into(),
            3..=5 => self.integer().into(),
            6 => self.chance(50).into(),
            _ => C64::new(self.float(), self.float()).into(),
        }
    }

    fn sizes(&mut self) -> Vec<i64> {
        if !self.sizes.is_empty() && self.chance(60) {
            let i = self.below(self.sizes.len());
            return self.sizes[i].clone();
        }
        let rank = self.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6]);
        let sizes: Vec<i64> = (0..rank).map(|_| self.pick(&[0, 1, 1, 2, 2, 3, 3, 4, 5, 8])).collect();
        self.sizes.push(sizes.clone());
        sizes
    }

    fn elements(&mut self, n: usize, dtype: DType) -> Tensor {
        let wild = self.chance(25);
        if dtype.is_integral_or_bool() {
            let small = |r: &mut Random| r.below(4) as i64;
            let data: Vec<i64> = (0..n).map(|_| if wild { self.integer() } else { small(self) }).collect();
            return Tensor::from_vec(data, [n as i64]).unwrap().to_dtype(dtype).unwrap();
        }
        let small = |r: &mut Random| r.below(4000) as f64 / 1000.0 - 1.0;
        let data: Vec<f64> = (0..n).map(|_| if wild { self.float() } else { small(self) }).collect();
        Tensor::from_vec(data, [n as i64]).unwrap().to_dtype(dtype).unwrap()
    }

    /// Strides, an offset and the number of elements behind them: dense, permuted with gaps, or overlapping.
    fn layout(&mut self, sizes: &[i64]) -> (Layout, usize) {
        let mut layout = Layout::contiguous(sizes);
        match self.below(6) {
            0 => {
                let mut step = 2;
                for (stride, size) in layout.strides.iter_mut().zip(sizes) {
                    *stride = step;
                    step *= (*size).max(1);
                }
                layout.offset = 3;
            }
            1 if !sizes.is_empty() => {
                let d = self.below(sizes.len());
                layout.strides[d] = 0;
            }
            _ => {}
        }
        let behind = layout.end().max(1);
        (layout, behind)
    }

    pub fn tensor(&mut self) -> Tensor {
        let other = if self.chance(50) { DType::F32 } else { self.pick(&DTYPES) };
        let again = self.chance(60);
        let dtype = self.dtype.filter(|_| again).unwrap_or(other);
        self.dtype = Some(dtype);
        let sizes = self.sizes();
        if self.chance(3) {
            return Tensor::empty_of(&sizes, dtype, Device::Meta).unwrap();
        }
        let (layout, behind) = self.layout(&sizes);
        let storage: Storage = self.elements(behind, dtype).storage();
        let t = Tensor::from_storage(storage, layout, dtype).unwrap();
        if dtype.is_differentiable() && self.chance(25) {
            let _ = t.requires_grad_(true);
        }
        t
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Random) -> T) -> Vec<T> {
        let n = self.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 4, 5]);
        (0..n).map(|_| item(self)).collect()
    }

    /// A value of that type.
    pub fn value(&mut self, ty: &Ty) -> Value {
        match ty {
            Ty::Optional(_) if self.chance(40) => Value::None,
            Ty::Optional(inner) => self.value(inner),
            Ty::Tensor if self.chance(4) => self.scalar().into(),
            Ty::Tensor => Value::Tensor(self.tensor()),
            Ty::Int => Value::Int(self.integer()),
            Ty::Float => Value::Float(self.float()),
            Ty::Bool => Value::Bool(self.chance(50)),
            Ty::Complex | Ty::Scalar => self.scalar().into(),
            Ty::Str => Value::Str(self.pick(&WORDS).into()),
            Ty::DType => Value::DType(self.pick(&DTYPES)),
            Ty::Layout => Value::Layout(self.pick(&[StorageLayout::Strided, StorageLayout::SparseCoo])),
            Ty::Device => Value::Device(self.pick(&[Device::Cpu, Device::Cpu, Device::Meta])),
            Ty::MemoryFormat => Value::MemoryFormat(self.memory_format()),
            Ty::Generator => Value::None,
            Ty::List(item, size) => self.list_of(item, *size),
        }
    }

    fn memory_format(&mut self) -> MemoryFormat {
        let name = self.pick(&["contiguous_format", "preserve_format", "channels_last", "channels_last_3d"]);
        MemoryFormat::parse(name).unwrap()
    }

    fn list_of(&mut self, item: &Ty, size: Option<usize>) -> Value {
        match item {
            Ty::Tensor => Value::Tensors(self.list(Random::tensor)),
            Ty::Optional(_) => {
                Value::OptTensors(self.list(|r| if r.chance(30) { None } else { Some(r.tensor()) }))
            }
            Ty::Float => Value::Floats(self.list(Random::float)),
            Ty::Bool => Value::Bools(self.list(|r| r.chance(50))),
            Ty::Scalar => Value::Scalars(self.list(Random::scalar)),
            _ if size.is_some() && self.chance(60) => {
                Value::Ints((0..size.unwrap_or(1)).map(|_| self.integer()).collect())
            }
            _ if !self.sizes.is_empty() && self.chance(30) => Value::Ints(self.sizes()),
            _ => Value::Ints(self.list(Random::integer)),
        }
    }
}

/// A call in words that let it be written down again.
pub fn describe(op: &OpRef, args: &Arguments) -> String {
    let args: Vec<String> = args.iter().map(|(name, value)| format!("{name}={}", tell(value))).collect();
    format!("{}.{}({})", op.name(), op.overload(), args.join(", "))
}

fn tell(value: &Value) -> String {
    match value {
        Value::Tensor(t) => tell_tensor(t),
        Value::Tensors(list) => format!("[{}]", list.iter().map(tell_tensor).collect::<Vec<_>>().join(", ")),
        Value::OptTensors(list) => {
            let tell = |t: &Option<Tensor>| t.as_ref().map_or("None".into(), tell_tensor);
            format!("[{}]", list.iter().map(tell).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

/// Dtype, sizes and strides.
pub fn tell_tensor(t: &Tensor) -> String {
    let grad = if t.requires_grad() { " grad" } else { "" };
    let meta = if t.device() == Device::Meta { " meta" } else { "" };
    format!("{}{:?} strides {:?}{grad}{meta}", t.dtype(), t.sizes(), t.strides())
}
