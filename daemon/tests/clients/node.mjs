// Sessions of node-redis and ioredis against ourod: `node.mjs SOCKET PORT`. Ends with status 0 when all is as they expect.

import assert from "node:assert/strict";
import Redis from "ioredis";
import { createClient } from "redis";

const [socket, port] = [process.argv[2], Number(process.argv[3])];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function nodeRedis(options) {
  const client = createClient(options);
  await client.connect();
  await client.flushAll();
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.set("a", "1"), "OK");
  assert.equal(await client.get("a"), "1");
  assert.equal(await client.get("none"), null);
  assert.equal(await client.incrBy("a", 41), 42);
  assert.equal(await client.set("a", "2", { NX: true }), null);
  await client.mSet({ b: "2", c: "3" });
  assert.deepEqual(await client.mGet(["b", "none", "c"]), ["2", null, "3"]);
  await client.set("e", "1", { PX: 30 });
  await pause(100);
  assert.equal(await client.exists("e"), 0);
  // Sent without waiting: the client pipelines them.
  const many = Array.from({ length: 5000 }, (_, i) => `p:${i}`);
  await Promise.all(many.map((key, i) => client.set(key, String(i))));
  assert.deepEqual(await Promise.all(many.map((key) => client.get(key))), many.map((_, i) => String(i)));
  const seen = new Set();
  for await (const keys of client.scanIterator({ MATCH: "p:*", COUNT: 100 })) [keys].flat().forEach((key) => seen.add(key));
  assert.equal(seen.size, 5000);
  await assert.rejects(client.sendCommand(["NOSUCH"]), /unknown command/);
  const big = "x".repeat(5 << 20);
  await client.set("big", big);
  assert.equal(await client.get("big"), big);
  const listener = client.duplicate();
  await listener.connect();
  const heard = new Promise((done) => listener.subscribe("news", done));
  while ((await client.publish("news", "hello")) === 0) await pause(5);
  assert.equal(await heard, "hello");
  assert.match(await client.info(), /redis_version/);
  assert.deepEqual({ ...(await client.configGet("maxmemory-policy")) }, { "maxmemory-policy": "noeviction" });
  listener.destroy();
  await client.close();
}

async function ioredis(options) {
  const client = new Redis(options);
  await client.flushall();
  assert.equal(await client.set("a", "1"), "OK");
  assert.equal(await client.incrby("a", 41), 42);
  assert.equal(await client.set("t", "1", "EX", 100), "OK");
  assert.ok((await client.ttl("t")) >= 99);
  await client.mset({ b: "2", c: "3" });
  assert.deepEqual(await client.mget("b", "none", "c"), ["2", null, "3"]);
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  await client.set("bytes", bytes);
  assert.deepEqual(await client.getBuffer("bytes"), bytes);
  const pipeline = client.pipeline();
  for (let i = 0; i < 1000; i++) pipeline.set(`p:${i}`, i);
  pipeline.lpush("p:1", 1);
  const answers = await pipeline.exec();
  assert.equal(answers.slice(0, 1000).every(([error, answer]) => error === null && answer === "OK"), true);
  assert.match(answers[1000][0].message, /unknown command/);
  let count = 0;
  for await (const keys of client.scanStream({ match: "p:*", count: 100 })) count += keys.length;
  assert.equal(count, 1000);
  const listener = client.duplicate();
  await listener.psubscribe("n*");
  const heard = new Promise((done) => listener.on("pmessage", (...words) => done(words)));
  await client.publish("news", "hello");
  assert.deepEqual(await heard, ["n*", "news", "hello"]);
  listener.disconnect();
  await client.quit();
}

for (const RESP of [2, 3]) {
  await nodeRedis({ RESP, socket: { path: socket } });
  await nodeRedis({ RESP, socket: { host: "127.0.0.1", port } });
}
await ioredis({ path: socket });
await ioredis({ host: "127.0.0.1", port });
console.log("node-redis and ioredis ok");
