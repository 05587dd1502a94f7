import { Group, Stack, Table, Title } from "@mantine/core";
import { IconHistory } from "@tabler/icons-react";
import { deviceActions, type EventFilter, useHistory } from "../../api/queries/devices";
import { useAddress } from "../../ui/address";
import { Choice } from "../../ui/Choice";
import { Empty } from "../../ui/Empty";
import { ExportButton } from "../../ui/ExportButton";
import { FilterBar } from "../../ui/FilterBar";
import { count, dateTime } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { TimeAgo } from "../../ui/TimeAgo";
import { TimeInput } from "../../ui/TimeInput";
import { SyncBadge } from "./badges";

const statuses = [
  { value: "ok", label: "OK" },
  { value: "partial", label: "Partial" },
  { value: "failed", label: "Failed" },
] as const;

/** What the address says; what makes no sense is left out. */
export function eventFilter(params: URLSearchParams): EventFilter {
  const status = statuses.find((s) => s.value === params.get("status"))?.value;
  const time = (name: "from" | "to") => {
    const at = params.get(name);
    return at !== null && !Number.isNaN(Date.parse(at)) ? { [name]: at } : {};
  };
  return { ...(status && { status }), ...time("from"), ...time("to") };
}

/** Every sync of a device, newest first. */
export function History({ group, id }: { group: string; id: string }) {
  const [params, change] = useAddress();
  const filter = eventFilter(params);
  const list = useHistory(group, id, filter);
  const events = list.data?.pages.flatMap((p) => p.items);
  const { from, to } = filter;
  return (
    <Stack component="section" aria-label="History">
      <Title order={2} size="h4">
        History
      </Title>
      <Group align="flex-end" justify="space-between">
        <FilterBar>
          <Choice
            label="Status"
            any="Any status"
            width={140}
            data={statuses}
            value={filter.status}
            onChange={(status) => change({ status })}
          />
          <TimeInput label="From" value={from} onChange={(v) => change({ from: v })} />
          <TimeInput label="Before" value={to} onChange={(v) => change({ to: v })} />
        </FilterBar>
        <ExportButton
          file={`${id}.csv`}
          read={(signal) => deviceActions.exportDevice(group, id, { from, to }, signal)}
        />
      </Group>
      <Listing
        of={list}
        items={events}
        label="Syncs"
        columns={["By its clock", "Status", "Files", "Errors", "Speed", "Arrived"]}
        empty={
          <Empty icon={IconHistory} title="No sync matches">
            Single syncs are kept for some time only; the charts and sums stay.
          </Empty>
        }
        row={(e) => (
          <Table.Tr key={`${e.timestamp} ${e.event_id ?? ""}`}>
            <Table.Td style={{ whiteSpace: "nowrap" }}>{dateTime(e.timestamp)}</Table.Td>
            <Table.Td>
              <SyncBadge status={e.status} />
            </Table.Td>
            <Table.Td>{count(e.total_files_synced)}</Table.Td>
            <Table.Td>{count(e.total_errors)}</Table.Td>
            <Table.Td>{count(e.internet_speed)}</Table.Td>
            <Table.Td>
              <TimeAgo at={e.received_at} />
            </Table.Td>
          </Table.Tr>
        )}
      />
      <More list={list} label="Show older ones" />
    </Stack>
  );
}
