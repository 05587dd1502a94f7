import { Button, Group, Stack, Table, Text } from "@mantine/core";
import { IconStack2 } from "@tabler/icons-react";
import { adminActions, adminKeys, type Queue, useQueues, useToEmpty } from "../../api/queries/admin";
import { useChange } from "../../api/queries/groups";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Empty } from "../../ui/Empty";
import { plural } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { Problem } from "../../ui/Problem";
import { PauseQueue } from "./PauseQueue";
import { QueueCells, queueColumns } from "./QueueCells";

/** What waits, by group and kind, and what holds it back. */
export function Component() {
  const list = useQueues();
  const queues = list.data?.pages.flatMap((p) => p.items);
  return (
    <Stack>
      <Group justify="flex-end">
        <PauseQueue />
      </Group>
      <Listing
        of={list}
        items={queues}
        label="Queues"
        columns={[...queueColumns, ""]}
        empty={
          <Empty icon={IconStack2} title="Nothing waits">
            A kind of tasks in a group is a queue. It is here while tasks of it wait, and while it is paused.
          </Empty>
        }
        row={(q) => <Row key={`${q.group.id} ${q.kind}`} queue={q} />}
      />
      <More list={list} label="Show more queues" />
    </Stack>
  );
}

function Row({ queue: q }: { queue: Queue }) {
  const name = { group: q.group.id, kind: q.kind };
  const words = `${q.kind} of ${q.group.name}`;
  const pause = useChange(adminActions.pause, adminKeys.queues);
  const resume = useChange(adminActions.resume, adminKeys.queues);
  const empty = useChange(adminActions.empty, adminKeys.queues);
  return (
    <Table.Tr>
      <QueueCells queue={q} />
      <Table.Td>
        <Group gap="xs" justify="flex-end" wrap="nowrap">
          <Button
            size="xs"
            variant="default"
            aria-label={`${q.paused ? "Resume" : "Pause"} ${words}`}
            loading={pause.isPending || resume.isPending}
            onClick={() => (q.paused ? resume : pause).mutate(name)}
          >
            {q.paused ? "Resume" : "Pause"}
          </Button>
          <ConfirmButton
            size="xs"
            variant="default"
            title={`Empty ${words}?`}
            confirm="Cancel them"
            message={<WillCancel queue={name} />}
            action={() => empty.mutateAsync(name)}
          >
            Empty…
          </ConfirmButton>
        </Group>
        <Problem error={pause.error ?? resume.error} />
      </Table.Td>
    </Table.Tr>
  );
}

function WillCancel({ queue }: { queue: { group: string; kind: string } }) {
  const found = useToEmpty(queue);
  if (found.error) return <Problem error={found.error} retry={() => void found.refetch()} />;
  return (
    <Text aria-live="polite">
      {found.data === undefined || found.isFetching
        ? "Counting…"
        : `This cancels ${plural(found.data, "task")}, also scheduled ones and parts. What runs goes on. It cannot be undone.`}
    </Text>
  );
}
