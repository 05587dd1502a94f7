// How a page feels, measured in it.
import type { Page } from "@playwright/test";

/** The times between frames, sorted, in ms. */
export class Frames {
  constructor(readonly gaps: number[]) {
    gaps.sort((a, b) => a - b);
  }
  at(q: number): number {
    return this.gaps[Math.floor(this.gaps.length * q)] ?? 0;
  }
  toString(): string {
    const [median, most] = [this.at(0.5).toFixed(1), this.at(0.95).toFixed(1)];
    return `${this.gaps.length} frames, median ${median} ms, p95 ${most} ms`;
  }
}

/**
 * Measures frames for so many ms; with a scroller it is scrolled all the while, so
 * many pixels a frame.
 */
export async function frames(page: Page, ms: number, scroller?: string, step = 0): Promise<Frames> {
  const gaps = await page.evaluate(
    ({ ms, scroller, step }) =>
      new Promise<number[]>((done) => {
        const box = scroller ? document.querySelector(scroller) : null;
        const gaps: number[] = [];
        let last = performance.now();
        const begin = last;
        const tick = (now: number) => {
          gaps.push(now - last);
          last = now;
          if (box) {
            box.scrollTop += step;
          }
          now - begin < ms ? requestAnimationFrame(tick) : done(gaps.slice(1));
        };
        requestAnimationFrame(tick);
      }),
    { ms, scroller, step },
  );
  return new Frames(gaps);
}

/** What the page's objects take, in MB, after what is not needed has gone. */
export async function heap(page: Page): Promise<number> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await cdp.send("Runtime.getHeapUsage");
  await cdp.detach();
  return usedSize / 1e6;
}
