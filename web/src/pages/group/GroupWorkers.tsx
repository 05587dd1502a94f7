import { Anchor, Button, Progress, Stack, Table, Text } from "@mantine/core";
import { IconDeviceDesktop } from "@tabler/icons-react";
import { Link, useParams } from "react-router";
import { type GroupWorker, useGroupWorkers, useMembers } from "../../api/queries/groups";
import { useUser } from "../../app/auth";
import { Empty } from "../../ui/Empty";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { TimeAgo } from "../../ui/TimeAgo";
import { WorkerState } from "../../ui/WorkerState";

export function Component() {
  const { group: id = "" } = useParams();
  const workers = useGroupWorkers(id);
  const members = useMembers(id).data;
  const names = new Map(members?.map((m) => [m.user_id, m.username]));
  if (workers.error) return <Problem error={workers.error} retry={() => void workers.refetch()} />;
  if (workers.data?.length === 0)
    return (
      <Empty
        icon={IconDeviceDesktop}
        title="No worker is connected"
        action={
          <Button component={Link} to={`/workers/new?group=${id}`}>
            Add a worker
          </Button>
        }
      >
        Tasks wait until somebody's computer takes them. Start a worker on yours: it takes one command.
      </Empty>
    );
  return (
    <Rows
      label="Workers"
      loading={workers.isPending}
      columns={["Worker", "State", "Slots in use", "Kinds", "Owner", "Since", "Tasks"]}
    >
      {workers.data?.map((w) => (
        <Row key={w.id} worker={w} owner={names.get(w.owner_id) ?? ""} group={id} />
      ))}
    </Rows>
  );
}

function Row({ worker: w, owner, group }: { worker: GroupWorker; owner: string; group: string }) {
  const mine = useUser().id === w.owner_id;
  return (
    <Table.Tr>
      <Table.Td>
        {mine ? (
          <Anchor component={Link} to={`/workers/${w.id}`} inherit>
            {w.name}
          </Anchor>
        ) : (
          w.name
        )}
        <Text size="xs" c="dimmed">
          {w.sdk}
        </Text>
      </Table.Td>
      <Table.Td>
        <WorkerState state={w.state} idle={w.draining ? "draining" : ""} />
      </Table.Td>
      <Table.Td>
        <Stack gap={4}>
          {w.running} of {w.slots}
          <Progress
            value={w.slots ? (100 * w.running) / w.slots : 0}
            w={80}
            aria-label={`Slots of ${w.name} in use`}
          />
        </Stack>
      </Table.Td>
      <Table.Td miw={140} maw={220}>
        {w.kinds.join(", ")}
      </Table.Td>
      <Table.Td>{mine ? "you" : owner}</Table.Td>
      <Table.Td>
        <TimeAgo at={w.connected_at} />
      </Table.Td>
      <Table.Td>
        <Anchor
          component={Link}
          to={`/groups/${group}/tasks?worker=${w.id}`}
          aria-label={`Tasks of ${w.name}`}
          inherit
        >
          Show
        </Anchor>
      </Table.Td>
    </Table.Tr>
  );
}
