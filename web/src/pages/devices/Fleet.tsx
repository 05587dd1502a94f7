import { Button, Code, Group, SegmentedControl, Skeleton, Stack, Text } from "@mantine/core";
import { IconDevices, IconSearch } from "@tabler/icons-react";
import { lazy, Suspense, useCallback, useMemo } from "react";
import { Link, useParams } from "react-router";
import {
  type DeviceFilter,
  type DeviceState,
  deviceActions,
  deviceStatuses,
  useDevices,
} from "../../api/queries/devices";
import { atLeast, useGroup } from "../../api/queries/groups";
import { oneOf, useAddress } from "../../ui/address";
import { Choice } from "../../ui/Choice";
import { Empty } from "../../ui/Empty";
import { ExportButton } from "../../ui/ExportButton";
import { FilterBar } from "../../ui/FilterBar";
import { plural } from "../../ui/format";
import { NoMatch } from "../../ui/NoMatch";
import { Problem } from "../../ui/Problem";
import { Search } from "../../ui/Search";
import { Typed } from "../../ui/Typed";
import { FleetTable } from "./FleetTable";

const FleetChart = lazy(() => import("./FleetChart"));

const words: Record<DeviceState, string> = {
  active: "In use",
  pending: "Waiting for approval",
  retired: "Retired",
};

const statusWords = {
  failing: "Keeps failing",
  silent: "Silent",
  failed: "Failed last time",
  ok: "OK last time",
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
  const filter: DeviceFilter = {
    state,
    q: params.get("q")?.slice(0, 128) ?? "",
    tag: params.get("tag")?.slice(0, 32) ?? "",
    status: deviceStatuses.find((s) => s === params.get("status")) ?? "",
  };
  const filtered = filter.q !== "" || filter.tag !== "" || filter.status !== "";
  const list = useDevices(group, filter);
  const devices = useMemo(() => list.data?.pages.flatMap((p) => p.items) ?? [], [list.data]);
  const onTag = useCallback((tag: string) => change({ tag }), [change]);
  const more = list.hasNextPage && !list.isFetchNextPageError;
  const { isFetching } = list; // asked for here, so that the page is drawn again when it ends
  const loadMore = () => {
    if (!isFetching) void list.fetchNextPage();
  };
  return (
    <Stack>
      {state === "active" && !filtered && devices.length > 0 && (
        <Suspense fallback={<Skeleton h={282} />}>
          <FleetChart group={group} />
        </Suspense>
      )}
      <FilterBar>
        <Search placeholder="Id, name or tag" width={240} max={128} />
        <Typed
          label="Tag"
          value={filter.tag}
          onChange={(tag) => change({ tag })}
          placeholder="Any tag"
          width={130}
          max={32}
        />
        <Choice
          label="Status"
          any="Any status"
          width={160}
          data={deviceStatuses.map((value) => ({ value, label: statusWords[value] }))}
          value={filter.status || undefined}
          onChange={(status) => change({ status })}
        />
        <SegmentedControl
          aria-label="Which devices"
          data={states.map((value) => ({ value, label: words[value] }))}
          value={state}
          onChange={(v) => change({ state: v === "active" ? undefined : v })}
        />
      </FilterBar>
      <Group justify="space-between">
        <Text size="sm" c="dimmed" className="numbers" aria-live="polite">
          {list.isPending ? "Reading…" : plural(devices.length, "device") + (more ? " so far" : "")}
        </Text>
        <ExportButton file="sync-events.csv" read={(signal) => deviceActions.exportGroup(group, signal)} />
      </Group>
      <Problem error={list.error} retry={() => void list.refetch()} />
      {devices.length === 0 && list.isSuccess && !more ? (
        <Nothing
          filter={filter}
          filtered={filtered}
          clear={() => change({ q: undefined, tag: undefined, status: undefined })}
          admin={admin}
        />
      ) : (
        <FleetTable
          key={JSON.stringify(filter)}
          devices={devices}
          admin={admin}
          loading={list.isPending || (more && devices.length === 0)}
          stale={list.isPlaceholderData}
          more={more}
          loadMore={loadMore}
          onTag={onTag}
        />
      )}
    </Stack>
  );
}

function Nothing(props: { filter: DeviceFilter; filtered: boolean; clear: () => void; admin: boolean }) {
  const { filter, filtered, clear, admin } = props;
  const { state } = filter;
  if (filtered)
    return (
      <NoMatch icon={IconSearch} title="No device matches" clear={clear}>
        A search looks at ids, names and tags; a tag is taken as a whole.
      </NoMatch>
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
