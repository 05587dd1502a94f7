// Live events of tasks, gathered between two frames of the screen and then put
// into what was read before.
import { type QueryKey, useIsFetching, useQueryClient } from "@tanstack/react-query";
import { useEffect, useEffectEvent, useRef } from "react";
import type { LogLine, Progress, Task } from "../../api/queries/taskTypes";
import { live } from "../../live/live";
import type { LiveEvent } from "../../live/socket";
import { Batch } from "./merge";

/** More tasks than this between two frames (a tab in the background has none) are read again instead. */
const mostInBatch = 20_000;

/** Calls onBatch at most once a frame with what arrived on the topics, and onGap where events were missed. */
export function useBatches(topics: string[], onBatch: (b: Batch) => void, onGap: () => void): void {
  const give = useEffectEvent(onBatch);
  const gap = useEffectEvent(onGap);
  const all = topics.join(" ");
  useEffect(() => {
    let batch = new Batch();
    let frame = 0;
    const flush = () => {
      frame = 0;
      const full = batch;
      batch = new Batch();
      if (full.tasks.size > mostInBatch) gap();
      else give(full);
    };
    const handler = (e: LiveEvent) => {
      if (e.type === "resync" || e.type === "subscribed") return gap();
      if (!take(batch, e)) return;
      frame ||= requestAnimationFrame(flush);
    };
    const ends = all
      .split(" ")
      .filter(Boolean)
      .map((t) => live.subscribe(t, handler));
    return () => {
      cancelAnimationFrame(frame);
      for (const end of ends) end();
    };
  }, [all]);
}

function take(batch: Batch, e: LiveEvent): boolean {
  if (e.type === "task") {
    if (batch.tasks.size <= mostInBatch) batch.task(e.task as Task);
  } else if (e.type === "progress") batch.progressOf(e.progress as Progress);
  else if (e.type === "log") batch.lines.push(...(e.log as { lines: LogLine[] }).lines);
  else return false;
  return true;
}

/**
 * Patches the data of a query with batches. What arrives while the query is read
 * is applied once more to what was read, which may be older.
 */
export function usePatch<T>(key: QueryKey, apply: (data: T, b: Batch) => T): (b: Batch) => void {
  const client = useQueryClient();
  const held = useRef(new Batch());
  const fetching = useIsFetching({ queryKey: key, exact: true }) > 0;
  const patch = useEffectEvent((b: Batch) => {
    client.setQueryData<T>(key, (old) => (old === undefined ? old : apply(old, b)));
  });
  useEffect(() => {
    if (fetching || held.current.empty) return;
    const late = held.current;
    held.current = new Batch();
    patch(late);
  }, [fetching]);
  return (b) => {
    if (client.isFetching({ queryKey: key, exact: true }) > 0) held.current.add(b);
    client.setQueryData<T>(key, (old) => (old === undefined ? old : apply(old, b)));
  };
}
