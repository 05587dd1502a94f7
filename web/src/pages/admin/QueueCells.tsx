import { Table } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import type { Queue } from "../../api/queries/admin";
import { count } from "../../ui/format";
import { StateBadge } from "../../ui/StateBadge";
import { TimeAgo } from "../../ui/TimeAgo";

export const queueColumns = ["Group", "Kind", "State", "Waiting", "Scheduled", "Oldest"];

/** What is told of a queue in a table. */
export function QueueCells({ queue: q }: { queue: Queue }) {
  return (
    <>
      <Table.Td miw={120} style={{ overflowWrap: "anywhere" }}>
        {q.group.name}
      </Table.Td>
      <Table.Td>{q.kind}</Table.Td>
      <Table.Td>
        {q.paused ? (
          <StateBadge colour="orange" icon={IconPlayerPause} label="Paused" />
        ) : (
          <StateBadge colour="green" icon={IconPlayerPlay} label="Open" />
        )}
      </Table.Td>
      <Table.Td>{count(q.waiting)}</Table.Td>
      <Table.Td>{count(q.scheduled)}</Table.Td>
      <Table.Td>{q.oldest_at ? <TimeAgo at={q.oldest_at} /> : "–"}</Table.Td>
    </>
  );
}
