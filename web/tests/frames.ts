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

/** The longest median gap that counts as smooth: more on a machine where the page at rest has long ones too. */
export const smooth = (atRest: Frames): number => Math.max(50, 3 * atRest.gaps.at(0.5)); // ms; 16.7 on an idle one

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
  tts: number; // of the thread's own clock, which stands while others have the processor
  tdur?: number;
}

const mark = "tests: a frame begins";
const scripts = new Set(["FunctionCall", "EvaluateScript", "RunMicrotasks", "TimerFire", "EventDispatch"]);
const layouts = new Set(["UpdateLayoutTree", "Layout"]); // a script that asks for one waits for it

/** How long scripts ran from one frame to the next, in ms. */
function scripting(events: Traced[]): number[] {
  const frames = events.filter((e) => e.name === mark).sort((a, b) => a.ts - b.ts);
  const [{ pid, tid } = { pid: 0, tid: 0 }] = frames;
  const sums = frames.map(() => 0);
  let frame = -1;
  let until = 0; // where the last script ended: what runs within it is counted already
  for (const e of events.filter((e) => e.pid === pid && e.tid === tid).sort((a, b) => a.ts - b.ts)) {
    while ((frames[frame + 1]?.ts ?? Number.POSITIVE_INFINITY) <= e.ts) frame++;
    const end = e.tts + (e.tdur ?? 0);
    let took = 0;
    if (scripts.has(e.name)) took = Math.max(0, end - Math.max(e.tts, until));
    else if (layouts.has(e.name) && e.tts < until) took = e.tts - end;
    if (frame >= 0) sums[frame] = (sums[frame] ?? 0) + took / 1000;
    if (scripts.has(e.name)) until = Math.max(until, end);
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
