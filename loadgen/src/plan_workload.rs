//! What is sent, as it will be: a named workload and the options that change it, put together and checked.

use std::sync::Arc;

use crate::cli::{DistributionName, RunArgs, WorkloadArgs};
use crate::cli_values::Ratio;
use crate::command_template::CommandTemplate;
use crate::keys::{KeyDistribution, KeyFormat};
use crate::limits::{KEY_BYTES_MAX, KEYS_MAX, SCAN_KEYS_MAX, VALUE_BYTES_MAX};
use crate::operations::{OperationTable, Verb, name_of};
use crate::plan::check;
use crate::report::WorkloadConfig;
use crate::run_details::WorkloadDetails;
use crate::sizes::Sizes;
use crate::values::ValueSpec;
use crate::verified_value::VERIFIED_BYTES_MIN;
use crate::verify_share::VerifyShare;
use crate::workloads::Shape;

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// For people.
    pub name: String,
    /// Kinds of requests.
    pub operations: Arc<OperationTable>,
    /// Templates of the user, by the number in their verb.
    pub commands: Vec<CommandTemplate>,
    /// The same as they were written.
    pub command_lines: Vec<String>,
    /// Keys in the key space.
    pub keys: u64,
    /// How keys are chosen.
    pub distribution: KeyDistribution,
    /// How keys are written.
    pub key_format: KeyFormat,
    /// Text before the key number.
    pub key_prefix: String,
    /// What values are like.
    pub values: ValueSpec,
    /// Which answers are looked into; values are sealed for it.
    pub verify: VerifyShare,
    /// Time to live of written keys in milliseconds.
    pub ttl_ms: Option<Sizes>,
    /// Keys of one scan, or of one step of a walk.
    pub scan_keys: Sizes,
    /// What keeps figures from being compared with others of the workload's name.
    pub note: Option<String>,
    /// Seed of all random choices.
    pub seed: u64,
}

impl Workload {
    /// What `loadgen run` sends.
    ///
    /// # Errors
    /// A sentence for the user, naming the option to change.
    pub fn for_run(arguments: &RunArgs) -> Result<Self, String> {
        let preset = arguments.workload.workload;
        let shape = preset.map(crate::workloads::Preset::shape);
        let mut workload = Self::base(&arguments.workload, shape.as_ref())?;
        let preset_distribution = shape.as_ref().map_or(KeyDistribution::Uniform, |shape| shape.distribution);
        workload.distribution = distribution(arguments, preset_distribution)?;
        let (mut mix, mut name) = match (&arguments.mix, arguments.ratio, &shape) {
            (Some(mix), _, _) => (mix.0.clone(), mix_name(&mix.0)),
            (None, Some(ratio), _) => (of_ratio(ratio), ratio_name(ratio)),
            (None, None, Some(shape)) => {
                (shape.mix.clone(), preset.map_or_else(String::new, |one| one.name()))
            }
            (None, None, None) if !arguments.commands.is_empty() => (Vec::new(), "commands".to_owned()),
            (None, None, None) => (of_ratio(RATIO_DEFAULT), ratio_name(RATIO_DEFAULT)),
        };
        if !mix.is_empty() && !arguments.commands.is_empty() {
            name.push_str(" and commands");
        }
        for (place, line) in arguments.commands.iter().enumerate() {
            let template = CommandTemplate::parse(line)?;
            let number = u8::try_from(place).map_err(|_| "too many --command options".to_owned())?;
            let weight = arguments.command_ratios.get(place).copied().unwrap_or(1);
            let taken = workload.commands.iter().any(|other| other.name() == template.name());
            let is_own = matches!(
                template.name().as_str(),
                "SET" | "GET" | "DEL" | "INSERT" | "SCAN" | "WALK" | "RMW"
            );
            let shown =
                if taken || is_own { format!("{}#{}", template.name(), place + 1) } else { template.name() };
            mix.push((Verb::Command(number), shown, weight));
            workload.commands.push(template);
        }
        workload.command_lines.clone_from(&arguments.commands);
        workload.operations = Arc::new(OperationTable::new(&mix)?);
        workload.name = name;
        workload.scan_keys = arguments.scan_keys.clone();
        check(
            (1..=SCAN_KEYS_MAX).contains(&workload.scan_keys.max()) && workload.scan_keys.min() > 0,
            || format!("--scan-keys goes from 1 to {SCAN_KEYS_MAX}"),
        )?;
        Ok(workload)
    }

