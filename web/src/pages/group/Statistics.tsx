import "@mantine/charts/styles.css";
import { BarChart, DonutChart, LineChart } from "@mantine/charts";
import { Group, SegmentedControl, SimpleGrid, Skeleton, Stack, Table, Text } from "@mantine/core";
import { IconChartBar } from "@tabler/icons-react";
import { useParams, useSearchParams } from "react-router";
import { type Stats, useMembers, useStats, type Window } from "../../api/queries/groups";
import { Empty } from "../../ui/Empty";
import Ended, { endColours } from "../../ui/Ended";
import { Figure, still } from "../../ui/Figure";
import { count, duration, rate, seconds, share } from "../../ui/format";
import { Problem } from "../../ui/Problem";
import { Rows } from "../../ui/Rows";
import { useNow } from "../../ui/TimeAgo";
import { hasTimes, overTime } from "./overTime";

const windows = [
  { value: "1h", label: "Hour", hours: 1 },
  { value: "24h", label: "Day", hours: 24 },
  { value: "7d", label: "Week", hours: 168 },
] as const;

export function Component() {
  const { group: id = "" } = useParams();
  const [query, setQuery] = useSearchParams();
  const chosen = windows.find((w) => w.value === query.get("window")) ?? windows[1];
  const stats = useStats(id, chosen.value);
  return (
    <Stack>
      <SegmentedControl
        aria-label="Time"
        w="fit-content"
        data={windows.map(({ value, label }) => ({ value, label }))}
        value={chosen.value}
        onChange={(window) => setQuery({ window: window as Window }, { replace: true })}
      />
      <Problem error={stats.error} retry={() => void stats.refetch()} />
      {stats.isPending && (
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          {[1, 2, 3, 4].map((n) => (
            <Skeleton key={n} h={260} />
          ))}
        </SimpleGrid>
      )}
      {stats.data && <Charts group={id} stats={stats.data} hours={chosen.hours} />}
    </Stack>
  );
}

function Charts({ group, stats, hours }: { group: string; stats: Stats; hours: number }) {
  const names = new Map(useMembers(group).data?.map((m) => [m.user_id, m.username]));
  const now = useNow();
  const { succeeded, failed, cancelled, queued, running, scheduled } = stats.counts;
  const ended = succeeded + failed + cancelled;
  if (ended === 0)
    return (
      <Empty icon={IconChartBar} title="Nothing has ended in this time">
        {queued + running + scheduled > 0
          ? "Tasks are on their way; their figures come as they end."
          : "Submit a task, or look at a longer time."}
      </Empty>
    );
  const members = stats.members.map((m) => ({
    ...m,
    name: (m.user_id && names.get(m.user_id)) || "people who left",
  }));
  const points = overTime(stats.series, hours, now);
  return (
    <>
      <Figure
        title="Throughput"
        fact={`${rate(ended / hours)} tasks an hour, ${count(ended)} in all; now ${count(running)} running, ${count(queued)} waiting, ${count(scheduled)} scheduled`}
      >
        <Ended
          items={stats.series.steps}
          width={stats.series.step_s * 1000}
          span={hours * 3_600_000}
          now={now}
        />
      </Figure>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Figure title="How they ended" fact={`${count(ended)} in all`}>
          <Group justify="center" gap="xl" wrap="nowrap">
            <DonutChart
              h={180}
              size={150}
              withTooltip={false}
              pieChartProps={still}
              pieProps={{ rootTabIndex: -1 }}
              data={[
                { name: "Succeeded", value: succeeded, color: endColours.Succeeded },
                { name: "Failed", value: failed, color: endColours.Failed },
                { name: "Cancelled", value: cancelled, color: endColours.Cancelled },
              ]}
            />
            <Legend
              rows={[
                ["Succeeded", succeeded, endColours.Succeeded],
                ["Failed", failed, endColours.Failed],
                ["Cancelled", cancelled, endColours.Cancelled],
              ]}
            />
          </Group>
        </Figure>
        <Figure
          title="Success rate"
          fact={`${share(succeeded / Math.max(1, succeeded + failed))} succeeded of those that ran to their end`}
        >
          <LineChart
            lineChartProps={still}
            h={180}
            withLegend
            data={points}
            dataKey="at"
            valueFormatter={share}
            yAxisProps={{ domain: [0, 1] }}
            series={[{ name: "rate", label: "Succeeded", color: endColours.Succeeded }]}
          />
        </Figure>
        <Times stats={stats} points={points} />
        <Figure title="Contribution" fact="Tasks that ran on members' workers">
          <BarChart
            barChartProps={still}
            h={180}
            orientation="vertical"
            maxBarWidth={32}
            data={[...members]
              .sort((a, b) => b.tasks - a.tasks)
              .slice(0, 8)
              .map((m) => ({ name: m.name, Tasks: m.tasks }))}
            dataKey="name"
            valueFormatter={count}
            yAxisProps={{ width: 90 }}
            series={[{ name: "Tasks", color: "flame.6" }]}
          />
        </Figure>
      </SimpleGrid>
      <Rows
        label="Contribution of each member"
        loading={false}
        columns={["Whose workers", "Tasks", "Succeeded", "Failed", "Cancelled", "Time"]}
      >
        {members.map((m) => (
          <Table.Tr key={m.user_id ?? "left"}>
            <Table.Td>{m.name}</Table.Td>
            <Table.Td>{count(m.tasks)}</Table.Td>
            <Table.Td>{count(m.succeeded)}</Table.Td>
            <Table.Td>{count(m.failed)}</Table.Td>
            <Table.Td>{count(m.cancelled)}</Table.Td>
            <Table.Td>{seconds(m.run_s)}</Table.Td>
          </Table.Tr>
        ))}
      </Rows>
    </>
  );
}

const timeSeries = [
  { name: "Waiting", color: "gray.6" },
  { name: "Running", color: "blue.6" },
];

/** How long tasks waited and ran: over time, or of minutes, which have no times, of the whole. */
function Times({ stats, points }: { stats: Stats; points: ReturnType<typeof overTime> }) {
  const whole = (["p50", "p95", "p99"] as const).map((p) => ({
    at: { p50: "half of them", p95: "95%", p99: "99%" }[p],
    Waiting: stats.wait_ms[p],
    Running: stats.run_ms[p],
  }));
  const same = {
    h: 180,
    dataKey: "at",
    withLegend: true,
    valueFormatter: duration,
    series: timeSeries,
    yAxisProps: { allowDecimals: false }, // of milliseconds
  };
  return (
    <Figure
      title="Waiting and running time"
      fact={`half of them waited at most ${duration(stats.wait_ms.p50)} and ran at most ${duration(stats.run_ms.p50)}`}
    >
      {hasTimes(stats.series) ? (
        <LineChart lineChartProps={still} data={points} {...same} />
      ) : (
        <BarChart barChartProps={still} data={whole} {...same} />
      )}
    </Figure>
  );
}

function Legend({ rows }: { rows: [string, number, string][] }) {
  return (
    <Stack gap={4} className="numbers">
      {rows.map(([name, n, colour]) => (
        <Text key={name} size="sm">
          <Text span c={colour}>
            ■
          </Text>{" "}
          {name} {count(n)}
        </Text>
      ))}
    </Stack>
  );
}
