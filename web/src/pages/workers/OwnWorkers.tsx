import { Anchor, Button, Switch, Table, Text } from "@mantine/core";
import { IconDeviceDesktop, IconPlus } from "@tabler/icons-react";
import { Link } from "react-router";
import { useChange } from "../../api/queries/groups";
import {
  type OwnWorker,
  useLiveWorkers,
  useOwnWorkers,
  workerActions,
  workerKeys,
} from "../../api/queries/workers";
import { Empty } from "../../ui/Empty";
import { Listing } from "../../ui/Listing";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { TimeAgo } from "../../ui/TimeAgo";
import { WorkerState } from "../../ui/WorkerState";

export function Component() {
  useLiveWorkers();
  const workers = useOwnWorkers();
  const add = (
    <Button component={Link} to="/workers/new" leftSection={<IconPlus size={16} />}>
      Add a worker
    </Button>
  );
  return (
    <Page title="My workers" actions={add}>
      <Listing
        of={workers}
        items={workers.data}
        label="My workers"
        columns={["Worker", "State", "Slots in use", "Kinds", "Seen", "Takes tasks"]}
        empty={
          <Empty icon={IconDeviceDesktop} title="None of your computers has worked yet" action={add}>
            A worker is a program on a computer of yours that takes tasks of your groups. You say when and how
            much.
          </Empty>
        }
        row={(w) => <Row key={w.id} worker={w} />}
      />
    </Page>
  );
}

function Row({ worker: w }: { worker: OwnWorker }) {
  const update = useChange((paused: boolean) => workerActions.update(w.id, { paused }), workerKeys.all);
  return (
    <Table.Tr>
      <Table.Td>
        <Anchor component={Link} to={`/workers/${w.id}`} inherit>
          {w.name}
        </Anchor>
        <Text size="xs" c="dimmed">
          {w.sdk}
        </Text>
      </Table.Td>
      <Table.Td>
        <WorkerState state={w.state} idle={w.idle_reason} />
      </Table.Td>
      <Table.Td>
        {w.running} of {w.slots}
      </Table.Td>
      <Table.Td miw={140} maw={240}>
        {w.kinds.join(", ")}
      </Table.Td>
      <Table.Td>
        <TimeAgo at={w.last_seen} />
      </Table.Td>
      <Table.Td>
        <Switch
          aria-label={`${w.name} takes tasks`}
          checked={!(update.isPending ? update.variables : w.settings.paused)}
          onChange={(e) => update.mutate(!e.currentTarget.checked)}
        />
        <Problem error={update.error} />
      </Table.Td>
    </Table.Tr>
  );
}
