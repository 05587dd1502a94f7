import { Anchor, Card, SimpleGrid, Skeleton, Stack, Table, Text, Title } from "@mantine/core";
import { lazy, type ReactNode, Suspense } from "react";
import { Link } from "react-router";
import { type Overview, useOverview } from "../../api/queries/admin";
import { Figure } from "../../ui/Figure";
import { count, plural, rate } from "../../ui/format";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { TimeAgo, useNow } from "../../ui/TimeAgo";
import { QueueCells, queueColumns } from "./QueueCells";

const Ended = lazy(() => import("../../ui/Ended"));

/** What the installation does now. */
export function Component() {
  const overview = useOverview();
  if (overview.error) return <Problem error={overview.error} retry={() => void overview.refetch()} />;
  const o = overview.data;
  if (!o)
    return (
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        {[1, 2, 3, 4, 5, 6, 7, 8].map((n) => (
          <Skeleton key={n} h={104} />
        ))}
      </SimpleGrid>
    );
  return (
    <Stack gap="xl">
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        <Tile name="Users" value={o.users} to="/admin/users" />
        <Tile name="Groups" value={o.groups} to="/admin/groups" />
        <Tile
          name="Workers"
          value={o.workers.connected}
          to="/admin/workers"
          note={o.workers.grace ? `${count(o.workers.grace)} lost, may come back` : "connected"}
        />
        <Tile
          name="Slots in use"
          value={o.workers.running}
          note={`of ${count(o.workers.slots)}`}
          to="/admin/workers"
        />
        <Tile name="Running" value={o.tasks.running} note="tasks" />
        <Tile
          name="Waiting"
          value={o.tasks.queued}
          note={o.tasks.scheduled ? `and ${count(o.tasks.scheduled)} scheduled` : "tasks"}
          to="/admin/queues"
        />
        <Tile
          name="Ended each second"
          value={rate(o.rates.succeeded + o.rates.failed + o.rates.cancelled)}
          note={
            o.rates.failed + o.rates.cancelled > 0
              ? `${rate(o.rates.failed)} failed, ${rate(o.rates.cancelled)} cancelled`
              : "over the last full minute"
          }
        />
        <Tile name="Failovers" value={o.failovers_24h} note="tasks taken over, in 24 hours" />
      </SimpleGrid>
      <Throughput overview={o} />
      <Longest overview={o} />
      <Servers overview={o} />
    </Stack>
  );
}

interface TileProps {
  name: string;
  value: number | string;
  note?: ReactNode;
  to?: string;
}

function Tile({ name, value, note, to }: TileProps) {
  return (
    <Card withBorder component="section" aria-label={name} padding="sm">
      <Text size="sm" c="dimmed">
        {to ? (
          <Anchor component={Link} to={to}>
            {name}
          </Anchor>
        ) : (
          name
        )}
      </Text>
      <Text fz={28} fw={700} lh={1.2} className="numbers">
        {typeof value === "number" ? count(value) : value}
      </Text>
      <Text size="xs" c="dimmed" mih={18}>
        {note}
      </Text>
    </Card>
  );
}

function Throughput({ overview: o }: { overview: Overview }) {
  const now = useNow();
  const sum = o.minutes.reduce((n, m) => n + m.succeeded + m.failed + m.cancelled, 0);
  return (
    <Figure title="Throughput" fact={`${plural(sum, "task")} ended within the last hour, minute by minute`}>
      <Suspense fallback={<Skeleton h={200} />}>
        <Ended items={o.minutes} width={60_000} span={3_600_000} now={now} />
      </Suspense>
    </Figure>
  );
}

function Longest({ overview: o }: { overview: Overview }) {
  return (
    <Stack component="section" aria-label="Longest queues" gap="sm">
      <Title order={2} size="h4">
        Longest queues
      </Title>
      {o.queues.length === 0 ? (
        <Text c="dimmed">Nothing waits.</Text>
      ) : (
        <Rows label="Longest queues" loading={false} columns={queueColumns}>
          {o.queues.map((q) => (
            <Table.Tr key={`${q.group.id} ${q.kind}`}>
              <QueueCells queue={q} />
            </Table.Tr>
          ))}
        </Rows>
      )}
    </Stack>
  );
}

function Servers({ overview: o }: { overview: Overview }) {
  return (
    <Stack component="section" aria-label="Servers" gap="sm">
      <Title order={2} size="h4">
        {plural(o.servers.length, "server")}
      </Title>
      <Rows label="Servers" loading={false} columns={["Address", "Started", "Last sign of life"]}>
        {o.servers.map((s) => (
          <Table.Tr key={s.id}>
            <Table.Td>{s.address || s.id}</Table.Td>
            <Table.Td>
              <TimeAgo at={s.started_at} />
            </Table.Td>
            <Table.Td>{s.last_beat_at ? <TimeAgo at={s.last_beat_at} /> : "none yet"}</Table.Td>
          </Table.Tr>
        ))}
      </Rows>
    </Stack>
  );
}
