//! Replays `data.json`: the order in which samplers, loaders and splits visit the numbers `0..n`.

use std::sync::Arc;

use cresset_core::Tensor;
use cresset_core::ops::randint;
use cresset_core::random::Generator;
use cresset_data::{
    BatchSampler, DataLoader, Dataset, DistributedSampler, RandomSampler, Sampler, SequentialSampler,
    SubsetRandomSampler, WeightedRandomSampler, random_split_fractions_with, random_split_with,
};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::kit::{Kit, Reason};
use crate::ops::with_seed;
use crate::report::{FileReport, guarded};

#[derive(Debug, Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    id: u64,
    kind: String,
    #[serde(default)]
    manual_seed: Option<u64>,
    #[serde(default)]
    epochs: usize,
    #[serde(flatten)]
    options: Json,
    expected: Expected,
}

#[derive(Debug, Deserialize)]
struct Expected {
    order: Json,
    #[serde(default)]
    len: Option<usize>,
    #[serde(default)]
    next_randint: Option<Vec<i64>>,
}

/// Replays the file.
pub fn run(kit: &Kit, file: &str) -> FileReport {
    let cases = match kit.json::<Cases>(&format!("{file}.json")) {
        Ok(cases) => cases.cases,
        Err(reason) => return FileReport::broken(reason),
    };
    let mut report = FileReport::default();
    for case in &cases {
        let name = case.options.get("sampler").and_then(Json::as_str).unwrap_or(&case.kind);
        // Orders without a seed of their own draw nothing from the default generator that matters.
        let outcome = guarded(|| with_seed(Some(case.manual_seed.unwrap_or(0)), || replay(case)));
        report.add(name.to_string(), "", format!("c{}", case.id), outcome);
    }
    report
}

fn text(e: cresset_core::Error) -> Reason {
    format!("{e:?}")
}

fn replay(case: &Case) -> Result<(), Reason> {
    let options = Options(&case.options);
    let (order, len) = match case.kind.as_str() {
        "sampler" => visits(options, case.epochs)?,
        "DataLoader" => epochs(options, case.epochs)?,
        "random_split" => (parts(options)?, None),
        other => return Err(format!("no {other} here")),
    };
    if order != case.expected.order {
        return Err(format!("visited {order}, expected {}", case.expected.order));
    }
    if case.expected.len.is_some() && len != case.expected.len {
        return Err(format!("length {len:?}, expected {:?}", case.expected.len));
    }
    if let Some(wanted) = &case.expected.next_randint {
        let drawn = randint(1_i64 << 31, [3]).and_then(|t| t.to_vec::<i64>()).map_err(text)?;
        if drawn != *wanted {
            return Err(format!("then drew {drawn:?}, expected {wanted:?}"));
        }
    }
    Ok(())
}

/// What a case says besides its kind.
#[derive(Clone, Copy)]
struct Options<'a>(&'a Json);

impl Options<'_> {
    fn count(&self, key: &str) -> Option<usize> {
        self.0.get(key)?.as_u64().map(|n| n as usize)
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.0.get(key).and_then(Json::as_bool).unwrap_or(default)
    }

    fn list<T>(&self, key: &str, member: impl Fn(&Json) -> Option<T>) -> Vec<T> {
        self.0.get(key).and_then(Json::as_array).into_iter().flatten().filter_map(member).collect()
    }

    fn generator(&self) -> Option<Generator> {
        self.count("generator_seed").map(|seed| Generator::new(seed as u64))
    }

    fn n(&self) -> usize {
        self.count("n").unwrap_or(0)
    }
}

/// The numbers of one visit of a sampler.
fn visit<T: Into<Json>>(sampler: &dyn Sampler<T>) -> Result<Json, Reason> {
    let visited: Vec<T> = sampler.visit().collect::<cresset_core::Result<_>>().map_err(text)?;
    Ok(visited.into_iter().map(Into::into).collect())
}

