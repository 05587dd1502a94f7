// Short names of what the API sends about tasks.
import type { components } from "../schema";

type Schemas = components["schemas"];

export type Task = Schemas["View"];
export type Status = Task["status"];

/** Where a group's list goes on: what was read of it and not shown yet, then the cursor (null: nothing more). */
export interface Head {
  group: string;
  waiting: Task[];
  cursor: string | null | undefined;
}

/** Tasks of some groups, newest first; `next` is null on the last page. */
export interface TaskPage {
  items: Task[];
  next: Head[] | null;
}
export type TaskFilter = Schemas["TaskFilter"];
export type TaskSpec = Schemas["TaskSpec"];
export type LogLine = Schemas["LogView"];
export type TimelineEntry = Schemas["EntryView"];
export type ChildCounts = Schemas["ChildCountView"];

/** A live event of how far an attempt is. */
export interface Progress {
  task_id: string;
  attempt: number;
  percent?: number;
  message?: string;
}

export const statuses: Status[] = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"];

/** Whether a task with the status has come to its end. */
export const ended = (s: Status) => s === "succeeded" || s === "failed" || s === "cancelled";
