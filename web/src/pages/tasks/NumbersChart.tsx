import "@mantine/charts/styles.css";
import { LineChart } from "@mantine/charts";
import { Text } from "@mantine/core";
import { useMemo } from "react";
import { plural } from "../../ui/format";
import { spread } from "./spread";

/** A list of numbers as a line; of very many, the smallest and largest of each stretch. */
export default function NumbersChart({ numbers }: { numbers: number[] }) {
  const data = useMemo(() => spread(numbers, 500), [numbers]);
  return (
    <figure style={{ margin: 0 }}>
      <LineChart
        h={280}
        data={data}
        dataKey="index"
        series={[{ name: "value", label: "Value", color: "flame.6" }]}
        withDots={numbers.length <= 50}
        curveType="linear"
      />
      <Text component="figcaption" size="sm" c="dimmed">
        {plural(numbers.length, "number")}, by their place in the result.
      </Text>
    </figure>
  );
}
