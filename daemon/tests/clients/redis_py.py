"""A session of redis-py against ourod: `redis_py.py SOCKET PORT`. Ends with status 0 when all is as redis-py expects."""

import sys
import threading
import time

import redis

SOCKET, PORT = sys.argv[1], int(sys.argv[2])


def check(got, expected, what):
    if got != expected:
        sys.exit(f"redis-py: {what}: got {got!r}, expected {expected!r}")


def error_of(call, kind=redis.ResponseError):
    try:
        call()
    except kind as error:
        return str(error)
    sys.exit("redis-py: an error was expected")


def strings(r):
    check(r.ping(), True, "ping")
    check(r.set("a", "1"), True, "set")
    check(r.get("a"), b"1", "get")
    check(r.get("none"), None, "get of nothing")
    check(r.set("a", "2", nx=True), None, "set nx")
    check(r.set("a", "2", xx=True, get=True), b"1", "set xx get")
    check(r.incrby("a", 40), 42, "incrby")
    check(r.incrbyfloat("f", 1.5), 1.5, "incrbyfloat")
    check(r.append("s", "hello"), 5, "append")
    check(r.setrange("s", 5, " world"), 11, "setrange")
    check(r.getrange("s", 0, 4), b"hello", "getrange")
    check(r.strlen("s"), 11, "strlen")
    check(r.getset("s", "t"), b"hello world", "getset")
    check(r.getdel("s"), b"t", "getdel")
    check(r.mset({"m1": "1", "m2": "2"}), True, "mset")
    check(r.mget("m1", "none", "m2"), [b"1", None, b"2"], "mget")
    check(r.setbit("bits", 7, 1), 0, "setbit")
    check(r.bitcount("bits"), 1, "bitcount")
    check(r.bitfield("bits").set("u8", 0, 255).get("u4", 0).execute(), [1, 15], "bitfield")
    binary = bytes(range(256)) * 40
    r.set(b"\x00\xff", binary)
    check(r.get(b"\x00\xff"), binary, "binary key and value")
    big = b"x" * (20 << 20)
    r.set("big", big)
    check(r.get("big"), big, "20 MiB")
    check(r.delete("big", "none"), 1, "delete")


def expiry(r):
    check(r.set("e", "1", ex=100), True, "set ex")
    check(r.ttl("e") in (99, 100), True, "ttl")
    check(r.persist("e"), True, "persist")
    check(r.ttl("e"), -1, "ttl of what stays")
    check(r.pexpire("e", 30), True, "pexpire")
    time.sleep(0.1)
    check(r.exists("e"), 0, "expired")
    check(r.getex("a", ex=50), b"42", "getex")
    check(r.expiretime("a") > time.time(), True, "expiretime")


def keys(r):
    r.mset({f"scan:{i}": i for i in range(1000)})
    check(len(set(r.scan_iter("scan:*", count=50))), 1000, "scan")
    check(len(r.keys("scan:*")), 1000, "keys")
    check(r.type("a"), b"string", "type")
    check(r.rename("m1", "m3"), True, "rename")
    check(r.copy("m3", "m4"), True, "copy")
    check(r.touch("m3", "m4"), 2, "touch")
    check(r.object("encoding", "m4"), b"int", "object encoding")
    dumped = r.dump("m4")
    check(r.restore("m5", 0, dumped), b"OK", "restore")
    check(r.get("m5"), b"1", "restored")
    check(r.unlink("m3", "m4", "m5"), 3, "unlink")
    check(r.dbsize() > 1000, True, "dbsize")


def pipelines(r):
    with r.pipeline(transaction=False) as pipe:
        for i in range(5000):
            pipe.set(f"p:{i}", i)
        check(all(pipe.execute()), True, "pipeline of sets")
        for i in range(5000):
            pipe.get(f"p:{i}")
        check(pipe.execute(), [str(i).encode() for i in range(5000)], "pipeline of gets")
        pipe.set("ok", 1).lpush("ok", 2).get("ok")
        answers = pipe.execute(raise_on_error=False)
        check((answers[0], isinstance(answers[1], redis.ResponseError), answers[2]), (True, True, b"1"), "error inside")


def pubsub(r):
    listener = r.pubsub()
    listener.subscribe("news")
    listener.psubscribe("n?ws")
    for _ in range(2):
        check(listener.get_message(timeout=5) is not None, True, "subscribed")
    check(r.publish("news", "hello"), 2, "publish")
    kinds = sorted(listener.get_message(timeout=5)["type"] for _ in range(2))
    check(kinds, ["message", "pmessage"], "messages")
    listener.close()


def server(r):
    info = r.info()
    check("redis_version" in info and "used_memory" in info, True, "info")
    check(r.config_get("maxmemory-policy"), {"maxmemory-policy": "noeviction"}, "config get")
    check(r.client_setname("me"), True, "client setname")
    check(r.client_getname() in ("me", b"me"), True, "client getname")
    check(any(client["name"] == "me" for client in r.client_list()), True, "client list")
    check(r.acl_whoami() in ("default", b"default"), True, "acl whoami")
    check("get" in r.command(), True, "command")
    check(bool(r.bgsave()), True, "bgsave")
    check("unknown command" in error_of(lambda: r.execute_command("NOSUCH")), True, "unknown command")
    check("wrong number of arguments" in error_of(lambda: r.execute_command("GET")), True, "no key")
    check("not an integer" in error_of(lambda: r.incrby("scan:1", "x")), True, "no number")


def threads():
    pool = redis.BlockingConnectionPool(host="127.0.0.1", port=PORT, max_connections=8)
    r = redis.Redis(connection_pool=pool)
    r.delete("counter")

    def work():
        for _ in range(500):
            r.incr("counter")

    workers = [threading.Thread(target=work) for _ in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    check(r.get("counter"), b"8000", "16 threads")
    # redis-py frees a lock by a script, and there are none here.
    check("unknown command 'EVAL" in error_of(lambda: r.eval("return 1", 0)), True, "eval")


for protocol in (2, 3):
    for options in ({"unix_socket_path": SOCKET}, {"host": "127.0.0.1", "port": PORT}):
        r = redis.Redis(protocol=protocol, **options)
        r.flushall()
        for part in (strings, expiry, keys, pipelines, pubsub, server):
            part(r)
        r.close()
threads()
print("redis-py", redis.__version__, "ok")
