import { IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import type { Queue } from "../../api/queries/admin";
import { StateBadge } from "../../ui/StateBadge";

/** Whether tasks of a queue start. */
export function QueueState({ queue }: { queue: Queue }) {
  return queue.paused ? (
    <StateBadge colour="orange" icon={IconPlayerPause} label="Paused" />
  ) : (
    <StateBadge colour="green" icon={IconPlayerPlay} label="Open" />
  );
}
