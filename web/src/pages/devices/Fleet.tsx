import { Anchor, Button, Code, Group, SegmentedControl, Skeleton, Stack, Table, Text } from "@mantine/core";
import { IconDevices, IconSearch } from "@tabler/icons-react";
import { lazy, Suspense } from "react";
import { Link, useParams } from "react-router";
import { type Device, type DeviceState, deviceActions, useDevices } from "../../api/queries/devices";
import { atLeast, useGroup } from "../../api/queries/groups";
import { oneOf, useAddress } from "../../ui/address";
import { devicePage } from "../../ui/devicePage";
import { Empty } from "../../ui/Empty";
import { ExportButton } from "../../ui/ExportButton";
import { count, duration } from "../../ui/format";
import { More } from "../../ui/More";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { TimeAgo } from "../../ui/TimeAgo";
import { Typed } from "../../ui/Typed";
import { DeviceBadges, Tags } from "./badges";
import { DeviceActions, nameOf } from "./DeviceActions";

const FleetChart = lazy(() => import("./FleetChart"));

const words: Record<DeviceState, string> = {
  active: "In use",
  pending: "Waiting for approval",
  retired: "Retired",
};

/** The group's devices as a table. */
export function Component() {
  const { group = "" } = useParams();
  const [params, change] = useAddress();
  const admin = atLeast(useGroup(group).data?.role ?? "viewer", "admin");
  const states: [DeviceState, ...DeviceState[]] = admin
    ? ["active", "pending", "retired"]
    : ["active", "retired"];
  const state = oneOf(params.get("state"), states);
  const q = params.get("q") ?? "";
  const list = useDevices(group, { state, q });
  const devices = list.data?.pages.flatMap((p) => p.items);
  return (
    <Stack>
      {state === "active" && q === "" && devices && devices.length > 0 && (
        <Suspense fallback={<Skeleton h={242} />}>
          <FleetChart group={group} />
        </Suspense>
      )}
      <Group align="flex-end" justify="space-between">
        <Group align="flex-end">
          <Typed
            label="Search"
            value={q}
            onChange={(v) => change({ q: v })}
            placeholder="What the id begins with"
            width={240}
            max={128}
            search
          />
          <SegmentedControl
            aria-label="Which devices"
            data={states.map((value) => ({ value, label: words[value] }))}
            value={state}
            onChange={(v) => change({ state: v === "active" ? undefined : v })}
          />
        </Group>
        <ExportButton file="sync-events.csv" read={() => deviceActions.exportGroup(group)} />
      </Group>
      <Problem error={list.error} retry={() => void list.refetch()} />
      {devices?.length === 0 ? (
        <Nothing state={state} q={q} clear={() => change({ q: undefined })} admin={admin} />
      ) : (
        <Rows
          label="Devices"
          loading={list.isPending}
          columns={[
            "Device",
            "Status",
            "Failed in a row",
            "Last seen",
            "Syncs",
            "Usually every",
            ...(admin ? [""] : []),
          ]}
        >
          {devices?.map((d) => (
            <Row key={d.device_id} device={d} admin={admin} />
          ))}
        </Rows>
      )}
      <More list={list} label="Show more devices" />
    </Stack>
  );
}

function Row({ device: d, admin }: { device: Device; admin: boolean }) {
  return (
    <Table.Tr>
      <Table.Td miw={150} maw={280} style={{ overflowWrap: "anywhere" }}>
        <Anchor component={Link} to={devicePage(d.group, d.device_id)}>
          {nameOf(d)}
        </Anchor>
        {d.name && (
          <Text size="xs" c="dimmed">
            {d.device_id}
          </Text>
        )}
        <Tags tags={d.tags} />
      </Table.Td>
      <Table.Td>
        <DeviceBadges device={d} />
      </Table.Td>
      <Table.Td>{count(d.streak)}</Table.Td>
      <Table.Td>{d.last_seen_at ? <TimeAgo at={d.last_seen_at} /> : "never"}</Table.Td>
      <Table.Td>
        {count(d.totals.events)}
        {d.totals.failed > 0 && (
          <Text size="xs" c="dimmed">
            {count(d.totals.failed)} failed
          </Text>
        )}
      </Table.Td>
      <Table.Td>{d.usual_interval_s === null ? "–" : duration(d.usual_interval_s * 1000)}</Table.Td>
      {admin && (
        <Table.Td>
          <DeviceActions device={d} size="xs" />
        </Table.Td>
      )}
    </Table.Tr>
  );
}

function Nothing(props: { state: DeviceState; q: string; clear: () => void; admin: boolean }) {
  const { state, q, clear, admin } = props;
  if (q !== "")
    return (
      <Empty
        icon={IconSearch}
        title={`No id begins with “${q}”`}
        action={
          <Button variant="default" onClick={clear}>
            Clear the search
          </Button>
        }
      >
        The search is by id, not by name.
      </Empty>
    );
  if (state === "pending")
    return (
      <Empty icon={IconDevices} title="No device waits for approval">
        New devices wait here where the rules ask for it. Then they are shown to nobody else.
      </Empty>
    );
  if (state === "retired") return <Empty icon={IconDevices} title="No device is retired" />;
  return (
    <Empty
      icon={IconDevices}
      title="No device has reported yet"
      action={
        admin && (
          <Button component={Link} to="/account?tab=tokens">
            Make a device token
          </Button>
        )
      }
    >
      <Stack gap="xs">
        <span>A device is here as soon as it reports a sync, with a token of this group:</span>
        <Code block ta="left" tabIndex={0} style={{ whiteSpace: "pre-wrap" }}>
          {example}
        </Code>
      </Stack>
    </Empty>
  );
}

const example = `curl ${location.origin}/api/sync-event \\
  -H "Authorization: Bearer $TOKEN" \\
  -d '{"device_id": "kiosk-1",
       "timestamp": "'$(date -u +%FT%TZ)'",
       "total_files_synced": 12,
       "total_errors": 0,
       "internet_speed": 84.5}'`;
