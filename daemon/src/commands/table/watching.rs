//! Commands for those who look on: what takes long, and what is asked.

use super::super::command::{Command, Execution};
use super::super::docs::server as docs;
use super::super::{debug, latency, slowlog};
use super::words::{ADMIN, ANYTIME, C, F, NO, RO, command};
use Execution::{Checked, Configure, Connection, Container, Monitor};

const ADMIN_ANYTIME: F = F::ADMIN.and(ANYTIME);
const EACH_NODE: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];
const NODES_OK: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

pub(super) const WATCHING: [Command; 19] =
    [
        command("debug", -2, NO, C::NONE, Container, &docs::DEBUG),
        command("debug|help", 2, ADMIN, C::NONE, Connection(debug::help), &docs::DEBUG_HELP),
        command(
            "debug|object",
            3,
            ADMIN,
            C::NONE,
            Checked { check: debug::is_allowed, handler: debug::object },
            &docs::DEBUG_OBJECT,
        )
        .keys_at(2, 1, RO),
        command(
            "debug|set-active-expire",
            3,
            ADMIN,
            C::NONE,
            Configure { check: debug::is_allowed, apply: debug::set_active_expire },
            &docs::DEBUG_SET_ACTIVE_EXPIRE,
        ),
        command("debug|sleep", 3, ADMIN, C::NONE, Connection(debug::sleep), &docs::DEBUG_SLEEP),
        command("monitor", 1, ADMIN, C::NONE, Monitor, &docs::MONITOR),
        command("slowlog", -2, NO, C::NONE, Container, &docs::SLOWLOG),
        command("slowlog|get", -2, ADMIN_ANYTIME, C::NONE, Connection(slowlog::get), &docs::SLOWLOG_GET)
            .tips(&["request_policy:all_nodes", "nondeterministic_output"]),
        command("slowlog|help", 2, ANYTIME, C::NONE, Connection(slowlog::help), &docs::SLOWLOG_HELP),
        command("slowlog|len", 2, ADMIN_ANYTIME, C::NONE, Connection(slowlog::len), &docs::SLOWLOG_LEN)
            .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
        command("slowlog|reset", 2, ADMIN_ANYTIME, C::NONE, Connection(slowlog::reset), &docs::SLOWLOG_RESET)
            .tips(NODES_OK),
        command("latency", -2, NO, C::NONE, Container, &docs::LATENCY),
        command("latency|doctor", 2, ADMIN, C::NONE, Connection(latency::doctor), &docs::LATENCY_DOCTOR)
            .tips(EACH_NODE),
        command("latency|graph", 3, ADMIN, C::NONE, Connection(latency::graph), &docs::LATENCY_GRAPH)
            .tips(EACH_NODE),
        command("latency|help", 2, ANYTIME, C::NONE, Connection(latency::help), &docs::LATENCY_HELP),
        command(
            "latency|histogram",
            -2,
            ADMIN,
            C::NONE,
            Connection(latency::histogram),
            &docs::LATENCY_HISTOGRAM,
        )
        .tips(EACH_NODE),
        command("latency|history", 3, ADMIN, C::NONE, Connection(latency::history), &docs::LATENCY_HISTORY)
            .tips(EACH_NODE),
        command("latency|latest", 2, ADMIN, C::NONE, Connection(latency::latest), &docs::LATENCY_LATEST)
            .tips(EACH_NODE),
        command("latency|reset", -2, ADMIN, C::NONE, Connection(latency::reset), &docs::LATENCY_RESET)
            .tips(NODES_OK),
    ];
