// BullMQ alone on Redis, with a job that does nothing: TASKS of them, then
// PICKUPS one at a time for an idle worker. It prints a line of JSON for
// bench/alone.go.
import { setTimeout } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';

const tasks = Number(process.env.TASKS);
const pickups = Number(process.env.PICKUPS);
const batch = 1000;
const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
const queue = new Queue('alone', { connection, defaultJobOptions: { removeOnComplete: true } });

let started = 0;
let left = 0;
let drained = (): void => undefined;
const worker = new Worker(
  'alone',
  async () => {
    started = performance.now();
  },
  { connection, concurrency: Number(process.env.CONCURRENCY), autorun: false },
);
worker.on('completed', () => {
  if (--left === 0) drained();
});
worker.on('error', console.error);

/** Resolves when so many more jobs are done. */
function done(n: number): Promise<void> {
  left = n;
  return new Promise((resolve) => {
    drained = resolve;
  });
}

async function enqueue(): Promise<void> {
  for (let i = 0; i < tasks; i += batch) {
    await queue.addBulk(Array.from({ length: batch }, () => ({ name: 'noop', data: {} })));
  }
}

/** Jobs a second. */
async function rate(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (tasks * 1000) / (performance.now() - began);
}

await queue.waitUntilReady();
const waiting = await rate(enqueue);
const process_ = await rate(() => {
  const all = done(tasks);
  void worker.run();
  return all;
});
const both = await rate(() => Promise.all([done(tasks), enqueue()]));
const times: number[] = [];
for (let i = 0; i < pickups; i++) {
  await setTimeout(30); // idle
  const one = done(1);
  await queue.add('noop', {});
  const added = performance.now();
  await one;
  times.push(Math.max(started - added, 0));
}
console.log(JSON.stringify({ enqueue: waiting, process: process_, both, pickup_ms: times }));
await worker.close();
await queue.close();
