// How a page feels, measured in it.
import type { Page } from "@playwright/test";

/** Times of frames, sorted, in ms. */
export class Times {
  constructor(private readonly ms: number[]) {
    ms.sort((a, b) => a - b);
  }
  at(q: number): number {
    return this.ms[Math.floor(this.ms.length * q)] ?? 0;
  }
  toString(): string {
    return `median ${this.at(0.5).toFixed(1)} ms, p95 ${this.at(0.95).toFixed(1)} ms`;
  }
}

/** What was measured while a page was in use. */
export class Frames {
  constructor(
    readonly gaps: Times, // from one frame to the next; drawing without a graphics card takes most of it
    readonly scripts: Times, // what scripts took of each
  ) {}
  toString(): string {
    return `frames ${this.gaps}; their scripts ${this.scripts}`;
  }
}

/**
 * Measures frames for so many ms; with a scroller it is scrolled all the while, so
 * many pixels a frame.
 */
export async function frames(page: Page, ms: number, scroller?: string, step = 0): Promise<Frames> {
  const browser = page.context().browser();
  await browser?.startTracing(page, { categories: ["devtools.timeline", "blink.user_timing"] });
  const gaps = await page.evaluate(
    ({ ms, scroller, step, mark }) =>
      new Promise<number[]>((done) => {
        const box = scroller ? document.querySelector(scroller) : null;
        const gaps: number[] = [];
        let last = performance.now();
        const begin = last;
        const tick = (now: number) => {
          performance.mark(mark);
          gaps.push(now - last);
          last = now;
          if (box) {
            box.scrollTop += step;
          }
          now - begin < ms ? requestAnimationFrame(tick) : done(gaps.slice(1));
        };
        requestAnimationFrame(tick);
      }),
    { ms, scroller, step, mark },
  );
  const trace = JSON.parse(String(await browser?.stopTracing())) as { traceEvents: Traced[] };
  return new Frames(new Times(gaps), new Times(scripting(trace.traceEvents)));
}

/** An event of a trace; times in µs. */
interface Traced {
  name: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
}

const mark = "tests: a frame begins";
const runs = new Set(["FunctionCall", "EvaluateScript", "RunMicrotasks", "TimerFire", "EventDispatch"]);

/** How long scripts ran from one frame to the next, in ms. */
function scripting(events: Traced[]): number[] {
  const frames = events.filter((e) => e.name === mark).sort((a, b) => a.ts - b.ts);
  const [{ pid, tid } = { pid: 0, tid: 0 }] = frames;
  const scripts = events
    .filter((e) => e.pid === pid && e.tid === tid && runs.has(e.name))
    .sort((a, b) => a.ts - b.ts);
  const sums: number[] = [];
  let frame = 0;
  let until = 0; // one that runs within another is counted with it
  for (const { ts, dur = 0 } of scripts) {
    while (frame < frames.length && (frames[frame]?.ts ?? 0) <= ts) sums[frame++] = 0;
    if (frame > 0)
      sums[frame - 1] = (sums[frame - 1] ?? 0) + Math.max(0, ts + dur - Math.max(ts, until)) / 1000;
    until = Math.max(until, ts + dur);
  }
  return sums.slice(0, -1);
}

/** What the page's objects take, in MB, after what is not needed has gone. */
export async function heap(page: Page): Promise<number> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await cdp.send("Runtime.getHeapUsage");
  await cdp.detach();
  return usedSize / 1e6;
}
