# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ourod_global_optspecs
    string join \n config= dir= unixsocket= unixsocketperm= port= bind= maxclients= databases= timeout= request-timeout= tcp-keepalive= tcp-backlog= proto-max-bulk-len= client-query-buffer-limit= client-output-buffer-limit= tracking-table-max-keys= notify-keyspace-events= requirepass= aclfile= acl-pubsub-default= tls-port= tls-cert-file= tls-key-file= tls-ca-cert-file= tls-auth-clients= appendfsync= storage= wal= wal-segment-bytes= checkpoint-log-bytes= checkpoint-seconds= scrub-days= wal-sync= maxmemory= maxmemory-policy= shards= workers= cpus= admin= loglevel= enable-debug-command= slowlog-log-slower-than= slowlog-max-len= acllog-max-len= latency-monitor-threshold= shutdown-timeout= h/help V/version
end

function __fish_ourod_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ourod_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ourod_using_subcommand
    set -l cmd (__fish_ourod_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ourod -n "__fish_ourod_needs_command" -l config -d 'File to read options from: lines of `name value` as in redis.conf' -r -F
complete -c ourod -n "__fish_ourod_needs_command" -l dir -d 'Directory of the store; made when it is missing' -r -F
complete -c ourod -n "__fish_ourod_needs_command" -l unixsocket -d 'Unix socket to listen on; "" for none [default: <dir>/ouro.sock]' -r -F
complete -c ourod -n "__fish_ourod_needs_command" -l unixsocketperm -d 'Mode of the Unix socket, octal' -r
complete -c ourod -n "__fish_ourod_needs_command" -l port -d 'TCP port to listen on; 0 for none' -r
complete -c ourod -n "__fish_ourod_needs_command" -l bind -d 'Addresses to open the TCP ports on; others than loopback need a password, or TLS with client certificates only. With a leading \'-\' one that may be missing' -r
complete -c ourod -n "__fish_ourod_needs_command" -l maxclients -d 'Most clients at one time' -r
complete -c ourod -n "__fish_ourod_needs_command" -l databases -d 'Databases that clients may SELECT' -r
complete -c ourod -n "__fish_ourod_needs_command" -l timeout -d 'Seconds without a word after which a client is disconnected; 0 for never' -r
complete -c ourod -n "__fish_ourod_needs_command" -l request-timeout -d 'Seconds without progress after which a client whose request is only half there is disconnected' -r
complete -c ourod -n "__fish_ourod_needs_command" -l tcp-keepalive -d 'Seconds between TCP keep-alive probes of a silent client; 0 for none' -r
complete -c ourod -n "__fish_ourod_needs_command" -l tcp-backlog -d 'Connections that may wait to be accepted' -r
complete -c ourod -n "__fish_ourod_needs_command" -l proto-max-bulk-len -d 'Longest argument and longest value, in bytes' -r
complete -c ourod -n "__fish_ourod_needs_command" -l client-query-buffer-limit -d 'Bytes of one client\'s request under way at most; a client that sends more is disconnected' -r
complete -c ourod -n "__fish_ourod_needs_command" -l client-output-buffer-limit -d 'Output of one client that may wait, as "CLASS HARD SOFT SECONDS": bytes it never exceeds, bytes it does not exceed for long, and how many seconds that is; beyond it the client is disconnected, 0 for no limit. Classes: normal, replica, pubsub; several may be given, others keep "normal 1gb 256mb 60", "pubsub 32mb 8mb 60"' -r
complete -c ourod -n "__fish_ourod_needs_command" -l tracking-table-max-keys -d 'Keys that are remembered for clients that cache what they read, over all workers; 0 for no limit' -r
complete -c ourod -n "__fish_ourod_needs_command" -l notify-keyspace-events -d 'Events of keys that are published, by Redis\'s letters: K and E for the channel, then g$xenm or A; "" for none' -r
complete -c ourod -n "__fish_ourod_needs_command" -l requirepass -d 'Password that clients log in with as the user `default`; "" for none' -r
complete -c ourod -n "__fish_ourod_needs_command" -l aclfile -d 'File of users, lines of `user name rule ...` as in Redis; ACL SAVE writes it' -r -F
complete -c ourod -n "__fish_ourod_needs_command" -l acl-pubsub-default -d 'Channels that a new user may use: allchannels or resetchannels' -r -f -a "allchannels\t''
resetchannels\t''"
complete -c ourod -n "__fish_ourod_needs_command" -l tls-port -d 'TCP port to listen on for TLS 1.2 and 1.3; 0 for none' -r
complete -c ourod -n "__fish_ourod_needs_command" -l tls-cert-file -d 'Certificate of the server and those between it and a root, PEM. Read again when it is set, and at SIGHUP' -r -F
complete -c ourod -n "__fish_ourod_needs_command" -l tls-key-file -d 'Private key of that certificate, PEM, not encrypted' -r -F
complete -c ourod -n "__fish_ourod_needs_command" -l tls-ca-cert-file -d 'Certificates that those of clients must lead to, PEM' -r -F
complete -c ourod -n "__fish_ourod_needs_command" -l tls-auth-clients -d 'Whether TLS clients show a certificate' -r -f -a "yes\t'They must'
no\t'They are not asked'
optional\t'They may; one that is shown must be good'"
complete -c ourod -n "__fish_ourod_needs_command" -l appendfsync -d 'When a write is acknowledged' -r -f -a "always\t'When it is durable: survives a crash of the machine'
everysec\t'At once; made durable within about a second'
no\t'At once; made durable when the system pleases'"
complete -c ourod -n "__fish_ourod_needs_command" -l storage -d 'Where records live' -r -f -a "disk\t'In the store\'s directory'
memory\t'In memory only: no file at all, everything is gone at the end'"
complete -c ourod -n "__fish_ourod_needs_command" -l wal -d 'Whether writes go to a log [default: yes on disk, no in memory]. On disk without one nothing is durable but at checkpoints; a store keeps the mode that it was made in' -r -f -a "yes\t''
no\t''"
complete -c ourod -n "__fish_ourod_needs_command" -l wal-segment-bytes -d 'Size of a log segment file, in bytes' -r
complete -c ourod -n "__fish_ourod_needs_command" -l checkpoint-log-bytes -d 'Log bytes of one worker that a start may have to read, about, or with --wal no bytes of records that a crash may take, about: within so many written, every shard gets a checkpoint; more where the store is large, so that checkpoints stay a small part of what is written' -r
complete -c ourod -n "__fish_ourod_needs_command" -l checkpoint-seconds -d 'With --wal no on disk: seconds after the first change of a shard that no snapshot holds within which it gets a checkpoint, one shard after the other; 0 for never by time. With a log it means nothing' -r
complete -c ourod -n "__fish_ourod_needs_command" -l scrub-days -d 'On disk: days, a fraction too, within which everything in the data files is read back and verified, again and again; 0 for only when OURO.SCRUB asks' -r
complete -c ourod -n "__fish_ourod_needs_command" -l wal-sync -d 'How the log is made durable' -r -f -a "auto\t'Measure both at start and take the faster'
dsync\t'Every write is durable when it completes (O_DSYNC)'
fdatasync\t'Plain writes, then one fdatasync'"
complete -c ourod -n "__fish_ourod_needs_command" -l maxmemory -d 'Memory that records, index and timing wheels may take, over all workers; 0 for no limit. On disk, records beyond it leave memory and are read back when asked for. What connections hold is not counted' -r
complete -c ourod -n "__fish_ourod_needs_command" -l maxmemory-policy -d 'What happens with --storage memory when that memory is used up: noeviction refuses writes; allkeys-lru, allkeys-lfu, allkeys-random evict any key, volatile-lru, volatile-lfu, volatile-random, volatile-ttl keys that have a deadline' -r
complete -c ourod -n "__fish_ourod_needs_command" -l shards -d 'Number of shards when the store is created, 1 to 1024; fixed for its life [default: 16]' -r
complete -c ourod -n "__fish_ourod_needs_command" -l workers -d 'Number of workers, one thread and one log each [default: one per CPU, at most one per shard]' -r
complete -c ourod -n "__fish_ourod_needs_command" -l cpus -d 'CPUs the workers are pinned to, one each, like 0,2-3 [default: those the process may use]' -r
complete -c ourod -n "__fish_ourod_needs_command" -l admin -d 'Address that serves GET /health and GET /metrics: a path, or a loopback address:port [default: off]' -r
complete -c ourod -n "__fish_ourod_needs_command" -l loglevel -d 'How much is logged' -r -f -a "debug\t'Everything, for developers'
verbose\t'A lot of rarely useful detail'
notice\t'What an operator wants to know'
warning\t'Only what needs attention'"
complete -c ourod -n "__fish_ourod_needs_command" -l enable-debug-command -d 'Who may use DEBUG' -r -f -a "no\t'Nobody'
local\t'Connections of the Unix socket and of loopback addresses'
yes\t'Everybody who may administer the server'"
complete -c ourod -n "__fish_ourod_needs_command" -l slowlog-log-slower-than -d 'Microseconds from which on a command is noted in SLOWLOG; 0 for all commands, below 0 for none' -r
complete -c ourod -n "__fish_ourod_needs_command" -l slowlog-max-len -d 'Entries of SLOWLOG at most' -r
complete -c ourod -n "__fish_ourod_needs_command" -l acllog-max-len -d 'Entries of ACL LOG at most' -r
complete -c ourod -n "__fish_ourod_needs_command" -l latency-monitor-threshold -d 'Milliseconds from which on LATENCY tells of a command; 0 for never' -r
complete -c ourod -n "__fish_ourod_needs_command" -l shutdown-timeout -d 'Seconds that an orderly stop waits for clients' -r
complete -c ourod -n "__fish_ourod_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ourod -n "__fish_ourod_needs_command" -s V -l version -d 'Print version'
complete -c ourod -n "__fish_ourod_needs_command" -f -a "check" -d 'Check a store that no daemon has open: every file, every checksum, every record; changes nothing'
complete -c ourod -n "__fish_ourod_needs_command" -f -a "repair" -d 'Repair what check named, and no more; keeps copies of every file that it changes'
complete -c ourod -n "__fish_ourod_needs_command" -f -a "dump" -d 'Write all keys of a stopped store as one portable, checked stream; changes nothing'
complete -c ourod -n "__fish_ourod_needs_command" -f -a "restore" -d 'Make a new store of a dump; the way to change the number of shards'
complete -c ourod -n "__fish_ourod_using_subcommand check" -l maxmemory -d 'Memory that recovering the log may take (the last step); beyond it, that step is left out and noted; 0 for no limit' -r
complete -c ourod -n "__fish_ourod_using_subcommand check" -l json -d 'Print one JSON document instead of text'
complete -c ourod -n "__fish_ourod_using_subcommand check" -l list-keys -d 'Name every lost key that can still be read'
complete -c ourod -n "__fish_ourod_using_subcommand check" -s h -l help -d 'Print help'
complete -c ourod -n "__fish_ourod_using_subcommand repair" -l accept-loss -d 'Names of problems as check prints them: what each of them says is lost is given up' -r
complete -c ourod -n "__fish_ourod_using_subcommand repair" -l maxmemory -d 'Memory that recovering the log may take (the last step); beyond it, that step is left out and noted; 0 for no limit' -r
complete -c ourod -n "__fish_ourod_using_subcommand repair" -l list-keys -d 'Name every lost key that can still be read'
complete -c ourod -n "__fish_ourod_using_subcommand repair" -s h -l help -d 'Print help'
complete -c ourod -n "__fish_ourod_using_subcommand dump" -s o -l output -d 'File to write, which must not exist; - for stdout' -r -F
complete -c ourod -n "__fish_ourod_using_subcommand dump" -l maxmemory -d 'Memory that the index and what the log holds since the last checkpoint may take; 0 for no limit' -r
complete -c ourod -n "__fish_ourod_using_subcommand dump" -s h -l help -d 'Print help'
complete -c ourod -n "__fish_ourod_using_subcommand restore" -l shards -d 'Shards of the new store, fixed for its life' -r
complete -c ourod -n "__fish_ourod_using_subcommand restore" -l workers -d 'Logs to make, one a worker; a start with another number of workers changes that [default: one per CPU]' -r
complete -c ourod -n "__fish_ourod_using_subcommand restore" -l maxmemory -d 'Memory that records and index may take; 0 for no limit' -r
complete -c ourod -n "__fish_ourod_using_subcommand restore" -l wal -d 'Whether the new store has a log, for its life; without one it is durable at checkpoints only' -r -f -a "yes\t''
no\t''"
complete -c ourod -n "__fish_ourod_using_subcommand restore" -l wal-segment-bytes -d 'Size of a log segment file, in bytes' -r
complete -c ourod -n "__fish_ourod_using_subcommand restore" -s h -l help -d 'Print help'
