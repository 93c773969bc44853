//! Examples below `--help` of each command.

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  loadgen run                                        the default socket, 50 connections, 10 seconds
  loadgen run -s /tmp/redis.sock --prefill           write all keys first, so that GETs find them
  loadgen run -h 10.0.0.5 -p 6379 -t 4 -c 200 -P 16  over TCP with deep pipelines
  loadgen run --rate 50k --dist zipf --out r.json    open loop: latency at a fixed rate
  loadgen run --rate 10k..100k -d 60s                the rate rises evenly over the window
  loadgen run --ratio 1:0 -n 1M --value-size 512     one million SETs
  loadgen run --workload ycsb-a --prefill --verify   YCSB's update-heavy mix, every answer checked
  loadgen run --rate 20k --arrival burst:100 --strict   100 requests at once, status 4 when the run is not valid
  loadgen run --mix get=80,set=15,rmw=5 --value-size 64:80,1k:20 --ttl 60s
  loadgen run --command 'LPUSH list:{key} {value}' --command-ratio 3 --command 'LPOP list:{key}'
";

pub(super) const REPLAY_EXAMPLES: &str = "\
Examples:
  redis-cli monitor > load.log; loadgen replay load.log            as it was
  loadgen replay load.log --speed 10                               ten times as fast
  loadgen replay trace.csv --speed max                             as fast as replies come
  loadgen replay cluster.csv --format csv --columns time_s,key,key_bytes,value_bytes,client,op,ttl_s

Columns of a CSV: time_s, time_ms or time_us; op (get, set, delete, incr, ...); key; value_bytes; ttl_s; client.
";

pub(super) const SELFTEST_EXAMPLES: &str = "\
Examples:
  loadgen selftest                        the ceiling at pipeline 1 and 16, the floor of latency, the timing error
  loadgen selftest -c 200 -t 2 -P 64 -o self.json
  loadgen selftest --serve /tmp/null.sock --cpus 0   another generator's ceiling: redis-benchmark -s /tmp/null.sock
";

pub(super) const SEARCH_EXAMPLES: &str = "\
Examples:
  loadgen search --slo 'p99<1ms' -d 5s --prefill
  loadgen search --slo 'p99<1ms' --slo 'p99.9<5ms' --min 10k --max 500k --confirm 3 -o search.json

Climbs by --step until a limit breaks, bisects to --tolerance, and confirms. Exit status 3: no rate held.
";

pub(super) const SWEEP_EXAMPLES: &str = "\
Examples:
  loadgen sweep --rates 10k..100k/10k -d 5s
  loadgen sweep --connection-counts 1,10,50,200 -P 1
  loadgen sweep --pipelines 1,2,4,8,16,32 -o sweep.json
";

pub(super) const AUDIT_EXAMPLES: &str = "\
Examples:
  loadgen audit -s /tmp/o.sock --kills 10 --spawn -- ourod --dir /tmp/data --unixsocket /tmp/o.sock
  loadgen audit -p 6379 --kills 3 --every 10s        somebody else restarts the server meanwhile

Exit status: 0 everything acknowledged was there, 3 something was lost or the server did not come back,
4 too little happened to say.
";

pub(super) const LOAD_EXAMPLES: &str = "\
Examples:
  loadgen load --keys 2M --value-size 64
  loadgen load -s /tmp/redis.sock --keys 100k
";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  loadgen show run.json           the summary that `run` printed, and the plots
  loadgen show sweep.json         the curve of a sweep or of a search
  loadgen show matrix.json        the tables of a matrix
";

pub(super) const NOISE_EXAMPLES: &str = "\
Examples:
  loadgen noise a1.json a2.json a3.json a4.json -o noise.json   runs of one server under one load
  loadgen noise aa.json --group-size 10                         a matrix made with --twice
";

pub(super) const SCHEMA_EXAMPLES: &str = "\
Examples:
  loadgen schema > schema.json
";
