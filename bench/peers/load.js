// The load that Firmlight and its peers get, with autocannon: events that are
// all new, of 1,000 devices that report in turn. The requests are built once and
// the fields that change are written into them, so that the load generator leaves
// the shared machine to the servers.
//
//   node load.js '{"url": …, "token": …, "connections": 100, "batch": 0, "from": ms, "warmup": s, "seconds": s}'
//
// batch 0: one event a request, else so many in an array. It prints one JSON line.
import autocannon from 'autocannon';

const event =
  '{"device_id":"device-000000","timestamp":"2026-01-01T00:00:00.000Z","total_files_synced":12,"total_errors":0,"internet_speed":10.5}';
const at = {
  device: event.indexOf('000000'),
  time: event.indexOf('2026'),
  errors: event.indexOf('0,"internet'),
  speed: event.indexOf('10.5'),
};

const options = JSON.parse(process.argv[2]);
const devices = options.devices ?? 1000;
const interval = options.interval ?? 10_000; // ms between two events of a device

/** A connection's own devices, and the events they have not sent yet. */
class Reporter {
  constructor(number, of, from) {
    this.number = number;
    this.of = of;
    this.from = from;
    this.own = Math.floor(devices / of);
    this.sent = 0;
  }

  /** Writes the next event over the one that begins at start. */
  write(buffer, start) {
    const turn = Math.floor(this.sent / this.own);
    const device = this.number + this.of * (this.sent % this.own);
    this.sent++;
    buffer.latin1Write(String(device).padStart(6, '0'), start + at.device);
    buffer.latin1Write(new Date(this.from + turn * interval).toISOString(), start + at.time);
    buffer[start + at.errors] = (turn + device) % 20 === 0 ? 49 : 48; // one in twenty failed
    const speed = (turn * 7 + device * 13) % 90;
    buffer[start + at.speed] = 49 + Math.floor(speed / 10);
    buffer[start + at.speed + 1] = 48 + (speed % 10);
  }
}

function run(seconds, reporters) {
  let connected = 0;
  return autocannon({
    url: options.url,
    connections: options.connections,
    duration: seconds,
    timeout: 30,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(options.token && { authorization: `Bearer ${options.token}` }),
    },
    body: options.batch ? `[${Array(options.batch).fill(event).join()}]` : event,
    setupClient(client) {
      const reporter = reporters[connected++];
      const request = client.getRequestBuffer();
      const begin = request.indexOf('\r\n\r\n') + (options.batch ? 5 : 4);
      client.getRequestBuffer = () => {
        for (let i = 0; i < (options.batch || 1); i++) {
          reporter.write(request, begin + i * (event.length + 1));
        }
        return request;
      };
    },
  });
}

const reporters = Array.from(
  { length: options.connections },
  (_, i) => new Reporter(i, options.connections, options.from),
);
const counts = (result) =>
  Object.fromEntries(Object.entries(result.statusCodeStats).map(([code, { count }]) => [code, count]));

const warm = options.warmup ? await run(options.warmup, reporters) : { statusCodeStats: {} };
const before = process.cpuUsage();
const result = await run(options.seconds, reporters);
const used = process.cpuUsage(before);
console.log(
  JSON.stringify({
    warmup: counts(warm),
    codes: counts(result),
    errors: result.errors + result.timeouts + (warm.errors ?? 0) + (warm.timeouts ?? 0),
    seconds: result.duration,
    mean_ms: result.latency.mean,
    p50_ms: result.latency.p50,
    p99_ms: result.latency.p99,
    cpu_us: used.user + used.system,
  }),
);
