import { IconCheck, IconClock, IconHourglass, IconPlayerPlay, IconSlash, IconX } from "@tabler/icons-react";
import { StateBadge } from "./StateBadge";

/** The states of tasks (docs/state-machine.md). Each has a shape besides its colour. */
const states = {
  scheduled: { colour: "grape", icon: IconClock, label: "Scheduled" },
  queued: { colour: "gray", icon: IconHourglass, label: "Queued" },
  running: { colour: "blue", icon: IconPlayerPlay, label: "Running" },
  succeeded: { colour: "green", icon: IconCheck, label: "Succeeded" },
  failed: { colour: "red", icon: IconX, label: "Failed" },
  cancelled: { colour: "orange", icon: IconSlash, label: "Cancelled" },
} as const;

export type Status = keyof typeof states;

/** Every state of a task, in the order of its life. */
export const allStatuses = Object.keys(states) as Status[];

export const statusLabel = (status: Status): string => states[status].label;
export const statusColour = (status: Status): string => states[status].colour;

/** A task's state. */
export function StatusBadge({ status }: { status: Status }) {
  return <StateBadge {...states[status]} />;
}