fn visits(options: Options<'_>, epochs: usize) -> Result<(Json, Option<usize>), Reason> {
    if let Some(of) = options.0.get("of") {
        let (size, drop_last) = (options.count("batch_size").unwrap_or(1), options.flag("drop_last", false));
        let batches = BatchSampler::new(sampler(Options(of))?, size, drop_last).map_err(text)?;
        let order = (0..epochs).map(|_| visit::<Vec<usize>>(&batches)).collect::<Result<_, _>>()?;
        return Ok((order, Some(Sampler::<Vec<usize>>::len(&batches))));
    }
    if options.0.get("sampler").and_then(Json::as_str) == Some("DistributedSampler") {
        let sampler = distributed(options)?;
        let epoch = |epoch: usize| {
            sampler.set_epoch(epoch as u64);
            visit::<usize>(&sampler)
        };
        return Ok(((0..epochs).map(epoch).collect::<Result<_, _>>()?, Some(sampler.len())));
    }
    let sampler = sampler(options)?;
    let order = (0..epochs).map(|_| visit::<usize>(&*sampler)).collect::<Result<_, _>>()?;
    Ok((order, Some(sampler.len())))
}

fn distributed(o: Options<'_>) -> Result<DistributedSampler, Reason> {
    let (replicas, rank) = (o.count("num_replicas").unwrap_or(1), o.count("rank").unwrap_or(0));
    let seed = o.count("seed").unwrap_or(0) as u64;
    DistributedSampler::with(o.n(), replicas, rank, |d| {
        d.shuffle(o.flag("shuffle", true)).seed(seed).drop_last(o.flag("drop_last", false))
    })
    .map_err(text)
}

fn sampler(o: Options<'_>) -> Result<Box<dyn Sampler>, Reason> {
    let draws = o.count("num_samples");
    Ok(match o.0.get("sampler").and_then(Json::as_str).unwrap_or_default() {
        "SequentialSampler" => Box::new(SequentialSampler::new(o.n())),
        "RandomSampler" => {
            let sampler = RandomSampler::with(o.n(), |r| {
                r.replacement(o.flag("replacement", false)).num_samples(draws).generator(o.generator())
            });
            Box::new(sampler.map_err(text)?)
        }
        "SubsetRandomSampler" => {
            let indices = o.list("indices", |i| i.as_u64().map(|i| i as usize));
            Box::new(SubsetRandomSampler::with(indices, |s| s.generator(o.generator())))
        }
        "WeightedRandomSampler" => {
            let sampler =
                WeightedRandomSampler::with(o.list("weights", Json::as_f64), draws.unwrap_or(0), |w| {
                    w.replacement(o.flag("replacement", true)).generator(o.generator())
                });
            Box::new(sampler.map_err(text)?)
        }
        "DistributedSampler" => Box::new(distributed(o)?),
        other => return Err(format!("no sampler {other} here")),
    })
}

/// Item `i` is `i`.
struct Numbers(usize);

impl Dataset for Numbers {
    type Sample = i64;

    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> cresset_core::Result<i64> {
        Ok(index as i64)
    }
}

fn epochs(o: Options<'_>, epochs: usize) -> Result<(Json, Option<usize>), Reason> {
    let loader = DataLoader::<Tensor>::with(Numbers(o.n()), |options| {
        let options = options
            .batch_size(o.count("batch_size").unwrap_or(1))
            .shuffle(o.flag("shuffle", false))
            .drop_last(o.flag("drop_last", false))
            .num_workers(o.count("num_workers").unwrap_or(0));
        match o.generator() {
            Some(generator) => options.generator(generator),
            None => options,
        }
    })
    .map_err(text)?;
    let epoch = |_| -> Result<Json, Reason> {
        let batch = |b: cresset_core::Result<Tensor>| -> Result<Json, Reason> {
            Ok(b.map_err(text)?.to_vec::<i64>().map_err(text)?.into())
        };
        loader.iter().map(batch).collect::<Result<Json, Reason>>()
    };
    let order = (0..epochs).map(epoch).collect::<Result<_, _>>()?;
    Ok((order, Some(loader.len())))
}

fn parts(o: Options<'_>) -> Result<Json, Reason> {
    let dataset = Arc::new(Numbers(o.n()));
    let generator = o.generator();
    let fractions = o.list("lengths", Json::as_f64);
    let parts = if o.list("lengths", Json::as_u64).len() == fractions.len() {
        let lengths: Vec<usize> = fractions.iter().map(|l| *l as usize).collect();
        random_split_with(&dataset, &lengths, |o| o.generator(generator))
    } else {
        random_split_fractions_with(&dataset, &fractions, |o| o.generator(generator))
    };
    Ok(parts.map_err(text)?.iter().map(|part| Json::from(part.indices().to_vec())).collect())
}
