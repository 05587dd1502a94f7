// What happened to a task, in plain words.
import type { TimelineEntry } from "../../api/queries/taskTypes";

export interface Told {
  title: string;
  detail?: string;
  tone: "plain" | "good" | "bad" | "warn";
}

/** One line of a timeline in words. */
export function tell(e: TimelineEntry): Told {
  const who = e.worker || "the worker";
  const attempt = e.attempt ? ` (attempt ${e.attempt})` : "";
  switch (e.event) {
    case "submitted":
      return { title: "Submitted", tone: "plain" };
    case "assigned":
      return { title: `Started on ${who}${attempt}`, tone: "plain" };
    case "succeeded":
      return { title: e.worker ? `Finished on ${who}` : "Finished", tone: "good" };
    case "failed":
      return { title: `Failed for good${attempt}`, detail: e.detail, tone: "bad" };
    case "retrying":
      return {
        title: `Failed on ${who}${attempt}, tried again after a pause`,
        detail: e.detail,
        tone: "warn",
      };
    case "timed_out":
      return { title: `${upper(who)} took too long${attempt}, tried again`, detail: e.detail, tone: "warn" };
    case "rejected":
      return {
        title: `${upper(who)} would not take it, given to another one`,
        detail: e.detail,
        tone: "warn",
      };
    case "last_heard":
      return { title: `${upper(who)} was last heard from`, tone: "plain" };
    case "worker_lost":
      return { title: `${upper(who)} was lost while working on it`, detail: e.detail, tone: "warn" };
    case "reassigned":
      return { title: `Taken back from ${who} and queued for another worker`, tone: "warn" };
    case "late_result_refused":
      return { title: `A late result of ${who} was refused`, detail: e.detail, tone: "plain" };
    case "cancel_requested":
      return { title: "Asked to stop", tone: "plain" };
    case "cancelled":
      return { title: "Cancelled", tone: "plain" };
    case "retried":
      return { title: "Queued again by hand", tone: "plain" };
    case "payloads_dropped":
      return { title: "Input, result and log were deleted", tone: "plain" };
    case "split":
      return { title: e.detail ? `Split into ${e.detail}` : "Split into parts", tone: "plain" };
    case "reduced":
      return { title: "Parts were put together", tone: "plain" };
    default:
      return { title: upper(String(e.event).replaceAll("_", " ")), detail: e.detail, tone: "plain" };
  }
}

const upper = (s: string) => s.charAt(0).toUpperCase() + s.slice(1);
