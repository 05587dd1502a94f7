import { Tooltip } from "@mantine/core";
import { useSyncExternalStore } from "react";
import { ago, dateTime } from "./format";

// One clock for every time on the page.
let now = Date.now();
const watchers = new Set<() => void>();
let clock: ReturnType<typeof setInterval> | undefined;

function watch(f: () => void): () => void {
  if (watchers.size === 0) {
    now = Date.now();
    clock = setInterval(() => {
      now = Date.now();
      for (const w of watchers) w();
    }, 5000);
  }
  watchers.add(f);
  return () => {
    watchers.delete(f);
    if (watchers.size === 0) clearInterval(clock);
  };
}

/** The time in ms, every five seconds anew. */
export const useNow = (): number => useSyncExternalStore(watch, () => now);

/** How long ago in short, without the tooltip's cost, where rows come by the hundred. */
export function PlainAgo({ at }: { at: string }) {
  const near = useNow();
  return (
    <time dateTime={at} title={dateTime(at)} className="numbers">
      {ago(Math.min(Date.parse(at), near), near, true)}
    </time>
  );
}

/** How long ago, exact on hover. */
export function TimeAgo({ at }: { at: string }) {
  // The server's clock may be ahead of ours: what has happened is never "in 2 seconds".
  const time = Date.parse(at);
  const near = useNow();
  return (
    <Tooltip label={dateTime(at)}>
      <time dateTime={at} className="numbers" style={{ whiteSpace: "nowrap" }}>
        {ago(time > near && time < near + 10_000 ? near : time, near)}
      </time>
    </Tooltip>
  );
}