    /// Ten SETs to a hundred GETs of small values: what the generator tests itself with.
    ///
    /// # Panics
    /// Never: the parts are constants that fit.
    #[must_use]
    pub fn plain() -> Self {
        let prefix = "key:";
        Self {
            name: "self-test".to_owned(),
            operations: Arc::new(OperationTable::new(&of_ratio(RATIO_DEFAULT)).expect("weights are above 0")),
            commands: Vec::new(),
            command_lines: Vec::new(),
            keys: PLAIN_KEYS,
            distribution: KeyDistribution::Uniform,
            key_format: KeyFormat::new(prefix, KEY_BYTES_DEFAULT, PLAIN_KEYS).expect("the keys fit"),
            key_prefix: prefix.to_owned(),
            values: ValueSpec {
                sizes: Sizes::Fixed(VALUE_BYTES_DEFAULT),
                data: crate::values::DataKind::Random,
                sealed: false,
            },
            verify: VerifyShare::NONE,
            ttl_ms: None,
            scan_keys: Sizes::Fixed(1),
            note: None,
            seed: 42,
        }
    }

    /// The kinds of requests of a trace.
    ///
    /// # Errors
    /// A sentence for the user when there are too many.
    pub fn replayed(trace: &crate::trace::Trace) -> Result<Self, String> {
        let mut mix = Vec::new();
        for (number, name) in trace.names().iter().enumerate() {
            let number = u8::try_from(number).map_err(|_| "too many kinds of requests".to_owned())?;
            // Kinds of the same name as drawn ones are kept apart: these are sent as recorded.
            mix.push((Verb::Command(number), format!("{name} recorded"), 1));
        }
        let note = Some(format!("{} recorded requests, {} left out", trace.len(), trace.left_out));
        Ok(Self {
            name: "replay".to_owned(),
            operations: Arc::new(OperationTable::new(&mix)?),
            note,
            ..Self::plain()
        })
    }

    /// What `loadgen load` writes.
    ///
    /// # Errors
    /// A sentence for the user, naming the option to change.
    pub fn for_load(arguments: &WorkloadArgs) -> Result<Self, String> {
        Self::base(arguments, arguments.workload.map(crate::workloads::Preset::shape).as_ref())
    }

    /// Keys and values, and only SETs of them.
    fn base(arguments: &WorkloadArgs, shape: Option<&Shape>) -> Result<Self, String> {
        check((1..=KEYS_MAX).contains(&arguments.keys), || format!("--keys goes from 1 to {KEYS_MAX}"))?;
        let (key_format, key_prefix) = key_format(arguments, shape)?;
        let sizes = arguments.value_size.clone().or_else(|| shape.map(|shape| shape.value_sizes.clone()));
        let sizes = sizes.unwrap_or(Sizes::Fixed(VALUE_BYTES_DEFAULT));
        check(sizes.max() <= VALUE_BYTES_MAX, || format!("--value-size goes from 0 to {VALUE_BYTES_MAX}"))?;
        check(!arguments.verify.is_any() || sizes.min() >= VERIFIED_BYTES_MIN, || {
            format!("--verify needs values of {VERIFIED_BYTES_MIN} bytes or more: raise --value-size")
        })?;
        let only_sets = of_ratio(Ratio { set: 1, get: 0 });
        Ok(Self {
            name: "set".to_owned(),
            operations: Arc::new(OperationTable::new(&only_sets)?),
            commands: Vec::new(),
            command_lines: Vec::new(),
            keys: arguments.keys,
            distribution: KeyDistribution::Uniform,
            key_format,
            key_prefix,
            values: ValueSpec { sizes, data: arguments.data, sealed: arguments.verify.is_any() },
            verify: arguments.verify,
            ttl_ms: arguments.ttl.clone().or_else(|| shape.and_then(|shape| shape.ttl_ms.clone())),
            scan_keys: Sizes::Fixed(1),
            note: shape.and_then(|shape| shape.note).map(str::to_owned),
            seed: arguments.seed,
        })
    }

