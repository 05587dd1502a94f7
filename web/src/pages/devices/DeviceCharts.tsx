import "@mantine/charts/styles.css";
import { BarChart, LineChart } from "@mantine/charts";
import { SegmentedControl, SimpleGrid, Skeleton, Stack } from "@mantine/core";
import { useSums } from "../../api/queries/devices";
import { oneOf, useAddress } from "../../ui/address";
import { Figure, still } from "../../ui/Figure";
import { count, plural } from "../../ui/format";
import { Problem } from "../../ui/Problem";
import { useNow } from "../../ui/TimeAgo";
import { points, spans, total } from "./sums";

/** What a device did, over time. */
export default function DeviceCharts({ group, id }: { group: string; id: string }) {
  const [params, change] = useAddress();
  const chosen = oneOf(params.get("span"), ["24h", "7d", "30d", "90d"]);
  const span = spans.find((s) => s.value === chosen) ?? spans[0];
  const sums = useSums(group, id, span);
  const now = useNow();
  const data = sums.data && points(sums.data, span, now);
  const t = total(sums.data ?? []);
  return (
    <Stack>
      <SegmentedControl
        aria-label="Time"
        w="fit-content"
        data={spans.map(({ value, label }) => ({ value, label }))}
        value={chosen}
        onChange={(v) => change({ span: v === "24h" ? undefined : v })}
      />
      <Problem error={sums.error} retry={() => void sums.refetch()} />
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        {!data && [1, 2].map((n) => <Skeleton key={n} h={266} />)}
        {data && (
          <>
            <Figure
              title="Files and errors"
              fact={`${plural(t.files, "file")}, ${plural(t.errors, "error")}`}
            >
              <BarChart
                barChartProps={still}
                h={180}
                data={data}
                dataKey="at"
                withLegend
                valueFormatter={count}
                series={[
                  { name: "files", label: "Files", color: "flame.6" },
                  { name: "errors", label: "Errors", color: "red.6" },
                ]}
              />
            </Figure>
            <Figure
              title="Speed"
              fact={t.events ? `in ${plural(t.events, "sync", "syncs")}` : "nothing was reported"}
            >
              <LineChart
                lineChartProps={still}
                h={180}
                data={data}
                dataKey="at"
                withLegend
                curveType="linear"
                connectNulls={false}
                valueFormatter={count}
                series={[
                  { name: "half", label: "Half of them at most", color: "flame.6" },
                  { name: "most", label: "95% at most", color: "grape.6" },
                ]}
              />
            </Figure>
          </>
        )}
      </SimpleGrid>
    </Stack>
  );
}
