import { Stack, Table, Text } from "@mantine/core";
import { IconDeviceDesktop } from "@tabler/icons-react";
import { type AdminWorker, adminActions, adminKeys, useAllWorkers } from "../../api/queries/admin";
import { useChange } from "../../api/queries/groups";
import { useAddress } from "../../ui/address";
import { ConfirmButton } from "../../ui/ConfirmButton";
import { Empty } from "../../ui/Empty";
import { FilterBar } from "../../ui/FilterBar";
import { count } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { Search } from "../../ui/Search";
import { TimeAgo } from "../../ui/TimeAgo";
import { WorkerState } from "../../ui/WorkerState";

/** Every worker that is connected or may come back. */
export function Component() {
  const q = useAddress()[0].get("q") ?? "";
  const list = useAllWorkers(q);
  const workers = list.data?.pages.flatMap((p) => p.items);
  return (
    <Stack>
      <FilterBar>
        <Search placeholder="What the name begins with" />
      </FilterBar>
      <Listing
        of={list}
        items={workers}
        label="Workers"
        columns={["Worker", "Owner", "State", "Slots in use", "Kinds", "Since", ""]}
        empty={
          <Empty
            icon={IconDeviceDesktop}
            title={q ? `No worker begins with “${q}”` : "No worker is connected"}
          />
        }
        row={(w) => <Row key={w.id} worker={w} />}
      />
      <More list={list} label="Show more workers" />
    </Stack>
  );
}

function Row({ worker: w }: { worker: AdminWorker }) {
  const disconnect = useChange(() => adminActions.disconnect(w.id), adminKeys.workers);
  return (
    <Table.Tr>
      <Table.Td miw={120} style={{ overflowWrap: "anywhere" }}>
        {w.name}
        <Text size="xs" c="dimmed">
          {w.sdk}
        </Text>
      </Table.Td>
      <Table.Td>{w.owner.username}</Table.Td>
      <Table.Td>
        <WorkerState state={w.state} idle={w.draining ? "draining" : ""} />
      </Table.Td>
      <Table.Td style={{ whiteSpace: "nowrap" }}>
        {count(w.running)} of {count(w.slots)}
      </Table.Td>
      <Table.Td miw={140} maw={220}>
        {w.kinds.join(", ")}
      </Table.Td>
      <Table.Td>
        <TimeAgo at={w.connected_at} />
      </Table.Td>
      <Table.Td ta="right">
        <ConfirmButton
          size="xs"
          variant="default"
          title={`Disconnect ${w.name}?`}
          confirm="Disconnect"
          message="What it runs goes to others at once, which does not count against the tasks. It may connect again: to keep it out, disable its owner."
          action={() => disconnect.mutateAsync()}
        >
          Disconnect…
        </ConfirmButton>
      </Table.Td>
    </Table.Tr>
  );
}