    /// Bytes of a long request, roughly.
    #[must_use]
    pub fn request_bytes_estimate(&self) -> usize {
        let scans = if self.operations.draws(Verb::Scan) { self.scan_keys.max() } else { 1 };
        self.values.sizes.max() + scans * (self.key_format.key_bytes_max() + 16) + 64
    }

    /// The workload as reports hold it.
    #[must_use]
    pub fn config(&self) -> WorkloadConfig {
        WorkloadConfig {
            name: self.name.clone(),
            mix: self.operations.weights(),
            keys: self.keys,
            dist: self.distribution,
            key_prefix: self.key_prefix.clone(),
            key_bytes: self.key_format.key_bytes() as u64,
            value_bytes: self.values.sizes.mean() as u64,
            details: Some(WorkloadDetails {
                key_sizes: self.key_format.sizes_text(),
                value_sizes: self.values.sizes.clone(),
                data: self.values.data.to_string(),
                ttl_ms: self.ttl_ms.clone(),
                scan_keys: [Verb::Scan, Verb::Walk]
                    .iter()
                    .any(|&verb| self.operations.draws(verb))
                    .then(|| self.scan_keys.clone()),
                commands: self.command_lines.clone(),
                verify: self.values.sealed,
                verify_share: self.verify.is_any().then(|| self.verify.share()),
                note: self.note.clone(),
                rate_curve: None,
            }),
        }
    }
}

const RATIO_DEFAULT: Ratio = Ratio { set: 1, get: 10 };
const PLAIN_KEYS: u64 = 1_000_000;
const VALUE_BYTES_DEFAULT: usize = 64;
const KEY_BYTES_DEFAULT: usize = 16;

fn of_ratio(ratio: Ratio) -> Vec<(Verb, String, u32)> {
    [(Verb::Set, ratio.set), (Verb::Get, ratio.get)]
        .map(|(verb, weight)| (verb, name_of(verb).to_owned(), weight))
        .to_vec()
}

fn ratio_name(ratio: Ratio) -> String {
    format!("set:get {}:{}", ratio.set, ratio.get)
}

fn mix_name(mix: &[(Verb, String, u32)]) -> String {
    let kinds: Vec<String> =
        mix.iter().map(|(_, name, weight)| format!("{}={weight}", name.to_lowercase())).collect();
    kinds.join(",")
}

fn key_format(arguments: &WorkloadArgs, shape: Option<&Shape>) -> Result<(KeyFormat, String), String> {
    if let Some(prefix) = shape.and_then(|shape| shape.ycsb_prefix) {
        check(arguments.key_size.is_none(), || {
            "--key-size does not go with a ycsb workload: its keys are a prefix and a hash".to_owned()
        })?;
        let prefix = arguments.key_prefix.clone().unwrap_or_else(|| prefix.to_owned());
        check(prefix.len() + 20 <= KEY_BYTES_MAX, || "--key-prefix is too long".to_owned())?;
        return Ok((KeyFormat::ycsb(&prefix), prefix));
    }
    let prefix = arguments.key_prefix.clone().unwrap_or_else(|| "key:".to_owned());
    let sizes = arguments.key_size.clone().unwrap_or(Sizes::Fixed(KEY_BYTES_DEFAULT));
    check(sizes.min() > 0 && sizes.max() <= KEY_BYTES_MAX, || {
        format!("--key-size goes from 1 to {KEY_BYTES_MAX}")
    })?;
    Ok((KeyFormat::with_sizes(&prefix, sizes, arguments.keys)?, prefix))
}

