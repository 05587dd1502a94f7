import { Anchor, NumberInput, SegmentedControl, Select, Stack, Table, Text } from "@mantine/core";
import { IconMoodSmile } from "@tabler/icons-react";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { type FailingDevice, type FailuresFilter, useFailures } from "../../api/queries/devices";
import { oneOf, useAddress } from "../../ui/address";
import { devicePage } from "../../ui/devicePage";
import { Empty } from "../../ui/Empty";
import { FilterBar } from "../../ui/FilterBar";
import { count, plural } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { TimeAgo } from "../../ui/TimeAgo";
import { nameOf } from "./DeviceActions";

const windows = [
  { value: "24h", label: "Last 24 hours" },
  { value: "7d", label: "Last 7 days" },
  { value: "30d", label: "Last 30 days" },
  { value: "90d", label: "Last 90 days" },
] as const;

/** What the address asks for. */
export function failuresFilter(params: URLSearchParams): FailuresFilter {
  const threshold = Number(params.get("threshold") ?? "3");
  const whole = Number.isInteger(threshold) && threshold >= 0 && threshold <= 1_000_000;
  return {
    mode: oneOf(params.get("mode"), ["total", "consecutive"]),
    threshold: whole ? threshold : 3,
    window: oneOf(params.get("window"), ["24h", "7d", "30d", "90d"]),
  };
}

/** Devices that fail again and again, the worst first. */
export function Component() {
  const { group = "" } = useParams();
  const [params, change] = useAddress();
  const filter = failuresFilter(params);
  const [typed, setTyped] = useState<number | string>(filter.threshold); // "" while it is typed anew
  const list = useFailures(group, filter);
  const total = filter.mode === "total";
  return (
    <Stack>
      <FilterBar>
        <SegmentedControl
          aria-label="What counts"
          data={[
            { value: "total", label: "In total" },
            { value: "consecutive", label: "In a row" },
          ]}
          value={filter.mode}
          onChange={(v) => change({ mode: v === "total" ? undefined : v })}
        />
        <NumberInput
          label={total ? "More failures than" : "At least"}
          w={150}
          min={0}
          max={1_000_000}
          allowDecimal={false}
          value={typed}
          onChange={(v) => {
            setTyped(v);
            if (typeof v === "number") change({ threshold: v === 3 ? undefined : String(v) });
          }}
        />
        <Select
          label="Time"
          w={160}
          data={windows}
          allowDeselect={false}
          value={filter.window}
          onChange={(v) => change({ window: v === "24h" || v === null ? undefined : v })}
        />
      </FilterBar>
      <Text size="sm" c="dimmed">
        {total
          ? `Devices with more than ${plural(filter.threshold, "failed sync")} in this time.`
          : `Devices whose newest ${plural(Math.max(1, filter.threshold), "sync", "syncs")} or more failed, the last of them in this time.`}
      </Text>
      <Listing
        of={list}
        items={list.data}
        label="Devices that fail"
        columns={["Device", "Failures in this time", "In a row now", "First", "Last", "Last without errors"]}
        empty={
          <Empty icon={IconMoodSmile} title="No device fails so often">
            Those that do appear here by themselves.
          </Empty>
        }
        row={(d) => <Row key={d.device_id} device={d} />}
      />
    </Stack>
  );
}

function Row({ device: d }: { device: FailingDevice }) {
  const time = (at: string | null) => (at ? <TimeAgo at={at} /> : "never");
  return (
    <Table.Tr>
      <Table.Td miw={150} maw={280} style={{ overflowWrap: "anywhere" }}>
        <Anchor component={Link} to={devicePage(d.group, d.device_id)} inherit>
          {nameOf(d)}
        </Anchor>
      </Table.Td>
      <Table.Td>{count(d.failures)}</Table.Td>
      <Table.Td>{count(d.streak)}</Table.Td>
      <Table.Td>{time(d.first_failure_at)}</Table.Td>
      <Table.Td>{time(d.last_failure_at)}</Table.Td>
      <Table.Td>{time(d.last_success_at)}</Table.Td>
    </Table.Tr>
  );
}
