//! Every request of small scripted lives, hit by everything that may happen to it.
//!
//! Every `--stride`-th request of each life is hit by each blow, and the first request of each site; of every
//! `--again-stride`-th crash the start is crashed again at each of its requests.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use shard::sim::every_io::{Case, EveryIo, Hits, Plan};
use shard::sim::life::Life;
use shard::sim::site::Site;

use crate::arguments::Arguments;

/// Broken runs after which no more are made.
const BROKEN_MAX: usize = 20;

/// The run under way, for an assertion of the core that fails in it.
static UNDER_WAY: Mutex<String> = Mutex::new(String::new());

/// Runs them, and prints what was hit.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    tell_on_panic();
    let plan =
        Plan { stride: arguments.stride, again_stride: arguments.again_stride, broken_max: BROKEN_MAX };
    let mut total = EveryIo::default();
    let mut look = |case: &Case| {
        *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner) = case.to_string();
    };
    for seed in arguments.seeds.clone() {
        for life in Life::ALL {
            let case = Case { life, seed, strike: None, again: false, planted: arguments.planted };
            if let Err(broken) = total.run(case, plan, &mut look) {
                eprintln!("{broken}");
                return ExitCode::FAILURE;
            }
        }
    }
    for broken in &total.broken {
        eprintln!("{broken}");
    }
    if arguments.json {
        println!("{:#}", to_json(arguments, &total));
    } else {
        print_text(&total);
    }
    let missing = total.missing();
    for site in &missing {
        eprintln!("never hit: {site}");
    }
    if missing.is_empty() && total.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell_on_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default(info);
        eprintln!("in: {}", UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner));
    }));
}

fn sum(hits: &Hits) -> u64 {
    hits.values().sum()
}

fn print_text(total: &EveryIo) {
    let requests: Vec<String> =
        total.requests.iter().map(|(life, requests)| format!("{} {requests}", life.name())).collect();
    println!("requests of lives that nothing happens to: {}", requests.join(", "));
    println!("runs {}, hit once more in the start after {}", sum(&total.hits), sum(&total.again));
    for ((site, blow), times) in &total.hits {
        println!("{times:>10}  {site}: {}", blow.name());
    }
}

/// By site, then by blow.
fn by_site(hits: &Hits) -> Value {
    let mut sites = Map::new();
    for site in Site::all() {
        let own = hits.iter().filter(|((of, _), _)| *of == site);
        let own: Map<String, Value> =
            own.map(|((_, blow), times)| (blow.name().to_owned(), Value::from(*times))).collect();
        sites.insert(site.to_string(), own.into());
    }
    sites.into()
}

/// By blow.
fn outcomes(total: &EveryIo) -> Value {
    let mut blows: Map<String, Value> = Map::new();
    for ((blow, outcome), times) in &total.outcomes {
        blows.entry(blow.name()).or_insert_with(|| Map::new().into())[*outcome] = (*times).into();
    }
    blows.into()
}

fn to_json(arguments: &Arguments, total: &EveryIo) -> Value {
    let requests: Map<String, Value> = total
        .requests
        .iter()
        .map(|(life, requests)| (life.name().to_owned(), Value::from(*requests)))
        .collect();
    let counts: Map<String, Value> =
        total.report.by_name().into_iter().map(|(name, count)| (name, Value::from(count))).collect();
    json!({
        "format": 1,
        "commit": arguments.commit,
        "seeds": format!("{}..{}", arguments.seeds.start, arguments.seeds.end),
        "stride": arguments.stride,
        "again_stride": arguments.again_stride,
        "requests": requests,
        "runs": total.runs,
        "crashes": total.report.crashes,
        "starts_compared_with_the_model": total.report.checks + sum(&total.again),
        "crashes_of_the_start_after_a_crash": sum(&total.again),
        "hits": by_site(&total.hits),
        "hits_in_the_start_after_a_crash": by_site(&total.again),
        "outcomes": outcomes(total),
        "counts": counts,
    })
}