fn distribution(arguments: &RunArgs, preset: KeyDistribution) -> Result<KeyDistribution, String> {
    use DistributionName as Name;
    let keys = arguments.workload.keys as f64;
    let theta = arguments.theta.unwrap_or(0.99);
    check((0.0..=THETA_MAX).contains(&theta), || format!("--theta goes from 0 to {THETA_MAX}"))?;
    let distribution = match arguments.dist {
        None => preset,
        Some(Name::Uniform) => KeyDistribution::Uniform,
        Some(Name::Sequential) => KeyDistribution::Sequential,
        Some(Name::Zipf) => KeyDistribution::Zipf { theta },
        Some(Name::YcsbZipfian) => KeyDistribution::YcsbZipfian,
        Some(Name::Latest) => KeyDistribution::Latest { theta },
        Some(Name::YcsbLatest) => KeyDistribution::YcsbLatest,
        Some(Name::Hotspot) => {
            let (keys, requests) = arguments.hot.unwrap_or((0.2, 0.8));
            KeyDistribution::Hotspot { keys, requests }
        }
        Some(Name::Exponential) => {
            let (keys, requests) = arguments.hot.unwrap_or((0.857_142_857_1, 0.95));
            KeyDistribution::Exponential { requests, keys }
        }
        Some(Name::Gaussian) => {
            let stddev = arguments.stddev.map_or(1.0 / 6.0, |stddev| stddev / keys);
            let median = arguments.median.map_or(0.5, |median| median / keys);
            check(stddev > 0.0 && stddev <= 100.0, || "--stddev is above 0".to_owned())?;
            check((0.0..=1.0).contains(&median), || "--median is a key number below --keys".to_owned())?;
            KeyDistribution::Gaussian { median, stddev }
        }
    };
    let takes_theta = matches!(distribution, KeyDistribution::Zipf { .. } | KeyDistribution::Latest { .. });
    check(arguments.theta.is_none() || (takes_theta && arguments.dist.is_some()), || {
        "--theta is the exponent of --dist zipf and latest; with others it means nothing".to_owned()
    })?;
    check(
        arguments.hot.is_none() || matches!(arguments.dist, Some(Name::Hotspot | Name::Exponential)),
        || "--hot belongs to --dist hotspot and exponential".to_owned(),
    )?;
    check(
        (arguments.stddev.is_none() && arguments.median.is_none()) || arguments.dist == Some(Name::Gaussian),
        || "--stddev and --median belong to --dist gaussian".to_owned(),
    )?;
    Ok(distribution)
}

/// Beyond this one key gets nearly everything.
const THETA_MAX: f64 = 10.0;

#[cfg(test)]
mod tests {
    use crate::keys::KeyDistribution;
    use crate::operations::Verb;
    use crate::plan::tests::workload;
    use crate::sizes::Sizes;

    #[test]
    fn a_preset_is_the_base_and_options_change_parts_of_it() {
        let plain = workload("--workload ycsb-d");
        assert_eq!(
            (plain.distribution, plain.values.sizes.clone()),
            (KeyDistribution::YcsbLatest, Sizes::Fixed(1000))
        );
        assert!((plain.operations.share(Verb::Insert) - 0.05).abs() < 1e-12);
        assert_eq!(plain.key_format.key(0), b"user6284781860667377211");
        assert!(plain.config().details.unwrap().note.unwrap().contains("YCSB-shaped"));
        let changed = workload("--workload ycsb-d --value-size 10..20 --dist uniform --ratio 1:0");
        assert_eq!(
            (changed.distribution, changed.values.sizes),
            (KeyDistribution::Uniform, Sizes::Range(10, 20))
        );
        assert!((changed.operations.share(Verb::Set) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn commands_alone_send_nothing_else_and_have_names_of_their_own() {
        let workload = workload("--command PING --command SET --command-ratio 3");
        let weights = workload.operations.weights();
        assert_eq!((weights["GET"], weights["SET"], weights["SET#2"]), (0, 0, 1));
        assert_eq!(workload.name, "commands");
    }
}
