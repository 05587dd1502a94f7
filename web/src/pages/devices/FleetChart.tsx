import "@mantine/charts/styles.css";
import { BarChart } from "@mantine/charts";
import { Skeleton } from "@mantine/core";
import { useSums } from "../../api/queries/devices";
import { Figure, still } from "../../ui/Figure";
import { count, plural, share } from "../../ui/format";
import { Problem } from "../../ui/Problem";
import { useNow } from "../../ui/TimeAgo";
import { points, spans, total } from "./sums";

/** How the syncs of all devices went, hour by hour. */
export default function FleetChart({ group }: { group: string }) {
  const span = spans[0];
  const sums = useSums(group, "", span);
  const now = useNow();
  if (sums.isPending) return <Skeleton h={282} />;
  if (sums.error) return <Problem error={sums.error} retry={() => void sums.refetch()} />;
  const t = total(sums.data);
  return (
    <Figure
      title="Syncs of the last day"
      fact={
        t.events === 0
          ? "none"
          : `${plural(t.events, "sync", "syncs")}, ${share((t.events - t.failed) / t.events)} without errors`
      }
    >
      <BarChart
        barChartProps={still}
        h={200}
        withLegend
        type="stacked"
        data={points(sums.data, span, now)}
        dataKey="at"
        valueFormatter={count}
        series={syncSeries}
      />
    </Figure>
  );
}

const syncSeries = [
  { name: "ok", label: "OK", color: "green.6" },
  { name: "partial", label: "Partial", color: "orange.5" },
  { name: "failed", label: "Failed", color: "red.6" },
];
