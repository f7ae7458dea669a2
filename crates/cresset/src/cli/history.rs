//! What a run has measured so far: a row per epoch, the curve of the loss, the last confusion matrix.

use cresset::io::PyValue;
use cresset::{Result, bail};

/// Names of the columns of `metrics.csv`, and of the fields of `metrics.jsonl`.
pub const COLUMNS: [&str; 8] =
    ["epoch", "step", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"];

/// Number of digits.
pub const CLASSES: usize = 10;

/// The measurements of one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// The epoch, from 1.
    pub epoch: f64,
    /// Steps since the start of the run.
    pub step: f64,
    /// The learning rate after the epoch.
    pub lr: f64,
    pub train_loss: f64,
    pub train_accuracy: f64,
    pub test_loss: f64,
    pub test_accuracy: f64,
    /// How long the epoch trained, interruptions not counted.
    pub seconds: f64,
}

impl Row {
    /// The values in the order of [`COLUMNS`].
    pub fn values(&self) -> [f64; 8] {
        let Row { epoch, step, lr, train_loss, train_accuracy, test_loss, test_accuracy, seconds } = *self;
        [epoch, step, lr, train_loss, train_accuracy, test_loss, test_accuracy, seconds]
    }

    fn from_values(values: [f64; 8]) -> Row {
        let [epoch, step, lr, train_loss, train_accuracy, test_loss, test_accuracy, seconds] = values;
        Row { epoch, step, lr, train_loss, train_accuracy, test_loss, test_accuracy, seconds }
    }
}

/// All measurements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub rows: Vec<Row>,
    /// Steps and the mean loss since the previous point.
    pub curve: Vec<(f64, f64)>,
    /// How often a digit (row) was taken for a digit (column) in the last evaluation.
    pub confusion: Vec<i64>,
}

impl History {
    /// The rows as CSV with a header.
    pub fn csv(&self) -> String {
        let line = |row: &Row| row.values().map(|v| v.to_string()).join(",") + "\n";
        COLUMNS.join(",") + "\n" + &self.rows.iter().map(line).collect::<String>()
    }

    /// The rows as JSON objects, one per line.
    pub fn jsonl(&self) -> String {
        let line = |row: &Row| {
            let fields =
                COLUMNS.iter().zip(row.values()).map(|(name, v)| format!("\"{name}\": {}", json_number(v)));
            format!("{{{}}}\n", fields.collect::<Vec<_>>().join(", "))
        };
        self.rows.iter().map(line).collect()
    }

    /// As a part of a checkpoint.
    pub fn to_value(&self) -> PyValue {
        let floats = |list: &[f64]| PyValue::List(list.iter().map(|v| PyValue::Float(*v)).collect());
        PyValue::dict([
            ("epochs", PyValue::List(self.rows.iter().map(|row| floats(&row.values())).collect())),
            ("curve", PyValue::List(self.curve.iter().map(|(step, loss)| floats(&[*step, *loss])).collect())),
            ("confusion", PyValue::List(self.confusion.iter().map(|n| PyValue::Int(*n)).collect())),
        ])
    }

    /// From a part of a checkpoint.
    pub fn from_value(value: &PyValue) -> Result<History> {
        let rows = lists::<8>(value, "epochs")?.into_iter().map(Row::from_values).collect();
        let curve = lists::<2>(value, "curve")?.into_iter().map(|[step, loss]| (step, loss)).collect();
        let counts = items(value, "confusion")?.iter().map(PyValue::as_int).collect::<Option<Vec<_>>>();
        match counts {
            Some(confusion) if [0, CLASSES * CLASSES].contains(&confusion.len()) => {
                Ok(History { rows, curve, confusion })
            }
            _ => bail!("history: expected 'confusion' to be {} counts", CLASSES * CLASSES),
        }
    }
}

/// JSON knows no infinities.
fn json_number(v: f64) -> String {
    if v.is_finite() { v.to_string() } else { "null".into() }
}

fn items<'a>(value: &'a PyValue, key: &str) -> Result<&'a [PyValue]> {
    match value.get(key).and_then(PyValue::items) {
        Some(items) => Ok(items),
        None => bail!("history: expected a list '{key}'"),
    }
}

fn lists<const N: usize>(value: &PyValue, key: &str) -> Result<Vec<[f64; N]>> {
    let row = |item: &PyValue| {
        let numbers = item.items()?.iter().map(PyValue::as_float).collect::<Option<Vec<f64>>>()?;
        <[f64; N]>::try_from(numbers).ok()
    };
    match items(value, key)?.iter().map(row).collect() {
        Some(rows) => Ok(rows),
        None => bail!("history: expected '{key}' to be lists of {N} numbers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_survives_its_checkpoint() {
        let row =
            Row { epoch: 1.0, step: 938.0, lr: 1.5e-3, train_loss: 0.25, seconds: 7.5, ..Row::default() };
        let history = History { rows: vec![row], curve: vec![(20.0, 0.9)], confusion: vec![1; 100] };
        assert_eq!(History::from_value(&history.to_value()).unwrap(), history);
        let empty = History::default();
        assert_eq!(History::from_value(&empty.to_value()).unwrap(), empty);
    }

    #[test]
    fn metrics_are_csv_and_json_lines() {
        let row = Row { epoch: 1.0, step: 2.0, lr: 0.5, test_loss: f64::NAN, ..Row::default() };
        let history = History { rows: vec![row], ..History::default() };
        assert_eq!(history.csv().lines().nth(1), Some("1,2,0.5,0,0,NaN,0,0"));
        assert!(history.jsonl().starts_with("{\"epoch\": 1, \"step\": 2, \"lr\": 0.5, "));
        assert!(history.jsonl().contains("\"test_loss\": null"));
    }
}
