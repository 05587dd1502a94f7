import "@mantine/charts/styles.css";
import { AreaChart } from "@mantine/charts";
import { still } from "./Figure";
import { count } from "./format";
import { stepLabel, steps } from "./steps";

/** What ended in one step. */
export interface EndedStep {
  at: string; // its start
  succeeded: number;
  failed: number;
  cancelled: number;
}

export const endColours = { Succeeded: "green.6", Failed: "red.6", Cancelled: "orange.6" } as const;

interface Props {
  items: EndedStep[]; // those with something in them
  width: number; // of a step, ms
  span: number; // so far back, ms
  now: number;
}

/** What ended over time, as areas one upon the other. */
export default function Ended({ items, width, span, now }: Props) {
  const known = new Map(items.map((p) => [Date.parse(p.at), p]));
  const data = steps(now - span, Math.max(now, ...known.keys()), width).map((t) => {
    const p = known.get(t);
    return {
      at: stepLabel(t, width, span),
      Succeeded: p?.succeeded ?? 0,
      Failed: p?.failed ?? 0,
      Cancelled: p?.cancelled ?? 0,
    };
  });
  return (
    <AreaChart
      areaChartProps={still}
      h={200}
      type="stacked"
      curveType="monotone"
      withDots={false}
      withLegend
      data={data}
      dataKey="at"
      valueFormatter={count}
      series={Object.entries(endColours).map(([name, color]) => ({ name, color }))}
    />
  );
}
