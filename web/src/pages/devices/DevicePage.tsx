import { Anchor, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import { lazy, Suspense } from "react";
import { Link, useParams, useSearchParams } from "react-router";
import { ApiError } from "../../api/error";
import { type Device, useDevice, useLiveDevices } from "../../api/queries/devices";
import { atLeast, useGroup } from "../../api/queries/groups";
import { Lost } from "../../app/RouteError";
import { Facts } from "../../ui/Facts";
import { count, duration } from "../../ui/format";
import { Page } from "../../ui/Page";
import { Problem } from "../../ui/Problem";
import { TimeAgo } from "../../ui/TimeAgo";
import { DeviceBadges, Tags } from "./badges";
import { DeviceActions, nameOf } from "./DeviceActions";
import { History } from "./History";

const DeviceCharts = lazy(() => import("./DeviceCharts"));

/** A device: how it is, what it did as charts, and every sync of it. */
export function Component() {
  const { group = "" } = useParams();
  const id = useSearchParams()[0].get("id") ?? "";
  return <DeviceView key={`${group} ${id}`} group={group} id={id} />;
}

function DeviceView({ group, id }: { group: string; id: string }) {
  useLiveDevices(group);
  const device = useDevice(group, id);
  const admin = atLeast(useGroup(group).data?.role ?? "viewer", "admin");
  if (device.error instanceof ApiError && device.error.status === 404) return <Lost />;
  const d = device.data;
  return (
    <Page
      title={d ? nameOf(d) : "Device"}
      heading={d ? <Heading device={d} /> : <Skeleton h={60} w={220} />}
      actions={d && admin && <DeviceActions device={d} />}
    >
      <Problem error={device.error} retry={() => void device.refetch()} />
      {d ? <DeviceFacts device={d} /> : !device.error && <Skeleton h={110} />}
      <Suspense fallback={<Skeleton h={318} />}>
        <DeviceCharts group={group} id={id} />
      </Suspense>
      <History group={group} id={id} />
    </Page>
  );
}

function Heading({ device: d }: { device: Device }) {
  return (
    <Stack gap={4}>
      <Anchor component={Link} to={`/groups/${d.group}/devices/fleet`} size="sm">
        Devices of the group
      </Anchor>
      <Group gap="sm">
        <Title order={1} size="h2">
          {nameOf(d)}
        </Title>
        <DeviceBadges device={d} />
      </Group>
      {d.name && (
        <Text size="sm" c="dimmed">
          {d.device_id}
        </Text>
      )}
      <Tags tags={d.tags} />
    </Stack>
  );
}

function DeviceFacts({ device: d }: { device: Device }) {
  const time = (at: string | null) => at && <TimeAgo at={at} />;
  return (
    <Facts
      facts={[
        ["Last seen", time(d.last_seen_at)],
        ["First seen", time(d.first_seen_at)],
        ["Last without errors", time(d.last_success_at)],
        ["Last failed", time(d.last_failure_at)],
        ["Failed in a row", count(d.streak)],
        ["Syncs", count(d.totals.events)],
        ["With errors", count(d.totals.failed)],
        ["Files", count(d.totals.files)],
        ["Errors", count(d.totals.errors)],
        ["Usually every", d.usual_interval_s !== null && duration(d.usual_interval_s * 1000)],
      ]}
    />
  );
}
