// HTTP → BullMQ → socket.io worker → result, no database: what is usually built
// where we have P3 and P4. One process; the worker sockets are the bench's own.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Queue, Worker } from 'bullmq';
import { Server, type Socket } from 'socket.io';

interface Task {
  kind: string;
  input: unknown;
}

const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
const queue = new Queue<Task>('tasks', { connection, defaultJobOptions: { removeOnComplete: true } });
/** What the bench asks for: last is when the newest result was stored, in Unix milliseconds. */
const state = { accepted: 0, done: 0, last: 0 };

async function submit(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const body = JSON.parse(Buffer.concat(pieces).toString()) as Task & { tasks?: Task[] };
  const tasks = body.tasks ?? [body];
  const jobs = body.tasks
    ? await queue.addBulk(tasks.map((data) => ({ name: data.kind, data })))
    : [await queue.add(body.kind, body)];
  state.accepted += jobs.length;
  answer(response, 202, { ids: jobs.map((job) => job.id) });
}

function answer(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
}

const http = createServer((request, response) => {
  if (request.method === 'GET') {
    answer(response, 200, state);
    return;
  }
  submit(request, response).catch((error: unknown) => answer(response, 500, { error: String(error) }));
});

const sockets: Socket[] = [];
let turn = 0;
new Server(http, { transports: ['websocket'] }).on('connection', (socket) => {
  sockets.push(socket);
});
const worker = new Worker<Task>(
  'tasks',
  (job) => sockets[turn++ % sockets.length].emitWithAck('task', job.id, job.data),
  { connection, concurrency: Number(process.env.CONCURRENCY), autorun: false },
);
worker.on('completed', () => {
  state.done++;
  state.last = performance.timeOrigin + performance.now();
});
worker.on('error', console.error);
worker.on('failed', (_, error) => console.error(error));
void worker.run();
await queue.waitUntilReady();
http.listen(Number(process.env.PORT), '127.0.0.1');
